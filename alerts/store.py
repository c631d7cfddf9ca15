"""The alerts' tables: one transaction a batch, fenced by epoch and offset.

They are made by schemas/sql/0006_alerts.sql. Every method waits for a database that is away, and
ends on what somebody must look at. Each kind of work has a connection of its own: delivery does
not wait for a batch that is being written.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from typing import LiteralString, NamedTuple, TypeVar

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from alerts.batch import Batch
from alerts.state import Partition, Unit
from schemas.alert import Alert, Notice
from schemas.indicator import Version

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Link = Connection[TupleRow]

BACK_OFF = (0.2, 0.4, 0.8, 1.6, 3.2)
LONGEST = 5.0
_BE_PATIENT: LiteralString = "SET LOCAL lock_timeout = '2s'"
"""How long a successor waits for an owner's transaction before it ends its backend."""

_SESSION: LiteralString = """
SET timezone = 'UTC';
SET jit = off;
SET lock_timeout = '10s';
SET statement_timeout = '60s';
SET idle_in_transaction_session_timeout = '30s'
"""

_PASSING = frozenset({"08", "40", "53", "55", "57", "58"})
"""Classes of SQLSTATE that pass: connection, rollback, resources, locks, operator, system."""
_PASSING_STATES = frozenset({"25006", "25P03", "25P04"})
"""A standby that is not yet the primary; ended by a time limit."""


class FencedError(Exception):
    """The partition's row is not as this store left it: nothing was written."""


class LostError(Exception):
    """Another worker owns the partition: drop its state."""


class MissingTablesError(Exception):
    """The migrations were not applied."""


class SupersededError(Exception):
    """The indicators of this generation are over: another goes on."""


class StoppedError(Exception):
    """The store was closed while it waited for the database."""


@dataclass(frozen=True, slots=True)
class Owned:
    """A partition that is ours while nobody has a greater epoch."""

    epoch: int
    next_offset: int
    state: Partition


@dataclass(frozen=True, slots=True)
class Outlet:
    """A channel, as far as the outbox knows it."""

    name: str
    repeats: bool
    """What fires is due again until it ends."""
    hold_seconds: float = 0.0
    """How long a transition waits for the cases to take it up; 0: it is told each by itself, at once."""


class Due(NamedTuple):
    """A transition that a channel is to be told now."""

    transition: str
    channel: str
    attempts: int
    again: bool
    """It was delivered before, and is repeated."""
    fired_at: int
    """When its alert fired, in event time."""
    notice: Notice
    extra: Mapping[str, dict[str, str]] | None = None
    """`labels` and `annotations` that its case added."""


class Waiting(NamedTuple):
    """What a channel has not been told yet."""

    number: int
    oldest_seconds: float


def passes(error: psycopg.Error, *, closed: bool) -> bool:
    """Say whether to wait and try again; else somebody must look at it.

    Ended by a time limit comes as InternalError: a closed connection counts, whatever the error.
    """
    state = error.sqlstate or ""
    if not state:
        return closed or isinstance(error, psycopg.OperationalError)
    return closed or state[:2] in _PASSING or state in _PASSING_STATES


class Store:
    """The tables, as the worker sees them."""

    def __init__(
        self,
        url: str,
        *,
        generation: int = 1,
        outlets: Sequence[Outlet] = (),
        notify_history: bool = False,
        at_point: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`at_point` is for tests."""
        self._url = url
        self._generation = generation
        self._outlets = tuple(outlets)
        self._notify_history = notify_history
        self.waits: Callable[[str], None] = lambda _: None
        """Who hears of every wait for the database."""
        self._at_point = at_point
        self._stopped = threading.Event()
        self._writer = _Line(url, "weir alerts writer")
        self._deliverer = _Line(url, "weir alerts deliverer")

    def close(self) -> None:
        """End the waits and close the connections."""
        self._stopped.set()
        for line in (self._writer, self._deliverer):
            with line.lock:
                line.close()

    # ---- Owning partitions

    def take(self, beginnings: Mapping[int, int]) -> dict[int, Owned]:
        """Own these partitions; the mapping says where one without a row begins.

        Whoever held them can write no more. One inside a transaction is waited for, then ended.
        """
        return {
            partition: self._surely(self._writer, partial(self._take, partition, beginning))
            for partition, beginning in sorted(beginnings.items())
        }

    def _take(self, partition: int, beginning: int, link: Link) -> Owned:
        key = (self._generation, partition)
        # Only where there is no row: ON CONFLICT waits for whoever is changing the one there is.
        link.execute(
            "INSERT INTO alert_partition (generation, partition, next_offset) SELECT %s, %s, %s"
            " WHERE NOT EXISTS (SELECT FROM alert_partition"
            " WHERE generation = %s AND partition = %s) ON CONFLICT DO NOTHING",
            (*key, beginning, *key),
        )
        while (row := self._raise_epoch(link, key)) is None:
            self._say(f"partition {partition} is inside another worker's transaction; ending it")
            self._end_blockers(key)
        self._refuse_closed(link)
        epoch, next_offset, tick = row
        units = {unit.unit: unit for unit in self._load(link, partition)}
        held = None if tick is None else Version.model_validate(tick)
        return Owned(epoch, next_offset, Partition(held, units))

    def _refuse_closed(self, link: Link) -> None:
        """After the row is ours: a generation that began meanwhile shows by now. Raises SupersededError."""
        newest = link.execute("SELECT max(generation) FROM alert_partition").fetchone()
        if newest and newest[0] > self._generation:
            message = (
                f"generation {self._generation} is closed, {newest[0]} goes on: set WEIR_GENERATION"
            )
            raise SupersededError(message)

    def _raise_epoch(self, link: Link, key: tuple[int, int]) -> TupleRow | None:
        """Return the row, or None where somebody holds it."""
        query: LiteralString = """
            UPDATE alert_partition SET epoch = epoch + 1
            WHERE generation = %s AND partition = %s RETURNING epoch, next_offset, tick
            """
        try:
            with link.transaction():
                link.execute(_BE_PATIENT)
                return link.execute(query, key).fetchone()
        except psycopg.errors.LockNotAvailable:
            return None

    def _end_blockers(self, key: tuple[int, int]) -> None:
        """End the backends for which one of our own waits: now, asked from a second connection.

        Whoever held the row a moment ago may be healthy elsewhere; a process id kept in the row
        would be that of a connection long gone.
        """
        with (
            psycopg.connect(self._url, autocommit=True, connect_timeout=5) as waiting,
            psycopg.connect(self._url, autocommit=True, connect_timeout=5) as asking,
        ):
            thread = threading.Thread(target=_wait_for_row, args=(waiting, key), daemon=True)
            thread.start()
            thread.join(0.2)
            while thread.is_alive():
                blockers = asking.execute(
                    "SELECT unnest(pg_blocking_pids(%s))", (waiting.info.backend_pid,)
                ).fetchall()
                for (pid,) in blockers:
                    _end_backend(asking, pid)
                thread.join(0.2)

    def _load(self, link: Link, partition: int) -> Iterator[Unit]:
        self._at_point("during load")
        rows = link.execute(
            """
            SELECT u.body, coalesce(a.bodies, '[]')
            FROM alert_unit u
            LEFT JOIN LATERAL (
                SELECT jsonb_agg(s.body ORDER BY s.rule COLLATE "C", coalesce(s.window_start, 0))
                FROM alert_state s WHERE s.unit = u.unit
            ) AS a (bodies) ON true
            WHERE u.partition = %s
            """,
            (partition,),
        )
        for body, alerts in rows:
            yield Unit.model_validate(body | {"alerts": alerts})

    def positions(self) -> dict[int, int]:
        """Return the next offset of each partition that was ever taken."""
        query = "SELECT partition, next_offset FROM alert_partition WHERE generation = %s"
        key = (self._generation,)
        return dict(self._surely(self._deliverer, lambda link: link.execute(query, key).fetchall()))

    # ---- Writing

    def write_surely(self, batch: Batch, epoch: int) -> None:
        """Write a batch once, whatever happens on the way. Raises LostError, or what is fatal."""
        for pause in self._pauses():
            try:
                self.write(batch, epoch)
            except FencedError as error:
                self._say(str(error))
            except psycopg.Error as error:
                self._say_or_raise(error, self._writer)
            else:
                return
            if self._happened(batch, epoch):
                return
            self._pause(pause)

    def write(self, batch: Batch, epoch: int) -> None:
        """Write a batch in one transaction, or raise. After an error its outcome is unknown."""
        with self._writer.lock:
            link = self._writer.open()
            try:
                with link.transaction():
                    self._write(link, batch, epoch)
                    self._at_point("before commit")
                self._at_point("after commit")
                if batch.notices:
                    self._at_point("alert stored")
            except BaseException:
                self._writer.close()
                raise

    def _happened(self, batch: Batch, epoch: int) -> bool:
        """Find out what became of a write that was not answered. Raises LostError.

        The writer's old backend may still be about to commit: to read the row we first lock it.
        """
        key = (self._generation, batch.partition)

        def held(link: Link) -> TupleRow | None:
            with link.transaction():
                return link.execute(
                    "SELECT epoch, next_offset FROM alert_partition"
                    " WHERE generation = %s AND partition = %s FOR UPDATE",
                    key,
                ).fetchone()

        row = self._surely(self._writer, held)
        if row is None or row[0] != epoch:
            message = f"partition {batch.partition} belongs to another worker"
            raise LostError(message)
        if row[1] in {batch.first, batch.following}:
            return bool(row[1] == batch.following)
        message = (
            f"partition {batch.partition} is at offset {row[1]}, "
            f"and the batch goes from {batch.first} to {batch.following}"
        )
        raise FencedError(message)

    def _write(self, link: Link, batch: Batch, epoch: int) -> None:
        tick = None if batch.after.tick is None else Jsonb(batch.after.tick.model_dump())
        fence = link.execute(
            "UPDATE alert_partition SET next_offset = %s, tick = %s,"
            " heard_at = greatest(heard_at, %s)"
            " WHERE generation = %s AND partition = %s AND epoch = %s AND next_offset = %s",
            (
                batch.following,
                tick,
                batch.heard_at,
                self._generation,
                batch.partition,
                epoch,
                batch.first,
            ),
        )
        if fence.rowcount != 1:
            message = f"partition {batch.partition} is not at {batch.first} with epoch {epoch}"
            raise FencedError(message)
        if batch.units:
            self._write_units(link, batch)
        if batch.notices:
            self._write_notices(link, batch)
        if batch.refused:
            self._write_refused(link, batch)

    def _write_units(self, link: Link, batch: Batch) -> None:
        codes = [unit.unit for unit in batch.units]
        bodies = [Jsonb(unit.model_dump(exclude={"alerts"})) for unit in batch.units]
        link.execute(
            "INSERT INTO alert_unit (unit, partition, body)"
            " SELECT * FROM unnest(%s::text[], %s::integer[], %s::jsonb[])"
            " ON CONFLICT (unit) DO UPDATE"
            " SET partition = excluded.partition, body = excluded.body",
            (codes, [batch.partition] * len(codes), bodies),
        )
        # Where a unit's landings are remembered is not where it is: the row is found by the memory's name.
        owned = [(unit.unit, alert) for unit in batch.units for alert in unit.alerts]
        link.execute("DELETE FROM alert_state WHERE unit = ANY (%s)", (codes,))
        link.execute(
            "INSERT INTO alert_state (unit, rule, window_start, body)"
            " SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::jsonb[])",
            (
                [name for name, _ in owned],
                [alert.key.rule for _, alert in owned],
                [alert.key.window_start for _, alert in owned],
                [Jsonb(alert.model_dump()) for _, alert in owned],
            ),
        )

    def _write_notices(self, link: Link, batch: Batch) -> None:
        """Store transitions, and what is to be sent of them; one that is stored is no news."""
        key = (self._generation, batch.partition)
        new = link.execute(
            """
            INSERT INTO alert_transition (id, generation, partition, body)
            SELECT n.id, %s, %s, n.body
            FROM unnest(%s::text[], %s::jsonb[]) WITH ORDINALITY AS n (id, body, number)
            ORDER BY n.number
            ON CONFLICT (id) DO NOTHING
            RETURNING id
            """,
            (
                *key,
                [notice.id for notice in batch.notices],
                [Jsonb(notice.model_dump()) for notice in batch.notices],
            ),
        ).fetchall()
        ids = [row[0] for row in new]
        names = [outlet.name for outlet in self._outlets]
        repeats = [outlet.repeats for outlet in self._outlets]
        holds = [outlet.hold_seconds for outlet in self._outlets]
        link.execute(_ADD_FIRINGS, (names, repeats, holds, *key, ids, self._notify_history))
        link.execute(_ADD_ENDS, (names, holds, *key, ids))
        link.execute(_QUEUE_FOR_CASES, (ids, self._notify_history))
        link.execute(_END_REPEATS, (ids,))

    def _write_refused(self, link: Link, batch: Batch) -> None:
        rows = [(one.offset, one.reason.replace("\x00", ""), one.payload) for one in batch.refused]
        offsets, reasons, payloads = (list(column) for column in zip(*rows, strict=True))
        link.execute(
            'INSERT INTO alert_refused (generation, partition, "offset", reason, payload)'
            " SELECT %s, %s, * FROM unnest(%s::bigint[], %s::text[], %s::bytea[])"
            " ON CONFLICT DO NOTHING",
            (self._generation, batch.partition, offsets, reasons, payloads),
        )

    # ---- Delivering

    def due(self, channel: str, epochs: Mapping[int, int], limit: int) -> list[Due]:
        """Return what the channel is to be told now, of the partitions that are ours.

        Of a subject (rule, unit, window) only the first that waits: an end only once its firing was
        delivered.
        """
        if not epochs:
            return []
        key = (self._generation, list(epochs), list(epochs.values()), channel, limit)
        rows = self._surely(self._deliverer, lambda link: link.execute(_DUE, key).fetchall())
        return [
            Due(transition, channel, attempts, again, fired_at, Notice.model_validate(body), extra)
            for transition, channel, attempts, again, fired_at, body, extra in rows
        ]

    def record_delivered(self, due: Due, *, repeat_seconds: float) -> None:
        """The channel has it. A firing that repeats is due again, unless its alert has ended."""
        query = """
            UPDATE alert_delivery SET attempts = attempts + 1, last_error = NULL,
                delivered_at = coalesce(delivered_at, clock_timestamp()),
                next_attempt_at = CASE WHEN repeats
                    THEN clock_timestamp() + %s * interval '1 second' END
            WHERE transition = %s AND channel = %s
            """
        self._record(query, (repeat_seconds, due.transition, due.channel))

    def record_retry(self, due: Due, *, reason: str, seconds: float) -> None:
        """The channel did not take it now."""
        query = """
            UPDATE alert_delivery SET attempts = attempts + 1, last_error = %s,
                next_attempt_at = CASE WHEN delivered_at IS NULL OR repeats
                    THEN clock_timestamp() + %s * interval '1 second' END
            WHERE transition = %s AND channel = %s
            """
        self._record(query, (_text(reason), seconds, due.transition, due.channel))

    def record_refused(self, due: Due, *, reason: str) -> None:
        """The channel will never take it; so nor is it told the end of what it never heard of."""

        def refuse(link: Link) -> None:
            with link.transaction():
                link.execute(_REFUSE, (_text(reason), due.transition, due.channel))
                link.execute(_REFUSE_ENDS, (due.transition, due.channel))

        self._surely(self._deliverer, refuse)

    def _record(self, query: LiteralString, key: tuple[object, ...]) -> None:
        self._surely(self._deliverer, lambda link: link.execute(query, key))

    def waiting(self, channel: str) -> Waiting:
        """Return how much the channel has not been told yet, whoever is to tell it."""
        row = self._surely(
            self._deliverer, lambda link: link.execute(_WAITING, (channel,)).fetchone()
        )
        return Waiting(row[0], float(row[1])) if row else Waiting(0, 0.0)

    # ---- Reading

    def alerts(self) -> list[Alert]:
        """Return the alerts that are pending or firing, the newest first."""
        query = "SELECT body FROM alert_state ORDER BY state, told_at DESC, unit, rule"
        rows = self._surely(self._deliverer, lambda link: link.execute(query).fetchall())
        return [Alert.model_validate(body) for (body,) in rows]

    # ---- Waiting

    def _surely(self, line: "_Line", work: Callable[[Link], Result]) -> Result:
        """Do what may be done twice, as often as it takes."""
        with line.lock:
            for pause in self._pauses():
                try:
                    return work(line.open())
                except psycopg.Error as error:
                    self._say_or_raise(error, line)
                line.close()
                self._pause(pause)
        raise StoppedError

    def _say_or_raise(self, error: psycopg.Error, line: "_Line") -> None:
        if isinstance(error, psycopg.errors.UndefinedTable):
            message = "the database lacks the alerts' tables: python -m processors migrate up"
            raise MissingTablesError(message) from error
        if not passes(error, closed=line.is_closed()):
            raise error
        self._say(f"the database does not answer: {str(error).strip() or type(error).__name__}")

    def _say(self, message: str) -> None:
        logger.warning("the store waits", extra={"reason": message})
        self.waits(message)

    def _pauses(self) -> Iterator[float]:
        return chain(BACK_OFF, repeat(LONGEST))

    def _pause(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise StoppedError


class _Line:
    """A connection that is opened when it is needed, used by one thread at a time."""

    def __init__(self, url: str, name: str) -> None:
        self.lock = threading.RLock()
        self._url = url
        self._name = name
        self._link: Link | None = None

    def open(self) -> Link:
        """Return the connection, made anew where it is closed."""
        if self._link is None or self._link.closed:
            self._link = self._connected()
        return self._link

    def _connected(self) -> Link:
        link = psycopg.connect(
            self._url,
            autocommit=True,
            application_name=self._name,
            connect_timeout=5,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=15_000,
        )
        try:
            link.execute(_SESSION)
        except BaseException:
            link.close()
            raise
        return link

    def is_closed(self) -> bool:
        """Say whether it was ended, from whatever side."""
        return self._link is None or self._link.closed

    def close(self) -> None:
        """Give it up."""
        if self._link is not None:
            self._link.close()
            self._link = None


def _wait_for_row(link: Link, key: tuple[int, int]) -> None:
    """Lock and release the row: whoever blocks this blocks the take."""
    try:
        link.execute(
            "SELECT FROM alert_partition WHERE generation = %s AND partition = %s FOR UPDATE", key
        )
    except psycopg.Error as error:
        logger.warning("waiting for a partition's row failed", extra={"reason": str(error)})


def _end_backend(link: Link, pid: int) -> None:
    try:
        link.execute("SELECT pg_terminate_backend(%s)", (pid,))
    except psycopg.errors.InsufficientPrivilege:
        logger.warning("may not end a backend that blocks us", extra={"pid": pid})
    else:
        logger.warning("ended a backend that blocked us", extra={"pid": pid})


def _text(reason: str) -> str:
    return reason.replace("\x00", "")[:500]


# A firing is news to a channel once in an episode: it may have fired in history, and again when
# the history ended. What is in history is sent only on request.
_ADD_FIRINGS: LiteralString = """
INSERT INTO alert_delivery (transition, channel, seq, generation, partition, subject, repeats, held, next_attempt_at)
SELECT DISTINCT ON (t.episode, c.name) t.id, c.name, t.seq, k.generation, k.partition,
       md5(concat_ws('|', t.rule, t.unit, t.window_start, t.body ->> 'limit')), c.repeats, c.hold > 0, now() + c.hold * interval '1 second'
FROM alert_transition t
CROSS JOIN unnest(%s::text[], %s::boolean[], %s::float8[]) AS c (name, repeats, hold)
CROSS JOIN (SELECT %s::integer, %s::integer) AS k (generation, partition)
WHERE t.id = ANY (%s) AND t.state = 'firing' AND (%s OR NOT t.history)
  AND NOT EXISTS (
    SELECT FROM alert_transition f JOIN alert_delivery d ON d.transition = f.id
    WHERE f.episode = t.episode AND f.state = 'firing' AND d.channel = c.name)
ORDER BY t.episode, c.name, t.seq
"""

# An end is told to those who were told, or still are to be told, that it fired.
_ADD_ENDS: LiteralString = """
INSERT INTO alert_delivery (transition, channel, seq, generation, partition, subject, held, next_attempt_at, extra)
SELECT t.id, d.channel, t.seq, k.generation, k.partition, d.subject, coalesce(c.hold, 0) > 0,
       now() + coalesce(c.hold, 0) * interval '1 second',
       CASE WHEN d.extra ? 'labels' THEN jsonb_build_object('labels', d.extra -> 'labels') END
FROM alert_transition t
JOIN alert_transition f ON f.episode = t.episode AND f.state = 'firing'
JOIN alert_delivery d ON d.transition = f.id AND d.refused_at IS NULL
LEFT JOIN unnest(%s::text[], %s::float8[]) AS c (name, hold) ON c.name = d.channel
CROSS JOIN (SELECT %s::integer, %s::integer) AS k (generation, partition)
WHERE t.id = ANY (%s) AND t.state IN ('resolved', 'retracted')
FOR SHARE OF d
ON CONFLICT DO NOTHING
"""

# What nobody is to hear of makes no case either: the end of what was never heard of is passed over.
_QUEUE_FOR_CASES: LiteralString = """
INSERT INTO alert_case_queue (transition)
SELECT id FROM alert_transition
WHERE id = ANY (%s) AND state IN ('firing', 'resolved', 'retracted') AND (%s OR NOT history)
"""

_REFUSE: LiteralString = """
UPDATE alert_delivery SET attempts = attempts + 1, last_error = %s,
    refused_at = clock_timestamp(), next_attempt_at = NULL
WHERE transition = %s AND channel = %s
"""

# A statement of its own, so that it sees an end that was added while the first one waited for it.
_REFUSE_ENDS: LiteralString = """
UPDATE alert_delivery d SET last_error = 'its firing was refused',
    refused_at = clock_timestamp(), next_attempt_at = NULL
FROM alert_transition f JOIN alert_transition t ON t.episode = f.episode
WHERE f.id = %s AND f.state = 'firing' AND d.transition = t.id AND d.channel = %s
  AND d.delivered_at IS NULL AND d.refused_at IS NULL
"""

# Whether delivered yet or not: a delivery that is recorded later finds that it repeats no more.
_END_REPEATS: LiteralString = """
UPDATE alert_delivery d SET repeats = false,
    next_attempt_at = CASE WHEN d.delivered_at IS NULL THEN d.next_attempt_at END
FROM alert_transition t JOIN alert_transition f ON f.episode = t.episode AND f.state = 'firing'
WHERE t.id = ANY (%s) AND t.state IN ('resolved', 'retracted') AND d.transition = f.id
"""

_WAITING: LiteralString = """
SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)
FROM alert_delivery
WHERE channel = %s AND delivered_at IS NULL AND refused_at IS NULL
"""

# First what was never delivered, then what is repeated.
_DUE: LiteralString = """
SELECT d.transition, d.channel, d.attempts, d.delivered_at IS NOT NULL,
       coalesce((SELECT f.at FROM alert_transition f WHERE f.id = t.episode), t.at), t.body, d.extra
FROM alert_delivery d
JOIN alert_transition t ON t.id = d.transition
JOIN alert_partition p ON p.generation = %s AND p.partition = d.partition
JOIN unnest(%s::integer[], %s::bigint[]) AS mine (partition, epoch)
  ON mine.partition = p.partition AND mine.epoch = p.epoch
WHERE d.channel = %s AND d.next_attempt_at <= clock_timestamp()
  AND NOT EXISTS (
    SELECT FROM alert_delivery e
    WHERE e.channel = d.channel AND e.subject = d.subject AND e.seq < d.seq
      AND e.delivered_at IS NULL AND e.refused_at IS NULL)
ORDER BY d.delivered_at IS NOT NULL, d.next_attempt_at, d.seq
LIMIT %s
"""
