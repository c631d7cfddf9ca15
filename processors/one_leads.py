"""The shape of services of which one works and the others stand by: turns, waiting, Kafka, and their command line.

Who holds the advisory lock of its store leads. Database or Kafka away is waited for; nothing is lost meanwhile.
"""

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from kafka import KafkaProducer
from kafka.errors import KafkaError
from prometheus_client import CollectorRegistry, Gauge

from processors.leader_store import AwayError, TablesError
from processors.metrics import serve
from schemas.settings import kafka_client

logger = logging.getLogger(__name__)

FATAL = 70
"""Exit code: the tables are not those of this release."""
RETRY_SECONDS = 2.0
_STALE_SECONDS = 60


class Outgoing(NamedTuple):
    """A message for Kafka; without a partition its key says which."""

    topic: str
    key: str
    payload: bytes
    partition: int | None = None


class Kafka:
    """A producer that is made when it is needed, and again after it was lost."""

    def __init__(self, bootstrap: str) -> None:
        """Connects to nothing yet."""
        self._bootstrap = bootstrap
        self._producer: KafkaProducer | None = None

    def deliver(self, messages: Iterable[Outgoing]) -> None:
        """Returns when Kafka has them all. Raises KafkaError."""
        if self._producer is None:
            self._producer = KafkaProducer(
                bootstrap_servers=self._bootstrap.split(","),
                **kafka_client(),
                acks="all",
                linger_ms=5,
            )
        sent = [
            self._producer.send(
                one.topic, value=one.payload, key=one.key.encode(), partition=one.partition
            )
            for one in messages
        ]
        self._producer.flush()
        for future in sent:
            future.get(timeout=30)

    def forget(self) -> None:
        """Give the connection up."""
        if self._producer is not None:
            self._producer.close(timeout=1)
            self._producer = None


class LeaderMetrics:
    """What every such service serves: whether it leads, and whether it moves."""

    def __init__(self, leads: str, meaning: str) -> None:
        """`leads`: the name of the series."""
        self.registry = CollectorRegistry()
        self.leads = Gauge(leads, meaning, registry=self.registry)
        self._leads = leads
        self._moved_at = time.monotonic()
        self._waits_for = ""

    def moved(self) -> None:
        """Something went on, or there is nothing to do."""
        self._moved_at = time.monotonic()
        self._waits_for = ""

    def waits(self, reason: str) -> None:
        """What is waited for."""
        self._waits_for = reason

    def told(self) -> dict[str, object]:
        """More that /readyz says."""
        return {}

    def ready(self) -> tuple[bool, dict[str, object]]:
        """Whether it does its work; one that stands by does."""
        idle = time.monotonic() - self._moved_at
        told: dict[str, object] = {
            "leads": bool(self.registry.get_sample_value(self._leads)),
            **self.told(),
            "seconds_since_progress": round(idle, 1),
            "waits_for": self._waits_for,
        }
        return not self._waits_for and idle < _STALE_SECONDS, told


class Service(Protocol):
    """One that works where it leads."""

    stopped: threading.Event

    @property
    def metrics(self) -> LeaderMetrics:
        """What it serves."""

    def turn(self) -> bool:
        """Do some of what waits; whether there may be more."""

    def pause(self) -> None:
        """There is nothing more: wait a moment."""

    def lead(self) -> bool:
        """Whether this is the one that works."""

    def forget(self) -> None:
        """Give the connections to Kafka up: they are made again."""

    def close(self) -> None:
        """Give up all connections, and the lead."""


def run(service: Service, waits: str) -> None:
    """Work until it is stopped; `waits` is the word of the log for waiting."""
    while not service.stopped.is_set():
        try:
            if not service.turn():
                service.pause()
        except (AwayError, KafkaError) as error:
            logger.warning(waits, extra={"reason": str(error)})
            service.metrics.waits(str(error))
            service.metrics.leads.set(0)
            service.forget()
            service.stopped.wait(RETRY_SECONDS)
    service.close()


def once(service: Service) -> bool:
    """Do all that waits; False where another one leads."""
    try:
        while service.turn():
            pass
        return service.lead()
    finally:
        service.close()


def add_words(parser: argparse.ArgumentParser, *, port: int, once_help: str) -> None:
    """What every such verb is told."""
    parser.add_argument("--once", action="store_true", help=once_help)
    parser.add_argument(
        "--metrics-port",
        type=int,
        default=port,
        help="of /metrics, /healthz and /readyz; 0 takes a free one",
    )
    parser.add_argument("--metrics-address", default="127.0.0.1", help="where they are (127.0.0.1)")


def carry_out(
    verb: str, service: Service, options: argparse.Namespace, *, another: str, waits: str
) -> int:
    """Work until SIGTERM, or with --once do what waits; the exit code."""
    try:
        if options.once:
            return _once(verb, service, another)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: service.stopped.set())
        server = serve(service.metrics, options.metrics_port, options.metrics_address)
        page = f"http://{options.metrics_address}:{server.server_port}/metrics"
        sys.stderr.write(f"metrics on {page}\n")
        run(service, waits)
    except TablesError as error:
        sys.stderr.write(f"{verb}: {error}\n")
        return FATAL
    return 0


def _once(verb: str, service: Service, another: str) -> int:
    try:
        if once(service):
            return 0
        sys.stderr.write(f"{verb}: {another}\n")
    except (AwayError, KafkaError) as error:
        sys.stderr.write(f"{verb}: {error}\n")
    return 1
