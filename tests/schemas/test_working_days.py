"""Working time passes on working days alone, by the notices of the State Council's General Office."""

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.calendar import BUSINESS, DAY_MS, HOUR_MS, instant
from schemas.working_days import WorkingDaysError, read_working_days

CALENDAR = read_working_days()
YEAR = st.integers(instant(datetime(2026, 1, 1, tzinfo=BUSINESS)), instant(datetime(2026, 12, 1, tzinfo=BUSINESS)))  # fmt: skip


def at(text: str) -> int:
    return instant(datetime.fromisoformat(text + "+08:00"))


@pytest.mark.parametrize(
    ("day", "working"),
    [
        pytest.param(date(2026, 2, 14), True, id="a Saturday made up for"),
        pytest.param(date(2026, 2, 16), False, id="a Monday of the Spring Festival"),
        pytest.param(date(2026, 10, 1), False, id="National Day"),
        pytest.param(date(2026, 11, 21), False, id="a Saturday"),
        pytest.param(date(2026, 11, 23), True, id="a Monday"),
        pytest.param(date(2031, 10, 1), True, id="a year without a notice: Monday to Friday"),
    ],
)
def test_days(day: date, working: bool) -> None:  # noqa: FBT001 - a table's column
    """Weekday, but for holidays and the days made up for."""
    assert CALENDAR.is_working(day) is working


def test_a_working_day_over_a_holiday() -> None:
    """From the last day before the Spring Festival (a worked Saturday) a day ends on the 24th."""
    assert CALENDAR.after(at("2026-02-14T12:00"), DAY_MS) == at("2026-02-24T12:00")
    assert CALENDAR.after(at("2026-11-20T12:00"), 8 * HOUR_MS) == at("2026-11-20T20:00")
    assert not CALENDAR.knows(date(2031, 1, 1))


def test_2026_has_its_days() -> None:
    """The notice: 33 days off, 6 made up for; so 248 working days of 365, of 261 weekdays."""
    (year,) = (one for one in CALENDAR.years if one.year == 2026)
    assert (len(year.free()), len(year.working), year.status) == (33, 6, "sourced")
    days = [date.fromordinal(date(2026, 1, 1).toordinal() + n) for n in range(365)]
    assert sum(CALENDAR.is_working(day) for day in days) == 248


@given(YEAR, st.integers(1, 20 * DAY_MS))
def test_an_end_has_that_much_behind_it(begin: int, length: int) -> None:
    """`after` is the inverse of `between`, and the first such instant."""
    end = CALENDAR.after(begin, length)
    assert CALENDAR.between(begin, end) == length
    assert CALENDAR.between(begin, end - 1) == length - 1


@given(YEAR, st.integers(0, 9 * DAY_MS), st.integers(0, 9 * DAY_MS))
def test_parts_add_up(begin: int, first: int, second: int) -> None:
    """Working time is additive over any split."""
    middle, end = begin + first, begin + first + second
    whole = CALENDAR.between(begin, end)
    assert CALENDAR.between(begin, middle) + CALENDAR.between(middle, end) == whole


def test_what_is_wrong_is_said() -> None:
    """A worked day that no weekend has is refused by name."""
    text = '[[years]]\nyear = 2026\nsource = "x"\nstatus = "unverified"\nholidays = []\nworking = [2026-11-23]'
    with pytest.raises(WorkingDaysError, match="2026-11-23 is no weekend day"):
        read_working_days(text)
