"""The oracle, RULES section 13: what a cell counts for, and what it is multiplied by."""

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from schemas.co2 import HeatValue, Term
from schemas.factors import Factor, FactorPack
from schemas.registry import CARRIERS, Point, Unit


class Cell(NamedTuple):
    """Points of one quantity that count alike: with one sign for the unit, alike for its lines, and by one factor."""

    quantity: str
    sign: int
    lines: tuple[tuple[str, int], ...]
    self_generated: bool = False
    process: tuple[Term, ...] = ()

    def counts(self, target: str) -> bool:
        """Whether it is energy, or emits CO2."""
        if target == "process":
            return bool(self.process)
        if target == "purchased":
            return self.quantity == "electricity" and not self.self_generated
        if self.quantity in CARRIERS:
            return target == "energy" or not self.self_generated
        return target == "co2" and bool(self.process)


def cell_of(point: Point) -> Cell:
    """How a point counts."""
    return Cell(point.quantity, point.sign, point.lines, point.self_generated, point.process)


def heat_of(unit: Unit, cell: Cell, year: int) -> HeatValue | None:
    """The heat value found by the unit itself in a year, else by its supplier."""
    found = {
        one.by: one
        for one in unit.heat_values
        if one.carrier == cell.quantity
        and one.valid_from.year <= year
        and (one.valid_to is None or one.valid_to.year > year)
    }
    return found.get("measured", found.get("supplier"))


def converted_by(
    unit: Unit, pack: FactorPack, cell: Cell, target: str, year: int
) -> tuple[Fraction, tuple[str, ...]]:
    """The figure that converts a cell in a year, and the names of all it is made of."""
    ratio, heat = tonnes(unit, pack, cell, target, year), heat_of(unit, cell, year)
    if cell.process:
        named = (name for term in cell.process for name in (term.factor, term.gwp) if name)
        names = tuple(pack.process(name, year).id for name in named)
    elif heat is None or target == "co2":
        names = (pack.entry(cell.quantity, target, year).id,)  # type: ignore[arg-type]
    else:
        names = ()
    return ratio, names


def tonnes(unit: Unit, pack: FactorPack, cell: Cell, target: str, year: int) -> Fraction:
    """Tonnes of standard coal or CO2 of one unit of measure; below 0 what a product fixes."""
    if target == "purchased":
        return Fraction(1)
    if cell.process:
        exact = sum((of_term(term, pack, year) for term in cell.process), start=Fraction(0))
        return to_eight_places(exact)
    own = heat_of(unit, cell, year)
    if own is None:
        factor = pack.factor(cell.quantity, target, year)  # type: ignore[arg-type]
        return Fraction(factor.numerator, factor.denominator)
    heat = own.gj_per_t
    if target == "energy":
        return Fraction(heat) * 1_000_000 / 29_307_600
    fuel = pack.entry(cell.quantity, "co2", year).fuel  # type: ignore[arg-type]
    assert fuel is not None
    carbon = Fraction(heat) * Fraction(fuel.carbon_tc_per_tj) * Fraction(fuel.oxidation) / 1000
    return to_eight_places(carbon * 44 / 12)


def of_term(term: Term, pack: FactorPack, year: int) -> Fraction:
    """One term of a process: a factor, its warming potential, and the declared share."""
    found = Fraction(Decimal(1) if term.times is None else term.times)
    for name in (term.factor, term.gwp):
        if name is not None:
            entry = pack.process(name, year)
            assert entry.value is not None
            scale = {"kg/t": Fraction(1, 1000), "t/t": Fraction(44, 12)}.get(entry.unit, 1)
            found *= Fraction(entry.value) * scale
    return found


def to_eight_places(exact: Fraction) -> Fraction:
    """Half even."""
    return round(exact, 8)


def as_factor(ratio: Fraction) -> Factor:
    """As the rounding functions take it, without its sign."""
    return Factor("", abs(ratio).numerator, ratio.denominator, unverified=False, year=0)
