"""Targets at an hour: to the last digit, by calendar and season, with the remainder where it is needed."""

from dataclasses import replace
from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.aggregation import Member, Span, Telling, Told
from processors.entries import differences
from processors.intensities import intensities
from processors.ledger import EMPTY
from processors.standings import (
    Level,
    Stand,
    allowed_at,
    change_of,
    level_after,
    remainder_until,
    share_at,
    stand_of,
    told_standing,
    verdict_of,
)
from processors.targets import named
from schemas.calendar import DAY_MS, HOUR_MS, year_start
from schemas.double_control import NOTHING, Amount, Remainder, Schedule
from schemas.scale import SCALE
from schemas.targets import Targets, TargetVersion

START, END = year_start(2026), year_start(2027)
YEAR = Span("year", START, END)
MARCH = START + 59 * DAY_MS
MEMBERS = [Member("A", "510402", "31", 0), Member("B", "510107", "26", 0)]
TARGET = {
    "id": "t", "scope": "province:510000", "year": 2026, "quantity": "energy", "amount": "365", "covers": "key units", "source": "test",
}  # fmt: skip
REST = {
    "scope": "province:510000", "quantity": "energy", "source": "test", "known_on": "2026-01-01",
}  # fmt: skip
SEASON = Schedule(id="s", weights=(2, *[1] * 10, 0), source="test")


def told(low: int, high: int | None, *, at: int = MARCH) -> Told:
    amount = Amount(low, low, high)
    one = Telling("A", YEAR, at, "reading", 0, None, True, 0, amount, NOTHING)  # noqa: FBT003 - as in its fields
    return {"A": one, "B": one._replace(unit="B", energy=NOTHING)}


def version(**changed: object) -> TargetVersion:
    remainders = changed.pop("remainders", [])
    schedules = [SEASON.model_dump()] if "schedule" in changed else []
    targets = Targets.model_validate(
        {"targets": [TARGET | changed], "remainders": remainders, "schedules": schedules}
    )
    return TargetVersion(version=1, from_hour=0, targets=targets)


def stand(found: Told, targets: TargetVersion, *, at: int = MARCH) -> Stand:
    return stand_of(targets, targets.targets.targets[0], MEMBERS, found, at)


@pytest.mark.parametrize("quantity", ["energy", "co2"])
def test_a_target_says_what_it_rests_on(quantity: str) -> None:
    """One unverified factor of its quantity is enough; of CO2 each view of electricity's factor is named, of energy none."""
    targets = version(quantity=quantity)
    views = replace(EMPTY, view=lambda one, _: "national" if one.unit == "A" else "provincial")
    of_other = {"energy": "co2_unverified", "co2": "energy_unverified"}[quantity]
    for mark, unverified in ((f"{quantity}_unverified", True), (of_other, False)):
        units = told(1, 2)
        found = units | {"B": units["B"]._replace(**{mark: True})}
        one = stand_of(targets, targets.targets.targets[0], MEMBERS, found, MARCH, views)
        said = told_standing(one, level_after(one, None), None)
        assert said.used.unverified is unverified
        assert said.views == (("national", "provincial") if quantity == "co2" else ())


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        pytest.param(365 * SCALE, 365 * SCALE, ("PASS", ""), id="just reached is not broken"),
        pytest.param(365 * SCALE + 1, None, ("FAIL", ""), id="a millionth over"),
        pytest.param(365 * SCALE, 365 * SCALE + 1, ("UNDECIDABLE", "ambiguous data"), id="perhaps"),
        pytest.param(0, None, ("UNDECIDABLE", "missing data"), id="nobody knows"),
    ],
)
def test_verdicts_are_to_the_last_digit(
    low: int, high: int | None, verdict: tuple[str, str]
) -> None:
    """Of key units against a target of key units."""
    assert verdict_of(stand(told(low, high), version())) == verdict


def test_a_target_of_the_whole_society_needs_the_remainder() -> None:
    """Unknown, it is UNDECIDABLE and no data; known, it counts as any unit."""
    society = version(covers="whole society")
    unknown = stand(told(400 * SCALE, 400 * SCALE), society)
    assert verdict_of(unknown) == ("UNDECIDABLE", "remainder unknown")
    assert level_after(unknown, 3) == Level(None, "remainder unknown", 3)
    rest = [REST | {"first": "2026-01-01", "until": "2026-03-01", "amount": "300"}]
    known = stand(told(66 * SCALE, 66 * SCALE), version(covers="whole society", remainders=rest))
    assert verdict_of(known) == ("FAIL", "")
    assert known.used == Amount(366 * SCALE, 366 * SCALE, 366 * SCALE)


def entry(first: int, until: int, best: str, **more: object) -> Remainder:
    days = {"first": date(2026, first, 1), "until": date(2026, until, 1)}
    return Remainder.model_validate(REST | days | {"low": "1", "best": best, "high": "90"} | more)


def test_remainders_are_tiles() -> None:
    """The latest known of each; one that is cut is [0, its part by time, all of it]; a hole, or none, is unknown."""
    one, two = entry(1, 2, "31"), entry(2, 4, "59")
    february = START + 31 * DAY_MS
    assert remainder_until([one, two], START, february) == one.bounds
    assert remainder_until([one, two], START, MARCH) == Amount(
        SCALE, (31 + 28) * SCALE, 180 * SCALE
    )
    assert remainder_until([one], START, MARCH) is None
    assert remainder_until([two], START, MARCH) is None
    revised = entry(1, 2, "40", revision=2)
    unknown = entry(1, 2, "50", known_on="2026-02-01")
    assert remainder_until([one, revised, unknown], START, february) == revised.bounds


def test_the_shares_of_a_year() -> None:
    """By time; by a schedule by its months, and by time within each."""
    day = START + DAY_MS
    assert share_at(2026, day, None) == Fraction(1, 365)
    assert share_at(2026, day, SEASON) == Fraction(2, 12 * 31)
    assert share_at(2026, END - 31 * DAY_MS, SEASON) == share_at(2026, END, SEASON) == 1
    assert allowed_at(364 * SCALE, 2026, day, None) == 997_260


@given(st.integers(START, END), st.integers(0, HOUR_MS * 24 * 40), st.sampled_from([None, SEASON]))
def test_what_is_allowed_never_falls(at: int, further: int, schedule: Schedule | None) -> None:
    """Within a year, and at its end it is all."""
    later = min(at + further, END)
    assert share_at(2026, at, schedule) <= share_at(2026, later, schedule) <= 1
    assert share_at(2026, END, schedule) == 1


def test_the_season_decides_where_the_target_has_one() -> None:
    """59 of 365 t by the calendar on March 1st; three twelfths of the year by the schedule."""
    assert stand(told(0, 0), version()).allowed == 59 * SCALE
    seasonal = stand(told(0, 0), version(schedule="s"))
    assert seasonal.schedule == SEASON
    assert seasonal.allowed == 365 * SCALE * 3 // 12


def test_levels_hold_as_the_rule_says() -> None:
    """59 t are allowed: 60 is level 2, 61 level 1; back at 58.5 level 2 is held by the margin of one per cent."""
    levels = [
        level_after(stand(told(n, n), version()), before).level
        for n, before in ((59 * SCALE, None), (60 * SCALE, 3), (61 * SCALE, 2), (58_500_000, 2))
    ]
    assert levels == [3, 2, 1, 2]
    assert level_after(stand(told(59 * SCALE, None), version()), 3).reason == "missing data"


def test_a_change_of_all_causes() -> None:
    """Reading, time, target and schedule: each its line, and together the change."""
    before = stand(told(50 * SCALE, 50 * SCALE, at=MARCH - HOUR_MS), version(), at=MARCH - HOUR_MS)
    changed = version(schedule="s", amount="400")
    after = stand(told(70 * SCALE, 70 * SCALE), changed)
    found = change_of(before, after, 3, 2)
    lines = {(line.unit, line.cause): line.best for line in found.lines}
    assert lines == {
        ("A", "reading"): 20 * SCALE,
        ("", "time passing"): -(59 * SCALE - before.allowed),
        ("", "target"): -(400 * SCALE * 59 // 365 - 59 * SCALE),
        ("", "schedule"): -(100 * SCALE - 400 * SCALE * 59 // 365),
    }
    assert found.change.best == sum(lines.values()) == 20 * SCALE - (100 * SCALE - before.allowed)


def test_differences_name_every_entry() -> None:
    """New, gone and changed."""
    old, new = version().targets, version(amount="366", schedule="s").targets
    assert [line[:12] for line in differences(named(old), named(new))] == [
        "+ schedule s",
        "~ target t: ",
    ]
    assert differences(named(new), named(new)) == []


MADE = {
    "scope": "province:510000", "covers": "whole society", "prices_of": 2020, "first": "2026-01-01", "until": "2026-03-01",
    "known_on": "2026-02-20", "status": "preliminary", "source": "test",
}  # fmt: skip


@pytest.mark.parametrize(
    ("made", "rest", "expected"),
    [
        pytest.param([{"amount": "200"}], [{"amount": "100"}], (Amount(2 * SCALE, 2 * SCALE, 2 * SCALE), ""), id="exact"),
        pytest.param([{"low": "150", "best": "200", "high": "400"}], [{"amount": "100"}],
                     (Amount(SCALE, 2 * SCALE, 2_666_667), ""), id="rounded outward"),
        pytest.param([{"low": "0", "best": "200"}], [{"amount": "100"}], (Amount(0, 2 * SCALE, None), ""), id="open"),
        pytest.param([{"amount": "200"}], [], (None, "remainder unknown"), id="no remainder"),
        pytest.param([{"amount": "200", "until": "2026-02-01"}], [{"amount": "100"}], (None, "value added unknown"), id="a month short"),
        pytest.param([{"amount": "0"}], [{"amount": "100"}], (None, "not computable: no value added"), id="nothing made"),
        pytest.param([{"amount": "100"}, {"amount": "200", "revision": 2, "status": "final"}], [{"amount": "100"}],
                     (Amount(2 * SCALE, 2 * SCALE, 2 * SCALE), ""), id="revised"),
    ],
)  # fmt: skip
def test_per_value_added_or_why_not(
    made: list[dict[str, str]], rest: list[dict[str, str]], expected: tuple[Amount | None, str]
) -> None:
    """300 tce of key units and 100 of the rest by the first of March."""
    period = {"first": "2026-01-01", "until": "2026-03-01", "known_on": "2026-02-20"}
    targets = Targets.model_validate(
        {
            "value_added": [MADE | one for one in made],
            "remainders": [REST | period | one for one in rest],
        }
    )
    used = Amount(300 * SCALE, 300 * SCALE, 300 * SCALE)
    [told] = intensities(targets, "province:510000", {"energy": used}, START, MARCH)
    assert (told.per_value_added, told.reason) == expected
    assert told.status == ("final" if len(made) == 2 else "preliminary")
