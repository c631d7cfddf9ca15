"""The short form of `make chaos`: all services under load, and what can go wrong with their servers, each once."""

import subprocess
import sys
from pathlib import Path

import pytest

CHAOS = Path(__file__).parents[1] / "chaos" / "chaos.py"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_goes_wrong_changes_nothing() -> None:
    """Tables and everything told equal those of an engine over the log; people were told each fact under one key (a minute)."""
    done = subprocess.run(
        [sys.executable, str(CHAOS), "--short", "--seed", "11"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "differs in: nothing" in done.stdout
