"""Rows of `reading_record` as narrow as their numbers allow, and back.

at = first_at + narrow_at · at_times, value = value_from + narrow_value · value_times. A column that does not fit rests
whole in `at`, `value` or `sent_at`, as in the rows of older releases; the other is NULL then.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np
import numpy.typing as npt

from processors.pg_binary import COPY_BEGIN, COPY_END, DATE_EPOCH, OIDS
from processors.ports import Ints, ReadingRow

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.integer]
COLUMNS = (
    *("unit", "day", "first_at", "generation", "partition", "offset", "part", "last_at"),
    *("received_at", "statement", "rank", "revision", "flags", "message", "point"),
    *("at", "value", "sent_at", "sent", "at_times", "value_from", "value_times"),
    *("narrow_at", "narrow_value"),
)
"""In the order of statements.COPY_READINGS."""
_WIDTHS = {
    **dict.fromkeys(("unit", "day", "generation", "partition", "part", "revision", "at_times"), 4),
    **dict.fromkeys(("statement", "rank", "flags"), 2),
}
_ELEMENTS = {
    "point": "smallint",
    "at": "integer",
    "value": "bigint",
    "sent_at": "bigint",
    "narrow_at": "smallint",
    "narrow_value": "integer",
}
_KINDS = {"smallint": ">i2", "integer": ">i4", "bigint": ">i8"}
_MOST_AT, _MOST_VALUE = 2**15 - 1, 2**31 - 1
_PIECE = 200
"""Rows that are handed over together: the database takes them in while the next are made."""


class Shape(NamedTuple):
    """What rows of one size in bytes share."""

    length: int
    """Readings."""
    message: int
    """Bytes of the message's id."""
    narrow_at: bool
    narrow_value: bool
    one_sent: bool

    def absent(self) -> tuple[str, ...]:
        """Columns that are NULL."""
        return (
            *(("at",) if self.narrow_at else ("narrow_at", "at_times")),
            *(("value",) if self.narrow_value else ("narrow_value", "value_from", "value_times")),
            *(("sent_at",) if self.one_sent else ("sent",)),
        )


@dataclass(frozen=True, slots=True)
class _Narrowed:
    """A column of all rows: what is taken off, the greatest common divisor of the rest, and whether the quotients fit."""

    least: Ints
    times: Ints
    quotients: Ints
    fits: Mask

    @classmethod
    def of(cls, values: Ints, first: Ints, sizes: Ints, most: int) -> "_Narrowed":
        """Rows begin at `first` and have `sizes` entries; quotients may go up to `most`."""
        least = np.minimum.reduceat(values, first)
        over = values - np.repeat(least, sizes)
        apart = np.maximum.reduceat(values, first) - least
        times = np.maximum(np.gcd.reduceat(over, first), 1)
        # A difference that does not fit 64 bits comes out below zero.
        fits = (apart >= 0) & (apart // times <= most)
        return cls(least, times, over // np.repeat(times, sizes), fits)


def copy_of_records(
    rows: Sequence[ReadingRow], ids: Mapping[str, int], generation: int
) -> Iterator[bytes]:
    """What `COPY reading_record FROM STDIN (FORMAT binary)` reads, in pieces; `rows` are not empty."""
    yield COPY_BEGIN
    yield from _pieces(rows, ids, generation)
    yield COPY_END


def _pieces(rows: Sequence[ReadingRow], ids: Mapping[str, int], generation: int) -> Iterator[bytes]:
    sizes = np.fromiter((len(row.at) for row in rows), np.int64, len(rows))
    first = np.cumsum(sizes) - sizes
    scalars = _scalars(rows, ids) | {"generation": np.full(len(rows), generation)}
    at = np.concatenate([row.at for row in rows]) - np.repeat(scalars["first_at"], sizes)
    value = np.concatenate([row.value for row in rows])
    short = _Narrowed.of(at, first, sizes, _MOST_AT)
    small = _Narrowed.of(value, first, sizes, _MOST_VALUE)
    scalars |= {"at_times": short.times, "value_from": small.least, "value_times": small.times}
    arrays: dict[str, Numbers] = {
        "point": np.concatenate([row.point for row in rows]),
        "at": at,
        "value": value,
        "narrow_at": short.quotients,
        "narrow_value": small.quotients,
    }
    for shape, places in _alike(rows, short.fits, small.fits).items():
        for begin in range(0, len(places), _PIECE):
            some = places[begin : begin + _PIECE]
            where = first[some][:, None] + np.arange(shape.length)
            laid = np.repeat(_form(shape), len(some))
            for name in scalars.keys() - set(shape.absent()):
                laid[name] = scalars[name][some]
            for name in arrays.keys() - set(shape.absent()):
                laid[name]["number"] = arrays[name][where]
            if shape.message:
                laid["message"] = [rows[place].message.encode() for place in some]
            if not shape.one_sent:
                laid["sent_at"]["number"] = [rows[place].sent_at for place in some]
            yield laid.tobytes()


def _alike(
    rows: Sequence[ReadingRow], narrow_at: Mask, narrow_value: Mask
) -> dict[Shape, list[int]]:
    """The rows' places by their shape."""
    found: dict[Shape, list[int]] = {}
    fits = zip(narrow_at.tolist(), narrow_value.tolist(), strict=True)
    for place, (row, (at_fits, value_fits)) in enumerate(zip(rows, fits, strict=True)):
        message, one_sent = len(row.message.encode()), isinstance(row.sent_at, int)
        shape = Shape(len(row.at), message, at_fits, value_fits, one_sent)
        found.setdefault(shape, []).append(place)
    return found


def _scalars(rows: Sequence[ReadingRow], ids: Mapping[str, int]) -> dict[str, Ints]:
    """Columns with one number a row."""
    names = (
        *("unit", "day", "first_at", "partition", "offset", "part", "last_at"),
        *("received_at", "statement", "rank", "revision", "flags", "sent"),
    )
    table = np.array(
        [
            (
                *(ids[row.unit], row.day - DATE_EPOCH, row.first_at, row.partition, row.offset),
                *(row.part, row.last_at, row.received_at, row.statement, row.rank, row.revision),
                *(row.flags, row.sent_at if isinstance(row.sent_at, int) else 0),
            )
            for row in rows
        ],
        np.int64,
    )
    return {name: table[:, column] for column, name in enumerate(names)}


@lru_cache(maxsize=1_024)
def _form(shape: Shape) -> npt.NDArray[np.void]:
    """A row of this shape without its numbers: how many columns, the size of each, the heads of arrays."""
    fields: list[tuple[str, object]] = [("columns", ">i2")]
    given: dict[str, object] = {"columns": len(COLUMNS)}
    absent = shape.absent()
    for name in COLUMNS:
        fields.append((f"{name} size", ">i4"))
        if name in absent:
            given[f"{name} size"] = -1
        elif name == "message":
            given[f"{name} size"] = shape.message
            fields.append((name, f"S{shape.message}"))
        elif name in _ELEMENTS:
            kind = _ELEMENTS[name]
            element = np.dtype([("size", ">i4"), ("number", _KINDS[kind])])
            fields += [(f"{name} head", (">i4", (5,))), (name, (element, (shape.length,)))]
            given[f"{name} size"] = 20 + shape.length * element.itemsize
            given[f"{name} head"] = (1, 0, OIDS[kind], shape.length, 1)
        else:
            width = _WIDTHS.get(name, 8)
            fields.append((name, f">i{width}"))
            given[f"{name} size"] = width
    form = np.zeros(1, np.dtype(cast("list[tuple[str, str]]", fields)))
    for name, value in given.items():
        form[name] = value
    for name in _ELEMENTS.keys() - set(absent):
        form[name]["size"] = np.dtype(_KINDS[_ELEMENTS[name]]).itemsize
    return form


class NarrowForm(NamedTuple):
    """The narrow columns of a row, as the database has them."""

    sent: int | None = None
    at_times: int | None = None
    value_from: int | None = None
    value_times: int | None = None
    narrow_at: Ints | None = None
    narrow_value: Ints | None = None

    def widened(
        self, at: Ints | None, value: Ints | None, sent_at: Ints | None
    ) -> tuple[Ints, Ints, Ints]:
        """Instants (from first_at on), values and sent_at: themselves where they rest whole."""
        return (
            _times(0, self.narrow_at, self.at_times, at),
            _times(self.value_from, self.narrow_value, self.value_times, value),
            _times(self.sent, np.zeros(1, np.int64), 1, sent_at),
        )


def _times(least: int | None, narrow: Ints | None, times: int | None, whole: Ints | None) -> Ints:
    if least is None or narrow is None or times is None:
        return cast("Ints", whole)
    return least + narrow * times
