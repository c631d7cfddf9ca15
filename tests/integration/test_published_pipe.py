"""The README's promise: the lines of the pipe, put into Kafka, give what they give without a server.

About 20 seconds: one simulated log goes through `processors replay` and `alerts replay`, and through
`ingest publish`, both workers and the database.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from schemas import topics
from schemas.registry import Configuration
from schemas.wire import from_line
from tests.integration.places import Place, place_of

PARTITIONS = 4
WORKER = ("processors", "worker", "--session", "6", "--metrics-port", "0")
ALERTS = ("alerts", "run", "--no-alertmanager")


@dataclass(frozen=True)
class Pipe:
    """The log's lines, and what came of them with no server."""

    file: Path
    units: tuple[str, ...]
    told: tuple[bytes, ...]
    notices: tuple[bytes, ...]


@pytest.fixture(scope="module")
def place(shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Both workers, who wait for the log."""
    folder = tmp_path_factory.mktemp("pipe")
    with place_of(shared_database, folder, partitions=PARTITIONS) as place:
        place.start("worker", *WORKER)
        place.start(
            "alerts",
            *ALERTS,
            WEIR_ALERTS_HTTP="127.0.0.1:0",
        )
        yield place


@pytest.fixture(scope="module")
def pipe(place: Place) -> Pipe:
    """The README's pipe, each stage's lines in a file."""
    lines, told = place.folder / "log.jsonl", place.folder / "told.jsonl"
    lines.write_bytes(place.run("ingest", "simulate", "--hours", "48", "--seed", "7"))
    told.write_bytes(place.run("processors", "replay", str(lines)))
    notices = place.run("alerts", "replay", source=told)
    configuration = from_line(lines.read_text(encoding="utf-8").splitlines()[0])
    assert isinstance(configuration, Configuration)
    units = tuple(unit.code for unit in configuration.registry.units)
    return Pipe(lines, units, tuple(told.read_bytes().splitlines()), tuple(notices.splitlines()))


@pytest.fixture(scope="module")
def published(place: Place, pipe: Pipe) -> Place:
    """The same lines through the servers, to the end."""
    place.run("ingest", "publish", str(pipe.file))
    place.wait_digested()
    return place


@pytest.mark.slow
def test_each_unit_is_shown_the_same_to_the_last_byte(published: Place, pipe: Pipe) -> None:
    """`replay --show UNIT` and `show UNIT --json` print one and the same line (10 s)."""

    def replayed(unit: str) -> bytes:
        return published.run("processors", "replay", str(pipe.file), "--show", unit)

    def stored(unit: str) -> bytes:
        return published.run("processors", "show", unit, "--json")

    with ThreadPoolExecutor(max_workers=2) as pool:
        by_pipe = dict(zip(pipe.units, pool.map(replayed, pipe.units), strict=True))
        by_servers = dict(zip(pipe.units, pool.map(stored, pipe.units), strict=True))
    assert by_servers == by_pipe
    assert len(by_pipe) == 4
    assert all(len(json.loads(line)["windows"]) > 3 for line in by_pipe.values())


@pytest.mark.slow
def test_what_units_are_told_is_the_same_bytes(published: Place, pipe: Pipe) -> None:
    """Each partition of the indicators holds the replay's lines of it, in their order (10 s)."""
    assert published.records(topics.INDICATORS) == grouped(
        (json.loads(line)["version"]["partition"], line) for line in pipe.told
    )


@pytest.mark.slow
def test_the_alerts_are_the_same(published: Place, pipe: Pipe) -> None:
    """What the alerts' worker stored of the topic is what the pipe ends in, word for word (10 s)."""
    ends = published.ends(topics.INDICATORS)
    published.wait(
        lambda: published.next_offsets("alert_partition") == ends, "the indicators are heard"
    )
    stored = published.query("SELECT unit, body FROM alert_transition ORDER BY seq")
    notices = [json.loads(line) for line in pipe.notices]
    assert grouped(stored) == grouped((notice["unit"], notice) for notice in notices)
    assert {notice["state"] for notice in notices} >= {"pending", "firing", "resolved"}


def grouped(pairs: Iterable[tuple[object, ...]]) -> dict[object, list[object]]:
    """What belongs to each, in order."""
    found: dict[object, list[object]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return found
