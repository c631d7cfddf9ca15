"""Targets of regions and industries: total energy and total CO2 of a year, as people enter them.

`check FILE` says what is wrong with a file; `diff FILE` what it changes; `load FILE` stores it as one numbered version, which holds
from the next full hour on. A file is the whole of the targets. What was told of earlier hours stays as it was.
"""

import argparse
import getpass
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow
from pydantic import BaseModel, ValidationError

from processors.migrate import MigrationError, database_url
from processors.region_store import HOUR_LOCK
from schemas.calendar import HOUR_MS, instant, rfc3339
from schemas.settings import SettingsError
from schemas.targets import Targets, TargetVersion

Link = Connection[TupleRow]

_NEWEST = "SELECT version, from_hour, body FROM target_version ORDER BY version DESC LIMIT 1"
_LAST = "SELECT hour FROM aggregation"
_NOW = "SELECT ms_of(clock_timestamp())"
_INSERT = """
INSERT INTO target_version (version, author, reason, hash, from_hour, body)
VALUES (%s, %s, %s, %s, %s, %s::jsonb)"""

_EPILOG = """examples:
  python -m processors targets check deploy/example/targets.toml
  python -m processors targets diff targets.toml
  python -m processors targets load targets.toml --author "Li Wei" --reason "2027 targets, order 12"

The file is TOML (numbers as text, "1200.5"; days as 2027-04-01; periods are [first, until)):
  [[targets]]     id, scope ("province:510000", "city:510400", "county:510402", "industry:31", "city:510400+industry:31"), year,
                  quantity (energy: tce, co2: t), amount, covers (key units, whole society), source; schedule
  [[schedules]]   id, weights (12), source: how the year is expected to pass; by the calendar where a target names none
  [[remainders]]  scope, quantity, first, until, amount or low best high, known_on, source; revision: what the key units leave out,
                  without which a target of the whole society is UNDECIDABLE, `remainder unknown`
  [[levels]]      level rules of your own, before ours (schemas/packs/levels/barometer.toml)

Exit codes: 0 in order, or (diff) nothing differs; 1 the file is wrong, or (diff) it differs; 2 the words are wrong."""


class TargetsError(Exception):
    """Targets that cannot be taken; the message says where and why."""


def read_targets(path: Path) -> Targets:
    """A file's content, checked. Raises TargetsError with a line for each mistake."""
    try:
        return Targets.model_validate(
            tomllib.loads(path.read_text(encoding="utf-8"), parse_float=str)
        )
    except ValidationError as error:
        told = error.errors(include_url=False, include_context=False)
        lines = [
            f"{path}: {'.'.join(map(str, e['loc'])) or 'file'}: {e['msg'].removeprefix('Value error, ')}"
            for e in told
        ]
        raise TargetsError("\n".join(lines)) from error
    except (OSError, ValueError) as error:
        message = f"{path}: cannot be read: {error}"
        raise TargetsError(message) from error


def newest(link: Link) -> TargetVersion | None:
    """The version that was loaded last."""
    row = link.execute(_NEWEST).fetchone()
    if row is None:
        return None
    return TargetVersion(version=row[0], from_hour=row[1], targets=Targets.model_validate(row[2]))


def differences(old: Targets, new: Targets) -> list[str]:
    """One line for each entry that is new, gone or changed."""
    was, now = _entries(old), _entries(new)
    lines = []
    for name in sorted(was.keys() | now.keys()):
        if name not in was:
            lines.append(f"+ {name}: {now[name]}")
        elif name not in now:
            lines.append(f"- {name}: {was[name]}")
        elif was[name] != now[name]:
            lines.append(f"~ {name}: {was[name]} -> {now[name]}")
    return lines


def _entries(targets: Targets) -> Mapping[str, str]:
    named: dict[str, BaseModel] = {f"target {one.id}": one for one in targets.targets}
    named |= {f"schedule {one.id}": one for one in targets.schedules}
    named |= {f"level rule {one.id}": one for one in targets.levels}
    named |= {
        f"remainder {one.scope} {one.quantity} {one.first} to {one.until} revision {one.revision}": one
        for one in targets.remainders
    }
    return {name: _said(entry) for name, entry in named.items()}


def _said(entry: BaseModel) -> str:
    told = entry.model_dump(mode="json", exclude_defaults=True, exclude={"id"})
    return ", ".join(f"{name} {value}" for name, value in told.items())


def load(
    link: Link, targets: Targets, *, author: str, reason: str, from_hour: int | None = None
) -> TargetVersion | None:
    """Store targets as the next version; None where they are those loaded last. Raises TargetsError.

    They hold from the next full hour by the database's clock, or from `from_hour`: never from one that was told already.
    """
    with link.transaction():
        link.execute("SELECT pg_advisory_xact_lock(%s)", (HOUR_LOCK,))
        before = newest(link)
        if before is not None and before.targets.content_hash() == targets.content_hash():
            return None
        hour = _from_hour(link, before, from_hour)
        version = 1 if before is None else before.version + 1
        body = json.dumps(targets.model_dump(mode="json"))
        link.execute(_INSERT, (version, author, reason, targets.content_hash(), hour, body))
    return TargetVersion(version=version, from_hour=hour, targets=targets)


def _from_hour(link: Link, before: TargetVersion | None, asked: int | None) -> int:
    told, now = link.execute(_LAST).fetchone(), link.execute(_NOW).fetchone()
    earliest = max(
        0 if told is None else int(told[0]) + HOUR_MS,
        0 if before is None else before.from_hour,
    )
    if asked is None:
        following = 0 if now is None else int(now[0]) // HOUR_MS * HOUR_MS + HOUR_MS
        return max(following, earliest)
    if asked < earliest:
        message = (
            f"from {rfc3339(asked)} is too early: hours before {rfc3339(earliest)} are told, or older targets hold"
            " from there, and neither is changed"
        )
        raise TargetsError(message)
    return asked


# ---- Command line


def main(arguments: Sequence[str]) -> int:
    """Do one verb; 1 where something is wrong, with a line for each mistake."""
    chosen = _parser().parse_args(arguments)
    try:
        targets = read_targets(chosen.file)
        if chosen.verb == "check":
            counts = f"{len(targets.targets)} targets, {len(targets.remainders)} remainders"
            _tell(f"{chosen.file}: {counts}: in order")
            return 0
        with psycopg.connect(database_url(), autocommit=True) as link:
            if chosen.verb == "diff":
                return _diff(newest(link), targets, as_json=chosen.json)
            return _load(link, targets, chosen)
    except (TargetsError, MigrationError, SettingsError, psycopg.Error) as error:
        sys.stderr.write(f"targets: {str(error).strip()}\n")
        return 1


def _diff(before: TargetVersion | None, targets: Targets, *, as_json: bool) -> int:
    lines = differences(Targets() if before is None else before.targets, targets)
    version = None if before is None else before.version
    if as_json:
        _tell(json.dumps({"version": version, "differences": lines}, ensure_ascii=False))
    else:
        for line in lines:
            _tell(line)
        stored = "none is stored" if version is None else f"version {version}"
        _tell(f"{len(lines)} differences from what was loaded last ({stored})")
    return 1 if lines else 0


def _load(link: Link, targets: Targets, chosen: argparse.Namespace) -> int:
    stored = load(
        link, targets, author=chosen.author, reason=chosen.reason, from_hour=chosen.from_hour
    )
    if stored is None:
        _tell("nothing is new: these targets were loaded last")
    else:
        digest = targets.content_hash()[:12]
        _tell(
            f"stored targets {stored.version} (hash {digest}): they hold from {rfc3339(stored.from_hour)} on"
        )
    return 0


def _hour(text: str) -> int:
    try:
        at = instant(datetime.fromisoformat(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if at % HOUR_MS:
        message = f"{text} is no full hour"
        raise argparse.ArgumentTypeError(message)
    return at


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m processors targets",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    checked = verbs.add_parser("check", help="say what is wrong with a file")
    compared = verbs.add_parser("diff", help="say what a file changes; 1 where anything differs")
    compared.add_argument("--json", action="store_true", help="one line of JSON")
    loaded = verbs.add_parser("load", help="store a file as the next version")
    for verb in (checked, compared, loaded):
        verb.add_argument("file", type=Path)
    loaded.add_argument("--author", default=getpass.getuser(), help="who; your login unless given")
    loaded.add_argument("--reason", required=True, help="why; kept beside the author")
    loaded.add_argument(
        "--from",
        dest="from_hour",
        type=_hour,
        metavar="HOUR",
        help="first full hour they hold for, 2027-01-01T00:00+08:00; the next one unless given",
    )
    return parser
