"""The same figures without the worker: an engine over the raw input in memory, in other steps. It also prefills databases.

A process a half of the partitions, so that both cores work; nothing is measured meanwhile.
"""

import json
import multiprocessing
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from multiprocessing.connection import Connection

import numpy as np
import psycopg
from workload import Workload

from processors.engine import Engine, Placed
from processors.lookups import RecordRow, claims_in
from processors.memory import TOO_FAST, MemoryStore, drive
from processors.ports import HOUR_FIELDS, Fetched, Needs, ReadingRow, Span, Step
from processors.store import Store
from schemas.factors import default_pack

STEP = 1_900
"""Records a step: not the worker's."""
MEASURED = 2
"""Generation of the log that the worker digests; what is prefilled is of generation 1."""


class RowStore(MemoryStore):
    """The tables in memory; readings stay rows of arrays, as in the database, since claims one by one would fill the memory."""

    def __init__(self, units: Iterable[str]) -> None:
        """`units`: all that can occur."""
        super().__init__()
        self._codes = dict(enumerate(units))
        self._ids = {code: number for number, code in self._codes.items()}
        self._rows: dict[int, list[tuple[int, RecordRow]]] = defaultdict(list)

    def fetch(self, needs: Needs) -> Fetched:
        """Rows for the spans asked for."""
        found = super().fetch(Needs(hours=needs.hours, gaps=needs.gaps))
        rows = [
            row
            for unit, spans in _by_unit(needs.claims).items()
            for row in self._overlapping(unit, spans)
        ]
        return Fetched(
            claims_in(rows, needs.claims, self._ids, self._codes), found.hours, found.gaps
        )

    def _overlapping(self, unit: str, spans: list[Span]) -> Iterator[RecordRow]:
        begin, end = min(span.from_at for span in spans), max(span.to_at for span in spans)
        for last_at, row in self._rows[self._ids[unit]]:
            if row.first_at < end and last_at >= begin:
                yield row

    def _write_readings(self, step: Step) -> None:
        for row in step.readings:
            self._keep(row, rejected=False)
        for row in step.rejections:
            if row.reason == TOO_FAST:
                self._keep(row, rejected=True)

    def _keep(self, row: ReadingRow, *, rejected: bool) -> None:
        unit = self._ids[row.unit]
        sent = np.array([row.sent_at]) if isinstance(row.sent_at, int) else row.sent_at
        kept = RecordRow(
            unit,
            row.day,
            row.first_at,
            1,
            row.partition,
            row.offset,
            row.part,
            row.statement,
            row.rank,
            row.revision,
            row.flags,
            rejected,
            row.point,
            row.at - row.first_at,
            row.value,
            sent,
        )
        self._rows[unit].append((row.last_at, kept))


def _by_unit(spans: Iterable[Span]) -> dict[str, list[Span]]:
    found: dict[str, list[Span]] = defaultdict(list)
    for span in spans:
        found[span.unit].append(span)
    return found


@dataclass(frozen=True)
class Tables:
    """What is compared: figures by their keys, and a hash of everything told."""

    hours: dict[tuple[str, int, str], tuple[int, ...]]
    gaps: frozenset[tuple[object, ...]]
    windows: dict[tuple[str, str, int], object]
    account: dict[tuple[str, str], tuple[int, ...]]
    told: dict[int, str]
    """By partition."""

    def differences(self, other: "Tables") -> list[str]:
        """Names of what is not equal."""
        return [
            name
            for name in ("hours", "gaps", "windows", "account", "told")
            if getattr(self, name) != getattr(other, name)
        ]


class Reference:
    """The partitions `mine`, digested in memory from the raw input."""

    def __init__(self, workload: Workload, mine: frozenset[int]) -> None:
        """Begin empty."""
        configuration = workload.configuration()
        self._workload, self._mine = workload, mine
        self._store = RowStore(unit.code for unit in configuration.registry.units)
        self._engine = Engine(default_pack(), {1: configuration}, workload.partitions)
        self._told = {partition: sha256() for partition in sorted(mine)}
        self._offsets = dict.fromkeys(mine, 0)

    def prefill(self, url: str, quarters: int) -> int:
        """Digest the first quarter hours and write them into a database as generation 1; returns how many readings."""
        count = 0
        with closing(Store(url)) as store:
            store.take(dict.fromkeys(sorted(self._mine), 0))
            for step in self._steps([*self._workload.beginning()], self._workload.begins, quarters):
                store.write(replace(step, outbox=()))
                count += sum(len(row.at) for row in step.readings)
        self._store.positions.clear()
        self._offsets = dict.fromkeys(self._mine, 0)
        return count

    def digest(self, first: int, quarters: int, *, begin: bool) -> None:
        """Digest what the worker digested."""
        self._engine.state.generation = MEASURED
        for step in self._steps([*self._workload.beginning()] if begin else [], first, quarters):
            for row in step.outbox:
                self._told[row.partition].update(
                    _said(row.partition, row.offset, row.position, row.number, row.key, row.payload)
                )

    def differences(self, url: str) -> list[str]:
        """Names of the tables in which a database differs."""
        return self._tables().differences(stored(url, self._mine))

    def _steps(
        self, control: list[tuple[int, object]], first: int, quarters: int
    ) -> Iterator[Step]:
        records = [*control, *self._workload.records(first, quarters)]
        for partition in sorted(self._mine):
            yield from self._partition(
                partition, [record for of, record in records if of == partition]
            )

    def _partition(self, partition: int, records: list[object]) -> Iterator[Step]:
        begin = self._offsets[partition]
        self._offsets[partition] += len(records)
        placed: list[Placed] = [(partition, begin + i, record) for i, record in enumerate(records)]  # type: ignore[misc]
        for i in range(0, len(placed), STEP):
            step = drive(self._engine.step(placed[i : i + STEP]), self._store)
            self._engine.clear()
            self._store.write(step)
            self._store.outbox.clear()
            self._store.ticks.clear()
            yield step

    def _tables(self) -> Tables:
        store = self._store
        hours = {
            (unit, hour, quantity): numbers
            for unit, rows in store.hours.items()
            for (hour, quantity), numbers in rows.items()
            if any(numbers)
        }
        return Tables(
            hours=hours,
            gaps=frozenset(tuple(gap) for rows in store.gaps.values() for gap in rows.values()),
            windows={key: json.loads(row.judged) for key, row in store.windows.items()},
            account=store.account,
            told={partition: told.hexdigest() for partition, told in self._told.items()},
        )


def _said(*parts: object) -> bytes:
    return repr(parts).encode()


_OF = (
    " JOIN unit u ON u.id = t.unit JOIN unit_state s ON s.unit = t.unit WHERE s.partition = ANY(%s)"
)
_HOURS = f"SELECT u.code, t.hour, t.quantity::text, {', '.join(f't.{name}' for name in HOUR_FIELDS)} FROM hour t{_OF}"
_GAPS = f"SELECT u.code, t.point, t.starts, t.ends, t.kind::text, t.low, t.high, t.from_register, t.to_register, coalesce(t.parts, '{{}}'), t.total FROM gap t{_OF}"
_WINDOWS = f"SELECT u.code, t.kind, t.starts, t.judged FROM unit_window t{_OF}"
_ACCOUNT = f"SELECT u.code, t.day::text, t.accepted, t.repeated, t.superseded, t.rejected, t.unreadable FROM account t{_OF}"
_TOLD = """SELECT partition, "offset", position, number, key, payload FROM outbox WHERE generation = %s AND partition = %s
ORDER BY "offset", position, number"""


def stored(url: str, partitions: frozenset[int]) -> Tables:
    """The same of a database."""
    key = (sorted(partitions),)
    told = {}
    with psycopg.connect(url) as link:
        for partition in sorted(partitions):
            said = sha256()
            with link.cursor("told") as cursor:
                for row in cursor.execute(_TOLD, (MEASURED, partition)):
                    said.update(_said(*row))
            told[partition] = said.hexdigest()
        return Tables(
            hours={(u, h, q): tuple(n) for u, h, q, *n in link.execute(_HOURS, key) if any(n)},
            gaps=frozenset(
                (*gap, tuple(parts), total) for *gap, parts, total in link.execute(_GAPS, key)
            ),
            windows={(u, k, s): judged for u, k, s, judged in link.execute(_WINDOWS, key)},
            account={(u, d): tuple(n) for u, d, *n in link.execute(_ACCOUNT, key)},
            told=told,
        )


class References:
    """A process for each half of the partitions."""

    def __init__(self, workload: Workload) -> None:
        """Start them."""
        context = multiprocessing.get_context("spawn")
        self._lines: list[Connection] = []
        self._processes = []
        for half in (0, 1):
            mine, theirs = context.Pipe()
            process = context.Process(
                target=_serve,
                args=(theirs, workload, frozenset(range(half, workload.partitions, 2))),
            )
            process.start()
            self._lines.append(mine)
            self._processes.append(process)

    def prefill(self, url: str, quarters: int) -> int:
        """See Reference."""
        return sum(self._ask("prefill", url, quarters))  # type: ignore[arg-type]

    def compare(self, url: str, first: int, quarters: int, *, begin: bool) -> list[str]:
        """Digest what the worker digested, and name the tables in which they differ, of all partitions."""
        self.digest(first, quarters, begin=begin)
        return self.differences(url)

    def digest(self, first: int, quarters: int, *, begin: bool) -> None:
        """See Reference."""
        self._ask("digest", first, quarters, begin)

    def differences(self, url: str) -> list[str]:
        """See Reference."""
        found: list[list[str]] = self._ask("differences", url)  # type: ignore[assignment]
        return sorted({name for names in found for name in names})

    def _ask(self, *words: object) -> list[object]:
        for line in self._lines:
            line.send(words)
        return [line.recv() for line in self._lines]

    def end(self) -> None:
        """End them."""
        for line, process in zip(self._lines, self._processes, strict=True):
            line.close()
            process.join()


@contextmanager
def references(workload: Workload) -> Iterator[References]:
    """Processes that end with the block."""
    found = References(workload)
    try:
        yield found
    finally:
        found.end()


def _serve(line: Connection, workload: Workload, mine: frozenset[int]) -> None:
    """Answer until the other end closes."""
    reference = Reference(workload, mine)
    while True:
        try:
            word, *rest = line.recv()
        except EOFError:
            return
        line.send(_answer(reference, word, rest))


def _answer(reference: Reference, word: str, rest: list[object]) -> object:
    match word, rest:
        case "prefill", [str(url), int(quarters)]:
            return reference.prefill(url, quarters)
        case "digest", [int(first), int(quarters), bool(begin)]:
            return reference.digest(first, quarters, begin=begin)
        case "differences", [str(url)]:
            return reference.differences(url)
    raise AssertionError(word)
