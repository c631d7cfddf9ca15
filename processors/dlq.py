"""Dead letters: records of the log that could not be read or digested, kept with their bytes.

`python -m processors dlq list | show PARTITION OFFSET | replay PARTITION OFFSET --reason ...`
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import psycopg
from kafka import KafkaProducer
from kafka.errors import KafkaError
from psycopg import Connection
from psycopg.rows import TupleRow, class_row

from processors import acts
from processors.migrate import MigrationError, database_url
from schemas.section import Record, Section, Unreadable, partition_of
from schemas.settings import Settings, SettingsError
from schemas.wire import LayoutError, decode, encode, to_line

Link = Connection[TupleRow]
DOOR = "dlq"
_PATIENCE = 30.0
_LIST = """
SELECT generation, partition, "offset", kind, unit, reason, original, replayed_at FROM refused
WHERE kind IN ('dead letter', 'no record') AND (%(all)s OR replayed_at IS NULL)
  AND (%(partition)s::integer IS NULL OR (partition = %(partition)s AND "offset" = %(offset)s))
ORDER BY generation, partition, "offset" LIMIT %(limit)s"""
_REPLAYED = """
UPDATE refused SET replayed_at = clock_timestamp()
WHERE generation = %s AND partition = %s AND "offset" = %s AND kind IN ('dead letter', 'no record')"""


class DeadLetterError(Exception):
    """What was asked for cannot be done; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record, as it is kept."""

    generation: int
    partition: int
    offset: int
    kind: str
    unit: str
    reason: str
    original: bytes
    replayed_at: datetime | None

    def told(self) -> dict[str, object]:
        """For machines; without the bytes."""
        return {
            "generation": self.generation,
            "partition": self.partition,
            "offset": self.offset,
            "kind": self.kind,
            "unit": self.unit,
            "reason": self.reason,
            "bytes": len(self.original),
            "replayed_at": self.replayed_at.isoformat() if self.replayed_at else None,
        }

    def record(self) -> Record:
        """The record in it. Raises DeadLetterError where this release cannot read it either."""
        try:
            return decode(self.original)
        except LayoutError as error:
            message = (
                f"partition {self.partition}, offset {self.offset} is no record of this release ({error});"
                " its bytes stay in the table `refused`"
            )
            raise DeadLetterError(message) from error


def letters(
    link: Link, *, at: tuple[int, int] | None = None, replayed: bool = False, limit: int = 1_000
) -> list[DeadLetter]:
    """Dead letters in order; of one place (partition, offset) where `at` is given."""
    partition, offset = at or (None, None)
    key = {"all": replayed, "partition": partition, "offset": offset, "limit": limit}
    with link.cursor(row_factory=class_row(DeadLetter)) as cursor:
        return cursor.execute(_LIST, key).fetchall()


def replay(link: Link, letter: DeadLetter, *, reason: str, settings: Settings) -> tuple[int, int]:
    """Put a record back at the end of its partition; returns where (the last, where it is shared out). Twice does no harm: repeats count as such."""
    again = replace(letter.record(), door=DOOR, incarnation=time.time_ns() // 1_000_000, sequence=0)
    parts = shared_out(again, letter, settings)
    producer = KafkaProducer(
        bootstrap_servers=settings.kafka.split(","),
        **settings.kafka_client(),
        acks="all",
        allow_auto_create_topics=False,
    )
    try:
        sent = [
            producer.send(settings.readings_topic, encode(part), partition=partition)
            for partition, part in parts
        ]
        *_, place = [one.get(timeout=_PATIENCE) for one in sent]
    finally:
        producer.close()
    with link.transaction():
        link.execute(_REPLAYED, (letter.generation, letter.partition, letter.offset))
        acts.remember(link, "dlq replay", letter.told() | {"now_at": place.offset}, reason=reason)
    return int(place.partition), int(place.offset)


def shared_out(record: Record, letter: DeadLetter, settings: Settings) -> list[tuple[int, Record]]:
    """The record for its partition; of an older generation for each partition that its units have now."""
    if letter.generation == settings.generation or not isinstance(record.body, tuple):
        return [(letter.partition, record)]
    parts: dict[int, list[Section | Unreadable]] = {}
    for part in record.body:
        parts.setdefault(partition_of(part.unit, settings.partitions), []).append(part)
    return [(number, replace(record, body=tuple(mine))) for number, mine in parts.items()]


# ---- Command line


def main(arguments: Sequence[str]) -> int:
    """Do one verb; 1 where something is wrong, with a word on it."""
    chosen = _parser().parse_args(arguments)
    try:
        with psycopg.connect(database_url(), autocommit=True) as link:
            _VERBS[chosen.verb](link, chosen)
    except (DeadLetterError, MigrationError, SettingsError, psycopg.Error, KafkaError) as error:
        sys.stderr.write(f"dlq: {str(error).strip()}\n")
        return 1
    return 0


def _list(link: Link, chosen: argparse.Namespace) -> None:
    found = letters(link, replayed=chosen.all)
    if chosen.json:
        _tell(json.dumps([letter.told() for letter in found], ensure_ascii=False))
        return
    for letter in found:
        again = f"; replayed {letter.replayed_at:%Y-%m-%d %H:%M %Z}" if letter.replayed_at else ""
        _tell(
            f"partition {letter.partition} offset {letter.offset}  {letter.kind}  {letter.unit or 'several units'}"
            f"  {len(letter.original):,} bytes  {letter.reason}{again}"
        )
    _tell(f"{len(found)} dead letters" + ("" if chosen.all else " that wait for somebody"))


def _show(link: Link, chosen: argparse.Namespace) -> None:
    _tell(to_line(_one(link, chosen).record(), chosen.partition))


def _replay(link: Link, chosen: argparse.Namespace) -> None:
    partition, offset = replay(
        link, _one(link, chosen), reason=chosen.reason, settings=Settings.read()
    )
    _tell(f"it is in the log again: partition {partition}, offset {offset}")


def _one(link: Link, chosen: argparse.Namespace) -> DeadLetter:
    found = letters(link, at=(chosen.partition, chosen.offset), replayed=True)
    if not found:
        message = f"no dead letter at partition {chosen.partition}, offset {chosen.offset}; `dlq list --all` names them"
        raise DeadLetterError(message)
    return found[-1]


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


_VERBS = {"list": _list, "show": _show, "replay": _replay}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m processors dlq",
        description=__doc__,
        epilog="After the defect is mended, `replay` puts the record behind all others; its readings count as late.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    listed = verbs.add_parser("list", help="what waits for somebody")
    listed.add_argument("--all", action="store_true", help="those that were replayed as well")
    listed.add_argument("--json", action="store_true", help="for machines")
    shown = verbs.add_parser("show", help="the record as a line of the pipe")
    again = verbs.add_parser("replay", help="put the record back into the log")
    for verb in (shown, again):
        verb.add_argument("partition", type=int)
        verb.add_argument("offset", type=int)
    again.add_argument("--reason", required=True, help="why; kept beside your login")
    return parser
