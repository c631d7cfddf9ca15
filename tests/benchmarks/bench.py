"""`make bench`: rates as ratios to the yardstick of the same run, each with its correctness check; writes build/bench.json.

What is measured, and the targets: PERFORMANCE.md. The yardstick is psql COPY BINARY of the same readings, one row each.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import measured
import psycopg
import servers
import yardstick
from reference import MEASURED, references
from workload import Workload

from processors.store import Store

QUARTERS_A_DAY = 96
DERIVED_DAYS = 3
"""The last days of the prefill are digested by the engine; those before are record rows alone, for the size of the tables."""
OUTPUT = Path("build/bench.json")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    value: float
    unit: str
    target: str
    met: bool | None
    correct: bool


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rows: int
    """Quarter hours in the yardstick's file."""
    prefill_days: int
    quarters: int
    """A run of the worker."""
    runs: int
    small_quarters: int
    """The run with 5 points a unit."""


FULL = Plan(rows=20, prefill_days=3, quarters=48, runs=3, small_quarters=48)
QUICK = Plan(rows=8, prefill_days=0, quarters=12, runs=1, small_quarters=8)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; 1 where a figure is not correct."""
    chosen = _parser().parse_args(arguments)
    plan = QUICK if chosen.quick else FULL
    if chosen.prefill_days is not None:
        plan = Plan(**{**asdict(plan), "prefill_days": chosen.prefill_days})
    if chosen.runs is not None:
        plan = Plan(**{**asdict(plan), "runs": chosen.runs})
    bench = Bench(plan)
    bench.all()
    bench.write()
    return 0 if all(row.correct for row in bench.rows) else 1


class Bench:
    """One run of everything."""

    def __init__(self, plan: Plan) -> None:
        """Nothing is measured yet."""
        self.plan = plan
        self.rows: list[Row] = []
        self._started = time.monotonic()
        self._yardstick = 0.0

    def all(self) -> None:
        """Every part, in order."""
        self.say(
            f"{self.plan}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; psql is {servers.which_psql()}"
        )
        self.stores()
        self.worker(
            "one worker",
            Workload(begins=max(0, self.plan.prefill_days - DERIVED_DAYS) * QUARTERS_A_DAY),
            self.plan.quarters,
            self.plan.runs,
        )
        self.worker("one worker, 5 points a unit", Workload(points=5), self.plan.small_quarters, 1)

    def stores(self) -> None:
        """The yardstick and the store alone."""
        workload = Workload()
        with servers.database() as url:
            rates, correct = yardstick.rates(url, workload, self.plan.rows, 3)
            self._yardstick = statistics.median(rates)
            self.add(
                "yardstick: psql COPY BINARY, a row a reading",
                self._yardstick,
                "readings/s",
                "",
                None,
                correct=correct,
            )
            self.add(
                "  spread of its three runs",
                max(rates) / min(rates),
                "max/min",
                "",
                None,
                correct=correct,
            )
            rates, correct = yardstick.store_rates(url, workload, self.plan.rows, 3)
            ratio = statistics.median(rates) / self._yardstick
            self.add(
                "store alone, record rows",
                ratio,
                "of the yardstick",
                ">= 5",
                ratio >= 5,
                correct=correct,
            )

    def worker(self, name: str, workload: Workload, quarters: int, runs: int) -> None:
        """Runs of one worker, one after the other over one log."""
        prefill = (
            self.plan.prefill_days * QUARTERS_A_DAY if workload.points == Workload.points else 0
        )
        first = prefill
        with (
            servers.database() as url,
            servers.topic_prefix(workload.partitions, MEASURED) as prefix,
            references(workload) as reference,
        ):
            with closing(Store(url)) as store:
                store.save_configuration(workload.configuration())
            if prefill:
                with psycopg.connect(url, autocommit=True) as link:
                    count = yardstick.prefill(link, workload, 0, workload.begins)
                self.say(
                    f"{name}: prefilled {count:,} readings as rows; now {(prefill - workload.begins) // QUARTERS_A_DAY} days derived"
                )
                count = reference.prefill(url, prefill - workload.begins)
                with psycopg.connect(url, autocommit=True) as link:
                    link.execute("VACUUM ANALYZE")
                self.say(f"{name}: derived {count:,} readings")
            ends = dict.fromkeys(range(workload.partitions), 0)
            found: list[measured.Run] = []
            wrong: list[str] = []
            for number in range(runs):
                begin = number == 0 and not prefill
                added = measured.fill(prefix, workload, first, quarters, begin=begin)
                ends = {partition: end + added[partition] for partition, end in ends.items()}
                self.say(f"{name}: {sum(added.values()):,} records in the topic, now the worker")
                found.append(measured.measure(url, prefix, ends))
                wrong += reference.compare(url, first, quarters, begin=begin)
                first += quarters
                self.say(
                    f"{name}: {found[-1].rate:,.0f} readings/s in {found[-1].steps} steps; differs in {wrong or 'nothing'}"
                )
            with psycopg.connect(url, autocommit=True) as link:
                said = workload.said(workload.begins, first - workload.begins)
                before = yardstick.sums_before(link, workload)
                stored = yardstick.sums(link)
                if stored != (said[0] + before[0], said[1] + before[1]):
                    wrong.append(f"readings: {stored} are stored, {said} were said after {before}")
                    self.say(wrong[-1])
        self._tell(name, found, workload, correct=not wrong)

    def _tell(
        self, name: str, runs: Sequence[measured.Run], workload: Workload, *, correct: bool
    ) -> None:
        run = sorted(runs, key=lambda one: one.rate)[len(runs) // 2]
        ratio = run.rate / self._yardstick
        main_run = workload.points == Workload.points
        self.add(
            name,
            ratio,
            "of the yardstick",
            ">= 0.45" if main_run else "",
            ratio >= 0.45 if main_run else None,
            correct=correct,
        )
        self.add("  rate", run.rate, "readings/s", "", None, correct=correct)
        for stage, seconds in run.stages.items():
            self.add(f"  {stage}", seconds * 1e6, "us a reading", "", None, correct=correct)
        self.add(
            "  worker, processor time",
            run.worker_seconds * 1e6,
            "us a reading",
            "",
            None,
            correct=correct,
        )
        self.add(
            "  database, processor time",
            run.database_seconds * 1e6,
            "us a reading",
            "",
            None,
            correct=correct,
        )
        self.add(
            "  look-ups",
            run.fetches,
            f"({run.in_flight} in flight)",
            "",
            None,
            correct=correct,
        )
        disk, wal = (
            statistics.median(column)
            for column in ([r.disk / r.readings for r in runs], [r.wal / r.readings for r in runs])
        )
        self.add(
            "  on disk, everything kept",
            disk,
            "bytes a reading",
            "<= 25" if main_run else "",
            disk <= 25 if main_run else None,
            correct=correct,
        )
        self.add(
            "  WAL",
            wal,
            "bytes a reading",
            "<= 70" if main_run else "",
            wal <= 70 if main_run else None,
            correct=correct,
        )
        others = sum(r.others for r in runs)
        if others:
            self.say(
                f"other databases of the server wrote {others:,} rows meanwhile; their WAL counts above"
            )

    def add(
        self, name: str, value: float, unit: str, target: str, met: bool | None, *, correct: bool
    ) -> None:
        """A line of the table, said at once."""
        self.rows.append(Row(name, value, unit, target, met, correct))
        self.say(_line(self.rows[-1]))

    def say(self, text: str) -> None:
        """A line of progress."""
        print(f"[{time.monotonic() - self._started:5.0f} s] {text}", flush=True)

    def write(self) -> None:
        """The table, and build/bench.json."""
        print(f"\n{'':46}{'value':>12}  {'unit':18}{'target':10}{'met':6}correct")
        for row in self.rows:
            print(_line(row))
        OUTPUT.parent.mkdir(exist_ok=True)
        OUTPUT.write_text(
            json.dumps({"rows": [asdict(row) for row in self.rows]}, indent=1) + "\n",
            encoding="utf-8",
        )
        print(f"\nwritten to {OUTPUT}")


def _line(row: Row) -> str:
    value = f"{row.value:,.0f}" if row.value >= 1000 else f"{row.value:.3g}"
    met = {None: "", True: "yes", False: "NO"}[row.met]
    return f"{row.name:46}{value:>12}  {row.unit:18}{row.target:10}{met:6}{'true' if row.correct else 'FALSE'}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute: no prefill, one short run")
    parser.add_argument(
        "--prefill-days",
        type=int,
        metavar="DAYS",
        help="days of data before what is measured; 30 is PERFORMANCE.md's, 3 the default",
    )
    parser.add_argument(
        "--runs", type=int, metavar="N", help="runs of the worker; the median counts"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
