"""A Kafka and a Mosquitto of their own, whose users come from a registry of four units: about ten seconds."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from deploy.local.parts import LocalParts
from deploy.local.state import chosen_folder, chosen_programs, write_private
from ingest.__main__ import main
from ingest.access_folder import Folder
from ingest.topics_admin import create_topics
from schemas.settings import Settings

ALL = tuple(f"91510100SAFE00000{n}" for n in range(7))
UNIT, OTHER, LEAVES, BY_CERTIFICATE, ROTATES, BY_KAFKA, BY_KAFKA_TOO = ALL
PARTITIONS = 2

_REGISTRY = """\
regions = [{ code = "510100", name = "-" }]
industries = [{ code = "31", name = "-" }]
"""
_UNIT = """
[[units]]
code = "{code}"
name = "-"
region = "510100"
industry = "31"
points = [{{ name = "E1", quantity = "electricity", unit_of_measure = "kWh", statement = "PT15M", \
rated_per_hour = 1000000, valid_from = 2018-01-01T00:00:00+08:00 }}]
"""


@dataclass(frozen=True)
class Doors:
    """The brokers, and who was let in."""

    parts: LocalParts
    path: Path

    @property
    def folder(self) -> Folder:
        return Folder(self.path / "access")

    def password(self, user: str) -> str:
        return self.folder.password(user)

    def registry(self, *units: str) -> Path:
        """A registry file of these units."""
        path = self.path / "registry.toml"
        path.write_text(_REGISTRY + "".join(_UNIT.format(code=unit) for unit in units))
        return path

    def access(self, *words: str, units: tuple[str, ...] = (), code: int = 0) -> str:
        """What `python -m ingest access WORDS` says, as the administrator on the loopback."""
        command = ["access", *words, "--folder", str(self.folder.path)]
        if units:
            pid = self.parts.pid("mqtt")
            command += ["--registry", str(self.registry(*units))]
            command += ["--mosquitto", str(self.parts.state.folder / "mqtt")]
            command += ["--reload", f"kill -HUP {pid}"]
        with (
            patch.dict(os.environ, self.environment(), clear=True),
            redirect_stdout(StringIO()) as said,
            redirect_stderr(said),
        ):
            assert main(command) == code, said.getvalue()
        return said.getvalue()

    def changes(self, action: str, *words: str, units: tuple[str, ...]) -> dict[str, list[object]]:
        """What `plan` or `apply` says."""
        told: dict[str, list[object]] = json.loads(
            self.access(action, "--json", *words, units=units)
        )
        return told

    def environment(self, user: str = "", **settings: str) -> dict[str, str]:
        """Settings of a service; of a user, where one is named, over TLS."""
        endpoints = self.parts.endpoints()
        told = {k: v for k, v in os.environ.items() if not k.startswith("WEIR_")}
        told |= endpoints.environment() | {"WEIR_PARTITIONS": str(PARTITIONS)}
        if user:
            told |= {
                "WEIR_KAFKA": endpoints.kafka_tls,
                "WEIR_KAFKA_USER": user,
                "WEIR_KAFKA_PASSWORD_FILE": str(self.folder.path / "secrets" / user),
                "WEIR_KAFKA_AUTHORITY": str(endpoints.authority),
            }
        return told | settings

    def client(self, user: str, password: str | None = None) -> dict[str, object]:
        """What kafka-python is given to be this user."""
        endpoints = self.parts.endpoints()
        settings = Settings(
            kafka=endpoints.kafka_tls,
            kafka_user=user,
            kafka_password=password or self.password(user),
            kafka_authority=str(endpoints.authority),
        )
        return {"bootstrap_servers": settings.kafka, **settings.kafka_client()}

    def kcat(self, user: str, *words: str, payload: str | None = None) -> str:
        """What kcat says as this user: a client that is none of ours. ComplaintError where it fails."""
        folder = self.parts.state.folder / "mqtt"  # a folder of the server's, as kcat runs as it
        told = self.client(user)
        write_private(
            folder / "kcat.conf",
            f"bootstrap.servers={told['bootstrap_servers']}\nsecurity.protocol=SASL_SSL\n"
            f"ssl.ca.location={folder / 'ca.pem'}\nsasl.mechanism=SCRAM-SHA-512\n"
            f"sasl.username={user}\nsasl.password={told['sasl_plain_password']}\n"
            "message.timeout.ms=8000\n",
        )
        if payload is not None:
            write_private(folder / "payload", payload)
            words = (*words, str(folder / "payload"))
        return self.parts.root.run(["/usr/bin/kcat", "-F", str(folder / "kcat.conf"), *words])


@contextmanager
def opened(folder: Path) -> Iterator[Doors]:
    """The brokers with the units let in by `access apply`; they end with it."""
    started = LocalParts(folder, programs=chosen_programs(chosen_folder()))
    try:
        started.up(["kafka", "mqtt"])
        found = Doors(started, folder)
        create_topics(started.endpoints().kafka, partitions=PARTITIONS, say=lambda _: None)
        found.access("apply", units=ALL)
        yield found
    finally:
        started.down(["kafka", "mqtt"])
