"""What can go wrong, each as a function of the place; it says in a line what it did."""

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import psycopg
from workers import SESSION, Seat, Workers

from deploy.local.parts import LocalParts

POINTS = (
    "before commit",
    "commit sent",
    "after commit",
    "before acknowledge",
    "during load",
    "published",
)


class Place(Protocol):
    """Where faults happen."""

    parts: LocalParts
    workers: Workers
    database: str


@dataclass(frozen=True)
class Fault:
    """One, drawn by weight."""

    name: str
    weight: int
    do: Callable[[Place, random.Random], str]


def _any(place: Place, rng: random.Random) -> Seat:
    return rng.choice([seat for seat in place.workers.seats if seat.process is not None])


def kill_one(place: Place, rng: random.Random) -> str:
    """SIGKILL one worker."""
    seat = _any(place, rng)
    place.workers.kill(seat)
    return f"worker {seat.name} killed"


def kill_both(place: Place, rng: random.Random) -> str:
    """SIGKILL all workers."""
    del rng
    for seat in place.workers.seats:
        place.workers.kill(seat)
    return "both workers killed"


def leave_and_join(place: Place, rng: random.Random) -> str:
    """SIGTERM one, and start it again."""
    seat = _any(place, rng)
    began = time.monotonic()
    place.workers.leave(seat)
    seconds = time.monotonic() - began
    time.sleep(rng.uniform(0, 3))
    place.workers.join(seat)
    return f"worker {seat.name} left in {seconds:.1f} s and joined again"


def freeze(place: Place, rng: random.Random) -> str:
    """SIGSTOP for less than the session."""
    return _frozen(place, rng, rng.uniform(0.5, SESSION / 2))


def freeze_past_session(place: Place, rng: random.Random) -> str:
    """SIGSTOP until the group has given the partitions away, then SIGCONT."""
    return _frozen(place, rng, SESSION + rng.uniform(2, 4))


def _frozen(place: Place, rng: random.Random, seconds: float) -> str:
    seat = _any(place, rng)
    process = seat.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    process.send_signal(signal.SIGCONT)
    return f"worker {seat.name} frozen for {seconds:.1f} s"


def stop_at(point: str) -> Callable[[Place, random.Random], str]:
    """Kill a worker at a named point."""

    def do(place: Place, rng: random.Random) -> str:
        seat = _any(place, rng)
        since = place.workers.log.stat().st_size
        place.workers.kill(seat)
        count = 1 if point == "during load" else rng.randint(1, 6)
        place.workers.join(seat, stop_at=f"{point}:{count}")
        told = place.workers.wait_stopped(since)
        place.workers.join(seat)
        place.workers.kill(seat)
        return f"worker {seat.name} killed {told or 'never stopped'}"

    return do


def frozen_inside_a_transaction(place: Place, rng: random.Random) -> str:
    """Stop a worker before its COMMIT until another has its partitions, then let it go on."""
    seat = _any(place, rng)
    since = place.workers.log.stat().st_size
    place.workers.kill(seat)
    place.workers.join(seat, stop_at="before commit:2")
    told = place.workers.wait_stopped(since)
    place.workers.join(seat)
    time.sleep(SESSION + 9)
    if seat.process is not None:
        seat.process.send_signal(signal.SIGCONT)
    return f"worker {seat.name} {told or 'never stopped'}, for {SESSION + 9:.0f} s"


def end_backends(place: Place, rng: random.Random) -> str:
    """Terminate all backends of the workers."""
    del rng
    with psycopg.connect(place.database, autocommit=True) as link:
        count = link.execute(
            """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE 'weir%'"""
        ).fetchone()
    return f"{count and count[0]} backends ended"


def database_killed(place: Place, rng: random.Random) -> str:
    """SIGKILL the server; it recovers."""
    return _away(place, rng, "database", kill=True)


def database_stopped(place: Place, rng: random.Random) -> str:
    """Stop the server in order, for a while."""
    return _away(place, rng, "database", kill=False)


def broker_killed(place: Place, rng: random.Random) -> str:
    """SIGKILL the broker."""
    return _away(place, rng, "kafka", kill=True)


def _away(place: Place, rng: random.Random, part: str, *, kill: bool) -> str:
    place.parts.stop(part, kill=kill)
    seconds = rng.uniform(0, 6)
    time.sleep(seconds)
    place.parts.start(part)
    return f"{part} {'killed' if kill else 'stopped'} and away for {seconds:.1f} s"


FAULTS = (
    Fault("a worker killed", 4, kill_one),
    Fault("both workers killed", 2, kill_both),
    Fault("a worker leaves and joins", 3, leave_and_join),
    Fault("a worker frozen", 2, freeze),
    Fault("a worker frozen past its session", 3, freeze_past_session),
    Fault("a worker frozen inside a transaction", 2, frozen_inside_a_transaction),
    Fault("backends ended", 3, end_backends),
    Fault("database killed", 2, database_killed),
    Fault("database stopped", 2, database_stopped),
    Fault("broker killed", 2, broker_killed),
    *(Fault(f"killed at: {point}", 2, stop_at(point)) for point in POINTS),
)


SHORT = {
    "killed at: after commit",
    "killed at: published",
    "backends ended",
    "database killed",
}
"""What the other tests of the worker do not provoke, as far as it is quickly done."""


def drawn(count: int, rng: random.Random) -> list[Fault]:
    """Each kind once before any comes again, then by weight; in an order of chance."""
    once = list(FAULTS)
    rng.shuffle(once)
    more = rng.choices(FAULTS, [fault.weight for fault in FAULTS], k=max(0, count - len(once)))
    return [*once, *more][:count]
