"""Alerts: what is remembered of one, and each transition of it as a fact that is told once.

Instants are milliseconds of event time, as ticks bring it. No field holds a wall clock's time.
"""

from hashlib import sha256
from typing import Literal

from pydantic import BaseModel, ConfigDict

from schemas.calendar import WindowKind
from schemas.indicator import Judged, LimitJudged, Silent, Version
from schemas.landing import Landed, Regime
from schemas.regions import Standing
from schemas.rule import Kind, Severity

State = Literal["inactive", "pending", "firing", "resolved", "retracted"]
STATES: tuple[State, ...] = ("inactive", "pending", "firing", "resolved", "retracted")
TOLD: frozenset[State] = frozenset({"firing", "resolved", "retracted"})
"""States that people hear of."""

Cause = Literal[
    "reading",
    "late reading",
    "time",
    "limit",
    "restatement",
    "factor",
    "rule",
    "history ends",
    "declared stop",
]
"""The indicator's, or what changed beside the readings: the limit, a factor, the alert rule.

`history ends`: the unit went live while the alert was firing. `declared stop`: a stop was declared late.
"""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Key(_Frozen):
    """What makes an alert one alert: rule + unit + window start (None for silent points), and of a product line its limit."""

    rule: str
    unit: str
    window_start: int | None
    limit: str | None = None
    """Line and limit: `kiln: cement.clinker.comprehensive level 3`."""


class HeldToLimit(_Frozen):
    """A product line against one level of one limit, in one window."""

    line: str
    name: str
    window: WindowKind
    start: int
    end: int
    limit: LimitJudged


class Evidence(_Frozen):
    """What the indicator said, as known then."""

    version: Version
    as_of: int
    configuration: int
    regime: Regime = "energy"
    """Of a year's verdict or landing: by which of both it is said."""
    judged: Judged | None
    """The window's figures and verdict; None for silent points."""
    silent: tuple[Silent, ...]
    standing: Standing | None = None
    """Of a target's level; None for units."""
    landed: Landed | None = None
    """Of where a unit's year lands; None for all else."""
    held: HeldToLimit | None = None
    """Of a product limit; None for all else."""


class Alert(_Frozen):
    """What is remembered of an alert that is pending or firing. Of an inactive one nothing is."""

    key: Key
    kind: Kind
    severity: Severity
    window: WindowKind | None
    window_end: int | None
    state: Literal["pending", "firing"]
    cause: Cause
    """What made the condition begin."""
    told_at: int
    """The tick that first told the condition; the hold runs from here."""
    since: int
    """Since when it holds by what is known now.

    A breach's quarter hour, the first silent point's end, else `told_at`.
    """
    evidence: Evidence
    """The newest, whether the condition holds in it or not."""
    episode: str | None = None
    """Id of the transition that fired; None while pending."""
    in_history: bool = False
    """It fired while the unit was in history."""
    cleared_at: int | None = None
    """The tick that told the condition's end; the recover hold runs from here. None: it holds."""
    cleared_by: Cause | None = None
    stopped_until: int | None = None
    """Pending, and held back by a declared stop until then; the hold runs from here. None: by none."""


class Transition(_Frozen):
    """One change of an alert's state. Key: unit. Unique by `id`.

    `id` is the idempotency key of each of its deliveries: whatever is replayed, restarted or sent
    again, the same change has the same id.
    """

    id: str
    rule: str
    rule_version: str
    kind: Kind
    severity: Severity
    unit: str
    window: WindowKind | None
    window_start: int | None
    window_end: int | None
    limit: str | None = None
    """Of a product line: line and limit."""
    previous: State
    state: State
    at: int
    """The tick that told it."""
    since: int
    """Since when the condition holds, or of one that ended: since when it held."""
    cause: Cause
    """What made this change: of a firing after its hold, of a passed window, it is `time`."""
    began_by: Cause
    """What made the condition begin."""
    version: Version
    """Where in the log it was told."""
    history: bool
    """The unit was in history: stored, and sent only on request."""
    episode: str | None
    """Id of the transition that fired, first of all, in this run of the alert; None if none did."""
    evidence: Evidence


class Notice(Transition):
    """A transition as it is told: a line of `alerts replay`, the body of a webhook."""

    labels: dict[str, str]
    """Who and what, the same from firing to its end; never a value."""
    annotations: dict[str, str]


def transition_id(key: Key, version: Version, state: State) -> str:
    """Return the idempotency key: of rule, unit, window start, indicator version, new state."""
    told = "\n".join(
        [
            key.rule,
            key.unit,
            "" if key.window_start is None else str(key.window_start),
            f"{version.generation}.{version.partition}.{version.offset}.{version.position}",
            state,
            *([] if key.limit is None else [key.limit]),
        ]
    )
    return sha256(told.encode()).hexdigest()[:32]
