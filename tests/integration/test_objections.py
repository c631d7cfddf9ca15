"""Objections on the real database: filed by an enterprise, decided by another login, shown wherever the figure is (5 s)."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingest.simulator import Faults, configuration_of, stream
from ingest.world import default_world
from processors import __main__ as processors
from processors.metrics import WorkerMetrics
from processors.migrate import login
from processors.store import Store
from processors.worker import Worker
from schemas.calendar import HOUR_MS, year_start
from schemas.wire import encode

START = year_start(2026)
COLUMNS = {
    "figure_told": "window_kind = 'month' AND quantity = 'energy'",
    "figure_now": "window_kind = 'month' AND quantity = 'electricity'",
    "unit_verdict": "true",
    "unit_now": "true",
    "unit_standing": "true",
}


@pytest.fixture
def units(database: str) -> list[str]:
    """Two units with half a day of figures."""
    plants = default_world(start=START, units=2, live=True)
    end = START + 12 * HOUR_MS
    with closing(Store(database, engine="test")) as store:
        store.save_configuration(configuration_of(plants, version=1))
        worker = Worker(store, WorkerMetrics(), partitions=1)
        worker.take({0: 0})
        log = stream(
            plants,
            seed=1,
            start=START,
            end=end,
            faults=Faults(),
            partitions=1,
            live=True,
            tick_ms=HOUR_MS,
        )
        records = [(0, offset, encode(record)) for offset, (_, record) in enumerate(log)]
        worker.write(worker.prepare(records))
    return sorted(plant.unit.code for plant in plants)


@pytest.fixture
def people(database: str, units: list[str]) -> Iterator[dict[str, str]]:
    """Addresses of an enterprise of the first unit and of two stewards."""
    roles = {"enterprise": "weir_enterprise", "steward": "weir_steward"}
    names = {who: f"weir_test_{who}_{uuid4().hex[:8]}" for who in roles}
    for who, role in roles.items():
        login(database, names[who], role=role, password="p")  # noqa: S106 - a test's own login
    with psycopg.connect(database) as link:
        link.execute(
            "INSERT INTO login_scope VALUES (%s, %s, '2020-01-01', NULL)",
            (names["enterprise"], f"unit:{units[0]}"),
        )
    at = conninfo_to_dict(database)
    yield {
        who: make_conninfo(**at | {"user": name, "password": "p"}) for who, name in names.items()
    }
    with psycopg.connect(database, autocommit=True) as link:
        for name in names.values():
            link.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
            link.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def contested(url: str, unit: str) -> dict[str, set[str | None]]:
    """What each view says of a unit."""
    with psycopg.connect(url) as link:
        return {
            view: {
                row[0]
                for row in link.execute(
                    f"SELECT contested FROM {view} WHERE unit = %s AND {which}".encode(),  # noqa: S608 - our own names
                    (unit,),
                )
            }
            for view, which in COLUMNS.items()
        }


def test_a_contested_figure_is_shown_as_such_until_another_login_decides(
    database: str,
    units: list[str],
    people: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The year rests on the month, energy on electricity; others' units are as if nobody had registered them."""
    evidence = tmp_path / "protocol"
    evidence.write_text("meter E1")
    words = [
        "--window",
        "month",
        "--start",
        "2026-01-01",
        "--figure",
        "electricity",
        "--reason",
        "test",
    ]

    def objection(who: str, *asked: str) -> int:
        monkeypatch.setenv("WEIR_DATABASE_URL", people[who])
        return processors.main(["objection", *asked])

    file = ["file", *words, "--evidence", str(evidence), "--unit"]
    assert objection("enterprise", *file, units[1]) == 1
    assert "was told" in capsys.readouterr().err
    assert objection("enterprise", *file, units[0]) == 0
    assert contested(database, units[0]) == {view: {"objection 1"} for view in COLUMNS}
    assert contested(database, units[1]) == {view: {None} for view in COLUMNS}
    assert contested(people["enterprise"], units[0]) == contested(database, units[0])
    capsys.readouterr()
    check_show(database, units[0], monkeypatch, capsys)
    decide = ["decide", "1", "--upheld", "--reason", "protocol 7"]
    assert objection("enterprise", *decide) == 1
    with psycopg.connect(database) as link, pytest.raises(psycopg.errors.InsufficientPrivilege):
        link.execute("UPDATE objection SET reason = 'x'")
    assert objection("steward", *file, units[0]) == 0
    assert objection("steward", "decide", "2", "--rejected", "--reason", "x") == 1
    assert "another one decides" in capsys.readouterr().err
    assert objection("steward", *decide) == 0
    assert objection("steward", *decide) == 1
    assert "decided already" in capsys.readouterr().err
    assert contested(database, units[0])["unit_now"] == {"objection 2"}
    assert objection("enterprise", "list", "--json") == 0
    first, second = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (first["upheld"], first["decision"], second["upheld"]) == (True, "protocol 7", None)


def check_show(
    url: str, unit: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside each figure that rests on it, and no other."""
    monkeypatch.setenv("WEIR_DATABASE_URL", url)
    assert processors.main(["show", unit, "--json"]) == 0
    windows = json.loads(capsys.readouterr().out)["windows"]
    marked = {
        (window["window"], name)
        for window in windows
        for name, figure in window["figures"].items()
        if "contested" in figure
    }
    assert {kind for kind, _ in marked} == {"year", "month"}
    assert {name for _, name in marked} == {"energy", "co2", "electricity"}
    assert processors.main(["show", unit]) == 0
    assert "contested, and not decided: " in capsys.readouterr().out
