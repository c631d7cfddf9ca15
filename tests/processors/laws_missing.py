"""Logs with less in them, for the law of missing data."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from oracle import Figure, Outcome, named
from oracle import World as UnitWorld
from oracle_lines import LineFigure
from oracle_pieces import Amount
from schemas.calendar import window_start
from schemas.indicator import Verdict
from schemas.registry import STATEMENTS
from schemas.section import Section
from tests.processors.laws_oracle import Message, Place
from tests.processors.laws_stored import kept_by_oracle, rejected_by_oracle
from tests.processors.worlds import Entry, World

Identity = tuple[str, str, str, int]
"""Unit, point, statement, instant."""
COLUMNS = ("point", "statement", "unit_of_measure", "rank", "revision", "sent_at", "flags")


def that_may_be_lost(outcome: Outcome) -> list[Identity]:
    """Accepted identities, but for those rejected or withdrawn, both readings of any event, and what a total contradicts."""
    kept = list(kept_by_oracle(outcome))
    spared = {(unit, *refusal.claim.identity) for unit, refusal in rejected_by_oracle(outcome)}
    spared |= {(unit, *claim.identity) for unit, claim in kept if claim.value is None}
    spared |= set(of_events(outcome)) | set(too_fast_since(outcome))
    found = {(unit, *claim.identity) for unit, claim in kept} - spared
    return sorted(found - set(disputed(outcome, found)))


def too_fast_since(outcome: Outcome) -> Iterator[Identity]:
    """What counted once and is too fast under a later entry: rejected, in the end."""
    for unit, history in outcome.histories.items():
        for epoch in history.epochs:
            for claim in epoch.too_fast:
                yield unit, *named(claim, epoch).identity


def disputed(outcome: Outcome, identities: set[Identity]) -> Iterator[Identity]:
    """Those in a span whose total contradicted them at any tick, or does in the end."""
    spans = defaultdict(set)
    for world in every_world(outcome):
        for course in world.courses.values():
            spans[world.unit.code, course.point.name, course.point.statement].update(
                course.disputed
            )
    for identity in identities:
        if any(start <= identity[3] < end for start, end in spans.get(identity[:3], ())):
            yield identity


def every_world(outcome: Outcome) -> Iterator[UnitWorld]:
    """Every unit at the end, and at each tick."""
    yield from (outcome.world(unit) for unit in outcome.units)
    for i, scope in enumerate(outcome.scopes):
        yield from (outcome.world_at(unit, i) for unit in scope)


def of_events(outcome: Outcome) -> Iterator[Identity]:
    """Both readings of each event that there was at any tick, or is in the end."""
    for world in every_world(outcome):
        for course in world.courses.values():
            for piece in course.pieces:
                if piece.kind == "event":
                    yield world.unit.code, course.point.name, "register", piece.start
                    yield world.unit.code, course.point.name, "register", piece.end


def without(world: World, lost: set[Identity]) -> World:
    """The world without these identities' readings; its ticks stand where they stood."""
    return replace(world, log=tuple(_poorer_entry(entry, lost) for entry in world.log))


def _poorer_entry(entry: Entry, lost: set[Identity]) -> Entry:
    partition, offset, record = entry
    if not isinstance(record.body, tuple):
        return entry
    parts = [_poorer(p, lost) if isinstance(p, Section) else p for p in record.body]
    return partition, offset, replace(record, body=tuple(parts))


def _poorer(section: Section, lost: set[Identity]) -> Section:
    size = len(section)
    point = np.broadcast_to(section.point, size).tolist()
    statement = np.broadcast_to(section.statement, size).tolist()
    named = zip(point, statement, section.at.tolist(), strict=True)
    keep = np.array(
        [(section.unit, section.names[p], STATEMENTS[s], at) not in lost for p, s, at in named],
        np.bool_,
    )
    columns = {
        name: column[keep]
        for name in COLUMNS
        if not isinstance(column := getattr(section, name), int)
    }
    return replace(
        section,
        at=section.at[keep],
        value=section.value[keep],
        ticks=tuple((int(keep[:position].sum()), at) for position, at in section.ticks),
        **columns,
    )


def contains(wide: Amount | Figure | LineFigure, narrow: Amount | Figure | LineFigure) -> bool:
    """Whether one interval lies in the other; a high of None is above every number, a low of None below."""
    above = wide.high is None or (narrow.high is not None and narrow.high <= wide.high)
    return above and (wide.low is None or (narrow.low is not None and wide.low <= narrow.low))


def narrower(poor: dict[Place, Message], rich: dict[Place, Message]) -> list[str]:
    """Figures that poorer data tell more sharply, of windows told at the same tick."""
    return narrower_lines(poor, rich) + [
        f"{place} {window} {name}: {wide} in place of {narrow}"
        for place in poor.keys() & rich.keys()
        for window in poor[place].windows.keys() & rich[place].windows.keys()
        for name, narrow in rich[place].windows[window].figures.items()
        if not contains(wide := poor[place].windows[window].figures[name], narrow)
    ]


def narrower_lines(poor: dict[Place, Message], rich: dict[Place, Message]) -> list[str]:
    """The same of product lines. Without output there is no intensity: then only that it is not known better matters."""
    return [
        f"{place} {line} {window} {name}: {wide} in place of {narrow}"
        for place in poor.keys() & rich.keys()
        for line, windows in rich[place].lines.items()
        for window, figures in windows.items()
        if window in poor[place].lines[line]
        for name, narrow in figures.items()
        for wide in [poor[place].lines[line][window][name]]
        if not (wide.high is None if narrow.said else contains(wide, narrow))
    ]


def better_limits(poor: dict[Place, Message], rich: dict[Place, Message]) -> list[str]:
    """Product limits that a line keeps by poorer data alone."""
    return [
        f"{place} {window} {one.limit}: {one.verdict} in place of {other.verdict}"
        for place in poor.keys() & rich.keys()
        for window, limits in poor[place].limits.items()
        if window in rich[place].limits
        for one, other in zip(limits, rich[place].limits[window], strict=True)
        if one.verdict == "PASS" != other.verdict
    ]


def verdicts(
    outcome: Outcome, told: dict[Place, Message], target: str
) -> dict[Place, Verdict | None]:
    """The verdict on energy or CO2 that holds at each tick, as last told of its year."""
    last: dict[tuple[str, int], Verdict | None] = {}
    found: dict[Place, Verdict | None] = {}
    for i, tick in enumerate(outcome.ticks):
        year = window_start("year", tick.at - 1)
        for unit in outcome.told_at(i):
            place = (tick.partition, tick.offset, tick.position, unit)
            if place in told:
                held = told[place].windows["year", year].standings.get(target)
                last[unit, year] = None if held is None else held.verdict
            found[place] = last.get((unit, year))
    return found
