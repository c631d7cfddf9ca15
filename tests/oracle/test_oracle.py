"""The oracle against numbers found by hand, and the nesting law on it alone: RULES.md holds."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oracle import HonouredTick, Judged, Log, Outcome, judge_log, quarter_hours, window_figures
from oracle_claims import allowed
from oracle_figures import Span, World, converted, low_of, since
from oracle_pieces import Amount, Course, total
from schemas.calendar import DAY_MS, HOUR_MS, QUARTER_MS, moment, year_start
from schemas.factors import default_pack
from schemas.registry import (
    LENGTH_MS,
    STATEMENTS,
    UNIT_OF_MEASURE,
    Configuration,
    Industry,
    Opening,
    Point,
    Quota,
    Region,
    Registry,
    Statement,
    Unit,
)
from schemas.scale import SCALE, as_decimal, scaled
from schemas.section import (
    NEVER,
    WITHDRAWN,
    ApplyConfiguration,
    Body,
    HistoryEnds,
    Record,
    Refused,
    Section,
    Tick,
    Unreadable,
    partition_of,
)

CODE = "91510000TEST00001X"
PACK = default_pack()
NEW_YEAR = year_start(2026)


def hour(hours: float) -> int:
    """Hours after the beginning of 2026 as an instant."""
    return NEW_YEAR + round(hours * HOUR_MS)


class Said(NamedTuple):
    """A reading in its unit of measure, at hours since the beginning of 2026; None withdraws."""

    hours: float
    value: float | Decimal | None
    statement: Statement = "register"
    point: str = "main"
    rank: int = 5
    revision: int = 0
    sent: float | None = None
    measure: str = "kWh"

    @property
    def at(self) -> int:
        """The instant."""
        return hour(self.hours)


def make_point(name: str = "main", *, rated: str = "100", **told: object) -> Point:
    """A point: a register of three digits since the beginning of 2026, unless told otherwise."""
    fields: dict[str, object] = {
        "quantity": "electricity",
        "statement": "register",
        "digits": 3,
        "valid_from": moment(NEW_YEAR),
    }
    fields |= told
    measure = UNIT_OF_MEASURE[str(fields["quantity"])]
    return Point.model_validate(
        {"name": name, "unit_of_measure": measure, "rated_per_hour": rated, **fields}
    )


def make_unit(*points: Point, **told: object) -> Unit:
    """A unit in history, unless told otherwise."""
    fields: dict[str, object] = {"code": CODE, "region": "510100", "industry": "31"}
    return Unit.model_validate(
        {**fields, "name": "Mill", "history": True, "points": points, **told}
    )


def make_opening(quantity: str, low: int, best: int, high: int) -> Opening:
    """What was used in 2026 before the points begin."""
    bounds = {"low": low, "best": best, "high": high}
    return Opening.model_validate(
        {"year": 2026, "quantity": quantity, **bounds, "evidence": "bills"}
    )


def make_section(
    said: Sequence[Said],
    *,
    received: float = 8_000,
    ticks: Iterable[tuple[int, float]] = (),
    refused: int = 0,
) -> Section:
    """A section as the door makes it."""
    names, measures = sorted({s.point for s in said}), sorted({s.measure for s in said})
    return Section(
        unit=CODE,
        received_at=hour(received),
        names=tuple(names),
        point=np.array([names.index(s.point) for s in said], dtype=np.uint16),
        at=np.array([s.at for s in said], dtype=np.int64),
        value=np.array([scaled(s.value or 0)[0] for s in said], dtype=np.int64),
        statement=np.array([STATEMENTS.index(s.statement) for s in said], dtype=np.uint8),
        units_of_measure=tuple(measures),
        unit_of_measure=np.array([measures.index(s.measure) for s in said], dtype=np.uint8),
        rank=np.array([s.rank for s in said], dtype=np.uint8),
        revision=np.array([s.revision for s in said], dtype=np.int32),
        sent_at=np.array([NEVER if s.sent is None else hour(s.sent) for s in said], dtype=np.int64),
        flags=np.array([WITHDRAWN if s.value is None else 0 for s in said], dtype=np.uint8),
        ticks=tuple((position, hour(at)) for position, at in ticks),
        refused=tuple(Refused(i, "no number", "{}") for i in range(refused)),
    )


def configured(unit: Unit) -> Configuration:
    """A configuration of one unit."""
    registry = Registry(
        regions=(Region(code=unit.region, name="Chengdu"),),
        industries=(Industry(code=unit.industry, name="Metals"),),
        units=(unit,),
    )
    return Configuration(version=1, author="test", reason="test", registry=registry)


def judge_bodies(unit: Unit, *bodies: Body) -> Outcome:
    """The outcome of a log of one partition that begins with the unit's configuration."""
    records = [
        Record("door", 1, i, body) for i, body in enumerate((ApplyConfiguration(1), *bodies))
    ]
    log: Log = [(0, offset, record) for offset, record in enumerate(records)]
    return judge_log(log, {1: configured(unit)}, PACK, partitions=1)


def world_of(unit: Unit, said: Sequence[Said]) -> World:
    """The unit after one section."""
    return judge_bodies(unit, (make_section(said),)).world(CODE)


def judged_at(unit: Unit, said: Sequence[Said], tick: float) -> Judged:
    """The unit at a tick after one section."""
    outcome = judge_bodies(unit, (make_section(said, ticks=[(len(said), tick)]),))
    return outcome.at_tick(0)[CODE]


def kwh(*amounts: float) -> tuple[int, ...]:
    """Amounts in 10⁻⁶ kWh."""
    return tuple(scaled(amount)[0] for amount in amounts)


def hourly(*amounts: float, begin: float = 0) -> list[Said]:
    """One amount for each hour."""
    return [Said(begin + i, amount, "PT1H") for i, amount in enumerate(amounts)]


HOURLY = make_point(statement="PT1H", digits=None)


@pytest.mark.parametrize(
    ("point", "said", "window", "expected"),
    [
        pytest.param({}, [Said(0, 990), Said(1, 10)], (0, 1), (20, 20, 20), id="rollover"),
        pytest.param(
            {"rated": "250"}, [Said(0, 990), Said(10, 10)], (0, 10), (20, 20, 2020), id="two laps"
        ),
        pytest.param(
            {"multiplier": 4}, [Said(0, 990), Said(1, 1)], (0, 1), (44, 44, 44), id="multiplier"
        ),
        pytest.param({}, [Said(0, 500), Said(1, 400)], (0, 1), (0, 50, 100), id="event"),
        pytest.param({}, [Said(0, 500), Said(1, 600)], (0, 1), (100, 100, 100), id="all of it"),
        pytest.param(
            {"rated": "30"}, [Said(0, 0), Said(4, 80)], (0, 2), (20, 40, 60), id="gap over the end"
        ),
        pytest.param(
            {"rated": "30"},
            [Said(0, 0), Said(4, 80)],
            (2, 4),
            (20, 40, 60),
            id="gap over the begin",
        ),
        pytest.param(
            {"rated": "30"}, [Said(0, 0), Said(4, 80)], (1, 3), (20, 40, 60), id="gap over both"
        ),
        pytest.param({"rated": "30"}, [Said(2, 7)], (0, 2), (0, 30, 60), id="before the first"),
        pytest.param({"rated": "30"}, [Said(0, 0), Said(1, 9)], (0, 3), (9, 39, 69), id="open end"),
        pytest.param(
            {"rated": "30", "valid_to": moment(hour(2))},
            [Said(0, 0), Said(1, 9)],
            (0, 3),
            (9, 24, 39),
            id="open end to the end of validity",
        ),
        pytest.param({"rated": "0.000001"}, [], (0, 3), (0, 0.000001, 0.000003), id="staircase"),
    ],
)
def test_registers(
    point: dict[str, str],
    said: list[Said],
    window: tuple[float, float],
    expected: tuple[float, float, float],
) -> None:
    """Sections 3 and 4: low, best and high in kWh of a register point in a window of hours."""
    world = world_of(make_unit(make_point(**point)), said)
    figure = window_figures(world, hour(window[0]), hour(window[1]))["electricity"]
    assert figure[:3] == kwh(*expected)


@pytest.mark.parametrize(
    ("said", "window", "expected", "share"),
    [
        pytest.param([*hourly(5, 6)], (0, 2), (11, 11, 11), 1_000_000, id="measured"),
        pytest.param(
            [*hourly(5), *hourly(6, begin=2)], (0, 3), (11, 61, 111), 666_666, id="hole between"
        ),
        pytest.param([*hourly(6, begin=1)], (0, 2), (6, 56, 106), 500_000, id="hole before"),
        pytest.param([*hourly(5, 130)], (0, 2), (5, 55, 135), 500_000, id="lift: 30 too much"),
        pytest.param(
            [*hourly(130), *hourly(150), *hourly(120)], (0, 1), (0, 50, 150), 0, id="lift: the most"
        ),
        pytest.param(
            [*hourly(130), Said(0, 7, "PT1H", rank=1)],
            (0, 1),
            (7, 7, 7),
            1_000_000,
            id="no lift: won",
        ),
        pytest.param(
            [*hourly(130), Said(0, 7, "PT1H"), Said(0, None, "PT1H")],
            (0, 1),
            (0, 50, 130),
            0,
            id="lift: winner withdrawn",
        ),
        pytest.param([], (-2, 0), (0, 0, 0), 0, id="nothing expected"),
    ],
)
def test_periods(
    said: list[Said],
    window: tuple[float, float],
    expected: tuple[float, float, float],
    share: int,
) -> None:
    """Low, best, high in kWh and the share measured of hours with a rated maximum of 100."""
    world = world_of(make_unit(HOURLY), said)
    figure = window_figures(world, hour(window[0]), hour(window[1]))["electricity"]
    assert figure == (*kwh(*expected), share)


def test_a_lift_counts_once_its_period_has_begun() -> None:
    """It is cut by the period's start, and stands in the hour in which the period begins."""
    point = make_point(statement="PT15M", digits=None)
    world = world_of(make_unit(point), [Said(0.5, 26, "PT15M")])
    assert [
        window_figures(world, hour(0), hour(1), hour(at))["electricity"].high
        for at in (0.25, 0.5, 0.75, 1, 2)
    ] == [*kwh(25, 50, 76, 101, 101)]
    assert [amount.high for _, amount in quarter_hours(world, "main", hour(0), hour(1))] == [
        *kwh(26, 25, 25, 25)
    ]


@pytest.mark.parametrize(
    ("said", "classes", "won"),
    [
        pytest.param([Said(0, 5), Said(0, 5)], "accepted repeated", 5, id="repeat"),
        pytest.param([Said(0, 5), Said(0, 6)], "accepted accepted", 6, id="greater value"),
        pytest.param([Said(0, 6), Said(0, 5)], "accepted superseded", 6, id="smaller value"),
        pytest.param(
            [Said(0, 5), Said(0, 9, rank=4, revision=9)], "accepted superseded", 5, id="rank first"
        ),
        pytest.param(
            [Said(0, 5, revision=1), Said(0, 9, sent=3)], "accepted superseded", 5, id="revision"
        ),
        pytest.param([Said(0, 9), Said(0, 5, sent=3)], "accepted accepted", 5, id="sent_at"),
        pytest.param(
            [Said(0, 5), Said(0, None), Said(0, 5)],
            "accepted accepted repeated",
            None,
            id="withdrawn",
        ),
        pytest.param(
            [Said(0, None), Said(0, 5), Said(0, None)],
            "accepted superseded repeated",
            None,
            id="withdrawn before it came",
        ),
        pytest.param(
            [Said(0, 5), Said(0, None), Said(0, 4, revision=1)],
            "accepted accepted accepted",
            4,
            id="a later revision stands",
        ),
        pytest.param(
            [Said(0, 5), Said(0, None, rank=4)], "accepted accepted", 5, id="withdraws its own rank"
        ),
        pytest.param(
            [Said(0, 5), Said(0, 3, rank=1), Said(0, None)],
            "accepted superseded accepted",
            3,
            id="the next rank wins",
        ),
    ],
)
def test_classes_and_winners(said: list[Said], classes: str, won: float | None) -> None:
    """Section 2: the class of each claim of one identity on arrival, and which wins in the end."""
    outcome = judge_bodies(make_unit(make_point()), (make_section([*said, Said(1, 20)]),))
    counts = [*classes.split(), "accepted"]
    assert list(outcome.account.values()) == [
        {"received": len(counts), "unreadable": 0}
        | {kind: counts.count(kind) for kind in ("accepted", "repeated", "superseded", "rejected")}
    ]
    amount = window_figures(outcome.world(CODE), hour(0), hour(1))["electricity"]
    assert amount[:3] == (kwh(0, 50, 100) if won is None else kwh(*[20 - won] * 3))


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Said(1, 5, point="nobody"), "unknown point"),
        (Said(1, 5, "PT30M"), "unknown statement"),
        (Said(1, 5, measure="MWh"), "wrong unit of measure"),
        (Said(-1, 5), "outside validity"),
        (Said(600, 5), None),
        (Said(600.001, 5), "outside validity"),
        (Said(599, 5, "PT1H"), None),
        (Said(599.5, 5, "PT1H"), "outside validity"),
        (Said(500.08, 5), None),
        (Said(500.09, 5), "future"),
        (Said(500, 5, "PT1H"), "future"),
        (Said(499, 5, sent=500.09), "future"),
        (Said(259.99, 5), "too old"),
        (Said(260, 5), None),
        (Said(300.5, 5, "PT1H"), "off grid"),
        (Said(288, 5, "P1D"), None),
        (Said(296, 5, "P1D"), "off grid"),
        (Said(300, -5), "negative"),
        (Said(300, 999.999999), None),
        (Said(300, 1000), "beyond dial"),
        (Said(300, 100, "PT1H"), None),
        (Said(300, 100.000001, "PT1H"), "faster than rated"),
        (Said(300, None, measure="MWh"), "wrong unit of measure"),
        (Said(300, None), None),
    ],
)
def test_rejections(said: Said, reason: str | None) -> None:
    """The first reason that holds; the unit is live, received_at hour 500, ten days of horizon."""
    others = ("PT1H", "P1D", "P1M")
    point = make_point(others=others, valid_to=moment(hour(600)))
    received = 600 if said.hours > 598 else 500
    unit = make_unit(point, history=False, horizon_days=10)
    outcome = judge_bodies(unit, (make_section([said], received=received),))
    assert [refused.reason for refused in outcome.rejected[CODE]] == ([reason] if reason else [])
    assert len(outcome.claims[CODE]) == (reason is None)


def test_grids() -> None:
    """A point's own anchor is that of its primary statement; the others keep to the hour and day."""
    point = make_point(statement="PT1H", digits=None, others=("P1D", "PT15M"), anchor_ms=300_000)
    good = [Said(1 / 12, 5, "PT1H"), Said(0, 5, "P1D"), Said(0.25, 5, "PT15M")]
    bad = [Said(1, 5, "PT1H"), Said(1 / 12, 5, "P1D"), Said(1 / 12, 5, "PT15M")]
    outcome = judge_bodies(make_unit(point), (make_section(good + bad),))
    assert [claim.at for claim in outcome.claims[CODE]] == [said.at for said in good]
    assert [refused.reason for refused in outcome.rejected[CODE]] == ["off grid"] * 3


def test_a_unit_belongs_to_one_partition() -> None:
    """In another one its readings are of unknown points; the account is kept under its code."""
    unit, own = make_unit(HOURLY, history=False), partition_of(CODE, 8)
    bodies: tuple[Body, ...] = (ApplyConfiguration(1), (make_section(hourly(5)),))
    log = [
        (partition, offset, Record("door", 1, offset, body))
        for partition in (own, (own + 1) % 8)
        for offset, body in enumerate(bodies)
    ]
    outcome = judge_log(log, {1: configured(unit)}, PACK, partitions=8)
    assert [refused.reason for refused in outcome.rejected[CODE]] == ["too old", "unknown point"]


def test_months_follow_the_calendar() -> None:
    """P1M begins at a month's start; one that does not is seen to its month's end, then refused."""
    point = make_point(statement="P1M", digits=None)
    said = [
        Said(31 * 24, 67_200, "P1M"),
        Said(0, 74_400.000001, "P1M"),
        Said(31 * 24 + 8, 5, "P1M"),
    ]
    outcome = judge_bodies(make_unit(point), (make_section(said, received=59 * 24),))
    reasons = [refused.reason for refused in outcome.rejected[CODE]]
    assert reasons == ["faster than rated", "off grid"]
    february = window_figures(outcome.world(CODE), hour(31 * 24), hour(59 * 24))["electricity"]
    assert february[:3] == kwh(67_200, 67_200, 67_200)


def test_account() -> None:
    """Per unit and business day of received_at: whatever came has one class."""
    said = [Said(0, 5), Said(0, 5), Said(0, 4), Said(0, 5, point="nobody"), Said(1, None)]
    outcome = judge_bodies(
        make_unit(make_point()),
        (
            make_section(said, received=23.99, refused=2),
            Unreadable(CODE, hour(24), "no JSON", b"?", 1, ""),
            replace(make_section(said, received=24, refused=1), unit="91510000TEST00002X"),
        ),
    )
    classes = ("received", "accepted", "repeated", "superseded", "rejected", "unreadable")
    assert {key: tuple(counts[c] for c in classes) for key, counts in outcome.account.items()} == {
        (CODE, "2026-01-01"): (7, 2, 1, 1, 3, 0),
        (CODE, "2026-01-02"): (1, 0, 0, 0, 0, 1),
        ("91510000TEST00002X", "2026-01-02"): (6, 0, 0, 0, 6, 0),
    }
    assert {r.reason for r in outcome.rejected["91510000TEST00002X"]} == {"unknown point"}


@pytest.mark.parametrize(
    ("declared", "window", "native", "energy_high"),
    [
        pytest.param([], (0, 100), (5, 5, None), None, id="undeclared"),
        pytest.param(["electricity"], (0, 100), (12, 13, 14), None, id="for electricity alone"),
        pytest.param(["energy"], (0, 100), (5, 5, None), 9_000_614, id="for energy alone"),
        pytest.param(["electricity"], (24, 100), (5, 5, None), None, id="not for a later window"),
        pytest.param(["electricity"], (0, 99), (0, 0, 0), 0, id="a window that ends before it"),
        pytest.param(["electricity"], (99, 100), (5, 5, 5), 614, id="a window that begins with it"),
    ],
)
def test_opening(
    declared: list[str],
    window: tuple[float, float],
    native: tuple[float, float, float | None],
    energy_high: int | None,
) -> None:
    """A year that began before the unit's points adds the declared balance, else [0, unknown]."""
    balances = {"electricity": (7, 8, 9), "energy": (7, 8, 9)}
    openings = [
        make_opening(quantity, *balance)
        for quantity, balance in balances.items()
        if quantity in declared
    ]
    point = make_point(statement="PT1H", digits=None, valid_from=moment(hour(99)))
    world = world_of(make_unit(point, openings=openings), hourly(5, begin=99))
    figures = window_figures(world, hour(window[0]), hour(window[1]))
    scale = [None if amount is None else scaled(amount)[0] for amount in native]
    assert [*figures["electricity"][:3]] == scale
    assert figures["energy"].high == energy_high


@pytest.mark.parametrize(
    ("said", "window", "energy"),
    [
        # 0.1229 kgce/kWh: 5 kWh are 614.5 and 15 kWh 1843.5 grams
        pytest.param(hourly(5), (0, 1), (614, 614, 614), id="half to even, down"),
        pytest.param(hourly(15), (0, 1), (1844, 1844, 1844), id="half to even, up"),
        pytest.param(hourly(5, 5), (0, 2), (1228, 1228, 1228), id="hour by hour"),
        pytest.param(
            hourly(5), (0, 2), (613, 614 + 6145, 614 + 12290 + 1), id="an open hour is inexact"
        ),
        pytest.param(
            hourly(5, 130),
            (0, 2),
            (613, 614 + 6145, 614 + 15977 + 1),
            id="a lifted hour is inexact",
        ),
        pytest.param([], (-5, 0), (0, 0, 0), id="no validity is exact"),
    ],
)
def test_conversion(
    said: list[Said], window: tuple[float, float], energy: tuple[int, int, int]
) -> None:
    """Section 5: energy in grams of standard coal."""
    world = world_of(make_unit(HOURLY), said)
    assert window_figures(world, hour(window[0]), hour(window[1]))["energy"][:3] == energy


def test_a_piece_over_the_hour_is_converted_once() -> None:
    """10 kWh over the hour's edge: 1229 g once, widened by one for each of the two hours."""
    point = make_point(valid_from=moment(hour(0.5)), valid_to=moment(hour(1.5)))
    world = world_of(make_unit(point), [Said(0.5, 0), Said(1.5, 10)])
    energy = window_figures(world, hour(0), hour(2))["energy"]
    assert energy == (1227, 614 + 614, None, 1_000_000)  # no opening
    energy = window_figures(world, hour(1), hour(2))["energy"]
    assert energy == (0, 614, 1230, 1_000_000)


def test_a_piece_that_the_tick_cuts_leaves_its_hour_inexact() -> None:
    """10 kWh from 0:00 to 0:30 are known at 0:30; at 0:15 only that they are at most 10."""
    world = world_of(make_unit(make_point(rated="40")), [Said(0, 0), Said(0.5, 10)])
    at_half = window_figures(world, hour(0), hour(1), hour(0.5))
    assert at_half["energy"][:3] == (1229, 1229, 1229)
    at_quarter = window_figures(world, hour(0), hour(1), hour(0.25))
    assert at_quarter["electricity"][:3] == kwh(0, 5, 10)
    assert at_quarter["energy"][:3] == (0, 614, 1230)


@pytest.mark.parametrize(
    ("rated", "quota", "said", "tick", "expected"),
    [
        # 10 kWh an hour are 1229 g; with 20 kW at most, hour 1 holds 5 kWh at 1:45 for certain
        ("20", "0.001229", hourly(10), 1, ("PASS", None, None, False)),
        ("20", "0.001228", hourly(10), 1, ("FAIL", None, 1, False)),
        ("20", "0.001229", hourly(10, 10), 2, ("FAIL", None, 1.75, False)),
        # 10 kW: 2.5 kWh at 1:15 make 1229 + 307 − 1; a quota just reached is not broken
        ("10", "0.001534", hourly(10, 10), 2, ("FAIL", None, 1.25, False)),
        ("10", "0.001535", hourly(10, 10), 2, ("FAIL", None, 1.5, False)),
        # the tick is inside the quarter hour: its end counts
        ("20", "0.001228", hourly(10), 1.1, ("UNDECIDABLE", "missing data", None, True)),
        ("20", "0.001227", hourly(10), 1.1, ("FAIL", None, 1, False)),
        ("10", "0.001535", hourly(10, 10), 1.3, ("FAIL", None, 1.5, False)),
        ("20", "0.001229", hourly(10), 2, ("UNDECIDABLE", "missing data", None, True)),
        ("20", "0.003", hourly(10), 2, ("UNDECIDABLE", "missing data", None, False)),
        ("20", "0.004", hourly(10), 2, ("PASS", None, None, False)),
        ("20", "0.001229", hourly(10, 10), 1.5, ("UNDECIDABLE", "ambiguous data", None, True)),
    ],
)
def test_verdict(
    rated: str,
    quota: str,
    said: list[Said],
    tick: float,
    expected: tuple[str, str | None, float | None, bool],
) -> None:
    """Section 6: verdict, reason, since (in hours) and suspicion of a year against its quota."""
    point = make_point(statement="PT1H", digits=None, rated=rated)
    quotas = [Quota.model_validate({"year": 2026, "energy_tce": quota, "source": "test"})]
    judged = judged_at(make_unit(point, quotas=quotas), said, tick)
    verdict, reason, begun, suspected = expected
    assert judged[:4] == (verdict, reason, None if begun is None else hour(begun), suspected)


def test_verdict_with_an_unknown_opening() -> None:
    """A breach is still seen; nothing else is decided."""
    point = make_point(statement="PT1H", digits=None, valid_from=moment(hour(5)))
    for quota, verdict, reason in (
        ("0.0005", "FAIL", None),
        ("9", "UNDECIDABLE", "opening unknown"),
    ):
        quotas = [Quota.model_validate({"year": 2026, "energy_tce": quota, "source": "test"})]
        judged = judged_at(make_unit(point, quotas=quotas), hourly(5, begin=5), 6)
        assert judged[:2] == (verdict, reason)
        assert judged.since == (hour(6) if verdict == "FAIL" else None)


def test_since_is_kept_while_the_verdict_stays() -> None:
    """It is found at the tick that finds the FAIL, and anew after another verdict."""
    point = make_point(statement="PT1H", digits=None, rated="20")
    quotas = [Quota.model_validate({"year": 2026, "energy_tce": "0.001229", "source": "test"})]
    first_hour = (Said(0, value, "PT1H", revision=i) for i, value in enumerate((10, 20, 0, 20)))
    said = [next(first_hour), Said(1, 10, "PT1H"), *first_hour, Said(2, 0, "PT1H")]
    section = make_section(said, ticks=[(2, 2), (3, 2.1), (4, 2.2), (6, 3)])
    outcome = judge_bodies(make_unit(point, quotas=quotas), (section,))
    told = [outcome.judged(CODE, i) for i in range(4)]
    assert [judged.verdict for judged in told] == ["FAIL", "FAIL", "UNDECIDABLE", "FAIL"]
    assert [judged.since for judged in told] == [hour(1.75), hour(1.75), None, hour(0.75)]


def test_what_adds_nothing_is_not_missing() -> None:
    """An open end in which nothing can have passed leaves the data ambiguous at most."""
    point = make_point(statement="PT1H", digits=None, rated="0.000001")
    quotas = [Quota.model_validate({"year": 2026, "energy_tce": "0", "source": "test"})]
    for tick, reason in ((1.5, "ambiguous data"), (2, "missing data")):
        judged = judged_at(make_unit(point, quotas=quotas), hourly(0), tick)
        assert judged[:2] == ("UNDECIDABLE", reason)


def test_hours_are_inexact_from_the_earliest_open_end_on() -> None:
    """Also those after the validity that it ends with: 100 kWh missing, and two hours' gram."""
    ended = make_point("ended", statement="PT1H", digits=None, valid_to=moment(hour(1)))
    world = world_of(make_unit(HOURLY, ended), hourly(5, 5))
    assert window_figures(world, hour(0), hour(2))["energy"][:3] == (1227, 7373, 13521)


@pytest.mark.parametrize(
    ("tick", "silent"), [(3.5, {}), (3.500001, {"main": 3}), (9, {"main": 3}), (10, {})]
)
def test_silence(tick: float, silent: dict[str, float]) -> None:
    """Valid, and its end further back than cadence and tolerance: by default two quarter hours."""
    point = make_point(valid_to=moment(hour(10)))
    judged = judged_at(make_unit(point), [Said(1, 0), Said(3, 5)], tick)
    assert judged.silent == {name: hour(since) for name, since in silent.items()}


def test_a_tick_judges_what_stands_before_it() -> None:
    """A section's tick stands after `position` of its readings, and judges what lies before."""
    section = make_section(hourly(1, 2, 4), ticks=[(1, 1), (3, 2), (3, 2), (3, 744)])
    outcome = judge_bodies(make_unit(HOURLY), (section,))
    assert outcome.ticks == [
        HonouredTick(0, 1, 0, hour(1), CODE),
        HonouredTick(0, 1, 1, hour(2), CODE),
        HonouredTick(0, 1, 3, hour(744), CODE),
    ]
    lows = []
    for i in range(3):
        windows = outcome.at_tick(i)[CODE].windows
        lows.append([windows[kind].figures["electricity"].low for kind in windows])
        assert windows["year"][:2] == (NEW_YEAR, year_start(2027))
    assert lows == [[*kwh(1, 1, 1, 1)], [*kwh(2, 3, 3, 3)], [*kwh(0, 0, 7, 7)]]


def test_ticks_of_live_units_and_of_history() -> None:
    """A partition's tick is for its live units; a unit in history takes those of its sections."""
    section = make_section(hourly(1), ticks=[(1, 10)])
    late = make_section([], ticks=[(0, 99)])
    bodies: list[Body] = [
        Tick(hour(5)),
        (section,),
        Tick(hour(5)),
        Tick(hour(4)),
        HistoryEnds(CODE),
    ]
    bodies += [Tick(hour(9)), Tick(hour(11)), (late,), Tick(hour(11))]
    outcome = judge_bodies(make_unit(HOURLY), *bodies)
    ticks = [
        (tick.offset, tick.at, tick.unit, outcome.told_at(i))
        for i, tick in enumerate(outcome.ticks)
    ]
    assert ticks == [
        (1, hour(5), None, []),
        (2, hour(10), CODE, [CODE]),
        (6, hour(9), None, []),
        (7, hour(11), None, [CODE]),
    ]


def test_a_tick_before_the_first_validity_tells_nobody() -> None:
    """It tells a unit that has a point whose validity began before it."""
    outcome = judge_bodies(make_unit(HOURLY, history=False), Tick(hour(0)), Tick(hour(0.01)))
    assert [outcome.told_at(i) for i in (0, 1)] == [[], [CODE]]


# Laws.

SPAN = range(hour(-6), hour(42), HOUR_MS)
RATED = ("0.000001", "0.37", "4.999999", "60", "777.7", "1800", "9000000")
STEPS = (QUARTER_MS // 3, 7 * 60_000, QUARTER_MS, QUARTER_MS, HOUR_MS, 3 * HOUR_MS + 1, DAY_MS)
PARTS = (Fraction(0), Fraction(1, 7), Fraction(1, 3), Fraction(2, 3), Fraction(1))
surprises = st.one_of(st.just([]), *[st.lists(st.integers(0, 20), min_size=6, max_size=24)] * 4)


@st.composite
def points(draw: st.DrawFn, name: str) -> Point:
    """A point that begins and perhaps ends within the span."""
    begin = draw(st.sampled_from([-24, -3, 0, 0, 2.34]))
    end = draw(st.sampled_from([None, None, None, 20, 33.21]))
    return make_point(
        name,
        rated=draw(st.sampled_from(RATED)),
        quantity=draw(st.sampled_from(["electricity"] * 3 + ["raw_coal"] * 2 + ["output"])),
        statement=draw(st.sampled_from(["register"] * 4 + ["PT15M", "PT30M", "PT1H", "P1D"])),
        multiplier=draw(st.sampled_from([1, 1, 7])),
        valid_from=moment(hour(begin)),
        valid_to=None if end is None else moment(hour(end)),
    )


@st.composite
def registers(draw: st.DrawFn, point: Point) -> list[Said]:
    """A register that mostly counts evenly in time what may pass, and sometimes anything."""
    said: list[Said] = []
    at, dial = point.begins, 1000 * SCALE
    value, step = draw(st.integers(0, dial - 1)), draw(st.sampled_from(STEPS))
    for surprise in draw(surprises):
        if said:
            at += draw(st.sampled_from(STEPS)) if surprise == 1 else step
            part = draw(st.sampled_from(PARTS))
            value += int(part * allowed(point.rated, said[-1].at, at)) // point.multiplier
        value = draw(st.integers(0, dial - 1)) if surprise == 2 else value % dial
        said.append(as_said(point, at, value, 1 if surprise == 3 else 5))
    return said


@st.composite
def periods(draw: st.DrawFn, point: Point) -> list[Said]:
    """Periods with holes; some are withdrawn, some too fast, some claimed twice."""
    length = LENGTH_MS[point.statement]
    at = -(-(point.begins - point.anchor) // length) * length + point.anchor
    said = []
    for surprise in draw(surprises):
        most = allowed(point.rated, at, at + length)
        value = int(draw(st.sampled_from(PARTS)) * most)
        if surprise in {4, 5}:
            said.append(as_said(point, at, most + draw(st.integers(1, 10**7)), 5))
        if surprise != 4:
            said.append(as_said(point, at, None if surprise == 1 else value, 5))
        if surprise == 2:
            said.append(as_said(point, at, most // 3, 1))
        at += 3 * length if surprise == 3 else length
    return said


def as_said(point: Point, at: int, value: int | None, rank: int) -> Said:
    """A reading of a point at an instant."""
    hours = (at - NEW_YEAR) / HOUR_MS
    kwh_said = None if value is None else as_decimal(value)
    return Said(hours, kwh_said, point.statement, point.name, rank, measure=point.unit_of_measure)


class Case(NamedTuple):
    """A unit and what was said of it."""

    unit: Unit
    said: list[Said]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A unit of one to three points, with or without opening and quota."""
    names = ["main", "second", "third"][: draw(st.integers(1, 3))]
    chosen = [draw(points(name)) for name in names]
    said = [
        item
        for point in chosen
        for item in draw(registers(point) if point.statement == "register" else periods(point))
    ]
    openings = [
        make_opening(quantity, 0, 1, draw(st.integers(1, 3)))
        for quantity in ("electricity", "energy", "co2")
        if draw(st.booleans())
    ]
    quotas = [Quota(year=2026, energy_tce=quota_near(draw, chosen), source="test")]
    return Case(make_unit(*chosen, openings=openings, quotas=quotas), said)


def quota_near(draw: st.DrawFn, chosen: Sequence[Point]) -> Decimal:
    """A quota that a day at a part of the rated maximum uses up."""
    carriers = [point for point in chosen if point.quantity != "output"]
    factors = [PACK.factor(point.quantity, "energy", 2026) for point in carriers]
    day = sum(
        24 * p.rated * f.numerator // f.denominator for p, f in zip(carriers, factors, strict=True)
    )
    return as_decimal(int(draw(st.sampled_from([Fraction(0), Fraction(1, 30), *PARTS])) * day))


ticks = st.one_of(
    st.sampled_from(SPAN[1:]),
    st.integers(SPAN[0] + 1, SPAN[-1]),
    st.sampled_from(range(NEW_YEAR, SPAN[-1], QUARTER_MS)),
)


def judge_case(case: Case, tick: int) -> tuple[World, Judged]:
    """The case's unit at a tick after all."""
    section = replace(make_section(case.said), ticks=((len(case.said), tick),))
    outcome = judge_bodies(case.unit, (section,))
    return outcome.world(CODE), outcome.judged(CODE, 0)


def windows_of(tick: int) -> Iterator[tuple[int, int]]:
    """Windows to compare: hours, days, the year, and others over the tick."""
    yield from ((hour(h), hour(h + 1)) for h in (-3, 0, 1, 5))
    yield from ((hour(24 * day), hour(24 * day + 24)) for day in (-1, 0, 1))
    yield NEW_YEAR, year_start(2027)
    yield SPAN[3], SPAN[-1]
    yield tick - tick % HOUR_MS, tick + HOUR_MS


def must_stay(world: World) -> set[tuple[str, int]]:
    """(point, instant) of both readings of every event."""
    return {
        (name, at)
        for name, course in world.courses.items()
        for piece in course.pieces
        if piece.kind == "event"
        for at in (piece.start, piece.end)
    }


def drop(case: Case, world: World, dropped: Sequence[bool]) -> Case:
    """The case without the accepted claims of some identities; rejected ones and events' stay."""
    won = [
        (said.point, said.at) for said in case.said if is_won(world.courses[said.point], said.at)
    ]
    identities = sorted({*won} - must_stay(world))
    gone = {identity for identity, out in zip(identities, dropped, strict=False) if out}

    def stays(said: Said) -> bool:
        return (said.point, said.at) not in gone or too_fast(world.courses[said.point], said)

    return Case(case.unit, [said for said in case.said if stays(said)])


def is_won(course: Course, at: int) -> bool:
    """Whether the identity has a winner: a register's ends a piece, or is the end."""
    if course.point.statement == "register":
        return at == course.end or any(at == piece.end for piece in course.pieces)
    return any(piece.kind == "known" and piece.start == at for piece in course.pieces)


def too_fast(course: Course, said: Said) -> bool:
    """Whether a reading is rejected for its value alone."""
    if course.point.statement == "register" or said.value is None:
        return False
    end = said.at + LENGTH_MS[course.point.statement]
    return scaled(said.value)[0] > allowed(course.rated, said.at, end)


def inside(narrow: Sequence[int | None], wide: Sequence[int | None]) -> bool:
    """Whether (low, best, high) lies in another; best is not of the law."""
    (low, _, high), (lower, _, higher) = narrow[:3], wide[:3]
    assert low is not None
    assert lower is not None
    return lower <= low and (higher is None or (high is not None and high <= higher))


@given(cases(), ticks, st.lists(st.booleans(), min_size=72, max_size=72))
def test_dropping_readings_narrows_nothing(case: Case, tick: int, dropped: list[bool]) -> None:
    """The law: every interval of all readings lies inside that of a part of them.

    So dropping readings turns neither FAIL nor UNDECIDABLE into PASS, and PASS never into FAIL.
    """
    full, judged = judge_case(case, tick)
    part, judged_part = judge_case(drop(case, full, dropped), tick)
    for start, end in windows_of(tick):
        narrow = window_figures(full, start, end, tick)
        wide = window_figures(part, start, end, tick)
        for quantity, figure in narrow.items():
            assert inside(figure, wide[quantity]), (quantity, start, end)
    for name in full.courses:
        quarters = zip(
            quarter_hours(full, name, NEW_YEAR, hour(4), tick),
            quarter_hours(part, name, NEW_YEAR, hour(4), tick),
            strict=True,
        )
        assert all(inside(a, b) for (_, a), (_, b) in quarters)
    changed = judged.verdict, judged_part.verdict
    assert changed[0] == changed[1] or changed[1] == "UNDECIDABLE"


@given(cases(), ticks)
def test_since_is_the_first_quarter_hour(case: Case, tick: int) -> None:
    """Found by halves, it is what trying every quarter hour finds."""
    world, _ = judge_case(case, tick)
    if not world.carriers or tick <= NEW_YEAR:
        return
    quota = low_of(world, Span(NEW_YEAR, tick, tick)) * 2 // 3
    ends = range(NEW_YEAR + QUARTER_MS, tick + QUARTER_MS, QUARTER_MS)
    lows = ((t, low_of(world, Span(NEW_YEAR, t, min(t, tick)))) for t in ends)
    first = next((t for t, low in lows if low > quota), None)
    assert first is None or since(world, quota, NEW_YEAR, tick) == first


@given(cases(), ticks, st.sampled_from(["energy", "co2"]))
def test_conversion_by_the_letter(case: Case, tick: int, target: str) -> None:
    """The sums that the oracle keeps ready are those of section 5, hour by hour."""
    world, _ = judge_case(case, tick)
    for start, end in windows_of(tick):
        span = Span(start, end, tick)
        if end - start > 3 * DAY_MS or span.cut == start:
            continue
        for carrier in world.carriers:
            by_letter = converted_by_the_letter(world, carrier, target, span)
            (cell,) = world.counting(carrier)
            assert converted(world, cell, target, span) == by_letter


def converted_by_the_letter(world: World, carrier: str, target: str, span: Span) -> Amount:
    """Section 5 as it is written."""
    courses = world.of(carrier)
    (cell,) = world.counting(carrier)
    factor = world.factor(cell, target, span.start)
    f = Fraction(factor.numerator, factor.denominator)
    exact, inexact, best, rounded = 0, 0, 0, 0
    for begin in range(span.start, span.cut, HOUR_MS):
        end = min(begin + HOUR_MS, span.cut)
        pieces = total(pieces_by_the_letter(course, begin, end) for course in courses)
        best += round(f * pieces.best)
        if all(exact_by_the_letter(course, begin, end, span.at) for course in courses):
            exact += pieces.best
            rounded += round(f * pieces.best)
        else:
            inexact += 1
    open_ends = total(course.untold(span.start, span.cut) for course in courses)
    lifted = sum(
        lift.excess
        for course in courses
        for lift in course.lifts
        if span.start <= lift.hour < span.end and lift.start < span.at
    )
    native = total(
        [
            Amount(high=lifted),
            open_ends,
            *(pieces_by_the_letter(course, span.start, span.cut) for course in courses),
        ]
    )
    low = rounded + (f * (native.low - exact)).__floor__() - inexact
    high = rounded + (f * (native.high - exact)).__ceil__() + inexact
    return Amount(max(0, low), best + round(f * open_ends.best), high)


def pieces_by_the_letter(course: Course, start: int, end: int) -> Amount:
    """The parts of all pieces in [start, end)."""
    parts = ((piece, max(start, piece.start), min(end, piece.end)) for piece in course.pieces)
    return total(course.part(piece, x, y) for piece, x, y in parts if x < y)


def exact_by_the_letter(course: Course, start: int, end: int, at: int) -> bool:
    """Whether all validity in an hour is covered by exact pieces inside it, and nothing lifted."""
    covered = sum(
        piece.end - piece.start
        for piece in course.pieces
        if piece.exact and start <= piece.start and piece.end <= end
    )
    lifted = any(start <= lift.hour < end and lift.start < at for lift in course.lifts)
    opened = course.end < min(end, course.ends)
    return covered == course.expected(start, end) and not lifted and not opened
