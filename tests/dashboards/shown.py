"""The dashboards as they are: their panels, their variables, and every query in them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parents[2] / "dashboards"
PROVINCE, UNIT, REGIONAL = "weir-province", "weir-unit", "weir-regions"

Json = dict[str, Any]


class Query(NamedTuple):
    """One query of a dashboard, and where it stands."""

    dashboard: str
    """Its uid."""
    name: str
    """`panel 3`, `annotation Alerts`."""
    sql: str
    panel: Json | None = None


def read() -> dict[str, Json]:
    """Every dashboard by its uid."""
    told = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.json"))]
    return {one["uid"]: one for one in told}


DASHBOARDS = read()


def queries() -> Iterator[Query]:
    """The queries of all panels and annotations; the variables' are asked for by `options`."""
    for uid, dashboard in DASHBOARDS.items():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield Query(uid, f"panel {panel['id']}", target["rawSql"], panel)
        for annotation in dashboard["annotations"]["list"]:
            yield Query(uid, f"annotation {annotation['name']}", annotation["target"]["rawSql"])


def variables(uid: str) -> dict[str, Json]:
    """The variables of a dashboard that a query fills."""
    told = DASHBOARDS[uid]["templating"]["list"]
    return {one["name"]: one for one in told if one["type"] == "query"}
