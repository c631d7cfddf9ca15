"""Where a unit's year lands: projected year-end amount, day of exhaustion, burn rates, what may be used a day.

Amounts are integers of 10⁻⁶ of one unit (tce, tCO2, kWh), never negative; each is [low, best, high]. The caller brings the instant.

The forecast. Expected rest of the year = level × profile of the days that remain. The profile is the mean of the unit's earlier
years, laid so that weekdays meet (`seasonal`), or one for each day (`calendar`). The level is what was used so far over the profile so
far; with a history it is drawn to 1 by LEVEL_WEEKS weeks of profile, so that it is told from the first day on. Spread, from the
weekly residuals so far (S weeks' variance, k weeks to come, m weeks gone):

    variance = DEPENDENCE · S · (k + k²/m) + (level's own spread · expected rest)²
    interval = expected ± t(90 %) · √variance, never below what is used already

so the interval holds 80 %, analytically, without random numbers. Holidays that move, stops and expansions are not foreseen. The constants
below are ours: set once on `landing backtest --seed 1`, so that the interval holds near 80 %; measure on other seeds.

The law. Every step is an interval extension: it takes [low, high] and is wider for wider input. So missing data (a day as [0, most it
can have been]) widen every interval told here and move no end inwards, whatever was missing. It holds as long as the years given are the same.

Floats carry the statistics (exact to 2⁵³ of 10⁻⁶); what is told is integers, rounded outward: amounts to 10⁻⁶, burn rates to 10⁻³.
Source: the method is ours; the exact figure and the breach itself (`since`) stay with the year window (schemas/RULES.md, 4 and 6).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, sqrt
from typing import Literal

import numpy as np
import numpy.typing as npt

from schemas.calendar import (
    DAY_MS,
    Instants,
    business_day,
    window_end,
    window_start,
    year_of,
)

Floats = npt.NDArray[np.float64]
Basis = Literal["seasonal", "calendar"]
FIRST_DAYS = 21
"""Fewer whole days than these, and no earlier year: nothing is projected."""

DEPENDENCE = 1.5
"""Weeks follow one another: the spread of many is that of as many independent ones, times (1 + r) / (1 − r) with r = 0.2."""

LEVEL_WEEKS = 2
"""Weeks of last year's level that count beside this year's, where there is a history."""

LEVEL_SPREAD = 0.10
"""Standard deviation of a year's level to the year before, before the year has begun."""

UNSEEN_SPREAD = 0.12
"""Standard deviation that a season not seen yet adds to the rest of the year, where there is no history."""

DRIFT = 0.05
"""Standard deviation of the level from one half year to the next (growth, stops): as a share of the expected rest of half a year."""

HISTORY_WEEKS = 4
"""Weeks that the earlier years' own week-to-week changes count as, beside this year's residuals."""

Z90 = 1.2816
"""Normal quantile of 90 %."""

T90 = (3.078, 1.886, 1.638, 1.533, 1.476, 1.440, 1.415, 1.397, 1.383, 1.372, 1.363, 1.356)
"""Student's t, 90 %, for 1 to 12 degrees of freedom; beyond, 1.2816 + 0.848 / n + 0.57 / n² is right to 0.001."""


class LandingError(ValueError):
    """Input that no projection can be made of; the message says which, with the value."""


@dataclass(frozen=True, slots=True)
class Span:
    """An amount in 10⁻⁶ of its unit: low ≤ best ≤ high; high None is unknown."""

    low: int
    best: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Days:
    """Amounts of whole business days in a row, in 10⁻⁶; arrays of one length.

    A day without data is a day: low 0, high the most it can have been. Raises LandingError.
    """

    first: int
    """Start of the first day: an instant in ms, a business midnight."""

    low: Instants
    best: Instants
    high: Instants
    share_measured: int
    """Share of the days' time that was measured, 10⁻⁶ (RULES.md, 4)."""

    def __post_init__(self) -> None:
        if window_start("day", self.first) != self.first:
            message = f"days begin at {self.first}, which is no business midnight"
            raise LandingError(message)
        if not len(self.low) == len(self.best) == len(self.high):
            message = (
                f"{len(self.low)} low, {len(self.best)} best, {len(self.high)} high: one each a day"
            )
            raise LandingError(message)
        wrong = np.flatnonzero((self.low < 0) | (self.low > self.best) | (self.best > self.high))
        if wrong.size:
            at = int(wrong[0])
            message = f"{business_day(self.first + at * DAY_MS)}: [{self.low[at]}, {self.best[at]}, {self.high[at]}] is not 0 ≤ low ≤ best ≤ high"
            raise LandingError(message)

    @property
    def end(self) -> int:
        """End of the last day."""
        return self.first + len(self.low) * DAY_MS

    @property
    def total(self) -> Span:
        """Sum of the days; wider than the year window's figure, whose bounds are no sum."""
        return Span(int(self.low.sum()), int(self.best.sum()), int(self.high.sum()))


@dataclass(frozen=True, slots=True)
class Exhaustion:
    """Business days in which the limit is passed, within 80 %; None: not in this year. Exactly at the limit is not passed."""

    earliest: str | None
    best: str | None
    latest: str | None


@dataclass(frozen=True, slots=True)
class Projection:
    """The year's end as it looks now, and when the limit is passed."""

    basis: Basis
    year_end: Span
    """80 % interval: low and high are the ends, best the expected value."""

    expected_high: int | None
    """The expected value if all that is not measured was the most it can have been; never below best. None: unknown."""

    exhaustion: Exhaustion


@dataclass(frozen=True, slots=True)
class Landing:
    """What is told of one unit and one limit at one instant."""

    at: int
    limit: int
    so_far: Span
    share_measured: int
    exhausted: bool
    """What is certain so far is over the limit: no forecast, a fact."""

    projection: Projection | None
    """None where the year has fewer than FIRST_DAYS whole days and no earlier year is known."""

    fast: Span | None
    """Burn of the last 7 days in 10⁻³ of limit / days of the year: 1000 uses the limit up on its last day. None: fewer days, or a limit of 0."""

    slow: Span | None
    """The same of the last 30 days."""

    per_day: Span | None
    """What may be used a day until the year ends, in 10⁻⁶; low is safe whatever is missing. None when the year is over."""


def landing(
    days: Days, *, at: int, limit: int, earlier: Sequence[Days] = (), so_far: Span | None = None
) -> Landing:
    """Where the year of `days` lands against `limit`, as of the instant `at`; all in 10⁻⁶ of one unit.

    `days`: this year's whole days before `at`, the last ending in the day of `at`. `earlier`: whole business years.
    `so_far`: the year window's figure at `at`, with opening balance and the begun day; the sum of the days unless given.
    Raises LandingError where days, years and `at` do not fit, or the limit is negative.
    """
    _check(days, at, limit, earlier)
    used = days.total if so_far is None else so_far
    return Landing(
        at,
        limit,
        used,
        days.share_measured,
        used.low > limit,
        _projection(days, at, limit, earlier, used),
        burn(days, limit, 7),
        burn(days, limit, 30),
        per_day(used, at, limit, _year(days)[1]),
    )


def burn(days: Days, limit: int, last: int) -> Span | None:
    """Burn of the last days, in 10⁻³ of the rate the limit allows (limit / days of the year), rounded outward."""
    if len(days.low) < last or limit <= 0:
        return None
    start, end = _year(days)
    by = limit * last * DAY_MS
    low, best, high = (
        int(one[-last:].sum()) * 1000 * (end - start) for one in (days.low, days.best, days.high)
    )
    return Span(low // by, _nearest(best, by), -(-high // by))


def per_day(used: Span, at: int, limit: int, end: int) -> Span | None:
    """What may be used a day: the limit's rest over the time from `at` to `end`, rounded down; never below 0. None: there is none."""
    if at >= end:
        return None
    low, best, high = (
        max(0, (limit - (limit if one is None else one)) * DAY_MS // (end - at))
        for one in (used.high, used.best, used.low)
    )
    return Span(low, best, high)


def _nearest(value: int, by: int) -> int:
    return (2 * value + by) // (2 * by)


def _year(days: Days) -> tuple[int, int]:
    """Start and end of the business year of the days."""
    start = window_start("year", days.first)
    return start, window_end("year", start)


def _check(days: Days, at: int, limit: int, earlier: Sequence[Days]) -> None:
    if limit < 0:
        message = f"a limit of {limit} is negative: amounts are not"
        raise LandingError(message)
    start, end = _year(days)
    if days.end > end:
        message = f"the days run from {business_day(days.first)} into the year after"
        raise LandingError(message)
    if not days.end <= at < days.end + DAY_MS and not at == days.end == end:
        message = f"the days end with {business_day(days.end - 1)}: they must reach {business_day(at)}, the day of the instant {at}"
        raise LandingError(message)
    for one in earlier:
        if one.end != window_end("year", one.first) or window_start("year", one.first) != one.first:
            message = f"an earlier year of {len(one.low)} days from {business_day(one.first)} is no whole year"
            raise LandingError(message)
        if one.first >= start:
            message = f"{year_of(one.first)} is not earlier than {year_of(start)}"
            raise LandingError(message)


@dataclass(frozen=True, slots=True)
class _Ends:
    """Low, best and high of the same thing, as floats; each a number or one a day."""

    low: Floats
    best: Floats
    high: Floats

    def of(self, what: slice) -> "_Ends":
        return _Ends(self.low[what], self.best[what], self.high[what])


@dataclass(frozen=True, slots=True)
class _Level:
    """This year over its profile; high is without bound where nothing of an earlier year is certain."""

    low: float
    best: float
    high: float


def _floats(days: Days) -> _Ends:
    return _Ends(
        days.low.astype(np.float64), days.best.astype(np.float64), days.high.astype(np.float64)
    )


def _projection(
    days: Days, at: int, limit: int, earlier: Sequence[Days], used: Span
) -> Projection | None:
    seasonal = any(one.best.any() for one in earlier)
    if not seasonal and len(days.low) < FIRST_DAYS:
        return None
    start, end = _year(days)
    profile = _seasonal(earlier, start, (end - start) // DAY_MS) if seasonal else _flat(start, end)
    path = _path(days, profile, _weights(days.end, at, end), seasonal=seasonal)
    today = min(days.end, end - DAY_MS)
    basis: Basis = "seasonal" if seasonal else "calendar"
    return Projection(
        basis,
        _landed(used, path),
        _expected_high(used, path),
        _exhaustion(used, path, limit, today),
    )


def _weights(begun: int, at: int, end: int) -> Floats:
    """Share of each day that is still to come, from the day that `at` lies in."""
    weights = np.ones((end - begun) // DAY_MS)
    if weights.size:
        weights[0] = 1 - (at - begun) / DAY_MS
    return weights


def _flat(start: int, end: int) -> _Ends:
    ones = np.ones((end - start) // DAY_MS)
    return _Ends(ones, ones, ones)


def _seasonal(earlier: Sequence[Days], start: int, length: int) -> _Ends:
    """Mean of the earlier years, each day beside the nearest of the same weekday."""
    laid = [_floats(one) for one in earlier]
    index = [_same_weekdays(one.first, start, length, len(one.low)) for one in earlier]
    low, best, high = (
        np.mean([ends[at] for ends, at in zip(each, index, strict=True)], axis=0)
        for each in ([o.low for o in laid], [o.best for o in laid], [o.high for o in laid])
    )
    return _Ends(low, best, high)


def _same_weekdays(earlier: int, start: int, length: int, held: int) -> Instants:
    """For each day of the year from `start`: the day of the earlier year (of `held` days) that it is laid beside."""
    shift = ((start - earlier) // DAY_MS) % 7
    index = np.arange(length, dtype=np.int64) + (shift - 7 if shift > 3 else shift)  # noqa: PLR2004 - half a week
    return np.where(index < 0, index + 7, np.where(index >= held, index - 7, index))


def _level(used: _Ends, beside: _Ends, profile: _Ends, *, seasonal: bool) -> _Level:
    """What was used over the profile of the same days; drawn to 1 by weeks of the profile's mean where it is a history."""
    days = 7 * LEVEL_WEEKS if seasonal else 0
    drawn = _Level(*(days * float(one.mean()) for one in (profile.low, profile.best, profile.high)))
    return _Level(
        _ratio(float(used.low.sum()) + drawn.low, float(beside.high.sum()) + drawn.high),
        _ratio(float(used.best.sum()) + drawn.best, float(beside.best.sum()) + drawn.best),
        _ratio(float(used.high.sum()) + drawn.high, float(beside.low.sum()) + drawn.low),
    )


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else inf


def _scale(used: _Ends, beside: _Ends, profile: _Ends, level: _Level, *, seasonal: bool) -> float:
    """The most that a week's residual can deviate (standard deviation), times its t(90 %)."""
    weeks = len(used.low) // 7
    so_far, expected = _weekly(used, weeks), _weekly(beside, weeks)
    residual = np.maximum(
        np.abs(so_far.low - level.high * expected.high),
        np.abs(so_far.high - level.low * expected.low),
    )
    squares, freedom = float((residual**2).sum()), weeks - 1
    if seasonal:
        squares += HISTORY_WEEKS * _changes(profile)
        freedom += HISTORY_WEEKS
    return sqrt(squares / freedom) * student(freedom)


def _changes(profile: _Ends) -> float:
    """Mean square of the profile's change from week to week, at most."""
    weeks = _weekly(profile, len(profile.low) // 7)
    change = np.maximum(
        np.abs(weeks.high[1:] - weeks.low[:-1]), np.abs(weeks.low[1:] - weeks.high[:-1])
    )
    return float((change**2).mean())


def _weekly(ends: _Ends, weeks: int) -> _Ends:
    """Sums of the last whole weeks, which need not begin on a Monday."""
    low, best, high = (
        one[len(one) - 7 * weeks :].reshape(weeks, 7).sum(axis=1)
        for one in (ends.low, ends.best, ends.high)
    )
    return _Ends(low, best, high)


def student(freedom: int) -> float:
    """Student's t below which 90 % lie."""
    if freedom <= len(T90):
        return T90[max(freedom, 1) - 1]
    return 1.2816 + 0.848 / freedom + 0.57 / freedom**2


@dataclass(frozen=True, slots=True)
class _Path(_Ends):
    """What is used from now to the end of each day that remains, whole 10⁻⁶: expected, and both ends of the interval."""

    most: Floats
    """Expected, if what is not measured was the most it can have been."""


def _path(days: Days, profile: _Ends, weights: Floats, *, seasonal: bool) -> _Path:
    used, gone = _floats(days), len(profile.low) - len(weights)
    beside, ahead = profile.of(slice(gone - len(days.low), gone)), profile.of(slice(gone, None))
    level = _level(used, beside, profile, seasonal=seasonal)
    best = np.rint(level.best * np.cumsum(weights * ahead.best))
    if level.high == inf:
        unknown = np.full_like(best, inf)
        return _Path(np.zeros_like(best), best, unknown, unknown)
    low = level.low * np.cumsum(weights * ahead.low)
    high = level.high * np.cumsum(weights * ahead.high)
    scale = _scale(used, beside, profile, level, seasonal=seasonal)
    noise = scale * _growth(weights, len(days.low), seasonal=seasonal)
    own = Z90 * _own_spread(weights, len(days.low), seasonal=seasonal) * high
    apart = np.sqrt(
        noise * noise + own * own
    )  # hypot is not monotone to the last bit, and the law needs it
    return _Path(
        np.floor(np.maximum.accumulate(np.maximum(low - apart, 0.0))),
        best,
        np.ceil(np.maximum.accumulate(high + apart)),
        np.rint(high),
    )


def _growth(weights: Floats, gone: int, *, seasonal: bool) -> Floats:
    """√(DEPENDENCE · (k + k²/m)) for the k weeks to the end of each day."""
    ahead = np.cumsum(weights) / 7
    behind = gone / 7 + (LEVEL_WEEKS if seasonal else 0)
    return np.sqrt(DEPENDENCE * (ahead + ahead**2 / behind))


def _own_spread(weights: Floats, gone: int, *, seasonal: bool) -> Floats:
    """Standard deviation of the level over what is to come, as a share: not known yet, and drifting."""
    drift = DRIFT * np.sqrt(np.cumsum(weights) / 182.5)
    unknown = LEVEL_SPREAD * LEVEL_WEEKS / (gone / 7 + LEVEL_WEEKS)
    return np.sqrt(drift**2 + (unknown if seasonal else UNSEEN_SPREAD) ** 2)


def _landed(used: Span, path: _Ends) -> Span:
    """Used so far and the whole path to the year's end."""
    if not path.low.size:
        return used
    low, best, high = float(path.low[-1]), float(path.best[-1]), float(path.high[-1])
    unknown = used.high is None or high == inf
    return Span(
        used.low + int(low),
        used.best + int(best),
        None if unknown else (used.high or 0) + int(high),
    )


def _expected_high(used: Span, path: _Path) -> int | None:
    """Beside `best`, with the upper end of everything that is not exact; the spread of the future is not in it."""
    if used.high is None or not path.most.size:
        return used.high
    most = float(path.most[-1])
    return None if most == inf else used.high + int(most)


def _exhaustion(used: Span, path: _Ends, limit: int, today: int) -> Exhaustion:
    """The first day whose end is over the limit, on the high end, the expected and the low end of the path."""
    return Exhaustion(
        business_day(today) if used.high is None else _passed(used.high, path.high, limit, today),
        _passed(used.best, path.best, limit, today),
        _passed(used.low, path.low, limit, today),
    )


def _passed(used: int, path: Floats, limit: int, today: int) -> str | None:
    """The day that passes the limit; today where it is passed already."""
    if used > limit:
        return business_day(today)
    over = np.flatnonzero(path > limit - used)
    return business_day(today + int(over[0]) * DAY_MS) if over.size else None


def warning(told: Landing) -> Literal["will break", "may break"] | None:
    """`will break`: even the low end of the 80 % interval is over the limit; `may break`: the expected year is. Neither is a verdict."""
    if told.projection is None:
        return None
    if told.projection.year_end.low > told.limit:
        return "will break"
    return "may break" if told.projection.year_end.best > told.limit else None
