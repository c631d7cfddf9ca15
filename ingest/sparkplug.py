"""Sparkplug B payloads as a message of ours. Pure.

On `spBv1.0/{unit}/NBIRTH|NDATA|DBIRTH|DDATA/...`: the group is the unit's code, which the broker enforces. A metric is a
reading: its name as in `foreign.named`, its unit of measure there or in the property `engUnit`, its instant the metric's
timestamp, else the payload's. Metrics that are no numbers, and those that control a node, are passed over. An alias alone
names nothing here: gateways share the work and know no births.

The message types are described below by the field numbers of the Sparkplug 3.0 specification, with what is needed of them;
protobuf's own runtime reads the bytes.
"""

from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

import numpy as np
from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from ingest.foreign import Message, Row, named
from schemas.reading import MAX_READINGS, Refusal

TOPIC = "spBv1.0"
TOPICS = (
    f"{TOPIC}/+/NBIRTH/+",
    f"{TOPIC}/+/NDATA/+",
    f"{TOPIC}/+/DBIRTH/+/+",
    f"{TOPIC}/+/DDATA/+/+",
)
"""Where messages that carry metrics come: group, edge node and device are the `+`."""

_F = FieldDescriptorProto
_SCHEMA: dict[str, tuple[tuple[str, int, int, str], ...]] = {
    "PropertyValue": (("string_value", 8, _F.TYPE_STRING, ""),),
    "PropertySet": (
        ("keys", 1, _F.TYPE_STRING, "many"),
        ("values", 2, _F.TYPE_MESSAGE, "many PropertyValue"),
    ),
    "Metric": (
        ("name", 1, _F.TYPE_STRING, ""),
        ("timestamp", 3, _F.TYPE_UINT64, ""),
        ("datatype", 4, _F.TYPE_UINT32, ""),
        ("is_null", 7, _F.TYPE_BOOL, ""),
        ("properties", 9, _F.TYPE_MESSAGE, "PropertySet"),
        ("int_value", 10, _F.TYPE_UINT32, ""),
        ("long_value", 11, _F.TYPE_UINT64, ""),
        ("float_value", 12, _F.TYPE_FLOAT, ""),
        ("double_value", 13, _F.TYPE_DOUBLE, ""),
    ),
    "Payload": (
        ("timestamp", 1, _F.TYPE_UINT64, ""),
        ("metrics", 2, _F.TYPE_MESSAGE, "many Metric"),
        ("seq", 3, _F.TYPE_UINT64, ""),
    ),
}
"""Message type → fields: name, number, type, and `many` and the message type where it is one."""
_BITS = {1: 8, 2: 16, 3: 32, 4: 64}
"""Signed datatypes Int8 to Int64: two's complement in an unsigned field."""
_NUMERIC = range(1, 11)
"""Datatypes Int8 to Double."""
_CONTROL = ("bdSeq", "Node Control/", "Device Control/", "Properties/")
_UNIT_PROPERTY = "engUnit"
_PACKAGE = "weir.sparkplug"


def message_of(payload: bytes) -> Message | Refusal:
    """The readings of a payload. Never raises."""
    told = _payload_type()()
    try:
        told.ParseFromString(payload)
    except DecodeError:
        return Refusal.NOT_SPARKPLUG
    return {"readings": list(islice(_rows(told), MAX_READINGS + 1))}


def _rows(payload: Any) -> Iterator[Row]:  # noqa: ANN401 - a class that protobuf makes while running
    for metric in payload.metrics:
        name = _text(metric.name)
        if name.startswith(_CONTROL) or (metric.datatype and metric.datatype not in _NUMERIC):
            continue
        at = metric.timestamp or payload.timestamp
        row: Row = {"value": _value(metric), **({"at": at} if at else {})}
        unit = _unit(metric)
        yield named(name or None, {**row, "unit": unit} if unit else row)


def _value(metric: Any) -> object:  # noqa: ANN401 - as above
    if metric.is_null:
        return "null"
    if metric.HasField("int_value"):
        return _signed(metric.int_value, metric.datatype)
    if metric.HasField("long_value"):
        return _signed(metric.long_value, metric.datatype)
    if metric.HasField("float_value"):
        return str(np.float32(metric.float_value))  # 12.3 as it was meant, not 12.300000190734863
    if metric.HasField("double_value"):
        return repr(metric.double_value)
    return "no value"


def _signed(value: int, datatype: int) -> str:
    bits = _BITS.get(datatype)
    if bits is None:
        return str(value)
    value &= (1 << bits) - 1
    return str(value - (1 << bits) if value >> (bits - 1) else value)


def _unit(metric: Any) -> str:  # noqa: ANN401 - as above
    pairs = zip(metric.properties.keys, metric.properties.values, strict=False)
    return next((_text(value.string_value) for key, value in pairs if key == _UNIT_PROPERTY), "")


def _text(told: str | bytes) -> str:
    """The runtime hands over bytes where a text is not UTF-8."""
    return told if isinstance(told, str) else told.decode(errors="replace")


@cache
def _payload_type() -> Any:  # noqa: ANN401 - as above
    file = FileDescriptorProto(name="weir_sparkplug.proto", package=_PACKAGE, syntax="proto2")
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for field, number, kind, more in fields:
            *many, of = more.split(" ") if more else ("",)
            label = _F.LABEL_REPEATED if many or of == "many" else _F.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, type=kind, label=label)
            if kind == _F.TYPE_MESSAGE:
                added.type_name = f".{_PACKAGE}.{of}"
    pool = DescriptorPool()
    pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Payload"))
