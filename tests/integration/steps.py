"""Steps for the store's tests, by hand and at random."""

from collections.abc import Iterable

import numpy as np

from processors.ports import (
    HOUR_FIELDS,
    Gap,
    Ints,
    OutboxRow,
    ReadingRow,
    RefusedRow,
    Step,
    UnitState,
    WindowRow,
)
from schemas.calendar import DAY_MS, HOUR_MS, OFFSET_MS

UNIT = "91510100MA00000001"
OTHER = "91510100MA00000002"
NOON = 1_790_000_000_000 - 1_790_000_000_000 % DAY_MS + 4 * HOUR_MS
"""Noon of a business day."""


def column(*values: int) -> Ints:
    """An int64 column."""
    return np.array(values, dtype=np.int64)


def reading_row(
    at: Ints,
    value: Ints,
    *,
    unit: str = UNIT,
    point: Iterable[int] = (),
    offset: int = 0,
    part: int = 0,
    partition: int = 0,
    statement: int = 0,
    sent_at: Ints | int = 5,
    flags: int = 0,
    rank: int = 5,
    revision: int = 0,
    reason: str = "",
    names: tuple[str, ...] = (),
) -> ReadingRow:
    """A row of readings, all of point 0 unless told."""
    points = np.array([*point] or [0] * len(at), dtype=np.int16)
    return ReadingRow(
        unit=unit,
        day=int((at[0] + OFFSET_MS) // DAY_MS),
        first_at=int(at.min()),
        last_at=int(at.max()),
        partition=partition,
        offset=offset,
        part=part,
        received_at=int(at.max()) + 1000,
        statement=statement,
        rank=rank,
        revision=revision,
        flags=flags,
        message="m-1",
        sent_at=sent_at,
        point=points,
        at=at,
        value=value,
        reason=reason,
        names=names,
    )


def step(first: int = 0, following: int = 1, *, partition: int = 0) -> Step:
    """A step that only advances one partition."""
    return Step(positions={partition: (first, following)})


def full_step(first: int = 0, following: int = 3, *, partition: int = 0) -> Step:
    """One row of everything."""
    hour = NOON // HOUR_MS
    return Step(
        positions={partition: (first, following)},
        readings=(
            reading_row(
                column(NOON, NOON + 60_000), column(1, 2**62), point=(0, 3999), offset=first
            ),
            reading_row(
                column(NOON + 1), column(7), unit=OTHER, offset=first, part=1, sent_at=column(NOON)
            ),
        ),
        rejections=(
            reading_row(
                column(NOON + 5), column(9), offset=first, statement=1, reason="faster than rated"
            ),
            reading_row(
                column(NOON + 6),
                column(9),
                point=(-1,),
                offset=first,
                part=1,
                reason="unknown point",
                names=("水表",),
            ),
        ),
        refused=(
            RefusedRow(
                UNIT, NOON, partition, first, 0, "unreadable", "not JSON", b"\xff\0", 2, "ab"
            ),
        ),
        hours=((UNIT, "electricity", hour), (OTHER, "output", hour)),
        hour_numbers=np.arange(2 * len(HOUR_FIELDS), dtype=np.int64).reshape(2, -1) - 3,
        gaps=(
            Gap(UNIT, 0, NOON, NOON + DAY_MS, "known", 5, 5, 1, 6),
            Gap(UNIT, 1, NOON, NOON + DAY_MS, "leading", 0, 9, None, 6),
        ),
        windows=(
            WindowRow(
                UNIT, "day", NOON, NOON + DAY_MS, NOON, first, 0, b'{"window": "day", "end": 1}'
            ),
        ),
        states=(
            UnitState(UNIT, partition, (1, 2, 3), None, True, b"\0blob"),  # noqa: FBT003 - as in the ports
            UnitState(OTHER, partition, (), NOON, False, b""),  # noqa: FBT003
        ),
        account={(UNIT, "2026-11-23"): (1, 2, 3, 4, 5), (OTHER, "2026-11-23"): (1, 0, 0, 0, 0)},
        outbox=(
            OutboxRow(partition, first, 0, 0, UNIT, b'{"a": 1}'),
            OutboxRow(partition, first, 0, 1, OTHER, b"{}"),
        ),
        ticks=((partition, first, 0, NOON, ""), (partition, first, 0, NOON, UNIT)),
        controls=((partition, first + 1, "apply configuration 1"),),
        doors=((partition, "mqtt", 2, 17),),
        holes=1,
    )
