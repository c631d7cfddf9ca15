"""What a worker that holds 100,000 points does: how fast it is back, and how soon a figure can be seen."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import measured
import numpy as np
import psycopg
import servers
from kafka import KafkaAdminClient
from plan import Bench
from reference import MEASURED
from table import at_most
from worker_rows import ONE_TARGET, log_of
from workload import PAIR, Workload

from ingest.publisher import create_producer
from schemas import topics

_PATIENCE = 150.0
"""Longer than the workers' session: one that was killed stays in its group for that."""
_LOOK = 0.005
SHARE_OF_PEAK = 0.1
_BEFORE = 8
"""Quarter hours digested before, so that the worker holds all points."""


def restart(bench: Bench) -> None:
    """From the process's start to its first commit, without the time that the group took to let it in."""
    name = "restart until it processes again"
    with log_of(bench, name, Workload()) as log:
        log.run(_BEFORE, 1)
        records = measured.encoded(log.workload, log.first, PAIR, begin=False)
        log.ends = measured.send(log.prefix, records, log.ends)
        with psycopg.connect(log.url, autocommit=True) as link:
            done = sum(measured.next_offsets(link).values())
            group = _Group(log.prefix + topics.PROCESSORS)
            group.wait({"Empty", "Dead"})
            with measured.worker(log.url, log.prefix) as one:
                asked = group.wait({"PreparingRebalance", "CompletingRebalance", "Stable"})
                joined = group.wait({"Stable"})
                while sum(measured.next_offsets(link).values()) == done:
                    time.sleep(_LOOK)
                first = time.monotonic()
                group.close()
                measured.wait_for(link, [one], log.ends)
                memory = servers.memory_mib(one.process.pid)
        log.compare(PAIR)
    correct = not log.wrong
    begin, load = asked - one.started, first - joined
    bench.table.add(name, begin + load, "s", at_most(3), correct=correct)
    bench.table.add("  until it asks for the group", begin, "s", correct=correct)
    bench.table.add("  from let in to the first commit", load, "s", correct=correct)
    bench.table.add("  join of the group, not counted", joined - asked, "s", correct=correct)
    bench.table.add(
        "  its memory then, 100,000 points", memory, "MiB", at_most(500), correct=correct
    )


class _Group:
    """The workers' group, as the broker tells it."""

    def __init__(self, name: str) -> None:
        self._name, self._admin = name, KafkaAdminClient(bootstrap_servers=servers.kafka())
        self.close = self._admin.close

    def wait(self, states: set[str]) -> float:
        """When it is in one of these, as far as we look often enough."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            if self._admin.describe_groups([self._name])[self._name]["group_state"] in states:
                return time.monotonic()
            time.sleep(_LOOK)
        message = f"the group {self._name} did not become {', '.join(sorted(states))}"
        raise SystemExit(message)


@dataclass(frozen=True)
class _Sent:
    partition: int
    offset: int
    at: float
    """By time.monotonic(), before it was handed to the producer."""


def latency(bench: Bench) -> None:
    """Records at a tenth of the peak; each is visible when a query of ours finds its partition beyond it."""
    name = "published to visible, at a tenth of the peak"
    rate = SHARE_OF_PEAK * (bench.peak or ONE_TARGET * bench.yardstick)
    workload = Workload()
    pairs = max(1, round(rate * bench.plan.seconds / (workload.units * workload.points * PAIR)))
    with log_of(bench, name, workload) as log:
        log.run(_BEFORE, 1)
        records = measured.encoded(workload, log.first, pairs * PAIR, begin=False)
        with (
            psycopg.connect(log.url, autocommit=True) as link,
            measured.worker(log.url, log.prefix) as one,
        ):
            measured.wait_shared_out([one], workload.partitions)
            seen, log.ends = _paced(link, log.prefix, records, log.ends, rate)
        log.compare(pairs * PAIR)
    correct = not log.wrong
    half, most = np.quantile(seen, [0.5, 0.99]).tolist()
    bench.table.add(f"{name}, p50", half, "s", at_most(0.4), correct=correct)
    bench.table.add(f"{name}, p99", most, "s", at_most(1.5), correct=correct)
    bench.table.add("  offered", rate, "readings/s", correct=correct)


def _paced(
    link: psycopg.Connection,
    prefix: str,
    records: Sequence[tuple[int, bytes]],
    ends: dict[int, int],
    rate: float,
) -> tuple[list[float], dict[int, int]]:
    """Seconds from published to visible of every record, and where the log ends then."""
    producer = create_producer(servers.kafka(), client_id="weir-bench")
    topic, ends = measured.topic_of(prefix), dict(ends)
    pause = Workload().readings_a_record / rate
    waiting: list[_Sent] = []
    seen: list[float] = []
    begun, looked = time.monotonic(), 0.0
    for number, (partition, payload) in enumerate(records):
        while time.monotonic() < begun + number * pause or time.monotonic() > looked + 2 * _LOOK:
            waiting, found = _visible(link, waiting)
            seen, looked = seen + found, time.monotonic()
            time.sleep(_LOOK)
        producer.send(topic, payload, partition=partition)
        waiting.append(_Sent(partition, ends[partition], time.monotonic()))
        ends[partition] += 1
    deadline = time.monotonic() + _PATIENCE
    while waiting and time.monotonic() < deadline:
        waiting, found = _visible(link, waiting)
        seen += found
        time.sleep(_LOOK)
    producer.close()
    if waiting:
        message = f"{len(waiting)} records were not visible within {_PATIENCE:.0f} s"
        raise SystemExit(message)
    return seen, ends


def _visible(link: psycopg.Connection, waiting: list[_Sent]) -> tuple[list[_Sent], list[float]]:
    at = dict(
        link.execute(
            "SELECT partition, next_offset FROM partition WHERE generation = %s", (MEASURED,)
        ).fetchall()
    )
    now = time.monotonic()
    left = [one for one in waiting if at.get(one.partition, 0) <= one.offset]
    return left, [now - one.at for one in waiting if at.get(one.partition, 0) > one.offset]
