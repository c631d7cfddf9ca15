"""An enterprise hears what became of what it sent: through the real door, worker and servers (about 20 seconds)."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from kafka import KafkaProducer
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from alerts.replay import decode as decoded
from deploy.local import access
from deploy.local.parts import LocalParts
from deploy.local.state import CHECKOUT, chosen_folder, chosen_programs
from ingest import __main__ as ingest
from ingest.import_progress import Progress
from processors.doctor import examine
from schemas import topics
from schemas.calendar import rfc3339
from schemas.feedback import Account, Declared, Refused, Tried
from schemas.indicator import StopsTold
from schemas.section import Section, partition_of
from schemas.settings import Settings
from schemas.wire import decode
from tests.integration.first_page import put_programs, run_page
from tests.integration.places import Place, place_of

PARTITIONS = 2
QUARTER = 900_000
REGISTRY = """
[[regions]]
code = "510100"
name = "Chengdu"

[[industries]]
code = "31"
name = "Ferrous metals"

[[units]]
code = "{unit}"
name = "a unit of a test"
region = "510100"
industry = "31"

[[units.points]]
name = "E1"
quantity = "electricity"
unit_of_measure = "kWh"
statement = "PT15M"
rated_per_hour = 400
valid_from = 2026-01-01T00:00:00+08:00

[[units]]
code = "{newcomer}"
name = "a unit of the page"
region = "510100"
industry = "31"

[[units.points]]
name = "E1"
quantity = "electricity"
unit_of_measure = "kWh"
statement = "register"
digits = 6
rated_per_hour = 400
valid_from = 2026-01-01T00:00:00+08:00
"""

MAPPING = """
unit = "{unit}"
time = "at"
time_format = "epoch_ms"

[[readings]]
point = "IMPORTED"
value = "kWh"
statement = "PT15M"
unit = "kWh"
"""

pytestmark = pytest.mark.slow


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Enterprise:
    """The unit's own client: sends, and hears what it is told."""

    unit: str
    client: mqtt.Client
    heard: list[dict[str, object]] = field(default_factory=list)

    def send(self, kind: str, message: object) -> None:
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.client.publish(f"energy/v1/{self.unit}/{kind}", payload, qos=1).wait_for_publish(10)

    def told(self, wanted: Callable[[dict[str, object]], bool]) -> dict[str, object]:
        """The first that is wanted, as soon as it comes."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            for message in list(self.heard):
                if wanted(message):
                    return message
            time.sleep(0.02)
        raise AssertionError(self.heard)


@contextmanager
def enterprise(unit: str, password: str, port: int) -> Iterator[Enterprise]:
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id=f"{unit}-desk", protocol=mqtt.MQTTv5
    )
    client.username_pw_set(unit, password)
    one = Enterprise(unit, client)
    subscribed = threading.Event()
    client.on_message = lambda *told: one.heard.append(json.loads(told[2].payload))
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_connect = lambda *_: client.subscribe(topics.mqtt_feedback(unit), qos=1)
    kept = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    kept.SessionExpiryInterval = 300
    client.connect("127.0.0.1", port, clean_start=False, properties=kept)
    client.loop_start()
    assert subscribed.wait(10)
    yield one
    client.disconnect()
    client.loop_stop()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalParts]:
    """A broker whose access list is this checkout's."""
    parts = LocalParts(tmp_path_factory.mktemp("broker"), programs=chosen_programs(chosen_folder()))
    try:
        parts.up(["mqtt"])
        yield parts
    finally:
        parts.down(["mqtt"])


@pytest.fixture(scope="module")
def unit() -> str:
    return f"91510100{uuid4().hex[:10].upper()}"


@pytest.fixture(scope="module")
def newcomer() -> str:
    """Of the page: it has sent nothing yet."""
    return f"91510100{uuid4().hex[:10].upper()}"


@pytest.fixture(scope="module")
def place(
    shared_database: str,
    tmp_path_factory: pytest.TempPathFactory,
    broker: LocalParts,
    unit: str,
    newcomer: str,
) -> Iterator[Place]:
    """Two units in force, and all that stands between them and what they hear."""
    folder = tmp_path_factory.mktemp("feedback")
    (folder / "registry.toml").write_text(REGISTRY.format(unit=unit, newcomer=newcomer))
    with place_of(shared_database, folder, partitions=PARTITIONS) as one:
        told = broker.endpoints()
        one.environment["WEIR_MQTT"] = f"127.0.0.1:{told.mqtt_port}"
        one.environment["WEIR_MQTT_USER"] = told.mqtt_user
        one.environment["WEIR_MQTT_PASSWORD_FILE"] = str(told.mqtt_password_file)
        one.run("processors", "registry", "load", str(folder / "registry.toml"), "--reason", "test")
        one.start("worker", "processors", "worker", "--session", "6", "--metrics-port", "0")
        one.start("door", "ingest", "mqtt", "--metrics-port", "0", "--wait-ms", "20")
        key = folder / "feedback.pem"
        public = one.run("processors", "feedback", "--new-key", str(key))
        (folder / "public.pem").write_bytes(public)
        one.environment["WEIR_FEEDBACK_KEY_FILE"] = str(key)
        one.start("sends", "processors", "feedback", "--metrics-port", "0", "--accounts-every", "1")
        one.start("passes", "ingest", "feedback", "--metrics-port", "0")
        yield one


@pytest.fixture(scope="module")
def sender(place: Place, broker: LocalParts, unit: str) -> Iterator[Enterprise]:
    password = access.grant(broker, [unit])[unit]
    place.wait(lambda: "subscribed" in place.log("door").read_text(), "the door takes messages")
    with enterprise(unit, password, broker.endpoints().mqtt_port) as one:
        one.send("readings", b"the first of all")
        one.told(lambda told: "the first of all" in json.dumps(told))
        yield one


def reading(at: int, value: object, **told: object) -> dict[str, object]:
    usual = {"point": "E1", "at": at, "statement": "PT15M", "value": value, "unit": "kWh"}
    return usual | told


def test_what_is_refused_is_told_by_its_place(sender: Enterprise) -> None:
    """Of the door and of the registry, in one message, each by its place in what was sent."""
    at = now_ms() // QUARTER * QUARTER - 8 * QUARTER
    sender.send(
        "readings",
        {
            "message_id": "m-1",
            "readings": [
                reading(at, 10),
                reading(at, "ten"),
                reading(at + QUARTER, -1),
                reading(at + QUARTER, 5, point="E9"),
                reading(at + 2 * QUARTER, 101),
            ],
        },
    )
    message = sender.told(
        lambda told: '"value":"ten"' in json.dumps(told).replace("\\", "").replace(" ", "")
    )
    told = Refused.model_validate(message)
    assert told.unit == sender.unit
    assert told.reasons == {
        "not a number": 1,
        "negative": 1,
        "unknown point": 1,
        "faster than rated": 1,
    }
    assert [(item.message, item.index, item.reason) for item in told.items] == [
        ("m-1", 1, "not a number"),
        ("m-1", 2, "negative"),
        ("m-1", 3, "unknown point"),
        ("m-1", 4, "faster than rated"),
    ]
    assert told.items[1].at == rfc3339(at + QUARTER)
    assert told.do.keys() == told.reasons.keys()


def test_an_unreadable_message_is_told_within_seconds(sender: Enterprise) -> None:
    """By its hash, with what stood in it."""
    sent_at = time.monotonic()
    sender.send("readings", b"{not JSON")
    told = Refused.model_validate(sender.told(lambda told: "{not JSON" in json.dumps(told)))
    assert told.reasons == {"not JSON": 1}
    assert told.items[0].original == "{not JSON"
    assert time.monotonic() - sent_at < 10


def test_what_is_tried_is_answered_and_not_stored(place: Place, sender: Enterprise) -> None:
    """The answer says each reading's fate, by the same checks."""
    before = place.ends(topics.READINGS)
    at = now_ms() // QUARTER * QUARTER - 8 * QUARTER
    sender.send(
        "try",
        {
            "readings": [
                reading(at, 10),
                reading(at, None),
                reading(at + 1, 10),
                reading("yesterday", 10),
                reading(at + 100 * QUARTER, 10),
                reading(at, 10, unit="MWh"),
            ]
        },
    )
    told = Tried.model_validate(sender.told(lambda told: told.get("readings") == 6))
    assert told.fates == [
        "taken",
        "taken",
        "off grid",
        "bad time",
        "future",
        "wrong unit of measure",
    ]
    assert (told.readings, told.refused, len(told.message)) == (6, 4, 64)
    assert {item.index for item in told.items} == {2, 3, 4, 5}
    sender.send("try", b"?")
    unread = sender.told(lambda told: told["kind"] == "tried" and "not JSON" in told["reasons"])
    assert Tried.model_validate(unread).readings == 0
    assert place.ends(topics.READINGS) == before


def test_a_declared_stop_is_taken_or_refused_and_alerts_hear_of_it(
    place: Place, sender: Enterprise
) -> None:
    """Answered within seconds, never a reading; the same again says the same; a login declares by the command."""
    stop = {
        "id": "overhaul",
        "kind": "maintenance",
        "from": "2026-12-01T08:00:00+08:00",
        "until": "2026-12-05T08:00:00+08:00",
        "evidence": "notice 17",
        "by": "Li",
    }
    before = place.ends(topics.READINGS)

    def answered(message: str, *, on: str = "readings", **changed: object) -> Declared:
        sender.send(on, {"message_id": message, "stop": stop | changed})
        heard = sender.told(lambda told: told["kind"] == "stop" and told["message"] == message)
        return Declared.model_validate(heard)

    assert answered("s-1").taken
    refused = answered("s-2", points=["E9"])
    assert (refused.taken, refused.reasons) == (False, ["unknown point: E9"])
    assert "ask the regulator" in refused.do
    backwards = answered("s-3", until="2026-11-30T08:00:00+08:00", by="")
    assert len(backwards.reasons) == 1
    assert "stop.by" in backwards.reasons[0] or "is not after from" in backwards.reasons[0]
    assert answered("s-4", until="2026-12-03T08:00:00+08:00", points=["E1"]).taken
    assert answered("s-4b", until="2026-12-03T08:00:00+08:00", points=["E1"]).taken
    assert answered("s-5", id="other", withdrawn=True).reasons == ["nothing to withdraw"]
    tried = answered("s-6", on="try", id="tried")
    assert (tried.taken, tried.tried, tried.reasons) == (True, True, [])
    wrong = answered("s-7", on="try", id="tried", points=["E9"])
    assert (wrong.taken, wrong.tried, wrong.reasons) == (False, True, ["unknown point: E9"])
    assert answered("s-8", on="try", id="tried", withdrawn=True).reasons == ["nothing to withdraw"]
    assert place.ends(topics.READINGS) == before

    declare = ("processors", "stop", "declare", sender.unit, "--id", "by-hand", "--by", "Wang")
    span = ("--from", "2026-12-07T00:00+08:00", "--until", "2026-12-08T00:00+08:00")
    place.run(*declare, *span, "--evidence", str(place.folder / "registry.toml"))
    listed = place.run("processors", "stop", "list", "--unit", sender.unit).decode()
    assert f"{sender.unit} overhaul: maintenance 2026-12-01T08:00+0800 to 2026-12-03" in listed
    assert "registry.toml, SHA-256" in listed
    assert "2 declarations" in listed

    def heard() -> list[StopsTold]:
        records = place.records(topics.INDICATORS).values()
        told = [decoded(value) for values in records for value in values]
        return [one for one in told if isinstance(one, StopsTold) and one.unit == sender.unit]

    place.wait(lambda: len(heard()[-1:]) and len(heard()[-1].stops) == 2, "alerts hear of both")
    newest = max(heard(), key=lambda one: one.version.key())
    assert [(one.id, one.points) for one in newest.stops] == [
        ("overhaul", ("E1",)),
        ("by-hand", ()),
    ]
    assert newest.version.partition == partition_of(sender.unit, PARTITIONS)
    entered = place.query("SELECT count(*) FROM stop_entry WHERE unit = %s", sender.unit)
    assert entered == [(3,)]
    kept = place.query("SELECT reason FROM stop_refused WHERE unit = %s ORDER BY 1", sender.unit)
    assert len(kept) == 3


def test_the_account_of_a_day_that_is_over_is_told_signed(
    place: Place, sender: Enterprise, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once every partition is past its end; what comes late makes another revision; a changed figure is found out."""
    unit = place.query("SELECT id FROM unit WHERE code = %s", sender.unit)[0][0]
    place.query("INSERT INTO account VALUES (%s, '2026-10-05', 7, 3, 2, 1, 1) RETURNING 1", unit)
    place.query(
        "INSERT INTO tick SELECT 1, p, 1000000, 0, 0, ms_of('2026-10-06T00:11:00+08:00') FROM generate_series(0, 1) p RETURNING 1"
    )
    message = sender.told(lambda told: told["kind"] == "account")
    account = Account.model_validate(message)
    assert (account.unit, account.day, account.revision) == (sender.unit, "2026-10-05", 1)
    assert (account.received, account.accepted, account.unreadable) == (14, 7, 1)
    capsys.readouterr()
    place.query("UPDATE account SET rejected = 5 WHERE day = '2026-10-05' RETURNING 1")
    again = sender.told(lambda told: told.get("revision") == 2)
    assert (again["received"], again["rejected"]) == (18, 5)

    lines = place.folder / "accounts.jsonl"
    lines.write_text("".join(f"{json.dumps(told)}\n" for told in sender.heard))
    assert ingest.main(["verify", str(lines), "--key", str(place.folder / "public.pem")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"ok  {sender.unit} 2026-10-05 revision 1: received 14 = 7 accepted, 3 repeated, 2 superseded, 1 rejected, 1 unreadable",
        f"ok  {sender.unit} 2026-10-05 revision 2: received 18 = 7 accepted, 3 repeated, 2 superseded, 5 rejected, 1 unreadable",
    ]


def test_the_doctor_says_where_the_way_ends(
    place: Place,
    sender: Enterprise,
    broker: LocalParts,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From the enterprise's side, with its password alone; nothing it sends is stored."""
    password = access.grant(broker, [sender.unit])[sender.unit]
    monkeypatch.setenv("WEIR_MQTT", place.environment["WEIR_MQTT"])
    monkeypatch.setenv("WEIR_MQTT_USER", sender.unit)
    monkeypatch.delenv("WEIR_MQTT_PASSWORD_FILE", raising=False)

    def examined(unit: str, password: str) -> tuple[int, dict[str, bool]]:
        monkeypatch.setenv("WEIR_MQTT_PASSWORD", password)
        capsys.readouterr()
        code = ingest.main(["doctor", "--unit", unit, "--json"])
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return code, {line["check"]: line["ok"] for line in lines}

    before = place.ends(topics.READINGS)
    code, found = examined(sender.unit, password)
    assert list(found)[:6] == ["broker", "credentials", "rights", "answer", "clock", "registry"]
    assert all(found[check] for check in list(found)[:6])
    assert "point E1" in found
    assert code == (0 if all(found.values()) else 1)
    assert place.ends(topics.READINGS) == before
    assert examined("91510100OTHER00000", password) == (
        1,
        {"broker": True, "credentials": True, "rights": False},
    )
    assert examined(sender.unit, "wrong") == (1, {"broker": True, "credentials": False})


def test_an_import_that_was_broken_off_goes_on_where_kafka_had_it(
    place: Place,
    sender: Enterprise,
    broker: LocalParts,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed behind its second of three records; then the third alone is sent, and then nothing any more."""
    rows = "".join(f"{1_767_196_800_000 + n * QUARTER},{n}\n" for n in range(4_500))
    (tmp_path / "year.csv").write_text(f"at,kWh\n{rows}")
    (tmp_path / "year.toml").write_text(MAPPING.format(unit=sender.unit))
    monkeypatch.setattr("ingest.mqtt_publisher._STRETCH", 1)
    monkeypatch.setenv("WEIR_MQTT", place.environment["WEIR_MQTT"])
    monkeypatch.setenv("WEIR_MQTT_USER", sender.unit)
    monkeypatch.delenv("WEIR_MQTT_PASSWORD_FILE", raising=False)
    monkeypatch.setenv("WEIR_MQTT_PASSWORD", access.grant(broker, [sender.unit])[sender.unit])
    words = ["import", str(tmp_path / "year.csv"), "--mapping", str(tmp_path / "year.toml")]
    words += ["--mqtt", "--progress", str(tmp_path / "kept"), "--partitions", str(PARTITIONS)]
    keep = Progress.keep

    def broken_off(progress: Progress, records: int, *, complete: bool = False) -> None:
        keep(progress, records, complete=complete)
        if records == 2:
            raise KeyboardInterrupt

    def sent() -> int:
        log = (
            decode(value).body for told in place.records(topics.READINGS).values() for value in told
        )
        parts = (part for body in log if isinstance(body, tuple) for part in body)
        return sum(
            len(part) for part in parts if isinstance(part, Section) and part.names == ("IMPORTED",)
        )

    with monkeypatch.context() as breaking:
        breaking.setattr(Progress, "keep", broken_off)
        assert ingest.main(words) == 1
    assert sent() == 4_000
    assert ingest.main(words) == 0
    assert sent() == 4_500
    assert ingest.main(words) == 0
    assert sent() == 4_500


def test_the_doctor_of_the_processors(place: Place, sender: Enterprise) -> None:
    """What the processes of this very place stand on, and what is said where it is not there."""

    def examined(**settings: str) -> dict[str, bool]:
        told = {
            name.removeprefix("WEIR_").lower(): value
            for name, value in place.environment.items()
            if name.startswith("WEIR_")
        }
        told["feedback_key"] = (place.folder / "feedback.pem").read_text()
        known = Settings.model_validate(
            {
                name: value
                for name, value in (told | settings).items()
                if name in Settings.model_fields
            }
        )
        return {line.check: line.ok for line in examine(known)}

    found = examined()
    ticks = found.pop("ticks")
    assert set(found) == {
        "database",
        "tables",
        "clock",
        "rights",
        "log",
        "Kafka",
        "topics",
        "partitions",
        "key of accounts",
    }
    assert all(found.values())
    assert not ticks  # no clock runs here
    assert sender.heard  # so a worker has owned the partitions
    assert not examined(partitions="3")["partitions"]
    assert not examined(topic_prefix="nobodys.")["topics"]
    assert not examined(database_url="postgresql://127.0.0.1:1/nowhere")["database"]
    assert not examined(feedback_key="?")["key of accounts"]


def test_a_broker_that_was_away_loses_no_feedback(
    place: Place, sender: Enterprise, broker: LocalParts
) -> None:
    """What came meanwhile is passed on when it is back, to who was away as well."""
    producer = KafkaProducer(bootstrap_servers=place.environment["WEIR_KAFKA"])
    broker.stop("mqtt")
    told = {"kind": "refused", "told while the broker was": "away"}
    topic = place.prefix + topics.FEEDBACK
    producer.send(topic, json.dumps(told).encode(), key=sender.unit.encode()).get(10)
    producer.close()
    broker.start("mqtt")
    sender.told(told.__eq__)


def test_sparkplug_comes_by_its_own_topic(sender: Enterprise) -> None:
    """Its group is the unit; a payload made by a foreign encoder goes the whole way."""
    payload = (Path(__file__).parent.parent / "ingest/golden/sparkplug.bin").read_bytes()
    topic = f"spBv1.0/{sender.unit}/DDATA/node/device"
    sender.client.publish(topic, payload, qos=1).wait_for_publish(10)
    told = Refused.model_validate(sender.told(lambda told: "hall.E2" in json.dumps(told)))
    assert told.reasons == {
        "not a number": 1,
        "point missing": 1,
        "unknown statement": 1,
        "unknown point": 3,
    }


def test_what_is_sent_twice_says_the_same(place: Place, sender: Enterprise) -> None:
    """A cursor that was lost sends all anew: the same bytes, under the same id."""
    sender.send("readings", b"once and again")
    first = sender.told(lambda told: "once and again" in json.dumps(told))
    place.wait(lambda: place.query("SELECT count(*) FROM feedback_sent") != [(0,)], "its cursor")
    place.query("DELETE FROM feedback_sent RETURNING 1")
    place.wait(lambda: sender.heard.count(first) == 2, "it is heard again")


def test_the_page_does_what_it_says(
    place: Place, sender: Enterprise, broker: LocalParts, newcomer: str, tmp_path: Path
) -> None:
    """docs/first-reading.md from its first command to its last (10 s); `sender` has seen that the door is open."""
    assert sender.unit != newcomer
    put_programs(tmp_path / "bin", broker)
    host, port = place.environment["WEIR_MQTT"].split(":")
    run_page(
        tmp_path,
        {
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": str(CHECKOUT),
            "UNIT": newcomer,
            "BROKER": host,
            "PORT": port,
            "PASSWORD": access.grant(broker, [newcomer])[newcomer],
        },
    )
