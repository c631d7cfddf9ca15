"""Mosquitto, the MQTT broker at the door. Nobody comes in without a password."""

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.certificates import Authority
from deploy.local.complaint import ComplaintError
from deploy.local.ports import LOOPBACK
from deploy.local.private_root import PrivateRoot
from deploy.local.process import ServerProcess
from deploy.local.state import State, write_private
from deploy.local.wire import mqtt_reason

GATEWAY = "gateway"
QUEUED_BYTES = 268_435_456

_SETTINGS = """\
# Not true: a client that is away then has no listener, so no access list lets it read, and what is
# published meanwhile is acknowledged and dropped instead of queued (seen with 2.0.21).
per_listener_settings false

# What was acknowledged but not yet saved is gone after SIGKILL; save often, count on nothing.
persistence true
persistence_location {folder}/
autosave_interval 10

# A gateway that is away may leave this much waiting; past it messages are dropped, and
# their senders are not told. Bounded in bytes, because messages differ a thousandfold. Not 0
# messages (no bound): then whoever is refused one publish is also thrown out (seen with 2.0.21).
max_queued_messages 100000000
max_queued_bytes {queued_bytes}
sys_interval 2

# How many messages may be on their way to one client: the default, 20, starves a gateway
# that acknowledges only after Kafka has.
max_inflight_messages 2000

log_dest stdout
log_timestamp_format %Y-%m-%dT%H:%M:%S
log_type error
log_type warning
log_type notice

allow_anonymous false
password_file {folder}/passwords
acl_file {folder}/acl

# For Weir's own services, on this machine: a client id is whose who says it first.
listener {port} {host}
protocol mqtt

# For the units. The client id is the user's name, whatever it says: with the id of a gateway it
# would take over that one's session, and what waits there would be lost (seen with 2.0.21).
listener {tls_port} {host}
protocol mqtt
tls_version tlsv1.2
certfile {folder}/server.pem
keyfile {folder}/server.key
use_username_as_clientid true

listener {certificates_port} {host}
protocol mqtt
tls_version tlsv1.2
certfile {folder}/server.pem
keyfile {folder}/server.key
cafile {folder}/ca.pem
crlfile {folder}/revoked.pem
require_certificate true
use_identity_as_username true
use_username_as_clientid true
"""

_FIRST_ACL = f"user {GATEWAY}\ntopic readwrite #\ntopic read $SYS/#\n"


@dataclass(frozen=True, slots=True)
class Mosquitto:
    """The part `mqtt`. MQTT 5 and 3.1.1; services use 5."""

    state: State
    root: PrivateRoot
    authority: Authority
    port: int
    tls_port: int
    certificates_port: int
    queued_bytes: int = QUEUED_BYTES
    """What may wait for one client that is away."""

    name = "mqtt"
    stop_signal = signal.SIGTERM
    patience = 20.0

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def password_file(self) -> Path:
        """Where the gateway's password is; its user name is `gateway`."""
        return self._folder / "gateway-password"

    def prepare(self) -> None:
        """Write the settings; let in the gateway alone the first time."""
        folder = self._folder
        settings = _SETTINGS.format(
            folder=folder,
            host=LOOPBACK,
            queued_bytes=self.queued_bytes,
            port=self.port,
            tls_port=self.tls_port,
            certificates_port=self.certificates_port,
        )
        write_private(folder / "mosquitto.conf", settings)
        if not (folder / "server.pem").exists():
            self.renew_certificate(running=None)
        write_private(folder / "revoked.pem", self.authority.revoked())
        if not (folder / "passwords").exists():
            self._write_users({GATEWAY: self.state.secret(self.password_file)}, _FIRST_ACL)

    def command(self) -> list[str]:
        """Return what runs the server in the foreground."""
        return self.root.command(
            ["/usr/sbin/mosquitto", "-c", str(self._folder / "mosquitto.conf")]
        )

    def answers(self) -> bool:
        """Tell whether the server decides about who connects."""
        return mqtt_reason(self.port, GATEWAY, self._gateway_password()) is not None

    def after_start(self) -> None:
        """Nothing."""

    def set_users(
        self, users: Mapping[str, str], acl: str, *, running: ServerProcess | None
    ) -> None:
        """Replace all users and the access list; return when the server goes by them.

        The gateway stays, with the password it has, unless `users` gives it another;
        what it may do is said by `acl` like everybody's.
        """
        users = {GATEWAY: self._gateway_password(), **users}
        for name, password in users.items():
            if not (name and password) or set(":\n") & set(name + password):
                message = f"user {name!r}: mosquitto's file can hold no colon and nothing empty"
                raise ValueError(message)
        write_private(self.password_file, users[GATEWAY])
        self._write_users(users, acl)
        if running is not None:
            running.signal(signal.SIGHUP)
            self._wait_for(next(reversed(users.items())))

    def renew_certificate(self, *, running: ServerProcess | None) -> None:
        """Use a new certificate, and know what is revoked by now; who is connected stays so."""
        issued = self.authority.server()
        write_private(self._folder / "server.key", issued.key)
        write_private(self._folder / "server.pem", issued.certificate)
        write_private(self._folder / "ca.pem", self.authority.certificate.read_text())
        write_private(self._folder / "revoked.pem", self.authority.revoked())
        if running is not None:
            running.signal(signal.SIGHUP)

    @property
    def _folder(self) -> Path:
        return self.state.part_folder(self.name)

    def _gateway_password(self) -> str:
        return self.state.secret(self.password_file)

    def _write_users(self, users: Mapping[str, str], acl: str) -> None:
        plain = "".join(f"{name}:{password}\n" for name, password in users.items())
        incoming = self._folder / "passwords.incoming"
        write_private(incoming, plain)
        self.root.run(["/usr/bin/mosquitto_passwd", "-U", str(incoming)])
        incoming.replace(self._folder / "passwords")
        write_private(self._folder / "acl", acl)

    def _wait_for(self, user: tuple[str, str]) -> None:
        """Wait until the server lets in a user of the new list."""
        deadline = time.monotonic() + 10
        while mqtt_reason(self.port, *user) != 0:
            if time.monotonic() > deadline:
                message = f"mosquitto does not let in {user[0]} after reading its users anew"
                raise ComplaintError(message, f"its log: {self._folder / 'log'}")
            time.sleep(0.05)
