"""What packs must know of a registry's product lines: their indicators, and what they declare."""

from collections.abc import Iterable, Iterator

from processors.formula import DeclarationError, check_declared, declarations
from schemas.pack import Packs
from schemas.pack_limits import Limit, Parameter
from schemas.registry import Line, Unit

MEASURED = frozenset({"kgce/t", "kWh/t", "kgce/kg", "kgce/weight case", "kgoe/t"})
"""Units of limits that energy and tonnes of output can be held to."""


def complaints(units: Iterable[Unit], packs: Packs) -> Iterator[str]:
    """Why lines cannot be held to what they name, a line each."""
    limits: dict[str, list[Limit]] = {}
    for held in packs.of(Limit):
        limits.setdefault(held.entry.indicator, []).append(held.entry)
    parameters = {held.entry.id: held.entry for held in packs.of(Parameter)}
    for unit in units:
        for line in unit.lines:
            where = f"unit {unit.code}: line {line.id}"
            yield from (f"{where}: {wrong}" for wrong in _indicators(line, limits))
            yield from (f"{where}: {wrong}" for wrong in _declared(line, limits, parameters))


def _indicators(line: Line, limits: dict[str, list[Limit]]) -> Iterator[str]:
    for indicator in line.indicators:
        if indicator not in limits:
            yield f"no pack has a limit of {indicator}: `packs list --kind limit` names them"
            continue
        units = {limit.unit for limit in limits[indicator]} - MEASURED
        if units:
            yield f"{indicator} is a limit in {', '.join(sorted(units))}, and a line's output is in t"


def _declared(
    line: Line, limits: dict[str, list[Limit]], parameters: dict[str, Parameter]
) -> Iterator[str]:
    if line.parameters and not line.evidence:
        yield "parameters need `evidence`: what proves them"
    asked = {
        name
        for indicator in line.indicators
        for limit in limits.get(indicator, [])
        for name in limit.parameters()
    }
    for name, text in line.parameters:
        try:
            check_declared(declarations({name: text}, parameters), parameters)
        except DeclarationError as error:
            yield str(error)
            continue
        if name not in asked:
            yield f"none of its limits depends on {name}"
