"""What people and other programs are told of a transition: labels, annotations and English text.

Labels say who and what, and are the same from firing to its end: Alertmanager knows an alert by
them. Values are in the annotations. Times are on the business calendar, with their offset.
"""

from decimal import Decimal

from alerts.evaluation import has_come, is_confirmed
from alerts.landing_text import (
    LIMIT_OF,
    NAME_OF,
    daily,
    exhausted_on,
    landing_figures,
    landing_summary,
    lands_at,
)
from alerts.limit_text import (
    bounds_of_limit,
    in_days,
    limit_figures,
    limit_summary,
    used_of_limit,
)
from schemas.alert import Cause, Evidence, HeldToLimit, Notice, Transition
from schemas.calendar import BUSINESS, moment, rfc3339
from schemas.indicator import FIGURE_OF, Figure, Silent
from schemas.landing import MEASURE_OF, Landed, Regime
from schemas.regions import Standing
from schemas.rule import PLACEHOLDERS, Kind, Rule
from schemas.scale import as_text

CAUSES: dict[Cause, str] = {
    "reading": "a new reading",
    "late reading": "a late reading or a correction",
    "time": "time passing",
    "limit": "a change of the limit",
    "restatement": "a restatement: all was worked out again from the readings",
    "factor": "a change of a factor",
    "rule": "a change of the alert rule",
    "history ends": "the end of the unit's imported history",
    "declared stop": "a declared stop or maintenance",
}

POINTS_NAMED = 5
"""Silent points named in a text; of the rest it tells the number, and the evidence holds all."""

WINDOW_FORMAT = {"hour": "%Y-%m-%dT%H:00", "day": "%Y-%m-%d", "month": "%Y-%m", "year": "%Y"}


def notice(transition: Transition, rule: Rule | None) -> Notice:
    """Return `transition` with labels and annotations; texts of the rule replace the usual ones."""
    words = placeholders(transition)
    summary = rule.summary.format_map(words) if rule and rule.summary else _summary(transition)
    description = (
        rule.description.format_map(words)
        if rule and rule.description
        else _description(transition, words)
    )
    annotations = {
        "summary": summary,
        "description": description,
        "state": transition.state,
        "since": words["since"],
        "at": words["at"],
        "cause": words["cause"],
        "transition": transition.id,
    }
    return Notice(**dict(transition), labels=labels(transition), annotations=annotations)


def labels(transition: Transition) -> dict[str, str]:
    """Return who and what: the identity of an alert in Alertmanager."""
    told = {
        "alertname": transition.rule,
        "kind": transition.kind,
        "severity": transition.severity,
        "unit": transition.unit,
        "service": "weir",
    }
    standing = transition.evidence.standing
    if standing is not None:
        told |= {"kpi": standing.quantity, "window": window_name(transition)}
    elif transition.evidence.held is not None:
        held = transition.evidence.held
        told |= {"kpi": "energy a unit of output", "line": held.line}
        told["limit"] = _limit_label(transition, held)
        told |= {"window": window_name(transition)} if transition.window is not None else {}
    elif transition.window is not None:
        told |= {"kpi": FIGURE_OF[transition.evidence.regime], "window": window_name(transition)}
    return told


def _limit_label(transition: Transition, held: HeldToLimit) -> str:
    """Return the limit's name; of one to come with its day, which its end says no more."""
    if transition.kind == "limit to come" and transition.limit is not None:
        return transition.limit.removeprefix(f"{held.line}: ")
    return held.limit.limit


def window_name(transition: Transition) -> str:
    """Return a window as people write it: `2026`, `2026-11`, `2026-11-23`; else nothing."""
    if transition.window is None or transition.window_start is None:
        return ""
    start = moment(transition.window_start).astimezone(BUSINESS)
    return start.strftime(WINDOW_FORMAT[transition.window])


def placeholders(transition: Transition) -> dict[str, str]:
    """Return what a rule's texts may name: the keys are those of schemas.rule.PLACEHOLDERS."""
    judged, standing = transition.evidence.judged, transition.evidence.standing
    landed = transition.evidence.landed
    regime = transition.evidence.regime
    used = judged.used(regime) if judged else None
    limit = judged.against(regime).limit if judged else None
    if standing is not None:
        used, limit = _used(standing), standing.amount
    if landed is not None:
        used, limit = _used_of_year(landed), landed.quota
    if transition.evidence.held is not None:
        return _words_of_limit(transition, transition.evidence.held)
    return {
        "unit": transition.unit,
        "rule": transition.rule,
        "severity": transition.severity,
        "state": transition.state,
        "window": window_name(transition),
        "since": rfc3339(transition.since),
        "at": rfc3339(transition.at),
        "cause": CAUSES[transition.cause],
        "amount": amount(used, regime) if used else "",
        "limit": ""
        if limit is None
        else f"{number(limit)} {_measure(used, regime) if used else 'tce'}",
        "regime": _regime(transition),
        "basis": basis_of(transition.evidence),
        "over": over(used, limit, regime) if used and limit is not None else "",
        "measured": f"{number(used.share_measured * 100)} %" if used and not standing else "",
        "reason": (judged.against(regime).reason or "") if judged else "",
        "points": _points(transition.evidence.silent),
        "factors": _unverified(used) if judged else _unverified_sum(standing),
        "from_day": "",
        "landing": lands_at(landed) if landed else "",
        "exhaustion": exhausted_on(landed) if landed else "",
        "daily": daily(landed) if landed else "",
    }


def _words_of_limit(transition: Transition, held: HeldToLimit) -> dict[str, str]:
    words = dict.fromkeys(PLACEHOLDERS, "")
    return words | {
        "unit": transition.unit,
        "rule": transition.rule,
        "severity": transition.severity,
        "state": transition.state,
        "window": window_name(transition),
        "since": rfc3339(transition.since),
        "at": rfc3339(transition.at),
        "cause": CAUSES[transition.cause],
        "amount": used_of_limit(held.limit),
        "limit": bounds_of_limit(held.limit),
        "regime": held.limit.regime,
        "basis": held.limit.basis,
        "reason": held.limit.reason or "",
        "from_day": in_days(transition),
        "factors": "; ".join(held.limit.notes),
    }


def _regime(transition: Transition) -> str:
    evidence = transition.evidence
    if evidence.standing is not None:
        return regime_of(evidence.standing)
    of_year = evidence.judged is not None or evidence.landed is not None
    return evidence.regime if of_year else ""


def regime_of(standing: Standing) -> Regime:
    """Return which regime a target is of."""
    return "energy" if standing.quantity == "energy" else "carbon"


def basis_of(evidence: Evidence) -> str:
    """Return how a year's verdict, landing or target is counted: of CO2 with the view of electricity's factor."""
    if evidence.standing is not None:
        views = ", ".join(evidence.standing.views)
        in_views = f"electricity by the view {views}" if views else ""
        return "equivalent value" if evidence.standing.quantity == "energy" else in_views
    if evidence.judged is None and evidence.landed is None:
        return ""
    if evidence.regime == "energy":
        return "equivalent value"
    budget = evidence.judged.budget if evidence.judged else None
    view = budget.view if budget else evidence.landed.view if evidence.landed else None
    return f"electricity by the view {view}" if view else ""


def _measure(figure: Figure, regime: Regime) -> str:
    return MEASURE_OF[regime] if regime == "carbon" else figure.unit_of_measure


def amount(figure: Figure, regime: Regime = "energy") -> str:
    """Return a figure with its interval: `between 1 and 3 tce (best estimate 2)`."""
    unit, low = _measure(figure, regime), number(figure.low)
    best = f"(best estimate {number(figure.best)})"
    if figure.high is None:
        return f"at least {low} {unit}, upper bound unknown {best}"
    if figure.low == figure.high:
        return f"{low} {unit}"
    return f"between {low} and {number(figure.high)} {unit} {best}"


def over(figure: Figure, limit: int, regime: Regime = "energy") -> str:
    """Return by how much a figure is over its limit: an interval, as the figure is one."""
    unit = _measure(figure, regime)
    low, best = _beside(figure.low - limit, unit), _beside(figure.best - limit, unit)
    if figure.high is None:
        return f"at least {low}, upper bound unknown (best estimate {best})"
    if figure.low == figure.high:
        return low
    return f"between {low} and {_beside(figure.high - limit, unit)} (best estimate {best})"


def _beside(difference: int, unit: str) -> str:
    return f"{number(abs(difference))} {unit} {'below' if difference < 0 else 'over'}"


def _used(standing: Standing) -> Figure:
    unit = "tce" if standing.quantity == "energy" else "t CO2"
    used = standing.used
    return Figure(
        unit_of_measure=unit, low=used.low, best=used.best, high=used.high, share_measured=0
    )


def _used_of_year(landed: Landed) -> Figure:
    used = landed.used
    return Figure(
        unit_of_measure=MEASURE_OF[landed.regime],
        low=used.low,
        best=used.best,
        high=used.high,
        share_measured=landed.share_measured,
        factors=landed.factors,
        unverified=landed.unverified,
    )


LEVELS = {1: "level 1 (very severe)", 2: "level 2 (rather severe)", 3: "level 3 (basically smooth)"}
LINES_NAMED = 3
"""Causes named in a text; the evidence holds all."""


def _level_summary(transition: Transition, standing: Standing) -> str:
    level = LEVELS[standing.level or 3]
    subject = transition.unit.removeprefix("target:")
    rest = f"{standing.quantity} of {standing.year} is at {level}"
    if transition.state == "firing":
        return f"Target {subject}: {rest}"
    return f"{transition.state.capitalize()}: target {subject}: {rest}"


def _level_figures(standing: Standing, words: dict[str, str]) -> list[str]:
    unit = "tce" if standing.quantity == "energy" else "t CO2"
    reason = standing.reason and f" ({standing.reason})"
    return [
        f"{standing.figure_of.capitalize()}: {words['amount']};",
        f"allowed until then: {number(standing.allowed)} {unit} of {words['limit']}, {standing.basis}.",
        f"Against the whole year: {standing.verdict}{reason}. Level rule {standing.rule}.",
        _rests(words),
        words["factors"],
        *_moved(standing, unit),
    ]


def _moved(standing: Standing, unit: str) -> list[str]:
    if standing.changed is None:
        return []
    first = standing.changed.lines[:LINES_NAMED]
    named = ", ".join(
        f"{' '.join(part for part in (line.unit, line.cause) if part)} {number(line.best)} {unit}"
        for line in first
    )
    rest = len(standing.changed.lines) - len(first)
    more = f" and {rest} more" if rest else ""
    return [f"Used less allowed moved within the hour by {named}{more} (best estimates)."]


def _summary(transition: Transition) -> str:
    if transition.evidence.held is not None:
        return limit_summary(transition, transition.evidence.held)
    if transition.evidence.standing is not None:
        return _level_summary(transition, transition.evidence.standing)
    if transition.evidence.landed is not None:
        return landing_summary(transition.evidence.landed, transition.unit, transition.state)
    regime = transition.evidence.regime
    used = f"{NAME_OF[regime]} of {window_name(transition)}"
    match transition.kind:
        case "confirmed breach":
            subject, verb, rest = used, "is", f"above its {LIMIT_OF[regime]}"
        case "suspected breach":
            subject, verb, rest = used, "is", f"probably above its {LIMIT_OF[regime]}"
        case "cannot be judged":
            subject, verb, rest = used, "cannot be", f"judged against its {LIMIT_OF[regime]}"
        case _:
            subject, verb, rest = "metering points", "are", "silent"
    if transition.state == "firing":
        return f"Unit {transition.unit}: {subject} {verb} {rest}"
    # Without its verb: what is over must not read as if it were so.
    rest = rest.replace("judged", "not judged")
    return f"{transition.state.capitalize()}: unit {transition.unit}: {subject} {rest}"


def _description(transition: Transition, words: dict[str, str]) -> str:
    sentences = [*_figures(transition, words), _course(transition, words)]
    if transition.history:
        sentences.append("This is imported history, not the present.")
    return " ".join(sentence for sentence in sentences if sentence)


def _figures(transition: Transition, words: dict[str, str]) -> list[str]:
    """Say what was known at the tick."""
    if transition.evidence.standing is not None:
        return _level_figures(transition.evidence.standing, words)
    if transition.evidence.landed is not None:
        landed = transition.evidence.landed
        return [*landing_figures(landed, words["limit"], words["amount"]), _rests(words)]
    if transition.evidence.held is not None:
        return limit_figures(transition.evidence.held)
    judged = transition.evidence.judged
    silent = words["points"] and f"{words['points']}."
    if judged is None:
        return [silent or "No point is silent any more."]
    regime = transition.evidence.regime
    against = judged.against(regime)
    if against.limit is None:
        return ["The window has no limit any more."]
    until = rfc3339(min(transition.evidence.as_of, judged.end))
    reason = words["reason"] and f" ({words['reason']})"
    name, limit = (_capital(one[regime]) for one in (NAME_OF, LIMIT_OF))
    return [
        f"{name} of {words['window']} up to {until}: {words['amount']}.",
        words["over"] and f"{limit} {words['limit']}: {words['over']}.",
        f"Verdict {against.verdict}{reason}; {words['measured']} of the time is measured exactly.",
        _rests(words),
        silent if transition.kind == "cannot be judged" else "",
        words["factors"],
    ]


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:]


def _rests(words: dict[str, str]) -> str:
    return f"Regime {words['regime']}, {words['basis']}." if words["basis"] else ""


def _course(transition: Transition, words: dict[str, str]) -> str:
    """Say since when, and what changed it."""
    if transition.state == "inactive":
        return f"It was over before its hold, at {words['at']}; cause: {words['cause']}."
    if transition.state in {"resolved", "retracted"}:
        return _ending(transition, words)
    held = transition.cause == "time" and transition.previous == "pending"
    parts = [
        f"{_since(transition)} {words['since']}, told at {words['at']};",
        f"cause: {CAUSES[transition.began_by]}{', and it has held' if held else ''}.",
        "The unit is live from now on." if transition.cause == "history ends" else "",
    ]
    return " ".join(part for part in parts if part)


SINCE: dict[Kind, str] = {
    "confirmed breach": "Above the {} since the quarter hour that ends at",
    "suspected breach": "So since",
    "cannot be judged": "So since",
    "silent points": "The first was last heard",
    "level changed": "So since",
    "will break": "Forecast since",
    "limit broken": "Found above it at",
    "limit probably broken": "So since",
    "limit cannot be judged": "So since",
    "limit to come": "So since",
}


def _since(transition: Transition) -> str:
    return SINCE[transition.kind].format(LIMIT_OF[transition.evidence.regime])


def _ending(transition: Transition, words: dict[str, str]) -> str:
    at, since, cause = words["at"], words["since"], words["cause"]
    if transition.cause == "rule":
        return f"It held from {since}; since {at} no alert rule watches for it any more."
    if transition.cause == "time" and transition.window is not None:
        return (
            f"It held from {since} to the end of its window; the alert is closed at {at}. "
            "That does not change what was found."
        )
    if has_come(transition.kind, transition.evidence):
        return f"It was to come since {since}, and is in force at {at}; cause: {cause}. What is above it is told as such."
    if is_confirmed(transition.kind, transition.evidence):
        if transition.kind == "will break":
            limit = LIMIT_OF[transition.evidence.regime]
            return f"Forecast since {since}; the {limit} is passed at {at}."
        return f"The suspicion since {since} is confirmed at {at}; cause: {cause}."
    if transition.cause == "declared stop":
        return f"It held from {since}, and is held back from {at} on; cause: {cause}. Figures and verdicts stay as they are."
    if transition.state == "retracted":
        return f"What was told since {since} no longer stands at {at}; cause: {cause}."
    return f"It held from {since} and is over at {at}; cause: {cause}."


def _points(silent: tuple[Silent, ...]) -> str:
    if not silent:
        return ""
    first = sorted(silent, key=lambda point: (point.since, point.point))[:POINTS_NAMED]
    named = ", ".join(f"{point.point} (last heard {rfc3339(point.since)})" for point in first)
    rest = len(silent) - len(first)
    more = f" and {rest} more" if rest else ""
    noun = "point is" if len(silent) == 1 else "points are"
    return f"{len(silent)} {noun} silent: {named}{more}"


def _unverified(used: Figure | None) -> str:
    if used is None or not used.unverified:
        return ""
    named = ", ".join(used.factors) or "not named"
    return f"It rests on a factor that nobody has verified (factors: {named})."


def _unverified_sum(standing: Standing | None) -> str:
    if standing is None or not standing.used.unverified:
        return ""
    return "It rests on a factor that nobody has verified."


def number(scaled: int) -> str:
    """Return a scaled integer exactly, its thousands set apart: `1,234.5`."""
    text = as_text(scaled) or ""
    whole, point, part = text.partition(".")
    return f"{Decimal(whole):,}" + point + part
