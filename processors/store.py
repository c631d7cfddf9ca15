"""The worker's store: TimescaleDB. One transaction a step, fenced by epoch and offset.

May be used from several threads: each kind of work has its own connection and lock, so that rows
are fetched for the next step while the last one is written.
"""

import logging
import select
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Literal, LiteralString, NamedTuple, TypeVar
from uuid import uuid4

import psycopg
from psycopg import Connection, pq
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.rows import TupleRow

from processors import lookups, narrow, pg_binary, registry, statements, unit_rows
from processors.ports import (
    Claim,
    Fetched,
    Gap,
    GapSpan,
    Hour,
    HourSpan,
    Ints,
    Needs,
    OutboxRow,
    OutsideError,
    ReadingRow,
    RowsRefusedError,
    Span,
    Step,
    UnitState,
)
from processors.show import StopRow
from schemas.calendar import HOUR_MS, moment
from schemas.factors import FactorPack
from schemas.registry import Configuration

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Link = Connection[TupleRow]
Point = Literal["before commit", "commit sent", "after commit", "during load"]
"""Where tests hook in. At `commit sent` the COMMIT is on its way and its reply not yet read."""
Outcome = Literal["happened", "not happened", "lost"]

_BACK_OFF = (0.2, 0.4, 0.8, 1.6, 3.2)
_LONGEST = 5.0
_PATIENCE = 2.0
"""Seconds that a successor waits for an owner's transaction before it ends its backend."""

_SESSION = """
SET timezone = 'UTC';
SET jit = off;
SET lock_timeout = '10s';
SET idle_in_transaction_session_timeout = '30s'
"""
_BY_KEY_ALONE = """
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET plan_cache_mode = force_custom_plan
"""
"""Reader and writer find few rows by their keys, planned for those at hand: a misjudged number of
spans must not become a scan of a week."""

_PASSING = frozenset({"08", "40", "53", "55", "57", "58"})
"""Classes of SQLSTATE that pass: connection, rollback, resources, locks, operator, system."""
_PASSING_STATES = frozenset({"25006", "25P03", "25P04"})
"""A standby that is not yet the primary; ended by a time limit."""


class FencedError(OutsideError):
    """A partition's row is not as this store left it: nothing was written."""


class LostError(OutsideError):
    """Another worker owns these partitions: drop their states."""

    def __init__(self, partitions: Iterable[int]) -> None:
        self.partitions = frozenset(partitions)
        super().__init__(f"partitions {sorted(self.partitions)} belong to another worker")


class TablesError(OutsideError):
    """The tables are not as this release knows them: waiting does not help."""


class GenerationError(OutsideError):
    """The log is not the one that goes on, or has another number of partitions; the message says what to set."""


class StoppedError(OutsideError):
    """The store was closed while it waited for the database."""


class Ownership(NamedTuple):
    """What `take` gives: whoever holds an older epoch writes no more."""

    epoch: int
    next_offset: int
    careful_until: int = 0
    """Steps before this offset are rehearsed: the database refused one of them."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the log said of the partition itself, up to its next offset."""

    last_tick: int | None
    controls: tuple[tuple[int, str], ...]
    """(offset, text) in order."""
    doors: dict[str, tuple[int, int]]
    """door → (incarnation, last sequence)."""


def passes(error: psycopg.Error, *, closed: bool) -> bool:
    """Whether to wait and try again; else somebody must look at it.

    Ended by a time limit comes as InternalError, so a closed connection counts, whatever the error.
    """
    state = error.sqlstate or ""
    if state:
        return closed or state[:2] in _PASSING or state in _PASSING_STATES
    return closed or isinstance(error, psycopg.OperationalError)


class Store:
    """The tables, as the worker sees them. Every method but `write` waits for a database that is away."""

    def __init__(
        self,
        url: str,
        *,
        generation: int = 1,
        partitions: int | None = None,
        engine: str = "",
        at_point: Callable[[Point], None] = lambda _: None,
        progress: Callable[[str], None] = lambda _: None,
        patient: bool = True,
        one_moment: bool = False,
    ) -> None:
        """`partitions` is held against the generation's; `progress` hears of every wait; `at_point` is for tests.

        Who is not `patient` gets TablesError instead. `one_moment`: all is read as it is when it is first read, and nothing is written.
        """
        name = f"weir {uuid4().hex[:12]}"
        self.url = url
        self._generation = generation
        self._partitions = partitions
        self._engine = engine
        self._at_point = at_point
        self._progress = progress
        self._patient = patient
        self._stopped = threading.Event()
        self._writer = _Line(url, f"{name} writer", _SESSION, _BY_KEY_ALONE)
        self._reader = _Line(url, f"{name} reader", _SESSION, _BY_KEY_ALONE)
        self._publisher = _Line(url, f"{name} publisher", _SESSION)
        if one_moment:
            self._writer = self._reader = _Moment(url, f"{name} moment", _SESSION, _BY_KEY_ALONE)
        self._units = _Units()
        self._epochs: dict[int, int] = {}

    def close(self) -> None:
        """End the waits and close the connections."""
        self._stopped.set()
        for line in (self._writer, self._reader, self._publisher):
            with line.lock:
                line.close()

    # ---- Owning partitions

    def take(self, beginnings: Mapping[int, int]) -> dict[int, Ownership]:
        """Own these partitions; the mapping says where one without a row begins.

        Waits for an owner inside a transaction, and ends it after two seconds. One partition a
        transaction: whoever holds one row never waits here for another.
        """
        return {
            partition: self._take(partition, beginnings[partition])
            for partition in sorted(beginnings)
        }

    def _take(self, partition: int, beginning: int) -> Ownership:
        owned = self._surely(self._writer, lambda link: self._take_once(link, partition, beginning))
        self._epochs[partition] = owned.epoch
        return owned

    def _take_once(self, link: Link, partition: int, beginning: int) -> Ownership:
        link.execute(statements.BEGIN_PARTITION, (self._generation, partition, beginning))
        link.execute("BEGIN")
        link.execute("SET LOCAL lock_timeout = 0")
        key = [str(self._generation).encode(), str(partition).encode()]
        link.pgconn.send_query_params(statements.TAKE, key)
        while (reply := _reply(link, _PATIENCE)) is None:
            self._report(
                f"partition {partition}: another worker's transaction holds it; ending that"
            )
            self._end_blockers(link.info.backend_pid)
        told = [int(reply.get_value(0, column) or b"") for column in range(len(Ownership._fields))]
        self._refuse_other_log(link)
        link.execute("COMMIT")
        return Ownership(*told)

    def _refuse_other_log(self, link: Link) -> None:
        """After the row is ours: a new generation that began meanwhile shows by now."""
        newest = link.execute(statements.NEWEST_GENERATION).fetchone()
        if newest and newest[0] > self._generation:
            message = f"generation {self._generation} of the log is closed, {newest[0]} goes on: set WEIR_GENERATION"
            raise GenerationError(message)
        count = link.execute(statements.COUNT_OF_GENERATION, (self._generation,)).fetchone()
        if count and self._partitions not in {None, count[0]}:
            message = f"generation {self._generation} has {count[0]} partitions, not {self._partitions}: set WEIR_PARTITIONS"
            raise GenerationError(message)

    def _end_blockers(self, waiting: int) -> None:
        """End the backends that our own waiting one waits for, those that we may.

        Asked now, from a second connection: whoever held the row a moment ago may be healthy elsewhere.
        """
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as second:
            for (pid,) in second.execute(statements.BLOCKERS, (waiting,)).fetchall():
                try:
                    second.execute("SELECT pg_terminate_backend(%s)", (pid,))
                except psycopg.errors.InsufficientPrivilege:
                    logger.warning("may not end a backend that blocks us", extra={"pid": pid})
                else:
                    logger.warning("ended a backend that blocked us", extra={"pid": pid})

    def positions(self, partitions: Iterable[int]) -> dict[int, int]:
        """The next offset of each of these partitions that has a row."""
        key = (self._generation, pg_binary.integers(sorted(partitions)))
        return dict(
            self._surely(
                self._reader, lambda link: link.execute(statements.POSITIONS, key).fetchall()
            )
        )

    # ---- Reading back

    def load(self, partition: int) -> list[UnitState]:
        """The states of the partition's units, as at its next offset."""
        return self._surely(self._writer, lambda link: self._load(link, partition))

    def _load(self, link: Link, partition: int) -> list[UnitState]:
        cursor = link.cursor(binary=True).execute(statements.STATES, (partition,))
        self._at_point("during load")
        return [
            UnitState(code, number, tuple(ends.tolist()), last_tick, live, blob)
            for code, number, ends, last_tick, live, blob in cursor
        ]

    def memory(self, partition: int) -> Memory:
        """Last tick, control records and doors of the partition, up to its next offset."""
        return self._surely(self._writer, lambda link: self._memory(link, partition))

    def _memory(self, link: Link, partition: int) -> Memory:
        key = (self._generation, partition)
        last_tick = link.execute(statements.LAST_TICK, key).fetchone()
        doors = link.execute(statements.DOORS, key).fetchall()
        return Memory(
            last_tick=last_tick[0] if last_tick else None,
            controls=tuple(link.execute(statements.CONTROLS, key).fetchall()),
            doors={door: (incarnation, sequence) for door, incarnation, sequence in doors},
        )

    def configurations(self, known: Iterable[int] = ()) -> dict[int, Configuration]:
        """All stored configurations but the known ones, by version."""
        versions = sorted(known)
        return self._surely(
            self._reader, lambda link: registry.stored_configurations(link, versions)
        )

    def save_configuration(self, configuration: Configuration) -> bool:
        """Store a configuration; False where it was already. Raises RegistryError for another content."""
        return self._surely(
            self._writer, lambda link: registry.save_configuration(link, configuration)
        )

    def factor_pack(self) -> FactorPack | None:
        """The pack that was loaded last."""
        return self._surely(self._reader, registry.stored_factors)

    def save_factors(self, pack: FactorPack) -> bool:
        """Store a pack; False where it was already. Raises RegistryError for another content."""
        return self._surely(self._writer, lambda link: registry.save_factors(link, pack))

    def edition(self) -> str:
        """TimescaleDB's edition: `apache` (no compression, no policies) or `timescale`."""
        row = self._surely(
            self._reader, lambda link: link.execute("SHOW timescaledb.license").fetchone()
        )
        return str(row[0]) if row else "none"

    def days_of(self, unit: str) -> list[int]:
        """Business days (since 1970-01-01) of which a unit has rows, in order."""
        return self._surely(
            self._reader, lambda link: unit_rows.days(link, unit_rows.number_of(link, unit))
        )

    def rows_of(self, unit: str, day: int) -> list[ReadingRow]:
        """All that a unit said of a business day, rejected readings last."""
        return self._surely(
            self._reader,
            lambda link: unit_rows.rows(link, unit_rows.number_of(link, unit), unit, day),
        )

    def rows_before(self, unit: str, day: int) -> int:
        """How many rows a unit has of the business days before one."""
        return self._surely(
            self._reader,
            lambda link: unit_rows.count_before(link, unit_rows.number_of(link, unit), day),
        )

    def row_count(self, unit: str) -> int:
        """How many rows of readings and rejections a unit has."""
        return self.rows_before(unit, 73_000)

    def kept(self, unit: str) -> tuple[unit_rows.Kept, list[tuple[int, list[ReadingRow]]]]:
        """A unit as it is kept, and all that it said, by day: at one moment."""
        return self._surely(self._reader, lambda link: self._kept(link, unit))

    def _kept(
        self, link: Link, unit: str
    ) -> tuple[unit_rows.Kept, list[tuple[int, list[ReadingRow]]]]:
        configurations = registry.stored_configurations(link)
        with link.transaction():
            link.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            kept = unit_rows.kept(link, unit, configurations)
            days = unit_rows.days(link, kept.number)
            return kept, [(day, unit_rows.rows(link, kept.number, unit, day)) for day in days]

    def kept_in(self, unit: str) -> int:
        """The partition of a unit. Raises LookupError for one without a state."""
        row = self._surely(
            self._reader, lambda link: link.execute(statements.PARTITION_OF, (unit,)).fetchone()
        )
        if row is None:
            message = f"unit {unit} has no state: no configuration was applied to it yet"
            raise LookupError(message)
        return int(row[0])

    def last_full_hour(self, unit: str) -> int | None:
        """The last full hour (ms) that the unit's time has passed, if it has any."""
        row = self._surely(
            self._reader, lambda link: link.execute(statements.LAST_TICK_OF, (unit,)).fetchone()
        )
        return None if row is None or row[0] is None else row[0] - row[0] % HOUR_MS

    def figures(self, unit: str, from_ms: int, to_ms: int) -> list[TupleRow]:
        """(quantity, unit of measure, low, best, high, share measured) over whole hours."""
        key = (unit, moment(from_ms), moment(to_ms))
        return self._surely(
            self._reader, lambda link: link.execute(statements.FIGURES, key).fetchall()
        )

    def co2_terms(self, unit: str, line: str | None, from_ms: int, to_ms: int) -> list[TupleRow]:
        """(term, low, best, high, factors, whether any is unverified) of a unit or of one of its lines, over whole hours; nothing where the hours are gone."""
        span = moment(from_ms), moment(to_ms)
        query, key = (
            (statements.CO2_TERMS, (unit, *span))
            if line is None
            else (statements.CO2_TERMS_OF_LINE, (unit, line, *span))
        )
        try:
            return self._surely(self._reader, lambda link: link.execute(query, key).fetchall())
        except psycopg.errors.NoDataFound:
            return []

    def is_recomputable(self, unit: str) -> bool:
        """Whether all that a unit ever said is still there."""
        query = "SELECT is_recomputable(id, 0, 4102444800000) FROM unit WHERE code = %s"
        row = self._surely(self._reader, lambda link: link.execute(query, (unit,)).fetchone())
        return row is None or bool(row[0])

    def pending_of(self, unit: str) -> int | None:
        """The configuration that waits until the unit is restated, if one does."""
        query = "SELECT pending FROM unit WHERE code = %s"
        row = self._surely(self._reader, lambda link: link.execute(query, (unit,)).fetchone())
        return row[0] if row else None

    def touched_last(self, partitions: Iterable[int], limit: int) -> list[str]:
        """Units of these partitions of which a day that is over was told anew, the last first."""
        key = (pg_binary.integers(sorted(partitions)), limit)
        rows = self._surely(
            self._reader, lambda link: link.execute(statements.TOUCHED_LAST, key).fetchall()
        )
        return [unit for (unit,) in rows]

    def units_after(self, partitions: Iterable[int], unit: str, limit: int) -> list[str]:
        """Units of these partitions, by their codes, after one."""
        key = (pg_binary.integers(sorted(partitions)), unit, limit)
        rows = self._surely(
            self._reader, lambda link: link.execute(statements.UNITS_AFTER, key).fetchall()
        )
        return [code for (code,) in rows]

    def restated_at(self, unit: str) -> tuple[int, int]:
        """(generation, offset) of the last record that restated a unit; (0, -1): none did."""
        key = (f"restated {unit} %",)
        row = self._surely(
            self._reader, lambda link: link.execute(statements.RESTATED_AT, key).fetchone()
        )
        return (int(row[0]), int(row[1])) if row else (0, -1)

    def windows_of(self, unit: str) -> list[tuple[int, bytes]]:
        """(as of, JSON) of a unit's days, months and years as last told."""
        rows = self._surely(
            self._reader, lambda link: link.execute(statements.WINDOWS_OF, (unit,)).fetchall()
        )
        return [(as_of, judged.encode()) for as_of, judged in rows]

    def lines_of(self, unit: str) -> list[tuple[str, str, int, bytes]]:
        """(line, name, as of, JSON) of the days, months and years of a unit's product lines as last told."""
        rows = self._surely(
            self._reader, lambda link: link.execute(statements.LINES_OF, (unit,)).fetchall()
        )
        return [(line, name, as_of, judged.encode()) for line, name, as_of, judged in rows]

    def stops_of(self, unit: str) -> list[StopRow]:
        """Declared stops and maintenances that are not over at the unit's last tick."""
        return self._surely(
            self._reader, lambda link: link.execute(statements.STOPS_OF, (unit,)).fetchall()
        )

    # ---- Fetching

    def fetch(self, needs: Needs) -> Fetched:
        """The rows that the engine asks for, as committed. A query a kind, for all spans together."""
        return self._surely(self._reader, lambda link: self._fetch(link, needs))

    def _fetch(self, link: Link, needs: Needs) -> Fetched:
        self._units.learn(link, needs.units(), add=False)
        return Fetched(
            claims=self._claims(link, needs.claims) if needs.claims else (),
            hours=self._hours(link, needs.hours) if needs.hours else (),
            gaps=self._gaps(link, needs.gaps) if needs.gaps else (),
        )

    def _claims(self, link: Link, spans: tuple[Span, ...]) -> tuple[Claim, ...]:
        by_day, by_span = lookups.record_lookups(spans, self._units.ids)
        asked: list[tuple[LiteralString, tuple[pg_binary.Param, ...]]] = []
        if by_day:
            key = statements.by_day(by_day)
            asked += [(statements.RECORDS, key), (statements.REJECTIONS, key)]
        if by_span:
            key = statements.by_span(by_span)
            asked += [(statements.LONG_RECORDS, key), (statements.LONG_REJECTIONS, key)]
        rows = [
            lookups.RecordRow.of(row)
            for query, key in asked
            for row in link.cursor(binary=True).execute(query, key)
        ]
        return lookups.claims_in(rows, spans, self._units.ids, self._units.codes)

    def _hours(self, link: Link, spans: tuple[HourSpan, ...]) -> tuple[Hour, ...]:
        wanted = lookups.hour_lookups(spans, self._units.ids)
        cursor = link.cursor(binary=True).execute(statements.HOURS, statements.by_hour(wanted))
        codes = self._units.codes
        return tuple(
            Hour(codes[unit], quantity, hour, tuple(numbers))
            for unit, quantity, hour, *numbers in cursor
        )

    def _gaps(self, link: Link, spans: tuple[GapSpan, ...]) -> tuple[Gap, ...]:
        key = statements.by_point(spans, self._units.ids, self._points(link, spans))
        cursor = link.cursor(binary=True).execute(statements.GAPS, key)
        codes = self._units.codes
        return tuple(statements.gap_of(codes[unit], rest) for unit, *rest in cursor)

    def _points(self, link: Link, spans: tuple[GapSpan, ...]) -> dict[int, list[int]]:
        """All points of the units of which no single one is named."""
        whole = {self._units.ids.get(span.unit) for span in spans if span.point == -1} - {None}
        found: dict[int, list[int]] = {unit: [] for unit in whole if unit is not None}
        if found:
            key = (pg_binary.integers(sorted(found)),)
            for unit, number in link.execute(statements.POINTS, key):
                found[unit].append(number)
        return found

    # ---- Writing

    def write(self, step: Step) -> None:
        """Write a step in one transaction. Raises FencedError where a partition is not as we left it.

        After any other error its outcome may be unknown: `write_surely` finds out.
        """
        with self._writer.lock:
            link = self._writer.open()
            try:
                self._write(link, step)
            except BaseException:
                self._writer.close()
                raise

    def _write(self, link: Link, step: Step) -> None:
        self._write_rows(link, step, fenced=True)
        self._commit(link)

    def _write_rows(self, link: Link, step: Step, *, fenced: bool = False) -> None:
        self._units.learn(link, statements.units_of(step), add=True)
        ids, generation = self._units.ids, self._generation
        if fenced:
            self._advance_and_upsert(link, step)
        else:
            self._upsert(link, step)
        if step.readings:
            with link.cursor().copy(statements.COPY_READINGS) as stream:
                for piece in narrow.copy_of_records(step.readings, ids, generation):
                    stream.write(piece)
        if step.rejections:
            with link.cursor().copy(statements.COPY_REJECTIONS) as stream:
                stream.write(pg_binary.copy_of_rejections(step.rejections, ids, generation))

    def _advance_and_upsert(self, link: Link, step: Step) -> None:
        """Everything but the records in one round trip; the partitions' rows first, in order."""
        with link.pipeline():
            link.execute("BEGIN")
            fences = [
                link.execute(*fence)
                for fence in statements.fences(step, self._generation, self._epochs)
            ]
            self._upsert(link, step)
        if any(fence.rowcount != 1 for fence in fences):
            message = f"partitions {sorted(step.positions)} are not at {step.positions} with epochs {self._epochs}"
            raise FencedError(message)

    def _upsert(self, link: Link, step: Step) -> None:
        for statement in statements.upserts(step, self._units.ids, self._generation, self._engine):
            link.execute(*statement)
        registry.save_entries(link, step.entries)

    def _commit(self, link: Link) -> None:
        """COMMIT by hand, so that a test can stand between its sending and its reply."""
        self._at_point("before commit")
        link.pgconn.send_query(b"COMMIT")
        _flush(link)
        self._at_point("commit sent")
        reply = _reply(link, None)
        if reply is None or reply.command_status != b"COMMIT":
            message = f"COMMIT was answered by {reply and reply.command_status!r}"
            raise psycopg.OperationalError(message)
        self._at_point("after commit")

    def write_surely(self, step: Step) -> None:
        """Write a step once, whatever happens on the way; raises LostError, RowsRefusedError, TablesError."""
        for pause in self._pauses():
            refused: psycopg.Error | None = None
            try:
                self.write(step)
            except FencedError as error:
                self._report(str(error))
            except (psycopg.DataError, psycopg.IntegrityError) as error:
                refused = error  # or another wrote these rows: its fence tells
            except psycopg.Error as error:
                self._report_or_raise(error, self._writer)
            else:
                return
            outcome = self.outcome(step)
            if outcome == "happened":
                return
            if outcome == "lost":
                raise LostError(self._not_mine(step))
            if refused is not None:
                raise RowsRefusedError(str(refused)) from refused
            self._pause(pause)

    def rehearse(self, step: Step) -> None:
        """Write a step and take it back; raises what the database says of its rows.

        The fence is left out: what is before it may not be written yet.
        """
        self._surely(self._publisher, lambda link: self._rehearse(link, step))

    def _rehearse(self, link: Link, step: Step) -> None:
        self._units.learn(link, statements.units_of(step), add=True)
        link.execute("BEGIN")
        try:
            self._write_rows(link, step)
        finally:
            if not link.closed:
                link.execute("ROLLBACK")

    def be_careful(self, step: Step) -> None:
        """Remember that the database refused this step, for whoever takes its partitions next."""
        for partition, (_, following) in step.positions.items():
            self._careful_until(partition, following)

    def _careful_until(self, partition: int, offset: int) -> None:
        key = (offset, self._generation, partition, self._epochs.get(partition, -1))
        self._surely(self._writer, lambda link: link.execute(statements.CAREFUL, key))

    def dead_letters(self, partition: int, *, since: int) -> int:
        """How many records of a partition, from this offset on, are dead letters."""
        key = (self._generation, partition, since)
        row = self._surely(
            self._reader, lambda link: link.execute(statements.DEAD_LETTERS, key).fetchone()
        )
        return int(row[0]) if row else 0

    def outcome(self, step: Step) -> Outcome:
        """What became of a step whose write was not answered, by the partitions' rows.

        The write was one transaction, so any partition that is still mine tells it for all.
        """
        rows = self._held(step)
        mine = [
            (rows[p][1], *step.positions[p])
            for p in step.positions
            if rows[p][0] == self._epochs.get(p, -1)
        ]
        if mine and all(at == following for at, _, following in mine):
            return "happened"
        if any(at != first for at, first, _ in mine):
            message = (
                f"partitions are at {rows} (epoch, offset), and the step covers {step.positions}"
            )
            raise FencedError(message)
        return "not happened" if len(mine) == len(step.positions) else "lost"

    def _not_mine(self, step: Step) -> set[int]:
        rows = self._held(step)
        return {p for p in step.positions if rows[p][0] != self._epochs.get(p, -1)}

    def _held(self, step: Step) -> dict[int, tuple[int | None, int]]:
        """Epoch and next offset of the step's partitions."""
        key = (self._generation, pg_binary.integers(sorted(step.positions)))
        rows = self._surely(
            self._writer, lambda link: link.execute(statements.HELD, key).fetchall()
        )
        return dict.fromkeys(step.positions, (None, -1)) | {p: (epoch, at) for p, epoch, at in rows}

    # ---- The outbox

    def unpublished(self, partitions: Iterable[int], limit: int) -> list[OutboxRow]:
        """The first rows of each partition beyond its cursor, in order."""
        key = (limit, self._generation, list(partitions))
        rows = self._surely(
            self._publisher,
            lambda link: link.cursor(binary=True).execute(statements.UNPUBLISHED, key).fetchall(),
        )
        return [OutboxRow(*row) for row in rows]

    def advance_cursors(self, published: Mapping[int, tuple[int, int, int]]) -> None:
        """Remember the last row of each partition that was published; never backwards. Raises LostError."""
        epochs = [self._epochs.get(partition, -1) for partition in published]
        key = (list(published), epochs, *map(list, zip(*published.values(), strict=True)))

        def advance(link: Link) -> set[int]:
            found = link.execute(statements.ADVANCE_CURSORS, (*key, self._generation))
            return {partition for (partition,) in found}

        if lost := published.keys() - self._surely(self._publisher, advance):
            raise LostError(lost)

    # ---- Waiting

    def _surely(self, line: "_Line", work: Callable[[Link], Result]) -> Result:
        """Do what may be done twice, as often as it takes."""
        with line.lock:
            for pause in self._pauses():
                try:
                    return work(line.open())
                except psycopg.Error as error:
                    self._report_or_raise(error, line)
                line.close()
                self._pause(pause)
        raise StoppedError

    def _report_or_raise(self, error: psycopg.Error, line: "_Line") -> None:
        if isinstance(error, psycopg.DataError | psycopg.IntegrityError):
            raise RowsRefusedError(str(error)) from error
        if not (self._patient and passes(error, closed=line.was_ended())):
            raise TablesError(str(error)) from error
        self._report(f"the database does not answer: {str(error).strip() or type(error).__name__}")

    def _report(self, message: str) -> None:
        logger.warning("the store waits", extra={"reason": message})
        self._progress(message)

    def _pauses(self) -> Iterator[float]:
        return chain(_BACK_OFF, repeat(_LONGEST))

    def _pause(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise StoppedError


class _Units:
    """The numbers that stand for units in the tables."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.codes: dict[int, str] = {}

    def learn(self, link: Link, codes: set[str], *, add: bool) -> None:
        """Know these units; with `add` give those that no configuration names a number of their own."""
        missing = codes - self.ids.keys()
        if not missing:
            return
        if add:
            link.execute(statements.ADD_UNITS, (pg_binary.texts(sorted(missing)),))
        for code, number in link.execute(statements.UNITS, (pg_binary.texts(sorted(missing)),)):
            self.codes[number] = code
            self.ids[code] = number


class _Line:
    """A connection that is opened when it is needed, used by one thread at a time."""

    def __init__(self, url: str, name: str, *settings: LiteralString) -> None:
        self.lock = threading.RLock()
        self.url = url
        self._name = name
        self._settings = settings
        self._link: Link | None = None
        self._ended = False

    def open(self) -> Link:
        """The connection, made anew where it is closed or inside a transaction that nobody ended."""
        if self._link is None or not self._is_idle(self._link):
            self.close()
            self._ended = False
            self._link = self._connected()
        return self._link

    def was_ended(self) -> bool:
        """Whether the server or the network ended it."""
        return self._ended if self._link is None else self._link.closed

    def close(self) -> None:
        """Give it up."""
        if self._link is not None:
            self._ended = self._link.closed
            self._link.close()
            self._link = None

    @staticmethod
    def _is_idle(link: Link) -> bool:
        return not link.closed and link.info.transaction_status == pq.TransactionStatus.IDLE

    def _connected(self) -> Link:
        link = psycopg.connect(
            self.url,
            autocommit=True,
            prepare_threshold=0,
            application_name=self._name,
            connect_timeout=5,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=15_000,
        )
        try:
            _teach_types(link)
            for setting in self._settings:
                link.execute(setting, prepare=False)
            # What an earlier connection of this very line left on the server may still hold our
            # rows, in a COPY that nobody continues, or may be about to commit.
            link.execute(statements.END_PREDECESSORS)
        except BaseException:
            link.close()
            raise
        return link


class _Moment(_Line):
    """A connection whose one transaction sees one moment, and writes nothing."""

    @staticmethod
    def _is_idle(link: Link) -> bool:
        return not link.closed and link.info.transaction_status == pq.TransactionStatus.INTRANS

    def _connected(self) -> Link:
        link = super()._connected()
        link.execute("SET idle_in_transaction_session_timeout = 0")
        link.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return link


class _AsItIs(Dumper):
    """For what pg_binary laid out."""

    format = pq.Format.BINARY

    def dump(self, obj: bytes) -> Buffer:
        return obj


class _Numbers(Loader):
    """Arrays of numbers as int64 columns."""

    format = pq.Format.BINARY
    kind = ""

    def load(self, data: Buffer) -> Ints:
        return pg_binary.numbers_in(bytes(data), self.kind)


def _teach_types(link: Link) -> None:
    """Parameters and results of arrays without an object for each element."""
    for form in pg_binary.FORMS:
        link.adapters.register_dumper(form, type(form.__name__, (_AsItIs,), {"oid": form.oid}))
    for kind, oid in pg_binary.NUMBER_ARRAYS.items():
        link.adapters.register_loader(oid, type(kind, (_Numbers,), {"kind": kind}))


def _flush(link: Link) -> None:
    while link.pgconn.flush():
        _wait(link, select.POLLOUT, None)


def _reply(link: Link, seconds: float | None) -> pq.abc.PGresult | None:
    """The result of what was sent; None where it did not begin within the time.

    By poll(), which lets other threads work while the server writes to its disk.
    """
    _flush(link)
    first: pq.abc.PGresult | None = None
    while True:
        while link.pgconn.is_busy():
            if not _wait(link, select.POLLIN, None if first else seconds):
                return None
            link.pgconn.consume_input()
        result = link.pgconn.get_result()
        if result is None:
            break
        first = first or result
    if first is None:
        raise psycopg.OperationalError(link.pgconn.get_error_message())
    if first.status not in {pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK}:
        raise psycopg.errors.error_from_result(first)
    return first


def _wait(link: Link, event: int, seconds: float | None) -> bool:
    poll = select.poll()
    poll.register(link.pgconn.socket, event)
    return bool(poll.poll(None if seconds is None else seconds * 1000))
