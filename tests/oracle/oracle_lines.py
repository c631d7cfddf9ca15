"""The oracle, RULES section 12: product lines, in fractions and infinities."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from math import ceil, floor, inf
from typing import NamedTuple

from oracle_co2 import Cell
from oracle_figures import TARGETS, Span, World, cell_native, share
from oracle_pieces import Course
from schemas.calendar import year_start
from schemas.registry import CARRIERS, Line

Number = Fraction | float
"""A float is an infinity."""


class LineFigure(NamedTuple):
    """A figure of a line; None is not known."""

    low: int | None
    best: int | None
    high: int | None
    share_measured: int | None = None
    said: str | None = None


LineTold = dict[str, LineFigure]


class Range(NamedTuple):
    """An interval and its best estimate."""

    low: Number
    best: Number
    high: Number


def line_figures(world: World, line: Line, span: Span) -> LineTold:
    """Everything that is said of a line in a window."""
    mine = {cell: dict(cell.lines)[line.id] for cell in world.cells if line.id in dict(cell.lines)}
    takes = {cell: sign for cell, sign in mine.items() if cell.quantity in CARRIERS}
    makes = {cell: sign for cell, sign in mine.items() if cell.quantity == "output"}
    emits = {cell: sign for cell, sign in mine.items() if cell.process}
    begun, begun_making = (beginning(world, line, cells, span) for cells in (takes, makes))
    made = summed(world, makes | begun_making.cells, span, None, begun_making)
    takes |= begun.cells
    measured = share(courses(world, takes), span)
    told = {"output": figure(made, share(courses(world, makes), span))}
    for quantity in dict.fromkeys(cell.quantity for cell in takes):
        part = {cell: sign for cell, sign in takes.items() if cell.quantity == quantity}
        told[quantity] = figure(summed(world, part, span, None, begun), measured)
    for target in TARGETS:
        part = {cell: sign for cell, sign in takes.items() if cell.counts(target)}
        amount = summed(world, part, span, target, begun)
        if target == "co2" and emits:
            undeclared = Beginning(lacks_beginning(world, line, emits, span), {})
            emitted = summed(world, emits, span, "co2", undeclared)
            told["process"] = figure(emitted, share(courses(world, emits), span))
            amount = Range(*(a + b for a, b in zip(amount, emitted, strict=True)))
        told[target] = figure(amount, share(courses(world, [*part, *emits]), span))
        own = [cell for cell in takes if cell.quantity == "electricity" and cell.self_generated]
        if target == "co2" and own:
            bought = {cell: sign for cell, sign in part.items() if cell.quantity == "electricity"}
            amount = summed(world, bought, span, None, begun)
            told["purchased"] = figure(amount, share(courses(world, bought), span))
        if target == "energy":
            told[target] = figure(amount, measured)
            told["intensity"] = intensity(amount, made)
    return told


def courses(world: World, cells: Iterable[Cell]) -> list[Course]:
    """The courses of some cells."""
    return [course for cell in cells for course in world.cells.get(cell, ())]


class Beginning(NamedTuple):
    """Whether a side lacks what was before its points, and what is declared of it: one more cell each."""

    lacks: bool
    declared: dict[Cell, Range]

    @property
    def cells(self) -> dict[Cell, int]:
        """The cells that are declared, with their signs."""
        return dict.fromkeys(self.declared, 1)


def lacks_beginning(world: World, line: Line, cells: dict[Cell, int], span: Span) -> bool:
    """Whether the window, from the line's own beginning on, begins before the points do."""
    begins = min(course.begins for course in courses(world, cells))
    declared = span.start if line.begins is None else line.begins
    return max(span.start, declared) < begins < span.cut


def beginning(world: World, line: Line, cells: dict[Cell, int], span: Span) -> Beginning:
    """The year's openings of a side, where the window begins with it and lacks its beginning."""
    if not lacks_beginning(world, line, cells, span):
        return Beginning(lacks=False, declared={})
    is_output = "output" in {cell.quantity for cell in cells}
    mine = {
        Cell(one.quantity, 1, (("opening", one.year),)): Range(
            *(int(Fraction(end) * 10**6) for end in (one.low, one.best, one.high))
        )
        for one in line.openings
        if year_start(one.year) == span.start and (one.quantity == "output") is is_output
    }
    return Beginning(not mine, mine)


def summed(
    world: World, cells: dict[Cell, int], span: Span, target: str | None, begun: Beginning
) -> Range:
    """The signed sum over cells and openings, each converted once and rounded outward."""
    low, best, high = Fraction(0), Fraction(0), Fraction(0)
    turned = False
    for cell, sign_of_amount, native in amounts(world, cells, span, begun):
        told = Fraction(1) if target is None else world.ratio(cell, target, span.start)
        sign, ratio = (sign_of_amount, told) if told >= 0 else (-sign_of_amount, -told)
        bounds = (floor(native.low * ratio), round(native.best * ratio), ceil(native.high * ratio))
        turned = turned or sign < 0
        ends = sorted((sign * bounds[0], sign * bounds[2]))
        low, best, high = low + ends[0], best + sign * bounds[1], high + ends[1]
    if not begun.lacks:
        return Range(low, best, high)
    return Range(-inf if turned else low, best, inf)


def amounts(
    world: World, cells: dict[Cell, int], span: Span, begun: Beginning
) -> Iterator[tuple[Cell, int, Range]]:
    """Each cell with its sign and its native amount."""
    for cell, sign in cells.items():
        if cell in begun.declared:
            yield cell, sign, begun.declared[cell]
        else:
            native = cell_native(world, cell, span)
            yield cell, sign, Range(native.low, native.best, native.high)


def figure(amount: Range, measured: int) -> LineFigure:
    """As told."""
    return LineFigure(whole(amount.low), whole(amount.best), whole(amount.high), measured)


def whole(number: Number) -> int | None:
    """A number as told: an infinity is not."""
    return None if number in {inf, -inf} else int(number)


def intensity(energy: Range, output: Range) -> LineFigure:
    """Least and greatest of energy over output, over all output that is more than nothing."""
    if output.high <= 0:
        said = "energy without output" if energy.low > 0 else "not computable"
        return LineFigure(None, None, None, None, said)
    never_nothing = output.low > 0
    low: Number = -inf
    if energy.low >= 0 or never_nothing:
        low = over(energy.low, output.high if energy.low >= 0 else output.low)
    high: Number = inf
    if never_nothing:
        high = over(energy.high, output.low if energy.high > 0 else output.high)
    told_low = None if low in {inf, -inf} else floor(low)
    told_high = None if high in {inf, -inf} else ceil(high)
    best = None
    if output.best > 0:
        best = round(over(energy.best, output.best))
        best = best if told_low is None else max(told_low, best)
        best = best if told_high is None else min(told_high, best)
    return LineFigure(told_low, best, told_high)


def over(energy: Number, output: Number) -> Number:
    """10⁻⁶ kgce a unit, of 10⁻⁶ tce and 10⁻⁶ units."""
    if energy in {inf, -inf}:
        return energy
    return Fraction(0) if output == inf else energy * 10**9 / output
