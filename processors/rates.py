"""By what the amounts of a cell become tce and CO2: the packs' factors, own heat values, process factors. Rules: schemas/RULES.md, sections 5 and 13."""

from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from processors.ports import Ints
from schemas.co2 import HeatValue, Term, heat_value_of
from schemas.factor_entry import Entry, Target
from schemas.factors import FactorError, FactorPack
from schemas.quantities import CARRIERS, Quantity
from schemas.registry import Point, Unit

TARGETS: tuple[Target, ...] = ("energy", "co2")
FIRST_YEAR, LAST_YEAR = 1970, 2199
_GJ_PER_TCE = Fraction("29.3076")
_PLACES = 10**8
"""Own heat values' CO2 and process factors are rounded to so many parts: exact in 64 bits."""


class Way(NamedTuple):
    """How a cell's amounts are converted, whatever the packs say."""

    quantity: Quantity
    self_generated: bool = False
    process: tuple[Term, ...] = ()
    heat_values: tuple[HeatValue, ...] = ()

    @property
    def is_own_power(self) -> bool:
        """Whether it is electricity that the unit generates itself."""
        return self.self_generated and self.quantity == "electricity"

    @property
    def feeds(self) -> tuple[bool, bool]:
        """Whether it counts for energy, and for CO2."""
        is_energy = self.quantity in CARRIERS
        return is_energy, bool(self.process) or (is_energy and not self.self_generated)


class Rate(NamedTuple):
    """What one amount is multiplied by in a year: amount · numerator / denominator, and by whom it is told. `sign` −1: what the product fixes."""

    numerator: int
    denominator: int
    used: tuple[tuple[str, bool], ...] = ()
    """Ids of factors and names of heat values, each with whether it is unverified."""
    sign: int = 1


NOTHING = Rate(0, 1)


def way_of(unit: Unit, point: Point) -> Way:
    """How a point's amounts are converted."""
    own = tuple(one for one in unit.heat_values if one.carrier == point.quantity)
    return Way(point.quantity, point.self_generated, point.process, own)


def rate(pack: FactorPack, way: Way, target: Target, year: int) -> Rate:
    """The rate of a business year. Raises FactorError."""
    if not way.feeds[TARGETS.index(target)]:
        return NOTHING
    if way.process:
        return _of_process(pack, way.process, year)
    if (own := heat_value_of(way.heat_values, year)) is not None:
        return _of_heat(pack, own, target, year)
    found = pack.factor(way.quantity, target, year)
    return Rate(found.numerator, found.denominator, ((found.id, found.unverified),))


def _of_process(pack: FactorPack, terms: tuple[Term, ...], year: int) -> Rate:
    total = Fraction(0)
    used: list[tuple[str, bool]] = []
    for term in terms:
        named = [term.factor] if term.gwp is None else [term.factor, term.gwp]
        product = Fraction(1 if term.times is None else term.times)
        for entry in (pack.process(name, year) for name in named):
            product *= entry.per_unit()
            used.append((entry.id, entry.status == "unverified"))
        total += product
    told = _fitting(abs(total))
    return Rate(
        told.numerator, told.denominator, tuple(dict.fromkeys(used)), -1 if total < 0 else 1
    )


def _of_heat(pack: FactorPack, own: HeatValue, target: Target, year: int) -> Rate:
    named = (own.name, own.status == "unverified")
    if target == "energy":
        exact = Fraction(own.gj_per_t) / _GJ_PER_TCE
        return Rate(exact.numerator, exact.denominator, (named,))
    entry = pack.entry(own.carrier, target, year)
    told = _fitting(_with_heat(entry, own))
    used = (named, (entry.id, entry.status == "unverified"))
    return Rate(told.numerator, told.denominator, used)


def _with_heat(entry: Entry, own: HeatValue) -> Fraction:
    """tCO2 a tonne, with the carbon and oxidation of the packs' fuel."""
    if entry.fuel is None:
        message = f"factor {entry.id} has no carbon content: an own heat value of {own.carrier} cannot give its CO2"
        raise FactorError(message)
    return entry.fuel.model_copy(update={"ncv_gj_per_t": own.gj_per_t}).value()


def _fitting(ratio: Fraction) -> Fraction:
    """To eight decimals, half even."""
    return Fraction(round(ratio * _PLACES), _PLACES)


class Change(NamedTuple):
    """A rate, and the year from which on it holds."""

    year: int
    rate: Rate


def changes(pack: FactorPack, way: Way, target: Target) -> Iterator[Change]:
    """The rates of a way, one after the other."""
    before: Rate | None = None
    for year in years(pack, way):
        found = rate(pack, way, target, year)
        if found != before:
            yield Change(year, found)
        before = found


@lru_cache(maxsize=4_096)
def tables(pack: FactorPack, way: Way) -> tuple[Ints, Ints]:
    """Numerators and denominators: [target, year − FIRST_YEAR]."""
    count = LAST_YEAR - FIRST_YEAR + 1
    numerator, denominator = np.zeros((2, count), np.int64), np.ones((2, count), np.int64)
    for t, target in enumerate(TARGETS):
        for year, found in changes(pack, way, target):
            numerator[t, year - FIRST_YEAR :] = found.numerator
            denominator[t, year - FIRST_YEAR :] = found.denominator
    return numerator, denominator


def years(pack: FactorPack, way: Way) -> Iterator[int]:
    """The first, and those from which on a rate may be another, in order."""
    edges = {one.valid_from.year for one in way.heat_values} | {
        one.valid_to.year for one in way.heat_values if one.valid_to is not None
    }
    yield from sorted(
        year for year in {FIRST_YEAR} | edges | pack.years() if FIRST_YEAR <= year <= LAST_YEAR
    )


class Rates:
    """Rates of packs as tables: [row, target, year − FIRST_YEAR]; rows are added as units need them."""

    def __init__(self, first: FactorPack) -> None:
        """`first` is the pack that holds where no configuration says otherwise."""
        self.packs = [first]
        self._rows: dict[tuple[int, Way], int] = {}
        self._used: dict[tuple[int, int, int], tuple[tuple[str, bool], ...]] = {}
        self._of: list[tuple[FactorPack, Way]] = []
        self.numerator = np.zeros((8, 2, LAST_YEAR - FIRST_YEAR + 1), np.int64)
        self.denominator = np.ones_like(self.numerator)

    def row(self, pack: int, way: Way) -> int:
        """Row of a way of converting by a pack."""
        key = pack, way
        if key not in self._rows:
            row = self._rows[key] = len(self._of)
            self._of.append((self.packs[pack], way))
            if row == len(self.numerator):
                self.numerator = np.concatenate([self.numerator, np.zeros_like(self.numerator)])
                self.denominator = np.concatenate(
                    [self.denominator, np.ones_like(self.denominator)]
                )
            self.numerator[row], self.denominator[row] = tables(self.packs[pack], way)
        return self._rows[key]

    def way(self, row: int) -> Way:
        """What a row converts."""
        return self._of[row][1]

    def used(self, row: int, target: int, year: int) -> tuple[tuple[str, bool], ...]:
        """By whom a row's rate of a year is told."""
        key = row, target, year
        if key not in self._used:
            self._used[key] = rate(*self._of[row], TARGETS[target], year).used
        return self._used[key]

    def sign(self, row: int) -> int:
        """−1 of what a product fixes."""
        pack, way = self._of[row]
        return rate(pack, way, "co2", LAST_YEAR).sign if way.process else 1

    def differ(self, ways: tuple[Way, ...], packs: tuple[int, int]) -> bool:
        """Whether two packs convert any of these otherwise, in any year, or by another figure."""
        one, other = (self.packs[number] for number in packs)
        return any(
            rate(one, way, target, year) != rate(other, way, target, year)
            for way in ways
            for target in TARGETS
            for year in sorted({*years(one, way), *years(other, way)})
        )
