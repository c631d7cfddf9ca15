"""The parts of deploy/local, started for real beside those that may already be up.

They get a state folder of their own and share the programs (the private root, the jars) with the
default one, which is made if it is not there: half a minute, once.
"""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import NewTopic
from kafka.errors import KafkaTimeoutError

from deploy.local.complaint import ComplaintError
from deploy.local.parts import PARTS, LocalParts
from deploy.local.ports import is_free
from deploy.local.process import ServerProcess, launch, listens
from deploy.local.state import CHECKOUT, chosen_folder, chosen_programs
from deploy.local.wire import mqtt_reason

PROGRAMS = chosen_programs(chosen_folder())
NOT_AUTHORISED = 0x87


def parts_in(folder: Path) -> LocalParts:
    """Return parts with data of their own and the programs of all."""
    return LocalParts(folder, programs=PROGRAMS)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalParts]:
    """All four, up."""
    started = parts_in(tmp_path_factory.mktemp("parts"))
    with socket.socket() as receiver:
        receiver.bind(("127.0.0.1", 0))
        port = receiver.getsockname()[1]
    try:
        started.up(asked_ports={"webhook": port})
        yield started
    finally:
        started.down()


def test_each_part_answers_by_its_own_protocol(parts: LocalParts) -> None:
    """`up` means that it serves, not that a port is open."""
    assert {status.part: status.state for status in parts.status()} == dict.fromkeys(PARTS, "up")


def test_up_again_starts_nothing(parts: LocalParts) -> None:
    """A second `up` says that all is up and leaves it alone."""
    before = parts.endpoints()
    said: list[str] = []
    again = LocalParts(parts.state.folder, programs=PROGRAMS, say=said.append)
    assert again.up() == before
    assert [line.split()[:3] for line in said] == [[name, "already", "up"] for name in PARTS]


def test_two_ups_at_once_start_each_part_once(tmp_path: Path) -> None:
    """The second waits for the first, and then finds everything up."""
    both = [parts_in(tmp_path), parts_in(tmp_path)]
    try:
        with ThreadPoolExecutor() as pool:
            first, second = pool.map(lambda one: one.up(["mqtt", "alertmanager"]), both)
        assert first.pids == second.pids
    finally:
        both[0].down()


def test_only_the_loopback_listens(parts: LocalParts) -> None:
    """Nothing of ours can be reached from another machine."""
    chosen = parts.state.recall()
    ours = {int(port) for name, port in chosen.items() if name not in {"webhook", "webhook_url"}}
    assert [(host, port) for host, port in listening() if port in ours] == [
        ("0100007F", port) for port in sorted(ours)
    ]


def listening() -> list[tuple[str, int]]:
    """Return address (as the kernel writes it) and port of all that listens, sorted by port."""
    lines = [
        line.split()
        for table in ("tcp", "tcp6")
        for line in Path("/proc/net", table).read_text().splitlines()[1:]
    ]
    found = [fields[1].split(":") for fields in lines if fields[3] == "0A"]
    return sorted(((host, int(port, 16)) for host, port in found), key=lambda one: one[1])


@pytest.mark.parametrize(
    "name",
    [pytest.param("kafka", marks=pytest.mark.slow), "database", "mqtt", "alertmanager"],
)
def test_a_killed_part_comes_back_where_it_was(parts: LocalParts, name: str) -> None:
    """Tests that kill servers get them back at the same address, as another process.

    Kafka takes ten seconds: its controller first gives up the broker that was killed.
    """
    before, old = parts.endpoints(), parts.pid(name)
    parts.stop(name, kill=True)
    with pytest.raises(ComplaintError, match=f"{name} is down"):
        parts.pid(name)
    parts.start(name)
    after = parts.endpoints()
    assert after.pids[name] != old
    assert (after.kafka, after.database_url) == (before.kafka, before.database_url)
    assert (after.mqtt_port, after.alertmanager) == (before.mqtt_port, before.alertmanager)


def test_a_commit_outlives_the_server(parts: LocalParts) -> None:
    """What PostgreSQL said was committed is there after a power cut."""
    database = parts.database()
    database.query("CREATE TABLE kept (at timestamptz PRIMARY KEY)")
    database.query("SELECT create_hypertable('kept', 'at')")
    database.query("INSERT INTO kept VALUES ('2026-01-01T00:00:00Z')")
    parts.stop("database", kill=True)
    parts.start("database")
    assert database.query("SELECT at FROM kept") == "2026-01-01 00:00:00+00"
    database.query("DROP TABLE kept")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("TimeZone", "UTC"),
        ("max_connections", "100"),
        ("timescaledb.telemetry_level", "off"),
        ("timescaledb.license", "apache"),
    ],
)
def test_the_database_is_set_as_the_service_needs_it(
    parts: LocalParts, setting: str, value: str
) -> None:
    """A commit is on the disk when it is told, and nobody is told about us."""
    assert parts.database().query(f"SHOW {setting}") == value


def test_a_topic_is_made_on_purpose_only(parts: LocalParts) -> None:
    """The broker stores and returns records, and makes no topic from a typo."""
    kafka = parts.endpoints().kafka
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    admin.create_topics([NewTopic("made", 2, 1)])
    producer = KafkaProducer(bootstrap_servers=kafka, max_block_ms=500)
    for number in range(100):
        producer.send("made", key=str(number % 7).encode(), value=str(number).encode())
    producer.flush()
    consumer = KafkaConsumer(
        "made",
        bootstrap_servers=kafka,
        group_id="readers",
        auto_offset_reset="earliest",
        session_timeout_ms=2000,  # the broker allows less than its usual six seconds
        heartbeat_interval_ms=500,
    )
    received = [int(next(consumer).value) for _ in range(100)]
    assert sorted(received) == list(range(100))
    with pytest.raises(KafkaTimeoutError):
        producer.send("never_made", b"")
    assert "never_made" not in admin.list_topics()
    for client in (consumer, producer, admin):
        client.close()


def test_nobody_comes_in_without_a_password(parts: LocalParts) -> None:
    """Mosquitto refuses whoever is not in its list, and lets in who is, at once."""
    endpoints = parts.endpoints()
    gateway = endpoints.mqtt_password_file.read_text()
    parts.set_mqtt_users({"plant-1": "right"}, "user plant-1\ntopic write plant-1/#\n")
    asked = [("", ""), ("plant-1", "wrong"), ("plant-1", "right")]
    answers = [mqtt_reason(endpoints.mqtt_port, *one) for one in asked]
    assert answers == [NOT_AUTHORISED, NOT_AUTHORISED, 0]
    assert mqtt_reason(endpoints.mqtt_port, endpoints.mqtt_user, gateway) == 0
    parts.set_mqtt_users({}, "user gateway\ntopic readwrite #\n")
    assert mqtt_reason(endpoints.mqtt_port, *asked[2]) == NOT_AUTHORISED


def test_a_user_reaches_only_what_the_list_says(parts: LocalParts) -> None:
    """One plant cannot speak as another: the topic is the identity."""
    acl = "user gateway\ntopic read #\nuser plant-1\ntopic write plant-1/#\n"
    parts.set_mqtt_users({"plant-1": "one"}, acl)
    address = ["-h", "127.0.0.1", "-p", str(parts.endpoints().mqtt_port), "-V", "5"]
    for topic in ("plant-2/readings", "plant-1/readings"):
        plant = ["-u", "plant-1", "-P", "one", "-q", "1", "-r"]
        parts.root.run(["mosquitto_pub", *address, *plant, "-t", topic, "-m", topic])
    gateway = ["-u", "gateway", "-P", parts.endpoints().mqtt_password_file.read_text()]
    received = parts.root.run(
        ["mosquitto_sub", *address, *gateway, "-t", "#", "-W", "10", "-C", "1"]
    )
    assert received.split() == ["plant-1/readings"]


def test_alertmanager_posts_what_it_is_given(parts: LocalParts) -> None:
    """An alert reaches the webhook within seconds."""
    endpoints = parts.endpoints()
    alert = {"labels": {"alertname": "Probe"}, "startsAt": datetime.now(UTC).isoformat()}
    connection = HTTPConnection(urlsplit(endpoints.alertmanager).netloc)
    with receiver(urlsplit(endpoints.webhook).port or 0) as posted:
        json_type = {"Content-Type": "application/json"}
        connection.request("POST", "/api/v2/alerts", json.dumps([alert]), json_type)
        assert connection.getresponse().status == 200
        notified = json.loads(posted.get(timeout=15))
    connection.close()
    assert notified["status"] == "firing"
    assert [one["labels"] for one in notified["alerts"]] == [{"alertname": "Probe"}]


@contextmanager
def receiver(port: int) -> Iterator["queue.Queue[bytes]"]:
    """Listen for posts on the loopback."""
    posted: queue.Queue[bytes] = queue.Queue()

    class Post(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Tests print nothing."""

    with HTTPServer(("127.0.0.1", port), Post) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield posted
        server.shutdown()
        thread.join()


def test_down_leaves_nothing(tmp_path: Path) -> None:
    """`down` ends every process and frees every port, and leaves no mount behind."""
    started = parts_in(tmp_path)
    try:
        endpoints = started.up(["database", "mqtt"])
    finally:
        started.down()
    assert started.endpoints().pids == {}
    assert is_free(endpoints.mqtt_port)
    assert is_free(int(started.state.recall()["database"]))
    assert str(PROGRAMS) + "/root" not in Path("/proc/self/mountinfo").read_text()


def test_a_process_that_is_not_ours_is_never_signalled(tmp_path: Path) -> None:
    """A pid that now belongs to somebody else (here: to this test) is not ours to stop."""
    (tmp_path / "mqtt").mkdir()
    ServerProcess(os.getpid(), "another boot/12345").write(tmp_path / "mqtt/pid.json")
    parts_in(tmp_path).stop("mqtt", kill=True)
    assert parts_in(tmp_path).status()[2].state == "down"


def test_a_taken_default_is_replaced_and_a_taken_wish_refused(tmp_path: Path) -> None:
    """A port that a person asked for is never changed in silence."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ComplaintError, match=f"port {port} asked for mqtt is taken"):
            parts_in(tmp_path).up(["mqtt"], asked_ports={"mqtt": port})
        started = parts_in(tmp_path)
        started.state.remember(mqtt=str(port))
        try:
            assert started.up(["mqtt"]).mqtt_port != port
        finally:
            started.down()


def command_line(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a verb as a person does before any virtualenv exists: without site packages."""
    return subprocess.run(
        [sys.executable, "-S", "-m", "deploy.local", *arguments],
        cwd=CHECKOUT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_line_tells_the_services_where_everything_is(parts: LocalParts) -> None:
    """`env` prints the settings that the services read, and needs nothing but Python."""
    done = command_line("env", "--state", str(parts.state.folder))
    settings = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert settings == parts.endpoints().environment()
    status = command_line("status", "--json", "--state", str(parts.state.folder))
    assert [one["state"] for one in json.loads(status.stdout)] == ["up"] * 4


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        pytest.param(["env"], {}, "nothing was ever started", id="nothing yet"),
        pytest.param(["up"], {"WEIR_MQTT_PORT": "many"}, "'many' is no port", id="no port"),
        pytest.param(["up", "--only", "redis"], {}, "no part 'redis'", id="no part"),
    ],
)
def test_a_complaint_is_a_sentence(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], said: str
) -> None:
    """What a person can mend is told in words, never as a traceback."""
    done = command_line(*arguments, "--state", str(tmp_path), **environment)
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_another_who_answers_on_a_parts_port_is_not_the_part(tmp_path: Path) -> None:
    """A server of ours that hangs, and somebody else who took its port: silent, not up."""

    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"OK")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    parts = parts_in(tmp_path)
    with HTTPServer(("127.0.0.1", 0), Stranger) as stranger:
        threading.Thread(target=stranger.serve_forever, daemon=True).start()
        hanging = launch(["sleep", "60"], log=tmp_path / "log")
        try:
            parts.state.remember(alertmanager=str(stranger.server_port))
            hanging.write(parts.state.part_folder("alertmanager") / "pid.json")
            found = {one.part: one.state for one in parts.status()}
            ours = ServerProcess(os.getpid(), "")
            assert listens(ours, stranger.server_port)
        finally:
            hanging.signal(signal.SIGKILL)
            stranger.shutdown()
    assert found == dict.fromkeys(PARTS, "down") | {"alertmanager": "silent"}
