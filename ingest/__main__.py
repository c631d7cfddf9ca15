"""The command line of the doors: `python -m ingest VERB`.

Exit codes: 0 done, 1 something outside is missing or refused, 2 the command itself is not right.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ingest.complaint import ComplaintError
from schemas.calendar import HOUR_MS, instant, rfc3339
from schemas.completion import add_completion
from schemas.registry import LENGTH_MS
from schemas.settings import Settings, SettingsError

if TYPE_CHECKING:
    from ingest.import_progress import Progress
    from ingest.mqtt_gateway import Options as GatewayOptions
    from ingest.mqtt_publisher import Options as SenderOptions
    from schemas.section import Record

USAGE = 2
FATAL = 70
TICKS = ("PT15M", "PT1H")
IMPORT_TICKS = (*TICKS, "P1D")


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
        epilog="Each verb has --help, with an example. Settings: WEIR_KAFKA, WEIR_PARTITIONS,"
        " WEIR_TOPIC_PREFIX.",
    )
    add_completion(parser, "weir-ingest")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for add in (
        _simulate_verb,
        _storm_verb,
        _schema_verb,
        _publish_verb,
        _import_verb,
        _history_ends_verb,
        _clock_verb,
        _watch_verb,
        _topics_verb,
        _access_verb,
        _mqtt_verb,
        _kafka_verb,
        _send_mqtt_verb,
        _feedback_verb,
        _verify_verb,
        _doctor_verb,
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


def _place(text: str) -> str:
    host, _, port = text.rpartition(":")
    if not (host and port.isdecimal()):
        message = f"{text!r} is not like mqtt.example.org:8883"
        raise argparse.ArgumentTypeError(message)
    return text


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


def _storm_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "storm",
        "write a storm of listed facts as lines of the pipe: hours of calm, then much at once",
        "python -m ingest storm deploy/example/storm.toml --at 2026-11-23T20:00:00+08:00"
        " | python -m ingest publish --in-time\n"
        "  python -m ingest storm deploy/example/storm.toml --at 2026-11-23T20:00:00+08:00 --facts",
        _storm,
    )
    parser.add_argument("file", type=Path, help="the facts (TOML)")
    parser.add_argument(
        "--at", type=_instant, required=True, help="when it breaks: a full minute, RFC 3339"
    )
    parser.add_argument("--seed", type=int, default=7, help="which loads (7)")
    parser.add_argument("--partitions", type=_positive, help="partitions (WEIR_PARTITIONS, 8)")
    parser.add_argument(
        "--facts", action="store_true", help="print the list of the facts instead, a line each"
    )


def _storm(told: argparse.Namespace) -> int:
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


def _schema_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "schema",
        "print the JSON Schema of what people send, with examples",
        "python -m ingest schema > reading.schema.json",
        _schema,
    )
    parser.add_argument(
        "--stop", action="store_true", help="of a declared stop or maintenance instead"
    )


def _schema(told: argparse.Namespace) -> int:
    from schemas import reading, stop

    schema = stop.json_schema() if told.stop else reading.json_schema()
    print(json.dumps(schema, indent=2, ensure_ascii=False))
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
    parser.add_argument(
        "--rate",
        type=_positive,
        help="lines a second at most",
    )
    parser.add_argument(
        "--in-time",
        action="store_true",
        help="write nothing before it was received: what lies in the future waits for its time",
    )
    parser.add_argument(
        "--most-behind",
        type=int,
        default=2_000,
        metavar="N",
        help="wait while a worker has more than N records of a partition before it, so that live units"
        " need not wait behind a long history (2000; 0: never wait)",
    )


def _publish(told: argparse.Namespace) -> int:
    from ingest import logs
    from ingest.back_pressure import BackPressure
    from ingest.publisher import create_producer, paced, publish_lines, until_its_time
    from schemas.topics import PROCESSORS

    logs.set_up()
    settings = Settings.read()
    producer = create_producer(settings.kafka, client_id="weir-publish")
    pressure = BackPressure(
        settings.kafka,
        topic=settings.readings_topic,
        group=settings.topic_prefix + PROCESSORS,
        most=told.most_behind,
        say=_say,
    )
    try:
        with _lines(told.file) as lines:
            done = publish_lines(
                paced(lines, rate=told.rate) if told.rate else lines,
                producer=producer,
                say=_say,
                prefix=settings.topic_prefix,
                generation=settings.generation,
                keep_close=pressure.wait if told.most_behind else None,
                wait_for=until_its_time if told.in_time else None,
            )
    finally:
        pressure.close()
        producer.close(timeout=10)
    _say(f"published {done} to {settings.kafka}")
    return 0


def _import_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "import",
        "read a CSV, Excel or JSON lines file by a mapping, and write lines of the pipe",
        "python -m ingest import 2018.csv --mapping steel.toml --dry-run --registry registry.toml\n"
        "  python -m ingest import 2018.csv --mapping steel.toml --ticks PT15M"
        " | python -m ingest publish\n"
        "  python -m ingest import 2018.xlsx --mapping steel.toml --mqtt --progress 2018.progress\n\n"
        "the mapping (TOML):\n" + _mapping_help(),
        _import,
    )
    parser.add_argument("file", type=Path, help="the file")
    parser.add_argument("--mapping", type=Path, required=True, help="how to understand it (TOML)")
    parser.add_argument("--unit", help="18-character code, where the mapping does not say it")
    parser.add_argument("--partitions", type=_positive, help="partitions (WEIR_PARTITIONS, 8)")
    parser.add_argument("--ticks", choices=IMPORT_TICKS, help="add ticks: for a unit in history")
    parser.add_argument(
        "--received-at", type=_instant, help="when the file was received (now), RFC 3339"
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


def _mapping_help() -> str:
    from ingest import mapping

    return (mapping.__doc__ or "").partition("\n\n")[2]


def _import(told: argparse.Namespace) -> int:
    from ingest.clock import wall_ms
    from ingest.importer import Imported, as_understood, import_file, load_mapping
    from ingest.judge import judging
    from schemas.wire import to_line

    mapping = load_mapping(told.mapping)
    unit = _unit(told.unit, mapping.unit)
    done = Imported()
    received_at = told.received_at if told.received_at is not None else wall_ms()
    if told.dry_run:
        with judging(told.registry) if told.registry else nullcontext() as judge:
            for line in as_understood(
                told.file,
                mapping,
                unit=unit,
                say=_say,
                done=done,
                received_at=received_at,
                fates=judge.fates if judge else None,
            ):
                print(line)
        return 1 if done.refused or done.rejected else 0
    if told.registry:
        message = "--registry goes with --dry-run: nothing is asked of it else"
        raise ComplaintError(message)
    records = import_file(
        told.file,
        mapping,
        unit=unit,
        received_at=received_at,
        partitions=told.partitions or Settings.read().partitions,
        tick_ms=LENGTH_MS[told.ticks] if told.ticks else None,
        say=_say,
        done=done,
    )
    if told.mqtt:
        _send(records, _progress(told, unit))
    else:
        for partition, record in records:
            print(to_line(record, partition))
    for line in str(done).splitlines():
        _say(line)
    return 0


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
        _say("Kafka has all of this file already: nothing to send")
        return
    if progress is not None and progress.records:
        _say(f"going on after {progress.records:,} records that Kafka has")
    send_records(
        records,
        _sender_options(),
        say=_say,
        sent=sent,
        after=progress.records if progress else 0,
        keep=progress.keep if progress else None,
    )
    _say(f"sent {sent}; Kafka has them")


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


def _history_ends_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "history-ends",
        "write the lines that end units' histories: from there on they go by the clock, for good",
        "python -m ingest history-ends 91510100SYN0000001 | python -m ingest publish",
        _history_ends,
    )
    parser.add_argument("units", nargs="+", metavar="UNIT", help="a unit's code")
    parser.add_argument("--partitions", type=_positive, help="partitions (WEIR_PARTITIONS, 8)")


def _history_ends(told: argparse.Namespace) -> int:
    from ingest.clock import wall_ms
    from ingest.coalesce import ends_of_history
    from schemas.registry import is_unit
    from schemas.wire import to_line

    for unit in told.units:
        if not is_unit(unit):
            message = f"{unit!r} is no unit's code: 18 digits and capital letters"
            raise ComplaintError(message)
    partitions = told.partitions or Settings.read().partitions
    for partition, record in ends_of_history(told.units, partitions, incarnation=wall_ms()):
        print(to_line(record, partition))
    return 0


def _watch_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "watch",
        "what nobody else counts: retention against backup, certificates, passwords, queues",
        "python -m ingest watch --backups /var/backups/weir --certificate /etc/weir/broker.pem",
        _watch,
    )
    parser.add_argument("--every", type=_positive, default=60, help="seconds between looks (60)")
    parser.add_argument("--backups", type=Path, metavar="FOLDER", help="where backups are")
    parser.add_argument(
        "--certificate", type=Path, action="append", default=[], metavar="FILE", help="PEM; again"
    )
    parser.add_argument("--accounts", type=Path, metavar="FOLDER", help="as of `ingest access`")
    parser.add_argument("--no-broker", action="store_true", help="do not ask the MQTT broker")
    parser.add_argument(
        "--metrics-port", type=int, default=9473, help="/metrics, /healthz, /readyz; 0: a free one"
    )
    parser.add_argument(
        "--metrics-address", default="127.0.0.1", help="on this address (127.0.0.1)"
    )


def _watch(told: argparse.Namespace) -> int:
    from ingest import logs
    from ingest.clock import stop_on_signals
    from ingest.metrics import serve_pages
    from ingest.tls import of_settings
    from ingest.watch import Places, Watch, WatchMetrics

    logs.set_up()
    settings = Settings.read()
    stop = stop_on_signals()
    host, _, port = settings.mqtt.rpartition(":")
    password = settings.mqtt_password
    places = Places(
        kafka=settings.kafka,
        topics=(settings.readings_topic, settings.indicators_topic),
        backups=told.backups,
        certificates=told.certificate,
        accounts=told.accounts,
        mqtt=None if told.no_broker else (host, int(port)),
        mqtt_login=(settings.mqtt_user, password.get_secret_value() if password else None),
        mqtt_tls=of_settings(settings),
    )
    metrics = WatchMetrics()
    failed: list[str] = []
    pages = serve_pages(
        metrics.registry,
        address=told.metrics_address,
        port=told.metrics_port,
        readiness=lambda: (not failed, {"failed": failed.copy()}),
    )
    _say(f"metrics on http://{told.metrics_address}:{pages.server_port}/metrics")
    watch = Watch(places, metrics)
    while not stop.is_set():
        failed[:] = watch.look()
        for one in failed:
            _say(one)
        stop.wait(told.every)
    pages.shutdown()
    return 0


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
    from ingest import logs
    from ingest.clock import Clock, connected, run, stop_on_signals, wall_ms
    from ingest.metrics import ClockMetrics
    from ingest.publisher import create_producer, partitions_in

    logs.set_up()
    settings = Settings.read()
    stop = stop_on_signals()
    metrics = ClockMetrics()
    if told.metrics_port:
        metrics.serve(address=told.metrics_address, port=told.metrics_port)
    producer = connected(lambda: create_producer(settings.kafka, client_id="weir-clock"), stop=stop)
    if producer is None:
        return 0
    partitions = told.partitions or settings.partitions
    topic = settings.readings_topic
    if partitions != (there := partitions_in(producer, topic)):
        producer.close()
        message = f"{topic} has {there} partitions, not {partitions}: set WEIR_PARTITIONS={there}"
        raise ComplaintError(message)
    clock = Clock(
        producer=producer,
        partitions=partitions,
        incarnation=wall_ms(),
        metrics=metrics,
        interval_ms=told.interval * 1_000,
        catch_up=told.catch_up,
        topic=topic,
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
    from ingest import logs
    from ingest.topics_admin import create_topics

    logs.set_up()
    settings = Settings.read()
    create_topics(
        settings.kafka,
        partitions=told.partitions or settings.partitions,
        replication=told.replication,
        say=_say,
        prefix=settings.topic_prefix,
        generation=settings.generation,
    )
    return 0


def _access_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "access",
        "make the brokers know who may come in and do what, from the registry",
        "python -m ingest access plan --folder access --mosquitto mosquitto\n"
        "  python -m ingest access apply --folder access --mosquitto mosquitto"
        " --reload 'systemctl reload mosquitto'\n"
        "  python -m ingest access rotate --folder access 91510100SYN0000001 --overlap-days 7\n"
        "  python -m ingest access show --folder access 91510100SYN0000001.2\n\n"
        "plan   what apply would change; changes nothing\n"
        "apply  users, passwords and rights at Kafka and Mosquitto; again changes nothing\n"
        "rotate a second user with a new password; the first holds until the overlap is over.\n"
        "       Then `apply`, once now and once after the overlap.\n"
        "show   one user's password, to hand to the enterprise\n"
        "status since when each password holds, and until when\n"
        "watch  serve when certificates and passwords expire, for Prometheus, until SIGTERM:\n"
        "       --at mqtt.example.org:8883 --at kafka.example.org:9094 --metrics-port 9473\n\n"
        "As the administrator of Kafka: WEIR_KAFKA_USER=admin, or a broker that asks nobody.",
        _access,
    )
    parser.add_argument("action", choices=["plan", "apply", "rotate", "show", "status", "watch"])
    parser.add_argument("name", nargs="?", help="whose, for rotate and show")
    parser.add_argument("--folder", type=Path, required=True, help="where passwords are kept")
    parser.add_argument("--mosquitto", type=Path, help="folder of Mosquitto's passwords and acl")
    parser.add_argument("--reload", default="", help="command that makes Mosquitto read them again")
    parser.add_argument(
        "--registry", type=Path, help="a registry file (else what was published to Kafka)"
    )
    parser.add_argument(
        "--remove", action="store_true", help="also remove units that left (else they are named)"
    )
    parser.add_argument(
        "--overlap-days", type=_positive, default=7, help="both passwords hold so long (7)"
    )
    parser.add_argument(
        "--at", type=_place, action="append", default=[], help="HOST:PORT of a listener with TLS"
    )
    parser.add_argument("--metrics-port", type=int, default=9473, help="of watch (9473)")
    parser.add_argument(
        "--metrics-address", default="127.0.0.1", help="on this address (127.0.0.1)"
    )
    parser.add_argument("--json", action="store_true", help="answer as JSON")


def _access(told: argparse.Namespace) -> int:
    from ingest import access_command

    needs = {"rotate": "name", "show": "name", "plan": "mosquitto", "apply": "mosquitto"}
    needed = needs.get(told.action)
    if needed and getattr(told, needed) is None:
        _say(f"access {told.action} needs {'a name' if needed == 'name' else '--mosquitto'}")
        return USAGE
    access_command.run(told)
    return 0


def _mqtt_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "mqtt",
        "take what units publish by MQTT into Kafka, until SIGTERM",
        "python -m ingest mqtt --client-id weir-mqtt-1\n"
        "  python -m ingest mqtt --client-id weir-mqtt-2 --metrics-port 0    a second one\n\n"
        "SIGTERM drains: what was taken is acknowledged, the rest stays in the broker's session.\n"
        "Exit code 70: it ended itself, said why, and is to be started again. A gateway that is\n"
        "given up for good leaves its session, and its share, until --session-expiry.",
        _mqtt,
    )
    parser.add_argument(
        "--client-id", default="weir-mqtt-1", help="stable name, one a gateway (weir-mqtt-1)"
    )
    parser.add_argument(
        "--share", help="gateways that share the work say the same (WEIR_MQTT_SHARE, weir)"
    )
    parser.add_argument(
        "--filter",
        help="topics to take (energy/v1/+/readings); tried is what comes beside, on .../try",
    )
    parser.add_argument(
        "--session-expiry", type=_positive, default=604_800, help="seconds away (604800: a week)"
    )
    parser.add_argument(
        "--wait-ms", type=_positive, default=100, help="how long a reading waits for others (100)"
    )
    parser.add_argument(
        "--record-readings", type=_positive, default=500, help="readings of a record (500)"
    )
    parser.add_argument(
        "--in-flight", type=_positive, default=10_000, help="messages on the way to Kafka (10000)"
    )
    parser.add_argument("--in-flight-mib", type=_positive, default=64, help="and their MiB (64)")
    parser.add_argument("--partitions", type=_positive, help="partitions (WEIR_PARTITIONS, 8)")
    parser.add_argument(
        "--metrics-port", type=int, default=9464, help="/metrics, /healthz, /readyz; 0: a free one"
    )
    parser.add_argument(
        "--metrics-address", default="127.0.0.1", help="on this address (127.0.0.1)"
    )


def _mqtt(told: argparse.Namespace) -> int:
    from prometheus_client import disable_created_metrics

    from ingest import logs
    from ingest.clock import connected, stop_on_signals, wall_ms
    from ingest.metrics import GatewayMetrics, serve_pages
    from ingest.mqtt_gateway import Gateway, run
    from ingest.publisher import create_producer, partitions_in
    from ingest.stop_at import chosen_point

    logs.set_up()
    disable_created_metrics()  # type: ignore[no-untyped-call]
    settings = Settings.read()
    options = _gateway_options(told, settings)
    stop = stop_on_signals()
    producer = connected(
        lambda: create_producer(settings.kafka, client_id=options.client_id), stop=stop
    )
    if producer is None:
        return 0
    if options.partitions != (there := partitions_in(producer, options.topic)):
        producer.close()
        message = f"{options.topic} has {there} partitions: set WEIR_PARTITIONS={there}"
        raise ComplaintError(message)
    partitions_in(producer, options.tries_topic)
    partitions_in(producer, options.stops_topic)
    metrics = GatewayMetrics()
    gateway = Gateway(
        options,
        producer=producer,
        metrics=metrics,
        incarnation=wall_ms(),
        at_point=chosen_point(),
    )
    pages = serve_pages(
        metrics.registry,
        address=told.metrics_address,
        port=told.metrics_port,
        readiness=gateway.readiness,
    )
    _say(f"metrics on http://{told.metrics_address}:{pages.server_port}/metrics")
    empty = run(gateway, stop=stop)
    producer.close(timeout=5)
    _say("stopped" if empty else "stopped with messages unacknowledged: they come back")
    return 0 if empty else 1


def _gateway_options(told: argparse.Namespace, settings: Settings) -> "GatewayOptions":
    from ingest import sparkplug
    from ingest.coalesce import Limits
    from ingest.mqtt_gateway import COMMON_SHARE, Options
    from ingest.tls import of_settings
    from schemas import topics

    host, port = _broker(settings)
    password, share = settings.mqtt_password, settings.mqtt_share
    taken = told.filter or topics.mqtt_readings("+")
    return Options(
        host=host,
        port=port,
        user=settings.mqtt_user,
        password=password.get_secret_value() if password else None,
        tls=of_settings(settings),
        client_id=told.client_id,
        share=told.share or (share.get_secret_value() if share else COMMON_SHARE),
        filter=taken,
        tries=f"{taken.removesuffix('/readings')}/try",
        sparkplug=() if told.filter else sparkplug.TOPICS,
        tries_topic=settings.topic_prefix + topics.TRIES,
        stops_topic=settings.topic_prefix + topics.STOPS,
        session_expiry_s=told.session_expiry,
        topic=settings.readings_topic,
        partitions=told.partitions or settings.partitions,
        limits=Limits(readings=told.record_readings, wait_ms=told.wait_ms),
        messages_in_flight=told.in_flight,
        octets_in_flight=told.in_flight_mib << 20,
    )


def _kafka_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "kafka",
        "take what units write on their own Kafka topics, until SIGTERM",
        "python -m ingest access apply ...      makes enterprise.{unit}.readings and who may write\n"
        "  python -m ingest kafka --door weir-kafka-1\n"
        "  python -m ingest kafka --door weir-kafka-2 --metrics-port 0    a second one\n\n"
        "SIGTERM: what was taken is written and committed. Exit code 70: it ended itself, said why,\n"
        "and is to be started again; what it had not committed comes again and changes nothing.",
        _kafka,
    )
    parser.add_argument(
        "--door", default="weir-kafka-1", help="stable name, one a gateway (weir-kafka-1)"
    )
    parser.add_argument(
        "--wait-ms", type=_positive, default=100, help="how long a reading waits for others (100)"
    )
    parser.add_argument(
        "--record-readings", type=_positive, default=500, help="readings of a record (500)"
    )
    parser.add_argument(
        "--at-once", type=_positive, default=2_000, help="messages committed together (2000)"
    )
    parser.add_argument(
        "--look-every", type=_positive, default=30, help="seconds until a new topic is seen (30)"
    )
    parser.add_argument(
        "--session", type=_positive, default=10, help="seconds until others take over (10)"
    )
    parser.add_argument("--partitions", type=_positive, help="partitions (WEIR_PARTITIONS, 8)")
    parser.add_argument(
        "--metrics-port", type=int, default=9472, help="/metrics, /healthz, /readyz; 0: a free one"
    )
    parser.add_argument(
        "--metrics-address", default="127.0.0.1", help="on this address (127.0.0.1)"
    )


def _kafka(told: argparse.Namespace) -> int:
    from kafka.errors import KafkaError
    from prometheus_client import disable_created_metrics

    from ingest import logs
    from ingest.clock import connected, stop_on_signals, wall_ms
    from ingest.coalesce import Limits
    from ingest.kafka_gateway import Gateway, Options
    from ingest.metrics import KafkaGatewayMetrics, serve_pages
    from ingest.publisher import create_producer, partitions_in
    from ingest.stop_at import chosen_point
    from schemas import topics

    logs.set_up()
    disable_created_metrics()  # type: ignore[no-untyped-call]
    settings = Settings.read()
    options = Options(
        bootstrap=settings.kafka,
        door=told.door,
        prefix=settings.topic_prefix,
        topic=settings.readings_topic,
        stops_topic=settings.topic_prefix + topics.STOPS,
        partitions=told.partitions or settings.partitions,
        limits=Limits(readings=told.record_readings, wait_ms=told.wait_ms),
        messages=told.at_once,
        look_every_s=told.look_every,
        session_s=told.session,
    )
    stop = stop_on_signals()
    producer = connected(lambda: create_producer(settings.kafka, client_id=options.door), stop=stop)
    if producer is None:
        return 0
    if options.partitions != (there := partitions_in(producer, options.topic)):
        producer.close()
        message = f"{options.topic} has {there} partitions: set WEIR_PARTITIONS={there}"
        raise ComplaintError(message)
    metrics = KafkaGatewayMetrics()
    gateway = Gateway(
        options,
        producer=producer,
        metrics=metrics,
        incarnation=wall_ms(),
        at_point=chosen_point(),
    )
    pages = serve_pages(
        metrics.registry,
        address=told.metrics_address,
        port=told.metrics_port,
        readiness=gateway.readiness,
    )
    _say(f"metrics on http://{told.metrics_address}:{pages.server_port}/metrics")
    try:
        gateway.run(stop)
    except KafkaError as error:
        _say(f"the gateway ends itself: {error!r}; what is not committed comes again")
        return FATAL
    finally:
        producer.close(timeout=5)
    _say("stopped")
    return 0


def _feedback_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "feedback",
        "pass what units are told of what they sent on to their MQTT topic, until SIGTERM",
        "python -m processors feedback    from the database to Kafka\n"
        "  python -m ingest feedback        from Kafka to energy/v1/{unit}/feedback\n"
        "  python -m ingest feedback --schema > feedback.schema.json",
        _feedback,
    )
    parser.add_argument(
        "--client-id", default="weir-feedback-1", help="one a process (weir-feedback-1)"
    )
    parser.add_argument(
        "--metrics-port", type=int, default=9471, help="/metrics, /healthz, /readyz; 0: a free one"
    )
    parser.add_argument(
        "--metrics-address", default="127.0.0.1", help="on this address (127.0.0.1)"
    )
    parser.add_argument("--schema", action="store_true", help="print the JSON Schema of feedback")


def _feedback(told: argparse.Namespace) -> int:
    from schemas.feedback import json_schema

    if told.schema:
        print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
        return 0
    from prometheus_client import disable_created_metrics

    from ingest import logs
    from ingest.clock import stop_on_signals
    from ingest.feedback import Options, Passer
    from ingest.metrics import FeedbackMetrics, serve_pages
    from ingest.tls import of_settings
    from schemas import topics

    logs.set_up()
    disable_created_metrics()  # type: ignore[no-untyped-call]
    settings = Settings.read()
    host, port = _broker(settings)
    password = settings.mqtt_password
    options = Options(
        bootstrap=settings.kafka,
        topic=settings.topic_prefix + topics.FEEDBACK,
        group=settings.topic_prefix + topics.FEEDBACK_GROUP,
        host=host,
        port=port,
        user=settings.mqtt_user,
        password=password.get_secret_value() if password else None,
        tls=of_settings(settings),
        client_id=told.client_id,
    )
    stop = stop_on_signals()
    metrics = FeedbackMetrics()
    passer = Passer(options, metrics)
    pages = serve_pages(
        metrics.registry,
        address=told.metrics_address,
        port=told.metrics_port,
        readiness=passer.readiness,
    )
    _say(f"metrics on http://{told.metrics_address}:{pages.server_port}/metrics")
    passer.run(stop)
    return 0


def _doctor_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "doctor",
        "look at a unit's way in as the unit sees it: broker, rights, clock, registry, points, refusals",
        "WEIR_MQTT=broker:8883 WEIR_MQTT_USER=91510100SYN0000001 WEIR_MQTT_PASSWORD_FILE=password \\\n"
        "    python -m ingest doctor --unit 91510100SYN0000001\n\n"
        "Nothing is stored: what it sends is only tried. Each line is ok, or not ok with what to do.\n"
        "Exit code 0: all is ok; 1: something is not.",
        _doctor,
    )
    parser.add_argument("--unit", type=_unit_code, required=True, help="whose way in")
    parser.add_argument("--json", action="store_true", help="a line of JSON each")


def _doctor(told: argparse.Namespace) -> int:
    from ingest.doctor import examine

    ok = True
    for finding in examine(_sender_options(), told.unit):
        ok = ok and finding.ok
        print(json.dumps(finding.told()) if told.json else finding, flush=True)
    return 0 if ok else 1


def _verify_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "verify",
        "say of each account whether it is as it was signed",
        "mosquitto_sub -t energy/v1/91510100SYN0000001/feedback ... > feedback.jsonl\n"
        "  python -m ingest verify feedback.jsonl --key feedback-public.pem\n\n"
        "The public key is published by whoever runs Weir (python -m processors feedback --public-key).\n"
        "Exit code 1 where one is not, or where there is none.",
        _verify,
    )
    parser.add_argument(
        "file", nargs="?", default="-", help="feedback, one a line (- or nothing: stdin)"
    )
    parser.add_argument("--key", type=Path, required=True, help="the public key (PEM)")
    parser.add_argument("--json", action="store_true", help="a line of JSON each")


def _verify(told: argparse.Namespace) -> int:
    from ingest.verify import public_key, verdicts

    try:
        key = public_key(told.key.read_bytes())
    except OSError as error:
        message = f"{told.key} cannot be read: {error}"
        raise ComplaintError(message) from error
    with _lines(told.file) as lines:
        found = list(verdicts(lines, key))
    for one in found:
        if told.json:
            print(json.dumps({"account": one.account, "ok": not one.why, "why": one.why}))
        else:
            print(
                f"{'not ok' if one.why else 'ok'}  {one.account}{f': {one.why}' if one.why else ''}"
            )
    if not found:
        _say("there is no account among these lines")
    return 0 if found and not any(one.why for one in found) else 1


def _send_mqtt_verb(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = _verb(
        verbs,
        "send-mqtt",
        "send messages by MQTT as a unit does, and wait until Kafka has them",
        "python -m ingest schema    what a message looks like; one a line\n"
        "  python -m ingest send-mqtt readings.jsonl --unit 91510100SYN0000001\n"
        "  python -m ingest import 2018.csv --mapping steel.toml | python -m ingest send-mqtt\n\n"
        "As WEIR_MQTT_USER (the unit's code) with WEIR_MQTT_PASSWORD. A message without a receipt\n"
        "is sent again; that changes nothing.",
        _send_mqtt,
    )
    parser.add_argument("file", nargs="?", default="-", help="the lines (- or nothing: stdin)")
    parser.add_argument("--unit", type=_unit_code, help="whose the messages are")
    parser.add_argument(
        "--in-flight", type=_positive, default=1_000, help="messages without a receipt (1000)"
    )
    parser.add_argument(
        "--patience", type=_positive, default=120, help="seconds without any receipt (120)"
    )


def _send_mqtt(told: argparse.Namespace) -> int:
    from ingest.mqtt_publisher import Sent, messages_of_lines, send_all

    sent = Sent()
    options = replace(_sender_options(), in_flight=told.in_flight, patience_s=float(told.patience))
    with _lines(told.file) as lines:
        messages = messages_of_lines(lines, unit=told.unit, sent=sent)
        send_all(messages, options, say=_say, sent=sent)
    _say(f"sent {sent}; Kafka has them")
    return 0


@contextmanager
def _lines(name: str) -> Iterator[Iterable[str]]:
    """The lines of a file, or of standard input."""
    if name == "-":
        yield sys.stdin
        return
    try:
        file = Path(name).open(encoding="utf-8")  # noqa: SIM115 - closed below
    except OSError as error:
        message = f"{name} cannot be read: {error}"
        raise ComplaintError(message) from error
    with file:
        yield file


def _sender_options() -> "SenderOptions":
    from ingest.mqtt_publisher import Options
    from ingest.tls import of_settings

    settings = Settings.read()
    host, port = _broker(settings)
    password = settings.mqtt_password
    return Options(
        host=host,
        port=port,
        user=settings.mqtt_user,
        password=password.get_secret_value() if password else None,
        tls=of_settings(settings),
    )


def _broker(settings: Settings) -> tuple[str, int]:
    host, _, port = settings.mqtt.rpartition(":")
    if not 0 < int(port) < 1 << 16:
        message = f"WEIR_MQTT={settings.mqtt!r}: {port} is no port"
        raise ComplaintError(message)
    return host, int(port)


def _unit_code(text: str) -> str:
    try:
        return _unit(text, None)
    except ComplaintError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
