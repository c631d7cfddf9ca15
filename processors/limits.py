"""A product line held to its limits: each level of each standard alone, on [low, best, high].

PASS: high ≤ limit. FAIL: low > limit (a value exactly at the limit is no breach). Else UNDECIDABLE with its reason.
A level that the standard lacks, an exempt unit and a standard not yet in force are NOT JUDGED, and say so.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from typing import Literal

from processors.formula import (
    Declared,
    Definitions,
    Interval,
    Truth,
    check_declared,
    hull,
    limit_at,
    truth,
)
from schemas.pack import Held, NoEntryError, Packs
from schemas.pack_limits import LEVELS, UNREAD, Limit, Parameter
from schemas.scale import SCALE

Outcome = Literal["PASS", "FAIL", "UNDECIDABLE", "NOT JUDGED"]


@dataclass(frozen=True, slots=True)
class Actual:
    """What a product line used a unit of output, in 10⁻⁶ of the limit's unit, rounded outward; None is unknown."""

    low: int | None
    best: int | None
    high: int | None


@dataclass(frozen=True, slots=True)
class Coming:
    """What a line would be by a limit that is published and not yet in force, if it were."""

    begins: date
    outcome: Outcome
    suspected: bool


@dataclass(frozen=True, slots=True)
class LevelJudged:
    """One level of one standard."""

    level: int
    """1 advanced, 2 access, 3 limit of existing plants."""
    outcome: Outcome
    reason: str
    """Empty for PASS and FAIL."""
    limit: Interval | None
    """The corrected limit, in `unit`."""
    unit: str
    suspected: bool
    """UNDECIDABLE, and the best estimate is above the limit by its best guess."""
    entries: tuple[str, ...]
    """Ids of the limits that it rests on: several where it is not known which row holds."""
    packs: tuple[str, ...]
    region: str | None
    """Code of the region whose local standard it is; None for a national one."""
    undeclared: tuple[str, ...]
    """Parameters that count here and that the unit did not declare."""
    notes: tuple[str, ...]
    """Where it rests on an unverified figure, or on a day in force that nobody confirmed."""
    coming: Coming | None = None
    """Of a limit that is not yet in force, where it would be judged."""


def judge(
    packs: Packs,
    indicator: str,
    actual: Actual,
    declared: Declared,
    *,
    on: date,
    regions: Sequence[str] = (),
) -> tuple[LevelJudged, ...]:
    """Every level of the national standard, and of local ones of `regions` (codes), that speak of an indicator on a day.

    Raises NoEntryError where no pack knows the indicator, DeclarationError for a declaration that cannot be.
    """
    parameters = {held.entry.id: held.entry for held in packs.of(Parameter)}
    check_declared(declared, parameters)
    scopes: dict[str | None, list[Held[Limit]]] = defaultdict(list)
    for held in packs.of(Limit):
        if held.entry.indicator == indicator and held.entry.region in (None, *regions):
            scopes[held.entry.region].append(held)
    if not scopes:
        message = f"no pack has a limit of {indicator}"
        raise NoEntryError(message)
    judged: list[LevelJudged] = []
    for rows in scopes.values():
        judged.extend(_in_force(_first(rows, on), actual, declared, parameters))
        for begins, coming in _coming(rows, on).items():
            ahead = _in_force(coming, actual, declared, parameters)
            judged.extend(_not_before(begins, one) for one in ahead)
    return tuple(judged)


def _first(rows: Sequence[Held[Limit]], on: date) -> list[Held[Limit]]:
    """Of the rows that hold on a day, a later pack's before an earlier one's of the same key."""
    kept = {held.entry.key(): held for held in rows if held.entry.holds(on)}
    return list(kept.values())


def _in_force(
    rows: Sequence[Held[Limit]], actual: Actual, declared: Declared, parameters: Definitions
) -> list[LevelJudged]:
    told = [(held, truth(held.entry.applies, declared, parameters)) for held in rows]
    possible = [(held, holds) for held, holds in told if holds.possible]
    if rows and not possible:
        return [_none_applies(rows, level) for level in LEVELS]
    return [_judged(possible, level, actual, declared, parameters) for level in LEVELS if possible]


def _judged(
    rows: Sequence[tuple[Held[Limit], Truth]],
    level: int,
    actual: Actual,
    declared: Declared,
    parameters: Definitions,
) -> LevelJudged:
    """One level of the rows of a standard that may hold: PASS and FAIL only where all of them agree."""
    limits = [held.entry for held, _ in rows]
    bounds = [limit_at(limit, level, declared, parameters) for limit in limits]
    known = [one for one in bounds if one is not None]
    undeclared = _undeclared(limits, declared)
    best = next((b.best for b, (_, t) in zip(bounds, rows, strict=True) if b and t.best), None)
    whole = hull(known, min(b.best for b in known) if best is None else best) if known else None
    outcome, reason = _outcome(
        actual,
        whole,
        _unjudged(limits, level, declared, parameters),
        complete=len(known) == len(bounds) and (len(rows) > 1 or rows[0][1].sure),
    )
    return LevelJudged(
        level=level,
        outcome=outcome,
        reason=_because(reason, undeclared),
        limit=whole,
        unit=limits[0].unit,
        suspected=outcome == "UNDECIDABLE" and _suspected(actual, whole),
        entries=tuple(limit.id for limit in limits),
        packs=tuple(sorted({held.pack.version for held, _ in rows})),
        region=limits[0].region,
        undeclared=undeclared,
        notes=_notes(limits, level),
    )


def _outcome(
    actual: Actual, limit: Interval | None, unjudged: str, *, complete: bool
) -> tuple[Outcome, str]:
    """`complete`: whether every row that may hold has this level, and one of them holds."""
    if unjudged or limit is None:
        return "NOT JUDGED", unjudged
    if not complete or limit.ends() is None:
        return "UNDECIDABLE", "the limit is not known"
    outcome = held_to(actual, limit)
    if outcome != "UNDECIDABLE":
        return outcome, ""
    return outcome, "the interval contains the limit" if limit.exact else "the limit is an interval"


def held_to(actual: Actual, limit: Interval) -> Outcome:
    """An actual value held to a limit: PASS, FAIL or UNDECIDABLE."""
    ends = limit.ends()
    if ends is None:
        return "UNDECIDABLE"
    if actual.high is not None and Fraction(actual.high, SCALE) <= ends[0]:
        return "PASS"
    if actual.low is not None and Fraction(actual.low, SCALE) > ends[1]:
        return "FAIL"
    return "UNDECIDABLE"


def _because(reason: str, undeclared: Sequence[str]) -> str:
    if reason.startswith("the limit is") and undeclared:
        return f"{reason}: {', '.join(undeclared)} not declared"
    return reason


def _unjudged(
    limits: Sequence[Limit], level: int, declared: Declared, parameters: Definitions
) -> str:
    """Why a level is not judged at all; empty where it is. An exemption is a claim: it counts once it is declared."""
    for limit in limits:
        for condition in limit.exempt:
            if truth([condition], declared, parameters).sure:
                return f"exempt: {condition.parameter} is {declared.get(condition.parameter)}"
    if all(limit.level(level) is None for limit in limits):
        unread = any(limit.levels[level - 1] == UNREAD for limit in limits)
        return (
            f"level {level} of the standard was not read"
            if unread
            else f"the standard has no level {level}"
        )
    return ""


def _suspected(actual: Actual, limit: Interval | None) -> bool:
    return (
        limit is not None and actual.best is not None and Fraction(actual.best, SCALE) > limit.best
    )


def _undeclared(limits: Sequence[Limit], declared: Declared) -> tuple[str, ...]:
    asked = {name for limit in limits for name in limit.parameters()}
    exempt = {condition.parameter for limit in limits for condition in limit.exempt}
    return tuple(sorted(asked - exempt - set(declared)))


def _notes(limits: Sequence[Limit], level: int) -> tuple[str, ...]:
    notes = []
    for limit in limits:
        if limit.status_of(level) == "unverified" and limit.level(level) is not None:
            notes.append(f"{limit.id} is unverified")
        if any(x.status == "unverified" and level in x.only_levels for x in limit.corrections):
            notes.append(f"a correction of {limit.id} is unverified")
        if limit.dates == "unconfirmed":
            notes.append(f"the day in force of {limit.standard or limit.id} is not confirmed")
    return tuple(dict.fromkeys(notes))


def _none_applies(rows: Sequence[Held[Limit]], level: int) -> LevelJudged:
    return _bare(rows, level, "no row of the standard holds for what was declared")


def _coming(rows: Sequence[Held[Limit]], on: date) -> dict[date, list[Held[Limit]]]:
    """Rows that are published on a day and not yet in force, by the day that they are; of one key a later pack's."""
    found: dict[date, dict[tuple[object, ...], Held[Limit]]] = defaultdict(dict)
    for held in rows:
        begins, published = held.entry.valid_from, held.entry.published_on
        if begins is not None and begins > on and not (published and published > on):
            found[begins][held.entry.key()] = held
    return {begins: list(kept.values()) for begins, kept in sorted(found.items())}


def _not_before(begins: date, one: LevelJudged) -> LevelJudged:
    """A limit that is published and not yet in force: told, and not judged."""
    judged = one.outcome != "NOT JUDGED"
    return replace(
        one,
        outcome="NOT JUDGED",
        reason=f"published, in force from {begins}: not judged before",
        suspected=False,
        coming=Coming(begins, one.outcome, one.suspected) if judged else None,
    )


def _bare(rows: Sequence[Held[Limit]], level: int, reason: str) -> LevelJudged:
    limits = [held.entry for held in rows]
    base = limits[0].level(level) if len(limits) == 1 else None
    return LevelJudged(
        level=level,
        outcome="NOT JUDGED",
        reason=reason,
        limit=None if base is None else Interval.of(base),
        unit=limits[0].unit,
        suspected=False,
        entries=tuple(limit.id for limit in limits),
        packs=tuple(sorted({held.pack.version for held in rows})),
        region=limits[0].region,
        undeclared=(),
        notes=_notes(limits, level),
    )


def usual_declarations(limit: Limit, parameters: Definitions) -> dict[str, Interval | str]:
    """What is usual of every parameter of a limit: with it the formula gives one value."""
    return {name: _usual(parameters[name]) for name in sorted(limit.parameters())}


def _usual(parameter: Parameter) -> Interval | str:
    return parameter.usual if parameter.options else Interval.of(Fraction(parameter.usual))
