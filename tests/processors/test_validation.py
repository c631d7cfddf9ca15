"""Rejections, by the reading alone, and the first reason that holds: RULES section 2."""

import numpy as np
import pytest

from processors.ports import Ints
from processors.validation import REASONS, Readings, reasons
from schemas.calendar import HOUR_MS, QUARTER_MS, moment
from schemas.registry import STATEMENTS
from schemas.section import NEVER, WITHDRAWN
from tests.processors.laws_shell import state_of
from tests.processors.worlds import BEGIN, DAY_MS, MINUTE, point, unit

REGISTER = point(name="R", valid_to=moment(BEGIN + 3 * DAY_MS), others=("P1D",))
PERIOD = point(name="Q", statement="PT15M", digits=None, anchor_ms=7 * MINUTE)
MONTH = point(name="M", statement="P1M", digits=None)
GOOD = {
    "point": 0,
    "statement": 0,
    "unit_of_measure": 0,
    "at": BEGIN + HOUR_MS,
    "value": 5 * 10**6,
    "sent_at": NEVER,
    "flags": 0,
    "received_at": BEGIN + 2 * HOUR_MS,
}
Q = {"point": 1, "statement": 1, "at": BEGIN + 7 * MINUTE}
DAY = {"statement": STATEMENTS.index("P1D"), "received_at": BEGIN + 5 * DAY_MS}


def reason(told: dict[str, int], *, live: bool = False) -> str:
    """Why a reading is rejected; "" where it is not."""
    columns: dict[str, Ints] = {
        name: np.array([value], np.int64) for name, value in (GOOD | told).items()
    }
    zero = np.zeros(1, np.int64)
    rest = {"unit": zero, "expected_unit_of_measure": zero, "rank": zero, "revision": zero}
    state = state_of(unit(REGISTER, PERIOD, MONTH, history=not live, horizon_days=1))
    code, _ = reasons(state, Readings(**columns, **rest))
    return REASONS[int(code[0])]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param({}, "", id="nothing against it"),
        pytest.param({"point": -1}, "unknown point", id="no such point"),
        pytest.param({"statement": 2}, "unknown statement", id="not among the point's"),
        pytest.param({"statement": 9}, "unknown statement", id="no statement at all"),
        pytest.param({"unit_of_measure": -1}, "wrong unit of measure", id="another unit"),
        pytest.param({"at": BEGIN}, "", id="valid from its first instant"),
        pytest.param({"at": BEGIN - 1}, "outside validity", id="before validity"),
        pytest.param(
            {"at": BEGIN + 3 * DAY_MS, "received_at": BEGIN + 3 * DAY_MS},
            "",
            id="a register at the very end of validity",
        ),
        pytest.param({"at": BEGIN + 3 * DAY_MS + 1}, "outside validity", id="after validity"),
        pytest.param(DAY | {"at": BEGIN + 2 * DAY_MS}, "", id="a day up to the end"),
        pytest.param(
            DAY | {"at": BEGIN + 3 * DAY_MS}, "outside validity", id="a day after the end"
        ),
        pytest.param({"at": BEGIN + 2 * HOUR_MS + 5 * MINUTE}, "", id="clocks differ a little"),
        pytest.param({"at": BEGIN + 2 * HOUR_MS + 5 * MINUTE + 1}, "future", id="not yet"),
        pytest.param({"sent_at": BEGIN + 3 * HOUR_MS}, "future", id="sent after it came"),
        pytest.param(Q | {"received_at": BEGIN}, "future", id="a period that has not ended"),
        pytest.param(Q, "", id="on the point's own grid"),
        pytest.param(Q | {"at": BEGIN + QUARTER_MS}, "off grid", id="on another grid"),
        pytest.param(DAY | {"at": BEGIN + HOUR_MS}, "off grid", id="a day from one o'clock"),
        pytest.param({"value": -1}, "negative", id="below zero"),
        pytest.param({"value": 10**9 - 1}, "", id="the dial's last"),
        pytest.param({"value": 10**9}, "beyond dial", id="beyond the dial"),
        pytest.param(Q | {"value": 25 * 10**6}, "", id="as much as can pass"),
        pytest.param(Q | {"value": 25 * 10**6 + 1}, "faster than rated", id="more than can pass"),
        pytest.param({"value": -1, "flags": WITHDRAWN}, "", id="a withdrawal has no value"),
        pytest.param(
            {"at": BEGIN - 1, "value": -1, "unit_of_measure": -1},
            "wrong unit of measure",
            id="the first reason of three",
        ),
    ],
)
def test_the_first_reason_that_holds(told: dict[str, int], expected: str) -> None:
    """A register reading of an hour ago, but for what is told."""
    assert reason(told) == expected


@pytest.mark.parametrize(
    ("live", "late", "expected"),
    [
        pytest.param(True, 0, "", id="at its horizon"),
        pytest.param(True, 1, "too old", id="beyond it"),
        pytest.param(False, 1, "", id="history has no horizon"),
    ],
)
def test_the_horizon(live: bool, late: int, expected: str) -> None:  # noqa: FBT001 - a table
    """A live unit takes nothing that was said more than its horizon ago."""
    received_at = BEGIN + HOUR_MS + DAY_MS + late
    assert reason({"received_at": received_at}, live=live) == expected


def test_months_begin_on_the_calendar() -> None:
    """A month is on its grid at the business month's first instant only."""
    april = BEGIN + 22 * DAY_MS
    told = {"point": 2, "statement": STATEMENTS.index("P1M"), "received_at": BEGIN + 90 * DAY_MS}
    assert reason(told | {"at": april}) == ""
    assert reason(told | {"at": april + DAY_MS}) == "off grid"


def test_an_engine_without_units() -> None:
    """Where nobody is registered, every point is unknown."""
    none = np.empty(0, np.int64)
    code, series = reasons(state_of(), Readings(*[none] * 12))
    assert len(code) == len(series) == 0
