"""Claims of one series that do not simply continue it: late, repeated, revised, withdrawn, or too fast.

Rules: schemas/RULES.md, sections 2 and 3. One series at a time; the readings that come in order never get here (`segments.continued`).
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from processors.gaps import by_point, change_gaps, gaps_around
from processors.ports import Fetched, Gap, GapSpan, Needs, Span
from processors.segments import (
    Piece,
    lift_piece,
    long_gap,
    most_allowed,
    period_ends,
    period_lengths,
    period_piece,
    register_chain,
    timeline,
)
from processors.state import State, ranges
from schemas.calendar import HOUR_MS
from schemas.registry import LENGTH_MS, STATEMENTS
from schemas.section import NEVER

LENGTHS = np.array([LENGTH_MS.get(name, 0) for name in STATEMENTS], np.int64)
ACCEPTED, REPEATED, SUPERSEDED, REJECTED = range(4)
"""Classes on arrival, in the order of ports.ACCOUNT_CLASSES."""


class Arrival(NamedTuple):
    """A claim as it comes, or (too_fast) one that was rejected as `faster than rated`."""

    at: int
    rank: int
    revision: int
    sent_at: int
    value: int
    withdrawn: bool
    too_fast: bool


@dataclass(slots=True)
class Identity:
    """All that is known of one (point, statement, instant)."""

    claims: set[tuple[int, int, int, int]] = field(default_factory=set)
    """(rank, revision, sent_at, value)."""
    withdrawals: set[tuple[int, int, int]] = field(default_factory=set)
    """(rank, revision, sent_at)."""
    claimed: int | None = None
    """Greatest amount that was rejected as too fast."""

    def winner(self) -> int | None:
        """Value of the winning claim, or None."""
        best = self.best()
        return None if best is None else best[3]

    def best(self) -> tuple[int, int, int, int] | None:
        """The winning claim, or None."""
        if not self.withdrawals:
            return max(self.claims, default=None)
        return max((claim for claim in self.claims if not self._is_withdrawn(claim)), default=None)

    def _is_withdrawn(self, claim: tuple[int, int, int, int]) -> bool:
        return any(
            rank == claim[0] and (revision, sent) >= claim[1:3]
            for rank, revision, sent in self.withdrawals
        )

    def take(self, new: Arrival) -> int:
        """Add a claim; returns its class on arrival."""
        if new.too_fast:
            self.claimed = new.value if self.claimed is None else max(self.claimed, new.value)
            return REJECTED
        key = (new.rank, new.revision, new.sent_at)
        if new.withdrawn:
            if key in self.withdrawals:
                return REPEATED
            self.withdrawals.add(key)
            return ACCEPTED
        claim = (*key, new.value)
        if claim in self.claims:
            return REPEATED
        self.claims.add(claim)
        return ACCEPTED if claim == self.best() else SUPERSEDED

    def has(self, one: Arrival) -> bool:
        """Whether a claim is known to the last digit."""
        key = (one.rank, one.revision, one.sent_at)
        if one.too_fast:
            return False
        return key in self.withdrawals if one.withdrawn else (*key, one.value) in self.claims

    def lift(self) -> int | None:
        """What was claimed too fast, while no winner covers the identity."""
        return self.claimed if self.winner() is None else None


@dataclass(slots=True)
class Change:
    """What the claims of one series changed."""

    classes: list[int] = field(default_factory=list)
    taken_out: list[Piece] = field(default_factory=list)
    put_in: list[Piece] = field(default_factory=list)
    gaps_ended: list[Gap] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    late: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """The claims of one series in one round, in order of arrival."""

    series: int
    arrivals: list[Arrival]

    def between(self) -> tuple[int, int]:
        """First and last instant."""
        instants = [arrival.at for arrival in self.arrivals]
        return min(instants), max(instants)

    def repeats(self, known: dict[int, Identity]) -> bool:
        """Whether nothing of it is new."""
        return all(one.at in known and known[one.at].has(one) for one in self.arrivals)


def merge(state: State, groups: list[Group]) -> Generator[Needs, Fetched, list[Change]]:
    """Decide groups of claims, each of another series: classes, and the pieces that they change."""
    stored = yield from _stored(state, groups)
    fresh = [group for group in groups if not group.repeats(stored[group.series])]
    around = yield from _gaps(state, fresh)
    gaps = by_point(around)
    changes = {}
    for group in fresh:
        changes[group.series] = yield from _merge(state, group, stored[group.series], gaps)
    return [changes.get(group.series) or _repeated(state, group) for group in groups]


# What is known already.


def _span(state: State, series: int, from_at: int, to_at: int) -> Span:
    p = int(state.s_point[series])
    return Span(
        state.units[int(state.p_unit[p])].code,
        int(state.p_number[p]),
        int(state.s_statement[series]),
        from_at,
        to_at,
    )


def _reach(state: State, series: int) -> int:
    """How far away a register's neighbour can be without a gap row that tells of it."""
    p = state.s_point[series]
    if state.s_statement[series] != 0 or not state.is_register[p]:
        return 0
    return min(HOUR_MS, int(state.patience[p]))


def _stored(
    state: State, groups: list[Group]
) -> Generator[Needs, Fetched, dict[int, dict[int, Identity]]]:
    """Per series the identities around its group's instants: those in the database and those of this step."""
    spans: dict[int, Span] = {}
    for group in groups:
        first, last = group.between()
        reach = _reach(state, group.series)
        if first < state.ahead[group.series]:
            spans[group.series] = _span(state, group.series, first - reach, last + reach + 1)
    known = yield from identities(state, spans)
    return {group.series: {} for group in groups} | known


def identities(
    state: State, spans: dict[int, Span]
) -> Generator[Needs, Fetched, dict[int, dict[int, Identity]]]:
    """Per series what is known of the identities in its span: in the database and in this step."""
    known: dict[int, dict[int, Identity]] = {series: {} for series in spans}
    if not spans:
        return known
    fetched = yield Needs(claims=tuple(spans.values()))
    series_of = {span[:3]: series for series, span in spans.items()}
    for claim in fetched.claims:
        series = series_of[claim[:3]]
        stored: Arrival | None = Arrival._make(claim[3:10])
        if state.revised[state.p_unit[state.s_point[series]]]:
            stored = _as_admitted(
                state, series, Arrival._make(claim[3:10]), declared=claim.declared
            )
        if stored is not None:
            _identity(known[series], claim.at).take(stored)
    for series, new in claims_of_step(state, spans):
        _identity(known[series], new.at).take(new)
    return known


def _as_admitted(state: State, series: int, stored: Arrival, *, declared: bool) -> Arrival | None:
    """A claim stored under an earlier entry of its unit, as the present one admits it, if it does."""
    p, statement = int(state.s_point[series]), int(state.s_statement[series])
    at = np.array([stored.at], np.int64)
    end = int(period_ends(np.array([statement]), LENGTHS[[statement]], at)[0])
    if not state.p_begins[p] <= stored.at <= end <= state.p_ends[p]:
        return None
    if stored.at == state.p_ends[p] and not declared and _is_followed(state, p):
        return None  # what is said of the instant of an exchange is the new meter's
    if stored.withdrawn:
        return stored
    if statement == 0:
        return stored if stored.value < state.dial[p] else None
    too_fast = stored.value > most_allowed(state, p, stored.at, end)
    if stored.too_fast and not too_fast:
        return None  # it is stored a second time, as admitted
    return stored._replace(too_fast=too_fast)


def _is_followed(state: State, p: int) -> bool:
    """Whether another point of its name begins where this one ends."""
    u = int(state.p_unit[p])
    name = state.units[u].points[int(state.p_number[p])].name
    eras = state.eras[u].get(name)
    return eras is not None and bool((eras[0] == state.p_ends[p]).any())


def _identity(known: dict[int, Identity], at: int) -> Identity:
    if at not in known:
        known[at] = Identity()
    return known[at]


def claims_of_step(state: State, spans: dict[int, Span]) -> Iterator[tuple[int, Arrival]]:
    """Claims in the spans of series that this step took before, which the database does not have yet."""
    wanted = np.array(sorted(spans), np.int64)
    for claims in state.step_claims:
        some = ranges(
            np.searchsorted(claims.series, wanted),
            np.searchsorted(claims.series, wanted, side="right"),
        )
        entries = claims.entries[some]
        for series, *row in zip(
            claims.series[some].tolist(),
            *(column[entries].tolist() for column in claims.columns),
            strict=True,
        ):
            new = Arrival._make(row)
            if spans[series].from_at <= new.at < spans[series].to_at:
                yield series, new


def _gaps(state: State, groups: list[Group]) -> Generator[Needs, Fetched, list[Gap]]:
    spans = []
    for group in groups:
        p = int(state.s_point[group.series])
        primary = int(state.s_statement[group.series]) == int(state.statement[p])
        if primary and (state.is_register[p] or state.length[p] == 0 or state.length[p] > HOUR_MS):
            span = _span(state, group.series, *group.between())
            spans.append(GapSpan(span.unit, span.point, span.from_at, span.to_at))
    found = yield from gaps_around(state, spans)
    return found


# Deciding.


def _merge(
    state: State,
    group: Group,
    known: dict[int, Identity],
    gaps: Mapping[tuple[str, int], list[Gap]],
) -> Generator[Needs, Fetched, Change]:
    change = Change()
    p = int(state.s_point[group.series])
    primary = int(state.s_statement[group.series]) == int(state.statement[p])
    touched = sorted({arrival.at for arrival in group.arrivals})
    before = {at: identity.winner() for at, identity in known.items()}
    lifts = {at: known[at].lift() if at in known else None for at in touched}
    reached = int(state.tick_end[p]) if primary else NEVER
    for arrival in group.arrivals:
        identity = _identity(known, arrival.at)
        before_it = identity.winner() if arrival.at < reached else None
        change.classes.append(identity.take(arrival))
        change.late |= (
            arrival.at < reached and identity.winner() != before_it
        )  # even where another undoes it: steps change nothing
    _reach_to(state, group)
    if not primary:
        return change
    after = before | {at: known[at].winner() for at in touched}
    code = state.units[int(state.p_unit[p])].code
    mine = gaps.get((code, int(state.p_number[p])), [])
    if state.is_register[p]:
        _change_registers(state, group, (_values(before), _values(after)), mine, change)
    else:
        yield from _change_periods(state, group.series, (before, after), mine, change)
        _change_lifts(state, p, known, lifts, change)
    change_gaps(state, change.gaps_ended, change.gaps)
    return change


def _repeated(state: State, group: Group) -> Change:
    _reach_to(state, group)
    return Change([REPEATED] * len(group.arrivals))


def _reach_to(state: State, group: Group) -> None:
    _, last = group.between()
    state.ahead[group.series] = max(int(state.ahead[group.series]), last + 1)


def _values(winners: dict[int, int | None]) -> dict[int, int]:
    return {at: value for at, value in winners.items() if value is not None}


# Registers.


def _change_registers(
    state: State,
    group: Group,
    winners: tuple[dict[int, int], dict[int, int]],
    gaps: list[Gap],
    change: Change,
) -> None:
    """Take the chain around the changed instants out and put the new one in."""
    before, after = winners
    first, last = group.between()
    p = int(state.s_point[group.series])
    if all(before.get(at) == after.get(at) for at in {arrival.at for arrival in group.arrivals}):
        return
    left = _left(state, group.series, before, gaps, first)
    right = _right(before, gaps, last)
    chains = []
    for values in (before, after):
        inner = sorted((at, value) for at, value in values.items() if first <= at <= last)
        chains.append([*left, *inner, *right])
    old, new = (register_chain(state, p, chain, leading=not left) for chain in chains)
    change.taken_out, change.put_in = _without_common(old[0], new[0])
    ended, begun = set(old[1]), set(new[1])
    change.gaps_ended, change.gaps = sorted(ended - begun), sorted(begun - ended)
    if not right:
        _set_head(state, group.series, p, chains[1])


def _left(
    state: State, series: int, before: dict[int, int], gaps: list[Gap], first: int
) -> list[tuple[int, int]]:
    """The winner before `first`: near, or the head, or at the beginning of the gap that reaches it."""
    near = [(at, value) for at, value in before.items() if at < first]
    if NEVER < state.last_at[series] < first:
        near.append((int(state.last_at[series]), int(state.last_value[series])))
    near.extend(
        (gap.start, gap.from_register)
        for gap in gaps
        if gap.from_register is not None and gap.start < first <= gap.end
    )
    return [max(near)] if near else []


def _right(before: dict[int, int], gaps: list[Gap], last: int) -> list[tuple[int, int]]:
    """The winner after `last`: near, or at the end of the gap that holds it."""
    near = [(at, value) for at, value in before.items() if at > last]
    near.extend(
        (gap.end, gap.to_register)
        for gap in gaps
        if gap.to_register is not None and gap.start <= last < gap.end
    )
    return [min(near)] if near else []


def _set_head(state: State, series: int, point: int, chain: list[tuple[int, int]]) -> None:
    if chain:
        state.last_at[series], state.last_value[series] = chain[-1]
        state.end[point] = chain[-1][0]
    else:
        state.last_at[series], state.last_value[series] = NEVER, 0
        state.end[point] = state.p_begins[point]


def _without_common(old: list[Piece], new: list[Piece]) -> tuple[list[Piece], list[Piece]]:
    common = set(old) & set(new)
    return [piece for piece in old if piece not in common], [
        piece for piece in new if piece not in common
    ]


# Periods.


def _change_periods(
    state: State,
    series: int,
    winners: tuple[dict[int, int | None], dict[int, int | None]],
    gaps: list[Gap],
    change: Change,
) -> Generator[Needs, Fetched, None]:
    """Swap the changed periods, and move the end of what is covered."""
    before, after = winners
    changed = sorted(at for at, value in after.items() if before.get(at) != value)
    if not changed:
        return
    p = int(state.s_point[series])
    ends = period_lengths(state, p, after)
    old_end = int(state.end[p])
    new_end = yield from _new_end(state, series, after, ends)
    covered = min(old_end, new_end)
    for at in changed:
        if ends[at] <= covered:
            change.taken_out.append(period_piece(p, at, ends[at], before.get(at)))
            change.put_in.append(period_piece(p, at, ends[at], after[at]))
    change.taken_out.extend(timeline(p, _values(before), ends, (covered, old_end)))
    change.put_in.extend(timeline(p, _values(after), ends, (covered, new_end)))
    change.gaps_ended = [
        gap for gap in gaps if gap.start in changed and before.get(gap.start) is not None
    ]
    if state.length[p] == 0 or state.length[p] > HOUR_MS:
        change.gaps = [
            long_gap(state, period_piece(p, at, ends[at], after[at]))
            for at in changed
            if after[at] is not None
        ]
    state.end[p] = new_end


def _new_end(
    state: State, series: int, after: dict[int, int | None], ends: dict[int, int]
) -> Generator[Needs, Fetched, int]:
    """Where the series is covered to, now: the end of its last winner."""
    p = int(state.s_point[series])
    old_end = int(state.end[p])
    last = max((at for at, value in after.items() if value is not None), default=None)
    if last is not None and ends[last] >= old_end:
        state.last_at[series] = last
        return ends[last]
    gone = [at for at, value in after.items() if value is None and ends[at] == old_end]
    if not gone:
        return old_end
    found = yield from _last_winner_before(state, series, gone[0], after)
    state.last_at[series] = NEVER if found is None else found
    return int(state.p_begins[p]) if found is None else period_lengths(state, p, [found])[found]


def _last_winner_before(
    state: State, series: int, at: int, after: dict[int, int | None]
) -> Generator[Needs, Fetched, int | None]:
    """Look back, further each time, for the last period that has a winner."""
    p = int(state.s_point[series])
    begins = int(state.p_begins[p])
    reach = 24 * HOUR_MS
    while True:
        from_at = max(begins, at - reach)
        known = yield from identities(state, {series: _span(state, series, from_at, at)})
        winners = {start: identity.winner() for start, identity in known[series].items()} | {
            start: value for start, value in after.items() if from_at <= start < at
        }
        last = max((start for start, value in winners.items() if value is not None), default=None)
        if last is not None or from_at == begins:
            return last
        reach *= 8


def _change_lifts(
    state: State,
    point: int,
    known: dict[int, Identity],
    lifts: dict[int, int | None],
    change: Change,
) -> None:
    ends = period_lengths(state, point, lifts)
    for at, old in lifts.items():
        new = known[at].lift()
        if old == new:
            continue
        if old is not None:
            change.taken_out.append(lift_piece(state, point, (at, ends[at]), old))
        if new is not None:
            change.put_in.append(lift_piece(state, point, (at, ends[at]), new))
