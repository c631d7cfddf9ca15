"""What is told reaches its topic in order, whether it is handed over by the worker or read from its table."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from kafka.errors import KafkaTimeoutError

from processors.metrics import WorkerMetrics
from processors.outbox import Publisher
from processors.ports import OutboxRow, Step
from processors.store import Store
from schemas import topics
from tests.integration.places import Place, place_of
from tests.integration.steps import step


def telling(first: int, rows: int, partition: int) -> Step:
    """A step of one record that tells so many rows."""
    told = (
        OutboxRow(partition, first, 0, number, "unit", f"{first}/{number}".encode())
        for number in range(rows)
    )
    return replace(step(first, first + 1, partition=partition), outbox=tuple(told))


def payloads(*steps: Step) -> list[bytes]:
    return [row.payload for one in steps for row in one.outbox]


def said(place: Place) -> dict[int, list[bytes]]:
    place.wait_published()
    return place.records(topics.INDICATORS)


@contextmanager
def publisher_of(store: Store, place: Place, at_point: list[Exception]) -> Iterator[Publisher]:
    """One that fails once for each of these errors, when Kafka has what it sent."""

    def stumble(_: str) -> None:
        if at_point:
            raise at_point.pop()

    publisher = Publisher(
        store,
        WorkerMetrics(),
        bootstrap=place.environment["WEIR_KAFKA"],
        topic=place.prefix + topics.INDICATORS,
        fatal=lambda _: None,
        at_point=stumble,
    )
    yield publisher
    publisher.stop()


def test_what_is_handed_over_and_what_is_in_the_table_come_in_order(
    database: str, tmp_path: Path
) -> None:
    """Rows of before, many rows at once, and rows that nobody handed over: each once."""
    with (
        place_of(database, tmp_path, partitions=2) as place,
        closing(Store(database)) as store,
        publisher_of(store, place, []) as publisher,
    ):
        store.take({0: 0, 1: 0})
        before = telling(0, 1_201, 0)
        store.write(before)
        publisher.own([0, 1])
        assert said(place) == {0: payloads(before)}
        steps = [telling(offset, 2, 1) for offset in range(3)]
        for one in steps:
            store.write(one)
            publisher.written(one.outbox)
        large = telling(1, 5_003, 0)
        store.write(large)
        publisher.written(large.outbox)
        assert said(place) == {0: payloads(before, large), 1: payloads(*steps)}
        unheard = telling(2, 3, 0)
        store.write(unheard)
        publisher.own([0, 1])
        assert said(place)[0] == payloads(before, large, unheard)


def test_what_kafka_did_not_confirm_is_told_again(database: str, tmp_path: Path) -> None:
    """At least once: the rows that were handed over are read from the table then."""
    with (
        place_of(database, tmp_path, partitions=1) as place,
        closing(Store(database)) as store,
    ):
        store.take({0: 0})
        troubles: list[Exception] = []
        with publisher_of(store, place, troubles) as publisher:
            publisher.own([0])
            first, second = telling(0, 2, 0), telling(1, 1, 0)
            store.write(first)
            publisher.written(first.outbox)
            assert said(place)[0] == payloads(first)
            troubles.append(KafkaTimeoutError("away"))
            store.write(second)
            publisher.written(second.outbox)
            assert said(place)[0] == payloads(first, second, second)
