"""Figures of product lines: energy, CO2 and output in their own boundary, and energy a unit of output. Rules: schemas/RULES.md, section 12.

Amounts are integers of 10⁻⁶; an end of an interval that is None is not known.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from processors.boundaries import Boundary
from schemas.scale import SCALE

_KGCE_PER_TCE = 1_000


class Amount(NamedTuple):
    """An interval with its best estimate."""

    low: int | None
    best: int
    high: int | None


class Native(NamedTuple):
    """One carrier in a window: its amount, and point-time measured and expected."""

    low: int
    best: int
    high: int
    measured: int
    expected: int

    @property
    def amount(self) -> Amount:
        """Without its times."""
        return Amount(self.low, self.best, self.high)


class Ratio(NamedTuple):
    """What a carrier is multiplied by; below 0 what a product fixes."""

    numerator: int
    denominator: int

    def of(self, native: Amount) -> Amount:
        """Converted once: low down, best half even, high up; what is not known stays so."""
        n, d = self
        least, most = (native.low, native.high) if n >= 0 else (native.high, native.low)
        low = None if least is None else least * n // d
        high = None if most is None else -(-most * n // d)
        return Amount(low, _nearest(native.best * n, d), high)


ONE = Ratio(1, 1)
Said = Literal["not computable", "energy without output"]


@dataclass(frozen=True, slots=True)
class Intensity:
    """kgce (or kWh) a unit of output, in 10⁻⁶, rounded outward. `said`: why there is none."""

    low: int | None
    best: int | None
    high: int | None
    said: Said | None = None


def signed_sum(parts: Iterable[tuple[int, Amount]]) -> Amount:
    """Sum of amounts with their signs: of what is taken off the other end counts."""
    low: int | None = 0
    best = 0
    high: int | None = 0
    for sign, amount in parts:
        ends = (amount.low, amount.high) if sign > 0 else (amount.high, amount.low)
        low = None if low is None or ends[0] is None else low + sign * ends[0]
        best += sign * amount.best
        high = None if high is None or ends[1] is None else high + sign * ends[1]
    return Amount(low, best, high)


def in_boundary(
    members: Sequence[tuple[int, int]],
    natives: Sequence[Native],
    ratios: Mapping[int, Ratio],
    *,
    lacks: bool,
) -> Amount:
    """What a line's members come to, those that `ratios` converts. `lacks`: the window begins before its points do."""
    mine = [(place, sign) for place, sign in members if place in ratios]
    total = signed_sum((sign, ratios[place].of(natives[place].amount)) for place, sign in mine)
    if not lacks:
        return total
    given_away = any(sign * ratios[place].numerator < 0 for place, sign in mine)
    return total._replace(low=None if given_away else total.low, high=None)


def lacks_beginning(boundary: Boundary, side_from: int, window: tuple[int, int]) -> bool:
    """Whether a window (start, until) begins before the points of one side of a line, and not only before the line."""
    start, until = window
    begins = start if boundary.line.begins is None else max(start, boundary.line.begins)
    return begins < side_from < until


def share(members: Sequence[tuple[int, int]], natives: Sequence[Native]) -> int:
    """Exactly measured in expected point-time, in 10⁻⁶."""
    measured = sum(natives[place].measured for place, _ in members)
    expected = sum(natives[place].expected for place, _ in members)
    return SCALE * measured // expected if expected else 0


def intensity(energy: Amount, output: Amount, per: int = _KGCE_PER_TCE) -> Intensity:
    """Energy (10⁻⁶ tce) by output (10⁻⁶ of its unit), in 10⁻⁶ kgce; with `per` 1 in the energy's own unit of measure."""
    if output.high is not None and output.high <= 0:
        is_used = energy.low is not None and energy.low > 0
        return Intensity(None, None, None, "energy without output" if is_used else "not computable")
    scale = per * SCALE
    low = _low(energy.low, output, scale)
    high = None
    if energy.high is not None and output.low is not None and output.low > 0:
        by = output.low if energy.high > 0 else output.high
        high = 0 if by is None else -(-energy.high * scale // by)
    best = _nearest(energy.best * scale, output.best) if output.best > 0 else None
    return Intensity(low, _held(low, best, high), high)


def _low(energy: int | None, output: Amount, scale: int) -> int | None:
    if energy is None:
        return None
    if energy >= 0:
        return 0 if output.high is None else energy * scale // output.high
    known = output.low is not None and output.low > 0
    return energy * scale // output.low if known and output.low else None


def _nearest(number: int, by: int) -> int:
    down, rest = divmod(number, by)
    return down + (2 * rest > by or (2 * rest == by and down % 2 != 0))


def _held(low: int | None, best: int | None, high: int | None) -> int | None:
    """A best estimate that rounding put outside its bounds, put back."""
    if best is None:
        return None
    best = best if low is None else max(low, best)
    return best if high is None else min(best, high)


@dataclass(frozen=True, slots=True)
class Figures:
    """One line in one window."""

    energy: Amount
    co2: Amount
    output: Amount
    intensity: Intensity
    native: dict[str, Amount]
    """By carrier: `electricity`, `raw_coal`."""
    process: Amount | None
    """CO2 that no fuel makes, which `co2` holds; None where nothing is declared to emit any."""
    purchased: Amount | None
    """Electricity without the unit's own; None where there is none of its own."""
    measured: int
    made_measured: int
    co2_measured: int
    process_measured: int
    purchased_measured: int


def figures(
    boundary: Boundary,
    names: Sequence[str],
    natives: Sequence[Native],
    factors: Mapping[str, Mapping[int, Ratio]],
    window: tuple[int, int],
) -> Figures:
    """A line's figures of a window (start, until).

    `names`, `natives`: quantity and amount of each carrier of the unit; `factors`: by target, of the carriers that it converts,
    and `process` of what else emits CO2.
    """
    lacks = lacks_beginning(boundary, boundary.takes_from, window)
    lacks_output = lacks_beginning(boundary, boundary.makes_from, window)

    def taken(ratios: Mapping[int, Ratio]) -> Amount:
        return in_boundary(boundary.takes, natives, ratios, lacks=lacks)

    made = in_boundary(
        boundary.makes,
        natives,
        dict.fromkeys((p for p, _ in boundary.makes), ONE),
        lacks=lacks_output,
    )
    energy = taken(factors["energy"])
    emitted = None
    if boundary.emits:
        lacks_emitted = lacks_beginning(boundary, boundary.emits_from, window)
        emitted = in_boundary(boundary.emits, natives, factors["process"], lacks=lacks_emitted)
    burnt = [member for member in boundary.takes if member[0] in factors["co2"]]
    power = [place for place, _ in boundary.takes if names[place] == "electricity"]
    bought = [place for place in power if place in factors["co2"]]
    return Figures(
        energy=energy,
        co2=signed_sum((1, one) for one in (taken(factors["co2"]), emitted) if one is not None),
        output=made,
        intensity=intensity(energy, made),
        native={
            name: taken(dict.fromkeys(places, ONE)) for name, places in _by_name(boundary, names)
        },
        process=emitted,
        purchased=None if bought == power else taken(dict.fromkeys(bought, ONE)),
        measured=share(boundary.takes, natives),
        made_measured=share(boundary.makes, natives),
        co2_measured=share([*burnt, *boundary.emits], natives),
        process_measured=share(boundary.emits, natives),
        purchased_measured=share([one for one in burnt if one[0] in bought], natives),
    )


def _by_name(boundary: Boundary, names: Sequence[str]) -> Iterator[tuple[str, list[int]]]:
    for name in dict.fromkeys(names[place] for place, _ in boundary.takes):
        yield name, [place for place, _ in boundary.takes if names[place] == name]
