"""Totals that bound what a point's periods leave unknown: RULES section 3, on one true curve and by hand."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import accumulate, count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle_pieces import Amount
from schemas.section import RANKS, WITHDRAWN, ApplyConfiguration, Body, Record, partition_of
from tests.processors.laws_figures import engine_span
from tests.processors.laws_missing import contains
from tests.processors.laws_shell import Shell
from tests.processors.worlds import (
    BEGIN,
    DAY_MS,
    HOUR_MS,
    LENGTH_MS,
    PARTITIONS,
    QUARTER_MS,
    Packing,
    Said,
    World,
    configuration,
    plans,
    point,
    unit,
)

KWH = 10**6
DAYS = 3
Truth = Mapping[int, int]
"""What passed in each quarter hour."""


def world(statement: str, by: str, batches: list[list[Said]]) -> World:
    """One unit of one point that is bounded by a statement, and what is said of it, in order."""
    told = {"statement": statement, "digits": None, "others": (by,), "bounded_by": by}
    entry = unit(point(cadence_ms=LENGTH_MS[statement], **told))
    packing, partition = Packing(random.Random(1), {}, BEGIN), partition_of(entry.code, PARTITIONS)
    bodies: list[Body] = [ApplyConfiguration(1)]
    for batch in batches:
        section = packing.section(entry.code, batch, BEGIN + 99 * DAY_MS, ())
        bodies.append((replace(section, refused=(), messages=("",), message=0),))
    log = tuple(
        (partition, i, Record("door", 1, i, body)) for i, body in zip(count(), bodies, strict=False)
    )
    return World({1: configuration(1, [entry])}, log)


def amount(shell: Shell, start: int, end: int) -> Amount:
    """The point's amount in [start, end)."""
    return engine_span(shell, shell.world.units[0].code, start, end).amounts["electricity"]


def of(statement: str, at: int, value: int, **told: int) -> Said:
    """An amount of the point."""
    said = Said("91510100LAW0000000", "P0", statement, at, value)
    return replace(said, **told)  # type: ignore[arg-type]


@st.composite
def said_of_a_curve(draw: st.DrawFn) -> tuple[Truth, list[Said], str]:
    """A curve of some days, everything that can be said of it, and the statement of its totals."""
    rng = random.Random(draw(st.integers(0, 2**24)))
    by = rng.choice(["PT1H", "P1D"])
    truth = {
        BEGIN + i * QUARTER_MS: rng.choice([0, 25 * KWH, rng.randint(0, 25 * KWH)])
        for i in range(DAYS * 96)
    }
    sums: dict[int, int] = {}
    for at, value in truth.items():
        start = at - (at - BEGIN) % LENGTH_MS[by]
        sums[start] = sums.get(start, 0) + value
    said = [of("PT15M", at, value) for at, value in truth.items()]
    return truth, [*said, *(of(by, at, value) for at, value in sums.items())], by


def some(rng: random.Random, said: list[Said]) -> list[Said]:
    """Some of what is said, mostly in runs."""
    keep, rate = [], rng.choice([0.05, 0.3])
    gone = False
    for one in said:
        gone = gone if rng.random() > rate else not gone
        keep += [] if gone else [one]
    return keep


def in_batches(rng: random.Random, said: list[Said]) -> list[list[Said]]:
    """In any order, some at a time."""
    said = said.copy()
    if rng.random() < 0.5:
        rng.shuffle(said)
    size = rng.choice([20, 100, 400])
    return [said[i : i + size] for i in range(0, len(said), size)]


def spans(rng: random.Random) -> Iterator[tuple[int, int]]:
    """Whole hours, whole days, and all."""
    for _ in range(6):
        hour = rng.randrange(DAYS * 24)
        yield BEGIN + hour * HOUR_MS, BEGIN + rng.randint(hour + 1, DAYS * 24) * HOUR_MS
    yield BEGIN, BEGIN + DAY_MS
    yield BEGIN, BEGIN + DAYS * DAY_MS


@settings(max_examples=settings().max_examples // 10)
@given(said_of_a_curve(), plans)
def test_of_one_true_curve_every_interval_holds_the_truth(
    curve: tuple[Truth, list[Said], str], plan: random.Random
) -> None:
    """More readings never widen it, and where a total and any later reading is known its span is exact."""
    truth, everything, by = curve
    more = some(plan, everything)
    less = [one for one in more if plan.random() < 0.7]
    rich, poor = (
        Shell(world("PT15M", by, in_batches(plan, said)), plan).run() for said in (more, less)
    )
    sums = dict(zip(truth, accumulate(truth.values()), strict=True))
    for start, end in spans(plan):
        passed = sums[end - QUARTER_MS] - sums.get(start - QUARTER_MS, 0)
        narrow, wide = amount(rich, start, end), amount(poor, start, end)
        assert narrow.low <= passed <= narrow.high
        assert contains(wide, narrow)
    last = max((one.at for one in more if one.statement == "PT15M"), default=0)
    for one in more:
        if one.statement == by and one.end <= last:
            assert amount(rich, one.at, one.end) == (one.value,) * 3


def hours(*values: int | None, first: int = 0, statement: str = "PT1H") -> list[Said]:
    """Amounts (kWh) of periods one after the other; None is not said."""
    length = LENGTH_MS[statement]
    return [
        of(statement, BEGIN + (first + i) * length, value * KWH)
        for i, value in enumerate(values)
        if value is not None
    ]


DAY = hours(*[50] * 3, None, *[50] * 15, None, *[50] * 5)
"""Two hours of the day are missing, and the next day begins: 22 · 50 = 1,100 kWh are known."""


@pytest.mark.parametrize(
    ("total", "told"),
    [
        pytest.param({"value": 1180}, (80, 40, 80), id="80 for both: each at most that"),
        pytest.param({"value": 1250}, (150, 75, 150), id="150: at least 50 in each"),
        pytest.param({"value": 1100}, (0, 0, 0), id="nothing is left over"),
        pytest.param({"value": 1300}, (200, 100, 200), id="all that is allowed"),
        pytest.param({"value": 1301}, None, id="more than is allowed: it contradicts"),
        pytest.param({"value": 1099}, None, id="less than is measured: it contradicts"),
        pytest.param({"value": 1180, "rank": 4}, (80, 40, 80), id="corrected"),
        pytest.param({"value": 1180, "rank": 3}, None, id="a supplier's bounds nothing"),
        pytest.param({"value": 1180, "flags": WITHDRAWN}, None, id="withdrawn"),
    ],
)
def test_a_day_bounds_its_two_missing_hours(
    total: dict[str, int], told: tuple[int, int, int] | None
) -> None:
    """At 100 kWh an hour: (what both come to, best and high of the first)."""
    day = of("P1D", BEGIN, total.pop("value") * KWH, **total)
    shell = Shell(world("PT1H", "P1D", [DAY, [day]])).run()
    first = amount(shell, BEGIN + 3 * HOUR_MS, BEGIN + 4 * HOUR_MS)
    whole = amount(shell, BEGIN, BEGIN + DAY_MS)
    if told is None:
        assert (first.low, first.high) == (0, 100 * KWH)
        assert (whole.low, whole.high) == (1100 * KWH, 1300 * KWH)
        return
    rest, best, high = (value * KWH for value in told)
    assert whole == (1100 * KWH + rest,) * 3
    assert first == (max(0, rest - 100 * KWH), best, min(high, 100 * KWH))
    assert [(gap.low, gap.total) for gap in shell.store.gaps["91510100LAW0000000"].values()] == [
        (rest, 1100 * KWH + rest)
    ]


def test_a_month_bounds_its_missing_days() -> None:
    """Days of more than an hour lie within its hull, and the open end after the last day is not bounded."""
    start = BEGIN - 9 * DAY_MS
    days = [of("P1D", start + i * DAY_MS, 1000 * KWH) for i in range(40) if i not in {4, 5, 20}]
    month = of("P1M", start, 30_000 * KWH)
    log = world("P1D", "P1M", [days[9:], days[:9], [month]])
    entry = log.configurations[1].registry.units[0]
    points = [p.model_dump() | {"valid_from": "2026-02-01T00:00:00+08:00"} for p in entry.points]
    early = configuration(1, [unit(*points)])
    shell = Shell(replace(log, configurations={1: early})).run()
    assert amount(shell, start, start + 31 * DAY_MS) == (30_000 * KWH,) * 3
    assert amount(shell, start + 4 * DAY_MS, start + 6 * DAY_MS)[::2] == (0, 2000 * KWH)


def test_what_bounds_may_come_in_any_order_and_go() -> None:
    """The total first, a missing hour late, corrected, withdrawn, and the total withdrawn."""
    day = of("P1D", BEGIN, 1180 * KWH)
    late = of("PT1H", BEGIN + 3 * HOUR_MS, 70 * KWH)
    gone = replace(late, flags=WITHDRAWN, value=0)
    other = replace(late, value=60 * KWH, rank=RANKS["measured"], revision=1)
    batches = [[day], DAY, [late], [other], [replace(gone, revision=1)]]
    missing = BEGIN + 19 * HOUR_MS, BEGIN + 20 * HOUR_MS
    expected = [None, (0, 80), (10, 10), (20, 20), (0, 80)]
    for upto, told in enumerate(expected, 1):
        shell = Shell(world("PT1H", "P1D", batches[:upto]), random.Random(upto)).run()
        if told is not None:
            found = amount(shell, *missing)
            assert (found.low // KWH, found.high // KWH) == told
    withdrawn = [*batches, [replace(day, flags=WITHDRAWN, value=0)]]
    assert amount(Shell(world("PT1H", "P1D", withdrawn)).run(), *missing).high == 100 * KWH
