"""Reads packs from TOML texts, and refuses what is wrong in them, all of it at once."""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import cast

from pydantic import ValidationError

from schemas.pack import Held, Pack, Packs
from schemas.pack_checks import Complaint, Read, Row, Table, dangling, overlaps, replaced, twice
from schemas.pack_entries import (
    Benchmark,
    Coefficient,
    Constant,
    Definition,
    Division,
    FuelFactor,
    Heat,
    HeatValue,
    Oxidation,
    Place,
    Power,
    Process,
    Standard,
    StreamFactor,
    Surcharge,
    Tariff,
    WorkedExample,
)
from schemas.pack_limits import Limit, Parameter

KINDS: Mapping[str, type[Definition]] = {
    kind.KIND: kind
    for kind in (
        Standard,
        Constant,
        Coefficient,
        HeatValue,
        FuelFactor,
        Oxidation,
        Process,
        Power,
        Heat,
        Parameter,
        Limit,
        Benchmark,
        Tariff,
        Surcharge,
        Place,
        Division,
        StreamFactor,
        WorkedExample,
    )
}
"""Name of the tables in a file, and what they hold."""


OURS = "weir"
"""Name of the pack that ships with Weir."""

_DAYS = ("valid_from", "valid_to", "dates")


@dataclass(frozen=True, slots=True)
class PackText:
    """A pack as it is written: its name, and its files by name."""

    name: str
    files: tuple[tuple[str, str], ...]


class PackError(ValueError):
    """Packs that are not used, with everything that is wrong in them: one line each."""

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        super().__init__("\n".join(str(complaint) for complaint in complaints))
        self.complaints = tuple(complaints)


def read_packs(texts: Sequence[PackText]) -> Packs:
    """The packs in some texts, ours first. Raises PackError with all that is wrong."""
    complaints: list[Complaint] = []
    packs: list[Pack] = []
    rows: list[Row] = []
    for number, text in enumerate(texts):
        label, its_rows = _rows(number, text, complaints)
        packs.append(Pack(text.name, label, _content_hash(its_rows)))
        rows.extend(its_rows)
    read = _entries(rows, complaints)
    complaints.extend(twice(read))
    kept = replaced(read, complaints)
    complaints.extend(overlaps(kept))
    complaints.extend(dangling(kept))
    if complaints:
        raise PackError(complaints)
    return Packs(tuple(packs), tuple(Held(entry, packs[row.pack], row.file) for row, entry in kept))


def our_text() -> PackText:
    """The pack that ships with Weir, as written."""
    folder = files("schemas") / "packs"
    named = sorted((file.name, file) for file in folder.iterdir() if file.name.endswith(".toml"))
    return PackText(OURS, tuple((name, file.read_text(encoding="utf-8")) for name, file in named))


@cache
def our_packs() -> Packs:
    """The pack that ships with Weir, alone."""
    return read_packs([our_text()])


def _rows(number: int, text: PackText, complaints: list[Complaint]) -> tuple[str, list[Row]]:
    """The label (`[pack] version`) and the rows of a pack's files."""
    label = ""
    rows: list[Row] = []
    for file, content in text.files:
        try:
            tables = cast("Table", tomllib.loads(content, parse_float=str))
        except tomllib.TOMLDecodeError as error:
            complaints.append(Complaint(file, "", f"not TOML: {error}"))
            continue
        label = str(_tables(tables.pop("pack", {})).get("version", label))
        rows.extend(_rows_of_file(number, file, tables, complaints))
    if not rows and not complaints:
        complaints.append(
            Complaint(text.name, "", f"holds no entries; a pack has {_named_kinds()}")
        )
    return label, rows


def _rows_of_file(
    number: int, file: str, tables: Table, complaints: list[Complaint]
) -> Iterator[Row]:
    defaults = _tables(tables.pop("defaults", {}))
    for kind in dict.fromkeys([*tables, *defaults]):
        if kind not in KINDS:
            message = f"is not known here; a pack has {_named_kinds()}"
            complaints.append(Complaint(file, kind, message))
    for kind, listed in tables.items():
        if kind not in KINDS:
            continue
        if not isinstance(listed, list) or not all(isinstance(table, dict) for table in listed):
            message = f"is no list of tables: write [[{kind}]], or {kind} = [{{ ... }}]"
            complaints.append(Complaint(file, kind, message))
            continue
        for position, table in enumerate(listed):
            yield Row(number, file, kind, position, _tables(defaults.get(kind, {})) | table)


def _tables(told: object) -> Table:
    """What was told, where it is a table."""
    return cast("Table", told) if isinstance(told, dict) else {}


def _named_kinds() -> str:
    return ", ".join(f"[[{kind}]]" for kind in KINDS)


def _content_hash(rows: Iterable[Row]) -> str:
    """SHA-256 over what the rows say, in order of kind and id."""
    said = sorted(
        json.dumps([row.kind, row.table], sort_keys=True, ensure_ascii=False, default=str)
        for row in rows
    )
    return sha256("\n".join(said).encode()).hexdigest()


def _entries(rows: Sequence[Row], complaints: list[Complaint]) -> list[Read]:
    """The rows as entries; one that names a standard has its days."""
    standards = {str(row.table.get("id")): row.table for row in rows if row.kind == Standard.KIND}
    read: list[Read] = []
    for row in rows:
        try:
            read.append((row, KINDS[row.kind].model_validate(_dated(row.table, standards))))
        except ValidationError as error:
            complaints.extend(row.complaint(line) for line in _lines(error))
    return read


def _dated(table: Table, standards: Mapping[str, Table]) -> Table:
    """A row with the days of its standard, where it says none of its own."""
    standard = standards.get(str(table.get("standard")), {})
    if not any(day in table for day in _DAYS):
        table = {day: standard[day] for day in _DAYS if day in standard} | table
    if "published_on" in standard:
        table = {"published_on": standard["published_on"]} | table
    return table


def _lines(error: ValidationError) -> Iterator[str]:
    for one in error.errors(include_url=False):
        place = ".".join(str(part) for part in one["loc"])
        said = one["msg"].removeprefix("Value error, ")
        value = repr(one["input"])
        own = one["type"] in {"missing", "value_error"}
        shown = "" if own or len(value) > 60 else f" (is {value})"  # noqa: PLR2004 - a line stays a line
        yield f"{place}: {said}{shown}" if place else f"{said}{shown}"
