"""The MQTT door: what enterprises publish becomes records of the log, acknowledged once Kafka has them.

    broker ──▶ network thread: room, decode, gather ──▶ producer ──▶ Kafka
       ◀── PUBACK and receipt ──────────────── its callback ◀── acknowledged

Nothing is acknowledged before Kafka has it: whatever ends this process, the broker sends again what
was not, and the engine counts it as repeated. Identity is the unit in the topic, which the broker's
access list enforces. Several gateways share the work, each with a client id, and so a session and a
door, of its own: a session without its gateway still gets its share, and keeps it.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from typing import NamedTuple, NoReturn

import orjson
from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ingest import sparkplug
from ingest.clock import wall_ms
from ingest.coalesce import Coalescer, Limits, Numbering, Ready
from ingest.metrics import BrokerFigure, GatewayMetrics
from ingest.part import Part, part_of_unit
from ingest.payload import Form, unreadable
from ingest.publisher import key_of
from ingest.tls import Tls
from schemas import topics
from schemas.reading import Refusal
from schemas.registry import is_unit
from schemas.section import Record, Section
from schemas.stop import DOOR_HEADER, is_declaration, message_id_of
from schemas.wire import encode

logger = logging.getLogger(__name__)

FATAL = 70
"""Exit code of a process that ended itself and is to be started again."""
NO_UNIT = "?" * 18
"""Stands for the unit of a topic that names none: as long as a code, and never one."""
COMMON_SHARE = "weir"
"""The shared subscription's name where nobody chose one that cannot be guessed."""
TAKEN_OVER = 0x8E
"""MQTT 5: another client came with this client id."""

BROKER_FIGURES: Mapping[str, BrokerFigure] = {
    "$SYS/broker/publish/messages/dropped": "dropped",
    "$SYS/broker/store/messages/bytes": "stored",
    "$SYS/broker/store/messages/count": "waiting",
}
"""What Mosquitto says of its queues: past their bound it drops, and tells no sender."""

_UNIT_AT, _LEVELS = 2, 4
_SPARKPLUG_LEVELS = (4, 5)
_TRY = "/try"
_BEAT_S = 0.02
_KEEPALIVE_S = 120
"""Longer than the producer's patience: a gateway that waits for Kafka is not cut off meanwhile."""
_STALLED_S = 30.0
_DRAIN_S = 30.0
_SETTLE_S = 5.0
_RECEIPTS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Options:
    """Who the gateway is to the broker, and how much it takes at once."""

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    client_id: str = "weir-mqtt-1"
    """Stable: the broker keeps its session by it. Also the door of its records."""
    share: str = field(default=COMMON_SHARE, repr=False)
    """Name of the shared subscription; gateways that share the work say the same, and units must not know it."""
    filter: str = topics.mqtt_readings("+")
    tries: str = topics.mqtt_try("+")
    """What is to be checked and answered, and not stored."""
    sparkplug: Sequence[str] = sparkplug.TOPICS
    session_expiry_s: int = 7 * 86_400
    """How long the broker keeps what is meant for a gateway that is away."""
    topic: str = topics.READINGS
    tries_topic: str = topics.TRIES
    stops_topic: str = topics.STOPS
    partitions: int = topics.PARTITIONS
    limits: Limits = field(default_factory=lambda: Limits(readings=500))
    """A few hundred readings or a tenth of a second make a record."""
    messages_in_flight: int = 10_000
    octets_in_flight: int = 64 * 1_048_576


class Taken(NamedTuple):
    """A message between its arrival and Kafka's acknowledgement."""

    connection: int
    mid: int
    """Packet id, 0 where the sender wants no acknowledgement (QoS 0); of its connection only."""
    octets: int
    unit: str
    message_id: str
    """As told; empty where there is none."""
    sha256: str
    """Of the payload, where there is no id."""


class Room:
    """What may be between MQTT and Kafka at once. The broker's own limits do not bound it."""

    def __init__(self, messages: int, octets: int) -> None:
        self._most_messages, self._most_octets = messages, octets
        self._change = threading.Condition()
        self._closed = False
        self.messages = self.octets = 0

    def enter(self, octets: int) -> bool:
        """Wait for room for one message more; False when closed: it is not to be taken."""
        with self._change:
            while not self._closed and self.messages and self._is_full(octets):
                self._change.wait()
            if self._closed:
                return False
            self.messages += 1
            self.octets += octets
            return True

    def leave(self, messages: int, octets: int) -> None:
        """Kafka has them."""
        with self._change:
            self.messages -= messages
            self.octets -= octets
            self._change.notify_all()

    def close(self) -> None:
        """Let nobody in any more."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    def wait_empty(self, seconds: float) -> bool:
        """Wait until all has left; whether it did."""
        with self._change:
            return self._change.wait_for(lambda: not self.messages, seconds)

    def _is_full(self, octets: int) -> bool:
        return self.messages >= self._most_messages or self.octets + octets > self._most_octets


def die(reason: str) -> NoReturn:
    """End at once: what is not acknowledged comes back to the next gateway of this client id."""
    logger.critical("the gateway ends itself", extra={"reason": reason})
    logging.shutdown()
    os._exit(FATAL)


def unit_of(topic: str) -> str:
    """The unit that a topic names; NO_UNIT where it names none."""
    levels = topic.split("/")
    foreign = levels[0] == sparkplug.TOPIC
    place, counts = (1, _SPARKPLUG_LEVELS) if foreign else (_UNIT_AT, (_LEVELS,))
    return levels[place] if len(levels) in counts and is_unit(levels[place]) else NO_UNIT


def form_of(topic: str) -> Form:
    """How what comes on a topic is to be read."""
    return "sparkplug" if topic.startswith(f"{sparkplug.TOPIC}/") else "json"


def _is_for_our_json(topic: str) -> bool:
    """Whether a topic is a unit's own for our JSON."""
    return form_of(topic) == "json" and unit_of(topic) != NO_UNIT


def part_of(topic: str, payload: bytes, *, received_at: int) -> Part:
    """What a message is in the log: its readings, or its bytes where they cannot be read.

    A message under a topic without a unit is kept as an unreadable one of NO_UNIT, its topic in the
    reason.
    """
    unit = unit_of(topic)
    if unit == NO_UNIT:
        reason = f"{Refusal.NO_UNIT_IN_TOPIC}: {topic[:200]!a}"
        return unreadable(payload, unit=unit, received_at=received_at, reason=reason)
    return part_of_unit(unit, payload, received_at=received_at, form=form_of(topic))


class Gateway:
    """One connection to the broker, one producer."""

    def __init__(
        self,
        options: Options,
        *,
        producer: KafkaProducer,
        metrics: GatewayMetrics,
        incarnation: int,
        end: Callable[[str], NoReturn] = die,
        at_point: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`at_point` is for tests."""
        self.options, self.metrics = options, metrics
        self._producer, self._end, self._at_point = producer, end, at_point
        self._incarnation = incarnation
        numbering = Numbering(door=options.client_id, incarnation=incarnation)
        self._coalescer: Coalescer[Taken] = Coalescer(
            numbering=numbering, partitions=options.partitions, limits=options.limits
        )
        self._gathering = threading.Lock()
        """Records are numbered and handed to the producer in one order."""
        self.room = Room(options.messages_in_flight, options.octets_in_flight)
        metrics.messages_in_flight.set_function(lambda: self.room.messages)
        metrics.octets_in_flight.set_function(lambda: self.room.octets)
        self._connecting = threading.Lock()
        self._connection = 0
        self._subscribed = False
        self._figures_asked: int | None = None
        self._answered = threading.Event()
        """The broker has answered the subscription."""
        self._was_connected = False
        self._progress_at = time.monotonic()
        self._stopped = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="due", daemon=True)
        self._client = self._new_client()

    def start(self) -> None:
        """Connect, and go on trying; returns at once."""
        connect = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        connect.SessionExpiryInterval = self.options.session_expiry_s
        connect.ReceiveMaximum = min(self.options.messages_in_flight, 65_535)
        self._client.connect_async(
            self.options.host,
            self.options.port,
            keepalive=_KEEPALIVE_S,
            clean_start=False,
            properties=connect,
        )
        self._client.loop_start()
        self._beating.start()

    def drain(self) -> bool:
        """Take nothing more, wait for Kafka, acknowledge, part from the broker; whether all went.

        What arrives meanwhile is not acknowledged: it stays in the session.
        """
        self.room.close()
        with self._gathering:
            for ready in self._coalescer.flush():
                self._send(ready)
        with suppress(KafkaTimeoutError):  # what is left comes back
            self._producer.flush(timeout=_DRAIN_S)
        empty = self.room.wait_empty(_DRAIN_S)
        self._settle()
        self._stopped.set()
        self._client.disconnect()
        self._client.loop_stop()
        return empty

    def _settle(self) -> None:
        """Wait until the broker has read all that we said: closing at once may throw some of it away.

        A subscription made again changes nothing, and its answer comes after what was said before.
        """
        self._answered.clear()
        if self._subscribed:
            self._subscribe()
            self._answered.wait(_SETTLE_S)

    def readiness(self) -> tuple[bool, dict[str, object]]:
        """Whether messages go through, and what is in the way."""
        waiting = time.monotonic() - self._progress_at if self.room.messages else 0.0
        missing = [
            "" if self._subscribed else "not subscribed at the broker",
            "" if waiting < _STALLED_S else f"Kafka has acknowledged nothing for {waiting:.0f} s",
        ]
        reasons = [reason for reason in missing if reason]
        return not reasons, {"missing": reasons, "messages_in_flight": self.room.messages}

    # ---- The broker. These run in paho's thread; what left one would end that thread in silence.

    def _new_client(self) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.options.client_id,
            protocol=mqtt.MQTTv5,
            manual_ack=True,
        )
        client.username_pw_set(self.options.user, self.options.password)
        if self.options.tls:
            client.tls_set_context(self.options.tls.context())
        client.reconnect_delay_set(1, 5)
        client.max_inflight_messages_set(_RECEIPTS_AT_ONCE)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        return client

    def _on_connect(
        self,
        _client: mqtt.Client,
        _userdata: object,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._refused(f"the broker lets {self.options.user!r} not in: {reason}")
            return
        with self._connecting:
            self._connection += 1
        self._was_connected = True
        self.metrics.connected.set(1)
        logger.info("connected", extra={"session_present": flags.session_present})
        self._subscribe()
        _, self._figures_asked = self._client.subscribe([(one, 0) for one in BROKER_FIGURES])

    def _subscribe(self) -> None:
        share = f"$share/{self.options.share}/"
        wanted = (self.options.filter, self.options.tries, *self.options.sparkplug)
        self._client.subscribe([(share + one, 1) for one in wanted])
        if self.options.share != COMMON_SHARE:  # a session from before would be given all twice
            self._client.unsubscribe([f"$share/{COMMON_SHARE}/{one}" for one in wanted])

    def _refused(self, reason: str) -> None:
        """At the start a person is there to read it; later the broker may come to its senses."""
        if not self._was_connected:
            self._end(f"{reason} (WEIR_MQTT_USER, WEIR_MQTT_PASSWORD)")
        logger.error("the broker refuses", extra={"reason": reason})

    def _on_subscribe(
        self,
        _client: mqtt.Client,
        _userdata: object,
        mid: int,
        reasons: Sequence[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        if mid == self._figures_asked:
            return  # a broker that does not tell its figures serves us all the same
        if reasons[0].is_failure:
            self._end(f"the broker refuses the subscription to {self.options.filter}: {reasons[0]}")
        others = [str(reason) for reason in reasons[1:] if reason.is_failure]
        if others:
            logger.error(
                "the broker refuses tries or Sparkplug's topics", extra={"reasons": others}
            )
        if not self._subscribed:
            logger.info("subscribed", extra={"filter": self.options.filter})
        self._subscribed = True
        self._answered.set()

    def _on_disconnect(
        self,
        _client: mqtt.Client,
        _userdata: object,
        _flags: mqtt.DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        with self._connecting:
            self._connection += 1
        self._subscribed = False
        self.metrics.connected.set(0)
        if reason.value == TAKEN_OVER:
            self._end(f"another gateway has the client id {self.options.client_id!r}")
        if not self._stopped.is_set():
            logger.warning("disconnected", extra={"reason": str(reason)})

    def _on_message(
        self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage
    ) -> None:
        try:
            if message.topic in BROKER_FIGURES:
                self.metrics.broker_says(BROKER_FIGURES[message.topic], message.payload)
            else:
                self._take(message)
        except BaseException as error:  # noqa: BLE001 - a thread's outermost frame
            self._end(f"a message could not be taken: {error!r}")

    # ---- From a message to Kafka

    def _take(self, message: mqtt.MQTTMessage) -> None:
        payload = bytes(message.payload)
        if not self.room.enter(len(payload)):
            return
        if message.dup:
            self.metrics.redelivered.inc()
        if _is_for_our_json(message.topic) and is_declaration(payload):
            self._declare(message, payload)
            return
        part = part_of(message.topic, payload, received_at=wall_ms())
        id_ = part.messages[0] if isinstance(part, Section) else ""
        taken = Taken(
            connection=self._connection,
            mid=message.mid if message.qos else 0,
            octets=len(payload),
            unit=part.unit,
            message_id=id_,
            sha256="" if id_ else sha256(payload).hexdigest(),
        )
        if message.topic.endswith(_TRY):
            self._try(part, taken)
            return
        with self._gathering:
            for ready in self._coalescer.add(part, now=_monotonic_ms(), token=taken):
                self._send(ready)

    def _declare(self, message: mqtt.MQTTMessage, payload: bytes) -> None:
        """Pass on a declared stop as it is: who knows the registry answers it, and takes it in unless it is a try."""
        id_ = message_id_of(payload)
        tried = message.topic.endswith(_TRY)
        taken = Taken(
            connection=self._connection,
            mid=message.mid if message.qos else 0,
            octets=len(payload),
            unit=unit_of(message.topic),
            message_id=id_,
            sha256="" if id_ else sha256(payload).hexdigest(),
        )
        sending = self._producer.send(
            self.options.tries_topic if tried else self.options.stops_topic,
            payload,
            key=taken.unit.encode(),
            headers=[(DOOR_HEADER, self.options.client_id.encode())],
        )
        sending.add_callback(partial(self._on_tried if tried else self._on_declared, taken))
        sending.add_errback(self._on_lost)

    def _on_declared(self, taken: Taken, _where: object) -> None:
        self._receipt([taken])
        self._acknowledge([taken])
        self._progress_at = time.monotonic()
        self.metrics.stops.inc()
        self.room.leave(1, taken.octets)

    def _try(self, part: Part, taken: Taken) -> None:
        """Pass on what is only to be checked, under a name that its answer can say."""
        if isinstance(part, Section):
            id_ = taken.message_id or taken.sha256
            refused = tuple(replace(item, message=id_) for item in part.refused)
            part = replace(part, messages=(id_,), refused=refused)
        record = Record(self.options.client_id, self._incarnation, 0, (part,))
        sending = self._producer.send(
            self.options.tries_topic, encode(record), key=part.unit.encode()
        )
        sending.add_callback(partial(self._on_tried, taken))
        sending.add_errback(self._on_lost)

    def _on_tried(self, taken: Taken, _where: object) -> None:
        self._acknowledge([taken])
        self._progress_at = time.monotonic()
        self.metrics.tries.inc()
        self.room.leave(1, taken.octets)

    def _beat(self) -> None:
        """Send what has waited long enough."""
        try:
            while not self._stopped.wait(_BEAT_S):
                with self._gathering:
                    for ready in self._coalescer.due(now=_monotonic_ms()):
                        self._send(ready)
        except BaseException as error:  # noqa: BLE001 - a thread's outermost frame
            self._end(f"records could not be sent: {error!r}")

    def _send(self, ready: Ready[Taken]) -> None:
        """Hand a record to the producer; its callbacks come from the producer's own thread."""
        sending = self._producer.send(
            self.options.topic,
            encode(ready.record),
            key=key_of(ready.record),
            partition=ready.partition,
        )
        sending.add_callback(partial(self._on_written, ready, time.monotonic()))
        sending.add_errback(self._on_lost)

    def _on_lost(self, error: KafkaError) -> None:
        self._end(f"Kafka did not take a record: {error!r}")

    def _on_written(self, ready: Ready[Taken], sent_at: float, _where: object) -> None:
        try:
            self._written(ready, sent_at)
        except BaseException as error:  # noqa: BLE001 - kafka-python would swallow it
            self._end(f"messages could not be acknowledged: {error!r}")

    def _written(self, ready: Ready[Taken], sent_at: float) -> None:
        """Kafka has a record: receipt its messages, acknowledge them, make room.

        In this order: killed between the two, the broker sends again, and the receipt comes twice.
        The other way round it would never come.
        """
        self._at_point("in Kafka")
        self._receipt(ready.tokens)
        self._at_point("receipted")
        self._acknowledge(ready.tokens)
        now = time.monotonic()
        self._progress_at = now
        self.metrics.count(ready.record, messages=len(ready.tokens), seconds=now - sent_at)
        self.room.leave(len(ready.tokens), sum(taken.octets for taken in ready.tokens))

    def _acknowledge(self, tokens: Sequence[Taken]) -> None:
        """PUBACK, on the connection that a message came on: to another its packet id is not known.

        The lock holds off a new connection; what was queued for the old one is dropped with it.
        """
        with self._connecting:
            for taken in tokens:
                if taken.mid and taken.connection == self._connection:
                    self._client.ack(taken.mid, 1)

    def _receipt(self, tokens: Sequence[Taken]) -> None:
        """One receipt a unit, for all its messages in the record."""
        by_unit: dict[str, tuple[list[str], list[str]]] = {}
        for taken in tokens:
            ids, payloads = by_unit.setdefault(taken.unit, ([], []))
            if taken.message_id:
                ids.append(taken.message_id)
            else:
                payloads.append(taken.sha256)
        by_unit.pop(NO_UNIT, None)
        for unit, (ids, payloads) in by_unit.items():
            told = {"message_ids": ids, "payloads": payloads}
            topic, body = topics.mqtt_receipt(unit), orjson.dumps(told)
            if self._client.publish(topic, body, qos=1).rc == mqtt.MQTT_ERR_QUEUE_SIZE:
                self.metrics.receipts_failed.inc(len(ids) + len(payloads))
            else:
                self.metrics.receipts.inc(len(ids) + len(payloads))


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def run(gateway: Gateway, *, stop: threading.Event) -> bool:
    """Work until told to stop; whether all that was taken is acknowledged."""
    gateway.start()
    stop.wait()
    logger.info("draining", extra={"messages_in_flight": gateway.room.messages})
    return gateway.drain()
