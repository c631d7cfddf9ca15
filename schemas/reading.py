"""What people send: one JSON message, with one reading or many.

`python -m ingest schema` prints its JSON Schema.

Three forms, all with the same fields. One reading:

    {"message_id": "m-1", "point": "E1", "at": "2026-11-23T10:00:00+08:00",
     "statement": "register", "value": "1234.5", "unit": "kWh"}

Many, as a list; what is the same for all of them may be given once at the top:

    {"message_id": "m-2", "sent_at": "2026-11-23T10:00:05+08:00",
     "statement": "PT15M", "unit": "kWh",
     "readings": [{"point": "E1", "at": "2026-11-23T10:00:00+08:00", "value": 12.25},
                  {"point": "E2", "at": "2026-11-23T10:00:00+08:00", "value": null, "revision": 1}]}

Many, as columns of one length (the cheapest to send and to read):

    {"message_id": "m-3", "statement": "PT15M", "unit": "kWh",
     "point": ["E1", "E2"], "at": [1795399200000, 1795399200000], "value": [12.25, "7.5"]}

A null value withdraws: see `Reading.value`. A reading that cannot be used is refused alone, with
one of `Refusal`.

A unit in history (import, replay, simulation) brings its own time, as `ticks`: see `Tick`. To a live
unit they say nothing; its time is the clock's. A message of ticks alone has `"readings": []`.

SenML (RFC 8428), Telegraf's JSON and Sparkplug B are understood as well: see ingest/foreign.py.

What Kafka has is receipted: see `Receipt`. Who must not lose a message keeps it until then.
"""

import re
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from schemas.registry import Statement, UnitCode

MAX_READINGS = 10_000
"""Readings in one message; more make it unreadable."""
MAX_PAYLOAD = 1_048_576
"""Bytes of one message; more make it unreadable."""
MAX_TEXT = 128
"""Characters of a message id."""
ORIGINAL_KEPT = 2_000
"""Characters kept of a refused reading."""
PAYLOAD_KEPT = 16_384
"""Bytes kept of an unreadable payload; its whole length and SHA-256 are kept too."""
EARLIEST, LATEST = 0, 7_258_118_400_000
"""Instants from 1970 to before 2200 (ms since 1970-01-01 UTC) are taken."""
MAX_REVISION = 2**31 - 1

POINT_NAME = r"^[A-Za-z0-9_.:-]{1,64}$"
RFC_3339 = (
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
NUMBER_TEXT = r"^[+-]?([0-9]{1,40}(\.[0-9]{0,40})?|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?$"
UNIT_TEXT = r"^[^\s\x00-\x1f\x7f]{1,16}$"

Rank = Literal["measured", "corrected", "supplier", "estimated", "manual"]


class Refusal(StrEnum):
    """Why a reading or a message was not taken: a closed set, so that it can be counted.

    The first block refuses single readings; the second, all readings of a message; the third, a
    message that nobody could count.
    """

    NOT_AN_OBJECT = "not an object"
    UNKNOWN_FIELD = "unknown field"
    POINT_MISSING = "point missing"
    BAD_POINT = "bad point name"
    TIME_MISSING = "time missing"
    BAD_TIME = "bad time"
    NO_OFFSET = "time without offset"
    TIME_OUT_OF_RANGE = "time out of range"
    VALUE_MISSING = "value missing"
    NOT_A_NUMBER = "not a number"
    NUMBER_OUT_OF_RANGE = "number out of range"
    STATEMENT_MISSING = "statement missing"
    UNKNOWN_STATEMENT = "unknown statement"
    UNIT_MISSING = "unit of measure missing"
    BAD_UNIT = "bad unit of measure"
    UNKNOWN_RANK = "unknown rank"
    BAD_REVISION = "bad revision"
    BAD_SENT_AT = "bad sent_at"

    WRONG_UNIT = "wrong unit"
    BAD_MESSAGE_ID = "bad message id"
    BAD_TICKS = "bad ticks"
    UNKNOWN_TOP_FIELD = "unknown field of the message"
    VALUE_TWICE = "value beside readings"

    EMPTY = "empty"
    TOO_LARGE = "too large"
    NOT_UTF8 = "not UTF-8"
    NOT_JSON = "not JSON"
    NOT_A_MESSAGE = "not a JSON object"
    READINGS_NOT_A_LIST = "readings is not a list"
    NO_READINGS = "no readings"
    TOO_MANY = "too many readings"
    COLUMNS_DIFFER = "columns differ in length"
    NEWER_SENML = "newer SenML"
    NOT_SPARKPLUG = "not Sparkplug B"
    NO_UNIT_IN_TOPIC = "no unit in the topic"


PointName = Annotated[str, StringConstraints(pattern=POINT_NAME)]
UnitText = Annotated[str, StringConstraints(pattern=UNIT_TEXT)]
Instant = (
    Annotated[
        str,
        StringConstraints(pattern=RFC_3339),
        Field(description="RFC 3339 with an offset", json_schema_extra={"format": "date-time"}),
    ]
    | Annotated[int, Field(ge=EARLIEST, lt=LATEST, description="milliseconds since 1970-01-01 UTC")]
)
Amount = (
    Annotated[
        str, StringConstraints(pattern=NUMBER_TEXT), Field(description="a decimal number as text")
    ]
    | Annotated[int, Field()]
    | Annotated[float, Field(allow_inf_nan=False)]
    | None
)
Revision = Annotated[int, Field(ge=0, le=MAX_REVISION)]
MessageId = Annotated[str, StringConstraints(max_length=MAX_TEXT)] | int
Tick = tuple[Annotated[int, Field(ge=0, description="readings before it")], Instant]
"""Of a unit in history: [position, instant]. After `position` of the message's readings (0: before
all) the unit's time is this instant: windows that end by then are judged without what follows."""
Ticks = Annotated[
    list[Tick],
    Field(
        max_length=MAX_READINGS,
        description="of a unit in history, [position, instant]: positions do not fall, instants rise",
    ),
]


class _Sent(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True
    )


class Reading(_Sent):
    """One reading. Unique by (unit, point, statement, at).

    Of several claims the greatest (rank, revision, sent_at, value) counts.
    """

    point: PointName | None = None
    """Name of the metering point, as registered."""
    at: Instant | None = None
    """By the meter's clock: the instant of a register, the **start** of a period."""
    value: Amount
    """In `unit`, at most six decimals (more are rounded half even, once, and flagged).

    null withdraws the claims of this rank whose (revision, sent_at) is not greater than this one's.
    """
    statement: Statement | None = None
    """`register`: a cumulative counter at an instant. A period (`PT15M` ...): what passed in it."""
    unit: UnitText | None = None
    """Unit of measure: kWh, t, m3."""
    rank: Rank | None = None
    """How the value came about; measured unless told."""
    revision: Revision | None = None
    """Greater replaces; 0 unless told."""
    sent_at: Instant | None = None
    """By the sender's clock. Missing sorts before every instant."""


class OneReading(Reading):
    """A message with one reading."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "message_id": "m-1",
                    "sent_at": "2026-11-23T10:00:05+08:00",
                    "point": "E1",
                    "at": "2026-11-23T10:00:00+08:00",
                    "statement": "register",
                    "value": "1234.5",
                    "unit": "kWh",
                },
                {
                    "point": "E2",
                    "at": 1795399200000,
                    "statement": "PT15M",
                    "value": None,
                    "unit": "kWh",
                    "revision": 1,
                },
            ]
        }
    )

    message_id: MessageId | None = None
    """Yours to choose; the receipt names it."""
    unit_code: UnitCode | None = None
    """If told, it must be the unit of the door."""
    ticks: Ticks | None = None


class ManyReadings(_Sent):
    """A message with a list of readings; what is given here holds where they do not say it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "message_id": "m-2",
                    "sent_at": "2026-11-23T10:00:05+08:00",
                    "statement": "PT15M",
                    "unit": "kWh",
                    "readings": [
                        {"point": "E1", "at": "2026-11-23T09:45:00+08:00", "value": 12.25},
                        {
                            "point": "E2",
                            "at": "2026-11-23T09:45:00+08:00",
                            "value": "7.5",
                            "revision": 1,
                        },
                    ],
                }
            ]
        }
    )

    message_id: MessageId | None = None
    unit_code: UnitCode | None = None
    point: PointName | None = None
    at: Instant | None = None
    statement: Statement | None = None
    unit: UnitText | None = None
    rank: Rank | None = None
    revision: Revision | None = None
    sent_at: Instant | None = None
    ticks: Ticks | None = None
    readings: Annotated[list[Reading], Field(max_length=MAX_READINGS)]
    """At least one, unless there are ticks."""


class ReadingColumns(_Sent):
    """A message in columns: a field is one value for all readings, or a list of one a reading."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "message_id": "m-3",
                    "statement": "PT15M",
                    "unit": "kWh",
                    "point": ["E1", "E2"],
                    "at": [1795399200000, 1795399200000],
                    "value": [12.25, "7.5"],
                }
            ]
        }
    )

    message_id: MessageId | None = None
    unit_code: UnitCode | None = None
    point: PointName | list[PointName | None]
    at: Instant | list[Instant | None]
    value: Amount | list[Amount]
    statement: Statement | list[Statement | None] | None = None
    unit: UnitText | list[UnitText | None] | None = None
    rank: Rank | list[Rank | None] | None = None
    revision: Revision | list[Revision | None] | None = None
    sent_at: Instant | list[Instant | None] | None = None
    ticks: Ticks | None = None


Message = OneReading | ManyReadings | ReadingColumns


class Receipt(_Sent):
    """On `energy/v1/{unit}/receipt`: Kafka has these messages; they need not be kept any longer.

    It says that they are kept, not that every reading in them could be used.
    """

    message_ids: list[str] = []
    """As sent; an id that is a number, as text."""
    payloads: list[str] = []
    """SHA-256 (hexadecimal) of payloads whose id is missing or could not be read."""


FIELDS = frozenset(Reading.model_fields)
TOP_FIELDS = FIELDS | {"message_id", "unit_code", "readings", "ticks"}

is_point_name = re.compile(POINT_NAME).fullmatch
are_point_names = re.compile(r"[A-Za-z0-9_.:-]{1,64}(\n[A-Za-z0-9_.:-]{1,64})*").fullmatch
"""Names joined by line feeds: many checked in one call."""
is_instant = re.compile(RFC_3339).fullmatch
is_number = re.compile(NUMBER_TEXT).fullmatch


def json_schema() -> dict[str, object]:
    """The JSON Schema of a message, with examples."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "weir/reading.v1",
        "title": "Readings of a key energy-using unit",
        **TypeAdapter(Message).json_schema(),
    }
