"""Finding the record that cannot be digested."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from processors.dead_letters import account, culprit
from schemas.section import Record, Tick, Unreadable
from tests.processors.test_engine import UNIT, hour, section


@given(st.integers(1, 200), st.data())
def test_the_culprit_is_the_first_that_cannot_be_borne(count: int, data: st.DataObject) -> None:
    """Wherever it stands, and whatever stands behind it; asked for about log2 times."""
    bad = data.draw(st.sets(st.integers(0, count - 1), min_size=1))
    asked = 0

    def fails(some: Sequence[int]) -> bool:
        nonlocal asked
        asked += 1
        return not bad.isdisjoint(some)

    assert culprit(range(count), fails) == min(bad)
    assert asked <= count.bit_length()


def test_a_dead_letter_is_accounted_for() -> None:
    """Every reading of it as rejected; a payload that nobody could read as one."""
    said = section(hour(0), hour(1), hour(2))
    lost = Unreadable(UNIT.code, said.received_at, "", b"", 0, "")
    ((key, counts),) = account(Record("door", 1, 0, (said, lost))).items()
    assert key[0] == UNIT.code
    assert counts == (0, 0, 0, 4, 0)
    assert account(Record("door", 1, 0, Tick(0))) == {}
