"""Who may say what at the MQTT door: a user for each unit, and one access list for all.

    python3 -m deploy.local.access deploy/example/registry.toml

A unit's user is its code, with a password made here; it may write on its own `readings` and `try`, and
read its own `feedback` and `receipt`, nothing else. Because the list goes by the user's name, it does
not grow with the units. Users that were given before stay: several runs share one broker.
"""

import fcntl
import json
import re
import secrets
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.local.complaint import ComplaintError
from deploy.local.mosquitto import GATEWAY
from deploy.local.parts import LocalParts
from deploy.local.state import write_private
from ingest.access_rights import mosquitto_acl

ACL = mosquitto_acl({GATEWAY: GATEWAY})

_is_unit = re.compile(r"[0-9A-Z]{18}").fullmatch


def passwords_file(parts: LocalParts) -> Path:
    """Where the units' passwords are: JSON, readable by its owner alone."""
    return parts.state.part_folder("mqtt") / "unit-passwords.json"


def grant(parts: LocalParts, units: Iterable[str]) -> dict[str, str]:
    """Let these units in at the door; returns their passwords. One that has a password keeps it."""
    wanted = sorted(set(units))
    for unit in wanted:
        if not _is_unit(unit):
            message = f"{unit!r} is not an 18-character social credit code"
            raise ComplaintError(message, "the registry's units have such codes")
    with _locked(parts):
        known = _known(parts)
        users = known | {unit: known.get(unit) or secrets.token_hex(16) for unit in wanted}
        _apply(parts, users)
    return {unit: users[unit] for unit in wanted}


def revoke(parts: LocalParts, units: Iterable[str]) -> None:
    """Let these units in no longer."""
    with _locked(parts):
        gone = set(units)
        _apply(parts, {unit: told for unit, told in _known(parts).items() if unit not in gone})


def _apply(parts: LocalParts, users: Mapping[str, str]) -> None:
    parts.set_mqtt_users(users, ACL)
    write_private(passwords_file(parts), json.dumps(users, indent=1) + "\n")


def _known(parts: LocalParts) -> dict[str, str]:
    path = passwords_file(parts)
    known: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    return known


@contextmanager
def _locked(parts: LocalParts) -> Iterator[None]:
    """One at a time: the list is read, added to and written."""
    with (parts.state.folder / "access.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main(words: Sequence[str]) -> int:
    """Let in the units of a registry file."""
    if len(words) != 1:
        print("usage: python3 -m deploy.local.access REGISTRY.toml", file=sys.stderr)
        return 2
    try:
        told = tomllib.loads(Path(words[0]).read_text(encoding="utf-8"))
        units = grant(parts := LocalParts(), [unit["code"] for unit in told.get("units", ())])
    except (OSError, tomllib.TOMLDecodeError, ComplaintError) as error:
        print(f"access: {error}", file=sys.stderr)
        return 1
    print(f"{len(units)} units may publish; their passwords are in {passwords_file(parts)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
