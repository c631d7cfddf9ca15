"""Objections of enterprises to figures: a figure is contested, wherever it is shown, until another login decides with reasons.

A decision changes no figure: what is upheld is corrected as anything is, by readings or entries.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import date
from hashlib import sha256
from pathlib import Path

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from processors.migrate import MigrationError, database_url
from schemas.calendar import day_start, moment
from schemas.settings import SettingsError

Link = Connection[TupleRow]

_EPILOG = """examples:
  python -m processors objection file --unit 91510100SYN0000001 --window month --start 2026-10-01 --figure electricity \\
      --reason "meter E1 was tested on 10-12" --evidence protocol.pdf
  python -m processors objection list --unit 91510100SYN0000001
  python -m processors objection decide 3 --upheld --reason "protocol 7 confirms it"      another login, of weir_regulator or weir_steward

Objections of a month contest the year as well, those of a carrier the unit's energy and CO2. Exit codes: 0 done, 1 refused, 2 wrong words."""

_FILE = "SELECT file_objection(%s, %s, %s, %s, %s, %s)"
_DECIDE = "SELECT decide_objection(%s, %s, %s)"
_LIST = """
SELECT id, unit, window_kind, starts, figure, reason, evidence, filed_at, filed_by, upheld, decision, decided_at, decided_by
FROM objection_log WHERE %s::text IS NULL OR unit = %s ORDER BY id"""


def main(arguments: Sequence[str]) -> int:
    """File, decide or list."""
    chosen = _parser().parse_args(arguments)
    try:
        with psycopg.connect(database_url(), autocommit=True) as link:
            if chosen.verb == "file":
                return _file(link, chosen)
            if chosen.verb == "decide":
                link.execute(_DECIDE, (chosen.objection, chosen.upheld, chosen.reason))
                _tell(
                    f"objection {chosen.objection} is {'upheld' if chosen.upheld else 'rejected'}"
                )
                return 0
            return _list(link, chosen)
    except psycopg.Error as error:
        sys.stderr.write(f"objection: {error.diag.message_primary or str(error).strip()}\n")
        return 1
    except (MigrationError, SettingsError, OSError) as error:
        sys.stderr.write(f"objection: {error}\n")
        return 1


def _file(link: Link, chosen: argparse.Namespace) -> int:
    digest = sha256(chosen.evidence.read_bytes()).hexdigest()
    start = moment(day_start(chosen.start))
    row = link.execute(
        _FILE, (chosen.unit, chosen.window, start, chosen.figure, chosen.reason, digest)
    ).fetchone()
    _tell(
        f"objection {row and row[0]}: {chosen.figure} of {chosen.unit}, {chosen.window} from {chosen.start}, is contested until it is decided"
    )
    return 0


def _list(link: Link, chosen: argparse.Namespace) -> int:
    cursor = link.execute(_LIST, (chosen.unit, chosen.unit))
    names = [column.name for column in cursor.description or ()]
    rows = [dict(zip(names, row, strict=True)) for row in cursor]
    if chosen.json:
        _tell(json.dumps(rows, default=str, ensure_ascii=False))
        return 0
    for row in rows:
        state = "contested"
        if row["upheld"] is not None:
            word = "upheld" if row["upheld"] else "rejected"
            state = f"{word} by {row['decided_by']}, {row['decided_at']:%Y-%m-%d %H:%M}: {row['decision']}"
        what = f"{row['figure']} of {row['unit']}, {row['window_kind']} from {row['starts']:%Y-%m-%d %H:%M %Z}"
        who = f"{row['filed_by']}, {row['filed_at']:%Y-%m-%d %H:%M}: {row['reason']} (evidence {row['evidence'][:12]})"
        _tell(f"{row['id']}  {what}; {who}; {state}")
    _tell(f"{len(rows)} objections")
    return 0


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m processors objection",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    filed = verbs.add_parser("file", help="contest a figure that was told")
    filed.add_argument("--unit", required=True, metavar="CODE")
    filed.add_argument("--window", choices=("day", "month", "year"), required=True)
    filed.add_argument("--start", type=date.fromisoformat, required=True, metavar="DAY")
    filed.add_argument(
        "--figure",
        required=True,
        help="energy, co2, process, electricity, raw_coal, heat, output ...",
    )
    filed.add_argument("--reason", required=True, help="why; kept with your database login")
    filed.add_argument(
        "--evidence", type=Path, required=True, metavar="FILE", help="its SHA-256 is kept"
    )
    decided = verbs.add_parser("decide", help="decide an objection; not by the login that filed it")
    decided.add_argument("objection", type=int, metavar="N")
    how = decided.add_mutually_exclusive_group(required=True)
    how.add_argument("--upheld", action="store_true", help="the figure is to be corrected")
    how.add_argument("--rejected", action="store_true", help="the figure stands")
    decided.add_argument("--reason", required=True, help="why; kept with your database login")
    listed = verbs.add_parser("list", help="objections, and what became of them")
    listed.add_argument("--unit", metavar="CODE")
    listed.add_argument("--json", action="store_true", help="one line of JSON")
    return parser
