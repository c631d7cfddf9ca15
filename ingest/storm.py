"""A storm of listed facts: plants that are well, until one moment at which much goes wrong at once.

Each fact of the file befalls units of its own, told apart by their codes, so that whatever anybody is told afterwards can be held against
the list. `at` is when it breaks: an instant (ms) on a full minute. Before it lie hours of calm.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ingest.complaint import ComplaintError
from ingest.simulator import Faults, amount_told, stream_at
from ingest.world import Later, Meter, Plant
from schemas.calendar import HOUR_MS, QUARTER_MS, moment, rfc3339, year_of
from schemas.quantities import Quantity
from schemas.registry import (
    UNIT_OF_MEASURE,
    Configuration,
    Industry,
    Opening,
    Point,
    Quota,
    Region,
    Registry,
    Statement,
    Unit,
)
from schemas.scale import SCALE
from schemas.section import Record

MINUTE_MS = 60_000
TOLERANCE_MS = 30_000
PATIENCE_MS = 12 * HOUR_MS
"""Of what a gateway may hold back without being called silent."""
BEAT_MS = 15_000
"""Sections and ticks come so often once it is near."""
NEAR_MS = 5 * MINUTE_MS
_INDUSTRY = Industry(code="31", name="Ferrous metals", name_zh="黑色金属冶炼和压延加工业")
_TCE: dict[Quantity, Decimal] = {
    "electricity": Decimal("0.0001229"),
    "raw_coal": Decimal("0.7143"),
}
"""tce a kWh, tce a tonne: to plan quotas with; the figures come from the packs."""
_A_LITTLE = 8 * _TCE["electricity"]
"""Half of what passes the main meter in a minute."""

Kind = Literal[
    "outage", "late data", "bad factor", "breach", "suspected breach", "silent point", "nothing"
]


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fact(_Told):
    """What befalls how many units of a region (GB/T 2260). `nothing`: they stay well, and nobody may be told of them."""

    kind: Kind
    region: Annotated[str, Field(pattern=r"^[0-9]{6}$")]
    units: Annotated[int, Field(ge=1, le=9_999)] = 1


class StormFile(_Told):
    """The file."""

    calm_hours: Annotated[int, Field(ge=8, le=72)] = 12
    lasts_minutes: Annotated[int, Field(ge=5, le=600)] = 30
    regions: tuple[Region, ...]
    facts: Annotated[tuple[Fact, ...], Field(min_length=1, max_length=99)]

    @model_validator(mode="after")
    def _check(self) -> Self:
        unknown = {fact.region for fact in self.facts} - {one.code for one in self.regions}
        if unknown:
            message = f"{', '.join(sorted(unknown))} is not among its regions"
            raise ValueError(message)
        return self


def read_storm(text: str) -> StormFile:
    """A storm's file. ComplaintError: which entry is wrong, and why."""
    try:
        return StormFile.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        message = f"the storm's file is not TOML: {error}"
        raise ComplaintError(message) from error
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()
        )
        message = f"the storm's file is wrong: {wrong}"
        raise ComplaintError(message) from error


class Listed(_Told):
    """A fact as it will be: whom it befalls, and from when on the data show it."""

    kind: Kind
    region: str
    units: tuple[str, ...]
    shown_at: str
    """RFC 3339. Of a bad factor: not before it is brought into force, which is an act of people."""


@dataclass(frozen=True)
class Storm:
    """The storm of a file that breaks at an instant."""

    file: StormFile
    at: int
    seed: int = 7

    @property
    def start(self) -> int:
        """Its first hour."""
        return (self.at - self.file.calm_hours * HOUR_MS) // HOUR_MS * HOUR_MS

    @property
    def end(self) -> int:
        """Where the stream ends."""
        return self.at + self.file.lasts_minutes * MINUTE_MS

    @cached_property
    def plants(self) -> tuple[Plant, ...]:
        """Of all facts, in the file's order."""
        return tuple(
            self._plant(fact, code)
            for number, fact in enumerate(self.file.facts)
            for code in _codes(number, fact)
        )

    @property
    def configuration(self) -> Configuration:
        """Their registry."""
        registry = Registry(
            regions=self.file.regions,
            industries=(_INDUSTRY,),
            units=tuple(plant.unit for plant in self.plants),
        )
        told = Configuration(version=1, author="simulator", reason="a storm", registry=registry)
        return told.model_copy(update={"hash": told.content_hash()})

    def facts(self) -> Iterator[Listed]:
        """What will be true, in the file's order."""
        for number, fact in enumerate(self.file.facts):
            yield Listed(
                kind=fact.kind,
                region=fact.region,
                units=tuple(_codes(number, fact)),
                shown_at=rfc3339(self.at + _shown_after(fact.kind)),
            )

    def records(self, partitions: int) -> Iterator[tuple[int, Record]]:
        """The log: by the quarter hour while it is calm, then by the beat."""
        near = self.at - NEAR_MS
        beats = (
            *range(near - (near - self.start) // QUARTER_MS * QUARTER_MS, near, QUARTER_MS),
            *range(near, self.end + 1, BEAT_MS),
        )
        yield from stream_at(
            ((at, True) for at in beats),
            self.plants,
            seed=self.seed,
            start=self.start,
            end=self.end,
            faults=Faults(),
            partitions=partitions,
            live=True,
        )

    # ---- Plants

    def _plant(self, fact: Fact, code: str) -> Plant:
        unit = Unit(
            code=code,
            name=f"Storm plant {code[-6:]} ({fact.kind})",
            region=fact.region,
            industry=_INDUSTRY.code,
            points=(self._point("E1", "electricity", "register", 2_000),),
        )
        meters = (Meter(self._point("E1", "electricity", "register", 2_000), flat=True),)
        well = Plant(unit, meters)
        match fact.kind:
            case "outage" | "silent point":
                dies = replace(meters[0], silent_after_ms=self.at - self.start)
                return self._held_to(replace(well, meters=(dies,)), 10 * self._used(well))
            case "late data":
                return self._late(well)
            case "bad factor":
                coal = Meter(self._point("C1", "raw_coal", "PT15M", 5), flat=True)
                plant = replace(well, meters=(*meters, coal))
                return self._held_to(plant, 3 * self._used(plant))
            case "breach":
                return self._held_to(well, self._used(well) + _A_LITTLE)
            case "suspected breach":
                return self._suspected(well)
            case "nothing":
                return self._held_to(well, 10 * self._used(well))

    def _late(self, well: Plant) -> Plant:
        """Over its quota by what comes late, and not by half the rated maximum, which stands for it before."""
        held = Later(self._hour(-6), self._hour(-1), self.at)
        point = self._point("E2", "electricity", "PT15M", 2_000)
        plant = replace(well, meters=(*well.meters, Meter(point, share=0.9, flat=True, held=held)))
        used = self._used(plant)
        late = used - self._used(plant, until=self.at - 1)
        best = 5 * 2_000 // 2 * _TCE["electricity"]
        return self._held_to(plant, used - (late - best) / 2)

    def _suspected(self, well: Plant) -> Plant:
        """An hour's readings are withdrawn: half the rated maximum, which stands for them now, is over the quota."""
        point = self._point("E2", "electricity", "PT15M", 10_000)
        meter = Meter(point, share=0.1, flat=True)
        plant = replace(well, meters=(*well.meters, meter))
        quota = self._used(plant) + 3_000 * _TCE["electricity"]
        wrong = Later(self._hour(-5), self._hour(-4), self.at)
        meters = (*well.meters, replace(meter, withdrawn=wrong))
        return self._held_to(replace(plant, meters=meters), quota)

    def _hour(self, number: int) -> int:
        """So many full hours after the one that it breaks in."""
        return self.at // HOUR_MS * HOUR_MS + number * HOUR_MS

    def _held_to(self, plant: Plant, quota: Decimal) -> Plant:
        """With its quota, and nothing used before its points began."""
        year = year_of(self.at)
        zero = Decimal(0)
        quotas = Quota(
            year=year,
            energy_tce=quota.quantize(Decimal("0.000001"), ROUND_DOWN),
            source="invented",
            status="example",
        )
        opening = Opening(
            year=year, quantity="energy", low=zero, best=zero, high=zero, evidence="invented"
        )
        points = tuple(meter.point for meter in plant.meters)
        told = {"points": points, "quotas": (quotas,), "openings": (opening,)}
        return replace(plant, unit=plant.unit.model_copy(update=told))

    def _used(self, plant: Plant, *, until: int | None = None) -> Decimal:
        """By what was told until then, in tce; until it breaks unless told."""
        told = {"seed": self.seed, "start": self.start, "until": until or self.at}
        return sum(
            (
                amount_told(plant, meter.point.name, **told) * _TCE[meter.point.quantity] / SCALE
                for meter in plant.meters
            ),
            Decimal(0),
        )

    def _point(self, name: str, quantity: Quantity, statement: Statement, rated: int) -> Point:
        is_register = statement == "register"
        return Point(
            name=name,
            quantity=quantity,
            unit_of_measure=UNIT_OF_MEASURE[quantity],
            statement=statement,
            digits=8 if is_register else None,
            rated_per_hour=Decimal(rated),
            cadence_ms=MINUTE_MS if is_register else QUARTER_MS,
            tolerance_ms=TOLERANCE_MS if is_register else PATIENCE_MS,
            valid_from=moment(self.start),
        )


def _codes(number: int, fact: Fact) -> Iterator[str]:
    return (f"91{fact.region}STM{number:02d}{unit:05d}" for unit in range(fact.units))


def _shown_after(kind: Kind) -> int:
    """Silence shows when cadence and tolerance have passed, a breach by the next reading."""
    match kind:
        case "outage" | "silent point":
            return MINUTE_MS + TOLERANCE_MS
        case "breach":
            return MINUTE_MS
        case _:
            return 0
