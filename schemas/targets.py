"""Targets of regions and industries for a year, and what they are held with: schedules, remainders, level rules.

A file is the whole of them. Numbers come as decimal text and are integers of 10⁻⁶ t (tce, CO2) inside.
"""

import json
from collections import Counter
from hashlib import sha256
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.double_control import Code, Remainder, Schedule, ScopeText
from schemas.levels import LevelRule
from schemas.pack_entries import Number, Text
from schemas.scale import scaled

Quantity = Literal["energy", "co2"]


class Target(BaseModel):
    """What a scope may use, or emit, in a year."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Code
    scope: ScopeText
    """`province:510000`, `city:510400`, `county:510402`, `industry:31`, or `city:510400+industry:31`."""
    year: Annotated[int, Field(ge=1971, le=2199)]
    quantity: Quantity
    amount: Number
    """t: of standard coal for energy, of CO2 for co2."""
    covers: Literal["key units", "whole society"]
    """A target of the whole society needs the remainder that the key units leave out."""
    schedule: Code | None = None
    """How the year is expected to pass; by the calendar where there is none."""
    source: Text

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.amount <= 0:
            message = f"amount {self.amount} must be above 0"
            raise ValueError(message)
        if any(part.startswith(("class:", "unit:")) for part in self.scope.split("+")):
            message = f"scope {self.scope}: targets are of regions and industries"
            raise ValueError(message)
        return self

    @property
    def limit(self) -> int:
        """Its amount in 10⁻⁶ t."""
        return scaled(self.amount)[0]


class Targets(BaseModel):
    """All of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    targets: tuple[Target, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    remainders: tuple[Remainder, ...] = ()
    levels: tuple[LevelRule, ...] = ()

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        ids = Counter(target.id for target in self.targets)
        twice = sorted(name for name, count in ids.items() if count > 1)
        if twice:
            message = f"target {', '.join(twice)} is named twice"
            raise ValueError(message)
        known = {schedule.id for schedule in self.schedules}
        for target in self.targets:
            if target.schedule is not None and target.schedule not in known:
                message = f"target {target.id}: there is no schedule {target.schedule!r}"
                raise ValueError(message)
        for rule in self.levels:
            if rule.kind != "total" or rule.severe_above is None:
                message = f"level rule {rule.id}: the targets are totals, and need severe_above"
                raise ValueError(message)
        return self

    def content_hash(self) -> str:
        """SHA-256 over the canonical JSON."""
        body = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
        return sha256(body.encode()).hexdigest()


class TargetVersion(BaseModel):
    """One numbered load of a file, which holds from an hour on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    from_hour: int
    targets: Targets
