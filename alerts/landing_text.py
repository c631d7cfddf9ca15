"""Where a unit's year lands, in words: of alerts whose rule is of the kind `will break`.

A forecast is told to five digits, its ends rounded outward; the evidence holds them to the last. What is a fact is told exactly elsewhere.
"""

from decimal import Decimal

from schemas.landing import MEASURE_OF, Ends, Landed, Regime
from schemas.scale import as_text

NAME_OF: dict[Regime, str] = {"energy": "energy", "carbon": "CO2"}
LIMIT_OF: dict[Regime, str] = {"energy": "quota", "carbon": "CO2 budget"}
_DIGITS = 5
_BASES = {
    "seasonal": "the shape of the unit's year before (seasonal)",
    "calendar": "the calendar, as no whole earlier year is known",
}


def lands_at(landed: Landed) -> str:
    """The year's end with its interval: `between 380 and 421 tce with 80 % (expected 400)`."""
    if landed.projected is None:
        return ""
    end = landed.projected.year_end
    expected = f"(expected {_about(end.best, 0)})"
    if end.high is None:
        return f"at least {_about(end.low, -1)} {_measure(landed)}, upper end unknown {expected}"
    ends = f"{_about(end.low, -1)} and {_about(end.high, 1)}"
    return f"between {ends} {_measure(landed)} with 80 % {expected}"


def exhausted_on(landed: Landed) -> str:
    """The day that passes the quota: `2026-10-04 (between 2026-09-11 and 2026-11-20)`."""
    if landed.projected is None:
        return ""
    days = landed.projected.exhaustion
    if days.best is None:
        first = "" if days.earliest is None else f", {days.earliest} at the earliest"
        return f"not within the year{first}"
    last = "the next year" if days.latest is None else days.latest
    return f"{days.best} (between {days.earliest} and {last})"


def daily(landed: Landed) -> str:
    """What may be used a day: `1.2 tce a day`, rounded down; safe whatever is missing."""
    if landed.per_day is None:
        return ""
    return f"{_about(landed.per_day.low, -1)} {_measure(landed)} a day"


def landing_summary(landed: Landed, unit: str, state: str) -> str:
    """One line. What is over must not read as if it were so."""
    used, limit = f"{NAME_OF[landed.regime]} of {landed.year}", LIMIT_OF[landed.regime]
    if state == "firing":
        so = "will" if landed.state == "will break" else "is likely to"
        return f"Unit {unit}: {used} {so} be above its {limit} at the year's end"
    came = landed.state == "broken"
    rest = (
        f"was forecast to be above its {limit}, and is" if came else f"forecast above its {limit}"
    )
    return f"{state.capitalize()}: unit {unit}: {used} {rest}"


def landing_figures(landed: Landed, quota: str, used: str) -> list[str]:
    """Where it lands, when the quota is used up, what would still keep it, and what that rests on."""
    return [
        f"Used so far: {used}. Annual {LIMIT_OF[landed.regime]} {quota}.",
        *_forecast(landed),
        _burn(landed),
        _keeps(landed),
        _unverified(landed),
    ]


def _forecast(landed: Landed) -> list[str]:
    if landed.state == "broken" or landed.projected is None:
        return []
    return [
        f"The year lands {lands_at(landed)}, by {_BASES[landed.projected.basis]}.",
        f"Day that passes the {LIMIT_OF[landed.regime]}: {exhausted_on(landed)}.",
        "A forecast is no verdict.",
    ]


def _burn(landed: Landed) -> str:
    told = [
        f"in the last {days} days {_rate(burn)} times"
        for days, burn in ((7, landed.fast), (30, landed.slow))
        if burn is not None
    ]
    limit = LIMIT_OF[landed.regime]
    return f"Used {' and '.join(told)} the pace that the {limit} allows." if told else ""


def _rate(burn: Ends) -> str:
    return f"{Decimal(burn.best).scaleb(-3):.2f}"


def _keeps(landed: Landed) -> str:
    if landed.per_day is None or landed.state == "broken":
        return ""
    limit = LIMIT_OF[landed.regime]
    if landed.per_day.low == 0:
        return f"Whatever is used from now on may be over the {limit}."
    return f"At most {daily(landed)} from now on still keep the {limit}, whatever is missing."


def _unverified(landed: Landed) -> str:
    if not landed.unverified:
        return ""
    named = ", ".join(landed.factors) or "not named"
    return f"It rests on a factor that nobody has verified (factors: {named})."


def _measure(landed: Landed) -> str:
    return MEASURE_OF[landed.regime]


def _about(amount: int, towards: int) -> str:
    """To five digits: down (-1), up (1) or to the nearest (0)."""
    unit = 10 ** max(0, len(str(amount)) - _DIGITS)
    up = {-1: 0, 0: unit // 2, 1: unit - 1}[towards]
    whole, point, part = (as_text((amount + up) // unit * unit) or "").partition(".")
    return f"{Decimal(whole):,}" + point + part
