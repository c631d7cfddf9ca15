"""The oracle: what RULES.md says of a whole log, in plain Python over all of it at once.

    outcome = judge_log(log, configurations, pack, partitions=8)
    outcome.claims[unit], outcome.rejected[unit], outcome.account[unit, day]
    outcome.ticks[i], outcome.at_tick(i)[unit]
    window_figures(outcome.world(unit), start, end)

It imports of ours nothing but `schemas`.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from oracle_claims import (
    Claim,
    Class,
    Reading,
    Refusal,
    class_on_arrival,
    impossible,
    readings,
    refusal,
    winner,
)
from oracle_co2 import cell_of, converted_by
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
from schemas.factors import FactorPack, Target
from schemas.law import LawInForce
from schemas.registry import Configuration, Point, Unit
from schemas.section import (
    NEVER,
    ApplyConfiguration,
    HistoryEnds,
    Record,
    Restated,
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

TARGETS: tuple[Target, ...] = ("energy", "co2")
CLASSES: tuple[Class, ...] = ("accepted", "repeated", "superseded", "rejected", "unreadable")


class HonouredTick(NamedTuple):
    """A tick that was not ignored, or a control record that tells units anew what changed."""

    partition: int
    offset: int
    position: int
    """Its number among all ticks of its record, honoured or not, from 0."""
    at: int
    unit: str | None
    """The unit in history whose section held it, or None: the partition's live units."""
    anew: frozenset[str] = frozenset()
    """Of a control record: the units that it tells in full, as of their last tick; nobody's time moves."""


class Said(NamedTuple):
    """A reading as it came, and whether it ever counted."""

    reading: Reading
    counted: bool


@dataclass
class Epoch:
    """A unit under one entry, and what counts under it, in the order of arrival."""

    unit: Unit
    version: int
    pack: FactorPack
    kept: list[Claim] = field(default_factory=list)
    """Accepted and superseded claims; their point is the label of a meter."""
    by_identity: dict[tuple[str, str, int], list[Claim]] = field(
        default_factory=lambda: defaultdict(list)
    )
    too_fast: list[Claim] = field(default_factory=list)

    @property
    def meters(self) -> dict[str, Point]:
        """The unit's points by label: the name, of a further meter of that name with its number."""
        found: dict[str, Point] = {}
        for number, point in enumerate(self.unit.points):
            label = point.name if point.name not in found else f"{point.name}#{number}"
            found[label] = point
        return found

    def label(self, name: str, at: int) -> str | None:
        """Which meter a name means at an instant; None where the unit has none of that name."""
        mine = {label: point for label, point in self.meters.items() if point.name == name}
        if not mine:
            return None
        in_order = sorted(mine, key=lambda label: mine[label].begins)
        begun = [label for label in in_order if mine[label].begins <= at]
        return begun[-1] if begun else in_order[0]

    def keep(self, claim: Claim) -> bool:
        """Count a claim; False where it is one already."""
        if claim in self.by_identity[claim.identity]:
            return False
        self.by_identity[claim.identity].append(claim)
        self.kept.append(claim)
        return True


@dataclass
class History:
    """What one registered unit was told, in the order of arrival."""

    live: bool
    epochs: list[Epoch]
    """The last is the one in force."""
    waiting: tuple[int, Unit] | None = None
    """A configuration under which readings count otherwise, and its entry."""
    said: list[Said] = field(default_factory=list)
    declared: list[Claim] = field(default_factory=list)
    """Registers that its entries declared, by label."""
    stored: set[Claim] = field(default_factory=set)
    """Claims that have a row among those that count, by label."""
    stored_too_fast: set[Claim] = field(default_factory=set)
    last_tick: int | None = None
    law: int = 0
    """The configuration whose product limits its lines are held to."""

    @property
    def now(self) -> Epoch:
        """The unit as it is now."""
        return self.epochs[-1]

    @property
    def unit(self) -> Unit:
        """Its entry in force."""
        return self.now.unit

    def heard(self) -> "Heard":
        """How much it was told so far."""
        waits = None if self.waiting is None else self.waiting[0]
        last = len(self.epochs) - 1
        return Heard(last, len(self.now.kept), len(self.now.too_fast), waits, self.law)


class Heard(NamedTuple):
    """A prefix of a unit's history."""

    epoch: int
    kept: int
    too_fast: int
    waits: int | None
    law: int


@dataclass
class Outcome:
    """What a log comes to."""

    packs: dict[int, FactorPack]
    """What units are converted by, from a configuration on; 0: from the beginning."""
    laws: dict[int, LawInForce] = field(default_factory=dict)
    """Product limits that configurations brought."""
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
    _fails: dict[tuple[str, int, str], bool] = field(default_factory=dict)

    def pack_at(self, version: int) -> FactorPack:
        """The factors under a configuration: the last that came until then."""
        return self.packs[max(known for known in self.packs if known <= version)]

    def law_at(self, version: int) -> int:
        """The configuration that brought the limits of this one."""
        return max((known for known in self.laws if known <= version), default=0)

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
        if unit not in self.scopes[i]:
            return False
        entry = self.histories[unit].epochs[self.scopes[i][unit].epoch].unit
        return entry.begins < self.ticks[i].at

    def judged(self, unit: str, i: int) -> Judged:
        """One unit at honoured tick `i`; the since of a FAIL is that of the tick that found it."""
        found = self.became_fail(unit, i)
        return judge(self.world_at(unit, i), self.ticks[i].at, found)

    def became_fail(self, unit: str, i: int) -> tuple[World, int] | None:
        """Of the unit's ticks of one year, under one entry, that are FAIL without a break up to `i`: the first."""
        first, epoch = None, self.scopes[i][unit].epoch
        year = window_around("year", self.ticks[i].at - 1)
        for j in range(i, -1, -1):
            if not self._concerns(unit, j):
                continue
            if self.scopes[j][unit].epoch != epoch:
                break
            at = self.ticks[j].at
            if window_around("year", at - 1) != year or not self.fails(unit, j):
                break
            first = self.world_at(unit, j), at
        return first

    def fails(self, unit: str, i: int, target: str = "energy") -> bool:
        """Whether the unit's verdict at honoured tick `i` is FAIL."""
        if (unit, i, target) not in self._fails:
            found = fails(self.world_at(unit, i), self.ticks[i].at, target)
            self._fails[unit, i, target] = found
        return self._fails[unit, i, target]

    def world_at(self, unit: str, i: int) -> World:
        """One unit as the log before honoured tick `i` says it is."""
        return self._world(unit, self.scopes[i][unit])

    def world(self, unit: str) -> World:
        """One unit as the whole log says it is."""
        return self._world(unit, self.histories[unit].heard())

    def _world(self, unit: str, heard: Heard) -> World:
        if (unit, heard) not in self._worlds:
            self._worlds[unit, heard] = world_of(self.histories[unit], heard)
        return self._worlds[unit, heard]

    def count(self, unit: str, received_at: int, kind: Class, times: int = 1) -> None:
        """Count readings of one class, on the business day of received_at."""
        if times:
            counts = self.account.setdefault(
                (unit, business_day(received_at)), dict.fromkeys(("received", *CLASSES), 0)
            )
            counts[kind] += times
            counts["received"] += times


def world_of(history: History, heard: Heard) -> World:
    """The courses of all meters by the winners of a prefix."""
    epoch = history.epochs[heard.epoch]
    meters = epoch.meters
    by_identity: dict[tuple[str, str, int], list[Claim]] = defaultdict(list)
    for claim in epoch.kept[: heard.kept]:
        by_identity[claim.identity].append(claim)
    winners: dict[tuple[str, str], list[Claim]] = defaultdict(list)
    for claims in by_identity.values():
        if won := winner(claims):
            winners[won.point, won.statement].append(won)
    fast: dict[str, list[Claim]] = defaultdict(list)
    for claim in epoch.too_fast[: heard.too_fast]:
        if claim.statement == meters[claim.point].statement:
            fast[claim.point].append(claim)
    courses = {
        label: course(
            point,
            winners[label, point.statement],
            fast[label],
            winners[label, point.bounded_by] if point.bounded_by else (),
        )
        for label, point in meters.items()
    }
    return World(epoch.unit, epoch.pack, courses)


def judge_log(
    log: Log, configurations: Mapping[int, Configuration], pack: FactorPack, partitions: int
) -> Outcome:
    """What the log comes to."""
    laws = {version: one.law for version, one in configurations.items() if one.law is not None}
    outcome = Outcome({0: pack}, laws)
    last_tick: dict[int, int] = {}
    for partition, offset, record in log:
        match record.body:
            case ApplyConfiguration(version):
                changed = _apply(outcome, configurations[version], partition, partitions)
                _tell_anew(outcome, partition, offset, changed)
            case Restated(unit, version):
                history = _own(outcome, unit, partition, partitions)
                waits = history.waiting[0] if history and history.waiting else 0
                if history is not None and version in {0, waits}:
                    _restate(outcome, history)
                    _tell_anew(outcome, partition, offset, [history])
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


def _apply(
    outcome: Outcome, configuration: Configuration, partition: int, partitions: int
) -> list[History]:
    """Register the partition's new units of a configuration; of the others, those that it changes."""
    changed = []
    if configuration.factors is not None:
        pack = FactorPack(configuration.factors.version, configuration.factors.entries)
        outcome.packs[configuration.version] = pack
        mine = [h for u, h in outcome.histories.items() if partition_of(u, partitions) == partition]
        changed += [h for h in mine if _convert(h, pack, configuration.version)]
    for unit in configuration.registry.units:
        if partition_of(unit.code, partitions) != partition:
            continue
        history = outcome.histories.get(unit.code)
        if history is None:
            epoch = Epoch(unit, configuration.version, outcome.pack_at(configuration.version))
            outcome.histories[unit.code] = history = History(not unit.history, [epoch])
            history.law = outcome.law_at(configuration.version)
            _declare(outcome, history, None)
        elif _change(history, unit, configuration.version) and history not in changed:
            changed.append(history)
    if configuration.law is not None:
        for unit_code, history in outcome.histories.items():
            here = partition_of(unit_code, partitions) == partition
            if here and history.unit.lines and history.law < configuration.version:
                history.law = configuration.version
                if history not in changed:
                    changed.append(history)
    return changed


def _convert(history: History, pack: FactorPack, version: int) -> bool:
    """Let a unit wait that other factors convert otherwise, in any year."""
    waits = 0 if history.waiting is None else history.waiting[0]
    cells = {cell_of(point) for point in history.unit.points}
    differs = any(
        converted_by(history.unit, history.now.pack, cell, target, year)
        != converted_by(history.unit, pack, cell, target, year)
        for cell in cells
        for target in TARGETS
        if cell.counts(target)
        for year in range(1999, 2031)
    )
    if version <= max(history.now.version, waits) or not (waits or differs):
        return False
    history.waiting = version, history.waiting[1] if history.waiting else history.unit
    return True


def _change(history: History, unit: Unit, version: int) -> bool:
    """Take another entry of a unit: limits hold at once, readings count otherwise once it is restated."""
    waits = 0 if history.waiting is None else history.waiting[0]
    if version <= max(history.now.version, waits):
        return False
    is_burnt_otherwise = history.unit.heat_values != unit.heat_values
    if waits or is_burnt_otherwise or counts_otherwise(history.unit, unit):
        history.waiting = version, unit
        return True
    if unit == history.unit:
        return False
    history.epochs.append(replace(history.now, unit=unit, version=version))
    return True


def counts_otherwise(before: Unit, after: Unit) -> bool:
    """Whether readings count otherwise under an entry."""
    return (before.points, before.horizon_days) != (after.points, after.horizon_days)


def _restate(outcome: Outcome, history: History) -> None:
    """Judge everything again that was ever said, under the newest entry."""
    before, waited = history.now, history.waiting
    version, unit = waited or (before.version, before.unit)
    history.waiting = None
    history.law = max(history.law, outcome.law_at(version))
    if waited and not counts_otherwise(before.unit, unit):
        pack = outcome.pack_at(version)
        history.epochs.append(replace(before, unit=unit, version=version, pack=pack))
        return
    now = Epoch(unit, version, outcome.pack_at(version))
    history.epochs.append(now)
    said, history.said = history.said, []
    for reading, counted in said:
        label = now.label(reading.claim.point, reading.claim.at)
        reason = _again(history, reading, label, counted=counted)
        claim = reading.claim if label is None else reading.claim._replace(point=label)
        if reason is None:
            now.keep(claim)
            _store(outcome, history, claim)
        elif reason == "faster than rated":
            now.too_fast.append(claim)
            if claim not in history.stored | history.stored_too_fast:
                history.stored_too_fast.add(claim)
                outcome.rejected[unit.code].append(Refusal(named(claim, now), reason))
        history.said.append(Said(reading, counted or reason is None))
    _declare(outcome, history, before.unit)


def _again(history: History, reading: Reading, label: str | None, *, counted: bool) -> str | None:
    """Why a reading does not count now; what counted once is not too old."""
    points = {} if label is None else {reading.claim.point: history.now.meters[label]}
    return refusal(history.unit, points, reading, live=history.live and not counted)


def _declare(outcome: Outcome, history: History, before: Unit | None) -> None:
    """The registers that entries declare, each new one over those before; one that is declared no more is withdrawn."""
    entry, version = history.unit, history.now.version
    if before is None or before.points != entry.points:
        now = {(n, at): value for n, p in enumerate(entry.points) for at, value in p.declared()}
        old = before.points if before else ()
        gone = {(n, at) for n, p in enumerate(old) for at, _ in p.declared()} - now.keys()
        labels = list(history.now.meters)
        for (number, at), value in {**dict.fromkeys(gone), **now}.items():
            history.declared.append(Claim(labels[number], "register", at, 5, version, NEVER, value))
    for claim in history.declared:
        point = history.now.meters[claim.point]
        valid = point.begins <= claim.at and (point.ends is None or claim.at <= point.ends)
        if valid and impossible(point, claim) is None:
            history.now.keep(claim)
            _store(outcome, history, claim)


def _store(outcome: Outcome, history: History, claim: Claim) -> None:
    """What counts has a row."""
    if claim not in history.stored:
        history.stored.add(claim)
        outcome.claims[history.unit.code].append(named(claim, history.now))


def named(claim: Claim, epoch: Epoch) -> Claim:
    """A claim by the name of its meter."""
    return claim._replace(point=epoch.meters[claim.point].name)


def _tell_anew(outcome: Outcome, partition: int, offset: int, histories: Sequence[History]) -> None:
    """Note that these units are told what changed, as of their last tick."""
    for history in histories:
        if history.last_tick is not None:
            code = history.unit.code
            unit = None if history.live else code
            told = HonouredTick(partition, offset, 0, history.last_tick, unit, frozenset({code}))
            outcome.ticks.append(told)
            outcome.scopes.append({code: history.heard()})


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
    if history is None:
        outcome.rejected[unit].append(Refusal(reading.claim, "unknown point"))
        outcome.count(unit, reading.received_at, "rejected")
        return
    now = history.now
    label = now.label(reading.claim.point, reading.claim.at)
    points = {} if label is None else {reading.claim.point: now.meters[label]}
    reason = refusal(now.unit, points, reading, live=history.live)
    history.said.append(Said(reading, reason is None))
    claim = reading.claim if label is None else reading.claim._replace(point=label)
    if reason is not None:
        outcome.rejected[unit].append(Refusal(reading.claim, reason))
        outcome.count(unit, reading.received_at, "rejected")
        if reason == "faster than rated":
            now.too_fast.append(claim)
            history.stored_too_fast.add(claim)
        return
    kind = class_on_arrival(claim, now.by_identity[claim.identity])
    outcome.count(unit, reading.received_at, kind)
    if now.keep(claim):
        history.stored.add(claim)
        outcome.claims[unit].append(reading.claim)
