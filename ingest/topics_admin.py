"""Makes the topics, with the settings that their use needs. Making them again changes nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from ingest.complaint import ComplaintError
from schemas import topics

_DAY_MS = 86_400_000
_MIB = 1_048_576
_BOOTSTRAP_MS = 5_000

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it should be."""

    name: str
    partitions: int
    configs: Mapping[str, str]


def wanted(partitions: int) -> tuple[Topic, ...]:
    """The topics of Weir. Readings stay as long as the usual horizon; the database keeps them."""
    ever = {"retention.ms": "-1", "retention.bytes": "-1", "cleanup.policy": "delete"}
    month = {"retention.ms": str(40 * _DAY_MS), "cleanup.policy": "delete"}
    appended = {"message.timestamp.type": "LogAppendTime"}
    return (
        Topic(
            topics.READINGS,
            partitions,
            # A message of 1 MiB, all of it refused, is kept as text beside its reasons.
            month | appended | {"max.message.bytes": str(4 * _MIB)},
        ),
        Topic(topics.CONFIG, 1, ever | {"max.message.bytes": str(64 * _MIB)}),
        Topic(topics.INDICATORS, partitions, month | {"max.message.bytes": str(4 * _MIB)}),
        Topic(topics.REGIONS, 1, ever | {"max.message.bytes": str(4 * _MIB)}),
        Topic(topics.FEEDBACK, partitions, {"retention.ms": str(7 * _DAY_MS)}),
    )


def create_topics(
    bootstrap: str, *, partitions: int, say: Say, replication: int = -1, prefix: str = ""
) -> None:
    """Make what is missing; ComplaintError where one is there with another number of partitions."""
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap.split(","),
            client_id="weir-topics",
            bootstrap_timeout_ms=_BOOTSTRAP_MS,
        )
    except KafkaError as error:
        message = f"no Kafka at {bootstrap} ({error}): is it running, and is WEIR_KAFKA right?"
        raise ComplaintError(message) from error
    try:
        for topic in wanted(partitions):
            _create(admin, prefix + topic.name, topic, replication=replication, say=say)
    except KafkaError as error:
        message = f"Kafka at {bootstrap} refused: {error}"
        raise ComplaintError(message) from error
    finally:
        admin.close()


def _create(
    admin: KafkaAdminClient, name: str, topic: Topic, *, replication: int, say: Say
) -> None:
    there = _partitions_of(admin, name)
    if there == topic.partitions:
        say(f"{name}: there already, {there} partitions")
        return
    if there:
        message = (
            f"{name} has {there} partitions, not {topic.partitions}: a unit would change its "
            f"partition. Set WEIR_PARTITIONS={there}, or begin a new generation."
        )
        raise ComplaintError(message)
    options = {
        "num_partitions": topic.partitions,
        "replication_factor": replication,
        "configs": dict(topic.configs),
    }
    admin.create_topics({name: options}, wait_for_metadata=True)
    say(f"{name}: made, {topic.partitions} partitions")


def _partitions_of(admin: KafkaAdminClient, name: str) -> int:
    """How many partitions a topic has; 0 where there is none."""
    if name not in admin.list_topics():
        return 0
    (described,) = admin.describe_topics([name])
    return len(described["partitions"])
