"""Rules that look only at the reading itself. Rules: schemas/RULES.md, section 2, rejections."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from processors.amounts import allowed
from processors.claims import LENGTHS
from processors.ports import Ints
from processors.segments import period_ends
from processors.state import State
from schemas.calendar import window_starts
from schemas.registry import STATEMENTS
from schemas.section import NEVER, WITHDRAWN

Mask = npt.NDArray[np.bool_]
FUTURE_TOLERANCE_MS = 300_000

REASONS = (
    "",
    "unknown point",
    "unknown statement",
    "wrong unit of measure",
    "outside validity",
    "future",
    "too old",
    "off grid",
    "negative",
    "beyond dial",
    "faster than rated",
)
"""By code, in the order in which they are asked; 0 is no reason."""
UNKNOWN_POINT = 1
TOO_OLD = REASONS.index("too old")
OPEN_MEASURE = 3
"""Up to this reason the unit of measure that was sent is not known to be the point's."""
TOO_FAST = len(REASONS) - 1


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings of many sections, in columns; `point` is −1 where the unit has no such point."""

    unit: Ints
    point: Ints
    statement: Ints
    unit_of_measure: Ints
    """Code of the text that was sent, −1 for one that no point has."""
    expected_unit_of_measure: Ints
    at: Ints
    value: Ints
    rank: Ints
    revision: Ints
    sent_at: Ints
    flags: Ints
    received_at: Ints


def reasons(state: State, readings: Readings) -> tuple[Ints, Ints]:
    """Code of the first reason to reject each reading (0: none), and its series (−1: none)."""
    r = readings
    known = (r.point >= 0) & (r.statement < len(STATEMENTS))
    point = np.where(r.point >= 0, r.point, 0)
    statement = np.minimum(r.statement, len(STATEMENTS) - 1)
    if not len(state.p_unit):
        return np.full(len(r.at), UNKNOWN_POINT, np.int64), np.full(len(r.at), -1, np.int64)
    series = np.where(known, state.series_of[point, statement], -1)
    register = statement == 0
    valued = (r.flags & WITHDRAWN) == 0
    end, off_grid, too_fast = r.at, np.zeros(len(r.at), np.bool_), np.zeros(len(r.at), np.bool_)
    periods = np.flatnonzero(~register)
    if len(periods):
        kind, at, p = statement[periods], r.at[periods], point[periods]
        ends = period_ends(kind, LENGTHS[kind], at)
        end = r.at.copy()
        end[periods] = ends
        off_grid[periods] = _off_grid(state, series[periods], kind, at)
        fastest = allowed(state.rated[p], at, ends)
        too_fast[periods] = valued[periods] & (r.value[periods] > fastest)
    horizon = np.where(state.live[r.unit], r.received_at - state.horizon[r.unit], NEVER)
    latest = r.received_at + FUTURE_TOLERANCE_MS
    masks: tuple[Mask, ...] = (
        r.point < 0,
        series < 0,
        r.unit_of_measure != r.expected_unit_of_measure,
        (r.at < state.p_begins[point]) | (end > state.p_ends[point]),
        (r.sent_at > latest) | (end > latest),
        r.at < horizon,
        off_grid,
        valued & (r.value < 0),
        valued & register & (r.value >= state.dial[point]),
        too_fast,
    )
    code = np.zeros(len(r.at), np.int64)
    for number in range(len(masks), 0, -1):
        if masks[number - 1].any():
            code[masks[number - 1]] = number
    return code, series


def _off_grid(state: State, series: Ints, statement: Ints, at: Ints) -> Mask:
    length = LENGTHS[statement]
    fixed = length > 0
    phase = (at - state.s_anchor[np.maximum(series, 0)]) % np.where(fixed, length, 1)
    off = fixed & (phase != 0)
    months = statement == STATEMENTS.index("P1M")
    if months.any():
        off = off | (months & ~_month_start(at))
    result: Mask = off
    return result


def _month_start(at: Ints) -> Mask:
    result: Mask = window_starts("month", at) == at
    return result
