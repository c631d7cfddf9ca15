"""The example province: plants everywhere, about their limits, and the figures that the engine makes of them."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from deploy import province
from ingest.simulator import Faults, stream
from processors.packs import with_ours
from processors.replay import Replay
from schemas.calendar import BUSINESS, DAY_MS, HOUR_MS, instant
from schemas.factors import default_pack
from schemas.pack_limits import Limit, Parameter
from schemas.pack_reading import our_packs
from schemas.registry import Configuration
from schemas.wire import configuration_line, to_line

START = instant(datetime(2026, 3, 2, tzinfo=BUSINESS))


def test_two_hundred_plants_in_all_cities_and_ten_industries() -> None:
    plants = province.examples(200, start=START)
    registry = province.registry(plants)
    assert len({unit.code for unit in registry.units}) == 200
    assert len({unit.region for unit in registry.units}) == 21
    assert len({unit.industry for unit in registry.units}) == 10


def test_forty_eight_reach_every_city() -> None:
    plants = province.examples(48, start=START)
    assert len({plant.plant.unit.region for plant in plants}) == 21


def test_some_keep_one_regime_and_break_the_other() -> None:
    """Quota and budget over what each plant will use and emit, by the figures it is planned with."""
    found = set()
    for one in province.examples(48, start=START):
        unit = one.plant.unit
        for budget in unit.budgets:
            keeps = (
                float(unit.quotas[0].energy_tce) > one.energy_tce,
                float(budget.co2_t) > one.co2_t,
            )
            found.add(keeps)
    assert {(True, False), (False, True)} <= found


def test_a_plant_is_a_function_of_its_number() -> None:
    few, many = province.examples(20, start=START), province.examples(60, start=START)
    assert few == many[:20]


def test_every_limit_and_parameter_is_one_of_the_packs() -> None:
    packs = our_packs()
    limits = {held.entry.indicator for held in packs.of(Limit)}
    parameters = {held.entry.id for held in packs.of(Parameter)}
    for kind in province.province().kinds:
        assert not kind.limit or kind.limit in limits
        assert set(kind.parameters) <= parameters


def test_targets_lie_about_what_the_plants_will_use() -> None:
    plants = province.examples(60, start=START)
    told = {target.scope: target.amount for target in province.targets(plants, 2026).targets}
    used = sum(plant.energy_tce for plant in plants)
    assert float(told["province:510000"]) == pytest.approx(used * 1.01, abs=1)
    assert sum(scope.startswith("city:") for scope in told) == 21


def test_lines_work_at_the_intensity_that_they_are_designed_for() -> None:
    """One of each kind through the engine; the converter gives back more than it takes."""
    shown = province.examples(len(province.province().kinds), start=START)
    plants = tuple(one.plant for one in shown)
    configuration = Configuration(
        version=1, author="test", reason="test", registry=province.registry(shown)
    )
    records = stream(
        plants,
        seed=3,
        start=START,
        end=START + 9 * DAY_MS,
        faults=Faults(),
        partitions=2,
        live=True,
        step_ms=12 * HOUR_MS,
    )
    lines = [configuration_line(configuration), *(to_line(record, at) for at, record in records)]
    told = {}
    for message in map(json.loads, Replay(default_pack(), partitions=2).lines(lines)):
        if message["kind"] == "line":
            told[message["line"], message["unit"]] = message["windows"]
    found = {}
    for (line, _), windows in told.items():
        (month,) = [one for one in windows if one["window"] == "month"]
        found[line, month["figures"]["intensity"]["best"] is not None] = month["figures"]
    assert len(told) == sum(bool(kind.line) for kind in province.province().kinds)
    assert found["converter", True]["energy"]["high"] < 0
    kiln = found["kiln", True]["intensity"]["best"] / 10**6
    assert 85 < kiln < 125, "kgce a tonne, about the limit of 117"


def test_a_factor_that_comes_out_late_is_a_pack_of_its_own() -> None:
    packs = with_ours([Path("deploy/example/late-factor.toml")])
    assert packs.by_id("electricity.co2.sichuan.2024").pack.name == "late-factor"


@pytest.mark.parametrize(
    "words",
    [["registry", "--units", "0"], ["targets", "--units", "-3"], ["registry", "--start", "x"]],
)
def test_what_is_no_province_is_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """In words, with the value at fault."""
    with pytest.raises(SystemExit) as ended:
        province.main(words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "no province: name 1 or more" in said or "'x' is no day" in said
