"""Mutations of the stream, each of which must fall to a law: `python -m tests.mutants [WORD ...]`.

Each is applied to a copy of the tree, in which the laws run until one fails. The copy as it is must
pass first. Words choose the mutations whose names hold one of them.
"""

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("processors", "schemas", "tests/oracle", "tests/processors")
FILES = ("pyproject.toml", "tests/conftest.py", "tests/mutants.py")
LAWS = "tests/processors/test_laws.py"
PROFILE = "unshrunk"

# In the copy this module is the plugin that brings the profile: the same examples each time, and no
# shrinking, since nobody reads them.
settings.register_profile(
    PROFILE,
    max_examples=300,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Swap:
    """Text of a file, as `ast.unparse` writes it whatever its layout, and what stands instead."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutation:
    """A mistake that somebody could make."""

    name: str
    swaps: tuple[Swap, ...]


AMOUNTS = "processors/amounts.py"
CLAIMS = "processors/claims.py"
ENGINE = "processors/engine.py"
REBUILD = "processors/rebuild.py"
RATES = "processors/rates.py"
RESTATEMENT = "processors/restatement.py"
SEGMENTS = "processors/segments.py"
WINDOWS = "processors/windows.py"

BEST = "max(self.claims, default=None)"
BEST_STANDING = (
    "max((claim for claim in self.claims if not self._is_withdrawn(claim)), default=None)"
)
LAST_STANDING = "next((c for c in reversed(self.claims) if not self._is_withdrawn(c)), None)"
CLAIM_SET = "claims: set[tuple[int, int, int, int]] = field(default_factory=set)"
CLAIM_DICT = "claims: dict[tuple[int, int, int, int], None] = field(default_factory=dict)"
OUTSIDE = "outside = allowed(rated, a, x) + allowed(rated, y, b)"
TAKE = """            if len(some):
                yield from self._take(readings, series, some, claims, classes, outcome)
"""
JUDGE = """            if number in chunk.moments:
                yield from judge(self.state, chunk.moments[number], outcome.told)
"""
FACTOR = "numerator[rate, t, year], denominator[rate, t, year]"

MUTATIONS = (
    Mutation(
        "openings of lines forgotten",
        (Swap("processors/line_openings.py", "one.year == year", "one.year != year"),),
    ),
    Mutation(
        "arrival instead of the winner rule",
        (
            Swap(CLAIMS, CLAIM_SET, CLAIM_DICT),
            Swap(CLAIMS, "self.claims.add(claim)", "self.claims[claim] = None"),
            Swap(CLAIMS, BEST, "next(reversed(self.claims), None)"),
            Swap(CLAIMS, BEST_STANDING, LAST_STANDING),
        ),
    ),
    Mutation(
        "sent_at ignored",
        tuple(
            Swap(CLAIMS, best, best.replace("default", "key=lambda c: (*c[:2], c[3]), default"))
            for best in (BEST, BEST_STANDING)
        ),
    ),
    Mutation(
        "a repeat counted twice",
        (
            Swap(
                CLAIMS,
                "if claim in self.claims:\n            return REPEATED",
                "if claim in self.claims:\n            return ACCEPTED",
            ),
        ),
    ),
    Mutation(
        "rollover as a gain of zero",
        (
            Swap(
                SEGMENTS,
                "difference = (later - earlier) % dial * multiplier",
                "difference = np.maximum(later - earlier, 0) * multiplier",
            ),
            Swap(
                SEGMENTS,
                "low = (later - earlier) % dial * multiplier",
                "low = max(later - earlier, 0) * multiplier",
            ),
        ),
    ),
    Mutation(
        "a gap's outside part ignored at a window's end",
        (Swap(AMOUNTS, OUTSIDE, "outside = allowed(rated, a, x)"),),
    ),
    Mutation(
        "a gap's outside part ignored at a window's start",
        (Swap(AMOUNTS, OUTSIDE, "outside = allowed(rated, y, b)"),),
    ),
    Mutation(
        "rejected as zero",
        (
            Swap(
                CLAIMS,
                "return None if best is None else best[3]",
                "return (None if self.claimed is None else 0) if best is None else best[3]",
            ),
        ),
    ),
    Mutation(
        "high not lifted",
        (Swap(CLAIMS, "return self.claimed if self.winner() is None else None", "return None"),),
    ),
    Mutation(
        "tick before the readings of its own instant",
        (Swap(ENGINE, TAKE + JUDGE, JUDGE + TAKE),),
    ),
    Mutation(
        "an hour rounded twice",
        (
            Swap(
                WINDOWS,
                f"(converted(best, {FACTOR}) for t in (0, 1))",
                f"(converted(converted(best, 10 * {FACTOR}), np.int64(1), np.int64(10)) "
                "for t in (0, 1))",
            ),
        ),
    ),
    Mutation(
        "what was rejected is not judged again",
        (Swap(REBUILD, "((_AGAIN, ~self._too_old(row)),)", "()"),),
    ),
    Mutation(
        "a meter's exchange leaves its readings to the first meter",
        (Swap(ENGINE, "indices[np.maximum(place, 0)]", "indices[0 * place]"),),
    ),
    Mutation(
        "a claim that the entry no longer admits still counts",
        (
            Swap(
                CLAIMS,
                "if state.revised[state.p_unit[state.s_point[series]]]:",
                "if False:",
            ),
        ),
    ),
    Mutation(
        "a restated unit keeps its factors",
        (Swap(RESTATEMENT, "state.convert_by(u, state.pack_at(asked.version))", "pass"),),
    ),
    Mutation(
        "own generation has CO2",
        (Swap(RATES, "is_energy and (not self.self_generated)", "is_energy"),),
    ),
    Mutation(
        "what a product fixes is emitted",
        (Swap(RATES, "-1 if total < 0 else 1", "1"),),
    ),
    Mutation(
        "the supplier's heat value goes before the unit's own",
        (Swap("schemas/co2.py", "return min(held", "return max(held"),),
    ),
)


@contextmanager
def copy_of_the_tree() -> Iterator[Path]:
    """What the laws need, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="weir-mutant-") as folder:
        for name in COPIED:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, Path(folder, name), ignore=ignored)
        for name in FILES:
            shutil.copy(ROOT / name, Path(folder, name))
        yield Path(folder)


def apply(mutation: Mutation, tree: Path) -> None:
    """Make the mistake. Raises LookupError where the source no longer reads as the mutation says."""
    for swap in mutation.swaps:
        file = tree / swap.file
        text = ast.unparse(ast.parse(file.read_text(encoding="utf-8")))
        if text.count(swap.old) != 1:
            message = f"{mutation.name}: {swap.file} has {text.count(swap.old)} times: {swap.old}"
            raise LookupError(message)
        file.write_text(text.replace(swap.old, swap.new), encoding="utf-8")


@dataclass(frozen=True)
class Run:
    """How the laws ended."""

    code: int
    output: str
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every law held."""
        return self.code == 0

    @property
    def fallen_to(self) -> str:
        """The law that did not hold, "" where there is none; an exception is no law."""
        found = re.search(rf"^FAILED {re.escape(LAWS)}::(\w+)", self.output, re.MULTILINE)
        held = re.search(r"^E +(assert|AssertionError)\b", self.output, re.MULTILINE) is None
        return found.group(1) if found and not held and self.code == 1 else ""


def run_laws(tree: Path) -> Run:
    """The laws of a tree, until one fails."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "pytest", LAWS, "-x", "-q", "--timeout=0", "--tb=short"]
    command += ["-p", "no:randomly", "-p", "tests.mutants", f"--hypothesis-profile={PROFILE}"]
    done = subprocess.run(
        command,
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    return Run(done.returncode, done.stdout + done.stderr, time.perf_counter() - begun)


def laws_of(mutation: Mutation | None) -> Run:
    """The laws on a copy of the tree, with the mistake."""
    with copy_of_the_tree() as tree:
        if mutation is not None:
            apply(mutation, tree)
        return run_laws(tree)


def told(name: str, run: Run) -> str:
    """One line of the table; what neither passed nor failed as a law is told in full."""
    what = f"falls to {run.fallen_to}" if run.fallen_to else "all laws hold"
    if not run.passed and not run.fallen_to:
        what = "does not run:\n" + "\n".join(run.output.splitlines()[-5:])
    return f"{name:50} {what:45} {run.seconds:6.1f} s"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all fall, 1 one survives or the tree as it is does not pass."""
    parser = argparse.ArgumentParser("python -m tests.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="only mutations whose names hold one of these")
    words = parser.parse_args(arguments).words
    chosen = [m for m in MUTATIONS if not words or any(word in m.name for word in words)]
    whole = laws_of(None)
    print(told("(the tree as it is)", whole), flush=True)
    if not whole.passed:
        return 1
    survivors = []
    for mutation in chosen:
        run = laws_of(mutation)
        print(told(mutation.name, run), flush=True)
        survivors += [] if run.fallen_to else [mutation.name]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutations fall", *survivors, sep="\n")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
