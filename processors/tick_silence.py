"""How long no tick came: without ticks live units are not judged, and nothing else looks wrong."""

from collections.abc import Mapping
from typing import NamedTuple


class Silence(NamedTuple):
    """The partition that has waited the longest for a tick."""

    partition: int
    seconds: float


class TickSilence:
    """When each owned partition last had a newer tick, by a monotonic clock; not by the ticks' own time, which a replay has from long ago.

    A partition that never had a tick is not waited for: a log of histories alone has no clock.
    """

    def __init__(self) -> None:
        self._heard: dict[int, tuple[int, float]] = {}

    def own(self, ticks: Mapping[int, int], *, now: float) -> None:
        """Own these partitions alone (last tick of each); those that are new are waited for from now."""
        self._heard = {
            partition: self._heard.get(partition, (tick, now)) for partition, tick in ticks.items()
        }

    def heard(self, ticks: Mapping[int, int], *, now: float) -> None:
        """What is committed: last tick of each partition."""
        for partition, tick in ticks.items():
            if self._heard.get(partition, (-1, 0.0))[0] < tick:
                self._heard[partition] = tick, now

    def longest(self, *, now: float) -> Silence | None:
        """The longest silence; None where no tick is expected. May be asked while another thread tells."""
        heard = self._heard.copy()
        silences = [Silence(partition, now - at) for partition, (_, at) in heard.items()]
        return max(silences, key=lambda one: one.seconds, default=None)
