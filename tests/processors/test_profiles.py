"""The guess of unknown time by dated hourly profiles: RULES section 1."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle_pieces import weighted
from processors.profiles import weights_of
from processors.windows import unknown_amounts
from schemas.calendar import DAY_MS, HOUR_MS, year_start
from schemas.registry import Profile
from tests.processors.laws_shell import state_of
from tests.processors.worlds import BEGIN, point, unit

KWH = 10**6
percents = st.lists(st.integers(0, 100), min_size=24, max_size=24)
days = st.dates(date(1970, 1, 2), date(2080, 1, 1))


@st.composite
def dated_profiles(draw: st.DrawFn) -> tuple[Profile, ...]:
    """Up to three profiles in order."""
    begun = sorted(draw(st.sets(days, max_size=3)))
    weekends = st.one_of(st.none(), percents)
    return tuple(
        Profile.model_validate(
            {"from_day": day, "workdays": draw(percents), "weekends": draw(weekends)}
        )
        for day in begun
    )


@given(dated_profiles(), st.lists(st.integers(0, year_start(2085)), min_size=1))
def test_weighted_time_is_the_oracles(profiles: tuple[Profile, ...], at: list[int]) -> None:
    """At any instant, before and behind each profile's first day."""
    near = [one.begins + shift for one in profiles for shift in (-1, 0, 1, HOUR_MS, 5 * DAY_MS)]
    instants = [max(0, one) for one in (*at, *near)]
    found = weights_of(profiles).weighted(np.array(instants, np.int64)).tolist()
    assert found == [weighted(profiles, one) for one in instants]


def guess(start: int, hours: int, **told: object) -> tuple[int, int]:
    """Best and high (kWh) of hours after a Monday midnight, at 100 kWh an hour."""
    state = state_of(unit(point(**told)))
    x = np.array([MONDAY + start * HOUR_MS])
    best, high = unknown_amounts(state, np.array([0]), (x, x + hours * HOUR_MS))
    return int(best[0]) // KWH, int(high[0]) // KWH


MONDAY = BEGIN - DAY_MS
"""BEGIN is a Tuesday of 2026."""
NIGHT = {"from_day": "2026-03-10", "workdays": [10] * 8 + [90] * 16, "weekends": [20] * 24}


@pytest.mark.parametrize(
    ("start", "hours", "best"),
    [
        pytest.param(24, 8, 80, id="a workday's night"),
        pytest.param(32, 16, 1440, id="a workday's day"),
        pytest.param(24 * 5, 48, 960, id="Saturday and Sunday"),
        pytest.param(20, 8, 240, id="half until its first day, then the profile"),
        pytest.param(24 * 7, 168, 5 * 1520 + 960, id="a week"),
    ],
)
def test_a_profile_guesses(start: int, hours: int, best: int) -> None:
    """By the hour of the business day and the class of the day; the bounds do not know it."""
    assert guess(start, hours, profiles=[NIGHT]) == (best, 100 * hours)


def test_the_last_profile_that_has_begun_holds() -> None:
    """From its first day on."""
    later = {"from_day": date(2026, 3, 11), "workdays": [0] * 24}
    assert guess(24, 48, profiles=[NIGHT, later]) == (1520, 4800)


@given(dated_profiles(), st.integers(1, 10**10), st.lists(st.integers(0, 10**10), min_size=3))
def test_the_guess_is_additive(profiles: tuple[Profile, ...], rated: int, at: list[int]) -> None:
    """Over any split, and never more than what is allowed and one."""
    rate = f"{rated // KWH}.{rated % KWH:06d}"
    state = state_of(unit(point(rated_per_hour=rate, profiles=profiles)))
    edges = np.array(sorted(at)) * 37 + year_start(2020)
    points = np.zeros(len(edges) - 1, np.int64)
    best, high = unknown_amounts(state, points, (edges[:-1], edges[1:]))
    whole, _ = unknown_amounts(state, points[:1], (edges[:1], edges[-1:]))
    assert best.sum() == whole[0]
    assert ((best >= 0) & (best <= high + 1)).all()
