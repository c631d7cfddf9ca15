"""Level rules of the barometer: dated data, ours in `packs/levels/*.toml`, an operator's in the input file."""

import tomllib
from collections.abc import Sequence
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Literal, Self

from pydantic import TypeAdapter, model_validator

from schemas.pack_entries import Entry, Name, Number

Kind = Literal["total", "intensity"]


class LevelRule(Entry):
    """When a region or industry is at level 1 or 2. A ratio is what was used over what is allowed until the day."""

    KIND = "level"

    kind: Kind
    quantity: Name | None = None
    """`energy`, `co2`, `coal` or `oil`; absent: each that has no rule of its own."""
    ours: bool
    """True: a default of Weir's. False: an authority's or an operator's."""
    basis: Literal["calendar", "seasonal"]
    """Which schedule decides; a target without a seasonal one is held to the calendar, and it is said."""
    warning_above: Number
    """Level 2 above this ratio: "1.00" is the schedule itself."""
    severe_above: Number | None = None
    """Level 1 above this ratio: "1.03" is three per cent over the schedule."""
    rising_is_severe: bool = False
    """Level 1 above what the path allowed the year before: not falling at all."""
    release: Number
    """A better level only when the ratio is at least this much below the edge: "0.01" is one per cent of the schedule."""
    widest: Number
    """Ratios further apart than this whose levels differ are no data: "0.05" is five per cent of the schedule."""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if (self.severe_above is None) is not self.rising_is_severe:
            message = "give either severe_above or rising_is_severe = true"
            raise ValueError(message)
        if self.severe_above is not None and self.severe_above < self.warning_above:
            message = (
                f"severe_above {self.severe_above} is below warning_above {self.warning_above}"
            )
            raise ValueError(message)
        if self.warning_above <= 0 or self.release < 0 or self.widest < 0:
            message = f"warning_above {self.warning_above} must be above 0, release {self.release} and widest {self.widest} not below"
            raise ValueError(message)
        return self

    def key(self) -> tuple[str, ...]:
        return self.kind, self.quantity or ""


@cache
def our_rules() -> tuple[LevelRule, ...]:
    """The rules that ship with Weir."""
    folder = files("schemas") / "packs" / "levels"
    named = sorted((file.name, file) for file in folder.iterdir() if file.name.endswith(".toml"))
    read = (tomllib.loads(file.read_text(encoding="utf-8")) for _, file in named)
    return tuple(rule for told in read for rule in _RULES.validate_python(told["levels"]))


_RULES = TypeAdapter(tuple[LevelRule, ...])


def rule_at(rules: Sequence[LevelRule], kind: Kind, quantity: str, on: date) -> LevelRule | None:
    """The rule of a day: one of the quantity before one of all, and an operator's (the later) before ours."""
    for key in ((kind, quantity), (kind, "")):
        for rule in reversed(rules):
            if rule.key() == key and rule.holds(on):
                return rule
    return None
