"""A product line through the engine into the tables, and out again to people."""

import json
from decimal import Decimal
from typing import Any

import numpy as np
import psycopg
import pytest

from processors.__main__ import main
from processors.co2_views import power_rows
from processors.engine import Engine
from processors.memory import drive
from processors.power_store import keep_powers
from processors.store import Store
from schemas.calendar import HOUR_MS, moment
from schemas.factors import default_pack
from schemas.law import LawInForce
from schemas.pack_reading import our_packs
from schemas.section import NEVER, ApplyConfiguration, Record, Section, Tick
from tests.processors.worlds import BEGIN, CODES, configuration, point, unit

KILN = {
    "id": "kiln",
    "name": "Kiln 1",
    "indicators": ["cement.clinker.comprehensive"],
    "parameters": {"altitude": "500"},
    "evidence": "survey",
}
HOURS = 3


def said(name: str, values: list[int]) -> Section:
    """Amounts of hours, by a point."""
    return Section(
        unit=CODES[0],
        received_at=BEGIN + HOURS * HOUR_MS,
        names=(name,),
        point=0,
        at=np.array([BEGIN + i * HOUR_MS for i in range(HOURS)], np.int64),
        value=np.array(values, np.int64) * 10**6,
        statement=3,
        units_of_measure=("t" if name in {"made", "coal"} else "kWh",),
        unit_of_measure=0,
        rank=5,
        revision=0,
        sent_at=NEVER,
        flags=0,
        messages=("m",),
    )


def test_a_line_is_told_judged_stored_and_shown(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """120 kgce a tonne against 117: broken; a sub-meter counts for the line and not for the unit."""
    hourly = {"statement": "PT1H", "digits": None, "rated_per_hour": "1000000"}
    told = unit(
        point(name="main", **hourly),
        point(name="power", sign=0, within="main", lines={"kiln": 1}, **hourly),
        point(name="coal", quantity="raw_coal", lines={"kiln": 1}, **hourly),
        point(name="made", quantity="output", lines={"kiln": 1}, **hourly),
        lines=[KILN | {"valid_from": "2026-03-10T00:00:00+08:00"}],
        history=False,
    )
    law = LawInForce.of(our_packs())
    configurations = {1: configuration(1, [told]).model_copy(update={"law": law})}
    store = Store(database)
    store.save_configuration(configurations[1])
    store.save_factors(default_pack())
    engine = Engine(default_pack(), configurations, 1)
    sections = (
        said("main", [300_000] * HOURS),
        said("power", [60_000] * HOURS),
        said("coal", [157] * HOURS),
        said("made", [995] * HOURS),
    )
    bodies = [ApplyConfiguration(1), sections, Tick(BEGIN + HOURS * HOUR_MS)]
    log = [(0, offset, Record("test", 1, offset, body)) for offset, body in enumerate(bodies)]
    store.take({0: 0})
    step = drive(engine.step(log), store)  # type: ignore[arg-type]
    store.write(step)
    with psycopg.connect(database) as link:
        rows = link.execute(
            "SELECT level, verdict, limit_high FROM line_limit_told WHERE window_kind = 'year' ORDER BY level"
        ).fetchall()
        assert [(level, verdict) for level, verdict, _ in rows] == [
            (1, "FAIL"),
            (2, "FAIL"),
            (3, "FAIL"),
        ]
        figures = link.execute(
            "SELECT quantity, best FROM figures(%s, 'kiln', %s, %s)",
            (CODES[0], moment(BEGIN), moment(BEGIN + HOURS * HOUR_MS)),
        ).fetchall()
        by_name = dict(figures)
        assert by_name["output"] == 995 * HOURS
        assert 120 < by_name["intensity"] < 121
        (by_standard,) = link.execute(
            "SELECT line, indicator, unit_of_measure, best, rests_on FROM unit_energy WHERE window_kind = 'year'"
        ).fetchall()
        assert by_standard[:4] == ("kiln", KILN["indicators"][0], "tce", by_name["energy"])
        assert by_standard[4] == ["electricity.energy.equivalent", "raw_coal.energy"]
        unit_power = link.execute(
            "SELECT best FROM figures(%s, %s, %s) WHERE quantity = 'electricity'",
            (CODES[0], moment(BEGIN), moment(BEGIN + HOURS * HOUR_MS)),
        ).fetchone()
        assert unit_power == (900_000,)
    monkeypatch.setenv("WEIR_DATABASE_URL", database)
    assert main(["show", CODES[0], "--views", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    check_views(database, shown["co2_views"])
    assert shown["lines"][0]["windows"][0]["limits"][2]["verdict"] == "FAIL"
    assert [one["of"] for one in shown["co2_views"]] == [f"unit {CODES[0]}", "line kiln"]
    assert main(["show", CODES[0], "--views"]) == 0
    text = capsys.readouterr().out
    assert "FAIL since 2026-03-10T03:00:00" in text
    assert "national residual" in text
    store.close()


def check_views(url: str, shown: list[dict[str, Any]]) -> None:
    """What the database says of each view is what is worked out from the packs; one of them is told."""
    with psycopg.connect(url) as link:
        keep_powers(link, power_rows(our_packs()))
        keep_powers(link, power_rows(our_packs()))
        rows = link.execute(
            "SELECT coalesce('line ' || line, 'unit ' || unit), view, region, factor, factor_year, unverified, low, best, high, is_told"
            " FROM co2_by_view WHERE window_kind = 'year' ORDER BY line NULLS FIRST, place"
        ).fetchall()
    names = ("view", "region", "factor", "factor_year", "unverified")
    expected = [
        (
            one["of"],
            *(view[name] for name in names),
            *(view[end] and Decimal(view[end]) for end in ENDS),
        )
        for one in shown
        for view in one["views"]
    ]
    assert [row[:-1] for row in rows] == expected
    assert [row[-1] for row in rows] == [True, False, False, False] * 2
    assert len({row[7] for row in rows}) == 2 * 4


ENDS = ("low", "best", "high")
