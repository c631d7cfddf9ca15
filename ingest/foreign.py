"""What others' encoders write, as a message of ours: SenML, Telegraf's JSON, Sparkplug B. Pure.

JSON tells by its shape which it is: SenML (RFC 8428) is a list, Telegraf's has `fields` or `metrics`, ours neither.
None of them has a place for everything that a reading says, so names may carry it:
`E1/PT15M` is the point E1's statement PT15M, `E1/PT15M/kWh` says the unit of measure as well; without a statement it is
`register`. Slashes that are left become dots: `hall/E1` is the point `hall.E1`. An instant is never made up: what tells
none, or one relative to now, is refused.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Final, cast

from schemas.reading import Refusal
from schemas.registry import STATEMENTS

Message = dict[str, object]
Row = dict[str, object]

_STATEMENTS = frozenset(STATEMENTS)
_NOT_A_NUMBER: Final = "not a number"
_NOT_A_TIME: Final = "not a time"
_FARTHEST: Final = Decimal(10) ** 20
"""No instant is beyond it in any unit; what is would cost memory as an integer."""
_UNDERSTOOD = frozenset(
    ("bn", "bt", "bu", "bv", "bs", "bver", "n", "u", "v", "vs", "vb", "vd", "s", "t", "ut")
)
_VALUES = ("v", "vs", "vb", "vd", "s")
_SENML_VERSION = 10
_RELATIVE_BELOW = 1 << 28
"""Seconds: SenML's times below are relative to now."""
_JOULES_TO_KWH = {"W": Decimal(3_600_000), "kW": Decimal(3_600)}
"""A sum of SenML is in its unit times seconds; of a power it is energy."""
_TELEGRAF_OWN = ("point", "statement", "unit", "rank")
"""Tags that say what a reading says; others are Telegraf's business."""


def message_of(parsed: object) -> Message | Refusal:
    """The message behind parsed JSON; one of ours as it is."""
    if isinstance(parsed, list):
        return _of_senml(parsed)
    if not isinstance(parsed, dict):
        return Refusal.NOT_A_MESSAGE
    if "metrics" in parsed or "fields" in parsed:
        return _of_telegraf(parsed)
    return parsed


def named(name: object, row: Row) -> Row:
    """A reading with what its name says; what it says itself goes before."""
    if not isinstance(name, str):
        return {"point": name, **row} if name is not None else row
    levels = name.split("/")
    told: Row = {"statement": "register"}
    if len(levels) > 2 and levels[-2] in _STATEMENTS:  # noqa: PLR2004 - point, statement, unit
        told |= {"statement": levels[-2], "unit": levels[-1]}
        levels = levels[:-2]
    elif len(levels) > 1 and levels[-1] in _STATEMENTS:
        told["statement"] = levels.pop()
    return {"point": ".".join(levels), **told, **row}


# SenML


def _of_senml(records: list[object]) -> Message | Refusal:
    rows: list[object] = []
    base: dict[str, object] = {}
    for record in records:
        if not isinstance(record, dict):
            rows.append(record)
            continue
        base |= {
            name: record[name] for name in ("bn", "bt", "bu", "bv", "bs", "bver") if name in record
        }
        version = base.get("bver", _SENML_VERSION)
        if not isinstance(version, int) or version > _SENML_VERSION:
            return Refusal.NEWER_SENML
        if not any(name in record for name in _VALUES) and "n" not in record:
            continue  # base fields alone
        rows.append(_senml_row(cast("Row", record), base))
    return {"readings": rows}


def _senml_row(record: Row, base: Mapping[str, object]) -> Row:
    if not record.keys() <= _UNDERSTOOD and any(name.endswith("_") for name in record):
        return {"must understand": sorted(record.keys() - _UNDERSTOOD)}
    name = f"{base.get('bn', '')}{record.get('n', '')}"
    unit = record.get("u", base.get("bu"))
    row: Row = {"at": _senml_time(base.get("bt", 0), record.get("t", 0))}
    if "v" in record:
        row["value"] = _sum(record["v"], base.get("bv", 0))
    elif "s" in record and isinstance(unit, str) and unit in _JOULES_TO_KWH:
        total = _sum(record["s"], base.get("bs", 0))
        row["value"] = _divided(total, _JOULES_TO_KWH[unit])
        unit = "kWh"
    else:
        row["value"] = _NOT_A_NUMBER
    return named(name, row if unit is None else {**row, "unit": unit})


def _senml_time(base: object, own: object) -> object:
    seconds = _sum(base, own)
    if not isinstance(seconds, Decimal) or not seconds.is_finite() or abs(seconds) > _FARTHEST:
        return _NOT_A_TIME
    if seconds < _RELATIVE_BELOW:
        return "relative to now"
    return int((seconds * 1000).to_integral_value())


def _sum(first: object, second: object) -> object:
    """Of two numbers of JSON, to the last digit that matters; in place of what is none, a text that is none."""
    total = Decimal(0)
    for told in (first, second):
        if isinstance(told, bool) or not isinstance(told, int | float | Decimal):
            return _NOT_A_NUMBER
        try:
            total += Decimal(str(told))
        except ArithmeticError:  # of infinities, and beyond every exponent
            return _NOT_A_NUMBER
    return total


def _divided(told: object, by: Decimal) -> object:
    return told / by if isinstance(told, Decimal) and told.is_finite() else _NOT_A_NUMBER


# Telegraf: a metric, or {"metrics": [...]}; each field is a reading.


def _of_telegraf(parsed: Message) -> Message | Refusal:
    metrics = parsed.get("metrics", [parsed])
    if not isinstance(metrics, list):
        return Refusal.READINGS_NOT_A_LIST
    rows: list[object] = []
    for metric in metrics:
        if isinstance(metric, dict) and isinstance(metric.get("fields"), dict):
            rows += _telegraf_rows(metric)
        else:
            rows.append(metric)
    return {"readings": rows}


def _telegraf_rows(metric: Mapping[str, object]) -> Iterator[Row]:
    told = metric.get("tags")
    tags = told if isinstance(told, dict) else {}
    own = {name: tags[name] for name in _TELEGRAF_OWN if name in tags}
    name = own.pop("point", metric.get("name"))
    at = _telegraf_time(metric.get("timestamp"))
    for field, value in cast("dict[str, object]", metric["fields"]).items():
        point = name if field == "value" else f"{name}.{field}"
        number = value if type(value) in (int, float, Decimal) else _NOT_A_NUMBER
        yield named(point, {**own, "at": at, "value": number})


def _telegraf_time(told: object) -> object:
    """Milliseconds; seconds, milliseconds, microseconds and nanoseconds do not overlap from 1973 to 5138."""
    if told is None:
        return None
    if isinstance(told, bool) or not isinstance(told, int | float | Decimal):
        return _NOT_A_TIME
    at = Decimal(str(told))
    if not at.is_finite() or abs(at) > _FARTHEST:
        return _NOT_A_TIME
    for below, factor in ((11, 1000), (14, 1)):
        if abs(at) < Decimal(10) ** below:
            return int(at * factor)
    return int(at // (1_000 if abs(at) < Decimal(10) ** 17 else 1_000_000))
