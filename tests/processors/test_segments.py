"""Winners to pieces, in columns and one by one: RULES section 3."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.segments import (
    Ordered,
    Piece,
    continued,
    lift_piece,
    period_lengths,
    register_chain,
    timeline,
)
from processors.state import State
from processors.windows import KNOWN, LIFT, UNKNOWN, Pieces
from schemas.calendar import HOUR_MS, QUARTER_MS
from tests.processors.laws_shell import state_of
from tests.processors.worlds import BEGIN, DAY_MS, MINUTE, point, unit

KWH = 10**6


def rows(part: Pieces) -> list[Piece]:
    """Pieces one by one."""
    columns = (part.point, part.start, part.end, part.kind, part.low, part.high, part.until)
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def after(state: State, *readings: tuple[int, int]) -> tuple[list[Piece], list[str]]:
    """Pieces and kinds of gaps of readings (minutes after validity began, value) of one point."""
    at = np.array([BEGIN + minutes * MINUTE for minutes, _ in readings], np.int64)
    value = np.array([value for _, value in readings], np.int64)
    part, gaps = continued(state, Ordered(np.zeros(len(at), np.int64), at, value))
    return rows(part), [gap.kind for gap in gaps]


@pytest.mark.parametrize(
    ("registers", "minutes", "expected", "gap"),
    [
        pytest.param((100, 140), 60, (KNOWN, 40, 40), [], id="a plain hour"),
        pytest.param((990, 30), 60, (KNOWN, 40, 40), [], id="the dial rolls over"),
        pytest.param((100, 99), 60, (UNKNOWN, 0, 0), ["event"], id="it falls: 999 in an hour"),
        pytest.param((100, 200), 60, (KNOWN, 100, 100), [], id="as fast as rated"),
        pytest.param((100, 201), 60, (UNKNOWN, 0, 0), ["event"], id="faster than rated"),
        pytest.param((100, 140), 900, (KNOWN, 40, 1040), ["known"], id="once round, or not"),
        pytest.param((100, 99), 900, (KNOWN, 999, 999), ["known"], id="just not once round"),
        pytest.param((100, 140), 120, (KNOWN, 40, 40), ["known"], id="too long for hours"),
        pytest.param((100, 100), 30, (KNOWN, 0, 0), [], id="nothing passed"),
    ],
)
def test_between_two_registers(
    registers: tuple[int, int], minutes: int, expected: tuple[int, int, int], gap: list[str]
) -> None:
    """At most 100 an hour on a dial of 1,000; (kind, low, high) of the piece after the first."""
    readings = [(0, registers[0] * KWH), (minutes, registers[1] * KWH)]
    pieces, gaps = after(state_of(unit(point())), *readings)
    kind, low, high = expected
    end = BEGIN + minutes * MINUTE
    assert pieces == [(0, BEGIN, end, kind, low * KWH, high * KWH, end)]
    assert gaps == gap


def test_a_multiplier_counts_for_the_register_and_its_dial() -> None:
    """From 990 to 30 on a dial that is worth forty times what it shows."""
    state = state_of(unit(point(multiplier=40, rated_per_hour="1600")))
    pieces, _ = after(state, (0, 990 * KWH), (60, 30 * KWH))
    assert [piece[4:6] for piece in pieces] == [(1600 * KWH, 1600 * KWH)]


def test_time_before_the_first_register_is_unknown() -> None:
    """Expectation starts at the point's validity, never at its first reading."""
    pieces, gaps = after(state_of(unit(point())), (30, 5 * KWH))
    end = BEGIN + 30 * MINUTE
    assert (pieces, gaps) == ([(0, BEGIN, end, UNKNOWN, 0, 0, end)], ["leading"])


def test_holes_between_periods_are_unknown() -> None:
    """An hour, two that are missing, and an hour."""
    state = state_of(unit(point(statement="PT1H", digits=None)))
    pieces, _ = after(state, (0, 5 * KWH), (180, 7 * KWH))
    expected = [(0, 1, KNOWN, 5), (1, 3, UNKNOWN, 0), (3, 4, KNOWN, 7)]
    assert [
        ((start - BEGIN) // HOUR_MS, (end - BEGIN) // HOUR_MS, kind, low // KWH)
        for _, start, end, kind, low, _, _ in pieces
    ] == expected
    assert int(state.end[0]) == BEGIN + 4 * HOUR_MS


def test_a_month_ends_with_the_calendar() -> None:
    """April has thirty days, May one more."""
    state = state_of(unit(point(statement="P1M", digits=None)))
    april, may, june = (BEGIN + days * DAY_MS for days in (22, 52, 83))
    assert period_lengths(state, 0, [april, may]) == {april: may, may: june}


def test_a_lift_is_what_the_claim_exceeds() -> None:
    """A quarter hour of 40 where 25 can pass lifts high by 15, in the hour in which it begins."""
    state = state_of(unit(point(statement="PT15M", digits=None)))
    lift = lift_piece(state, 0, (BEGIN, BEGIN + QUARTER_MS), 40 * KWH)
    assert lift == (0, BEGIN, BEGIN + 1, LIFT, 0, 15 * KWH, BEGIN + 1)


steps = st.lists(
    st.tuples(st.sampled_from([1, MINUTE, QUARTER_MS, HOUR_MS, 11 * HOUR_MS]), st.integers(0, 999)),
    min_size=1,
    max_size=12,
)


@given(steps, st.integers(1, 12))
def test_columns_say_what_one_by_one_says(said: list[tuple[int, int]], cut: int) -> None:
    """Registers in order, in one go or in two, make the pieces and gaps of the whole chain."""
    at = BEGIN + np.cumsum([step for step, _ in said])
    value = np.array([register * KWH for _, register in said], np.int64)
    state = state_of(unit(point()))
    found, gaps = [], []
    for some in (slice(0, cut), slice(cut, None)):
        if len(at[some]):
            zero = np.zeros(len(at[some]), np.int64)
            part, more = continued(state, Ordered(zero, at[some], value[some]))
            found, gaps = found + rows(part), gaps + more
    winners = list(zip(at.tolist(), value.tolist(), strict=True))
    chain, expected = register_chain(state_of(unit(point())), 0, winners, leading=True)
    assert (sorted(found), sorted(gaps, key=str)) == (chain, sorted(expected, key=str))


@given(st.sets(st.integers(0, 12), min_size=1), st.integers(0, 12))
def test_columns_of_periods_say_what_one_by_one_says(hours: set[int], cut: int) -> None:
    """Hours in order, with holes, make the pieces of the whole timeline."""
    told = point(statement="PT1H", digits=None)
    state, found = state_of(unit(told)), []
    starts = [BEGIN + hour * HOUR_MS for hour in sorted(hours)]
    for some in (starts[:cut], starts[cut:]):
        if some:
            at = np.array(some, np.int64)
            part, _ = continued(state, Ordered(np.zeros(len(at), np.int64), at, at % 97))
            found += rows(part)
    winners = {at: at % 97 for at in starts}
    ends = period_lengths(state, 0, starts)
    assert sorted(found) == timeline(0, winners, ends, (BEGIN, starts[-1] + HOUR_MS))
