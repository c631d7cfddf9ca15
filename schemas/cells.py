"""Cells: the points of a unit and quantity that count alike, in the unit's boundary and in those of its product lines.

A cell is named by its quantity; cells of points that count otherwise than once for the unit alone are `electricity.1`,
`electricity.2`, and so on, in the order of the unit's points.
"""

from collections.abc import Hashable, Iterable

from schemas.quantities import QUANTITIES, Quantity

MOST = 32
"""Cells of one quantity beside the plain one: the tables know so many names."""

PLAIN = 0


def named_cell(quantity: Quantity, number: int) -> str:
    """The name of a quantity's cell; the plain one's is the quantity's own."""
    return f"{quantity}.{number}" if number else quantity


def numbered(patterns: Iterable[tuple[Quantity, Hashable | None]]) -> list[int]:
    """The number of each point's cell, by quantity and by how it counts (None: once, for the unit alone). Raises ValueError."""
    known: dict[Quantity, dict[Hashable, int]] = {}
    numbers = []
    for quantity, pattern in patterns:
        mine = known.setdefault(quantity, {})
        number = PLAIN if pattern is None else mine.setdefault(pattern, len(mine) + 1)
        if number > MOST:
            message = f"points of {quantity} count in more than {MOST} different ways"
            raise ValueError(message)
        numbers.append(number)
    return numbers


def quantity_of(cell: str) -> str:
    """The quantity of a cell: `raw_coal` of `raw_coal.3`."""
    return cell.partition(".")[0]


def number_of(cell: str) -> int:
    """The number of a cell: 3 of `raw_coal.3`."""
    return int(cell.partition(".")[2] or PLAIN)


CELLS = tuple(named_cell(quantity, number) for quantity in QUANTITIES for number in range(MOST + 1))
"""All names, as the tables have them."""
