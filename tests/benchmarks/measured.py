"""Workers on a log, on real Kafka and TimescaleDB: how long they take and where the time goes."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psycopg
import servers
from reference import MEASURED
from workload import Workload

from deploy.local.state import CHECKOUT
from ingest.publisher import create_producer
from processors.metrics import STAGES
from schemas import topics
from schemas.wire import encode

_PATIENCE = 900.0
_SESSION = "120"
"""Seconds: workers are frozen while the log is filled, and must not leave their group by that."""


@dataclass(frozen=True)
class Run:
    """What workers did between their first commit and their last."""

    readings: int
    seconds: float
    steps: int
    stages: dict[str, float]
    """Seconds by stage, of the workers' own clocks; stages overlap."""
    worker_seconds: float
    """Processor time of the workers, from the first commit (as far as we look often enough)."""
    database_seconds: float
    """Processor time of their backends."""
    disk: int
    wal: int
    others: int
    """Rows that other databases wrote meanwhile: their WAL counts as ours."""
    fetches: int
    in_flight: int
    memory: float
    """MiB that the largest worker ever had."""
    memory_after: float
    """MiB that it has at the end."""

    @property
    def rate(self) -> float:
        """Readings a second."""
        return self.readings / self.seconds


@dataclass
class Working:
    """A worker that runs."""

    process: subprocess.Popen[str]
    port: int
    started: float
    """By time.monotonic(), before the process was made."""
    said: list[str] = field(default_factory=list)

    def metrics(self) -> dict[str, float]:
        """Its own figures."""
        address = f"http://127.0.0.1:{self.port}/metrics"
        with urllib.request.urlopen(address, timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return {
            name: float(value)
            for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        }


def encoded(
    workload: Workload, first: int, quarters: int, *, begin: bool
) -> list[tuple[int, bytes]]:
    """A span's records as they go into the topic, by partition."""
    records = [*(workload.beginning() if begin else ()), *workload.records(first, quarters)]
    return [(partition, encode(record)) for partition, record in records]


def send(prefix: str, records: Sequence[tuple[int, bytes]], ends: dict[int, int]) -> dict[int, int]:
    """Write records into the topic; returns where each partition ends then."""
    producer = create_producer(servers.kafka(), client_id="weir-bench")
    ends = dict(ends)
    for partition, payload in records:
        producer.send(topic_of(prefix), payload, partition=partition)
        ends[partition] += 1
    producer.flush()
    producer.close()
    return ends


def topic_of(prefix: str) -> str:
    """The readings' topic of what is measured."""
    return prefix + topics.of_generation(topics.READINGS, MEASURED)


def no_records(workload: Workload) -> dict[int, int]:
    """Where the partitions of an empty log end."""
    return dict.fromkeys(range(workload.partitions), 0)


def measure(
    url: str,
    prefix: str,
    records: Sequence[tuple[int, bytes]],
    ends: dict[int, int],
    *,
    workers: int = 1,
    tree: Path = CHECKOUT,
) -> tuple[Run, dict[int, int]]:
    """Put the records into the log and let workers digest them; also returns where it ends then.

    A worker alone starts on the full log. Several share out the partitions first and are frozen while the log is filled, so that none begins before the others.
    """
    with psycopg.connect(url, autocommit=True) as link, ExitStack() as stack:
        if workers == 1:
            ends = send(prefix, records, ends)
        begun = _Figures.now(link)
        found = [stack.enter_context(worker(url, prefix, tree=tree)) for _ in range(workers)]
        if workers > 1:
            wait_shared_out(found, len(ends))
            with _frozen(found):
                ends = send(prefix, records, ends)
        times = wait_for(link, found, ends)
        run = _run(link, found, begun, times)
    return run, ends


@dataclass(frozen=True)
class _Figures:
    """What the server says of itself."""

    last_step: int
    disk: int
    wal: int
    others: int

    @classmethod
    def now(cls, link: psycopg.Connection) -> "_Figures":
        link.execute("CHECKPOINT")
        row = link.execute("SELECT coalesce(max(id), 0) FROM step").fetchone()
        return cls(
            int(row[0]) if row else 0,
            servers.bytes_on_disk(link),
            servers.wal_position(link),
            servers.writes_of_others(link),
        )


def _run(
    link: psycopg.Connection,
    found: Sequence[Working],
    begun: _Figures,
    times: tuple[float, float],
) -> Run:
    """What the workers did since; they still live."""
    metrics: Counter[str] = Counter()
    for one in found:
        metrics.update(one.metrics())
    pids = [one.process.pid for one in found]
    row = link.execute(
        """SELECT count(*), coalesce(sum(readings), 0),
             coalesce(sum(readings) FILTER (WHERE id > first), 0), extract(epoch FROM max(committed_at) - min(committed_at))
           FROM (SELECT *, min(id) OVER () AS first FROM step WHERE id > %s) AS mine""",
        (begun.last_step,),
    ).fetchone()
    if row is None or not row[3]:
        message = "fewer than two steps were made: take more quarter hours"
        raise SystemExit(message)
    whole = int(row[1])
    return Run(
        readings=int(row[2]),
        seconds=float(row[3]),
        steps=int(row[0]),
        stages={
            stage: metrics[f'weir_stage_seconds_total{{stage="{stage}"}}'] / whole
            for stage in STAGES
        },
        worker_seconds=(sum(map(servers.process_seconds, pids)) - times[0]) / whole,
        database_seconds=(servers.backend_seconds(link) - times[1]) / whole,
        disk=servers.bytes_on_disk(link) - begun.disk,
        wal=servers.wal_position(link) - begun.wal,
        others=servers.writes_of_others(link) - begun.others,
        fetches=int(metrics["weir_fetches_total"]),
        in_flight=int(metrics["weir_fetches_in_flight_total"]),
        memory=max(servers.memory_mib(pid, "VmHWM") for pid in pids),
        memory_after=max(servers.memory_mib(pid, "VmRSS") for pid in pids),
    )


@contextmanager
def worker(url: str, prefix: str, *, tree: Path = CHECKOUT) -> Iterator[Working]:
    """A worker of a checkout, stopped by SIGTERM in the end."""
    settings = {
        "WEIR_KAFKA": servers.kafka(),
        "WEIR_DATABASE_URL": url,
        "WEIR_GENERATION": str(MEASURED),
        "WEIR_TOPIC_PREFIX": prefix,
        "PYTHONPATH": str(tree),
    }
    command = [sys.executable, "-m", "processors", "worker", "--metrics-port", "0"]
    started = time.monotonic()
    with subprocess.Popen(
        [*command, "--session", _SESSION],
        env={**os.environ, **settings},
        cwd=tree,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        try:
            one = Working(process, _port(process.stderr), started)
            _pass_on(process.stderr, one.said)
            yield one
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(25)
            except subprocess.TimeoutExpired:
                process.kill()


def _port(lines: IO[str]) -> int:
    """The port that the worker says."""
    for line in lines:
        found = re.search(r"127\.0\.0\.1:(\d+)/metrics", line)
        if found:
            return int(found[1])
        sys.stderr.write(line)
    message = "the worker ended before it began"
    raise SystemExit(message)


def _pass_on(lines: IO[str], said: list[str]) -> None:
    """The worker's further words: kept, and passed on where they are more than information."""

    def run() -> None:
        for line in lines:
            said.append(line)
            if " INFO " not in line:
                sys.stderr.write(line)

    threading.Thread(target=run, daemon=True).start()


@contextmanager
def _frozen(found: Sequence[Working]) -> Iterator[None]:
    for one in found:
        one.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for one in found:
            one.process.send_signal(signal.SIGCONT)


def wait_shared_out(found: Sequence[Working], partitions: int) -> None:
    """Until each worker owns its share of the partitions."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        owned = [one.metrics()["weir_partitions_owned"] for one in found]
        if min(owned) >= partitions // len(found) and sum(owned) == partitions:
            return
        time.sleep(0.2)
    message = f"the workers did not share out {partitions} partitions"
    raise SystemExit(message)


def wait_for(
    link: psycopg.Connection, found: Sequence[Working], ends: dict[int, int]
) -> tuple[float, float]:
    """Until every partition is at its end and what was told is published; gives the processor times at the first commit."""
    deadline = time.monotonic() + _PATIENCE
    told = time.monotonic()
    begun: tuple[float, float] | None = None
    came: int | None = None
    while time.monotonic() < deadline:
        done = sum(next_offsets(link).values())
        came = done if came is None else came
        if begun is None and done > came:
            seconds = sum(servers.process_seconds(one.process.pid) for one in found)
            begun = seconds, servers.backend_seconds(link)
        if done >= sum(ends.values()) and not _unpublished(link):
            return begun or (0.0, 0.0)
        for one in found:
            if one.process.poll() is not None:
                message = f"a worker ended with {one.process.returncode}"
                raise SystemExit(message)
        if time.monotonic() - told > 10:
            told = time.monotonic()
            print(f"    {done:,} of {sum(ends.values()):,} records", file=sys.stderr, flush=True)
        time.sleep(0.1 if begun is None else 0.5)
    message = f"the log was not digested within {_PATIENCE:.0f} s"
    raise SystemExit(message)


def next_offsets(link: psycopg.Connection) -> dict[int, int]:
    """Where each partition of what is measured goes on, by the database."""
    return dict(
        link.execute(
            "SELECT partition, next_offset FROM partition WHERE generation = %s", (MEASURED,)
        ).fetchall()
    )


def _unpublished(link: psycopg.Connection) -> bool:
    row = link.execute(
        """SELECT EXISTS (SELECT FROM partition p JOIN outbox o USING (generation, partition)
           WHERE generation = %s AND (o."offset", o.position, o.number) > (p.outbox_offset, p.outbox_position, p.outbox_number))""",
        (MEASURED,),
    ).fetchone()
    return bool(row and row[0])
