"""What the MQTT door does with a message, without a broker: its unit, its size, its way back."""

import json
import threading
from collections import Counter

import numpy as np
import pytest

from ingest.columns import spread
from ingest.mqtt_gateway import NO_UNIT, Room, part_of, unit_of
from ingest.mqtt_publisher import (
    MOST_READINGS,
    Outgoing,
    Sent,
    messages_of_lines,
    messages_of_record,
)
from ingest.payload import decode
from ingest.simulator import Faults, scenario
from schemas.reading import MAX_READINGS, Refusal
from schemas.registry import Configuration
from schemas.section import Record, Section, Unreadable
from schemas.wire import encode, to_line

UNIT = "91510100SYN0000001"
START = 1_767_196_800_000


@pytest.mark.parametrize(
    ("topic", "unit"),
    [
        (f"energy/v1/{UNIT}/readings", UNIT),
        ("energy/v1/short/readings", NO_UNIT),
        (f"energy/v1/{UNIT.lower()}/readings", NO_UNIT),
        (f"energy/v1/{UNIT}0/readings", NO_UNIT),
        (f"energy/v1/{UNIT}/readings/more", NO_UNIT),
        ("", NO_UNIT),
    ],
)
def test_identity_is_the_topics_unit(topic: str, unit: str) -> None:
    """A code and nothing else is one; what stands for none is never one."""
    assert unit_of(topic) == unit


def test_without_a_unit_a_message_is_kept_by_its_bytes() -> None:
    """Its topic stands in the reason, and the layout carries it."""
    topic = "energy/v1/厂\n/readings"
    part = part_of(topic, b"{}", received_at=5)
    assert isinstance(part, Unreadable)
    assert (part.unit, part.payload) == (NO_UNIT, b"{}")
    assert part.reason == "no unit in the topic: 'energy/v1/\\u5382\\n/readings'"
    encode(Record("door", 1, 0, (part,)))


def test_what_no_record_can_hold_is_kept_as_too_large() -> None:
    """One MiB of readings, each refused and each with a long original, would be twenty."""
    told = {"at": "?" * 1_900, "value": [1] * MAX_READINGS}
    part = part_of(f"energy/v1/{UNIT}/readings", json.dumps(told).encode(), received_at=5)
    assert isinstance(part, Unreadable)
    assert part.reason == Refusal.TOO_LARGE
    whole = {"at": "?" * 1_900, "value": [1] * 400}
    kept = part_of(f"energy/v1/{UNIT}/readings", json.dumps(whole).encode(), received_at=5)
    assert isinstance(kept, Section)
    assert len(kept.refused) == 400


def test_room_is_for_so_many_messages_and_bytes() -> None:
    """Whoever comes beyond waits; one alone may be as large as it likes; closed lets nobody in."""
    room = Room(2, 100)
    assert room.enter(1_000)
    waiting = threading.Thread(target=room.enter, args=(1,), daemon=True)
    waiting.start()
    waiting.join(0.05)
    assert (waiting.is_alive(), room.messages) == (True, 1)
    room.leave(1, 1_000)
    waiting.join(5)
    assert (room.messages, room.octets) == (1, 1)
    assert not room.wait_empty(0.01)
    room.close()
    assert not room.enter(1)
    room.leave(1, 1)
    assert room.wait_empty(0)


def readings(section: Section) -> list[tuple[object, ...]]:
    """Reading by reading, by the texts behind the indexes."""
    size = len(section)
    return list(
        zip(
            [section.names[i] for i in spread(section.point, size)],
            section.at.tolist(),
            section.value.tolist(),
            spread(section.statement, size).tolist(),
            [section.units_of_measure[i] for i in spread(section.unit_of_measure, size)],
            spread(section.rank, size).tolist(),
            spread(section.revision, size).tolist(),
            spread(section.sent_at, size).tolist(),
            (spread(section.flags, size) & 1).tolist(),
            strict=True,
        )
    )


def arrived(message: Outgoing) -> Section | Unreadable:
    """A message at the door."""
    topic = f"energy/v1/{message.unit}/readings"
    return part_of(topic, message.payload, received_at=START)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_section_sent_arrives_as_it_was(seed: int) -> None:
    """Every reading to the last digit, with its ticks; every refused one is refused again, whole."""
    faults = Faults.every(0.02)
    for item in scenario(seed, START, 24, units=3, faults=faults, partitions=4, tick_ms=3_600_000):
        if isinstance(item, Configuration) or not isinstance(item[1].body, tuple):
            continue
        for part in item[1].body:
            back = [arrived(message) for message in messages_of_record(item[0], record_of(part))]
            if isinstance(part, Unreadable):
                (only,) = back
                assert isinstance(only, Unreadable)
                assert only.payload == part.payload
                continue
            sections = [one for one in back if isinstance(one, Section)]
            assert [r for one in sections for r in readings(one)] == readings(part)
            assert [tick for one in sections for tick in one.ticks] == list(part.ticks)
            originals = [
                json.loads(i.original)["original"] for one in sections for i in one.refused
            ]
            assert originals == [item.original for item in part.refused]


def record_of(part: Section | Unreadable) -> Record:
    return Record("import", 1, 0, (part,))


def test_a_long_section_goes_in_pieces_with_their_ticks() -> None:
    """Each tick with the piece whose readings it stands after."""
    size = 2 * MOST_READINGS + 1
    ticks = [[0, 5], [1, 6], [MOST_READINGS, 7], [MOST_READINGS + 1, 8], [size, 9]]
    told = {
        "point": "E1",
        "at": list(range(size)),
        "value": 1,
        "unit": "kWh",
        "statement": "register",
        "ticks": ticks,
    }
    whole = decode(json.dumps(told).encode(), unit=UNIT, received_at=START)
    assert isinstance(whole, Section)
    messages = list(messages_of_record(0, record_of(whole)))
    pieces = [arrived(message) for message in messages]
    assert [len(piece) for piece in pieces if isinstance(piece, Section)] == [2_000, 2_000, 1]
    assert [piece.ticks for piece in pieces if isinstance(piece, Section)] == [
        ((0, 5), (1, 6), (MOST_READINGS, 7)),
        ((1, 8),),
        ((1, 9),),
    ]
    assert [message.ticked for message in messages] == [True, True, True]
    assert len({message.key for message in messages}) == 3


def test_lines_of_both_kinds_are_sent() -> None:
    """People's messages as they stand, the pipe's sections as messages; control records are not."""
    mine = '{"message_id": 7, "point": "E1", "at": 5, "value": 1, "unit": "t", "statement": "P1D"}'
    part = decode(mine.encode(), unit=UNIT, received_at=START)
    lines = [mine, "", "nonsense", to_line(record_of(part), 3)]
    world = scenario(1, START, 1, units=1, faults=Faults.every(0), partitions=4)
    controls = [to_line(item[1], item[0]) for item in world if not isinstance(item, Configuration)]
    lines += [line for line in controls if '"apply_configuration"' in line]
    sent = Sent()
    messages = list(messages_of_lines(lines, unit=UNIT, sent=sent))
    assert [message.key for message in messages[:1]] == ["7"]
    assert [message.payload for message in messages[:2]] == [mine.encode(), b"nonsense"]
    again = arrived(messages[2])
    assert isinstance(again, Section)
    assert isinstance(part, Section)
    assert readings(again) == readings(part)
    assert Counter(message.unit for message in messages) == {UNIT: 3}
    assert sent.skipped == 4


def test_a_value_keeps_every_digit_on_its_way() -> None:
    """Written as text, since a float would lose some."""
    told = {
        "point": "E1",
        "at": 5,
        "unit": "t",
        "statement": "P1D",
        "value": "4611686018427.387904",
    }
    part = decode(json.dumps(told).encode(), unit=UNIT, received_at=START)
    (message,) = messages_of_record(0, record_of(part))
    back = arrived(message)
    assert isinstance(back, Section)
    assert np.array_equal(back.value, [2**62])
