"""What packs must know of a registry's process factors, and what units must declare for them."""

from collections.abc import Iterable, Iterator

from processors.rates import LAST_YEAR, rate, way_of
from schemas.co2 import Term
from schemas.factors import FactorError, FactorPack
from schemas.pack import NoEntryError, Packs
from schemas.pack_entries import Definition, Process
from schemas.registry import Unit

ALONE = frozenset({"tCO2/t", "t/t"})
"""Units of process factors that say CO2, or carbon that becomes it."""


def complaints(units: Iterable[Unit], packs: Packs) -> Iterator[str]:
    """Why process emissions cannot be reckoned as declared, a line each."""
    for unit in units:
        for point in unit.points:
            where = f"unit {unit.code}: point {point.name}: process"
            effects = set()
            for term in point.process:
                named = _named(packs, term.factor)
                yield from (f"{where} {wrong}" for wrong in _complaints(packs, term, named))
                effects |= {named.effect} if named is not None else set()
            if len(effects) > 1:
                yield f"{where}: some of its factors are added and some deducted: give each a point"


def unknown(units: Iterable[Unit], pack: FactorPack) -> Iterator[str]:
    """What the factors in force cannot convert, a line each."""
    for unit in units:
        for point in unit.points:
            try:
                rate(pack, way_of(unit, point), "co2", LAST_YEAR)
            except FactorError as error:
                yield f"unit {unit.code}: point {point.name}: {error}: bring factors that have it into force first (`restate`)"


def _named(packs: Packs, name: str) -> Process | None:
    entry = _entry(packs, name)
    return entry if isinstance(entry, Process) else None


def _entry(packs: Packs, name: str) -> Definition | None:
    try:
        return packs.by_id(name).entry
    except NoEntryError:
        return None


def _complaints(packs: Packs, term: Term, named: Process | None) -> Iterator[str]:
    if named is None:
        yield f"{term.factor}: no pack has such a process factor: `packs list --kind process` names them"
        return
    if named.value is None:
        yield f"{term.factor}: {named.figure()} is a range: no amount is multiplied by it"
    if named.times and term.times is None:
        yield f"{term.factor}: needs `times`, the {named.times}, and its `evidence`"
    if named.unit == "kg/t":
        yield from _warming(packs, term)
    elif named.unit not in ALONE:
        yield f"{term.factor}: {named.unit} is no emission of a tonne"
    elif term.gwp is not None:
        yield f"{term.factor}: is of CO2 or carbon, and has no gwp"


def _warming(packs: Packs, term: Term) -> Iterator[str]:
    told = None if term.gwp is None else _named(packs, term.gwp)
    if told is None or told.unit != "tCO2e/t":
        yield f"{term.factor}: needs `gwp`, the warming potential of its gas: `packs list --kind process` names them"
