"""Native amounts to tce and CO2: one multiplication by an exact ratio, one rounding. Rules: schemas/RULES.md, section 5."""

import numpy as np

from processors.ports import Ints


def converted(amount: Ints, numerator: Ints, denominator: Ints) -> Ints:
    """round(amount · numerator / denominator), half to even."""
    down, rest = _parts(amount, numerator, denominator)
    twice = 2 * rest
    up = (twice > denominator) | ((twice == denominator) & (down % 2 != 0))
    result: Ints = down + up
    return result


def converted_down(amount: Ints, numerator: Ints, denominator: Ints) -> Ints:
    """floor(amount · numerator / denominator)."""
    return _parts(amount, numerator, denominator)[0]


def converted_up(amount: Ints, numerator: Ints, denominator: Ints) -> Ints:
    """ceil(amount · numerator / denominator)."""
    down, rest = _parts(amount, numerator, denominator)
    result: Ints = down + (rest > 0)
    return result


def _parts(amount: Ints, numerator: Ints, denominator: Ints) -> tuple[Ints, Ints]:
    """Floor and remainder of amount · numerator / denominator, by quotient and remainder of the amount apart.

    The factor pack keeps numerator · denominator below 2⁶² and numerator below 2⁴⁰; raises OverflowError where the result leaves int64.
    """
    whole, rest = np.divmod(amount, denominator)
    large = np.abs(whole) > 2**62 // np.maximum(numerator, 1)
    if large.any():
        message = f"amount {int(np.broadcast_to(amount, large.shape)[large][0])} (10⁻⁶) is too large to convert in 64 bits"
        raise OverflowError(message)
    down, remainder = np.divmod(rest * numerator, denominator)
    return whole * numerator + down, remainder
