"""Alerts on landings: a forecast is told once, after its hold; it lets go later than it began, and missing data ends nothing."""

from collections.abc import Sequence
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.replay import replay
from alerts.state import Partition, advance
from schemas.alert import Notice
from schemas.calendar import DAY_MS, HOUR_MS, year_start
from schemas.indicator import LandingTold, Told, Version
from schemas.landing import Ends, Exhausted, Landed, Projected, State
from schemas.rule import DEFAULT_RULES, BadRules, Rule, read_rules
from schemas.scale import SCALE

UNIT = "91510100SYN0000001"
START = year_start(2026)
STATES: dict[str, tuple[State, int]] = {
    "b": ("broken", 430),
    "w": ("will break", 400),
    "m": ("may break", 370),
    "n": ("on track", 364),  # nearly: within one per cent of the quota
    ".": ("on track", 340),
    "?": ("cannot be said", 340),
}
"""State and expected year-end, of a quota of 365 tce."""


def version(day: int, hour: int = 0) -> Version:
    at = START + day * DAY_MS + hour * HOUR_MS
    return Version(generation=1, partition=0, offset=at, position=0)


def ends(low: float, best: float, high: float | None) -> Ends:
    return Ends(
        low=int(low * SCALE),
        best=int(best * SCALE),
        high=None if high is None else int(high * SCALE),
    )


def landing(day: int, mark: str, *, history: bool = False, unverified: bool = False) -> LandingTold:
    """At a midnight: a state."""
    state, expected = STATES[mark]
    basis: Literal["seasonal", "calendar"] = "calendar"
    projected = Projected(
        basis=basis,
        year_end=ends(expected - 33.876543, expected, expected + 45.123456),
        expected_high=expected * SCALE,
        exhaustion=Exhausted(earliest="2026-09-11", best="2026-11-20", latest=None),
    )
    landed = Landed(
        year=2026,
        quota=365 * SCALE,
        state=state,
        reason="too little measured" if mark == "?" else None,
        used=ends(366, 366, 366) if mark == "b" else ends(99.5, 100, 100.25),
        share_measured=987_654,
        projected=projected,
        fast=Ends(low=1101, best=1102, high=1103),
        slow=Ends(low=1051, best=1056, high=1059),
        per_day=ends(0.991234, 1, 1.1),
        factors=("grid.2024",),
        unverified=unverified,
    )
    return LandingTold(
        unit=UNIT,
        version=version(day),
        as_of=START + day * DAY_MS,
        cause="reading",
        history=history,
        landed=landed,
    )


def course(marks: str, **more: bool) -> list[LandingTold]:
    """One midnight each, from 1 April on."""
    return [landing(90 + day, mark, **more) for day, mark in enumerate(marks, start=1)]


def notices(messages: Sequence[LandingTold | Told]) -> list[Notice]:
    lines = [message.model_dump_json().encode() for message in messages]
    return [one for one in replay(lines, DEFAULT_RULES) if isinstance(one, Notice)]


def told(marks: str, rule: str) -> list[str]:
    return [
        f"{(one.at - START) // DAY_MS - 90} {one.state}"
        for one in notices(course(marks))
        if one.rule == rule and one.state in {"firing", "resolved", "retracted"}
    ]


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        pytest.param("....", [], id="all is well"),
        pytest.param("wwwwwwwwww", ["3 firing"], id="told once, at the third midnight in a row"),
        pytest.param("ww.ww.ww.", [], id="never three in a row"),
        pytest.param("wwm" + "wwm" * 2, [], id="trembling about the edge before it fires: nothing"),
        pytest.param("www" + "mw" * 5, ["3 firing"], id="and after: it goes on"),
        pytest.param("www.......", ["3 firing", "6 resolved"], id="over for three midnights"),
        pytest.param("www..w....", ["3 firing", "9 resolved"], id="a relapse is the same alert"),
        pytest.param("www????????", ["3 firing"], id="losing data ends nothing"),
        pytest.param("ww?w", ["3 firing"], id="nor does it stop a hold"),
        pytest.param("wwwwb", ["3 firing", "5 resolved"], id="it has come about: no forecast any more"),
        pytest.param("bbbbb", [], id="a fact is told by its own rule"),
        pytest.param("mmmmmmmmm", [], id="likely is not certain"),
    ],
)  # fmt: skip
def test_what_is_certain(marks: str, expected: list[str]) -> None:
    """Midnight and new state: `w` certain, `m` likely, `n` nearly at the quota, `.` on track, `?` cannot be said, `b` broken."""
    assert told(marks, "quota-will-be-exceeded") == expected


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        pytest.param("m" * 9, ["7 firing"], id="held for seven midnights"),
        pytest.param("mmm" + "w" * 6, ["7 firing"], id="certain is likely as well"),
        pytest.param("m" * 7 + "n" * 9, ["7 firing"], id="within one per cent it does not let go"),
        pytest.param("mmmmmmn" + "m" * 6, [], id="but does not begin there"),
        pytest.param("m" * 7 + "." * 9, ["7 firing", "14 resolved"], id="over"),
    ],
)
def test_what_is_likely(marks: str, expected: list[str]) -> None:
    """As above."""
    assert told(marks, "quota-likely-exceeded-by-year-end") == expected


@given(st.text("wmn.?b", min_size=1, max_size=14), st.randoms(use_true_random=False))
def test_what_comes_twice_or_late_changes_nothing(marks: str, pace: object) -> None:
    """Kafka may deliver again: a midnight that is not newer is ignored."""
    messages = course(marks)
    shown = [pace.randrange(i + 1) for i in range(len(messages))]  # type: ignore[attr-defined]
    again = [one for i, m in enumerate(messages) for one in (m, messages[shown[i]])]
    once, twice = (advance(Partition(), some, DEFAULT_RULES) for some in (messages, again))
    assert (twice.after, twice.transitions) == (once.after, once.transitions)


def test_the_words() -> None:
    """Where it lands, when the quota is passed, the burn, what still keeps it, on what it rests; each with its unit."""
    _, first = notices(course("www", unverified=True))[-2:]
    assert first.annotations["summary"] == (
        "Unit 91510100SYN0000001: energy of 2026 will be above its quota at the year's end"
    )
    assert first.annotations["description"] == (
        "Used so far: between 99.5 and 100.25 tce (best estimate 100). Annual quota 365 tce."
        " The year lands between 366.12 and 445.13 tce with 80 % (expected 400), by the calendar, as no whole earlier year is known."
        " Day that passes the quota: 2026-11-20 (between 2026-09-11 and the next year). A forecast is no verdict."
        " Used in the last 7 days 1.10 times and in the last 30 days 1.06 times the pace that the quota allows."
        " At most 0.99123 tce a day from now on still keep the quota, whatever is missing."
        " It rests on a factor that nobody has verified (factors: grid.2024)."
        " Regime energy, equivalent value."
        " Forecast since 2026-04-02T00:00:00+08:00, told at 2026-04-04T00:00:00+08:00; cause: a new reading, and it has held."
    )
    assert first.labels == {
        "alertname": "quota-will-be-exceeded", "kind": "will break", "severity": "warning",
        "unit": UNIT, "service": "weir", "kpi": "energy", "window": "2026",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("marks", "summary", "end"),
    [
        (
            "wwwwb",
            "Resolved: unit 91510100SYN0000001: energy of 2026 was forecast to be above its quota, and is",
            "Forecast since 2026-04-02T00:00:00+08:00; the quota is passed at 2026-04-06T00:00:00+08:00.",
        ),
        (
            "www....",
            "Resolved: unit 91510100SYN0000001: energy of 2026 forecast above its quota",
            "It held from 2026-04-02T00:00:00+08:00 and is over at 2026-04-07T00:00:00+08:00; cause: a new reading.",
        ),
    ],
)
def test_the_words_of_an_end(marks: str, summary: str, end: str) -> None:
    """That it came about, or that it is over."""
    last = [one for one in notices(course(marks)) if one.state == "resolved"][-1]
    assert last.annotations["summary"] == summary
    assert last.annotations["description"].endswith(end)


def test_holds_elapse_by_ticks_and_the_year_closes_it() -> None:
    """Between midnights the live units' ticks pass time; ninety days behind the year it is closed for good."""
    tick: LandingTold | Told = Told(version=version(92, 48), as_of=START + 93 * DAY_MS)
    assert [one.state for one in notices([*course("ww"), tick]) if "will" in one.rule][
        -1
    ] == "firing"
    end: LandingTold | Told = Told(version=version(900), as_of=year_start(2027) + 90 * DAY_MS)
    last = [one for one in notices([*course("www"), end]) if "will" in one.rule][-1]
    assert (last.state, last.cause) == ("resolved", "time")


def test_history_is_told_again_when_it_ends() -> None:
    """What fired in an import holds on for who hears of live units."""
    for mark in "w?":
        log = [*course("www", history=True), landing(94, mark), landing(95, "?")]
        firings = [one for one in notices(log) if one.state == "firing"]
        assert [one.history for one in firings] == [True, False]


def test_its_rules() -> None:
    """`certainty` is theirs alone; a landing is that of a year."""
    rule = '[[rules]]\nname="a"\nkind="{}"\nseverity="info"\n{}'
    assert isinstance(read_rules(rule.format("will break", 'certainty="likely"')), tuple)
    for kind, more in (
        ("silent points", 'certainty="likely"'),
        ("will break", 'certainty="perhaps"'),
        ("will break", 'window="month"'),
    ):
        assert isinstance(read_rules(rule.format(kind, more)), BadRules)
    assert Rule(name="a", kind="will break", severity="info").certainty == "certain"
