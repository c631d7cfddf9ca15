"""The chain: publisher, Mosquitto, gateway, Kafka, worker, TimescaleDB, all on this machine.

The Mosquitto is our own, the publisher a process of its own. What the gateway makes of it depends on timing,
so the reference digests the log as it came to stand in Kafka; and what was sent must be there, to the last reading.
"""

import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import measured
import numpy as np
import orjson
import psycopg
import servers
import yardstick
from kafka import KafkaConsumer, TopicPartition
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from plan import Bench
from reference import MEASURED, references
from table import at_least
from workload import PAIR, Workload

from deploy.local.mosquitto import GATEWAY
from deploy.local.parts import LocalParts
from deploy.local.state import chosen_folder, chosen_programs
from ingest.publisher import create_producer
from processors.store import Store
from schemas import topics
from schemas.calendar import DAY_MS, OFFSET_MS, QUARTER_MS
from schemas.registry import STATEMENTS
from schemas.section import Record, Section, Tick
from schemas.wire import decode, encode

_PATIENCE = 300.0
_LOOK = 0.1
_IN_FLIGHT = 1_000
_USER = "load"
_MILLION = 10**6
SINGLES_A_SECOND = 10_000
_ACL = f"user {GATEWAY}\ntopic readwrite #\n\nuser {_USER}\ntopic write energy/v1/+/readings\n"


@dataclass(frozen=True)
class Logged(Workload):
    """What a log holds, in its order."""

    prefix: str = ""

    def beginning(self) -> Iterator[tuple[int, Record]]:
        """Nothing: it is in the log."""
        return iter(())

    def records(self, first: int, quarters: int) -> Iterator[tuple[int, Record]]:
        """All of it, whatever is asked for."""
        del first, quarters
        consumer = KafkaConsumer(bootstrap_servers=servers.kafka(), enable_auto_commit=False)
        topic = measured.topic_of(self.prefix)
        places = [TopicPartition(topic, number) for number in range(self.partitions)]
        consumer.assign(places)
        consumer.seek_to_beginning(*places)
        ends = consumer.end_offsets(places)
        while any(consumer.position(one) < ends[one] for one in places):
            for one, messages in consumer.poll(timeout_ms=500).items():
                for message in messages:
                    yield one.partition, decode(message.value)
        consumer.close()


@dataclass(frozen=True)
class Load:
    """What the publisher sends, and where."""

    workload: Workload
    quarters: int
    singles: bool
    rate: float
    """Messages a second; 0: as fast as they are taken."""
    port: int
    prefix: str


@dataclass(frozen=True)
class Sent:
    """By the wall clock: when how many readings were sent."""

    at: list[float]
    readings: list[int]
    messages: int


def chain(bench: Bench) -> None:
    """Messages of 100 readings, as fast as the chain takes them."""
    name = "MQTT, gateway, Kafka, worker, database"
    workload, quarters = _recent(Workload()), bench.plan.mqtt_quarters
    sent, seen, correct = _run(bench, name, workload, quarters, singles=False, rate=0)
    rate = sent.readings[-1] / (seen[-1][0] - sent.at[0])
    add = bench.table.add
    add(name, rate / bench.yardstick, "of the yardstick", at_least(0.4), correct=correct)
    add("  rate", rate, "readings/s", correct=correct)


def singles(bench: Bench) -> None:
    """Every reading its own message."""
    name = "single readings, MQTT to database"
    workload = _recent(Workload(late=0, repeated=0))
    a_pair = workload.units * workload.points * PAIR
    pairs = max(1, round(SINGLES_A_SECOND * bench.plan.seconds / a_pair))
    if bench.plan.seconds * SINGLES_A_SECOND < a_pair:
        workload = replace(workload, units=400)
    sent, seen, correct = _run(
        bench, name, workload, pairs * PAIR, singles=True, rate=SINGLES_A_SECOND
    )
    half, most = np.quantile(_lags(sent, seen), [0.5, 0.99]).tolist()
    add = bench.table.add
    seconds = sent.at[-1] - sent.at[0]
    add(f"{name}, of {SINGLES_A_SECOND:,}", sent.messages / seconds, "messages/s", correct=correct)
    add("  lag, p50", half, "s", correct=correct)
    add("  lag, p99", most, "s", correct=correct)


def _recent(workload: Workload) -> Workload:
    """Of the last days: the door stamps when a message came, and the worker takes nothing too old."""
    today = (int(time.time() * 1000) + OFFSET_MS) // DAY_MS * DAY_MS - OFFSET_MS
    return replace(workload, start=today - 3 * DAY_MS)


def _run(
    bench: Bench, name: str, workload: Workload, quarters: int, *, singles: bool, rate: float
) -> tuple[Sent, list[tuple[float, int]], bool]:
    """What was sent; when how many readings were visible; whether all of it is right."""
    with (
        servers.database() as url,
        servers.topic_prefix(workload.partitions, MEASURED) as prefix,
        _mosquitto() as (parts, port),
        psycopg.connect(url, autocommit=True) as link,
    ):
        with closing(Store(url)) as store:
            store.save_configuration(workload.configuration())
        beginning = [(number, encode(record)) for number, record in workload.beginning()]
        measured.send(prefix, beginning, measured.no_records(workload))
        load = Load(workload, quarters, singles, rate, port, prefix)
        with _gateway(parts, prefix, workload.partitions), measured.worker(url, prefix) as one:
            measured.wait_shared_out([one], workload.partitions)
            sent, seen = _send(bench, name, load, parts, link)
            measured.wait_for(link, [one], _ends(prefix, workload.partitions))
        last = link.execute("SELECT extract(epoch FROM max(committed_at)) FROM step").fetchone()
        assert last is not None
        seen.append((float(last[0]), sent.readings[-1]))
        with references(Logged(**vars_of(workload), prefix=prefix)) as reference:
            wrong = reference.compare(url, 0, quarters, begin=False)
        stored, said = yardstick.sums(link), workload.said(0, quarters)
        if stored != said:
            wrong.append(f"readings: {stored} are stored, {said} were said")
    seconds = sent.at[-1] - sent.at[0], seen[-1][0] - sent.at[0]
    bench.say(
        f"{name}: {sent.messages:,} messages sent in {seconds[0]:.1f} s, visible after {seconds[1]:.1f} s; differs in {wrong or 'nothing'}"
    )
    return sent, seen, not wrong


def vars_of(workload: Workload) -> dict[str, object]:
    """Its fields, without what it remembers."""
    return {name: getattr(workload, name) for name in Workload.__dataclass_fields__}


def _ends(prefix: str, partitions: int) -> dict[int, int]:
    """Where the log ends now."""
    topic = measured.topic_of(prefix)
    consumer = KafkaConsumer(bootstrap_servers=servers.kafka(), enable_auto_commit=False)
    ends = consumer.end_offsets([TopicPartition(topic, number) for number in range(partitions)])
    consumer.close()
    return {one.partition: int(end) for one, end in ends.items()}


def _send(
    bench: Bench, name: str, load: Load, parts: LocalParts, link: psycopg.Connection
) -> tuple[Sent, list[tuple[float, int]]]:
    """Let the publisher send, and look at the database until all of it has come."""
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=_publish, args=(theirs, load))
    process.start()
    mine.send(_passwords(parts))
    mine.recv()
    bench.say(f"{name}: the publisher begins")
    mine.send("go")
    seen: list[tuple[float, int]] = []
    sent: Sent | None = None
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if sent is None and mine.poll():
            sent = mine.recv()
        visible, came = _come(link)
        if not seen or visible > seen[-1][1]:
            seen.append((time.time(), visible))
        if sent is not None and came >= sent.readings[-1]:
            process.join()
            return sent, seen
        time.sleep(_LOOK)
    process.terminate()
    message = f"{name}: not all readings came within {_PATIENCE:.0f} s: {_come(link)}"
    raise SystemExit(message)


def _come(link: psycopg.Connection) -> tuple[int, int]:
    """Readings in committed steps, and all that came, repeated ones too."""
    row = link.execute(
        """SELECT (SELECT coalesce(sum(readings), 0) FROM step),
             (SELECT coalesce(sum(accepted + repeated + superseded + rejected + unreadable), 0) FROM account)"""
    ).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _lags(sent: Sent, seen: Sequence[tuple[float, int]]) -> list[float]:
    """Seconds between the sending of the newest visible reading and our look."""
    counted = [(at, count) for at, count in seen if count]
    at = np.interp([count for _, count in counted], sent.readings, sent.at)
    return [look - then for (look, _), then in zip(counted, at.tolist(), strict=True)]


# ---- The publisher


def _publish(line: Connection, load: Load) -> None:
    """A process of its own: first makes all messages, then sends them."""
    password = line.recv()
    pairs = [list(_messages(load, pair)) for pair in range(load.quarters // PAIR)]
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="weir-bench", protocol=mqtt.MQTTv5)
    client.username_pw_set(_USER, password)
    client.max_inflight_messages_set(_IN_FLIGHT)
    client.connect("127.0.0.1", load.port)
    client.loop_start()
    ticks = create_producer(servers.kafka(), client_id="weir-bench")
    line.send("ready")
    line.recv()
    at, counts = [time.time()], [0]
    number = 0
    for pair, messages in enumerate(pairs):
        # As the clock would: these say two quarter hours when the second ends.
        _tick(ticks, load, pair * PAIR)
        for topic, payload, readings in messages:
            told = client.publish(topic, payload, qos=1)
            number += 1
            counts.append(counts[-1] + readings)
            at.append(time.time())
            if load.rate:
                time.sleep(max(0.0, at[0] + number / load.rate - time.time()))
            elif number % _IN_FLIGHT == 0:
                told.wait_for_publish(_PATIENCE)
        told.wait_for_publish(_PATIENCE)
        _tick(ticks, load, pair * PAIR + 1)
    ticks.flush()
    line.send(Sent(at, counts, number))
    client.disconnect()
    client.loop_stop()


def _tick(producer: object, load: Load, quarter: int) -> None:
    record = Record("bench", 1, quarter, Tick(load.workload.start + (quarter + 1) * QUARTER_MS))
    for partition in range(load.workload.partitions):
        producer.send(measured.topic_of(load.prefix), encode(record), partition=partition)  # type: ignore[attr-defined]


def _messages(load: Load, pair: int) -> Iterator[tuple[str, bytes, int]]:
    """Topic, payload and readings of each message of a pair of quarter hours."""
    for _, sections in load.workload.arrivals(pair):
        for section in sections:
            topic = topics.mqtt_readings(section.unit)
            size = 1 if load.singles else len(section.at)
            for begin in range(0, len(section.at), size):
                yield topic, _payload(section, slice(begin, begin + size)), size


def _payload(section: Section, some: slice) -> bytes:
    """In columns, as schemas.reading says; the workload's values are whole kWh."""
    return orjson.dumps(
        {
            "unit": "kWh",
            "sent_at": int(section.sent_at),
            "statement": [
                STATEMENTS[code] for code in np.asarray(section.statement)[some].tolist()
            ],
            "point": [section.names[number] for number in np.asarray(section.point)[some].tolist()],
            "at": section.at[some].tolist(),
            "value": (section.value[some] // _MILLION).tolist(),
        }
    )


# ---- The servers


@contextmanager
def _mosquitto() -> Iterator[tuple[LocalParts, int]]:
    with tempfile.TemporaryDirectory(prefix="weir-bench-mqtt-") as folder:
        parts = LocalParts(Path(folder), programs=chosen_programs(chosen_folder()))
        port = parts.up(["mqtt"]).mqtt_port
        password = parts.state.secret(parts.state.part_folder("mqtt") / "load-password")
        try:
            parts.set_mqtt_users({_USER: password}, _ACL)
            yield parts, port
        finally:
            parts.down(["mqtt"])


def _passwords(parts: LocalParts) -> str:
    return parts.state.secret(parts.state.part_folder("mqtt") / "load-password")


@contextmanager
def _gateway(parts: LocalParts, prefix: str, partitions: int) -> Iterator[None]:
    told = {
        **parts.endpoints().environment(),
        "WEIR_KAFKA": servers.kafka(),
        "WEIR_TOPIC_PREFIX": prefix,
        "WEIR_PARTITIONS": str(partitions),
        "WEIR_GENERATION": str(MEASURED),
    }
    command = [sys.executable, "-m", "ingest", "mqtt", "--metrics-port", "0"]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, env=os.environ | told, stderr=log, stdout=log) as process,
    ):
        try:
            _wait_subscribed(process, log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait_subscribed(process: "subprocess.Popen[bytes]", log: object) -> None:
    deadline = time.monotonic() + 30
    said = ""
    while time.monotonic() < deadline and process.poll() is None:
        said = os.pread(log.fileno(), 65_536, 0).decode(errors="replace")  # type: ignore[attr-defined]
        if re.search(r"\bsubscribed\b", said):
            return
        time.sleep(0.05)
    message = f"the gateway did not subscribe:\n{said}"
    raise SystemExit(message)
