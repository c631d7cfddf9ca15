"""Another number of partitions in the middle of the stream: the figures, and who is told what, are those of a run without.

Live units of a simulated world over eight, then three, then five partitions.
"""

import itertools
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import pytest
from kafka import KafkaProducer
from kafka.errors import KafkaError
from pydantic import TypeAdapter

from alerts.batch import Record as Heard
from alerts.batch import batch_of
from alerts.state import Partition, advance
from alerts.store import Outlet, SupersededError
from alerts.store import Store as AlertStore
from ingest.simulator import Faults, scenario
from processors import __main__ as processors
from processors.engine import Engine
from processors.memory import MemoryStore, drive
from processors.metrics import WorkerMetrics
from processors.outbox import Publisher
from processors.store import GenerationError, Store
from processors.worker import Message, Worker
from schemas import topics
from schemas.calendar import HOUR_MS, year_start
from schemas.factors import default_pack
from schemas.indicator import Indicator
from schemas.indicator import Message as Told
from schemas.registry import Configuration
from schemas.rule import Rule, Rules
from schemas.section import (
    ApplyConfiguration,
    HistoryEnds,
    Record,
    Section,
    Tick,
    Unreadable,
    partition_of,
)
from schemas.wire import encode
from tests.integration.places import Place, place_of

FIRST = 8
UNITS = 9
HOURS = 3
START = year_start(2026) + 1_000 * HOUR_MS
RULES: Rules = (
    Rule(name="silent", kind="cannot be judged", severity="warning", hold="PT5M"),
    Rule(name="breach", kind="confirmed breach", severity="critical"),
)
LINE: TypeAdapter[Told] = TypeAdapter(Told)
Placed = tuple[int, Record]


@dataclass
class World:
    """A stream that may be shared out over any number of partitions."""

    configuration: Configuration
    records: list[Placed]
    """In eight partitions."""

    def over(self, records: Sequence[Placed], partitions: int) -> Iterator[Placed]:
        """The same for another number: sections by their units, ticks and control records to all."""
        sequence = defaultdict[int, Iterator[int]](itertools.count)
        last_tick = -1
        for _, record in records:
            match record.body:
                case Tick(at) if at == last_tick:
                    continue
                case Tick(at):
                    last_tick = at
                    parts = dict.fromkeys(range(partitions), record.body)
                case ApplyConfiguration():
                    parts = dict.fromkeys(range(partitions), record.body)
                case HistoryEnds(unit):
                    parts = {partition_of(unit, partitions): record.body}
                case sections:
                    parts = shared_out(sections, partitions)
            for number, body in parts.items():
                yield number, replace(record, body=body, sequence=next(sequence[number]))


def shared_out(sections, partitions):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - a record's body is a sum of types
    """Sections by partition."""
    found: dict[int, list[Section | Unreadable]] = defaultdict(list)
    for section in sections:
        found[partition_of(section.unit, partitions)].append(section)
    return {number: tuple(mine) for number, mine in found.items()}


@pytest.fixture(scope="module")
def world() -> World:
    """Nine live units that misbehave."""
    items = list(
        scenario(
            7, START, HOURS, units=UNITS, faults=Faults.every(0.02), partitions=FIRST, live=True
        )
    )
    (configuration,) = (item for item in items if isinstance(item, Configuration))
    return World(configuration, [item for item in items if not isinstance(item, Configuration)])


@pytest.fixture
def place(
    database: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Place]:
    """Topics and a database of our own, named by the settings."""
    folder = tmp_path_factory.mktemp("resize")
    with place_of(database, folder, partitions=FIRST) as place:
        for name, value in place.environment.items():
            if name.startswith("WEIR_"):
                monkeypatch.setenv(name, value)
        yield place
        for generation in (2, 3):
            place.delete([topic.name for topic in topics.logs(1, generation=generation)])


@dataclass
class Stage:
    """The services of one generation, in this process."""

    place: Place
    generation: int
    partitions: int

    def topic(self, name: str) -> str:
        return self.place.prefix + topics.of_generation(name, self.generation)

    def stream(self, configuration: Configuration, records: Sequence[Placed]) -> None:
        """Into Kafka and the database, out to the indicators, heard by the alerts."""
        messages = self.publish(records)
        with closing(self.store()) as store:
            store.save_configuration(configuration)
            worker = Worker(
                store, WorkerMetrics(), partitions=self.partitions, generation=self.generation
            )
            worker.take(dict.fromkeys(range(self.partitions), 0))
            for first in range(0, len(messages), 400):
                worker.write(worker.prepare(messages[first : first + 400]))
            self.tell(store)
        self.hear()

    def store(self) -> Store:
        return Store(self.place.database, generation=self.generation, partitions=self.partitions)

    def publish(self, records: Sequence[Placed]) -> list[Message]:
        producer = KafkaProducer(
            bootstrap_servers=self.place.environment["WEIR_KAFKA"], acks="all", linger_ms=20
        )
        sent = [
            (
                number,
                encode(record),
                producer.send(self.topic(topics.READINGS), encode(record), partition=number),
            )
            for number, record in records
        ]
        producer.flush()
        messages = [
            (number, future.get(timeout=20).offset, value) for number, value, future in sent
        ]
        producer.close()
        return messages

    def tell(self, store: Store) -> None:
        def fail(error: BaseException) -> None:
            raise error

        publisher = Publisher(
            store,
            WorkerMetrics(),
            bootstrap=self.place.environment["WEIR_KAFKA"],
            topic=self.topic(topics.INDICATORS),
            fatal=fail,
        )
        publisher.own(range(self.partitions))
        self.place.wait_published()
        publisher.stop()

    def told(self) -> dict[int, list[bytes]]:
        """What the indicators hold."""
        here = replace(self.place, partitions=self.partitions)
        return here.records(topics.of_generation(topics.INDICATORS, self.generation))

    def hear(self) -> None:
        with closing(self.alerts()) as store:
            owned = store.take(dict.fromkeys(range(self.partitions), 0))
            for number, values in self.told().items():
                mine = owned[number]
                records = [
                    Heard(offset, value)
                    for offset, value in enumerate(values)
                    if offset >= mine.next_offset
                ]
                if records:
                    batch = batch_of(number, records, mine.state, RULES)
                    store.write_surely(batch, mine.epoch)

    def alerts(self) -> AlertStore:
        outlets = [Outlet("webhook", repeats=False)]
        return AlertStore(self.place.database, generation=self.generation, outlets=outlets)


def test_a_stream_goes_on_over_another_number_of_partitions(
    place: Place,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Eight, three, five: figures, accounts and alerts of one run over eight; versions only rise; nothing is told twice."""
    third = len(world.records) // 3
    cuts = [world.records[:third], world.records[third : 2 * third], world.records[2 * third :]]
    told: list[Told] = []
    for generation, (partitions, records) in enumerate(zip((8, 3, 5), cuts, strict=True), 1):
        if generation > 1:
            resized(partitions, generation, monkeypatch, capsys)
        stage = Stage(place, generation, partitions)
        stage.stream(world.configuration, list(world.over(records, partitions)))
        told += [LINE.validate_json(line) for lines in stage.told().values() for line in lines]
        with closing(stage.alerts()) as alerts:
            assert waiting(place) == len(due(alerts, partitions))
    reference = without_resize(world)
    assert stored(place) == kept(reference)
    assert by_unit(told) == by_unit([LINE.validate_json(row.payload) for row in reference.outbox])
    assert moves(place) == expected_moves(reference)
    assert moves(place)


def resized(
    partitions: int,
    generation: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By the command, then the settings that it asks for."""
    assert processors.main(["partitions", "resize", str(partitions), "--check"]) == 0
    words = ["partitions", "resize", str(partitions), "--reason", "growth", "--json"]
    assert processors.main(words) == 0
    begun = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (begun["generation"], begun["partitions"]) == (generation, partitions)
    monkeypatch.setenv("WEIR_GENERATION", str(generation))
    monkeypatch.setenv("WEIR_PARTITIONS", str(partitions))


def test_nothing_is_resized_that_is_not_at_its_end(
    place: Place, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who runs, what waits, each in a sentence; afterwards the old log takes no record and no reader."""
    stage = Stage(place, 1, FIRST)
    stage.stream(world.configuration, world.records[:60])
    extra = [record for record in world.records[60:] if record[0] == 3][:1]
    (message,) = stage.publish(extra)
    words = ["partitions", "resize", "2", "--reason", "growth"]
    assert processors.main(words) == 1
    assert "partition 3: 1 records of the readings are not digested" in capsys.readouterr().err
    with closing(stage.store()) as store:
        worker = Worker(store, WorkerMetrics(), partitions=FIRST)
        worker.take(dict.fromkeys(range(FIRST), 0))
        worker.write(worker.prepare([message]))
        assert processors.main(words) == 1
        assert "a worker runs: stop it first" in capsys.readouterr().err
        stage.tell(store)
    stage.hear()
    assert processors.main(words) == 0
    with pytest.raises(KafkaError):
        stage.publish(extra)
    with closing(stage.store()) as store, pytest.raises(GenerationError, match="set WEIR_GENER"):
        store.take({0: 0})
    with closing(stage.alerts()) as alerts, pytest.raises(SupersededError):
        alerts.take({0: 0})
    wrong = Store(place.database, generation=2, partitions=8)
    with closing(wrong), pytest.raises(GenerationError, match="has 2 partitions, not 8"):
        wrong.take({0: 0})
    assert processors.main(words) == 1
    assert "at generation 2, not 1" in capsys.readouterr().err


# ---- What is compared


def without_resize(world: World) -> MemoryStore:
    """The same stream over eight partitions, with no server."""
    store = MemoryStore()
    engine = Engine(default_pack(), {world.configuration.version: world.configuration}, FIRST)
    offsets = defaultdict[int, Iterator[int]](itertools.count)
    placed = [
        (number, next(offsets[number]), record) for number, record in world.over(world.records, 8)
    ]
    for first in range(0, len(placed), 500):
        store.write(drive(engine.step(placed[first : first + 500]), store))
        engine.clear()
    return store


def kept(store: MemoryStore) -> dict[str, object]:
    """What rests in the tables, in a form of its own."""
    return {
        "windows": {key: (row.as_of, json.loads(row.judged)) for key, row in store.windows.items()},
        "hours": {
            (unit, hour, quantity): numbers
            for unit, rows in store.hours.items()
            for (hour, quantity), numbers in rows.items()
        },
        "gaps": {tuple(gap) for rows in store.gaps.values() for gap in rows.values()},
        "account": store.account,
        "ticks": {
            state.unit: (state.last_tick, state.live, tuple(state.ends))
            for state in store.states.values()
        },
    }


def stored(place: Place) -> dict[str, object]:
    """The same of the database."""
    windows = place.query(
        "SELECT code, kind, starts, as_of, judged FROM unit_window JOIN unit ON id = unit"
    )
    hours = place.query(
        """SELECT code, hour, quantity::text, best, unknown_best, unknown_high, measured_ms, inexact, before_low,
           before_high, after_low, after_high, fingerprint FROM hour JOIN unit ON id = unit"""
    )
    gaps = place.query(
        """SELECT code, point, starts, ends, kind::text, low, high, from_register, to_register
           FROM gap JOIN unit ON id = unit"""
    )
    account = place.query(
        """SELECT code, day::text, accepted, repeated, superseded, rejected, unreadable
           FROM account JOIN unit ON id = unit"""
    )
    states = place.query(
        "SELECT code, last_tick, live, ends FROM unit_state s JOIN unit ON id = s.unit"
    )
    return {
        "windows": {
            (code, kind, starts): (as_of, judged) for code, kind, starts, as_of, judged in windows
        },
        "hours": {(code, hour, quantity): tuple(rest) for code, hour, quantity, *rest in hours},
        "gaps": set(gaps),
        "account": {(code, day): tuple(rest) for code, day, *rest in account},
        "ticks": {code: (last, live, tuple(ends)) for code, last, live, ends in states},
    }


def by_unit(told: Sequence[Told]) -> dict[str, list[dict[str, object]]]:
    """What each unit was told, in the order of versions, which rise; without them."""
    found = defaultdict(list)
    for message in sorted(told, key=lambda message: message.version.key()):
        if isinstance(message, Indicator):
            found[message.unit].append(message)
    for messages in found.values():
        keys = [message.version.key() for message in messages]
        assert len(set(keys)) == len(keys)
        times = [message.as_of for message in messages]
        assert times == sorted(times)
    return {
        unit: [message.model_dump(exclude={"version"}) for message in messages]
        for unit, messages in found.items()
    }


def moves(place: Place) -> list[tuple[object, ...]]:
    """Every change of an alert."""
    return sorted(
        place.query("SELECT unit, rule, previous, state, at, since, cause FROM alert_transition")
    )


def expected_moves(store: MemoryStore) -> list[tuple[object, ...]]:
    """The same of the alerts over the reference, partition by partition."""
    found: list[tuple[object, ...]] = []
    for number in range(FIRST):
        lines = [LINE.validate_json(row.payload) for row in store.outbox if row.partition == number]
        found += [
            (one.unit, one.rule, one.previous, one.state, one.at, one.since, one.cause)
            for one in advance(Partition(), lines, RULES).transitions
        ]
    return sorted(found)


def waiting(place: Place) -> int:
    """Subjects with a notice that waits."""
    ((count,),) = place.query(
        "SELECT count(DISTINCT subject) FROM alert_delivery WHERE delivered_at IS NULL AND refused_at IS NULL"
    )
    return int(count)


def due(alerts: AlertStore, partitions: int) -> list[object]:
    """What this generation's worker would deliver now."""
    owned = alerts.take(dict.fromkeys(range(partitions), 0))
    epochs = {number: mine.epoch for number, mine in owned.items()}
    return list(alerts.due("webhook", epochs, 10_000))
