"""Cases: one fact as people hear of it. An alert alone, or many alerts with one cause.

What may have a common cause waits a short while for its like: units without data (a network, a city, a province), verdicts changed by one
configuration or one change of factors, or by late data of one city. Three units with the same key are one case; whoever comes later joins
it without a word. Ends are gathered the same way. Instants are milliseconds of the wall clock, and arguments.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Literal, NamedTuple

from alerts.evaluation import is_confirmed
from schemas.alert import Cause, Notice
from schemas.rule import SEVERITIES, Severity

CaseKind = Literal["alert", "outage", "change", "late data", "ended together"]
What = Literal["opened", "grown", "worse", "closed"]

RECENT_MS = 30 * 60_000
"""Alerts told alone not longer ago are still taken into an outage, or a wave of late data."""
PATIENCE_MS = 10 * 60_000
"""A case that grows to twice its size is told again, and not more often than this."""
OPEN_FOR_ENDS_MS = 60 * 60_000
"""How long ends by one cause join those told before."""

_KINDS: Mapping[str, CaseKind] = {
    "network": "outage",
    "city": "outage",
    "province": "outage",
    "late": "late data",
}
_CHANGES: frozenset[Cause] = frozenset({"limit", "factor", "restatement", "rule"})


@dataclass(frozen=True, slots=True)
class Arrival:
    """A transition that no case has yet, where its unit is, and when it was stored."""

    notice: Notice
    region: str
    """GB/T 2260; empty where the registry has none."""
    stored_at: int


class Member(NamedTuple):
    """An alert of a case."""

    episode: str
    unit: str
    region: str
    rule: str
    kind: str
    severity: Severity
    keys: tuple[str, ...]
    """What it may share with others."""
    firing: bool = True
    ended_by: str | None = None
    """Id of the transition that ended it."""


@dataclass(frozen=True, slots=True)
class Case:
    """One fact, and the alerts that it is made of."""

    id: str
    kind: CaseKind
    scope: str
    severity: Severity
    region: str
    began_at: int
    """Data time of its first alert."""
    opened_at: int
    members: tuple[Member, ...]
    told: int = 0
    told_at: int = 0
    closed_at: int | None = None
    ending: str | None = None
    """How it ended: resolved, retracted, `confirmed` (told as a breach), `part of` another."""

    @property
    def units(self) -> tuple[str, ...]:
        """All of it, in alphabetical order."""
        return tuple(sorted({one.unit for one in self.members}))

    @property
    def firing(self) -> tuple[Member, ...]:
        """Whose alert still fires."""
        return tuple(one for one in self.members if one.firing)


class Word(NamedTuple):
    """Something that people are to hear."""

    what: What
    cases: tuple[str, ...]


@dataclass(slots=True)
class Step:
    """What arrivals made of the cases."""

    cases: dict[str, Case] = field(default_factory=dict)
    """Those that are new or changed."""
    words: list[Word] = field(default_factory=list)
    alone: list[tuple[str, str]] = field(default_factory=list)
    """(transition, case): told as it is."""
    absorbed: list[tuple[str, str]] = field(default_factory=list)
    """(transition, case): told as a part of the case alone."""
    again: list[str] = field(default_factory=list)
    """Episodes that were a part of a case and are told as they are from now on."""
    passed: list[str] = field(default_factory=list)
    """Transitions of no case: an end whose firing nobody heard of."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """What makes alerts one case, and how long they wait for each other."""

    gather_ms: int
    many: int = 3
    """Units with one key that are one case."""
    networks: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Units that share something, by its name."""


def decide(
    open_cases: Iterable[Case], arrivals: Sequence[Arrival], grouping: Grouping, *, now: int
) -> Step:
    """Return what `arrivals` (in the order they were stored) make of the cases that are open."""
    return _Decision(open_cases, grouping, now).made_of(arrivals)


def keys_of(notice: Notice, region: str, networks: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """What a firing may share with others, the widest first."""
    judged = notice.evidence.judged
    missing = (
        notice.kind == "cannot be judged"
        and judged is not None
        and judged.against(notice.evidence.regime).reason == "missing data"
    )
    if notice.kind == "silent points" or missing:
        shared = tuple(
            f"network:{name}" for name, units in sorted(networks.items()) if notice.unit in units
        )
        return (*_places(region)[:1], *shared, *_places(region)[1:])
    return _cause_keys(notice, notice.began_by, region)


def _cause_keys(notice: Notice, cause: Cause, region: str) -> tuple[str, ...]:
    if notice.evidence.judged is None:
        return ()
    if cause in _CHANGES:
        return (f"{cause}:{notice.evidence.configuration}",)
    return (f"late:{region[:4]}00",) if cause == "late reading" and region else ()


def _places(region: str) -> tuple[str, ...]:
    return (f"province:{region[:2]}0000", f"city:{region[:4]}00") if region else ()


class _Decision:
    """One step in the making."""

    def __init__(self, open_cases: Iterable[Case], grouping: Grouping, now: int) -> None:
        self.cases = {one.id: one for one in open_cases}
        self.by_episode = {m.episode: one.id for one in self.cases.values() for m in one.members}
        self.grouping = grouping
        self.now = now
        self.step = Step()

    def made_of(self, arrivals: Sequence[Arrival]) -> Step:
        firings = [one for one in arrivals if one.notice.state == "firing"]
        self._take_firings(firings)
        self._take_ends([one for one in arrivals if one.notice.state != "firing"], firings)
        for case in list(self.cases.values()):
            self._close_or_tell(case)
        return self.step

    def _put(self, case: Case) -> None:
        worst = min((m.severity for m in case.members), key=SEVERITIES.index)
        case = replace(case, severity=worst)
        self.cases[case.id] = case
        self.step.cases[case.id] = case
        for member in case.members:
            self.by_episode[member.episode] = case.id

    # ---- What fires

    def _take_firings(self, firings: Sequence[Arrival]) -> None:
        pool: list[tuple[Arrival, Member]] = []
        for arrival in firings:
            member = self._member(arrival)
            if member.episode in self.by_episode:  # it fires again: its history ended
                self.step.alone.append((arrival.notice.id, self.by_episode[member.episode]))
                continue
            joined = self._group_with(member.keys)
            if joined is None:
                pool.append((arrival, member))
            else:
                self._join(joined, arrival, member)
        for arrival, member in self._group(pool):
            if not member.keys or self._has_waited(arrival):
                self._open_alone(arrival, member)

    def _member(self, arrival: Arrival) -> Member:
        notice = arrival.notice
        keys = keys_of(notice, arrival.region, self.grouping.networks)
        return Member(
            notice.episode or notice.id,
            notice.unit,
            arrival.region,
            notice.rule,
            notice.kind,
            notice.severity,
            keys,
        )

    def _has_waited(self, arrival: Arrival) -> bool:
        return self.now - arrival.stored_at >= self.grouping.gather_ms

    def _group_with(self, keys: Iterable[str]) -> Case | None:
        """The open case of many that one of these keys belongs to."""
        for key in keys:
            for case in self.cases.values():
                if (
                    case.scope == key
                    and case.kind not in {"alert", "ended together"}
                    and case.closed_at is None
                ):
                    return case
        return None

    def _join(self, case: Case, arrival: Arrival, member: Member) -> None:
        self.step.absorbed.append((arrival.notice.id, case.id))
        worse = SEVERITIES.index(member.severity) < SEVERITIES.index(case.severity)
        self._put(replace(case, members=(*case.members, member)))
        if worse:
            self.step.words.append(Word("worse", (case.id,)))

    def _group(self, pool: list[tuple[Arrival, Member]]) -> list[tuple[Arrival, Member]]:
        """Make cases of those that are many; return the others."""
        sharing: dict[str, list[tuple[Arrival, Member]]] = defaultdict(list)
        for arrival, member in pool:
            for key in member.keys:
                sharing[key].append((arrival, member))
        taken: set[str] = set()
        for key in sorted(sharing, key=_width):
            here = [(arrival, m) for arrival, m in sharing[key] if m.episode not in taken]
            if not any(self._has_waited(arrival) for arrival, _ in here):
                continue
            alone = [case for case in self.cases.values() if self._belongs(case, key)]
            members = [member for _, member in here] + [m for case in alone for m in case.firing]
            if self._are_many(key, members):
                self._open_many(key, here, alone)
                taken |= {member.episode for _, member in here}
        return [(arrival, member) for arrival, member in pool if member.episode not in taken]

    def _are_many(self, key: str, members: Sequence[Member]) -> bool:
        """Say whether these are one case; a province is one where so many of its cities would be."""
        many = self.grouping.many
        units = {(member.region[:4], member.unit) for member in members}
        if key.startswith("province:"):
            cities = Counter(city for city, _ in units)
            return sum(count >= many for count in cities.values()) >= many
        return len(units) >= many

    def _belongs(self, case: Case, key: str) -> bool:
        """Say whether an open case is swallowed by a new one of many with this key."""
        if case.closed_at is not None or not any(key in m.keys for m in case.firing):
            return False
        narrower = case.kind == "outage" and key.startswith("province:")
        change = _kind(key) == "change"
        return (case.kind == "alert" or narrower) and (
            change or self.now - case.opened_at <= RECENT_MS
        )

    def _open_many(
        self, key: str, here: Sequence[tuple[Arrival, Member]], alone: Sequence[Case]
    ) -> None:
        arrived = [member for _, member in here]
        taken = [member for case in alone for member in case.firing]
        case = Case(
            id=_id(key, arrived[0].episode),
            kind=_kind(key),
            scope=key,
            severity=arrived[0].severity,
            region=_common([member.region for member in (*taken, *arrived)]),
            began_at=min([a.notice.since for a, _ in here] + [c.began_at for c in alone]),
            opened_at=self.now,
            members=(*taken, *arrived),
            told=len({member.unit for member in (*taken, *arrived)}),
            told_at=self.now,
        )
        for one in alone:
            left = tuple(m for m in one.members if not m.firing)
            self._close(replace(one, members=left or one.members), f"part of {case.id}")
        self._put(case)
        self.step.words.append(Word("opened", (case.id,)))
        self.step.absorbed.extend((arrival.notice.id, case.id) for arrival, _ in here)

    def _open_alone(self, arrival: Arrival, member: Member) -> None:
        case = self._case_of(member, arrival.notice.since)
        self._put(case)
        self.step.words.append(Word("opened", (case.id,)))
        self.step.alone.append((arrival.notice.id, case.id))

    def _case_of(self, member: Member, began_at: int) -> Case:
        return Case(
            id=_id("alert", member.episode),
            kind="alert",
            scope=member.unit,
            severity=member.severity,
            region=member.region,
            began_at=began_at,
            opened_at=self.now,
            members=(member,),
            told=1,
            told_at=self.now,
        )

    # ---- What ends

    def _take_ends(self, ends: Sequence[Arrival], firings: Sequence[Arrival]) -> None:
        waiting = {one.notice.episode or one.notice.id for one in firings} - set(self.by_episode)
        together: dict[str, list[tuple[Arrival, Case]]] = defaultdict(list)
        for arrival in ends:
            episode = arrival.notice.episode or ""
            if episode in waiting:
                continue
            case = self.cases.get(self.by_episode.get(episode, ""))
            if case is None:
                self.step.passed.append(arrival.notice.id)
            elif case.kind != "alert" or _is_confirmed(arrival.notice):
                self._end(arrival, case)
            else:
                together[_end_key(arrival)].append((arrival, case))
        for key, those in together.items():
            self._end_together(key, those)

    def _end(self, arrival: Arrival, case: Case) -> Case:
        notice = arrival.notice
        members = tuple(
            member._replace(firing=False, ended_by=notice.id)
            if member.episode == notice.episode
            else member
            for member in case.members
        )
        case = replace(
            case, members=members, ending="confirmed" if _is_confirmed(notice) else notice.state
        )
        self._put(case)
        (self.step.alone if case.kind == "alert" else self.step.absorbed).append(
            (notice.id, case.id)
        )
        return case

    def _end_together(self, key: str, those: Sequence[tuple[Arrival, Case]]) -> None:
        """Alerts told alone that end by one cause: each by its own word where they are few."""
        if key and not any(self._has_waited(arrival) for arrival, _ in those):
            return
        before = next(
            (c for c in self.cases.values() if c.kind == "ended together" and c.scope == key), None
        )
        ended = [self._end(arrival, case) for arrival, case in those]
        if key and before is not None:
            self._put(replace(before, members=(*before.members, *_copies(ended))))
        elif key and len(ended) >= self.grouping.many:
            case = Case(
                id=_id(f"ends:{key}", ended[0].members[0].episode),
                kind="ended together",
                scope=key,
                severity=ended[0].severity,
                region=_common([one.region for one in ended]),
                began_at=max(arrival.notice.at for arrival, _ in those),
                opened_at=self.now,
                members=_copies(ended),
                told=len(ended),
                told_at=self.now,
                ending=ended[0].ending,
            )
            self._put(case)
            self.step.words.append(Word("closed", (case.id,)))
        else:
            for one in ended:
                self._close(one, one.ending or "resolved", Word("closed", (one.id,)))
            return
        for one in ended:
            self._close(one, one.ending or "resolved")

    # ---- What a case becomes

    def _close_or_tell(self, case: Case) -> None:
        if case.closed_at is not None:
            return
        firing = len({member.unit for member in case.firing})
        if case.kind == "ended together":
            self._grow(case, len(case.members))
            if self.now - case.told_at > OPEN_FOR_ENDS_MS:
                self._close(case, case.ending or "resolved")
        elif firing == 0:
            quiet = case.kind == "alert" and case.ending == "confirmed"
            word = None if quiet else Word("closed", (case.id,))
            self._close(case, case.ending or "resolved", word)
        elif (
            case.kind == "outage"
            and firing < self.grouping.many
            and len(case.firing) < len(case.members)
        ):
            self._leave(case)
        elif case.kind != "alert":
            self._grow(case, firing)

    def _grow(self, case: Case, units: int) -> None:
        if units >= 2 * case.told and self.now - case.told_at >= PATIENCE_MS:
            self._put(replace(case, told=units, told_at=self.now))
            self.step.words.append(Word("grown", (case.id,)))

    def _leave(self, case: Case) -> None:
        """An outage with few units left is over; who is still silent is a case alone from now on."""
        left = case.firing
        ended = tuple(member for member in case.members if not member.firing)
        self._close(replace(case, members=ended), "resolved", Word("closed", (case.id,)))
        for member in left:
            # It shares nothing any more: told alone now, it is not taken in and let out once more.
            alone = self._case_of(member._replace(keys=()), case.began_at)
            self._put(alone)
            self.step.again.append(member.episode)
            self.step.words.append(Word("opened", (alone.id,)))

    def _close(self, case: Case, ending: str, word: Word | None = None) -> None:
        self._put(replace(case, closed_at=self.now, ending=ending))
        if word is not None:
            self.step.words.append(word)


def _copies(ended: Iterable[Case]) -> tuple[Member, ...]:
    """The members of cases that ended, under names of their own: an alert is a member of one case."""
    return tuple(
        m._replace(episode=f"{m.episode}.end", firing=False) for case in ended for m in case.members
    )


def _end_key(arrival: Arrival) -> str:
    """What an end may share with others; nothing where it is its own."""
    notice = arrival.notice
    if notice.kind == "silent points":
        return next(iter(_places(arrival.region)[1:]), "")
    return next(iter(_cause_keys(notice, notice.cause, arrival.region)), "")


def _is_confirmed(notice: Notice) -> bool:
    return is_confirmed(notice.kind, notice.evidence)


def _kind(key: str) -> CaseKind:
    return _KINDS.get(key.partition(":")[0], "change")


def _width(key: str) -> tuple[int, str]:
    """A province before a network before a city: the widest cause that explains them."""
    order = ("province", "network", "city")
    name = key.partition(":")[0]
    return (order.index(name) if name in order else len(order), key)


def _common(regions: Sequence[str]) -> str:
    """The narrowest region that holds all of them: a county, a city, a province; else nothing."""
    known = {region for region in regions if region}
    for digits in (6, 4, 2):
        heads = {region[:digits] for region in known}
        if len(heads) == 1:
            return heads.pop().ljust(6, "0")
    return ""


def _id(key: str, episode: str) -> str:
    return sha256(f"{key}\n{episode}".encode()).hexdigest()[:10]
