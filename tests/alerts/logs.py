"""Indicator logs for tests: written by hand, or drawn."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from alerts.state import Partition, advance
from schemas.alert import Transition
from schemas.calendar import HOUR_MS, window_end, year_start
from schemas.indicator import (
    Cause,
    Figure,
    Indicator,
    Judged,
    Message,
    Silent,
    Told,
    Verdict,
    Version,
)
from schemas.rule import Kind, Rule, Rules

UNIT = "915100000000000001"
OTHER = "915100000000000002"
PAST = "915100000000000003"
START = year_start(2026) + 1_000 * HOUR_MS
MINUTE = 60_000
LIMIT = 1_000_000_000


def version(offset: int, partition: int = 0) -> Version:
    return Version(generation=1, partition=partition, offset=offset, position=0)


def energy(low: int, best: int, high: int | None, **other: object) -> Figure:
    return Figure.model_validate(
        {"unit_of_measure": "tce", "low": low, "best": best, "high": high}
        | {"share_measured": 987_000, "factors": ("electricity.2026",)}
        | other
    )


FIGURES: dict[str, tuple[Verdict, bool, Figure]] = {
    ".": ("PASS", False, energy(LIMIT - 30, LIMIT - 20, LIMIT - 10)),
    "x": ("FAIL", False, energy(LIMIT + 10, LIMIT + 20, LIMIT + 30)),
    "s": ("UNDECIDABLE", True, energy(LIMIT - 10, LIMIT + 5, LIMIT + 30)),
    "u": ("UNDECIDABLE", False, energy(LIMIT - 30, LIMIT - 5, LIMIT + 10)),
}
"""By one character: passed, failed, suspected, undecidable."""


def judged(mark: str, at: int, *, year: int = 2026, limit: int | None = LIMIT) -> Judged:
    verdict, suspected, figure = FIGURES[mark]
    start = year_start(year)
    return Judged(
        window="year",
        start=start,
        end=window_end("year", start),
        figures={"energy": figure},
        limit=limit,
        verdict=None if limit is None else verdict,
        reason="missing data" if verdict == "UNDECIDABLE" else None,
        since=at - 15 * MINUTE if verdict == "FAIL" else None,
        suspected=suspected,
    )


def indicator(
    offset: int,
    at: int,
    mark: str,
    *,
    unit: str = UNIT,
    cause: Cause = "reading",
    silent: Sequence[str] = (),
    history: bool = False,
    year: int = 2026,
    limit: int | None = LIMIT,
) -> Indicator:
    return Indicator(
        unit=unit,
        version=version(offset),
        as_of=at,
        cause=cause,
        configuration=1,
        windows=(judged(mark, at, year=year, limit=limit),),
        silent=tuple(Silent(point=name, since=at - HOUR_MS) for name in silent),
        history=history,
    )


def tick(offset: int, at: int, unit: str | None = None) -> Told:
    return Told(version=version(offset), as_of=at, unit=unit)


def told(log: Sequence[Message], rules: Rules) -> tuple[Transition, ...]:
    return advance(Partition(), log, rules).transitions


@dataclass(frozen=True)
class Log:
    """A drawn log without repeats, and rules for it."""

    messages: tuple[Message, ...]
    rules: Rules


HOLDS = st.sampled_from(["PT0S", "PT15M", "PT30M", "PT1H", "PT3H", "P1D"])
KINDS_BY_NAME: dict[str, Kind] = {
    "confirmed": "confirmed breach",
    "suspected": "suspected breach",
    "unjudged": "cannot be judged",
    "silent": "silent points",
}
UNITS = st.sampled_from([("*",), ("*1", "*3"), ("91510000000000000?",)])


def rules_of(hold: str, recover_hold: str, units: tuple[str, ...]) -> Rules:
    return tuple(
        Rule(
            name=name,
            kind=kind,
            severity="warning",
            hold=hold,
            recover_hold=recover_hold,
            units=units,
        )
        for name, kind in KINDS_BY_NAME.items()
    )


RULES = st.builds(rules_of, HOLDS, HOLDS, UNITS)

STRIDES = [MINUTE, 15 * MINUTE, 30 * MINUTE, HOUR_MS, 5 * HOUR_MS, 30 * HOUR_MS]
CAUSES: list[Cause] = ["time", "reading", "late reading"]

# What an indicator says, in one number, so that a log is drawn fast: mark, cause, silent, limit.
SAYS = [
    (mark, cause, silent, limit)
    for limit in (LIMIT, LIMIT, LIMIT, LIMIT + 5, None)
    for silent in ((), (), ("p1",), ("p1", "p2"))
    for cause in CAUSES
    for mark in FIGURES
]
SAID = st.one_of(st.none(), st.integers(0, len(SAYS) - 1))
TICKS = st.tuples(
    st.sampled_from(["live", "live", "live", "past", "past", "ends"]),
    st.sampled_from(STRIDES),
    st.tuples(SAID, SAID, SAID),
)


def log_of(ticks: Sequence[tuple[str, int, tuple[int | None, ...]]], rules: Rules) -> Log:
    """One partition: live units under one time, and one in history under its own until it ends."""
    live_at, past_at = START, START - 1_000 * HOUR_MS
    in_history = True
    messages: list[Message] = []
    for offset, (kind, stride, says) in enumerate(ticks):
        if kind == "ends":
            in_history = False
        elif kind == "past" and in_history:
            past_at += stride
            messages += _said(offset, past_at, (PAST,), says, history=True)
            messages.append(tick(offset, past_at, PAST))
        else:
            live_at += stride
            units = (UNIT, OTHER) if in_history else (UNIT, OTHER, PAST)
            messages += _said(offset, live_at, units, says, history=False)
            messages.append(tick(offset, live_at))
    return Log(tuple(messages), rules)


def _said(
    offset: int,
    at: int,
    units: Sequence[str],
    says: Sequence[int | None],
    *,
    history: bool,
) -> Iterator[Indicator]:
    for unit, choice in zip(units, says, strict=False):
        if choice is not None:
            mark, cause, silent, limit = SAYS[choice]
            yield indicator(
                offset,
                at,
                mark,
                unit=unit,
                cause=cause,
                silent=silent,
                history=history,
                limit=limit,
            )


LOGS = st.builds(log_of, st.lists(TICKS, min_size=1, max_size=25), RULES)


@st.composite
def repeated(draw: st.DrawFn, messages: Sequence[Message]) -> list[Message]:
    """The log as it may arrive: each message first in its order, and parts of the past again."""
    again = draw(
        st.lists(
            st.tuples(*[st.integers(0, len(messages))] * 3).map(sorted).map(tuple),
            max_size=6,
        )
    )
    arrived: list[Message] = []
    for position in range(len(messages) + 1):
        for first, last, after in again:
            if after == position:
                arrived.extend(messages[first:last])
        arrived.extend(messages[position : position + 1])
    return arrived


def seeded_log(seed: int, *, partition: int, ticks: int) -> list[Message]:
    """A long log of one partition: live units, one in history until half-way, everything mixed."""
    choose = random.Random(seed * 1_000 + partition)
    drawn = [
        (
            "ends" if tick == ticks // 2 else choose.choice(["live", "live", "past"]),
            choose.choice(STRIDES[1:4]),
            tuple(choose.choice([None, None, choose.randrange(len(SAYS))]) for _ in range(3)),
        )
        for tick in range(ticks)
    ]
    return [_moved(message, partition) for message in log_of(drawn, ()).messages]


def _moved(message: Message, partition: int) -> Message:
    """The same for units of their own, in another partition."""

    def renamed(unit: str) -> str:
        return f"{unit[:-4]}P{partition:02d}{unit[-1]}"

    told_in = {"version": message.version.model_copy(update={"partition": partition})}
    if message.unit is None:
        return message.model_copy(update=told_in)
    return message.model_copy(update=told_in | {"unit": renamed(message.unit)})
