"""CO2 of a unit with all its terms through the engine into the tables, and out again to people."""

import json
from decimal import Decimal
from pathlib import Path

import numpy as np
import psycopg
import pytest

from processors.__main__ import main
from processors.aggregation import Telling, span_of
from processors.deduction_store import DeductionStore
from processors.engine import Engine
from processors.memory import drive
from processors.store import Store
from schemas.calendar import HOUR_MS, moment, year_start
from schemas.double_control import NOTHING
from schemas.factors import default_pack
from schemas.section import NEVER, ApplyConfiguration, Body, Record, Section, Tick
from tests.processors.worlds import BEGIN, CODES, configuration, point, unit

HOURS = 3
SPAN = moment(BEGIN), moment(BEGIN + HOURS * HOUR_MS)
HOURLY = {"statement": "PT1H", "digits": None, "rated_per_hour": "1000000"}
KILN = {"lines": {"kiln": 1}}
POINTS = (
    (point(name="bought", **HOURLY, **KILN), 10_000),
    (point(name="sold", sign=-1, **HOURLY), 4_000),
    (point(name="roof", self_generated=True, **HOURLY, **KILN), 2_000),
    (point(name="steam", quantity="heat", **HOURLY), 500),
    (point(name="given", quantity="heat", sign=-1, **HOURLY), 200),
    (point(name="coal", quantity="raw_coal", **HOURLY, **KILN), 30),
    (point(name="lime", quantity="output", process="process.lime.lime", **HOURLY, **KILN), 100),
    (
        point(
            name="stone", quantity="material", process="process.steel.limestone", **HOURLY, **KILN
        ),
        10,
    ),
)
HEAT = {"carrier": "raw_coal", "by": "measured", "gj_per_t": "20.934", "valid_from": "2026-01-01"}
NAME = "raw_coal heat value 20.934 GJ/t (measured)"
OPENINGS = [
    {"year": 2026, "quantity": quantity, "low": low, "best": "12", "high": "15"}
    | {"evidence": "books"}
    for quantity, low in (("electricity", "0"), ("raw_coal", "11"))
]
"""Of what the kiln took in before its points began."""
PROCESS = Decimal("0.683") * 300 + Decimal("0.44") * 30


def said(name: str, amount: int, measure: str) -> Section:
    """The same amount in each hour, by a point."""
    return Section(
        unit=CODES[0],
        received_at=BEGIN + HOURS * HOUR_MS,
        names=(name,),
        point=0,
        at=np.array([BEGIN + i * HOUR_MS for i in range(HOURS)], np.int64),
        value=np.full(HOURS, amount * 10**6, np.int64),
        statement=3,
        units_of_measure=(measure,),
        unit_of_measure=0,
        rank=5,
        revision=0,
        sent_at=NEVER,
        flags=0,
        messages=("m",),
    )


def take(database: str) -> None:
    """Three hours of the unit, through the engine into the tables."""
    entry = unit(
        *(one for one, _ in POINTS),
        lines=[{"id": "kiln", "name": "Kiln", "openings": OPENINGS}],
        heat_values=[HEAT | {"source": "report 7", "status": "sourced"}],
        history=False,
    )
    configurations = {1: configuration(1, [entry])}
    store = Store(database)
    store.save_factors(default_pack())
    store.save_configuration(configurations[1])
    engine = Engine(default_pack(), configurations, 1)
    sections = tuple(said(one.name, amount, one.unit_of_measure) for one, amount in POINTS)
    bodies: list[Body] = [ApplyConfiguration(1), sections, Tick(BEGIN + HOURS * HOUR_MS)]
    log = [(0, offset, Record("test", 1, offset, body)) for offset, body in enumerate(bodies)]
    store.take({0: 0})
    store.write(drive(engine.step(log), store))
    store.close()


def test_co2_with_all_its_terms(
    database: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Fuel by the own heat value, electricity and heat bought less sold, process by its factors: told, kept, shown and reported alike."""
    take(database)
    with psycopg.connect(database) as link:
        told = dict(
            link.execute(
                "SELECT quantity, best FROM figure_told WHERE unit = %s AND window_kind = 'day'",
                (CODES[0],),
            ).fetchall()
        )
        worked_out = dict(
            link.execute(
                "SELECT quantity, best FROM figures(%s, %s, %s)", (CODES[0], *SPAN)
            ).fetchall()
        )
        of_unit, of_line = (
            {
                term: (best, unverified, factors)
                for term, _, best, _, factors, unverified in link.execute(
                    f"SELECT * FROM co2_terms({holes})".encode(),  # noqa: S608 - two constants
                    (CODES[0], *line, *SPAN),
                )
            }
            for holes, line in (("%s, %s, %s", ()), ("%s, %s, %s, %s", ("kiln",)))
        )
        line_co2 = link.execute(
            "SELECT quantity, best FROM figures(%s, 'kiln', %s, %s) WHERE quantity IN ('co2', 'process', 'purchased')",
            (CODES[0], *SPAN),
        ).fetchall()
        year = moment(year_start(2026)), SPAN[1]
        opened = link.execute(
            "SELECT sum(low), sum(best) FROM co2_terms(%s, 'kiln', %s, %s)", (CODES[0], *year)
        ).fetchone()
        of_year = link.execute(
            "SELECT low, best FROM figures(%s, 'kiln', %s, %s) WHERE quantity = 'co2'",
            (CODES[0], *year),
        ).fetchone()
        telling = Telling(
            *(CODES[0], span_of("year", BEGIN), BEGIN + HOURS * HOUR_MS, "reading", 0, None),
            *(True, 0, NOTHING, NOTHING, 1),
        )
        ledger = DeductionStore().at(link, BEGIN // HOUR_MS)
        deducted_by = ledger.factor(telling, "raw_coal", 2026)
        factors = link.execute("SELECT id FROM unit_factors(%s)", (CODES[0],)).fetchall()
    assert told == worked_out
    assert told["purchased"] == 18_000
    assert told["process"] == PROCESS
    opening, *_ = of_unit.pop("opening", (Decimal(0),))
    assert sum(best for best, *_ in of_unit.values()) + opening == told["co2"]
    assert of_unit["electricity"] == (
        Decimal("0.1564") * 18,
        False,
        ["electricity.co2.sichuan.2023"],
    )
    assert of_unit["heat"] == (Decimal("0.11") * 900, True, ["heat.co2.default"])
    assert of_unit["process"][2] == ["process.lime.lime", "process.steel.limestone"]
    assert of_unit["fuel"][2] == [NAME, "raw_coal.co2.set-a.bituminous"]
    by_line = dict(line_co2)
    assert sum(best for best, *_ in of_line.values()) == by_line["co2"]
    assert of_line.keys() == {"fuel", "electricity", "process"}
    assert (by_line["process"], by_line["purchased"]) == (PROCESS, 30_000)
    assert opened == of_year
    assert opened is not None
    assert opened[1] > by_line["co2"]
    assert (NAME,) in factors
    assert (deducted_by.id, deducted_by.unverified) == (NAME, False)
    assert round(Decimal(deducted_by.numerator) / deducted_by.denominator, 6) == Decimal("0.714286")
    assert ("process.lime.lime",) in factors
    assert ("process.cement.clinker.ets",) not in factors
    monkeypatch.setenv("WEIR_DATABASE_URL", database)
    assert main(["show", CODES[0], "--views", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert Decimal(shown["lines"][0]["windows"][-1]["figures"]["process"]["best"]) == PROCESS
    assert [one["of"] for one in shown["co2_terms"]] == [f"unit {CODES[0]}", "line kiln"]
    named = [one["term"] for one in shown["co2_terms"][0]["terms"]]
    assert named[:4] == ["fuel", "electricity", "heat", "process"]
    assert main(["show", CODES[0], "--views"]) == 0
    assert f"{NAME}, raw_coal.co2.set-a.bituminous  unverified factor" in capsys.readouterr().out
    page = tmp_path / "report.html"
    assert main(["report", "--unit", CODES[0], "--out", str(page), "--language", "en"]) == 0
    text = page.read_text()
    assert "CO2 by its terms" in text
    assert NAME in text
