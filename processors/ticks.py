"""A tick: judge the units it concerns and decide what they are told.

Rules: schemas/RULES.md, section 7. What is told depends on the log alone, never on how it fell into steps.
"""

from collections import defaultdict
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from itertools import chain, compress, groupby
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import orjson

from processors import beyond, line_limits, lines, spans
from processors.boundaries import Boundary
from processors.judgement import (
    Figures,
    Sums,
    against_limits,
    by_quantity,
    figures,
    open_of,
    open_sums,
    settled_at,
    silent_points,
)
from processors.line_message import limit_name, limit_told, line_window
from processors.line_openings import opened, way_of_opening
from processors.ports import Fetched, Ints, LineRow, Needs, OutboxRow, WindowRow, side_by_side
from processors.rates import FIRST_YEAR, TARGETS, Rates, Way
from processors.state import (
    AMBIGUOUS_DATA,
    CO2,
    ENERGY,
    FAIL,
    KEY_BITS,
    LIMIT,
    MISSING_DATA,
    NO_VERDICT,
    OPENING_UNKNOWN,
    OTHER_VIEW,
    PASS,
    WAITS,
    State,
    ranges,
)
from processors.windows import (
    Asking,
    carriers_of,
    ensure,
    has_earlier_windows,
    open_windows,
    rows_of,
    settle,
    touched_windows,
    years_of_hours,
)
from schemas.calendar import (
    HOUR_MS,
    KINDS,
    QUARTER_MS,
    business_date,
    window_ends,
    year_of,
    year_start,
)
from schemas.factor_entry import Target
from schemas.quantities import QUANTITIES
from schemas.regions import regions_of
from schemas.registry import CARRIERS, UNIT_OF_MEASURE
from schemas.scale import SCALE
from schemas.section import NEVER

YEAR = KINDS.index("year")
TOLD_OF_LINES = tuple(KINDS.index(kind) for kind in ("day", "month", "year"))
_WORDS: dict[int, tuple[str | None, str | None]] = {
    NO_VERDICT: (None, None),
    PASS: ("PASS", None),
    FAIL: ("FAIL", None),
    OPENING_UNKNOWN: ("UNDECIDABLE", "opening unknown"),
    MISSING_DATA: ("UNDECIDABLE", "missing data"),
    AMBIGUOUS_DATA: ("UNDECIDABLE", "ambiguous data"),
    OTHER_VIEW: ("UNDECIDABLE", "other factor view"),
}
_TOGETHER = 64
"""Units whose earlier windows are looked up together: one question instead of many, and bounded memory."""
LAST = 1
"""Number of a tick's own message before `numbered`: it stands after the units'."""
_CAUSES = ("time", "reading", "late reading", "limit", "restatement", "factor")

Json = dict[str, object]
Figure = tuple[int, int, int | str, int]
"""low, best, high (a number or `null`), share measured: as they stand in JSON."""


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


class Window(NamedTuple):
    """A window as told: `said` is its JSON."""

    kind: str
    start: int
    end: int
    said: bytes

    def judged(self, verdict: Json) -> "Window":
        """The same with a verdict, which stands at its end."""
        return self._replace(said=self.said[:-1] + b"," + orjson.dumps(verdict)[1:])


LineWindows = dict[str, Window]
"""One window of each product line of a unit, by the line's id."""


@dataclass(slots=True)
class Told:
    """What ticks told: messages for others, and windows as they rest in the tables."""

    outbox: list[OutboxRow] = field(default_factory=list)
    windows: list[WindowRow] = field(default_factory=list)
    lines: list[LineRow] = field(default_factory=list)
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
    full = [
        i for i in judged.to_tell if judged.full[i] and has_earlier_windows(state, moments[i].unit)
    ]
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

    codes: Ints
    """[unit, target]"""
    best: Ints
    """[unit, target]"""
    full: list[bool]
    to_tell: list[int]
    windows: dict[int, list[Window]]
    silent: dict[int, list[Json]]
    lines: dict[int, list[LineWindows]]
    """Of units with product lines that are told in full: by kind of window."""
    earlier: dict[int, list[tuple[Window, LineWindows]]] = field(default_factory=dict)


def _judge_open(
    state: State, units: Ints, at: Ints, points: Ints, ticks: Ints
) -> Generator[Needs, Fetched, _Judged]:
    carriers = carriers_of(state, units)
    per_unit = state.carrier_from[units + 1] - state.carrier_from[units]
    quantities = state.row_from[units + 1] - state.row_from[units]
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
    full = (at % HOUR_MS == 0) | (state.changed[units] >= LIMIT)
    cells: dict[int, Figures] = {}
    found: dict[int, Figures] = {}
    for kind in range(len(KINDS)) if full.any() else (YEAR,):
        sums = open_sums(state, carriers, kind, tick, opens)
        cells[kind] = figures(
            sums, *_ratios(state, carriers, state.slot_start[state.c_unit[carriers], kind])
        )
        found[kind] = by_quantity(state, carriers, cells[kind])
    start = state.slot_start[units, YEAR]
    owner = np.repeat(np.arange(len(units)), quantities)
    limits = state.limit[units], state.other_view[units]
    codes, best = against_limits(state, units, owner, found[YEAR], (start, at), limits)
    to_tell = (codes != state.told_verdict[units]).any(axis=1) | differs[units] | full
    windows: dict[int, list[Window]] = {i: [] for i in np.flatnonzero(to_tell).tolist()}
    for kind, of_kind in found.items():
        some = np.flatnonzero(to_tell if kind == YEAR else full)
        first = np.cumsum(quantities) - quantities
        rows = ranges(first[some], (first + quantities)[some])
        between = state.slot_start[units[some], kind], state.slot_end[units[some], kind], at[some]
        for i, window in zip(
            some.tolist(),
            _windows(state, units[some], kind, between, of_kind.of(rows)),
            strict=True,
        ):
            windows[i].append(window)
    lined = [i for i in np.flatnonzero(full).tolist() if state.boundaries[units[i]]]
    ends = np.cumsum(per_unit).tolist()
    lines = {
        i: [
            _line_windows(
                state,
                int(units[i]),
                (kind, int(state.slot_start[units[i], kind]), int(state.slot_end[units[i], kind])),
                int(at[i]),
                cells[kind].of(np.arange(ends[i] - int(per_unit[i]), ends[i])),
                is_open=True,
            )
            for kind in TOLD_OF_LINES
        ]
        for i in lined
    }
    return _Judged(
        codes,
        best,
        full.tolist(),
        list(windows),
        windows,
        _silent_lists(state, points[silent]),
        lines,
    )


def _silent_lists(state: State, points: Ints) -> dict[int, list[Json]]:
    """Silent points by unit."""
    found: dict[int, list[Json]] = defaultdict(list)
    columns = (state.p_unit[points], state.p_number[points], state.end[points])
    for unit, number, end in zip(*(column.tolist() for column in columns), strict=True):
        found[unit].append({"point": state.units[unit].points[number].name, "since": end})
    return found


def _ratios(state: State, carriers: Ints, start: Ints) -> tuple[Ints, Ints]:
    year, rate = years_of_hours(start // HOUR_MS), state.c_rate[carriers]
    return state.rates.numerator[rate, :, year], state.rates.denominator[rate, :, year]


def _tell(state: State, moment: Moment, judged: _Judged, i: int, told: Told) -> Asking:
    """One unit's message; remembers what was told."""
    u, start = moment.unit, int(state.slot_start[moment.unit, YEAR])
    before = int(state.told_verdict[u, ENERGY])
    windows = judged.windows[i]
    for target, code in enumerate(judged.codes[i].tolist()):
        if code == NO_VERDICT:
            continue
        limit = int(state.limit[u, target])
        is_new = state.told_verdict[u, target] != FAIL or state.told_since[u, target] == NEVER
        if code == FAIL and is_new:
            until = -(-moment.at // QUARTER_MS) * QUARTER_MS
            found = yield from spans.since(state, u, (start, until), limit, target)
            state.told_since[u, target] = until if found is None else found
        since = int(state.told_since[u, target]) if code == FAIL else None
        said = _verdict(code, limit, since, suspected=int(judged.best[i, target]) > limit)
        windows[-1] = windows[-1].judged(_against(state, u, start, said, target))
    state.told_verdict[u] = judged.codes[i]
    if judged.full[i]:
        earlier = judged.earlier.get(i, [])
        windows += [window for window, _ in earlier]
        lines = [*judged.lines.get(i, []), *(of_lines for _, of_lines in earlier)]
        _tell_lines(state, moment, lines, told)
        state.touched[u].clear()
        state.earlier[u].clear()
        state.told_full[u] = moment.at
    name, stand = state.units[u].code, moment.stand
    told.windows.extend(
        WindowRow(
            name,
            window.kind,
            window.start,
            window.end,
            moment.at,
            stand.offset,
            stand.position,
            window.said,
        )
        for window in windows
        if window.kind != "hour"
    )
    told.outbox.append(_message(state, moment, windows, judged.silent.get(u, []), before))
    state.changed[u] = 0


def _message(
    state: State, moment: Moment, windows: list[Window], silent: list[Json], before: int
) -> OutboxRow:
    u, stand = moment.unit, moment.stand
    body = {
        "kind": "unit",
        **_told_of(state, moment),
        "windows": [orjson.Fragment(window.said) for window in windows],
        "silent": silent,
        "previous_verdict": _WORDS[before][0],
    }
    return OutboxRow(
        stand.partition, stand.offset, stand.position, 0, state.units[u].code, orjson.dumps(body)
    )


def _told_of(state: State, moment: Moment) -> Json:
    """Whom a message is about, where it stands, and why it is told."""
    u = moment.unit
    body: Json = {
        "unit": state.units[u].code,
        "version": version(state, moment.stand),
        "as_of": moment.at,
        "cause": _CAUSES[int(state.changed[u]) % WAITS],
        "configuration": int(state.configuration[u]),
        "history": not bool(state.live[u]),
    }
    if state.pending[u]:
        body["pending"] = int(state.pending[u])
    return body


def _tell_lines(state: State, moment: Moment, windows: list[LineWindows], told: Told) -> None:
    """A message for each product line of a unit, after the unit's own."""
    unit, stand = state.units[moment.unit], moment.stand
    for line in (boundary.line for boundary in state.boundaries[moment.unit]):
        mine = [of_lines[line.id] for of_lines in windows]
        told.lines.extend(
            LineRow(
                unit.code,
                line.id,
                window.kind,
                window.start,
                window.end,
                moment.at,
                stand.offset,
                stand.position,
                window.said,
            )
            for window in mine
        )
        body = {
            "kind": "line",
            "line": line.id,
            "name": line.name,
            **_told_of(state, moment),
            "windows": [orjson.Fragment(window.said) for window in mine],
        }
        key = f"line:{unit.code}:{line.id}"
        told.outbox.append(
            OutboxRow(stand.partition, stand.offset, stand.position, 0, key, orjson.dumps(body))
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


def _verdict(code: int, limit: int, since: int | None, *, suspected: bool) -> Json:
    verdict, reason = _WORDS[code]
    may_be = verdict == "UNDECIDABLE" and code != OTHER_VIEW
    return {
        "limit": limit,
        "verdict": verdict,
        "reason": reason,
        "since": since,
        "suspected": may_be and suspected,
    }


def _against(state: State, u: int, start: int, verdict: Json, target: int) -> Json:
    """A year's verdict as it stands in the window: that on the budget apart, with its view."""
    budget = state.budget_of(u, year_of(start)) if target == CO2 else None
    return verdict if budget is None else {"budget": {**verdict, "view": budget.view}}


def _windows(
    state: State, units: Ints, kind: int, between: tuple[Ints, Ints, Ints], found: Figures
) -> list[Window]:
    """A window of each unit (starts, ends, until when) as told; `found`: figures of all quantities of these units."""
    start, end, until = between
    begins = state.begins[units]
    is_open = ((start < begins) & (begins < until)).tolist()
    rows = rows_of(state, units)
    count = state.row_from[units + 1] - state.row_from[units]
    last = np.cumsum(count)
    first = last - count
    names = [QUANTITIES[quantity] for quantity in state.row_quantity[rows].tolist()]
    native = _figures(found.low, found.best, found.high, found.measured, found.expected)
    energies = _energies(state, found, rows, first)
    forms = _Forms(state, KINDS[kind])
    years = (years_of_hours(start // HOUR_MS) + FIRST_YEAR).tolist()
    columns = (units, first, last, start, end)
    told = []
    for i, (u, a, b, begin, finish) in enumerate(zip(*(c.tolist() for c in columns), strict=True)):
        form = forms.of(tuple(names[a:b]), (int(state.mix[u]), years[i]))
        said = native[a:b] + energies[i]
        if is_open[i]:
            named = zip(form.names, said, strict=True)
            said = [_opened(state, u, (begin, name), figure) for name, figure in named]
        text = form.text % (begin, finish, *chain.from_iterable(said))
        told.append(Window(KINDS[kind], begin, finish, text.encode()))
    return told


def _figures(low: Ints, best: Ints, high: Ints, measured: Ints, expected: Ints) -> list[Figure]:
    """Rows of figures as told; a share in millionths."""
    columns = (column.tolist() for column in (low, best, high, measured, expected))
    return [
        (a, b, c, SCALE * part // whole if whole else 0)
        for a, b, c, part, whole in zip(*columns, strict=True)
    ]


def _energies(state: State, found: Figures, rows: Ints, first: Ints) -> list[list[Figure]]:
    """Energy, CO2, process emissions and purchased electricity of each unit, whose quantities begin at `first`; none where nothing feeds them."""
    is_energy, is_co2, is_own = state.row_feeds[rows].T
    targets = [
        tuple(column[:, t] for column in (found.target_low, found.target_best, found.target_high))
        for t in range(len(TARGETS))
    ]
    times = found.co2_measured, found.co2_expected
    of_figures = [
        (is_energy, (*targets[0], found.measured, found.expected)),
        (is_co2, (*targets[1], *times)),
    ]
    if (emits := is_co2 & ~is_energy).any():
        of_figures.append((emits, (*targets[1], *times)))
    if is_own.any():
        native = found.purchased_low, found.purchased_best, found.purchased_high
        of_figures.append((is_own, (*native, *times)))
    said: list[list[Figure]] = [[] for _ in range(len(first))]
    for feeds, columns in of_figures:
        sums = [np.add.reduceat(np.where(feeds, column, 0), first) for column in columns]
        fed = np.logical_or.reduceat(feeds, first).tolist()
        for mine, is_fed, figure in zip(said, fed, _figures(*sums), strict=True):
            if is_fed:
                mine.append(figure)
    return said


class _Form(NamedTuple):
    """JSON of a window: start, end, and four numbers a figure are to be filled in."""

    names: tuple[str, ...]
    text: str


class _Forms:
    """Forms of a kind of window, by quantities, rates and year: tens of thousands differ in their numbers alone."""

    def __init__(self, state: State, kind: str) -> None:
        self._rates, self._mixes, self._kind = state.rates, state.mixes, kind
        self._known: dict[tuple[tuple[str, ...], tuple[int, int]], _Form] = {}

    def of(self, names: tuple[str, ...], by: tuple[int, int]) -> _Form:
        """The form of units that have just these quantities, converted by a mix of rates in a year."""
        if (names, by) not in self._known:
            self._known[names, by] = self._made(names, by)
        return self._known[names, by]

    def _made(self, names: tuple[str, ...], by: tuple[int, int]) -> _Form:
        mix, year = by
        rows = self._mixes[mix]
        emits = tuple(row for row in rows if self._rates.way(row).process)
        figures: dict[str, Json] = {name: _blank(name) for name in names}
        is_energy = any(name in CARRIERS for name in names)
        if is_energy:
            figures["energy"] = _blank("energy") | used_by(self._rates, rows, "energy", year)
        if is_energy or emits:
            figures["co2"] = _blank("co2") | used_by(self._rates, rows, "co2", year)
        if emits:
            figures["process"] = _blank("process") | used_by(self._rates, emits, "co2", year)
        if any(self._rates.way(row).is_own_power for row in rows):
            figures["purchased"] = _blank("purchased")
        body = {"window": self._kind, "start": "%s", "end": "%s", "figures": figures}
        text = orjson.dumps(body).decode().replace("%", "%%").replace('"%%s"', "%s")
        return _Form(tuple(figures), text)


def used_by(rates: Rates, rows: Iterable[int], target: Target, year: int) -> Json:
    """What rows are converted by in a year, and whether any of it is unverified."""
    told = (rates.used(row, TARGETS.index(target), year) for row in rows)
    used = dict(chain.from_iterable(told))
    return {"factors": list(used), "unverified": any(used.values())}


def _blank(name: str) -> Json:
    numbers = dict.fromkeys(("low", "best", "high", "share_measured"), "%s")
    return {"unit_of_measure": UNIT_OF_MEASURE[name], **numbers}


def _opened(state: State, u: int, what: tuple[int, str], figure: Figure) -> Figure:
    """A figure with the opening balance, of a window that begins before the unit's first validity: the year's, where it begins with it."""
    start, name = what
    low, best, high, share = figure
    year = year_of(start)
    declared = state.opening(u, year, name) if start == year_start(year) else None
    if declared is None:
        return low, best, "null", share
    return low + declared[0], best + declared[1], int(high) + declared[2], share


def _earlier_windows(
    state: State, u: int
) -> Generator[Needs, Fetched, list[tuple[Window, LineWindows]]]:
    """The touched days, months and years before the open ones, as they are now, with those of product lines."""
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
) -> Generator[Needs, Fetched, tuple[Window, LineWindows]]:
    kind, start, end = where
    carriers = carriers_of(state, np.array([u]))
    cells = figures(sums, *_ratios(state, carriers, np.full(len(carriers), start)))
    found = by_quantity(state, carriers, cells)
    units, begin, until = np.array([u]), np.array([start]), np.array([end])
    window = _windows(state, units, kind, (begin, until, until), found)[0]
    lines = _line_windows(state, u, where, end, cells, is_open=False) if state.boundaries[u] else {}
    if kind != YEAR:
        return window, lines
    year = year_of(start)
    limits = np.array([state.limits_of(u, year)]), np.array([state.is_other_view(u, year)])
    owner = np.zeros(len(found.low), np.int64)
    codes, best = against_limits(state, units, owner, found, (begin, until), limits)
    for target, code in enumerate(codes[0].tolist()):
        if code == NO_VERDICT:
            continue
        limit, since = int(limits[0][0, target]), None
        if code == FAIL:
            since = yield from spans.since(state, u, (start, end), limit, target)
        said = _verdict(code, limit, since, suspected=int(best[0, target]) > limit)
        window = window.judged(_against(state, u, start, said, target))
    return window, lines


# Product lines.


def _line_windows(
    state: State,
    u: int,
    where: tuple[int, int, int],
    until: int,
    cells: Figures,
    *,
    is_open: bool,
) -> LineWindows:
    """A window (kind, start, end) of each product line of a unit; `cells`: figures of the unit's carriers until then."""
    kind, start, end = where
    carriers = slice(int(state.carrier_from[u]), int(state.carrier_from[u + 1]))
    quantities = state.c_quantity[carriers].tolist()
    columns = (cells.low, cells.best, cells.high, cells.measured, cells.expected)
    natives = [lines.Native._make(row) for row in zip(*(c.tolist() for c in columns), strict=True)]
    factors = _LineRates(state.rates, year_of(start), state.c_rate[carriers].tolist())
    names = [QUANTITIES[quantity] for quantity in quantities]
    told = {}
    span = start, min(until, end)
    for own in state.boundaries[u]:
        boundary, declared = opened(own, len(names), span)
        ways = [way_of_opening(state.units[u], name) for name, _ in declared]
        by = factors.and_of(int(state.pack[u]), ways)
        ratios = by.ratios()
        window = line_limits.Window(
            boundary,
            [*names, *(name for name, _ in declared)],
            [*natives, *(native for _, native in declared)],
            ratios["energy"],
            span,
            business_date(span[1] - 1),
            regions_of(state.units[u].region),
            by.by_quantity(boundary),
        )
        found = lines.figures(boundary, window.names, window.natives, ratios, span)
        limits = [] if KINDS[kind] == "day" else _limits(state, u, window, kind, is_open=is_open)
        energies = state.laws[int(state.law[u])].energies(window) if limits else ()
        used = by.used(boundary)
        said = line_window((KINDS[kind], start, end), found, used, limits, energies)
        told[boundary.line.id] = Window(KINDS[kind], start, end, said)
    return told


def _limits(
    state: State, u: int, window: line_limits.Window, kind: int, *, is_open: bool
) -> list[Json]:
    """What is said of a line against its limits; remembers since when each is broken in an open window."""
    law = state.laws.get(int(state.law[u]))
    if law is None:
        return []
    start, until = window.span
    place = f"{window.boundary.line.id} {KINDS[kind]} {start}"
    before = state.broken_since[u].get(place, {})
    held = list(law.of(window))
    broken = {
        name: before.get(name, until)
        for name in (limit_name(one) for one in held if one.judged.outcome == "FAIL")
    }
    if is_open:
        line = f"{window.boundary.line.id} {KINDS[kind]} "
        for other in [one for one in state.broken_since[u] if one.startswith(line)]:
            del state.broken_since[u][other]
        if broken:
            state.broken_since[u][place] = broken
    since = broken if is_open else {}
    return [limit_told(one, law.held.version, since.get(limit_name(one))) for one in held]


class _LineRates(NamedTuple):
    """The rates of a unit's carriers in a year."""

    rates: Rates
    year: int
    rows: list[int]

    def and_of(self, pack: int, ways: Iterable[Way]) -> "_LineRates":
        """With further carriers, by their ways."""
        return self._replace(rows=[*self.rows, *(self.rates.row(pack, way) for way in ways)])

    def ratios(self) -> dict[str, dict[int, lines.Ratio]]:
        """By target, of the carriers that count for it; `process`: of what is no energy."""
        told: dict[str, dict[int, lines.Ratio]] = {"energy": {}, "co2": {}, "process": {}}
        for place, row in enumerate(self.rows):
            way = self.rates.way(row)
            for target, feeds in enumerate(way.feeds):
                if feeds:
                    name = "process" if way.process else TARGETS[target]
                    told[name][place] = self._ratio(row, target)
        return told

    def _ratio(self, row: int, target: int) -> lines.Ratio:
        where = row, target, self.year - FIRST_YEAR
        numerator, denominator = self.rates.numerator[where], self.rates.denominator[where]
        return lines.Ratio(self.rates.sign(row) * int(numerator), int(denominator))

    def by_quantity(self, boundary: Boundary) -> dict[str, list[tuple[str, bool]]]:
        """By quantity of what a line takes: by what it is converted to tce, and whether that is unverified."""
        found: dict[str, list[tuple[str, bool]]] = {}
        for place in sorted({place for place, _ in boundary.takes}):
            used = self.rates.used(self.rows[place], 0, self.year)
            found[self.rates.way(self.rows[place]).quantity] = list(used)
        return found

    def used(self, boundary: Boundary) -> dict[str, Json]:
        """Of energy, CO2 and process emissions: by what a line is converted."""
        takes = [self.rows[place] for place in sorted({place for place, _ in boundary.takes})]
        emits = [self.rows[place] for place in sorted({place for place, _ in boundary.emits})]
        return {
            "energy": used_by(self.rates, takes, "energy", self.year),
            "co2": used_by(self.rates, [*takes, *emits], "co2", self.year),
            "process": used_by(self.rates, emits, "co2", self.year),
        }
