"""What a message of a unit is in the log, whatever door it came by. Pure."""

from ingest.coalesce import octets_of
from ingest.payload import Form, decode, unreadable
from schemas.reading import Refusal
from schemas.section import Record, Section, Unreadable
from schemas.wire import encode

Part = Section | Unreadable

_LARGEST = 3 * 1_048_576
"""Bytes of one message's part in a record; the topic takes records of 4 MiB."""
_PERHAPS_TOO_LARGE = _LARGEST // 6
"""By the estimate, which counts two bytes a character where JSON's escapes take up to twelve."""


def part_of_unit(unit: str, payload: bytes, *, received_at: int, form: Form = "json") -> Part:
    """Its readings, or its bytes where they cannot be read.

    One that would not fit into a record is kept as too large: one sender must not stop all.
    """
    part = decode(payload, unit=unit, received_at=received_at, form=form)
    if octets_of(part) > _PERHAPS_TOO_LARGE and _octets(part) > _LARGEST:
        return unreadable(payload, unit=unit, received_at=received_at, reason=Refusal.TOO_LARGE)
    return part


def _octets(part: Part) -> int:
    return len(encode(Record("", 0, 0, (part,))))
