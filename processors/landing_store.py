"""The tables of landings: written by the aggregator within the transaction of an hour, read by people."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from processors.aggregation import Member
from processors.landing_told import (
    DayTold,
    Json,
    Row,
    YearTold,
    days_in,
    row_of,
    years_in,
)
from schemas.calendar import window_start
from schemas.double_control import Amount

Link = Connection[TupleRow]

_BATCH = 5_000
_UNITS = 200
"""Read at a time: two years of days each."""

_BEGUN = "SELECT hour FROM landing_begun"
_BEGIN = "INSERT INTO landing_begun (hour) VALUES (%s)"
_DAY = """
INSERT INTO landing_day (unit, starts, as_of, low, best, high)
SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
ON CONFLICT (unit, starts, as_of) DO UPDATE SET low = excluded.low, best = excluded.best, high = excluded.high"""
_YEAR = """
INSERT INTO landing_year (place, unit, starts, as_of, low, best, high, share, quota, factors, unverified, history)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (starts, unit, place) DO UPDATE SET as_of = excluded.as_of, low = excluded.low, best = excluded.best, high = excluded.high,
  share = excluded.share, quota = excluded.quota, factors = excluded.factors, unverified = excluded.unverified,
  history = excluded.history"""
_YEARS = """
SELECT DISTINCT ON (unit) unit, starts, as_of, low, best, high, share, quota, factors, unverified, history
FROM landing_year WHERE starts = %s AND place <= %s ORDER BY unit, place DESC"""
_DAYS = """
SELECT DISTINCT ON (unit, starts) unit, starts, low, best, high FROM landing_day
WHERE starts >= %s AND starts < %s AND unit = ANY(%s) AND as_of <= %s ORDER BY unit, starts, as_of DESC"""
_QUOTAS = """
SELECT u.unit, l.quota FROM unnest(%s::text[]) AS u (unit) CROSS JOIN LATERAL (
  SELECT (landed ->> 'quota')::bigint AS quota FROM landing WHERE unit = u.unit AND at > %s AND at < %s
  ORDER BY at DESC LIMIT 1) AS l"""
_ROW = "COPY landing (unit, at, begins, history, cause, landed) FROM STDIN"
_FORGET = """
DELETE FROM landing_year old USING landing_year new
WHERE new.starts = %s AND new.place <= %s AND old.starts = new.starts AND old.unit = new.unit AND old.place < new.place"""
_LAST = "SELECT at, landed FROM landing WHERE unit = %s ORDER BY at DESC LIMIT 1"


@dataclass(slots=True)
class Inputs:
    """Whole days and years on their way into the tables, the newest of each in the log's order."""

    link: Link
    days: dict[tuple[str, int, int], DayTold] = field(default_factory=dict)
    years: dict[tuple[str, int, int], YearTold] = field(default_factory=dict)

    def add(self, told: Json) -> None:
        """The next message of the log."""
        self.days.update((one[:3], one) for one in days_in(told))
        self.years.update(((one.unit, one.starts, one.place), one) for one in years_in(told))
        if len(self.days) + len(self.years) >= _BATCH:
            self.write()

    def write(self) -> None:
        """Write what was gathered."""
        if self.days:
            self.link.execute(
                _DAY, [list(column) for column in zip(*self.days.values(), strict=True)]
            )
        with self.link.cursor() as cursor:
            cursor.executemany(
                _YEAR,
                [(one.place, *one[:8], list(one.factors), *one[9:]) for one in self.years.values()],
            )
        self.days.clear()
        self.years.clear()


def has_begun(link: Link) -> bool:
    """Whether hours were gathered here before."""
    return link.execute(_BEGUN).fetchone() is not None


def begin(link: Link, hour: int) -> None:
    """Remember the first hour that was gathered."""
    link.execute(_BEGIN, (hour,))


def tell(link: Link, at: int, members: Sequence[Member]) -> list[Row]:
    """Where every unit with a quota lands at a business midnight; written, and returned in the order of units."""
    starts = window_start("year", at - 1)
    years = [_year_of(row) for row in link.execute(_YEARS, (starts, at))]
    begins = {member.unit: member.begins for member in members}
    limited = [one for one in years if one.quota is not None and one.unit in begins]
    rows: list[Row] = []
    for first in range(0, len(limited), _UNITS):
        rows.extend(_rows(link, at, limited[first : first + _UNITS], begins))
    with link.cursor().copy(_ROW) as copy:
        for row in rows:
            copy.write_row((*row[:5], row.landed.model_dump_json()))
    link.execute(_FORGET, (starts, at))
    return rows


def _rows(
    link: Link, at: int, years: Sequence[YearTold], begins: Mapping[str, int]
) -> Iterator[Row]:
    units = [one.unit for one in years]
    starts = years[0].starts
    found = link.execute(_DAYS, (window_start("year", starts - 1), at, units, at))
    days: dict[str, dict[int, Amount]] = {unit: {} for unit in units}
    for unit, start, *ends in found:
        days[unit][start] = Amount(*ends)
    quotas = dict[str, int](link.execute(_QUOTAS, (units, starts, at)).fetchall())
    for year in years:
        row = row_of(
            year,
            begins=begins[year.unit],
            at=at,
            days=days[year.unit],
            before=quotas.get(year.unit),
        )
        if row is not None:
            yield row


def _year_of(row: TupleRow) -> YearTold:
    told = YearTold(*row)
    return told._replace(factors=tuple(told.factors))


class LandingAwayError(Exception):
    """The database does not answer, or not as this release knows it; the message says how."""


def last_landing(url: str, unit: str) -> tuple[int, Json] | None:
    """A unit's last midnight and what was told there. Raises LandingAwayError."""
    try:
        with psycopg.connect(url, connect_timeout=5) as link:
            row = link.execute(_LAST, (unit,)).fetchone()
    except psycopg.Error as error:
        message = f"the database does not answer: {str(error).strip()}"
        raise LandingAwayError(message) from error
    return None if row is None else (int(row[0]), row[1])
