"""What double control is reckoned from: regions, members, figures, targets, value added, remainders.

Numbers come as decimal text, and are integers of 10⁻⁶ of their unit of measure inside: t for energy (tce), CO2, coal and oil, 10⁴ CNY for
value added (so 10⁻² yuan). Days are of the business calendar; a period is [first, until).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from schemas.levels import Kind, LevelRule
from schemas.pack_entries import Number, Text
from schemas.scale import scaled

Quantity = Literal["energy", "co2", "coal", "oil"]
Covers = Literal["key units", "whole society"]
Part = Literal["gross", "feedstock", "non-fossil"]
"""`gross` counts; the others are deducted where the target says so."""
Level = Literal["province", "city", "county", "industry", "class", "unit"]
UnitClass = Literal["百家", "千家", "万家"]

Code = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z._-]{1,64}$")]
ScopeText = Annotated[
    str,
    StringConstraints(
        pattern=r"^(province|city|county|industry|class|unit):[^+:\s]+(\+(province|city|county|industry|class|unit):[^+:\s]+)*$"
    ),
]
"""Whose figure: `city:510400`, `industry:31`, or both, `city:510400+industry:31`."""


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class Amount:
    """[low, best, high] in 10⁻⁶; high None is unknown. Intervals add and subtract by their ends."""

    low: int
    best: int
    high: int | None

    def __add__(self, other: "Amount") -> "Amount":
        high = None if self.high is None or other.high is None else self.high + other.high
        return Amount(self.low + other.low, self.best + other.best, high)

    def deducted(self) -> "Amount":
        """Its negative, for sums. Raises ValueError where high is unknown."""
        if self.high is None:
            message = f"{self} has no upper end, so that nothing would hold below"
            raise ValueError(message)
        return Amount(-self.high, -self.best, -self.low)


NOTHING = Amount(0, 0, 0)


class _Period(_Told):
    first: date
    until: date

    @model_validator(mode="after")
    def _some_days(self) -> Self:
        if self.until <= self.first:
            message = f"until {self.until} is not after first {self.first}"
            raise ValueError(message)
        return self


class _Bounded(_Period):
    """A figure: `amount` where it is exact, else `low`, `best` and `high` (absent: unknown)."""

    amount: Number | None = None
    low: Number | None = None
    best: Number | None = None
    high: Number | None = None
    known_on: date
    """First day on which it was known."""
    revision: Annotated[int, Field(ge=1)] = 1
    """Of those known on one day, the greater takes the other's place."""

    @model_validator(mode="after")
    def _one_figure(self) -> Self:
        ends = (self.low, self.best, self.high)
        if (self.amount is None) is not any(end is not None for end in ends):
            message = "give either amount, or low, best and high"
            raise ValueError(message)
        if self.amount is None and (self.low is None or self.best is None):
            message = "low or best is missing; only high may be (unknown)"
            raise ValueError(message)
        told = self.bounds
        if not 0 <= told.low <= told.best <= (told.best if told.high is None else told.high):
            message = f"must be 0 <= low {self.low} <= best {self.best} <= high {self.high}, and amount {self.amount} not below 0"
            raise ValueError(message)
        return self

    @property
    def bounds(self) -> Amount:
        """The interval, in 10⁻⁶ of the unit of measure."""
        if self.amount is not None:
            exact = _scaled(self.amount)
            return Amount(exact, exact, exact)
        high = None if self.high is None else _scaled(self.high)
        return Amount(_scaled(self.low or Decimal(0)), _scaled(self.best or Decimal(0)), high)


def _scaled(told: Decimal) -> int:
    return scaled(told)[0]


class Region(_Told):
    """A region and the one that it lies in; one that changes its parent ends, and begins again."""

    code: Code
    name: Text
    level: Literal["province", "city", "county"]
    parent: str = ""
    """Code of the city of a county, or of the province of a city."""
    valid_from: date = date.min
    valid_to: date = date.max


class Membership(_Told):
    """Where a unit belongs from a day on; it may change its county, industry or class on any day."""

    unit: Code
    county: Code
    industry: Annotated[str, StringConstraints(pattern=r"^[0-9]{2}$")]
    unit_class: UnitClass
    valid_from: date
    valid_to: date = date.max
    quantities: tuple[Quantity, ...] = ("energy", "co2")
    """What it owes figures of; a day without one is missing, never zero."""

    @model_validator(mode="after")
    def _some_days(self) -> Self:
        if self.valid_to <= self.valid_from:
            message = f"valid_to {self.valid_to} is not after valid_from {self.valid_from}"
            raise ValueError(message)
        return self


class UnitFigure(_Bounded):
    """One part of a unit's figure over some days. Identity: all but the amount, the cause, known_on and revision."""

    unit: Code
    quantity: Quantity
    part: Part = "gross"
    evidence: str = ""
    """Entry of the deduction ledger that a deduction rests on."""
    cause: Text = "reading"
    """What made it known: `reading`, `correction ...`, `factor ...`."""

    @model_validator(mode="after")
    def _deduction_has_evidence(self) -> Self:
        if (self.part == "gross") is bool(self.evidence):
            message = f"a deduction needs evidence, and a gross figure has none (part {self.part}, evidence {self.evidence!r})"
            raise ValueError(message)
        if self.part != "gross" and self.bounds.high is None:
            message = f"{self.part} deduction {self.evidence}: high is missing; an unknown deduction proves nothing"
            raise ValueError(message)
        return self

    @property
    def identity(self) -> tuple[str, str, str, str, date, date]:
        return self.unit, self.quantity, self.part, self.evidence, self.first, self.until


class Remainder(_Bounded):
    """Statistics of what the key units of a scope leave out."""

    scope: ScopeText
    quantity: Quantity
    source: Text


class ValueAdded(_Bounded):
    """GDP or value added of a scope, 10⁴ CNY at constant prices; later ones revise earlier ones of the same days."""

    scope: ScopeText
    covers: Covers
    prices_of: int
    """The year whose prices it is at."""
    status: Literal["preliminary", "revised", "final"]
    source: Text


class Schedule(_Told):
    """How a year's use is expected to fall on its months, in any whole weights."""

    id: Code
    weights: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=12, max_length=12)]
    source: Text

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if not any(self.weights):
            message = "weights are all 0"
            raise ValueError(message)
        return self


class Target(_Told):
    """A target of a scope, reached from the base year on a geometric path."""

    id: Code
    scope: ScopeText
    quantity: Quantity
    kind: Kind
    covers: Covers
    base_year: int
    base: Number
    """Of the base year: t for a total, t per 10⁴ CNY for an intensity."""
    end_year: int
    change: Number
    """From base to end year: "-0.17" is 17 per cent less."""
    net_of: tuple[Literal["feedstock", "non-fossil"], ...] = ()
    prices_of: int | None = None
    """Of an intensity: the year whose prices the value added is at."""
    schedule: Code | None = None
    known_on: date = date.min
    """From when on it is known; of several of one id the latest known holds."""
    source: Text

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.end_year <= self.base_year:
            message = f"end_year {self.end_year} is not after base_year {self.base_year}"
            raise ValueError(message)
        if self.base <= 0 or self.change <= -1:
            message = f"base {self.base} must be above 0, and change {self.change} above -1"
            raise ValueError(message)
        if (self.kind == "intensity") is (self.prices_of is None):
            message = "an intensity needs prices_of, and a total has none"
            raise ValueError(message)
        return self


class DoubleControl(_Told):
    """All of an input file."""

    evaluate: Annotated[tuple[date, ...], Field(min_length=1)]
    """Days of judgement, each for all that lies before it and was known on it."""
    regions: tuple[Region, ...]
    members: tuple[Membership, ...]
    figures: tuple[UnitFigure, ...] = ()
    targets: tuple[Target, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    value_added: tuple[ValueAdded, ...] = ()
    remainders: tuple[Remainder, ...] = ()
    levels: tuple[LevelRule, ...] = ()

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if list(self.evaluate) != sorted(set(self.evaluate)):
            message = "evaluate: the days must rise"
            raise ValueError(message)
        known = {schedule.id for schedule in self.schedules}
        for target in self.targets:
            if target.schedule is not None and target.schedule not in known:
                message = f"target {target.id}: there is no schedule {target.schedule!r}"
                raise ValueError(message)
        return self


def pairs(scope: str) -> Sequence[tuple[str, str]]:
    """`city:510400+industry:31` as (level, code) pairs."""
    return [(level, code) for level, _, code in (part.partition(":") for part in scope.split("+"))]
