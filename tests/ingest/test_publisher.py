"""The pipe's lines reach Kafka in their partitions and order, or a person is told why not."""

import time
from typing import ClassVar

import pytest
from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from ingest import back_pressure, publisher
from ingest.back_pressure import BackPressure
from ingest.complaint import ComplaintError
from ingest.publisher import key_of, paced, publish_lines
from ingest.simulator import Faults, scenario
from schemas.registry import Configuration
from schemas.section import Record, Tick
from schemas.topics import CONFIG, READINGS
from schemas.wire import configuration_line, decode, encode, to_line

START = 1_767_196_800_000


class Future:
    def __init__(self, error: KafkaError | None) -> None:
        self.error = error

    def get(self, timeout: float) -> None:
        assert timeout > 0
        if self.error is not None:
            raise self.error


class RecordingProducer:
    """Remembers what it was given; may refuse the record of a number."""

    def __init__(self, *, refuse: int | None = None) -> None:
        self.sent: list[tuple[str, int, bytes | None, bytes]] = []
        self.refuse = refuse

    def partitions_for(self, _topic: str) -> set[int]:
        return set(range(8))

    def send(self, topic: str, value: bytes, *, key: bytes | None, partition: int) -> Future:
        self.sent.append((topic, partition, key, value))
        return Future(MessageSizeTooLargeError() if len(self.sent) == self.refuse else None)


def items() -> list[tuple[int, Record] | Configuration]:
    return list(scenario(7, START, 2, faults=Faults()))


def lines() -> list[str]:
    return [
        configuration_line(item) if isinstance(item, Configuration) else to_line(item[1], item[0])
        for item in items()
    ]


def say(_text: str) -> None:
    """Nobody listens."""


def test_every_line_is_written() -> None:
    """Configuration and records, in order, to their own partitions, by the key of their unit."""
    producer = RecordingProducer()
    done = publish_lines(["\n", *lines()], producer=producer, say=say)
    (first, *records) = items()
    assert isinstance(first, Configuration)
    topic, partition, key, value = producer.sent[0]
    assert (topic, partition, key) == (CONFIG, 0, b"1")
    assert Configuration.model_validate_json(value) == first
    told = [item for item in records if not isinstance(item, Configuration)]
    assert producer.sent[1:] == [
        (READINGS, partition, key_of(record), encode(record)) for partition, record in told
    ]
    assert (done.configurations, done.records) == (1, len(told))
    assert done.readings > 100


def test_keys() -> None:
    """The unit of a record that has one; none else."""
    assert key_of(Record("clock", 1, 0, Tick(5))) is None
    keys = {key_of(decode(value)) for _, _, _, value in sent() if decode(value).body}
    assert b"91510100SYN0000001" in keys


def sent() -> list[tuple[str, int, bytes | None, bytes]]:
    producer = RecordingProducer()
    publish_lines(lines()[1:], producer=producer, say=say)
    return producer.sent


def test_a_line_that_is_none_is_named() -> None:
    """By its number."""
    with pytest.raises(ComplaintError, match="line 2 is not one"):
        publish_lines([lines()[1], "{}"], producer=RecordingProducer(), say=say)


def test_a_partition_that_is_not_there() -> None:
    """Lines made for more partitions than the topic has."""
    line = to_line(Record("clock", 1, 0, Tick(5)), 8)
    with pytest.raises(ComplaintError, match="line 1 is of partition 8"):
        publish_lines([line], producer=RecordingProducer(), say=say)


def test_what_kafka_refuses_is_said() -> None:
    """And that publishing again does no harm."""
    with pytest.raises(ComplaintError, match="again changes nothing"):
        publish_lines(lines(), producer=RecordingProducer(refuse=5), say=say)


def test_paced_lines_come_no_faster_and_all_of_them() -> None:
    """Eleven lines at a hundred a second take a tenth of one."""
    told = [str(number) for number in range(11)]
    began = time.monotonic()
    assert list(paced(told, rate=100)) == told
    assert time.monotonic() - began >= 0.1


class SilentProducer:
    """One whose broker went away after the start."""

    config: ClassVar = {"bootstrap_servers": ["127.0.0.1:1"]}

    def partitions_for(self, _topic: str) -> set[int]:
        raise KafkaTimeoutError


def test_a_broker_that_went_away_is_no_missing_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is told to make a topic looks in the wrong place."""
    monkeypatch.setattr(publisher, "_BOOTSTRAP_MS", 100)
    monkeypatch.setattr(back_pressure, "_BOOTSTRAP_MS", 100)
    with pytest.raises(ComplaintError, match=r"no Kafka at 127\.0\.0\.1:1"):
        publish_lines([], producer=SilentProducer(), say=say)  # type: ignore[arg-type]
    with pytest.raises(ComplaintError, match=r"no Kafka at 127\.0\.0\.1:1"):
        BackPressure("127.0.0.1:1", topic="t", group="g", most=1, say=say)
