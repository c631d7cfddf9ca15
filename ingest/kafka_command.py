"""The verb `kafka`: the Kafka door."""

import argparse

from ingest.command import FATAL, Verbs, positive, say, verb
from ingest.complaint import ComplaintError
from schemas.settings import Settings


def add(verbs: Verbs) -> None:
    """Add it to the verbs."""
    parser = verb(
        verbs,
        "kafka",
        "take what units write on their own Kafka topics, until SIGTERM",
        "python -m ingest access apply ...      makes enterprise.{unit}.readings and who may write\n"
        "  python -m ingest kafka --door weir-kafka-1\n"
        "  python -m ingest kafka --door weir-kafka-2 --metrics-port 0    a second one\n\n"
        "SIGTERM: what was taken is written and committed. Exit code 70: it ended itself, said why,\n"
        "and is to be started again; what it had not committed comes again and changes nothing.",
        _run,
    )
    parser.add_argument(
        "--door", default="weir-kafka-1", help="stable name, one a gateway (weir-kafka-1)"
    )
    parser.add_argument(
        "--wait-ms", type=positive, default=100, help="how long a reading waits for others (100)"
    )
    parser.add_argument(
        "--record-readings", type=positive, default=500, help="readings of a record (500)"
    )
    parser.add_argument(
        "--at-once", type=positive, default=2_000, help="messages committed together (2000)"
    )
    parser.add_argument(
        "--look-every", type=positive, default=30, help="seconds until a new topic is seen (30)"
    )
    parser.add_argument(
        "--session", type=positive, default=10, help="seconds until others take over (10)"
    )
    parser.add_argument("--partitions", type=positive, help="partitions (WEIR_PARTITIONS, 8)")
    parser.add_argument(
        "--metrics-port", type=int, default=9472, help="/metrics, /healthz, /readyz; 0: a free one"
    )
    parser.add_argument(
        "--metrics-address", default="127.0.0.1", help="on this address (127.0.0.1)"
    )


def _run(told: argparse.Namespace) -> int:
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
    partitions_in(producer, options.stops_topic)
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
    say(f"metrics on http://{told.metrics_address}:{pages.server_port}/metrics")
    try:
        gateway.run(stop)
    except KafkaError as error:
        say(f"the gateway ends itself: {error!r}; what is not committed comes again")
        return FATAL
    finally:
        producer.close(timeout=5)
    say("stopped")
    return 0
