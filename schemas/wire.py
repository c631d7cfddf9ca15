"""The one binary layout of a record, and its JSON form for the pipe and for tools.

Binary, little endian: `W1`, kind (u8), incarnation (u64), sequence (u64), door (u8 length, text);
then by kind

- 0 sections: count (u16), each: kind (u8), unit (18 bytes), received_at (i64), and either columns
  or an unreadable payload
- 1 tick: instant (i64) · 2 apply configuration: version (u32) · 3 history ends: unit (18 bytes)

Columns: count n (u32), the mask of those that are whole columns (u16, the rest are one value),
three lists of texts (u32 length, each text followed by a line feed), then each column in the order
of `_COLUMNS`, then ticks (u32 count; u32 position, i64 instant), then refused readings
(u32 length, JSON: position, reason, original and, where the sender told one, the message's id).
"""

import base64
import json
import struct
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import cast

import numpy as np

from schemas.reading import EARLIEST, LATEST
from schemas.registry import STATEMENTS, Configuration
from schemas.section import (
    ApplyConfiguration,
    Body,
    Column,
    HistoryEnds,
    Record,
    Refused,
    Restated,
    Section,
    Tick,
    Unreadable,
)

MAGIC = b"W1"

_COLUMNS: tuple[tuple[str, np.dtype[np.integer]], ...] = tuple(
    (name, np.dtype(kind))
    for name, kind in (
        ("point", "<u2"),
        ("at", "<i8"),
        ("value", "<i8"),
        ("statement", "<u1"),
        ("unit_of_measure", "<u1"),
        ("rank", "<u1"),
        ("revision", "<i4"),
        ("sent_at", "<i8"),
        ("flags", "<u1"),
        ("message", "<u2"),
    )
)
_ALWAYS_WHOLE = {"at", "value"}
_ALWAYS_WHOLE_MASK = 0b110
_BOUNDS = {name: (int(np.iinfo(kind).min), int(np.iinfo(kind).max)) for name, kind in _COLUMNS}
_UNIT_LENGTH = 18
_CACHED = 4_096
_HEAD = struct.Struct("<2sBQQB")
_PART = struct.Struct("<B18sq")
_SIZE = struct.Struct("<IH")
_TICK = struct.Struct("<Iq")
_U32 = struct.Struct("<I")
_U16 = struct.Struct("<H")
_I64 = struct.Struct("<q")
_LENGTHS = {1: _I64.size, 2: _U32.size, 3: _UNIT_LENGTH, 4: _UNIT_LENGTH + _U32.size}
"""Bytes after the head of the kinds that have no sections."""


class LayoutError(ValueError):
    """Bytes that are not a record of this layout."""


def encode(record: Record) -> bytes:
    """A record as bytes. Raises LayoutError on what the layout cannot carry."""
    try:
        return _encode(record)
    except (struct.error, OverflowError, UnicodeError) as error:
        message = f"the record does not fit the layout: {error}"
        raise LayoutError(message) from error


def _encode(record: Record) -> bytes:
    door = record.door.encode()
    body = record.body
    kind = (
        0
        if isinstance(body, tuple)
        else {Tick: 1, ApplyConfiguration: 2, HistoryEnds: 3, Restated: 4}[type(body)]
    )
    head = _HEAD.pack(MAGIC, kind, record.incarnation, record.sequence, len(door)) + door
    match body:
        case Tick(at):
            return head + _I64.pack(at)
        case ApplyConfiguration(version):
            return head + _U32.pack(version)
        case HistoryEnds(unit):
            return head + _unit_bytes(unit)
        case Restated(unit, version):
            return head + _unit_bytes(unit) + _U32.pack(version)
        case parts:
            return b"".join([head, _U16.pack(len(parts)), *(_encode_part(part) for part in parts)])


def decode(data: bytes) -> Record:
    """The record behind `data`. Raises LayoutError on anything else, never another error."""
    try:
        return _decode(data)
    except LayoutError:
        raise
    except (struct.error, ValueError, IndexError, KeyError, TypeError, RecursionError) as error:
        message = f"not a record of layout {MAGIC.decode()}: {error}"
        raise LayoutError(message) from error


def is_restated(data: bytes) -> bool:
    """Whether the bytes are those of a `Restated`, seen by their head alone."""
    return data[: len(MAGIC)] == MAGIC and data[len(MAGIC) : len(MAGIC) + 1] == b"\x04"


def _decode(data: bytes) -> Record:
    magic, kind, incarnation, sequence, size = _HEAD.unpack_from(data)
    if magic != MAGIC:
        message = f"begins with {magic!r}, not {MAGIC!r}"
        raise LayoutError(message)
    at = _HEAD.size + size
    door = _printable(data[_HEAD.size : at].decode())
    if kind in _LENGTHS and len(data) != at + _LENGTHS[kind]:
        message = f"kind {kind} takes {_LENGTHS[kind]} bytes, not {len(data) - at}"
        raise LayoutError(message)
    body: Body
    match kind:
        case 0:
            body = tuple(_decode_parts(data, at))
        case 1:
            body = Tick(_in_time(_I64.unpack_from(data, at)[0]))
        case 2:
            body = ApplyConfiguration(_U32.unpack_from(data, at)[0])
        case 3:
            body = HistoryEnds(data[at:].decode("ascii"))
        case 4:
            version = _U32.unpack_from(data, at + _UNIT_LENGTH)[0]
            body = Restated(data[at : at + _UNIT_LENGTH].decode("ascii"), version)
        case _:
            message = f"kind {kind} is unknown"
            raise LayoutError(message)
    return Record(door, incarnation, sequence, body)


def _encode_part(part: Section | Unreadable) -> bytes:
    if isinstance(part, Unreadable):
        detail = {"reason": part.reason, "length": part.length, "sha256": part.sha256}
        return b"".join(
            [
                _PART.pack(1, _unit_bytes(part.unit), part.received_at),
                _blob(json.dumps(detail).encode()),
                _blob(part.payload),
            ]
        )
    pieces = [_PART.pack(0, _unit_bytes(part.unit), part.received_at)]
    mask = 0
    columns: list[bytes] = []
    for bit, (name, kind) in enumerate(_COLUMNS):
        column = getattr(part, name)
        mask |= (not isinstance(column, int)) << bit
        columns.append(_column_bytes(name, kind, column, len(part)))
    pieces.append(_SIZE.pack(len(part), mask))
    pieces.extend(_texts(texts) for texts in (part.names, part.units_of_measure, part.messages))
    pieces.extend(columns)
    pieces.append(_U32.pack(len(part.ticks)))
    pieces.extend(_TICK.pack(*tick) for tick in part.ticks)
    pieces.append(_blob(json.dumps(_refused_json(part)).encode() if part.refused else b""))
    return b"".join(pieces)


def _column_bytes(name: str, kind: np.dtype[np.integer], column: Column, n: int) -> bytes:
    if isinstance(column, int):
        return np.array(column, dtype=kind).tobytes()
    narrow = column.astype(kind, copy=False)
    if len(column) != n or (narrow.itemsize < column.itemsize and (narrow != column).any()):
        message = f"column {name} does not hold {n} integers of kind {kind.str}: {column!r:.100}"
        raise LayoutError(message)
    return narrow.tobytes()


def _unit_bytes(unit: str) -> bytes:
    data = unit.encode("ascii")
    if len(data) != _UNIT_LENGTH:
        message = f"unit {unit!r} has {len(data)} characters, not {_UNIT_LENGTH}"
        raise LayoutError(message)
    return data


def _texts(texts: tuple[str, ...]) -> bytes:
    joined = "".join(f"{text}\n" for text in texts)
    if joined.count("\n") != len(texts):
        message = f"a text holds a line feed: {next(text for text in texts if chr(10) in text)!r}"
        raise LayoutError(message)
    return _blob(joined.encode())


def _blob(data: bytes) -> bytes:
    return _U32.pack(len(data)) + data


def _split(data: bytes) -> tuple[str, ...]:
    *texts, rest = _without_nul(data.decode()).split("\n")
    if rest:
        message = f"a list of texts ends in {rest!r}, not in a line feed"
        raise LayoutError(message)
    return tuple(texts)


_split_cached = lru_cache(maxsize=4_096)(_split)
"""A unit says the same names again and again; ids and long lists are not worth their memory."""


def _names(data: bytes) -> tuple[str, ...]:
    return _split_cached(data) if len(data) <= _CACHED else _split(data)


def _take_blob(data: bytes, at: int) -> tuple[bytes, int]:
    (size,) = _U32.unpack_from(data, at)
    end = at + 4 + size
    if end > len(data):
        message = f"ends at byte {len(data)}, inside a field that ends at {end}"
        raise LayoutError(message)
    return data[at + 4 : end], end


def _decode_parts(data: bytes, at: int) -> Iterator[Section | Unreadable]:
    (count,) = _U16.unpack_from(data, at)
    at += 2
    for _ in range(count):
        kind, unit, received_at = _PART.unpack_from(data, at)
        if kind not in (0, 1):
            message = f"part of kind {kind} is unknown"
            raise LayoutError(message)
        take = _take_section if kind == 0 else _take_unreadable
        part, at = take(
            data, at + _PART.size, _printable(unit.decode("ascii")), _in_time(received_at)
        )
        yield part
    if at != len(data):
        message = f"{len(data) - at} bytes follow the last section"
        raise LayoutError(message)


def _in_time(at: int) -> int:
    """An instant that a door or a clock may say; else LayoutError."""
    if not EARLIEST <= at < LATEST:
        message = f"instant {at} lies outside [{EARLIEST}, {LATEST}) milliseconds since 1970"
        raise LayoutError(message)
    return at


def _take_unreadable(data: bytes, at: int, unit: str, received_at: int) -> tuple[Unreadable, int]:
    detail, at = _take_blob(data, at)
    payload, at = _take_blob(data, at)
    told = json.loads(detail)
    return Unreadable(
        unit, received_at, _str(told["reason"]), payload, _int(told["length"]), _str(told["sha256"])
    ), at


def _take_section(data: bytes, at: int, unit: str, received_at: int) -> tuple[Section, int]:
    n, mask = _SIZE.unpack_from(data, at)
    at += _SIZE.size
    if mask >> len(_COLUMNS) or mask & _ALWAYS_WHOLE_MASK != _ALWAYS_WHOLE_MASK:
        message = f"mask {mask:#x} of columns is unknown"
        raise LayoutError(message)
    names, at = _take_blob(data, at)
    units, at = _take_blob(data, at)
    messages, at = _take_blob(data, at)
    columns: dict[str, Column] = {}
    for bit, (name, kind) in enumerate(_COLUMNS):
        count = n if mask >> bit & 1 else 1
        values = np.frombuffer(data, kind, count, at)
        at += kind.itemsize * count
        columns[name] = values if mask >> bit & 1 else int(values[0])
    (ticks,) = _U32.unpack_from(data, at)
    at += 4
    if ticks > (len(data) - at) // _TICK.size:
        message = f"{ticks} ticks do not fit"
        raise LayoutError(message)
    stands = tuple(_TICK.unpack_from(data, at + i * _TICK.size) for i in range(ticks))
    refused, at = _take_blob(data, at + ticks * _TICK.size)
    section = Section(
        unit=unit,
        received_at=received_at,
        names=_names(names),
        units_of_measure=_names(units),
        messages=_split(messages),
        ticks=cast("tuple[tuple[int, int], ...]", stands),
        refused=_refused(json.loads(refused)) if refused else (),
        **columns,  # type: ignore[arg-type]
    )
    _check(section)
    return section, at


def _check(section: Section) -> None:
    """Indexes point into their lists, and ticks stand among the readings; else LayoutError."""
    n = len(section)
    for texts, column in (
        (section.names, section.point),
        (section.units_of_measure, section.unit_of_measure),
        (section.messages, section.message),
        (STATEMENTS, section.statement),
    ):
        greatest = column if isinstance(column, int) else int(column.max()) if n else 0
        if n and greatest >= len(texts):
            message = f"index {greatest} into a list of {len(texts)} texts"
            raise LayoutError(message)
    if n:
        _in_time(int(section.at.min()))
        _in_time(int(section.at.max()))
    for _, at in section.ticks:
        _in_time(at)
    if any(not 0 <= position <= n for position, _ in section.ticks):
        message = f"a tick stands outside {n} readings: {section.ticks}"
        raise LayoutError(message)


def _refused(told: object) -> tuple[Refused, ...]:
    if not isinstance(told, list):
        message = f"refused readings are a list, not {told!r:.100}"
        raise LayoutError(message)
    return tuple(
        Refused(_int(position), _str(reason), _str(original), *map(_str, message))
        for position, reason, original, *message in told
    )


def _printable(text: str) -> str:
    if not text.isprintable():
        message = f"{text!r:.100} holds characters that cannot be printed"
        raise LayoutError(message)
    return text


def _without_nul(text: str) -> str:
    """The text, where a database can hold it: no NUL, no half of a surrogate pair."""
    if "\0" in text or (not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)):
        message = f"{text!r:.100} holds a NUL or a lone surrogate"
        raise LayoutError(message)
    return text


def _int(told: object) -> int:
    if type(told) is not int:
        message = f"{told!r:.100} is not an integer"
        raise LayoutError(message)
    return told


def _str(told: object) -> str:
    if not isinstance(told, str):
        message = f"{told!r:.100} is not a text"
        raise LayoutError(message)
    return _without_nul(told)


# The JSON form: one line a record of the log.


def to_line(record: Record, partition: int) -> str:
    """A record of the log as one line of JSON."""
    head = {
        "topic": "readings",
        "partition": partition,
        "door": record.door,
        "incarnation": record.incarnation,
        "sequence": record.sequence,
    }
    match record.body:
        case Tick(at):
            rest: dict[str, object] = {"tick": at}
        case ApplyConfiguration(version):
            rest = {"apply_configuration": version}
        case HistoryEnds(unit):
            rest = {"history_ends": unit}
        case Restated(unit, version):
            rest = {"restated": [unit, version]}
        case parts:
            rest = {"sections": [part_json(part) for part in parts]}
    return json.dumps(head | rest, separators=(",", ":"), ensure_ascii=False)


def configuration_line(configuration: Configuration) -> str:
    """A configuration as one line of the pipe."""
    body = configuration.model_dump(mode="json")
    return json.dumps({"topic": "config", **body}, separators=(",", ":"), ensure_ascii=False)


def from_line(line: str) -> tuple[int, Record] | Configuration:
    """(partition, record), or a configuration. Raises LayoutError with what is wrong."""
    try:
        told = json.loads(line)
        if told["topic"] == "config":
            del told["topic"]
            return Configuration.model_validate(told)
        record = Record(
            _str(told["door"]), _int(told["incarnation"]), _int(told["sequence"]), _body(told)
        )
        return _int(told["partition"]), record
    except LayoutError:
        raise
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        message = f"not a line of the pipe: {error!r}"
        raise LayoutError(message) from error


def _body(told: dict[str, object]) -> Body:
    readers: dict[str, Callable[[object], Body]] = {
        "tick": lambda at: Tick(_in_time(_int(at))),
        "apply_configuration": lambda version: ApplyConfiguration(_int(version)),
        "history_ends": lambda unit: HistoryEnds(_str(unit)),
        "restated": _restated,
        "sections": lambda parts: tuple(
            _part(part) for part in cast("list[dict[str, object]]", parts)
        ),
    }
    for key, read in readers.items():
        if key in told:
            return read(told[key])
    message = f"has none of {', '.join(readers)}"
    raise LayoutError(message)


def _restated(told: object) -> Restated:
    unit, version = cast("list[object]", told)
    return Restated(_str(unit), _int(version))


def part_json(part: Section | Unreadable) -> dict[str, object]:
    """A section, or an unreadable payload, as JSON."""
    told: dict[str, object] = {"unit": part.unit, "received_at": part.received_at}
    if isinstance(part, Unreadable):
        return told | {
            "unreadable": part.reason,
            "payload": base64.b64encode(part.payload).decode(),
            "length": part.length,
            "sha256": part.sha256,
        }
    told |= {
        "names": part.names,
        "units_of_measure": part.units_of_measure,
        "messages": part.messages,
    }
    for name, _ in _COLUMNS:
        column = getattr(part, name)
        told[name] = column if isinstance(column, int) else column.tolist()
    if part.ticks:
        told["ticks"] = part.ticks
    if part.refused:
        told["refused"] = _refused_json(part)
    return told


def _refused_json(part: Section) -> list[list[object]]:
    """The message's id is left out where there is none: so the layout of before it stays."""
    return [
        [item.position, item.reason, item.original, *([item.message] if item.message else [])]
        for item in part.refused
    ]


def _part(told: dict[str, object]) -> Section | Unreadable:
    if "unreadable" in told:
        return Unreadable(
            _str(told["unit"]),
            _in_time(_int(told["received_at"])),
            _str(told["unreadable"]),
            base64.b64decode(_str(told["payload"]), validate=True),
            _int(told["length"]),
            _str(told["sha256"]),
        )
    columns = {name: _column(name, kind, told[name]) for name, kind in _COLUMNS}
    sizes = {len(column) for column in columns.values() if not isinstance(column, int)}
    if len(sizes) != 1:
        message = f"columns differ in length: {sorted(sizes)}"
        raise LayoutError(message)
    section = Section(
        unit=_str(told["unit"]),
        received_at=_in_time(_int(told["received_at"])),
        names=_str_list(told["names"]),
        units_of_measure=_str_list(told["units_of_measure"]),
        messages=_str_list(told["messages"]),
        ticks=tuple((_int(p), _int(t)) for p, t in cast("list[list[int]]", told.get("ticks", []))),
        refused=_refused(told.get("refused", [])),
        **columns,  # type: ignore[arg-type]
    )
    _check(section)
    return section


def _column(name: str, kind: np.dtype[np.integer], told: object) -> Column:
    """A column of integers that fit its kind; numpy alone would cut fractions and read texts."""
    low, high = _BOUNDS[name]
    whole = isinstance(told, list)
    if name in _ALWAYS_WHOLE and not whole:
        message = f"column {name} is one value, not a list"
        raise LayoutError(message)
    entries = cast("list[int]", told if whole else [told])
    if entries and not (
        set(map(type, entries)) == {int} and low <= min(entries) and max(entries) <= high
    ):
        message = f"column {name} holds something else than integers from {low} to {high}"
        raise LayoutError(message)
    return np.array(entries, dtype=kind) if whole else entries[0]


def _str_list(told: object) -> tuple[str, ...]:
    if not isinstance(told, list):
        message = f"{told!r:.100} is not a list of texts"
        raise LayoutError(message)
    return tuple(_str(text) for text in told)
