"""What an indicator says to each rule: does its condition hold, since when, on what evidence."""

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from schemas.alert import Evidence, HeldToLimit, Key
from schemas.calendar import year_start
from schemas.indicator import (
    Against,
    Indicator,
    Judged,
    LandingTold,
    LevelTold,
    LimitJudged,
    LineJudged,
    LineTold,
)
from schemas.landing import Landed, Regime
from schemas.rule import OF_LIMITS, Kind, Rule, Rules


class Finding(NamedTuple):
    """One rule's condition on one unit, in one window, at one tick."""

    rule: Rule
    key: Key
    holds: bool
    since: int | None
    """Since when it holds, where figures say so: a breach's quarter hour, a silent point's end."""
    evidence: Evidence


_ELSEWHERE: frozenset[Kind] = OF_LIMITS | {"level changed", "will break"}
"""Kinds that speak of messages of their own."""


def findings(told: Indicator, rules: Rules, held: Collection[Key] = ()) -> Iterator[Finding]:
    """Yield what `told` says to each rule that covers its unit; of other windows it says nothing.

    `held`: alerts that are pending or firing. Of a year without a budget nothing is said but to those.
    A condition stays as it was last told: verdicts are told when they change, and on the full hour.
    """
    for rule in rules:
        if rule.kind in _ELSEWHERE or not rule.covers(told.unit):
            continue
        if rule.kind == "silent points":
            yield _silence(told, rule)
            continue
        for judged in told.windows:
            if judged.window == rule.window and not is_over(judged.end, rule, at=told.as_of):
                key = Key(rule=rule.name, unit=told.unit, window_start=judged.start)
                if rule.regime == "energy" or judged.budget is not None or key in held:
                    yield _judgement(told, rule, judged, key)


def level_findings(told: LevelTold, rules: Rules) -> Iterator[Finding]:
    """Yield what a target's level says to each rule on levels; no data says nothing, so that an alert stays as it was."""
    standing = told.standing
    if standing.level is None:
        return
    evidence = Evidence(
        version=told.version,
        as_of=told.as_of,
        configuration=standing.version,
        judged=None,
        silent=(),
        standing=standing,
    )
    for rule in rules:
        if rule.kind == "level changed" and rule.covers(told.subject):
            start = year_start(standing.year)
            key = Key(rule=rule.name, unit=told.subject, window_start=start)
            yield Finding(rule, key, standing.level in rule.levels, None, evidence)


def limits_watched(told: LineTold, rules: Rules) -> tuple[str, ...]:
    """Limits of a line's message that are judged there, or will be, and that some rule watches."""
    levels = {
        level
        for rule in rules
        if rule.kind in OF_LIMITS and rule.covers(told.unit)
        for level in rule.limit_levels
    }
    return tuple(
        dict.fromkeys(
            one.limit
            for window in told.windows
            for one in window.limits
            if one.level in levels and (one.verdict != "NOT JUDGED" or one.coming)
        )
    )


def limit_findings(
    told: LineTold, limit: str, rules: Rules, alerts: Collection[Key]
) -> Iterator[Finding]:
    """Yield what a line's message says of one limit to each rule on it; of other windows it says nothing.

    `alerts`: those on this limit that are pending or firing; of a limit that was to come, and is, they end.
    """
    said = [(window, one) for window in told.windows for one in window.limits if one.limit == limit]
    for rule in rules:
        if rule.kind not in OF_LIMITS or not rule.covers(told.unit):
            continue
        mine = [
            (window, one)
            for window, one in said
            if window.window == rule.window and one.level in rule.limit_levels
        ]
        if rule.kind == "limit to come":
            yield from _to_come(told, rule, mine, alerts)
            continue
        for window, one in mine:
            if one.verdict != "NOT JUDGED" and not is_over(window.end, rule, at=told.as_of):
                yield _held_to(told, rule, window, one)


def _to_come(
    told: LineTold,
    rule: Rule,
    said: Sequence[tuple[LineJudged, LimitJudged]],
    alerts: Collection[Key],
) -> Iterator[Finding]:
    """Of limits not yet in force, by the newest window; of those that alerts are about, and that are not to come any more: that it is over."""
    newest = max((window.start for window, _ in said), default=None)
    seen = set()
    for window, one in said:
        if window.start == newest and one.coming is not None:
            coming = one.coming
            limit = f"{told.line}: {one.limit} from {coming.from_day}"
            key = Key(rule=rule.name, unit=told.unit, window_start=None, limit=limit)
            seen.add(key)
            likely = rule.certainty == "likely" and coming.suspected
            holds = coming.verdict == "FAIL" or likely
            yield Finding(rule, key, holds, None, _evidence_of_limit(told, window, one))
    in_force = [(window, one) for window, one in said if one.coming is None]
    for key in alerts if in_force else ():
        if key.rule == rule.name and key not in seen:
            evidence = _evidence_of_limit(told, *max(in_force, key=lambda held: held[0].start))
            yield Finding(rule, key, holds=False, since=None, evidence=evidence)


def _held_to(told: LineTold, rule: Rule, window: LineJudged, one: LimitJudged) -> Finding:
    holds = {
        "limit broken": one.verdict == "FAIL",
        "limit probably broken": one.verdict == "UNDECIDABLE" and one.suspected,
        "limit cannot be judged": one.verdict == "UNDECIDABLE" and not one.suspected,
    }[rule.kind]
    limit = f"{told.line}: {one.limit}"
    key = Key(rule=rule.name, unit=told.unit, window_start=window.start, limit=limit)
    evidence = _evidence_of_limit(told, window, one)
    return Finding(rule, key, holds, one.since if holds else None, evidence)


def _evidence_of_limit(told: LineTold, window: LineJudged, one: LimitJudged) -> Evidence:
    return Evidence(
        version=told.version,
        as_of=told.as_of,
        configuration=told.configuration,
        judged=None,
        silent=(),
        held=HeldToLimit(
            line=told.line,
            name=told.name,
            window=window.window,
            start=window.start,
            end=window.end,
            limit=one,
        ),
    )


RELEASE = 99
"""A rule on what is likely lets go at this many per cent of the quota, expected with all that is not measured at its most."""


def landing_findings(told: LandingTold, rules: Rules, firing: Collection[Key]) -> Iterator[Finding]:
    """Yield what a unit's landing says to each rule on landings; one that cannot be said says nothing, so that an alert stays.

    `firing`: alerts that fire and whose condition was not over: they let go later than they begin.
    """
    landed = told.landed
    if landed.state == "cannot be said":
        return
    evidence = Evidence(
        version=told.version,
        as_of=told.as_of,
        configuration=0,
        regime=landed.regime,
        judged=None,
        silent=(),
        landed=landed,
    )
    for rule in rules:
        if (rule.kind, rule.regime) == ("will break", landed.regime) and rule.covers(told.unit):
            key = Key(rule=rule.name, unit=told.unit, window_start=year_start(landed.year))
            holds = _is_so(rule, landed) or (key in firing and _is_near(rule, landed))
            yield Finding(rule, key, holds, None, evidence)


def _is_so(rule: Rule, landed: Landed) -> bool:
    """What is broken already is no forecast any more."""
    return landed.state == "will break" or (
        landed.state == "may break" and rule.certainty == "likely"
    )


def _is_near(rule: Rule, landed: Landed) -> bool:
    """Not so, and not far enough from it to let go."""
    if rule.certainty == "certain":
        return landed.state == "may break"
    most = None if landed.projected is None else landed.projected.expected_high
    return landed.state == "on track" and most is not None and most * 100 > landed.quota * RELEASE


def is_over(window_end: int | None, rule: Rule, *, at: int) -> bool:
    """Say whether the window ended so long ago that its alert is closed for good."""
    return window_end is not None and at >= window_end + rule.outlives_window_ms


def condition_holds(kind: Kind, judged: Against) -> bool:
    """Say whether a verdict is what the rule watches for.

    Exactly one of confirmed, suspected and cannot be judged holds where the verdict is not PASS.
    """
    match kind:
        case "confirmed breach":
            return judged.verdict == "FAIL"
        case "suspected breach":
            return judged.verdict == "UNDECIDABLE" and judged.suspected
        case "cannot be judged":
            return judged.verdict == "UNDECIDABLE" and not judged.suspected
        case _:
            return False


def is_confirmed(kind: Kind, evidence: Evidence) -> bool:
    """Say whether a suspicion has become a confirmed breach, or what was forecast is so."""
    if kind == "will break":
        return evidence.landed is not None and evidence.landed.state == "broken"
    if kind == "limit probably broken":
        return evidence.held is not None and evidence.held.limit.verdict == "FAIL"
    if kind != "suspected breach" or evidence.judged is None:
        return False
    return evidence.judged.against(evidence.regime).verdict == "FAIL"


def has_come(kind: Kind, evidence: Evidence) -> bool:
    """Say whether a limit that was to come is in force."""
    held = evidence.held
    return kind == "limit to come" and held is not None and held.limit.coming is None


def _judgement(told: Indicator, rule: Rule, judged: Judged, key: Key) -> Finding:
    against = judged.against(rule.regime)
    holds = condition_holds(rule.kind, against)
    since = against.since if holds else None
    return Finding(rule, key, holds, since, _evidence(told, judged, rule.regime))


def _silence(told: Indicator, rule: Rule) -> Finding:
    since = min((point.since for point in told.silent), default=None)
    key = Key(rule=rule.name, unit=told.unit, window_start=None)
    return Finding(rule, key, bool(told.silent), since, _evidence(told, None))


def _evidence(told: Indicator, judged: Judged | None, regime: Regime = "energy") -> Evidence:
    return Evidence(
        version=told.version,
        as_of=told.as_of,
        configuration=told.configuration,
        regime=regime,
        judged=judged,
        silent=told.silent,
    )
