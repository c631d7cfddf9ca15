"""How a file is to be understood: a small TOML file, and rows that become messages by it. Pure.

    unit = "91510100SYN0000001"     # or --unit
    format = "csv"                  # or "xlsx" (Excel), "jsonl" (one object a row), "messages" (schemas.reading)
    sheet = "Sheet1"                # of xlsx; the first unless told
    header = 1                      # the row with the columns' names, of csv and xlsx
    time = "date"                   # the column with the time label
    time_format = "%d/%m/%Y %H:%M"  # or "rfc3339", "epoch_ms", "epoch_s"
    offset = "+08:00"               # of labels that do not say it
    label = "end"                   # does the label name the start or the end of the period?
    midnight = "ends the day"       # 1/5 00:00 is the end of 1 May; else "begins the day"

    [[readings]]
    point = "E1"                    # or point_column = "meter"
    value = "Usage_kWh"             # the column with the value; an empty cell is no reading
    statement = "PT15M"
    unit = "kWh"

Each row gives one reading for each `[[readings]]`. A cell that cannot be understood is a refused
reading, as at every door; nothing is guessed.
"""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ingest.columns import Ints, spread
from ingest.payload import decode
from schemas.calendar import DAY_MS, OFFSET_MS, window_ends, window_starts
from schemas.reading import MAX_READINGS, PointName, Rank
from schemas.registry import LENGTH_MS, STATEMENTS, Statement, UnitCode
from schemas.section import Section, Unreadable

CHUNK = 2_000
"""Readings of one section of an import, at most."""
_TIME_NOT_UNDERSTOOD = "?"
_LONGEST_CELL = 200
_MILLISECOND = timedelta(milliseconds=1)

Row = Mapping[str, object]
NumberedRow = tuple[int, Row]
"""Its number in the file, from 1; and its cells by column."""


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(_Told):
    """One reading of every row."""

    point: PointName | None = None
    point_column: str | None = None
    value: str
    """Name of the column with the value."""
    statement: Statement
    unit: str
    rank: Rank = "measured"

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.point is None) == (self.point_column is None):
            message = f"readings of column {self.value!r}: give either point or point_column"
            raise ValueError(message)
        return self


class FileMapping(_Told):
    """How one kind of file is to be understood."""

    unit: UnitCode | None = None
    format: Literal["csv", "xlsx", "jsonl", "messages"] = "csv"
    sheet: str = ""
    """Of a workbook; the first unless told."""
    header: Annotated[int, Field(ge=1)] = 1
    """The row that names the columns, from 1; what is above it is passed over."""
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","
    encoding: str = "utf-8-sig"
    """A byte-order mark is skipped."""
    decimal: Literal[".", ","] = "."
    time: str = ""
    time_format: str = "rfc3339"
    offset: Annotated[str, StringConstraints(pattern=r"^[+-][0-9]{2}:[0-9]{2}$")] = "+08:00"
    label: Literal["start", "end"] = "start"
    midnight: Literal["begins the day", "ends the day"] = "begins the day"
    """Whether 00:00 is written with the day that it begins, or with the day that it ends."""
    readings: Annotated[tuple[Column, ...], Field(max_length=MAX_READINGS)] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.format != "messages" and not (self.time and self.readings):
            message = f"format {self.format!r} needs `time` and at least one [[readings]]"
            raise ValueError(message)
        return self

    def columns(self) -> tuple[str, ...]:
        """The columns that the file must have."""
        points = (column.point_column for column in self.readings if column.point_column)
        return (self.time, *points, *(column.value for column in self.readings))


def read_mapping(text: str) -> FileMapping:
    """The mapping in a TOML text. Raises ValueError (tomllib's or pydantic's)."""
    return FileMapping.model_validate(tomllib.loads(text))


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of so many rows."""

    part: Section | Unreadable
    rows: int
    empty: int
    """Cells without a value."""
    places: tuple[int, ...] = ()
    """Row in the file of each reading that was told, the refused among them."""


def taken_rows(
    rows: Iterable[NumberedRow], mapping: FileMapping, *, unit: str, received_at: int
) -> Iterator[Taken]:
    """Rows as sections, in order, through the door's own code."""
    per_section = max(1, CHUNK // len(mapping.readings))
    gathered: list[NumberedRow] = []
    for row in rows:
        gathered.append(row)
        if len(gathered) == per_section:
            yield _taken(gathered, mapping, unit=unit, received_at=received_at)
            gathered = []
    if gathered:
        yield _taken(gathered, mapping, unit=unit, received_at=received_at)


def _taken(rows: list[NumberedRow], mapping: FileMapping, *, unit: str, received_at: int) -> Taken:
    told: list[dict[str, object]] = []
    places: list[int] = []
    empty = 0
    for number, row in rows:
        for column in mapping.readings:
            value = row.get(column.value)
            if value is None or value == "":
                empty += 1
                continue
            told.append(_reading(row, column, mapping))
            places.append(number)
    if not told:
        return Taken(_nothing(unit, received_at), len(rows), empty)
    part = decode(json.dumps({"readings": told}).encode(), unit=unit, received_at=received_at)
    return Taken(part, len(rows), empty, tuple(places))


def _reading(row: Row, column: Column, mapping: FileMapping) -> dict[str, object]:
    value = _cell(row[column.value])
    if isinstance(value, str):
        value = value.replace(mapping.decimal, ".")
    label = _cell(row.get(mapping.time))
    at = instant_of(label, mapping, column.statement)
    point = column.point if column.point_column is None else _name(row.get(column.point_column))
    return {
        "point": point,
        "at": f"{_TIME_NOT_UNDERSTOOD}{label}" if at is None else at,
        "value": value,
        "statement": column.statement,
        "unit": column.unit,
        "rank": column.rank,
    }


def _cell(told: object) -> object:
    """A cell without blanks around it, cut to what any good one needs."""
    return told.strip()[:_LONGEST_CELL] if isinstance(told, str) else told


def _name(told: object) -> object:
    """A point's name; a workbook holds one of digits as a number."""
    if isinstance(told, float) and told.is_integer():
        told = int(told)
    return str(told) if isinstance(told, int) else _cell(told)


def instant_of(label: object, mapping: FileMapping, statement: Statement) -> int | None:
    """The instant that a label names: of a register, or the start of a period; None if unclear."""
    if isinstance(label, datetime):  # a workbook's own kind of time
        told: int | None = _milliseconds(label, mapping.offset)
    else:
        told = _labelled(str(label), mapping.time_format, mapping.offset)
    if told is None:
        return None
    if mapping.midnight == "ends the day" and _is_midnight(told, mapping.offset):
        told += DAY_MS
    if mapping.label == "start" or statement == "register":
        return told
    if statement == "P1M":
        return int(window_starts("month", np.array([told - 1], dtype=np.int64))[0])
    return told - LENGTH_MS[statement]


@lru_cache(maxsize=4_096)
def _labelled(label: str, time_format: str, offset: str) -> int | None:
    """Milliseconds of a label as it reads; None where it is none."""
    try:
        if time_format in ("epoch_ms", "epoch_s"):
            return int(label) * (1_000 if time_format == "epoch_s" else 1)
        if time_format == "rfc3339":
            return _milliseconds(datetime.fromisoformat(label), offset)
        return _milliseconds(datetime.strptime(label, time_format), offset)  # noqa: DTZ007
    except ValueError:
        return None


def _milliseconds(when: datetime, offset: str) -> int:
    aware = when if when.tzinfo else when.replace(tzinfo=_zone(offset))
    return (aware - datetime(1970, 1, 1, tzinfo=UTC)) // _MILLISECOND


def _is_midnight(at: int, offset: str) -> bool:
    return (at + _zone(offset).utcoffset(None) // _MILLISECOND) % DAY_MS == 0


@lru_cache(maxsize=64)
def _zone(offset: str) -> timezone:
    hours, minutes = int(offset[1:3]), int(offset[4:])
    sign = -1 if offset[0] == "-" else 1
    return timezone(sign * timedelta(hours=hours, minutes=minutes))


def _nothing(unit: str, received_at: int) -> Section:
    none = np.empty(0, dtype=np.int64)
    return Section(
        unit=unit,
        received_at=received_at,
        names=(),
        point=0,
        at=none,
        value=none,
        statement=0,
        units_of_measure=(),
        unit_of_measure=0,
        rank=0,
        revision=0,
        sent_at=0,
        flags=0,
    )


def ends_of(section: Section) -> Ints:
    """When each reading of a section was over: a register's instant, a period's end."""
    ends = section.at.astype(np.int64, copy=True)
    statements = spread(section.statement, len(section))
    for code, statement in enumerate(STATEMENTS):
        mask = statements == code
        if statement == "P1M":
            ends[mask] = window_ends("month", window_starts("month", section.at[mask]))
        elif statement != "register":
            ends[mask] += LENGTH_MS[statement]
    return ends


class Ticker:
    """Puts ticks into the sections of a unit in history, on the business calendar's beat of `every_ms`.

    A tick stands after all readings that were over at its instant, as they come in the file,
    and before the first that was not.
    """

    def __init__(self, *, every_ms: int) -> None:
        self.every_ms = every_ms
        self._over: int | None = None
        """Up to here all is said; ticks up to the beat before it are given."""

    def ticked(self, section: Section) -> Section:
        """The section with the ticks that its readings bring."""
        ticks: list[tuple[int, int]] = []
        for position, end in enumerate(ends_of(section).tolist()):
            if self._over is None:
                self._over = end
            elif end > self._over:
                first = self._over + -(self._over + OFFSET_MS) % self.every_ms
                ticks += [(position, at) for at in range(first, end, self.every_ms)]
                self._over = end
        return replace(section, ticks=tuple(ticks))

    def last(self, section: Section) -> Section:
        """The file's last section, with the tick at the end of its last reading too."""
        if self._over is None or (self._over + OFFSET_MS) % self.every_ms:
            return section
        return replace(section, ticks=(*section.ticks, (len(section), self._over)))
