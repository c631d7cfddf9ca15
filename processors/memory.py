"""The tables in memory, for the pipe and the laws: the same answers as the database's, with no server."""

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Protocol

from processors.engine import Engine
from processors.ports import (
    ACCOUNT_CLASSES,
    Claim,
    FeedbackRow,
    Fetched,
    Gap,
    GapSpan,
    Hour,
    HourSpan,
    LineRow,
    Needs,
    OutboxRow,
    ReadingRow,
    Rebuild,
    Rebuilt,
    RefusedRow,
    Span,
    Step,
    UnitState,
    WindowRow,
)
from schemas.section import DECLARED, WITHDRAWN

Identity = tuple[str, int, int]
TOO_FAST = "faster than rated"
WorkOut = Callable[[Rebuild, Sequence[ReadingRow]], Rebuilt]


def _no_way(asked: Rebuild, rows: Sequence[ReadingRow]) -> Rebuilt:
    message = f"unit {asked.entry.code}: nobody works out {len(rows)} rows here"
    raise LookupError(message)


class MemoryStore:
    """What `Engine` asks and hands over, kept in dictionaries."""

    def __init__(self, work_out: WorkOut = _no_way) -> None:
        """Begin empty; `work_out` makes a unit of all its rows."""
        self.work_out = work_out
        self.claims: dict[Identity, dict[int, list[Claim]]] = defaultdict(lambda: defaultdict(list))
        self.hours: dict[str, dict[tuple[int, str], tuple[int, ...]]] = defaultdict(dict)
        self.gaps: dict[str, dict[tuple[int, int], Gap]] = defaultdict(dict)
        self.windows: dict[tuple[str, str, int], WindowRow] = {}
        self.lines: dict[tuple[str, str, str, int], LineRow] = {}
        self.states: dict[str, UnitState] = {}
        self.account: dict[tuple[str, str], tuple[int, ...]] = {}
        self.outbox: list[OutboxRow] = []
        self.feedback: list[FeedbackRow] = []
        self.readings: list[ReadingRow] = []
        self.rejections: list[ReadingRow] = []
        self.refused: list[RefusedRow] = []
        self.ticks: list[tuple[int, int, int, int, str]] = []
        self.positions: dict[int, int] = {}

    def fetch(self, needs: Needs) -> Fetched:
        """Rows for the spans asked for."""
        return Fetched(
            claims=tuple(claim for span in needs.claims for claim in self._claims(span)),
            hours=tuple(row for span in needs.hours for row in self._hours(span)),
            gaps=tuple(gap for span in needs.gaps for gap in self._gaps(span)),
            rebuilt=None if needs.rebuild is None else self._rebuilt(needs.rebuild),
        )

    def _rebuilt(self, asked: Rebuild) -> Rebuilt:
        rows = [row for row in (*self.readings, *self.rejections) if row.unit == asked.entry.code]
        return self.work_out(asked, rows)

    def _claims(self, span: Span) -> Iterator[Claim]:
        by_instant = self.claims[span[:3]]
        for at in sorted(by_instant):
            if span.from_at <= at < span.to_at:
                yield from by_instant[at]

    def _hours(self, span: HourSpan) -> Iterator[Hour]:
        for (hour, quantity), numbers in sorted(self.hours[span.unit].items()):
            if span.from_hour <= hour < span.to_hour:
                yield Hour(span.unit, quantity, hour, numbers)

    def _gaps(self, span: GapSpan) -> Iterator[Gap]:
        for gap in self.gaps[span.unit].values():
            if (
                span.point in {-1, gap.point}
                and gap.start <= span.to_at
                and gap.end >= span.from_at
            ):
                yield gap

    def write(self, step: Step) -> None:
        """What one transaction writes."""
        for partition, (first, after) in step.positions.items():
            if self.positions.get(partition, first) != first:
                message = f"partition {partition}: step begins at {first}, expected {self.positions[partition]}"
                raise ValueError(message)
            self.positions[partition] = after
        self._write_readings(step)
        for (unit, quantity, hour), numbers in zip(
            step.hours, step.hour_numbers.tolist(), strict=True
        ):
            self.hours[unit][hour, quantity] = tuple(numbers)
        for gap in step.gaps_ended:
            self.gaps[gap.unit].pop((gap.point, gap.start), None)
        for gap in step.gaps:
            self.gaps[gap.unit][gap.point, gap.start] = gap
        self.windows |= {(row.unit, row.kind, row.start): row for row in step.windows}
        self.lines |= {(row.unit, row.line, row.kind, row.start): row for row in step.lines}
        self.states |= {state.unit: state for state in step.states}
        for key, counts in step.account.items():
            old = self.account.get(key, (0,) * len(ACCOUNT_CLASSES))
            self.account[key] = tuple(a + b for a, b in zip(old, counts, strict=True))
        self.outbox.extend(step.outbox)
        self.feedback.extend(step.feedback)
        self.ticks.extend(step.ticks)

    def _write_readings(self, step: Step) -> None:
        self.readings.extend(step.readings)
        self.rejections.extend(step.rejections)
        self.refused.extend(step.refused)
        for row in step.readings:
            self._keep(row, rejected=False)
        for row in step.rejections:
            if row.reason == TOO_FAST:
                self._keep(row, rejected=True)

    def _keep(self, row: ReadingRow, *, rejected: bool) -> None:
        sent = [row.sent_at] * len(row.at) if isinstance(row.sent_at, int) else row.sent_at.tolist()
        withdrawn = bool(row.flags & WITHDRAWN)
        for point, at, value, sent_at in zip(
            row.point.tolist(), row.at.tolist(), row.value.tolist(), sent, strict=True
        ):
            claim = Claim(
                row.unit,
                point,
                row.statement,
                at,
                row.rank,
                row.revision,
                sent_at,
                value,
                withdrawn,
                rejected,
                bool(row.flags & DECLARED),
            )
            self.claims[claim[:3]][at].append(claim)


class Tables(Protocol):
    """What answers the engine."""

    def fetch(self, needs: Needs) -> Fetched:
        """Rows for the spans asked for."""


def drive(stepping: Generator[Needs, Fetched, Step], store: Tables) -> Step:
    """Run a step of the engine to its end, answering from the store."""
    try:
        needs = next(stepping)
        while True:
            needs = stepping.send(store.fetch(needs))
    except StopIteration as end:
        step: Step = end.value
        return step


def restore(engine: Engine, store: MemoryStore) -> None:
    """Give a new engine the states that rest in the store, as a restart does."""
    engine.restore(store.states.values())
    for partition, _, _, at, unit in store.ticks:
        if not unit:
            engine.partition_ticks[partition] = at
