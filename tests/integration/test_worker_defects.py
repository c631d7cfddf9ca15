"""Records that the engine or the tables do not take: found, kept, and no reason to stop."""

import contextlib
from collections.abc import Iterator

import psycopg
import pytest

from processors import dead_letters, worker
from processors.dead_letters import DefectError
from processors.engine import Engine
from processors.metrics import WorkerMetrics
from processors.ports import RowsRefusedError
from processors.store import LostError, Store
from processors.worker import Message, Worker
from schemas.section import ApplyConfiguration, Body, Record, Tick
from schemas.wire import encode
from tests.processors.test_engine import UNIT, hour, section
from tests.processors.worlds import configuration

POISON = "poison"


class Choking(Engine):
    """An engine with a defect."""

    def _place_sections(self, chunk, counts, place, parts, outcome):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202 - the base class's
        if any(POISON in part.messages for part in parts):
            message = "cannot digest this"
            raise ArithmeticError(message)
        super()._place_sections(chunk, counts, place, parts, outcome)


def messages(*bodies: Body) -> list[Message]:
    """A log of one partition."""
    return [(0, i, encode(Record("door", 1, i, body))) for i, body in enumerate(bodies)]


def hours(poisoned: set[int], count: int = 12) -> list[Message]:
    """An hour a record, each judged after it."""
    parts = [
        section(hour(n), tick=n + 1) if n not in poisoned else section(hour(n), message=POISON)
        for n in range(count)
    ]
    return messages(ApplyConfiguration(1), *((part,) for part in parts))


@contextlib.contextmanager
def at_work(database: str) -> Iterator[Worker]:
    """A worker that owns the one partition."""
    store = Store(database)
    store.save_configuration(configuration(1, [UNIT]))
    one = Worker(store, WorkerMetrics(), partitions=1)
    one.take({0: 0})
    try:
        yield one
    finally:
        store.close()


def digest(one: Worker, log: list[Message], size: int = 5) -> None:
    """Step by step, from where the partition goes on."""
    rest = [message for message in log if message[1] >= one.next_offsets[0]]
    for i in range(0, len(rest), size):
        one.write(one.prepare(rest[i : i + size]))


def rows(database: str, query: str) -> list[tuple[object, ...]]:
    """What a query answers."""
    with psycopg.connect(database) as link:
        return link.execute(query.encode()).fetchall()


MEASURED = "SELECT hour FROM hour WHERE measured_ms > 0"
ACCOUNT = "SELECT sum(accepted), sum(rejected) FROM account"
DEAD = 'SELECT "offset", kind, unit, reason, original FROM refused ORDER BY 1'


def test_a_record_that_chokes_the_engine_stops_nobody(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept with its bytes and counted; the rest is as if it had never been sent."""
    monkeypatch.setattr(worker, "Engine", Choking)
    log = hours({3, 7})
    with at_work(database) as one:
        digest(one, log)
        assert one.metrics.value("weir_dead_letters_total") == 2
    assert rows(database, DEAD) == [
        (at, "dead letter", UNIT.code, "ArithmeticError: cannot digest this", log[at][2])
        for at in (4, 8)
    ]
    assert rows(database, ACCOUNT) == [(10, 2)]
    assert len(rows(database, MEASURED)) == 10


def test_what_the_tables_refuse_is_found_after_a_restart(database: str) -> None:
    """The step that failed is taken again with care."""
    with psycopg.connect(database, autocommit=True) as link:
        link.execute(f"ALTER TABLE reading_record ADD CHECK (message <> '{POISON}')".encode())
    log = hours({6})
    with at_work(database) as one, pytest.raises(RowsRefusedError):
        digest(one, log)
    with at_work(database) as one:
        assert one.next_offsets == {0: 5}
        digest(one, log)
    ((at, kind, _, reason, _),) = rows(database, DEAD)
    assert (at, kind) == (7, "dead letter")
    assert "check constraint" in str(reason)
    assert rows(database, ACCOUNT) == [(11, 1)]


def test_a_defect_that_hits_every_record_ends_the_worker(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before it empties the topic: the tenth is borne, the eleventh not, and a restart changes nothing."""
    monkeypatch.setattr(worker, "Engine", Choking)
    log = hours(set(range(12)))
    for _ in range(2):
        with at_work(database) as one, pytest.raises(DefectError, match="more than 10"):
            digest(one, log, size=3)
    dead = rows(database, DEAD)
    assert dead_letters.MOST - 3 <= len(dead) <= dead_letters.MOST


def test_a_tick_or_a_control_record_is_no_dead_letter(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the stream would tell something else: the worker ends."""

    class NoTicks(Engine):
        def _place_tick(self, *_: object) -> None:
            raise ArithmeticError

    monkeypatch.setattr(worker, "Engine", NoTicks)
    with at_work(database) as one, pytest.raises(ArithmeticError):
        digest(one, messages(ApplyConfiguration(1), Tick(5)))
    assert rows(database, DEAD) == []


def test_what_stayed_mine_over_a_rebalance_is_not_loaded_again(database: str) -> None:
    """Nor trusted where another had it in between, or where a step was not written."""
    log = hours(set())
    with at_work(database) as one:
        digest(one, log[:6])
        one.take({0: 0})
        assert one.metrics.value("weir_partitions_kept_total") == 1
        one.prepare(log[6:9])
        one.take({0: 0})
        assert one.metrics.value("weir_partitions_kept_total") == 1, "a step was void"
        assert one.next_offsets == {0: 6}
        with at_work(database) as other:
            with pytest.raises(LostError):
                digest(one, log)
            one.release()
            digest(other, log)
        one.take({0: 0})
        assert one.metrics.value("weir_partitions_kept_total") == 1
    assert rows(database, ACCOUNT) == [(12, 0)]
