"""Where a unit's year lands and what it can still use, for people and for machines."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

import orjson

from processors.landing import Span, per_day
from processors.line_headroom import rooms, rooms_shown
from processors.lines_shown import Row
from schemas.calendar import rfc3339, window_end, window_start
from schemas.indicator import FIGURE_OF
from schemas.landing import MEASURE_OF, Ends, Landed, Regime
from schemas.scale import SCALE, as_text

Json = Mapping[str, object]

LIMIT_OF: Mapping[Regime, str] = {"energy": "quota", "carbon": "CO2 budget"}
STATES = {
    "broken": "BROKEN: what is certain so far is above the {}",
    "will break": "WILL BREAK: even the low end of the 80 % interval is above the {}",
    "may break": "MAY BREAK: the expected year is above the {}",
    "on track": "ON TRACK: the expected year keeps the {}, whatever is missing",
    "cannot be said": "CANNOT BE SAID",
}
REASONS = {
    "behind": "nothing was told for this midnight: the unit's own time is behind",
    "days missing": "a day of the year was not told to its end",
    "too few days": "fewer than 21 whole days, and no earlier year is known",
    "opening unknown": "what was used before the first reading is unknown",
    "too little measured": "it hangs on what is not measured",
    "other factor view": "its CO2 is told by another view of electricity's factor",
}
_BASES = {
    "seasonal": "seasonal: the shape of the unit's year before",
    "calendar": "calendar: no whole earlier year is known, one day counts as another",
}
_ENDS = ("low", "best", "high")
QUOTA = "annual energy quota, equivalent value"
BUDGET = "annual CO2 budget, {}"


# ---- Headroom


def headroom(
    windows: Iterable[tuple[int, bytes]], lines: Sequence[Row] = ()
) -> dict[str, object] | None:
    """What a unit can still use this year and month, by its newest year as last told; None where nothing was told of a year.

    The month's share is that of an even pace: the year's headroom, times the time left of the month over that of the year.
    Of the quota, the CO2 budget and the product limits of its lines that one binds first of which the least is left by the best estimate.
    """
    years = [(as_of, orjson.loads(judged)) for as_of, judged in windows]
    told = [(as_of, year) for as_of, year in years if year["window"] == "year"]
    if not told:
        return None
    as_of, year = max(told, key=lambda one: one[1]["start"])
    at = min(as_of, year["end"])
    found: dict[str, object] = {
        "year": rfc3339(year["start"])[:4],
        "as_of": rfc3339(at),
        "binds": None,
    }
    rest, left = None, list[tuple[int, str]]()
    if "limit" in year:
        quota, used = cast("int", year["limit"]), _used(year, "energy")
        rest = _rest(quota, used)
        left.append((_left(quota, used), QUOTA))
        found |= _under(QUOTA, "tce", quota, used, (at, year["end"])) | _doubts(year, "energy")
    if "budget" in year:
        budget, used = cast("int", year["budget"]["limit"]), _used(year, "carbon")
        name = BUDGET.format(year["budget"]["view"])
        under = _under(name, "t CO2", budget, used, (at, year["end"]))
        if year["budget"].get("reason") == "other factor view":
            under |= dict.fromkeys(_SHARES) | {"reason": "other factor view"}
        else:
            left.append((_left(budget, used), name))
        found["carbon"] = under | _doubts(year, "carbon")
    left += [
        (one.left, f"{one.limit} of line {one.line}")
        for one in rooms(lines)
        if one.left is not None
    ]
    first = min(left, key=lambda one: one[0], default=None)
    return found | rooms_shown(lines, rest) | {"binds_first": first and first[1]}


_SHARES = ("this_year", "this_month", "per_day")


def _left(limit: int, used: Span) -> int:
    """Of an annual limit by the best estimate, in millionths of it."""
    return (limit - used.best) * SCALE // limit if limit else 0


def _rest(quota: int, used: Span) -> Span:
    return Span(
        0 if used.high is None else max(0, quota - used.high),
        max(0, quota - used.best),
        max(0, quota - used.low),
    )


def _used(year: Json, regime: Regime) -> Span:
    figure = cast("Mapping[str, Json]", year["figures"]).get(FIGURE_OF[regime], {})
    low, best, high = (cast("int | None", figure.get(end, 0)) for end in _ENDS)
    return Span(low or 0, best or 0, high)


def _doubts(year: Json, regime: Regime) -> dict[str, object]:
    """Whether what was used of a limit rests on an unverified factor, and by which objections it is contested."""
    name = FIGURE_OF[regime]
    figure = cast("Mapping[str, Json]", year["figures"]).get(name, {})
    contested = cast("Mapping[str, str]", year.get("contested", {})).get(name)
    return {"unverified": bool(figure.get("unverified")), "contested": contested}


def _under(
    name: str, measure: str, limit: int, used: Span, between: tuple[int, int]
) -> dict[str, object]:
    """Of a unit's annual quota or budget, from an instant to the year's end."""
    at, end = between
    rest = _rest(limit, used)
    left = end - at
    month = window_end("month", window_start("month", at)) - at if left else 0
    share = [
        0 if not left else one * month // left for one in (rest.low, rest.best, rest.high or 0)
    ]
    day = per_day(used, at, limit, end)
    return {
        "binds": {
            "limit": name,
            "amount": as_text(limit),
            "unit_of_measure": measure,
        },
        "this_year": _texts(rest),
        "this_month": _texts(Span(*share)),
        "per_day": None if day is None else _texts(day),
    }


def _texts(ends: Span | Ends) -> dict[str, str | None]:
    return {"low": as_text(ends.low), "best": as_text(ends.best), "high": as_text(ends.high)}


# ---- A landing


def landing_shown(
    unit: str, last: Mapping[Regime, tuple[int, Json]], room: Json | None
) -> dict[str, object]:
    """The last midnight's landings and the headroom, amounts as text in tce (t CO2), burn rates as multiples of what the quota allows."""
    told = {
        by: _landing(at, Landed.model_validate(said)) | _contested(by, room)
        for by, (at, said) in last.items()
    }
    shown: dict[str, object] = {"unit": unit, "landing": told.get("energy"), "headroom": room}
    return shown | ({"carbon_landing": told["carbon"]} if "carbon" in told else {})


def _contested(regime: Regime, room: Json | None) -> dict[str, object]:
    """Of a landing: its year's figure is."""
    under = (room or {}).get("carbon", {}) if regime == "carbon" else room or {}
    return {"contested": cast("Json", under).get("contested")}


def _landing(at: int, landed: Landed) -> dict[str, object]:
    seen = landed.projected
    return {
        "at": rfc3339(at),
        "year": landed.year,
        "regime": landed.regime,
        "unit_of_measure": MEASURE_OF[landed.regime],
        "quota": as_text(landed.quota),
        "view": landed.view,
        "state": landed.state,
        "reason": landed.reason,
        "basis": None if seen is None else seen.basis,
        "used": _texts(landed.used),
        "share_measured": as_text(landed.share_measured),
        "year_end": None if seen is None else _texts(seen.year_end),
        "expected_if_missing_at_most": None if seen is None else as_text(seen.expected_high),
        "exhaustion": None if seen is None else seen.exhaustion.model_dump(),
        "burn_7_days": _rates(landed.fast),
        "burn_30_days": _rates(landed.slow),
        "per_day": None if landed.per_day is None else _texts(landed.per_day),
        "factors": list(landed.factors),
        "unverified": landed.unverified,
    }


def _rates(burn: Ends | None) -> dict[str, str | None] | None:
    if burn is None:
        return None
    rates = Ends(
        low=burn.low * 1000,
        best=burn.best * 1000,
        high=None if burn.high is None else burn.high * 1000,
    )
    return _texts(rates)


# ---- For people


def render_landing(told: Json) -> str:
    """The same for a person at a terminal."""
    landing, room = cast("Json | None", told["landing"]), cast("Json | None", told["headroom"])
    lines = [f"unit {told['unit']}"]
    carbon = cast("Json | None", told.get("carbon_landing"))
    if landing or not carbon:
        lines += ["", *(_landing_lines(landing) if landing else ["no landing was told yet"])]
    lines += ["", *_landing_lines(carbon)] if carbon else []
    lines += ["", *_room_lines(room)] if room else []
    return "\n".join(lines)


def _landing_lines(landing: Json) -> Iterator[str]:
    measure, limit = str(landing["unit_of_measure"]), LIMIT_OF[cast("Regime", landing["regime"])]
    view = f" ({landing['view'] or 'equivalent value'})"
    yield f"year {landing['year']} against its {limit} {landing['quota']} {measure}{view}, told at {landing['at']}"
    reason = landing["reason"]
    why = f" ({REASONS[str(reason)]})" if reason else ""
    yield f"  {STATES[str(landing['state'])].format(limit)}{why}"
    yield f"  {'':26} {'low':>16} {'best':>16} {'high':>16}"
    for name, key, unit in _ROWS:
        ends = cast("Json | None", landing[key])
        if ends is not None:
            yield _row(name, ends, unit or measure)
    if landing["basis"]:
        if landing["state"] != "broken":
            yield f"  the {limit} is passed on {_exhausted(cast('Json', landing['exhaustion']))}"
        yield f"  {_BASES[str(landing['basis'])]}"
    yield from _doubted(landing)


def _doubted(told: Json) -> Iterator[str]:
    if told["unverified"]:
        yield "  rests on an unverified factor"
    if told["contested"]:
        yield f"  contested, and not decided ({told['contested']})"


_ROWS = (
    ("used so far", "used", ""),
    ("year end, 80 % interval", "year_end", ""),
    ("burn of 7 days", "burn_7_days", "x allowed"),
    ("burn of 30 days", "burn_30_days", "x allowed"),
    ("a day that still lands", "per_day", ""),
)


def _row(name: str, ends: Json, unit: str) -> str:
    told = " ".join(f"{'unknown' if ends[end] is None else ends[end]!s:>16}" for end in _ENDS)
    return f"  {name:26} {told} {unit}"


def _exhausted(days: Json) -> str:
    if days["best"] is None:
        first = f", at the earliest on {days['earliest']}" if days["earliest"] else ""
        return f"no day of the year{first}"
    return f"{days['best']}, between {days['earliest']} and {days['latest'] or 'the next year'}"


def _room_lines(room: Json) -> Iterator[str]:
    binds = cast("Json | None", room["binds"])
    under = [room] if binds is not None else []
    under += [cast("Json", room["carbon"])] if "carbon" in room else []
    if room["binds_first"] is None and not under:
        yield f"headroom of {room['year']}: no limit is known"
        return
    yield f"headroom of {room['year']} at {room['as_of']}; the limit that binds first: {room['binds_first'] or 'cannot be said'}"
    for one in under:
        yield from _year_lines(one)
    yield from _product_lines(room)


def _product_lines(room: Json) -> Iterator[str]:
    for one in cast("Sequence[Json]", room["product_limits"]):
        measure = str(one["unit_of_measure"])
        notes = "".join(f"; {note}" for note in cast("Sequence[str]", one["notes"]))
        yield f"  {one['limit']} of line {one['line']}, limit less what was used{notes}:"
        yield _line_row("a unit of output", one["per_unit"], measure)
        yield _line_row("at the output so far", one["at_this_output"], measure.partition("/")[0])
    for line, ends in cast("Mapping[str, Json]", room["quota_still_makes"]).items():
        yield _line_row(f"the quota's rest makes, {line}", ends, "t")


def _line_row(name: str, ends: object, unit: str) -> str:
    return _row(name, cast("Json", ends), unit)


def _year_lines(room: Json) -> Iterator[str]:
    """Under the quota, or under the budget."""
    binds = cast("Json", room["binds"])
    measure = str(binds["unit_of_measure"])
    yield f"  under the {binds['limit']}, {binds['amount']} {measure}"
    if room.get("reason"):
        yield f"  cannot be said: {REASONS[str(room['reason'])]}"
        return
    yield f"  {'':26} {'safe':>16} {'best':>16} {'at most':>16}"
    for name, key in (
        ("this year", "this_year"),
        ("this month, evenly", "this_month"),
        ("a day", "per_day"),
    ):
        ends = cast("Json | None", room[key])
        if ends is not None:
            yield _row(name, ends, measure)
    yield from _doubted(room)
