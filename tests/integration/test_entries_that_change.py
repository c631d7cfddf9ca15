"""Entries that change while the stream runs: by the commands, the worker and the tables, against the oracle.

About 25 seconds: three days of four units; a meter exchanged, a multiplier corrected, a point told late, a quota changed;
then another CO2 factor for all of them.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import numpy as np
import psycopg
import pytest
from kafka import KafkaProducer

from deploy.local.state import CHECKOUT
from oracle import Outcome, judge_log, window_figures
from processors.consequences import told_hash
from processors.memory import MemoryStore
from processors.metrics import WorkerMetrics
from processors.ports import OutboxRow
from processors.recompute import look_at
from processors.registry import stored_configurations
from processors.self_audit import SelfAudit
from processors.store import Store
from schemas import topics
from schemas.calendar import HOUR_MS, QUARTER_MS, instant, moment, rfc3339, window_start
from schemas.factors import default_pack
from schemas.restatement import Foreseen
from schemas.section import NEVER, RANKS, Body, Record, Section, partition_of
from schemas.wire import decode, encode
from tests.integration.places import Place, place_of, restate, stewards
from tests.processors import laws_oracle
from tests.processors.laws_oracle import Message
from tests.processors.laws_stored import told as told_of

PARTITIONS = 2
WORKER = ("processors", "worker", "--session", "6", "--metrics-port", "0")
DAYS = 4
EXCHANGED, CORRECTED, LATE, LIMITED = (f"91510100CHG000000{n}" for n in range(1, 5))
UNITS = (EXCHANGED, CORRECTED, LATE, LIMITED)
BEGIN = instant(datetime.fromisoformat("2026-03-10T00:00+08:00"))
EXCHANGE = BEGIN + 30 * HOUR_MS + 5 * 60_000

HEAD = """
[[regions]]
code = "510100"
name = "Chengdu"
[[industries]]
code = "31"
name = "steel"
"""
UNIT = """
[[units]]
code = "%s"
name = "unit"
region = "510100"
industry = "31"
history = true
quotas = [{year = 2026, energy_tce = %s, source = "test", status = "example"}]
"""
BUDGET = 'budgets = [{year = 2026, co2_t = 30, view = "provincial average, Sichuan", source = "test", status = "example"}]'
POINT = """
[[units.points]]
name = "%s"
quantity = "electricity"
unit_of_measure = "kWh"
statement = "register"
digits = 6
rated_per_hour = 8000
valid_from = 2026-03-10T00:00:00+08:00
"""
SECOND = """
[[units.points]]
name = "E1"
quantity = "electricity"
unit_of_measure = "kWh"
statement = "register"
digits = 5
multiplier = 2
rated_per_hour = 8000
valid_from = 2026-03-11T06:05:00+08:00
opening = 10
evidence = "protocol 7"
"""


OWN = """
[[power]]
id = "electricity.co2.sichuan.2023"
region = "sichuan"
view = "provincial average"
year = 2023
value = "0.2000"
unit = "kgCO2/kWh"
source = "announcement, two years late"
status = "sourced"
"""


def registry(*, changed: bool) -> str:
    """The file before and after."""
    quota = "2.5" if changed else "20"
    late = POINT % "E2" if changed else ""
    closing = "valid_to = 2026-03-11T06:05:00+08:00\nclosing = 120000\n" if changed else ""
    multiplier = "multiplier = 3\n" if changed else ""
    return "".join(
        [
            HEAD,
            *(UNIT % (EXCHANGED, "20"), POINT % "E1", closing, SECOND if changed else ""),
            *(UNIT % (CORRECTED, "20"), POINT % "E1", multiplier),
            *(UNIT % (LATE, "20"), POINT % "E1", late),
            *(UNIT % (LIMITED, quota), BUDGET, POINT % "E1"),
        ]
    )


@pytest.fixture(scope="module")
def place(shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A worker over a registry, and three days of readings with their ticks."""
    folder = tmp_path_factory.mktemp("changes")
    with place_of(shared_database, folder, partitions=PARTITIONS) as place:
        load(place, changed=False)
        place.start("worker", *WORKER)
        put(place, [(unit, day) for day in range(DAYS - 1) for unit in UNITS])
        place.wait_digested()
        yield place


def load(place: Place, *, changed: bool) -> None:
    """`registry load` of a file."""
    file = place.folder / f"registry-{changed}.toml"
    file.write_text(registry(changed=changed), encoding="utf-8")
    place.run("processors", "registry", "load", str(file), "--author", "t", "--reason", "test")


def put(place: Place, days: list[tuple[str, int]]) -> None:
    """A day of a unit a record, with a tick at its end."""
    producer = KafkaProducer(bootstrap_servers=place.environment["WEIR_KAFKA"], acks="all")
    for unit, day in days:
        record = Record(f"door {unit} {day}", 1, 0, body(unit, day))
        producer.send(
            place.prefix + topics.READINGS, encode(record), partition=partition_of(unit, PARTITIONS)
        ).get(timeout=20)
    producer.close()


def body(unit: str, day: int) -> Body:
    """Quarter-hourly registers: 500 kWh a quarter; the exchanged meter begins again at 10."""
    start = BEGIN + day * 24 * HOUR_MS
    at = np.arange(start + QUARTER_MS, start + 24 * HOUR_MS + 1, QUARTER_MS)
    value = (at - BEGIN) // QUARTER_MS * 500
    names: tuple[str, ...] = ("E1",)
    point = np.zeros(len(at), np.int64)
    if unit == EXCHANGED:
        value = np.where(at >= EXCHANGE, 10 + (at - EXCHANGE) // QUARTER_MS * 250, value)
    if unit == LATE:
        at, value = np.tile(at, 2), np.concatenate([value, value // 5])
        names, point = ("E1", "E2"), np.repeat(np.array([0, 1]), len(at) // 2)
    return (
        Section(
            unit=unit,
            received_at=int(at[-1]) + 5_000,
            names=names,
            point=point,
            at=at,
            value=value * 10**6,
            statement=0,
            units_of_measure=("kWh",),
            unit_of_measure=0,
            rank=RANKS["measured"],
            revision=0,
            sent_at=NEVER,
            flags=0,
            ticks=((len(at), start + 24 * HOUR_MS),),
        ),
    )


@pytest.fixture(scope="module")
def changed(place: Place) -> Place:
    """The changed file in force, a day more, and nobody waiting."""
    file = place.folder / "registry-diff.toml"
    file.write_text(registry(changed=True), encoding="utf-8")
    told = place.run("processors", "registry", "diff", str(file)).decode()
    assert "point E1: multiplier 1 becomes 3, once the unit is restated" in told
    assert "2026: quota 20 tce becomes 2.5 tce, at once" in told
    load(place, changed=True)
    waiting = "SELECT count(*) FROM unit WHERE pending IS NOT NULL OR version = 1"
    place.wait(lambda: place.query(waiting) == [(0,)], "all entries are in force")
    own = place.folder / "own.toml"
    own.write_text(OWN, encoding="utf-8")
    place.environment["WEIR_PACKS"] = str(own)
    assert "4 units and lines are told anew" in restate(place)
    converted = (
        "SELECT count(DISTINCT version), bool_and(pending IS NULL) FROM unit WHERE version > 2"
    )
    place.wait(lambda: place.query(converted) == [(1, True)], "all units are converted anew")
    twice = place.run("processors", "restate", "--dry-run")
    assert b"in force already: nothing changes" in twice
    again = place.run("processors", "restate", "--publish")
    assert b"configuration 3" in again, "published once more, which changes nothing"
    put(place, [(unit, DAYS - 1) for unit in UNITS])
    place.wait_digested()
    return place


def outcome_of(place: Place) -> Outcome:
    """What the oracle makes of the log as it lies in Kafka."""
    log = [
        (partition, offset, decode(value))
        for partition, values in sorted(place.records(topics.READINGS).items())
        for offset, value in enumerate(values)
    ]
    with psycopg.connect(place.database) as link:
        configurations = stored_configurations(link)
    return judge_log(log, configurations, default_pack(), PARTITIONS)


def told(place: Place) -> dict[laws_oracle.Place, Message]:
    """All that was told of the units."""
    store = MemoryStore()
    rows = place.query('SELECT partition, "offset", position, number, key, payload FROM outbox')
    store.outbox = [OutboxRow._make(row) for row in rows]
    return told_of(store)


def test_everything_told_is_the_oracles(changed: Place) -> None:
    """Under both entries, at every tick and restatement."""
    outcome = outcome_of(changed)
    assert laws_oracle.differences(told(changed), laws_oracle.messages(outcome)) == []
    anew = sum(bool(tick.anew) for tick in outcome.ticks)
    assert anew >= 15, (
        "three wait, three are restated, one has another limit; four wait and are converted"
    )


def test_the_figures_are_the_oracles(changed: Place) -> None:
    """figures() of the year, and what each change comes to."""
    outcome = outcome_of(changed)
    start, end = window_start("year", BEGIN), BEGIN + DAYS * 24 * HOUR_MS
    query = "SELECT quantity, low, best, high FROM figures(%s, %s, %s)"
    kwh = {}
    for unit in UNITS:
        rows = changed.query(query, unit, moment(start), moment(end))
        mine = {name: [None if x is None else int(x * 10**6) for x in rest] for name, *rest in rows}
        oracle = window_figures(outcome.world(unit), start, end)
        assert mine == {name: list(figure[:3]) for name, figure in oracle.items()}
        kwh[unit] = mine["electricity"][1]
    assert kwh[CORRECTED] > 2.9 * kwh[LIMITED]
    assert kwh[LATE] > 1.1 * kwh[LIMITED]
    factors = {kwh[LIMITED] * rate // 10_000 for rate in (1, 2)}
    assert mine["co2"][1] in factors, "0.2000 kg a kWh, and 0.1000 once two logins restated it"


def test_rolling_windows_end_with_the_last_full_hour(changed: Place) -> None:
    """`show --rolling`: the last 7 and 30 days, as the oracle has them."""
    outcome, end = outcome_of(changed), BEGIN + DAYS * 24 * HOUR_MS
    told = json.loads(changed.run("processors", "show", CORRECTED, "--rolling", "--json"))
    for days, window in zip((7, 30), told["windows"][-2:], strict=True):
        assert (window["window"], window["end"]) == (f"rolling {days} days", rfc3339(end))
        oracle = window_figures(outcome.world(CORRECTED), end - days * 24 * HOUR_MS, end)
        mine = [window["figures"]["electricity"][name] for name in ("low", "best", "high")]
        amounts = oracle["electricity"][:3]
        assert [None if x is None else Decimal(x) * 10**6 for x in mine] == list(amounts)


def test_a_dry_run_finds_nothing_and_restating_again_changes_nothing(changed: Place) -> None:
    """`recompute`: exit 0 beforehand, then the record is heeded, and the figures stay."""
    asked = [word for unit in UNITS for word in ("--unit", unit)]
    found = json.loads(changed.run("processors", "recompute", *asked, "--dry-run", "--json"))
    assert [one["in_order"] for one in found] == [True] * 4
    before = changed.query("SELECT unit, kind, starts, judged FROM unit_window ORDER BY 1, 2, 3")
    assert b"4 restated" in changed.run("processors", "recompute", *asked)
    changed.wait_digested()
    after = changed.query("SELECT unit, kind, starts, judged FROM unit_window ORDER BY 1, 2, 3")
    assert after == before


def test_a_dry_run_finds_what_was_tampered_with(changed: Place) -> None:
    """Another figure in the tables is named with its hour, and the worker's own look finds it, too."""
    more = "UPDATE hour SET best = best + %s WHERE unit = (SELECT id FROM unit WHERE code = %s) RETURNING 1"
    changed.query(more, 1, LIMITED)
    done = subprocess.run(
        [sys.executable, "-m", "processors", "recompute", "--unit", LIMITED, "--dry-run"],
        cwd=CHECKOUT,
        env=changed.environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 1
    assert b"hours differ" in done.stdout
    store, metrics = Store(changed.database), WorkerMetrics()
    audit = SelfAudit(store, metrics, look_at)
    audit.own(range(PARTITIONS))
    audit.look()
    audit.stop()
    store.close()
    assert metrics.value("weir_audited_units_total") == len(UNITS)
    assert metrics.value("weir_audit_differences_total") == 1
    changed.query(more, -1, LIMITED)


HALF = """
[[coefficient]]
id = "electricity.energy.equivalent"
carrier = "electricity"
value = "0.0600"
basis = "equivalent"
set = "GB/T 2589-2020"
unit = "kgce/kWh"
source = "test"
status = "sourced"
valid_from = 2020-01-01

[[power]]
id = "electricity.co2.sichuan.2023"
region = "sichuan"
view = "provincial average"
year = 2023
value = "0.1000"
unit = "kgCO2/kWh"
source = "test"
status = "sourced"
"""
NOTICE = """
INSERT INTO alert_transition (id, generation, partition, body)
VALUES (%s, 1, 0, %s::jsonb || '{"rule": "quota-exceeded", "kind": "confirmed breach", "severity": "critical", "previous": "pending",
  "state": "firing", "cause": "reading", "history": false}') RETURNING 1"""
TOLD_ANEW = "SELECT convert_from(payload, 'UTF8')::jsonb FROM outbox WHERE convert_from(payload, 'UTF8')::jsonb ->> 'cause' = 'factor'"


def test_two_logins_restate_the_past_and_the_dry_run_foretells_it_exactly(changed: Place) -> None:
    """One proposes, none approves its own; what is foretold is what is told; twice changes nothing (10 s)."""
    pack = changed.folder / "half.toml"
    pack.write_text(HALF, encoding="utf-8")
    year = window_start("year", BEGIN)
    for unit in (EXCHANGED, CORRECTED):
        changed.query(NOTICE, f"notice {unit}", noticed(unit, year, "energy"))
    changed.query(NOTICE, "notice CO2", noticed(LIMITED, year, "carbon"))
    asked = ["--pack", str(pack)]
    with stewards(changed.database) as (one, two):
        code, told = spoken(changed, one, *asked, "--dry-run")
        assert (code, "FAIL since" in told, "would not have been sent" in told) == (
            1,
            True,
            True,
        ), told
        made = json.loads(spoken(changed, one, *asked, "--reason", "late", "--json")[1])
        foreseen = Foreseen.model_validate(made["foreseen"])
        assert {it.notice for it in foreseen.undone} == {"notice CO2", f"notice {EXCHANGED}"}
        moved = {it.unit: (it.before.verdict, it.after.verdict) for it in foreseen.units}
        assert moved[EXCHANGED] == ("FAIL", "UNDECIDABLE")
        assert moved[CORRECTED] == ("FAIL", "FAIL")
        flips = {LIMITED + " 2026": ("FAIL", "UNDECIDABLE")}
        assert foreseen.decisions()["budgets"] == flips, "by the factor of CO2"
        assert "CO2 budget FAIL since" in told
        assert "1 on CO2 budgets" in told
        number = str(made["proposal"])
        approve = ["--approve", number, "--reason", "read", "--hash"]
        assert "another one approves" in refused(changed, one, *approve, made["hash"])
        assert "not 0000" in refused(changed, two, *approve, "0000")
        forged = "INSERT INTO approval (proposal, approved_by, reason, moved, foreseen) VALUES (%s, %s, 'x', 0, '{}') RETURNING 1"
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            changed.query(forged, number, "somebody")
        with (
            psycopg.connect(one) as link,
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="another one"),
        ):
            link.execute("SELECT approve_restatement(%s, %s, 9, 'x', '{}')", (number, made["hash"]))
        with psycopg.connect(two) as link, pytest.raises(psycopg.errors.InsufficientPrivilege):
            link.execute(
                "INSERT INTO approval (proposal, reason, moved, foreseen) VALUES (1, 'x', 0, '{}')"
            )
        put(changed, [(LATE, DAYS - 1)])
        changed.wait_digested()
        assert "went on by 1 records" in refused(changed, two, *approve, made["hash"])
        code, told = spoken(changed, two, *approve, made["hash"], "--tolerate", "1")
        assert code == 0, told
        newest = "SELECT count(*) FROM unit WHERE pending IS NULL AND version = %s"
        changed.wait(
            lambda: changed.query(newest, made["configuration"]) == [(4,)], "all are converted"
        )
        changed.wait_digested()
        messages = [message for (message,) in changed.query(TOLD_ANEW)]
        anew = {
            m["unit"]: told_hash(m) for m in messages if m["configuration"] == made["configuration"]
        }
        assert anew == dict(foreseen.told)
        assert changed.query(
            "SELECT moved, foreseen -> 'told' FROM approval WHERE proposal = %s", number
        ) == [(1, anew)]
        assert "approved already" in refused(
            changed, two, *approve, made["hash"], "--tolerate", "99"
        )
        assert spoken(changed, one, *asked, "--dry-run") == (0, told_nothing(made["pack"]))
        assert spoken(changed, one, *asked, "--reason", "twice") == (0, told_nothing(made["pack"]))
        assert "approved" in spoken(changed, one, "--list")[1]


def noticed(unit: str, year: int, regime: str) -> str:
    body = {"unit": unit, "window_start": year, "at": BEGIN + 96 * HOUR_MS, "since": year}
    return json.dumps(body | {"evidence": {"regime": regime}})


def told_nothing(pack: str) -> str:
    return f"{pack} is in force already: nothing changes\n"


def spoken(place: Place, url: str, *words: str) -> tuple[int, str]:
    """Exit code and words of `restate` by a login."""
    done = subprocess.run(
        [sys.executable, "-m", "processors", "restate", *words],
        cwd=CHECKOUT,
        env=place.environment | {"WEIR_DATABASE_URL": url},
        capture_output=True,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).decode()


def refused(place: Place, url: str, *words: str) -> str:
    code, told = spoken(place, url, *words)
    assert code == 1
    return told
