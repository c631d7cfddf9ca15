"""Each line says ok or what to do, from the answer alone."""

import pytest

from ingest.diagnosis import findings
from schemas.calendar import rfc3339
from schemas.feedback import UNKNOWN_UNIT, Counts, Standing, Tried

UNIT = "91510100SYN0000001"
NOW = 1_795_399_200_000
DAY = 86_400_000


def answer(**told: object) -> Tried:
    usual: dict[str, object] = {
        "unit": UNIT,
        "message": "doctor-1",
        "received_at": rfc3339(NOW),
        "readings": 1,
        "fates": ["unknown point"],
        "refused": 1,
        "reasons": {"unknown point": 1},
        "do": {},
        "items": [],
        "points": [point(NOW - 900_000)],
        "days": [],
    }
    return Tried.model_validate(usual | told)


def point(covered_until: int, valid_from: int = NOW - 9 * DAY) -> Standing:
    return Standing(
        point="E1",
        statement="PT15M",
        unit="kWh",
        valid_from=rfc3339(valid_from),
        covered_until=rfc3339(covered_until),
    )


def day(rejected: int) -> Counts:
    return Counts(
        day="2026-11-23", accepted=90, repeated=7, superseded=3, rejected=rejected, unreadable=0
    )


def checked(told: Tried, *, sent_at: int = NOW - 100) -> dict[str, bool]:
    lines = list(findings(told, sent_at=sent_at, heard_at=sent_at + 400))
    assert all(line.ok or line.do for line in lines)
    return {line.check: line.ok for line in lines}


def test_all_is_well() -> None:
    """A registered unit whose points are covered."""
    assert checked(answer(days=[day(0)])) == {
        "clock": True,
        "registry": True,
        "point E1": True,
        "day 2026-11-23": True,
    }


@pytest.mark.parametrize("off", [-61_000, 61_000])
def test_a_clock_that_is_off_is_named(off: int) -> None:
    """Either way; the time that the answer took is not its fault."""
    assert not checked(answer(), sent_at=NOW + off + (0 if off > 0 else -400))["clock"]
    assert checked(answer(), sent_at=NOW + off // 2)["clock"]


def test_what_is_missing_is_named() -> None:
    """No registration, no point, no reading, silence, refusals."""
    assert not checked(answer(reasons={UNKNOWN_UNIT: 1}))["registry"]
    assert not checked(answer(points=[]))["registry"]
    assert not checked(answer(points=[point(NOW - DAY, NOW - DAY)]))["point E1"]
    assert not checked(answer(points=[point(NOW - DAY - 1_000)]))["point E1"]
    assert not checked(answer(days=[day(1)]))["day 2026-11-23"]
