"""docs/first-reading.md as a test runs it: its blocks in order, each by the programs that an engineer has.

Foreign clients throughout: mosquitto's from the private root, plain paho, and Telegraf where `telegraf` is on the PATH or WEIR_TELEGRAF
names it; else what it publishes for the page's configuration is published in its place.
"""

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.local.parts import LocalParts
from deploy.local.state import CHECKOUT

PAGE = CHECKOUT / "docs" / "first-reading.md"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"# (\w+\.\w+)")
_STAND_IN = """#!/bin/sh
exec mosquitto_pub -h $BROKER -p $PORT -u $UNIT -P $PASSWORD -q 1 -t energy/v1/$UNIT/readings \\
  -m '{"fields":{"value":1260.75},"name":"E1","tags":{"unit":"kWh"},"timestamp":'$(date +%s)'}'
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of the page, and the output that follows it."""

    language: str
    body: str
    output: str


def blocks() -> Iterator[Block]:
    """What is run and what is written to files; `console` is for reading."""
    found = _BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    for (language, body), (following, output) in zip(found, [*found[1:], ("", "")], strict=True):
        if language not in {"text", "console"}:
            yield Block(language, body, output if following == "text" else "")


def is_as_shown(shown: str, printed: str) -> bool:
    """`...` stands for anything within a line."""
    pattern = ".*?".join(map(re.escape, shown.strip().split("...")))
    return re.fullmatch(pattern, printed.strip()) is not None


def put_programs(folder: Path, broker: LocalParts) -> None:
    """The clients, under the names that the page calls them by."""
    folder.mkdir()
    for name in ("mosquitto_pub", "mosquitto_sub"):
        inside = shlex.join(broker.root.command([f"/usr/bin/{name}"], as_caller=True))
        _script(folder / name, f'#!/bin/sh\nexec {inside} "$@"\n')
    telegraf = os.environ.get("WEIR_TELEGRAF") or shutil.which("telegraf")
    _script(folder / "telegraf", f'#!/bin/sh\nexec {telegraf} "$@"\n' if telegraf else _STAND_IN)
    _script(folder / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def run_page(folder: Path, environment: dict[str, str]) -> None:
    """Every block in order; what it shows is what is printed."""
    for block in blocks():
        named = _NAME.match(block.body)
        if named:
            (folder / named[1]).write_text(block.body)
            continue
        assert block.language == "sh"
        done = subprocess.run(
            ["/bin/bash", "-euc", block.body],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert done.returncode == 0, f"{block.body}\n{done.stdout}\n{done.stderr}"
        if block.output:
            assert is_as_shown(block.output, done.stdout), f"{block.output}\n---\n{done.stdout}"
