"""What would become of a message: the engine itself takes it, over nothing, and what it says is the answer. Pure.

What only the readings stored so far can tell is not asked: whether a reading repeats or is superseded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, cast

import orjson

from processors.engine import Engine
from processors.feedback import Gathering
from processors.memory import MemoryStore, drive
from processors.ports import FeedbackRow
from schemas.calendar import rfc3339
from schemas.factors import FactorPack
from schemas.feedback import DO, SHOWN, TAKEN
from schemas.reading import MAX_READINGS
from schemas.registry import Configuration, Registry, Unit
from schemas.section import ApplyConfiguration, Body, HistoryEnds, Record, Section, Unreadable

_DOOR = "try"
_VERSION = 1


class _Item(TypedDict):
    index: int
    reason: str


class _Told(TypedDict):
    """Of the JSON of `feedback.Refused`."""

    refused: int
    reasons: dict[str, int]
    items: list[_Item]


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a unit; `entry` None: it is not registered. `points` and `days` as in `feedback.Tried`."""

    entry: Unit | None = None
    live: bool = True
    points: Sequence[Mapping[str, object]] = ()
    days: Sequence[Mapping[str, object]] = ()


def answer(part: Section | Unreadable, about: About, pack: FactorPack) -> bytes:
    """The JSON of `feedback.Tried`. A section has its message's id."""
    return orjson.dumps(_tried(part, about, pack) | {"points": about.points, "days": about.days})


def _tried(part: Section | Unreadable, about: About, pack: FactorPack) -> dict[str, object]:
    if isinstance(part, Unreadable):
        return _answer(part, part.sha256, [], _unread(part))
    told = _digested(part, about.entry, pack, live=about.live)
    fates = [TAKEN] * (len(part) + len(part.refused))
    for item in told["items"]:
        fates[item["index"]] = item["reason"]
    return _answer(part, part.messages[0], fates, told)


def _unread(part: Unreadable) -> _Told:
    gathering = Gathering()
    gathering.unreadable((0, 0), part)
    return _told(gathering.rows(1))


def _digested(section: Section, entry: Unit | None, pack: FactorPack, *, live: bool) -> _Told:
    """What the unit would hear of the section."""
    units = () if entry is None else (entry,)
    registry = Registry.model_construct(regions=(), industries=(), units=units)
    configuration = Configuration.model_construct(
        version=_VERSION, author=_DOOR, reason=_DOOR, registry=registry, factors=None
    )
    engine = Engine(pack, {_VERSION: configuration}, 1, named=MAX_READINGS)
    bodies: list[Body] = [ApplyConfiguration(_VERSION)]
    bodies += [HistoryEnds(section.unit)] if live else []
    bodies.append((section,))
    records = [(0, offset, Record(_DOOR, 0, offset, body)) for offset, body in enumerate(bodies)]
    return _told(drive(engine.step(records), MemoryStore()).feedback)


def _told(rows: Sequence[FeedbackRow]) -> _Told:
    nothing: _Told = {"refused": 0, "reasons": {}, "items": []}
    return cast("_Told", orjson.loads(rows[0].payload)) if rows else nothing


def _answer(
    part: Section | Unreadable, message: str, fates: list[str], told: _Told
) -> dict[str, object]:
    return {
        "kind": "tried",
        "unit": part.unit,
        "message": message,
        "received_at": rfc3339(part.received_at),
        "readings": len(fates),
        "fates": fates,
        "refused": told["refused"],
        "reasons": told["reasons"],
        "do": {reason: DO[reason] for reason in told["reasons"] if reason in DO},
        "items": told["items"][:SHOWN],
    }
