"""PostgreSQL's binary forms: rows for COPY, and arrays as parameters.

psycopg makes an object of every element; a step has 30,000 readings. Here a whole column of a step
is laid out by one numpy call, and a row takes its slices of it.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from processors.ports import Ints, ReadingRow

COPY_BEGIN = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_END = b"\xff\xff"
DATE_EPOCH = 10_957
"""Days from 1970-01-01 to PostgreSQL's day 0, 2000-01-01."""

OIDS = {"bytea": 17, "bigint": 20, "smallint": 21, "integer": 23, "text": 25, "date": 1082}
_ELEMENTS = {
    name: np.dtype([("size", ">i4"), ("value", kind)])
    for name, kind in (("smallint", ">i2"), ("integer", ">i4"), ("bigint", ">i8"), ("date", ">i4"))
}
NUMBER_ARRAYS = {"smallint": 1005, "integer": 1007, "bigint": 1016}
"""Types of arrays that `numbers_in` reads, and their oids."""
_ARRAY = struct.Struct("!iiiii")
"""Dimensions, null flag, element's oid, length, lower bound."""
_ARRAY_FIELD = struct.Struct("!i" + _ARRAY.format[1:])
_SIZE = struct.Struct("!i")
_REJECTION_COLUMNS = 21
_SCALARS = struct.Struct(
    "!h" + "ii" * 2 + "iq" + "ii" * 2 + "iq" + "ii" + "iq" * 2 + "ihihiiih" + "i"
)


class SmallintArray(bytes):
    """A `smallint[]` in its binary form."""

    oid = 1005


class IntegerArray(bytes):
    """An `integer[]` in its binary form."""

    oid = 1007


class BigintArray(bytes):
    """A `bigint[]` in its binary form."""

    oid = 1016


class DateArray(bytes):
    """A `date[]` in its binary form."""

    oid = 1182


class TextArray(bytes):
    """A `text[]` in its binary form."""

    oid = 1009


class ByteaArray(bytes):
    """A `bytea[]` in its binary form."""

    oid = 1001


Array = SmallintArray | IntegerArray | BigintArray | DateArray | TextArray | ByteaArray
FORMS: tuple[type[Array], ...] = (
    SmallintArray,
    IntegerArray,
    BigintArray,
    DateArray,
    TextArray,
    ByteaArray,
)
Param = Array | int | str | None
Numbers = Ints | Sequence[int] | npt.NDArray[np.integer]


def smallints(values: Numbers) -> SmallintArray:
    """A `smallint[]` parameter."""
    return SmallintArray(_numbers(values, "smallint"))


def integers(values: Numbers) -> IntegerArray:
    """An `integer[]` parameter."""
    return IntegerArray(_numbers(values, "integer"))


def bigints(values: Numbers) -> BigintArray:
    """A `bigint[]` parameter."""
    return BigintArray(_numbers(values, "bigint"))


def texts(values: Sequence[str | bytes]) -> TextArray:
    """A `text[]` parameter; bytes are UTF-8 already."""
    encoded = [value if isinstance(value, bytes) else value.encode() for value in values]
    return TextArray(_array_of(encoded, "text"))


def byteas(values: Sequence[bytes]) -> ByteaArray:
    """A `bytea[]` parameter."""
    return ByteaArray(_array_of(values, "bytea"))


def dates(days: Sequence[int]) -> DateArray:
    """A `date[]` parameter of days since 1970-01-01."""
    return DateArray(_numbers([day - DATE_EPOCH for day in days], "date"))


def date_text(day: int) -> str:
    """Days since 1970-01-01 as `2026-11-23`."""
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


def numbers_in(data: bytes, kind: str) -> Ints:
    """The numbers in the binary form of an array of `kind`, without nulls."""
    if len(data) < _ARRAY.size:
        return np.empty(0, dtype=np.int64)
    return np.frombuffer(data, _ELEMENTS[kind], offset=_ARRAY.size)["value"].astype(np.int64)


def copy_of_rejections(
    rows: Sequence[ReadingRow], ids: Mapping[str, int], generation: int
) -> bytes:
    """What `COPY rejection_record FROM STDIN (FORMAT binary)` reads: those of whole columns, then a reason, names and a unit of measure."""
    pieces = [COPY_BEGIN]
    records = _records(rows, ids, generation)
    for row, record in zip(rows, records, strict=True):
        names = _array_of([name.encode() for name in row.names], "text")
        measure = _field(row.unit_of_measure.encode())
        pieces += [record, _field(row.reason.encode()), _field(names), measure]
    return b"".join([*pieces, COPY_END])


def _records(
    rows: Sequence[ReadingRow], ids: Mapping[str, int], generation: int
) -> Iterable[bytes]:
    """Every row's fields up to `sent_at`."""
    if not rows:
        return
    sizes = [len(row.at) for row in rows]
    bounds = list(pairwise(accumulate(sizes, initial=0)))
    first_at = np.repeat(np.fromiter((row.first_at for row in rows), np.int64, len(rows)), sizes)
    point = _fields(np.concatenate([row.point for row in rows]), bounds, "smallint")
    at = _fields(np.concatenate([row.at for row in rows]) - first_at, bounds, "integer")
    value = _fields(np.concatenate([row.value for row in rows]), bounds, "bigint")
    for row, *arrays in zip(rows, point, at, value, _sent_at(rows), strict=True):
        message = row.message.encode()
        head = _SCALARS.pack(
            _REJECTION_COLUMNS,
            *(4, ids[row.unit], 4, row.day - DATE_EPOCH, 8, row.first_at),
            *(4, generation, 4, row.partition, 8, row.offset, 4, row.part),
            *(8, row.last_at, 8, row.received_at, 2, row.statement, 2, row.rank),
            *(4, row.revision, 2, row.flags, len(message)),
        )
        yield b"".join([head, message, *arrays])


def _sent_at(rows: Sequence[ReadingRow]) -> list[bytes]:
    """One entry a reading, or one for the row."""
    columns = [
        np.array([row.sent_at], dtype=np.int64) if isinstance(row.sent_at, int) else row.sent_at
        for row in rows
    ]
    bounds = list(pairwise(accumulate(map(len, columns), initial=0)))
    return _fields(np.concatenate(columns), bounds, "bigint")


def _fields(
    column: npt.NDArray[np.integer], bounds: Sequence[tuple[int, int]], kind: str
) -> list[bytes]:
    """The column cut into one array field a row, its size before it."""
    elements = _elements(column, kind)
    oid, width = OIDS[kind], _ELEMENTS[kind].itemsize
    return [
        _ARRAY_FIELD.pack(_ARRAY.size + (end - start) * width, 1, 0, oid, end - start, 1)
        + elements[start * width : end * width]
        for start, end in bounds
    ]


def _elements(column: Numbers, kind: str) -> bytes:
    laid = np.empty(len(column), _ELEMENTS[kind])
    laid["size"] = _ELEMENTS[kind]["value"].itemsize
    laid["value"] = column
    return laid.tobytes()


def _numbers(values: Numbers, kind: str) -> bytes:
    return _ARRAY.pack(1, 0, OIDS[kind], len(values), 1) + _elements(values, kind)


def _array_of(values: Sequence[bytes], kind: str) -> bytes:
    fields = [_field(value) for value in values]
    if not fields:
        return _ARRAY.pack(0, 0, OIDS[kind], 0, 0)[:12]
    return b"".join([_ARRAY.pack(1, 0, OIDS[kind], len(fields), 1), *fields])


def _field(value: bytes) -> bytes:
    return _SIZE.pack(len(value)) + value
