"""Writes the pipe's lines into Kafka, and waits until they are there.

The lines' own partitions are kept, and their order within each (idempotent producer, `acks=all`).
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from kafka import KafkaAdminClient, KafkaProducer
from kafka.errors import KafkaError

from ingest.coalesce import readings_in
from ingest.complaint import ComplaintError
from schemas import topics
from schemas.registry import Configuration
from schemas.section import Record, Tick
from schemas.settings import kafka_client
from schemas.wire import LayoutError, encode, from_line

_IN_FLIGHT = 5_000
_CLOSE = 200
_REQUEST_BYTES = 64 * 1_048_576
_PROGRESS_EVERY_S = 2.0
_PATIENCE_S = 120.0
_BOOTSTRAP_MS = 5_000
_BLOCK_MS = 5_000
_RECONNECT_MS = 2_000

Say = Callable[[str], None]


@dataclass(slots=True)
class Published:
    """What was written and acknowledged."""

    configurations: int = 0
    records: int = 0
    readings: int = 0
    """Refused ones among them; an unreadable payload or a lone tick counts as one."""

    def __str__(self) -> str:
        return (
            f"{self.records:,} records ({self.readings:,} readings) "
            f"and {self.configurations:,} configurations"
        )


def create_producer(bootstrap: str, *, client_id: str) -> KafkaProducer:
    """A producer that loses nothing and keeps the order; ComplaintError where there is no Kafka."""
    try:
        return KafkaProducer(
            bootstrap_servers=bootstrap.split(","),
            **kafka_client(),
            client_id=client_id,
            acks="all",
            enable_idempotence=True,
            linger_ms=20,
            batch_size=262_144,
            max_request_size=_REQUEST_BYTES,
            max_block_ms=_BLOCK_MS,
            bootstrap_timeout_ms=_BOOTSTRAP_MS,
            reconnect_backoff_max_ms=_RECONNECT_MS,
            delivery_timeout_ms=int(_PATIENCE_S * 1_000),
            allow_auto_create_topics=False,
        )
    except KafkaError as error:
        raise no_kafka(bootstrap, error) from error


def partitions_in(producer: KafkaProducer, topic: str) -> int:
    """How many partitions a topic has; ComplaintError where there is none."""
    try:
        return len(producer.partitions_for(topic))
    except KafkaError as error:
        _make_sure_of_kafka(producer.config["bootstrap_servers"])
        message = f"no topic {topic} ({error}): run `python -m ingest topics create`"
        raise ComplaintError(message) from error


def _make_sure_of_kafka(bootstrap: Sequence[str]) -> None:
    """A broker that went away meanwhile answers nothing; it is not the topic that is missing."""
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap,
            **kafka_client(),
            bootstrap_timeout_ms=_BOOTSTRAP_MS,
            request_timeout_ms=_BOOTSTRAP_MS,
        )
        try:
            admin.list_topics()
        finally:
            admin.close()
    except KafkaError as error:
        raise no_kafka(",".join(bootstrap), error) from error


def no_kafka(bootstrap: str, error: KafkaError) -> ComplaintError:
    """The complaint of who finds no broker there."""
    return ComplaintError(
        f"no Kafka at {bootstrap} ({error}): is it running, and is WEIR_KAFKA right?"
    )


def publish_lines(
    lines: Iterable[str],
    *,
    producer: KafkaProducer,
    say: Say,
    prefix: str = "",
    generation: int = 1,
    keep_close: Callable[[dict[int, int]], None] | None = None,
    wait_for: Callable[[Record], None] | None = None,
) -> Published:
    """Write every line; returns when Kafka has them all. ComplaintError at the first that fails.

    `wait_for` hears of each record, and returns when it may be written.
    `keep_close` hears of the last offset written of each partition, and returns when there may be more.
    """
    readings = prefix + topics.of_generation(topics.READINGS, generation)
    count = partitions_in(producer, readings)
    partitions_in(producer, prefix + topics.CONFIG)
    done = Published()
    written: dict[int, int] = {}
    waiting: deque[object] = deque()
    told = time.monotonic()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        match _read(line, number):
            case Configuration() as configuration:
                _wait(waiting, 0)
                body = configuration.model_dump_json().encode()
                version = str(configuration.version).encode()
                topic = prefix + topics.CONFIG
                waiting.append(producer.send(topic, body, key=version, partition=0))
                _wait(waiting, 0)
                done.configurations += 1
            case partition, record:
                _check(partition, count, number)
                if wait_for is not None:
                    wait_for(record)
                key = key_of(record)
                body = _encoded(record, number)
                waiting.append(producer.send(readings, body, key=key, partition=partition))
                _wait(waiting, _CLOSE if keep_close else _IN_FLIGHT, written)
                if keep_close is not None:
                    keep_close(written)
                done.records += 1
                done.readings += readings_of(record)
        if time.monotonic() - told > _PROGRESS_EVERY_S:
            told = time.monotonic()
            say(f"{done} so far")
    _wait(waiting, 0)
    return done


def paced(lines: Iterable[str], *, rate: int) -> Iterator[str]:
    """The lines, at most so many a second: live units' ticks wait behind the records before them."""
    due = time.monotonic()
    for line in lines:
        time.sleep(max(0.0, due - time.monotonic()))
        due = max(due, time.monotonic()) + 1 / rate
        yield line


def until_its_time(record: Record) -> None:
    """Sleep until a record's sections were received, or its tick has come."""
    match record.body:
        case tuple() as sections:
            at = max((one.received_at for one in sections), default=0)
        case Tick(at):
            pass
        case _:
            at = 0
    time.sleep(max(0.0, at / 1_000 - time.time()))


def key_of(record: Record) -> bytes | None:
    """The unit, where a record is of one unit only."""
    if not isinstance(record.body, tuple):
        return None
    units = {part.unit for part in record.body}
    return units.pop().encode() if len(units) == 1 else None


def readings_of(record: Record) -> int:
    """Readings in a record of sections; a control record has none."""
    return sum(map(readings_in, record.body)) if isinstance(record.body, tuple) else 0


def _read(line: str, number: int) -> Configuration | tuple[int, Record]:
    try:
        return from_line(line)
    except LayoutError as error:
        message = f"line {number} is not one of the pipe's: {error}"
        raise ComplaintError(message) from error


def _check(partition: int, count: int, number: int) -> None:
    if not 0 <= partition < count:
        message = (
            f"line {number} is of partition {partition}, and the topic has {count}: "
            "make the lines and the topic with the same WEIR_PARTITIONS"
        )
        raise ComplaintError(message)


def _encoded(record: Record, number: int) -> bytes:
    try:
        return encode(record)
    except LayoutError as error:
        message = f"line {number} cannot be written: {error}"
        raise ComplaintError(message) from error


def _wait(waiting: "deque[object]", most: int, written: dict[int, int] | None = None) -> None:
    """Wait, in order, until at most so many are not yet acknowledged; `written`: the last offset of each partition."""
    while len(waiting) > most:
        future = waiting.popleft()
        try:
            place = future.get(timeout=_PATIENCE_S + 5)  # type: ignore[attr-defined]
        except KafkaError as error:
            message = (
                f"Kafka did not take a record ({error}). Lines before it were written; "
                "publishing the same lines again changes nothing."
            )
            raise ComplaintError(message) from error
        if written is not None:
            written[place.partition] = place.offset
