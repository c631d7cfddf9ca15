"""The gaps of points: stored rows with what this step has changed laid over them."""

from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping
from itertools import chain

import numpy as np

from processors.amounts import allowed
from processors.ports import Fetched, Gap, GapSpan, Needs
from processors.state import State

ALL_POINTS = -1
_HAS_AMOUNT = {"known", "bounded"}


def gaps_around(state: State, spans: Iterable[GapSpan]) -> Generator[Needs, Fetched, list[Gap]]:
    """Gaps that overlap or touch the spans, as they are now, in order of unit, point and start."""
    wanted = tuple(spans)
    if not wanted:
        return []
    fetched = yield Needs(gaps=wanted)
    found: dict[tuple[str, int, int], Gap | None] = {
        (gap.unit, gap.point, gap.start): gap for gap in fetched.gaps
    }
    found |= state.step_gaps
    asked: dict[tuple[str, int], list[GapSpan]] = defaultdict(list)
    for span in wanted:
        asked[span.unit, span.point].append(span)
    return sorted(gap for gap in found.values() if gap is not None and _touched(gap, asked))


def by_point(gaps: Iterable[Gap]) -> dict[tuple[str, int], list[Gap]]:
    """Gaps by unit and point, in their order: a step may hold tens of thousands."""
    found: dict[tuple[str, int], list[Gap]] = defaultdict(list)
    for gap in gaps:
        found[gap.unit, gap.point].append(gap)
    return found


def _touched(gap: Gap, spans: dict[tuple[str, int], list[GapSpan]]) -> bool:
    mine = chain(spans.get((gap.unit, gap.point), ()), spans.get((gap.unit, ALL_POINTS), ()))
    return any(gap.start <= span.to_at and gap.end >= span.from_at for span in mine)


def known_gaps(
    state: State, spans: Mapping[int, tuple[int, int]]
) -> Generator[Needs, Fetched, dict[int, list[Gap]]]:
    """Units' gaps with an amount, known or bounded, that overlap their span [start, end)."""
    asked = [GapSpan(state.units[u].code, ALL_POINTS, *span) for u, span in spans.items()]
    gaps = yield from gaps_around(state, asked)
    found: dict[int, list[Gap]] = {u: [] for u in spans}
    for gap in gaps:
        u = state.index[gap.unit]
        start, end = spans[u]
        if gap.kind in _HAS_AMOUNT and gap.start < end and gap.end > start:
            found[u].append(gap)
    return found


def change_gaps(state: State, ended: Iterable[Gap], begun: Iterable[Gap]) -> None:
    """Take gaps out and put gaps in."""
    for gap in ended:
        state.step_gaps[gap.unit, gap.point, gap.start] = None
    for gap in begun:
        state.step_gaps[gap.unit, gap.point, gap.start] = gap
        if gap.kind in _HAS_AMOUNT:
            unit = state.index[gap.unit]
            state.last_known_gap[unit] = max(int(state.last_known_gap[unit]), gap.end)


def bounded_part(state: State, gap: Gap, between: tuple[int, int]) -> tuple[int, int, int]:
    """Low, best and high of what a bounded gap has in [x, y)."""
    x, y = between[0], max(between)
    a, b = np.array(gap.parts, np.int64).reshape(-1, 2).T
    rated = np.full(len(a), state.rated[state.point_of_number[state.index[gap.unit]][gap.point]])
    inside = int(allowed(rated, np.clip(a, x, y), np.clip(b, x, y)).sum())
    outside = int(allowed(rated, a, b).sum()) - inside
    length = int((b - a).sum())
    first, last = (int((np.minimum(b, t) - np.minimum(a, t)).sum()) for t in (x, y))
    best = gap.low * last // length - gap.low * first // length
    return max(0, gap.low - outside), best, min(gap.high, inside)
