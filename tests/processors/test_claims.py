"""One identity's claims: classes on arrival and the winner, RULES section 2."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.claims import ACCEPTED, REJECTED, REPEATED, SUPERSEDED, Arrival, Identity
from schemas.section import NEVER

AT = 1_000


def claim(value: int, rank: int = 5, revision: int = 0, sent_at: int = NEVER) -> Arrival:
    """A claim with a value."""
    return Arrival(AT, rank, revision, sent_at, value, withdrawn=False, too_fast=False)


def withdrawal(rank: int = 5, revision: int = 0, sent_at: int = NEVER) -> Arrival:
    """A claim without one."""
    return Arrival(AT, rank, revision, sent_at, 0, withdrawn=True, too_fast=False)


def too_fast(value: int) -> Arrival:
    """An amount that was rejected."""
    return Arrival(AT, 5, 0, NEVER, value, withdrawn=False, too_fast=True)


def identity(*arrivals: Arrival) -> Identity:
    """What these come to."""
    found = Identity()
    for arrival in arrivals:
        found.take(arrival)
    return found


@pytest.mark.parametrize(
    ("claims", "winner"),
    [
        pytest.param([claim(1, rank=4, revision=9), claim(2)], 2, id="rank before revision"),
        pytest.param([claim(1, sent_at=9), claim(2, revision=1)], 2, id="revision before sent_at"),
        pytest.param([claim(3), claim(2, sent_at=1)], 2, id="a sent_at is after none"),
        pytest.param([claim(3, sent_at=1), claim(2, sent_at=2)], 2, id="the later sent"),
        pytest.param([claim(1), claim(2)], 2, id="at last the greater value"),
        pytest.param([claim(1), withdrawal()], None, id="withdrawn"),
        pytest.param([claim(1, revision=1), withdrawal()], 1, id="a withdrawal of an older one"),
        pytest.param([claim(1, rank=4), claim(2), withdrawal()], 1, id="of its own rank only"),
        pytest.param([too_fast(9)], None, id="what was rejected never wins"),
    ],
)
def test_the_winner(claims: list[Arrival], winner: int | None) -> None:
    """In whatever order they come."""
    for order in permutations(claims):
        assert identity(*order).winner() == winner


@pytest.mark.parametrize(
    ("before", "arrival", "expected"),
    [
        pytest.param([], claim(1), ACCEPTED, id="the first"),
        pytest.param([claim(1)], claim(1), REPEATED, id="the same again"),
        pytest.param([claim(2), claim(1)], claim(1), REPEATED, id="a superseded one again"),
        pytest.param([claim(2)], claim(1), SUPERSEDED, id="it does not win"),
        pytest.param([withdrawal()], claim(1), SUPERSEDED, id="withdrawn before it came"),
        pytest.param([claim(1), withdrawal()], claim(1), REPEATED, id="a withdrawn one again"),
        pytest.param([claim(1)], withdrawal(), ACCEPTED, id="a withdrawal"),
        pytest.param([], withdrawal(), ACCEPTED, id="a withdrawal of nothing"),
        pytest.param([withdrawal()], withdrawal(), REPEATED, id="a withdrawal again"),
        pytest.param([claim(1)], too_fast(9), REJECTED, id="rejected"),
    ],
)
def test_the_class_on_arrival(before: list[Arrival], arrival: Arrival, expected: int) -> None:
    """By what came before."""
    assert identity(*before).take(arrival) == expected


@pytest.mark.parametrize(
    ("claims", "lift"),
    [
        pytest.param([claim(1)], None, id="nothing was too fast"),
        pytest.param([too_fast(7), too_fast(9), too_fast(8)], 9, id="the greatest"),
        pytest.param([too_fast(9), claim(1)], None, id="a winner covers it"),
        pytest.param([too_fast(9), claim(1), withdrawal()], 9, id="not any more"),
    ],
)
def test_what_lifts_high(claims: list[Arrival], lift: int | None) -> None:
    """A claim that was too fast, while no winner covers its identity, in whatever order."""
    for order in permutations(claims):
        assert identity(*order).lift() == lift


arrivals = st.lists(
    st.one_of(
        st.builds(claim, *[st.integers(0, 2)] * 3, st.sampled_from([NEVER, 0, 1])),
        st.builds(withdrawal, *[st.integers(0, 2)] * 2, st.sampled_from([NEVER, 0, 1])),
        st.builds(too_fast, st.integers(3, 5)),
    ),
    max_size=6,
)


@given(arrivals, st.randoms())
def test_order_and_repetition_decide_nothing(claims: list[Arrival], order: object) -> None:
    """Winner and lift are those of the set of claims, however often and in which order they come."""
    again = [*claims, *claims]
    order.shuffle(again)  # type: ignore[attr-defined]
    one, other = identity(*claims), identity(*again)
    assert (one.winner(), one.lift()) == (other.winner(), other.lift())
