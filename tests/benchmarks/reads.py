"""Queries as people ask them, over a database with a month of readings and a year of days: warm, median of eleven."""

import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from decimal import Decimal

import psycopg
import servers
import yardstick
from plan import QUARTERS_A_DAY, Bench
from psycopg.rows import TupleRow
from reference import references
from table import at_most
from workload import START, Workload

from processors.store import Store
from schemas.calendar import DAY_MS, QUARTER_MS, moment

ASKED = 11
MILLION = 1_000_000
YEAR_UNITS = 2_000
"""Units whose days stand beside those of the one that is asked for."""

QUARTERS = """SELECT point_name, starts, low, best, high FROM quarter_hours(%s, %s, %s)"""
OF_POINT = """SELECT point_name, starts, low, best, high FROM quarter_hours(%s, %s, %s, %s)"""
DAYS = """SELECT starts, low, best, high FROM figure_told
WHERE unit = %s AND window_kind = 'day' AND quantity = 'electricity' AND starts >= %s AND starts < %s ORDER BY starts"""
# The days of the one unit under the others: the table has a year's size for 2,000 units.
_COPY_DAYS = """INSERT INTO unit_window SELECT u.id, w.kind, w.starts, w.ends, w.as_of, w."offset", w.position, w.judged
FROM unit_window w JOIN unit mine ON mine.id = w.unit AND mine.code = %s
CROSS JOIN unit u WHERE u.id <> w.unit AND w.kind = 'day'"""


def reads(bench: Bench) -> None:
    """A month by quarter hours, of a point and of a unit; a year by days."""
    _month(bench)
    _year(bench)


def _month(bench: Bench) -> None:
    workload = replace(_punctual(100), units=bench.plan.read_units)
    days = bench.plan.read_days
    with (
        servers.database() as url,
        closing(Store(url)) as store,
        psycopg.connect(url, autocommit=True) as link,
    ):
        store.save_configuration(workload.configuration())
        readings = yardstick.prefill(link, workload, 0, days * QUARTERS_A_DAY)
        link.execute("VACUUM ANALYZE")
        bench.say(f"reads: {readings:,} readings of {workload.units} units, {days} days")
        # Not the first day: its first quarter hour has no register before it.
        first, end = QUARTERS_A_DAY, days * QUARTERS_A_DAY
        number = workload.units // 2
        span = (workload.code(number), _at(first), _at(end))
        one = (*span, "E3")
        _ask(
            bench,
            link,
            "one point, a month of quarter hours",
            OF_POINT,
            one,
            0.3,
            _quarters(workload, number, [3], first, end),
        )
        points = range(workload.points)
        _ask(
            bench,
            link,
            "unit of 100 points, a month of quarter hours",
            QUARTERS,
            span,
            2.0,
            _quarters(workload, number, points, first, end),
        )
        _chunks(bench, link)


def _chunks(bench: Bench, link: psycopg.Connection) -> None:
    """How many chunks a day's question opens, of how many."""
    workload = replace(_punctual(100), units=bench.plan.read_units)
    notices: list[str] = []
    link.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    link.execute("LOAD 'auto_explain'")
    link.execute("SET auto_explain.log_min_duration = 0")
    link.execute("SET auto_explain.log_nested_statements = on")
    link.execute("SET auto_explain.log_level = notice")
    last = bench.plan.read_days - 4
    span = (workload.code(0), _at(last * QUARTERS_A_DAY), _at((last + 1) * QUARTERS_A_DAY))
    link.execute(QUARTERS.encode(), span)
    link.execute("SET auto_explain.log_min_duration = -1")
    words = "\n".join(notices).replace(".", " ").split()
    opened = {word for word in words if word.startswith("_hyper") and word.endswith("chunk")}
    row = link.execute("SELECT count(*) FROM show_chunks('reading_record')").fetchone()
    there = row[0] if row else 0
    name = f"  chunks that a unit's day opens, of {there}"
    bench.table.add(name, len(opened), "chunks", at_most(2), correct=0 < len(opened) < there)


def _year(bench: Bench) -> None:
    workload = replace(_punctual(100), units=YEAR_UNITS)
    alone = replace(workload, units=1)
    days = bench.plan.year_days
    with (
        servers.database() as url,
        closing(Store(url)) as store,
        references(alone) as reference,
        psycopg.connect(url, autocommit=True) as link,
    ):
        store.save_configuration(workload.configuration())
        derived = reference.prefill(url, days * QUARTERS_A_DAY)
        link.execute(_COPY_DAYS.encode(), (workload.code(0),))
        link.execute("VACUUM ANALYZE")
        bench.say(
            f"reads: {days} days of one unit derived from {derived:,} readings, copied under {YEAR_UNITS:,} units"
        )
        span = (workload.code(0), _at(QUARTERS_A_DAY), _at((days - 1) * QUARTERS_A_DAY))
        expected = [
            (moment(START + day * DAY_MS), *[_day(alone)] * 3) for day in range(1, days - 1)
        ]
        _ask(bench, link, "a unit's year by day", DAYS, span, 0.1, expected)


def _ask(
    bench: Bench,
    link: psycopg.Connection,
    name: str,
    statement: str,
    values: Sequence[object],
    limit: float,
    expected: Sequence[tuple[object, ...]],
) -> None:
    rows: list[TupleRow] = link.execute(statement.encode(), values).fetchall()
    taken = []
    for _ in range(ASKED):
        begun = time.perf_counter()
        link.execute(statement.encode(), values).fetchall()
        taken.append(time.perf_counter() - begun)
    correct = sorted(rows) == sorted(expected)
    if not correct:
        bench.say(
            f"{name}: {len(rows)} rows, {len(expected)} expected; first of each {rows[:1]} {expected[:1]}"
        )
    bench.table.add(name, statistics.median(taken), "s", at_most(limit), correct=correct)


def _punctual(points: int) -> Workload:
    """Nothing late, nothing repeated: what comes out can be said without an engine."""
    return Workload(points=points, late=0, repeated=0)


def _at(quarter: int) -> object:
    return moment(START + quarter * QUARTER_MS)


def _quarters(
    workload: Workload, number: int, points: Sequence[int], first: int, end: int
) -> list[tuple[object, ...]]:
    """By the workload's own formula: every point uses its load in every quarter hour, exactly."""
    found: list[tuple[object, ...]] = []
    for point in points:
        amount = Decimal(workload.load(number)[point].item()) / MILLION
        found += [
            (f"E{point}", _at(quarter), amount, amount, amount) for quarter in range(first, end)
        ]
    return found


def _day(workload: Workload) -> Decimal:
    return Decimal(int(workload.load(0).sum()) * QUARTERS_A_DAY) / MILLION
