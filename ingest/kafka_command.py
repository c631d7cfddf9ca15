"""The verb `kafka`: the Kafka door."""

import argparse

from ingest import gateway_command
from ingest.command import FATAL, Verbs, positive, say, verb


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
        "--at-once", type=positive, default=2_000, help="messages committed together (2000)"
    )
    parser.add_argument(
        "--look-every", type=positive, default=30, help="seconds until a new topic is seen (30)"
    )
    parser.add_argument(
        "--session", type=positive, default=10, help="seconds until others take over (10)"
    )
    gateway_command.add_words(parser, metrics_port=9472)


def _run(told: argparse.Namespace) -> int:
    from kafka.errors import KafkaError

    from ingest.clock import stop_on_signals, wall_ms
    from ingest.kafka_gateway import Gateway, Options
    from ingest.metrics import KafkaGatewayMetrics
    from ingest.stop_at import chosen_point
    from schemas import topics

    settings = gateway_command.begin()
    options = Options(
        bootstrap=settings.kafka,
        door=told.door,
        prefix=settings.topic_prefix,
        topic=settings.readings_topic,
        stops_topic=settings.topic_prefix + topics.STOPS,
        partitions=told.partitions or settings.partitions,
        limits=gateway_command.limits_of(told),
        messages=told.at_once,
        look_every_s=told.look_every,
        session_s=told.session,
    )
    stop = stop_on_signals()
    written = options.topic, options.stops_topic
    producer = gateway_command.writer(
        settings.kafka, options.door, options.partitions, written, stop=stop
    )
    if producer is None:
        return 0
    metrics = KafkaGatewayMetrics()
    gateway = Gateway(
        options,
        producer=producer,
        metrics=metrics,
        incarnation=wall_ms(),
        at_point=chosen_point(),
    )
    gateway_command.serve(told, metrics.registry, gateway.readiness)
    try:
        gateway.run(stop)
    except KafkaError as error:
        say(f"the gateway ends itself: {error!r}; what is not committed comes again")
        return FATAL
    finally:
        producer.close(timeout=5)
    say("stopped")
    return 0
