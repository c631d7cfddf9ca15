"""What an entry may change, and what is said of it."""

import pytest

from processors.revision import complaints, counts_otherwise, declared, described
from schemas.registry import Unit
from schemas.section import DECLARED, WITHDRAWN
from tests.processors.worlds import BEGIN, HOUR_MS, moment, point, unit

STORED = unit(point(name="E1", digits=6), point(name="E2", digits=6))


def revised(**told: object) -> Unit:
    """The stored entry, otherwise."""
    return Unit.model_validate(STORED.model_dump() | told)


def with_first(**told: object) -> Unit:
    """Its first point, otherwise."""
    first, second = (point.model_dump() for point in STORED.points)
    return revised(points=[first | told, second])


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        (revised(history=False), "history is True"),
        (revised(points=STORED.points[:1]), "E2 is missing"),
        (with_first(statement="PT15M", digits=None), "statement cannot change"),
        (with_first(name="E3"), "name cannot change"),
        (
            unit(
                *(point(name=n, digits=6, valid_from=moment(BEGIN + HOUR_MS)) for n in ("E1", "E2"))
            ),
            "would begin later",
        ),
    ],
)
def test_what_cannot_change_is_named_with_the_way_out(asked: Unit, word: str) -> None:
    """A line each."""
    assert any(word in line for line in complaints(STORED, asked))


def test_what_may_change() -> None:
    """Multipliers, dials, ends; and a limit is no matter of readings."""
    assert (
        list(complaints(STORED, with_first(multiplier=40, valid_to=moment(BEGIN + HOUR_MS)))) == []
    )
    assert counts_otherwise(STORED, with_first(multiplier=40))
    quota = {"year": 2026, "energy_tce": "1.5", "source": "letter 7"}
    assert not counts_otherwise(STORED, revised(quotas=[quota]))
    assert list(described(STORED, revised(quotas=[quota]))) == [
        f"unit {STORED.code}: 2026: quota none becomes 1.5 tce, at once"
    ]
    assert list(described(STORED, STORED)) == []


def test_declared_registers_follow_the_entry() -> None:
    """Each once; what is declared no more is withdrawn; the same points declare nothing anew."""
    ended = with_first(valid_to=moment(BEGIN + HOUR_MS), closing="12.5")
    assert declared(STORED, ended) == [(0, BEGIN + HOUR_MS, 12_500_000, DECLARED)]
    assert declared(ended, ended) == []
    without = with_first(valid_to=moment(BEGIN + HOUR_MS))
    assert declared(ended, without) == [(0, BEGIN + HOUR_MS, 0, DECLARED | WITHDRAWN)]


def test_meters_of_one_name_follow_one_another() -> None:
    """Two at a time are refused, with the way out."""
    with pytest.raises(ValueError, match="end the first"):
        unit(point(name="E1"), point(name="E1", valid_from=moment(BEGIN + HOUR_MS)))
    with pytest.raises(ValueError, match="needs a valid_to"):
        point(name="E1", closing="5")
    with pytest.raises(ValueError, match="no statement `register`"):
        point(name="E1", statement="PT1H", digits=None, opening="5")
