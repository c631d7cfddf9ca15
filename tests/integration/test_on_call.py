"""What the one on call hears of a storm: real database, real Alertmanager with the configuration that is shipped, real receivers."""

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from psycopg.types.json import Jsonb

from alerts import case_store
from alerts.cases import Grouping
from alerts.channels import Alertmanager
from alerts.deadman import Switch, serve
from alerts.delivery import Delivery
from alerts.doctor import Asked, examine
from alerts.keeper import Duties, Keeper
from alerts.listing import LINES
from alerts.metrics import Metrics
from alerts.people import RefusedError, acknowledge, connected, rows, silence, unsilence
from alerts.receivers import receivers_of
from alerts.replay import replay
from alerts.roster import read_roster
from alerts.settings import AlertSettings
from alerts.silences import matcher_of
from alerts.store import Outlet, Store
from deploy.local.parts import LocalParts
from deploy.local.state import CHECKOUT, chosen_folder, chosen_programs
from schemas.alert import Notice
from schemas.calendar import HOUR_MS, instant
from schemas.rule import DEFAULT_RULES
from schemas.working_days import read_working_days
from tests.alerts.real import get, topic_of, wait_until
from tests.alerts.receiver import Receiver, receiving
from tests.alerts.test_levels import course
from tests.integration import storm
from tests.integration.test_alerts_store import Writer

ROSTER = """
[[escalations]]
severity = "critical"
steps = [{ level = "county", after = "PT0S" }, { level = "city", after = "PT1H" }]

[[escalations]]
severity = "warning"
steps = [{ level = "county", after = "PT0S" }, { level = "city", after = "P1D" }]

[[duties]]
who = "duty room"
level = "county"
region = "510000"
receivers = ["room"]
valid_from = 2026-01-01T00:00:00+08:00

[[duties]]
who = "head"
level = "city"
region = "510000"
receivers = ["head"]
valid_from = 2026-01-01T00:00:00+08:00

[[duties]]
who = "province"
level = "province"
region = "510000"
receivers = ["head"]
valid_from = 2026-01-01T00:00:00+08:00
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as listening:
        yield listening


@pytest.fixture
def alertmanager(tmp_path: Path, receiver: Receiver) -> Iterator[str]:
    """One of the test's own, with the configuration that is shipped: only its times are shorter."""
    parts = LocalParts(tmp_path / "parts", programs=chosen_programs(chosen_folder()))
    parts.up(["alertmanager"], webhook=receiver.address)
    shipped = yaml.safe_load((CHECKOUT / "deploy/alertmanager/alertmanager.yml").read_text())
    shipped["route"] |= {"group_wait": "2s", "group_interval": "2s"}
    for one in shipped["receivers"]:
        one["webhook_configs"] = [{"url": f"{receiver.address}/from-alertmanager"}]
    (tmp_path / "parts/alertmanager/alertmanager.yml").write_text(yaml.safe_dump(shipped))
    address = parts.endpoints().alertmanager
    os.kill(parts.endpoints().pids["alertmanager"], signal.SIGHUP)
    wait_until(lambda: "duty-room" in get(address, "/api/v2/receivers")[1], "it reads them")
    try:
        yield address
    finally:
        parts.down()


@dataclass
class OnCall:
    """The keeper and the delivery, passes of which the test calls for."""

    keeper: Keeper
    delivery: Delivery
    alertmanager: Alertmanager
    link: case_store.Link
    writer: Writer
    database: str

    def keep(self, now: int) -> None:
        self.keeper.keep(self.link, now=now)
        self.keeper.send(self.link)
        while self.delivery.deliver(self.alertmanager):
            pass

    def words(self) -> list[tuple[str, str, str]]:
        """(what, title, withheld) in the order they were made."""
        found = rows(self.link, "log")
        told = {
            int(str(row["id"])): (str(row["what"]), str(row["title"]), str(row["withheld"] or ""))
            for row in found
        }
        return [told[number] for number in sorted(told)]


@pytest.fixture
def on_call(database: str, alertmanager: str, receiver: Receiver) -> Iterator[OnCall]:
    told = Alertmanager(alertmanager, repeat_seconds=5)
    outlet = Outlet(told.name, repeats=True, hold_seconds=60)
    store = Store(database, outlets=[outlet])
    metrics = Metrics([told.name])
    writer = Writer(store, storm.rules())
    signed = receiver.address.replace("http://", "sign+http://")
    duties = Duties(
        roster=read_roster(ROSTER),
        receivers=receivers_of(f'room = "{signed}/room#s3cret"\nhead = "{signed}/head#s3cret"'),
        calendar=read_working_days(),
        language="zh",
        dashboard="https://grafana.example/d/weir-unit?var-unit={unit}",
        grouping=Grouping(gather_ms=30_000),
        alertmanager=told,
    )
    delivery = Delivery(
        outbox=store,
        channels=[told],
        epochs=lambda: {0: writer.owned.epoch},
        metrics=metrics,
        repeat_seconds=5,
        clock=time.monotonic,
    )
    link = connected(database)
    yield OnCall(Keeper(database, duties, metrics), delivery, told, link, writer, database)
    link.close()
    store.close()


def now_ms() -> int:
    return instant(datetime.now(UTC))


@pytest.mark.slow
def test_a_storm(on_call: OnCall, receiver: Receiver) -> None:
    """None of its facts is missed, none told twice; few messages, each of them true (half a minute)."""
    weather = storm.Storm(size=40)
    storm.register(on_call.database, weather)
    hush = [matcher_of(f"unit={storm.HUSHED}")]
    silence(on_call.link, hush, owner="Li", reason="meters exchanged", lasting=timedelta(hours=2))
    at = now_ms()
    on_call.writer.hear(*storm.placed(weather.begins(at), 1, 0)[0])
    on_call.keep(at)
    on_call.keep(at + 31_000)  # what has one cause waited for its like
    cases = [(row["kind"], row["scope"], row["units"]) for row in rows(on_call.link, "cases")]
    assert storm.untold(weather, cases) == []
    assert len(cases) == len(weather.facts()) + 1  # and the silenced one
    first = posts_to(receiver, "/room")
    assert first, "told within 31 s of data time"

    on_call.writer.hear(*storm.placed(weather.goes_on(at + 60_000), 1, 1)[0])
    on_call.keep(at + 62_000)
    on_call.keep(at + 93_000)
    words = [
        (what, re.sub(r" \(.*", "", title))
        for what, title, withheld in on_call.words()
        if not withheld and storm.HUSHED not in title
    ]
    assert sorted(words) == sorted(
        [
            ("opened", f"[警告] 510400：{len(weather.silent)}家单位数据中断"),
            ("opened", f"[严重] 配置第12版系数变更：{len(weather.miscounted)}家单位判定改变"),
            ("opened", f"[严重] 511100迟到数据：{len(weather.late)}家单位判定改变"),
            ("opened", f"[严重] {storm.BREACH}：2026能源消费量超过限额"),
            ("opened", f"[警告] {storm.SUSPECT}：2026能源消费量疑似超过限额"),
            ("opened", f"[严重] {storm.SUSPECT}：2026能源消费量超过限额"),
            ("opened", f"[警告] {storm.SILENT}：计量点数据中断"),
            ("closed", f"[警告·结束] 510400：{len(weather.silent) - 1}家单位恢复上报"),
            ("opened", f"[警告] {weather.silent[-1]}：计量点数据中断"),
            ("closed", f"[严重·结束] 配置第12版系数变更：{len(weather.miscounted)}家单位已撤回"),
        ]
    )
    messages = posts_to(receiver, "/room")
    assert len(messages) <= 10
    assert len({post["id"] for post in messages}) == len(messages)

    def at_duty_room() -> list[tuple[str, str]]:
        posts = [post.body for post in receiver.posts if post.path == "/from-alertmanager"]
        return [(post["status"], post["groupLabels"]["alertname"]) for post in posts]

    ended = {("resolved", "case-change"), ("resolved", "case-outage")}
    wait_until(lambda: ended <= set(at_duty_room()), "both ends reached the duty room")
    told = at_duty_room()
    assert len(told) <= 10
    assert {name for status, name in told if status == "firing"} >= {
        "case-outage",
        "case-change",
        "case-late-data",
        "quota-exceeded",
    }
    everything = json.dumps(
        [post.body for post in receiver.posts if post.path == "/from-alertmanager"]
    )
    assert storm.HUSHED not in everything
    singles = {
        alert["labels"].get("unit")
        for post in receiver.posts
        if post.path == "/from-alertmanager"
        for alert in post.body["alerts"]
    }
    assert singles - {None} <= {storm.BREACH, storm.SUSPECT, storm.SILENT, weather.silent[-1]}


def posts_to(receiver: Receiver, path: str) -> list[dict[str, str]]:
    return [post.body for post in receiver.posts if post.path == path]


def test_inhibited_by_what_is_wider(alertmanager: str, receiver: Receiver) -> None:
    """A city without data says so for its units, a confirmed breach for its suspicion; a silence hides; an end is told."""
    there = Alertmanager(alertmanager, repeat_seconds=60)
    place = {"city": "510400", "province": "510000", "service": "weir"}
    outage = {"alertname": "case-outage", "kind": "outage", "scope": "city:510400", **place}
    silent = {"alertname": "points-silent", "kind": "silent points", "unit": "A", **place}
    judged = {"unit": "B", "window": "2026", **place}
    breach = {"alertname": "quota-exceeded", "kind": "confirmed breach", **judged}
    suspect = {"alertname": "quota-probably-exceeded", "kind": "suspected breach", **judged}
    # With a beginning long ago they would be told at once, before they are all there.
    alerts = [{"labels": one} for one in (outage, silent, breach, suspect)]
    assert there.post(alerts).result == "delivered"

    def states() -> dict[str, str]:
        _, text = get(alertmanager, "/api/v2/alerts")
        return {one["labels"]["alertname"]: one["status"]["state"] for one in json.loads(text)}

    wait_until(lambda: len(states()) == 4, "it has all four")
    expected = {
        "case-outage": "active",
        "points-silent": "suppressed",
        "quota-exceeded": "active",
        "quota-probably-exceeded": "suppressed",
    }
    wait_until(lambda: states() == expected, "two are inhibited")
    wait_until(lambda: len(receiver.posts) == 2, "two are told")
    assert {post.body["groupLabels"]["alertname"] for post in receiver.posts} == {
        "case-outage",
        "quota-exceeded",
    }


def test_a_silence_reaches_alertmanager_and_ends_there(on_call: OnCall) -> None:
    """With owner and reason; both acts are kept."""
    link = on_call.link
    matchers = [matcher_of("city=~5104.*"), matcher_of("kind=silent points")]
    told = silence(link, matchers, owner="Li", reason="line works", lasting=timedelta(hours=1))
    assert told.startswith("silence 1 until ")
    on_call.keep(now_ms())

    def there() -> list[tuple[str, str, str]]:
        _, text = get(on_call.alertmanager.url, "/api/v2/silences")
        return [
            (one["status"]["state"], one["createdBy"], one["comment"]) for one in json.loads(text)
        ]

    assert there() == [("active", "Li", "line works (Weir, silence 1)")]
    unsilence(link, 1, owner="Wang", reason="done")
    on_call.keep(now_ms())
    assert [state for state, _, _ in there()] == ["expired"]
    with pytest.raises(RefusedError, match="no silence 1 holds"):
        unsilence(link, 1, owner="Wang", reason="done")
    acts = link.execute("SELECT what, detail ->> 'owner', reason FROM act ORDER BY id").fetchall()
    assert acts == [("alerts silenced", "Li", "line works"), ("silence ended", "Wang", "done")]


def test_nobody_takes_it_up_and_it_goes_up(on_call: OnCall, receiver: Receiver) -> None:
    """The next level after its time; not while somebody has taken it up; and again when that is over."""
    weather = storm.Storm(size=4)
    storm.register(on_call.database, weather)
    at = now_ms()
    on_call.writer.hear(
        *storm.placed([one for one in weather.begins(at) if one.unit == storm.BREACH], 1, 0)[0]
    )
    objections = (("2026-01-01", "electricity"), ("2025-01-01", "electricity"))
    for year, figure in objections:  # one to what the breach rests on, one to another year
        on_call.link.execute(
            "INSERT INTO objection (unit, kind, starts, ends, figure, reason, evidence)"
            " VALUES (%s, 'year', ms_of(%s), ms_of(%s::timestamptz + INTERVAL '1 year'), %s, 'tested', repeat('0', 64))",
            (storm.BREACH, f"{year} 00:00+08", f"{year} 00:00+08", figure),
        )
    on_call.keep(at)
    assert (len(posts_to(receiver, "/room")), len(posts_to(receiver, "/head"))) == (1, 0)
    (first,) = posts_to(receiver, "/room")
    assert f"数值存在争议、尚未裁定，单位（异议编号）：{storm.BREACH} (1)。" in first["body"]
    (case,) = rows(on_call.link, "cases")
    name = str(case["id"])
    acknowledge(
        on_call.link, name, owner="Li", reason="asked the works", lasting=timedelta(hours=4)
    )
    on_call.keep(at + 2 * HOUR_MS)
    assert posts_to(receiver, "/head") == []
    on_call.link.execute("UPDATE alert_ack SET until = now()")  # its time is over
    on_call.keep(at + 2 * HOUR_MS + 60_000)
    on_call.keep(at + 2 * HOUR_MS + 120_000)
    (told,) = posts_to(receiver, "/head")
    assert told["title"].startswith("[严重·无人处理]")
    for part in (
        "超出限额",
        "最佳估计",
        "新读数",
        "可采取的措施",
        f"var-unit={storm.BREACH}",
        f"ack {name}",
    ):
        assert part in told["body"]
    with pytest.raises(RefusedError, match="there is no case 0000"):
        acknowledge(on_call.link, "0000", owner="Li", reason="x", lasting=timedelta(hours=1))


def test_a_case_keeps_its_labels_when_it_becomes_worse(on_call: OnCall) -> None:
    """Alertmanager would take other labels for another alert, and the first would never end."""
    weather = storm.Storm(size=40)
    storm.register(on_call.database, weather)
    at = now_ms()
    (warned, *others) = (one for one in weather.begins(at) if one.unit in weather.late)
    on_call.writer.hear(*storm.placed([warned, *others], 1, 0)[0])
    on_call.link.execute('UPDATE alert_transition SET body = body || \'{"severity": "warning"}\'')
    on_call.keep(at + 31_000)
    later = warned.model_copy(update={"unit": storm.BREACH, "as_of": at + 60_000})
    on_call.link.execute("UPDATE unit SET region = %s WHERE code = %s", (storm.LATE, later.unit))
    on_call.writer.hear(*storm.placed([later], 1, 1)[0])
    on_call.keep(at + 60_000)
    assert [what for what, _, _ in on_call.words()] == ["opened", "worse"]
    assert [row["severity"] for row in rows(on_call.link, "cases")] == ["critical"]
    _, text = get(on_call.alertmanager.url, "/api/v2/alerts")
    (alert,) = json.loads(text)
    assert (alert["labels"]["alertname"], alert["labels"]["severity"]) == (
        "case-late-data",
        "warning",
    )


def test_without_a_keeper_alertmanager_hears_of_each_by_itself(on_call: OnCall) -> None:
    """Held no longer than the hold: what nobody takes up is told as it is."""
    weather = storm.Storm(size=4)
    on_call.writer.hear(*storm.placed(weather.begins(now_ms()), 1, 0)[0])
    assert on_call.writer.due("alertmanager") == []
    on_call.link.execute("UPDATE alert_delivery SET next_attempt_at = now() WHERE held")
    on_call.delivery.deliver(on_call.alertmanager)
    _, text = get(on_call.alertmanager.url, "/api/v2/alerts")
    assert len(json.loads(text)) == len(weather.begins(0))


def test_the_doctor_says_what_is_there_and_what_to_do(
    database: str, receiver: Receiver, tmp_path: Path
) -> None:
    """On the real parts, each line ok (the local Alertmanager has no watchdog); and each not ok where its part is not there."""
    (tmp_path / "on-call.toml").write_text(ROSTER)
    (tmp_path / "rules.toml").write_text("[[rules]]\nname = 1\n")
    signed = receiver.address.replace("http://", "sign+http://")
    switch = Switch(patience_s=60, receivers={}, language="en", clock=time.monotonic)
    heard = serve(switch, "127.0.0.1", 0)
    kafka = LocalParts().endpoints().kafka

    def found(asked: Asked, **settings: str) -> dict[str, bool]:
        told = {
            "kafka": kafka,
            "partitions": "1",
            "database_url": database,
            "alerts_topic": topic,
            "alerts_webhook": receiver.address,
            "alerts_roster": str(tmp_path / "on-call.toml"),
            "alerts_receivers": f'room = "{signed}/room#s"\nhead = "{signed}/head#s"',
        }
        known = AlertSettings.model_validate(told | settings)
        return {line.check: line.ok for line in examine(known, asked)}

    with topic_of(kafka, 1) as topic, connected(database) as link:
        asked = Asked(
            alertmanager=LocalParts().endpoints().alertmanager,
            deadman=f"http://127.0.0.1:{heard.server_port}",
        )
        link.execute("INSERT INTO alert_partition VALUES (1, 0, 0, 1, NULL, %s)", (now_ms(),))
        lines = found(asked)
        assert [check for check, ok in lines.items() if not ok] == ["watchdog's route"]
        assert set(lines) == {
            "rules", "database", "clock", "tables", "rights", "heard", "Kafka", "indicators", "Alertmanager",
            "Alertmanager's clock", "watchdog's route", "webhook", "channels", "roster", "calendar", "dead man's switch",
        }  # fmt: skip
        link.execute("UPDATE alert_partition SET heard_at = 0")
        assert not found(asked)["heard"]
        wrong = found(
            Asked(tmp_path / "rules.toml", "http://127.0.0.1:9", "http://127.0.0.1:9"),
            alerts_topic="test.nothing",
            alerts_webhook="http://127.0.0.1:9/x",
            alerts_receivers=f'room = "{signed}/room#s"',
            database_url="postgresql://127.0.0.1:9/x",
        )
    heard.shutdown()
    heard.server_close()
    assert {check for check, ok in wrong.items() if not ok} == {
        "rules", "database", "indicators", "Alertmanager", "webhook", "roster", "dead man's switch",
    }  # fmt: skip


def test_a_change_of_level_is_told_where_its_region_is(on_call: OnCall, receiver: Receiver) -> None:
    """A target is of a region, so those on duty there hear of it, by its name; `list` reads as lines."""
    link = on_call.link
    (told,) = [
        one
        for one in replay(
            [each.model_dump_json().encode() for each in course("331")], DEFAULT_RULES
        )
        if isinstance(one, Notice) and one.state == "firing"
    ]
    link.execute("SET session_replication_role = replica")  # no version of targets is needed here
    link.execute(
        "INSERT INTO target_hour (target, hour, version, scope, year, quantity, covers, target_amount, allowed, basis, low, best, verdict, reason,"
        " level_reason, rule) VALUES ('energy.2026', 0, 1, 'city:510400', 2026, 'energy', 'key units', 1, 1, 'calendar', 1, 1, 'FAIL', '', '', 'r')"
    )
    link.execute(
        "INSERT INTO region (code, name, name_zh) VALUES ('510400', 'Panzhihua', '攀枝花') ON CONFLICT DO NOTHING"
    )
    link.execute(
        "INSERT INTO alert_transition (id, generation, partition, body) VALUES (%s, 1, 0, %s)",
        (told.id, told.model_dump_json()),
    )
    link.execute("INSERT INTO alert_case_queue (transition) VALUES (%s)", (told.id,))
    (arrival,) = case_store.arrivals(link)
    assert arrival.region == "510400"
    on_call.keep(now_ms())
    (post,) = posts_to(receiver, "/room")
    assert post["title"] == "[严重] 目标energy.2026：2026年能耗预警等级一级（十分严峻） (攀枝花)"
    silence(
        link, [matcher_of("city=510100")], owner="Li", reason="works", lasting=timedelta(hours=1)
    )
    lines = {
        name: [LINES[name](row) for row in rows(link, name)]
        for name in ("cases", "log", "silences")
    }
    assert all(len(some) == 1 and "\n" not in some[0] for some in lines.values()), lines
    assert "to room (duty room) at 20" in lines["log"][0]
    assert "  city=510100  Li: works  (not at Alertmanager)" in lines["silences"][0]
    assert "firing on 1 of 1" in lines["cases"][0]


def test_a_target_of_an_industry_has_its_name(on_call: OnCall) -> None:
    """By the targets that were loaded, in the language of those who read it."""
    target = {"id": "energy.31.2026", "scope": "industry:31"}
    on_call.link.execute(
        "INSERT INTO target_version (version, author, reason, hash, from_hour, body) VALUES (1, 'a', 'r', 'h', 0, %s)",
        (Jsonb({"targets": [target]}),),
    )
    on_call.link.execute(
        "INSERT INTO industry (code, name, name_zh) VALUES ('31', 'Ferrous metals', '黑色金属') ON CONFLICT DO NOTHING"
    )
    assert case_store.names(on_call.link, "zh")["target:energy.31.2026"] == "黑色金属"
    assert case_store.names(on_call.link, "en")["target:energy.31.2026"] == "Ferrous metals"
