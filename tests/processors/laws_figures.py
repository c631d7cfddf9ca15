"""Figures of any span of whole hours, by the engine and by the oracle, without opening balances."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from oracle import World
from oracle_figures import TARGETS, Span, cell_native, converted, signed
from oracle_pieces import FOR_EVER, Amount
from processors.judgement import Figures, Sums, by_quantity, figures
from processors.spans import span_sums
from processors.state import FIRST_YEAR
from processors.windows import carriers_of, rows_of
from schemas.calendar import year_of
from schemas.quantities import QUANTITIES
from schemas.registry import CARRIERS
from tests.processors.laws_shell import Shell


class Shown(NamedTuple):
    """What a span comes to: amounts by quantity, and of the native ones measured and expected."""

    amounts: dict[str, Amount]
    times: dict[str, tuple[int, int]]


def engine_sums(shell: Shell, unit: str, start: int, end: int) -> Sums:
    """[start, end) as sums over hour rows and gaps, before anything is converted or rounded."""
    return shell.ask(span_sums(shell.engine.state, shell.engine.state.index[unit], start, end))


def engine_span(shell: Shell, unit: str, start: int, end: int) -> Shown:
    """[start, end) as the engine has it after its log, from hour rows and gaps."""
    state = shell.engine.state
    u = state.index[unit]
    carriers = carriers_of(state, np.array([u]))
    sums = engine_sums(shell, unit, start, end)
    quantities, year = state.c_quantity[carriers], year_of(start) - FIRST_YEAR
    tables = (shell.engine.factors.numerator, shell.engine.factors.denominator)
    cells = figures(sums, *(table[state.pack[u], quantities, :, year] for table in tables))
    found = by_quantity(state, carriers, cells)
    names = [QUANTITIES[quantity] for quantity in state.row_quantity[rows_of(state, np.array([u]))]]
    native = zip(found.low.tolist(), found.best.tolist(), found.high.tolist(), strict=True)
    amounts = dict(zip(names, map(Amount._make, native), strict=True))
    times = zip(found.measured.tolist(), found.expected.tolist(), strict=True)
    return Shown(amounts | dict(engine_targets(found, names)), dict(zip(names, times, strict=True)))


def engine_targets(found: Figures, names: list[str]) -> Iterator[tuple[str, Amount]]:
    """Energy and CO2: sums over the carriers."""
    feeding = [row for row, name in enumerate(names) if name in CARRIERS]
    for t, target in enumerate(TARGETS if feeding else ()):
        columns = (found.target_low, found.target_best, found.target_high)
        yield target, Amount(*(int(column[feeding, t].sum()) for column in columns))


def oracle_span(world: World, start: int, end: int) -> Shown:
    """[start, end) as the oracle has it."""
    span = Span(start, end, FOR_EVER)
    amounts, times = {}, {}
    for quantity in world.quantities:
        courses = world.of(quantity)
        amounts[quantity] = signed(
            (c.sign, cell_native(world, c, span)) for c in world.counting(quantity)
        )
        times[quantity] = (
            sum(course.measured(start, end) for course in courses),
            sum(course.expected(start, end) for course in courses),
        )
    for target in TARGETS if world.carriers else ():
        amounts[target] = signed(
            (c.sign, converted(world, c, target, span)) for c in world.counting(*world.carriers)
        )
    return Shown(amounts, times)
