"""The oracle, RULES sections 4 to 6: a unit's figures in a window, and its verdict."""

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, cached_property
from itertools import accumulate
from typing import NamedTuple

from oracle_co2 import Cell, as_factor, cell_of, tonnes
from oracle_pieces import FOR_EVER, Amount, Course, Piece, total
from schemas.calendar import (
    HOUR_MS,
    KINDS,
    QUARTER_MS,
    WindowKind,
    window_end,
    window_start,
    year_of,
    year_start,
)
from schemas.factors import Factor, FactorPack
from schemas.indicator import Reason, Verdict
from schemas.registry import CARRIERS, Unit
from schemas.scale import SCALE, scaled

TARGETS = ("energy", "co2")


class Figure(NamedTuple):
    """One quantity in one window, in 10⁻⁶; `high` None is unknown."""

    low: int
    best: int
    high: int | None
    share_measured: int


class Span(NamedTuple):
    """A window [start, end) at the tick `at`, which cuts it."""

    start: int
    end: int
    at: int

    @property
    def cut(self) -> int:
        """Where it ends."""
        return max(self.start, min(self.end, self.at))


class Window(NamedTuple):
    """One judged window: it is cut at the tick, and `end` is its own."""

    start: int
    end: int
    figures: dict[str, Figure]


class Judged(NamedTuple):
    """What a unit is at a tick."""

    verdict: Verdict | None
    reason: Reason | None
    since: int | None
    suspected: bool
    windows: dict[WindowKind, Window]
    silent: dict[str, int]
    """Silent points, and since when."""


def half_even(amount: int, factor: Factor) -> int:
    """Amount · factor, rounded half even."""
    whole, rest = divmod(amount * factor.numerator, factor.denominator)
    return whole + (
        2 * rest > factor.denominator or (2 * rest == factor.denominator and whole % 2 == 1)
    )


def floor(amount: int, factor: Factor) -> int:
    """Amount · factor, rounded down."""
    return amount * factor.numerator // factor.denominator


def ceil(amount: int, factor: Factor) -> int:
    """Amount · factor, rounded up."""
    return -(-amount * factor.numerator // factor.denominator)


@dataclass(frozen=True)
class Hours:
    """The complete hours of one carrier, numbered since the epoch.

    A piece that is exact and lies in one hour leaves it exact. Every other piece makes each hour
    that it touches inexact; so does a lift. An open end makes its hour and all later ones inexact.
    """

    courses: tuple[Course, ...]

    @cached_property
    def _inexact(self) -> list[tuple[int, int]]:
        """Ranges of inexact hours, in order and apart."""
        merged: list[tuple[int, int]] = []
        for start, end in sorted(self._touched()):
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged

    def _touched(self) -> Iterator[tuple[int, int]]:
        for course in self.courses:
            for piece in course.pieces:
                if not exact_within(piece, *hour_of(piece.start)):
                    yield piece.start // HOUR_MS, -(-piece.end // HOUR_MS)
            if course.end < course.ends:
                yield course.end // HOUR_MS, FOR_EVER // HOUR_MS
            for lift in course.lifts:
                yield lift.hour // HOUR_MS, lift.hour // HOUR_MS + 1

    @cached_property
    def _inexact_before(self) -> list[int]:
        """The number of inexact hours before each range."""
        return list(accumulate((end - start for start, end in self._inexact), initial=0))

    @cached_property
    def _inexact_starts(self) -> list[int]:
        return [start for start, _ in self._inexact]

    def inexact(self, first: int, last: int) -> int:
        """The number of inexact hours in [first, last)."""
        return self._inexact_until(last) - self._inexact_until(first)

    def _inexact_until(self, hour: int) -> int:
        i = bisect_left(self._inexact_starts, hour)
        if i == 0:
            return 0
        start, end = self._inexact[i - 1]
        return self._inexact_before[i - 1] + min(hour, end) - start

    @cached_property
    def _exact(self) -> tuple[list[int], list[int]]:
        """Exact hours that hold pieces, in order, and their amounts."""
        amounts: dict[int, int] = defaultdict(int)
        for course in self.courses:
            for piece in course.pieces:
                if exact_within(piece, *hour_of(piece.start)):
                    amounts[piece.start // HOUR_MS] += piece.low
        hours = [hour for hour in sorted(amounts) if not self.inexact(hour, hour + 1)]
        return hours, [amounts[hour] for hour in hours]

    @cached_property
    def _exact_before(self) -> list[int]:
        return list(accumulate(self._exact[1], initial=0))

    @cached_property
    def _rounded(self) -> dict[Factor, list[int]]:
        return {}

    def _rounded_before(self, factor: Factor) -> list[int]:
        if factor not in self._rounded:
            self._rounded[factor] = list(
                accumulate((half_even(amount, factor) for amount in self._exact[1]), initial=0)
            )
        return self._rounded[factor]

    def exact(self, first: int, last: int, factor: Factor) -> tuple[int, int]:
        """Of the exact hours in [first, last): their amounts, and those rounded hour by hour."""
        i, j = (bisect_left(self._exact[0], hour) for hour in (first, last))
        rounded = self._rounded_before(factor)
        return self._exact_before[j] - self._exact_before[i], rounded[j] - rounded[i]

    def exact_count(self, first: int, last: int) -> int:
        """The number of exact hours that hold pieces in [first, last)."""
        i, j = (bisect_left(self._exact[0], hour) for hour in (first, last))
        return j - i

    @cached_property
    def _best(self) -> tuple[list[int], list[int]]:
        """Hours that hold pieces, in order, and the best of each."""
        best: dict[int, int] = defaultdict(int)
        for course in self.courses:
            for piece in course.pieces:
                for hour in range(piece.start // HOUR_MS, -(-piece.end // HOUR_MS)):
                    x, y = (
                        max(hour * HOUR_MS, piece.start),
                        min(hour * HOUR_MS + HOUR_MS, piece.end),
                    )
                    best[hour] += course.guess(piece, x, y)
            for shared in course.shared:
                first, last = shared.parts[0][0] // HOUR_MS, -(-shared.parts[-1][1] // HOUR_MS)
                for hour in range(first, last):
                    x, y = hour * HOUR_MS, hour * HOUR_MS + HOUR_MS
                    best[hour] += course.narrowed(shared, x, y).best
        hours = sorted(best)
        return hours, [best[hour] for hour in hours]

    def best(self, first: int, last: int, factor: Factor) -> int:
        """The best of the hours in [first, last), rounded hour by hour."""
        i, j = (bisect_left(self._best[0], hour) for hour in (first, last))
        return sum(
            half_even(amount, factor) * times
            for amount, times in Counter(self._best[1][i:j]).items()
        )

    def part_exact(self, start: int, end: int, at: int) -> int | None:
        """The amount of the hour's part [start, end) where it is exact, else None."""
        amount = 0
        for course in self.courses:
            open_end = course.end < min(end, course.ends)
            if open_end or course.lifted(start, end, at):
                return None
            for i in course.overlapping(start, end):
                if not exact_within(course.pieces[i], start, end):
                    return None
                amount += course.pieces[i].low
        return amount


def hour_of(at: int) -> tuple[int, int]:
    """Start and end of the hour of an instant."""
    start = at - at % HOUR_MS
    return start, start + HOUR_MS


def exact_within(piece: Piece, start: int, end: int) -> bool:
    """Whether a piece is one value and lies wholly inside [start, end)."""
    return piece.exact and start <= piece.start and piece.end <= end


@dataclass(frozen=True)
class World:
    """One unit as a prefix of the log says it is."""

    unit: Unit
    pack: FactorPack
    courses: dict[str, Course]
    """By the point's name."""
    _hours: dict[Cell, Hours] = field(default_factory=dict)
    _tonnes: dict[tuple[Cell, str, int], Fraction] = field(default_factory=dict)

    def of(self, *quantities: str) -> tuple[Course, ...]:
        """The courses of some quantities that count for the unit."""
        return tuple(
            course
            for course in self.courses.values()
            if course.point.quantity in quantities and course.point.sign
        )

    @cached_property
    def cells(self) -> dict[Cell, tuple[Course, ...]]:
        """The courses by how they count."""
        found: dict[Cell, list[Course]] = defaultdict(list)
        for course in self.courses.values():
            found[cell_of(course.point)].append(course)
        return {cell: tuple(courses) for cell, courses in found.items()}

    def counting(self, *quantities: str) -> list[Cell]:
        """The cells of some quantities that count for the unit."""
        return [cell for cell in self.cells if cell.quantity in quantities and cell.sign]

    def feeding(self, target: str) -> list[Cell]:
        """The cells that count for the unit's energy, its CO2 or its process emissions."""
        return [cell for cell in self.cells if cell.counts(target) and cell.sign]

    @cached_property
    def told_targets(self) -> list[str]:
        """What is told of the unit beside its quantities."""
        emits = any(cell.process for cell in self.cells)
        burns = bool(self.carriers)
        generates = any(c.self_generated and c.quantity == "electricity" for c in self.cells)
        told = {"energy": burns, "co2": burns or emits, "process": emits, "purchased": generates}
        return [target for target, is_told in told.items() if is_told]

    @cached_property
    def quantities(self) -> list[str]:
        """Those the unit has points for."""
        return sorted({course.point.quantity for course in self.courses.values()})

    @cached_property
    def carriers(self) -> list[str]:
        """Those of them that count as energy."""
        return [quantity for quantity in self.quantities if quantity in CARRIERS]

    def hours(self, cell: Cell) -> Hours:
        """The hours of a cell."""
        if cell not in self._hours:
            self._hours[cell] = Hours(self.cells[cell])
        return self._hours[cell]

    def ratio(self, cell: Cell, target: str, at: int) -> Fraction:
        """What one unit of measure comes to in the business year of an instant."""
        key = cell, target, year_of(at)
        if key not in self._tonnes:
            self._tonnes[key] = tonnes(self.unit, self.pack, *key)
        return self._tonnes[key]

    def factor(self, cell: Cell, target: str, at: int) -> Factor:
        """The same without its sign."""
        return as_factor(self.ratio(cell, target, at))


def window_figures(world: World, start: int, end: int, at: int = FOR_EVER) -> dict[str, Figure]:
    """The figures of [start, end) cut at `at`: native quantities, and energy and CO2 of carriers.

    Energy and CO2 need a `start` on the full hour.
    """
    span = Span(start, end, at)
    figures = {quantity: native_figure(world, quantity, span) for quantity in world.quantities}
    return figures | {
        target: converted_figure(world, target, span) for target in world.told_targets
    }


def native_figure(world: World, quantity: str, span: Span) -> Figure:
    """The sum over the quantity's points, and the opening."""
    amount = signed(
        (cell.sign, cell_native(world, cell, span)) for cell in world.counting(quantity)
    )
    return with_opening(world.unit, quantity, span, amount, share(world.of(quantity), span))


def cell_native(world: World, cell: Cell, span: Span) -> Amount:
    """The sum over a cell's points."""
    return held(total(course.native(*span) for course in world.cells[cell]))


def signed(parts: Iterable[tuple[int, Amount]]) -> Amount:
    """A sum of intervals, some taken off."""
    turned = [
        amount if sign > 0 else Amount(-amount.high, -amount.best, -amount.low)
        for sign, amount in parts
    ]
    return total(turned)


def converted_figure(world: World, target: str, span: Span) -> Figure:
    """Energy, CO2 or what of it a process emits: the sum over its cells, and the opening declared for it."""
    amount = target_amount(world, target, span)
    courses = [course for cell in world.feeding(target) for course in world.cells[cell]]
    return with_opening(world.unit, target, span, amount, share(courses, span))


def target_amount(world: World, target: str, span: Span) -> Amount:
    """The same without opening: what a product fixes is taken off."""
    return signed(
        (
            effect(world, cell, target, span.start),
            cell_native(world, cell, span)
            if target == "purchased"
            else converted(world, cell, target, span),
        )
        for cell in world.feeding(target)
    )


def share(courses: Sequence[Course], span: Span) -> int:
    """Exactly measured in expected point-time, in 10⁻⁶; 0 where nothing is expected."""
    expected = sum(course.expected(span.start, span.cut) for course in courses)
    measured = sum(course.measured(span.start, span.cut) for course in courses)
    return SCALE * measured // expected if expected else 0


def with_opening(unit: Unit, quantity: str, span: Span, amount: Amount, measured: int) -> Figure:
    """A figure with what the unit used before its points begin."""
    low, best, high = opening(unit, quantity, span)
    return Figure(
        amount.low + low, amount.best + best, None if high is None else amount.high + high, measured
    )


def held(amount: Amount) -> Amount:
    """A best estimate that rounding put outside its bounds, put back."""
    return amount._replace(best=max(amount.low, min(amount.best, amount.high)))


def opening(unit: Unit, quantity: str, span: Span) -> tuple[int, int, int | None]:
    """What a window that begins before the unit's first validity and ends after it adds.

    The declared balance speaks of the time from the year's start to the first validity: it is added
    to windows that hold just that time. Any other window's is unknown.
    """
    if not span.start < unit.begins < span.cut:
        return 0, 0, 0
    year = year_of(unit.begins)
    for told in unit.openings:
        if (told.year, told.quantity) == (year, quantity) and span.start == year_start(year):
            return scaled(told.low)[0], scaled(told.best)[0], scaled(told.high)[0]
    return 0, 0, None


def converted(world: World, cell: Cell, target: str, span: Span) -> Amount:
    """RULES section 5 for one cell, without opening."""
    if span.start % HOUR_MS:
        message = f"{span.start} is not on a full hour"
        raise ValueError(message)
    hours, factor = world.hours(cell), world.factor(cell, target, span.start)
    low, high = bounds(hours, factor, span)
    return held(Amount(low, best(hours, factor, span), high))


def bounds(hours: Hours, factor: Factor, span: Span) -> tuple[int, int]:
    """Low and high: exact hours rounded one by one; the rest once, widened by 10⁻⁶ t an hour."""
    native = total(course.native(*span) for course in hours.courses)
    first, last = span.start // HOUR_MS, span.cut // HOUR_MS
    amount, rounded = hours.exact(first, last, factor)
    inexact = hours.inexact(first, last)
    if span.cut % HOUR_MS:
        part = hours.part_exact(last * HOUR_MS, span.cut, span.at)
        inexact += part is None
        amount += part or 0
        rounded += half_even(part or 0, factor)
    low = max(0, rounded + floor(native.low - amount, factor) - inexact)
    return low, rounded + ceil(native.high - amount, factor) + inexact


def best(hours: Hours, factor: Factor, span: Span) -> int:
    """Pieces rounded hour by hour, and the open ends rounded once."""
    last = span.cut - span.cut % HOUR_MS
    part = sum(course.told(last, span.cut).best for course in hours.courses)
    untold = sum(course.untold(span.start, span.cut).best for course in hours.courses)
    whole = hours.best(span.start // HOUR_MS, last // HOUR_MS, factor)
    return whole + half_even(part, factor) + half_even(untold, factor)


def quarter_hours(
    world: World, point: str, start: int, end: int, at: int = FOR_EVER
) -> list[tuple[int, Amount]]:
    """Start and native amount of one point for each quarter hour in [start, end), each a window."""
    course = world.courses[point]
    return [(t, course.native(t, t + QUARTER_MS, at)) for t in range(start, end, QUARTER_MS)]


def judge(world: World, at: int, failed: tuple[World, int] | None = None) -> Judged:
    """The unit at the tick `at`: the windows that hold the instant before it, and the verdict.

    `failed` is the unit and the tick where the verdict became FAIL: here, unless told.
    """
    windows: dict[WindowKind, Window] = {}
    for kind in KINDS:
        start, end = window_around(kind, at - 1)
        windows[kind] = Window(start, end, window_figures(world, start, end, at))
    silent = {name: course.end for name, course in world.courses.items() if is_silent(course, at)}
    verdict = against(world, windows["year"], at, failed or (world, at))
    return Judged(*verdict, windows, silent)


@cache
def window_around(kind: WindowKind, at: int) -> tuple[int, int]:
    """The window of a kind that holds an instant."""
    start = window_start(kind, at)
    return start, window_end(kind, start)


def is_silent(course: Course, at: int) -> bool:
    """Valid at `at`, and silent for longer than cadence and tolerance."""
    valid = course.begins <= at < course.ends
    return valid and at - course.end > course.point.cadence_ms + course.point.tolerance


def limit_of(unit: Unit, year: int, target: str = "energy") -> int | None:
    """The unit's quota (energy) or budget (co2) of a year, in 10⁻⁶ t."""
    limits = unit.quotas if target == "energy" else unit.budgets
    return next((limit.amount for limit in limits if limit.year == year), None)


def in_its_view(world: World, year: int) -> bool:
    """Whether the year's budget is meant in the view of the factor that electricity is converted by."""
    view = world.pack.entry("electricity", "co2", year).view
    return all(budget.view == view for budget in world.unit.budgets if budget.year == year)


def against(
    world: World, window: Window, at: int, failed: tuple[World, int], target: str = "energy"
) -> tuple[Verdict | None, Reason | None, int | None, bool]:
    """Verdict, reason, since, suspected. Without a limit or a carrier there is none."""
    year = year_of(window.start)
    limit, used = limit_of(world.unit, year, target), window.figures.get(target)
    if limit is None or used is None:
        return None, None, None, False
    if target == "co2" and not in_its_view(world, year):
        return "UNDECIDABLE", "other factor view", None, False
    if used.low > limit:
        return "FAIL", None, since(failed[0], limit, window.start, failed[1], target), False
    if used.high is not None and used.high <= limit:
        return "PASS", None, None, False
    return "UNDECIDABLE", undecided(world, used, window, at, target), None, used.best > limit


def undecided(world: World, used: Figure, window: Window, at: int, target: str) -> Reason:
    """Why a verdict is UNDECIDABLE."""
    if used.high is None:
        return "opening unknown"
    emit = {cell.quantity for cell in world.cells if cell.process} if target == "co2" else set()
    fed = world.of(*{*world.carriers, *emit})
    missing = any(course.misses(window.start, window.end, at) for course in fed)
    return "missing data" if missing else "ambiguous data"


def low_of(world: World, span: Span, target: str = "energy") -> int:
    """`low` of energy or CO2, as `window_figures` has it."""
    low = opening(world.unit, target, span)[0]
    for cell in world.feeding(target):
        factor = world.factor(cell, target, span.start)
        cell_low, cell_high = bounds(world.hours(cell), factor, span)
        low += cell_low if effect(world, cell, target, span.start) > 0 else -cell_high
    return low


def effect(world: World, cell: Cell, target: str, at: int) -> int:
    """1 where it adds to the unit's energy or CO2, −1 where it takes off: given away, or fixed by a product."""
    return cell.sign if world.ratio(cell, target, at) >= 0 else -cell.sign


def low_at_most(world: World, span: Span, target: str) -> int:
    """Not less than `low_of`, and never falling with the cut.

    Without the reduction for inexact hours, and with the ½ that rounding adds at most for each
    exact hour.
    """
    low = opening(world.unit, target, span)[0]
    for cell in world.feeding(target):
        hours = world.hours(cell)
        native = sum(course.told(span.start, span.cut).low for course in hours.courses)
        exact = hours.exact_count(span.start // HOUR_MS, span.cut // HOUR_MS) + 1
        low += ceil(native, world.factor(cell, target, span.start)) + (exact + 1) // 2
    return low


def fails(world: World, at: int, target: str = "energy") -> bool:
    """Whether the year's verdict at the tick `at` is FAIL."""
    span = Span(*window_around("year", at - 1), at)
    year = year_of(span.start)
    limit = limit_of(world.unit, year, target)
    if target not in world.told_targets or limit is None:
        return False
    if target == "co2" and not in_its_view(world, year):
        return False
    return low_of(world, span, target) > limit


def since(world: World, limit: int, start: int, at: int, target: str = "energy") -> int:
    """The least quarter-hour end whose window from the year's start has low > limit.

    The window is cut at that end, and at the tick. `low` may fall by some 10⁻⁶ from one end to the
    next, so what is searched by halves is a bound that does not; from there each end is tried.
    Where something is given away `low` may fall by any amount: the last end.
    """
    taken_off = (effect(world, cell, target, start) < 0 for cell in world.feeding(target))
    if any(cell.sign < 0 for cell in world.cells) or any(taken_off):
        return -(-at // QUARTER_MS) * QUARTER_MS
    ends = range(start + QUARTER_MS, -(-at // QUARTER_MS) * QUARTER_MS + 1, QUARTER_MS)

    def span(end: int) -> Span:
        return Span(start, end, min(end, at))

    possible = bisect_right(ends, limit, key=lambda end: low_at_most(world, span(end), target))
    return next(end for end in ends[possible:] if low_of(world, span(end), target) > limit)
