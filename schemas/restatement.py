"""What other factors change, as it was foretold: the content of a proposal that one login makes and another approves.

Amounts are integers of 10⁻⁶ t (tce, CO2), instants are milliseconds.
"""

from collections.abc import Mapping
from typing import Literal

from schemas.entered import Entered
from schemas.landing import Regime

Verdict = Literal["PASS", "FAIL", "UNDECIDABLE"]


class Bounds(Entered):
    """Low, best and high; `high` None is unknown."""

    low: int
    best: int
    high: int | None


class Held(Entered):
    """CO2 of a year against the unit's budget."""

    verdict: Verdict | None
    reason: str | None
    since: int | None


class Year(Held):
    """A unit's year as told; verdict, reason and since are those of energy against its quota."""

    as_of: int
    energy: Bounds | None
    co2: Bounds | None
    budget: Held | None = None
    """None: it has no CO2 budget, or was told by a release that did not look at it."""

    def held(self, regime: Regime) -> Held | None:
        """What it is held to by one regime; None where it has no limit in it."""
        if regime == "carbon":
            return self.budget
        return self if self.verdict else None


class UnitMoved(Entered):
    """A unit whose year is told otherwise."""

    unit: str
    year: int
    before: Year
    after: Year


class LimitMoved(Entered):
    """A product limit of a line that is judged otherwise."""

    unit: str
    line: str
    window: Literal["month", "year"]
    start: int
    limit: str
    before: str
    after: str


class Stood(Entered):
    """Where a target stood, or would have stood, at the hour told last."""

    used: Bounds
    verdict: Verdict
    reason: str
    level: int | None


class TargetMoved(Entered):
    """A target of a region or industry whose sum is another."""

    target: str
    scope: str
    quantity: Literal["energy", "co2"] | None = None
    """None: foretold by a release that did not keep it."""
    hour: int
    before: Stood
    after: Stood


class Undone(Entered):
    """A notice of a breach that would not have been sent, or not then."""

    notice: str
    unit: str
    rule: str
    at: int
    why: str


class Foreseen(Entered):
    """All that a configuration would change, if it were applied where each partition went on."""

    generation: int
    offsets: Mapping[int, int]
    """By partition: the next record that was not digested."""
    units: tuple[UnitMoved, ...] = ()
    limits: tuple[LimitMoved, ...] = ()
    targets: tuple[TargetMoved, ...] = ()
    undone: tuple[Undone, ...] = ()
    told: Mapping[str, str] = {}
    """By unit: SHA-256 of all the windows that it would be told."""

    def decisions(self) -> dict[str, object]:
        """Verdicts, levels and notices alone: what must be the same where readings have come since."""
        return {
            "quotas": self._verdicts("energy"),
            "budgets": self._verdicts("carbon"),
            "limits": sorted(
                (one.unit, one.line, one.start, one.limit, one.after) for one in self.limits
            ),
            "targets": {
                one.target: (
                    (one.before.verdict, one.before.level),
                    (one.after.verdict, one.after.level),
                )
                for one in self.targets
                if (one.before.verdict, one.before.level) != (one.after.verdict, one.after.level)
            },
            "notices": sorted(one.notice for one in self.undone),
        }

    def _verdicts(self, regime: Regime) -> dict[str, tuple[Verdict | None, Verdict | None]]:
        """By unit and year, those that change."""
        found = {
            f"{one.unit} {one.year}": (_verdict(one.before, regime), _verdict(one.after, regime))
            for one in self.units
        }
        return {key: (was, now) for key, (was, now) in found.items() if was != now}


def _verdict(year: Year, regime: Regime) -> Verdict | None:
    held = year.held(regime)
    return None if held is None else held.verdict
