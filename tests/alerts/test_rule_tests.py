"""Rules are tried on a file before they are in force, and on history: what would have been told."""

from pathlib import Path

import pytest

from alerts.__main__ import main
from alerts.backtest import backtest
from alerts.rule_tests import BadTestsError, differences, read_tests
from schemas.calendar import DAY_MS, HOUR_MS
from schemas.indicator import Message
from schemas.rule import DEFAULT_RULES, Rule, read_rules
from tests.alerts.logs import OTHER, START, UNIT, indicator, tick

EXAMPLE = Path("deploy/example/rules-test.toml")


def test_the_example_passes(capsys: pytest.CaptureFixture[str]) -> None:
    """Its rules are the default ones."""
    assert main(["test", str(EXAMPLE)]) == 0
    assert capsys.readouterr().out.count("ok ") == 7
    assert read_rules(Path("deploy/example/rules.toml").read_text()) == DEFAULT_RULES


def test_differences_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rule with another hold: what did not come, what came in its place, and by which hold."""
    rules = Path("deploy/example/rules.toml").read_text().replace('hold = "PT2H"', 'hold = "PT1H"')
    (tmp_path / "rules.toml").write_text(rules)
    (tmp_path / "tests.toml").write_text(EXAMPLE.read_text())
    assert main(["test", str(tmp_path / "tests.toml")]) == 1
    out = capsys.readouterr().out
    assert "FAIL a suspicion fires after two hours" in out
    suspicion = "9151010000EXAMPLE1 quota-probably-exceeded firing"
    came = "there came pending 2026-11-23T10:00:00+08:00 by reading, firing 2026-11-23T11:59:00+08:00 by time"
    assert f"missing: 2026-11-23T12:00:00+08:00 {suspicion}; {came}" in out
    assert f"unexpected: 2026-11-23T11:59:00+08:00 {suspicion}; cause time" in out
    assert "hold PT1H" in out


def test_what_never_held_is_said() -> None:
    """Not that it is missing alone: why."""
    text = EXAMPLE.read_text().replace('verdict = "FAIL", energy', 'verdict = "PASS", energy')
    first = read_tests(text).tests[0]
    assert differences(first, DEFAULT_RULES)[0].endswith(
        "its condition never held (kind confirmed breach, window year)"
    )
    assert differences(first, DEFAULT_RULES[1:])[0].startswith("there is no rule 'quota-exceeded'")
    with pytest.raises(BadTestsError, match=r"tests\.0\.tell\.0\.verdict"):
        read_tests(EXAMPLE.read_text().replace('"FAIL"', '"BAD"', 1))


def history() -> list[Message]:
    """Two days: a breach, a suspicion that comes and goes each hour, silent points."""
    log: list[Message] = [indicator(0, START, "x"), indicator(1, START, "s", unit=OTHER)]
    for hour in range(1, 48):
        at = START + hour * HOUR_MS
        log.append(indicator(2 * hour, at, "x", silent=["p1"] if hour > 40 else []))
        log.append(indicator(2 * hour + 1, at, ".s"[hour % 2], unit=OTHER))
        log.append(tick(2 * hour + 1, at))
    return log


def test_a_backtest() -> None:
    """How often, on whom, beside whom; what would be missed."""
    eager = (Rule(name="eager", kind="suspected breach", severity="warning"),)
    found = backtest(history(), eager, DEFAULT_RULES, begin=START, end=START + 2 * DAY_MS)
    (rule,) = found.rules
    assert (rule.firings, rule.units, rule.still_firing) == (24, 1, 1)
    assert rule.most_often == {OTHER: 24}
    assert (rule.overlaps, rule.alone) == (
        {},
        24,
    )  # held for two hours, the one in force never fires
    assert found.missed == {"quota-exceeded": 1, "points-silent": 1}
    assert found.missed_units == {"quota-exceeded": (UNIT,), "points-silent": (UNIT,)}
    assert (found.units, found.first) == (2, START)


def test_rules_against_themselves_miss_nothing() -> None:
    """And what fired before the time asked for does not count."""
    found = backtest(
        history(), DEFAULT_RULES, DEFAULT_RULES, begin=START + HOUR_MS, end=START + 2 * DAY_MS
    )
    assert found.missed == {}
    assert sum(rule.firings for rule in found.rules) == 1
    assert sum(rule.alone for rule in found.rules) == 0
