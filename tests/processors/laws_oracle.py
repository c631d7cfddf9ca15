"""What units must be told, tick by tick: RULES section 7 over the oracle's figures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from oracle import Epoch, Figure, HonouredTick, Outcome, Window, World, window_figures
from oracle_figures import TARGETS, Span, against, limit_of
from oracle_limits import LimitFigure, limits_of
from oracle_lines import LineFigure, LineTold, line_figures
from oracle_pieces import Course, Piece
from schemas.calendar import (
    HOUR_MS,
    KINDS,
    WindowKind,
    window_end,
    window_start,
    year_of,
    year_start,
)
from schemas.indicator import Judged, LineJudged, Reason, Verdict
from schemas.indicator import LineTold as LineMessage
from schemas.landing import REGIMES
from schemas.law import LawInForce
from schemas.registry import Unit

Place = tuple[int, int, int, str]
"""Partition, offset, position, unit."""
EARLIER: tuple[WindowKind, ...] = ("day", "month", "year")


class Standing(NamedTuple):
    """A verdict on a year."""

    verdict: Verdict | None = None
    reason: Reason | None = None
    since: int | None = None
    suspected: bool = False


UNTOLD = Standing()
Standings = dict[str, Standing]
"""Of energy against the quota, of CO2 against the budget."""


class Told(NamedTuple):
    """One window as told, by the oracle or by the engine."""

    end: int
    figures: dict[str, Figure]
    limits: tuple[int | None, ...] = (None, None)
    """Quota and budget."""
    standings: Standings = {}  # noqa: RUF012 - never changed
    view: str | None = None
    """That of the budget."""


Windows = dict[tuple[WindowKind, int], Told]
Limits = dict[tuple[str, WindowKind, int], list[LimitFigure]]
"""By line and window."""


class Message(NamedTuple):
    """What one unit is told at one tick."""

    as_of: int
    windows: Windows
    silent: dict[str, int]
    previous: Verdict | None
    history: bool
    configuration: int
    pending: int | None = None
    lines: dict[str, dict[tuple[WindowKind, int], LineTold]] = {}  # noqa: RUF012 - never changed
    limits: Limits = {}  # noqa: RUF012 - never changed


@dataclass
class Listener:
    """What one unit was told so far."""

    year: int = 0
    standings: Standings = field(default_factory=dict)
    silent: dict[str, int] = field(default_factory=dict)
    tick: int | None = None
    full: World | None = None
    """As it was when the last full hour was told."""
    ended: set[tuple[WindowKind, int]] = field(default_factory=set)
    """Windows that ended between two ticks since then, or had another limit."""
    epoch: Epoch | None = None
    law: int = 0
    broken: dict[tuple[str, WindowKind, int], dict[str, int]] = field(default_factory=dict)
    """Of lines' open windows: limits that are broken, and since when."""

    def change(self, epoch: Epoch, at: int) -> None:
        """Another entry: what it changes of earlier windows is told, all of them once restated."""
        before, self.epoch = self.epoch or epoch, epoch
        is_burnt_otherwise = epoch.unit.heat_values != before.unit.heat_values
        if epoch.kept is not before.kept or epoch.pack is not before.pack or is_burnt_otherwise:
            self.full = None
            return
        old, entry = before.unit, epoch.unit
        for year in declared_otherwise(old, entry):
            start = year_start(year)
            if start < window_start("year", at - 1) and window_end("year", start) > entry.begins:
                self.ended.add(("year", start))


def declared_otherwise(old: Unit, new: Unit) -> set[int]:
    """Years whose quota, budget or opening balances differ."""
    return {
        *(quota.year for quota in {*old.quotas} ^ {*new.quotas}),
        *(budget.year for budget in {*old.budgets} ^ {*new.budgets}),
        *(opening.year for opening in {*old.openings} ^ {*new.openings}),
    }


def messages(outcome: Outcome) -> dict[Place, Message]:
    """Everything that is told of a log, and nothing else."""
    listeners = {unit: Listener() for unit in outcome.units}
    found: dict[Place, Message] = {}
    for i, tick in enumerate(outcome.ticks):
        for unit in outcome.told_at(i):
            message = hear(outcome, listeners[unit], unit, i)
            if message is not None:
                found[tick.partition, tick.offset, tick.position, unit] = message
    return found


def hear(outcome: Outcome, listener: Listener, unit: str, i: int) -> Message | None:
    """Take a tick; what is told at it, if anything."""
    tick, world = outcome.ticks[i], outcome.world_at(unit, i)
    heard = outcome.scopes[i][unit]
    epoch = outcome.histories[unit].epochs[heard.epoch]
    anew = unit in tick.anew
    changed_entry = listener.epoch is not None and listener.epoch is not epoch
    if anew:
        listener.change(epoch, tick.at)
    if changed_entry or heard.law != listener.law:
        listener.broken.clear()
    listener.epoch, listener.law = epoch, heard.law
    year = window_start("year", tick.at - 1)
    before = listener.standings if listener.year == year else {}
    silent = {name: course.end for name, course in world.courses.items() if is_silent(course, tick)}
    standings = standings_at(outcome, unit, i, {} if changed_entry else before)
    listener.ended |= set(left(listener.tick, tick.at))
    changed = said(standings) != said(before) or silent.keys() != listener.silent.keys()
    full = tick.at % HOUR_MS == 0 or anew
    message = None
    if changed or full:
        windows = open_windows(world, tick.at, standings, KINDS if full else ("year",))
        if full:
            windows |= earlier_windows(world, listener, tick.at)
            listener.full, listener.ended = world, set()
        named = {world.courses[label].point.name: end for label, end in silent.items()}
        told = (tick.unit is not None, epoch.version, heard.waits)
        message = Message(tick.at, windows, named, before.get("energy", UNTOLD).verdict, *told)
        if full:
            law = outcome.laws.get(heard.law)
            message = message._replace(
                lines=lines_told(world, windows, tick.at),
                limits={} if law is None else limits_told(law, world, windows, tick.at, listener),
            )
    listener.year, listener.standings, listener.silent = year, standings, silent
    listener.tick = tick.at
    return message


def lines_told(
    world: World, windows: Windows, at: int
) -> dict[str, dict[tuple[WindowKind, int], LineTold]]:
    """The same windows of each product line, but for hours."""
    return {
        line.id: {
            (kind, start): line_figures(world, line, Span(start, told.end, min(at, told.end)))
            for (kind, start), told in windows.items()
            if kind != "hour"
        }
        for line in world.unit.lines
    }


def limits_told(
    law: LawInForce, world: World, windows: Windows, at: int, listener: Listener
) -> Limits:
    """The limits of each line in its months and years; in open windows with the tick that found them broken."""
    found: Limits = {}
    for line in world.unit.lines:
        for (kind, start), told in windows.items():
            if kind not in {"month", "year"}:
                continue
            is_open = start == window_start(kind, at - 1)
            span = Span(start, told.end, min(at, told.end))
            levels = list(limits_of(law, world, line, span))
            if is_open:
                before = listener.broken.get((line.id, kind, start), {})
                now = {
                    one.limit: before.get(one.limit, at) for one in levels if one.verdict == "FAIL"
                }
                listener.broken[line.id, kind, start] = now
                levels = [one._replace(since=now.get(one.limit)) for one in levels]
            if levels:
                found[line.id, kind, start] = levels
    return found


def is_silent(course: Course, tick: HonouredTick) -> bool:
    """Silent at a tick, as RULES section 6 has it."""
    valid = course.begins <= tick.at < course.ends
    return valid and tick.at - course.end > course.point.cadence_ms + course.point.tolerance


def said(standings: Standings) -> list[tuple[str, Verdict | None, Reason | None]]:
    """Verdicts and reasons: what is told when it changes."""
    return [(target, *one[:2]) for target, one in standings.items() if one.verdict is not None]


def standings_at(outcome: Outcome, unit: str, i: int, before: Standings) -> Standings:
    """The verdicts at a tick; a FAIL that stays one keeps its since."""
    world, at = outcome.world_at(unit, i), outcome.ticks[i].at
    start = window_start("year", at - 1)
    end = window_end("year", start)
    year = Window(start, end, window_figures(world, start, end, at))
    found = {}
    for target in TARGETS:
        held = before.get(target, UNTOLD)
        kept = held.verdict == "FAIL" and outcome.fails(unit, i, target)
        found[target] = held if kept else Standing(*against(world, year, at, (world, at), target))
    return found


def left(before: int | None, at: int) -> Iterator[tuple[WindowKind, int]]:
    """Windows that ended between two ticks, and not at the first of them."""
    if before is None:
        return
    for kind in EARLIER:
        start = window_start(kind, before - 1)
        while (end := window_end(kind, start)) < at:
            if end != before:
                yield kind, start
            start = end


def open_windows(
    world: World, at: int, standings: Standings, kinds: tuple[WindowKind, ...]
) -> Windows:
    """The windows that hold the instant before the tick."""
    windows: Windows = {}
    for kind in kinds:
        start = window_start(kind, at - 1)
        end = window_end(kind, start)
        figures = window_figures(world, start, end, at)
        windows[kind, start] = (
            Told(end, figures, *limited(world, start, standings))
            if kind == "year"
            else Told(end, figures)
        )
    return windows


def limited(
    world: World, start: int, standings: Standings
) -> tuple[tuple[int | None, ...], Standings, str | None]:
    """Quota and budget of a year that begins then, what it stands against them, and the budget's view; nothing without a carrier."""
    year = year_of(start)
    limits = tuple(
        limit_of(world.unit, year, one) if one in world.told_targets else None for one in TARGETS
    )
    held = {t: standings[t] for t, limit in zip(TARGETS, limits, strict=True) if limit is not None}
    view = next((budget.view for budget in world.unit.budgets if budget.year == year), None)
    return limits, held, view if "co2" in held else None


def earlier_windows(world: World, listener: Listener, at: int) -> Windows:
    """The earlier days, months and years that are told anew at a full hour."""
    spans = (
        [(world.unit.begins, at)] if listener.full is None else changed_spans(listener.full, world)
    )
    found = {window for span in spans for window in around(*span, at)} | listener.ended
    return {(kind, start): closed(world, kind, start) for kind, start in found}


def around(start: int, end: int, at: int) -> Iterator[tuple[WindowKind, int]]:
    """Windows that a span touches and that end before the tick's own begin."""
    for kind in EARLIER:
        window, current = window_start(kind, start), window_start(kind, at - 1)
        while window < min(end, current):
            yield kind, window
            window = window_end(kind, window)


def closed(world: World, kind: WindowKind, start: int) -> Told:
    """A window that has ended, as the log says by now."""
    end = window_end(kind, start)
    figures = window_figures(world, start, end)
    if kind != "year":
        return Told(end, figures)
    window = Window(start, end, figures)
    found = {t: Standing(*against(world, window, end, (world, end), t)) for t in TARGETS}
    return Told(end, figures, *limited(world, start, found))


def changed_spans(before: World, after: World) -> Iterator[tuple[int, int]]:
    """Where a piece or lift is another. Time of which nothing is known is one, however divided."""
    for name, new in after.courses.items():
        old = before.courses[name]
        pieces = known(old.pieces) ^ known(new.pieces)
        yield from ((piece.start, piece.end) for piece in pieces)
        yield from ((lift.start, lift.start + 1) for lift in set(old.lifts) ^ set(new.lifts))
        yield from changed_holes(old, new)
        yield from (part for shared in {*old.shared} ^ {*new.shared} for part in shared.parts)


def known(pieces: tuple[Piece, ...]) -> set[Piece]:
    """Pieces that say something."""
    return {piece for piece in pieces if piece.kind == "known"}


def changed_holes(old: Course, new: Course) -> Iterator[tuple[int, int]]:
    """Where one course has a hole or event and the other has none."""
    holes = [[p for p in course.pieces if p.kind != "known"] for course in (old, new)]
    edges = sorted({edge for pieces in holes for p in pieces for edge in (p.start, p.end)})
    for x, y in pairwise(edges):
        was, is_now = (any(p.start <= x < p.end for p in pieces) for pieces in holes)
        if was != is_now:
            yield x, y


def as_told(windows: tuple[Judged, ...]) -> Windows:
    """The engine's windows in the same form."""
    found: Windows = {}
    for window in windows:
        figures = {
            name: Figure(figure.low, figure.best, figure.high, figure.share_measured)
            for name, figure in window.figures.items()
        }
        held: Standings = {}
        for target, regime in zip(TARGETS, REGIMES, strict=True):
            one = window.against(regime)
            if one.limit is not None:
                held[target] = Standing(one.verdict, one.reason, one.since, one.suspected)
        limits = tuple(window.against(regime).limit for regime in REGIMES)
        view = None if window.budget is None else window.budget.view
        found[window.window, window.start] = Told(window.end, figures, limits, held, view)
    return found


def line_as_told(windows: tuple[LineJudged, ...]) -> dict[tuple[WindowKind, int], LineTold]:
    """The engine's windows of a product line in the same form."""
    return {
        (window.window, window.start): {
            name: LineFigure(f.low, f.best, f.high, f.share_measured, f.said)
            for name, f in window.figures.items()
        }
        for window in windows
    }


def _energy(window: LineJudged, indicator: str) -> tuple[int | None, ...]:
    found = next(one for one in window.by_standard if one.indicator == indicator)
    return found.low, found.best, found.high


def limits_as_told(told: LineMessage) -> Limits:
    """The engine's limits in the same form."""
    return {
        (told.line, window.window, window.start): [
            LimitFigure(
                one.limit,
                one.verdict,
                one.since,
                one.suspected,
                (one.low, one.best, one.high),
                (one.limit_low, one.limit_high),
                _energy(window, one.indicator),
                None
                if one.coming is None
                else (one.coming.from_day, one.coming.verdict, one.coming.suspected),
            )
            for one in window.limits
        ]
        for window in told.windows
        if window.limits
    }


def differences(mine: Mapping[Place, Message], oracle: Mapping[Place, Message]) -> list[str]:
    """What the engine told otherwise than the oracle, for people."""
    found = [f"{place}: told, and should not be" for place in mine.keys() - oracle.keys()]
    found += [f"{place}: not told" for place in oracle.keys() - mine.keys()]
    for place in mine.keys() & oracle.keys():
        found += [f"{place}: {what}" for what in unequal(mine[place], oracle[place])]
    return sorted(found)


def unequal(mine: Message, oracle: Message) -> Iterator[str]:
    """Where two messages differ."""
    for name in ("as_of", "silent", "previous", "history", "configuration", "pending"):
        if getattr(mine, name) != getattr(oracle, name):
            yield f"{name} {getattr(mine, name)}, oracle {getattr(oracle, name)}"
    for name in ("lines", "limits"):
        if getattr(mine, name) != getattr(oracle, name):
            yield f"{name} {getattr(mine, name)}, oracle {getattr(oracle, name)}"
    for key in mine.windows.keys() | oracle.windows.keys():
        told, expected = mine.windows.get(key), oracle.windows.get(key)
        if told != expected:
            yield f"{key} {told}, oracle {expected}"
