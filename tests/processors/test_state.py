"""What an engine remembers goes out as bytes and comes in again."""

import random

import pytest
from hypothesis import given, settings

from processors.rates import Rates
from processors.state import _SCALARS_OF, LAYOUT, State
from tests.processors.laws_shell import PACK, Shell, state_of
from tests.processors.worlds import CODES, PARTITIONS, World, plans, point, unit, worlds

fewer = settings(max_examples=settings().max_examples // 5)
"""The laws restart and hand over in every case; here it is looked at more closely."""


def blobs(state: State, codes: list[str]) -> dict[str, bytes]:
    """The units' states as bytes."""
    exported = state.export([state.index[code] for code in codes])
    return {stored.unit: stored.blob for stored in exported}


@fewer
@given(worlds(), plans)
def test_there_and_back(world: World, plan: random.Random) -> None:
    """Whatever happened: the state out and in is the same state."""
    state = Shell(world, plan).run().engine.state
    units, codes = {unit.code: unit for unit in state.units}, sorted(state.index)
    out = blobs(state, codes)
    fresh = State(Rates(PACK))
    fresh.restore([(units[code], 0, out[code]) for code in reversed(codes)])
    assert blobs(fresh, codes) == out


@fewer
@given(worlds(), plans)
def test_a_partition_dropped_takes_nothing_along(world: World, plan: random.Random) -> None:
    """The units of the other partition are as they were, with their hours in memory."""
    state = Shell(world, plan).run().engine.state
    gone = plan.randrange(PARTITIONS)
    left = [code for code, u in state.index.items() if state.partition[u] != gone]
    before = blobs(state, left)
    hours = hours_in_memory(state, left)
    state.drop({gone})
    assert sorted(state.index) == sorted(left)
    assert blobs(state, left) == before
    assert hours_in_memory(state, left) == hours


def hours_in_memory(state: State, codes: list[str]) -> list[tuple[str, int, int, list[int]]]:
    """(unit, quantity, hour, row) of the rows of these units."""
    found = []
    for key, row in zip(state.hot_keys.tolist(), state.hot_rows.tolist(), strict=True):
        carrier, hour = divmod(key, 1 << 20)
        code = state.units[int(state.c_unit[carrier])].code
        if code in codes:
            found.append((code, int(state.c_quantity[carrier]), hour, row))
    return sorted(found)


@pytest.mark.parametrize("layout", [2, 3])
def test_the_layouts_before_are_read(layout: int) -> None:
    """They lacked the last scalars: nobody waited or was restated (2), and no product limits held (3)."""
    told = unit(point())
    (stored,) = state_of(told).export([0])
    scalars, end = (2 + 8 * len(_SCALARS_OF[one]) for one in (layout, LAYOUT))
    older = layout.to_bytes(2, "little") + stored.blob[2:scalars] + stored.blob[end:]
    state = state_of()
    state.restore([(told, 0, older)])
    assert blobs(state, [CODES[0]]) == {CODES[0]: stored.blob}


def test_another_layout_is_refused() -> None:
    """Bytes of another engine are never read as if they were ours."""
    told = unit(point())
    (stored,) = state_of(told).export([0])
    changed = bytes([stored.blob[0] ^ 0xFF]) + stored.blob[1:]
    with pytest.raises(ValueError, match=f"{CODES[0]}.* this engine reads {LAYOUT}"):
        state_of().restore([(told, 0, changed)])


def test_a_unit_that_is_known_is_left_alone() -> None:
    """Registering it again, even with other points, changes nothing."""
    state = state_of(unit(point()))
    before = blobs(state, [CODES[0]])
    assert state.register([unit(point(), point(name="P1"))], {CODES[0]: 0}, 2) == []
    assert blobs(state, [CODES[0]]) == before
