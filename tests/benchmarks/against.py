"""An earlier commit, round by round beside the present one: the same records, a database and a log each."""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import measured
import psycopg
import servers
import yardstick
from plan import Bench
from reference import MEASURED, References, references
from workload import Workload

from deploy.local.state import CHECKOUT

ROUNDS = 5
_TREES = CHECKOUT / "build" / "against"
_HERE = Path(__file__).parent
# By the side's own code: its migrations and its store, and the workload of today.
# The address comes by standard input: it holds a password, and every user sees a command line.
_PREPARE = """
import sys
from contextlib import closing
from processors import migrate
from processors.store import Store
from workload import Workload
url = sys.stdin.read()
migrate.up(url)
with closing(Store(url)) as store:
    store.save_configuration(Workload().configuration())
"""


@dataclass
class Side:
    """A checkout with a database and a log of its own."""

    name: str
    tree: Path
    url: str
    prefix: str
    ends: dict[int, int]
    runs: list[measured.Run] = field(default_factory=list)


def against(bench: Bench) -> None:
    """The median of the rounds' ratios, and how far they spread."""
    rounds = 1 if bench.plan.runs == 1 else max(ROUNDS, bench.plan.runs)
    workload, quarters = Workload(), bench.plan.quarters
    with (
        _checkout(bench.against or "HEAD~1") as (commit, tree),
        _side(f"earlier ({commit})", tree, workload) as earlier,
        _side("present", CHECKOUT, workload) as present,
        references(workload) as reference,
    ):
        for number in range(rounds):
            records = measured.encoded(workload, number * quarters, quarters, begin=number == 0)
            for side in (earlier, present) if number % 2 else (present, earlier):
                run, side.ends = measured.measure(
                    side.url, side.prefix, records, side.ends, tree=side.tree
                )
                side.runs.append(run)
                bench.say(f"round {number + 1}, {side.name}: {run.rate:,.0f} readings/s")
            reference.digest(number * quarters, quarters, begin=number == 0)
        sides = (earlier, present)
        correct = [_is_correct(bench, one, reference, rounds * quarters) for one in sides]
    _tell(bench, earlier, present, correct)


def _tell(bench: Bench, earlier: Side, present: Side, correct: list[bool]) -> None:
    pairs = zip(present.runs, earlier.runs, strict=True)
    ratios = [new.rate / old.rate for new, old in pairs]
    both = all(correct)
    add = bench.table.add
    name = f"present to {earlier.name}, one worker"
    add(name, statistics.median(ratios), "times", correct=both)
    add("  least of the rounds", min(ratios), "times", correct=both)
    add("  greatest of the rounds", max(ratios), "times", correct=both)
    for side, right in zip((earlier, present), correct, strict=True):
        rate = statistics.median(run.rate for run in side.runs)
        add(f"  {side.name}", rate, "readings/s", correct=right)


def _is_correct(bench: Bench, side: Side, reference: References, quarters: int) -> bool:
    """All readings are there; what the earlier one tells otherwise than the present is said, and no fault of it."""
    differs = reference.differences(side.url)
    with psycopg.connect(side.url) as link:
        stored = yardstick.sums(link)
    if differs:
        bench.table.note(f"{side.name} differs from the present engine in {', '.join(differs)}.")
    whole = stored == Workload().said(0, quarters)
    return whole and (side.tree != CHECKOUT or not differs)


@contextmanager
def _side(name: str, tree: Path, workload: Workload) -> Iterator[Side]:
    with (
        servers.database(migrated=False) as url,
        servers.topic_prefix(workload.partitions, MEASURED) as prefix,
    ):
        path = os.pathsep.join([str(tree), str(_HERE)])
        subprocess.run(
            [sys.executable, "-c", _PREPARE],
            input=url,
            text=True,
            cwd=tree,
            env=os.environ | {"PYTHONPATH": path},
            check=True,
        )
        yield Side(name, tree, url, prefix, measured.no_records(workload))


@contextmanager
def _checkout(commit: str) -> Iterator[tuple[str, Path]]:
    """The commit's short name, and a git worktree of it below build/; gone in the end."""
    short = _git("rev-parse", "--short", "--verify", f"{commit}^{{commit}}").strip()
    tree = _TREES / short
    if tree.exists():
        _git("worktree", "remove", "--force", str(tree))
    _git("worktree", "add", "--detach", str(tree), short)
    try:
        yield short, tree
    finally:
        _git("worktree", "remove", "--force", str(tree))


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", *words],  # noqa: S607 - found on the user's PATH, as make finds it
        cwd=CHECKOUT,
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        message = f"git {words[0]}: {done.stderr.strip()}"
        raise SystemExit(message)
    return done.stdout
