"""`make mutants`: ten mutations of the engine, each of which must fall to a law.

Each is applied to a copy of the tree; the laws run there until the first failure. A mutation that survives makes the exit code 1.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("schemas", "ingest", "processors", "alerts", "tests")
LAWS = "tests/processors/test_laws.py"


@dataclass(frozen=True)
class Mutation:
    """One wrong idea: what stands in a file, and what stands there instead."""

    name: str
    file: str
    right: str
    wrong: str


MUTATIONS = (
    Mutation(
        "arrival instead of the winner rule",
        "claims.py",
        "        self.claims.add(claim)\n",
        "        self.claims = {claim}\n",
    ),
    Mutation(
        "sent_at ignored",
        "claims.py",
        "        claim = (*key, new.value)\n",
        "        claim = (new.rank, new.revision, 0, new.value)\n",
    ),
    Mutation(
        "a repeat counted twice",
        "claims.py",
        "        if claim in self.claims:\n            return REPEATED\n",
        "        if claim in self.claims:\n            return ACCEPTED\n",
    ),
    Mutation(
        "rollover as a gain of zero",
        "segments.py",
        "    difference = (later - earlier) % dial * multiplier\n",
        "    difference = np.maximum(later - earlier, 0) % dial * multiplier\n",
    ),
    Mutation(
        "a gap's outside part ignored at a window's end",
        "amounts.py",
        "outside = allowed(rated, a, x) + allowed(rated, y, b)",
        "outside = allowed(rated, a, x)",
    ),
    Mutation(
        "a gap's outside part ignored at a window's start",
        "amounts.py",
        "outside = allowed(rated, a, x) + allowed(rated, y, b)",
        "outside = allowed(rated, y, b)",
    ),
    Mutation(
        "rejected as zero",
        "claims.py",
        "            return REJECTED\n",
        "            self.claims.add((new.rank, new.revision, new.sent_at, 0))\n            return REJECTED\n",
    ),
    Mutation(
        "high not lifted",
        "claims.py",
        "        return self.claimed if self.winner() is None else None\n",
        "        return None\n",
    ),
    Mutation(
        "tick before the readings of its own instant",
        "engine.py",
        'np.arange(len(part)), side="right"',
        'np.arange(len(part)) + 1, side="right"',
    ),
    Mutation(
        "an hour rounded twice",
        "conversion.py",
        "    twice = 2 * rest\n",
        "    rest = (rest * 8 + denominator // 2) // denominator * denominator // 8\n    twice = 2 * rest\n",
    ),
)


def main() -> int:
    """Run the laws on the tree as it is, then on each mutant."""
    print("the tree as it is: the laws must hold")
    if not _laws_hold(None):
        print("they do not: mend that first")
        return 1
    survivors = 0
    for mutation in MUTATIONS:
        began = time.monotonic()
        survives = _laws_hold(mutation)
        survivors += survives
        print(
            f"{'SURVIVES' if survives else 'falls':9} {mutation.name}  ({time.monotonic() - began:.0f} s)",
            flush=True,
        )
    print(f"{len(MUTATIONS) - survivors} of {len(MUTATIONS)} mutations fall")
    return 1 if survivors else 0


def _laws_hold(mutation: Mutation | None) -> bool:
    with tempfile.TemporaryDirectory(prefix="weir-mutant-") as place:
        copy = Path(place)
        for folder in FOLDERS:
            shutil.copytree(
                ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(ROOT / "pyproject.toml", copy)
        if mutation is not None:
            _apply(mutation, copy / "processors" / mutation.file)
        command = [
            sys.executable,
            "-m",
            "pytest",
            LAWS,
            "-x",
            "-q",
            "-p",
            "no:randomly",
            "-p",
            "no:cacheprovider",
            "--timeout=0",
        ]
        environment = os.environ | {"WEIR_LAWS": "mutants", "PYTHONPATH": str(copy)}
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, check=False)
        return b" failed" not in done.stdout and (mutation is not None or done.returncode == 0)


def _apply(mutation: Mutation, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if text.count(mutation.right) != 1:
        message = f"{mutation.name}: {mutation.file} holds {mutation.right!r} {text.count(mutation.right)} times, not once"
        raise SystemExit(message)
    path.write_text(text.replace(mutation.right, mutation.wrong), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
