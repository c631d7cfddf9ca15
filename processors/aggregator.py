"""Sums regions and industries, hour by hour: what their key units had told once every partition was past the hour.

One at a time: a second one stands by. Stopped, killed or late, it tells the same rows: they are a function of the log. Each hour is one
transaction; its messages go to weir.regions.v1, and for the alerts to
weir.indicators.v1, at least once, in order.
"""

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from kafka import KafkaProducer
from kafka.errors import KafkaError
from prometheus_client import CollectorRegistry, Counter, Gauge

from processors.co2_views import PowerRow, power_rows
from processors.metrics import serve
from processors.migrate import MigrationError, database_url
from processors.packs import UnreadableError, with_ours
from processors.region_store import AwayError, Message, RegionStore, TablesError
from processors.stop_at import StopAt
from schemas import topics
from schemas.pack_reading import PackError
from schemas.settings import Settings, SettingsError, kafka_client

logger = logging.getLogger(__name__)

_POLL_SECONDS = 1.0
_RETRY_SECONDS = 2.0
_BATCH = 1_000
_STALE_SECONDS = 60
FATAL = 70

_EPILOG = """examples:
  python -m processors aggregator                     go on as hours become full; stand by where another one runs
  python -m processors aggregator --once              tell and publish what is due, then end
  python -m processors show --region 510400           what was told last of a city
  python -m processors targets load FILE --reason ... what the sums are held to

Exit codes: 0 stopped, or all that was due is told; 1 settings are missing, or (with --once) the database or Kafka
is away or another one leads; 70 the tables are not those of this release."""


class AggregatorMetrics:
    """Of `python -m processors aggregator`. Created by the process that serves them."""

    def __init__(self) -> None:
        """Every series exists from the start."""
        self.registry = CollectorRegistry()
        self.leads = Gauge(
            "weir_aggregator_leads",
            "1: the one that tells; 0: it stands by.",
            registry=self.registry,
        )
        self.lag = Gauge(
            "weir_aggregator_lag_hours",
            "Full hours that every partition is past and that were not told. Growing: the aggregator stands.",
            registry=self.registry,
        )
        self.hour = Gauge(
            "weir_aggregator_last_hour_timestamp_seconds",
            "The last hour told (data time).",
            registry=self.registry,
        )
        self.hours = Counter(
            "weir_aggregator_hours", "Hours told since its start.", registry=self.registry
        )
        self.changes = Counter(
            "weir_aggregator_level_changes",
            "Levels of targets that changed.",
            registry=self.registry,
        )
        self.published = Counter(
            "weir_aggregator_published", "Messages that Kafka acknowledged.", registry=self.registry
        )
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
            "leads": bool(self.registry.get_sample_value("weir_aggregator_leads")),
            "lag_hours": self.registry.get_sample_value("weir_aggregator_lag_hours"),
            "seconds_since_progress": round(idle, 1),
            "waits_for": self._waits_for,
        }
        return not self._waits_for and idle < _STALE_SECONDS, told


class Aggregator:
    """Tells hour after hour and publishes what it told."""

    def __init__(
        self,
        store: RegionStore,
        metrics: AggregatorMetrics,
        *,
        bootstrap: str,
        regions: str,
        indicators: str,
        powers: Sequence[PowerRow] = (),
    ) -> None:
        """Connects to nothing yet. `powers`: factors of electricity, written once it leads."""
        self._store, self._metrics, self._powers = store, metrics, powers
        self._bootstrap, self._regions, self._indicators = bootstrap, regions, indicators
        self._producer: KafkaProducer | None = None
        self.stopped = threading.Event()

    def run(self) -> None:
        """Work until it is stopped. Database or broker away is waited for."""
        while not self.stopped.is_set():
            try:
                idle = not self.turn()
            except (AwayError, KafkaError) as error:
                logger.warning("the aggregator waits", extra={"reason": str(error)})
                self._metrics.waits(str(error))
                self._metrics.leads.set(0)
                self._forget_producer()
                self.stopped.wait(_RETRY_SECONDS)
            else:
                if idle:
                    self.stopped.wait(_POLL_SECONDS)
        self.close()

    def once(self) -> bool:
        """Tell and publish all that is due; False where another one leads."""
        try:
            while self.turn():
                pass
            return self._leads()
        finally:
            self.close()

    def turn(self) -> bool:
        """Publish what waits, then tell one hour; whether there may be more to do."""
        if not self._leads():
            self._metrics.moved()
            return False
        if self._powers:
            self._store.keep_powers(self._powers)
            self._powers = ()
        while self._publish():
            if self.stopped.is_set():
                return False
        told = self._store.tell_next()
        self._metrics.lag.set(self._store.lag_hours() or 0)
        self._metrics.moved()
        if told is None:
            return False
        hour, rows = told
        self._metrics.hours.inc()
        self._metrics.hour.set(hour / 1000)
        changed = [one for one in rows.judged if one.said.changed is not None]
        self._metrics.changes.inc(len(changed))
        for one in changed:
            told_level = {"target": one.said.target, "level": one.level.level}
            logger.info("a level changed", extra=told_level)
        return True

    def close(self) -> None:
        """Give up the connections, and the lead."""
        self._forget_producer()
        self._store.close()

    def _leads(self) -> bool:
        leads = self._store.lead()
        self._metrics.leads.set(leads)
        return leads

    def _publish(self) -> bool:
        """One batch; whether there was one."""
        messages = self._store.unpublished(_BATCH)
        if not messages:
            return False
        self._send(messages)
        self._store.published(messages[-1])
        self._metrics.published.inc(len(messages))
        return True

    def _send(self, messages: Sequence[Message]) -> None:
        if self._producer is None:
            self._producer = KafkaProducer(
                bootstrap_servers=self._bootstrap.split(","),
                **kafka_client(),
                acks="all",
                linger_ms=5,
            )
        sent = []
        for one in messages:
            topic = self._regions if one.partition is None else self._indicators
            sent.append(
                self._producer.send(
                    topic, value=one.payload, key=one.key.encode(), partition=one.partition or 0
                )
            )
        self._producer.flush()
        for future in sent:
            future.get(timeout=30)

    def _forget_producer(self) -> None:
        if self._producer is not None:
            self._producer.close(timeout=1)
            self._producer = None


def main(arguments: Sequence[str]) -> int:
    """Tell hour after hour, or (with --once) what is due."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kafka").setLevel(logging.WARNING)
    try:
        settings, url = Settings.read(), database_url()
        packs = with_ours([Path(name) for name in settings.packs.split(":") if name])
    except (SettingsError, MigrationError, PackError, UnreadableError) as error:
        sys.stderr.write(f"aggregator: {str(error).strip()}\n")
        return 1
    points = StopAt(os.environ.get("WEIR_TEST_STOP_AT", ""))
    points.watch(lambda: True)
    store = RegionStore(
        url,
        generation=settings.generation,
        partitions=settings.partitions,
        at_point=points.at_point,
    )
    aggregator = Aggregator(
        store,
        metrics := AggregatorMetrics(),
        bootstrap=settings.kafka,
        regions=settings.topic_prefix + topics.REGIONS,
        indicators=settings.indicators_topic,
        powers=power_rows(packs),
    )
    try:
        return _once(aggregator) if options.once else _stay(aggregator, metrics, options)
    except TablesError as error:
        sys.stderr.write(f"aggregator: {error}\n")
        return FATAL


def _once(aggregator: Aggregator) -> int:
    try:
        if aggregator.once():
            return 0
        sys.stderr.write("aggregator: another one leads, and tells what is due\n")
    except (AwayError, KafkaError) as error:
        sys.stderr.write(f"aggregator: {error}\n")
    return 1


def _stay(aggregator: Aggregator, metrics: AggregatorMetrics, options: argparse.Namespace) -> int:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: aggregator.stopped.set())
    server = serve(metrics, options.metrics_port, options.metrics_address)
    page = f"http://{options.metrics_address}:{server.server_port}/metrics"
    sys.stderr.write(f"metrics on {page}\n")
    aggregator.run()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m processors aggregator",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--once", action="store_true", help="tell what is due, then end")
    parser.add_argument(
        "--metrics-port",
        type=int,
        default=9468,
        help="of /metrics, /healthz and /readyz; 0 takes a free one",
    )
    parser.add_argument("--metrics-address", default="127.0.0.1", help="where they are (127.0.0.1)")
    return parser
