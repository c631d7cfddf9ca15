"""The worker's frame: Faust brings the records, keeps the group, and is told when they are safe. Nothing of value rests in it.

The rules are binding: no exception leaves the agent's loop; every event is acknowledged, in order, after the commit;
where to go on comes from the database's row, never from Kafka.
"""

import asyncio
import gc
import logging
import os
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NoReturn, TypeVar, cast

import faust
import mode
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, EventT, StreamT
from faust.types.transports import TransportT

from processors.metrics import WorkerMetrics
from processors.outbox import Publisher
from processors.restater import Restater
from processors.self_audit import SelfAudit
from processors.store import LostError
from processors.worker import Message, Prepared, Worker, runs
from schemas.settings import kafka_client
from schemas.topics import INDICATORS, PROCESSORS, READINGS

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
BATCH_RECORDS = 400
BATCH_SECONDS = 0.25
_TURN_SECONDS = 0.0005
"""How long a thread may compute while another waits; Python's 0.005 held the preparing thread up."""
STALLED_SECONDS = 600.0
"""A worker that has records to take and makes no progress for this long ends, so that another takes over."""
STALE_SECONDS = 120.0
"""A worker that lost its partitions waits this long for the group to share them out anew."""
GRACE_SECONDS = 20.0
"""A worker that was asked to stop and cannot, as in the middle of a rebalance, ends after this long: nothing is lost by it."""
FATAL = 70


@dataclass(frozen=True, slots=True)
class Options:
    """How the worker joins its group."""

    bootstrap: str
    session_seconds: float = 30.0
    instance: str | None = None
    """Static membership: a stable name of this worker."""
    group: str = PROCESSORS
    readings: str = READINGS
    indicators: str = INDICATORS
    batch_records: int = BATCH_RECORDS


def _credentials(told: Mapping[str, str]) -> faust.SASLCredentials | None:
    """What Faust is given of `schemas.settings.kafka_client`."""
    if not told:
        return None
    return faust.SASLCredentials(
        username=told["sasl_plain_username"],
        password=told["sasl_plain_password"],
        mechanism=told["sasl_mechanism"],
        ssl_context=ssl.create_default_context(cafile=told["ssl_cafile"]),
    )


class Frame:
    """A Faust app around one worker."""

    def __init__(
        self,
        worker: Worker,
        metrics: WorkerMetrics,
        options: Options,
        *,
        restater: Callable[[Callable[[BaseException], None]], Restater],
        audit: SelfAudit,
        at_point: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Importing this module does nothing; this wires everything. `restater` is made with what to do about a fatal error."""
        self.worker, self.metrics, self.options = worker, metrics, options
        self._writing = ThreadPoolExecutor(1, "write")
        self._preparing = ThreadPoolExecutor(1, "prepare")
        self._one = asyncio.Semaphore(1)
        self._stale_since: float | None = None
        self.publisher = Publisher(
            worker.store,
            metrics,
            bootstrap=options.bootstrap,
            topic=options.indicators,
            fatal=self.end,
            at_point=at_point,
        )
        self.restater = restater(self.end)
        worker.work_out = self.restater.finish
        self.audit = audit
        self.app = self._app()

    def end(self, error: BaseException) -> NoReturn:
        """Nothing can be mended here: end at once, before anything is acknowledged."""
        logger.critical("the worker ends", exc_info=error)
        logging.shutdown()
        os._exit(FATAL)

    def _app(self) -> faust.App:
        options = self.options
        app = _app_class(self)(
            options.group,
            broker=f"kafka://{options.bootstrap}".replace(",", ";kafka://"),
            broker_credentials=_credentials(kafka_client()),
            store="memory://",
            datadir=tempfile.gettempdir(),
            topic_allow_declare=False,
            topic_disable_leader=True,
            table_standby_replicas=0,
            agent_supervisor=mode.CrashingSupervisor,
            stream_wait_empty=True,
            stream_buffer_maxsize=16_384,
            broker_max_poll_interval=1e7,
            broker_session_timeout=options.session_seconds,
            broker_heartbeat_interval=options.session_seconds / 5,
            broker_request_timeout=max(90.0, options.session_seconds * 1.5),
            broker_commit_interval=2.8,
            broker_max_poll_records=None,
            consumer_max_fetch_size=1 << 20,
            consumer_auto_offset_reset="earliest",
            consumer_group_instance_id=options.instance,
            web_enabled=False,
            web_tables_enabled=False,
            web_router_enabled=False,
            web_bind="127.0.0.1",
        )
        topic = app.topic(
            options.readings,
            value_type=bytes,
            value_serializer="raw",
            key_type=bytes,
            key_serializer="raw",
        )
        app.on_rebalance_complete.connect(cast("Callable[..., Awaitable[None]]", self._rebalanced))
        app.on_partitions_revoked.connect(cast("Callable[..., Awaitable[None]]", self._revoked))
        app.agent(topic, name="readings", concurrency=1)(
            cast("Callable[[StreamT[bytes]], Awaitable[None]]", self._digest)
        )
        app.task(self._measure)
        return app

    # Ownership.

    async def _revoked(self, app: faust.App, revoked: set[TP], **_: object) -> None:
        """Stop taking records of them; what is being written may end."""
        del app
        for tp in revoked:
            self.worker.next_offsets.pop(tp.partition, None)

    async def _rebalanced(self, app: faust.App, **_: object) -> None:
        """Own what is assigned: awaited before the first record."""
        try:
            await self._own(app)
        except Exception as error:  # noqa: BLE001 - the outermost frame of a signal: Faust would go on without the state
            self.end(error)

    async def _own(self, app: faust.App) -> None:
        """Take the partitions and their state; waits for the step in flight, since the same threads do it."""
        assigned = self.assigned(app)
        await self._one.acquire()
        try:
            beginnings = await app.consumer.earliest_offsets(*assigned) if assigned else {}
            begin = {tp.partition: int(offset or 0) for tp, offset in beginnings.items()}
            positions = await self._in(self._preparing, lambda: self.worker.take(begin))
            # Asked before, the log may have ended where the last owner has been since.
            ends = await app.consumer.highwaters(*assigned) if assigned else {}
            _check_log(
                positions, begin, {tp.partition: int(offset or 0) for tp, offset in ends.items()}
            )
            self._stale_since = None
            self.publisher.own(positions)
            self.restater.want(self.worker.waiting)
            self.audit.own(positions)
            logger.info("owns partitions", extra={"positions": positions})
        finally:
            self._one.release()

    def assigned(self, app: faust.App) -> list[TP]:
        """The partitions of the readings that this worker is assigned."""
        return sorted(tp for tp in app.consumer.assignment() if tp.topic == self.options.readings)

    async def positions(self, assigned: Sequence[TP]) -> Mapping[TP, int]:
        """Where the database says that each partition goes on."""
        found = await self._in(
            self._writing, lambda: self.worker.store.positions([tp.partition for tp in assigned])
        )
        return {tp: found[tp.partition] for tp in assigned if tp.partition in found}

    # The loop.

    async def _digest(self, stream: faust.Stream[bytes]) -> None:
        """Steps, one after the other: the next is prepared while the last is written. Never raises."""
        batches = stream.noack_take(self.options.batch_records, within=BATCH_SECONDS)
        async for events in batches:
            try:
                await self._step(stream, cast("Sequence[EventT[bytes]]", events))
            except BaseException as error:  # noqa: BLE001 - whatever it is, raising would lose what is buffered
                self.end(error)

    async def _step(self, stream: faust.Stream[bytes], events: Sequence[EventT[bytes]]) -> None:
        steps = runs(self._next(events))
        tenure = self.worker.tenure
        if not steps:
            await _acknowledge(stream, events)
        for number, mine in enumerate(steps, start=1):
            done = events if number == len(steps) else ()
            if not await self._take(stream, done, mine, tenure):
                await _acknowledge(stream, events)
                return

    async def _take(
        self,
        stream: faust.Stream[bytes],
        events: Sequence[EventT[bytes]],
        mine: list[Message],
        tenure: int,
    ) -> bool:
        """One step; False where the partitions were taken anew meanwhile. `events` are safe once it is written."""
        if tenure != self.worker.tenure:
            return False
        prepared = await self._in(self._preparing, lambda: self.worker.prepare(mine))
        self.restater.want(self.worker.waiting)
        await self._one.acquire()
        if prepared.tenure != self.worker.tenure:
            self._one.release()
            return False
        task = asyncio.create_task(self._finish(stream, events, prepared))
        task.add_done_callback(lambda _: None)
        return True

    def _next(self, events: Sequence[EventT[bytes]]) -> list[Message]:
        """The records that their partitions go on with; others are not mine, or come again. A hole ends the worker."""
        expected = dict(self.worker.next_offsets)
        mine: list[Message] = []
        for event in events:
            message = event.message
            at = expected.get(message.partition)
            if at is None or message.offset < at:
                continue
            if message.offset > at:
                self.end(
                    RuntimeError(
                        f"partition {message.partition}: record {message.offset} came where {at} was due"
                    )
                )
            mine.append((message.partition, message.offset, message.value or b""))
            expected[message.partition] = at + 1
        return mine

    async def _finish(
        self, stream: faust.Stream[bytes], events: Sequence[EventT[bytes]], prepared: Prepared
    ) -> None:
        try:
            await self._in(self._writing, lambda: self.worker.write(prepared))
            self.publisher.written(prepared.step.outbox)
            await _acknowledge(stream, events)
        except LostError as error:
            logger.warning(
                "partitions are another worker's", extra={"partitions": sorted(error.partitions)}
            )
            await self._stand_back(prepared)
            await _acknowledge(stream, events)
        except BaseException as error:  # noqa: BLE001 - nothing was acknowledged; ending loses nothing
            self.end(error)
        finally:
            self._one.release()

    async def _stand_back(self, prepared: Prepared) -> None:
        """Nothing in memory holds any more: own nothing until the group says what is mine."""
        self.publisher.own(())
        self.restater.want({})
        self.audit.own(())
        self._stale_since = time.monotonic()
        prepared.written.set()
        await self._in(self._preparing, self.worker.release)

    async def _in(self, pool: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(pool, work)

    # Watching.

    async def _measure(self, app: faust.App) -> None:
        """Lag, every second; no lag is progress."""
        while not app.should_stop:
            try:
                lag = await self._lag(app)
                self.metrics.lag.set(lag)
                if lag == 0:
                    self.metrics.progress()
            except Exception as error:  # noqa: BLE001 - a task that raises ends the worker; the watchdog decides that
                logger.warning("lag is not known", extra={"reason": str(error)})
            await asyncio.sleep(1.0)

    async def _lag(self, app: faust.App) -> int:
        assigned = self.assigned(app)
        if not assigned:
            return 0
        ends = await app.consumer.highwaters(*assigned)
        return sum(
            max(0, int(ends.get(tp) or 0) - self.worker.next_offsets.get(tp.partition, 0))
            for tp in assigned
        )

    def run(self) -> None:
        """Work until SIGTERM."""
        worker = faust.Worker(self.app, loglevel="WARNING", redirect_stdouts=False)
        # It would set the root logger to DEBUG, and Kafka's clients say something of every record.
        worker.spinner = None
        # A step makes some hundred thousand objects and no cycles.
        gc.set_threshold(50_000, 20, 50)
        # numpy lets others in; the thread that prepares must have its turn back soon.
        sys.setswitchinterval(_TURN_SECONDS)
        worker.execute_from_commandline()

    def watch(self) -> None:
        """A thread, since a timer of a blocked loop does not run."""

        def run() -> None:
            asked: float | None = None
            while True:
                time.sleep(1)
                now = time.monotonic()
                asked = asked or (now if self.app.should_stop else None)
                if asked is not None and now - asked > GRACE_SECONDS:
                    self.end(TimeoutError("asked to stop, and the group does not let go"))
                idle = now - self.metrics.progress_at
                if self.metrics.value("weir_partitions_owned") > 0 and idle > STALLED_SECONDS:
                    self.end(TimeoutError(f"no progress for {idle:.0f} s with records to take"))
                stale = self._stale_since
                if stale is not None and now - stale > STALE_SECONDS:
                    self.end(TimeoutError("partitions were lost, and the group gives none anew"))

        threading.Thread(target=run, name="watchdog", daemon=True).start()


def _app_class(frame: Frame) -> type[faust.App]:
    """Faust's app, whose consumer goes on where the database says."""

    class FenceConsumer(driver.Consumer):
        async def seek_to_committed(self) -> Mapping[TP, int]:
            """Faust calls this after on_rebalance_complete; a seek there would be overwritten."""
            at = await frame.positions(frame.assigned(cast("faust.App", self.app)))
            if at:
                await self.seek_wait(at)
            return at

    class FenceTransport(driver.Transport):
        Consumer = FenceConsumer

    class App(faust.App):
        def _new_transport(self) -> TransportT:
            return cast("TransportT", FenceTransport(self.conf.broker_consumer, self))

    return App


def _check_log(
    positions: Mapping[int, int], begins: Mapping[int, int], ends: Mapping[int, int]
) -> None:
    """Stop loudly where the log is not the one that the database knows."""
    for partition, at in positions.items():
        begin, end = begins.get(partition, 0), ends.get(partition, at)
        if at < begin:
            wrong = f"begins at {begin}: records are gone that were not digested"
        elif at > end:
            wrong = f"ends at {end}: it is another topic, or cut off"
        else:
            continue
        message = f"partition {partition}: {at} is due, and the log {wrong}; see `python -m processors offsets show`"
        raise RuntimeError(message)


async def _acknowledge(stream: faust.Stream[bytes], events: Sequence[EventT[bytes]]) -> None:
    for event in events:
        await cast("Callable[[EventT[bytes]], Awaitable[bool]]", stream.ack)(event)
