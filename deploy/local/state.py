"""The one folder that holds everything these servers write, and who may change it."""

import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.complaint import ComplaintError

CHECKOUT = Path(__file__).resolve().parents[2]

SERVER_UID = 64720
"""The user `weir` of the private root: PostgreSQL refuses to run as root.

A number of our own, so that no user of the machine owns what the servers write.
"""

_LONGEST_SOCKET_PATH = 107
"""In bytes: Linux' limit."""

Say = Callable[[str], None]
"""Where progress lines go: the terminal for people, nowhere for tests."""


def chosen_folder(option: str | None = None) -> Path:
    """Return the state folder: the option, else WEIR_LOCAL, else `.local` here."""
    chosen = option or os.environ.get("WEIR_LOCAL")
    return Path(chosen).resolve() if chosen else CHECKOUT / ".local"


def chosen_programs(folder: Path, option: str | None = None) -> Path:
    """Return where the programs are: the option, else WEIR_LOCAL_PROGRAMS, else `folder`."""
    chosen = option or os.environ.get("WEIR_LOCAL_PROGRAMS")
    return Path(chosen).resolve() if chosen else folder


@dataclass(frozen=True, slots=True)
class State:
    """The state folder. Its layout is told in README.md."""

    folder: Path

    programs: Path
    """Where the private root and the jars are: `folder`, or another state's, so that
    servers with data of their own need no second half gigabyte nor half minute."""

    def create(self) -> None:
        """Make the folder, ignored by git from within, so that no one must remember.

        Started by root, the servers are another user, who must pass to their own folders.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            self.folder.chmod(self.folder.stat().st_mode | 0o011)
        (self.folder / ".gitignore").write_text("*\n")

    def part_folder(self, name: str, *, for_server: bool = True) -> Path:
        """Return the private folder of one part, owned by the user it runs as."""
        folder = self.folder / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if for_server:
            give_to_server(folder)
        return folder

    def secret(self, path: Path) -> str:
        """Return the password kept in `path` (mode 0600), making one the first time."""
        if not path.exists():
            write_private(path, secrets.token_hex(24))
        return path.read_text().strip()

    def recall(self) -> dict[str, str]:
        """Return what earlier runs chose: ports and the webhook's address."""
        path = self.folder / "chosen.json"
        if not path.exists():
            return {}
        recalled: dict[str, str] = json.loads(path.read_text())
        return recalled

    def remember(self, **chosen: str) -> None:
        """Add to what `recall` returns."""
        write_whole(
            self.folder / "chosen.json",
            json.dumps(self.recall() | chosen, indent=2) + "\n",
        )

    @contextmanager
    def locked(self, say: Say) -> Iterator[None]:
        """Let one command at a time change the parts; the others wait their turn."""
        self.create()
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"another command works in {self.folder}; waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step: a reader never sees half of it."""
    beside = path.with_name(path.name + ".new")
    beside.write_text(text)
    beside.replace(path)


def write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner, the server, may read."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
    give_to_server(beside)
    beside.replace(path)


def give_to_server(path: Path) -> None:
    """Make the servers' user own `path`; without root they run as the caller anyway."""
    if os.geteuid() == 0:
        os.chown(path, SERVER_UID, SERVER_UID)


def socket_path_is_too_long(folder: Path) -> bool:
    """Tell whether PostgreSQL's socket in `folder` would have a name too long to bind."""
    return len(os.fsencode(folder / ".s.PGSQL.00000")) > _LONGEST_SOCKET_PATH


def complain_about(error: PermissionError, folder: Path) -> ComplaintError:
    """Return the complaint for a state folder that belongs to somebody else."""
    return ComplaintError(
        f"{error.filename or folder} may not be written: {error.strerror}",
        "run as the user that owns the state folder, or choose another with --state",
    )
