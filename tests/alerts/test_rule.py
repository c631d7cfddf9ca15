"""Rule files: what is right, and each thing that is wrong with its value."""

from pathlib import Path

import pytest

from schemas.calendar import DAY_MS, HOUR_MS
from schemas.rule import DEFAULT_RULES, BadRules, Rule, milliseconds, read_rules

EXAMPLE = Path(__file__).parents[2] / "deploy/example/rules.toml"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PT0S", 0),
        ("PT15M", 900_000),
        ("PT1H30M", 5_400_000),
        ("P1DT1H", DAY_MS + HOUR_MS),
        ("P2W", 14 * DAY_MS),
    ],
)
def test_durations(text: str, expected: int) -> None:
    assert milliseconds(text) == expected


@pytest.mark.parametrize("text", ["", "P", "PT", "P1DT", "15m", "P1M", "P1Y", "PT-1H", "P99999D"])
def test_what_is_no_duration(text: str) -> None:
    """The value is in the message; months and years have no fixed length."""
    with pytest.raises(ValueError, match=r"duration|longer"):
        milliseconds(text)


def test_the_example_is_the_default() -> None:
    """What the example file says and what holds without a file are the same."""
    assert read_rules(EXAMPLE.read_text()) == DEFAULT_RULES


def test_every_error_is_named_with_its_value() -> None:
    """Not the first one only: who mends a file wants the list."""
    found = read_rules("""
        colour = "red"
        [[rules]]
        name = "Quota Exceeded"
        kind = "confirmed"
        severity = "critical"
        hold = "2h"
        [[rules]]
        name = "silent"
        kind = "silent points"
        severity = "loud"
        [[rules]]
        name = "silent"
        kind = "suspected breach"
        severity = "info"
        units = ["Beijing"]
        summary = "{unit} uses {colour}"
        description = "{ unit"
        [[rules]]
        name = "day"
        kind = "silent points"
        severity = "info"
        window = "day"
    """)
    assert isinstance(found, BadRules)
    lines = str(found).splitlines()
    for place, value in [
        ("colour", ""),
        ("rules[0] (Quota Exceeded).name", "Quota Exceeded"),
        ("rules[0] (Quota Exceeded).kind", "confirmed"),
        ("rules[0] (Quota Exceeded).hold", "2h"),
        ("rules[1] (silent).severity", "loud"),
        ("rules[2] (silent).units.0", "Beijing"),
        ("rules[2] (silent).summary", "colour"),
        ("rules[2] (silent).description", "{ unit"),
        ("rules[2].name", "silent"),
        ("rules[3] (day)", "'day'"),
    ]:
        assert [line for line in lines if line.startswith(f"{place}: ") and value in line], place
    assert len(lines) == 10


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "missing"),
        ("rules = 3", "3"),
        ("rules = []", "[]"),
        ("rules = [17]", "17"),
        ("[[rules]", "not TOML"),
        ('[[rules]]\nname="a"\nkind="silent points"\nseverity="info"\nwindow="day"', "'day'"),
    ],
)
def test_files_without_rules(text: str, word: str) -> None:
    found = read_rules(text)
    assert isinstance(found, BadRules)
    assert word in str(found)


def test_whom_a_rule_covers() -> None:
    rule = Rule(
        name="r",
        kind="silent points",
        severity="info",
        units=("9151*", "91*7"),
        except_units=("915100000000000002",),
    )
    covered = [code for code in ("9151A", "9160007", "9160008") if rule.covers(code)]
    assert covered == ["9151A", "9160007"]
    assert not rule.covers("915100000000000002")


def test_the_version_is_that_of_the_wording() -> None:
    first, second = (
        Rule(name="r", kind="silent points", severity="info", hold=hold)
        for hold in ("PT1H", "PT2H")
    )
    assert first.version() != second.version()
    assert first.version() == first.model_copy().version()
