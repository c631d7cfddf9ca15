"""A stream says of a tariff: projected to fall in step n, and that this is no tariff."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.formula import UNKNOWN, Interval
from processors.limits import Actual
from processors.tariffs import projected_step, projected_step_over, step_of
from schemas.pack_entries import Tariff
from schemas.pack_reading import our_packs
from schemas.scale import SCALE

TARIFFS = {held.entry.id: held.entry for held in our_packs().of(Tariff)}
LADDER = TARIFFS["tariff.aluminium.2025"]
OLDER = TARIFFS["tariff.aluminium.2013"]
PUNITIVE = TARIFFS["tariff.punitive"]


def between(low: str, high: str | None) -> Actual:
    first = int(Fraction(low) * SCALE)
    return Actual(first, first, None if high is None else int(Fraction(high) * SCALE))


@pytest.mark.parametrize(
    ("tariff", "value", "step"),
    [
        pytest.param(LADDER, "13300", 0, id="at the threshold"),
        pytest.param(LADDER, "13300.000001", 1, id="a step is started"),
        pytest.param(LADDER, "13320", 1, id="twenty above"),
        pytest.param(LADDER, "13321", 2, id="the next is started"),
        pytest.param(LADDER, "13400", 5, id="a hundred above"),
        pytest.param(OLDER, "13700", 0, id="older ladder: none"),
        pytest.param(OLDER, "13800", 1, id="older ladder: first"),
        pytest.param(OLDER, "13801", 2, id="older ladder: second"),
        pytest.param(PUNITIVE, "100", 1, id="just doubled"),
        pytest.param(PUNITIVE, "100.1", 2, id="more than doubled"),
    ],
)
def test_step_of(tariff: Tariff, value: str, step: int) -> None:
    """Each started step counts; an edge just reached does not."""
    assert step_of(tariff, Fraction(value)) == step


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        pytest.param("13200", "13300", "projected to fall in no step of", id="none"),
        pytest.param("13330", "13335", "projected to fall in step 2 of", id="one"),
        pytest.param("13290", "13335", "projected to fall in step 0 to 2 of", id="some"),
        pytest.param("13335", None, "projected to fall in step 2 or higher of", id="open"),
    ],
)
def test_what_is_said(low: str, high: str | None, said: str) -> None:
    """Marked as a projection, and as unverified where the steps are."""
    told = str(projected_step(LADDER, between(low, high)))
    assert told.startswith(said)
    assert (
        "a projection, no tariff: annual verified figures decide, and the price authority" in told
    )
    assert told.endswith("the steps themselves are unverified)")


def test_per_cent_over_the_limit() -> None:
    """An interval of the limit widens the steps; a limit of 0 or below has no per cent."""
    limit = Interval.of(50)
    assert str(projected_step_over(PUNITIVE, between("60", "60"), limit)).startswith(
        "projected to fall in step 1 of"
    )
    told = projected_step_over(
        PUNITIVE, between("99", "101"), Interval(Fraction(50), Fraction(50), Fraction(99))
    )
    assert told is not None
    assert (told.lowest, told.highest) == (0, 2)
    assert projected_step_over(PUNITIVE, between("60", "60"), Interval.of(-12)) is None
    assert projected_step_over(PUNITIVE, between("60", "60"), UNKNOWN) is None
    assert projected_step(LADDER, Actual(None, None, None)).lowest == 0


@given(
    st.sampled_from(sorted(TARIFFS)), st.integers(0, 20_000 * SCALE), st.integers(0, 100 * SCALE)
)
def test_more_energy_is_never_a_lower_step(name: str, value: int, more: int) -> None:
    """Steps rise with the value."""
    low, high = (Fraction(one, SCALE) for one in (value, value + more))
    assert step_of(TARIFFS[name], low) <= step_of(TARIFFS[name], high)
