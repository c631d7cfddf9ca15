"""Drawn worlds and logs for the laws: units with odd meters, readings with every defect, ticks anywhere."""

import random
from dataclasses import dataclass, field

import numpy as np

from schemas.calendar import BUSINESS, HOUR_MS, QUARTER_MS, moment, window_end, window_start
from schemas.registry import LENGTH_MS, STATEMENTS, Configuration, Industry, Point, Region, Registry, Unit
from schemas.section import (
    NEVER,
    RANKS,
    WITHDRAWN,
    ApplyConfiguration,
    HistoryEnds,
    Record,
    Refused,
    Section,
    Tick,
    Unreadable,
    partition_of,
)

PARTITIONS = 2
MINUTE = 60_000
STARTS = ("2026-01-30T20:00", "2025-12-31T21:00", "2026-03-10T09:30", "2026-02-28T15:00")


@dataclass
class World:
    """A configuration and its log."""

    configuration: Configuration
    log: list[tuple[int, int, Record]] = field(default_factory=list)

    @property
    def units(self) -> tuple[Unit, ...]:
        """All units."""
        return self.configuration.registry.units


@dataclass
class Claim:
    """A reading before it is packed."""

    unit: int
    point: str
    statement: str
    at: int
    value: int
    unit_of_measure: str = "kWh"
    rank: int = 5
    revision: int = 0
    sent_at: int = NEVER
    flags: int = 0


def draw(seed: int, size: int) -> World:
    """The world of a seed; `size` bounds how much happens in it."""
    rng = random.Random(seed)  # noqa: S311 - drawn worlds, not secrets
    start = _instant(rng.choice(STARTS))
    registry = Registry(
        regions=(Region(code="510100", name="Chengdu"),),
        industries=(Industry(code="31", name="steel"),),
        units=tuple(_unit(rng, number, start, size) for number in range(rng.randint(1, 2))),
    )
    configuration = Configuration(version=1, author="law", reason="drawn", registry=registry)
    world = World(configuration)
    claims = [claim for number, unit in enumerate(registry.units) for point in unit.points for claim in _claims(rng, number, point, size)]
    _pack(rng, world, _order(rng, claims), start)
    return world


def _instant(text: str) -> int:
    from datetime import datetime  # noqa: PLC0415

    return int(datetime.fromisoformat(text).replace(tzinfo=BUSINESS).timestamp() * 1000)


def _unit(rng: random.Random, number: int, start: int, size: int) -> Unit:
    points = tuple(_point(rng, f"P{i}", start) for i in range(rng.randint(1, 1 + min(3, size // 4))))
    year = 2025 if rng.random() < 0.2 else 2026
    quotas = [] if rng.random() < 0.2 else [{"year": year, "energy_tce": rng.choice(["0.01", "0.05", "0.2", "1", "0"]), "source": "drawn", "status": "example"}]
    openings = []
    if rng.random() < 0.7:
        openings = [{"year": y, "quantity": "energy", "low": "0.001", "best": "0.002", "high": "0.002", "evidence": "drawn"} for y in (2025, 2026)]
    return Unit.model_validate({
        "code": f"91510100LAW000000{number}", "name": f"unit {number}", "region": "510100", "industry": "31",
        "history": rng.random() < 0.6, "horizon_days": rng.choice([1, 3, 40]), "points": points, "quotas": quotas, "openings": openings,
    })


def _point(rng: random.Random, name: str, start: int) -> Point:
    quantity = rng.choice(["electricity", "electricity", "electricity", "raw_coal", "output"])
    statement = rng.choice(["register", "register", "register", "PT15M", "PT15M", "PT1H", "PT30M", "P1D"])
    begins = start + rng.choice([0, 0, 0, 7 * MINUTE, HOUR_MS, 2 * HOUR_MS + 1])
    told: dict[str, object] = {
        "name": name, "quantity": quantity, "unit_of_measure": "kWh" if quantity == "electricity" else "t", "statement": statement,
        "rated_per_hour": rng.choice(["100", "37.123457", "400.000001", "1000"]),
        "cadence_ms": LENGTH_MS.get(statement, rng.choice([QUARTER_MS, 7 * MINUTE, 100 * MINUTE])),
        "valid_from": moment(begins),
    }
    if rng.random() < 0.1:
        told["valid_to"] = moment(begins + rng.choice([3 * HOUR_MS + 5 * MINUTE, 9 * HOUR_MS]))
    if statement == "register":
        told |= {"digits": rng.choice([3, 3, 3, 6]), "multiplier": rng.choice([1, 1, 2, 40])}
        if rng.random() < 0.2:
            told["others"] = ("P1D",)
    elif statement in {"PT15M", "PT30M", "PT1H"} and rng.random() < 0.5:
        told["anchor_ms"] = rng.choice([7 * MINUTE, 1, 11 * MINUTE + 3])
    return Point.model_validate(told)


def _claims(rng: random.Random, unit: int, point: Point, size: int) -> list[Claim]:
    claims = _registers(rng, unit, point, size) if point.statement == "register" else _periods(rng, unit, point, size)
    mishaps = (_repeat, _revise, _withdraw, _lose, _spoil, _other)
    for _ in range(rng.randint(0, 1 + size // 2)):
        if claims:
            rng.choice(mishaps)(rng, claims, point)
    return claims


def _steps(rng: random.Random, point: Point, size: int) -> list[int]:
    """Instants (or starts) one after the other, with gaps."""
    count = rng.randint(0, 2 + size)
    length = LENGTH_MS.get(point.statement, point.cadence_ms)
    at = point.begins
    if point.statement != "register":
        at += (point.anchor - at) % length
    elif rng.random() < 0.6:
        at += rng.choice([0, MINUTE, QUARTER_MS, 3 * HOUR_MS])
    found = []
    for _ in range(count):
        found.append(at)
        at += length * (rng.choice([2, 3, 9, 30]) if rng.random() < 0.12 else 1)
        if point.statement == "register" and rng.random() < 0.15:
            at += rng.choice([1, MINUTE, 22 * MINUTE])
    return found


def _registers(rng: random.Random, unit: int, point: Point, size: int) -> list[Claim]:
    register = rng.choice([0, 990, 998, 500]) * 10**6
    load = rng.choice([0.0, 0.1, 0.5, 0.97, 1.0])
    dial = 10 ** (point.digits or 6) * 10**6
    claims, before = [], None
    for at in _steps(rng, point, size):
        if before is not None:
            register += int(point.rated * (at - before) / HOUR_MS * load * rng.choice([1, 1, 0.3])) // point.multiplier
            if rng.random() < 0.05:
                register -= rng.choice([1, 300]) * 10**6
        before = at
        claims.append(Claim(unit, point.name, "register", at, register % dial, point.unit_of_measure))
    return claims


def _periods(rng: random.Random, unit: int, point: Point, size: int) -> list[Claim]:
    length = LENGTH_MS[point.statement]
    most = point.rated * length // HOUR_MS
    return [
        Claim(unit, point.name, point.statement, at, int(most * rng.choice([0, 0.3, 0.9, 1, 1.5])), point.unit_of_measure)
        for at in _steps(rng, point, size)
    ]


def _repeat(rng: random.Random, claims: list[Claim], point: Point) -> None:
    del point
    claims.append(Claim(**vars(rng.choice(claims))))


def _revise(rng: random.Random, claims: list[Claim], point: Point) -> None:
    new = Claim(**vars(rng.choice(claims)))
    new.rank = rng.choice(list(RANKS.values()))
    new.revision = rng.choice([0, 1, 2])
    new.sent_at = rng.choice([NEVER, new.at, new.at + MINUTE])
    new.value = max(0, new.value + rng.choice([-5, 0, 3, 40]) * 10**5)
    if point.statement == "register":
        new.value %= 10 ** (point.digits or 6) * 10**6
    claims.append(new)


def _withdraw(rng: random.Random, claims: list[Claim], point: Point) -> None:
    del point
    new = Claim(**vars(rng.choice([claims[-1], *claims])))
    new.flags, new.value = WITHDRAWN, 0
    new.revision += rng.choice([0, 0, 1])
    claims.append(new)


def _lose(rng: random.Random, claims: list[Claim], point: Point) -> None:
    del point
    claims.remove(rng.choice(claims))


def _spoil(rng: random.Random, claims: list[Claim], point: Point) -> None:
    new = Claim(**vars(rng.choice(claims)))
    match rng.randrange(7):
        case 0:
            new.point = "nobody"
        case 1:
            new.statement = "P1M"
        case 2:
            new.unit_of_measure = "MJ"
        case 3:
            new.value = -1
        case 4:
            new.at += 1
        case 5:
            new.at = point.begins - HOUR_MS
        case _:
            new.sent_at = new.at + 24 * HOUR_MS
    claims.append(new)


def _other(rng: random.Random, claims: list[Claim], point: Point) -> None:
    if point.others:
        at = window_start("day", rng.choice(claims).at)
        at = at if at >= point.begins else window_end("day", at)
        claims.append(Claim(claims[0].unit, point.name, point.others[0], at, rng.randrange(10**8), point.unit_of_measure))


def _order(rng: random.Random, claims: list[Claim]) -> list[Claim]:
    """By instant, some of them late."""
    lateness = rng.choice([0.0, 0.05, 0.3, 1.0])
    keyed = [
        ((claim.at + (rng.choice([20 * MINUTE, 3 * HOUR_MS, 40 * HOUR_MS]) if rng.random() < lateness else 0)), rng.random(), claim)
        for claim in claims
    ]
    return [claim for _, _, claim in sorted(keyed, key=lambda item: item[:2])]


# Packing into sections and records.


def _pack(rng: random.Random, world: World, claims: list[Claim], start: int) -> None:
    offsets = dict.fromkeys(range(PARTITIONS), 0)

    def put(partition: int, body: object) -> None:
        world.log.append((partition, offsets[partition], Record("law", 1, offsets[partition], body)))  # type: ignore[arg-type]
        offsets[partition] += 1

    for partition in range(PARTITIONS):
        put(partition, ApplyConfiguration(1))
    now = start
    density = rng.choice([0.1, 0.4, 0.8])
    ended: set[int] = set()
    while claims:
        count = rng.choice([1, 2, 5, 12])
        taken, claims = claims[:count], claims[count:]
        now = max(now, *(claim.at for claim in taken)) if rng.random() < 0.8 else now
        parts: dict[int, list[Section | Unreadable]] = {}
        for number, unit in enumerate(world.units):
            mine = [claim for claim in taken if claim.unit == number]
            if mine:
                history = unit.history and number not in ended
                ticks = _ticks(rng, mine, now, density) if history or rng.random() < 0.05 else ()
                parts.setdefault(partition_of(unit.code, PARTITIONS), []).append(_section(rng, unit, mine, now, ticks))
        for partition, sections in parts.items():
            put(partition, tuple(sections))
        for partition in range(PARTITIONS):
            if rng.random() < density:
                put(partition, Tick(_tick(rng, taken, now)))
        for number, unit in enumerate(world.units):
            if rng.random() < 0.03:
                put(partition_of(unit.code, PARTITIONS), HistoryEnds(unit.code))
                ended.add(number)
    last = now + rng.choice([0, QUARTER_MS, 30 * HOUR_MS])
    for number, unit in enumerate(world.units):
        if unit.history and number not in ended:
            put(partition_of(unit.code, PARTITIONS), (_section(rng, unit, [], now, ((0, window_end("hour", last)),)),))
    for partition in range(PARTITIONS):
        put(partition, Tick(window_end("hour", last)))


def _ticks(rng: random.Random, mine: list[Claim], now: int, density: float) -> tuple[tuple[int, int], ...]:
    return tuple((position, _tick(rng, mine, now)) for position in range(len(mine) + 1) if rng.random() < density / 2)


def _tick(rng: random.Random, near: list[Claim], now: int) -> int:
    at = rng.choice([now, rng.choice(near).at])
    match rng.randrange(6):
        case 0:
            return at
        case 1:
            return at - at % QUARTER_MS + QUARTER_MS
        case 2:
            return at - at % HOUR_MS + HOUR_MS
        case 3:
            return window_end("day", window_start("day", at))
        case 4:
            return at - rng.choice([MINUTE, 3 * HOUR_MS])
        case _:
            return at + rng.choice([1, MINUTE, 5 * HOUR_MS])


def _section(rng: random.Random, unit: Unit, mine: list[Claim], now: int, ticks: tuple[tuple[int, int], ...]) -> Section:
    names = tuple(dict.fromkeys(claim.point for claim in mine)) or ("-",)
    measures = tuple(dict.fromkeys(claim.unit_of_measure for claim in mine)) or ("kWh",)

    def column(values: list[int]) -> object:
        if values and len(set(values)) == 1 and rng.random() < 0.7:
            return values[0]
        return np.array(values, np.int64)

    refused = (Refused(0, "malformed", "{}"),) if rng.random() < 0.1 else ()
    return Section(
        unit=unit.code, received_at=now + rng.choice([0, 5_000, MINUTE]), names=names,
        point=column([names.index(claim.point) for claim in mine]),  # type: ignore[arg-type]
        at=np.array([claim.at for claim in mine], np.int64), value=np.array([claim.value for claim in mine], np.int64),
        statement=column([STATEMENTS.index(claim.statement) for claim in mine]),  # type: ignore[arg-type]
        units_of_measure=measures, unit_of_measure=column([measures.index(claim.unit_of_measure) for claim in mine]),  # type: ignore[arg-type]
        rank=column([claim.rank for claim in mine]), revision=column([claim.revision for claim in mine]),  # type: ignore[arg-type]
        sent_at=column([claim.sent_at for claim in mine]), flags=column([claim.flags for claim in mine]),  # type: ignore[arg-type]
        ticks=ticks, refused=refused,
    )
