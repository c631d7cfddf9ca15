"""Unit tests of alert rules, in a file: what units are told, and which transitions must come of it.

`deploy/example/rules-test.toml` is one. Pure: no server, no clock; time is what the file says.
"""

import tomllib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from alerts.state import Partition, advance
from schemas.alert import TOLD, Cause, State, Transition
from schemas.calendar import WindowKind, instant, rfc3339, window_end, window_start
from schemas.indicator import (
    AgainstBudget,
    ComingLimit,
    Figure,
    Indicator,
    Judged,
    LimitJudged,
    LineJudged,
    LineTold,
    Message,
    Reason,
    Silent,
    StopsTold,
    Told,
    Verdict,
    Version,
)
from schemas.indicator import (
    Cause as ToldCause,
)
from schemas.rule import Rule, Rules
from schemas.stop import Stop

SCALE = 1_000_000


class BadTestsError(ValueError):
    """A file of tests that cannot be used; a line for each mistake."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TellBudget(_Frozen):
    """CO2 of the year against the unit's budget."""

    verdict: Verdict = "PASS"
    suspected: bool = False
    reason: Reason | None = None
    used: tuple[Decimal, Decimal, Decimal | None]
    """Low, best and high in t CO2; high may be left out."""
    limit: Decimal
    """In t CO2."""
    view: str = "provincial average, Sichuan"


class TellLimit(_Frozen):
    """A product line of the unit against one limit, in place of what the unit itself is told."""

    line: str
    limit: str
    """`cement.clinker.comprehensive level 3`."""
    level: Literal[1, 2, 3] = 3
    verdict: Verdict | Literal["NOT JUDGED"] = "PASS"
    suspected: bool = False
    used: tuple[Decimal, Decimal, Decimal | None]
    """Low, best and high in kgce a tonne; high may be left out."""
    bound: Decimal
    """The limit, in kgce a tonne."""
    entries: tuple[str, ...] = ()
    """Ids of the packs' limits: another edition is a change of the limit."""
    coming: ComingLimit | None = None
    """Of a limit that is NOT JUDGED yet: from which day it is, and what it would be."""


class Stopped(_Frozen):
    """A stop or maintenance that a unit declares."""

    start: Annotated[AwareDatetime, Field(alias="from")]
    end: Annotated[AwareDatetime, Field(alias="until")]
    points: tuple[str, ...] = ()
    """None: all of them."""


class Tell(_Frozen):
    """A unit's indicator; with `stop` what it declares; without `unit` a tick, at which holds elapse."""

    at: AwareDatetime
    unit: str | None = None
    verdict: Verdict = "PASS"
    suspected: bool = False
    reason: Reason | None = None
    window: WindowKind = "year"
    energy: tuple[Decimal, Decimal, Decimal | None] | None = None
    """Low, best and high in tce; high may be left out."""
    limit: Decimal | None = None
    """In tce."""
    budget: TellBudget | None = None
    held: TellLimit | None = None
    silent: tuple[str, ...] = ()
    cause: ToldCause = "reading"
    stop: Stopped | None = None
    """In place of all that was declared before."""


class Expect(_Frozen):
    """A transition that must come; what is not named is not compared."""

    at: AwareDatetime
    rule: str
    unit: str
    state: State
    cause: Cause | None = None
    since: AwareDatetime | None = None


class RuleTest(_Frozen):
    """One test: what is told, in order, and all that must come of it."""

    name: Annotated[str, Field(min_length=1)]
    compare: Literal["told", "all"] = "told"
    """`told`: firing, resolved, retracted; `all`: pending and inactive too."""
    tell: Annotated[tuple[Tell, ...], Field(min_length=1)]
    expect: tuple[Expect, ...] = ()


class RuleTests(_Frozen):
    """A file of tests, and the rules that it tries."""

    rules: str
    """Path of the rule file, from where the tests are."""
    tests: Annotated[tuple[RuleTest, ...], Field(min_length=1)]


def read_tests(text: str) -> RuleTests:
    """The tests of a file. Raises BadTestsError with all that is wrong."""
    try:
        return RuleTests.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        message = f"not TOML: {error}"
        raise BadTestsError(message) from error
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}"
            for one in error.errors(include_url=False)
        ]
        raise BadTestsError("\n".join(lines)) from error


def differences(test: RuleTest, rules: Rules) -> list[str]:
    """What the rules do otherwise than the test says, each with what may explain it; nothing where it passes."""
    named = {rule.name for rule in rules}
    unknown = sorted({one.rule for one in test.expect} - named)
    if unknown:
        return [
            f"there is no rule {name!r}; there are {', '.join(sorted(named))}" for name in unknown
        ]
    made = advance(Partition(), _messages(test.tell), rules).transitions
    compared = [one for one in made if test.compare == "all" or one.state in TOLD]
    missing = list(test.expect)
    unexpected: list[Transition] = []
    for transition in compared:
        match = next((one for one in missing if _is(one, transition)), None)
        if match is None:
            unexpected.append(transition)
        else:
            missing.remove(match)
    by_name = {rule.name: rule for rule in rules}
    return [
        *(_missing(one, made, by_name[one.rule]) for one in missing),
        *(
            f"unexpected: {_shown(one)}; cause {one.cause}, since {rfc3339(one.since)}"
            for one in unexpected
        ),
    ]


def _is(expected: Expect, made: Transition) -> bool:
    return (
        (expected.rule, expected.unit, expected.state, instant(expected.at))
        == (made.rule, made.unit, made.state, made.at)
        and expected.cause in {None, made.cause}
        and (expected.since is None or instant(expected.since) == made.since)
    )


def _missing(expected: Expect, made: Sequence[Transition], rule: Rule) -> str:
    what = f"{rfc3339(instant(expected.at))} {expected.unit} {expected.rule} {expected.state}"
    course = [one for one in made if (one.rule, one.unit) == (expected.rule, expected.unit)]
    if not course:
        covers = rule.covers(expected.unit)
        why = "its condition never held" if covers else f"the rule does not watch {expected.unit}"
        return f"missing: {what}; {why} (kind {rule.kind}, window {rule.window})"
    came = ", ".join(f"{one.state} {rfc3339(one.at)} by {one.cause}" for one in course)
    return (
        f"missing: {what}; there came {came} (hold {rule.hold}, recover_hold {rule.recover_hold})"
    )


def _shown(one: Transition) -> str:
    return f"{rfc3339(one.at)} {one.unit} {one.rule} {one.state}"


def _messages(told: Sequence[Tell]) -> Iterator[Message]:
    for offset, one in enumerate(told):
        version = Version(generation=1, partition=0, offset=offset, position=0)
        at = instant(one.at)
        if one.unit is None:
            yield Told(version=version, as_of=at)
        elif one.held is not None:
            yield _line(one, one.unit, one.held, version)
        elif one.stop is not None:
            yield StopsTold(unit=one.unit, version=version, as_of=at, stops=(_stop(one.stop),))
        else:
            yield _indicator(one, one.unit, at, version)


def _line(one: Tell, unit: str, held: TellLimit, version: Version) -> LineTold:
    at = instant(one.at)
    start = window_start(one.window, at)
    low, best, high = (None if end is None else int(end * SCALE) for end in held.used)
    limit = LimitJudged(
        limit=held.limit,
        indicator=held.limit.partition(" level ")[0],
        level=held.level,
        region=None,
        unit_of_measure="kgce/t",
        basis="as told",
        low=low,
        best=best,
        high=high,
        limit_low=int(held.bound * SCALE),
        limit_high=int(held.bound * SCALE),
        verdict=held.verdict,
        reason=one.reason,
        since=at if held.verdict == "FAIL" else None,
        suspected=held.suspected,
        entries=held.entries,
        notes=(),
        law="",
        coming=held.coming,
    )
    window = LineJudged(
        window=one.window,
        start=start,
        end=window_end(one.window, start),
        figures={},
        limits=(limit,),
    )
    return LineTold(
        unit=unit,
        line=held.line,
        name=held.line,
        version=version,
        as_of=at,
        cause=one.cause,
        configuration=1,
        windows=(window,),
    )


def _stop(one: Stopped) -> Stop:
    start, end = instant(one.start), instant(one.end)
    return Stop(id="test", kind="stop", start=start, end=end, points=one.points)


def _indicator(one: Tell, unit: str, at: int, version: Version) -> Indicator:
    start = window_start(one.window, at)
    judged = Judged(
        window=one.window,
        start=start,
        end=window_end(one.window, start),
        figures=dict(_figures(one)),
        limit=None if one.limit is None else int(one.limit * SCALE),
        verdict=one.verdict,
        reason=one.reason,
        since=at if one.verdict == "FAIL" else None,
        suspected=one.suspected,
        budget=None if one.budget is None else _against(one.budget, at),
    )
    silent = tuple(Silent(point=point, since=at) for point in one.silent)
    return Indicator(
        unit=unit,
        version=version,
        as_of=at,
        cause=one.cause,
        configuration=1,
        windows=(judged,),
        silent=silent,
    )


def _figures(one: Tell) -> Iterator[tuple[str, Figure]]:
    if one.energy is not None:
        yield "energy", _figure(one.energy, "tce")
    if one.budget is not None:
        yield "co2", _figure(one.budget.used, "t")


def _against(budget: TellBudget, at: int) -> AgainstBudget:
    return AgainstBudget(
        limit=int(budget.limit * SCALE),
        verdict=budget.verdict,
        reason=budget.reason,
        since=at if budget.verdict == "FAIL" else None,
        suspected=budget.suspected,
        view=budget.view,
    )


def _figure(used: tuple[Decimal, Decimal, Decimal | None], measure: str) -> Figure:
    low, best, high = used
    return Figure(
        unit_of_measure=measure,
        low=int(low * SCALE),
        best=int(best * SCALE),
        high=None if high is None else int(high * SCALE),
        share_measured=SCALE,
    )
