"""Workers on the fixed workload: one, two, few points a unit, one unit of very many."""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

import measured
import psycopg
import servers
import yardstick
from plan import QUARTERS_A_DAY, Bench
from reference import MEASURED, References, references
from table import Target, at_least, at_most
from workload import Workload

from processors.store import Store

DERIVED_DAYS = 3
"""The last days of the prefill are digested by the engine; those before are record rows alone, for the size of the tables."""
ONE_TARGET, TWO_TARGET = 0.45, 0.8


def one(bench: Bench) -> None:
    """One worker, on a database with days in it."""
    run = _row(bench, "one worker", _main(bench), at_least(ONE_TARGET), prefill=True)
    bench.peak = run.rate
    bench.table.add(
        "memory of a worker with 100,000 points, at most",
        run.memory,
        "MiB",
        at_most(500),
        correct=bench.table.rows[-1].correct,
    )


def two(bench: Bench) -> None:
    """The same, two workers."""
    _row(bench, "two workers", _main(bench), at_least(TWO_TARGET), prefill=True, workers=2)


def five_points(bench: Bench) -> None:
    """Units of 5 points."""
    workload = Workload(points=5)
    _row(bench, "one worker, 5 points a unit", workload, quarters=bench.plan.small_quarters)


def large_unit(bench: Bench) -> None:
    """One unit of 2,000 points: a partition, and nothing to share out."""
    workload = Workload(units=1, points=2_000)
    half = (bench.peak / bench.yardstick if bench.peak else ONE_TARGET) / 2
    _row(
        bench,
        "one unit of 2,000 points",
        workload,
        at_least(round(half, 3)),
        quarters=bench.plan.large_quarters,
    )


def _main(bench: Bench) -> Workload:
    return Workload(begins=max(0, bench.plan.prefill_days - DERIVED_DAYS) * QUARTERS_A_DAY)


@dataclass
class Log:
    """A database, a log and a reference that go on together, span after span."""

    bench: Bench
    name: str
    workload: Workload
    url: str
    prefix: str
    reference: References
    first: int
    """Quarter hour that comes next."""
    begin: bool
    """Nothing is in the log yet that names the units."""
    ends: dict[int, int]
    wrong: list[str] = field(default_factory=list)

    def run(self, quarters: int, workers: int) -> measured.Run:
        """One run over the next span, compared."""
        records = measured.encoded(self.workload, self.first, quarters, begin=self.begin)
        self.bench.say(f"{self.name}: {len(records):,} records")
        run, self.ends = measured.measure(
            self.url, self.prefix, records, self.ends, workers=workers
        )
        self.compare(quarters)
        self.bench.say(
            f"{self.name}: {run.rate:,.0f} readings/s in {run.steps} steps; differs in {self.wrong or 'nothing'}"
        )
        return run

    def compare(self, quarters: int) -> None:
        """What is stored with what the reference makes of the next span."""
        self.wrong += self.reference.compare(self.url, self.first, quarters, begin=self.begin)
        self.first, self.begin = self.first + quarters, False

    def compare_sums(self) -> None:
        """As many readings as were said, and the same in sum."""
        said = self.workload.said(self.workload.begins, self.first - self.workload.begins)
        with psycopg.connect(self.url, autocommit=True) as link:
            before = yardstick.sums_before(link)
            stored = yardstick.sums(link)
        if stored != (said[0] + before[0], said[1] + before[1]):
            self.wrong.append(f"readings: {stored} are stored, {said} were said after {before}")
            self.bench.say(self.wrong[-1])


@contextmanager
def log_of(bench: Bench, name: str, workload: Workload, prefill_days: int = 0) -> Iterator[Log]:
    """With so many days in the database; gone in the end."""
    prefill = prefill_days * QUARTERS_A_DAY
    with (
        servers.database() as url,
        servers.topic_prefix(workload.partitions, MEASURED) as prefix,
        references(workload) as reference,
    ):
        with closing(Store(url)) as store:
            store.save_configuration(workload.configuration())
        ends = measured.no_records(workload)
        log = Log(bench, name, workload, url, prefix, reference, prefill, not prefill, ends)
        if prefill:
            _prefill(log, prefill)
        yield log


def _prefill(log: Log, quarters: int) -> None:
    workload = log.workload
    with psycopg.connect(log.url, autocommit=True) as link:
        copied = yardstick.prefill(link, workload, 0, workload.begins)
    log.bench.say(f"{log.name}: {copied:,} readings copied as rows")
    derived = log.reference.prefill(log.url, quarters - workload.begins)
    with psycopg.connect(log.url, autocommit=True) as link:
        link.execute("VACUUM ANALYZE")
    log.bench.say(f"{log.name}: {derived:,} readings derived")


def _row(
    bench: Bench,
    name: str,
    workload: Workload,
    target: Target | None = None,
    *,
    prefill: bool = False,
    workers: int = 1,
    quarters: int = 0,
) -> measured.Run:
    """Runs one after the other over one log; the median counts."""
    plan = bench.plan
    runs = plan.runs if prefill else 1
    with log_of(bench, name, workload, plan.prefill_days if prefill else 0) as log:
        found = [log.run(quarters or plan.quarters, workers) for _ in range(runs)]
        log.compare_sums()
    return _tell(bench, name, found, target, prefill=prefill, correct=not log.wrong)


def _tell(
    bench: Bench,
    name: str,
    runs: Sequence[measured.Run],
    target: Target | None,
    *,
    prefill: bool,
    correct: bool,
) -> measured.Run:
    run = sorted(runs, key=lambda one: one.rate)[len(runs) // 2]
    add = bench.table.add
    add(name, run.rate / bench.yardstick, "of the yardstick", target, correct=correct)
    add("  rate", run.rate, "readings/s", correct=correct)
    for stage, seconds in run.stages.items():
        add(f"  {stage}", seconds * 1e6, "us a reading", correct=correct)
    add("  workers, processor time", run.worker_seconds * 1e6, "us a reading", correct=correct)
    add("  database, processor time", run.database_seconds * 1e6, "us a reading", correct=correct)
    add("  look-ups", run.fetches, f"({run.in_flight} in flight)", correct=correct)
    disk = statistics.median(r.disk / r.readings for r in runs)
    wal = statistics.median(r.wal / r.readings for r in runs)
    # The first bytes of small tables are many a reading: the targets are of the prefilled database.
    disk_target, wal_target = (at_most(25), at_most(70)) if prefill else (None, None)
    add("  on disk, everything kept", disk, "bytes a reading", disk_target, correct=correct)
    add("  WAL", wal, "bytes a reading", wal_target, correct=correct)
    others = sum(r.others for r in runs)
    if others:
        bench.table.note(
            f"{name}: other databases of the server wrote {others:,} rows meanwhile, and their WAL counts as ours."
        )
    return run
