"""An MQTT client that remembers how it was answered, whatever it tries."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from deploy.local.parts import LocalParts
from ingest.tls import Tls

NOT_AUTHORISED = 0x87
NO_MATCHING_SUBSCRIBERS = 0x10


def wait_until(done: Callable[[], bool], what: str, *, seconds: float = 30.0) -> None:
    """Wait, and fail with a word."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.01)


class Client(mqtt.Client):
    """One connection; `answers` by packet id, `heard` by topic."""

    def __init__(self, client_id: str = "") -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=mqtt.MQTTv5,
            reconnect_on_failure=False,
        )
        self.answers: dict[int, list[int]] = {}
        self.heard: list[tuple[str, bytes]] = []
        self.let_in: int | None = None
        self.thrown_out: int | None = None
        self.on_connect = self._was_answered
        self.on_disconnect = self._was_thrown_out
        self.on_publish = lambda _c, _u, mid, reason, _p: self._told(mid, [reason])
        self.on_subscribe = lambda _c, _u, mid, reasons, _p: self._told(mid, reasons)
        self.on_message = lambda _c, _u, one: self.heard.append((one.topic, one.payload))

    def _was_answered(self, _c: object, _u: object, _f: object, reason: object, _p: object) -> None:
        self.let_in = reason.value  # type: ignore[attr-defined]
        if self.let_in:
            self.disconnect()

    def _was_thrown_out(
        self, _c: object, _u: object, _f: object, reason: object, _p: object
    ) -> None:
        self.thrown_out = reason.value  # type: ignore[attr-defined]

    def _told(self, mid: int, reasons: object) -> None:
        self.answers[mid] = [one.value for one in reasons]  # type: ignore[attr-defined]

    def published(self, topic: str, payload: bytes = b"{}", **how: object) -> int:
        """The broker's reason code."""
        mid = self.publish(topic, payload, qos=1, **how).mid  # type: ignore[arg-type]
        wait_until(lambda: mid in self.answers, f"an answer about {topic}")
        return self.answers[mid][0]

    def subscribed(self, topic_filter: str) -> int:
        """The broker's reason code."""
        _, mid = self.subscribe(topic_filter, qos=1)
        assert mid is not None
        wait_until(lambda: mid in self.answers, f"an answer about {topic_filter}")
        return self.answers[mid][0]


@contextmanager
def client(
    parts: LocalParts,
    *,
    user: str | None = None,
    password: str | None = None,
    certificate: tuple[str, str] | None = None,
    client_id: str = "",
    stays: bool = False,
    will: tuple[str, bytes] | None = None,
    port: int | None = None,
) -> Iterator[Client]:
    """Connected over TLS by password or certificate (file, key file); let in or not."""
    endpoints = parts.endpoints()
    one = Client(client_id)
    if user is not None:
        one.username_pw_set(user, password)
    if will:
        one.will_set(*will, qos=1)
    tls = Tls(str(endpoints.authority), *(certificate or ()))
    if port is None:
        port = endpoints.mqtt_certificates_port if certificate else endpoints.mqtt_tls_port
        one.tls_set_context(tls.context())
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = 300 if stays else 0
    one.connect("127.0.0.1", port, clean_start=not stays, properties=properties)
    one.loop_start()
    wait_until(lambda: one.let_in is not None or one.thrown_out is not None, "an answer to CONNECT")
    try:
        yield one
    finally:
        one.disconnect()
        one.loop_stop()
