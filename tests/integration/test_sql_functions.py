"""readings(), quarter_hours() and figures(): RULES.md in SQL, by hand-computed cases and against the oracle."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import count

import numpy as np
import psycopg
import pytest

from oracle import Epoch, Outcome, World, judge_log, named, quarter_hours, window_figures
from oracle_claims import winner
from oracle_figures import Span
from oracle_lines import line_figures
from processors.engine import Engine, runs
from processors.memory import drive
from processors.ports import HOUR_FIELDS, Fetched, Gap, Needs, ReadingRow, Step, UnitState
from processors.rebuild import worked_out
from processors.store import Store
from schemas.calendar import HOUR_MS, QUARTER_MS, moment, window_start, year_of, year_start
from schemas.factors import default_pack
from schemas.registry import Configuration, Industry, Point, Region, Registry, Unit
from schemas.section import NEVER, WITHDRAWN
from tests.integration.steps import column, reading_row
from tests.processors.worlds import PARTITIONS, draw

START = year_start(2026) + 100 * 24 * HOUR_MS
"""Midnight of a business day: what the units of these tests are valid from."""
TEN = START + 10 * HOUR_MS
MILLI = "3.6"
"""A rated maximum per hour of 10⁻⁶ a millisecond: allowed(a, b) = b − a, and half of it is the best guess."""
PACK = default_pack()
Figures = dict[str, tuple[int | None, ...]]
Amounts = tuple[int | None, ...]
Quarters = dict[tuple[str, int], Amounts]


def point(name: str, statement: str = "register", *, rated: str = MILLI, **more: object) -> Point:
    """A point of electricity."""
    told: dict[str, object] = {
        "name": name,
        "quantity": "electricity",
        "unit_of_measure": "kWh",
        "statement": statement,
        "rated_per_hour": rated,
        "valid_from": moment(START),
    }
    return Point.model_validate(told | ({"digits": 6} if statement == "register" else {}) | more)


@dataclass
class Bench:
    """A database, and units made up one after the other."""

    url: str
    store: Store
    numbers: "count[int]"
    offset: int = 0

    def unit(self, *points: Point, **more: object) -> str:
        """Register a unit with these points; returns its code."""
        version = next(self.numbers)
        code = f"91510100SQL{version:07d}"
        told = {"code": code, "name": code, "region": "510100", "industry": "31", "points": points}
        registry = Registry(
            regions=(Region(code="510100", name="Chengdu"),),
            industries=(Industry(code="31", name="steel"),),
            units=(Unit.model_validate(told | more),),
        )
        self.store.save_configuration(
            Configuration(version=version, author="test", reason="test", registry=registry)
        )
        return code

    def write(self, step: Step) -> None:
        """Write the rows of a step."""
        self.store.write(replace(step, positions={0: (self.offset, self.offset + 1)}))
        self.offset += 1

    def row(self, unit: str, at: Sequence[int], value: Sequence[int], **more: object) -> ReadingRow:
        """A row of readings under the offset of the next step."""
        return reading_row(
            column(*at),
            column(*value),
            unit=unit,
            offset=self.offset,
            part=next(self.numbers),
            **more,  # type: ignore[arg-type]
        )

    def rows(self, query: str, *values: object) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url) as link:
            return link.execute(query.encode(), values).fetchall()

    def figures(self, unit: str, start: int, end: int) -> Figures:
        """What the function says, in 10⁻⁶."""
        query = "SELECT quantity, low, best, high, share_measured FROM figures(%s, %s, %s)"
        rows = self.rows(query, unit, moment(start), moment(end))
        return {str(quantity): tuple(map(micro, rest)) for quantity, *rest in rows}

    def line_figures(self, unit: str, line: str, start: int, end: int) -> Figures:
        """What the function says of a product line, in 10⁻⁶."""
        query = "SELECT quantity, low, best, high, share_measured FROM figures(%s, %s, %s, %s)"
        rows = self.rows(query, unit, line, moment(start), moment(end))
        return {str(quantity): tuple(map(micro, rest)) for quantity, *rest in rows}

    def quarters(self, unit: str, start: int, end: int) -> Quarters:
        """What quarter_hours() says, in 10⁻⁶, by point and start."""
        query = """SELECT point_name, (extract(epoch FROM starts) * 1000)::bigint, low, best, high
                   FROM quarter_hours(%s, %s, %s)"""
        rows = self.rows(query, unit, moment(start), moment(end))
        return by_meter(
            (str(name), int(str(at)), tuple(map(micro, rest))) for name, at, *rest in rows
        )


def by_meter(rows: Iterable[tuple[str, int, Amounts]]) -> Quarters:
    """By name and quarter hour; where a meter was exchanged in one, both together."""
    found: Quarters = {}
    for name, at, amounts in rows:
        before = found.get((name, at), (0,) * len(amounts))
        found[name, at] = tuple(
            None if a is None or b is None else a + b for a, b in zip(before, amounts, strict=True)
        )
    return found


def micro(number: object) -> int | None:
    """A number in the unit of measure as 10⁻⁶, exactly."""
    if number is None:
        return None
    assert isinstance(number, Decimal)
    assert number * 1_000_000 == int(number * 1_000_000)
    return int(number * 1_000_000)


@pytest.fixture(scope="module")
def bench(shared_database: str) -> Iterator[Bench]:
    store = Store(shared_database)
    store.take({0: 0})
    yield Bench(shared_database, store, count(1))
    store.close()


# ---- Claims


def test_readings_says_which_claim_wins_and_why_the_others_do_not(bench: Bench) -> None:
    """Greatest (rank, revision, sent_at, value) of what is not withdrawn; a withdrawal withdraws its rank alone."""
    unit = bench.unit(point("E1"))
    rows = [
        bench.row(unit, [TEN, TEN + 1], [1, 1], rank=5, sent_at=NEVER),
        bench.row(unit, [TEN, TEN + 1], [2, 2], rank=5, sent_at=7),
        bench.row(unit, [TEN, TEN + 1], [3, 3], rank=2, revision=9, sent_at=column(8, 9)),
        bench.row(unit, [TEN + 1], [0], rank=5, sent_at=7, flags=WITHDRAWN),
        bench.row(unit, [TEN + 2], [9], rank=5, reason="negative"),
    ]
    bench.write(Step(readings=tuple(rows[:4]), rejections=tuple(rows[4:])))
    query = "SELECT value, status, rank, sent_at FROM readings(%s, %s, %s)"
    told = bench.rows(query, unit, moment(TEN), moment(TEN + 2))
    assert [(micro(value), status, rank) for value, status, rank, _ in told] == [
        (2, "winner", "measured"),
        (1, "superseded", "measured"),
        (3, "superseded", "estimated"),
        (3, "winner", "estimated"),
        (2, "withdrawn", "measured"),
        (None, "withdrawal", "measured"),
        (1, "withdrawn", "measured"),
    ]
    assert [sent_at for *_, sent_at in told[:3]] == [moment(7), None, moment(8)]
    assert len(bench.rows(query, unit, moment(TEN + 1), moment(TEN + 2))) == 4
    assert bench.rows(query, "nobody", moment(TEN), moment(TEN + 2)) == []


# ---- Quarter hours


def test_a_piece_is_cut_at_the_quarter_and_the_open_end_follows(bench: Bench) -> None:
    """600 000 in 20 minutes that allow 1 200 000: three quarters of it by 10:15, at least what the rest cannot hold."""
    unit = bench.unit(point("E1"))
    rows = bench.row(unit, [TEN, TEN + 20 * 60_000], [5_000_000, 5_600_000])
    bench.write(Step(readings=(rows,)))
    assert bench.quarters(unit, TEN, TEN + 2 * QUARTER_MS) == {
        ("E1", TEN): (300_000, 450_000, 600_000),
        ("E1", TEN + QUARTER_MS): (0, 150_000 + 300_000, 300_000 + 600_000),
    }


def test_before_the_validity_there_are_no_quarters(bench: Bench) -> None:
    """The first begins with the point, the last ends with it; the time before the first reading is unknown."""
    unit = bench.unit(
        point("E1", valid_from=moment(TEN + 60_000), valid_to=moment(TEN + QUARTER_MS + 60_000)),
        point("E2", valid_from=moment(TEN + 2 * HOUR_MS)),
    )
    bench.write(Step(readings=(bench.row(unit, [TEN + QUARTER_MS], [0]),)))
    assert bench.quarters(unit, TEN - HOUR_MS, TEN + HOUR_MS) == {
        ("E1", TEN): (0, 420_000, 840_000),
        ("E1", TEN + QUARTER_MS): (0, 30_000, 60_000),
    }


def test_a_dial_that_may_have_turned_over_has_several_values(bench: Bench) -> None:
    """900 → 100 of 1000 in an hour that allows 2000: 200 or 1200."""
    unit = bench.unit(point("E1", rated="2000", digits=3))
    bench.write(Step(readings=(bench.row(unit, [TEN, TEN + HOUR_MS], [900 * 10**6, 100 * 10**6]),)))
    quarter = (0, 50 * 10**6, 500 * 10**6)
    assert set(bench.quarters(unit, TEN, TEN + HOUR_MS).values()) == {quarter}


def test_a_jump_that_no_turn_explains_is_unknown(bench: Bench) -> None:
    """An event: between nothing and what the rated maximum allows."""
    unit = bench.unit(point("E1"))
    bench.write(Step(readings=(bench.row(unit, [TEN, TEN + QUARTER_MS], [900_001, 1]),)))
    assert bench.quarters(unit, TEN, TEN + QUARTER_MS) == {("E1", TEN): (0, 450_000, 900_000)}


def test_a_period_faster_than_rated_lifts_the_first_quarter_of_its_hour(bench: Bench) -> None:
    """While no winner covers it: the greatest of what was claimed, less what is allowed."""
    unit = bench.unit(point("E1", "PT15M"))
    at = TEN + 3 * QUARTER_MS
    fast = [
        bench.row(
            unit, [at, TEN + QUARTER_MS], [value, value], statement=1, reason="faster than rated"
        )
        for value in (900_050, 900_070, 900_060)
    ]
    bench.write(
        Step(
            readings=(bench.row(unit, [TEN + QUARTER_MS], [5], statement=1),),
            rejections=tuple(fast),
        )
    )
    assert bench.quarters(unit, TEN, TEN + HOUR_MS) == {
        ("E1", TEN): (0, 450_000, 900_070),
        ("E1", TEN + QUARTER_MS): (5, 5, 5),
        ("E1", TEN + 2 * QUARTER_MS): (0, 450_000, 900_000),
        ("E1", at): (0, 450_000, 900_000),
    }
    assert bench.quarters(unit, at, TEN + HOUR_MS) == {("E1", at): (0, 450_000, 900_000)}


def test_a_long_gap_is_cut_whatever_the_distance_of_its_ends(bench: Bench) -> None:
    """Its row knows both ends; 400 days are beyond what 64 bits hold as a square of milliseconds."""
    unit = bench.unit(point("E1", rated="10000000"))
    low, end = 5 * 10**16, TEN + 400 * 24 * HOUR_MS
    gap = Gap(unit, 0, TEN, end, "known", low, low, 0, 0)
    bench.write(Step(gaps=(gap,)))
    at = TEN + 200 * 24 * HOUR_MS + QUARTER_MS
    length = end - TEN
    best = low * (at + QUARTER_MS - TEN) // length - low * (at - TEN) // length
    assert bench.quarters(unit, at, at + QUARTER_MS) == {("E1", at): (0, best, 25 * 10**11)}


def test_one_point_may_be_asked_for(bench: Bench) -> None:
    """By its name; a name that the unit does not have gives nothing."""
    unit = bench.unit(point("E1"), point("E2"))
    query = "SELECT DISTINCT point_name FROM quarter_hours(%s, %s, %s, %s)"
    span = (unit, moment(TEN), moment(TEN + HOUR_MS))
    assert bench.rows(query, *span, "E2") == [("E2",)]
    assert bench.rows(query, *span, "E3") == []
    assert len(bench.rows(query, *span, None)) == 2


# ---- Figures


def hour_rows(unit: str, rows: dict[tuple[str, int], dict[str, int]]) -> Step:
    """A step with these hour rows; what is not named is 0."""
    return Step(
        hours=tuple((unit, quantity, at // HOUR_MS) for quantity, at in rows),
        hour_numbers=np.array(
            [[row.get(name, 0) for name in HOUR_FIELDS] for row in rows.values()], np.int64
        ),
    )


def state(unit: str, *ends: int) -> UnitState:
    """A unit whose points are covered until these instants."""
    return UnitState(unit, 0, ends, None, True, b"")  # noqa: FBT003 - as in the ports


def test_exact_hours_are_converted_one_by_one_half_to_even(bench: Bench) -> None:
    """0.1229 kgce/kWh; amounts whose conversion ends in a half, below an odd and below an even number."""
    half = 5_000_000 * pow(1229, -1, 10**7) % 10**7
    odd, even = (half + 10**7 * turn for turn in ((0, 1) if half * 1229 // 10**7 % 2 else (1, 0)))
    assert (odd * 1229 // 10**7 % 2, even * 1229 // 10**7 % 2) == (1, 0)
    unit = bench.unit(point("E1"))
    rows = {
        ("electricity", TEN): {"best": odd, "measured_ms": HOUR_MS},
        ("electricity", TEN + HOUR_MS): {"best": even, "measured_ms": HOUR_MS},
    }
    bench.write(replace(hour_rows(unit, rows), states=(state(unit, TEN + 2 * HOUR_MS),)))
    figures = bench.figures(unit, TEN, TEN + 2 * HOUR_MS)
    assert figures["electricity"] == (odd + even, odd + even, odd + even, 1_000_000)
    rounded = odd * 1229 // 10**7 + 1 + even * 1229 // 10**7
    assert figures["energy"] == (rounded, rounded, rounded, 1_000_000)
    assert list(figures) == ["electricity", "energy", "co2"]


def test_the_windows_edges_take_the_side_that_is_inside(bench: Bench) -> None:
    """`after` at its beginning, `before` at its end; nothing of the hours between."""
    unit = bench.unit(point("E1"))
    edge = {"before_low": -1, "before_high": 2, "after_low": -10, "after_high": 20}
    rows = {
        ("electricity", TEN + i * HOUR_MS): {"best": 1000, "measured_ms": HOUR_MS, "inexact": 5}
        | {name: value * 10 ** (2 * i) for name, value in edge.items()}
        for i in range(3)
    }
    bench.write(replace(hour_rows(unit, rows), states=(state(unit, TEN + 3 * HOUR_MS),)))
    low, high = 2000 - 10 - 10**4, 2000 + 20 + 2 * 10**4
    figures = bench.figures(unit, TEN, TEN + 2 * HOUR_MS)
    assert figures["electricity"] == (low, 2000, high, 1_000_000)
    assert figures["energy"][2] == -(-high * 1229 // 10**7) + 2


def test_unknown_time_counts_its_half_and_its_most(bench: Bench) -> None:
    """Its best is in the hour's best, its low is 0, its high is told apart; a lift makes the hour inexact."""
    unit = bench.unit(point("E1"))
    rows = {
        ("electricity", TEN): {"best": 10**8, "measured_ms": HOUR_MS},
        ("electricity", TEN + HOUR_MS): {
            "best": 700,
            "unknown_best": 600,
            "unknown_high": 5000,
            "measured_ms": 1000,
            "inexact": 1,
        },
    }
    bench.write(replace(hour_rows(unit, rows), states=(state(unit, TEN + 2 * HOUR_MS),)))
    figures = bench.figures(unit, TEN, TEN + 2 * HOUR_MS)
    assert figures["electricity"] == (10**8 + 100, 10**8 + 700, 10**8 + 5100, 500_138)
    assert figures["energy"] == (12290 + 0 - 1, 12290 + 0, 12290 + 1 + 1, 500_138)


def test_open_ends_reach_to_the_windows_end_and_leave_no_hour_exact(bench: Bench) -> None:
    """From the hour in which the earliest begins; a point that ended has none; one never heard of is open from its validity."""
    unit = bench.unit(
        point("E1"),
        point("E2", valid_to=moment(TEN + QUARTER_MS)),
        point("E3", valid_from=moment(TEN + 3 * HOUR_MS)),
    )
    rows = {
        ("electricity", TEN + i * HOUR_MS): {"best": 10**8, "measured_ms": HOUR_MS}
        for i in range(2)
    }
    ends = (TEN + HOUR_MS + 60_000, TEN + QUARTER_MS, TEN + 3 * HOUR_MS)
    bench.write(replace(hour_rows(unit, rows), states=(state(unit, *ends),)))
    figures = bench.figures(unit, TEN, TEN + 4 * HOUR_MS)
    open_high = 3 * HOUR_MS - 60_000 + HOUR_MS
    assert figures["electricity"][:3] == (
        2 * 10**8,
        2 * 10**8 + open_high // 2,
        2 * 10**8 + open_high,
    )
    assert figures["energy"][:3] == (
        12290 + 12290 - 3,
        12290 + 12290 + round(open_high / 2 * 0.0001229),
        12290 + -(-(10**8 + open_high) * 1229 // 10**7) + 3,
    )
    expected = 4 * HOUR_MS + QUARTER_MS + HOUR_MS
    assert figures["electricity"][3] == 10**6 * 2 * HOUR_MS // expected


def test_known_gaps_are_bounded_by_what_lies_outside_the_window(bench: Bench) -> None:
    """Three hours with 2/3 of what is allowed: the middle one holds between 0 and all that it allows."""
    unit = bench.unit(point("E1"))
    low = 2 * HOUR_MS
    gap = Gap(unit, 0, TEN, TEN + 3 * HOUR_MS, "known", low, low, 0, low)
    leading = Gap(unit, 0, START, TEN, "leading", 0, 0, None, 0)
    rows = {
        ("electricity", TEN + i * HOUR_MS): {
            "best": low // 3,
            "measured_ms": HOUR_MS,
            "inexact": HOUR_MS,
        }
        for i in range(3)
    }
    bench.write(
        replace(
            hour_rows(unit, rows), gaps=(gap, leading), states=(state(unit, TEN + 3 * HOUR_MS),)
        )
    )
    middle = bench.figures(unit, TEN + HOUR_MS, TEN + 2 * HOUR_MS)
    assert middle["electricity"] == (0, low // 3, HOUR_MS, 1_000_000)
    first_two = bench.figures(unit, TEN, TEN + 2 * HOUR_MS)
    assert first_two["electricity"] == (HOUR_MS, low // 3 * 2, low, 1_000_000)
    assert bench.figures(unit, TEN, TEN + 3 * HOUR_MS)["electricity"] == (low, low, low, 1_000_000)


def test_a_change_of_factor_is_an_edge_for_what_it_feeds_alone(bench: Bench) -> None:
    """CO2 has another factor from 2022 on, energy has the same: of a gap over New Year only CO2 is cut there."""
    turn = year_start(2022)
    start, end = turn - 2 * HOUR_MS, turn + 2 * HOUR_MS
    unit = bench.unit(point("E1", rated="3600", valid_from=moment(start)))
    allowed = 2 * HOUR_MS * 1000
    low = allowed + 5 * 10**9
    gap = Gap(unit, 0, start, end, "known", low, low, 0, low)
    rows = {
        ("electricity", start + i * HOUR_MS): {
            "best": low // 4,
            "measured_ms": HOUR_MS,
            "inexact": HOUR_MS,
        }
        for i in range(4)
    }
    bench.write(replace(hour_rows(unit, rows), gaps=(gap,), states=(state(unit, end),)))
    figures = bench.figures(unit, start, end)
    assert figures["electricity"] == (low, low, low, 1_000_000)
    assert figures["energy"][:3:2] == (low * 1229 // 10**7 - 4, -(-low * 1229 // 10**7) + 4)
    before, after = 1255, 1404
    least, most = low - allowed, allowed
    assert figures["co2"][:3:2] == (
        least * before // 10**7 - 2 + least * after // 10**7 - 2,
        -(-most * before // 10**7) + 2 - (-most * after // 10**7) + 2,
    )


def test_a_window_that_begins_before_the_unit_needs_its_opening(bench: Bench) -> None:
    """Declared for the year, it is added to what begins with the year; any other window's high is unknown."""
    opening = {
        "year": 2026,
        "quantity": "energy",
        "low": "1",
        "best": "2",
        "high": "3",
        "evidence": "bill",
    }
    unit = bench.unit(point("E1"), openings=[opening])
    rows = {("electricity", START): {"best": 10**8, "measured_ms": HOUR_MS}}
    bench.write(replace(hour_rows(unit, rows), states=(state(unit, START + HOUR_MS),)))
    year = bench.figures(unit, year_start(2026), START + HOUR_MS)
    assert year["electricity"] == (10**8, 10**8, None, 1_000_000)
    assert year["energy"] == (12290 + 10**6, 12290 + 2 * 10**6, 12290 + 3 * 10**6, 1_000_000)
    assert year["co2"][2] is None
    assert bench.figures(unit, START - HOUR_MS, START + HOUR_MS)["energy"][:3] == (
        12290,
        12290,
        None,
    )
    assert bench.figures(unit, START, START + HOUR_MS)["energy"][:3] == (12290, 12290, 12290)
    before = bench.figures(unit, START - 2 * HOUR_MS, START)
    assert before["electricity"] == (0, 0, 0, 0)


def test_figures_need_whole_hours(bench: Bench) -> None:
    """It says so, and what answers instead; an empty window and an unknown unit have no figures."""
    unit = bench.unit(point("E1"))
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="needs whole hours"):
        bench.figures(unit, TEN, TEN + 1)
    assert bench.figures(unit, TEN, TEN) == {}
    assert bench.figures("nobody", TEN, TEN + HOUR_MS) == {}


# ---- Plans


@pytest.mark.parametrize(
    "call",
    ["readings(%s, %s, %s)", "quarter_hours(%s, %s, %s)"],
)
def test_only_the_chunks_of_the_days_asked_for_are_opened(bench: Bench, call: str) -> None:
    """The days are known when the query is planned, so the other chunks are not even locked."""
    unit = bench.unit(point("E1"))
    weeks = [TEN + week * 7 * 24 * HOUR_MS for week in range(5)]
    bench.write(Step(readings=tuple(bench.row(unit, [at], [5]) for at in weeks)))
    notices: list[str] = []
    with psycopg.connect(bench.url, autocommit=True) as link:
        link.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
        link.execute("LOAD 'auto_explain'")
        link.execute("SET auto_explain.log_min_duration = 0")
        link.execute("SET auto_explain.log_nested_statements = on")
        link.execute("SET auto_explain.log_level = notice")
        link.execute(
            b"SELECT * FROM " + call.encode(), (unit, moment(weeks[2]), moment(weeks[2] + HOUR_MS))
        )
        chunks = link.execute("SELECT count(*) FROM show_chunks('reading_record')").fetchone()
    plan = "\n".join(notices)
    opened = {
        word
        for word in plan.replace(".", " ").split()
        if word.startswith("_hyper") and word.endswith("chunk")
    }
    assert chunks is not None
    assert chunks[0] >= 5
    assert "reading_record" in plan or opened
    assert len(opened) == 1


# ---- Against the oracle


def store_world(store: Store, seed: int) -> tuple[Outcome, dict[str, World]]:
    """Digest a drawn world into the database; returns what the oracle makes of it."""
    rng = random.Random(seed)
    world = draw(seed, rng.randint(2, 12))
    for configuration in world.configurations.values():
        store.save_configuration(configuration)
    store.take(dict.fromkeys(range(PARTITIONS), 0))
    engine = Engine(PACK, world.configurations, PARTITIONS)
    log = list(world.log)
    while log:
        size = rng.choice([1, 3, 10, 100])
        batch = next(runs(log[:size]))
        log = log[len(batch) :]
        step = drive(engine.step(batch), Rebuilding(store))  # type: ignore[arg-type]
        engine.clear()
        positions: dict[int, tuple[int, int]] = {}
        for partition, offset, _ in batch:
            positions[partition] = (positions.get(partition, (offset, 0))[0], offset + 1)
        store.write(replace(step, positions=positions))
    outcome = judge_log(world.log, world.configurations, PACK, PARTITIONS)
    worlds = {unit: outcome.world(unit) for unit in outcome.units}
    return outcome, worlds


@dataclass
class Rebuilding:
    """A store that also works units out."""

    store: Store

    def fetch(self, needs: Needs) -> Fetched:
        """As the worker does."""
        asked, found = needs.rebuild, self.store.fetch(needs)
        if asked is None:
            return found
        unit = asked.entry.code
        days = [(day, self.store.rows_of(unit, day)) for day in self.store.days_of(unit)]
        return replace(found, rebuilt=worked_out(asked, PACK, days))


def drawn_span(rng: random.Random, begins: int) -> tuple[int, int]:
    """Whole hours around a unit's beginning, some of them from the year's on; of one business year, as all windows are."""
    start = (begins // HOUR_MS + rng.choice([-1, 0, 0, 1, 2, 5, rng.randint(-30, 60)])) * HOUR_MS
    end = start + HOUR_MS * rng.choice([1, 1, 2, 5, 24, rng.randint(1, 800)])
    if rng.random() < 0.15:
        start = window_start("year", begins)
        end = (begins // HOUR_MS + rng.randint(1, 40)) * HOUR_MS
    return max(start, window_start("year", end - 1)), end


@pytest.mark.parametrize("seed", range(1000, 1020))
def test_the_functions_say_what_the_oracle_says(database: str, seed: int) -> None:
    """On drawn logs and spans, also such that cut gaps and open ends: every figure to the last digit."""
    store = Store(database)
    rng = random.Random(seed)
    outcome, worlds = store_world(store, seed)
    bench = Bench(database, store, count(1))
    for unit in outcome.units:
        world = worlds[unit]
        begins = min(course.begins for course in world.courses.values())
        for start, end in (drawn_span(rng, begins) for _ in range(3)):
            expected = {
                name: tuple(figure) for name, figure in window_figures(world, start, end).items()
            }
            assert bench.figures(unit, start, end) == expected
            for line in world.unit.lines if year_of(start) == year_of(end - 1) else ():
                said = line_figures(world, line, Span(start, end, end))
                assert bench.line_figures(unit, line.id, start, end) == {
                    name: figure[:4] for name, figure in said.items()
                }
            until = min(end, start + 40 * HOUR_MS)
            assert bench.quarters(unit, start, until) == quarters_of(world, start, until)
        query = """SELECT point, statement, (extract(epoch FROM at) * 1000)::bigint, value, status
                   FROM readings(%s, '2025-01-01', '2028-01-01')"""
        told = bench.rows(query, unit)
        assert len(told) == len(outcome.claims[unit])
        won = {(*row[:3], micro(row[3])) for row in told if row[4] == "winner"}
        assert won == winners_of(outcome.histories[unit].now)
    store.close()


def quarters_of(world: World, start: int, end: int) -> Quarters:
    """The oracle's quarter hours in which a point is valid, or lifted."""
    return by_meter(
        (course.point.name, at, tuple(amount))
        for label, course in world.courses.items()
        for at, amount in quarter_hours(world, label, start, end)
        if (course.begins < at + QUARTER_MS and course.ends > at) or any(amount)
    )


def winners_of(epoch: Epoch) -> set[tuple[object, ...]]:
    """(point, statement, instant, value) of every winner."""
    won = (winner(group) for group in epoch.by_identity.values())
    return {(*named(one, epoch).identity, one.value) for one in won if one is not None}
