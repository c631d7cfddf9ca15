"""What of a record was refused, at the door or by the engine, told to its unit: one row a record and unit. Pure.

A function of the log: the record alone decides, however it fell into steps. Bounded: the first refused
readings are named, all are counted. A step that refuses nothing makes nothing.
"""

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import orjson

from processors.ports import FeedbackRow, Ints
from processors.validation import REASONS
from schemas.calendar import rfc3339
from schemas.feedback import DO, NOT_DIGESTED, ORIGINAL_SHOWN, SHOWN
from schemas.registry import STATEMENTS, is_unit
from schemas.scale import as_text
from schemas.section import WITHDRAWN, Column, Record, Section, Unreadable

Place = tuple[int, int]
"""(partition, offset)."""
Item = dict[str, object]


@dataclass(slots=True)
class _Gathered:
    """What was refused of one unit in one record."""

    received_at: int
    reasons: Counter[str] = field(default_factory=Counter)
    items: list[Item] = field(default_factory=list)


class Gathering:
    """What a step refuses, by record and unit."""

    def __init__(self, *, shown: int = SHOWN) -> None:
        """`shown`: how many readings of a record and unit are named."""
        self._shown = shown
        self.found: dict[tuple[Place, str], _Gathered] = {}

    def unreadable(self, place: Place, part: Unreadable) -> None:
        """A message that nobody could read."""
        told = self._of(place, part)
        told.reasons[part.reason] += 1
        if len(told.items) < self._shown:
            original = part.payload[:ORIGINAL_SHOWN].decode("utf-8", "backslashreplace")
            told.items.append(
                {
                    "reason": part.reason,
                    "message": part.sha256,
                    "original": original[:ORIGINAL_SHOWN],
                }
            )

    def at_the_door(self, place: Place, section: Section) -> None:
        """Single readings that the door refused."""
        if not section.refused:
            return
        told = self._of(place, section)
        told.reasons.update(item.reason for item in section.refused)
        told.items += [
            {
                "reason": item.reason,
                "message": item.message,
                "index": item.position,
                "original": item.original[:ORIGINAL_SHOWN],
            }
            for item in section.refused[: self._shown - len(told.items)]
        ]

    def whole(self, place: Place, section: Section, reason: str) -> None:
        """All readings of a section, for one reason."""
        if len(section):
            self._add(place, section, range(len(section)), [reason] * len(section))

    def rejected(
        self, sections: Sequence[tuple[int, int, Section]], code: Ints, *, but: Container[int]
    ) -> None:
        """Readings of all sections, one after the other, with the code of the reason (0: none).

        `but`: sections that nobody sent.
        """
        bad = np.flatnonzero(code)
        if not len(bad):
            return
        begun = np.cumsum([0, *(len(section) for _, _, section in sections)])
        of = np.searchsorted(begun, bad, side="right") - 1
        runs = [*np.flatnonzero(np.diff(of, prepend=-1)).tolist(), len(bad)]
        codes, places = code[bad].tolist(), (bad - begun[of]).tolist()
        for begin, end in pairwise(runs):
            number = int(of[begin])
            if number in but:
                continue
            partition, offset, section = sections[number]
            reasons = [REASONS[c] for c in codes[begin:end]]
            self._add((partition, offset), section, places[begin:end], reasons)

    def rows(self, generation: int) -> tuple[FeedbackRow, ...]:
        """A row for each record and unit, in the order of the log. A topic without a unit is nobody's."""
        numbers: Counter[Place] = Counter()
        rows: list[FeedbackRow] = []
        for (place, unit), told in self.found.items():
            if not is_unit(unit):
                continue
            payload = _payload(f"{generation}-{place[0]}-{place[1]}", unit, told)
            rows.append(FeedbackRow(*place, numbers[place], unit, payload))
            numbers[place] += 1
        return tuple(sorted(rows))

    def _of(self, place: Place, part: Section | Unreadable) -> _Gathered:
        told = self.found.setdefault((place, part.unit), _Gathered(part.received_at))
        told.received_at = max(told.received_at, part.received_at)
        return told

    def _add(
        self, place: Place, section: Section, bad: Sequence[int], reasons: Sequence[str]
    ) -> None:
        told = self._of(place, section)
        told.reasons.update(reasons)
        room = max(0, self._shown - len(told.items))
        told.items += [
            _item(section, index, reason)
            for index, reason in zip(bad[:room], reasons[:room], strict=True)
        ]


def of_dead_letter(place: Place, record: Record, generation: int) -> tuple[FeedbackRow, ...]:
    """What the units of a record hear that could not be digested."""
    gathering = Gathering()
    for part in record.body if isinstance(record.body, tuple) else ():
        if isinstance(part, Unreadable):
            gathering.unreadable(place, part)
        else:
            gathering.at_the_door(place, part)
            gathering.whole(place, part, NOT_DIGESTED)
    return gathering.rows(generation)


def _payload(id_: str, unit: str, told: _Gathered) -> bytes:
    return orjson.dumps(
        {
            "kind": "refused",
            "unit": unit,
            "id": id_,
            "received_at": rfc3339(told.received_at),
            "refused": told.reasons.total(),
            "reasons": told.reasons,
            "do": {reason: DO[reason] for reason in told.reasons if reason in DO},
            "items": told.items,
        }
    )


def _item(section: Section, index: int, reason: str) -> Item:
    value = None if _at(section.flags, index) & WITHDRAWN else as_text(int(section.value[index]))
    return {
        "reason": reason,
        "message": section.messages[_at(section.message, index)],
        "index": _index_in_message(section, index),
        "point": section.names[_at(section.point, index)],
        "at": rfc3339(int(section.at[index])),
        "statement": STATEMENTS[_at(section.statement, index)],
        "value": value,
        "unit": section.units_of_measure[_at(section.unit_of_measure, index)],
    }


def _at(column: Column, index: int) -> int:
    return column if isinstance(column, int) else int(column[index])


def _index_in_message(section: Section, index: int) -> int | None:
    """Where a reading stood in what was sent: behind those of its message that the door refused.

    A door gathers no id twice into a section; messages without one are not told apart.
    """
    code = _at(section.message, index)
    message = section.messages[code]
    if not message:
        return None
    before = section.message[:index] == code if not isinstance(section.message, int) else index
    place = before if isinstance(before, int) else int(before.sum())
    for refused in sorted(item.position for item in section.refused if item.message == message):
        place += refused <= place
    return place
