"""The energies of a unit side by side, for people and for machines: each under its own name, with what was deducted and by which evidence."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import cast

from processors.report_rows import Deduction, Energy
from schemas.calendar import instant, rfc3339

Json = Mapping[str, object]
_NAMED = 32


def energies_shown(
    energies: Sequence[Energy], deducted: Sequence[Deduction]
) -> list[dict[str, object]]:
    """Of the newest year and month of the unit: amounts as text with their unit of measure."""
    found: list[dict[str, object]] = []
    for kind in ("year", "month"):
        own = [one for one in energies if one.window_kind == kind]
        if not own:
            continue
        starts = max(one.starts for one in own)
        mine = [one for one in own if one.starts == starts]
        lines = [d for d in deducted if (d.window_kind, d.starts) == (kind, starts)]
        told = [_energy(one, lines) for one in mine]
        found.append({"window": kind, "start": rfc3339(instant(starts)), "energies": told})
    return found


def _energy(one: Energy, lines: Iterable[Deduction]) -> dict[str, object]:
    of_line = {} if one.line is None else {"line": one.line, "indicator": one.indicator}
    mine = [_deduction(line) for line in lines if line.energy == one.energy]
    return {
        "energy": one.energy,
        "purpose": one.purpose,
        **of_line,
        "as_of": rfc3339(instant(one.as_of)),
        "unit_of_measure": one.unit_of_measure,
        "basis": one.basis,
        **_ends(one),
        "deducted": mine,
        "rests_on": one.rests_on,
        "unverified": one.unverified,
        "contested": one.contested,
    }


def _deduction(line: Deduction) -> dict[str, object]:
    return {
        "form": line.form,
        "carrier": line.carrier,
        **_ends(line),
        "evidence": line.evidence,
        "rests_on": line.rests_on,
        "unverified": line.unverified,
        "capped": line.capped,
    }


def _ends(one: Energy | Deduction) -> dict[str, str | None]:
    return {"low": _text(one.low), "best": _text(one.best), "high": _text(one.high)}


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount:f}"


def render_energies(windows: Sequence[Json]) -> str:
    """The same for a person at a terminal."""
    return "\n".join(line for window in windows for line in _window(window))


def _window(window: Json) -> Iterator[str]:
    yield from (
        "",
        "",
        f"energies of the {window['window']} from {window['start']}, each for its purpose",
    )
    yield f"  {'':{_NAMED}} {'low':>18} {'best':>18} {'high':>18}"
    for one in cast("Sequence[Json]", window["energies"]):
        name = f"{one['energy']}: {one['line']}" if "line" in one else str(one["energy"])
        marks = [
            *(["rests on an unverified figure"] if one["unverified"] else []),
            *([f"contested: {one['contested']}"] if one["contested"] else []),
        ]
        yield f"  {name:{_NAMED}} {_amounts(one)} {one['unit_of_measure']}" + "".join(
            f"; {mark}" for mark in marks
        )
        yield f"    for {one.get('indicator', one['purpose'])}; {one['basis']}; as of {one['as_of']}"
        for line in cast("Sequence[Json]", one["deducted"]):
            yield f"    deducted, to be added: {_sentence(line)}"


def _sentence(line: Json) -> str:
    evidence, rules = (
        ", ".join(cast("Sequence[str]", line[key])) for key in ("evidence", "rests_on")
    )
    capped = "; a region's target may count less of it" if line["capped"] else ""
    unverified = "; unverified" if line["unverified"] else ""
    ends = " ".join(str(line[key]) for key in ("low", "best", "high"))
    return f"{line['form']} ({line['carrier']}) {ends} tce by evidence {evidence} ({rules}{unverified}){capped}"


def _amounts(one: Json) -> str:
    return " ".join(
        f"{'unknown' if one[key] is None else one[key]!s:>18}" for key in ("low", "best", "high")
    )
