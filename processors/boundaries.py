"""Product lines as signed sums over the carriers of their unit. Rules: schemas/RULES.md, section 12."""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.quantities import QUANTITIES
from schemas.registry import CARRIERS, Line, Point, Unit


@dataclass(frozen=True, slots=True)
class Boundary:
    """What a product line takes in, makes, and emits CO2 by its process: (place among the unit's carriers, sign)."""

    line: Line
    takes: tuple[tuple[int, int], ...]
    makes: tuple[tuple[int, int], ...]
    takes_from: int
    """First validity of the points that say its energy (ms)."""
    makes_from: int
    """Of those that say its output."""
    emits: tuple[tuple[int, int], ...] = ()
    emits_from: int = 0
    """Of those that a process factor is of."""


def boundaries(unit: Unit) -> tuple[Boundary, ...]:
    """The product lines of a unit, in its order."""
    if not unit.lines:
        return ()
    kinds = [
        (QUANTITIES.index(point.quantity), cell)
        for point, cell in zip(unit.points, unit.cells, strict=True)
    ]
    places = {kind: place for place, kind in enumerate(sorted(set(kinds)))}
    of_points = [places[kind] for kind in kinds]
    return tuple(_boundary(unit, line, of_points) for line in unit.lines)


def _boundary(unit: Unit, line: Line, places: list[int]) -> Boundary:
    mine = [
        (point, place, dict(point.lines)[line.id])
        for point, place in zip(unit.points, places, strict=True)
        if line.id in dict(point.lines)
    ]
    takes = [one for one in mine if one[0].quantity in CARRIERS]
    makes = [one for one in mine if one[0].quantity == "output"]
    emits = [one for one in mine if one[0].process]
    return Boundary(
        line,
        _signed(takes),
        _signed(makes),
        _begins(takes),
        _begins(makes),
        _signed(emits),
        _begins(emits),
    )


Members = Sequence[tuple[Point, int, int]]


def _signed(members: Members) -> tuple[tuple[int, int], ...]:
    """Each carrier once: the points of a cell count alike."""
    return tuple(sorted({(place, sign) for _, place, sign in members}))


def _begins(members: Members) -> int:
    return min((point.begins for point, _, _ in members), default=0)
