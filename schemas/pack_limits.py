"""Product limits as data: three levels, and corrections over declared parameters. `processors/formula.py` works them out."""

from decimal import Decimal
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.factor_entry import Status
from schemas.pack_entries import Definition, Entry, Name, Number, Text, number

LEVELS = (1, 2, 3)
"""1 advanced; 2 access, for new, rebuilt and expanded plants; 3 the limit of existing plants, mandatory."""

NONE, UNREAD = "-", "?"
"""A level that the standard does not have; one that it has and that was not read."""


def _level(told: object) -> Decimal | str:
    return told if told in {NONE, UNREAD} else number(told)


Level = Annotated[Decimal | Literal["-", "?"], BeforeValidator(_level)]
PerLevel = Annotated[tuple[Number, ...], Field(min_length=1, max_length=3)]
"""One number for all levels, or one for each of the three."""


def at_level(numbers: tuple[Decimal, ...], level: int) -> Decimal:
    """The number of a level (1 to 3)."""
    return numbers[level - 1] if len(numbers) == len(LEVELS) else numbers[0]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Parameter(Definition):
    """What a limit's formula depends on, and a unit declares with evidence: a number, or one of some options.

    Undeclared, it may be anything from `least` to `greatest`, or any option: the limit is an interval then.
    """

    KIND = "parameter"

    meaning: Text
    unit: Text
    least: Number | None = None
    greatest: Number | None = None
    usual: Text
    """Best guess where nothing is declared: decimal text, or an option. It decides suspicions, never a verdict."""
    options: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.options:
            if self.usual not in self.options:
                message = f"usual {self.usual!r} is none of {', '.join(self.options)}"
                raise ValueError(message)
            return self
        if (self.least is None) != (self.greatest is None):
            message = "give both `least` and `greatest`, or neither"
            raise ValueError(message)
        usual = number(self.usual)
        outside = (self.least is not None and usual < self.least) or (
            self.greatest is not None and usual > self.greatest
        )
        if outside:
            message = f"usual {usual} must lie in [{self.least}, {self.greatest}] {self.unit}"
            raise ValueError(message)
        return self

    def figure(self) -> str:
        bounds = "anything" if self.least is None else f"{self.least}-{self.greatest}"
        allowed = " | ".join(self.options) or f"{bounds} {self.unit}"
        return f"{self.meaning}: {allowed}, usually {self.usual}"


class Condition(_Part):
    """Something that holds of a parameter: all that is said of it."""

    parameter: Name
    above: Number | None = None
    at_least: Number | None = None
    below: Number | None = None
    up_to: Number | None = None
    one_of: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        bounds = (self.above, self.at_least, self.below, self.up_to)
        if bool(self.one_of) == any(bound is not None for bound in bounds):
            message = (
                f"of {self.parameter} say either bounds (above, at_least, below, up_to) or one_of"
            )
            raise ValueError(message)
        return self

    def excludes(self, other: "Condition") -> bool:
        """Whether both can never hold together."""
        if self.parameter != other.parameter:
            return False
        if self.one_of or other.one_of:
            return not set(self.one_of) & set(other.one_of)
        return self.ends_before(other) or other.ends_before(self)

    def ends_before(self, other: "Condition") -> bool:
        """Whether all that it allows lies below all that the other allows."""
        ends = [
            (end, is_open) for end, is_open in ((self.up_to, 0), (self.below, 1)) if end is not None
        ]
        begins = [
            (at, is_open)
            for at, is_open in ((other.at_least, 0), (other.above, 1))
            if at is not None
        ]
        return any(
            end < begin or (end == begin and bool(end_open or begin_open))
            for end, end_open in ends
            for begin, begin_open in begins
        )


class _Correction(_Part):
    when: tuple[Condition, ...] = ()
    """It applies where all of these hold."""
    only_levels: tuple[Literal[1, 2, 3], ...] = (1, 2, 3)
    status: Status | None = None
    """Where it differs from the limit's."""
    note: str = ""

    def parameters(self) -> frozenset[str]:
        """Ids of what it depends on."""
        return frozenset(condition.parameter for condition in self.when)


class _ByParameter(_Correction):
    parameter: Name
    """What it reckons with."""

    def parameters(self) -> frozenset[str]:
        return super().parameters() | {self.parameter}


class Add(_Correction):
    """limit + value."""

    kind: Literal["add"]
    value: PerLevel


class PerPoint(_ByParameter):
    """limit + per_point · points; points from a reference on, both ways, or only above or below it, at most `most`."""

    kind: Literal["per point"]
    per_point: PerLevel
    reference: Number = Decimal(0)
    side: Literal["both", "above", "below"] = "both"
    most: Number | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.most is not None and (self.side == "both" or self.most < 0):
            message = '`most` counts points from 0 on: it goes with side = "above" or "below"'
            raise ValueError(message)
        return self


class Multiply(_Correction):
    """limit · value."""

    kind: Literal["multiply"]
    value: PerLevel


class MultiplyLinear(_ByParameter):
    """limit · (constant + slope · parameter / divisor)."""

    kind: Literal["multiply linear"]
    constant: Number
    slope: Number
    divisor: Number = Decimal(1)


class AddTable(_ByParameter):
    """limit + what a table gives for the parameter: straight between its knots, level beyond them."""

    kind: Literal["add table"]
    knots: Annotated[tuple[tuple[Number, Number], ...], Field(min_length=2)]

    @model_validator(mode="after")
    def _rising(self) -> Self:
        places = [place for place, _ in self.knots]
        if places != sorted(set(places)):
            message = f"knots of {self.parameter} must rise: {[str(place) for place in places]}"
            raise ValueError(message)
        return self


Correction = Annotated[
    Add | PerPoint | Multiply | MultiplyLinear | AddTable, Field(discriminator="kind")
]


class LimitExample(_Part):
    """The limit worked by hand for one unit's declarations; `packs check` works it out again."""

    declared: dict[str, str] = Field(default_factory=dict)
    gives: Annotated[tuple[Level, ...], Field(min_length=3, max_length=3)]


class Limit(Entry):
    """Energy of one product by its standard: actual ≤ limit, each level judged alone."""

    KIND: ClassVar[str] = "limit"
    UNITS = frozenset(
        {"kgce/t", "kWh/t", "kgce/kg", "kgce/weight case", "kgoe/t", "kgoe/(t·factor)", "kWh/kWh"}
    )

    indicator: Name
    """What a product line is judged by: `steel.sintering`."""
    product: Text
    case: str = ""
    """Names one of several rows of an indicator; `applies` says which holds for whom."""
    region: str | None = None
    """Code of the region whose local standard it is; absent for a national one."""
    unit: str
    levels: Annotated[tuple[Level, ...], Field(min_length=3, max_length=3)]
    """Levels 1, 2, 3; "-" where the standard has none, "?" where it has one that was not read."""
    level_status: tuple[Status, ...] | None = None
    """Status of each level, where they differ."""
    electricity: str | None = None
    """Id of the coefficient that counts electricity, where the unit is one of heat."""
    net_recovery: bool = False
    """Whether a level may be negative: the process gives more energy than it takes."""
    applies: tuple[Condition, ...] = ()
    exempt: tuple[Condition, ...] = ()
    """A unit that declares one of these is not judged."""
    corrections: tuple[Correction, ...] = ()
    """Applied one after the other, as written."""
    examples: tuple[LimitExample, ...] = ()

    @model_validator(mode="after")
    def _levels_in_order(self) -> Self:
        known = [level for level in self.levels if isinstance(level, Decimal)]
        if known != sorted(known):
            message = f"levels {', '.join(map(str, self.levels))} {self.unit} do not rise from level 1 to 3"
            raise ValueError(message)
        if known and known[0] < 0 and not self.net_recovery:
            message = f"level {known[0]} {self.unit} is negative; a process that may recover more than it uses says net_recovery = true"
            raise ValueError(message)
        if self.level_status is not None and len(self.level_status) != len(LEVELS):
            message = "level_status names a status for each of the three levels"
            raise ValueError(message)
        if self.unit.startswith("kg") and self.electricity is None:
            message = "electricity is missing: name the coefficient that the standard counts it by"
            raise ValueError(message)
        return self

    def key(self) -> tuple[str, ...]:
        return self.indicator, self.case, self.region or ""

    def figure(self) -> str:
        return f"{' / '.join(str(level) for level in self.levels)} {self.unit}"

    def level(self, number: int) -> Decimal | None:
        """The uncorrected limit of a level (1 to 3); None where there is none to judge by."""
        told = self.levels[number - 1]
        return told if isinstance(told, Decimal) else None

    def status_of(self, number: int) -> Status:
        """Status of a level."""
        return self.status if self.level_status is None else self.level_status[number - 1]

    def parameters(self) -> frozenset[str]:
        """Ids of all that its rows, exemptions and corrections depend on."""
        asked = frozenset(condition.parameter for condition in (*self.applies, *self.exempt))
        return asked.union(*(correction.parameters() for correction in self.corrections))

    def reckoned(self) -> frozenset[str]:
        """Ids of the parameters that it reckons with, beyond asking for conditions."""
        return frozenset(
            correction.parameter
            for correction in self.corrections
            if isinstance(correction, _ByParameter)
        )
