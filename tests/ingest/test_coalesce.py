"""Many messages become few records; nothing is lost, and a unit's order is kept."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.coalesce import Coalescer, Limits, Numbering, Ready
from ingest.columns import spread
from ingest.payload import unreadable
from schemas.registry import STATEMENTS
from schemas.section import NEVER, Refused, Section, Unreadable, partition_of
from schemas.wire import decode, encode

UNITS = [f"91510100SYN{number:07d}" for number in range(5)]
PARTITIONS = 3
MIDNIGHT = 1_795_363_200_000
"""2026-11-23T00:00+08:00."""


def a_section(
    *, unit: str, size: int, names: str, bits: int, base: int, received_at: int, message: str
) -> Section:
    """Any section: `bits` say which columns are one value, `base` what is in the others.

    (Few draws make many sections: hypothesis takes longer over each draw than the code does.)
    """
    told = iter(range(99))

    def column(least: int, most: int) -> "int | np.ndarray[tuple[int], np.dtype[np.int64]]":
        number = next(told)
        entries = [
            least + (base // 3 + number * (i + base)) % (most - least + 1) for i in range(size)
        ]
        if bits >> number & 1 or not size:
            return least + (base + number) % (most - least + 1)
        return np.array(entries, dtype=np.int64)

    units = ("kWh", "t")[: 1 + bits % 2]
    return Section(
        unit=unit,
        received_at=MIDNIGHT + received_at,
        names=tuple(names),
        point=column(0, len(names) - 1),
        at=np.arange(size, dtype=np.int64) + base,
        value=np.arange(size, dtype=np.int64) * base,
        statement=column(0, len(STATEMENTS) - 1),
        units_of_measure=units,
        unit_of_measure=column(0, len(units) - 1),
        rank=column(1, 5),
        revision=column(0, 1),
        sent_at=column(NEVER, NEVER + 1),
        flags=column(0, 3),
        messages=(message,),
        ticks=((size, 5),) if base % 7 == 0 else (),
        refused=(Refused(0, "bad time", "{}"),) if base % 5 == 0 else (),
    )


sections = st.builds(
    a_section,
    unit=st.sampled_from(UNITS),
    size=st.integers(0, 3),
    names=st.sampled_from(["A", "AB", "CAB", "DC"]),
    bits=st.integers(0, 255),
    base=st.integers(0, 999),
    received_at=st.integers(-50, 50),
    message=st.sampled_from(["", "m-1", "m-2"]),
)
unreadables = st.builds(
    lambda unit, payload: unreadable(payload, unit=unit, received_at=MIDNIGHT, reason="not JSON"),
    st.sampled_from(UNITS),
    st.binary(max_size=5),
)
parts = st.lists(sections | sections | unreadables, max_size=10)
limits = st.builds(Limits, readings=st.integers(1, 8), octets=st.just(10**6), wait_ms=st.just(100))

Said = list[tuple[object, ...]]


def said(part: Section | Unreadable) -> Said:
    """A part reading by reading, by the texts behind its indexes."""
    if isinstance(part, Unreadable):
        return [("unreadable", part.payload)]
    size = len(part)
    columns = (
        [part.names[i] for i in spread(part.point, size)],
        part.at.tolist(),
        part.value.tolist(),
        [part.units_of_measure[i] for i in spread(part.unit_of_measure, size)],
        [part.messages[i] for i in spread(part.message, size)],
        *(
            spread(column, size).tolist()
            for column in (part.statement, part.rank, part.revision, part.sent_at, part.flags)
        ),
    )
    return [*zip(*columns, strict=True), *(("tick", *tick) for tick in part.ticks)]


def by_unit(told: list[Section | Unreadable]) -> dict[str, Said]:
    heard: dict[str, Said] = defaultdict(list)
    for part in told:
        heard[part.unit] += said(part)
    return {unit: lines for unit, lines in heard.items() if lines}


def coalescer(limits: Limits) -> Coalescer[int]:
    numbering = Numbering(door="door", incarnation=7)
    return Coalescer(numbering=numbering, partitions=PARTITIONS, limits=limits)


def gathered(told: list[Section | Unreadable], limits: Limits) -> list[Ready[int]]:
    one = coalescer(limits)
    ready = [r for i, part in enumerate(told) for r in one.add(part, now=i, token=i)]
    return [*ready, *one.flush()]


def bodies(ready: list[Ready[int]]) -> list[Section | Unreadable]:
    return [part for r in ready if isinstance(r.record.body, tuple) for part in r.record.body]


@given(parts, limits)
def test_every_unit_says_the_same_in_the_same_order(
    told: list[Section | Unreadable], limits: Limits
) -> None:
    """Readings, unreadable payloads and ticks, reading by reading; refused readings by number."""
    heard = bodies(gathered(told, limits))
    assert by_unit(heard) == by_unit(told)
    assert sum(len(p.refused) for p in heard if isinstance(p, Section)) == sum(
        len(p.refused) for p in told if isinstance(p, Section)
    )


@given(parts, limits)
def test_records_are_numbered_without_a_hole(
    told: list[Section | Unreadable], limits: Limits
) -> None:
    """Each partition from 0, in the order in which they are handed over."""
    numbers: dict[int, list[int]] = defaultdict(list)
    for ready in gathered(told, limits):
        numbers[ready.partition].append(ready.record.sequence)
    assert all(found == list(range(len(found))) for found in numbers.values())


@given(parts, limits)
def test_each_part_is_answered_for_once(told: list[Section | Unreadable], limits: Limits) -> None:
    """The tokens of a record are those of its parts: who waits for an answer gets one."""
    ready = gathered(told, limits)
    assert sorted(token for r in ready for token in r.tokens) == list(range(len(told)))
    for r in ready:
        assert {partition_of(told[token].unit, PARTITIONS) for token in r.tokens} <= {r.partition}


@given(parts, limits)
def test_records_are_bounded_and_can_be_written(
    told: list[Section | Unreadable], limits: Limits
) -> None:
    """No more readings than the limit, but for one part that is larger by itself."""
    for r in gathered(told, limits):
        assert isinstance(r.record.body, tuple)
        size = sum(
            len(part) + len(part.refused) if isinstance(part, Section) else 1
            for part in r.record.body
        )
        assert size <= limits.readings or len(r.tokens) == 1
        assert encode(decode(encode(r.record))) == encode(r.record)


@given(parts)
def test_no_section_spans_two_days_of_account(told: list[Section | Unreadable]) -> None:
    """Readings received before midnight and after it are not counted in one day."""
    received = {(part.unit, part.received_at >= MIDNIGHT): 0 for part in told}
    for part in told:
        received[part.unit, part.received_at >= MIDNIGHT] += len(said(part))
    for part in bodies(gathered(told, Limits())):
        received[part.unit, part.received_at >= MIDNIGHT] -= len(said(part))
    assert set(received.values()) <= {0}


def single(unit: str, at: int, message: str) -> Section:
    return Section(
        unit=unit,
        received_at=MIDNIGHT + at,
        names=("E1",),
        point=0,
        at=np.array([at], dtype=np.int64),
        value=np.array([at], dtype=np.int64),
        statement=0,
        units_of_measure=("kWh",),
        unit_of_measure=0,
        rank=5,
        revision=0,
        sent_at=at,
        flags=0,
        messages=(message,),
    )


def test_single_readings_become_columns() -> None:
    """Messages of one reading each are one section; what is the same for all is one value."""
    (ready,) = gathered([single(UNITS[0], i, f"m-{i}") for i in range(3)], Limits())
    (section,) = bodies([ready])
    assert isinstance(section, Section)
    assert section.names == ("E1",)
    assert (section.point, section.statement, section.rank) == (0, 0, 5)
    assert section.messages == ("m-0", "m-1", "m-2")
    assert spread(section.message, 3).tolist() == [0, 1, 2]
    assert spread(section.sent_at, 3).tolist() == [0, 1, 2]
    assert section.received_at == MIDNIGHT + 2


def test_nothing_waits_longer_than_it_may() -> None:
    """A record is due when its first part has waited `wait_ms`."""
    one = coalescer(Limits(wait_ms=100))
    assert one.next_due() is None
    assert one.add(single(UNITS[0], 1, "a"), now=1_000, token=1) == []
    assert one.add(single(UNITS[0], 2, "b"), now=1_099, token=2) == []
    assert one.next_due() == 1_100
    assert list(one.due(now=1_099)) == []
    (ready,) = one.due(now=1_100)
    assert ready.tokens == (1, 2)
    assert one.next_due() is None


def test_bytes_are_bounded_too() -> None:
    """Refused readings and unreadable payloads are text: a record of them must fit a topic."""
    large = unreadable(b"x" * 10_000, unit=UNITS[0], received_at=MIDNIGHT, reason="not JSON")
    ready = gathered([large] * 5, Limits(octets=25_000))
    assert [len(r.tokens) for r in ready] == [2, 2, 1]


def test_more_messages_than_an_index_counts() -> None:
    """A section holds 65,535 message ids; the next begins another."""
    told: list[Section | Unreadable] = [single(UNITS[0], i, f"m-{i}") for i in range(65_540)]
    ready = gathered(told, Limits(readings=70_000, octets=10**9))
    assert [len(part) for part in bodies(ready) if isinstance(part, Section)] == [65_535, 5]
    for r in ready:
        encode(r.record)


@pytest.mark.parametrize(
    ("messages", "sections_made"),
    [
        pytest.param(("m-1", "m-2", "m-3"), 1, id="of its own each"),
        pytest.param(("", "", ""), 1, id="none"),
        pytest.param(("m-1", "m-2", "m-1"), 2, id="sent again in a moment"),
    ],
)
def test_a_section_never_holds_a_message_twice(
    messages: tuple[str, ...], sections_made: int
) -> None:
    """A reading's place among those of its message is its place in what was sent."""
    one = coalescer(Limits(readings=100))
    for message in messages:
        part = a_section(
            unit=UNITS[0], size=2, names="AB", bits=0, base=1, received_at=0, message=message
        )
        assert one.add(part, now=0, token=0) == []
    (ready,) = one.flush()
    assert isinstance(ready.record.body, tuple)
    assert len(ready.record.body) == sections_made
    assert sum(len(part) for part in ready.record.body if isinstance(part, Section)) == 6
