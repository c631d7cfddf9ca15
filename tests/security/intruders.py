"""What a unit may try to be somebody else, or to see, change or lose what is another's: all of it fails.

    make intruders [N=1000] [SEED=...]

Each class is many attempts, drawn with a seed; each attempt says by what it was refused, or is counted
as one that succeeded. The attacker is a unit of the registry with its own password, and what it can
find out. What the database lets whom do is tried in tests/dashboards/attempts.py.
"""

import argparse
import json
import random
import re
import signal
import socket
import ssl
import string
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ConfigResource,
    ConfigResourceType,
    NewPartitions,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from kafka.errors import KafkaError
from kafka.structs import OffsetAndMetadata

from deploy.local.certificates import Authority, write_secret
from deploy.local.state import State
from schemas import topics
from schemas.section import Unreadable
from tests.security.doors import ALL, OTHER, PARTITIONS, UNIT, Doors, opened
from tests.security.log_reader import Log
from tests.security.mqtt_client import NOT_AUTHORISED, client, wait_until

DENIED = (
    "TopicAuthorizationFailedError",
    "GroupAuthorizationFailedError",
    "ClusterAuthorizationFailedError",
    "TransactionalIdAuthorizationFailedError",
)
Attempt = Callable[["Scene", random.Random], str]


class SucceededError(Exception):
    """An attempt that was not refused."""


@dataclass(frozen=True)
class Kind:
    """A class of attempts."""

    name: str
    attempt: Attempt
    share: int
    """Of a thousand."""


@dataclass
class Tally:
    """How one class ended."""

    refused: Counter[str] = field(default_factory=Counter)
    succeeded: list[str] = field(default_factory=list)


class Scene:
    """The attacker's connections, the victim's, and a gateway's, at real brokers."""

    def __init__(self, doors: Doors, stack: ExitStack) -> None:
        self.doors, self.stack = doors, stack
        self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        parts = doors.parts
        self.gateway = stack.enter_context(
            client(
                parts,
                user="gateway",
                password=doors.password("gateway"),
                port=parts.endpoints().mqtt_port,
                client_id="intruders-gateway",
            )
        )
        share = doors.password("mqtt-share")
        assert self.gateway.subscribed(f"$share/{share}-of-the-test/energy/v1/+/readings") <= 1
        self.victim = stack.enter_context(
            client(parts, user=OTHER, password=doors.password(OTHER), stays=True)
        )
        for topic in (topics.mqtt_receipt(OTHER), topics.mqtt_feedback(OTHER)):
            self.victim.subscribed(topic)
        self._connections = stack.enter_context(ExitStack())
        self.come_back()
        self.admin = stack.enter_context(closing(KafkaAdminClient(**self._kafka())))
        self.producer = stack.enter_context(
            closing(KafkaProducer(**self._kafka(), max_block_ms=3_000))
        )
        self.root = stack.enter_context(
            closing(KafkaAdminClient(bootstrap_servers=parts.endpoints().kafka))
        )
        self.log = Log(doors)
        self.number = 0

    def come_back(self) -> None:
        """The attacker connects as itself, again after another connection of its name."""
        self._connections.close()
        connection = client(self.doors.parts, user=UNIT, password=self.doors.password(UNIT))
        self.attacker = self._connections.enter_context(connection)
        self.attacker.subscribed(topics.mqtt_receipt(UNIT))

    def _kafka(self) -> dict[str, object]:
        return {**self.doors.client(UNIT), "request_timeout_ms": 10_000}

    def mark(self) -> bytes:
        """A payload that was never sent before."""
        self.number += 1
        return b'{"message_id": "mark-%d"}' % self.number

    def fence(self) -> None:
        """Returns when whatever was on its way to the attacker has arrived."""
        mark = self.mark()
        self.gateway.published(topics.mqtt_receipt(UNIT), mark)
        wait_until(lambda: (topics.mqtt_receipt(UNIT), mark) in self.attacker.heard, "the fence")

    def fence_of_victim(self) -> None:
        """The same of the victim."""
        mark = self.mark()
        self.gateway.published(topics.mqtt_receipt(OTHER), mark)
        wait_until(lambda: (topics.mqtt_receipt(OTHER), mark) in self.victim.heard, "the fence")


# ---- MQTT: writing


def _word(draw: random.Random) -> str:
    return "".join(draw.choices(string.ascii_letters + string.digits, k=draw.randint(1, 12)))


def publish_for_another(scene: Scene, draw: random.Random) -> str:
    """On another unit's topics, existing or not, retained or not."""
    unit = draw.choice([OTHER, f"91510100SAFE{draw.randrange(10**6):06d}", f"{OTHER}.2"])
    kind = draw.choice(["NBIRTH", "NDATA", "DDATA", "NCMD", "NDEATH"])
    topic = draw.choice(
        [f"energy/v1/{unit}/readings", f"energy/v1/{unit}/try", f"spBv1.0/{unit}/{kind}/node"]
    )
    return _refused_publish(scene, topic, retain=draw.random() < 0.3)


def publish_as_the_service(scene: Scene, draw: random.Random) -> str:
    """A receipt or feedback, for another or for itself: only the gateway says these."""
    unit = draw.choice([OTHER, UNIT])
    topic = f"energy/v1/{unit}/{draw.choice(['receipt', 'feedback'])}"
    return _refused_publish(scene, topic, retain=draw.random() < 0.3)


def publish_elsewhere(scene: Scene, draw: random.Random) -> str:
    """Near its own topics, at the root, at the broker's own."""
    own = f"energy/v1/{UNIT}"
    topic = draw.choice(
        [
            f"{own}/readings/{_word(draw)}",
            f"{own}/{_word(draw)}",
            f"/{own}/readings",
            f"energy/v2/{UNIT}/readings",
            f"energy/v1/{UNIT.lower()}/readings",
            f"energy/v1//{UNIT}/readings",
            f"energy/v1/{UNIT}/../{OTHER}/readings",
            f"$SYS/broker/{_word(draw)}",
            f"$share/{_word(draw)}/{own}/readings",
            "$CONTROL/dynamic-security/v1",
            _word(draw),
        ]
    )
    return _refused_publish(scene, topic)


def _refused_publish(scene: Scene, topic: str, *, retain: bool = False) -> str:
    mark = scene.mark()
    reason = scene.attacker.published(topic, mark, retain=retain)
    if reason != NOT_AUTHORISED:
        message = f"publish on {topic}: reason {reason:#x}"
        raise SucceededError(message)
    return f"PUBACK {reason:#x}"


def will_for_another(scene: Scene, draw: random.Random) -> str:
    """A last will on another's topic, told by the broker when the attacker vanishes."""
    topic = f"energy/v1/{OTHER}/{draw.choice(['receipt', 'feedback', 'readings'])}"
    will = (topic, scene.mark())
    password = scene.doors.password(UNIT)
    with client(scene.doors.parts, user=UNIT, password=password, will=will) as one:
        refused = one.let_in
        if not refused:
            sock = one.socket()
            assert sock
            sock.shutdown(socket.SHUT_RDWR)  # without a DISCONNECT: the will is due
            wait_until(lambda: one.thrown_out is not None, "it vanished")
    scene.come_back()
    scene.fence_of_victim()
    if will in scene.victim.heard or will in scene.gateway.heard:
        message = f"a will on {topic} was told"
        raise SucceededError(message)
    return f"CONNACK {refused:#x}" if refused else "told to nobody"


def malformed(scene: Scene, draw: random.Random) -> str:
    """A topic with wildcards, a NUL or half a character, as no library would send it."""
    topic = draw.choice(
        [
            b"energy/v1/+/readings",
            b"energy/v1/#",
            b"#",
            f"energy/v1/{OTHER}/readings\0".encode(),
            f"energy/v1/{OTHER}/".encode() + b"\xc3\x28",
            b"",
        ]
    )
    variable = len(topic).to_bytes(2, "big") + topic + (7).to_bytes(2, "big") + b"\0"
    mark = scene.mark()
    body = variable + mark
    with _raw(scene) as link:
        link.sendall(bytes([0x32, len(body)]) + body)
        answer = _packet(link)
    scene.come_back()
    if answer and answer[0] >> 4 == 4 and (len(answer) < 5 or answer[4] < 0x80):
        message = f"a publish on {topic!r} was taken"
        raise SucceededError(message)
    scene.fence_of_victim()
    if any(payload == mark for _, payload in scene.gateway.heard + scene.victim.heard):
        message = f"a publish on {topic!r} was heard"
        raise SucceededError(message)
    return "DISCONNECT" if answer and answer[0] >> 4 == 14 else "closed"


@contextmanager
def _raw(scene: Scene) -> Iterator[ssl.SSLSocket]:
    """A connection of the attacker, let in, without any library."""
    endpoints = scene.doors.parts.endpoints()
    context = ssl.create_default_context(cafile=str(endpoints.authority))
    fields = [b"", UNIT.encode(), scene.doors.password(UNIT).encode()]
    payload = b"".join(len(one).to_bytes(2, "big") + one for one in fields)
    body = b"\0\4MQTT\5\xc2\0\x3c\0" + payload
    with (
        socket.create_connection(("127.0.0.1", endpoints.mqtt_tls_port), 5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as link,
    ):
        link.sendall(bytes([0x10, len(body)]) + body)
        assert _packet(link)[3] == 0
        yield link


def _packet(link: ssl.SSLSocket) -> bytes:
    """One packet, short; nothing where the broker closed."""
    with suppress(OSError):
        head = link.recv(2)
        if len(head) == 2:
            return head + link.recv(head[1])
    return b""


# ---- MQTT: reading


def subscribe_to_another(scene: Scene, draw: random.Random) -> str:
    """Filters that name another's topics, with and without wildcards: nothing of it arrives."""
    own = ["readings", "receipt", "feedback", "try", "+", "#"]
    topic_filter = draw.choice(
        [
            f"energy/v1/{OTHER}/{draw.choice(own)}",
            f"energy/v1/+/{draw.choice(own)}",
            *("energy/v1/#", "energy/#", "#", "+/+/+/+", "energy/+/+/+", "energy/v1/+/+"),
            f"+/v1/{OTHER}/#",
            f"spBv1.0/{OTHER}/#",
            "spBv1.0/+/NDATA/+",
        ]
    )
    return _nothing_heard(scene, topic_filter, draw)


def share_with_the_gateways(scene: Scene, draw: random.Random) -> str:
    """Shared subscriptions, of the usual name, of a guessed one, of another unit's."""
    name = draw.choice(["weir", _word(draw), draw.randbytes(24).hex(), UNIT, OTHER])
    rest = draw.choice(["energy/v1/+/readings", "energy/v1/+/try", f"energy/v1/{OTHER}/#", "#"])
    return f"{_nothing_heard(scene, f'$share/{name}/{rest}', draw)}, and nothing lost"


def _nothing_heard(scene: Scene, topic_filter: str, draw: random.Random) -> str:
    """While the victim sends and is answered, the attacker hears its own alone."""
    scene.attacker.heard.clear()
    reason = scene.attacker.subscribed(topic_filter)
    retain = draw.random() < 0.2
    reading = (topics.mqtt_readings(OTHER), scene.mark())
    scene.victim.published(*reading)
    scene.gateway.published(topics.mqtt_receipt(OTHER), scene.mark(), retain=retain)
    scene.gateway.published(topics.mqtt_feedback(OTHER), scene.mark())
    scene.victim.published(f"spBv1.0/{OTHER}/NDATA/node", scene.mark())
    with suppress(AssertionError):
        wait_until(lambda: reading in scene.gateway.heard, "the reading", seconds=5)
    scene.fence()
    scene.attacker.unsubscribe(topic_filter)
    strange = [topic for topic, _ in scene.attacker.heard if f"/{UNIT}/" not in topic]
    if retain:
        scene.gateway.published(topics.mqtt_receipt(OTHER), b"", retain=True)
    if strange or reading not in scene.gateway.heard:
        message = f"{topic_filter}: heard {strange}, or took a reading from the gateway"
        raise SucceededError(message)
    return f"SUBACK {reason:#x}" if reason >= 0x80 else "nothing heard"


def broker_figures(scene: Scene, draw: random.Random) -> str:
    """What the broker says of itself: who is connected, how much waits."""
    scene.attacker.heard.clear()
    rest = draw.choice(["#", "broker/#", "broker/clients/connected", "broker/+/+", "broker/uptime"])
    reason = scene.attacker.subscribed(f"$SYS/{rest}")
    scene.fence()
    scene.attacker.unsubscribe(f"$SYS/{rest}")
    strange = [topic for topic, _ in scene.attacker.heard if topic.startswith("$SYS")]
    if strange:
        message = f"$SYS/{rest}: heard {strange[0]}"
        raise SucceededError(message)
    return f"SUBACK {reason:#x}" if reason >= 0x80 else "nothing heard"


# ---- MQTT: being another


def come_in_as_another(scene: Scene, draw: random.Random) -> str:
    """Another's name with its own password, a guessed one, none; names that are patterns."""
    own = scene.doors.password(UNIT)
    user = draw.choice(
        [OTHER, "gateway", "admin", f"{OTHER}.2", "+", "#", f"{UNIT}/..", "", _word(draw)]
    )
    password = draw.choice([own, "", user, draw.randbytes(24).hex(), "password", None])
    with client(scene.doors.parts, user=user or None, password=password) as one:
        if one.let_in == 0:
            message = f"let in as {user!r}"
            raise SucceededError(message)
        return f"CONNACK {one.let_in:#x}" if one.let_in else "closed"


def take_over_a_session(scene: Scene, draw: random.Random) -> str:
    """Another's client id, or a gateway's, to be given what waits for it or to throw it out."""
    wanted = draw.choice([OTHER, "intruders-gateway", "weir-mqtt-1", "weir-feedback-1"])
    with client(
        scene.doors.parts,
        user=UNIT,
        password=scene.doors.password(UNIT),
        client_id=wanted,
        stays=True,
    ) as one:
        assert one.let_in == 0  # as itself it may come in
        mark = scene.mark()
        scene.gateway.published(topics.mqtt_receipt(OTHER), mark)
        wait_until(lambda: (topics.mqtt_receipt(OTHER), mark) in scene.victim.heard, "its receipt")
        reading = (topics.mqtt_readings(OTHER), scene.mark())
        scene.victim.published(*reading)
        wait_until(lambda: reading in scene.gateway.heard, "the reading")
        strange = [topic for topic, _ in one.heard if f"/{UNIT}/" not in topic]
    scene.come_back()
    if strange or scene.victim.thrown_out is not None or scene.gateway.thrown_out is not None:
        message = f"client id {wanted}: heard {strange}"
        raise SucceededError(message)
    return "a session of its own"


def certificate_of_another(scene: Scene, draw: random.Random) -> str:
    """Signed by itself in another's name, revoked, of a pattern; its own with another's name."""
    how = draw.choice(["stranger", "pattern", "own", "none"])
    if how == "none":
        return _handshake(scene, None)
    if how == "own":
        files = _files(scene, scene.doors.parts.authority(), UNIT)
        with client(
            scene.doors.parts, user=OTHER, password=scene.doors.password(OTHER), certificate=files
        ) as one:
            reason = one.published(topics.mqtt_readings(OTHER), scene.mark())
        scene.come_back()
        if reason != NOT_AUTHORISED:
            message = f"its own certificate as {OTHER}: reason {reason:#x}"
            raise SucceededError(message)
        return f"PUBACK {reason:#x}"
    if how == "stranger":
        state = State(scene.folder / "stranger", scene.doors.parts.state.programs)
        stranger = Authority(state, scene.doors.parts.root)
        return _handshake(scene, _files(scene, stranger, draw.choice([OTHER, "gateway"])))
    files = _files(scene, scene.doors.parts.authority(), "+")
    mark = scene.mark()
    with client(scene.doors.parts, certificate=files) as one:
        if one.let_in:
            return f"CONNACK {one.let_in:#x}"
        reason = one.published(topics.mqtt_readings(OTHER), mark)
    if reason != NOT_AUTHORISED:
        message = f"a pattern as CN: reason {reason:#x}"
        raise SucceededError(message)
    return f"PUBACK {reason:#x}"


def _files(scene: Scene, authority: Authority, name: str) -> tuple[str, str]:
    issued = authority.client(name)
    paths = (scene.folder / "certificate.pem", scene.folder / "certificate.key")
    write_secret(paths[0], issued.certificate)
    write_secret(paths[1], issued.key)
    return str(paths[0]), str(paths[1])


def _handshake(scene: Scene, files: tuple[str, str] | None) -> str:
    port = scene.doors.parts.endpoints().mqtt_certificates_port
    try:
        with client(scene.doors.parts, certificate=files or ("", ""), port=None) as one:
            if one.let_in == 0:
                message = f"let in at {port} with {files}"
                raise SucceededError(message)
    except OSError:
        return "TLS handshake"
    return "TLS handshake"


# ---- Kafka


ALL_TOPICS = (
    topics.enterprise_readings(OTHER),
    *(topic.name for topic in topics.wanted(PARTITIONS)),
    *("__consumer_offsets", "__transaction_state"),
)


def _denied(what: str, act: Callable[[], object]) -> str:
    """Refused for want of a right, by an error or in what is answered."""
    try:
        answer = act()
    except KafkaError as error:
        name = type(error).__name__
        if name in DENIED:
            return name.removesuffix("Error")
        message = f"{what}: {error!r}"
        raise SucceededError(message) from error
    for name in DENIED:
        if name in repr(answer) or name.removesuffix("FailedError") in repr(answer):
            return name.removesuffix("Error")
    if re.search(r"uthorization failed|not authorized|needs [A-Z_]+ permission", repr(answer)):
        return "AuthorizationFailed"
    message = f"{what}: answered {answer!r:.200}"
    raise SucceededError(message)


def produce_elsewhere(scene: Scene, draw: random.Random) -> str:
    """On another's topic, on Weir's own, on one that is not there."""
    topic = draw.choice([*ALL_TOPICS, f"enterprise.{_word(draw)}.readings", _word(draw)])
    return _denied(
        f"produce to {topic}",
        lambda: scene.producer.send(topic, scene.mark(), partition=0).get(timeout=10),
    )


def consume_anything(scene: Scene, draw: random.Random) -> str:
    """Whatever there is to read, its own topic too: what was said there is for the gateways."""
    topic = draw.choice([*ALL_TOPICS, topics.enterprise_readings(UNIT)])
    with closing(KafkaConsumer(**scene.doors.client(UNIT), enable_auto_commit=False)) as consumer:
        place = TopicPartition(topic, 0)
        consumer.assign([place])
        consumer.seek(place, 0)

        def read() -> object:
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                if found := consumer.poll(timeout_ms=300):
                    return found
            return consumer.end_offsets([place])

        return _denied(f"consume {topic}", read)


def join_a_group(scene: Scene, draw: random.Random) -> str:
    """The workers', the alerts', the gateways', or one of its own."""
    group = draw.choice(
        [
            topics.PROCESSORS,
            topics.ALERTS,
            topics.KAFKA_GATEWAYS,
            topics.FEEDBACK_GROUP,
            _word(draw),
        ]
    )
    with closing(
        KafkaConsumer(
            **scene.doors.client(UNIT),
            group_id=group,
            enable_auto_commit=False,
        )
    ) as consumer:
        consumer.subscribe([topics.enterprise_readings(UNIT)])

        def join() -> object:
            end = time.monotonic() + 10
            while time.monotonic() < end and not consumer.assignment():
                consumer.poll(timeout_ms=500)
            return consumer.assignment()

        return _denied(f"join {group}", join)


def move_a_group(scene: Scene, draw: random.Random) -> str:
    """Look at a group, set it back, remove its members, delete it."""
    group = draw.choice([topics.PROCESSORS, topics.ALERTS, topics.KAFKA_GATEWAYS])
    place = TopicPartition(draw.choice(ALL_TOPICS), 0)
    act = draw.choice(
        [
            lambda: scene.admin.describe_groups([group]),
            lambda: scene.admin.delete_groups([group]),
            lambda: scene.admin.list_group_offsets(group),
            lambda: scene.admin.alter_group_offsets(group, {place: OffsetAndMetadata(0, "", -1)}),
        ]
    )
    return _denied(f"group {group}", act)


def use_a_transaction(scene: Scene, draw: random.Random) -> str:
    """Fence out somebody's transactional producer, or begin one."""
    name = draw.choice(["weir", topics.PROCESSORS, OTHER, UNIT, _word(draw)])
    with closing(
        KafkaProducer(**scene.doors.client(UNIT), transactional_id=name, max_block_ms=5_000)
    ) as producer:
        return _denied(f"transaction {name}", producer.init_transactions)


def rule_the_cluster(scene: Scene, draw: random.Random) -> str:
    """Topics, settings, rights, users: what is the administrator's."""
    admin, topic = scene.admin, draw.choice(ALL_TOPICS[:-2])
    own = f"User:{UNIT}"
    right = ACL(
        own,
        "*",
        ACLOperation.ALL,
        ACLPermissionType.ALLOW,
        ResourcePattern(ResourceType.TOPIC, "*", ACLResourcePatternType.LITERAL),
    )
    every = ACLFilter(
        None,
        None,
        ACLOperation.ANY,
        ACLPermissionType.ANY,
        ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
    )
    settings = ConfigResource(ConfigResourceType.TOPIC, topic, {"retention.ms": "1"})
    broker = ConfigResource(ConfigResourceType.BROKER, "1", {"log.retention.ms": "1"})
    user = draw.choice([OTHER, UNIT, "admin", "worker"])
    password = UserScramCredentialUpsertion(user, ScramMechanism.SCRAM_SHA_512, "mine")
    acts: dict[str, Callable[[], object]] = {
        "create a topic": lambda: admin.create_topics(
            {_word(draw): {"num_partitions": 1, "replication_factor": 1}}
        ),
        "delete a topic": lambda: admin.delete_topics([topic]),
        "alter a topic": lambda: admin.alter_configs([settings], raise_on_unknown=False),
        "alter the broker": lambda: admin.alter_configs([broker], raise_on_unknown=False),
        "add partitions": lambda: admin.create_partitions({topic: NewPartitions(50)}),
        "grant itself": lambda: admin.create_acls([right]),
        "see rights": lambda: admin.describe_acls(every),
        "withdraw rights": lambda: admin.delete_acls([every]),
        "set a password": lambda: admin.alter_user_scram_credentials([password]),
        "remove a user": lambda: admin.alter_user_scram_credentials(
            [UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_512)]
        ),
        "see users": lambda: admin.describe_user_scram_credentials([user]),
    }
    what = draw.choice(sorted(acts))
    return _denied(what, acts[what])


def delete_records(scene: Scene, draw: random.Random) -> str:
    """Of another's topic or of Weir's own: it is told that there is no such topic."""
    place = TopicPartition(draw.choice(ALL_TOPICS[:-2]), 0)
    try:
        answer = scene.admin.delete_records({place: 1})
    except KafkaError as error:
        if type(error).__name__ in (*DENIED, "UnknownTopicOrPartitionError"):
            return type(error).__name__.removesuffix("Error")
        raise
    message = f"delete records of {place.topic}: {answer}"
    raise SucceededError(message)


def see_names(scene: Scene, draw: random.Random) -> str:
    """What topics and groups there are: it is shown its own topic alone, and no group."""
    own = topics.enterprise_readings(UNIT)
    look = draw.choice([scene.admin.list_topics, scene.admin.list_groups])
    found = {str(one) for one in look()} - {own}
    if found:
        message = f"it sees {sorted(found)[:3]}"
        raise SucceededError(message)
    return "nothing shown"


def log_in_to_kafka(scene: Scene, draw: random.Random) -> str:
    """Another's name, a guessed password, no password, no TLS, another mechanism."""
    how = draw.choice(["user", "password", "plain", "nobody", "weaker"])
    told = scene.doors.client(UNIT)
    if how == "user":
        told |= {"sasl_plain_username": draw.choice([OTHER, "admin", "worker", _word(draw)])}
    elif how == "password":
        told |= {"sasl_plain_password": draw.randbytes(24).hex()}
    elif how == "plain":
        told |= {"security_protocol": "PLAINTEXT"}
    elif how == "nobody":
        told |= {"security_protocol": "SSL"}
    else:
        told |= {"sasl_mechanism": draw.choice(["PLAIN", "SCRAM-SHA-256"])}
    for patience_ms in (1_000, 4_000, 16_000):  # the client does not tell a refusal from slowness
        if _is_let_in(scene.doors.client(UNIT), patience_ms):
            break
    if _is_let_in(told, patience_ms):
        message = f"let in by {how}"
        raise SucceededError(message)
    return f"not let in for {how}"


def _is_let_in(told: dict[str, object], patience_ms: int) -> bool:
    try:
        admin = KafkaAdminClient(**told, bootstrap_timeout_ms=patience_ms)
    except KafkaError:
        return False
    admin.close()
    return True


# ---- What a message says of itself


def name_another_in_a_message(scene: Scene, draw: random.Random, *, door: str) -> str:
    """A unit's code in the payload, in each form of message: refused, and nothing is the victim's."""
    at = 1_514_736_000_000 + scene.number * 900_000
    one = {"point": "E1", "at": at, "value": 1}
    id_ = f"forged-{door}-{scene.number}-{draw.randrange(10**9)}"
    scene.number += 1
    common = {"message_id": id_, "statement": "PT15M", "unit": "kWh", "unit_code": OTHER}
    form = draw.choice(
        [
            {**common, **one},
            {**common, "readings": [one, one]},
            {**common, "point": ["E1"], "at": [at], "value": [1]},
            {**common, "readings": [{**one, "unit_code": OTHER}], "unit_code": UNIT},
        ]
    )
    payload = json.dumps(form).encode()
    if door == "MQTT":
        scene.attacker.published(topics.mqtt_readings(UNIT), payload)
    else:
        sent = scene.producer.send(
            topics.enterprise_readings(UNIT), payload, headers=[("unit", OTHER.encode())]
        )
        sent.get(timeout=10)
    reasons: list[str] = []

    def kept() -> bool:
        for part in scene.log.news():
            if isinstance(part, Unreadable):
                mine, said = id_.encode() in part.payload, [part.reason]
            else:
                said = [str(item.reason) for item in part.refused if item.message == id_]
                mine = bool(said) or id_ in part.messages
            if mine and (part.unit != UNIT or not said):
                message = f"taken for {part.unit}: {form}"
                raise SucceededError(message)
            reasons.extend(said if mine else [])
        return bool(reasons)

    wait_until(kept, "it is in the log", seconds=30)
    return f"refused: {reasons[0]}"


# ---- All of it

KINDS = (
    Kind("MQTT: publish on another unit's topics", publish_for_another, 120),
    Kind("MQTT: publish receipts and feedback", publish_as_the_service, 80),
    Kind("MQTT: publish near its own topics, on $SYS", publish_elsewhere, 100),
    Kind("MQTT: malformed topics", malformed, 20),
    Kind("MQTT: last will on another's topic", will_for_another, 20),
    Kind("MQTT: subscribe to another's topics, wildcards", subscribe_to_another, 120),
    Kind("MQTT: join shared subscriptions", share_with_the_gateways, 60),
    Kind("MQTT: the broker's own figures", broker_figures, 20),
    Kind("MQTT: come in as another", come_in_as_another, 80),
    Kind("MQTT: take over a session", take_over_a_session, 30),
    Kind("MQTT: another's certificate", certificate_of_another, 30),
    Kind("Kafka: produce on another's topic", produce_elsewhere, 80),
    Kind("Kafka: consume anything", consume_anything, 40),
    Kind("Kafka: join a group", join_a_group, 20),
    Kind("Kafka: see, move or delete a group", move_a_group, 30),
    Kind("Kafka: transactions", use_a_transaction, 20),
    Kind("Kafka: the administrator's acts", rule_the_cluster, 60),
    Kind("Kafka: delete records", delete_records, 20),
    Kind("Kafka: see what there is", see_names, 20),
    Kind("Kafka: come in as another", log_in_to_kafka, 20),
    Kind(
        "payload by MQTT: another unit's name", partial(name_another_in_a_message, door="MQTT"), 20
    ),
    Kind(
        "payload by Kafka: another unit's name",
        partial(name_another_in_a_message, door="Kafka"),
        20,
    ),
)


def attempt(scene: Scene, kind: Kind, times: int, seed: str) -> Tally:
    """Try one class so often."""
    draw = random.Random(f"{seed} {kind.name}")
    tally = Tally()
    for _ in range(times):
        try:
            tally.refused[kind.attempt(scene, draw)] += 1
        except SucceededError as error:
            tally.succeeded.append(str(error))
            scene.come_back()
    return tally


@contextmanager
def scene_of(doors: Doors) -> Iterator[Scene]:
    """Real gateways beside, each as its own user, and all connections."""
    with ExitStack() as stack:
        for verb, user in (("mqtt", "gateway"), ("kafka", "kafka-gateway")):
            stack.enter_context(_gateway(doors, verb, user))
        yield Scene(doors, stack)


@contextmanager
def _gateway(doors: Doors, verb: str, user: str) -> Iterator[None]:
    secrets = doors.folder.path / "secrets"
    settings = {
        "WEIR_MQTT_USER": "gateway",
        "WEIR_MQTT_PASSWORD_FILE": str(secrets / "gateway"),
        "WEIR_MQTT_SHARE_FILE": str(secrets / "mqtt-share"),
    }
    log = doors.path / f"intruders-{verb}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ingest", verb, "--metrics-port", "0"],
            env=doors.environment(user, **settings),
            stderr=output,
        )
    try:
        ready = "subscribed" if verb == "mqtt" else "assigned"
        wait_until(lambda: ready in log.read_text(), f"{verb} is ready: {log}", seconds=60)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=30)


def main() -> int:
    """Try it all, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--attempts", type=int, default=1_000, help="about so many (1000)")
    parser.add_argument("--seed", default="7", help="the same draws again")
    chosen = parser.parse_args()
    total = through = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        opened(Path(folder)) as doors,
        scene_of(doors) as scene,
    ):
        print(f"{'class':<50}{'attempts':>9}{'through':>9}  refused by")
        for kind in KINDS:
            times = -(-chosen.attempts * kind.share // 1_000)
            tally = attempt(scene, kind, times, chosen.seed)
            said = ", ".join(f"{how} {count}" for how, count in tally.refused.most_common(4))
            print(f"{kind.name:<50}{times:>9}{len(tally.succeeded):>9}  {said}", flush=True)
            for one in tally.succeeded[:5]:
                print(f"    GOT THROUGH: {one}")
            total, through = total + times, through + len(tally.succeeded)
        changed = doors.changes("plan", units=ALL)["changes"]
        print(f"users, rights and topics afterwards: {changed or 'as before'}")
        through += len(changed)
    print(f"{total} attempts, {through} got through (seed {chosen.seed})")
    return 1 if through else 0


if __name__ == "__main__":
    sys.exit(main())
