"""The comparison rows: what others come to with a reading a record, on the same machine in the same run."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import measured
import psycopg
import servers
from kafka import KafkaAdminClient
from others import installed
from plan import Bench
from reference import MEASURED
from workload import PAIR, START, Workload

from deploy.local.complaint import ComplaintError
from ingest.publisher import create_producer
from schemas.calendar import DAY_MS, QUARTER_MS

_PATIENCE = 600.0
_OTHERS = Path(__file__).parent / "others"
_LATE_DAYS = 30
_SETTLED = 5.0
"""Seconds after the last row in which sums still follow; every program commits within one."""


@dataclass(frozen=True)
class Other:
    """A program that reads the topic and fills the table `reading`."""

    name: str
    command: Callable[[], list[str]]
    """May install the program; raises ComplaintError."""
    stored: str
    """How many readings are in the database, in all that is made of them."""
    sums: str
    """Of the values, by table or kind."""
    windows: int
    """How many sums it makes itself; none: `sums` adds up the readings."""
    told: str
    """What it does and does not."""
    units: int = 2_000
    """Of 100 readings each."""
    quick: int = 200
    """Units of a quick run."""


_TUTORIAL = Other(
    name="a worker as tutorials write it",
    command=lambda: [sys.executable, str(_OTHERS / "tutorial.py")],
    stored="SELECT count(*) FROM reading",
    sums="SELECT sum(value)::bigint FROM used GROUP BY kind",
    windows=3,
    told="three sums a unit, kept in memory and lost with the process; offsets are committed after the database",
)
_QUIX = Other(
    name="a Quix Streams job",
    command=lambda: [str(installed.quix_python()), str(_OTHERS / "quix.py")],
    stored="""SELECT least((SELECT count(*) FROM reading), (SELECT sum(readings) FROM quarter),
(SELECT sum(readings) FROM hour), (SELECT sum(readings) FROM day))""",
    sums="""SELECT sum(value)::bigint FROM quarter UNION ALL SELECT sum(value)::bigint FROM hour
UNION ALL SELECT sum(value)::bigint FROM day""",
    windows=3,
    told=f"Quix Streams {installed.QUIX} (Apache-2.0), three sums a point, kept in RocksDB and a changelog topic; "
    "each table and partition is a transaction of its own, offsets are committed after them; its days are those of UTC",
)
_TELEGRAF = Other(
    name="Telegraf, readings stored alone",
    command=lambda: [str(installed.telegraf()), "--config", str(_OTHERS / "telegraf.conf")],
    stored="SELECT count(*) FROM reading",
    sums="SELECT sum(value)::bigint FROM reading",
    windows=0,
    told=f"Telegraf {installed.TELEGRAF} (MIT), kafka_consumer to postgresql: no windows, no sums; offsets are committed after the database",
    units=10_000,
    quick=2_000,
)


def tutorial(bench: Bench) -> None:
    """Readings and sums of a unit."""
    _compare(bench, _TUTORIAL)


def quix(bench: Bench) -> None:
    """Readings and sums of a point."""
    _compare(bench, _QUIX)


def telegraf(bench: Bench) -> None:
    """Readings alone."""
    _compare(bench, _TELEGRAF)


def _compare(bench: Bench, other: Other) -> None:
    """Its rate until all is stored, and that the sums are right; a program that cannot be had is a row that is not correct."""
    units = other.quick if bench.plan.runs == 1 else other.units
    workload = Workload(units=units, late=0, repeated=0)
    name = f"{other.name} ({workload.units * workload.points * PAIR:,} readings)"
    try:
        rate, busy, correct, seen = _measure(other, workload)
    except ComplaintError as complaint:
        bench.table.add(name, 0, "of the yardstick", correct=False)
        bench.table.note(f"{name} was not measured: {complaint.what}")
        return
    bench.table.add(name, rate / bench.yardstick, "of the yardstick", correct=correct)
    bench.table.add("  rate", rate, "readings/s", correct=correct)
    bench.table.add("  its processor time", busy, "us a reading", correct=correct)
    bench.table.note(f"{name}: a reading a record; {other.told}; {seen}.")


def _measure(other: Other, workload: Workload) -> tuple[float, float, bool, str]:
    """Readings a second, microseconds a reading, whether the sums are right, and what became of readings that came again or late."""
    command = other.command()
    with (
        servers.database(migrated=False) as url,
        _topic(workload.partitions) as topic,
        psycopg.connect(url, autocommit=True) as link,
    ):
        count, total = _send(topic, _readings(workload))
        with _running(command, KAFKA=servers.kafka(), TOPIC=topic, DATABASE_URL=url) as process:
            rate, busy = _wait(link, other, process, count)
            correct = _sums(link, other) == [total] * max(1, other.windows)
            seen = _afterwards(link, other, topic, workload)
    return rate, busy, correct, seen


@contextmanager
def _topic(partitions: int) -> Iterator[str]:
    """The topic of readings; what a program made for itself beside it is deleted too."""
    with servers.topic_prefix(partitions, MEASURED) as prefix:
        topic = measured.topic_of(prefix)
        try:
            yield topic
        finally:
            admin = KafkaAdminClient(bootstrap_servers=servers.kafka())
            admin.delete_topics([name for name in admin.list_topics() if f"-{topic}-" in name])
            admin.close()


@contextmanager
def _running(command: list[str], **environment: str) -> Iterator["subprocess.Popen[bytes]"]:
    """The program in a folder of its own; what it says is passed on where it failed."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Path(folder, "log").open("wb") as log,
        subprocess.Popen(
            command, cwd=folder, env=os.environ | environment, stdout=log, stderr=log
        ) as process,
    ):
        try:
            yield process
        except ComplaintError as complaint:
            said = Path(log.name).read_text(errors="replace").strip().splitlines()[-1:]
            raise ComplaintError(": ".join([complaint.what, *said]), complaint.way_out) from None
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()


Reading = tuple[int, dict[str, str | int]]
"""Partition, and what is told."""


def _readings(workload: Workload) -> Iterator[Reading]:
    """A pair of quarter hours of all points."""
    for number in range(workload.units):
        for point, load in enumerate(workload.load(number).tolist()):
            for quarter in range(PAIR):
                yield _reading(workload, number, point, START + quarter * QUARTER_MS, load)


def _reading(workload: Workload, number: int, point: int, at: int, value: int) -> Reading:
    told = {"unit": workload.code(number), "point": f"E{point}", "at": at, "value": value}
    return number % workload.partitions, told


def _send(topic: str, readings: Iterator[Reading]) -> tuple[int, int]:
    """A record a reading, keyed by point; how many, and the sum of their values."""
    producer = create_producer(servers.kafka(), client_id="weir-bench")
    count = total = 0
    for partition, told in readings:
        key = f"{told['unit']}/{told['point']}".encode()
        producer.send(topic, json.dumps(told).encode(), key=key, partition=partition)
        count, total = count + 1, total + int(told["value"])
    producer.flush()
    producer.close()
    return count, total


def _wait(
    link: psycopg.Connection, other: Other, process: "subprocess.Popen[bytes]", count: int
) -> tuple[float, float]:
    """Readings a second and microseconds of processor a reading, from the first commit that is seen to the last."""
    deadline = time.monotonic() + _PATIENCE
    began, busy, first = 0.0, 0.0, 0
    while time.monotonic() < deadline and process.poll() is None:
        asked = time.monotonic()
        stored = _stored(link, other)
        if stored >= count and not first:
            message = f"all {count:,} readings came in one commit: too few to measure"
            raise ComplaintError(message, "let it have more")
        if stored and not first:
            began, busy, first = time.monotonic(), servers.process_seconds(process.pid), stored
        elif stored >= count:
            counted = count - first
            busy = servers.process_seconds(process.pid) - busy
            return counted / (time.monotonic() - began), busy / counted * 1e6
        # Counting takes a core from what is measured: a sixth of one at most.
        time.sleep(max(0.1, 5 * (time.monotonic() - asked)))
    message = f"it did not store {count:,} readings"
    raise ComplaintError(message, "run it by hand")


def _stored(link: psycopg.Connection, other: Other) -> int:
    there = link.execute("SELECT to_regclass('reading') IS NOT NULL").fetchone()
    row = link.execute(other.stored.encode()).fetchone() if there and there[0] else None
    return int(row[0] or 0) if row else 0


def _sums(link: psycopg.Connection, other: Other) -> list[int]:
    return [int(value) for (value,) in link.execute(other.sums.encode())]


def _afterwards(link: psycopg.Connection, other: Other, topic: str, workload: Workload) -> str:
    """What a reading that comes again, and one that comes late, do to rows and sums."""
    again = _reading(workload, 0, 0, START, int(workload.load(0)[0]))
    late = _reading(workload, 0, 0, START - _LATE_DAYS * DAY_MS, 1)
    rows, sums = _rows(link), _sums(link, other)
    _send(topic, iter((again, late)))
    deadline = time.monotonic() + _PATIENCE
    while _rows(link) == rows:
        if time.monotonic() > deadline:
            message = "it did not store a late reading"
            raise ComplaintError(message, "run it by hand")
        time.sleep(0.1)
    time.sleep(_SETTLED)
    stored = "twice" if _rows(link) == rows + 2 else "once"
    if not other.windows:
        return f"a reading that came again was stored {stored}"
    grown = _sums(link, other)[0] - sums[0]
    summed = "twice" if grown > 1 else "once"
    counted = "summed" if grown % 2 else "in no sum"
    return (
        f"a reading that came again was stored {stored} and summed {summed}, "
        f"one that came {_LATE_DAYS} days late was stored and {counted}"
    )


def _rows(link: psycopg.Connection) -> int:
    row = link.execute("SELECT count(*) FROM reading").fetchone()
    return int(row[0]) if row else 0
