"""Alert rules: a file in TOML that says what is told, and how soon.

`deploy/example/rules.toml` is one. Durations are ISO 8601 (`PT15M`, `PT2H`, `P30D`) and pass in
event time: by ticks, never by the wall clock.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from hashlib import sha256
from string import Formatter
from typing import Annotated, Literal, Self, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from schemas.calendar import DAY_MS, HOUR_MS, WindowKind
from schemas.landing import Regime

Kind = Literal[
    "confirmed breach",
    "suspected breach",
    "cannot be judged",
    "silent points",
    "level changed",
    "will break",
    "limit broken",
    "limit probably broken",
    "limit cannot be judged",
    "limit to come",
]
KINDS: tuple[Kind, ...] = (
    "confirmed breach",
    "suspected breach",
    "cannot be judged",
    "silent points",
    "level changed",
    "will break",
    "limit broken",
    "limit probably broken",
    "limit cannot be judged",
    "limit to come",
)
BREACHES: frozenset[Kind] = frozenset(
    {"confirmed breach", "suspected breach", "limit broken", "limit probably broken"}
)
"""Kinds that say something against a unit. The others are about data, not about guilt."""

OF_LIMITS: frozenset[Kind] = frozenset(
    {"limit broken", "limit probably broken", "limit cannot be judged", "limit to come"}
)
"""Kinds about product lines and the limits of their products."""

FORETELLING: frozenset[Kind] = frozenset({"will break", "limit to come"})
"""Kinds about what is not so yet."""

OF_YEARS: frozenset[Kind] = frozenset(
    {"confirmed breach", "suspected breach", "cannot be judged", "will break"}
)
"""Kinds about a unit against its energy quota or its CO2 budget."""

Severity = Literal["critical", "warning", "info"]
"""Level 1, 2, 3; level 1 is the worst."""
SEVERITIES: tuple[Severity, ...] = ("critical", "warning", "info")

LONGEST_MS = 3_660 * DAY_MS

_DURATION = re.compile(
    r"P(?!$)(?:(?P<weeks>\d{1,4})W)?(?:(?P<days>\d{1,4})D)?"
    r"(?:T(?!$)(?:(?P<hours>\d{1,5})H)?(?:(?P<minutes>\d{1,7})M)?(?:(?P<seconds>\d{1,9})S)?)?",
    re.ASCII,
)
_LENGTH_MS = {
    "weeks": 7 * DAY_MS,
    "days": DAY_MS,
    "hours": HOUR_MS,
    "minutes": 60_000,
    "seconds": 1_000,
}

PLACEHOLDERS = {
    "unit": "the unit's code",
    "rule": "the rule's name",
    "severity": "the rule's severity",
    "state": "firing, resolved or retracted",
    "window": "the window's name: 2026, 2026-11, 2026-11-23",
    "since": "since when, with its offset",
    "at": "the tick that told it, with its offset",
    "cause": "what made the condition begin, or end",
    "amount": "the energy: interval and best estimate, with its unit of measure",
    "limit": "the limit, with its unit of measure",
    "regime": "energy, carbon or product limit: by which of them it is judged",
    "basis": "how it is counted: equivalent value, the view of electricity's factor, or the standard's own",
    "from_day": "of a rule on limits to come: the day on which it comes in force, and how many days that is from then",
    "over": "by how much it is over the limit: an interval, with its unit of measure",
    "measured": "share of the expected time that was measured exactly, in per cent",
    "reason": "why it cannot be judged",
    "points": "the silent points",
    "factors": "a warning where a factor is unverified, else nothing",
    "landing": "of a rule on landings: where the year lands, with its interval and its unit of measure",
    "exhaustion": "of a rule on landings: the day that passes the quota, with its interval",
    "daily": "of a rule on landings: what may be used a day so that the year still keeps the quota",
}
"""What a text template may name in braces."""


def _duration(text: str) -> str:
    milliseconds(text)
    return text


def _template(text: str) -> str:
    try:
        parts = list(Formatter().parse(text))
    except ValueError as error:
        message = f"{error}; write {{{{ and }}}} for braces"
        raise ValueError(message) from error
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if name not in PLACEHOLDERS:
            message = f"knows no {{{name}}}; there are {', '.join(PLACEHOLDERS)}"
            raise ValueError(message)
        if form or conversion:
            message = f"{{{name}}} takes no format"
            raise ValueError(message)
    return text


@lru_cache(maxsize=1_024)
def milliseconds(duration: str) -> int:
    """Milliseconds of an ISO 8601 duration in weeks, days, hours, minutes and seconds.

    Raises ValueError with what is wrong. Months and years have no fixed length.
    """
    match = _DURATION.fullmatch(duration)
    if match is None:
        message = f"{duration!r} is no duration such as PT15M, PT2H or P30D"
        raise ValueError(message)
    length = sum(int(match[name] or 0) * _LENGTH_MS[name] for name in _LENGTH_MS)
    if length > LONGEST_MS:
        message = f"{duration!r} is longer than ten years"
        raise ValueError(message)
    return length


Duration = Annotated[str, AfterValidator(_duration)]
Template = Annotated[
    str, StringConstraints(min_length=1, max_length=2_000), AfterValidator(_template)
]
UnitPattern = Annotated[str, StringConstraints(pattern=r"^[0-9A-Z*?]{1,18}$")]
"""A unit's code; `*` stands for any text, `?` for one character."""


_OUTLIVES: dict[WindowKind, str] = {"year": "P90D", "month": "P30D", "day": "P7D", "hour": "P1D"}


class Rule(BaseModel):
    """One rule. Key: `name`. A unit has at most one alert of it in each window."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    kind: Kind
    severity: Severity
    window: WindowKind = "year"
    """Whose judgement counts; a rule on silent points has no window."""
    hold: Duration = "PT0S"
    """How long the condition must hold before it fires.

    `PT2H`: what is over after 119 minutes never fires.
    """
    recover_hold: Duration = "PT0S"
    """How long it must have been over before a firing alert ends.

    `PT1H`: a relapse within the hour is the same alert.
    """
    outlives_window: Duration | None = None
    """How long an alert outlives its window, so that a late reading can still retract it.

    Unless told, P90D for a year, P30D for a month, P7D for a day, P1D for an hour.
    """
    units: tuple[UnitPattern, ...] = ("*",)
    """Whom it watches. `["9151*"]`: codes that begin with 9151."""
    except_units: tuple[UnitPattern, ...] = ()
    """Whom it leaves out, although `units` names them."""
    levels: Annotated[tuple[Annotated[int, Field(ge=1, le=2)], ...], Field(min_length=1)] = (1, 2)
    """Of a rule on levels: a target at one of these. 1 is very severe, 2 rather severe."""
    regime: Regime = "energy"
    """Of a rule on a year's verdict or landing: `energy` against the quota, or `carbon` against the CO2 budget."""
    certainty: Literal["certain", "likely"] = "certain"
    """Of a rule on landings. `certain`: even the low end of the year's 80 % interval is over the quota; `likely`: the expected year is.

    Of a rule on limits to come. `certain`: the line would break it; `likely`: its best estimate is above it, too.
    """
    limit_levels: Annotated[tuple[Annotated[int, Field(ge=1, le=3)], ...], Field(min_length=1)] = (
        3,
    )
    """Of a rule on product limits: these levels of the standards. 3 is the limit of existing plants, 2 access, 1 advanced."""
    summary: Template | None = None
    """One line in place of the usual one; it may name PLACEHOLDERS."""
    description: Template | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.units:
            message = "units []: the rule would watch nobody"
            raise ValueError(message)
        if self.kind != "level changed" and "levels" in self.model_fields_set:
            message = f"levels {list(self.levels)}: only a rule of kind level changed has them"
            raise ValueError(message)
        if self.kind not in FORETELLING and "certainty" in self.model_fields_set:
            message = f"certainty {self.certainty!r}: only a rule of kind will break or limit to come has it"
            raise ValueError(message)
        if self.kind not in OF_YEARS and "regime" in self.model_fields_set:
            message = f"regime {self.regime!r}: only a rule on a year's verdict or landing has it"
            raise ValueError(message)
        if self.regime == "carbon" and self.window != "year":
            message = f"window {self.window!r}: a CO2 budget is that of a year"
            raise ValueError(message)
        if self.kind not in OF_LIMITS and "limit_levels" in self.model_fields_set:
            message = (
                f"limit_levels {list(self.limit_levels)}: only a rule on product limits has them"
            )
            raise ValueError(message)
        if self.kind in OF_LIMITS and self.window not in {"month", "year"}:
            message = f"window {self.window!r}: product limits are judged for months and years"
            raise ValueError(message)
        if self.kind == "will break" and self.window != "year":
            message = f"window {self.window!r}: a landing is that of a year"
            raise ValueError(message)
        if self.kind == "silent points" and "window" in self.model_fields_set:
            message = f"window {self.window!r}: silent points have no window"
            raise ValueError(message)
        return self

    @property
    def hold_ms(self) -> int:
        """`hold` in milliseconds."""
        return milliseconds(self.hold)

    @property
    def recover_hold_ms(self) -> int:
        """`recover_hold` in milliseconds."""
        return milliseconds(self.recover_hold)

    @property
    def outlives_window_ms(self) -> int:
        """`outlives_window` in milliseconds."""
        return milliseconds(self.outlives_window or _OUTLIVES[self.window])

    def covers(self, unit: str) -> bool:
        """Say whether the rule watches `unit`."""
        return _matches(unit, self.units) and not _matches(unit, self.except_units)

    def version(self) -> str:
        """Short hash of what the rule says, so that a transition names the wording it came from."""
        # A field that came later, and that the rule does not have, leaves its version as it was.
        later = {"certainty", "limit_levels"}
        if self.kind in FORETELLING:
            later.remove("certainty")
        if self.regime == "energy":
            later.add("regime")
        if self.kind in OF_LIMITS:
            later.remove("limit_levels")
        return sha256(self.model_dump_json(exclude=later).encode()).hexdigest()[:12]


def _matches(unit: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(unit, pattern) for pattern in patterns)


Rules = tuple[Rule, ...]
"""In the order of the file; names are unique."""


DEFAULT_RULES: Rules = (
    Rule(name="quota-exceeded", kind="confirmed breach", severity="critical"),
    Rule(
        name="quota-probably-exceeded",
        kind="suspected breach",
        severity="warning",
        hold="PT2H",
        recover_hold="PT1H",
    ),
    Rule(
        name="cannot-be-judged",
        kind="cannot be judged",
        severity="info",
        hold="PT24H",
        recover_hold="PT1H",
    ),
    # No hold: a point counts as silent only after its cadence and its tolerance.
    Rule(name="points-silent", kind="silent points", severity="warning", recover_hold="PT15M"),
    # Hysteresis is in the level rules: a level that trembles does not change.
    Rule(name="target-very-severe", kind="level changed", severity="critical", levels=(1,)),
    Rule(name="target-rather-severe", kind="level changed", severity="warning", levels=(2,)),
    # A month's or year's intensity begins with few days: what lasts a day is told.
    Rule(
        name="product-limit-exceeded",
        kind="limit broken",
        severity="warning",
        hold="P1D",
        recover_hold="P1D",
    ),
    Rule(
        name="product-limit-probably-exceeded",
        kind="limit probably broken",
        severity="info",
        hold="P2D",
        recover_hold="P1D",
    ),
    Rule(
        name="product-limit-cannot-be-judged",
        kind="limit cannot be judged",
        severity="info",
        hold="P7D",
        recover_hold="P1D",
    ),
    # Once, before a published limit comes in force, of lines that would break it.
    Rule(
        name="product-limit-to-come",
        kind="limit to come",
        severity="info",
        hold="P1D",
        recover_hold="P7D",
    ),
    # Told once a midnight: held for P2D means so at three midnights in a row.
    Rule(
        name="quota-will-be-exceeded",
        kind="will break",
        severity="warning",
        certainty="certain",
        hold="P2D",
        recover_hold="P2D",
    ),
    Rule(
        name="quota-likely-exceeded-by-year-end",
        kind="will break",
        severity="info",
        certainty="likely",
        hold="P6D",
        recover_hold="P6D",
    ),
    # The same of the CO2 budget; they say nothing of units without one.
    Rule(name="budget-exceeded", kind="confirmed breach", regime="carbon", severity="critical"),
    Rule(
        name="budget-probably-exceeded",
        kind="suspected breach",
        regime="carbon",
        severity="warning",
        hold="PT2H",
        recover_hold="PT1H",
    ),
    Rule(
        name="budget-cannot-be-judged",
        kind="cannot be judged",
        regime="carbon",
        severity="info",
        hold="PT24H",
        recover_hold="PT1H",
    ),
    Rule(
        name="budget-will-be-exceeded",
        kind="will break",
        regime="carbon",
        severity="warning",
        certainty="certain",
        hold="P2D",
        recover_hold="P2D",
    ),
    Rule(
        name="budget-likely-exceeded-by-year-end",
        kind="will break",
        regime="carbon",
        severity="info",
        certainty="likely",
        hold="P6D",
        recover_hold="P6D",
    ),
)


@dataclass(frozen=True, slots=True)
class RuleError:
    """One thing wrong with a rule file."""

    where: str
    """`rules[2] (quota-exceeded).hold`, or empty for the file itself."""
    message: str

    def __str__(self) -> str:
        """Return the line that people read."""
        return f"{self.where}: {self.message}" if self.where else self.message


@dataclass(frozen=True, slots=True)
class BadRules:
    """A rule file that is not used, and everything that is wrong with it."""

    errors: tuple[RuleError, ...]

    def __str__(self) -> str:
        """Return a line for each error."""
        return "\n".join(str(error) for error in self.errors)


def read_rules(text: str) -> Rules | BadRules:
    """Return the rules of a file, or everything that is wrong with it."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return BadRules((RuleError("", f"not TOML: {error}"),))
    # As it came: TOML holds nothing but these.
    entries = cast("object", tables.pop("rules", None))
    errors = [RuleError(key, "is not known here; the file holds [[rules]]") for key in tables]
    if not isinstance(entries, list) or not entries:
        told = "is missing" if entries is None else f"is {entries!r}"
        return BadRules((*errors, RuleError("rules", f"{told}: write one [[rules]] or more")))
    rules: list[Rule] = []
    for position, entry in enumerate(entries):
        try:
            rules.append(Rule.model_validate(entry))
        except ValidationError as error:
            errors.extend(_errors_of(error, f"rules[{position}]{_called(entry)}"))
    errors.extend(_repeated_names(entries))
    return BadRules(tuple(errors)) if errors else tuple(rules)


def _called(entry: object) -> str:
    name = entry.get("name") if isinstance(entry, dict) else None
    return f" ({name})" if isinstance(name, str) else ""


def _errors_of(error: ValidationError, where: str) -> Iterator[RuleError]:
    for detail in error.errors(include_url=False):
        place = ".".join(str(part) for part in detail["loc"])
        message = detail["msg"].removeprefix("Value error, ")
        # What is missing has no value, and a model's own check names it.
        named = detail["type"] in {"missing", "value_error"} and not isinstance(
            detail["input"], str
        )
        shown = "" if named else f" (it is {detail['input']!r})"
        yield RuleError(f"{where}.{place}" if place else where, f"{message}{shown}")


def _repeated_names(entries: list[object]) -> Iterator[RuleError]:
    seen: set[str] = set()
    for position, entry in enumerate(entries):
        name = entry.get("name") if isinstance(entry, dict) else None
        if isinstance(name, str) and name in seen:
            yield RuleError(f"rules[{position}].name", f"{name!r} is the name of another rule")
        if isinstance(name, str):
            seen.add(name)
