"""The verb `history-ends`: the end of units' histories."""

import argparse

from ingest.command import Verbs, positive, verb
from ingest.complaint import ComplaintError
from schemas.settings import Settings


def add(verbs: Verbs) -> None:
    """Add it to the verbs."""
    parser = verb(
        verbs,
        "history-ends",
        "write the lines that end units' histories: from there on they go by the clock, for good",
        "python -m ingest history-ends 91510100SYN0000001 | python -m ingest publish",
        _run,
    )
    parser.add_argument("units", nargs="+", metavar="UNIT", help="a unit's code")
    parser.add_argument("--partitions", type=positive, help="partitions (WEIR_PARTITIONS, 8)")


def _run(told: argparse.Namespace) -> int:
    from ingest.clock import wall_ms
    from ingest.coalesce import ends_of_history
    from schemas.registry import is_unit
    from schemas.wire import to_line

    for unit in told.units:
        if not is_unit(unit):
            message = f"{unit!r} is no unit's code: 18 digits and capital letters"
            raise ComplaintError(message)
    partitions = told.partitions or Settings.read().partitions
    for partition, record in ends_of_history(told.units, partitions, incarnation=wall_ms()):
        print(to_line(record, partition))
    return 0
