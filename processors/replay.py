"""The pipe's middle: log records as JSON lines in, what units are told as JSON lines out. No server."""

import sys
from collections.abc import Iterable, Iterator

import orjson

from processors import rebuild
from processors.engine import Engine, Placed, runs
from processors.memory import MemoryStore, drive
from processors.ports import OutboxRow
from schemas.factors import FactorPack
from schemas.registry import Configuration
from schemas.topics import PARTITIONS
from schemas.wire import from_line


class Replay:
    """An engine over a store in memory, fed line by line."""

    def __init__(
        self, pack: FactorPack, *, partitions: int = PARTITIONS, step_readings: int = 20_000
    ) -> None:
        """`step_readings`: about how many readings make a step."""
        self.store = MemoryStore(rebuild.by(pack))
        self.configurations: dict[int, Configuration] = {}
        self.engine = Engine(pack, self.configurations, partitions)
        self._limit = step_readings
        self._offsets: dict[int, int] = {}

    def lines(self, lines: Iterable[str]) -> Iterator[bytes]:
        """Messages for others, in order, as the steps end."""
        batch: list[Placed] = []
        size = 0
        for line in lines:
            if not line.strip():
                continue
            told = from_line(line)
            if isinstance(told, Configuration):
                self.configurations[told.version] = told
                continue
            partition, record = told
            offset = self._offsets.get(partition, 0)
            self._offsets[partition] = offset + 1
            batch.append((partition, offset, record))
            size += sum(map(_size, record.body)) if isinstance(record.body, tuple) else 1
            if size >= self._limit:
                yield from self.step(batch)
                batch, size = [], 0
        yield from self.step(batch)

    def step(self, batch: list[Placed]) -> Iterator[bytes]:
        """One step, or several where units are restated."""
        for run in runs(batch):
            step = drive(self.engine.step(run), self.store)
            self.store.write(step)
            self.engine.clear()
            for row in step.outbox:
                yield _line(row)


def _size(part: object) -> int:
    return len(part) if hasattr(part, "__len__") else 1


def _line(row: OutboxRow) -> bytes:
    return row.payload


def run(replay: Replay, source: Iterable[str]) -> None:
    """Copy from lines to standard output."""
    out = sys.stdout.buffer
    for message in replay.lines(source):
        out.write(message + b"\n")
    out.flush()


def windows_of(store: MemoryStore, unit: str) -> list[dict[str, object]]:
    """A unit's days, months and years as last told."""
    return [
        orjson.loads(row.judged) for key, row in sorted(store.windows.items()) if key[0] == unit
    ]
