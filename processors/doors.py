"""The doors' sequences: a hole means that a record was lost on its way, and is an alarm."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from schemas.section import Record


@dataclass(slots=True)
class Doors:
    """Per partition and door the incarnation and sequence last seen."""

    last: dict[tuple[int, str], tuple[int, int]] = field(default_factory=dict)

    def take(
        self, records: Iterable[tuple[int, int, Record]]
    ) -> tuple[tuple[tuple[int, str, int, int], ...], int]:
        """Rows (partition, door, incarnation, last sequence) of the doors that these records came by, and how many sequences are missing.

        A door begins each incarnation at sequence 0. A sequence seen before is a record delivered twice.
        """
        holes = 0
        seen: set[tuple[int, str]] = set()
        for partition, _, record in records:
            key = partition, record.door
            incarnation, sequence = self.last.get(key, (record.incarnation, -1))
            if incarnation != record.incarnation:
                sequence = -1
            holes += max(0, record.sequence - sequence - 1)
            self.last[key] = record.incarnation, max(sequence, record.sequence)
            seen.add(key)
        return tuple((*key, *self.last[key]) for key in sorted(seen)), holes

    def forget(self, partitions: Iterable[int]) -> None:
        """Drop these partitions."""
        gone = set(partitions)
        self.last = {key: value for key, value in self.last.items() if key[0] not in gone}
