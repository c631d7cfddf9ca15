"""Levels of regions and industries in double control, energy and carbon side by side, and what moved the last one.

Reads one file of regions, members, figures and targets; asks no server.
"""

import argparse
import json
import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from processors.double_control import TreeError, against_year, allowed_until, held_to, schedule_of
from processors.levels import Reading, Waterfall, last_change, read
from schemas.double_control import Amount, DoubleControl
from schemas.scale import as_text

_EPILOG = """examples:
  python -m processors barometer deploy/example/double-control.toml
  python -m processors barometer figures.json --json

The file is TOML or JSON (numbers as text, "1200.5"; days as 2026-04-01; periods are [first, until)):
  evaluate = [2026-04-01]       days of judgement: all before each, as known on it
  [[regions]]      code, name, level (province, city, county), parent; valid_from, valid_to
  [[members]]      unit, county, industry, unit_class (百家, 千家, 万家), valid_from; valid_to, quantities (what it owes figures of)
  [[figures]]      unit, quantity (energy, co2, coal, oil: t), first, until, amount or low best high, known_on; revision, cause,
                   part (gross, feedstock, non-fossil) and evidence of a deduction
  [[targets]]      id, scope ("city:510400", "industry:31", "city:510400+industry:31"), quantity, kind (total, intensity),
                   covers (key units, whole society), base_year, base, end_year, change ("-0.17"), source;
                   net_of, prices_of (an intensity's), schedule, known_on
  [[schedules]]    id, weights (12), source
  [[value_added]]  scope, covers, prices_of, first, until, amount (10⁴ CNY) or low best high, known_on, status, source; revision
  [[remainders]]   scope, quantity, first, until, amount or low best high, known_on, source; revision
  [[levels]]       level rules of your own, before ours (schemas/packs/levels/barometer.toml)"""


class FileError(ValueError):
    """A file that cannot be used, with every mistake in it: one line each."""


def main(arguments: Sequence[str]) -> int:
    """Print levels and the last change; 1 where the file is wrong, with a line for each mistake."""
    options = _parser().parse_args(arguments)
    try:
        world = load(options.file)
        told = [read(world, name) for name in dict.fromkeys(t.id for t in world.targets)]
    except (FileError, TreeError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    try:
        lines = [json.dumps(_as_json(world, told), ensure_ascii=False)]
        for line in lines if options.json else _lines(world, told):
            sys.stdout.write(f"{line}\n")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def load(path: Path) -> DoubleControl:
    """The file's content, checked. Raises FileError."""
    try:
        text = path.read_text(encoding="utf-8")
        is_json = path.suffix == ".json"
        told = (
            json.loads(text, parse_float=str) if is_json else tomllib.loads(text, parse_float=str)
        )
        return DoubleControl.model_validate(told)
    except ValidationError as error:
        told_errors = error.errors(include_url=False)
        lines = [f"{path}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in told_errors]
        raise FileError("\n".join(lines)) from error
    except (OSError, ValueError) as error:
        message = f"{path}: cannot be read: {error}"
        raise FileError(message) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m processors barometer",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", type=Path, help="TOML, or JSON by its name (.json)")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    return parser


def _lines(world: DoubleControl, told: Sequence[Sequence[Reading]]) -> list[str]:
    lines: list[str] = []
    for readings in told:
        if readings:
            lines.extend([*_target_lines(world, readings), ""])
    return [*lines, "levels: 1 very severe, 2 rather severe, 3 basically smooth; amounts in t"]


def _target_lines(world: DoubleControl, readings: Sequence[Reading]) -> list[str]:
    last = readings[-1]
    target, rule = last.stands.target, last.rule
    owner = (
        ""
        if rule is None
        else f", rule {rule.id} ({'ours' if rule.ours else 'own'}, {rule.status})"
    )
    lines = [
        f"{target.id}: {target.scope}, {target.quantity} {target.kind} of {target.covers}{owner}"
    ]
    lines.extend(f"  {_row(world, reading)}" for reading in readings)
    change = last_change(readings)
    return [*lines, *(_waterfall_lines(change) if change else ["  the level never changed"])]


def _row(world: DoubleControl, reading: Reading) -> str:
    row = _reading(world, reading)
    level = f"level {reading.level}" if reading.level else f"no data ({reading.reason})"
    verdicts = f"calendar {row['calendar']}, seasonal {row['seasonal']}, year {row['year']}"
    return (
        f"{row['on']}  {level:<34} {row['figure_of']} {_interval(reading.stands.used)}  {verdicts}"
    )


def _interval(amount: Amount) -> str:
    low, best, high = (as_text(end) for end in (amount.low, amount.best, amount.high))
    return str(best) if low == high else f"[{low}, {best}, {high or 'unknown'}]"


def _waterfall_lines(change: Waterfall) -> list[str]:
    old, new = change.before, change.after
    levels = f"{old.level or 'no data'} -> {new.level or 'no data'}"
    lines = [
        f"  last change {old.stands.on} -> {new.stands.on}: {levels}; used less allowed moved by"
    ]
    for line in (*change.lines, change.change):
        moved = _interval(Amount(line.low, line.best, line.high))
        name = " ".join(part for part in (line.unit, line.part, line.cause) if part)
        lines.append(f"    {moved:>24}  {name}")
    return [*lines, *(["    (the level rule changed)"] if change.rule_changed else [])]


def _reading(world: DoubleControl, reading: Reading) -> dict[str, str | int | None]:
    stands = reading.stands
    seasonal = schedule_of(world, stands.target)
    calendar = _said(held_to(stands, allowed_until(stands, None)))
    season = "none" if seasonal is None else _said(held_to(stands, allowed_until(stands, seasonal)))
    ends = {name: as_text(getattr(stands.used, name)) for name in ("low", "best", "high")}
    said = {"calendar": calendar, "seasonal": season, "year": _said(against_year(stands))}
    return {
        "on": stands.on.isoformat(),
        "level": reading.level,
        "reason": reading.reason,
        "figure_of": stands.figure_of,
        "limit_of_year": as_text(stands.limit),
        **ends,
        **said,
    }


def _said(judged: tuple[str, str]) -> str:
    return f"{judged[0]} ({judged[1]})" if judged[1] else judged[0]


def _as_json(world: DoubleControl, told: Sequence[Sequence[Reading]]) -> list[dict[str, object]]:
    return [_target_json(world, readings) for readings in told if readings]


def _target_json(world: DoubleControl, readings: Sequence[Reading]) -> dict[str, object]:
    target, rule, change = readings[-1].stands.target, readings[-1].rule, last_change(readings)
    return {
        "target": target.model_dump(mode="json"),
        "rule": rule and rule.model_dump(mode="json"),
        "readings": [_reading(world, reading) for reading in readings],
        "last_change": change and _change_json(change),
    }


def _change_json(change: Waterfall) -> dict[str, object]:
    rows = [
        {
            "unit": line.unit,
            "part": line.part,
            "cause": line.cause,
            **{name: as_text(getattr(line, name)) for name in ("low", "best", "high")},
        }
        for line in (*change.lines, change.change)
    ]
    return {
        "from": [change.before.stands.on.isoformat(), change.before.level],
        "to": [change.after.stands.on.isoformat(), change.after.level],
        "rule_changed": change.rule_changed,
        "lines": rows[:-1],
        "change": rows[-1],
    }
