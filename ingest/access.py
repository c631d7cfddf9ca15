"""Makes the brokers know who may come in and do what, from the registry: `python -m ingest access`.

Passwords and accounts are kept first, then Kafka and Mosquitto are told, then what ended is
forgotten: wherever this ends before, the next `apply` does the rest.
"""

import shlex
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.access_folder import Folder, replace_file, text_of
from ingest.access_kafka import KafkaAccess
from ingest.access_plan import Brokers, Plan, plan
from ingest.accounts import Account, Accounts, ended, missing, of_left, owners_of, rotated
from ingest.complaint import ComplaintError
from schemas.registry import Registry

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Places:
    """Where the accounts are kept, and what the brokers read."""

    folder: Folder
    mosquitto: Path
    """The folder of Mosquitto's `passwords` and `acl`."""
    reload: str = ""
    """A command that makes Mosquitto read them again: `docker compose kill -s HUP mosquitto`."""
    prefix: str = ""
    """Before the names of Kafka's topics and groups."""


@dataclass(frozen=True, slots=True)
class Due:
    """Who is to have an account and who no longer."""

    new: tuple[str, ...]
    gone: tuple[Account, ...]
    """Their overlap is over, or their unit left."""
    waits: tuple[Account, ...]
    """Their unit left, and nobody said that they are to go."""


def due(known: Accounts, registries: Iterable[Registry], *, now: int, remove: bool) -> Due:
    """What the registry and the time ask for."""
    owners = owners_of(registries, now=now)
    over, left = ended(known, now=now), of_left(known, owners)
    gone = {one.name: one for one in [*over, *(left if remove else ())]}
    return Due(
        tuple(missing(known, owners)),
        tuple(gone.values()),
        tuple(one for one in left if one.name not in gone),
    )


def planned(asked: Due, known: Accounts, places: Places, kafka: KafkaAccess) -> Plan:
    """What `apply` would change; nothing is written."""
    new = [Account(name=name, owner=name, since=0, mosquitto="new") for name in asked.new]
    wanted = remaining(known, asked)
    for account in new:
        wanted = wanted.changed(account)
    return plan(wanted, there(places, kafka), prefix=places.prefix)


def apply(asked: Due, known: Accounts, places: Places, kafka: KafkaAccess, *, now: int) -> Plan:
    """Make it so; what was changed."""
    for name in asked.new:
        known = known.changed(places.folder.new(name, name, since=now))
    places.folder.provide_share()
    places.folder.write(known)
    wanted = remaining(known, asked)
    todo = plan(wanted, there(places, kafka), prefix=places.prefix)
    kafka.make_topics(todo.topics)
    kafka.set_passwords((name, places.folder.password(name)) for name in todo.users)
    kafka.grant(todo.rights)
    kafka.withdraw(todo.rights_gone)
    kafka.remove_users(todo.users_gone)
    _tell_mosquitto(todo, places)
    for account in wanted.accounts:
        wanted = wanted.changed(account.model_copy(update={"in_kafka": True}))
    places.folder.write(wanted)
    for account in asked.gone:
        places.folder.forget(account.name)
    return todo


def rotate(owner: str, places: Places, *, now: int, until: int) -> str:
    """Give an owner another password beside the one it has, which holds until then; the new user's name."""
    with places.folder.locked():
        known, name = rotated(places.folder.read(), owner, until=until)
        places.folder.write(known.changed(places.folder.new(name, owner, since=now)))
    return name


def there(places: Places, kafka: KafkaAccess) -> Brokers:
    """What the brokers hold now."""
    return Brokers(
        users=kafka.users(),
        rights=kafka.rights(),
        topics=kafka.topics(),
        passwords=text_of(places.mosquitto / "passwords"),
        acl=text_of(places.mosquitto / "acl"),
    )


def remaining(known: Accounts, asked: Due) -> Accounts:
    """The accounts that stay; a unit none of whose stay has left."""
    gone = {one.name for one in asked.gone}
    stay = {one.owner for one in known.accounts if one.name not in gone} | set(asked.new)
    left = {one.owner for one in asked.gone} - stay
    kept = known.without(gone, left=left)
    return kept.model_copy(update={"left": tuple(u for u in kept.left if u not in stay)})


def _tell_mosquitto(todo: Plan, places: Places) -> None:
    unread = places.folder.path / "mosquitto-has-not-read"
    if not unread.exists() and not any(change.place == "mqtt" for change in todo.changes):
        return
    unread.touch()
    replace_file(places.mosquitto / "acl", todo.acl)
    replace_file(places.mosquitto / "passwords", todo.passwords)
    if places.reload:
        _run(shlex.split(places.reload))
    unread.unlink()


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)  # noqa: S603 - the operator's own words
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"{shlex.join(command)} failed: {error}; Mosquitto goes by what it read before"
        raise ComplaintError(message) from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-200:]
        message = (
            f"{shlex.join(command)} ended with {done.returncode}: {said}; "
            "Mosquitto goes by what it read before"
        )
        raise ComplaintError(message)
