"""A window of a product line as others are told, with its limits: JSON of `indicator.LineJudged`."""

from collections.abc import Mapping, Sequence

import orjson

from processors.line_limits import LimitHeld, scaled_ends
from processors.lines import Amount, Figures, Intensity
from schemas.quantities import UNIT_OF_MEASURE

Json = dict[str, object]
Used = Sequence[tuple[str, bool]]
"""Ids of factors, and whether each is unverified."""


def line_window(
    window: tuple[str, int, int],
    found: Figures,
    used: Mapping[str, Used],
    limits: Sequence[Json],
) -> bytes:
    """A window (kind, start, end) with its figures; `used`: factors by target."""
    kind, start, end = window
    told: dict[str, Json] = {
        name: _figure(name, amount, found.measured) for name, amount in found.native.items()
    }
    told["output"] = _figure("output", found.output, found.made_measured)
    for name, amount in (("energy", found.energy), ("co2", found.co2)):
        told[name] = _figure(name, amount, found.measured) | _by(used[name])
    told["intensity"] = _intensity(found.intensity) | _by(used["energy"])
    body: Json = {"window": kind, "start": start, "end": end, "figures": told}
    return orjson.dumps(body | {"limits": limits} if limits else body)


def limit_name(held: LimitHeld) -> str:
    """One level of a standard: what is told and remembered apart from the others."""
    one = held.judged
    return f"{held.indicator} level {one.level}" + (f" of {one.region}" if one.region else "")


def limit_told(held: LimitHeld, law: str, since: int | None) -> Json:
    """JSON of `indicator.LimitJudged`. Amounts beyond 64 bits are none that a reader could hold."""
    one, used = held.judged, held.actual
    low, high = scaled_ends(one.limit)
    told: Json = {
        "limit": limit_name(held),
        "indicator": held.indicator,
        "level": one.level,
        "region": one.region,
        "unit_of_measure": one.unit,
        "basis": held.basis,
        "low": _kept(used.low),
        "best": _kept(used.best),
        "high": _kept(used.high),
        "limit_low": low,
        "limit_high": high,
        "verdict": one.outcome,
        "reason": used.said or one.reason or None,
        "since": since,
        "suspected": one.suspected,
        "entries": one.entries,
        "notes": one.notes,
        "law": law,
    }
    if one.coming is not None:
        told["coming"] = {
            "from_day": one.coming.begins.isoformat(),
            "verdict": one.coming.outcome,
            "suspected": one.coming.suspected,
        }
    return told


def _kept(number: int | None) -> int | None:
    return None if number is None or abs(number) >= 2**62 else number


def _figure(name: str, amount: Amount, share: int) -> Json:
    return {
        "unit_of_measure": UNIT_OF_MEASURE[name],
        **amount._asdict(),
        "share_measured": share,
    }


def _intensity(found: Intensity) -> Json:
    return {
        "unit_of_measure": "kgce/t",
        "low": found.low,
        "best": found.best,
        "high": found.high,
        "said": found.said,
    }


def _by(used: Used) -> Json:
    return {
        "factors": [factor for factor, _ in used],
        "unverified": any(mark for _, mark in used),
    }
