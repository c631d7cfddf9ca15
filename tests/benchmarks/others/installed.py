"""Programs that are compared with Weir and that Weir does not need: pinned, below the programs' folder, made on demand."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from deploy.local.complaint import ComplaintError
from deploy.local.parts import LocalParts
from deploy.local.private_root import tool

QUIX = "3.28.1"
"""Quix Streams, Apache-2.0."""
_WITH_QUIX = (
    f"quixstreams[postgresql]=={QUIX}",
    "confluent-kafka==2.12.2",
    "psycopg2-binary==2.9.13",
    "rocksdict==0.3.29",
)
TELEGRAF = "1.37.2"
"""MIT."""
_TELEGRAF = f"github.com/influxdata/telegraf/cmd/telegraf@v{TELEGRAF}"
_TAGS = "custom,inputs.kafka_consumer,outputs.postgresql,parsers.json_v2"
_LONGEST = 1_200.0
"""Seconds: Telegraf's sources take three and a half minutes the first time."""


def quix_python() -> Path:
    """The interpreter of an environment of its own. Raises ComplaintError."""
    folder = _programs() / f"quixstreams-{QUIX}"
    python, ready = folder / "bin" / "python", folder / "ready"
    if not ready.exists():
        _run([sys.executable, "-m", "venv", "--clear", str(folder)])
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
        _run([*pip, *_WITH_QUIX])
        ready.touch()
    return python


def telegraf() -> Path:
    """The program, with the two plugins that are used. Raises ComplaintError."""
    kept = _programs() / f"telegraf-{TELEGRAF}"
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            _run([tool("go"), "install", "-tags", _TAGS, _TELEGRAF], GOBIN=folder)
            Path(folder, "telegraf").replace(kept)
    return kept


def _programs() -> Path:
    folder = LocalParts().state.programs / "compared"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(command: list[str], **environment: str) -> None:
    try:
        subprocess.run(
            command,
            env=os.environ | environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=_LONGEST,
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().splitlines()[-1:] or [str(error)]
        raise ComplaintError(said[0], "is the package registry reachable?") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ComplaintError(str(error), "is the package registry reachable?") from error
