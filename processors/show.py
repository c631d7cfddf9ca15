"""Where a unit stands, for people and for machines: from its windows as last told."""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import orjson

from schemas.calendar import rfc3339
from schemas.registry import UNIT_OF_MEASURE
from schemas.scale import as_text

Json = Mapping[str, object]
_RECENT = {"year": 2, "month": 2, "day": 3}


def shown(unit: str, windows: Iterable[tuple[int, bytes]]) -> dict[str, object]:
    """A unit's latest years, months and days, amounts as text with their unit of measure."""
    told = [{"as_of": rfc3339(as_of), **orjson.loads(judged)} for as_of, judged in windows]
    told.sort(key=lambda window: (list(_RECENT).index(window["window"]), -window["start"]))
    recent = [
        window
        for kind, count in _RECENT.items()
        for window in [w for w in told if w["window"] == kind][:count]
    ]
    return {"unit": unit, "windows": [_window(window) for window in recent]}


Row = tuple[str, str, object, object, object, object]
"""Quantity, unit of measure, low, best, high, share measured: as `figures()` answers."""


def rolling(days: int, between: tuple[int, int], rows: Iterable[Row]) -> dict[str, object]:
    """The days that end with the unit's last full hour, as one more window."""
    figures = {
        name: {
            "unit_of_measure": measure,
            "low": _text(low),
            "best": _text(best),
            "high": _text(high),
            "share_measured": _text(share),
        }
        for name, measure, low, best, high, share in rows
    }
    start, end = between
    return {
        "window": f"rolling {days} days",
        "start": rfc3339(start),
        "end": rfc3339(end),
        "as_of": rfc3339(end),
        "figures": {name: figures[name] for name in UNIT_OF_MEASURE if name in figures},
    }


def _text(amount: object) -> str | None:
    return None if amount is None else f"{amount:f}"


def _window(told: Json) -> dict[str, object]:
    figures = cast("Mapping[str, Json]", told["figures"])
    window: dict[str, object] = {
        "window": told["window"],
        "start": rfc3339(cast("int", told["start"])),
        "end": rfc3339(cast("int", told["end"])),
        "as_of": told["as_of"],
        "figures": {name: _figure(figures[name]) for name in UNIT_OF_MEASURE if name in figures},
    }
    for name, by in cast("Mapping[str, str]", told.get("contested", {})).items():
        cast("dict[str, dict[str, object]]", window["figures"])[name]["contested"] = by
    if "recomputable" in told:
        window["recomputable"] = told["recomputable"]
    if "limit" in told:
        window |= _against(told, "tce")
    if "budget" in told:
        budget = cast("Json", told["budget"])
        window["budget"] = _against(budget, "t CO2") | {"view": budget["view"]}
    return window


def _against(told: Json, measure: str) -> dict[str, object]:
    """A verdict on a quota or a budget."""
    since = cast("int | None", told["since"])
    return {
        "limit": f"{as_text(cast('int', told['limit']))} {measure}",
        "verdict": told["verdict"],
        "reason": told["reason"],
        "since": None if since is None else rfc3339(since),
        "suspected": told["suspected"],
    }


def _figure(told: Json) -> dict[str, object]:
    figure: dict[str, object] = {
        "unit_of_measure": told["unit_of_measure"],
        "low": as_text(cast("int", told["low"])),
        "best": as_text(cast("int", told["best"])),
        "high": as_text(cast("int | None", told["high"])),
        "share_measured": as_text(cast("int", told["share_measured"])),
    }
    if "factors" in told:
        figure |= {"factors": told["factors"], "unverified": told["unverified"]}
    return figure


StopRow = tuple[str, str, int, int, Sequence[str], str]
"""Name, kind, start and end (ms), points, evidence: of a declared stop that is not over."""


def stops_shown(rows: Iterable[StopRow]) -> list[dict[str, object]]:
    """What is declared, while it holds back alerts about missing data; it changes no figure."""
    return [
        {
            "id": name,
            "kind": kind,
            "from": rfc3339(start),
            "until": rfc3339(end),
            "points": list(points),
            "evidence": evidence,
        }
        for name, kind, start, end, points, evidence in rows
    ]


def _stopped(stop: Json) -> str:
    points = ", ".join(cast("Sequence[str]", stop["points"])) or "all points"
    return f"declared {stop['kind']} {stop['id']} ({points}): {stop['from']} until {stop['until']}, evidence {stop['evidence']}"


def render(told: Json) -> str:
    """The same for a person at a terminal."""
    lines = [f"unit {told['unit']}"]
    lines += [_stopped(stop) for stop in cast("Sequence[Json]", told.get("declared_stops", ()))]
    for window in cast("Sequence[Json]", told["windows"]):
        lines += ["", f"{window['window']} from {window['start']}, as of {window['as_of']}"]
        if window.get("recomputable") is False:
            lines.append("  no longer recomputable: as last told, its records are gone")
        if "verdict" in window:
            quota = f"annual energy quota {window['limit']} (equivalent value)"
            lines.append("  " + _sentence(window, quota))
        if "budget" in window:
            budget = cast("Json", window["budget"])
            name = f"annual CO2 budget {budget['limit']} ({budget['view']})"
            lines.append("  " + _sentence(budget, name))
        lines += [f"  {line}" for line in _contested(window)]
        lines.append(f"  {'':12} {'low':>18} {'best':>18} {'high':>18} {'measured':>9}")
        for name, figure in cast("Mapping[str, Json]", window["figures"]).items():
            lines.append("  " + _row(name, figure))
    return "\n".join(lines)


def _contested(window: Json) -> Iterable[str]:
    """A line for each objection that is not decided."""
    by: dict[str, list[str]] = {}
    for name, figure in cast("Mapping[str, Json]", window["figures"]).items():
        if "contested" in figure:
            by.setdefault(str(figure["contested"]), []).append(name)
    for objections, names in by.items():
        yield f"contested, and not decided: {', '.join(names)} ({objections})"


def _sentence(told: Json, limit: str) -> str:
    """The verdict in words."""
    match told["verdict"]:
        case "FAIL":
            return f"FAIL: above the {limit} since {told['since']}"
        case "PASS":
            return f"PASS: not above the {limit} so far"
        case _:
            suspected = "; the best estimate is above it" if told["suspected"] else ""
            return f"UNDECIDABLE ({told['reason']}) against the {limit}{suspected}"


def _row(name: str, figure: Json) -> str:
    amounts = " ".join(
        f"{'unknown' if figure[key] is None else figure[key]!s:>18}"
        for key in ("low", "best", "high")
    )
    factors = ", ".join(cast("Sequence[str]", figure.get("factors", ())))
    mark = f"  {factors}" if factors else ""
    mark += "  unverified factor" if figure.get("unverified") else ""
    share = 100 * float(str(figure["share_measured"]))
    return f"{name:12} {amounts} {share:8.2f}% {figure['unit_of_measure']}{mark}"
