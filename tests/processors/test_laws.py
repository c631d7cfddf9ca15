"""The laws of the stream, over drawn worlds: what the engine tells is what RULES.md says."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given

from oracle import Outcome, judge_log
from schemas.calendar import HOUR_MS, window_end, window_start
from schemas.section import Record, Section
from tests.processors import laws_missing as missing
from tests.processors import laws_stored as stored
from tests.processors.laws_figures import engine_span, engine_sums, oracle_span
from tests.processors.laws_oracle import differences, messages
from tests.processors.laws_paths import Reached
from tests.processors.laws_shell import PACK, Shell
from tests.processors.worlds import PARTITIONS, Entry, World, plans, worlds

REACHED = Reached()


@pytest.fixture(scope="module", autouse=True)
def paths(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every path of the engine is reached by at least a tenth of the cases."""
    request.config.pluginmanager.register(REACHED)
    yield
    assert not REACHED.rare()


def run(world: World, plan: random.Random | None = None) -> Shell:
    """The world's log through the engine, in steps where there is a plan; those are counted."""
    shell = Shell(world, plan).run()
    if plan is not None:
        REACHED.note(shell)
    return shell


def judged(world: World) -> Outcome:
    """The world's log through the oracle."""
    return judge_log(world.log, world.configurations, PACK, PARTITIONS)


def spans(world: World, plan: random.Random) -> Iterator[tuple[str, int, int]]:
    """For each unit some spans of whole hours: short, a window, or across everything."""
    for unit in world.units:
        begin = window_start("hour", unit.begins) + plan.randint(-3, 50) * HOUR_MS
        for hours in (1, plan.randint(2, 30), plan.choice([24 * 31, 24 * 400])):
            yield unit.code, begin, begin + hours * HOUR_MS
        day = window_start("day", begin)
        yield unit.code, day, window_end("day", day)


@given(worlds(), plans)
def test_the_stream_is_the_oracle(world: World, plan: random.Random) -> None:
    """For any order, duplication, lateness, split into records, steps and restarts."""
    shell, outcome = run(world, plan), judged(world)
    tells_the_same(shell, outcome)
    keeps_the_same(shell, outcome)
    loses_nothing(shell)
    for unit, start, end in spans(world, plan):
        if unit in outcome.histories:
            same = oracle_span(outcome.world(unit), start, end)
            assert engine_span(shell, unit, start, end) == same


def tells_the_same(shell: Shell, outcome: Outcome) -> None:
    """At each tick, for the log before it: everything that must be told, and no more."""
    told = messages(outcome)
    assert differences(stored.told(shell.store), told)[:3] == []
    honoured = [
        (t.partition, t.offset, t.position, t.at, t.unit) for t in outcome.ticks if not t.anew
    ]
    assert stored.ticks_told(shell.store) == sorted(honoured, key=lambda tick: tick[:3])


def keeps_the_same(shell: Shell, outcome: Outcome) -> None:
    """Claims, rejections with their reasons, and the account."""
    store, world = shell.store, shell.world
    assert stored.kept(store, world) == stored.kept_by_oracle(outcome)
    mine, oracles = stored.rejected(store, world), stored.rejected_by_oracle(outcome)
    assert mine <= oracles
    nobodys = oracles - mine
    assert Counter(unit for unit, _ in nobodys.elements()) == stored.of_nobody(store)
    assert {refusal.reason for _, refusal in nobodys} <= {"unknown point"}
    assert stored.account(store) == stored.account_of_oracle(outcome)


def loses_nothing(shell: Shell) -> None:
    """What the doors put into the log is what the account received."""
    account = stored.account(shell.store)
    received = {key: sum(counts.values()) for key, counts in account.items()}
    assert received == stored.put_in(shell.world)


@given(worlds(), plans)
def test_steps_and_replays_change_nothing(world: World, plan: random.Random) -> None:
    """However the log falls into steps, with crashes and hand-overs, and however often it is read."""
    whole, replayed, cut = run(world).store, run(world).store, run(world, plan).store
    assert replayed.states == whole.states
    assert stored.tables(replayed) == stored.tables(whole)
    for name, one, other in zip(
        stored.Tables._fields, stored.tables(whole), stored.tables(cut), strict=True
    ):
        assert one == other, name


@given(worlds(), plans)
def test_saying_everything_again_changes_nothing(world: World, plan: random.Random) -> None:
    """A second delivery of every reading is counted, and moves no hour, gap or end."""
    once = run(world).store
    again = run(replace(world, log=(*world.log, *second_delivery(world))), plan).store
    assert stored.hours(again) == stored.hours(once)
    assert stored.tables(again).gaps == stored.tables(once).gaps
    for unit, state in once.states.items():
        assert again.states[unit].ends == state.ends
    for key, counts in stored.account(again).items():
        before = stored.account(once)[key]
        assert all(counts[name] == before[name] for name in ("accepted", "superseded"))


def second_delivery(world: World) -> Iterator[Entry]:
    """The sections of units that were registered from the start, after all others; no ticks."""
    registered = {unit.code for unit in world.configurations[1].registry.units}
    offsets = {partition: offset + 1 for partition, offset, _ in world.log}
    for partition, _, record in world.log:
        parts = record.body if isinstance(record.body, tuple) else ()
        own = [p for p in parts if isinstance(p, Section) and p.unit in registered]
        if own:
            offset = offsets[partition]
            offsets[partition] += 1
            body = tuple(replace(part, ticks=(), refused=()) for part in own)
            yield partition, offset, Record("law", 1, offset, body)


# Missing data.


@given(worlds(), plans)
def test_missing_data_makes_nobody_look_better(world: World, plan: random.Random) -> None:
    """Without some accepted identities no interval is narrower, and no verdict becomes PASS.

    Kept are identities that were rejected or withdrawn, and both readings of any event.
    """
    outcome = judged(world)
    rate = plan.choice([0.1, 0.5, 0.9])
    lost = {identity for identity in missing.that_may_be_lost(outcome) if plan.random() < rate}
    rich, poor = run(world, plan), run(missing.without(world, lost), plan)
    all_told, less_told = stored.told(rich.store), stored.told(poor.store)
    assert missing.narrower(less_told, all_told)[:3] == []
    assert missing.better_limits(less_told, all_told)[:3] == []
    for unit, start, end in spans(world, plan):
        if unit in outcome.histories:
            wide = engine_span(poor, unit, start, end).amounts
            for name, narrow in engine_span(rich, unit, start, end).amounts.items():
                assert missing.contains(wide[name], narrow), (unit, name, start, end)
    for target in ("energy", "co2"):
        before, after = (missing.verdicts(outcome, one, target) for one in (all_told, less_told))
        assert [place for place in after if after[place] == "PASS" != before[place]] == []


# Sums.


@given(worlds(), plans)
def test_energy_is_additive(world: World, plan: random.Random) -> None:
    """Best and times of a span are the sums of its parts'; its bounds are at least as sharp."""
    shell = run(world, plan)
    for unit, start, end in spans(world, plan):
        if unit not in shell.engine.state.index:
            continue
        hours = min((end - start) // HOUR_MS, 24)
        inner = {start + plan.randint(0, hours) * HOUR_MS for _ in range(plan.choice([1, 3, 30]))}
        edges = sorted({start, *inner, end})
        parts = [engine_sums(shell, unit, a, b) for a, b in pairwise(edges)]
        whole = engine_sums(shell, unit, start, end)
        for name in ("best", "open_best", "measured", "expected", "all_hours"):
            total = sum(getattr(part, name) for part in parts)
            assert (total == getattr(whole, name)).all(), (unit, name, edges)
        assert (sum(part.low for part in parts) <= whole.low).all()
        assert (sum(part.high for part in parts) >= whole.high).all()
