"""What others are told of regions and industries: the sums of their key units, hour by hour, and where targets stand.

Amounts are integers of 10⁻⁶ tce (energy) and 10⁻⁶ t (CO2), instants are milliseconds. The version of a message is its hour: one hour of
a scope is told once, and never with other figures.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Verdict = Literal["PASS", "FAIL", "UNDECIDABLE"]


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Sum(_Told):
    """One quantity of all key units of a scope in one window; `high` None is unknown."""

    low: int
    best: int
    high: int | None
    unverified: bool = False
    """A factor that it rests on is."""


class Counts(_Told):
    """Key units of a scope: how many there are, and how much of them is known."""

    units: int
    told: int
    """Whose figures reach the hour."""
    pending: int
    """Whose own time is behind the hour: units in history, or without a tick. They leave `high` unknown."""
    silent: int
    """With points that should have spoken by then."""
    broken: int
    """Above their quota by what they told last, pending ones too (of a year)."""
    not_judged: int
    """Of those told: UNDECIDABLE (of a year)."""


class Window(_Told):
    """A month or a year, to the hour or to its end."""

    window: Literal["month", "year"]
    start: int
    end: int
    energy: Sum
    co2: Sum
    share_measured: int
    """In 10⁻⁶: the mean of the units'; one that is pending counts as nothing."""
    counts: Counts


class Line(_Told):
    """One cause of a change of level, above 0 is worse; `unit` is empty where no unit moved it."""

    unit: str
    cause: str
    low: int
    best: int
    high: int | None


class LevelChange(_Told):
    """From one level to another within an hour; None is no data. The lines sum exactly to `change`, that of used less allowed."""

    before: int | None
    after: int | None
    lines: tuple[Line, ...]
    change: Line
    rule_changed: bool


class Standing(_Told):
    """Where a target stands at the hour."""

    target: str
    version: int
    """Of the targets' file."""
    year: int
    quantity: Literal["energy", "co2"]
    covers: Literal["key units", "whole society"]
    figure_of: Literal["key units", "key units and remainder"]
    amount: int
    """The target itself."""
    allowed: int
    """Of it until the hour."""
    basis: Literal["calendar", "seasonal"]
    used: Sum
    views: tuple[str, ...] = ()
    """Of CO2: by which views of electricity's factor the units are converted; energy is of equivalent value."""
    net_of: tuple[Literal["feedstock", "non-fossil"], ...] = ()
    """What was deducted of `used`, as admitted evidence proves it."""
    gross: Sum | None = None
    """Used before that; where nothing is deducted it is not told."""
    verdict: Verdict
    """Against the whole year: PASS of a year that is not over means "not broken yet"."""
    reason: str
    level: int | None
    """1 very severe, 2 rather severe, 3 basically smooth; None is no data."""
    level_reason: str
    rule: str
    """Id of the level rule."""
    changed: LevelChange | None = None


class RegionTold(_Told):
    """One scope at one hour. Key: scope. Receivers ignore an hour that is not newer than the one they hold."""

    kind: Literal["region"] = "region"
    scope: str
    """`province:510000`, `city:510400`, `county:510402`, `industry:31`, or two joined by `+`."""
    hour: int
    """The version, and the instant (data time) that the figures hold for."""
    windows: tuple[Window, ...]
    """The year and the month to the hour, and earlier ones that units told anew."""
    standings: tuple[Standing, ...] = ()


def regions_of(code: str) -> tuple[str, ...]:
    """A region and those that it lies in: 510402, 510400, 510000."""
    return tuple(dict.fromkeys((code, f"{code[:4]}00", f"{code[:2]}0000")))
