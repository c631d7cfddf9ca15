"""A declared stop or maintenance: dated, with evidence. It silences the alert about missing data, and changes no figure and no verdict.

A unit declares it on its own `readings` topic, as a message `{"stop": {...}}` beside those with readings; on `try` it is only checked.
"""

from collections.abc import Iterable
from typing import Annotated, Literal, Self

import orjson
from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from schemas.calendar import DAY_MS, instant

LONGEST_DAYS = 400
_LATEST = 7_258_118_400_000
"""The year 2200, UTC."""
MAX_OCTETS = 65_536
"""Bytes of one declaration."""
DOOR_HEADER = "door"
"""Header of a declaration in Kafka: which gateway it came by. In weir.tries.v1 nothing but a declaration has it."""
_MARK = b'"stop"'

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:/-]{1,64}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00]*$")]
PointName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]


class DeclaredStop(BaseModel):
    """What is declared. The same `id` again takes the place of what was declared under it before."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, populate_by_name=True
    )

    id: Name
    """The unit's own name for it: `2026-kiln-2`."""
    kind: Literal["stop", "maintenance"]
    begins: Annotated[AwareDatetime, Field(alias="from")]
    """RFC 3339 with its offset."""
    ends: Annotated[AwareDatetime, Field(alias="until")]
    """First instant at which it is over; at most 400 days after `from`."""
    points: Annotated[tuple[PointName, ...], Field(max_length=500)] = ()
    """Points of the unit that it is about; none: all of them."""
    evidence: Text
    """What proves it: the number of a notice, the SHA-256 of a document."""
    by: Text
    """Who declares it."""
    reason: Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")] = ""
    withdrawn: bool = False
    """True: what was declared under this id no longer holds."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 0 < self.end - self.start <= LONGEST_DAYS * DAY_MS:
            message = f"until {self.ends} is not after from {self.begins}, or more than {LONGEST_DAYS} days after it"
            raise ValueError(message)
        if self.start < 0 or self.end > _LATEST:
            message = f"from {self.begins} until {self.ends}: instants from 1970 to 2199 are taken"
            raise ValueError(message)
        if len(set(self.points)) != len(self.points):
            message = "a point is named twice"
            raise ValueError(message)
        return self

    @property
    def start(self) -> int:
        """First instant (ms)."""
        return instant(self.begins)

    @property
    def end(self) -> int:
        """First instant (ms) that it no longer covers."""
        return instant(self.ends)


class Declaration(BaseModel):
    """The message."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stop: DeclaredStop
    message_id: str | int = ""
    unit_code: str | None = None


def json_schema() -> dict[str, object]:
    """The JSON Schema of a declaration."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "weir/stop.v1",
        "title": "A declared stop or maintenance, on the unit's own topic for readings",
        **Declaration.model_json_schema(),
        "examples": [
            {
                "message_id": "stop-1",
                "stop": {
                    "id": "2026-kiln-2",
                    "kind": "maintenance",
                    "from": "2026-12-01T08:00:00+08:00",
                    "until": "2026-12-05T08:00:00+08:00",
                    "points": ["E1"],
                    "evidence": "notice 17 of 2026-11-20",
                    "by": "Li, shift leader",
                },
            }
        ],
    }


def is_declaration(payload: bytes) -> bool:
    """Whether a message declares a stop: a JSON object with the key `stop`. Cheap for one with readings."""
    if _MARK not in payload or len(payload) > MAX_OCTETS:
        return False
    try:
        told = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return False
    return isinstance(told, dict) and "stop" in told


def message_id_of(payload: bytes) -> str:
    """The id of a declaration's message as told; empty where it has none."""
    try:
        told = orjson.loads(payload)["message_id"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
    return str(told) if isinstance(told, (str, int)) else ""


def declared_in(payload: bytes, unit: str) -> DeclaredStop | list[str]:
    """What a unit's message declares; or all that is wrong with it, a line each."""
    try:
        told = Declaration.model_validate_json(payload)
    except ValidationError as error:
        return lines_of(error)
    if told.unit_code not in (None, unit):
        return ["unit_code: it names another unit than the topic's"]
    return told.stop


def lines_of(error: ValidationError) -> list[str]:
    """A line for each mistake: where, and what."""
    return [
        f"{'.'.join(map(str, one['loc'])) or 'message'}: {one['msg'].removeprefix('Value error, ')}"
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]


class Stop(BaseModel):
    """As alerts hear of it; instants in ms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    kind: Literal["stop", "maintenance"]
    start: int
    end: int
    points: tuple[str, ...] = ()
    """None: all of the unit's."""

    def is_about(self, point: str | None) -> bool:
        """Whether it is about a point; of None (the unit as a whole) only where it is about all."""
        return not self.points or point in self.points


def covered_until(stops: Iterable[Stop], point: str | None, at: int) -> int | None:
    """The first instant from `at` on that no stop covers for a point; None where none covers `at`."""
    until = at
    for stop in sorted((one for one in stops if one.is_about(point)), key=lambda one: one.start):
        if stop.start <= until < stop.end:
            until = stop.end
    return until if until > at else None
