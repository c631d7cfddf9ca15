"""The rows of a report, read in one snapshot with the rights of who asks, and written down as taken out."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import LiteralString, TypeVar

import psycopg
from psycopg import Connection, IsolationLevel, sql
from psycopg.rows import TupleRow, class_row

from processors.aggregation import scope_of
from processors.energy_store import energy_rows
from processors.memberships import refusal
from processors.report_rows import (
    Account,
    AlertNow,
    Asked,
    Emission,
    Factor,
    Figure,
    Gap,
    Load,
    Papers,
    Point,
    Record,
    RegionRows,
    RegionTold,
    Rejection,
    Span,
    Standing,
    Stopped,
    Target,
    Told,
    UnitRows,
    YearLimit,
)
from schemas.calendar import BUSINESS
from schemas.pack_entries import Place
from schemas.pack_reading import our_packs

Link = Connection[TupleRow]
RowT = TypeVar("RowT")

WEEK = timedelta(days=7)
READERS = ("weir_reader", "weir_regulator", "weir_enterprise")
"""Roles that only read, the one that sees most first."""
_ROLE: LiteralString = """
SELECT rolname FROM pg_roles WHERE rolname = ANY (%s) AND pg_has_role(session_user, oid, 'MEMBER')
ORDER BY array_position(%s, rolname::text) LIMIT 1"""
_NOTED: LiteralString = "SELECT allowed, may_see FROM note_export(%s, %s, %s::jsonb)"
_STANDING: LiteralString = (
    "SELECT unit, name, region, region_name, industry_name, standing, year, as_of, reason, since, quota_tce, energy_low,"
    " energy_best, energy_high, best_of_quota, share_measured, watermark, silent_points, contested FROM unit_standing"
)
_WINDOW: LiteralString = (
    "scope, name, window_kind, starts, ends, hour, energy_low, energy_best, energy_high, co2_low, co2_best, co2_high,"
    " share_measured, units, told, pending, silent, broken, not_judged, contested, energy_unverified, co2_unverified FROM region_told"
)
_ALERTS: LiteralString = (
    "SELECT unit, rule, kind, severity, state, since, summary FROM alert_standing"
)


class NothingError(Exception):
    """There is no such unit, or nothing of such a region; the message names it."""


class RefusedError(Exception):
    """Who asks may not see it, or may read nothing; the message says what they may see."""


def open_export(url: str, what: str, scope: str, parameters: Mapping[str, object]) -> Link:
    """A session that sees one snapshot of what the login may see, once it is written down that it asks.

    Of our roles it takes on one that only reads, so that an owner's report can do no more than a reader's.
    Raises RefusedError and psycopg.Error.
    """
    link: Link = psycopg.connect(url, autocommit=True)
    try:
        _take_on_a_reading_role(link)
        noted = link.execute(_NOTED, (what, scope, json.dumps(parameters))).fetchone()
        _refuse(link.info.user, scope, noted or (False, ()))
        link.autocommit = False
        link.isolation_level = IsolationLevel.REPEATABLE_READ
        link.read_only = True
    except BaseException:
        link.close()
        raise
    return link


def _take_on_a_reading_role(link: Link) -> None:
    role = link.execute(_ROLE, (list(READERS), list(READERS))).fetchone()
    if role is None:
        message = f"{link.info.user} may read nothing: it must be a member of {', '.join(READERS[:-1])} or {READERS[-1]}"
        raise RefusedError(message)
    link.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role[0])))


def _refuse(login: str, scope: str, noted: TupleRow) -> None:
    allowed, may_see = noted
    if not allowed:
        raise RefusedError(refusal(login, scope, may_see))


def rows_of(
    link: Link, kind: type[RowT], query: LiteralString, values: Sequence[object]
) -> tuple[RowT, ...]:
    """The rows of a query, each as `kind`, whose fields are its columns."""
    with link.cursor(row_factory=class_row(kind)) as cursor:
        return tuple(cursor.execute(query, values).fetchall())


# ---- A unit


def unit_rows(link: Link, unit: str, span: Span) -> UnitRows:
    """Everything in the report of a unit. Raises NothingError where it is not registered."""
    found = rows_of(link, Standing, _STANDING + " WHERE unit = %s", (unit,))
    papers = rows_of(link, Papers, "SELECT * FROM unit_papers(%s)", (unit,))
    if not found or not papers:
        message = f"there is no registered unit {unit}; units are named by their 18-character code"
        raise NothingError(message)
    asked = _asked(link, span, found[0].watermark)
    values = (unit, asked.starts, asked.ends)
    factors = rows_of(link, Factor, "SELECT * FROM unit_factors(%s)", (unit,))
    plain = UnitRows(asked=asked, standing=found[0], papers=papers[0], factors=factors)
    if asked.ends is None:
        return plain
    found_energies = energy_rows(link, *values)
    return UnitRows(
        asked=asked,
        standing=found[0],
        papers=papers[0],
        told=rows_of(link, Told, _TOLD, values),
        records=rows_of(link, Record, "SELECT * FROM windows_told(%s, %s, %s)", values),
        figures=_figures(link, values),
        emissions=_emissions(link, values),
        load=rows_of(link, Load, _LOAD, (unit, asked.ends - WEEK, asked.ends)),
        points=rows_of(link, Point, _POINTS, (unit,)),
        gaps=rows_of(link, Gap, "SELECT * FROM gaps(%s, %s, %s)", values),
        stops=rows_of(link, Stopped, _STOPS, values),
        rejections=rows_of(link, Rejection, _REJECTIONS, (*values, unit)),
        factors=factors,
        used=_used(link, values),
        account=rows_of(link, Account, _ACCOUNT, (unit,)),
        energies=found_energies.energies,
        deducted=found_energies.deducted,
        limits=_limits(link, [unit]),
    )


_LIMITS: LiteralString = """
WITH held AS (
    SELECT v.unit, 'energy' AS quantity, v.year, v.as_of, v.standing, v.reason, v.since, v.quota_tce AS amount, v.energy_low AS low,
           v.energy_best AS best, v.energy_high AS high, NULL AS factor_view, v.source, v.status,
           v.unverified, v.contested
    FROM unit_verdict v WHERE v.quota_tce IS NOT NULL AND v.energy_low IS NOT NULL
    UNION ALL
    SELECT b.unit, 'co2', b.year, b.as_of, b.standing, b.reason, b.since, b.budget_t, b.co2_low, b.co2_best, b.co2_high, b.factor_view,
           b.source, b.status, b.unverified, b.contested
    FROM unit_budget b WHERE b.co2_low IS NOT NULL
)
SELECT n.unit, n.name, h.quantity, h.year, h.as_of, h.standing, h.reason, h.since, h.amount, h.low, h.best, h.high, h.factor_view,
       h.source, h.status, h.unverified OR coalesce(l.unverified, false) AS unverified, h.contested, l.landing, l.year_end_low, l.year_end_best, l.year_end_high,
       l.exhausted_best,
       l.per_day_safe
FROM unit_now n
JOIN held h ON h.unit = n.unit AND h.year = n.year
LEFT JOIN LATERAL (
    SELECT state AS landing, year_end_low, year_end_best, year_end_high, exhausted_best, per_day_safe, unverified, at
    FROM unit_landing e WHERE h.quantity = 'energy' AND e.unit = n.unit AND e.year = h.year
    UNION ALL
    SELECT state, year_end_low, year_end_best, year_end_high, exhausted_best, per_day_safe, unverified, at
    FROM unit_budget_landing c WHERE h.quantity = 'co2' AND c.unit = n.unit AND c.year = h.year
    ORDER BY at DESC LIMIT 1
) l ON true
WHERE n.unit = ANY (%s) ORDER BY h.standing, n.unit, h.quantity DESC"""


def _limits(link: Link, units: list[str]) -> tuple[YearLimit, ...]:
    return rows_of(link, YearLimit, _LIMITS, (units,))


_TOLD: LiteralString = """
SELECT window_kind, starts, ends, as_of, quantity, unit_of_measure, low, best, high, share_measured, unverified, contested
FROM figure_told WHERE unit = %s AND ends > %s AND starts < %s
ORDER BY starts, window_kind, array_position(ARRAY['energy', 'co2', 'process', 'electricity', 'purchased', 'raw_coal', 'heat', 'output', 'material'], quantity)"""
_LOAD: LiteralString = """
SELECT starts, sum(low) AS low, sum(best) AS best, sum(high) AS high FROM quarter_hours(%s, %s, %s)
WHERE quantity = 'electricity' GROUP BY starts ORDER BY starts"""
_POINTS: LiteralString = """
SELECT point, quantity, unit_of_measure, statement, rated_per_hour, valid_from, valid_to, heard_until, silent,
       silent_since, missing_high
FROM point_standing WHERE unit = %s ORDER BY silent DESC, number"""
_STOPS: LiteralString = """
SELECT name, kind, starts, ends, points, evidence, declared_by, entered_at FROM stop_declared
WHERE unit = %s AND ends > %s AND starts < %s AND NOT withdrawn ORDER BY starts, name"""
_REJECTIONS: LiteralString = """
SELECT 'rejected' AS kind, reason, point_name, count, first_at, last_at FROM rejections(%s, %s, %s)
UNION ALL SELECT kind, reason, NULL, count, first_at, last_at FROM refusals(%s)
ORDER BY count DESC, reason, point_name"""
_ACCOUNT: LiteralString = """
SELECT day, received, accepted, repeated, superseded, rejected, unreadable FROM unit_account
WHERE unit = %s ORDER BY day DESC LIMIT 31"""
_USED: LiteralString = """
SELECT DISTINCT unnest(string_to_array(factors, ', ')) FROM figure_factors
WHERE unit = %s AND starts >= %s AND starts < %s"""


def _used(link: Link, values: tuple[object, ...]) -> frozenset[str]:
    return frozenset(str(row[0]) for row in link.execute(_USED, values))


def _figures(link: Link, values: tuple[object, ...]) -> tuple[Figure, ...] | None:
    try:
        with link.transaction():
            return rows_of(link, Figure, "SELECT * FROM figures(%s, %s, %s)", values)
    except psycopg.errors.NoDataFound:
        return None


def _emissions(link: Link, values: tuple[object, ...]) -> tuple[Emission, ...]:
    try:
        with link.transaction():
            return rows_of(link, Emission, "SELECT * FROM co2_terms(%s, %s, %s)", values)
    except psycopg.errors.NoDataFound:
        return ()


def _asked(link: Link, span: Span, watermark: datetime | None) -> Asked:
    """The span in whole hours, not beyond the unit's time. A unit without time has none."""
    row = link.execute("SELECT now()").fetchone()
    assert row is not None  # noqa: S101 - it is one row
    read_at: datetime = row[0]
    if watermark is None:
        return Asked(read_at, None, None)
    hour = watermark.replace(minute=0, second=0, microsecond=0)
    ends = hour if span.last is None else min(hour, _begin(span.last) + timedelta(days=1))
    year = (ends - timedelta(microseconds=1)).astimezone(BUSINESS).year
    starts = _begin(span.first or date(year, 1, 1))
    if starts >= ends:
        last = watermark.astimezone(BUSINESS)
        message = f"nothing was told from {starts.astimezone(BUSINESS):%Y-%m-%d} on: the newest is of {last:%Y-%m-%d %H:%M}"
        raise NothingError(message)
    return Asked(read_at, starts, ends)


def _begin(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=BUSINESS)


# ---- A region or industry


def region_rows(link: Link, code: str, span: Span) -> RegionRows:
    """Everything in the report of a region or industry. Raises NothingError where it has no unit."""
    scope = scope_of(code)
    industries = [part[9:] for part in scope.split("+") if part.startswith("industry:")]
    prefixes = [_prefix(part) for part in scope.split("+") if not part.startswith("industry:")]
    units = rows_of(link, Standing, _UNITS, (prefixes, industries, industries))
    if not units:
        message = f"there is no registered unit in {scope}; a region is named by its code, 510400, or industry:31"
        raise NothingError(message)
    last = max((unit.watermark for unit in units if unit.watermark), default=None)
    asked = _asked(link, span, last)
    begins, till = asked.starts or asked.read_at, asked.ends or asked.read_at
    values = (scope, begins, till)
    papers = _papers(link, [unit.unit for unit in units])
    generation, offsets = _log(link)
    return RegionRows(
        asked=asked,
        scope=scope,
        name=" + ".join(_name(link, part) for part in scope.split("+")),
        units=units,
        pending=frozenset(unit for unit, told in papers.items() if told.pending is not None),
        windows=rows_of(link, RegionTold, _WINDOWS, values),
        parts=rows_of(link, RegionTold, _PARTS, (_below(scope), *values[1:])),
        targets=rows_of(link, Target, _TARGETS, (scope, _below(scope))),
        alerts=rows_of(
            link, AlertNow, _ALERTS + " WHERE unit = ANY (%s)", ([unit.unit for unit in units],)
        ),
        limits=_limits(link, [unit.unit for unit in units]),
        configuration=max(told.configuration for told in papers.values()),
        factor_packs=tuple(sorted({told.factor_pack for told in papers.values()})),
        engine=next(iter(papers.values())).engine,
        generation=generation,
        offsets=offsets,
    )


def _name(link: Link, scope: str) -> str:
    """As the registry has it, else as our pack of places does: nobody registers a province."""
    row = link.execute("SELECT name FROM scope_name WHERE scope = %s", (scope,)).fetchone()
    if row is not None:
        return str(row[0])
    code = scope.partition(":")[2]
    places = (held.entry for held in our_packs().of(Place) if held.entry.code == code)
    return next((f"{code} {place.name} ({place.name_zh})" for place in places), scope)


def _papers(link: Link, units: list[str]) -> dict[str, Papers]:
    rows = link.execute(_ALL_PAPERS, (units,)).fetchall()
    return {str(row[0]): Papers(*row[1:]) for row in rows}


def _log(link: Link) -> tuple[int | None, str]:
    """The generation of the log, and the next offset of each partition."""
    query: LiteralString = (
        "SELECT generation, partition, next_offset FROM partition_now ORDER BY partition"
    )
    rows = link.execute(query).fetchall()
    offsets = ", ".join(f"{partition}: {offset}" for _, partition, offset in rows)
    return (rows[0][0] if rows else None), offsets


_UNITS: LiteralString = (
    _STANDING
    + " WHERE coalesce(region, '') LIKE ALL (%s::text[]) AND (cardinality(%s::text[]) = 0 OR industry = ALL (%s::text[])) ORDER BY unit"
)
_WINDOWS: LiteralString = (
    "SELECT DISTINCT ON (window_kind, starts) "
    + _WINDOW
    + " WHERE scope = %s AND ends > %s AND starts < %s ORDER BY window_kind, starts, hour DESC"
)
_ALL_PAPERS: LiteralString = "SELECT u.unit, p.* FROM unnest(%s::text[]) AS u (unit) CROSS JOIN LATERAL unit_papers(u.unit) p"
_PARTS: LiteralString = (
    "SELECT DISTINCT ON (scope) "
    + _WINDOW
    + " WHERE scope LIKE %s AND window_kind = 'year' AND ends > %s AND starts < %s ORDER BY scope, hour DESC"
)
_TARGETS: LiteralString = """
SELECT target, scope, name, year, quantity, covers, hour, target_amount, allowed, basis, low, best, high, verdict, reason,
       level, level_reason, rule, views, unverified, contested
FROM target_told WHERE is_newest AND (scope = %s OR scope LIKE %s) ORDER BY scope, target"""


def _prefix(scope: str) -> str:
    level, _, code = scope.partition(":")
    digits = {"province": 2, "city": 4}.get(level, 6)
    return code[:digits] + "%"


def _below(scope: str) -> str:
    """What the scopes one level down look like; of an industry or a joined scope none."""
    level, _, code = scope.partition(":")
    if "+" in scope:
        return ""
    return {"province": f"city:{code[:2]}%", "city": f"county:{code[:4]}%"}.get(level, "")
