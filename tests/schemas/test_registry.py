"""The registry refuses what nobody could compute with, and says where."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.registry import Configuration, Registry, Unit

POINT = {
    "name": "E1",
    "quantity": "electricity",
    "unit_of_measure": "kWh",
    "statement": "register",
    "digits": 6,
    "rated_per_hour": "500",
    "valid_from": "2026-01-01T00:00:00+08:00",
}
UNIT = {
    "code": "91510100SYN0000001",
    "name": "Plant",
    "region": "510100",
    "industry": "31",
    "points": [POINT],
}
REGISTRY = {
    "regions": [{"code": "510100", "name": "City"}],
    "industries": [{"code": "31", "name": "Metals"}],
    "units": [UNIT],
}


def unit(**point: object) -> Unit:
    return Unit.model_validate({**UNIT, "points": [{**POINT, **point}]})


def test_a_plain_unit() -> None:
    """What is not said has its default: one cadence of tolerance, the grid on the hour."""
    (point,) = unit().points
    assert point.begins == 1_767_196_800_000
    assert point.ends is None
    assert (point.rated, point.tolerance) == (500_000_000, 900_000)
    assert point.anchor_of("PT1H") == 0
    assert point.anchor_of("P1D") == -8 * 3_600_000


def test_a_points_own_anchor_is_that_of_its_primary_statement() -> None:
    """Another statement keeps the usual grid."""
    (point,) = unit(statement="PT1H", others=["P1D"], anchor_ms=600_000).points
    assert point.anchor_of("PT1H") == 600_000
    assert point.anchor_of("P1D") == -8 * 3_600_000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"digits": None}, "needs `digits`", id="register without digits"),
        pytest.param(
            {"statement": "PT1H", "others": ["register"], "digits": None}, "digits", id="as other"
        ),
        pytest.param({"digits": 12, "multiplier": 1_000_000}, "too large a dial", id="huge dial"),
        pytest.param({"unit_of_measure": "MWh"}, "measured in kWh", id="unit of measure"),
        pytest.param({"others": ["register"]}, "named twice", id="statement twice"),
        pytest.param({"rated_per_hour": "0.0000001"}, "six decimals", id="seven decimals"),
        pytest.param({"rated_per_hour": "10000001"}, "10,000,000", id="beyond int64's hours"),
        pytest.param({"rated_per_hour": "0"}, "greater than 0", id="rated nothing"),
        pytest.param(
            {"valid_to": "2026-01-01T00:00:00+08:00"}, "not after", id="ends as it begins"
        ),
        pytest.param({"valid_from": "2026-01-01T00:00:00"}, "timezone", id="no offset"),
        pytest.param({"name": "E 1"}, "match pattern", id="blank in a name"),
        pytest.param({"cadense_ms": 1}, "Extra inputs", id="misspelt"),
        pytest.param(
            {"bounded_by": "P1D"}, "not among its other", id="bounded by what it never says"
        ),
        pytest.param(
            {"others": ["P1D"], "bounded_by": "P1D"},
            "is none that it bounds",
            id="bounded registers",
        ),
        pytest.param(
            {"statement": "PT1H", "others": ["PT15M"], "bounded_by": "PT15M"},
            "must be a longer period",
            id="bounded by what is shorter",
        ),
        pytest.param(
            {"statement": "PT1H", "others": ["P1D"], "bounded_by": "P1D", "anchor_ms": 1},
            "do not begin where",
            id="bounded beside the grid",
        ),
        pytest.param(
            {"profiles": [{"from_day": "2026-01-01", "workdays": [50] * 23}]},
            "at least 24 items",
            id="a profile of 23 hours",
        ),
        pytest.param(
            {"profiles": [{"from_day": "2026-01-01", "workdays": [101] * 24}]},
            "less than or equal to 100",
            id="more than the rated maximum",
        ),
        pytest.param(
            {"profiles": [{"from_day": "2026-01-01", "workdays": [1] * 24}] * 2},
            "the profile from 2026-01-01 is not later",
            id="two profiles from one day on",
        ),
    ],
)
def test_a_point_that_cannot_be(change: dict[str, Any], said: str) -> None:
    """Refused with a word."""
    with pytest.raises(ValidationError, match=said):
        unit(**change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"points": [POINT, POINT]}, "point .*E1.* is named twice", id="point twice"),
        pytest.param({"code": "short"}, "match pattern", id="code"),
        pytest.param({"points": []}, "at least 1", id="no points"),
        pytest.param(
            {"quotas": [{"year": 2026, "energy_tce": "1", "source": "s"}] * 2},
            "quota .*2026.* is named twice",
            id="quota twice",
        ),
        pytest.param(
            {
                "openings": [
                    {"year": 2026, "quantity": "energy", "low": "2", "best": "1", "high": "3"}
                    | {"evidence": "e"}
                ]
            },
            "not in order",
            id="opening out of order",
        ),
    ],
)
def test_a_unit_that_cannot_be(change: dict[str, Any], said: str) -> None:
    """Refused with a word."""
    with pytest.raises(ValidationError, match=said):
        Unit.model_validate({**UNIT, **change})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"units": [UNIT, UNIT]}, "named twice", id="unit twice"),
        pytest.param({"regions": []}, r"region 510100 .*\[\[regions\]\]", id="no region"),
        pytest.param({"industries": []}, r"industry 31 .*\[\[industries\]\]", id="no industry"),
    ],
)
def test_a_registry_that_cannot_be(change: dict[str, Any], said: str) -> None:
    """Refused with a word."""
    with pytest.raises(ValidationError, match=said):
        Registry.model_validate({**REGISTRY, **change})


def test_one_content_has_one_hash() -> None:
    """Through JSON and back; another content has another."""
    told = Configuration(
        version=1, author="a", reason="r", registry=Registry.model_validate(REGISTRY)
    )
    again = Configuration.model_validate_json(told.model_dump_json())
    assert again.content_hash() == told.content_hash()
    other = told.model_copy(update={"registry": Registry()})
    assert other.content_hash() != told.content_hash()


def test_a_unit_begins_with_its_first_point() -> None:
    """The least valid_from of its points."""
    later = {**POINT, "name": "E2", "valid_from": datetime(2027, 1, 1, tzinfo=UTC)}
    told = Unit.model_validate({**UNIT, "points": [later, POINT]})
    assert told.begins == 1_767_196_800_000


METER = {**POINT, "name": "main"}
OUTPUT = {
    **POINT,
    "name": "made",
    "quantity": "output",
    "unit_of_measure": "t",
    "statement": "PT1H",
    "lines": {"kiln": 1},
}
LINE = {"id": "kiln", "name": "Kiln"}
BEFORE_LINES = "773914e5ea76d5218efb078071eb10bd6f298d28a096a759f063d252260f30d7"


@pytest.mark.parametrize(
    ("points", "lines", "said"),
    [
        pytest.param([{**METER, "lines": {"kiln": 1}}, OUTPUT], [LINE], None, id="in order"),
        pytest.param([{**METER, "lines": {"mill": 1}}], [], "there is no line mill", id="nobody"),
        pytest.param([METER, OUTPUT], [LINE], "no point says its energy", id="no energy"),
        pytest.param(
            [{**METER, "lines": {"kiln": 1}}], [LINE], "no point says its output", id="no output"
        ),
        pytest.param(
            [METER, {**METER, "name": "sub", "within": "main"}],
            [],
            "point sub is counted twice in the boundary of the unit: main holds it already",
            id="sub-meter that counts",
        ),
        pytest.param(
            [METER, {**METER, "name": "sub", "within": "main", "sign": -1}],
            [],
            None,
            id="given away behind the main meter",
        ),
        pytest.param(
            [METER, {**METER, "name": "sub", "within": "nobody", "sign": 0}],
            [],
            "no other point nobody",
            id="within nobody",
        ),
        pytest.param(
            [
                {**METER, "within": "sub"},
                {**METER, "name": "sub", "within": "main", "sign": 0},
            ],
            [],
            "lies within itself",
            id="within itself",
        ),
        pytest.param([{**METER, "sign": 0}], [], "no point counts", id="nothing counts"),
        pytest.param(
            [{**METER, "lines": {"kiln": 1}}, OUTPUT],
            [LINE, LINE],
            "line kiln is named twice",
            id="twice",
        ),
        pytest.param([{**METER, "sign": 2}], [], "sign", id="no sign"),
    ],
)
def test_boundaries(
    points: list[dict[str, object]], lines: list[dict[str, object]], said: str | None
) -> None:
    """Each unit of energy counts once in each boundary, and a line has energy and output."""
    told = {**UNIT, "points": points, "lines": lines}
    if said is None:
        Unit.model_validate(told)
        return
    with pytest.raises(ValidationError, match=said):
        Unit.model_validate(told)


def opening(quantity: str) -> dict[str, object]:
    ends = {"low": "1", "best": "2", "high": "3"}
    return {"year": 2026, "quantity": quantity, "evidence": "bills"} | ends


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        pytest.param(["electricity", "raw_coal"], None, id="what it takes, whole"),
        pytest.param(["output"], None, id="what it makes alone"),
        pytest.param(["electricity"], "give that of raw_coal, too", id="half a side"),
        pytest.param(["output", "heat"], "no point of the line is of heat", id="not its own"),
        pytest.param(["output", "output"], "output is named twice", id="twice"),
        pytest.param(["energy"], "openings.0.quantity", id="by no basis"),
    ],
)
def test_openings_of_a_line_are_of_whole_sides(declared: list[str], said: str | None) -> None:
    """Without one carrier the energy would not be known, however it looks."""
    coal = {**OUTPUT, "name": "coal", "quantity": "raw_coal"}
    line = LINE | {"openings": [opening(name) for name in declared]}
    told = {**UNIT, "points": [{**METER, "lines": {"kiln": 1}}, coal, OUTPUT], "lines": [line]}
    if said is None:
        Unit.model_validate(told)
        return
    with pytest.raises(ValidationError, match=said):
        Unit.model_validate(told)


def test_a_hash_from_before_product_lines_stays() -> None:
    """What a unit without lines says has not changed."""
    told = Configuration(
        version=1, author="a", reason="r", registry=Registry.model_validate(REGISTRY)
    )
    assert told.content_hash() == BEFORE_LINES


def test_points_that_count_alike_are_a_cell() -> None:
    """Numbered by quantity, in the order of the points; 0 counts once, for the unit alone."""
    sub = {**METER, "name": "sub", "sign": 0, "lines": {"kiln": 1}}
    points = [METER, sub, {**sub, "name": "other"}, {**METER, "name": "sold", "sign": -1}, OUTPUT]
    assert Unit.model_validate({**UNIT, "points": points, "lines": [LINE]}).cells == [0, 1, 1, 2, 1]
