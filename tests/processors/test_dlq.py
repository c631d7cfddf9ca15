"""Putting a dead letter back into a log that has other partitions by now."""

import random

from processors.dlq import DeadLetter, shared_out
from schemas.section import Record, Tick, partition_of
from schemas.settings import Settings
from tests.processors.worlds import BEGIN, Packing, Said

UNITS = tuple(f"9151010000000000{n:02d}" for n in range(6))


def letter(generation: int) -> DeadLetter:
    return DeadLetter(generation, 5, 17, "dead letter", "", "", b"", None)


def record() -> Record:
    """Sections of six units, in a log of one partition."""
    packing = Packing(random.Random(1), {}, BEGIN)
    said = [Said(unit, "P0", "PT1H", BEGIN, 1, rank=3) for unit in UNITS]
    sections = tuple(packing.section(one.unit, [one], BEGIN, ()) for one in said)
    return Record("door", 1, 3, sections)


def test_it_goes_back_where_it_was() -> None:
    """Of the same generation: the whole record into its partition."""
    whole = record()
    assert shared_out(whole, letter(2), Settings(generation=2, partitions=3)) == [(5, whole)]


def test_after_a_resize_each_section_goes_to_its_unit() -> None:
    """Of an older one: a record for each partition, every section once."""
    parts = shared_out(record(), letter(1), Settings(generation=2, partitions=3))
    assert sorted(number for number, _ in parts) == sorted({partition_of(u, 3) for u in UNITS})
    found = []
    for number, part in parts:
        assert isinstance(part.body, tuple)
        assert {partition_of(section.unit, 3) for section in part.body} == {number}
        found += [section.unit for section in part.body]
    assert sorted(found) == sorted(UNITS)
    tick = Record("door", 1, 0, Tick(BEGIN))
    assert shared_out(tick, letter(1), Settings(generation=2, partitions=3)) == [(5, tick)]
