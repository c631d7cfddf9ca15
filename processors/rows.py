"""What a step says of its readings, as rows of arrays: claims, rejections, what the doors refused.

A row holds readings of one section and business day that share their scalars, at most 120 of them (below 2 kB).
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from processors.claims import ACCEPTED, REJECTED, SUPERSEDED
from processors.ports import Ints, ReadingRow, RefusedRow, WindowRow
from processors.state import State, ranges
from processors.validation import OPEN_MEASURE, REASONS, UNKNOWN_POINT, Readings
from schemas.calendar import DAY_MS, OFFSET_MS
from schemas.section import Column, Section, Unreadable
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
    return RefusedRow(
        part.unit,
        part.received_at,
        *place,
        _next(parts, place),
        "unreadable",
        part.reason,
        part.payload,
        part.length,
        part.sha256,
    )


def refused(place: Place, part: Section, parts: Parts) -> list[RefusedRow]:
    """Single readings that the door refused, kept."""
    return [
        RefusedRow(
            part.unit,
            part.received_at,
            *place,
            _next(parts, place),
            "refused",
            item.reason,
            item.original.encode(),
            len(item.original),
            "",
        )
        for item in part.refused
    ]


def unknown_unit(place: Place, part: Section, kept: list[RefusedRow], parts: Parts) -> None:
    """Readings of a unit that no configuration of the partition names: kept whole."""
    if len(part):
        original = json.dumps(part_json(part), separators=(",", ":"), ensure_ascii=False).encode()
        kept.append(
            RefusedRow(
                part.unit,
                part.received_at,
                *place,
                _next(parts, place),
                "unknown unit",
                "unknown point",
                original,
                len(original),
                "",
            )
        )


@dataclass(frozen=True, slots=True)
class _Columns:
    """Beside the readings' own: number of the section, business day, reason code, indices into the section's messages and units of measure."""

    of: Ints
    day: Ints
    code: Ints
    message: Ints
    measure: Ints


def make(
    state: State,
    sections: Sequence[tuple[int, int, Section]],
    readings: Readings,
    decided: tuple[Ints, Ints],
    kept: list[ReadingRow],
    rejected: list[ReadingRow],
    parts: Parts,
) -> None:
    """Rows of all sections; `decided`: reason code and class of each reading."""
    r, (code, classes) = readings, decided
    if not len(r.at):
        return
    lengths = [len(section) for _, _, section in sections]
    columns = _Columns(
        np.repeat(np.arange(len(sections)), lengths),
        (r.at + OFFSET_MS) // DAY_MS,
        code,
        _indices([section.message for _, _, section in sections], lengths),
        _indices([section.unit_of_measure for _, _, section in sections], lengths),
    )
    bad = classes == REJECTED
    some = np.flatnonzero(bad | (classes == ACCEPTED) | (classes == SUPERSEDED))
    if not len(some):
        return
    # Least significant first. A key that never varies decides nothing.
    keys = (
        r.statement,
        r.rank,
        r.revision,
        r.flags,
        columns.message,
        columns.day,
        np.where((code > 0) & (code <= OPEN_MEASURE), columns.measure, 0),
        code,
        bad,
        columns.of,
    )
    varying = [key[some] for key in keys if (key != key[0]).any()] or [columns.of[some]]
    order = np.lexsort(varying)
    change = np.zeros(len(some), np.bool_)
    change[0] = True
    for key in varying:
        ordered = key[order]
        change[1:] |= ordered[1:] != ordered[:-1]
    first = _cut(np.flatnonzero(change), len(some))
    for row in _rows(state, sections, r, some[order], first, columns, parts):
        (rejected if row.reason else kept).append(row)


def _indices(columns: Sequence[Column], lengths: list[int]) -> Ints:
    """Each reading's index into texts of its section."""
    if all(isinstance(column, int) for column in columns):
        return np.repeat(np.array(columns, np.int64), lengths)
    return np.concatenate(
        [
            np.broadcast_to(np.asarray(column, np.int64), n)
            for column, n in zip(columns, lengths, strict=True)
        ]
    )


def _cut(first: Ints, end: int) -> Ints:
    """Where rows begin, none of them longer than LONGEST."""
    length = np.diff(first, append=end)
    count = -(-length // LONGEST)
    if (count == 1).all():
        return first
    return ranges(np.zeros_like(count), count) * LONGEST + np.repeat(first, count)


def _rows(
    state: State,
    sections: Sequence[tuple[int, int, Section]],
    readings: Readings,
    some: Ints,
    first: Ints,
    columns: _Columns,
    parts: Parts,
) -> Iterator[ReadingRow]:
    """A row for each run of readings (indices, in order) that begins at one of `first`."""
    r, head = readings, some[first]
    at, value = r.at[some], r.value[some]
    point = np.where(
        columns.code[some] == UNKNOWN_POINT,
        -1,
        state.p_number[r.point[some]] if len(state.p_unit) else -1,
    ).astype(np.int16)
    begun = np.cumsum([0, *(len(section) for _, _, section in sections)]).tolist()
    scalars = (
        columns.of,
        columns.day,
        columns.message,
        columns.measure,
        columns.code,
        r.statement,
        r.rank,
        r.revision,
        r.flags,
    )
    first_at, last_at = (
        np.minimum.reduceat(at, first).tolist(),
        np.maximum.reduceat(at, first).tolist(),
    )
    bounds = pairwise([*first.tolist(), len(some)])
    for (
        begin,
        end,
    ), least, greatest, of, day, message, measure, code, statement, rank, revision, flags in zip(
        bounds, first_at, last_at, *(column[head].tolist() for column in scalars), strict=True
    ):
        partition, offset, section = sections[of]
        mine = slice(begin, end)
        yield ReadingRow(
            section.unit,
            day,
            least,
            greatest,
            partition,
            offset,
            _next(parts, (partition, offset)),
            section.received_at,
            statement,
            rank,
            revision,
            flags,
            _text(section.messages, message),
            section.sent_at if isinstance(section.sent_at, int) else r.sent_at[some[mine]],
            point[mine],
            at[mine],
            value[mine],
            REASONS[code],
            _names(section, some[mine] - begun[of]) if code == UNKNOWN_POINT else (),
            _text(section.units_of_measure, measure) if 0 < code <= OPEN_MEASURE else "",
        )


def _text(texts: Sequence[str], index: int) -> str:
    return texts[index] if index < len(texts) else ""


def _names(section: Section, some: Ints) -> tuple[str, ...]:
    """Names of the section's readings `some`."""
    index = np.broadcast_to(section.point, len(section))[some].tolist()
    return tuple(section.names[i] if i < len(section.names) else f"#{i}" for i in index)
