"""Simulated plants: what they meter, how they load their meters, and what they may use.

Four kinds of plant, in turn. From midnight of 1 January on, within 48 hours: the first breaks its
annual quota (confirmed), the second's main meter dies, so that its breach is only suspected, the
third's coal cannot be judged, the fourth is well. All codes and names are invented.
"""

from dataclasses import dataclass
from decimal import Decimal

from schemas.calendar import DAY_MS, HOUR_MS, QUARTER_MS, moment, year_of
from schemas.registry import (
    LENGTH_MS,
    UNIT_OF_MEASURE,
    Industry,
    Point,
    Quantity,
    Quota,
    Region,
    Registry,
    Statement,
    Unit,
)

KINDS = ("breach", "suspected", "not judged", "well")
_QUOTAS_TCE = {"breach": 4, "suspected": 5, "not judged": 110, "well": 100_000}
_REGIONS = (
    Region(code="510100", name="Example city A", name_zh="示例市甲"),
    Region(code="510300", name="Example city B", name_zh="示例市乙"),
    Region(code="510400", name="Example city C", name_zh="示例市丙"),
)
_INDUSTRIES = (
    Industry(code="31", name="Ferrous metals", name_zh="黑色金属冶炼和压延加工业"),
    Industry(code="26", name="Chemicals", name_zh="化学原料和化学制品制造业"),
    Industry(code="30", name="Non-metallic minerals", name_zh="非金属矿物制品业"),
    Industry(code="22", name="Paper", name_zh="造纸和纸制品业"),
)


@dataclass(frozen=True, slots=True)
class Later:
    """What is told of the readings from `begin` (ms) to `until` only at `told_at`."""

    begin: int
    until: int
    told_at: int

    def holds(self, at: int) -> bool:
        """Say whether it is about a reading of this instant."""
        return self.begin <= at < self.until


@dataclass(frozen=True, slots=True)
class Meter:
    """A point and how it is used."""

    point: Point
    share: float = 0.5
    """Mean load as a share of the rated maximum; below 0.65, so that no hour exceeds it."""
    delay_ms: int = 0
    """How long after its instant (a period's end) a reading is sent."""
    phase_ms: int = 0
    """A register is read this long after its cadence's beat."""
    dial: int = 0
    """What the register shows at first, in 10⁻⁶."""
    resolution: int = 10_000
    """The dial's last digit, or the amount's, in 10⁻⁶."""
    tells_sent_at: bool = True
    season: tuple[float, ...] = ()
    """Load of each month over the mean, January first; none: every month alike."""
    flat: bool = False
    """Runs day and night, and at weekends."""
    silent_after_ms: int | None = None
    """Milliseconds from its validity after which it never speaks again."""
    held: Later | None = None
    """Readings that a gateway without a line gives on late, all at once."""
    withdrawn: Later | None = None
    """Readings that turn out to be wrong."""


@dataclass(frozen=True, slots=True)
class Plant:
    """A unit and its meters."""

    unit: Unit
    meters: tuple[Meter, ...]


def default_world(*, start: int, units: int, live: bool) -> tuple[Plant, ...]:
    """So many plants whose points begin at `start`, the four kinds in turn."""
    return tuple(_plant(number, start=start, live=live) for number in range(1, units + 1))


def registry_of(plants: tuple[Plant, ...]) -> Registry:
    """The registry of simulated plants."""
    return Registry(
        regions=_REGIONS, industries=_INDUSTRIES, units=tuple(plant.unit for plant in plants)
    )


def plant_of(unit: Unit) -> Plant:
    """Any registered unit as a plant: every meter half loaded, day values told in the morning."""
    return Plant(unit, tuple(_meter(point) for point in unit.points))


def _meter(point: Point) -> Meter:
    return Meter(
        point,
        delay_ms=6 * HOUR_MS
        if LENGTH_MS.get(point.statement, DAY_MS) == DAY_MS and point.statement != "register"
        else 0,
    )


def _plant(number: int, *, start: int, live: bool) -> Plant:
    kind = KINDS[(number - 1) % len(KINDS)]
    meters = {"breach": _breach, "suspected": _suspected, "not judged": _not_judged, "well": _well}[
        kind
    ](start)
    unit = Unit(
        code=f"91510100SYN{number:07d}",
        name=f"Simulated plant {number} ({kind})",
        region=_REGIONS[(number - 1) % len(_REGIONS)].code,
        industry=_INDUSTRIES[(number - 1) % len(_INDUSTRIES)].code,
        history=not live,
        points=tuple(meter.point for meter in meters),
        quotas=(
            Quota(
                year=year_of(start),
                energy_tce=Decimal(_QUOTAS_TCE[kind]),
                source="simulated",
                status="example",
            ),
        ),
    )
    return Plant(unit, meters)


def _point(
    name: str,
    start: int,
    statement: Statement,
    rated: int,
    *,
    quantity: Quantity = "electricity",
    digits: int | None = None,
    multiplier: int = 1,
    cadence_ms: int | None = None,
    tolerance_ms: int | None = None,
    others: tuple[Statement, ...] = (),
) -> Point:
    return Point(
        name=name,
        quantity=quantity,
        unit_of_measure=UNIT_OF_MEASURE[quantity],
        statement=statement,
        others=others,
        multiplier=multiplier,
        digits=digits,
        rated_per_hour=Decimal(rated),
        cadence_ms=cadence_ms or LENGTH_MS.get(statement, QUARTER_MS),
        tolerance_ms=tolerance_ms,
        valid_from=moment(start),
    )


def _coal(name: str, start: int, rated: int) -> Point:
    return _point(name, start, "P1D", rated, quantity="raw_coal", tolerance_ms=12 * HOUR_MS)


def _output(name: str, start: int, rated: int) -> Point:
    return _point(name, start, "PT1H", rated, quantity="output", tolerance_ms=2 * HOUR_MS)


def _breach(start: int) -> tuple[Meter, ...]:
    """About 1,250 kW: 4 tce in 26 hours. One dial rolls over on the first day, one in 5 hours."""
    return (
        Meter(
            _point("E1", start, "register", 1500, digits=6, multiplier=40),
            share=0.6,
            dial=999_800_000_000,
        ),
        Meter(_point("E2", start, "register", 400, digits=3, others=("PT15M",)), dial=512_340_000),
        Meter(_point("E3", start, "PT15M", 300), tells_sent_at=False),
        Meter(_output("O1", start, 20)),
    )


def _suspected(start: int) -> tuple[Meter, ...]:
    """900 kW on a meter that dies after 18 hours: in the end 2.6 tce low, 6.3 best, 10 high."""
    return (
        Meter(_point("E1", start, "PT15M", 2000), share=0.45, silent_after_ms=18 * HOUR_MS),
        Meter(
            _point("E2", start, "register", 200, digits=5, cadence_ms=420_000),
            phase_ms=97_000,
            dial=73_512_000_000,
        ),
    )


def _not_judged(start: int) -> tuple[Meter, ...]:
    """60 t of coal a day, told next morning: on the second evening 87 tce at best, at most 130."""
    return (
        Meter(_coal("C1", start, 5), delay_ms=6 * HOUR_MS),
        Meter(
            _point("E1", start, "register", 300, digits=5), tells_sent_at=False, dial=4_250_000_000
        ),
        Meter(_point("E2", start, "PT30M", 100), silent_after_ms=20 * HOUR_MS),
    )


def _well(start: int) -> tuple[Meter, ...]:
    """All kinds of meters and a quota that it will not reach."""
    return (
        Meter(
            _point("E1", start, "register", 3000, digits=6, multiplier=100),
            share=0.55,
            dial=120_000_000_000,
        ),
        Meter(_point("E2", start, "PT15M", 500)),
        Meter(
            _point("E3", start, "register", 80, digits=4, cadence_ms=420_000),
            phase_ms=203_000,
            dial=9_990_000_000,
        ),
        Meter(_coal("C1", start, 2), delay_ms=7 * HOUR_MS),
        Meter(_output("O1", start, 30)),
    )
