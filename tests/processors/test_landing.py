"""Where a year lands: by hand, at its edges, as a law, and against years that are over."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.landing import (
    Days,
    Landing,
    LandingError,
    Span,
    burn,
    landing,
    student,
    warning,
)
from processors.landing_backtest import by_rule, coverage, limits, monthly, warned
from processors.landing_command import FileError, main, read_year
from processors.landing_years import Year, exact, resampled, simulated
from schemas.calendar import DAY_MS, HOUR_MS, year_start
from schemas.scale import SCALE
from tests.data.synthetic_year import write

JANUARY = year_start(2026)


def level(days: int, each: int = SCALE, *, year: int = 2026) -> Days:
    """Days of one amount, measured wholly."""
    return exact(year_start(year), np.full(days, each, dtype=np.int64))


def told_of(days: Days, limit: int, *earlier: Days) -> Landing:
    """As of the end of the days."""
    return landing(days, at=days.end, limit=limit, earlier=earlier)


def test_a_worked_example() -> None:
    """100 days of 1 tce each and no history: 365 tce are expected, and a limit of 400 leaves 300 for 265 days."""
    told = told_of(level(100), 400 * SCALE)
    assert told.so_far == Span(100 * SCALE, 100 * SCALE, 100 * SCALE)
    assert told.projection is not None
    assert told.projection.basis == "calendar"
    assert told.projection.year_end.best == 365 * SCALE
    assert told.per_day == Span(1_132_075, 1_132_075, 1_132_075), "300 / 265, down"
    assert told.fast == told.slow == Span(912, 913, 913), "1 over 400 / 365 = 0.9125"
    assert told.projection.exhaustion.best is None
    assert not told.exhausted


def test_the_interval_by_hand() -> None:
    """Even days have no residual: what is left is the level's own spread, 1.2816 · √(0.12² + 0.05² · 265/182.5) · 265."""
    told = told_of(level(100), 400 * SCALE).projection
    assert told is not None
    assert told.year_end.high is not None
    apart = 1.2816 * (0.12**2 + 0.05**2 * 265 / 182.5) ** 0.5 * 265
    assert told.year_end.low == pytest.approx((365 - apart) * SCALE, abs=2)
    assert told.year_end.high == pytest.approx((365 + apart) * SCALE, abs=2)


def test_the_history_gives_the_season() -> None:
    """Half the load in the first half of last year: the same first half now lands on the same year, where the calendar says half."""
    halves = np.repeat([SCALE, 2 * SCALE], [182, 183])
    first = level(182, year=2026)
    seasonal = told_of(first, 400 * SCALE, exact(year_start(2025), halves)).projection
    calendar = told_of(first, 400 * SCALE).projection
    assert seasonal is not None
    assert calendar is not None
    assert (seasonal.basis, calendar.basis) == ("seasonal", "calendar")
    assert seasonal.year_end.best == pytest.approx(548 * SCALE, rel=0.01)
    assert calendar.year_end.best == 365 * SCALE


def test_weekdays_meet() -> None:
    """A unit that rests on Sundays lands where it was, though the year before began on another weekday."""
    before = [0 if (day + 2) % 7 == 6 else SCALE for day in range(365)]  # 1 January 2025: Wednesday
    now = [0 if (day + 3) % 7 == 6 else SCALE for day in range(200)]  # 2026: Thursday
    history = exact(year_start(2025), np.array(before, dtype=np.int64))
    told = told_of(exact(JANUARY, np.array(now, dtype=np.int64)), 400 * SCALE, history).projection
    assert told is not None
    assert told.year_end.best == pytest.approx(313 * SCALE, abs=SCALE)


@pytest.mark.parametrize(
    ("limit", "day"),
    [
        pytest.param(365 * SCALE, None, id="exactly at the limit on the last day"),
        pytest.param(365 * SCALE - 1, "2026-12-31", id="passed by the least there is"),
        pytest.param(200 * SCALE, "2026-07-20", id="day 200 reaches it, day 201 passes it"),
        pytest.param(99 * SCALE, "2026-04-11", id="passed already: today"),
    ],
)
def test_exhaustion(limit: int, day: str | None) -> None:
    """The day whose end is over the limit; a limit that is just reached is kept."""
    told = told_of(level(100), limit).projection
    assert told is not None
    assert told.exhaustion.best == day


def test_exactly_used_up_is_not_exhausted() -> None:
    """100 of 100: nothing may be used any more, and nothing is broken."""
    told = told_of(level(100), 100 * SCALE)
    assert not told.exhausted
    assert told.per_day == Span(0, 0, 0)
    assert told_of(level(100), 100 * SCALE - 1).exhausted


def test_the_days_of_exhaustion_are_in_order() -> None:
    """The high end of the path passes first, the low end last."""
    told = told_of(level(100), 300 * SCALE).projection
    assert told is not None
    days = (told.exhaustion.earliest, told.exhaustion.best, told.exhaustion.latest)
    assert None not in days
    assert sorted(str(day) for day in days) == list(days)
    assert len(set(days)) == 3


def test_a_leap_year() -> None:
    """2028 has 366 days: they are projected, and the limit's rate is that of 366."""
    told = told_of(level(100, year=2028), 366 * SCALE, level(365, year=2027))
    assert told.projection is not None
    assert told.projection.year_end.best == 366 * SCALE
    assert told.fast == Span(1000, 1000, 1000)
    after = told_of(level(100, year=2029), 365 * SCALE, level(366, year=2028)).projection
    assert after is not None
    assert after.year_end.best == 365 * SCALE


@pytest.mark.parametrize("days", [0, 1, 6, 7, 20])
def test_first_days_of_a_year(days: int) -> None:
    """Nothing is projected of a few days alone; with last year's profile it is, from the first day on."""
    alone = told_of(level(days), 365 * SCALE)
    assert alone.projection is None
    assert warning(alone) is None
    assert (alone.fast is None) == (days < 7)
    assert alone.slow is None
    known = told_of(level(days), 365 * SCALE, level(365, year=2025)).projection
    assert known is not None
    assert known.year_end.best == 365 * SCALE


def test_the_first_day_without_data() -> None:
    """The earliest day that can be told is the year's first, even where the limit is nothing."""
    told = landing(level(0), at=JANUARY, limit=0, earlier=[level(365, year=2025)])
    assert told.per_day == Span(0, 0, 0)
    assert told.fast is None
    assert told.projection is not None
    assert told.projection.exhaustion.best == "2026-01-01"


def test_the_year_is_over() -> None:
    """Nothing remains: what was used is what it came to, and no day is left to use anything on."""
    told = told_of(level(365), 365 * SCALE)
    assert told.projection is not None
    assert told.projection.year_end == told.so_far == Span(*[365 * SCALE] * 3)
    assert told.per_day is None
    over = told_of(level(365), 364 * SCALE)
    assert over.projection is not None
    assert over.projection.exhaustion.latest == "2026-12-31"


def test_within_a_day() -> None:
    """At noon half the day is to come, and the year window's figure holds what was used of it, and the opening balance."""
    used = Span(130 * SCALE, 130 * SCALE, None)
    days = level(100)
    told = landing(days, at=days.end + 12 * HOUR_MS, limit=394 * SCALE + SCALE // 2, so_far=used)
    assert told.projection is not None
    assert told.projection.year_end.best == 394 * SCALE + SCALE // 2
    assert told.projection.year_end.high is None, "an opening that is not known bounds nothing"
    assert told.per_day == Span(0, SCALE, SCALE)


def test_no_data_at_all() -> None:
    """Days of which only the rated maximum is known may be anything: no warning that is sure, and no promise."""
    zeros, half = np.zeros(60, dtype=np.int64), np.full(60, SCALE, dtype=np.int64)
    told = told_of(Days(JANUARY, zeros, half, 2 * half, 0), 365 * SCALE)
    assert told.share_measured == 0
    assert told.projection is not None
    assert told.projection.year_end.low == 0
    assert told.projection.year_end.high is not None
    assert told.projection.year_end.high > 730 * SCALE
    assert warning(told) != "will break"


def test_a_history_without_data() -> None:
    """An earlier year of which nothing is certain gives no upper end; one in which nothing was used is no history."""
    zeros, half = np.zeros(365, dtype=np.int64), np.full(365, SCALE, dtype=np.int64)
    unknown = Days(year_start(2025), zeros, half, 2 * half, 0)
    told = told_of(level(0), 400 * SCALE, unknown).projection
    assert told is not None
    assert told.year_end.low == 0
    assert told.year_end.high is None
    idle = told_of(level(30), 400 * SCALE, level(365, 0, year=2025)).projection
    assert idle is not None
    assert idle.basis == "calendar"


AMOUNTS = st.integers(0, 5 * SCALE)


@given(st.data(), st.integers(0, 365), st.booleans())
def test_missing_data_widen(data: st.DataObject, gone: int, history: bool) -> None:  # noqa: FBT001
    """For any days and any of them missing, of this year or the one before: no end moves inwards, no warning arises."""
    draws = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    amounts = draws.integers(0, 5 * SCALE, gone)
    before = draws.integers(0, 5 * SCALE, 365)
    limit = data.draw(st.integers(0, 1500)) * SCALE
    share = data.draw(st.sampled_from([0.0, 0.01, 0.1, 0.9, 1.0]))
    exact_days = exact(JANUARY, amounts)
    earlier = [exact(year_start(2025), before)] if history else []
    whole = told_of(exact_days, limit, *earlier)
    part = told_of(
        missing(exact_days, share, draws), limit, *(missing(one, share, draws) for one in earlier)
    )
    assert_inside(whole.so_far, part.so_far)
    for inner, outer in ((whole.fast, part.fast), (whole.slow, part.slow)):
        assert_inside(inner, outer)
    assert_inside(whole.per_day, part.per_day)
    assert whole.exhausted or not part.exhausted
    assert (whole.projection is None) == (part.projection is None)
    if whole.projection and part.projection:
        assert_inside(whole.projection.year_end, part.projection.year_end)
        inner_days, outer_days = whole.projection.exhaustion, part.projection.exhaustion
        assert (outer_days.earliest or "9") <= (inner_days.earliest or "9")
        assert (outer_days.latest or "9") >= (inner_days.latest or "9")
        assert warning(whole) == "will break" or warning(part) != "will break"


def missing(days: Days, share: float, draws: np.random.Generator) -> Days:
    """Some of the days as if nothing had come: none to the rated 6 a day, best half of it."""
    gone = draws.random(len(days.low)) < share
    low, best, high = (
        np.where(gone, value, days.best).astype(np.int64) for value in (0, 3 * SCALE, 6 * SCALE)
    )
    return Days(days.first, low, best, high, int(SCALE * (1 - gone.mean())) if gone.size else 0)


def assert_inside(inner: Span | None, outer: Span | None) -> None:
    assert (inner is None) == (outer is None)
    if inner is None or outer is None:
        return
    for one in (inner, outer):
        assert one.low <= one.best
        assert one.high is None or one.best <= one.high
    assert outer.low <= inner.low
    assert outer.high is None or (inner.high is not None and inner.high <= outer.high)


@given(st.lists(AMOUNTS, min_size=30, max_size=365), st.integers(1, 2000))
def test_what_may_be_used_a_day_lands_on_the_limit(amounts: list[int], limit: int) -> None:
    """Used so, the year ends within the limit; with 10⁻⁶ a day more it would not."""
    told = told_of(exact(JANUARY, np.array(amounts, dtype=np.int64)), limit * SCALE)
    rest = 365 - len(amounts)
    if told.per_day is None or told.so_far.best > limit * SCALE:
        return
    assert told.so_far.best + rest * told.per_day.best <= limit * SCALE
    assert told.so_far.best + rest * (told.per_day.best + 1) > limit * SCALE


def test_burn_is_rounded_outward() -> None:
    """Three a week of 365 a year: 0.428571 of the limit's rate."""
    days = exact(JANUARY, np.array([3, 0, 0, 0, 0, 0, 0], dtype=np.int64))
    assert burn(days, 365, 7) == Span(428, 429, 429)


@pytest.mark.parametrize(
    ("freedom", "value"), [(1, 3.078), (12, 1.356), (13, 1.350), (30, 1.310), (60, 1.296)]
)
def test_student(freedom: int, value: float) -> None:
    """As printed in tables of Student's t, one-sided 90 %."""
    assert student(freedom) == pytest.approx(value, abs=0.001)


def test_what_is_refused() -> None:
    """The message says what does not fit, with the value."""
    days = level(30)
    with pytest.raises(LandingError, match="2026-02-05"):
        landing(days, at=days.end + 5 * DAY_MS, limit=SCALE)
    with pytest.raises(LandingError, match="-1 is negative"):
        told_of(days, -1)
    with pytest.raises(LandingError, match="30 days from 2025-01-01 is no whole year"):
        told_of(days, SCALE, level(30, year=2025))
    with pytest.raises(LandingError, match="2026 is not earlier than 2026"):
        told_of(days, SCALE, level(365))
    with pytest.raises(LandingError, match="year after"):
        told_of(level(366), SCALE)
    with pytest.raises(LandingError, match="no business midnight"):
        exact(JANUARY + 1, np.zeros(1, dtype=np.int64))
    with pytest.raises(LandingError, match="2026-01-01"):
        level(1, -1)
    with pytest.raises(LandingError, match="one each a day"):
        Days(JANUARY, days.low, days.best[1:], days.high, 0)


def test_the_backtest_of_a_synthetic_year(tmp_path: Path) -> None:
    """The 80 % interval holds near 80 %, and half of the units that break are warned of two weeks before; well under 10 s."""
    plant = read_year(write(tmp_path / "year.csv"))
    draws = np.random.default_rng(3)
    made = [resampled(plant, draws) for _ in range(30)]
    units = [simulated(draws) for _ in range(60)]
    held = coverage([one for year in units for one in monthly(year, history=True)])
    assert 70 <= held <= 90
    assert coverage([one for year in made for one in monthly(year, history=True)]) >= 70
    seen = [
        one
        for year, limit in zip(units, limits(units, draws), strict=True)
        for one in warned(year, limit, history=True)
    ]
    will, may, plain = by_rule(seen)
    assert will.median_days is not None
    assert will.median_days >= 14
    assert will.false_alarms < plain.false_alarms
    assert may.missed <= will.missed


def test_one_seed_is_one_set_of_years() -> None:
    """The same generator gives the same unit."""
    one, other = (simulated(np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one.days.best, other.days.best)


def test_days_before_a_breach() -> None:
    """A unit at twice its limit's rate is warned of from the first look that projects, and passes in the middle of the year."""
    year = Year("plant", level(365), ())
    will, _, plain = warned(year, 180 * SCALE, history=False)
    assert will.crosses
    assert will.days == 180 - 21
    assert plain.days == 180 - 7


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Prints a table or one line of JSON, and the same for the same seed."""
    path = write(tmp_path / "year.csv")
    assert main(["backtest", str(path), "--years", "2"]) == 0
    table = capsys.readouterr().out
    assert "kWh; no earlier year, so calendar pro-rata" in table
    assert "2 simulated years, seasonal" in table
    assert main(["backtest", str(path), "--years", "2", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["kind"] for one in told["tried"]] == ["resampled"] * 2 + ["simulated"] * 2
    assert len(told["plant"]) == 11


def test_a_file_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, and the row or the day that is wrong; 2 for words."""
    path = write(tmp_path / "year.csv")
    whole = path.read_text(encoding="utf-8-sig").splitlines()
    for wrong, said in (
        (whole[:-1], "2018-12-31 has 95 rows of 96"),
        ([*whole, whole[1]], "row 35042: 1/1/2018 00:15 is there twice"),
        ([*whole[:5], "5/13/2018 00:00,1"], "row 6"),
        (whole[:1], "holds no rows"),
        (whole[:97], "1 days"),
    ):
        path.write_text("\n".join(wrong), encoding="utf-8")
        assert main(["backtest", str(path)]) == 1
        assert said in capsys.readouterr().err
    assert main(["backtest", str(tmp_path / "none.csv")]) == 1
    with pytest.raises(FileError, match="cannot be read"):
        read_year(tmp_path / "none.csv")
    with pytest.raises(SystemExit) as left:
        main(["backtest", str(path), "--years", "0"])
    assert left.value.code == 2
