"""Random logs of what units told, partition by partition, and the aggregator's hours over them without a database."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

import orjson
from hypothesis import settings
from hypothesis import strategies as st

from processors.aggregation import Gathering, Member, Span, Telling, first_hour, tellings_in
from processors.region_rows import HourRows, Scene, rows_of, spans_of
from processors.standings import Level
from schemas.calendar import DAY_MS, HOUR_MS, window_end, window_start, year_start
from schemas.targets import Targets, TargetVersion

LOGS = max(30, settings.default.max_examples // 16 if settings.default else 30)
"""Examples of the laws over whole logs."""
TURN = year_start(2026)
BEGIN = TURN - 5 * HOUR_MS
END = TURN + 5 * HOUR_MS
REGIONS = ("510000", "510100", "510104", "510107", "510400", "510402", "620000", "620102")
INDUSTRIES = ("26", "31")
VERDICTS = ("PASS", "FAIL", "UNDECIDABLE")
PARTITIONS = 2


class Event(NamedTuple):
    """A message of a unit, or (payload empty) the partition's tick."""

    at: int
    payload: bytes = b""


Log = Sequence[Sequence[Event]]
"""By partition, in order."""


@dataclass(frozen=True)
class World:
    """Units, what they told, and the targets in force from the first hour on."""

    members: Sequence[Member]
    log: Log
    targets: TargetVersion | None = None


def figures(random: Random) -> dict[str, object]:
    """Energy and CO2, or nothing that counts."""
    if random.randrange(6) == 0:
        return {}
    found: dict[str, object] = {}
    for name in ("energy", "co2"):
        low, best, high = sorted(random.randrange(10**13) for _ in range(3))
        bounds = {"low": low, "best": best, "high": random.choice([high, high, None])}
        found[name] = bounds | {"share_measured": random.randrange(10**6)}
    return found


def windows_at(at: int) -> Iterator[tuple[str, int, int]]:
    """Kind, start and end of the windows that hold the instant before."""
    for kind in ("hour", "day", "month", "year"):
        start = window_start(kind, at - 1)
        yield kind, start, window_end(kind, start)


def message(random: Random, unit: str, at: int) -> bytes:
    """What a unit tells at a tick: all windows on the full hour, sometimes the year that is over again."""
    spans = [one for one in windows_at(at) if at % HOUR_MS == 0 or one[0] == "year"]
    if at > TURN and random.randrange(2):
        spans.append(("year", year_start(2025), TURN))
    windows = [
        {"window": kind, "start": start, "end": end, "figures": figures(random)}
        | ({"verdict": random.choice(VERDICTS)} if kind == "year" else {})
        for kind, start, end in spans
    ]
    told = {"kind": "unit", "unit": unit, "as_of": at, "windows": windows}
    told |= {"cause": random.choice(["reading", "late reading"])}
    told |= {"silent": [{}] * random.randrange(2), "configuration": 1}
    return orjson.dumps(told)


@st.composite
def members(draw: st.DrawFn) -> list[Member]:
    count = draw(st.integers(1, 6))
    return [
        Member(
            f"U{number}",
            draw(st.sampled_from(REGIONS)),
            draw(st.sampled_from(INDUSTRIES)),
            draw(st.sampled_from([BEGIN - DAY_MS, BEGIN - 400 * DAY_MS, TURN, TURN + HOUR_MS])),
        )
        for number in range(count)
    ]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Live units speak at their partition's ticks, of which some are missing; units in history at any time of theirs."""
    its, random = draw(members()), Random(draw(st.integers(0, 2**32)))
    in_history = {one.unit for one in its if random.randrange(2)}
    log = [
        partition_log(its[partition::PARTITIONS], in_history, random)
        for partition in range(PARTITIONS)
    ]
    return World(its, log, draw(st.sampled_from([None, TARGETS])))


def partition_log(its: Sequence[Member], in_history: set[str], random: Random) -> list[Event]:
    """Half-hourly ticks, with what was told between them."""
    own = {one.unit: BEGIN + random.randrange(-3, 4) * HOUR_MS for one in its}
    events: list[Event] = []
    for at in range(BEGIN, END + 1, HOUR_MS // 2):
        if at not in {BEGIN, END} and random.randrange(6) == 0:
            continue
        for one in its:
            if one.unit not in in_history:
                if at > one.begins:
                    events.append(Event(0, message(random, one.unit, at)))
                continue
            for _ in range(random.randrange(3)):
                own[one.unit] += HOUR_MS // 2
                if own[one.unit] > one.begins:
                    events.append(Event(0, message(random, one.unit, own[one.unit])))
        events.append(Event(at))
    return events


def version_of(number: int, from_hour: int, **told: object) -> TargetVersion:
    """Targets as loaded."""
    return TargetVersion(version=number, from_hour=from_hour, targets=Targets.model_validate(told))


TARGETS = version_of(
    1,
    0,
    targets=[
        {"id": f"{scope} {year}".replace(":", ".").replace("+", ".").replace(" ", "."), "scope": scope, "year": year, "quantity": "energy",
         "amount": amount, "covers": "key units", "source": "test"}
        for scope, amount in (("province:510000", "20000000"), ("city:510100+industry:31", "3000"))
        for year in (2025, 2026)
    ],
)  # fmt: skip


# ---- The hours, without a database


@dataclass
class Hours:
    """The aggregator's memory between hours, as its tables have it."""

    world: World
    hour: int | None = None
    cuts: list[int] = field(default_factory=lambda: [-1] * PARTITIONS)
    counted: dict[tuple[str, Span], Telling] = field(default_factory=dict)
    ahead: list[Telling] = field(default_factory=list)
    levels: dict[str, Level] = field(default_factory=dict)
    told: dict[int, HourRows] = field(default_factory=dict)

    def run(self, log: Log) -> "Hours":
        """Tell every hour that is due in what there is of the log."""
        while (hour := self._due(log)) is not None:
            cuts = [cut_of(events, hour) for events in log]
            assert None not in cuts
            self._tell(hour, [cut for cut in cuts if cut is not None], log)
        return self

    def _due(self, log: Log) -> int | None:
        if self.hour is None:
            firsts = [next((e.at for e in events if not e.payload), None) for events in log]
            if None in firsts:
                return None
            hour = first_hour(at for at in firsts if at is not None)
        else:
            hour = self.hour + HOUR_MS
        return hour if all(cut_of(events, hour) is not None for events in log) else None

    def _tell(self, hour: int, cuts: list[int], log: Log) -> None:
        gathering = Gathering(hour)
        gathering.add(sorted(self.ahead, key=lambda one: one.as_of))
        for events, begin, end in zip(log, self.cuts, cuts, strict=True):
            for event in events[begin + 1 : end + 1]:
                gathering.add(tellings_in(event.payload) if event.payload else [])
        old = None if self.hour is None else self.world.targets
        targets = self.world.targets
        spans = spans_of(hour, gathering.spans(), None if old == targets else targets)
        before = Scene(hour - HOUR_MS, self.world.members, self._of(spans, self.counted), old)
        told = self.counted | gathering.fresh
        after = Scene(hour, self.world.members, self._of(spans, told), targets)
        rows = rows_of(before, after, self.levels)
        self.counted, self.ahead = told, list(gathering.ahead.values())
        self.levels |= {one.said.target: one.level for one in rows.judged}
        self.told[hour], self.hour, self.cuts = rows, hour, cuts

    @staticmethod
    def _of(
        spans: Sequence[Span], told: Mapping[tuple[str, Span], Telling]
    ) -> dict[Span, dict[str, Telling]]:
        return {
            span: {unit: one for (unit, of), one in told.items() if of == span} for span in spans
        }


def cut_of(events: Sequence[Event], hour: int) -> int | None:
    """Place of the first tick at or past an hour."""
    return next(
        (i for i, event in enumerate(events) if not event.payload and event.at >= hour), None
    )
