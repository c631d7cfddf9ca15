"""What the doors count. No label names a unit or a point: TimescaleDB holds those.

Created by the process that serves them, so that importing this module registers nothing.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server


class ClockMetrics:
    """Of `python -m ingest clock`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.ticks = Counter(
            "weir_clock_ticks",
            "Ticks written and acknowledged, all partitions. Rate 0: silence is not noticed.",
            registry=self.registry,
        )
        self.skipped = Counter(
            "weir_clock_ticks_skipped",
            "Instants without a tick, because Kafka was away for longer than the catch-up.",
            registry=self.registry,
        )
        self.failures = Counter(
            "weir_clock_failures",
            "Attempts to write a tick that Kafka did not acknowledge; tried again.",
            registry=self.registry,
        )
        self.last = Gauge(
            "weir_clock_last_tick_timestamp_seconds",
            "Instant of the last tick in every partition. Older than two minutes: call somebody.",
            registry=self.registry,
        )

    def serve(self, *, address: str, port: int) -> None:
        """Answer GET /metrics from a thread of its own."""
        start_http_server(port, addr=address, registry=self.registry)
