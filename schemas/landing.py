"""What others are told of where a unit's year lands: each business midnight, against the quota or CO2 budget known then.

A projection is no verdict. Amounts are integers of 10⁻⁶ tce (of a budget 10⁻⁶ t CO2), burn rates of 10⁻³ of the rate that the quota
allows (1000 uses it up on the last day of the year), days are business days as `2026-11-23`.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

State = Literal["broken", "will break", "may break", "on track", "cannot be said"]
"""`broken`: what is certain so far is over the quota. `will break`: the low end of the 80 % interval is. `may break`: the expected
year is. `on track`: the expected year is not, even if all that is not measured was the most it can have been. Else it cannot be said.
"""

Unsaid = Literal[
    "behind",
    "days missing",
    "too few days",
    "opening unknown",
    "too little measured",
    "other factor view",
]
"""Why it cannot be said: nothing was told for this midnight; a day of the year was not told to its end; fewer than 21 whole days
and no earlier year; what was used before the first reading is unknown; the answer hangs on what is not measured; the budget is meant in another
view of electricity's factor than the unit's CO2 was told by.
"""

Basis = Literal["seasonal", "calendar"]
Regime = Literal["energy", "carbon"]
"""A unit's year is held to its energy quota and to its CO2 budget, each alone."""
REGIMES: tuple[Regime, ...] = ("energy", "carbon")
MEASURE_OF: dict[Regime, str] = {"energy": "tce", "carbon": "t CO2"}


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Ends(_Told):
    """low ≤ best ≤ high; `high` None is unknown."""

    low: int
    best: int
    high: int | None


class Exhausted(_Told):
    """Business days in which the quota is passed, within 80 %; None: not in this year."""

    earliest: str | None
    best: str | None
    latest: str | None


class Projected(_Told):
    """The year's end as it looks now."""

    basis: Basis
    """`seasonal`: by the shape of the unit's year before; `calendar`: that is not known, one day counts as another."""
    year_end: Ends
    """80 % interval around the expected value."""
    expected_high: int | None
    """The expected value, if all that is not measured was the most it can have been."""
    exhaustion: Exhausted


class Landed(_Told):
    """Where a unit's year stood at a midnight."""

    year: int
    regime: Regime = "energy"
    quota: int
    """Annual, as it was known then: energy, equivalent value; or the CO2 budget."""
    view: str | None = None
    """Of a budget: the view of electricity's factor that it is meant in."""
    state: State
    reason: Unsaid | None
    """Set where it cannot be said."""
    used: Ends
    """Of the year until then, as told with the year's verdict; of a unit that is behind: until its own time."""
    share_measured: int
    """Of the year until then, 10⁻⁶."""
    projected: Projected | None
    """None: too few days, or days are missing."""
    fast: Ends | None
    """Burn of the last 7 days."""
    slow: Ends | None
    """Burn of the last 30 days."""
    per_day: Ends | None
    """What may be used a day until the year ends; `low` is safe whatever is missing. None: the year is over, or the unit behind."""
    factors: tuple[str, ...] = ()
    unverified: bool = False
    """One of the factors behind the figures rests on a figure nobody has verified."""
