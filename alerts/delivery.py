"""Sends what waits in the outbox, outside of any transaction; of each alert in its order.

A crash between a channel's answer and its record sends the same transition again, under the same
idempotency key.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from alerts.channels import Channel, Outcome, Telling
from alerts.metrics import Metrics
from alerts.store import Due, StoppedError, Waiting

logger = logging.getLogger(__name__)

LONGEST_S = 300.0
"""The longest back-off of one delivery."""
CHANNEL_LONGEST_S = 15.0
"""The longest a channel is left alone that takes nothing: as long may a recovery go unnoticed."""
MEASURE_S = 5.0
"""How often it is measured what waits."""
LIMIT = 256
"""Deliveries looked up at once."""


class Outbox(Protocol):
    """What is to be sent, and what became of it: alerts.store.Store, or a fake."""

    def due(self, channel: str, epochs: Mapping[int, int], limit: int) -> list[Due]:
        """Return what the channel is to be told now."""

    def record_delivered(self, due: Due, *, repeat_seconds: float) -> None:
        """The channel has it."""

    def record_retry(self, due: Due, *, reason: str, seconds: float) -> None:
        """The channel did not take it now."""

    def record_refused(self, due: Due, *, reason: str) -> None:
        """The channel will never take it."""

    def waiting(self, channel: str) -> Waiting:
        """Return how much waits."""


def back_off(attempts: int) -> float:
    """Seconds until the next attempt after `attempts` of them: 1, 2, 4 ... up to five minutes."""
    return min(2.0 ** min(attempts, 20), LONGEST_S)


class Delivery:
    """One pass after the other over the channels, in a thread of its own."""

    def __init__(
        self,
        *,
        outbox: Outbox,
        channels: Sequence[Channel],
        epochs: Callable[[], Mapping[int, int]],
        metrics: Metrics,
        repeat_seconds: float,
        clock: Callable[[], float],
        idle_seconds: float = 1.0,
        at_point: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`epochs` tells which partitions are ours; `clock` is monotonic, in seconds; `at_point` is for tests."""
        self._outbox = outbox
        self._channels = tuple(channels)
        self._epochs = epochs
        self._metrics = metrics
        self._repeat_seconds = repeat_seconds
        self._clock = clock
        self._idle_seconds = idle_seconds
        self._at_point = at_point
        self._not_before = dict.fromkeys((channel.name for channel in channels), 0.0)
        self._failures = dict.fromkeys((channel.name for channel in channels), 0)
        self._measure_at = 0.0
        self._woken = threading.Event()
        self._stopped = threading.Event()

    def wake(self) -> None:
        """There is something new."""
        self._woken.set()

    def stop(self) -> None:
        """End after what is being sent."""
        self._stopped.set()
        self._woken.set()

    def run(self) -> None:
        """Deliver until stopped."""
        while not self._stopped.is_set():
            try:
                more = self._pass()
            except StoppedError:
                return
            if not more:
                self._woken.wait(self._idle_seconds)
                self._woken.clear()

    def _pass(self) -> bool:
        """Go over the channels once; say whether there may be more to send at once."""
        more = False
        for channel in self._channels:
            more |= self.deliver(channel)
        if self._clock() >= self._measure_at:
            self._measure()
            self._measure_at = self._clock() + MEASURE_S
        return more

    def deliver(self, channel: Channel) -> bool:
        """Send what is due on one channel; say whether there may be more.

        There may be whenever something was sent: of each alert only its next waits to be sent.
        """
        if self._clock() < self._not_before[channel.name]:
            return False
        due = self._outbox.due(channel.name, self._epochs(), LIMIT)
        for first in range(0, len(due), channel.at_once):
            if self._stopped.is_set() or not self._send(
                channel, due[first : first + channel.at_once]
            ):
                return False
        return bool(due)

    def _send(self, channel: Channel, due: Sequence[Due]) -> bool:
        """Send some together; say whether the channel answers at all."""
        outcome = channel.notify([Telling(one.notice, one.fired_at, one.extra) for one in due])
        if outcome.result == "refused" and len(due) > 1:
            # One of them is at fault: the others must not suffer for it.
            return all(self._send(channel, [one]) for one in due)
        if outcome.result == "delivered":
            self._at_point("alert delivered")
        for one in due:
            self._record(channel, one, outcome)
        if outcome.result == "retry":
            self._failures[channel.name] += 1
            pause = min(back_off(self._failures[channel.name] - 1), CHANNEL_LONGEST_S)
            self._not_before[channel.name] = self._clock() + pause
            return False
        self._failures[channel.name] = 0
        return True

    def _record(self, channel: Channel, due: Due, outcome: Outcome) -> None:
        self._metrics.count_delivery(channel.name, outcome.why)
        told = {"transition": due.transition, "channel": channel.name, "reason": outcome.reason}
        if outcome.result == "delivered":
            self._outbox.record_delivered(due, repeat_seconds=self._repeat_seconds)
        elif outcome.result == "refused" and not due.again:
            logger.error("notification refused for good", extra=told)
            self._outbox.record_refused(due, reason=outcome.reason)
        else:
            logger.warning("notification to be tried again", extra=told)
            # What is repeated must be heard again before it is forgotten.
            seconds = self._repeat_seconds / 4 if due.again else back_off(due.attempts)
            self._outbox.record_retry(due, reason=outcome.reason, seconds=seconds)

    def _measure(self) -> None:
        for channel in self._channels:
            waiting = self._outbox.waiting(channel.name)
            self._metrics.show_waiting(channel.name, waiting.number, waiting.oldest_seconds)
