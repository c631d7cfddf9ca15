"""Who is on duty, how far and how soon it goes up, and what may wait for the morning: a file, dated.

`deploy/example/on-call.toml` is one. Receivers are names; their addresses are secrets and stand elsewhere (`WEIR_ALERTS_RECEIVERS`).
"""

import tomllib
from collections.abc import Iterator, Sequence
from datetime import datetime, time
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from schemas.calendar import BUSINESS, DAY_MS, instant, moment, window_start
from schemas.rule import Duration, Severity, milliseconds
from schemas.working_days import WorkingDays

Level = Literal["county", "city", "province"]
LEVELS: tuple[Level, ...] = ("county", "city", "province")
"""From the nearest to the farthest."""


class RosterError(ValueError):
    """A roster that cannot be used; a line for each mistake."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,60}$")]


class Duty(_Frozen):
    """Who is on duty for a region, from an instant to another."""

    who: Annotated[str, Field(min_length=1)]
    level: Level
    region: Code
    """All units of it: `510400` is all of its counties too."""
    receivers: Annotated[tuple[Name, ...], Field(min_length=1)]
    valid_from: AwareDatetime
    valid_until: AwareDatetime | None = None

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.valid_until is not None and self.valid_until <= self.valid_from:
            message = f"{self.who}: ends {self.valid_until}, not after it begins"
            raise ValueError(message)
        return self

    def covers(self, region: str) -> bool:
        """Say whether a region's code lies in the duty's region; an unknown one only in a province."""
        if not region:
            return self.level == "province"
        code = self.region
        while code.endswith("00"):
            code = code[:-2]
        return region.startswith(code)

    def holds(self, at: int) -> bool:
        """Say whether it is on at the instant."""
        now = moment(at)
        return self.valid_from <= now and (self.valid_until is None or now < self.valid_until)


class Step(_Frozen):
    """A level, and how long after the case began it hears of it unless somebody took it up."""

    level: Level
    after: Duration


class Escalation(_Frozen):
    """The steps of a severity."""

    severity: Severity
    passes: Literal["always", "working days"] = "always"
    """`working days`: the time to a step passes on working days alone."""
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _goes_up(self) -> Self:
        for lower, upper in pairwise(self.steps):
            if LEVELS.index(upper.level) <= LEVELS.index(lower.level):
                message = f"{upper.level} comes after {lower.level}: steps go up"
                raise ValueError(message)
            if milliseconds(upper.after) < milliseconds(lower.after):
                message = f"{upper.level} after {upper.after}, before {lower.level}"
                raise ValueError(message)
        return self

    def due(self, number: int, began: int, calendar: WorkingDays) -> int:
        """When the step of that number (from 0) is due, of a case that began at `began`."""
        length = milliseconds(self.steps[number].after)
        return began + length if self.passes == "always" else calendar.after(began, length)


class QuietHours(_Frozen):
    """When what can wait waits, by the business calendar's clock; over midnight where `until` is earlier."""

    begin: time
    until: time
    severities: tuple[Severity, ...] = ("warning", "info")

    def over(self, at: int) -> int:
        """The instant at which the quiet is over; `at` itself outside of it."""
        local = moment(at).astimezone(BUSINESS).time()
        midnight = window_start("day", at)
        until = midnight + _since_midnight(self.until)
        if self.begin <= self.until:
            return until if self.begin <= local < self.until else at
        if local >= self.begin:
            return until + DAY_MS
        return until if local < self.until else at


def _since_midnight(clock: time) -> int:
    return (clock.hour * 3_600 + clock.minute * 60 + clock.second) * 1_000


class Network(_Frozen):
    """Units that share something which may fail: a city's line, a gateway, a data platform."""

    name: Name
    units: Annotated[tuple[str, ...], Field(min_length=1)]


class Roster(_Frozen):
    """The whole file."""

    duties: Annotated[tuple[Duty, ...], Field(min_length=1)]
    escalations: Annotated[tuple[Escalation, ...], Field(min_length=1)]
    quiet_hours: QuietHours | None = None
    networks: tuple[Network, ...] = ()

    @model_validator(mode="after")
    def _each_severity_once(self) -> Self:
        named = [one.severity for one in self.escalations]
        if len(set(named)) != len(named):
            message = f"a severity has two escalations: {named}"
            raise ValueError(message)
        return self

    def escalation(self, severity: Severity) -> Escalation:
        """The steps of a severity; of one that is not named those of the first."""
        same = (one for one in self.escalations if one.severity == severity)
        return next(same, self.escalations[0])

    def heard_at(self, severity: Severity, at: int) -> int:
        """When a notice of that severity may go out: now, or when the quiet hours are over."""
        quiet = self.quiet_hours
        return quiet.over(at) if quiet and severity in quiet.severities else at

    def on_duty(self, level: Level, region: str, at: int) -> tuple[Duty, ...]:
        """Who is on duty; where nobody is, who is one level up: nothing is told to nobody."""
        for upper in LEVELS[LEVELS.index(level) :]:
            found = tuple(
                duty
                for duty in self.duties
                if duty.level == upper and duty.covers(region) and duty.holds(at)
            )
            if found:
                return found
        return ()


def read_roster(text: str) -> Roster:
    """The roster of a file's text. Raises RosterError with all that is wrong."""
    try:
        roster = Roster.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        message = f"not TOML: {error}"
        raise RosterError(message) from error
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}"
            for one in error.errors(include_url=False)
        ]
        raise RosterError("\n".join(lines)) from error
    return roster


def doubts(roster: Roster, at: int, receivers: Sequence[str] | None) -> list[str]:
    """What is right as a file and wrong as a roster: who is missing, and when.

    `receivers`: names that have an address, where it is known.
    """
    found = [*_gaps(roster, at)]
    if not any(duty.level == "province" and duty.holds(at) for duty in roster.duties):
        found.append(
            "nobody is on duty for a province: targets and regions without a duty are told to nobody"
        )
    if receivers is not None:
        named = {name for duty in roster.duties for name in duty.receivers}
        found += [f"receiver {name} has no address" for name in sorted(named - set(receivers))]
    return found


def _gaps(roster: Roster, at: int) -> Iterator[str]:
    """Yield where a region's duty ends and the next one of its level begins later, from `at` on."""
    places = sorted({(duty.level, duty.region) for duty in roster.duties})
    for level, region in places:
        duties = [d for d in roster.duties if (d.level, d.region) == (level, region)]
        covered: datetime | None = moment(at)
        for duty in sorted(duties, key=lambda one: one.valid_from):
            if covered is None:
                break
            if duty.valid_from > covered:
                yield f"{level} {region}: nobody from {_local(covered)} to {_local(duty.valid_from)}"
            covered = None if duty.valid_until is None else max(covered, duty.valid_until)
        if covered is not None:
            yield f"{level} {region}: nobody from {_local(covered)} on"


def _local(when: datetime) -> str:
    return moment(instant(when)).astimezone(BUSINESS).isoformat(timespec="minutes")
