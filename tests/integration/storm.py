"""A storm of listed facts for the one on call: what is told of it, and what must not be."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import psycopg

from schemas.indicator import Indicator, Message
from schemas.rule import Rules, read_rules
from tests.alerts.logs import indicator, tick

OUTAGE, LATE, ELSEWHERE = "510402", "511102", "510704"
REGIONS = {OUTAGE: "Dongqu", LATE: "Leshan", ELSEWHERE: "Mianyang"}

RULES = """
[[rules]]
name = "quota-exceeded"
kind = "confirmed breach"
severity = "critical"

[[rules]]
name = "quota-probably-exceeded"
kind = "suspected breach"
severity = "warning"

[[rules]]
name = "cannot-be-judged"
kind = "cannot be judged"
severity = "info"
hold = "PT24H"

[[rules]]
name = "points-silent"
kind = "silent points"
severity = "warning"
"""


@dataclass(frozen=True)
class Fact:
    """Something that happens, and the case that it must be."""

    kind: str
    scope: str
    units: tuple[str, ...]


@dataclass(frozen=True)
class Storm:
    """Who is hit, by how much: `size` units of an outage, three quarters of it of a bad factor pack."""

    size: int

    @property
    def silent(self) -> tuple[str, ...]:
        """A substation is out: all units of a county."""
        return _codes("A", self.size)

    @property
    def miscounted(self) -> tuple[str, ...]:
        """A bad factor pack flips them, all over the province."""
        return _codes("B", self.size * 3 // 4)

    @property
    def late(self) -> tuple[str, ...]:
        """A wave of late data flips them."""
        return _codes("C", self.size // 4)

    @property
    def regions(self) -> dict[str, str]:
        """Where each unit is."""
        places = dict.fromkeys(self.silent, OUTAGE) | dict.fromkeys(self.late, LATE)
        for number, unit in enumerate(self.miscounted):
            places[unit] = (OUTAGE, LATE, ELSEWHERE)[number % 3]
        return places | dict.fromkeys((BREACH, SUSPECT, SILENT, HUSHED), ELSEWHERE)

    def facts(self) -> tuple[Fact, ...]:
        """What is true when it has begun: each is told, once."""
        return (
            Fact("outage", "city:510400", self.silent),
            Fact("change", "factor:12", self.miscounted),
            Fact("late data", "late:511100", self.late),
            Fact("alert", BREACH, (BREACH,)),
            Fact("alert", SUSPECT, (SUSPECT,)),
            Fact("alert", SILENT, (SILENT,)),
        )

    def begins(self, at: int) -> list[Indicator]:
        """All at once, at one tick."""
        return [
            *(indicator(0, at, ".", unit=unit, silent=["p1"]) for unit in self.silent),
            *(_by_factors(0, at, "x", unit, 12) for unit in self.miscounted),
            *(indicator(0, at, "x", unit=unit, cause="late reading") for unit in self.late),
            indicator(0, at, "x", unit=BREACH),
            indicator(0, at, "s", unit=SUSPECT),
            indicator(0, at, ".", unit=SILENT, silent=["p1"]),
            indicator(0, at, "x", unit=HUSHED),
        ]

    def goes_on(self, at: int) -> list[Indicator]:
        """The suspicion is confirmed; the outage is over but for one unit; the pack is corrected."""
        *back, _ = self.silent
        return [
            indicator(1, at, "x", unit=SUSPECT),
            *(indicator(1, at, ".", unit=unit) for unit in back),
            *(_by_factors(1, at, ".", unit, 13) for unit in self.miscounted),
        ]


BREACH, SUSPECT, SILENT, HUSHED = (f"91510700000000000{letter}" for letter in "WXYZ")
"""Alone: above its quota; suspected, then confirmed; silent; above its quota and silenced."""


def _codes(letter: str, count: int) -> tuple[str, ...]:
    return tuple(f"915100000000{letter}{number:05}" for number in range(count))


def _by_factors(offset: int, at: int, mark: str, unit: str, configuration: int) -> Indicator:
    told = indicator(offset, at, mark, unit=unit, cause="factor")
    return told.model_copy(update={"configuration": configuration})


def placed(messages: Iterable[Indicator], partitions: int, offset: int) -> dict[int, list[Message]]:
    """Messages by partition, each with the version of its place, and a tick behind them."""
    found: dict[int, list[Message]] = {number: [] for number in range(partitions)}
    at = 0
    for one in messages:
        here = found[sum(one.unit.encode()) % partitions]
        version = one.version.model_copy(update={"partition": sum(one.unit.encode()) % partitions, "offset": offset, "position": len(here)})  # fmt: skip
        here.append(one.model_copy(update={"version": version}))
        at = one.as_of
    for number, here in found.items():
        last = tick(offset, at)
        here.append(last.model_copy(update={"version": last.version.model_copy(update={"partition": number})}))  # fmt: skip
    return found


def rules() -> Rules:
    """The rules of the storm: suspected at once, so that the confirmed has something to inhibit."""
    found = read_rules(RULES)
    assert isinstance(found, tuple)
    return found


def register(database: str, storm: Storm) -> None:
    """Write the units and where they are into the registry's tables."""
    with psycopg.connect(database) as link, link.cursor() as cursor:
        cursor.executemany("INSERT INTO region (code, name) VALUES (%s, %s) ON CONFLICT DO NOTHING", list(REGIONS.items()))  # fmt: skip
        cursor.executemany("INSERT INTO unit (code, region) VALUES (%s, %s) ON CONFLICT DO NOTHING", list(storm.regions.items()))  # fmt: skip


def untold(storm: Storm, cases: Sequence[tuple[object, ...]]) -> list[Fact]:
    """Facts without a case of their kind, scope and units; `cases` has (kind, scope, number of units)."""
    return [fact for fact in storm.facts() if (fact.kind, fact.scope, len(fact.units)) not in cases]
