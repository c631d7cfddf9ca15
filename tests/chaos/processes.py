"""Weir's processes, which come back whenever they end, as under a supervisor."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from schemas.failure_point import VARIABLE

Kind = Literal["worker", "gateway", "alerts", "clock", "aggregator"]
SESSION = 6.0
_PATIENCE = 60.0
_SAYINGS = (
    "owns partitions",
    "partitions are another worker's",
    "ended a backend that blocked us",
    "the store waits",
    "Kafka does not take what was told",
    "the worker ends",
    "partition lost",
    "the process ends itself",
    "the gateway ends itself",
    "disconnected",
    "No space left on device",
)


@dataclass
class Seat:
    """The place of one process: it runs, or there is none while it is down on purpose."""

    kind: Kind
    name: str
    words: tuple[str, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    page: str = ""
    """Where it answers /readyz and /metrics."""
    process: subprocess.Popen[bytes] | None = None
    wanted: bool = True
    for_once: Mapping[str, str] = field(default_factory=dict)
    """Settings from its next start on."""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass
class Processes:
    """All of them, and how they ended."""

    environment: Mapping[str, str]
    log: Path
    seats: list[Seat]
    ended: Counter[str] = field(default_factory=Counter)
    """Exit codes of those that nobody ended."""

    def __post_init__(self) -> None:
        """Begin with none."""
        self.lock = threading.RLock()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._run, daemon=True)
        self._watch.start()

    def of(self, kind: Kind) -> list[Seat]:
        """Those of a kind that run."""
        return [seat for seat in self.seats if seat.kind == kind and seat.process is not None]

    def _run(self) -> None:
        while not self._over.wait(0.2):
            with self.lock:
                for seat in self.seats:
                    if not seat.wanted:
                        continue
                    if seat.process is not None and (code := seat.process.poll()) is not None:
                        self.ended[f"{seat.kind} {code}"] += 1
                        seat.process = None
                    if seat.process is None:
                        seat.process = self._start(seat)

    def _start(self, seat: Seat) -> subprocess.Popen[bytes]:
        environment = {**self.environment, **seat.settings, **seat.for_once}
        with self.log.open("ab") as said:
            said.write(f"--- {seat} starts, with {dict(seat.for_once)}\n".encode())
            return subprocess.Popen(
                [sys.executable, "-m", *seat.words],
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=said,
            )

    def kill(self, seat: Seat) -> None:
        """SIGKILL; it comes back."""
        with self.lock:
            if seat.process is not None:
                seat.process.kill()
                seat.process.wait()
                seat.process = None

    def leave(self, seat: Seat) -> None:
        """SIGTERM, and stay away."""
        with self.lock:
            seat.wanted = False
            process, seat.process = seat.process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise

    def join(self, seat: Seat, **for_once: str) -> None:
        """Come back, with these settings until the next time."""
        with self.lock:
            seat.wanted, seat.for_once = True, for_once

    def join_to_stop(self, seat: Seat, point: str) -> None:
        """Come back, and stop at a named point."""
        self.join(seat, **{VARIABLE: point})

    def said_since(self) -> int:
        """Where the log is now."""
        return self.log.stat().st_size

    def wait_said(self, pattern: str, since: int, *, seconds: float = _PATIENCE) -> str | None:
        """What somebody says by this pattern; None where nobody does in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self.log.open("rb") as log:
                log.seek(since)
                said = log.read().decode(errors="replace")
            if found := re.search(pattern, said):
                return found.group()
            time.sleep(0.05)
        return None

    def said(self) -> dict[str, int]:
        """How often they said what: which branches were taken."""
        counts: Counter[str] = Counter()
        with self.log.open(errors="replace") as log:
            for line in log:
                counts.update(words for words in _SAYINGS if words in line)
        return {words: counts[words] for words in _SAYINGS}

    def end(self) -> None:
        """All down, in order."""
        with self.lock:
            for seat in self.seats:
                seat.wanted = False
                if seat.process is not None:
                    seat.process.send_signal(signal.SIGTERM)
        for seat in self.seats:
            self.leave(seat)
        self._over.set()
        self._watch.join()


def environment_of(
    servers: Mapping[str, str], *, prefix: str, partitions: int, generation: int
) -> dict[str, str]:
    """The settings of all; nothing of the caller's own."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("WEIR_")}
    return own | {
        **servers,
        "WEIR_TOPIC_PREFIX": prefix,
        "WEIR_PARTITIONS": str(partitions),
        "WEIR_GENERATION": str(generation),
    }
