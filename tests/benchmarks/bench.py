"""`make bench`: rates as ratios to the yardstick of the same run, each with its correctness check.

Writes build/bench.json, and BENCHMARKS.md if asked to. The yardstick is psql COPY BINARY of the same readings,
one row each; it is measured whatever else is asked for.
"""

import argparse
import os
import shlex
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import against
import chain
import held
import late_month
import others_rows
import reads
import servers
import worker_rows
import yardstick
from plan import FULL, QUICK, Bench
from table import Table, at_least
from workload import Workload


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; 1 where a figure is not correct."""
    chosen = _parser().parse_args(arguments)
    plan = QUICK if chosen.quick else FULL
    if chosen.prefill_days is not None:
        plan = replace(plan, prefill_days=chosen.prefill_days)
    if chosen.runs is not None:
        plan = replace(plan, runs=chosen.runs)
    bench = Bench(plan, Table(), chosen.against)
    bench.say(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores; {plan}")
    rows = _asked(chosen)
    with bench.table.stage("yardstick"):
        _yardstick(bench)
    for name in rows:
        with bench.table.stage(name):
            ROWS[name][0](bench)
        bench.table.write_json()
    bench.table.print()
    if chosen.document:
        bench.table.write_document(shlex.join(["make", "bench", *_as_made(chosen)]))
    return 0 if bench.table.is_correct() else 1


def _asked(chosen: argparse.Namespace) -> list[str]:
    compared = [ON_REQUEST] if chosen.against else []
    if chosen.rows or compared:
        return [name for name in ROWS if name in [*(chosen.rows or ()), *compared]]
    return [name for name in ROWS if name != ON_REQUEST]


def _as_made(chosen: argparse.Namespace) -> list[str]:
    words = [f"ROWS={','.join(chosen.rows)}"] if chosen.rows else []
    words += ["QUICK=1"] if chosen.quick else []
    words += [f"AGAINST={chosen.against}"] if chosen.against else []
    words += [f"RUNS={chosen.runs}"] if chosen.runs else []
    words += [f"DAYS={chosen.prefill_days}"] if chosen.prefill_days is not None else []
    return words


def _yardstick(bench: Bench) -> None:
    with servers.database() as url:
        rates, correct = yardstick.rates(url, Workload(), bench.plan.rows, 3)
    bench.yardstick = statistics.median(rates)
    add = bench.table.add
    name = "yardstick: psql COPY BINARY, a row a reading"
    add(name, bench.yardstick, "readings/s", correct=correct)
    add("  spread of its three runs", max(rates) / min(rates), "max/min", correct=correct)


def _store(bench: Bench) -> None:
    with servers.database() as url:
        rates, correct = yardstick.store_rates(url, Workload(), bench.plan.rows, 3)
    ratio = statistics.median(rates) / bench.yardstick
    name = "store alone, record rows"
    bench.table.add(name, ratio, "of the yardstick", at_least(5), correct=correct)


ROWS: Mapping[str, tuple[Callable[[Bench], None], str]] = {
    "store": (_store, "the store alone"),
    "one": (worker_rows.one, "one worker; its memory with 100,000 points; disk and WAL"),
    "two": (worker_rows.two, "two workers"),
    "points5": (worker_rows.five_points, "one worker, units of 5 points"),
    "points2000": (worker_rows.large_unit, "one unit of 2,000 points"),
    "mqtt": (chain.chain, "the chain from MQTT to the database"),
    "singles": (chain.singles, "each reading its own message, by MQTT"),
    "reads": (reads.reads, "queries over a prefilled database"),
    "restart": (held.restart, "restart of a worker with 100,000 points"),
    "latency": (held.latency, "from published to visible, at a tenth of the peak"),
    "late": (late_month.late_month, "a unit-month that arrives late"),
    "tutorial": (others_rows.tutorial, "for comparison: a worker as tutorials write it"),
    "quix": (others_rows.quix, "for comparison: a Quix Streams job with the same windows"),
    "telegraf": (others_rows.telegraf, "for comparison: Telegraf, which stores readings alone"),
    "against": (against.against, "an earlier commit, run by run beside this one"),
}
ON_REQUEST = "against"
"""Only where it is named, or a commit is."""


def _names(text: str) -> list[str]:
    names = [name for name in text.replace(" ", ",").split(",") if name]
    unknown = sorted(set(names) - set(ROWS))
    if unknown:
        message = f"no such rows: {', '.join(unknown)}; there are {', '.join(ROWS)}"
        raise argparse.ArgumentTypeError(message)
    return names


def _parser() -> argparse.ArgumentParser:
    told = "\n".join(f"  {name:12}{text}" for name, (_, text) in ROWS.items())
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=f"rows:\n{told}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", type=_names, metavar="A,B", help="these alone (all but against)")
    parser.add_argument("--quick", action="store_true", help="short runs, to see that all works")
    parser.add_argument("--against", default="", metavar="COMMIT", help="compare with a commit")
    parser.add_argument(
        "--prefill-days",
        type=int,
        metavar="DAYS",
        help="days of data before what is measured; 30 is the fixed workload's, 3 the default",
    )
    parser.add_argument(
        "--runs", type=int, metavar="N", help="runs (3) or rounds (5); the median counts"
    )
    parser.add_argument("--document", action="store_true", help="write BENCHMARKS.md")
    return parser


if __name__ == "__main__":
    sys.exit(main())
