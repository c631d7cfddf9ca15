"""Who may do what at the brokers: the least that each needs, and nothing without being named. Pure.

A unit's user is its code, and while its password is being changed also `{code}.2`; a service's user is
its name. `admin` is the one super user, by the brokers' own settings.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from schemas import topics

SECOND = ".2"
"""Ends the other name of an owner: two passwords hold while one is being changed."""
MQTT_GATEWAY, KAFKA_GATEWAY = "gateway", "kafka-gateway"
ADMIN = "admin"

_ITERATIONS = 101
"""As mosquitto_passwd's own: the passwords are 192 random bits, nothing is to be guessed."""

Operation = Literal["READ", "WRITE", "DESCRIBE", "DESCRIBE_CONFIGS"]
Kind = Literal["TOPIC", "GROUP"]
Pattern = Literal["LITERAL", "PREFIXED"]

is_unit = re.compile(r"[0-9A-Z]{18}").fullmatch


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """What a user may do at Kafka. Whoever may read or write a topic may also see that it is there."""

    user: str
    operation: Operation
    kind: Kind
    name: str
    pattern: Pattern = "LITERAL"

    def __str__(self) -> str:
        every = "every " if self.pattern == "PREFIXED" else ""
        begins = "..." if self.pattern == "PREFIXED" else ""
        what = f"{every}{self.kind.lower()} {self.name}{begins}"
        return f"{self.user} may {self.operation.lower().replace('_', ' ')} {what}"


_Need = tuple[Operation, Kind, str, Pattern]
_LOG: _Need = ("WRITE", "TOPIC", topics.READINGS, "PREFIXED")
"""Each generation of the log is a topic of its own, whose name begins so."""
_STOPS: _Need = ("WRITE", "TOPIC", topics.STOPS, "LITERAL")

SERVICES: Mapping[str, tuple[_Need, ...]] = {
    ADMIN: (),
    MQTT_GATEWAY: (_LOG, ("WRITE", "TOPIC", topics.TRIES, "LITERAL"), _STOPS),
    KAFKA_GATEWAY: (
        _LOG,
        ("READ", "TOPIC", topics.ENTERPRISES, "PREFIXED"),
        ("READ", "GROUP", topics.KAFKA_GATEWAYS, "LITERAL"),
        _STOPS,
    ),
    "clock": (_LOG,),
    "worker": (
        _LOG,  # a unit's restatement is a record of the log
        ("READ", "TOPIC", topics.READINGS, "PREFIXED"),
        ("READ", "TOPIC", topics.CONFIG, "LITERAL"),
        ("WRITE", "TOPIC", topics.INDICATORS, "PREFIXED"),
        ("READ", "GROUP", topics.PROCESSORS, "LITERAL"),
    ),
    "aggregator": (
        ("WRITE", "TOPIC", topics.INDICATORS, "PREFIXED"),
        ("WRITE", "TOPIC", topics.REGIONS, "LITERAL"),
    ),
    "alerts": (
        ("READ", "TOPIC", topics.INDICATORS, "PREFIXED"),
        ("READ", "TOPIC", topics.REGIONS, "LITERAL"),
        ("READ", "GROUP", topics.ALERTS, "LITERAL"),
    ),
    "feedback": (
        ("WRITE", "TOPIC", topics.FEEDBACK, "LITERAL"),
        ("READ", "TOPIC", topics.FEEDBACK, "LITERAL"),
        ("READ", "GROUP", topics.FEEDBACK_GROUP, "LITERAL"),
        ("READ", "TOPIC", topics.TRIES, "LITERAL"),
        ("READ", "GROUP", topics.TRIES_GROUP, "LITERAL"),
        ("READ", "TOPIC", topics.STOPS, "LITERAL"),
        ("WRITE", "TOPIC", topics.INDICATORS, "PREFIXED"),  # alerts hear of stops there
    ),
    "operator": (
        _LOG,
        ("READ", "TOPIC", topics.READINGS, "PREFIXED"),
        ("READ", "TOPIC", topics.CONFIG, "LITERAL"),
        ("WRITE", "TOPIC", topics.CONFIG, "LITERAL"),
        ("DESCRIBE", "GROUP", topics.PROCESSORS, "LITERAL"),
    ),
    "watch": (
        ("DESCRIBE_CONFIGS", "TOPIC", topics.READINGS, "PREFIXED"),
        ("DESCRIBE_CONFIGS", "TOPIC", topics.INDICATORS, "PREFIXED"),
    ),
}
"""The services' users; `operator` is who gives commands: registry, factors, publish, recompute, dlq."""


def rights(users: Mapping[str, str], *, prefix: str = "") -> frozenset[Right]:
    """What Kafka is to allow: `users` is user → owner (a unit or a service)."""
    return frozenset(_rights(users, prefix))


def _rights(users: Mapping[str, str], prefix: str) -> Iterator[Right]:
    for user, owner in users.items():
        if owner not in SERVICES:
            yield Right(user, "WRITE", "TOPIC", prefix + topics.enterprise_readings(owner))
        for operation, kind, name, pattern in SERVICES.get(owner, ()):
            yield Right(user, operation, kind, prefix + name, pattern)


def is_ours(user: str) -> bool:
    """Whether a user of the brokers is one that is made from the registry."""
    owner = user.removesuffix(SECOND)
    return owner in SERVICES or is_unit(owner) is not None


_ACL = """\
# What a user may do under its own name; %u is the name. Nothing else, unless it is said below.
pattern write energy/v1/%u/readings
pattern write energy/v1/%u/try
pattern read energy/v1/%u/feedback
pattern read energy/v1/%u/receipt
pattern readwrite spBv1.0/%u/#
"""
_GATEWAYS = """\
topic read energy/v1/+/readings
topic read energy/v1/+/try
topic read spBv1.0/+/NBIRTH/+
topic read spBv1.0/+/NDATA/+
topic read spBv1.0/+/DBIRTH/+/+
topic read spBv1.0/+/DDATA/+/+
topic write energy/v1/+/feedback
topic write energy/v1/+/receipt
topic read $SYS/broker/#
"""
_SECOND = """\
topic write energy/v1/{unit}/readings
topic write energy/v1/{unit}/try
topic read energy/v1/{unit}/feedback
topic read energy/v1/{unit}/receipt
topic readwrite spBv1.0/{unit}/#
"""


def mosquitto_acl(users: Mapping[str, str], *, left: Iterable[str] = ()) -> str:
    """Mosquitto's access list. It goes by the users' names, so it does not grow with the units.

    A unit that left is denied by name: a certificate of it may still be valid.
    """
    blocks = [_ACL]
    for user, owner in sorted(users.items()):
        if owner == MQTT_GATEWAY:
            blocks.append(f"user {user}\n{_GATEWAYS}")
        elif user != owner and owner not in SERVICES:
            blocks.append(f"user {user}\n{_SECOND.format(unit=owner)}")
    blocks += [
        f"user {unit}\ntopic deny energy/v1/{unit}/#\ntopic deny spBv1.0/{unit}/#\n"
        for unit in sorted(left)
    ]
    return "\n".join(blocks)


def mosquitto_hash(password: str, *, salt: bytes) -> str:
    """A password as Mosquitto's password file holds it (PBKDF2 with SHA-512)."""
    derived = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    parts = (base64.b64encode(part).decode() for part in (salt, derived))
    return "$".join(["", "7", str(_ITERATIONS), *parts])
