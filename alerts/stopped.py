"""What a declared stop or maintenance holds back: alerts about missing data, while it lasts, and nothing else."""

from collections.abc import Sequence
from typing import Any

from schemas.alert import Alert, Evidence
from schemas.rule import Kind
from schemas.stop import Stop, covered_until

_MISSING = "missing data"


def held_until(alert: Alert, stops: Sequence[Stop], at: int) -> int | None:
    """Until when stops hold an alert back at the tick `at`; None: they do not."""
    points = _points_of(alert.kind, alert.evidence)
    ends = [covered_until(stops, point, at) for point in points]
    told = [end for end in ends if end is not None]
    return min(told) if told and len(told) == len(ends) else None


def was_declared(alert: Alert, stops: Sequence[Stop], at: int) -> bool:
    """Whether stops cover, without a break, from the tick that first told of it to `at`: told late, they would have held it back."""
    points = _points_of(alert.kind, alert.evidence)
    return bool(points) and all(
        (covered_until(stops, point, alert.told_at) or 0) > at for point in points
    )


def _points_of(kind: Kind, evidence: Evidence) -> Sequence[str | None]:
    """Points whose silence an alert is about; none where it is not about missing data, `None` for the unit as a whole."""
    match kind:
        case "silent points":
            return [one.point for one in evidence.silent]
        case "cannot be judged" if (
            evidence.judged is not None and evidence.judged.reason == _MISSING
        ):
            return [one.point for one in evidence.silent]
        case "limit cannot be judged" if (
            evidence.held is not None and evidence.held.limit.reason == _MISSING
        ):
            return [None]  # what is told of a line does not name its silent points
        case _:
            return []


def uncovered(kind: Kind, evidence: Evidence, stops: Sequence[Stop], at: int) -> Evidence:
    """The evidence of silence without points that stops cover, unless that is all of them."""
    if kind != "silent points" or not stops:
        return evidence
    left = tuple(one for one in evidence.silent if covered_until(stops, one.point, at) is None)
    return evidence.model_copy(update={"silent": left}) if left else evidence


def again(alert: Alert, until: int) -> Alert:
    """An alert that fired, as it would be had the stop been declared in time."""
    fresh: dict[str, Any] = {
        "state": "pending",
        "episode": None,
        "in_history": False,
        "stopped_until": until,
    }
    return alert.model_copy(update=fresh)
