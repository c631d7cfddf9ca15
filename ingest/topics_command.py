"""The verb `topics`: the topics, made and compared."""

import argparse

from ingest.command import Verbs, positive, say, verb
from schemas.settings import Settings


def add(verbs: Verbs) -> None:
    """Add it to the verbs."""
    parser = verb(
        verbs,
        "topics",
        "make Weir's topics, with the right settings; again changes nothing",
        "python -m ingest topics create --partitions 8",
        _run,
    )
    parser.add_argument("action", choices=["create"])
    parser.add_argument("--partitions", type=positive, help="of the readings (WEIR_PARTITIONS, 8)")
    parser.add_argument("--replication", type=positive, default=-1, help="copies (the broker's)")


def _run(told: argparse.Namespace) -> int:
    from ingest import logs
    from ingest.topics_admin import create_topics

    logs.set_up()
    settings = Settings.read()
    create_topics(
        settings.kafka,
        partitions=told.partitions or settings.partitions,
        replication=told.replication,
        say=say,
        prefix=settings.topic_prefix,
        generation=settings.generation,
    )
    return 0
