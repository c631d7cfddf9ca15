"""What the dashboards ask is answered, by the read-only role, with exactly what is true."""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from oracle import window_figures
from schemas.calendar import HOUR_MS, moment
from tests.dashboards import expected
from tests.dashboards.conftest import Seeded
from tests.dashboards.expected import OF_CHOSEN, OF_REGIONS, OF_UNIT, Rows
from tests.dashboards.macros import Value, expand
from tests.dashboards.shown import PROVINCE, REGIONAL, UNIT, Query, queries, variables
from tests.dashboards.world import END, NO_QUOTA, START, code

UNITS = [code(number) for number in range(1, 9)]
REGIONS = ["510100", "510300", "510400"]
INDUSTRIES = ["22", "26", "30", "31"]
CHOICES = [
    (REGIONS, INDUSTRIES),
    *(([region], INDUSTRIES) for region in REGIONS),
    *((REGIONS, [industry]) for industry in INDUSTRIES),
    (["510100"], ["26"]),
]
"""All; each city; each industry; a pair without a unit."""
HYPERTABLES = {"panel 4", "panel 8", "panel 10"}
"""Queries of the unit's dashboard that go back to the readings."""


def asked(
    link: psycopg.Connection, query: Query, start: int = START, end: int = END, **values: Value
) -> tuple[list[str], Rows]:
    """Column names and rows of a query."""
    cursor = link.execute(expand(query.sql, moment(start), moment(end), values).encode())
    assert cursor.description
    return [column.name for column in cursor.description], cursor.fetchall()


def of(uid: str) -> list[Any]:
    """The queries of one dashboard, as parameters."""
    return [
        pytest.param(query, id=f"{uid} {query.name}")
        for query in queries()
        if query.dashboard == uid
    ]


def test_every_query_has_rows_that_are_expected() -> None:
    """A panel without an expectation would be tested by nobody."""
    named: dict[str, set[str]] = {}
    for query in queries():
        assert query.name not in named.setdefault(query.dashboard, set())
        named[query.dashboard].add(query.name)
    assert named == expected.NAMES


@pytest.mark.parametrize(("regions", "industries"), CHOICES)
@pytest.mark.parametrize("query", [query for uid in OF_CHOSEN for query in of(uid)])
def test_chosen_cities_and_industries(
    grafana: psycopg.Connection,
    seeded: Seeded,
    query: Query,
    regions: list[str],
    industries: list[str],
) -> None:
    """For every value of city and industry."""
    _, rows = asked(grafana, query, region=regions, industry=industries)
    units = seeded.expected.chosen(regions, industries)
    assert rows == OF_CHOSEN[query.dashboard][query.name](units, seeded.expected)


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("query", of(UNIT))
def test_a_unit(grafana: psycopg.Connection, seeded: Seeded, query: Query, unit: str) -> None:
    """For every unit, one of which nothing was told."""
    _, rows = asked(grafana, query, unit=unit)
    assert rows == OF_UNIT[query.name](seeded.expected.one(unit), seeded.expected)


@pytest.mark.parametrize("scope", ["province:510000", "city:510100", "industry:26"])
@pytest.mark.parametrize("query", of(REGIONAL))
def test_regions_and_industries(
    grafana: psycopg.Connection, seeded: Seeded, query: Query, scope: str
) -> None:
    """Sums by the oracle; hours and changes of level as they were told."""
    _, rows = asked(grafana, query, scope=scope)
    assert rows == OF_REGIONS[query.name](scope, seeded.expected)
    without = {"panel 5": {"industry:26"}, "panel 7": {"province:510000", "city:510100"}}
    assert rows or scope in without.get(query.name, set())


def test_scopes_are_offered(grafana: psycopg.Connection) -> None:
    """Each that has key units, by name."""
    _, rows = asked(grafana, Query(REGIONAL, "scope", variables(REGIONAL)["scope"]["query"]))
    assert [value for _, value in rows] == sorted(
        ["province:510000", *(f"city:{r}" for r in REGIONS), *(f"industry:{i}" for i in INDUSTRIES)]
    )
    assert ("510100 Example city A (示例市甲)", "city:510100") in rows


def test_the_language_changes_no_row(grafana: psycopg.Connection) -> None:
    """Only what columns are called, and texts that are in both languages."""
    told = {language: list(queries(language)) for language in ("both", "en", "zh")}
    values: dict[str, Value] = {
        "region": REGIONS,
        "industry": INDUSTRIES,
        "unit": code(1),
        "scope": "city:510100",
    }
    for both, *others in zip(told["both"], told["en"], told["zh"], strict=True):
        _, rows = asked(grafana, both, **values)
        for other in others:
            columns, same = asked(grafana, other, **values)
            assert len(set(columns)) == len(columns)
            if not both.name.startswith("annotation"):
                assert same == rows, other.sql


def test_the_world_has_everything_that_the_panels_show(seeded: Seeded) -> None:
    """Else an empty answer would be as right as a full one."""
    units = seeded.expected.standings()
    words = {one.word for one in units}
    assert words == {
        "confirmed breach", "suspected breach", "cannot be judged", "within quota", "no quota", "nothing told yet",
    }  # fmt: skip
    for uid, some in OF_CHOSEN.items():
        for name, rows in some.items():
            assert rows(units, seeded.expected), (uid, name)
    for name, rows_of_unit in OF_UNIT.items():
        if name in {"annotation Corrections (更正)", "annotation Contested (存在争议)"}:
            continue  # laws tell corrections; two days without one, and without objections, are enough here
        assert any(rows_of_unit(one, seeded.expected) for one in units), name
    kinds = {row[1] for one in units for row in expected.gaps(one, seeded.expected)}
    assert kinds == {
        "register event",
        "before the first reading",
        "gap, amount known",
        "missing periods",
        "silent",
    }
    assert {alert.state for alert in seeded.expected.heard.alerts} == {"pending", "firing"}


@pytest.mark.parametrize(
    ("uid", "name", "values"),
    [(PROVINCE, "region", REGIONS), (PROVINCE, "industry", INDUSTRIES), (UNIT, "unit", UNITS)],
)
def test_variables_offer_what_there_is(
    grafana: psycopg.Connection, seeded: Seeded, uid: str, name: str, values: list[str]
) -> None:
    """A value to choose, and a text that names it."""
    sql = variables(uid)[name]["query"]
    columns, rows = asked(grafana, Query(uid, name, sql))
    assert columns == ["__text", "__value"]
    assert sorted(value for _, value in rows) == values
    names = {
        "region": {one.region for one in seeded.expected.standings()},
        "industry": {one.industry for one in seeded.expected.standings()},
        "unit": {f"{one.unit.name} · {one.code}" for one in seeded.expected.standings()},
    }
    assert {text for text, _ in rows} == names[name]


def test_a_units_city_is_where_the_link_leads(grafana: psycopg.Connection) -> None:
    """It is one of the scopes that are offered there."""
    _, offered = asked(grafana, Query(REGIONAL, "scope", variables(REGIONAL)["scope"]["query"]))
    for unit in UNITS:
        _, ((scope, value),) = asked(grafana, Query(UNIT, "scope", variables(UNIT)["scope"]["query"]), unit=unit)  # fmt: skip
        assert scope == value
        assert value in {chosen for _, chosen in offered}


def test_a_year_that_is_past_is_shown_as_it_ended(
    grafana: psycopg.Connection, seeded: Seeded
) -> None:
    """A time range that ends in an earlier year shows that year, with its own figures."""
    query = next(query for query in queries() if query[:2] == (UNIT, "panel 3"))
    _, rows = asked(grafana, query, START - 7 * 24 * HOUR_MS, START - 1, unit=NO_QUOTA)
    world = seeded.expected.province.world(NO_QUOTA)
    begin, end = seeded_year = (1735660800000, START)
    energy = window_figures(world, begin, end, END)["energy"]
    assert energy.high is None
    assert rows[0][:7] == (
        "year",
        *map(moment, seeded_year),
        "energy",
        *(expected.amount(bound) for bound in energy[:3]),
    )


# ---- Rights and plans


def test_the_reader_has_no_right_on_any_table(grafana: psycopg.Connection, seeded: Seeded) -> None:
    """Hypertables, their chunks and all others: only views and functions are open."""
    with psycopg.connect(seeded.url) as link:
        tables = link.execute(
            "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'p') AND (n.nspname = 'public' OR c.relname LIKE '\\_hyper\\_%')"
        ).fetchall()
    names = [name for (name,) in tables]
    assert {"reading_record", "rejection_record", "unit_window", "alert_state", "unit"} < set(names)
    assert sum("_hyper_" in name for name in names) >= 4
    for name in names:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            grafana.execute(f"TABLE {name} LIMIT 1".encode())


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE mine ()", "DELETE FROM unit_standing", "UPDATE unit_account SET rejected = 0"],
)
def test_the_reader_writes_nothing(grafana: psycopg.Connection, statement: str) -> None:
    """A viewer of Grafana may send any SQL."""
    with pytest.raises(psycopg.Error):
        grafana.execute(statement.encode())


def test_the_reader_cannot_look_past_a_view(grafana: psycopg.Connection) -> None:
    """A security barrier: no function of the reader's sees rows that the view leaves out."""
    views = grafana.execute(
        "SELECT c.relname, coalesce(c.reloptions @> ARRAY['security_barrier=true'], false)"
        " FROM pg_class c WHERE c.relkind = 'v' AND c.relnamespace = 'public'::regnamespace"
        " AND has_table_privilege(c.oid, 'SELECT')"
    ).fetchall()
    assert {
        "unit_standing",
        "point_standing",
        "figure_told",
        "alert_standing",
        "alert_log",
    } <= {v for v, _ in views}
    assert [view for view, barrier in views if not barrier] == []


@pytest.fixture
def plans(seeded: Seeded) -> Iterator[tuple[psycopg.Connection, list[str]]]:
    """A session that tells the plan of every statement, those inside functions too."""
    told: list[str] = []
    with psycopg.connect(seeded.url, autocommit=True) as link:
        link.execute("LOAD 'auto_explain'")
        for setting in ("log_min_duration = 0", "log_nested_statements = on", "log_level = notice"):
            link.execute(f"SET auto_explain.{setting}".encode())
        link.add_notice_handler(lambda notice: told.append(notice.message_primary or ""))
        yield link, told


@pytest.mark.parametrize("query", of(UNIT))
def test_a_units_query_reads_the_chunks_of_its_days_alone(
    plans: tuple[psycopg.Connection, list[str]], query: Query
) -> None:
    """Half a day is asked for: of three weeks only the one that holds it is opened."""
    link, told = plans
    chunks = {
        name.rsplit(".", 1)[1]: str(table)
        for table in ("reading_record", "rejection_record")
        for (name,) in link.execute(
            "SELECT show_chunks(%s::regclass, newer_than => date '2026-01-01')::text", (table,)
        )
    }
    weeks = link.execute("SELECT count(*) FROM show_chunks('reading_record')").fetchone()
    assert weeks is not None
    assert weeks[0] == 3
    told.clear()
    asked(link, query, END - 12 * HOUR_MS, END, unit=NO_QUOTA)
    opened = set(re.findall(r"_hyper_\d+_\d+_chunk", " ".join(told)))
    assert told
    assert opened <= set(chunks)
    assert bool(opened) == (query.name in HYPERTABLES)
