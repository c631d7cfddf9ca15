"""The barometer: level 1 (very severe), 2 (rather severe), 3 (basically smooth) or no data, and what moved it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from processors.double_control import (
    Bounds,
    Item,
    Standing,
    allowed,
    allowed_until,
    path_value,
    schedule_of,
    standing,
    year_to_date,
)
from schemas.double_control import NOTHING, Amount, DoubleControl, Schedule
from schemas.levels import LevelRule, our_rules, rule_at

SEVERE, WARNING, SMOOTH = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Edges:
    """Ratios above which a level begins."""

    warning: Fraction
    severe: Fraction
    release: Fraction
    widest: Fraction


def edges_of(rule: LevelRule, stands: Standing) -> Edges:
    """The edges of a rule; "rising" is above what the path allowed the year before."""
    warning = Fraction(rule.warning_above)
    severe = warning if rule.severe_above is None else Fraction(rule.severe_above)
    if rule.rising_is_severe and stands.limit:
        before = path_value(stands.target, year_to_date(stands.on)[0].year - 1)
        severe = max(warning, Fraction(before or 0, stands.limit))
    return Edges(warning, severe, Fraction(rule.release), Fraction(rule.widest))


def level_of(ratio: Fraction, edges: Edges, before: int | None) -> int:
    """The level of one ratio after the last known level: worse at once, better only `release` below the edge."""
    held_1 = edges.release if before == SEVERE else 0
    held_2 = edges.release if before in {SEVERE, WARNING} else 0
    if ratio > edges.severe - held_1:
        return SEVERE
    return WARNING if ratio > edges.warning - held_2 else SMOOTH


def told_level(
    low: Fraction, high: Fraction | None, edges: Edges, before: int | None
) -> int | None:
    """The level of an interval of ratios; None is no data.

    Where the ends' levels differ, the worse one if they are no further apart than `widest`, else no data. So a wider interval
    may worsen a level or lose it, and never better it.
    """
    best = level_of(low, edges, before)
    if best == SEVERE:
        return SEVERE
    if high is None:
        return None
    worst = level_of(high, edges, before)
    return worst if worst == best or high - low <= edges.widest else None


def ratios(used: Amount, limit: Bounds) -> tuple[Fraction, Fraction | None] | None:
    """Used over allowed, [low, high]; None where perhaps nothing is allowed yet. Deductions may make `used` negative."""
    if limit.low <= 0:
        return None
    low = Fraction(used.low, limit.high if used.low >= 0 else limit.low)
    if used.high is None:
        return low, None
    return low, Fraction(used.high, limit.low if used.high >= 0 else limit.high)


# ---- From day to day


@dataclass(frozen=True, slots=True)
class Reading:
    """A barometer on a day."""

    stands: Standing
    rule: LevelRule | None
    schedule: Schedule | None
    """The seasonal one where it decides."""
    level: int | None
    reason: str
    """Of no data."""
    last_known: int | None
    """What hysteresis goes by: losing data does not shed a level."""


def read(world: DoubleControl, name: str) -> list[Reading]:
    """A target's barometer on each day of judgement since it is known. Raises TreeError."""
    found: list[Reading] = []
    for on in world.evaluate:
        stands = standing(world, name, on)
        if stands is not None:
            found.append(_next(world, stands, found[-1].last_known if found else None))
    return found


def _next(world: DoubleControl, stands: Standing, before: int | None) -> Reading:
    target = stands.target
    rules = (*our_rules(), *world.levels)
    rule = rule_at(rules, target.kind, target.quantity, stands.on)
    if rule is None:
        return Reading(stands, None, None, None, "no level rule of the day", before)
    schedule = schedule_of(world, target) if rule.basis == "seasonal" else None
    limit = allowed_until(stands, schedule)
    if limit is None:
        return Reading(stands, rule, schedule, None, stands.unknown, before)
    between = ratios(stands.used, limit)
    if between is None:
        return Reading(stands, rule, schedule, None, "nothing allowed yet", before)
    level = told_level(*between, edges_of(rule, stands), before)
    reason = "" if level else "missing data" if between[1] is None else "interval too wide"
    return Reading(stands, rule, schedule, level, reason, level or before)


# ---- What moved it


@dataclass(frozen=True, slots=True)
class Line:
    """One cause of a change, in 10⁻⁶ t; above 0 is worse. high None: unknown before or after."""

    unit: str
    """Empty where no unit moved it."""
    part: str
    cause: str
    low: int
    best: int
    high: int | None


@dataclass(frozen=True, slots=True)
class Waterfall:
    """From one reading of a barometer to the next: the lines sum exactly to the change of used less allowed."""

    before: Reading
    after: Reading
    lines: tuple[Line, ...]
    change: Line
    rule_changed: bool
    """The edges moved: no amount of any line, and a cause all the same."""


def excess(reading: Reading) -> Amount:
    """Used less allowed, [low, best, high]; what cannot be judged is held against nothing."""
    used, limit = reading.stands.used, _limit(reading)
    high = None if used.high is None else used.high - limit.low
    return Amount(used.low - limit.high, used.best - limit.best, high)


def _limit(reading: Reading) -> Bounds:
    return allowed_until(reading.stands, reading.schedule) or Bounds(0, 0, 0)


def waterfall(before: Reading, after: Reading) -> Waterfall:
    """What moved a barometer between two readings."""
    lines = [
        *_by_units(before.stands.items, after.stands.items, before),
        _remainders(before.stands, after.stands),
        *_limits(before, after),
    ]
    change = _difference("", "", "change", excess(before), excess(after))
    return Waterfall(
        before, after, tuple(_gathered(lines)), change, rule_changed=before.rule != after.rule
    )


def last_change(found: Sequence[Reading]) -> Waterfall | None:
    """The waterfall of the last change of level; None where it never changed."""
    for position in range(len(found) - 1, 0, -1):
        if found[position].level != found[position - 1].level:
            return waterfall(found[position - 1], found[position])
    return None


def _difference(unit: str, part: str, cause: str, old: Amount, new: Amount) -> Line:
    high = None if old.high is None or new.high is None else new.high - old.high
    return Line(unit, part, cause, new.low - old.low, new.best - old.best, high)


def _by_units(old: Sequence[Item], new: Sequence[Item], before: Reading) -> list[Line]:
    olds, news = {item.key: item for item in old}, {item.key: item for item in new}
    lines: list[Line] = []
    for key in sorted(olds.keys() | news.keys()):
        was, now = olds.get(key), news.get(key)
        either = now or was
        if either is None or (
            was and now and was.amount == now.amount and was.amount.high is not None
        ):
            continue
        lines.append(
            _difference(
                either.cell.unit,
                either.part,
                _cause(was, now, before),
                was.amount if was else NOTHING,
                now.amount if now else NOTHING,
            )
        )
    return lines


def _cause(was: Item | None, now: Item | None, before: Reading) -> str:
    if now is None:
        return f"{was.cause}, no longer counted" if was else ""
    late = was is None and now.first < before.stands.on and now.cause == "reading"
    return "late reading" if late else now.cause


def _remainders(old: Standing, new: Standing) -> Line:
    return _difference("", "", "remainder", old.remainder or NOTHING, new.remainder or NOTHING)


def _limits(before: Reading, after: Reading) -> list[Line]:
    """The change of what is allowed, step by step: time or value added, then target, then schedule."""
    old, new = before.stands, after.stands
    steps: list[tuple[str, Bounds]] = [("", _limit(before))]
    if not old.unknown and not new.unknown and old.limit is not None and new.limit is not None:
        span = year_to_date(new.on)
        passing = "time passing" if new.target.kind == "total" else "value added"
        steps.append((passing, allowed(old.limit, span, before.schedule, new.value_added)))
        steps.append(("target", allowed(new.limit, span, before.schedule, new.value_added)))
        steps.append(("schedule", _limit(after)))
    else:
        steps.append((new.unknown or f"no longer: {old.unknown}", _limit(after)))
    return [
        _less(cause, steps[position][1], allowance)
        for position, (cause, allowance) in enumerate(steps[1:])
    ]


def _less(cause: str, old: Bounds, new: Bounds) -> Line:
    """More allowed is less excess; the interval's ends change places."""
    return Line("", "", cause, old.high - new.high, old.best - new.best, old.low - new.low)


def _gathered(lines: Sequence[Line]) -> list[Line]:
    """The lines of one unit, part and cause as one, without those that moved nothing; the greatest first."""
    sums: dict[tuple[str, str, str], Amount] = defaultdict(lambda: NOTHING)
    for line in lines:
        sums[line.unit, line.part, line.cause] += Amount(line.low, line.best, line.high)
    gathered = [Line(*key, one.low, one.best, one.high) for key, one in sums.items()]
    moved = [line for line in gathered if (line.low, line.best, line.high) != (0, 0, 0)]
    return sorted(moved, key=lambda line: (-abs(line.best), line.unit, line.part, line.cause))
