"""Looks at the way from an enterprise to its feedback as the enterprise sees it: by MQTT, with its own password, storing nothing."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from uuid import uuid4

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode
from pydantic import ValidationError

from ingest.clock import wall_ms
from ingest.diagnosis import findings
from ingest.mqtt_publisher import NO_MATCHING_SUBSCRIBERS, Options
from schemas import topics
from schemas.feedback import Tried
from schemas.finding import Finding

_PATIENCE_S = 20.0
_POINT = "doctor"
"""A point that no unit has: nothing can be taken for a reading."""


@dataclass(slots=True)
class _Heard:
    """What the broker and the gateway said, by paho's thread."""

    change: threading.Condition = field(default_factory=threading.Condition)
    connected: ReasonCode | None = None
    subscribed: list[ReasonCode] = field(default_factory=list)
    published: ReasonCode | None = None
    answer: Tried | None = None
    answered_at: int = 0

    def wait(self, done: Callable[[], bool], seconds: float = _PATIENCE_S) -> bool:
        """Whether it came about in time."""
        with self.change:
            return self.change.wait_for(done, seconds)

    def tell(self, **told: object) -> None:
        """From paho's thread."""
        with self.change:
            for name, value in told.items():
                setattr(self, name, value)
            self.change.notify_all()


def examine(options: Options, unit: str) -> Iterator[Finding]:
    """Line by line, up to the first that makes the others impossible."""
    where = f"{options.host}:{options.port}"
    try:
        socket.create_connection((options.host, options.port), _PATIENCE_S).close()
    except OSError as error:
        do = "is WEIR_MQTT right, and does a firewall let this machine through?"
        yield Finding("broker", ok=False, said=f"nobody answers at {where}: {error}", do=do)
        return
    yield Finding("broker", ok=True, said=f"answers at {where}")
    heard, id_ = _Heard(), f"doctor-{uuid4().hex[:12]}"
    client = _client(options, heard, id_)
    try:
        client.connect(options.host, options.port)
    except OSError as error:  # of TLS, too
        do = "WEIR_MQTT_AUTHORITY names who signed the broker's certificate; without it the connection is plain"
        yield Finding("connection", ok=False, said=str(error), do=do)
        return
    client.loop_start()
    try:
        yield from _of_connection(client, heard, options, unit, id_)
    finally:
        client.disconnect()
        client.loop_stop()


def _of_connection(
    client: mqtt.Client, heard: _Heard, options: Options, unit: str, id_: str
) -> Iterator[Finding]:
    heard.wait(lambda: heard.connected is not None)
    if heard.connected is None or heard.connected.is_failure:
        said = f"the broker lets {options.user!r} not in: {heard.connected or 'no answer'}"
        do = "the user is the unit's code; WEIR_MQTT_USER, WEIR_MQTT_PASSWORD (or _FILE)"
        yield Finding("credentials", ok=False, said=said, do=do)
        return
    yield Finding("credentials", ok=True, said=f"{options.user!r} is let in")
    client.subscribe(topics.mqtt_feedback(unit), qos=1)
    heard.wait(lambda: bool(heard.subscribed))
    sent_at = wall_ms()
    client.publish(topics.mqtt_try(unit), _probe(id_, sent_at), qos=1)
    heard.wait(lambda: heard.published is not None)
    finding = _rights(heard, options, unit)
    yield finding
    if not finding.ok:
        return
    if not heard.wait(lambda: heard.answer is not None) or heard.answer is None:
        said = f"no answer on {topics.mqtt_feedback(unit)} within {_PATIENCE_S:.0f} s"
        do = "do `python -m processors feedback` and `python -m ingest feedback` run there? May this user read its feedback?"
        yield Finding("answer", ok=False, said=said, do=do)
        return
    took = (heard.answered_at - sent_at) / 1_000
    yield Finding("answer", ok=True, said=f"what was tried was answered within {took:.1f} s")
    yield from findings(heard.answer, sent_at=sent_at, heard_at=heard.answered_at)


def _rights(heard: _Heard, options: Options, unit: str) -> Finding:
    topic = topics.mqtt_try(unit)
    if heard.published is None:
        return Finding("rights", ok=False, said="the broker acknowledges nothing", do="try again")
    if heard.published.value == NO_MATCHING_SUBSCRIBERS:
        do = "does `python -m ingest mqtt` run there?"
        return Finding("gateway", ok=False, said="nobody takes what is published", do=do)
    if heard.published.is_failure:
        said = f"{options.user!r} may not publish on {topic}: {heard.published}"
        return Finding(
            "rights", ok=False, said=said, do="a unit publishes under its own code alone"
        )
    return Finding("rights", ok=True, said=f"{options.user!r} may publish on {topic}")


def _probe(id_: str, at: int) -> bytes:
    reading = {"point": _POINT, "at": at, "value": 0, "statement": "register", "unit": "kWh"}
    return json.dumps({"message_id": id_, **reading}).encode()


def _client(options: Options, heard: _Heard, id_: str) -> mqtt.Client:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=id_, protocol=mqtt.MQTTv5)
    client.username_pw_set(options.user, options.password)
    if options.tls:
        client.tls_set_context(options.tls.context())
    client.on_connect = lambda *told: heard.tell(connected=told[3])
    client.on_subscribe = lambda *told: heard.tell(subscribed=list(told[3]))
    client.on_publish = lambda *told: heard.tell(published=told[3])

    def on_message(_client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        try:
            answer = Tried.model_validate_json(bytes(message.payload))
        except ValidationError:
            return  # other feedback
        if answer.message == id_:
            heard.tell(answer=answer, answered_at=wall_ms())

    client.on_message = on_message
    return client
