"""The command line of the doors: `python -m ingest VERB`.

Exit codes: 0 done, 1 something outside is missing or refused, 2 the command itself is not right.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from ingest.complaint import ComplaintError
from schemas.calendar import HOUR_MS, instant
from schemas.registry import LENGTH_MS
from schemas.settings import Settings, SettingsError

USAGE = 2
TICKS = ("PT15M", "PT1H")


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; its exit code."""
    parser = _parser()
    told = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = told.run
    try:
        code = run(told)
        sys.stdout.flush()
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        _say("stopped")
        return 1
    except (ComplaintError, SettingsError) as error:
        _say(str(error))
        return 1
    return code


def _say(text: str) -> None:
    print(f"weir: {text}", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ingest",
        description="The doors of Weir: what people send becomes records of the log.",
        epilog="Each verb has --help, with an example. Settings: WEIR_KAFKA, WEIR_PARTITIONS.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for add in (
        _simulate_verb,
        _schema_verb,
        _publish_verb,
        _import_verb,
        _clock_verb,
        _topics_verb,
    ):
        add(verbs)
    return parser


def _verb(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    example: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        message = f"{text} is less than 1"
        raise argparse.ArgumentTypeError(message)
    return number


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 <= rate <= 0.05:  # noqa: PLR2004 - twelve kinds of fault share one draw
        message = f"{text} is not between 0 and 0.05 (a rate for each kind of misbehaviour)"
        raise argparse.ArgumentTypeError(message)
    return rate


def _instant(text: str) -> int:
    try:
        return instant(datetime.fromisoformat(text))
    except ValueError as error:
        message = f"{text!r}: write it as 2026-01-01T00:00:00+08:00 ({error})"
        raise argparse.ArgumentTypeError(message) from error


def _start(text: str) -> int:
    at = _instant(text)
    if at % HOUR_MS:
        message = f"{text!r} is not a full hour"
        raise argparse.ArgumentTypeError(message)
    return at


def _simulate_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "simulate",
        "write a simulated world as lines of the pipe (one seed is one stream, to the last byte)",
        "python -m ingest simulate --hours 48 --seed 7"
        " | python -m processors replay | python -m alerts replay",
        _simulate,
    )
    parser.add_argument("--hours", type=_positive, default=48, help="how long (48)")
    parser.add_argument("--seed", type=int, default=7, help="which world (7)")
    parser.add_argument(
        "--start", type=_start, default="2026-01-01T00:00:00+08:00", help="its first hour, RFC 3339"
    )
    parser.add_argument("--units", type=_positive, default=4, help="how many units (4)")
    parser.add_argument(
        "--misbehave", type=_rate, default="0.01", help="rate of each misbehaviour (0.01)"
    )
    parser.add_argument("--partitions", type=_positive, help="partitions (WEIR_PARTITIONS, 8)")
    parser.add_argument(
        "--ticks", choices=TICKS, help="how often a unit in history is judged (PT15M)"
    )
    parser.add_argument(
        "--live", action="store_true", help="live units: sections and ticks come each minute"
    )


def _simulate(told: argparse.Namespace) -> int:
    from ingest.simulator import Faults, scenario
    from schemas.registry import Configuration
    from schemas.wire import configuration_line, to_line

    items = scenario(
        told.seed,
        told.start,
        told.hours,
        units=told.units,
        faults=Faults.every(told.misbehave),
        partitions=told.partitions or Settings.read().partitions,
        live=told.live,
        tick_ms=LENGTH_MS[told.ticks] if told.ticks else None,
    )
    for item in items:
        if isinstance(item, Configuration):
            print(configuration_line(item))
        else:
            partition, record = item
            print(to_line(record, partition))
    return 0


def _schema_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    _verb(
        verbs,
        "schema",
        "print the JSON Schema of what people send, with examples",
        "python -m ingest schema > reading.schema.json",
        _schema,
    )


def _schema(_told: argparse.Namespace) -> int:
    from schemas.reading import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return 0


def _publish_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "publish",
        "write the pipe's lines into Kafka, and wait until it has them",
        "python -m ingest simulate --hours 48 --seed 7 | python -m ingest publish",
        _publish,
    )
    parser.add_argument("file", nargs="?", default="-", help="the lines (- or nothing: stdin)")


def _publish(told: argparse.Namespace) -> int:
    from ingest.publisher import create_producer, publish_lines

    settings = Settings.read()
    producer = create_producer(settings.kafka, client_id="weir-publish")
    try:
        if told.file == "-":
            done = publish_lines(sys.stdin, producer=producer, say=_say)
        else:
            try:
                with Path(told.file).open(encoding="utf-8") as lines:
                    done = publish_lines(lines, producer=producer, say=_say)
            except OSError as error:
                message = f"{told.file} cannot be read: {error}"
                raise ComplaintError(message) from error
    finally:
        producer.close(timeout=10)
    _say(f"published {done} to {settings.kafka}")
    return 0


def _import_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "import",
        "read a CSV or JSON lines file by a mapping, and write lines of the pipe",
        "python -m ingest import 2018.csv --mapping steel.toml --ticks PT15M --dry-run\n"
        "  python -m ingest import 2018.csv --mapping steel.toml --ticks PT15M"
        " | python -m ingest publish\n\nthe mapping (TOML):\n" + _mapping_help(),
        _import,
    )
    parser.add_argument("file", type=Path, help="the file")
    parser.add_argument("--mapping", type=Path, required=True, help="how to understand it (TOML)")
    parser.add_argument("--unit", help="18-character code, where the mapping does not say it")
    parser.add_argument("--partitions", type=_positive, help="partitions (WEIR_PARTITIONS, 8)")
    parser.add_argument("--ticks", choices=TICKS, help="add ticks: for a unit in history")
    parser.add_argument(
        "--received-at", type=_instant, help="when the file was received (now), RFC 3339"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="show the first readings as understood and what the file comes to; write nothing",
    )


def _mapping_help() -> str:
    from ingest import mapping

    return (mapping.__doc__ or "").partition("\n\n")[2]


def _import(told: argparse.Namespace) -> int:
    from ingest.clock import wall_ms
    from ingest.importer import Imported, as_understood, import_file, load_mapping
    from schemas.wire import to_line

    mapping = load_mapping(told.mapping)
    unit = _unit(told.unit, mapping.unit)
    if told.dry_run:
        for line in as_understood(told.file, mapping, unit=unit, say=_say):
            print(line)
        return 0
    done = Imported()
    records = import_file(
        told.file,
        mapping,
        unit=unit,
        received_at=told.received_at if told.received_at is not None else wall_ms(),
        partitions=told.partitions or Settings.read().partitions,
        tick_ms=LENGTH_MS[told.ticks] if told.ticks else None,
        say=_say,
        done=done,
    )
    for partition, record in records:
        print(to_line(record, partition))
    for line in str(done).splitlines():
        _say(line)
    return 0


def _unit(option: str | None, mapped: str | None) -> str:
    from pydantic import TypeAdapter, ValidationError

    from schemas.registry import UnitCode

    unit = option or mapped
    if unit is None:
        message = "whose file is this? Give --unit, or `unit` in the mapping"
        raise ComplaintError(message)
    try:
        TypeAdapter(UnitCode).validate_python(unit)
    except ValidationError as error:
        message = f"unit {unit!r} is not an 18-character social credit code"
        raise ComplaintError(message) from error
    return unit


def _clock_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "clock",
        "write a tick into every partition each minute, until SIGTERM",
        "python -m ingest clock --metrics-port 9101",
        _clock,
    )
    parser.add_argument("--interval", type=_positive, default=60, help="seconds between ticks (60)")
    parser.add_argument(
        "--catch-up", type=_positive, default=15, help="missed ticks written at most (15)"
    )
    parser.add_argument("--partitions", type=_positive, help="partitions (WEIR_PARTITIONS, 8)")
    parser.add_argument("--metrics-port", type=_positive, help="serve GET /metrics there")
    parser.add_argument(
        "--metrics-address", default="127.0.0.1", help="on this address (127.0.0.1)"
    )


def _clock(told: argparse.Namespace) -> int:
    import logging

    from ingest.clock import Clock, connected, run, stop_on_signals, wall_ms
    from ingest.metrics import ClockMetrics
    from ingest.publisher import create_producer

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = Settings.read()
    stop = stop_on_signals()
    metrics = ClockMetrics()
    if told.metrics_port:
        metrics.serve(address=told.metrics_address, port=told.metrics_port)
    producer = connected(lambda: create_producer(settings.kafka, client_id="weir-clock"), stop=stop)
    if producer is None:
        return 0
    clock = Clock(
        producer=producer,
        partitions=told.partitions or settings.partitions,
        incarnation=wall_ms(),
        metrics=metrics,
        interval_ms=told.interval * 1_000,
        catch_up=told.catch_up,
    )
    _say(f"a tick each {told.interval} s into {clock.partitions} partitions at {settings.kafka}")
    try:
        run(clock, stop=stop, wall_ms=wall_ms)
    finally:
        producer.close(timeout=5)
    _say("stopped")
    return 0


def _topics_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "topics",
        "make Weir's topics, with the right settings; again changes nothing",
        "python -m ingest topics create --partitions 8",
        _topics,
    )
    parser.add_argument("action", choices=["create"])
    parser.add_argument("--partitions", type=_positive, help="of the readings (WEIR_PARTITIONS, 8)")
    parser.add_argument("--replication", type=_positive, default=-1, help="copies (the broker's)")


def _topics(told: argparse.Namespace) -> int:
    from ingest.topics_admin import create_topics

    settings = Settings.read()
    create_topics(
        settings.kafka,
        partitions=told.partitions or settings.partitions,
        replication=told.replication,
        say=_say,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
