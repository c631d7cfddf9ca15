"""A believable, seeded stream of readings that misbehaves on request: the pipe's input.

Deterministic: one seed is one stream, to the last byte. Every meter draws from a generator of its
own, so that adding a unit changes no other. Time is simulated: a section is received a few seconds
after its step.

A unit in history carries its ticks in its own sections, after the readings of their instant. Live
units have none: there each partition gets a tick record at every step.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from functools import lru_cache
from heapq import heappop, heappush
from itertools import pairwise
from random import Random

import numpy as np

from ingest.coalesce import Coalescer, Numbering, Ready
from ingest.columns import column_of
from ingest.world import Meter, Plant, default_world, registry_of
from schemas.calendar import DAY_MS, HOUR_MS, OFFSET_MS, QUARTER_MS
from schemas.registry import LENGTH_MS, STATEMENTS, Configuration
from schemas.scale import SCALE
from schemas.section import NEVER, RANKS, WITHDRAWN, ApplyConfiguration, Record, Section, Tick

DOOR = "simulator"
CLOCK_DOOR = "clock"
INCARNATION = 1
MINUTE_MS = 60_000
DEFAULT_RATE = 0.01

_NIGHT = (70, 68, 66, 66, 70, 80)
_MORNING = (92, 105, 118, 124, 126, 122)
_AFTERNOON = (112, 118, 124, 126, 124, 118)
_EVENING = (110, 106, 100, 92, 84, 76)
_HOURLY = (*_NIGHT, *_MORNING, *_AFTERNOON, *_EVENING)
"""Load by the hour of the day, in hundredths of the mean."""
_WEEKEND = 0.85
_SATURDAY = 5
_DAYS_TO_MONDAY = 3
"""1970-01-01 was a Thursday."""
_HIGHEST = 0.95
_WRONG_UNITS = {"kWh": "MWh", "t": "kg"}
_FUTURE_MS = 12 * HOUR_MS
_OFF_GRID_MS = 137_000


@dataclass(frozen=True, slots=True)
class Faults:
    """How often a reading goes wrong, in each way.

    Dials that roll over and meters that die belong to the plant.
    """

    late: float = 0.0
    """Comes up to ten hours after it was due."""
    repeated: float = 0.0
    """Comes twice, to the last digit."""
    revised: float = 0.0
    """Comes wrong, then again with the next revision."""
    corrected: float = 0.0
    """A claim of rank `corrected` follows, with another value."""
    withdrawn: float = 0.0
    """Is withdrawn later; every second time a corrected claim takes its place."""
    reordered: float = 0.0
    """The readings of a section stand in any order."""
    outage: float = 0.0
    """The meter says nothing for up to six hours."""
    jump: float = 0.0
    """The register jumps by more than can have passed."""
    negative: float = 0.0
    too_fast: float = 0.0
    """More than the rated maximum allows; a register shows more than its dial can."""
    unknown_point: float = 0.0
    unknown_statement: float = 0.0
    wrong_unit: float = 0.0
    """Another unit of measure."""
    future: float = 0.0
    """Sent twelve hours ahead, as by a clock that forgot the afternoon."""
    off_grid: float = 0.0
    """A period that begins beside its grid."""

    @classmethod
    def every(cls, rate: float) -> "Faults":
        """Each misbehaviour at this rate."""
        return cls(*[rate] * len(fields(cls)))


@dataclass(frozen=True, slots=True)
class Claim:
    """A reading as a meter sends it. A value of None withdraws."""

    point: str
    statement: int
    at: int
    value: int | None
    unit_of_measure: str
    rank: int
    revision: int
    sent_at: int


Delivery = tuple[int, Claim]
"""When it is sent, and what."""


def scenario(
    seed: int,
    start: int,
    hours: int,
    *,
    units: int = 4,
    faults: Faults | None = None,
    partitions: int = 8,
    live: bool = False,
    step_ms: int | None = None,
    tick_ms: int | None = None,
) -> Iterator[tuple[int, Record] | Configuration]:
    """The default world for so many hours: its configuration, then the records of the log."""
    plants = default_world(start=start, units=units, live=live)
    configuration = configuration_of(plants)
    yield configuration
    yield from stream(
        plants,
        seed=seed,
        start=start,
        end=start + hours * HOUR_MS,
        faults=Faults.every(DEFAULT_RATE) if faults is None else faults,
        partitions=partitions,
        version=configuration.version,
        live=live,
        step_ms=step_ms or (MINUTE_MS if live else QUARTER_MS),
        tick_ms=tick_ms,
    )


def configuration_of(plants: tuple[Plant, ...], *, version: int = 1) -> Configuration:
    """The plants' registry as a configuration."""
    told = Configuration(
        version=version, author="simulator", reason="simulated world", registry=registry_of(plants)
    )
    return told.model_copy(update={"hash": told.content_hash()})


def stream(
    plants: tuple[Plant, ...],
    *,
    seed: int,
    start: int,
    end: int,
    faults: Faults,
    partitions: int,
    version: int = 1,
    live: bool = False,
    step_ms: int = QUARTER_MS,
    tick_ms: int | None = None,
) -> Iterator[tuple[int, Record]]:
    """The records of the log: the configuration is applied, then step by step what is sent.

    `tick_ms`: how often a tick comes; at every step unless told.
    """
    beats = (
        (at, (at - start) % (tick_ms or step_ms) == 0)
        for at in range(start + step_ms, end + 1, step_ms)
    )
    yield from stream_at(
        beats,
        plants,
        seed=seed,
        start=start,
        end=end,
        faults=faults,
        partitions=partitions,
        version=version,
        live=live,
    )


def stream_at(
    beats: Iterable[tuple[int, bool]],
    plants: tuple[Plant, ...],
    *,
    seed: int,
    start: int,
    end: int,
    faults: Faults,
    partitions: int,
    version: int = 1,
    live: bool = False,
) -> Iterator[tuple[int, Record]]:
    """The records of the log, sent at these instants; with each, whether a tick comes, too."""
    numbering = Numbering(door=DOOR, incarnation=INCARNATION)
    clock = Numbering(door=CLOCK_DOOR, incarnation=INCARNATION)
    coalescer: Coalescer[None] = Coalescer(numbering=numbering, partitions=partitions)
    senders = [_Sender(plant, seed=seed, start=start, end=end, faults=faults) for plant in plants]
    for partition in range(partitions):
        yield partition, numbering.record(partition, ApplyConfiguration(version))
    for at, is_tick in beats:
        ready: list[Ready[None]] = []
        for sender in senders:
            section = sender.section(at, ticks=((at,) if is_tick and not live else ()))
            if section is not None:
                ready += coalescer.add(section, now=at, token=None)
        for gathered in (*ready, *coalescer.flush()):
            yield gathered.partition, gathered.record
        if live and is_tick:
            for partition in range(partitions):
                yield partition, clock.record(partition, Tick(at))


def amount_told(plant: Plant, point: str, *, seed: int, start: int, until: int) -> int:
    """What a point's readings sent by `until` come to, in 10⁻⁶ of its unit of measure, if none goes wrong."""
    (meter,) = [meter for meter in plant.meters if meter.point.name == point]
    speaking = _Speaking(
        meter,
        random=Random(f"{seed}/{plant.unit.code}/{point}"),
        start=start,
        end=until,
        faults=Faults(),
    )
    claims = [claim for sent, claim in speaking.deliveries(until) if sent <= until]
    values = [claim.value or 0 for claim in claims]
    if meter.point.statement != "register":
        return sum(values)
    turns = sum(now < before for before, now in pairwise(values)) * speaking.modulus
    return (values[-1] - values[0] + turns) * meter.point.multiplier if values else 0


class _Sender:
    """One plant's gateway: gathers what its meters say, and sends it step by step."""

    def __init__(self, plant: Plant, *, seed: int, start: int, end: int, faults: Faults) -> None:
        code = plant.unit.code
        self.unit, self.faults = code, faults
        self.random = Random(f"{seed}/{code}")
        self.meters = [
            _Speaking(
                meter,
                random=Random(f"{seed}/{code}/{meter.point.name}"),
                start=start,
                end=end,
                faults=faults,
            )
            for meter in plant.meters
        ]
        self._due: list[tuple[int, int, Claim]] = []
        self._count = 0

    def section(self, at: int, *, ticks: tuple[int, ...]) -> Section | None:
        """What is sent at this step; None where there is nothing to say."""
        for meter in self.meters:
            for due, claim in meter.deliveries(at):
                self._count += 1
                heappush(self._due, (due, self._count, claim))
        claims = []
        while self._due and self._due[0][0] <= at:
            claims.append(heappop(self._due)[2])
        received_at = at + self.random.randrange(1_000, 5_000)
        if self.random.random() < self.faults.reordered * 5:
            self.random.shuffle(claims)
        if not claims and not ticks:
            return None
        return section_of(
            self.unit,
            claims,
            received_at=received_at,
            message=f"{self.unit[-4:]}-{at // 1000}",
            ticks=ticks,
        )


class _Speaking:
    """One meter through time. Its load follows the hour and the weekday, with a wandering level."""

    def __init__(
        self, meter: Meter, *, random: Random, start: int, end: int, faults: Faults
    ) -> None:
        self.meter, self.random, self.faults, self.end = meter, random, faults, end
        self.point = point = meter.point
        self.length = 0 if point.statement == "register" else LENGTH_MS[point.statement]
        self.step = self.length or point.cadence_ms
        self.modulus = 10 ** (point.digits or 0) * SCALE
        self.counter, self.level = meter.dial, 0.0
        self.anchor = point.anchor_of(point.statement)
        first = max(point.begins, start)
        self.next = (
            first + (self.anchor - first) % self.length if self.length else first + meter.phase_ms
        )
        self.last = self.next if self.length else min(first, self.next)
        self.dies = end if meter.silent_after_ms is None else point.begins + meter.silent_after_ms
        self.mute_until = 0

    def deliveries(self, until: int) -> Iterator[Delivery]:
        """Everything that readings due by `until` make somebody send, now or later."""
        while (due := self.next + self.length + self.meter.delay_ms) <= until:
            at, self.next = self.next, self.next + self.step
            amount = self._amount(at)
            if self.point.ends is not None and at + self.length > self.point.ends:
                return
            if self._is_mute(at):
                continue
            held, withdrawn = self.meter.held, self.meter.withdrawn
            told_at = held.told_at if held is not None and held.holds(at) else due
            for claim in self._claims(at, amount, due):
                yield from self._told(claim, told_at)
                if withdrawn is not None and withdrawn.holds(at):
                    yield withdrawn.told_at, replace(claim, value=None)

    def _is_mute(self, at: int) -> bool:
        if self.random.random() < self.faults.outage / 4:
            self.mute_until = at + self.random.randrange(2, 25) * max(self.step, QUARTER_MS)
        return at < self.mute_until or at + self.length > self.dies

    def _amount(self, at: int) -> int:
        """What passes until a register's reading at `at`, or in the period that begins there."""
        begin, self.last = (at, at) if self.length else (self.last, at)
        time = self.length or at - begin
        self.level = 0.9 * self.level + 0.1 * self.random.uniform(-1, 1)
        middle = begin + time // 2
        share = self.meter.share * (1 + self.level)
        if time < DAY_MS and not self.meter.flat:
            share *= load_at(middle)
        if self.meter.season:
            share *= self.meter.season[month_of((middle + OFFSET_MS) // DAY_MS)]
        return int(self.point.rated * max(0.02, min(share, _HIGHEST))) * time // HOUR_MS

    def _claims(self, at: int, amount: int, due: int) -> Iterator[Claim]:
        """The meter's truth: its primary statement, and its quarter hours where it tells them."""
        sent_at = due + 400 if self.meter.tells_sent_at else NEVER
        value = amount // self.meter.resolution * self.meter.resolution
        if not self.length:
            amount = (
                amount // self.point.multiplier // self.meter.resolution * self.meter.resolution
            )
            jump = self.random.random() < self.faults.jump
            jumped = min(self.modulus // 3, 10 * self.point.rated) if jump else 0
            self.counter = (self.counter + amount + jumped) % self.modulus
            value = self.counter
        claim = Claim(
            self.point.name,
            STATEMENTS.index(self.point.statement),
            at,
            value,
            self.point.unit_of_measure,
            RANKS["measured"],
            0,
            sent_at,
        )
        yield claim
        if (
            "PT15M" in self.point.others
            and at % QUARTER_MS == 0
            and at - QUARTER_MS >= self.point.begins
        ):
            period = amount * self.point.multiplier
            yield replace(
                claim, statement=STATEMENTS.index("PT15M"), at=at - QUARTER_MS, value=period
            )

    def _told(self, claim: Claim, due: int) -> Iterator[Delivery]:
        """A true reading as it is sent: as it is, or with one thing wrong."""
        fault = self._fault(claim)
        later = due + self.random.randrange(1, 40) * QUARTER_MS
        value = claim.value or 0
        match fault:
            case "late":
                yield later, claim
            case "repeated":
                yield due, claim
                yield (due if self.random.random() < 0.5 else later), claim  # noqa: PLR2004 - every second time
            case "revised":
                yield due, replace(claim, value=value // 2)
                yield later, self._again(replace(claim, revision=1), later)
            case "corrected":
                yield due, claim
                yield (
                    later,
                    self._again(replace(claim, rank=RANKS["corrected"], value=value // 2), later),
                )
            case "withdrawn":
                yield due, claim
                yield later, self._again(replace(claim, value=None), later)
                if self.random.random() < 0.5:  # noqa: PLR2004 - every second time
                    yield later, self._again(replace(claim, rank=RANKS["corrected"]), later)
            case "unknown_point":
                yield due, claim
                yield due, replace(claim, point=f"X{self.random.randrange(5)}")
            case "unknown_statement":
                yield due, claim
                yield due, replace(claim, statement=STATEMENTS.index("P1M"))
            case "":
                yield due, claim
            case _:
                yield due, self._spoiled(claim, fault, due)

    def _spoiled(self, claim: Claim, fault: str, due: int) -> Claim:
        """A reading that cannot be used; the true one is lost."""
        match fault:
            case "negative":
                return replace(claim, value=-(claim.value or 0) - 1)
            case "too_fast":
                most = self.point.rated * (self.length or QUARTER_MS) // HOUR_MS
                return replace(claim, value=self.modulus if claim.statement == 0 else 2 * most + 1)
            case "wrong_unit":
                return replace(claim, unit_of_measure=_WRONG_UNITS[claim.unit_of_measure])
            case "future":
                return replace(claim, sent_at=due + _FUTURE_MS)
            case _:
                return replace(claim, at=claim.at + _OFF_GRID_MS)

    def _again(self, claim: Claim, due: int) -> Claim:
        return replace(claim, sent_at=due + 400) if self.meter.tells_sent_at else claim

    def _fault(self, claim: Claim) -> str:
        """Which of the misbehaviours of single readings befalls this one."""
        drawn = self.random.random()
        for name in _OF_READINGS:
            drawn -= getattr(self.faults, name)
            if drawn < 0:
                return "" if name == "off_grid" and claim.statement == 0 else name
        return ""


_OF_READINGS = tuple(
    f.name for f in fields(Faults) if f.name not in {"reordered", "outage", "jump"}
)


def load_at(at: int) -> float:
    """Load at an instant, as a multiple of the mean: by the hour, less at weekends."""
    local = at + OFFSET_MS
    hour, rest = divmod(local % DAY_MS, HOUR_MS)
    load = (_HOURLY[hour] * (HOUR_MS - rest) + _HOURLY[(hour + 1) % 24] * rest) / HOUR_MS / 100
    return load * _WEEKEND if (local // DAY_MS + _DAYS_TO_MONDAY) % 7 >= _SATURDAY else load


@lru_cache(maxsize=1_024)
def month_of(day: int) -> int:
    """0 for January: the month of a business day, counted from 1970-01-01."""
    return (date(1970, 1, 1) + timedelta(days=day)).month - 1


def section_of(
    unit: str,
    claims: list[Claim],
    *,
    received_at: int,
    message: str = "",
    ticks: tuple[int, ...] = (),
) -> Section:
    """Claims as a section, in their order; the ticks stand after them."""
    names = tuple(dict.fromkeys(claim.point for claim in claims))
    units = tuple(dict.fromkeys(claim.unit_of_measure for claim in claims))
    return Section(
        unit=unit,
        received_at=received_at,
        names=names,
        point=column_of([names.index(claim.point) for claim in claims]),
        at=np.array([claim.at for claim in claims], dtype=np.int64),
        value=np.array([claim.value or 0 for claim in claims], dtype=np.int64),
        statement=column_of([claim.statement for claim in claims]),
        units_of_measure=units,
        unit_of_measure=column_of([units.index(claim.unit_of_measure) for claim in claims]),
        rank=column_of([claim.rank for claim in claims]),
        revision=column_of([claim.revision for claim in claims]),
        sent_at=column_of([claim.sent_at for claim in claims]),
        flags=column_of([WITHDRAWN if claim.value is None else 0 for claim in claims]),
        messages=(message,),
        ticks=tuple((len(claims), at) for at in ticks),
    )


def silenced(plants: tuple[Plant, ...], silent: Mapping[tuple[str, str], int]) -> tuple[Plant, ...]:
    """The plants, with meters that fall silent: (unit, point) → so long after their validity."""
    return tuple(
        replace(
            plant,
            meters=tuple(
                replace(
                    meter,
                    silent_after_ms=silent.get(
                        (plant.unit.code, meter.point.name), meter.silent_after_ms
                    ),
                )
                for meter in plant.meters
            ),
        )
        for plant in plants
    )
