"""The on-call drill: a storm of listed facts through Kafka, two workers of the alerts (one is killed in it), database and Alertmanager.

Run as `python -m tests.chaos.oncall_drill [--size 300]`. Times are those that are shipped: 30 s to gather, 30 s of Alertmanager's group_wait;
only group_interval is shorter, as ends would take five minutes. Exit code 1: a fact was missed, late, told twice, or untrue.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from alerts.people import connected, rows, silence
from alerts.silences import matcher_of
from deploy.local.parts import LocalParts
from deploy.local.state import CHECKOUT, chosen_folder, chosen_programs
from schemas.calendar import instant
from tests.alerts.real import Alerts, get, send, tables_on, topic_of, wait_until
from tests.alerts.receiver import Receiver, receiving
from tests.integration import storm
from tests.integration.conftest import server_url
from tests.integration.test_on_call import ROSTER

PARTITIONS = 4
MOST_MESSAGES = 10
FIRST_WORD_S = 120


@contextmanager
def alertmanager(folder: Path, room: Receiver) -> Iterator[str]:
    """One of its own with the configuration that is shipped."""
    parts = LocalParts(folder / "parts", programs=chosen_programs(chosen_folder()))
    parts.up(["alertmanager"], webhook=room.address)
    shipped = yaml.safe_load((CHECKOUT / "deploy/alertmanager/alertmanager.yml").read_text())
    shipped["route"]["group_interval"] = "20s"
    for one in shipped["receivers"]:
        one["webhook_configs"] = [{"url": f"{room.address}/from-alertmanager"}]
    (folder / "parts/alertmanager/alertmanager.yml").write_text(yaml.safe_dump(shipped))
    os.kill(parts.endpoints().pids["alertmanager"], signal.SIGHUP)
    address = parts.endpoints().alertmanager
    wait_until(lambda: "duty-room" in get(address, "/api/v2/receivers")[1], "it reads them")
    try:
        yield address
    finally:
        parts.down()


class Drill:
    """What is told, and when."""

    def __init__(self, room: Receiver) -> None:
        self.room = room
        self.failures: list[str] = []

    def messages(self) -> list[dict[str, str]]:
        """What the duty room was told by Weir itself, each once whatever was sent again."""
        told = {post.body["id"]: post.body for post in self.room.accepted if post.path == "/room"}
        return list(told.values())

    def notifications(self) -> list[dict[str, object]]:
        """What Alertmanager sent on."""
        return [post.body for post in self.room.accepted if post.path == "/from-alertmanager"]

    def await_all(
        self, what: str, holds: Callable[[], bool], *, began: float, within: float
    ) -> None:
        """Wait, and say how long it took since data time."""
        try:
            wait_until(holds, what, seconds=within - (time.time() - began))
        except AssertionError:
            self.failures.append(f"{what}: not within {within:.0f} s")
        print(f"  {what}: {time.time() - began:.1f} s after data time", flush=True)

    def check(self, holds: bool, what: str) -> None:  # noqa: FBT001 - a condition and its words
        """Note what does not hold."""
        print(f"  {'ok  ' if holds else 'FAIL'} {what}", flush=True)
        if not holds:
            self.failures.append(what)


def main() -> int:
    """Run it, and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=300, help="units of the outage (300)")
    weather = storm.Storm(parser.parse_args().size)
    kafka = LocalParts().endpoints().kafka
    with (
        tempfile.TemporaryDirectory() as folder,
        tables_on(server_url()) as database,
        topic_of(kafka, PARTITIONS) as topic,
        receiving() as room,
        alertmanager(Path(folder), room) as there,
    ):
        drill = Drill(room)
        workers = start(Path(folder), database, kafka, topic, room, there)
        try:
            run(drill, weather, workers, database, kafka, topic)
        finally:
            workers.stop()
    for failure in drill.failures:
        print(f"on-call drill: {failure}", file=sys.stderr)
    return 1 if drill.failures else 0


def start(
    folder: Path, database: str, kafka: str, topic: str, room: Receiver, there: str
) -> Alerts:
    """Two workers of one group, with a roster."""
    (folder / "rules.toml").write_text(storm.RULES)
    (folder / "roster.toml").write_text(ROSTER)
    signed = room.address.replace("http://", "sign+http://")
    environment = {
        "WEIR_KAFKA": kafka,
        "WEIR_DATABASE_URL": database,
        "WEIR_ALERTS_TOPIC": topic,
        "WEIR_ALERTS_GROUP": topic,
        "WEIR_ALERTS_SESSION_SECONDS": "6",
        "WEIR_ALERTS_HTTP": "127.0.0.1:0",
        "WEIR_ALERTS_LANGUAGE": "en",
        "WEIR_ALERTS_ROSTER": str(folder / "roster.toml"),
        "WEIR_ALERTS_RECEIVERS": f'room = "{signed}/room#s3cret"\nhead = "{signed}/head#s3cret"',
    }
    arguments = ("--rules", str(folder / "rules.toml"), "--alertmanager", there)
    workers = Alerts(environment, database, folder, arguments)
    workers.start()
    workers.start()
    return workers


def run(
    drill: Drill, weather: storm.Storm, workers: Alerts, database: str, kafka: str, topic: str
) -> None:
    """The storm, and what must be told of it."""
    storm.register(database, weather)
    link = connected(database)
    hush = [matcher_of(f"unit={storm.HUSHED}")]
    silence(link, hush, owner="drill", reason="meters exchanged", lasting=timedelta(hours=2))
    facts = weather.facts()
    print(f"{len(facts)} facts on {len(weather.regions)} units, one worker of two is killed")
    at = instant(datetime.now(UTC))
    sent = publish(kafka, topic, weather.begins(at), 0)
    workers.kill(workers.running[0])
    workers.start()
    began = at / 1_000
    drill.await_all("first word", lambda: bool(drill.messages()), began=began, within=FIRST_WORD_S)
    drill.await_all(
        "all facts told", lambda: told(drill, facts) == set(facts), began=began, within=FIRST_WORD_S
    )
    for missed in set(facts) - told(drill, facts):
        drill.check(False, f"told: {missed.kind} {missed.scope}")  # noqa: FBT003 - it does not hold
    at = instant(datetime.now(UTC))
    sent += publish(kafka, topic, weather.goes_on(at), 1)
    workers.wait_heard(sent)
    ends = (
        "send again",
        "retracted: factors changed",
        f"Unit {storm.SUSPECT}: energy of 2026 is above its quota",
    )
    drill.await_all(
        "ends told",
        lambda: all(end in text(drill) for end in ends),
        began=at / 1_000,
        within=FIRST_WORD_S,
    )
    ended = {"case-outage", "case-change"}
    drill.await_all("ends sent on", lambda: ended <= resolved(drill), began=at / 1_000, within=180)
    words = {row["id"] for row in rows(link, "log") if row["receiver"]}
    drill.check(len(words) == 10, f"ten words, one for each fact and end: {len(words)}")
    drill.check(
        len(drill.messages()) <= MOST_MESSAGES, f"{len(drill.messages())} messages to the duty room"
    )
    drill.check(
        len(drill.notifications()) <= MOST_MESSAGES,
        f"{len(drill.notifications())} notifications by Alertmanager",
    )
    everything = text(drill) + json.dumps(drill.notifications())
    drill.check(storm.HUSHED not in everything, "what is silenced was told to nobody")
    counts = (
        f"{len(weather.silent)} units send no data",
        f"{len(weather.miscounted)} units judged otherwise",
        f"{len(weather.late)} units judged otherwise",
    )
    drill.check(
        all(count in text(drill) for count in counts), "numbers of units are those of the facts"
    )
    link.close()


def publish(kafka: str, topic: str, messages: list[storm.Indicator], offset: int) -> int:
    """Send what units are told, each to its partition."""
    placed = storm.placed(messages, PARTITIONS, offset)
    return send(kafka, topic, [one for here in placed.values() for one in here])


def text(drill: Drill) -> str:
    """All that the duty room read."""
    return "\n".join(f"{one['title']}\n{one['body']}" for one in drill.messages())


def told(drill: Drill, facts: tuple[storm.Fact, ...]) -> set[storm.Fact]:
    """Facts that the duty room read of, by what it must have read."""
    titles = {
        "outage": lambda fact: f"{len(fact.units)} units send no data",
        "change": lambda fact: (
            f"{len(fact.units)} units judged otherwise: factors changed by configuration 12"
        ),
        "late data": lambda fact: f"{len(fact.units)} units judged otherwise: late data",
        "alert": lambda fact: f"Unit {fact.scope}: ",
    }
    read = text(drill)
    return {fact for fact in facts if titles[fact.kind](fact) in read}


def resolved(drill: Drill) -> set[str]:
    """Names of what Alertmanager said is over."""
    return {
        str(alert["labels"]["alertname"])
        for one in drill.notifications()
        for alert in one["alerts"]  # type: ignore[attr-defined]
        if alert["status"] == "resolved"
    }


if __name__ == "__main__":
    sys.exit(main())
