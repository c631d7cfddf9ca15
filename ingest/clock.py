"""Time as records: a tick in every partition each interval, by the wall clock.

Runs once. A second one does no harm: a tick that is not newer is ignored. When Kafka comes back
after a while, at most `catch_up` missed ticks are written; those before are skipped, since a tick
judges all that ended since the last one.
"""

import logging
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from kafka import KafkaProducer
from kafka.errors import KafkaError

from ingest.coalesce import Numbering
from ingest.complaint import ComplaintError
from ingest.metrics import ClockMetrics
from schemas import topics
from schemas.section import Tick
from schemas.wire import encode

logger = logging.getLogger(__name__)

DOOR = "clock"
_PATIENCE_S = 20.0
_RETRY_S = 2.0


@dataclass(frozen=True, slots=True)
class Due:
    """Ticks to write now, and how many before them are given up."""

    ticks: tuple[int, ...]
    skipped: int


def ticks_due(*, last: int | None, now: int, interval_ms: int, catch_up: int) -> Due:
    """The instants of the interval's beat after `last` up to `now`: at most `catch_up`, the newest.

    Without a last one, only the newest: what was before this process is not its to say.
    """
    newest = now // interval_ms * interval_ms
    if last is None:
        return Due((newest,), 0)
    missed = (newest - last) // interval_ms
    written = min(max(missed, 0), catch_up)
    ticks = tuple(newest - i * interval_ms for i in range(written - 1, -1, -1))
    return Due(ticks, max(missed, 0) - written)


class Clock:
    """Writes what is due, in order; a tick that Kafka did not acknowledge is tried again."""

    def __init__(
        self,
        *,
        producer: KafkaProducer,
        partitions: int,
        incarnation: int,
        metrics: ClockMetrics,
        interval_ms: int = 60_000,
        catch_up: int = 15,
        topic: str = topics.READINGS,
    ) -> None:
        self.producer, self.partitions, self.topic = producer, partitions, topic
        self.interval_ms, self.catch_up, self.metrics = interval_ms, catch_up, metrics
        self.numbering = Numbering(door=DOOR, incarnation=incarnation)
        self.last: int | None = None

    def write_due(self, now: int) -> None:
        """Write the ticks that are due at `now`, and wait for Kafka."""
        due = ticks_due(
            last=self.last, now=now, interval_ms=self.interval_ms, catch_up=self.catch_up
        )
        if due.skipped:
            self.metrics.skipped.inc(due.skipped)
            logger.warning("ticks skipped: Kafka was away", extra={"skipped": due.skipped})
        for at in due.ticks:
            if not self._write(at):
                return
            self.last = at
            self.metrics.last.set(at / 1_000)

    def seconds_to_next(self, now: int) -> float:
        """Until the next beat."""
        return (self.interval_ms - now % self.interval_ms) / 1_000

    def _write(self, at: int) -> bool:
        """One tick into every partition; whether all were acknowledged.

        A number whose record may or may not be there is not used again: a hole at the clock's door
        is looked into, a doubled number would hide one.
        """
        try:
            futures = [
                self.producer.send(
                    self.topic,
                    encode(self.numbering.record(partition, Tick(at))),
                    partition=partition,
                )
                for partition in range(self.partitions)
            ]
            for future in futures:
                future.get(timeout=_PATIENCE_S)
        except KafkaError as error:
            self.metrics.failures.inc()
            logger.warning("tick not acknowledged", extra={"at": at, "error": str(error)})
            return False
        self.metrics.ticks.inc(self.partitions)
        return True


def run(clock: Clock, *, stop: threading.Event, wall_ms: Callable[[], int]) -> None:
    """Write ticks until told to stop."""
    while not stop.is_set():
        clock.write_due(wall_ms())
        stop.wait(max(clock.seconds_to_next(wall_ms()), 0.01))


def connected(
    create: Callable[[], KafkaProducer], *, stop: threading.Event
) -> KafkaProducer | None:
    """A producer, as soon as there is a Kafka; None if told to stop before."""
    while not stop.is_set():
        try:
            return create()
        except ComplaintError as error:
            logger.warning("waiting for Kafka", extra={"error": str(error)})
            stop.wait(_RETRY_S)
    return None


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and SIGINT set."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def wall_ms() -> int:
    """The wall clock in milliseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1_000_000
