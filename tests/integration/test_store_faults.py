"""The store when the server, the network or another worker comes in between."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import psycopg
import pytest

from processors.ports import Needs, Span
from processors.store import LostError, StoppedError, Store, TablesError, passes
from tests.integration.steps import NOON, UNIT, full_step, step


@dataclass
class Hooks:
    """What to do at named points, once each."""

    planned: dict[str, Callable[[], None]] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    def __call__(self, point: str) -> None:
        self.seen.append(point)
        self.planned.pop(point, lambda: None)()


@dataclass
class Proxy:
    """A wire to the server that can be cut, or hold back what the server says."""

    url: str
    listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    pairs: list[tuple[socket.socket, socket.socket]] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)

    @property
    def through(self) -> str:
        """The database's address by way of the proxy."""
        parts = urlsplit(self.url)
        port = self.listener.getsockname()[1]
        return parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}").geturl()

    def serve(self) -> None:
        parts = urlsplit(self.url)
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection((parts.hostname or "", parts.port or 0))
            self.pairs.append((client, server))
            for source, sink, gate in ((client, server, None), (server, client, self.open)):
                threading.Thread(target=pump, args=(source, sink, gate), daemon=True).start()

    def refuse(self) -> int:
        """Take no more connections; returns the port."""
        port: int = self.listener.getsockname()[1]
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        return port

    def cut(self) -> None:
        """End every connection in the middle, as a switch that fails does."""
        pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()


def pump(source: socket.socket, sink: socket.socket, gate: threading.Event | None) -> None:
    try:
        while data := source.recv(65536):
            if gate is not None:
                gate.wait()
            sink.sendall(data)
    except OSError:
        return


@contextmanager
def proxy(url: str) -> Iterator[Proxy]:
    wire = Proxy(url)
    wire.open.set()
    threading.Thread(target=wire.serve, daemon=True).start()
    try:
        yield wire
    finally:
        wire.open.set()
        wire.refuse()
        wire.cut()


def one(database: str, query: str) -> object:
    with psycopg.connect(database) as link:
        row = link.execute(query.encode()).fetchone()
        return row[0] if row else None


def end_writers(database: str) -> None:
    """End the backends of the stores' writers, as an administrator may."""
    with psycopg.connect(database, autocommit=True) as link:
        link.execute(
            """SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE 'weir%writer'"""
        )


def wait_until(database: str, query: str) -> None:
    for _ in range(500):
        if one(database, query):
            return
        time.sleep(0.01)
    message = f"never came true: {query}"
    raise AssertionError(message)


@pytest.mark.parametrize("point", ["before commit", "commit sent", "after commit"])
def test_a_backend_that_is_ended_leaves_the_step_written_once(database: str, point: str) -> None:
    """Whether the COMMIT happened is read from the partition's row, never guessed."""
    hooks = Hooks({point: lambda: end_writers(database)})
    told: list[str] = []
    store = Store(database, at_point=hooks, progress=told.append)
    store.take({0: 0})
    store.write_surely(full_step())
    assert one(database, "SELECT count(*) FROM step") == 1
    assert one(database, "SELECT accepted FROM account ORDER BY unit LIMIT 1") == 1
    assert store.positions([0]) == {0: 3}
    store.write_surely(full_step(3, 5))
    assert bool(told) == (point != "after commit") or "after commit" in hooks.seen
    store.close()


def test_a_reply_that_is_lost_after_the_commit_is_not_sent_again(database: str) -> None:
    """COMMIT done by the server, the wire cut before its word arrives."""
    with proxy(database) as wire:

        def cut_when_done() -> None:
            wait_until(database, "SELECT next_offset = 3 FROM partition")
            wire.cut()
            wire.open.set()

        hooks = Hooks({"before commit": wire.open.clear, "commit sent": cut_when_done})
        store = Store(wire.through, at_point=hooks)
        store.take({0: 0})
        store.write_surely(full_step())
        assert hooks.seen == ["before commit", "commit sent"]
        assert one(database, "SELECT count(*) FROM step") == 1
        store.close()


def test_a_wire_cut_before_the_commit_sends_the_same_bytes_again(database: str) -> None:
    """Still mine and not advanced: nothing of it is in, so it goes again."""
    with proxy(database) as wire:
        hooks = Hooks({"before commit": wire.cut})
        store = Store(wire.through, at_point=hooks)
        store.take({0: 0})
        store.write_surely(full_step())
        assert one(database, "SELECT count(*) FROM step") == 1
        assert one(database, "SELECT accepted FROM account ORDER BY unit LIMIT 1") == 1
        store.close()


def test_a_server_that_is_away_is_waited_for(database: str) -> None:
    """In place, with progress reported, until it is there; then the step goes in."""
    told: list[str] = []
    with proxy(database) as wire:
        store = Store(wire.through, progress=told.append)
        store.take({0: 0})
        port = wire.refuse()
        wire.cut()
        done = threading.Thread(target=store.write_surely, args=(full_step(),))
        done.start()
        time.sleep(0.7)
        assert len(told) >= 2
        assert one(database, "SELECT count(*) FROM step") == 0
        wire.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=wire.serve, daemon=True).start()
        done.join(20)
        assert not done.is_alive()
        assert one(database, "SELECT count(*) FROM step") == 1
        store.close()


def test_closing_ends_the_wait(database: str) -> None:
    """A worker that is told to stop does not hang on a database that is away."""
    store = Store(database.replace("127.0.0.1", "127.0.0.2"))
    threading.Timer(0.3, store.close).start()
    with pytest.raises(StoppedError):
        store.take({0: 0})


def test_a_successor_ends_an_owner_that_froze_inside_its_transaction(database: str) -> None:
    """After two seconds; the frozen one's step is not in, and it finds its partition lost."""
    ready, thaw = threading.Event(), threading.Event()

    def freeze() -> None:
        ready.set()
        thaw.wait()

    frozen = Store(database, at_point=Hooks({"before commit": freeze}))
    frozen.take({0: 0})
    errors: list[BaseException] = []

    def write() -> None:
        try:
            frozen.write_surely(full_step())
        except LostError as error:
            errors.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    ready.wait()
    told: list[str] = []
    successor = Store(database, progress=told.append)
    started = time.perf_counter()
    assert successor.take({0: 0})[0].next_offset == 0
    assert 1.9 < time.perf_counter() - started < 4
    assert any("another worker" in line for line in told)
    successor.write_surely(full_step())
    thaw.set()
    thread.join(20)
    assert [type(error) for error in errors] == [LostError]
    assert one(database, "SELECT count(*) FROM step") == 1
    frozen.close()
    successor.close()


def test_a_short_transaction_of_the_owner_is_waited_for_and_not_ended(database: str) -> None:
    """A healthy write of the old owner is in, and the successor goes on behind it."""
    ready = threading.Event()

    def linger() -> None:
        ready.set()
        time.sleep(0.5)

    owner = Store(database, at_point=Hooks({"before commit": linger}))
    owner.take({0: 0})
    thread = threading.Thread(target=owner.write_surely, args=(full_step(),))
    thread.start()
    ready.wait()
    successor = Store(database)
    assert successor.take({0: 0})[0].next_offset == 3
    thread.join(10)
    owner.close()
    successor.close()


def test_rows_are_fetched_while_a_step_is_written(database: str) -> None:
    """The next step is prepared in another thread: it must not wait for the write, nor see it."""
    during: list[int] = []

    def look() -> None:
        span = Span(UNIT, 0, 0, NOON, NOON + 1)
        during.append(len(store.fetch(Needs(claims=(span,))).claims))

    store = Store(database, at_point=Hooks({"before commit": look, "after commit": look}))
    store.take({0: 0})
    store.write_surely(full_step())
    assert during == [0, 1]
    store.close()


def test_a_load_that_is_interrupted_begins_again(database: str) -> None:
    """Whole or not at all."""
    store = Store(database)
    store.take({0: 0})
    store.write(full_step())
    store.close()
    hooks = Hooks({"during load": lambda: end_writers(database)})
    again = Store(database, at_point=hooks)
    again.take({0: 0})
    assert len(again.load(0)) == 2
    again.close()


def test_what_is_no_passing_trouble_is_raised(database: str) -> None:
    """A table that is not there does not come by waiting."""
    store = Store(database)
    store.take({0: 0})
    with psycopg.connect(database, autocommit=True) as link:
        link.execute("ALTER TABLE outbox RENAME TO gone")
    with pytest.raises(TablesError, match="does not exist"):
        store.write_surely(full_step())
    with pytest.raises(TablesError, match="does not exist"):
        store.unpublished([0], 1)
    with psycopg.connect(database, autocommit=True) as link:
        link.execute("ALTER TABLE gone RENAME TO outbox")
    store.write_surely(full_step())
    store.close()


def test_a_lock_held_by_nobody_of_ours_is_waited_for(database: str) -> None:
    """A lock that times out passes: the step goes in once it is released."""
    store = Store(database)
    store.take({0: 0})
    with psycopg.connect(database) as holder:
        holder.execute("LOCK TABLE hour IN ACCESS EXCLUSIVE MODE")
        thread = threading.Thread(target=store.write_surely, args=(full_step(),))
        thread.start()
        wait_until(database, "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")
        holder.rollback()
    thread.join(20)
    assert store.positions([0]) == {0: 3}
    store.close()


@pytest.mark.parametrize(
    ("error", "closed", "expected"),
    [
        (psycopg.OperationalError("server closed the connection"), False, True),
        (psycopg.errors.AdminShutdown(), False, True),
        (psycopg.errors.DeadlockDetected(), False, True),
        (psycopg.errors.DiskFull(), False, True),
        (psycopg.errors.IdleInTransactionSessionTimeout(), False, True),
        (psycopg.InternalError("ended"), True, True),
        (psycopg.InternalError("a defect"), False, False),
        (psycopg.errors.UniqueViolation(), False, False),
        (psycopg.errors.UndefinedColumn(), False, False),
        (psycopg.ProgrammingError("the query has 1 placeholder"), False, False),
        (psycopg.errors.ReadOnlySqlTransaction(), False, True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_which_errors_pass(error: psycopg.Error, *, closed: bool, expected: bool) -> None:
    """By SQLSTATE, or by the connection's end; never by the message."""
    assert passes(error, closed=closed) == expected


def test_a_step_of_several_partitions_goes_in_or_stays_out_together(database: str) -> None:
    """Positions of all, or of none."""
    store = Store(database, at_point=Hooks({"before commit": lambda: end_writers(database)}))
    store.take({0: 0, 1: 0})
    both = step()
    both.positions[1] = (0, 4)
    store.write_surely(both)
    assert store.positions([0, 1]) == {0: 1, 1: 4}
    store.close()


def test_a_person_is_not_kept_waiting(database: str) -> None:
    """Who only looks hears at once that the database is away."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    parts = urlsplit(database)
    nobody = parts._replace(netloc=f"{parts.username}:x@127.0.0.1:{port}").geturl()
    store = Store(nobody, patient=False)
    with pytest.raises(TablesError, match="refused"):
        store.windows_of(UNIT)
    store.close()
