"""Sums regions and industries, hour by hour: what their key units had told once every partition was past the hour.

One at a time: a second one stands by. Stopped, killed or late, it tells the same rows: they are a function of the log. Each hour is one
transaction; its messages go to weir.regions.v1, and for the alerts to
weir.indicators.v1, at least once, in order.
"""

import argparse
import logging
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import Counter, Gauge

from processors.co2_views import PowerRow, power_rows
from processors.migrate import MigrationError, database_url
from processors.one_leads import Kafka, LeaderMetrics, Outgoing, add_words, carry_out
from processors.packs import UnreadableError, with_ours
from processors.region_store import Message, RegionStore
from processors.stop_at import StopAt
from schemas import topics
from schemas.pack_reading import PackError
from schemas.settings import Settings, SettingsError

logger = logging.getLogger(__name__)

_POLL_SECONDS = 1.0
_BATCH = 1_000

_EPILOG = """examples:
  python -m processors aggregator                     go on as hours become full; stand by where another one runs
  python -m processors aggregator --once              tell and publish what is due, then end
  python -m processors show --region 510400           what was told last of a city
  python -m processors targets load FILE --reason ... what the sums are held to

Exit codes: 0 stopped, or all that was due is told; 1 settings are missing, or (with --once) the database or Kafka
is away or another one leads; 70 the tables are not those of this release."""


class AggregatorMetrics(LeaderMetrics):
    """Of `python -m processors aggregator`. Created by the process that serves them."""

    def __init__(self) -> None:
        """Every series exists from the start."""
        super().__init__("weir_aggregator_leads", "1: the one that tells; 0: it stands by.")
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

    def told(self) -> dict[str, object]:
        """How far it is."""
        return {"lag_hours": self.registry.get_sample_value("weir_aggregator_lag_hours")}


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
        self._store, self.metrics, self._powers = store, metrics, powers
        self._kafka, self._regions, self._indicators = Kafka(bootstrap), regions, indicators
        self.stopped = threading.Event()

    def turn(self) -> bool:
        """Publish what waits, then tell one hour; whether there may be more to do."""
        if not self.lead():
            self.metrics.moved()
            return False
        if self._powers:
            self._store.keep_powers(self._powers)
            self._powers = ()
        while self._publish():
            if self.stopped.is_set():
                return False
        told = self._store.tell_next()
        self.metrics.lag.set(self._store.lag_hours() or 0)
        self.metrics.moved()
        if told is None:
            return False
        hour, rows = told
        self.metrics.hours.inc()
        self.metrics.hour.set(hour / 1000)
        changed = [one for one in rows.judged if one.said.changed is not None]
        self.metrics.changes.inc(len(changed))
        for one in changed:
            told_level = {"target": one.said.target, "level": one.level.level}
            logger.info("a level changed", extra=told_level)
        return True

    def pause(self) -> None:
        """Wait for the next hour."""
        self.stopped.wait(_POLL_SECONDS)

    def forget(self) -> None:
        """Give the connection to Kafka up."""
        self._kafka.forget()

    def close(self) -> None:
        """Give up the connections, and the lead."""
        self._kafka.forget()
        self._store.close()

    def lead(self) -> bool:
        """Whether this is the one aggregator."""
        leads = self._store.lead()
        self.metrics.leads.set(leads)
        return leads

    def _publish(self) -> bool:
        """One batch; whether there was one."""
        messages = self._store.unpublished(_BATCH)
        if not messages:
            return False
        self._send(messages)
        self._store.published(messages[-1])
        self.metrics.published.inc(len(messages))
        return True

    def _send(self, messages: Sequence[Message]) -> None:
        self._kafka.deliver(
            Outgoing(
                self._regions if one.partition is None else self._indicators,
                one.key,
                one.payload,
                one.partition or 0,
            )
            for one in messages
        )


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
        AggregatorMetrics(),
        bootstrap=settings.kafka,
        regions=settings.topic_prefix + topics.REGIONS,
        indicators=settings.indicators_topic,
        powers=power_rows(packs),
    )
    return carry_out(
        "aggregator",
        aggregator,
        options,
        another="another one leads, and tells what is due",
        waits="the aggregator waits",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m processors aggregator",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_words(parser, port=9468, once_help="tell what is due, then end")
    return parser
