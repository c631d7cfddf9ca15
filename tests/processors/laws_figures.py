"""Figures of any span of whole hours, by the engine and by the oracle, without opening balances."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from oracle import World
from oracle_figures import Span, cell_native, signed, target_amount
from oracle_pieces import FOR_EVER, Amount
from processors.judgement import Figures, Sums, by_quantity, figures
from processors.ports import Ints
from processors.rates import FIRST_YEAR
from processors.spans import span_sums
from processors.windows import carriers_of, rows_of
from schemas.calendar import year_of
from schemas.quantities import QUANTITIES
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
    rows, year = state.c_rate[carriers], year_of(start) - FIRST_YEAR
    tables = (state.rates.numerator, state.rates.denominator)
    cells = figures(sums, *(table[rows, :, year] for table in tables))
    found = by_quantity(state, carriers, cells)
    names = [QUANTITIES[quantity] for quantity in state.row_quantity[rows_of(state, np.array([u]))]]
    native = zip(found.low.tolist(), found.best.tolist(), found.high.tolist(), strict=True)
    amounts = dict(zip(names, map(Amount._make, native), strict=True))
    times = zip(found.measured.tolist(), found.expected.tolist(), strict=True)
    feeds = state.row_feeds[rows_of(state, np.array([u]))]
    targets = dict(engine_targets(found, feeds))
    return Shown(amounts | targets, dict(zip(names, times, strict=True)))


def engine_targets(found: Figures, feeds: Ints) -> Iterator[tuple[str, Amount]]:
    """Energy, CO2 and process emissions: sums over the quantities that feed them."""
    is_energy, is_co2, is_own = feeds.T
    told = {"energy": (0, is_energy), "co2": (1, is_co2), "process": (1, is_co2 & ~is_energy)}
    for name, (t, feeding) in told.items():
        if feeding.any():
            columns = (found.target_low, found.target_best, found.target_high)
            yield name, Amount(*(int(column[feeding, t].sum()) for column in columns))
    if is_own.any():
        native = found.purchased_low, found.purchased_best, found.purchased_high
        yield "purchased", Amount(*(int(column[is_own].sum()) for column in native))


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
    amounts |= {target: target_amount(world, target, span) for target in world.told_targets}
    return Shown(amounts, times)
