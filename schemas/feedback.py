"""What an enterprise hears of what it sent: MQTT `energy/v1/{unit}/feedback`, Kafka `weir.feedback.v1`.

Keyed by unit, at least once: a message with an `id` that was heard before says the same again.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from schemas.reading import Refusal
from schemas.registry import UnitCode

SHOWN = 20
"""Refused readings that one message names; all are counted."""
POINTS_SHOWN = 200
"""Points that the answer to a try names."""
ORIGINAL_SHOWN = 200
"""Characters of what the door could not use."""
UNKNOWN_UNIT: Final = "unknown unit"
NOT_DIGESTED: Final = "not digested"
TAKEN: Final = "taken"
"""Fate of a reading that would be accepted, or counted as repeated or superseded."""

DO: Final[dict[str, str]] = {
    # By the registry.
    "unknown point": "use the point's name as registered, or ask the regulator to register the point",
    "unknown statement": "send the point's registered statement (register, PT15M, PT30M, PT1H, P1D, P1M)",
    "wrong unit of measure": "send the value in the point's registered unit of measure",
    "outside validity": "the point is not registered for this time: check the instant, or the registered validity",
    "future": "set the clock of the meter or gateway; the end of the reading, or sent_at, is later than now",
    "too old": "older than what is taken on line: send it as a file to the regulator",
    "off grid": "a period begins on its grid: 10:00, 10:15 for PT15M, midnight (+08:00) for P1D",
    "negative": "an amount or register is never negative: check the sign and the direction of the meter",
    "beyond dial": "the register is larger than the registered digits can show: check digits or multiplier",
    "faster than rated": "more than the registered rated maximum: check unit, multiplier and the registered maximum",
    UNKNOWN_UNIT: "the unit is not registered: ask the regulator to load its registry entry",
    NOT_DIGESTED: "nothing: the message is kept and the fault is ours; it is taken again once that is mended",
    # At the door.
    Refusal.NOT_AN_OBJECT: "each entry of `readings` is a JSON object",
    Refusal.UNKNOWN_FIELD: "use the fields of `python -m ingest schema` alone",
    Refusal.POINT_MISSING: "tell `point` in the reading or at the top of the message",
    Refusal.BAD_POINT: "a point's name has 1 to 64 letters, digits and _ . : -",
    Refusal.TIME_MISSING: "tell `at`: the instant of a register, the start of a period",
    Refusal.BAD_TIME: "write RFC 3339 (2026-11-23T10:00:00+08:00) or milliseconds since 1970 UTC",
    Refusal.NO_OFFSET: "add the offset of the time: +08:00 or Z",
    Refusal.TIME_OUT_OF_RANGE: "instants from 1970 to 2199 are taken; seconds instead of milliseconds?",
    Refusal.VALUE_MISSING: "tell `value`; null withdraws",
    Refusal.NOT_A_NUMBER: "write a decimal number; what was not measured is left out",
    Refusal.NUMBER_OUT_OF_RANGE: "at most about 9.2e12 with six decimals: check the unit of measure",
    Refusal.STATEMENT_MISSING: "tell `statement`: register, PT15M, PT30M, PT1H, P1D or P1M",
    Refusal.UNKNOWN_STATEMENT: "tell `statement`: register, PT15M, PT30M, PT1H, P1D or P1M",
    Refusal.UNIT_MISSING: "tell `unit`, the unit of measure: kWh, t, m3",
    Refusal.BAD_UNIT: "a unit of measure has 1 to 16 characters without blanks",
    Refusal.UNKNOWN_RANK: "tell `rank`: measured, corrected, supplier, estimated or manual; or leave it out",
    Refusal.BAD_REVISION: "`revision` is an integer from 0",
    Refusal.BAD_SENT_AT: "write `sent_at` as RFC 3339 or milliseconds since 1970 UTC, or leave it out",
    Refusal.WRONG_UNIT: "`unit_code` is the unit of the topic: a unit speaks for itself alone",
    Refusal.BAD_MESSAGE_ID: "`message_id` is a number or at most 128 printable characters",
    Refusal.BAD_TICKS: "leave `ticks` out: only a unit in history has them",
    Refusal.UNKNOWN_TOP_FIELD: "use the fields of `python -m ingest schema` alone",
    Refusal.VALUE_TWICE: "put `value` into the readings, or leave `readings` out",
    Refusal.EMPTY: "the message has no bytes",
    Refusal.TOO_LARGE: "send at most 1 MiB and 10,000 readings in a message",
    Refusal.NOT_UTF8: "write JSON in UTF-8",
    Refusal.NOT_JSON: "write JSON; `python -m ingest schema` prints what a message looks like",
    Refusal.NOT_A_MESSAGE: "a message is one JSON object",
    Refusal.READINGS_NOT_A_LIST: "`readings` is a list of objects",
    Refusal.NO_READINGS: "the message names no reading",
    Refusal.TOO_MANY: "send at most 10,000 readings in a message",
    Refusal.COLUMNS_DIFFER: "columns of one message have one length",
    Refusal.NEWER_SENML: "send SenML of version 10 (RFC 8428), or leave `bver` out",
    Refusal.NOT_SPARKPLUG: "on spBv1.0/ topics send Sparkplug B payloads (protobuf)",
    Refusal.NO_UNIT_IN_TOPIC: "publish on energy/v1/{unit}/readings",
}
"""What to do, by reason: a closed set."""


DO_OF_STOPS: Final[dict[str, str]] = {
    UNKNOWN_UNIT: DO[UNKNOWN_UNIT],
    "unknown point": DO["unknown point"],
    "nothing to withdraw": "nothing is declared under this id: check `id`",
    "too many": "at most 100 that are not over, and 200 declarations a day: withdraw what does not take place",
}
"""What to do about a declared stop that was refused, by reason."""
MEND_STOP: Final = "mend what the reasons say; `python -m ingest schema --stop` prints what a declaration looks like"
"""What to do about one that cannot be read."""


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Item(_Told):
    """One reading that was refused, or one message that nobody could read."""

    reason: str
    message: str = ""
    """Its message's id as sent; of a message without one that could not be read, its SHA-256."""
    index: int | None = None
    """Its place among the message's readings, from 0; unknown where the message had no id."""
    point: str = ""
    at: str = ""
    """RFC 3339."""
    statement: str = ""
    value: str | None = None
    unit: str = ""
    """Unit of measure."""
    original: str = ""
    """What the door could not use, cut to 200 characters."""


class Refused(_Told):
    """What of one record was refused. Everything is counted; the first are named."""

    kind: Literal["refused"] = "refused"
    unit: UnitCode
    id: str
    """`generation-partition-offset` of the record in the log."""
    received_at: str
    refused: Annotated[int, Field(ge=1)]
    """Readings; a message that could not be read counts as one."""
    reasons: dict[str, int]
    do: dict[str, str]
    """What to do, by reason."""
    items: Annotated[list[Item], Field(max_length=SHOWN)]


class Standing(_Told):
    """A point as it is registered, and how far it is covered."""

    point: str
    statement: str
    unit: str
    """Unit of measure."""
    valid_from: str
    covered_until: str
    """End of the last reading that counts; valid_from where there is none."""


class Counts(_Told):
    """What was received on a business day so far; see `Account`."""

    day: str
    accepted: int
    repeated: int
    superseded: int
    rejected: int
    unreadable: int


class Tried(_Told):
    """What would become of a message sent on `try`: the same checks, and nothing is stored."""

    kind: Literal["tried"] = "tried"
    unit: UnitCode
    message: str
    """Its id as sent; its SHA-256 where it has none or could not be read."""
    received_at: str
    readings: int
    """0: it could not be read."""
    fates: list[str]
    """Of each reading in the order of what was sent: `taken`, or the reason it would be refused for."""
    refused: int
    reasons: dict[str, int]
    do: dict[str, str]
    items: Annotated[list[Item], Field(max_length=SHOWN)]
    points: Annotated[list[Standing], Field(max_length=POINTS_SHOWN)]
    """The unit's points that are valid now, by name; empty where the unit is not registered."""
    days: list[Counts]
    """The last two days on which something was received, newest first."""


class Account(_Told):
    """What was received from a unit in a business day (+08:00), by what became of it on arrival; signed.

    received = accepted + repeated + superseded + rejected + unreadable.
    """

    kind: Literal["account"] = "account"
    unit: UnitCode
    day: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    revision: Annotated[int, Field(ge=1)]
    """Greater replaces: what was received on a day may become known after it was told."""
    received: int
    accepted: int
    repeated: int
    superseded: int
    rejected: int
    unreadable: int
    signed_by: Literal["Ed25519"] = "Ed25519"
    key: str
    """First 16 hexadecimal digits of the SHA-256 of the public key's 32 bytes."""
    signature: str
    """Base64, over `canonical` of all the rest."""


class Declared(_Told):
    """What became of a declared stop or maintenance."""

    kind: Literal["stop"] = "stop"
    unit: UnitCode
    id: str
    """Where it stood in `weir.stops.v1`, or in `weir.tries.v1`."""
    message: str
    """Its message's id as sent; empty where it has none."""
    stop: str
    """The stop's own id; empty where it could not be read."""
    taken: bool
    """True: it holds from now on; of one that was only tried: it would."""
    tried: bool = False
    """It was sent on `try`: checked alone, and nothing is stored."""
    reasons: list[str]
    """Why it was refused, all that is wrong with it."""
    do: str
    """What to do."""


Feedback = Annotated[Refused | Tried | Account | Declared, Field(discriminator="kind")]
"""What comes on the topic."""


def json_schema() -> dict[str, object]:
    """The JSON Schema of feedback."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "weir/feedback.v1",
        "title": "What a unit hears of what it sent",
        **TypeAdapter(Feedback).json_schema(),
    }


def canonical(told: Mapping[str, object]) -> bytes:
    """The bytes that are signed: all but the signature, names in order, no blanks."""
    return json.dumps(
        {name: entry for name, entry in told.items() if name != "signature"},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    ).encode()
