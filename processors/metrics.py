"""What a worker counts, and whether it is well. No label names a unit or a point: TimescaleDB holds those."""

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    generate_latest,
)

from processors.ports import ACCOUNT_CLASSES
from processors.tick_silence import Silence, TickSilence

_STALE_SECONDS = 60
STAGES = ("decode", "engine", "write", "publish")


class WorkerMetrics:
    """Of `python -m processors worker`. Created by the process that serves them."""

    def __init__(self, *, tick_silence_seconds: float = 180.0) -> None:
        """Every series exists from the start; without a tick for longer than that an alarm is told."""
        self.registry = CollectorRegistry()
        self.readings = self._counter(
            "weir_readings", "Readings in committed steps, repeated ones not counted."
        )
        self.received = Counter(
            "weir_received",
            "Readings in committed steps, by the class of their unit's account. Many rejected: a sender, or the registry, is wrong.",
            ["class"],
            registry=self.registry,
        )
        for name in ACCOUNT_CLASSES:
            self.received.labels(name)
        self.steps = self._counter("weir_steps", "Committed steps.")
        self.seconds = Counter(
            "weir_stage_seconds", "Seconds spent, by stage.", ["stage"], registry=self.registry
        )
        for stage in STAGES:
            self.seconds.labels(stage)
        self.told = self._counter("weir_outbox_rows", "Rows committed to the outbox.")
        self.published = self._counter("weir_published", "Outbox rows that Kafka acknowledged.")
        self.fetches = self._counter("weir_fetches", "Look-ups for late readings and closed hours.")
        self.fetches_in_flight = self._counter(
            "weir_fetches_in_flight", "Look-ups that the step in flight answered in part."
        )
        self.dead_letters = self._counter(
            "weir_dead_letters",
            "Records that could not be read or digested, kept. Any: look at `dlq list`.",
        )
        self.kept = self._counter(
            "weir_partitions_kept", "Partitions whose state stayed in memory over a rebalance."
        )
        self.holes = self._counter(
            "weir_door_holes",
            "Sequence numbers of doors that never came. Any: records were lost at a door.",
        )
        self.audited = self._counter(
            "weir_audited_units", "Units worked out again from their readings, to compare."
        )
        self.differences = self._counter(
            "weir_audit_differences",
            "Of these, units kept otherwise. Any: `recompute --unit CODE --dry-run` (the log names it).",
        )
        self.owned = Gauge(
            "weir_partitions_owned", "Partitions this worker owns.", registry=self.registry
        )
        self.lag = Gauge(
            "weir_lag_records",
            "Records in Kafka beyond what is committed, all owned partitions.",
            registry=self.registry,
        )
        self.last_write = Gauge(
            "weir_last_write_timestamp_seconds",
            "When the last step was committed.",
            registry=self.registry,
        )
        self.watermark = Gauge(
            "weir_watermark_timestamp_seconds",
            "Least last tick of the owned partitions (data time). Old: the clock, or a partition, stands.",
            registry=self.registry,
        )
        self.pending = Gauge(
            "weir_units_pending",
            "Units of owned partitions whose entry changed and that are not restated yet.",
            registry=self.registry,
        )
        self._silence = TickSilence()
        self._silence_limit = tick_silence_seconds
        silence = Gauge(
            "weir_tick_silence_seconds",
            "Longest time without a newer tick, of the owned partitions that had one. Long: live units are not judged.",
            registry=self.registry,
        )
        silence.set_function(lambda: self._longest().seconds)
        self.progress_at = time.monotonic()
        self._waits_for = ""

    def _counter(self, name: str, help_text: str) -> Counter:
        return Counter(name, help_text, registry=self.registry)

    def stage(self, name: str, seconds: float) -> None:
        """Time spent in a stage."""
        self.seconds.labels(name).inc(seconds)

    def wrote(self, readings: int, partitions: int, told: int) -> None:
        """A step was committed."""
        del partitions
        self.readings.inc(readings)
        self.steps.inc()
        self.told.inc(told)
        self.last_write.set(time.time())
        self.waiting("")
        self.progress()

    def count_received(self, account: Iterable[Sequence[int]]) -> None:
        """What a committed step added to the accounts: rows in the order of ACCOUNT_CLASSES."""
        for name, counts in zip(ACCOUNT_CLASSES, zip(*account, strict=True), strict=False):
            self.received.labels(name).inc(sum(counts))

    def progress(self) -> None:
        """Something went on, or there is nothing to do."""
        self.progress_at = time.monotonic()

    def waiting(self, reason: str) -> None:
        """What is waited for now; empty: nothing."""
        if reason:
            self.progress()
        self._waits_for = reason

    def expect_ticks(self, ticks: Mapping[int, int]) -> None:
        """Of these partitions, whose last ticks they are."""
        self._silence.own(ticks, now=time.monotonic())

    def heard_ticks(self, ticks: Mapping[int, int]) -> None:
        """The last tick of each partition, as committed."""
        self._silence.heard(ticks, now=time.monotonic())

    def _longest(self) -> Silence:
        return self._silence.longest(now=time.monotonic()) or Silence(-1, 0.0)

    def alarms(self) -> list[str]:
        """What somebody must look at, though the worker does its work."""
        partition, seconds = self._longest()
        if seconds <= self._silence_limit:
            return []
        waiting = self.value("weir_lag_records")
        cause = (
            f"{waiting:,.0f} records wait, perhaps before it"
            if waiting
            else "does `python -m ingest clock` run?"
        )
        return [
            f"no tick in partition {partition} for {seconds:.0f} s, so live units are not judged: {cause}"
        ]

    def ready(self) -> tuple[bool, dict[str, object]]:
        """Whether the worker does its work, and what it waits for."""
        idle = time.monotonic() - self.progress_at
        owned, lag = self.value("weir_partitions_owned"), self.value("weir_lag_records")
        told: dict[str, object] = {
            "partitions": owned,
            "lag_records": lag,
            "seconds_since_progress": round(idle, 1),
            "waits_for": self._waits_for,
            "alarms": self.alarms(),
        }
        return not self._waits_for and owned > 0 and idle < _STALE_SECONDS, told

    def value(self, name: str) -> float:
        """What a series without labels stands at."""
        return self.registry.get_sample_value(name) or 0.0


class Page(Protocol):
    """What a process serves of itself."""

    registry: CollectorRegistry

    def ready(self) -> tuple[bool, dict[str, object]]:
        """Whether it does its work, and what it waits for."""


def serve(metrics: Page, port: int, address: str = "127.0.0.1") -> ThreadingHTTPServer:
    """Answer /metrics, /healthz and /readyz from a thread. Port 0 takes a free one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers: dict[str, Callable[[], tuple[int, str, bytes]]] = {
                "/metrics": lambda: (
                    HTTPStatus.OK,
                    CONTENT_TYPE_LATEST,
                    generate_latest(metrics.registry),
                ),
                "/healthz": lambda: (HTTPStatus.OK, "text/plain", b"alive\n"),
                "/readyz": lambda: _readiness(metrics),
            }
            status, kind, body = answers.get(
                self.path, lambda: (HTTPStatus.NOT_FOUND, "text/plain", b"no such page\n")
            )()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing: a scrape is no event."""

    server = ThreadingHTTPServer((address, port), Handler)
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return server


def _readiness(metrics: Page) -> tuple[int, str, bytes]:
    ready, told = metrics.ready()
    status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
    return status, "application/json", json.dumps(told).encode()
