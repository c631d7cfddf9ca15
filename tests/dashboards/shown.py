"""The dashboards as they are: their panels, their variables, and every query in them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from dashboards.__main__ import Language, dashboards

PROVINCE, UNIT, REGIONAL = "weir-province", "weir-unit", "weir-regions"
QUALITY, ALERTS = "weir-data", "weir-alerts"

Json = dict[str, Any]


class Query(NamedTuple):
    """One query of a dashboard, and where it stands."""

    dashboard: str
    """Its uid."""
    name: str
    """`panel 3`, `annotation Alerts`."""
    sql: str
    panel: Json | None = None


DASHBOARDS: dict[str, Json] = {one["uid"]: one for one in dashboards().values()}
"""By uid."""


def queries(language: Language = "both") -> Iterator[Query]:
    """The SQL of all panels and annotations; the variables' are asked for by `options`."""
    for dashboard in dashboards(language).values():
        uid = dashboard["uid"]
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                if "rawSql" in target:
                    yield Query(uid, f"panel {panel['id']}", target["rawSql"], panel)
        for annotation in dashboard["annotations"]["list"]:
            yield Query(uid, f"annotation {annotation['name']}", annotation["target"]["rawSql"])


def variables(uid: str) -> dict[str, Json]:
    """The variables of a dashboard that a query fills."""
    told = DASHBOARDS[uid]["templating"]["list"]
    return {one["name"]: one for one in told if one["type"] == "query"}
