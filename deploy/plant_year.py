"""`make plant-year FILE=... [QUOTA_TCE=...]`: a plant's year, streamed as the history of one unit.

The file goes by the real ways (MQTT, gateway, Kafka, Faust, TimescaleDB, alerts, webhook) into a
database and topics of this run's own, and what comes out is held against `plant_year_sums`, which
knows the file and nothing of Weir. Exit code 0: every figure is the same; 1: one is not, or
something is missing, and which was said. What this run started, it stops, unless --keep.

Its labels carry no time zone: they are read as +08:00, by convention. Its history does not end.
"""

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import psycopg
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from deploy.local import access
from deploy.local.complaint import ComplaintError as PartsError
from deploy.local.parts import LocalParts
from deploy.local.state import CHECKOUT
from deploy.plant_year_sums import FileError, Year, milliseconds, year_of
from deploy.service_figures import metric
from deploy.services import Services, answer
from ingest.complaint import ComplaintError
from ingest.publisher import create_producer, publish_lines
from ingest.topics_admin import wanted
from processors import migrate
from processors.registry import store_news
from schemas import topics
from schemas.calendar import moment, rfc3339, year_start
from schemas.registry import Configuration, Industry, Point, Quota, Region, Registry, Unit
from schemas.scale import as_decimal
from schemas.section import ApplyConfiguration, Record
from schemas.wire import configuration_line, to_line

UNIT = "91510100PLANT20180"
POINT = "E1"
RATED_KW = 700
"""Generously above the file's largest quarter hour: a reading faster than rated would be rejected."""
PARTS = ("kafka", "database", "mqtt")
TICKS = ("PT1H", "P1D")
DATABASE = "weir_plant_year_"
PREFIX = "plantyear"
PATIENCE_S = 120.0
MAPPING = f"""\
format = "csv"
time = "date"
time_format = "%d/%m/%Y %H:%M"
offset = "+08:00"
label = "end"
midnight = "ends the day"

[[readings]]
point = "{POINT}"
value = "Usage_kWh"
statement = "PT15M"
unit = "kWh"
"""

Say = Callable[[str], None]
Settings = dict[str, str]
Link = psycopg.Connection[tuple[object, ...]]


def main(words: Sequence[str]) -> int:
    """Run once. Exit codes: 0 all is as the file says, 1 it is not, 2 the words are wrong."""
    chosen = _parser().parse_args(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that all is stopped
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    try:
        checks = run(chosen, say)
    except (
        RuntimeError,
        OSError,
        FileError,
        PartsError,
        ComplaintError,
        psycopg.Error,
        KafkaError,
    ) as error:
        print(f"plant-year: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("plant-year: interrupted; what it started is stopped", file=sys.stderr)
        return 1
    wrong = [check.name for check in checks if not check.holds]
    say(f"NOT as the file says: {', '.join(wrong)}" if wrong else "all as the file says")
    return 1 if wrong else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.plant_year", description=__doc__)
    parser.add_argument("file", type=Path, help="CSV: date (end of the quarter hour), Usage_kWh")
    parser.add_argument("--quota-tce", type=_tce, help="annual quota: when was it exceeded?")
    parser.add_argument(
        "--ticks", choices=TICKS, default="P1D", help="how often it is judged (P1D)"
    )
    parser.add_argument("--keep", action="store_true", help="leave servers and database for a look")
    return parser


def _tce(text: str) -> Decimal:
    try:
        told = Decimal(text)
    except InvalidOperation as error:
        message = f"{text!r} is no number"
        raise argparse.ArgumentTypeError(message) from error
    if not told.is_finite() or told < 0 or told != round(told, 6):
        message = f"{text} is not at least 0 with at most six decimals"
        raise argparse.ArgumentTypeError(message)
    return told


# ---- The run


@dataclass(slots=True)
class Times:
    """Where the time goes."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Measure a part of the run."""
        began = time.monotonic()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - began

    def __str__(self) -> str:
        return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())


@dataclass(frozen=True, slots=True)
class Run:
    """One run's own names and places."""

    expected: Year
    quota: Decimal | None
    ticks: str
    file: Path
    settings: Settings
    """Of the services."""
    services: Services
    ports: Mapping[str, int]
    receiver: "Receiver"
    say: Say

    @property
    def database(self) -> str:
        """Its address."""
        return self.settings["WEIR_DATABASE_URL"]

    @property
    def prefix(self) -> str:
        """Of its topics."""
        return self.settings["WEIR_TOPIC_PREFIX"]

    def page(self, service: str, path: str) -> str:
        """Where a service of this run answers."""
        return f"http://127.0.0.1:{self.ports[service]}{path}"


def run(chosen: argparse.Namespace, say: Say) -> "list[Check]":
    """Start, stream, wait, check; and stop what was started, whatever happens."""
    times = Times()
    with times.of("file"):
        expected = year_of(chosen.file)
    _check_rated(expected)
    say(f"{chosen.file.name}: {expected.rows:,} quarter hours of {expected.year}")
    with ExitStack() as stack:
        with times.of("servers"):
            parts = _parts(stack, say, keep=chosen.keep)
        with times.of("database, topics, services"):
            one = _prepared(stack, parts, chosen, expected, say)
            _start_services(stack, one)
        with times.of("streaming"):
            _stream(one, parts)
        with times.of("worker's rest"):
            _wait_digested(one)
        with times.of("alerts' rest"):
            _wait_told(one)
        checks = list(_checks(one))
        for check in checks:
            say(str(check))
        say(f"where the time went: {times}")
        for line in _where_the_time_went(one):
            say(line)
        if chosen.keep:
            say(f"kept: {one.database.rpartition('@')[2]}, topics {one.prefix}*")
    return checks


def _check_rated(expected: Year) -> None:
    if expected.largest_kwh * 4 > RATED_KW:
        message = f"{expected.largest_kwh} kWh in a quarter hour is more than {RATED_KW} kW allow"
        raise RuntimeError(message)


def _parts(stack: ExitStack, say: Say, *, keep: bool) -> LocalParts:
    """The servers; those that were down are stopped again at the end."""
    parts = LocalParts(say=say)
    down = [one.part for one in parts.status() if one.part in PARTS and one.state != "up"]
    say(f"starting {', '.join(down)}" if down else "the servers run already")
    parts.up(PARTS)
    if down and not keep:
        stack.callback(parts.down, down)
    return parts


def _prepared(
    stack: ExitStack, parts: LocalParts, chosen: argparse.Namespace, expected: Year, say: Say
) -> Run:
    """Everything of this run's own: nothing of another is read, and nothing is left behind."""
    folder = parts.state.folder / "plant-year"
    folder.mkdir(exist_ok=True)
    stack.enter_context(_alone(folder, say))
    name = uuid4().hex[:8]
    endpoints = parts.endpoints()
    settings = {
        **endpoints.environment(),
        "WEIR_DATABASE_URL": _fresh_database(stack, endpoints.database_url, name, keep=chosen.keep),
        "WEIR_TOPIC_PREFIX": _fresh_topics(stack, endpoints.kafka, name, keep=chosen.keep),
        "WEIR_PARTITIONS": str(topics.PARTITIONS),
        "WEIR_GENERATION": "1",
        "PYTHONUNBUFFERED": "1",
    }
    services = Services(folder)
    for left in services.running():
        services.stop(left)
    receiver = Receiver()
    stack.callback(receiver.close)
    ports = dict(zip(("worker", "gateway", "alerts"), free_ports(3), strict=True))
    one = Run(
        expected,
        chosen.quota_tce,
        chosen.ticks,
        chosen.file,
        settings,
        services,
        ports,
        receiver,
        say,
    )
    _register(one)
    say(f"database {DATABASE}{name} and topics {one.prefix}* made, unit {UNIT} registered")
    return one


@contextmanager
def _alone(folder: Path, say: Say) -> Iterator[None]:
    """One run at a time: they share a unit's topic at the broker."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another plant year runs; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fresh_database(stack: ExitStack, server: str, name: str, *, keep: bool) -> str:
    """A new database, without those that earlier runs left."""

    def drop(database: str) -> None:
        with psycopg.connect(server, autocommit=True) as link:
            link.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)".encode())

    with psycopg.connect(server, autocommit=True) as link:
        found = link.execute("SELECT datname FROM pg_database").fetchall()
        for (left,) in found:
            if left.startswith(DATABASE):
                drop(left)
        link.execute(f"CREATE DATABASE {DATABASE}{name}".encode())
    if not keep:
        stack.callback(drop, DATABASE + name)
    url = f"{server.rpartition('/')[0]}/{DATABASE}{name}"
    migrate.up(url)
    return url


def _fresh_topics(stack: ExitStack, bootstrap: str, name: str, *, keep: bool) -> str:
    """New topics, kept for ever: what they hold may be of any year. Those of earlier runs go."""
    prefix = f"{PREFIX}{name}."
    ever = {"retention.ms": "-1", "retention.bytes": "-1"}
    with _admin(bootstrap) as admin:
        left = [topic for topic in admin.list_topics() if topic.startswith(PREFIX)]
        if left:
            admin.delete_topics(left)
        made = {
            prefix + topic.name: {
                "num_partitions": topic.partitions,
                "replication_factor": 1,
                "configs": {**topic.configs, **ever},
            }
            for topic in wanted(topics.PARTITIONS)
        }
        admin.create_topics(made, wait_for_metadata=True)
    if not keep:
        stack.callback(_delete_topics, bootstrap, list(made))
    return prefix


@contextmanager
def _admin(bootstrap: str) -> Iterator[KafkaAdminClient]:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap, client_id="weir-plant-year")
    try:
        yield admin
    finally:
        admin.close()


def _delete_topics(bootstrap: str, names: list[str]) -> None:
    with _admin(bootstrap) as admin:
        admin.delete_topics(names)


def unit(year: int, quota: Decimal | None) -> Unit:
    """The plant: one electricity point, told by quarter hours."""
    quotas = () if quota is None else (_quota(year, quota),)
    point = Point(
        name=POINT,
        quantity="electricity",
        unit_of_measure="kWh",
        statement="PT15M",
        rated_per_hour=Decimal(RATED_KW),
        valid_from=moment(year_start(year)),
    )
    return Unit(
        code=UNIT,
        name="The plant of the file",
        region="510100",
        industry="31",
        history=True,
        points=(point,),
        quotas=quotas,
    )


def _quota(year: int, quota: Decimal) -> Quota:
    return Quota(year=year, energy_tce=quota, source="--quota-tce", status="example")


def registry(year: int, quota: Decimal | None) -> Registry:
    """The plant's registry."""
    return Registry(
        regions=(Region(code="510100", name="Chengdu"),),
        industries=(Industry(code="31", name="Ferrous metals"),),
        units=(unit(year, quota),),
    )


def control_lines(configuration: Configuration) -> Iterator[str]:
    """A configuration, and its application in every partition, as lines of the pipe."""
    yield configuration_line(configuration)
    applied = Record(
        "registry", configuration.version, 0, ApplyConfiguration(configuration.version)
    )
    for partition in range(topics.PARTITIONS):
        yield to_line(applied, partition)


def _register(one: Run) -> None:
    asked = registry(one.expected.year, one.quota)
    with psycopg.connect(one.database, autocommit=True) as link:
        added = store_news(link, asked, author="plant-year", reason=one.file.name)
    if added is None:
        message = "a new database knew the unit already"
        raise RuntimeError(message)
    producer = create_producer(one.settings["WEIR_KAFKA"], client_id="weir-plant-year")
    publish_lines(control_lines(added), producer=producer, say=one.say, prefix=one.prefix)
    producer.close()


def _start_services(stack: ExitStack, one: Run) -> None:
    """Worker, gateway and alerts as they run everywhere; the webhook is our receiver."""
    name = one.prefix.rstrip(".")
    words = {
        "worker": ["processors", "worker", "--session", "6", *_port(one, "worker")],
        "gateway": [
            *("ingest", "mqtt", "--client-id", name, "--share", name),
            *("--filter", topics.mqtt_readings(UNIT), "--session-expiry", "600"),
            *_port(one, "gateway"),
        ],
        "alerts": [
            *("alerts", "run", "--notify-history", "--no-alertmanager"),
            *("--webhook", one.receiver.url),
        ],
    }
    settings = {
        **one.settings,
        "WEIR_ALERTS_TOPIC": one.prefix + topics.INDICATORS,
        "WEIR_ALERTS_GROUP": one.prefix + "weir-alerts",
        "WEIR_ALERTS_HTTP": f"127.0.0.1:{one.ports['alerts']}",
    }
    for service, arguments in words.items():
        one.services.log(service).unlink(missing_ok=True)
        one.services.start(service, arguments, settings, page=one.page(service, ""))
        stack.callback(one.services.stop, service)
    for service in words:
        one.services.wait_ready(service, one.page(service, "/readyz"), seconds=PATIENCE_S)
    one.say(f"{', '.join(words)} run; their logs are in {one.services.folder}")


def _port(one: Run, service: str) -> list[str]:
    return ["--metrics-port", str(one.ports[service])]


def _stream(one: Run, parts: LocalParts) -> None:
    """`python -m ingest import ... --mqtt`, as the plant itself."""
    mapping = one.services.folder / "mapping.toml"
    mapping.write_text(MAPPING, encoding="utf-8")
    password = access.grant(parts, [UNIT])[UNIT]
    told = {**one.settings, "WEIR_MQTT_USER": UNIT, "WEIR_MQTT_PASSWORD": password}
    del told["WEIR_MQTT_PASSWORD_FILE"]
    words = ["ingest", "import", str(one.file.resolve()), "--mapping", str(mapping)]
    words += ["--unit", UNIT, "--ticks", one.ticks, "--mqtt"]
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=CHECKOUT,
        env=os.environ | told,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            for line in process.stderr or ():
                one.say(line.rstrip())
        finally:
            process.terminate()  # nothing, unless we were interrupted
    if process.returncode:
        message = "the file was not sent to its end"
        raise RuntimeError(message)


# ---- Waiting


def _wait_digested(one: Run) -> None:
    """Until the worker's next offset is the log's end in every partition."""
    ends = _ends(one, topics.READINGS)

    def rest() -> str:
        with psycopg.connect(one.database) as link:
            at = _offsets(link, "SELECT partition, next_offset FROM partition")
            told = _rows(link, "SELECT last_tick FROM unit_state JOIN unit ON id = unit")
        if at == ends:
            return ""
        tick = told[0][0] if told else None
        return f"the worker is at {rfc3339(tick)}" if isinstance(tick, int) else "it begins"

    _wait(one, "worker", rest)


def _wait_told(one: Run) -> None:
    """Until all that was told is published, heard by the alerts, and delivered."""

    def rest() -> str:
        with psycopg.connect(one.database) as link:
            left = _rows(link, _UNPUBLISHED)[0][0]
            heard = _offsets(link, "SELECT partition, next_offset FROM alert_partition")
            waiting = _rows(link, _UNDELIVERED)[0][0]
        ends = _ends(one, topics.INDICATORS)
        behind = sum(ends.values()) - sum(heard.values())
        if not (left or behind or waiting):
            return ""
        return f"{left} to publish, {behind} to hear, {waiting} to deliver"

    _wait(one, "alerts", rest)


_UNPUBLISHED = """
SELECT count(*) FROM outbox o JOIN partition p USING (generation, partition)
WHERE (o."offset", o.position, o.number) > (p.outbox_offset, p.outbox_position, p.outbox_number)"""
_UNDELIVERED = """
SELECT count(*) FROM alert_delivery WHERE delivered_at IS NULL AND refused_at IS NULL"""


def _wait(one: Run, service: str, rest: Callable[[], str]) -> None:
    """Until nothing is left; RuntimeError when nothing moves, or the service has ended."""
    told, moved, said = "", time.monotonic(), time.monotonic()
    while left := rest():
        now = time.monotonic()
        moved = now if left != told else moved
        told = left
        if service not in one.services.running() or now - moved > PATIENCE_S:
            tail = one.services.log(service).read_text(errors="replace").splitlines()[-12:]
            message = f"{service} does not go on ({left}):\n" + "\n".join(tail)
            raise RuntimeError(message)
        if now - said > 2:  # noqa: PLR2004 - seconds between lines
            said = now
            one.say(left)
        time.sleep(0.1)


def _ends(one: Run, topic: str) -> dict[int, int]:
    consumer = KafkaConsumer(bootstrap_servers=one.settings["WEIR_KAFKA"])
    places = [TopicPartition(one.prefix + topic, one_) for one_ in range(topics.PARTITIONS)]
    found = {place.partition: int(end) for place, end in consumer.end_offsets(places).items()}
    consumer.close()
    return found


def _offsets(link: Link, query: str) -> dict[int, int]:
    return {int(str(partition)): int(str(offset)) for partition, offset in _rows(link, query)}


def _rows(link: Link, query: str) -> list[tuple[object, ...]]:
    return link.execute(query.encode()).fetchall()


# ---- What came out


@dataclass(frozen=True, slots=True)
class Check:
    """One figure, beside what the file gives."""

    name: str
    is_: object
    should_be: object
    remark: str = ""

    @property
    def holds(self) -> bool:
        """Whether they are the same."""
        return self.is_ == self.should_be

    def __str__(self) -> str:
        mark = "ok   " if self.holds else "WRONG"
        other = "" if self.holds else f", and the file gives {self.should_be}"
        return f"{mark} {self.name}: {self.is_}{other}{self.remark}"


def _checks(one: Run) -> Iterator[Check]:
    with psycopg.connect(one.database) as link:
        windows = _windows(link)
        account = _rows(
            link,
            "SELECT sum(accepted), sum(repeated + superseded + rejected + unreadable) FROM account",
        )
        holes = _rows(link, "SELECT sum(holes) FROM step")[0][0]
    page = answer(one.page("gateway", "/metrics")) or ""
    expected = one.expected
    yield Check("readings by the gateway's counter", _count(page, "readings"), expected.rows)
    yield Check("readings accepted, all others", _integers(account[0]), (expected.rows, 0))
    yield Check("records lost at a door", int(str(holes)), 0)
    year = windows["year"][0]
    yield _figure("year, kWh", year, "electricity", expected.kwh)
    for month, kwh in zip(windows["month"], expected.months_kwh, strict=True):
        yield _figure(f"{rfc3339(int(str(month['start'])))[:7]}, kWh", month, "electricity", kwh)
    yield _figure("year, tce by 0.1229 kgce/kWh", year, "energy", expected.tce)
    yield _figure("year, t CO2 by 0.1031 kg/kWh", year, "co2", expected.co2)
    yield Check(
        "the CO2 factor is marked unverified", _told(year, "co2")["unverified"], should_be=True
    )
    if one.quota is not None:
        yield from _judgement(one, year)


def _judgement(one: Run, year: Mapping[str, object]) -> Iterator[Check]:
    """Verdict and its time; and the notice that carries it."""
    quota = one.quota or Decimal(0)
    since = one.expected.since(quota)
    yield Check(f"verdict on {quota} tce", year["verdict"], "FAIL" if since else "PASS")
    yield Check("since", _shown(year["since"]), _moment(since))
    fired = [
        _shown(notice["since"])
        for notice in one.receiver.heard
        if (notice["unit"], notice["kind"], notice["state"]) == (UNIT, "confirmed breach", "firing")
    ]
    yield Check("notified at the webhook, since", fired, [_moment(since)] if since else [])


def _shown(at: object) -> str | None:
    return rfc3339(at) if isinstance(at, int) else None


def _moment(when: datetime | None) -> str | None:
    return None if when is None else rfc3339(milliseconds(when))


def _windows(link: Link) -> dict[str, list[dict[str, object]]]:
    """The unit's months and years as told last, by kind and start."""
    found: dict[str, list[dict[str, object]]] = {"month": [], "year": []}
    rows = _rows(link, "SELECT kind, judged FROM unit_window WHERE kind <> 'day' ORDER BY starts")
    for kind, judged in rows:
        found[str(kind)].append(judged if isinstance(judged, dict) else {})
    if not found["year"]:
        message = "the database holds no year of the unit"
        raise RuntimeError(message)
    return found


def _told(window: Mapping[str, object], quantity: str) -> dict[str, object]:
    figures = window["figures"]
    found: dict[str, object] = figures[quantity] if isinstance(figures, dict) else {}
    return found


def _figure(name: str, window: Mapping[str, object], quantity: str, expected: Decimal) -> Check:
    """Low, best and high, which must be one: nothing is missing."""
    told = _told(window, quantity)
    bounds = {as_decimal(int(str(told[bound]))) for bound in ("low", "best", "high")}
    factors = told.get("factors")
    remark = f"  [{', '.join(map(str, factors))}]" if isinstance(factors, list) else ""
    if len(bounds) > 1:
        return Check(name, sorted(bounds), expected, remark)
    return Check(name, bounds.pop(), expected, remark)


def _count(page: str, name: str) -> int:
    found = metric(page, f"weir_gateway_{name}_total")
    return -1 if found is None else int(found)


def _integers(row: tuple[object, ...]) -> tuple[int, ...]:
    return tuple(int(str(number)) for number in row)


def _where_the_time_went(one: Run) -> Iterator[str]:
    """The worker's stages, and the processors' time of each service."""
    page = answer(one.page("worker", "/metrics")) or ""
    stages = {
        stage: metric(page, f'weir_stage_seconds_total{{stage="{stage}"}}')
        for stage in ("decode", "engine", "write", "publish")
    }
    yield "worker: " + ", ".join(
        f"{stage} {seconds or 0:.1f} s" for stage, seconds in stages.items()
    )
    spent = {name: _cpu_seconds(pid) for name, pid in one.services.running().items()}
    yield "processor time: " + ", ".join(
        f"{name} {seconds:.1f} s" for name, seconds in spent.items()
    )


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# ---- Our ends


class Receiver:
    """A webhook: keeps what is posted to it."""

    def __init__(self) -> None:
        heard: list[dict[str, object]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                heard.append(json.loads(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing."""

        self.heard = heard
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Listen no longer."""
        self._server.shutdown()
        self._server.server_close()


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody has now."""
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) for _ in range(count)]
    ports = [server.server_port for server in servers]
    for server in servers:
        server.server_close()
    return ports


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
