"""What a machine can do to processes: its clock is set, its disk is full. Where it may not be done here, the reason says why."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from deploy.local.state import SERVER_UID

_SOURCE = Path(__file__).with_name("stepped_clock.c")
_DISK_BYTES = 3 << 30
_TABLESPACE = "chaos_small"


class NotPossibleError(Exception):
    """This machine does not let us; the message says what it answered."""


@dataclass(frozen=True)
class SteppedClock:
    """A wall clock for processes that are started with its settings."""

    library: Path
    offset: Path

    def settings(self) -> dict[str, str]:
        """The environment of a process that goes by it."""
        return {"LD_PRELOAD": str(self.library), "STEPPED_CLOCK": str(self.offset)}

    def step(self, seconds: int) -> None:
        """So much before or behind the true time."""
        incoming = self.offset.with_suffix(".new")
        incoming.write_text(str(seconds))
        incoming.replace(self.offset)


def stepped_clock(folder: Path) -> SteppedClock:
    """Made by the machine's C compiler. Raises NotPossibleError."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        message = "no C compiler"
        raise NotPossibleError(message)
    library = folder / "stepped_clock.so"
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(_SOURCE), "-ldl"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise NotPossibleError(done.stderr.strip())
    clock = SteppedClock(library, folder / "clock-offset")
    clock.step(0)
    return clock


@dataclass
class SmallDisk:
    """A small filesystem for the database's tables; its log and its catalogue stay where they were."""

    path: Path | None
    """None where there is none."""
    why_not: str = ""

    def use_for(self, url: str) -> None:
        """Tables made from now on lie there."""
        if self.path is None:
            return
        with psycopg.connect(url, autocommit=True) as link:
            link.execute(f"CREATE TABLESPACE {_TABLESPACE} LOCATION '{self.path}'".encode())
            name = link.info.dbname
            link.execute(f"ALTER DATABASE {name} SET default_tablespace = {_TABLESPACE}".encode())

    @contextmanager
    def full(self) -> Iterator[int]:
        """Nothing more fits within the block; tells how many bytes the ballast took."""
        if self.path is None:
            raise NotPossibleError(self.why_not)
        ballast = self.path / "ballast"
        taken = 0
        try:
            with ballast.open("wb") as file:
                block = bytes(1 << 20)
                with suppress(OSError):
                    while True:
                        taken += os.write(file.fileno(), block)
            yield taken
        finally:
            ballast.unlink(missing_ok=True)


@contextmanager
def small_disk() -> Iterator[SmallDisk]:
    """Below /dev/shm, since the servers' private root sees that; mounted before they start."""
    path = Path(tempfile.mkdtemp(prefix="weir-chaos-", dir="/dev/shm"))
    options = f"size={_DISK_BYTES},uid={SERVER_UID},gid={SERVER_UID},mode=700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)],  # noqa: S607 - the machine's own
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        path.rmdir()
        yield SmallDisk(None, done.stderr.strip())
        return
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", str(path)], check=True)  # noqa: S607 - the machine's own
        path.rmdir()
