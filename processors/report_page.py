"""A report as one HTML page that loads nothing and runs nothing: styles and charts are inside it.

Every text goes through htpy, which escapes it; markup is only what is written here.
"""

from datetime import date, datetime
from decimal import Decimal

import htpy as h
from htpy import Element, Node
from markupsafe import Markup

from processors import report_numbers as numbers
from processors.report_charts import drawn
from processors.report_document import (
    Cell,
    Chart,
    Column,
    Fact,
    Interval,
    Mark,
    Noted,
    Report,
    Say,
    Section,
    Share,
    Table,
)

_SHAPES = {"breach": "✖", "suspected": "▲", "unknown": "?", "well": "✔", "plain": "–"}
_STYLE = """
:root { --ink: #1f2933; --soft: #52606d; --line: #d9dee4; --paper: #fff; --ground: #f4f6f8; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); line-height: 1.45;
  font: 15px/1.45 system-ui, "Noto Sans", "Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif; }
main { max-width: 1220px; margin: 0 auto; padding: 20px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 2px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 0 0 4px; }
p { margin: 0 0 10px; }
.soft, .lead, footer { color: var(--soft); }
.lead { font-size: 13.5px; max-width: 118ch; }
header, section { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: 18px 20px; margin-bottom: 14px; }
.mark { display: inline-block; white-space: nowrap; border-radius: 4px; padding: 1px 8px; font-weight: 600; border-left: 4px solid; }
.breach { background: #fbe3da; border-color: #c8470e; color: #7d2a05; }
.suspected { background: #fdf0cf; border-color: #d99200; color: #664400; }
.unknown { background: #e8e6f2; border-color: #5b4b9a; color: #392c6e; }
.well { background: #dcefe9; border-color: #00795a; color: #004f3a; }
.plain { background: #eceff2; border-color: #7b8794; color: #3e4c59; }
.verdict { display: flex; gap: 14px; align-items: center; flex-wrap: wrap; margin: 14px 0 16px; }
.verdict .mark { font-size: 20px; padding: 6px 14px; white-space: normal; }
.verdict p { margin: 0; flex: 1 1 260px; font-size: 16px; }
.notice { border-left: 4px solid #d99200; background: #fdf6e3; padding: 8px 12px; margin: 0 0 10px; }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(178px, 1fr)); gap: 12px 22px; margin: 0 0 14px; }
dt { color: var(--soft); font-size: 13px; }
dd { margin: 0; font-size: 19px; font-weight: 600; font-variant-numeric: tabular-nums; }
dd small { display: block; }
small { font-size: 12.5px; font-weight: 400; color: var(--soft); font-variant-numeric: tabular-nums; }
.measure { font-size: .72em; font-weight: 400; color: var(--soft); }
figure { margin: 6px 0 12px; }
figcaption { font-size: 13px; font-weight: 600; }
svg { display: block; width: 100%; height: auto; font-size: 12px; font-family: inherit; }
svg.narrow { display: none; }
.scroll { overflow-x: auto; }
.scroll + .scroll { margin-top: 18px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
th { text-align: left; word-break: keep-all; font-size: 12.5px; color: var(--soft); font-weight: 600; vertical-align: bottom; border-bottom: 2px solid var(--line); }
th, td { padding: 5px 14px 5px 0; }
th:last-child, td:last-child { padding-right: 0; }
td { border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: break-word; }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.t { white-space: nowrap; font-variant-numeric: tabular-nums; }
td small { display: block; }
td.first { min-width: 120px; }
table:not(.cards) .interval { display: inline-flex; flex-direction: row-reverse; align-items: baseline; gap: 14px; }
.none { color: var(--soft); font-style: italic; margin: 4px 0; }
footer { font-size: 12.5px; max-width: 130ch; padding: 4px 4px 24px; overflow-wrap: anywhere; }
footer p { margin: 0 0 4px; }
@media (min-width: 641px) { th:not(.n) { min-width: 74px; } }
@media (min-width: 641px) and (max-width: 1180px) {
  th, td { padding-right: 8px; }
  td.t, th.n, td .mark { white-space: normal; }
}
@media (max-width: 640px) {
  main { padding: 8px; }
  header, section { padding: 14px 12px; border-radius: 6px; }
  h1 { font-size: 22px; }
  svg.wide { display: none; }
  svg.narrow { display: block; }
  dl { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 10px 14px; }
  dd { font-size: 16px; }
  th, td { padding-right: 8px; }
  table { font-size: 13px; }
  td.first { min-width: 0; }
  table:not(.cards) td.first { white-space: nowrap; }
  table:not(.cards) td.n small { white-space: normal; font-size: 11.5px; }
  table:not(.cards) .interval { display: inline; }
  table.cards thead { display: none; }
  table.cards tr { display: block; border: 1px solid var(--line); border-radius: 6px; padding: 6px 10px; margin-bottom: 8px; }
  table.cards td { display: flex; gap: 12px; justify-content: space-between; border: 0; padding: 2px 0; white-space: normal; text-align: right; overflow-wrap: anywhere; }
  table.cards td::before { content: attr(data-label); color: var(--soft); font-size: 12.5px; text-align: left; flex: 0 0 38%; overflow-wrap: break-word; }
  table.cards td.first { display: block; font-weight: 600; text-align: left; }
  table.cards td.empty { display: none; }
  table.cards td.first::before { content: none; }
}
@media print {
  @page { margin: 12mm; }
  body { background: #fff; font-size: 11px; }
  main { padding: 0; max-width: none; }
  header, section { border: 0; padding: 0 0 10px; margin: 0; }
  h1 { font-size: 20px; }
  h2 { font-size: 14px; break-after: avoid; }
  .lead, .verdict p { font-size: 11px; }
  .verdict .mark { font-size: 15px; }
  dl { grid-template-columns: repeat(4, 1fr); }
  dd { font-size: 13px; }
  tr, figure, .verdict { break-inside: avoid; }
  thead { display: table-header-group; }
  .scroll { overflow: visible; }
  table { font-size: 9px; }
  th, small, .mark { font-size: 8.5px; }
  th, td { padding: 3px 7px 3px 0; }
  td.first { min-width: 58px; }
  td.t, td .mark { white-space: normal; }
  td.first { overflow-wrap: anywhere; }
  .lead { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
_CARDS_FROM = 5
"""Columns from which on a phone shows rows as cards."""


def page(report: Report) -> str:
    """The whole page, UTF-8 text."""
    say = Say(report.language)
    document = h.html(lang="zh-CN" if report.language == "zh" else "en")[
        h.head[
            h.meta(charset="utf-8"),
            h.meta(name="viewport", content="width=device-width, initial-scale=1"),
            h.meta(http_equiv="Content-Security-Policy", content=_POLICY),
            h.title[f"{report.title} – Weir"],
            h.style[Markup(_STYLE)],  # noqa: S704 - a constant of this file
        ],
        h.body[
            h.main[
                _head(report, say),
                [_section(section, say) for section in report.sections],
                h.footer[[h.p[line] for line in report.foot]],
            ]
        ],
    ]
    return f"{document}\n"


_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Even where something slipped in, a browser loads and runs nothing."""


def _head(report: Report, say: Say) -> Element:
    return h.header[
        h.h1[report.title],
        h.div(".soft")[report.subtitle],
        h.div(".verdict")[_mark(report.verdict), h.p[report.sentence]],
        [h.p(".notice")[notice] for notice in report.notices],
        h.dl[[_fact(fact, say) for fact in report.facts]],
        None if report.gauge is None else _figure(report.gauge),
    ]


def _fact(fact: Fact, say: Say) -> Element:
    column = Column(fact.name, fact.unit)
    unit: Node = [" ", h.span(".measure")[fact.unit]] if fact.unit else None
    value = fact.value
    if isinstance(value, Interval):
        told: Node = [
            numbers.amount(value.best),
            unit,
            h.small[_bounds(value, column, say)],
        ]
    else:
        told = [_written(value, column, say), unit if value is not None else None]
    return h.div[h.dt[fact.name], h.dd[told, fact.note and h.small[fact.note]]]


def _section(section: Section, say: Say) -> Element:
    return h.section[
        h.h2[section.title],
        h.p(".lead")[section.lead],
        [
            _table(block, say) if isinstance(block, Table) else _figure(block)
            for block in section.blocks
        ],
    ]


def _figure(chart: Chart) -> Element:
    return h.figure[
        h.figcaption[chart.title],
        drawn(chart, wide=True),
        drawn(chart, wide=False),
    ]


# ---- Tables


def _table(table: Table, say: Say) -> Node:
    if not table.rows:
        return table.empty and h.p(".none")[table.empty]
    if not table.shown:
        return None
    rows = table.rows[: table.shown]
    columns, places, numeric = table.columns, _places(table), _numeric(table)
    cards = ["cards"] if len(places) >= _CARDS_FROM else []
    return [
        h.div(".scroll")[
            h.table(class_=cards)[
                h.thead[
                    h.tr[[_title(columns[place], numeric=place in numeric) for place in places]]
                ],
                h.tbody[
                    [
                        h.tr[
                            [
                                _cell(
                                    row[place], columns[place], place, say, numeric=place in numeric
                                )
                                for place in places
                            ]
                        ]
                        for row in rows
                    ]
                ],
            ]
        ],
        len(rows) < len(table.rows) and h.p(".none")[_rest(len(rows), len(table.rows), say)],
    ]


def _rest(shown: int, all_rows: int, say: Say) -> str:
    return say(
        f"{shown} of {all_rows} rows; the workbook and the CSV files have all.",
        f"显示 {all_rows} 行中的 {shown} 行，其余见 Excel 与 CSV。",
    )


def _places(table: Table) -> list[int]:
    return [place for place, column in enumerate(table.columns) if column.on_page]


def _heading(column: Column) -> str:
    return f"{column.title}, {column.unit}" if column.unit else column.title


def _numeric(table: Table) -> frozenset[int]:
    """Places of the columns that lie to the right."""
    kinds = (int, Decimal, Interval, Share)
    return frozenset(
        place for row in table.rows for place, cell in enumerate(row) if isinstance(cell, kinds)
    )


def _title(column: Column, *, numeric: bool) -> Element:
    return h.th(class_=["n"] if numeric else [], scope="col")[_heading(column)]


def _cell(cell: Cell, column: Column, place: int, say: Say, *, numeric: bool) -> Element:
    kinds = {
        "first": place == 0,
        "n": numeric,
        "t": isinstance(cell, date),
        "empty": cell is None or cell == "",
    }
    return h.td(class_=kinds, data_label=_heading(column))[_written(cell, column, say)]


def _written(cell: Cell, column: Column, say: Say) -> Node:
    match cell:
        case None:
            return h.span(".soft")["–"]
        case Mark():
            return _mark(cell)
        case Noted():
            return [cell.text, h.small[cell.note]]
        case Interval():
            best = numbers.amount(cell.best, exact=column.exact)
            return h.span(".interval")[h.span[best], h.small[_bounds(cell, column, say)]]
        case Share():
            return numbers.percent(cell.value)
        case Decimal():
            return numbers.amount(cell, exact=column.exact)
        case int():
            return numbers.count(cell)
        case datetime():
            return numbers.moment(cell)
        case date():
            return numbers.day(cell)
        case _:
            return cell


def _bounds(amount: Interval, column: Column, say: Say) -> str:
    low = numbers.low(amount.low, exact=column.exact)
    if amount.high is None:
        return f"[{low}, {say('unknown', '不明')}]"
    if amount.low == amount.high:
        return say("exact", "精确")
    return f"[{low}, {numbers.high(amount.high, exact=column.exact)}]"


def _mark(mark: Mark) -> Element:
    return h.span(f".mark.{mark.tone}")[f"{_SHAPES[mark.tone]} {mark.text}"]
