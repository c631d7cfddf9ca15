"""What the engine asks of its store, and what it hands over after a step.

The engine is a generator: it yields `Needs` and is sent `Fetched`, as often as it must, and returns a `Step`.
The shell that drives it answers from the committed rows; the engine lays over them what it has decided and not yet handed over.
"""

from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from schemas.registry import Unit

Ints = npt.NDArray[np.int64]
Result = TypeVar("Result")

HOUR_FIELDS = (
    "best",
    "unknown_best",
    "unknown_high",
    "measured_ms",
    "inexact",
    "before_low",
    "before_high",
    "after_low",
    "after_high",
    "fingerprint",
)
"""Columns of an hour row, all int64 and additive over pieces (amounts in 10⁻⁶ of the unit of measure).

`best`: best amount of everything but open ends.
`unknown_best`, `unknown_high`: the part of it that is under unknown pieces, and their high, lifts included.
`measured_ms`: point-time under exact pieces. `inexact`: point-milliseconds under whatever makes the hour inexact, and 1 a lift (0 = exact).
`before_*`, `after_*`: for pieces that cross the *beginning* of this hour and are not in the gap table,
their bounds before (after) that edge less their best there, summed.
`fingerprint`: sum over the known pieces that touch the hour of a 64-bit hash of each: equal rows come of equal pieces.
"""


class OutsideError(Exception):
    """Something between the engine and its tables: neither a record's fault nor the engine's."""


class RowsRefusedError(Exception):
    """The tables are there, and will never take these rows."""


class Span(NamedTuple):
    """Claims of one point and statement with from_at ≤ instant < to_at."""

    unit: str
    point: int
    statement: int
    from_at: int
    to_at: int


class HourSpan(NamedTuple):
    """Hour rows of one unit, all its quantities, with from_hour ≤ hour < to_hour (hours since the epoch)."""

    unit: str
    from_hour: int
    to_hour: int


class GapSpan(NamedTuple):
    """Gaps of one point (all points: -1) that overlap or touch [from_at, to_at]: start ≤ to_at and end ≥ from_at."""

    unit: str
    point: int
    from_at: int
    to_at: int


class Rebuild(NamedTuple):
    """A unit to be worked out again from all its stored readings."""

    entry: Unit
    """Under which they count."""
    before: Unit
    """Under which they are stored: what their points' numbers mean."""
    version: int
    """The entry's configuration."""
    place: tuple[int, int]
    """(partition, offset) of the control record: where what is admitted now is written."""
    live: bool
    """Whether rejected readings can be too old."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Rows that the engine must see before it can go on."""

    claims: tuple[Span, ...] = ()
    hours: tuple[HourSpan, ...] = ()
    gaps: tuple[GapSpan, ...] = ()
    rebuild: Rebuild | None = None

    def units(self) -> set[str]:
        """Units whose rows are asked for."""
        return {span.unit for spans in (self.claims, self.hours, self.gaps) for span in spans}


class Claim(NamedTuple):
    """A stored claim, or (rejected True) one that was rejected as `faster than rated`."""

    unit: str
    point: int
    statement: int
    at: int
    rank: int
    revision: int
    sent_at: int
    value: int
    withdrawn: bool
    rejected: bool
    declared: bool = False
    """By the unit's entry: the register of a meter that begins or ends."""


class Hour(NamedTuple):
    """One stored hour row: unit, quantity, hour, and the numbers of HOUR_FIELDS."""

    unit: str
    quantity: str
    hour: int
    numbers: tuple[int, ...]


class Gap(NamedTuple):
    """A piece of a point's timeline that hours alone cannot bound.

    kind: `known` (longer than an hour or than cadence and tolerance, or several values possible), `leading`, `event`; `bounded`: what
    a total leaves over (low = high) for the time that its span has unknown, from the first such time to the last.
    """

    unit: str
    point: int
    start: int
    end: int
    kind: str
    low: int
    high: int
    from_register: int | None
    to_register: int | None
    parts: tuple[int, ...] = ()
    """Of a bounded one: start and end of each part, one after the other."""
    total: int | None = None
    """By which it is bounded."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A unit as all its readings make it, told to nobody yet.

    Per point (by number): the end of what is covered. Per series (point number, statement):
    one millisecond after its last claim, its head's instant and register.
    """

    hours: dict[tuple[int, str], tuple[int, ...]]
    """(hour, quantity) → numbers."""
    gaps: tuple["Gap", ...]
    ends: tuple[int, ...]
    heads: dict[tuple[int, int], tuple[int, int, int]]
    last_known_gap: int
    admitted: tuple["ReadingRow", ...]
    """Readings that were rejected, declared or another point's, and count now."""
    too_fast: tuple["ReadingRow", ...]
    """Readings that are too fast for the point that they are of now."""
    passed_over: int
    """Stored readings that the entry no longer admits."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The answer to a `Needs`."""

    claims: tuple[Claim, ...] = ()
    hours: tuple[Hour, ...] = ()
    gaps: tuple[Gap, ...] = ()
    rebuilt: Rebuilt | None = None


class ReadingRow(NamedTuple):
    """A row of `reading_record` or `rejection_record`: readings of one section and business day that share all scalars.

    The arrays have the same length, at most 120. `sent_at` is an array or one value. A rejection has a reason;
    where its point is unknown, `point` holds -1 and `names` the names.
    """

    unit: str
    day: int
    """Days since 1970-01-01 on the business calendar."""
    first_at: int
    last_at: int
    partition: int
    offset: int
    part: int
    received_at: int
    statement: int
    rank: int
    revision: int
    flags: int
    message: str
    sent_at: Ints | int
    point: npt.NDArray[np.int16]
    at: Ints
    value: Ints
    reason: str = ""
    names: tuple[str, ...] = ()
    unit_of_measure: str = ""
    """As it was sent, where the reason leaves it open: told of no other rejection."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """What the door refused (a single reading) or could not read (`unreadable`)."""

    unit: str
    received_at: int
    partition: int
    offset: int
    part: int
    kind: str
    reason: str
    original: bytes
    length: int
    sha256: str


class WindowRow(NamedTuple):
    """A day, month or year as last told. `figures` is the JSON of `indicator.Judged`."""

    unit: str
    kind: str
    start: int
    end: int
    as_of: int
    offset: int
    position: int
    judged: bytes


class LineRow(NamedTuple):
    """A day, month or year of a product line as last told. `judged` is the JSON of `indicator.LineJudged`."""

    unit: str
    line: str
    kind: str
    start: int
    end: int
    as_of: int
    offset: int
    position: int
    judged: bytes


class OutboxRow(NamedTuple):
    """One message for `weir.indicators.v1`, in the order of (offset, position, number)."""

    partition: int
    offset: int
    position: int
    number: int
    key: str
    payload: bytes


class FeedbackRow(NamedTuple):
    """What a unit hears of what was refused in a record: the JSON of `feedback.Refused`, in the order of (offset, number)."""

    partition: int
    offset: int
    number: int
    unit: str
    payload: bytes


class UnitState(NamedTuple):
    """A unit's state after the step. `ends` is per point (in order of point numbers) the end of what is covered."""

    unit: str
    partition: int
    ends: tuple[int, ...]
    last_tick: int | None
    live: bool
    blob: bytes


class EntryRow(NamedTuple):
    """What a step makes of a known unit's entry. `waits`: it is to come into force once the unit is restated."""

    unit: Unit
    version: int
    waits: bool
    restated: bool


ACCOUNT_CLASSES = ("accepted", "repeated", "superseded", "rejected", "unreadable")


@dataclass(frozen=True, slots=True)
class Step:
    """Everything one transaction writes. Positions: partition → (first offset, next offset)."""

    positions: dict[int, tuple[int, int]] = field(default_factory=dict)
    readings: tuple[ReadingRow, ...] = ()
    rejections: tuple[ReadingRow, ...] = ()
    refused: tuple[RefusedRow, ...] = ()
    hours: tuple[tuple[str, str, int], ...] = ()
    """(unit, quantity, hour) of each row of `hour_numbers`."""
    hour_numbers: Ints = field(
        default_factory=lambda: np.empty((0, len(HOUR_FIELDS)), dtype=np.int64)
    )
    """Hour rows as they now are (not differences)."""
    gaps_ended: tuple[Gap, ...] = ()
    """Gaps to delete, by (unit, point, start)."""
    gaps: tuple[Gap, ...] = ()
    windows: tuple[WindowRow, ...] = ()
    lines: tuple[LineRow, ...] = ()
    states: tuple[UnitState, ...] = ()
    account: dict[tuple[str, str], tuple[int, ...]] = field(default_factory=dict)
    """(unit, business day of received_at) → what to add to each of ACCOUNT_CLASSES."""
    outbox: tuple[OutboxRow, ...] = ()
    feedback: tuple[FeedbackRow, ...] = ()
    ticks: tuple[tuple[int, int, int, int, str], ...] = ()
    """(partition, offset, position, instant, unit or empty)."""
    controls: tuple[tuple[int, int, str], ...] = ()
    """(partition, offset, text)."""
    entries: tuple[EntryRow, ...] = ()
    doors: tuple[tuple[int, str, int, int], ...] = ()
    """(partition, door, incarnation, last sequence)."""
    holes: int = 0
    """Sequence numbers of doors that never came."""


def side_by_side(
    askings: Iterable[Generator[Needs, Fetched, Result]],
) -> Generator[Needs, Fetched, list[Result]]:
    """Run them together: what all of them need next is asked for at once. Each is sent the rows of its units."""
    running = dict(enumerate(askings))
    results: dict[int, Result] = {}
    needs: dict[int, Needs] = {}
    answers = dict.fromkeys(running, Fetched())
    while running:
        for number, asking in list(running.items()):
            try:
                needs[number] = asking.send(answers[number]) if number in needs else next(asking)
            except StopIteration as end:
                results[number] = end.value
                del running[number]
        if running:
            fetched = yield _all_of(needs[number] for number in running)
            answers = _shared_out(fetched, {number: needs[number] for number in running})
    return [results[number] for number in sorted(results)]


def _all_of(needs: Iterable[Needs]) -> Needs:
    asked = list(needs)
    return Needs(
        claims=tuple(span for one in asked for span in one.claims),
        hours=tuple(span for one in asked for span in one.hours),
        gaps=tuple(span for one in asked for span in one.gaps),
    )


def _shared_out(fetched: Fetched, needs: Mapping[int, Needs]) -> dict[int, Fetched]:
    claims: dict[str, list[Claim]] = defaultdict(list)
    hours: dict[str, list[Hour]] = defaultdict(list)
    gaps: dict[str, list[Gap]] = defaultdict(list)
    for claim in fetched.claims:
        claims[claim.unit].append(claim)
    for hour in fetched.hours:
        hours[hour.unit].append(hour)
    for gap in fetched.gaps:
        gaps[gap.unit].append(gap)
    return {
        number: Fetched(
            claims=tuple(row for unit in sorted(one.units()) for row in claims[unit]),
            hours=tuple(row for unit in sorted(one.units()) for row in hours[unit]),
            gaps=tuple(row for unit in sorted(one.units()) for row in gaps[unit]),
        )
        for number, one in needs.items()
    }
