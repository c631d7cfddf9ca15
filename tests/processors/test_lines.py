"""Energy a unit of output, signed boundaries, and what a registry's lines are refused for: RULES section 12."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.line_entries import complaints
from processors.lines import Amount, Intensity, intensity, signed_sum
from processors.lines_shown import lines_shown, render_lines
from schemas.pack_reading import our_packs
from tests.processors.worlds import point, unit

T = 1_000_000
"""A tonne (of standard coal, of output)."""


@pytest.mark.parametrize(
    ("energy", "output", "said"),
    [
        pytest.param(
            Amount(100 * T, 100 * T, 100 * T),
            Amount(1_000 * T, 1_000 * T, 1_000 * T),
            Intensity(100_000_000, 100_000_000, 100_000_000),
            id="100 tce for 1,000 t are 100 kgce/t",
        ),
        pytest.param(
            Amount(90 * T, 100 * T, 120 * T),
            Amount(900 * T, 1_000 * T, 1_100 * T),
            Intensity(81_818_181, 100_000_000, 133_333_334),
            id="least by most and most by least, rounded outward",
        ),
        pytest.param(
            Amount(-30 * T, -20 * T, -10 * T),
            Amount(1_000 * T, 1_000 * T, 2_000 * T),
            Intensity(-30_000_000, -20_000_000, -5_000_000),
            id="a process that gives more than it takes",
        ),
        pytest.param(
            Amount(10 * T, 20 * T, None),
            Amount(100 * T, 100 * T, None),
            Intensity(0, 200_000_000, None),
            id="nothing known above",
        ),
        pytest.param(
            Amount(10 * T, 20 * T, 30 * T),
            Amount(0, 50 * T, 100 * T),
            Intensity(100_000_000, 400_000_000, None),
            id="perhaps no output",
        ),
        pytest.param(
            Amount(-10 * T, -5 * T, -1 * T),
            Amount(0, 50 * T, 100 * T),
            Intensity(None, -100_000_000, None),
            id="perhaps no output of a process that gives",
        ),
        pytest.param(
            Amount(1, 1, 1),
            Amount(0, 0, 0),
            Intensity(None, None, None, "energy without output"),
            id="energy and no output",
        ),
        pytest.param(
            Amount(0, 0, 5),
            Amount(0, 0, 0),
            Intensity(None, None, None, "not computable"),
            id="no output, and perhaps no energy",
        ),
    ],
)
def test_intensity(energy: Amount, output: Amount, said: Intensity) -> None:
    """[energy low / output high, energy high / output low], at 10⁻⁶ kgce a tonne."""
    assert intensity(energy, output) == said


ends = st.integers(-50, 50)
intervals = st.tuples(ends, ends, ends).map(lambda three: Amount(*sorted(three)))


@given(intervals, st.tuples(*[st.integers(0, 50)] * 3).map(lambda three: Amount(*sorted(three))))
def test_every_quotient_lies_inside(energy: Amount, output: Amount) -> None:
    """Whatever energy and output are within their bounds."""
    found = intensity(energy, output)
    for e, o in product({*energy}, {*output}):
        assert e is not None
        assert o is not None
        if o <= 0:
            assert found.high is None
            continue
        assert found.low is None or found.low * o <= e * 10**9
        assert found.high is None or found.high * o >= e * 10**9


def test_what_is_taken_off_counts_by_its_other_end() -> None:
    """100 ± 10 bought and 30 ± 5 sold are 70 ± 15."""
    bought, sold = Amount(90, 100, 110), Amount(25, 30, 35)
    assert signed_sum([(1, bought), (-1, sold)]) == Amount(55, 70, 85)


def test_unknown_ends_stay_unknown() -> None:
    """What is given away without a known end leaves no least."""
    assert signed_sum([(1, Amount(1, 2, 3)), (-1, Amount(0, 1, None))]) == Amount(None, 1, 3)


KILN = {
    "id": "kiln",
    "name": "kiln",
    "indicators": ("cement.clinker.comprehensive",),
    "parameters": {"altitude": "2000"},
    "evidence": "survey",
}
POINTS = (
    point(name="power", lines={"kiln": 1}),
    point(name="clinker", quantity="output", lines={"kiln": 1}),
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({}, None, id="in order"),
        pytest.param(
            {"indicators": ["cement.nothing"], "parameters": {}},
            "no pack has a limit",
            id="indicator",
        ),
        pytest.param(
            {"indicators": ["refining.unit_energy_factor"], "parameters": {}},
            "kgoe/(t·factor)",
            id="no tonnes",
        ),
        pytest.param({"parameters": {"colour": "7"}}, "no parameter of any pack", id="parameter"),
        pytest.param({"parameters": {"altitude": "high"}}, "write a number", id="no number"),
        pytest.param({"parameters": {"scrap_ratio": "7"}}, "none of its limits", id="of nobody"),
        pytest.param({"evidence": ""}, "evidence", id="no evidence"),
    ],
)
def test_packs_must_know_what_a_line_names(change: dict[str, object], said: str | None) -> None:
    """Each mistake is one line that names unit and line."""
    told = list(complaints([unit(*POINTS, lines=[KILN | change])], our_packs()))
    assert len(told) == (0 if said is None else 1)
    assert said is None or (said in told[0] and "line kiln" in told[0])


def test_people_see_the_latest_window_of_each_kind() -> None:
    """And why there is no intensity."""
    figures = {
        "output": {"unit_of_measure": "t", "low": 0, "best": 0, "high": 0, "share_measured": T},
        "intensity": {
            "unit_of_measure": "kgce/t",
            "low": None,
            "best": None,
            "high": None,
            "said": "not computable",
        },
    }
    rows = [("kiln", "Kiln 1", 3_600_000, judged(start, figures)) for start in (0, 86_400_000)]
    shown = lines_shown(rows)
    assert [line["line"] for line in shown] == ["kiln"]
    assert str(shown).count("'window': 'day'") == 1
    assert "1970-01-02" in str(shown)
    assert "not computable" in render_lines(shown)


def judged(start: int, figures: dict[str, object]) -> bytes:
    told = {"window": "day", "start": start, "end": start + 86_400_000, "figures": figures}
    return repr(told).replace("'", '"').replace("None", "null").encode()
