"""One case for one fact: outages, changes, late data and their ends; pictures in units of seconds."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.cases import Arrival, Case, Grouping, Step, decide
from alerts.routing import notice
from schemas.alert import Notice
from schemas.calendar import HOUR_MS
from schemas.indicator import Cause
from schemas.rule import DEFAULT_RULES, Rule
from tests.alerts.logs import MINUTE, START, indicator, told

GATHER_S = 30
GROUPING = Grouping(GATHER_S * 1_000, networks={"gateway-7": frozenset({"G1", "G2", "G3"})})
SILENT = next(rule for rule in DEFAULT_RULES if rule.kind == "silent points")
BREACH = next(rule for rule in DEFAULT_RULES if rule.kind == "confirmed breach")
CITY, OTHER, THIRD = "510402", "511102", "510704"


def silent(unit: str, *, back: bool = False) -> list[Notice]:
    """A unit that falls silent, and speaks again."""
    log = [indicator(0, START, ".", unit=unit, silent=["p1"])]
    if back:
        log += [indicator(1, START + MINUTE, ".", unit=unit), indicator(2, START + HOUR_MS, ".", unit=unit)]  # fmt: skip
    return _notices(log, SILENT)


def breach(unit: str, cause: Cause = "reading", *, over: Cause | None = None) -> list[Notice]:
    """A unit above its quota by a cause, and no longer by another."""
    log = [indicator(0, START, "x", unit=unit, cause=cause)]
    if over is not None:
        log.append(indicator(1, START + MINUTE, ".", unit=unit, cause=over))
    return _notices(log, BREACH)


def _notices(log: Sequence[object], rule: Rule) -> list[Notice]:
    return [notice(one, rule) for one in told(log, (rule,))]  # type: ignore[arg-type]


class World:
    """The cases as they are kept, pass after pass."""

    def __init__(self) -> None:
        self.cases: dict[str, Case] = {}
        self.queue: list[Arrival] = []
        self.words: list[tuple[str, str, int]] = []
        """(what, scope, units named)."""
        self.alone: list[str] = []
        self.absorbed: list[str] = []

    def store(self, notices: Sequence[Notice], region: str, at_s: float) -> None:
        self.queue += [Arrival(one, region, int(at_s * 1_000)) for one in notices]

    def keep(self, at_s: float) -> Step:
        opened = [case for case in self.cases.values() if case.closed_at is None]
        step = decide(opened, self.queue, GROUPING, now=int(at_s * 1_000))
        self.cases |= step.cases
        moved = {m.episode: c.id for c in self.cases.values() for m in c.members}
        for (
            name,
            case,
        ) in self.cases.items():  # as the table has it: an alert is a member of one case
            self.cases[name] = replace(case, members=tuple(m for m in case.members if moved[m.episode] == name))  # fmt: skip
        handled = {one for one, _ in (*step.alone, *step.absorbed)} | set(step.passed)
        self.queue = [one for one in self.queue if one.notice.id not in handled]
        self.alone += [one for one, _ in step.alone]
        self.absorbed += [one for one, _ in step.absorbed]
        for word in step.words:
            case = step.cases[word.cases[0]]
            self.words.append((word.what, case.scope, len(case.units)))
        return step


def test_a_breach_is_told_at_once() -> None:
    """By a new reading: nothing to wait for."""
    world = World()
    world.store(breach("A"), CITY, 0)
    world.keep(0)
    assert world.words == [("opened", "A", 1)]


def test_two_silent_units_are_two_cases() -> None:
    """After they have waited for a third."""
    world = World()
    for unit in "AB":
        world.store(silent(unit), CITY, 0)
    world.keep(29)
    assert world.words == []
    world.keep(30)
    assert sorted(world.words) == [("opened", "A", 1), ("opened", "B", 1)]


@pytest.mark.parametrize(
    ("units", "scope"),
    [
        pytest.param([("A", CITY), ("B", CITY), ("C", CITY)], "city:510400", id="a city"),
        pytest.param([("G1", CITY), ("G2", OTHER), ("G3", THIRD)], "network:gateway-7", id="one gateway"),
        pytest.param([(f"U{n}", [CITY, OTHER, THIRD][n % 3]) for n in range(9)], "province:510000", id="a province"),
    ],
)  # fmt: skip
def test_an_outage_is_one_case(units: list[tuple[str, str]], scope: str) -> None:
    """By the widest cause that explains it; who comes later joins without a word."""
    world = World()
    for number, (unit, region) in enumerate(units):
        world.store(silent(unit), region, number)
    world.keep(31)
    assert world.words == [("opened", scope, len(units))]
    world.store(silent("G1" if "network" in scope else "LATER"), CITY, 60)
    world.keep(60)
    assert world.words == [("opened", scope, len(units))]


def test_who_was_silent_before_is_taken_in() -> None:
    """Told alone a few minutes ago: part of the outage from now on, and not closed with a word."""
    world = World()
    world.store(silent("A"), CITY, 0)
    world.keep(40)
    for unit in "BCD":
        world.store(silent(unit), CITY, 300)
    world.keep(331)
    assert world.words == [("opened", "A", 1), ("opened", "city:510400", 4)]


def test_an_outage_ends_once_and_who_stays_silent_is_told() -> None:
    """Two of five are still silent: the outage is over, and each of them is a case."""
    world = World()
    for unit in "ABCDE":
        world.store(silent(unit), CITY, 0)
    world.keep(31)
    for unit in "ABC":
        world.store(silent(unit, back=True)[1:], CITY, 4_000)
    step = world.keep(4_000)
    assert world.words[1:] == [("closed", "city:510400", 3), ("opened", "D", 1), ("opened", "E", 1)]
    assert len(step.again) == 2


def test_a_restatement_of_three_hundred_is_one_case_and_one_end() -> None:
    """Spread over minutes; told once, told again when it has grown to twice its size, ended once."""
    world = World()
    for number in range(300):
        world.store(breach(f"U{number:03}", "restatement", over="restatement"), CITY, number)
    ends = [one for one in world.queue if one.notice.state != "firing"]
    firings = [one for one in world.queue if one.notice.state == "firing"]
    world.queue = []
    for second in range(0, 1_400, 10):
        world.queue += [one for one in firings if second - 10 < one.stored_at / 1_000 <= second]
        world.keep(second)
    assert [what for what, _, _ in world.words] == ["opened", "grown"]
    assert world.words[-1] == ("grown", "restatement:1", 300)
    world.queue += [replace(one, stored_at=2_000_000) for one in ends]
    world.keep(2_031)
    assert [what for what, _, _ in world.words] == ["opened", "grown", "closed"]
    assert not [case for case in world.cases.values() if case.closed_at is None]


def test_ends_by_one_cause_are_one_word() -> None:
    """Five units in breach, each by itself; a change of factors ends them together."""
    world = World()
    for unit in "ABCDE":
        world.store(breach(unit), CITY, 0)
    world.keep(0)
    assert len(world.words) == 5
    for unit in "ABCDE":
        world.store(breach(unit, over="factor")[1:], CITY, 600)
    world.keep(631)
    assert world.words[5:] == [("closed", "factor:1", 5)]


def test_a_case_that_becomes_worse_is_told() -> None:
    """A critical alert joins a case of warnings: it is told, and the case is critical."""
    world = World()
    for unit in "ABC":
        (told_of,) = breach(unit, "factor")
        world.store([told_of.model_copy(update={"severity": "warning"})], CITY, 0)
    world.keep(31)
    world.store(breach("D", "factor"), CITY, 60)
    world.keep(60)
    assert world.words == [("opened", "factor:1", 3), ("worse", "factor:1", 4)]
    (case,) = world.cases.values()
    assert case.severity == "critical"


class Event(NamedTuple):
    unit: int
    city: int
    silent: bool
    cause: Cause
    back: bool
    at: int


EVENTS = st.lists(
    st.builds(
        Event,
        unit=st.integers(0, 30),
        city=st.integers(0, 2),
        silent=st.booleans(),
        cause=st.sampled_from(["reading", "late reading", "restatement", "factor"]),
        back=st.booleans(),
        at=st.integers(0, 1_000),
    ),
    max_size=20,
    unique_by=lambda event: event.unit,
)


@settings(max_examples=50)
@given(EVENTS, st.integers(20, 90))
def test_each_alert_is_in_one_case_that_was_told(events: list[Event], stride: int) -> None:
    """Whatever comes in whatever order: none missed, none in two cases, no case begun or ended twice."""
    world = World()
    arrivals = []
    for event in events:
        made = (
            silent(f"U{event.unit}", back=event.back)
            if event.silent
            else breach(f"U{event.unit}", event.cause, over=event.cause if event.back else None)
        )
        region = [CITY, OTHER, THIRD][event.city]
        arrivals += [Arrival(one, region, (event.at + 200 * n) * 1_000) for n, one in enumerate(made)]  # fmt: skip
    for second in range(0, 1_400, stride):
        low, high = (second - stride) * 1_000, second * 1_000
        world.queue += [one for one in arrivals if low < one.stored_at <= high]
        world.keep(second)
    assert world.queue == []
    firings = {one.notice.episode for one in arrivals if one.notice.state == "firing"}
    members = Counter(m.episode for case in world.cases.values() for m in case.members)
    assert firings <= set(members)
    assert max(members.values(), default=1) == 1
    scopes = Counter((what, scope) for what, scope, _ in world.words if what == "opened")
    alone = [count for (_, scope), count in scopes.items() if ":" not in scope]
    assert max(alone, default=1) <= 2  # alone, and alone again after an outage
    gone = {one.notice.episode for one in arrivals if one.notice.state != "firing"}
    still = {m.episode for case in world.cases.values() for m in case.members if m.firing}
    assert still == firings - gone
    assert len(world.alone) + len(world.absorbed) == len(arrivals)
