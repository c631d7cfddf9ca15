"""What the stream multiplies by: coefficients and emission factors chosen from the packs (`packs/stream.toml`)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from pydantic import ValidationError

from schemas.factor_entry import Entry, Fuel, Target
from schemas.pack import Packs
from schemas.pack_entries import Coefficient, FuelFactor, Heat, Power, Process, StreamFactor
from schemas.pack_reading import our_packs
from schemas.quantities import CARRIERS, Converted

__all__ = [
    "Entry",
    "Factor",
    "FactorError",
    "FactorPack",
    "Fuel",
    "Target",
    "default_pack",
    "stream_pack",
]


class FactorError(ValueError):
    """A factor that is missing, or too fine to multiply exactly in 64 bits."""


@dataclass(frozen=True, slots=True)
class Factor:
    """What one carrier's amount is multiplied by in one business year: `amount · numerator / denominator`."""

    id: str
    numerator: int
    denominator: int
    unverified: bool
    year: int
    """Year the figure was published for; an earlier one than asked is the latest there was."""


@dataclass(frozen=True, slots=True)
class FactorPack:
    """The factors of one pack, looked up by quantity, target and business year."""

    version: str
    entries: tuple[Entry, ...]

    def factor(self, quantity: Converted, target: Target, year: int) -> Factor:
        """The year's factor, else the latest earlier one, else the earliest. Raises FactorError where there is none."""
        return _factor(self.entry(quantity, target, year))

    def entry(self, quantity: Converted, target: Target, year: int) -> Entry:
        """What `factor` goes by. Raises FactorError."""
        found = [e for e in self.entries if (e.quantity, e.target) == (quantity, target)]
        if not found and quantity in _LATER:
            return default_pack().entry(quantity, target, year)
        if not found:
            message = f"the pack has no {target} factor for {quantity}"
            raise FactorError(message)
        return _of_year(found, year)

    def process(self, name: str, year: int) -> Entry:
        """The year's process factor of what the one named is of, as `entry`. Raises FactorError."""
        found = [e for e in self.entries if e.quantity == "process"]
        if not found:  # a pack from before the stream had any
            found = [e for e in default_pack().entries if e.quantity == "process"]
        view = next((e.view for e in found if e.id == name), None)
        if view is None:
            message = f"the packs have no process factor {name!r} that amounts can be multiplied by"
            raise FactorError(message)
        return _of_year([e for e in found if e.view == view], year)

    def years(self) -> frozenset[int]:
        """Those from which on any factor is another."""
        return frozenset(e.year for e in (*self.entries, *default_pack().entries))


_LATER: tuple[Converted, ...] = ("heat",)
"""Quantities that packs stored by earlier versions lack: the shipped pack's factors hold for them."""


def _of_year(found: Sequence[Entry], year: int) -> Entry:
    candidates = sorted(found, key=lambda e: e.year)
    return next((e for e in reversed(candidates) if e.year <= year), candidates[0])


def _factor(entry: Entry) -> Factor:
    ratio = entry.per_unit()
    if ratio.numerator * ratio.denominator >= 2**62 or ratio.numerator > 2**40:
        message = f"factor {entry.id} is too fine: {ratio}"
        raise FactorError(message)
    return Factor(
        entry.id, ratio.numerator, ratio.denominator, entry.status == "unverified", entry.year
    )


def stream_pack(packs: Packs) -> FactorPack:
    """The factors that the stream converts by ([[stream]]). Raises FactorError where one is missing or cannot be.

    Its version is the label of our pack; with an operator's packs, their hash is added.
    """
    ours, *others = packs.packs
    choices = {held.entry.key(): held.entry for held in packs.of(StreamFactor)}
    chosen = tuple(_stream_entry(choice, packs) for choice in choices.values())
    entries = (*chosen, *_process_entries(packs))
    twice = sorted(name for name, count in Counter(e.id for e in entries).items() if count > 1)
    if twice:
        message = f"the stream converts by {', '.join(twice)} for more than one quantity, target or year: choose it once"
        raise FactorError(message)
    digest = sha256("".join(pack.hash for pack in others).encode()).hexdigest()[:12]
    pack = FactorPack(f"{ours.label}+{digest}" if others else ours.label, entries)
    for carrier in CARRIERS:
        for target in ("energy", "co2"):
            pack.factor(carrier, target, 2000)
    return pack


@cache
def default_pack() -> FactorPack:
    """The factors of the pack that ships with Weir."""
    return stream_pack(our_packs())


def _stream_entry(chosen: StreamFactor, packs: Packs) -> Entry:
    told = packs.by_id(chosen.entry).entry
    if not isinstance(told, Coefficient | FuelFactor | Power | Heat):
        message = f"{chosen.id}: {chosen.entry} is a {told.KIND}, by which no amount is converted"
        raise FactorError(message)
    try:
        return Entry(
            id=told.id,
            quantity=chosen.quantity,
            target=chosen.target,
            view=chosen.view,
            year=chosen.year,
            unit=told.unit,
            value=None if isinstance(told, FuelFactor) else told.value,
            fuel=_fuel(told) if isinstance(told, FuelFactor) else None,
            source=told.source,
            status=told.status,
            published_on=_published(told),
        )
    except ValidationError as error:
        message = f"{chosen.id}: {error.errors()[0]['msg'].removeprefix('Value error, ')}"
        raise FactorError(message) from error


def _fuel(told: FuelFactor) -> Fuel:
    if told.oxidation is None:
        message = f"fuel {told.id} has no oxidation of its own: the stream cannot convert by it"
        raise FactorError(message)
    return Fuel(
        ncv_gj_per_t=told.ncv,
        carbon_tc_per_tj=told.carbon,
        oxidation=told.oxidation.scaleb(-2),
    )


def _process_entries(packs: Packs) -> Iterator[Entry]:
    """Process factors of one value, by which amounts can be multiplied; what is deducted is negative."""
    for told in (held.entry for held in packs.of(Process)):
        if told.value is None or told.unit not in _OF_PROCESSES:
            continue
        yield Entry(
            id=told.id,
            quantity="process",
            target="co2",
            view=", ".join(filter(None, told.key())),
            year=2000 if told.valid_from is None else told.valid_from.year,
            unit=told.unit,
            value=-told.value if told.effect == "deducted" else told.value,
            source=told.source,
            status=told.status,
        )


_OF_PROCESSES = ("tCO2/t", "t/t", "kg/t", "tCO2e/t")


def _published(told: Coefficient | FuelFactor | Power | Heat) -> str | None:
    """Day of publication, where it comes after the year that the figure is for."""
    if isinstance(told, Power) and told.published_on is not None:
        return told.published_on.isoformat()
    return None
