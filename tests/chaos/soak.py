"""`make soak [MINUTES=30] [RATE=28000] [UNITS=2800]`: a plain day's load for a long time, on servers of its own, with people who read.

17,000 units of 100 points a minute are 28,000 readings a second. A worker keeps some 3 kB a point, so 1.7 million points
would take 5 GiB: by default 2,800 units of 100 points are read every ten seconds, which is as many records, readings and
rows a second. What must hold: lag below five seconds throughout, everything flat, and every reading accounted for.
"""

import argparse
import itertools
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psycopg

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "tests/benchmarks"), str(ROOT)]
import reads
import servers
from chaos import free_ports, within
from field import Field
from kafka.producer.future import FutureRecordMetadata
from processes import Processes, Seat, environment_of

from deploy.local.parts import LocalParts
from deploy.local.state import chosen_folder, chosen_programs
from ingest.publisher import create_producer
from ingest.topics_admin import create_topics
from processors import migrate
from processors.store import Store
from schemas import topics
from schemas.calendar import DAY_MS, moment
from schemas.section import ApplyConfiguration, Record
from schemas.wire import encode

PREFIX, PARTITIONS, POINTS = "soak.", 8, 100
LAG, TOLD, LOOK, SAMPLE = 5.0, 30.0, 0.05, 5.0
LOG = Path("build/soak.log")
"""What the processes said in the last run."""
_LONG_ENOUGH = 600.0
"""Seconds after which growth can be told from settling."""
_PATIENCE = 300.0
_COUNTS = {
    "states": "SELECT count(*) FROM unit_state",
    "windows as last told": "SELECT count(*) FROM unit_window",
    "gaps": "SELECT count(*) FROM gap",
    "unpublished rows of the outbox": """SELECT count(*) FROM partition p JOIN outbox o USING (generation, partition)
        WHERE (o."offset", o.position, o.number) > (p.outbox_offset, p.outbox_position, p.outbox_number)""",
    "refused": "SELECT count(*) FROM refused",
}
_SIZES = """
SELECT coalesce(k.hypertable_name, c.relname), sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
LEFT JOIN timescaledb_information.chunks k ON k.chunk_name = c.relname
WHERE c.relkind = 'r' AND c.relnamespace IN ('public'::regnamespace, '_timescaledb_internal'::regnamespace) GROUP BY 1"""
_ACCOUNT = """
SELECT coalesce(sum(accepted + superseded), 0), coalesce(sum(repeated), 0), coalesce(sum(rejected + unreadable), 0)
FROM account"""


@dataclass
class Place:
    """Servers, processes and what they are to digest."""

    url: str
    kafka: str
    processes: Processes
    load: Field
    server_pids: dict[str, int]
    began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """A line with the time."""
        print(f"{time.monotonic() - self.began:7.1f} s  {text}", flush=True)

    def pids(self) -> dict[str, int]:
        """Every process by its name."""
        mine = {str(seat): seat.process.pid for seat in self.processes.seats if seat.process}
        return mine | self.server_pids


class Sender(threading.Thread):
    """Sends each section when it is due."""

    def __init__(self, place: Place) -> None:
        super().__init__(daemon=True)
        self._place, self._over = place, threading.Event()
        self.on_the_way: deque[tuple[FutureRecordMetadata, float]] = deque()
        self.readings = 0
        self.behind = 0.0
        """Seconds that the load itself was late, at most."""

    def run(self) -> None:
        """Until it is told to stop; nothing that was begun is lost."""
        load = self._place.load
        producer = create_producer(self._place.kafka, client_id="soak")
        topic = PREFIX + topics.READINGS
        first = int(time.time() * 1000 - load.begins) // load.beat_ms + 1
        incarnation, sequences = time.time_ns(), defaultdict[int, Iterator[int]](itertools.count)
        for beat in itertools.count(first):
            for offset, number, of in load.sent(beat):
                due = (load.begins + beat * load.beat_ms + offset) / 1000
                pause = due - time.time()
                if pause > 0:
                    self._over.wait(pause)
                self.behind = max(self.behind, -pause)
                if self._over.is_set():
                    producer.flush()
                    producer.close()
                    return
                section = load.section(number, of, int(time.time() * 1000))
                partition = load.partition(number)
                record = Record("soak", incarnation, next(sequences[partition]), (section,))
                sent_at = time.monotonic()
                future = producer.send(topic, encode(record), partition=partition)
                self.on_the_way.append((future, sent_at))
                self.readings += len(section)

    def finish(self) -> None:
        """Send no more."""
        self._over.set()
        self.join()


class Watch(threading.Thread):
    """How soon each record is visible, and how large everything is."""

    def __init__(self, place: Place, sender: Sender) -> None:
        super().__init__(daemon=True)
        self._place, self._sender, self._over = place, sender, threading.Event()
        self._waiting: dict[int, deque[tuple[int, float]]] = defaultdict(deque)
        self.seen: list[float] = []
        self.lag = 0.0
        """Age of the oldest record that is not visible, at most."""
        self.memory: dict[str, list[float]] = defaultdict(list)
        self.counts: dict[str, list[int]] = defaultdict(list)
        self.sizes: list[tuple[float, dict[str, int]]] = []
        self.is_idle = False

    def run(self) -> None:
        """Until it is told to stop."""
        with psycopg.connect(self._place.url, autocommit=True) as link:
            sampled = said = time.monotonic()
            while not self._over.wait(LOOK):
                self._look(link)
                now = time.monotonic()
                if now - sampled >= SAMPLE:
                    self._sample(link)
                    sampled = now
                if now - said >= TOLD:
                    self._tell()
                    said = now

    def _look(self, link: psycopg.Connection) -> None:
        way = self._sender.on_the_way
        while way and way[0][0].is_done:
            future, sent_at = way.popleft()
            told = future.get(timeout=0)
            self._waiting[told.partition].append((told.offset, sent_at))
        at = dict(link.execute("SELECT partition, next_offset FROM partition").fetchall())
        now = time.monotonic()
        for partition, waiting in self._waiting.items():
            while waiting and waiting[0][0] < at.get(partition, 0):
                self.seen.append(now - waiting.popleft()[1])
        oldest = [now - waiting[0][1] for waiting in self._waiting.values() if waiting]
        self.lag = max(self.lag, *oldest) if oldest else self.lag
        self.is_idle = not oldest and not way

    def _sample(self, link: psycopg.Connection) -> None:
        for name, pid in self._place.pids().items():
            self.memory[name].append(servers.memory_mib(pid))
        for name, query in _COUNTS.items():
            row = link.execute(query.encode()).fetchone()
            self.counts[name].append(int(row[0]) if row else 0)
        self.sizes.append((time.monotonic(), dict(link.execute(_SIZES).fetchall())))

    def _tell(self) -> None:
        some = self.seen[-10_000:] or [0.0]
        half, most = np.quantile(some, [0.5, 0.99])
        memory = ", ".join(f"{name} {of[-1]:.0f}" for name, of in dict(self.memory).items())
        self._place.say(
            f"{self._sender.readings:,} readings sent; visible after {half:.2f} / {most:.2f} s (p50 / p99); "
            f"oldest so far {self.lag:.1f} s; MiB: {memory}"
        )

    def forget(self) -> None:
        """Begin to measure: what was before was the beginning."""
        self.seen.clear()
        self.lag = 0.0
        self.memory.clear()
        self.counts.clear()
        self.sizes.clear()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()


class Reader(threading.Thread):
    """Somebody who asks as people ask, one question a second."""

    def __init__(self, place: Place) -> None:
        super().__init__(daemon=True)
        self._place, self._over = place, threading.Event()
        self.taken: dict[str, list[float]] = defaultdict(list)

    def run(self) -> None:
        """Question after question, unit after unit."""
        load = self._place.load
        with psycopg.connect(self._place.url, autocommit=True) as link:
            for number in itertools.count():
                if self._over.wait(1.0):
                    return
                code = load.code(number * 7 % load.units)
                day = load.begins - load.begins % DAY_MS
                span = (code, moment(day - 30 * DAY_MS), moment(day + DAY_MS))
                year = (code, moment(day - 365 * DAY_MS), moment(day + DAY_MS))
                questions = (
                    ("one point, a month of quarter hours", reads.OF_POINT, (*span, "R3")),
                    ("a unit, a month of quarter hours", reads.QUARTERS, span),
                    ("a unit's year by day", reads.DAYS, year),
                )
                name, query, values = questions[number % len(questions)]
                begun = time.perf_counter()
                link.execute(query.encode(), values).fetchall()
                self.taken[name].append(time.perf_counter() - begun)

    def stop(self) -> None:
        """Ask no more."""
        self._over.set()
        self.join()


@contextmanager
def place(units: int, beat_ms: int) -> Iterator[Place]:
    """Servers of our own below a folder that goes away, two workers, the clock and the aggregator."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-soak-")))
        programs = chosen_programs(chosen_folder())
        parts = LocalParts(folder / "parts", programs=programs, say=lambda _: None)
        stack.callback(parts.down)
        names = ("kafka", "database")
        ports = free_ports("kafka", "kafka_controller", "database")
        points = parts.up(names, asked_ports=ports)
        migrate.up(points.database_url)
        create_topics(points.kafka, partitions=PARTITIONS, say=lambda _: None, prefix=PREFIX)
        begins = int(time.time()) * 1_000
        load = Field(units, POINTS, beat_ms, begins, PARTITIONS)
        with closing(Store(points.database_url)) as store:
            store.save_configuration(load.configuration())
        LOG.parent.mkdir(exist_ok=True)
        LOG.write_bytes(b"")
        there = points.environment().items()
        settings = environment_of(
            {name: value for name, value in there if "MQTT" not in name},
            prefix=PREFIX,
            partitions=PARTITIONS,
            generation=1,
        )
        processes = Processes(settings, LOG, [*_seats()])
        stack.callback(processes.end)
        pids = {name: parts.pid(name) for name in names}
        yield Place(points.database_url, points.kafka, processes, load, pids)


def _seats() -> Iterator[Seat]:
    words = ("processors", "worker", "--metrics-port", "0", "--session", "10")
    yield Seat("worker", "a", words, {"WEIR_INSTANCE": "a"})
    yield Seat("worker", "b", words, {"WEIR_INSTANCE": "b"})
    for kind, port in free_ports("clock", "aggregator").items():
        service = "ingest" if kind == "clock" else "processors"
        yield Seat(kind, "a", (service, kind, "--metrics-port", str(port)))


def run(minutes: float, rate: int, units: int) -> list[str]:
    """Everything; returns what does not hold."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started goes away with it
    beat_ms = units * POINTS * 1000 // rate
    with place(units, beat_ms) as here:
        here.say(
            f"{units:,} units of {POINTS} points, read every {beat_ms / 1000:g} s: {rate:,} readings a second"
        )
        _apply_configuration(here)
        here.say("the workers have their units")
        sender = Sender(here)
        watch, reader = Watch(here, sender), Reader(here)
        for thread in (sender, watch, reader):
            thread.start()
        time.sleep(min(120.0, 20 * minutes))
        here.say("measuring from here on")
        watch.forget()
        measured = 60 * minutes
        time.sleep(measured)
        lag = watch.lag
        sender.finish()
        drained = within(_PATIENCE, lambda: watch.is_idle or not watch.is_alive())
        wrong = [] if drained and watch.is_alive() else ["not everything was digested"]
        reader.stop()
        watch.stop()
        wrong += _told(here, watch, reader, lag, measured)
        wrong += _accounted(here, sender)
        ended = dict(here.processes.ended)
        if ended:
            wrong.append(f"processes ended: {ended}")
    print(f"does not hold: {'; '.join(wrong) or 'nothing'}", flush=True)
    return wrong


def _apply_configuration(here: Place) -> None:
    """All units begin; a large registry takes its time."""
    producer = create_producer(here.kafka, client_id="soak")
    for partition in range(PARTITIONS):
        record = Record("control", 1, 0, ApplyConfiguration(1))
        producer.send(PREFIX + topics.READINGS, encode(record), partition=partition)
    producer.close()
    with psycopg.connect(here.url, autocommit=True) as link:
        query = "SELECT count(*) FROM unit_state"
        if not within(_PATIENCE, lambda: link.execute(query).fetchone() == (here.load.units,)):
            message = "the workers did not begin"
            raise TimeoutError(message)


def _told(here: Place, watch: Watch, reader: Reader, lag: float, measured: float) -> list[str]:
    """Print what was measured."""
    half, most = np.quantile(watch.seen, [0.5, 0.99])
    here.say(
        f"published to visible: p50 {half:.3f} s, p99 {most:.3f} s, greatest {max(watch.seen):.1f} s"
    )
    here.say(f"lag at most {lag:.1f} s")
    wrong = [] if lag < LAG else [f"lag of {lag:.1f} s"]
    for name, taken in reader.taken.items():
        p99 = np.quantile(taken, 0.99)
        here.say(
            f"{name}: {statistics.median(taken):.3f} / {p99:.3f} s (p50 / p99), {len(taken)} times"
        )
    begins, ends = watch.sizes[0], watch.sizes[-1]
    days = (ends[0] - begins[0]) / 86_400
    for table, size in sorted(ends[1].items(), key=lambda one: -one[1]):
        grown = size - begins[1].get(table, 0)
        if grown:
            here.say(
                f"table {table}: {size / 2**20:.1f} MiB, {grown / days / 2**20:,.0f} MiB a day"
            )
    for name, sizes in (*watch.memory.items(), *watch.counts.items()):
        first, last, is_flat = _thirds(sizes)
        unit = " MiB" if name in watch.memory else ""
        here.say(f"{name}: {first:,.0f}{unit} in the second third, {last:,.0f}{unit} in the last")
        if not is_flat and measured >= _LONG_ENOUGH:
            wrong.append(f"{name} grows")
    if measured < _LONG_ENOUGH:
        here.say("too short to tell growth from settling")
    return wrong


def _thirds(sizes: Sequence[float]) -> tuple[float, float, bool]:
    """Medians of the second and of the last third, and whether the last is hardly more."""
    third = max(1, len(sizes) // 3)
    first, last = (
        statistics.median(sizes[third : 2 * third] or sizes),
        statistics.median(sizes[-third:]),
    )
    return first, last, last <= first * 1.05 + 10


def _accounted(here: Place, sender: Sender) -> list[str]:
    """Every reading that was sent is in the account, and none was rejected."""
    with psycopg.connect(here.url) as link:
        row = link.execute(_ACCOUNT).fetchone()
    kept, repeated, rejected = (int(number) for number in row) if row else (0, 0, 0)
    here.say(
        f"{sender.readings:,} readings sent: {kept:,} kept, {repeated:,} exact repeats, {rejected:,} rejected; "
        f"the load itself was {sender.behind:.1f} s late at most"
    )
    is_whole = kept + repeated == sender.readings and not rejected
    return [] if is_whole else ["the account does not close"]


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where all holds, 1 where something does not, 2 where the words are wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0, help="measured, after the beginning")
    parser.add_argument("--rate", type=int, default=28_000, help="readings a second")
    parser.add_argument(
        "--units", type=int, default=2_800, help=f"of {POINTS} points; fewer are read more often"
    )
    chosen = parser.parse_args(arguments)
    return 1 if run(chosen.minutes, chosen.rate, chosen.units) else 0


if __name__ == "__main__":
    sys.exit(main())
