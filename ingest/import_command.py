"""The verb `import`: a file as history."""

import argparse
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.command import (
    TICKS,
    USAGE,
    Verbs,
    instant_of,
    positive,
    say,
    sender_options,
    unit_of,
    verb,
)
from schemas.registry import LENGTH_MS
from schemas.settings import Settings

if TYPE_CHECKING:
    from ingest.import_progress import Progress
    from schemas.section import Record


IMPORT_TICKS = (*TICKS, "P1D")


def add(verbs: Verbs) -> None:
    """Add it to the verbs."""
    parser = verb(
        verbs,
        "import",
        "read a CSV, Excel or JSON lines file by a mapping, and write lines of the pipe",
        "python -m ingest import 2018.csv --mapping steel.toml --dry-run --registry registry.toml\n"
        "  python -m ingest import 2018.csv --mapping steel.toml --ticks PT15M"
        " | python -m ingest publish\n"
        "  python -m ingest import 2018.xlsx --mapping steel.toml --mqtt --progress 2018.progress\n\n"
        "the mapping (TOML):\n" + _mapping_help(),
        _run,
    )
    parser.add_argument("file", type=Path, help="the file")
    parser.add_argument("--mapping", type=Path, required=True, help="how to understand it (TOML)")
    parser.add_argument("--unit", help="18-character code, where the mapping does not say it")
    parser.add_argument("--partitions", type=positive, help="partitions (WEIR_PARTITIONS, 8)")
    parser.add_argument("--ticks", choices=IMPORT_TICKS, help="add ticks: for a unit in history")
    parser.add_argument(
        "--received-at", type=instant_of, help="when the file was received (now), RFC 3339"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="show the first readings as understood and what the file comes to; write nothing."
        " 1: something of it would not be taken",
    )
    parser.add_argument(
        "--registry",
        metavar="FILE",
        help="with --dry-run: what the engine would reject by this registry file, row by row;"
        " `database`: by the one in force (WEIR_DATABASE_URL)",
    )
    parser.add_argument(
        "--mqtt",
        action="store_true",
        help="send the readings by MQTT, as WEIR_MQTT_USER, instead of writing lines",
    )
    parser.add_argument(
        "--progress",
        type=Path,
        metavar="FILE",
        help="with --mqtt: keep there how far it is, and go on from there when started again",
    )


def _run(told: argparse.Namespace) -> int:
    from ingest.clock import wall_ms
    from ingest.importer import Imported, as_understood, import_file, load_mapping
    from ingest.judge import judging
    from schemas.wire import to_line

    mapping = load_mapping(told.mapping)
    unit = unit_of(told.unit, mapping.unit)
    done = Imported()
    received_at = told.received_at if told.received_at is not None else wall_ms()
    if told.dry_run:
        with judging(told.registry) if told.registry else nullcontext() as judge:
            for line in as_understood(
                told.file,
                mapping,
                unit=unit,
                say=say,
                done=done,
                received_at=received_at,
                fates=judge.fates if judge else None,
            ):
                print(line)
        return 1 if done.refused or done.rejected else 0
    if told.registry:
        say("--registry goes with --dry-run: nothing is asked of it else")
        return USAGE
    records = import_file(
        told.file,
        mapping,
        unit=unit,
        received_at=received_at,
        partitions=told.partitions or Settings.read().partitions,
        tick_ms=LENGTH_MS[told.ticks] if told.ticks else None,
        say=say,
        done=done,
    )
    if told.mqtt:
        _send(records, _progress(told, unit))
    else:
        for partition, record in records:
            print(to_line(record, partition))
    for line in str(done).splitlines():
        say(line)
    return 0


def _mapping_help() -> str:
    from ingest import mapping

    return (mapping.__doc__ or "").partition("\n\n")[2]


def _progress(told: argparse.Namespace, unit: str) -> "Progress | None":
    from ingest.import_progress import Progress

    if told.progress is None:
        return None
    return Progress.of(
        told.progress, file=told.file, mapping=told.mapping, unit=unit, ticks=told.ticks or ""
    )


def _send(records: Iterator[tuple[int, "Record"]], progress: "Progress | None") -> None:
    """By MQTT; returns when Kafka has them all."""
    from ingest.mqtt_publisher import Sent, send_records

    sent = Sent()
    if progress is not None and progress.complete:
        say("Kafka has all of this file already: nothing to send")
        return
    if progress is not None and progress.records:
        say(f"going on after {progress.records:,} records that Kafka has")
    send_records(
        records,
        sender_options(),
        say=say,
        sent=sent,
        after=progress.records if progress else 0,
        keep=progress.keep if progress else None,
    )
    say(f"sent {sent}; Kafka has them")
