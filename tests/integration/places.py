"""A Weir of a test's own on the local servers: a database, topics, and processes that end with it."""

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO
from uuid import uuid4

import psycopg
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from deploy.local.parts import LocalParts
from deploy.local.state import CHECKOUT
from ingest.topics_admin import create_topics
from processors.migrate import login
from schemas import topics

PATIENCE_S = 90.0
Pipe = IO[bytes] | int | None
_UNPUBLISHED = """
SELECT count(*) FROM outbox o JOIN partition p USING (generation, partition)
WHERE (o."offset", o.position, o.number) > (p.outbox_offset, p.outbox_position, p.outbox_number)
"""


@dataclass
class Place:
    """Where the processes under test live."""

    environment: dict[str, str]
    database: str
    prefix: str
    partitions: int
    folder: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(
        self, name: str, *words: str, stdin: Pipe = None, stdout: Pipe = None, **settings: str
    ) -> subprocess.Popen[bytes]:
        """Start `python -m WORDS`; what it says is kept by its name."""
        with self.log(name).open("ab") as log:
            self.running[name] = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=CHECKOUT,
                env=self.environment | settings,
                stdin=stdin or subprocess.DEVNULL,
                stdout=stdout or log,
                stderr=log,
            )
        return self.running[name]

    def stop(self, name: str) -> int:
        """End one in order; its exit code."""
        process = self.running.pop(name)
        process.terminate()
        try:
            return process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait(10)

    def log(self, name: str) -> Path:
        """Where a process's words go."""
        return self.folder / f"{name}.log"

    def run(self, *words: str, source: Path = Path(os.devnull), **settings: str) -> bytes:
        """What `python -m WORDS` prints of a file on its standard input; it must end 0."""
        with source.open("rb") as given:
            done = subprocess.run(
                [sys.executable, "-m", *words],
                cwd=CHECKOUT,
                env=self.environment | settings,
                stdin=given,
                stdout=subprocess.PIPE,
                check=True,
                timeout=PATIENCE_S,
            )
        return done.stdout

    def wait(
        self, condition: Callable[[], bool], what: str, *, seconds: float = PATIENCE_S
    ) -> None:
        """Wait until it holds, and fail with the end of the logs when a process ends before."""
        deadline = time.monotonic() + seconds
        while not condition():
            ended = [name for name, process in self.running.items() if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                tails = "\n".join(self._tail(name) for name in self.running)
                why = f"{', '.join(ended)} ended" if ended else f"not within {seconds} s"
                message = f"{what}: {why}\n{tails}"
                raise AssertionError(message)
            time.sleep(0.05)

    def _tail(self, name: str) -> str:
        lines = self.log(name).read_text(errors="replace").splitlines()
        return "\n".join([f"--- {name}", *lines[-15:]])

    def query(self, statement: str, *values: object) -> list[TupleRow]:
        """Rows of the database."""
        with psycopg.connect(self.database) as link:
            return link.execute(statement.encode(), values).fetchall()

    def next_offsets(self, table: str = "partition") -> dict[int, int]:
        """Where each partition goes on, by the database; of the alerts in `alert_partition`."""
        return dict(self.query(f"SELECT partition, next_offset FROM {table}"))  # noqa: S608 - our own names

    def ends(self, topic: str) -> dict[int, int]:
        """Where each partition of a topic ends."""
        with self._consumer() as consumer:
            ends = consumer.end_offsets(self._partitions(topic))
        return {one.partition: int(end) for one, end in ends.items()}

    def wait_digested(self) -> None:
        """Until the worker is at the log's end, and all it told is on the topic."""
        ends = self.ends(topics.READINGS)
        self.wait(lambda: self.next_offsets() == ends, f"digested up to {ends}")
        self.wait_published()

    def wait_published(self) -> None:
        """Until all that was told is on its topic."""
        self.wait(lambda: self.query(_UNPUBLISHED) == [(0,)], "all that was told is published")

    def delete(self, names: list[str]) -> None:
        """Delete those of these topics that are there."""
        admin = KafkaAdminClient(bootstrap_servers=self.environment["WEIR_KAFKA"])
        there = set(admin.list_topics())
        admin.delete_topics([self.prefix + name for name in names if self.prefix + name in there])
        admin.close()

    def records(self, topic: str) -> dict[int, list[bytes]]:
        """What a topic holds up to its present end, by partition."""
        found: dict[int, list[bytes]] = defaultdict(list)
        with self._consumer() as consumer:
            places = self._partitions(topic)
            consumer.assign(places)
            consumer.seek_to_beginning(*places)
            ends = consumer.end_offsets(places)
            while any(consumer.position(one) < ends[one] for one in places):
                for one, records in consumer.poll(timeout_ms=500).items():
                    found[one.partition] += [record.value for record in records]
        return found

    @contextmanager
    def _consumer(self) -> Iterator[KafkaConsumer]:
        consumer = KafkaConsumer(
            bootstrap_servers=self.environment["WEIR_KAFKA"], enable_auto_commit=False
        )
        try:
            yield consumer
        finally:
            consumer.close()

    def _partitions(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(self.prefix + topic, number) for number in range(self.partitions)]


@contextmanager
def stewards(url: str) -> Iterator[tuple[str, str]]:
    """Addresses of two logins that may restate, one by proposing and one by approving."""
    names = [f"weir_test_steward_{uuid4().hex[:8]}" for _ in range(2)]
    for name in names:
        login(url, name, role="weir_steward", password=name)
    at = conninfo_to_dict(url)
    try:
        one, two = (make_conninfo(**at | {"user": name, "password": name}) for name in names)
        yield one, two
    finally:
        with psycopg.connect(url, autocommit=True) as link:
            for name in names:
                link.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def restate(place: "Place", *packs: str) -> str:
    """Bring packs into force by two logins; what the second one was told."""
    with stewards(place.database) as (one, two):
        more = [word for pack in packs for word in ("--pack", pack)]
        words = ["processors", "restate", *more, "--reason", "published late", "--json"]
        made = json.loads(place.run(*words, WEIR_DATABASE_URL=one))
        words = [
            "--approve",
            str(made["proposal"]),
            "--hash",
            made["hash"][:12],
            "--reason",
            "read",
        ]
        return place.run("processors", "restate", *words, WEIR_DATABASE_URL=two).decode()


@contextmanager
def place_of(database: str, folder: Path, *, partitions: int) -> Iterator[Place]:
    """Topics beside a database; both the processes and the topics are gone in the end."""
    kafka = os.environ.get("WEIR_TEST_KAFKA") or LocalParts().endpoints().kafka
    prefix = f"weir.test.{uuid4().hex[:12]}."
    create_topics(kafka, partitions=partitions, say=lambda _: None, prefix=prefix)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("WEIR_")},
        "WEIR_KAFKA": kafka,
        "WEIR_DATABASE_URL": database,
        "WEIR_TOPIC_PREFIX": prefix,
        "WEIR_PARTITIONS": str(partitions),
    }
    place = Place(environment, database, prefix, partitions, folder)
    try:
        yield place
    finally:
        for name in list(place.running):
            place.stop(name)
        admin = KafkaAdminClient(bootstrap_servers=kafka)
        admin.delete_topics([prefix + topic.name for topic in topics.wanted(partitions)])
        admin.close()
