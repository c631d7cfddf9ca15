"""Targets of regions and industries for a year, and what they are held with: schedules, remainders, level rules.

A file is the whole of them. Numbers come as decimal text and are integers of 10⁻⁶ t (tce, CO2) inside.
"""

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from schemas.deductions import Part
from schemas.double_control import Code, Remainder, Schedule, ScopeText, ValueAdded
from schemas.entered import Entered, hash_of
from schemas.levels import LevelRule
from schemas.pack_entries import Number, Text
from schemas.scale import scaled

Quantity = Literal["energy", "co2"]


class Target(Entered):
    """What a scope may use, or emit, in a year."""

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
    net_of: tuple[Part, ...] = ()
    """Of energy: what admitted evidence proves of these is deducted from the key units' sum."""
    certificates_at_most: Number | None = None
    """tce that certificates may deduct where their rule has a cap; nothing where it is not said."""
    source: Text

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.amount <= 0:
            message = f"amount {self.amount} must be above 0"
            raise ValueError(message)
        if any(part.startswith(("class:", "unit:")) for part in self.scope.split("+")):
            message = f"scope {self.scope}: targets are of regions and industries"
            raise ValueError(message)
        if self.net_of and self.quantity != "energy":
            message = (
                f"net_of {', '.join(self.net_of)}: deductions are of energy, not of {self.quantity}"
            )
            raise ValueError(message)
        if self.certificates_at_most is not None and (
            "non-fossil" not in self.net_of or self.certificates_at_most < 0
        ):
            message = f"certificates_at_most {self.certificates_at_most} must not be below 0, and net_of must have non-fossil"
            raise ValueError(message)
        return self

    @property
    def limit(self) -> int:
        """Its amount in 10⁻⁶ t."""
        return scaled(self.amount)[0]

    @property
    def certificates_cap(self) -> int:
        """What capped certificates may deduct, in 10⁻⁶ tce."""
        return scaled(self.certificates_at_most or 0)[0]


class Targets(Entered):
    """All of a file."""

    targets: tuple[Target, ...] = ()
    schedules: tuple[Schedule, ...] = ()
    remainders: tuple[Remainder, ...] = ()
    levels: tuple[LevelRule, ...] = ()
    value_added: tuple[ValueAdded, ...] = ()
    """10⁴ CNY at constant prices; what is known later takes the place of what was known of the same days."""

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
        """SHA-256 over the canonical JSON; hashes from before what is not there could be said stay."""
        told = self.model_dump(mode="json")
        if not told["value_added"]:
            del told["value_added"]
        for target in told["targets"]:
            for name in ("net_of", "certificates_at_most"):
                if not target[name]:
                    del target[name]
        return hash_of(told)


class TargetVersion(BaseModel):
    """One numbered load of a file, which holds from an hour on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: int
    from_hour: int
    targets: Targets
