"""The engine over the store, without Kafka: own partitions, prepare steps, write them.

Two threads use it: one prepares the next step while the other writes the last. What a step needs of rows that are
being written it takes from the step that writes them.
"""

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain

from processors import dead_letters
from processors.dead_letters import DefectError
from processors.doors import Doors
from processors.engine import Engine, Placed
from processors.feedback import of_dead_letter
from processors.metrics import WorkerMetrics
from processors.ports import Fetched, Needs, OutsideError, Rebuild, Rebuilt, RefusedRow, Step
from processors.rebuild import worked_out
from processors.store import Store
from processors.unwritten import Unwritten
from schemas.factors import FactorPack, default_pack
from schemas.registry import Configuration
from schemas.section import ApplyConfiguration
from schemas.wire import LayoutError, decode, is_restated

logger = logging.getLogger(__name__)

Message = tuple[int, int, bytes]
"""(partition, offset, value) as it lies in Kafka."""


@dataclass(slots=True)
class Prepared:
    """A step ready to be written, and what waits for it."""

    step: Step
    readings: int
    unwritten: Unwritten
    tenure: int
    """Of which ownership: a step of an earlier one is void."""
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
        work_out: Callable[[Rebuild], Rebuilt | None] | None = None,
        at_point: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`published` reads the configurations of the log, `work_out` restates a unit; `at_point` is for tests: it hears where the worker is."""
        self.store = store
        self.next_offsets: dict[int, int] = {}
        self.metrics = metrics
        self._configurations: dict[int, Configuration] = {}
        pack = store.factor_pack() or default_pack()
        self._generation = generation
        self._engine = Engine(pack, self._configurations, partitions, generation=generation)
        self._doors = Doors()
        self._in_flight: Prepared | None = None
        self._writing: Prepared | None = None
        self._published = published
        self.work_out = work_out or self._work_out
        self.waiting: dict[str, Rebuild] = {}
        """Units that wait to be restated, as of the last step."""
        self._at_point = at_point
        self._ticks: dict[int, int] = {}
        self._left: dict[int, tuple[int, int]] = {}
        """Epoch of the partitions in memory, and up to where they are digested."""
        self._careful: dict[int, int] = {}
        """Until which offset steps are rehearsed before they are written."""
        self.tenure = 0
        self._first_look = threading.Thread(target=self._look_ahead, daemon=True)
        self._first_look.start()

    def _look_ahead(self) -> None:
        """Read the configurations while the group forms; whatever goes wrong, `take` meets again."""
        with suppress(OutsideError):
            self._read_configurations()

    def _read_configurations(self) -> None:
        self._configurations.update(self.store.configurations(self._configurations))

    def take(self, beginnings: Mapping[int, int]) -> dict[int, int]:
        """Own exactly these partitions (beginning offset of each); returns where each goes on.

        Called while no step is being prepared or written. What another worker may have touched is loaded anew.
        """
        self.tenure += 1
        owned = self.store.take(beginnings)
        mine = {
            partition
            for partition, now in owned.items()
            if self._left.get(partition) == (now.epoch - 1, now.next_offset)
        }
        self._forget(self._left.keys() - mine)
        self._first_look.join()
        self._read_configurations()
        gc.unfreeze()
        gc.disable()  # nothing of what is loaded can go
        self._restore(owned.keys() - mine)
        self._in_flight = None
        self._left = {p: (now.epoch, now.next_offset) for p, now in owned.items()}
        self._careful = {p: now.careful_until for p, now in owned.items()}
        self.next_offsets = {p: now.next_offset for p, now in owned.items()}
        self.waiting = self._engine.waiting()
        ticks = self._engine.partition_ticks
        self.metrics.expect_ticks({p: ticks[p] for p in owned if p in ticks})
        self.metrics.owned.set(len(owned))
        self.metrics.kept.inc(len(mine))
        gc.enable()
        gc.collect()
        gc.freeze()  # what was loaded stays: nothing to look through again and again
        return dict(self.next_offsets)

    def _restore(self, partitions: Iterable[int]) -> None:
        for partition in sorted(partitions):
            self._engine.restore(self.store.load(partition))
            memory = self.store.memory(partition)
            if memory.last_tick is not None:
                self._engine.partition_ticks[partition] = memory.last_tick
            self._doors.last |= {(partition, door): place for door, place in memory.doors.items()}

    def _forget(self, partitions: Iterable[int]) -> None:
        gone = set(partitions)
        self._engine.drop(gone)
        self._doors.forget(gone)

    def release(self) -> None:
        """Own nothing, and trust nothing that is in memory."""
        self.tenure += 1
        self._forget(self._left)
        self._left = {}
        self._in_flight = None
        self.next_offsets = {}
        self.metrics.expect_ticks({})
        self.metrics.owned.set(0)

    def is_next(self, partition: int, offset: int) -> bool:
        """Whether this record is the one that its partition goes on with."""
        return self.next_offsets.get(partition) == offset

    def prepare(self, messages: Sequence[Message]) -> Prepared:
        """Decode, digest: everything but the write. The messages continue their partitions without a hole."""
        started = time.perf_counter()
        placed, unreadable = self._decoded(messages)
        self._wait_for_configurations(placed)
        decoded = time.perf_counter()
        try:
            step = self._drive(placed)
        except Exception as error:
            if not dead_letters.is_defect(error):
                raise
            step = self._without_culprits(placed, messages)
        self._engine.clear()
        rows, holes = self._doors.take(placed)
        positions = _positions(messages)
        for partition, (_, after) in positions.items():
            self.next_offsets[partition] = after
            self._left[partition] = self._left[partition][0], after
        step = replace(
            step, positions=positions, doors=rows, holes=holes, refused=step.refused + unreadable
        )
        prepared = Prepared(
            step,
            sum(len(row.at) for row in step.readings) + sum(len(row.at) for row in step.rejections),
            Unwritten(step),
            self.tenure,
        )
        self._in_flight = prepared
        self.metrics.stage("decode", decoded - started)
        self.metrics.stage("engine", time.perf_counter() - decoded)
        self.metrics.holes.inc(holes)
        self._ticks = dict(self._engine.partition_ticks)
        if step.controls:
            self.waiting = self._engine.waiting()
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
        self._read_configurations()

    def _drive(self, placed: Sequence[Placed]) -> Step:
        step = self._driven(placed)
        if any(offset < self._careful.get(partition, 0) for partition, offset, _ in placed):
            self._wait_for_write()
            self.store.rehearse(step)
        return step

    def _driven(self, placed: Sequence[Placed]) -> Step:
        stepping = self._engine.step(placed)
        try:
            needs = next(stepping)
            while True:
                needs = stepping.send(self._fetch(needs))
        except StopIteration as end:
            step: Step = end.value
            return step

    def _wait_for_write(self) -> None:
        if self._in_flight is not None:
            self._in_flight.written.wait()

    def _without_culprits(self, placed: Sequence[Placed], messages: Sequence[Message]) -> Step:
        """The step without the records that cannot be digested; those are kept. Raises DefectError where they are many."""
        self._wait_for_write()
        originals = {(partition, offset): value for partition, offset, value in messages}
        good, dead = list(placed), list[tuple[Placed, Exception]]()
        while (error := self._failure(good)) is not None:
            place = dead_letters.culprit(good, lambda some: self._failure(some) is not None)
            error = self._failure(good[: place + 1]) or error
            dead.append((good.pop(place), error))
            self._bear(dead)
        self._reload()
        step = self._drive(good)
        counts = dict(step.account)
        for (_, _, record), _ in dead:
            for key, more in dead_letters.account(record).items():
                old = counts.get(key, (0,) * len(more))
                counts[key] = tuple(a + b for a, b in zip(old, more, strict=True))
        rows = [dead_letters.row(one, originals[one[:2]], error) for one, error in dead]
        told = [of_dead_letter((p, o), record, self._generation) for (p, o, record), _ in dead]
        return replace(
            step,
            refused=(*step.refused, *rows),
            account=counts,
            feedback=tuple(chain(step.feedback, *told)),
        )

    def _failure(self, placed: Sequence[Placed]) -> Exception | None:
        """What these records fail with, each time from the state that is in the database."""
        self._reload()
        try:
            self._drive(placed)
        except Exception as error:
            if not dead_letters.is_defect(error):
                raise
            return error
        return None

    def _reload(self) -> None:
        self._forget(self._left)
        self._restore(self._left)

    def _bear(self, dead: Sequence[tuple[Placed, Exception]]) -> None:
        """Go on after one more dead letter, where it may be one and they are few."""
        (partition, offset, record), error = dead[-1]
        self.metrics.dead_letters.inc()
        logger.error(
            "record cannot be digested",
            extra={"partition": partition, "offset": offset, "reason": repr(error)},
        )
        if not dead_letters.may_die(record):
            raise error
        mine = sum(p == partition for (p, _, _), _ in dead)
        count = mine + self.store.dead_letters(partition, since=offset - dead_letters.WITHIN)
        if count > dead_letters.MOST:
            raise DefectError(partition, count, repr(error))

    def _fetch(self, needs: Needs) -> Fetched:
        if needs.rebuild is not None:
            self._wait_for_write()
            return replace(self.store.fetch(needs), rebuilt=self.work_out(needs.rebuild))
        flying = self._in_flight
        self.metrics.fetches.inc()
        if flying is None or flying.written.is_set() or not flying.unwritten.concerns(needs):
            return self.store.fetch(needs)
        self.metrics.fetches_in_flight.inc()
        return flying.unwritten.over(self.store.fetch(needs), needs)

    def _work_out(self, asked: Rebuild) -> Rebuilt:
        """From all rows, here and now."""
        unit = asked.entry.code
        days = ((day, self.store.rows_of(unit, day)) for day in self.store.days_of(unit))
        return worked_out(asked, self.pack, days)

    @property
    def pack(self) -> FactorPack:
        """The factors where no configuration says otherwise."""
        return self._engine.state.rates.packs[0]

    def is_ahead(self) -> bool:
        """Whether a step is prepared while another is being written."""
        return self._in_flight is not self._writing

    def write(self, prepared: Prepared) -> None:
        """Write a step surely; raises store.LostError where a partition is another's by now.

        Where the database refuses it, it is marked: the next worker takes it with care.
        """
        self._writing = prepared
        started = time.perf_counter()
        try:
            self.store.write_surely(prepared.step)
        except Exception as error:
            if dead_letters.is_defect(error):
                self.store.be_careful(prepared.step)
            raise
        prepared.written.set()
        self.metrics.stage("write", time.perf_counter() - started)
        self.metrics.heard_ticks(
            {p: tick for p, tick in self._ticks.items() if p in self.next_offsets}
        )
        ticks = [self._ticks.get(partition) for partition in self.next_offsets]
        if ticks and None not in ticks:
            self.metrics.watermark.set(min(tick for tick in ticks if tick is not None) / 1_000)
        self.metrics.wrote(
            prepared.readings, len(prepared.step.positions), len(prepared.step.outbox)
        )
        self.metrics.count_received(prepared.step.account.values())
        self._at_point("before acknowledge")


def runs(messages: Iterable[Message]) -> list[list[Message]]:
    """The records as steps may take them: one that restates a unit is alone."""
    found: list[list[Message]] = []
    alone = True
    for message in messages:
        restated = is_restated(message[2])
        if alone or restated:
            found.append([])
        found[-1].append(message)
        alone = restated
    return found


def _positions(messages: Iterable[Message]) -> dict[int, tuple[int, int]]:
    found: dict[int, tuple[int, int]] = {}
    for partition, offset, _ in messages:
        found[partition] = (found.get(partition, (offset, 0))[0], offset + 1)
    return found
