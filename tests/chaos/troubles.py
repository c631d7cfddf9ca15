"""The load of the chaos runs: the benchmark's workload, with revised, withdrawn, too fast and unknown readings in it.

Beside it: quotas that are broken, and units that send by MQTT.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import numpy as np

from schemas.calendar import BUSINESS, QUARTER_MS, moment
from schemas.registry import Configuration, Point, Quota, Unit
from schemas.section import WITHDRAWN, Section

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from workload import Workload

_BACK = 8
"""Revisions and withdrawals reach so many pairs of quarter hours back, at most."""
_TOO_FAST = 10_000
_QUOTAS = ("10", "25", "60", "150", "400", "40000")
"""tce, by a unit's number: some are broken within minutes of a run, some never."""


@dataclass(frozen=True)
class Troubled(Workload):
    """Everything follows from the seed, as in Workload; what goes by MQTT does so but for its order."""

    units: int = 400
    late: float = 0.03
    repeated: float = 0.02
    odd: float = 0.04
    """Sections beside which another, odd one comes."""
    mqtt_units: int = 6
    mqtt_points: int = 12

    def mqtt_code(self, number: int) -> str:
        """Code of a unit that sends by MQTT."""
        return f"91510000MQTT{number:06d}"

    def configuration(self) -> Configuration:
        """All units, with quotas that are broken sooner or later or never."""
        usual = super().configuration()
        units = tuple(
            unit.model_copy(update={"quotas": (_quota(number),)})
            for number, unit in enumerate(usual.registry.units)
        )
        more = tuple(self._mqtt_unit(number) for number in range(self.mqtt_units))
        registry = usual.registry.model_copy(update={"units": (*units, *more)})
        return usual.model_copy(update={"registry": registry})

    def _mqtt_unit(self, number: int) -> Unit:
        """Its readings are received by the wall clock, long after they were made: a long horizon."""
        points = tuple(
            Point(
                name=f"M{i}",
                quantity="electricity",
                unit_of_measure="kWh",
                statement="PT15M",
                rated_per_hour=Decimal(400),
                valid_from=moment(self.start).astimezone(BUSINESS),
            )
            for i in range(self.mqtt_points)
        )
        return Unit(
            code=self.mqtt_code(number),
            name=f"by MQTT {number}",
            region="510100",
            industry="31",
            horizon_days=400,
            points=points,
            quotas=(_quota(number),),
        )

    def quarter(self, number: int) -> int:
        """Where a quarter hour begins."""
        return self.start + number * QUARTER_MS

    def arrivals(self, pair: int) -> Iterator[tuple[int, tuple[Section, ...]]]:
        """Records that come at the end of this pair of quarter hours."""
        rng = np.random.default_rng((self.seed, pair, 2))
        for partition, sections in super().arrivals(pair):
            yield (
                partition,
                tuple(one for section in sections for one in self._troubled(section, pair, rng)),
            )

    def _troubled(self, section: Section, pair: int, rng: np.random.Generator) -> Iterator[Section]:
        yield section
        if rng.random() >= self.odd:
            return
        number = int(section.unit[-5:])
        earlier = max(self.begins // 2, pair - int(rng.integers(0, _BACK + 1)))
        old = self.section(number, earlier, received=pair)
        kind = rng.integers(0, 4)
        if kind == 0:
            yield replace(old, revision=1, value=old.value + 10**6)
        elif kind == 1:
            yield replace(old, flags=WITHDRAWN, value=np.zeros_like(old.value))
        elif kind == 2:
            yield replace(old, rank=3, value=old.value * _TOO_FAST)
        else:
            yield replace(old, names=tuple(f"X{name}" for name in old.names))


def _quota(number: int) -> Quota:
    amount = Decimal(_QUOTAS[number % len(_QUOTAS)])
    return Quota(year=2026, energy_tce=amount, source="chaos", status="example")
