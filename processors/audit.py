"""What is kept of a unit against what its readings make of it: the comparison, without tables or clock."""

from collections.abc import Mapping
from dataclasses import dataclass

from processors.ports import Gap, Rebuilt
from schemas.calendar import HOUR_MS, OFFSET_MS

Hours = Mapping[tuple[int, str], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Difference:
    """An hour of a quantity that is kept otherwise than its readings make it: best, 10⁻⁶ of the unit of measure."""

    hour: int
    quantity: str
    kept: int
    worked_out: int


@dataclass(frozen=True, slots=True)
class Audit:
    """What a look at one unit found."""

    unit: str
    hours: int
    """Hours that say something, of all quantities."""
    differences: tuple[Difference, ...]
    gaps: int
    """Gaps that are in one of the two only."""
    ends: bool
    """Whether the points' ends are the same."""
    not_counted: int
    """Readings that would count now and are not kept so."""

    @property
    def in_order(self) -> bool:
        """Nothing differs."""
        return not (self.differences or self.gaps or self.not_counted) and self.ends


def audit(unit: str, kept: tuple[Hours, frozenset[Gap], tuple[int, ...]], made: Rebuilt) -> Audit:
    """Compare the kept hours, gaps and ends with those worked out."""
    hours, gaps, ends = kept
    keys = hours.keys() | made.hours.keys()
    differences = tuple(
        Difference(*key, kept=_best(hours.get(key)), worked_out=_best(made.hours.get(key)))
        for key in sorted(keys)
        if hours.get(key) != made.hours.get(key)
    )
    return Audit(
        unit=unit,
        hours=len(keys),
        differences=differences,
        gaps=len(gaps ^ frozenset(made.gaps)),
        ends=ends == made.ends,
        not_counted=sum(len(row.at) for row in made.admitted),
    )


def _best(numbers: tuple[int, ...] | None) -> int:
    return 0 if numbers is None else numbers[0]


def within(found: Audit, from_day: int | None, to_day: int | None) -> Audit:
    """The differences of some business days (since 1970-01-01, the last one included)."""
    first = -(2**62) if from_day is None else from_day
    last = 2**62 if to_day is None else to_day
    some = tuple(one for one in found.differences if first <= day_of(one.hour) <= last)
    return Audit(found.unit, found.hours, some, found.gaps, found.ends, found.not_counted)


def day_of(hour: int) -> int:
    """Business day of an hour since the epoch."""
    return (hour * HOUR_MS + OFFSET_MS) // (24 * HOUR_MS)
