"""A tick comes at each beat, in every partition, and never twice."""

import pytest
from kafka.errors import KafkaError, KafkaTimeoutError

from ingest.clock import Clock, Due, ticks_due
from ingest.metrics import ClockMetrics
from schemas.section import Record, Tick
from schemas.wire import decode

MINUTE = 60_000
NOW = 1_795_399_230_000
BEAT = 1_795_399_200_000


@pytest.mark.parametrize(
    ("last", "now", "expected"),
    [
        pytest.param(None, NOW, Due((BEAT,), 0), id="first"),
        pytest.param(BEAT, NOW, Due((), 0), id="not yet"),
        pytest.param(BEAT, BEAT + MINUTE, Due((BEAT + MINUTE,), 0), id="on the beat"),
        pytest.param(
            BEAT - 2 * MINUTE, NOW, Due((BEAT - MINUTE, BEAT), 0), id="two, the older first"
        ),
        pytest.param(
            BEAT - 9 * MINUTE,
            NOW,
            Due((BEAT - 2 * MINUTE, BEAT - MINUTE, BEAT), 6),
            id="away for long",
        ),
        pytest.param(BEAT + 5 * MINUTE, NOW, Due((), 0), id="the wall clock went back"),
    ],
)
def test_ticks_due(last: int | None, now: int, expected: Due) -> None:
    """All that were missed, but at most three: the newest."""
    assert ticks_due(last=last, now=now, interval_ms=MINUTE, catch_up=3) == expected


class Future:
    def __init__(self, error: KafkaError | None) -> None:
        self.error = error

    def get(self, timeout: float) -> None:
        assert timeout > 0
        if self.error is not None:
            raise self.error


class RecordingProducer:
    """Remembers what it was given; fails while told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int, Record]] = []
        self.error: KafkaError | None = None

    def send(self, topic: str, value: bytes, *, partition: int) -> Future:
        self.sent.append((topic, partition, decode(value)))
        return Future(self.error)


def clock_of(producer: RecordingProducer, metrics: ClockMetrics) -> Clock:
    return Clock(producer=producer, partitions=3, incarnation=7, metrics=metrics, catch_up=3)


def test_every_partition_has_its_tick() -> None:
    """Numbered at the clock's door."""
    producer, metrics = RecordingProducer(), ClockMetrics()
    clock = clock_of(producer, metrics)
    clock.write_due(NOW)
    clock.write_due(NOW + 1_000)
    clock.write_due(NOW + MINUTE)
    assert [(p, r.sequence, r.body) for _, p, r in producer.sent] == [
        *((p, 0, Tick(BEAT)) for p in range(3)),
        *((p, 1, Tick(BEAT + MINUTE)) for p in range(3)),
    ]
    assert metrics.registry.get_sample_value("weir_clock_ticks_total") == 6
    assert clock.seconds_to_next(NOW) == 30


def test_a_tick_that_kafka_did_not_take_is_tried_again() -> None:
    """Time goes on afterwards; what is too long ago is skipped, and said."""
    producer, metrics = RecordingProducer(), ClockMetrics()
    clock = clock_of(producer, metrics)
    clock.write_due(NOW)
    producer.error = KafkaTimeoutError("away")
    clock.write_due(NOW + MINUTE)
    assert clock.last == BEAT
    assert metrics.registry.get_sample_value("weir_clock_failures_total") == 1
    producer.error = None
    producer.sent.clear()
    clock.write_due(NOW + 5 * MINUTE)
    told = [record.body for _, partition, record in producer.sent if partition == 0]
    assert told == [Tick(BEAT + minute * MINUTE) for minute in (3, 4, 5)]
    assert metrics.registry.get_sample_value("weir_clock_ticks_skipped_total") == 2
