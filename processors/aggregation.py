"""Regions and industries: what their key units had told by an hour, summed to the last digit.

An hour cuts each partition's log at its first tick at or past the hour, so what was told by then is a function of the log alone: a late
run, a second one and one after a restart find the same. Of what stands before the cut, that counts which was told for no later instant
than the hour. A unit whose own time is behind the hour is pending: what it told is a lower end, and the upper end is unknown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, cast

import orjson

from schemas.calendar import HOUR_MS, window_end, window_start
from schemas.deductions import CARRIERS
from schemas.double_control import NOTHING, Amount
from schemas.regions import Counts, Sum, Window
from schemas.scale import LARGEST

Kind = Literal["month", "year"]
KINDS: tuple[Kind, ...] = ("month", "year")


class Member(NamedTuple):
    """A registered unit and where it belongs; `begins` is its first validity (ms)."""

    unit: str
    region: str
    industry: str
    begins: int


class Span(NamedTuple):
    """A month or a year of the business calendar."""

    kind: Kind
    start: int
    end: int


class Telling(NamedTuple):
    """What a unit told of one month or year: to `as_of`, or to its end. Amounts in 10⁻⁶ t."""

    unit: str
    span: Span
    as_of: int
    cause: str
    silent: int
    """Its silent points when it told this."""
    verdict: str | None
    fed: bool
    """Whether anything of it counts as energy."""
    share: int
    energy: Amount
    co2: Amount
    configuration: int = 0
    """Under which it was told."""
    energy_unverified: bool = False
    co2_unverified: bool = False
    """A factor that it was converted by is."""
    natives: tuple[Amount, ...] = ()
    """What can be deducted from, in its own unit of measure: electricity (kWh), raw coal (t); empty where it is not known."""


Told = Mapping[str, Telling]
"""Of one span, by unit."""


# ---- The tree


def scopes_of(member: Member) -> tuple[str, ...]:
    """Whose sums a unit is in: province, city and county by its GB/T 2260 code, as far as that goes, and its industry."""
    code = member.region
    places = [f"province:{code[:2]}0000"]
    if code[2:] != "0000":
        places.append(f"city:{code[:4]}00")
    if code[4:] != "00":
        places.append(f"county:{code}")
    return (*places, f"industry:{member.industry}")


def belongs(member: Member, scope: str) -> bool:
    """Whether a unit lies in a scope, `city:510400+industry:31`."""
    return set(scope.split("+")) <= set(scopes_of(member))


def scope_of(code: str) -> str:
    """The scope of a region's code, `city:510400` for `510400`; a scope is itself."""
    if ":" in code:
        return code
    level = "province" if code[2:] == "0000" else "city" if code[4:] == "00" else "county"
    return f"{level}:{code}"


# ---- What was told


def tellings_in(payload: bytes) -> list[Telling]:
    """The months and years in a message of the outbox; none in a tick."""
    return tellings_of(orjson.loads(payload))


def tellings_of(told: Mapping[str, object]) -> list[Telling]:
    """The same of a message that is read already."""
    if told["kind"] != "unit":
        return []
    windows = cast("Sequence[Mapping[str, object]]", told["windows"])
    return [_telling(told, window) for window in windows if window["window"] in KINDS]


def _telling(told: Mapping[str, object], window: Mapping[str, object]) -> Telling:
    figures = cast("Mapping[str, Mapping[str, int | None]]", window["figures"])
    energy = figures.get("energy")
    start, end = cast("int", window["start"]), cast("int", window["end"])
    return Telling(
        unit=str(told["unit"]),
        span=Span(cast("Kind", window["window"]), start, end),
        as_of=cast("int", told["as_of"]),
        cause=str(told["cause"]),
        silent=len(cast("Sequence[object]", told["silent"])),
        verdict=cast("str | None", window.get("verdict")),
        fed=energy is not None,
        share=0 if energy is None else energy["share_measured"] or 0,
        energy=amount_in(energy),
        co2=amount_in(figures.get("co2")),
        configuration=cast("int", told["configuration"]),
        energy_unverified=_unverified(energy),
        co2_unverified=_unverified(figures.get("co2")),
        natives=tuple(amount_in(figures.get(carrier)) for carrier in CARRIERS),
    )


def _unverified(figure: Mapping[str, int | None] | None) -> bool:
    return bool(figure and figure.get("unverified"))


def amount_in(figure: Mapping[str, int | None] | None) -> Amount:
    """A figure of a message; without one there is nothing."""
    if figure is None:
        return NOTHING
    return Amount(figure["low"] or 0, figure["best"] or 0, figure["high"])


@dataclass(slots=True)
class Gathering:
    """What was told between two hours' cuts, taken in the log's order: the newest of each unit and span counts."""

    hour: int
    fresh: dict[tuple[str, Span], Telling] = field(default_factory=dict)
    ahead: dict[tuple[str, Span, int], Telling] = field(default_factory=dict)
    """For later hours: units in history may be ahead of the clock."""

    def add(self, tellings: Iterable[Telling]) -> None:
        """The next ones of the log."""
        for telling in tellings:
            if telling.as_of > self.hour:
                self.ahead[telling.unit, telling.span, telling.as_of] = telling
                continue
            held = self.fresh.get((telling.unit, telling.span))
            if held is None or telling.as_of >= held.as_of:
                self.fresh[telling.unit, telling.span] = telling

    def spans(self) -> set[Span]:
        """Of which something is new."""
        return {telling.span for telling in self.fresh.values()}


def spans_due(hour: int, touched: Iterable[Span]) -> list[Span]:
    """What is summed at an hour: the month and the year that end with it or hold it, and earlier ones told anew."""
    current = [span_of(kind, hour - 1) for kind in KINDS]
    return sorted({*current, *(span for span in touched if span.start < hour)})


def span_of(kind: Kind, at: int) -> Span:
    """The month or year of the business calendar that holds an instant."""
    start = window_start(kind, at)
    return Span(kind, start, window_end(kind, start))


def reaches(telling: Telling | None, hour: int) -> bool:
    """Whether what was told covers its span up to the hour."""
    return telling is not None and telling.as_of >= min(hour, telling.span.end)


def amount_of(telling: Telling | None, quantity: str, hour: int) -> Amount:
    """A unit's part in a sum. Who is pending has no upper end, who told nothing has no lower one either."""
    if telling is None:
        return Amount(0, 0, None)
    amount = telling.energy if quantity == "energy" else telling.co2
    return amount if reaches(telling, hour) else Amount(amount.low, amount.best, None)


def is_unverified(telling: Telling | None, quantity: str) -> bool:
    """Whether a unit's part in a sum rests on an unverified factor."""
    if telling is None:
        return False
    return telling.energy_unverified if quantity == "energy" else telling.co2_unverified


# ---- Sums


@dataclass(slots=True)
class _Sum:
    energy: Amount = NOTHING
    co2: Amount = NOTHING
    energy_unverified: bool = False
    co2_unverified: bool = False
    share: int = 0
    owing: int = 0
    """Units that have, or may have, something that counts."""
    units: int = 0
    told: int = 0
    silent: int = 0
    broken: int = 0
    not_judged: int = 0

    def add(self, telling: Telling | None, hour: int) -> None:
        self.units += 1
        self.energy += amount_of(telling, "energy", hour)
        self.co2 += amount_of(telling, "co2", hour)
        self.energy_unverified |= is_unverified(telling, "energy")
        self.co2_unverified |= is_unverified(telling, "co2")
        reached = reaches(telling, hour)
        self.owing += telling is None or telling.fed
        if telling is None:
            return
        self.silent += telling.silent > 0
        # What is above its quota stays so, whatever comes later.
        self.broken += telling.verdict == "FAIL"
        if reached:
            self.told += 1
            self.share += telling.share
            self.not_judged += telling.verdict == "UNDECIDABLE"

    def window(self, span: Span) -> Window:
        return Window(
            window=span.kind,
            start=span.start,
            end=span.end,
            energy=told_sum(self.energy, unverified=self.energy_unverified),
            co2=told_sum(self.co2, unverified=self.co2_unverified),
            share_measured=self.share // self.owing if self.owing else 0,
            counts=Counts(
                units=self.units,
                told=self.told,
                pending=self.units - self.told,
                silent=self.silent,
                broken=self.broken,
                not_judged=self.not_judged,
            ),
        )


def told_sum(amount: Amount, *, unverified: bool = False) -> Sum:
    """As it is told. What no column holds is still a lower end, and no upper one."""
    high = None if amount.high is None or amount.high > LARGEST else amount.high
    low, best = min(amount.low, LARGEST), min(amount.best, LARGEST)
    return Sum(low=low, best=best, high=high, unverified=unverified)


def summed(
    members: Iterable[Member], told: Told, span: Span, hour: int, joined: Sequence[str] = ()
) -> dict[str, Window]:
    """A span's sums at an hour by scope; `joined` names further ones, `city:510400+industry:31`."""
    till = min(hour, span.end)
    sums: dict[str, _Sum] = {}
    for member in members:
        if member.begins >= till:
            continue
        mine = (*scopes_of(member), *(scope for scope in joined if belongs(member, scope)))
        for scope in mine:
            sums.setdefault(scope, _Sum()).add(told.get(member.unit), hour)
    return {scope: one.window(span) for scope, one in sorted(sums.items())}


def first_hour(first_ticks: Iterable[int]) -> int:
    """The first full hour at or past every partition's first tick."""
    return -(-max(first_ticks) // HOUR_MS) * HOUR_MS
