"""What people are told: who, what, since when, by how much and why, as certain as it is."""

import string
from collections.abc import Sequence

import pytest
from hypothesis import given

from alerts.routing import amount, notice, over, placeholders
from schemas.alert import Notice, Transition
from schemas.calendar import HOUR_MS
from schemas.indicator import Figure, Indicator, Told
from schemas.rule import PLACEHOLDERS, Rule
from tests.alerts.logs import LIMIT, LOGS, START, UNIT, Log, energy, indicator, tick, told

T = "2026-02-11T16:00:00+08:00"


def rule(kind: str, **other: object) -> Rule:
    return Rule.model_validate({"name": "r", "kind": kind, "severity": "critical"} | other)


def last_notice(log: Sequence[Indicator | Told], watching: Rule) -> Notice:
    return notice(told(log, (watching,))[-1], watching)


def test_a_confirmed_breach() -> None:
    """What, since when, and how much over, with interval and units: a whole text to be read."""
    said = last_notice([indicator(0, START, "x")], rule("confirmed breach"))
    assert said.labels == {
        "alertname": "r",
        "kind": "confirmed breach",
        "severity": "critical",
        "unit": UNIT,
        "service": "weir",
        "kpi": "energy",
        "window": "2026",
    }
    assert said.annotations["summary"] == f"Unit {UNIT}: energy of 2026 is above its quota"
    assert said.annotations["description"] == (
        f"Energy of 2026 up to {T}: between 1,000.00001 and 1,000.00003 tce "
        "(best estimate 1,000.00002). "
        "Quota 1,000 tce: between 0.00001 tce over and 0.00003 tce over "
        "(best estimate 0.00002 tce over). "
        "Verdict FAIL; 98.7 % of the time is measured exactly. Regime energy, equivalent value. "
        f"Above the quota since the quarter hour that ends at 2026-02-11T15:45:00+08:00, told at {T}; cause: a new reading."
    )


def test_a_suspicion_that_has_held() -> None:
    log: list[Indicator | Told] = [indicator(0, START, "s"), tick(1, START + HOUR_MS)]
    said = last_notice(log, rule("suspected breach", hold="PT1H"))
    assert said.annotations["summary"].endswith("energy of 2026 is probably above its quota")
    for words in (
        "between 0.00001 tce below and 0.00003 tce over (best estimate 0.000005 tce over)",
        "Verdict UNDECIDABLE (missing data)",
        f"So since {T}, told at 2026-02-11T17:00:00+08:00; cause: a new reading, and it has held.",
    ):
        assert words in said.annotations["description"]


def test_a_retraction_says_that_it_no_longer_stands() -> None:
    log = [indicator(0, START, "x"), indicator(1, START + HOUR_MS, ".", cause="late reading")]
    said = last_notice(log, rule("confirmed breach"))
    assert said.annotations["summary"].startswith(f"Retracted: unit {UNIT}")
    assert "no longer stands" in said.annotations["description"]
    assert "a late reading or a correction" in said.annotations["description"]


def test_silence_names_points_to_a_limit() -> None:
    """Of seven silent points the first five; who wants all has the evidence."""
    names = [f"p{number}" for number in range(7)]
    said = last_notice([indicator(0, START, ".", silent=names)], rule("silent points"))
    assert (
        "7 points are silent: p0 (last heard 2026-02-11T15:00:00+08:00)"
        in (said.annotations["description"])
    )
    assert "and 2 more" in said.annotations["description"]
    assert "p5" not in said.annotations["description"]
    assert "window" not in said.labels


def test_an_unverified_factor_is_said() -> None:
    told_so = indicator(0, START, "x")
    (window,) = told_so.windows
    figures = {"energy": window.figures["energy"].model_copy(update={"unverified": True})}
    unverified = told_so.model_copy(
        update={"windows": (window.model_copy(update={"figures": figures}),)}
    )
    said = last_notice([unverified], rule("confirmed breach"))
    assert "nobody has verified (factors: electricity.2026)" in said.annotations["description"]


def test_history_is_said() -> None:
    said = last_notice([indicator(0, START, "x", history=True)], rule("confirmed breach"))
    assert "imported history" in said.annotations["description"]
    assert "history" not in said.labels


def test_the_rules_own_words() -> None:
    watching = rule("confirmed breach", summary="{unit}: {over}", description="{{{state}}}")
    said = last_notice([indicator(0, START, "x")], watching)
    assert said.annotations["summary"].startswith(f"{UNIT}: between 0.00001 tce over")
    assert said.annotations["description"] == "{firing}"


@pytest.mark.parametrize(
    ("figure", "expected_amount", "expected_over"),
    [
        pytest.param(
            energy(LIMIT, LIMIT, LIMIT), "1,000 tce", "0 tce over", id="just reached, exactly"
        ),
        pytest.param(
            energy(LIMIT + 1, LIMIT + 2, None),
            "at least 1,000.000001 tce, upper bound unknown (best estimate 1,000.000002)",
            "at least 0.000001 tce over, upper bound unknown (best estimate 0.000002 tce over)",
            id="no upper bound",
        ),
        pytest.param(
            energy(0, LIMIT // 2, 2 * LIMIT),
            "between 0 and 2,000 tce (best estimate 500)",
            "between 1,000 tce below and 1,000 tce over (best estimate 500 tce below)",
            id="on both sides",
        ),
    ],
)
def test_amounts(figure: Figure, expected_amount: str, expected_over: str) -> None:
    assert amount(figure) == expected_amount
    assert over(figure, LIMIT) == expected_over


@given(LOGS)
def test_every_transition_has_words(log: Log) -> None:
    """Never an empty text; labels are the same from firing to its end, and hold no figures."""
    named = {watching.name: watching for watching in log.rules}
    labels: dict[str, dict[str, str]] = {}
    for transition in told(log.messages, log.rules):
        said = notice(transition, named[transition.rule])
        assert set(placeholders(transition)) == set(PLACEHOLDERS)
        assert said.annotations["summary"]
        assert said.annotations["description"][-1] in string.punctuation
        assert "  " not in said.annotations["description"]
        if transition.episode is not None:
            assert labels.setdefault(transition.episode, said.labels) == said.labels
        facts = said.model_dump(exclude={"labels", "annotations"})
        assert Transition.model_validate(facts) == transition
