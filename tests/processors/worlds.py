"""Drawn worlds and logs for the laws: units with odd meters, readings with every defect, ticks.

A world is a function of (seed, size), so that a failing one is named by two numbers. The two are
drawn by hypothesis, which looks for the least size and seed that still fail.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

import numpy as np
from hypothesis import strategies as st

from schemas.calendar import (
    BUSINESS,
    HOUR_MS,
    QUARTER_MS,
    instant,
    moment,
    window_end,
    window_start,
)
from schemas.factor_entry import Entry as Factor
from schemas.factors import default_pack
from schemas.law import LawInForce
from schemas.pack_limits import Limit, Parameter
from schemas.pack_reading import our_packs
from schemas.registry import (
    LENGTH_MS,
    STATEMENTS,
    UNIT_OF_MEASURE,
    Configuration,
    FactorsInForce,
    Industry,
    Point,
    Region,
    Registry,
    Unit,
)
from schemas.section import (
    NEVER,
    RANKS,
    WITHDRAWN,
    ApplyConfiguration,
    Body,
    Column,
    HistoryEnds,
    Record,
    Refused,
    Restated,
    Section,
    Tick,
    Unreadable,
    partition_of,
)

PARTITIONS = 2
MINUTE = 60_000
DAY_MS = 24 * HOUR_MS

CODES = ("91510100LAW0000000", "91510100LAW0000004", "91510100LAW0000001", "91510100LAW0000005")
"""By turns of one partition and the other."""
STRANGER = "91510100NOBODY0001"
"""A unit that no configuration names."""
STARTS = ("2026-01-30T20:00", "2025-12-31T21:00", "2026-03-10T22:30", "2026-02-28T15:00")
"""On the business calendar: before the end of a month, a year, a day, and another month."""

BEGIN = instant(datetime(2026, 3, 10, tzinfo=BUSINESS))
"""A business midnight, for worlds made by hand."""

Entry = tuple[int, int, Record]


@dataclass(frozen=True)
class World:
    """Configurations and a log in which they are applied."""

    configurations: dict[int, Configuration]
    log: tuple[Entry, ...]

    @property
    def units(self) -> list[Unit]:
        """Every unit of every configuration, once."""
        named = {
            unit.code: unit for one in self.configurations.values() for unit in one.registry.units
        }
        return list(named.values())

    def registered(self) -> dict[str, int]:
        """Of each unit the configuration that registers it: the first that is applied."""
        found: dict[str, int] = {}
        for _, _, record in self.log:
            if isinstance(record.body, ApplyConfiguration):
                version = record.body.version
                for unit in self.configurations[version].registry.units:
                    found.setdefault(unit.code, version)
        return found

    def __repr__(self) -> str:
        """Short: hypothesis prints the call that drew it."""
        return f"<World: {len(self.configurations)} configurations, {len(self.log)} records>"


@dataclass(frozen=True)
class Said:
    """A reading before it is packed."""

    unit: str
    point: str
    statement: str
    at: int
    value: int
    unit_of_measure: str = "kWh"
    rank: int = RANKS["measured"]
    revision: int = 0
    sent_at: int = NEVER
    flags: int = 0
    delay: int = 0
    """How long after its end it comes, at least."""

    @property
    def end(self) -> int:
        """When it can be said."""
        return end_of(self.statement, self.at)


def end_of(statement: str, at: int) -> int:
    """End of what a reading speaks of."""
    if statement == "P1M":
        return window_end("month", window_start("month", at))
    return at + LENGTH_MS.get(statement, 0)


def start_of(point: Point, statement: str, at: int) -> int:
    """Start of the period of a statement that holds an instant."""
    if statement == "P1M":
        return window_start("month", at)
    return at - (at - point.anchor_of(statement)) % LENGTH_MS[statement]  # type: ignore[arg-type]


def worlds(largest: int = 10) -> st.SearchStrategy[World]:
    """Worlds of up to this size.

    24 bits: of a wider range hypothesis draws mostly small numbers, the same ones again and again.
    """
    return st.builds(draw, seed=st.integers(0, 2**24 - 1), size=st.integers(2, largest))


plans = st.integers(0, 2**24 - 1).map(random.Random)
"""How a log falls into steps, what happens between them, and what else a law leaves to chance."""


def draw(seed: int, size: int) -> World:
    """The world of a seed; `size` bounds how much happens in it."""
    rng = random.Random(seed)
    start = instant(datetime.fromisoformat(rng.choice(STARTS)).replace(tzinfo=BUSINESS))
    first = rng.choice([1, 1, 2])
    count = first + (rng.random() < 0.35)
    codes = [*rng.sample(CODES[:2], first), CODES[2 + rng.randrange(2)]]
    units = [
        with_co2(random.Random(f"{seed} {code}"), draw_unit(rng, code, start, size))
        for code in codes[:count]
    ]
    law = draw_law(rng, "drawn", start) if rng.random() < 0.8 else None
    configurations = {1: configuration(1, units[:first]).model_copy(update={"law": law})}
    if count > first:
        known = units[: rng.choice([0, first])]
        configurations[2] = configuration(2, [*known, *units[first:]])
    said = [
        reading
        for unit in units
        for point in unit.points
        for reading in draw_readings(rng, unit.code, point, size)
    ]
    revisions = draw_revisions(rng, configurations, start)
    packing = Packing(rng, configurations | revisions, start, list(revisions))
    return World(configurations | revisions, tuple(packing.log(in_order(rng, said))))


def configuration(version: int, units: Sequence[Unit]) -> Configuration:
    """One configuration with these units."""
    registry = Registry(
        regions=(Region(code="510100", name="Chengdu"),),
        industries=(Industry(code="31", name="steel"),),
        units=tuple(units),
    )
    return Configuration(version=version, author="law", reason="drawn", registry=registry)


def point(**told: object) -> Point:
    """A register point of an hour's cadence that may use 100 kWh an hour, but for what is told."""
    usual: dict[str, object] = {
        "name": "P0",
        "quantity": "electricity",
        "unit_of_measure": UNIT_OF_MEASURE[str(told.get("quantity", "electricity"))],
        "statement": "register",
        "digits": 3,
        "rated_per_hour": "100",
        "cadence_ms": HOUR_MS,
        "valid_from": moment(BEGIN),
    }
    return Point.model_validate(usual | told)


def unit(*points: Point, **told: object) -> Unit:
    """A unit in history with these points, but for what is told."""
    usual: dict[str, object] = {
        "code": CODES[0],
        "name": "unit",
        "region": "510100",
        "industry": "31",
        "history": True,
        "points": points,
    }
    return Unit.model_validate(usual | told)


# Units.


def draw_unit(rng: random.Random, code: str, start: int, size: int) -> Unit:
    """A unit with a few points, most with a quota that can be reached."""
    count = rng.choice([1, 2, 2, 3]) if size > 3 else rng.choice([1, 2])
    points = tuple(draw_point(rng, f"P{i}", start) for i in range(count))
    lines: list[dict[str, object]] = []
    if rng.random() < LINED:
        points, lines = draw_boundaries(rng, points, start)
    year = 2025 if rng.random() < 0.1 else 2026
    amounts = ["0.000001", "0.01", "0.03", "0.05", "0.2", "0.2", "1"]
    quota = "0" if rng.random() < 0.03 else rng.choice(amounts)
    quotas = [{"year": year, "energy_tce": quota, "source": "drawn", "status": "example"}]
    openings = [
        {"year": year, "quantity": quantity, "low": low, "best": "0.002", "high": "0.002"}
        | {"evidence": "drawn"}
        for year in (2025, 2026)
        for quantity, low in (("energy", "0.001"), ("electricity", "0.0015"), ("co2", "0"))
        if rng.random() < 0.7
    ]
    return Unit.model_validate(
        {
            "code": code,
            "name": f"unit {code[-1]}",
            "budgets": [draw_budget(rng, year)] if rng.random() < 0.5 else [],
            "region": "510100",
            "industry": "31",
            "history": rng.random() < 0.6,
            "horizon_days": rng.choice([1, 3, 40]),
            "points": [point.model_dump() for point in points],
            "lines": lines,
            "quotas": [] if rng.random() < 0.1 else quotas,
            "openings": openings,
        }
    )


def draw_budget(rng: random.Random, year: int) -> dict[str, object]:
    """A CO2 budget that can be reached, sometimes by a view that the unit is not converted by."""
    view = "provincial average, Sichuan" if rng.random() < 0.9 else "national average"
    amount = rng.choice(["0", "0.000001", "0.01", "0.03", "0.1", "0.3", "1"])
    return {"year": year, "co2_t": amount, "view": view, "source": "drawn"}


PROCESSES: tuple[dict[str, object], ...] = (
    {"factor": "process.lime.lime"},
    {"factor": "process.steel.crude_steel"},
    {"factor": "process.cement.cao", "times": "0.6512", "evidence": "drawn"},
    {"factor": "process.aluminium.cf4", "gwp": "process.aluminium.gwp_cf4.ar5"},
)
"""Of one value, deducted, a share of one, and a product of two."""


def with_co2(rng: random.Random, entry: Unit) -> Unit:
    """The unit with heat, materials, own generation, process emissions and heat values here and there."""
    points = [dict(point.model_dump()) for point in entry.points]
    for told in points:
        other = {"raw_coal": "heat", "output": "material"}.get(str(told["quantity"]))
        if other is not None and not told["lines"] and rng.random() < 0.3:
            told |= {"quantity": other, "unit_of_measure": UNIT_OF_MEASURE[other]}
        if told["quantity"] in {"electricity", "heat"}:
            told["self_generated"] = told["sign"] != -1 and rng.random() < 0.2
        if told["quantity"] == "material" or (told["quantity"] == "output" and rng.random() < 0.4):
            told["process"] = rng.sample(PROCESSES, rng.choice([1, 1, 2]))
    return with_heat_values(rng, revised(entry, points=points))


def with_heat_values(rng: random.Random, entry: Unit) -> Unit:
    """The unit with other heat values of its coal, where it burns any."""
    years = {"valid_from": date(rng.choice([2024, 2026]), 1, 1)}
    drawn = [
        {"by": by, "gj_per_t": heat, "valid_to": rng.choice([None, date(2027, 1, 1)])} | years
        for by, heat in (("measured", rng.choice(["20.934", "17.0571"])), ("supplier", "25.2"))
        if rng.random() < 0.4
    ]
    common = {
        "carrier": "raw_coal",
        "source": "drawn",
        "status": rng.choice(["sourced", "unverified"]),
    }
    burns = any(point.quantity == "raw_coal" for point in entry.points)
    return revised(entry, heat_values=[common | one for one in drawn] if burns else [])


def other_heat_values(rng: random.Random, entry: Unit, start: int) -> Unit:
    """Another heat value, for the past as well."""
    del start
    return with_heat_values(rng, entry)


BOUNDED = {
    "PT15M": ("PT1H", "PT1H", "PT1H", "PT30M", "P1D"),
    "PT30M": ("PT1H", "P1D"),
    "PT1H": ("P1D",),
    "P1D": ("P1M",),
}
"""Statements whose totals may bound another's unknown time."""


LINED = 0.5
"""Share of the units that have product lines, or points that do not count once."""


def draw_boundaries(
    rng: random.Random, points: tuple[Point, ...], start: int
) -> tuple[tuple[Point, ...], list[dict[str, object]]]:
    """The points with signs and memberships, and the lines: none, one or two."""
    names = [f"l{i}" for i in range(rng.choice([0, 1, 1, 2]))]
    for wanted in (("electricity", "raw_coal"), ("output",)) if names else ():
        if not any(point.quantity in wanted for point in points):
            points = (*points, draw_point(rng, f"P{len(points)}", start, rng.choice(wanted)))
    signs = [rng.choice([1, 1, 0, -1]) for _ in points]
    if not any(signs):
        signs[0] = 1
    drawn = [
        {name: rng.choice([1, 1, 1, -1]) for name in names if rng.random() < 0.7} for _ in points
    ]
    for name in names:
        for is_output in (True, False):
            mine = [i for i, p in enumerate(points) if (p.quantity == "output") is is_output]
            if not any(name in drawn[i] for i in mine):
                drawn[rng.choice(mine)][name] = 1
    boundaries = zip(points, signs, drawn, strict=True)
    counted = tuple(
        Point.model_validate(point.model_dump() | {"sign": sign, "lines": lines})
        for point, sign, lines in boundaries
    )
    begun = {"valid_from": moment(start + HOUR_MS).isoformat()} if rng.random() < 0.5 else {}
    declared = {"parameters": {"drawn": rng.choice(["3", "40"])}} if rng.random() < 0.5 else {}
    return counted, [
        {"id": name, "name": f"line {name}", "indicators": rng.sample(INDICATORS, 2)}
        | begun
        | declared
        | {"openings": draw_openings(rng, [p for p in counted if name in dict(p.lines)])}
        for name in names
    ]


def draw_openings(rng: random.Random, points: list[Point]) -> list[dict[str, object]]:
    """What the line's points took in or made before, of each side whole or not at all."""
    quantities = sorted({point.quantity for point in points} - {"material"})
    ends = {"low": "0.5", "best": "2", "high": rng.choice(["2", "40"])}
    return [
        {"year": year, "quantity": quantity, "evidence": "drawn"} | ends
        for year in (2025, 2026)
        for is_output in (True, False)
        if rng.random() < 0.4
        for quantity in quantities
        if (quantity == "output") is is_output
    ]


INDICATORS = ("drawn.plain", "drawn.power", "drawn.oil", "drawn.dated")


def draw_law(rng: random.Random, version: str, start: int) -> LawInForce:
    """Limits near what drawn lines use; one of them changes while the world goes on, and is stricter in the city."""
    day = moment(start + rng.choice([-40, 0, 1]) * DAY_MS).astimezone(BUSINESS).date()
    equivalent, oil = "electricity.energy.equivalent", "electricity.energy.gb30251"
    rows: list[dict[str, object]] = [
        {"indicator": "drawn.plain", "unit": "kgce/t", "electricity": equivalent},
        {"indicator": "drawn.power", "unit": "kWh/t"},
        {"indicator": "drawn.oil", "unit": "kgoe/t", "electricity": oil},
        {"indicator": "drawn.dated", "unit": "kgce/t", "electricity": equivalent, "valid_to": day},
        {
            "indicator": "drawn.dated",
            "unit": "kgce/t",
            "electricity": equivalent,
            "valid_from": day,
        },
        {
            "indicator": "drawn.dated",
            "unit": "kgce/t",
            "electricity": equivalent,
            "region": "510100",
        },
    ]
    correction = {"kind": "per point", "parameter": "drawn", "per_point": ["0.01"]}
    common = {"product": "drawn", "source": "drawn", "status": "unverified"}
    levels = [["-0.2", "0.05", "0.3"], ["0.1", "-", "1"], ["0.5", "2", "?"], ["-", "-", "0.000001"]]
    limits = [
        Limit.model_validate(
            {"valid_from": date(2020, 1, 1), "net_recovery": True, "levels": rng.choice(levels)}
            | common
            | row
            | {"id": f"drawn.{number}"}
            | ({"corrections": [correction]} if rng.random() < 0.5 else {})
        )
        for number, row in enumerate(rows)
    ]
    drawn = {"id": "drawn", "meaning": "drawn", "unit": "%", "usual": "10"}
    bounds = {"least": "0", "greatest": "100"}
    ours = LawInForce.of(our_packs())
    return LawInForce(
        version=version,
        limits=tuple(limits),
        parameters=(Parameter.model_validate(drawn | bounds),),
        coefficients=ours.coefficients,
        constants=ours.constants,
    )


def draw_point(rng: random.Random, name: str, start: int, quantity: str = "") -> Point:
    """A point that says registers, or amounts of periods on any grid."""
    drawn = rng.choice(["electricity", "electricity", "electricity", "raw_coal", "output"])
    quantity = quantity or drawn
    statement = rng.choice(["register"] * 5 + ["PT15M"] * 4 + ["PT1H", "PT30M", "P1D"])
    if rng.random() < 0.02:
        statement = "P1M"
    begins = start + rng.choice([0, 0, 0, 7 * MINUTE, HOUR_MS, 2 * HOUR_MS + 1])
    if statement == "P1M":
        begins = window_end("month", window_start("month", start)) - rng.choice([0, HOUR_MS])
    told: dict[str, object] = {
        "name": name,
        "quantity": quantity,
        "unit_of_measure": UNIT_OF_MEASURE[quantity],
        "statement": statement,
        "rated_per_hour": rng.choice(["100", "37.123457", "400.000001", "1000"]),
        "cadence_ms": LENGTH_MS.get(statement) or rng.choice([QUARTER_MS, 7 * MINUTE, 6_000_000]),
        "valid_from": moment(begins),
    }
    if rng.random() < 0.3:
        told["profiles"] = draw_profiles(rng, start)
    if rng.random() < 0.1 and statement != "P1M":
        told["valid_to"] = moment(begins + rng.choice([3 * HOUR_MS + 5 * MINUTE, 9 * HOUR_MS]))
    if statement == "register":
        told |= {"digits": rng.choice([3, 3, 3, 6]), "multiplier": rng.choice([1, 1, 2, 40])}
        if rng.random() < 0.2:
            told["others"] = (rng.choice(["P1D", "PT1H"]),)
    elif statement in {"PT15M", "PT30M", "PT1H"} and rng.random() < 0.5:
        told["anchor_ms"] = rng.choice([7 * MINUTE, 1, 11 * MINUTE + 3])
    elif statement in BOUNDED and rng.random() < 0.8:
        told["bounded_by"] = rng.choice(BOUNDED[statement])
        told["others"] = (told["bounded_by"],)
    return Point.model_validate(told)


def draw_profiles(rng: random.Random, start: int) -> list[dict[str, object]]:
    """What a point is thought to use: from long ago, or the days at hand, and otherwise from one of them on."""
    days = sorted({rng.choice([-400, -9, 0, 1, 2]), rng.choice([-2, 0, 1, 40])})
    return [
        {
            "from_day": moment(start + day * DAY_MS + 8 * HOUR_MS).date(),
            "workdays": [rng.choice([0, 7, 50, 99, 100]) for _ in range(24)],
            "weekends": rng.choice([None, [rng.choice([0, 33, 100])] * 24]),
        }
        for day in days
    ]


# Entries that change.


def draw_revisions(
    rng: random.Random, configurations: dict[int, Configuration], start: int
) -> dict[int, Configuration]:
    """Later versions of some unit's entry, in every second world; the first may take a point away, to be told of later."""
    if rng.random() < 0.5:
        return {}
    code = rng.choice(configurations[1].registry.units).code
    found: dict[int, Configuration] = {}
    entry = next(u for u in configurations[1].registry.units if u.code == code)
    shorter = entry.points[:-1]
    if any(point.sign for point in shorter) and not entry.lines and rng.random() < 0.4:
        burns = any(point.quantity == "raw_coal" for point in shorter)
        heats = entry.heat_values if burns else ()
        whole, entry = entry, revised(entry, points=shorter, heat_values=heats)
        for version, one in configurations.items():
            units = [entry if u.code == code else u for u in one.registry.units]
            changed = configuration(version, units).model_copy(update={"law": one.law})
            configurations[version] = changed
        found[3] = configuration(3, [whole])
        entry = whole
    kinds = (
        *(other_limits, corrected_meter, exchanged_meter, exchanged_meter, other_validity),
        *(other_boundary, other_heat_values),
    )
    for version in range(4, 4 + rng.choice([1, 1, 2, 3])):
        if rng.random() < 0.25:
            found[version] = other_factors(rng, version, [entry] if rng.random() < 0.3 else [])
            continue
        if rng.random() < 0.07:
            other = draw_law(rng, f"drawn {version}", start)
            found[version] = configuration(version, []).model_copy(update={"law": other})
            continue
        entry = rng.choice(kinds)(rng, entry, start)
        found[version] = configuration(version, [entry])
    return found


def other_factors(rng: random.Random, version: int, units: Sequence[Unit]) -> Configuration:
    """Electricity or a process by another figure, of all years that are drawn."""
    target = rng.choice(["energy", "co2"])
    lime = {"quantity": "process", "target": "co2", "unit": "tCO2/t", "view": "lime, lime"}
    told = {
        "id": f"drawn.{version}",
        "quantity": "electricity",
        "target": target,
        "view": "drawn",
        "year": 2000 if target == "energy" else 2024,  # a window never spans two factors
        "unit": "kgce/kWh",
        "value": rng.choice(["0.2", "0.30001"]),
        "source": "drawn",
        "status": "unverified",
    }
    if rng.random() < 0.3:
        told |= lime | {"id": "process.lime.lime", "year": 2011}
    entry = Factor.model_validate(told)
    kept = [
        e
        for e in default_pack().entries
        if (e.quantity, e.target, e.year) != (entry.quantity, entry.target, entry.year)
        or (e.quantity == "process" and e.view != entry.view)
    ]
    factors = FactorsInForce(version=f"drawn {version}", entries=(*kept, entry))
    return configuration(version, units).model_copy(update={"factors": factors})


def revised(entry: Unit, **told: object) -> Unit:
    """The entry with something else in it, checked."""
    return Unit.model_validate(entry.model_dump() | told)


def with_point(entry: Unit, number: int, **told: object) -> Unit:
    """The entry with one point corrected."""
    points = [point.model_dump() for point in entry.points]
    points[number] |= told
    return revised(entry, points=points)


def other_limits(rng: random.Random, entry: Unit, start: int) -> Unit:
    """Another quota or budget, or another opening balance."""
    del start
    if rng.random() < 0.3:
        lines = [line.model_dump() | {"openings": ()} for line in entry.lines]
        return revised(entry, openings=(), lines=lines, name="renamed")
    if rng.random() < 0.2:
        return revised(entry, horizon_days=rng.choice([1, 3, 40, 400]))
    if rng.random() < 0.3:
        budget = draw_budget(rng, rng.choice([2025, 2026, 2026]))
        return revised(entry, budgets=[] if rng.random() < 0.2 else [budget])
    amount = rng.choice(["0.00001", "0.02", "5"])
    quota = {"year": rng.choice([2025, 2026, 2026]), "energy_tce": amount, "source": "revised"}
    return revised(entry, quotas=[quota])


def corrected_meter(rng: random.Random, entry: Unit, start: int) -> Unit:
    """Another multiplier, dial, rated maximum or profile, from the beginning."""
    number = rng.randrange(len(entry.points))
    told: dict[str, object] = {"rated_per_hour": rng.choice(["50", "250", "2000"])}
    if rng.random() < 0.3:
        told = {"profiles": draw_profiles(rng, start)}
    if entry.points[number].digits is not None:
        told = rng.choice([told, {"multiplier": rng.choice([1, 3, 30])}, {"digits": 4}])
    return with_point(entry, number, **told)


def exchanged_meter(rng: random.Random, entry: Unit, start: int) -> Unit:
    """One meter ends and another begins under its name, with the registers of both, one or none."""
    number = rng.randrange(len(entry.points))
    before = entry.points[number]
    if any(p.name == before.name and p.begins > before.begins for p in entry.points):
        return corrected_meter(rng, entry, start)
    cadence = LENGTH_MS.get(before.statement) or before.cadence_ms
    on_a_reading = before.begins + rng.choice([1, 2, 3, 5]) * cadence
    at = max(before.begins + 1, start + rng.choice([HOUR_MS, 3 * HOUR_MS, 9 * HOUR_MS + 1]))
    at = rng.choice([at, on_a_reading])
    if before.ends is not None and before.ends <= at:
        return other_limits(rng, entry, start)
    told = before.model_dump() | {"valid_from": moment(at), "opening": None, "closing": None}
    ended: dict[str, object] = {"valid_to": moment(at)}
    if before.digits is not None:
        told |= {"digits": rng.choice([3, 6]), "multiplier": rng.choice([1, 20])}
        told |= {"opening": rng.choice([None, "0", "12.5"])}
        ended["closing"] = rng.choice([None, "990", "1.25"])
    changed = with_point(entry, number, **ended)
    return revised(changed, points=[*changed.model_dump()["points"], told])


def other_boundary(rng: random.Random, entry: Unit, start: int) -> Unit:
    """A point that counts otherwise for the unit, or for one of its lines; or a line that began otherwise."""
    number = rng.randrange(len(entry.points))
    point = entry.points[number]
    if entry.lines and rng.random() < 0.3:
        lines = [line.model_dump() | {"valid_from": moment(start)} for line in entry.lines]
        return revised(entry, lines=lines)
    if entry.lines and rng.random() < 0.5:
        turned = {name: -sign for name, sign in point.lines}
        return with_point(entry, number, lines=turned)
    others = [p.sign for i, p in enumerate(entry.points) if i != number]
    sign = rng.choice([1, -1, 0] if any(others) else [1, -1])
    is_own = point.self_generated and sign >= 0
    return with_point(entry, number, sign=sign, self_generated=is_own)


def other_validity(rng: random.Random, entry: Unit, start: int) -> Unit:
    """A point that began earlier, or ended before it was told."""
    number = rng.randrange(len(entry.points))
    point = entry.points[number]
    if sum(p.name == point.name for p in entry.points) > 1:
        return other_limits(rng, entry, start)
    if rng.random() < 0.5:
        return with_point(entry, number, valid_from=moment(point.begins - HOUR_MS))
    end = point.begins + rng.choice([HOUR_MS, 4 * HOUR_MS + 1])
    return with_point(entry, number, valid_to=moment(end))


# Readings.


def draw_readings(rng: random.Random, unit: str, point: Point, size: int) -> list[Said]:
    """What a point says in time, and then a few mishaps of every kind."""
    said = registers if point.statement == "register" else periods
    rank = rng.choice([RANKS["measured"], RANKS["supplier"]])
    readings = [replace(one, rank=rank) for one in said(rng, unit, point, size)]
    mishaps = (repeat, revise, revise, withdraw, retract, lose, spoil, other)
    sums = []
    if readings and point.bounded_by:
        sums = list(totals(rng, readings, point, point.bounded_by))
        for _ in range(rng.randint(0, len(readings) // 3)):
            lose(rng, readings, point)
    for _ in range(rng.randint(0, 1 + size // 2)):
        if readings:
            rng.choice(mishaps)(rng, readings, point)
    return readings + sums


def totals(
    rng: random.Random, readings: list[Said], point: Point, statement: str
) -> Iterator[Said]:
    """Totals of most spans in which something was said: what it comes to and a part of what is missing, mostly."""
    most = point.rated * LENGTH_MS.get(point.statement, 0) // HOUR_MS
    said = {one.at: min(one.value, most) for one in readings}
    length = LENGTH_MS.get(point.statement, 0)
    for start in sorted({start_of(point, statement, at) for at in said}):
        end = end_of(statement, start)
        inside = [at for at in said if start <= at < end]
        missing = point.rated * (end - start - length * len(inside)) // HOUR_MS
        value = sum(said[at] for at in inside) + int(missing * rng.choice([0, 0.3, 0.8, 1]))
        for _ in range(rng.choice([0, 1, 1, 1, 2])):
            yield Said(
                readings[0].unit,
                point.name,
                statement,
                start,
                max(0, value + rng.choice([0, 0, 0, 0, -5, 10**7])),
                point.unit_of_measure,
                rank=rng.choice([5, 5, 4, 3]),
                revision=rng.choice([0, 0, 1]),
                flags=WITHDRAWN if rng.random() < 0.1 else 0,
                delay=rng.choice([0, 0, 2 * HOUR_MS, 40 * HOUR_MS]),
            )


def instants(rng: random.Random, point: Point, size: int) -> Iterator[int]:
    """Instants (of periods: starts) one after the other, with gaps."""
    length = LENGTH_MS.get(point.statement, point.cadence_ms)
    at = point.begins
    if point.statement == "P1M":
        at = window_end("month", window_start("month", at - 1))
    elif point.statement != "register":
        at += (point.anchor - at) % length
    elif rng.random() < 0.6:
        at += rng.choice([0, MINUTE, QUARTER_MS, 3 * HOUR_MS])
    count = rng.randint(1, 3 + size) + (size if point.bounded_by else 0)
    for _ in range(count if point.statement != "P1M" else 2):
        yield at
        if point.statement == "P1M":
            at = end_of("P1M", at)
            continue
        at += length * (rng.choice([2, 3, 9, 30]) if rng.random() < 0.15 else 1)
        if point.statement == "register" and rng.random() < 0.15:
            at += rng.choice([1, MINUTE, 22 * MINUTE])


def registers(rng: random.Random, unit: str, point: Point, size: int) -> list[Said]:
    """A dial that turns with some load, and now and then falls."""
    register = rng.choice([0, 990, 998, 500]) * 10**6
    load = rng.choice([0.0, 0.1, 0.5, 0.97, 1.0])
    readings, before = [], None
    for at in instants(rng, point, size):
        if before is not None:
            most = point.rated * (at - before) / HOUR_MS
            register += int(most * load * rng.choice([1, 1, 0.3])) // point.multiplier
            if rng.random() < 0.1:
                register -= rng.choice([1, 300]) * 10**6
        before = at
        readings.append(
            Said(unit, point.name, "register", at, register % dial(point), point.unit_of_measure)
        )
    return readings


def dial(point: Point) -> int:
    """Where the register begins again."""
    turn: int = 10 ** (point.digits or 6) * 10**6
    return turn


def periods(rng: random.Random, unit: str, point: Point, size: int) -> list[Said]:
    """Amounts of periods, some of them faster than rated."""
    told = (unit, point.name, point.statement)
    return [
        Said(
            *told,
            at,
            int(point.rated * (end_of(point.statement, at) - at) // HOUR_MS * rng.choice(PARTS)),
            point.unit_of_measure,
        )
        for at in instants(rng, point, size)
    ]


PARTS = (0, 0.3, 0.9, 1, 1, 1.5)
"""Of the most that a period can hold."""


def repeat(rng: random.Random, readings: list[Said], point: Point) -> None:
    """Say something again."""
    del point
    readings.append(rng.choice(readings))


def revise(rng: random.Random, readings: list[Said], point: Point) -> None:
    """Say something else of the same: by another rank, revision, time of sending, or none."""
    old = rng.choice([readings[-1], rng.choice(readings)])
    value = max(0, old.value + rng.choice([-20, -5, 0, 3, 40]) * 10**5)
    if point.statement == "register":
        value %= dial(point)
    readings.append(
        replace(
            old,
            rank=rng.choice([old.rank, old.rank, *RANKS.values()]),
            revision=rng.choice([old.revision, old.revision, 0, 1, 2]),
            sent_at=rng.choice([NEVER, old.at, old.at + MINUTE, old.at + 2 * MINUTE]),
            value=value,
            flags=0,
        )
    )


def withdraw(rng: random.Random, readings: list[Said], point: Point) -> None:
    """Take something back, or nothing."""
    del point
    old = rng.choice([readings[-1], rng.choice(readings)])
    revision = old.revision + rng.choice([0, 0, 1])
    readings.append(replace(old, flags=WITHDRAWN, value=0, revision=revision))


def retract(rng: random.Random, readings: list[Said], point: Point) -> None:
    """Say something else of greater rank, and take it back."""
    old = rng.choice(readings)
    rank, delay = min(RANKS["measured"], old.rank + 1), rng.choice([0, 2 * HOUR_MS])
    wrong = replace(old, rank=rank, value=old.value // 2, flags=0, delay=delay)
    readings += [wrong, replace(wrong, flags=WITHDRAWN, value=0)]
    del point


def lose(rng: random.Random, readings: list[Said], point: Point) -> None:
    """Say something not at all."""
    del point
    readings.remove(rng.choice(readings))


def spoil(rng: random.Random, readings: list[Said], point: Point) -> None:
    """Say something that will be rejected."""
    old = rng.choice(readings)
    spoilt = (
        {"point": "nobody"},
        {"statement": "P1M" if old.statement != "P1M" else "P1D"},
        {"unit_of_measure": "MJ"},
        {"value": -1, "flags": 0},
        {"value": 10**13, "flags": 0},
        {"at": old.at + 1},
        {"at": point.begins - HOUR_MS},
        {"sent_at": old.end + 24 * HOUR_MS},
    )
    readings.append(replace(old, **rng.choice(spoilt)))  # type: ignore[arg-type]


def other(rng: random.Random, readings: list[Said], point: Point) -> None:
    """Say an amount by another statement of a register point."""
    if point.others:
        at = start_of(point, point.others[0], rng.choice(readings).at)
        readings.append(
            Said(
                readings[0].unit,
                point.name,
                point.others[0],
                at,
                rng.randrange(10**8),
                point.unit_of_measure,
            )
        )


def in_order(rng: random.Random, readings: list[Said]) -> list[Said]:
    """In the order in which they come: by their ends, some of them late."""
    lateness = rng.choice([0.0, 0.05, 0.3, 1.0])
    as_said = rng.random() < 0.5

    def arrival(reading: Said) -> tuple[int, float]:
        late = rng.choice([20 * MINUTE, 3 * HOUR_MS, 40 * HOUR_MS])
        moment = reading.end + max(reading.delay, late if rng.random() < lateness else 0)
        return moment, 0 if as_said else rng.random()

    return sorted(readings, key=arrival)


# Packing into sections and records.


@dataclass
class Packing:
    """Puts readings into records of partitions, and ticks and control records between them."""

    rng: random.Random
    configurations: dict[int, Configuration]
    start: int
    revisions: list[int] = field(default_factory=list)
    """Versions to apply, in order, at any time."""
    restatable: list[tuple[str, int]] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    offsets: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    history: set[str] = field(default_factory=set)
    """Registered units that are in history."""

    def log(self, readings: list[Said]) -> list[Entry]:
        """The whole log; it ends with a full hour for everyone."""
        self.apply(1)
        density = self.rng.choice([0.1, 0.4, 0.8])
        late = self.rng.choice([0, 1, 2, 4])
        now = self.start
        for number, batch in enumerate(self.batches(readings)):
            if number == late and 2 in self.configurations:
                self.apply(2)
            now = max(now, *(said.end for said in batch)) if self.rng.random() < 0.9 else now
            self.gather(batch, now, density)
            self.control()
            if self.rng.random() < 0.25:
                self.revise()
        if 2 in self.configurations:
            self.apply(2)
        for _ in self.revisions * 2:
            self.revise()
        self.close(now + self.rng.choice([0, QUARTER_MS, 30 * HOUR_MS]))
        return self.entries

    def batches(self, readings: list[Said]) -> Iterator[list[Said]]:
        """What comes between two moments in which ticks are possible."""
        while readings:
            count = self.rng.choice([1, 2, 5, 12])
            yield readings[:count]
            readings = readings[count:]

    def put(self, partition: int, body: Body) -> None:
        """One record."""
        offset = self.offsets[partition]
        self.entries.append((partition, offset, Record("law", 1, offset, body)))
        self.offsets[partition] += 1

    def apply(self, version: int) -> None:
        """Apply a configuration in every partition."""
        known = {unit.code for unit in self.registered()}
        for partition in range(PARTITIONS):
            self.put(partition, ApplyConfiguration(version))
        for unit in self.configurations[version].registry.units:
            if unit.history and unit.code not in known:
                self.history.add(unit.code)

    def revise(self) -> None:
        """Apply the next version, or restate a unit: in time, too early, twice, or for nothing."""
        if self.revisions and self.rng.random() < 0.6:
            version = self.revisions.pop(0)
            self.apply(version)
            named = self.configurations[version]
            units = list(self.registered()) if named.factors else named.registry.units
            self.restatable += [(unit.code, version) for unit in units]
        elif self.restatable:
            unit, version = self.rng.choice(self.restatable[-3:])
            version = self.rng.choice([version, version, version, 0, 1])
            self.put(partition_of(unit, PARTITIONS), Restated(unit, version))

    def registered(self) -> Iterator[Unit]:
        """The units of the configurations applied so far."""
        for _, _, record in self.entries:
            if isinstance(record.body, ApplyConfiguration):
                yield from self.configurations[record.body.version].registry.units

    def gather(self, batch: list[Said], now: int, density: float) -> None:
        """The batch as one record a partition, and perhaps a tick of each partition."""
        by_partition: dict[int, list[Section | Unreadable]] = defaultdict(list)
        for unit in dict.fromkeys(said.unit for said in batch):
            mine = [said for said in batch if said.unit == unit]
            own = partition_of(unit, PARTITIONS)
            partition = own if self.rng.random() < 0.98 else 1 - own
            ticks = self.ticks(mine, now, density, stray=unit not in self.history)
            by_partition[partition].append(self.section(unit, mine, now, ticks))
        if self.rng.random() < 0.05:
            by_partition[self.rng.randrange(PARTITIONS)].append(self.oddity(batch, now))
        for partition, parts in by_partition.items():
            self.put(partition, tuple(parts))
        for partition in range(PARTITIONS):
            if self.rng.random() < density:
                self.put(partition, Tick(self.tick(batch, now)))

    def oddity(self, batch: list[Said], now: int) -> Section | Unreadable:
        """What cannot be read, or is of nobody."""
        if self.rng.random() < 0.5:
            unit = self.rng.choice([batch[0].unit, STRANGER])
            return Unreadable(unit, now, "no JSON", b"\xff", 1, "")
        stranger = [replace(said, unit=STRANGER) for said in batch]
        return self.section(STRANGER, stranger, now, ((0, now),))

    def control(self) -> None:
        """Now and then a control record."""
        for unit in sorted(self.history):
            if self.rng.random() < 0.04:
                self.end_history(unit)
        if self.rng.random() < 0.02:
            self.put(self.rng.randrange(PARTITIONS), ApplyConfiguration(1))
        if self.rng.random() < 0.02:
            self.put(
                self.rng.randrange(PARTITIONS), HistoryEnds(self.rng.choice([STRANGER, CODES[0]]))
            )

    def end_history(self, unit: str) -> None:
        """From here on the unit is live."""
        self.put(partition_of(unit, PARTITIONS), HistoryEnds(unit))
        self.history.discard(unit)

    def close(self, last: int) -> None:
        """A full hour for every unit."""
        at = window_end("hour", window_start("hour", last))
        for unit in sorted(self.history):
            section = self.section(unit, [], last, ((0, at),))
            self.put(partition_of(unit, PARTITIONS), (section,))
        for partition in range(PARTITIONS):
            self.put(partition, Tick(at))

    def ticks(
        self, mine: list[Said], now: int, density: float, *, stray: bool
    ) -> tuple[tuple[int, int], ...]:
        """Ticks among the readings of a section; stray ones must be refused."""
        if stray and self.rng.random() > 0.05:
            return ()
        return tuple(
            (position, self.tick(mine, now))
            for position in range(len(mine) + 1)
            if self.rng.random() < density / 2
        )

    def tick(self, near: list[Said], now: int) -> int:
        """An instant at, before or after what was said: of any kind, many on full hours."""
        at = self.rng.choice([now, self.rng.choice(near).end])
        kinds: tuple[Callable[[], int], ...] = (
            lambda: at,
            lambda: at - at % QUARTER_MS + QUARTER_MS,
            lambda: at - at % HOUR_MS + HOUR_MS,
            lambda: window_end("day", window_start("day", at)),
            lambda: at - self.rng.choice([MINUTE, 3 * HOUR_MS]),
            lambda: at + self.rng.choice([1, MINUTE, 5 * HOUR_MS]),
        )
        return self.rng.choice(kinds)()

    def section(
        self, unit: str, mine: list[Said], now: int, ticks: tuple[tuple[int, int], ...]
    ) -> Section:
        """These readings as columns; a column that is the same for all is one value, or not."""
        names = tuple(dict.fromkeys(said.point for said in mine)) or ("-",)
        measures = tuple(dict.fromkeys(said.unit_of_measure for said in mine)) or ("kWh",)
        refused = (Refused(0, "malformed", "{}"),) if self.rng.random() < 0.1 else ()
        return Section(
            unit=unit,
            received_at=now + self.rng.choice([0, 5_000, MINUTE]),
            names=names,
            point=self.column([names.index(said.point) for said in mine]),
            at=np.array([said.at for said in mine], np.int64),
            value=np.array([said.value for said in mine], np.int64),
            statement=self.column([STATEMENTS.index(said.statement) for said in mine]),
            units_of_measure=measures,
            unit_of_measure=self.column([measures.index(said.unit_of_measure) for said in mine]),
            rank=self.column([said.rank for said in mine]),
            revision=self.column([said.revision for said in mine]),
            sent_at=self.column([said.sent_at for said in mine]),
            flags=self.column([said.flags for said in mine]),
            ticks=ticks,
            refused=refused,
        )

    def column(self, values: list[int]) -> Column:
        """An array, or one value where it is the same for all."""
        if values and len(set(values)) == 1 and self.rng.random() < 0.7:
            return values[0]
        return np.array(values, np.int64)
