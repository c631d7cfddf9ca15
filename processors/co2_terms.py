"""CO2 by its terms (fuel, electricity, heat, process) as people read them: rows of the function co2_terms()."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, cast

from schemas.calendar import rfc3339

TERMS = ("fuel", "electricity", "heat", "process", "opening")


class Term(NamedTuple):
    """One term, t; an end that is None is not known."""

    term: str
    low: Decimal | None
    best: Decimal
    high: Decimal | None
    factors: Sequence[str] | None
    unverified: bool


def terms_shown(of: str, between: tuple[int, int], rows: Iterable[Term]) -> dict[str, object]:
    """The terms of a unit or line over [start, end), amounts as text."""
    found = sorted(rows, key=lambda row: TERMS.index(row.term))
    return {
        "of": of,
        "start": rfc3339(between[0]),
        "end": rfc3339(between[1]),
        "terms": [
            {
                "term": row.term,
                "unit_of_measure": "t",
                **{key: _text(end) for key, end in zip(_ENDS, row[1:4], strict=True)},
                "factors": list(row.factors or ()),
                "unverified": row.unverified,
            }
            for row in found
        ],
    }


_ENDS = ("low", "best", "high")


def _text(amount: object) -> str | None:
    return None if amount is None else f"{amount:f}"


def render_terms(told: Sequence[Mapping[str, object]]) -> str:
    """The same for a person at a terminal."""
    rows: list[str] = []
    for one in told:
        rows += ["", "", f"CO2 of {one['of']} by term, {one['start']} to {one['end']}, t"]
        rows.append(f"  {'':12} {'low':>18} {'best':>18} {'high':>18}")
        for term in cast("Sequence[Mapping[str, object]]", one["terms"]):
            ends = " ".join(f"{term[key] or 'unknown'!s:>18}" for key in _ENDS)
            mark = "  unverified factor" if term["unverified"] else ""
            by = ", ".join(cast("Sequence[str]", term["factors"]))
            rows.append(f"  {term['term']:12} {ends}  {by}{mark}")
    return "\n".join(rows)
