"""Where the database is in the log, and what to do where the log is not the one it knows.

`python -m processors offsets show | accept PARTITION OFFSET --reason ...`
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import psycopg
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from psycopg import Connection
from psycopg.rows import TupleRow

from processors import acts
from processors.migrate import MigrationError, database_url
from schemas.settings import Settings, SettingsError

Link = Connection[TupleRow]
_ROWS = """
SELECT partition, epoch, next_offset FROM partition WHERE generation = %s ORDER BY partition"""
_ACCEPT = """
UPDATE partition SET next_offset = %s, epoch = epoch + 1
WHERE generation = %s AND partition = %s AND next_offset = %s"""


class OffsetError(Exception):
    """What was asked for cannot be done; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Stand:
    """A partition in the database and in the log; `begins` and `ends` are None where the topic is not there."""

    partition: int
    epoch: int
    next_offset: int
    begins: int | None
    ends: int | None

    @property
    def state(self) -> str:
        """In one word, or with what is wrong."""
        if self.begins is None or self.ends is None:
            return "no such partition in the log"
        if self.next_offset < self.begins:
            return f"{self.begins - self.next_offset:,} records are gone that were not digested"
        if self.next_offset > self.ends:
            return f"the log ends {self.next_offset - self.ends:,} records before: another topic, or cut off"
        return "in order"


def stands(link: Link, settings: Settings) -> list[Stand]:
    """All partitions of the settings' generation."""
    rows = link.execute(_ROWS, (settings.generation,)).fetchall()
    begins, ends = _log(settings)
    return [Stand(p, epoch, at, begins.get(p), ends.get(p)) for p, epoch, at in rows]


def _log(settings: Settings) -> tuple[dict[int, int], dict[int, int]]:
    consumer = KafkaConsumer(
        bootstrap_servers=settings.kafka.split(","),
        **settings.kafka_client(),
        enable_auto_commit=False,
    )
    try:
        topic = settings.readings_topic
        places = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
        begins, ends = consumer.beginning_offsets(places), consumer.end_offsets(places)
    finally:
        consumer.close()
    return {p.partition: at for p, at in begins.items()}, {
        p.partition: at for p, at in ends.items()
    }


def accept(link: Link, stand: Stand, offset: int, *, reason: str, generation: int) -> None:
    """Go on at another offset: whoever owns the partition loses it. What lies between is given up.

    Raises OffsetError where the log does not hold the offset, or somebody writes at the same time.
    """
    if stand.begins is None or stand.ends is None or not stand.begins <= offset <= stand.ends:
        message = (
            f"partition {stand.partition}: the log holds offsets {stand.begins} to {stand.ends}, not {offset};"
            " another log is another generation: give every service a new WEIR_GENERATION, then `python -m ingest topics create`"
        )
        raise OffsetError(message)
    with link.transaction():
        key = (offset, generation, stand.partition, stand.next_offset)
        if link.execute(_ACCEPT, key).rowcount != 1:
            message = (
                f"partition {stand.partition} moved on meanwhile: stop its worker, then look again"
            )
            raise OffsetError(message)
        detail = asdict(stand) | {"generation": generation, "accepted": offset}
        acts.remember(link, "offsets accept", detail, reason=reason)


# ---- Command line


def main(arguments: Sequence[str]) -> int:
    """Do one verb; 1 where something is wrong, with a word on it."""
    chosen = _parser().parse_args(arguments)
    try:
        settings = Settings.read()
        with psycopg.connect(database_url(), autocommit=True) as link:
            found = stands(link, settings)
            if chosen.verb == "show":
                return _show(found, as_json=chosen.json)
            return _accept(link, found, chosen, settings)
    except (OffsetError, MigrationError, SettingsError, psycopg.Error, KafkaError) as error:
        sys.stderr.write(f"offsets: {str(error).strip()}\n")
        return 1


def _show(found: Sequence[Stand], *, as_json: bool) -> int:
    if as_json:
        told = [asdict(stand) | {"state": stand.state} for stand in found]
        sys.stdout.write(json.dumps(told) + "\n")
    else:
        sys.stdout.write("partition  epoch        next      begins        ends  state\n")
        for one in found:
            begins, ends = ("-" if at is None else at for at in (one.begins, one.ends))
            sys.stdout.write(
                f"{one.partition:9}  {one.epoch:5}  {one.next_offset:10}  {begins:>10}  {ends:>10}  {one.state}\n"
            )
    return 0 if all(stand.state == "in order" for stand in found) else 1


def _accept(
    link: Link, found: Sequence[Stand], chosen: argparse.Namespace, settings: Settings
) -> int:
    mine = [stand for stand in found if stand.partition == chosen.partition]
    if not mine:
        message = f"the database knows no partition {chosen.partition} of generation {settings.generation}"
        raise OffsetError(message)
    accept(link, mine[0], chosen.offset, reason=chosen.reason, generation=settings.generation)
    sys.stdout.write(
        f"partition {chosen.partition} goes on at {chosen.offset} instead of {mine[0].next_offset}\n"
    )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m processors offsets",
        description=__doc__,
        epilog="A worker that finds its offset outside the log stops; nothing is skipped unless somebody says so here.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    shown = verbs.add_parser("show", help="every partition in the database and in the log")
    shown.add_argument("--json", action="store_true", help="for machines")
    accepted = verbs.add_parser("accept", help="go on elsewhere; what lies between is given up")
    accepted.add_argument("partition", type=int)
    accepted.add_argument("offset", type=int)
    accepted.add_argument("--reason", required=True, help="why; kept beside your login")
    return parser
