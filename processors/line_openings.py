"""What a product line took in or made before its points begin, as people declared it: one more carrier. RULES.md, section 12."""

from collections.abc import Iterator
from dataclasses import replace

from processors.boundaries import Boundary
from processors.lines import Native, lacks_beginning
from processors.rates import Way
from schemas.calendar import year_of, year_start
from schemas.quantities import Quantity
from schemas.registry import LineOpening, Unit
from schemas.scale import scaled

Carriers = list[tuple[Quantity, Native]]


def opened(boundary: Boundary, place: int, window: tuple[int, int]) -> tuple[Boundary, Carriers]:
    """A line's boundary in a window (start, until), and the carriers from `place` on that its openings add.

    They count where the window begins with their year, and before the points of their side do; then that side lacks nothing.
    """
    start = window[0]
    year = year_of(start)
    if not boundary.line.openings or start != year_start(year):
        return boundary, []
    mine = [one for one in boundary.line.openings if one.year == year]
    takes = _carriers(one for one in mine if one.quantity != "output")
    makes = _carriers(one for one in mine if one.quantity == "output")
    added: Carriers = []
    if takes and lacks_beginning(boundary, boundary.takes_from, window):
        members = (*boundary.takes, *_places(place, takes))
        boundary, added = replace(boundary, takes=members, takes_from=start), takes
    if makes and lacks_beginning(boundary, boundary.makes_from, window):
        members = (*boundary.makes, *_places(place + len(added), makes))
        boundary = replace(boundary, makes=members, makes_from=start)
        added = [*added, *makes]
    return boundary, added


def _carriers(openings: Iterator[LineOpening]) -> Carriers:
    return [
        (one.quantity, Native(scaled(one.low)[0], scaled(one.best)[0], scaled(one.high)[0], 0, 0))
        for one in openings
    ]


def _places(first: int, carriers: Carriers) -> Iterator[tuple[int, int]]:
    return ((first + number, 1) for number in range(len(carriers)))


def way_of_opening(unit: Unit, quantity: Quantity) -> Way:
    """How an opening is converted: as what is bought."""
    own = tuple(one for one in unit.heat_values if one.carrier == quantity)
    return Way(quantity, heat_values=own)
