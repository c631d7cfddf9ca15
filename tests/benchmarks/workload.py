"""The fixed workload of `make bench`: many units, registers and periods, records of 100 readings, some late, some repeated."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from schemas.calendar import BUSINESS, QUARTER_MS, moment
from schemas.registry import Configuration, Industry, Point, Region, Registry, Unit
from schemas.section import ApplyConfiguration, Record, Section, Tick, partition_of

RATED = 400 * 10**6
START = 1_767_225_600_000 - 8 * 3_600_000
"""2026-01-01 00:00 on the business calendar."""


@dataclass(frozen=True)
class Workload:
    """`quarters` quarter hours of `units` units of `points` points, two quarter hours a record."""

    units: int = 2_000
    points: int = 50
    partitions: int = 8
    readings_a_record: int = 100
    late: float = 0.02
    repeated: float = 0.01
    seed: int = 7
    start: int = START

    def code(self, number: int) -> str:
        """Synthetic credit code of a unit."""
        return f"91510000BENCH{number:05d}"

    def registry(self) -> Registry:
        """All units; four of five points are registers."""
        begin = moment(self.start).astimezone(BUSINESS)
        points = tuple(
            Point(
                name=f"E{i}", quantity="electricity", unit_of_measure="kWh", statement="PT15M" if i % 5 == 4 else "register",
                digits=None if i % 5 == 4 else 6, multiplier=1, rated_per_hour="400", valid_from=begin,  # type: ignore[arg-type]
            )
            for i in range(self.points)
        )
        units = tuple(
            Unit(
                code=self.code(n), name=f"unit {n}", region="510100", industry="31", points=points, horizon_days=40,
                quotas=({"year": 2026, "energy_tce": "40000", "source": "bench", "status": "example"},),  # type: ignore[arg-type]
            )
            for n in range(self.units)
        )
        return Registry(regions=(Region(code="510100", name="Chengdu"),), industries=(Industry(code="31", name="steel"),), units=units)

    def configuration(self) -> Configuration:
        """The registry as version 1."""
        return Configuration(version=1, author="bench", reason="bench", registry=self.registry())

    def beginning(self) -> Iterator[tuple[int, Record]]:
        """The control record of every partition."""
        for partition in range(self.partitions):
            yield partition, Record("bench-control", 1, 0, ApplyConfiguration(1))

    def records(self, first: int, quarters: int) -> Iterator[tuple[int, Record]]:
        """Quarter hours [first, first + quarters), instants at their ends, with a tick a partition and quarter hour."""
        rng = np.random.default_rng(self.seed + first)
        per_record = max(1, self.readings_a_record // self.points)
        sequence = dict.fromkeys(range(self.partitions), first * self.units * 4)
        kept: list[tuple[int, Section]] = []
        for q in range(first, first + quarters, per_record):
            waiting: list[tuple[int, Section]] = []
            for n in range(self.units):
                section = self._section(n, q, per_record)
                place = partition_of(section.unit, self.partitions), section
                draw = rng.random()
                if draw < self.late:
                    kept.append(place)
                    continue
                waiting.append(place)
                if draw > 1 - self.repeated:
                    waiting.append(place)
            waiting += [kept.pop(0) for _ in range(len(kept) // 12)]
            yield from self._ticks(sequence, range(q, q + per_record - 1))
            for partition, section in waiting:
                yield partition, self._record(sequence, partition, (section,))
            yield from self._ticks(sequence, range(q + per_record - 1, q + per_record))
        for partition, section in kept:
            yield partition, self._record(sequence, partition, (section,))

    def _ticks(self, sequence: dict[int, int], quarters: range) -> Iterator[tuple[int, Record]]:
        """A record is sent when its last quarter hour ends, so the ticks of the others stand before it."""
        for tick in quarters:
            for partition in range(self.partitions):
                yield partition, self._record(sequence, partition, Tick(self.start + (tick + 1) * QUARTER_MS))

    def _record(self, sequence: dict[int, int], partition: int, body: object) -> Record:
        sequence[partition] += 1
        return Record("bench", 1, sequence[partition], body)  # type: ignore[arg-type]

    def _section(self, number: int, quarter: int, count: int) -> Section:
        at = self.start + QUARTER_MS * np.arange(quarter + 1, quarter + 1 + count)
        register = np.arange(self.points) % 5 != 4
        load = 10**6 * (20 + (number % 37) + np.arange(self.points) % 11)
        registers = (load[None, :] * np.arange(quarter + 1, quarter + 1 + count)[:, None]) % 10**12
        value = np.where(register[None, :], registers, load[None, :])
        instants = np.where(register[None, :], at[:, None], at[:, None] - QUARTER_MS)
        statement = np.where(register, 0, 1)
        return Section(
            unit=self.code(number), received_at=int(at[-1]) + 2_000, names=_names(self.points),
            point=np.tile(np.arange(self.points, dtype=np.uint16), count),
            at=instants.ravel().astype(np.int64), value=value.ravel().astype(np.int64), statement=np.tile(statement.astype(np.uint8), count),
            units_of_measure=("kWh",), unit_of_measure=0, rank=5, revision=0, sent_at=int(at[-1]), flags=0,
        )


def _names(points: int) -> tuple[str, ...]:
    return tuple(f"E{i}" for i in range(points))
