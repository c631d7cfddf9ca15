"""A worker killed at the worst moments: nothing is lost, nothing counted twice, and what it tells is the same."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from kafka import KafkaProducer

from deploy.local.parts import LocalParts
from ingest.topics_admin import create_topics
from processors import migrate
from processors.engine import Engine
from processors.memory import MemoryStore, drive
from processors.store import Store
from schemas import topics
from schemas.factors import default_pack
from schemas.section import Record
from schemas.wire import decode, encode

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from workload import Workload

PARTITIONS = 4
POINTS = ("before commit", "commit sent", "before acknowledge", "during load")
TIMES = 3
LEAST_RATE = 20_000


@dataclass
class Place:
    """Where the worker under test lives."""

    environment: dict[str, str]
    database: str
    errors: Path
    prefix: str


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A database and topics of our own on the local servers."""
    parts = LocalParts().up(["kafka", "database"])
    name = f"kills{os.getpid()}"
    with psycopg.connect(parts.database_url, autocommit=True) as link:
        link.execute(f"CREATE DATABASE {name}")
    url = f"{parts.database_url.rpartition('/')[0]}/{name}"
    migrate.up(url)
    prefix = f"{name}."
    create_topics(parts.kafka, partitions=PARTITIONS, say=lambda _: None, prefix=prefix)
    environment = os.environ | {
        "WEIR_KAFKA": parts.kafka,
        "WEIR_DATABASE_URL": url,
        "WEIR_TOPIC_PREFIX": prefix,
        "WEIR_PARTITIONS": str(PARTITIONS),
    }
    yield Place(dict(environment), url, tmp_path_factory.mktemp("kills") / "worker.log", prefix)
    with psycopg.connect(parts.database_url, autocommit=True) as link:
        link.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _log(workload: Workload) -> list[tuple[int, int, bytes]]:
    offsets = dict.fromkeys(range(PARTITIONS), 0)
    found = []
    for partition, record in [*workload.beginning(), *workload.records(0, 24)]:
        found.append(
            (partition, offsets[partition], encode(_renumbered(record, offsets[partition])))
        )
        offsets[partition] += 1
    return found


def _renumbered(record: Record, offset: int) -> Record:
    return Record("kills", 1, offset, record.body)


def _publish(place: Place, log: list[tuple[int, int, bytes]]) -> None:
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
    command = [
        sys.executable,
        "-m",
        "processors",
        "worker",
        "--session",
        "3",
        "--step-records",
        "200",
        "--metrics-port",
        "0",
    ]
    environment = place.environment | {"WEIR_TEST_STOP_AT": stop_at}
    with place.errors.open("ab") as errors:
        return subprocess.Popen(command, env=environment, stderr=errors, stdout=subprocess.DEVNULL)


def _wait_stopped(
    place: Place, since: int, worker: subprocess.Popen[bytes], seconds: float = 90
) -> str:
    """The line in which the worker says where it stopped."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        text = place.errors.read_bytes()[since:].decode(errors="replace")
        if found := re.search(r"stopped at: .*", text):
            return found.group()
        assert worker.poll() is None, text[-3000:]
        time.sleep(0.02)
    raise AssertionError(place.errors.read_text(errors="replace")[-3000:])


def _offsets(place: Place) -> dict[int, int]:
    with psycopg.connect(place.database) as link:
        return dict(link.execute("SELECT partition, next_offset FROM partition").fetchall())


def _kill_at(place: Place, point: str, count: int) -> str:
    since = place.errors.stat().st_size if place.errors.exists() else 0
    before = _offsets(place)
    worker = _start(place, f"{point}:{count}")
    try:
        told = _wait_stopped(place, since, worker)
        if point == "commit sent":
            _wait_done(place, before)
    finally:
        worker.kill()
        worker.wait()
    return told


def _wait_done(place: Place, before: dict[int, int]) -> None:
    """The server shows the commit done, while its reply is not read."""
    deadline = time.monotonic() + 10
    while _offsets(place) == before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _drain(place: Place, ends: dict[int, int]) -> None:
    """Let a worker run to the end of the log."""
    worker = _start(place)
    try:
        deadline = time.monotonic() + 180
        while _offsets(place) != ends:
            assert worker.poll() is None, place.errors.read_text(errors="replace")[-3000:]
            assert time.monotonic() < deadline, (_offsets(place), ends)
            time.sleep(0.05)
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(timeout=30)


def _without_kills(workload: Workload, log: list[tuple[int, int, bytes]]) -> MemoryStore:
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
    """Three kills at each point, a step prepared ahead; hours, states, account and all that was told equal a run without kills."""
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
        at = _offsets(place)
        assert all(at[p] < ends[p] for p in ends), (
            "the log was too short: the kills must fall into the load"
        )
        assert [
            line for line in told if "during load" not in line and "ahead: True" not in line
        ] == []
        _drain(place, ends)
        _compare(place, store, _without_kills(workload, log))


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
            "SELECT count(*), sum(array_length(value, 1)), sum((SELECT sum(v) FROM unnest(value) v)) FROM reading_record"
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
