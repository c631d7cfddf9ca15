"""What the verbs of the gateways have in common: their words, the way into Kafka, and the pages that tell of them."""

import argparse
from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING

from ingest.command import positive, say
from ingest.complaint import ComplaintError
from schemas.settings import Settings

if TYPE_CHECKING:
    from kafka import KafkaProducer
    from prometheus_client import CollectorRegistry

    from ingest.coalesce import Limits


def add_words(parser: argparse.ArgumentParser, *, metrics_port: int) -> None:
    """How readings are gathered, and where the gateway can be looked at."""
    parser.add_argument(
        "--wait-ms", type=positive, default=100, help="how long a reading waits for others (100)"
    )
    parser.add_argument(
        "--record-readings", type=positive, default=500, help="readings of a record (500)"
    )
    parser.add_argument("--partitions", type=positive, help="partitions (WEIR_PARTITIONS, 8)")
    parser.add_argument(
        "--metrics-port",
        type=int,
        default=metrics_port,
        help="/metrics, /healthz, /readyz; 0: a free one",
    )
    parser.add_argument(
        "--metrics-address", default="127.0.0.1", help="on this address (127.0.0.1)"
    )


def limits_of(told: argparse.Namespace) -> "Limits":
    """How readings are gathered, as told."""
    from ingest.coalesce import Limits

    return Limits(readings=told.record_readings, wait_ms=told.wait_ms)


def begin() -> Settings:
    """Logs and metrics as a gateway has them; the settings."""
    from prometheus_client import disable_created_metrics

    from ingest import logs

    logs.set_up()
    disable_created_metrics()  # type: ignore[no-untyped-call]
    return Settings.read()


def writer(
    kafka: str, client_id: str, partitions: int, topics: tuple[str, ...], *, stop: Event
) -> "KafkaProducer | None":
    """A producer, once Kafka is there; None where `stop` came first.

    Raises ComplaintError where a topic is missing, or the first, of readings, has another number of partitions.
    """
    from ingest.clock import connected
    from ingest.publisher import create_producer, partitions_in

    producer = connected(lambda: create_producer(kafka, client_id=client_id), stop=stop)
    if producer is None:
        return None
    there, *_ = [partitions_in(producer, topic) for topic in topics]
    if partitions != there:
        producer.close()
        message = f"{topics[0]} has {there} partitions: set WEIR_PARTITIONS={there}"
        raise ComplaintError(message)
    return producer


def serve(
    told: argparse.Namespace,
    registry: "CollectorRegistry",
    readiness: Callable[[], tuple[bool, dict[str, object]]],
) -> None:
    """The gateway's pages, and where they are."""
    from ingest.metrics import serve_pages

    pages = serve_pages(
        registry, address=told.metrics_address, port=told.metrics_port, readiness=readiness
    )
    say(f"metrics on http://{told.metrics_address}:{pages.server_port}/metrics")
