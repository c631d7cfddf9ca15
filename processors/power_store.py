"""Factors of electricity in the tables, so that the views of CO2 can be shown side by side there."""

from collections.abc import Sequence

from psycopg import Connection
from psycopg.rows import TupleRow

from processors.co2_views import PowerRow

_COPY = "COPY power_factor (id, number, place, region, view, year, value, unverified) FROM STDIN"


def keep_powers(link: Connection[TupleRow], rows: Sequence[PowerRow]) -> None:
    """These in place of those that were kept before."""
    with link.transaction():
        link.execute("DELETE FROM power_factor")
        with link.cursor().copy(_COPY) as copy:
            for row in rows:
                copy.write_row(row)
