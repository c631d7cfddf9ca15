"""The comparison row: what a worker as tutorials write it comes to, on the same machine in the same run."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import measured
import psycopg
import servers
from plan import Bench
from reference import MEASURED
from workload import PAIR, START, Workload

from ingest.publisher import create_producer
from schemas.calendar import QUARTER_MS

_PATIENCE = 600.0
_PROGRAM = Path(__file__).parent / "others" / "tutorial.py"


def tutorial(bench: Bench) -> None:
    """Of all readings; the sums it makes of them must be right."""
    name = "a worker as tutorials write it"
    workload = Workload(units=200 if bench.plan.runs == 1 else 2_000, late=0, repeated=0)
    with (
        servers.database(migrated=False) as url,
        servers.topic_prefix(workload.partitions, MEASURED) as prefix,
    ):
        count, total = _fill(prefix, workload)
        bench.say(f"{name}: {count:,} records")
        environment = os.environ | {
            "KAFKA": servers.kafka(),
            "TOPIC": measured.topic_of(prefix),
            "DATABASE_URL": url,
        }
        with subprocess.Popen([sys.executable, str(_PROGRAM)], env=environment) as process:
            try:
                seconds, first = _wait(url, process, count)
            finally:
                process.terminate()
        with psycopg.connect(url) as link:
            sums = link.execute(
                "SELECT kind, sum(value)::bigint FROM used GROUP BY kind ORDER BY kind"
            ).fetchall()
    correct = sums == [("day", total), ("hour", total), ("quarter", total)]
    rate = (count - first) / seconds
    bench.table.add(name, rate / bench.yardstick, "of the yardstick", correct=correct)
    bench.table.add("  rate", rate, "readings/s", correct=correct)


def _fill(prefix: str, workload: Workload) -> tuple[int, int]:
    """A pair of quarter hours, a reading a record; how many, and the sum of their values."""
    producer = create_producer(servers.kafka(), client_id="weir-bench")
    count = total = 0
    for number in range(workload.units):
        unit = workload.code(number)
        for point, load in enumerate(workload.load(number).tolist()):
            for quarter in range(PAIR):
                at = START + quarter * QUARTER_MS
                told = {"unit": unit, "point": f"E{point}", "at": at, "value": load}
                partition = number % workload.partitions
                payload = json.dumps(told).encode()
                producer.send(measured.topic_of(prefix), payload, partition=partition)
                count, total = count + 1, total + load
    producer.flush()
    producer.close()
    return count, total


def _wait(url: str, process: "subprocess.Popen[bytes]", count: int) -> tuple[float, int]:
    """Seconds from the first commit that is seen to the last, and how many readings the first had."""
    deadline = time.monotonic() + _PATIENCE
    began, first = 0.0, 0
    with psycopg.connect(url, autocommit=True) as link:
        while time.monotonic() < deadline and process.poll() is None:
            stored = _stored(link)
            if stored and not first:
                began, first = time.monotonic(), stored
            if stored >= count:
                return time.monotonic() - began, first
            time.sleep(0.1)
    message = f"the tutorial's worker did not store {count:,} readings"
    raise SystemExit(message)


def _stored(link: psycopg.Connection) -> int:
    there = link.execute("SELECT to_regclass('reading') IS NOT NULL").fetchone()
    row = link.execute("SELECT count(*) FROM reading").fetchone() if there and there[0] else None
    return int(row[0]) if row else 0
