"""Where a region or industry stands, for people and for machines: from its rows as last told."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from processors.intensities import intensities
from schemas.calendar import rfc3339, year_of
from schemas.double_control import Amount
from schemas.scale import as_text
from schemas.targets import Quantity, TargetVersion

Json = Mapping[str, object]
Row = Mapping[str, object]
_COUNTS = ("units", "told", "pending", "silent", "broken", "not_judged")
_ENDS = ("low", "best", "high")
_UNITS = {"energy": "tce", "co2": "t"}
QUANTITIES: tuple[Quantity, ...] = ("energy", "co2")
_LEVELS = {1: "level 1, very severe", 2: "level 2, rather severe", 3: "level 3, basically smooth"}


def region_shown(
    scope: str,
    windows: Sequence[Row],
    standings: Sequence[Row],
    changes: Mapping[str, tuple[int, Row]],
    *,
    targets: TargetVersion | None = None,
) -> dict[str, object]:
    """A scope's latest windows and targets, amounts as text with their unit of measure."""
    return {
        "scope": scope,
        "figure_of": "key units",
        "windows": [_window(row) for row in windows],
        "intensities": [] if targets is None else list(_intensities(targets, scope, windows)),
        "targets": [_standing(row, changes.get(str(row["target"]))) for row in standings],
    }


def _window(row: Row) -> dict[str, object]:
    figures = {name: _figure(row, name) for name in _UNITS} | _net_figures(row)
    return {
        "window": row["kind"],
        **{name: rfc3339(cast("int", row[key])) for name, key in _TIMES.items()},
        "figures": figures,
        "share_measured": as_text(cast("int", row["share"])),
        "counts": {name: row[name] for name in _COUNTS},
        "contested": row["contested"],
    }


def _net_figures(row: Row) -> dict[str, object]:
    """Energy net of what its units' evidence proves, before a target's cap; none where nothing is deducted."""
    deducted = cast("Mapping[str, Sequence[int]] | None", row["deducted"])
    gross = Amount(*(cast("int", row[f"energy_{end}"]) for end in _ENDS))
    found: dict[str, object] = {}
    for net_of, ends in sorted((deducted or {}).items()):
        net = gross + Amount(*ends)
        told = {end: as_text(getattr(net, end)) for end in _ENDS}
        unverified = row["energy_unverified"]
        found[f"energy net of {net_of}"] = {
            "unit_of_measure": "tce",
            **told,
            "unverified": unverified,
        }
    return found


def _intensities(
    targets: TargetVersion, scope: str, windows: Sequence[Row]
) -> Iterator[dict[str, object]]:
    """Of the years that are shown."""
    for row in windows:
        if row["kind"] != "year":
            continue
        start, hour = cast("int", row["starts"]), cast("int", row["hour"])
        till = min(hour, cast("int", row["ends"]))
        sums = {
            name: Amount(*(cast("int", row[f"{name}_{end}"]) for end in _ENDS))
            for name in QUANTITIES
        }
        for one in intensities(targets.targets, scope, sums, start, till):
            told = one.per_value_added
            ends = {end: None if told is None else as_text(getattr(told, end)) for end in _ENDS}
            yield {
                "year": year_of(start),
                **{
                    name: getattr(one, name)
                    for name in ("quantity", "covers", "prices_of", "status", "reason")
                },
                "unit_of_measure": f"{_UNITS[one.quantity]} per 10⁴ CNY",
                **ends,
            }


def _figure(row: Row, name: str) -> dict[str, object]:
    ends = {end: as_text(cast("int | None", row[f"{name}_{end}"])) for end in _ENDS}
    return {"unit_of_measure": _UNITS[name], **ends, "unverified": row[f"{name}_unverified"]}


_TIMES = {"start": "starts", "end": "ends", "hour": "hour"}


def _standing(row: Row, change: tuple[int, Row] | None) -> dict[str, object]:
    amounts = ("target_amount", "allowed", "low", "best", "high")
    told: dict[str, object] = {
        name: row[name] for name in ("target", "year", "quantity", "covers", "basis")
    }
    told["hour"] = rfc3339(cast("int", row["hour"]))
    told["unit_of_measure"] = _UNITS[str(row["quantity"])]
    told |= {name: as_text(cast("int | None", row[name])) for name in amounts}
    told["regime"] = "energy" if row["quantity"] == "energy" else "carbon"
    told |= {name: row[name] for name in ("views", "unverified", "contested", "net_of")}
    told |= {f"gross_{end}": as_text(cast("int | None", row[f"gross_{end}"])) for end in _ENDS}
    told |= {name: row[name] for name in ("verdict", "reason", "level", "level_reason", "rule")}
    told["last_change"] = None if change is None else _change(*change)
    return told


def _change(hour: int, body: Row) -> dict[str, object]:
    lines = [
        {
            "unit": line["unit"],
            "cause": line["cause"],
            **{end: as_text(cast("int | None", line[end])) for end in _ENDS},
        }
        for line in (*cast("Sequence[Row]", body["lines"]), cast("Row", body["change"]))
    ]
    return {
        "hour": rfc3339(hour),
        "from": body["before"],
        "to": body["after"],
        "rule_changed": body["rule_changed"],
        "lines": lines[:-1],
        "change": lines[-1],
    }


# ---- For people


def render_region(told: Json) -> str:
    """The same for a person at a terminal."""
    lines = [f"{told['scope']}: key units"]
    for window in cast("Sequence[Json]", told["windows"]):
        lines += ["", *_window_lines(window)]
    lines += ["", *map(_intensity_line, cast("Sequence[Json]", told["intensities"]))]
    for standing in cast("Sequence[Json]", told["targets"]):
        lines += ["", *_standing_lines(standing)]
    return "\n".join(lines)


def _window_lines(window: Json) -> list[str]:
    counts = cast("Mapping[str, int]", window["counts"])
    share = 100 * float(str(window["share_measured"]))
    figures = cast("Mapping[str, Json]", window["figures"])
    width = max(8, *map(len, figures))
    counted = (
        f"  {counts['units']} units: {counts['told']} told, {counts['pending']} pending, {counts['silent']} with silent points,"
        f" {counts['broken']} above their quota, {counts['not_judged']} undecidable; {share:.2f}% measured"
    )
    lines = [
        f"{window['window']} from {window['start']}, told for {window['hour']}",
        counted,
        f"  {'':{width}} {'low':>18} {'best':>18} {'high':>18}",
    ]
    for name, figure in figures.items():
        ends = " ".join(f"{_end(figure[end]):>18}" for end in _ENDS)
        mark = "  unverified factor" if figure.get("unverified") else ""
        lines.append(f"  {name:{width}} {ends} {figure['unit_of_measure']}{mark}")
    return [*lines, *_contested(window)]


def _contested(told: Json) -> Iterator[str]:
    if told["contested"]:
        yield f"  contested, and not decided: figures of {told['contested']} units (objection list names them)"


def _intensity_line(one: Json) -> str:
    ends = ", ".join(_end(one[end]) for end in _ENDS)
    told = f"[{ends}] {one['unit_of_measure']}" if not one["reason"] else one["reason"]
    return (
        f"{one['quantity']} per value added {one['year']}, {one['covers']}, prices of {one['prices_of']}"
        f" ({one['status'] or 'none known'}), gross: {told}"
    )


def _standing_lines(standing: Json) -> list[str]:
    unit = standing["unit_of_measure"]
    reason = f" ({standing['reason']})" if standing["reason"] else ""
    level = _LEVELS.get(cast("int", standing["level"]), f"no data ({standing['level_reason']})")
    used = ", ".join(_end(standing[end]) for end in _ENDS)
    head = (
        f"target {standing['target']}: {standing['target_amount']} {unit} of {standing['quantity']} in {standing['year']},"
        f" of {standing['covers']}, at {standing['hour']}"
    )
    net = cast("Sequence[str]", standing["net_of"])
    gross = ", ".join(_end(standing[f"gross_{end}"]) for end in _ENDS)
    of = f", net of {' and '.join(net)} (gross [{gross}])" if net else ""
    lines = [
        head,
        f"  {standing['verdict']}{reason}: used [{used}] {unit}{of}",
        f"  {level}: allowed until then {standing['allowed']} {unit}, {standing['basis']}; rule {standing['rule'] or 'none'}",
        f"  regime {standing['regime']}, {_rests(standing)}",
        *_contested(standing),
    ]
    change = cast("Json | None", standing["last_change"])
    return lines if change is None else [*lines, *_change_lines(change, str(unit))]


def _rests(standing: Json) -> str:
    """Basis or view, and status."""
    views = ", ".join(cast("Sequence[str]", standing["views"] or ()))
    told = (
        f"electricity by the view {views}" if views else "electricity by a view that was not kept"
    )
    basis = "equivalent value" if standing["regime"] == "energy" else told
    return f"{basis}{'; rests on an unverified factor' if standing['unverified'] else ''}"


def _change_lines(change: Json, unit: str) -> list[str]:
    old, new = (change[end] or "no data" for end in ("from", "to"))
    lines = [
        f"  level changed {old} -> {new} at {change['hour']}; used less allowed moved within the hour by"
    ]
    for line in (*cast("Sequence[Json]", change["lines"]), cast("Json", change["change"])):
        ends = [_end(line[end]) for end in _ENDS]
        moved = ends[0] if ends[0] == ends[2] else f"[{', '.join(ends)}]"
        name = " ".join(str(line[key]) for key in ("unit", "cause") if line[key])
        lines.append(f"    {moved:>28} {unit}  {name}")
    return [*lines, *(["    (the level rule changed)"] if change["rule_changed"] else [])]


def _end(text: object) -> str:
    return "unknown" if text is None else str(text)
