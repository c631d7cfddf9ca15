"""The verb `storm`: a listed storm as lines of the pipe."""

import argparse
from pathlib import Path

from ingest.command import Verbs, instant_of, positive, verb
from ingest.complaint import ComplaintError
from schemas.calendar import rfc3339
from schemas.settings import Settings


def add(verbs: Verbs) -> None:
    """Add it to the verbs."""
    parser = verb(
        verbs,
        "storm",
        "write a storm of listed facts as lines of the pipe: hours of calm, then much at once",
        "python -m ingest storm deploy/example/storm.toml --at 2026-11-23T20:00:00+08:00"
        " | python -m ingest publish --in-time\n"
        "  python -m ingest storm deploy/example/storm.toml --at 2026-11-23T20:00:00+08:00 --facts",
        _run,
    )
    parser.add_argument("file", type=Path, help="the facts (TOML)")
    parser.add_argument(
        "--at", type=instant_of, required=True, help="when it breaks: a full minute, RFC 3339"
    )
    parser.add_argument("--seed", type=int, default=7, help="which loads (7)")
    parser.add_argument("--partitions", type=positive, help="partitions (WEIR_PARTITIONS, 8)")
    parser.add_argument(
        "--facts", action="store_true", help="print the list of the facts instead, a line each"
    )


def _run(told: argparse.Namespace) -> int:
    from ingest.storm import MINUTE_MS, Storm, read_storm
    from schemas.wire import configuration_line, to_line

    if told.at % MINUTE_MS:
        message = f"--at {rfc3339(told.at)} is not a full minute"
        raise ComplaintError(message)
    storm = Storm(read_storm(_text(told.file)), told.at, told.seed)
    if told.facts:
        for fact in storm.facts():
            print(fact.model_dump_json())
        return 0
    print(configuration_line(storm.configuration))
    for partition, record in storm.records(told.partitions or Settings.read().partitions):
        print(to_line(record, partition))
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        message = f"{path} cannot be read: {error.strerror}"
        raise ComplaintError(message) from error
