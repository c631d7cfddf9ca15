"""Exact numbers: every amount is an integer of 10⁻⁶ of its unit of measure."""

from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

SCALE = 1_000_000
PLACES = Decimal("0.000001")
LARGEST = 2**62
"""Amounts beyond this are refused at the door, so that sums of two never overflow int64."""

FLOAT_IS_EXACT_BELOW = 2**51
"""A float parsed from text with at most six decimals gives the exact scaled integer below this."""


class OutOfRangeError(ValueError):
    """A number that is not finite, or too large for the scaled integer."""


def scaled(number: Decimal | float | str) -> tuple[int, bool]:
    """The integer of 10⁻⁶ nearest to `number` (half even), and whether it had to be rounded.

    Raises OutOfRangeError for NaN, infinities and what does not fit.
    """
    try:
        exact = number if isinstance(number, Decimal) else Decimal(str(number))
    except (InvalidOperation, ValueError) as error:
        message = "not a number, or one of thousands of digits"
        raise OutOfRangeError(message) from error
    if not exact.is_finite() or exact.adjusted() > 18:  # noqa: PLR2004 - digits before the point
        message = f"{number!r} is not a finite number below 4.6e12"
        raise OutOfRangeError(message)
    if exact.adjusted() < -40:  # noqa: PLR2004 - so small that it is zero, however long its text
        return 0, bool(exact)
    quantized = exact.quantize(PLACES, rounding=ROUND_HALF_EVEN)
    value = int(quantized.scaleb(6))
    if abs(value) > LARGEST:
        message = f"{number!r} is not a finite number below 4.6e12"
        raise OutOfRangeError(message)
    return value, quantized != exact


def as_decimal(value: int) -> Decimal:
    """The number behind a scaled integer, exactly, without trailing zeros beyond the point."""
    return Decimal(value).scaleb(-6).normalize() + 0


def as_text(value: int | None) -> str | None:
    """A scaled integer as plain decimal text: `117939345` is `117.939345`; None stays None."""
    if value is None:
        return None
    sign, rest = ("-", -value) if value < 0 else ("", value)
    whole, part = divmod(rest, SCALE)
    return f"{sign}{whole}.{part:06d}".rstrip("0").rstrip(".") if part else f"{sign}{whole}"
