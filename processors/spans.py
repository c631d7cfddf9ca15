"""Figures of any span of whole hours, from the hour rows and gaps: earlier windows, and the search for `since`.

Rules: schemas/RULES.md, sections 4 to 6. The open windows have running sums of the same numbers (`windows`).
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from processors.claims import Identity, identities
from processors.conversion import converted, converted_down
from processors.gaps import bounded_part, known_gaps
from processors.judgement import Sums, points_of
from processors.ports import HOUR_FIELDS, Fetched, Gap, HourSpan, Ints, Needs, Span
from processors.rates import TARGETS
from processors.segments import Piece, lift_piece, period_lengths, register_chain, timeline
from processors.state import (
    FOREVER,
    H_AFTER_LOW,
    H_BEFORE_LOW,
    H_BEST,
    H_INEXACT,
    H_MEASURED,
    H_UNKNOWN_BEST,
    H_UNKNOWN_HIGH,
    KEY_BITS,
    State,
)
from processors.windows import (
    KNOWN,
    LIFT,
    bounded_cut,
    carrier_of,
    converted_hours,
    cut_bounds,
    factors_of,
    open_ends,
    open_points,
)
from schemas.calendar import HOUR_MS, QUARTER_MS, year_of

_MONTH_MS = 31 * 24 * HOUR_MS
_SLACK = 4
"""By how much (10⁻⁶ t a carrier) `low` inside an hour can exceed `low` at its end: one widened hour and roundings."""


def hour_table(state: State, unit: int, first: int, last: int) -> Generator[Needs, Fetched, Ints]:
    """Rows of a unit's hours first ≤ hour < last: [carrier of the unit, hour, HOUR_FIELDS], zero where there is none."""
    begin, end = int(state.carrier_from[unit]), int(state.carrier_from[unit + 1])
    table = np.zeros((end - begin, last - first, len(HOUR_FIELDS)), np.int64)
    stored = [
        c for c in range(begin, end) if first < state.hot_from[c] and first <= state.max_hour[c]
    ]
    if stored:
        fetched = yield Needs(hours=(HourSpan(state.units[unit].code, first, last),))
        for row in fetched.hours:
            if (carrier := carrier_of(state, unit, row.quantity)) is not None:
                table[carrier - begin, row.hour - first] = row.numbers
    for c in range(begin, end):
        a, b = np.searchsorted(state.hot_keys, [c << KEY_BITS | first, c << KEY_BITS | last])
        hours = (state.hot_keys[a:b] & ((1 << KEY_BITS) - 1)) - first
        table[c - begin, hours] = state.hot_rows[a:b]
    return table


def span_sums(state: State, unit: int, start: int, end: int) -> Generator[Needs, Fetched, Sums]:
    """Sums of a unit's carriers over [start, end), both full hours; open ends are cut at `end`."""
    first, last = start // HOUR_MS, end // HOUR_MS
    table = yield from hour_table(state, unit, first, last + 1)
    gaps = yield from _gaps(state, unit, start, end)
    carriers = np.arange(state.carrier_from[unit], state.carrier_from[unit + 1])
    points, owner = points_of(state, carriers)
    is_open = open_points(state, points, np.full(len(points), end))
    points_open, owner_open = points[is_open], owner[is_open]
    until = np.full(len(points_open), end)
    open_best, open_high = open_ends(state, points_open, np.full(len(points_open), start), until)
    rows = table[:, :-1]
    exact = (rows[:, :, H_INEXACT] == 0) & (
        np.arange(first, last)
        < _earliest(state.end[points_open], owner_open, len(carriers))[:, None]
    )
    energy, co2 = (
        np.stack(per_hour)
        for per_hour in zip(
            *(_converted(state, int(c), first, row) for c, row in zip(carriers, rows, strict=True)),
            strict=True,
        )
    )
    cuts = (
        table[:, 0, H_AFTER_LOW : H_AFTER_LOW + 2] + table[:, -1, H_BEFORE_LOW : H_BEFORE_LOW + 2]
    )
    of_gaps, gap_bounds = gap_cuts(state, unit, gaps, (start, end))
    np.add.at(cuts, of_gaps - carriers[0], gap_bounds)
    total = rows.sum(axis=1)
    high = _sum(open_high, owner_open, len(carriers))
    known = total[:, H_BEST] - total[:, H_UNKNOWN_BEST]
    lasts = np.minimum(end, state.p_ends[points]) - np.maximum(start, state.p_begins[points])
    return Sums(
        best=total[:, H_BEST],
        low=known + cuts[:, 0],
        high=known + total[:, H_UNKNOWN_HIGH] + cuts[:, 1] + high,
        unknown=total[:, H_UNKNOWN_HIGH] + high,
        measured=total[:, H_MEASURED],
        expected=_sum(np.maximum(0, lasts), owner, len(carriers)),
        all_hours=np.stack([energy.sum(axis=1), co2.sum(axis=1)], axis=1),
        exact_native=np.where(exact, rows[:, :, H_BEST], 0).sum(axis=1),
        exact=np.stack(
            [np.where(exact, energy, 0).sum(axis=1), np.where(exact, co2, 0).sum(axis=1)], axis=1
        ),
        inexact_hours=(~exact).sum(axis=1),
        open_best=_sum(open_best, owner_open, len(carriers)),
    )


def _gaps(state: State, unit: int, start: int, end: int) -> Generator[Needs, Fetched, list[Gap]]:
    if state.last_known_gap[unit] <= start:
        return []
    found = yield from known_gaps(state, {unit: (start, end)})
    return found[unit]


def _earliest(opens: Ints, owner: Ints, count: int) -> Ints:
    """The hour in which each carrier's earliest open end begins."""
    earliest = np.full(count, FOREVER, np.int64)
    np.minimum.at(earliest, owner, opens)
    result: Ints = earliest // HOUR_MS
    return result


def _converted(state: State, carrier: int, first: int, rows: Ints) -> tuple[Ints, Ints]:
    hours = np.arange(first, first + len(rows))
    return converted_hours(state, np.full(len(rows), carrier), hours, rows[:, H_BEST])


def _sum(values: Ints, owner: Ints, count: int) -> Ints:
    total = np.zeros(count, np.int64)
    np.add.at(total, owner, values)
    return total


def gap_cuts(
    state: State, unit: int, gaps: Sequence[Gap], between: tuple[int, int]
) -> tuple[Ints, Ints]:
    """Carriers of a unit's gaps with an amount, and their bounds in [x, y) less their best there: low, high."""
    whole = [gap for gap in gaps if not gap.parts]
    shared = [gap for gap in gaps if gap.parts]
    rows = [(gap.point, gap.start, gap.end, gap.low, gap.high) for gap in whole]
    number, a, b, low, high = np.array(rows, np.int64).reshape(-1, 5).T
    point = state.point_of_number[unit][[*number.tolist(), *(gap.point for gap in shared)]]
    part = np.maximum(a, between[0]), np.minimum(b, between[1])
    found = [cut_bounds(state, point[: len(whole)], (a, b), (low, high), part)]
    found += [bounded_cut(state, gap, between)[None] for gap in shared]
    return state.p_carrier[point], np.concatenate(found)


# Since when.


@dataclass(frozen=True, slots=True)
class Prefix:
    """A carrier's sums over whole hours from the window's start, by number of hours (0 … n), converted to one target."""

    carrier: int
    target: int
    exact: Ints
    known: Ints
    """Native best less unknown best of the inexact hours, and what short pieces lose that the window's start cuts."""
    inexact: Ints


def since(
    state: State, unit: int, window: tuple[int, int], limit: int, target: int
) -> Generator[Needs, Fetched, int | None]:
    """The first quarter-hour end t in (start, until] with low of [start, t) above the limit; None where there is none.

    `until` is a quarter-hour end. Everything that the unit has said so far counts, cut at t.
    Where something is given away, or fixed by a product, low need not rise with time, and nothing is looked for: `until`.
    """
    start, until = window
    mine = slice(int(state.carrier_from[unit]), int(state.carrier_from[unit + 1]))
    if (state.c_sign[mine] < 0).any() or (state.c_signs[mine, target] < 0).any():
        return until
    first, last = start // HOUR_MS, -(-until // HOUR_MS)
    table = yield from hour_table(state, unit, first, last + 1)
    gaps = yield from _gaps(state, unit, start, last * HOUR_MS)
    prefixes = [
        _prefix(state, (c, target), first, table[i])
        for i, c in enumerate(range(mine.start, mine.stop))
        if state.c_signs[c, target]
    ]
    begins, base = int(state.begins[unit]), _opening(state, unit, window, target)
    lows = _lows_at_hours(state, unit, (start, last - first), prefixes, table, gaps)
    begun = start + HOUR_MS * np.arange(len(lows)) > begins
    lows += np.where(begun, base, 0)
    possible = begun & (lows + _SLACK * len(prefixes) > limit)
    for hour in np.flatnonzero(possible[1:]).tolist():
        found = yield from _in_hour(
            state, unit, start, (first + hour, until), (prefixes, hour, gaps), (limit, begins, base)
        )
        if found is not None:
            return found
    return None


def _opening(state: State, unit: int, window: tuple[int, int], target: int) -> int:
    start, until = window
    begins = int(state.begins[unit])
    if not start < begins < until:
        return 0
    declared = state.opening(unit, year_of(start), TARGETS[target])
    return 0 if declared is None else declared[0]


def _prefix(state: State, of: tuple[int, int], first: int, table: Ints) -> Prefix:
    carrier, target = of
    rows = table[:-1]
    points, _ = points_of(state, np.array([carrier]))
    ends = state.end[points]
    opens = ends[ends < state.p_ends[points]]
    earliest = int(opens.min()) // HOUR_MS if len(opens) else FOREVER
    hours = np.arange(first, first + len(rows))
    exact = (rows[:, H_INEXACT] == 0) & (hours < earliest)
    amounts = converted_hours(state, np.full(len(rows), carrier), hours, rows[:, H_BEST])[target]
    known = _cumulated(np.where(exact, 0, rows[:, H_BEST] - rows[:, H_UNKNOWN_BEST]))
    known[1:] += table[0, H_AFTER_LOW]
    return Prefix(
        carrier,
        target,
        _cumulated(np.where(exact, amounts, 0)),
        known,
        _cumulated((~exact).astype(np.int64)),
    )


def _cumulated(values: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(values)])


def _lows_at_hours(
    state: State,
    unit: int,
    span: tuple[int, int],
    prefixes: list[Prefix],
    table: Ints,
    gaps: list[Gap],
) -> Ints:
    """Low of [start, start + k hours) for k = 0 … n, summed over carriers."""
    start, n = span
    total = np.zeros(n + 1, np.int64)
    own = int(state.carrier_from[unit])
    for prefix in prefixes:
        rows = table[prefix.carrier - own]
        native = prefix.known + rows[:, H_BEFORE_LOW]
        native[0] = 0
        for gap in gaps:
            p = int(state.point_of_number[unit][gap.point])
            if state.p_carrier[p] == prefix.carrier:
                native += _gap_lows(state, p, gap, start, n)
        total += _low(state, prefix, start // HOUR_MS, native, (prefix.exact, prefix.inexact))
    return total


def _gap_lows(state: State, point: int, gap: Gap, start: int, n: int) -> Ints:
    ends = start + HOUR_MS * np.arange(n + 1)
    if gap.parts:
        return _bounded_lows(state, gap, start, ends)
    result = np.zeros(n + 1, np.int64)
    x = max(gap.start, start)
    hit = ends > x
    y = np.minimum(ends[hit], gap.end)
    columns = [
        np.full(len(y), value, np.int64)
        for value in (point, gap.start, gap.end, gap.low, gap.high, x)
    ]
    p, a, b, low, high, begin = columns
    result[hit] = cut_bounds(state, p, (a, b), (low, high), (begin, y))[:, 0]
    return result


def _bounded_lows(state: State, gap: Gap, start: int, ends: Ints) -> Ints:
    lows = {
        end: int(bounded_cut(state, gap, (start, end))[0])
        for end in set(np.clip(ends, gap.start, gap.end).tolist())
    }
    return np.array([lows[end] for end in np.clip(ends, gap.start, gap.end).tolist()], np.int64)


def _low(state: State, prefix: Prefix, first: int, native: Ints, sums: tuple[Ints, Ints]) -> Ints:
    exact, inexact = sums
    carrier = np.full(len(native), prefix.carrier)
    numerator, denominator = factors_of(state, carrier, np.full(len(native), first), prefix.target)
    result: Ints = np.maximum(0, exact + converted_down(native, numerator, denominator) - inexact)
    return result


def _in_hour(
    state: State,
    unit: int,
    start: int,
    where: tuple[int, int],
    known: tuple[list[Prefix], int, list[Gap]],
    limit: tuple[int, int, int],
) -> Generator[Needs, Fetched, int | None]:
    """The first quarter-hour end of one hour at which low is above the limit; `limit`: it, first validity, opening low after it."""
    hour, until = where
    prefixes, done, gaps = known
    most, begins, base = limit
    begin = hour * HOUR_MS
    parts = yield from pieces_near(state, unit, (begin, begin + HOUR_MS), gaps)
    for t in range(begin + QUARTER_MS, min(begin + HOUR_MS, until) + 1, QUARTER_MS):
        low = base if t > begins else 0
        for prefix in prefixes:
            mine = [piece for piece in parts if state.p_carrier[piece[0]] == prefix.carrier]
            before = [
                gap
                for gap in gaps
                if (gap.end <= begin or gap.parts)
                and state.p_carrier[int(state.point_of_number[unit][gap.point])] == prefix.carrier
            ]
            low += _low_until(state, unit, (start, begin, t), (prefix, done), (mine, before))
        if low > most:
            return t
    return None


def _low_until(
    state: State,
    unit: int,
    times: tuple[int, int, int],
    prefix: tuple[Prefix, int],
    parts: tuple[list[Piece], list[Gap]],
) -> int:
    """Low (10⁻⁶ t) of one carrier over [start, t), t inside the hour that begins at `begin`."""
    start, begin, t = times
    sums, done = prefix
    mine, gaps = parts
    native = int(sums.known[done])
    native += int(gap_cuts(state, unit, gaps, (start, t))[1][:, 0].sum())
    best, exact = sum(bounded_part(state, gap, (begin, t))[1] for gap in gaps if gap.parts), True
    for piece in mine:
        share, cut, whole = _part_in_hour(state, piece, (start, begin, t))
        best, native, exact = best + share, native + cut, exact and whole
    exact = exact and not _open_until(state, sums.carrier, t)
    numerator, denominator = factors_of(
        state, np.array([sums.carrier]), np.array([begin // HOUR_MS]), sums.target
    )
    total = int(sums.exact[done])
    if exact:
        total += int(converted(np.array([best]), numerator, denominator)[0])
    else:
        native += best
    total += int(converted_down(np.array([native]), numerator, denominator)[0])
    return max(0, total - int(sums.inexact[done]) - (not exact))


def _open_until(state: State, carrier: int, t: int) -> bool:
    points, _ = points_of(state, np.array([carrier]))
    ends = state.end[points]
    return bool((ends < np.minimum(t, state.p_ends[points])).any())


def _part_in_hour(state: State, piece: Piece, times: tuple[int, int, int]) -> tuple[int, int, bool]:
    """Best share in [begin, t), correction to low over [start, t), and whether the piece leaves the part hour exact."""
    start, begin, t = times
    point, a, b, kind, low, high, _ = piece
    if kind == LIFT:
        return 0, 0, not begin <= a < t
    x, y = max(a, begin), min(b, t)
    if x >= y:
        return 0, 0, True
    if kind != KNOWN:
        return 0, 0, False
    p, begin_, end_, low_, high_ = (
        np.array([value], np.int64) for value in (point, a, b, low, high)
    )
    whole = (max(a, start), y)
    cut = cut_bounds(
        state, p, (begin_, end_), (low_, high_), (np.array([whole[0]]), np.array([whole[1]]))
    )[0, 0]
    share = _share(low, a, b, y) - _share(low, a, b, x)
    return share, int(cut), a >= begin and b <= t and low == high


def _share(low: int, a: int, b: int, at: int) -> int:
    return low * (at - a) // (b - a)


def pieces_near(
    state: State, unit: int, between: tuple[int, int], gaps: list[Gap]
) -> Generator[Needs, Fetched, list[Piece]]:
    """Every piece and lift of a unit that overlaps [begin, end), from its claims; `gaps`: its known gaps there."""
    begin, end = between
    code = state.units[unit].code
    spans: dict[int, Span] = {}
    for p in range(int(state.point_from[unit]), int(state.point_from[unit + 1])):
        s = int(state.series_of[p, state.statement[p]])
        reach = HOUR_MS if state.is_register[p] else int(state.length[p]) or _MONTH_MS
        spans[s] = Span(
            code, int(state.p_number[p]), int(state.statement[p]), begin - reach, end + HOUR_MS + 1
        )
    known = yield from identities(state, spans)
    found: list[Piece] = []
    for s, claims in known.items():
        p = int(state.s_point[s])
        overlapping = _registers_near if state.is_register[p] else _periods_near
        found += overlapping(state, p, claims, between)
    numbers = state.point_of_number[unit]
    have = {piece[:3] for piece in found}
    for gap in (gap for gap in gaps if not gap.parts):
        piece = (int(numbers[gap.point]), gap.start, gap.end, KNOWN, gap.low, gap.high, gap.end)
        if piece[:3] not in have:
            found.append(piece)
    return [piece for piece in found if piece[1] < end and piece[2] > begin]


def _registers_near(
    state: State, point: int, claims: dict[int, Identity], between: tuple[int, int]
) -> list[Piece]:
    """Pieces of at most an hour that overlap; longer known ones come as gaps, unknown ones add nothing to low but make hours inexact."""
    winners = sorted(
        (at, value) for at, identity in claims.items() if (value := identity.winner()) is not None
    )
    chain, _ = register_chain(state, point, winners, leading=False)
    begin, end = between
    covered = [(winners[0][0], winners[-1][0])] if winners else []
    known_until = min(end, int(state.end[point]))
    first = covered[0][0] if covered else known_until
    last = covered[0][1] if covered else begin
    for x, y in (
        (max(begin, int(state.p_begins[point])), min(first, known_until)),
        (max(last, begin), known_until),
    ):
        if x < y:
            chain.append((point, x, y, 1, 0, 0, y))
    return chain


def _periods_near(
    state: State, point: int, claims: dict[int, Identity], between: tuple[int, int]
) -> list[Piece]:
    ends = period_lengths(state, point, claims)
    winners = {
        at: value for at, identity in claims.items() if (value := identity.winner()) is not None
    }
    begin = max(between[0], int(state.p_begins[point]))
    first = min((at for at in winners if ends[at] > begin), default=begin)
    found = timeline(
        point, winners, ends, (min(begin, first), min(between[1], int(state.end[point])))
    )
    found += [
        lift_piece(state, point, (at, ends[at]), lift)
        for at, identity in claims.items()
        if (lift := identity.lift()) is not None
    ]
    return found
