"""The Kafka door: what enterprises write on their own topics becomes records of the log.

    enterprise.{unit}.readings ──▶ take, decode, gather ──▶ producer ──▶ weir.readings.v1
       ◀── offsets ──────────────────────── committed once Kafka has the records

Identity is the unit in the topic's name alone, which the broker's rights enforce: a unit that the
payload names is only compared with it. Whatever ends this process before an offset is committed, its
successor takes the same messages again, and the engine counts them as repeated. Gateways of one group
share the topics.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.consumer.subscription_state import ConsumerRebalanceListener
from kafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from kafka.errors import CommitFailedError, KafkaError
from kafka.producer.future import FutureRecordMetadata
from kafka.structs import OffsetAndMetadata

from ingest.clock import wall_ms
from ingest.coalesce import Coalescer, Limits, Numbering, Ready
from ingest.metrics import KafkaGatewayMetrics
from ingest.part import part_of_unit
from ingest.publisher import key_of, no_kafka
from schemas import topics
from schemas.settings import kafka_client
from schemas.stop import DOOR_HEADER, is_declaration
from schemas.wire import encode

logger = logging.getLogger(__name__)

LOG_APPEND_TIME = 1
"""Kafka's mark on an instant that the broker gave, not the sender."""
_POLL_MS = 200
_RETRY_S = 1.0
_PATIENCE_S = 125.0
"""Longer than the producer's own."""
_CLOSE_MS = 5_000


@dataclass(frozen=True, slots=True)
class Options:
    """Which gateway it is, from where to where, and how much it takes at once."""

    bootstrap: str
    door: str = "weir-kafka-1"
    """Stable, one a gateway; the door of its records."""
    prefix: str = ""
    """Before the names of topics and groups."""
    topic: str = topics.READINGS
    stops_topic: str = topics.STOPS
    partitions: int = topics.PARTITIONS
    limits: Limits = field(default_factory=lambda: Limits(readings=500))
    messages: int = 2_000
    """Taken at once; their offsets are committed together."""
    octets: int = 16 * 1_048_576
    """And their bytes, about."""
    look_every_s: float = 30.0
    """How soon a new enterprise's topic is seen."""
    session_s: float = 10.0
    """How long a gateway may be silent before others take its topics."""

    @property
    def pattern(self) -> str:
        """Of the topics that are read."""
        return f"^{re.escape(self.prefix + topics.ENTERPRISES)}[0-9A-Z]{{18}}\\.readings$"

    def unit_of(self, topic: str) -> str:
        """The unit that a topic belongs to."""
        return topic.removeprefix(self.prefix + topics.ENTERPRISES).removesuffix(".readings")


class Message(NamedTuple):
    """One that was taken and is not committed."""

    place: TopicPartition
    offset: int
    payload: bytes
    received_at: int


class Gateway:
    """One member of the group, one producer."""

    def __init__(
        self,
        options: Options,
        *,
        producer: KafkaProducer,
        metrics: KafkaGatewayMetrics,
        incarnation: int,
        at_point: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Connects the producer's way only; `at_point` is for tests."""
        self.options, self.metrics = options, metrics
        self._producer, self._at_point = producer, at_point
        numbering = Numbering(door=options.door, incarnation=incarnation)
        self._coalescer: Coalescer[Message] = Coalescer(
            numbering=numbering, partitions=options.partitions, limits=options.limits
        )
        self._waits_for = "the group"
        self._known: frozenset[str] = frozenset()
        self._share_again_at: float | None = None

    def run(self, stop: threading.Event) -> None:
        """Take until told to stop; what was taken is then committed. Kafka away at the start is waited for.

        Raises KafkaError where it takes no record for two minutes: what is not committed comes again.
        """
        while not stop.is_set():
            consumer = self._consumer(stop)
            if consumer is None:
                continue
            try:
                while not stop.is_set():
                    self._step(consumer)
                    self._share_again(consumer)
            finally:
                consumer.close(autocommit=False, timeout_ms=_CLOSE_MS)

    def readiness(self) -> tuple[bool, dict[str, object]]:
        """Whether messages go through, and what is in the way."""
        missing = [self._waits_for] if self._waits_for else []
        return not missing, {"missing": missing}

    def _consumer(self, stop: threading.Event) -> KafkaConsumer | None:
        options = self.options
        try:
            consumer = KafkaConsumer(
                bootstrap_servers=options.bootstrap.split(","),
                **kafka_client(),
                client_id=options.door,
                group_id=options.prefix + topics.KAFKA_GATEWAYS,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                allow_auto_create_topics=False,
                # The usual one shares out each topic by itself: of one partition all go to the first.
                partition_assignment_strategy=(RoundRobinPartitionAssignor,),
                isolation_level="read_committed",
                fetch_max_bytes=self.options.octets,
                metadata_max_age_ms=int(options.look_every_s * 1_000),
                session_timeout_ms=int(options.session_s * 1_000),
                heartbeat_interval_ms=int(options.session_s * 300),
            )
        except KafkaError as error:
            logger.warning(
                "waiting for Kafka", extra={"error": str(no_kafka(options.bootstrap, error))}
            )
            self._waits_for = "Kafka"
            stop.wait(_RETRY_S)
            return None
        self._subscribe(consumer)
        return consumer

    def _subscribe(self, consumer: KafkaConsumer) -> None:
        consumer.subscribe(pattern=self.options.pattern, listener=_Listener(self._assigned))

    def _share_again(self, consumer: KafkaConsumer) -> None:
        """Join the group anew a while after a topic was new: shared out in the moment of its making, it may be nobody's for good (seen under load)."""
        there = frozenset(consumer.subscription() or ())
        now = time.monotonic()
        if self._known and there - self._known:
            self._share_again_at = now + self.options.look_every_s
        elif self._share_again_at is not None and now >= self._share_again_at:
            self._share_again_at = None
            consumer.unsubscribe()
            self._subscribe(consumer)
        self._known |= there

    def _assigned(self, places: Sequence[TopicPartition]) -> None:
        self._waits_for = ""
        self.metrics.topics.set(len(places))
        logger.info("assigned", extra={"topics": len(places)})

    def _step(self, consumer: KafkaConsumer) -> None:
        """Take what there is within a moment, write it, commit it."""
        taken = self._taken(consumer)
        if not taken:
            return
        self._write(taken)
        self._at_point("in Kafka")
        _commit(consumer, taken)
        self._at_point("committed")
        self.metrics.behind.set(_behind(consumer))

    def _taken(self, consumer: KafkaConsumer) -> list[Message]:
        """The messages of a moment; it begins with the first."""
        taken = _polled(consumer, _POLL_MS, self.options.messages)
        end = time.monotonic() + self.options.limits.wait_ms / 1_000
        while taken and len(taken) < self.options.messages and _octets(taken) < self.options.octets:
            left_ms = int((end - time.monotonic()) * 1_000)
            if left_ms <= 0:
                break
            taken += _polled(consumer, left_ms, self.options.messages - len(taken))
        return taken

    def _write(self, taken: Sequence[Message]) -> None:
        """Returns when Kafka has the records of all. Raises KafkaError where it does not take one."""
        began = time.monotonic()
        ready: list[Ready[Message]] = []
        stops = []
        for message in taken:
            unit = self.options.unit_of(message.place.topic)
            if is_declaration(message.payload):
                stops.append(self._declare(unit, message.payload))
                continue
            part = part_of_unit(unit, message.payload, received_at=message.received_at)
            ready += self._coalescer.add(part, now=0, token=message)
        ready += self._coalescer.flush()
        sent = [
            self._producer.send(
                self.options.topic,
                encode(one.record),
                key=key_of(one.record),
                partition=one.partition,
            )
            for one in ready
        ]
        for future in (*stops, *sent):
            future.get(timeout=_PATIENCE_S)
        self.metrics.stops.inc(len(stops))
        for one in ready:
            seconds = time.monotonic() - began
            self.metrics.count(one.record, messages=len(one.tokens), seconds=seconds)

    def _declare(self, unit: str, payload: bytes) -> FutureRecordMetadata:
        """Pass on a declared stop as it is: who knows the registry answers it."""
        headers = [(DOOR_HEADER, self.options.door.encode())]
        return self._producer.send(
            self.options.stops_topic, payload, key=unit.encode(), headers=headers
        )


def _octets(taken: Sequence[Message]) -> int:
    return sum(len(message.payload) for message in taken)


def _polled(consumer: KafkaConsumer, timeout_ms: int, most: int) -> list[Message]:
    found = consumer.poll(timeout_ms=timeout_ms, max_records=most)
    now = wall_ms()
    return [
        Message(
            place,
            one.offset,
            one.value or b"",
            one.timestamp if one.timestamp_type == LOG_APPEND_TIME else now,
        )
        for place, messages in found.items()
        for one in messages
    ]


def _commit(consumer: KafkaConsumer, taken: Sequence[Message]) -> None:
    """What another gateway was given meanwhile it takes again: repeats, which change nothing."""
    ends = {message.place: message.offset + 1 for message in taken}
    mine = consumer.assignment()
    offsets = {
        place: OffsetAndMetadata(end, "", -1) for place, end in ends.items() if place in mine
    }
    try:
        consumer.commit(offsets)
    except CommitFailedError:
        logger.warning("not committed: others have these topics now", extra={"topics": len(ends)})


def _behind(consumer: KafkaConsumer) -> int:
    """Messages of the assigned topics that were not taken yet."""
    return sum(
        max(0, (consumer.highwater(place) or 0) - consumer.position(place))
        for place in consumer.assignment()
    )


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    """Tells what the group gave us."""

    def __init__(self, assigned: Callable[[Sequence[TopicPartition]], None]) -> None:
        self._assigned = assigned

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Nothing: what is not committed, others take again."""

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """As it says."""
        self._assigned(assigned)
