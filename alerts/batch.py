"""What some records of one partition make of it: all that one transaction writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from alerts.replay import Unreadable, decode, rule_named
from alerts.routing import notice
from alerts.state import Partition, Unit, advance
from schemas.alert import Notice
from schemas.indicator import Message, StopsTold, Told
from schemas.rule import Rules


class Record(NamedTuple):
    """A record of `weir.indicators.v1`; a tombstone has no payload."""

    offset: int
    payload: bytes | None


class Refused(NamedTuple):
    """A record that could not be used, kept whole."""

    offset: int
    payload: bytes | None
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """The step from `first` to `following` (offsets) of one partition."""

    partition: int
    first: int
    following: int
    after: Partition
    units: tuple[Unit, ...]
    """Those whose memory changed."""
    notices: tuple[Notice, ...]
    refused: tuple[Refused, ...]
    heard_at: int | None
    """Instant of its newest message."""


def batch_of(partition: int, records: Sequence[Record], before: Partition, rules: Rules) -> Batch:
    """Return what `records`, which follow each other, make of the partition."""
    messages: list[tuple[Record, Message]] = []
    refused: list[Refused] = []
    for record in records:
        message = _decoded(partition, record)
        if isinstance(message, Unreadable):
            refused.append(Refused(record.offset, record.payload, message.reason))
        else:
            messages.append((record, message))
    after, changed, notices, indigestible = _digested(messages, before, rules)
    return Batch(
        partition=partition,
        first=records[0].offset,
        following=records[-1].offset + 1,
        after=after,
        units=tuple(after.units[code] for code in sorted(changed)),
        notices=notices,
        refused=tuple(sorted((*refused, *indigestible), key=lambda one: one.offset)),
        heard_at=max(
            (one.as_of for _, one in messages if not isinstance(one, StopsTold)), default=None
        ),
    )


def _decoded(partition: int, record: Record) -> Message | Unreadable:
    if record.payload is None:
        return Unreadable("a tombstone: indicators are never taken back")
    message = decode(record.payload)
    if not isinstance(message, Unreadable) and message.version.partition != partition:
        return Unreadable(f"told in partition {message.version.partition}, found in {partition}")
    return message


Digested = tuple[Partition, set[str], tuple[Notice, ...], tuple[Refused, ...]]


def _digested(
    messages: Sequence[tuple[Record, Message]], before: Partition, rules: Rules
) -> Digested:
    """Advance by all messages; where that fails, by halves, so that one never stops the others."""
    try:
        step = advance(before, (message for _, message in messages), rules)
        notices = tuple(notice(one, rule_named(one, rules)) for one in step.transitions)
    except Exception as error:  # noqa: BLE001 - whatever it is, the others must go on
        if len(messages) == 1:
            ((record, message),) = messages
            what = "a tick" if isinstance(message, Told) else "an indicator"
            reason = f"{what} that alerts cannot digest: {error!r}"
            return before, set(), (), (Refused(record.offset, record.payload, reason),)
        half = len(messages) // 2
        here, changed, told, refused = _digested(messages[:half], before, rules)
        after, also_changed, then_told, then_refused = _digested(messages[half:], here, rules)
        return after, changed | also_changed, told + then_told, refused + then_refused
    return step.after, set(step.changed), notices, ()
