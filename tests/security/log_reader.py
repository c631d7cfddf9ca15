"""What a moment's doings left in the log."""

from collections import Counter
from contextlib import closing

from kafka import KafkaConsumer, TopicPartition

from schemas import topics
from schemas.section import Record, Section, Unreadable
from schemas.wire import decode
from tests.security.doors import PARTITIONS, Doors


class Log:
    """The records of the log that came after a moment."""

    def __init__(self, doors: Doors, *units: str) -> None:
        """Of these units; of all where none is named."""
        self._units = frozenset(units)
        self._kafka = doors.parts.endpoints().kafka
        self._places = [TopicPartition(topics.READINGS, p) for p in range(PARTITIONS)]
        with closing(KafkaConsumer(bootstrap_servers=self._kafka)) as consumer:
            self._from = self._ends = consumer.end_offsets(self._places)

    def records(self) -> list[Record]:
        found: list[Record] = []
        with closing(KafkaConsumer(bootstrap_servers=self._kafka)) as consumer:
            consumer.assign(self._places)
            for place, offset in self._from.items():
                consumer.seek(place, offset)
            ends = self._ends = consumer.end_offsets(self._places)
            while any(consumer.position(place) < end for place, end in ends.items()):
                for some in consumer.poll(timeout_ms=200).values():
                    found += [decode(one.value) for one in some]
        return found

    def news(self) -> list[Section | Unreadable]:
        """The parts since it was last asked so."""
        found = self.parts()
        self._from = self._ends
        return found

    def parts(self) -> list[Section | Unreadable]:
        return [
            part
            for record in self.records()
            for part in (record.body if isinstance(record.body, tuple) else ())
            if not self._units or part.unit in self._units
        ]

    def message_ids(self) -> Counter[str]:
        """How often each reading's message is there, by fours."""
        found: Counter[str] = Counter()
        for part in self.parts():
            assert isinstance(part, Section)
            codes = part.message
            each = [codes] * len(part) if isinstance(codes, int) else codes.tolist()
            found.update(part.messages[code] for code in each)
        return Counter({name: times // 4 for name, times in found.items()})
