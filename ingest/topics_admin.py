"""Makes the topics, with the settings that their use needs. Making them again changes nothing."""

from collections.abc import Callable

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from ingest.complaint import ComplaintError
from schemas.settings import kafka_client
from schemas.topics import Topic, wanted

_BOOTSTRAP_MS = 5_000

Say = Callable[[str], None]


def create_topics(
    bootstrap: str,
    *,
    partitions: int,
    say: Say,
    replication: int = -1,
    prefix: str = "",
    generation: int = 1,
) -> None:
    """Make what is missing; ComplaintError where one is there with another number of partitions."""
    try:
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap.split(","),
            **kafka_client(),
            client_id="weir-topics",
            bootstrap_timeout_ms=_BOOTSTRAP_MS,
        )
    except KafkaError as error:
        message = f"no Kafka at {bootstrap} ({error}): is it running, and is WEIR_KAFKA right?"
        raise ComplaintError(message) from error
    try:
        for topic in wanted(partitions, generation=generation):
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
            f"partition. Set WEIR_PARTITIONS={there}, or see `python -m processors partitions resize`."
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
