"""Declared stops and maintenances of units: while one lasts, alerts about missing data of the unit wait. No figure and no verdict changes.

Units declare theirs by MQTT or Kafka (`python -m ingest schema --stop`); here a database login does, of the unit or of the regulator.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow
from pydantic import ValidationError

from processors.migrate import MigrationError, database_url
from processors.stop_store import declare
from schemas.calendar import BUSINESS
from schemas.feedback import DO_OF_STOPS
from schemas.settings import SettingsError
from schemas.stop import DeclaredStop, lines_of

Link = Connection[TupleRow]

_EPILOG = """examples:
  python -m processors stop declare 91510100SYN0000001 --id 2026-kiln --kind maintenance --from 2026-12-01T08:00+08:00 \\
      --until 2026-12-05T08:00+08:00 --point E1 --evidence notice.pdf --by "Li, shift leader"
  python -m processors stop declare 91510100SYN0000001 --id 2026-kiln ... --until 2026-12-03T08:00+08:00    over sooner: the same id again
  python -m processors stop withdraw 91510100SYN0000001 --id 2026-kiln --by "Li, shift leader" --reason "not carried out"
  python -m processors stop list --unit 91510100SYN0000001

A stop that is declared late takes back what was told of silence that began in it. What it does not cover is told as ever.
Exit codes: 0 done, 1 refused, and why was said, 2 wrong words."""

_LIST = """
SELECT unit, name, kind, starts, ends, points, evidence, declared_by, reason, door, login, entered_at, withdrawn, told
FROM stop_declared WHERE %s::text IS NULL OR unit = %s ORDER BY starts, unit, name"""
_HELD = """
SELECT kind, starts, ends, points, evidence FROM stop_declared WHERE unit = %s AND name = %s"""


def main(arguments: Sequence[str]) -> int:
    """Declare, withdraw or list."""
    chosen = _parser().parse_args(arguments)
    try:
        with psycopg.connect(database_url(), autocommit=True) as link:
            if chosen.verb == "list":
                return _list(link, chosen)
            return _enter(link, chosen)
    except psycopg.Error as error:
        return _refused(error.diag.message_primary or str(error).strip())
    except ValidationError as error:
        return _refused("\n".join(lines_of(error)))
    except (MigrationError, SettingsError, OSError) as error:
        return _refused(str(error))


def _refused(reason: str) -> int:
    sys.stderr.write(f"stop: {reason}\n")
    return 1


def _enter(link: Link, chosen: argparse.Namespace) -> int:
    stop = _declared(chosen) if chosen.verb == "declare" else _withdrawn(link, chosen)
    if stop is None:
        return _refused(f"{chosen.unit}: nothing is declared as {chosen.id}")
    reason = declare(link, chosen.unit, stop)
    if reason is not None:
        do = DO_OF_STOPS.get(reason.partition(":")[0], "")
        return _refused(f"{chosen.unit}: {reason}" + (f" ({do})" if do else ""))
    if stop.withdrawn:
        _tell(f"{stop.id} of {chosen.unit} is withdrawn")
    else:
        what = ", ".join(stop.points) or "all points"
        _tell(
            f"{stop.kind} {stop.id} of {chosen.unit} ({what}): from {stop.begins} until {stop.ends}"
        )
    return 0


def _declared(chosen: argparse.Namespace) -> DeclaredStop:
    return DeclaredStop(
        id=chosen.id,
        kind=chosen.kind,
        begins=chosen.begins,
        ends=chosen.ends,
        points=tuple(chosen.point),
        evidence=_evidence(chosen.evidence),
        by=chosen.by,
        reason=chosen.reason,
    )


def _evidence(told: str) -> str:
    """Of a file its name and SHA-256; else what was said."""
    path = Path(told)
    if not path.is_file():
        return told
    return f"{path.name}, SHA-256 {sha256(path.read_bytes()).hexdigest()}"


def _withdrawn(link: Link, chosen: argparse.Namespace) -> DeclaredStop | None:
    row = link.execute(_HELD, (chosen.unit, chosen.id)).fetchone()
    if row is None:
        return None
    kind, starts, ends, points, evidence = row
    return DeclaredStop(
        id=chosen.id,
        kind=kind,
        begins=starts,
        ends=ends,
        points=tuple(points),
        evidence=evidence,
        by=chosen.by,
        reason=chosen.reason,
        withdrawn=True,
    )


def _list(link: Link, chosen: argparse.Namespace) -> int:
    cursor = link.execute(_LIST, (chosen.unit, chosen.unit))
    names = [column.name for column in cursor.description or ()]
    rows = [dict(zip(names, row, strict=True)) for row in cursor]
    if chosen.json:
        _tell(json.dumps(rows, default=str, ensure_ascii=False))
        return 0
    for row in rows:
        state = "; withdrawn" if row["withdrawn"] else "" if row["told"] else "; not told yet"
        span = f"{_moment(row['starts'])} to {_moment(row['ends'])}"
        points = ", ".join(row["points"]) or "all points"
        who = (
            f"by {row['declared_by']} ({row['door']}, {row['login']}), {_moment(row['entered_at'])}"
        )
        _tell(
            f"{row['unit']} {row['name']}: {row['kind']} {span}, {points}; {who}; evidence {row['evidence']}{state}"
        )
    _tell(f"{len(rows)} declarations")
    return 0


def _moment(at: datetime) -> str:
    return f"{at.astimezone(BUSINESS):%Y-%m-%dT%H:%M%z}"


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if at.tzinfo is None:
        message = f"{text} lacks its offset, such as +08:00"
        raise argparse.ArgumentTypeError(message)
    return at


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m processors stop",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    declared = verbs.add_parser("declare", help="declare one; the same id again replaces it")
    withdrawn = verbs.add_parser("withdraw", help="it does not take place")
    for verb in (declared, withdrawn):
        verb.add_argument("unit", metavar="CODE")
        verb.add_argument("--id", required=True, help="the unit's own name for it")
        verb.add_argument("--by", required=True, metavar="WHO", help="who declares it; kept")
        verb.add_argument("--reason", default="", help="why; kept with your database login")
    declared.add_argument("--kind", choices=("stop", "maintenance"), default="stop")
    declared.add_argument(
        "--from", dest="begins", type=_instant, required=True, metavar="INSTANT", help="its begin"
    )
    declared.add_argument(
        "--until", dest="ends", type=_instant, required=True, metavar="INSTANT", help="its end"
    )
    declared.add_argument(
        "--point", action="append", default=[], help="a point of the unit, again for more; else all"
    )
    declared.add_argument(
        "--evidence", required=True, help="what proves it; of a file its SHA-256 is kept"
    )
    listed = verbs.add_parser("list", help="what is declared")
    listed.add_argument("--unit", metavar="CODE")
    listed.add_argument("--json", action="store_true", help="one line of JSON")
    return parser
