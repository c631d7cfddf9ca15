"""From pieces to hours, by addition alone: what was put in can be taken out."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.memory import MemoryStore, drive
from processors.segments import Piece
from processors.state import (
    H_BEST,
    H_INEXACT,
    H_MEASURED,
    H_UNKNOWN_BEST,
    H_UNKNOWN_HIGH,
    KEY_BITS,
    State,
)
from processors.windows import (
    KNOWN,
    LIFT,
    UNKNOWN,
    apply,
    change_of,
    ensure,
    open_windows,
    pieces,
)
from schemas.calendar import HOUR_MS, QUARTER_MS
from tests.processors.laws_shell import state_of
from tests.processors.worlds import BEGIN, MINUTE, point, unit

KWH = 10**6


def opened() -> State:
    """A unit of two points, with the windows of its first hours open."""
    state = state_of(unit(point(), point(name="P1", rated_per_hour="37.5")))
    drive(open_windows(state, np.array([0]), np.array([BEGIN + HOUR_MS])), MemoryStore())  # type: ignore[arg-type]
    return state


def put(state: State, found: list[Piece], sign: int = 1) -> None:
    """Add these pieces, or take them out."""
    change = change_of(state, pieces(found))
    drive(ensure(state, change.keys), MemoryStore())  # type: ignore[arg-type]
    apply(state, change, sign)


def hour_row(state: State, hour: int) -> dict[str, int]:
    """What rests of an hour after validity began."""
    carrier = int(state.p_carrier[0])
    key = carrier << KEY_BITS | (BEGIN // HOUR_MS + hour)
    row = state.hot_rows[np.searchsorted(state.hot_keys, key)]
    columns = {
        "best": H_BEST,
        "unknown_best": H_UNKNOWN_BEST,
        "unknown_high": H_UNKNOWN_HIGH,
        "measured": H_MEASURED,
        "inexact": H_INEXACT,
    }
    return {name: int(row[column]) for name, column in columns.items() if row[column]}


@pytest.mark.parametrize(
    ("kind", "minutes", "amount", "hours"),
    [
        pytest.param(
            KNOWN, (0, 60), 40 * KWH, [{"best": 40 * KWH, "measured": HOUR_MS}, {}], id="one hour"
        ),
        pytest.param(
            KNOWN,
            (30, 90),
            40 * KWH,
            [{"best": 20 * KWH, "measured": HOUR_MS // 2, "inexact": HOUR_MS // 2}] * 2,
            id="over an edge: half in each, and both inexact",
        ),
        pytest.param(
            UNKNOWN,
            (30, 60),
            0,
            [
                {
                    "best": 25 * KWH,
                    "unknown_best": 25 * KWH,
                    "unknown_high": 50 * KWH,
                    "inexact": HOUR_MS // 2,
                },
                {},
            ],
            id="unknown: half of what can pass, at most all",
        ),
        pytest.param(
            LIFT, (0, 0), 15 * KWH, [{"unknown_high": 15 * KWH, "inexact": 1}, {}], id="a lift"
        ),
    ],
)
def test_what_a_piece_adds_to_its_hours(
    kind: int, minutes: tuple[int, int], amount: int, hours: list[dict[str, int]]
) -> None:
    """One piece, and the rows of two hours."""
    start, end = (BEGIN + minute * MINUTE for minute in minutes)
    end = max(end, start + 1)
    low = 0 if kind == LIFT else amount
    state = opened()
    put(state, [(0, start, end, kind, low, amount, end)])
    put(state, [(1, BEGIN + 5 * HOUR_MS, BEGIN + 6 * HOUR_MS, KNOWN, 0, 0, BEGIN + 6 * HOUR_MS)])
    assert hour_row(state, 0) == hours[0]
    if hours[1]:
        assert hour_row(state, 1) == hours[1]


drawn = st.builds(
    lambda p, start, length, kind, low, more: (
        p,
        BEGIN + start,
        BEGIN + start + length,
        kind,
        0 if kind == UNKNOWN else low,
        0 if kind == UNKNOWN else low + more,
        BEGIN + start + length,
    ),
    st.integers(0, 1),
    st.integers(0, 30 * HOUR_MS),
    st.sampled_from([1, QUARTER_MS, HOUR_MS, 7 * HOUR_MS + 1]),
    st.sampled_from([KNOWN, UNKNOWN]),
    st.integers(0, 100 * KWH),
    st.sampled_from([0, 0, 1000 * KWH]),
)


@given(st.lists(drawn, max_size=6), st.lists(drawn, min_size=1, max_size=6))
def test_what_was_put_in_can_be_taken_out(stay: list[Piece], go: list[Piece]) -> None:
    """Hours and open windows are as if the pieces had never been."""
    without, state = opened(), opened()
    put(without, stay)
    put(state, [*go, *stay])
    put(state, go, -1)
    rows = dict(zip(state.hot_keys.tolist(), state.hot_rows.tolist(), strict=True))
    expected = dict(zip(without.hot_keys.tolist(), without.hot_rows.tolist(), strict=True))
    assert {key: row for key, row in rows.items() if any(row)} == {
        key: row for key, row in expected.items() if any(row)
    }
    assert (state.acc == without.acc).all()
