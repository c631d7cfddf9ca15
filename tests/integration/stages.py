"""The services of a Weir in this process, on the local servers: one stage of its life after the other."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from kafka import KafkaProducer
from pydantic import TypeAdapter

from alerts.batch import Record as Heard
from alerts.batch import batch_of
from alerts.store import Outlet
from alerts.store import Store as AlertStore
from ingest.simulator import Faults, scenario
from processors.metrics import WorkerMetrics
from processors.outbox import Publisher
from processors.store import Store
from processors.worker import Message, Worker
from schemas import topics
from schemas.calendar import HOUR_MS, year_start
from schemas.indicator import Message as Told
from schemas.registry import Configuration
from schemas.rule import Rule, Rules
from schemas.section import (
    ApplyConfiguration,
    HistoryEnds,
    Record,
    Section,
    Tick,
    Unreadable,
    partition_of,
)
from schemas.wire import encode
from tests.integration.places import Place

FIRST = 8
UNITS = 9
START = year_start(2026) + 1_000 * HOUR_MS
RULES: Rules = (
    Rule(name="silent", kind="cannot be judged", severity="warning", hold="PT5M"),
    Rule(name="breach", kind="confirmed breach", severity="critical"),
)
LINE: TypeAdapter[Told] = TypeAdapter(Told)
Placed = tuple[int, Record]


@dataclass
class World:
    """A stream that may be shared out over any number of partitions."""

    configuration: Configuration
    records: list[Placed]
    """In eight partitions."""

    def over(self, records: Sequence[Placed], partitions: int) -> Iterator[Placed]:
        """The same for another number: sections by their units, ticks and control records to all."""
        sequence = defaultdict[int, Iterator[int]](itertools.count)
        last_tick = -1
        for _, record in records:
            match record.body:
                case Tick(at) if at == last_tick:
                    continue
                case Tick(at):
                    last_tick = at
                    parts = dict.fromkeys(range(partitions), record.body)
                case ApplyConfiguration():
                    parts = dict.fromkeys(range(partitions), record.body)
                case HistoryEnds(unit):
                    parts = {partition_of(unit, partitions): record.body}
                case sections:
                    parts = shared_out(sections, partitions)
            for number, body in parts.items():
                yield number, replace(record, body=body, sequence=next(sequence[number]))


def shared_out(sections, partitions):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - a record's body is a sum of types
    """Sections by partition."""
    found: dict[int, list[Section | Unreadable]] = defaultdict(list)
    for section in sections:
        found[partition_of(section.unit, partitions)].append(section)
    return {number: tuple(mine) for number, mine in found.items()}


def simulated(hours: int) -> World:
    """Nine live units that misbehave."""
    items = list(
        scenario(
            7, START, hours, units=UNITS, faults=Faults.every(0.02), partitions=FIRST, live=True
        )
    )
    (configuration,) = (item for item in items if isinstance(item, Configuration))
    return World(configuration, [item for item in items if not isinstance(item, Configuration)])


@dataclass
class Stage:
    """The services of one generation, in this process."""

    place: Place
    generation: int
    partitions: int

    def topic(self, name: str) -> str:
        return self.place.prefix + topics.of_generation(name, self.generation)

    def stream(self, configuration: Configuration, records: Sequence[Placed]) -> None:
        """Into Kafka and the database, out to the indicators, heard by the alerts."""
        self.digest(configuration, self.publish(records))
        self.hear()

    def digest(self, configuration: Configuration, messages: Sequence[Message]) -> None:
        """From where the database is on; what is before that is left out."""
        with closing(self.store()) as store:
            store.save_configuration(configuration)
            worker = Worker(
                store, WorkerMetrics(), partitions=self.partitions, generation=self.generation
            )
            at = worker.take(dict.fromkeys(range(self.partitions), 0))
            due = [message for message in messages if message[1] >= at[message[0]]]
            for first in range(0, len(due), 400):
                worker.write(worker.prepare(due[first : first + 400]))
            self.tell(store)

    def store(self) -> Store:
        return Store(self.place.database, generation=self.generation, partitions=self.partitions)

    def publish(self, records: Sequence[Placed]) -> list[Message]:
        producer = KafkaProducer(
            bootstrap_servers=self.place.environment["WEIR_KAFKA"], acks="all", linger_ms=20
        )
        sent = [
            (
                number,
                encode(record),
                producer.send(self.topic(topics.READINGS), encode(record), partition=number),
            )
            for number, record in records
        ]
        producer.flush()
        messages = [
            (number, future.get(timeout=20).offset, value) for number, value, future in sent
        ]
        producer.close()
        return messages

    def tell(self, store: Store) -> None:
        def fail(error: BaseException) -> None:
            raise error

        publisher = Publisher(
            store,
            WorkerMetrics(),
            bootstrap=self.place.environment["WEIR_KAFKA"],
            topic=self.topic(topics.INDICATORS),
            fatal=fail,
        )
        publisher.own(range(self.partitions))
        self.place.wait_published()
        publisher.stop()

    def told(self) -> dict[int, list[bytes]]:
        """What the indicators hold."""
        here = replace(self.place, partitions=self.partitions)
        return here.records(topics.of_generation(topics.INDICATORS, self.generation))

    def hear(self) -> None:
        with closing(self.alerts()) as store:
            owned = store.take(dict.fromkeys(range(self.partitions), 0))
            for number, values in self.told().items():
                mine = owned[number]
                records = [
                    Heard(offset, value)
                    for offset, value in enumerate(values)
                    if offset >= mine.next_offset
                ]
                if records:
                    batch = batch_of(number, records, mine.state, RULES)
                    store.write_surely(batch, mine.epoch)

    def alerts(self) -> AlertStore:
        outlets = [Outlet("webhook", repeats=False)]
        return AlertStore(self.place.database, generation=self.generation, outlets=outlets)


def stored(place: Place) -> dict[str, object]:
    """The same of the database."""
    windows = place.query(
        "SELECT code, kind, starts, as_of, judged FROM unit_window JOIN unit ON id = unit"
    )
    hours = place.query(
        """SELECT code, hour, quantity::text, best, unknown_best, unknown_high, measured_ms, inexact, before_low,
           before_high, after_low, after_high, fingerprint FROM hour JOIN unit ON id = unit"""
    )
    gaps = place.query(
        """SELECT code, point, starts, ends, kind::text, low, high, from_register, to_register, total,
           coalesce(parts, '{}') FROM gap JOIN unit ON id = unit"""
    )
    account = place.query(
        """SELECT code, day::text, accepted, repeated, superseded, rejected, unreadable
           FROM account JOIN unit ON id = unit"""
    )
    states = place.query(
        "SELECT code, last_tick, live, ends FROM unit_state s JOIN unit ON id = s.unit"
    )
    return {
        "windows": {
            (code, kind, starts): (as_of, judged) for code, kind, starts, as_of, judged in windows
        },
        "hours": {(code, hour, quantity): tuple(rest) for code, hour, quantity, *rest in hours},
        "gaps": {(*rest, tuple(parts), total) for *rest, total, parts in gaps},
        "account": {(code, day): tuple(rest) for code, day, *rest in account},
        "ticks": {code: (last, live, tuple(ends)) for code, last, live, ends in states},
    }


def moves(place: Place) -> list[tuple[object, ...]]:
    """Every change of an alert."""
    return sorted(
        place.query("SELECT unit, rule, previous, state, at, since, cause FROM alert_transition")
    )
