"""What people enter as files: checked, compared with what is stored, and stored as the next numbered version with who, when and why.

A version holds from the next full hour on, and is never changed: what was told of earlier hours stays as it was.
"""

import argparse
import getpass
import json
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Generic, LiteralString, TypeVar

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow
from pydantic import BaseModel, ValidationError

from processors.migrate import MigrationError, database_url
from schemas.calendar import HOUR_MS, instant, rfc3339
from schemas.entered import Entered
from schemas.settings import SettingsError

Link = Connection[TupleRow]
Content = TypeVar("Content", bound=Entered)

HOUR_LOCK = 4_932_004_935
"""Advisory lock of a transaction that tells an hour, or that decides from which hour on entries hold."""

_STORED = "SELECT version, from_hour, body FROM {} ORDER BY version"
_LAST = "SELECT hour FROM aggregation"
_NOW = "SELECT ms_of(clock_timestamp())"
_INSERT = """
INSERT INTO {} (version, author, reason, hash, from_hour, body)
VALUES (%s, %s, %s, %s, %s, %s::jsonb)"""


class EntriesError(Exception):
    """Entries that cannot be taken; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Stored(Generic[Content]):
    """One numbered load of a file, which holds from an hour on."""

    version: int
    from_hour: int
    content: Content


@dataclass(frozen=True, slots=True)
class Kind(Generic[Content]):
    """What is entered by files of one kind."""

    verb: str
    table: LiteralString
    model: type[Content]
    named: Callable[[Content], Mapping[str, BaseModel]]
    """Its entries by the names that people know them by."""
    so_far: Callable[[Sequence[Stored[Content]]], Content]
    """What holds by the versions stored."""
    news: Callable[[Link, Sequence[Stored[Content]], Content], Content | None]
    """What of a file is to be stored; None where all of it is. Raises EntriesError."""


def read(path: Path, model: type[Content]) -> Content:
    """A file's content, checked. Raises EntriesError with a line for each mistake."""
    try:
        return model.model_validate(
            tomllib.loads(path.read_text(encoding="utf-8"), parse_float=str)
        )
    except ValidationError as error:
        told = error.errors(include_url=False, include_context=False)
        lines = [
            f"{path}: {'.'.join(map(str, e['loc'])) or 'file'}: {e['msg'].removeprefix('Value error, ')}"
            for e in told
        ]
        raise EntriesError("\n".join(lines)) from error
    except (OSError, ValueError) as error:
        message = f"{path}: cannot be read: {error}"
        raise EntriesError(message) from error


def stored(link: Link, kind: Kind[Content]) -> list[Stored[Content]]:
    """All versions, in order."""
    rows = link.execute(sql.SQL(_STORED).format(sql.Identifier(kind.table)))
    return [
        Stored(version, from_hour, kind.model.model_validate(body))
        for version, from_hour, body in rows
    ]


def differences(old: Mapping[str, BaseModel], new: Mapping[str, BaseModel]) -> list[str]:
    """One line for each entry that is new, gone or changed."""
    was, now = _said(old), _said(new)
    lines = []
    for name in sorted(was.keys() | now.keys()):
        if name not in was:
            lines.append(f"+ {name}: {now[name]}")
        elif name not in now:
            lines.append(f"- {name}: {was[name]}")
        elif was[name] != now[name]:
            lines.append(f"~ {name}: {was[name]} -> {now[name]}")
    return lines


def _said(entries: Mapping[str, BaseModel]) -> dict[str, str]:
    told = {
        name: entry.model_dump(mode="json", exclude_defaults=True, exclude={"id"})
        for name, entry in entries.items()
    }
    return {
        name: ", ".join(f"{key} {value}" for key, value in one.items())
        for name, one in told.items()
    }


def load(
    link: Link,
    kind: Kind[Content],
    content: Content,
    *,
    author: str,
    reason: str,
    from_hour: int | None = None,
) -> Stored[Content] | None:
    """Store what a file adds as the next version; None where nothing is new. Raises EntriesError.

    It holds from the next full hour by the database's clock, or from `from_hour`: never from one that was told already.
    """
    with link.transaction():
        link.execute("SELECT pg_advisory_xact_lock(%s)", (HOUR_LOCK,))
        before = stored(link, kind)
        added = kind.news(link, before, content)
        if added is None:
            return None
        hour = _from_hour(link, before[-1].from_hour if before else 0, from_hour)
        version = before[-1].version + 1 if before else 1
        body = json.dumps(added.model_dump(mode="json"))
        link.execute(
            sql.SQL(_INSERT).format(sql.Identifier(kind.table)),
            (version, author, reason, added.content_hash(), hour, body),
        )
    return Stored(version, hour, added)


def _from_hour(link: Link, before: int, asked: int | None) -> int:
    told, now = link.execute(_LAST).fetchone(), link.execute(_NOW).fetchone()
    earliest = max(0 if told is None else int(told[0]) + HOUR_MS, before)
    if asked is None:
        following = 0 if now is None else int(now[0]) // HOUR_MS * HOUR_MS + HOUR_MS
        return max(following, earliest)
    if asked < earliest:
        message = (
            f"from {rfc3339(asked)} is too early: hours before {rfc3339(earliest)} are told, or older entries hold"
            " from there, and neither is changed"
        )
        raise EntriesError(message)
    return asked


# ---- Command line


def main(
    kind: Kind[Content],
    arguments: Sequence[str],
    parser: argparse.ArgumentParser,
    shown: Callable[[Link, argparse.Namespace], int] | None = None,
) -> int:
    """Do one verb; 1 where something is wrong, with a line for each mistake. `shown` does the verb `show`."""
    chosen = parser.parse_args(arguments)
    try:
        if shown is not None and chosen.verb == "show":
            with psycopg.connect(database_url(), autocommit=True) as link:
                return shown(link, chosen)
        content = read(chosen.file, kind.model)
        if chosen.verb == "check":
            tell(f"{chosen.file}: {len(kind.named(content))} entries: in order")
            return 0
        with psycopg.connect(database_url(), autocommit=True) as link:
            if chosen.verb == "diff":
                return _diff(link, kind, content, as_json=chosen.json)
            return _load(link, kind, content, chosen)
    except (EntriesError, MigrationError, SettingsError, psycopg.Error) as error:
        sys.stderr.write(f"{kind.verb}: {str(error).strip()}\n")
        return 1


def _diff(link: Link, kind: Kind[Content], content: Content, *, as_json: bool) -> int:
    before = stored(link, kind)
    holds = kind.so_far(before)
    added = kind.news(link, before, content)
    after = [] if added is None else [Stored(0, 0, added)]
    lines = differences(kind.named(holds), kind.named(kind.so_far([*before, *after])))
    version = before[-1].version if before else None
    if as_json:
        tell(json.dumps({"version": version, "differences": lines}, ensure_ascii=False))
    else:
        for line in lines:
            tell(line)
        told = "none is stored" if version is None else f"version {version}"
        tell(f"{len(lines)} differences from what was loaded last ({told})")
    return 1 if lines else 0


def _load(link: Link, kind: Kind[Content], content: Content, chosen: argparse.Namespace) -> int:
    added = load(
        link, kind, content, author=chosen.author, reason=chosen.reason, from_hour=chosen.from_hour
    )
    if added is None:
        tell("nothing is new: all of it is loaded already")
    else:
        digest = added.content.content_hash()[:12]
        tell(
            f"stored {kind.verb} {added.version} (hash {digest}): they hold from {rfc3339(added.from_hour)} on"
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


def tell(line: str) -> None:
    """A line for a person."""
    sys.stdout.write(f"{line}\n")


Verbs = argparse._SubParsersAction  # noqa: SLF001 - argparse has no other name for what takes a further verb


def parser_of(
    verb: str, description: str | None, epilog: str
) -> tuple[argparse.ArgumentParser, "Verbs[argparse.ArgumentParser]"]:
    """A parser with `check`, `diff` and `load`, and what takes a further verb."""
    parser = argparse.ArgumentParser(
        f"python -m processors {verb}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    checked = verbs.add_parser("check", help="say what is wrong with a file")
    compared = verbs.add_parser("diff", help="say what a file changes; 1 where anything differs")
    compared.add_argument("--json", action="store_true", help="one line of JSON")
    loaded = verbs.add_parser("load", help="store a file as the next version")
    for one in (checked, compared, loaded):
        one.add_argument("file", type=Path)
    loaded.add_argument("--author", default=getpass.getuser(), help="who; your login unless given")
    loaded.add_argument("--reason", required=True, help="why; kept beside the author")
    loaded.add_argument(
        "--from",
        dest="from_hour",
        type=_hour,
        metavar="HOUR",
        help="first full hour they hold for, 2027-01-01T00:00+08:00; the next one unless given",
    )
    return parser, verbs
