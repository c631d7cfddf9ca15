"""How a report writes numbers and instants: thin separators, bounds rounded outward, business time."""

from datetime import date, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

from schemas.calendar import BUSINESS

THIN = "\N{NARROW NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
_PLACES = Decimal("0.001")
_EXACT = Decimal("0.000001")
_PERCENT = Decimal("0.01")


def amount(
    number: Decimal, *, rounding: str = ROUND_HALF_EVEN, exact: bool = False, places: int = 3
) -> str:
    """`22 495.601`: groups of three before the point; `exact` keeps all six decimals."""
    step = _EXACT if exact else Decimal(1).scaleb(-places)
    text = f"{abs(number.quantize(step, rounding)):,f}".replace(",", THIN)
    return MINUS + text if number < 0 else text


def low(number: Decimal, *, exact: bool = False) -> str:
    """A lower bound, never written higher than it is."""
    return amount(number, rounding=ROUND_FLOOR, exact=exact)


def high(number: Decimal, *, exact: bool = False) -> str:
    """An upper bound, never written lower than it is."""
    return amount(number, rounding=ROUND_CEILING, exact=exact)


def count(number: int) -> str:
    """`12 345`."""
    return f"{number:,}".replace(",", THIN)


def percent(share: Decimal) -> str:
    """`99.37 %`, rounded down: less than everything never reads as 100 %."""
    return f"{(share * 100).quantize(_PERCENT, ROUND_FLOOR):,f}".replace(",", THIN) + f"{THIN}%"


def moment(at: datetime) -> str:
    """`2026-11-02 17:00`, business time."""
    return f"{at.astimezone(BUSINESS):%Y-%m-%d %H:%M}"


def day(at: datetime | date) -> str:
    """`2026-11-02`, business day."""
    when = at.astimezone(BUSINESS) if isinstance(at, datetime) else at
    return f"{when:%Y-%m-%d}"
