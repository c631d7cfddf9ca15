"""The worker as a process of its own, on real servers; and what it left in the database."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic
from uuid import uuid4

import psycopg
from kafka import KafkaAdminClient, KafkaProducer

from processors import migrate
from schemas.indicator import Message

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
TABLES = b"""alert_partition, alert_unit, alert_state, alert_transition, alert_delivery,
    alert_refused, alert_case_queue, alert_case, alert_case_member, alert_ack, alert_silence,
    alert_word, alert_message, act"""


def wait_until(condition: Callable[[], bool], what: str, *, seconds: float = PATIENCE_S) -> None:
    """Wait, and fail with a word: a short drain looks like loss."""
    pause = threading.Event()
    end = monotonic() + seconds
    while not condition():
        assert monotonic() < end, f"{what}: not within {seconds} s"
        pause.wait(0.05)


@contextmanager
def tables_on(server: str) -> Iterator[str]:
    """A database of the test's own with all tables."""
    name = f"weir_test_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as link:
        link.execute(f"CREATE DATABASE {name}".encode())
    try:
        url = f"{server.rsplit('/', 1)[0]}/{name}"
        migrate.up(url)
        yield url
    finally:
        with psycopg.connect(server, autocommit=True) as link:
            link.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def empty_tables(url: str) -> None:
    """Leave no row: a database for each test would cost a second."""
    with psycopg.connect(url, autocommit=True) as link:
        link.execute(b"TRUNCATE " + TABLES)


def end_backends(url: str) -> None:
    """End all connections of a database but our own."""
    with psycopg.connect(url, autocommit=True) as link:
        link.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@contextmanager
def topic_of(bootstrap: str, partitions: int) -> Iterator[str]:
    """Make a topic of the test's own."""
    name = f"test.alerts.{uuid4().hex[:12]}"
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    made = {"num_partitions": partitions, "replication_factor": 1}
    admin.create_topics({name: made}, wait_for_metadata=True)
    try:
        yield name
    finally:
        admin.delete_topics([name])
        admin.close()


def send(bootstrap: str, topic: str, messages: Iterable[Message]) -> int:
    """Send messages, each to its partition; returns how many."""
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    sent = [
        producer.send(
            topic, message.model_dump_json().encode(), partition=message.version.partition
        )
        for message in messages
    ]
    for one in sent:
        one.get(timeout=30)
    producer.close()
    return len(sent)


@dataclass
class Alerts:
    """Workers of one group on one topic and database."""

    environment: Mapping[str, str]
    url: str
    folder: Path
    arguments: tuple[str, ...] = ()
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    count: int = 0

    def start(self, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start one more: `python -m alerts run`, or another command."""
        self.count += 1
        log = self.folder / f"worker-{self.count}.log"
        with log.open("wb") as output:
            worker = subprocess.Popen(
                [sys.executable, *(command or ("-m", "alerts", "run", *self.arguments))],
                env={**os.environ, **self.environment, **environment},
                cwd=ROOT,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.running.append(worker)
        return worker

    def log(self, number: int = -1) -> str:
        """What a worker said; the last one unless told."""
        number = self.count if number == -1 else number
        return (self.folder / f"worker-{number}.log").read_text()

    def kill(self, worker: subprocess.Popen[bytes]) -> None:
        worker.send_signal(signal.SIGKILL)
        worker.wait(10)
        self.running.remove(worker)

    def stop(self) -> None:
        """End all that run."""
        for worker in self.running:
            worker.kill()
            worker.wait(10)
        self.running.clear()

    def query(self, text: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url) as link:
            return link.execute(text.encode()).fetchall()

    def heard(self) -> int:
        """How far the partitions were heard, summed."""
        ((total,),) = self.query("SELECT coalesce(sum(next_offset), 0) FROM alert_partition")
        return int(str(total))

    def undelivered(self) -> int:
        ((number,),) = self.query(
            "SELECT count(*) FROM alert_delivery WHERE delivered_at IS NULL AND refused_at IS NULL"
        )
        return int(str(number))

    def wait_heard(self, number: int) -> None:
        wait_until(lambda: self.heard() >= number, f"{number} messages heard")

    def wait_delivered(self) -> None:
        wait_until(lambda: self.undelivered() == 0, "everything delivered")

    def transitions(self) -> list[tuple[str, str]]:
        """(unit, id) in the order of their commit."""
        rows = self.query("SELECT unit, id FROM alert_transition ORDER BY seq")
        return [(str(unit), str(one)) for unit, one in rows]


def get(address: str, path: str) -> tuple[int, str]:
    """Answer of an HTTP server on the loopback."""
    host, _, port = address.removeprefix("http://").partition(":")
    connection = HTTPConnection(host, int(port), timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def firing_in(alertmanager: str, units: str) -> set[tuple[str, str]]:
    """(alertname, unit) of what fires in Alertmanager, of units that match a pattern."""
    query = f"?filter=unit%3D~%22{units}%22&active=true"
    status, text = get(alertmanager, f"/api/v2/alerts{query}")
    assert status == 200, text
    return {(one["labels"]["alertname"], one["labels"]["unit"]) for one in json.loads(text)}
