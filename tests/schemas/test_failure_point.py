"""A named point is due from the counted time on; others never are."""

import pytest

from schemas.failure_point import FailurePoint


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param("", "....", id="none"),
        pytest.param("here", "xxxx", id="from the first time on"),
        pytest.param("here:3", "..xx", id="from the third"),
        pytest.param("there:1", "....", id="another"),
    ],
)
def test_a_point_is_due(wanted: str, expected: str) -> None:
    """Each character is one time `here` was passed."""
    point = FailurePoint(wanted)
    assert "".join("x" if point.is_due("here") else "." for _ in expected) == expected


def test_who_was_stopped_goes_on() -> None:
    """Frozen at a point and thawed, a process must not freeze there for ever."""
    point = FailurePoint("here")
    assert point.is_due("here")
    point.disarm()
    assert not point.is_due("here")
    assert not point.is_due("")
