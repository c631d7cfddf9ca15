"""A plant's year worked out a second time: straight from the file, in Decimal, row by row.

It knows the file (data README) and the arithmetic of schemas/RULES.md for a complete year of quarter
hours, and nothing of Weir's code: what the servers say is held against it.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

KGCE_PER_KWH = Decimal("0.1229")
KGCO2_PER_KWH = Decimal("0.1031")

_CST = timezone(timedelta(hours=8))
_QUARTER = timedelta(minutes=15)
_PLACES = Decimal("0.000001")


class FileError(ValueError):
    """A file that is not a complete year of quarter hours."""


@dataclass(frozen=True, slots=True)
class Quarter:
    """One row: a quarter hour by its end, and the energy in it."""

    end: datetime
    kwh: Decimal


@dataclass(frozen=True, slots=True)
class Year:
    """What a file comes to."""

    year: int
    rows: int
    largest_kwh: Decimal
    months_kwh: tuple[Decimal, ...]
    tce: Decimal
    co2: Decimal
    reached: tuple[tuple[datetime, Decimal], ...]
    """At each quarter-hour end the tce of the year so far: full hours rounded once, and the open one."""

    @property
    def kwh(self) -> Decimal:
        """Of the year."""
        return sum(self.months_kwh, Decimal(0))

    def since(self, quota: Decimal) -> datetime | None:
        """The first quarter-hour end at which the quota is exceeded; reaching it is not exceeding."""
        return next((end for end, tce in self.reached if tce > quota), None)


def quarters(path: Path) -> Iterator[Quarter]:
    """The file's rows in its order. A label is the end; the midnight row belongs to the day that ends."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            label = datetime.strptime(row["date"], "%d/%m/%Y %H:%M").replace(tzinfo=_CST)
            midnight = (label.hour, label.minute) == (0, 0)
            yield Quarter(label + timedelta(days=int(midnight)), Decimal(row["Usage_kWh"]))


def year_of(path: Path) -> Year:
    """What the file comes to. FileError where it is not one complete year in order."""
    told = list(quarters(path))
    if not told:
        message = f"{path} has no rows"
        raise FileError(message)
    start = told[0].end - _QUARTER
    for place, quarter in enumerate(told, 1):
        if quarter.end != start + place * _QUARTER:
            message = (
                f"{path}: row {place} ends at {quarter.end}, not at {start + place * _QUARTER}"
            )
            raise FileError(message)
    if (told[-1].end, start.month, start.day) != (start.replace(year=start.year + 1), 1, 1):
        message = f"{path} goes from {start} to {told[-1].end}: not one year"
        raise FileError(message)
    months = [Decimal(0)] * 12
    for quarter in told:
        months[(quarter.end - _QUARTER).month - 1] += quarter.kwh
    reached = tuple(_reached(told, KGCE_PER_KWH))
    return Year(
        year=start.year,
        rows=len(told),
        largest_kwh=max(quarter.kwh for quarter in told),
        months_kwh=tuple(months),
        tce=reached[-1][1],
        co2=list(_reached(told, KGCO2_PER_KWH))[-1][1],
        reached=reached,
    )


def _reached(told: list[Quarter], kilograms_per_kwh: Decimal) -> Iterator[tuple[datetime, Decimal]]:
    """Tonnes so far at each quarter-hour end: an hour is converted and rounded once, half even."""
    whole = open_hour = Decimal(0)
    for quarter in told:
        open_hour += quarter.kwh
        partial = (open_hour * kilograms_per_kwh / 1000).quantize(_PLACES, ROUND_HALF_EVEN)
        yield quarter.end, whole + partial
        if quarter.end.minute == 0:
            whole, open_hour = whole + partial, Decimal(0)


def milliseconds(when: datetime) -> int:
    """Since 1970-01-01 UTC."""
    return (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
