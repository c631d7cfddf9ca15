"""The verb `publish`: lines of the pipe into Kafka."""

import argparse

from ingest.command import Verbs, lines_of, positive, say, verb
from schemas.settings import Settings


def add(verbs: Verbs) -> None:
    """Add it to the verbs."""
    parser = verb(
        verbs,
        "publish",
        "write the pipe's lines into Kafka, and wait until it has them",
        "python -m ingest simulate --hours 48 --seed 7 | python -m ingest publish",
        _run,
    )
    parser.add_argument("file", nargs="?", default="-", help="the lines (- or nothing: stdin)")
    parser.add_argument(
        "--rate",
        type=positive,
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


def _run(told: argparse.Namespace) -> int:
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
        say=say,
    )
    try:
        with lines_of(told.file) as lines:
            done = publish_lines(
                paced(lines, rate=told.rate) if told.rate else lines,
                producer=producer,
                say=say,
                prefix=settings.topic_prefix,
                generation=settings.generation,
                keep_close=pressure.wait if told.most_behind else None,
                wait_for=until_its_time if told.in_time else None,
            )
    finally:
        pressure.close()
        producer.close(timeout=10)
    say(f"published {done} to {settings.kafka}")
    return 0
