"""Where units' years land at a business midnight, from what they had told by then.

Taken are the days that were told to their end and the year as told for this very midnight, with its quota (energy) or budget (CO2): so what is told here is a
function of the log, cut where the hour is cut (processors/aggregation.py). Of a unit that told its year for an earlier instant only, it
cannot be said. The forecast itself is processors/landing.py.

The law: dropping readings never turns `broken`, `will break` or `may break` into `on track`. Which days there are does not
depend on readings, each figure is only wider without them, and `on track` asks for the expected year with all that is not measured
at its most.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, cast

import numpy as np

from processors.landing import Days, Landing, Projection, Span, landing, per_day
from schemas.calendar import DAY_MS, window_end, window_start, year_of
from schemas.double_control import Amount
from schemas.indicator import FIGURE_OF, LandingTold, Version
from schemas.landing import REGIMES, Ends, Exhausted, Landed, Projected, Regime, State, Unsaid
from schemas.scale import SCALE
from schemas.section import partition_of

Json = Mapping[str, object]
MOST = 10_000_000_000 * SCALE
"""A day of more than 10¹⁰ t (more than the world's year) is known as little as one not told; so sums stay within int64."""


class DayTold(NamedTuple):
    """A day that a unit told to its end: energy in 10⁻⁶ tce, CO2 in 10⁻⁶ t."""

    unit: str
    starts: int
    as_of: int
    low: int
    best: int
    high: int | None
    co2_low: int
    co2_best: int
    co2_high: int | None


class YearTold(NamedTuple):
    """A year as a unit told it: energy in 10⁻⁶ tce, or CO2 in 10⁻⁶ t against its budget."""

    unit: str
    starts: int
    as_of: int
    low: int
    best: int
    high: int | None
    share: int
    quota: int | None
    factors: tuple[str, ...]
    unverified: bool
    history: bool
    regime: Regime = "energy"
    view: str | None = None
    other_view: bool = False
    """The budget is meant in another view than CO2 was told by: nothing is said by it."""

    @property
    def place(self) -> int:
        """Where it is kept: its midnight; of those between two midnights the last one just behind the first."""
        midnight = window_start("day", self.as_of)
        return midnight if midnight == self.as_of else midnight + 1


# ---- What was told


def days_in(told: Json) -> list[DayTold]:
    """The days that a message of the outbox tells to their end; none in a tick."""
    return [
        DayTold(
            str(told["unit"]),
            cast("int", window["start"]),
            _as_of(told),
            *_used(_figure(window, "energy")),
            *_used(_figure(window, "carbon")),
        )
        for window in _windows(told)
        if window["window"] == "day" and _as_of(told) >= cast("int", window["end"])
    ]


def years_in(told: Json) -> list[YearTold]:
    """The year in a message of the outbox, unless it is told anew after its end; where there is a budget, once more by its CO2."""
    return [
        _year(told, window, regime)
        for window in _windows(told)
        if _holds(window, _as_of(told))
        for regime in REGIMES
        if regime == "energy" or "budget" in window
    ]


def _windows(told: Json) -> Sequence[Json]:
    return cast("Sequence[Json]", told["windows"]) if told["kind"] == "unit" else ()


def _holds(window: Json, at: int) -> bool:
    start, end = cast("int", window["start"]), cast("int", window["end"])
    return window["window"] == "year" and start < at <= end


def _as_of(told: Json) -> int:
    return cast("int", told["as_of"])


def _year(told: Json, window: Json, regime: Regime) -> YearTold:
    figure = _figure(window, regime)
    against = window if regime == "energy" else cast("Json", window["budget"])
    return YearTold(
        str(told["unit"]),
        cast("int", window["start"]),
        _as_of(told),
        *_used(figure),
        share=cast("int", figure.get("share_measured", 0)),
        quota=cast("int | None", against.get("limit")),
        factors=tuple(cast("Sequence[str]", figure.get("factors", ()))),
        unverified=bool(figure.get("unverified", False)),
        history=bool(told.get("history", False)),
        regime=regime,
        view=cast("str | None", against.get("view")),
        other_view=against.get("reason") == "other factor view",
    )


def _figure(window: Json, regime: Regime) -> Json:
    """Empty where nothing of the unit counts as energy."""
    return cast("Mapping[str, Json]", window["figures"]).get(FIGURE_OF[regime], {})


def _used(figure: Json) -> tuple[int, int, int | None]:
    low, best, high = (cast("int | None", figure.get(end, 0)) for end in ("low", "best", "high"))
    return low or 0, best or 0, high


# ---- Where a year lands


def landed_of(
    year: YearTold, quota: int, *, begins: int, at: int, days: Mapping[int, Amount]
) -> Landed:
    """Where the year that holds the instant before the midnight `at` lands against its quota.

    `year`: as told last, not later than `at`. `begins`: first validity of the unit. `days`: by start, this year's and the last one's.
    """
    used = Span(year.low, year.best, year.high)
    if year.other_view:
        return _unsaid(year, quota, used, "other factor view", None)
    if year.as_of != at:
        return _unsaid(year, quota, Span(used.low, used.best, None), "behind", None)
    end = window_end("year", year.starts)
    may = per_day(used, at, quota, end)
    first = _first_day(max(begins, year.starts))
    if first >= end:  # it began on the last day of the year
        return _unsaid(year, quota, used, "too few days", may)
    this = _days(days, first, at, year.share)
    if this is None:
        return _unsaid(year, quota, used, "days missing", may)
    before = _year_before(days, begins, year.starts)
    earlier = () if before is None else (before,)
    return _landed(year, landing(this, at=at, limit=quota, earlier=earlier, so_far=used))


def _first_day(at: int) -> int:
    """The first business midnight at or past an instant."""
    start = window_start("day", at)
    return start if start == at else start + DAY_MS


def _year_before(days: Mapping[int, Amount], begins: int, starts: int) -> Days | None:
    """The whole year before, where it was told from its first day to its last."""
    first = window_start("year", starts - 1)
    return None if begins > first else _days(days, first, starts, SCALE)


def _days(days: Mapping[int, Amount], first: int, end: int, share: int) -> Days | None:
    """Days in a row; None where one of them is not known."""
    row = [days.get(start) for start in range(first, end, DAY_MS)]
    lows, bests, highs = [], [], []
    for one in row:
        if one is None or one.high is None or one.high > MOST:
            return None
        lows.append(one.low)
        bests.append(one.best)
        highs.append(one.high)
    low, best, high = (np.array(ends, dtype=np.int64) for ends in (lows, bests, highs))
    return Days(first, low, best, high, share)


def _unsaid(year: YearTold, quota: int, used: Span, reason: Unsaid, may: Span | None) -> Landed:
    """Without a projection; what is certainly above the quota is so all the same."""
    broken = used.low > quota and not year.other_view
    return Landed(
        year=year_of(year.starts),
        regime=year.regime,
        quota=quota,
        view=year.view,
        state="broken" if broken else "cannot be said",
        reason=None if broken else reason,
        used=_ends(used),
        share_measured=year.share,
        projected=None,
        fast=None,
        slow=None,
        per_day=_ends_or_none(may),
        factors=year.factors,
        unverified=year.unverified,
    )


def _landed(year: YearTold, told: Landing) -> Landed:
    state, reason = state_of(told)
    return Landed(
        year=year_of(year.starts),
        regime=year.regime,
        quota=told.limit,
        view=year.view,
        state=state,
        reason=reason,
        used=_ends(told.so_far),
        share_measured=told.share_measured,
        projected=None if told.projection is None else _projected(told.projection),
        fast=_ends_or_none(told.fast),
        slow=_ends_or_none(told.slow),
        per_day=_ends_or_none(told.per_day),
        factors=year.factors,
        unverified=year.unverified,
    )


def state_of(told: Landing) -> tuple[State, Unsaid | None]:
    """What can be said of a landing, and why not."""
    if told.exhausted:
        return "broken", None
    seen = told.projection
    if seen is None:
        return "cannot be said", "too few days"
    if seen.year_end.low > told.limit:
        return "will break", None
    if seen.year_end.best > told.limit:
        return "may break", None
    if told.so_far.high is None:
        return "cannot be said", "opening unknown"
    if seen.expected_high is None or seen.expected_high > told.limit:
        return "cannot be said", "too little measured"
    return "on track", None


def _projected(seen: Projection) -> Projected:
    days = seen.exhaustion
    return Projected(
        basis=seen.basis,
        year_end=_ends(seen.year_end),
        expected_high=seen.expected_high,
        exhaustion=Exhausted(earliest=days.earliest, best=days.best, latest=days.latest),
    )


def _ends(span: Span) -> Ends:
    return Ends(low=span.low, best=span.best, high=span.high)


def _ends_or_none(span: Span | None) -> Ends | None:
    return None if span is None else _ends(span)


# ---- A midnight


class Row(NamedTuple):
    """One unit at one midnight, as it is kept."""

    unit: str
    at: int
    begins: int
    history: bool
    cause: str
    landed: Landed


def row_of(
    year: YearTold, *, begins: int, at: int, days: Mapping[int, Amount], before: int | None
) -> Row | None:
    """A unit's row; None without a quota (of carbon: a budget). `before`: the quota of its last row of this year."""
    if year.quota is None:
        return None
    cause = "limit" if before not in {None, year.quota} else "reading"
    landed = landed_of(year, year.quota, begins=begins, at=at, days=days)
    return Row(year.unit, at, begins, year.history, cause, landed)


def landing_messages(
    rows: Iterable[Row], *, generation: int, partitions: int
) -> Iterable[LandingTold]:
    """What the alerts are told: in the unit's own partition, versioned by the midnight."""
    for row in rows:
        place = partition_of(row.unit, partitions)
        yield LandingTold(
            unit=row.unit,
            version=Version(generation=generation, partition=place, offset=row.at, position=0),
            as_of=row.at,
            cause="limit" if row.cause == "limit" else "reading",
            history=row.history,
            landed=row.landed,
        )
