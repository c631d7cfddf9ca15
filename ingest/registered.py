"""The registry as it was published: all configurations on `weir.config.v1`, which is kept for ever."""

import json
from collections.abc import Iterator

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from ingest.publisher import no_kafka
from schemas import topics
from schemas.registry import Configuration, Registry
from schemas.settings import Settings

_BOOTSTRAP_MS = 5_000


def published(settings: Settings) -> Iterator[Registry]:
    """What each configuration brought, oldest first. ComplaintError where there is no Kafka."""
    try:
        yield from _published(settings)
    except KafkaError as error:
        raise no_kafka(settings.kafka, error) from error


def _published(settings: Settings) -> Iterator[Registry]:
    consumer = KafkaConsumer(
        bootstrap_servers=settings.kafka.split(","),
        **settings.kafka_client(),
        enable_auto_commit=False,
        bootstrap_timeout_ms=_BOOTSTRAP_MS,
    )
    try:
        place = TopicPartition(settings.topic_prefix + topics.CONFIG, 0)
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        end = consumer.end_offsets([place])[place]
        while consumer.position(place) < end:
            for messages in consumer.poll(timeout_ms=500).values():
                for message in messages:
                    told = json.loads(message.value)
                    told.pop("topic", None)
                    yield Configuration.model_validate(told).registry
    finally:
        consumer.close()
