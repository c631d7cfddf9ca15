"""Rows of CSV, Excel and JSON lines files, each with its number in the file; ComplaintError where the file is not what its mapping says."""

import csv
import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TextIO

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from ingest.complaint import ComplaintError
from ingest.mapping import FileMapping, NumberedRow


def numbered_rows(path: Path, mapping: FileMapping) -> Iterator[NumberedRow]:
    """(number of the row in the file, its cells by column), in order."""
    if mapping.format == "xlsx":
        yield from _excel_rows(path, mapping)
        return
    with path.open(encoding=mapping.encoding, newline="") as file:
        yield from _csv_rows(file, mapping) if mapping.format == "csv" else _json_rows(file)


def _csv_rows(file: TextIO, mapping: FileMapping) -> Iterator[NumberedRow]:
    reader = csv.reader(file, delimiter=mapping.delimiter)
    yield from _under_header(islice(reader, mapping.header - 1, None), mapping)


def _excel_rows(path: Path, mapping: FileMapping) -> Iterator[NumberedRow]:
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError) as error:
        message = f"{path} is no Excel workbook (.xlsx): {error}"
        raise ComplaintError(message) from error
    with closing(book):
        if mapping.sheet and mapping.sheet not in book.sheetnames:
            message = f"the workbook has no sheet {mapping.sheet!r}; it has {book.sheetnames}"
            raise ComplaintError(message)
        sheet = book[mapping.sheet or book.sheetnames[0]]
        sheet.reset_dimensions()  # some exporters write down a wrong size
        rows = sheet.iter_rows(min_row=mapping.header, values_only=True)
        yield from _under_header(rows, mapping)


def _under_header(rows: Iterator[Sequence[object]], mapping: FileMapping) -> Iterator[NumberedRow]:
    """The first of `rows` names the columns; rows without any cell are passed over."""
    header = [str(name).strip() if name is not None else "" for name in next(rows, ())]
    missing = sorted(set(mapping.columns()) - set(header))
    if missing:
        message = f"the file has no column {missing}; row {mapping.header} has {header}"
        raise ComplaintError(message)
    for number, cells in enumerate(rows, mapping.header + 1):
        if any(cell is not None and cell != "" for cell in cells):
            yield number, dict(zip(header, cells, strict=False))


def _json_rows(file: TextIO) -> Iterator[NumberedRow]:
    """Objects, one a line; numbers stay texts, to the last digit."""
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_float=str, parse_int=str, parse_constant=str)
        except (ValueError, RecursionError) as error:
            message = f"line {number} is not JSON: {error}"
            raise ComplaintError(message) from error
        if not isinstance(row, dict):
            message = f"line {number} is not a JSON object: {line[:100]!r}"
            raise ComplaintError(message)
        yield number, row
