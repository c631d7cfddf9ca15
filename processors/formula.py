"""A product's limit worked out from its formula and what a unit declared: exact, and an interval where a declaration is.

Law is data (`schemas/pack_limits.py`); here are only the kinds of correction. Every step encloses: the true limit lies inside
the interval whatever the parameters are inside theirs, and a wider declaration never gives a narrower limit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from schemas.pack_entries import number
from schemas.pack_limits import (
    Add,
    AddTable,
    Condition,
    Correction,
    Limit,
    Multiply,
    MultiplyLinear,
    Parameter,
    PerPoint,
    at_level,
)


class DeclarationError(ValueError):
    """A declaration that cannot be: the message says which parameter, and what it may be."""


@dataclass(frozen=True, slots=True)
class Interval:
    """low ≤ best ≤ high, exactly; None is unknown, both or none of them."""

    low: Fraction | None
    best: Fraction
    high: Fraction | None

    @classmethod
    def of(cls, value: Fraction | Decimal | int) -> "Interval":
        """One value."""
        return cls(Fraction(value), Fraction(value), Fraction(value))

    @property
    def exact(self) -> bool:
        """Whether it is one value."""
        return self.low is not None and self.low == self.high

    def ends(self) -> tuple[Fraction, Fraction] | None:
        """Both ends, None where they are unknown."""
        return None if self.low is None or self.high is None else (self.low, self.high)


UNKNOWN = Interval(None, Fraction(0), None)

Declared = Mapping[str, Interval | str]
"""By parameter: a number's interval, or the option that holds."""

Definitions = Mapping[str, Parameter]


@dataclass(frozen=True, slots=True)
class Truth:
    """Whether something holds: for sure, possibly, and by the best guess."""

    sure: bool
    possible: bool
    best: bool

    def __and__(self, other: "Truth") -> "Truth":
        return Truth(
            self.sure and other.sure, self.possible and other.possible, self.best and other.best
        )


def declarations(told: Mapping[str, str], parameters: Definitions) -> dict[str, Interval | str]:
    """Declarations from text: a number `60`, an interval `55..65` (best: its middle) or an option. Raises DeclarationError."""
    return {name: _declaration(name, text, parameters) for name, text in told.items()}


def _declaration(name: str, text: str, parameters: Definitions) -> Interval | str:
    parameter = parameters.get(name)
    if parameter is None:
        message = f"{name} is no parameter of any pack"
        raise DeclarationError(message)
    if parameter.options:
        return text
    try:
        ends = [Fraction(number(part)) for part in text.split("..")]
    except ValueError as error:
        message = (
            f"{name} = {text!r}: write a number or an interval such as 55..65, in {parameter.unit}"
        )
        raise DeclarationError(message) from error
    return Interval(ends[0], (ends[0] + ends[-1]) / 2, ends[-1])


def check_declared(declared: Declared, parameters: Definitions) -> None:
    """Raise DeclarationError for what is no parameter, no option of it, or outside of its bounds."""
    for name, told in declared.items():
        parameter = parameters.get(name)
        if parameter is None:
            message = f"{name} is no parameter of any pack"
            raise DeclarationError(message)
        if isinstance(told, str) != bool(parameter.options) or (
            isinstance(told, str) and told not in parameter.options
        ):
            allowed = ", ".join(parameter.options) or f"a number ({parameter.unit})"
            message = f"{name} is declared as {told!r}; it is {allowed}"
            raise DeclarationError(message)
        if isinstance(told, Interval) and not _inside(told, parameter):
            message = f"{name} is declared outside of [{parameter.least}, {parameter.greatest}] {parameter.unit}, or not in order"
            raise DeclarationError(message)


def _inside(told: Interval, parameter: Parameter) -> bool:
    ends = told.ends()
    if ends is None:
        return True
    low, high = ends
    return (
        low <= told.best <= high
        and (parameter.least is None or low >= parameter.least)
        and (parameter.greatest is None or high <= parameter.greatest)
    )


def value_of(name: str, declared: Declared, parameters: Definitions) -> Interval:
    """A parameter that is a number: as declared, else all that it may be."""
    told, parameter = declared.get(name), parameters[name]
    if isinstance(told, Interval):
        return told
    usual = Fraction(number(parameter.usual))
    if parameter.least is None or parameter.greatest is None:
        return Interval(None, usual, None)
    return Interval(Fraction(parameter.least), usual, Fraction(parameter.greatest))


def truth(conditions: Sequence[Condition], declared: Declared, parameters: Definitions) -> Truth:
    """Whether all of some conditions hold."""
    whole = Truth(sure=True, possible=True, best=True)
    for condition in conditions:
        whole &= _truth(condition, declared, parameters)
    return whole


def _truth(condition: Condition, declared: Declared, parameters: Definitions) -> Truth:
    if condition.one_of:
        told = declared.get(condition.parameter)
        options = (told,) if isinstance(told, str) else parameters[condition.parameter].options
        best = told if isinstance(told, str) else parameters[condition.parameter].usual
        inside = [option in condition.one_of for option in options]
        return Truth(all(inside), any(inside), best in condition.one_of)
    value = value_of(condition.parameter, declared, parameters)
    ends = value.ends()
    best_holds = _holds(condition, value.best, value.best)
    if ends is None:
        return Truth(sure=False, possible=True, best=best_holds)
    low, high = ends
    return Truth(_holds(condition, low, high), _holds(condition, high, low), best_holds)


def _holds(condition: Condition, least: Fraction, greatest: Fraction) -> bool:
    """Whether `least` keeps the lower bounds and `greatest` the upper ones."""
    return (
        (condition.above is None or least > condition.above)
        and (condition.at_least is None or least >= condition.at_least)
        and (condition.below is None or greatest < condition.below)
        and (condition.up_to is None or greatest <= condition.up_to)
    )


def limit_at(
    limit: Limit, level: int, declared: Declared, parameters: Definitions
) -> Interval | None:
    """The corrected limit of a level (1 to 3), in the limit's unit; None where the standard has none, or it was not read."""
    base = limit.level(level)
    if base is None:
        return None
    running = Interval.of(base)
    for correction in limit.corrections:
        if level in correction.only_levels:
            running = _corrected(running, correction, level, declared, parameters)
    return running


def _corrected(
    running: Interval,
    correction: Correction,
    level: int,
    declared: Declared,
    parameters: Definitions,
) -> Interval:
    applies = truth(correction.when, declared, parameters)
    if not applies.possible:
        return running
    changed = _changed(running, correction, level, declared, parameters)
    best = changed.best if applies.best else running.best
    if applies.sure:
        return Interval(changed.low, best, changed.high)
    return hull([running, changed], best)


def _changed(
    running: Interval,
    correction: Correction,
    level: int,
    declared: Declared,
    parameters: Definitions,
) -> Interval:
    match correction:
        case Add():
            return plus(running, Interval.of(at_level(correction.value, level)))
        case Multiply():
            return times(running, Interval.of(at_level(correction.value, level)))
        case PerPoint():
            points = _mapped(
                value_of(correction.parameter, declared, parameters), _points(correction), ()
            )
            return plus(running, times(points, Interval.of(at_level(correction.per_point, level))))
        case MultiplyLinear():
            value = value_of(correction.parameter, declared, parameters)
            return times(running, _mapped(value, _linear(correction), ()))
        case AddTable():
            value = value_of(correction.parameter, declared, parameters)
            knots = [Fraction(place) for place, _ in correction.knots]
            return plus(running, _mapped(value, _table(correction), knots))


def _points(correction: PerPoint) -> Callable[[Fraction], Fraction]:
    """Points that count, by the parameter's value."""

    def points(value: Fraction) -> Fraction:
        beyond = value - Fraction(correction.reference)
        if correction.side == "both":
            return beyond
        counted = max(Fraction(0), beyond if correction.side == "above" else -beyond)
        return counted if correction.most is None else min(counted, Fraction(correction.most))

    return points


def _linear(correction: MultiplyLinear) -> Callable[[Fraction], Fraction]:
    slope = Fraction(correction.slope) / Fraction(correction.divisor)
    return lambda value: Fraction(correction.constant) + slope * value


def _table(correction: AddTable) -> Callable[[Fraction], Fraction]:
    """Straight between the knots, level beyond them."""
    knots = [(Fraction(place), Fraction(height)) for place, height in correction.knots]

    def height(value: Fraction) -> Fraction:
        if value <= knots[0][0]:
            return knots[0][1]
        for (left, low), (right, high) in pairwise(knots):
            if value <= right:
                return low + (high - low) * (value - left) / (right - left)
        return knots[-1][1]

    return height


def _mapped(
    value: Interval, function: Callable[[Fraction], Fraction], turns: Sequence[Fraction]
) -> Interval:
    """A function of an interval that runs one way between its turns."""
    ends = value.ends()
    best = function(value.best)
    if ends is None:
        return Interval(None, best, None)
    places = [*ends, *(turn for turn in turns if ends[0] < turn < ends[1])]
    results = [function(place) for place in places]
    return Interval(min(results), best, max(results))


def plus(one: Interval, other: Interval) -> Interval:
    """Sum of two intervals."""
    mine, theirs = one.ends(), other.ends()
    best = one.best + other.best
    if mine is None or theirs is None:
        return Interval(None, best, None)
    return Interval(mine[0] + theirs[0], best, mine[1] + theirs[1])


def times(one: Interval, other: Interval) -> Interval:
    """Product of two intervals."""
    mine, theirs = one.ends(), other.ends()
    best = one.best * other.best
    if mine is None or theirs is None:
        return Interval(None, best, None)
    corners = [left * right for left in mine for right in theirs]
    return Interval(min(corners), best, max(corners))


def hull(parts: Sequence[Interval], best: Fraction) -> Interval:
    """The least interval around some."""
    ends = [part.ends() for part in parts]
    known = [end for end in ends if end is not None]
    if len(known) < len(ends):
        return Interval(None, best, None)
    return Interval(min(low for low, _ in known), best, max(high for _, high in known))
