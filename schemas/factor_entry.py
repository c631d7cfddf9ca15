"""One factor as the stream uses it: a printed figure with its unit, source and status."""

from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.quantities import Converted

Status = Literal["sourced", "unverified"]
Target = Literal["energy", "co2"]

_TONNES_PER = {
    "kgce/kWh": Fraction(1, 1000),
    "kgce/kg": Fraction(1),
    "kgCO2/kWh": Fraction(1, 1000),
    "tCO2/t": Fraction(1),
    "tCO2e/t": Fraction(1),
    "tCO2/GJ": Fraction(1),
    "kgce/MJ": Fraction(1),
    "kg/t": Fraction(1, 1000),
    "t/t": Fraction(44, 12),
}
"""Tonnes (of standard coal or CO2) per unit of measure of the quantity, for one of the printed unit; `t/t` is carbon."""


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
    quantity: Converted
    target: Target
    view: str
    """Which of several published figures this is: `equivalent value`, `provincial average, Sichuan`, `set A`; of a process factor what it is of."""
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
