"""Records that the engine cannot digest: found by bisecting, kept, and no reason to stop.

A defect that hits every record is one: the worker ends before it empties the topic into the dead letters.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from processors.engine import Placed, UnknownConfigurationError
from processors.ports import ACCOUNT_CLASSES, OutsideError, RefusedRow
from schemas.calendar import business_day
from schemas.section import Record, Section

Item = TypeVar("Item")

KIND = "dead letter"
MOST = 10
"""So many dead letters of one partition are borne within WITHIN records; one more ends the worker."""
WITHIN = 1_000
_LONGEST_REASON = 500
_REJECTED = ACCOUNT_CLASSES.index("rejected")


class DefectError(Exception):
    """Too many records cannot be digested: it is the engine that is at fault, not they."""

    def __init__(self, partition: int, count: int, last: str) -> None:
        """`last`: what the last of them failed with."""
        super().__init__(
            f"partition {partition}: {count} of {WITHIN:,} records could not be digested, more than {MOST};"
            f" the last: {last}. Nothing of them was written. Look at `dlq list`, mend the engine, start again."
        )


def is_defect(error: Exception) -> bool:
    """Whether an error tells of a record or of the engine, not of the world around them."""
    return not isinstance(
        error, OutsideError | UnknownConfigurationError | DefectError | OSError | MemoryError
    )


def culprit(items: Sequence[Item], fails: Callable[[Sequence[Item]], bool]) -> int:
    """Index of the last of the shortest beginning of `items` that fails; all of them together do.

    Asks `fails` about log₂ of their number times.
    """
    good, bad = 0, len(items)
    while bad - good > 1:
        middle = (good + bad) // 2
        if fails(items[:middle]):
            bad = middle
        else:
            good = middle
    return bad - 1


def row(placed: Placed, original: bytes, error: Exception) -> RefusedRow:
    """A record as it is kept."""
    partition, offset, record = placed
    reason = f"{type(error).__name__}: {error}".replace("\0", "")[:_LONGEST_REASON]
    units = units_in(record)
    unit = units[0] if len(units) == 1 else ""
    received = [part.received_at for part in record.body] if isinstance(record.body, tuple) else []
    return RefusedRow(
        unit,
        max(received, default=0),
        partition,
        offset,
        0,
        KIND,
        reason,
        original,
        len(original),
        "",
    )


def units_in(record: Record) -> list[str]:
    """Units that a record speaks of, each once."""
    if not isinstance(record.body, tuple):
        return []
    return sorted({part.unit for part in record.body})


def may_die(record: Record) -> bool:
    """Whether the stream can go on without it: not without a tick or a control record."""
    return isinstance(record.body, tuple)


def account(record: Record) -> dict[tuple[str, str], tuple[int, ...]]:
    """Its readings as rejected, by unit and business day of receipt."""
    counts: dict[tuple[str, str], tuple[int, ...]] = {}
    for part in record.body if isinstance(record.body, tuple) else ():
        key = part.unit, business_day(part.received_at)
        said = len(part) + len(part.refused) if isinstance(part, Section) else 1
        old = counts.get(key, (0,) * len(ACCOUNT_CLASSES))
        counts[key] = tuple(n + said * (i == _REJECTED) for i, n in enumerate(old))
    return counts
