"""Many small messages become few records: sections of one partition, gathered in a moment.

Pure: `now` is an argument. A record holds at most `limits.readings` readings (one section may hold
more), and none waits longer than `limits.wait_ms`. Sections of one unit that follow each other in a
moment become one, in columns; the order within a unit is kept, and units do not depend on each
other. Sections with ticks stay as they are.

(door, incarnation, sequence) number the records of each partition from 0, so that a hole is seen.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Generic, TypeVar

import numpy as np

from ingest.columns import Ints, collapsed, spread
from schemas.calendar import DAY_MS, OFFSET_MS
from schemas.section import Body, Column, HistoryEnds, Record, Section, Unreadable, partition_of

Token = TypeVar("Token")

_SCALARS = ("statement", "rank", "revision", "sent_at", "flags")
_MAX_UNITS = 255
_MAX_TEXTS = 65_535
_READING_BYTES = 36


@dataclass(frozen=True, slots=True)
class Limits:
    """When what was gathered becomes a record."""

    readings: int = 4_000
    """Readings in a record; 4,000 are about 140 kB."""
    octets: int = 524_288
    """Bytes of a record, estimated; one section may hold more (its message was at most 1 MiB)."""
    wait_ms: int = 100
    """How long the first of a record waits for others."""


@dataclass(frozen=True, slots=True)
class Ready(Generic[Token]):
    """A record to be written, and what the shell handed in with each of its parts."""

    partition: int
    record: Record
    tokens: tuple[Token, ...]


@dataclass(slots=True)
class _Gathered(Generic[Token]):
    """What waits for one partition: runs of sections of a unit that can become one."""

    since: int
    runs: list[list[Section | Unreadable]] = field(default_factory=list)
    open: dict[str, int] = field(default_factory=dict)
    """Unit → its last run, while that can still grow."""
    ids: set[tuple[str, str]] = field(default_factory=set)
    """(unit, message id) of what is gathered: one that comes again begins another run, so that a
    reading's place among those of its message is its place in what was sent."""
    tokens: list[Token] = field(default_factory=list)
    readings: int = 0
    octets: int = 0


class Numbering:
    """Numbers the records of one door, partition by partition."""

    def __init__(self, *, door: str, incarnation: int) -> None:
        self.door, self.incarnation = door, incarnation
        self._next: dict[int, int] = {}

    def record(self, partition: int, body: Body) -> Record:
        """The partition's next record."""
        sequence = self._next.get(partition, 0)
        self._next[partition] = sequence + 1
        return Record(self.door, self.incarnation, sequence, body)


def ends_of_history(
    units: Iterable[str], partitions: int, *, incarnation: int
) -> Iterator[tuple[int, Record]]:
    """(partition, record) of the control records that end units' histories."""
    numbering = Numbering(door="history-ends", incarnation=incarnation)
    for unit in units:
        partition = partition_of(unit, partitions)
        yield partition, numbering.record(partition, HistoryEnds(unit))


class Coalescer(Generic[Token]):
    """Gathers parts, and hands over each partition's record when it is full or due."""

    def __init__(self, *, numbering: Numbering, partitions: int, limits: Limits = Limits()) -> None:
        self.numbering, self.partitions, self.limits = numbering, partitions, limits
        self._waiting: dict[int, _Gathered[Token]] = {}

    def add(self, part: Section | Unreadable, *, now: int, token: Token) -> list[Ready[Token]]:
        """Gather one part; the records that became full by it."""
        full: list[Ready[Token]] = []
        partition = partition_of(part.unit, self.partitions)
        size, octets = readings_in(part), octets_of(part)
        waiting = self._waiting.get(partition)
        if waiting and (
            waiting.readings + size > self.limits.readings
            or waiting.octets + octets > self.limits.octets
        ):
            full.append(self._take(partition))
        waiting = self._waiting.setdefault(partition, _Gathered(now))
        _append(waiting, part)
        waiting.tokens.append(token)
        waiting.readings += size
        waiting.octets += octets
        if waiting.readings >= self.limits.readings:
            full.append(self._take(partition))
        return full

    def due(self, *, now: int) -> Iterator[Ready[Token]]:
        """Records whose first part has waited long enough."""
        for partition in sorted(self._waiting):
            if now - self._waiting[partition].since >= self.limits.wait_ms:
                yield self._take(partition)

    def flush(self) -> Iterator[Ready[Token]]:
        """All that waits, by partition."""
        for partition in sorted(self._waiting):
            yield self._take(partition)

    def next_due(self) -> int | None:
        """When `due` will have something, if nothing is added."""
        return min((w.since + self.limits.wait_ms for w in self._waiting.values()), default=None)

    def _take(self, partition: int) -> Ready[Token]:
        waiting = self._waiting.pop(partition)
        body = tuple(chain.from_iterable(merged(run) for run in waiting.runs))
        return Ready(partition, self.numbering.record(partition, body), tuple(waiting.tokens))


def readings_in(part: Section | Unreadable) -> int:
    """Readings that a part carries, refused ones too; an unreadable payload or a tick is one."""
    return max(1, len(part) + len(part.refused)) if isinstance(part, Section) else 1


def octets_of(part: Section | Unreadable) -> int:
    """About how many bytes a part will take."""
    if isinstance(part, Unreadable):
        return len(part.payload) + 200
    return (
        _READING_BYTES * len(part) + sum(2 * len(item.original) + 60 for item in part.refused) + 100
    )


def _append(waiting: "_Gathered[Token]", part: Section | Unreadable) -> None:
    run = waiting.open.get(part.unit)
    again = _comes_again(waiting.ids, part)
    if run is not None and not again and _continues(waiting.runs[run][-1], part):
        waiting.runs[run].append(part)
        return
    waiting.open[part.unit] = len(waiting.runs)
    waiting.runs.append([part])


def _comes_again(ids: set[tuple[str, str]], part: Section | Unreadable) -> bool:
    """Whether a message's id is among them already; from now on it is."""
    told = part.messages if isinstance(part, Section) else ()
    keys = {(part.unit, message) for message in told if message}
    again = not keys.isdisjoint(ids)
    ids |= keys
    return again


def _continues(last: Section | Unreadable, part: Section | Unreadable) -> bool:
    """Whether two parts of a unit can become one section: no tick, and one day of account."""
    if not (isinstance(last, Section) and isinstance(part, Section)) or last.ticks or part.ticks:
        return False
    return (last.received_at + OFFSET_MS) // DAY_MS == (part.received_at + OFFSET_MS) // DAY_MS


def merged(run: list[Section | Unreadable]) -> Iterator[Section | Unreadable]:
    """The parts of a run as few sections; received when the last of them was."""
    gathered: list[Section] = []
    units: set[str] = set()
    names = messages = 0
    for part in run:
        if not isinstance(part, Section):
            yield part
            continue
        units.update(part.units_of_measure)
        names, messages = names + len(part.names), messages + len(part.messages)
        if gathered and (len(units) > _MAX_UNITS or max(names, messages) > _MAX_TEXTS):
            yield _one(gathered)
            gathered, units = [], set(part.units_of_measure)
            names, messages = len(part.names), len(part.messages)
        gathered.append(part)
    if gathered:
        yield _one(gathered)


def _one(sections: list[Section]) -> Section:
    if len(sections) == 1:
        return sections[0]
    refused = tuple(item for section in sections for item in section.refused)
    received_at = max(section.received_at for section in sections)
    full = [section for section in sections if len(section)]
    if not full:
        return replace(sections[0], received_at=received_at, refused=refused)
    names, point = _joined([(s.names, s.point, len(s)) for s in full])
    units, unit_of_measure = _joined(
        [(s.units_of_measure, s.unit_of_measure, len(s)) for s in full]
    )
    messages, message = _joined([(s.messages, s.message, len(s)) for s in full])
    return Section(
        unit=full[0].unit,
        received_at=received_at,
        names=names,
        point=point,
        at=np.concatenate([s.at for s in full]),
        value=np.concatenate([s.value for s in full]),
        units_of_measure=units,
        unit_of_measure=unit_of_measure,
        messages=messages,
        message=message,
        refused=refused,
        **{name: _column([(getattr(s, name), len(s)) for s in full]) for name in _SCALARS},  # type: ignore[arg-type]
    )


def _column(columns: list[tuple[Column, int]]) -> Column:
    """Columns one after the other; one int where all are the same."""
    first = columns[0][0]
    if isinstance(first, int) and all(isinstance(c, int) and c == first for c, _ in columns):
        return first
    return collapsed(np.concatenate([spread(column, size) for column, size in columns]))


def _joined(columns: list[tuple[tuple[str, ...], Column, int]]) -> tuple[tuple[str, ...], Column]:
    """Columns of indexes into several lists of texts, as one column into one list."""
    texts: dict[str, int] = {}
    pieces: list[Ints] = []
    for own, column, size in columns:
        known = np.array([texts.setdefault(text, len(texts)) for text in own], dtype=np.int64)
        pieces.append(known[spread(column, size)])
    return tuple(texts), collapsed(np.concatenate(pieces))
