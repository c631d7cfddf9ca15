"""Passes what units are told of what they sent on to them: from weir.feedback.v1 to their MQTT topic.

At least once: an offset is committed when the broker has acknowledged every message below it. A unit that
is away hears it when it comes back, if it has a session (clean start false).
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kafka import KafkaConsumer
from kafka.errors import KafkaError
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ingest.metrics import FeedbackMetrics
from ingest.publisher import no_kafka
from ingest.tls import Tls
from schemas import topics
from schemas.registry import is_unit
from schemas.settings import kafka_client

logger = logging.getLogger(__name__)

NO_MATCHING_SUBSCRIBERS = 0x10
"""MQTT 5: acknowledged, and nobody listens: not a failure."""
_BATCH = 500
_POLL_MS = 500
_RETRY_S = 1.0
_BEAT_S = 0.2
_KEEPALIVE_S = 60


@dataclass(frozen=True, slots=True)
class Options:
    """From where to where, as whom."""

    bootstrap: str
    topic: str
    group: str
    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    client_id: str = "weir-feedback"


class Message(NamedTuple):
    """What one unit is told."""

    unit: str
    payload: bytes


class Passer:
    """One connection to the broker, one member of the consumer group."""

    def __init__(self, options: Options, metrics: FeedbackMetrics) -> None:
        """Connects to nothing yet."""
        self._options, self._metrics = options, metrics
        self._client = self._new_client()
        self._change = threading.Condition()
        self._acknowledged: set[int] = set()
        """Packet ids of the batch at hand."""
        self._kafka_away = ""
        self._broker_away = "the broker has not answered yet"

    def run(self, stop: threading.Event) -> None:
        """Pass on until told to stop. Kafka or broker away is waited for."""
        self._client.connect_async(
            self._options.host, self._options.port, keepalive=_KEEPALIVE_S, clean_start=True
        )
        self._client.loop_start()
        try:
            while not stop.is_set():
                self._with_kafka(stop)
        finally:
            self._client.disconnect()
            self._client.loop_stop()

    def readiness(self) -> tuple[bool, dict[str, object]]:
        """Whether feedback goes through, and what is in the way."""
        missing = [reason for reason in (self._kafka_away, self._broker_away) if reason]
        return not missing, {"missing": missing}

    def _with_kafka(self, stop: threading.Event) -> None:
        try:
            consumer = self._new_consumer()
        except KafkaError as error:
            self._wait(stop, str(no_kafka(self._options.bootstrap, error)))
            return
        try:
            while not stop.is_set():
                self._pass_on(consumer, stop)
        except KafkaError as error:
            self._wait(stop, str(no_kafka(self._options.bootstrap, error)))
        finally:
            consumer.close(autocommit=False, timeout_ms=5_000)

    def _pass_on(self, consumer: KafkaConsumer, stop: threading.Event) -> None:
        """One batch: published, acknowledged, committed. Stopped in between it comes again."""
        polled = consumer.poll(timeout_ms=_POLL_MS, max_records=_BATCH)
        batch = [
            Message((record.key or b"").decode(errors="replace"), record.value or b"")
            for records in polled.values()
            for record in records
        ]
        if self._published(batch, stop.is_set) and batch:
            consumer.commit()

    def _published(self, batch: Sequence[Message], stopped: Callable[[], bool]) -> bool:
        """Whether the broker has acknowledged them all; paho sends again what a lost connection left."""
        mine = [message for message in batch if is_unit(message.unit)]
        # Not under our lock: paho holds one of its own while it tells of an acknowledgement.
        sent = {
            self._client.publish(topics.mqtt_feedback(message.unit), message.payload, qos=1).mid
            for message in mine
        }
        with self._change:
            while not sent <= self._acknowledged and not stopped():
                self._change.wait(_BEAT_S)
            if not sent <= self._acknowledged:
                return False
            self._acknowledged.clear()
        self._metrics.passed.inc(len(mine))
        self._metrics.nobodys.inc(len(batch) - len(mine))
        return True

    def _wait(self, stop: threading.Event, reason: str) -> None:
        logger.warning("feedback waits", extra={"reason": reason})
        self._kafka_away = reason
        stop.wait(_RETRY_S)

    def _new_consumer(self) -> KafkaConsumer:
        consumer = KafkaConsumer(
            self._options.topic,
            bootstrap_servers=self._options.bootstrap.split(","),
            **kafka_client(),
            group_id=self._options.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
        )
        self._kafka_away = ""
        return consumer

    def _new_client(self) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._options.client_id,
            protocol=mqtt.MQTTv5,
        )
        client.username_pw_set(self._options.user, self._options.password)
        if self._options.tls:
            client.tls_set_context(self._options.tls.context())
        client.reconnect_delay_set(1, 5)
        client.max_inflight_messages_set(_BATCH)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        return client

    def _on_connect(
        self,
        _client: mqtt.Client,
        _userdata: object,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            logger.error("the broker refuses", extra={"reason": str(reason)})
            self._broker_away = f"the broker lets {self._options.user!r} not in: {reason}"
        else:
            logger.info("connected")
            self._broker_away = ""

    def _on_disconnect(
        self,
        _client: mqtt.Client,
        _userdata: object,
        _flags: mqtt.DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._broker_away = f"the broker is away: {reason}"
        logger.warning("disconnected", extra={"reason": str(reason)})

    def _on_publish(
        self,
        _client: mqtt.Client,
        _userdata: object,
        mid: int,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        with self._change:
            self._acknowledged.add(mid)
            self._change.notify_all()
        if reason.is_failure:
            self._metrics.refused.inc()
            logger.error("the broker refuses feedback", extra={"reason": str(reason)})
        elif reason.value == NO_MATCHING_SUBSCRIBERS:
            self._metrics.unheard.inc()
