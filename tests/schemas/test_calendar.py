"""Every instant lies in exactly one window of each kind, on the business calendar."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.calendar import (
    BUSINESS,
    KINDS,
    WindowKind,
    business_day,
    instant,
    moment,
    rfc3339,
    window_end,
    window_ends,
    window_start,
    window_starts,
    year_of,
    year_start,
)

instants = st.integers(0, 7_258_118_399_999)
kinds = st.sampled_from(KINDS)


@given(kinds, instants)
def test_an_instant_lies_in_its_window(kind: WindowKind, at: int) -> None:
    """Its start ≤ it < its end; the next window begins where this one ends."""
    start = window_start(kind, at)
    end = window_end(kind, start)
    assert start <= at < end
    assert window_start(kind, start) == start
    assert window_start(kind, end - 1) == start
    assert window_start(kind, end) == end


@given(kinds, instants)
def test_windows_by_the_clock_on_the_wall(kind: WindowKind, at: int) -> None:
    """The window begins where the wall clock at +08:00 says so."""
    wall = moment(at).astimezone(BUSINESS)
    begun = wall.replace(minute=0, second=0, microsecond=0)
    if kind != "hour":
        begun = begun.replace(hour=0)
    if kind in ("month", "year"):
        begun = begun.replace(day=1)
    if kind == "year":
        begun = begun.replace(month=1)
    assert window_start(kind, at) == instant(begun)
    assert business_day(at) == wall.date().isoformat()
    assert year_of(at) == wall.year


@given(instants)
def test_shanghai_has_no_other_time_since_1992(at: int) -> None:
    """The fixed offset is the zone's."""
    when = moment(at)
    if when.year < 1992:
        return
    assert when.astimezone(ZoneInfo("Asia/Shanghai")).utcoffset() == timedelta(hours=8)


@given(kinds, st.lists(instants, max_size=5))
def test_columns_and_single_instants_agree(kind: WindowKind, at: list[int]) -> None:
    """The array form says the same."""
    starts = window_starts(kind, np.array(at, dtype=np.int64))
    assert starts.tolist() == [window_start(kind, one) for one in at]
    assert window_ends(kind, starts).tolist() == [window_end(kind, one) for one in starts.tolist()]


@given(instants)
def test_there_and_back(at: int) -> None:
    """As a moment and as text, every instant comes back."""
    assert instant(moment(at)) == at
    assert instant(datetime.fromisoformat(rfc3339(at))) == at
    assert rfc3339(at).endswith("+08:00")


def test_a_time_without_zone_is_no_instant() -> None:
    """It is refused with a word, and not read as the machine's."""
    with pytest.raises(ValueError, match="offset"):
        instant(datetime(2026, 1, 1))  # noqa: DTZ001 - what is refused


def test_the_business_year_begins_in_the_old_year_of_utc() -> None:
    """Midnight of 1 January at +08:00 is four in the afternoon before."""
    assert moment(year_start(2026)) == datetime(2025, 12, 31, 16, tzinfo=UTC)
