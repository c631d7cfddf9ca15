"""Grafana's dashboards from dashboards/*.toml: `python -m dashboards FOLDER [--language en|zh|both]`.

A file is one question: variables, annotations and panels, each panel a title, what it says, its place and its query.
How a column looks follows from its name, here; what a word of the database is called, from dashboards/words.toml.
Every text is written `English (中文)`, once, and what a panel says as `says` and `says_zh`; the language chooses.
"""

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

SOURCES = Path(__file__).parent
Json = dict[str, Any]
Language = Literal["both", "en", "zh"]

WORDS = "words.toml"
DATABASE = {"type": "grafana-postgresql-datasource", "uid": "${datasource}"}
PROMETHEUS = {"type": "prometheus", "uid": "${prometheus}"}
_DATA_SOURCES = {
    "datasource": (
        DATABASE["type"],
        "Data source (数据源)",
        "Weir TimescaleDB",
        "weir-timescaledb",
    ),
    "prometheus": (PROMETHEUS["type"], "Metrics (指标库)", "Weir Prometheus", "weir-prometheus"),
}
_CHINESE = r"""\(([^()"']*[一-鿿][^()"']*)\)"""
_PAIRS = (
    re.compile(rf'^([A-Z][^()"\n]*) {_CHINESE}(?=$|,)'),
    re.compile(rf'(?<=")([A-Z][^()"\n]*) {_CHINESE}(?=")'),
    re.compile(rf"""(?<=')([A-Z][^()"'\n]*) {_CHINESE}(?=')"""),
)
"""A text, a name in a query, a text in a query."""
_COLUMN = re.compile(r'AS "([^"]+)"')
_WORD = re.compile(r"\$word\((\w+), ([\w.]+)\)")
"""`$word(Cause, c.cause)`: what words.toml calls the column's words, where a column's look cannot say it."""
_HELPERS = ("unit_code", "scope_code", "link_from", "link_to")

_TIME = {"unit": "time:YYYY-MM-DD HH:mm"}
_SHARE = {"unit": "percentunit", "decimals": 1, "min": 0, "max": 1}
_COUNT = {"unit": "locale", "decimals": 0}
_LOOKS: tuple[tuple[str, Json], ...] = (
    (r"Watermark.*|As of|Told at|Since|Over since|From|To|Heard until|Silent since|First|Last|Last write|Changed at|At|Until|Held back by a stop until", _TIME),
    (r"Share measured.*", _SHARE),
    (r"Best of (quota|budget)", {"unit": "percentunit", "decimals": 1}),
    (r"Year", {"unit": "none", "decimals": 0}),
    (r"Day", {"unit": "time:YYYY-MM-DD"}),
    (r"CO2 .*", {"unit": "suffix:t", "decimals": 3}),
    (r"Silent for|Behind", {"unit": "h", "decimals": 1}),
    (r"Missing at most", {"unit": "locale", "decimals": 1}),
    (r"At least|At most|Left open|Register .*", {"unit": "locale", "decimals": 3}),
    (r"Burn, .*", {"unit": "none", "decimals": 2}),
    (r"Received|Accepted|Repeated|Superseded|Rejected.*|Unreadable.*|Readings|Count|Fired|Resolved|Retracted|Firing|Pending", _COUNT),
    (r"Factors", {"custom.minWidth": 260}),
    (r"Summary", {"custom.minWidth": 320}),
)  # fmt: skip
"""By a column's English name."""
_AMOUNT = re.compile(
    r"Low|Best|High|Quota|Budget|Expected|Headroom, .*|Limit, .*|Above quota by at least|A day that still lands|Allowed until then|Target of the year|Energy .*|Moved, .*"
)
_ALARMING = {
    "Confirmed breach": "red",
    "Above quota": "red",
    "Suspected breach": "orange",
    "Rejected": "orange",
    "Unreadable": "orange",
    "Cannot be judged": "purple",
    "Silent points": "purple",
}
"""Counts that are coloured from one on."""
_CONTESTED: Json = {
    "mappings": [{"type": "regex", "options": {"pattern": ".+", "result": {"index": 0, "color": "orange"}}}],
}  # fmt: skip
"""The objections; of sums the number of units that have any, which is coloured from one on."""
_BOUND = {"custom.lineWidth": 0, "custom.fillOpacity": 0}
_LINES: dict[str, Json] = {
    "Low": _BOUND | {"color": "blue"},
    "High": _BOUND | {"custom.fillOpacity": 20, "custom.fillBelowTo": "Low (下限)", "color": "blue"},
    "Best": {"custom.lineWidth": 2, "color": "blue"},
    "Expected": {"custom.lineWidth": 2, "color": "blue"},
    "Quota": {"custom.lineWidth": 2, "color": "red"},
    "Allowed until then": {"custom.lineWidth": 2, "color": "red"},
    "Watermark": {"custom.axisPlacement": "hidden", "custom.hideFrom": {"viz": True, "legend": False, "tooltip": True}},
    "Share measured": {
        "custom.axisPlacement": "right", "custom.axisLabel": "Share measured (实测占比)", "custom.lineWidth": 1,
        "custom.lineStyle": {"fill": "dash", "dash": [4, 4]}, "color": "green",
    },
}  # fmt: skip
_UNSEEN: dict[str, Json] = {
    "Begins .*": {"custom.fillOpacity": 0, "custom.hideFrom": {"viz": False, "legend": True, "tooltip": True}},
    "Stands.*": {"color": {"mode": "fixed", "fixedColor": "blue"}},
    "Worse.*": {"color": {"mode": "fixed", "fixedColor": "red"}},
    "Better.*": {"color": {"mode": "fixed", "fixedColor": "green"}},
    "Low|Best|High|Share measured|Watermark|Contested": {"custom.hideFrom": {"viz": True, "legend": True, "tooltip": False}},
}  # fmt: skip
"""Of bars and states: what they stand on, and what is told beside them."""
_LINKS = {
    "Unit": ("unit_code", "Open the unit (打开单位详情)",
             "/d/weir-unit?var-unit=${__data.fields.unit_code}&from=${__data.fields.link_from}&to=${__data.fields.link_to}"),
    "Scope": ("scope_code", "Open the region or industry (打开地区或行业)", "/d/weir-regions?var-scope=${__data.fields.scope_code}"),
    "City": ("scope_code", "Open the city (打开市州)", "/d/weir-regions?var-scope=${__data.fields.scope_code}"),
}  # fmt: skip


def dashboards(language: Language = "both") -> dict[str, Json]:
    """Every dashboard, by the name of its file."""
    words = tomllib.loads((SOURCES / WORDS).read_text(encoding="utf-8"))
    told = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in _files()}
    titles = {one["uid"]: one["title"] for one in told.values()}
    return {
        name: spoken(dashboard(source, words, titles), language) for name, source in told.items()
    }


def _files() -> list[Path]:
    return sorted(path for path in SOURCES.glob("*.toml") if path.name != WORDS)


# ---- Language


def spoken(told: Any, language: Language) -> Any:  # noqa: ANN401 - any JSON
    """The same JSON with each `English (中文)` in one language."""
    if language == "both":
        return told
    if isinstance(told, dict):
        return {
            key: _described(value, language) if key == "description" else spoken(value, language)
            for key, value in told.items()
        }
    if isinstance(told, list):
        return [spoken(one, language) for one in told]
    return _chosen(told, language) if isinstance(told, str) else told


def _says(source: Json) -> str:
    """What it shows, in both languages, a paragraph each."""
    return f"{source['says']}\n\n{source['says_zh']}"


def _described(text: str, language: Language) -> str:
    first, _, second = text.partition("\n\n")
    return first if language == "en" else second


def _chosen(text: str, language: Language) -> str:
    for pair in _PAIRS:
        text = pair.sub(lambda found: found[1 if language == "en" else 2], text)
    return text


def english(text: str) -> str:
    """A text's English half."""
    return _chosen(text, "en")


# ---- A dashboard


def dashboard(source: Json, words: Json, titles: Mapping[str, str]) -> Json:
    """A file as Grafana reads it."""
    queried = {"prometheus" if "promql" in panel else "datasource" for panel in source["panel"]}
    return {
        "uid": source["uid"],
        "title": source["title"],
        "description": _says(source),
        "tags": ["weir"],
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "Asia/Shanghai",
        "weekStart": "monday",
        "refresh": "1m",
        "time": {"from": "now-7d", "to": "now"},
        "timepicker": {"refresh_intervals": ["30s", "1m", "5m", "15m", "1h"]},
        "templating": {
            "list": [_data_source(name) for name in sorted(queried)]
            + [_variable(one) for one in source.get("variable", [])]
        },
        "annotations": {"list": [_annotation(one) for one in source.get("annotation", [])]},
        "links": [_link(path, titles) for path in source.get("links", [])],
        "panels": [_panel(one, words) for one in source["panel"]],
    }


def _data_source(name: str) -> Json:
    kind, label, text, uid = _DATA_SOURCES[name]
    return {
        "type": "datasource",
        "name": name,
        "label": label,
        "description": f"Its uid is {uid} unless another is chosen.\n\n除非另选，其uid为 {uid}。",
        "query": kind,
        "regex": "",
        "refresh": 1,
        "hide": 2,
        "skipUrlSync": False,
        "multi": False,
        "includeAll": False,
        "options": [],
        "current": {"text": text, "value": uid},
    }


def _variable(source: Json) -> Json:
    several = source.get("several", False)
    return {
        "type": "query",
        "name": source["name"],
        "label": source["label"],
        "description": _says(source),
        "datasource": DATABASE,
        "query": source["sql"],
        "refresh": 1,
        "sort": 0,
        "regex": "",
        "hide": 2 if source.get("hidden") else 0,
        "skipUrlSync": False,
        "multi": several,
        "includeAll": several,
        "options": [],
        "current": {"text": ["All"], "value": ["$__all"]} if several else {},
    }


def _annotation(source: Json) -> Json:
    return {
        "name": source["name"],
        "datasource": DATABASE,
        "enable": True,
        "hide": False,
        "iconColor": source["color"],
        "target": _rows("Anno", source["sql"]),
    }


def _link(path: str, titles: Mapping[str, str]) -> Json:
    """To another dashboard: its uid, and what is chosen there."""
    return {
        "title": titles[path.partition("?")[0]],
        "type": "link",
        "icon": "external link",
        "tooltip": "",
        "url": f"/d/{path}",
        "tags": [],
        "asDropdown": False,
        "targetBlank": False,
        "includeVars": False,
        "keepTime": False,
    }


# ---- A panel

_CUSTOM: dict[str, Json] = {
    "table": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False},
    "timeseries": {
        "drawStyle": "line", "lineInterpolation": "stepAfter", "lineWidth": 1, "fillOpacity": 0, "showPoints": "never", "spanNulls": False,
        "axisPlacement": "auto", "axisBorderShow": False,
    },
    "barchart": {"fillOpacity": 80, "lineWidth": 0, "axisPlacement": "auto", "axisBorderShow": False},
    "state-timeline": {"fillOpacity": 80, "lineWidth": 0},
}  # fmt: skip
_OPTIONS = {
    "stat": {
        "colorMode": "value", "graphMode": "none", "justifyMode": "auto", "orientation": "auto", "textMode": "auto", "wideLayout": True,
        "showPercentChange": False, "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "/.*/", "values": False},
    },
    "table": {"cellHeight": "sm", "showHeader": True, "footer": {"show": False, "reducer": ["sum"], "countRows": False, "fields": ""}},
    "timeseries": {
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "none"},
    },
    "barchart": {
        "orientation": "horizontal", "stacking": "normal", "showValue": "never", "barWidth": 0.9, "groupWidth": 0.9,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "none"},
    },
    "state-timeline": {
        "showValue": "auto", "mergeValues": True, "rowHeight": 0.9, "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "none"},
    },
}  # fmt: skip


def _panel(source: Json, words: Json) -> Json:
    kind = source["kind"]
    x, y, width, height = source["at"]
    return {
        "id": source["id"],
        "type": kind,
        "pluginVersion": "11.6.0",
        "title": source["title"],
        "description": _says(source),
        "datasource": PROMETHEUS if "promql" in source else DATABASE,
        "gridPos": {"h": height, "w": width, "x": x, "y": y},
        "targets": _targets(source, words),
        "fieldConfig": {
            "defaults": _defaults(source),
            "overrides": list(_overrides(source, words)),
        },
        "options": _OPTIONS[kind],
    }


def _targets(source: Json, words: Json) -> list[Json]:
    if "sql" in source:
        return [
            _rows("A", _WORD.sub(lambda found: _told(words[found[1]], found[2]), source["sql"]))
        ]
    return [_series(chr(ord("A") + i), *one) for i, one in enumerate(source["promql"])]


def _told(words: Mapping[str, Sequence[str]], column: str) -> str:
    whens = " ".join(f"WHEN '{word}' THEN '{text}'" for word, (text, *_) in words.items())
    return f"CASE {column} {whens} ELSE {column} END"


def _rows(name: str, sql: str) -> Json:
    return {
        "refId": name,
        "datasource": DATABASE,
        "editorMode": "code",
        "format": "table",
        "rawQuery": True,
        "rawSql": sql,
    }


def _series(name: str, expression: str, legend: str) -> Json:
    return {
        "refId": name,
        "datasource": PROMETHEUS,
        "editorMode": "code",
        "expr": expression,
        "legendFormat": legend,
        "range": True,
        "instant": False,
    }


def _defaults(source: Json) -> Json:
    kind = source["kind"]
    told: Json = {"custom": dict(_CUSTOM[kind])} if kind in _CUSTOM else {}
    if kind == "stat":
        told |= {"color": {"mode": "fixed", "fixedColor": "text"}, "noValue": "–"}
        told |= {"unit": source["unit"]} if "promql" in source else {}
    if kind == "timeseries":
        told |= {"unit": source["unit"], "min": 0, "color": {"mode": "palette-classic"}}
    if kind == "barchart":
        told |= {"unit": source["unit"], "color": {"mode": "fixed", "fixedColor": "text"}}
    if "axis" in source:
        told["custom"]["axisLabel"] = source["axis"]
    if kind == "table":
        told["noValue"] = "None (无)"
    return told


def _overrides(source: Json, words: Json) -> Iterator[Json]:
    """One for each column whose name says how it looks."""
    sql = source.get("sql", "")
    columns = _COLUMN.findall(sql)
    for column in columns:
        if looks := _looks(column, source, words):
            yield {
                "matcher": {"id": "byName", "options": column},
                "properties": [{"id": key, "value": value} for key, value in looks.items()],
            }
    helpers = [name for name in _HELPERS if re.search(rf"\b{name}\b", sql)]
    if helpers:
        yield {
            "matcher": {"id": "byRegexp", "options": f"/^({'|'.join(helpers)})$/"},
            "properties": [{"id": "custom.hidden", "value": True}],
        }


def _looks(column: str, source: Json, words: Json) -> Json:
    name, kind = english(column), source["kind"]
    told: Json = {}
    if _AMOUNT.fullmatch(name) and kind != "timeseries":
        told = {"unit": source.get("unit", "locale"), "decimals": 3}
    for pattern, looks in _LOOKS:
        if re.fullmatch(pattern, name):
            told = told | looks
    told = told | _drawn(name, kind)
    if name == "Contested" and kind in {"stat", "table"}:
        told = told | _from_one_on("orange", kind) | _CONTESTED
    if name in _ALARMING:
        told = told | _from_one_on(_ALARMING[name], kind)
    if name in _LINKS and _LINKS[name][0] in source.get("sql", ""):
        _, title, url = _LINKS[name]
        told["links"] = [{"title": title, "url": url, "targetBlank": False}]
        told["custom.minWidth"] = 220
    for pattern, some in words.items():
        if re.fullmatch(pattern, name):
            told = told | _mapped(some, kind)
    return told


def _drawn(name: str, kind: str) -> Json:
    """How a line, bar or state is drawn."""
    if kind == "timeseries":
        return _line(name)
    if kind not in {"barchart", "state-timeline"}:
        return {}
    some = [looks for pattern, looks in _UNSEEN.items() if re.fullmatch(pattern, name)]
    return some[0] if some else {}


def _line(name: str) -> Json:
    (looks,) = [looks for start, looks in _LINES.items() if name.partition(",")[0] == start] or [{}]
    told = dict(looks)
    if "color" in told:
        told["color"] = {"mode": "fixed", "fixedColor": told["color"]}
    return told


def _from_one_on(color: str, kind: str) -> Json:
    steps = [{"color": "text", "value": None}, {"color": color, "value": 1}]
    told: Json = {
        "color": {"mode": "thresholds"},
        "thresholds": {"mode": "absolute", "steps": steps},
    }
    return told | ({"custom.cellOptions": {"type": "color-text"}} if kind == "table" else {})


def _mapped(words: Mapping[str, Sequence[str]], kind: str) -> Json:
    options = {
        word: {"index": i, "text": text} | ({"color": color[0]} if color else {})
        for i, (word, (text, *color)) in enumerate(words.items())
    }
    told: Json = {"mappings": [{"type": "value", "options": options}]}
    if kind == "table" and any(len(one) > 1 for one in words.values()):
        told["custom.cellOptions"] = {"type": "color-text"}
    return told


# ---- Command line


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files; 1 where that cannot be done."""
    parser = argparse.ArgumentParser("python -m dashboards", description=__doc__)
    parser.add_argument("folder", type=Path, help="what WEIR_GRAFANA_DASHBOARDS names")
    parser.add_argument("--language", choices=("both", "en", "zh"), default="both")
    chosen = parser.parse_args(arguments)
    try:
        chosen.folder.mkdir(parents=True, exist_ok=True)
        for name, told in dashboards(chosen.language).items():
            path = chosen.folder / f"{name}.json"
            path.write_text(json.dumps(told, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
            print(path)
    except OSError as error:
        print(f"grafana: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
