"""Regions and industries: sums reconcile to the last digit, and what is told is a function of the log."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.aggregation import (
    Member,
    Span,
    Telling,
    amount_of,
    scope_of,
    scopes_of,
    summed,
    tellings_in,
    told_sum,
)
from processors.region_rows import HourRows
from schemas.calendar import HOUR_MS, year_start
from schemas.double_control import NOTHING, Amount
from schemas.regions import LevelChange, Line, Sum, Window
from schemas.scale import LARGEST
from tests.processors.told_logs import BEGIN, END, LOGS, Hours, World, cut_of, worlds

YEAR = Span("year", year_start(2026), year_start(2027))
NOON = year_start(2026) + 12 * HOUR_MS


def telling(unit: str, *, as_of: int = NOON, energy: Amount = NOTHING, share: int = 0) -> Telling:
    return Telling(unit, YEAR, as_of, "reading", 0, None, True, share, energy, NOTHING)  # noqa: FBT003 - as in its fields


# ---- Sums


def added(sums: Iterable[Sum]) -> Sum:
    total = NOTHING
    for one in sums:
        total += Amount(one.low, one.best, one.high)
    return told_sum(total)


def of_all(rows: dict[str, Window], level: str, under: str = "") -> list[Window]:
    return [row for scope, row in rows.items() if scope.startswith(f"{level}:{under}")]


@settings(max_examples=LOGS)
@given(worlds())
def test_sums_reconcile_to_the_last_digit(world: World) -> None:
    """Unit → county → city → province and unit → industry, energy and CO2, low, best and high, and every count."""
    joined = [
        f"{scope}+industry:{industry}"
        for scope in sorted({s for m in world.members for s in scopes_of(m)[:-1]})
        for industry in ("26", "31")
    ]
    hours = Hours(world).run(world.log)
    for hour, told in hours.told.items():
        for span in told.windows:
            rows = _summed_again(world, span, hour, joined)
            _check_tree(world, span, hour, rows)
            plain = {scope: row for scope, row in rows.items() if "+" not in scope}
            named = {s: r for s, r in told.windows[span].items() if "+" not in s}
            assert plain == named


def _summed_again(world: World, span: Span, hour: int, joined: list[str]) -> dict[str, Window]:
    return summed(world.members, directly(world, span, hour), span, hour, joined)


def _check_tree(world: World, span: Span, hour: int, rows: dict[str, Window]) -> None:
    told = directly(world, span, hour)
    mine = [member for member in world.members if member.begins < min(hour, span.end)]
    for quantity in ("energy", "co2"):
        of_unit = {
            one.unit: told_sum(amount_of(told.get(one.unit), quantity, hour)) for one in mine
        }
        for scope, row in rows.items():
            inside = [one for one in mine if set(scope.split("+")) <= set(scopes_of(one))]
            assert getattr(row, quantity) == added(of_unit[one.unit] for one in inside)
            assert row.counts.units == len(inside)
        by_industry = added(getattr(row, quantity) for row in of_all(rows, "industry"))
        by_province = added(getattr(row, quantity) for row in _plain(rows, "province"))
        assert by_industry == by_province == added(of_unit.values())
        _check_children(mine, rows, of_unit, quantity)


def _plain(rows: dict[str, Window], level: str) -> list[Window]:
    return [row for scope, row in rows.items() if scope.startswith(level) and "+" not in scope]


def _check_children(
    mine: list[Member], rows: dict[str, Window], of_unit: dict[str, Sum], quantity: str
) -> None:
    """A region is the regions right below it and the units of its own code; and its industries."""
    parts: dict[str, dict[str, Sum]] = defaultdict(dict)
    for member in mine:
        *places, industry = scopes_of(member)
        for place, below in zip(places, [*places[1:], ""], strict=True):
            part = getattr(rows[below], quantity) if below else of_unit[member.unit]
            parts[place][below or member.unit] = part
            parts[f"{place} by industry"][industry] = getattr(rows[f"{place}+{industry}"], quantity)
    for place, its in parts.items():
        assert getattr(rows[place.removesuffix(" by industry")], quantity) == added(its.values())


def test_a_sum_that_no_column_holds_has_no_upper_end() -> None:
    """And its lower end still is one."""
    huge = Amount(LARGEST, LARGEST, LARGEST)
    assert told_sum(huge + huge) == Sum(low=LARGEST, best=LARGEST, high=None)


@settings(max_examples=LOGS)
@given(worlds(), st.data())
def test_who_tells_less_makes_nothing_look_better(world: World, data: st.DataObject) -> None:
    """Without the last message of a unit no lower end rises but by a correction, and what was unknown stays so."""
    unit = data.draw(st.sampled_from([member.unit for member in world.members]))
    silent = tuple(
        tuple(e for e in events if not e.payload or tellings_in(e.payload)[0].unit != unit)
        for events in world.log
    )
    all_told, without = Hours(world).run(world.log), Hours(replace(world, log=silent)).run(silent)
    for hour, rows in without.told.items():
        for span, by_scope in rows.windows.items():
            for scope, row in by_scope.items():
                full = all_told.told[hour].windows[span][scope]
                assert row.energy.low <= full.energy.low
                assert row.energy.high is None or row.energy.high == full.energy.high
                assert row.share_measured <= full.share_measured
                assert row.counts.units == full.counts.units


# ---- A function of the log


def directly(world: World, span: Span, hour: int) -> dict[str, Telling]:
    """The rule itself: of what stands before the cut and was told for no later instant, the newest of each unit."""
    found: dict[str, Telling] = {}
    for events in world.log:
        cut = cut_of(events, hour)
        assert cut is not None
        for event in events[: cut + 1]:
            for one in tellings_in(event.payload) if event.payload else []:
                held = found.get(one.unit)
                if (
                    one.span == span
                    and one.as_of <= hour
                    and (held is None or held.as_of <= one.as_of)
                ):
                    found[one.unit] = one
    return found


def messages_of(hours: Hours) -> dict[int, list[str]]:
    return {
        hour: [message.model_dump_json() for message in rows.messages]
        for hour, rows in hours.told.items()
    }


@settings(max_examples=LOGS)
@given(worlds(), st.integers(0, 2**32).map(Random))
def test_a_late_run_tells_what_a_punctual_one_told(world: World, pace: Random) -> None:
    """However the log came and whenever it was looked at: each hour the same bytes."""
    late = Hours(world).run(world.log)
    punctual = Hours(world)
    seen = [0] * len(world.log)
    while any(at < len(events) for at, events in zip(seen, world.log, strict=True)):
        for partition, events in enumerate(world.log):
            seen[partition] = min(len(events), seen[partition] + pace.randrange(13))
        punctual.run([events[:at] for at, events in zip(seen, world.log, strict=True)])
    assert messages_of(punctual) == messages_of(late)
    assert sorted(late.told) == list(range(BEGIN, END + 1, HOUR_MS))


@settings(max_examples=LOGS)
@given(worlds())
def test_a_waterfall_sums_to_its_change(world: World) -> None:
    """Each change of level at each hour: low, best and high, to the last digit."""
    for rows in Hours(world).run(world.log).told.values():
        for change in changes_of(rows):
            total = added_lines(change.lines)
            told = change.change
            assert (total.low, total.best, total.high) == (told.low, told.best, told.high)
            assert change.before != change.after


def changes_of(rows: HourRows) -> list[LevelChange]:
    return [one.said.changed for one in rows.judged if one.said.changed is not None]


def added_lines(lines: Iterable[Line]) -> Amount:
    return sum((Amount(line.low, line.best, line.high) for line in lines), NOTHING)


# ---- By hand


def test_who_is_behind_leaves_the_upper_end_unknown() -> None:
    """Told to eleven: a lower end at noon. Told nothing: neither. Both are pending."""
    members = [Member(f"U{n}", "510402", "31", 0) for n in range(3)]
    told = {
        "U0": telling("U0", energy=Amount(1, 2, 3), share=900_000),
        "U1": telling("U1", as_of=NOON - HOUR_MS, energy=Amount(10, 20, 30), share=1_000_000),
    }
    rows = summed(members, told, YEAR, NOON)
    assert sorted(rows) == ["city:510400", "county:510402", "industry:31", "province:510000"]
    row = rows["city:510400"]
    assert row.energy == Sum(low=11, best=22, high=None)
    assert (row.counts.units, row.counts.told, row.counts.pending) == (3, 1, 2)
    assert row.share_measured == 300_000
    broken = told | {"U1": told["U1"]._replace(verdict="FAIL")}
    assert summed(members, broken, YEAR, NOON)["industry:31"].counts.broken == 1
    behind = summed(members[:2], told, YEAR, NOON)["city:510400"]
    assert behind.energy == Sum(low=11, best=22, high=None)
    assert summed(members[:1], told, YEAR, NOON)["city:510400"].energy.high == 3


@pytest.mark.parametrize(
    ("code", "scope"),
    [
        ("510000", "province:510000"),
        ("510400", "city:510400"),
        ("510402", "county:510402"),
        ("industry:31", "industry:31"),
        ("city:510400+industry:31", "city:510400+industry:31"),
    ],
)
def test_scope_of(code: str, scope: str) -> None:
    """By the digits of GB/T 2260."""
    assert scope_of(code) == scope
