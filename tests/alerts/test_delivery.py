"""When what is sent again, in which order; with a clock and an outbox of the test's own."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from alerts.channels import DELIVERED, Outcome, Telling
from alerts.delivery import CHANNEL_LONGEST_S, LONGEST_S, Delivery, back_off
from alerts.metrics import Metrics
from alerts.routing import notice
from alerts.store import Due, Waiting
from schemas.rule import Rule
from tests.alerts.logs import START, indicator, told

AWAY = Outcome("retry", "unreachable", "nobody there")
NEVER = Outcome("refused", "refused", "400 bad")
RULE = Rule(name="r", kind="confirmed breach", severity="critical")
(FIRING,) = (notice(one, RULE) for one in told([indicator(0, START, "x")], (RULE,)))


def due(name: str, *, attempts: int = 0, again: bool = False) -> Due:
    return Due(name, "c", attempts, again, START, FIRING.model_copy(update={"id": name}))


@dataclass
class Outbox:
    """Remembers what is recorded."""

    waits: list[Due] = field(default_factory=list)
    recorded: list[tuple[str, ...]] = field(default_factory=list)

    def due(self, channel: str, epochs: Mapping[int, int], limit: int) -> list[Due]:
        assert (channel, epochs) == ("c", {0: 1})
        return self.waits[:limit]

    def record_delivered(self, due: Due, *, repeat_seconds: float) -> None:
        self.recorded.append(("delivered", due.transition, f"{repeat_seconds:g}"))

    def record_retry(self, due: Due, *, reason: str, seconds: float) -> None:
        self.recorded.append(("retry", due.transition, reason, f"{seconds:g}"))

    def record_refused(self, due: Due, *, reason: str) -> None:
        self.recorded.append(("refused", due.transition, reason))

    def waiting(self, channel: str) -> Waiting:
        assert channel == "c"
        return Waiting(len(self.waits), 7.0)


@dataclass
class Channel:
    """Answers as it is told: by the transition's id, else with `outcome`."""

    outcome: Outcome = DELIVERED
    bad: frozenset[str] = frozenset()
    name: str = "c"
    repeats: bool = True
    at_once: int = 1
    told: list[list[str]] = field(default_factory=list)

    def notify(self, tellings: Sequence[Telling]) -> Outcome:
        ids = [telling.notice.id for telling in tellings]
        self.told.append(ids)
        return NEVER if self.bad & set(ids) else self.outcome


class Wall:
    """Seconds that pass when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def delivery(outbox: Outbox, channel: Channel, clock: Wall) -> Delivery:
    return Delivery(
        outbox=outbox,
        channels=[channel],
        epochs=lambda: {0: 1},
        metrics=Metrics(["c"]),
        repeat_seconds=60,
        clock=clock,
    )


def test_back_off() -> None:
    """It doubles, and never exceeds five minutes, however often it was tried."""
    assert [back_off(n) for n in range(4)] == [1, 2, 4, 8]
    assert back_off(9) == back_off(10_000) == LONGEST_S


def test_what_is_delivered_is_recorded() -> None:
    """Each on its own, in the order of the outbox."""
    outbox, channel = Outbox([due("a"), due("b")]), Channel()
    assert delivery(outbox, channel, Wall()).deliver(channel)
    assert channel.told == [["a"], ["b"]]
    assert outbox.recorded == [("delivered", "a", "60"), ("delivered", "b", "60")]


def test_several_at_once() -> None:
    outbox, channel = Outbox([due(name) for name in "abcde"]), Channel(at_once=2)
    delivery(outbox, channel, Wall()).deliver(channel)
    assert channel.told == [["a", "b"], ["c", "d"], ["e"]]
    assert [one[1] for one in outbox.recorded] == list("abcde")


def test_one_bad_one_does_not_hold_up_the_others() -> None:
    """Of some that are refused together each is sent alone, and only the bad one is refused."""
    outbox, channel = Outbox([due(name) for name in "abc"]), Channel(at_once=3, bad=frozenset("b"))
    delivery(outbox, channel, Wall()).deliver(channel)
    assert channel.told == [["a", "b", "c"], ["a"], ["b"], ["c"]]
    assert [one[:2] for one in outbox.recorded] == [
        ("delivered", "a"),
        ("refused", "b"),
        ("delivered", "c"),
    ]


def test_a_channel_that_is_away_is_left_alone_for_a_while() -> None:
    """After the first that is not taken nothing else is tried; longer each time, to a limit."""
    outbox, channel, clock = Outbox([due("a", attempts=3), due("b")]), Channel(AWAY), Wall()
    sender = delivery(outbox, channel, clock)
    assert not sender.deliver(channel)
    assert outbox.recorded == [("retry", "a", "nobody there", "8")]
    pauses = []
    for _ in range(6):
        began = clock.now
        seen = len(channel.told)
        while len(channel.told) == seen:
            clock.now += 0.5
            sender.deliver(channel)
        pauses.append(clock.now - began)
    assert pauses == [1, 2, 4, 8, CHANNEL_LONGEST_S, CHANNEL_LONGEST_S]
    channel.outcome = DELIVERED
    clock.now += CHANNEL_LONGEST_S
    assert sender.deliver(channel)
    assert sender.deliver(channel)


def test_what_is_repeated_is_not_put_off() -> None:
    """Alertmanager forgets after four intervals: a repetition is tried again well before."""
    outbox, channel = Outbox([due("a", attempts=500, again=True)]), Channel(AWAY)
    delivery(outbox, channel, Wall()).deliver(channel)
    assert outbox.recorded == [("retry", "a", "nobody there", "15")]


def test_a_refused_repetition_is_tried_again() -> None:
    """It was taken once: whatever the channel says now, the alert goes on."""
    outbox, channel = Outbox([due("a", again=True)]), Channel(NEVER)
    delivery(outbox, channel, Wall()).deliver(channel)
    assert outbox.recorded == [("retry", "a", "400 bad", "15")]


def test_run_ends_when_it_is_stopped() -> None:
    """What waits is measured, and `stop` does not wait for the next pass."""
    outbox, channel = Outbox(), Channel()
    metrics = Metrics(["c"])
    sender = Delivery(
        outbox=outbox,
        channels=[channel],
        epochs=lambda: {0: 1},
        metrics=metrics,
        repeat_seconds=60,
        clock=Wall(),
        idle_seconds=60,
    )
    thread = threading.Thread(target=sender.run)
    thread.start()
    sender.stop()
    thread.join(10)
    assert not thread.is_alive()
    oldest = metrics.registry.get_sample_value(
        "weir_alerts_oldest_undelivered_seconds", {"channel": "c"}
    )
    assert oldest in {0.0, 7.0}
