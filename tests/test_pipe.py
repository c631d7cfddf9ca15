"""The README's pipe, as it is written there: the whole system as JSON lines, with no server."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from schemas.indicator import Indicator, Message

ROOT = Path(__file__).resolve().parent.parent
LINE: TypeAdapter[Message] = TypeAdapter(Message)


def readme_line() -> str:
    """The command."""
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    (line,) = [line for line in lines if line.startswith("python -m ingest simulate")]
    return line


def run(command: str) -> list[bytes]:
    """The lines that a command prints. It, and every stage of it, ends 0; no setting names a server."""
    environment = {name: value for name, value in os.environ.items() if name[:5] != "WEIR_"}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", command],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    return done.stdout.splitlines()


@cache
def told() -> tuple[list[bytes], list[Message]]:
    """What units are told: the pipe cut one stage earlier."""
    lines = run(readme_line().rsplit(" | ", 1)[0])
    return lines, [LINE.validate_json(line) for line in lines]


def test_the_pipe_ends_in_all_three_kinds() -> None:
    """Somebody is in breach, somebody is suspected of it, somebody cannot be judged."""
    alerts = [json.loads(line) for line in run(readme_line())]
    states = {(alert["kind"], alert["state"]) for alert in alerts}
    assert {("confirmed breach", "firing"), ("suspected breach", "firing")} <= states
    assert ("cannot be judged", "pending") in states, "it holds for a day before it fires"


def test_what_units_are_told_is_a_contract() -> None:
    """Each line is an indicator or a tick; of both there are some."""
    _, messages = told()
    assert {message.kind for message in messages} == {"unit", "tick"}


def test_one_seed_is_one_stream() -> None:
    """The same line prints the same bytes."""
    lines, _ = told()
    assert run(readme_line().rsplit(" | ", 1)[0]) == lines


def test_a_figure_lies_between_its_bounds() -> None:
    """The best estimate is not below low, nor above high where that is known."""
    for message in told()[1]:
        if isinstance(message, Indicator):
            figures = [figure for window in message.windows for figure in window.figures.values()]
            assert all(f.low <= f.best and (f.high is None or f.best <= f.high) for f in figures)
