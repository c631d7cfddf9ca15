"""What others' encoders wrote is taken as they meant it: each golden file was made by a foreign program.

tests/ingest/golden: `sparkplug.bin` by `node make_sparkplug.js` (npm sparkplug-payload 1.0.3), `senml.json` by
`python make_senml.py` (PyPI senml 0.1.0), `telegraf.jsonl` and `telegraf_batch.json` by `telegraf --config telegraf.conf --once`
(github.com/influxdata/telegraf 1.37.2) from `telegraf.influx`.
"""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.columns import spread
from ingest.mqtt_gateway import NO_UNIT, form_of, unit_of
from ingest.payload import Form, decode
from schemas.reading import Refusal
from schemas.registry import STATEMENTS
from schemas.scale import as_text
from schemas.section import Section, Unreadable

GOLDEN = Path(__file__).parent / "golden"
UNIT = "91510100SYN0000001"
AT = 1_795_399_200_000
QUARTER, HOUR, DAY = 900_000, 3_600_000, 86_400_000

Row = tuple[str, str, int, str | None, str]


def taken(payload: bytes, form: Form = "json") -> Section:
    section = decode(payload, unit=UNIT, received_at=AT, form=form)
    assert isinstance(section, Section), section
    return section


def rows(section: Section) -> list[Row]:
    size = len(section)
    return [
        (
            section.names[point],
            STATEMENTS[statement],
            at,
            as_text(value),
            section.units_of_measure[unit],
        )
        for point, statement, at, value, unit in zip(
            spread(section.point, size).tolist(),
            spread(section.statement, size).tolist(),
            section.at.tolist(),
            section.value.tolist(),
            spread(section.unit_of_measure, size).tolist(),
            strict=True,
        )
    ]


def refused(section: Section) -> list[tuple[int, str]]:
    return [(item.position, item.reason) for item in section.refused]


def test_sparkplug() -> None:
    """Doubles, floats as they were meant, signed integers, what an alias alone names and what is null."""
    section = taken((GOLDEN / "sparkplug.bin").read_bytes(), "sparkplug")
    assert rows(section) == [
        ("E1", "register", AT, "1234.5", "kWh"),
        ("hall.E2", "PT15M", AT - QUARTER, "12.3", "kWh"),
        ("G1", "PT1H", AT - HOUR, "-4", "m3"),
        ("C1", "P1D", AT - DAY, "18", "t"),
    ]
    assert refused(section) == [(4, Refusal.NOT_A_NUMBER), (5, Refusal.POINT_MISSING)]


def test_senml() -> None:
    """Base name, time and unit; a sum of watts is energy."""
    section = taken((GOLDEN / "senml.json").read_bytes())
    assert rows(section) == [
        ("hall.E1", "register", AT, "1234.5", "kWh"),
        ("hall.E2", "PT15M", AT - QUARTER, "12.25", "kWh"),
        ("hall.G1", "PT1H", AT - HOUR, "17", "m3"),
        ("hall.P1", "register", AT, "2", "kWh"),
    ]
    assert refused(section) == []


@pytest.mark.parametrize("name", ["telegraf.jsonl", "telegraf_batch.json"])
def test_telegraf(name: str) -> None:
    """One metric a message, or many: fields are readings, tags say what they are."""
    lines = (GOLDEN / name).read_bytes().splitlines()
    sections = [taken(line) for line in lines]
    assert [row for section in sections for row in rows(section)] == [
        ("E1", "register", AT, "1234.5", "kWh"),
        ("E2", "PT15M", AT - QUARTER, "12.25", "kWh"),
        ("boiler.gas", "register", AT, "17", "m3"),
    ]
    reasons = [item.reason for section in sections for item in section.refused]
    assert reasons == [Refusal.NOT_A_NUMBER]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        pytest.param({"n": "E1", "v": 1, "u": "kWh"}, Refusal.BAD_TIME, id="now is no instant"),
        pytest.param({"n": "E1", "v": 1, "u": "kWh", "t": -5}, Refusal.BAD_TIME, id="relative"),
        pytest.param(
            {"n": "E1", "vs": "1", "u": "kWh", "t": 1.8e9}, Refusal.NOT_A_NUMBER, id="text"
        ),
        pytest.param({"n": "E1", "s": 1, "u": "kWh", "t": 1.8e9}, Refusal.NOT_A_NUMBER, id="kWh s"),
        pytest.param({"n": "E1", "v": 1, "t": 1.8e9}, Refusal.UNIT_MISSING, id="no unit"),
        pytest.param({"n": "E 1", "v": 1, "u": "kWh", "t": 1.8e9}, Refusal.BAD_POINT, id="name"),
        pytest.param({"n": "E1", "v": 1, "t": 1.8e9, "x_": 1}, Refusal.UNKNOWN_FIELD, id="must"),
        pytest.param(7, Refusal.NOT_AN_OBJECT, id="no record"),
    ],
)
def test_senml_that_cannot_be_used_is_refused_by_name(record: object, reason: Refusal) -> None:
    """Each alone: the record beside it is taken."""
    good = {"n": "E2", "v": 1, "u": "kWh", "t": 1.8e9}
    section = taken(json.dumps([good, record]).encode())
    assert (len(section), refused(section)) == (1, [(1, reason)])


def test_what_nobody_can_read_is_kept_as_such() -> None:
    """Newer SenML, bytes that are no protobuf, payloads without a reading."""
    for payload, form, reason in (
        (b'[{"bver": 11, "n": "E1", "v": 1}]', "json", Refusal.NEWER_SENML),
        (b"\xff\xff", "sparkplug", Refusal.NOT_SPARKPLUG),
        (b"", "sparkplug", Refusal.NO_READINGS),
        (b"[]", "json", Refusal.NO_READINGS),
        (b'{"metrics": 7}', "json", Refusal.READINGS_NOT_A_LIST),
    ):
        part = decode(payload, unit=UNIT, received_at=AT, form=form)
        assert isinstance(part, Unreadable)
        assert part.reason == reason


@pytest.mark.parametrize(
    ("told", "at"), [(AT // 1000, AT), (AT, AT), (AT * 1000, AT), (AT * 10**6 + 7, AT)]
)
def test_telegrafs_units_of_time_tell_themselves(told: int, at: int) -> None:
    """json_timestamp_units of 1s, 1ms, 1us, 1ns."""
    metric = {"name": "E1", "fields": {"value": 1}, "tags": {"unit": "kWh"}, "timestamp": told}
    assert [row[2] for row in rows(taken(json.dumps(metric).encode()))] == [at]


@pytest.mark.parametrize(
    ("topic", "unit", "form"),
    [
        (f"energy/v1/{UNIT}/readings", UNIT, "json"),
        (f"spBv1.0/{UNIT}/DDATA/node/device", UNIT, "sparkplug"),
        (f"spBv1.0/{UNIT}/NDATA/node", UNIT, "sparkplug"),
        ("spBv1.0/plant/NDATA/node", NO_UNIT, "sparkplug"),
        (f"spBv1.0/{UNIT}", NO_UNIT, "sparkplug"),
    ],
)
def test_identity_is_the_topics(topic: str, unit: str, form: Form) -> None:
    """Sparkplug's group is the unit."""
    assert (unit_of(topic), form_of(topic)) == (unit, form)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "n",
                    "bn",
                    "v",
                    "t",
                    "bt",
                    "u",
                    "s",
                    "fields",
                    "metrics",
                    "tags",
                    "name",
                    "timestamp",
                    "bver",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(json_values)
def test_nothing_that_is_json_raises(told: object) -> None:
    """Every payload is a section or unreadable, whatever shape it has."""
    decode(json.dumps(told).encode(), unit=UNIT, received_at=AT)


@pytest.mark.parametrize(
    "number", ["1e999999", "-1e999999", "1e-999999", "9" * 400, "Infinity", "-Infinity", "NaN"]
)
@pytest.mark.parametrize(
    "message",
    [
        '[{{"n": "E1", "u": "kWh", "v": {0}, "t": 1.8e9}}]',
        '[{{"n": "E1", "u": "kWh", "v": {0}, "bv": -{1}, "t": 1.8e9}}]',
        '[{{"n": "E1", "u": "kWh", "v": {0}, "bv": {0}, "t": 1.8e9}}]',
        '[{{"n": "E1", "u": "kWh", "v": 1, "t": {0}}}]',
        '[{{"n": "E1", "u": "kWh", "v": 1, "bt": {0}, "t": {0}}}]',
        '[{{"n": "E1", "u": "W", "s": {0}, "t": 1.8e9}}]',
        '[{{"n": "E1", "u": "kWh", "v": 1, "t": 1.8e9, "bver": {0}}}]',
        '{{"name": "E1", "tags": {{"unit": "kWh"}}, "fields": {{"value": {0}}}, "timestamp": 1800000000}}',
        '{{"name": "E1", "tags": {{"unit": "kWh"}}, "fields": {{"value": 1}}, "timestamp": {0}}}',
    ],
)
def test_numbers_beyond_all_bounds_cost_their_reading_alone(message: str, number: str) -> None:
    """By both parsers: a long number elsewhere makes the exact one read it."""
    text = message.format(number, number.removeprefix("-"))
    for payload in (text, text.replace('"E1"', '"E1", "x": 12345678901234567890')):
        decode(payload.encode(), unit=UNIT, received_at=AT)


def test_more_metrics_than_a_message_may_have_make_it_unreadable() -> None:
    """However short each is."""
    part = decode(b"\x12\x00" * 400_000, unit=UNIT, received_at=AT, form="sparkplug")
    assert isinstance(part, Unreadable)
    assert part.reason == Refusal.TOO_MANY


@given(st.binary(max_size=200), st.integers(0, 280))
def test_no_bytes_raise(noise: bytes, place: int) -> None:
    """Nor do Sparkplug's, broken anywhere."""
    good = (GOLDEN / "sparkplug.bin").read_bytes()
    decode(good[:place] + noise + good[place:], unit=UNIT, received_at=AT, form="sparkplug")
