"""The benchmark's table: lines with targets and correctness, printed, and written to build/bench.json and BENCHMARKS.md."""

import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

OUTPUT = Path("build/bench.json")
DOCUMENT = Path("BENCHMARKS.md")


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
class Target:
    """What a value is held to: `>= 0.45`, `<= 0.3`."""

    sign: str
    limit: float

    def __str__(self) -> str:
        """As in PERFORMANCE.md."""
        return f"{self.sign} {self.limit:g}"

    def is_met(self, value: float) -> bool:
        """Whether the value holds it."""
        return value >= self.limit if self.sign == ">=" else value <= self.limit


def at_least(limit: float) -> Target:
    """The value or more."""
    return Target(">=", limit)


def at_most(limit: float) -> Target:
    """The value or less."""
    return Target("<=", limit)


@dataclass
class Table:
    """Lines, and what was said on the way: progress goes to standard error, the table to standard output."""

    rows: list[Row] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)
    """Seconds by part of the benchmark."""
    notes: list[str] = field(default_factory=list)
    load: tuple[float, float, float] = field(default_factory=os.getloadavg)
    started: float = field(default_factory=time.monotonic)

    def add(
        self,
        name: str,
        value: float,
        unit: str,
        target: Target | None = None,
        *,
        correct: bool,
    ) -> None:
        """A line of the table, said at once."""
        met = target.is_met(value) if target else None
        self.rows.append(Row(name, value, unit, str(target or ""), met, correct))
        self.say(line(self.rows[-1]))

    def say(self, text: str) -> None:
        """A line of progress."""
        print(f"[{time.monotonic() - self.started:5.0f} s] {text}", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        """Something that belongs beside the figures."""
        self.notes.append(text)
        self.say(text)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of a part."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.stages[name] = time.monotonic() - begun

    def is_correct(self) -> bool:
        """Whether every figure is."""
        return all(row.correct for row in self.rows)

    def write_json(self) -> None:
        """`{"rows": [...]}` of build/bench.json."""
        OUTPUT.parent.mkdir(exist_ok=True)
        rows = [asdict(row) for row in self.rows]
        OUTPUT.write_text(json.dumps({"rows": rows}, indent=1) + "\n", encoding="utf-8")

    def print(self) -> None:
        """All lines."""
        print(f"{'':50}{'value':>12}  {'unit':18}{'target':10}{'met':6}correct")
        for row in self.rows:
            print(line(row))

    def write_document(self, command: str) -> None:
        """BENCHMARKS.md: the command, the machine, the date, the load, the table."""
        DOCUMENT.write_text(self._document(command), encoding="utf-8")

    def _document(self, command: str) -> str:
        lines = [
            "# Benchmarks",
            "",
            f"Written by `{command}` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, in {time.monotonic() - self.started:.0f} s.",
            "",
            f"Machine: {os.cpu_count()} cores ({_processor()}), {_memory_gib():.0f} GiB, {platform.system()} {platform.release()}, Python {platform.python_version()}.",
            "",
            f"Load average of the last 1, 5 and 15 minutes before it began: {', '.join(f'{one:.1f}' for one in self.load)}.",
            "Above 0.5 other processes took their share, and no figure below tells what the machine can do.",
            "",
            "A throughput is a ratio to the yardstick of the same run:",
            "`psql COPY BINARY` of the same readings, a row a reading, into an empty hypertable.",
            "`correct`: the tables that came out equal those worked out in one batch from the raw input.",
            "",
            "| | value | unit | target | met | correct |",
            "|---|---:|---|---|---|---|",
            *(_in_markdown(row) for row in self.rows),
            "",
            *(f"- {note}" for note in self.notes),
            "- Seconds by part: "
            + ", ".join(f"{name} {seconds:.0f}" for name, seconds in self.stages.items())
            + ".",
        ]
        return "\n".join(lines) + "\n"


def line(row: Row) -> str:
    """As printed."""
    return f"{row.name:50}{_value(row):>12}  {row.unit:18}{row.target:10}{_met(row):6}{'true' if row.correct else 'FALSE'}"


def _in_markdown(row: Row) -> str:
    name = row.name.strip() if not row.name.startswith(" ") else f"– {row.name.strip()}"
    cells = (name, _value(row), row.unit, row.target, _met(row), "yes" if row.correct else "NO")
    return f"| {' | '.join(cells)} |"


def _value(row: Row) -> str:
    return f"{row.value:,.0f}" if row.value >= 1000 else f"{row.value:.3g}"


def _met(row: Row) -> str:
    return {None: "", True: "yes", False: "NO"}[row.met]


def _processor() -> str:
    for told in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        if told.startswith("model name"):
            return told.partition(":")[2].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
