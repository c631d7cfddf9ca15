"""Whatever bytes lie in the log: they are a record that is digested and accounted for, or no record at all."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from processors import narrow, pg_binary, statements
from processors.engine import Engine
from processors.memory import MemoryStore, drive
from processors.ports import Step
from schemas.factors import default_pack
from schemas.section import Record, Section, Unreadable
from schemas.wire import LayoutError, decode, encode
from tests.processors.test_engine import UNIT, hour, section
from tests.processors.worlds import configuration, point, unit

PACK = default_pack()
REGISTER = unit(point(), code="91510100SYN0000009")
SEED = encode(Record("door", 1, 7, (section(hour(0), hour(1), hour(2), tick=3, message="m-1"),)))
mutations = st.lists(
    st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255) | st.just(-1), st.integers(1, 9)),
    min_size=1,
    max_size=4,
)


def mutated(changes: list[tuple[int, int, int]]) -> bytes:
    """Bytes replaced, in runs of some length, or (-1) cut out."""
    data = bytearray(SEED)
    for at, byte, length in changes:
        data[at : at + length] = b"" if byte < 0 else bytes([byte]) * length
    return bytes(data)


def laid_out(step: Step) -> None:
    """As the store lays it out: what cannot be, raises."""
    ids = {name: number for number, name in enumerate(sorted(statements.units_of(step)), 1)}
    if step.readings:
        list(narrow.copy_of_records(step.readings, ids, 1))
    pg_binary.copy_of_rejections(step.rejections, ids, 1)
    for _ in statements.upserts(step, ids, 1, "1"):
        pass


def said(record: Record) -> int:
    """Readings in a record; an unreadable payload counts as one."""
    body = record.body if isinstance(record.body, tuple) else ()
    return sum(
        1 if isinstance(part, Unreadable) else len(part) + len(part.refused) for part in body
    )


@settings(max_examples=settings().max_examples * 4)
@given(mutations, st.integers(0, 2**32))
def test_hostile_bytes_are_refused_or_accounted_for(
    changes: list[tuple[int, int, int]], seed: int
) -> None:
    """Mutations of a real record, one after the other with the record itself; the engine goes on."""
    engine = Engine(PACK, {1: configuration(1, [UNIT, REGISTER])}, 1)
    store = MemoryStore()
    engine.state.register([UNIT, REGISTER], {UNIT.code: 0, REGISTER.code: 0}, 1)
    rng = random.Random(seed)
    records = []
    for data in rng.sample([SEED, mutated(changes), SEED], 3):
        try:
            records.append(decode(data))
        except LayoutError:
            continue
    records = [record for record in records if is_of_sections(record)]
    step = drive(engine.step([(0, i, record) for i, record in enumerate(records)]), store)
    laid_out(step)
    assert sum(sum(counts) for counts in step.account.values()) == sum(map(said, records))


def is_of_sections(record: Record) -> bool:
    """Control records are ours alone; what they name may not be there."""
    return isinstance(record.body, tuple) and all(
        isinstance(part, Section | Unreadable) for part in record.body
    )
