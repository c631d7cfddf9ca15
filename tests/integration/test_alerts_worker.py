"""The alerts' worker on its real parts: Kafka, TimescaleDB, Alertmanager, a webhook; killed, too."""

import random
import signal
import socket
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import psycopg
import pytest

from alerts.replay import rule_named
from alerts.routing import notice
from alerts.state import Partition, advance
from deploy.local.parts import Endpoints, LocalParts
from deploy.local.state import chosen_folder, chosen_programs
from schemas.alert import TOLD, Notice
from schemas.calendar import HOUR_MS
from schemas.failure_point import VARIABLE
from schemas.indicator import Message
from schemas.rule import Rules, read_rules
from tests.alerts.logs import START, indicator, seeded_log, tick
from tests.alerts.real import (
    Alerts,
    empty_tables,
    end_backends,
    firing_in,
    get,
    send,
    topic_of,
    wait_until,
)
from tests.alerts.receiver import Post, Receiver, receiving

PARTITIONS = 3
RULES = """
[[rules]]
name = "confirmed"
kind = "confirmed breach"
severity = "critical"
recover_hold = "PT30M"

[[rules]]
name = "suspected"
kind = "suspected breach"
severity = "warning"
hold = "PT30M"

[[rules]]
name = "unjudged"
kind = "cannot be judged"
severity = "info"
hold = "PT1H"
recover_hold = "PT1H"

[[rules]]
name = "silent"
kind = "silent points"
severity = "warning"
"""


@pytest.fixture(scope="module")
def servers() -> Endpoints:
    """Kafka and the database of deploy/local."""
    return LocalParts().endpoints()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as listening:
        yield listening


@pytest.fixture(scope="module")
def tables(shared_database: str) -> str:
    return shared_database


@pytest.fixture
def alerts(servers: Endpoints, tables: str, tmp_path: Path, receiver: Receiver) -> Iterator[Alerts]:
    """No worker yet: a topic, a database, and a webhook."""
    empty_tables(tables)
    rules = tmp_path / "rules.toml"
    rules.write_text(RULES)
    with topic_of(servers.kafka, PARTITIONS) as topic, socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        pages = f"127.0.0.1:{unused.getsockname()[1]}"
        unused.close()
        environment = {
            "WEIR_KAFKA": servers.kafka,
            "WEIR_DATABASE_URL": tables,
            "WEIR_ALERTS_TOPIC": topic,
            "WEIR_ALERTS_GROUP": topic,
            "WEIR_ALERTS_SESSION_SECONDS": "6",
            "WEIR_ALERTS_HTTP": pages,
            "WEIR_ALERTS_WEBHOOK": f"{receiver.address}/hook",
        }
        arguments = ("--no-alertmanager", "--rules", str(rules))
        workers = Alerts(environment, tables, tmp_path, arguments)
        try:
            yield workers
        finally:
            workers.stop()


def rules() -> Rules:
    found = read_rules(RULES)
    assert isinstance(found, tuple)
    return found


def topic(alerts: Alerts) -> str:
    return alerts.environment["WEIR_ALERTS_TOPIC"]


def mixed(logs: Sequence[Sequence[Message]]) -> list[Message]:
    """The partitions' logs, side by side."""
    return [message for row in zip_longest(*logs) for message in row if message is not None]


def expected_of(logs: Sequence[Sequence[Message]], watching: Rules) -> list[Notice]:
    """What the pure core tells of each partition's log."""
    return [
        notice(transition, rule_named(transition, watching))
        for log in logs
        for transition in advance(Partition(), log, watching).transitions
    ]


def by_unit(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = defaultdict(list)
    for unit, one in pairs:
        grouped[unit].append(one)
    return grouped


def told_live(notices: Sequence[Notice]) -> list[Notice]:
    """Return what people hear of: an episode that fired in history, once its unit is live."""
    heard: set[str | None] = set()
    told = []
    for one in notices:
        if one.state == "firing" and not one.history:
            heard.add(one.episode)
        if one.state in TOLD and one.episode in heard:
            told.append(one)
    return told


def assert_same_facts(alerts: Alerts, expected: Sequence[Notice]) -> None:
    """In the database is each transition once, those of a unit in their order."""
    stored = by_unit(alerts.transitions())
    assert stored == by_unit([(one.unit, one.id) for one in expected])


def assert_told_once(posts: Sequence[Post], expected: Sequence[Notice]) -> None:
    """The webhook heard each fact under one key, those of an alert in their order."""
    first: dict[str, Notice] = {}
    for post in posts:
        heard = Notice.model_validate(post.body)
        assert post.headers["Idempotency-Key"] == heard.id
        assert first.setdefault(heard.id, heard) == heard
    told = by_unit([(f"{one.unit} {one.rule}", one.id) for one in first.values()])
    assert told == by_unit([(f"{one.unit} {one.rule}", one.id) for one in told_live(expected)])


def test_everything_is_heard_stored_and_told(
    servers: Endpoints, alerts: Alerts, receiver: Receiver
) -> None:
    """Without faults: exactly once; and the pages say how it is. (Seconds.)."""
    logs = [seeded_log(1, partition=number, ticks=120) for number in range(PARTITIONS)]
    expected = expected_of(logs, rules())
    assert {one.state for one in expected} > TOLD
    sent = send(servers.kafka, topic(alerts), mixed(logs))
    worker = alerts.start()
    alerts.wait_heard(sent)
    alerts.wait_delivered()
    assert_same_facts(alerts, expected)
    assert_told_once(receiver.posts, expected)
    assert len(receiver.posts) == len(told_live(expected))

    pages = alerts.environment["WEIR_ALERTS_HTTP"]
    wait_until(lambda: get(pages, "/readyz")[0] == 200, "ready", seconds=15)
    assert get(pages, "/healthz") == (200, '{"ok": true}\n')
    assert get(pages, "/other")[0] == 404
    metrics = get(pages, "/metrics")[1]
    firing = sum(one.state == "firing" for one in expected)
    assert f'weir_alerts_transitions_total{{state="firing"}} {firing}.0' in metrics
    assert 'weir_alerts_deliveries_failed_total{channel="webhook",reason="timeout"} 0.0' in metrics
    assert "weir_alerts_lag_records 0.0" in metrics
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0


@pytest.mark.slow
def test_chaos(servers: Endpoints, alerts: Alerts, receiver: Receiver) -> None:
    """Killed, taken over, cut off from the database, sent parts twice: the same facts (20 s)."""
    choose = random.Random(2)
    receiver.answer = lambda _: choose.choice([200, 200, 200, 500])
    logs = [seeded_log(2, partition=number, ticks=150) for number in range(PARTITIONS)]
    expected = expected_of(logs, rules())
    messages = mixed(logs)
    part = len(messages) // 6
    sent = 0
    workers = [alerts.start(), alerts.start(WEIR_ALERTS_HTTP="127.0.0.1:0")]
    for number in range(6):
        first = number * part
        last = len(messages) if number == 5 else first + part
        # What was published before a crash of the publisher comes again.
        again = choose.randrange(first + 1)
        sent += send(servers.kafka, topic(alerts), messages[again:last])
        if number % 2 == 0:
            victim = workers.pop(choose.randrange(len(workers)))
            alerts.kill(victim)
            workers.append(alerts.start(WEIR_ALERTS_HTTP="127.0.0.1:0"))
        else:
            alerts.wait_heard(sent // 2)
            end_backends(alerts.url)
    alerts.wait_heard(sent)
    assert alerts.heard() == sent
    receiver.answer = lambda _: 200
    alerts.wait_delivered()
    assert_same_facts(alerts, expected)
    assert_told_once(receiver.accepted, expected)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["alert stored", "alert delivered", "during load"])
def test_killed_at_a_point(
    servers: Endpoints, alerts: Alerts, receiver: Receiver, point: str
) -> None:
    """SIGKILL just there: after a restart the facts of a run without it (10 s)."""
    logs = [seeded_log(4, partition=number, ticks=60) for number in range(PARTITIONS)]
    expected = expected_of(logs, rules())
    sent = send(servers.kafka, topic(alerts), mixed(logs))
    doomed = alerts.start(**{VARIABLE: point})
    wait_until(lambda: f"stopped at: {point}" in alerts.log(), "it stops there")
    alerts.kill(doomed)
    alerts.start()
    alerts.wait_heard(sent)
    assert alerts.heard() == sent
    alerts.wait_delivered()
    assert_same_facts(alerts, expected)
    assert_told_once(receiver.accepted, expected)


@pytest.mark.slow
def test_a_frozen_worker_is_replaced_and_does_no_harm(
    servers: Endpoints, alerts: Alerts, receiver: Receiver
) -> None:
    """Stopped past its session, thawed when another has its partitions: nothing twice (20 s)."""
    logs = [seeded_log(5, partition=number, ticks=90) for number in range(PARTITIONS)]
    expected = expected_of(logs, rules())
    messages = mixed(logs)
    half = len(messages) // 2
    frozen = alerts.start()
    alerts.wait_heard(send(servers.kafka, topic(alerts), messages[:half]))
    frozen.send_signal(signal.SIGSTOP)
    alerts.start(WEIR_ALERTS_HTTP="127.0.0.1:0")
    send(servers.kafka, topic(alerts), messages[half:])
    alerts.wait_heard(len(messages))
    frozen.send_signal(signal.SIGCONT)
    pages = alerts.environment["WEIR_ALERTS_HTTP"]
    wait_until(lambda: '"ok": true, "missing": []' in get(pages, "/readyz")[1], "thawed, and in")
    late = [m.model_copy(update={"version": bumped(m)}) for m in messages[-3:]]
    send(servers.kafka, topic(alerts), late)
    alerts.wait_heard(len(messages) + len(late))
    alerts.wait_delivered()
    extended = [
        [*log, *(m for m in late if m.version.partition == n)] for n, log in enumerate(logs)
    ]
    assert_same_facts(alerts, expected_of(extended, rules()))
    assert len(alerts.transitions()) >= len(expected)
    assert_told_once(receiver.accepted, expected_of(extended, rules()))


def bumped(message: Message) -> object:
    offset = message.version.offset + 10_000
    return message.version.model_copy(update={"offset": offset})


def test_alertmanager_knows_who_fires_until_it_ends(
    servers: Endpoints, alerts: Alerts, receiver: Receiver, tmp_path: Path
) -> None:
    """A real one: it shows the breach, outlives its own restart, and tells of the retraction."""
    programs = chosen_programs(chosen_folder())
    parts = LocalParts(tmp_path / "parts", programs=programs)
    parts.up(["alertmanager"], webhook=f"{receiver.address}/from-alertmanager")
    try:
        address = parts.endpoints().alertmanager
        alerts.arguments = ("--alertmanager", address)
        alerts.start(WEIR_ALERTS_WEBHOOK="", WEIR_ALERTS_REPEAT_SECONDS="1")
        log: list[Message] = [
            indicator(0, START, "s", silent=["p1"]),
            tick(0, START),
            tick(1, START + 2 * HOUR_MS),
            indicator(2, START + 3 * HOUR_MS, "x"),
            tick(2, START + 3 * HOUR_MS),
        ]
        send(servers.kafka, topic(alerts), log)
        unit = (log[0].unit or "")[:17] + "."
        breach = {("quota-exceeded", log[0].unit)}
        silent = {("points-silent", log[0].unit)}
        wait_until(lambda: firing_in(address, unit) == breach | silent, "breach and silence fire")
        parts.stop("alertmanager", kill=True)
        parts.start("alertmanager")
        wait_until(lambda: firing_in(address, unit) == breach | silent, "they fire again")
        end = indicator(3, START + 4 * HOUR_MS, ".", cause="late reading")
        send(servers.kafka, topic(alerts), (end, tick(3, START + 4 * HOUR_MS)))
        wait_until(lambda: firing_in(address, unit) == set(), "nothing fires")
        wait_until(lambda: "Retracted" in str(receiver.posts), "the retraction is sent on")
        statuses = [
            (one["labels"]["alertname"], one["status"])
            for post in receiver.posts
            for one in post.body["alerts"]
        ]
        assert ("quota-exceeded", "firing") in statuses
        assert ("quota-exceeded", "resolved") in statuses
        assert alerts.undelivered() == 0
    finally:
        parts.down()


def test_history_is_told_on_request(servers: Endpoints, alerts: Alerts, receiver: Receiver) -> None:
    """Stored in silence; from --notify-history on told, with its time, and said to be history."""
    past: list[Message] = [indicator(0, START, "x", history=True)]
    alerts.start()
    alerts.wait_heard(send(servers.kafka, topic(alerts), past))
    assert len(alerts.transitions()) == 1
    alerts.stop()
    alerts.arguments = (*alerts.arguments, "--notify-history")
    alerts.start()
    later: list[Message] = [
        indicator(1, START + HOUR_MS, ".", history=True),
        tick(2, START + 2 * HOUR_MS, past[0].unit),
        indicator(3, START + 3 * HOUR_MS, "x", history=True),
    ]
    alerts.wait_heard(1 + send(servers.kafka, topic(alerts), later))
    alerts.wait_delivered()
    assert len(alerts.transitions()) == 3
    (post,) = receiver.posts
    assert post.body["annotations"]["since"] == "2026-02-11T18:45:00+08:00"
    assert "imported history" in post.body["annotations"]["description"]


def test_a_log_that_is_not_the_one_heard_before_stops_it(
    servers: Endpoints, alerts: Alerts
) -> None:
    """A topic made anew, whose end is before where we were: loudly, not from its beginning."""
    with psycopg.connect(alerts.url, autocommit=True) as link:
        link.execute(
            "INSERT INTO alert_partition (generation, partition, next_offset) VALUES (1, 1, 50)"
        )
    send(servers.kafka, topic(alerts), [indicator(0, START, "x")])
    assert alerts.start().wait(60) == 70
    assert "partition 1 of the indicators holds offsets 0 to 0" in alerts.log()
    assert alerts.transitions() == []


def test_without_tables_it_ends_with_a_word(alerts: Alerts) -> None:
    with psycopg.connect(alerts.url, autocommit=True) as link:
        link.execute("ALTER TABLE alert_partition RENAME TO renamed")
    try:
        assert alerts.start().wait(60) == 70
    finally:
        with psycopg.connect(alerts.url, autocommit=True) as link:
            link.execute("ALTER TABLE renamed RENAME TO alert_partition")
    assert "python -m processors migrate up" in alerts.log()
