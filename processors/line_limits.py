"""A product line held to its limits in a window: its energy by the limit's own rules, each level alone. RULES.md, section 12."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from math import ceil, floor, lcm
from typing import Literal, NamedTuple

from processors.boundaries import Boundary
from processors.formula import Interval, declarations
from processors.limits import Actual, LevelJudged, judge
from processors.lines import (
    Amount,
    Intensity,
    Native,
    Ratio,
    in_boundary,
    intensity,
    lacks_beginning,
)
from schemas.law import OIL, LawInForce
from schemas.pack import Packs
from schemas.pack_limits import Limit
from schemas.scale import SCALE

_PER = {"kgce/t": 1_000, "kgoe/t": 1_000, "kgce/kg": 1, "kgce/weight case": 50, "kWh/t": 1}
"""Of a limit's unit: what energy in tonnes (or kWh) over tonnes of output is multiplied by; a weight case is 50 kg."""
_ENDLESS = 10**30
"""Energy without output, as an amount above every limit."""


@dataclass(frozen=True, slots=True)
class Window:
    """A line's carriers in one window."""

    boundary: Boundary
    names: Sequence[str]
    """Quantity of each carrier of the unit."""
    natives: Sequence[Native]
    energy: Mapping[int, Ratio]
    """By which the unit converts each carrier to tce."""
    span: tuple[int, int]
    """Start, until."""
    on: date
    """The day whose limits hold."""
    regions: tuple[str, ...]
    factors: Mapping[str, Sequence[tuple[str, bool]]]
    """By quantity: ids of what `energy` is converted by, and whether each is unverified."""


@dataclass(frozen=True, slots=True)
class LimitHeld:
    """One level of one limit, and what the line used by its rules."""

    indicator: str
    actual: Intensity
    judged: LevelJudged
    basis: str


class ByStandard(NamedTuple):
    """What a line used, as the standard of one of its indicators counts energy. Rounded once, outward."""

    indicator: str
    amount: Amount
    unit_of_measure: Literal["tce", "toe", "kWh"]
    basis: str
    factors: tuple[str, ...]
    """Ids of the standard's own coefficients, and of the unit's factors for other carriers."""
    unverified: bool
    """One of these is."""


@dataclass(frozen=True, slots=True)
class Law:
    """Limits in force, with what was looked up before."""

    held: LawInForce
    _packs: dict[str, Packs] = field(default_factory=dict)

    def of(self, window: Window) -> Iterator[LimitHeld]:
        """Every level that a line's indicators have."""
        for indicator in window.boundary.line.indicators:
            if indicator not in self._packs:
                self._packs[indicator] = self.held.packs(indicator)
            limits = [one for one in self.held.limits if one.indicator == indicator]
            if limits:
                yield from self._held(indicator, limits[0], window)

    def energies(self, window: Window) -> Iterator[ByStandard]:
        """A line's energy by the rules of each of its indicators."""
        for indicator in window.boundary.line.indicators:
            limit = next((one for one in self.held.limits if one.indicator == indicator), None)
            if limit is not None:
                yield self._energy(limit, window)

    def _energy(self, limit: Limit, window: Window) -> ByStandard:
        ratios = self._ratios(limit, window)
        exact, whole = _whole(ratios)
        amount = Ratio(1, whole).of(self._side(window, exact, takes=True))
        used = dict(self._factors(limit, window))
        return ByStandard(
            limit.indicator,
            amount,
            "kWh" if limit.unit == "kWh/t" else "toe" if _in_oil(limit) else "tce",
            self._basis(limit),
            tuple(used),
            any(used.values()),
        )

    def _factors(self, limit: Limit, window: Window) -> Iterator[tuple[str, bool]]:
        """Ids of what a line's energy is converted by, and whether each is unverified."""
        if limit.electricity is None:
            return
        its = {window.names[place] for place, _ in window.boundary.takes}
        for one in (*self.held.coefficients, *self.held.constants):
            is_used = one.id == limit.electricity and "electricity" in its
            if is_used or (one.id == OIL and _in_oil(limit)):
                yield one.id, one.status == "unverified"
        for name in sorted(its - {"electricity"}):
            yield from window.factors[name]

    def _held(self, indicator: str, limit: Limit, window: Window) -> Iterator[LimitHeld]:
        packs = self._packs[indicator]
        parameters = {one.id: one for one in self.held.parameters}
        found = self._used(limit, window)
        declared = declarations(dict(window.boundary.line.parameters), parameters)
        told = {name: value for name, value in declared.items() if name in parameters}
        judged = judge(packs, indicator, _actual(found), told, on=window.on, regions=window.regions)
        for one in judged:
            yield LimitHeld(indicator, found, one, self._basis(limit))

    def _used(self, limit: Limit, window: Window) -> Intensity:
        """Energy a unit of output as the limit's standard counts it: rounded once, outward."""
        exact, whole = _whole(self._ratios(limit, window))
        made = dict.fromkeys((place for place, _ in window.boundary.makes), Ratio(whole, 1))
        energy = self._side(window, exact, takes=True)
        return intensity(energy, self._side(window, made, takes=False), _PER[limit.unit])

    def _side(self, window: Window, ratios: Mapping[int, Ratio], *, takes: bool) -> Amount:
        boundary = window.boundary
        members, begins = (
            (boundary.takes, boundary.takes_from)
            if takes
            else (boundary.makes, boundary.makes_from)
        )
        lacks = lacks_beginning(boundary, begins, window.span)
        return in_boundary(members, window.natives, ratios, lacks=lacks)

    def _ratios(self, limit: Limit, window: Window) -> dict[int, Ratio]:
        """Tonnes of standard coal (or oil equivalent) of each carrier; of a limit on power, kWh of electricity alone."""
        if limit.unit == "kWh/t":
            return {p: Ratio(1, 1) for p, name in enumerate(window.names) if name == "electricity"}
        electricity = Fraction(self._electricity(limit)) / 1_000
        oil = self._oil() if _in_oil(limit) else Fraction(1)
        return {
            place: _ratio(electricity)
            if window.names[place] == "electricity"
            else _ratio(Fraction(ratio.numerator, ratio.denominator) / oil)
            for place, ratio in window.energy.items()
        }

    def _electricity(self, limit: Limit) -> Fraction:
        """Of a kWh, in the limit's own unit of energy."""
        found = next(one for one in self.held.coefficients if one.id == limit.electricity)
        return Fraction(found.value or 0)

    def _oil(self) -> Fraction:
        return Fraction(next(one.value for one in self.held.constants if one.id == OIL) or 1)

    def _basis(self, limit: Limit) -> str:
        if limit.electricity is None:
            return "kWh of electricity alone"
        found = next(one for one in self.held.coefficients if one.id == limit.electricity)
        return f"electricity at {found.value} {found.unit}, {found.basis} value ({found.set})"


def _in_oil(limit: Limit) -> bool:
    return limit.unit.startswith("kgoe")


def _whole(ratios: Mapping[int, Ratio]) -> tuple[dict[int, Ratio], int]:
    """Ratios as whole multiples of one unit, and how many of that are one."""
    whole = lcm(*(ratio.denominator for ratio in ratios.values()))
    found = {
        place: Ratio(ratio.numerator * whole // ratio.denominator, 1)
        for place, ratio in ratios.items()
    }
    return found, whole


def _ratio(exact: Fraction) -> Ratio:
    return Ratio(exact.numerator, exact.denominator)


def _actual(found: Intensity) -> Actual:
    if found.said == "energy without output":
        return Actual(_ENDLESS, _ENDLESS, None)
    return Actual(found.low, found.best, found.high)


def scaled_ends(limit: Interval | None) -> tuple[int | None, int | None]:
    """A limit's ends in 10⁻⁶ of its unit, rounded outward; None where they are not known."""
    ends = None if limit is None else limit.ends()
    return (None, None) if ends is None else (floor(ends[0] * SCALE), ceil(ends[1] * SCALE))
