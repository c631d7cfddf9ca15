"""The Kafka door with real rights: its gateways, a foreign client and a forged unit. About 15 seconds."""

import json
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from deploy.services import answer
from schemas import topics
from schemas.failure_point import VARIABLE
from schemas.reading import Refusal
from schemas.section import Section
from tests.security.doors import ALL, BY_KAFKA, BY_KAFKA_TOO, OTHER, Doors
from tests.security.log_reader import Log
from tests.security.mqtt_client import wait_until

START = 1_514_736_000_000
QUARTER = 900_000
NUMBERS = count()


@dataclass
class Running:
    """A gateway's process, and what it says."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def said(self) -> str:
        return self.log.read_text()

    def page(self, path: str) -> str:
        found = re.search(r"metrics on (http://\S+)/metrics", self.said())
        return (answer(found[1] + path) or "") if found else ""

    def metric(self, name: str) -> int:
        line = next(
            line
            for line in self.page("/metrics").splitlines()
            if line.startswith(f"weir_gateway_{name} ")
        )
        return int(float(line.split()[-1]))

    def ready(self) -> bool:
        assert self.process.poll() is None, self.said()
        return bool(self.page("/readyz"))

    def end(self, number: signal.Signals) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=30)


Start = Callable[..., Running]


@pytest.fixture
def start(doors: Doors, tmp_path: Path) -> Iterator[Start]:
    """Start gateways, each as the user `kafka-gateway` over TLS; all end with the test."""
    running: list[Running] = []

    def begin(*words: str, stop_at: str = "") -> Running:
        number = next(NUMBERS)
        path = tmp_path / f"{number}.log"
        command = [sys.executable, "-m", "ingest", "kafka", "--metrics-port", "0"]
        with path.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--door", f"k-{number}", "--look-every", "2", "--session", "2", *words],
                env=doors.environment("kafka-gateway", **{VARIABLE: stop_at}),
                stderr=output,
            )
        running.append(Running(process, path))
        return running[-1]

    yield begin
    for one in running:
        one.end(signal.SIGKILL)


def message(number: str, at: int, **more: object) -> bytes:
    told = {"message_id": number, "point": "E1", "statement": "PT15M", "unit": "kWh"}
    rows = {"at": [at + i * QUARTER for i in range(4)], "value": [1, 2, 3, 4]}
    return json.dumps({**told, **rows, **more}).encode()


def send(doors: Doors, unit: str, payloads: Sequence[bytes]) -> None:
    """As the unit, with kafka-python."""
    with closing(KafkaProducer(**doors.client(unit), acks="all")) as producer:
        sent = [producer.send(topics.enterprise_readings(unit), one) for one in payloads]
        for future in sent:
            future.get(timeout=20)


def test_what_a_unit_writes_is_kept_under_its_topic(doors: Doors, start: Start) -> None:
    """Kcat's message, one that names another unit, one that is no message, one wrong reading of four; then a new unit's."""
    found = Log(doors, BY_KAFKA, BY_KAFKA_TOO)
    gateway = start()
    wait_until(gateway.ready, "the gateway is ready", seconds=60)
    good = message("good", START).decode()
    doors.kcat(BY_KAFKA, "-P", "-t", topics.enterprise_readings(BY_KAFKA), payload=good)
    forged = message("forged", START, unit_code=OTHER)
    one_wrong = message("half", START + 4 * QUARTER, value=[1, "x", 3, 4])
    send(doors, BY_KAFKA, [forged, b"\xff no message", one_wrong])
    wait_until(
        lambda: len(found.parts()) > 0 and _count(found) == (7, 5, 1), "all are kept", seconds=60
    )
    parts = found.parts()
    assert {part.unit for part in parts} == {BY_KAFKA}
    sections = [part for part in parts if isinstance(part, Section)]
    refused = Counter(item.reason for section in sections for item in section.refused)
    assert refused == {Refusal.WRONG_UNIT: 4, Refusal.NOT_A_NUMBER: 1}
    assert gateway.metric('refused_total{reason="wrong unit"}') >= 4
    assert gateway.metric("messages_total") >= 4
    send(doors, BY_KAFKA, [b'{"stop": {"id": "s"}, "message_id": "m"}'])
    wait_until(lambda: gateway.metric("stops_total") == 1, "the declared stop is passed on")
    assert len(found.parts()) == len(parts)
    _a_new_units_topic_is_seen(doors)
    assert gateway.end(signal.SIGTERM) == 0


def _a_new_units_topic_is_seen(doors: Doors) -> None:
    """While the gateway runs: nobody starts it anew."""
    new = "91510100NEW0000001"
    found = Log(doors, new)
    kafka = doors.parts.endpoints().kafka
    with closing(KafkaAdminClient(bootstrap_servers=kafka)) as admin:
        topic = topics.enterprise_readings(new)
        admin.create_topics({topic: {"num_partitions": 1, "replication_factor": 1}})
        with closing(KafkaProducer(bootstrap_servers=kafka)) as producer:
            producer.send(topic, message("new", START)).get(timeout=20)
        wait_until(lambda: found.message_ids() == {"new": 1}, "it is kept", seconds=60)
        admin.delete_topics([topic])


def _count(found: Log) -> tuple[int, int, int]:
    """Readings, refused readings and unreadable messages."""
    parts = found.parts()
    sections = [part for part in parts if isinstance(part, Section)]
    return (
        sum(map(len, sections)),
        sum(len(section.refused) for section in sections),
        len(parts) - len(sections),
    )


def test_killed_between_the_log_and_its_offsets_it_loses_nothing(
    doors: Doors, start: Start
) -> None:
    """What was written and not committed comes again; what was committed does not."""
    found = Log(doors, BY_KAFKA, BY_KAFKA_TOO)
    send(doors, BY_KAFKA, [message(f"a-{n}", START + n * 4 * QUARTER) for n in range(40)])
    first = start("--at-once", "20", stop_at="in Kafka:2")
    wait_until(lambda: "stopped at: in Kafka" in first.said(), "it stops there", seconds=60)
    first.end(signal.SIGKILL)
    send(doors, BY_KAFKA, [message(f"a-{n}", START + n * 4 * QUARTER) for n in range(40, 60)])
    second = start()
    wait_until(lambda: len(found.message_ids()) == 60, "all are there", seconds=60)
    times = found.message_ids()
    assert set(times) == {f"a-{n}" for n in range(60)}
    repeated = [name for name, often in times.items() if often > 1]
    assert 0 < len(repeated) <= 20
    assert second.end(signal.SIGTERM) == 0


def test_gateways_share_the_topics(doors: Doors, start: Start) -> None:
    """Each has some; one that ends in order leaves them to the other, and nothing comes twice."""
    found = Log(doors, BY_KAFKA, BY_KAFKA_TOO)
    both = [start(), start()]

    def shares() -> list[int]:
        return [one.metric("topics") for one in both if one.ready()]

    wait_until(
        lambda: len(shares()) == 2 and min(shares()) > 0 and sum(shares()) == len(ALL),
        "each has some",
        seconds=60,
    )
    for unit in (BY_KAFKA, BY_KAFKA_TOO):
        send(doors, unit, [message(f"{unit}-{n}", START) for n in range(10)])
    wait_until(lambda: len(found.message_ids()) == 20, "all are there", seconds=60)
    assert both[0].end(signal.SIGTERM) == 0
    for unit in (BY_KAFKA, BY_KAFKA_TOO):
        send(doors, unit, [message(f"{unit}-{n}", START) for n in range(10, 20)])
    wait_until(lambda: len(found.message_ids()) == 40, "the other goes on alone", seconds=60)
    assert set(found.message_ids().values()) == {1}
    assert len({record.door for record in found.records()}) == 2
    assert both[1].end(signal.SIGTERM) == 0
