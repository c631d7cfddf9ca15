"""From pieces to hours and open windows, all by integer addition, so that any correction is: take the old pieces out, put the new ones in.

Rules: schemas/RULES.md, sections 3 to 5.
"""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from processors.amounts import bounds_of_part, spread, staircase, weighted_staircase
from processors.conversion import converted
from processors.gaps import bounded_part, known_gaps
from processors.ports import HOUR_FIELDS, Fetched, Gap, HourSpan, Ints, Needs
from processors.rates import FIRST_YEAR
from processors.revision import limits_of_years
from processors.state import (
    ALL,
    BEST,
    CUT_LOW,
    EXACT,
    EXACT_NATIVE,
    FOREVER,
    H_AFTER_LOW,
    H_BEFORE_LOW,
    H_BEST,
    H_FINGERPRINT,
    H_INEXACT,
    H_MEASURED,
    H_UNKNOWN_BEST,
    H_UNKNOWN_HIGH,
    INEXACT_HOURS,
    KEY_BITS,
    MEASURED,
    NO_VERDICT,
    UNKNOWN_BEST,
    UNKNOWN_HIGH,
    State,
    ranges,
)
from schemas.calendar import (
    HOUR_MS,
    KINDS,
    OFFSET_MS,
    window_end,
    window_ends,
    window_starts,
    year_of,
    year_start,
)
from schemas.registry import Unit
from schemas.section import NEVER

KNOWN, UNKNOWN, LIFT = 0, 1, 2
HOUR_MASK = (1 << KEY_BITS) - 1
DAY, YEAR = KINDS.index("day"), KINDS.index("year")
Asking = Generator[Needs, Fetched, None]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Pieces:
    """Pieces of points' timelines, in columns; `until` < `end` is a piece cut at a tick.

    A lift is [start, start + 1) with its excess in `high`.
    """

    point: Ints
    start: Ints
    end: Ints
    kind: Ints
    low: Ints
    high: Ints
    until: Ints

    def __len__(self) -> int:
        return len(self.point)


def pieces(rows: Iterable[tuple[int, int, int, int, int, int, int]]) -> Pieces:
    """Pieces from rows (point, start, end, kind, low, high, until)."""
    table = np.array(list(rows), np.int64).reshape(-1, 7)
    return Pieces(*(table[:, i] for i in range(7)))


def together(parts: list[Pieces]) -> Pieces:
    """All of these pieces."""
    names = ("point", "start", "end", "kind", "low", "high", "until")
    return Pieces(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            if parts
            else np.empty(0, np.int64)
            for name in names
        )
    )


def is_gap(state: State, part: Pieces) -> Mask:
    """Known pieces that hours alone cannot bound: longer than an hour or (registers) than cadence and tolerance, or of several values."""
    length = part.end - part.start
    slow = state.is_register[part.point] & (length > state.patience[part.point])
    result: Mask = (part.kind == KNOWN) & ((length > HOUR_MS) | slow | (part.low != part.high))
    return result


# Hour rows in memory.


def _by_hour(part: Pieces) -> tuple[Ints, Ints]:
    """Each piece once for every hour it touches: (index of the piece, hour)."""
    first = part.start // HOUR_MS
    count = np.maximum((part.until - 1) // HOUR_MS - first + 1, 0)
    total = int(count.sum())
    if total == len(part) and (count == 1).all():
        return np.arange(len(part)), first
    index = np.repeat(np.arange(len(part)), count)
    offset = np.arange(total) - np.repeat(np.cumsum(count) - count, count)
    return index, first[index] + offset


def ensure(state: State, keys: Ints) -> Asking:
    """Bring these hour rows into memory; rows that are nowhere begin at zero."""
    missing = keys[~_contains(state.hot_keys, keys)]
    if not len(missing):
        return
    carrier, hour = missing >> KEY_BITS, missing & HOUR_MASK
    stored = (hour < state.hot_from[carrier]) & (hour <= state.max_hour[carrier])
    if stored.any():
        spans = _spans(state, carrier[stored], hour[stored])
        fetched = yield Needs(hours=spans)
        _take_rows(state, fetched)
        missing = keys[~_contains(state.hot_keys, keys)]
    _insert(state, missing, np.zeros((len(missing), len(HOUR_FIELDS)), np.int64))


def load_from(state: State, carriers: Ints, hours: Ints) -> Asking:
    """Bring every row of these carriers from these hours on into memory."""
    behind = (hours < state.hot_from[carriers]) & (hours <= state.max_hour[carriers])
    if not behind.any():
        return
    wanted = carriers[behind]
    spans = {
        HourSpan(
            state.units[int(state.c_unit[c])].code,
            int(hour),
            int(min(state.hot_from[c], state.max_hour[c] + 1)),
        )
        for c, hour in zip(wanted, hours[behind], strict=True)
    }
    fetched = yield Needs(hours=tuple(sorted(spans)))
    _take_rows(state, fetched)
    state.hot_from[wanted] = hours[behind]


def _spans(state: State, carriers: Ints, hours: Ints) -> tuple[HourSpan, ...]:
    """The runs of hours that are wanted of each unit."""
    wanted = sorted(
        {(int(state.c_unit[c]), int(hour)) for c, hour in zip(carriers, hours, strict=True)}
    )
    spans: list[HourSpan] = []
    for unit, hour in wanted:
        code = state.units[unit].code
        if spans and spans[-1].unit == code and spans[-1].to_hour == hour:
            spans[-1] = spans[-1]._replace(to_hour=hour + 1)
        else:
            spans.append(HourSpan(code, hour, hour + 1))
    return tuple(spans)


def carrier_of(state: State, unit: int, cell: str) -> int | None:
    """Index of a unit's carrier by the name of its cell; None where its entry has the cell no more."""
    first, last = int(state.carrier_from[unit]), int(state.carrier_from[unit + 1])
    return next((c for c in range(first, last) if state.c_name[c] == cell), None)


def _take_rows(state: State, fetched: Fetched) -> None:
    """Rows from the store; what is in memory already is newer and stays."""
    rows = {
        carrier << KEY_BITS | row.hour: row.numbers
        for row in fetched.hours
        if (carrier := carrier_of(state, state.index[row.unit], row.quantity)) is not None
    }
    keys = np.array(sorted(rows), np.int64)
    new = keys[~_contains(state.hot_keys, keys)]
    _insert(
        state,
        new,
        np.array([rows[int(key)] for key in new], np.int64).reshape(-1, len(HOUR_FIELDS)),
    )


def _contains(keys: Ints, wanted: Ints) -> Mask:
    if not len(keys):
        return np.zeros(len(wanted), np.bool_)
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    result: Mask = keys[at] == wanted
    return result


def _insert(state: State, keys: Ints, rows: Ints) -> None:
    if not len(keys):
        return
    at = np.searchsorted(state.hot_keys, keys)
    state.hot_keys = np.insert(state.hot_keys, at, keys)
    state.hot_rows = np.insert(state.hot_rows, at, rows, axis=0)
    state.hot_dirty = np.insert(state.hot_dirty, at, values=False)


def put_rows(state: State, keys: Ints, rows: Ints) -> None:
    """Rows that none in memory stands for, to be written with the step."""
    _insert(state, keys, rows)
    state.hot_dirty[np.searchsorted(state.hot_keys, keys)] = True


def evict(state: State) -> None:
    """Forget hour rows that neither an open end nor the present needs; the database has them."""
    if not len(state.hot_keys):
        return
    carrier, hour = state.hot_keys >> KEY_BITS, state.hot_keys & HOUR_MASK
    ticked = state.last_tick[state.c_unit] // HOUR_MS - 1
    bound = np.minimum(state.settled, ticked)
    keep = (hour >= bound[carrier]) | state.hot_dirty
    if not keep.all():
        state.hot_keys, state.hot_rows, state.hot_dirty = (
            state.hot_keys[keep],
            state.hot_rows[keep],
            state.hot_dirty[keep],
        )
        state.hot_from = np.maximum(state.hot_from, np.minimum(bound, state.max_hour + 1))


# Adding pieces.


@dataclass(frozen=True, slots=True)
class Change:
    """Pieces, and what they add to each hour that they touch: keys in order, and rows."""

    part: Pieces
    keys: Ints
    rows: Ints
    bounded: tuple[tuple[Gap, int], ...] = ()
    """Bounded gaps, each with the instant until which it counts."""


def apply(state: State, change: Change, sign: int = 1, *, quiet: bool = False) -> None:
    """Add (sign 1) or take out (sign −1) pieces. Their hour rows must be in memory (`ensure`).

    `quiet`: a passing cut, after which the same is put back; hours are not noted as changed.
    """
    keys = change.keys
    if not len(keys):
        return
    at = np.searchsorted(state.hot_keys, keys)
    before = state.hot_rows[at]
    after = before + sign * change.rows
    state.hot_rows[at] = after
    state.hot_dirty[at] = True
    carrier, hour = keys >> KEY_BITS, keys & HOUR_MASK
    np.maximum.at(state.max_hour, carrier, hour)
    _add_to_windows(state, carrier, hour, before, after)
    _add_cuts(state, change.part, sign)
    _add_bounded_cuts(state, change.bounded, sign)
    if not quiet:
        _note_earlier(state, carrier, hour, before)


def change_of(state: State, part: Pieces) -> Change:
    """What these pieces add to the hours."""
    index, hour = _by_hour(part)
    keys = state.p_carrier[part.point[index]] << KEY_BITS | hour
    columns: dict[int, Ints] = {H_FINGERPRINT: _fingerprints(state, part)[index]}
    x, y = (
        np.maximum(part.start[index], hour * HOUR_MS),
        np.minimum(part.until[index], (hour + 1) * HOUR_MS),
    )
    columns |= _of_known(part, index, (x, y))
    kinds = part.kind[index]
    for kind, told in ((UNKNOWN, _of_unknown), (LIFT, _of_lift)):
        some = np.flatnonzero(kinds == kind)
        if len(some):
            for column in (H_BEST, H_MEASURED, H_INEXACT):
                columns[column][some] = 0
            for column, values in told(state, part, index[some], (x[some], y[some])).items():
                columns.setdefault(column, np.zeros(len(index), np.int64))[some] = values
    edge_keys, edges = _edges(state, part)
    if len(edge_keys):
        keys = np.concatenate([keys, edge_keys])
    return Change(part, *_grouped(keys, columns, edges))


def change_of_bounded(state: State, gaps: Iterable[tuple[Gap, int]]) -> Change:
    """What bounded gaps make of the hours of unknown time, each until an instant: a share of its amount in place of the guess."""
    found = tuple(gaps)
    rows = [
        (i, a, min(b, until), before)
        for i, (gap, until) in enumerate(found)
        for a, b, before in _parts(gap)
        if a < until
    ]
    owner, start, end, before = np.array(rows, np.int64).reshape(-1, 4).T
    columns = [(_point(state, gap), gap.low, _length(gap), _mark(gap)) for gap, _ in found]
    point, low, length, marks = np.array(columns, np.int64).reshape(-1, 4)[owner].T
    index, hour = _by_hour(Pieces(point, start, end, np.full(len(owner), UNKNOWN), low, low, end))
    x, y = np.maximum(start[index], hour * HOUR_MS), np.minimum(end[index], (hour + 1) * HOUR_MS)
    best, high = unknown_amounts(state, point[index], (x, y))
    zero, done = np.zeros(len(index), np.int64), before[index] - start[index]
    first, last = (spread(low[index], zero, length[index], done + at) for at in (x, y))
    columns_of = {
        H_BEST: last - first - best,
        H_UNKNOWN_BEST: -best,
        H_UNKNOWN_HIGH: -high,
        H_FINGERPRINT: marks[index],
    }
    keys = state.p_carrier[point[index]] << KEY_BITS | hour
    return Change(pieces(()), *_grouped(keys, columns_of, {}), found)


def _parts(gap: Gap) -> Iterator[tuple[int, int, int]]:
    """Parts of a bounded gap, each with the length of those before it."""
    before = 0
    for a, b in zip(gap.parts[::2], gap.parts[1::2], strict=True):
        yield a, b, before
        before += b - a


def _length(gap: Gap) -> int:
    return sum(gap.parts[1::2]) - sum(gap.parts[::2])


def _mark(gap: Gap) -> int:
    """A hash of a bounded gap, whole."""
    columns = (np.array([number], np.int64) for number in (gap.point, gap.low, *gap.parts))
    return int(_mixed(columns)[0])


def _point(state: State, gap: Gap) -> int:
    return int(state.point_of_number[state.index[gap.unit]][gap.point])


def _fingerprints(state: State, part: Pieces) -> Ints:
    """A hash of each known piece. The others show in the hour's other numbers, however they are split."""
    mixed = _mixed((state.p_number[part.point], part.start, part.until, part.low, part.high))
    return np.where(part.kind == KNOWN, mixed, 0)


def _mixed(columns: Iterable[Ints]) -> Ints:
    """A 64-bit hash over columns (products and shifts modulo 2⁶⁴)."""
    mixed = np.zeros(1, np.uint64)
    for column in columns:
        mixed = (mixed ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed.view(np.int64)


def _of_known(part: Pieces, index: Ints, between: tuple[Ints, Ints]) -> dict[int, Ints]:
    x, y = between
    start, end, low = part.start[index], part.end[index], part.low[index]
    exact = low == part.high[index]
    whole = (x == start) & (y == end)
    cut = np.flatnonzero(~whole & (low != 0))
    if len(cut):
        where = (low[cut], start[cut], end[cut])
        low[cut] = spread(*where, y[cut]) - spread(*where, x[cut])
    return {
        H_BEST: low,
        H_MEASURED: np.where(exact, y - x, 0),
        H_INEXACT: np.where(exact & whole, 0, y - x),
    }


def _of_unknown(
    state: State, part: Pieces, index: Ints, between: tuple[Ints, Ints]
) -> dict[int, Ints]:
    x, y = between
    best, high = unknown_amounts(state, part.point[index], (x, y))
    return {H_BEST: best, H_UNKNOWN_BEST: best, H_UNKNOWN_HIGH: high, H_INEXACT: y - x}


def unknown_amounts(state: State, points: Ints, between: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    """Of time [x, y) of which nothing is known: best and high."""
    x, y = between
    rated = state.rated[points]
    before, after = staircase(rated, x), staircase(rated, y)
    best = (after >> 1) - (before >> 1)  # half a staircase is the staircase's half
    if state.profiles:
        for number, mine in _by_profile(state.p_profile[points]):
            weights = state.profiles[number]
            first, last = (
                weighted_staircase(rated[mine], weights.weighted(at[mine])) for at in (x, y)
            )
            best[mine] = last - first
    return best, after - before


def _by_profile(profiles: Ints) -> Iterator[tuple[int, Ints]]:
    """Places of each of the profiles; those of none (−1) left out."""
    some = np.flatnonzero(profiles >= 0)
    if len(some):
        some = some[np.argsort(profiles[some], kind="stable")]
        known, first = np.unique(profiles[some], return_index=True)
        yield from zip(known.tolist(), np.split(some, first[1:]), strict=True)


def _of_lift(
    state: State, part: Pieces, index: Ints, between: tuple[Ints, Ints]
) -> dict[int, Ints]:
    del state, between
    return {H_UNKNOWN_HIGH: part.high[index], H_INEXACT: np.ones(len(index), np.int64)}


def _edges(state: State, part: Pieces) -> tuple[Ints, dict[int, Ints]]:
    """Short known pieces that cross the beginning of an hour: their bounds there, less their best."""
    hour = (part.end - 1) // HOUR_MS
    crossing = (part.kind == KNOWN) & (part.start // HOUR_MS != hour) & (part.until == part.end)
    if not crossing.any():
        return np.empty(0, np.int64), {}
    crossing &= ~is_gap(state, part)
    p, a, b, low, high = (
        column[crossing] for column in (part.point, part.start, part.end, part.low, part.high)
    )
    rated, edge = state.rated[p], hour[crossing] * HOUR_MS
    first = spread(low, a, b, edge)
    columns: dict[int, Ints] = {}
    for column, (x, y), best in (
        (H_BEFORE_LOW, (a, edge), first),
        (H_AFTER_LOW, (edge, b), low - first),
    ):
        part_low, part_high = bounds_of_part(low, high, rated, (a, b), (x, y))
        columns |= {column: part_low - best, column + 1: part_high - best}
    return state.p_carrier[p] << KEY_BITS | hour[crossing], columns


def _grouped(keys: Ints, columns: dict[int, Ints], edges: dict[int, Ints]) -> tuple[Ints, Ints]:
    """Rows summed by key. The values of `edges` belong to the last keys, those of `columns` to the others."""
    order = np.argsort(keys)
    keys = keys[order]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else keys
    rows = np.zeros((len(first), len(HOUR_FIELDS)), np.int64)
    whole = np.zeros(len(keys), np.int64)
    for column, values in columns.items():
        whole[: len(values)] = values
        rows[:, column] = np.add.reduceat(whole[order], first) if len(first) else 0
    whole[:] = 0
    for column, values in edges.items():
        whole[len(keys) - len(values) :] = values
        rows[:, column] = np.add.reduceat(whole[order], first)
    return keys[first], rows


def years_of_hours(hour: Ints) -> Ints:
    """Business years of hours since the epoch, less FIRST_YEAR."""
    local = (
        (hour * HOUR_MS + OFFSET_MS)
        .astype("datetime64[ms]")
        .astype("datetime64[Y]")
        .astype(np.int64)
    )
    return local + 1970 - FIRST_YEAR


def factors_of(state: State, carrier: Ints, hour: Ints, target: int) -> tuple[Ints, Ints]:
    """Numerators and denominators for carriers in hours."""
    place = state.c_rate[carrier], target, years_of_hours(hour)
    return state.rates.numerator[place], state.rates.denominator[place]


def converted_hours(state: State, carrier: Ints, hour: Ints, best: Ints) -> tuple[Ints, Ints]:
    """Hours' best as tce and CO2, each rounded once (10⁻⁶ t)."""
    rate, year = state.c_rate[carrier], years_of_hours(hour)
    numerator, denominator = state.rates.numerator, state.rates.denominator
    energy, co2 = (
        converted(best, numerator[rate, t, year], denominator[rate, t, year]) for t in (0, 1)
    )
    return energy, co2


def _add_to_windows(state: State, carrier: Ints, hour: Ints, before: Ints, after: Ints) -> None:
    """Bring the open windows from the hours' rows `before` to `after`."""
    at = hour * HOUR_MS
    inside = (at[:, None] >= state.slot_start[state.c_unit[carrier]]) & (
        at[:, None] < state.slot_end[state.c_unit[carrier]]
    )
    if not inside.any():
        return
    delta = _window_rows(state, carrier, hour, after) - _window_rows(state, carrier, hour, before)
    for kind in range(len(KINDS)):
        mask = inside[:, kind]
        if mask.any():
            np.add.at(state.acc[:, kind], carrier[mask], delta[mask])


def _window_rows(state: State, carrier: Ints, hour: Ints, rows: Ints) -> Ints:
    """What hour rows put into a window that holds them (but for the cuts)."""
    result = np.zeros((len(rows), state.acc.shape[2]), np.int64)
    for field, column in (
        (BEST, H_BEST),
        (UNKNOWN_BEST, H_UNKNOWN_BEST),
        (UNKNOWN_HIGH, H_UNKNOWN_HIGH),
        (MEASURED, H_MEASURED),
    ):
        result[:, field] = rows[:, column]
    best = rows[:, H_BEST]
    energy, co2 = converted_hours(state, carrier, hour, best)
    result[:, ALL], result[:, ALL + 1] = energy, co2
    settled = hour < state.settled[carrier]
    exact = settled & (rows[:, H_INEXACT] == 0)
    result[:, EXACT_NATIVE] = np.where(exact, best, 0)
    result[:, EXACT], result[:, EXACT + 1] = np.where(exact, energy, 0), np.where(exact, co2, 0)
    result[:, INEXACT_HOURS] = settled & ~exact
    return result


def _add_cuts(state: State, part: Pieces, sign: int) -> None:
    """Known pieces that an open window cuts, or that have several values."""
    several = (
        (part.low != part.high)
        | (part.until != part.end)
        | (part.start // HOUR_MS != (part.end - 1) // HOUR_MS)
    )
    some = np.flatnonzero((part.kind == KNOWN) & several)
    if not len(some):
        return
    p, a, b, low, high, until = (
        column[some]
        for column in (part.point, part.start, part.end, part.low, part.high, part.until)
    )
    unit = state.p_unit[p]
    for kind in range(len(KINDS)):
        x = np.maximum(a, state.slot_start[unit, kind])
        y = np.minimum(until, state.slot_end[unit, kind])
        hit = x < y
        if not hit.any():
            continue
        cuts = cut_bounds(state, p[hit], (a[hit], b[hit]), (low[hit], high[hit]), (x[hit], y[hit]))
        np.add.at(state.acc[:, kind, CUT_LOW : CUT_LOW + 2], state.p_carrier[p[hit]], sign * cuts)


def _add_bounded_cuts(state: State, gaps: Iterable[tuple[Gap, int]], sign: int) -> None:
    """What open windows that hold only some of a bounded gap know of it less its best there."""
    for gap, until in gaps:
        u = state.index[gap.unit]
        for kind in range(len(KINDS)):
            window = int(state.slot_start[u, kind]), min(until, int(state.slot_end[u, kind]))
            _add_bounded_cut(state, kind, gap, window, sign)


def _add_bounded_cut(
    state: State, kind: int, gap: Gap, window: tuple[int, int], sign: int = 1
) -> None:
    x, y = window
    if x < y and gap.start < y and x < gap.end:
        carrier = state.p_carrier[_point(state, gap)]
        state.acc[carrier, kind, CUT_LOW : CUT_LOW + 2] += sign * bounded_cut(state, gap, window)


def bounded_cut(state: State, gap: Gap, between: tuple[int, int]) -> Ints:
    """Bounds of a bounded gap in [x, y) less its best there: low, high."""
    low, best, high = bounded_part(state, gap, between)
    return np.array([low - best, high - best], np.int64)


def cut_bounds(
    state: State,
    point: Ints,
    whole: tuple[Ints, Ints],
    amounts: tuple[Ints, Ints],
    part: tuple[Ints, Ints],
) -> Ints:
    """Bounds of parts of known pieces less their best there: columns low, high."""
    (a, b), (low, high), (x, y) = whole, amounts, part
    part_low, part_high = bounds_of_part(low, high, state.rated[point], whole, part)
    best = spread(low, a, b, y) - spread(low, a, b, x)
    return np.stack([part_low - best, part_high - best], axis=1)


def _note_earlier(state: State, carrier: Ints, hour: Ints, before: Ints) -> None:
    """Remember hours before the open day that change, as they were when the last full hour was told."""
    unit = state.c_unit[carrier]
    start, end = state.slot_start[unit, DAY], state.slot_end[unit, DAY]
    over = np.where(
        end == state.last_tick[unit], end, start
    )  # told at its very end, the open day is over
    earlier = (hour * HOUR_MS < over) & (state.told_full[unit] != NEVER)
    marks = _mixed(before.T)
    for i in np.flatnonzero(earlier).tolist():
        u = int(unit[i])
        state.earlier[u].setdefault(
            (int(carrier[i] - state.carrier_from[u]), int(hour[i])), int(marks[i])
        )


def has_earlier_windows(state: State, unit: int) -> bool:
    """Whether `touched_windows` may find any."""
    return bool(state.earlier[unit] or state.touched[unit] or state.told_full[unit] == NEVER)


def touched_windows(state: State, unit: int) -> Generator[Needs, Fetched, list[tuple[int, int]]]:
    """(kind, start) of the earlier days, months and years to tell at a full hour."""
    opened = state.slot_start[unit].tolist()
    if state.told_full[unit] == NEVER:
        found = {
            (kind, start)
            for kind in (1, 2, 3)
            for start in _windows_from(kind, int(state.begins[unit]), opened[kind])
        }
        return sorted(found)
    marks = state.earlier[unit]
    if not marks:
        return sorted(state.touched[unit])
    base = int(state.carrier_from[unit])
    keys = np.array(
        sorted((base + carrier) << KEY_BITS | hour for carrier, hour in marks), np.int64
    )
    yield from ensure(state, keys)
    rows = _mixed(state.hot_rows[np.searchsorted(state.hot_keys, keys)].T)
    old = [marks[int(key >> KEY_BITS) - base, int(key & HOUR_MASK)] for key in keys]
    hours = np.unique(keys[rows != np.array(old, np.int64)] & HOUR_MASK) * HOUR_MS
    found = set(state.touched[unit])
    for kind in (1, 2, 3):
        found |= {
            (kind, start)
            for start in window_starts(KINDS[kind], hours).tolist()
            if start < opened[kind]
        }
    return sorted(found)


def _windows_from(kind: int, at: int, until: int) -> list[int]:
    """Starts of the windows of a kind from the one that holds `at` to the last before `until`."""
    starts, start = [], int(window_starts(KINDS[kind], np.array([at]))[0])
    while start < until:
        starts.append(start)
        start = int(window_ends(KINDS[kind], np.array([start]))[0])
    return starts


# Opening windows and settling hours.


def open_windows(state: State, units: Ints, at: Ints) -> Asking:
    """Give the units the windows that contain the instant just before `at`."""
    starts = np.stack([window_starts(kind, at - 1) for kind in KINDS], axis=1)
    changed = starts != state.slot_start[units]
    if not changed.any():
        return
    for kind in range(len(KINDS)):
        moved = np.flatnonzero(changed[:, kind])
        if len(moved):
            yield from _open(state, kind, units[moved], starts[moved, kind])


def _open(state: State, kind: int, units: Ints, starts: Ints) -> Asking:
    _leave(state, kind, units, starts)
    ends = window_ends(KINDS[kind], starts)
    state.slot_start[units, kind], state.slot_end[units, kind] = starts, ends
    carriers = carriers_of(state, units)
    state.acc[carriers, kind] = 0
    if kind == len(KINDS) - 1:
        years = years_of_hours(starts // HOUR_MS) + FIRST_YEAR
        state.told_verdict[units] = NO_VERDICT
        for u, year in zip(units.tolist(), years.tolist(), strict=True):
            state.take_limits(u, year)
    first = state.slot_start[state.c_unit[carriers], kind] // HOUR_MS
    begun = state.max_hour[carriers] >= first
    if begun.any():
        yield from _fill_window(state, kind, carriers[begun], first[begun])


def change_limits(state: State, u: int, entry: Unit) -> None:
    """Give a unit an entry with other limits: years that they concern are told again."""
    for year in limits_of_years(state.units[u], entry):
        start = year_start(year)
        if start < state.slot_start[u, YEAR] and window_end("year", start) > entry.begins:
            state.touched[u].add((YEAR, start))
    state.take_entry(u, entry)
    state.told_since[u] = NEVER
    if state.slot_start[u, YEAR] != FOREVER:
        state.take_limits(u, year_of(int(state.slot_start[u, YEAR])))


def carriers_of(state: State, units: Ints) -> Ints:
    """All carriers of these units."""
    return ranges(state.carrier_from[units], state.carrier_from[units + 1])


def rows_of(state: State, units: Ints) -> Ints:
    """All quantities of these units: rows of `State.row_*`."""
    return ranges(state.row_from[units], state.row_from[units + 1])


def _leave(state: State, kind: int, units: Ints, starts: Ints) -> None:
    """Mark the windows that ended between two ticks as touched, and the new ones as not."""
    if kind == 0:
        return
    for u, start in zip(units.tolist(), starts.tolist(), strict=True):
        left = int(state.slot_start[u, kind])
        if left == FOREVER:
            continue
        while left < start:
            end = int(window_ends(KINDS[kind], np.array([left]))[0])
            if end != state.last_tick[u]:
                state.touched[u].add((kind, left))
            left = end


def _fill_window(state: State, kind: int, carriers: Ints, first: Ints) -> Asking:
    """Add the hours that are there already to a window just opened, and what the window cuts."""
    yield from load_from(state, carriers, first)
    wanted = np.zeros(len(state.c_unit), np.bool_)
    wanted[carriers] = True
    carrier, hour = state.hot_keys >> KEY_BITS, state.hot_keys & HOUR_MASK
    start = state.slot_start[state.c_unit[carrier], kind] // HOUR_MS
    end = state.slot_end[state.c_unit[carrier], kind] // HOUR_MS
    inside = wanted[carrier] & (hour >= start) & (hour < end)
    np.add.at(
        state.acc[:, kind],
        carrier[inside],
        _window_rows(state, carrier[inside], hour[inside], state.hot_rows[inside]),
    )
    for column, edge in ((H_AFTER_LOW, start), (H_BEFORE_LOW, end)):
        hit = wanted[carrier] & (hour == edge)
        np.add.at(
            state.acc[:, kind, CUT_LOW : CUT_LOW + 2],
            carrier[hit],
            state.hot_rows[hit, column : column + 2],
        )
    yield from _fill_gaps(state, kind, np.unique(state.c_unit[carriers]))


def _fill_gaps(state: State, kind: int, units: Ints) -> Asking:
    """Gaps with an amount that overlap a window just opened."""
    some = units[state.last_known_gap[units] > state.slot_start[units, kind]]
    spans = zip(
        state.slot_start[some, kind].tolist(), state.slot_end[some, kind].tolist(), strict=True
    )
    found = yield from known_gaps(state, dict(zip(some.tolist(), spans, strict=True)))
    for u, gaps in found.items():
        _add_gap_cuts(state, kind, u, [gap for gap in gaps if not gap.parts])
        window = int(state.slot_start[u, kind]), int(state.slot_end[u, kind])
        for gap in gaps:
            if gap.parts:
                _add_bounded_cut(state, kind, gap, window)


def _add_gap_cuts(state: State, kind: int, unit: int, found: list[Gap]) -> None:
    rows = [
        (
            int(state.point_of_number[unit][gap.point]),
            gap.start,
            gap.end,
            KNOWN,
            gap.low,
            gap.high,
            gap.end,
        )
        for gap in found
    ]
    part = pieces(rows)
    x = np.maximum(part.start, state.slot_start[unit, kind])
    y = np.minimum(part.end, state.slot_end[unit, kind])
    cuts = cut_bounds(state, part.point, (part.start, part.end), (part.low, part.high), (x, y))
    np.add.at(state.acc[:, kind, CUT_LOW : CUT_LOW + 2], state.p_carrier[part.point], cuts)


def settle(state: State, carriers: Ints, target: Ints) -> Asking:
    """Move the carriers' settled hour to `target`: hours before it enter the exact sums of the open windows."""
    old = state.settled[carriers]
    moved = old != target
    if not moved.any():
        return
    carriers, target, old = carriers[moved], target[moved], old[moved]
    yield from load_from(state, carriers, np.minimum(old, target))
    low, high = np.zeros(len(state.c_unit), np.int64), np.zeros(len(state.c_unit), np.int64)
    low[carriers], high[carriers] = np.minimum(old, target), np.maximum(old, target)
    carrier, hour = state.hot_keys >> KEY_BITS, state.hot_keys & HOUR_MASK
    some = (hour >= low[carrier]) & (hour < high[carrier])
    carrier, hour, rows = carrier[some], hour[some], state.hot_rows[some]
    before = _window_rows(state, carrier, hour, rows)
    state.settled[carriers] = target
    delta = _window_rows(state, carrier, hour, rows) - before
    at, unit = hour * HOUR_MS, state.c_unit[carrier]
    for kind in range(len(KINDS)):
        mask = (at >= state.slot_start[unit, kind]) & (at < state.slot_end[unit, kind])
        if mask.any():
            np.add.at(state.acc[:, kind], carrier[mask], delta[mask])


def open_points(state: State, points: Ints, at: Ints) -> Mask:
    """Which of the points have an open end before `at`."""
    result: Mask = state.end[points] < np.minimum(state.p_ends[points], at)
    return result


def open_ends(state: State, points: Ints, start: Ints, at: Ints) -> tuple[Ints, Ints]:
    """Of points with an open end (`open_points`) its part within [start, at): best and high, per point."""
    y = np.minimum(state.p_ends[points], at)
    x = np.minimum(np.maximum(state.end[points], start), y)
    return unknown_amounts(state, points, (x, y))
