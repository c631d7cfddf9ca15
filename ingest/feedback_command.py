"""The verb `feedback`: feedback on its way to the units."""

import argparse
import json

from ingest.command import Verbs, broker_of, say, verb
from schemas.settings import Settings


def add(verbs: Verbs) -> None:
    """Add it to the verbs."""
    parser = verb(
        verbs,
        "feedback",
        "pass what units are told of what they sent on to their MQTT topic, until SIGTERM",
        "python -m processors feedback    from the database to Kafka\n"
        "  python -m ingest feedback        from Kafka to energy/v1/{unit}/feedback\n"
        "  python -m ingest feedback --schema > feedback.schema.json",
        _run,
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


def _run(told: argparse.Namespace) -> int:
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
    host, port = broker_of(settings)
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
    say(f"metrics on http://{told.metrics_address}:{pages.server_port}/metrics")
    passer.run(stop)
    return 0
