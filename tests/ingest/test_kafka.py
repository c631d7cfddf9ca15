"""Against a real broker: topics, the pipe's lines, and ticks arrive as they were meant.

Each test has topics of its own: `weir.test.<number>.` before their names.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from uuid import uuid4

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType

from deploy.local.parts import LocalParts
from ingest.__main__ import main
from ingest.clock import Clock
from ingest.complaint import ComplaintError
from ingest.metrics import ClockMetrics
from ingest.publisher import create_producer, publish_lines
from ingest.simulator import Faults, scenario
from ingest.topics_admin import create_topics, wanted
from schemas import topics
from schemas.registry import Configuration
from schemas.section import Record, Tick
from schemas.wire import configuration_line, decode, encode, to_line

PARTITIONS = 4
START = 1_767_196_800_000


def say(_text: str) -> None:
    """Nobody listens."""


@pytest.fixture(scope="module")
def kafka() -> str:
    """WEIR_TEST_KAFKA, else the local broker."""
    return os.environ.get("WEIR_TEST_KAFKA") or LocalParts().endpoints().kafka


@pytest.fixture
def prefix(kafka: str) -> Iterator[str]:
    """Topics of the test's own, made by the code under test."""
    told = f"weir.test.{uuid4().hex[:12]}."
    create_topics(kafka, partitions=PARTITIONS, say=say, prefix=told)
    yield told
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.delete_topics([told + topic.name for topic in wanted(PARTITIONS)])
    admin.close()


@pytest.fixture
def producer(kafka: str) -> Iterator[KafkaProducer]:
    one = create_producer(kafka, client_id="weir-test")
    yield one
    one.close()


def values(kafka: str, topic: str, partitions: int) -> dict[int, list[bytes]]:
    """All that a topic holds, by partition."""
    consumer = KafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    assigned = [TopicPartition(topic, partition) for partition in range(partitions)]
    consumer.assign(assigned)
    consumer.seek_to_beginning(*assigned)
    ends = consumer.end_offsets(assigned)
    found: dict[int, list[bytes]] = defaultdict(list)
    while any(consumer.position(one) < ends[one] for one in assigned):
        for one, messages in consumer.poll(timeout_ms=500).items():
            found[one.partition] += [message.value for message in messages]
    consumer.close()
    return found


def test_topics_are_made_once_and_never_resized(kafka: str, prefix: str) -> None:
    """Again is fine; another count is refused, for units would change their partitions."""
    told: list[str] = []
    create_topics(kafka, partitions=PARTITIONS, say=told.append, prefix=prefix)
    assert len(told) == len(wanted(PARTITIONS))
    assert all("there already" in line for line in told)
    with pytest.raises(ComplaintError, match="has 4 partitions, not 5"):
        create_topics(kafka, partitions=5, say=say, prefix=prefix)


def test_the_command_keeps_to_the_prefix(
    kafka: str, prefix: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """WEIR_TOPIC_PREFIX: several Weirs may share a broker."""
    monkeypatch.setenv("WEIR_KAFKA", kafka)
    monkeypatch.setenv("WEIR_TOPIC_PREFIX", prefix)
    assert main(["topics", "create", "--partitions", str(PARTITIONS)]) == 0
    told = capsys.readouterr().err.splitlines()
    assert [line for line in told if not line.startswith(f"weir: {prefix}")] == []
    assert len(told) == len(wanted(PARTITIONS))


def test_configurations_are_kept_for_ever(kafka: str, prefix: str) -> None:
    """And the readings as long as the horizon; both take large messages."""
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, prefix + name)
        for name in (topics.CONFIG, topics.READINGS)
    ]
    found = admin.describe_configs(resources)["topic"]
    admin.close()
    kept = {
        name: {key: told["value"] for key, told in found[prefix + name].items()}
        for name in (topics.CONFIG, topics.READINGS)
    }
    assert kept[topics.CONFIG]["retention.ms"] == kept[topics.CONFIG]["retention.bytes"] == "-1"
    assert kept[topics.READINGS]["retention.ms"] == str(40 * 86_400_000)
    assert all(int(configs["max.message.bytes"]) > 2**21 for configs in kept.values())


def test_the_pipes_lines_arrive_whole_and_in_order(
    kafka: str, prefix: str, producer: KafkaProducer
) -> None:
    """Byte for byte, each in its own partition; the configuration before them."""
    items = list(scenario(7, START, 12, faults=Faults.every(0.02), partitions=PARTITIONS))
    lines = [
        configuration_line(item) if isinstance(item, Configuration) else to_line(item[1], item[0])
        for item in items
    ]
    done = publish_lines(lines, producer=producer, say=say, prefix=prefix)
    expected: dict[int, list[bytes]] = defaultdict(list)
    for item in items[1:]:
        assert not isinstance(item, Configuration)
        expected[item[0]].append(encode(item[1]))
    assert values(kafka, prefix + topics.READINGS, PARTITIONS) == expected
    (told,) = values(kafka, prefix + topics.CONFIG, 1)[0]
    assert Configuration.model_validate_json(told) == items[0]
    assert done.records == len(items) - 1


def test_a_topic_that_is_not_there_is_said(producer: KafkaProducer) -> None:
    """With the command that makes it."""
    line = to_line(Record("clock", 1, 0, Tick(5)), 0)
    with pytest.raises(ComplaintError, match="topics create"):
        publish_lines([line], producer=producer, say=say, prefix="weir.nowhere.")


def test_ticks_arrive_in_every_partition(kafka: str, prefix: str, producer: KafkaProducer) -> None:
    """In order, numbered without a hole."""
    clock = Clock(
        producer=producer,
        partitions=PARTITIONS,
        incarnation=3,
        metrics=ClockMetrics(),
        interval_ms=1_000,
        topic=prefix + topics.READINGS,
    )
    clock.write_due(START)
    clock.write_due(START + 2_500)
    found = values(kafka, prefix + topics.READINGS, PARTITIONS)
    told = [Record("clock", 3, i, Tick(START + 1_000 * i)) for i in range(3)]
    assert {p: [decode(v) for v in found[p]] for p in found} == dict.fromkeys(range(4), told)
