"""What other factors would change, told beforehand: the engine takes the very records of the act, on the tables as they are at one moment.

Nothing is written. Of the readings that come before the act takes place nothing can be known; so what is foretold names how far each
partition was digested, and is exactly what the act does there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import orjson

from processors.consequences import Foretold, Json
from processors.engine import Engine, Placed
from processors.memory import drive
from processors.ports import Fetched, Needs, OutboxRow, Rebuild, Rebuilt
from processors.rebuild import worked_out
from processors.registry import DOOR
from processors.store import Store
from schemas.factors import FactorPack, default_pack
from schemas.registry import Configuration
from schemas.section import ApplyConfiguration, Body, Record, Restated


def foretell(
    url: str, configuration: Configuration, *, generation: int, partitions: int
) -> Foretold:
    """Apply a configuration to all partitions in memory, and restate all units that wait then."""
    store = Store(url, generation=generation, patient=False, one_moment=True)
    try:
        offsets = store.positions(range(partitions))
        pack = store.factor_pack() or default_pack()
        known = store.configurations() | {configuration.version: configuration}
        messages: dict[str, Json] = {}
        lines: dict[tuple[str, str], Json] = {}
        for partition, offset in sorted(offsets.items()):
            engine = Engine(pack, known, partitions, generation=generation)
            engine.restore(store.load(partition))
            last = store.memory(partition).last_tick
            if last is not None:
                engine.partition_ticks[partition] = last
            for one in _restated(engine, _Beside(store, pack), (partition, offset), configuration):
                if one["kind"] == "line":
                    lines[str(one["unit"]), str(one["line"])] = one
                else:
                    messages[str(one["unit"])] = one
        before = {unit: _years(store, unit) for unit in messages}
        lines_before = {
            (unit, line): [
                orjson.loads(judged) for of, _, _, judged in store.lines_of(unit) if of == line
            ]
            for unit, line in lines
        }
        return Foretold(offsets, messages, before, lines, lines_before)
    finally:
        store.close()


def _years(store: Store, unit: str) -> list[Json]:
    told = ({**orjson.loads(judged), "as_of": as_of} for as_of, judged in store.windows_of(unit))
    return [window for window in told if window["window"] == "year"]


@dataclass(frozen=True, slots=True)
class _Beside:
    """Answers the engine from the tables; units are worked out here and now."""

    store: Store
    pack: FactorPack

    def fetch(self, needs: Needs) -> Fetched:
        found = self.store.fetch(needs)
        if needs.rebuild is None:
            return found
        return replace(found, rebuilt=self._work_out(needs.rebuild))

    def _work_out(self, asked: Rebuild) -> Rebuilt | None:
        unit = asked.entry.code
        if not self.store.is_recomputable(unit):
            return None
        days = ((day, self.store.rows_of(unit, day)) for day in self.store.days_of(unit))
        return worked_out(asked, self.pack, days)


def _restated(
    engine: Engine, beside: _Beside, place: tuple[int, int], configuration: Configuration
) -> Iterator[Json]:
    """A step for each record, as the worker takes them."""
    partition, offset = place
    version = configuration.version
    _step(engine, beside, (partition, offset, _record(version, ApplyConfiguration(version))))
    for number, unit in enumerate(sorted(engine.waiting()), start=1):
        placed = partition, offset + number, _record(version, Restated(unit, version))
        for row in _step(engine, beside, placed):
            message = cast("Json", orjson.loads(row.payload))
            if message["kind"] in {"unit", "line"}:
                yield message


def _record(version: int, body: Body) -> Record:
    return Record(DOOR, version, 0, body)


def _step(engine: Engine, beside: _Beside, placed: Placed) -> Sequence[OutboxRow]:
    step = drive(engine.step([placed]), beside)
    engine.clear()
    return step.outbox
