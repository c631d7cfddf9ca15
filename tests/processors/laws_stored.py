"""What a run left in the tables, in forms that can be compared."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from pydantic import TypeAdapter

from oracle import CLASSES, Outcome
from oracle_claims import Claim, Refusal
from processors.memory import MemoryStore
from processors.ports import ACCOUNT_CLASSES, ReadingRow
from schemas.calendar import business_day
from schemas.indicator import Indicator, LineTold, Told
from schemas.indicator import Message as Line
from schemas.registry import STATEMENTS
from schemas.section import WITHDRAWN, Section
from tests.processors.laws_oracle import Message, Place, as_told, limits_as_told, line_as_told
from tests.processors.worlds import World

LINE: TypeAdapter[Line] = TypeAdapter(Line)
Account = dict[tuple[str, str], dict[str, int]]


def lines(store: MemoryStore) -> list[bytes]:
    """Everything told, in the order of each partition."""
    rows = sorted(
        store.outbox, key=lambda row: (row.partition, row.offset, row.position, row.number)
    )
    return [row.payload for row in rows]


def told(store: MemoryStore) -> dict[Place, Message]:
    """What units were told, by place and unit."""
    found = {}
    for line in map(LINE.validate_json, lines(store)):
        if isinstance(line, LineTold):
            place = (line.version.partition, line.version.offset, line.version.position, line.unit)
            found[place].lines[line.line] = line_as_told(line.windows)
            found[place].limits.update(limits_as_told(line))
        if isinstance(line, Indicator):
            place = (line.version.partition, line.version.offset, line.version.position, line.unit)
            silent = {silent.point: silent.since for silent in line.silent}
            found[place] = Message(
                line.as_of,
                as_told(line.windows),
                silent,
                line.previous_verdict,
                line.history,
                line.configuration,
                line.pending,
                {},
                {},
            )
    return found


def ticks_told(store: MemoryStore) -> list[tuple[int, int, int, int, str | None]]:
    """The ticks themselves, as others are told."""
    return [
        (line.version.partition, line.version.offset, line.version.position, line.as_of, line.unit)
        for line in map(LINE.validate_json, lines(store))
        if isinstance(line, Told)
    ]


# Claims, rejections, the account.


def kept(store: MemoryStore, world: World) -> Counter[tuple[str, Claim]]:
    """Accepted and superseded claims, by unit."""
    return Counter(
        (row.unit, claim) for row in store.readings for claim in claims_of(row, names_of(world))
    )


def kept_by_oracle(outcome: Outcome) -> Counter[tuple[str, Claim]]:
    """The same, by the oracle."""
    return Counter((unit, claim) for unit, claims in outcome.claims.items() for claim in claims)


def rejected(store: MemoryStore, world: World) -> Counter[tuple[str, Refusal]]:
    """Rejections of units that were registered, with their reasons."""
    return Counter(
        (row.unit, Refusal(claim, row.reason))
        for row in store.rejections
        for claim in claims_of(row, names_of(world))
    )


def rejected_by_oracle(outcome: Outcome) -> Counter[tuple[str, Refusal]]:
    """All rejections, by the oracle."""
    return Counter((unit, refusal) for unit, found in outcome.rejected.items() for refusal in found)


def names_of(world: World) -> dict[str, list[str]]:
    """Names of points by unit and number."""
    return {unit.code: [point.name for point in unit.points] for unit in world.units}


def claims_of(row: ReadingRow, names: dict[str, list[str]]) -> Iterator[Claim]:
    """The readings of a row."""
    sent_at = np.broadcast_to(row.sent_at, len(row.at)).tolist()
    points = row.names or [names[row.unit][number] for number in row.point.tolist()]
    columns = (points, row.at.tolist(), sent_at, row.value.tolist())
    for point, at, sent, value in zip(*columns, strict=True):
        given = None if row.flags & WITHDRAWN else value
        yield Claim(point, STATEMENTS[row.statement], at, row.rank, row.revision, sent, given)


def of_nobody(store: MemoryStore) -> Counter[str]:
    """Readings kept whole, because no configuration named their unit, by unit."""
    found: Counter[str] = Counter()
    for row in store.refused:
        if row.kind == "unknown unit":
            found[row.unit] += len(json.loads(row.original)["at"])
    return found


def account(store: MemoryStore) -> Account:
    """Counts of classes by unit and business day, where there are any."""
    return {
        key: dict(zip(ACCOUNT_CLASSES, counts, strict=True))
        for key, counts in store.account.items()
        if any(counts)
    }


def account_of_oracle(outcome: Outcome) -> Account:
    """The same, by the oracle."""
    return {
        key: {name: counts[name] for name in CLASSES} for key, counts in outcome.account.items()
    }


def put_in(world: World) -> Counter[tuple[str, str]]:
    """What the doors put into the log, by unit and business day: readings, refused, unreadable."""
    counts: Counter[tuple[str, str]] = Counter()
    for _, _, record in world.log:
        for part in record.body if isinstance(record.body, tuple) else ():
            size = len(part) + len(part.refused) if isinstance(part, Section) else 1
            counts[part.unit, business_day(part.received_at)] += size
    return +counts


# The rest of the tables.


class Tables(NamedTuple):
    """What must be the same, however a log falls into steps."""

    outbox: list[bytes]
    ticks: list[tuple[int, int, int, int, str]]
    rows: list[str]
    hours: dict[str, dict[tuple[int, str], tuple[int, ...]]]
    gaps: dict[str, list[tuple[object, ...]]]
    windows: dict[tuple[str, str, int], bytes]
    lines: dict[tuple[str, str, str, int], bytes]
    account: Account
    states: dict[str, tuple[object, ...]]


def tables(store: MemoryStore) -> Tables:
    """Everything but the blobs of states, whose form is the engine's own."""
    return Tables(
        lines(store),
        sorted(store.ticks),
        sorted(repr(row) for row in (*store.readings, *store.rejections, *store.refused)),
        hours(store),
        {unit: sorted(gaps.values()) for unit, gaps in store.gaps.items() if gaps},
        {key: row.judged for key, row in store.windows.items()},
        {key: row.judged for key, row in store.lines.items()},
        account(store),
        {u: (s.partition, s.ends, s.last_tick, s.live) for u, s in store.states.items()},
    )


def hours(store: MemoryStore) -> dict[str, dict[tuple[int, str], tuple[int, ...]]]:
    """Hour rows that say something."""
    found = {
        unit: {key: row for key, row in rows.items() if any(row)}
        for unit, rows in store.hours.items()
    }
    return {unit: rows for unit, rows in found.items() if rows}
