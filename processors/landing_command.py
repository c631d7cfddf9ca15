"""Where a unit's year lands: the forecast of the year-end amount, told each midnight, and tried on years that are over.

A projection is no verdict: it says what the year comes to if it goes on as it did, within an 80 % interval.
"""

import argparse
import csv
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path

import numpy as np

from processors.landing import Days, LandingError
from processors.landing_backtest import Told, Tried, limits, monthly, tried
from processors.landing_shown import headroom, landing_shown, render_landing
from processors.landing_store import LandingAwayError, last_landings
from processors.landing_years import Year, exact, resampled, simulated
from processors.ports import OutsideError
from processors.store import Store
from schemas.calendar import BUSINESS, year_of, year_start
from schemas.scale import OutOfRangeError, as_text, scaled
from schemas.settings import Settings, SettingsError

_EPILOG = """examples:
  python -m processors landing show 91510100SYN0000001                   where a unit's year lands, and what it can still use
  python -m processors landing backtest steel_industry_2018.csv          how far the forecast can be trusted
  python -m processors landing backtest --help                           what is tried, and how to read it"""

_BACKTEST = """Tries the forecast on years that are over, and prints how wrong it would have been.

FILE is a year of one meter, a row a quarter hour: columns `date` (D/M/YYYY HH:MM, the END of the quarter hour) and `Usage_kWh`.
Tried are: the file's own year (no earlier year is known: calendar pro-rata); years made of its weeks, each drawn from near its place
in the year; and simulated units (seasons, weekends, stops, a holiday that moves, steps), a process the forecast does not share.
Made years are tried twice: `seasonal`, with the year before as history, and `calendar`, without.

How to read it:
  error      half of the forecasts were off by less, in % of the year's true total; pro-rata: used so far x days of year / days gone
  interval   how wide the 80 % interval is, in % of the true total; covered: how often it held the true total, about 80 % is right
  warnings   limits are drawn from 90 to 110 % of the true total; looked at every 7 days until the limit is passed
    will break   even the low end of the interval is over the limit     (send this)
    may break    the expected year is over the limit                    (show this)
    pro-rata     what plain calendar pro-rata would have said
    days before  from the begin of the last unbroken warning to the day that passes the limit, median; a missed one counts 0
    missed       passed the limit and no warning stood;   late: it stood, for less than 14 days
    false        kept the limit, and was warned of at some look

examples:
  python -m processors landing backtest /data/steel_industry_2018.csv
  python -m processors landing backtest /data/steel_industry_2018.csv --years 500 --seed 7
  python -m processors landing backtest /data/steel_industry_2018.csv --json | jq '.tried[].coverage'

Exit codes: 0 printed; 1 the file cannot be used (says which row); 2 the words are wrong."""

_SHOW = """Prints where a unit's year lands against its quota and its CO2 budget, each alone, as the aggregator told it at the last business midnight, and its headroom:
what it can still use this year and this month, by the year as last told, and which limit binds first.

How to read it:
  year end     80 % interval around the expected value; a forecast is no verdict
  WILL BREAK   even the low end is above the quota;   MAY BREAK: the expected year is
  ON TRACK     the expected year keeps the quota, even if all that is not measured was the most it can have been
  burn         1 uses the quota (the budget) up on the last day of the year
  a day that still lands, headroom: low (safe) holds whatever is missing
  this month   the year's headroom at an even pace until the month's end
  binds first  of the quota, the CO2 budget and the limits (level 3) of its product lines that of which the least is left

examples:
  python -m processors landing show 91510100SYN0000001
  python -m processors landing show 91510100SYN0000001 --json | jq .headroom.this_month.low

Exit codes: 0 printed; 1 nothing was told of the unit, or the database is away; 2 the words are wrong."""

LABEL = "%d/%m/%Y %H:%M"
ROWS_A_DAY = 96


class FileError(Exception):
    """A file that no year can be read from; the message says where and why."""


def main(arguments: Sequence[str]) -> int:
    """Do one verb; 1 where the file cannot be used."""
    options = _parser().parse_args(arguments)
    work: Callable[[argparse.Namespace], int] = options.run
    try:
        return work(options)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (FileError, LandingError, LandingAwayError, OutsideError, SettingsError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


def read_year(path: Path) -> Days:
    """The days of a whole business year from a file of quarter hours, in 10⁻⁶ kWh. Raises FileError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as source:
            return _whole_year(path, _by_day(path, csv.DictReader(source)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        message = f"{path}: cannot be read: {error}"
        raise FileError(message) from error


def _by_day(path: Path, rows: Iterable[dict[str, str]]) -> dict[date, dict[str, int]]:
    """Amount of each label of each day; the quarter hour that ends at midnight is labelled with the day that ends."""
    days: dict[date, dict[str, int]] = {}
    for number, row in enumerate(rows, start=2):
        try:
            label = row["date"]
            day = datetime.strptime(label, LABEL).replace(tzinfo=BUSINESS).date()
            amount, _ = scaled(row["Usage_kWh"])
        except (KeyError, TypeError, ValueError, OutOfRangeError) as error:
            message = (
                f"{path}, row {number}: {error}: wanted are date (31/12/2018 23:45) and Usage_kWh"
            )
            raise FileError(message) from error
        if label in days.setdefault(day, {}):
            message = f"{path}, row {number}: {label} is there twice"
            raise FileError(message)
        days[day][label] = amount
    return days


def _whole_year(path: Path, days: dict[date, dict[str, int]]) -> Days:
    if not days:
        message = f"{path}: holds no rows"
        raise FileError(message)
    year = min(days).year
    length = (date(year + 1, 1, 1) - date(year, 1, 1)).days
    short = [day for day, rows in sorted(days.items()) if len(rows) != ROWS_A_DAY]
    if short or len(days) != length or max(days).year != year:
        what = f"{short[0]} has {len(days[short[0]])} rows of 96" if short else f"{len(days)} days"
        message = f"{path}: a whole year of quarter hours is needed: {what}"
        raise FileError(message)
    sums = [sum(rows.values()) for _, rows in sorted(days.items())]
    if not any(sums):
        message = f"{path}: nothing was used in the whole year"
        raise FileError(message)
    return exact(year_start(year), np.array(sums, dtype=np.int64))


def _show(options: argparse.Namespace) -> int:
    secret = Settings.read().database_url
    if secret is None:
        message = "WEIR_DATABASE_URL (or WEIR_DATABASE_URL_FILE) is not set"
        raise SettingsError(message)
    url = secret.get_secret_value()
    store = Store(url, patient=False)
    try:
        room = headroom(store.windows_of(options.unit), store.lines_of(options.unit))
    finally:
        store.close()
    last = last_landings(url, options.unit)
    if not last and room is None:
        sys.stderr.write(f"{options.unit}: nothing was told of such a unit yet\n")
        return 1
    told = landing_shown(options.unit, last, room)
    text = json.dumps(told, ensure_ascii=False) if options.json else render_landing(told)
    sys.stdout.write(f"{text}\n")
    return 0


def _backtest(options: argparse.Namespace) -> int:
    plant = read_year(options.file)
    alone = monthly(Year("plant", plant, ()), history=False)
    done = list(_tried(plant, options.years, options.seed))
    if options.json:
        told = {"seed": options.seed, "total_kwh": as_text(int(plant.best.sum()))}
        months = [_rounded(one) for one in alone]
        everything = {**told, "plant": months, "tried": [asdict(one) for one in done]}
        sys.stdout.write(json.dumps(everything, ensure_ascii=False) + "\n")
        return 0
    for line in (*_plant_lines(plant, alone), *_lines(done), f"seed {options.seed}"):
        sys.stdout.write(f"{line}\n")
    return 0


def _tried(plant: Days, count: int, seed: int) -> Iterator[Tried]:
    draws = np.random.default_rng(seed)
    made = [resampled(plant, draws) for _ in range(count)]
    units = [simulated(draws) for _ in range(count)]
    for years in (made, units):
        allowed = limits(years, draws)
        for history in (True, False):
            yield tried(years, allowed, history=history)


def _rounded(one: Told) -> dict[str, float | bool]:
    """Shares as per cent, one decimal."""
    return {
        "month": one.month,
        "error": round(100 * one.error, 1),
        "pro_rata": round(100 * one.pro_rata, 1),
        "width": round(100 * one.width, 1),
        "covered": one.covered,
    }


def _plant_lines(plant: Days, told: Sequence[Told]) -> Iterator[str]:
    year = year_of(plant.first)
    yield f"The file's own year {year}: {as_text(int(plant.best.sum()))} kWh; no earlier year, so calendar pro-rata"
    yield "  months gone   error %   80 % interval %   holds the true total"
    for one in told:
        yield f"  {one.month:11d} {100 * one.error:+9.1f} {100 * one.width:17.1f}   {'yes' if one.covered else 'no'}"
    held = sum(one.covered for one in told)
    yield f"  held by {held} of {len(told)} intervals"


def _lines(done: Sequence[Tried]) -> Iterator[str]:
    for one in done:
        yield ""
        yield f"{one.years} {one.kind} years, {one.basis}: the 80 % interval held the true total in {one.coverage:.1f} % of forecasts"
        yield "  months gone   error %   pro-rata error %   80 % interval %   covered %"
        for row in one.months:
            yield f"  {row.month:11d} {row.error:9.1f} {row.pro_rata:18.1f} {row.width:17.1f} {row.covered:11.1f}"
        yield "  warnings     days before (median)   missed   late      of crossing   false      of kept"
        for rule in one.rules:
            days = "-" if rule.median_days is None else f"{rule.median_days:.0f} d"
            yield f"  {rule.rule:10} {days:>22} {rule.missed:8d} {rule.late:6d} {rule.crossing:10d} units {rule.false_alarms:7d} {rule.kept:6d} units"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m processors landing",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    show = verbs.add_parser(
        "show",
        help="where a unit's year lands, and what it can still use",
        description=_SHOW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    show.add_argument("unit", help="the unit's 18-character code")
    show.add_argument("--json", action="store_true", help="one line of JSON")
    show.set_defaults(run=_show)
    backtest = verbs.add_parser(
        "backtest",
        help="how wrong the forecast would have been",
        description=_BACKTEST,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    backtest.add_argument("file", type=Path, metavar="FILE", help="a year of quarter hours, CSV")
    backtest.add_argument("--json", action="store_true", help="one line of JSON")
    backtest.add_argument(
        "--years", type=_count, default=200, metavar="N", help="made years of each kind (200)"
    )
    backtest.add_argument("--seed", type=_count, default=2026, help="of the made years (2026)")
    backtest.set_defaults(run=_backtest)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:  # noqa: PLR2004 - minutes of work
        message = f"{text!r} is no number from 1 to 10000"
        raise argparse.ArgumentTypeError(message)
    return int(text)
