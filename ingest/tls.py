"""How an MQTT client of ours proves the broker, and itself where the broker asks for a certificate."""

import ssl
from dataclasses import dataclass

from ingest.complaint import ComplaintError
from schemas.settings import Settings


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files: who signed the broker's certificate, and our own certificate and key where it wants one."""

    authority: str
    certificate: str = ""
    key: str = ""

    def context(self) -> ssl.SSLContext:
        """For paho; ComplaintError where a file cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.authority)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key)
        except OSError as error:  # of ssl, too
            files = ", ".join(filter(None, (self.authority, self.certificate, self.key)))
            message = f"the certificates for MQTT cannot be used: {error} ({files})"
            raise ComplaintError(message) from error
        return context


def of_settings(settings: Settings) -> Tls | None:
    """None where the connection is plain."""
    if not settings.mqtt_authority:
        return None
    return Tls(settings.mqtt_authority, settings.mqtt_certificate, settings.mqtt_key)
