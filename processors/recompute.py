"""Work units out again from their readings: look first (`--dry-run`), then let the stream do it.

A restatement is a control record in the log: the unit's figures become those of all its readings below it, and are told
again. It takes the unit whole; --from and --to say which days a dry run reports. Asked twice, it changes nothing more.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import date

import psycopg
from kafka import KafkaProducer
from kafka.errors import KafkaError

from processors.acts import remember
from processors.audit import Audit, audit, within
from processors.ports import OutsideError
from processors.rebuild import Rebuilding
from processors.restater import send_restated
from processors.store import Store
from schemas.calendar import HOUR_MS, rfc3339
from schemas.factors import default_pack
from schemas.scale import as_text
from schemas.settings import Settings, SettingsError

_PATIENCE_SECONDS = 600.0
_EPOCH = date(1970, 1, 1)
_SHOWN = 20


def main(arguments: Sequence[str]) -> int:
    """0: nothing differs, or it was done; 1: something differs, or it could not be done; 2: the words are wrong."""
    chosen = _parser().parse_args(arguments)
    settings = Settings.read()
    if settings.database_url is None:
        sys.stderr.write("recompute: no database named: set WEIR_DATABASE_URL\n")
        return 2
    store = Store(settings.database_url.get_secret_value(), patient=False)
    try:
        if chosen.dry_run:
            return _look(store, chosen)
        return _restate(store, settings, chosen)
    except (OutsideError, LookupError, SettingsError, KafkaError, psycopg.Error) as error:
        sys.stderr.write(f"recompute: {str(error).strip() or type(error).__name__}\n")
        return 1
    finally:
        store.close()


def _look(store: Store, chosen: argparse.Namespace) -> int:
    found = [
        within(look_at(store, unit, say=_progress), _day(chosen.first), _day(chosen.last))
        for unit in chosen.unit
    ]
    if chosen.json:
        sys.stdout.write(json.dumps([_told(one) for one in found]) + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for one in found for line in _lines(one))
    return 0 if all(one.in_order for one in found) else 1


def look_at(store: Store, unit: str, *, say: Callable[[str], None] = lambda _: None) -> Audit:
    """Work a unit out beside the stream and compare. Raises LookupError for a unit without a state."""
    kept, days = store.kept(unit)
    work = Rebuilding(kept.asked, store.factor_pack() or default_pack())
    for number, (day, rows) in enumerate(days, start=1):
        work.take([(day, rows)])
        say(f"{unit}: day {number} of {len(days)}")
    return audit(unit, (kept.hours, kept.gaps, kept.ends), work.result())


def _told(found: Audit) -> dict[str, object]:
    return asdict(found) | {"in_order": found.in_order}


def _lines(found: Audit) -> Iterable[str]:
    if found.in_order:
        yield f"{found.unit}: {found.hours} hours, nothing differs"
        return
    yield (
        f"{found.unit}: {len(found.differences)} of {found.hours} hours differ, {found.gaps} gaps, "
        f"points' ends {'the same' if found.ends else 'differ'}, {found.not_counted} readings would count"
    )
    for one in found.differences[:_SHOWN]:
        kept, made = as_text(one.kept), as_text(one.worked_out)
        yield f"  {rfc3339(one.hour * HOUR_MS)} {one.quantity}: kept {kept}, worked out {made} (best, in its unit of measure)"
    if len(found.differences) > _SHOWN:
        yield f"  and {len(found.differences) - _SHOWN} more; --json tells all"


def _restate(store: Store, settings: Settings, chosen: argparse.Namespace) -> int:
    """Send the control records, and wait until the stream has done what they say."""
    gone = [unit for unit in chosen.unit if not store.is_recomputable(unit)]
    if gone:
        message = f"{', '.join(gone)}: no longer recomputable: records of the time that it was valid are gone (`retention plan` says since when)"
        raise LookupError(message)
    partitions = {unit: store.kept_in(unit) for unit in chosen.unit}
    before = {unit: store.restated_at(unit) for unit in chosen.unit}
    with psycopg.connect(store.url) as link:
        remember(link, "recompute", {"units": chosen.unit}, reason=chosen.reason)
    producer = KafkaProducer(
        bootstrap_servers=settings.kafka.split(","), **settings.kafka_client(), acks="all"
    )
    try:
        for unit, partition in partitions.items():
            send_restated(producer, settings.readings_topic, (unit, 0), partition)
    finally:
        producer.close()
    return _wait(store, chosen.unit, before)


def _wait(store: Store, units: Sequence[str], before: dict[str, tuple[int, int]]) -> int:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    left = list(units)
    while left and time.monotonic() < deadline:
        left = [unit for unit in left if store.restated_at(unit) <= before[unit]]
        _progress(f"{len(units) - len(left)} of {len(units)} restated")
        if left:
            time.sleep(0.5)
    if left:
        sys.stderr.write(
            f"recompute: {', '.join(left)}: not restated within {_PATIENCE_SECONDS:.0f} s: the record is in the log, "
            "and the worker does it when it comes there; see `python -m deploy.services status`\n"
        )
        return 1
    sys.stdout.write(f"{len(units)} restated\n")
    return 0


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r{line}\x1b[K")


def _day(told: date | None) -> int | None:
    return None if told is None else (told - _EPOCH).days


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m processors recompute",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--unit", action="append", required=True, metavar="CODE", help="may be told several times"
    )
    parser.add_argument(
        "--from", dest="first", type=date.fromisoformat, metavar="DAY", help="such as 2026-11-01"
    )
    parser.add_argument(
        "--to", dest="last", type=date.fromisoformat, metavar="DAY", help="the last day, included"
    )
    parser.add_argument("--dry-run", action="store_true", help="compare, and change nothing")
    parser.add_argument("--reason", default="recompute", help="kept with the act")
    parser.add_argument("--json", action="store_true", help="of a dry run: one line of JSON")
    return parser
