"""What may go: by the settings, by what an open period still needs, by holds. Pure; business days, [from, to)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from schemas.calendar import DAY_MS, OFFSET_MS, year_of, year_start

EPOCH = date(1970, 1, 1)
_MARGIN = timedelta(days=1)
"""Neighbours of a reading lie at most an hour before it, or in a gap; a day has both."""


class Need(NamedTuple):
    """Rows from this day on are needed, and by what."""

    day: date
    why: str


class Hold(NamedTuple):
    """From and to are in it; `to_day` None is without end."""

    from_day: date
    to_day: date | None
    whose: str

    def covers(self, first: date, after: date) -> bool:
        """Whether it holds something of [first, after)."""
        return self.from_day < after and (self.to_day is None or first <= self.to_day)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a table, by business day."""

    name: str
    first: date
    after: date
    made: date
    """When it was begun: an import of long ago is young."""
    bytes: int


@dataclass(frozen=True, slots=True)
class Kept:
    """An old chunk that stays, and why."""

    chunk: Chunk
    why: str


def day_of(at: int) -> date:
    """The business day of an instant in ms."""
    return EPOCH + timedelta(days=(at + OFFSET_MS) // DAY_MS)


def instant_of(day: date) -> int:
    """Where a business day begins, ms."""
    return (day - EPOCH).days * DAY_MS - OFFSET_MS


def horizon_need(at: int, horizon_days: int) -> Need:
    """The business year that the oldest reading still taken falls into."""
    year = year_of(at - horizon_days * DAY_MS)
    return Need(
        day_of(year_start(year)),
        f"the year {year}, which readings within {horizon_days} days reach",
    )


def first_need(needs: Iterable[Need]) -> Need:
    """The earliest, a day before it for neighbours."""
    day, why = min(needs)
    return Need(day - _MARGIN, why)


def cutoff(today: date, days: int, needs: Iterable[Need]) -> Need:
    """Rows before this day may go, and what decides it."""
    return min([Need(today - timedelta(days=days), f"kept for {days:,} days"), *needs])


def chunks_to_drop(
    chunks: Sequence[Chunk], *, today: date, days: int, need: Need, holds: Sequence[Hold]
) -> tuple[list[Chunk], list[Kept]]:
    """Of those that are old by their days and by when they were begun: what goes, and what stays and why."""
    old = today - timedelta(days=days)
    going: list[Chunk] = []
    staying: list[Kept] = []
    for chunk in sorted(chunks, key=lambda chunk: chunk.first):
        if chunk.after > old:
            continue
        why = "; ".join(_reasons(chunk, old, need, holds))
        if why:
            staying.append(Kept(chunk, why))
        else:
            going.append(chunk)
    return going, staying


def _reasons(chunk: Chunk, old: date, need: Need, holds: Sequence[Hold]) -> Iterator[str]:
    if chunk.after > need.day:
        yield f"needed by {need.why}"
    if chunk.made > old:
        yield f"begun on {chunk.made}"
    for hold in holds:
        if hold.covers(chunk.first, chunk.after):
            yield f"held for {hold.whose}"
