"""A report's tables as a workbook and as CSV: the same numbers, all rows, bounds in columns of their own."""

import csv
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from io import BytesIO, StringIO

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from processors.report_document import Cell, Column, Interval, Mark, Noted, Report, Share, Table
from processors.report_numbers import moment
from schemas.calendar import BUSINESS

Flat = str | int | Decimal | date | datetime | None

_ENDS = ("low", "best", "high")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A text that begins so would be worked out by a spreadsheet that opens the CSV file."""


def tables(report: Report) -> Iterator[Table]:
    """The report's tables, in the page's order."""
    for section in report.sections:
        yield from (block for block in section.blocks if isinstance(block, Table))


def flat(table: Table) -> tuple[list[str], list[list[Flat]]]:
    """Titles and rows with one plain value a cell; an interval takes three columns, an unknown high is empty."""
    wide = [
        any(isinstance(row[i], Interval) for row in table.rows) for i in range(len(table.columns))
    ]
    titles = [
        title
        for column, is_wide in zip(table.columns, wide, strict=True)
        for title in _titles(column, is_wide=is_wide)
    ]
    rows = [
        [
            value
            for cell, is_wide in zip(row, wide, strict=True)
            for value in _values(cell, is_wide=is_wide)
        ]
        for row in table.rows
    ]
    return titles, rows


def _titles(column: Column, *, is_wide: bool) -> list[str]:
    unit = f" [{column.unit}]" if column.unit else ""
    if not is_wide:
        return [column.title + unit]
    return [f"{column.title} {end}{unit}" for end in _ENDS]


def _values(cell: Cell, *, is_wide: bool) -> list[Flat]:
    match cell:
        case Interval():
            return [cell.low, cell.best, cell.high]
        case Share():
            return [cell.value]
        case Mark() | Noted():
            return [cell.text]
        case _:
            return [cell] + [None] * (2 if is_wide else 0)


# ---- CSV


def csv_text(table: Table) -> str:
    """A table as CSV (RFC 4180): numbers in full, instants as RFC 3339 in business time."""
    out = StringIO()
    titles, rows = flat(table)
    writer = csv.writer(out)
    writer.writerow(titles)
    writer.writerows([_csv_value(value) for value in row] for row in rows)
    return out.getvalue()


def _csv_value(value: Flat) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return value.astimezone(BUSINESS).isoformat(timespec="seconds")
        case Decimal():
            return f"{value:f}"
        case str() if value.startswith(_FORMULA):
            return f"'{value}"
        case _:
            return str(value)


# ---- Workbook


def workbook(report: Report) -> bytes:
    """The report as .xlsx: a sheet of the head, then a sheet a table. Numbers are numbers, texts never formulas.

    A number of Excel has 15 digits: amounts beyond 10⁹ lose their last decimals there, not in the CSV files.
    """
    out = BytesIO()
    book = xlsxwriter.Workbook(out, {"in_memory": True, "default_date_format": "yyyy-mm-dd hh:mm"})
    book.set_properties({"title": report.title, "created": report.read_at})
    bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
    _head(book.add_worksheet("report"), report, bold)
    amounts = book.add_format({"num_format": "#,##0.000000"})
    for table in tables(report):
        _sheet(book.add_worksheet(table.name), table, bold, amounts)
    book.close()
    return out.getvalue()


def _head(sheet: Worksheet, report: Report, bold: Format) -> None:
    lines: list[tuple[str, str]] = [
        (report.title, report.subtitle),
        (report.verdict.text, report.sentence),
        *(("", notice) for notice in report.notices),
        *((fact.name, _fact(fact.value, fact.unit)) for fact in report.facts),
        *((section.title, section.lead) for section in report.sections),
        *(("", line) for line in report.foot),
    ]
    sheet.set_column(0, 0, 34)
    sheet.set_column(1, 1, 110)
    for row, (name, text) in enumerate(lines):
        sheet.write_string(row, 0, name, bold)
        sheet.write_string(row, 1, text)


def _fact(value: Cell, unit: str) -> str:
    match value:
        case Interval():
            high = "?" if value.high is None else f"{value.high:f}"
            text = f"[{value.low:f}, {value.best:f}, {high}]"
        case datetime():
            text = moment(value)
        case _:
            text = ", ".join(_csv_value(flat) for flat in _values(value, is_wide=False))
    return f"{text} {unit}".strip()


def _sheet(sheet: Worksheet, table: Table, bold: Format, amounts: Format) -> None:
    titles, rows = flat(table)
    for place, title in enumerate(titles):
        sheet.write_string(0, place, title, bold)
        sheet.set_column(place, place, max(12, min(len(title) + 4, 30)))
    for row, values in enumerate(rows, start=1):
        for place, value in enumerate(values):
            _write(sheet, row, place, value, amounts)
    sheet.freeze_panes(1, 1)
    if rows:
        sheet.autofilter(0, 0, len(rows), len(titles) - 1)


def _write(sheet: Worksheet, row: int, place: int, value: Flat, amounts: Format) -> None:
    match value:
        case None:
            return
        case str():
            sheet.write_string(row, place, value)
        case datetime():
            sheet.write_datetime(row, place, value.astimezone(BUSINESS).replace(tzinfo=None))
        case date():
            sheet.write_string(row, place, value.isoformat())
        case Decimal():
            sheet.write_number(row, place, float(value), amounts)
        case _:
            sheet.write_number(row, place, value)
