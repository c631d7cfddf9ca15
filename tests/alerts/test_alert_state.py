"""How alerts move: pictures of fifteen-minute ticks, and the cases that need a word."""

import pytest

from alerts.state import Partition, advance
from schemas.calendar import DAY_MS, HOUR_MS, year_start
from schemas.indicator import Cause, Message
from schemas.rule import Rule, Rules
from tests.alerts.logs import LIMIT, MINUTE, OTHER, START, UNIT, indicator, tick, told

QUARTER = 15 * MINUTE


def rule(kind: str = "confirmed breach", **other: object) -> Rule:
    return Rule.model_validate({"name": "r", "kind": kind, "severity": "critical"} | other)


def drawn(marks: str, *, silent: bool = False) -> list[Message]:
    """One tick a quarter hour: a mark of logs.FIGURES, `-` nothing; `L`, `U`: `.`, `u` by late ones."""
    log: list[Message] = []
    for offset, mark in enumerate(marks):
        at = START + offset * QUARTER
        if mark != "-":
            cause: Cause = "late reading" if mark in "LU" else "reading"
            points = ("p1",) if silent and mark in "xX" else ()
            shown = {"L": ".", "U": "u"}.get(mark, mark)
            log.append(indicator(offset, at, shown, cause=cause, silent=points))
        log.append(tick(offset, at))
    return log


def states(log: list[Message], rules: Rules) -> list[tuple[int, str]]:
    """(quarter hour, state) of each transition."""
    return [((t.at - START) // QUARTER, t.state) for t in told(log, rules)]


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        pytest.param("x---", [(0, "pending")], id="a quarter short of the hold"),
        pytest.param("x----", [(0, "pending"), (4, "firing")], id="held by ticks alone"),
        pytest.param("xxxxx", [(0, "pending"), (4, "firing")], id="held by indicators"),
        pytest.param(
            "x--.x---", [(0, "pending"), (3, "inactive"), (4, "pending")], id="starts again"
        ),
        pytest.param(
            "x-----.-", [(0, "pending"), (4, "firing")], id="recovered, a quarter short of it"
        ),
        pytest.param("x-----.--", [(0, "pending"), (4, "firing"), (8, "resolved")], id="recovered"),
        pytest.param(
            "x-----.x.--",
            [(0, "pending"), (4, "firing"), (10, "resolved")],
            id="a relapse is the same alert, and recovery starts again",
        ),
        pytest.param(
            "x-----L--", [(0, "pending"), (4, "firing"), (8, "retracted")], id="corrected"
        ),
        pytest.param(
            "x-----L.-",
            [(0, "pending"), (4, "firing"), (8, "retracted")],
            id="what ended it first is the cause",
        ),
        pytest.param("x--L", [(0, "pending"), (3, "inactive")], id="corrected before its hold"),
        pytest.param("-.u.s-----", [], id="no breach"),
    ],
)
def test_hold_and_recover_hold(marks: str, expected: list[tuple[int, str]]) -> None:
    """A confirmed breach that must hold for an hour and be over for half an hour."""
    assert states(drawn(marks), (rule(hold="PT1H", recover_hold="PT30M"),)) == expected


@pytest.mark.parametrize(
    ("kind", "marks", "expected"),
    [
        ("confirmed breach", ".x.", [(1, "firing"), (2, "resolved")]),
        ("confirmed breach", ".xL", [(1, "firing"), (2, "retracted")]),
        ("suspected breach", ".s.", [(1, "firing"), (2, "resolved")]),
        ("suspected breach", ".sU", [(1, "firing"), (2, "retracted")]),
        ("cannot be judged", ".usx", [(1, "firing"), (2, "resolved")]),
        ("cannot be judged", ".uL", [(1, "firing"), (2, "resolved")]),
        ("silent points", ".xxL", [(1, "firing"), (3, "resolved")]),
    ],
)
def test_kinds(kind: str, marks: str, expected: list[tuple[int, str]]) -> None:
    """Each kind watches for its own, and only what was said against a unit is retracted."""
    assert states(drawn(marks, silent=True), (rule(kind),)) == expected


def test_a_confirmed_suspicion_is_resolved_at_once() -> None:
    """A late reading that makes a breach of a suspicion retracts nothing; nobody waits."""
    log: list[Message] = [
        indicator(0, START, "s"),
        indicator(1, START + QUARTER, "x", cause="late reading"),
    ]
    rules = (rule("suspected breach", recover_hold="P1D"),)
    assert states(log, rules) == [(0, "firing"), (1, "resolved")]


def test_since_and_evidence_are_as_known_then() -> None:
    """A firing carries the newest figures told before it, though a tick made it fire."""
    log: list[Message] = [
        indicator(0, START, "s"),
        indicator(1, START + QUARTER, "s", silent=["p1"]),
        tick(4, START + HOUR_MS),
    ]
    _, firing = told(log, (rule("suspected breach", hold="PT1H"),))
    assert (firing.at, firing.since, firing.cause) == (START + HOUR_MS, START, "time")
    assert firing.began_by == "reading"
    assert firing.version.offset == 4
    assert firing.evidence.version.offset == 1
    assert [point.point for point in firing.evidence.silent] == ["p1"]


def test_since_of_a_breach_is_its_quarter_hour() -> None:
    """`since` is the verdict's, found again with late readings; of silence the first point's."""
    log: list[Message] = [indicator(0, START, "x", silent=["p1"])]
    breach, silence = told(log, (rule(), rule("silent points", name="q")))
    assert breach.since == START - QUARTER
    assert silence.since == START - HOUR_MS


@pytest.mark.parametrize(
    ("limit", "cause"), [(LIMIT, "time"), (LIMIT + 5, "limit"), (None, "limit")]
)
def test_a_new_limit_is_the_cause(limit: int | None, cause: str) -> None:
    """Where the limit changed, it is the cause, and what ends so is resolved, not retracted."""
    log: list[Message] = [
        indicator(0, START, "x"),
        indicator(1, START + QUARTER, ".", cause="time", limit=limit),
        tick(2, START + HOUR_MS),
    ]
    _, ended = told(log, (rule(),))
    assert (ended.state, ended.cause) == ("resolved", cause)


def test_a_new_limit_begins_a_breach() -> None:
    """The limit of the time before the breach is remembered as well."""
    log = [indicator(0, START, "."), indicator(1, START + QUARTER, "x", limit=LIMIT - 5)]
    (firing,) = told(log, (rule(),))
    assert (firing.cause, firing.began_by) == ("limit", "limit")


def test_a_rule_that_is_gone_ends_its_alerts() -> None:
    """At the next tick; and one that no longer covers the unit as well."""
    before = advance(Partition(), [indicator(0, START, "x"), tick(0, START)], (rule(),)).after
    for rules in ((), (rule(except_units=("91*",)),), (rule("suspected breach"),)):
        step = advance(before, [tick(1, START + MINUTE)], rules)
        assert [(t.state, t.cause) for t in step.transitions] == [("resolved", "rule")]
        assert not step.after.units[UNIT].alerts


def test_an_alert_outlives_its_window() -> None:
    """A late reading may retract last year's breach for a while; then it is closed for good."""
    new_year = year_start(2027)
    breach = indicator(0, new_year, "x")
    corrected = indicator(1, new_year + DAY_MS, ".", cause="late reading")
    again = indicator(3, new_year + 31 * DAY_MS, "x")
    rules = (rule(outlives_window="P30D"),)
    assert [t.state for t in told([breach, corrected], rules)] == ["firing", "retracted"]
    closed = told([breach, tick(2, new_year + 30 * DAY_MS), again], rules)
    assert [(t.state, t.cause) for t in closed] == [("firing", "reading"), ("resolved", "time")]


def test_years_are_alerts_of_their_own() -> None:
    """Last year's breach and this year's judgement do not touch each other."""
    new_year = year_start(2027)
    log = [
        indicator(0, new_year, "x"),
        indicator(1, new_year + HOUR_MS, ".", year=2027),
        indicator(2, new_year + 2 * HOUR_MS, "x", year=2027),
    ]
    firings = told(log, (rule(),))
    assert [t.state for t in firings] == ["firing", "firing"]
    assert firings[0].window_start != firings[1].window_start


def test_history_has_a_time_of_its_own() -> None:
    """The ticks of others, live or in history, do not elapse a hold of a unit in history."""
    log: list[Message] = [
        indicator(0, START, "x", history=True),
        tick(1, START + DAY_MS),
        tick(2, START + DAY_MS, OTHER),
        tick(3, START + 59 * MINUTE, UNIT),
    ]
    rules = (rule(hold="PT1H"),)
    assert [t.state for t in told(log, rules)] == ["pending"]
    _, firing = told([*log, tick(4, START + HOUR_MS, UNIT)], rules)
    assert firing.state == "firing"
    assert firing.history


def test_what_fired_in_history_is_told_when_it_ends() -> None:
    """Who hears of live units only must hear of it, too: the same episode, told again."""
    log = [
        indicator(0, START, "x", history=True),
        indicator(1, START + HOUR_MS, "x", cause="time"),
        indicator(2, START + 2 * HOUR_MS, "x", cause="time"),
        indicator(3, START + 3 * HOUR_MS, ".", cause="late reading"),
    ]
    first, again, ended = told(log, (rule(),))
    assert (first.history, again.history) == (True, False)
    assert (again.previous, again.state, again.cause) == ("firing", "firing", "history ends")
    assert first.id == first.episode == again.episode == ended.episode
    assert ended.state == "retracted"


def test_an_older_message_is_ignored() -> None:
    """A message that comes again, with other words even, changes nothing."""
    log: list[Message] = [indicator(5, START, "x"), tick(5, START)]
    rules = (rule(recover_hold="PT1H"),)
    here = advance(Partition(), log, rules).after
    again: list[Message] = [
        indicator(5, START, "."),
        indicator(4, START, "."),
        tick(5, START + DAY_MS),
    ]
    assert advance(here, again, rules) == (here, (), ())
