"""Energy and carbon side by side on the real parts: who breaks one keeps the other, and both notices say the right thing.

About 7 seconds: Kafka, worker, database, alerts and a webhook; two units by hand, and then another budget.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingest.coalesce import Numbering
from ingest.publisher import create_producer, publish_lines
from processors.__main__ import main
from schemas import topics
from schemas.calendar import HOUR_MS
from schemas.registry import Configuration, Unit
from schemas.scale import SCALE
from schemas.section import NEVER, ApplyConfiguration, Section
from schemas.wire import configuration_line, to_line
from tests.alerts.receiver import Receiver, receiving
from tests.integration.places import Place, place_of
from tests.processors.worlds import BEGIN, CODES, configuration, point, unit

POWER, COAL = CODES[0], CODES[2]
"""Much electricity, of which Sichuan's emits little; and coal, which emits much."""
VIEW = "provincial average, Sichuan"


def entry(code: str, quantity: str, budget: str) -> Unit:
    meter = point(quantity=quantity, statement="PT1H", digits=None, rated_per_hour="1000000")
    return unit(
        meter,
        code=code,
        openings=[
            {
                "year": 2026,
                "quantity": of,
                "low": "0",
                "best": "0",
                "high": "0",
                "evidence": "began",
            }
            for of in ("energy", "co2")
        ],
        quotas=[{"year": 2026, "energy_tce": "1", "source": "letter 7"}],
        budgets=[{"year": 2026, "co2_t": budget, "view": VIEW, "source": "letter 8"}],
    )


def said(code: str, amount: int, measure: str, hour: int) -> Section:
    """An hour's amount, and the tick at its end."""
    at = BEGIN + hour * HOUR_MS
    return Section(
        unit=code,
        received_at=at + HOUR_MS,
        names=("P0",),
        point=0,
        at=np.array([at], np.int64),
        value=np.array([amount * SCALE], np.int64),
        statement=3,
        units_of_measure=(measure,),
        unit_of_measure=0,
        rank=5,
        revision=0,
        sent_at=NEVER,
        flags=0,
        messages=(f"{code} {hour}",),
        ticks=((1, at + HOUR_MS),),
    )


class Door:
    """Publishes what is entered and said, as `ingest publish` does."""

    def __init__(self, place: Place) -> None:
        self._place, self._numbering = place, Numbering(door="test", incarnation=1)

    def say(self, *bodies: Configuration | Section) -> None:
        producer = create_producer(self._place.environment["WEIR_KAFKA"], client_id="test")
        publish_lines(
            self._lines(bodies), producer=producer, say=lambda _: None, prefix=self._place.prefix
        )
        producer.close()

    def _lines(self, bodies: tuple[Configuration | Section, ...]) -> Iterator[str]:
        for body in bodies:
            told = (body,) if isinstance(body, Section) else ApplyConfiguration(body.version)
            if isinstance(body, Configuration):
                yield configuration_line(body)
            yield to_line(self._numbering.record(0, told), 0)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as listening:
        yield listening


@pytest.fixture
def place(database: str, tmp_path: Path, receiver: Receiver) -> Iterator[Place]:
    with place_of(database, tmp_path, partitions=1) as place:
        place.start("worker", "processors", "worker", "--session", "6", "--metrics-port", "0")
        place.start(
            "alerts",
            *("alerts", "run", "--no-alertmanager", "--notify-history"),
            WEIR_ALERTS_TOPIC=place.prefix + topics.INDICATORS,
            WEIR_ALERTS_GROUP=place.prefix + "alerts",
            WEIR_ALERTS_HTTP="127.0.0.1:0",
            WEIR_ALERTS_WEBHOOK=f"{receiver.address}/hook",
        )
        yield place


@pytest.mark.slow
def test_who_breaks_one_regime_may_keep_the_other(
    place: Place,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """10 MWh are 1.229 tce and 1.4 t CO2; a tonne of coal is 0.7143 tce and more than 1 t CO2 (7 s)."""
    door = Door(place)
    first = configuration(1, [entry(POWER, "electricity", "2"), entry(COAL, "raw_coal", "1")])
    door.say(first, said(POWER, 10_000, "kWh", 0), said(COAL, 1, "t", 0))
    told = notices(place, receiver, 2)
    broken = told[POWER, "quota-exceeded"]["annotations"]
    assert broken["summary"] == f"Unit {POWER}: energy of 2026 is above its quota"
    assert "1.229 tce. Quota 1 tce: 0.229 tce over" in broken["description"]
    assert "Regime energy, equivalent value." in broken["description"]
    emitted = told[COAL, "budget-exceeded"]["annotations"]
    assert emitted["summary"] == f"Unit {COAL}: CO2 of 2026 is above its CO2 budget"
    assert "t CO2. CO2 budget 1 t CO2:" in emitted["description"]
    assert f"Regime carbon, electricity by the view {VIEW}." in emitted["description"]
    assert "nobody has verified (factors: raw_coal.co2" in emitted["description"]
    assert told[COAL, "budget-exceeded"]["labels"]["kpi"] == "co2"
    assert standings(place) == {
        POWER: ("confirmed breach", "within budget"),
        COAL: ("within quota", "confirmed breach"),
    }
    # Another budget holds at once: what was said is over by it.
    door.say(configuration(2, [entry(COAL, "raw_coal", "100")]), said(POWER, 1, "kWh", 1))
    ended = notices(place, receiver, 3)[COAL, "budget-exceeded"]
    assert (ended["state"], ended["cause"]) == ("resolved", "limit")
    assert standings(place)[COAL] == ("within quota", "within budget")
    shown(monkeypatch, capsys, place.database)


def notices(place: Place, receiver: Receiver, count: int) -> dict[tuple[str, str], Any]:
    """What the webhook was told, the newest of each unit and rule."""
    place.wait(lambda: len(receiver.accepted) >= count, f"{count} notices are delivered")
    assert len(receiver.accepted) == count
    return {(one.body["unit"], one.body["rule"]): one.body for one in receiver.accepted}


def standings(place: Place) -> dict[str, tuple[str, str]]:
    """Of energy and of CO2, as dashboards read them."""
    return {
        unit: (energy, carbon)
        for unit, energy, carbon in place.query(
            "SELECT e.unit, e.standing, c.standing FROM unit_standing e JOIN unit_budget c ON c.unit = e.unit AND c.newest"
        )
    }


def shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database: str
) -> None:
    """At a terminal: both verdicts, and what is left of each."""
    monkeypatch.setenv("WEIR_DATABASE_URL", database)
    assert main(["show", POWER]) == 0
    text = capsys.readouterr().out
    assert "FAIL: above the annual energy quota 1 tce (equivalent value) since" in text
    assert f"PASS: not above the annual CO2 budget 2 t CO2 ({VIEW}) so far" in text
    assert main(["landing", "show", COAL, "--json"]) == 0
    room = json.loads(capsys.readouterr().out)["headroom"]
    assert room["binds_first"] == "annual energy quota, equivalent value"
    assert room["carbon"]["binds"] == {
        "limit": f"annual CO2 budget, {VIEW}",
        "amount": "100",
        "unit_of_measure": "t CO2",
    }
    assert float(room["carbon"]["this_year"]["best"]) < 99
