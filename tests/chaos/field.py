"""The load of the soak: live units whose registers are read again and again, by the wall clock; some late, some twice."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property

import numpy as np

from schemas.calendar import BUSINESS, moment
from schemas.registry import Configuration, Industry, Point, Quota, Region, Registry, Unit
from schemas.section import Section, partition_of

LATE, REPEATED, LATEST = 0.02, 0.01, 30
"""Shares of the sections, and by how many beats one may be late."""
_MILLION = 10**6


@dataclass
class Field:
    """Units that are read once a beat, each at its own moment of it."""

    units: int
    points: int
    beat_ms: int
    begins: int
    """Instant of the first beat."""
    partitions: int
    _late: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))

    def code(self, number: int) -> str:
        """Credit code of a unit."""
        return f"91510000SOAK{number:06d}"

    def configuration(self) -> Configuration:
        """All of them, as version 1."""
        points = tuple(
            Point(
                name=name,
                quantity="electricity",
                unit_of_measure="kWh",
                statement="register",
                digits=8,
                rated_per_hour=Decimal(400_000),
                cadence_ms=self.beat_ms,
                tolerance_ms=60_000,
                valid_from=moment(self.begins - self.beat_ms).astimezone(BUSINESS),
            )
            for name in self._names
        )
        year = moment(self.begins).astimezone(BUSINESS).year
        quota = Quota(year=year, energy_tce=Decimal(40_000), source="soak", status="example")
        units = tuple(
            Unit(
                code=self.code(number),
                name=f"unit {number}",
                region="510100",
                industry="31",
                points=points,
                quotas=(quota,),
            )
            for number in range(self.units)
        )
        registry = Registry(
            regions=(Region(code="510100", name="Chengdu"),),
            industries=(Industry(code="31", name="steel"),),
            units=units,
        )
        return Configuration(version=1, author="soak", reason="soak", registry=registry)

    def sent(self, beat: int) -> Iterator[tuple[int, int, int]]:
        """(millisecond of the beat, unit, beat that it speaks of), in order."""
        rng = np.random.default_rng((7, beat))
        late, again = rng.random(self.units) < LATE, rng.random(self.units) < REPEATED
        delays = rng.integers(1, LATEST + 1, self.units)
        waiting = self._late.pop(beat, [])
        for number in range(self.units):
            moment_of = number * self.beat_ms // self.units
            if late[number]:
                self._late[beat + int(delays[number])].append((number, beat))
            else:
                yield moment_of, number, beat
                if again[number]:
                    yield moment_of, number, beat
            if (
                waiting
                and number * len(waiting) // self.units != (number + 1) * len(waiting) // self.units
            ):
                place = number * len(waiting) // self.units
                yield moment_of, *waiting[place]

    def section(self, number: int, beat: int, received_at: int) -> Section:
        """What a unit's registers show at a beat."""
        at = self.begins + beat * self.beat_ms + number * self.beat_ms // self.units
        value = _MILLION * (20 + number % 37 + np.arange(self.points)) * (beat + 1)
        return Section(
            unit=self.code(number),
            received_at=received_at,
            names=self._names,
            point=np.arange(self.points, dtype=np.uint16),
            at=np.full(self.points, at),
            value=value,
            statement=0,
            units_of_measure=("kWh",),
            unit_of_measure=0,
            rank=5,
            revision=0,
            sent_at=at,
            flags=0,
        )

    def partition(self, number: int) -> int:
        """Where a unit's records go."""
        return partition_of(self.code(number), self.partitions)

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(f"R{i}" for i in range(self.points))
