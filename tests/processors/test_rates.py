"""By what cells are converted: the facts' own figures, and what cannot be declared."""

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import cast

import numpy as np
import orjson
import pytest
from pydantic import ValidationError

from processors import co2_entries
from processors.co2_views import co2_by_view
from processors.engine import Engine, runs
from processors.memory import MemoryStore, drive
from processors.rates import Rates, Way, rate
from processors.registry import read_registry
from processors.revision import described
from schemas.calendar import HOUR_MS, moment
from schemas.co2 import HeatValue, Term
from schemas.factors import default_pack
from schemas.indicator import Judged
from schemas.pack_reading import our_packs
from schemas.registry import Point, Unit
from schemas.section import NEVER, ApplyConfiguration, Body, Record, Restated, Section, Tick
from tests.processors.worlds import BEGIN, CODES, configuration, point, unit

PACK, PACKS = default_pack(), our_packs()
T = 10**6
HOURLY = {"statement": "PT1H", "digits": None, "rated_per_hour": "1000000"}
"""No register, and room for any amount."""


def heat_value(by: str, gj_per_t: str, first: int, last: int | None = None) -> dict[str, object]:
    """A heat value of raw coal from a year on, to the end of the year before `last`."""
    told = {"carrier": "raw_coal", "by": by, "gj_per_t": gj_per_t, "valid_from": f"{first}-01-01"}
    ended = {} if last is None else {"valid_to": f"{last}-01-01"}
    return told | ended | {"source": "laboratory report 7", "status": "sourced"}


def metered(name: str, quantity: str = "electricity", **told: object) -> Point:
    """A point of hourly amounts."""
    return point(name=name, quantity=quantity, **HOURLY, **told)


def told(*configurations: Unit, amounts: dict[str, int]) -> list[dict[str, object]]:
    """The years that a live unit is told under each entry, one after the other, of one hour's amounts by point."""
    entries = [one.model_copy(update={"history": False}) for one in configurations]
    known = {n: configuration(n, [entry]) for n, entry in enumerate(entries, 1)}
    sections = tuple(said(entries[0], name, amount) for name, amount in amounts.items())
    bodies: list[Body] = [ApplyConfiguration(1), sections, Tick(BEGIN + HOUR_MS)]
    for n in list(known)[1:]:
        bodies += [ApplyConfiguration(n), Restated(CODES[0], n)]
    engine, store = Engine(PACK, known, 1), MemoryStore()
    log = [(0, n, Record("test", 1, n, body)) for n, body in enumerate(bodies)]
    for run in runs(log):
        store.write(drive(engine.step(run), store))
        engine.clear()
    messages = [orjson.loads(row.payload) for row in store.outbox]
    return [one for one in messages if one["kind"] == "unit"]


def year(message: dict[str, object]) -> dict[str, dict[str, object]]:
    """Figures of the year of a message."""
    windows = cast("list[dict[str, object]]", message["windows"])
    found = next(one for one in windows if one["window"] == "year")
    Judged.model_validate(found)
    return cast("dict[str, dict[str, object]]", found["figures"])


def best(figure: dict[str, object]) -> Decimal:
    """In tonnes."""
    return Decimal(str(figure["best"])) / T


def said(entry: Unit, name: str, amount: int) -> Section:
    """What a point says of the first hour."""
    measure = next(one.unit_of_measure for one in entry.points if one.name == name)
    return Section(
        unit=entry.code,
        received_at=BEGIN + HOUR_MS,
        names=(name,),
        point=0,
        at=np.array([BEGIN], np.int64),
        value=np.array([amount * T], np.int64),
        statement=3,
        units_of_measure=(measure,),
        unit_of_measure=0,
        rank=5,
        revision=0,
        sent_at=NEVER,
        flags=0,
        messages=("m",),
    )


# ---- What the facts say


def test_what_is_sold_is_taken_off_by_the_factor_of_what_is_bought() -> None:
    """(10,000 - 4,000) kWh at 0.1564 and (500 - 200) GJ at 0.11, of [low, best, high] the other ends."""
    entry = unit(
        metered("bought"),
        metered("sold", sign=-1),
        metered("steam", "heat"),
        metered("given", "heat", sign=-1),
    )
    amounts = {"bought": 10_000, "sold": 4_000, "steam": 500, "given": 200}
    (message,) = told(entry, amounts=amounts)
    found = year(message)
    assert best(found["co2"]) == Decimal("0.1564") * 6 + Decimal("0.11") * 300
    assert best(found["energy"]) == Decimal("0.1229") * 6 + Decimal("0.03412") * 300
    assert best(found["heat"]) == 300
    assert found["co2"]["factors"] == ["electricity.co2.sichuan.2023", "heat.co2.default"]
    assert found["co2"]["unverified"] is True


def test_own_generation_has_no_co2() -> None:
    """Sun on the roof is energy that is used, and neither bought nor sold; what is sold of it is."""
    entry = unit(metered("bought"), metered("roof", self_generated=True), metered("sold", sign=-1))
    (message,) = told(entry, amounts={"bought": 10_000, "roof": 3_000, "sold": 1_000})
    found = year(message)
    assert best(found["energy"]) == Decimal("0.1229") * 12
    assert best(found["co2"]) == Decimal("0.1564") * 9
    assert best(found["purchased"]) == 9_000
    views = [one.amount.best for one in co2_by_view(message["windows"][-1], 2026, PACKS)]  # type: ignore[index]
    assert views == [Decimal(f) * 9 * T for f in ("0.1564", "0.2472", "0.5306", "0.6096")]


def test_process_emissions_are_a_term_of_their_own() -> None:
    """A tonne of lime 0.683, of limestone 0.440; crude steel fixes 0.0154; each with its status."""
    entry = unit(
        metered("power"),
        metered("lime", "output", process="process.lime.lime"),
        metered("steel", "output", process="process.steel.crude_steel"),
        metered("stone", "material", process="process.steel.limestone"),
        metered("plain", "output"),
    )
    amounts = {"power": 1_000, "lime": 100, "steel": 1_000, "stone": 10, "plain": 7}
    (message,) = told(entry, amounts=amounts)
    found = year(message)
    process = Decimal("68.3") - Decimal("15.4") + Decimal("4.4")
    assert best(found["process"]) == process
    assert best(found["co2"]) == process + Decimal("0.1564")
    assert best(found["energy"]) == Decimal("0.1229")
    assert best(found["output"]) == 1_107
    named = ["process.lime.lime", "process.steel.crude_steel", "process.steel.limestone"]
    assert found["process"]["factors"] == named
    assert found["process"]["unverified"] is True


def test_a_line_has_its_process_emissions() -> None:
    """Lime of a kiln: heat, and 0.683 t of CO2 a tonne."""
    entry = unit(
        metered("coal", "raw_coal", lines={"kiln": 1}),
        metered("lime", "output", lines={"kiln": 1}, process="process.lime.lime"),
        metered("stone", "material", lines={"kiln": 1}, process="process.steel.limestone"),
        lines=[{"id": "kiln", "name": "kiln", "valid_from": moment(BEGIN)}],
    )
    entry = entry.model_copy(update={"history": False})
    engine, store = Engine(PACK, {1: configuration(1, [entry])}, 1), MemoryStore()
    sections = (said(entry, "coal", 20), said(entry, "lime", 100), said(entry, "stone", 10))
    bodies: list[Body] = [ApplyConfiguration(1), sections, Tick(BEGIN + HOUR_MS)]
    log = [(0, n, Record("test", 1, n, body)) for n, body in enumerate(bodies)]
    store.write(drive(engine.step(log), store))
    line = next(one for (*_, kind, _), one in store.lines.items() if kind == "day")
    found = orjson.loads(line.judged)["figures"]
    assert found["process"]["best"] == 72_700_000
    coal = PACK.factor("raw_coal", "co2", 2026)
    assert found["co2"]["best"] == 72_700_000 + round(
        Fraction(20 * T * coal.numerator, coal.denominator)
    )
    processes = ["process.lime.lime", "process.steel.limestone"]
    assert found["co2"]["factors"] == ["raw_coal.co2.set-a.bituminous", *processes]
    assert found["process"]["unverified"] is True


def test_a_heat_value_found_by_the_unit_restates_its_past() -> None:
    """20.934 GJ/t are 0.714286 tce/t; measured goes before the supplier's; told with the cause `factor`, and by whom."""
    before = unit(metered("coal", "raw_coal"))
    supplied = before.model_copy(
        update={"heat_values": (HeatValue.model_validate(heat_value("supplier", "25", 2026)),)}
    )
    both = (heat_value("supplier", "25", 2026), heat_value("measured", "20.934", 2026, 2027))
    measured = before.model_copy(
        update={"heat_values": tuple(HeatValue.model_validate(one) for one in both)}
    )
    messages = told(before, supplied, measured, amounts={"coal": 1_000})
    causes = [(one["cause"], one.get("pending")) for one in messages]
    assert causes == [
        *[("reading", None), ("time", 2), ("factor", None), ("time", 3), ("factor", None)]
    ]
    default, _, by_supplier, _, by_own = (year(one) for one in messages)
    assert best(default["energy"]) == Decimal("714.3")
    assert by_supplier["energy"]["best"] == round(Fraction(25 * 10**9) / Fraction("29.3076"))
    assert by_own["energy"]["best"] == round(Fraction(20_934 * T) / Fraction("29.3076"))
    per_tonne = Fraction("20.934") * Fraction("26.18") / 1000 * Fraction("0.93") * Fraction(44, 12)
    assert by_own["co2"]["best"] == round(per_tonne, 8) * 10**9
    assert by_own["energy"]["factors"] == ["raw_coal heat value 20.934 GJ/t (measured)"]
    assert by_own["energy"]["unverified"] is False
    assert by_own["co2"]["factors"][1:] == ["raw_coal.co2.set-a.bituminous"]  # type: ignore[index]
    assert by_own["co2"]["unverified"] is True


def test_a_heat_value_holds_in_its_years() -> None:
    """Before and after them the packs' default holds."""
    own = HeatValue.model_validate(heat_value("measured", "20.934", 2025, 2026))
    way = Way("raw_coal", heat_values=(own,))
    names = [rate(PACK, way, "energy", year).used[0][0] for year in (2024, 2025, 2026)]
    assert names == ["raw_coal.energy", own.name, "raw_coal.energy"]


def test_rows_of_a_mix_are_looked_up_once() -> None:
    """Units that burn alike share a row."""
    rates = Rates(PACK)
    rows = {rates.row(0, Way("raw_coal")), rates.row(0, Way("raw_coal")), rates.row(0, Way("heat"))}
    assert len(rows) == 2


# ---- What cannot be declared


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param([heat_value("measured", "20934", 2026)], "less than or equal", id="kJ/kg"),
        pytest.param([heat_value("measured", "20.93412", 2026)], "4 decimals", id="too fine"),
        pytest.param(
            [heat_value("measured", "20", 2026) | {"valid_from": "2026-07-01"}],
            "no first of January",
            id="within a year",
        ),
        pytest.param(
            [heat_value("measured", "20", 2025), heat_value("measured", "21", 2026)],
            "two measured heat values of raw_coal hold from 2026-01-01",
            id="overlap",
        ),
        pytest.param([heat_value("measured", "20", 2026, 2026)], "not after", id="no time"),
        pytest.param([heat_value("measured", "20", 2026) | {"source": " "}], "1 char", id="proof"),
    ],
)
def test_heat_values_that_cannot_be(values: list[dict[str, object]], said: str) -> None:
    """Refused with the reason."""
    with pytest.raises(ValidationError, match=said):
        unit(metered("coal", "raw_coal"), heat_values=values)


def test_heat_values_need_a_point() -> None:
    """Of a fuel that nobody meters nothing is said."""
    with pytest.raises(ValidationError, match="no point meters it"):
        unit(metered("power"), heat_values=[heat_value("measured", "20", 2026)])


@pytest.mark.parametrize(
    ("quantity", "more", "said"),
    [
        pytest.param("electricity", {"self_generated": True, "sign": -1}, "sells", id="sold"),
        pytest.param("output", {"self_generated": True}, "electricity or heat", id="own output"),
        pytest.param("raw_coal", {"process": "process.lime.lime"}, "product or", id="fuel"),
        pytest.param("material", {}, "name its factor", id="material alone"),
        pytest.param(
            "output",
            {"process": [{"factor": "process.cement.cao", "times": "0.65"}]},
            "needs `evidence`",
            id="times unproven",
        ),
    ],
)
def test_points_that_cannot_be(quantity: str, more: dict[str, object], said: str) -> None:
    """Refused with the point and the reason."""
    with pytest.raises(ValidationError, match=said):
        metered("P", quantity, **more)


CAO = {"factor": "process.cement.cao", "times": "0.65", "evidence": "analysis"}


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        pytest.param("process.lime.lime", "", id="fine"),
        pytest.param([CAO], "", id="a share"),
        pytest.param("process.lime.limes", "no pack has", id="unknown"),
        pytest.param("process.ammonia.gas", "is a range", id="range"),
        pytest.param("process.cement.cao", "needs `times`, the mass share of CaO", id="no share"),
        pytest.param("process.aluminium.cf4", "needs `gwp`", id="no warming potential"),
        pytest.param("process.aluminium.gwp_cf4.ar5", "no emission of a tonne", id="potential"),
        pytest.param(
            [{"factor": "process.aluminium.cf4", "gwp": "process.aluminium.gwp_cf4.ar5"}],
            "",
            id="a gas",
        ),
        pytest.param(
            [CAO, {"factor": "process.steel.crude_steel"}], "some deducted", id="both ways"
        ),
    ],
)
def test_what_packs_must_know_of_a_process(terms: object, said: str) -> None:
    """The registry's factors are the packs', with all that they need."""
    entry = unit(metered("power"), metered("made", "output", process=terms))
    found = "; ".join(co2_entries.complaints([entry], PACKS))
    assert (said in found) if said else not found
    if not said:
        assert not list(co2_entries.unknown([entry], PACK))


def test_the_example_is_in_order() -> None:
    """A lime works with every term of CO2."""
    example = read_registry(Path("deploy/example/registry-co2.toml").read_text(encoding="utf-8"))
    assert not list(co2_entries.complaints(example.units, PACKS))
    assert not list(co2_entries.unknown(example.units, PACK))


def test_people_are_told_what_a_heat_value_changes() -> None:
    """Before it is loaded."""
    before = unit(metered("coal", "raw_coal"))
    value = HeatValue.model_validate(heat_value("measured", "20.934", 2026))
    after = before.model_copy(update={"heat_values": (value,)})
    (line,) = described(before, after)
    assert line.endswith(f"own heat values none become {value.name}, once the unit is restated")


def test_a_gas_counts_by_its_warming_potential() -> None:
    """0.034 kg CF4 a tonne at 6,630: 0.22542 t of CO2e; clinker by its CaO."""
    gas = Term(factor="process.aluminium.cf4", gwp="process.aluminium.gwp_cf4.ar5")
    cao = Term.model_validate(CAO)
    found = [rate(PACK, Way("output", process=(one,)), "co2", 2026) for one in (gas, cao)]
    values = [Fraction(one.numerator, one.denominator) for one in found]
    assert values == [Fraction("0.22542"), Fraction("0.51025")]
