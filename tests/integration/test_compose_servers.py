"""Mosquitto and Kafka start from what compose gives them, with the certificates that `prepare.sh` makes."""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import paho.mqtt.client as paho
import pytest
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from deploy.local import access, process
from deploy.local.broker import jars_folder
from deploy.local.java import machine_java
from deploy.local.parts import LocalParts
from deploy.local.state import CHECKOUT, State, chosen_folder, chosen_programs, give_to_server
from ingest.access_rights import mosquitto_hash

COMPOSE = CHECKOUT / "deploy" / "compose"
ADMIN = {"bootstrap_timeout_ms": 3_000}


@pytest.fixture
def made() -> Iterator[Path]:
    """What `prepare.sh` makes, below the state folder: the private root sees nothing else."""
    folder = chosen_folder() / f"compose-{uuid4().hex[:8]}"
    shutil.copytree(COMPOSE, folder, ignore=shutil.ignore_patterns("made"))
    subprocess.run(["/bin/sh", str(folder / "prepare.sh"), "weir.example"], check=True)
    yield folder / "made"
    shutil.rmtree(folder)


def free_port() -> int:
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def placed(text: str, made: Path, **words: int) -> str:
    """A file's text with this machine's paths and ports in place of the container's."""
    text = text.replace("/made/", f"{made}/").replace("/var/lib/kafka/data", f"{made}/kafka/data")
    for old, new in words.items():
        text = text.replace(old.removeprefix("port"), str(new))
    return text


def test_prepare_again_changes_nothing(made: Path) -> None:
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    subprocess.run(["/bin/sh", str(made.parent / "prepare.sh"), "weir.example"], check=True)
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before
    assert made.stat().st_mode & 0o777 == 0o700


def test_mosquitto_takes_a_unit_by_tls_and_nobody_else(made: Path) -> None:
    inner, tls, certificates = (free_port() for _ in range(3))
    text = (COMPOSE / "mosquitto.conf").read_text()
    conf = made / "mosquitto.conf"
    conf.write_text(placed(text, made, port1883=inner, port8883=tls, port8884=certificates))
    unit = "91510100SYN0000001"
    hashed = mosquitto_hash("secret", salt=os.urandom(12))
    (made / "mosquitto" / "passwords").write_text(f"{unit}:{hashed}\n")
    (made / "mosquitto" / "acl").write_text(access.ACL)
    for path in (made.parent, made, *made.rglob("*")):
        give_to_server(path)
    root = LocalParts().root
    running = process.launch(
        root.command(["/usr/sbin/mosquitto", "-c", str(conf)]),
        log=made / "mosquitto.log",
        folder=made,
        environment=dict(os.environ),
    )
    try:
        assert connected(tls, made / "ca.pem", unit, "secret") == "Success"
        assert connected(tls, made / "ca.pem", unit, "wrong") == "Not authorized"
    finally:
        process.stop(running, signal.SIGTERM, patience=10)


def connected(port: int, authority: Path, user: str, password: str) -> str:
    """What the broker says to who connects."""
    said: list[str] = []
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.tls_set_context(ssl.create_default_context(cafile=str(authority)))
    client.username_pw_set(user, password)
    client.on_connect = lambda *told: said.append(str(told[3]))
    deadline = time.monotonic() + 10
    while not said and time.monotonic() < deadline:
        try:
            client.connect("localhost", port)
            client.loop_start()
            time.sleep(0.3)
        except OSError:
            time.sleep(0.1)
    client.disconnect()
    client.loop_stop()
    return said[0]


def test_kafka_serves_its_loopback_and_asks_everybody_else(made: Path) -> None:
    admin, secure, outside, controller = (free_port() for _ in range(4))
    settings = made / "kafka" / "server.properties"
    text = placed(
        settings.read_text(),
        made,
        port9092=admin,
        port9093=secure,
        port9094=outside,
        port9095=controller,
    ).replace("SECURE://kafka:", "SECURE://localhost:")
    settings.write_text(text)
    jars = jars_folder(State(chosen_folder(), chosen_programs(chosen_folder())))
    java = [machine_java() or "java", "-Xmx256m", "-cp", f"{jars}/*"]
    storage = ["kafka.tools.StorageTool", "format", "--cluster-id", "V2VpclNpY2h1YW5Db21wMQ"]
    subprocess.run([*java, *storage, "--config", str(settings)], check=True, capture_output=True)
    running = process.launch(
        [*java, "kafka.Kafka", str(settings)],
        log=made / "kafka.log",
        folder=made,
        environment=dict(os.environ),
    )
    try:
        client = patient_admin(f"127.0.0.1:{admin}")
        client.create_topics(["weir.readings.v1"])
        client.close()
        with pytest.raises(KafkaError):
            KafkaAdminClient(
                bootstrap_servers=f"localhost:{outside}",
                security_protocol="SASL_SSL",
                ssl_cafile=str(made / "ca.pem"),
                sasl_mechanism="SCRAM-SHA-512",
                sasl_plain_username="nobody",
                sasl_plain_password="nothing",  # noqa: S106 - nobody's
                **ADMIN,
            )
    finally:
        process.stop(running, signal.SIGTERM, patience=30)


def patient_admin(address: str) -> KafkaAdminClient:
    """Once the broker answers."""
    deadline = time.monotonic() + 40
    while True:
        try:
            return KafkaAdminClient(bootstrap_servers=address, **ADMIN)
        except KafkaError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)
