"""What is said of units at a tick: figures of their open windows, verdicts, silent points.

Rules: schemas/RULES.md, sections 4 to 6. Everything here reads; `ticks.judge` decides what is told.
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from processors.conversion import converted, converted_down, converted_up
from processors.ports import Ints
from processors.rates import TARGETS
from processors.state import (
    ALL,
    AMBIGUOUS_DATA,
    BEST,
    CO2,
    CUT_LOW,
    EXACT,
    EXACT_NATIVE,
    FAIL,
    H_BEST,
    H_INEXACT,
    INEXACT_HOURS,
    KEY_BITS,
    MEASURED,
    MISSING_DATA,
    NO_VERDICT,
    OPENING_UNKNOWN,
    OTHER_VIEW,
    PASS,
    UNKNOWN_BEST,
    UNKNOWN_HIGH,
    State,
    ranges,
)
from processors.windows import factors_of, open_ends, open_points, rows_of
from schemas.calendar import HOUR_MS, year_of


@dataclass(frozen=True, slots=True)
class Sums:
    """What decides a window's figures, per carrier: native sums, and the exact hours already converted."""

    best: Ints
    low: Ints
    """Native low of the whole window (open ends and unknown pieces count nothing)."""
    high: Ints
    unknown: Ints
    """What unknown pieces, lifts and open ends add to high."""
    measured: Ints
    expected: Ints
    all_hours: Ints
    """[carrier, target]: the pieces' best, every hour rounded once."""
    exact_native: Ints
    exact: Ints
    """[carrier, target]: the exact hours, converted."""
    inexact_hours: Ints
    open_best: Ints


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of carriers in one window: native, and per target (energy, CO2)."""

    low: Ints
    best: Ints
    high: Ints
    unknown: Ints
    measured: Ints
    expected: Ints
    target_low: Ints
    target_best: Ints
    target_high: Ints
    co2_measured: Ints
    co2_expected: Ints
    """Point-time of what emits."""
    purchased_low: Ints
    purchased_best: Ints
    purchased_high: Ints
    """Native, without what the unit generates itself."""

    def of(self, rows: Ints) -> "Figures":
        """Those of some of the carriers."""
        return Figures(*(getattr(self, field.name)[rows] for field in fields(self)))


def figures(sums: Sums, numerator: Ints, denominator: Ints) -> Figures:
    """Convert; `numerator` and `denominator` are [carrier, target]."""
    low, best, high = [], [], []
    for target in range(len(TARGETS)):
        n, d = numerator[:, target], denominator[:, target]
        hours = sums.inexact_hours
        low.append(
            np.maximum(
                0,
                sums.exact[:, target] + converted_down(sums.low - sums.exact_native, n, d) - hours,
            )
        )
        high.append(
            sums.exact[:, target] + converted_up(sums.high - sums.exact_native, n, d) + hours
        )
        best.append(
            np.clip(sums.all_hours[:, target] + converted(sums.open_best, n, d), low[-1], high[-1])
        )
    native = np.clip(sums.best + sums.open_best, sums.low, sums.high)
    return Figures(
        sums.low,
        native,
        sums.high,
        sums.unknown,
        sums.measured,
        sums.expected,
        np.stack(low, axis=1),
        np.stack(best, axis=1),
        np.stack(high, axis=1),
        sums.measured,
        sums.expected,
        sums.low,
        native,
        sums.high,
    )


def by_quantity(state: State, carriers: Ints, found: Figures) -> Figures:
    """Figures of all carriers of some units, in order, as signed sums by quantity: in the units' own boundary."""
    if not state.has_cells:
        return found
    row = state.c_row[carriers]
    owner = np.cumsum(np.concatenate([[0], row[1:] != row[:-1]]))
    sign, signs = state.c_sign[carriers], state.c_signs[carriers]

    def summed(values: Ints) -> Ints:
        total = np.zeros((int(owner[-1]) + 1, *values.shape[1:]), np.int64)
        np.add.at(total, owner, values)
        return total

    def end(mine: Ints, other: Ints, by: Ints = sign) -> Ints:
        """One end of the interval: of what is given away the other one counts."""
        return summed(by * np.where(by < 0, other, mine))

    purchased = np.where(signs[:, 1] != 0, sign, 0)
    return Figures(
        low=end(found.low, found.high),
        best=summed(sign * found.best),
        high=end(found.high, found.low),
        unknown=summed(np.abs(sign) * found.unknown),
        measured=summed(np.abs(sign) * found.measured),
        expected=summed(np.abs(sign) * found.expected),
        target_low=end(found.target_low, found.target_high, signs),
        target_best=summed(signs * found.target_best),
        target_high=end(found.target_high, found.target_low, signs),
        co2_measured=summed(np.abs(signs[:, 1]) * found.measured),
        co2_expected=summed(np.abs(signs[:, 1]) * found.expected),
        purchased_low=end(found.low, found.high, purchased),
        purchased_best=summed(purchased * found.best),
        purchased_high=end(found.high, found.low, purchased),
    )


@dataclass(frozen=True, slots=True)
class Open:
    """The open ends of carriers at their ticks: points, positions of their carriers, ticks."""

    points: Ints
    owner: Ints
    until: Ints


def open_of(state: State, carriers: Ints, at: Ints) -> Open:
    """The open ends of the carriers at their ticks `at`."""
    points, owner = points_of(state, carriers)
    tick = at[owner]
    some = np.flatnonzero(open_points(state, points, tick))
    return Open(points[some], owner[some], tick[some])


def open_sums(state: State, carriers: Ints, kind: int, at: Ints, opens: Open) -> Sums:
    """Sums of the carriers' open windows of `kind` until their tick `at`.

    Nothing beyond the tick may be in them (`beyond.cut`), the hours must be settled (`settled_at`) and the row of a cut hour in memory.
    """
    acc = state.acc[carriers, kind]
    start = state.slot_start[state.c_unit[carriers], kind]
    open_best, open_high = open_ends(state, opens.points, start[opens.owner], opens.until)
    best, high = (
        _per_carrier(open_best, opens.owner, len(carriers)),
        _per_carrier(open_high, opens.owner, len(carriers)),
    )
    is_open = np.zeros(len(carriers), np.bool_)
    is_open[opens.owner] = True
    native_exact, exact, hours = _tail(state, carriers, acc, (start, at), is_open)
    known = acc[:, BEST] - acc[:, UNKNOWN_BEST]
    return Sums(
        best=acc[:, BEST],
        low=known + acc[:, CUT_LOW],
        high=known + acc[:, UNKNOWN_HIGH] + acc[:, CUT_LOW + 1] + high,
        unknown=acc[:, UNKNOWN_HIGH] + high,
        measured=acc[:, MEASURED],
        expected=_expected(state, carriers, start, at),
        all_hours=acc[:, ALL : ALL + 2],
        exact_native=native_exact,
        exact=exact,
        inexact_hours=hours,
        open_best=best,
    )


def _tail(
    state: State,
    carriers: Ints,
    acc: Ints,
    between: tuple[Ints, Ints],
    is_open: npt.NDArray[np.bool_],
) -> tuple[Ints, Ints, Ints]:
    """Exact sums and the count of inexact hours, with the hours that are not settled yet."""
    start, at = between
    first = np.maximum(state.settled[carriers], start // HOUR_MS)
    count = np.maximum((at - 1) // HOUR_MS - first + 1, 0)
    native, exact = acc[:, EXACT_NATIVE].copy(), acc[:, EXACT : EXACT + 2].copy()
    hours = acc[:, INEXACT_HOURS] + np.where(is_open, count, 0)
    cut = np.flatnonzero(~is_open & (count > 0))
    if len(cut):
        hour = at[cut] // HOUR_MS
        row = state.hot_rows[np.searchsorted(state.hot_keys, carriers[cut] << KEY_BITS | hour)]
        whole = row[:, H_INEXACT] == 0
        native[cut] += np.where(whole, row[:, H_BEST], 0)
        for target in range(len(TARGETS)):
            numerator, denominator = factors_of(state, carriers[cut], hour, target)
            exact[cut, target] += np.where(
                whole, converted(row[:, H_BEST], numerator, denominator), 0
            )
        hours[cut] += ~whole
    return native, exact, hours


def _expected(state: State, carriers: Ints, start: Ints, at: Ints) -> Ints:
    """Point-time within [start, at) in which the carriers' points are valid."""
    count = state.carrier_point_from[carriers + 1] - state.carrier_point_from[carriers]
    total: Ints = count * (at - start)
    some = np.flatnonzero((start < state.c_begun[carriers]) | (at > state.c_ends[carriers]))
    if len(some):
        points, owner = points_of(state, carriers[some])
        lasts = np.minimum(at[some][owner], state.p_ends[points]) - np.maximum(
            start[some][owner], state.p_begins[points]
        )
        total[some] = _per_carrier(np.maximum(0, lasts), owner, len(some))
    return total


def settled_at(state: State, opens: Open, at: Ints) -> Ints:
    """The hour up to which hours of carriers can be settled at their ticks: the earliest open end's, else the tick's."""
    earliest = at.copy()
    np.minimum.at(earliest, opens.owner, state.end[opens.points])
    result: Ints = earliest // HOUR_MS
    return result


def points_of(state: State, carriers: Ints) -> tuple[Ints, Ints]:
    """All points of these carriers, and for each the position of its carrier."""
    first, last = state.carrier_point_from[carriers], state.carrier_point_from[carriers + 1]
    return ranges(first, last), np.repeat(np.arange(len(carriers)), last - first)


def _per_carrier(values: Ints, owner: Ints, count: int) -> Ints:
    total = np.zeros(count, np.int64)
    np.add.at(total, owner, values)
    return total


@dataclass(frozen=True, slots=True)
class Used:
    """A unit's energy or CO2: sums over its quantities, with the opening balance. `open`: high is unknown."""

    low: Ints
    best: Ints
    high: Ints
    open: npt.NDArray[np.bool_]
    missing: npt.NDArray[np.bool_]


def unit_used(
    state: State,
    units: Ints,
    owner: Ints,
    carried: Figures,
    window: tuple[Ints, Ints],
    target: int,
) -> Used:
    """Energy or CO2 of units in the year windows (start, until); `owner` is the position of each quantity's unit."""
    start, until = window
    feeds = state.row_feeds[rows_of(state, units), target]
    low, best, high = (
        _per_carrier(column[feeds, target], owner[feeds], len(units))
        for column in (carried.target_low, carried.target_best, carried.target_high)
    )
    missing = np.zeros(len(units), np.bool_)
    missing[owner[feeds & (carried.unknown > 0)]] = True
    begins = state.begins[units]
    is_open = (start < begins) & (begins < until)
    for i in np.flatnonzero(is_open).tolist():
        declared = state.opening(int(units[i]), year_of(int(start[i])), TARGETS[target])
        if declared is not None:
            low[i], best[i], high[i] = (
                low[i] + declared[0],
                best[i] + declared[1],
                high[i] + declared[2],
            )
            is_open[i] = False
    return Used(low, best, high, is_open, missing)


def against_limits(
    state: State,
    units: Ints,
    owner: Ints,
    carried: Figures,
    window: tuple[Ints, Ints],
    limits: tuple[Ints, npt.NDArray[np.bool_]],
) -> tuple[Ints, Ints]:
    """Verdict codes of units [unit, target], and their best estimates where any has a limit of the target.

    `limits`: [unit, target], −1 where there is none, and whose budget is meant in another view than the unit is converted by.
    """
    limit, other_view = limits
    codes, best = np.full(limit.shape, NO_VERDICT), np.zeros(limit.shape, np.int64)
    for target in np.flatnonzero((limit >= 0).any(axis=0)).tolist():
        used = unit_used(state, units, owner, carried, window, target)
        codes[:, target], best[:, target] = verdicts(used, limit[:, target]), used.best
    codes[other_view & (limit[:, CO2] >= 0), CO2] = OTHER_VIEW
    return codes, best


def verdicts(used: Used, limit: Ints) -> Ints:
    """Verdict codes against limits (−1: none)."""
    undecided = np.where(
        used.open, OPENING_UNKNOWN, np.where(used.missing, MISSING_DATA, AMBIGUOUS_DATA)
    )
    code = np.where(~used.open & (used.high <= limit), PASS, undecided)
    code = np.where(used.low > limit, FAIL, code)
    result: Ints = np.where(limit < 0, NO_VERDICT, code)
    return result


def silent_points(state: State, points: Ints, at: Ints) -> npt.NDArray[np.bool_]:
    """Which of these points, valid at their tick, should have spoken by then."""
    valid = (state.p_begins[points] <= at) & (at < state.p_ends[points])
    result: npt.NDArray[np.bool_] = valid & (at - state.end[points] > state.patience[points])
    return result
