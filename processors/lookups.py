"""Which rows answer the engine's spans, and the claims that lie in them. The store only asks and hands over."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from processors.narrow import NarrowForm
from processors.ports import Claim, HourSpan, Ints, Span
from schemas.calendar import DAY_MS, OFFSET_MS
from schemas.section import DECLARED, WITHDRAWN

_AT_BITS = 43
_AT_ZERO = 2**42
"""Instants within 139 years of 1970 as 43 bits without sign."""
_AT_ENDS = 2**_AT_BITS - 1
_SHORT = 7 * DAY_MS
"""Spans up to this are looked up day by day, which says to PostgreSQL which chunks to open."""
_FIRST_DAY, _LAST_DAY = -36_500, 73_000
"""Days since 1970 of about 1870 and 2170: "for ever" as a date."""


class DayLookup(NamedTuple):
    """Rows of one unit's business day (days since 1970) that overlap [from_at, to_at)."""

    unit: int
    day: int
    from_at: int
    to_at: int


class LongLookup(NamedTuple):
    """Rows of one unit on the business days first_day to last_day that overlap [from_at, to_at)."""

    unit: int
    first_day: int
    last_day: int
    from_at: int
    to_at: int


class HourLookup(NamedTuple):
    """Hour rows of one unit with from_hour ≤ hour < to_hour."""

    unit: int
    from_hour: int
    to_hour: int


class RecordRow(NamedTuple):
    """A row of `reading_record`, or of `rejection_record` (rejected), as it is read back."""

    unit: int
    day: int
    first_at: int
    generation: int
    partition: int
    offset: int
    part: int
    statement: int
    rank: int
    revision: int
    flags: int
    rejected: bool
    point: Ints
    at: Ints
    value: Ints
    sent_at: Ints

    @classmethod
    def of(cls, columns: Sequence[Any]) -> "RecordRow":
        """A row of statements.RECORDS or REJECTIONS."""
        wide = cls._make(columns[: len(cls._fields)])
        narrow = NarrowForm(*columns[len(cls._fields) :])
        at, value, sent_at = narrow.widened(wide.at, wide.value, wide.sent_at)
        return wide._replace(at=at, value=value, sent_at=sent_at)

    def key(self) -> tuple[int, ...]:
        """Primary key, and which of the two tables."""
        return (*self[:7], self.rejected)


def record_lookups(
    spans: Iterable[Span], ids: Mapping[str, int]
) -> tuple[list[DayLookup], list[LongLookup]]:
    """Where the claims of known units lie: short spans cut at business midnight, long ones apart.

    Each instant of a unit once: its points share their rows. "All that comes after" is a span, too.
    """
    short: dict[tuple[int, int], list[tuple[int, int]]] = {}
    long: dict[int, list[tuple[int, int]]] = {}
    for span in spans:
        unit = ids.get(span.unit)
        if unit is None or span.from_at >= span.to_at:
            continue
        if span.to_at - span.from_at > _SHORT:
            long.setdefault(unit, []).append((span.from_at, span.to_at))
            continue
        for day, start, end in _days(span.from_at, span.to_at):
            short.setdefault((unit, day), []).append((start, end))
    by_day = [
        DayLookup(unit, day, start, end)
        for (unit, day), parts in sorted(short.items())
        for start, end in _united(parts)
    ]
    by_span = [
        LongLookup(unit, _day(start), _day(end - 1), start, end)
        for unit, parts in sorted(long.items())
        for start, end in _united(parts)
    ]
    return by_day, by_span


def hour_lookups(spans: Iterable[HourSpan], ids: Mapping[str, int]) -> list[HourLookup]:
    """The spans of units that are known, each hour once."""
    hours: dict[int, list[tuple[int, int]]] = {}
    for span in spans:
        unit = ids.get(span.unit)
        if unit is not None:
            hours.setdefault(unit, []).append((span.from_hour, span.to_hour))
    return [
        HourLookup(unit, start, end)
        for unit, parts in sorted(hours.items())
        for start, end in _united(parts)
    ]


def claims_in(
    rows: Iterable[RecordRow],
    spans: Iterable[Span],
    ids: Mapping[str, int],
    codes: Mapping[int, str],
) -> tuple[Claim, ...]:
    """The claims of these rows that lie in one of the spans."""
    wanted = _Wanted.of(spans, ids)
    distinct = list({row.key(): row for row in rows}.values())
    if not distinct or not len(wanted.keys):
        return ()
    sizes = [len(row.at) for row in distinct]
    which = np.repeat(np.arange(len(distinct)), sizes)
    at = np.concatenate([row.at + row.first_at for row in distinct])
    point = np.concatenate([row.point for row in distinct])
    unit = np.repeat(np.array([row.unit for row in distinct], dtype=np.int64), sizes)
    statement = np.repeat(np.array([row.statement for row in distinct], dtype=np.int64), sizes)
    inside = np.flatnonzero(wanted.hold(_key(unit, point, statement), at))
    value = np.concatenate([row.value for row in distinct])
    sent_at = np.concatenate([np.broadcast_to(row.sent_at, len(row.at)) for row in distinct])
    columns = (which, point, at, sent_at, value)
    return tuple(
        _claim(distinct[row], codes, *entry)
        for row, *entry in zip(*(column[inside].tolist() for column in columns), strict=True)
    )


def _claim(
    row: RecordRow, codes: Mapping[int, str], point: int, at: int, sent_at: int, value: int
) -> Claim:
    return Claim(
        codes[row.unit],
        point,
        row.statement,
        at,
        row.rank,
        row.revision,
        sent_at,
        value,
        bool(row.flags & WITHDRAWN),
        row.rejected,
        bool(row.flags & DECLARED),
    )


def _day(at: int) -> int:
    """Business day, no farther away than a table can know."""
    return min(max((at + OFFSET_MS) // DAY_MS, _FIRST_DAY), _LAST_DAY)


def _days(start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(business day, from, to) of every day that [start, end) touches."""
    first, last = (start + OFFSET_MS) // DAY_MS, (end - 1 + OFFSET_MS) // DAY_MS
    for day in range(first, last + 1):
        midnight = day * DAY_MS - OFFSET_MS
        yield day, max(start, midnight), min(end, midnight + DAY_MS)


def _united(parts: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same instants as spans that neither overlap nor touch, in order; empty ones left out."""
    united: list[tuple[int, int]] = []
    for start, end in sorted(part for part in parts if part[0] < part[1]):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(end, united[-1][1]))
        else:
            united.append((start, end))
    return united


def _key(unit: Ints, point: Ints, statement: Ints) -> Ints:
    """Unit, point and statement as one number."""
    result: Ints = (unit << 20) | ((point + 1) << 4) | statement
    return result


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Spans by key, none overlapping: `starts` holds (place of the key, start) as one number, in order."""

    keys: Ints
    starts: Ints
    ends: Ints

    @classmethod
    def of(cls, spans: Iterable[Span], ids: Mapping[str, int]) -> "_Wanted":
        by_key: dict[int, list[tuple[int, int]]] = {}
        for span in spans:
            unit = ids.get(span.unit)
            if unit is not None:
                key = (unit << 20) | ((span.point + 1) << 4) | span.statement
                by_key.setdefault(key, []).append((span.from_at, span.to_at))
        keys = sorted(by_key)
        parts = [(place, *part) for place, key in enumerate(keys) for part in _united(by_key[key])]
        columns = np.array(parts, dtype=np.int64).reshape(-1, 3)
        return cls(
            np.array(keys, dtype=np.int64), _placed(columns[:, 0], columns[:, 1]), columns[:, 2]
        )

    def hold(self, key: Ints, at: Ints) -> np.typing.NDArray[np.bool_]:
        """Whether (key, at) lies in one of the spans."""
        place = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        known = self.keys[place] == key
        if not len(self.starts):
            return np.zeros(len(key), dtype=bool)
        span = np.searchsorted(self.starts, _placed(place, at), side="right") - 1
        same_key = (span >= 0) & (self.starts[span] >> _AT_BITS == place)
        held: np.typing.NDArray[np.bool_] = known & same_key & (at < self.ends[span])
        return held


def _placed(place: Ints, at: Ints) -> Ints:
    result: Ints = (place << _AT_BITS) | np.clip(at + _AT_ZERO, 0, _AT_ENDS)
    return result
