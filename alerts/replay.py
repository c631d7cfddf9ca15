"""The service without its IO: lines of indicators in, notices out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from alerts.routing import notice
from alerts.state import Partition, advance
from schemas.alert import Notice, Transition
from schemas.indicator import Indicator, Message, StopsTold
from schemas.rule import Rule, Rules

MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Bytes that are no message of `weir.indicators.v1`, and why."""

    reason: str


INSTANTS = range(2**47)
"""Milliseconds that can be told as a date: from 1970 to 6429."""


def decode(payload: bytes) -> Message | Unreadable:
    """Return the message behind `payload`. Never raises on bad input."""
    if rb"\u0000" in payload:
        return Unreadable("holds a NUL character, which no text of the database can")
    try:
        message = MESSAGE.validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return Unreadable(f"{where}: {first['msg']}" if where else first["msg"])
    wrong = [at for at in _instants(message) if at not in INSTANTS]
    return Unreadable(f"{wrong[0]} is no instant in milliseconds") if wrong else message


def _instants(message: Message) -> Iterator[int]:
    yield message.as_of
    if isinstance(message, Indicator):
        yield from (point.since for point in message.silent)
        for judged in message.windows:
            yield judged.start
            yield judged.end
            if judged.since is not None:
                yield judged.since
    elif isinstance(message, StopsTold):
        for stop in message.stops:
            yield stop.start
            yield stop.end


def replay(lines: Iterable[bytes], rules: Rules) -> Iterator[Notice | tuple[int, Unreadable]]:
    """Yield the notices of a log, and (line number, reason) of each line that is none of it."""
    partitions: dict[int, Partition] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        message = decode(line)
        if isinstance(message, Unreadable):
            yield number, message
            continue
        here = message.version.partition
        step = advance(partitions.get(here, Partition()), (message,), rules)
        partitions[here] = step.after
        for transition in step.transitions:
            yield notice(transition, rule_named(transition, rules))


def rule_named(transition: Transition, rules: Rules) -> Rule | None:
    """Return the rule of a transition, None where the file no longer has it."""
    return next((rule for rule in rules if rule.name == transition.rule), None)
