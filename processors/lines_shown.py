"""Where a unit's product lines stand, for people and for machines: from their windows as last told."""

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import orjson

from schemas.calendar import rfc3339
from schemas.scale import as_text

Json = Mapping[str, object]
Row = tuple[str, str, int, bytes]
"""Line, name, as of, JSON of `indicator.LineJudged`."""
_KINDS = ("year", "month", "day")
_ORDER = (
    *("output", "energy", "co2", "process", "intensity"),
    *("electricity", "purchased", "raw_coal", "heat"),
)


def lines_shown(rows: Iterable[Row]) -> list[dict[str, object]]:
    """Of each line its latest year, month and day, amounts as text with their unit of measure."""
    latest: dict[tuple[str, str], tuple[int, int, Json, str]] = {}
    for line, name, as_of, judged in rows:
        told = cast("Json", orjson.loads(judged))
        key, start = (line, cast("str", told["window"])), cast("int", told["start"])
        if key not in latest or latest[key][0] < start:
            latest[key] = start, as_of, told, name
    found: dict[str, dict[str, object]] = {}
    for line, kind in sorted(latest, key=lambda key: (key[0], _KINDS.index(key[1]))):
        _, as_of, told, name = latest[line, kind]
        entry = found.setdefault(line, {"line": line, "name": name, "windows": []})
        cast("list[object]", entry["windows"]).append(_window(told, as_of))
    return list(found.values())


def _window(told: Json, as_of: int) -> dict[str, object]:
    figures = cast("Mapping[str, Json]", told["figures"])
    contested = contested_by(cast("Mapping[str, str]", told.get("contested", {})))
    return {
        "window": told["window"],
        "start": rfc3339(cast("int", told["start"])),
        "end": rfc3339(cast("int", told["end"])),
        "as_of": rfc3339(as_of),
        "figures": {
            name: _figure(figures[name]) | marked(contested.get(name))
            for name in _ORDER
            if name in figures
        },
        "limits": [
            _limit(one) | marked(contested.get("intensity"))
            for one in cast("Sequence[Json]", told.get("limits", ()))
        ],
    }


def contested_by(of_unit: Mapping[str, str]) -> Mapping[str, str]:
    """By which objections each figure of a line is contested, by those of its unit; energy a unit of output by either."""
    rests = sorted({of_unit[name] for name in ("energy", "output") if name in of_unit})
    return {**of_unit, "intensity": ", ".join(rests)} if rests else of_unit


def marked(by: str | None) -> dict[str, object]:
    """What is added to what is contested, and not decided."""
    return {} if by is None else {"contested": by}


_AMOUNTS = ("low", "best", "high", "limit_low", "limit_high")


def _limit(told: Json) -> dict[str, object]:
    since = cast("int | None", told["since"])
    amounts = {key: as_text(cast("int | None", told[key])) for key in _AMOUNTS}
    return {
        "regime": "product limit",
        **told,
        **amounts,
        "since": None if since is None else rfc3339(since),
    }


def _figure(told: Json) -> dict[str, object]:
    ends = {key: as_text(cast("int | None", told[key])) for key in ("low", "best", "high")}
    figure: dict[str, object] = {"unit_of_measure": told["unit_of_measure"], **ends}
    if "share_measured" in told:
        figure["share_measured"] = as_text(cast("int", told["share_measured"]))
    return figure | {key: told[key] for key in ("factors", "unverified", "said") if told.get(key)}


def render_lines(lines: Sequence[Json]) -> str:
    """The same for a person at a terminal."""
    told: list[str] = []
    for line in lines:
        told += ["", f"line {line['line']}: {line['name']}"]
        for window in cast("Sequence[Json]", line["windows"]):
            told += ["", f"{window['window']} from {window['start']}, as of {window['as_of']}"]
            told.append(f"  {'':12} {'low':>18} {'best':>18} {'high':>18}")
            figures = cast("Mapping[str, Json]", window["figures"])
            told += [f"  {_row(name, figure)}" for name, figure in figures.items()]
            limits = cast("Sequence[Json]", window["limits"])
            told += [f"  {_sentence(one)}" for one in limits]
    return "\n".join(told)


def _sentence(limit: Json) -> str:
    """A verdict in words, with regime, basis and status."""
    reason = f" ({limit['reason']})" if limit["reason"] else ""
    since = f" since {limit['since']}" if limit["since"] else ""
    suspected = "; the best estimate is above it" if limit["suspected"] else ""
    ends = [limit["limit_low"], limit["limit_high"]]
    bound = "unknown" if None in ends else " to ".join(dict.fromkeys(map(str, ends)))
    notes = "".join(f"; {note}" for note in cast("Sequence[str]", limit["notes"]))
    contested = f"; contested ({limit['contested']})" if "contested" in limit else ""
    return (
        f"{limit['verdict']}{since}{reason}{_coming(limit)}{suspected}: {limit['limit']}, {limit['regime']} {bound}"
        f" {limit['unit_of_measure']}, {limit['basis']}{notes}{contested}"
    )


def _coming(limit: Json) -> str:
    """What would be judged by a limit that is not in force yet."""
    coming = cast("Json | None", limit.get("coming"))
    if coming is None:
        return ""
    suspected = ", and the best estimate is above it" if coming["suspected"] else ""
    return f", would be {coming['verdict']}{suspected}"


def _row(name: str, figure: Json) -> str:
    if "said" in figure:
        return f"{name:12} {figure['said']}"
    amounts = " ".join(
        f"{'unknown' if figure[key] is None else figure[key]!s:>18}"
        for key in ("low", "best", "high")
    )
    factors = ", ".join(cast("Sequence[str]", figure.get("factors", ())))
    mark = f"  {factors}" if factors else ""
    mark += "  unverified factor" if figure.get("unverified") else ""
    contested = f"  contested ({figure['contested']})" if "contested" in figure else ""
    return f"{name:12} {amounts} {figure['unit_of_measure']}{mark}{contested}"
