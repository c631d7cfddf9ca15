"""A tick at T speaks of the time before T: what is known beyond it is taken out while the tick is judged, and put back.

Pieces are added and taken out by integer addition, so that putting back restores every number.
"""

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from processors.claims import Identity, identities
from processors.gaps import by_point, gaps_around
from processors.ports import Fetched, GapSpan, Ints, Needs, Span
from processors.segments import Piece, lift_piece, period_lengths, register_chain, timeline
from processors.state import FOREVER, State
from processors.windows import Change, apply, change_of, change_of_bounded, ensure, pieces
from schemas.calendar import HOUR_MS

_MONTH_MS = 31 * 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Cut:
    """What was taken out beyond the ticks, what stands in for it, and the points' real ends."""

    taken: tuple[Change, ...]
    stand_in: tuple[Change, ...]
    points: Ints
    ends: Ints


def beyond(state: State, points: Ints, at: Ints) -> Ints:
    """Those of the points of which something is known beyond their tick `at`."""
    ahead = state.end[points] > np.maximum(at, state.p_begins[points])
    periods = np.flatnonzero(~state.is_register[points])
    some = points[periods]
    primary = state.series_of[some, state.statement[some]]
    ahead[periods] |= state.ahead[primary] > at[periods]
    return points[ahead]


def cut(state: State, points: Ints, at: dict[int, int]) -> Generator[Needs, Fetched, Cut]:
    """Take out what these points say beyond their unit's tick."""
    series = {int(state.series_of[p, state.statement[p]]): int(p) for p in points}
    spans = {s: _span(state, p, at[int(state.p_unit[p])]) for s, p in series.items()}
    known = yield from identities(state, spans)
    asked = [
        GapSpan(span.unit, span.point, tick, FOREVER if state.bounded_by[series[s]] >= 0 else tick)
        for s, span in spans.items()
        for tick in (at[state.index[span.unit]],)
    ]
    around = yield from gaps_around(state, asked)
    gaps = by_point(around)
    taken: list[Piece] = []
    stand_in: list[Piece] = []
    ticked = [(gap, at[state.index[gap.unit]]) for gap in around if gap.parts]
    over = [(gap, tick) for gap, tick in ticked if gap.end > tick]
    for s, p in series.items():
        tick = at[int(state.p_unit[p])]
        if state.is_register[p]:
            mine = gaps.get(spans[s][:2], ())
            gap = next((g for g in mine if g.start <= tick < g.end), None)
            left = (
                [] if gap is None or gap.from_register is None else [(gap.start, gap.from_register)]
            )
            old, new = _register(state, p, tick, known[s], left)
        else:
            old, new = _period(state, p, tick, known[s])
        taken += old
        stand_in += new
    result = Cut(
        (
            change_of(state, pieces(taken)),
            change_of_bounded(state, ((gap, gap.end) for gap, _ in over)),
        ),
        (change_of(state, pieces(stand_in)), change_of_bounded(state, over)),
        points,
        state.end[points].copy(),
    )
    yield from ensure(state, np.unique(np.concatenate([one.keys for one in result.taken])))
    for change in result.taken:
        apply(state, change, -1, quiet=True)
    for change in result.stand_in:
        apply(state, change, quiet=True)
    ticks = np.array([at[int(u)] for u in state.p_unit[points]], np.int64)
    state.end[points] = np.minimum(result.ends, np.maximum(ticks, state.p_begins[points]))
    return result


def put_back(state: State, what: Cut) -> None:
    """Undo `cut`."""
    for change in what.stand_in:
        apply(state, change, -1, quiet=True)
    for change in what.taken:
        apply(state, change, quiet=True)
    state.end[what.points] = what.ends


def _span(state: State, point: int, tick: int) -> Span:
    reach = HOUR_MS if state.is_register[point] else int(state.length[point]) or _MONTH_MS
    return Span(
        state.units[int(state.p_unit[point])].code,
        int(state.p_number[point]),
        int(state.statement[point]),
        tick - reach,
        FOREVER,
    )


def _register(
    state: State, point: int, tick: int, known: dict[int, Identity], gap: list[tuple[int, int]]
) -> tuple[list[Piece], list[Piece]]:
    winners = sorted(
        (at, value) for at, identity in known.items() if (value := identity.winner()) is not None
    )
    left = [winner for winner in winners if winner[0] <= tick][-1:] or gap
    chain, _ = register_chain(
        state, point, [*left, *(winner for winner in winners if winner[0] > tick)], leading=not left
    )
    return chain, [(*piece[:6], tick) for piece in chain if piece[1] < tick]


def _period(
    state: State, point: int, tick: int, known: dict[int, Identity]
) -> tuple[list[Piece], list[Piece]]:
    ends = period_lengths(state, point, known)
    winners = {
        at: value
        for at, identity in known.items()
        if (value := identity.winner()) is not None and ends[at] > tick
    }
    first = min((at for at in winners if at < tick), default=max(tick, int(state.p_begins[point])))
    old = timeline(point, winners, ends, (first, int(state.end[point])))
    new = [(*piece[:6], tick) for piece in old if piece[1] < tick]
    old += [
        lift_piece(state, point, (at, ends[at]), lift)
        for at, identity in known.items()
        if at >= tick and (lift := identity.lift()) is not None
    ]
    return old, new
