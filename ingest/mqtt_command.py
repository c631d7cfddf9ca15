"""The verb `mqtt`: the MQTT door."""

import argparse
from typing import TYPE_CHECKING

from ingest import gateway_command
from ingest.command import Verbs, broker_of, positive, say, verb
from schemas.settings import Settings

if TYPE_CHECKING:
    from ingest.mqtt_gateway import Options as GatewayOptions


def add(verbs: Verbs) -> None:
    """Add it to the verbs."""
    parser = verb(
        verbs,
        "mqtt",
        "take what units publish by MQTT into Kafka, until SIGTERM",
        "python -m ingest mqtt --client-id weir-mqtt-1\n"
        "  python -m ingest mqtt --client-id weir-mqtt-2 --metrics-port 0    a second one\n\n"
        "SIGTERM drains: what was taken is acknowledged, the rest stays in the broker's session.\n"
        "Exit code 70: it ended itself, said why, and is to be started again. A gateway that is\n"
        "given up for good leaves its session, and its share, until --session-expiry.",
        _run,
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
        "--session-expiry", type=positive, default=604_800, help="seconds away (604800: a week)"
    )
    parser.add_argument(
        "--in-flight", type=positive, default=10_000, help="messages on the way to Kafka (10000)"
    )
    parser.add_argument("--in-flight-mib", type=positive, default=64, help="and their MiB (64)")
    gateway_command.add_words(parser, metrics_port=9464)


def _run(told: argparse.Namespace) -> int:
    from ingest.clock import stop_on_signals, wall_ms
    from ingest.metrics import GatewayMetrics
    from ingest.mqtt_gateway import Gateway, run
    from ingest.stop_at import chosen_point

    settings = gateway_command.begin()
    options = _gateway_options(told, settings)
    stop = stop_on_signals()
    written = options.topic, options.tries_topic, options.stops_topic
    producer = gateway_command.writer(
        settings.kafka, options.client_id, options.partitions, written, stop=stop
    )
    if producer is None:
        return 0
    metrics = GatewayMetrics()
    gateway = Gateway(
        options,
        producer=producer,
        metrics=metrics,
        incarnation=wall_ms(),
        at_point=chosen_point(),
    )
    gateway_command.serve(told, metrics.registry, gateway.readiness)
    empty = run(gateway, stop=stop)
    producer.close(timeout=5)
    say("stopped" if empty else "stopped with messages unacknowledged: they come back")
    return 0 if empty else 1


def _gateway_options(told: argparse.Namespace, settings: Settings) -> "GatewayOptions":
    from ingest import sparkplug
    from ingest.mqtt_gateway import COMMON_SHARE, Options
    from ingest.tls import of_settings
    from schemas import topics

    host, port = broker_of(settings)
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
        limits=gateway_command.limits_of(told),
        messages_in_flight=told.in_flight,
        octets_in_flight=told.in_flight_mib << 20,
    )
