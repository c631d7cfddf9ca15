"""The aggregator on the real servers: what it tells is a function of the log, whoever kills it and whenever it runs.

About 15 seconds. One log, over the turn of a year: three live units, two in history that lag behind, late readings.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest
from kafka import KafkaConsumer, TopicPartition

from alerts.replay import replay
from deploy.service_figures import FIGURES, figures, metric
from deploy.services import answer
from ingest.simulator import Faults, configuration_of, stream
from ingest.world import default_world
from processors import __main__ as processors
from processors.aggregation import Member, scopes_of
from processors.metrics import WorkerMetrics
from processors.region_store import RegionStore
from processors.store import Store
from processors.worker import Worker
from schemas import topics
from schemas.alert import Notice
from schemas.calendar import HOUR_MS, rfc3339, year_start
from schemas.double_control import Amount
from schemas.factors import default_pack
from schemas.registry import Configuration
from schemas.rule import DEFAULT_RULES
from schemas.scale import SCALE, as_text
from schemas.section import Record, partition_of
from schemas.wire import encode
from tests.integration.conftest import drop_database, new_database
from tests.integration.places import Place, place_of
from tests.processors.told_logs import message

PARTITIONS = 3
TURN = year_start(2026)
START, END = TURN - 6 * HOUR_MS, TURN + 6 * HOUR_MS
LIVE, HISTORY = 3, 2
AGGREGATOR = ("processors", "aggregator", "--metrics-port", "0")
TARGETS = Path(__file__).parent / "targets.toml"

Log = list[tuple[int, int, bytes]]
Json = dict[str, Any]
Row = tuple[Any, ...]
Sums = dict[Row, Row]


@dataclass(frozen=True)
class World:
    """The log, cut in pieces in which it arrives, and who there is."""

    configurations: tuple[Configuration, ...]
    pieces: tuple[Log, ...]
    members: tuple[Member, ...]


@pytest.fixture(scope="module")
def world() -> World:
    """Live units and units in history, in turns of an hour; history is an hour behind, and for two hours more."""
    live = default_world(start=START, units=LIVE, live=True)
    past = default_world(start=START, units=LIVE + HISTORY, live=False)[LIVE:]
    faults = Faults(late=0.05, corrected=0.02)
    parts = [
        list(
            stream(
                plants,
                seed=3,
                start=START,
                end=END,
                faults=faults,
                partitions=PARTITIONS,
                version=version,
                live=version == 1,
                step_ms=HOUR_MS // 2,
                tick_ms=HOUR_MS,
            )
        )
        for version, plants in ((1, live), (2, past))
    ]
    offsets = [0] * PARTITIONS
    pieces: list[Log] = []
    for some in mixed(*parts):
        piece: Log = []
        for partition, record in some:
            piece.append((partition, offsets[partition], encode(record)))
            offsets[partition] += 1
        pieces.append(piece)
    members = tuple(
        Member(p.unit.code, p.unit.region, p.unit.industry, p.unit.begins) for p in (*live, *past)
    )
    configurations = configuration_of(live, version=1), configuration_of(past, version=2)
    return World(configurations, tuple(pieces), members)


def mixed(
    live: list[tuple[int, Record]], past: list[tuple[int, Record]]
) -> Iterator[list[tuple[int, Record]]]:
    """Live records in eight pieces; behind each a part of the past, which so comes late."""
    size, other = -(-len(live) // 8), -(-len(past) // 10)
    for number in range(10):
        yield (
            live[number * size : (number + 1) * size] + past[number * other : (number + 1) * other]
        )


def digest(url: str, world: World) -> Iterator[int]:
    """A worker that digests piece by piece."""
    with closing(Store(url, engine="test")) as store:
        for configuration in world.configurations:
            store.save_configuration(configuration)
        worker = Worker(store, WorkerMetrics(), partitions=PARTITIONS)
        worker.take(dict.fromkeys(range(PARTITIONS), 0))
        for number, piece in enumerate(world.pieces):
            worker.write(worker.prepare(piece))
            yield number


def load(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIR_DATABASE_URL", url)
    words = ["targets", "load", str(TARGETS), "--reason", "test", "--from", rfc3339(START)]
    assert processors.main(words) == 0


def tell_all(url: str) -> int:
    """All hours that are due."""
    with closing(RegionStore(url, partitions=PARTITIONS)) as store:
        assert store.lead()
        count = 0
        while store.tell_next() is not None:
            count += 1
        return count


def rows(url: str, query: str) -> list[Row]:
    with psycopg.connect(url) as link:
        return link.execute(query.encode()).fetchall()


TOLD = "SELECT hour, number, partition, key, payload FROM region_outbox ORDER BY hour, number"


@pytest.fixture(scope="module")
def late(migrated: str, world: World) -> Iterator[str]:
    """A database in which all is digested before anything is summed, but for the targets."""
    url = new_database(migrated)
    with pytest.MonkeyPatch.context() as patch:
        load(url, patch)
    assert list(digest(url, world))
    assert tell_all(url) == (END - START) // HOUR_MS
    yield url
    drop_database(url)


@pytest.mark.slow
def test_a_late_run_tells_the_same_bytes(
    database: str, late: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hour by hour as the log is digested, with a new store each time; or all of it at once, and then again (5 s)."""
    load(database, monkeypatch)
    punctual = [tell_all(database) for _ in digest(database, world)]
    assert sum(punctual) == (END - START) // HOUR_MS
    assert sum(count > 0 for count in punctual) >= 4
    assert rows(database, TOLD) == rows(late, TOLD)
    assert tell_all(late) == 0
    assert sums_of(late) == directly(late, world)
    told = [json.loads(row[-1]) for row in rows(late, TOLD) if row[2] is None]
    units = "SELECT units FROM region_hour WHERE scope = 'province:510000' AND kind = 'year' ORDER BY hour"
    assert [count for (count,) in rows(late, units)][:3] == [LIVE, LIVE + HISTORY, LIVE + HISTORY]
    check_corrections(told)
    check_targets(late, told)
    check_alerts([row[-1] for row in rows(late, TOLD) if row[2] is not None])


def sums_of(url: str) -> Sums:
    found = rows(
        url,
        "SELECT scope, hour, kind, starts, energy_low, energy_best, energy_high, co2_low, co2_best, co2_high, told FROM region_hour",
    )
    return {row[:4]: row[4:] for row in found}


def directly(url: str, world: World) -> Sums:
    """The rule itself, from all that was told: before the first tick at or past the hour, and for no later instant."""
    ticks = rows(url, 'SELECT partition, "offset", at FROM tick WHERE unit = 0 ORDER BY 1, 2')
    messages = [
        (partition, offset, json.loads(payload))
        for partition, offset, payload in rows(
            url,
            'SELECT partition, "offset", payload FROM outbox ORDER BY partition, "offset", position, number',
        )
    ]
    expected: Sums = {}
    for key in sums_of(url):
        scope, hour, kind, start = key
        cut = {p: next(o for q, o, at in ticks if q == p and at >= hour) for p in range(PARTITIONS)}
        its = [m for m in world.members if scope in scopes_of(m) and m.begins < hour]
        total = [0, 0, 0, 0, 0, 0, 0]
        unknown = [False, False]
        for member in its:
            window, reached = newest(messages, member.unit, cut, (hour, kind, start))
            total[6] += reached
            for place, name in enumerate(("energy", "co2")):
                figure = {} if window is None else window["figures"].get(name)
                if figure is None:
                    continue
                total[3 * place] += figure.get("low", 0)
                total[3 * place + 1] += figure.get("best", 0)
                unknown[place] |= not reached or figure["high"] is None
                total[3 * place + 2] += figure.get("high") or 0
        highs = [None if unknown[i] else total[3 * i + 2] for i in range(2)]
        expected[key] = (*total[:2], highs[0], *total[3:5], highs[1], total[6])
    return expected


def newest(
    messages: list[tuple[int, int, Json]], unit: str, cut: dict[int, int], of: tuple[int, str, int]
) -> tuple[Json | None, bool]:
    """The unit's newest window of a kind and start, and whether it reaches the hour."""
    hour, kind, start = of
    found, as_of = None, 0
    for partition, offset, told in messages:
        if told["kind"] != "unit" or told["unit"] != unit or offset > cut[partition]:
            continue
        if told["as_of"] <= hour:
            for window in told["windows"]:
                if (window["window"], window["start"]) == (kind, start):
                    found, as_of = window, told["as_of"]
    return found, found is not None and as_of >= min(hour, found["end"])


def check_corrections(told: list[Json]) -> None:
    """The year that is over is told again where units told it anew, with other figures; and what was told stays."""
    of_2025 = defaultdict(list)
    for one in told:
        for window in one["windows"]:
            if window["window"] == "year" and window["end"] == TURN and one["hour"] > TURN:
                of_2025[one["scope"]].append(window["energy"])
    assert any(len(figures) > 1 for figures in of_2025.values())
    assert any(figures[0] != figures[-1] for figures in of_2025.values())


def check_targets(url: str, told: list[Json]) -> None:
    """Judged at every hour of their year, with a waterfall at each change of level."""
    standings = [one for message in told for one in message["standings"]]
    assert {one["verdict"] for one in standings} >= {"UNDECIDABLE", "FAIL"}
    assert "remainder unknown" in {one["reason"] for one in standings}
    levels = [one["level"] for one in standings if one["target"] == "chemicals.2026"]
    assert levels == [1, 2, 2, 3, 3, 1]
    moves = [
        (one["changed"]["before"], one["changed"]["after"])
        for one in standings
        if one["target"] == "chemicals.2026" and one["changed"]
    ]
    assert moves == [(1, 2), (2, 3), (3, 1)]
    changes = [one["changed"] for one in standings if one["changed"]]
    assert len(changes) == len(rows(url, "SELECT 1 FROM level_change")) >= 4
    for change in changes:
        for end in ("low", "best", "high"):
            ends = [line[end] for line in change["lines"]]
            total = None if None in ends else sum(ends)
            assert total == change["change"][end]


def check_alerts(told: list[bytes]) -> None:
    """Each change of level is an alert, once."""
    notices = [one for one in replay(told, DEFAULT_RULES) if isinstance(one, Notice)]
    assert len(notices) < len(told)
    assert [
        ((one.at - TURN) // HOUR_MS, one.rule, one.state)
        for one in notices
        if one.unit == "target:chemicals.2026"
    ] == [
        (1, "target-very-severe", "firing"),
        (2, "target-very-severe", "resolved"),
        (2, "target-rather-severe", "firing"),
        (4, "target-rather-severe", "resolved"),
        (6, "target-very-severe", "firing"),
    ]


@pytest.mark.slow
def test_killed_between_commit_and_publishing(
    database: str,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """SIGKILL after a COMMIT, before its messages go out; then two, of whom one leads: nothing twice, nothing missed (8 s)."""
    load(database, monkeypatch)
    assert list(digest(database, world))
    with place_of(database, tmp_path, partitions=PARTITIONS) as place:
        place.start(
            "alerts",
            *("alerts", "run", "--no-alertmanager"),
            WEIR_ALERTS_TOPIC=place.prefix + topics.INDICATORS,
            WEIR_ALERTS_GROUP=place.prefix + "alerts",
            WEIR_ALERTS_HTTP="127.0.0.1:0",
        )
        one = place.start("aggregator", *AGGREGATOR, WEIR_TEST_STOP_AT="committed:4")
        place.wait(lambda: "stopped at" in place.log("aggregator").read_text(), "it stopped")
        place.running.pop("aggregator").kill()
        one.wait()
        assert place.query("SELECT count(DISTINCT hour) FROM region_outbox") == [(4,)]
        assert len({json.loads(line)["hour"] for line in published(place)}) == 3
        standby = [place.start(name, *AGGREGATOR) for name in ("one", "two")]
        place.wait(lambda: published(place) == stored(place), "all regions are published")
        place.wait(
            lambda: place.records(topics.INDICATORS) == levels(place), "all levels are published"
        )
        assert place.query("SELECT count(*) FROM region_cut") == [
            ((END - START) // HOUR_MS * PARTITIONS,)
        ]
        views = place.query("SELECT count(DISTINCT place) FROM power_factor WHERE value > 0")
        assert views == [(4,)], "CO2 can be shown in each view"
        assert [one.poll() for one in standby] == [None, None]
        assert {leads(place, name) for name in ("one", "two")} == {0.0, 1.0}
        assert [place.stop(name) for name in ("one", "two")] == [0, 0]
        heard = place.ends(topics.INDICATORS)
        place.wait(lambda: place.next_offsets("alert_partition") == heard, "the alerts have heard")
        assert place.query(TRANSITIONS) == transitions(levels(place))
        capsys.readouterr()
        assert processors.main(["show", "--region", "510000", "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
        assert shown["windows"][0]["counts"]["units"] == LIVE + HISTORY
        assert [window["window"] for window in shown["windows"]] == [
            "year",
            "year",
            "month",
            "month",
        ]


def leads(place: Place, name: str) -> float | None:
    """What its page says, once it is ready."""
    place.wait(lambda: "metrics on" in place.log(name).read_text(), f"{name} has a page")
    page = re.findall(r"metrics on (\S+)/metrics", place.log(name).read_text())[0]
    place.wait(lambda: answer(f"{page}/readyz") is not None, f"{name} is ready")
    text = answer(f"{page}/metrics") or ""
    assert figures("aggregator", text).keys() == {one.key for one in FIGURES["aggregator"]}
    assert metric(text, "weir_aggregator_lag_hours") == 0
    return metric(text, "weir_aggregator_leads")


def stored(place: Place) -> list[bytes]:
    """All that was told of regions, once every hour is."""
    told = place.query(
        "SELECT hour, payload FROM region_outbox WHERE partition IS NULL ORDER BY hour, number"
    )
    return [payload for _, payload in told] if told and told[-1][0] == END else [b"not all"]


def levels(place: Place) -> dict[int, list[bytes]]:
    """What the alerts are told, by partition of the indicators."""
    found: dict[int, list[bytes]] = defaultdict(list)
    told = "SELECT partition, payload FROM region_outbox WHERE partition IS NOT NULL ORDER BY hour, number"
    for partition, payload in place.query(told):
        found[partition].append(payload)
    return found


TRANSITIONS = "SELECT id, state FROM alert_transition ORDER BY id"


def transitions(told: dict[int, list[bytes]]) -> list[tuple[str, str]]:
    """What the alerts make of it without a server."""
    lines = [line for some in told.values() for line in some]
    return sorted(
        (one.id, one.state) for one in replay(lines, DEFAULT_RULES) if isinstance(one, Notice)
    )


def published(place: Place) -> list[bytes]:
    """The topic's one partition."""
    consumer = KafkaConsumer(
        bootstrap_servers=place.environment["WEIR_KAFKA"], enable_auto_commit=False
    )
    try:
        where = TopicPartition(place.prefix + topics.REGIONS, 0)
        consumer.assign([where])
        consumer.seek_to_beginning(where)
        end, found = consumer.end_offsets([where])[where], []
        while consumer.position(where) < end:
            for records in consumer.poll(timeout_ms=500).values():
                found += [record.value for record in records]
        return found
    finally:
        consumer.close()


def test_a_new_generation_of_the_log_changes_nothing(database: str, migrated: str) -> None:
    """Two partitions, then three: who stood by until the second generation tells what a punctual one told."""
    other = new_database(migrated)
    try:
        for url in (database, other):
            write_generation(url, 1, partitions=2, hours=range(1, 4))
        assert told_in(database, 1, partitions=2) == 3
        for url in (database, other):
            write_generation(url, 2, partitions=3, hours=range(4, 7))
        assert told_in(database, 2, partitions=3) == 3
        assert told_in(other, 2, partitions=3) == 6
        assert rows(database, TOLD) == rows(other, TOLD)
        assert len({payload for *_, payload in rows(other, TOLD)}) > 20
    finally:
        drop_database(other)


def told_in(url: str, generation: int, *, partitions: int) -> int:
    """Hours that were due for an aggregator of this generation's settings."""
    with closing(RegionStore(url, generation=generation, partitions=partitions)) as store:
        assert store.lead()
        return sum(1 for _ in iter(store.tell_next, None))


def write_generation(url: str, generation: int, *, partitions: int, hours: range) -> None:
    """A log of five units by hand; one of them is half an hour behind, and each tells more behind the tick."""
    random, base = Random(generation), year_start(2026)
    units = [f"91510100SYN{number:07d}" for number in range(5)]
    entry = {
        "region": "510402",
        "industry": "31",
        "points": [{"valid_from": "2025-06-01T00:00+08:00"}],
    }
    body = json.dumps({"units": [entry | {"code": unit} for unit in units]})
    with psycopg.connect(url) as link:
        if generation == 1:
            link.execute("INSERT INTO configuration VALUES (1, 'a', 'r', 'h', %s::jsonb)", (body,))
        for partition in range(partitions):
            place = (generation, partition)
            link.execute("INSERT INTO partition VALUES (%s, %s, 0, 99)", place)
            if generation == 1:
                text = "apply configuration 1"
                link.execute("INSERT INTO control VALUES (%s, %s, 0, %s)", (*place, text))
            for hour in hours:
                at = base + hour * HOUR_MS
                link.execute("INSERT INTO tick VALUES (%s, %s, %s, 0, 0, %s)", (*place, hour, at))
            for number, unit in enumerate(units):
                for hour in hours if partition_of(unit, partitions) == partition else ():
                    at = base + hour * HOUR_MS - (HOUR_MS // 2 if unit == units[0] else 0)
                    told = (*place, hour, 0, number, unit, message(random, unit, at))
                    tail = (*place, hour, 1, number, unit, message(random, unit, at + HOUR_MS // 4))
                    for row in (told, tail):
                        link.execute("INSERT INTO outbox VALUES (%s, %s, %s, %s, %s, %s, %s)", row)


def test_what_was_told_is_not_changed(
    late: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Targets never hold from an hour that is told; the same ones are nothing new; a diff says so."""
    monkeypatch.setenv("WEIR_DATABASE_URL", late)
    assert processors.main(["targets", "diff", str(TARGETS)]) == 0
    words = ["targets", "load", str(TARGETS), "--reason", "again"]
    assert processors.main(words) == 0
    assert "nothing is new" in capsys.readouterr().out
    example = str(Path(__file__).parents[2] / "deploy/example/targets.toml")
    assert processors.main(["targets", "diff", example]) == 1
    words = ["targets", "load", example, "--reason", "early", "--from", rfc3339(END)]
    assert processors.main(words) == 1
    assert "is too early" in capsys.readouterr().err
    assert processors.main(["show", "--region", "510000"]) == 0
    assert "key units" in capsys.readouterr().out
    assert processors.main(["show", "--industry", "99"]) == 1


def test_a_unit_of_one_day_has_no_landing(
    late: str, world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It began on the last day of its year; and the year after has no quota that could be used up."""
    monkeypatch.setenv("WEIR_DATABASE_URL", late)
    assert processors.main(["landing", "show", world.members[0].unit, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    landing, room = shown["landing"], shown["headroom"]
    assert (landing["year"], landing["state"]) == (2025, "cannot be said")
    assert (landing["reason"], room["year"], room["binds"]) == ("too few days", "2026", None)


def test_units_are_shared_out_as_the_log_is(world: World) -> None:
    """Every partition has a live unit, else nothing would be waited for."""
    assert {partition_of(m.unit, PARTITIONS) for m in world.members[:LIVE]} == {0, 1, 2}


EVIDENCE = """
[[evidence]]
id = "{id}"
unit = "{unit}"
region = "{region}"
form = "green power"
quantity = "electricity"
amount = "1000000000"
unit_of_measure = "kWh"
first = {year}-01-01
until = {next}-01-01
origin = "contract 1"
issuer = "exchange"
document = "{id}"
sha256 = "{digest}"
generated_by = "wind"
"""
NET = """
[[targets]]
id = "net"
scope = "province:510000"
year = 2026
quantity = "energy"
amount = "2190"
covers = "key units"
net_of = ["non-fossil"]
source = "test"
[[targets]]
id = "carbon"
scope = "province:510000"
year = 2026
quantity = "co2"
amount = "9000"
covers = "key units"
source = "test"
[[value_added]]
scope = "province:510000"
covers = "key units"
prices_of = 2025
first = 2026-01-01
until = 2027-01-01
amount = "1000"
known_on = 2025-12-01
status = "preliminary"
source = "test"
"""
STANDINGS = "SELECT hour, gross_low, gross_best, low, best, high FROM target_hour WHERE target = 'net' ORDER BY hour"


def test_a_target_net_of_evidence(
    database: str,
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """From the hour on that it holds for; the same contract counts once, and the other claim is shown with whom it collides."""
    monkeypatch.setenv("WEIR_DATABASE_URL", database)
    monkeypatch.setenv("WEIR_PARTITIONS", str(PARTITIONS))
    with closing(Store(database, engine="test")) as store:
        for configuration in world.configurations:
            store.save_configuration(configuration)
    since = TURN + 3 * HOUR_MS
    for verb, name, text, hour in (
        ("targets", "net", NET, START),
        ("deductions", "b", evidence("b", world.members[0]), since),
        ("deductions", "a", evidence("a", world.members[1]), since),
        ("deductions", "d", evidence("d", world.members[2], 2025), since),
    ):
        (tmp_path / name).write_text(text)
        words = [str(tmp_path / name), "--reason", "test", "--from", rfc3339(hour)]
        assert processors.main([verb, "load", *words]) == 0
        assert processors.main([verb, "load", *words]) == 0, "again: nothing is new"
        assert processors.main([verb, "diff", words[0]]) == 0
    (tmp_path / "c").write_text(evidence("c", world.members[0]._replace(region="519999")))
    assert processors.main(["deductions", "load", str(tmp_path / "c"), "--reason", "test"]) == 1
    assert "lies in" in capsys.readouterr().err
    assert list(digest(database, world))
    with closing(RegionStore(database, partitions=PARTITIONS)) as store:
        assert store.lead()
        while (told := store.tell_next()) is not None and told[0] < END - HOUR_MS:
            pass
    forget_deductions(database)
    tell_all(database)
    standings = rows(database, STANDINGS)
    assert len(standings) == (END - TURN) // HOUR_MS
    for hour, gross_low, gross, low, best, high in standings:
        assert high is None
        assert (low < gross_low, best < gross) == (hour >= since,) * 2
    assert processors.main(["deductions", "show", "--json"]) == 0
    told = {one["id"]: one for one in json.loads(capsys.readouterr().out)}
    assert (told["b"]["state"], told["a"]["state"]) == ("admitted", "refused")
    assert told["a"]["against"] == ["b"]
    assert (
        processors.main(["deductions", "show", "--region", "510000", "--year", "2026", "--json"])
        == 0
    )
    *units, total = json.loads(capsys.readouterr().out)["rows"]
    assert total["net"]["best"] == as_text(standings[-1][4])
    assert [u["unit"] for u in units if u["net"] != u["gross"]] == [world.members[0].unit]
    assert processors.main(["show", "--region", "510000"]) == 0
    shown = capsys.readouterr().out
    assert "net of non-fossil (gross [" in shown
    assert "regime energy, equivalent value" in shown
    assert "regime carbon, electricity by the view provincial average, Sichuan" in shown
    assert "co2 per value added 2026, key units, prices of 2025 (preliminary), gross: [" in shown
    assert "energy net of feedstock and non-fossil" in shown
    check_foretold(database)
    check_energies(database, world.members[0].unit, capsys)


ENERGIES = """
SELECT energy, window_kind, low, best, high, evidence FROM unit_energy
WHERE unit = %s AND ends > to_timestamp(%s) AND place < 5 ORDER BY window_kind, place"""
SUMS = """
SELECT count(*), sum(u.best), r.best, sum(u.low), r.low FROM region_energy r
JOIN unit_energy u ON (u.window_kind, u.starts, u.energy) = (r.window_kind, r.starts, r.energy)
WHERE r.is_newest AND r.scope = 'province:510000' GROUP BY r.window_kind, r.starts, r.energy, r.best, r.low"""
DEDUCTED = "SELECT DISTINCT kind, starts, evidence FROM unit_deduction ORDER BY starts, kind"


def forget_deductions(url: str) -> None:
    """As after a release that kept none: nothing is said to be net until the next hour is told."""
    with psycopg.connect(url) as link:
        assert len(link.execute(DEDUCTED).fetchall()) == 4
        link.execute("DELETE FROM unit_deduction")
        link.execute("UPDATE aggregation SET deductions_from = NULL")
        names = link.execute("SELECT DISTINCT energy FROM unit_energy WHERE place < 5")
        assert names.fetchall() == [("gross",)]


def check_energies(url: str, unit: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Year and month side by side; what is deducted of units is what regions deduct; the years before, too, are told again."""
    with psycopg.connect(url) as link:
        found = link.execute(ENERGIES, (unit, TURN // 1000)).fetchall()
        deducted = link.execute(DEDUCTED).fetchall()
        sums = link.execute(SUMS).fetchall()
    assert [row[:2] for row in found] == [(n, kind) for kind in ("month", "year") for n in NAMES]
    for gross, feedstock, non_fossil, both in (found[:4], found[4:]):
        assert feedstock[2:6] == gross[2:6]
        assert non_fossil[2:6] == both[2:6]
        assert (non_fossil[3] < gross[3], gross[5], non_fossil[5]) == (True, [], ["b"])
    assert [(kind, its) for kind, _, its in deducted] == [
        ("year", ["d"]), ("month", ["d"]), ("month", ["b"]), ("year", ["b"]),
    ]  # fmt: skip
    assert len(sums) == 4 * len(NAMES), "the last hour told the year before and its December anew"
    assert all(count == LIVE + HISTORY for count, *_ in sums)
    assert all(best == of_region and low == its for _, best, of_region, low, its in sums)
    assert processors.main(["show", unit, "--energies", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["energies"]
    assert [one["energy"] for one in told[0]["energies"]] == [*NAMES]
    assert told[0]["energies"][2]["deducted"][0]["evidence"] == ["b"]
    assert processors.main(["show", unit, "--energies"]) == 0
    shown = capsys.readouterr().out
    assert "deducted, to be added: green power (electricity) -" in shown
    assert "by evidence b (deduction.green-power.2024, electricity.energy.equivalent)" in shown


def check_foretold(url: str) -> None:
    """What units would have told otherwise moves the target's sum by as much, and nothing else."""
    with closing(RegionStore(url, partitions=PARTITIONS)) as store:
        same = store.foretold(lambda one: one, 9, default_pack())
        (before, after) = same[0]
        assert before == after
        more = Amount(SCALE, SCALE, SCALE)
        other = store.foretold(
            lambda one: one._replace(energy=one.energy + more), 9, default_pack()
        )
        used = other[0][1].stand.used
        assert used.best - before.stand.used.best == (LIVE + HISTORY) * SCALE


NAMES = ("gross", "net of feedstock", "net of non-fossil", "net of feedstock and non-fossil")


def evidence(name: str, member: Member, year: int = 2026) -> str:
    it = {"id": name, "unit": member.unit, "region": member.region, "digest": name * 64}
    return EVIDENCE.format(**it, year=year, next=year + 1)
