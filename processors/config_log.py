"""The configurations on `weir.config.v1`, kept for ever: what a worker lacks it finds there, and stores."""

import json
from collections.abc import Iterator

from kafka import KafkaConsumer, TopicPartition

from schemas.registry import Configuration
from schemas.settings import kafka_client
from schemas.topics import CONFIG


def published(bootstrap: str, topic: str = CONFIG) -> Iterator[Configuration]:
    """All configurations of the topic, from its beginning to its present end."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap,
        **kafka_client(),
        enable_auto_commit=False,
        consumer_timeout_ms=10_000,
    )
    try:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        consumer.seek_to_beginning(place)
        end = consumer.end_offsets([place])[place]
        while consumer.position(place) < end:
            for messages in consumer.poll(timeout_ms=500).values():
                for message in messages:
                    told = json.loads(message.value)
                    told.pop("topic", None)
                    yield Configuration.model_validate(told)
    finally:
        consumer.close()
