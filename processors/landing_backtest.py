"""How well a landing would have been told: years that are over, projected as of instants within them.

Everything is a function of the years; figures are rounded where they are printed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from processors.landing import Basis, Days, Floats, Landing, landing, warning
from processors.landing_years import Year, exact
from schemas.calendar import BUSINESS, DAY_MS, instant, year_of

EVERY = 7
"""Days between two looks at whether a unit is warned of."""

TWO_WEEKS = 14

RULES = ("will break", "may break", "pro-rata")
"""Low end over the limit; expected year over the limit; plain calendar pro-rata over the limit."""


@dataclass(frozen=True, slots=True)
class Told:
    """One forecast of one year, as shares of the year's true total."""

    month: int
    """Whole months gone."""

    error: float
    """Expected − true."""

    pro_rata: float
    """Error of used so far × days of the year / days gone."""

    width: float
    covered: bool


@dataclass(frozen=True, slots=True)
class Warned:
    """What one rule would have done for one unit and limit."""

    rule: str
    crosses: bool
    days: int | None
    """From the begin of the last unbroken warning to the day that passes the limit; None: none stood, or it never passes."""

    ever: bool
    """Warned at any look."""


def as_of(year: Year, gone: int, limit: int, *, history: bool) -> Landing:
    """What is told when `gone` days of the year are over."""
    days = exact(year.days.first, year.days.best[:gone])
    return landing(days, at=days.end, limit=limit, earlier=year.earlier if history else ())


def monthly(year: Year, *, history: bool) -> list[Told]:
    """Forecasts at the end of January to November."""
    return [_told(year, month, history=history) for month in range(1, 12)]


def _told(year: Year, month: int, *, history: bool) -> Told:
    true = int(year.days.best.sum())
    gone = _days_gone(year.days, month)
    told = as_of(year, gone, true, history=history).projection
    if told is None or told.year_end.high is None:
        message = f"no projection after {gone} whole measured days"
        raise AssertionError(message)
    end = told.year_end
    pro_rata = int(year.days.best[:gone].sum()) * len(year.days.best) / gone
    return Told(
        month,
        (end.best - true) / true,
        (pro_rata - true) / true,
        (told.year_end.high - end.low) / true,
        end.low <= true <= told.year_end.high,
    )


def _days_gone(days: Days, month: int) -> int:
    begun = instant(datetime(year_of(days.first), month + 1, 1, tzinfo=BUSINESS))
    return (begun - days.first) // DAY_MS


def warned(year: Year, limit: int, *, history: bool) -> list[Warned]:
    """What each rule would have done, looked at every EVERY days."""
    used = np.cumsum(year.days.best)
    over = np.flatnonzero(used > limit)
    crossing = int(over[0]) if over.size else len(used)
    looks = range(EVERY, crossing + 1, EVERY)
    states: dict[str, list[bool]] = {rule: [] for rule in RULES}
    for gone in looks:
        level = warning(as_of(year, gone, limit, history=history))
        states["will break"].append(level == "will break")
        states["may break"].append(level is not None)
        states["pro-rata"].append(int(used[gone - 1]) * len(used) > limit * gone)
    return [
        Warned(
            rule, bool(over.size), _days(seen, looks, crossing) if over.size else None, any(seen)
        )
        for rule, seen in states.items()
    ]


def _days(seen: Sequence[bool], looks: range, crossing: int) -> int | None:
    """Days from the begin of the unbroken warning that stood at the crossing."""
    begun = len(seen)
    while begun and seen[begun - 1]:
        begun -= 1
    return crossing - looks[begun] if begun < len(seen) else None


@dataclass(frozen=True, slots=True)
class MonthRow:
    """Median error without sign and coverage of the forecasts of one month, in per cent."""

    month: int
    error: float
    pro_rata: float
    width: float
    covered: float


def by_month(told: Sequence[Told]) -> list[MonthRow]:
    """One row for each month."""
    return [_row(month, [one for one in told if one.month == month]) for month in range(1, 12)]


def _row(month: int, told: Sequence[Told]) -> MonthRow:
    return MonthRow(
        month,
        _median([abs(one.error) for one in told]),
        _median([abs(one.pro_rata) for one in told]),
        _median([one.width for one in told]),
        coverage(told),
    )


def _median(shares: Sequence[float]) -> float:
    return round(100 * float(np.median(shares)), 1)


def coverage(told: Sequence[Told]) -> float:
    """Per cent of the forecasts whose interval holds the true total."""
    return round(100 * sum(one.covered for one in told) / len(told), 1)


@dataclass(frozen=True, slots=True)
class RuleRow:
    """What one rule did over many units."""

    rule: str
    crossing: int
    median_days: float | None
    """Half of the units that cross were warned of so long before; a missed one counts 0."""

    missed: int
    """Cross, and no warning stood."""

    late: int
    """Cross, and the warning that stood was younger than TWO_WEEKS."""

    kept: int
    false_alarms: int
    """Kept the limit, and were warned of at some look."""


def by_rule(seen: Sequence[Warned]) -> list[RuleRow]:
    """One row for each rule."""
    return [_rule(rule, [one for one in seen if one.rule == rule]) for rule in RULES]


def _rule(rule: str, seen: Sequence[Warned]) -> RuleRow:
    crossing = [one for one in seen if one.crosses]
    kept = [one for one in seen if not one.crosses]
    days = [one.days or 0 for one in crossing]
    return RuleRow(
        rule,
        len(crossing),
        float(np.median(days)) if days else None,
        sum(one.days is None for one in crossing),
        sum(one.days is not None and one.days < TWO_WEEKS for one in crossing),
        len(kept),
        sum(one.ever for one in kept),
    )


@dataclass(frozen=True, slots=True)
class Tried:
    """The backtest of one kind of years, with or without a history."""

    kind: str
    basis: Basis
    years: int
    coverage: float
    months: list[MonthRow]
    rules: list[RuleRow]


def tried(years: Sequence[Year], allowed: Sequence[int], *, history: bool) -> Tried:
    """Errors by month, coverage and warnings over years of one kind, a limit each."""
    told = [one for year in years for one in monthly(year, history=history)]
    seen = [
        one
        for year, limit in zip(years, allowed, strict=True)
        for one in warned(year, limit, history=history)
    ]
    basis: Basis = "seasonal" if history else "calendar"
    return Tried(years[0].kind, basis, len(years), coverage(told), by_month(told), by_rule(seen))


def limits(years: Sequence[Year], draws: np.random.Generator) -> list[int]:
    """A limit for each year, evenly between 90 % and 110 % of what it came to: half of them are passed."""
    factors: Floats = draws.uniform(0.9, 1.1, len(years))
    return [
        int(int(one.days.best.sum()) * share) for one, share in zip(years, factors, strict=True)
    ]
