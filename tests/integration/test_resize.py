"""Another number of partitions in the middle of the stream: the figures, and who is told what, are those of a run without.

Live units of a simulated world over eight, then three, then five partitions.
"""

import itertools
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest
from kafka.errors import KafkaError

from alerts.state import Partition, advance
from alerts.store import Store as AlertStore
from alerts.store import SupersededError
from processors import __main__ as processors
from processors.engine import Engine
from processors.memory import MemoryStore, drive
from processors.metrics import WorkerMetrics
from processors.partitions import Log
from processors.store import GenerationError, Store
from processors.worker import Worker
from schemas import topics
from schemas.factors import default_pack
from schemas.indicator import Indicator
from schemas.indicator import Message as Told
from tests.integration.places import Place, place_of
from tests.integration.stages import (
    FIRST,
    LINE,
    RULES,
    Stage,
    World,
    moves,
    simulated,
    stored,
)


@pytest.fixture(scope="module")
def world() -> World:
    """Nine live units that misbehave."""
    return simulated(hours=3)


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
    """Who runs, what waits, each in a sentence, and the log is open again; afterwards it takes no record and no reader."""
    stage = Stage(place, 1, FIRST)
    stage.stream(world.configuration, world.records[:60])
    extra = [record for record in world.records[60:] if record[0] == 3]
    messages = stage.publish(extra[:1])
    words = ["partitions", "resize", "2", "--reason", "growth"]
    with closing(Log(place.environment["WEIR_KAFKA"], place.prefix)) as log:
        log.seal(1)  # as one that ended in the middle
    with pytest.raises(KafkaError):
        stage.publish(extra[1:2])
    assert processors.main(words) == 1
    assert "partition 3: 1 records of the readings are not digested" in capsys.readouterr().err
    messages += stage.publish(extra[1:2])
    with closing(stage.store()) as store:
        worker = Worker(store, WorkerMetrics(), partitions=FIRST)
        worker.take(dict.fromkeys(range(FIRST), 0))
        worker.write(worker.prepare(messages))
        assert processors.main(words) == 1
        assert "a worker runs: stop it first" in capsys.readouterr().err
        stage.tell(store)
    stage.hear()
    assert processors.main(words) == 0
    with pytest.raises(KafkaError):
        stage.publish(extra[2:3])
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
