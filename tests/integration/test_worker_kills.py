"""A worker killed at the worst moments: nothing is lost, nothing counted twice, and what it tells is the same.

Held against an engine that nobody kills, for all units; and against the oracle, for a few.
"""

import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from kafka import KafkaProducer

from oracle import Outcome, judge_log, window_figures
from processors.engine import Engine
from processors.memory import MemoryStore, drive
from processors.ports import OutboxRow
from processors.store import Store
from schemas import topics
from schemas.calendar import DAY_MS, HOUR_MS, QUARTER_MS, WindowKind, moment
from schemas.factors import default_pack
from schemas.indicator import Judged
from schemas.registry import Configuration
from schemas.section import Record, Section
from schemas.wire import decode, encode
from tests.integration.places import Place, place_of
from tests.processors import laws_oracle
from tests.processors.laws_stored import told as told_of

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from workload import PAIR, START, Workload

PARTITIONS = 4
POINTS = ("before commit", "commit sent", "before acknowledge", "during load")
TIMES = 3
LEAST_RATE = 20_000
QUARTERS = 24
WORKER = ("--session", "3", "--step-records", "200", "--metrics-port", "0")

Log = list[tuple[int, int, bytes]]
"""(partition, offset, value)."""
Window = tuple[str, WindowKind, int]
"""Unit, kind, start."""


@pytest.fixture(scope="module")
def place(shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A database and topics of our own on the local servers."""
    folder = tmp_path_factory.mktemp("kills")
    with place_of(shared_database, folder, partitions=PARTITIONS) as place:
        yield place


def _log(workload: Workload) -> Log:
    offsets = dict.fromkeys(range(PARTITIONS), 0)
    found = []
    for partition, record in [*workload.beginning(), *workload.records(0, QUARTERS)]:
        found.append(
            (partition, offsets[partition], encode(_renumbered(record, offsets[partition])))
        )
        offsets[partition] += 1
    return found


def _renumbered(record: Record, offset: int) -> Record:
    return Record("kills", 1, offset, record.body)


def _publish(place: Place, log: Log) -> None:
    producer = KafkaProducer(
        bootstrap_servers=place.environment["WEIR_KAFKA"],
        acks="all",
        linger_ms=20,
        batch_size=262_144,
    )
    for partition, _, value in log:
        producer.send(place.prefix + topics.READINGS, value, partition=partition)
    producer.flush()
    producer.close()


def _start(place: Place, stop_at: str = "") -> subprocess.Popen[bytes]:
    return place.start("worker", "processors", "worker", *WORKER, WEIR_TEST_STOP_AT=stop_at)


def _wait_stopped(
    place: Place, since: int, worker: subprocess.Popen[bytes], seconds: float = 90
) -> str:
    """The line in which the worker says where it stopped."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        text = place.log("worker").read_bytes()[since:].decode(errors="replace")
        if found := re.search(r"stopped at: .*", text):
            return found.group()
        assert worker.poll() is None, text[-3000:]
        time.sleep(0.02)
    raise AssertionError(place.log("worker").read_text(errors="replace")[-3000:])


def _kill_at(place: Place, point: str, count: int) -> str:
    since = place.log("worker").stat().st_size if place.log("worker").exists() else 0
    before = place.next_offsets()
    worker = _start(place, f"{point}:{count}")
    try:
        told = _wait_stopped(place, since, worker)
        if point == "commit sent":
            _wait_done(place, before)
    finally:
        place.running.pop("worker").kill()
        worker.wait()
    return told


def _wait_done(place: Place, before: dict[int, int]) -> None:
    """The server shows the commit done, while its reply is not read."""
    place.wait(lambda: place.next_offsets() != before, "the commit is done", seconds=10)


def _drain(place: Place, ends: dict[int, int]) -> None:
    """Let a worker run to the end of the log."""
    _start(place)
    place.wait(lambda: place.next_offsets() == ends, f"drained up to {ends}", seconds=180)
    place.stop("worker")


def _without_kills(workload: Workload, log: Log) -> MemoryStore:
    """The same log through an engine that nobody kills, in steps of another size."""
    store = MemoryStore()
    engine = Engine(default_pack(), {1: workload.configuration()}, PARTITIONS)
    for i in range(0, len(log), 777):
        step = drive(
            engine.step([(p, o, decode(value)) for p, o, value in log[i : i + 777]]), store
        )
        store.write(step)
        engine.clear()
    return store


@pytest.mark.timeout(600)
def test_a_killed_worker_loses_nothing_and_doubles_nothing(place: Place) -> None:
    """Three kills at each point, a step prepared ahead: the figures of a run without kills, and the oracle's."""
    workload = Workload(units=600, points=50, partitions=PARTITIONS, late=0.004, repeated=0.002)
    log = _log(workload)
    with closing(Store(place.database)) as store:
        store.save_configuration(workload.configuration())
        began = time.monotonic()
        _publish(place, log)
        readings = len(log) * workload.readings_a_record
        assert readings / (time.monotonic() - began) > LEAST_RATE, "the load that is offered"
        told = [
            _kill_at(place, point, 1 if point == "during load" else 2)
            for point in POINTS
            for _ in range(TIMES)
        ]
        ends: dict[int, int] = {}
        for partition, offset, _ in log:
            ends[partition] = offset + 1
        at = place.next_offsets()
        assert all(at[p] < ends[p] for p in ends), (
            "the log was too short: the kills must fall into the load"
        )
        assert [
            line for line in told if "during load" not in line and "ahead: True" not in line
        ] == []
        _drain(place, ends)
        _compare(place, store, _without_kills(workload, log))
    _compare_with_oracle(place, workload.configuration(), log)


def _compare(place: Place, store: Store, expected: MemoryStore) -> None:
    with psycopg.connect(place.database) as link:
        hours = link.execute(
            "SELECT u.code, h.quantity::text, h.hour, h.best, h.unknown_best, h.unknown_high, h.measured_ms, h.inexact, h.before_low,"
            " h.before_high, h.after_low, h.after_high, h.fingerprint FROM hour h JOIN unit u ON u.id = h.unit"
        ).fetchall()
        account = link.execute(
            "SELECT u.code, a.day::text, accepted, repeated, superseded, rejected, unreadable FROM account a JOIN unit u ON u.id = a.unit"
        ).fetchall()
        outbox = link.execute(
            'SELECT partition, "offset", position, number, payload FROM outbox'
        ).fetchall()
        readings = link.execute(
            """SELECT count(*), sum(array_length(point, 1)), sum(
                (SELECT sum(coalesce(v, value_from + n * value_times)) FROM unnest(value, narrow_value) AS u (v, n))) FROM reading_record"""
        ).fetchone()
    assert {(row[0], row[1], row[2]): tuple(row[3:]) for row in hours} == {
        (unit, quantity, hour): numbers
        for unit, rows in expected.hours.items()
        for (hour, quantity), numbers in rows.items()
    }
    assert {(row[0], row[1]): tuple(row[2:]) for row in account} == {
        key: value for key, value in expected.account.items() if any(value)
    }
    assert {tuple(row[:4]): bytes(row[4]) for row in outbox} == {
        (row.partition, row.offset, row.position, row.number): row.payload
        for row in expected.outbox
    }
    total = sum(int(row.value.sum()) for row in expected.readings)
    assert readings == (
        len(expected.readings),
        sum(len(row.value) for row in expected.readings),
        total,
    )
    states = {
        state.unit: state.blob for partition in range(PARTITIONS) for state in store.load(partition)
    }
    assert states == {unit: state.blob for unit, state in expected.states.items()}


# ---- The oracle's word on a few units


def _compare_with_oracle(place: Place, configuration: Configuration, log: Log) -> None:
    """All that was told of them, their windows as they rest, and every hour by the SQL function."""
    few = _few(log)
    registry = configuration.registry
    units = tuple(unit for unit in registry.units if unit.code in few)
    narrow = configuration.model_copy(
        update={"registry": registry.model_copy(update={"units": units})}
    )
    outcome = judge_log(_of_few(log, few), {1: narrow}, default_pack(), PARTITIONS)
    assert outcome.units == sorted(few)
    messages = laws_oracle.messages(outcome)
    assert laws_oracle.differences(told_of(_told(place, few)), messages) == []
    assert _windows(place, few) == _last_windows(messages)
    for unit in few:
        assert _figures(place, unit) == _figures_of_oracle(outcome, unit)


def _few(log: Log) -> set[str]:
    """One unit of each kind: plain, something late, something twice, something missing."""
    spoken: dict[str, list[int]] = defaultdict(list)
    for _, _, value in log:
        body = decode(value).body
        for part in body if isinstance(body, tuple) else ():
            if isinstance(part, Section) and isinstance(part.sent_at, int):
                spoken[part.unit].append(part.sent_at)
    few = {_oddity(times): code for code, times in sorted(spoken.items())}
    assert len(few) >= 4
    return set(few.values())


def _oddity(times: list[int]) -> tuple[bool, bool, bool]:
    """Whether something came late, twice, not at all."""
    late, twice = times != sorted(times), len(times) > len(set(times))
    return late, twice, len(set(times)) < QUARTERS // PAIR


def _of_few(log: Log, few: set[str]) -> list[tuple[int, int, Record]]:
    """The log, every record at its offset, of these units alone."""
    found = []
    for partition, offset, value in log:
        record = decode(value)
        body = record.body
        if isinstance(body, tuple):
            body = tuple(part for part in body if part.unit in few)
        found.append((partition, offset, Record(record.door, 1, offset, body)))
    return found


def _told(place: Place, few: set[str]) -> MemoryStore:
    """What the outbox says of them."""
    query = (
        'SELECT partition, "offset", position, number, key, payload FROM outbox WHERE key = ANY(%s)'
    )
    store = MemoryStore()
    store.outbox = [OutboxRow(*row) for row in place.query(query, [*few])]
    return store


def _windows(place: Place, few: set[str]) -> dict[Window, laws_oracle.Told]:
    """Days, months and years as last told, in the tables."""
    query = "SELECT code, judged::text FROM unit_window JOIN unit ON id = unit WHERE code = ANY(%s)"
    rows = [
        (unit, Judged.model_validate_json(judged)) for unit, judged in place.query(query, [*few])
    ]
    return {
        (unit, *key): window
        for unit, judged in rows
        for key, window in laws_oracle.as_told((judged,)).items()
    }


def _last_windows(
    messages: dict[laws_oracle.Place, laws_oracle.Message],
) -> dict[Window, laws_oracle.Told]:
    """The same, of the oracle's messages."""
    return {
        (unit, *key): window
        for (_, _, _, unit), message in sorted(messages.items(), key=lambda item: item[0][:3])
        for key, window in message.windows.items()
        if key[0] != "hour"
    }


def _spans() -> list[tuple[int, int]]:
    """Each hour of the log, and the day."""
    hours = range(START, START + QUARTERS * QUARTER_MS, HOUR_MS)
    return [*((hour, hour + HOUR_MS) for hour in hours), (START, START + DAY_MS)]


def _figures(place: Place, unit: str) -> list[dict[str, tuple[object, ...]]]:
    """By the database's own function, in 10⁻⁶."""
    query = """SELECT quantity, (low * 1e6)::bigint, (best * 1e6)::bigint, (high * 1e6)::bigint,
               (share_measured * 1e6)::bigint FROM figures(%s, %s, %s)"""
    return [
        {name: tuple(rest) for name, *rest in place.query(query, unit, *map(moment, span))}
        for span in _spans()
    ]


def _figures_of_oracle(outcome: Outcome, unit: str) -> list[dict[str, tuple[object, ...]]]:
    world = outcome.world(unit)
    return [
        {name: tuple(figure) for name, figure in window_figures(world, *span).items()}
        for span in _spans()
    ]
