"""What a step says of its readings, as rows of arrays: claims, rejections, what the doors refused.

A row holds readings of one section and business day that share their scalars, at most 120 of them (below 2 kB).
"""

import json
from collections.abc import Sequence

import numpy as np

from processors.claims import ACCEPTED, REJECTED, SUPERSEDED
from processors.ports import Ints, ReadingRow, RefusedRow, WindowRow
from processors.state import State
from processors.validation import REASONS, UNKNOWN_POINT, Readings
from schemas.calendar import DAY_MS, OFFSET_MS
from schemas.section import Section, Unreadable
from schemas.wire import part_json

__all__ = ["WindowRow", "make", "refused", "unknown_unit", "unreadable"]

LONGEST = 120
Place = tuple[int, int]
Parts = dict[Place, int]


def _next(parts: Parts, place: Place) -> int:
    parts[place] = parts.get(place, -1) + 1
    return parts[place]


def unreadable(place: Place, part: Unreadable, parts: Parts) -> RefusedRow:
    """A payload that could not be read, kept."""
    return RefusedRow(part.unit, part.received_at, *place, _next(parts, place), "unreadable", part.reason, part.payload, part.length, part.sha256)


def refused(place: Place, part: Section, parts: Parts) -> list[RefusedRow]:
    """Single readings that the door refused, kept."""
    return [
        RefusedRow(part.unit, part.received_at, *place, _next(parts, place), "refused", item.reason, item.original.encode(), len(item.original), "")
        for item in part.refused
    ]


def unknown_unit(place: Place, part: Section, kept: list[RefusedRow], parts: Parts) -> None:
    """Readings of a unit that no configuration of the partition names: kept whole."""
    if len(part):
        original = json.dumps(part_json(part), separators=(",", ":"), ensure_ascii=False).encode()
        kept.append(RefusedRow(part.unit, part.received_at, *place, _next(parts, place), "unknown unit", "unknown point", original, len(original), ""))


def make(
    state: State, sections: Sequence[tuple[int, int, Section]], readings: Readings, decided: tuple[Ints, Ints],
    kept: list[ReadingRow], rejected: list[ReadingRow], parts: Parts,
) -> None:
    """Rows of all sections; `decided`: reason code and class of each reading."""
    code, classes = decided
    day = (readings.at + OFFSET_MS) // DAY_MS
    first = 0
    number = state.p_number[np.maximum(readings.point, 0)] if len(state.p_unit) else readings.point
    for partition, offset, section in sections:
        last = first + len(section)
        if last > first:
            mine = slice(first, last)
            keep = (classes[mine] == ACCEPTED) | (classes[mine] == SUPERSEDED)
            table = _Rows((partition, offset), section, readings, (number, day, code), first, parts)
            kept.extend(table.rows(np.flatnonzero(keep) + first, whole=bool(keep.all())))
            bad = classes[mine] == REJECTED
            if bad.any():
                rejected.extend(table.rows(np.flatnonzero(bad) + first, whole=False))
        first = last


class _Rows:
    """Cuts the readings of one section into rows."""

    def __init__(self, place: Place, section: Section, readings: Readings, columns: tuple[Ints, Ints, Ints], first: int, parts: Parts) -> None:
        self._place, self._section, self._readings, self._first, self._parts = place, section, readings, first, parts
        self._number, self._day, self._code = columns

    def rows(self, some: Ints, *, whole: bool) -> list[ReadingRow]:
        """Rows of these readings (indices into the columns); `whole`: all of the section."""
        if not len(some):
            return []
        keys = self._varying(some)
        if whole and not keys and self._day[some[0]] == self._day[some[-1]] and (self._day[some] == self._day[some[0]]).all():
            return [self._row(some[i : i + LONGEST]) for i in range(0, len(some), LONGEST)]
        keys.append(self._day[some])
        keys.append(self._code[some])
        order = np.lexsort(keys)
        table = np.stack(keys)[:, order]
        change = np.flatnonzero((table[:, 1:] != table[:, :-1]).any(axis=0)) + 1
        result: list[ReadingRow] = []
        for part in np.split(some[order], change):
            result.extend(self._row(part[i : i + LONGEST]) for i in range(0, len(part), LONGEST))
        return result

    def _varying(self, some: Ints) -> list[Ints]:
        """The scalars of a row that differ within the section."""
        section, local = self._section, some - self._first
        columns = (section.statement, section.rank, section.revision, section.flags, section.message)
        return [column[local].astype(np.int64) for column in columns if not isinstance(column, int)]

    def _row(self, some: Ints) -> ReadingRow:
        r, section = self._readings, self._section
        i = int(some[0])
        at = r.at[some]
        sent = section.sent_at if isinstance(section.sent_at, int) else r.sent_at[some]
        message = section.message if isinstance(section.message, int) else int(section.message[i - self._first])
        code = int(self._code[i])
        unknown = code == UNKNOWN_POINT
        return ReadingRow(
            unit=section.unit, day=int(self._day[i]), first_at=int(at.min()), last_at=int(at.max()),
            partition=self._place[0], offset=self._place[1], part=_next(self._parts, self._place), received_at=section.received_at,
            statement=int(r.statement[i]), rank=int(r.rank[i]), revision=int(r.revision[i]), flags=int(r.flags[i]),
            message=section.messages[message] if message < len(section.messages) else "",
            sent_at=sent,
            point=np.full(len(some), -1, np.int16) if unknown else self._number[some].astype(np.int16),
            at=at, value=r.value[some], reason=REASONS[code],
            names=self._names(some) if unknown else (),
        )

    def _names(self, some: Ints) -> tuple[str, ...]:
        section = self._section
        if isinstance(section.point, int):
            return (self._name(section.point),) * len(some)
        return tuple(self._name(int(index)) for index in section.point[some - self._first])

    def _name(self, index: int) -> str:
        return self._section.names[index] if index < len(self._section.names) else f"#{index}"
