"""Totals of another statement, and what they leave over for the time that their spans have unknown.

Rules: schemas/RULES.md, section 3. Decided after the pieces of a round, a span at a time, from all claims of the span: what was
decided of it before is taken out, and what it comes to now is put in.
"""

from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from itertools import pairwise

import numpy as np

from processors.claims import LENGTHS, Identity, identities
from processors.gaps import change_gaps, gaps_around
from processors.ports import Fetched, Gap, GapSpan, Ints, Needs, Span
from processors.segments import most_allowed, period_ends
from processors.state import State
from processors.windows import apply, change_of_bounded, ensure
from schemas.calendar import window_starts
from schemas.registry import STATEMENTS
from schemas.section import RANKS

Interval = tuple[int, int]
Winners = dict[int, int]
"""Value by instant."""
_LEAST_RANK = RANKS["corrected"]
_MONTH = STATEMENTS.index("P1M")


def bounded_points(state: State, points: Ints) -> Ints:
    """Those of the points that totals may bound, each once, in order."""
    return np.unique(points[state.bounded_by[points] >= 0])


def touched(
    state: State, points: Ints, ends: Ints, said: tuple[Ints, Ints]
) -> dict[int, list[Interval]]:
    """Whole spans that have a total, maybe, and in which something changed since the points' `ends`, as intervals apart.

    `points` are bounded ones, in order; `said` is of any points: series and instants. What comes in order lies behind the last total.
    """
    series, at = said
    owner = state.s_point[series]
    place = np.searchsorted(points, owner)
    mine = np.flatnonzero(points[np.minimum(place, len(points) - 1)] == owner)
    lowest = np.minimum(ends, state.end[points])
    np.minimum.at(lowest, place[mine], at[mine])
    known = state.ahead[state.series_of[points, state.bounded_by[points]]]
    some = np.flatnonzero(_starts(state, points, lowest) < known)
    found = {}
    for i in some.tolist():
        instants = at[mine[place[mine] == i]]
        found[int(points[i])] = _touched(state, int(points[i]), int(ends[i]), instants)
    return found


def _touched(state: State, point: int, end: int, at: Ints) -> list[Interval]:
    first, last = sorted((end, int(state.end[point])))
    edges = _starts(state, np.full(len(at) + 1, point), np.append(at, first))
    upto = _span_ends(state, point, edges)
    upto[-1] = max(int(upto[-1]), last)
    known = state.ahead[state.series_of[point, state.bounded_by[point]]]
    some = edges < known
    return list(_merged(sorted(zip(edges[some].tolist(), upto[some].tolist(), strict=True))))


def _starts(state: State, points: Ints, at: Ints) -> Ints:
    """Starts of the totals' spans that hold instants, of a point each."""
    statement = state.bounded_by[points]
    anchor = state.s_anchor[state.series_of[points, statement]]
    starts = at - (at - anchor) % np.maximum(LENGTHS[statement], 1)
    months = statement == _MONTH
    starts[months] = window_starts("month", at[months])
    return starts


def _span_ends(state: State, point: int, starts: Ints) -> Ints:
    statement = np.full(len(starts), state.bounded_by[point])
    return period_ends(statement, LENGTHS[statement], starts)


def _merged(intervals: Iterable[Interval]) -> Iterator[Interval]:
    """The same time in intervals apart; they come in order."""
    open_: Interval | None = None
    for start, end in intervals:
        if open_ is not None and start <= open_[1]:
            open_ = open_[0], max(open_[1], end)
            continue
        if open_ is not None:
            yield open_
        open_ = start, end
    if open_ is not None:
        yield open_


def share_out(
    state: State, intervals: dict[int, list[Interval]]
) -> Generator[Needs, Fetched, None]:
    """Decide anew what totals leave over in these intervals of points; hours, windows and gaps follow."""
    waiting = {p: list(mine) for p, mine in intervals.items() if mine}
    while waiting:
        yield from _share_out(state, {p: mine.pop() for p, mine in waiting.items()})
        waiting = {p: mine for p, mine in waiting.items() if mine}


def _share_out(state: State, intervals: dict[int, Interval]) -> Generator[Needs, Fetched, None]:
    spans = {
        int(state.series_of[p, statement]): Span(*_name(state, p), statement, *interval)
        for p, interval in intervals.items()
        for statement in (int(state.statement[p]), int(state.bounded_by[p]))
    }
    known = yield from identities(state, spans)
    before = yield from _decided(state, intervals)
    ended: list[Gap] = []
    begun: list[Gap] = []
    for p in intervals:
        primary, totals = (
            known[int(state.series_of[p, statement])]
            for statement in (state.statement[p], state.bounded_by[p])
        )
        now = set(_left_over(state, p, _winners(primary, 0), _winners(totals, _LEAST_RANK)))
        ended += sorted(before[p] - now)
        begun += sorted(now - before[p])
    out, new = (
        change_of_bounded(state, ((gap, gap.end) for gap in gaps)) for gaps in (ended, begun)
    )
    yield from ensure(state, np.union1d(out.keys, new.keys))
    apply(state, out, -1)
    apply(state, new)
    change_gaps(state, ended, begun)


def _name(state: State, point: int) -> tuple[str, int]:
    return state.units[int(state.p_unit[point])].code, int(state.p_number[point])


def _decided(
    state: State, intervals: dict[int, Interval]
) -> Generator[Needs, Fetched, dict[int, set[Gap]]]:
    """The bounded gaps that are there."""
    points = {_name(state, p): p for p in intervals}
    found: dict[int, set[Gap]] = defaultdict(set)
    gaps = yield from gaps_around(
        state, [GapSpan(*name, *intervals[p]) for name, p in points.items()]
    )
    for gap in gaps:
        start, end = intervals[points[gap.unit, gap.point]]
        if gap.parts and start <= gap.start and gap.end <= end:
            found[points[gap.unit, gap.point]].add(gap)
    return found


def _winners(known: dict[int, Identity], least_rank: int) -> Winners:
    """Values of the winners of this rank at least."""
    winning = ((at, identity.best()) for at, identity in known.items())
    return {at: claim[3] for at, claim in winning if claim is not None and claim[0] >= least_rank}


def _left_over(state: State, point: int, winners: Winners, totals: Winners) -> Iterator[Gap]:
    """What totals leave over, of spans that lie before the point's end."""
    length, starts = int(state.length[point]), np.array(sorted(totals), np.int64)
    ends = _span_ends(state, point, starts)
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        if end > state.end[point]:
            continue
        inside = sorted(at for at in winners if start <= at < end)
        edges = [(start, start), *((at, at + length) for at in inside), (end, end)]
        parts = [(a, b) for (_, a), (b, _) in pairwise(edges) if a < b]
        rest = totals[start] - sum(winners[at] for at in inside)
        if parts and 0 <= rest <= sum(most_allowed(state, point, a, b) for a, b in parts):
            flat = tuple(at for part in parts for at in part)
            name = _name(state, point)
            yield Gap(
                *name, flat[0], flat[-1], "bounded", rest, rest, None, None, flat, totals[start]
            )
