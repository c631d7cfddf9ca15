"""What is to change at the brokers, as a list that people can read before it is done. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ingest.access_rights import SERVICES, Right, is_ours, mosquitto_acl, rights
from ingest.accounts import Accounts
from schemas.topics import enterprise_readings


@dataclass(frozen=True, slots=True)
class Brokers:
    """What the brokers hold: of Kafka users, rights and topics; of Mosquitto its two files."""

    users: frozenset[str]
    rights: frozenset[Right]
    topics: frozenset[str]
    passwords: str
    acl: str


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that is done, or would be."""

    place: Literal["kafka", "mqtt", "password"]
    act: Literal["add", "remove", "replace"]
    what: str

    def __str__(self) -> str:
        return f"{self.place:<9}{self.act:<8} {self.what}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The way from what there is to what the accounts say."""

    topics: tuple[str, ...]
    users: tuple[str, ...]
    """Kafka is to be given their passwords."""
    users_gone: tuple[str, ...]
    rights: tuple[Right, ...]
    rights_gone: tuple[Right, ...]
    passwords: str
    acl: str
    changes: tuple[Change, ...]
    """All of it in words."""


def plan(wanted: Accounts, there: Brokers, *, prefix: str = "") -> Plan:
    """What makes the brokers agree with the accounts. Users that are not made from the registry are left alone."""
    users = wanted.users()
    right = rights(users, prefix=prefix)
    theirs = frozenset(one for one in there.rights if is_ours(one.user))
    units = sorted({one.owner for one in wanted.accounts} - SERVICES.keys())
    topics = [prefix + enterprise_readings(unit) for unit in units]
    new_topics = tuple(topic for topic in topics if topic not in there.topics)
    new_users = tuple(
        one.name for one in wanted.accounts if not one.in_kafka or one.name not in there.users
    )
    gone = tuple(sorted(user for user in there.users if is_ours(user) and user not in users))
    more, less = tuple(sorted(right - theirs)), tuple(sorted(theirs - right))
    passwords = mosquitto_passwords(wanted)
    acl = mosquitto_acl(users, left=wanted.left)
    changes = (
        *(Change("kafka", "add", f"topic {topic}") for topic in new_topics),
        *(_user_changes(new_users, there.users)),
        *(Change("kafka", "add", f"right: {one}") for one in more),
        *(Change("kafka", "remove", f"right: {one}") for one in less),
        *(Change("kafka", "remove", f"user {user}") for user in gone),
        *_mqtt_changes(there, passwords, acl),
    )
    return Plan(new_topics, new_users, gone, more, less, passwords, acl, changes)


def mosquitto_passwords(wanted: Accounts) -> str:
    """The password file."""
    return "".join(f"{one.name}:{one.mosquitto}\n" for one in wanted.accounts if one.at_mqtt)


def _user_changes(users: Iterable[str], there: frozenset[str]) -> Iterable[Change]:
    for user in users:
        yield Change("kafka", "replace" if user in there else "add", f"user {user}")


def _mqtt_changes(there: Brokers, passwords: str, acl: str) -> Iterable[Change]:
    old, new = _by_user(there.passwords), _by_user(passwords)
    for user in sorted(old.keys() | new.keys()):
        if user not in old:
            yield Change("mqtt", "add", f"user {user}")
        elif user not in new:
            yield Change("mqtt", "remove", f"user {user}")
        elif old[user] != new[user]:
            yield Change("mqtt", "replace", f"user {user}")
    if there.acl != acl:
        yield Change("mqtt", "replace" if there.acl else "add", "access list")


def _by_user(passwords: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in passwords.splitlines() if line)
    return {user: hashed for user, _, hashed in pairs}
