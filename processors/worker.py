"""The engine over the store, without Kafka: own partitions, prepare steps, write them.

Two threads use it: one prepares the next step while the other writes the last. What a step needs of rows that are
being written it takes from the step that writes them.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from processors.doors import Doors
from processors.engine import Engine, Placed
from processors.metrics import WorkerMetrics
from processors.ports import Fetched, Needs, RefusedRow, Step
from processors.store import Store
from processors.unwritten import Unwritten
from schemas.factors import default_pack
from schemas.registry import Configuration
from schemas.section import ApplyConfiguration
from schemas.wire import LayoutError, decode

logger = logging.getLogger(__name__)

Message = tuple[int, int, bytes]
"""(partition, offset, value) as it lies in Kafka."""


@dataclass(slots=True)
class Prepared:
    """A step ready to be written, and what waits for it."""

    step: Step
    readings: int
    unwritten: Unwritten
    written: threading.Event = field(default_factory=threading.Event)


class Worker:
    """Digests the partitions it owns."""

    def __init__(
        self,
        store: Store,
        metrics: WorkerMetrics,
        *,
        partitions: int,
        generation: int = 1,
        published: Callable[[], Iterable[Configuration]] = tuple,
        at_point: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`published` reads the configurations of the log; `at_point` is for tests: it hears where the worker is."""
        self.store = store
        self.next_offsets: dict[int, int] = {}
        self.metrics = metrics
        self._configurations: dict[int, Configuration] = {}
        pack = store.factor_pack() or default_pack()
        self._engine = Engine(pack, self._configurations, partitions, generation=generation)
        self._doors = Doors()
        self._in_flight: Prepared | None = None
        self._writing: Prepared | None = None
        self._published = published
        self._at_point = at_point
        self._ticks: dict[int, int] = {}

    def take(self, beginnings: Mapping[int, int]) -> dict[int, int]:
        """Own exactly these partitions (beginning offset of each); returns where each goes on.

        The state is loaded anew. Called while no step is being prepared or written.
        """
        self.release()
        gc.unfreeze()
        owned = self.store.take(beginnings)
        self._configurations.update(self.store.configurations())
        units = {
            unit.code: unit for one in self._configurations.values() for unit in one.registry.units
        }
        for partition in owned:
            states = self.store.load(partition)
            self._engine.state.restore(
                [(units[state.unit], state.partition, state.blob) for state in states]
            )
            memory = self.store.memory(partition)
            if memory.last_tick is not None:
                self._engine.partition_ticks[partition] = memory.last_tick
            self._doors.last |= {(partition, door): place for door, place in memory.doors.items()}
        self.next_offsets = {
            partition: ownership.next_offset for partition, ownership in owned.items()
        }
        self.metrics.owned.set(len(owned))
        gc.collect()
        gc.freeze()  # what was loaded stays: nothing to look through again and again
        return dict(self.next_offsets)

    def release(self) -> None:
        """Own nothing."""
        self._engine.drop(
            set(self.next_offsets)
            | set(self._engine.partition_ticks)
            | set(self._engine.state.partition.tolist())
        )
        self._doors.forget(self.next_offsets)
        self._in_flight = None
        self.next_offsets = {}

    def is_next(self, partition: int, offset: int) -> bool:
        """Whether this record is the one that its partition goes on with."""
        return self.next_offsets.get(partition) == offset

    def prepare(self, messages: Sequence[Message]) -> Prepared:
        """Decode, digest: everything but the write. The messages continue their partitions without a hole."""
        started = time.perf_counter()
        placed, unreadable = self._decoded(messages)
        self._wait_for_configurations(placed)
        decoded = time.perf_counter()
        step = self._drive(placed)
        self._engine.clear()
        rows, holes = self._doors.take(placed)
        positions = _positions(messages)
        for partition, (_, after) in positions.items():
            self.next_offsets[partition] = after
        step = replace(
            step, positions=positions, doors=rows, holes=holes, refused=step.refused + unreadable
        )
        prepared = Prepared(
            step,
            sum(len(row.at) for row in step.readings) + sum(len(row.at) for row in step.rejections),
            Unwritten(step),
        )
        self._in_flight = prepared
        self.metrics.stage("decode", decoded - started)
        self.metrics.stage("engine", time.perf_counter() - decoded)
        self.metrics.holes.inc(holes)
        self._ticks = dict(self._engine.partition_ticks)
        return prepared

    def _decoded(self, messages: Sequence[Message]) -> tuple[list[Placed], tuple[RefusedRow, ...]]:
        """Records, and what is none: kept with its bytes, so that it stops nobody."""
        placed: list[Placed] = []
        refused: list[RefusedRow] = []
        for partition, offset, value in messages:
            try:
                placed.append((partition, offset, decode(value)))
            except LayoutError as error:
                self.metrics.dead_letters.inc()
                logger.warning(
                    "record cannot be read",
                    extra={"partition": partition, "offset": offset, "reason": str(error)},
                )
                refused.append(
                    RefusedRow(
                        "", 0, partition, offset, 0, "no record", str(error), value, len(value), ""
                    )
                )
        return placed, tuple(refused)

    def _wait_for_configurations(self, placed: Iterable[Placed]) -> None:
        for _, _, record in placed:
            if not isinstance(record.body, ApplyConfiguration):
                continue
            version = record.body.version
            while version not in self._configurations:
                self._learn_configurations()
                if version not in self._configurations:
                    self.metrics.waiting(
                        f"configuration {version} is applied and not published yet"
                    )
                    time.sleep(0.5)
            self.metrics.waiting("")

    def _learn_configurations(self) -> None:
        """From the log into the database, and from there."""
        for configuration in self._published():
            self.store.save_configuration(configuration)
        self._configurations.update(self.store.configurations())

    def _drive(self, placed: Sequence[Placed]) -> Step:
        stepping = self._engine.step(placed)
        try:
            needs = next(stepping)
            while True:
                needs = stepping.send(self._fetch(needs))
        except StopIteration as end:
            step: Step = end.value
            return step

    def _fetch(self, needs: Needs) -> Fetched:
        flying = self._in_flight
        self.metrics.fetches.inc()
        if flying is None or flying.written.is_set() or not flying.unwritten.concerns(needs):
            return self.store.fetch(needs)
        self.metrics.fetches_in_flight.inc()
        return flying.unwritten.over(self.store.fetch(needs), needs)

    def is_ahead(self) -> bool:
        """Whether a step is prepared while another is being written."""
        return self._in_flight is not self._writing

    def write(self, prepared: Prepared) -> None:
        """Write a step surely; raises store.LostError where a partition is another's by now."""
        self._writing = prepared
        started = time.perf_counter()
        self.store.write_surely(prepared.step)
        prepared.written.set()
        self.metrics.stage("write", time.perf_counter() - started)
        ticks = [self._ticks.get(partition) for partition in self.next_offsets]
        if ticks and None not in ticks:
            self.metrics.watermark.set(min(tick for tick in ticks if tick is not None) / 1_000)
        self.metrics.wrote(
            prepared.readings, len(prepared.step.positions), len(prepared.step.outbox)
        )
        self._at_point("before acknowledge")


def _positions(messages: Iterable[Message]) -> dict[int, tuple[int, int]]:
    found: dict[int, tuple[int, int]] = {}
    for partition, offset, _ in messages:
        found[partition] = (found.get(partition, (offset, 0))[0], offset + 1)
    return found
