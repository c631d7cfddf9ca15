"""What is old and not needed any more: say it, drop it, or hold it.

`python -m processors retention plan | apply [--json]`, `hold --unit U | --region R --from DAY [--to DAY] --reason ...`,
`lift NUMBER --reason ...`, `holds`
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from datetime import date

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from processors.ageing import instant_of
from processors.migrate import MigrationError, database_url
from processors.old_rows import CHUNKED, HOLDS, LOCK, DropError, Share, apply, plan
from schemas.retention import Retention, RetentionError, read_retention
from schemas.settings import Settings, SettingsError

Link = Connection[TupleRow]


class HoldError(Exception):
    """What was asked for cannot be done; the message says why."""


# ---- Holds


def hold(
    link: Link,
    *,
    unit: str | None,
    region: str | None,
    first: date,
    last: date | None,
    reason: str,
) -> int:
    """Enter a hold; its number. Waits for what is being dropped. Raises HoldError."""
    with link.transaction():
        link.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        known = link.execute(
            "SELECT (SELECT id FROM unit WHERE code = %s), (SELECT code FROM region WHERE code = %s)",
            (unit, region),
        ).fetchone()
        if known is None or (known[0] is None) == (known[1] is None):
            message = f"there is no {f'unit {unit}' if unit else f'region {region}'}"
            raise HoldError(message)
        row = link.execute(
            "INSERT INTO hold (unit, region, from_day, to_day, reason) VALUES (%s, %s, %s, %s, %s) RETURNING id",
            (*known, first, last, reason),
        ).fetchone()
    return int(row[0]) if row else 0


def lift(link: Link, number: int, *, reason: str) -> None:
    """End a hold. Raises HoldError where it is none, or was ended before."""
    lifted = link.execute(
        "UPDATE hold SET lifted_at = clock_timestamp(), lifted_by = session_user, lift_reason = %s"
        " WHERE id = %s AND lifted_at IS NULL",
        (reason, number),
    )
    if not lifted.rowcount:
        message = f"there is no hold {number} that holds; `holds` names them"
        raise HoldError(message)


# ---- Command line


def main(arguments: Sequence[str]) -> int:
    """Do one verb; 1 where something is wrong, with a word on it."""
    chosen = _parser().parse_args(arguments)
    try:
        settings = read_retention(Settings.read().retention)
        with psycopg.connect(database_url(), autocommit=True) as link:
            _VERBS[chosen.verb](link, chosen, settings)
    except (
        HoldError,
        DropError,
        RetentionError,
        MigrationError,
        SettingsError,
        psycopg.Error,
    ) as error:
        for line in str(error).strip().splitlines():
            sys.stderr.write(f"retention: {line}\n")
        return 1
    return 0


def _plan(link: Link, chosen: argparse.Namespace, settings: Retention) -> None:
    _show(plan(link, settings, at=_at(chosen)), settings, "may go", as_json=chosen.json)


def _apply(link: Link, chosen: argparse.Namespace, settings: Retention) -> None:
    _show(apply(link, settings, at=_at(chosen)), settings, "went", as_json=chosen.json)


def _at(chosen: argparse.Namespace) -> int:
    return instant_of(chosen.at) if chosen.at else time.time_ns() // 1_000_000


def _show(shares: Sequence[Share], settings: Retention, word: str, *, as_json: bool) -> None:
    if as_json:
        told = {"settings": settings.version, "kinds": [share.told() for share in shares]}
        _tell(json.dumps(told, ensure_ascii=False))
        return
    _tell(f"settings {settings.version}")
    for share in shares:
        _tell(f"{share.kind:12} {_sentence(share, word)}")
        for kept in share.kept:
            _tell(f"{'':12}   stays: {kept.chunk.first} to {kept.chunk.after}: {kept.why}")


def _sentence(share: Share, word: str) -> str:
    if share.before is None:
        return share.decided_by
    days = f", {len(share.chunks)} chunks" if share.kind in CHUNKED else ""
    return (
        f"{share.rows:,} rows, about {share.bytes:,} bytes{days} {word}: before {share.before}"
        f" ({share.decided_by})"
    )


def _hold(link: Link, chosen: argparse.Namespace, _: Retention) -> None:
    number = hold(
        link,
        unit=chosen.unit,
        region=chosen.region,
        first=chosen.first,
        last=chosen.last,
        reason=chosen.reason,
    )
    _tell(f"hold {number} is entered")


def _lift(link: Link, chosen: argparse.Namespace, _: Retention) -> None:
    lift(link, chosen.number, reason=chosen.reason)
    _tell(f"hold {chosen.number} is lifted")


def _holds(link: Link, chosen: argparse.Namespace, _: Retention) -> None:
    cursor = link.execute(HOLDS)
    names = [
        "number",
        "whose",
        "from",
        "to",
        "reason",
        "entered_by",
        "entered_at",
        "lifted_at",
        "lifted_by",
        "lift_reason",
    ]
    found = [dict(zip(names, row, strict=True)) for row in cursor]
    if chosen.json:
        _tell(json.dumps(found, default=str, ensure_ascii=False))
        return
    for one in found:
        end = one["to"] or "without end"
        lifted = f"; lifted by {one['lifted_by']}: {one['lift_reason']}" if one["lifted_at"] else ""
        _tell(
            f"{one['number']}  {one['whose']}  {one['from']} to {end}  {one['entered_by']}: {one['reason']}{lifted}"
        )
    _tell(f"{sum(one['lifted_at'] is None for one in found)} holds")


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


_VERBS = {"plan": _plan, "apply": _apply, "hold": _hold, "lift": _lift, "holds": _holds}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m processors retention",
        description=__doc__,
        epilog="Run `apply` once a day (deploy/OPERATIONS.md has a timer). Settings: schemas/retention.toml, or WEIR_RETENTION.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, summary in (
        ("plan", "what may go, how much, and what stays and why"),
        ("apply", "drop it"),
    ):
        verb = verbs.add_parser(name, help=summary)
        verb.add_argument("--at", type=date.fromisoformat, metavar="DAY", help="as if it were then")
        verb.add_argument("--json", action="store_true", help="for machines")
    held = verbs.add_parser("hold", help="nothing of a unit or region goes")
    whose = held.add_mutually_exclusive_group(required=True)
    whose.add_argument("--unit", help="18-character code")
    whose.add_argument("--region", help="code of the registry")
    held.add_argument("--from", dest="first", type=date.fromisoformat, required=True, metavar="DAY")
    held.add_argument(
        "--to", dest="last", type=date.fromisoformat, metavar="DAY", help="else without end"
    )
    lifted = verbs.add_parser("lift", help="end a hold")
    lifted.add_argument("number", type=int)
    for verb in (held, lifted):
        verb.add_argument("--reason", required=True, help="why; kept beside your login")
    verbs.add_parser("holds", help="all of them").add_argument(
        "--json", action="store_true", help="for machines"
    )
    return parser
