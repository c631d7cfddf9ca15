"""What a unit declares of its CO2: which process factors its products and materials emit by, and the heat values of its own fuel."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from schemas.factor_entry import Status
from schemas.pack_entries import Text

MOST_DECIMALS = 4
LEAST_HEAT, MOST_HEAT = 3, 36
"""GJ a tonne, between which a coal's heat value lies: kJ/kg written as GJ/t does not pass."""


class _Declared(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _few_decimals(number: Decimal, what: str) -> None:
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent > MOST_DECIMALS:
        message = f"{what} {number} must have at most {MOST_DECIMALS} decimals"
        raise ValueError(message)


class Term(_Declared):
    """CO2 of a tonne that a point meters: a process factor, times what the unit declares."""

    factor: Text
    """Id of a process factor of the packs: `process.lime.lime`."""
    gwp: Text | None = None
    """Id of the global warming potential by which a gas other than CO2 is multiplied."""
    times: Annotated[Decimal, Field(gt=0, le=10)] | None = None
    """Share by which it is multiplied, such as the mass share of CaO in clinker."""
    evidence: str = ""
    """What proves `times`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.times is not None:
            _few_decimals(self.times, f"process {self.factor}: times")
            if not self.evidence:
                message = f"process {self.factor}: times {self.times} needs `evidence`: the analysis that proves it"
                raise ValueError(message)
        return self


def _terms(told: object) -> object:
    """One factor may be told by its id alone."""
    return ({"factor": told},) if isinstance(told, str) else told


Terms = Annotated[tuple[Term, ...], BeforeValidator(_terms)]
"""Their sum is what a tonne emits."""


class HeatValue(_Declared):
    """The lower heat value of a unit's own fuel, as received: the mass-weighted mean of whole business years."""

    carrier: Literal["raw_coal"]
    by: Literal["measured", "supplier"]
    """Who found it: the unit's own measurement goes before its supplier's, and that before the packs' default."""
    gj_per_t: Annotated[Decimal, Field(ge=LEAST_HEAT, le=MOST_HEAT)]
    valid_from: date
    valid_to: date | None = None
    """First day on which it holds no more; open until then."""
    source: Text
    """The analyses or the delivery papers that prove it."""
    status: Status

    @model_validator(mode="after")
    def _check(self) -> Self:
        _few_decimals(self.gj_per_t, f"heat value of {self.carrier}: gj_per_t")
        for day in (self.valid_from, self.valid_to):
            if day is not None and (day.month, day.day) != (1, 1):
                message = f"heat value of {self.carrier}: {day} is no first of January: amounts are converted by business years, so give the year's mean weighted by mass"
                raise ValueError(message)
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            message = f"heat value of {self.carrier}: valid_to {self.valid_to} is not after valid_from {self.valid_from}"
            raise ValueError(message)
        return self

    def holds(self, year: int) -> bool:
        """Whether it holds in a business year."""
        return self.valid_from.year <= year and (self.valid_to is None or year < self.valid_to.year)

    @property
    def name(self) -> str:
        """As figures name it beside the factors."""
        return f"{self.carrier} heat value {self.gj_per_t} GJ/t ({self.by})"


def heat_value_of(entries: Sequence[HeatValue], year: int) -> HeatValue | None:
    """That of one carrier which holds in a year: the own measured one before the supplier's."""
    held = [one for one in entries if one.holds(year)]
    return min(held, key=lambda one: one.by, default=None)


def overlaps(entries: Sequence[HeatValue]) -> Iterator[str]:
    """Heat values of one carrier and origin that hold at once."""
    by_kind: dict[tuple[str, str], list[HeatValue]] = defaultdict(list)
    for one in entries:
        by_kind[one.carrier, one.by].append(one)
    for (carrier, by), mine in by_kind.items():
        for one, following in pairwise(sorted(mine, key=lambda one: one.valid_from)):
            if one.valid_to is None or one.valid_to > following.valid_from:
                yield f"two {by} heat values of {carrier} hold from {following.valid_from}: end the first (valid_to) where the second begins"
