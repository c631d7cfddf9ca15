"""The oracle, RULES section 11: a unit's energy net of some parts, in fractions and infinities."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import ceil, floor, inf
from typing import NamedTuple

from schemas.calendar import day_start
from schemas.deductions import DeductionRule, Evidence

Number = int | float
"""A float is an infinity."""


class Range(NamedTuple):
    """An interval and its best estimate, in 10⁻⁶."""

    low: Number
    best: Number
    high: Number


class Case(NamedTuple):
    """A unit in a window as told: energy, native amounts, factors to tce, and the instants [start, till)."""

    energy: Range
    natives: Mapping[str, Range]
    factors: Mapping[str, Fraction]
    start: int
    till: int


def net_of(
    case: Case, admitted: Sequence[Evidence], parts: Sequence[str], rules: Sequence[DeductionRule]
) -> Range:
    """What is left of its energy where evidence of these parts alone is deducted."""
    mine = [one for one in admitted if part(one) in parts]
    low, best, high = case.energy
    for carrier in ("electricity", "raw_coal"):
        used = case.natives[carrier]
        groups = {
            (capped(one, rules), one.form): [
                o for o in mine if (o.quantity, o.form, capped(o, rules)) == (carrier, one.form, capped(one, rules))
            ]
            for one in mine
            if one.quantity == carrier
        }  # fmt: skip
        so_far = Range(0, 0, 0)
        for _, group in sorted(groups.items()):
            claims = [claim(one, case) for one in group]
            after = Range(
                *(a + sum(ends) for a, ends in zip(so_far, zip(*claims, strict=True), strict=True))
            )
            taken = [
                Fraction(min(new, max(0, end)) - min(old, max(0, end))) * case.factors[carrier]
                if max(0, end) != inf
                else Fraction(new - old) * case.factors[carrier]
                for new, old, end in zip(after, so_far, used, strict=True)
            ]
            low = left(low, ceil(taken[2]))
            high = high if high == inf else left(high, floor(taken[0]))
            best = min(max(low, left(best, round(taken[1]))), high)
            so_far = after
    return Range(low, best, high)


def left(end: Number, taken: int) -> Number:
    """Not below nothing, unless it was."""
    return end if end < 0 else max(0, end - taken)


def part(one: Evidence) -> str:
    """What a figure that it lessens is net of."""
    return "feedstock" if one.form == "feedstock" else "non-fossil"


def capped(one: Evidence, rules: Sequence[DeductionRule]) -> bool:
    """Whether its rule of the day has a cap."""
    return any(r.capped for r in rules if r.form == one.form and r.holds(one.first))


def claim(one: Evidence, case: Case) -> Range:
    """What it deducts until the window is cut: of a part nothing is certain but that it is no more than all."""
    first, until = day_start(one.first), day_start(one.until)
    inside = min(until, case.till) - max(first, case.start)
    if inside <= 0:
        return Range(0, 0, 0)
    whole = int(max(Fraction(0), Fraction(one.amount) - Fraction(one.base or 0)) * 10**6)
    if inside == until - first:
        return Range(whole, whole, whole)
    return Range(0, floor(Fraction(whole * inside, until - first)), whole)
