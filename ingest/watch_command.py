"""The verb `watch`: what nobody else counts."""

import argparse
from pathlib import Path

from ingest.command import Verbs, positive, say, verb
from schemas.settings import Settings


def add(verbs: Verbs) -> None:
    """Add it to the verbs."""
    parser = verb(
        verbs,
        "watch",
        "what nobody else counts: retention against backup, certificates, passwords, queues",
        "python -m ingest watch --backups /var/backups/weir --certificate /etc/weir/broker.pem",
        _run,
    )
    parser.add_argument("--every", type=positive, default=60, help="seconds between looks (60)")
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


def _run(told: argparse.Namespace) -> int:
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
    say(f"metrics on http://{told.metrics_address}:{pages.server_port}/metrics")
    watch = Watch(places, metrics)
    while not stop.is_set():
        failed[:] = watch.look()
        for one in failed:
            say(one)
        stop.wait(told.every)
    pages.shutdown()
    return 0
