"""`make chaos [FAULTS=100] [SEED=...] [ONLY="name;name"]`: faults drawn from a seed, under load, on servers of its own; then everything is compared.

Two workers, two gateways, two alerts' workers; 20,000 readings a second by Kafka and some messages by MQTT, with late,
repeated, revised, withdrawn, refused and broken ones among them. In the end all that was sent is in the log, the tables
are those of an engine over the log to which nothing happened, and people were told each fact of it under one key.
"""

import argparse
import random
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT / "tests/benchmarks"), str(ROOT)]
import notices
import truth
from door import Enterprise
from faults import FAULTS, SHORT, TICK_SILENCE, Fault, NotPossibleError, drawn, named
from machine import SmallDisk, SteppedClock, small_disk, stepped_clock
from processes import SESSION, Processes, Seat, environment_of
from reference import MEASURED
from troubles import Troubled
from truth import INDICATORS, READINGS

from deploy.local import access
from deploy.local.parts import Endpoints, LocalParts
from deploy.local.state import chosen_folder, chosen_programs
from ingest.mqtt_publisher import Options
from ingest.publisher import create_producer
from ingest.topics_admin import create_topics
from processors import migrate
from processors.store import Store
from schemas.wire import encode
from tests.alerts.receiver import Receiver, receiving

RATE = 20_000
PREFIX = "chaos."
SECONDS = 10.0
_DRAIN = 1_800.0
_PARTS = ("kafka", "database", "mqtt", "alertmanager")
LOG = Path("build/chaos.log")
"""What the processes said in the last run."""


@dataclass
class Place:
    """Servers, processes and load."""

    parts: LocalParts
    endpoints: Endpoints
    processes: Processes
    receiver: Receiver
    disk: SmallDisk
    workload: Troubled
    folder: Path
    enterprises: list[Enterprise] = field(default_factory=list)
    load: "Load | None" = None
    began: float = field(default_factory=time.monotonic)

    @property
    def database(self) -> str:
        """Its address."""
        return self.endpoints.database_url

    @property
    def servers(self) -> truth.Servers:
        """Where log and tables are."""
        return truth.Servers(self.endpoints.kafka, self.database, PREFIX)

    def say(self, text: str) -> None:
        """A line with the time."""
        print(f"{time.monotonic() - self.began:7.1f} s  {text}", flush=True)

    def clock(self) -> SteppedClock:
        """Of a process that is started with its settings."""
        return stepped_clock(self.folder)

    def hold_ticks(self, seconds: float, meanwhile: Callable[[], bool]) -> bool:
        """The load stands, and with it time."""
        assert self.load is not None
        with self.load.held():
            return within(seconds, meanwhile)

    def lag(self) -> int:
        """Records sent and not yet digested; -1 where nobody says."""
        try:
            return sum(self.ends(READINGS).values()) - sum(self.offsets().values())
        except (psycopg.Error, KafkaError):
            return -1

    def offsets(self, table: str = "partition") -> dict[int, int]:
        """Next offset of each partition, by the database."""
        with psycopg.connect(self.database, autocommit=True) as link:
            query = f"SELECT partition, next_offset FROM {table}"  # noqa: S608 - our own names
            return dict(link.execute(query.encode()).fetchall())

    def ends(self, topic: str) -> dict[int, int]:
        """Where each partition of a topic ends."""
        with closing(KafkaConsumer(bootstrap_servers=self.endpoints.kafka)) as consumer:
            places = [TopicPartition(PREFIX + topic, p) for p in range(self.workload.partitions)]
            return {place.partition: end for place, end in consumer.end_offsets(places).items()}


class Load(threading.Thread):
    """Streams pairs of quarter hours at the rate, until it is told to stop; loses nothing."""

    def __init__(self, place: Place) -> None:
        super().__init__(daemon=True)
        self._place = place
        self._over = threading.Event()
        self._holding = threading.Lock()
        self._pause = 0.0
        self.quarters = 0
        self.readings = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self._stream()
        except BaseException as error:  # noqa: BLE001 - told by who waits for the thread
            self.error = error

    def _stream(self) -> None:
        workload = self._place.workload
        topic = PREFIX + READINGS
        producer = create_producer(self._place.endpoints.kafka, client_id="chaos")
        began = time.monotonic()
        for partition, record in workload.beginning():
            producer.send(topic, encode(record), partition=partition)
        waiting = []
        while not self._over.is_set():
            with self._holding:
                for partition, record in workload.records(self.quarters, 2):
                    body = record.body
                    self.readings += sum(map(len, body)) if isinstance(body, tuple) else 0
                    waiting.append(producer.send(topic, encode(record), partition=partition))
                self.quarters += 2
            due = began + self._pause + self.readings / RATE
            self._over.wait(max(0.0, due - time.monotonic()))
            while waiting and waiting[0].is_done:
                waiting.pop(0).get(timeout=0)
        producer.flush()
        for future in waiting:
            future.get(timeout=120)
        producer.close()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Send nothing within the block, and make nothing up for it."""
        began = time.monotonic()
        with self._holding:
            yield
            self._pause += time.monotonic() - began

    def finish(self) -> None:
        """Send no more; all that was sent is there."""
        self._over.set()
        self.join()
        if self.error is not None:
            raise self.error


# ---- The place


@contextmanager
def place(workload: Troubled, seats: Sequence[Seat] | None = None) -> Iterator[Place]:
    """Servers of our own below a folder that goes away, and these services, or two of each. SIGTERM ends them too."""
    signal.signal(signal.SIGTERM, _end)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weir-chaos-")))
        receiver = stack.enter_context(receiving())
        disk = stack.enter_context(small_disk())
        programs = chosen_programs(chosen_folder())
        parts = LocalParts(folder / "parts", programs=programs, say=lambda _: None)
        stack.callback(parts.down)
        ports = free_ports("kafka", "kafka_controller", "database", "mqtt", "alertmanager")
        points = parts.up(
            _PARTS, asked_ports=ports, webhook=receiver.address + notices.ALERTMANAGER
        )
        disk.use_for(points.database_url)
        migrate.up(points.database_url)
        create_topics(
            points.kafka,
            partitions=workload.partitions,
            say=lambda _: None,
            prefix=PREFIX,
            generation=MEASURED,
        )
        with closing(Store(points.database_url)) as store:
            store.save_configuration(workload.configuration())
        (folder / "rules.toml").write_text(notices.RULES)
        LOG.parent.mkdir(exist_ok=True)
        LOG.write_bytes(b"")
        chosen = _seats(folder / "rules.toml", receiver.address) if seats is None else seats
        processes = Processes(_settings(points, workload), LOG, list(chosen))
        stack.callback(processes.end)
        here = Place(parts, points, processes, receiver, disk, workload, folder)
        yield here


def _end(_number: int, _frame: object) -> None:
    """As if the program had ended: what was started goes away with it."""
    sys.exit(1)


def _settings(points: Endpoints, workload: Troubled) -> dict[str, str]:
    settings = environment_of(
        points.environment(),
        prefix=PREFIX,
        partitions=workload.partitions,
        generation=MEASURED,
    )
    return settings | {
        "WEIR_TICK_SILENCE_SECONDS": str(TICK_SILENCE),
        "WEIR_ALERTS_SESSION_SECONDS": str(SESSION),
        "WEIR_ALERTS_GATHER_SECONDS": "0",
        "WEIR_ALERTS_MANY": "1000000",  # its truth is told alert by alert
        "WEIR_ALERTS_REPEAT_SECONDS": "5",
    }


def _seats(rules: Path, hook: str) -> list[Seat]:
    return [seat for name in ("a", "b") for seat in _seats_named(name, rules, hook)]


def _seats_named(name: str, rules: Path, hook: str) -> Iterator[Seat]:
    """One of each kind."""
    worker, gateway, alerts = free_ports("worker", "gateway", "alerts").values()
    words = ("processors", "worker", "--session", str(SESSION), "--step-records", "200")
    yield Seat(
        "worker",
        name,
        (*words, "--metrics-port", str(worker)),
        page=f"http://127.0.0.1:{worker}",
    )
    yield Seat(
        "gateway",
        name,
        ("ingest", "mqtt", "--client-id", f"chaos-{name}", "--metrics-port", str(gateway)),
        page=f"http://127.0.0.1:{gateway}",
    )
    yield Seat(
        "alerts",
        name,
        ("alerts", "run", "--rules", str(rules), "--webhook", hook + notices.HOOK),
        {"WEIR_ALERTS_HTTP": f"127.0.0.1:{alerts}"},
        page=f"http://127.0.0.1:{alerts}",
    )


def free_ports(*names: str) -> dict[str, int]:
    """Ports that nobody listens on, by these names."""
    sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
    chosen = {name: one.getsockname()[1] for name, one in sockets.items()}
    for one in sockets.values():
        one.close()
    return chosen


def _let_in(here: Place, load: Load) -> list[Enterprise]:
    """The units that send by MQTT, each as itself."""
    workload, points = here.workload, here.endpoints
    numbers = range(workload.mqtt_units)
    passwords = access.grant(here.parts, [workload.mqtt_code(number) for number in numbers])
    return [
        Enterprise(
            workload,
            number,
            Options("127.0.0.1", points.mqtt_port, password=passwords[workload.mqtt_code(number)]),
            lambda: load.quarters,
        )
        for number in numbers
    ]


# ---- The run


def run(
    faults: Sequence[Fault], rng: random.Random, workload: Troubled, seconds: float
) -> list[str]:
    """Do the faults one after the other; returns what is wrong in the end."""
    with place(workload) as here:
        load = here.load = Load(here)
        here.enterprises = _let_in(here, load)
        _wait_for_gateways(here)
        for thread in (load, *here.enterprises):
            thread.start()
        _wait_for_first(here)
        here.say(f"{len(faults)} faults under {RATE:,} readings a second")
        told = [
            (fault.name, _do(here, fault, rng, seconds, f"{number} of {len(faults)}"))
            for number, fault in enumerate(faults, 1)
        ]
        _finish_load(here, load)
        _drain(here)
        wrong = _judged(here, load)
        wrong += [f"{name}: {line}" for name, line in told if "NO ALARM" in line]
        _list(told)
        here.say(f"differs in: {', '.join(wrong) or 'nothing'}")
        return wrong


def _do(here: Place, fault: Fault, rng: random.Random, seconds: float, number: str) -> str:
    began = time.monotonic()
    try:
        told = fault.do(here, rng)
    except NotPossibleError as error:
        told = f"not possible on this machine: {error}"
    time.sleep(max(0.0, seconds - (time.monotonic() - began)))
    here.say(f"{number}: {fault.name}: {told}; lag {here.lag():,}")
    return told


def _finish_load(here: Place, load: Load) -> None:
    load.finish()
    for one in here.enterprises:
        one.end()
    for one in here.enterprises:
        one.finish()
    rate = load.readings / (time.monotonic() - here.began)
    by_mqtt = sum(len(one.keys) for one in here.enterprises)
    again = sum(one.again for one in here.enterprises)
    here.say(
        f"{load.readings:,} readings sent, {rate:,.0f} a second; {by_mqtt:,} messages by MQTT, "
        f"{again:,} times one again; draining"
    )


def _judged(here: Place, load: Load) -> list[str]:
    """Everything, at rest."""
    here.say(f"drained; ended by themselves, with exit code: {dict(here.processes.ended)}")
    complaints = sum(
        (one.complaints for one in here.enterprises), start=type(here.enterprises[0].complaints)()
    )
    here.say(f"enterprises began anew because: {dict(complaints)}")
    wrong = _alertmanager(here)
    here.processes.end()
    here.say(f"the processes said, by number of times: {here.processes.said()}")
    found = truth.judged(here.workload, load.quarters, here.servers)
    sent = {key for one in here.enterprises for key in one.keys}
    here.say(
        f"{found.records:,} records in the log, {found.mqtt_readings:,} readings by MQTT for {len(sent):,} messages; "
        f"{found.told:,} indicators, {found.told_again:,} of them again"
    )
    wrong += sorted(found.wrong) + _doubled(here.database)
    if sent != found.by_mqtt:
        wrong.append(f"{len(sent - found.by_mqtt)} receipted messages are not in the log")
    told = notices.judged(
        here.servers, here.workload.partitions, here.folder / "rules.toml", here.receiver
    )
    here.say(
        f"{told.transitions:,} alert transitions; the webhook heard {told.heard:,} facts, "
        f"{told.again:,} times one again under its key"
    )
    return wrong + list(told.wrong)


def _list(told: Sequence[tuple[str, str]]) -> None:
    """Every fault, by kind, with what it did."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for name, line in told:
        by_name[name].append(line)
    for name, lines in sorted(by_name.items()):
        print(f"{len(lines):4} × {name}")
        for line in lines:
            print(f"         {line}")


def _wait_for_gateways(here: Place) -> None:
    """Until both have sessions: what is published before has nobody to go to."""
    from deploy.services import answer  # noqa: PLC0415 - beside the place alone

    pages = [seat.page for seat in here.processes.seats if seat.kind == "gateway"]
    if not within(60, lambda: all(answer(f"{page}/readyz") for page in pages)):
        message = "the gateways did not begin"
        raise TimeoutError(message)


def _wait_for_first(here: Place) -> None:
    if not within(60, lambda: sum(here.offsets().values()) >= 2 * here.workload.partitions):
        message = "the workers did not begin"
        raise TimeoutError(message)


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether it comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _drain(here: Place) -> None:
    ends = here.ends(READINGS)
    for what, done in (
        ("digested", lambda: here.offsets() == ends),
        ("published", lambda: not _exists(here.database, _UNPUBLISHED)),
        ("heard", lambda: here.offsets("alert_partition") == here.ends(INDICATORS)),
        ("delivered", lambda: not _exists(here.database, _UNDELIVERED)),
    ):
        if not within(_DRAIN, done):
            message = f"not all is {what}: at {here.offsets()}, due {ends}"
            raise TimeoutError(message)


_UNPUBLISHED = """SELECT EXISTS (SELECT FROM partition p JOIN outbox o USING (generation, partition)
    WHERE (o."offset", o.position, o.number) > (p.outbox_offset, p.outbox_position, p.outbox_number))"""
_UNDELIVERED = """SELECT EXISTS (SELECT FROM alert_delivery
    WHERE delivered_at IS NULL AND refused_at IS NULL)"""


def _exists(url: str, query: str) -> bool:
    with psycopg.connect(url, autocommit=True) as link:
        row = link.execute(query.encode()).fetchone()
    return bool(row and row[0])


def _alertmanager(here: Place) -> list[str]:
    """What fires there is what fires by the tables, once it was told again."""
    firing = notices.firing(here.servers)
    address = here.endpoints.alertmanager
    if within(30, lambda: notices.firing_in(address) == firing):
        here.say(f"{sum(firing.values())} alerts fire, in Alertmanager as in the tables")
        return []
    here.say(
        f"Alertmanager: {notices.firing_in(address) - firing} more, {firing - notices.firing_in(address)} missing"
    )
    return ["Alertmanager"]


def _doubled(url: str) -> list[str]:
    """Steps must cover the log once, without a hole."""
    with psycopg.connect(url) as link:
        rows = link.execute(
            """SELECT p, first, next, lag(next) OVER (PARTITION BY p ORDER BY first) FROM
            (SELECT unnest(partitions) p, unnest(firsts) first, unnest(nexts) next FROM step) s"""
        ).fetchall()
        dead = link.execute(
            "SELECT count(*) FROM refused WHERE kind IN ('no record', 'dead letter')"
        ).fetchone()
    wrong = ["steps"] if any(first != (before or 0) for _, first, _, before in rows) else []
    return wrong + (["refused"] if dead and dead[0] else [])


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where nothing differs, 1 where something does, 2 where the words are wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=100)
    parser.add_argument("--seed", type=int, default=None, help="else drawn, and said")
    parser.add_argument(
        "--only", default="", help="these faults, each once: names, or their beginnings, by `;`"
    )
    parser.add_argument(
        "--short", action="store_true", help="what no other test provokes, each once: a minute"
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help="a fault and what follows")
    chosen = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(10**6) if chosen.seed is None else chosen.seed
    print(f"seed {seed}", flush=True)
    rng = random.Random(seed)
    seconds, units = chosen.seconds, Troubled.units
    if chosen.short:
        faults = [fault for fault in FAULTS if fault.name in SHORT]
        seconds, units = 3.0, 200
    elif chosen.only:
        try:
            faults = named([name.strip() for name in chosen.only.split(";")])
        except KeyError as error:
            parser.error(f"there is no fault {error}")
    else:
        faults = drawn(chosen.faults, rng)
    workload = Troubled(seed=seed, units=units)
    return 1 if run(faults, rng, workload, seconds) else 0


if __name__ == "__main__":
    sys.exit(main())
