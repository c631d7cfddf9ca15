"""What must hold in the end, from the log itself: all that was sent is in it, the tables are those of an engine over it, and what was told is on the topic.

A process a half of the partitions, so that both cores work.
"""

import json
import multiprocessing
import sys
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from kafka import KafkaConsumer, TopicPartition
from troubles import Troubled

from processors.engine import Placed
from processors.memory import drive
from schemas import topics
from schemas.section import Record, Section
from schemas.wire import decode, encode

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from reference import MEASURED, STEP, Reference, _said, stored

READINGS = topics.of_generation(topics.READINGS, MEASURED)
INDICATORS = topics.of_generation(topics.INDICATORS, MEASURED)
DIRECT = ("bench", "bench-control")
"""Doors of what goes into Kafka directly."""


@dataclass(frozen=True)
class Servers:
    """Where the run's log and tables are."""

    kafka: str
    database: str
    prefix: str


@dataclass
class Found:
    """Of some partitions or of all."""

    wrong: set[str] = field(default_factory=set)
    by_mqtt: set[str] = field(default_factory=set)
    """Message ids and hashes in the log."""
    mqtt_readings: int = 0
    records: int = 0
    told: int = 0
    told_again: int = 0
    """Records of the indicators that are there twice."""

    def add(self, other: "Found") -> None:
        """And those."""
        self.wrong |= other.wrong
        self.by_mqtt |= other.by_mqtt
        self.mqtt_readings += other.mqtt_readings
        self.records += other.records
        self.told += other.told
        self.told_again += other.told_again


def judged(workload: Troubled, quarters: int, servers: Servers) -> Found:
    """All partitions."""
    context = multiprocessing.get_context("spawn")
    found = Found()
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        halves = [frozenset(range(half, workload.partitions, 2)) for half in (0, 1)]
        waiting = [pool.submit(_half, workload, quarters, half, servers) for half in halves]
        for one in waiting:
            found.add(one.result())
    return found


def _half(workload: Troubled, quarters: int, mine: frozenset[int], servers: Servers) -> Found:
    truth = Truth(workload, mine, servers)
    truth.digest(quarters)
    truth.compare()
    return truth.found


def _id_of(original: str) -> str:
    """Of a refused reading, which was a message alone."""
    return str(json.loads(original)["message_id"])


def values_of(kafka: str, topic: str, partition: int) -> Iterator[bytes]:
    """What lies in a partition up to its present end."""
    with closing(KafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)) as consumer:
        place = TopicPartition(topic, partition)
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        end = consumer.end_offsets([place])[place]
        while consumer.position(place) < end:
            for messages in consumer.poll(timeout_ms=500).values():
                yield from (message.value for message in messages)


class Truth(Reference):
    """An engine over the log, beside what was sent."""

    def __init__(self, workload: Troubled, mine: frozenset[int], servers: Servers) -> None:
        super().__init__(workload, mine)
        self._servers = servers
        self._engine.state.generation = MEASURED
        self._logs = {
            partition: values_of(servers.kafka, servers.prefix + READINGS, partition)
            for partition in sorted(mine)
        }
        self._waiting: dict[int, list[Placed]] = defaultdict(list)
        self._sequences: dict[tuple[int, str, int], int] = {}
        self.found = Found()

    def digest(self, quarters: int) -> None:
        """The whole log; what was sent directly is in it, in order, each once."""
        for partition, record in self._sent(quarters):
            if partition in self._mine and encode(record) != self._next_direct(partition):
                self.found.wrong.add("what was sent directly")
        for partition in self._mine:
            while (left := self._next(partition)) is not None:
                if left[1].door in DIRECT:
                    self.found.wrong.add("what was sent directly")
            self._flush(partition)

    def _sent(self, quarters: int) -> Iterator[tuple[int, Record]]:
        yield from self._workload.beginning()
        for quarter in range(0, quarters, 2):
            yield from self._workload.records(quarter, 2)

    def _next_direct(self, partition: int) -> bytes | None:
        while (item := self._next(partition)) is not None:
            if item[1].door in DIRECT:
                return item[0]
        return None

    def _next(self, partition: int) -> tuple[bytes, Record] | None:
        """The partition's next record, which goes to the engine as well."""
        value = next(self._logs[partition], None)
        if value is None:
            return None
        record = decode(value)
        waiting = self._waiting[partition]
        waiting.append((partition, self._offsets[partition], record))
        self._offsets[partition] += 1
        self.found.records += 1
        if record.door not in DIRECT:
            self._note(partition, record)
        if len(waiting) >= STEP:
            self._flush(partition)
        return value, record

    def _note(self, partition: int, record: Record) -> None:
        """A gateway's record: what it carries, and that its door numbered without a hole."""
        key = (partition, record.door, record.incarnation)
        if record.sequence != self._sequences.get(key, -1) + 1:
            self.found.wrong.add("numbers of a gateway's records")
        self._sequences[key] = record.sequence
        for part in record.body if isinstance(record.body, tuple) else ():
            if isinstance(part, Section):
                self.found.mqtt_readings += len(part) + len(part.refused)
                self.found.by_mqtt.update(part.messages)
                self.found.by_mqtt.update(_id_of(item.original) for item in part.refused)
            else:
                self.found.mqtt_readings += 1
                self.found.by_mqtt.add(part.sha256)

    def _flush(self, partition: int) -> None:
        step = drive(self._engine.step(self._waiting.pop(partition, [])), self._store)
        self._engine.clear()
        self._store.write(step)
        self._store.outbox.clear()
        self._store.ticks.clear()
        for row in step.outbox:
            self._told[row.partition].update(
                _said(row.partition, row.offset, row.position, row.number, row.key, row.payload)
            )

    def compare(self) -> None:
        """The tables, and the topic of the indicators with the outbox."""
        self.found.wrong.update(
            self._tables().differences(stored(self._servers.database, self._mine))
        )
        for partition in self._mine:
            self._compare_topic(partition)

    def _compare_topic(self, partition: int) -> None:
        """Each row of the outbox is on the topic, in order; some may be there again."""
        topic = self._servers.prefix + INDICATORS
        seen: set[int] = set()
        first = []
        for value in values_of(self._servers.kafka, topic, partition):
            self.found.told += 1
            known = hash(value)
            if known in seen:
                self.found.told_again += 1
            else:
                seen.add(known)
                first.append(known)
        query = """SELECT payload FROM outbox WHERE generation = %s AND partition = %s
            ORDER BY "offset", position, number"""
        with psycopg.connect(self._servers.database) as link, link.cursor("told") as cursor:
            expected = [hash(bytes(row[0])) for row in cursor.execute(query, (MEASURED, partition))]
        if expected != first:
            self.found.wrong.add("the topic of the indicators")
