"""Until when certificates hold and since when passwords do, for Prometheus: `python -m ingest access watch`."""

import logging
import socket
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge

from ingest.access_folder import Folder
from ingest.complaint import ComplaintError

logger = logging.getLogger(__name__)

_TIMEOUT_S = 5.0
AUTHORITY = "authority"


@dataclass(frozen=True, slots=True)
class Watched:
    """What is looked at."""

    servers: Sequence[str]
    """`HOST:PORT` of listeners with TLS: the certificate that who comes now is shown."""
    authority: Path
    """Who signed them."""
    folder: Folder


class ExpiryMetrics:
    """Of `access watch`."""

    def __init__(self, servers: Sequence[str]) -> None:
        """`servers`: the label's values, beside the authority."""
        self.registry = CollectorRegistry()
        self.expiry = Gauge(
            "weir_certificate_expiry_timestamp_seconds",
            "Until when a certificate holds. In two weeks: make another (RUNBOOK.md).",
            ["certificate"],
            registry=self.registry,
        )
        self.valid = Gauge(
            "weir_certificate_valid",
            "1 where it was shown and is signed by the authority, when last looked at.",
            ["certificate"],
            registry=self.registry,
        )
        for name in (AUTHORITY, *servers):
            self.valid.labels(name)
        self.oldest = Gauge(
            "weir_password_oldest_timestamp_seconds",
            "Since when the oldest password holds that is to stay. A year: rotate.",
            registry=self.registry,
        )
        self.overlap_ends = Gauge(
            "weir_password_overlap_end_timestamp_seconds",
            "When the next old password is to go; 0: none. Past: run `access apply`.",
            registry=self.registry,
        )

    def look(self, watched: Watched) -> None:
        """Take all of it in; a server that is away or shows another certificate is not valid."""
        self._set(AUTHORITY, authority_until(watched.authority))
        for server in watched.servers:
            self._set(server, shown_until(server, watched.authority))
        accounts = watched.folder.read().accounts
        stay = [one.since for one in accounts if one.until is None]
        ends = [one.until for one in accounts if one.until is not None]
        self.oldest.set(min(stay, default=0) / 1_000)
        self.overlap_ends.set(min(ends, default=0) / 1_000)

    def _set(self, name: str, until: float | None) -> None:
        self.valid.labels(name).set(until is not None)
        if until is not None:
            self.expiry.labels(name).set(until)


def shown_until(server: str, authority: Path) -> float | None:
    """When the certificate expires that a server shows (seconds since 1970); None where it shows none that is right."""
    host, _, port = server.rpartition(":")
    context = ssl.create_default_context(cafile=authority)
    try:
        with (
            socket.create_connection((host, int(port)), _TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as link,
        ):
            return _until(link.getpeercert())
    except OSError as error:  # of ssl, too
        logger.warning("no right certificate", extra={"server": server, "error": str(error)})
        return None


def authority_until(path: Path) -> float | None:
    """When the first of the authority's certificates expires. ComplaintError where there is none."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(path)
    except OSError as error:
        message = f"{path} holds no certificate: {error}"
        raise ComplaintError(message) from error
    found = [until for one in context.get_ca_certs() if (until := _until(one)) is not None]
    return min(found, default=None)


def _until(certificate: object) -> float | None:
    told = certificate.get("notAfter") if isinstance(certificate, dict) else None
    return float(ssl.cert_time_to_seconds(told)) if isinstance(told, str) else None


def watch(
    watched: Watched, metrics: ExpiryMetrics, *, stop: threading.Event, every_s: float
) -> None:
    """Look again and again, until told to stop."""
    while not stop.is_set():
        metrics.look(watched)
        stop.wait(every_s)
