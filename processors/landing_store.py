"""The tables of landings: written by the aggregator within the transaction of an hour, read by people."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

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
from schemas.landing import REGIMES, Regime

Link = Connection[TupleRow]

_BATCH = 5_000
_UNITS = 200
"""Read at a time: two years of days each."""

_OF_CARBON = (
    "low",
    "best",
    "high",
    "share",
    "quota",
    "factors",
    "unverified",
    "view",
    "other_view",
)
_TABLES: Mapping[Regime, LiteralString] = {"energy": "landing", "carbon": "budget_landing"}
"""Where landings rest."""
_COLUMNS: Mapping[Regime, LiteralString] = {
    "energy": "low, best, high",
    "carbon": "co2_low, co2_best, co2_high",
}

_BEGUN = "SELECT hour FROM landing_begun"
_BEGIN = "INSERT INTO landing_begun (hour) VALUES (%s)"
_DAY = """
INSERT INTO landing_day (unit, starts, as_of, low, best, high, co2_low, co2_best, co2_high)
SELECT * FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
ON CONFLICT (unit, starts, as_of) DO UPDATE SET low = excluded.low, best = excluded.best, high = excluded.high,
  co2_low = excluded.co2_low, co2_best = excluded.co2_best, co2_high = excluded.co2_high"""
_YEAR = """
INSERT INTO landing_year (place, unit, starts, as_of, low, best, high, share, quota, factors, unverified, history, carbon)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (starts, unit, place) DO UPDATE SET as_of = excluded.as_of, low = excluded.low, best = excluded.best, high = excluded.high,
  share = excluded.share, quota = excluded.quota, factors = excluded.factors, unverified = excluded.unverified,
  history = excluded.history, carbon = excluded.carbon"""
_YEARS = """
SELECT DISTINCT ON (unit) unit, starts, as_of, low, best, high, share, quota, factors, unverified, history, carbon
FROM landing_year WHERE starts = %s AND place <= %s ORDER BY unit, place DESC"""
_DAYS: Mapping[Regime, LiteralString] = {
    regime: f"""
SELECT DISTINCT ON (unit, starts) unit, starts, {columns} FROM landing_day
WHERE starts >= %s AND starts < %s AND unit = ANY(%s) AND as_of <= %s ORDER BY unit, starts, as_of DESC"""  # noqa: S608 - constants
    for regime, columns in _COLUMNS.items()
}
_QUOTAS: Mapping[Regime, LiteralString] = {
    regime: f"""
SELECT u.unit, l.quota FROM unnest(%s::text[]) AS u (unit) CROSS JOIN LATERAL (
  SELECT (landed ->> 'quota')::bigint AS quota FROM {table} WHERE unit = u.unit AND at > %s AND at < %s
  ORDER BY at DESC LIMIT 1) AS l"""  # noqa: S608 - constants
    for regime, table in _TABLES.items()
}
_FORGET = """
DELETE FROM landing_year old USING landing_year new
WHERE new.starts = %s AND new.place <= %s AND old.starts = new.starts AND old.unit = new.unit AND old.place < new.place"""


@dataclass(slots=True)
class Inputs:
    """Whole days and years on their way into the tables, the newest of each in the log's order."""

    link: Link
    days: dict[tuple[str, int, int], DayTold] = field(default_factory=dict)
    years: dict[tuple[str, int, int], dict[Regime, YearTold]] = field(default_factory=dict)

    def add(self, told: Json) -> None:
        """The next message of the log."""
        self.days.update((one[:3], one) for one in days_in(told))
        years = {one.regime: one for one in years_in(told)}
        if years:
            energy = years["energy"]
            self.years[energy.unit, energy.starts, energy.place] = years
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
                [_year_row(**years) for years in self.years.values()],
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
    """Where every unit with a quota or a budget lands at a business midnight; written, and returned regime by regime in the order of units."""
    begins = {member.unit: member.begins for member in members}
    starts = window_start("year", at - 1)
    years = [
        one
        for row in link.execute(_YEARS, (starts, at)).fetchall()
        for one in _years_of(row)
        if one.unit in begins and one.quota is not None
    ]
    rows: list[Row] = []
    for regime in REGIMES:
        mine = [one for one in years if one.regime == regime]
        told = [
            row
            for first in range(0, len(mine), _UNITS)
            for row in _rows(link, at, mine[first : first + _UNITS], begins)
        ]
        into = f"COPY {_TABLES[regime]} (unit, at, begins, history, cause, landed) FROM STDIN"
        with link.cursor().copy(into) as copy:
            for row in told:
                copy.write_row((*row[:5], row.landed.model_dump_json()))
        rows += told
    link.execute(_FORGET, (starts, at))
    return rows


def _rows(
    link: Link, at: int, years: Sequence[YearTold], begins: Mapping[str, int]
) -> Iterator[Row]:
    units = [one.unit for one in years]
    starts, regime = years[0].starts, years[0].regime
    found = link.execute(_DAYS[regime], (window_start("year", starts - 1), at, units, at))
    days: dict[str, dict[int, Amount]] = {unit: {} for unit in units}
    for unit, start, low, best, high in found:
        if low is not None:
            days[unit][start] = Amount(low, best, high)
    quotas = dict[str, int](link.execute(_QUOTAS[regime], (units, starts, at)).fetchall())
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


def _year_row(energy: YearTold, carbon: YearTold | None = None) -> tuple[object, ...]:
    more = None if carbon is None else {name: getattr(carbon, name) for name in _OF_CARBON}
    return (
        *(energy.place, *energy[:8], list(energy.factors), energy.unverified, energy.history),
        None if more is None else Jsonb(more),
    )


def _years_of(row: TupleRow) -> Iterator[YearTold]:
    *columns, carbon = row
    energy = YearTold(*columns)
    energy = energy._replace(factors=tuple(energy.factors))
    yield energy
    if carbon is not None:
        told = energy._replace(**carbon, regime="carbon")
        yield told._replace(factors=tuple(told.factors))


class LandingAwayError(Exception):
    """The database does not answer, or not as this release knows it; the message says how."""


def last_landings(url: str, unit: str) -> dict[Regime, tuple[int, Json]]:
    """A unit's last midnight and what was told there, by regime. Raises LandingAwayError."""
    try:
        with psycopg.connect(url, connect_timeout=5) as link:
            found = {
                regime: link.execute(
                    f"SELECT at, landed FROM {table} WHERE unit = %s ORDER BY at DESC LIMIT 1",  # noqa: S608 - constants
                    (unit,),
                ).fetchone()
                for regime, table in _TABLES.items()
            }
    except psycopg.Error as error:
        message = f"the database does not answer: {str(error).strip()}"
        raise LandingAwayError(message) from error
    return {regime: (int(row[0]), row[1]) for regime, row in found.items() if row is not None}
