"""Users, passwords, rights and certificates, from the registry to the brokers: about 15 seconds."""

import socket
import ssl
import time
from pathlib import Path

import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaError

from deploy.local.certificates import Authority, write_secret
from deploy.local.complaint import ComplaintError
from deploy.local.state import State
from ingest.expiry import AUTHORITY, ExpiryMetrics, Watched, shown_until
from schemas.topics import enterprise_readings, mqtt_readings
from tests.security.doors import ALL, BY_CERTIFICATE, LEAVES, OTHER, ROTATES, UNIT, Doors
from tests.security.mqtt_client import (
    NO_MATCHING_SUBSCRIBERS,
    NOT_AUTHORISED,
    client,
    wait_until,
)

TAKEN = (0, NO_MATCHING_SUBSCRIBERS)


def mqtt_lets_in(doors: Doors, user: str, password: str | None = None) -> bool:
    with client(doors.parts, user=user, password=password or doors.password(user)) as one:
        return one.let_in == 0


def kafka_lets_in(doors: Doors, user: str, password: str | None = None) -> bool:
    try:
        producer = KafkaProducer(**doors.client(user, password), bootstrap_timeout_ms=3_000)
    except KafkaError:
        return False
    producer.close()
    return True


def test_again_changes_nothing(doors: Doors) -> None:
    """What is so already is not done again, and no password is made anew or said."""
    before = {user: doors.password(user) for user in doors.folder.read().users()}
    assert doors.changes("plan", units=ALL)["changes"] == []
    again = doors.access("apply", units=ALL)
    assert again == "nothing to change\n"
    assert {user: doors.password(user) for user in before} == before
    kept = [path for path in doors.folder.path.rglob("*") if path.is_file()]
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept if path.name != "lock")
    assert doors.access("show", UNIT).strip() == before[UNIT]


def test_a_plan_names_each_change_and_makes_none(doors: Doors) -> None:
    """A unit that is new: its topic, user, right and Mosquitto user, each by its name."""
    new = "91510100SAFE00009X"
    told = doors.changes("plan", units=(*ALL, new))
    what = [f"{one['place']} {one['act']} {one['what']}" for one in told["changes"]]  # type: ignore[index]
    topic = enterprise_readings(new)
    assert what == [
        f"kafka add topic {topic}",
        f"kafka add user {new}",
        f"kafka add right: {new} may write topic {topic}",
        f"mqtt add user {new}",
    ]
    assert told["passwords_made"] == [new]
    assert new not in doors.folder.read().users()


def test_a_unit_comes_in_by_both_doors_with_foreign_clients(doors: Doors) -> None:
    """mosquitto_pub and kcat, over TLS, by the password of the registry's user."""
    doors.kcat(UNIT, "-P", "-t", enterprise_readings(UNIT), payload='{"message_id": "k"}')
    with pytest.raises(ComplaintError, match="Topic authorization failed"):
        doors.kcat(UNIT, "-P", "-t", enterprise_readings(OTHER), payload="{}")
    folder = doors.parts.state.folder / "mqtt"
    words = ["-h", "127.0.0.1", "-p", str(doors.parts.endpoints().mqtt_tls_port), "-V", "5"]
    words += ["--cafile", str(folder / "ca.pem"), "-q", "1", "-m", "{}", "-d"]
    said = doors.parts.root.run(
        ["mosquitto_pub", *words, "-u", UNIT, "-P", doors.password(UNIT), "-t", mqtt_readings(UNIT)]
    )
    assert "PUBACK" in said
    said = doors.parts.root.run(
        [
            "mosquitto_pub",
            *words,
            "-u",
            UNIT,
            "-P",
            doors.password(UNIT),
            "-t",
            mqtt_readings(OTHER),
        ]
    )
    assert "RC:135" in said  # 0x87, not authorised


def test_passwords_change_without_a_gap(doors: Doors) -> None:
    """Old and new hold at both brokers until the overlap is over; then the old one is nobody's."""
    old = doors.password(ROTATES)
    with client(doors.parts, user=ROTATES, password=old) as connected:
        said = doors.access("rotate", ROTATES, "--overlap-days", "3")
        second = f"{ROTATES}.2"
        assert doors.password(second) not in said
        doors.changes("apply", units=ALL)
        wait_until(lambda: mqtt_lets_in(doors, second), "Mosquitto knows the new one")
        assert kafka_lets_in(doors, ROTATES)
        doors.kcat(second, "-P", "-t", enterprise_readings(ROTATES), payload="{}")
        with client(doors.parts, user=second, password=doors.password(second)) as new:
            assert new.published(mqtt_readings(ROTATES)) in TAKEN
            assert new.published(mqtt_readings(UNIT)) == NOT_AUTHORISED
        assert connected.published(mqtt_readings(ROTATES)) in TAKEN
        assert connected.thrown_out is None
    assert "has two passwords already" in doors.access("rotate", ROTATES, code=1)

    known = doors.folder.read()
    (account,) = [one for one in known.accounts if one.name == ROTATES]
    doors.folder.write(known.changed(account.model_copy(update={"until": 1})))
    doors.changes("apply", units=ALL)
    wait_until(lambda: not mqtt_lets_in(doors, ROTATES, old), "Mosquitto forgot the old one")
    assert not kafka_lets_in(doors, ROTATES, old)
    assert mqtt_lets_in(doors, second)
    assert doors.changes("plan", units=ALL)["changes"] == []


def test_a_unit_that_left_is_let_in_no_longer(doors: Doors, tmp_path: Path) -> None:
    """It is named first and removed when somebody says so; its certificate opens nothing then."""
    files = certificate(doors, tmp_path, LEAVES)
    stay = tuple(unit for unit in ALL if unit != LEAVES)
    told = doors.changes("apply", units=stay)
    assert told["units_that_left_and_stay"] == [LEAVES]
    old = doors.password(LEAVES)
    assert mqtt_lets_in(doors, LEAVES, old)
    with client(doors.parts, certificate=files) as one:
        assert one.published(mqtt_readings(LEAVES)) in TAKEN
        doors.changes("apply", "--remove", units=stay)
        wait_until(lambda: not mqtt_lets_in(doors, LEAVES, old), "Mosquitto forgot it")
        assert one.published(mqtt_readings(LEAVES)) == NOT_AUTHORISED
    assert not kafka_lets_in(doors, LEAVES, old)
    assert not (doors.folder.path / "secrets" / LEAVES).exists()
    assert doors.changes("plan", units=stay)["changes"] == []
    doors.changes("apply", units=ALL)
    wait_until(lambda: mqtt_lets_in(doors, LEAVES), "it is there again")
    assert doors.password(LEAVES) != old


def certificate(doors: Doors, folder: Path, name: str) -> tuple[str, str]:
    """A client's certificate and key, as files."""
    issued = doors.parts.authority().client(name)
    write_secret(folder / f"{name}.pem", issued.certificate)
    write_secret(folder / f"{name}.key", issued.key)
    return str(folder / f"{name}.pem"), str(folder / f"{name}.key")


def test_a_certificate_is_an_identity(doors: Doors, tmp_path: Path) -> None:
    """Its CN is the user, whatever the client says; once revoked it opens no connection."""
    files = certificate(doors, tmp_path, BY_CERTIFICATE)
    with client(doors.parts, certificate=files, user=UNIT, password=doors.password(UNIT)) as one:
        assert one.published(mqtt_readings(BY_CERTIFICATE)) in TAKEN
        assert one.published(mqtt_readings(UNIT)) == NOT_AUTHORISED
    doors.parts.authority().revoke(Path(files[0]))
    doors.parts.renew_certificates(["mqtt"])
    wait_until(lambda: is_refused(doors, files), "Mosquitto knows what is revoked")


def is_refused(doors: Doors, files: tuple[str, str]) -> bool:
    try:
        with client(doors.parts, certificate=files) as one:
            return one.let_in != 0
    except OSError:
        return True


def serial(doors: Doors, port: int) -> str:
    """Of the certificate that a server shows to who comes now."""
    context = ssl.create_default_context(cafile=str(doors.parts.endpoints().authority))
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as one,
    ):
        return str((one.getpeercert() or {})["serialNumber"])


def test_servers_get_new_certificates_without_a_gap(doors: Doors) -> None:
    """Who is connected stays so and is served; who comes then sees the new one."""
    endpoints = doors.parts.endpoints()
    ports = (endpoints.mqtt_tls_port, int(endpoints.kafka_tls.rpartition(":")[2]))
    before = [serial(doors, port) for port in ports]
    producer = KafkaProducer(**doors.client(UNIT))
    producer.send(enterprise_readings(UNIT), b"{}").get(timeout=10)
    with client(doors.parts, user=UNIT, password=doors.password(UNIT)) as one:
        doors.parts.renew_certificates()
        wait_until(
            lambda: all(
                serial(doors, port) != old for port, old in zip(ports, before, strict=True)
            ),
            "both show another certificate",
        )
        assert one.published(mqtt_readings(UNIT)) in TAKEN
        assert one.thrown_out is None
    producer.send(enterprise_readings(UNIT), b"{}").get(timeout=10)
    producer.close()


def test_who_signed_itself_is_nobody(doors: Doors, tmp_path: Path) -> None:
    """A certificate of another authority with a unit's name opens no connection."""
    stranger = Authority(State(tmp_path, doors.parts.state.programs), doors.parts.root).client(UNIT)
    write_secret(tmp_path / "x.pem", stranger.certificate)
    write_secret(tmp_path / "x.key", stranger.key)
    assert is_refused(doors, (str(tmp_path / "x.pem"), str(tmp_path / "x.key")))


def test_it_is_told_when_certificates_and_passwords_expire(doors: Doors, tmp_path: Path) -> None:
    """Of what servers show and of the authority; who shows none that is right is not valid."""
    endpoints = doors.parts.endpoints()
    servers = (f"127.0.0.1:{endpoints.mqtt_certificates_port}", endpoints.kafka_tls)
    away = "127.0.0.1:1"
    metrics = ExpiryMetrics((*servers, away))
    metrics.look(Watched((*servers, away), endpoints.authority, doors.folder))

    def value(name: str, **labels: str) -> float:
        return metrics.registry.get_sample_value(name, labels) or 0.0

    in_a_year = time.time() + 360 * 86_400
    for name in (*servers, AUTHORITY):
        assert value("weir_certificate_valid", certificate=name) == 1
        assert value("weir_certificate_expiry_timestamp_seconds", certificate=name) > in_a_year
    assert value("weir_certificate_valid", certificate=away) == 0
    assert 0 < time.time() - value("weir_password_oldest_timestamp_seconds") < 3_600
    stranger = Authority(State(tmp_path, doors.parts.state.programs), doors.parts.root)
    stranger.server()
    assert shown_until(servers[0], stranger.certificate) is None
