"""Queries reach the database as Grafana would send them, or the test says why not."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.calendar import BUSINESS
from tests.dashboards.macros import ExpansionError, Value, expand, interval_text

START = datetime(2026, 1, 1, tzinfo=BUSINESS)
END = datetime(2026, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("SELECT 1", "SELECT 1"),
        ("$__timeFilter(day)", "day BETWEEN '2025-12-31T16:00:00Z' AND '2026-01-01T00:00:01.5Z'"),
        ("f($__timeFrom(), $__timeTo())", "f('2025-12-31T16:00:00Z', '2026-01-01T00:00:01.5Z')"),
        ("$__time(at)", 'at AS "time"'),
        ("$__timeGroup(at, '15m') x", "time_bucket('900.000s',at) x"),
        ("$__timeGroupAlias(at, $__interval)", "time_bucket('60.000s',at) AS \"time\""),
        ("$__unixEpochFilter(at)", "at >= 1767196800 AND at <= 1767225601"),
        ("$__unixEpochFrom() $__unixEpochTo()", "1767196800 1767225601"),
        ("$__interval ${__interval} $__interval_ms", "1m 1m 60000"),
        ("${__from} $__to", "1767196800000 1767225601500"),
    ],
)
def test_macros(query: str, expected: str) -> None:
    """As the PostgreSQL data source with TimescaleDB expands them; instants in UTC."""
    assert expand(query, START, END, {}) == expected


@pytest.mark.parametrize(
    ("query", "value", "expected"),
    [
        ("'$unit'", "A'B", "'A''B'"),
        ("'${unit}'", "AB", "'AB'"),
        ("${unit:sqlstring}", "A'B", "'A''B'"),
        ("IN (${unit:sqlstring})", ["A", "B"], "IN ('A','B')"),
        ("IN ($unit)", ["A", "B"], "IN ('A','B')"),
        ("IN (${unit:singlequote})", ["A"], "IN ('A')"),
        ("${unit:csv}", ["A", "B"], "A,B"),
        ("${unit:raw}", "A'B", "A'B"),
    ],
)
def test_variables(query: str, value: Value, expected: str) -> None:
    """One value is escaped and not quoted unless asked; several are quoted."""
    assert expand(query, START, END, {"unit": value}) == expected


@pytest.mark.parametrize(
    "query",
    [
        "$other",
        "${other:sqlstring}",
        "${unit:percentencode}",
        "$__timeFilter()",
        "$__timeGroup(at)",
        "$__timeGroup(at, 'soon')",
        "$__nothing(at)",
        "SELECT '5 $'",
    ],
)
def test_what_grafana_could_not_expand_is_an_error(query: str) -> None:
    """A query with a slip must not reach the database as something else."""
    with pytest.raises(ExpansionError):
        expand(query, START, END, {"unit": "A"})


def test_a_value_that_grafana_escapes_in_its_own_way_is_refused() -> None:
    """Versions differ on double quotes; no code of ours has one."""
    with pytest.raises(ExpansionError):
        expand("${unit:sqlstring}", START, END, {"unit": 'A"B'})


def test_a_range_without_a_time_zone_is_refused() -> None:
    """Nobody could say which instant it is."""
    with pytest.raises(ExpansionError):
        expand("$__timeFrom()", START.replace(tzinfo=None), END, {})


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (500, "500ms"),
        (1_500, "1s"),
        (60_000, "1m"),
        (5_400_000, "1h"),
        (timedelta(days=2) // timedelta(milliseconds=1), "2d"),
    ],
)
def test_intervals_are_written_in_the_largest_unit(milliseconds: int, text: str) -> None:
    assert interval_text(milliseconds) == text
