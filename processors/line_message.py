"""A window of a product line as others are told, with its limits: JSON of `indicator.LineJudged`."""

from collections.abc import Iterable, Mapping, Sequence

import orjson

from processors.line_limits import ByStandard, LimitHeld, scaled_ends
from processors.lines import Amount, Figures, Intensity
from schemas.quantities import UNIT_OF_MEASURE

Json = dict[str, object]


def line_window(
    window: tuple[str, int, int],
    found: Figures,
    used: Mapping[str, Json],
    limits: Sequence[Json],
    energies: Iterable[ByStandard],
) -> bytes:
    """A window (kind, start, end) with its figures; `used`: factors of energy, CO2 and process emissions."""
    kind, start, end = window
    told: dict[str, Json] = {
        name: _figure(name, amount, found.measured) for name, amount in found.native.items()
    }
    told["output"] = _figure("output", found.output, found.made_measured)
    told["energy"] = _figure("energy", found.energy, found.measured) | used["energy"]
    told["co2"] = _figure("co2", found.co2, found.co2_measured) | used["co2"]
    if found.process is not None:
        told["process"] = (
            _figure("process", found.process, found.process_measured) | used["process"]
        )
    if found.purchased is not None:
        told["purchased"] = _figure("purchased", found.purchased, found.purchased_measured)
    told["intensity"] = _intensity(found.intensity) | used["energy"]
    body: Json = {"window": kind, "start": start, "end": end, "figures": told}
    if limits:
        body |= {"limits": limits, "by_standard": [_energy_told(one) for one in energies]}
    return orjson.dumps(body)


def _energy_told(one: ByStandard) -> Json:
    """JSON of `indicator.StandardEnergy`."""
    return {
        "indicator": one.indicator,
        "unit_of_measure": one.unit_of_measure,
        "basis": one.basis,
        **one.amount._asdict(),
        "factors": one.factors,
        "unverified": one.unverified,
    }


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
