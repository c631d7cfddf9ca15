"""What is told of landings: nobody looks better for what is missing, and only what stands in the log counts."""

import json
from collections.abc import Mapping
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.landing_shown import headroom, landing_shown, render_landing
from processors.landing_told import DayTold, Row, YearTold, days_in, landed_of, row_of, years_in
from schemas.calendar import DAY_MS, HOUR_MS, year_start
from schemas.double_control import Amount
from schemas.landing import Landed
from schemas.scale import SCALE, as_text

UNIT = "91510100SYN0000001"
JANUARY = year_start(2026)
BEFORE = year_start(2025)
Days = Mapping[int, Amount]


def level(
    count: int, tce: float = 1, *, since: int = JANUARY, spread: float = 0
) -> dict[int, Amount]:
    """Days of one amount, and as much on both sides of it."""
    one, apart = int(tce * SCALE), int(spread * SCALE)
    return {since + i * DAY_MS: Amount(one - apart, one, one + apart) for i in range(count)}


def year_of(days: Days, *, quota: int | None, behind: int = 0, known: bool = True) -> YearTold:
    """The year's figure as the sum of its days."""
    mine = [one for start, one in days.items() if start >= JANUARY]
    at = JANUARY + len(mine) * DAY_MS
    high = sum(one.high or 0 for one in mine) if known else None
    ends = sum(one.low for one in mine), sum(one.best for one in mine), high
    return YearTold(UNIT, JANUARY, at - behind, *ends, SCALE, quota, ("f",), unverified=False, history=False)  # fmt: skip


def told(days: Days, quota: float, *, behind: int = 0, known: bool = True) -> Landed:
    its = year_of(days, quota=int(quota * SCALE), behind=behind, known=known)
    at = JANUARY + sum(start >= JANUARY for start in days) * DAY_MS
    return landed_of(its, int(quota * SCALE), begins=BEFORE, at=at, days=days)


@pytest.mark.parametrize(
    ("days", "quota", "state", "reason"),
    [
        pytest.param(level(100), 99, "broken", None, id="used already"),
        pytest.param(level(100), 250, "will break", None, id="the low end is over"),
        pytest.param(level(100), 350, "may break", None, id="the expected year is over"),
        pytest.param(level(100), 365, "on track", None, id="exactly the quota is kept"),
        pytest.param(level(100, spread=0.2), 400, "cannot be said", "too little measured", id="438 if at its most"),
        pytest.param(level(100, spread=0.2), 440, "on track", None, id="even at its most"),
        pytest.param(level(20), 365, "cannot be said", "too few days", id="three weeks are not over"),
        pytest.param(level(365, since=BEFORE) | level(20), 365, "on track", None, id="last year is known"),
        pytest.param({k: v for k, v in level(100).items() if k != JANUARY + 9 * DAY_MS} | level(1, since=JANUARY - DAY_MS),
                     365, "cannot be said", "behind", id="a day less"),
    ],
)  # fmt: skip
def test_states(days: Days, quota: float, state: str, reason: str | None) -> None:
    """365 tce a year are expected; the interval after 100 days is about 46 tce to each side."""
    landed = told(days, quota) if reason != "behind" else told(days, quota, behind=DAY_MS)
    assert (landed.state, landed.reason) == (state, reason)
    assert (landed.projected is None) == (reason in {"too few days", "behind"})


def test_what_is_not_known_is_said() -> None:
    """A day that was not told to its end, an opening that nobody declared, a unit behind; and what is broken is so all the same."""
    hole = dict(level(100))
    del hole[JANUARY + 9 * DAY_MS]
    year = year_of(level(100), quota=365 * SCALE)
    at = JANUARY + 100 * DAY_MS
    assert landed_of(year, 365 * SCALE, begins=BEFORE, at=at, days=hole).reason == "days missing"
    assert landed_of(year, 99 * SCALE, begins=BEFORE, at=at, days=hole).state == "broken"
    assert (
        landed_of(year, 365 * SCALE, begins=JANUARY + 9 * DAY_MS + 1, at=at, days=hole).reason
        is None
    )
    assert told(level(100), 365, known=False).reason == "opening unknown"
    assert told(level(100), 250, known=False).state == "will break"
    assert told(level(100), 99, behind=HOUR_MS).state == "broken"
    assert told(level(100), 365, behind=HOUR_MS).used.high is None


def test_only_who_has_a_quota_has_a_row() -> None:
    """And another quota than the midnight before is the cause."""
    days, at = level(30), JANUARY + 30 * DAY_MS

    def row(quota: int | None, before: int | None) -> Row | None:
        year = year_of(days, quota=quota)
        return row_of(year, begins=BEFORE, at=at, days=days, before=before)

    assert row(None, 5) is None
    found = row(5, None), row(5, 5), row(5, 6)
    assert [one and one.cause for one in found] == ["reading", "reading", "limit"]


# ---- The law

amounts = st.integers(0, 3 * SCALE)
ends = st.tuples(amounts, amounts, amounts).map(lambda three: Amount(*sorted(three)))
exact_days = st.builds(lambda one: Amount(one, one, one), amounts)


@st.composite
def years(draw: st.DrawFn) -> tuple[Days, Days]:
    """Days as told, and as they would be told with fewer readings: no end moves inwards, the best estimate anywhere between."""
    count = draw(st.integers(0, 60))
    before = draw(st.booleans())
    starts = [JANUARY + i * DAY_MS for i in range(count)]
    starts += [BEFORE + i * DAY_MS for i in range(365)] if before else []
    pattern = draw(st.lists(ends | exact_days, min_size=1, max_size=10))
    wider = draw(
        st.lists(st.tuples(amounts, amounts, st.integers(0, 100)), min_size=1, max_size=11)
    )
    full = {start: pattern[i % len(pattern)] for i, start in enumerate(starts)}
    return full, {
        start: _widened(one, *wider[i % len(wider)]) for i, (start, one) in enumerate(full.items())
    }


def _widened(one: Amount, down: int, up: int, part: int) -> Amount:
    assert one.high is not None
    low, high = max(0, one.low - down), one.high + up
    return Amount(low, low + (high - low) * part // 100, high)


@given(years(), st.integers(0, 120))
def test_missing_data_never_makes_anyone_look_better(pair: tuple[Days, Days], share: int) -> None:
    """Dropping readings never turns `broken`, `will break` or `may break` into `on track`, however near the quota is."""
    seen = told(pair[0], 1).projected
    quota = (365 * SCALE if seen is None else seen.year_end.best) * share // 100 / SCALE
    full, less = (told(days, quota) for days in pair)
    if full.state in {"broken", "will break", "may break"}:
        assert less.state != "on track"
    for one in (full, less):
        if one.projected is not None and one.projected.expected_high is not None:
            assert one.projected.year_end.best <= one.projected.expected_high
        if one.state == "will break":
            assert one.projected is not None
            assert one.projected.year_end.best > one.quota


# ---- What counts of the log


def message(at: int, *windows: tuple[str, int, int], **year: object) -> dict[str, Any]:
    figure = {"low": 1, "best": 2, "high": 3, "share_measured": 4, "factors": ["f"]}
    its = [
        {"window": kind, "start": start, "end": end, "figures": {"energy": figure}}
        | (year if kind == "year" else {})
        for kind, start, end in windows
    ]
    return {"kind": "unit", "unit": UNIT, "as_of": at, "windows": its}


def test_days_count_once_they_are_over_and_years_at_midnights() -> None:
    """The day that has begun is none yet; a year as told in the afternoon has its place before the next midnight's."""
    day, year = ("day", JANUARY, JANUARY + DAY_MS), ("year", JANUARY, year_start(2027))
    night = JANUARY + DAY_MS
    early, full = (message(at, day, year, limit=7) for at in (night - HOUR_MS, night))
    assert days_in(early) == []
    assert [one.place for one in (*years_in(early), *years_in(full))] == [JANUARY + 1, night]
    assert days_in(full) == [DayTold(UNIT, JANUARY, night, 1, 2, 3, 0, 0, 0)]
    assert years_in(full) == [
        YearTold(UNIT, JANUARY, night, 1, 2, 3, 4, 7, ("f",), unverified=False, history=False)
    ]
    later = message(night + HOUR_MS, day, year)
    assert [one.as_of for one in days_in(later)] == [night + HOUR_MS], "told anew"
    assert years_in(message(year_start(2027) + DAY_MS, year)) == [], "last year's, told anew"
    assert days_in({"kind": "tick", "as_of": night}) == []


# ---- Shown


def windows(limit: int | None, at: int) -> list[tuple[int, bytes]]:
    figure = f'{{"low":{90 * SCALE},"best":{100 * SCALE},"high":{110 * SCALE}}}'
    told = f'{{"window":"year","start":{JANUARY},"end":{year_start(2027)},"figures":{{"energy":{figure}}}'
    return [(at, (told + (f',"limit":{limit}}}' if limit is not None else "}")).encode())]


def test_headroom() -> None:
    """What is left of 365 tce after 100 days, safe to at most; the month has 20 of the 265 days that are left."""
    at = JANUARY + 100 * DAY_MS
    room = headroom(windows(365 * SCALE, at))
    assert room is not None
    assert room["this_year"] == {"low": "255", "best": "265", "high": "275"}
    assert room["this_month"] == {"low": "19.245283", "best": "20", "high": "20.754716"}
    assert room["per_day"] == {"low": "0.962264", "best": "1", "high": "1.037735"}
    assert headroom([]) is None
    assert headroom(windows(None, at)) == {
        "year": "2026", "as_of": "2026-04-11T00:00:00+08:00", "binds": None, "binds_first": None,
        "product_limits": [], "quota_still_makes": {}}  # fmt: skip
    over = headroom(windows(365 * SCALE, year_start(2027) + DAY_MS))
    assert over is not None
    assert (over["per_day"], over["this_month"]) == (None, {"low": "0", "best": "0", "high": "0"})


def line_year(used: int, limit: int) -> tuple[str, str, int, bytes]:
    """A line that made 1,000 t and used `used` kgce for each, against a limit."""
    figures = {
        "output": {"low": 990, "best": 1000, "high": 1010},
        "intensity": {"low": used - 1, "best": used, "high": used + 1},
    }
    scaled = {name: {end: n * SCALE for end, n in one.items()} for name, one in figures.items()}
    held = {
        "limit": "cement level 3",
        "level": 3,
        "unit_of_measure": "kgce/t",
        **scaled["intensity"],
    }
    held |= {"limit_low": limit * SCALE, "limit_high": limit * SCALE}
    limits = [held, held | {"level": 1, "limit_low": 0}]
    body = {"window": "year", "start": JANUARY, "figures": scaled, "limits": limits}
    return "kiln", "kiln 1", 0, json.dumps(body).encode()


@pytest.mark.parametrize(
    ("used", "first", "more"),
    [
        pytest.param(99, "cement level 3 of line kiln", ("0", "1000", "2020"), id="a hundredth is left of the line's"),
        pytest.param(50, "annual energy quota, equivalent value", ("48510", "50000", "51510"), id="half is left, of the quota a fifth"),
        pytest.param(110, "cement level 3 of line kiln", ("0", "0", "0"), id="over"),
    ],
)  # fmt: skip
def test_headroom_says_which_limit_binds_first(
    used: int, first: str, more: tuple[str, str, str]
) -> None:
    """A limit of 100 kgce/t at 1,000 t so far; a fifth of the quota of 125 tce is left, which makes 25,000 kgce worth of output."""
    room = headroom(windows(125 * SCALE, JANUARY + 100 * DAY_MS), [line_year(used, 100)])
    assert room is not None
    assert room["binds_first"] == first
    [limit] = cast("list[dict[str, dict[str, str]]]", room["product_limits"])
    assert tuple(limit["at_this_output"].values()) == more
    makes = cast("dict[str, dict[str, str]]", room["quota_still_makes"])["kiln"]
    assert makes["best"] == as_text(25_000 * SCALE // used)
    text = render_landing(landing_shown(UNIT, {}, room))
    assert f"the limit that binds first: {first}" in text
    assert "at the output so far" in text


def test_shown_to_people() -> None:
    """The state in words, the interval, the day, the amount a day that still lands, the basis, and the headroom."""
    at = JANUARY + 100 * DAY_MS
    body = told(level(100), 350).model_dump()
    shown = landing_shown(UNIT, {"energy": (at, body)}, headroom(windows(350 * SCALE, at)))
    assert render_landing(shown).splitlines() == EXPECTED
    broken = landing_shown(UNIT, {"energy": (at, told(level(100), 99).model_dump())}, None)
    assert "passed on" not in render_landing(broken), "that is a fact, and not of this day"
    nothing = landing_shown(UNIT, {}, None)
    assert render_landing(nothing).splitlines() == [f"unit {UNIT}", "", "no landing was told yet"]


def test_a_budget_by_another_view_has_neither_landing_nor_headroom() -> None:
    """Not even where CO2 by the wrong view is far above it; it binds nothing first."""
    at = JANUARY + 100 * DAY_MS
    ((as_of, told_year),) = windows(None, at)
    year = json.loads(told_year)
    year["figures"]["co2"] = {"low": 900, "best": 900, "high": 900}
    year["budget"] = {"limit": 100, "view": "national", "reason": "other factor view"}
    message = {"kind": "unit", "unit": UNIT, "as_of": at, "windows": [year]}
    _, carbon = years_in(message)
    landed = landed_of(carbon, 100, begins=BEFORE, at=at, days={})
    assert (landed.state, landed.reason, landed.per_day) == (
        "cannot be said",
        "other factor view",
        None,
    )
    room = headroom([(as_of, json.dumps(year).encode())])
    assert room is not None
    assert room["binds_first"] is None
    text = render_landing(landing_shown(UNIT, {"carbon": (at, landed.model_dump())}, room))
    assert text.count("by another view of electricity's factor") == 2
    assert "a day" not in text


def test_a_line_without_output_leaves_nothing_known() -> None:
    """It can have told energy alone."""
    line, name, as_of, judged = line_year(50, 100)
    year = json.loads(judged)
    del year["figures"]["output"], year["figures"]["intensity"]
    at = JANUARY + 100 * DAY_MS
    room = headroom(windows(350 * SCALE, at), [(line, name, as_of, json.dumps(year).encode())])
    text = render_landing(landing_shown(UNIT, {}, room))
    assert "at the output so far                unknown" in text


def test_what_is_doubted_is_said_beside_landing_and_headroom() -> None:
    """Unverified factors and objections, of the quota, of a line's figures and of its limit."""
    at = JANUARY + 100 * DAY_MS
    ((as_of, year),) = windows(350 * SCALE, at)
    doubted = json.loads(year) | {"contested": {"energy": "objection 3"}}
    doubted["figures"]["energy"]["unverified"] = True
    line, name, line_as_of, judged = line_year(50, 100)
    row = (
        line,
        name,
        line_as_of,
        json.dumps(json.loads(judged) | {"contested": {"output": "objection 4"}}).encode(),
    )
    room = headroom([(as_of, json.dumps(doubted).encode())], [row])
    text = render_landing(
        landing_shown(UNIT, {"energy": (at, told(level(100), 350).model_dump())}, room)
    )
    assert text.count("contested, and not decided (objection 3)") == 2, "landing, headroom"
    assert text.count("rests on an unverified factor") == 1, "the landing's own days were verified"
    assert "limit less what was used; contested (objection 4):" in text


EXPECTED = """\
unit 91510100SYN0000001

year 2026 against its quota 350 tce (equivalent value), told at 2026-04-11T00:00:00+08:00
  MAY BREAK: the expected year is above the quota
                                          low             best             high
  used so far                             100              100              100 tce
  year end, 80 % interval           319.39653              365        410.60347 tce
  burn of 7 days                        1.042            1.043            1.043 x allowed
  burn of 30 days                       1.042            1.043            1.043 x allowed
  a day that still lands             0.943396         0.943396         0.943396 tce
  the quota is passed on 2026-12-17, between 2026-11-10 and the next year
  calendar: no whole earlier year is known, one day counts as another

headroom of 2026 at 2026-04-11T00:00:00+08:00; the limit that binds first: annual energy quota, equivalent value
  under the annual energy quota, equivalent value, 350 tce
                                         safe             best          at most
  this year                               240              250              260 tce
  this month, evenly                18.113207        18.867924        19.622641 tce
  a day                               0.90566         0.943396         0.981132 tce
""".splitlines()
