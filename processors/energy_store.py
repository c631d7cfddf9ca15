"""The energies of a unit as the views give them to people."""

from datetime import datetime
from typing import LiteralString, NamedTuple, TypeVar

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from processors.report_rows import Deduction, Energy

RowT = TypeVar("RowT")

_ENERGIES: LiteralString = """
SELECT window_kind, starts, ends, as_of, energy, purpose, line, indicator, unit_of_measure, basis, low, best, high,
       rests_on, unverified, contested
FROM unit_energy WHERE unit = %s AND coalesce(ends > %s, true) AND coalesce(starts < %s, true)
ORDER BY starts DESC, window_kind DESC, place, line, indicator"""
_DEDUCTED: LiteralString = """
SELECT window_kind, starts, energy, form, carrier, capped, low, best, high, evidence, rests_on, unverified
FROM unit_deducted WHERE unit = %s ORDER BY starts DESC, window_kind DESC, energy, number"""


class EnergyRows(NamedTuple):
    """The energies of a unit's months and years, newest first, and what is deducted for them."""

    energies: tuple[Energy, ...]
    deducted: tuple[Deduction, ...]


def energy_rows(
    link: Connection[TupleRow], unit: str, starts: datetime | None, ends: datetime | None
) -> EnergyRows:
    """Of the windows that share something with a span; None: of all."""
    energies = _rows(link, Energy, _ENERGIES, (unit, starts, ends))
    windows = {(one.window_kind, one.starts) for one in energies}
    deducted = _rows(link, Deduction, _DEDUCTED, (unit,))
    return EnergyRows(
        energies, tuple(one for one in deducted if (one.window_kind, one.starts) in windows)
    )


def _rows(
    link: Connection[TupleRow], kind: type[RowT], query: LiteralString, values: tuple[object, ...]
) -> tuple[RowT, ...]:
    with link.cursor(row_factory=class_row(kind)) as cursor:
        return tuple(cursor.execute(query, values).fetchall())


def read_energies(url: str, unit: str) -> EnergyRows:
    """All of a unit. Raises psycopg.Error."""
    with psycopg.connect(url) as link:
        return energy_rows(link, unit, None, None)
