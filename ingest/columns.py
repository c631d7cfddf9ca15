"""Columns of a section: one entry a reading, or a plain int where it is the same for all."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from schemas.section import Column

Ints = npt.NDArray[np.int64]


def collapsed(column: Column) -> Column:
    """A column as one int where all its entries are equal."""
    if isinstance(column, int) or not len(column):
        return column if isinstance(column, int) else 0
    first = column[0]
    return int(first) if (column == first).all() else column


def column_of(entries: Sequence[int]) -> Column:
    """The column with these entries, as one int where they are all equal."""
    if entries and entries.count(entries[0]) == len(entries):
        return entries[0]
    return collapsed(np.array(entries, dtype=np.int64))


def spread(column: Column, size: int) -> Ints:
    """A column as an array with one entry a reading."""
    return (
        np.full(size, column, dtype=np.int64)
        if isinstance(column, int)
        else column.astype(np.int64, copy=False)
    )


def taken(column: Column, keep: npt.NDArray[np.bool_]) -> Column:
    """The entries of a column where `keep` is true."""
    return column if isinstance(column, int) else column[keep]


def used(texts: tuple[str, ...], codes: Column) -> tuple[tuple[str, ...], Column]:
    """Only the texts that a column of indexes uses, and the column into those."""
    if isinstance(codes, int):
        return (texts[codes],) if texts else (), 0
    indexes, inverse = np.unique(codes, return_inverse=True)
    return tuple(texts[i] for i in indexes), inverse.astype(np.int64)
