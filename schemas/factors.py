"""Coefficients and emission factors: dated, sourced data (`packs/factors.toml`), never constants in code."""

import tomllib
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from importlib.resources import files
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.registry import CARRIERS, Quantity

Target = Literal["energy", "co2"]
Status = Literal["sourced", "unverified"]

_TONNES_PER = {
    "kgce/kWh": Fraction(1, 1000),
    "kgce/kg": Fraction(1),
    "kgCO2/kWh": Fraction(1, 1000),
    "tCO2/t": Fraction(1),
}
"""Tonnes (of standard coal or CO2) per unit of measure of the quantity, for one of the printed unit."""


class FactorError(ValueError):
    """A factor that is missing, or too fine to multiply exactly in 64 bits."""


class Fuel(BaseModel):
    """A fuel's CO2 from its parts: EF = NCV · CC · OF · 44/12; computed, never stored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ncv_gj_per_t: Decimal
    carbon_tc_per_tj: Decimal
    oxidation: Decimal

    def value(self) -> Fraction:
        """tCO2 per tonne of fuel, exactly."""
        return (
            Fraction(self.ncv_gj_per_t)
            * Fraction(self.carbon_tc_per_tj)
            / 1000
            * Fraction(self.oxidation)
            * Fraction(44, 12)
        )


class Entry(BaseModel):
    """One factor of the pack."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    quantity: Quantity
    target: Target
    view: str
    """Which of several published figures this is: `equivalent value`, `provincial average, Sichuan`, `set A`."""
    year: Annotated[int, Field(ge=1990, le=2099)]
    """First business year it holds for."""
    unit: str
    value: Decimal | None = None
    fuel: Fuel | None = None
    source: str
    status: Status
    published_on: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.value is None) == (self.fuel is None):
            message = f"factor {self.id}: give either value or fuel"
            raise ValueError(message)
        if self.unit not in _TONNES_PER:
            message = f"factor {self.id}: unit {self.unit!r} is none of {', '.join(_TONNES_PER)}"
            raise ValueError(message)
        return self

    def per_unit(self) -> Fraction:
        """Tonnes per unit of measure of the quantity, exactly."""
        return (
            Fraction(self.value)
            if self.value is not None
            else self.fuel.value()
            if self.fuel
            else Fraction(0)
        ) * _TONNES_PER[self.unit]


@dataclass(frozen=True, slots=True)
class Factor:
    """What one carrier's amount is multiplied by in one business year: `amount · numerator / denominator`."""

    id: str
    numerator: int
    denominator: int
    unverified: bool
    year: int
    """Year the figure was published for; an earlier one than asked is the latest there was."""


@dataclass(frozen=True, slots=True)
class FactorPack:
    """The factors of one pack, looked up by quantity, target and business year."""

    version: str
    entries: tuple[Entry, ...]

    def factor(self, quantity: Quantity, target: Target, year: int) -> Factor:
        """The year's factor, else the latest earlier one, else the earliest. Raises FactorError where there is none."""
        candidates = sorted(
            (e for e in self.entries if e.quantity == quantity and e.target == target),
            key=lambda e: e.year,
        )
        if not candidates:
            message = f"the pack has no {target} factor for {quantity}"
            raise FactorError(message)
        entry = next((e for e in reversed(candidates) if e.year <= year), candidates[0])
        ratio = entry.per_unit()
        if ratio.numerator * ratio.denominator >= 2**62 or ratio.numerator > 2**40:
            message = f"factor {entry.id} is too fine: {ratio}"
            raise FactorError(message)
        return Factor(
            entry.id, ratio.numerator, ratio.denominator, entry.status == "unverified", entry.year
        )


def read_pack(text: str) -> FactorPack:
    """The pack in a TOML text; raises ValueError (pydantic's or FactorError) on what is wrong in it."""
    told = tomllib.loads(text)
    entries = tuple(Entry.model_validate(item) for item in told["factor"])
    names = [entry.id for entry in entries]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        message = f"factor {sorted(twice)} is named twice"
        raise FactorError(message)
    pack = FactorPack(told["version"], entries)
    for carrier in CARRIERS:
        for target in ("energy", "co2"):
            pack.factor(carrier, target, 2000)
    return pack


def default_pack() -> FactorPack:
    """The pack that ships with Weir."""
    return read_pack((files("schemas") / "packs" / "factors.toml").read_text(encoding="utf-8"))
