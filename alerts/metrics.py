"""What the worker counts, and the pages that show it. No label names a unit.

`_failed_total` beside `_total`: alert on their ratio, and on the age of the oldest undelivered.
"""

import json
import logging
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from alerts.channels import WHYS, Why
from schemas.alert import STATES, State

logger = logging.getLogger(__name__)


PEOPLE = "people"
"""Label of all receivers of the roster together, as a channel."""


class Metrics:
    """Of `python -m alerts run`, made by the process that shows them."""

    def __init__(self, channels: Sequence[str]) -> None:
        self.registry = CollectorRegistry()
        self.transitions = Counter(
            "weir_alerts_transitions",
            "Transitions stored, by the new state.",
            ["state"],
            registry=self.registry,
        )
        self.deliveries = Counter(
            "weir_alerts_deliveries",
            "Notifications attempted, by channel; repetitions of what fires are among them.",
            ["channel"],
            registry=self.registry,
        )
        self.failures = Counter(
            "weir_alerts_deliveries_failed",
            "Notifications that were not delivered. `refused`: never will be; call somebody.",
            ["channel", "reason"],
            registry=self.registry,
        )
        self.waiting = Gauge(
            "weir_alerts_undelivered",
            "Transitions that a channel has not been told yet, of all partitions.",
            ["channel"],
            registry=self.registry,
        )
        self.oldest = Gauge(
            "weir_alerts_oldest_undelivered_seconds",
            "Age of the oldest of them; 0 where none waits. Over five minutes: call somebody.",
            ["channel"],
            registry=self.registry,
        )
        self.refused = Counter(
            "weir_alerts_records_refused",
            "Records of the indicators that could not be used; kept in alert_refused.",
            registry=self.registry,
        )
        self.lag = Gauge(
            "weir_alerts_lag_records",
            "Indicators told and not yet heard, in this worker's partitions.",
            registry=self.registry,
        )
        self.heard = Gauge(
            "weir_alerts_heard_timestamp_seconds",
            "Data time of the newest indicator or tick heard.",
            registry=self.registry,
        )
        self.progress = Gauge(
            "weir_alerts_last_progress_timestamp_seconds",
            "When the last batch was committed, by the wall clock.",
            registry=self.registry,
        )
        self.kept = Gauge(
            "weir_alerts_cases_kept_timestamp_seconds",
            "When this worker last kept the cases, by the wall clock; 0 where another one does.",
            registry=self.registry,
        )
        for state in STATES:
            self.transitions.labels(state)
        for channel in (*channels, PEOPLE):
            self.deliveries.labels(channel)
            self.show_waiting(channel, 0, 0.0)
            for why in WHYS:
                self.failures.labels(channel, why)

    def count_transition(self, state: State) -> None:
        """One was stored."""
        self.transitions.labels(state).inc()

    def count_delivery(self, channel: str, why: Why | None) -> None:
        """One was attempted; `why` it failed, if it did."""
        self.deliveries.labels(channel).inc()
        if why is not None:
            self.failures.labels(channel, why).inc()

    def show_waiting(self, channel: str, number: int, oldest_seconds: float) -> None:
        """So much waits."""
        self.waiting.labels(channel).set(number)
        self.oldest.labels(channel).set(oldest_seconds)


class Page(NamedTuple):
    """What a check says: `ok`, and why."""

    ok: bool
    says: dict[str, object]


class Pages:
    """/metrics, /healthz and /readyz, from threads of their own."""

    def __init__(
        self,
        address: str,
        registry: CollectorRegistry,
        *,
        health: Callable[[], Page],
        readiness: Callable[[], Page],
    ) -> None:
        host, _, port = address.rpartition(":")
        checks = {"/healthz": health, "/readyz": readiness}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
                elif (check := checks.get(self.path)) is not None:
                    page = check()
                    body = json.dumps({"ok": page.ok} | page.says).encode() + b"\n"
                    self._answer(200 if page.ok else 503, "application/json", body)
                else:
                    self._answer(404, "text/plain", b"/metrics /healthz /readyz\n")

            def _answer(self, status: int, kind: str, body: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
                logger.debug(format, *args)

        self._server = ThreadingHTTPServer((host, int(port)), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="pages", daemon=True
        )

    @property
    def address(self) -> str:
        """Where they are: port 0 asks for any free one."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
