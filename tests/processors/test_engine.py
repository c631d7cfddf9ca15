"""What the laws found, by hand: one log each, small enough to read."""

import random
from dataclasses import replace

import pytest

from schemas.indicator import Indicator
from schemas.section import WITHDRAWN, Body, HistoryEnds, Record, Section, partition_of
from tests.processors.laws_shell import Shell
from tests.processors.laws_stored import LINE, lines
from tests.processors.worlds import (
    BEGIN,
    DAY_MS,
    HOUR_MS,
    PARTITIONS,
    ApplyConfiguration,
    Entry,
    Packing,
    Said,
    World,
    configuration,
    point,
    unit,
)

UNIT = unit(point(statement="PT1H", digits=None))
OWN = partition_of(UNIT.code, PARTITIONS)
KWH = 10**6


def hour(number: int, value: int = 50, **told: int) -> Said:
    """The amount of an hour after validity began."""
    at = BEGIN + number * HOUR_MS
    return replace(Said(UNIT.code, "P0", "PT1H", at, value * KWH, rank=3), **told)  # type: ignore[arg-type]


def section(*said: Said, tick: int | None = None, message: str = "") -> Section:
    """Readings as one section; `tick`: the hour that is judged after them."""
    packing = Packing(random.Random(1), {}, BEGIN)
    ticks = () if tick is None else ((len(said), BEGIN + tick * HOUR_MS),)
    return replace(
        packing.section(UNIT.code, list(said), BEGIN + 9 * DAY_MS, ticks),
        refused=(),
        messages=(message,),
        message=0,
    )


def world(*bodies: tuple[int, Body]) -> World:
    """One unit, and what comes in which partition after it is registered in its own."""
    log: list[Entry] = []
    for partition, body in ((OWN, ApplyConfiguration(1)), *bodies):
        offset = sum(earlier == partition for earlier, _, _ in log)
        log.append((partition, offset, Record("door", 1, offset, body)))
    return World({1: configuration(1, [UNIT])}, tuple(log))


def told(shell: Shell) -> list[Indicator]:
    """What the unit was told."""
    messages = map(LINE.validate_json, lines(shell.store))
    return [message for message in messages if isinstance(message, Indicator)]


def test_what_is_undone_before_the_tick_was_late_all_the_same() -> None:
    """A claim of an hour long judged, and its withdrawal: the cause is no matter of steps."""
    wrong = hour(1, 60, rank=5)
    log = world(
        (OWN, (section(hour(0), hour(1), hour(2), tick=3),)),
        (OWN, (section(wrong),)),
        (OWN, (section(replace(wrong, value=0, flags=WITHDRAWN)),)),
        (OWN, (section(tick=4),)),
    )
    for shell in (Shell(log).run(), Shell(log).run_one_by_one()):
        assert [message.cause for message in told(shell)] == ["reading", "late reading"]


def test_a_day_told_at_its_very_end_is_told_again_when_it_changes() -> None:
    """Its last hour comes after midnight's tick: at the next full hour the day has it."""
    log = world(
        (OWN, (section(*map(hour, range(23)), tick=24),)),
        (OWN, (section(hour(23), hour(24), tick=25),)),
    )
    days = [
        window.figures["electricity"].low // KWH
        for message in told(Shell(log).run())
        for window in message.windows
        if (window.window, window.start) == ("day", BEGIN)
    ]
    assert days == [23 * 50, 24 * 50]


@pytest.mark.parametrize(("partition", "history"), [(OWN, False), (1 - OWN, True)])
def test_history_ends_in_the_units_own_partition(partition: int, history: bool) -> None:  # noqa: FBT001 - a table
    """What another partition says of it is of nobody, whichever partitions a worker holds."""
    shell = Shell(world((partition, HistoryEnds(UNIT.code)))).run()
    assert shell.store.states[UNIT.code].live is not history
