"""A unit worked out again from its stored readings: a day after the other through an engine of its own.

The readings of a business day come in the order of their instants, so that nothing is ever late, and the memory is that
of a day and of the unit's hours. What was rejected is judged again; what a meter's exchange gives to another point goes there.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter

import numpy as np

from processors import revision
from processors.engine import Engine
from processors.memory import MemoryStore, WorkOut, drive
from processors.ports import Ints, ReadingRow, Rebuild, Rebuilt, Step
from processors.restatement import section_of
from processors.validation import REASONS, TOO_FAST, TOO_OLD
from schemas.calendar import DAY_MS, HOUR_MS, OFFSET_MS
from schemas.factors import FactorPack
from schemas.registry import UNIT_OF_MEASURE, Unit
from schemas.section import DECLARED, Section

_STORED, _AGAIN = 0, 1
"""Offsets within the work: readings that count for their point already, and those that are judged again."""


class _Scratch(MemoryStore):
    """Hours and gaps, and the claims of points that totals bound: of other readings in order none is ever asked for."""

    def __init__(self, entry: Unit) -> None:
        super().__init__()
        self._bounded = [number for number, p in enumerate(entry.points) if p.bounded_by]

    def _write_readings(self, step: Step) -> None:
        for row in step.readings if self._bounded else ():
            some = np.flatnonzero(np.isin(row.point, self._bounded))
            if len(some):
                self._keep(some_of(row, some), rejected=False)


@dataclass
class Rebuilding:
    """The work, as far as it is; days must come in order."""

    asked: Rebuild
    pack: FactorPack
    admitted: list[ReadingRow] = field(default_factory=list)
    too_fast: list[ReadingRow] = field(default_factory=list)
    passed_over: int = 0

    def __post_init__(self) -> None:
        """An engine that knows this unit alone, as one in history: nothing is too old twice."""
        self._store = _Scratch(self.asked.entry)
        self._engine = Engine(self.pack, {}, 1)
        entry = self.asked.entry.model_copy(update={"history": True})
        self._engine.state.register([entry], {entry.code: 0}, self.asked.version)
        self._declared: dict[int, list[revision.Declared]] = defaultdict(list)
        for one in revision.declared(self.asked.before, self.asked.entry):
            self._declared[(one[1] + OFFSET_MS) // DAY_MS].append(one)

    def take(self, days: Iterable[tuple[int, Sequence[ReadingRow]]]) -> None:
        """Digest business days, in order: (day since 1970-01-01, its rows)."""
        for day, rows in days:
            for earlier in sorted(one for one in self._declared if one < day):
                self._digest(earlier, [])
            self._digest(day, rows)

    def result(self) -> Rebuilt:
        """What came of it, after the last day."""
        for day in sorted(self._declared):
            self._digest(day, [])
        state, code = self._engine.state, self.asked.entry.code
        points = state.point_of_number[0]
        heads = {
            (int(state.p_number[p]), statement): head
            for p, statement, *head in zip(
                state.s_point.tolist(),
                state.s_statement.tolist(),
                state.ahead.tolist(),
                state.last_at.tolist(),
                state.last_value.tolist(),
                strict=True,
            )
        }
        return Rebuilt(
            hours={key: row for key, row in self._store.hours[code].items() if any(row)},
            gaps=tuple(self._store.gaps[code].values()),
            ends=tuple(state.end[points].tolist()),
            heads={key: (ahead, at, value) for key, (ahead, at, value) in heads.items()},
            last_known_gap=int(state.last_known_gap[0]),
            admitted=self._placed(self.admitted),
            too_fast=self._placed(self.too_fast),
            passed_over=self.passed_over,
        )

    def _placed(self, rows: list[ReadingRow]) -> tuple[ReadingRow, ...]:
        partition, offset = self.asked.place
        return tuple(
            row._replace(partition=partition, offset=offset, part=part)
            for part, row in enumerate(rows)
        )

    def _digest(self, day: int, rows: Sequence[ReadingRow]) -> None:
        state = self._engine.state
        state.last_tick[0] = day * DAY_MS - OFFSET_MS
        state.settled[:] = np.maximum(state.settled, state.last_tick[0] // HOUR_MS)
        sections = [part for row in rows for part in self._sections(row)]
        for declared in self._declared.pop(day, []):
            one = section_of(self.asked.entry, declared, self.asked.version)
            sections.append((_AGAIN, one, state.point_of_number[0][[declared[0]]]))
        sections.sort(key=itemgetter(0))  # what is stored is no repeat of what comes anew
        step = drive(self._engine.take_stored(sections), self._store)
        self._store.write(step)
        self._engine.clear()
        self.admitted += [row for row in step.readings if row.offset != _STORED]
        self.passed_over += sum(len(row.at) for row in step.rejections if row.offset == _STORED)
        known = {key for row in rows if row.reason in {"", REASONS[TOO_FAST]} for key in _keys(row)}
        for row in step.rejections:
            if row.offset == _AGAIN and row.reason == REASONS[TOO_FAST]:
                self.too_fast += _without(row, known)

    def _sections(self, row: ReadingRow) -> Iterator[tuple[int, Section, Ints]]:
        """A row as sections: what counts where it did, and what must be judged again."""
        names = row.names or [self.asked.before.points[n].name for n in row.point.tolist()]
        section = _section(row, names, self._measures(row))
        own = self._numbered(row)
        points = own if row.flags & DECLARED else self._engine.points_of(0, section)
        stays = points == own
        parts = (
            ((_AGAIN, ~self._too_old(row)),) if row.reason else ((_STORED, stays), (_AGAIN, ~stays))
        )
        for offset, some in parts:
            mine = np.flatnonzero(some)
            if len(mine):
                yield offset, _some(section, mine), points[mine]

    def _numbered(self, row: ReadingRow) -> Ints:
        """The points under which a row stands; −1 where it stands under none."""
        numbers = row.point.astype(np.int64)
        return np.where(numbers < 0, -1, self._engine.state.point_of_number[0][numbers])

    def _measures(self, row: ReadingRow) -> list[str]:
        """Units of measure as they were sent: those of the points, where the row leaves none open."""
        if row.unit_of_measure or row.names:
            return [row.unit_of_measure] * len(row.at)
        points = self.asked.before.points
        return [UNIT_OF_MEASURE[points[number].quantity] for number in row.point.tolist()]

    def _too_old(self, row: ReadingRow) -> np.typing.NDArray[np.bool_]:
        horizon = row.received_at - self.asked.entry.horizon_days * DAY_MS
        old: np.typing.NDArray[np.bool_] = (row.at < horizon) & (
            self.asked.live or row.reason == REASONS[TOO_OLD]
        )
        return old


Key = tuple[int, int, int, int, int, int, int]


def _keys(row: ReadingRow) -> list[Key]:
    """What rejected claims say, by point: (point, statement, instant, rank, revision, sent_at, value)."""
    sent = np.broadcast_to(row.sent_at, len(row.at)).tolist()
    columns = (row.point.tolist(), row.at.tolist(), sent, row.value.tolist())
    return [
        (point, row.statement, at, row.rank, row.revision, sent_at, value)
        for point, at, sent_at, value in zip(*columns, strict=True)
    ]


def _without(row: ReadingRow, known: set[Key]) -> list[ReadingRow]:
    """What of a rejection is stored for its point already, left out."""
    new = []
    for i, key in enumerate(_keys(row)):
        if key not in known:
            new.append(i)
        known.add(key)
    if not new:
        return []
    return [some_of(row, np.array(new))]


def some_of(row: ReadingRow, some: Ints) -> ReadingRow:
    """Some of a row's readings, at least one."""
    at = row.at[some]
    return row._replace(
        point=row.point[some],
        at=at,
        value=row.value[some],
        sent_at=row.sent_at if isinstance(row.sent_at, int) else row.sent_at[some],
        first_at=int(at.min()),
        last_at=int(at.max()),
    )


def worked_out(
    asked: Rebuild, pack: FactorPack, days: Iterable[tuple[int, Sequence[ReadingRow]]]
) -> Rebuilt:
    """A unit of all its rows, by business day, in order."""
    work = Rebuilding(asked, pack)
    work.take(days)
    return work.result()


def by(pack: FactorPack) -> WorkOut:
    """How a store in memory works a unit out."""
    return lambda asked, rows: worked_out(asked, pack, by_day(rows))


def by_day(rows: Iterable[ReadingRow]) -> list[tuple[int, list[ReadingRow]]]:
    """Rows by business day, in order; of a day, those that count already first."""
    days: dict[int, list[ReadingRow]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row.day, row.reason != "")):
        days[row.day].append(row)
    return list(days.items())


def _section(row: ReadingRow, names: Sequence[str], measures: Sequence[str]) -> Section:
    """A row's readings as they came."""
    known, texts = tuple(dict.fromkeys(names)), tuple(dict.fromkeys(measures))
    return Section(
        unit=row.unit,
        received_at=row.received_at,
        names=known,
        point=np.array([known.index(name) for name in names], np.int64),
        at=row.at,
        value=row.value,
        statement=row.statement,
        units_of_measure=texts,
        unit_of_measure=np.array([texts.index(one) for one in measures], np.int64),
        rank=row.rank,
        revision=row.revision,
        sent_at=row.sent_at,
        flags=row.flags,
        messages=(row.message,),
    )


def _some(section: Section, some: Ints) -> Section:
    """Some of a section's readings."""
    point, measure = np.asarray(section.point), np.asarray(section.unit_of_measure)
    sent = section.sent_at
    return replace(
        section,
        point=point[some],
        at=section.at[some],
        value=section.value[some],
        unit_of_measure=measure[some],
        sent_at=sent if isinstance(sent, int) else sent[some],
    )
