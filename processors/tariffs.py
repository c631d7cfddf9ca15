"""What a stream may say of a price penalty: that a projected year would fall in step n. Never a tariff, never a verdict.

Only annual, verified figures count, and a price authority decides.
"""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from processors.formula import Interval
from processors.limits import Actual
from schemas.pack_entries import Tariff
from schemas.scale import SCALE

OVER = "% over the limit"


@dataclass(frozen=True, slots=True)
class Projected:
    """The steps that a projected year may fall in; 0 is none. `highest` None: open."""

    tariff: str
    lowest: int
    highest: int | None
    unverified: bool

    def __str__(self) -> str:
        if self.highest is None:
            steps = f"step {self.lowest} or higher"
        elif self.lowest == self.highest:
            steps = f"step {self.lowest}" if self.lowest else "no step"
        else:
            steps = f"step {self.lowest} to {self.highest}"
        unverified = "; the steps themselves are unverified" if self.unverified else ""
        return (
            f"projected to fall in {steps} of {self.tariff} (a projection, no tariff: "
            f"annual verified figures decide, and the price authority{unverified})"
        )


def projected_step(tariff: Tariff, projected: Actual) -> Projected:
    """Steps of a tariff whose edges are values of the indicator; `projected` is the year's, in 10⁻⁶ of its unit."""
    low = None if projected.low is None else Fraction(projected.low, SCALE)
    high = None if projected.high is None else Fraction(projected.high, SCALE)
    return _between(tariff, low, high)


def projected_step_over(tariff: Tariff, projected: Actual, limit: Interval) -> Projected | None:
    """Steps of a tariff that counts per cent over the limit; None where the limit is unknown, or not above 0."""
    ends = limit.ends()
    if ends is None or ends[0] <= 0:
        return None
    low = None if projected.low is None else _over(projected.low, ends[1])
    high = None if projected.high is None else _over(projected.high, ends[0])
    return _between(tariff, low, high)


def _over(value: int, limit: Fraction) -> Fraction:
    """Per cent over a limit."""
    return (Fraction(value, SCALE) - limit) / limit * 100


def _between(tariff: Tariff, low: Fraction | None, high: Fraction | None) -> Projected:
    return Projected(
        tariff.id,
        0 if low is None else step_of(tariff, low),
        None if high is None else step_of(tariff, high),
        tariff.status == "unverified",
    )


def step_of(tariff: Tariff, value: Fraction) -> int:
    """The step of one value: how many edges it is above; above the last, each started `step` is one more."""
    passed = sum(value > edge for edge in tariff.edges)
    if tariff.step is None or passed < len(tariff.edges):
        return passed
    return passed - 1 + ceil((value - Fraction(tariff.edges[-1])) / Fraction(tariff.step))
