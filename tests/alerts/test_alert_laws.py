"""Laws of alerts, over drawn logs: late readings, silence, history, changes of the limit."""

import json
from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from alerts.evaluation import findings
from alerts.state import Partition, Unit, advance
from schemas.alert import Key, Transition
from schemas.indicator import Indicator, Told
from schemas.rule import Rule
from tests.alerts.logs import LOGS, Log, repeated, told


@given(st.data(), LOGS)
def test_repeats_change_nothing(data: st.DataObject, log: Log) -> None:
    """Whatever part of the log comes again, at any place after its first: the same transitions."""
    arrived = data.draw(repeated(log.messages))
    assert told(arrived, log.rules) == told(log.messages, log.rules)


@given(st.data(), LOGS)
def test_a_restart_changes_nothing(data: st.DataObject, log: Log) -> None:
    """State out as JSON, and in again, between any two messages: the same transitions."""
    here, transitions = Partition(), list[Transition]()
    for message in log.messages:
        if data.draw(st.booleans()):
            here = reloaded(here)
        step = advance(here, (message,), log.rules)
        here = step.after
        transitions.extend(step.transitions)
    assert tuple(transitions) == told(log.messages, log.rules)


@given(st.data(), LOGS)
def test_steps_change_nothing(data: st.DataObject, log: Log) -> None:
    """However the log falls into steps: the same transitions, and the same memory at its end."""
    cut = data.draw(st.integers(0, len(log.messages)))
    first = advance(Partition(), log.messages[:cut], log.rules)
    second = advance(first.after, log.messages[cut:], log.rules)
    whole = advance(Partition(), log.messages, log.rules)
    assert first.transitions + second.transitions == whole.transitions
    assert second.after == whole.after


@given(LOGS)
def test_what_changed_is_named(log: Log) -> None:
    """Who writes only the units named as changed has everything."""
    stored: dict[str, Unit] = {}
    here = Partition()
    for message in log.messages:
        step = advance(here, (message,), log.rules)
        here = step.after
        stored |= {code: here.units[code] for code in step.changed}
    assert stored == here.units


@given(LOGS)
def test_no_alert_fires_before_its_hold(log: Log) -> None:
    """It fires at the first tick or indicator at which the condition was told for `hold` on end."""
    fired = {
        (key_of(transition), transition.at)
        for transition in told(log.messages, log.rules)
        if transition.state == "firing" and transition.previous != "firing"
    }
    expected = {
        (key, at)
        for rule in log.rules
        for key, runs in runs_of(log, rule).items()
        for begun, ticks in runs
        for at in [next((at for at in ticks if at - begun >= rule.hold_ms), None)]
        if at is not None
    }
    # A relapse within the recover hold is the same alert, so that not every run fires anew.
    assert fired <= expected
    if all(rule.recover_hold_ms == 0 for rule in log.rules):
        assert fired == expected


@given(LOGS)
def test_a_firing_ends_at_most_once(log: Log) -> None:
    """Per alert the states follow each other as drawn in alerts/state.py."""
    follows = {
        "inactive": {"pending", "firing"},
        "pending": {"firing", "inactive"},
        "firing": {"firing", "resolved", "retracted"},
    }
    states: dict[Key, str] = {}
    episodes: dict[str, list[str]] = defaultdict(list)
    for transition in told(log.messages, log.rules):
        key = key_of(transition)
        assert transition.previous == states.get(key, "inactive")
        assert transition.state in follows[transition.previous]
        over = transition.state in {"resolved", "retracted"}
        states[key] = "inactive" if over else transition.state
        if transition.episode is not None:
            episodes[transition.episode].append(transition.state)
    for told_states in episodes.values():
        assert told_states[0] == "firing"
        assert sum(state != "firing" for state in told_states) <= 1
        assert told_states[-1] != "firing" or "resolved" not in told_states
        # Once more only when a unit's history ends.
        assert told_states.count("firing") <= 2


@given(LOGS)
def test_ids_are_unique(log: Log) -> None:
    """One transition, one id: an id that is seen again is the same fact."""
    ids = [transition.id for transition in told(log.messages, log.rules)]
    assert len(ids) == len(set(ids))


@given(LOGS)
def test_retracted_is_what_a_late_reading_ended(log: Log) -> None:
    """Only what was said against a unit is retracted, and only by a late reading."""
    for transition in told(log.messages, log.rules):
        if transition.state == "retracted":
            assert transition.cause == "late reading"
            assert transition.kind in {"confirmed breach", "suspected breach"}
        if transition.state == "resolved" and transition.kind == "confirmed breach":
            assert transition.cause != "late reading"


@given(LOGS)
def test_time_never_goes_back(log: Log) -> None:
    """Transitions of one unit are told in the order of event time."""
    last: dict[str, int] = {}
    for transition in told(log.messages, log.rules):
        assert transition.at >= last.get(transition.unit, transition.at)
        last[transition.unit] = transition.at


def key_of(transition: Transition) -> Key:
    return Key(rule=transition.rule, unit=transition.unit, window_start=transition.window_start)


def runs_of(log: Log, rule: Rule) -> dict[Key, list[tuple[int, list[int]]]]:
    """Per alert the unbroken runs of its condition: when it began, and each instant told of then.

    Written apart from alerts/state.py: it looks at the whole log, once for each alert.
    """
    keys = {
        finding.key: None
        for message in log.messages
        if isinstance(message, Indicator)
        for finding in findings(message, (rule,))
    }
    return {key: _runs(log, rule, key) for key in keys}


def _runs(log: Log, rule: Rule, key: Key) -> list[tuple[int, list[int]]]:
    runs: list[tuple[int, list[int]]] = []
    holds = False
    in_history = True
    for message in log.messages:
        if isinstance(message, Told):
            own = message.unit == key.unit
            live = message.unit is None and not in_history
            if holds and (own or live):
                runs[-1][1].append(message.as_of)
            continue
        if message.unit != key.unit:
            continue
        in_history = message.history
        for finding in findings(message, (rule,)):
            if finding.key == key:
                if finding.holds and not holds:
                    runs.append((message.as_of, []))
                holds = finding.holds
        if holds:
            runs[-1][1].append(message.as_of)
    return runs


def reloaded(here: Partition) -> Partition:
    units = [json.loads(unit.model_dump_json()) for unit in here.units.values()]
    read = [Unit.model_validate(unit) for unit in reversed(units)]
    return Partition(here.tick, {unit.unit: unit for unit in read})
