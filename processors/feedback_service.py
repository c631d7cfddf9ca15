"""Sends what units hear of what they sent to weir.feedback.v1: what was refused, within seconds.

One at a time: a second one stands by. At least once, in order for each unit; the worker waits for nobody.
"""

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence

from kafka import KafkaProducer
from kafka.errors import KafkaError
from prometheus_client import CollectorRegistry, Counter, Gauge

from processors.feedback_store import AwayError, FeedbackStore, Row, TablesError
from processors.metrics import serve
from processors.migrate import MigrationError, database_url
from schemas import topics
from schemas.settings import Settings, SettingsError, kafka_client

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_RETRY_SECONDS = 2.0
_BATCH = 500
_STALE_SECONDS = 60
FATAL = 70

_EPILOG = """examples:
  python -m processors feedback             send as it comes; stand by where another one runs
  python -m processors feedback --once      send what waits, then end
  python -m ingest feedback                 pass it on to the units by MQTT

Exit codes: 0 stopped, or all that waited is sent; 1 settings are missing, or (with --once) the database or Kafka
is away or another one sends; 70 the tables are not those of this release."""


class FeedbackMetrics:
    """Of `python -m processors feedback`. Created by the process that serves them."""

    def __init__(self) -> None:
        """Every series exists from the start."""
        self.registry = CollectorRegistry()
        self.leads = Gauge(
            "weir_feedback_leads", "1: the one that sends; 0: it stands by.", registry=self.registry
        )
        self.sent = Counter(
            "weir_feedback_sent",
            "Messages that Kafka acknowledged, by kind.",
            ["kind"],
            registry=self.registry,
        )
        for kind in ("refused",):
            self.sent.labels(kind)
        self._moved_at = time.monotonic()
        self._waits_for = ""

    def moved(self) -> None:
        """Something went on, or there is nothing to do."""
        self._moved_at = time.monotonic()
        self._waits_for = ""

    def waits(self, reason: str) -> None:
        """What is waited for."""
        self._waits_for = reason

    def ready(self) -> tuple[bool, dict[str, object]]:
        """Whether it does its work; one that stands by does."""
        idle = time.monotonic() - self._moved_at
        told: dict[str, object] = {
            "leads": bool(self.registry.get_sample_value("weir_feedback_leads")),
            "seconds_since_progress": round(idle, 1),
            "waits_for": self._waits_for,
        }
        return not self._waits_for and idle < _STALE_SECONDS, told


class Sender:
    """Moves feedback from the database to Kafka."""

    def __init__(
        self, store: FeedbackStore, metrics: FeedbackMetrics, *, bootstrap: str, topic: str
    ) -> None:
        """Connects to nothing yet."""
        self._store, self._metrics = store, metrics
        self._bootstrap, self._topic = bootstrap, topic
        self._producer: KafkaProducer | None = None
        self.stopped = threading.Event()

    def run(self) -> None:
        """Work until it is stopped. Database or broker away is waited for."""
        while not self.stopped.is_set():
            try:
                idle = not self.turn()
            except (AwayError, KafkaError) as error:
                logger.warning("feedback waits", extra={"reason": str(error)})
                self._metrics.waits(str(error))
                self._metrics.leads.set(0)
                self._forget_producer()
                self.stopped.wait(_RETRY_SECONDS)
            else:
                if idle:
                    self.stopped.wait(_POLL_SECONDS)
        self.close()

    def once(self) -> bool:
        """Send all that waits; False where another one sends."""
        try:
            while self.turn():
                pass
            return self._store.lead()
        finally:
            self.close()

    def turn(self) -> bool:
        """Send what waits, at most a batch of each partition; whether there may be more."""
        leads = self._store.lead()
        self._metrics.leads.set(leads)
        rows = self._store.unsent(_BATCH) if leads else []
        if rows:
            self._send(rows)
            self._store.sent(rows)
            self._metrics.sent.labels("refused").inc(len(rows))
        self._metrics.moved()
        return bool(rows)

    def close(self) -> None:
        """Give up the connections, and the lead."""
        self._forget_producer()
        self._store.close()

    def _send(self, rows: Sequence[Row]) -> None:
        if self._producer is None:
            self._producer = KafkaProducer(
                bootstrap_servers=self._bootstrap.split(","),
                **kafka_client(),
                acks="all",
                linger_ms=5,
            )
        sent = [
            self._producer.send(self._topic, value=row.payload, key=row.unit.encode())
            for row in rows
        ]
        self._producer.flush()
        for future in sent:
            future.get(timeout=30)

    def _forget_producer(self) -> None:
        if self._producer is not None:
            self._producer.close(timeout=1)
            self._producer = None


def main(arguments: Sequence[str]) -> int:
    """Send as it comes, or (with --once) what waits."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.WARNING)
    try:
        settings, url = Settings.read(), database_url()
    except (SettingsError, MigrationError) as error:
        sys.stderr.write(f"feedback: {str(error).strip()}\n")
        return 1
    sender = Sender(
        FeedbackStore(url),
        metrics := FeedbackMetrics(),
        bootstrap=settings.kafka,
        topic=settings.topic_prefix + topics.FEEDBACK,
    )
    try:
        return _once(sender) if options.once else _stay(sender, metrics, options)
    except TablesError as error:
        sys.stderr.write(f"feedback: {error}\n")
        return FATAL


def _once(sender: Sender) -> int:
    try:
        if sender.once():
            return 0
        sys.stderr.write("feedback: another one sends what waits\n")
    except (AwayError, KafkaError) as error:
        sys.stderr.write(f"feedback: {error}\n")
    return 1


def _stay(sender: Sender, metrics: FeedbackMetrics, options: argparse.Namespace) -> int:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sender.stopped.set())
    server = serve(metrics, options.metrics_port)
    sys.stderr.write(f"metrics on http://127.0.0.1:{server.server_port}/metrics\n")
    sender.run()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m processors feedback",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--once", action="store_true", help="send what waits, then end")
    parser.add_argument(
        "--metrics-port",
        type=int,
        default=9470,
        help="of /metrics, /healthz and /readyz on loopback; 0 takes a free one",
    )
    return parser
