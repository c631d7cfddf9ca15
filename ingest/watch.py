"""What no service of the pipeline counts and everybody hangs on: retention against backup, certificates, passwords, the broker's queues.

`python -m ingest watch` looks each minute and serves it to Prometheus. What could not be seen is counted, and its figure goes (NaN): an
old one would read as if all were well.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from prometheus_client import CollectorRegistry, Counter, Gauge

from ingest.access_folder import Folder
from ingest.tls import Tls
from schemas.settings import kafka_client

_QUEUE = "$SYS/broker/store/messages/bytes"
_PATIENCE_S = 15.0
"""Mosquitto tells of itself each ten seconds, and what it said last to whoever comes."""

LOOKS = ("kafka", "backup", "certificates", "accounts", "broker")


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look; what is None is not looked at."""

    kafka: str
    topics: Sequence[str] = ()
    """Logs that a restored backup catches up from."""
    backups: Path | None = None
    certificates: Sequence[Path] = ()
    accounts: Path | None = None
    mqtt: tuple[str, int] | None = None
    mqtt_login: tuple[str | None, str | None] = (None, None)
    mqtt_tls: Tls | None = None


class WatchMetrics:
    """Of `python -m ingest watch`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.retention = self._gauge(
            "weir_kafka_retention_seconds",
            "The shortest that Kafka keeps readings and indicators; infinite where it is for ever.",
        )
        self.backup = self._gauge(
            "weir_backup_timestamp_seconds",
            "When the newest backup was finished. Older than Kafka's retention: a loss cannot be made good.",
        )
        self.certificate = Gauge(
            "weir_certificate_expiry_timestamp_seconds",
            "When a certificate ends, by its file.",
            ["file"],
            registry=self.registry,
        )
        self.credential = self._gauge(
            "weir_credential_expiry_timestamp_seconds",
            "When the next password that is still in use ends (`ingest access rotate`); infinite where none does.",
        )
        self.credential.set(math.inf)  # who is given no accounts knows of no end
        self.queue = self._gauge(
            "weir_broker_queue_bytes",
            "Bytes of messages that the MQTT broker holds for gateways. Rising: none takes them.",
        )
        self.failures = Counter(
            "weir_watch_failures",
            "Looks that failed, by what was looked at.",
            ["what"],
            registry=self.registry,
        )
        self.looked = self._gauge(
            "weir_watch_last_look_timestamp_seconds", "When it last looked at everything."
        )
        for what in LOOKS:
            self.failures.labels(what)

    def _gauge(self, name: str, help_text: str) -> Gauge:
        return Gauge(name, help_text, registry=self.registry)


class Watch:
    """One look after the other."""

    def __init__(self, places: Places, metrics: WatchMetrics) -> None:
        self._places = places
        self._metrics = metrics

    def look(self) -> list[str]:
        """Look at everything; what failed, and why."""
        looks: dict[str, Callable[[], None]] = {
            "kafka": self._kafka,
            "backup": self._backup,
            "certificates": self._certificates,
            "accounts": self._accounts,
            "broker": self._broker,
        }
        failed = []
        for what, look in looks.items():
            try:
                look()
            except Exception as error:  # noqa: BLE001 - the others are looked at all the same
                self._metrics.failures.labels(what).inc()
                failed.append(f"{what}: {error}")
        self._metrics.looked.set(time.time())
        return failed

    def _kafka(self) -> None:
        self._metrics.retention.set(math.nan)
        self._metrics.retention.set(least_retention_s(self._places.kafka, self._places.topics))

    def _backup(self) -> None:
        if self._places.backups is None:
            return
        self._metrics.backup.set(0.0)  # none: as old as can be
        done = [
            path.stat().st_mtime
            for path in self._places.backups.iterdir()
            if path.suffix != ".half"
        ]
        self._metrics.backup.set(max(done, default=0.0))

    def _certificates(self) -> None:
        for path in self._places.certificates:
            gauge = self._metrics.certificate.labels(path.name)
            gauge.set(math.nan)
            ends = x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
            gauge.set(ends.timestamp())

    def _accounts(self) -> None:
        if self._places.accounts is None:
            return
        self._metrics.credential.set(math.nan)
        accounts = Folder(self._places.accounts).read().accounts
        now = time.time()
        ends = [one.until / 1_000 for one in accounts if one.until and one.until > now * 1_000]
        self._metrics.credential.set(min(ends, default=math.inf))

    def _broker(self) -> None:
        if self._places.mqtt is None:
            return
        self._metrics.queue.set(math.nan)
        self._metrics.queue.set(
            queued_bytes(self._places.mqtt, self._places.mqtt_login, self._places.mqtt_tls)
        )


def least_retention_s(bootstrap: str, topics: Sequence[str]) -> float:
    """The shortest time that Kafka keeps records of these topics, in seconds. Raises KafkaError or KeyError."""
    admin = KafkaAdminClient(
        bootstrap_servers=bootstrap.split(","), **kafka_client(), client_id="weir-watch"
    )
    try:
        found = admin.describe_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, ["retention.ms"]) for name in topics],
            config_filter="all",
        )
    finally:
        admin.close()
    told = [found["topic"][name]["retention.ms"]["value"] for name in topics]
    return min((int(one) / 1_000 for one in told if int(one) >= 0), default=math.inf)


def queued_bytes(
    broker: tuple[str, int], login: tuple[str | None, str | None], tls: Tls | None
) -> float:
    """Bytes of messages that Mosquitto holds. Raises OSError where it does not say."""
    heard = threading.Event()
    told: list[float] = []

    def on_connect(client: mqtt.Client, *_: object) -> None:
        client.subscribe(_QUEUE)

    def on_message(_client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        told.append(float(message.payload))
        heard.set()

    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.username_pw_set(*login)
    if tls:
        client.tls_set_context(tls.context())
    client.on_connect = on_connect
    client.on_message = on_message
    client.connect(*broker)
    client.loop_start()
    try:
        if not heard.wait(_PATIENCE_S):
            message = f"the broker says nothing on {_QUEUE}: may {login[0]} read it?"
            raise OSError(message)
    finally:
        client.disconnect()
        client.loop_stop()
    return told[0]
