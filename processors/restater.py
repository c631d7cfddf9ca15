"""Works units out again beside the stream, and says so in the log when the stream has little left to do.

A `Restated` record makes a unit's figures those of all its readings below it. What is old by then was digested here;
the worker adds the last days, or everything, where a row of the days before came in the meantime.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from kafka import KafkaProducer
from kafka.errors import KafkaError

from processors.metrics import WorkerMetrics
from processors.ports import ReadingRow, Rebuild, Rebuilt
from processors.rebuild import Rebuilding
from processors.revision import counts_otherwise
from processors.store import StoppedError, Store
from schemas.calendar import DAY_MS, OFFSET_MS
from schemas.factors import FactorPack
from schemas.section import Record, Restated
from schemas.settings import kafka_client
from schemas.wire import encode

logger = logging.getLogger(__name__)

DOOR = "restater"
LAST_DAYS = 2
"""Days that are left to the worker: where readings still come."""
_POLL_SECONDS = 0.5
_PAUSE_SECONDS = 5.0
_AGAIN_SECONDS = 600.0
"""A record that nobody heeded by then is sent once more."""
OUTSTANDING = 8
"""Records of a partition that are sent and not heeded yet: readings stand in the same queue."""


@dataclass(slots=True)
class _Aside:
    """A unit worked out up to a day, and how many rows that took."""

    work: Rebuilding
    before: int
    rows: int


def days_of(store: Store, unit: str, days: list[int]) -> Iterator[tuple[int, list[ReadingRow]]]:
    """The rows of these business days."""
    for day in days:
        yield day, store.rows_of(unit, day)


class Restater:
    """A thread that works on the units that wait. The worker asks it for what is done (`finish`)."""

    def __init__(
        self,
        store: Store,
        metrics: WorkerMetrics,
        pack: FactorPack,
        *,
        bootstrap: str,
        topic: str,
        fatal: Callable[[BaseException], None],
    ) -> None:
        """`store` is its own, so that it waits for nobody."""
        self._store, self._metrics, self._pack = store, metrics, pack
        self._bootstrap, self._topic, self._fatal = bootstrap, topic, fatal
        self._wanted: Mapping[str, Rebuild] = {}
        self._aside: dict[str, _Aside] = {}
        self._sent: dict[tuple[str, int], float] = {}
        self._stopped = threading.Event()
        threading.Thread(target=self._run, name="restater", daemon=True).start()

    def want(self, units: Mapping[str, Rebuild]) -> None:
        """These units wait, and no others."""
        self._wanted = units
        for gone in self._aside.keys() - units.keys():
            self._aside.pop(gone, None)
        self._metrics.pending.set(len(units))

    def finish(self, asked: Rebuild) -> Rebuilt:
        """The unit as all its rows make it; nothing is being written now."""
        unit = asked.entry.code
        if not self._store.is_recomputable(unit):
            message = (
                f"unit {unit} is to be restated, and its records are gone: no longer recomputable"
            )
            raise RuntimeError(message)
        aside = self._aside.pop(unit, None)
        days = self._store.days_of(unit)
        if aside is not None and self._holds(aside, asked):
            aside.work.asked = asked
            aside.work.take(days_of(self._store, unit, [d for d in days if d >= aside.before]))
            return aside.work.result()
        work = Rebuilding(asked, self._pack)
        work.take(self._told(unit, days))
        return work.result()

    def stop(self) -> None:
        """Begin no other unit."""
        self._stopped.set()

    def _holds(self, aside: _Aside, asked: Rebuild) -> bool:
        same = replace_place(aside.work.asked) == replace_place(asked)
        return same and self._store.rows_before(asked.entry.code, aside.before) == aside.rows

    def _told(self, unit: str, days: list[int]) -> Iterator[tuple[int, list[ReadingRow]]]:
        """The rows by day, with a word of how far it is."""
        for number, day in enumerate(days):
            self._metrics.waiting(
                f"unit {unit} is worked out again: day {number + 1} of {len(days)}"
            )
            yield day, self._store.rows_of(unit, day)
        self._metrics.waiting("")

    def _run(self) -> None:
        producer: KafkaProducer | None = None
        while not self._stopped.wait(_POLL_SECONDS):
            try:
                for asked in self._due():
                    producer = producer or KafkaProducer(
                        bootstrap_servers=self._bootstrap, **kafka_client(), acks="all"
                    )
                    self._begin(asked)
                    self._send(producer, asked)
            except StoppedError:
                return
            except KafkaError as error:
                logger.warning("Kafka takes no word of a restatement", extra={"reason": str(error)})
                if producer is not None:
                    producer.close(timeout=1)
                producer = None
                self._stopped.wait(_PAUSE_SECONDS)
            except Exception as error:  # noqa: BLE001 - a thread's outermost loop: whatever it is, the process must not go on without it
                self._fatal(error)

    def _due(self) -> Iterator[Rebuild]:
        """What is to be sent now, a few a partition at a time."""
        wanted = list(self._wanted.values())
        fresh = {id(asked) for asked in wanted if not self._is_due(asked)}
        outstanding = Counter(asked.place[0] for asked in wanted if id(asked) in fresh)
        for asked in wanted:
            partition = asked.place[0]
            if id(asked) in fresh or outstanding[partition] >= OUTSTANDING:
                continue
            if self._may(asked):
                outstanding[partition] += 1
                yield asked

    def _is_due(self, asked: Rebuild) -> bool:
        key = asked.entry.code, asked.version
        return time.monotonic() - self._sent.get(key, -_AGAIN_SECONDS) >= _AGAIN_SECONDS

    def _may(self, asked: Rebuild) -> bool:
        """Whether the records are there that the unit is to be worked out from; other factors need none."""
        unit = asked.entry.code
        if not counts_otherwise(asked.before, asked.entry) or self._store.is_recomputable(unit):
            return True
        logger.error(
            "a unit waits for ever: its records are gone, and it is no longer recomputable",
            extra={"unit": unit, "configuration": asked.version},
        )
        self._sent[unit, asked.version] = time.monotonic()
        return False

    def _begin(self, asked: Rebuild) -> None:
        """Digest everything but the last days; where only factors differ, there is nothing to digest."""
        unit = asked.entry.code
        if not counts_otherwise(asked.before, asked.entry):
            return
        started = time.monotonic()
        today = int(time.time() * 1_000 + OFFSET_MS) // DAY_MS
        before = min(max(self._store.days_of(unit), default=0), today) - LAST_DAYS + 1
        rows = self._store.rows_before(unit, before)  # first: who comes meanwhile is one more
        days = self._store.days_of(unit)
        old = [day for day in days if day < before]
        work = Rebuilding(asked, self._pack)
        work.take(days_of(self._store, unit, old))
        self._aside[unit] = _Aside(work, before, rows)
        logger.info(
            "unit worked out again",
            extra={"unit": unit, "days": len(days), "seconds": time.monotonic() - started},
        )

    def _send(self, producer: KafkaProducer, asked: Rebuild) -> None:
        unit, version = asked.entry.code, asked.version
        send_restated(producer, self._topic, (unit, version), asked.place[0])
        self._sent[unit, version] = time.monotonic()


def send_restated(
    producer: KafkaProducer, topic: str, what: tuple[str, int], partition: int
) -> None:
    """Put the record into the unit's partition; each is an incarnation of its own, so that none seems lost."""
    record = Record(DOOR, time.time_ns(), 0, Restated(*what))
    producer.send(topic, encode(record), partition=partition).get(timeout=60)


def replace_place(asked: Rebuild) -> Rebuild:
    """The same, wherever the control record stands."""
    return asked._replace(place=(0, 0))
