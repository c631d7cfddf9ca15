"""A tick: judge the units it concerns and decide what they are told.

Rules: schemas/RULES.md, section 7. What is told depends on the log alone, never on how it fell into steps.
"""

from collections import defaultdict
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from itertools import compress, groupby
from operator import attrgetter
from typing import NamedTuple, cast

import numpy as np
import orjson

from processors import beyond, spans
from processors.judgement import (
    Energy,
    Figures,
    Sums,
    feeding,
    figures,
    open_of,
    open_sums,
    settled_at,
    silent_points,
    unit_energy,
    verdicts,
)
from processors.ports import Fetched, Ints, Needs, OutboxRow, WindowRow, side_by_side
from processors.state import (
    AMBIGUOUS_DATA,
    FAIL,
    FIRST_YEAR,
    KEY_BITS,
    MISSING_DATA,
    NO_VERDICT,
    OPENING_UNKNOWN,
    PASS,
    QUANTITIES,
    TARGETS,
    Factors,
    State,
    ranges,
)
from processors.windows import (
    Asking,
    carriers_of,
    ensure,
    open_windows,
    settle,
    touched_windows,
    years_of_hours,
)
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
_TOGETHER = 64
"""Units whose earlier windows are looked up together: one question instead of many, and bounded memory."""
LAST = 1
"""Number of a tick's own message before `numbered`: it stands after the units'."""
_CAUSES = ("time", "reading", "late reading")

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Stand:
    """Where in the log a tick stands."""

    partition: int
    offset: int
    position: int


class Moment(NamedTuple):
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
    moments = sorted(moments, key=attrgetter("unit"))
    units = np.array([m.unit for m in moments], np.int64)
    at = np.array([m.at for m in moments], np.int64)
    told.units.update(units.tolist())
    begun = state.begins[units] < at
    state.last_tick[units[~begun]] = at[~begun]
    units, at = units[begun], at[begun]
    if not len(units):
        return
    moments = list(compress(moments, begun.tolist()))
    yield from open_windows(state, units, at)
    points = ranges(state.point_from[units], state.point_from[units + 1])
    ticks = np.repeat(at, state.point_from[units + 1] - state.point_from[units])
    ahead = beyond.beyond(state, points, ticks)
    cut = None
    if len(ahead):
        cut = yield from beyond.cut(
            state, ahead, dict(zip(units.tolist(), at.tolist(), strict=True))
        )
    judged = yield from _judge_open(state, units, at, points, ticks)
    if cut is not None:
        beyond.put_back(state, cut)
    full = [i for i in judged.to_tell if judged.full[i]]
    for some in range(0, len(full), _TOGETHER):
        mine = full[some : some + _TOGETHER]
        found = yield from side_by_side([_earlier_windows(state, moments[i].unit) for i in mine])
        for i, windows in zip(mine, found, strict=True):
            judged.earlier[i] = windows
    for i in judged.to_tell:
        yield from _tell(state, moments[i], judged, i, told)
    state.last_tick[units] = at
    state.tick_end[points] = state.end[points]


@dataclass(slots=True)
class _Judged:
    """What was found at a tick; by position of the unit, those to tell only: their open windows and silent points."""

    energy: Energy
    codes: Ints
    full: list[bool]
    to_tell: list[int]
    windows: dict[int, list[Json]]
    silent: dict[int, list[Json]]
    earlier: dict[int, list[Json]] = field(default_factory=dict)


def _judge_open(
    state: State, units: Ints, at: Ints, points: Ints, ticks: Ints
) -> Generator[Needs, Fetched, _Judged]:
    carriers = carriers_of(state, units)
    per_unit = state.carrier_from[units + 1] - state.carrier_from[units]
    owner = np.repeat(np.arange(len(units)), per_unit)
    tick = at[owner]
    opens = open_of(state, carriers, tick)
    yield from settle(state, carriers, settled_at(state, opens, tick))
    cut = tick % HOUR_MS != 0
    yield from ensure(state, np.unique(carriers[cut] << KEY_BITS | tick[cut] // HOUR_MS))
    silent = silent_points(state, points, ticks)
    differs = np.zeros(len(state.units), np.bool_)
    differs[state.p_unit[points[silent != state.told_silent[points]]]] = True
    state.told_silent[points] = silent
    full = at % HOUR_MS == 0
    found: dict[int, Figures] = {}
    for kind in range(len(KINDS)) if full.any() else (YEAR,):
        sums = open_sums(state, carriers, kind, tick, opens)
        found[kind] = figures(
            sums, *_ratios(state, carriers, state.slot_start[state.c_unit[carriers], kind])
        )
    start = state.slot_start[units, YEAR]
    energy = unit_energy(state, units, owner, found[YEAR], (start, at))
    codes = verdicts(energy, state.quota[units])
    to_tell = (codes != state.told_verdict[units]) | differs[units] | full
    windows: dict[int, list[Json]] = {i: [] for i in np.flatnonzero(to_tell).tolist()}
    for kind, of_kind in found.items():
        some = np.flatnonzero(to_tell if kind == YEAR else full)
        first = np.cumsum(per_unit) - per_unit
        rows = ranges(first[some], (first + per_unit)[some])
        between = state.slot_start[units[some], kind], state.slot_end[units[some], kind], at[some]
        for i, window in zip(
            some.tolist(),
            _windows(state, units[some], kind, between, of_kind.of(rows)),
            strict=True,
        ):
            windows[i].append(window)
    return _Judged(
        energy, codes, full.tolist(), list(windows), windows, _silent_lists(state, points[silent])
    )


def _silent_lists(state: State, points: Ints) -> dict[int, list[Json]]:
    """Silent points by unit."""
    found: dict[int, list[Json]] = defaultdict(list)
    columns = (state.p_unit[points], state.p_number[points], state.end[points])
    for unit, number, end in zip(*(column.tolist() for column in columns), strict=True):
        found[unit].append({"point": state.units[unit].points[number].name, "since": end})
    return found


def _ratios(state: State, carriers: Ints, start: Ints) -> tuple[Ints, Ints]:
    year, quantity = years_of_hours(start // HOUR_MS), state.c_quantity[carriers]
    return state.factors.numerator[quantity, :, year], state.factors.denominator[quantity, :, year]


def _tell(state: State, moment: Moment, judged: _Judged, i: int, told: Told) -> Asking:
    """One unit's message; remembers what was told."""
    u, code, quota = moment.unit, int(judged.codes[i]), int(state.quota[moment.unit])
    before = int(state.told_verdict[u])
    if code == FAIL and before != FAIL:
        until = -(-moment.at // QUARTER_MS) * QUARTER_MS
        found = yield from spans.since(state, u, (int(state.slot_start[u, YEAR]), until), quota)
        state.told_since[u] = until if found is None else found
    state.told_verdict[u] = code
    windows = judged.windows[i]
    if code != NO_VERDICT:
        windows[-1] |= _verdict(
            code,
            quota,
            int(state.told_since[u]) if code == FAIL else None,
            suspected=int(judged.energy.best[i]) > quota,
        )
    if judged.full[i]:
        windows += judged.earlier[i]
        state.touched[u].clear()
        state.earlier[u].clear()
        state.told_full[u] = moment.at
    said = [orjson.dumps(window) for window in windows]
    for window, text in zip(windows, said, strict=True):
        if window["window"] != "hour":
            told.windows.append(_window_row(state, moment, window, text))
    told.outbox.append(_message(state, moment, said, judged.silent.get(u, []), before))
    state.changed[u] = 0


def _window_row(state: State, moment: Moment, window: Json, text: bytes) -> WindowRow:
    kind, start, end = cast(
        "tuple[str, int, int]", (window["window"], window["start"], window["end"])
    )
    return WindowRow(
        state.units[moment.unit].code,
        kind,
        start,
        end,
        moment.at,
        moment.stand.offset,
        moment.stand.position,
        text,
    )


def _message(
    state: State, moment: Moment, windows: list[bytes], silent: list[Json], before: int
) -> OutboxRow:
    u, stand = moment.unit, moment.stand
    body = {
        "kind": "unit",
        "unit": state.units[u].code,
        "version": version(state, stand),
        "as_of": moment.at,
        "cause": _CAUSES[int(state.changed[u])],
        "configuration": int(state.configuration[u]),
        "history": not bool(state.live[u]),
        "windows": [orjson.Fragment(window) for window in windows],
        "silent": silent,
        "previous_verdict": _WORDS[before][0],
    }
    return OutboxRow(
        stand.partition, stand.offset, stand.position, 0, state.units[u].code, orjson.dumps(body)
    )


def version(state: State, stand: Stand) -> Json:
    """Where in the log something was told."""
    return {
        "generation": state.generation,
        "partition": stand.partition,
        "offset": stand.offset,
        "position": stand.position,
    }


def tick_message(state: State, stand: Stand, at: int, unit: str | None) -> OutboxRow:
    """The tick itself, after what it told."""
    body = {"kind": "tick", "version": version(state, stand), "as_of": at, "unit": unit}
    return OutboxRow(
        stand.partition, stand.offset, stand.position, LAST, unit or "", orjson.dumps(body)
    )


def numbered(outbox: list[OutboxRow]) -> tuple[OutboxRow, ...]:
    """The messages in their order, each with its number within its tick."""
    rows = sorted(
        outbox, key=lambda row: (row.partition, row.offset, row.position, row.number, row.key)
    )
    ticks = groupby(rows, key=lambda row: (row.partition, row.offset, row.position))
    return tuple(
        row._replace(number=number) for _, told in ticks for number, row in enumerate(told)
    )


# Windows.


def _verdict(code: int, quota: int, since: int | None, *, suspected: bool) -> Json:
    verdict, reason = _WORDS[code]
    return {
        "limit": quota,
        "verdict": verdict,
        "reason": reason,
        "since": since,
        "suspected": verdict == "UNDECIDABLE" and suspected,
    }


def _windows(
    state: State, units: Ints, kind: int, between: tuple[Ints, Ints, Ints], found: Figures
) -> list[Json]:
    """A window of each unit (starts, ends, until when) as told; `found`: figures of all carriers of these units."""
    start, end, until = between
    begins = state.begins[units]
    is_open = ((start < begins) & (begins < until)).tolist()
    carriers, count = (
        carriers_of(state, units),
        state.carrier_from[units + 1] - state.carrier_from[units],
    )
    last = np.cumsum(count)
    names = [QUANTITIES[quantity] for quantity in state.c_quantity[carriers].tolist()]
    columns = (found.low, found.best, found.high, found.measured, found.expected)
    rows = list(zip(names, *(column.tolist() for column in columns), strict=True))
    energies = _energies(state, found, carriers, last - count)
    factors = _Factors(state.factors)
    years = (years_of_hours(start // HOUR_MS) + FIRST_YEAR).tolist()
    told: list[Json] = []
    for i, (u, a, b, begin) in enumerate(
        zip(units.tolist(), (last - count).tolist(), last.tolist(), start.tolist(), strict=True)
    ):
        said: dict[str, Json] = {}
        for name, *amounts, measured, expected in rows[a:b]:
            said[name] = _figure(
                name,
                _opened(state, u, (begin, name), amounts) if is_open[i] else amounts,
                measured,
                expected,
            )
        if energies[i]:
            measured, expected, *both = energies[i]
            for target, (name, used) in enumerate(
                zip(TARGETS, factors.of(tuple(names[a:b]), years[i]), strict=True)
            ):
                amounts = both[3 * target : 3 * target + 3]
                said[name] = (
                    _figure(
                        name,
                        _opened(state, u, (begin, name), amounts) if is_open[i] else amounts,
                        measured,
                        expected,
                    )
                    | used
                )
        told.append({"window": KINDS[kind], "start": begin, "end": int(end[i]), "figures": said})
    return told


def _energies(state: State, found: Figures, carriers: Ints, first: Ints) -> list[list[int]]:
    """Of each unit, whose carriers begin at `first`: measured, expected, and low, best, high of each target; nothing where nothing feeds them."""
    feeds = feeding(state, carriers)
    columns = [found.measured, found.expected]
    for target in range(len(TARGETS)):
        columns += [
            found.target_low[:, target],
            found.target_best[:, target],
            found.target_high[:, target],
        ]
    sums = np.add.reduceat(np.where(feeds, np.stack(columns), 0), first, axis=1).T.tolist()
    return [
        row if fed else []
        for row, fed in zip(sums, np.logical_or.reduceat(feeds, first).tolist(), strict=True)
    ]


class _Factors:
    """What is said of the factors used, by quantities and year."""

    def __init__(self, factors: Factors) -> None:
        self._factors = factors
        self._said: dict[tuple[tuple[str, ...], int], list[Json]] = {}

    def of(self, names: tuple[str, ...], year: int) -> list[Json]:
        """For each target."""
        if (names, year) not in self._said:
            quantities = [QUANTITIES.index(name) for name in names if name in CARRIERS]
            used = [
                [self._factors.ids(quantity, target, year) for quantity in quantities]
                for target in range(len(TARGETS))
            ]
            self._said[names, year] = [
                {
                    "factors": [factor for factor, _ in one],
                    "unverified": any(mark for _, mark in one),
                }
                for one in used
            ]
        return self._said[names, year]


def _opened(state: State, u: int, what: tuple[int, str], amounts: list[int]) -> list[int | None]:
    """Amounts with the opening balance, of a window that begins before the unit's first validity: the year's, where it begins with it."""
    start, name = what
    low, best, high = amounts
    year = year_of(start)
    declared = state.opening(u, year, name) if start == year_start(year) else None
    if declared is None:
        return [low, best, None]
    return [low + declared[0], best + declared[1], high + declared[2]]


def _figure(name: str, amounts: Sequence[int | None], measured: int, expected: int) -> Json:
    low, best, high = amounts
    return {
        "unit_of_measure": UNIT_OF_MEASURE[name],
        "low": low,
        "best": best,
        "high": high,
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


def _closed_window(
    state: State, u: int, where: tuple[int, int, int], sums: Sums
) -> Generator[Needs, Fetched, Json]:
    kind, start, end = where
    carriers = carriers_of(state, np.array([u]))
    found = figures(sums, *_ratios(state, carriers, np.full(len(carriers), start)))
    units, begin, until = np.array([u]), np.array([start]), np.array([end])
    window = _windows(state, units, kind, (begin, until, until), found)[0]
    quota = state.quota_of(u, year_of(start)) if kind == YEAR else -1
    if quota < 0:
        return window
    energy = unit_energy(state, units, np.zeros(len(carriers), np.int64), found, (begin, until))
    code = int(verdicts(energy, np.array([quota]))[0])
    since = None
    if code == FAIL:
        since = yield from spans.since(state, u, (start, end), quota)
    return window | _verdict(code, quota, since, suspected=int(energy.best[0]) > quota)
