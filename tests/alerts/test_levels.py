"""Levels of targets: each change is told once, with what moved it; losing data ends nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.batch import Record, batch_of
from alerts.chinese import alone_in_chinese
from alerts.replay import replay
from alerts.state import Partition, advance
from schemas.alert import Notice
from schemas.calendar import HOUR_MS, year_start
from schemas.indicator import LevelTold, Told, Version
from schemas.regions import LevelChange, Line, Standing, Sum
from schemas.rule import DEFAULT_RULES, BadRules, Rule, read_rules

START = year_start(2026)
MOVED = Line(unit="91510100SYN0000001", cause="late reading", low=1, best=2_000_000, high=3)


def version(hour: int) -> Version:
    return Version(generation=1, partition=0, offset=START + hour * HOUR_MS, position=0)


def level(hour: int, mark: str, before: str = "") -> LevelTold:
    """At an hour: `1`, `2`, `3`, or `.` for no data."""
    at = None if mark == "." else int(mark)
    was = int(before) if before.isdigit() else None
    changed = LevelChange(before=was, after=at, lines=(MOVED,), change=MOVED, rule_changed=False)
    standing = Standing(
        target="energy.2026",
        version=4,
        year=2026,
        quantity="energy",
        covers="key units",
        figure_of="key units",
        amount=365_000_000,
        allowed=1_000_000,
        basis="seasonal",
        used=Sum(low=1_100_000, best=1_100_000, high=1_100_000),
        verdict="UNDECIDABLE",
        reason="missing data",
        level=at,
        level_reason="",
        rule="level.total.weir",
        changed=changed if before not in {"", mark} else None,
    )
    return LevelTold(
        target="energy.2026",
        scope="city:510400",
        version=version(hour),
        as_of=START + hour * HOUR_MS,
        cause="late reading" if standing.changed else "time",
        standing=standing,
    )


def test_a_level_says_regime_basis_view_and_status() -> None:
    """In English and in Chinese, of energy and of CO2."""
    for quantity, views, english, chinese in (
        ("energy", (), "Regime energy, equivalent value.", "口径：能耗，当量值。"),
        (
            "co2",
            ("V",),
            "Regime carbon, electricity by the view V.",
            "口径：碳排放，电力排放因子V。",
        ),
    ):
        one = level(1, "1")
        used = one.standing.used.model_copy(update={"unverified": quantity == "co2"})
        update = {"quantity": quantity, "views": views, "used": used}
        told = one.model_copy(update={"standing": one.standing.model_copy(update=update)})
        (notice,) = notices([told])
        text, zh = notice.annotations["description"], alone_in_chinese(notice)[1]
        assert english in text
        assert chinese in zh
        unverified = ("nobody has verified" in text, "未经核实" in zh)
        assert unverified == (used.unverified,) * 2


def course(marks: str) -> list[LevelTold]:
    return [level(i + 1, mark, marks[i - 1] if i else "") for i, mark in enumerate(marks)]


def notices(messages: list[LevelTold | Told]) -> list[Notice]:
    lines = [message.model_dump_json().encode() for message in messages]
    return [one for one in replay(lines, DEFAULT_RULES) if isinstance(one, Notice)]


@pytest.mark.parametrize(
    ("marks", "told"),
    [
        pytest.param("333", [], id="all is well"),
        pytest.param("3222", ["2 rather firing"], id="told once"),
        pytest.param("22", ["1 rather firing"], id="it is so from the first hour on"),
        pytest.param("321", ["2 rather firing", "3 rather resolved", "3 very firing"], id="worse"),
        pytest.param("13", ["1 very firing", "2 very resolved"], id="over"),
        pytest.param("2..2", ["1 rather firing"], id="losing data ends nothing"),
        pytest.param("2.3", ["1 rather firing", "3 rather resolved"], id="over, when it is known"),
    ],
)
def test_each_change_is_told_once(marks: str, told: list[str]) -> None:
    """Hour, rule and new state."""
    found = [
        f"{(one.at - START) // HOUR_MS} {one.rule.split('-')[1]} {one.state}"
        for one in notices([*course(marks)])
    ]
    assert found == told


@given(st.text("123.", min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_what_comes_twice_or_late_changes_nothing(marks: str, pace: object) -> None:
    """Kafka may deliver again: an hour that is not newer is ignored."""
    messages = course(marks)
    shown = [pace.randrange(i + 1) for i in range(len(messages))]  # type: ignore[attr-defined]
    again = [one for i, m in enumerate(messages) for one in (m, messages[shown[i]])]
    once, twice = (advance(Partition(), some, DEFAULT_RULES) for some in (messages, again))
    assert (twice.after, twice.transitions) == (once.after, once.transitions)


def test_the_words_say_what_moved_it() -> None:
    """Who, how much of what, and why; labels that stay the same to the end."""
    first, last = notices([*course("31"), *course("313")[2:]])
    assert first.annotations["summary"] == (
        "Target energy.2026: energy of 2026 is at level 1 (very severe)"
    )
    assert "1 tce of 365 tce, seasonal" in first.annotations["description"]
    assert (
        "moved within the hour by 91510100SYN0000001 late reading 2 tce"
        in (first.annotations["description"])
    )
    assert first.annotations["cause"] == "a late reading or a correction"
    assert first.labels == last.labels
    assert (first.labels["unit"], first.labels["kpi"]) == ("target:energy.2026", "energy")
    assert last.state == "resolved"
    assert last.annotations["summary"].endswith("is at level 3 (basically smooth)")


def test_it_is_closed_long_after_its_year() -> None:
    """Ninety days behind the year's end, by the tick of the live units."""
    end = year_start(2027) + 90 * 24 * HOUR_MS
    ticks = [Told(version=version(9_000 + i), as_of=end - HOUR_MS + i * HOUR_MS) for i in (0, 1)]
    found = notices([*course("1"), *ticks])
    assert [(one.state, one.cause) for one in found] == [("firing", "time"), ("resolved", "time")]


def test_a_batch_keeps_what_it_heard() -> None:
    """One memory a target, beside those of units."""
    records = [Record(i, one.model_dump_json().encode()) for i, one in enumerate(course("32"))]
    batch = batch_of(0, records, Partition(), DEFAULT_RULES)
    assert not batch.refused
    assert [unit.unit for unit in batch.units] == ["target:energy.2026"]
    assert [notice.state for notice in batch.notices] == ["firing"]


def test_only_a_rule_on_levels_has_levels() -> None:
    """And they are 1 or 2: nobody is woken because all is well."""
    rule = '[[rules]]\nname = "a"\nkind = "{}"\nseverity = "info"\nlevels = {}\n'
    assert isinstance(read_rules(rule.format("level changed", "[1]")), tuple)
    for kind, levels in (
        ("silent points", "[1]"),
        ("level changed", "[3]"),
        ("level changed", "[]"),
    ):
        assert isinstance(read_rules(rule.format(kind, levels)), BadRules)
    assert Rule(name="a", kind="level changed", severity="info").levels == (1, 2)
