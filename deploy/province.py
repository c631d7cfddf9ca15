"""The example province at large: as many plants as are asked for, in all 21 cities and 10 industries of Sichuan.

    python -m deploy.province registry | targets [--units 200] [--start 2026-01-01]

Which kinds there are, where, how they run through the year and what they are held to is said in
deploy/example/province.toml; a plant is a function of its number alone. Everything is invented.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from itertools import cycle
from random import Random

from pydantic import BaseModel, ConfigDict

from deploy.local.state import CHECKOUT
from ingest.simulator import load_at
from ingest.world import Meter, Plant
from schemas.calendar import (
    BUSINESS,
    DAY_MS,
    HOUR_MS,
    instant,
    moment,
    window_end,
    year_of,
    year_start,
)
from schemas.registry import Budget, Industry, Line, Opening, Point, Quota, Region, Registry, Unit
from schemas.targets import Targets

FILE = CHECKOUT / "deploy" / "example" / "province.toml"
REGIONS = CHECKOUT / "schemas" / "packs" / "regions.toml"
_TCE = {"electricity": 0.1229e-3, "raw_coal": 0.7143}
"""tce a kWh, tce a tonne: to plan quotas with; the figures come from the packs."""
_TCO2 = {"electricity": 0.1564e-3, "raw_coal": 1.747}
_VIEW = "provincial average, Sichuan"
_SHARE = 0.55
"""Mean load of a meter over its rated maximum."""
_PROVINCE = "510000"
_GIVEN, _ASIDE = "E2", "E9"
"""The meters of what is given back, and of what belongs to no line."""


class Kind(BaseModel):
    """A kind of plant; rates are a tonne's of a plant that works just at its limit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    name: str
    name_zh: str
    industry: str
    season: str
    flat: bool = False
    """Runs day and night alike."""
    line: str
    """Id of its product line; none: a plant that makes no tonnes."""
    output: float
    """t an hour."""
    power: float = 0
    """kW, of a plant that makes no tonnes."""
    electricity: float
    """kWh/t."""
    recovered: float = 0
    """kWh/t that the line gives back."""
    coal: float
    """t/t."""
    aside: float
    """Of the line's electricity: what the rest of the plant takes on top."""
    limit: str = ""
    parameters: dict[str, str] = {}
    cities: tuple[str, ...]


class Performances(BaseModel):
    """Drawn in turn."""

    intensities: tuple[float, ...]
    quotas: tuple[float, ...]
    budgets: tuple[float, ...]
    """0: none."""


class TargetShares(BaseModel):
    """Drawn in turn over the scopes."""

    cities: tuple[float, ...]
    province: float
    industries: tuple[float, ...]


class Province(BaseModel):
    """The file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seasons: dict[str, tuple[int, ...]]
    kinds: tuple[Kind, ...]
    industries: tuple[Industry, ...]
    performances: Performances
    targets: TargetShares


@dataclass(frozen=True, slots=True)
class Example:
    """A plant with what it is expected to use in its whole year."""

    plant: Plant
    energy_tce: float
    co2_t: float


@cache
def province() -> Province:
    """The file, read once."""
    return Province.model_validate(tomllib.loads(FILE.read_text(encoding="utf-8")))


def examples(count: int, *, start: int) -> list[Example]:
    """So many plants whose points begin at `start` (ms); one that begins within a year declares what it used before."""
    told, names = province(), {region.code: region.name for region in regions()}
    return [
        _Design(told, kind, city, number, start).example(names[city])
        for number, (kind, city) in zip(range(count), _places(told), strict=False)
    ]


def _places(told: Province) -> Iterator[tuple[Kind, str]]:
    """Kinds and cities, so that each kind comes before one comes again, and each city is reached early."""
    cities = {kind.id: cycle(_rotated(kind.cities, i)) for i, kind in enumerate(told.kinds)}
    # Most cities have cement or textiles and little else: they come twice in a round.
    common = [kind for kind in told.kinds if len(kind.cities) >= 8]  # noqa: PLR2004 - half of what the widest has
    while True:
        for kind in (*told.kinds, *common):
            yield kind, next(cities[kind.id])


def _rotated(items: Sequence[str], by: int) -> Sequence[str]:
    place = by % len(items)
    return (*items[place:], *items[:place])


def regions() -> tuple[Region, ...]:
    """The province and its cities, from the pack."""
    told = tomllib.loads(REGIONS.read_text(encoding="utf-8"))["region"]
    return tuple(Region(code=one["code"], name=one["name"], name_zh=one["name_zh"]) for one in told)


def registry(shown: Sequence[Example]) -> Registry:
    """Their registry."""
    return Registry(
        regions=regions(),
        industries=province().industries,
        units=tuple(example.plant.unit for example in shown),
    )


@dataclass(frozen=True, slots=True)
class _Design:
    """One plant: what it makes, how well, and what it is held to."""

    told: Province
    kind: Kind
    city: str
    number: int
    start: int

    @property
    def random(self) -> Random:
        return Random(f"province/{self.number}")

    @property
    def size(self) -> float:
        return round(self.random.uniform(0.5, 1.9), 2)

    def _turn(self, choices: Sequence[float], step: int) -> float:
        """In turn, each kind beginning elsewhere."""
        return choices[(self.number // len(self.told.kinds) * step + self.number) % len(choices)]

    @property
    def season(self) -> tuple[float, ...]:
        weights = self.told.seasons[self.kind.season]
        return tuple(weight * 12 / sum(weights) for weight in weights)

    def example(self, city: str) -> Example:
        """The plant, and what it will use."""
        meters = tuple(self._meters())
        year = year_of(self.start)
        energy, co2 = (self._used(meters, rates) for rates in (_TCE, _TCO2))
        before = self._share_before(year)
        quota = energy * self._turn(self.told.performances.quotas, 3)
        budget = co2 * self._turn(self.told.performances.budgets, 7)
        unit = Unit(
            code=f"91{self.city}EX{self.number:08d}",
            name=f"{city} {self.kind.name} {self.number + 1}",
            region=self.city,
            industry=self.kind.industry,
            points=tuple(meter.point for meter in meters),
            lines=tuple(self._lines()),
            quotas=(
                Quota(year=year, energy_tce=_rounded(quota), source="invented", status="example"),
            ),
            budgets=() if budget <= 0 else (_budget(year, budget),),
            openings=tuple(self._openings(year, energy * before, co2 * before)),
        )
        return Example(Plant(unit, meters), energy, co2)

    def _meters(self) -> Iterator[Meter]:
        kind = self.kind
        intensity = self._turn(self.told.performances.intensities, 7)
        if not kind.line:
            yield self._meter("E1", "electricity", kind.power * self.size, "register")
            return
        output = kind.output * self.size
        yield self._meter("O1", "output", output, "PT1H")
        energy = intensity if not kind.recovered else 1.0
        yield self._meter("E1", "electricity", output * kind.electricity * energy, "register")
        if kind.coal:
            yield self._meter("C1", "raw_coal", output * kind.coal * intensity, "P1D")
        if kind.recovered:
            # Worse plants give back less.
            given = kind.recovered * (2 - intensity)
            yield self._meter(_GIVEN, "electricity", output * given, "register")
        if kind.aside:
            aside = output * (kind.electricity + kind.recovered) * kind.aside
            yield self._meter(_ASIDE, "electricity", aside, "PT1H")

    def _lines(self) -> Iterator[Line]:
        kind = self.kind
        if kind.line:
            yield Line(
                id=kind.line,
                name=kind.line,
                indicators=(kind.limit,) if kind.limit else (),
                parameters=kind.parameters,
                evidence="invented: statement of the plant",
                valid_from=moment(self.start),
            )

    def _meter(self, name: str, quantity: str, mean: float, statement: str) -> Meter:
        """A meter with this mean an hour; its dial has two weeks' room at least."""
        rated = max(1.0, round(mean * max(self.season) / _SHARE, 1))
        share = mean / rated
        daily = statement == "P1D"
        point = Point.model_validate(
            {
                "name": name,
                "quantity": quantity,
                "unit_of_measure": "kWh" if quantity == "electricity" else "t",
                "statement": statement,
                "digits": 7 if statement == "register" else None,
                "multiplier": 40 if statement == "register" else 1,
                "rated_per_hour": Decimal(str(rated)),
                "cadence_ms": DAY_MS if daily else HOUR_MS,
                "tolerance_ms": DAY_MS // 2 if daily else 2 * HOUR_MS,
                "valid_from": moment(self.start),
                "sign": -1 if name == _GIVEN else 1,
                "lines": {}
                if name == _ASIDE or not self.kind.line
                else {self.kind.line: -1 if name == _GIVEN else 1},
            }
        )
        return Meter(
            point,
            share=share,
            delay_ms=6 * HOUR_MS if daily else 0,
            season=self.season,
            flat=self.kind.flat,
        )

    def _used(self, meters: Sequence[Meter], rates: dict[str, float]) -> float:
        """In the whole year, in the rates' unit; what is given away counts against it."""
        return sum(
            meter.point.sign
            * rates[meter.point.quantity]
            * float(meter.point.rated_per_hour)
            * meter.share
            * 8760
            * (1.0 if self.kind.flat or meter.point.statement == "P1D" else _mean_load())
            for meter in meters
            if meter.point.quantity in rates
        )

    def _share_before(self, year: int) -> float:
        """Of the year: how much of it is used before the points begin."""
        passed, whole = 0.0, 0.0
        for weight, (first, until) in zip(self.season, _months(year), strict=True):
            whole += weight * (until - first)
            passed += weight * max(0, min(self.start, until) - first)
        return passed / whole

    def _openings(self, year: int, energy: float, co2: float) -> Iterator[Opening]:
        for quantity, amount in (("energy", energy), ("co2", co2)):
            told = _rounded(amount)
            if told:
                yield Opening(
                    year=year,
                    quantity=quantity,
                    low=told,
                    best=told,
                    high=told,
                    evidence="invented: statement of the months before",
                )


def targets(shown: Sequence[Example], year: int) -> Targets:
    """Targets of the province, its cities and industries, by what their plants will use and when."""
    share = province().targets
    scopes = [
        (f"province:{_PROVINCE}", list(shown), share.province),
        *_scopes("city", _by(shown, "region"), share.cities),
        *_scopes("industry", _by(shown, "industry"), share.industries),
    ]
    return Targets.model_validate(
        {
            "targets": [
                {
                    "id": f"energy.{scope.partition(':')[2]}.{year}",
                    "scope": scope,
                    "year": year,
                    "quantity": "energy",
                    "amount": str(_rounded(part * sum(one.energy_tce for one in mine))),
                    "covers": "key units",
                    "schedule": scope.replace(":", "-"),
                    "source": "invented",
                }
                for scope, mine, part in scopes
            ],
            "schedules": [
                {
                    "id": scope.replace(":", "-"),
                    "weights": list(_weights(mine)),
                    "source": "invented",
                }
                for scope, mine, _ in scopes
            ],
        }
    )


def _by(shown: Sequence[Example], of: str) -> dict[str, list[Example]]:
    found: dict[str, list[Example]] = {}
    for example in shown:
        found.setdefault(getattr(example.plant.unit, of), []).append(example)
    return dict(sorted(found.items()))


def _scopes(
    kind: str, groups: dict[str, list[Example]], shares: Sequence[float]
) -> Iterator[tuple[str, list[Example], float]]:
    for (code, mine), part in zip(groups.items(), cycle(shares), strict=False):
        yield f"{kind}:{code}", mine, part


def _weights(shown: Sequence[Example]) -> Iterator[int]:
    """How the plants' year goes together: weight of each month, its length counted in."""
    months = _months(year_of(shown[0].plant.unit.begins))
    for month, (first, until) in enumerate(months):
        told = sum(one.energy_tce * one.plant.meters[0].season[month] for one in shown)
        whole = sum(one.energy_tce for one in shown)
        yield round(1_000 * told / whole * (until - first) / (30 * DAY_MS))


@cache
def _mean_load() -> float:
    """Of the simulator's week, over its mean of one."""
    hours = range(7 * 24)
    return sum(load_at(hour * HOUR_MS) for hour in hours) / len(hours)


def _months(year: int) -> list[tuple[int, int]]:
    """First instant and end of each month."""
    found, first = [], year_start(year)
    for _ in range(12):
        found.append((first, window_end("month", first)))
        first = found[-1][1]
    return found


def _budget(year: int, amount: float) -> Budget:
    return Budget(
        year=year, co2_t=_rounded(amount), view=_VIEW, source="invented", status="example"
    )


def _rounded(amount: float) -> Decimal:
    return Decimal(str(round(amount)))


def some(text: str) -> int:
    """A number of plants, as told on a command line. Raises ArgumentTypeError."""
    units = int(text)
    if units < 1:
        message = f"{units} plants are no province: name 1 or more"
        raise argparse.ArgumentTypeError(message)
    return units


def _day(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=BUSINESS)
    except ValueError as error:
        message = f"{text!r} is no day such as 2026-01-01"
        raise argparse.ArgumentTypeError(message) from error


def main(words: Sequence[str]) -> int:
    """Exit codes: 0 printed; 2 the command itself was wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.province", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("what", choices=("registry", "targets"))
    parser.add_argument("--units", type=some, default=200, help="how many plants (200)")
    parser.add_argument(
        "--start", type=_day, default="2026-01-01", help="first day of their points, Beijing"
    )
    told = parser.parse_args(words)
    start = instant(told.start)
    shown = examples(told.units, start=start)
    value = registry(shown) if told.what == "registry" else targets(shown, year_of(start))
    print(json.dumps(value.model_dump(mode="json"), ensure_ascii=False, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
