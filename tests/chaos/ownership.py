"""`make ownership`: how long partitions stand still when workers join, leave, die and come back, each with a name of its own (static membership).

Measured in the database under load, on servers of its own. What must hold: one that joins or leaves does not stop the
others for more than ten seconds; a killed worker's partitions are worked again within its session and fifteen seconds.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "benchmarks")]
import itertools

from chaos import PREFIX, Load, Place, place
from processes import Seat
from troubles import Troubled
from truth import READINGS

from schemas import topics

OTHERS = 10.0
"""Seconds that others may stand still."""
BEYOND = 15.0
"""Seconds beyond the session until a killed worker's partitions are worked again."""
_SAMPLE = 0.05
_NOTHING: dict[str, list[dict[str, list[int]]]] = {"assigned_partitions": []}
"""Of a member in the middle of a rebalance."""
_UNITS = 60
"""Few, so that a pair of quarter hours comes every 0.3 s."""


class Watch(threading.Thread):
    """When each partition advanced, by its row."""

    def __init__(self, place: Place) -> None:
        super().__init__(daemon=True)
        self._place = place
        self._over = threading.Event()
        self.advanced: dict[int, list[float]] = {}

    def run(self) -> None:
        before: dict[int, int] = {}
        while not self._over.wait(_SAMPLE):
            now, at = time.monotonic(), self._place.offsets()
            for partition, offset in at.items():
                if offset != before.get(partition):
                    self.advanced.setdefault(partition, []).append(now)
            before = at

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()

    def standstill(self, partitions: Iterable[int], since: float) -> float:
        """Longest time without an advance of any of these partitions, from `since` on."""
        longest = 0.0
        for partition in partitions:
            times = [*self.advanced.get(partition, []), time.monotonic()]
            gaps = itertools.pairwise(times)
            longest = max(longest, *(end - max(begin, since) for begin, end in gaps if end > since))
        return longest


def owners(here: Place) -> dict[str, frozenset[int]]:
    """The partitions of each worker, by its name in the group."""
    group = PREFIX + topics.PROCESSORS
    admin = KafkaAdminClient(bootstrap_servers=here.endpoints.kafka)
    with closing(admin):
        try:
            told = admin.describe_groups([group])[group]
        except KafkaError:  # no group yet
            return {}
    return {
        member["group_instance_id"]: frozenset(
            partition
            for one in (member["member_assignment"] or _NOTHING)["assigned_partitions"]
            if one["topic"] == PREFIX + READINGS
            for partition in one["partitions"]
        )
        for member in told["members"]
    }


def seat_of(name: str, session: float) -> Seat:
    """A worker with a name."""
    words = ("processors", "worker", "--session", str(session), "--metrics-port", "0")
    return Seat("worker", name, words, {"WEIR_INSTANCE": name}, wanted=False)


def run(session: float) -> int:
    """Each case once; 0 where all are in time."""
    seats = {name: seat_of(name, session) for name in ("a", "b", "c")}
    with place(Troubled(units=_UNITS, mqtt_units=0), list(seats.values())) as here:
        load, watch = Load(here), Watch(here)
        here.processes.join(seats["a"])
        here.processes.join(seats["b"])
        load.start()
        _until(lambda: len(owners(here)) == 2 and all(owners(here).values()), "two share the work")
        watch.start()
        time.sleep(5)
        late = [*_cases(here, watch, seats, session)]
        load.finish()
        watch.stop()
    print("in time" if not late else f"too late: {', '.join(late)}")
    return 1 if late else 0


def _cases(here: Place, watch: Watch, seats: dict[str, Seat], session: float) -> Iterable[str]:
    """Names of those that took too long."""
    processes, settled = here.processes, session + 20
    everything = frozenset(range(here.workload.partitions))

    def case(name: str, do: Callable[[], None], mine: frozenset[int], limit: float) -> list[str]:
        began = time.monotonic()
        do()
        time.sleep(settled)
        others = watch.standstill(everything - mine, began)
        told = f"{name}: others stood still for {others:.1f} s (limit {OTHERS:.0f} s)"
        own = watch.standstill(mine, began) if mine else 0.0
        if mine:
            told += f"; its {len(mine)} partitions for {own:.1f} s (limit {limit:.0f} s)"
        here.say(told)
        return [name] if others > OTHERS or own > limit else []

    yield from case("nothing happens", lambda: None, frozenset(), 0)
    yield from case("a third joins", lambda: processes.join(seats["c"]), frozenset(), 0)
    mine = owners(here).get("b", frozenset())
    yield from case(
        "one is killed and stays away", lambda: _lose(here, seats["b"]), mine, session + BEYOND
    )
    yield from case("it comes back", lambda: processes.join(seats["b"]), frozenset(), 0)
    mine = owners(here).get("a", frozenset())
    yield from case(
        "one is killed and started again at once",
        lambda: processes.kill(seats["a"]),
        mine,
        session + BEYOND,
    )
    mine = owners(here).get("c", frozenset())
    yield from case("one leaves", lambda: processes.leave(seats["c"]), mine, session + BEYOND)


def _lose(here: Place, seat: Seat) -> None:
    seat.wanted = False
    here.processes.kill(seat)


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.3)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where all are in time, 1 where one is not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--session", type=float, default=10.0, help="of each worker, in seconds")
    return run(parser.parse_args(arguments).session)


if __name__ == "__main__":
    sys.exit(main())
