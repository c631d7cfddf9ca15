"""All that a unit ever said, read back from the tables a business day at a time; and what was made of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
from psycopg import Connection
from psycopg.rows import TupleRow

from processors import pg_binary, statements
from processors.narrow import NarrowForm
from processors.ports import Gap, Ints, ReadingRow, Rebuild
from processors.revision import Entries
from processors.state import configuration_of
from schemas.registry import Configuration

Link = Connection[TupleRow]
Hours = dict[tuple[int, str], tuple[int, ...]]


def number_of(link: Link, unit: str) -> int:
    """The unit's number in the tables. Raises LookupError for one that nobody ever heard of."""
    row = link.execute("SELECT id FROM unit WHERE code = %s", (unit,)).fetchone()
    if row is None:
        message = f"unit {unit} is not known here"
        raise LookupError(message)
    return int(row[0])


def days(link: Link, number: int) -> list[int]:
    """Business days (since 1970-01-01) of which a unit has rows, in order."""
    return [day for (day,) in link.execute(statements.DAYS_OF_UNIT, {"unit": number})]


def rows(link: Link, number: int, code: str, day: int) -> list[ReadingRow]:
    """All that a unit said of a business day, rejected readings last."""
    key = {"unit": number, "code": code, "day": pg_binary.date_text(day)}
    asked = (statements.ROWS_OF_DAY, statements.REJECTED_OF_DAY)
    return [
        _reading_row(row) for query in asked for row in link.cursor(binary=True).execute(query, key)
    ]


def count_before(link: Link, number: int, day: int) -> int:
    """How many rows a unit has of the business days before one: they only ever grow."""
    key = {"unit": number, "day": pg_binary.date_text(day)}
    row = link.execute(statements.COUNT_OF_DAYS, key).fetchone()
    return int(row[0]) if row else 0


def _reading_row(columns: TupleRow) -> ReadingRow:
    row = ReadingRow._make(columns[: len(ReadingRow._fields)])
    narrow = NarrowForm(*columns[len(ReadingRow._fields) :])
    at, value, sent_at = narrow.widened(row.at, row.value, cast("Ints", row.sent_at))
    return row._replace(
        sent_at=int(sent_at[0]) if len(sent_at) == 1 else sent_at,
        point=row.point.astype(np.int16),
        at=at + row.first_at,
        value=value,
        names=tuple(row.names),
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """A unit as its rows are kept: under which entry, and what was made of its readings."""

    number: int
    asked: Rebuild
    hours: Hours
    gaps: frozenset[Gap]
    ends: tuple[int, ...]


def kept(link: Link, unit: str, configurations: dict[int, Configuration]) -> Kept:
    """What stands in the tables of a unit. Raises LookupError for one without a state."""
    number = number_of(link, unit)
    row = link.execute(
        "SELECT partition, live, ends, blob FROM unit_state WHERE unit = %s", (number,)
    ).fetchone()
    if row is None:
        message = f"unit {unit} has no state: no configuration was applied to it yet"
        raise LookupError(message)
    partition, live, ends, blob = row
    version = configuration_of(bytes(blob))
    entry = Entries(configurations).at(unit, version)
    if entry is None:
        message = (
            f"unit {unit} stands under configuration {version}, and none up to it has the unit"
        )
        raise LookupError(message)
    gaps = link.execute(
        """SELECT point, starts, ends, kind::text, low, high, from_register, to_register, parts, total
        FROM gap WHERE unit = %s""",
        (number,),
    )
    return Kept(
        number=number,
        asked=Rebuild(entry, entry, version, (partition, -1), bool(live)),
        hours=dict(_hours(link, number)),
        gaps=frozenset(statements.gap_of(unit, gap) for gap in gaps),
        ends=tuple(ends.tolist() if hasattr(ends, "tolist") else ends),
    )


def _hours(link: Link, number: int) -> Iterator[tuple[tuple[int, str], tuple[int, ...]]]:
    """Hour rows that say something."""
    for hour, quantity, *numbers in link.execute(statements.HOURS_OF_UNIT, (number,)):
        if any(numbers):
            yield (hour, quantity), tuple(numbers)
