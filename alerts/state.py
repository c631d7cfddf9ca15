"""How alerts move, by indicators and ticks, in event time.

```
            condition told          held for `hold`            over for `recover_hold`
 inactive ───────────────▶ pending ────────────────▶ firing ───────────────────────────▶ resolved
     ▲                        │                        │ ▲                            └─▶ retracted
     └── over before `hold` ──┘                        └─┘ told again before that: the same alert
```

Everything is a function of the messages in their order: a message not newer than what is held
changes nothing. A breach that a late reading ended is *retracted*: what was said against a unit no
longer stands. What was said about data (silent points, cannot be judged) was true when said and is
only ever *resolved*. So is a suspicion that became a confirmed breach, and at once.

A declared stop keeps an alert about missing data pending while it lasts, and its hold runs from its
end; one that fired is retracted at the next tick where the stop, declared late, was in force when it
was first told. Stops are remembered from their own messages, and never touch other alerts.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from alerts.evaluation import (
    Finding,
    findings,
    has_come,
    is_confirmed,
    is_over,
    landing_findings,
    level_findings,
    limit_findings,
    limits_watched,
)
from alerts.stopped import again, held_until, uncovered, was_declared
from schemas.alert import Alert, Cause, Evidence, State, Transition, transition_id
from schemas.calendar import WindowKind, year_start
from schemas.indicator import (
    Indicator,
    Judged,
    LandingTold,
    LevelTold,
    LineTold,
    Message,
    StopsTold,
    Told,
    Version,
)
from schemas.landing import REGIMES, Regime
from schemas.rule import BREACHES, OF_YEARS, Rule, Rules
from schemas.stop import Stop


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Basis(_Frozen):
    """What the newest window of a kind was judged by, in one regime: a change of it is told as a cause."""

    window: WindowKind
    regime: Regime = "energy"
    start: int
    limit: int | None
    factors: tuple[str, ...]


class Unit(_Frozen):
    """What is remembered of a unit. Key: unit."""

    unit: str
    version: Version
    """Of the newest indicator."""
    tick: Version | None = None
    """Of the newest tick of its own, while in history and while it had alerts."""
    history: bool
    bases: tuple[Basis, ...] = ()
    alerts: tuple[Alert, ...] = ()
    """Pending and firing, in the order of (rule, window start)."""
    stops: tuple[Stop, ...] = ()
    """Of a memory of declared stops: all of the unit's."""


@dataclass(frozen=True, slots=True)
class Partition:
    """What is remembered of one partition of the indicators."""

    tick: Version | None = None
    """Of the newest tick of the live units."""
    units: Mapping[str, Unit] = field(default_factory=dict)


class Step(NamedTuple):
    """What some messages made of a partition."""

    after: Partition
    changed: tuple[str, ...]
    """Units whose memory is another one now, in alphabetical order."""
    transitions: tuple[Transition, ...]


def advance(before: Partition, messages: Iterable[Message], rules: Rules) -> Step:
    """Return the partition after `messages`. Splitting them over several calls changes nothing."""
    units = dict(before.units)
    tick = before.tick
    changed: set[str] = set()
    transitions: list[Transition] = []
    for message in messages:
        for unit, made in _moves(tick, units, message, rules):
            units[unit.unit] = unit
            changed.add(unit.unit)
            transitions.extend(made)
        if isinstance(message, Told) and message.unit is None and _is_newer(message.version, tick):
            tick = message.version
    return Step(Partition(tick, units), tuple(sorted(changed)), tuple(transitions))


Move = tuple[Unit, tuple[Transition, ...]]


def _moves(
    tick: Version | None, units: Mapping[str, Unit], message: Message, rules: Rules
) -> Iterator[Move]:
    """Yield each unit that `message` changes, as it is then, with its transitions."""
    match message:
        case Indicator() | LevelTold() | LandingTold():
            unit = units.get(_subject(message))
            if unit is None or _is_newer(message.version, unit.version):
                yield _heard(unit, message, rules, _stops_of(units, message))
        case StopsTold():
            yield from _remember(units.get(message.subject), message)
        case LineTold():
            yield from _hear_line(units, message, rules)
        case Told(unit=None):
            if _is_newer(message.version, tick):
                waiting = [one for one in units.values() if one.alerts and not one.history]
                for live in sorted(waiting, key=lambda one: one.unit):
                    yield from _wait(live, message, rules, _stops_on(units, live))
        case Told(unit=code):
            unit = units.get(code or "")
            if (
                unit is not None
                and unit.history
                and unit.alerts
                and _is_newer(message.version, unit.tick)
            ):
                timed = unit.model_copy(update={"tick": message.version})
                yield from _wait(timed, message, rules, _stops_on(units, unit))


def _remember(before: Unit | None, told: StopsTold) -> Iterator[Move]:
    """Yield the memory of a unit's stops: what they hold back is seen at the next tick."""
    if before is None or _is_newer(told.version, before.version):
        yield Unit(unit=told.subject, version=told.version, history=False, stops=told.stops), ()


def _stops_of(
    units: Mapping[str, Unit], message: Indicator | LevelTold | LandingTold | LineTold
) -> tuple[Stop, ...]:
    """Of the unit that a message is about."""
    if isinstance(message, LevelTold):
        return ()
    return _stops(units, message.unit)


def _stops_on(units: Mapping[str, Unit], held: Unit) -> tuple[Stop, ...]:
    """Of the unit that a memory with alerts is about."""
    return _stops(units, held.alerts[0].key.unit)


def _stops(units: Mapping[str, Unit], code: str) -> tuple[Stop, ...]:
    held = units.get(f"stops:{code}")
    return () if held is None else held.stops


def _subject(message: Indicator | LevelTold | LandingTold) -> str:
    return message.unit if isinstance(message, Indicator) else message.subject


def _heard(
    unit: Unit | None,
    message: Indicator | LevelTold | LandingTold,
    rules: Rules,
    stops: tuple[Stop, ...],
) -> Move:
    match message:
        case Indicator():
            return _hear(unit, message, rules, stops)
        case LevelTold():
            return _hear_level(unit, message, rules)
        case LandingTold():
            return _hear_landing(unit, message, rules)


def _is_newer(version: Version, held: Version | None) -> bool:
    return held is None or version.key() > held.key()


def _hear(unit: Unit | None, told: Indicator, rules: Rules, stops: tuple[Stop, ...]) -> Move:
    """Return a unit after a newer indicator."""
    alerts = {} if unit is None else {alert.key: alert for alert in unit.alerts}
    bases = () if unit is None else unit.bases
    place = _Place(told.as_of, told.version, told.history, stops)
    transitions: list[Transition] = []
    for found in findings(told, rules, alerts.keys()):
        finding = _uncovered(found, place)
        alert = alerts.pop(finding.key, None)
        cause = _cause(told, finding, alert, bases)
        after, made = _observe(alert, finding, cause, place)
        transitions.extend(made)
        if after is not None:
            alerts[finding.key] = after
    if not told.history:
        for key, alert in alerts.items():
            alerts[key], made = _go_live(alert, rules, place)
            transitions.extend(made)
    remaining, elapsed = _elapse_all(alerts.values(), rules, place)
    heard = Unit(
        unit=told.unit,
        version=told.version,
        tick=None if unit is None else unit.tick,
        history=told.history,
        bases=_bases(bases, told),
        alerts=remaining,
    )
    return heard, (*transitions, *elapsed)


def _hear_level(target: Unit | None, told: LevelTold, rules: Rules) -> Move:
    """Return a target's memory after a newer hour."""
    alerts = {} if target is None else {alert.key: alert for alert in target.alerts}
    place = _Place(told.as_of, told.version, history=False)
    transitions: list[Transition] = []
    for finding in level_findings(told, rules):
        alert = alerts.pop(finding.key, None)
        after, made = _observe(alert, finding, told.cause, place)
        transitions.extend(made)
        if after is not None:
            alerts[finding.key] = after
    remaining, elapsed = _elapse_all(alerts.values(), rules, place)
    heard = Unit(unit=told.subject, version=told.version, history=False, alerts=remaining)
    # The level that was left is told before the one that was come to.
    return heard, (*elapsed, *transitions)


def _hear_landing(before: Unit | None, told: LandingTold, rules: Rules) -> Move:
    """Return what is remembered of a unit's landings after a newer midnight."""
    firing = {
        one.key
        for one in (() if before is None else before.alerts)
        if one.state == "firing" and one.cleared_at is None
    }
    found = [(one, told.cause) for one in landing_findings(told, rules, firing)]
    return _hear_apart(before, told.subject, told, found, rules)


def _hear_line(units: Mapping[str, Unit], told: LineTold, rules: Rules) -> Iterator[Move]:
    """Yield what is remembered of each limit of a line that a rule watches; each has a version of its own."""
    for limit in limits_watched(told, rules):
        subject = f"{told.subject}:{limit}"
        held = units.get(subject)
        if held is None or _is_newer(told.version, held.version):
            keys = () if held is None else [alert.key for alert in held.alerts]
            found = [
                (one, _cause_of_limit(told, one, held))
                for one in limit_findings(told, limit, rules, keys)
            ]
            unit, transitions = _hear_apart(
                held, subject, told, found, rules, _stops_of(units, told)
            )
            bases = _bases_of_limit(held, told, limit)
            yield unit.model_copy(update={"bases": bases}), transitions


def _cause_of_limit(told: LineTold, finding: Finding, before: Unit | None) -> Cause:
    """Return `limit` where another edition of it holds than when it was last heard of; else what the message says."""
    held = finding.evidence.held
    if before is None or held is None:
        return told.cause
    if finding.rule.kind == "limit to come":
        return told.cause if held.limit.coming else "limit"
    known = next((basis for basis in before.bases if basis.window == held.window), None)
    if known is None or held.start < known.start:
        return told.cause
    return told.cause if known.factors == held.limit.entries else "limit"


def _bases_of_limit(before: Unit | None, told: LineTold, limit: str) -> tuple[Basis, ...]:
    """Return the entries of the packs by which the newest window of each kind was judged: no entry where the limit is yet to come alone."""
    newest = {basis.window: basis for basis in (() if before is None else before.bases)}
    for window in sorted(told.windows, key=attrgetter("start")):
        for one in window.limits:
            known = newest.get(window.window)
            judged = one.verdict != "NOT JUDGED"
            if one.limit != limit or (known is not None and window.start < known.start):
                continue
            if judged or known is None:
                newest[window.window] = Basis(
                    window=window.window,
                    start=window.start,
                    limit=None,
                    factors=one.entries if judged else (),
                )
    return tuple(newest[kind] for kind in sorted(newest))


def _hear_apart(
    before: Unit | None,
    subject: str,
    told: LandingTold | LineTold,
    found: Iterable[tuple[Finding, Cause]],
    rules: Rules,
    stops: tuple[Stop, ...] = (),
) -> Move:
    """Return what is remembered of something of a unit that is told apart, after a newer message."""
    alerts = {} if before is None else {alert.key: alert for alert in before.alerts}
    place = _Place(told.as_of, told.version, told.history, stops)
    transitions: list[Transition] = []
    for finding, cause in found:
        alert = alerts.pop(finding.key, None)
        after, made = _observe(alert, finding, cause, place)
        transitions.extend(made)
        if after is not None:
            alerts[finding.key] = after
    if not told.history:
        for key, alert in alerts.items():
            alerts[key], made = _go_live(alert, rules, place)
            transitions.extend(made)
    remaining, elapsed = _elapse_all(alerts.values(), rules, place)
    heard = Unit(unit=subject, version=told.version, history=told.history, alerts=remaining)
    return heard, (*transitions, *elapsed)


def _wait(unit: Unit, tick: Told, rules: Rules, stops: tuple[Stop, ...]) -> Iterator[Move]:
    """Yield a unit after a tick that told nothing of it: holds elapse, and stops begin and end."""
    place = _Place(tick.as_of, tick.version, unit.history, stops)
    remaining, transitions = _elapse_all(unit.alerts, rules, place)
    if remaining != unit.alerts or transitions or unit.history:  # a tick of its own is remembered
        yield unit.model_copy(update={"alerts": remaining}), transitions


class _Place(NamedTuple):
    """Where in time and log something is told."""

    at: int
    version: Version
    history: bool
    stops: tuple[Stop, ...] = ()


def _uncovered(finding: Finding, place: _Place) -> Finding:
    """A finding of silence without points that declared stops cover, where others are silent too."""
    evidence = uncovered(finding.rule.kind, finding.evidence, place.stops, place.at)
    if evidence is finding.evidence:
        return finding
    since = min((one.since for one in evidence.silent), default=None)
    return finding._replace(evidence=evidence, since=since)


def _observe(
    alert: Alert | None, finding: Finding, cause: Cause, place: _Place
) -> tuple[Alert | None, tuple[Transition, ...]]:
    """Return the alert after a finding, before time is considered."""
    if alert is None:
        return _begin(finding, cause, place) if finding.holds else (None, ())
    if finding.holds:
        since = alert.told_at if finding.since is None else finding.since
        update = {"since": since, "cleared_at": None, "cleared_by": None}
        return alert.model_copy(update=update | {"evidence": finding.evidence}), ()
    alert = alert.model_copy(update={"evidence": finding.evidence})
    if alert.state == "pending":
        return None, (_transition(alert, finding.rule, "inactive", cause, place),)
    if alert.cleared_at is None:
        alert = alert.model_copy(update={"cleared_at": place.at, "cleared_by": cause})
    return alert, ()


def _begin(finding: Finding, cause: Cause, place: _Place) -> tuple[Alert, tuple[Transition, ...]]:
    rule = finding.rule
    window, window_end = _window_of(finding.evidence)
    alert = Alert(
        key=finding.key,
        kind=rule.kind,
        severity=rule.severity,
        window=window,
        window_end=window_end,
        state="pending",
        cause=cause,
        told_at=place.at,
        since=place.at if finding.since is None else finding.since,
        evidence=finding.evidence,
    )
    if rule.hold_ms == 0 and held_until(alert, place.stops, place.at) is None:
        return _fire(alert, rule, cause, place, previous="inactive")
    pending = _transition(alert, rule, "pending", cause, place, previous="inactive")
    return alert, (pending,)


def _window_of(evidence: Evidence) -> tuple[WindowKind | None, int | None]:
    """Return the window that a condition is about, and its end."""
    if evidence.judged is not None:
        return evidence.judged.window, evidence.judged.end
    if evidence.standing is not None:
        return "year", year_start(evidence.standing.year + 1)
    if evidence.landed is not None:
        return "year", year_start(evidence.landed.year + 1)
    if evidence.held is not None and evidence.held.limit.coming is None:
        return evidence.held.window, evidence.held.end
    return None, None


def _fire(
    alert: Alert, rule: Rule, cause: Cause, place: _Place, *, previous: State
) -> tuple[Alert, tuple[Transition, ...]]:
    episode = alert.episode or transition_id(alert.key, place.version, "firing")
    firing = alert.model_copy(
        update={"state": "firing", "episode": episode, "in_history": place.history}
    )
    return firing, (_transition(firing, rule, "firing", cause, place, previous=previous),)


def _go_live(alert: Alert, rules: Rules, place: _Place) -> tuple[Alert, tuple[Transition, ...]]:
    """Fire again what fired in history and holds on: who hears of live units missed it."""
    rule = _rule_of(alert, rules)
    if not alert.in_history or alert.cleared_at is not None or rule is None:
        return alert, ()
    return _fire(alert, rule, "history ends", place, previous="firing")


def _elapse_all(
    alerts: Iterable[Alert], rules: Rules, place: _Place
) -> tuple[tuple[Alert, ...], tuple[Transition, ...]]:
    remaining: list[Alert] = []
    transitions: list[Transition] = []
    for alert in sorted(alerts, key=lambda alert: (alert.key.rule, alert.key.window_start or 0)):
        after, made = _elapse(alert, _rule_of(alert, rules), place)
        transitions.extend(made)
        if after is not None:
            remaining.append(after)
    return tuple(remaining), tuple(transitions)


def _elapse(
    alert: Alert, rule: Rule | None, place: _Place
) -> tuple[Alert | None, tuple[Transition, ...]]:
    """Return the alert after time has come to `place.at`."""
    if rule is None:
        return _end(alert, None, "resolved", "rule", place)
    if is_over(alert.window_end, rule, at=place.at):
        return _end(alert, rule, "resolved", "time", place)
    if alert.state == "pending":
        return _await(alert, rule, place)
    if alert.cleared_at is None or alert.cleared_by is None:
        return _take_back(alert, rule, place) if place.stops else (alert, ())
    settled = (ended(alert.kind, alert.evidence) for ended in (is_confirmed, has_come))
    if place.at - alert.cleared_at >= rule.recover_hold_ms or any(settled):
        return _end(alert, rule, _ending(alert), alert.cleared_by, place)
    return alert, ()


def _await(alert: Alert, rule: Rule, place: _Place) -> tuple[Alert | None, tuple[Transition, ...]]:
    """Return a pending alert after time has come to `place.at`: a declared stop holds it, and its hold runs from there."""
    until = held_until(alert, place.stops, place.at)
    if until is not None:
        return alert.model_copy(update={"stopped_until": until}), ()
    held = alert.stopped_until
    if held is not None and held > place.at:  # withdrawn, or ended sooner
        held = place.at
        alert = alert.model_copy(update={"stopped_until": held})
    if place.at - max(alert.told_at, held or 0) < rule.hold_ms:
        return alert, ()
    evidence = uncovered(alert.kind, alert.evidence, place.stops, place.at)
    alert = alert.model_copy(update={"stopped_until": None, "evidence": evidence})
    return _fire(alert, rule, "time", place, previous="pending")


def _take_back(
    alert: Alert, rule: Rule, place: _Place
) -> tuple[Alert | None, tuple[Transition, ...]]:
    """Retract what a stop, declared late, would have held back; it is held back from now on."""
    until = held_until(alert, place.stops, place.at)
    if until is None or not was_declared(alert, place.stops, place.at):
        return alert, ()
    _, ended = _end(alert, rule, "retracted", "declared stop", place)
    pending = again(alert, until)
    begins = _transition(pending, rule, "pending", "declared stop", place, previous="inactive")
    return pending, (*ended, begins)


def _end(
    alert: Alert,
    rule: Rule | None,
    state: Literal["resolved", "retracted"],
    cause: Cause,
    place: _Place,
) -> tuple[None, tuple[Transition, ...]]:
    ended: State = "inactive" if alert.state == "pending" else state
    return None, (_transition(alert, rule, ended, cause, place),)


CORRECTIONS = frozenset({"late reading", "restatement", "factor"})
"""Causes after which what was said of the past was not so."""


def _ending(alert: Alert) -> Literal["resolved", "retracted"]:
    corrected = alert.cleared_by in CORRECTIONS and alert.kind in BREACHES
    return "retracted" if corrected and not is_confirmed(alert.kind, alert.evidence) else "resolved"


def _transition(
    alert: Alert,
    rule: Rule | None,
    state: State,
    cause: Cause,
    place: _Place,
    *,
    previous: State | None = None,
) -> Transition:
    return Transition(
        id=transition_id(alert.key, place.version, state),
        rule=alert.key.rule,
        rule_version="" if rule is None else rule.version(),
        kind=alert.kind,
        severity=alert.severity,
        unit=alert.key.unit,
        window=alert.window,
        window_start=alert.key.window_start,
        window_end=alert.window_end,
        limit=alert.key.limit,
        previous=alert.state if previous is None else previous,
        state=state,
        at=place.at,
        since=alert.since,
        cause=cause,
        began_by=alert.cause,
        version=place.version,
        history=place.history,
        episode=alert.episode,
        evidence=alert.evidence,
    )


def _rule_of(alert: Alert, rules: Rules) -> Rule | None:
    """Return the rule that an alert came from, or None where it no longer watches for this."""
    for rule in rules:
        if rule.name == alert.key.rule:
            same = rule.kind == alert.kind and (alert.window is None or rule.window == alert.window)
            same = same and (alert.kind not in OF_YEARS or rule.regime == alert.evidence.regime)
            return rule if same and rule.covers(alert.key.unit) else None
    return None


def _cause(
    told: Indicator, finding: Finding, alert: Alert | None, bases: tuple[Basis, ...]
) -> Cause:
    """Return what changed the judgement: its limit, its factors, else what the indicator says."""
    judged = finding.evidence.judged
    if judged is None:  # nobody falls silent by speaking, whatever other points said
        return "time" if finding.holds else told.cause
    regime = finding.evidence.regime
    before = _basis_before(judged, regime, alert, bases)
    if before is None:
        return told.cause
    now = _basis(judged, regime)
    if before.limit != now.limit:
        return "limit"
    return "factor" if before.factors != now.factors else told.cause


def _basis_before(
    judged: Judged, regime: Regime, alert: Alert | None, bases: tuple[Basis, ...]
) -> Basis | None:
    if alert is not None and alert.evidence.judged is not None:
        return _basis(alert.evidence.judged, regime)
    now = judged.window, regime, judged.start
    return next((b for b in bases if (b.window, b.regime, b.start) == now), None)


def _basis(judged: Judged, regime: Regime) -> Basis:
    used = judged.used(regime)
    return Basis(
        window=judged.window,
        regime=regime,
        start=judged.start,
        limit=judged.against(regime).limit,
        factors=used.factors if used else (),
    )


def _bases(held: tuple[Basis, ...], told: Indicator) -> tuple[Basis, ...]:
    """Return the newest basis of each kind of window that has, or had, a limit, by regime."""
    newest = {(basis.window, basis.regime): basis for basis in held}
    for judged in told.windows:
        for regime in REGIMES:
            before = newest.get((judged.window, regime))
            limited = judged.against(regime).limit is not None or before is not None
            if limited and (before is None or judged.start >= before.start):
                newest[judged.window, regime] = _basis(judged, regime)
    return tuple(newest[which] for which in sorted(newest))
