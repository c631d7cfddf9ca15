"""The registry: which units there are, what they meter, and what they may use.

A registry file is TOML (`deploy/example/registry.toml` is one). Loaded, it is one numbered configuration version.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from hashlib import sha256
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
    model_validator,
)

from schemas import cells
from schemas.calendar import BUSINESS, DAY_MS, HOUR_MS, OFFSET_MS, instant
from schemas.co2 import HeatValue, Terms, overlaps
from schemas.factor_entry import Entry
from schemas.law import LawInForce
from schemas.quantities import CARRIERS, UNIT_OF_MEASURE, Quantity
from schemas.scale import LARGEST, scaled

__all__ = ["CARRIERS", "UNIT_OF_MEASURE", "Quantity"]

UNIT_CODE = r"^[0-9A-Z]{18}$"
UnitCode = Annotated[str, StringConstraints(pattern=UNIT_CODE)]
"""Unified social credit code (GB 32100): 18 characters. Examples in this repository are synthetic."""
is_unit = re.compile(UNIT_CODE).fullmatch

Statement = Literal["register", "PT15M", "PT30M", "PT1H", "P1D", "P1M"]
STATEMENTS: tuple[Statement, ...] = ("register", "PT15M", "PT30M", "PT1H", "P1D", "P1M")
"""The order is the code in columns: `register` is 0."""

LENGTH_MS = {"PT15M": 900_000, "PT30M": 1_800_000, "PT1H": HOUR_MS, "P1D": DAY_MS}
"""Lengths of the fixed periods; P1M follows the business calendar."""

RATED_LIMIT = 10**13
"""Largest rated maximum per hour in 10⁻⁶ of the unit of measure: `rated · hours` fits int64 until 2074."""

MAX_POINTS = 4_000


Sign = Literal[-1, 0, 1]
LineId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]


def _pairs(told: object) -> object:
    """A TOML table as pairs in order, so that it stays as it is."""
    return tuple(sorted(told.items())) if isinstance(told, dict) else told


Memberships = Annotated[tuple[tuple[LineId, Literal[-1, 1]], ...], BeforeValidator(_pairs)]
Declarations = Annotated[tuple[tuple[str, str], ...], BeforeValidator(_pairs)]


class _Entity(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Percents = Annotated[
    tuple[Annotated[int, Field(ge=0, le=100)], ...], Field(min_length=24, max_length=24)
]
"""Of the rated maximum, in each hour of the business day from midnight on."""


class Profile(_Entity):
    """What a point is thought to use while nothing is known of it, from a day on until the next profile's."""

    from_day: Annotated[date, Field(ge=date(1970, 1, 2))]
    """First business day."""
    workdays: Percents
    """Monday to Friday."""
    weekends: Percents | None = None
    """Saturday and Sunday; as on workdays unless told."""

    @property
    def begins(self) -> int:
        """First instant (ms): a business midnight."""
        return instant(datetime.combine(self.from_day, time(), BUSINESS))

    @property
    def week(self) -> Percents:
        """Percents of the 168 hours of a week, from Monday midnight on."""
        weekends = self.workdays if self.weekends is None else self.weekends
        return self.workdays * 5 + weekends * 2


class Point(_Entity):
    """A metering point: one quantity of one unit.

    A meter that is exchanged ends one entry and begins another of the same name, with the registers of that instant.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
    quantity: Quantity
    unit_of_measure: str
    statement: Statement
    """The primary statement: what makes this point's amounts."""
    others: tuple[Statement, ...] = ()
    """Further statements that are kept and checked, and make no amounts."""
    bounded_by: Statement | None = None
    """That of them whose totals, measured or corrected, bound what the primary periods in their spans leave unknown."""
    multiplier: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Amount per unit of the register's dial (current and voltage transformers). 40 means: one on the dial is 40 kWh."""
    digits: Annotated[int, Field(ge=3, le=12)] | None = None
    """Digits of the dial before the point; 6 means that it rolls over at 1,000,000. Needed for `register`."""
    rated_per_hour: Annotated[Decimal, Field(gt=0)]
    """The most that can pass in an hour, in the unit of measure: 500 kW of connected load is 500."""
    cadence_ms: Annotated[int, Field(ge=1_000)] = 900_000
    """How often a reading is expected, in milliseconds."""
    tolerance_ms: Annotated[int, Field(ge=0)] | None = None
    """How much later it may come before the point counts as silent; one cadence unless told."""
    anchor_ms: int | None = None
    """Phase of the period grid, in milliseconds since the epoch; business midnight for P1D, the hour else."""
    valid_from: AwareDatetime
    valid_to: AwareDatetime | None = None
    opening: Annotated[Decimal, Field(ge=0)] | None = None
    """The dial at valid_from, where a meter began; it counts like a measured register, before what others say of that instant."""
    closing: Annotated[Decimal, Field(ge=0)] | None = None
    """The dial at valid_to, where a meter was taken away."""
    evidence: str = ""
    """What proves the opening and closing registers: the protocol of the exchange."""
    sign: Sign = 1
    """How it counts for the unit: 1 once; 0 not at all, since other points hold it already (a sub-meter, heat that is won back); -1 given away."""
    lines: Memberships = ()
    """How it counts for product lines: `{ kiln = 1, mill = -1 }`; as their energy, or (`output`) as what they make."""
    within: str | None = None
    """Name of the point that measures it already: in no boundary do both count with one sign."""
    profiles: tuple[Profile, ...] = ()
    """What `best` is while nothing is known, from a day on; half the rated maximum before the first, and without one."""
    self_generated: bool = False
    """Made by the unit itself without fuel of its own, from waste heat, sun, water or wind: energy by its sign, and no CO2."""
    process: Terms = ()
    """Of a product or material: the process factors by which a tonne of it emits CO2, `"process.lime.lime"`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        expected = UNIT_OF_MEASURE[self.quantity]
        if self.unit_of_measure != expected:
            message = f"point {self.name}: {self.quantity} is measured in {expected}, not {self.unit_of_measure!r}"
            raise ValueError(message)
        if "register" in (self.statement, *self.others):
            if self.digits is None:
                message = f"point {self.name}: a register needs `digits`, or a rollover cannot be told from a defect"
                raise ValueError(message)
            if 10**self.digits * 10**6 * self.multiplier > LARGEST:
                message = f"point {self.name}: digits {self.digits} with multiplier {self.multiplier} is too large a dial"
                raise ValueError(message)
        if self.statement in self.others or len(set(self.others)) != len(self.others):
            message = f"point {self.name}: a statement is named twice"
            raise ValueError(message)
        value, rounded = scaled(self.rated_per_hour)
        if rounded or not 0 < value <= RATED_LIMIT:
            message = f"point {self.name}: rated_per_hour {self.rated_per_hour} must have at most six decimals and be at most 10,000,000"
            raise ValueError(message)
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            message = f"point {self.name}: valid_to {self.valid_to} is not after valid_from {self.valid_from}"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _check_co2(self) -> Self:
        if self.self_generated and (self.quantity not in {"electricity", "heat"} or self.sign < 0):
            message = f"point {self.name}: self_generated is electricity or heat that the unit makes and uses; what it sells counts as what it buys"
            raise ValueError(message)
        if self.process and self.quantity not in {"output", "material"}:
            message = f"point {self.name}: process {self.process[0].factor} is of a product or material; CO2 of {self.quantity} comes of its own factor"
            raise ValueError(message)
        if self.quantity == "material" and not self.process:
            message = f'point {self.name}: a material counts for nothing but its CO2: name its factor, process = "process.steel.limestone"'
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _check_bounding(self) -> Self:
        by = self.bounded_by
        if by is None:
            return self
        if by not in self.others:
            message = f"point {self.name}: bounded_by {by} is not among its other statements"
            raise ValueError(message)
        if not 0 < STATEMENTS.index(self.statement) < STATEMENTS.index(by):
            message = f"point {self.name}: bounded_by {by} must be a longer period than its statement, and {self.statement} is none that it bounds"
            raise ValueError(message)
        if (self.anchor_of(by) - self.anchor) % LENGTH_MS[self.statement]:
            message = f"point {self.name}: bounded_by {by}: its periods do not begin where those of {self.statement} do, by anchor_ms {self.anchor_ms}"
            raise ValueError(message)
        return self

    @field_validator("profiles")
    @classmethod
    def _in_order(cls, profiles: tuple[Profile, ...]) -> tuple[Profile, ...]:
        for one, following in pairwise(profiles):
            if one.from_day >= following.from_day:
                message = f"the profile from {following.from_day} is not later than that from {one.from_day} before it"
                raise ValueError(message)
        return profiles

    @model_validator(mode="after")
    def _check_declared(self) -> Self:
        for what, register in (("opening", self.opening), ("closing", self.closing)):
            if register is None:
                continue
            if self.digits is None or "register" not in (self.statement, *self.others):
                message = f"point {self.name}: {what} {register} is a register, and the point has no statement `register`"
                raise ValueError(message)
            if scaled(register)[1] or register >= 10**self.digits:
                message = f"point {self.name}: {what} {register} must have at most six decimals and be below 10^{self.digits}"
                raise ValueError(message)
        if self.closing is not None and self.valid_to is None:
            message = f"point {self.name}: closing {self.closing} needs a valid_to"
            raise ValueError(message)
        return self

    def declared(self) -> Iterator[tuple[int, int]]:
        """The registers that the entry itself declares: (instant, 10⁻⁶ of the dial)."""
        if self.opening is not None:
            yield self.begins, scaled(self.opening)[0]
        if self.closing is not None and self.ends is not None:
            yield self.ends, scaled(self.closing)[0]

    @property
    def pattern(self) -> tuple[Sign, Memberships, bool, Terms] | None:
        """How it counts in all boundaries; None where it is once, for the unit alone, and by its quantity's factor."""
        pattern = self.sign, self.lines, self.self_generated, self.process
        return None if pattern == (1, (), False, ()) else pattern

    @property
    def rated(self) -> int:
        """Rated maximum per hour in 10⁻⁶ of the unit of measure."""
        return scaled(self.rated_per_hour)[0]

    @property
    def begins(self) -> int:
        """First instant of validity (ms)."""
        return instant(self.valid_from)

    @property
    def ends(self) -> int | None:
        """End of validity (ms), None while it is open."""
        return None if self.valid_to is None else instant(self.valid_to)

    @property
    def tolerance(self) -> int:
        """Milliseconds beyond the cadence before the point counts as silent."""
        return self.cadence_ms if self.tolerance_ms is None else self.tolerance_ms

    @property
    def anchor(self) -> int:
        """Phase of the primary statement's period grid (ms since the epoch)."""
        return self.anchor_of(self.statement)

    def anchor_of(self, statement: Statement) -> int:
        """Phase of a statement's period grid (ms since the epoch): `anchor_ms` is the primary statement's."""
        if self.anchor_ms is not None and statement == self.statement:
            return self.anchor_ms
        return -OFFSET_MS if statement in {"P1D", "P1M"} else 0


def checked_amount(amount: Decimal) -> Decimal:
    """An amount that people enter: at most six decimals, below 4.6e12. Raises ValueError."""
    if scaled(amount)[1]:
        message = f"{amount} has more than six decimals"
        raise ValueError(message)
    return amount


class Quota(_Entity):
    """A unit's annual energy quota: tce, equivalent value (当量值)."""

    year: Annotated[int, Field(ge=2000, le=2099)]
    energy_tce: Annotated[Decimal, Field(ge=0)]
    source: str
    status: Literal["official", "example"] = "official"

    @field_validator("energy_tce")
    @classmethod
    def _fits(cls, amount: Decimal) -> Decimal:
        return checked_amount(amount)

    @property
    def amount(self) -> int:
        """The quota in 10⁻⁶ tce."""
        return scaled(self.energy_tce)[0]


class Budget(_Entity):
    """A unit's annual CO2 budget: t, by one view of electricity's factor."""

    year: Annotated[int, Field(ge=2000, le=2099)]
    co2_t: Annotated[Decimal, Field(ge=0)]
    view: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    """The view that it is meant in, as the packs' [[stream]] names it: `provincial average, Sichuan`.

    Where the unit is converted by another one, the budget cannot be judged.
    """
    source: str
    status: Literal["official", "example"] = "official"

    @field_validator("co2_t")
    @classmethod
    def _fits(cls, amount: Decimal) -> Decimal:
        return checked_amount(amount)

    @property
    def amount(self) -> int:
        """The budget in 10⁻⁶ t."""
        return scaled(self.co2_t)[0]


class Opening(_Entity):
    """What a unit used in a year before its points begin: declared, with evidence."""

    year: Annotated[int, Field(ge=2000, le=2099)]
    quantity: Literal[
        "electricity", "raw_coal", "heat", "output", "material", "energy", "co2", "process"
    ]
    low: Annotated[Decimal, Field(ge=0)]
    best: Annotated[Decimal, Field(ge=0)]
    high: Annotated[Decimal, Field(ge=0)]
    evidence: str

    @field_validator("low", "best", "high")
    @classmethod
    def _fits(cls, amount: Decimal) -> Decimal:
        return checked_amount(amount)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.low <= self.best <= self.high:
            message = f"opening {self.year} {self.quantity}: low {self.low}, best {self.best}, high {self.high} are not in order"
            raise ValueError(message)
        return self


class LineOpening(Opening):
    """What a line took in, or made, in a year before the points of that side begin: declared, with evidence.

    By carrier, as bought: each product standard counts them by rules of its own.
    """

    quantity: Literal["electricity", "raw_coal", "heat", "output"]


class Line(_Entity):
    """A product line of a unit: what its points with `lines` take in, and what they make of it."""

    id: LineId
    name: str
    indicators: tuple[str, ...] = ()
    """What it is held to: ids of the packs' product limits, `cement.clinker.comprehensive`."""
    parameters: Declarations = ()
    """What it declares, with evidence, of what the limits depend on: `{ clinker_ratio = "78.5" }`."""
    evidence: str = ""
    """What proves the parameters."""
    valid_from: AwareDatetime | None = None
    """When it began to work: windows that begin before its points do lack nothing that lies before this."""
    openings: tuple[LineOpening, ...] = ()
    """Of a year, either all quantities of a side (what it takes in; what it makes) or none."""

    @property
    def begins(self) -> int | None:
        """When it began to work (ms), if that is declared."""
        return None if self.valid_from is None else instant(self.valid_from)


class Unit(_Entity):
    """A key energy-using unit (重点用能单位)."""

    code: UnitCode
    name: str
    region: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]
    industry: Annotated[str, StringConstraints(pattern=r"^[0-9]{2}$")]
    history: bool = False
    """Its time comes from its own sections (import, replay, simulation) until its history ends."""
    horizon_days: Annotated[int, Field(ge=1, le=400)] = 40
    """A live unit's readings older than this at the door are `too old`."""
    points: Annotated[tuple[Point, ...], Field(min_length=1, max_length=MAX_POINTS)]
    quotas: tuple[Quota, ...] = ()
    budgets: tuple[Budget, ...] = ()
    openings: tuple[Opening, ...] = ()
    lines: tuple[Line, ...] = ()
    heat_values: tuple[HeatValue, ...] = ()
    """Of its own fuel, as it or its supplier found them."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for what, keys in (
            ("line", [line.id for line in self.lines]),
            ("quota", [str(quota.year) for quota in self.quotas]),
            ("budget", [str(budget.year) for budget in self.budgets]),
            ("opening", [f"{opening.year} {opening.quantity}" for opening in self.openings]),
        ):
            twice = sorted(key for key, count in Counter(keys).items() if count > 1)
            if twice:
                message = f"unit {self.code}: {what} {', '.join(twice)} is named twice"
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        """One name is one meter after the other, never two at a time."""
        ordered = sorted(self.points, key=lambda point: (point.name, point.begins))
        for one, following in pairwise(ordered):
            if one.name == following.name and (one.ends is None or one.ends > following.begins):
                message = f"unit {self.code}: point {one.name} is named twice at a time: end the first (valid_to) where the second begins"
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _check_heat_values(self) -> Self:
        metered = {point.quantity for point in self.points}
        unmetered = sorted({one.carrier for one in self.heat_values} - metered)
        none = (f"heat value of {carrier}: no point meters it" for carrier in unmetered)
        for complaint in (*overlaps(self.heat_values), *none):
            message = f"unit {self.code}: {complaint}"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _check_boundaries(self) -> Self:
        for complaint in complaints_of_boundaries(self):
            message = f"unit {self.code}: {complaint}"
            raise ValueError(message)
        return self

    @property
    def cells(self) -> list[int]:
        """The number of each point's cell (`schemas/cells.py`)."""
        return cells.numbered((point.quantity, point.pattern) for point in self.points)

    @property
    def begins(self) -> int:
        """First validity of any of its points (ms)."""
        return min(point.begins for point in self.points)


def complaints_of_boundaries(unit: Unit) -> Iterator[str]:
    """What cannot be in the boundaries of a unit and of its lines."""
    lines = {line.id for line in unit.lines}
    names = {point.name for point in unit.points}
    for point in unit.points:
        for name, _ in point.lines:
            if name not in lines:
                yield f"point {point.name}: there is no line {name}: add it to [[units.lines]]"
        if point.within is not None and point.within not in names - {point.name}:
            yield f"point {point.name}: there is no other point {point.within} that it could be within"
    for line in unit.lines:
        mine = [point for point in unit.points if line.id in dict(point.lines)]
        if not any(point.quantity in CARRIERS for point in mine):
            yield f"line {line.id}: no point says its energy: give one `lines = {{ {line.id} = 1 }}`"
        if not any(point.quantity == "output" for point in mine):
            yield f"line {line.id}: no point says its output: give one of quantity output `lines = {{ {line.id} = 1 }}`"
        yield from _wrong_openings(line, {point.quantity for point in mine})
    if not any(point.sign for point in unit.points):
        yield "no point counts for the unit: every one has sign 0"
    yield from _counted_twice(unit)
    yield from _too_many_cells(unit)


def _wrong_openings(line: Line, quantities: set[Quantity]) -> Iterator[str]:
    """Openings of a side are those of all its quantities, each once a year."""
    for year in sorted({opening.year for opening in line.openings}):
        declared = Counter(one.quantity for one in line.openings if one.year == year)
        for name, count in sorted(declared.items()):
            if count > 1:
                yield f"line {line.id}: opening {year} {name} is named twice"
            if name not in quantities:
                yield f"line {line.id}: opening {year} {name}: no point of the line is of {name}"
        for side in ({"output"}, quantities & {*CARRIERS}):
            missing = sorted(side - declared.keys())
            if side & declared.keys() and missing:
                yield f"line {line.id}: openings {year}: give that of {', '.join(missing)}, too, be it 0: without it what was used is not known"


def _too_many_cells(unit: Unit) -> Iterator[str]:
    try:
        cells.numbered((point.quantity, point.pattern) for point in unit.points)
    except ValueError as error:
        yield str(error)


def _counted_twice(unit: Unit) -> Iterator[str]:
    """Points that count with one sign where a point that holds them does."""
    outer = {point.name: point.within for point in unit.points}
    signs = {point.name: {"the unit": point.sign, **dict(point.lines)} for point in unit.points}
    for name, holder in outer.items():
        around, seen = holder, {name}
        while around is not None and around not in seen:
            for boundary, sign in signs[name].items():
                if sign and sign == signs[around].get(boundary, 0):
                    yield f"point {name} is counted twice in the boundary of {boundary}: {around} holds it already"
            seen.add(around)
            around = outer[around]
        if around is not None:
            yield f"point {name} lies within itself"


class Region(_Entity):
    """A region by its GB/T 2260 code."""

    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]
    name: str
    name_zh: str = ""


class Industry(_Entity):
    """An industry by its GB/T 4754 division (two digits)."""

    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{2}$")]
    name: str
    name_zh: str = ""


class Registry(_Entity):
    """Everything people enter about regions, industries and units, as one version."""

    regions: tuple[Region, ...] = ()
    industries: tuple[Industry, ...] = ()
    units: tuple[Unit, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        regions, industries = {r.code for r in self.regions}, {i.code for i in self.industries}
        seen: set[str] = set()
        for unit in self.units:
            if unit.code in seen:
                message = f"unit {unit.code} is named twice"
                raise ValueError(message)
            seen.add(unit.code)
            if unit.region not in regions:
                message = f"unit {unit.code}: region {unit.region} is not in the registry: add it to [[regions]]"
                raise ValueError(message)
            if unit.industry not in industries:
                message = f"unit {unit.code}: industry {unit.industry} is not in the registry: add it to [[industries]]"
                raise ValueError(message)
        return self


class FactorsInForce(_Entity):
    """The factors that units are converted by from a configuration on."""

    version: str
    """The packs that they are from."""
    entries: tuple[Entry, ...]


_USUAL_OF_POINT: dict[str, object] = {
    "opening": None,
    "closing": None,
    "evidence": "",
    "sign": 1,
    "lines": [],
    "within": None,
    "profiles": [],
    "bounded_by": None,
    "self_generated": False,
    "process": [],
}


def _without_usual(told: dict[str, object], usual: dict[str, object]) -> None:
    for name, value in usual.items():
        if told[name] == value:
            del told[name]


class Configuration(BaseModel):
    """One numbered version of the registry, as it travels on `weir.config.v1` and is stored.

    It carries the entities that are new in it. Publishing it again does nothing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Annotated[int, Field(ge=1)]
    author: str
    reason: str
    registry: Registry
    factors: FactorsInForce | None = None
    """Other factors than before, if any."""
    law: LawInForce | None = None
    """Other product limits than before, if any."""
    hash: str = ""

    def content_hash(self) -> str:
        """SHA-256 over the canonical JSON of the registry, and of the factors and limits if there are any."""
        told = self.registry.model_dump(mode="json")
        for unit in told["units"]:  # hashes from before these stay
            for line in unit["lines"]:
                _without_usual(line, {"openings": []})
            _without_usual(unit, {"lines": [], "budgets": [], "heat_values": []})
            for point in unit["points"]:
                _without_usual(point, _USUAL_OF_POINT)
        if self.factors is not None:
            told["factors"] = self.factors.model_dump(mode="json")
        if self.law is not None:
            told["law"] = self.law.model_dump(mode="json")
        body = json.dumps(
            told,
            sort_keys=True,
            separators=(",", ":"),
            ensure_ascii=False,
        )
        return sha256(body.encode()).hexdigest()
