"""One seed is one stream, and whatever can go wrong does."""

import hashlib
from collections import Counter
from dataclasses import fields
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from ingest.columns import spread
from ingest.simulator import Faults, configuration_of, load_at, scenario, silenced, stream
from ingest.world import default_world, plant_of
from oracle import judge_log
from schemas.calendar import HOUR_MS, QUARTER_MS
from schemas.factors import default_pack
from schemas.registry import LENGTH_MS, STATEMENTS, Configuration, Point
from schemas.section import (
    RANKS,
    WITHDRAWN,
    ApplyConfiguration,
    Record,
    Section,
    Tick,
    partition_of,
)
from schemas.wire import configuration_line, from_line, to_line

START = 1_767_196_800_000
"""2026-01-01T00:00+08:00."""
HOURS = 48


@cache
def items(
    seed: int = 7, *, hours: int = HOURS, faults: Faults | None = None, live: bool = False
) -> list[tuple[int, Record] | Configuration]:
    return list(scenario(seed, START, hours, faults=faults, live=live))


def lines(told: list[tuple[int, Record] | Configuration]) -> list[str]:
    return [
        configuration_line(item) if isinstance(item, Configuration) else to_line(item[1], item[0])
        for item in told
    ]


def sections(told: list[tuple[int, Record] | Configuration]) -> list[tuple[int, Section]]:
    return [
        (item[0], part)
        for item in told
        if not isinstance(item, Configuration) and isinstance(item[1].body, tuple)
        for part in item[1].body
        if isinstance(part, Section)
    ]


def readings(told: list[tuple[int, Record] | Configuration]) -> list[dict[str, object]]:
    """Every reading of the stream, in its order, as names and integers."""
    found = []
    for _, part in sections(told):
        size = len(part)
        columns = {
            name: spread(getattr(part, name), size).tolist()
            for name in ("point", "statement", "unit_of_measure", "rank", "revision", "sent_at")
        }
        columns |= {"flags": spread(part.flags, size).tolist()}
        for i in range(size):
            row = {name: column[i] for name, column in columns.items()}
            row["point"] = part.names[row["point"]]
            row["unit_of_measure"] = part.units_of_measure[row["unit_of_measure"]]
            row |= {"unit": part.unit, "received_at": part.received_at}
            found.append(row | {"at": int(part.at[i]), "value": int(part.value[i])})
    return found


def points(told: list[tuple[int, Record] | Configuration]) -> dict[tuple[str, str], Point]:
    (configuration,) = [item for item in told if isinstance(item, Configuration)]
    return {(u.code, p.name): p for u in configuration.registry.units for p in u.points}


def test_one_seed_is_one_stream() -> None:
    """To the last byte; another seed is another."""
    assert lines(items(7)) == lines(items(7))
    assert lines(items(7)) != lines(items(8))


def test_the_stream_of_seed_7() -> None:
    """On every machine and Python. A change here changes every snapshot behind the pipe."""
    records = "\n".join(lines(items()[1:]))
    assert hashlib.sha256(records.encode()).hexdigest() == (
        "4e1a8870843e8e77062a84d8b392e7f35d21896ebb04054d1440d7010552046f"
    )


def test_the_lines_are_the_pipes() -> None:
    """Each can be read back, and says the same."""
    for line in lines(items()):
        told = from_line(line)
        again = (
            configuration_line(told)
            if isinstance(told, Configuration)
            else to_line(told[1], told[0])
        )
        assert again == line


def test_a_further_unit_changes_no_other() -> None:
    """Each meter draws for itself."""
    few, many = (
        [part for _, part in sections(list(scenario(7, START, 6, units=units)))] for units in (4, 9)
    )
    kept = [part for part in many if part.unit in {part.unit for part in few}]
    one, other = ([to_line(Record("", 0, 0, (part,)), 0) for part in told] for told in (few, kept))
    assert sorted(one) == sorted(other)


def test_it_begins_with_the_configuration() -> None:
    """Then each partition applies it, then come sections of the units that it owns."""
    told = items()
    assert isinstance(told[0], Configuration)
    assert told[0].hash == told[0].content_hash()
    applied = [item for item in told[1:9] if not isinstance(item, Configuration)]
    assert [(p, r.body) for p, r in applied] == [(p, ApplyConfiguration(1)) for p in range(8)]
    assert all(partition == partition_of(part.unit, 8) for partition, part in sections(told))


@pytest.mark.parametrize("live", [False, True])
def test_doors_number_without_a_hole(live: bool) -> None:  # noqa: FBT001 - both kinds of world
    """Each door and partition from 0."""
    numbers: dict[tuple[int, str], int] = {}
    for item in items(hours=2, live=live):
        if isinstance(item, Configuration):
            continue
        partition, record = item
        expected = numbers.get((partition, record.door), 0)
        assert record.sequence == expected
        numbers[partition, record.door] = expected + 1


def test_ticks_of_history_ride_after_their_readings() -> None:
    """One each quarter hour and unit, after all its section's readings; none of them is newer."""
    for unit in {part.unit for _, part in sections(items())}:
        own = [part for _, part in sections(items()) if part.unit == unit]
        ticks = [(position, at, len(part)) for part in own for position, at in part.ticks]
        assert [at for _, at, _ in ticks] == [
            START + QUARTER_MS * i for i in range(1, HOURS * 4 + 1)
        ]
        assert all(position == size for position, _, size in ticks)
        assert all(at < part.received_at < at + 5_000 for part in own for _, at in part.ticks)


def test_ticks_by_the_hour() -> None:
    """Asked for, they come on the hour only; sections between have none."""
    told = list(scenario(7, START, 5, tick_ms=HOUR_MS))
    ticks = Counter(at for _, part in sections(told) for _, at in part.ticks)
    assert ticks == {START + HOUR_MS * i: 4 for i in range(1, 6)}


def test_live_units_have_the_partitions_ticks() -> None:
    """Each minute one in every partition, from the clock's door, and none in a section."""
    told = items(hours=2, live=True)
    assert all(not part.ticks for _, part in sections(told))
    ticks = [item for item in told if not isinstance(item, Configuration)]
    found = Counter(record.body.at for _, record in ticks if isinstance(record.body, Tick))
    assert found == {START + 60_000 * i: 8 for i in range(1, 121)}
    assert isinstance(told[0], Configuration)
    assert not any(unit.history for unit in told[0].registry.units)


@pytest.mark.parametrize("seed", [7, 1])
def test_the_default_world_has_one_of_each(seed: int) -> None:
    """A confirmed breach, a suspected one, one that cannot be judged, and one that is well.

    As the oracle judges them at the end of the 48 hours.
    """
    told = items(seed)
    offsets: Counter[int] = Counter()
    log = []
    for partition, record in (item for item in told if not isinstance(item, Configuration)):
        log.append((partition, offsets[partition], record))
        offsets[partition] += 1
    (first,) = [item for item in told if isinstance(item, Configuration)]
    outcome = judge_log(log, {first.version: first}, default_pack(), partitions=8)
    ends = [i for i, tick in enumerate(outcome.ticks) if tick.at == START + HOURS * HOUR_MS]
    judged = {unit: one for i in ends for unit, one in outcome.at_tick(i).items()}
    assert [(judged[unit].verdict, judged[unit].suspected) for unit in sorted(judged)] == [
        ("FAIL", False),
        ("UNDECIDABLE", True),
        ("UNDECIDABLE", False),
        ("PASS", False),
    ]


def test_without_faults_all_is_well() -> None:
    """Registers only grow (but for rollovers), periods keep to the rated maximum and the grid."""
    told = items(faults=Faults())
    known = points(told)
    last: dict[tuple[str, str], tuple[int, int]] = {}
    rollovers: Counter[str] = Counter()
    for row in readings(told):
        point = known[row["unit"], row["point"]]  # type: ignore[index]
        at, value = row["at"], row["value"]
        assert isinstance(at, int)
        assert isinstance(value, int)
        assert row["unit_of_measure"] == point.unit_of_measure
        assert (row["rank"], row["revision"], row["flags"]) == (RANKS["measured"], 0, 0)
        statement = STATEMENTS[row["statement"]]  # type: ignore[call-overload]
        if statement == "register":
            modulus = 10 ** (point.digits or 0) * 1_000_000
            key = (str(row["unit"]), point.name)
            if key in last:
                before, earlier = last[key]
                passed = (value - earlier) % modulus * point.multiplier
                assert 0 < passed <= point.rated * (at - before) // HOUR_MS
                rollovers[point.name] += value < earlier
            last[key] = (at, value)
            assert 0 <= value < modulus
        else:
            length = LENGTH_MS[statement]
            assert 0 < value <= point.rated * length // HOUR_MS
            assert (at - point.anchor_of(statement)) % length == 0
    assert rollovers["E1"] >= 1
    assert rollovers["E2"] >= 5


def test_cadences_off_the_grid_and_of_many_lengths() -> None:
    """Registers of 7 minutes, and periods of a quarter, half and whole hour and of a day."""
    told = items(faults=Faults())
    kinds = Counter(STATEMENTS[row["statement"]] for row in readings(told))  # type: ignore[call-overload]
    assert {"register", "PT15M", "PT30M", "PT1H", "P1D"} <= set(kinds)
    sevens = [row["at"] for row in readings(told) if row["point"] == "E3" and row["statement"] == 0]
    assert {int(b) - int(a) for a, b in pairwise(sevens)} == {420_000}  # type: ignore[call-overload]


FAULTS = [field.name for field in fields(Faults)]


@pytest.mark.parametrize("fault", FAULTS)
def test_every_misbehaviour_occurs(fault: str) -> None:
    """Asked for alone, it shows."""
    assert fault in faults_in(items(hours=24, faults=Faults(**{fault: 0.05})))


def test_all_misbehaviours_occur_together() -> None:
    """Within the pipe's own 48 hours; and none unless it is asked for."""
    assert faults_in(items(faults=Faults.every(0.02))) == set(FAULTS)
    assert not faults_in(items(faults=Faults()))


def faults_in(told: list[tuple[int, Record] | Configuration]) -> set[str]:
    """The misbehaviours that a stream shows, found from outside."""
    known, found = points(told), set()
    seen: set[tuple[object, ...]] = set()
    newest: dict[tuple[object, ...], int] = {}
    heard: dict[tuple[object, ...], list[int]] = {}
    for row in readings(told):
        at, value, received_at = (int(row[key]) for key in ("at", "value", "received_at"))  # type: ignore[call-overload]
        point = known.get((str(row["unit"]), str(row["point"])))
        statement = STATEMENTS[row["statement"]]  # type: ignore[call-overload]
        if point is None:
            found.add("unknown_point")
            continue
        if statement not in (point.statement, *point.others):
            found.add("unknown_statement")
            continue
        length = 0 if statement == "register" else LENGTH_MS[statement]
        claim = tuple(row[key] for key in row if key != "received_at")
        identity = (row["unit"], row["point"], statement)
        checks = {
            "wrong_unit": row["unit_of_measure"] != point.unit_of_measure,
            "future": int(row["sent_at"]) > received_at + HOUR_MS,  # type: ignore[call-overload]
            "negative": value < 0,
            "off_grid": bool(length and (at - point.anchor_of(statement)) % length),
            "revised": row["revision"] == 1,
            "corrected": row["rank"] == RANKS["corrected"],
            "withdrawn": row["flags"] == WITHDRAWN,
            "repeated": claim in seen,
            "too_fast": value >= 10 ** (point.digits or 0) * 1_000_000
            if not length
            else value > point.rated * length // HOUR_MS,
            "late": received_at - at - length >= 8 * HOUR_MS,
            "reordered": at < newest.get(identity, 0)
            and received_at - at < 2 * QUARTER_MS + length,
        }
        found |= {name for name, holds in checks.items() if holds}
        seen.add(claim)
        newest[identity] = max(newest.get(identity, 0), at)
        if not set(checks) - {"late", "reordered"} & {n for n, holds in checks.items() if holds}:
            heard.setdefault(identity, []).append(at)
    return found | outages(heard, known) | jumps(told, known)


def outages(
    heard: dict[tuple[object, ...], list[int]], known: dict[tuple[str, str], Point]
) -> set[str]:
    """Whether a point left out a reading or more, while it still spoke."""
    for (unit, name, statement), instants in heard.items():
        point = known[str(unit), str(name)]
        step = QUARTER_MS if statement == "PT15M" else point.cadence_ms
        if (np.diff(sorted(set(instants))) > step).any():
            return {"outage"}
    return set()


def jumps(
    told: list[tuple[int, Record] | Configuration], known: dict[tuple[str, str], Point]
) -> set[str]:
    """Whether a register rose by more than can have passed."""
    registers: dict[tuple[str, str], dict[int, int]] = {}
    for row in readings(told):
        key = (str(row["unit"]), str(row["point"]))
        plain = row["revision"] == 0 and row["rank"] == RANKS["measured"] and row["flags"] == 0
        if key in known and row["statement"] == 0 and plain:
            registers.setdefault(key, {})[int(row["at"])] = int(row["value"])  # type: ignore[call-overload]
    for key, values in registers.items():
        point = known[key]
        for (a, u), (b, v) in pairwise(sorted(values.items())):
            passed = (v - u) % (10 ** (point.digits or 0) * 1_000_000) * point.multiplier
            if passed > point.rated * (b - a) // HOUR_MS:
                return {"jump"}
    return set()


def test_a_silent_meter_never_speaks_again() -> None:
    """From the instant asked for."""
    (plant, *_) = default_world(start=START, units=1, live=False)
    silent = silenced((plant,), {(plant.unit.code, "E1"): 3 * HOUR_MS})
    told = stream(
        silent, seed=7, start=START, end=START + 9 * HOUR_MS, faults=Faults(), partitions=8
    )
    rows = readings([configuration_of(silent), *told])
    assert max(row["at"] for row in rows if row["point"] == "E1") == START + 3 * HOUR_MS  # type: ignore[type-var]
    assert max(row["at"] for row in rows if row["point"] == "E2") == START + 9 * HOUR_MS  # type: ignore[type-var]


def test_any_registered_unit_can_be_simulated() -> None:
    """Its meters at half load, between their points' validity."""
    (plant, *_) = default_world(start=START, units=1, live=False)
    told = stream(
        (plant_of(plant.unit),),
        seed=1,
        start=START,
        end=START + 3 * HOUR_MS,
        faults=Faults(),
        partitions=1,
    )
    rows = readings([configuration_of((plant,)), *told])
    assert {row["point"] for row in rows} == {"E1", "E2", "E3", "O1"}


def test_load_follows_the_day_and_the_week() -> None:
    """More at ten in the morning than at three at night, more on Friday than on Saturday."""
    friday = START + 24 * HOUR_MS
    assert load_at(friday + 10 * HOUR_MS) > 1.5 * load_at(friday + 3 * HOUR_MS)
    assert load_at(friday + 34 * HOUR_MS) == pytest.approx(0.85 * load_at(friday + 10 * HOUR_MS))
