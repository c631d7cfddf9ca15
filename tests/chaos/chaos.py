"""`make chaos [FAULTS=100] [SEED=...]`: faults drawn from a seed, under load, on servers of its own; then everything is compared.

Two workers, 20,000 readings a second with late, repeated, revised, withdrawn and rejected ones among them.
At the end the tables must equal those of an engine that nothing happened to, and nothing may be lost or doubled.
"""

import argparse
import random
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "benchmarks")]
from faults import FAULTS, SHORT, Fault, drawn
from reference import references
from troubles import Troubled
from workers import Workers, environment_of

from deploy.local.parts import LocalParts
from deploy.local.state import chosen_folder, chosen_programs
from ingest.publisher import create_producer
from ingest.topics_admin import create_topics
from processors import migrate
from processors.store import Store
from schemas import topics
from schemas.wire import encode

RATE = 20_000
PREFIX = "chaos."
SECONDS = 10.0
_DRAIN = 240.0
LOG = Path("build/chaos-workers.log")
"""What the workers said in the last run."""


@dataclass
class Place:
    """Servers, workers and load."""

    parts: LocalParts
    workers: Workers
    database: str
    kafka: str
    workload: Troubled
    began: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """A line with the time."""
        print(f"{time.monotonic() - self.began:7.1f} s  {text}", flush=True)

    def offsets(self) -> dict[int, int]:
        """Next offset of each partition."""
        with psycopg.connect(self.database, autocommit=True) as link:
            return dict(link.execute("SELECT partition, next_offset FROM partition").fetchall())


class Load(threading.Thread):
    """Streams pairs of quarter hours at the rate, until it is told to stop; loses nothing."""

    def __init__(self, place: Place) -> None:
        super().__init__(daemon=True)
        self._place = place
        self._over = threading.Event()
        self.quarters = 0
        self.readings = 0
        self.ends = dict.fromkeys(range(place.workload.partitions), 0)
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._stream()
        except BaseException as error:  # noqa: BLE001 - told by who waits for the thread
            self.error = error

    def _stream(self) -> None:
        workload, producer = (
            self._place.workload,
            create_producer(self._place.kafka, client_id="chaos"),
        )
        began = time.monotonic()
        for partition, record in workload.beginning():
            producer.send(PREFIX + topics.READINGS, encode(record), partition=partition)
            self.ends[partition] += 1
        waiting = []
        while not self._over.is_set():
            for partition, record in workload.records(self.quarters, 2):
                body = record.body
                self.readings += sum(map(len, body)) if isinstance(body, tuple) else 0
                waiting.append(
                    producer.send(PREFIX + topics.READINGS, encode(record), partition=partition)
                )
                self.ends[partition] += 1
            self.quarters += 2
            self._over.wait(max(0.0, began + self.readings / RATE - time.monotonic()))
            while waiting and waiting[0].is_done:
                waiting.pop(0).get(timeout=0)
        producer.flush()
        for future in waiting:
            future.get(timeout=120)
        producer.close()

    def finish(self) -> None:
        """Send no more; all that was sent is there."""
        self._over.set()
        self.join()
        if self.error is not None:
            raise self.error


@contextmanager
def place(workload: Troubled) -> Iterator[Place]:
    """Servers of our own below a folder that goes away, and two workers."""
    with tempfile.TemporaryDirectory(prefix="weir-chaos-") as folder:
        parts = LocalParts(
            Path(folder), programs=chosen_programs(chosen_folder()), say=lambda _: None
        )
        ports = _free_ports("kafka", "kafka_controller", "database")
        points = parts.up(["kafka", "database"], asked_ports=ports)
        try:
            migrate.up(points.database_url)
            create_topics(
                points.kafka, partitions=workload.partitions, say=lambda _: None, prefix=PREFIX
            )
            with closing(Store(points.database_url)) as store:
                store.save_configuration(workload.configuration())
            environment = environment_of(
                points.kafka, points.database_url, PREFIX, workload.partitions
            )
            LOG.parent.mkdir(exist_ok=True)
            LOG.write_bytes(b"")
            workers = Workers(environment, LOG)
            try:
                yield Place(parts, workers, points.database_url, points.kafka, workload)
            finally:
                workers.end()
        finally:
            parts.down()


def _free_ports(*names: str) -> dict[str, int]:
    sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
    chosen = {name: one.getsockname()[1] for name, one in sockets.items()}
    for one in sockets.values():
        one.close()
    return chosen


def run(
    faults: Sequence[Fault], rng: random.Random, workload: Troubled, seconds: float
) -> list[str]:
    """Do the faults one after the other; returns what differs in the end."""
    with references(workload) as reference, place(workload) as here:
        load = Load(here)
        load.start()
        _wait_for_first(here)
        here.say(f"{len(faults)} faults under {RATE:,} readings a second")
        for number, fault in enumerate(faults, 1):
            began = time.monotonic()
            told = fault.do(here, rng)
            rest = seconds - (time.monotonic() - began)
            time.sleep(max(0.0, rest))
            here.say(f"{number:3} of {len(faults)}: {fault.name}: {told}; lag {_lag(here, load):,}")
        load.finish()
        rate = load.readings / (time.monotonic() - here.began)
        here.say(f"{load.readings:,} readings sent, {rate:,.0f} a second; draining")
        _drain(here, load.ends)
        here.say(
            f"drained; workers that ended by themselves, by exit code: {dict(here.workers.ended)}"
        )
        here.workers.end()
        here.say(f"the workers said, by number of times: {here.workers.said()}")
        wrong = reference.compare(here.database, 0, load.quarters, begin=True)
        wrong += _doubled(here.database)
        here.say(f"differs in: {', '.join(wrong) or 'nothing'}")
        return wrong


def _wait_for_first(here: Place) -> None:
    deadline = time.monotonic() + 60
    while sum(here.offsets().values()) < 2 * here.workload.partitions:
        if time.monotonic() > deadline:
            message = "the workers did not begin"
            raise TimeoutError(message)
        time.sleep(0.2)


def _lag(here: Place, load: Load) -> int:
    try:
        return sum(load.ends.values()) - sum(here.offsets().values())
    except psycopg.Error:
        return -1


def _drain(here: Place, ends: dict[int, int]) -> None:
    deadline = time.monotonic() + _DRAIN
    while here.offsets() != ends or _unpublished(here.database):
        if time.monotonic() > deadline:
            message = f"not drained: at {here.offsets()}, due {ends}"
            raise TimeoutError(message)
        time.sleep(0.5)


def _unpublished(url: str) -> bool:
    with psycopg.connect(url, autocommit=True) as link:
        row = link.execute(
            """SELECT EXISTS (SELECT FROM partition p JOIN outbox o USING (generation, partition)
            WHERE (o."offset", o.position, o.number) > (p.outbox_offset, p.outbox_position, p.outbox_number))"""
        ).fetchone()
    return bool(row and row[0])


def _doubled(url: str) -> list[str]:
    """Steps must cover the log once, without a hole."""
    with psycopg.connect(url) as link:
        rows = link.execute(
            """SELECT p, first, next, lag(next) OVER (PARTITION BY p ORDER BY first) FROM
            (SELECT unnest(partitions) p, unnest(firsts) first, unnest(nexts) next FROM step) s"""
        ).fetchall()
        dead = link.execute("SELECT count(*) FROM refused").fetchone()
    wrong = ["steps"] if any(first != (before or 0) for _, first, _, before in rows) else []
    return wrong + (["refused"] if dead and dead[0] else [])


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where nothing differs, 1 where something does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None, help="else drawn, and said")
    parser.add_argument(
        "--short", action="store_true", help="what no other test provokes, each once: a minute"
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help="a fault and what follows")
    chosen = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(10**6) if chosen.seed is None else chosen.seed
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)
    faults = [fault for fault in drawn(len(FAULTS), rng) if fault.name in SHORT]
    seconds, units = 3.0, 200
    if not chosen.short:
        faults, seconds, units = drawn(chosen.faults, rng), chosen.seconds, Troubled.units
    wrong = run(faults, rng, Troubled(seed=seed, units=units), seconds)
    counts = Counter(fault.name for fault in faults)
    print("\n".join(f"{count:4} × {name}" for name, count in sorted(counts.items())))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
