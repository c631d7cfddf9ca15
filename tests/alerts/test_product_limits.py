"""Alerts on product limits: each unit, line and limit by itself, with what the standard counts by."""

import pytest

from alerts.chinese import alone_in_chinese
from alerts.replay import replay
from alerts.state import Partition, advance
from schemas.alert import Notice
from schemas.calendar import HOUR_MS, year_start
from schemas.indicator import LimitJudged, LineJudged, LineTold, Told, Version
from schemas.rule import DEFAULT_RULES, BadRules, Rule, read_rules

UNIT = "91510100SYN0000001"
START = year_start(2026)
T = 1_000_000
RULES = (
    Rule(name="broken", kind="limit broken", severity="warning"),
    Rule(name="probably", kind="limit probably broken", severity="info"),
    Rule(name="unjudged", kind="limit cannot be judged", severity="info"),
)
MARKS: dict[str, tuple[str, bool]] = {
    "x": ("FAIL", False),
    "s": ("UNDECIDABLE", True),
    "?": ("UNDECIDABLE", False),
    ".": ("PASS", False),
    "-": ("NOT JUDGED", False),
}
"""Verdict, and whether it is suspected."""


def limit(indicator: str, level: int, mark: str) -> LimitJudged:
    verdict, suspected = MARKS[mark]
    return LimitJudged.model_validate(
        {
            "limit": f"{indicator} level {level}",
            "indicator": indicator,
            "level": level,
            "region": None,
            "unit_of_measure": "kgce/t",
            "basis": "electricity at 0.1229 kgce/kWh, equivalent value (GB/T 2589-2020)",
            "low": 117 * T + 1,
            "best": 118 * T,
            "high": None if mark == "?" else 119 * T,
            "limit_low": 117 * T,
            "limit_high": 117 * T,
            "verdict": verdict,
            "reason": None,
            "since": START + HOUR_MS if mark == "x" else None,
            "suspected": suspected,
            "entries": ["limit.cement.clinker.comprehensive"],
            "notes": ["the day in force of GB 16780-2021 is not confirmed"],
            "law": "weir 2026-11",
        }
    )


def told(hour: int, *limits: LimitJudged, line: str = "kiln") -> LineTold:
    """A line's year at a full hour."""
    return LineTold(
        unit=UNIT,
        line=line,
        name="Kiln 1",
        version=Version(generation=1, partition=0, offset=hour, position=0),
        as_of=START + hour * HOUR_MS,
        cause="reading",
        configuration=1,
        windows=(
            LineJudged(window="year", start=START, end=year_start(2027), figures={}, limits=limits),
        ),
    )


def tick(hour: int) -> Told:
    return Told(
        version=Version(generation=1, partition=0, offset=hour, position=0),
        as_of=START + hour * HOUR_MS,
    )


def heard(*messages: LineTold | Told, rules: tuple[Rule, ...] = RULES) -> list[Notice]:
    lines = [message.model_dump_json().encode() for message in messages]
    return [one for one in replay(lines, rules) if isinstance(one, Notice)]


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        pytest.param("x", ["broken firing"], id="broken"),
        pytest.param("x.", ["broken firing", "broken resolved"], id="kept again"),
        pytest.param(
            "sx", ["probably firing", "broken firing", "probably resolved"], id="confirmed"
        ),
        pytest.param(
            "?.", ["unjudged firing", "unjudged resolved"], id="not judged for want of data"
        ),
        pytest.param("-.", [], id="a standard that is not in force yet says nothing"),
    ],
)
def test_what_is_told(marks: str, expected: list[str]) -> None:
    """An hour a mark."""
    messages = [told(hour, limit("a", 3, mark)) for hour, mark in enumerate(marks, start=1)]
    assert sorted(f"{one.rule} {one.state}" for one in heard(*messages)) == sorted(expected)


def test_each_limit_and_line_is_an_alert_of_its_own() -> None:
    """At one place in the log; advanced levels only where a rule asks for them."""
    limits = limit("a", 3, "x"), limit("b", 3, "x"), limit("a", 1, "x")
    found = heard(told(1, *limits), told(1, *limits, line="mill"))
    assert len({one.id for one in found}) == 4
    assert {one.limit for one in found} == {
        *("kiln: a level 3", "kiln: b level 3", "mill: a level 3", "mill: b level 3")
    }
    labels = [tuple(sorted(one.labels.items())) for one in found]
    assert len(set(labels)) == 4


def test_what_was_heard_already_changes_nothing() -> None:
    """Versions are held for each limit."""
    first = advance(Partition(), [told(2, limit("a", 3, "x"))], RULES)
    again = advance(first.after, [told(2, limit("a", 3, ".")), told(1, limit("a", 3, "."))], RULES)
    assert not again.transitions


def test_the_words_name_line_limit_basis_and_status() -> None:
    """In both languages."""
    (notice,) = heard(told(1, limit("a", 3, "x")))
    words = notice.annotations
    assert words["summary"] == (
        f"Product limit: line kiln of unit {UNIT} is above its limit (a level 3, year to date)"
    )
    for part in ("117.000001 and 119 kgce/t", "117 kgce/t", "0.1229", "not confirmed", "FAIL"):
        assert part in words["description"]
    title, body = alone_in_chinese(notice)
    assert "单位产品能耗超过限额" in title
    assert "kiln" in body


def test_the_defaults_hold_for_a_day() -> None:
    """What a day's production settles is told to nobody."""
    short = heard(told(1, limit("a", 3, "x")), told(20, limit("a", 3, ".")), rules=DEFAULT_RULES)
    assert [one.state for one in short if one.state == "firing"] == []
    lasting = heard(told(1, limit("a", 3, "x")), tick(26), rules=DEFAULT_RULES)
    assert [one.rule for one in lasting if one.state == "firing"] == ["product-limit-exceeded"]


COMING = LimitJudged.model_validate(
    limit("a", 3, "-").model_dump()
    | {
        "entries": ["a.2027"],
        "coming": {"from_day": "2026-02-01", "verdict": "FAIL", "suspected": False},
    }
)
"""In force thirty-one days after the year's beginning."""
DAY = 24


def in_force(mark: str) -> LimitJudged:
    return limit("a", 3, mark).model_copy(update={"entries": ("a.2027",)})


def test_a_limit_to_come_is_told_once_before_its_day() -> None:
    """Beside the edition that holds; with the days until then, in both languages; and it ends on the day."""
    both = limit("a", 3, "."), COMING
    log = [told(DAY * day, *both) for day in range(1, 31)]
    found = heard(
        *log, told(DAY * 31, in_force("x")), told(DAY * 33, in_force("x")), rules=DEFAULT_RULES
    )
    course = [
        (one.rule, one.state, one.began_by) for one in found if one.state in {"firing", "resolved"}
    ]
    assert course == [
        ("product-limit-to-come", "firing", "reading"),
        ("product-limit-to-come", "resolved", "reading"),
        ("product-limit-exceeded", "firing", "limit"),
    ]
    come, over, broken = (one for one in found if one.state in {"firing", "resolved"})
    assert come.annotations["summary"] == (
        f"Product limit to come: line kiln of unit {UNIT} would break a level 3, in force from 2026-02-01, in 29 days"
    )
    assert "would be FAIL, regime product limit" in come.annotations["description"]
    title, body = alone_in_chinese(come)
    assert "将超过即将施行的限额" in title
    assert "2026-02-01起施行，距今29天" in body
    assert (over.cause, over.labels) == ("limit", come.labels)
    assert (
        "is in force at 2026-02-01T00:00:00+08:00; cause: a change of the limit"
        in over.annotations["description"]
    )
    assert "已施行" in alone_in_chinese(over)[0]
    assert "cause: a change of the limit" in broken.annotations["description"]
    assert "By a.2027 (weir 2026-11)." in broken.annotations["description"]


def test_who_would_keep_it_hears_nothing_and_who_comes_to_is_told_that_it_is_over() -> None:
    """Kept again before the day: that ends it as well, a week later."""
    kept = COMING.model_copy(
        update={"coming": COMING.coming and COMING.coming.model_copy(update={"verdict": "PASS"})}
    )
    assert heard(*(told(DAY * day, kept) for day in range(1, 30)), rules=DEFAULT_RULES) == []
    log = [
        told(DAY, COMING),
        told(DAY * 2, COMING),
        *(told(DAY * day, kept) for day in range(3, 12)),
    ]
    found = [one for one in heard(*log, rules=DEFAULT_RULES) if one.state != "pending"]
    assert [one.state for one in found] == ["firing", "resolved"]
    assert "product limit to come" in found[-1].annotations["summary"]


def test_another_edition_is_the_cause_of_what_it_breaks() -> None:
    """Heard of by the one that held before; what an older window is told anew is not."""
    old, new = (
        heard(told(1, limit("a", 3, ".")), told(2, one))
        for one in (limit("a", 3, "x"), in_force("x"))
    )
    assert [one.cause for one in (*old, *new)] == ["reading", "limit"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('kind = "limit broken"\nwindow = "day"', "months and years"),
        ('kind = "confirmed breach"\nlimit_levels = [3]', "only a rule on product limits"),
        ('kind = "limit broken"\nlimit_levels = [4]', "limit_levels"),
    ],
)
def test_rules_that_cannot_be(text: str, said: str) -> None:
    """A level is one of three, and a limit is that of a month or year."""
    found = read_rules(f'[[rules]]\nname = "a"\nseverity = "info"\n{text}')
    assert isinstance(found, BadRules)
    assert said in str(found)
