"""Sends messages as an enterprise does: by MQTT, each kept until the receipt says that Kafka has it.

The broker's own acknowledgement is not enough: it forgets what it had not yet saved when it is
killed. What is not receipted in time is sent again; that is counted as repeated, and changes nothing.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice

import orjson
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ingest.complaint import ComplaintError
from ingest.payload import decode
from ingest.tls import Tls
from schemas import topics
from schemas.reading import Receipt
from schemas.registry import STATEMENTS
from schemas.scale import as_text
from schemas.section import NEVER, RANKS, WITHDRAWN, Column, Record, Section, Unreadable
from schemas.wire import LayoutError, from_line

NO_MATCHING_SUBSCRIBERS = 0x10
"""MQTT 5: acknowledged, and gone: no gateway has a session."""
MOST_READINGS = 2_000
"""Readings of one message."""
_STRETCH = 50
"""Records that are sent and receipted before it is kept how far it is; of a file up to 100,000 readings."""
_PROGRESS_EVERY_S = 2.0
_CONNECT_S = 15.0
_RANK_NAMES = {code: name for name, code in RANKS.items()}

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as it goes out."""

    unit: str
    payload: bytes
    key: str
    """What its receipt will name: its id, else its hash."""
    readings: int
    ticked: bool
    """It carries time: it waits until all before it are in Kafka, by whichever gateway they went."""


@dataclass(frozen=True, slots=True)
class Options:
    """Where to, as whom, and how much at once."""

    host: str
    port: int
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    client_id: str = ""
    in_flight: int = 1_000
    """Messages sent and not yet receipted."""
    octets_in_flight: int = 64 * 1_048_576
    again_s: float = 30.0
    """What has no receipt after so long is sent again."""
    patience_s: float = 120.0
    """Without any receipt for so long it is given up."""


@dataclass(slots=True)
class Sent:
    """What was sent and receipted."""

    messages: int = 0
    readings: int = 0
    again: int = 0
    skipped: int = 0
    """Lines that are no readings: control records and configurations travel another way."""

    def __str__(self) -> str:
        extra = [
            f"{self.again:,} sent again" if self.again else "",
            f"{self.skipped:,} lines skipped that are no readings" if self.skipped else "",
        ]
        told = f"{self.messages:,} messages ({self.readings:,} readings)"
        return ", ".join([told, *(text for text in extra if text)])


# ---- What goes out


def messages_of_lines(lines: Iterable[str], *, unit: str | None, sent: Sent) -> Iterator[Outgoing]:
    """Messages of people (schemas.reading) as they stand, and the sections in lines of the pipe."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        if not line.lstrip().startswith('{"topic":'):
            if unit is None:
                message = f"line {number} is a message: say whose it is with --unit"
                raise ComplaintError(message)
            yield _as_it_stands(unit, line.rstrip("\r\n").encode())
            continue
        try:
            told = from_line(line)
        except LayoutError as error:
            message = f"line {number} is not one of the pipe's: {error}"
            raise ComplaintError(message) from error
        if isinstance(told, tuple) and isinstance(told[1].body, tuple):
            yield from messages_of_record(*told)
        else:
            sent.skipped += 1


def _as_it_stands(unit: str, payload: bytes) -> Outgoing:
    """A payload untouched; the door's own code says what it is and how it will be receipted."""
    part = decode(payload, unit=unit, received_at=0)
    if isinstance(part, Unreadable):
        return Outgoing(unit, payload, part.sha256, 1, ticked=False)
    key = part.messages[0] or sha256(payload).hexdigest()
    return Outgoing(unit, payload, key, len(part) + len(part.refused), ticked=bool(part.ticks))


def messages_of_record(partition: int, record: Record) -> Iterator[Outgoing]:
    """The sections of a record of the log as messages of their units."""
    parts = record.body if isinstance(record.body, tuple) else ()
    origin = f"{record.door}-{record.incarnation}-{partition}-{record.sequence}"
    for place, part in enumerate(parts):
        if isinstance(part, Unreadable):
            key = sha256(part.payload).hexdigest()
            yield Outgoing(part.unit, part.payload, key, 1, ticked=False)
        else:
            yield from _messages_of_section(part, f"{origin}-{place}")


def _messages_of_section(section: Section, origin: str) -> Iterator[Outgoing]:
    size = len(section)
    if section.ticks and not size:
        time_alone = {"message_id": origin, "readings": [], "ticks": section.ticks}
        yield Outgoing(section.unit, orjson.dumps(time_alone), origin, 0, ticked=True)
    for first in range(0, size, MOST_READINGS):
        last = min(first + MOST_READINGS, size)
        ticks = [
            [position - first, at]
            for position, at in section.ticks
            if first < position <= last or first == position == 0
        ]
        key = f"{origin}-{first}"
        told = {"message_id": key, **_columns(section, first, last)}
        if ticks:
            told["ticks"] = ticks
        yield Outgoing(section.unit, orjson.dumps(told), key, last - first, ticked=bool(ticks))
    if section.refused:
        yield _refused_again(section, f"{origin}-refused")


def _refused_again(section: Section, key: str) -> Outgoing:
    """What was refused already, in a form that is surely refused again, its reason beside it."""
    readings = [{"refused": item.reason, "original": item.original} for item in section.refused]
    payload = orjson.dumps({"message_id": key, "readings": readings})
    return Outgoing(section.unit, payload, key, len(readings), ticked=False)


def _columns(section: Section, first: int, last: int) -> dict[str, object]:
    """The readings from `first` to `last` in columns, as `schemas.reading.ReadingColumns`."""
    flags = _spread(section.flags, first, last)
    values = section.value[first:last].tolist()

    def told(column: Column, text: Callable[[int], object]) -> object:
        if isinstance(column, int):
            return text(column)
        return [text(code) for code in column[first:last].tolist()]

    return {
        "point": told(section.point, section.names.__getitem__),
        "at": section.at[first:last].tolist(),
        "value": [
            None if flag & WITHDRAWN else as_text(value)
            for value, flag in zip(values, flags, strict=True)
        ],
        "statement": told(section.statement, STATEMENTS.__getitem__),
        "unit": told(section.unit_of_measure, section.units_of_measure.__getitem__),
        "rank": told(section.rank, _RANK_NAMES.__getitem__),
        "revision": told(section.revision, int),
        "sent_at": told(section.sent_at, lambda at: None if at == NEVER else at),
    }


def _spread(column: Column, first: int, last: int) -> list[int]:
    if isinstance(column, int):
        return [column] * (last - first)
    return [int(code) for code in column[first:last]]


# ---- Sending


@dataclass(slots=True)
class _Waiting:
    """A message without its receipt."""

    message: Outgoing
    sent_at: float


class Sender:
    """One connection to the broker; keeps each message until its receipt."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._change = threading.Condition()
        self._waiting: dict[str, _Waiting] = {}
        self._octets = 0
        self._problem = ""
        self._connected = False
        self._units: set[str] = set()
        """Whose receipts we hear."""
        self._subscribed: set[int] = set()
        """Packet ids of subscriptions that the broker confirmed."""
        self._heard_at = time.monotonic()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=options.client_id, protocol=mqtt.MQTTv5
        )
        self._client.username_pw_set(options.user, options.password)
        if options.tls:
            self._client.tls_set_context(options.tls.context())
        self._client.max_inflight_messages_set(min(options.in_flight, 1_000))
        self._client.reconnect_delay_set(1, 5)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message

    def open(self) -> None:
        """Connect. ComplaintError where that is refused or too slow."""
        try:
            self._client.connect(self.options.host, self.options.port)
        except OSError as error:
            where = f"{self.options.host}:{self.options.port}"
            message = f"no MQTT broker at {where} ({error}): is it running, is WEIR_MQTT right?"
            raise ComplaintError(message) from error
        self._client.loop_start()
        self._wait_for(lambda: self._connected, "let us in")

    def close(self) -> None:
        """Part from the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, message: Outgoing) -> int:
        """Publish one; waits for room. Returns how many were sent again meanwhile."""
        if message.unit not in self._units:
            self._hear(message.unit)
        again = self._wait(lambda: self._has_room_for(message))
        with self._change:
            if not self._waiting:
                self._heard_at = time.monotonic()
            self._waiting[message.key] = _Waiting(message, time.monotonic())
            self._octets += len(message.payload)
        self._publish(message)
        return again

    def unreceipted(self) -> list[Outgoing]:
        """What was sent, and has no receipt yet."""
        with self._change:
            return [waiting.message for waiting in self._waiting.values()]

    def finish(self) -> int:
        """Wait for the last receipt. Returns how many were sent again meanwhile."""
        return self._wait(lambda: not self._waiting)

    def _hear(self, unit: str) -> None:
        """Subscribe to a unit's receipts before its first message: none is to be missed."""
        self._units.add(unit)
        _, mid = self._client.subscribe(topics.mqtt_receipt(unit), qos=1)
        self._wait_for(lambda: mid in self._subscribed, f"subscribed us to {unit}'s receipts")

    def _wait_for(self, done: Callable[[], bool], what: str) -> None:
        with self._change:
            if not self._change.wait_for(lambda: done() or self._problem, _CONNECT_S):
                self._problem = f"the broker has not {what} within {_CONNECT_S:.0f} s"
            self._raise_problem()

    def _has_room_for(self, message: Outgoing) -> bool:
        if message.ticked or not self._waiting:
            return not self._waiting
        return (
            len(self._waiting) < self.options.in_flight
            and self._octets + len(message.payload) <= self.options.octets_in_flight
            and message.key not in self._waiting
        )

    def _wait(self, until: Callable[[], bool]) -> int:
        again = 0
        while True:
            with self._change:
                done = self._change.wait_for(lambda: until() or self._problem, timeout=1.0)
                self._raise_problem()
                if done:
                    return again
                overdue = self._overdue()
            for message in overdue:
                self._publish(message)
            again += len(overdue)

    def _overdue(self) -> list[Outgoing]:
        """Messages to send again; ComplaintError when nothing was heard for too long."""
        now = time.monotonic()
        if now - self._heard_at > self.options.patience_s:
            message = (
                f"{len(self._waiting)} messages have no receipt, and none came for "
                f"{self.options.patience_s:.0f} s: does `python -m ingest mqtt` run, and has it "
                "Kafka? Sending the same again changes nothing."
            )
            raise ComplaintError(message)
        late = [w for w in self._waiting.values() if now - w.sent_at > self.options.again_s]
        for waiting in late:
            waiting.sent_at = now
        return [waiting.message for waiting in late]

    def _publish(self, message: Outgoing) -> None:
        self._client.publish(topics.mqtt_readings(message.unit), message.payload, qos=1)

    def _raise_problem(self) -> None:
        if self._problem:
            raise ComplaintError(self._problem)

    def _has_problem(self, text: str) -> None:
        with self._change:
            self._problem = self._problem or text
            self._change.notify_all()

    # ---- In paho's thread

    def _on_connect(
        self,
        client: mqtt.Client,
        _userdata: object,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._has_problem(
                f"the broker lets {self.options.user!r} not in: {reason} "
                "(WEIR_MQTT_USER, WEIR_MQTT_PASSWORD)"
            )
            return
        if self._units:  # again: a session of this kind ends with its connection
            client.subscribe([(topics.mqtt_receipt(unit), 1) for unit in self._units])
        with self._change:
            self._connected = True
            self._change.notify_all()

    def _on_subscribe(
        self,
        _client: mqtt.Client,
        _userdata: object,
        mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        refused = [reason for reason in reasons if reason.is_failure]
        if refused:
            self._has_problem(f"the broker refuses to tell receipts: {refused[0]}")
        with self._change:
            self._subscribed.add(mid)
            self._change.notify_all()

    def _on_publish(
        self,
        _client: mqtt.Client,
        _userdata: object,
        _mid: int,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.value == NO_MATCHING_SUBSCRIBERS:
            self._has_problem(
                "the broker has nobody to give the readings to: does `python -m ingest mqtt` run?"
            )
        elif reason.is_failure:
            self._has_problem(f"the broker refuses a message of {self.options.user!r}: {reason}")

    def _on_message(
        self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage
    ) -> None:
        try:
            receipt = Receipt.model_validate_json(bytes(message.payload))
        except ValueError as error:
            self._has_problem(f"a receipt cannot be read: {error}")
            return
        with self._change:
            for key in (*receipt.message_ids, *receipt.payloads):
                if (waiting := self._waiting.pop(key, None)) is not None:
                    self._octets -= len(waiting.message.payload)
            self._heard_at = time.monotonic()
            self._change.notify_all()


def send_all(messages: Iterable[Outgoing], options: Options, *, say: Say, sent: Sent) -> None:
    """Send every message; returns when Kafka has them all. ComplaintError where that fails."""
    sender = Sender(options)
    told = time.monotonic()
    try:
        sender.open()
        for message in messages:
            sent.again += sender.send(message)
            sent.messages += 1
            sent.readings += message.readings
            if time.monotonic() - told > _PROGRESS_EVERY_S:
                told = time.monotonic()
                say(f"{sent} so far")
        sent.again += sender.finish()
    finally:
        sender.close()


def send_records(
    records: Iterable[tuple[int, Record]],
    options: Options,
    *,
    say: Say,
    sent: Sent,
    after: int = 0,
    keep: Callable[..., None] | None = None,
) -> None:
    """Send records of the log from the one after `after` on; returns when Kafka has them all.

    `keep` hears how many of them Kafka has, each time that a stretch is receipted. ComplaintError as `send_all`.
    """
    waiting = iter(enumerate(records, 1))
    number = after
    while stretch := list(islice(waiting, _STRETCH)):
        number = stretch[-1][0]
        messages = (m for n, item in stretch if n > after for m in messages_of_record(*item))
        if number > after:
            send_all(messages, options, say=say, sent=sent)
            if keep is not None:
                keep(number)
    if keep is not None:
        keep(number, complete=True)
