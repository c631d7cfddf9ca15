"""One message of one unit, as bytes, becomes a section: pure, never raises, loses nothing.

Every reading of a message that can be counted is either in the section's columns or among its
`refused`; a message that cannot be counted is an `Unreadable`. The contract is `schemas.reading`.

Two parsers: orjson where no number is longer than a float can carry, else the standard library's,
which keeps every digit and also takes what orjson refuses and real clients send (NaN, lone
surrogates): those cost their reading only.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache, partial
from hashlib import sha256
from operator import itemgetter
from typing import Final, Literal, cast

import numpy as np
import orjson

from ingest import foreign, sparkplug
from ingest.columns import Ints, collapsed, spread, taken, used
from schemas.reading import (
    EARLIEST,
    FIELDS,
    LATEST,
    MAX_PAYLOAD,
    MAX_READINGS,
    MAX_REVISION,
    MAX_TEXT,
    ORIGINAL_KEPT,
    PAYLOAD_KEPT,
    TOP_FIELDS,
    Refusal,
    are_point_names,
    is_instant,
    is_number,
    is_point_name,
)
from schemas.registry import STATEMENTS, Statement
from schemas.scale import FLOAT_IS_EXACT_BELOW, SCALE, OutOfRangeError, scaled
from schemas.section import NEVER, RANKS, ROUNDED, WITHDRAWN, Column, Refused, Section, Unreadable

Form = Literal["json", "sparkplug"]
"""How bytes are to be read: JSON of any kind, which tells itself, or Sparkplug B, which its topic tells."""

_BOM = b"\xef\xbb\xbf"
_DIGITS = bytes(ord("0") if chr(byte) in "0123456789." else ord(" ") for byte in range(256))
_LONG = b"0" * 16
"""A number of 16 digits may not survive a float; shorter ones do: no two of them share one."""
_LONGEST_NUMBER_TEXT = 100
_LONGEST_TIME_TEXT = 35
_FLOAT_TEXT = 15
_DEEPEST = 16
_MAX_UNITS = 200
_UNIT_LENGTH = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_WITHOUT_OFFSET = "+00:00"
_CODES_OF_STATEMENTS = {statement: code for code, statement in enumerate(STATEMENTS)}
_NUMBER_CHARACTERS = frozenset("-0123456789.")
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Defaults:
    """What the door fills in where neither the reading nor its message says it."""

    point: str | None = None
    statement: str | None = None
    unit: str | None = None
    rank: str = "measured"
    revision: int = 0
    sent_at: None = None
    at: None = None


NO_DEFAULTS = Defaults()


@dataclass(frozen=True, slots=True)
class _Same:
    """A column whose entries are all this value."""

    value: object


_Told = list[object] | _Same
_Code = int | Refusal
_Read = Callable[[object], _Code]
_Bad = dict[int, Refusal]


@dataclass(frozen=True, slots=True)
class _Table:
    """The readings of a message, as told: one column a field."""

    size: int
    columns: Mapping[str, _Told]
    bad: _Bad
    original: Callable[[int], object]


def decode(
    payload: bytes,
    *,
    unit: str,
    received_at: int,
    defaults: Defaults = NO_DEFAULTS,
    form: Form = "json",
) -> Section | Unreadable:
    """What a door took from `unit`: every reading in order, or an unreadable payload."""
    message = _parsed(payload, unit, form)
    if isinstance(message, Refusal):
        return unreadable(payload, unit=unit, received_at=received_at, reason=message)
    table = _table(message, defaults)
    if isinstance(table, Refusal):
        return unreadable(payload, unit=unit, received_at=received_at, reason=table)
    told_id = message.get("message_id")
    ticks = _ticks_of(message.get("ticks"), table.size)
    whole = _whole_refusal(message, unit) or (ticks if isinstance(ticks, Refusal) else None)
    if not table.size and (whole or not ticks):
        reason = whole or Refusal.NO_READINGS
        return unreadable(payload, unit=unit, received_at=received_at, reason=reason)
    if whole is not None:
        bad = dict.fromkeys(range(table.size), whole)
        table = _Table(table.size, {}, bad, table.original)
    id_ = str(told_id) if told_id is not None and _is_message_id(told_id) else ""
    section = _section(table, unit, received_at, id_)
    if whole is not None or isinstance(ticks, Refusal) or not ticks:
        return section
    return _with_ticks(section, ticks, table.size)


def unreadable(payload: bytes, *, unit: str, received_at: int, reason: str) -> Unreadable:
    """A payload that nobody can read, kept to a limit, with its whole length and hash."""
    return Unreadable(
        unit,
        received_at,
        str(reason),
        payload[:PAYLOAD_KEPT],
        len(payload),
        sha256(payload).hexdigest(),
    )


# From bytes to a JSON object.


def _parsed(payload: bytes, unit: str, form: Form) -> dict[str, object] | Refusal:
    if len(payload) > MAX_PAYLOAD:
        return Refusal.TOO_LARGE
    if form == "sparkplug":
        return sparkplug.message_of(payload)
    body = payload.removeprefix(_BOM)
    if not body.strip():
        return Refusal.EMPTY
    parsed: object
    if _has_long_number(body, unit):
        parsed = _parsed_exactly(body)
    else:
        try:
            parsed = orjson.loads(body)
        except orjson.JSONDecodeError:
            parsed = _parsed_exactly(body)
    return parsed if isinstance(parsed, Refusal) else foreign.message_of(parsed)


def _has_long_number(body: bytes, unit: str) -> bool:
    """Whether 16 digits stand in a row anywhere but in the unit's own code (fast: no pattern)."""
    return _LONG in body.replace(f'"{unit}"'.encode(errors="replace"), b"").translate(_DIGITS)


def _parsed_exactly(body: bytes) -> object:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return Refusal.NOT_UTF8
    try:
        return json.loads(text, parse_float=_decimal, parse_int=_integer, parse_constant=Decimal)
    except (ValueError, RecursionError):
        return Refusal.NOT_JSON


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond every limit
        return Decimal("Infinity")


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) < len(_LONG) else Decimal(text)


# From an object to a table of what was told.


def _table(message: dict[str, object], defaults: Defaults) -> _Table | Refusal:
    """The readings in columns, whatever the form; a Refusal where they cannot be counted."""
    if "readings" in message:
        return _from_rows(message, defaults)
    columns: dict[str, _Told] = {}
    sizes = {len(column) for name in FIELDS if isinstance(column := message.get(name), list)}
    if len(sizes) > 1:
        return Refusal.COLUMNS_DIFFER
    size = sizes.pop() if sizes else 1
    if not size or not FIELDS & message.keys():
        return Refusal.NO_READINGS
    if size > MAX_READINGS:
        return Refusal.TOO_MANY
    for name in FIELDS:
        told = message.get(name, _MISSING)
        columns[name] = (
            _filled(told, _default(name, defaults))
            if isinstance(told, list)
            else _same(name, told, defaults)
        )
    return _Table(size, columns, {}, partial(_row_of, message))


def _row_of(message: dict[str, object], position: int) -> dict[str, object]:
    """One reading of a message in columns, as its sender might have told it alone."""
    return {
        name: told[position] if isinstance(told, list) and name in FIELDS else told
        for name, told in message.items()
        if name != "ticks"
    }


def _default(name: str, defaults: Defaults) -> object:
    return _MISSING if name == "value" else getattr(defaults, name)


def _same(name: str, told: object, defaults: Defaults) -> _Same:
    if name == "value" or (told is not None and told is not _MISSING):
        return _Same(told)
    return _Same(_default(name, defaults))


def _filled(column: list[object], default: object) -> list[object]:
    """A column with what was not told filled in (a value is never filled in: null is told)."""
    if default is None or default is _MISSING or None not in column:
        return column
    return [default if told is None else told for told in column]


def _from_rows(message: dict[str, object], defaults: Defaults) -> _Table | Refusal:
    rows = message["readings"]
    if not isinstance(rows, list):
        return Refusal.READINGS_NOT_A_LIST
    if not rows:  # fine where there are ticks: nothing was read, and time passed
        return _Table(0, {}, {}, rows.__getitem__)
    if len(rows) > MAX_READINGS:
        return Refusal.TOO_MANY
    bad: _Bad = {}
    told = _alike(rows)
    if told is None:
        bad, told = _unlike(rows)
    columns: dict[str, _Told] = {}
    for name in FIELDS:
        top = (
            _MISSING
            if name == "value"
            else _same(name, message.get(name, _MISSING), defaults).value
        )
        columns[name] = _filled(told[name], top) if name in told else _Same(top)
    return _Table(len(rows), columns, bad, rows.__getitem__)


def _alike(rows: list[object]) -> dict[str, list[object]] | None:
    """Columns of rows that all tell the same fields; None where they do not."""
    first = rows[0]
    if not isinstance(first, dict) or len(first) < 2 or not first.keys() <= FIELDS:  # noqa: PLR2004 - see below
        return None
    names = tuple(first)  # at least two: itemgetter of one gives no tuple
    try:
        if set(map(len, cast("list[dict[str, object]]", rows))) != {len(names)}:
            return None
        columns = zip(*map(itemgetter(*names), cast("list[dict[str, object]]", rows)), strict=True)
        return {name: list(column) for name, column in zip(names, columns, strict=True)}
    except (KeyError, TypeError):  # not the same fields, or not objects
        return None


def _unlike(rows: list[object]) -> tuple[_Bad, dict[str, list[object]]]:
    bad: _Bad = {}
    whole: list[dict[str, object]] = []
    for position, row in enumerate(rows):
        if not isinstance(row, dict):
            bad[position] = Refusal.NOT_AN_OBJECT
        elif not row.keys() <= FIELDS:
            bad[position] = Refusal.UNKNOWN_FIELD
        whole.append({} if position in bad else cast("dict[str, object]", row))
    return bad, {
        name: [row.get(name, _MISSING if name == "value" else None) for row in whole]
        for name in FIELDS
    }


def _whole_refusal(message: dict[str, object], unit: str) -> Refusal | None:
    """The reason that refuses every reading of a message, if there is one."""
    told_unit = message.get("unit_code")
    if told_unit is not None and told_unit != unit:
        return Refusal.WRONG_UNIT
    if not message.keys() <= TOP_FIELDS:
        return Refusal.UNKNOWN_TOP_FIELD
    if "readings" in message and "value" in message:
        return Refusal.VALUE_TWICE
    if not _is_message_id(message.get("message_id")):
        return Refusal.BAD_MESSAGE_ID
    return None


def _is_message_id(told: object) -> bool:
    if told is None or type(told) is int:
        return True
    return isinstance(told, str) and len(told) <= MAX_TEXT and told.isprintable()


# Ticks of a unit in history. Whether it is one, the engine knows: a live unit's are not looked at.


def _ticks_of(told: object, size: int) -> tuple[tuple[int, int], ...] | Refusal:
    """(position, instant) of each; refused whole, since time told wrong misjudges what is right."""
    if told is None:
        return ()
    if not isinstance(told, list) or len(told) > MAX_READINGS:
        return Refusal.BAD_TICKS
    ticks: list[tuple[int, int]] = []
    last_position, last_at = 0, NEVER
    for entry in told:
        if not isinstance(entry, list) or len(entry) != 2:  # noqa: PLR2004 - a pair
            return Refusal.BAD_TICKS
        position, at = entry[0], _instant_of(entry[1])
        if type(position) is not int or not last_position <= position <= size:
            return Refusal.BAD_TICKS
        if isinstance(at, Refusal) or at <= last_at:
            return Refusal.BAD_TICKS
        ticks.append((position, at))
        last_position, last_at = position, at
    return tuple(ticks)


def _with_ticks(section: Section, ticks: tuple[tuple[int, int], ...], size: int) -> Section:
    """The section with its ticks, each after those of its readings that were taken."""
    kept = np.ones(size + 1, dtype=np.int64)
    kept[0] = 0
    kept[[item.position + 1 for item in section.refused]] = 0
    before = np.cumsum(kept)
    return replace(section, ticks=tuple((int(before[position]), at) for position, at in ticks))


# From what was told to columns of integers.


def _section(table: _Table, unit: str, received_at: int, message_id: str) -> Section:
    fields = _Fields(table)
    names, point = fields.points()
    at = fields.codes("at", _instant_of)
    value, flags = fields.values()
    statement = fields.codes("statement", _statement_of)
    units, unit_of_measure = fields.texts("unit", _unit_refusal)
    rank = fields.codes("rank", _rank_of)
    revision = fields.codes("revision", _revision_of)
    sent_at = fields.codes("sent_at", _sent_at_of)
    bad = fields.bad
    at = spread(at, table.size)
    if bad:
        keep = np.ones(table.size, dtype=np.bool_)
        keep[list(bad)] = False
        at, value = at[keep], value[keep]
        flags, statement, rank, revision, sent_at = (
            taken(c, keep) for c in (flags, statement, rank, revision, sent_at)
        )
        names, point = used(names, taken(point, keep)) if len(at) else ((), 0)
        units, unit_of_measure = used(units, taken(unit_of_measure, keep)) if len(at) else ((), 0)
    empty = not len(at)
    return Section(
        unit=unit,
        received_at=received_at,
        names=names,
        point=collapsed(point),
        at=at,
        value=value,
        statement=0 if empty else collapsed(statement),
        units_of_measure=units,
        unit_of_measure=collapsed(unit_of_measure),
        rank=RANKS["measured"] if empty else collapsed(rank),
        revision=0 if empty else collapsed(revision),
        sent_at=NEVER if empty else collapsed(sent_at),
        flags=0 if empty else collapsed(flags),
        messages=(message_id,),
        refused=tuple(
            Refused(i, str(bad[i]), _original(table.original(i)), message_id) for i in sorted(bad)
        ),
    )


class _Fields:
    """Reads the columns of one table, and gathers the first reason against each reading."""

    def __init__(self, table: _Table) -> None:
        self.table = table
        self.bad: _Bad = dict(table.bad)

    def codes(self, name: str, read: _Read) -> Column:
        """A column read entry by entry, each different text once."""
        told = self.table.columns.get(name, _Same(_MISSING))
        if isinstance(told, _Same):
            code = read(told.value)
            return self._kept([code] * self.table.size) if isinstance(code, Refusal) else code
        kinds = set(map(type, told))
        if kinds not in ({str}, {int}):  # 1, 1.0 and true are equal as keys
            return self._kept([read(entry) for entry in told])
        known = {entry: read(entry) for entry in set(told)}
        if len(known) == 1 and not isinstance(code := known[told[0]], Refusal):
            return code
        return self._kept([known[entry] for entry in told])

    def points(self) -> tuple[tuple[str, ...], Column]:
        """The points' names in order of appearance, and the indexes into them."""
        told = self.table.columns.get("point", _Same(_MISSING))
        if isinstance(told, list) and set(map(type, told)) == {str}:
            names = dict.fromkeys(cast("list[str]", told))
            joined = "\n".join(names)
            if are_point_names(joined) and joined.count("\n") == len(names) - 1:
                if len(names) == len(told):
                    return tuple(names), np.arange(len(told), dtype=np.int64)
                known = {name: index for index, name in enumerate(names)}
                return tuple(names), np.array(
                    [known[cast("str", entry)] for entry in told], dtype=np.int64
                )
        return self.texts("point", _point_refusal)

    def texts(
        self, name: str, refusal: Callable[[object, int], Refusal | None]
    ) -> tuple[tuple[str, ...], Column]:
        """A column of texts: the good ones in order of appearance, and the indexes into them."""
        texts: dict[str, int] = {}

        def index(told: object) -> _Code:
            reason = refusal(told, len(texts))
            return texts.setdefault(cast("str", told), len(texts)) if reason is None else reason

        told = self.table.columns.get(name, _Same(_MISSING))
        if isinstance(told, list) and set(map(type, told)) == {str}:
            known = {entry: index(entry) for entry in dict.fromkeys(told)}
            codes = self._kept([known[entry] for entry in told])
        elif isinstance(told, list):
            codes = self._kept([index(entry) for entry in told])
        else:
            codes = self.codes(name, index)
        return tuple(texts), codes

    def values(self) -> tuple[Ints, Column]:
        """Scaled values and their flags."""
        told = self.table.columns.get("value", _Same(_MISSING))
        column = told if isinstance(told, list) else [told.value] * self.table.size
        quick = _quick_values(column)
        if quick is not None:
            return quick, 0
        read = [_value_of(entry) for entry in column]
        values = spread(self._kept([value for value, _ in read]), len(column))
        return values, np.array([flags for _, flags in read], dtype=np.int64)

    def _kept(self, codes: list[_Code]) -> Column:
        try:
            return np.array(codes, dtype=np.int64)
        except ValueError:  # a Refusal is no number
            for position, code in enumerate(codes):
                if isinstance(code, Refusal):
                    self.bad.setdefault(position, code)
            return np.array(
                [0 if isinstance(code, Refusal) else code for code in codes], dtype=np.int64
            )


def _point_refusal(told: object, _known: int) -> Refusal | None:
    if told is None or told is _MISSING:
        return Refusal.POINT_MISSING
    return None if isinstance(told, str) and is_point_name(told) else Refusal.BAD_POINT


def _unit_refusal(told: object, known: int) -> Refusal | None:
    if told is None or told is _MISSING:
        return Refusal.UNIT_MISSING
    good = (
        isinstance(told, str)
        and 0 < len(told) <= _UNIT_LENGTH
        and told.isprintable()
        and " " not in told
    )
    return None if good and known < _MAX_UNITS else Refusal.BAD_UNIT


def _statement_of(told: object) -> _Code:
    if told is None or told is _MISSING:
        return Refusal.STATEMENT_MISSING
    known = isinstance(told, str) and told in _CODES_OF_STATEMENTS
    return _CODES_OF_STATEMENTS[cast("Statement", told)] if known else Refusal.UNKNOWN_STATEMENT


def _rank_of(told: object) -> _Code:
    if told is None or told is _MISSING:
        return RANKS["measured"]
    return RANKS.get(told, Refusal.UNKNOWN_RANK) if isinstance(told, str) else Refusal.UNKNOWN_RANK


def _revision_of(told: object) -> _Code:
    if told is None or told is _MISSING:
        return 0
    return told if type(told) is int and 0 <= told <= MAX_REVISION else Refusal.BAD_REVISION


def _sent_at_of(told: object) -> _Code:
    if told is None or told is _MISSING:
        return NEVER
    code = _instant_of(told)
    return Refusal.BAD_SENT_AT if isinstance(code, Refusal) else code


def _instant_of(told: object) -> _Code:
    if told is None or told is _MISSING:
        return Refusal.TIME_MISSING
    if type(told) is int:
        return told if EARLIEST <= told < LATEST else Refusal.TIME_OUT_OF_RANGE
    if isinstance(told, str) and len(told) <= _LONGEST_TIME_TEXT:
        return _instant_of_text(told)
    return Refusal.BAD_TIME


@lru_cache(maxsize=16_384)
def _instant_of_text(told: str) -> _Code:
    if not is_instant(told):
        return Refusal.NO_OFFSET if is_instant(told + _WITHOUT_OFFSET) else Refusal.BAD_TIME
    try:
        when = datetime.fromisoformat(told.upper())
    except ValueError:  # no such day
        return Refusal.BAD_TIME
    at = (when - _EPOCH) // _MILLISECOND
    return at if EARLIEST <= at < LATEST else Refusal.TIME_OUT_OF_RANGE


def _quick_values(column: list[object]) -> Ints | None:
    """Scaled values where all are plain numbers with at most six decimals; else None."""
    kinds = set(map(type, column))
    if kinds == {str} and not _are_plain_numbers(cast("list[str]", column)):
        return None
    if not (kinds == {str} or kinds <= {int, float}):
        return None
    try:
        numbers = np.array(column, dtype=np.float64)
    except (ValueError, OverflowError):
        return None
    with np.errstate(over="ignore"):
        amounts = np.rint(numbers * SCALE)
    exact = (np.abs(amounts) < FLOAT_IS_EXACT_BELOW) & (amounts / SCALE == numbers)
    return amounts.astype(np.int64) if exact.all() else None


def _are_plain_numbers(column: list[str]) -> bool:
    return set().union(*column) <= _NUMBER_CHARACTERS and max(map(len, column)) <= _FLOAT_TEXT


def _value_of(told: object) -> tuple[_Code, int]:
    if told is None:
        return 0, WITHDRAWN
    if told is _MISSING:
        return Refusal.VALUE_MISSING, 0
    if type(told) not in (int, float, Decimal, str):
        return Refusal.NOT_A_NUMBER, 0
    if isinstance(told, str) and (len(told) > _LONGEST_NUMBER_TEXT or not is_number(told)):
        return Refusal.NOT_A_NUMBER, 0
    if isinstance(told, Decimal | float) and told != told:  # noqa: PLR0124 - NaN
        return Refusal.NOT_A_NUMBER, 0
    try:
        value, rounded = scaled(cast("Decimal | float | str", told))
    except OutOfRangeError:
        return Refusal.NUMBER_OUT_OF_RANGE, 0
    return value, ROUNDED if rounded else 0


# What is kept of a refused reading.


def _original(told: object) -> str:
    """A refused reading as JSON text, cut; what UTF-8 cannot carry is written as an escape."""
    return (
        _text(told, 0)[:ORIGINAL_KEPT].encode("utf-8", "backslashreplace").decode()[:ORIGINAL_KEPT]
    )


def _text(told: object, depth: int) -> str:
    if depth > _DEEPEST:
        return "..."
    if isinstance(told, dict):
        return (
            "{"
            + ",".join(f"{_quoted(key)}:{_text(entry, depth + 1)}" for key, entry in told.items())
            + "}"
        )
    if isinstance(told, list):
        return "[" + ",".join(_text(entry, depth + 1) for entry in told[:ORIGINAL_KEPT]) + "]"
    return str(told) if isinstance(told, Decimal) else _quoted(told)


def _quoted(told: object) -> str:
    return json.dumps(told, ensure_ascii=False)
