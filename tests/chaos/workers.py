"""Two workers that come back whenever they end, as under a supervisor."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

SESSION = 6.0
_PATIENCE = 60.0
_SAYINGS = (
    "owns partitions",
    "partitions are another worker's",
    "ended a backend that blocked us",
    "the store waits",
    "Kafka does not take what was told",
    "the worker ends",
)


@dataclass
class Seat:
    """One worker's place: a process, or none while it is down on purpose."""

    name: str
    process: subprocess.Popen[bytes] | None = None
    wanted: bool = True
    stop_at: str = ""


@dataclass
class Workers:
    """Their processes, and how they ended."""

    environment: dict[str, str]
    log: Path
    seats: list[Seat] = field(default_factory=lambda: [Seat("a"), Seat("b")])
    ended: Counter[int] = field(default_factory=Counter)
    """Exit codes of workers that nobody ended."""

    def __post_init__(self) -> None:
        """Begin with none."""
        self.lock = threading.RLock()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._run, daemon=True)
        self._watch.start()

    def _run(self) -> None:
        while not self._over.wait(0.2):
            with self.lock:
                for seat in self.seats:
                    if not seat.wanted:
                        continue
                    if seat.process is not None and (code := seat.process.poll()) is not None:
                        self.ended[code] += 1
                        seat.process = None
                    if seat.process is None:
                        seat.process = self._start(seat)

    def _start(self, seat: Seat) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "processors", "worker", "--session", str(SESSION)]
        command += ["--metrics-port", "0", "--step-records", "200"]
        environment = self.environment | {"WEIR_TEST_STOP_AT": seat.stop_at}
        with self.log.open("ab") as said:
            said.write(f"--- worker {seat.name} starts, to stop at {seat.stop_at!r}\n".encode())
            return subprocess.Popen(
                command, env=environment, stdout=subprocess.DEVNULL, stderr=said
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

    def join(self, seat: Seat, stop_at: str = "") -> None:
        """Come back."""
        with self.lock:
            seat.wanted, seat.stop_at = True, stop_at

    def wait_stopped(self, since: int) -> str | None:
        """What a worker says where it stopped itself; None where none did in time."""
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            said = self.log.read_bytes()[since:].decode(errors="replace")
            if found := re.search(r"stopped at: .*", said):
                return found.group()
            time.sleep(0.05)
        return None

    def said(self) -> dict[str, int]:
        """How often the workers said what: which branches were taken."""
        text = self.log.read_text(errors="replace")
        return {words: text.count(words) for words in _SAYINGS}

    def end(self) -> None:
        """All down, in order."""
        for seat in self.seats:
            self.leave(seat)
        self._over.set()
        self._watch.join()


def environment_of(kafka: str, database: str, prefix: str, partitions: int) -> dict[str, str]:
    """The workers' settings."""
    return os.environ | {
        "WEIR_KAFKA": kafka,
        "WEIR_DATABASE_URL": database,
        "WEIR_TOPIC_PREFIX": prefix,
        "WEIR_PARTITIONS": str(partitions),
        "WEIR_GENERATION": "2",
    }
