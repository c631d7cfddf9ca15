"""The layout carries every record whole, and takes nothing else for one."""

import json
from hashlib import sha256

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.reading import EARLIEST, LATEST
from schemas.registry import Configuration, Registry
from schemas.section import (
    NEVER,
    ApplyConfiguration,
    Column,
    HistoryEnds,
    Record,
    Refused,
    Section,
    Tick,
    Unreadable,
)
from schemas.wire import LayoutError, configuration_line, decode, encode, from_line, to_line

UNIT = "91510100SYN0000001"
INT64 = st.integers(-(2**63), 2**63 - 1)
INSTANTS = st.integers(EARLIEST, LATEST - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\0"), max_size=5)
UNITS = st.from_regex(r"[0-9A-Z]{18}", fullmatch=True)


@st.composite
def sections(draw: st.DrawFn) -> Section:
    """Any section that a door may make: empty ones and those with every column whole among them."""
    n = draw(st.integers(0, 4))

    def column(entries: st.SearchStrategy[int]) -> Column:
        if n == 0 or draw(st.booleans()):
            return draw(entries)
        return np.array(draw(st.lists(entries, min_size=n, max_size=n)), dtype=np.int64)

    def texts(least: int) -> tuple[str, ...]:
        return tuple(draw(st.lists(TEXTS, min_size=least, max_size=3)))

    names, units, messages = texts(min(n, 1)), texts(min(n, 1)), texts(1)

    def index(into: tuple[object, ...]) -> Column:
        return column(st.integers(0, max(0, len(into) - 1)))

    def whole(entries: st.SearchStrategy[int]) -> npt.NDArray[np.int64]:
        return np.array(draw(st.lists(entries, min_size=n, max_size=n)), dtype=np.int64)

    ticks = draw(st.lists(st.tuples(st.integers(0, n), INSTANTS), max_size=2))
    refused = draw(st.lists(st.builds(Refused, st.integers(0, 9999), TEXTS, TEXTS), max_size=2))
    return Section(
        unit=draw(UNITS),
        received_at=draw(INSTANTS),
        names=names,
        point=index(names),
        at=whole(INSTANTS),
        value=whole(INT64),
        statement=column(st.integers(0, 5)),
        units_of_measure=units,
        unit_of_measure=index(units),
        rank=column(st.integers(0, 5)),
        revision=column(st.integers(0, 2**31 - 1)),
        sent_at=column(INT64 | st.just(NEVER)),
        flags=column(st.integers(0, 3)),
        messages=messages,
        message=index(messages),
        ticks=tuple(ticks),
        refused=tuple(refused),
    )


unreadables = st.builds(
    lambda unit, at, reason, payload: Unreadable(
        unit, at, reason, payload, len(payload), sha256(payload).hexdigest()
    ),
    UNITS,
    INSTANTS,
    TEXTS,
    st.binary(max_size=30),
)
U64 = st.integers(0, 2**64 - 1)
records = st.builds(
    Record,
    st.text(st.characters(exclude_categories=["C", "Z"]), max_size=8),
    U64,
    U64,
    st.lists(sections() | unreadables, max_size=3).map(tuple)
    | st.builds(Tick, INSTANTS)
    | st.builds(ApplyConfiguration, st.integers(0, 2**32 - 1))
    | st.builds(HistoryEnds, UNITS),
)


def plain(record: Record) -> object:
    """A record as values that compare; the kind of a column (one value or many) is part of it."""
    if not isinstance(record.body, tuple):
        return record
    parts = [
        {
            name: value.tolist() if isinstance(value := getattr(part, name), np.ndarray) else value
            for name in part.__dataclass_fields__
        }
        for part in record.body
    ]
    return (record.door, record.incarnation, record.sequence, parts)


def a_section(**changes: object) -> Section:
    told: dict[str, object] = {
        "unit": UNIT,
        "received_at": 1,
        "names": ("E1",),
        "point": 0,
        "at": np.array([5], dtype=np.int64),
        "value": np.array([7], dtype=np.int64),
        "statement": 0,
        "units_of_measure": ("kWh",),
        "unit_of_measure": 0,
        "rank": 5,
        "revision": 0,
        "sent_at": NEVER,
        "flags": 0,
    }
    return Section(**{**told, **changes})  # type: ignore[arg-type]


def a_record(*parts: Section | Unreadable) -> Record:
    return Record("door", 1, 2, parts)


# ---- Laws ----


@given(records)
def test_binary_there_and_back(record: Record) -> None:
    """encode∘decode is identity."""
    assert plain(decode(encode(record))) == plain(record)


@given(records, st.integers(0, 999))
def test_json_there_and_back(record: Record, partition: int) -> None:
    """A line of the pipe says the same record, and holds no line feed."""
    line = to_line(record, partition)
    assert "\n" not in line
    told = from_line(line)
    assert isinstance(told, tuple)
    assert told[0] == partition
    assert plain(told[1]) == plain(record)
    assert encode(told[1]) == encode(record)


@given(st.binary(max_size=120))
@example(b"W1")
def test_bytes_that_are_no_record(data: bytes) -> None:
    """LayoutError, and never another error."""
    with pytest.raises(LayoutError):
        decode(data)


@given(records, st.data())
def test_a_spoiled_record(record: Record, data: st.DataObject) -> None:
    """Cut, lengthened or changed in a byte: a LayoutError, or another whole record."""
    whole = encode(record)
    at = data.draw(st.integers(0, len(whole) - 1))
    byte = bytes([data.draw(st.integers(0, 255))])
    for spoiled in (whole[:at], whole + byte, whole[:at] + byte + whole[at + 1 :]):
        try:
            told = decode(spoiled)
        except LayoutError:
            continue
        assert spoiled[:at] != whole[:at] or len(spoiled) == len(whole)
        assert plain(decode(encode(told))) == plain(told)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.text() | json_values.map(json.dumps))
def test_texts_that_are_no_line(line: str) -> None:
    """LayoutError, and never another error."""
    with pytest.raises(LayoutError):
        from_line(line)


@given(records, st.data())
def test_a_spoiled_line(record: Record, data: st.DataObject) -> None:
    """Any value in it replaced by any other: a LayoutError, or a record of plain integers."""
    told = json.loads(to_line(record, 3))
    spots = [(told, key) for key in told]
    if told.get("sections"):
        spots += [(part, key) for part in told["sections"] for key in part]
    holder, key = data.draw(st.sampled_from(spots))
    holder[key] = data.draw(json_values)
    try:
        again = from_line(json.dumps(told))
    except LayoutError:
        return
    assert isinstance(again, tuple)
    body = again[1].body
    for part in body if isinstance(body, tuple) else ():
        if isinstance(part, Section):
            assert part.at.dtype == part.value.dtype == np.int64


# ---- Tables ----


@pytest.mark.parametrize(
    "section",
    [
        pytest.param(a_section(names=("E1\nE2",)), id="line feed in a name"),
        pytest.param(a_section(unit="TOO-SHORT"), id="short unit"),
        pytest.param(a_section(unit=UNIT + "0"), id="long unit"),
        pytest.param(a_section(unit="91510100SYN000000é"), id="unit beyond ASCII"),
        pytest.param(a_section(point=np.array([0, 0])), id="a column too long"),
        pytest.param(a_section(message=np.array([65_536])), id="index beyond its kind"),
        pytest.param(a_section(rank=300), id="rank beyond its kind"),
        pytest.param(a_section(names=("\ud800",)), id="half a character"),
    ],
)
def test_what_the_layout_cannot_carry(section: Section) -> None:
    """Said when it is written, not found when it is read."""
    with pytest.raises(LayoutError):
        encode(a_record(section))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"point": 1}, id="no such name"),
        pytest.param({"point": -1}, id="negative index"),
        pytest.param({"statement": 6}, id="no such statement"),
        pytest.param({"unit_of_measure": [1]}, id="no such unit of measure"),
        pytest.param({"message": 1}, id="no such message"),
        pytest.param({"at": 5}, id="one instant for all"),
        pytest.param({"at": [5, 6]}, id="columns differ"),
        pytest.param({"value": [1.5]}, id="a fraction"),
        pytest.param({"value": ["7"]}, id="a text"),
        pytest.param({"value": [True]}, id="true"),
        pytest.param({"value": [2**63]}, id="beyond int64"),
        pytest.param({"rank": 256}, id="beyond u8"),
        pytest.param({"names": "E1"}, id="names a text"),
        pytest.param({"ticks": [[2, 0]]}, id="tick beyond the readings"),
        pytest.param({"ticks": [[0]]}, id="half a tick"),
        pytest.param({"refused": ["abc"]}, id="refused a text"),
        pytest.param({"refused": [[0, "reason", None]]}, id="refused without its text"),
    ],
)
def test_lines_that_would_mislead(change: dict[str, object]) -> None:
    """What numpy would bend into shape, or the engine trip over, is refused here."""
    told = json.loads(to_line(a_record(a_section()), 0))
    told["sections"][0] |= change
    with pytest.raises(LayoutError):
        from_line(json.dumps(told))


@pytest.mark.parametrize(
    "section",
    [
        pytest.param(a_section(point=1), id="no such name"),
        pytest.param(a_section(point=np.array([1])), id="no such name, as a column"),
        pytest.param(a_section(unit_of_measure=1), id="no such unit of measure"),
        pytest.param(a_section(message=1), id="no such message"),
        pytest.param(a_section(statement=6), id="no such statement"),
        pytest.param(a_section(ticks=((2, 0),)), id="tick beyond the readings"),
    ],
)
def test_bytes_that_would_mislead(section: Section) -> None:
    """An index into nowhere stops here, not in the engine."""
    whole = encode(a_record(section))
    with pytest.raises(LayoutError):
        decode(whole)


def test_deep_nesting_is_no_line() -> None:
    """No RecursionError leaves the reader, neither of lines nor of refused readings."""
    with pytest.raises(LayoutError):
        from_line("[" * 100_000)
    deep = ("[" * 100_000).encode()
    whole = encode(a_record(a_section()))
    with pytest.raises(LayoutError):
        decode(whole[:-4] + len(deep).to_bytes(4, "little") + deep)


def test_bytes_after_a_control_record() -> None:
    """A tick is as long as it is."""
    whole = encode(Record("clock", 1, 2, Tick(5)))
    for spoiled in (whole + b"\0", whole[:-1]):
        with pytest.raises(LayoutError):
            decode(spoiled)


def test_a_section_without_readings() -> None:
    """No names are no names, and not one empty name."""
    empty = np.array([], dtype=np.int64)
    only_ticks = a_section(names=(), units_of_measure=(), at=empty, value=empty, ticks=((0, 9),))
    record = a_record(only_ticks)
    assert plain(decode(encode(record))) == plain(record)


def test_the_layout_stands() -> None:
    """The bytes of version W1: what is in a log must stay readable."""
    record = a_record(
        a_section(ticks=((1, 9),), refused=(Refused(1, "bad time", "{}"),)),
        Unreadable(UNIT, 1, "not JSON", b"{", 1, "ab"),
    )
    assert sha256(encode(record)).hexdigest() == (
        "c9d16a833b1ddfc3b1eba800bb3c7780685e4b09e619a2b908980bd238ac77da"
    )


def test_a_configuration_is_a_line_too() -> None:
    """The first line of the pipe."""
    configuration = Configuration(version=3, author="a", reason="é", registry=Registry())
    assert from_line(configuration_line(configuration)) == configuration


@pytest.mark.parametrize("at", [-1, LATEST, 2**62, -(2**63)])
def test_an_instant_that_nobody_may_say_is_no_record(at: int) -> None:
    """Neither of a reading, nor of a receipt, nor of a tick."""
    for body in (
        (a_section(at=np.array([at], dtype=np.int64)),),
        (a_section(received_at=at),),
        (a_section(ticks=((0, at),)),),
        Tick(at),
    ):
        data = encode(Record("door", 1, 2, body))
        with pytest.raises(LayoutError, match="outside"):
            decode(data)


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800"])
def test_a_text_that_no_table_holds_is_no_record(text: str) -> None:
    """NUL, and half a surrogate pair, which JSON can carry."""
    for part in (
        a_section(names=(text,)),
        a_section(messages=(text,)),
        a_section(refused=(Refused(0, text, ""),)),
        a_section(refused=(Refused(0, "", text),)),
        Unreadable(UNIT, 1, text, b"", 0, ""),
    ):
        with pytest.raises(LayoutError):
            decode(encode(a_record(part)))
