"""Whoever writes a long past keeps close to its reader: ticks of live units wait behind the records before them."""

import time
from collections.abc import Callable, Mapping

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from ingest.publisher import no_kafka
from schemas.settings import kafka_client

MOST_BEHIND = 2_000
"""Records of a partition that may be written and not yet digested."""
_LOOK_EVERY_S = 0.5
_BOOTSTRAP_MS = 5_000
_SAY_EVERY_S = 10.0


class BackPressure:
    """Holds a writer back while a worker has more than `most` of its records before it."""

    def __init__(
        self, bootstrap: str, *, topic: str, group: str, most: int, say: Callable[[str], None]
    ) -> None:
        """The readings' topic, and the group of the workers who read it. ComplaintError where there is no Kafka."""
        try:
            self._admin = KafkaAdminClient(
                bootstrap_servers=bootstrap.split(","),
                **kafka_client(),
                bootstrap_timeout_ms=_BOOTSTRAP_MS,
            )
        except KafkaError as error:
            raise no_kafka(bootstrap, error) from error
        self._topic, self._group = topic, group
        self._most, self._say = most, say
        self._looked_at = 0.0

    def close(self) -> None:
        """Give the connection up."""
        self._admin.close()

    def wait(self, written: Mapping[int, int]) -> None:
        """Until no partition's reader is further behind what was written of it (its last offset)."""
        if time.monotonic() - self._looked_at < _LOOK_EVERY_S:
            return
        told = time.monotonic()
        while worst := self._furthest(written):
            if time.monotonic() - told > _SAY_EVERY_S:
                told = time.monotonic()
                self._say(
                    f"waiting: the worker of partition {worst[1]} has {worst[0]:,} records before it"
                )
            time.sleep(_LOOK_EVERY_S)
        self._looked_at = time.monotonic()

    def _furthest(self, written: Mapping[int, int]) -> tuple[int, int] | None:
        """(records behind, partition) of the one that is furthest behind, where that is too far.

        A partition that nobody ever read has no reader to wait for.
        """
        try:
            found = self._admin.list_group_offsets(self._group)[self._group]
        except KafkaError:
            return None  # the producer says so, and keeps what it could not write
        behind = [
            (last + 1 - found[place].offset, place.partition)
            for place in found
            if place.topic == self._topic and (last := written.get(place.partition)) is not None
        ]
        worst = max(behind, default=(0, 0))
        return worst if worst[0] > self._most else None
