"""The oracle, RULES section 12: a line held to limits without conditions, with one correction per point at most."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from math import ceil, floor, inf
from typing import NamedTuple

from oracle_co2 import Cell
from oracle_figures import Span, World
from oracle_lines import Beginning, Number, Range, amounts, beginning, over
from schemas.law import OIL, LawInForce
from schemas.pack_limits import Limit, PerPoint
from schemas.registry import CARRIERS, Line

TONNES = {"kgce/t": 1000, "kgoe/t": 1000, "kWh/t": 1}


class LimitFigure(NamedTuple):
    """One level as told, but for its words."""

    limit: str
    verdict: str
    since: int | None
    suspected: bool
    used: tuple[int | None, int | None, int | None]
    bounds: tuple[int | None, int | None]
    energy: tuple[int | None, ...] = ()
    """What the line used as the standard counts energy."""
    coming: tuple[str, str, bool] | None = None
    """From which day it is in force, and what would be judged."""


def limits_of(law: LawInForce, world: World, line: Line, span: Span) -> Iterator[LimitFigure]:
    """Every level of every limit that the line names, since not known."""
    on = (datetime.fromtimestamp((span.cut - 1) / 1000, UTC) + timedelta(hours=8)).date()
    for indicator in line.indicators:
        mine = [one for one in law.limits if one.indicator == indicator]
        if not mine:
            continue
        energy = energy_by(law, mine[0], world, line, span)
        used = used_by(law, mine[0], world, line, span, energy)
        whole = rounded(energy)
        for one in levels_of(law, mine, line, used, on, world.unit.region):
            yield one._replace(energy=whole)


def levels_of(
    law: LawInForce, mine: list[Limit], line: Line, used: Range, on: date, code: str
) -> Iterator[LimitFigure]:
    """The levels of one indicator's limits."""
    regions = {None, code, code[:4] + "00", code[:2] + "0000"}
    for region in dict.fromkeys(one.region for one in mine if one.region in regions):
        rows = [one for one in mine if one.region == region]
        for limit in (one for one in rows if one.holds(on)):
            yield from (judged(limit, level, line, law, used) for level in (1, 2, 3))
        for limit in rows:
            begins = limit.valid_from
            if begins and begins > on and not (limit.published_on and limit.published_on > on):
                for level in (1, 2, 3):
                    yield not_before(judged(limit, level, line, law, used), begins.isoformat())


def rounded(energy: Range) -> tuple[int | None, int | None, int | None]:
    """Once, outward; an infinity is not told."""
    low = None if energy.low == -inf else floor(energy.low)
    high = None if energy.high == inf else ceil(energy.high)
    return low, round(energy.best), high


def not_before(one: LimitFigure, begins: str) -> LimitFigure:
    """Of a limit that is not in force yet: told, with what would be judged."""
    coming = None if one.verdict == "NOT JUDGED" else (begins, one.verdict, one.suspected)
    return one._replace(verdict="NOT JUDGED", suspected=False, coming=coming)


def name(limit: Limit, level: int) -> str:
    """How a level is told."""
    return f"{limit.indicator} level {level}" + (f" of {limit.region}" if limit.region else "")


def not_judged(limit: Limit, level: int, used: Range) -> LimitFigure:
    """A level that the standard has not."""
    base = limit.level(level)
    bound = None if base is None else int(base * 10**6)
    bounds = (bound, bound)
    return LimitFigure(
        name(limit, level), "NOT JUDGED", None, suspected=False, used=told(used), bounds=bounds
    )


def judged(limit: Limit, level: int, line: Line, law: LawInForce, used: Range) -> LimitFigure:
    """Held to the corrected limit, whatever the undeclared parameter is."""
    base = limit.level(level)
    if base is None:
        return not_judged(limit, level, used)
    low = best = high = Fraction(base)
    for correction in limit.corrections:
        assert isinstance(correction, PerPoint)
        parameter = next(one for one in law.parameters if one.id == correction.parameter)
        least, usual, most = (
            Fraction(one or 0) for one in (parameter.least, parameter.usual, parameter.greatest)
        )
        declared = dict(line.parameters).get(correction.parameter)
        if declared is not None:
            least = usual = most = Fraction(declared)
        slope = Fraction(correction.per_point[0])
        ends = sorted((slope * least, slope * most))
        low, best, high = low + ends[0], best + slope * usual, high + ends[1]
    verdict = "UNDECIDABLE"
    if used.high <= low * 10**6:
        verdict = "PASS"
    elif used.low > high * 10**6:
        verdict = "FAIL"
    suspected = verdict == "UNDECIDABLE" and used.best > best * 10**6
    bounds = floor(low * 10**6), ceil(high * 10**6)
    return LimitFigure(name(limit, level), verdict, None, suspected, told(used), bounds)


def told(used: Range) -> tuple[int | None, int | None, int | None]:
    """As told: an infinity is not."""
    low, best, high = (None if one in {inf, -inf} else int(one) for one in used)
    return low, best, high


def used_by(
    law: LawInForce, limit: Limit, world: World, line: Line, span: Span, energy: Range
) -> Range:
    """Energy a unit of output by the limit's rules, in 10⁻⁶, rounded outward; infinite where there is no output."""
    mine = {cell: dict(cell.lines)[line.id] for cell in world.cells if line.id in dict(cell.lines)}
    makes = {cell: sign for cell, sign in mine.items() if cell.quantity == "output"}
    begun = beginning(world, line, makes, span)
    made = exact_sum(law, None, world, makes | begun.cells, span, begun)
    if made.high <= 0:
        return Range(inf, inf, inf) if energy.low > 0 else Range(-inf, -inf, inf)
    per = Fraction(TONNES[limit.unit], 1000)
    low: Number = -inf
    if energy.low >= 0 or made.low > 0:
        low = over(energy.low, made.high if energy.low >= 0 else made.low)
    high: Number = inf
    if made.low > 0:
        high = over(energy.high, made.low if energy.high > 0 else made.high)
    low = low if low == -inf else floor(low * per)
    high = high if high == inf else ceil(high * per)
    best: Number = -inf
    if made.best > 0:
        best = max(low, min(round(over(energy.best, made.best) * per), high))
    return Range(low, best, high)


def energy_by(law: LawInForce, limit: Limit, world: World, line: Line, span: Span) -> Range:
    """A line's energy as a limit's standard counts it, unrounded."""
    mine = {cell: dict(cell.lines)[line.id] for cell in world.cells if line.id in dict(cell.lines)}
    takes = {cell: sign for cell, sign in mine.items() if cell.quantity in CARRIERS}
    begun = beginning(world, line, takes, span)
    counted = {
        cell: sign
        for cell, sign in (takes | begun.cells).items()
        if limit.unit != "kWh/t" or cell.quantity == "electricity"
    }
    return exact_sum(law, limit, world, counted, span, begun)


def exact_sum(
    law: LawInForce,
    limit: Limit | None,
    world: World,
    cells: dict[Cell, int],
    span: Span,
    begun: Beginning,
) -> Range:
    """The signed sum over cells and openings, unrounded: of energy by the limit, of output (no limit) as it is."""
    low: Number = Fraction(0)
    best: Number = Fraction(0)
    high: Number = Fraction(0)
    for cell, sign, native in amounts(world, cells, span, begun):
        ratio = ratio_of(law, limit, world, cell, span)
        ends = sorted((sign * native.low * ratio, sign * native.high * ratio))
        low, best, high = low + ends[0], best + sign * native.best * ratio, high + ends[1]
    if not begun.lacks:
        return Range(low, best, high)
    return Range(-inf if -1 in cells.values() else low, best, inf)


def ratio_of(
    law: LawInForce, limit: Limit | None, world: World, cell: Cell, span: Span
) -> Fraction:
    """Tonnes (or kWh) that a unit of a cell counts."""
    if limit is None or limit.unit == "kWh/t":
        return Fraction(1)
    if cell.quantity == "electricity":
        return Fraction(next(c.value for c in law.coefficients if c.id == limit.electricity)) / 1000  # type: ignore[arg-type]
    factor = world.factor(cell, "energy", span.start)
    oil = Fraction(next(c.value for c in law.constants if c.id == OIL) or 1)
    return Fraction(factor.numerator, factor.denominator) / (oil if limit.unit == "kgoe/t" else 1)
