"""`make hostile [N=1000000] [SEED=...]`: hostile messages through broker, gateway, Kafka and worker, on servers of its own.

What must hold: no process ends, each message is receipted, the account says of every unit what was sent
(received = accepted + repeated + superseded + rejected + unreadable), and memory is flat.
"""

import argparse
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import psycopg

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "benchmarks")]
from chaos import PREFIX, Place, free_ports, place
from hostile_messages import Hostile
from processes import Seat
from troubles import Troubled
from truth import READINGS

from deploy.local import access
from deploy.services import answer
from ingest.mqtt_publisher import Options, Sender
from ingest.publisher import create_producer
from schemas.wire import encode

STRANGERS = 2
"""Units with a password that no registry knows."""
_GROWTH = 1.3
"""Memory at the end, at most, as a multiple of that at the first third."""
_SLACK_MIB = 40.0
_LOOKS = 20


class Attack(threading.Thread):
    """One unit that sends what nobody should, each until its receipt."""

    def __init__(self, sender: Sender, hostile: Hostile, count: int, seed: int) -> None:
        super().__init__(daemon=True)
        self.hostile, self.sent, self.readings, self.again = hostile, 0, 0, 0
        self._sender, self._count, self._seed = sender, count, seed
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._send()
        except BaseException as error:  # noqa: BLE001 - told by who waits for the thread
            self.error = error

    def _send(self) -> None:
        with closing(self._sender):
            self._sender.open()
            for message in self.hostile.messages(self._count, f"{self._seed} {self.hostile.unit}"):
                self.again += self._sender.send(message)
                self.sent += 1
                self.readings += message.readings
            self.again += self._sender.finish()


def run(count: int, seed: int) -> list[str]:
    """Send so many; returns what is wrong in the end."""
    workload = Troubled(units=4, seed=seed, mqtt_units=4)
    with place(workload, _seats()) as here:
        attacks = _attacks(here, count, seed)
        _wait(here, lambda: all(answer(f"{one.page}/readyz") for one in here.processes.seats), 60)
        _apply_configuration(here)
        here.say(f"{count:,} hostile messages by {len(attacks)} units, seed {seed}")
        began = time.monotonic()
        for attack in attacks:
            attack.start()
        memory = _watch(here, attacks, count)
        seconds = time.monotonic() - began
        for attack in attacks:
            if attack.error is not None:
                raise attack.error
        here.say(f"all receipted, {count / seconds:,.0f} messages a second; draining")
        _wait(here, lambda: here.offsets() == here.ends(READINGS), 600)
        return _judged(here, attacks, memory)


def _seats() -> list[Seat]:
    worker, gateway = free_ports("worker", "gateway").values()
    pages = [f"http://127.0.0.1:{port}" for port in (worker, gateway)]
    words = ("processors", "worker", "--session", "6", "--metrics-port", str(worker))
    door = ("ingest", "mqtt", "--client-id", "hostile", "--metrics-port", str(gateway))
    return [
        Seat("worker", "a", words, page=pages[0]),
        Seat("gateway", "a", door, page=pages[1]),
    ]


def _attacks(here: Place, count: int, seed: int) -> list[Attack]:
    workload = here.workload
    units = [workload.mqtt_code(number) for number in range(workload.mqtt_units + STRANGERS)]
    passwords = access.grant(here.parts, units)
    names = tuple(f"M{i}" for i in range(workload.mqtt_points))
    shares = [count // len(units) + (i < count % len(units)) for i in range(len(units))]
    port = here.endpoints.mqtt_port
    return [
        Attack(
            Sender(Options("127.0.0.1", port, unit, passwords[unit])),
            Hostile(unit, workload.start, names),
            share,
            seed,
        )
        for unit, share in zip(units, shares, strict=True)
    ]


def _apply_configuration(here: Place) -> None:
    producer = create_producer(here.endpoints.kafka, client_id="hostile")
    for partition, record in here.workload.beginning():
        producer.send(PREFIX + READINGS, encode(record), partition=partition)
    producer.flush()
    producer.close()


def _watch(here: Place, attacks: Sequence[Attack], count: int) -> dict[str, list[float]]:
    """Memory of each process while they send, in MiB; said now and then."""
    memory: dict[str, list[float]] = {str(seat): [] for seat in here.processes.seats}
    said = 0
    while any(attack.is_alive() for attack in attacks):
        time.sleep(0.5)
        sent = sum(attack.sent for attack in attacks)
        if sent * _LOOKS // count > said or not any(attack.is_alive() for attack in attacks):
            said = sent * _LOOKS // count
            for seat in here.processes.seats:
                if seat.process is not None:
                    memory[str(seat)].append(_resident_mib(seat.process.pid))
            told = ", ".join(f"{name} {found[-1]:.0f} MiB" for name, found in memory.items())
            here.say(f"{sent:,} sent; resident: {told}")
    return memory


def _resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def _judged(here: Place, attacks: Sequence[Attack], memory: dict[str, list[float]]) -> list[str]:
    wrong = [f"{who} ended {times} times" for who, times in here.processes.ended.items()]
    with psycopg.connect(here.database) as link:
        accounts = link.execute(
            """SELECT code, sum(accepted), sum(repeated), sum(superseded), sum(rejected), sum(unreadable)
            FROM account JOIN unit ON id = unit GROUP BY code"""
        ).fetchall()
        points = link.execute("SELECT count(*) FROM unit").fetchone()
        dead = link.execute(
            "SELECT count(*) FROM refused WHERE kind IN ('no record', 'dead letter')"
        ).fetchone()
    counted = {code: tuple(map(int, numbers)) for code, *numbers in accounts}
    total = tuple(map(sum, zip(*counted.values(), strict=True)))
    names = ("accepted", "repeated", "superseded", "rejected", "unreadable")
    here.say(", ".join(f"{n:,} {name}" for n, name in zip(total, names, strict=True)))
    here.say(
        f"units known to the database: {points and points[0]}; dead letters: {dead and dead[0]}"
    )
    again = sum(attack.again for attack in attacks)
    for attack in attacks:
        received = sum(counted.get(attack.hostile.unit, ()))
        here.say(
            f"{attack.hostile.unit}: {attack.sent:,} messages, {attack.readings:,} readings sent, {received:,} accounted for"
        )
        if not (received == attack.readings or (again and received > attack.readings)):
            wrong.append(f"account of {attack.hostile.unit}")
    if dead != (0,):
        wrong.append("dead letters")
    for name, found in memory.items():
        third = found[len(found) // 3]
        if len(found) >= _LOOKS // 2 and found[-1] > third * _GROWTH + _SLACK_MIB:
            wrong.append(f"memory of {name}: {third:.0f} MiB, then {found[-1]:.0f} MiB")
    here.say(f"wrong: {', '.join(wrong) or 'nothing'}")
    return wrong


def _wait(here: Place, condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if here.processes.ended or time.monotonic() > deadline:
            message = f"not within {seconds:.0f} s; ended: {Counter(here.processes.ended)}"
            raise TimeoutError(message)
        time.sleep(0.3)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where all is accounted for, 1 where it is not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=None, help="else drawn, and said")
    chosen = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(10**6) if chosen.seed is None else chosen.seed
    return 1 if run(chosen.messages, seed) else 0


if __name__ == "__main__":
    sys.exit(main())
