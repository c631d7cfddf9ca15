"""Lines held to the packs' limits, worked by hand, also at the exact boundary: RULES section 12."""

from datetime import date
from fractions import Fraction

import pytest

from processors.boundaries import boundaries
from processors.line_limits import Law, LimitHeld, Window
from processors.lines import Native, Ratio
from schemas.calendar import HOUR_MS
from schemas.law import LawInForce
from schemas.pack_reading import our_packs
from schemas.regions import regions_of
from tests.processors.worlds import BEGIN, point, unit

LAW = Law(LawInForce.of(our_packs()))
KWH = T = 1_000_000
DAY = date(2026, 11, 23)


def exactly(amount: Fraction | int) -> Native:
    """An amount that is measured wholly."""
    value = int(amount * T)
    return Native(value, value, value, 1, 1)


def held(
    indicator: str, power: Native, coal: Native, made: Native, *, on: date = DAY, **declared: str
) -> dict[int, LimitHeld]:
    """Each level of the limit in force on a day, of a line with one meter of each kind."""
    names = ("electricity", "raw_coal", "output")
    points = [point(name=name, quantity=name, lines={"line": 1}) for name in names]
    entry = {"id": "line", "name": "", "indicators": [indicator], "parameters": declared}
    (boundary,) = boundaries(unit(*points, lines=[entry | {"evidence": "drawn"}]))
    window = Window(
        boundary=boundary,
        names=names,
        natives=(power, coal, made),
        energy={0: Ratio(1229, 10**7), 1: Ratio(7143, 10**4)},
        span=(BEGIN, BEGIN + HOUR_MS),
        on=on,
        regions=regions_of("510402"),
        factors={"electricity": [("power", False)], "raw_coal": [("coal", True)]},
    )
    return {one.judged.level: one for one in LAW.of(window)}


NOTHING = exactly(0)


@pytest.mark.parametrize(
    ("indicator", "power", "coal", "made", "declared", "used", "verdicts"),
    [
        pytest.param(
            *("aluminium.ingot.comprehensive_ac_power", 13_300_000, 0, 1_000, {}),
            *(13_300, ("PASS", "PASS", "PASS")),
            id="13,300 kWh/t are exactly level 1, and no breach",
        ),
        pytest.param(
            *("aluminium.ingot.comprehensive_ac_power", Fraction("13300000.001"), 0, 1_000, {}),
            *(Fraction("13300.000001"), ("FAIL", "PASS", "PASS")),
            id="a Wh more on a thousand tonnes is a breach of level 1 alone",
        ),
        pytest.param(
            *("aluminium.ingot.comprehensive", 13_300_000, 0, 1_000, {}),
            *(Fraction("1634.57"), ("PASS", "PASS", "PASS")),
            id="the same by equivalent value",
        ),
        pytest.param(
            *("carbide.comprehensive", 3_000_000, 500, 1_000, {}),
            *(Fraction("725.85"), ("PASS", "PASS", "PASS")),
            id="power and coal",
        ),
        pytest.param(
            *("cement.comprehensive", 0, 140, 1_000, {"clinker_ratio": "80"}),
            *(Fraction("100.002"), ("FAIL", "FAIL", "FAIL")),
            id="100.002 kgce/t against 85.5 / 92.75 / 100",
        ),
        pytest.param(
            *("cement.comprehensive", 0, 110, 1_000, {}),
            *(Fraction("78.573"), ("UNDECIDABLE", "UNDECIDABLE", "UNDECIDABLE")),
            id="a clinker ratio that nobody declared may be anything",
        ),
        pytest.param(
            *("ethylene.comprehensive", 1_000_000, 500, 1_000, {}),
            *(Fraction("460.00000"), ("PASS", "PASS", "PASS")),
            id="oil equivalent, electricity at its equal value",
        ),
        pytest.param(
            *("steel.eaf", 600_000, 0, 1_000, {"furnace_capacity": "60", "stainless": "no"}),
            *(Fraction("73.74"), ("UNDECIDABLE", "NOT JUDGED", "UNDECIDABLE")),
            id="a level that the standard has not, and grades not declared",
        ),
    ],
)
def test_worked_by_hand(
    indicator: str,
    power: Fraction | int,
    coal: int,
    made: int,
    declared: dict[str, str],
    used: Fraction | int,
    verdicts: tuple[str, str, str],
) -> None:
    """What the line used by the standard's own rules, and each level alone."""
    found = held(indicator, exactly(power), exactly(coal), exactly(made), **declared)
    if (
        indicator != "ethylene.comprehensive"
    ):  # 0.7143 / 1.4286 kgoe is half a kilogram but for 10⁻⁶
        assert found[3].actual.low == found[3].actual.high == used * T
    assert tuple(found[level].judged.outcome for level in (1, 2, 3)) == verdicts


def test_energy_without_output_breaks_every_limit() -> None:
    """And what used nothing and made nothing cannot be computed."""
    broken = held("carbide.comprehensive", exactly(1), NOTHING, NOTHING)
    assert {one.judged.outcome for one in broken.values()} == {"FAIL"}
    assert broken[3].actual.said == "energy without output"
    idle = held("carbide.comprehensive", NOTHING, NOTHING, NOTHING)
    assert {one.judged.outcome for one in idle.values()} == {"UNDECIDABLE"}
    assert idle[3].actual.said == "not computable"


def test_a_process_that_gives_keeps_a_negative_limit() -> None:
    """A converter of -30 kgce/t keeps level 1 exactly."""
    gives = exactly(Fraction(-30_000, 1000) / Fraction("0.7143"))
    found = held(
        "steel.converter",
        NOTHING,
        gives,
        exactly(1_000),
        scrap_ratio="0",
        converter_steel="ordinary",
    )
    assert found[3].judged.outcome == "PASS"


def test_a_standard_counts_from_its_day_on() -> None:
    """Polysilicon: until 2027 the edition of 2022, and the new one is said to come."""
    power, made = exactly(60_000_000), exactly(1_000)
    before = held("polysilicon.comprehensive", power, NOTHING, made, polysilicon_route="silane")
    assert "in force from 2027-01-01" in before[3].judged.reason
    on = date(2027, 1, 1)
    after = held(
        "polysilicon.comprehensive", power, NOTHING, made, on=on, polysilicon_route="silane"
    )
    assert after[3].judged.outcome == "FAIL"
    assert after[3].actual.low == 7_374_000


def test_the_law_survives_its_journey() -> None:
    """As a configuration carries it: JSON and back."""
    assert LawInForce.model_validate_json(LAW.held.model_dump_json()) == LAW.held
