"""What people were told, held against the pipe: the alerts of the indicators on the topic, stored once, told under one key, in order."""

import json
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from truth import INDICATORS, Servers, values_of

from schemas.alert import TOLD, Notice
from tests.alerts.real import get
from tests.alerts.receiver import Receiver

RULES = """\
[[rules]]
name = "confirmed"
kind = "confirmed breach"
severity = "critical"
recover_hold = "PT30M"

[[rules]]
name = "suspected"
kind = "suspected breach"
severity = "warning"
hold = "PT1H"

[[rules]]
name = "silent"
kind = "silent points"
severity = "warning"
"""
HOOK, ALERTMANAGER = "/hook", "/alertmanager"


@dataclass(frozen=True)
class Told:
    """Counts, and what is wrong."""

    transitions: int
    """Facts in the history."""
    heard: int
    """Facts that the webhook heard."""
    again: int
    """How often it heard one again, under the same key."""
    wrong: tuple[str, ...]


def judged(servers: Servers, partitions: int, rules: Path, receiver: Receiver) -> Told:
    """Everything; the alerts' worker has no more to do."""
    expected = _by_pipe(servers, partitions, rules)
    with psycopg.connect(servers.database) as link:
        rows = link.execute("SELECT body FROM alert_transition ORDER BY seq").fetchall()
        refused = link.execute("SELECT count(*) FROM alert_refused").fetchone()
    history = [Notice.model_validate(body) for (body,) in rows]
    wrong = [] if refused == (0,) else ["indicators refused"]
    if _by_unit(history) != _by_unit(expected):
        wrong.append("alert history")
    posts = [post for post in receiver.accepted if post.path == HOOK]
    first: dict[str, Notice] = {}
    for post in posts:
        heard = Notice.model_validate(post.body)
        if (
            post.headers["Idempotency-Key"] != heard.id
            or first.setdefault(heard.id, heard) != heard
        ):
            wrong.append("a key with two facts")
    if _by_alert(list(first.values())) != _by_alert(told_live(expected)):
        wrong.append("what the webhook heard")
    if _made_up(receiver, expected):
        wrong.append("ends that Alertmanager made up")
    return Told(len(history), len(first), len(posts) - len(first), tuple(sorted(set(wrong))))


def _made_up(receiver: Receiver, expected: Sequence[Notice]) -> Counter[tuple[str, str]]:
    """Ends that Alertmanager told and that are in no history, by (rule, unit): what it forgot."""
    told = Counter(
        (alert["labels"]["alertname"], alert["labels"]["unit"])
        for post in receiver.accepted
        if post.path == ALERTMANAGER
        for alert in post.body["alerts"]
        if alert["status"] == "resolved"
    )
    ends = [one for one in told_live(expected) if one.state != "firing"]
    return told - Counter((one.rule, one.unit) for one in ends)


def _by_pipe(servers: Servers, partitions: int, rules: Path) -> list[Notice]:
    """`python -m alerts replay` over what lies on the topic."""
    with tempfile.TemporaryFile() as lines:
        for partition in range(partitions):
            for value in values_of(servers.kafka, servers.prefix + INDICATORS, partition):
                lines.write(value + b"\n")
        lines.seek(0)
        done = subprocess.run(
            [sys.executable, "-m", "alerts", "replay", "--rules", str(rules)],
            stdin=lines,
            capture_output=True,
            check=True,
        )
    return [Notice.model_validate_json(line) for line in done.stdout.splitlines()]


def told_live(notices: Sequence[Notice]) -> list[Notice]:
    """What people hear of: firings and ends of what fired outside history."""
    heard: set[str | None] = set()
    told = []
    for one in notices:
        if one.state == "firing" and not one.history:
            heard.add(one.episode)
        if one.state in TOLD and one.episode in heard:
            told.append(one)
    return told


def firing(servers: Servers) -> Counter[tuple[str, str]]:
    """(rule, unit) of what fires, by the tables."""
    with psycopg.connect(servers.database) as link:
        rows = link.execute(
            "SELECT rule, unit FROM alert_state WHERE body->>'state' = 'firing'"
        ).fetchall()
    return Counter((rule, unit) for rule, unit in rows)


def firing_in(alertmanager: str) -> Counter[tuple[str, str]]:
    """The same, by Alertmanager."""
    _, text = get(alertmanager, "/api/v2/alerts?active=true")
    return Counter((one["labels"]["alertname"], one["labels"]["unit"]) for one in json.loads(text))


def _by_unit(notices: Sequence[Notice]) -> dict[str, list[Notice]]:
    grouped: dict[str, list[Notice]] = defaultdict(list)
    for one in notices:
        grouped[one.unit].append(one)
    return grouped


def _by_alert(notices: Sequence[Notice]) -> dict[tuple[str, str], list[str]]:
    grouped: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in notices:
        grouped[one.unit, one.rule].append(one.id)
    return grouped
