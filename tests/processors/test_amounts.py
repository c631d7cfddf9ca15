"""Exact amounts in 64 bits are those of whole numbers without a limit: RULES sections 1, 3, 4."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.amounts import allowed, bounds_of_part, spread, staircase, weighted_staircase
from processors.ports import Ints
from schemas.calendar import HOUR_MS, year_start
from schemas.registry import RATED_LIMIT

rates = st.one_of(st.integers(1, RATED_LIMIT), st.sampled_from([1, HOUR_MS, RATED_LIMIT]))
instants = st.integers(year_start(2000), year_start(2074))
amounts = st.integers(0, RATED_LIMIT * 24 * 31)


def ints(*values: int) -> Ints:
    """A column."""
    return np.array(values, np.int64)


@given(st.lists(st.tuples(rates, instants), min_size=1, max_size=4))
def test_the_staircases(rows: Sequence[tuple[int, int]]) -> None:
    """R(t) = floor(rated · t / 1 h) and H(t) = floor(rated · t / 2 h)."""
    rated, at = (ints(*column) for column in zip(*rows, strict=True))
    assert staircase(rated, at).tolist() == [r * t // HOUR_MS for r, t in rows]
    assert (staircase(rated, at) >> 1).tolist() == [r * t // (2 * HOUR_MS) for r, t in rows]
    assert (weighted_staircase(rated, 50 * at) == staircase(rated, at) >> 1).all()


@given(rates, st.tuples(instants, instants, instants).map(sorted))
def test_what_is_allowed_is_additive(rated: int, times: Sequence[int]) -> None:
    """allowed(a, b) + allowed(b, c) = allowed(a, c)."""
    a, b, c = (ints(at) for at in times)
    rate = ints(rated)
    assert allowed(rate, a, b) + allowed(rate, b, c) == allowed(rate, a, c)


@given(amounts, instants, st.integers(1, 400 * 24 * HOUR_MS), st.floats(0, 1))
def test_an_amount_is_spread_evenly(low: int, start: int, length: int, share: float) -> None:
    """G(t) = floor(low · (t − a) / (b − a)), also where the product does not fit 64 bits."""
    at = start + int(length * share)
    found = spread(ints(low), ints(start), ints(start + length), ints(at))
    assert found.tolist() == [low * (at - start) // length]


@pytest.mark.parametrize(
    ("part", "low", "high"),
    [
        pytest.param((0, 4), 250, 350, id="the whole piece"),
        pytest.param((0, 2), 50, 200, id="its beginning: 200 may have come after"),
        pytest.param((3, 4), 0, 100, id="its end: 300 may have come before"),
        pytest.param((1, 4), 150, 300, id="100 may have come before"),
        pytest.param((1, 3), 50, 200, id="200 may have come on both sides"),
    ],
)
def test_the_bounds_of_a_part(part: tuple[int, int], low: int, high: int) -> None:
    """Of 250 to 350 in four hours at 100 an hour; the part by hours of the piece."""
    hours = [ints(hour * HOUR_MS) for hour in (0, 4, *part)]
    whole, cut = (hours[0], hours[1]), (hours[2], hours[3])
    found = bounds_of_part(ints(250), ints(350), ints(100), whole, cut)
    assert [bound.tolist() for bound in found] == [[low], [high]]
