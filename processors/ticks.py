"""A tick: judge the units it concerns and decide what they are told.

Rules: schemas/RULES.md, section 7. What is told depends on the log alone, never on how it fell into steps.
"""

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from itertools import groupby

import numpy as np
import numpy.typing as npt
import orjson

from processors import beyond, spans
from processors.judgement import Energy, Figures, Listed, Sums, figures, listed, open_sums, settled_at, silent_points, unit_energy, verdicts
from processors.ports import Fetched, Ints, Needs, OutboxRow, WindowRow
from processors.state import (
    AMBIGUOUS_DATA,
    FAIL,
    KEY_BITS,
    MISSING_DATA,
    NO_VERDICT,
    OPENING_UNKNOWN,
    PASS,
    QUANTITIES,
    TARGETS,
    State,
)
from processors.windows import Asking, carriers_of, ensure, open_windows, settle, touched_windows, years_of_hours
from schemas.calendar import HOUR_MS, KINDS, QUARTER_MS, window_ends, year_of, year_start
from schemas.registry import CARRIERS, UNIT_OF_MEASURE
from schemas.scale import SCALE

YEAR = KINDS.index("year")
_WORDS: dict[int, tuple[str | None, str | None]] = {
    NO_VERDICT: (None, None),
    PASS: ("PASS", None),
    FAIL: ("FAIL", None),
    OPENING_UNKNOWN: ("UNDECIDABLE", "opening unknown"),
    MISSING_DATA: ("UNDECIDABLE", "missing data"),
    AMBIGUOUS_DATA: ("UNDECIDABLE", "ambiguous data"),
}
LAST = 1
"""Number of a tick's own message before `numbered`: it stands after the units'."""
_CAUSES = ("time", "reading", "late reading")

Json = dict[str, object]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Stand:
    """Where in the log a tick stands."""

    partition: int
    offset: int
    position: int


@dataclass(frozen=True, slots=True)
class Moment:
    """One tick of one unit."""

    unit: int
    at: int
    stand: Stand


@dataclass(slots=True)
class Told:
    """What ticks told: messages for others, and windows as they rest in the tables."""

    outbox: list[OutboxRow] = field(default_factory=list)
    windows: list[WindowRow] = field(default_factory=list)
    units: set[int] = field(default_factory=set)
    """Whose state changed."""


def judge(state: State, moments: list[Moment], told: Told) -> Asking:
    """Judge units at their ticks (each unit once) and add what they are told to `told`."""
    told.units.update(moment.unit for moment in moments)
    for moment in moments:
        if moment.at <= state.begins[moment.unit]:
            state.last_tick[moment.unit] = moment.at
    moments = sorted((m for m in moments if state.begins[m.unit] < m.at), key=lambda m: m.unit)
    if not moments:
        return
    units = np.array([m.unit for m in moments], np.int64)
    at = np.array([m.at for m in moments], np.int64)
    yield from open_windows(state, units, at)
    points = np.concatenate([np.arange(state.point_from[u], state.point_from[u + 1]) for u in units])
    ticks = np.repeat(at, state.point_from[units + 1] - state.point_from[units])
    ahead = beyond.beyond(state, points, ticks)
    cut = None
    if len(ahead):
        cut = yield from beyond.cut(state, ahead, dict(zip(units.tolist(), at.tolist(), strict=True)))
    judged = yield from _judge_open(state, units, at, points, ticks)
    if cut is not None:
        beyond.put_back(state, cut)
    for i in judged.to_tell:
        yield from _tell(state, moments[i], judged, i, told)
    state.last_tick[units] = at
    state.tick_end[points] = state.end[points]


@dataclass(slots=True)
class _Judged:
    """Figures of the open windows of all units of a tick, per kind; what changed."""

    units: Ints
    owner: Ints
    first_carrier: Ints
    kinds: dict[int, Listed]
    energy: Energy
    codes: Ints
    silent: list[list[Json]]
    to_tell: list[int]
    full: list[bool]


def _judge_open(state: State, units: Ints, at: Ints, points: Ints, ticks: Ints) -> Generator[Needs, Fetched, _Judged]:
    carriers = carriers_of(state, units)
    per_unit = state.carrier_from[units + 1] - state.carrier_from[units]
    owner = np.repeat(np.arange(len(units)), per_unit)
    tick = at[owner]
    yield from settle(state, carriers, settled_at(state, carriers, tick))
    cut = tick % HOUR_MS != 0
    yield from ensure(state, np.unique(carriers[cut] << KEY_BITS | tick[cut] // HOUR_MS))
    silent = silent_points(state, points, ticks)
    unit_of_point = state.p_unit[points]
    differs = np.zeros(len(state.units), np.bool_)
    differs[unit_of_point[silent != state.told_silent[points]]] = True
    state.told_silent[points] = silent
    full = at % HOUR_MS == 0
    kinds: dict[int, Figures] = {}
    for kind in range(len(KINDS)) if full.any() else (YEAR,):
        sums = open_sums(state, carriers, kind, tick)
        kinds[kind] = figures(sums, *_ratios(state, carriers, state.slot_start[state.c_unit[carriers], kind]))
    told = {kind: listed(found) for kind, found in kinds.items()}
    start = state.slot_start[units, YEAR]
    energy = unit_energy(state, units, owner, kinds[YEAR], (start, at))
    codes = verdicts(energy, state.quota[units])
    changed = (codes != state.told_verdict[units]) | differs[units]
    first = np.concatenate([[0], np.cumsum(per_unit)])
    lists = _silent_lists(state, units, points, silent)
    return _Judged(units, owner, first, told, energy, codes, lists, np.flatnonzero(changed | full).tolist(), full.tolist())


def _silent_lists(state: State, units: Ints, points: Ints, silent: Mask) -> list[list[Json]]:
    found: dict[int, list[Json]] = {int(u): [] for u in units}
    for p in points[silent].tolist():
        unit = int(state.p_unit[p])
        name = state.units[unit].points[int(state.p_number[p])].name
        found[unit].append({"point": name, "since": int(state.end[p])})
    return [found[int(u)] for u in units]


def _ratios(state: State, carriers: Ints, start: Ints) -> tuple[Ints, Ints]:
    year, quantity = years_of_hours(start // HOUR_MS), state.c_quantity[carriers]
    return state.factors.numerator[quantity, :, year], state.factors.denominator[quantity, :, year]


def _tell(state: State, moment: Moment, judged: _Judged, i: int, told: Told) -> Asking:
    """One unit's message; remembers what was told."""
    u, code = moment.unit, int(judged.codes[i])
    before = int(state.told_verdict[u])
    if code == FAIL and before != FAIL:
        until = -(-moment.at // QUARTER_MS) * QUARTER_MS
        found = yield from spans.since(state, u, (int(state.slot_start[u, YEAR]), until), int(state.quota[u]))
        state.told_since[u] = until if found is None else found
    state.told_verdict[u] = code
    windows = [_open_window(state, judged, i, kind, moment.at) for kind in (range(len(KINDS)) if judged.full[i] else (YEAR,))]
    if judged.full[i]:
        earlier = yield from _earlier_windows(state, u)
        windows += earlier
        state.touched[u].clear()
        state.earlier[u].clear()
        state.told_full[u] = moment.at
    for window in windows:
        if window["window"] != "hour":
            told.windows.append(_window_row(state, moment, window))
    told.outbox.append(_message(state, moment, windows, judged.silent[i], before))
    state.changed[u] = 0


def _window_row(state: State, moment: Moment, window: Json) -> WindowRow:
    stand = moment.stand
    return WindowRow(
        state.units[moment.unit].code, str(window["window"]), int(str(window["start"])), int(str(window["end"])),
        moment.at, stand.offset, stand.position, orjson.dumps(window),
    )


def _message(state: State, moment: Moment, windows: list[Json], silent: list[Json], before: int) -> OutboxRow:
    u, stand = moment.unit, moment.stand
    body = {
        "kind": "unit",
        "unit": state.units[u].code,
        "version": version(state, stand),
        "as_of": moment.at,
        "cause": _CAUSES[int(state.changed[u])],
        "configuration": int(state.configuration[u]),
        "history": not bool(state.live[u]),
        "windows": windows,
        "silent": silent,
        "previous_verdict": _WORDS[before][0],
    }
    return OutboxRow(stand.partition, stand.offset, stand.position, 0, state.units[u].code, orjson.dumps(body))


def version(state: State, stand: Stand) -> Json:
    """Where in the log something was told."""
    return {"generation": state.generation, "partition": stand.partition, "offset": stand.offset, "position": stand.position}


def tick_message(state: State, stand: Stand, at: int, unit: str | None) -> OutboxRow:
    """The tick itself, after what it told."""
    body = {"kind": "tick", "version": version(state, stand), "as_of": at, "unit": unit}
    return OutboxRow(stand.partition, stand.offset, stand.position, LAST, unit or "", orjson.dumps(body))


def numbered(outbox: list[OutboxRow]) -> tuple[OutboxRow, ...]:
    """The messages in their order, each with its number within its tick."""
    rows = sorted(outbox, key=lambda row: (row.partition, row.offset, row.position, row.number, row.key))
    ticks = groupby(rows, key=lambda row: (row.partition, row.offset, row.position))
    return tuple(replace(row, number=number) for _, told in ticks for number, row in enumerate(told))


# Windows.


def _open_window(state: State, judged: _Judged, i: int, kind: int, at: int) -> Json:
    u = int(judged.units[i])
    start, end = int(state.slot_start[u, kind]), int(state.slot_end[u, kind])
    window = _window(state, u, (kind, start, end, at), judged.kinds[kind], int(judged.first_carrier[i]))
    if kind == YEAR and judged.codes[i] != NO_VERDICT:
        since = int(state.told_since[u]) if judged.codes[i] == FAIL else None
        quota = int(state.quota[u])
        window |= _verdict(int(judged.codes[i]), quota, since, suspected=int(judged.energy.best[i]) > quota)
    return window


def _verdict(code: int, quota: int, since: int | None, *, suspected: bool) -> Json:
    verdict, reason = _WORDS[code]
    return {
        "limit": quota, "verdict": verdict, "reason": reason, "since": since, "suspected": verdict == "UNDECIDABLE" and suspected,
    }


def _window(state: State, u: int, where: tuple[int, int, int, int], found: Listed, first: int) -> Json:
    """One window as told: its figures by quantity. `first`: the row of the unit's first carrier."""
    kind, start, end, until = where
    base = int(state.carrier_from[u])
    quantities = state.c_quantity[base : int(state.carrier_from[u + 1])].tolist()
    is_open = bool(start < state.begins[u] < until)
    told: dict[str, Json] = {}
    for row, quantity in enumerate(quantities, first):
        name = QUANTITIES[quantity]
        amounts = (found.low[row], found.best[row], found.high[row])
        told[name] = _figure(name, _opened(state, u, (start, name), amounts, is_open=is_open), (found.measured[row], found.expected[row]))
    feeding = [(row, quantity) for row, quantity in enumerate(quantities, first) if QUANTITIES[quantity] in CARRIERS]
    rows, year = [row for row, _ in feeding], year_of(start)
    share = (sum(found.measured[row] for row in rows), sum(found.expected[row] for row in rows))
    for target, name in enumerate(TARGETS if feeding else ()):
        low, best, high = (sum(column[row][target] for row in rows) for column in (found.target_low, found.target_best, found.target_high))
        figure = _figure(name, _opened(state, u, (start, name), (low, best, high), is_open=is_open), share)
        used = [state.factors.ids(quantity, target, year) for _, quantity in feeding]
        told[name] = figure | {"factors": [factor for factor, _ in used], "unverified": any(mark for _, mark in used)}
    return {"window": KINDS[kind], "start": start, "end": end, "figures": told}


def _opened(
    state: State, u: int, what: tuple[int, str], amounts: tuple[int, int, int], *, is_open: bool
) -> tuple[int, int, int | None]:
    """Amounts with the opening balance, where the window begins before the unit's first validity: the year's, where it begins with it."""
    if not is_open:
        return amounts
    start, name = what
    low, best, high = amounts
    year = year_of(start)
    declared = state.opening(u, year, name) if start == year_start(year) else None
    if declared is None:
        return low, best, None
    return low + declared[0], best + declared[1], high + declared[2]


def _figure(name: str, amounts: tuple[int, int, int | None], share: tuple[int, int]) -> Json:
    low, best, high = amounts
    measured, expected = share
    return {
        "unit_of_measure": UNIT_OF_MEASURE[name], "low": low, "best": best, "high": high,
        "share_measured": SCALE * measured // expected if expected else 0,
    }


def _earlier_windows(state: State, u: int) -> Generator[Needs, Fetched, list[Json]]:
    """The touched days, months and years before the open ones, as they are now."""
    windows = []
    touched = yield from touched_windows(state, u)
    for kind, start in touched:
        end = int(window_ends(KINDS[kind], np.array([start]))[0])
        sums = yield from spans.span_sums(state, u, start, end)
        window = yield from _closed_window(state, u, (kind, start, end), sums)
        windows.append(window)
    return windows


def _closed_window(state: State, u: int, where: tuple[int, int, int], sums: Sums) -> Generator[Needs, Fetched, Json]:
    kind, start, end = where
    carriers = carriers_of(state, np.array([u]))
    found = figures(sums, *_ratios(state, carriers, np.full(len(carriers), start)))
    window = _window(state, u, (kind, start, end, end), listed(found), 0)
    quota = state.quota_of(u, year_of(start)) if kind == YEAR else -1
    if quota < 0:
        return window
    units = np.array([u])
    energy = unit_energy(state, units, np.zeros(len(carriers), np.int64), found, (np.array([start]), np.array([end])))
    code = int(verdicts(energy, np.array([quota]))[0])
    since = None
    if code == FAIL:
        since = yield from spans.since(state, u, (start, end), quota)
    return window | _verdict(code, quota, since, suspected=int(energy.best[0]) > quota)

