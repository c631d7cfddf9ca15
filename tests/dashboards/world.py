"""A small province for the dashboards: its log, what the oracle makes of it, and the real tables.

Eight units, over two days that begin with the year. Four in history are of the kinds that
ingest/world.py tells: a breach, a suspected one, one that cannot be judged, one that is well. Two
are live, of the first two kinds. The seventh has no quota and begins two weeks earlier, so that the
hypertables have several chunks. The last was registered after everything: nothing was told of it.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property

import numpy as np
import psycopg

from alerts.batch import Batch, batch_of
from alerts.batch import Record as Told
from alerts.state import Partition
from alerts.store import Store as AlertStore
from ingest.simulator import Faults, configuration_of
from ingest.simulator import stream as simulated
from ingest.world import Plant, default_world
from oracle import Outcome, World, judge_log
from oracle_figures import Judged
from processors import entries
from processors.co2_views import power_rows
from processors.deductions import KIND as DEDUCTED
from processors.metrics import WorkerMetrics
from processors.power_store import keep_powers
from processors.region_rows import HourRows
from processors.region_store import RegionStore
from processors.store import Store
from processors.targets import KIND
from processors.worker import Worker
from schemas.alert import Alert, Notice
from schemas.calendar import DAY_MS, HOUR_MS, moment, year_start
from schemas.deductions import Deductions
from schemas.factors import default_pack
from schemas.indicator import LimitJudged, LineFigure, LineJudged, StandardEnergy
from schemas.landing import Ends, Exhausted, Landed, Projected
from schemas.pack_reading import our_packs
from schemas.registry import Budget, Configuration
from schemas.rule import DEFAULT_RULES
from schemas.section import ApplyConfiguration, Record, Refused, Section, Unreadable, partition_of
from schemas.targets import Targets
from schemas.topics import PARTITIONS
from schemas.wire import encode

Log = list[tuple[int, int, Record]]

START = year_start(2026)
END = START + 2 * DAY_MS
EARLIER = START - 14 * DAY_MS
FAULTS = Faults.every(0.01)
STEP = 400
"""Records in a step of the worker."""


TARGET = {"year": 2026, "quantity": "energy", "covers": "key units", "source": "test"}
TARGETS = Targets.model_validate(
    {
        "targets": [
            TARGET | {"id": "huge", "scope": "province:510000", "amount": "1000000"},
            TARGET | {"id": "tiny", "scope": "city:510100", "amount": "1"},
            TARGET | {"id": "close", "scope": "industry:26", "amount": "1000"},
            TARGET | {"id": "society", "scope": "province:510000", "amount": "1000000", "quantity": "co2", "covers": "whole society"},
        ]
    }
)  # fmt: skip
"""Well within, above, near its schedule, and without its remainder."""


def code(number: int) -> str:
    """Credit code of a simulated unit."""
    return f"91510100SYN{number:07d}"


EVIDENCE = Deductions.model_validate(
    {
        "evidence": [
            {
                "id": "wind", "unit": code(1), "region": "510100", "form": "green power", "quantity": "electricity", "amount": "90000",
                "unit_of_measure": "kWh", "first": "2026-01-01", "until": "2026-01-02", "origin": "contract", "issuer": "exchange",
                "document": "1", "sha256": "0" * 64, "generated_by": "wind",
            },
        ]
    }
)  # fmt: skip
"""One unit's green power of the first day."""


WELL, NO_QUOTA, UNTOLD = code(4), code(7), code(8)


def plants() -> dict[int, tuple[Plant, ...]]:
    """By version of the configuration that brings them."""
    history = default_world(start=START, units=4, live=False)
    # The one that breaks its quota keeps its CO2 budget; the next one's is meant in another view.
    history = (
        _with_budget(history[0], "provincial average, Sichuan"),
        _with_budget(history[1], "national average"),
        *history[2:],
    )
    live = default_world(start=START, units=6, live=True)[4:]
    (early,) = default_world(start=EARLIER, units=7, live=False)[6:]
    early = replace(early, unit=early.unit.model_copy(update={"quotas": ()}))
    last = default_world(start=START, units=8, live=True)[7:]
    return {1: history, 2: live, 3: (early,), 4: last}


def _with_budget(plant: Plant, view: str) -> Plant:
    budget = Budget(year=2026, co2_t=Decimal(100_000), view=view, source="test", status="example")
    return replace(plant, unit=plant.unit.model_copy(update={"budgets": (budget,)}))


def records() -> Iterator[tuple[int, Record]]:
    """What the doors send, partition by partition in this order."""
    worlds = plants()
    yield from simulated(
        worlds[1],
        seed=7,
        start=START,
        end=END,
        faults=FAULTS,
        partitions=PARTITIONS,
        tick_ms=HOUR_MS,
    )
    yield from simulated(
        worlds[2],
        seed=7,
        start=START,
        end=END,
        faults=FAULTS,
        partitions=PARTITIONS,
        version=2,
        live=True,
        step_ms=HOUR_MS // 4,
        tick_ms=HOUR_MS,
    )
    yield from simulated(
        worlds[3],
        seed=7,
        start=EARLIER,
        end=END,
        faults=FAULTS,
        partitions=PARTITIONS,
        version=3,
        step_ms=HOUR_MS,
    )
    yield from refused()
    for partition in range(PARTITIONS):
        yield partition, Record("registry", 4, 0, ApplyConfiguration(4))


def refused() -> Iterator[tuple[int, Record]]:
    """A message that nobody can read, twice, and one with two bad readings."""
    partition = partition_of(WELL, PARTITIONS)
    for number in range(2):
        body = Unreadable(WELL, END + number, "not JSON", b"\xff{", 2, "")
        yield partition, Record("mqtt", 1, number, (body,))
    nothing = np.zeros(0, np.int64)
    bad = tuple(Refused(place, "not a number", '{"value": "?"}') for place in range(2))
    section = Section(
        WELL, END + 5, (), nothing, nothing, nothing, 0, ("kWh",), 0, 5, 0, 0, 0, refused=bad
    )
    yield partition, Record("mqtt", 1, 2, (section,))


@dataclass(frozen=True)
class Province:
    """The log and what it comes to, by the oracle."""

    configurations: dict[int, Configuration]
    log: Log

    @cached_property
    def outcome(self) -> Outcome:
        """The oracle's word on the whole log."""
        return judge_log(self.log, self.configurations, default_pack(), PARTITIONS)

    @property
    def units(self) -> list[str]:
        """Registered units, by code."""
        return self.outcome.units

    def world(self, unit: str) -> World:
        """A unit as the whole log says it is."""
        return self.outcome.world(unit)

    @cached_property
    def judged(self) -> dict[str, Judged]:
        """Each unit at its last tick, which all have at the end; not one that was never told."""
        last = {unit: i for i in range(len(self.outcome.ticks)) for unit in self.outcome.told_at(i)}
        assert {self.outcome.ticks[i].at for i in last.values()} == {END}
        return {unit: self.outcome.judged(unit, i) for unit, i in last.items()}


def province() -> Province:
    """The province, the same each time."""
    log: Log = []
    offsets = [0] * PARTITIONS
    for partition, record in records():
        log.append((partition, offsets[partition], record))
        offsets[partition] += 1
    configurations = {
        version: configuration_of(some, version=version) for version, some in plants().items()
    }
    return Province(configurations, log)


@dataclass(frozen=True)
class Heard:
    """What the alerts made of it, by their own core."""

    alerts: tuple[Alert, ...] = ()
    """Pending and firing."""
    notices: tuple[Notice, ...] = ()
    hours: tuple[tuple[int, HourRows], ...] = ()
    """What was told of regions and industries."""


def write(told: Province, *, owner: str, worker: str, alerts: str) -> Heard:
    """Write it all to a migrated database, by the worker's steps and the alerts' batches, each with its own login."""
    with closing(Store(worker, engine="test")) as store:
        for configuration in told.configurations.values():
            store.save_configuration(configuration)
        stream = Worker(store, WorkerMetrics(), partitions=PARTITIONS)
        stream.take(dict.fromkeys(range(PARTITIONS), 0))
        for first in range(0, len(told.log), STEP):
            some = told.log[first : first + STEP]
            stream.write(stream.prepare([(p, offset, encode(r)) for p, offset, r in some]))
        batches = [write_alerts(store, alerts, partition) for partition in range(PARTITIONS)]
    hours = tuple(write_regions(worker))
    write_landings(owner)
    write_cases(owner)
    write_line(owner)
    write_stops(owner)
    return Heard(
        tuple(a for batch in batches for unit in batch.after.units.values() for a in unit.alerts),
        tuple(notice for batch in batches for notice in batch.notices),
        hours,
    )


def write_regions(url: str) -> Iterator[tuple[int, HourRows]]:
    """Sum the regions hour by hour, with targets from the first hour on."""
    with psycopg.connect(url, autocommit=True) as link:
        keep_powers(link, power_rows(our_packs()))
        assert entries.load(link, KIND, TARGETS, author="test", reason="test", from_hour=START)
        assert entries.load(link, DEDUCTED, EVIDENCE, author="test", reason="test", from_hour=START)
    with closing(RegionStore(url, partitions=PARTITIONS)) as store:
        assert store.lead()
        while (told := store.tell_next()) is not None:
            yield told


def landing(at: int) -> Landed:
    """A year that will break its quota, by hand: a forecast needs more days than the province has."""
    low, best, high = 310_250_000 + at % 1_000, 345_500_000, 380_750_000
    return Landed(
        year=2026,
        quota=300_000_000,
        state="will break",
        reason=None,
        used=Ends(low=1_000_000, best=1_100_000, high=1_200_000),
        share_measured=912_345,
        projected=Projected(
            basis="seasonal",
            year_end=Ends(low=low, best=best, high=high),
            expected_high=best,
            exhaustion=Exhausted(earliest="2026-10-15", best="2026-11-14", latest=None),
        ),
        fast=Ends(low=1_150, best=1_152, high=1_153),
        slow=None,
        per_day=Ends(low=820_765, best=821_000, high=822_000),
        factors=(),
        unverified=True,
    )


LANDINGS = (START + DAY_MS - 1, START + DAY_MS, START + 2 * DAY_MS, START + 3 * DAY_MS)
"""Midnights of one unit, and one beyond the time that is looked at."""


def write_landings(url: str) -> None:
    """In place of what the aggregator told of two days."""
    with psycopg.connect(url) as link:
        link.execute("TRUNCATE landing")
        for at in LANDINGS:
            link.execute(
                "INSERT INTO landing VALUES (%s, %s, %s, false, 'reading', %s)",
                (code(1), at, START, landing(at).model_dump_json()),
            )


CASES = (
    ("one", "alert", "warning", (1,), None),
    ("several", "outage", "critical", (1, 2), "Li Wei"),
)
"""Id, kind, severity, units and who took it up; by hand, in place of what the keeper of the cases makes."""


LATER = year_start(2199)
LIMITED = LimitJudged(
    limit="cement.clinker level 3", indicator="comprehensive", level=3, region=None, unit_of_measure="kgce/t", basis="equivalent value",
    low=101_000_000, best=102_000_000, high=None, limit_low=107_000_000, limit_high=109_000_000, verdict="UNDECIDABLE", reason="missing data",
    since=None, suspected=False, entries=(), notes=(), law="test",
)  # fmt: skip
"""Of the line `kiln` of one unit, by hand: the province has no lines."""
BY_STANDARD = StandardEnergy(
    indicator="cement.clinker", unit_of_measure="tce", basis="equivalent value", low=1, best=2, high=None, factors=("electricity.energy.equivalent",),
    unverified=False,
)  # fmt: skip
KILN = LineFigure(unit_of_measure="tce", low=1, best=2, high=3, share_measured=912_000)


def write_line(url: str) -> None:
    """As the worker writes a year that it was told."""
    judged = LineJudged(
        window="year",
        start=START,
        end=LATER,
        figures={"energy": KILN},
        limits=(LIMITED,),
        by_standard=(BY_STANDARD,),
    )
    with psycopg.connect(url) as link:
        link.execute(
            "INSERT INTO line_window SELECT id, 'kiln', 'year', %s, %s, %s, 0, 0, %s FROM unit WHERE code = %s",
            (START, LATER, END, judged.model_dump_json(), code(1)),
        )


STOPPED = 2
"""The unit that declared a maintenance, and withdrew another."""


def write_stops(url: str) -> None:
    """As a login declares them."""
    with psycopg.connect(url) as link:
        for name, withdrawn in (("held", False), ("moved", False), ("moved", True)):
            row = link.execute(
                "SELECT declare_stop(%s, %s, 'maintenance', %s, %s, '{E1}', 'notice 1', 'Li', '', %s)",
                (code(STOPPED), name, START, END, withdrawn),
            ).fetchone()
            assert row == (None,)


def write_cases(url: str) -> None:
    """Open since the beginning."""
    with psycopg.connect(url) as link:
        for name, kind, severity, units, owner in CASES:
            link.execute(
                "INSERT INTO alert_case (id, kind, scope, severity, began_at, opened_at, told_at, summary)"
                " VALUES (%(id)s, %(kind)s, 'x', %(severity)s, %(at)s, %(at)s, %(at)s, %(id)s)",
                {"id": name, "kind": kind, "severity": severity, "at": moment(START)},
            )
            for number in units:
                link.execute(
                    "INSERT INTO alert_case_member VALUES (%s, %s, %s, '', 'r', 'k', 'warning', '{}', %s, NULL)",
                    (f"{name} {number}", name, code(number), number == 1),
                )
            if owner:
                link.execute(
                    "INSERT INTO alert_ack (case_id, owner, reason, until) VALUES (%s, %s, 'asked', %s)",
                    (name, owner, moment(LATER)),
                )


def write_alerts(store: Store, url: str, partition: int) -> Batch:
    """Let the alerts hear what one partition was told."""
    rows = store.unpublished([partition], 100_000)
    told = [Told(offset, row.payload) for offset, row in enumerate(rows)]
    batch = batch_of(partition, told, Partition(), DEFAULT_RULES)
    assert not batch.refused
    with closing(AlertStore(url)) as alerts:
        alerts.write(batch, alerts.take({partition: 0})[partition].epoch)
    return batch
