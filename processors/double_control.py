"""Double control: the tree of key units, its exact sums, targets on their paths, and where a scope stands.

All amounts are integers of 10⁻⁶ t, so that sums of any level are those of the units, to the last digit. A unit counts on each day where
it belongs on that day: a figure's days must not straddle a change of membership, or the edge of the span that is asked for.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Literal, TypeVar

from schemas.double_control import (
    NOTHING,
    Amount,
    Covers,
    DoubleControl,
    Level,
    Membership,
    Quantity,
    Region,
    Remainder,
    Schedule,
    Target,
    UnitFigure,
    ValueAdded,
    pairs,
)
from schemas.scale import SCALE

Span = tuple[date, date]
"""Days [first, until)."""

MISSING = "missing data"

T = TypeVar("T", bound=Remainder | ValueAdded)


class TreeError(ValueError):
    """Figures, members or regions that do not make one tree; the message says which and what to do."""


# ---- The tree


@dataclass(frozen=True, slots=True)
class Cell:
    """Where a unit belongs on a day."""

    province: str
    city: str
    county: str
    industry: str
    unit_class: str
    unit: str

    def code(self, level: Level) -> str:
        """Its code at a level."""
        return {
            "province": self.province,
            "city": self.city,
            "county": self.county,
            "industry": self.industry,
            "class": self.unit_class,
            "unit": self.unit,
        }[level]

    def within(self, scope: str) -> bool:
        """Whether it lies in a scope, `city:510400+industry:31`."""
        codes = {"province": self.province, "city": self.city, "county": self.county}
        codes |= {"industry": self.industry, "class": self.unit_class, "unit": self.unit}
        return all(codes[level] == code for level, code in pairs(scope))


@dataclass(frozen=True, slots=True)
class Tree:
    """Members by unit and regions by level and code, with their days."""

    members: Mapping[str, Sequence[Membership]]
    regions: Mapping[tuple[str, str], Sequence[Region]]
    days: frozenset[date]
    """On which some region changes."""

    def cell(self, unit: str, on: date) -> Cell:
        """Where a unit belongs on a day. Raises TreeError where it belongs nowhere, or twice."""
        found = [one for one in self.members.get(unit, ()) if one.valid_from <= on < one.valid_to]
        _need_one(len(found), unit, on)
        member = found[0]
        county = self._region("county", member.county, on)
        city = self._region("city", county.parent, on)
        province = self._region("province", city.parent, on)
        return Cell(province.code, city.code, county.code, member.industry, member.unit_class, unit)

    def changes(self, unit: str, span: Span) -> list[date]:
        """Days inside a span on which the unit may come to belong elsewhere."""
        its = {d for one in self.members.get(unit, ()) for d in (one.valid_from, one.valid_to)}
        return sorted(day for day in its | self.days if span[0] < day < span[1])

    def _region(self, level: str, code: str, on: date) -> Region:
        its = self.regions.get((level, code), ())
        found = [one for one in its if one.valid_from <= on < one.valid_to]
        _need_one(len(found), f"{level} {code}", on)
        return found[0]


def tree_of(world: DoubleControl) -> Tree:
    """The tree of a file's members and regions."""
    members: dict[str, list[Membership]] = defaultdict(list)
    regions: dict[tuple[str, str], list[Region]] = defaultdict(list)
    for member in world.members:
        members[member.unit].append(member)
    for region in world.regions:
        regions[region.level, region.code].append(region)
    days = frozenset(d for one in world.regions for d in (one.valid_from, one.valid_to))
    return Tree(members, regions, days)


def _need_one(count: int, name: str, on: date) -> None:
    if count != 1:
        message = f"{name} has {count} entries on {on}: it needs one, by valid_from and valid_to"
        raise TreeError(message)


# ---- Figures


@dataclass(frozen=True, slots=True)
class Item:
    """A part of a unit's figure where it counts: deductions are negative, a day without figure has no upper end."""

    key: tuple[str, ...]
    """What it is, the same before and after a correction."""
    cell: Cell
    first: date
    part: str
    cause: str
    amount: Amount


def items(
    world: DoubleControl, quantity: Quantity, span: Span, known_on: date, net_of: Sequence[str] = ()
) -> tuple[Item, ...]:
    """All that the units' sums over a span are made of, as known on a day. Raises TreeError."""
    counted = [
        figure
        for figure in _winners(world.figures, quantity, known_on)
        if figure.part in {"gross", *net_of} and _inside(figure, span)
    ]
    tree = tree_of(world)
    found = [_item(tree, figure) for figure in counted]
    return (*found, *_missing(tree, quantity, span, counted))


def _winners(figures: Iterable[UnitFigure], quantity: Quantity, known_on: date) -> list[UnitFigure]:
    """Of each identity the one known last. Raises TreeError for two of one day and revision, and for days told twice."""
    best: dict[tuple[str, str, str, str, date, date], UnitFigure] = {}
    for figure in figures:
        if figure.quantity != quantity or figure.known_on > known_on:
            continue
        other = best.setdefault(figure.identity, figure)
        mine, its = (figure.known_on, figure.revision), (other.known_on, other.revision)
        if mine == its and figure.bounds != other.bounds:
            message = f"{figure.unit} {quantity} from {figure.first}: two figures known on {figure.known_on}: give one a greater revision"
            raise TreeError(message)
        if mine > its:
            best[figure.identity] = figure
    found = sorted(best.values(), key=lambda figure: figure.identity)
    for one, other in pairwise(found):
        if one.identity[:4] == other.identity[:4] and other.first < one.until:
            message = f"{one.unit} {quantity} {one.part}: {one.first} to {one.until} and {other.first} to {other.until} share days: give each day once"
            raise TreeError(message)
    return found


def _inside(figure: UnitFigure, span: Span) -> bool:
    """Whether a figure lies inside a span. Raises TreeError where its edge cuts it."""
    first, until = span
    if figure.until <= first or until <= figure.first:
        return False
    if figure.first < first or until < figure.until:
        message = f"{figure.unit} {figure.quantity}: {first} to {until} cuts the figure from {figure.first} to {figure.until}: give it in two"
        raise TreeError(message)
    return True


def _item(tree: Tree, figure: UnitFigure) -> Item:
    cell = tree.cell(figure.unit, figure.first)
    for changed in tree.changes(figure.unit, (figure.first, figure.until)):
        if tree.cell(figure.unit, changed) != cell:
            message = f"{figure.unit} {figure.quantity}: belongs elsewhere from {changed} on: give the figure from {figure.first} to {figure.until} in two"
            raise TreeError(message)
    amount = figure.bounds if figure.part == "gross" else figure.bounds.deducted()
    part = f"{figure.part} {figure.evidence}".strip()
    key = (figure.unit, part, figure.first.isoformat(), figure.until.isoformat())
    return Item(key, cell, figure.first, part, figure.cause, amount)


def _missing(
    tree: Tree, quantity: Quantity, span: Span, counted: Sequence[UnitFigure]
) -> list[Item]:
    """An item [0, 0, unknown] for each membership that owes figures of days without one."""
    told: dict[str, list[Span]] = defaultdict(list)
    for figure in counted:
        if figure.part == "gross":
            told[figure.unit].append((figure.first, figure.until))
    owed = [one for its in tree.members.values() for one in its if quantity in one.quantities]
    found: list[Item] = []
    for member in owed:
        first, until = max(span[0], member.valid_from), min(span[1], member.valid_to)
        days = [first, *tree.changes(member.unit, (first, until)), until]
        for piece in pairwise(days) if first < until else ():
            if _days_of(told[member.unit], piece) < (piece[1] - piece[0]).days:
                key = (member.unit, "missing", piece[0].isoformat())
                cell = tree.cell(member.unit, piece[0])
                found.append(Item(key, cell, piece[0], "gross", MISSING, Amount(0, 0, None)))
    return found


def _days_of(told: Iterable[Span], piece: Span) -> int:
    """Days of a piece that spans without overlap cover."""
    return sum(max(0, (min(piece[1], b) - max(piece[0], a)).days) for a, b in told)


def total(found: Iterable[Item]) -> Amount:
    """The sum of items: exact at each end."""
    return sum((item.amount for item in found), NOTHING)


def totals(found: Iterable[Item], levels: Sequence[Level]) -> Mapping[tuple[str, ...], Amount]:
    """Sums by the codes at some levels: `("city", "industry")` gives each industry of each city."""
    sums: dict[tuple[str, ...], Amount] = defaultdict(lambda: NOTHING)
    for item in found:
        key = tuple(item.cell.code(level) for level in levels)
        sums[key] += item.amount
    return dict(sorted(sums.items()))


# ---- Targets


def path_value(target: Target, year: int) -> int | None:
    """The target's value of a year, in 10⁻⁶, rounded down once; None before the base year and after the end year.

    Geometric: base · (1 + change)^(k/n) in the k-th of n years, as the whole n-th root of base^n · (1 + change)^k.
    """
    k, n = year - target.base_year, target.end_year - target.base_year
    if not 0 <= k <= n:
        return None
    base = Fraction(target.base) * SCALE
    exact = base**n * Fraction(1 + target.change) ** k
    return whole_root(exact.numerator // exact.denominator, n)


def whole_root(value: int, n: int) -> int:
    """The greatest integer whose n-th power is not above `value`."""
    low, high = 0, 1 << (value.bit_length() // n + 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if middle**n <= value else (low, middle - 1)
    return low


def share(span: Span, schedule: Schedule | None) -> Fraction:
    """The part of its year that a span from January 1st on should have used; by days where there is no schedule."""
    first, until = span
    year = date(first.year, 1, 1), date(first.year + 1, 1, 1)
    if schedule is None:
        return Fraction((until - first).days, (year[1] - year[0]).days)
    used = Fraction(0)
    for month, weight in enumerate(schedule.weights, start=1):
        begins = date(first.year, month, 1)
        ends = date(first.year, month + 1, 1) if month < 12 else year[1]  # noqa: PLR2004 - December
        passed = min(max((until - begins).days, 0), (ends - begins).days)
        used += weight * Fraction(passed, (ends - begins).days)
    return used / sum(schedule.weights)


def year_to_date(on: date) -> Span:
    """From the start of the year until a day, which is not in it; the whole year before on January 1st."""
    return date((on - timedelta(days=1)).year, 1, 1), on


def tiled(entries: Iterable[T], span: Span, known_on: date) -> Amount | None:
    """The sum of entries that cover a span without gap or overlap, the latest known of each; else None."""
    latest: dict[Span, T] = {}
    for entry in entries:
        if entry.known_on > known_on or entry.first < span[0] or entry.until > span[1]:
            continue
        before = latest.setdefault((entry.first, entry.until), entry)
        if (entry.known_on, entry.revision) > (before.known_on, before.revision):
            latest[entry.first, entry.until] = entry
    reached, amount = span[0], NOTHING
    for (first, until), entry in sorted(latest.items(), key=lambda one: one[0]):
        if first != reached:
            return None
        reached, amount = until, amount + entry.bounds
    return amount if reached == span[1] else None


# ---- Where a scope stands


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is allowed, in 10⁻⁶ t: all three ends known."""

    low: int
    best: int
    high: int


Verdict = Literal["PASS", "FAIL", "UNDECIDABLE"]


@dataclass(frozen=True, slots=True)
class Standing:
    """A target on a day: what was used until then beside what is allowed, by the calendar and by the season.

    Amounts are in 10⁻⁶ t. An intensity is held as used against value added · limit, so that all of it sums exactly.
    """

    target: Target
    on: date
    items: tuple[Item, ...]
    """Of the key units."""
    remainder: Amount | None
    value_added: Amount | None
    limit: int | None
    """The year's, in 10⁻⁶ t, or 10⁻⁶ t per 10⁴ CNY."""
    used: Amount
    """The key units', with the remainder where the target covers the whole society and it is known."""
    unknown: str
    """Why nothing can be judged; empty where it can."""

    @property
    def figure_of(self) -> str:
        """Whose figure `used` is."""
        return "key units" if self.remainder is None else "key units and remainder"


def standing(world: DoubleControl, name: str, on: date) -> Standing | None:
    """Where a target stands on a day, all as known then; None before the target is known. Raises TreeError."""
    known = [t for t in world.targets if t.id == name and t.known_on <= on]
    if not known:
        return None
    target = max(known, key=lambda one: one.known_on)
    span = year_to_date(on)
    found = tuple(
        item
        for item in items(world, target.quantity, span, on, target.net_of)
        if item.cell.within(target.scope)
    )
    remainder = _remainder(world, target, span, on)
    value_added = _value_added(world, target, span, on)
    limit = path_value(target, span[0].year)
    used = total(found) + (remainder or NOTHING)
    unknown = _unknown(world, target, (limit, remainder, value_added))
    return Standing(target, on, found, remainder, value_added, limit, used, unknown)


def _remainder(world: DoubleControl, target: Target, span: Span, on: date) -> Amount | None:
    if target.covers == "key units":
        return None
    its = [r for r in world.remainders if (r.scope, r.quantity) == (target.scope, target.quantity)]
    return tiled(its, span, on)


def _value_added(world: DoubleControl, target: Target, span: Span, on: date) -> Amount | None:
    if target.kind == "total":
        return None
    return tiled(_of_scope(world, target.scope, target.covers, target.prices_of), span, on)


def _of_scope(
    world: DoubleControl, scope: str, covers: Covers, prices_of: int | None
) -> list[ValueAdded]:
    return [
        v
        for v in world.value_added
        if (v.scope, v.covers) == (scope, covers) and prices_of in {None, v.prices_of}
    ]


def _unknown(
    world: DoubleControl, target: Target, found: tuple[int | None, Amount | None, Amount | None]
) -> str:
    """The first reason why nothing can be judged."""
    limit, remainder, value_added = found
    if limit is None:
        return "no target for the year"
    if target.covers == "whole society" and remainder is None:
        return "remainder unknown"
    if value_added is not None and value_added.high is None:
        return "value added without an upper end"
    if target.kind == "intensity" and value_added is None:
        other = _of_scope(world, target.scope, target.covers, None)
        at_prices = {one.prices_of for one in other}
        if other and target.prices_of not in at_prices:
            return f"value added at prices of {min(at_prices)}, not {target.prices_of}"
        return "value added unknown"
    return ""


def allowed(
    limit: int, span: Span, schedule: Schedule | None, value_added: Amount | None
) -> Bounds:
    """What a limit allows until the end of a span, in 10⁻⁶ t, rounded outward.

    Of a total: its share, rounded down. Of an intensity: the limit times the value added of the same days (its high is known).
    """
    if value_added is None or value_added.high is None:
        exact = int(limit * share(span, schedule))
        return Bounds(exact, exact, exact)
    low, best = limit * value_added.low // SCALE, limit * value_added.best // SCALE
    return Bounds(low, best, -(-limit * value_added.high // SCALE))


def allowed_until(stands: Standing, schedule: Schedule | None) -> Bounds | None:
    """What its target allows a standing; None where that cannot be judged."""
    if stands.unknown or stands.limit is None:
        return None
    return allowed(stands.limit, year_to_date(stands.on), schedule, stands.value_added)


def schedule_of(world: DoubleControl, target: Target) -> Schedule | None:
    """The seasonal schedule of a target, where it has one."""
    return next((one for one in world.schedules if one.id == target.schedule), None)


def held_to(stands: Standing, limit: Bounds | None) -> tuple[Verdict, str]:
    """A standing against what is allowed, with the reason of UNDECIDABLE. Just reached is not broken."""
    if limit is None:
        return "UNDECIDABLE", stands.unknown
    used = stands.used
    if used.low > limit.high:
        return "FAIL", ""
    if used.high is not None and used.high <= limit.low:
        return "PASS", ""
    return "UNDECIDABLE", MISSING if used.high is None else "ambiguous data"


def against_year(stands: Standing) -> tuple[Verdict, str]:
    """Against the whole year's limit: PASS of a year that is not over means "not broken yet"."""
    if stands.limit is None or stands.unknown:
        return "UNDECIDABLE", stands.unknown
    begun = year_to_date(stands.on)[0]
    year = begun, date(begun.year + 1, 1, 1)
    return held_to(stands, allowed(stands.limit, year, None, stands.value_added))
