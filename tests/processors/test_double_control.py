"""Double control: sums reconcile exactly, paths are geometric, missing data proves nothing."""

from collections import defaultdict
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from processors.barometer import load
from processors.double_control import (
    Bounds,
    TreeError,
    against_year,
    allowed_until,
    held_to,
    items,
    path_value,
    schedule_of,
    share,
    standing,
    total,
    totals,
    tree_of,
    whole_root,
    year_to_date,
)
from schemas.double_control import NOTHING, Amount, DoubleControl, Level, Schedule, Target
from tests.processors.control_worlds import EDGES, TARGET, WORLDS, control_worlds

EXAMPLE = load(Path(__file__).parents[2] / "deploy/example/double-control.toml")
LEVELS: tuple[Level, ...] = ("province", "city", "county", "industry", "class", "unit")


@settings(max_examples=WORLDS)
@given(control_worlds(), st.sampled_from(list(combinations(EDGES, 2))), st.sampled_from(EDGES))
def test_every_level_sums_to_its_units(
    world: DoubleControl, span: tuple[date, date], known_on: date
) -> None:
    """For any span and any day of knowledge: unit → county → city → province, unit → industry, unit → class."""
    found = items(world, "energy", span, known_on, ("feedstock",))
    for level in LEVELS:
        assert sum(totals(found, (level,)).values(), NOTHING) == total(found)
        by_both = totals(found, (level, "unit"))
        rolled: dict[tuple[str, ...], Amount] = defaultdict(lambda: NOTHING)
        for key, amount in by_both.items():
            rolled[key[:1]] += amount
        assert rolled == totals(found, (level,))
    finer: dict[tuple[str, ...], Amount] = defaultdict(lambda: NOTHING)
    for key, amount in totals(found, ("city", "county")).items():
        finer[key[:1]] += amount
    assert finer == totals(found, ("city",))


@settings(max_examples=WORLDS)
@given(control_worlds(), st.sampled_from(EDGES))
def test_totals_are_those_of_a_plain_sum(world: DoubleControl, known_on: date) -> None:
    """Written again, simply: each month's last known figure, where the unit belongs in that month."""
    expected: dict[str, int] = defaultdict(int)
    months = {(f.unit, f.part, f.first) for f in world.figures if f.known_on <= known_on}
    for unit, part, first in months:
        its = [
            f
            for f in world.figures
            if (f.unit, f.part, f.first) == (unit, part, first) and f.known_on <= known_on
        ]
        last = max(its, key=lambda f: (f.known_on, f.revision))
        county = next(
            m.county for m in world.members if m.unit == unit and m.valid_from <= first < m.valid_to
        )
        expected[county] += last.bounds.best * (1 if part == "gross" else -1)
    found = items(world, "energy", (EDGES[0], EDGES[-1]), known_on, ("feedstock",))
    told = {key[0]: amount.best for key, amount in totals(found, ("county",)).items()}
    assert {k: v for k, v in told.items() if v} == {k: v for k, v in expected.items() if v}


@settings(max_examples=WORLDS)
@given(control_worlds(), st.integers(0, 30))
def test_a_figure_that_is_lost_never_helps(world: DoubleControl, lost: int) -> None:
    """Missing data never turns FAIL or UNDECIDABLE into PASS, and a day without a figure has no upper end."""
    gross = [figure for figure in world.figures if figure.part == "gross"]
    assume(gross)
    identity = gross[lost % len(gross)].identity
    rest = tuple(figure for figure in world.figures if figure.identity != identity)
    fewer = world.model_copy(update={"figures": rest})
    for on in world.evaluate:
        whole, less = standing(world, "t", on), standing(fewer, "t", on)
        assert whole is not None
        assert less is not None
        if against_year(less)[0] == "PASS":
            assert against_year(whole)[0] == "PASS"


@settings(max_examples=WORLDS)
@given(control_worlds(), st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_wider_interval_never_betters_a_verdict(world: DoubleControl, down: int, up: int) -> None:
    """PASS and FAIL may become UNDECIDABLE, and nothing else happens."""
    for on in world.evaluate:
        stands = standing(world, "t", on)
        assert stands is not None
        limit = allowed_until(stands, None)
        used = stands.used
        high = None if used.high is None else used.high + up
        wider = replace(stands, used=Amount(used.low - down, used.best, high))
        after = held_to(wider, limit)[0]
        assert after in {held_to(stands, limit)[0], "UNDECIDABLE"}


@given(st.integers(0, 10**60), st.integers(1, 9))
def test_whole_root(value: int, n: int) -> None:
    """The greatest whole number whose power fits."""
    root = whole_root(value, n)
    assert root**n <= value < (root + 1) ** n


def test_path_of_17_per_cent() -> None:
    """Worked by hand in double-control.md: 3.66, 7.18, 10.58, 13.85, 17 per cent, geometric and not linear."""
    target = Target.model_validate({**TARGET, "scope": "province:P", "base": "100"})
    values = [path_value(target, year) for year in range(2024, 2032)]
    assert values[0] is None
    assert values[-1] is None
    off = [round(100 - Decimal(value).scaleb(-6), 2) for value in values[1:-1] if value is not None]
    assert off == [Decimal(x) for x in ("0.00", "3.66", "7.18", "10.58", "13.85", "17.00")]
    assert values[-2] == 83_000_000


def test_shares_of_a_year() -> None:
    """By days, and by a season: three months of weight 30, 27, 31 of 365; half of February is half of its weight."""
    season = schedule_of(EXAMPLE, EXAMPLE.targets[0])
    assert share((date(2026, 1, 1), date(2026, 4, 1)), None) == Fraction(90, 365)
    assert share((date(2026, 1, 1), date(2026, 4, 1)), season) == Fraction(88, 365)
    assert share((date(2026, 1, 1), date(2026, 2, 15)), season) == Fraction(87, 730)
    assert share((date(2026, 1, 1), date(2027, 1, 1)), season) == 1
    dry = Schedule.model_validate({"id": "d", "weights": [1] + [0] * 11, "source": "test"})
    assert share((date(2026, 1, 1), date(2026, 2, 1)), dry) == 1
    assert year_to_date(date(2026, 1, 1)) == (date(2025, 1, 1), date(2026, 1, 1))


def test_a_unit_counts_where_it_belongs_on_the_day() -> None:
    """The example's cement works is in the east until March 1st, and in the west from then on."""
    found = items(EXAMPLE, "energy", (date(2026, 1, 1), date(2026, 4, 1)), date(2026, 4, 1))
    assert totals(found, ("county", "industry")) == {
        ("510402", "30"): Amount(17_000_000_000, 17_000_000_000, 17_000_000_000),
        ("510402", "31"): Amount(151_000_000_000, 151_000_000_000, 151_000_000_000),
        ("510403", "30"): Amount(9_000_000_000, 9_500_000_000, 10_000_000_000),
    }
    assert tree_of(EXAMPLE).cell("CEMENT", date(2026, 3, 1)).county == "510403"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        pytest.param({"until": date(2026, 4, 1)}, "belongs elsewhere from 2026-03-01", id="moved"),
        pytest.param({"until": date(2026, 5, 1)}, "cuts the figure", id="edge"),
        pytest.param({"first": date(2026, 2, 15)}, "share days", id="twice"),
        pytest.param({"unit": "NOBODY"}, "NOBODY has 0 entries", id="no member"),
    ],
)
def test_what_does_not_add_up_is_refused(changed: dict[str, object], said: str) -> None:
    """A figure that no cell can hold whole, or days told twice, would break the sums in silence."""
    cement = next(f for f in EXAMPLE.figures if f.unit == "CEMENT" and f.first.month == 2)
    kept = tuple(f for f in EXAMPLE.figures if f.unit != "CEMENT" or "first" in changed)
    figures = (*kept, cement.model_copy(update=changed))
    world = EXAMPLE.model_copy(update={"figures": figures})
    with pytest.raises(TreeError, match=said):
        items(world, "energy", (date(2026, 1, 1), date(2026, 4, 1)), date(2026, 4, 1))


def test_a_whole_society_target_needs_its_remainder() -> None:
    """Never judged on key units alone; and value added counts at the target's prices only."""
    on = date(2026, 4, 1)
    bare = EXAMPLE.model_copy(update={"remainders": ()})
    stands = standing(bare, "co2.intensity.510400", on)
    assert stands is not None
    assert stands.figure_of == "key units"
    assert against_year(stands) == ("UNDECIDABLE", "remainder unknown")
    other = [v.model_copy(update={"prices_of": 2020}) for v in EXAMPLE.value_added]
    stands = standing(
        EXAMPLE.model_copy(update={"value_added": tuple(other)}), "co2.intensity.510400", on
    )
    assert stands is not None
    assert against_year(stands) == ("UNDECIDABLE", "value added at prices of 2020, not 2025")


def test_revised_value_added_takes_the_earlier_ones_place() -> None:
    """By hand: limit 1.5 · 0.83^(1/5) = 1.445129; of 310,000 · 10⁴ CNY it allows 447,989.99 t, and 440,000 ± keeps it."""
    first = EXAMPLE.value_added[0]
    told = {"revision": 2, "low": Decimal(310000), "best": Decimal(310000)}
    revised = first.model_copy(update={**told, "high": Decimal(310000)})
    world = EXAMPLE.model_copy(update={"value_added": (revised, first)})
    stands = standing(world, "co2.intensity.510400", date(2026, 4, 1))
    assert stands is not None
    assert stands.limit == 1_445_129
    assert allowed_until(stands, None) == Bounds(*[447_989_990_000] * 3)
    assert against_year(stands) == ("PASS", "")


@pytest.mark.parametrize(
    ("limit", "verdict"),
    [
        pytest.param((9, 10), "FAIL", id="one over all that may be allowed"),
        pytest.param((9, 11), "UNDECIDABLE", id="just reached the most that may be allowed"),
        pytest.param((12, 12), "UNDECIDABLE", id="in between"),
        pytest.param((13, 14), "PASS", id="just reached the least"),
    ],
)
def test_just_reached_is_not_broken(limit: tuple[int, int], verdict: str) -> None:
    """Used [11, 13] against what is allowed."""
    stands = standing(EXAMPLE, "co2.total.510400", date(2026, 4, 1))
    assert stands is not None
    told = held_to(replace(stands, used=Amount(11, 12, 13)), Bounds(limit[0], limit[0], limit[1]))
    assert told[0] == verdict


def test_both_regimes_side_by_side() -> None:
    """The example's city is behind on energy by its season, and keeps its CO2: each is judged alone."""
    on = date(2026, 4, 1)
    energy, co2 = (
        standing(EXAMPLE, name, on) for name in ("energy.total.510400", "co2.total.510400")
    )
    assert energy is not None
    assert co2 is not None
    season = schedule_of(EXAMPLE, energy.target)
    assert held_to(energy, allowed_until(energy, season))[0] == "FAIL"
    assert held_to(co2, allowed_until(co2, None))[0] == "PASS"


def test_coal_and_oil_are_quantities_of_their_own() -> None:
    """Tonnes of coal enter no other sum."""
    steel = EXAMPLE.figures[0].model_copy(update={"quantity": "coal"})
    world = EXAMPLE.model_copy(update={"figures": (*EXAMPLE.figures, steel)})
    span, on = (date(2026, 1, 1), date(2026, 2, 1)), date(2026, 2, 1)
    assert total(items(world, "coal", span, on)).best == 50_000_000_000
    assert total(items(world, "oil", span, on)) == NOTHING
    assert items(world, "energy", span, on) == items(EXAMPLE, "energy", span, on)
