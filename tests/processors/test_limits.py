"""Product limits: each level alone, exactly, on what is known of the actual value and of the parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from math import floor

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from processors.formula import (
    UNKNOWN,
    DeclarationError,
    Interval,
    check_declared,
    declarations,
    limit_at,
    plus,
    times,
)
from processors.limits import Actual, LevelJudged, judge, usual_declarations
from schemas.pack import NoEntryError, Packs
from schemas.pack_limits import LEVELS, Limit, Parameter
from schemas.pack_reading import PackText, our_packs, our_text, read_packs
from schemas.scale import SCALE

PACKS = our_packs()
PARAMETERS = {held.entry.id: held.entry for held in PACKS.of(Parameter)}
LIMITS = [held.entry for held in PACKS.of(Limit)]
INDICATORS = sorted({limit.indicator for limit in LIMITS})
EXEMPTIONS = {condition.parameter for limit in LIMITS for condition in limit.exempt}
NOW = date(2026, 11, 23)
LATER = date(2027, 6, 1)


def exactly(value: str) -> Actual:
    scaled = int(Fraction(value) * SCALE)
    return Actual(scaled, scaled, scaled)


def judged(
    indicator: str,
    actual: Actual,
    told: Mapping[str, str] | None = None,
    *,
    on: date = NOW,
    packs: Packs = PACKS,
    regions: tuple[str, ...] = (),
) -> tuple[LevelJudged, ...]:
    declared = declarations(told or {}, PARAMETERS)
    return judge(packs, indicator, actual, declared, on=on, regions=regions)


def outcomes(*arguments: object, **more: object) -> list[str]:
    return [one.outcome for one in judged(*arguments, **more)]  # type: ignore[arg-type]


SINTER = {"rare_earth_ore": "0", "vanadium_titanium_ore": "60", "laterite_nickel_ore": "0"}
"""Level 1, 2, 3: 55, 58, 64 kgce/t."""


@pytest.mark.parametrize(
    ("indicator", "told", "value", "expected"),
    [
        pytest.param("steel.sintering", SINTER, "55", "PASS PASS PASS", id="exactly at level 1"),
        pytest.param("steel.sintering", SINTER, "55.000001", "FAIL PASS PASS", id="just above it"),
        pytest.param("steel.sintering", SINTER, "64.000001", "FAIL FAIL FAIL", id="above level 3"),
        pytest.param(
            "steel.sintering", {}, "64", "UNDECIDABLE UNDECIDABLE UNDECIDABLE", id="ores undeclared"
        ),
        pytest.param("steel.sintering", {}, "43", "PASS PASS PASS", id="within whatever they are"),
        pytest.param("steel.sintering", {}, "500", "FAIL FAIL FAIL", id="above whatever they are"),
        pytest.param(
            "steel.converter",
            {"scrap_ratio": "0", "converter_steel": "ordinary"},
            "-12",
            "FAIL FAIL PASS",
            id="a negative limit, reached",
        ),
        pytest.param(
            "steel.converter",
            {"scrap_ratio": "0", "converter_steel": "ordinary"},
            "-11.999999",
            "FAIL FAIL FAIL",
            id="too little recovered",
        ),
        pytest.param(
            "steel.converter",
            {"special_purpose_converter": "yes"},
            "90",
            "NOT_JUDGED NOT_JUDGED NOT_JUDGED",
            id="exempt",
        ),
        pytest.param(
            "steel.eaf",
            {"furnace_capacity": "60", "stainless": "no", "hot_metal": "0"}
            | {"furnace_steel": "ordinary"},
            "70",
            "FAIL NOT_JUDGED PASS",
            id="a level that is not there",
        ),
        pytest.param(
            "steel.eaf",
            {"stainless": "no", "hot_metal": "0", "furnace_steel": "ordinary"},
            "72",
            "FAIL UNDECIDABLE PASS",
            id="size undeclared: what all rows agree on",
        ),
        pytest.param(
            "ammonia.lignite", {}, "1900", "NOT_JUDGED NOT_JUDGED PASS", id="levels not read"
        ),
        pytest.param(
            "coke.top_charged", {}, "1", "UNDECIDABLE UNDECIDABLE UNDECIDABLE", id="open limit"
        ),
        pytest.param("data_centre.pue", {}, "1.5", "FAIL FAIL PASS", id="PUE"),
    ],
)
def test_levels(indicator: str, told: dict[str, str], value: str, expected: str) -> None:
    """A value exactly at a limit is no breach; 10⁻⁶ above it is one."""
    said = [outcome.replace(" ", "_") for outcome in outcomes(indicator, exactly(value), told)]
    assert " ".join(said) == expected


def test_reasons_are_said() -> None:
    """Which parameter is missing, which level is not there, and on what it rests."""
    (_, _, third) = judged("steel.sintering", exactly("64"))
    assert third.reason == (
        "the limit is an interval: laterite_nickel_ore, rare_earth_ore, vanadium_titanium_ore not declared"
    )
    assert third.suspected
    assert third.notes == ("the day in force of GB 21256-2025 is not confirmed",)
    assert third.packs == (PACKS.packs[0].version,)
    (first, _, last) = judged("ammonia.lignite", exactly("1"))
    assert first.reason == "level 1 of the standard was not read"
    (_, second, _) = judged("steel.eaf", exactly("1"), {"furnace_capacity": "60"})
    assert second.reason == "the standard has no level 2"
    assert (last.reason, last.suspected) == ("", False)


def test_an_interval_across_the_limit_is_undecidable() -> None:
    """Suspected where the best estimate is above."""
    limit = 13_700 * SCALE
    for best, suspected in ((limit, False), (limit + 1, True)):
        *_, third = judged(
            "aluminium.liquid.comprehensive_ac_power", Actual(limit - 5, best, limit + 5)
        )
        assert (third.outcome, third.suspected) == ("UNDECIDABLE", suspected)
        assert third.reason == "the interval contains the limit"


def test_an_open_value_is_never_a_pass() -> None:
    """Unknown upwards it may fail; unknown both ways nothing is decided."""
    indicator = "carbide.comprehensive"
    assert outcomes(indicator, Actual(941 * SCALE, None, None)) == ["FAIL"] * 3
    assert outcomes(indicator, Actual(None, None, None)) == ["UNDECIDABLE"] * 3
    assert outcomes(indicator, Actual(None, None, 805 * SCALE)) == ["PASS"] * 3


def test_a_standard_not_yet_in_force_is_told_and_not_judged() -> None:
    """From its day on it is judged, and the one before it no more."""
    route = {"polysilicon_route": "trichlorosilane"}
    before = judged("polysilicon.comprehensive", exactly("7"), route)
    assert [one.outcome for one in before[:3]] == ["PASS"] * 3
    assert {one.outcome for one in before[3:]} == {"NOT JUDGED"}
    assert "in force from 2027-01-01: not judged before" in before[3].reason
    assert "limit.polysilicon.2022 is unverified" in before[0].notes
    after = judged("polysilicon.comprehensive", exactly("7"), route, on=date(2027, 1, 1))
    assert [one.outcome for one in after] == ["FAIL"] * 3
    assert after[0].entries == ("limit.polysilicon.2026.trichlorosilane",)


LOCAL = """
[[limit]]
id = "limit.sichuan.aluminium"
indicator = "aluminium.liquid.ac_power"
product = "liquid aluminium"
region = "510000"
unit = "kWh/t"
levels = ["-", "-", "13100"]
valid_from = 2026-01-01
source = "a local standard"
status = "sourced"
"""


def with_own(text: str) -> Packs:
    return read_packs([our_text(), PackText("own", (("own.toml", text),))])


def test_a_local_stricter_limit_is_judged_beside_the_national_one() -> None:
    """For the units of its region alone, and named with its pack."""
    packs = with_own(LOCAL)
    said = judged("aluminium.liquid.ac_power", exactly("13200"), packs=packs, regions=("510000",))
    assert [(one.region, one.level, one.outcome) for one in said] == [
        (None, 1, "FAIL"),
        (None, 2, "FAIL"),
        (None, 3, "PASS"),
        ("510000", 1, "NOT JUDGED"),
        ("510000", 2, "NOT JUDGED"),
        ("510000", 3, "FAIL"),
    ]
    assert said[-1].packs[0].startswith("own ")
    assert len(judged("aluminium.liquid.ac_power", exactly("13200"), packs=packs)) == 3


def test_an_own_limit_goes_before_ours_on_its_days() -> None:
    """Ours holds on the others."""
    packs = with_own(LOCAL.replace('region = "510000"\n', "").replace('"-", "-"', '"1", "2"'))
    for on, entry in (
        (NOW, "limit.sichuan.aluminium"),
        (date(2025, 6, 1), "limit.aluminium.liquid.ac_power"),
    ):
        assert judged("aluminium.liquid.ac_power", exactly("1"), packs=packs, on=on)[0].entries == (
            entry,
        )


def test_a_table_is_straight_between_its_knots() -> None:
    """And level beyond them; over an interval its turns count."""
    packs = with_own(
        """
        [[limit]]
        id = "own"
        indicator = "own"
        product = "own"
        unit = "kWh/t"
        levels = ["100", "100", "100"]
        valid_from = 2026-01-01
        source = "s"
        status = "sourced"
        corrections = [{ kind = "add table", parameter = "clinker_ratio", knots = [["10", "0"], ["20", "10"], ["30", "4"]] }]
        """
    )
    (limit,) = (held.entry for held in packs.of(Limit) if held.entry.id == "own")
    for told, low, high in (
        ("5", 100, 100),
        ("15", 105, 105),
        ("25", 107, 107),
        ("90", 104, 104),
        ("15..28", 105, 110),
    ):
        bound = limit_at(limit, 3, declarations({"clinker_ratio": told}, PARAMETERS), PARAMETERS)
        assert bound is not None
        assert bound.ends() == (low, high)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        pytest.param({"clinker": "75"}, "clinker is no parameter of any pack", id="unknown"),
        pytest.param({"clinker_ratio": "101"}, r"outside of \[0, 100\] %", id="beyond its bounds"),
        pytest.param({"clinker_ratio": "-1"}, r"outside of \[0, 100\] %", id="below them"),
        pytest.param({"clinker_ratio": "80..70"}, "not in order", id="reversed"),
        pytest.param({"clinker_ratio": "much"}, "write a number or an interval", id="no number"),
        pytest.param({"stainless": "maybe"}, "it is no, yes", id="no option"),
    ],
)
def test_a_declaration_that_cannot_be(told: dict[str, str], said: str) -> None:
    """Refused with what it may be."""
    with pytest.raises(DeclarationError, match=said):
        check_declared(declarations(told, PARAMETERS), PARAMETERS)


def test_a_number_for_an_option_is_refused() -> None:
    """And an option for a number."""
    for declared in ({"stainless": Interval.of(1)}, {"clinker_ratio": "yes"}, {"gold": "1"}):
        with pytest.raises(DeclarationError):
            check_declared(declared, PARAMETERS)


def test_an_indicator_that_no_pack_has() -> None:
    """Said, never passed."""
    with pytest.raises(NoEntryError, match="no pack has a limit of gold"):
        judged("gold", exactly("1"))


# ---- Laws


@dataclass(frozen=True)
class Case:
    """A product line as it is known, and less well known."""

    indicator: str
    on: date
    declared: dict[str, Interval | str]
    wider: dict[str, Interval | str]
    actual: Actual
    looser: Actual


def bounds_of(parameter: Parameter) -> tuple[int, int]:
    least = 0 if parameter.least is None else int(parameter.least)
    return least, 3_000 if parameter.greatest is None else int(parameter.greatest)


@st.composite
def intervals(draw: st.DrawFn, parameter: Parameter) -> Interval:
    least, greatest = bounds_of(parameter)
    edges = [0, 50, 62, 70, 75, 500, 800, 1500]
    known = [edge for edge in edges if least <= edge <= greatest]
    ends = draw(
        st.lists(
            st.one_of(st.sampled_from(known), st.integers(least, greatest)), min_size=3, max_size=3
        )
    )
    low, best, high = sorted(ends)
    if draw(st.booleans()):
        return Interval.of(best)
    return Interval(Fraction(low), Fraction(best), Fraction(high))


@st.composite
def declared_of(draw: st.DrawFn, names: list[str]) -> dict[str, Interval | str]:
    told: dict[str, Interval | str] = {}
    for name in names:
        parameter = PARAMETERS[name]
        if draw(st.integers(0, 3)):
            told[name] = draw(
                st.sampled_from(parameter.options) if parameter.options else intervals(parameter)
            )
    return told


@st.composite
def widened(draw: st.DrawFn, told: dict[str, Interval | str]) -> dict[str, Interval | str]:
    wider: dict[str, Interval | str] = {}
    for name, one in told.items():
        if draw(st.booleans()):
            wider[name] = one
        elif isinstance(one, Interval) and draw(st.booleans()):
            least, greatest = bounds_of(PARAMETERS[name])
            low, high = one.ends() or (Fraction(0), Fraction(0))
            wider[name] = Interval(
                low - (low - least) * draw(st.fractions(0, 1)),
                one.best,
                high + (greatest - high) * draw(st.fractions(0, 1)),
            )
    return wider


@st.composite
def actuals(draw: st.DrawFn, around: list[Fraction]) -> Actual:
    centre = int(draw(st.sampled_from(around)) * SCALE)
    offsets = st.one_of(st.integers(-2, 2), st.integers(-60 * SCALE, 60 * SCALE))
    low, best, high = sorted(centre + draw(offsets) for _ in range(3))
    return draw(st.sampled_from([Actual(low, best, high), Actual(best, best, best)]))


def loosened(actual: Actual, down: int | None, up: int | None) -> Actual:
    return Actual(
        None if down is None or actual.low is None else actual.low - down,
        actual.best,
        None if up is None or actual.high is None else actual.high + up,
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    indicator = draw(st.sampled_from(INDICATORS))
    limits = [limit for limit in LIMITS if limit.indicator == indicator]
    names = sorted({name for limit in limits for name in limit.parameters()} - EXEMPTIONS)
    declared = draw(declared_of(names))
    around = [
        bound.best
        for limit in limits
        for level in LEVELS
        if (bound := limit_at(limit, level, declared, PARAMETERS))
    ]
    actual = draw(actuals(around))
    margins = st.one_of(st.none(), st.integers(0, 30 * SCALE))
    return Case(
        indicator,
        draw(st.sampled_from([NOW, LATER])),
        declared,
        draw(widened(declared)),
        actual,
        loosened(actual, draw(margins), draw(margins)),
    )


@given(cases())
def test_what_is_less_known_is_never_better_or_worse_judged(case: Case) -> None:
    """Widening a declaration or the actual value turns nothing into PASS or FAIL that was not that before."""
    known = judge(PACKS, case.indicator, case.actual, case.declared, on=case.on)
    loose = judge(PACKS, case.indicator, case.looser, case.wider, on=case.on)
    before = {one.level: one.outcome for one in known if not one.reason.startswith("published")}
    for one in loose:
        if one.outcome in {"PASS", "FAIL"}:
            assert before[one.level] == one.outcome


@given(cases())
def test_a_stricter_level_never_passes_where_a_laxer_fails(case: Case) -> None:
    """Level 1 is stricter than 2, and 2 than 3."""
    said = judge(PACKS, case.indicator, case.actual, case.wider, on=case.on)
    laxest_fail = max((one.level for one in said if one.outcome == "FAIL"), default=0)
    assert all(one.level >= laxest_fail for one in said if one.outcome == "PASS")


def its_own(limit: Limit) -> dict[str, Interval | str]:
    """Declarations for which this row of the standard holds."""
    told: dict[str, Interval | str] = {}
    for condition in limit.applies:
        inside = (condition.up_to, condition.at_least)
        beside = (condition.above, 1), (condition.below, -1)
        numbers = [Interval.of(bound) for bound in inside if bound is not None]
        numbers += [Interval.of(bound + step) for bound, step in beside if bound is not None]
        told[condition.parameter] = condition.one_of[0] if condition.one_of else numbers[0]
    return told


@given(st.sampled_from(LIMITS), st.sampled_from(LEVELS), st.data())
def test_exactly_at_the_limit_is_no_breach(limit: Limit, level: int, data: st.DataObject) -> None:
    """With every parameter declared; 10⁻⁶ above it is one."""
    assume(limit.level(level) is not None)
    drawn = data.draw(declared_of(sorted(limit.parameters() - EXEMPTIONS)))
    exact = usual_declarations(limit, PARAMETERS) | {
        name: Interval.of(one.best) if isinstance(one, Interval) else one
        for name, one in (drawn | its_own(limit)).items()
    }
    bound = limit_at(limit, level, exact, PARAMETERS)
    assert bound is not None
    assert bound.exact
    at = floor(bound.best * SCALE)
    on = NOW if limit.holds(NOW) else LATER
    for value, expected in ((at, "PASS"), (at + 1, "FAIL")):
        said = judge(PACKS, limit.indicator, Actual(value, value, value), exact, on=on)
        assert said[level - 1].entries == (limit.id,)
        assert said[level - 1].outcome == expected


@given(st.sampled_from(LIMITS), st.sampled_from(LEVELS), st.data())
def test_the_limit_encloses_that_of_every_declaration_inside(
    limit: Limit, level: int, data: st.DataObject
) -> None:
    """Whatever the parameters are, inside what was declared."""
    names = sorted(limit.parameters())
    told = data.draw(declared_of(names))
    inside: dict[str, Interval | str] = {}
    for name in names:
        one = told.get(name)
        if isinstance(one, str):
            inside[name] = one
        elif PARAMETERS[name].options:
            inside[name] = data.draw(st.sampled_from(PARAMETERS[name].options))
        else:
            low, high = (one.ends() if one else None) or bounds_of(PARAMETERS[name])
            inside[name] = Interval.of(low + (high - low) * data.draw(st.fractions(0, 1)))
    around, point = (limit_at(limit, level, d, PARAMETERS) for d in (told, inside))
    if around is None or point is None:
        assert around is point
        return
    ends = around.ends()
    assert ends is None or ends[0] <= point.best <= ends[1]


wholes = st.integers(-9, 9)


@given(st.tuples(wholes, wholes, wholes), st.tuples(wholes, wholes, wholes), wholes, wholes)
def test_sums_and_products_enclose(
    one: tuple[int, int, int], other: tuple[int, int, int], x: int, y: int
) -> None:
    """Of any two numbers inside, negative ones as well; an open interval stays open."""
    first, second = (Interval(*map(Fraction, sorted(ends))) for ends in (one, other))
    assume(min(one) <= x <= max(one) and min(other) <= y <= max(other))
    for law, value in ((plus, x + y), (times, x * y)):
        ends = law(first, second).ends()
        assert ends is not None
        assert ends[0] <= value <= ends[1]
        assert law(first, UNKNOWN).ends() is None


MONOTONE = [
    ("steel.sintering", "vanadium_titanium_ore", 1),
    ("steel.pelletizing", "laterite_nickel_ore", 1),
    ("steel.blast_furnace", "vanadium_titanium_ore", 1),
    ("steel.blast_furnace", "feed_grade", -1),
    ("steel.converter", "scrap_ratio", 1),
    ("steel.eaf", "hot_metal", -1),
    ("cement.comprehensive", "clinker_ratio", 1),
]


@given(st.sampled_from(MONOTONE), st.fractions(0, 100), st.fractions(0, 100))
def test_a_correction_runs_one_way(
    rule: tuple[str, str, int], one: Fraction, other: Fraction
) -> None:
    """More of the ore, scrap or clinker raises the limit; more hot metal or a richer feed lowers it."""
    indicator, name, direction = rule
    less, more = sorted((one, other))
    for limit in (limit for limit in LIMITS if limit.indicator == indicator):
        usual = usual_declarations(limit, PARAMETERS)
        for level in LEVELS:
            first, second = (
                limit_at(limit, level, usual | {name: Interval.of(value)}, PARAMETERS)
                for value in (less, more)
            )
            assert (first is None) == (second is None)
            if first and second:
                assert (second.best - first.best) * direction >= 0
