"""What units hear of what was refused: a function of the log, whole in its counts, bounded in its length."""

import random
from dataclasses import replace

import numpy as np
import pytest

from processors import validation
from processors.feedback import Gathering, of_dead_letter
from processors.ports import FeedbackRow
from schemas import feedback
from schemas.feedback import DO, NOT_DIGESTED, SHOWN, UNKNOWN_UNIT
from schemas.reading import Refusal
from schemas.section import Body, Record, Refused, Section, Unreadable, partition_of
from tests.processors.laws_shell import Shell
from tests.processors.worlds import (
    BEGIN,
    DAY_MS,
    HOUR_MS,
    PARTITIONS,
    ApplyConfiguration,
    Entry,
    Packing,
    Said,
    World,
    configuration,
    point,
    unit,
)

UNIT = unit(point(statement="PT1H", digits=None))
STRANGER = "91510100STRANGER00"
OWN = partition_of(UNIT.code, PARTITIONS)
KWH = 10**6


def hour(number: int, value: int = 50, **told: object) -> Said:
    at = BEGIN + number * HOUR_MS
    return replace(Said(UNIT.code, "P0", "PT1H", at, value * KWH, rank=3), **told)  # type: ignore[arg-type]


def section(*said: Said, code: str = UNIT.code, **told: object) -> Section:
    made = Packing(random.Random(1), {}, BEGIN).section(code, list(said), BEGIN + 9 * DAY_MS, ())
    usual: dict[str, object] = {"refused": (), "messages": ("m-1",), "message": 0}
    return replace(made, **usual | told)  # type: ignore[arg-type]


def world(*bodies: Body, partition: int = OWN) -> World:
    log: list[Entry] = [(OWN, 0, Record("door", 1, 0, ApplyConfiguration(1)))]
    for body in bodies:
        offset = sum(earlier == partition for earlier, _, _ in log)
        log.append((partition, offset, Record("door", 1, offset, body)))
    return World({1: configuration(1, [UNIT])}, tuple(log))


def heard(log: World) -> list[feedback.Refused]:
    """What is told, the same however the records fall into steps."""
    together, alone = Shell(log).run().store.feedback, Shell(log).run_one_by_one().store.feedback
    assert together == alone
    return [feedback.Refused.model_validate_json(row.payload) for row in together]


def test_each_reason_says_what_to_do() -> None:
    """The reasons of the door and of the engine are a closed set, each with its advice."""
    known = {*Refusal, *validation.REASONS[1:], UNKNOWN_UNIT, NOT_DIGESTED}
    assert known == DO.keys()
    assert all(len(advice) < 120 for advice in DO.values())


def test_nothing_refused_is_nothing_said() -> None:
    """A step of good readings makes no row."""
    assert heard(world((section(hour(0), hour(1)),))) == []


def test_a_refused_reading_is_named_by_its_place_in_what_was_sent() -> None:
    """The second of four was refused at the door: the engine's third is the fourth."""
    bad = Refused(1, "bad time", '{"at": "?"}', "m-1")
    (told,) = heard(world((section(hour(0), hour(1), hour(2, -3), refused=(bad,)),)))
    assert (told.unit, told.refused) == (UNIT.code, 2)
    assert told.reasons == {"bad time": 1, "negative": 1}
    assert told.do.keys() == told.reasons.keys()
    assert [(item.message, item.index, item.reason) for item in told.items] == [
        ("m-1", 1, "bad time"),
        ("m-1", 3, "negative"),
    ]
    assert told.items[0].original == '{"at": "?"}'
    item = told.items[1]
    assert (item.point, item.statement, item.value, item.unit) == ("P0", "PT1H", "-3", "kWh")


def test_without_a_message_id_the_point_and_instant_tell_it() -> None:
    """Readings of many messages without an id may lie in one section: their places are not known."""
    (told,) = heard(world((section(hour(2, -3), messages=("",)),)))
    assert [(item.message, item.index, item.point) for item in told.items] == [("", None, "P0")]


def test_all_refused_is_all_counted_and_the_first_named() -> None:
    """A record of a thousand refused readings makes one short message."""
    many = tuple(Refused(place, "bad time", "{" * 2_000, "m-1") for place in range(1_000))
    log = world((section(*(hour(n, -1) for n in range(100)), refused=many),))
    (told,) = heard(log)
    assert (told.refused, told.reasons) == (1_100, {"bad time": 1_000, "negative": 100})
    assert len(told.items) == SHOWN
    (row,) = Shell(log).run().store.feedback
    assert len(row.payload) < 10_000


def test_an_unreadable_message_is_named_by_its_hash() -> None:
    """Its sender knows the bytes."""
    part = Unreadable(UNIT.code, BEGIN, "not JSON", b"\xff{", 2, "ab" * 32)
    (told,) = heard(world((part,)))
    assert told.refused == 1
    assert told.items == [
        feedback.Item(reason="not JSON", message="ab" * 32, original="\\xff{"),
    ]


def test_an_unknown_unit_hears_that_it_is_not_registered() -> None:
    """And a topic without a unit is nobody's."""
    nobody = Unreadable("?" * 18, BEGIN, "no unit in the topic", b"", 0, "")
    foreign = section(hour(0), hour(1), code=STRANGER)
    (told,) = heard(world((foreign, nobody)))
    assert (told.unit, told.reasons) == (STRANGER, {UNKNOWN_UNIT: 2})


def test_units_of_one_record_each_hear_their_own() -> None:
    """One row a unit, numbered within the record, its id the record's place in the log."""
    rows = (
        Shell(world((section(hour(0, -1)), section(hour(0), code=STRANGER)))).run().store.feedback
    )
    assert sorted((row.number, row.unit) for row in rows) == [(0, STRANGER), (1, UNIT.code)]
    ids = {feedback.Refused.model_validate_json(row.payload).id for row in rows}
    assert ids == {f"1-{OWN}-1"}


def test_a_record_that_cannot_be_digested_is_told_as_ours() -> None:
    """Everything in it counts as rejected, so everything is told."""
    (row,) = of_dead_letter((3, 7), Record("door", 1, 7, (section(hour(0), hour(1)),)), 2)
    assert isinstance(row, FeedbackRow)
    told = feedback.Refused.model_validate_json(row.payload)
    assert (told.id, told.reasons) == ("2-3-7", {NOT_DIGESTED: 2})


@pytest.mark.parametrize("count", [1, SHOWN - 1, SHOWN, SHOWN + 1])
def test_reasons_of_what_is_named_are_its_own(count: int) -> None:
    """Refused readings lie between others: each item has the reason of its reading."""
    gathering = Gathering()
    readings = section(*(hour(n) for n in range(3 * count)))
    code = [0, 1 + validation.UNKNOWN_POINT, validation.TOO_OLD] * count
    gathering.rejected([(0, 5, readings)], np.array(code), but=())
    (row,) = gathering.rows(1)
    told = feedback.Refused.model_validate_json(row.payload)
    assert told.refused == 2 * count
    for item in told.items:
        assert item.index is not None
        assert item.reason == validation.REASONS[code[item.index]]
