"""The MQTT door on a real Mosquitto and a real Kafka of its own: about 40 seconds.

Each test has a unit, topics and a shared subscription of its own; the gateway is the real process.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from hashlib import sha256
from itertools import count
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaConsumer, TopicPartition
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from deploy.local import access
from deploy.local.parts import LocalParts
from deploy.local.state import chosen_folder, chosen_programs
from deploy.services import answer
from ingest.complaint import ComplaintError
from ingest.mqtt_gateway import NO_UNIT
from ingest.mqtt_publisher import Options, Outgoing, Sender
from ingest.topics_admin import create_topics
from processors.replay import Replay
from schemas import topics
from schemas.calendar import moment
from schemas.factors import default_pack
from schemas.failure_point import VARIABLE
from schemas.reading import Refusal
from schemas.registry import Configuration, Industry, Point, Region, Registry, Unit
from schemas.section import ApplyConfiguration, Record, Section, Unreadable
from schemas.wire import decode
from tests.chaos.hostile_messages import Hostile

PARTITIONS = 4
NOT_AUTHORISED = 0x87
NO_MATCHING_SUBSCRIBERS = 0x10
QUARTER = 900_000
START = 1_514_736_000_000
NUMBERS = count()

pytestmark = pytest.mark.slow


def say(_text: str) -> None:
    """Nobody listens."""


def wait_until(done: Callable[[], bool], what: str, *, seconds: float = 30.0) -> None:
    """Wait, and fail with a word."""
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalParts]:
    """A broker and a log that may be frozen and refused without disturbing anybody."""
    programs = chosen_programs(chosen_folder())
    started = LocalParts(tmp_path_factory.mktemp("door"), programs=programs)
    try:
        started.up(["kafka", "mqtt"])
        yield started
    finally:
        started.down(["kafka", "mqtt"])


@dataclass
class Gateway:
    """The real process, and what it says of itself."""

    process: "subprocess.Popen[str]"
    log: list[str] = field(default_factory=list)

    @property
    def base(self) -> str:
        """Where its pages are."""
        found = (re.search(r"metrics on (http://\S+)/metrics", line) for line in self.log)
        return next((match[1] for match in found if match), "")

    def page(self, path: str) -> str:
        """One of its pages; empty where it does not answer 200."""
        return answer(self.base + path) or ""

    def metric(self, name: str) -> int:
        """A series without its prefix, labels as they stand."""
        line = next(
            line
            for line in self.page("/metrics").splitlines()
            if line.startswith(f"weir_gateway_{name} ")
        )
        return int(float(line.split()[-1]))

    def ready(self) -> bool:
        """Whether it takes messages."""
        assert self.process.poll() is None, "\n".join(self.log)
        return bool(self.base and self.page("/readyz"))

    def end(self, number: signal.Signals) -> int:
        """Signal it, and wait; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=30)


@dataclass
class Door:
    """One test's unit, topics and gateways."""

    parts: LocalParts
    unit: str
    password: str
    prefix: str
    stack: ExitStack

    def gateway(
        self, *words: str, number: int = 1, port: int = 0, wait: bool = True, stop_at: str = ""
    ) -> Gateway:
        """Start a gateway of this door; the same number is the same client id."""
        endpoints = self.parts.endpoints()
        told = {
            **endpoints.environment(),
            "WEIR_MQTT": f"127.0.0.1:{port or endpoints.mqtt_port}",
            "WEIR_TOPIC_PREFIX": self.prefix,
            "WEIR_PARTITIONS": str(PARTITIONS),
            VARIABLE: stop_at,
        }
        command = [sys.executable, "-m", "ingest", "mqtt", "--metrics-port", "0"]
        command += ["--client-id", f"{self.unit}-{number}", "--share", self.unit]
        if "--filter" not in words:
            command += ["--filter", topics.mqtt_readings(self.unit)]
        process = subprocess.Popen(
            [*command, *words], env=os.environ | told, stderr=subprocess.PIPE, text=True
        )
        one = Gateway(process)
        reader = threading.Thread(target=_read, args=(one,))
        reader.start()
        self.stack.callback(reader.join)
        self.stack.callback(one.end, signal.SIGKILL)
        if wait:
            wait_until(one.ready, "the gateway is ready")
        return one

    def sender(self, *, again_s: float = 30.0) -> Sender:
        """The unit itself, connected."""
        port = self.parts.endpoints().mqtt_port
        one = Sender(Options("127.0.0.1", port, self.unit, self.password, again_s=again_s))
        one.open()
        self.stack.callback(one.close)
        return one

    def records(self) -> list[tuple[int, Record]]:
        """All of this door's log, by partition and in order."""
        consumer = KafkaConsumer(bootstrap_servers=self.parts.endpoints().kafka)
        with closing(consumer):
            places = [TopicPartition(self.prefix + topics.READINGS, p) for p in range(PARTITIONS)]
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            ends = consumer.end_offsets(places)
            found: list[tuple[int, Record]] = []
            while any(consumer.position(place) < end for place, end in ends.items()):
                for messages in consumer.poll(timeout_ms=200).values():
                    found += [(message.partition, decode(message.value)) for message in messages]
        return sorted(found, key=lambda item: item[0])

    def parts_in_log(self) -> list[Section | Unreadable]:
        """Sections and unreadable payloads of the log."""
        return [
            part
            for _, record in self.records()
            for part in (record.body if isinstance(record.body, tuple) else ())
        ]


def _read(one: Gateway) -> None:
    assert one.process.stderr
    with one.process.stderr as lines:
        one.log.extend(line.rstrip() for line in lines)


@pytest.fixture
def door(parts: LocalParts) -> Iterator[Door]:
    """A door of the test's own."""
    unit = f"91510100DOOR{next(NUMBERS):06d}"
    prefix = f"test{uuid4().hex[:8]}."
    create_topics(parts.endpoints().kafka, partitions=PARTITIONS, say=say, prefix=prefix)
    with ExitStack() as stack:
        yield Door(parts, unit, access.grant(parts, [unit])[unit], prefix, stack)


def outgoing(door: Door, payload: bytes, key: str) -> Outgoing:
    return Outgoing(door.unit, payload, key, 1, ticked=False)


def readings(door: Door, number: int, size: int = 20) -> Outgoing:
    """A message of `size` quarter hours; all messages together are one series."""
    first = START + number * size * QUARTER
    told = {
        "message_id": f"m-{number}",
        "point": "E1",
        "statement": "PT15M",
        "unit": "kWh",
        "at": [first + i * QUARTER for i in range(size)],
        "value": [f"{number}.{i:03d}" for i in range(size)],
    }
    return outgoing(door, json.dumps(told).encode(), f"m-{number}")


def message_ids(sections: Sequence[Section | Unreadable]) -> Counter[str]:
    """How often each message is in the log: every reading of it, whole."""
    found: Counter[str] = Counter()
    for section in sections:
        assert isinstance(section, Section)
        codes = section.message
        each = [codes] * len(section) if isinstance(codes, int) else codes.tolist()
        found.update(section.messages[code] for code in each)
    return Counter({key: times // 20 for key, times in found.items()})


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a server as a stalled disk would."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Wire:
    """Between gateway and broker: passes everything on, and counts what the gateway acknowledges."""

    def __init__(self, port: int) -> None:
        self._broker = port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.acknowledged = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            near, _ = self._server.accept()
            far = socket.create_connection(("127.0.0.1", self._broker))
            back = threading.Thread(target=self._pass, args=(far, near, bytes), daemon=True)
            back.start()
            self._pass(near, far, self._count)

    def _pass(
        self, source: socket.socket, target: socket.socket, seen: Callable[[bytes], bytes]
    ) -> None:
        held = b""
        with source, target, suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
                held = seen(held + data) if seen is not bytes else b""

    def _count(self, data: bytes) -> bytes:
        """Whole packets of `data` counted; the rest."""
        while len(data) >= 2:
            length, size, shift = 0, 1, 0
            while size < len(data):
                length |= (data[size] & 0x7F) << shift
                size, shift = size + 1, shift + 7
                if data[size - 1] < 0x80:
                    break
            if len(data) < size + length:
                break
            self.acknowledged += data[0] >> 4 == 4
            data = data[size + length :]
        return data


def test_what_arrives_is_kept_under_the_topics_unit(door: Door) -> None:
    """Good, refused and unreadable alike, each with its receipt: nothing is dropped."""
    gateway = door.gateway()
    sender = door.sender()
    foreign = readings(door, 1).payload.replace(
        b'{"message', b'{"unit_code": "91510100OTHER00000", "message'
    )
    bad = b'{"message_id": 7, "point": "E1", "at": 5, "unit": "kWh", "statement": "PT15M", "value": "x"}'
    broken = b"\xff\x00 no message"
    for message in (
        readings(door, 0),
        outgoing(door, foreign, "m-1"),
        outgoing(door, bad, "7"),
        outgoing(door, broken, sha256(broken).hexdigest()),
    ):
        sender.send(message)
    sender.finish()

    kept = door.parts_in_log()
    assert {part.unit for part in kept} == {door.unit}
    sections = [part for part in kept if isinstance(part, Section)]
    assert sum(map(len, sections)) == 20
    reasons = Counter(item.reason for section in sections for item in section.refused)
    assert reasons == {Refusal.WRONG_UNIT: 20, Refusal.NOT_A_NUMBER: 1}
    (unread,) = [part for part in kept if isinstance(part, Unreadable)]
    assert (unread.payload, unread.reason) == (broken, Refusal.NOT_UTF8)
    names = ["messages_total", "readings_total", "receipts_total", "messages_in_flight"]
    assert [gateway.metric(name) for name in names] == [4, 20, 4, 0]
    assert gateway.metric('refused_total{reason="wrong unit"}') == 20
    assert gateway.metric('unreadable_total{reason="not UTF-8"}') == 1


def test_a_topic_without_a_unit_is_kept_as_nobodys(door: Door) -> None:
    """Its unit is 18 question marks, which no registry can hold; its topic stands in the reason."""
    topic = "energy/v1/a plant/readings"
    users = {"a plant": "secret", door.unit: door.password}
    door.parts.set_mqtt_users(users, access.ACL)
    gateway = door.gateway("--filter", topic)
    with connected(door.parts, "a plant", "secret") as client:
        assert client.said(topic, b"{}") == 0
    wait_until(lambda: gateway.metric("messages_total") == 1, "it is in Kafka")
    (kept,) = door.parts_in_log()
    assert isinstance(kept, Unreadable)
    assert (kept.unit, kept.payload) == (NO_UNIT, b"{}")
    assert kept.reason == f"{Refusal.NO_UNIT_IN_TOPIC}: {topic!r}"


def test_the_broker_hears_of_it_after_kafka_has_it(door: Door) -> None:
    """While Kafka stands still nothing is acknowledged or receipted, and no more is taken in."""
    wire = Wire(door.parts.endpoints().mqtt_port)
    door.stack.callback(wire.close)
    gateway = door.gateway("--in-flight", "5", port=wire.port)
    sender = door.sender()
    with frozen(door.parts.pid("kafka")):
        for number in range(20):
            sender.send(readings(door, number))
        wait_until(lambda: gateway.metric("messages_in_flight") == 5, "five are taken")
        time.sleep(1.0)
        assert gateway.metric("messages_in_flight") == 5
        assert (wire.acknowledged, gateway.metric("receipts_total")) == (0, 0)
    sender.finish()
    wait_until(lambda: wire.acknowledged == 20, "each is acknowledged")
    assert message_ids(door.parts_in_log()) == {f"m-{number}": 1 for number in range(20)}


def test_killed_in_the_middle_it_loses_nothing(door: Door) -> None:
    """The next one of its name takes over the session; what comes twice is counted as repeated.

    Each is killed while Kafka stands still: what lies in Kafka's socket by then is written, and
    neither acknowledged nor receipted.
    """
    sender = door.sender()
    total = 1_500
    for first in range(0, total, 500):
        gateway = door.gateway("--record-readings", "60")
        for number in range(first, first + 450):
            sender.send(readings(door, number))
        with frozen(door.parts.pid("kafka")):
            for number in range(first + 450, first + 500):
                sender.send(readings(door, number))
            wait_until(partial(holds, gateway, 50), "fifty are on their way")
            time.sleep(0.3)
            gateway.end(signal.SIGKILL)
    door.gateway()
    sender.finish()

    times = message_ids(door.parts_in_log())
    assert set(times) == {f"m-{number}" for number in range(total)}
    repeats = sum(times.values()) - total
    assert 0 < repeats < 1_000
    assert account(door) == (total * 20, repeats * 20, 0, 0, 0)
    assert_no_hole(door.records())


def test_killed_between_kafka_and_the_broker_it_loses_nothing(door: Door) -> None:
    """Kafka has a record, the broker was told nothing yet, or the sender alone: all come again, each is receipted."""
    sender = door.sender()
    for place, point in enumerate(("in Kafka", "receipted")):
        gateway = door.gateway(stop_at=f"{point}:2")
        for number in range(place * 50, place * 50 + 50):
            sender.send(readings(door, number))
            time.sleep(0.01)
        wait_until(partial(is_stopped, gateway, point), f"it stops at {point}")
        gateway.end(signal.SIGKILL)
    door.gateway()
    sender.finish()

    times = message_ids(door.parts_in_log())
    assert set(times) == {f"m-{number}" for number in range(100)}
    assert sum(times.values()) > 100
    assert_no_hole(door.records())


def test_hostile_messages_are_accounted_for(door: Door) -> None:
    """Bytes, types, numbers, times and nestings that nobody should send: each is receipted and counted, the gateway goes on.

    The long form is `make hostile`.
    """
    gateway = door.gateway()
    sender = door.sender()
    sent = list(Hostile(door.unit, START, ("E1", "E2")).messages(1_500, "7"))
    for message in sent:
        sender.send(message)
    assert sender.finish() == 0
    assert gateway.process.poll() is None
    counts = account(door)
    assert sum(counts) == sum(message.readings for message in sent)
    assert min(counts) > 0
    assert_no_hole(door.records())


def is_stopped(gateway: Gateway, point: str) -> bool:
    """Whether it said that it stops there."""
    return f"stopped at: {point}" in gateway.log


def holds(gateway: Gateway, messages: int) -> bool:
    """Whether at least so many are taken, and Kafka has not acknowledged them."""
    return gateway.metric("messages_in_flight") >= messages


def test_what_the_broker_forgot_is_sent_again(door: Door) -> None:
    """It acknowledges before it saves; who keeps until the receipt loses nothing even so."""
    assert door.gateway().end(signal.SIGTERM) == 0
    sender = door.sender(again_s=2.0)
    for number in range(20):
        sender.send(readings(door, number))
    time.sleep(0.5)
    door.parts.stop("mqtt", kill=True)
    door.parts.start("mqtt")
    door.gateway()
    assert sender.finish() >= 20
    assert set(message_ids(door.parts_in_log())) == {f"m-{number}" for number in range(20)}


def account(door: Door) -> tuple[int, ...]:
    """What the engine counts: accepted, repeated, superseded, rejected, unreadable."""
    point = Point(
        name="E1",
        quantity="electricity",
        unit_of_measure="kWh",
        statement="PT15M",
        rated_per_hour=Decimal(1_000_000),
        valid_from=moment(START),
    )
    unit = Unit(
        code=door.unit, name="-", region="510100", industry="31", history=True, points=(point,)
    )
    registry = Registry(
        regions=(Region(code="510100", name="-"),),
        industries=(Industry(code="31", name="-"),),
        units=(unit,),
    )
    replay = Replay(default_pack(), partitions=PARTITIONS)
    replay.configurations[1] = Configuration(version=1, author="-", reason="-", registry=registry)
    offsets = Counter[int]()
    batch = [(p, 0, Record("registry", 1, 0, ApplyConfiguration(1))) for p in range(PARTITIONS)]
    for partition, record in door.records():
        offsets[partition] += 1
        batch.append((partition, offsets[partition], record))
    list(replay.step(batch))
    days = [counts for (told, _), counts in replay.store.account.items() if told == door.unit]
    return tuple(map(sum, zip(*days, strict=True)))


def assert_no_hole(records: Sequence[tuple[int, Record]]) -> None:
    """Each start of each door numbers its records of a partition from 0, without a gap."""
    sequences: dict[tuple[int, str, int], list[int]] = {}
    for partition, record in records:
        key = (partition, record.door, record.incarnation)
        sequences.setdefault(key, []).append(record.sequence)
    assert all(told == list(range(len(told))) for told in sequences.values())


def test_two_share_the_work(door: Door) -> None:
    """Each gets a part under a door of its own; one that is away finds its part when it returns."""
    both = [door.gateway(number=number) for number in (1, 2)]
    sender = door.sender()
    for number in range(100):
        sender.send(readings(door, number))
    sender.finish()
    shares = [gateway.metric("messages_total") for gateway in both]
    assert sum(shares) == 100
    assert min(shares) > 20
    assert both[1].end(signal.SIGTERM) == 0
    for number in range(100, 200):
        sender.send(readings(door, number))
    wait_until(lambda: both[0].metric("messages_total") > shares[0], "one goes on alone")
    door.gateway(number=2)
    sender.finish()
    assert message_ids(door.parts_in_log()) == {f"m-{number}": 1 for number in range(200)}
    assert {record.door for _, record in door.records()} == {f"{door.unit}-1", f"{door.unit}-2"}


def test_told_to_stop_it_drains(door: Door) -> None:
    """What it took is acknowledged, what it did not take stays in the session: nothing comes twice."""
    gateway = door.gateway("--wait-ms", "300")
    sender = door.sender()
    for number in range(300):
        sender.send(readings(door, number))
    assert gateway.end(signal.SIGTERM) == 0
    assert "stopped" in gateway.log[-1]
    door.gateway()
    sender.finish()
    assert message_ids(door.parts_in_log()) == {f"m-{number}": 1 for number in range(300)}


def test_a_second_one_of_the_same_name_ends_the_first(door: Door) -> None:
    """Two with one client id would throw each other out for ever."""
    first = door.gateway()
    door.gateway()
    assert first.process.wait(timeout=10) == 70
    assert "another gateway has the client id" in "\n".join(first.log)


def test_a_wrong_password_ends_it_with_a_word(door: Door) -> None:
    """It does not try for ever what cannot succeed."""
    told = {"WEIR_MQTT_PASSWORD_FILE": "", "WEIR_MQTT_PASSWORD": "wrong"}
    command = [sys.executable, "-m", "ingest", "mqtt", "--metrics-port", "0"]
    endpoints = door.parts.endpoints().environment()
    prefix = {"WEIR_TOPIC_PREFIX": door.prefix, "WEIR_PARTITIONS": str(PARTITIONS)}
    done = subprocess.run(
        command,
        env=os.environ | endpoints | told | prefix,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 70
    assert "lets 'gateway' not in: Not authorized" in done.stderr


def test_without_a_gateway_the_sender_is_told(door: Door) -> None:
    """The broker acknowledges and forgets; to the sender that is a refusal."""
    sender = door.sender()
    sender.send(readings(door, 0))
    with pytest.raises(ComplaintError, match="nobody to give the readings to"):
        sender.finish()


# ---- What the broker lets whom do


class Client(mqtt.Client):
    """A client that says how each message was answered."""

    def __init__(self, user: str, password: str) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.username_pw_set(user, password)
        self.answers: dict[int, int] = {}
        self.heard: list[str] = []
        self.on_publish = lambda _c, _u, mid, reason, _p: self.answers.__setitem__(
            mid, reason.value
        )
        self.on_message = lambda _c, _u, message: self.heard.append(message.topic)

    def said(self, topic: str, payload: bytes = b"{}") -> int:
        """The broker's reason code."""
        mid = self.publish(topic, payload, qos=1).mid
        wait_until(lambda: mid in self.answers, f"an answer about {topic}", seconds=5)
        return self.answers[mid]


@contextmanager
def connected(parts: LocalParts, user: str, password: str) -> Iterator[Client]:
    client = Client(user, password)
    client.connect("127.0.0.1", parts.endpoints().mqtt_port)
    client.loop_start()
    wait_until(client.is_connected, f"{user} is let in", seconds=5)
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def test_a_unit_speaks_on_its_own_topics_alone(door: Door) -> None:
    """Whoever writes on another's topic is answered 0x87; the gateway cannot speak for a unit."""
    door.gateway()
    other = "91510100OTHER00001"
    secret = access.grant(door.parts, [other])[other]
    own = f"energy/v1/{door.unit}"
    with connected(door.parts, other, secret) as stranger:
        stranger.subscribe("energy/v1/+/receipt", qos=1)
        stranger.subscribe("#", qos=1)
        with connected(door.parts, door.unit, door.password) as unit:
            unit.subscribe(f"{own}/receipt", qos=1)
            assert unit.said(f"{own}/readings") == 0
            wait_until(lambda: unit.heard == [f"{own}/receipt"], "its receipt")
            assert unit.said(f"{own}/try") in (0, NO_MATCHING_SUBSCRIBERS)
            for topic in ("receipt", "feedback", "readings/x"):
                assert unit.said(f"{own}/{topic}") == NOT_AUTHORISED
            assert unit.said(f"energy/v1/{other}/readings") == NOT_AUTHORISED
        assert stranger.said(f"{own}/readings") == NOT_AUTHORISED
        assert not stranger.heard
    gateway = door.parts.endpoints().mqtt_password_file.read_text()
    with connected(door.parts, "gateway", gateway) as client:
        assert client.said(f"{own}/readings") == NOT_AUTHORISED


def test_who_is_let_in_stays_until_revoked(door: Door) -> None:
    """Passwords are made once; another run's units are not thrown out."""
    other = "91510100OTHER00002"
    first = access.grant(door.parts, [other])
    assert access.grant(door.parts, [other]) == first
    assert Path(access.passwords_file(door.parts)).stat().st_mode & 0o077 == 0
    with connected(door.parts, door.unit, door.password):
        access.revoke(door.parts, [other])
    told = json.loads(access.passwords_file(door.parts).read_text())
    assert (door.unit in told, other in told) == (True, False)
