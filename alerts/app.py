"""The worker: indicators in, transitions stored, delivery set going. Faust is its frame.

The loop of FAUST.md, sections 5 and 6: the position comes from the database, an event is
acknowledged after the commit, nothing is raised out of the loop, what is fatal ends the process.
"""

import asyncio
import logging
import os
import ssl
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from typing import NoReturn, TypeVar, cast

import faust
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, EventT, StreamT, TransportT
from mode import CrashingSupervisor
from prometheus_client import disable_created_metrics

from alerts import logs
from alerts.batch import Batch, Record, batch_of
from alerts.channels import Channel
from alerts.delivery import Delivery
from alerts.keeper import Duties, Keeper
from alerts.metrics import Metrics, Page, Pages
from alerts.settings import AlertSettings
from alerts.store import LostError, Outlet, Owned, Store
from schemas.rule import Rules
from schemas.settings import SettingsError

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
LogRange = tuple[dict[int, int], dict[int, int]]
"""First and next offset, by partition."""

FATAL = 70
"""Exit code of a process that must be started anew; EX_SOFTWARE."""
TAKE = 1_000
"""Records of one batch at most."""
HEARTBEAT_S = 1.0
LAG_S = 2.0
ANSWER_S = 10.0
"""A broker that has not said so long how far the log goes is away."""
BLOCKED_S = 60.0
"""An event loop without a heartbeat for so long is blocked."""


class LogError(Exception):
    """The log is not the one that was read before; the message says what to do."""


class Worker:
    """What the loop holds: the partitions that are ours, and when something last moved."""

    def __init__(self, *, store: Store, rules: Rules, metrics: Metrics) -> None:
        self.store = store
        self.rules = rules
        self.metrics = metrics
        self.wake: Callable[[], None] = _nothing
        """Who is to know that there is something to deliver."""
        self.owned: dict[int, Owned] = {}
        self.assigned = False
        self.waits_for = ""
        """Why the store waits, if it does."""
        self.moved_at = self.beat_at = time.monotonic()
        self.lost_at: dict[int, float] = {}
        """Partitions that somebody took from us, until the group is shared out anew."""
        self._ends: Mapping[int, int] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database")

    async def in_thread(self, work: Callable[..., Result], *arguments: object) -> Result:
        """Do database work in the one thread for it, so that it happens in order."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def epochs(self) -> Mapping[int, int]:
        """Return the epochs of our partitions."""
        return {partition: owned.epoch for partition, owned in self.owned.copy().items()}

    def waits(self, reason: str) -> None:
        """The store waits for the database: alive, and not ready."""
        self.waits_for = reason
        self.moved_at = time.monotonic()

    async def take(self, beginnings: Mapping[int, int], ends: Mapping[int, int]) -> None:
        """Own these partitions and load their state. Raises LogError."""
        self.owned.clear()
        taken = await self.in_thread(self.store.take, beginnings)
        for partition, owned in taken.items():
            if not beginnings[partition] <= owned.next_offset <= ends[partition]:
                message = (
                    f"partition {partition} of the indicators holds offsets {beginnings[partition]}"
                    f" to {ends[partition]}, and the next to be heard is {owned.next_offset}: what "
                    "is missing was deleted, or this is another topic (then set WEIR_GENERATION)"
                )
                raise LogError(message)
        self.owned.update(taken)
        self.lost_at.clear()
        self.know_ends(ends)
        self.assigned = True
        self.waits_for = ""
        self.moved_at = time.monotonic()

    def forget(self) -> None:
        """Nothing is ours any more."""
        self.owned.clear()
        self.assigned = False

    async def hear(self, events: Sequence[EventT[object]]) -> None:
        """Write what the events make of our partitions; those that are not ours are dropped."""
        ordered = sorted(events, key=lambda event: (event.message.partition, event.message.offset))
        for partition, group in groupby(ordered, key=lambda event: event.message.partition):
            owned = self.owned.get(partition)
            if owned is None:
                continue
            records = list(_new(group, owned.next_offset))
            if records:
                _refuse_hole(partition, records, owned.next_offset)
                await self._write(partition, records, owned)

    async def _write(self, partition: int, records: Sequence[Record], owned: Owned) -> None:
        batch = batch_of(partition, records, owned.state, self.rules)
        try:
            await self.in_thread(self.store.write_surely, batch, owned.epoch)
        except LostError as error:
            logger.warning("partition lost", extra={"reason": str(error)})
            if self.owned.get(partition) is owned:
                del self.owned[partition]
                self.lost_at[partition] = time.monotonic()
            return
        # A rebalance during the write has loaded the state anew, this batch in it.
        if self.owned.get(partition) is owned:
            self.owned[partition] = Owned(owned.epoch, batch.following, batch.after)
        self._count(batch)

    def _count(self, batch: Batch) -> None:
        self.waits_for = ""
        self.moved_at = time.monotonic()
        self.metrics.progress.set(time.time())
        self.metrics.lag.set(self.lag or 0)
        if batch.heard_at is not None:
            self.metrics.heard.set(batch.heard_at / 1_000)
        self.metrics.refused.inc(len(batch.refused))
        for one in batch.refused:
            told = {"partition": batch.partition, "offset": one.offset, "reason": one.reason}
            logger.error("record refused, and kept", extra=told)
        for notice in batch.notices:
            self.metrics.count_transition(notice.state)
        if batch.notices:
            self.wake()

    def know_ends(self, ends: Mapping[int, int] | None) -> None:
        """Remember how far the log goes; None while the broker does not say."""
        if (ends is None) != (self._ends is None):
            logger.warning("the broker is away" if ends is None else "the broker answers")
        self._ends = ends
        if self.lag is not None:
            self.metrics.lag.set(self.lag)

    @property
    def lag(self) -> int | None:
        """Records told and not yet heard; None while the broker does not say."""
        if self._ends is None:
            return None
        return sum(
            max(self._ends.get(partition, 0) - owned.next_offset, 0)
            for partition, owned in self.owned.copy().items()
        )

    # ---- What the pages say, asked from other threads

    def stuck(self, *, after: float) -> str:
        """Return why the process should be started anew, or nothing."""
        now = time.monotonic()
        if now - self.beat_at > BLOCKED_S:
            return f"the event loop has been blocked for {now - self.beat_at:.0f} s"
        if self.lag and now - self.moved_at > after:
            return f"{self.lag} records wait, and none was heard for {now - self.moved_at:.0f} s"
        for partition, lost_at in self.lost_at.copy().items():
            if now - lost_at > after:
                return f"partition {partition} was lost, and the group was not shared out anew"
        return ""

    def health(self, *, after: float) -> Page:
        """Say whether it makes progress, or has nothing to do."""
        stuck = self.stuck(after=after)
        return Page(not stuck, {"stuck": stuck} if stuck else {})

    def readiness(self) -> Page:
        """Say whether it hears: partitions assigned, database and broker there."""
        reasons = [
            "" if self.assigned else "no partitions assigned yet",
            self.waits_for,
            "the broker does not say how far the log goes" if self.lag is None else "",
        ]
        missing = [reason for reason in reasons if reason]
        return Page(
            not missing,
            {"missing": missing, "partitions": sorted(self.owned), "lag": self.lag},
        )


def _nothing() -> None:
    """Nobody is to know."""


def _new(events: Iterator[EventT[object]], next_offset: int) -> Iterator[Record]:
    """Yield the events from `next_offset` on, each once: Kafka may deliver again what we have."""
    for event in events:
        if event.message.offset >= next_offset:
            next_offset = event.message.offset + 1
            payload = event.message.value
            yield Record(event.message.offset, payload)


def _refuse_hole(partition: int, records: Sequence[Record], next_offset: int) -> None:
    for expected, record in enumerate(records, start=next_offset):
        if record.offset != expected:
            message = f"partition {partition}: offset {record.offset} came where {expected} is next"
            raise LogError(message)


class FenceConsumer(driver.Consumer):
    """Begins where the database says."""

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek; Faust calls this after on_rebalance_complete, and goes by what is returned."""
        positions = cast("App", self.app).positions()
        if positions:
            await self.seek_wait(positions)
        return positions


class FenceTransport(driver.Transport):
    """Faust's, with our consumer."""

    Consumer = FenceConsumer


def _credentials(told: Mapping[str, str]) -> faust.SASLCredentials | None:
    """What Faust is given of `AlertSettings.kafka_client`."""
    if not told:
        return None
    return faust.SASLCredentials(
        username=told["sasl_plain_username"],
        password=told["sasl_plain_password"],
        mechanism=told["sasl_mechanism"],
        ssl_context=ssl.create_default_context(cafile=told["ssl_cafile"]),
    )


class App(faust.App):
    """The frame: process, consumer group, timers."""

    def __init__(self, settings: AlertSettings, worker: Worker) -> None:
        super().__init__(
            settings.group,
            broker=[f"kafka://{server}" for server in settings.kafka.split(",")],
            broker_credentials=_credentials(settings.kafka_client()),
            store="memory://",
            autodiscover=False,
            datadir=tempfile.gettempdir(),
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            table_standby_replicas=0,
            agent_supervisor=CrashingSupervisor,
            stream_wait_empty=True,
            stream_buffer_maxsize=16_384,
            consumer_auto_offset_reset="earliest",
            broker_max_poll_interval=1e7,
            broker_session_timeout=settings.alerts_session_seconds,
            broker_heartbeat_interval=settings.alerts_session_seconds / 5,
            broker_request_timeout=90.0,
            consumer_group_instance_id=settings.instance,
        )
        self.topic_name = settings.heard_topic
        self.worker = worker

    def _new_transport(self) -> TransportT:
        return FenceTransport(self.conf.broker_consumer, self)

    def assigned(self) -> list[TP]:
        """Partitions of the indicators that the group gave us."""
        return [tp for tp in self.consumer.assignment() if tp.topic == self.topic_name]

    def positions(self) -> dict[TP, int]:
        """Where we go on, in the partitions that we own."""
        owned = self.worker.owned
        return {
            tp: owned[tp.partition].next_offset for tp in self.assigned() if tp.partition in owned
        }

    async def log_range(self) -> LogRange:
        """First and next offset of each partition assigned to us."""
        ours = self.assigned()
        first = await self.consumer.earliest_offsets(*ours) if ours else {}
        return {tp.partition: offset for tp, offset in first.items()}, await self.log_ends()

    async def log_ends(self) -> dict[int, int]:
        """Next offset of each partition assigned to us.

        It waits behind the fetch that waits for records on the same connection: up to 1.5 s.
        """
        ours = self.assigned()
        following = await self.consumer.highwaters(*ours) if ours else {}
        return {tp.partition: offset for tp, offset in following.items()}


def create_app(settings: AlertSettings, worker: Worker) -> App:
    """Wire the app. Importing this module reads, opens and registers nothing."""
    app = App(settings, worker)
    topic = app.topic(settings.heard_topic, value_type=bytes, value_serializer="raw")

    @app.on_rebalance_complete.connect
    async def take(_: object, /, *__: object, **___: object) -> None:
        await _or_exit(patiently(app.log_range, worker.take), "cannot own partitions")

    @app.on_partitions_revoked.connect
    async def forget(_: object, /, *__: object, **___: object) -> None:
        worker.forget()

    @app.agent(topic, name="indicators", concurrency=1)
    async def indicators(stream: StreamT[bytes]) -> None:
        async for taken in cast("faust.Stream[bytes]", stream).noack_take(TAKE, within=0.25):
            # noack_take yields events, whatever its annotation says.
            events = cast("Sequence[EventT[object]]", taken)
            await _or_exit(worker.hear(events), "cannot go on")
            for event in events:
                await stream.ack(event)

    @app.timer(HEARTBEAT_S)
    async def beat() -> None:
        worker.beat_at = time.monotonic()

    @app.task
    async def measure() -> None:
        while not app.should_stop:
            try:
                worker.know_ends(await asyncio.wait_for(app.log_ends(), ANSWER_S))
            except Exception:  # noqa: BLE001 - what leaves a task would end the process
                worker.know_ends(None)
            await asyncio.sleep(LAG_S)

    return app


async def patiently(
    log_range: Callable[[], Awaitable[LogRange]],
    take: Callable[[Mapping[int, int], Mapping[int, int]], Awaitable[None]],
) -> None:
    """Own what is assigned, once the broker says how far the log goes.

    Between its answer and the taking others may have heard more, as when we were frozen just then:
    what lies beyond the log is asked about once more.
    """
    asked_again = False
    while True:
        try:
            await take(*await log_range())
        except KafkaError as error:
            logger.warning("the broker does not answer", extra={"reason": repr(error)})
            await asyncio.sleep(1.0)
        except LogError:
            if asked_again:
                raise
            asked_again = True
        else:
            return


async def _or_exit(work: Awaitable[None], what: str) -> None:
    """Do it, or end the process: an exception that left the loop would acknowledge its events."""
    try:
        await work
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is
        _die(f"{what}: {error}", error)


def _die(reason: str, error: BaseException | None = None) -> NoReturn:
    logger.critical("the process ends itself", extra={"reason": reason}, exc_info=error)
    # Logging may be set up to say anything or nothing; this is said in any case.
    os.write(2, f"alerts: {reason}\n".encode())
    os._exit(FATAL)


def run(
    settings: AlertSettings,
    rules: Rules,
    channels: Sequence[Channel],
    duties: Duties,
    *,
    notify_history: bool,
    at_point: Callable[[str], None] = lambda _: None,
) -> None:
    """Work until told to stop by SIGTERM or SIGINT. Raises SettingsError. `at_point` is for tests."""
    logs.set_up()
    disable_created_metrics()  # type: ignore[no-untyped-call]
    if settings.database_url is None:
        message = "no database named: set WEIR_DATABASE_URL or WEIR_DATABASE_URL_FILE"
        raise SettingsError(message)
    metrics = Metrics([channel.name for channel in channels])
    store = Store(
        settings.database_url.get_secret_value(),
        generation=settings.generation,
        outlets=[_outlet(channel, duties) for channel in channels],
        notify_history=notify_history,
        at_point=at_point,
    )
    worker = Worker(store=store, rules=rules, metrics=metrics)
    store.waits = worker.waits
    delivery = Delivery(
        outbox=store,
        channels=channels,
        epochs=worker.epochs,
        metrics=metrics,
        repeat_seconds=settings.alerts_repeat_seconds,
        clock=time.monotonic,
        at_point=at_point,
    )
    worker.wake = delivery.wake
    keeper = Keeper(settings.database_url.get_secret_value(), duties, metrics)
    stopped = threading.Event()
    after = settings.alerts_stuck_seconds
    try:
        pages = Pages(
            settings.alerts_http,
            metrics.registry,
            health=lambda: worker.health(after=after),
            readiness=worker.readiness,
        )
    except OSError as error:
        message = f"WEIR_ALERTS_HTTP={settings.alerts_http} cannot be used: {error}"
        raise SettingsError(message) from error
    pages.start()
    logger.info("pages", extra={"address": pages.address})
    threading.Thread(target=_deliver, args=(delivery,), name="delivery", daemon=True).start()
    threading.Thread(target=keeper.run, name="cases", daemon=True).start()
    threading.Thread(target=_watch, args=(worker, after, stopped), daemon=True).start()
    try:
        app = create_app(settings, worker)
        faust.Worker(app, override_logging=False, quiet=True).execute_from_commandline()
    finally:
        stopped.set()
        keeper.stop()
        delivery.stop()
        store.close()
        pages.stop()


HELD_LONGER_S = 30.0
"""So much longer than alerts wait for each other, what the cases have not taken up is told by itself."""


def _outlet(channel: Channel, duties: Duties) -> Outlet:
    """A channel as the outbox knows it: Alertmanager hears of cases, the webhook of each transition."""
    if channel is not duties.alertmanager:
        return Outlet(channel.name, channel.repeats)
    hold = duties.grouping.gather_ms / 1_000 + HELD_LONGER_S
    return Outlet(channel.name, channel.repeats, hold)


def _deliver(delivery: Delivery) -> None:
    try:
        delivery.run()
    except BaseException as error:  # noqa: BLE001 - without delivery nobody hears of anything
        _die(f"cannot deliver: {error}", error)


def _watch(worker: Worker, after: float, stopped: threading.Event) -> None:
    """End a process that hangs: a timer of the event loop would hang with it."""
    while not stopped.wait(HEARTBEAT_S):
        if stuck := worker.stuck(after=after):
            _die(stuck)
