"""What others are told: a unit's judged windows, and the tick that told them.

Amounts are integers of 10⁻⁶ of the unit of measure written beside them; instants are milliseconds.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.calendar import WindowKind
from schemas.landing import Landed, Regime
from schemas.regions import Standing
from schemas.stop import Stop

Verdict = Literal["PASS", "FAIL", "UNDECIDABLE"]
Reason = Literal["opening unknown", "missing data", "ambiguous data", "other factor view"]
"""`other factor view`: a CO2 budget is meant in another view of electricity's factor than the unit is converted by."""
FIGURE_OF: dict[Regime, str] = {"energy": "energy", "carbon": "co2"}
Cause = Literal["time", "reading", "late reading", "limit", "restatement", "factor"]


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Version(_Told):
    """Where in the log this was told. Greater is newer; receivers ignore what is not newer than what they hold."""

    generation: int
    partition: int
    offset: int
    position: int

    def key(self) -> tuple[int, int, int]:
        """Order within a unit."""
        return self.generation, self.offset, self.position


class Figure(_Told):
    """One quantity in one window: low ≤ best ≤ high; `high` None is unknown."""

    unit_of_measure: str
    low: int
    best: int
    high: int | None
    share_measured: int
    """Expected point-time under exact pieces, in 10⁻⁶."""
    factors: tuple[str, ...] = ()
    """Ids of the factors used and names of own heat values, of `energy`, `co2` and `process` only."""
    unverified: bool = False
    """True where one of the factors rests on a figure nobody has verified."""


class Against(_Told):
    """A year against what it may use."""

    limit: int | None = None
    """In 10⁻⁶ of the figure's unit of measure."""
    verdict: Verdict | None = None
    reason: Reason | None = None
    since: int | None = None
    """Of a FAIL: the first quarter-hour end at which `low` was above the limit."""
    suspected: bool = False
    """UNDECIDABLE, and the best estimate is above the limit."""


class AgainstBudget(Against):
    """CO2 of a year against the unit's budget."""

    limit: int
    verdict: Verdict
    view: str
    """The view of electricity's factor that the budget is meant in."""


class Judged(Against):
    """One window of one unit; of the year, energy against the unit's quota (10⁻⁶ tce) where it has one."""

    window: WindowKind
    start: int
    end: int
    figures: dict[str, Figure]
    budget: AgainstBudget | None = None
    """Of the year of a unit that has a CO2 budget."""

    def against(self, regime: Regime) -> Against:
        """The judgement of one regime; without a verdict where it has no limit."""
        return self if regime == "energy" else self.budget or Against()

    def used(self, regime: Regime) -> Figure | None:
        """What that judgement is about."""
        return self.figures.get(FIGURE_OF[regime])


class LineFigure(_Told):
    """One figure of a product line in one window; an end that is None is not known."""

    unit_of_measure: str
    low: int | None
    best: int | None
    high: int | None
    share_measured: int | None = None
    factors: tuple[str, ...] = ()
    unverified: bool = False
    said: Literal["not computable", "energy without output"] | None = None
    """Of the intensity: why there is none."""


class ComingLimit(_Told):
    """What a line would be by a limit that is published and not yet in force, if it were."""

    from_day: str
    """Business day on which it comes in force: `2027-01-01`."""
    verdict: Verdict
    suspected: bool


class LimitJudged(_Told):
    """One level of a product limit, judged alone. Amounts in 10⁻⁶ of `unit_of_measure`; None is not known."""

    regime: Literal["product limit"] = "product limit"
    limit: str
    """What is judged apart from all else: `cement.clinker.comprehensive level 3`."""
    indicator: str
    level: Literal[1, 2, 3]
    """1 advanced; 2 access; 3 the limit of existing plants."""
    region: str | None
    """Of a local standard."""
    unit_of_measure: str
    basis: str
    """How the standard counts electricity."""
    low: int | None
    best: int | None
    high: int | None
    """What the line used a unit of output, by the standard's own rules."""
    limit_low: int | None
    limit_high: int | None
    """The corrected limit: an interval where something that it depends on is not declared."""
    verdict: Verdict | Literal["NOT JUDGED"]
    reason: str | None
    since: int | None
    """Of a FAIL in an open window: the tick that found it."""
    suspected: bool
    entries: tuple[str, ...]
    """Ids of the packs' limits."""
    notes: tuple[str, ...]
    """Where it rests on an unverified figure, or on a day that nobody confirmed."""
    law: str
    """The packs that the limits are from."""
    coming: ComingLimit | None = None
    """Of a limit that is NOT JUDGED since it is not yet in force."""


class StandardEnergy(_Told):
    """What a product line used as the standard of one of its indicators counts energy. Amounts in 10⁻⁶; None is not known."""

    indicator: str
    unit_of_measure: Literal["tce", "toe", "kWh"]
    basis: str
    """How the standard counts electricity."""
    low: int | None
    best: int
    high: int | None
    factors: tuple[str, ...]
    """Ids of the standard's own coefficients, and of the unit's factors for other carriers."""
    unverified: bool
    """One of them is."""


class LineJudged(_Told):
    """One window of one product line."""

    window: WindowKind
    start: int
    end: int
    figures: dict[str, LineFigure]
    """`energy`, `co2`, the carriers, `output`, and `intensity` in 10⁻⁶ kgce a unit of output."""
    limits: tuple[LimitJudged, ...] = ()
    """Of months and years."""
    by_standard: tuple[StandardEnergy, ...] = ()
    """Of the same: its energy by the rules of each standard that it is held to."""


class Silent(_Told):
    """A point that should have spoken by now."""

    point: str
    since: int


class Indicator(_Told):
    """One unit, as told at one tick. Key: unit."""

    kind: Literal["unit"] = "unit"
    unit: str
    version: Version
    as_of: int
    """The tick (data time)."""
    cause: Cause
    """`late reading`: something before the last tick changed; `reading`: new readings; `time`: neither.

    `limit`: another quota, budget or opening balance came into force; `restatement`: all was worked out again from the readings;
    `factor`: converted by other factors.
    """
    configuration: int
    pending: int | None = None
    """A configuration that changes how readings count and waits: the figures are still those of `configuration`."""
    windows: tuple[Judged, ...]
    silent: tuple[Silent, ...]
    previous_verdict: Verdict | None = None
    """Of the year against the quota, as told before; of a CO2 budget the one before is not told."""
    history: bool = False
    """The unit was in history at this tick: its time is its own, and it is notified only on request."""


class LineTold(_Told):
    """One product line of a unit, as told where the unit is told in full. Key: `line:`, the unit's code, `:` and the line's id."""

    kind: Literal["line"] = "line"
    unit: str
    line: str
    name: str
    version: Version
    as_of: int
    cause: Cause
    configuration: int
    pending: int | None = None
    windows: tuple[LineJudged, ...]
    history: bool = False

    @property
    def subject(self) -> str:
        """As it is remembered, apart from what the unit itself tells; no unit's code has a colon."""
        return f"line:{self.unit}:{self.line}"


class Told(_Told):
    """The tick itself, after its indicators, so that holds elapse downstream.

    `unit` is set for the tick of one unit in history.
    """

    kind: Literal["tick"] = "tick"
    version: Version
    as_of: int
    unit: str | None = None


class LevelTold(_Told):
    """Where the target of a region or industry stands at a full hour. Key: `target:` and its id."""

    kind: Literal["level"] = "level"
    target: str
    scope: str
    version: Version
    """`offset` is the hour."""
    as_of: int
    cause: Literal["reading", "late reading", "time", "limit", "rule"]
    """Of a change of level: what moved it most. `limit`: the target or its schedule; `rule`: the level rule."""
    standing: Standing

    @property
    def subject(self) -> str:
        """As alerts name it; no unit's code has a colon."""
        return f"target:{self.target}"


class LandingTold(_Told):
    """Where a unit's year lands, at a business midnight. Key: `landing:`, of a CO2 budget `carbon:`, and the unit's code."""

    kind: Literal["landing"] = "landing"
    unit: str
    version: Version
    """`offset` is the midnight."""
    as_of: int
    cause: Literal["reading", "limit"]
    """`limit`: another quota or budget than at the midnight before."""
    history: bool = False
    """The unit was in history: its time is its own, and it is notified only on request."""
    landed: Landed

    @property
    def subject(self) -> str:
        """As it is remembered, apart from what the unit itself tells; no unit's code has a colon."""
        regime = "" if self.landed.regime == "energy" else f"{self.landed.regime}:"
        return f"landing:{regime}{self.unit}"


class StopsTold(_Told):
    """All declared stops and maintenances of a unit, as entered until then. Key: `stops:` and the unit's code."""

    kind: Literal["stops"] = "stops"
    unit: str
    version: Version
    """`offset` is the number of the unit's newest entry."""
    as_of: int
    """When that was entered, by the wall clock: it moves nobody's time."""
    stops: tuple[Stop, ...]

    @property
    def subject(self) -> str:
        """As it is remembered, apart from what the unit itself tells; no unit's code has a colon."""
        return f"stops:{self.unit}"


Message = Annotated[
    Indicator | LineTold | Told | LevelTold | LandingTold | StopsTold, Field(discriminator="kind")
]
