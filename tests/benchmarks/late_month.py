"""A unit that was silent for a month, and speaks again, says all of the month at once: 50 points, 144,000 readings, derived again."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import measured
import psycopg
from plan import QUARTERS_A_DAY, Bench
from table import at_most
from worker_rows import log_of
from workload import PAIR, Workload

from schemas.section import Section


@dataclass(frozen=True)
class SilentUnit(Workload):
    """Unit 0 says nothing of the quarter hours before `silent_until` until two after it, and then everything.

    It has spoken again before, so that all of it is late: older than what its points said last.
    """

    silent_until: int = 0
    late: float = 0.0
    repeated: float = 0.0

    def arrivals(self, pair: int) -> Iterator[tuple[int, tuple[Section, ...]]]:
        """In the second pair after the silence its sections of before come first."""
        mine = self.section(0, pair, received=pair).unit
        silence = self.silent_until // PAIR
        if pair == silence + 1:
            for earlier in range(silence):
                yield self._partition[0], (self.section(0, earlier, received=pair),)
        for partition, sections in super().arrivals(pair):
            if pair >= silence or all(section.unit != mine for section in sections):
                yield partition, sections


def late_month(bench: Bench) -> None:
    """From the first record's sending until all of them are in the database."""
    quarters = bench.plan.late_days * QUARTERS_A_DAY
    workload = SilentUnit(units=20, silent_until=quarters)
    name = "a unit-month that arrives late"
    with log_of(bench, name, workload) as log:
        log.run(quarters + PAIR, 1)
        records = measured.encoded(workload, log.first, PAIR, begin=False)
        with (
            psycopg.connect(log.url, autocommit=True) as link,
            measured.worker(log.url, log.prefix) as one,
        ):
            measured.wait_shared_out([one], workload.partitions)
            begun = time.monotonic()
            log.ends = measured.send(log.prefix, records, log.ends)
            while sum(measured.next_offsets(link).values()) < sum(log.ends.values()):
                time.sleep(0.02)
            seconds = time.monotonic() - begun
            looked_up = one.metrics()["weir_fetches_total"]
            measured.wait_for(link, [one], log.ends)
        log.compare(PAIR)
        log.compare_sums()
    correct = not log.wrong
    target = at_most(2) if bench.plan.late_days >= 30 else None
    bench.table.add(name, seconds, "s", target, correct=correct)
    readings = quarters * workload.points
    bench.table.add("  its readings", readings, f"({looked_up:.0f} look-ups)", correct=correct)
