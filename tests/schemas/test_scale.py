"""Amounts are exact integers, rounded half even once, and say so."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.scale import (
    FLOAT_IS_EXACT_BELOW,
    LARGEST,
    SCALE,
    OutOfRangeError,
    as_decimal,
    as_text,
    scaled,
)

amounts = st.integers(-LARGEST, LARGEST)


@given(amounts)
def test_there_and_back(amount: int) -> None:
    """As text and as Decimal, every amount comes back, unrounded."""
    assert scaled(as_text(amount) or "") == (amount, False)
    assert scaled(as_decimal(amount)) == (amount, False)
    assert "E" not in str(as_decimal(amount))


@given(st.integers(-FLOAT_IS_EXACT_BELOW + 1, FLOAT_IS_EXACT_BELOW - 1))
def test_a_float_of_six_decimals_is_exact(amount: int) -> None:
    """Below 2⁵¹ the float nearest to the text gives the very integer; the doors' quick way."""
    number = float(as_text(amount) or "")
    assert round(number * SCALE) == amount
    assert round(number * SCALE) / SCALE == number


@given(st.decimals(min_value=-(10**12), max_value=10**12, allow_nan=False, allow_infinity=False))
def test_rounded_half_even_once(number: Decimal) -> None:
    """The integer nearest to the exact number; flagged where the two differ."""
    exact = Fraction(number) * SCALE
    assert scaled(number) == (round(exact), round(exact) != exact)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("0.0000005", (0, True), id="half to even, down"),
        pytest.param("0.0000015", (2, True), id="half to even, up"),
        pytest.param("-0.0000025", (-2, True), id="negative"),
        pytest.param("1.0000000", (1_000_000, False), id="zeros are no decimals"),
        pytest.param("1e-40", (0, True), id="next to nothing"),
        pytest.param("1e-9999", (0, True), id="less than that"),
        pytest.param("0", (0, False), id="nothing"),
        pytest.param("4611686018427.387904", (LARGEST, False), id="the largest"),
    ],
)
def test_scaled(text: str, expected: tuple[int, bool]) -> None:
    """The amount, and whether it had to be rounded."""
    assert scaled(text) == expected


@pytest.mark.parametrize(
    "text", ["NaN", "sNaN", "Infinity", "-Infinity", "1e19", "4611686018427.387905", "x", ""]
)
def test_what_is_no_amount(text: str) -> None:
    """Not finite, too large, or no number."""
    with pytest.raises(OutOfRangeError):
        scaled(text)


def test_nothing_has_no_text() -> None:
    """An unknown amount stays unknown."""
    assert as_text(None) is None
    assert as_text(-1_500_000) == "-1.5"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("0.0000005000000000000000000000000000001", (1, True), id="just above a half"),
        pytest.param(
            "1.0000000000000000000000000000000000001", (1_000_000, True), id="a long tail"
        ),
    ],
)
def test_long_numbers_are_rounded_once(text: str, expected: tuple[int, bool]) -> None:
    """However many digits a text has, it is rounded once, and said so."""
    assert scaled(text) == expected
