"""Who is told, how far it goes up, and when it is quiet; by the calendar of working days."""

from datetime import datetime
from pathlib import Path

import pytest

from alerts.roster import RosterError, doubts, read_roster
from schemas.calendar import HOUR_MS, instant
from schemas.working_days import read_working_days

TEXT = Path("deploy/example/on-call.toml").read_text(encoding="utf-8")
ROSTER = read_roster(TEXT)
CALENDAR = read_working_days()


def at(text: str) -> int:
    return instant(datetime.fromisoformat(text + "+08:00"))


def test_the_example_is_complete() -> None:
    """Somebody is on duty on each level, from the day of the example on."""
    assert doubts(ROSTER, at("2026-11-23T00:00"), None) == []
    assert doubts(ROSTER, at("2026-11-23T00:00"), ["duty-room"]) == [
        "receiver panzhihua-first has no address",
        "receiver panzhihua-head has no address",
        "receiver panzhihua-second has no address",
    ]


def test_a_gap_is_named() -> None:
    """A week without anybody is found before it comes."""
    gap = TEXT.replace("valid_from = 2026-11-30T08:00:00+08:00", "valid_from = 2026-12-07T08:00:00+08:00")  # fmt: skip
    assert doubts(read_roster(gap), at("2026-11-23T00:00"), None) == [
        "county 510400: nobody from 2026-11-30T08:00+08:00 to 2026-12-07T08:00+08:00"
    ]


@pytest.mark.parametrize(
    ("level", "region", "when", "who"),
    [
        pytest.param("county", "510402", "2026-11-23T12:00", "Panzhihua, first week", id="a county of the city"),
        pytest.param("county", "510402", "2026-11-30T08:00", "Panzhihua, from December", id="relieved at eight"),
        pytest.param("county", "511100", "2026-11-23T12:00", "Sichuan, duty room", id="nobody there: the province"),
        pytest.param("county", "", "2026-11-23T12:00", "Sichuan, duty room", id="no region: the province"),
    ],
)  # fmt: skip
def test_on_duty(level: str, region: str, when: str, who: str) -> None:
    """The nearest who is on duty; nothing is told to nobody."""
    assert level == "county"
    assert [duty.who for duty in ROSTER.on_duty("county", region, at(when))] == [who]


@pytest.mark.parametrize(
    ("severity", "began", "due"),
    [
        pytest.param("critical", "2026-11-20T23:00", "2026-11-21T00:00", id="critical: an hour, whatever the day"),
        pytest.param("warning", "2026-11-20T23:00", "2026-11-23T23:00", id="warning: a working day, over the weekend"),
        pytest.param("warning", "2026-02-14T09:00", "2026-02-24T09:00", id="over the Spring Festival"),
    ],
)  # fmt: skip
def test_the_city_is_told(severity: str, began: str, due: str) -> None:
    """The second step, by its severity."""
    (steps,) = (one for one in ROSTER.escalations if one.severity == severity)
    assert steps.due(1, at(began), CALENDAR) == at(due)


@pytest.mark.parametrize(
    ("severity", "told", "heard"),
    [
        pytest.param("critical", "2026-11-23T02:00", "2026-11-23T02:00", id="critical waits for nothing"),
        pytest.param("warning", "2026-11-23T02:00", "2026-11-23T07:30", id="after midnight"),
        pytest.param("warning", "2026-11-23T22:00", "2026-11-24T07:30", id="from ten on"),
        pytest.param("info", "2026-11-23T07:30", "2026-11-23T07:30", id="the quiet is over"),
    ],
)  # fmt: skip
def test_quiet_hours(severity: str, told: str, heard: str) -> None:
    """What can wait is heard in the morning."""
    (one,) = (e.severity for e in ROSTER.escalations if e.severity == severity)
    assert ROSTER.heard_at(one, at(told)) == at(heard)


def test_what_is_wrong_is_said() -> None:
    """Every mistake by its place; steps go up, and later."""
    broken = TEXT.replace(
        '{ level = "city", after = "PT1H" }', '{ level = "county", after = "PT1H" }'
    )
    with pytest.raises(RosterError, match="county comes after county"):
        read_roster(broken)
    with pytest.raises(RosterError, match=r"duties\.0\.region"):
        read_roster(TEXT.replace('region = "510400"', 'region = "Panzhihua"', 1))
    assert HOUR_MS > 0
