"""Every service under its own user, over TLS, with the rights of `access apply` and no more. About 15 seconds."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest
from kafka import KafkaConsumer, TopicPartition

from deploy.local.state import CHECKOUT
from processors import migrate
from schemas import topics
from tests.integration.conftest import drop_database, new_database
from tests.security.doors import ALL, PARTITIONS, Doors
from tests.security.mqtt_client import wait_until


@pytest.fixture
def database() -> Iterator[str]:
    """One of this test's own."""
    url = new_database()
    migrate.up(url)
    yield url
    drop_database(url)


class Services:
    """Processes, each as a user of its own."""

    def __init__(self, doors: Doors, database: str, folder: Path) -> None:
        self._doors, self._database, self._folder = doors, database, folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def environment(self, user: str) -> Mapping[str, str]:
        told = {"WEIR_DATABASE_URL": self._database, "WEIR_ALERTS_HTTP": "127.0.0.1:0"}
        return self._doors.environment(user, **told)

    def start(self, user: str, *words: str) -> None:
        with self.log(user).open("wb") as output:
            self.running[user] = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=CHECKOUT,
                env=self.environment(user),
                stdout=output,
                stderr=output,
            )

    def pass_feedback_on(self) -> None:
        """Kafka's user `feedback`, who is the gateway to the MQTT broker."""
        broker = self._doors.parts.endpoints()
        with self.log("passer").open("wb") as output:
            self.running["passer"] = subprocess.Popen(
                [sys.executable, "-m", "ingest", "feedback", "--metrics-port", "0"],
                cwd=CHECKOUT,
                env=self._doors.environment(
                    "feedback",
                    WEIR_MQTT_USER="gateway",
                    WEIR_MQTT_PASSWORD_FILE=str(self._doors.folder.path / "secrets" / "gateway"),
                    WEIR_MQTT=f"127.0.0.1:{broker.mqtt_port}",
                ),
                stdout=output,
                stderr=output,
            )

    def run(self, user: str, *words: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=CHECKOUT,
            env=self.environment(user),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def log(self, user: str) -> Path:
        return self._folder / f"{user}.log"

    def said(self) -> str:
        return "\n".join(
            f"--- {user}\n{self.log(user).read_text()[-2000:]}" for user in self.running
        )

    def alive(self) -> bool:
        assert all(one.poll() is None for one in self.running.values()), self.said()
        return True

    def end(self) -> None:
        for one in self.running.values():
            one.kill()
            one.wait(timeout=10)


@pytest.fixture
def services(doors: Doors, database: str, tmp_path: Path) -> Iterator[Services]:
    found = Services(doors, database, tmp_path)
    yield found
    found.end()


def test_each_service_does_its_work_under_its_own_user(
    doors: Doors, database: str, services: Services
) -> None:
    """A registry is published, ticks are written, digested and told, and the alerts hear of it."""
    registry = str(doors.registry(*ALL))
    services.run("operator", "processors", "registry", "load", registry, "--reason", "test")
    services.start("worker", "processors", "worker", "--session", "6", "--metrics-port", "0")
    services.start("clock", "ingest", "clock", "--interval", "1")
    services.start("alerts", "alerts", "run", "--no-alertmanager")
    services.start("watch", "ingest", "watch", "--no-broker", "--every", "1", "--metrics-port", "0")
    services.start("aggregator", "processors", "aggregator", "--metrics-port", "0")
    services.start("feedback", "processors", "feedback", "--metrics-port", "0")
    services.pass_feedback_on()

    def rows(statement: str) -> list[tuple[object, ...]]:
        assert services.alive()
        with psycopg.connect(database) as link:
            return link.execute(statement.encode()).fetchall()

    wait_until(
        lambda: bool(rows("SELECT 1 FROM partition WHERE next_offset > 3")), "digested", seconds=60
    )
    wait_until(lambda: _told(doors) > 0, "it is told", seconds=30)
    wait_until(
        lambda: bool(rows("SELECT 1 FROM alert_partition WHERE next_offset > 0")),
        "the alerts heard it",
        seconds=60,
    )
    rows(_WAITING.format(unit=ALL[0]))
    wait_until(
        lambda: _told(doors, topics.REGIONS, 1) == 1, "a region's message is sent", seconds=30
    )
    wait_until(
        lambda: _told(doors, topics.FEEDBACK, PARTITIONS) >= 1, "feedback is sent", seconds=30
    )
    wait_until(
        lambda: rows("SELECT count(*) FROM stop_entry WHERE told <> ''") == [(1,)],
        "the alerts' topic has the stop",
        seconds=30,
    )
    wait_until(
        lambda: _committed(doors, topics.FEEDBACK_GROUP) >= 1, "it is passed on to MQTT", seconds=30
    )
    assert "uthoriz" not in services.said()
    assert "kafka:" not in services.log("watch").read_text()


_WAITING = """
SELECT declare_stop('{unit}', 's', 'stop', 1, 2, '{{}}', 'notice', 'Li', '', false);
INSERT INTO aggregation (hour) VALUES (4102444800000) ON CONFLICT DO NOTHING;
INSERT INTO region_outbox VALUES (4102444800000, 0, NULL, 'city:510100', 'x');
INSERT INTO feedback SELECT generation, min(partition), 1000000, 0, '{unit}', 'x' FROM partition GROUP BY 1"""
"""What the aggregator and the service of feedback are to send; beyond what other tests had refused."""


def _told(doors: Doors, topic: str = topics.INDICATORS, partitions: int = PARTITIONS) -> int:
    """Messages on a topic."""
    consumer = KafkaConsumer(bootstrap_servers=doors.parts.endpoints().kafka)
    places = [TopicPartition(topic, p) for p in range(partitions)]
    try:
        return sum(consumer.end_offsets(places).values())
    finally:
        consumer.close()


def _committed(doors: Doors, group: str) -> int:
    """How far a group is on the topic of feedback."""
    consumer = KafkaConsumer(bootstrap_servers=doors.parts.endpoints().kafka, group_id=group)
    places = [TopicPartition(topics.FEEDBACK, p) for p in range(PARTITIONS)]
    try:
        return sum(consumer.committed(place) or 0 for place in places)
    finally:
        consumer.close(autocommit=False)


def test_the_registry_is_read_as_it_was_published(doors: Doors, services: Services) -> None:
    """Without a file: all that `registry load` ever sent to Kafka."""
    registry = str(doors.registry(*ALL))
    services.run("operator", "processors", "registry", "load", registry, "--reason", "test")
    folder = str(doors.parts.state.folder / "mqtt")
    said = doors.access("plan", "--mosquitto", folder)
    assert said == "nothing to change\n"
