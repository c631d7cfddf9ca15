"""The folder of passwords, and Mosquitto's two files. Everything in it is for its owner alone.

FOLDER/accounts.json     who has an account, since when and until when; hashes, no password
FOLDER/secrets/NAME      the password of one user: what is handed to the enterprise
FOLDER/secrets/mqtt-share  the name of the gateways' shared subscription, for them alone
FOLDER/lock              one command at a time
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from ingest.access_rights import mosquitto_hash
from ingest.accounts import Account, Accounts
from ingest.complaint import ComplaintError

_PASSWORD_BYTES = 24
_SALT_BYTES = 12


class Folder:
    """Where the accounts are kept."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._accounts = path / "accounts.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Make it where it is missing, and let others wait."""
        (self.path / "secrets").mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)
        with (self.path / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def read(self) -> Accounts:
        """What was given out. ComplaintError where the file cannot be understood."""
        try:
            return Accounts.model_validate_json(self._accounts.read_bytes())
        except FileNotFoundError:
            return Accounts()
        except ValidationError as error:
            message = f"{self._accounts} is not as we wrote it: {error.errors()[0]['msg']}"
            raise ComplaintError(message) from error

    def write(self, accounts: Accounts) -> None:
        """Keep what is given out."""
        replace_file(self._accounts, accounts.model_dump_json(indent=1) + "\n")

    def new(self, name: str, owner: str, *, since: int) -> Account:
        """An account with a password of its own, made here and written nowhere else."""
        password = secrets.token_hex(_PASSWORD_BYTES)
        replace_file(self._secret(name), password + "\n")
        hashed = mosquitto_hash(password, salt=secrets.token_bytes(_SALT_BYTES))
        return Account(name=name, owner=owner, since=since, mosquitto=hashed)

    def password(self, name: str) -> str:
        """A user's password. ComplaintError where it has none."""
        try:
            return self._secret(name).read_text(encoding="ascii").strip()
        except OSError as error:
            message = f"no password of {name!r} in {self.path}: {error.strerror}"
            raise ComplaintError(message) from error

    def provide_share(self) -> None:
        """The name of the gateways' shared subscription, made once: see `WEIR_MQTT_SHARE`."""
        if not (path := self._secret("mqtt-share")).exists():
            replace_file(path, secrets.token_hex(_PASSWORD_BYTES) + "\n")

    def forget(self, name: str) -> None:
        """Remove a password."""
        self._secret(name).unlink(missing_ok=True)

    def _secret(self, name: str) -> Path:
        return self.path / "secrets" / name


def replace_file(path: Path, text: str) -> None:
    """Write a file whole or not at all; it keeps its mode (and as root its owner), a new one is its owner's alone."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        if path.exists():
            there = path.stat()
            os.fchmod(file.fileno(), there.st_mode & 0o777)
            if os.geteuid() == 0:
                os.fchown(file.fileno(), there.st_uid, there.st_gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def text_of(path: Path) -> str:
    """What a file holds; nothing where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
