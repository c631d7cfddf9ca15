"""A declared stop holds back what is said of missing data while it lasts, and nothing else."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.routing import notice
from alerts.state import Partition, advance
from schemas.alert import Transition
from schemas.calendar import DAY_MS, HOUR_MS
from schemas.indicator import Message, StopsTold
from schemas.rule import Rule, Rules
from schemas.stop import DeclaredStop, Stop, covered_until, declared_in, is_declaration
from tests.alerts.logs import LOGS, MINUTE, OTHER, START, UNIT, Log, indicator, tick, told, version
from tests.alerts.test_alert_laws import reloaded

QUARTER = 15 * MINUTE
SILENCE = Rule(name="silent", kind="silent points", severity="warning", hold="PT30M")


def stop(begins: int, ends: int, *points: str) -> Stop:
    """Quarter hours from START on."""
    start, end = START + begins * QUARTER, START + ends * QUARTER
    return Stop(id=f"{begins}-{ends}", kind="stop", start=start, end=end, points=points)


def stops(number: int, *those: Stop) -> StopsTold:
    return StopsTold(unit=UNIT, version=version(number), as_of=START, stops=those)


def drawn(
    quarters: int, at: dict[int, Message], *, silent: dict[int, tuple[str, ...]]
) -> list[Message]:
    """A tick a quarter hour; the messages of `at` before it, and of `silent` who is silent from there on."""
    log: list[Message] = []
    for quarter in range(quarters):
        now = START + quarter * QUARTER
        if quarter in at:
            log.append(at[quarter])
        if quarter in silent:
            log.append(indicator(quarter, now, "u", silent=silent[quarter]))
        log.append(tick(quarter, now))
    return log


def states(log: list[Message], rules: Rules = (SILENCE,)) -> list[tuple[int, str, str]]:
    """(quarter hour, state, cause) of each transition."""
    return [((t.at - START) // QUARTER, t.state, t.cause) for t in told(log, rules)]


@pytest.mark.parametrize(
    ("declared", "silent", "expected"),
    [
        pytest.param(
            {}, {2: ("a",)}, [(2, "pending", "time"), (4, "firing", "time")], id="no stop"
        ),
        pytest.param(
            {0: stops(1, stop(0, 8))},
            {2: ("a",)},
            [(2, "pending", "time"), (10, "firing", "time")],
            id="held back, and its hold runs from the end of the stop",
        ),
        pytest.param(
            {0: stops(1, stop(0, 8))},
            {2: ("a",), 6: ()},
            [(2, "pending", "time"), (6, "inactive", "reading")],
            id="data are back before its end: nobody hears",
        ),
        pytest.param(
            {0: stops(1, stop(0, 5)), 3: stops(2, stop(0, 5), stop(5, 8, "a"))},
            {2: ("a",)},
            [(2, "pending", "time"), (10, "firing", "time")],
            id="two that follow each other are one",
        ),
        pytest.param(
            {0: stops(1, stop(0, 12)), 6: stops(2)},
            {2: ("a",)},
            [(2, "pending", "time"), (8, "firing", "time")],
            id="withdrawn: its hold runs from there",
        ),
        pytest.param(
            {0: stops(1, stop(0, 12, "b"))},
            {2: ("a", "b")},
            [(2, "pending", "time"), (4, "firing", "time")],
            id="of another point",
        ),
        pytest.param(
            {6: stops(1, stop(1, 10))},
            {2: ("a",)},
            [
                (2, "pending", "time"),
                (4, "firing", "time"),
                (6, "retracted", "declared stop"),
                (6, "pending", "declared stop"),
                (12, "firing", "time"),
            ],
            id="declared late: taken back, and told when it ends without data",
        ),
        pytest.param(
            {6: stops(1, stop(3, 10))},
            {2: ("a",)},
            [(2, "pending", "time"), (4, "firing", "time")],
            id="it began after the silence was told of: that stands",
        ),
        pytest.param(
            {8: stops(1, stop(1, 7))},
            {2: ("a",)},
            [(2, "pending", "time"), (4, "firing", "time")],
            id="over by the time it was declared, and still silent",
        ),
    ],
)
def test_silence(
    declared: dict[int, Message],
    silent: dict[int, tuple[str, ...]],
    expected: list[tuple[int, str, str]],
) -> None:
    assert states(drawn(14, declared, silent=silent)) == expected


def test_what_it_holds_back_says_until_when() -> None:
    """The alert is pending, with the end of the stop; so is one without a hold."""
    rule = SILENCE.model_copy(update={"hold": "PT0S"})
    log = drawn(4, {0: stops(1, stop(0, 8))}, silent={2: ("a", "b")})
    (alert,) = advance(Partition(), log, (rule,)).after.units[UNIT].alerts
    assert (alert.state, alert.stopped_until) == ("pending", START + 8 * QUARTER)


def test_only_what_is_not_declared_is_named() -> None:
    log = drawn(6, {0: stops(1, stop(0, 12, "b"))}, silent={2: ("a", "b")})
    fired = told(log, (SILENCE,))[-1]
    assert [one.point for one in fired.evidence.silent] == ["a"]


def test_that_it_was_declared_late_is_said() -> None:
    log = drawn(8, {6: stops(1, stop(1, 10))}, silent={2: ("a",)})
    retracted = next(one for one in told(log, (SILENCE,)) if one.state == "retracted")
    said = notice(retracted, SILENCE).annotations["description"]
    assert "is held back from" in said
    assert "a declared stop or maintenance. Figures and verdicts stay as they are." in said


@pytest.mark.parametrize("kind", ["suspected breach", "confirmed breach"])
def test_a_breach_is_never_held_back(kind: str) -> None:
    rule = Rule.model_validate({"name": "r", "kind": kind, "severity": "critical"})
    mark = "s" if kind == "suspected breach" else "x"
    now = START + 2 * QUARTER
    log: list[Message] = [
        stops(1, stop(0, 99)),
        indicator(2, now, mark, silent=("a",)),
        tick(2, now),
    ]
    assert [one.state for one in told(log, (rule,))] == ["firing"]


def test_a_year_that_cannot_be_judged_for_it_waits() -> None:
    """As long as whoever is silent is silent by declaration; what is undecided afterwards is told."""
    rule = Rule(name="r", kind="cannot be judged", severity="info")
    log = drawn(8, {0: stops(1, stop(0, 6))}, silent={2: ("a",), 4: ("a", "b"), 7: ()})
    assert states(log, (rule,)) == [(2, "pending", "reading"), (6, "firing", "time")]
    unrelated = drawn(8, {0: stops(1, stop(0, 6, "a"))}, silent={2: ("a", "b")})
    assert states(unrelated, (rule,)) == [(2, "firing", "reading")]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"until": "2026-12-01T08:00:00+08:00"}, "is not after"),
        ({"until": "2028-12-01T08:00:00+08:00"}, "more than 400 days"),
        ({"from": "2199-12-30T08:00:00Z", "until": "2200-01-02T00:00:00Z"}, "1970 to 2199"),
        ({"points": ["E1", "E1"]}, "named twice"),
        ({"evidence": ""}, "stop.evidence"),
        ({"from": "2026-12-01T08:00:00"}, "stop.from"),
        ({"other": 1}, "stop.other"),
    ],
)
def test_what_is_wrong_with_a_declaration_is_said(changed: dict[str, object], said: str) -> None:
    """Each mistake by its place; one that is right says nothing."""
    told: dict[str, object] = {
        "id": "a",
        "kind": "stop",
        "from": "2026-12-01T08:00:00+08:00",
        "until": "2026-12-02T08:00:00+08:00",
        "evidence": "notice",
        "by": "Li",
    }
    assert isinstance(declared_in(json.dumps({"stop": told}).encode(), UNIT), DeclaredStop)
    wrong = declared_in(json.dumps({"stop": told | changed}).encode(), UNIT)
    assert isinstance(wrong, list)
    assert said in wrong[0]
    (other,) = declared_in(json.dumps({"stop": told, "unit_code": OTHER}).encode(), UNIT)
    assert "another unit" in other


@pytest.mark.parametrize(
    ("payload", "declares"),
    [
        (b'{"stop": {}}', True),
        (b'{"message_id": "\\"stop\\"", "readings": []}', False),
        (b'{"message_id": "stop", "readings": []}', False),
        (b'["stop"]', False),
        (b'{"stop"', False),
    ],
)
def test_only_an_object_with_the_key_declares(payload: bytes, *, declares: bool) -> None:
    """Whatever else says the word is a message with readings, or none."""
    assert is_declaration(payload) is declares


# ---- Laws


@st.composite
def stopped_logs(draw: st.DrawFn) -> Log:
    """A drawn log, and some declarations in it."""
    log = draw(LOGS)
    messages = list(log.messages)
    for number in range(draw(st.integers(1, 3))):
        begins, length = draw(st.integers(-9, 90)), draw(st.integers(1, 200))
        points = draw(st.sampled_from([(), ("p1",), ("p1", "p2")]))
        start = START + begins * HOUR_MS
        one = Stop(id="s", kind="stop", start=start, end=start + length * HOUR_MS, points=points)
        there = draw(st.integers(0, len(messages)))
        messages.insert(there, stops(number, *(() if draw(st.booleans()) else (one,))))
    return Log(tuple(messages), log.rules)


@given(stopped_logs(), st.data())
@settings(max_examples=60)
def test_restarts_change_nothing(log: Log, data: st.DataObject) -> None:
    here, transitions = Partition(), list[Transition]()
    for message in log.messages:
        if data.draw(st.booleans()):
            here = reloaded(here)
        step = advance(here, (message,), log.rules)
        here = step.after
        transitions.extend(step.transitions)
    assert tuple(transitions) == told(log.messages, log.rules)


@given(stopped_logs())
@settings(max_examples=60)
def test_nothing_else_is_touched(log: Log) -> None:
    """What is said of breaches and of suspicions is the same without any declaration; no two transitions have one id."""
    others = ("confirmed breach", "suspected breach")
    bare = [one for one in log.messages if not isinstance(one, StopsTold)]
    made = told(log.messages, log.rules)
    assert [one for one in made if one.kind in others] == [
        one for one in told(bare, log.rules) if one.kind in others
    ]
    assert len({one.id for one in made}) == len(made)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 9)), max_size=5), st.integers(0, 30))
def test_coverage_has_no_hole(spans: list[tuple[int, int]], at: int) -> None:
    """Every instant before its end is covered, and its end is not."""
    those = [Stop(id="s", kind="stop", start=a, end=a + b) for a, b in spans]
    covered = {instant for a, b in spans for instant in range(a, a + b)}
    until = covered_until(those, "p", at)
    assert (until is None) == (at not in covered)
    assert until is None or (set(range(at, until)) <= covered and until not in covered)


def test_a_day_is_not_longer_than_told() -> None:
    assert covered_until([Stop(id="s", kind="stop", start=0, end=DAY_MS)], None, DAY_MS) is None
