"""All that is told at one hour: sums by scope, standings of targets, levels that changed, and the messages that say so."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from processors.aggregation import Member, Span, Told, spans_due, summed
from processors.energies import NetOf, OfUnit, by_scope, deducted
from processors.ledger import EMPTY, Ledger
from processors.standings import (
    Level,
    Stand,
    cause_of,
    change_of,
    level_after,
    stand_of,
    told_standing,
)
from schemas.calendar import year_start
from schemas.double_control import Amount
from schemas.indicator import LevelTold, Version
from schemas.regions import LevelChange, RegionTold, Standing, Window
from schemas.section import partition_of
from schemas.targets import Target, TargetVersion

NONE_YET = Level(None, "", None)


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known at an hour: who there is, what each had told of the spans that matter, and the targets in force."""

    hour: int
    members: Sequence[Member]
    told: Mapping[Span, Told]
    targets: TargetVersion | None
    ledger: Ledger = EMPTY


@dataclass(frozen=True, slots=True)
class Judged:
    """A target at an hour, as it is kept."""

    stand: Stand
    level: Level
    said: Standing


@dataclass(frozen=True, slots=True)
class HourRows:
    """What one hour adds."""

    windows: Mapping[Span, Mapping[str, Window]]
    deducted: Mapping[Span, Mapping[str, OfUnit]]
    """Of units, by each of the figures that is net of something."""
    deducted_sums: Mapping[Span, Mapping[tuple[str, NetOf], Amount]]
    judged: tuple[Judged, ...]
    messages: tuple[RegionTold, ...]


def spans_of(hour: int, touched: Iterable[Span], news: TargetVersion | None) -> list[Span]:
    """What an hour looks at: `news` are targets that hold from this hour on, and are judged at once for the years that have begun."""
    years = (
        set()
        if news is None
        else {
            Span("year", year_start(target.year), year_start(target.year + 1))
            for target in news.targets.targets
        }
    )
    return spans_due(hour, {*touched, *years})


def rows_of(before: Scene, after: Scene, levels: Mapping[str, Level]) -> HourRows:
    """One hour's rows. `before` is the hour before, of the same spans; `levels` those that targets stood at then."""
    joined = _joined(after.targets)
    windows = {
        span: summed(after.members, told, span, after.hour, joined)
        for span, told in sorted(after.told.items())
    }
    of_units = {
        span: deducted(after.members, told, span, after.hour, after.ledger)
        for span, told in sorted(after.told.items())
    }
    sums = {span: by_scope(after.members, its, joined) for span, its in of_units.items()}
    judged = tuple(_judged(before, after, levels))
    messages = tuple(_messages(after.hour, windows, judged))
    return HourRows(windows, of_units, sums, judged, messages)


def _joined(targets: TargetVersion | None) -> list[str]:
    """Scopes that a target names and the tree does not have."""
    named = () if targets is None else targets.targets.targets
    return sorted({target.scope for target in named if "+" in target.scope})


def _judged(before: Scene, after: Scene, levels: Mapping[str, Level]) -> Iterable[Judged]:
    for target in () if after.targets is None else after.targets.targets.targets:
        told = _of_year(after, target)
        if told is None or after.targets is None:
            continue
        stand = stand_of(after.targets, target, after.members, told, after.hour, after.ledger)
        was = levels.get(target.id, NONE_YET)
        level = level_after(stand, was.last_known)
        changed = None
        if target.id in levels and level.level != was.level:
            changed = _change(before, stand, was, level)
        yield Judged(stand, level, told_standing(stand, level, changed))


def _of_year(scene: Scene, target: Target) -> Told | None:
    start = year_start(target.year)
    found = (told for span, told in scene.told.items() if span[:2] == ("year", start))
    return next(found, None)


def _change(before: Scene, stand: Stand, was: Level, level: Level) -> LevelChange | None:
    """None where the target was not there the hour before: another one of its name."""
    targets = before.targets
    named = () if targets is None else targets.targets.targets
    old = next((target for target in named if target.id == stand.target.id), None)
    if targets is None or old is None or subject(old) != subject(stand.target):
        return None
    told = _of_year(before, old) or {}
    earlier = stand_of(targets, old, before.members, told, before.hour, before.ledger)
    return change_of(earlier, stand, was.level, level.level)


def subject(target: Target) -> tuple[str, int, str, str]:
    """What a target is about: one of the same name about something else begins anew."""
    return target.scope, target.year, target.quantity, target.covers


def level_messages(
    rows: HourRows, hour: int, *, generation: int, partitions: int
) -> Iterable[LevelTold]:
    """Where each target stands, for the alerts: in the partition of its name, versioned by the hour."""
    for one in rows.judged:
        target = one.stand.target
        told = LevelTold(
            target=target.id,
            scope=target.scope,
            version=Version(generation=generation, partition=0, offset=hour, position=0),
            as_of=hour,
            cause=cause_of(one.said.changed),
            standing=one.said,
        )
        place = {"partition": partition_of(told.subject, partitions)}
        yield told.model_copy(update={"version": told.version.model_copy(update=place)})


def _messages(
    hour: int, windows: Mapping[Span, Mapping[str, Window]], judged: Iterable[Judged]
) -> Iterable[RegionTold]:
    by_scope: dict[str, list[Window]] = defaultdict(list)
    for of_span in windows.values():
        for scope, window in of_span.items():
            by_scope[scope].append(window)
    standings: dict[str, list[Standing]] = defaultdict(list)
    for one in judged:
        standings[one.stand.target.scope].append(one.said)
    for scope in sorted(by_scope.keys() | standings.keys()):
        yield RegionTold(
            scope=scope,
            hour=hour,
            windows=tuple(by_scope[scope]),
            standings=tuple(standings[scope]),
        )
