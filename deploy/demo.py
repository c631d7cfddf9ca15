"""`make demo [UNITS=48] [DAYS=24]`: the example province on its real parts, from nothing to notified.

Plants in all 21 cities and 10 industries (deploy/province.py) go through some weeks in a minute, with the province's ticks,
so that regions have their levels; nine units more stream a simulated past as history, three are live and one of those
falls silent. It ends with the alerts read back from Alertmanager and a webhook receiver, figures, and the addresses to
look at. The services stay up: `make down` ends them. More plants and days: `make demo UNITS=200 DAYS=400`.
"""

import argparse
import json
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeVar

import psycopg
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from deploy import province
from deploy.local.parts import LocalParts
from deploy.local.state import CHECKOUT, write_private
from deploy.province import Example
from deploy.service_figures import metric, summed
from deploy.services import Services, answer
from ingest.coalesce import Numbering, ends_of_history
from ingest.publisher import create_producer, publish_lines
from ingest.simulator import Claim as Said
from ingest.simulator import Faults, section_of, stream
from ingest.topics_admin import create_topics
from ingest.world import Plant, plant_of
from processors import entries, migrate, targets
from processors.account_seal import Seal
from processors.registry import publish, read_registry, store_news
from processors.report import report_of, write
from processors.report_rows import Span
from processors.show import render, shown
from processors.store import Store
from schemas import topics
from schemas.calendar import DAY_MS, HOUR_MS, moment, window_start, year_of, year_start
from schemas.registry import STATEMENTS, Registry, Unit
from schemas.section import ApplyConfiguration, Record, partition_of
from schemas.wire import encode, to_line

DATABASE = "weir_demo"
REGISTRY = CHECKOUT / "deploy" / "example" / "registry.toml"
RULES = CHECKOUT / "deploy" / "example" / "rules.toml"
HISTORY_DAYS = 82
SILENT_COAL = "9151010000EXAMPLE2"
"""Its coal meter dies after forty days, so that its breach can only be suspected."""
FALLS_SILENT = "9151010000EXAMPLE4"
WANTED = {"confirmed breach", "suspected breach", "cannot be judged", "silent points"}
LIVE_SECONDS = 5
WORKER_PORT, ALERTS_PORT, CLOCK_PORT, AGGREGATOR_PORT = 9465, 9466, 9467, 9468
FEEDBACK_PORT, PASSER_PORT = 9470, 9471
PATIENCE = 150.0
NEARLY_NOTHING = 20
REPORTS = CHECKOUT / "build" / "demo"

_LEVELS = """
SELECT level, string_agg(name, ', ' ORDER BY scope)
FROM target_told WHERE is_newest AND quantity = 'energy' GROUP BY level ORDER BY level NULLS LAST"""
_LEVEL_NAMES = {1: "1, very severe", 2: "2, rather severe", 3: "3, basically smooth"}

Say = Callable[[str], None]
T = TypeVar("T")


def main() -> int:
    """Exit codes: 0 it ended as it should; 1 it did not, and why was said."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--units", type=province.some, default=48, help="plants of the province (48)"
    )
    parser.add_argument(
        "--days", type=int, default=24, help="days they go through, of this year (24)"
    )
    told = parser.parse_args()
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    try:
        _run(say, told.units, told.days)
    except (RuntimeError, OSError, psycopg.Error, KafkaError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    say("done; `make status` tells what runs, `make down` stops it")
    return 0


def _run(say: Say, units: int, days: int) -> None:
    settings = dict(LocalParts().up().environment())
    services = Services()
    for name in list(services.running()):
        services.stop(name)
    settings["WEIR_DATABASE_URL"] = _fresh_database(settings["WEIR_DATABASE_URL"])
    _fresh_topics(settings["WEIR_KAFKA"])
    say(f"database {DATABASE} and topics made anew")
    migrate.up(settings["WEIR_DATABASE_URL"])
    plants = _plants(units, days)
    registry = _registry(plants)
    with psycopg.connect(settings["WEIR_DATABASE_URL"], autocommit=True) as link:
        added = store_news(link, registry, author="demo", reason="the example province")
        entries.load(
            link,
            targets.KIND,
            province.targets(plants, year_of(_now())),
            author="demo",
            reason="the example's targets",
            from_hour=plants[0].plant.unit.begins,
        )
    if added is None:
        message = "the example registry was not taken"
        raise RuntimeError(message)
    publish(added, settings["WEIR_KAFKA"])
    say(
        f"registry loaded: {len(registry.units)} units in {len(registry.regions)} cities and {len(registry.industries)} industries"
    )
    receiver = Receiver(settings.get("WEIR_ALERTMANAGER_WEBHOOK", ""))
    _start_services(services, settings, receiver)
    _start_feedback(services, settings)
    say("worker, alerts, aggregator and feedback run")
    _beside(_stream_province, plants, settings["WEIR_KAFKA"])
    say(f"{len(plants)} plants went through {days} days, to the present hour")
    _start_clock(services, settings)
    own = _own_units(registry)
    live = Live([unit for unit in own if not unit.history], settings["WEIR_KAFKA"])
    _beside(_stream_history, [unit for unit in own if unit.history], settings["WEIR_KAFKA"])
    say(f"{HISTORY_DAYS} days of nine units are in Kafka, while three units are live")
    _wait_told(say, receiver)
    _end_histories([unit.code for unit in own if unit.history], settings["WEIR_KAFKA"])
    _wait_digested(say)
    _wait_summed(say)
    _wait_fed_back(say)
    live.stop()
    _report(say, settings, registry)


def _fresh_database(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as link:
        link.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        link.execute(f"CREATE DATABASE {DATABASE}")
    return f"{url.rpartition('/')[0]}/{DATABASE}"


def _fresh_topics(bootstrap: str) -> None:
    """The local broker's topics are the demo's: delete what an earlier one left."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    names = {
        *(topics.READINGS, topics.CONFIG, topics.INDICATORS),
        *(topics.REGIONS, topics.FEEDBACK, topics.TRIES, topics.STOPS),
    }
    there = names & set(admin.list_topics())
    if there:
        admin.delete_topics(sorted(there))
        while names & set(admin.list_topics()):
            time.sleep(0.1)
    admin.close()
    create_topics(bootstrap, partitions=topics.PARTITIONS, say=lambda _: None)


def _plants(units: int, days: int) -> list[Example]:
    """The province's plants, so many days before this one, not before this year; live, by the province's ticks."""
    today = window_start("day", _now())
    start = max(today - days * DAY_MS, year_start(year_of(today)))
    return province.examples(units, start=start)


def _registry(plants: list[Example]) -> Registry:
    """The example file's units and the province's plants; the file's live units begin now."""
    told = read_registry(REGISTRY.read_text(encoding="utf-8"))
    begins = _now() - _now() % 60_000
    units = tuple(
        _past_only(unit) if unit.history else _live_from(unit, begins) for unit in told.units
    )
    wide = province.registry(plants)
    return wide.model_copy(update={"units": (*units, *wide.units)})


def _own_units(registry: Registry) -> list[Unit]:
    """Those of the example file."""
    return [unit for unit in registry.units if "EXAMPLE" in unit.code]


def _now() -> int:
    return time.time_ns() // 1_000_000


def _past_only(unit: Unit) -> Unit:
    """Its meters end with its past, so that nothing is missing of it afterwards."""
    end = moment(unit.begins + HISTORY_DAYS * DAY_MS)
    points = tuple(point.model_copy(update={"valid_to": end}) for point in unit.points)
    return unit.model_copy(update={"points": points})


def _live_from(unit: Unit, begins: int) -> Unit:
    year = year_of(begins)
    return unit.model_copy(
        update={
            "points": tuple(
                point.model_copy(update={"valid_from": moment(begins)}) for point in unit.points
            ),
            "quotas": tuple(quota.model_copy(update={"year": year}) for quota in unit.quotas),
            "openings": tuple(
                opening.model_copy(update={"year": year}) for opening in unit.openings
            ),
        }
    )


def _start_services(services: Services, settings: dict[str, str], receiver: "Receiver") -> None:
    # Who looks on does not wait for what might have one cause.
    told_at_once = {"WEIR_ALERTS_GATHER_SECONDS": "1"}
    environment = settings | told_at_once | {"WEIR_ALERTS_HTTP": f"127.0.0.1:{ALERTS_PORT}"}
    services.start(
        "worker",
        ["processors", "worker", "--session", "6", "--metrics-port", str(WORKER_PORT)],
        environment,
        page=_page(WORKER_PORT),
    )
    services.start(
        "alerts",
        ["alerts", "run", "--rules", str(RULES), "--notify-history", "--webhook", receiver.url],
        environment,
        page=_page(ALERTS_PORT),
    )
    services.start(
        "aggregator",
        ["processors", "aggregator", "--metrics-port", str(AGGREGATOR_PORT)],
        environment,
        page=_page(AGGREGATOR_PORT),
    )
    services.wait_ready("worker", f"{_page(WORKER_PORT)}/readyz", seconds=60)
    services.wait_ready("alerts", f"{_page(ALERTS_PORT)}/healthz", seconds=60)


def _start_feedback(services: Services, settings: dict[str, str]) -> None:
    """From the database to Kafka, with a key that signs accounts, and on to the units' MQTT topics."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    key = REPORTS / "feedback.pem"
    if not key.exists():
        write_private(key, Seal.new().private_pem().decode())
    for name, words, port in (
        ("feedback", ["processors", "feedback", "--accounts-every", "2"], FEEDBACK_PORT),
        ("passer", ["ingest", "feedback"], PASSER_PORT),
    ):
        services.start(
            name,
            [*words, "--metrics-port", str(port)],
            settings | {"WEIR_FEEDBACK_KEY_FILE": str(key)},
            page=_page(port),
        )


def _wait_fed_back(say: Say) -> None:
    """Until all that waits for the units is with the broker."""
    deadline = time.monotonic() + PATIENCE
    while not 0 < (sent := _fed(FEEDBACK_PORT, "sent")) <= _fed(PASSER_PORT, "mqtt_passed"):
        if time.monotonic() > deadline:
            message = "feedback did not reach the broker"
            raise RuntimeError(message)
        time.sleep(0.5)
    say(f"{sent:,.0f} messages of feedback (refusals, signed accounts) are with the MQTT broker")


def _fed(port: int, what: str) -> float:
    return summed(answer(f"{_page(port)}/metrics") or "", f"weir_feedback_{what}_total") or 0.0


def _start_clock(services: Services, settings: dict[str, str]) -> None:
    """After the province's past: an older tick is ignored."""
    services.start(
        "clock",
        ["ingest", "clock", "--interval", "10", "--metrics-port", str(CLOCK_PORT)],
        settings,
        page=_page(CLOCK_PORT),
    )


def _page(port: int) -> str:
    return f"http://127.0.0.1:{port}"


# History and present.


def _beside(stream_it: Callable[[list[T], str], None], what: list[T], bootstrap: str) -> None:
    """In a process of its own, so that making the past up does not hold up the present."""
    process = multiprocessing.get_context("spawn").Process(target=stream_it, args=(what, bootstrap))
    process.start()
    process.join()
    if process.exitcode:
        message = "the simulated past could not be streamed"
        raise RuntimeError(message)


def _end_histories(units: list[str], bootstrap: str) -> None:
    """From here on they go by the clock: their regions need not wait for them any more."""
    _publish(ends_of_history(units, topics.PARTITIONS, incarnation=_now()), bootstrap)


def _wait_digested(say: Say) -> None:
    """Until the worker is at the end of the log, but for what the live units just said."""
    deadline = time.monotonic() + PATIENCE
    while (page := answer(f"{_page(WORKER_PORT)}/metrics")) is None or (
        metric(page, "weir_lag_records") or 0
    ) > NEARLY_NOTHING:
        if time.monotonic() > deadline:
            message = "the worker did not come to the end of the log"
            raise RuntimeError(message)
        time.sleep(0.5)
    readings = metric(page, "weir_readings_total") or 0
    say(f"the worker is at the end of the log: {readings:,.0f} readings digested")


def _wait_summed(say: Say) -> None:
    """Until the aggregator has told the last full hour, for as long as it comes nearer."""
    deadline, least = time.monotonic() + PATIENCE, float("inf")
    page = f"{_page(AGGREGATOR_PORT)}/metrics"
    while (said := answer(page)) is None or metric(said, "weir_aggregator_lag_hours") != 0:
        lag = metric(said or "", "weir_aggregator_lag_hours")
        if lag is not None and lag < least:
            deadline, least = time.monotonic() + PATIENCE, lag
        if time.monotonic() > deadline:
            message = "the aggregator did not come to the last full hour"
            raise RuntimeError(message)
        time.sleep(0.5)
    hours = metric(said, "weir_aggregator_hours_total") or 0
    say(f"regions and industries are summed to the last full hour ({hours:,.0f} hours)")


def _stream_province(plants: list[Example], bootstrap: str) -> None:
    """To the present hour, with a tick of every partition at each full hour."""
    start = plants[0].plant.unit.begins
    _publish(
        stream(
            tuple(example.plant for example in plants),
            seed=11,
            start=start,
            end=window_start("hour", _now()),
            faults=Faults.every(0.0002),
            partitions=topics.PARTITIONS,
            live=True,
            step_ms=HOUR_MS,
        ),
        bootstrap,
    )


def _stream_history(units: list[Unit], bootstrap: str) -> None:
    plants = tuple(_plant(unit) for unit in units)
    start = plants[0].unit.begins
    _publish(
        stream(
            plants,
            seed=7,
            start=start,
            end=start + HISTORY_DAYS * DAY_MS,
            faults=Faults.every(0.0005),
            partitions=topics.PARTITIONS,
            step_ms=HOUR_MS,
            tick_ms=6 * HOUR_MS,
        ),
        bootstrap,
    )


def _publish(records: Iterator[tuple[int, Record]], bootstrap: str) -> None:
    """All but the configuration, which was published."""
    lines = (
        to_line(record, partition)
        for partition, record in records
        if not isinstance(record.body, ApplyConfiguration)
    )
    producer = create_producer(bootstrap, client_id="demo-past")
    publish_lines(lines, producer=producer, say=lambda _: None)
    producer.close()


def _plant(unit: Unit) -> Plant:
    plant = plant_of(unit)
    if unit.code != SILENT_COAL:
        return plant
    meters = tuple(
        replace(meter, silent_after_ms=40 * 24 * HOUR_MS)
        if meter.point.quantity == "raw_coal"
        else meter
        for meter in plant.meters
    )
    return replace(plant, meters=meters)


class Live:
    """Three live units that speak every few seconds, until one of them does not."""

    def __init__(self, units: list[Unit], bootstrap: str) -> None:
        self._units, self._bootstrap = units, bootstrap
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """They end with the demo."""
        self._stopped.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        producer = create_producer(self._bootstrap, client_id="demo-live")
        numbering = Numbering(door="demo-live", incarnation=time.time_ns() // 1_000_000)
        counter = 0
        while not self._stopped.wait(LIVE_SECONDS):
            at = time.time_ns() // 1_000_000 // 1_000 * 1_000
            counter += 1
            for unit in self._units:
                if unit.code == FALLS_SILENT and counter > 3:  # noqa: PLR2004 - after a quarter of a minute
                    continue
                partition = partition_of(unit.code, topics.PARTITIONS)
                section = section_of(
                    unit.code,
                    list(_said(unit, at)),
                    received_at=at,
                    message=f"live-{counter}",
                    ticks=(),
                )
                producer.send(
                    topics.READINGS,
                    encode(numbering.record(partition, (section,))),
                    partition=partition,
                )
            producer.flush()
        producer.close()


def _said(unit: Unit, at: int) -> Iterator[Said]:
    for point in unit.points:
        statement = STATEMENTS.index(point.statement)
        if point.statement == "register":
            passed = point.rated // 2 * (at - point.begins) // HOUR_MS // point.multiplier
            yield Said(point.name, statement, at, passed, point.unit_of_measure, 5, 0, at)


# Hearing.


class Receiver:
    """Keeps what is posted to it."""

    def __init__(self, url: str) -> None:
        heard: list[dict[str, object]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                with suppress(ValueError):
                    heard.append(
                        {
                            "path": self.path,
                            "key": self.headers.get("Idempotency-Key"),
                            "body": json.loads(body),
                        }
                    )
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Say nothing."""

        port = int(url.rstrip("/").rpartition(":")[2] or 0) if url else 0
        self.heard = heard
        self.server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/weir"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def from_weir(self) -> list[dict[str, object]]:
        """What the alerts service posted, not Alertmanager."""
        return [item for item in self.heard if item["path"] == "/weir"]


def _kinds(receiver: Receiver) -> set[str]:
    text = json.dumps(receiver.from_weir())
    return {kind for kind in WANTED if kind in text}


def _wait_told(say: Say, receiver: Receiver) -> None:
    deadline = time.monotonic() + PATIENCE
    while (missing := WANTED - _kinds(receiver)) and time.monotonic() < deadline:
        time.sleep(0.5)
    if missing:
        message = f"not heard within {PATIENCE:.0f} s: {', '.join(sorted(missing))} (heard: {len(receiver.from_weir())} messages)"
        raise RuntimeError(message)
    say(
        f"the webhook receiver heard {len(receiver.from_weir())} transitions: {', '.join(sorted(WANTED))}"
    )


def _report(say: Say, settings: dict[str, str], registry: Registry) -> None:
    alerts = json.loads(
        answer(f"{settings['WEIR_ALERTMANAGER']}/api/v2/alerts?active=true") or "[]"
    )
    say(f"Alertmanager holds {len(alerts)} alerts:")
    for alert in sorted(
        alerts, key=lambda item: (item["labels"]["alertname"], item["labels"].get("unit", ""))
    )[:14]:
        print(
            f"          {alert['labels']['alertname']:26} {alert['annotations'].get('summary', '')}"
        )
    names = {unit.code: unit.name for unit in registry.units}
    print()
    for code in ("9151010000EXAMPLE1", SILENT_COAL, "9151040000EXAMPLE6"):
        print(f"--- {names[code]}")
        _show(settings["WEIR_DATABASE_URL"], code)
        print()
    _barometer(settings["WEIR_DATABASE_URL"])
    print("look at:")
    for what, where in (
        *_pages(settings["WEIR_DATABASE_URL"]),
        ("alerts", settings["WEIR_ALERTMANAGER"] + "/#/alerts"),
        ("worker", f"{_page(WORKER_PORT)}/readyz and /metrics"),
        ("alerts worker", f"{_page(ALERTS_PORT)}/readyz and /metrics"),
        (
            "feedback",
            f"{_page(FEEDBACK_PORT)}/metrics, {_page(PASSER_PORT)}/metrics; accounts are signed",
        ),
        (
            "figures",
            f"python -m processors show UNIT, with WEIR_DATABASE_URL of `python3 -m deploy.local env` and database {DATABASE}",
        ),
        ("regions", "python -m processors show --region 510000, or --industry 30"),
        (
            "a late factor",
            "python -m processors restate --pack deploy/example/late-factor.toml --dry-run",
        ),
        (
            "Grafana",
            "http://127.0.0.1:3000 where deploy/compose.yaml runs; `python -m dashboards build/grafana` for one of yours",
        ),
    ):
        print(f"  {what:15} {where}")


def _barometer(url: str) -> None:
    """Which regions and industries are at which level."""
    print(
        "--- barometer: energy of the year against the targets (all invented), by our own level rules"
    )
    with psycopg.connect(url) as link:
        for level, names in link.execute(_LEVELS):
            print(f"  {_LEVEL_NAMES.get(level, 'no data'):24} {names}")
    print()


def _pages(url: str) -> Iterator[tuple[str, str]]:
    """Write the report of the unit in breach and of the province; what they are and where."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    for what, unit, region in (
        ("unit report", "9151010000EXAMPLE1", None),
        ("province report", None, "510000"),
    ):
        path = REPORTS / f"{what.replace(' ', '-')}.html"
        write(
            report_of(url, unit=unit, region=region, span=Span(), language="en"), path, None, None
        )
        yield what, path.as_uri()


def _show(url: str, code: str) -> None:
    store = Store(url)
    text = render(shown(code, store.windows_of(code)))
    print("\n".join(text.splitlines()[1:9]))
    store.close()


if __name__ == "__main__":
    sys.exit(main())
