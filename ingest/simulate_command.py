"""The verb `simulate`: a simulated world as lines of the pipe."""

import argparse

from ingest.command import TICKS, Verbs, full_hour, positive, verb
from schemas.registry import LENGTH_MS
from schemas.settings import Settings


def add(verbs: Verbs) -> None:
    """Add it to the verbs."""
    parser = verb(
        verbs,
        "simulate",
        "write a simulated world as lines of the pipe (one seed is one stream, to the last byte)",
        "python -m ingest simulate --hours 48 --seed 7"
        " | python -m processors replay | python -m alerts replay",
        _run,
    )
    parser.add_argument("--hours", type=positive, default=48, help="how long (48)")
    parser.add_argument("--seed", type=int, default=7, help="which world (7)")
    parser.add_argument(
        "--start",
        type=full_hour,
        default="2026-01-01T00:00:00+08:00",
        help="its first hour, RFC 3339",
    )
    parser.add_argument("--units", type=positive, default=4, help="how many units (4)")
    parser.add_argument(
        "--misbehave", type=_rate, default="0.01", help="rate of each misbehaviour (0.01)"
    )
    parser.add_argument("--partitions", type=positive, help="partitions (WEIR_PARTITIONS, 8)")
    parser.add_argument(
        "--ticks", choices=TICKS, help="how often a unit in history is judged (PT15M)"
    )
    parser.add_argument(
        "--live", action="store_true", help="live units: sections and ticks come each minute"
    )


def _run(told: argparse.Namespace) -> int:
    from ingest.simulator import Faults, scenario
    from schemas.registry import Configuration
    from schemas.wire import configuration_line, to_line

    items = scenario(
        told.seed,
        told.start,
        told.hours,
        units=told.units,
        faults=Faults.every(told.misbehave),
        partitions=told.partitions or Settings.read().partitions,
        live=told.live,
        tick_ms=LENGTH_MS[told.ticks] if told.ticks else None,
    )
    for item in items:
        if isinstance(item, Configuration):
            print(configuration_line(item))
        else:
            partition, record = item
            print(to_line(record, partition))
    return 0


def _rate(text: str) -> float:
    rate = float(text)
    if not 0 <= rate <= 0.05:  # noqa: PLR2004 - twelve kinds of fault share one draw
        message = f"{text} is not between 0 and 0.05 (a rate for each kind of misbehaviour)"
        raise argparse.ArgumentTypeError(message)
    return rate
