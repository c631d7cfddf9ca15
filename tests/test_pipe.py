"""The README's pipe: the whole system as JSON lines, with no server."""

import json
import subprocess
import sys

from pydantic import TypeAdapter

from schemas.indicator import Indicator, Message

SIMULATE = ("ingest", "simulate", "--hours", "48", "--seed", "7")


def piped(*stages: tuple[str, ...]) -> list[bytes]:
    """The lines that come out of `python -m ...` stages, each fed by the one before."""
    told = b""
    for stage in stages:
        done = subprocess.run(
            [sys.executable, "-m", *stage], input=told, capture_output=True, check=True
        )
        told = done.stdout
    return told.splitlines()


def test_the_pipe_ends_in_all_three_kinds() -> None:
    """48 hours of the default world: somebody is in breach, somebody is suspected, somebody cannot be judged."""
    alerts = [
        json.loads(line) for line in piped(SIMULATE, ("processors", "replay"), ("alerts", "replay"))
    ]
    states = {(alert["kind"], alert["state"]) for alert in alerts}
    assert {("confirmed breach", "firing"), ("suspected breach", "firing")} <= states
    assert ("cannot be judged", "pending") in states, "it holds for a day before it fires"


def test_what_units_are_told_is_a_contract() -> None:
    """Cut one stage earlier, each line is an indicator or a tick; the same seed tells the same bytes."""
    lines = piped(SIMULATE, ("processors", "replay"))
    messages = [TypeAdapter(Message).validate_json(line) for line in lines]
    assert any(isinstance(message, Indicator) for message in messages)
    assert piped(SIMULATE, ("processors", "replay")) == lines


def test_a_figure_lies_between_its_bounds() -> None:
    """The best estimate is not below low, nor above high where that is known."""
    for line in piped(SIMULATE, ("processors", "replay")):
        message = TypeAdapter(Message).validate_json(line)
        if isinstance(message, Indicator):
            figures = [figure for window in message.windows for figure in window.figures.values()]
            assert all(f.low <= f.best and (f.high is None or f.best <= f.high) for f in figures)
