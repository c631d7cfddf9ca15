"""What is foretold of other factors, in the words of the regulator: who changes verdict or level, by how much, which notices fall."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

from processors.aggregation import Telling, amount_in
from processors.standings import Level, Stand, verdict_of
from schemas.calendar import rfc3339, year_of
from schemas.entered import hash_of
from schemas.landing import Regime
from schemas.restatement import (
    Bounds,
    Foreseen,
    Held,
    LimitMoved,
    Stood,
    TargetMoved,
    Undone,
    UnitMoved,
    Year,
)
from schemas.scale import as_text

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Foretold:
    """What each unit would be told, if a configuration were applied where each partition goes on."""

    offsets: Mapping[int, int]
    """Where each partition went on."""
    messages: Mapping[str, Json]
    """By unit: the message that tells it anew, in full. Units that nothing changes for have none."""
    before: Mapping[str, Sequence[Json]]
    """Of the same units, their years as last told."""
    lines: Mapping[tuple[str, str], Json]
    """By unit and product line: the message that tells it anew."""
    lines_before: Mapping[tuple[str, str], Sequence[Json]]
    """Of the same lines, their windows as last told."""

    def told_hashes(self) -> dict[str, str]:
        """What is told of each unit, whatever the record's place: SHA-256."""
        told = {**self.messages}
        told |= {f"{unit}:{line}": one for (unit, line), one in self.lines.items()}
        return {name: told_hash(one) for name, one in sorted(told.items())}


def told_hash(message: Json) -> str:
    """Of all windows that a message tells, and as of when."""
    return hash_of([message["as_of"], message["cause"], message["windows"]])


class Notice(NamedTuple):
    """That a breach was told: of a unit's year, at an instant."""

    id: str
    unit: str
    rule: str
    regime: Regime
    window_start: int
    at: int


class Judged(NamedTuple):
    """A target at the hour told last."""

    stand: Stand
    level: Level


def foreseen(
    generation: int,
    found: Foretold,
    targets: Iterable[tuple[Judged, Judged]],
    notices: Iterable[Notice],
) -> Foreseen:
    """All of it."""
    units = tuple(_units(found))
    after = {(one.unit, one.year): one.after for one in units}
    return Foreseen(
        generation=generation,
        offsets=dict(found.offsets),
        units=units,
        limits=tuple(_limits(found)),
        targets=tuple(_targets(targets)),
        undone=tuple(_undone(notices, after)),
        told=found.told_hashes(),
    )


def _units(found: Foretold) -> Iterator[UnitMoved]:
    for unit, message in sorted(found.messages.items()):
        before = {window["start"]: window for window in found.before[unit]}
        for window in cast("Sequence[Json]", message["windows"]):
            if window["window"] != "year":
                continue
            start = cast("int", window["start"])
            was = _year(before[start], before[start]["as_of"]) if start in before else None
            now = _year(window, message["as_of"])
            if was is not None and _same(was) != _same(now):
                yield UnitMoved(unit=unit, year=year_of(start), before=was, after=now)


def _limits(found: Foretold) -> Iterator[LimitMoved]:
    for (unit, line), message in sorted(found.lines.items()):
        before = {
            (window["window"], window["start"], limit["limit"]): limit["verdict"]
            for window in found.lines_before[unit, line]
            for limit in cast("Sequence[Json]", window.get("limits", ()))
        }
        for window in cast("Sequence[Json]", message["windows"]):
            for limit in cast("Sequence[Json]", window.get("limits", ())):
                key = window["window"], window["start"], limit["limit"]
                if before.get(key, limit["verdict"]) != limit["verdict"]:
                    yield LimitMoved.model_validate(
                        {
                            "unit": unit,
                            "line": line,
                            **dict(zip(("window", "start", "limit"), key, strict=True)),
                            "before": before[key],
                            "after": limit["verdict"],
                        }
                    )


def _same(year: Year) -> object:
    return year.model_dump(exclude={"as_of"})


def _year(window: Json, as_of: object) -> Year:
    figures = cast("Mapping[str, Json]", window["figures"])
    budget = cast("Json | None", window.get("budget"))
    return Year.model_validate(
        {
            "as_of": as_of,
            "energy": _bounds(figures.get("energy")),
            "co2": _bounds(figures.get("co2")),
            **_held(window),
            "budget": budget and _held(budget),
        }
    )


def _held(told: Json) -> dict[str, object]:
    return {name: told.get(name) for name in ("verdict", "reason", "since")}


def _bounds(figure: Json | None) -> dict[str, object] | None:
    return None if figure is None else {end: figure[end] for end in ("low", "best", "high")}


def _targets(moved: Iterable[tuple[Judged, Judged]]) -> Iterator[TargetMoved]:
    for before, after in moved:
        was, now = _stood(before), _stood(after)
        if was != now:
            target = after.stand.target
            yield TargetMoved(
                target=target.id,
                scope=target.scope,
                quantity=target.quantity,
                hour=after.stand.hour,
                before=was,
                after=now,
            )


def _stood(judged: Judged) -> Stood:
    verdict, reason = verdict_of(judged.stand)
    used = judged.stand.used
    bounds = Bounds(low=used.low, best=used.best, high=used.high)
    return Stood(used=bounds, verdict=verdict, reason=reason, level=judged.level.level)


def _undone(notices: Iterable[Notice], after: Mapping[tuple[str, int], Year]) -> Iterator[Undone]:
    """Breaches that were told of years that are no breach now by the same regime, or one only later."""
    for one in notices:
        year = after.get((one.unit, year_of(one.window_start)))
        held = year and year.held(one.regime)
        if held is None:
            continue
        if held.verdict != "FAIL":
            why = f"the year would be {held.verdict}"
        elif held.since is not None and held.since > one.at:
            why = f"the breach would be one since {rfc3339(held.since)} only"
        else:
            continue
        yield Undone(notice=one.id, unit=one.unit, rule=one.rule, at=one.at, why=why)


def replaced(telling: Telling, message: Json | None, version: int) -> Telling:
    """What a unit told of a year, with the amounts that it would be told; its place in time stays."""
    if message is None:
        return telling
    for window in cast("Sequence[Json]", message["windows"]):
        if (window["window"], window["start"]) == ("year", telling.span.start):
            figures = cast("Mapping[str, Mapping[str, int | None]]", window["figures"])
            energy, co2 = (amount_in(figures.get(name)) for name in ("energy", "co2"))
            return telling._replace(configuration=version, energy=energy, co2=co2)
    return telling


# ---- For people


def lines_of(told: Foreseen) -> Iterator[str]:
    """A line for each unit, target and notice."""
    for one in told.units:
        was, now = one.before, one.after
        verdicts = [
            f"{name} {_verdict(was.held(regime))} -> {_verdict(now.held(regime))}"
            for regime, name in _LIMITS.items()
            if was.held(regime) or now.held(regime)
        ]
        yield (
            f"{one.unit} {one.year}: {', '.join(verdicts) or 'no quota or CO2 budget'};"
            f" energy {_said(was.energy)} -> {_said(now.energy)} tce, CO2 {_said(was.co2)} -> {_said(now.co2)} t"
            f" (told for {rfc3339(was.as_of)}, foretold for {rfc3339(now.as_of)})"
        )
    for moved in told.limits:
        yield f"{moved.unit} line {moved.line}, {moved.window} from {rfc3339(moved.start)}: {moved.limit}: {moved.before} -> {moved.after}"
    for it in told.targets:
        levels = " -> ".join(str(side.level or "no data") for side in (it.before, it.after))
        yield (
            f"target {it.target} ({it.scope}): {it.before.verdict} -> {it.after.verdict}, level {levels};"
            f" used {_said(it.before.used)} -> {_said(it.after.used)} {_MEASURES[it.quantity]} at {rfc3339(it.hour)}"
        )
    for notice in told.undone:
        yield f"notice {notice.notice} ({notice.unit}, {notice.rule}, {rfc3339(notice.at)}) would not have been sent: {notice.why}"
    counts = {name: len(cast("Sequence[object]", some)) for name, some in told.decisions().items()}
    yield (
        f"{len(told.told)} units and lines are told anew: {counts['quotas']} verdicts on quotas, {counts['budgets']} on CO2 budgets,"
        f" {counts['limits']} on product limits and {counts['targets']} targets change, {counts['notices']} notices of breaches"
        " would not have been sent; other notices (suspected, silent, landing) are not looked at"
    )


_MEASURES = {"energy": "tce", "co2": "t CO2", None: "t"}
_LIMITS: Mapping[Regime, str] = {"energy": "quota", "carbon": "CO2 budget"}


def _verdict(held: Held | None) -> str:
    if held is None:
        return "none"
    since = "" if held.since is None else f" since {rfc3339(held.since)}"
    return f"{held.verdict}{since}"


def _said(bounds: Bounds | None) -> str:
    if bounds is None:
        return "nothing"
    if bounds.low == bounds.high:
        return str(as_text(bounds.low))
    return f"[{as_text(bounds.low)}, {as_text(bounds.best)}, {as_text(bounds.high) or 'unknown'}]"
