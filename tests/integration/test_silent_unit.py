"""A live unit that falls silent is told by the wall clock, while the history of others is imported.

About 40 seconds: two live units speak each second, and one of them stops. All the while `ingest
simulate | ingest publish` writes the history of four others into the same partitions.
"""

import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest
from kafka import KafkaConsumer, TopicPartition
from pydantic import TypeAdapter

from ingest.coalesce import Numbering
from ingest.publisher import create_producer, publish_lines
from ingest.simulator import Claim, section_of
from ingest.world import registry_of
from schemas import topics
from schemas.calendar import HOUR_MS, moment, year_of
from schemas.indicator import Indicator, Message, Silent, Told
from schemas.registry import STATEMENTS, Configuration, Point, Quota, Registry, Unit
from schemas.scale import SCALE
from schemas.section import RANKS, ApplyConfiguration, partition_of
from schemas.wire import configuration_line, to_line
from tests.integration.places import Place, place_of

MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)
PARTITIONS = 2
STOPS, GOES_ON = "91510100LIVE000001", "91510100LIVE000002"
"""Of one partition, in which there is history, too."""
POINT = "E1"
EVERY_S = 1.0
CADENCE_MS = TOLERANCE_MS = 5_000
CLOCK_S = 5
TICKS_SPOKEN = 3
TOLD_WITHIN_MS = 120_000
HISTORY = ("--start", "2020-01-01T00:00:00+08:00", "--hours", "50000", "--units", "4")
"""More than a worker digests meanwhile: `publish` keeps close to it."""


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Speakers:
    """The live units' door: a thread that publishes what they say."""

    place: Place
    begins: int = field(default_factory=wall_ms)
    last: dict[str, int] = field(default_factory=dict)
    """When each spoke last."""
    one_stops: threading.Event = field(default_factory=threading.Event)
    both_stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until both stop."""
        producer = create_producer(self.place.environment["WEIR_KAFKA"], client_id="live")
        prefix = self.place.prefix
        publish_lines(self._lines(), producer=producer, say=lambda _: None, prefix=prefix)
        producer.close()

    def _lines(self) -> Iterator[str]:
        """Their configuration, then each second a reading of each."""
        numbering = Numbering(door="live", incarnation=self.begins)
        configuration = configuration_of(self.begins)
        yield configuration_line(configuration)
        for partition in range(PARTITIONS):
            applied = ApplyConfiguration(configuration.version)
            yield to_line(numbering.record(partition, applied), partition)
        while not self.both_stop.wait(EVERY_S):
            for unit in [GOES_ON] if self.one_stops.is_set() else [STOPS, GOES_ON]:
                at = self.last[unit] = wall_ms()
                partition = partition_of(unit, PARTITIONS)
                section = section_of(unit, [self._claim(at)], received_at=at)
                yield to_line(numbering.record(partition, (section,)), partition)

    def _claim(self, at: int) -> Claim:
        """A register that turns by 360 kWh an hour."""
        return Claim(
            point=POINT,
            statement=STATEMENTS.index("register"),
            at=at,
            value=360 * SCALE * (at - self.begins) // HOUR_MS,
            unit_of_measure="kWh",
            rank=RANKS["measured"],
            revision=0,
            sent_at=at,
        )


def configuration_of(begins: int) -> Configuration:
    """The live units, valid from now; version 1 is that of the simulated world."""
    point = Point(
        name=POINT,
        quantity="electricity",
        unit_of_measure="kWh",
        statement="register",
        digits=6,
        rated_per_hour=Decimal(400),
        cadence_ms=CADENCE_MS,
        tolerance_ms=TOLERANCE_MS,
        valid_from=moment(begins),
    )
    quota = Quota(year=year_of(begins), energy_tce=Decimal(1000), source="test", status="example")
    units = tuple(
        Unit(code=code, name=code, region="510100", industry="31", points=(point,), quotas=(quota,))
        for code in (STOPS, GOES_ON)
    )
    known = registry_of(())
    registry = Registry(regions=known.regions, industries=known.industries, units=units)
    return Configuration(version=2, author="test", reason="live units", registry=registry)


@dataclass
class Heard:
    """The indicators as they come."""

    consumer: KafkaConsumer
    live: dict[str, list[Indicator]] = field(default_factory=lambda: {STOPS: [], GOES_ON: []})
    ticks: list[int] = field(default_factory=list)
    """Those of the clock, in the live units' partition."""
    history: list[int] = field(default_factory=list)
    """When an indicator of a unit in history came, of the same partition."""

    def listen(self) -> "Heard":
        """Take what has come."""
        for records in self.consumer.poll(timeout_ms=100).values():
            for record in records:
                self._take(MESSAGE.validate_json(record.value))
        return self

    def _take(self, message: Message) -> None:
        if isinstance(message, Told):
            self.ticks += [message.as_of] if message.unit is None else []
        elif message.history:
            self.history.append(wall_ms())
        else:
            self.live[message.unit].append(message)

    def naming(self, unit: str) -> list[Indicator]:
        """What a live unit was told that names a silent point."""
        return [message for message in self.live[unit] if message.silent]

    def history_between(self, start: int, end: int) -> int:
        """How often history was told in this time."""
        return sum(start <= at < end for at in self.history)


@pytest.fixture
def place(database: str, tmp_path: Path) -> Iterator[Place]:
    with place_of(database, tmp_path, partitions=PARTITIONS) as place:
        yield place


@pytest.fixture
def speakers(place: Place) -> Iterator[Speakers]:
    """They speak from the test's beginning to its end."""
    speakers = Speakers(place)
    thread = threading.Thread(target=speakers.run)
    thread.start()
    yield speakers
    speakers.both_stop.set()
    thread.join()


@pytest.fixture
def heard(place: Place) -> Iterator[Heard]:
    """Of the live units' partition."""
    kafka = place.environment["WEIR_KAFKA"]
    consumer = KafkaConsumer(bootstrap_servers=kafka, enable_auto_commit=False)
    theirs = TopicPartition(place.prefix + topics.INDICATORS, partition_of(STOPS, PARTITIONS))
    consumer.assign([theirs])
    consumer.seek_to_beginning(theirs)
    yield Heard(consumer)
    consumer.close()


def start_history(place: Place) -> None:
    """A past of years, of which the test sees a few days."""
    simulated = place.start("simulate", "ingest", "simulate", *HISTORY, stdout=subprocess.PIPE)
    place.start("publish", "ingest", "publish", stdin=simulated.stdout)
    assert simulated.stdout
    simulated.stdout.close()


@pytest.mark.slow
def test_who_falls_silent_is_told_while_history_is_imported(
    place: Place, speakers: Speakers, heard: Heard
) -> None:
    """Within two minutes of its last reading, by its point's name; who goes on speaking is not (40 s)."""
    place.start("worker", "processors", "worker", "--session", "6", "--metrics-port", "0")
    place.start("clock", "ingest", "clock", "--interval", str(CLOCK_S))
    place.wait(lambda: len(heard.listen().ticks) > 0, "the clock is heard")
    start_history(place)
    place.wait(
        lambda: len(heard.listen().ticks) >= TICKS_SPOKEN and len(heard.history) > 0,
        "the clock has judged who speaks, and history was told",
    )
    assert {message.silent for message in heard.live[STOPS]} == {()}
    stops_at = wall_ms()
    speakers.one_stops.set()
    place.wait(lambda: len(heard.listen().naming(STOPS)) > 0, "its silence is told", seconds=120)
    told_at = wall_ms()
    place.wait(
        lambda: heard.listen().ticks[-1] >= told_at and heard.history[-1] > told_at,
        "clock and history go on",
    )
    first, last = heard.naming(STOPS)[0], speakers.last[STOPS]
    assert first.silent == (Silent(point=POINT, since=last),)
    assert last + CADENCE_MS + TOLERANCE_MS < first.as_of
    assert told_at <= last + TOLD_WITHIN_MS
    assert len(heard.live[GOES_ON]) > 0
    assert heard.naming(GOES_ON) == []
    assert heard.history_between(0, stops_at) > 0
    assert heard.history_between(stops_at, told_at) > 0
    assert heard.history_between(told_at, wall_ms()) > 0
