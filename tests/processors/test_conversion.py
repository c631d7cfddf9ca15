"""One multiplication, one rounding, and never a silent overflow: RULES section 5."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.conversion import converted, converted_down, converted_up
from processors.rates import FIRST_YEAR, TARGETS
from schemas.quantities import QUANTITIES
from schemas.registry import CARRIERS
from tests.processors.laws_shell import PACK

amounts = st.integers(-(10**15), 10**15)
ratios = st.sampled_from(
    [
        Fraction(factor.numerator, factor.denominator)
        for carrier in CARRIERS
        for target in TARGETS
        for year in (FIRST_YEAR, 2026)
        for factor in [PACK.factor(carrier, target, year)]  # type: ignore[arg-type]
    ]
    + [Fraction(1, 2), Fraction(3, 4), Fraction(5)]
)


@given(amounts, ratios)
def test_conversions_are_exact(amount: int, ratio: Fraction) -> None:
    """Rounded half to even, down and up, once each, as fractions have it."""
    columns = (np.array([n], np.int64) for n in (amount, ratio.numerator, ratio.denominator))
    a, n, d = columns
    assert converted(a, n, d).tolist() == [round(amount * ratio)]
    assert converted_down(a, n, d).tolist() == [math.floor(amount * ratio)]
    assert converted_up(a, n, d).tolist() == [math.ceil(amount * ratio)]


def test_what_does_not_fit_is_an_error() -> None:
    """Beyond 64 bits there is no figure rather than a wrong one."""
    column = np.array([2**62], np.int64)
    with pytest.raises(OverflowError, match="4611686018427387904"):
        converted(column, np.array([3], np.int64), np.array([1], np.int64))


def test_every_carrier_has_its_factors() -> None:
    """What counts as energy can be converted, and nothing else is."""
    assert set(CARRIERS) == set(QUANTITIES) - {"output", "material"}
