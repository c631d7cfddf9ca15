"""The oracle, RULES section 2: what a section says, what of it counts, and which claim wins."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from schemas.calendar import DAY_MS, OFFSET_MS, window_end, window_start
from schemas.registry import LENGTH_MS, STATEMENTS, Point, Unit
from schemas.scale import SCALE
from schemas.section import WITHDRAWN, Column, Section

TOLERANCE_MS = 300_000
"""How far ahead of `received_at` an instant may lie before it is `future`."""

Class = Literal["accepted", "repeated", "superseded", "rejected", "unreadable"]


class Claim(NamedTuple):
    """One reading as it counts; without a value it withdraws."""

    point: str
    statement: str
    at: int
    rank: int
    revision: int
    sent_at: int
    value: int | None

    @property
    def identity(self) -> tuple[str, str, int]:
        """What the claim is about."""
        return self[:3]


class Reading(NamedTuple):
    """A claim as it arrived."""

    claim: Claim
    unit_of_measure: str
    received_at: int


class Refusal(NamedTuple):
    """A reading that was rejected by its section's unit, and why."""

    claim: Claim
    reason: str


def readings(section: Section) -> list[Reading]:
    """The readings of a section, in the order of arrival."""
    size = len(section)
    columns = (
        _texts(section.names, section.point, size),
        _texts(STATEMENTS, section.statement, size),
        _numbers(section.at, size),
        _numbers(section.rank, size),
        _numbers(section.revision, size),
        _numbers(section.sent_at, size),
        [
            None if flags & WITHDRAWN else value
            for value, flags in zip(
                _numbers(section.value, size), _numbers(section.flags, size), strict=True
            )
        ],
    )
    measures = _texts(section.units_of_measure, section.unit_of_measure, size)
    claims = map(Claim, *columns)
    return [
        Reading(claim, measure, section.received_at)
        for claim, measure in zip(claims, measures, strict=True)
    ]


def _numbers(column: Column, size: int) -> list[int]:
    return [column] * size if isinstance(column, int) else column.tolist()


def _texts(texts: Sequence[str], column: Column, size: int) -> list[str]:
    """The texts that a column counts into; a number beyond them is no known name."""
    return [texts[i] if 0 <= i < len(texts) else f"#{i}" for i in _numbers(column, size)]


def allowed(rated: int, start: int, end: int) -> int:
    """The most that can have passed in [start, end): the rated staircase, R(end) − R(start)."""
    return rated * end // 3_600_000 - rated * start // 3_600_000


@lru_cache(maxsize=100_000)
def month_of(at: int) -> tuple[int, int]:
    """Start and end of the business month of an instant."""
    start = window_start("month", at)
    return start, window_end("month", start)


def end_of(statement: str, at: int) -> int:
    """End of what a reading speaks of: the instant itself for a register, the period's end else."""
    if statement == "register":
        return at
    return month_of(at)[1] if statement == "P1M" else at + LENGTH_MS[statement]


def on_grid(point: Point, statement: str, at: int) -> bool:
    """Periods begin on a grid: business midnight for P1D and the hour else, where none is told.

    A point's own anchor is that of its primary statement.
    """
    if statement == "register":
        return True
    if statement == "P1M":
        return at == month_of(at)[0]
    default = -OFFSET_MS if statement == "P1D" else 0
    told = point.anchor_ms if statement == point.statement else None
    anchor = default if told is None else told
    return (at - anchor) % LENGTH_MS[statement] == 0


def refusal(
    unit: Unit | None, points: dict[str, Point], reading: Reading, *, live: bool
) -> str | None:
    """The first reason to reject a reading by itself, or None."""
    point = points.get(reading.claim.point)
    if unit is None or point is None:
        return "unknown point"
    return (
        misnamed(point, reading)
        or mistimed(unit, point, reading, live=live)
        or impossible(point, reading.claim)
    )


def misnamed(point: Point, reading: Reading) -> str | None:
    """Why a reading is not of this point, or None."""
    if reading.claim.statement not in (point.statement, *point.others):
        return "unknown statement"
    if reading.unit_of_measure != point.unit_of_measure:
        return "wrong unit of measure"
    return None


def mistimed(unit: Unit, point: Point, reading: Reading, *, live: bool) -> str | None:
    """Why a reading cannot be of its time, or None."""
    claim, received_at = reading.claim, reading.received_at
    end = end_of(claim.statement, claim.at)
    if claim.at < point.begins or (point.ends is not None and end > point.ends):
        return "outside validity"
    if max(claim.sent_at, end) > received_at + TOLERANCE_MS:
        return "future"
    if live and claim.at < received_at - unit.horizon_days * DAY_MS:
        return "too old"
    return None if on_grid(point, claim.statement, claim.at) else "off grid"


def impossible(point: Point, claim: Claim) -> str | None:
    """Why a value cannot be, or None; a claim without a value withdraws, and can always be."""
    if claim.value is None:
        return None
    if claim.value < 0:
        return "negative"
    if claim.statement == "register":
        return "beyond dial" if claim.value >= dial(point) else None
    if claim.value > allowed(point.rated, claim.at, end_of(claim.statement, claim.at)):
        return "faster than rated"
    return None


def dial(point: Point) -> int:
    """M: where the register rolls over, in 10⁻⁶ of the dial's unit."""
    return int(10 ** (point.digits or 0)) * SCALE


def winner(claims: Iterable[Claim]) -> Claim | None:
    """The greatest (rank, revision, sent_at, value) of one identity's claims not withdrawn."""
    claims = list(claims)
    withdrawals = [claim for claim in claims if claim.value is None]
    standing = [
        claim
        for claim in claims
        if claim.value is not None and not any(_withdraws(w, claim) for w in withdrawals)
    ]
    return max(
        standing,
        key=lambda claim: (claim.rank, claim.revision, claim.sent_at, claim.value),
        default=None,
    )


def _withdraws(withdrawal: Claim, claim: Claim) -> bool:
    same = (withdrawal.identity, withdrawal.rank) == (claim.identity, claim.rank)
    return same and (claim.revision, claim.sent_at) <= (withdrawal.revision, withdrawal.sent_at)


def class_on_arrival(claim: Claim, kept: Sequence[Claim]) -> Class:
    """The class of a claim that was not rejected, beside those of its identity kept so far."""
    if claim in kept:
        return "repeated"
    if claim.value is not None and winner([*kept, claim]) != claim:
        return "superseded"
    return "accepted"
