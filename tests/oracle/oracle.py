"""The oracle: what RULES.md says of a whole log, in plain Python over all of it at once.

    outcome = judge_log(log, configurations, pack, partitions=8)
    outcome.claims[unit], outcome.rejected[unit], outcome.account[unit, day]
    outcome.ticks[i], outcome.at_tick(i)[unit]
    window_figures(outcome.world(unit), start, end)

It imports of ours nothing but `schemas`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from oracle_claims import (
    Claim,
    Class,
    Reading,
    Refusal,
    class_on_arrival,
    readings,
    refusal,
    winner,
)
from oracle_figures import (
    Figure,
    Judged,
    Window,
    World,
    fails,
    judge,
    quarter_hours,
    window_around,
    window_figures,
)
from oracle_pieces import Amount, course
from schemas.calendar import business_day
from schemas.factors import FactorPack
from schemas.registry import Configuration, Point, Unit
from schemas.section import (
    ApplyConfiguration,
    HistoryEnds,
    Record,
    Section,
    Tick,
    Unreadable,
    partition_of,
)

__all__ = [
    "Amount",
    "Claim",
    "Figure",
    "HonouredTick",
    "Judged",
    "Log",
    "Outcome",
    "Refusal",
    "Window",
    "World",
    "judge_log",
    "quarter_hours",
    "window_figures",
]

Log = Sequence[tuple[int, int, Record]]
"""(partition, offset, record), in the order of each partition's offsets."""

CLASSES: tuple[Class, ...] = ("accepted", "repeated", "superseded", "rejected", "unreadable")


class HonouredTick(NamedTuple):
    """A tick that was not ignored."""

    partition: int
    offset: int
    position: int
    """Its number among all ticks of its record, honoured or not, from 0."""
    at: int
    unit: str | None
    """The unit in history whose section held it, or None: the partition's live units."""


@dataclass
class History:
    """What one registered unit was told, in the order of arrival."""

    unit: Unit
    live: bool
    points: dict[str, Point]
    kept: list[Claim] = field(default_factory=list)
    """Accepted and superseded claims."""
    by_identity: dict[tuple[str, str, int], list[Claim]] = field(
        default_factory=lambda: defaultdict(list)
    )
    too_fast: list[Claim] = field(default_factory=list)
    last_tick: int | None = None

    def heard(self) -> "Heard":
        """How much it was told so far."""
        return Heard(len(self.kept), len(self.too_fast))


class Heard(NamedTuple):
    """A prefix of a unit's history."""

    kept: int
    too_fast: int


@dataclass
class Outcome:
    """What a log comes to."""

    pack: FactorPack
    claims: dict[str, list[Claim]] = field(default_factory=lambda: defaultdict(list))
    """By unit: accepted and superseded."""
    rejected: dict[str, list[Refusal]] = field(default_factory=lambda: defaultdict(list))
    """By unit, with repetitions; a door's refused readings are only in the account."""
    account: dict[tuple[str, str], dict[str, int]] = field(default_factory=dict)
    """By unit and business day of received_at: the five classes, and `received`."""
    ticks: list[HonouredTick] = field(default_factory=list)
    scopes: list[dict[str, Heard]] = field(default_factory=list)
    """For each honoured tick: the units it concerns, and what each had heard."""
    histories: dict[str, History] = field(default_factory=dict)
    _worlds: dict[tuple[str, Heard], World] = field(default_factory=dict)
    _fails: dict[tuple[str, int], bool] = field(default_factory=dict)

    @property
    def units(self) -> list[str]:
        """The registered units."""
        return sorted(self.histories)

    def at_tick(self, i: int) -> dict[str, Judged]:
        """Every unit that honoured tick `i` concerns, as it is there."""
        return {unit: self.judged(unit, i) for unit in self.told_at(i)}

    def told_at(self, i: int) -> list[str]:
        """The units that honoured tick `i` concerns: a point's validity begins before it."""
        return [unit for unit in self.scopes[i] if self._concerns(unit, i)]

    def _concerns(self, unit: str, i: int) -> bool:
        return unit in self.scopes[i] and self.histories[unit].unit.begins < self.ticks[i].at

    def judged(self, unit: str, i: int) -> Judged:
        """One unit at honoured tick `i`; the since of a FAIL is that of the tick that found it."""
        found = self.became_fail(unit, i)
        return judge(self.world_at(unit, i), self.ticks[i].at, found)

    def became_fail(self, unit: str, i: int) -> tuple[World, int] | None:
        """Of the unit's ticks of one year that are FAIL without a break up to `i`: the first."""
        first = None
        year = window_around("year", self.ticks[i].at - 1)
        for j in range(i, -1, -1):
            if not self._concerns(unit, j):
                continue
            at = self.ticks[j].at
            if window_around("year", at - 1) != year or not self.fails(unit, j):
                break
            first = self.world_at(unit, j), at
        return first

    def fails(self, unit: str, i: int) -> bool:
        """Whether the unit's verdict at honoured tick `i` is FAIL."""
        if (unit, i) not in self._fails:
            self._fails[unit, i] = fails(self.world_at(unit, i), self.ticks[i].at)
        return self._fails[unit, i]

    def world_at(self, unit: str, i: int) -> World:
        """One unit as the log before honoured tick `i` says it is."""
        return self._world(unit, self.scopes[i][unit])

    def world(self, unit: str) -> World:
        """One unit as the whole log says it is."""
        return self._world(unit, self.histories[unit].heard())

    def _world(self, unit: str, heard: Heard) -> World:
        if (unit, heard) not in self._worlds:
            self._worlds[unit, heard] = world_of(self.histories[unit], heard, self.pack)
        return self._worlds[unit, heard]

    def count(self, unit: str, received_at: int, kind: Class, times: int = 1) -> None:
        """Count readings of one class, on the business day of received_at."""
        if times:
            counts = self.account.setdefault(
                (unit, business_day(received_at)), dict.fromkeys(("received", *CLASSES), 0)
            )
            counts[kind] += times
            counts["received"] += times


def world_of(history: History, heard: Heard, pack: FactorPack) -> World:
    """The courses of all points by the winners of a prefix."""
    primary = {point.name: point.statement for point in history.unit.points}
    by_identity: dict[tuple[str, str, int], list[Claim]] = defaultdict(list)
    for claim in history.kept[: heard.kept]:
        if claim.statement == primary[claim.point]:
            by_identity[claim.identity].append(claim)
    winners: dict[str, list[Claim]] = defaultdict(list)
    for claims in by_identity.values():
        if won := winner(claims):
            winners[won.point].append(won)
    fast: dict[str, list[Claim]] = defaultdict(list)
    for claim in history.too_fast[: heard.too_fast]:
        if claim.statement == primary[claim.point]:
            fast[claim.point].append(claim)
    courses = {
        point.name: course(point, winners[point.name], fast[point.name])
        for point in history.unit.points
    }
    return World(history.unit, pack, courses)


def judge_log(
    log: Log, configurations: Mapping[int, Configuration], pack: FactorPack, partitions: int
) -> Outcome:
    """What the log comes to."""
    outcome = Outcome(pack)
    last_tick: dict[int, int] = {}
    for partition, offset, record in log:
        match record.body:
            case ApplyConfiguration(version):
                _register(outcome, configurations[version], partition, partitions)
            case HistoryEnds(unit):
                if (history := _own(outcome, unit, partition, partitions)) is not None:
                    history.live = True
            case Tick(at):
                if partition not in last_tick or at > last_tick[partition]:
                    last_tick[partition] = at
                    live = (
                        h
                        for u, h in outcome.histories.items()
                        if h.live and partition_of(u, partitions) == partition
                    )
                    _honour(outcome, HonouredTick(partition, offset, 0, at, None), live)
            case parts:
                _take(outcome, parts, partition, offset, partitions)
    return outcome


def _register(
    outcome: Outcome, configuration: Configuration, partition: int, partitions: int
) -> None:
    """Register the partition's units of a configuration; one that is known is left alone."""
    for unit in configuration.registry.units:
        if partition_of(unit.code, partitions) == partition and unit.code not in outcome.histories:
            points = {point.name: point for point in unit.points}
            outcome.histories[unit.code] = History(unit, not unit.history, points)


def _own(outcome: Outcome, unit: str, partition: int, partitions: int) -> History | None:
    """A unit that is registered in this partition."""
    return outcome.histories.get(unit) if partition_of(unit, partitions) == partition else None


def _honour(outcome: Outcome, tick: HonouredTick, histories: Iterable[History]) -> None:
    """Note the tick and what each unit that it is newer for has heard."""
    scope = {}
    for history in histories:
        if history.last_tick is None or tick.at > history.last_tick:
            history.last_tick = tick.at
            scope[history.unit.code] = history.heard()
    outcome.ticks.append(tick)
    outcome.scopes.append(scope)


def _take(
    outcome: Outcome,
    parts: Sequence[Section | Unreadable],
    partition: int,
    offset: int,
    partitions: int,
) -> None:
    """Take the sections of a record in order; its ticks are numbered through."""
    position = 0
    for part in parts:
        if isinstance(part, Unreadable):
            outcome.count(part.unit, part.received_at, "unreadable")
            continue
        history = _own(outcome, part.unit, partition, partitions)
        outcome.count(part.unit, part.received_at, "rejected", len(part.refused))
        for item in in_order(part):
            if isinstance(item, Reading):
                _hear(outcome, part.unit, history, item)
                continue
            if (
                history is not None
                and not history.live
                and (history.last_tick is None or item > history.last_tick)
            ):
                _honour(
                    outcome, HonouredTick(partition, offset, position, item, part.unit), [history]
                )
            position += 1


def in_order(section: Section) -> Iterator[Reading | int]:
    """The readings and ticks of a section: a tick stands after `position` of the readings."""
    ticks = sorted(section.ticks, key=lambda tick: tick[0])
    done = 0
    for i, reading in enumerate(readings(section)):
        while done < len(ticks) and ticks[done][0] <= i:
            yield ticks[done][1]
            done += 1
        yield reading
    for _, at in ticks[done:]:
        yield at


def _hear(outcome: Outcome, unit: str, history: History | None, reading: Reading) -> None:
    """Take one reading: reject it, or give it its class and keep it unless it is repeated."""
    known, points, live = (
        (None, {}, False) if history is None else (history.unit, history.points, history.live)
    )
    claim = reading.claim
    reason = refusal(known, points, reading, live=live)
    if history is None or reason is not None:
        outcome.rejected[unit].append(Refusal(claim, reason or "unknown point"))
        outcome.count(unit, reading.received_at, "rejected")
        if history is not None and reason == "faster than rated":
            history.too_fast.append(claim)
        return
    kept = history.by_identity[claim.identity]
    kind = class_on_arrival(claim, kept)
    outcome.count(unit, reading.received_at, kind)
    if kind != "repeated":
        kept.append(claim)
        history.kept.append(claim)
        outcome.claims[unit].append(claim)
