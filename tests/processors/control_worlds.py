"""Random double-control files: members that move during the year, corrections, gaps, deductions."""

from datetime import date
from decimal import Decimal
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st

from schemas.double_control import DoubleControl

CITY = {"1": "A", "2": "A", "3": "B", "4": "B"}
REGIONS = [
    {"code": "P", "name": "p", "level": "province"},
    *({"code": c, "name": c, "level": "city", "parent": "P"} for c in "AB"),
    *({"code": c, "name": c, "level": "county", "parent": city} for c, city in CITY.items()),
]
EDGES = [date(2026, month, 1) for month in range(1, 7)]
WORLDS = max(60, settings.default.max_examples // 8 if settings.default else 60)
"""Examples of the laws over whole files: a file costs as much as many ratios."""

TARGET = {
    "id": "t",
    "quantity": "energy",
    "kind": "total",
    "covers": "key units",
    "base_year": 2025,
    "base": "9000",
    "end_year": 2030,
    "change": "-0.17",
    "net_of": ["feedstock"],
    "source": "test",
}

amounts = st.tuples(*[st.integers(0, 3_000_000_000)] * 3).map(sorted)


def text(value: int) -> str:
    return str(Decimal(value).scaleb(-6))


@st.composite
def control_worlds(draw: st.DrawFn) -> DoubleControl:
    members, figures = [], []
    for unit in draw(st.sampled_from(["X", "XY", "XYZ"])):
        moves = draw(st.sets(st.sampled_from(EDGES[1:-1]), max_size=2))
        days = [EDGES[0], *sorted(moves), date.max]
        for first, until in pairwise(days):
            place = draw(
                st.tuples(st.sampled_from("1234"), st.sampled_from(["30", "31"]), st.booleans())
            )
            cell = {"county": place[0], "industry": place[1]}
            cell["unit_class"] = "千家" if place[2] else "万家"
            members.append({"unit": unit, "valid_from": first, "valid_to": until, **cell})
        for first, until in pairwise(EDGES):
            for revision in range(draw(st.integers(0, 3))):
                low, best, high = draw(amounts)
                told = {"unit": unit, "quantity": "energy", "first": first, "until": until}
                told |= {"revision": revision + 1, "known_on": draw(st.sampled_from(EDGES))}
                told |= {"low": text(low), "best": text(best), "high": text(high)}
                told |= {"cause": draw(st.sampled_from(["reading", "correction", "factor"]))}
                if draw(st.integers(0, 4)) == 0:
                    told |= {"part": "feedstock", "evidence": "F"}
                figures.append(told)
    scope = draw(
        st.sampled_from(["province:P", "city:A", "county:1", "industry:30", "city:B+industry:31"])
    )
    later = {**TARGET, "scope": scope, "change": "-0.3", "known_on": EDGES[3]}
    told_world = {"evaluate": EDGES[1:], "regions": REGIONS, "members": members}
    told_world |= {"figures": figures, "targets": [{**TARGET, "scope": scope}, later]}
    return DoubleControl.model_validate(told_world)
