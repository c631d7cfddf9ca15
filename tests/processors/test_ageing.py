"""What may go by its age, and what stays although it is old."""

from datetime import date

import pytest

from processors.ageing import Chunk, Hold, Need, chunks_to_drop, cutoff, first_need, horizon_need
from schemas.calendar import DAY_MS, year_start

TODAY = date(2026, 11, 23)
OLD = Chunk("c", date(2024, 1, 4), date(2024, 1, 11), date(2024, 1, 4), 1)
NEED = Need(date(2026, 1, 1), "the year")


@pytest.mark.parametrize(
    ("chunk", "need", "holds", "why"),
    [
        pytest.param(OLD, NEED, [], None, id="old, and nobody needs it"),
        pytest.param(OLD, Need(date(2024, 1, 10), "a gap"), [], "needed by a gap", id="a gap"),
        pytest.param(OLD, Need(date(2024, 1, 11), "a gap"), [], None, id="a gap begins behind it"),
        pytest.param(
            Chunk("c", OLD.first, OLD.after, date(2026, 11, 1), 1),
            NEED,
            [],
            "begun on 2026-11-01",
            id="imported this month",
        ),
        pytest.param(
            OLD,
            NEED,
            [Hold(date(2024, 1, 10), date(2024, 1, 10), "unit x")],
            "held for unit x",
            id="its last day is held",
        ),
        pytest.param(
            OLD, NEED, [Hold(date(2024, 1, 11), None, "unit x")], None, id="held from the next day"
        ),
        pytest.param(
            OLD,
            NEED,
            [Hold(date(2020, 1, 1), None, "region r")],
            "held for region r",
            id="held without end",
        ),
    ],
)
def test_an_old_chunk(chunk: Chunk, need: Need, holds: list[Hold], why: str | None) -> None:
    """It goes, or stays with a reason."""
    going, staying = chunks_to_drop([chunk], today=TODAY, days=700, need=need, holds=holds)
    assert [kept.why for kept in staying] == ([why] if why else [])
    assert going == ([] if why else [chunk])


def test_a_young_chunk_is_not_spoken_of() -> None:
    """One day too young."""
    days = (TODAY - OLD.after).days + 1
    assert chunks_to_drop([OLD], today=TODAY, days=days, need=NEED, holds=()) == ([], [])


def test_the_year_before_is_needed_while_its_readings_may_come() -> None:
    """Forty days into the year the oldest reading still taken is of the last one."""
    february = year_start(2026) + 39 * DAY_MS
    assert horizon_need(february, 40).day == date(2025, 1, 1)
    assert horizon_need(february + DAY_MS, 40).day == date(2026, 1, 1)


def test_what_is_needed_first_decides() -> None:
    """With a day for neighbours; days kept may be longer."""
    need = first_need([NEED, Need(date(2025, 6, 1), "a gap")])
    assert need == (date(2025, 5, 31), "a gap")
    assert cutoff(TODAY, 100, [need]) == need
    assert cutoff(TODAY, 1_000, [need]).why == "kept for 1,000 days"
