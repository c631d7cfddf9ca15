"""What rules would have told, over what was told of units: how often, on whom, beside other rules, and what they miss.

Nothing of it is stored or sent. Instants are milliseconds of data time.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from alerts.state import Partition, advance
from schemas.alert import Transition
from schemas.calendar import business_day
from schemas.indicator import Message
from schemas.rule import Rules

WORST = 5
"""Units named for each rule, those with most firings."""
SHORT_MS = 15 * 60_000
"""What is over sooner is counted as a flap."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One run of an alert, from its firing to its end."""

    rule: str
    unit: str
    fired_at: int
    ended_at: int | None = None
    ending: str | None = None

    def meets(self, other: "Episode") -> bool:
        """Say whether both fired on one unit at one time."""
        return (
            self.unit == other.unit
            and (other.ended_at is None or self.fired_at <= other.ended_at)
            and (self.ended_at is None or other.fired_at <= self.ended_at)
        )


@dataclass(frozen=True, slots=True)
class RuleTold:
    """What one rule would have told."""

    rule: str
    firings: int
    units: int
    retracted: int
    still_firing: int
    flaps: int
    """Over within a quarter of an hour."""
    busiest_day: str
    on_busiest_day: int
    most_often: Mapping[str, int]
    """Firings of the units that it fires for most often."""
    overlaps: Mapping[str, int]
    """Firings during which a rule in force fires on the same unit too, by that rule."""
    alone: int
    """Firings that no rule in force says anything about."""


@dataclass(frozen=True, slots=True)
class Backtest:
    """Rules that are not yet in force, beside those that are."""

    messages: int
    units: int
    first: int | None
    last: int | None
    rules: tuple[RuleTold, ...]
    missed: Mapping[str, int]
    """Firings of rules in force during which none of the new ones fires on the unit: missed if they took their place."""
    missed_units: Mapping[str, tuple[str, ...]]
    """The first units of these."""


def backtest(
    messages: Iterable[Message], new: Rules, in_force: Rules, *, begin: int, end: int
) -> Backtest:
    """Run both over `messages` (in their order within a partition) and compare what fires in [begin, end)."""
    tried, known = _Run(new), _Run(in_force)
    count = 0
    units: set[str] = set()
    first: int | None = None
    last: int | None = None
    for message in messages:
        if message.as_of >= end:
            continue
        count += 1
        unit = getattr(message, "unit", None)
        if unit:
            units.add(unit)
        first = message.as_of if first is None else min(first, message.as_of)
        last = message.as_of if last is None else max(last, message.as_of)
        tried.hear(message)
        known.hear(message)
    episodes, others = tried.between(begin), known.between(begin)
    here, there = _by_unit(episodes), _by_unit(others)
    missed = [one for one in others if not any(one.meets(episode) for episode in here[one.unit])]
    return Backtest(
        messages=count,
        units=len(units),
        first=first,
        last=last,
        rules=tuple(_told(rule.name, episodes, there) for rule in new),
        missed=dict(Counter(one.rule for one in missed)),
        missed_units={
            rule: tuple(sorted({one.unit for one in missed if one.rule == rule}))[:WORST]
            for rule in {one.rule for one in missed}
        },
    )


class _Run:
    """The alerts of one set of rules, as far as they were heard."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.partitions: dict[int, Partition] = {}
        self.episodes: dict[str, Episode] = {}

    def hear(self, message: Message) -> None:
        here = message.version.partition
        step = advance(self.partitions.get(here, Partition()), (message,), self.rules)
        self.partitions[here] = step.after
        for transition in step.transitions:
            self._note(transition)

    def _note(self, transition: Transition) -> None:
        episode = transition.episode
        if episode is None:
            return
        if transition.state == "firing":
            fired = Episode(transition.rule, transition.unit, transition.at)
            self.episodes.setdefault(episode, fired)
        else:
            began = self.episodes[episode]
            self.episodes[episode] = replace(began, ended_at=transition.at, ending=transition.state)

    def between(self, begin: int) -> list[Episode]:
        """Episodes that fired from `begin` on."""
        return [one for one in self.episodes.values() if one.fired_at >= begin]


def _by_unit(episodes: Iterable[Episode]) -> dict[str, list[Episode]]:
    found: dict[str, list[Episode]] = defaultdict(list)
    for one in episodes:
        found[one.unit].append(one)
    return found


def _told(
    rule: str, episodes: Iterable[Episode], others: Mapping[str, Iterable[Episode]]
) -> RuleTold:
    mine = [one for one in episodes if one.rule == rule]
    days = Counter(business_day(one.fired_at) for one in mine)
    busiest, most = max(days.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    beside = [
        {other.rule for other in others.get(one.unit, ()) if other.meets(one)} for one in mine
    ]
    return RuleTold(
        rule=rule,
        firings=len(mine),
        units=len({one.unit for one in mine}),
        retracted=sum(one.ending == "retracted" for one in mine),
        still_firing=sum(one.ended_at is None for one in mine),
        flaps=sum(
            one.ended_at is not None and one.ended_at - one.fired_at < SHORT_MS for one in mine
        ),
        busiest_day=busiest,
        on_busiest_day=most,
        most_often=dict(Counter(one.unit for one in mine).most_common(WORST)),
        overlaps=dict(Counter(rule for rules in beside for rule in rules)),
        alone=sum(not rules for rules in beside),
    )
