"""The engine in a shell that does what the worker does: steps in flight, crashes, hand-overs."""

import random
from collections import defaultdict
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TypeVar

from processors import rebuild
from processors.engine import Engine, Placed, runs
from processors.memory import MemoryStore, drive, restore
from processors.ports import Fetched, Needs, Step
from processors.rates import Rates
from processors.state import State
from processors.unwritten import Unwritten
from schemas.factors import default_pack
from schemas.registry import Unit
from schemas.section import Restated
from tests.processors.worlds import PARTITIONS, World

PACK = default_pack()
LANDS_MEANWHILE = 0.3
Answer = TypeVar("Answer")


@dataclass
class Shell:
    """One run of a world's log. With `rng` it is cut into steps, and nothing is spared."""

    world: World
    rng: random.Random | None = None
    store: MemoryStore = field(default_factory=lambda: MemoryStore(rebuild.by(PACK)))
    flying: Step | None = None
    """A step that is prepared and not yet in the store."""
    fetched_late: bool = False
    in_flight: bool = False

    def __post_init__(self) -> None:
        """A new engine, and the log's partitions apart."""
        self.engine = self._new_engine()
        self.queues: dict[int, list[Placed]] = defaultdict(list)
        for placed in self.world.log:
            self.queues[placed[0]].append(placed)

    def _new_engine(self) -> Engine:
        return Engine(PACK, self.world.configurations, PARTITIONS)

    def run(self) -> "Shell":
        """Digest the whole log."""
        if self.rng is None:
            self._prepare(self.world.log)
            self._land()
            return self
        while batch := self._batch(self.rng):
            self._prepare(batch)
            chance = self.rng.random()
            if chance < 0.12:
                self._crash(lost=self.rng.random() < 0.5)
            elif chance < 0.2:
                self._hand_over(self.rng.randrange(PARTITIONS))
            elif chance < 0.5:
                self._land()
        self._land()
        return self

    def run_one_by_one(self) -> "Shell":
        """Digest the log, each record a step of its own."""
        for placed in self.world.log:
            self._prepare([placed])
        self._land()
        return self

    def ask(self, asking: Generator[Needs, Fetched, Answer]) -> Answer:
        """An answer of the engine's at the end."""
        return drive(asking, self.store)  # type: ignore[arg-type,return-value]

    def _batch(self, rng: random.Random) -> list[Placed]:
        """The next records of the partitions, by any turns, each partition's in order."""
        batch: list[Placed] = []
        places = {p: self._next(p) for p in self.queues}
        for _ in range(rng.choice([1, 2, 3, 8, 30])):
            left = [p for p, queue in self.queues.items() if places[p] < len(queue)]
            if not left:
                break
            partition = rng.choice(left)
            batch.append(self.queues[partition][places[partition]])
            places[partition] += 1
        return batch

    def _next(self, partition: int) -> int:
        flying = self.flying.positions if self.flying else {}
        if partition in flying:
            return flying[partition][1]
        return self.store.positions.get(partition, 0)

    def _prepare(self, batch: "list[Placed] | tuple[Placed, ...]") -> None:
        """Steps over the batch, of which the last flies; the one before lands, at the latest now."""
        for run in runs(batch):
            if isinstance(run[0][2].body, Restated):
                self._land()
            self._prepare_run(run)

    def _prepare_run(self, batch: list[Placed]) -> None:
        stepping = self.engine.step(batch)
        try:
            needs = next(stepping)
            while True:
                needs = stepping.send(self._fetch(needs))
        except StopIteration as end:
            step: Step = end.value
        self.engine.clear()
        self._land()
        self.flying = step

    def _fetch(self, needs: Needs) -> Fetched:
        """Rows of the store under those of the step in flight, which may land any moment."""
        flying = self.flying
        if self.rng is not None and self.rng.random() < LANDS_MEANWHILE:
            self._land()
        fetched = self.store.fetch(needs)
        if flying is not None:
            self.in_flight |= bool(needs.claims) and bool(needs.units() & units_of(flying))
            fetched = Unwritten(flying).over(fetched, needs)
        self.fetched_late |= bool(fetched.claims)
        return fetched

    def _land(self) -> None:
        if self.flying is not None:
            self.store.write(self.flying)
            self.flying = None

    def _crash(self, *, lost: bool) -> None:
        """Begin anew with what the store has, without the step in flight or with it."""
        if not lost:
            self._land()
        self.flying = None
        self.engine = self._new_engine()
        restore(self.engine, self.store)

    def _hand_over(self, partition: int) -> None:
        """Give a partition away and take it back."""
        self._land()
        self.engine.drop({partition})
        states = self.store.states.values()
        self.engine.restore(state for state in states if state.partition == partition)
        for own, _, _, at, unit in self.store.ticks:
            if own == partition and not unit:
                self.engine.partition_ticks[partition] = at


def units_of(step: Step) -> set[str]:
    """Units whose rows a step writes."""
    read = {row.unit for rows in (step.readings, step.rejections) for row in rows}
    return read | {state.unit for state in step.states}


def state_of(*units: Unit) -> State:
    """What the engine remembers of units that have said nothing yet."""
    state = State(Rates(PACK))
    state.register(units, {unit.code: 0 for unit in units}, 1)
    return state
