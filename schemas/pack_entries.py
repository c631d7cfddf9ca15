"""What a pack holds: dated, sourced entries, one class a kind. `schemas/pack.py` reads and looks them up.

Numbers are decimal text and stay exact. Days are of the business calendar; an entry holds on [valid_from, valid_to).
"""

import re
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, ClassVar, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from schemas.factor_entry import Status
from schemas.quantities import Quantity

"""`sourced`: seen in the cited source. `unverified`: background knowledge, to be confirmed before a certificate rests on it."""

_PLAIN = re.compile(r"-?\d{1,12}(\.\d{1,12})?")


def number(told: object) -> Decimal:
    """A number from its text, or a whole one. Raises ValueError."""
    if isinstance(told, int) and not isinstance(told, bool):
        told = str(told)
    if not isinstance(told, str) or not _PLAIN.fullmatch(told):
        message = f'{told!r} is no decimal text: write a number as "0.7143"'
        raise ValueError(message)
    return Decimal(told)


Number = Annotated[Decimal, BeforeValidator(number)]
"""Decimal text, as printed in the source: `"0.9000"` keeps its zeros."""

Id = Annotated[str, StringConstraints(pattern=r"^[^\s\"'][^\n\"']{0,95}$")]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]


class Definition(BaseModel):
    """What a pack defines, without a figure of the law in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    KIND: ClassVar[str]

    id: Id

    def key(self) -> tuple[str, ...]:
        """What the entry speaks of: two of one key must not hold on one day."""
        return (self.id,)

    def figure(self) -> str:
        """The figure with its unit, as people read it."""
        return ""


class Entry(Definition):
    """A dated, sourced figure."""

    UNITS: ClassVar[frozenset[str]] = frozenset()
    """Units of measure that a figure of this kind may have; empty where it has none."""

    standard: str | None = None
    """Id of the [[standard]] that says it: its days are the entry's, unless the entry has its own."""
    valid_from: date | None = None
    """First day on which it holds; absent only where `dates` is unconfirmed."""
    valid_to: date | None = None
    """First day on which it holds no more."""
    dates: Literal["confirmed", "unconfirmed"] = "confirmed"
    """Whether the days were seen in a source; an unconfirmed `valid_from` is the earliest that it can be."""
    published_on: date | None = None
    source: Text
    """Standard and clause, or the list it was seen in."""
    status: Status
    confidence: Literal["high", "medium", "low"] | None = None
    """How sure we are of an unverified figure, where that was graded."""
    note: str = ""

    @model_validator(mode="after")
    def _dated(self) -> Self:
        if self.valid_from is None and self.dates == "confirmed":
            message = 'valid_from is missing: give the day, a `standard` that has it, or dates = "unconfirmed"'
            raise ValueError(message)
        if self.valid_from and self.valid_to and self.valid_to <= self.valid_from:
            message = f"valid_to {self.valid_to} is not after valid_from {self.valid_from}"
            raise ValueError(message)
        if self.status == "sourced" and self.confidence is not None:
            message = "confidence grades what is unverified; a sourced figure has none"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _known_unit(self) -> Self:
        unit = getattr(self, "unit", None)
        if unit is not None and unit not in self.UNITS:
            message = f"unit {unit!r} is not known for {self.KIND}; known are {', '.join(sorted(self.UNITS))}"
            raise ValueError(message)
        return self

    def holds(self, on: date) -> bool:
        """Whether it holds on a day."""
        begun = self.valid_from is None or self.valid_from <= on
        return begun and (self.valid_to is None or on < self.valid_to)


class Figure(Entry):
    """An entry of one value, or of a range inside which the unit's own measurement is expected."""

    value: Number | None = None
    low: Number | None = None
    high: Number | None = None
    unit: str

    @model_validator(mode="after")
    def _one_figure(self) -> Self:
        given = (self.value is not None, self.low is not None, self.high is not None)
        if given not in {(True, False, False), (False, True, True)}:
            message = "give either `value`, or `low` and `high`"
            raise ValueError(message)
        negative = [n for n in (self.value, self.low, self.high) if n is not None and n < 0]
        if negative:
            message = f"{negative[0]} {self.unit} is negative"
            raise ValueError(message)
        if self.low is not None and self.high is not None and self.low > self.high:
            message = f"low {self.low} is above high {self.high}"
            raise ValueError(message)
        return self

    def figure(self) -> str:
        shown = f"{self.low}-{self.high}" if self.value is None else f"{self.value}"
        return f"{shown} {self.unit}"


class Standard(Entry):
    """A standard or an official document, with its days: those of every entry that names it."""

    KIND = "standard"

    title: Text

    def figure(self) -> str:
        return self.title


class Constant(Figure):
    """A definition that others rest on."""

    KIND = "constant"
    UNITS = frozenset({"kJ/kgce", "kgce/kgoe"})


class Coefficient(Figure):
    """Standard coal of one unit of an energy or a working medium (折标准煤系数)."""

    KIND = "coefficient"
    UNITS = frozenset(
        {"kgce/kg", "kgce/m3", "kgce/kWh", "kgce/MJ", "kgce/t", "gce/kWh"}
        | {"kgoe/kWh", "kgoe/t", "kgoe/m3", "MJ/MJ"}
    )

    carrier: Name
    basis: Literal["equivalent", "equal"]
    """Equivalent (当量值): the heat in it. Equal (等价值): the primary energy that it took to make."""
    set: Text
    """The list it belongs to; lists that differ are kept side by side."""
    name_zh: str = ""

    def key(self) -> tuple[str, ...]:
        return self.carrier, self.basis, self.set


class HeatValue(Figure):
    """Heat in (or, of a working medium, primary energy behind) one unit."""

    KIND = "heat_value"
    UNITS = frozenset({"kJ/kg", "kJ/m3", "kJ/kWh", "MJ/t", "MJ/m3", "MJ/kg", "MJ/kWh"})

    carrier: Name
    set: Text

    def key(self) -> tuple[str, ...]:
        return self.carrier, self.set


class FuelFactor(Entry):
    """CO2 of a fuel from its parts, EF = NCV · CC · OF · 44/12; computed, never stored."""

    KIND = "fuel"
    UNITS = frozenset({"tCO2/t", "tCO2/10^4 m3"})

    fuel: Name
    set: Literal["A", "B"]
    """A: sector guides of 2013-2015. B: the later list."""
    variant: str = ""
    """Names one of several figures that conflict within a set."""
    unit: str
    ncv: Number
    """GJ per tonne, or per 10⁴ m³ where `unit` says so."""
    carbon: Number
    """tC/TJ."""
    oxidation: Number | None = None
    """Per cent; absent where it depends on the device ([[oxidation]])."""

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        negative = [n for n in (self.ncv, self.carbon, self.oxidation) if n is not None and n < 0]
        if negative:
            message = f"{negative[0]} is negative"
            raise ValueError(message)
        if self.oxidation is not None and self.oxidation > 100:  # noqa: PLR2004 - per cent
            message = f"oxidation {self.oxidation} % is more than all"
            raise ValueError(message)
        return self

    def key(self) -> tuple[str, ...]:
        return self.fuel, self.set, self.variant

    def emission(self, oxidation: Decimal | None = None) -> Fraction | None:
        """tCO2 per unit of the fuel, exactly; None where neither it nor the caller knows the oxidation (per cent)."""
        percent = self.oxidation if oxidation is None else oxidation
        if percent is None:
            return None
        carbon = Fraction(self.ncv) * Fraction(self.carbon) / 1000
        return carbon * Fraction(percent) / 100 * Fraction(44, 12)

    def figure(self) -> str:
        oxidation = "oxidation by device" if self.oxidation is None else f"{self.oxidation} %"
        per = self.unit.removeprefix("tCO2/")
        return f"{self.ncv} GJ/{per} x {self.carbon} tC/TJ x {oxidation}"


class Oxidation(Figure):
    """Share of a solid fuel's carbon that a device burns."""

    KIND = "oxidation"
    UNITS = frozenset({"%"})

    set: Literal["A", "B"]
    device: Name

    def key(self) -> tuple[str, ...]:
        return self.set, self.device


class Process(Figure):
    """A factor of emissions that no fuel makes."""

    KIND = "process"
    UNITS = frozenset({"tCO2/t", "t/t", "kg/t", "tCO2e/t", "%", "tC/GJ"})

    industry: Name
    parameter: Name
    set: str = ""
    effect: Literal["added", "deducted"] = "added"
    times: str = ""
    """What it is multiplied by, which a unit must declare; empty where nothing is."""

    def key(self) -> tuple[str, ...]:
        return self.industry, self.parameter, self.set

    def figure(self) -> str:
        deducted = ", deducted" if self.effect == "deducted" else ""
        return f"{super().figure()}{deducted}"


View = Literal[
    "provincial average",
    "regional average",
    "national average",
    "national residual",
    "national fossil",
    "national ETS",
]
"""`national residual`: national, without non-fossil power traded on the market. `national ETS`: for those accounts alone."""


class Power(Figure):
    """CO2 of a kWh in a region, in one view, for the accounts of one year."""

    KIND = "power"
    UNITS = frozenset({"kgCO2/kWh"})

    region: Name
    view: View
    year: Annotated[int, Field(ge=1990, le=2099)]

    @model_validator(mode="before")
    @classmethod
    def _its_year(cls, told: object) -> object:
        if isinstance(told, dict) and isinstance(year := told.get("year"), int):
            return {"valid_from": date(year, 1, 1), "valid_to": date(year + 1, 1, 1)} | told
        return told

    def key(self) -> tuple[str, ...]:
        return self.region, self.view


class Heat(Figure):
    """What heat bought and sold is counted by."""

    KIND = "heat"
    UNITS = frozenset({"tCO2/GJ", "kJ/kg", "°C", "kJ/(kg·K)"})

    parameter: Name

    def key(self) -> tuple[str, ...]:
        return (self.parameter,)


class Benchmark(Entry):
    """Second threshold system: benchmark (标杆) and baseline (基准) level of a product's energy."""

    KIND = "benchmark"
    UNITS = frozenset({"kgce/t", "kWh/t", "kgce/weight case", "kgoe/t", "kgoe/(t·factor)"})

    indicator: Name
    case: str = ""
    unit: str
    benchmark: Number
    baseline: Number

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.benchmark > self.baseline:
            message = f"benchmark {self.benchmark} is laxer than baseline {self.baseline}"
            raise ValueError(message)
        return self

    def key(self) -> tuple[str, ...]:
        return self.indicator, self.case

    def figure(self) -> str:
        return f"{self.benchmark} / {self.baseline} {self.unit}"


class Place(Entry):
    """A region by its GB/T 2260 code."""

    KIND = "region"

    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]
    name: Text
    name_zh: Text
    parent: str = ""
    """Code of the region that it lies in; empty for a province."""
    power_region: Name | None = None
    """Its name among the electricity factors."""

    def key(self) -> tuple[str, ...]:
        return (self.code,)

    def figure(self) -> str:
        return f"{self.name} {self.name_zh}"


class Division(Entry):
    """An industry by its GB/T 4754 division (two digits)."""

    KIND = "industry"

    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{2}$")]
    name: Text
    name_zh: Text

    def key(self) -> tuple[str, ...]:
        return (self.code,)

    def figure(self) -> str:
        return f"{self.name} {self.name_zh}"


class Tariff(Entry):
    """Steps of a price penalty. Only annual, verified figures decide; a stream projects a step, and no more."""

    KIND = "tariff"
    UNITS = frozenset({"kWh/t", "% over the limit"})

    policy: Name
    indicator: Name | None = None
    """The product indicator whose value is held against the steps; absent where any may be."""
    unit: str
    edges: tuple[Number, ...]
    """Step n is above the n-th edge."""
    step: Number | None = None
    """Above the last edge, each started `step` is one step more."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if not self.edges or list(self.edges) != sorted(set(self.edges)):
            message = f"edges {[str(edge) for edge in self.edges]} must rise"
            raise ValueError(message)
        if self.step is not None and self.step <= 0:
            message = f"step {self.step} must be above 0"
            raise ValueError(message)
        return self

    def key(self) -> tuple[str, ...]:
        return (self.policy,)

    def figure(self) -> str:
        more = "" if self.step is None else f", then a step for each started {self.step}"
        return f"steps above {', '.join(str(edge) for edge in self.edges)} {self.unit}{more}"


class Surcharge(Figure):
    """What a price policy adds to a kWh: to be read, never told by the stream."""

    KIND = "surcharge"
    UNITS = frozenset({"CNY/kWh"})

    policy: Name
    step: str

    def key(self) -> tuple[str, ...]:
        return self.policy, self.step


class WorkedExample(Definition):
    """A product of figures, worked by hand: amount · times ÷ over · scale, rounded to the places of `gives`."""

    KIND = "example"

    title: Text
    amount: Number
    amount_unit: str
    times: tuple[str, ...] = ()
    """Ids of the entries that multiply."""
    over: tuple[str, ...] = ()
    """Ids of the entries that divide."""
    scale: Number = Decimal(1)
    """From the units of the figures to `unit`: "0.001" from kg to t."""
    gives: Number
    unit: str

    def figure(self) -> str:
        return f"{self.title}: {self.gives} {self.unit}"


class StreamFactor(Definition):
    """Which entry the stream converts a quantity by, from a business year on."""

    KIND = "stream"

    quantity: Quantity
    target: Literal["energy", "co2"]
    year: Annotated[int, Field(ge=1990, le=2099)]
    entry: str
    """Id of the coefficient, fuel or electricity factor."""
    view: Text
    """Name of the view or the choice, as it is told with every figure."""

    def key(self) -> tuple[str, ...]:
        return self.quantity, self.target, str(self.year)

    def figure(self) -> str:
        return f"{self.quantity} to {self.target} from {self.year} on: {self.entry} ({self.view})"
