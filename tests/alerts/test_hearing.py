"""What the loop does with records: ours, not ours, again, out of order, indigestible; and its pages."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast

import pytest
from faust.types import EventT

import alerts.batch
from alerts.app import LogError, LogRange, Worker, create_app, patiently
from alerts.batch import Batch, Record, batch_of
from alerts.metrics import Metrics, Page, Pages
from alerts.settings import AlertSettings
from alerts.state import Partition, Step, advance
from alerts.store import LostError, Owned, Store
from schemas.indicator import Message
from schemas.rule import Rule, Rules
from tests.alerts.logs import OTHER, START, UNIT, indicator, tick
from tests.alerts.real import get

BREACH = Rule(name="breach", kind="confirmed breach", severity="critical")


@dataclass
class Tables:
    """A store that remembers what it is given."""

    at: dict[int, int] = field(default_factory=dict)
    written: list[Batch] = field(default_factory=list)
    lost: bool = False

    def take(self, beginnings: Mapping[int, int]) -> dict[int, Owned]:
        return {
            partition: Owned(7, self.at.get(partition, beginning), Partition())
            for partition, beginning in beginnings.items()
        }

    def write_surely(self, batch: Batch, epoch: int) -> None:
        assert epoch == 7
        if self.lost:
            message = "another's"
            raise LostError(message)
        self.written.append(batch)


@dataclass
class Heard:
    """As much of Kafka's message as is looked at."""

    partition: int
    offset: int
    value: bytes | None


@dataclass
class Event:
    """As much of Faust's event."""

    message: Heard


def events(*offsets: int, partition: int = 0) -> list[EventT[object]]:
    payload = tick(1, START).model_dump_json().encode()
    return [cast("EventT[object]", Event(Heard(partition, at, payload))) for at in offsets]


@pytest.fixture
def tables() -> Tables:
    return Tables()


@pytest.fixture
def worker(tables: Tables) -> Worker:
    return Worker(store=cast("Store", tables), rules=(BREACH,), metrics=Metrics(["webhook"]))


def spans(tables: Tables) -> list[tuple[int, int, int]]:
    return [(batch.partition, batch.first, batch.following) for batch in tables.written]


async def test_records_are_written_partition_by_partition(worker: Worker, tables: Tables) -> None:
    await worker.take({0: 0, 1: 0}, {0: 9, 1: 9})
    await worker.hear([*events(0, partition=1), *events(0, 1), *events(1, partition=1)])
    await worker.hear(events(2))
    assert spans(tables) == [(0, 0, 2), (1, 0, 2), (0, 2, 3)]
    assert worker.lag == 9 - 3 + 9 - 2


async def test_what_comes_again_or_is_not_ours_is_dropped(worker: Worker, tables: Tables) -> None:
    tables.at[0] = 5
    await worker.take({0: 0}, {0: 9})
    await worker.hear([*events(3, 4), *events(0, partition=1)])
    await worker.hear(events(4, 5, 5, 6))
    assert spans(tables) == [(0, 5, 7)]


@pytest.mark.parametrize("offsets", [(6,), (5, 7)])
async def test_a_hole_is_never_stepped_over(
    worker: Worker, tables: Tables, offsets: tuple[int, ...]
) -> None:
    tables.at[0] = 5
    await worker.take({0: 0}, {0: 9})
    with pytest.raises(LogError, match="is next"):
        await worker.hear(events(*offsets))
    assert tables.written == []


@pytest.mark.parametrize(("begins", "ends"), [(6, 9), (0, 4)])
async def test_another_log_is_refused(
    worker: Worker, tables: Tables, begins: int, ends: int
) -> None:
    """It begins after our position, or ends before it."""
    tables.at[0] = 5
    with pytest.raises(LogError, match=f"holds offsets {begins} to {ends}"):
        await worker.take({0: begins}, {0: ends})
    assert not worker.owned


@pytest.mark.parametrize("ends", [(4, 9), (4, 4)], ids=["it grew", "it is another log"])
async def test_an_end_that_was_asked_before_others_heard_more_is_asked_again(
    worker: Worker, tables: Tables, ends: tuple[int, ...]
) -> None:
    """Frozen between the broker's answer and the taking, a worker finds a position beyond that answer."""
    tables.at[0] = 5
    answers: list[LogRange] = [({0: 0}, {0: end}) for end in ends]

    async def log_range() -> LogRange:
        return answers.pop(0)

    if 9 in ends:
        await patiently(log_range, worker.take)
        assert worker.lag == 9 - 5
    else:
        with pytest.raises(LogError, match="holds offsets 0 to 4"):
            await patiently(log_range, worker.take)
    assert not answers


async def test_a_lost_partition_is_given_up(worker: Worker, tables: Tables) -> None:
    """And if the group is not shared out anew, the process is stuck."""
    await worker.take({0: 0, 1: 0}, {0: 0, 1: 0})
    tables.lost = True
    await worker.hear(events(0))
    assert worker.epochs() == {1: 7}
    assert worker.stuck(after=3600) == ""
    assert "partition 0 was lost" in worker.stuck(after=0)
    await worker.take({0: 0}, {0: 1})
    assert worker.epochs() == {0: 7}
    assert worker.stuck(after=3600) == ""


async def test_a_rebalance_during_a_write_wins(worker: Worker, tables: Tables) -> None:
    """What was loaded meanwhile is newer than what the write would leave behind."""
    await worker.take({0: 0}, {0: 9})

    def write(batch: Batch, epoch: int) -> None:
        del batch, epoch
        worker.owned[0] = Owned(8, 1, Partition())

    tables.write_surely = write  # type: ignore[method-assign]
    await worker.hear(events(0))
    assert worker.owned[0].epoch == 8


async def test_health_and_readiness(worker: Worker, tables: Tables) -> None:
    """Alive while it waits for the database; stuck where records wait and none is heard."""
    del tables
    assert worker.readiness().says["missing"] == [
        "no partitions assigned yet",
        "the broker does not say how far the log goes",
    ]
    await worker.take({0: 0}, {0: 3})
    assert worker.readiness().ok
    assert "3 records wait" in worker.stuck(after=-1)
    assert not worker.health(after=-1).ok
    worker.waits("the database does not answer")
    assert worker.health(after=60).ok
    assert worker.readiness().says["missing"] == ["the database does not answer"]
    await worker.hear(events(0, 1, 2))
    assert worker.readiness().ok
    assert worker.stuck(after=-1) == ""
    worker.know_ends(None)
    assert not worker.readiness().ok
    worker.forget()
    assert worker.epochs() == {}
    worker.beat_at -= 1_000
    assert "event loop" in worker.stuck(after=60)


async def test_the_app_is_wired_by_its_factory(worker: Worker) -> None:
    """Two of them, from the same settings: nothing is kept in the module."""
    settings = AlertSettings(kafka="a:1,b:2", alerts_topic="t", alerts_group="g", instance="i")
    first, second = create_app(settings, worker), create_app(settings, worker)
    assert first is not second
    assert [str(url) for url in first.conf.broker] == ["kafka://a:1", "kafka://b:2"]
    assert first.conf.id == "g"
    assert first.conf.consumer_group_instance_id == "i"
    assert [agent.name for agent in first.agents.values()] == ["indicators"]
    await asyncio.sleep(0)


# ---- One that cannot be digested stops nobody


def test_a_message_that_breaks_the_core_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by halving; the others are told as if it were not there."""

    def fragile(before: Partition, messages: Iterator[Message], rules: Rules) -> Step:
        taken = list(messages)
        if any(message.as_of == START + 3 for message in taken):
            message = "a bug"
            raise ZeroDivisionError(message)
        return advance(before, taken, rules)

    monkeypatch.setattr(alerts.batch, "advance", fragile)
    log: list[Message] = [indicator(n, START + n, ".x"[n % 2]) for n in range(6)]
    records = [
        Record(offset, message.model_dump_json().encode())
        for offset, message in enumerate(log, start=10)
    ]
    batch = batch_of(0, records, Partition(), (BREACH,))
    ((offset, payload, reason),) = batch.refused
    assert (offset, payload) == (13, records[3].payload)
    assert "ZeroDivisionError('a bug')" in reason
    assert (batch.first, batch.following) == (10, 16)
    without = [message for message in log if message.as_of != START + 3]
    expected = advance(Partition(), without, (BREACH,))
    assert [one.id for one in batch.notices] == [one.id for one in expected.transitions]
    assert batch.after == expected.after


def test_a_batch_names_what_changed() -> None:
    log: list[Message] = [
        indicator(0, START, "x"),
        indicator(0, START, ".", unit=OTHER),
        tick(0, START + 5),
    ]
    records = [Record(n, message.model_dump_json().encode()) for n, message in enumerate(log)]
    batch = batch_of(0, records, Partition(), (BREACH,))
    assert [unit.unit for unit in batch.units] == [UNIT, OTHER]
    assert batch.heard_at == START + 5
    assert batch.after.tick == log[2].version
    assert batch.refused == ()


# ---- Pages


def test_pages() -> None:
    """Metrics with every label from the start; checks answer 200 or 503."""
    metrics = Metrics(["webhook"])
    metrics.count_delivery("webhook", "timeout")
    ill = Page(ok=False, says={"stuck": "for an hour"})
    pages = Pages(
        "127.0.0.1:0",
        metrics.registry,
        health=lambda: ill,
        readiness=lambda: Page(ok=True, says={}),
    )
    pages.start()
    try:
        status, text = get(pages.address, "/metrics")
        assert status == 200
        assert 'weir_alerts_deliveries_failed_total{channel="webhook",reason="timeout"} 1.0' in text
        assert 'weir_alerts_transitions_total{state="retracted"} 0.0' in text
        assert get(pages.address, "/healthz") == (503, '{"ok": false, "stuck": "for an hour"}\n')
        assert get(pages.address, "/readyz")[0] == 200
        assert get(pages.address, "/")[0] == 404
    finally:
        pages.stop()
