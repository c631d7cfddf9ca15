"""What the registry would say to a file's readings: asked of the engine, which runs beside us as `python -m processors try`.

They meet in the pipe's lines, as everywhere: the doors know no registry.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from tempfile import TemporaryFile
from typing import IO, cast

from ingest.complaint import ComplaintError
from schemas.section import Record, Section
from schemas.wire import to_line

DATABASE = "database"
"""In place of a registry file: the one that is in force."""
_MESSAGE = "1"
"""The answer names readings by their place in a message, so each section is one."""


class Judge:
    """The engine, in a process of its own."""

    def __init__(self, process: "subprocess.Popen[str]", complaints: IO[str]) -> None:
        self._process, self._complaints = process, complaints
        self._asking = cast("IO[str]", process.stdin)
        self._answering = cast("IO[str]", process.stdout)

    def fates(self, section: Section) -> Sequence[str]:
        """Of each reading in the order of what was sent: `taken`, or why not. ComplaintError where it cannot be said."""
        refused = tuple(replace(item, message=_MESSAGE) for item in section.refused)
        asked = replace(section, messages=(_MESSAGE,), refused=refused)
        try:
            self._asking.write(to_line(Record("import", 0, 0, (asked,)), 0) + "\n")
            self._asking.flush()
            told = self._answering.readline()
        except BrokenPipeError:
            told = ""
        if not told:
            self._process.wait()
            self._complaints.seek(0)
            raise ComplaintError(self._complaints.read().strip() or "the registry was not asked")
        fates: list[str] = json.loads(told)["fates"]
        return fates


@contextmanager
def judging(registry: str) -> Iterator[Judge]:
    """By a registry file, or by `database`."""
    words = [] if registry == DATABASE else ["--registry", registry]
    with (
        TemporaryFile("w+", encoding="utf-8") as complaints,
        subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "processors", "try", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        ) as process,
    ):
        yield Judge(process, complaints)
