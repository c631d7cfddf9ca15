"""The fixed workload of `make bench`: many units, registers and periods, records of 100 readings, some late, some repeated.

Everything follows from the seed and the quarter hour alone, so that any span can be made again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from schemas.calendar import BUSINESS, QUARTER_MS, moment
from schemas.registry import Configuration, Industry, Point, Quota, Region, Registry, Unit
from schemas.section import ApplyConfiguration, Body, Record, Section, Tick, partition_of

START = 1_767_225_600_000 - 8 * 3_600_000
"""2026-01-01 00:00 on the business calendar."""
PAIR = 2
"""Quarter hours that a unit sends in one go."""
LATEST = 3 * 24 * 4 // PAIR
"""Late sections come up to so many pairs of quarter hours after their time: three days."""


@dataclass(frozen=True)
class Workload:
    """Units that send two quarter hours of all their points at a time, from quarter hour `begins` on."""

    units: int = 2_000
    points: int = 50
    partitions: int = 8
    readings_a_record: int = 100
    late: float = 0.02
    repeated: float = 0.01
    seed: int = 7
    start: int = START
    begins: int = 0

    def code(self, number: int) -> str:
        """Synthetic credit code of a unit."""
        return f"91510000BENCH{number:05d}"

    def configuration(self) -> Configuration:
        """All units, as version 1; four of five points are registers."""
        begin = moment(self.start + self.begins * QUARTER_MS).astimezone(BUSINESS)
        points = tuple(
            Point(
                name=name,
                quantity="electricity",
                unit_of_measure="kWh",
                statement="register" if register else "PT15M",
                digits=6 if register else None,
                rated_per_hour="400",
                valid_from=begin,  # type: ignore[arg-type]
            )
            for name, register in zip(self._names, self._registers.tolist(), strict=True)
        )
        quota = Quota(year=2026, energy_tce="40000", source="bench", status="example")  # type: ignore[arg-type]
        units = tuple(
            Unit(
                code=self.code(n),
                name=f"unit {n}",
                region="510100",
                industry="31",
                points=points,
                quotas=(quota,),
            )
            for n in range(self.units)
        )
        regions, industries = (
            (Region(code="510100", name="Chengdu"),),
            (Industry(code="31", name="steel"),),
        )
        registry = Registry(regions=regions, industries=industries, units=units)
        return Configuration(version=1, author="bench", reason="bench", registry=registry)

    def beginning(self) -> Iterator[tuple[int, Record]]:
        """The control record of every partition."""
        for partition in range(self.partitions):
            yield partition, Record("bench-control", 1, 0, ApplyConfiguration(1))

    def records(self, first: int, quarters: int) -> Iterator[tuple[int, Record]]:
        """What comes in quarter hours [first, first + quarters), with a tick a partition and quarter hour.

        Sections come when their second quarter hour ends, so the tick of the first stands before them.
        """
        sequences = dict.fromkeys(range(self.partitions), -1)

        def numbered(partition: int, body: Body) -> tuple[int, Record]:
            sequences[partition] += 1
            return partition, Record("bench", first + 1, sequences[partition], body)

        for pair in range(first // PAIR, (first + quarters) // PAIR):
            ticks = [Tick(self.start + (pair * PAIR + i + 1) * QUARTER_MS) for i in range(PAIR)]
            for partition in range(self.partitions):
                yield numbered(partition, ticks[0])
            for partition, sections in self.arrivals(pair):
                yield numbered(partition, sections)
            for partition in range(self.partitions):
                yield numbered(partition, ticks[1])

    def arrivals(self, pair: int) -> Iterator[tuple[int, tuple[Section, ...]]]:
        """Records that come at the end of this pair of quarter hours, in an order of chance."""
        rng = np.random.default_rng((self.seed, pair, 1))
        delay, again = self._fate(pair)
        came = [(n, pair) for n in np.flatnonzero(delay == 0).tolist()]
        came += [(n, pair) for n in np.flatnonzero(again & (delay == 0)).tolist()]
        for earlier in range(max(self.begins // PAIR, pair - LATEST), pair):
            came += [
                (n, earlier)
                for n in np.flatnonzero(self._fate(earlier)[0] == pair - earlier).tolist()
            ]
        waiting: list[list[Section]] = [[] for _ in range(self.partitions)]
        for i in rng.permutation(len(came)).tolist():
            n, of = came[i]
            waiting[self._partition[n]].append(self.section(n, of, received=pair))
        size = max(1, self.readings_a_record // (self.points * PAIR))
        for begin in range(0, max(map(len, waiting)), size):
            for partition, sections in enumerate(waiting):
                if begin < len(sections):
                    yield partition, tuple(sections[begin : begin + size])

    def section(self, number: int, pair: int, *, received: int) -> Section:
        """What a unit says of a pair of quarter hours, taken at the end of another."""
        ends = np.arange(pair * PAIR + 1, (pair + 1) * PAIR + 1)
        at = self.start + QUARTER_MS * ends
        load = self.load(number)
        value = np.where(self._registers, load * ends[:, None] % 10**12, load)
        instants = np.where(self._registers, at[:, None], at[:, None] - QUARTER_MS)
        return Section(
            unit=self.code(number),
            received_at=self.start + (received + 1) * PAIR * QUARTER_MS + 2_000,
            names=self._names,
            point=np.tile(np.arange(self.points, dtype=np.uint16), PAIR),
            at=instants.ravel(),
            value=value.ravel(),
            statement=np.tile(np.where(self._registers, 0, 1).astype(np.uint8), PAIR),
            units_of_measure=("kWh",),
            unit_of_measure=0,
            rank=5,
            revision=0,
            sent_at=int(at[-1]),
            flags=0,
        )

    def load(self, number: int) -> np.typing.NDArray[np.int64]:
        """What each point of a unit uses in every quarter hour, 10⁻⁶ kWh."""
        return 10**6 * (20 + number % 37 + np.arange(self.points) % 11)

    def said(self, first: int, quarters: int) -> tuple[int, int]:
        """Of quarter hours [begins, first + quarters) what has come by their end: distinct readings, and the sum of their values."""
        count = total = 0
        for pair in range(self.begins // PAIR, (first + quarters) // PAIR):
            delay, _ = self._fate(pair)
            came = delay + pair < (first + quarters) // PAIR
            for n in np.flatnonzero(came).tolist():
                values = self.section(n, pair, received=pair).value
                count, total = count + len(values), total + int(values.sum())
        return count, total

    def _fate(self, pair: int) -> tuple[np.typing.NDArray[np.int64], np.typing.NDArray[np.bool_]]:
        """Of all units: by how many pairs they come late, and whether they come again."""
        if pair not in self._fates:
            rng = np.random.default_rng((self.seed, pair, 0))
            late = rng.random(self.units) < self.late
            delay = np.where(late, rng.integers(1, LATEST + 1, self.units), 0)
            self._fates[pair] = delay, rng.random(self.units) < self.repeated
        return self._fates[pair]

    @cached_property
    def _fates(self) -> dict[int, tuple[np.typing.NDArray[np.int64], np.typing.NDArray[np.bool_]]]:
        return {}

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(f"E{i}" for i in range(self.points))

    @cached_property
    def _registers(self) -> np.typing.NDArray[np.bool_]:
        return np.arange(self.points) % 5 != 4

    @cached_property
    def _partition(self) -> list[int]:
        return [partition_of(self.code(n), self.partitions) for n in range(self.units)]
