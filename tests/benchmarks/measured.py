"""One worker on the fixed workload, on real Kafka and TimescaleDB: how long it takes and where the time goes."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

import psycopg
import servers
from reference import MEASURED
from workload import Workload

from ingest.publisher import create_producer
from processors.metrics import STAGES
from schemas import topics
from schemas.wire import encode

_PATIENCE = 900.0


@dataclass(frozen=True)
class Run:
    """What one worker did between its first commit and its last."""

    readings: int
    seconds: float
    steps: int
    stages: dict[str, float]
    """Seconds by stage, of the worker's own clock; stages overlap."""
    worker_seconds: float
    """Processor time of the worker, from its first commit (as far as we look often enough)."""
    database_seconds: float
    """Processor time of its backends."""
    disk: int
    wal: int
    others: int
    """Rows that other databases wrote meanwhile: their WAL counts as ours."""
    fetches: int
    in_flight: int

    @property
    def rate(self) -> float:
        """Readings a second."""
        return self.readings / self.seconds


def fill(
    prefix: str, workload: Workload, first: int, quarters: int, *, begin: bool
) -> dict[int, int]:
    """Write a span's records into the topic; returns how many each partition got."""
    producer = create_producer(servers.kafka(), client_id="weir-bench")
    count = dict.fromkeys(range(workload.partitions), 0)
    topic = prefix + topics.of_generation(topics.READINGS, MEASURED)
    for partition, record in [
        *(workload.beginning() if begin else ()),
        *workload.records(first, quarters),
    ]:
        producer.send(topic, encode(record), partition=partition)
        count[partition] += 1
    producer.flush()
    producer.close()
    return count


def measure(url: str, prefix: str, ends: dict[int, int]) -> Run:
    """Start a worker, wait until it is at these offsets and has published, stop it."""
    with psycopg.connect(url, autocommit=True) as link:
        link.execute("CHECKPOINT")
        steps = link.execute("SELECT coalesce(max(id), 0) FROM step").fetchone()
        last_step = int(steps[0]) if steps else 0
        disk, wal, others = (
            servers.bytes_on_disk(link),
            servers.wal_position(link),
            servers.writes_of_others(link),
        )
        with _worker(url, prefix) as (process, port):
            worker_begun, database_begun = _wait(link, process, ends)
            metrics = _metrics(port)
            worker_seconds = servers.process_seconds(process.pid) - worker_begun
            database_seconds = servers.backend_seconds(link) - database_begun
        wal, others = servers.wal_position(link) - wal, servers.writes_of_others(link) - others
        disk = servers.bytes_on_disk(link) - disk
        row = link.execute(
            """SELECT count(*), coalesce(sum(readings), 0),
                 coalesce(sum(readings) FILTER (WHERE id > first), 0), extract(epoch FROM max(committed_at) - min(committed_at))
               FROM (SELECT *, min(id) OVER () AS first FROM step WHERE id > %s) AS mine""",
            (last_step,),
        ).fetchone()
    if row is None or not row[3]:
        message = "the worker made fewer than two steps: take more quarter hours"
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
        worker_seconds=worker_seconds / whole,
        database_seconds=database_seconds / whole,
        disk=disk // 1,
        wal=wal,
        others=others,
        fetches=int(metrics["weir_fetches_total"]),
        in_flight=int(metrics["weir_fetches_in_flight_total"]),
    )


@contextmanager
def _worker(url: str, prefix: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    settings = {
        "WEIR_KAFKA": servers.kafka(),
        "WEIR_DATABASE_URL": url,
        "WEIR_GENERATION": str(MEASURED),
        "WEIR_TOPIC_PREFIX": prefix,
    }
    command = [sys.executable, "-m", "processors", "worker", "--metrics-port", "0"]
    with subprocess.Popen(
        command,
        env={**os.environ, **settings},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        try:
            yield process, _port(process.stderr)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _port(lines: IO[str]) -> int:
    """The port that the worker says; its further words go on to ours."""
    for line in lines:
        found = re.search(r"127\.0\.0\.1:(\d+)/metrics", line)
        if found:
            _pass_on(lines)
            return int(found[1])
        sys.stderr.write(line)
    message = "the worker ended before it began"
    raise SystemExit(message)


def _pass_on(lines: IO[str]) -> None:
    import threading

    def run() -> None:
        for line in lines:
            if " INFO " not in line:
                sys.stderr.write(line)

    threading.Thread(target=run, daemon=True).start()


def _wait(
    link: psycopg.Connection, process: subprocess.Popen[str], ends: dict[int, int]
) -> tuple[float, float]:
    """Until every partition is at its end and what was told is published; gives the processor times at the first commit."""
    deadline = time.monotonic() + _PATIENCE
    told = time.monotonic()
    begun: tuple[float, float] | None = None
    came: int | None = None
    while time.monotonic() < deadline:
        rows = link.execute(
            "SELECT partition, next_offset, outbox_offset FROM partition WHERE generation = %s",
            (MEASURED,),
        ).fetchall()
        at = {partition: (following, published) for partition, following, published in rows}
        done = sum(following for following, _ in at.values())
        came = done if came is None else came
        if begun is None and done > came:
            begun = servers.process_seconds(process.pid), servers.backend_seconds(link)
        if done >= sum(ends.values()) and not _unpublished(link):
            return begun or (0.0, 0.0)
        if process.poll() is not None:
            message = f"the worker ended with {process.returncode}"
            raise SystemExit(message)
        if time.monotonic() - told > 10:
            told = time.monotonic()
            print(f"    {done:,} of {sum(ends.values()):,} records", flush=True)
        time.sleep(0.1 if begun is None else 0.5)
    message = f"the worker did not finish within {_PATIENCE:.0f} s"
    raise SystemExit(message)


def _unpublished(link: psycopg.Connection) -> bool:
    row = link.execute(
        """SELECT EXISTS (SELECT FROM partition p JOIN outbox o USING (generation, partition)
           WHERE generation = %s AND (o."offset", o.position, o.number) > (p.outbox_offset, p.outbox_position, p.outbox_number))""",
        (MEASURED,),
    ).fetchone()
    return bool(row and row[0])


def _metrics(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return {
        name: float(value)
        for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    }
