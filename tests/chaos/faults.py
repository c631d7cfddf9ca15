"""What can go wrong, each as a function of the place; it says in a line what it did."""

import json
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import psycopg
from door import Enterprise
from machine import NotPossibleError, SmallDisk, SteppedClock
from processes import SESSION, Kind, Processes, Seat

from deploy.local.parts import LocalParts
from deploy.services import answer
from tests.alerts.receiver import Receiver

POINTS: dict[Kind, tuple[str, ...]] = {
    "worker": (
        "before commit",
        "commit sent",
        "after commit",
        "before acknowledge",
        "during load",
        "published",
    ),
    "gateway": ("in Kafka", "receipted"),
    "alerts": ("before commit", "alert stored", "alert delivered"),
}
LONG_AWAY = "database away for ten minutes"
STEP = 3_600
TICK_SILENCE = 5.0
"""Seconds, in the workers' settings."""


class Place(Protocol):
    """Where faults happen."""

    parts: LocalParts
    processes: Processes
    database: str
    enterprises: list[Enterprise]
    receiver: Receiver
    disk: SmallDisk

    def clock(self) -> SteppedClock:
        """Raises NotPossibleError."""

    def lag(self) -> int:
        """Records sent and not yet digested; -1 where nobody says."""

    def hold_ticks(self, seconds: float, meanwhile: Callable[[], bool]) -> bool:
        """No tick comes until `meanwhile` is true, or for so long; whether it was."""


@dataclass(frozen=True)
class Fault:
    """One, drawn by weight."""

    name: str
    weight: int
    do: Callable[[Place, random.Random], str]


def _any(place: Place, rng: random.Random, kind: Kind = "worker") -> Seat:
    deadline = time.monotonic() + 30
    while not (running := place.processes.of(kind)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return rng.choice(running)


def kill_one(kind: Kind) -> Callable[[Place, random.Random], str]:
    """SIGKILL one of them."""

    def do(place: Place, rng: random.Random) -> str:
        seat = _any(place, rng, kind)
        place.processes.kill(seat)
        return f"{seat} killed"

    return do


def kill_both(place: Place, rng: random.Random) -> str:
    """SIGKILL all workers."""
    del rng
    for seat in place.processes.of("worker"):
        place.processes.kill(seat)
    return "both workers killed"


def leave_and_join(kind: Kind) -> Callable[[Place, random.Random], str]:
    """SIGTERM one, and start it again."""

    def do(place: Place, rng: random.Random) -> str:
        seat = _any(place, rng, kind)
        began = time.monotonic()
        place.processes.leave(seat)
        seconds = time.monotonic() - began
        time.sleep(rng.uniform(0, 3))
        place.processes.join(seat)
        return f"{seat} left in {seconds:.1f} s and joined again"

    return do


def freeze(kind: Kind, least: float, most: float) -> Callable[[Place, random.Random], str]:
    """SIGSTOP for so many seconds, then SIGCONT."""

    def do(place: Place, rng: random.Random) -> str:
        seat, seconds = _any(place, rng, kind), rng.uniform(least, most)
        process = seat.process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)
        return f"{seat} frozen for {seconds:.1f} s"

    return do


def stop_at(kind: Kind, point: str) -> Callable[[Place, random.Random], str]:
    """Kill a process at a named point."""

    def do(place: Place, rng: random.Random) -> str:
        seat, processes = _any(place, rng, kind), place.processes
        since = processes.said_since()
        count = 1 if point == "during load" else rng.randint(1, 6)
        processes.join_to_stop(seat, f"{point}:{count}")
        processes.kill(seat)
        told = processes.wait_said(f"stopped at: {point}.*", since)
        processes.join(seat)
        processes.kill(seat)
        return f"{seat} killed, {told or 'never stopped'}"

    return do


def frozen_inside_a_transaction(place: Place, rng: random.Random) -> str:
    """Stop a worker before its COMMIT until another has its partitions, then let it go on."""
    seat, processes = _any(place, rng), place.processes
    since = processes.said_since()
    processes.join_to_stop(seat, "before commit:2")
    processes.kill(seat)
    told = processes.wait_said("stopped at: before commit.*", since)
    processes.join(seat)
    time.sleep(SESSION + 9)
    if seat.process is not None:
        seat.process.send_signal(signal.SIGCONT)
    return f"{seat} {told or 'never stopped'}, for {SESSION + 9:.0f} s"


def end_backends(place: Place, rng: random.Random) -> str:
    """Terminate all backends of the workers and the alerts."""
    del rng
    with psycopg.connect(place.database, autocommit=True) as link:
        count = link.execute(
            """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND application_name LIKE 'weir%'"""
        ).fetchone()
    return f"{count and count[0]} backends ended"


def away(part: str, *, kill: bool, most: float = 6.0) -> Callable[[Place, random.Random], str]:
    """A server ends, by SIGKILL or in order, and comes back after a while."""

    def do(place: Place, rng: random.Random) -> str:
        seconds = rng.uniform(0, most)
        return _away(place, part, seconds, kill=kill)

    return do


def _away(place: Place, part: str, seconds: float, *, kill: bool) -> str:
    place.parts.stop(part, kill=kill)
    time.sleep(seconds)
    place.parts.start(part)
    return f"{part} {'killed' if kill else 'stopped'} and away for {seconds:.1f} s"


def database_long_away(place: Place, rng: random.Random) -> str:
    """Ten minutes: longer than every time limit on the way."""
    del rng
    return _away(place, "database", 600.0, kill=False)


def mosquitto_killed(place: Place, rng: random.Random) -> str:
    """SIGKILL the broker: what it acknowledged and did not yet give on is gone, and its senders know."""
    gateways = [seat.process for seat in place.processes.of("gateway") if seat.process]
    for gateway in gateways:  # so that there is something on the way
        gateway.send_signal(signal.SIGSTOP)
    time.sleep(rng.uniform(0.5, 2))
    place.parts.stop("mqtt", kill=True)
    without = sum(one.unreceipted() for one in place.enterprises)
    for gateway in gateways:
        gateway.send_signal(signal.SIGCONT)
    seconds = rng.uniform(0, 6)
    time.sleep(seconds)
    place.parts.start("mqtt")
    return f"mqtt killed and away for {seconds:.1f} s; {without} messages had no receipt then"


def webhook_refuses(place: Place, rng: random.Random) -> str:
    """Its answers are 500, for a while."""
    seconds = rng.uniform(2, 6)
    place.receiver.answer = lambda _: 500
    time.sleep(seconds)
    place.receiver.answer = lambda _: 200
    return f"the webhook answered 500 for {seconds:.1f} s"


def clock_stepped(kind: Kind) -> Callable[[Place, random.Random], str]:
    """The wall clock of one process goes an hour forwards, two back, and is right again."""

    def do(place: Place, rng: random.Random) -> str:
        clock, seat = place.clock(), _any(place, rng, kind)
        clock.step(0)
        place.processes.join(seat, **clock.settings())
        place.processes.kill(seat)
        time.sleep(SESSION + 2)
        for offset in (STEP, -STEP, 0):
            clock.step(offset)
            time.sleep(rng.uniform(2, 4))
        place.processes.join(seat)
        ended = "" if seat.process and seat.process.poll() is None else "; it ended by itself"
        return f"{seat}: clock an hour forwards and back{ended}"

    return do


def disk_full(place: Place, rng: random.Random) -> str:
    """No table may grow, for a while; then there is room again."""
    since = place.processes.said_since()
    with place.disk.full() as taken:
        told = place.processes.wait_said("No space left on device|could not extend", since)
        time.sleep(rng.uniform(1, 5))
    what = "the store said so and waited" if told else "nobody noticed"
    return f"disk full after {taken >> 20} MiB of ballast; {what}"


def ticks_stall(place: Place, rng: random.Random) -> str:
    """Readings come, ticks do not: every worker tells an alarm."""
    del rng
    began = time.monotonic()
    told = place.hold_ticks(30.0, lambda: all(map(_alarms, place.processes.of("worker"))))
    if not told and (lag := place.lag()):
        return f"no new ticks for 30 s; {lag:,} records waited, with ticks among them"
    if not told:
        return "no ticks for 30 s: NO ALARM"
    return f"no ticks: alarm by both workers after {time.monotonic() - began:.1f} s (limit {TICK_SILENCE:.0f} s)"


def _alarms(seat: Seat) -> list[str]:
    """What a worker's page alarms of; one without partitions has nothing to wait for."""
    page = answer(f"{seat.page}/readyz")
    return json.loads(page)["alarms"] if page else []


FAULTS = (
    Fault("a worker killed", 4, kill_one("worker")),
    Fault("both workers killed", 2, kill_both),
    Fault("a worker leaves and joins", 3, leave_and_join("worker")),
    Fault("a worker frozen", 2, freeze("worker", 0.5, SESSION / 2)),
    Fault("a worker frozen past its session", 3, freeze("worker", SESSION + 2, SESSION + 4)),
    Fault("a worker frozen inside a transaction", 2, frozen_inside_a_transaction),
    Fault("a gateway killed", 3, kill_one("gateway")),
    Fault("a gateway leaves and joins", 1, leave_and_join("gateway")),
    Fault("a gateway frozen", 1, freeze("gateway", 1, 8)),
    Fault("an alerts worker killed", 3, kill_one("alerts")),
    Fault("an alerts worker leaves and joins", 1, leave_and_join("alerts")),
    Fault(
        "an alerts worker frozen past its session", 2, freeze("alerts", SESSION + 2, SESSION + 4)
    ),
    Fault("backends ended", 3, end_backends),
    Fault("database killed", 2, away("database", kill=True)),
    Fault("database stopped", 2, away("database", kill=False)),
    Fault("broker killed", 2, away("kafka", kill=True)),
    Fault("mosquitto killed", 2, mosquitto_killed),
    Fault("mosquitto stopped", 1, away("mqtt", kill=False)),
    Fault("alertmanager killed", 1, away("alertmanager", kill=True)),
    Fault("the webhook refuses", 1, webhook_refuses),
    Fault("disk full", 2, disk_full),
    Fault("ticks stall", 1, ticks_stall),
    *(Fault(f"clock stepped: {kind}", 1, clock_stepped(kind)) for kind in POINTS),
    *(
        Fault(f"{kind} killed at: {point}", 2, stop_at(kind, point))
        for kind, points in POINTS.items()
        for point in points
    ),
)
LONG = Fault(LONG_AWAY, 0, database_long_away)
"""Once in a long run, or by its name."""
LONG_RUN = 60
"""From so many faults on."""

SHORT = {
    "worker killed at: after commit",
    "worker killed at: published",
    "backends ended",
    "database killed",
    "mosquitto killed",
}
"""What the other tests of the services do not provoke, as far as it is quickly done."""


def drawn(count: int, rng: random.Random) -> list[Fault]:
    """Each kind once before any comes again, then by weight; in an order of chance."""
    once = list(FAULTS)
    rng.shuffle(once)
    more = rng.choices(FAULTS, [fault.weight for fault in FAULTS], k=max(0, count - len(once)))
    found = [*once, *more][:count]
    if count >= LONG_RUN:
        found[rng.randrange(count)] = LONG
    return found


def named(names: list[str]) -> list[Fault]:
    """Those of these names, or whose names begin so. Raises KeyError."""
    found = []
    for name in names:
        these = [fault for fault in (*FAULTS, LONG) if fault.name.startswith(name)]
        if not these:
            raise KeyError(name)
        found += these
    return found


__all__ = ["FAULTS", "SHORT", "TICK_SILENCE", "Fault", "NotPossibleError", "drawn", "named"]
