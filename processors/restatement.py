"""A unit begun anew under another entry: its hours, gaps and heads swapped in one step. Rules: schemas/RULES.md, section 8."""

from collections.abc import Generator

import numpy as np

from processors import revision
from processors.ports import (
    HOUR_FIELDS,
    Fetched,
    Gap,
    GapSpan,
    HourSpan,
    Ints,
    Needs,
    ReadingRow,
    Rebuild,
    Rebuilt,
)
from processors.state import FOREVER, KEY_BITS, State, StepClaims
from processors.windows import carrier_of, open_windows, put_rows
from schemas.calendar import HOUR_MS, window_start
from schemas.registry import UNIT_OF_MEASURE, Unit
from schemas.section import NEVER, WITHDRAWN, Section

_NOTHING = (0,) * len(HOUR_FIELDS)
MESSAGE = "configuration {}"
"""Message id of declared registers: who said so."""


def section_of(entry: Unit, register: revision.Declared, version: int) -> Section:
    """A declared register as a section of its own."""
    number, at, value, flags = register
    return Section(
        unit=entry.code,
        received_at=at,
        names=(entry.points[number].name,),
        point=0,
        at=np.array([at], np.int64),
        value=np.array([value], np.int64),
        statement=0,
        units_of_measure=(UNIT_OF_MEASURE[entry.points[number].quantity],),
        unit_of_measure=0,
        rank=revision.DECLARED_RANK,
        revision=version,
        sent_at=NEVER,
        flags=flags,
        messages=(MESSAGE.format(version),),
    )


def take(
    state: State, u: int, asked: Rebuild
) -> Generator[Needs, Fetched, tuple[int, Rebuilt | None]]:
    """Swap a unit for what its readings make of it. Returns its new index, and what was worked out: nothing where its readings are gone.

    Its open windows are those of its last tick; nothing is told yet. No other record is in the step.
    """
    code = asked.entry.code
    fetched = yield Needs(
        hours=(HourSpan(code, 0, 1 << KEY_BITS),),
        gaps=(GapSpan(code, -1, NEVER, FOREVER),),
        rebuild=asked,
    )
    if fetched.rebuilt is None:
        return u, None
    new = state.replace(u, asked.entry, asked.version)
    _fill(state, new, fetched.rebuilt)
    stored = {(row.hour, row.quantity): row.numbers for row in fetched.hours}
    _put_hours(state, new, stored, fetched.rebuilt.hours)
    _put_gaps(state, fetched.gaps, fetched.rebuilt.gaps)
    yield from _open_again(state, new)
    return new, fetched.rebuilt


def convert_again(state: State, u: int, asked: Rebuild) -> Generator[Needs, Fetched, None]:
    """Other factors for the same readings: the open windows are summed anew, and all windows are told again."""
    state.take_entry(u, asked.entry)
    state.configuration[u], state.pending[u] = asked.version, 0
    state.convert_by(u, state.pack_at(asked.version))
    state.law[u] = max(int(state.law[u]), state.law_at(asked.version))
    state.slot_start[u], state.slot_end[u] = FOREVER, FOREVER
    state.told_full[u] = state.told_since[u] = NEVER
    state.touched[u].clear()
    state.earlier[u].clear()
    yield from _open_again(state, u)


def _open_again(state: State, u: int) -> Generator[Needs, Fetched, None]:
    """Open the windows of the unit's last tick, if it had one; what it was told of its year stays."""
    at = int(state.last_tick[u])
    if int(state.begins[u]) >= at:
        return
    told = state.told_verdict[u].copy()
    carriers = slice(int(state.carrier_from[u]), int(state.carrier_from[u + 1]))
    state.settled[carriers] = np.maximum(
        state.begins[u] // HOUR_MS, window_start("year", at - 1) // HOUR_MS
    )
    yield from open_windows(state, np.array([u]), np.array([at]))
    state.told_verdict[u] = told


def _fill(state: State, u: int, rebuilt: Rebuilt) -> None:
    """Points' ends, series' heads, and how far the hours reach."""
    state.end[state.point_of_number[u]] = rebuilt.ends
    for (number, statement), head in rebuilt.heads.items():
        series = state.series_of[state.point_of_number[u][number], statement]
        state.ahead[series], state.last_at[series], state.last_value[series] = head
    state.last_known_gap[u] = rebuilt.last_known_gap
    _remember(state, u, (*rebuilt.admitted, *rebuilt.too_fast))
    for hour, quantity in rebuilt.hours:
        carrier = _carrier(state, u, quantity)
        state.max_hour[carrier] = max(int(state.max_hour[carrier]), hour)
    carriers = slice(int(state.carrier_from[u]), int(state.carrier_from[u + 1]))
    state.hot_from[carriers] = state.max_hour[carriers] + 1


def _remember(state: State, u: int, rows: tuple[ReadingRow, ...]) -> None:
    """Let look-ups in this step find claims whose rows come with it."""
    if not rows:
        return
    columns = [
        np.concatenate(parts)
        for parts in zip(*(_columns(state, u, row) for row in rows), strict=True)
    ]
    series, *claims = columns
    order = np.argsort(series, kind="stable")
    state.step_claims.append(StepClaims(series[order], order, tuple(claims)))


def _columns(state: State, u: int, row: ReadingRow) -> tuple[Ints, ...]:
    """Series of a row's readings, and the columns of claims.Arrival."""
    count = len(row.at)
    points = state.point_of_number[u][row.point.astype(np.int64)]
    withdrawn, too_fast = bool(row.flags & WITHDRAWN), bool(row.reason)
    return (
        state.series_of[points, row.statement],
        row.at,
        np.full(count, row.rank),
        np.full(count, row.revision),
        np.broadcast_to(np.asarray(row.sent_at, np.int64), count),
        row.value,
        np.full(count, withdrawn),
        np.full(count, too_fast),
    )


def _put_hours(
    state: State,
    u: int,
    stored: dict[tuple[int, str], tuple[int, ...]],
    hours: dict[tuple[int, str], tuple[int, ...]],
) -> None:
    """The rows that differ from the stored ones; what is no more becomes nothing."""
    changed = {
        key: hours.get(key, _NOTHING)
        for key in stored.keys() | hours.keys()
        if hours.get(key, _NOTHING) != stored.get(key, _NOTHING)
    }
    kept = _cells(state, u)
    rows = {
        _carrier(state, u, cell) << KEY_BITS | hour: numbers
        for (hour, cell), numbers in changed.items()
        if cell in kept
    }
    gone = [(hour, cell) for hour, cell in changed if cell not in kept]
    state.step_gone += [(state.units[u].code, cell, hour) for hour, cell in sorted(gone)]
    keys = np.array(sorted(rows), np.int64)
    table = np.array([rows[key] for key in keys.tolist()], np.int64)
    put_rows(state, keys, table.reshape(-1, len(HOUR_FIELDS)))


def _cells(state: State, u: int) -> set[str]:
    return set(state.c_name[int(state.carrier_from[u]) : int(state.carrier_from[u + 1])])


def _carrier(state: State, u: int, cell: str) -> int:
    """The carrier of a cell that the unit's entry has."""
    carrier = carrier_of(state, u, cell)
    if carrier is None:
        message = f"unit {state.units[u].code} has no cell {cell}"
        raise LookupError(message)
    return carrier


def _put_gaps(state: State, stored: tuple[Gap, ...], gaps: tuple[Gap, ...]) -> None:
    """The gaps that differ from the stored ones."""
    now = {(gap.unit, gap.point, gap.start): gap for gap in gaps}
    before = {(gap.unit, gap.point, gap.start): gap for gap in stored}
    for key in before.keys() | now.keys():
        if now.get(key) != before.get(key):
            state.step_gaps[key] = now.get(key)
