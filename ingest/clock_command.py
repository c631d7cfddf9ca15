"""The verb `clock`: the ticks of live units."""

import argparse

from ingest.command import Verbs, positive, say, verb
from ingest.complaint import ComplaintError
from schemas.settings import Settings


def add(verbs: Verbs) -> None:
    """Add it to the verbs."""
    parser = verb(
        verbs,
        "clock",
        "write a tick into every partition each minute, until SIGTERM",
        "python -m ingest clock --metrics-port 9101",
        _run,
    )
    parser.add_argument("--interval", type=positive, default=60, help="seconds between ticks (60)")
    parser.add_argument(
        "--catch-up", type=positive, default=15, help="missed ticks written at most (15)"
    )
    parser.add_argument("--partitions", type=positive, help="partitions (WEIR_PARTITIONS, 8)")
    parser.add_argument("--metrics-port", type=positive, help="serve GET /metrics there")
    parser.add_argument(
        "--metrics-address", default="127.0.0.1", help="on this address (127.0.0.1)"
    )


def _run(told: argparse.Namespace) -> int:
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
    say(f"a tick each {told.interval} s into {clock.partitions} partitions at {settings.kafka}")
    try:
        run(clock, stop=stop, wall_ms=wall_ms)
    finally:
        producer.close(timeout=5)
    say("stopped")
    return 0
