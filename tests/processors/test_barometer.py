"""The barometer: never better for worse data, no flapping, waterfalls that sum."""

import json
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.barometer import load, main
from processors.double_control import Bounds
from processors.levels import (
    Edges,
    Line,
    edges_of,
    excess,
    last_change,
    level_of,
    ratios,
    read,
    told_level,
    waterfall,
)
from schemas.double_control import NOTHING, Amount, DoubleControl
from schemas.levels import our_rules, rule_at
from tests.processors.control_worlds import WORLDS, control_worlds

FILE = Path(__file__).parents[2] / "deploy/example/double-control.toml"
EXAMPLE = load(FILE)
EDGES = Edges(Fraction(1), Fraction("1.03"), Fraction("0.01"), Fraction("0.05"))

thousandths = st.integers(900, 1100).map(lambda n: Fraction(n, 1000))
befores = st.sampled_from([None, 1, 2, 3])


@pytest.mark.parametrize(
    ("ratio", "before", "level"),
    [
        pytest.param("1.00", None, 3, id="just reached is not over"),
        pytest.param("1.001", 3, 2, id="over the schedule"),
        pytest.param("1.03", 3, 2, id="at the second edge"),
        pytest.param("1.031", 3, 1, id="over it, at once"),
        pytest.param("1.025", 1, 1, id="held"),
        pytest.param("1.02", 1, 2, id="released"),
        pytest.param("0.995", 2, 2, id="held at the first edge"),
        pytest.param("0.99", 1, 3, id="released from both"),
    ],
)
def test_level_of(ratio: str, before: int | None, level: int) -> None:
    """Worse at once, better only with the margin."""
    assert level_of(Fraction(ratio), EDGES, before) == level


@given(thousandths, st.lists(st.integers(0, 10), min_size=2), befores)
def test_a_ratio_that_trembles_does_not_flap(
    start: Fraction, steps: list[int], before: int | None
) -> None:
    """Within a band as narrow as the margin a level that was taken is never left for a better one."""
    levels = []
    for step in steps:
        before = level_of(start + Fraction(step, 1000), EDGES, before)
        levels.append(before)
    assert levels == sorted(levels, reverse=True)


@given(
    st.tuples(thousandths, thousandths).map(sorted),
    st.tuples(thousandths, thousandths).map(lambda two: (two[0] - 1, two[1] - 1)),
    befores,
)
def test_a_wider_interval_never_betters_a_level(
    ends: list[Fraction], by: tuple[Fraction, Fraction], before: int | None
) -> None:
    """A level may get worse or be lost; no data stays no data, unless it is certainly worse."""
    low, high = ends
    told = told_level(low, high, EDGES, before)
    wider = told_level(low - abs(by[0]), high + abs(by[1]), EDGES, before)
    without_end = told_level(low - abs(by[0]), None, EDGES, before)
    for other in (wider, without_end):
        assert other is None or (told is not None and other <= told)


@given(
    st.tuples(st.integers(-99, 99), st.integers(-99, 99)).map(sorted),
    st.tuples(st.integers(1, 99), st.integers(1, 99)).map(sorted),
)
def test_ratios_hold_every_quotient(used: list[int], limit: list[int]) -> None:
    """Also where deductions make what is used negative."""
    told = ratios(Amount(used[0], used[0], used[1]), Bounds(limit[0], limit[0], limit[1]))
    assert told is not None
    low, high = told
    assert high is not None
    assert all(low <= Fraction(u, g) <= high for u in used for g in limit)


def summed(lines: tuple[Line, ...]) -> Amount:
    return sum((Amount(line.low, line.best, line.high) for line in lines), NOTHING)


@settings(max_examples=WORLDS)
@given(control_worlds())
def test_a_waterfall_sums_to_its_change(world: DoubleControl) -> None:
    """Readings, late ones, corrections, deductions, moves and a target that changes: low, best and high, to the digit."""
    found = read(world, "t")
    for position, before in enumerate(found):
        for after in found[position:]:
            told = waterfall(before, after)
            old, new = excess(before), excess(after)
            assert summed(told.lines).best == told.change.best == new.best - old.best
            assert summed(told.lines).low == told.change.low == new.low - old.low
            assert summed(told.lines).high == told.change.high
            if old.high is not None and new.high is not None:
                assert told.change.high == new.high - old.high


def test_the_example_by_hand() -> None:
    """740,000 · 0.9^(1/5) = 724,570.43 a year, 31/365 of it in March: 61,538.80 are allowed, 65,000 are used; 3 becomes 2."""
    found = read(EXAMPLE, "energy.total.510400")
    assert [reading.level for reading in found] == [3, 3, 2]
    change = last_change(found)
    assert change is not None
    told = {(line.unit, line.part, line.cause): line.best for line in change.lines}
    passing = told.pop(("", "", "time passing"))
    assert told == {
        ("STEEL", "gross", "reading"): 52_000_000_000,
        ("STEEL", "gross", "correction of meter E1"): 4_000_000_000,
        ("STEEL", "feedstock F-1", "deduction F-1"): -500_000_000,
        ("CEMENT", "gross", "reading"): 9_500_000_000,
    }
    assert change.change.best == 65_000_000_000 + passing


def test_intensity_through_value_added_and_remainder() -> None:
    """No data until the remainder is known; a revision of value added then moves the level, and the waterfall says so alone."""
    name, days = "co2.intensity.510400", (*EXAMPLE.evaluate, date(2026, 4, 1))
    found = read(EXAMPLE, name)
    assert [one.level for one in found] == [None, None, 2]
    assert {one.reason for one in found[:2]} == {"remainder unknown"}
    first = EXAMPLE.value_added[0]
    higher = {"low": Decimal(330000), "best": Decimal(330000), "high": Decimal(330000)}
    revised = first.model_copy(update={"revision": 2, **higher})
    world = EXAMPLE.model_copy(update={"value_added": (first, revised), "evaluate": days[-1:]})
    after = read(world, name)[-1]
    told = waterfall(found[-1], after)
    assert after.level == 3
    assert [(line.cause, line.best) for line in told.lines] == [("value added", -43_353_870_000)]


def test_a_revised_remainder_is_a_line() -> None:
    """Statistics that are revised move the level by themselves, at each end."""
    name, day = "co2.intensity.510400", {"evaluate": EXAMPLE.evaluate[-1:]}
    first = EXAMPLE.remainders[0]
    revised = first.model_copy(update={"revision": 2, "low": Decimal(93000)})
    before = read(EXAMPLE, name)[-1]
    after = read(EXAMPLE.model_copy(update={**day, "remainders": (first, revised)}), name)[-1]
    told = waterfall(before, after)
    assert told.lines == (Line("", "", "remainder", 3_000_000_000, 0, 0),)
    assert (told.change.low, told.change.best, told.change.high) == (3_000_000_000, 0, 0)


def test_a_wide_interval_is_no_data() -> None:
    """Between levels the worse one, up to the rule's width; beyond it no data, unless all of it is level 1."""
    ends = [("0.99", "1.01", 2), ("0.99", "1.04", 1), ("0.98", "1.04", None), ("1.04", "2", 1)]
    for low, high, level in ends:
        assert told_level(Fraction(low), Fraction(high), EDGES, None) == level


def test_rising_is_level_1() -> None:
    """An intensity above what the path allowed the year before is not falling at all."""
    stands = read(EXAMPLE, "co2.intensity.510400")[-1].stands
    rule = rule_at(our_rules(), "intensity", "co2", stands.on)
    assert rule is not None
    edges = edges_of(rule, stands)
    assert edges.severe == Fraction(1_500_000, 1_445_129)
    assert level_of(edges.severe, edges, 3) == 2
    assert level_of(edges.severe + Fraction(1, 10**6), edges, 3) == 1


def test_losing_data_does_not_shed_a_level() -> None:
    """The last known level is what hysteresis goes by."""
    found = read(
        EXAMPLE.model_copy(update={"evaluate": (*EXAMPLE.evaluate, date(2026, 5, 1))}),
        "energy.total.510400",
    )
    assert [one.level for one in found] == [3, 3, 2, None]
    assert found[-1].reason == "missing data"
    assert found[-1].last_known == 2


def test_our_rules_are_labelled() -> None:
    """No threshold was found published: none of ours is called sourced, and an operator's goes first."""
    assert all(rule.ours and rule.status == "unverified" for rule in our_rules())
    own = our_rules()[0].model_copy(update={"id": "own", "ours": False})
    assert rule_at((*our_rules(), own), "total", "energy", date(2026, 1, 1)) == own
    assert rule_at(our_rules(), "total", "energy", date(2020, 1, 1)) is None


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Levels and the last waterfall, as text and as one line of JSON."""
    assert main([str(FILE)]) == 0
    text = capsys.readouterr().out
    assert "ours, unverified" in text
    assert "3 -> 2" in text
    assert main([str(FILE), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told[0]["last_change"]["change"]["best"] == "3461.196075"


def test_a_wrong_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the place and the mistake, and exit code 1; JSON is read as TOML is."""
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps({"evaluate": [], "regions": [{"code": "1"}], "members": []}))
    assert main([str(path)]) == 1
    said = capsys.readouterr().err
    assert "regions.0.name: Field required" in said
    good = tmp_path / "good.json"
    good.write_text(EXAMPLE.model_dump_json(exclude_none=True, exclude_defaults=True))
    assert load(good) == EXAMPLE
