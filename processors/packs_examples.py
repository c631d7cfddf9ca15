"""Worked examples of the packs, worked out again: what a supervisor can follow with a pocket calculator."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import floor

from processors.formula import DeclarationError, Definitions, declarations, limit_at
from processors.limits import Actual, held_to, usual_declarations
from schemas.pack import Held, NoEntryError, Packs
from schemas.pack_entries import (
    Coefficient,
    Definition,
    Entry,
    Figure,
    FuelFactor,
    HeatValue,
    WorkedExample,
)
from schemas.pack_limits import LEVELS, NONE, UNREAD, Limit, LimitExample, Parameter
from schemas.scale import SCALE

_KJ = {"kJ": Fraction(1), "MJ": Fraction(1000)}
_KGCE = {"kgce": Fraction(1), "gce": Fraction(1, 1000)}


_OUTDATED = "a later pack gives another figure than the example was worked with"


@dataclass(frozen=True, slots=True)
class Worked:
    """One example: what was reckoned, what came out, and what was expected."""

    kind: str
    entry: str
    title: str
    reckoned: str
    result: str
    expected: str
    """Empty where the packs say none: the result is the figure."""
    agrees: bool
    verified: bool
    """Whether all that it rests on is sourced."""
    note: str = ""


def worked_examples(packs: Packs) -> list[Worked]:
    """All of them: products, coefficients against heat values, fuels, limits."""
    return [
        *(product(packs, held) for held in packs.of(WorkedExample)),
        *_coefficients(packs),
        *_fuels(packs),
        *_limits(packs),
    ]


def mistakes(packs: Packs) -> list[str]:
    """Examples by hand that do not come out: a line each."""
    products = [product(packs, held) for held in packs.of(WorkedExample)]
    return [
        f"{one.entry}: {one.title}: {one.reckoned} is {one.result}, and by hand {one.expected}: correct the one or the other"
        for one in [*products, *_limits(packs)]
        if not one.agrees and one.note != _OUTDATED
    ]


# ---- Products


def product(packs: Packs, held: Held[WorkedExample]) -> Worked:
    """The amount · times ÷ over · scale, rounded half up to the places of what was worked out by hand."""
    example = held.entry
    times = [packs.by_id(name) for name in example.times]
    over = [packs.by_id(name) for name in example.over]
    exact = Fraction(example.amount) * Fraction(example.scale)
    for one in times:
        exact *= _value(one.entry)
    for one in over:
        exact /= _value(one.entry)
    told = rounded(exact, _places(example.gives))
    steps = [f"{example.amount:,} {example.amount_unit}".strip()]
    steps += [f"x {_multiplier(one.entry)}" for one in times]
    steps += [f"/ {one.entry.figure()}" for one in over]
    own = packs.packs.index(held.pack)
    outdated = any(packs.packs.index(one.pack) > own for one in (*times, *over))
    return Worked(
        kind="product",
        entry=example.id,
        title=example.title,
        reckoned=" ".join(steps),
        result=f"{told} {example.unit}",
        expected=f"{example.gives} {example.unit}",
        agrees=told == example.gives,
        verified=all(_sourced(one.entry) for one in (*times, *over)),
        note=_OUTDATED if outdated and told != example.gives else "",
    )


def _value(entry: object) -> Fraction:
    """The value of an entry that has one; of a fuel, tCO2 of a GJ. Raises NoEntryError."""
    if isinstance(entry, FuelFactor) and (emission := entry.emission()) is not None:
        return emission / Fraction(entry.ncv)
    if not isinstance(entry, Figure) or not entry.value:
        message = f"{getattr(entry, 'id', entry)} has no single value other than 0: an example cannot reckon with it"
        raise NoEntryError(message)
    return Fraction(entry.value)


def _multiplier(entry: Definition) -> str:
    """As people read it; of a fuel without its heat value, which the amount is."""
    if isinstance(entry, FuelFactor):
        return f"{entry.carbon} tC/TJ x {entry.oxidation} % x 44/12"
    return entry.figure()


def _sourced(entry: object) -> bool:
    return isinstance(entry, Entry) and entry.status == "sourced"


# ---- Coefficients and fuels


def _coefficients(packs: Packs) -> Iterator[Worked]:
    """Heat value over 29 307.6 kJ/kgce beside the published coefficient, which holds where they differ."""
    heats = {held.entry.key(): held.entry for held in packs.of(HeatValue)}
    for held in packs.of(Coefficient):
        told = held.entry
        shared = told.set if told.basis == "equivalent" else f"{told.set} equal"
        heat = heats.get((told.carrier, shared))
        unit = told.unit.partition("/")[0]
        if heat is None or heat.value is None or told.value is None or unit not in _KGCE:
            continue
        yield _coefficient(packs, told, heat)


def _coefficient(packs: Packs, told: Coefficient, heat: HeatValue) -> Worked:
    constant = packs.by_id("standard-coal.heat").entry
    kilojoule = _value(heat) * _KJ[heat.unit.partition("/")[0]]
    places = _places(told.value or Decimal(0))
    result = rounded(kilojoule / _value(constant) / _KGCE[told.unit.partition("/")[0]], places)
    return Worked(
        kind="coefficient",
        entry=told.id,
        title=f"{told.carrier}, {told.basis} value",
        reckoned=f"{heat.figure()} / {constant.figure()}",
        result=f"{result} {told.unit}",
        expected=told.figure(),
        agrees=result == told.value,
        verified=_sourced(told) and _sourced(heat) and _sourced(constant),
        note="" if result == told.value else "published rounded: the published coefficient holds",
    )


def _fuels(packs: Packs) -> Iterator[Worked]:
    for held in packs.of(FuelFactor):
        told = held.entry
        emission = told.emission()
        if emission is not None:
            yield Worked(
                kind="fuel",
                entry=told.id,
                title=f"{told.fuel}, set {told.set}",
                reckoned=f"{told.figure()} x 44/12",
                result=f"{rounded(emission, 3)} {told.unit}",
                expected="",
                agrees=True,
                verified=_sourced(told),
            )


# ---- Limits


def _limits(packs: Packs) -> Iterator[Worked]:
    """Each limit without corrections, held to itself and to one part in a million above; then its own examples."""
    parameters = {held.entry.id: held.entry for held in packs.of(Parameter)}
    for held in packs.of(Limit):
        yield _plain(held, parameters)
        for example in held.entry.examples:
            yield _example(held, example, parameters)


def _plain(held: Held[Limit], parameters: Definitions) -> Worked:
    """At the usual declarations, which correct nothing, the limit is what is printed."""
    limit = held.entry
    corrected = _levels(limit, {}, parameters)
    return Worked(
        kind="limit",
        entry=limit.id,
        title=_title(limit),
        reckoned="without corrections",
        result=f"{' / '.join(corrected)} {limit.unit}",
        expected=limit.figure(),
        agrees=_same(corrected, limit.levels),
        verified=_verified(limit, {}),
        note=_boundary(limit, {}, parameters),
    )


def _example(held: Held[Limit], example: LimitExample, parameters: Definitions) -> Worked:
    limit = held.entry
    said = ", ".join(
        f"{name} {value} {parameters[name].unit}".removesuffix(" class")
        for name, value in example.declared.items()
        if name in parameters
    )
    try:
        corrected = _levels(limit, example.declared, parameters)
    except DeclarationError as error:
        corrected = [str(error)]
    return Worked(
        kind="limit",
        entry=limit.id,
        title=_title(limit),
        reckoned=f"with {said}",
        result=f"{' / '.join(corrected)} {limit.unit}",
        expected=f"{' / '.join(str(level) for level in example.gives)} {limit.unit}",
        agrees=_same(corrected, example.gives),
        verified=_verified(limit, example.declared),
        note=_boundary(limit, example.declared, parameters) if len(corrected) > 1 else "",
    )


def _verified(limit: Limit, told: Mapping[str, str]) -> bool:
    """Whether its levels are sourced, and the corrections by what was declared."""
    return all(limit.status_of(level) == "sourced" for level in LEVELS) and not any(
        correction.status == "unverified" and correction.parameters() & set(told)
        for correction in limit.corrections
    )


def _title(limit: Limit) -> str:
    return f"{limit.product}, {limit.case}" if limit.case else limit.product


def _levels(limit: Limit, told: Mapping[str, str], parameters: Definitions) -> list[str]:
    """The three limits at some declarations, what is not declared as usual."""
    declared = usual_declarations(limit, parameters) | declarations(told, parameters)
    bounds = [limit_at(limit, level, declared, parameters) for level in LEVELS]
    return [
        str(limit.levels[level - 1]) if bound is None else as_plain(bound.best)
        for level, bound in zip(LEVELS, bounds, strict=True)
    ]


def _same(levels: list[str], expected: tuple[Decimal | str, ...]) -> bool:
    """Whether two rows of levels are equal: as numbers, or as the same mark."""
    return len(levels) == len(expected) and all(
        one == str(other)
        if one in {NONE, UNREAD} or isinstance(other, str)
        else Decimal(one) == other
        for one, other in zip(levels, expected, strict=True)
    )


def _boundary(limit: Limit, told: Mapping[str, str], parameters: Definitions) -> str:
    """What the laxest level says of a value exactly at it, and of one 10⁻⁶ above."""
    declared = usual_declarations(limit, parameters) | declarations(told, parameters)
    bounds = [limit_at(limit, level, declared, parameters) for level in LEVELS]
    level = max((at for at, bound in zip(LEVELS, bounds, strict=True) if bound), default=0)
    bound = bounds[level - 1] if level else None
    if bound is None:
        return "no level is judged"
    at = floor(bound.best * SCALE)
    outcomes = [held_to(Actual(value, value, value), bound) for value in (at, at + 1)]
    shown = [as_plain(Fraction(value, SCALE)) for value in (at, at + 1)]
    return f"level {level}: {shown[0]} is {outcomes[0]}, {shown[1]} is {outcomes[1]}"


# ---- Numbers


def _places(number: Decimal) -> int:
    """Digits after the point."""
    return max(0, -int(number.as_tuple().exponent))


def rounded(exact: Fraction, places: int) -> Decimal:
    """Rounded half up, as tables are printed."""
    return Decimal(floor(exact * 10**places + Fraction(1, 2))).scaleb(-places)


def as_plain(exact: Fraction) -> str:
    """A number as decimal text: exact where it ends within nine digits, else rounded there."""
    text = f"{rounded(exact, 9):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
