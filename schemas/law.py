"""The product limits that lines are held to from a configuration on: what the packs said when it was stored."""

from typing import Self

from pydantic import BaseModel, ConfigDict

from schemas.pack import Held, Pack, Packs
from schemas.pack_entries import Coefficient, Constant
from schemas.pack_limits import Limit, Parameter

COAL = "raw_coal.energy"
OIL = "oil-equivalent.energy"
"""Id of the constant that is a kilogram of oil equivalent in kgce."""


class LawInForce(BaseModel):
    """Limits, what they depend on, and the coefficients that they count energy by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    """The packs that it is from."""
    limits: tuple[Limit, ...]
    parameters: tuple[Parameter, ...]
    coefficients: tuple[Coefficient, ...]
    constants: tuple[Constant, ...]

    @classmethod
    def of(cls, packs: Packs) -> Self:
        """What packs say."""
        limits = tuple(held.entry for held in packs.of(Limit))
        named = {limit.electricity for limit in limits}
        return cls(
            version=packs.version,
            limits=limits,
            parameters=tuple(held.entry for held in packs.of(Parameter)),
            coefficients=tuple(
                held.entry for held in packs.of(Coefficient) if held.entry.id in named
            ),
            constants=tuple(held.entry for held in packs.of(Constant)),
        )

    def packs(self, indicator: str) -> Packs:
        """As packs that speak of one indicator alone."""
        pack = Pack(self.version, "", "")
        entries = (
            *(limit for limit in self.limits if limit.indicator == indicator),
            *self.parameters,
        )
        return Packs((pack,), tuple(Held(entry, pack, "") for entry in entries))
