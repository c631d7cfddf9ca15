"""What the doors count. No label names a unit or a point: TimescaleDB holds those.

Created by the process that serves them, so that importing this module registers nothing.
"""

import json
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    start_http_server,
)

from ingest.complaint import ComplaintError
from schemas.reading import Refusal
from schemas.section import Record, Section, Unreadable


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
        try:
            start_http_server(port, addr=address, registry=self.registry)
        except OSError as error:
            message = f"metrics cannot be served at {address}:{port}: {error}"
            raise ComplaintError(message) from error


_ACK_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class DoorMetrics:
    """Of every gateway. What is counted is in Kafka: nothing in it can be lost any more."""

    def __init__(self) -> None:
        """Every series exists from the start."""
        self.registry = CollectorRegistry()
        self.messages = self._counter("messages", "Messages that Kafka has.")
        self.readings = self._counter("readings", "Readings in them, without the refused.")
        self.records = self._counter("records", "Records that carry them.")
        self.refused = Counter(
            "weir_gateway_refused",
            "Readings refused and kept, by reason. Rising: tell the enterprise.",
            ["reason"],
            registry=self.registry,
        )
        self.unreadable = Counter(
            "weir_gateway_unreadable",
            "Messages that could not be read, kept by their bytes. Rising: tell the enterprise.",
            ["reason"],
            registry=self.registry,
        )
        for reason in Refusal:
            self.refused.labels(reason)
            self.unreadable.labels(reason)
        self.ack_seconds = Histogram(
            "weir_gateway_kafka_ack_seconds",
            "From handing a record to the producer until Kafka has it.",
            registry=self.registry,
            buckets=_ACK_SECONDS,
        )

    def _counter(self, name: str, help_text: str) -> Counter:
        return Counter(f"weir_gateway_{name}", help_text, registry=self.registry)

    def _gauge(self, name: str, help_text: str) -> Gauge:
        return Gauge(f"weir_gateway_{name}", help_text, registry=self.registry)

    def count(self, record: Record, *, messages: int, seconds: float) -> None:
        """Kafka has a record of so many messages."""
        parts = record.body if isinstance(record.body, tuple) else ()
        self.messages.inc(messages)
        self.records.inc()
        self.ack_seconds.observe(seconds)
        self.readings.inc(sum(len(part) for part in parts if isinstance(part, Section)))
        for part in parts:
            if isinstance(part, Unreadable):
                self.unreadable.labels(part.reason.partition(":")[0]).inc()
                continue
            for item in part.refused:
                self.refused.labels(item.reason).inc()


BrokerFigure = Literal["dropped", "stored", "waiting"]


class GatewayMetrics(DoorMetrics):
    """Of `python -m ingest mqtt`."""

    def __init__(self) -> None:
        super().__init__()
        self._dropped = 0
        self.broker_dropped = Counter(
            "weir_mqtt_broker_dropped_messages",
            "Messages that the broker dropped because a queue was full. Any: readings may be lost.",
            registry=self.registry,
        )
        self.broker_stored = Gauge(
            "weir_mqtt_broker_stored_bytes",
            "Payloads that the broker holds. Near max_queued_bytes: start gateways.",
            registry=self.registry,
        )
        self.broker_waiting = Gauge(
            "weir_mqtt_broker_stored_messages",
            "Messages that the broker holds.",
            registry=self.registry,
        )
        self.tries = self._counter("tries", "Messages passed on to be checked, not stored.")
        self.stops = self._counter("stops", "Declared stops and maintenances passed on.")
        self.redelivered = self._counter("redelivered", "Messages that the broker sent again.")
        self.receipts = self._counter("receipts", "Messages receipted to their senders.")
        self.receipts_failed = self._counter(
            "receipts_failed", "Receipts that found no packet id. Their senders will send again."
        )
        self.messages_in_flight = self._gauge(
            "messages_in_flight", "Messages taken that Kafka has not yet. At the limit: it is slow."
        )
        self.octets_in_flight = self._gauge("in_flight_bytes", "Bytes of those messages.")
        self.connected = self._gauge("connected", "1 while the broker has us. 0: call somebody.")

    def broker_says(self, figure: BrokerFigure, told: bytes | bytearray) -> None:
        """Take in a figure of the broker's own; what is no number is passed over."""
        if not told.isdigit():
            return
        value = int(told)
        if figure == "stored":
            self.broker_stored.set(value)
        elif figure == "waiting":
            self.broker_waiting.set(value)
        else:  # counted from the broker's start; it may begin anew
            self.broker_dropped.inc(value - self._dropped if value >= self._dropped else value)
            self._dropped = value


class KafkaGatewayMetrics(DoorMetrics):
    """Of `python -m ingest kafka`."""

    def __init__(self) -> None:
        super().__init__()
        self.topics = self._gauge("topics", "Enterprises' topics that the group gave this gateway.")
        self.stops = self._counter("stops", "Declared stops and maintenances passed on.")
        self.behind = self._gauge(
            "behind_messages", "Messages on them not yet taken. Rising: start another gateway."
        )


class FeedbackMetrics:
    """Of `python -m ingest feedback`."""

    def __init__(self) -> None:
        """Every series exists from the start."""
        self.registry = CollectorRegistry()
        self.passed = self._counter("passed", "Messages that the broker acknowledged.")
        self.unheard = self._counter(
            "unheard",
            "Of these, those that nobody listened to. A session (clean start false) keeps them.",
        )
        self.refused = self._counter(
            "refused", "Messages that the broker refused. Rising: look at its access list."
        )
        self.nobodys = self._counter("nobodys", "Messages without a unit; passed over.")

    def _counter(self, name: str, help_text: str) -> Counter:
        return Counter(f"weir_feedback_mqtt_{name}", help_text, registry=self.registry)


def serve_pages(
    registry: CollectorRegistry,
    *,
    address: str,
    port: int,
    readiness: Callable[[], tuple[bool, dict[str, object]]],
) -> ThreadingHTTPServer:
    """Answer /metrics, /healthz and /readyz from a thread of its own. Port 0 takes a free one."""

    def page(path: str) -> tuple[HTTPStatus, str, bytes]:
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry)
        if path == "/healthz":
            return HTTPStatus.OK, "text/plain", b"alive\n"
        if path == "/readyz":
            ready, told = readiness()
            status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
            return status, "application/json", json.dumps(told).encode()
        return HTTPStatus.NOT_FOUND, "text/plain", b"no such page\n"

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, body = page(self.path)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Say nothing: a scrape is no event."""

    try:
        server = ThreadingHTTPServer((address, port), Handler)
    except OSError as error:
        message = f"metrics cannot be served at {address}:{port}: {error}"
        raise ComplaintError(message) from error
    threading.Thread(target=server.serve_forever, name="pages", daemon=True).start()
    return server
