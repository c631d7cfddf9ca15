"""The verb `mqtt`: the MQTT door."""

import argparse
from typing import TYPE_CHECKING

from ingest.command import Verbs, broker_of, positive, say, verb
from ingest.complaint import ComplaintError
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
        "--wait-ms", type=positive, default=100, help="how long a reading waits for others (100)"
    )
    parser.add_argument(
        "--record-readings", type=positive, default=500, help="readings of a record (500)"
    )
    parser.add_argument(
        "--in-flight", type=positive, default=10_000, help="messages on the way to Kafka (10000)"
    )
    parser.add_argument("--in-flight-mib", type=positive, default=64, help="and their MiB (64)")
    parser.add_argument("--partitions", type=positive, help="partitions (WEIR_PARTITIONS, 8)")
    parser.add_argument(
        "--metrics-port", type=int, default=9464, help="/metrics, /healthz, /readyz; 0: a free one"
    )
    parser.add_argument(
        "--metrics-address", default="127.0.0.1", help="on this address (127.0.0.1)"
    )


def _run(told: argparse.Namespace) -> int:
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
    say(f"metrics on http://{told.metrics_address}:{pages.server_port}/metrics")
    empty = run(gateway, stop=stop)
    producer.close(timeout=5)
    say("stopped" if empty else "stopped with messages unacknowledged: they come back")
    return 0 if empty else 1


def _gateway_options(told: argparse.Namespace, settings: Settings) -> "GatewayOptions":
    from ingest import sparkplug
    from ingest.coalesce import Limits
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
        limits=Limits(readings=told.record_readings, wait_ms=told.wait_ms),
        messages_in_flight=told.in_flight,
        octets_in_flight=told.in_flight_mib << 20,
    )
