"""Whatever bytes come, every reading that can be counted is in the section or refused by name."""

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.columns import spread
from ingest.payload import Defaults, decode
from schemas.reading import (
    MAX_PAYLOAD,
    MAX_READINGS,
    ORIGINAL_KEPT,
    PAYLOAD_KEPT,
    ManyReadings,
    Message,
    OneReading,
    Reading,
    ReadingColumns,
    Refusal,
    json_schema,
)
from schemas.registry import STATEMENTS
from schemas.scale import LARGEST
from schemas.section import NEVER, RANKS, ROUNDED, WITHDRAWN, Record, Section, Unreadable
from schemas.wire import decode as decode_record
from schemas.wire import encode

UNIT = "91510100SYN0000001"
RECEIVED_AT = 1_795_399_210_000
AT = "2026-11-23T10:00:00+08:00"
AT_MS = 1_795_399_200_000
GOOD = {"point": "E1", "at": AT, "statement": "register", "value": "1234.5", "unit": "kWh"}


def take(message: object) -> Section | Unreadable:
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    return decode(payload, unit=UNIT, received_at=RECEIVED_AT)


def section(message: object) -> Section:
    taken = take(message)
    assert isinstance(taken, Section), taken
    return taken


def rows(taken: Section) -> list[tuple[object, ...]]:
    """A section reading by reading, by the texts behind its indexes."""
    size = len(taken)
    columns = (
        [taken.names[i] for i in spread(taken.point, size)],
        taken.at.tolist(),
        taken.value.tolist(),
        [STATEMENTS[i] for i in spread(taken.statement, size)],
        [taken.units_of_measure[i] for i in spread(taken.unit_of_measure, size)],
        *(spread(c, size).tolist() for c in (taken.rank, taken.revision)),
        *(spread(c, size).tolist() for c in (taken.sent_at, taken.flags)),
    )
    return list(zip(*columns, strict=True))


def reasons(taken: Section) -> list[str]:
    return [item.reason for item in taken.refused]


# ---- Laws ----

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([AT, "E1", "kWh", "register", "PT15M", "12.5", "1e400", "NaN", UNIT])
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
field_names = st.sampled_from(
    ["point", "at", "value", "statement", "unit", "rank", "revision", "sent_at"]
)
tops = st.sampled_from(["message_id", "unit_code", "readings", "ticks", "nonsense"])
wild_rows = st.dictionaries(field_names, scalars, max_size=8)
wild_messages = st.one_of(
    st.dictionaries(field_names | tops, anything, max_size=10),
    st.dictionaries(field_names, st.lists(scalars, min_size=3, max_size=3), max_size=8),
    st.builds(
        lambda readings, top: {**top, "readings": readings},
        st.lists(wild_rows | scalars, min_size=1, max_size=6),
        st.dictionaries(field_names, scalars, max_size=3),
    ),
)


def count_of(message: dict[str, object]) -> int | None:
    """How many readings a message holds, said anew; None where nobody can tell."""
    if "readings" in message:
        readings = message["readings"]
        return len(readings) if isinstance(readings, list) and readings else None
    told = {k: v for k, v in message.items() if k in Reading.model_fields}
    sizes = {len(v) for v in told.values() if isinstance(v, list)}
    if not told or len(sizes) > 1 or 0 in sizes:
        return None
    return sizes.pop() if sizes else 1


@given(st.binary(max_size=200))
def test_decode_takes_any_bytes(payload: bytes) -> None:
    """Bytes that are no message are kept whole, with their hash."""
    taken = decode(payload, unit=UNIT, received_at=RECEIVED_AT)
    if isinstance(taken, Unreadable):
        assert taken.payload == payload
        assert (taken.length, taken.sha256) == (len(payload), sha256(payload).hexdigest())


@given(wild_messages)
def test_nothing_is_lost(message: dict[str, object]) -> None:
    """Accepted and refused readings are those of the message; each position is told once."""
    taken = take(message)
    count = count_of(message)
    if count is None:
        assert isinstance(taken, Unreadable)
        return
    assert isinstance(taken, Section), taken
    assert len(taken) + len(taken.refused) == count
    positions = [item.position for item in taken.refused]
    assert positions == sorted(set(positions))
    assert all(0 <= position < count for position in positions)
    assert all(item.reason in set(Refusal) for item in taken.refused)
    assert all(len(item.original) <= ORIGINAL_KEPT for item in taken.refused)


@given(wild_messages)
def test_what_is_taken_can_be_written(message: dict[str, object]) -> None:
    """No text or number gets through that the record's layout cannot carry."""
    record = Record("door", 1, 0, (take(message),))
    assert encode(decode_record(encode(record))) == encode(record)


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**13), max_value=10**13)
    | st.decimals(places=6, min_value=-(10**9), max_value=10**9)
    | st.floats(allow_nan=False, allow_infinity=False).map(lambda number: Decimal(repr(number))),
    st.booleans(),
    st.integers(0, 3),
)
def test_numbers_are_exact(number: Decimal, as_text: bool, others: int) -> None:  # noqa: FBT001
    """As text or as a JSON number of any length: the nearest 10⁻⁶, half even, flagged if rounded.

    So too among others that are short: the quick way and the exact way agree.
    """
    text = f"{number:f}" if abs(number.adjusted()) < 30 else str(number)
    values = ["0.5"] * others + [f'"{text}"' if as_text else text]
    payload = (
        f'{{"point": "E1", "at": {AT_MS}, "statement": "PT15M", "unit": "kWh",'
        f' "value": [{", ".join(values)}]}}'
    )
    taken = section(payload.encode())
    exact = Fraction(text) * 10**6
    if abs(round(exact)) > LARGEST:
        assert reasons(taken) == [Refusal.NUMBER_OUT_OF_RANGE]
        return
    assert taken.value[-1] == round(exact)
    assert bool(spread(taken.flags, len(taken))[-1] & ROUNDED) == (round(exact) != exact)


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2300, 1, 1)),  # noqa: DTZ001 - offset drawn beside
    st.integers(-23 * 60, 23 * 60),
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
)
def test_times_are_exact(when: datetime, minutes: int, precision: str) -> None:
    """RFC 3339 with any offset: the millisecond it names (below it: cut), from 1970 to 2199."""
    aware = when.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    text = aware.isoformat(timespec=precision)
    told = datetime.fromisoformat(text)
    at = (told - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    taken = section({**GOOD, "at": text})
    if 0 <= at < 7_258_118_400_000:
        assert taken.at.tolist() == [at]
        assert rows(section({**GOOD, "at": at})) == rows(taken)
    else:
        assert reasons(taken) == [Refusal.TIME_OUT_OF_RANGE]


instants = st.integers(0, 7_258_118_399_999) | st.just(AT)
amounts = st.none() | st.integers(-(10**9), 10**9) | st.sampled_from(["1234.5", "-0.000001", ".5"])
plain = {
    "point": st.sampled_from(["E1", "E2", "a.b:c-d_e"]),
    "at": instants,
    "statement": st.sampled_from(STATEMENTS),
    "unit": st.sampled_from(["kWh", "t", "m³"]),
    "rank": st.sampled_from(sorted(RANKS)),
    "revision": st.integers(0, 2**31 - 1),
    "sent_at": instants,
}
one_reading = st.fixed_dictionaries({**plain, "value": amounts})


@given(st.lists(one_reading, min_size=1, max_size=8))
def test_the_three_forms_say_the_same(readings: list[dict[str, object]]) -> None:
    """A list, columns, and one message each: the same readings in the same order."""
    as_list = section({"readings": readings})
    as_columns = section({name: [row[name] for row in readings] for name in readings[0]})
    assert rows(as_list) == rows(as_columns) == [r for row in readings for r in rows(section(row))]
    assert not as_list.refused


@given(
    st.lists(one_reading, min_size=1, max_size=5),
    st.sets(st.sampled_from(["statement", "unit", "rank", "revision", "sent_at", "point", "at"])),
    st.sets(st.integers(0, 4)),
)
def test_what_is_given_at_the_top_holds_below(
    readings: list[dict[str, object]], top: set[str], own: set[int]
) -> None:
    """A field of the message stands for those of the readings that do not say it."""
    first = readings[0]
    short = [
        {k: v for k, v in row.items() if k not in top or i in own} for i, row in enumerate(readings)
    ]
    meant = [
        {**row, **({} if i in own else {name: first[name] for name in top})}
        for i, row in enumerate(readings)
    ]
    message = {**{name: first[name] for name in top}, "readings": short}
    assert rows(section(message)) == rows(section({"readings": meant}))


@given(
    st.builds(OneReading, **plain, value=amounts)
    | st.lists(st.builds(Reading, **plain, value=amounts), min_size=1, max_size=3).map(
        lambda readings: ManyReadings(readings=readings, message_id="m")
    )
    | st.lists(one_reading, min_size=1, max_size=3).map(
        lambda told: ReadingColumns.model_validate(
            {name: [row[name] for row in told] for name in told[0]}
        )
    )
)
def test_what_the_contract_allows_is_taken(message: Message) -> None:
    """A message made with the published models is taken whole."""
    assert not section(message.model_dump_json(exclude_unset=True).encode()).refused


# ---- Tables ----


def test_one_reading_in_full() -> None:
    """The example of the contract, to the last column."""
    taken = section(
        {
            "message_id": "m-1",
            "sent_at": "2026-11-23T10:00:05+08:00",
            "readings": [{**GOOD, "rank": "measured", "revision": 0}],
        }
    )
    assert rows(taken) == [
        ("E1", AT_MS, 1_234_500_000, "register", "kWh", 5, 0, AT_MS + 5_000, 0),
    ]
    assert (taken.unit, taken.received_at, taken.messages) == (UNIT, RECEIVED_AT, ("m-1",))


def test_what_is_not_said() -> None:
    """Measured, revision 0, and no sent_at, which is never filled in."""
    assert rows(section(GOOD))[0][5:] == (RANKS["measured"], 0, NEVER, 0)


def test_null_withdraws_and_absence_does_not() -> None:
    """A null value must be said; a reading without a value is refused."""
    withdrawn = section({**GOOD, "value": None})
    assert rows(withdrawn)[0][2] == 0
    assert rows(withdrawn)[0][8] == WITHDRAWN
    absent = {k: v for k, v in GOOD.items() if k != "value"}
    assert reasons(section(absent)) == [Refusal.VALUE_MISSING]
    assert reasons(section({"readings": [GOOD, absent]})) == [Refusal.VALUE_MISSING]


REFUSED_ALONE = [
    pytest.param({"point": None}, Refusal.POINT_MISSING, id="no point"),
    pytest.param({"point": "E 1"}, Refusal.BAD_POINT, id="blank in a name"),
    pytest.param({"point": "E1\nE2"}, Refusal.BAD_POINT, id="line feed in a name"),
    pytest.param({"point": "E" * 65}, Refusal.BAD_POINT, id="65 characters"),
    pytest.param({"point": 7}, Refusal.BAD_POINT, id="number for a name"),
    pytest.param({"point": ["E1"]}, Refusal.BAD_POINT, id="list for a name"),
    pytest.param({"at": None}, Refusal.TIME_MISSING, id="no time"),
    pytest.param({"at": "2026-11-00T10:00:00Z"}, Refusal.BAD_TIME, id="day 0"),
    pytest.param({"at": "2026-00-01T10:00:00Z"}, Refusal.BAD_TIME, id="month 0"),
    pytest.param({"at": "2026-11-23T24:00:00Z"}, Refusal.BAD_TIME, id="hour 24"),
    pytest.param({"at": "2026-W48-1T10:00:00Z"}, Refusal.BAD_TIME, id="week date"),
    pytest.param({"at": "2" * 100_000}, Refusal.BAD_TIME, id="endless"),
    pytest.param({"at": 1.5}, Refusal.BAD_TIME, id="fraction"),
    pytest.param({"at": True}, Refusal.BAD_TIME, id="true"),
    pytest.param({"at": "2026-11-23T10:00:00"}, Refusal.NO_OFFSET, id="no offset"),
    pytest.param({"at": "2026-11-23 10:00:00"}, Refusal.NO_OFFSET, id="local time"),
    pytest.param({"at": "1969-12-31T23:59:59Z"}, Refusal.TIME_OUT_OF_RANGE, id="1969"),
    pytest.param({"at": "0001-01-01T00:00:00+23:59"}, Refusal.TIME_OUT_OF_RANGE, id="year 1"),
    pytest.param({"at": "9999-12-31T23:59:59-23:59"}, Refusal.TIME_OUT_OF_RANGE, id="9999"),
    pytest.param({"at": "2200-01-01T00:00:00Z"}, Refusal.TIME_OUT_OF_RANGE, id="2200"),
    pytest.param({"at": -1}, Refusal.TIME_OUT_OF_RANGE, id="before 1970 in ms"),
    pytest.param({"at": 10**30}, Refusal.BAD_TIME, id="beyond all integers"),
    pytest.param({"value": "12,5"}, Refusal.NOT_A_NUMBER, id="comma"),
    pytest.param({"value": ""}, Refusal.NOT_A_NUMBER, id="empty"),
    pytest.param({"value": " 1"}, Refusal.NOT_A_NUMBER, id="blank"),
    pytest.param({"value": "\u0661"}, Refusal.NOT_A_NUMBER, id="digit of another script"),
    pytest.param({"value": "1_0"}, Refusal.NOT_A_NUMBER, id="underscore"),
    pytest.param({"value": "NaN"}, Refusal.NOT_A_NUMBER, id="NaN as text"),
    pytest.param({"value": float("nan")}, Refusal.NOT_A_NUMBER, id="NaN as Python writes it"),
    pytest.param({"value": False}, Refusal.NOT_A_NUMBER, id="false"),
    pytest.param({"value": {}}, Refusal.NOT_A_NUMBER, id="object"),
    pytest.param({"value": float("inf")}, Refusal.NUMBER_OUT_OF_RANGE, id="infinity"),
    pytest.param({"value": 10**400}, Refusal.NUMBER_OUT_OF_RANGE, id="400 digits"),
    pytest.param({"value": "1e999"}, Refusal.NUMBER_OUT_OF_RANGE, id="exponent"),
    pytest.param({"value": 4.7e12}, Refusal.NUMBER_OUT_OF_RANGE, id="just too large"),
    pytest.param({"statement": None}, Refusal.STATEMENT_MISSING, id="no statement"),
    pytest.param({"statement": "PT5M"}, Refusal.UNKNOWN_STATEMENT, id="five minutes"),
    pytest.param({"statement": []}, Refusal.UNKNOWN_STATEMENT, id="list for a statement"),
    pytest.param({"unit": None}, Refusal.UNIT_MISSING, id="no unit of measure"),
    pytest.param({"unit": "k Wh"}, Refusal.BAD_UNIT, id="blank in a unit"),
    pytest.param({"unit": "\ud800"}, Refusal.BAD_UNIT, id="half a character"),
    pytest.param({"rank": "sure"}, Refusal.UNKNOWN_RANK, id="unknown rank"),
    pytest.param({"revision": -1}, Refusal.BAD_REVISION, id="negative revision"),
    pytest.param({"revision": 2**31}, Refusal.BAD_REVISION, id="revision too large"),
    pytest.param({"revision": True}, Refusal.BAD_REVISION, id="true for a revision"),
    pytest.param({"sent_at": "yesterday"}, Refusal.BAD_SENT_AT, id="sent yesterday"),
    pytest.param({"revison": 1}, Refusal.UNKNOWN_FIELD, id="misspelt field"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSED_ALONE)
def test_one_bad_reading_is_lost_alone(change: dict[str, object], reason: Refusal) -> None:
    """It is refused by name, with its position and its text; its neighbours are taken."""
    taken = section({"readings": [GOOD, {**GOOD, **change}, GOOD]})
    assert [(item.position, item.reason) for item in taken.refused] == [(1, reason)]
    assert taken.value.tolist() == [1_234_500_000] * 2
    assert taken.names == ("E1",)
    assert taken.units_of_measure == ("kWh",)
    taken.refused[0].original.encode()


@pytest.mark.parametrize("odd", [7, None, "text", [GOOD]])
def test_what_is_no_object_is_refused_alone(odd: object) -> None:
    """In the place of a reading stands something else."""
    taken = section({"readings": [GOOD, odd]})
    assert reasons(taken) == [Refusal.NOT_AN_OBJECT]
    assert len(taken) == 1


REFUSED_WHOLE = [
    pytest.param({"unit_code": "91510100SYN0000002"}, Refusal.WRONG_UNIT, id="another unit"),
    pytest.param({"unit_code": 5}, Refusal.WRONG_UNIT, id="number for a unit"),
    pytest.param({"message_id": "x" * 129}, Refusal.BAD_MESSAGE_ID, id="long id"),
    pytest.param({"message_id": "a\nb"}, Refusal.BAD_MESSAGE_ID, id="line feed in the id"),
    pytest.param({"message_id": "\ud800"}, Refusal.BAD_MESSAGE_ID, id="half a character"),
    pytest.param({"message_id": [1, 2, 3]}, Refusal.BAD_MESSAGE_ID, id="list for an id"),
    pytest.param({"quality": [1]}, Refusal.UNKNOWN_TOP_FIELD, id="unknown field"),
    pytest.param({"value": 1}, Refusal.VALUE_TWICE, id="value beside readings"),
    pytest.param({"ticks": AT_MS}, Refusal.BAD_TICKS, id="no list of ticks"),
    pytest.param({"ticks": [[1]]}, Refusal.BAD_TICKS, id="half a tick"),
    pytest.param({"ticks": [[4, AT_MS]]}, Refusal.BAD_TICKS, id="tick beyond the readings"),
    pytest.param({"ticks": [[-1, AT_MS]]}, Refusal.BAD_TICKS, id="tick before the readings"),
    pytest.param({"ticks": [[True, AT_MS]]}, Refusal.BAD_TICKS, id="true for a position"),
    pytest.param({"ticks": [[1, 5], [0, 6]]}, Refusal.BAD_TICKS, id="positions fall"),
    pytest.param({"ticks": [[1, 5], [1, 5]]}, Refusal.BAD_TICKS, id="time stands"),
    pytest.param({"ticks": [[1, "noon"]]}, Refusal.BAD_TICKS, id="no instant"),
    pytest.param({"ticks": [[1, 5]] * 10_001}, Refusal.BAD_TICKS, id="too many ticks"),
]


@pytest.mark.parametrize(("top", "reason"), REFUSED_WHOLE)
def test_a_message_refused_as_a_whole_counts_every_reading(
    top: dict[str, object], reason: Refusal
) -> None:
    """Each of its readings is among the refused."""
    taken = section({**top, "readings": [GOOD, {}, 7]})
    assert reasons(taken) == [reason] * 3
    assert len(taken) == 0


def test_a_tick_stands_after_the_readings_that_were_taken() -> None:
    """Those refused before it no longer count; its instant is read like every other."""
    ticks = [[0, AT_MS], [1, AT_MS + 1], [2, "2099-01-01T00:00:00Z"], [4, 4_070_908_800_001]]
    taken = section({"ticks": ticks, "readings": [GOOD, 7, GOOD, GOOD]})
    assert reasons(taken) == [Refusal.NOT_AN_OBJECT]
    assert taken.ticks == (
        (0, AT_MS),
        (1, AT_MS + 1),
        (1, 4_070_908_800_000),
        (3, 4_070_908_800_001),
    )


def test_time_may_pass_without_a_reading() -> None:
    """A message of ticks alone; one whose ticks are wrong is kept by its bytes, not dropped."""
    taken = section({"readings": [], "ticks": [[0, AT_MS]]})
    assert (len(taken), taken.ticks, taken.refused) == (0, ((0, AT_MS),), ())
    for told, reason in (
        ({"ticks": [[1, AT_MS]]}, Refusal.BAD_TICKS),
        ({"ticks": []}, Refusal.NO_READINGS),
        ({"ticks": [[0, AT_MS]], "unit_code": 5}, Refusal.WRONG_UNIT),
    ):
        kept = take({"readings": [], **told})
        assert isinstance(kept, Unreadable)
        assert kept.reason == reason


def test_the_original_of_a_reading_holds_no_ticks() -> None:
    """They are the message's; a refused reading in columns is kept without them."""
    taken = section({**GOOD, "value": ["x"], "ticks": [[1, AT_MS]]})
    assert "ticks" not in taken.refused[0].original
    assert taken.ticks == ((0, AT_MS),)


def test_the_units_own_code_is_welcome() -> None:
    """Also one of digits alone, which is no long number."""
    assert not section({**GOOD, "unit_code": UNIT}).refused
    digits = "915101002019420000"
    payload = json.dumps({**GOOD, "unit_code": digits}).encode()
    taken = decode(payload, unit=digits, received_at=RECEIVED_AT)
    assert isinstance(taken, Section)
    assert len(taken) == 1


UNREADABLE = [
    pytest.param(b"", Refusal.EMPTY, id="nothing"),
    pytest.param(b"\xef\xbb\xbf \n", Refusal.EMPTY, id="a mark and a blank"),
    pytest.param(b" " * (MAX_PAYLOAD + 1), Refusal.TOO_LARGE, id="too large"),
    pytest.param(b"\xff\xfe{}", Refusal.NOT_UTF8, id="not UTF-8"),
    pytest.param(b'{"value": "\xd6\xd0"}', Refusal.NOT_UTF8, id="GBK"),
    pytest.param(b"{", Refusal.NOT_JSON, id="half"),
    pytest.param(b"[" * 100_000, Refusal.NOT_JSON, id="deep"),
    pytest.param(b'{"a":' * 50_000, Refusal.NOT_JSON, id="deep objects"),
    pytest.param(b"[]", Refusal.NO_READINGS, id="bare list"),
    pytest.param(b"7", Refusal.NOT_A_MESSAGE, id="bare number"),
    pytest.param(b'{"readings": {}}', Refusal.READINGS_NOT_A_LIST, id="readings an object"),
    pytest.param(b'{"readings": []}', Refusal.NO_READINGS, id="empty list"),
    pytest.param(b'{"value": []}', Refusal.NO_READINGS, id="empty columns"),
    pytest.param(b"{}", Refusal.NO_READINGS, id="empty object"),
    pytest.param(b'{"message_id": "m"}', Refusal.NO_READINGS, id="only an id"),
    pytest.param(b'{"at": [1], "value": [1, 2]}', Refusal.COLUMNS_DIFFER, id="columns differ"),
    pytest.param(
        b'{"readings": [%s]}' % b",".join([b"1"] * (MAX_READINGS + 1)),
        Refusal.TOO_MANY,
        id="too many rows",
    ),
    pytest.param(
        b'{"value": [%s]}' % b",".join([b"1"] * (MAX_READINGS + 1)),
        Refusal.TOO_MANY,
        id="too long columns",
    ),
]


@pytest.mark.parametrize(("payload", "reason"), UNREADABLE)
def test_what_cannot_be_counted_is_unreadable(payload: bytes, reason: Refusal) -> None:
    """Kept to a limit, with the whole length and hash."""
    taken = take(payload)
    assert isinstance(taken, Unreadable)
    assert taken.reason == reason
    assert taken.payload == payload[:PAYLOAD_KEPT]
    assert (taken.length, taken.sha256) == (len(payload), sha256(payload).hexdigest())


def test_every_refusal_is_tried_above() -> None:
    """A reason that no test reaches may be one that no input reaches."""
    tried = {param.values[1] for param in (*REFUSED_ALONE, *REFUSED_WHOLE, *UNREADABLE)}
    elsewhere = {Refusal.NOT_AN_OBJECT, Refusal.VALUE_MISSING, Refusal.NO_UNIT_IN_TOPIC}
    elsewhere |= {Refusal.NEWER_SENML, Refusal.NOT_SPARKPLUG}  # test_foreign.py
    assert tried | elsewhere == set(Refusal)


def test_a_full_message_is_taken() -> None:
    """Ten thousand readings are the limit, and within it."""
    taken = section({**GOOD, "at": [AT_MS + i for i in range(MAX_READINGS)]})
    assert len(taken) == MAX_READINGS
    assert np.array_equal(np.diff(taken.at), np.ones(MAX_READINGS - 1))


def test_more_units_of_measure_than_a_section_holds() -> None:
    """The rest is refused, reading by reading."""
    units = [f"u{i}" for i in range(300)]
    taken = section({**GOOD, "unit": units, "at": AT_MS})
    assert set(reasons(taken)) == {Refusal.BAD_UNIT}
    assert len(taken) + len(taken.refused) == 300
    encode(Record("door", 1, 0, (taken,)))


def test_the_last_of_two_equal_keys_holds() -> None:
    """JSON leaves it open; both parsers do the same."""
    told = b'{"value": 1, "value": %s, "point": "E1", "at": 5, "statement": "PT1H", "unit": "t"}'
    assert section(told % b"2").value.tolist() == [2_000_000]
    assert section(told % b"2.0000000000000000000").value.tolist() == [2_000_000]


def test_rounding_is_flagged() -> None:
    """Half even, once; also where a float could not tell."""
    told = b'{"point": "E1", "at": 5, "statement": "register", "unit": "t", "value": [%s]}'
    values = b"0.0000005, 0.0000015, 1.00000000000000000001, 1.000000"
    taken = section(told % values)
    assert taken.value.tolist() == [0, 2, 1_000_000, 1_000_000]
    assert spread(taken.flags, 4).tolist() == [ROUNDED, ROUNDED, ROUNDED, 0]


def test_the_door_fills_in_what_it_knows() -> None:
    """Its defaults stand behind what the message says."""
    payload = json.dumps({"value": [1, 2], "at": AT_MS, "unit": [None, "t"]}).encode()
    defaults = Defaults(point="E9", statement="PT1H", unit="kWh", rank="manual")
    taken = decode(payload, unit=UNIT, received_at=0, defaults=defaults)
    assert isinstance(taken, Section)
    assert [row[0] for row in rows(taken)] == ["E9", "E9"]
    assert [row[4] for row in rows(taken)] == ["kWh", "t"]
    assert [row[5] for row in rows(taken)] == [RANKS["manual"]] * 2


def test_the_original_is_as_it_was_sent() -> None:
    """Every digit of a number, and the fields of one reading of the columns."""
    told = b'{"statement": "PT5M", "point": ["E1"], "at": 5, "unit": "t", "value": [%s]}'
    taken = section(told % b"0.12345678901234567890")
    assert json.loads(taken.refused[0].original) == {
        "statement": "PT5M",
        "point": "E1",
        "at": 5,
        "unit": "t",
        "value": 0.12345678901234567890,
    }
    assert "0.12345678901234567890" in taken.refused[0].original


def test_the_published_examples_are_taken() -> None:
    """The JSON Schema's examples are messages."""
    definitions = json_schema()["$defs"]
    assert isinstance(definitions, dict)
    examples = [e for model in definitions.values() for e in model.get("examples", [])]
    assert len(examples) == 4
    for example in examples:
        assert not section(example).refused
