"""The oracle, RULES sections 3 and 4: one point's time in pieces, and the amount of any part.

The pieces of a point lie side by side from its validity's begin to its end; the open end follows.

    valid_from ──hole──┬──known──┬──event──┬──known──┐ end ─── open end ───▶ (valid_to)
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache, cached_property
from itertools import accumulate, pairwise
from typing import Literal, NamedTuple

from oracle_claims import Claim, allowed, dial, end_of
from schemas.calendar import HOUR_MS
from schemas.registry import Point, Profile
from schemas.section import RANKS

FOR_EVER = 10**15
"""An instant after every other."""


class Amount(NamedTuple):
    """A native amount; one that is exact has low = best = high."""

    low: int = 0
    best: int = 0
    high: int = 0

    def plus(self, other: "Amount") -> "Amount":
        """Interval addition."""
        return Amount(self.low + other.low, self.best + other.best, self.high + other.high)


def total(amounts: Iterable[Amount]) -> Amount:
    """The sum of amounts."""
    result = Amount()
    for amount in amounts:
        result = result.plus(amount)
    return result


class Piece(NamedTuple):
    """A part of a point's time; of an unknown one (hole, event) `high` is what is allowed."""

    kind: Literal["known", "hole", "event"]
    start: int
    end: int
    low: int
    high: int

    @property
    def exact(self) -> bool:
        """True where the amount is one value."""
        return self.kind == "known" and self.low == self.high


class Lift(NamedTuple):
    """What a period claim rejected as faster than rated adds to high, in its first hour."""

    start: int
    excess: int

    @property
    def hour(self) -> int:
        """Start of that hour."""
        return self.start - self.start % HOUR_MS


class Shared(NamedTuple):
    """Time of which nothing is known but what a total leaves over for it, all together."""

    parts: tuple[tuple[int, int], ...]
    rest: int

    def within(self, x: int, y: int) -> list[tuple[int, int]]:
        """Its time in [x, y)."""
        cut = ((max(a, x), min(b, y)) for a, b in self.parts)
        return [(a, b) for a, b in cut if a < b]

    def spread(self, x: int, y: int) -> int:
        """What of it lies in [x, y), spread evenly."""
        length = sum(b - a for a, b in self.parts)
        before, until = (sum(b - a for a, b in self.within(-FOR_EVER, at)) for at in (x, max(x, y)))
        return self.rest * until // length - self.rest * before // length


def guessed(point: Point, start: int, end: int) -> int:
    """The best guess of what is unknown: H(end) − H(start) of the rated maximum and weighted time."""
    before, after = (point.rated * weighted(point.profiles, at) for at in (start, end))
    return after // 360_000_000 - before // 360_000_000


def weighted(profiles: tuple[Profile, ...], at: int) -> int:
    """Q: the time until an instant, each hour by the percent of the profile that holds; 50 before the first."""
    if not profiles or at < profiles[0].begins:
        return 50 * at
    last = max((one for one in profiles if one.begins <= at), key=lambda one: one.begins)
    earlier = tuple(one for one in profiles if one.begins < last.begins)
    return weighted_until(earlier, last) + of_profile(last, at - last.begins)


@cache
def weighted_until(earlier: tuple[Profile, ...], following: Profile) -> int:
    """Q where the following profile begins."""
    return weighted(earlier, following.begins)


@cache
def of_hours(profile: Profile, count: int) -> int:
    """The weighted time of a profile's first hours."""
    first = profile.from_day.weekday() * 24
    return sum(profile.week[(first + hour) % 168] for hour in range(count)) * HOUR_MS


def of_profile(profile: Profile, length: int) -> int:
    """The weighted time of a profile's first milliseconds: whole weeks, whole hours, and the rest."""
    weeks, rest = divmod(length, 168 * HOUR_MS)
    hours, ms = divmod(rest, HOUR_MS)
    percent = (of_hours(profile, hours + 1) - of_hours(profile, hours)) // HOUR_MS
    return weeks * of_hours(profile, 168) + of_hours(profile, hours) + percent * ms


def register_pieces(point: Point, winners: list[Claim]) -> Iterator[Piece]:
    """Between neighbours: every value the dial and the rated maximum allow, or an event."""
    modulus, step = dial(point), dial(point) * point.multiplier
    for a, b in pairwise(winners):
        least = ((b.value or 0) - (a.value or 0)) % modulus * point.multiplier
        most = allowed(point.rated, a.at, b.at)
        if least > most:
            yield Piece("event", a.at, b.at, 0, most)
        else:
            yield Piece("known", a.at, b.at, least, least + step * ((most - least) // step))


def period_pieces(point: Point, winners: list[Claim]) -> Iterator[Piece]:
    """Each winner's period, and the holes between them."""
    reached = None
    for claim in winners:
        if reached is not None and reached < claim.at:
            yield hole(point, reached, claim.at)
        reached = end_of(claim.statement, claim.at)
        yield Piece("known", claim.at, reached, claim.value or 0, claim.value or 0)


def hole(point: Point, start: int, end: int) -> Piece:
    """Time of which nothing is known."""
    return Piece("hole", start, end, 0, allowed(point.rated, start, end))


@dataclass(frozen=True)
class Course:
    """One point's time, cut into pieces by the winners of its primary statement, with its lifts."""

    point: Point
    pieces: tuple[Piece, ...]
    end: int
    """Where the open end begins."""
    lifts: tuple[Lift, ...]
    shared: tuple[Shared, ...] = ()
    """Of the holes among the pieces, those that totals bound."""
    disputed: tuple[tuple[int, int], ...] = ()
    """Spans whose total contradicts what is measured, or could be."""

    @cached_property
    def begins(self) -> int:
        """First instant of validity."""
        return self.point.begins

    @cached_property
    def ends(self) -> int:
        """End of validity."""
        return FOR_EVER if self.point.ends is None else self.point.ends

    @cached_property
    def rated(self) -> int:
        """Rated maximum per hour."""
        return self.point.rated

    @cached_property
    def _starts(self) -> list[int]:
        return [piece.start for piece in self.pieces]

    @cached_property
    def _before(self) -> list[Amount]:
        """Amounts of all pieces before each."""
        whole = (self.part(piece, piece.start, piece.end) for piece in self.pieces)
        return list(accumulate(whole, Amount.plus, initial=Amount()))

    @cached_property
    def _measured_before(self) -> list[int]:
        """Exactly measured time in all pieces before each."""
        return list(accumulate(((p.end - p.start) * p.exact for p in self.pieces), initial=0))

    def overlapping(self, x: int, y: int) -> range:
        """Indices of the pieces that have a part in [x, y)."""
        first = max(bisect_right(self._starts, x) - 1, 0)
        if first < len(self.pieces) and self.pieces[first].end <= x:
            first += 1
        return range(first, max(bisect_left(self._starts, y), first) if x < y else first)

    def part(self, piece: Piece, x: int, y: int) -> Amount:
        """The amount of the part [x, y) of one piece; x and y lie in it."""
        best = self.guess(piece, x, y)
        if piece.kind != "known":
            return Amount(0, best, allowed(self.rated, x, y))
        if (x, y) == (piece.start, piece.end):
            return Amount(piece.low, best, piece.high)
        outside = allowed(self.rated, piece.start, x) + allowed(self.rated, y, piece.end)
        inside = allowed(self.rated, x, y)
        return Amount(max(0, piece.low - outside), best, min(piece.high, inside))

    def guess(self, piece: Piece, x: int, y: int) -> int:
        """The best of the part [x, y) of one piece: low spread evenly, else as the point's profile guesses."""
        if piece.kind != "known":
            return guessed(self.point, x, y)
        a, length = piece.start, piece.end - piece.start
        return piece.low * (y - a) // length - piece.low * (x - a) // length

    def told(self, x: int, y: int) -> Amount:
        """The amount of the pieces in [x, y), cut there; without the open end and lifts."""
        inside = self.overlapping(x, y)
        first, last = inside.start, inside.stop
        edges = []
        if first < last and self.pieces[first].start < x:
            edges.append(first)
            first += 1
        if first < last and self.pieces[last - 1].end > y:
            edges.append(last - 1)
            last -= 1
        after, before = self._before[last], self._before[first]
        whole = Amount(after.low - before.low, after.best - before.best, after.high - before.high)
        cut = (self.pieces[i] for i in edges)
        parts = (self.part(piece, max(x, piece.start), min(y, piece.end)) for piece in cut)
        return total([whole, *parts, *(self.narrowed(shared, x, y) for shared in self.shared)])

    def narrowed(self, shared: Shared, x: int, y: int) -> Amount:
        """What a total makes of its holes in [x, y), less what they were without it."""
        inside = sum(allowed(self.rated, a, b) for a, b in shared.within(x, y))
        outside = sum(allowed(self.rated, a, b) for a, b in shared.parts) - inside
        guess = sum(guessed(self.point, a, b) for a, b in shared.within(x, y))
        return Amount(
            max(0, shared.rest - outside),
            shared.spread(x, y) - guess,
            min(shared.rest, inside) - inside,
        )

    def untold(self, x: int, y: int) -> Amount:
        """The amount of the open end in [x, y)."""
        x, y = max(x, self.end), min(y, self.ends)
        return (
            Amount(0, guessed(self.point, x, y), allowed(self.rated, x, y)) if x < y else Amount()
        )

    def lifted(self, start: int, end: int, at: int) -> int:
        """What is added to high in hours that begin in [start, end), by periods before `at`."""
        return sum(
            lift.excess for lift in self.lifts if start <= lift.hour < end and lift.start < at
        )

    def native(self, start: int, end: int, at: int) -> Amount:
        """The point's amount in the window [start, end) at the tick `at`."""
        cut = min(end, at)
        return total(
            [
                self.told(start, cut),
                self.untold(start, cut),
                Amount(high=self.lifted(start, end, at)),
            ]
        )

    def measured(self, x: int, y: int) -> int:
        """Time in [x, y) that lies in exact pieces."""
        inside = self.overlapping(x, y)
        if not inside:
            return 0
        first, last = self.pieces[inside.start], self.pieces[inside.stop - 1]
        over = max(x - first.start, 0) * first.exact + max(last.end - y, 0) * last.exact
        return self._measured_before[inside.stop] - self._measured_before[inside.start] - over

    def expected(self, x: int, y: int) -> int:
        """Time in [x, y) in which the point is valid."""
        return max(0, min(y, self.ends) - max(x, self.begins))

    def misses(self, start: int, end: int, at: int) -> bool:
        """Whether unknown pieces, the open end or lifts add to high in the window."""
        cut = min(end, at)
        pieces = (self.pieces[i] for i in self.overlapping(start, cut))
        holes = ((max(start, p.start), min(cut, p.end)) for p in pieces if p.kind != "known")
        bounded = (part for shared in self.shared for part in shared.within(start, cut))
        unknown, known = (sum(allowed(self.rated, *at) for at in of) for of in (holes, bounded))
        return (
            unknown > known or self.untold(start, cut).high > 0 or self.lifted(start, end, at) > 0
        )


def course(
    point: Point, winners: Iterable[Claim], too_fast: Iterable[Claim], totals: Iterable[Claim] = ()
) -> Course:
    """A point's course: of its primary statement the winners, and the claims rejected as faster; of the bounding one the winners."""
    ordered = sorted(winners, key=lambda claim: claim.at)
    shape = register_pieces if point.statement == "register" else period_pieces
    pieces = list(shape(point, ordered))
    end = end_of(point.statement, ordered[-1].at) if ordered else point.begins
    if ordered and point.begins < ordered[0].at:
        pieces.insert(0, hole(point, point.begins, ordered[0].at))
    found = Course(point, tuple(pieces), end, tuple(lifts(point, ordered, too_fast)))
    left = [left_over(found, claim) for claim in totals if claim.rank >= RANKS["corrected"]]
    return replace(
        found,
        shared=tuple(shared for shared, span in left if shared and not span),
        disputed=tuple(span for _, span in left if span),
    )


def left_over(course: Course, claim: Claim) -> tuple[Shared | None, tuple[int, int] | None]:
    """What a total before the end leaves over for the holes in its span, if any; its span, where that cannot be."""
    start, end = claim.at, end_of(claim.statement, claim.at)
    if end > course.end:
        return None, None
    inside = [course.pieces[i] for i in course.overlapping(start, end)]
    parts = tuple((max(p.start, start), min(p.end, end)) for p in inside if p.kind == "hole")
    rest = (claim.value or 0) - sum(p.low for p in inside if p.kind == "known")
    possible = 0 <= rest <= sum(allowed(course.rated, a, b) for a, b in parts)
    return Shared(parts, rest) if parts else None, None if possible else (start, end)


def lifts(point: Point, winners: list[Claim], too_fast: Iterable[Claim]) -> Iterator[Lift]:
    """For each period without a winner: the excess of the greatest rejected claim."""
    won = {claim.at for claim in winners}
    claimed: dict[int, int] = {}
    for claim in too_fast:
        if claim.at not in won:
            claimed[claim.at] = max(claim.value or 0, claimed.get(claim.at, 0))
    for at, most in sorted(claimed.items()):
        yield Lift(at, most - allowed(point.rated, at, end_of(point.statement, at)))
