"""Landings on the real servers: what is told each midnight is a function of the log, and a forecast is one alert.

About 8 seconds. A log by hand over three midnights: five units, each with its year before, one of them behind, one in history and ahead.
"""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest

from processors import __main__ as processors
from processors.region_store import RegionStore
from schemas import topics
from schemas.calendar import DAY_MS, HOUR_MS, rfc3339, year_start
from schemas.scale import SCALE
from schemas.section import partition_of
from tests.integration.conftest import drop_database, new_database
from tests.integration.places import Place, place_of

PARTITIONS = 2
DAYS = 3
START, BEFORE = year_start(2026), year_start(2025)
HIGH, LOW, BEHIND, FREE, AHEAD = (f"91510100SYN{number:07d}" for number in range(5))
EMITTED = 3
"""Times as much CO2 as energy."""
BUDGETS = {LOW: 900 * SCALE}
QUOTAS = {HIGH: 300 * SCALE, LOW: 500 * SCALE, BEHIND: 300 * SCALE, AHEAD: 300 * SCALE}
OPEN = year_start(2027)

Row = tuple[Any, ...]


def window(
    kind: str, start: int, end: int, days: float, limit: int | None = None
) -> dict[str, Any]:
    amount = int(days * SCALE)
    figure: dict[str, Any] = {
        "low": amount,
        "best": amount,
        "high": amount,
        "share_measured": SCALE,
    }
    figure |= {"factors": ["f"], "unverified": True}
    quota = {} if limit is None else {"limit": limit, "verdict": "PASS"}
    co2 = figure | dict.fromkeys(("low", "best", "high"), amount * EMITTED)
    figures = {"energy": figure, "co2": co2}
    return {"window": kind, "start": start, "end": end, "figures": figures} | quota


def message(unit: str, at: int, *windows: dict[str, Any]) -> bytes:
    told = {"kind": "unit", "unit": unit, "as_of": at, "cause": "reading", "silent": []}
    told["configuration"] = 1
    return orjson.dumps(told | {"history": unit == AHEAD, "windows": windows})


def told_at(unit: str, day: int) -> bytes:
    """At the end of a day of the year: the day, and the year; or all of the year before."""
    if day == 0:
        days = range(BEFORE, START, DAY_MS)
        its = (window("day", start, start + DAY_MS, 1) for start in days)
        return message(unit, START, *its, window("year", BEFORE, START, 365))
    end = START + day * DAY_MS
    year = window("year", START, OPEN, day, QUOTAS.get(unit))
    if unit in BUDGETS:
        year["budget"] = {"limit": BUDGETS[unit], "verdict": "PASS", "view": "provincial"}
    return message(
        unit,
        end - (HOUR_MS // 2 if unit == BEHIND else 0),
        window("day", end - DAY_MS, end, 1),
        year,
    )


def write(url: str, day: int) -> None:
    """A day of the log: an hour's tick each; behind the last what units told. One unit told all on the first day."""
    with psycopg.connect(url) as link:
        if day == 0:
            points = [{"valid_from": "2024-06-01T00:00+08:00"}]
            entry = {"region": "510402", "industry": "31", "points": points}
            units = [entry | {"code": unit} for unit in (HIGH, LOW, BEHIND, FREE, AHEAD)]
            body = json.dumps({"units": units})
            link.execute("INSERT INTO configuration VALUES (1, 'a', 'r', 'h', %s::jsonb)", (body,))
        for partition in range(PARTITIONS):
            if day == 0:
                link.execute("INSERT INTO partition VALUES (1, %s, 0, 999)", (partition,))
                text = "apply configuration 1"
                link.execute("INSERT INTO control VALUES (1, %s, 0, %s)", (partition, text))
            first = START + max(0, day - 1) * DAY_MS
            for at in range(first + HOUR_MS if day else first, START + day * DAY_MS + 1, HOUR_MS):
                place = 1 + (at - START) // HOUR_MS
                link.execute(
                    "INSERT INTO tick VALUES (1, %s, %s, 9, 0, %s)", (partition, place, at)
                )
            for number, (unit, told) in enumerate(telling(day)):
                if partition_of(unit, PARTITIONS) == partition:
                    place = 1 + day * 24
                    row = (partition, place, number, unit, told_at(unit, told))
                    link.execute("INSERT INTO outbox VALUES (1, %s, %s, 0, %s, %s, %s)", row)


def telling(day: int) -> Iterator[tuple[str, int]]:
    """Who tells what on a day."""
    for unit in (HIGH, LOW, BEHIND, FREE):
        yield unit, day
    if day == 0:
        yield from ((AHEAD, told) for told in range(DAYS + 1))


def tell_all(url: str) -> int:
    """All hours that are due."""
    with closing(RegionStore(url, partitions=PARTITIONS)) as store:
        assert store.lead()
        return sum(1 for _ in iter(store.tell_next, None))


def rows(url: str, query: str) -> list[Row]:
    with psycopg.connect(url) as link:
        return link.execute(query.encode()).fetchall()


TOLD = "SELECT hour, partition, key, payload FROM region_outbox WHERE key LIKE 'landing:%' ORDER BY hour, number"
OF_CARBON = "SELECT unit, at, history, landed FROM budget_landing ORDER BY at, unit"
KEPT = "SELECT unit, at, history, landed FROM landing ORDER BY at, unit"


@pytest.mark.slow
def test_each_midnight_is_a_function_of_the_log(
    database: str,
    migrated: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Day by day, all at once, or by a release that did not tell landings at first: the same rows; and then the alerts (8 s)."""
    late, upgraded = new_database(migrated), new_database(migrated)
    try:
        for day in range(DAYS + 1):
            write(database, day)
            assert tell_all(database) == (24 if day else 1)
            for url in (late, upgraded):
                write(url, day)
            if day == 1:
                tell_all(upgraded)
                with psycopg.connect(upgraded) as link:
                    link.execute(
                        "TRUNCATE landing, budget_landing, landing_begun, landing_day, landing_year"
                    )
        assert (tell_all(late), tell_all(upgraded)) == (24 * DAYS + 1, 24 * (DAYS - 1))
        assert rows(database, TOLD) == rows(late, TOLD) == rows(upgraded, TOLD)
        kept = rows(database, KEPT)
        assert kept == rows(late, KEPT)
        assert [row for row in kept if row[1] > START + DAY_MS] == rows(upgraded, KEPT)
        check_rows(kept)
        carbon = rows(database, OF_CARBON)
        assert carbon == rows(late, OF_CARBON)
        check_carbon(carbon)
    finally:
        drop_database(late)
        drop_database(upgraded)
    with place_of(database, tmp_path, partitions=PARTITIONS) as place:
        check_alerts(place)
    monkeypatch.setenv("WEIR_DATABASE_URL", database)
    check_shown(database, capsys)


def check_rows(kept: list[Row]) -> None:
    """One a midnight for each unit with a quota, from the first on, as each has its year before."""
    midnights = [START + day * DAY_MS for day in range(1, DAYS + 1)]
    assert [(row[0], row[1]) for row in kept] == [
        (unit, at) for at in midnights for unit in (HIGH, LOW, BEHIND, AHEAD)
    ]
    states = {
        unit: {(row[3]["state"], row[3]["reason"]) for row in kept if row[0] == unit}
        for unit in QUOTAS
    }
    assert states == {
        HIGH: {("will break", None)},
        LOW: {("on track", None)},
        BEHIND: {("cannot be said", "behind")},
        AHEAD: {("will break", None)},
    }
    assert {row[0] for row in kept if row[2]} == {AHEAD}
    last = kept[-4][3]
    assert (last["projected"]["basis"], last["unverified"]) == ("seasonal", True)
    assert last["projected"]["year_end"]["best"] == 365 * SCALE


def check_carbon(kept: list[Row]) -> None:
    """Its energy keeps the quota of 500, its CO2 (1,095 t) will not keep the budget of 900."""
    assert [(unit, landed["state"]) for unit, _, _, landed in kept] == [(LOW, "will break")] * DAYS
    last = kept[-1][3]
    assert (last["regime"], last["quota"], last["view"]) == ("carbon", 900 * SCALE, "provincial")
    assert last["projected"]["year_end"]["best"] == 365 * EMITTED * SCALE


def check_alerts(place: Place) -> None:
    """Published and heard, the forecast is an alert of its unit, told once."""
    place.start(
        "alerts",
        *("alerts", "run", "--no-alertmanager"),
        WEIR_ALERTS_TOPIC=place.prefix + topics.INDICATORS,
        WEIR_ALERTS_GROUP=place.prefix + "alerts",
        WEIR_ALERTS_HTTP="127.0.0.1:0",
    )
    place.run("processors", "aggregator", "--once")
    assert sum(place.ends(topics.INDICATORS).values()) == len(rows(place.database, TOLD))
    heard = place.ends(topics.INDICATORS)
    place.wait(lambda: place.next_offsets("alert_partition") == heard, "the alerts have heard")
    fired = "SELECT unit, rule, at, history FROM alert_transition WHERE state = 'firing' ORDER BY 1"
    third = START + 3 * DAY_MS
    assert place.query(fired) == [
        (HIGH, "quota-will-be-exceeded", third, False),
        (LOW, "budget-will-be-exceeded", third, False),
        (AHEAD, "quota-will-be-exceeded", third, True),
    ]
    now = "SELECT unit, kind, summary IS NOT NULL FROM alert_now WHERE state = 'firing' ORDER BY 1"
    assert place.query(now) == [(unit, "will break", True) for unit in (HIGH, LOW, AHEAD)]
    said = "SELECT body #>> '{annotations,summary}' FROM alert_transition WHERE unit = %s AND state = 'firing'"
    expected = f"Unit {LOW}: CO2 of 2026 will be above its CO2 budget at the year's end"
    assert place.query(said, LOW) == [(expected,)]
    of_budget = "SELECT unit, state, budget_t::integer, factor_view FROM unit_budget_landing ORDER BY at LIMIT 1"
    assert place.query(of_budget) == [(LOW, "will break", 900, "provincial")]
    seen = "SELECT unit, state, basis, year_end_best::integer FROM unit_landing WHERE unit = %s LIMIT 1"
    assert place.query(seen, HIGH) == [(HIGH, "will break", "seasonal", 365)]


def check_shown(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """For people and for machines; who was never told of is not there."""
    judged = json.dumps(window("year", START, OPEN, DAYS, QUOTAS[HIGH]))
    with psycopg.connect(url) as link:
        link.execute("INSERT INTO unit (code) VALUES (%s)", (HIGH,))
        link.execute(
            """INSERT INTO unit_window (unit, kind, starts, ends, as_of, "offset", position, judged)
            SELECT id, 'year', %s, %s, %s, 1, 1, %s FROM unit""",
            (START, OPEN, START + DAYS * DAY_MS, judged),
        )
    assert processors.main(["landing", "show", HIGH, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["landing"]["at"] == rfc3339(START + DAYS * DAY_MS)
    assert shown["landing"]["state"] == "will break"
    assert shown["headroom"]["binds"]["amount"] == "300"
    assert shown["headroom"]["this_year"] == {"low": "297", "best": "297", "high": "297"}
    assert processors.main(["landing", "show", HIGH]) == 0
    assert "WILL BREAK" in capsys.readouterr().out
    assert processors.main(["landing", "show", FREE]) == 1
    assert "nothing was told" in capsys.readouterr().err
