"""Starting servers that outlive us, and signalling only what we started."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

_LAUNCH = 'log=$1; shift; "$@" >>"$log" 2>&1 </dev/null & echo $!'
"""The shell between us and the server ends at once, so the server is nobody's child:
it outlives this command, and a test that kills it leaves no zombie behind."""
_LISTEN = "0A"
"""State of a socket that listens, in /proc/net/tcp."""


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A process that we started. A pid alone may since belong to somebody else."""

    pid: int
    started: str
    """Boot and clock tick of its start, from /proc: the pid's proof of identity."""

    def is_running(self) -> bool:
        """Tell whether the very process that we started still runs."""
        return _started(self.pid) == self.started

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self.is_running():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def write(self, path: Path) -> None:
        """Record it for the next command."""
        path.write_text(json.dumps(asdict(self)))


def recorded(path: Path) -> ServerProcess | None:
    """Return the process recorded in `path`, if it still runs."""
    try:
        process = ServerProcess(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return process if process.is_running() else None


def launch(
    command: Sequence[str],
    *,
    log: Path,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> ServerProcess:
    """Start a server in a session of its own; what it prints is appended to `log`.

    Folder and environment are ours unless told. Secrets belong into the environment: every user of
    the machine may read a command line.
    """
    shell = subprocess.run(
        ["/bin/sh", "-c", _LAUNCH, "sh", str(log), *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        start_new_session=True,
    )
    pid = int(shell.stdout)
    return ServerProcess(pid, _started(pid) or "ended at once")


def stop(process: ServerProcess, number: signal.Signals, *, patience: float) -> None:
    """Signal the process and wait for it and all its children to end, then kill them."""
    family = [process, *_descendants(process.pid)]
    process.signal(number)
    if not _all_ended(family, patience):
        _kill_all(family)


def kill(process: ServerProcess) -> None:
    """End the process and all its children at once, as a power cut would.

    The children count: a PostgreSQL whose postmaster alone is killed leaves some that
    hold its memory for a moment, and a new one refuses to start before they are gone.
    """
    _kill_all([process, *_descendants(process.pid)])


def _kill_all(family: Sequence[ServerProcess]) -> None:
    for member in family:
        member.signal(signal.SIGKILL)
    _all_ended(family, 10)


def listens(process: ServerProcess, port: int) -> bool:
    """Whether the process or a child of it listens on a port; where the machine does not let us see, it is taken to."""
    sockets = {f"socket:[{inode}]" for inode in _listening(port)}
    family = [process, *_descendants(process.pid)]
    try:
        return any(not sockets.isdisjoint(_held(member.pid)) for member in family)
    except PermissionError:
        return True


def _listening(port: int) -> Iterator[str]:
    """Inodes of the sockets that listen on a port, on any address."""
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        lines = table.read_text().splitlines()[1:] if table.exists() else []
        for fields in (line.split() for line in lines):
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _held(pid: int) -> Iterator[str]:
    """What the handles of a process are of; of one that has ended none."""
    try:
        handles = list(Path(f"/proc/{pid}/fd").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return
    for handle in handles:
        with suppress(FileNotFoundError):  # closed meanwhile
            yield str(handle.readlink())


def whose_folder_is(folder: Path) -> list[int]:
    """Return the processes that have `folder` as their working folder, zombies not."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str((entry / "cwd").readlink()).endswith(str(folder)):
                found.append(int(entry.name))
        except OSError:
            continue  # ended meanwhile, or somebody else's
    return found


def _all_ended(family: Sequence[ServerProcess], patience: float) -> bool:
    deadline = time.monotonic() + patience
    while any(member.is_running() for member in family):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _descendants(pid: int) -> list[ServerProcess]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        fields = _stat(int(entry.name)) if entry.name.isdigit() else None
        if fields:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[ServerProcess] = []
    unseen = [pid]
    while unseen:
        unseen.extend(below := children.get(unseen.pop(), []))
        found.extend(ServerProcess(child, _started(child) or "") for child in below)
    return found


def _started(pid: int) -> str | None:
    """Return when a process started; None if it has ended, as a zombie too has.

    A zombie that still has threads holds its ports and files: it has not ended yet.
    """
    fields = _stat(pid)
    if fields is None or (fields[0] in "ZX" and int(fields[17]) <= 1):
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot}/{fields[19]}"


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/<pid>/stat after the name, which may hold anything."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()
