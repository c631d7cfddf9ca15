"""A window of a product line as others are told: JSON of `indicator.LineJudged`."""

from collections.abc import Mapping, Sequence

import orjson

from processors.lines import Amount, Figures, Intensity
from schemas.quantities import UNIT_OF_MEASURE

Json = dict[str, object]
Used = Sequence[tuple[str, bool]]
"""Ids of factors, and whether each is unverified."""


def line_window(window: tuple[str, int, int], found: Figures, used: Mapping[str, Used]) -> bytes:
    """A window (kind, start, end) with its figures; `used`: factors by target."""
    kind, start, end = window
    told: dict[str, Json] = {
        name: _figure(name, amount, found.measured) for name, amount in found.native.items()
    }
    told["output"] = _figure("output", found.output, found.made_measured)
    for name, amount in (("energy", found.energy), ("co2", found.co2)):
        told[name] = _figure(name, amount, found.measured) | _by(used[name])
    told["intensity"] = _intensity(found.intensity) | _by(used["energy"])
    return orjson.dumps({"window": kind, "start": start, "end": end, "figures": told})


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
