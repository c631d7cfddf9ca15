"""Exact amounts over time: the rated staircase and how a piece's amount is spread.

All amounts are int64 in 10⁻⁶ of the unit of measure, all instants int64 milliseconds. Rules: schemas/RULES.md, sections 1, 3 and 4.
"""

import numpy as np

from processors.ports import Ints
from schemas.calendar import HOUR_MS

PERCENT_HOUR = 100 * HOUR_MS
"""Weighted time (percent · ms) in which the rated maximum of an hour passes."""
_PRODUCT_FITS = 2**63 // HOUR_MS
"""Rated amounts up to this can be multiplied by the milliseconds of an hour in int64."""
_SQUARE_FITS = 3_000_000_000
"""Lengths up to this (34 days in ms) can be squared in int64."""


def staircase(rated: Ints, at: Ints) -> Ints:
    """R(t) = floor(rated · t / 1 h): the most that can have passed until `at`, rated per hour. Additive over time."""
    whole = at // HOUR_MS
    rest = at - whole * HOUR_MS
    if rated.size == 0 or int(rated.max()) <= _PRODUCT_FITS:
        result: Ints = rated * whole + rated * rest // HOUR_MS
        return result
    high, low = np.divmod(rated, HOUR_MS)
    stairs: Ints = rated * whole + high * rest + low * rest // HOUR_MS
    return stairs


def weighted_staircase(rated: Ints, weighted: Ints) -> Ints:
    """H(t) = floor(rated · Q(t) / 100 h), of Q(t) in percent · ms: the best guess where nothing is known."""
    whole, rest = np.divmod(weighted, PERCENT_HOUR)
    high, low = np.divmod(rated, PERCENT_HOUR)
    result: Ints = rated * whole + high * rest + low * rest // PERCENT_HOUR
    return result


def allowed(rated: Ints, start: Ints, end: Ints) -> Ints:
    """The most that can pass in [start, end)."""
    return staircase(rated, end) - staircase(rated, start)


def spread(low: Ints, start: Ints, end: Ints, at: Ints) -> Ints:
    """G(t) = floor(low · (t − start) / (end − start)): how much of a piece's least amount lies before `at`."""
    length = end - start
    done = at - start
    per_ms, rest = np.divmod(low, length)
    result: Ints = per_ms * done
    if len(length) and int(length.max()) > _SQUARE_FITS:
        exact = rest.astype(object) * done.astype(object) // length.astype(object)
        result += exact.astype(np.int64)
    else:
        result += rest * done // length
    return result


def bounds_of_part(
    low: Ints, high: Ints, rated: Ints, whole: tuple[Ints, Ints], part: tuple[Ints, Ints]
) -> tuple[Ints, Ints]:
    """What a known piece over `whole` = (a, b) may have put into `part` = (x, y) of it: all of it, or cut by what the outside allows."""
    (a, b), (x, y) = whole, part
    inside = (x == a) & (y == b)
    outside = allowed(rated, a, x) + allowed(rated, y, b)
    part_low = np.where(inside, low, np.maximum(0, low - outside))
    part_high = np.where(inside, high, np.minimum(high, allowed(rated, x, y)))
    return part_low, part_high
