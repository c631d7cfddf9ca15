"""How many partitions the log has. A change begins a new generation: topics of its own, and the units shared out anew.

`python -m processors partitions resize N --reason ... [--check] [--without-alerts] [--json]`
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

import psycopg
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError
from psycopg import Connection
from psycopg.rows import TupleRow

from processors import acts, generations
from processors.generations import Ends, Moved
from processors.migrate import MigrationError, database_url
from schemas import topics
from schemas.settings import Settings, SettingsError, kafka_client

Link = Connection[TupleRow]

_LIMIT = "max.message.bytes"
_SEALED = "0"
"""Greatest size of a message in a log that takes no more: a door that still writes to it fails loudly."""
_SETTLES_SECONDS = 0.2
"""The broker that answers knows; the others do a moment later, and the log's end is looked at once more."""
_PATIENCE_SECONDS = 30.0
_EPILOG = """Before: stop the doors and the clock; wait until `make status` shows no lag; stop the workers and the
alerts. After: give every service the new WEIR_GENERATION and WEIR_PARTITIONS, and start them.

The old topics stay as they are and take no more; nothing reads them but a database restored from a
backup of before. They empty themselves after their retention; then they may be deleted.

examples:
  python -m processors partitions resize 16 --check                     what stands in the way
  python -m processors partitions resize 16 --reason "second worker"    do it"""


class ResizeError(Exception):
    """It cannot be done now; the message says why and what to do. Nothing was changed."""


class Log:
    """The topics of one Weir on its broker."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        """Raises KafkaError where the broker is away."""
        self._bootstrap, self._prefix = bootstrap.split(","), prefix
        self._admin = KafkaAdminClient(
            bootstrap_servers=self._bootstrap, **kafka_client(), client_id="weir-partitions"
        )

    def close(self) -> None:
        """Give the connection up."""
        self._admin.close()

    def members(self) -> int:
        """How many workers are in the group of the readings."""
        group = self._prefix + topics.PROCESSORS
        described = self._admin.describe_groups([group])[group]
        return len(described["members"])

    def beginnings(self, generation: int, partitions: int | None = None) -> Ends:
        """Where both logs of a generation begin. Raises ResizeError where one is not there, or has another count."""
        return self._edges(generation, partitions, beginning=True)

    def ends(self, generation: int) -> Ends:
        """Where both end."""
        return self._edges(generation, None, beginning=False)

    def _edges(self, generation: int, partitions: int | None, *, beginning: bool) -> Ends:
        readings, indicators = (
            self._prefix + topic.name for topic in topics.logs(0, generation=generation)
        )
        consumer = KafkaConsumer(
            bootstrap_servers=self._bootstrap, **kafka_client(), enable_auto_commit=False
        )
        try:
            found = [
                _edges_of(consumer, topic, partitions, beginning=beginning)
                for topic in (readings, indicators)
            ]
        finally:
            consumer.close()
        return Ends(*found)

    def make(self, generation: int, partitions: int) -> None:
        """Make the two logs of a generation; what is there already stays."""
        there = set(self._admin.list_topics())
        for topic in topics.logs(partitions, generation=generation):
            if (name := self._prefix + topic.name) not in there:
                options = {"num_partitions": partitions, "configs": dict(topic.configs)}
                self._admin.create_topics({name: options}, wait_for_metadata=True)

    def seal(self, generation: int) -> None:
        """From now on the readings' log takes no record; returns when the broker knows."""
        self._limit(generation, _SEALED)
        time.sleep(_SETTLES_SECONDS)

    def unseal(self, generation: int) -> None:
        """It takes records again."""
        readings, _ = topics.logs(0, generation=generation)
        self._limit(generation, readings.configs[_LIMIT])

    def _limit(self, generation: int, most: str) -> None:
        readings, _ = topics.logs(0, generation=generation)
        name = self._prefix + readings.name
        if self._limit_of(name) == most:
            return
        change = ConfigResource(ConfigResourceType.TOPIC, name, configs={_LIMIT: most})
        self._admin.alter_configs([change])
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._limit_of(name) != most:
            if time.monotonic() > deadline:
                message = f"{name}: the broker did not take {_LIMIT}={most}"
                raise ResizeError(message)
            time.sleep(0.1)

    def _limit_of(self, name: str) -> str:
        asked = ConfigResource(ConfigResourceType.TOPIC, name, configs={_LIMIT: None})
        told = self._admin.describe_configs([asked])
        return str(told["topic"][name][_LIMIT]["value"])


def _edges_of(
    consumer: KafkaConsumer, topic: str, partitions: int | None, *, beginning: bool
) -> Mapping[int, int]:
    numbers = sorted(consumer.partitions_for_topic(topic) or ())
    if not numbers:
        message = f"there is no topic {topic}: is WEIR_GENERATION the one that the services have?"
        raise ResizeError(message)
    if partitions is not None and len(numbers) != partitions:
        message = (
            f"{topic} has {len(numbers)} partitions already, not {partitions}, from an attempt that was given up:"
            " delete it, or resize to that number"
        )
        raise ResizeError(message)
    places = [TopicPartition(topic, number) for number in numbers]
    edges = consumer.beginning_offsets(places) if beginning else consumer.end_offsets(places)
    return {place.partition: int(edges[place]) for place in places}


def obstacles(link: Link, log: Log, generation: int, *, alerts: bool) -> list[str]:
    """What stands in the way now, a sentence each; locks the generation's rows. Raises ResizeError for another generation."""
    newest = generations.newest(link)
    if newest is not None and newest != generation:
        message = f"the database is at generation {newest}, not {generation}: set WEIR_GENERATION"
        raise ResizeError(message)
    ends = log.ends(generation)
    found = [f"{name} runs: stop it first" for name in generations.connected(link)]
    if not found and (members := log.members()):
        found.append(f"{members} workers are in the group: stop them first")
    return [*found, *generations.obstacles(link, generation, ends, alerts=alerts)]


def resize(
    link: Link, log: Log, generation: int, partitions: int, *, reason: str, alerts: bool = True
) -> Moved:
    """Begin a new generation with so many partitions. Raises ResizeError, and then nothing was changed.

    The old log is looked at, sealed, and looked at again: what it holds then is all that it ever will. If this ends
    in the middle by anything else, the log stays sealed, and the same again goes on, or opens it where it refuses.
    """
    with link.transaction():
        found = obstacles(link, log, generation, alerts=alerts)
    try:
        _refuse(found)
        log.seal(generation)
        with link.transaction():
            _refuse(obstacles(link, log, generation, alerts=alerts))
            log.make(generation + 1, partitions)
            moved = generations.begin(link, generation, log.beginnings(generation + 1, partitions))
            acts.remember(link, "partitions resize", asdict(moved), reason=reason)
            _refuse(generations.obstacles(link, generation, log.ends(generation), alerts=alerts))
            return moved
    except ResizeError:
        log.unseal(generation)
        raise


def _refuse(found: Iterable[str]) -> None:
    if told := list(found):
        raise ResizeError("\n".join(told))


# ---- Command line


def main(arguments: Sequence[str]) -> int:
    """Do one verb; 1 where something stands in the way, with a line for each."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if not chosen.check and not chosen.reason:
        parser.error("say why: --reason (it is kept beside your login)")
    try:
        settings = Settings.read()
        log = Log(settings.kafka, settings.topic_prefix)
        try:
            with psycopg.connect(database_url(), autocommit=True) as link:
                link.execute("SET lock_timeout = '10s'")  # a worker may hold its rows
                return _VERBS[chosen.check](link, log, settings, chosen)
        finally:
            log.close()
    except (ResizeError, MigrationError, SettingsError, psycopg.Error, KafkaError) as error:
        for line in str(error).strip().splitlines():
            sys.stderr.write(f"partitions: {line}\n")
        return 1


def _check(link: Link, log: Log, settings: Settings, chosen: argparse.Namespace) -> int:
    with link.transaction():
        found = obstacles(link, log, settings.generation, alerts=not chosen.without_alerts)
    if chosen.json:
        _tell(json.dumps({"generation": settings.generation, "obstacles": found}))
    else:
        _tell("\n".join(found) or "nothing stands in the way")
    return 1 if found else 0


def _resize(link: Link, log: Log, settings: Settings, chosen: argparse.Namespace) -> int:
    moved = resize(
        link,
        log,
        settings.generation,
        chosen.partitions,
        reason=chosen.reason,
        alerts=not chosen.without_alerts,
    )
    if chosen.json:
        _tell(json.dumps(asdict(moved)))
        return 0
    _tell(
        f"generation {moved.generation} begins with {moved.partitions} partitions;"
        f" {moved.units:,} units have another one, {moved.deliveries:,} notices wait there\n"
        f"now give every service WEIR_GENERATION={moved.generation} WEIR_PARTITIONS={moved.partitions}"
        " (and no WEIR_ALERTS_TOPIC, or the new one), then start them"
    )
    return 0


_VERBS = {True: _check, False: _resize}


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= 1_024:  # noqa: PLR2004 - as in the settings
        message = f"{text} is not between 1 and 1024"
        raise argparse.ArgumentTypeError(message)
    return count


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m processors partitions",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    resized = verbs.add_parser(
        "resize",
        help="begin a new generation of the log with another number of partitions",
        description="Begin a new generation of the log with another number of partitions.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    resized.add_argument("partitions", type=_count, help="how many, 1 to 1024")
    resized.add_argument("--reason", default="", help="why; kept beside your login")
    resized.add_argument("--check", action="store_true", help="only say what stands in the way")
    resized.add_argument(
        "--without-alerts", action="store_true", help="nobody hears the indicators here"
    )
    resized.add_argument("--json", action="store_true", help="for machines")
    return parser
