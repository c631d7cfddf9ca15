"""Publishes what was told, from each partition's cursor: at least once, in order, keyed by unit."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from kafka import KafkaProducer
from kafka.errors import KafkaError

from processors.metrics import WorkerMetrics
from processors.ports import OutboxRow
from processors.store import LostError, StoppedError, Store
from schemas.settings import kafka_client

logger = logging.getLogger(__name__)

BATCH = 500
"""Rows of a partition that are read at once."""
LARGEST_MESSAGE = 4 * 2**20
"""As the topic allows: a restated unit tells all its days, some 800 bytes each."""
_LARGEST_BATCH = 2**21
"""Bytes: a full hour of a partition is one batch. Of two that wait, each further message wakes the sender."""
_MOST_HANDED = 5_000
_POLL_SECONDS = 1.0


class _Handed:
    """Rows as they were written just now, so that they need not be read back; where they are too many, they are."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rows: list[OutboxRow] | None = None

    def begin(self) -> None:
        """Have everything that is handed over from now on."""
        with self._lock:
            self._rows = []

    def forget(self) -> None:
        """Have nothing: the table has it."""
        with self._lock:
            self._rows = None

    def add(self, rows: Sequence[OutboxRow]) -> None:
        """Written, and not published."""
        with self._lock:
            if self._rows is not None:
                self._rows = (
                    [*self._rows, *rows] if len(self._rows) + len(rows) <= _MOST_HANDED else None
                )

    def take(self) -> list[OutboxRow] | None:
        """What was handed over since; None where rows are missing."""
        with self._lock:
            rows = self._rows
            if rows:
                self._rows = []
            return rows


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
        self._handed = _Handed()
        self._last: dict[int, tuple[int, int, int]] = {}
        """The last row of each partition that was published from here."""
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def own(self, partitions: Iterable[int]) -> None:
        """Publish these partitions from now on."""
        self._owned = frozenset(partitions)
        self._handed.forget()
        self._wake.set()

    def written(self, rows: Sequence[OutboxRow]) -> None:
        """These are in the table now."""
        self._handed.add(rows)
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
                        linger_ms=100,
                        batch_size=_LARGEST_BATCH,
                        max_request_size=LARGEST_MESSAGE,
                    )
                self._publish_all(producer)
            except StoppedError:
                return
            except Exception as error:  # noqa: BLE001 - a thread's outermost loop: Kafka away is waited for, the rest ends the process
                producer = self._after(error, producer)

    def _publish_all(self, producer: KafkaProducer) -> None:
        """Until there is no more: what was handed over, and where that is not all, what the table has."""
        while not self._stopped:
            rows = self._handed.take()
            if rows is None:
                self._handed.begin()
                self._catch_up(producer)
            elif rows:
                self._publish(producer, rows)
            else:
                return

    def _catch_up(self, producer: KafkaProducer) -> None:
        while not self._stopped:
            rows = self._store.unpublished(sorted(self._owned), BATCH)
            self._publish(producer, rows)
            if len(rows) < BATCH:
                return

    def _after(self, error: Exception, producer: KafkaProducer | None) -> KafkaProducer | None:
        self._handed.forget()
        if not isinstance(error, KafkaError):
            self._fatal(error)
            return producer
        logger.warning("Kafka does not take what was told", extra={"reason": str(error)})
        if producer is not None:
            producer.close(timeout=1)
        time.sleep(_POLL_SECONDS)
        self._wake.set()
        return None

    def _publish(self, producer: KafkaProducer, rows: Sequence[OutboxRow]) -> None:
        """Rows in order, those that are not published yet."""
        started, owned, last = time.perf_counter(), self._owned, dict(self._last)
        sent, ends = [], dict[int, tuple[int, int, int]]()
        for row in rows:
            place = row[1:4]
            if row.partition in owned and place > last.get(row.partition, (-1, -1, -1)):
                key = row.key.encode() or None
                sent.append(producer.send(self._topic, row.payload, key, partition=row.partition))
                ends[row.partition] = place
        if not sent:
            return
        producer.flush()
        for future in sent:
            future.get(timeout=30)
        self._at_point("published")
        try:
            self._store.advance_cursors(ends)
        except LostError as error:
            self._owned -= error.partitions
        self._last |= ends
        self._metrics.published.inc(len(sent))
        self._metrics.stage("publish", time.perf_counter() - started)
