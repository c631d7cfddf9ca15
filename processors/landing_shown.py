"""Where a unit's year lands and what it can still use, for people and for machines."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

import orjson

from processors.landing import Span, per_day
from processors.line_headroom import Room, rooms, rooms_shown
from processors.lines_shown import Row
from schemas.calendar import rfc3339, window_end, window_start
from schemas.landing import Ends, Landed
from schemas.scale import SCALE, as_text

Json = Mapping[str, object]

STATES = {
    "broken": "BROKEN: what is certain so far is above the quota",
    "will break": "WILL BREAK: even the low end of the 80 % interval is above the quota",
    "may break": "MAY BREAK: the expected year is above the quota",
    "on track": "ON TRACK: the expected year keeps the quota, whatever is missing",
    "cannot be said": "CANNOT BE SAID",
}
REASONS = {
    "behind": "nothing was told for this midnight: the unit's own time is behind",
    "days missing": "a day of the year was not told to its end",
    "too few days": "fewer than 21 whole days, and no earlier year is known",
    "opening unknown": "what was used before the first reading is unknown",
    "too little measured": "it hangs on what is not measured",
}
_BASES = {
    "seasonal": "seasonal: the shape of the unit's year before",
    "calendar": "calendar: no whole earlier year is known, one day counts as another",
}
_ENDS = ("low", "best", "high")
QUOTA = "annual energy quota, equivalent value"


# ---- Headroom


def headroom(
    windows: Iterable[tuple[int, bytes]], lines: Sequence[Row] = ()
) -> dict[str, object] | None:
    """What a unit can still use this year and month, by its newest year as last told; None where nothing was told of a year.

    The month's share is that of an even pace: the year's headroom, times the time left of the month over that of the year.
    Of the quota and the product limits of its lines that one binds first of which the least is left by the best estimate.
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
    if "limit" not in year:
        return found | rooms_shown(lines, None) | {"binds_first": _first(rooms(lines), None)}
    quota, used = cast("int", year["limit"]), _used(year)
    rest = _rest(quota, used)
    left = (quota - used.best) * SCALE // quota if quota else 0
    found |= _under(quota, used, at, year["end"]) | rooms_shown(lines, rest)
    return found | {"binds_first": _first(rooms(lines), left)}


def _first(limits: Sequence[Room], quota: int | None) -> str | None:
    """The name of the limit of which the least is left; of product limits the tightest comes first."""
    tightest = next((one for one in limits if one.left is not None), None)
    if tightest is not None and (quota is None or (tightest.left or 0) < quota):
        return f"{tightest.limit} of line {tightest.line}"
    return None if quota is None else QUOTA


def _rest(quota: int, used: Span) -> Span:
    return Span(
        0 if used.high is None else max(0, quota - used.high),
        max(0, quota - used.best),
        max(0, quota - used.low),
    )


def _used(year: Json) -> Span:
    figure = cast("Mapping[str, Json]", year["figures"]).get("energy", {})
    low, best, high = (cast("int | None", figure.get(end, 0)) for end in _ENDS)
    return Span(low or 0, best or 0, high)


def _under(quota: int, used: Span, at: int, end: int) -> dict[str, object]:
    """Of a unit's annual quota."""
    rest = _rest(quota, used)
    left = end - at
    month = window_end("month", window_start("month", at)) - at if left else 0
    share = [
        0 if not left else one * month // left for one in (rest.low, rest.best, rest.high or 0)
    ]
    day = per_day(used, at, quota, end)
    return {
        "binds": {
            "limit": QUOTA,
            "amount": as_text(quota),
            "unit_of_measure": "tce",
        },
        "this_year": _texts(rest),
        "this_month": _texts(Span(*share)),
        "per_day": None if day is None else _texts(day),
    }


def _texts(ends: Span | Ends) -> dict[str, str | None]:
    return {"low": as_text(ends.low), "best": as_text(ends.best), "high": as_text(ends.high)}


# ---- A landing


def landing_shown(unit: str, last: tuple[int, Json] | None, room: Json | None) -> dict[str, object]:
    """The last midnight's landing and the headroom, amounts as text in tce, burn rates as multiples of what the quota allows."""
    landing = None if last is None else _landing(last[0], Landed.model_validate(last[1]))
    return {"unit": unit, "landing": landing, "headroom": room}


def _landing(at: int, landed: Landed) -> dict[str, object]:
    seen = landed.projected
    return {
        "at": rfc3339(at),
        "year": landed.year,
        "unit_of_measure": "tce",
        "quota": as_text(landed.quota),
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
    lines += ["", *(_landing_lines(landing) if landing else ["no landing was told yet"])]
    lines += ["", *_room_lines(room)] if room else []
    return "\n".join(lines)


def _landing_lines(landing: Json) -> Iterator[str]:
    yield f"year {landing['year']} against its quota {landing['quota']} tce, told at {landing['at']}"
    reason = landing["reason"]
    why = f" ({REASONS[str(reason)]})" if reason else ""
    yield f"  {STATES[str(landing['state'])]}{why}"
    yield f"  {'':26} {'low':>16} {'best':>16} {'high':>16}"
    for name, key, unit in _ROWS:
        ends = cast("Json | None", landing[key])
        if ends is not None:
            yield _row(name, ends, unit)
    if landing["basis"]:
        if landing["state"] != "broken":
            yield f"  the quota is passed on {_exhausted(cast('Json', landing['exhaustion']))}"
        yield f"  {_BASES[str(landing['basis'])]}"
    if landing["unverified"]:
        yield "  rests on an unverified factor"


_ROWS = (
    ("used so far", "used", "tce"),
    ("year end, 80 % interval", "year_end", "tce"),
    ("burn of 7 days", "burn_7_days", "x allowed"),
    ("burn of 30 days", "burn_30_days", "x allowed"),
    ("a day that still lands", "per_day", "tce"),
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
    if room["binds_first"] is None:
        yield f"headroom of {room['year']}: no limit is known"
        return
    amount = f", {binds['amount']} tce" if binds and room["binds_first"] == QUOTA else ""
    yield f"headroom of {room['year']} at {room['as_of']}; the limit that binds first: {room['binds_first']}{amount}"
    if binds is not None:
        yield from _quota_lines(room)
    yield from _product_lines(room)


def _product_lines(room: Json) -> Iterator[str]:
    for one in cast("Sequence[Json]", room["product_limits"]):
        measure = str(one["unit_of_measure"])
        yield f"  {one['limit']} of line {one['line']}, limit less what was used:"
        yield _line_row("a unit of output", one["per_unit"], measure)
        yield _line_row("at the output so far", one["at_this_output"], measure.partition("/")[0])
    for line, ends in cast("Mapping[str, Json]", room["quota_still_makes"]).items():
        yield _line_row(f"the quota's rest makes, {line}", ends, "t")


def _line_row(name: str, ends: object, unit: str) -> str:
    return _row(name, cast("Json", ends), unit)


def _quota_lines(room: Json) -> Iterator[str]:
    yield f"  {'':26} {'safe':>16} {'best':>16} {'at most':>16}"
    for name, key in (
        ("this year", "this_year"),
        ("this month, evenly", "this_month"),
        ("a day", "per_day"),
    ):
        ends = cast("Json | None", room[key])
        if ends is not None:
            yield _row(name, ends, "tce")
