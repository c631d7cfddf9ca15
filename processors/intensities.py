"""Energy and CO2 of a region or industry per value added, as far as both are known until an hour.

Amounts are integers of 10⁻⁶ t, value added of 10⁻⁶ · 10⁴ CNY at constant prices, intensities of 10⁻⁶ t per 10⁴ CNY.
"""

from collections.abc import Iterator
from typing import NamedTuple

from processors.ledger import round_even
from processors.standings import REMAINDER_UNKNOWN, known_by, remainder_until
from schemas.double_control import NOTHING, Amount, Covers
from schemas.scale import SCALE
from schemas.targets import Quantity, Targets

UNKNOWN, NONE = "value added unknown", "not computable: no value added"


class Intensity(NamedTuple):
    """A scope's use per value added, or why there is none."""

    quantity: Quantity
    covers: Covers
    prices_of: int
    status: str
    """Of the value added: `preliminary` where any part of it is; empty where nothing is known."""
    per_value_added: Amount | None
    reason: str


def intensities(
    targets: Targets, scope: str, key_units: dict[Quantity, Amount], start: int, hour: int
) -> Iterator[Intensity]:
    """For each coverage and year of prices of which the scope has value added. `key_units`: their sums of [start, hour)."""
    mine = [one for one in targets.value_added if one.scope == scope]
    for covers, prices_of in sorted({(one.covers, one.prices_of) for one in mine}):
        its = [one for one in mine if (one.covers, one.prices_of) == (covers, prices_of)]
        made = remainder_until(its, start, hour)
        order = ("preliminary", "revised", "final")
        known = known_by(its, start, hour).values()
        status = min((one.status for one in known), key=order.index, default="")
        for quantity, used in key_units.items():
            rest = _remainder(targets, (scope, quantity), covers, start, hour)
            told, reason = _per(used, rest, made)
            yield Intensity(quantity, covers, prices_of, status, told, reason)


def _remainder(
    targets: Targets, of: tuple[str, Quantity], covers: Covers, start: int, hour: int
) -> Amount | None:
    if covers == "key units":
        return NOTHING
    its = [one for one in targets.remainders if (one.scope, one.quantity) == of]
    return remainder_until(its, start, hour)


def _per(used: Amount, rest: Amount | None, made: Amount | None) -> tuple[Amount | None, str]:
    if rest is None:
        return None, REMAINDER_UNKNOWN
    if made is None:
        return None, UNKNOWN
    if made.best == 0:
        return None, NONE
    return ratio(used + rest, made), ""


def ratio(used: Amount, made: Amount) -> Amount:
    """Use per value added, rounded outward; its best, half to even, lies between."""
    low = 0 if not made.high else used.low * SCALE // made.high
    high = None if used.high is None or not made.low else -(-used.high * SCALE // made.low)
    best = max(low, round_even(used.best * SCALE, made.best))
    return Amount(low, best if high is None else min(best, high), high)
