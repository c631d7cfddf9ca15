"""Publishes what was told, from each partition's cursor: at least once, in order, keyed by unit."""

import logging
import threading
import time
from collections.abc import Callable, Iterable

from kafka import KafkaProducer
from kafka.errors import KafkaError

from processors.metrics import WorkerMetrics
from processors.store import LostError, StoppedError, Store
from schemas.settings import kafka_client

logger = logging.getLogger(__name__)

BATCH = 2_000
LARGEST_MESSAGE = 4 * 2**20
"""As the topic allows: a restated unit tells all its days, some 800 bytes each."""
_POLL_SECONDS = 1.0


class Publisher:
    """A thread that moves the outbox to Kafka whenever it is woken."""

    def __init__(
        self,
        store: Store,
        metrics: WorkerMetrics,
        *,
        bootstrap: str,
        topic: str,
        fatal: Callable[[BaseException], None],
        at_point: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`fatal` hears of what nobody can mend by waiting; `at_point` is for tests."""
        self._store, self._metrics, self._topic = store, metrics, topic
        self._bootstrap = bootstrap
        self._fatal, self._at_point = fatal, at_point
        self._wake = threading.Event()
        self._stopped = False
        self._owned: frozenset[int] = frozenset()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def own(self, partitions: Iterable[int]) -> None:
        """Publish these partitions from now on."""
        self._owned = frozenset(partitions)
        self.wake()

    def wake(self) -> None:
        """There is something new."""
        self._wake.set()

    def stop(self) -> None:
        """End after the batch at hand."""
        self._stopped = True
        self._wake.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        producer: KafkaProducer | None = None
        while not self._stopped:
            self._wake.wait(_POLL_SECONDS)
            self._wake.clear()
            try:
                if producer is None:
                    producer = KafkaProducer(
                        bootstrap_servers=self._bootstrap,
                        **kafka_client(),
                        acks="all",
                        linger_ms=5,
                        batch_size=131_072,
                        max_request_size=LARGEST_MESSAGE,
                    )
                self._publish_all(producer)
            except StoppedError:
                return
            except Exception as error:  # noqa: BLE001 - a thread's outermost loop: Kafka away is waited for, the rest ends the process
                producer = self._after(error, producer)

    def _publish_all(self, producer: KafkaProducer) -> None:
        """Batch by batch, a batch of each partition in turn, until there is no more."""
        full = True
        while full and not self._stopped:
            full = sum(self._publish(producer, partition) for partition in sorted(self._owned)) > 0

    def _after(self, error: Exception, producer: KafkaProducer | None) -> KafkaProducer | None:
        if not isinstance(error, KafkaError):
            self._fatal(error)
            return producer
        logger.warning("Kafka does not take what was told", extra={"reason": str(error)})
        if producer is not None:
            producer.close(timeout=1)
        time.sleep(_POLL_SECONDS)
        self._wake.set()
        return None

    def _publish(self, producer: KafkaProducer, partition: int) -> bool:
        """One batch of one partition; whether there may be more."""
        rows = self._store.unpublished(partition, BATCH)
        if not rows:
            return False
        started = time.perf_counter()
        sent = [
            producer.send(
                self._topic, value=row.payload, key=row.key.encode() or None, partition=partition
            )
            for row in rows
        ]
        producer.flush()
        for future in sent:
            future.get(timeout=30)
        self._at_point("published")
        last = rows[-1]
        try:
            self._store.advance_cursor(partition, (last.offset, last.position, last.number))
        except LostError:
            self._owned -= {partition}
            return False
        self._metrics.published.inc(len(rows))
        self._metrics.stage("publish", time.perf_counter() - started)
        return len(rows) == BATCH
