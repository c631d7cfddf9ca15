"""Rows in their narrow form: what the database is given says what the row said."""

import struct
from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from processors.narrow import COLUMNS, NarrowForm, copy_of_records
from processors.pg_binary import numbers_in
from processors.ports import Ints, ReadingRow

KINDS = {"at": "integer", "value": "bigint", "sent_at": "bigint", "point": "smallint"} | {
    "narrow_at": "smallint",
    "narrow_value": "integer",
}
INT64 = st.integers(-(2**63), 2**63 - 1)
Columns = dict[str, int | str | Ints | None]


@st.composite
def rows(draw: st.DrawFn) -> ReadingRow:
    """A row of a few readings: evenly spaced or not, near one another or not."""
    size = draw(st.integers(1, 5))
    instants = st.integers(0, 86_399_999) | st.integers(0, 95).map(
        lambda quarter: quarter * 900_000
    )
    at = [draw(instants) for _ in range(size)]
    values = draw(st.sampled_from([INT64, st.integers(0, 999).map(lambda n: 10**12 + n * 10_000)]))
    column = np.array([draw(INT64) for _ in range(size)], np.int64)
    return ReadingRow(
        unit="A",
        day=20_000,
        first_at=min(at),
        last_at=max(at),
        partition=3,
        offset=2**40,
        part=1,
        received_at=-5,
        statement=1,
        rank=5,
        revision=-7,
        flags=2,
        message=draw(st.sampled_from(["", "m", "消息"])),
        sent_at=draw(INT64) if draw(st.booleans()) else column,
        point=np.array([draw(st.integers(-1, 32_767)) for _ in range(size)], np.int16),
        at=np.array(at, np.int64),
        value=np.array([draw(values) for _ in range(size)], np.int64),
    )


@given(st.lists(rows(), min_size=1, max_size=6))
def test_what_is_copied_is_what_was_said(given: list[ReadingRow]) -> None:
    """Read by the format's description, and widened."""
    found = [said(columns) for columns in copied(b"".join(copy_of_records(given, {"A": 7}, 2)))]
    assert sorted(found) == sorted(said_by(row) for row in given)


def test_quarter_hours_of_a_unit_are_narrow() -> None:
    """2 and 4 bytes a reading, not 4 and 8."""
    row = ReadingRow(
        *("A", 20_000, 0, 900_000, 0, 0, 0, 0, 0, 5, 0, 0, "", 17),
        np.arange(4, dtype=np.int16),
        np.array([0, 900_000, 0, 900_000]),
        np.array([10**17, 10**17 + 10_000, 10**17, 10**17 + 5 * 10**12]),
    )
    (columns,) = copied(b"".join(copy_of_records([row], {"A": 7}, 2)))
    assert columns["at"] is columns["value"] is columns["sent_at"] is None
    assert (columns["at_times"], columns["value_from"], columns["value_times"]) == (
        *(900_000, 10**17),
        10_000,
    )


def copied(data: bytes) -> Iterator[Columns]:
    """Rows of a binary COPY."""
    assert data[:19] == b"PGCOPY\n\xff\r\n\0" + bytes(8)
    at = 19
    while (count := struct.unpack_from("!h", data, at)[0]) != -1:
        assert count == len(COLUMNS)
        at += 2
        columns: Columns = {}
        for name in COLUMNS:
            (size,) = struct.unpack_from("!i", data, at)
            field = data[at + 4 : at + 4 + max(size, 0)]
            at += 4 + max(size, 0)
            columns[name] = None if size == -1 else read(name, field)
        yield columns
    assert data[at:] == b"\xff\xff"


def read(name: str, field: bytes) -> int | str | Ints:
    """A field that is not NULL."""
    if name in KINDS:
        return numbers_in(field, KINDS[name])
    return field.decode() if name == "message" else int.from_bytes(field, "big", signed=True)


def said(columns: Columns) -> tuple[object, ...]:
    """A row as it came to stand in the table."""
    form = NarrowForm(*(columns[name] for name in NarrowForm._fields))  # type: ignore[arg-type]
    whole = (columns[name] for name in ("at", "value", "sent_at"))
    at, value, sent_at = form.widened(*whole)  # type: ignore[arg-type]
    names = (
        *("unit", "day", "first_at", "generation", "partition", "offset", "part", "last_at"),
        *("received_at", "statement", "rank", "revision", "flags", "message"),
    )
    point = columns["point"]
    assert isinstance(point, np.ndarray)
    return (
        *(columns[name] for name in names),
        *(column.tolist() for column in (point, at, value)),
        np.broadcast_to(sent_at, len(at)).tolist(),
    )


def said_by(row: ReadingRow) -> tuple[object, ...]:
    """The same of the row that was given."""
    return (
        *(7, row.day - 10_957, row.first_at, 2, row.partition, row.offset, row.part, row.last_at),
        *(row.received_at, row.statement, row.rank, row.revision, row.flags, row.message),
        *(row.point.tolist(), (row.at - row.first_at).tolist(), row.value.tolist()),
        np.broadcast_to(row.sent_at, len(row.at)).tolist(),
    )
