"""The gaps of points: stored rows with what this step has changed laid over them."""

from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping
from itertools import chain

from processors.ports import Fetched, Gap, GapSpan, Needs
from processors.state import State

ALL_POINTS = -1


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
    """Units' known gaps that overlap their span [start, end)."""
    asked = [GapSpan(state.units[u].code, ALL_POINTS, *span) for u, span in spans.items()]
    gaps = yield from gaps_around(state, asked)
    found: dict[int, list[Gap]] = {u: [] for u in spans}
    for gap in gaps:
        u = state.index[gap.unit]
        start, end = spans[u]
        if gap.kind == "known" and gap.start < end and gap.end > start:
            found[u].append(gap)
    return found


def change_gaps(state: State, ended: Iterable[Gap], begun: Iterable[Gap]) -> None:
    """Take gaps out and put gaps in."""
    for gap in ended:
        state.step_gaps[gap.unit, gap.point, gap.start] = None
    for gap in begun:
        state.step_gaps[gap.unit, gap.point, gap.start] = gap
        if gap.kind == "known":
            unit = state.index[gap.unit]
            state.last_known_gap[unit] = max(int(state.last_known_gap[unit]), gap.end)
