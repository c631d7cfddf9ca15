"""Sections and records: what travels on `weir.readings.v1`, in columns.

A record holds what one door gathered for one partition in a moment: sections of units, or a tick, or a control record.
A column is an array with one entry a reading, or a plain int where it is the same for all of them.
"""

from dataclasses import dataclass
from zlib import crc32

import numpy as np
import numpy.typing as npt

Column = int | npt.NDArray[np.integer]

NEVER = -(2**62)
"""`sent_at` of a reading whose sender told none: before every instant."""

RANKS = {"measured": 5, "corrected": 4, "supplier": 3, "estimated": 2, "manual": 1}
"""Greater wins."""

WITHDRAWN = 1
"""Flag: the reading has no value; it withdraws."""
ROUNDED = 2
"""Flag: more than six decimals were sent; rounded half even, once."""
DECLARED = 4
"""Flag: the unit's entry declares it (a meter's opening or closing register); no door sends it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A single bad reading of a good message: kept whole, with the door's reason."""

    position: int
    """Where in the sender's message, from 0."""
    reason: str
    original: str
    message: str = ""
    """The sender's message id; empty where it told none."""


@dataclass(frozen=True, slots=True)
class Section:
    """What one door took from one unit in one go.

    The columns have one entry a reading, in the order of arrival. `value` is in 10⁻⁶ of the unit of measure
    (0 where withdrawn), instants are in milliseconds.
    """

    unit: str
    received_at: int
    """When the first gateway took it, by its clock."""
    names: tuple[str, ...]
    """Names of points that `point` counts into, from 0."""
    point: Column
    at: npt.NDArray[np.int64]
    value: npt.NDArray[np.int64]
    statement: Column
    """Index into `registry.STATEMENTS`."""
    units_of_measure: tuple[str, ...]
    unit_of_measure: Column
    """Index into `units_of_measure`."""
    rank: Column
    revision: Column
    sent_at: Column
    flags: Column
    messages: tuple[str, ...] = ("",)
    message: Column = 0
    """Index into `messages`, the senders' message ids."""
    ticks: tuple[tuple[int, int], ...] = ()
    """(position, instant) of a unit in history: the tick stands after `position` of the readings above."""
    refused: tuple[Refused, ...] = ()

    def __len__(self) -> int:
        return len(self.at)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A payload of a unit that could not be read at all: its bytes (to a limit), whole length and hash."""

    unit: str
    received_at: int
    reason: str
    payload: bytes
    length: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time as a record: judge the partition's live units at this instant."""

    at: int


@dataclass(frozen=True, slots=True)
class ApplyConfiguration:
    """From this offset on the partition's units of configuration `version` hold."""

    version: int


@dataclass(frozen=True, slots=True)
class HistoryEnds:
    """From this offset on the unit is live."""

    unit: str


@dataclass(frozen=True, slots=True)
class Restated:
    """From this offset on the unit's figures are those of all its readings below, under its newest entry."""

    unit: str
    version: int
    """The configuration that waits to be applied to the unit; 0: work it out again under the one it has."""


Body = tuple[Section | Unreadable, ...] | Tick | ApplyConfiguration | HistoryEnds | Restated


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the log. (door, incarnation, sequence) makes a hole at a door visible."""

    door: str
    incarnation: int
    sequence: int
    body: Body


def partition_of(unit: str, partitions: int) -> int:
    """The partition that owns a unit: CRC-32 of its code modulo the count (stated, so that every door agrees)."""
    return crc32(unit.encode()) % partitions
