"""The dashboards' JSON: what Grafana reads, whole, and what people read, well."""

import copy
import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

import psycopg
import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.__main__ import DATABASE, PROMETHEUS, SOURCES, Language, dashboards, main
from processors.standings import AMBIGUOUS, CAPPED, MISSING, REMAINDER_UNKNOWN
from processors.validation import REASONS
from schemas.alert import Cause
from schemas.alert import State as AlertState
from schemas.calendar import moment
from schemas.deductions import Form
from schemas.indicator import Cause as MovedBy
from schemas.indicator import Reason
from schemas.landing import Basis, State, Unsaid
from schemas.regions import Verdict
from schemas.registry import STATEMENTS, UNIT_OF_MEASURE
from schemas.rule import Kind, Severity
from tests.dashboards.macros import Value, expand
from tests.dashboards.shown import (
    ALERTS,
    DASHBOARDS,
    PROVINCE,
    QUALITY,
    REGIONAL,
    UNIT,
    Json,
    Query,
    queries,
)
from tests.dashboards.test_dashboards import INDUSTRIES, REGIONS
from tests.dashboards.world import END, START, code

register_default_plugins()
BILINGUAL = re.compile(r"[A-Z][^()一-鿿]* \([^()]*[一-鿿][^()]*\)")
"""English first, then Chinese in parentheses."""
HELPERS = {"unit_code", "scope_code", "link_from", "link_to", "time"}
"""Columns that no one sees, and the time axis."""
WITHOUT_FIGURES = {
    (PROVINCE, 2), (UNIT, 7), (UNIT, 9), (UNIT, 10), (UNIT, 11), (REGIONAL, 4), (QUALITY, 2), (QUALITY, 5), (QUALITY, 6), (QUALITY, 7),
    (ALERTS, 1), (ALERTS, 2), (ALERTS, 4), (ALERTS, 5),
}  # fmt: skip
"""Panels that show instants, points and counts of readings, and no energy; or what moved a sum."""
PANELS = [
    pytest.param(uid, panel, id=f"{uid} {panel['id']}")
    for uid, dashboard in DASHBOARDS.items()
    for panel in dashboard["panels"]
]
each_dashboard = pytest.mark.parametrize("uid", DASHBOARDS)
each_panel = pytest.mark.parametrize(("uid", "panel"), PANELS)


def lost(told: Any, kept: Any, path: str = "") -> Iterator[str]:  # noqa: ANN401 - any JSON
    """Where `kept` lacks what `told` says."""
    if isinstance(told, dict) and isinstance(kept, dict):
        for key, value in told.items():
            if key in kept:
                yield from lost(value, kept[key], f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(told, list) and isinstance(kept, list) and len(told) == len(kept):
        for i, (one, other) in enumerate(zip(told, kept, strict=True)):
            yield from lost(one, other, f"{path}[{i}]")
    elif told != kept:
        yield path


def through_the_types(dashboard: Json) -> Json:
    """A dashboard as Grafana's own types understand it."""
    read = Dashboard.from_json(copy.deepcopy(dashboard))
    result: Json = json.loads(json.dumps(read, cls=JSONEncoder))
    return result


@each_dashboard
def test_grafanas_types_know_every_field(uid: str) -> None:
    """A misspelt option would be left out in silence."""
    told = copy.deepcopy(DASHBOARDS[uid])
    for annotation in told["annotations"]["list"]:
        del annotation["target"]  # its fields are the data source's
    assert list(lost(told, through_the_types(told))) == []


@each_panel
def test_grafanas_types_know_every_override(uid: str, panel: Json) -> None:
    """An override sets what may be a default: `custom.x` is an option of the panel."""
    for override in panel["fieldConfig"]["overrides"]:
        for one in override["properties"]:
            probe = {**panel, "fieldConfig": {"defaults": nested(one), "overrides": []}}
            told = {**DASHBOARDS[uid], "panels": [probe]}
            assert list(lost(told["panels"], through_the_types(told)["panels"])) == [], one["id"]


def nested(override: Json) -> Json:
    """`custom.x` as {custom: {x: ...}}."""
    *outer, name = override["id"].split(".")
    value: Json = {name: override["value"]}
    for one in reversed(outer):
        value = {one: value}
    return value


def data_sources(told: Any) -> Iterator[Json]:  # noqa: ANN401 - any JSON
    """Every data source that is named in a dashboard."""
    if isinstance(told, list):
        for one in told:
            yield from data_sources(one)
    elif isinstance(told, dict):
        for key, value in told.items():
            if key == "datasource":
                yield value
            else:
                yield from data_sources(value)


@each_dashboard
def test_it_belongs_to_no_grafana(uid: str) -> None:
    """No ids of an installation; one data source, chosen by a variable; the province's own time."""
    dashboard = DASHBOARDS[uid]
    assert "id" not in dashboard
    assert (dashboard["timezone"], dashboard["refresh"]) == ("Asia/Shanghai", "1m")
    assert not dashboard["editable"]
    named = {source["uid"]: source["type"] for source in data_sources(dashboard)}
    chosen = [v for v in dashboard["templating"]["list"] if v["type"] == "datasource"]
    assert {f"${{{one['name']}}}": one["query"] for one in chosen} == named
    assert {one["current"]["value"] for one in chosen} <= {"weir-timescaledb", "weir-prometheus"}


@each_dashboard
def test_panels_lie_beside_one_another(uid: str) -> None:
    """In 24 columns, none over another, each with an id of its own."""
    panels = DASHBOARDS[uid]["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        for place in (panel["gridPos"] for panel in panels)
    ]
    assert all(not one & other for one, other in combinations(cells, 2))
    assert all(x < 24 for some in cells for x, _ in some)


@each_dashboard
def test_titles_are_english_then_chinese(uid: str) -> None:
    """Of dashboards, panels, variables and annotations; each panel says what it shows."""
    dashboard = DASHBOARDS[uid]
    titles = [dashboard["title"], *(panel["title"] for panel in dashboard["panels"])]
    titles += [variable["label"] for variable in dashboard["templating"]["list"]]
    titles += [annotation["name"] for annotation in dashboard["annotations"]["list"]]
    assert [title for title in titles if not BILINGUAL.fullmatch(title)] == []
    described = [dashboard, *dashboard["panels"], *dashboard["templating"]["list"]]
    for one in described:
        first, second = one["description"].split("\n\n")
        assert len(first) > 25
        assert len(second) > 10
        assert not re.search(r"[一-鿿]", re.sub(r"\([^()]*\)", "", first)), first
        assert re.search(r"[一-鿿]", second), second


@each_panel
def test_an_axis_has_its_unit(uid: str, panel: Json) -> None:
    """In the data and in words."""
    del uid
    if panel["type"] in {"timeseries", "barchart"}:
        defaults = panel["fieldConfig"]["defaults"]
        units = {
            "kwatt": "kW",
            "suffix:tce": "tce",
            "suffix:t": "t",
            "s": "s",
            "none": "1",
            "cps": "1/s",
        }
        assert defaults["custom"]["axisLabel"].endswith(f", {units[defaults['unit']]}")


@pytest.fixture(scope="module")
def columns(grafana: psycopg.Connection) -> dict[tuple[str, int], list[str]]:
    """The columns of every panel."""
    values: dict[str, Value] = {
        "region": REGIONS,
        "industry": INDUSTRIES,
        "unit": code(1),
        "scope": "city:510100",
    }

    def names(query: Query) -> list[str]:
        sql = expand(query.sql, moment(START), moment(END), values)
        return [column.name for column in grafana.execute(sql.encode()).description or ()]

    return {(q.dashboard, q.panel["id"]): names(q) for q in queries() if q.panel is not None}


def test_columns_are_english_then_chinese(columns: dict[tuple[str, int], list[str]]) -> None:
    """And not cut at PostgreSQL's 63 bytes."""
    for where, names in columns.items():
        assert len(set(names)) == len(names), where
        assert [n for n in names if n not in HELPERS and not BILINGUAL.fullmatch(n)] == [], where


def test_every_figure_stands_beside_its_watermark_and_share_measured(
    columns: dict[tuple[str, int], list[str]],
) -> None:
    """No figure looks surer than it is."""
    for where, names in columns.items():
        assert any(name.startswith("Watermark") for name in names), where
        assert (where in WITHOUT_FIGURES) != any(n.startswith("Share measured") for n in names), (
            where
        )


def test_a_figure_stands_beside_its_objections(columns: dict[tuple[str, int], list[str]]) -> None:
    """Every panel that shows best estimates of units or regions says which are contested, but for lines over time: there they are annotations."""
    kinds = {(uid, panel["id"]): panel["type"] for uid, panel in (one.values for one in PANELS)}
    shown = {
        where
        for where, names in columns.items()
        if any("est (最佳估计)" in name or "Expected" in name for name in names)
        and kinds[where] != "timeseries"
    }
    marked = {where for where in shown if "Contested (存在争议)" in columns[where]}
    assert len(marked) >= 10
    assert shown == marked


def test_dashboards_lead_to_one_another() -> None:
    """From the province to a region to a unit and back: each link to one that there is, choosing what can be chosen there."""
    for uid, dashboard in DASHBOARDS.items():
        cells = [link["url"] for panel in dashboard["panels"] for link in links_of(panel)]
        for url in (*cells, *(link["url"] for link in dashboard["links"])):
            path, _, chosen = url.partition("?")
            there = DASHBOARDS[path.removeprefix("/d/")]
            names = {one["name"] for one in there["templating"]["list"]}
            assert set(re.findall(r"var-(\w+)=", chosen)) <= names, (uid, url)
            own = {one["name"] for one in dashboard["templating"]["list"]}
            assert set(re.findall(r"=\$\{(\w+)\}", chosen)) <= own, (uid, url)
    ways = {
        uid: json.dumps([dashboard["links"], dashboard["panels"]])
        for uid, dashboard in DASHBOARDS.items()
    }
    assert "/d/weir-regions?var-scope=" in ways[PROVINCE]
    assert "/d/weir-unit?var-unit=" in ways[REGIONAL]
    assert "/d/weir-regions?var-scope=${scope}" in ways[UNIT]
    assert all(f"/d/{PROVINCE}" in ways[uid] for uid in (REGIONAL, UNIT, QUALITY, ALERTS))


@each_panel
def test_overrides_name_columns(
    columns: dict[tuple[str, int], list[str]], uid: str, panel: Json
) -> None:
    """A renamed column would lose its unit in silence."""
    names = columns.get((uid, panel["id"]), [])
    for override in panel["fieldConfig"]["overrides"]:
        assert matched(override["matcher"], names), override["matcher"]
        properties = {one["id"]: one["value"] for one in override["properties"]}
        if "custom.fillBelowTo" in properties:
            assert properties["custom.fillBelowTo"] in names
    links = [link["url"] for link in links_of(panel)]
    assert {url.split("?")[0].removeprefix("/d/") for url in links} <= set(DASHBOARDS)
    used = {name for url in links for name in re.findall(r"\$\{__data\.fields\.(\w+)\}", url)}
    assert used == HELPERS - {"time"} & set(names)


def matched(matcher: Json, names: list[str]) -> list[str]:
    """The columns that an override is for."""
    if matcher["id"] == "byName":
        return [name for name in names if name == matcher["options"]]
    assert matcher["id"] == "byRegexp"
    pattern = re.fullmatch("/(.*)/", matcher["options"])
    assert pattern is not None, "without slashes Grafana takes it for the whole name"
    return [name for name in names if re.search(pattern[1], name)]


def links_of(panel: Json) -> Iterator[Json]:
    """The links that a panel's cells carry."""
    for override in panel["fieldConfig"]["overrides"]:
        for one in override["properties"]:
            if one["id"] == "links":
                yield from one["value"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Reason (原因)", set(get_args(Reason))),
        ("Reason (原因)", set(filter(None, REASONS))),
        ("Kind (类型)", set(get_args(Kind))),
        ("Kind (类型)", {"register event", "before the first reading", "gap, amount known",
                         "gap, amount in bounds", "missing periods", "silent"}),
        ("Kind (类型)", {"refused", "unreadable", "unknown unit"}),
        ("State (状态)", set(get_args(AlertState))),
        ("Before (原状态)", set(get_args(AlertState))),
        ("Cause (原因)", set(get_args(Cause))),
        ("Cause (原因)", {f"newly counted, {cause}" for cause in get_args(MovedBy)}),
        ("Cause (原因)", {f"deduction: {form}" for form in get_args(Form)}),
        ("Cause (原因)", {CAPPED, "no longer counted", "remainder", "time passing", "target", "schedule"}),
        ("Severity (级别)", set(get_args(Severity))),
        ("Kind (类型)", {"alert", "outage", "change", "late data", "ended together"}),
        ("Standing (状态)", {"confirmed breach", "suspected breach", "cannot be judged", "within quota",
                             "no quota", "nothing told yet"}),
        ("Quantity (品种)", set(UNIT_OF_MEASURE)),
        ("Reports (报数方式)", set(STATEMENTS)),
        ("Window (期间)", {"year", "month", "day"}),
        ("Scope (范围)", {"live units", "units in history"}),
        ("Verdict (判定)", {*get_args(Verdict), "NOT JUDGED"}),
        ("Reason (原因)", {MISSING, AMBIGUOUS, REMAINDER_UNKNOWN}),
        ("Why no level (无等级原因)", {MISSING, REMAINDER_UNKNOWN, "interval too wide", "nothing allowed yet",
                                  "no level rule of the day"}),
        ("Level (预警等级)", {"1", "2", "3"}),
        ("Covers (口径)", {"key units", "whole society"}),
        ("Landing (年底预测)", set(get_args(State))),
        ("Why not (未定原因)", set(get_args(Unsaid))),
        ("Basis (依据)", set(get_args(Basis))),
        ("Schedule (进度)", {"calendar", "seasonal"}),
    ],
)  # fmt: skip
def test_every_word_of_the_database_is_told_in_both_languages(name: str, words: set[str]) -> None:
    """A word that the code may write has a text in some panel, of which the column is."""
    told = [
        {
            word: text["text"]
            for mapping in one["value"]
            for word, text in mapping["options"].items()
        }
        for dashboard in DASHBOARDS.values()
        for panel in dashboard["panels"]
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["options"] == name
        for one in override["properties"]
        if one["id"] == "mappings"
    ]
    texts = [some for some in told if words <= set(some)]
    assert texts
    assert all(BILINGUAL.fullmatch(text) for some in texts for text in some.values())


# ---- Languages


def texts_of(told: Any, key: str = "") -> Iterator[str]:  # noqa: ANN401 - any JSON
    """What people read of a dashboard, descriptions left out."""
    if isinstance(told, dict):
        for name, value in told.items():
            yield from texts_of(value, name)
    elif isinstance(told, list):
        for one in told:
            yield from texts_of(one, key)
    elif key in {
        "title",
        "label",
        "name",
        "text",
        "axisLabel",
        "legendFormat",
        "noValue",
    } and isinstance(told, str):
        yield told
    elif key in {"rawSql", "query"} and isinstance(told, str):
        yield from re.findall(r'AS "([^"]+)"', told)


def test_one_setting_chooses_the_language(tmp_path: Path) -> None:
    """In one language nothing of the other is left, but for names of the outside and of queries."""
    told = {language: dashboards(language) for language in get_args(Language)}
    both, english, chinese = (
        {name: list(texts_of(one)) for name, one in told[language].items()}
        for language in ("both", "en", "zh")
    )
    for name, texts in both.items():
        assert len(texts) == len(english[name]) == len(chinese[name])
        assert not re.search(r"[一-鿿]", " ".join(english[name]))
        pairs = [
            (text, there)
            for text, there in zip(texts, chinese[name], strict=True)
            if BILINGUAL.search(text)
        ]
        assert pairs
        assert [
            pair for pair in pairs if not re.search(r"[一-鿿]", pair[1]) or "(" in pair[1]
        ] == []
    assert main([str(tmp_path), "--language", "zh"]) == 0
    written = json.loads((tmp_path / "unit.json").read_text(encoding="utf-8"))
    assert written == told["zh"]["unit"]
    assert written["title"] == "单位详情"


@each_dashboard
def test_overrides_follow_the_language(uid: str) -> None:
    """A column and what names it are said alike."""
    for language in ("en", "zh"):
        (dashboard,) = (one for one in dashboards(language).values() if one["uid"] == uid)
        for panel in dashboard["panels"]:
            columns = re.findall(
                r'AS "([^"]+)"', " ".join(t.get("rawSql", "") for t in panel["targets"])
            )
            assert len(set(columns)) == len(columns), (panel["title"], columns)
            for override in panel["fieldConfig"]["overrides"]:
                if override["matcher"]["id"] == "byName":
                    assert override["matcher"]["options"] in columns
                for one in override["properties"]:
                    if one["id"] == "custom.fillBelowTo":
                        assert one["value"] in columns


# ---- Provisioning


def provisioned(folder: str) -> list[dict[str, str]]:
    """`key: value` of each entry of the one file in a provisioning folder, comments left out."""
    (file,) = (SOURCES / "provisioning" / folder).glob("*.yaml")
    entries = re.split(r"^  - ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    pairs = re.compile(r"^\s*(\w+): (\S.*?)(?: #.*)?$", re.MULTILINE)
    return [dict(pairs.findall(entry)) for entry in entries]


def test_the_data_sources_are_those_that_the_dashboards_name() -> None:
    """With values from the environment, and the setting that the macros are expanded by."""
    database, metrics = provisioned("datasources")
    assert (database["uid"], database["type"]) == ("weir-timescaledb", DATABASE["type"])
    assert database["timescaledb"] == "true"
    assert {key: value for key, value in database.items() if value.startswith("$")} == {
        "url": "$WEIR_GRAFANA_ADDRESS",
        "user": "$WEIR_GRAFANA_USER",
        "password": "$WEIR_GRAFANA_PASSWORD",
        "database": "$WEIR_GRAFANA_DATABASE",
        "sslmode": "$WEIR_GRAFANA_SSLMODE",
    }
    assert (metrics["uid"], metrics["type"]) == ("weir-prometheus", PROMETHEUS["type"])
    assert metrics["url"] == "$WEIR_GRAFANA_PROMETHEUS"


def test_the_dashboards_are_read_from_a_folder_that_the_environment_names() -> None:
    """And are not changed in the browser."""
    (told,) = provisioned("dashboards")
    assert (told["type"], told["path"]) == ("file", "$WEIR_GRAFANA_DASHBOARDS")
    assert told["allowUiUpdates"] == "false"
