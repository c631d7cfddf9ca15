"""Where the target of a region or industry stands at an hour: verdict against the year, level of the barometer, and what moved it.

Amounts are integers of 10⁻⁶ t. A target of the whole society needs the remainder that the key units leave out.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Literal, TypeVar

from processors.aggregation import (
    Member,
    Telling,
    Told,
    amount_of,
    belongs,
    is_unverified,
    told_sum,
)
from processors.double_control import Bounds
from processors.ledger import EMPTY, Ledger
from processors.levels import Edges, ratios, told_level
from schemas.calendar import BUSINESS, business_date, day_start, instant, year_start
from schemas.double_control import NOTHING, Amount, Remainder, Schedule, ValueAdded
from schemas.levels import LevelRule, our_rules, rule_at
from schemas.regions import LevelChange, Line, Standing, Verdict
from schemas.targets import Target, TargetVersion

Dated = TypeVar("Dated", Remainder, ValueAdded)
CAPPED = "certificates beyond the cap"
REMAINDER_UNKNOWN = "remainder unknown"
MISSING, AMBIGUOUS = "missing data", "ambiguous data"
MovedBy = Literal["reading", "late reading", "time", "limit", "rule"]
_WORDS: Mapping[str, MovedBy] = {
    "late reading": "late reading",
    "restatement": "late reading",
    "time passing": "time",
    "target": "limit",
    "schedule": "limit",
}
Parts = Mapping[str, tuple[Amount, str]]
"""By unit: its amount, and what made it known."""
Deductions = Mapping[tuple[str, str], Amount]
"""By unit and what is deducted, to be added; without a unit: what a cap gives back."""


@dataclass(frozen=True, slots=True)
class Stand:
    """A target at an hour, before its level: that goes by the level before."""

    target: Target
    version: int
    hour: int
    units: Parts
    deductions: Deductions
    remainder: Amount | None
    used: Amount
    """The key units' less the deductions, with the remainder where the target covers the whole society and it is known."""
    unknown: str
    """Why nothing can be judged; empty where it can."""
    rule: LevelRule | None
    schedule: Schedule | None
    """The seasonal one where it decides."""
    allowed: int
    unverified: bool = False
    """A factor of a unit or of a deduction is."""
    views: tuple[str, ...] = ()
    """Of CO2: of electricity's factor."""

    @property
    def gross(self) -> Amount:
        """Used, before anything is deducted."""
        return sum((amount for amount, _ in self.units.values()), self.remainder or NOTHING)


@dataclass(frozen=True, slots=True)
class Level:
    """1 very severe, 2 rather severe, 3 basically smooth; None is no data, with the reason."""

    level: int | None
    reason: str
    last_known: int | None
    """What hysteresis goes by."""


def stand_of(
    targets: TargetVersion,
    target: Target,
    members: Iterable[Member],
    told: Told,
    hour: int,
    ledger: Ledger = EMPTY,
) -> Stand:
    """A target at an hour; `told`: of its year."""
    start, end = year_start(target.year), year_start(target.year + 1)
    till = min(hour, end)
    parts = _parts(target, members, told, till)
    tellings = [telling for unit in parts if (telling := told.get(unit)) is not None]
    deducted, doubted = _deductions(target, tellings, till, ledger)
    remainder = _remainder(targets, target, start, till)
    rule = rule_at(
        (*our_rules(), *targets.targets.levels), "total", target.quantity, business_date(till - 1)
    )
    schedule = schedule_of(targets, target) if rule and rule.basis == "seasonal" else None
    used = sum(
        (*(amount for amount, _ in parts.values()), *deducted.values()), remainder or NOTHING
    )
    is_unknown = target.covers == "whole society" and remainder is None
    return Stand(
        target=target,
        version=targets.version,
        hour=till,
        units=parts,
        deductions=deducted,
        remainder=remainder,
        used=used,
        unknown=REMAINDER_UNKNOWN if is_unknown else "",
        rule=rule,
        schedule=schedule,
        allowed=allowed_at(target.limit, target.year, till, schedule),
        unverified=doubted or any(is_unverified(one, target.quantity) for one in tellings),
        views=_views(target, tellings, ledger),
    )


def _views(target: Target, told: Iterable[Telling], ledger: Ledger) -> tuple[str, ...]:
    if target.quantity == "energy":
        return ()
    return tuple(sorted({view for one in told if (view := ledger.view(one, target.year))}))


def _parts(target: Target, members: Iterable[Member], told: Told, till: int) -> Parts:
    found = {}
    for member in members:
        if member.begins < till and belongs(member, target.scope):
            telling = told.get(member.unit)
            cause = "nothing told" if telling is None else telling.cause
            found[member.unit] = (amount_of(telling, target.quantity, till), cause)
    return found


def _deductions(
    target: Target, told: Iterable[Telling], till: int, ledger: Ledger
) -> tuple[Deductions, bool]:
    """What the target is net of, by unit and form, of capped certificates no more than it names; and whether any of it is unverified."""
    found: dict[tuple[str, str], Amount] = {}
    capped, unverified = NOTHING, False
    for telling in told if target.net_of else ():
        for one in ledger.taken(telling, till, target.net_of):
            key = telling.unit, f"deduction: {one.form}"
            found[key] = found.get(key, NOTHING) + one.amount
            capped += one.amount if one.capped else NOTHING
            unverified |= one.unverified
    beyond = Amount(*(max(0, -(end or 0) - target.certificates_cap) for end in _ends(capped)))
    return (found if beyond == NOTHING else found | {("", CAPPED): beyond}), unverified


def _ends(amount: Amount) -> tuple[int, int, int | None]:
    return amount.low, amount.best, amount.high


def schedule_of(targets: TargetVersion, target: Target) -> Schedule | None:
    """The seasonal schedule of a target, where it has one."""
    return next((s for s in targets.targets.schedules if s.id == target.schedule), None)


# ---- What is allowed until an hour


def allowed_at(limit: int, year: int, at: int, schedule: Schedule | None) -> int:
    """What a limit allows from the year's beginning until an instant in it, rounded down."""
    return int(limit * share_at(year, at, schedule))


def share_at(year: int, at: int, schedule: Schedule | None) -> Fraction:
    """The part of a year that should have passed by an instant: by time, or by the schedule's months and by time within each."""
    if schedule is None:
        return Fraction(at - year_start(year), year_start(year + 1) - year_start(year))
    edges = [instant(datetime(year, month, 1, tzinfo=BUSINESS)) for month in range(1, 13)]
    edges.append(year_start(year + 1))
    used = Fraction(0)
    for weight, begins, ends in zip(schedule.weights, edges[:-1], edges[1:], strict=True):
        used += weight * Fraction(min(max(at - begins, 0), ends - begins), ends - begins)
    return used / sum(schedule.weights)


# ---- The remainder


def _remainder(targets: TargetVersion, target: Target, start: int, till: int) -> Amount | None:
    if target.covers == "key units":
        return None
    its = [
        one
        for one in targets.targets.remainders
        if (one.scope, one.quantity) == (target.scope, target.quantity)
    ]
    return remainder_until(its, start, till)


def remainder_until(entries: Iterable[Dated], start: int, till: int) -> Amount | None:
    """The sum of entries that cover [start, till) without gap or overlap, as known on that day; else None.

    Of one that reaches beyond `till` nothing is certain but that no more than all of it has passed; its best estimate goes by time.
    """
    reached, amount = start, NOTHING
    for (first, until), entry in sorted(known_by(entries, start, till).items()):
        if first != reached:
            return None
        reached, amount = until, amount + _cut(entry.bounds, first, until, till)
    return amount if reached >= till else None


def known_by(entries: Iterable[Dated], start: int, till: int) -> dict[tuple[int, int], Dated]:
    """Of each period that touches [start, till) what was known last on its last day."""
    latest: dict[tuple[int, int], Dated] = {}
    for entry in entries:
        key = day_start(entry.first), day_start(entry.until)
        if entry.known_on > business_date(till - 1) or key[1] <= start or key[0] >= till:
            continue
        before = latest.setdefault(key, entry)
        if (entry.known_on, entry.revision) > (before.known_on, before.revision):
            latest[key] = entry
    return latest


def _cut(amount: Amount, first: int, until: int, till: int) -> Amount:
    if until <= till:
        return amount
    return Amount(0, amount.best * (till - first) // (until - first), amount.high)


# ---- Judging


def verdict_of(stand: Stand) -> tuple[Verdict, str]:
    """Against the whole year, with the reason of UNDECIDABLE. Just reached is not broken."""
    used, limit = stand.used, stand.target.limit
    if stand.unknown:
        return "UNDECIDABLE", stand.unknown
    if used.low > limit:
        return "FAIL", ""
    if used.high is not None and used.high <= limit:
        return "PASS", ""
    return "UNDECIDABLE", MISSING if used.high is None else AMBIGUOUS


def level_after(stand: Stand, before: int | None) -> Level:
    """Its level after the last known one: worse at once, better only with the rule's margin."""
    if stand.rule is None:
        return Level(None, "no level rule of the day", before)
    if stand.unknown:
        return Level(None, stand.unknown, before)
    between = ratios(stand.used, Bounds(stand.allowed, stand.allowed, stand.allowed))
    if between is None:
        return Level(None, "nothing allowed yet", before)
    level = told_level(*between, _edges(stand.rule), before)
    reason = "" if level else MISSING if between[1] is None else "interval too wide"
    return Level(level, reason, level or before)


def _edges(rule: LevelRule) -> Edges:
    severe = rule.warning_above if rule.severe_above is None else rule.severe_above
    return Edges(
        Fraction(rule.warning_above),
        Fraction(severe),
        Fraction(rule.release),
        Fraction(rule.widest),
    )


def told_standing(stand: Stand, level: Level, changed: LevelChange | None) -> Standing:
    """As others are told of it."""
    verdict, reason = verdict_of(stand)
    target = stand.target
    return Standing(
        target=target.id,
        version=stand.version,
        year=target.year,
        quantity=target.quantity,
        covers=target.covers,
        figure_of="key units" if stand.remainder is None else "key units and remainder",
        amount=target.limit,
        allowed=stand.allowed,
        basis="calendar" if stand.schedule is None else "seasonal",
        used=told_sum(stand.used, unverified=stand.unverified),
        views=stand.views,
        net_of=target.net_of,
        gross=told_sum(stand.gross) if target.net_of else None,
        verdict=verdict,
        reason=reason,
        level=level.level,
        level_reason=level.reason,
        rule="" if stand.rule is None else stand.rule.id,
        changed=changed,
    )


# ---- What moved a level


def cause_of(change: LevelChange | None) -> MovedBy:
    """What moved a level most, in the alerts' words; without a change it is time."""
    if change is None or not change.lines:
        return "time"
    if change.rule_changed:
        return "rule"
    return _WORDS.get(change.lines[0].cause, "reading")


def change_of(
    before: Stand, after: Stand, from_level: int | None, to_level: int | None
) -> LevelChange:
    """What moved used less allowed between two hours: lines that sum exactly to the change, the greatest first."""
    lines = [
        *_by_units(before, after),
        *_by_deductions(before, after),
        _remainders(before, after),
        *_limits(before, after),
    ]
    moved = [line for line in lines if (line.low, line.best, line.high) != (0, 0, 0)]
    return LevelChange(
        before=from_level,
        after=to_level,
        lines=tuple(sorted(moved, key=lambda line: (-abs(line.best), line.unit, line.cause))),
        change=_difference("", "change", _excess(before), _excess(after)),
        rule_changed=before.rule != after.rule,
    )


def _excess(stand: Stand) -> Amount:
    used, allowed = stand.used, stand.allowed
    high = None if used.high is None else used.high - allowed
    return Amount(used.low - allowed, used.best - allowed, high)


def _difference(unit: str, cause: str, old: Amount, new: Amount) -> Line:
    high = None if old.high is None or new.high is None else new.high - old.high
    return Line(unit=unit, cause=cause, low=new.low - old.low, best=new.best - old.best, high=high)


def _by_units(before: Stand, after: Stand) -> Iterable[Line]:
    for unit in sorted(before.units.keys() | after.units.keys()):
        old = before.units.get(unit, (NOTHING, "newly counted"))
        new = after.units.get(unit, (NOTHING, "no longer counted"))
        cause = new[1] if unit in before.units else f"newly counted, {new[1]}"
        yield _difference(unit, cause, old[0], new[0])


def _by_deductions(before: Stand, after: Stand) -> Iterable[Line]:
    for key in sorted(before.deductions.keys() | after.deductions.keys()):
        old, new = (stand.deductions.get(key, NOTHING) for stand in (before, after))
        yield _difference(*key, old, new)


def _remainders(before: Stand, after: Stand) -> Line:
    return _difference("", "remainder", before.remainder or NOTHING, after.remainder or NOTHING)


def _limits(before: Stand, after: Stand) -> Sequence[Line]:
    """The change of what is allowed, step by step: time, then target, then schedule. More allowed is less excess."""
    year, at = after.target.year, after.hour
    old, new = before.target.limit, after.target.limit
    steps = (
        ("time passing", before.allowed, allowed_at(old, year, at, before.schedule)),
        (
            "target",
            allowed_at(old, year, at, before.schedule),
            allowed_at(new, year, at, before.schedule),
        ),
        ("schedule", allowed_at(new, year, at, before.schedule), after.allowed),
    )
    return [
        Line(unit="", cause=cause, low=was - now, best=was - now, high=was - now)
        for cause, was, now in steps
    ]
