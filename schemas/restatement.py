"""What other factors change, as it was foretold: the content of a proposal that one login makes and another approves.

Amounts are integers of 10⁻⁶ t (tce, CO2), instants are milliseconds.
"""

from collections.abc import Mapping
from typing import Literal

from schemas.entered import Entered

Verdict = Literal["PASS", "FAIL", "UNDECIDABLE"]


class Bounds(Entered):
    """Low, best and high; `high` None is unknown."""

    low: int
    best: int
    high: int | None


class Year(Entered):
    """A unit's year as told."""

    as_of: int
    energy: Bounds | None
    co2: Bounds | None
    verdict: Verdict | None
    reason: str | None
    since: int | None


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
            "units": {
                f"{one.unit} {one.year}": (one.before.verdict, one.after.verdict)
                for one in self.units
                if one.before.verdict != one.after.verdict
            },
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
