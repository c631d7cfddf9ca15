"""The ledger: once each, in whatever order it comes; never more than was used; sums of units and regions are the same."""

from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from processors import entries
from processors.aggregation import Member, Span, Telling, Told, scopes_of, span_of
from processors.ledger import (
    Decision,
    Entry,
    Ledger,
    claimed,
    decided,
    decisions_of,
    ledger_of,
    netted,
    spans_moved,
    total,
)
from processors.standings import Stand, stand_of
from schemas.calendar import DAY_MS, day_start, year_start
from schemas.deductions import Deductions, Evidence, our_deduction_rules
from schemas.double_control import NOTHING, Amount
from schemas.factors import Factor
from schemas.scale import SCALE
from schemas.targets import Targets, TargetVersion

RULES = our_deduction_rules()
YEAR = Span("year", year_start(2025), year_start(2026))
UNITS = [f"91510400SYN000000{n}" for n in range(4)]
MEMBERS = [
    Member(unit, region, "31", 0)
    for unit, region in zip(UNITS, ("510402", "510402", "510411", "510104"), strict=True)
]
RECKONED = Telling(UNITS[0], YEAR, 0, "reading", 0, None, True, 0, NOTHING, NOTHING, 1)  # noqa: FBT003 - as in its fields
COAL, POWER = Factor("c", 5, 7, False, 2025), Factor("e", 1229, 10_000_000, False, 2025)  # noqa: FBT003 - as in its fields


def evidence(**changed: object) -> Evidence:
    told: dict[str, object] = {
        "id": "a", "unit": UNITS[0], "region": "510402", "form": "green power", "quantity": "electricity", "amount": "1000",
        "unit_of_measure": "kWh", "first": "2025-01-01", "until": "2025-02-01", "origin": "contract 1", "issuer": "exchange",
        "document": "1", "sha256": "0" * 64, "generated_by": "wind",
    }  # fmt: skip
    return Evidence.model_validate(told | changed)


def decide(*pieces: Evidence, **withdrawn: str) -> dict[str, Decision]:
    found = decided([Entry(one, n) for n, one in enumerate(pieces)], withdrawn, RULES)
    return {one.evidence.id: one for one in found}


def other(**changed: object) -> Evidence:
    """Another piece that has nothing in common with the first."""
    return evidence(
        **{"id": "b", "document": "2", "sha256": "1" * 64, "origin": "contract 2"} | changed
    )


CERTIFICATE = {
    "form": "certificate", "from_region": "650000", "first": "2025-01-01", "amount": "2000",
    "certificates": [{"series": "s", "first": 7, "last": 8}],
}  # fmt: skip


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        pytest.param({}, {"unit": UNITS[3], "region": "510104", "origin": "contract 1", "first": "2025-01-31", "until": "2025-03-01"},
                     "electricity of contract 1 from 2025-01-31", id="an origin's day, by another unit and region"),
        pytest.param({}, {"document": "1"}, "paper exchange 1, line 1", id="a paper"),
        pytest.param({}, {"sha256": "0" * 64}, "the file of", id="a file"),
        pytest.param(CERTIFICATE, CERTIFICATE | {"unit": UNITS[2], "region": "510411", "certificates": [{"series": "s", "first": 8, "last": 9}]},
                     "certificates s 8 to 9", id="a certificate"),
    ],
)  # fmt: skip
def test_a_double_claim_is_refused_and_says_with_whom(
    one: dict[str, object], two: dict[str, object], said: str
) -> None:
    """In either order: who was entered first counts."""
    for first, second in ((evidence(**one), other(**two)), (other(**two), evidence(**one))):
        found = decide(first, second)
        assert found[first.id].state == "admitted"
        refused = found[second.id]
        assert (refused.state, refused.against) == ("refused", (first.id,))
        assert f"is deducted already by {first.id}" in refused.reason
    assert said in decide(evidence(**one), other(**two))["b"].reason


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        pytest.param({"first": "2020-01-01", "until": "2020-02-01"}, "no rule of 2020-01-01", id="before all rules"),
        pytest.param({"generated_by": None}, "not by what is not declared", id="undeclared generation"),
        pytest.param({"first": "2023-01-01", "until": "2023-02-01", "base": "0"}, "0 certificates prove 0 kWh", id="2022 needs certificates"),
        pytest.param({"first": "2022-01-01", "until": "2022-02-01"}, "the base of 2020 is not declared", id="2021 needs the base"),
        pytest.param({"first": "2024-01-01", "until": "2024-02-01"}, "other rules hold from 2024-01-27", id="a period of two rules"),
        pytest.param({"generated_by": "nuclear", **CERTIFICATE}, "not by nuclear", id="certificates are of renewables"),
        pytest.param(CERTIFICATE | {"amount": "2000.1"}, "2 certificates prove 2000 kWh", id="too few certificates"),
        pytest.param(CERTIFICATE | {"from_region": "510100"}, "counted already", id="certificates inside a province"),
        pytest.param(CERTIFICATE | {"first": "2021-12-10", "until": "2021-12-31"}, "only in November 2022", id="certificates in 2021"),
    ],
)  # fmt: skip
def test_what_a_days_rules_refuse_says_why(changed: dict[str, object], why: str) -> None:
    """By the rules of the first day of its period; refused evidence stands in nobody's way."""
    found = decide(evidence(**changed), other(origin="contract 1"))
    assert (found["a"].state, found["b"].state) == ("refused", "admitted")
    assert why in found["a"].reason


def test_a_withdrawal_leaves_all_as_if_it_had_never_been() -> None:
    """What it stood in the way of counts."""
    mine, others = evidence(), other(origin="contract 1")
    assert decide(mine, others)["b"].state == "refused"
    found = decide(mine, others, a="typing error")
    assert (found["a"].reason, found["b"].state) == ("typing error", "admitted")


@pytest.mark.parametrize(
    "wrong",
    [{"amount": "0"}, {"until": "2025-01-01"}, {"until": "2026-01-02"}, {"unit_of_measure": "t"}, {"form": "feedstock"}],
    ids=str,
)  # fmt: skip
def test_evidence_that_cannot_be_is_refused_as_it_is_read(wrong: dict[str, object]) -> None:
    """With a word on it."""
    with pytest.raises(ValidationError):
        evidence(**wrong)


def test_of_a_part_of_a_period_nothing_is_certain() -> None:
    """But that it is no more than all of it."""
    begun = day_start(date(2025, 1, 1))
    month = evidence(amount="31")
    whole = Amount(31 * SCALE, 31 * SCALE, 31 * SCALE)
    assert claimed(month, begun, begun + 31 * DAY_MS) == whole
    assert claimed(month, begun, begun + DAY_MS) == Amount(0, SCALE, 31 * SCALE)
    assert claimed(month, begun - DAY_MS, begun) == NOTHING


def test_the_examples_second_claim_on_a_contract_is_refused() -> None:
    """Of one file the order is that of the contents' hashes."""
    example = entries.read(Path("deploy/example/deductions.toml"), Deductions)
    found = decisions_of([(1, example)])
    assert sorted(one.state for one in found) == ["admitted", "admitted", "refused"]


def test_months_and_years_of_other_evidence_are_looked_at_again() -> None:
    """Evidence of a year that is over is entered in the next."""
    one, two = evidence(), other(first="2025-03-15", until="2025-05-01")
    admitted = [ledger_of(decide(*some).values(), factor) for some in ((), (one,), (one, two))]
    january = span_of("month", YEAR.start)
    spring = {span_of("month", day_start(date(2025, month, 1))) for month in (3, 4)}
    assert spans_moved(admitted[0], admitted[1]) == {YEAR, january}
    assert spans_moved(admitted[2], admitted[1]) == {YEAR, *spring}
    assert spans_moved(admitted[1], admitted[1]) == set()


# ---- Laws

DAYS = st.integers(0, 40).map(lambda day: date(2025, 1, 1) + timedelta(days=day))


@st.composite
def pieces(draw: st.DrawFn, name: str) -> Evidence:
    """Evidence with few origins, papers and numbers, so that much collides."""
    first = draw(DAYS)
    unit, region = draw(st.sampled_from([(m.unit, m.region) for m in MEMBERS]))
    form = draw(st.sampled_from(("green power", "self-generation", "certificate", "feedstock")))
    told: dict[str, object] = {
        "id": name, "unit": unit, "region": region, "form": form, "first": first, "until": first + timedelta(days=draw(st.integers(1, 20))),
        "origin": draw(st.sampled_from("xyz")), "document": draw(st.sampled_from("12345678")), "sha256": f"{ord(name):064x}",
        "amount": str(draw(st.integers(1, 5)) * 1000), "generated_by": "wind", "from_region": "650000", "issuer": "i",
        "product": "olefins", "quantity": "electricity", "unit_of_measure": "kWh",
    }  # fmt: skip
    if form == "certificate":
        low = draw(st.integers(0, 20))
        told["certificates"] = [{"series": "s", "first": low, "last": low + 4}]
    if form == "feedstock":
        told |= {"quantity": "raw_coal", "unit_of_measure": "t"}
    return Evidence.model_validate(told)


BATCHES = st.tuples(*(pieces(name) for name in "abcdef"))


@given(BATCHES, st.permutations(range(6)), st.lists(st.integers(1, 3), min_size=6, max_size=6))
def test_any_order_of_arrival_admits_the_same(
    batch: tuple[Evidence, ...], order: list[int], versions: list[int]
) -> None:
    """Entry decides: version, then content; and what is admitted shares nothing."""
    entered = [Entry(one, version) for one, version in zip(batch, versions, strict=True)]
    found = decided(entered, {}, RULES)
    assert decided([entered[n] for n in order], {}, RULES) == found
    held: dict[tuple[str, ...], set[int]] = defaultdict(set)
    for one in (one.evidence for one in found if one.state == "admitted"):
        spans: dict[tuple[str, ...], range] = {("paper", one.document): range(1, 2)}
        for its in one.certificates:
            spans["certificates", its.series] = range(its.first, its.last + 1)
        if one.form != "certificate":
            whose = one.unit if one.form == "feedstock" else ""
            origin = "origin", one.quantity, whose, one.origin
            spans[origin] = range(one.first.toordinal(), one.until.toordinal())
        for pool, span in spans.items():
            assert held[pool].isdisjoint(span)
            held[pool].update(span)


@given(BATCHES, st.sampled_from("abcdef"))
def test_what_comes_later_changes_nothing_and_a_withdrawal_restores(
    batch: tuple[Evidence, ...], name: str
) -> None:
    """The first ones alone decide as they do with the rest behind them; without one, all is as if it had not been entered."""
    entered = [Entry(one, n) for n, one in enumerate(batch)]
    found = decided(entered, {}, RULES)
    assert decided(entered[:3], {}, RULES) == found[:3]
    without = [one for one in entered if one.evidence.id != name]
    withdrawn = [one for one in decided(entered, {name: "w"}, RULES) if one.state != "withdrawn"]
    assert withdrawn == list(decided(without, {}, RULES))


@st.composite
def intervals(draw: st.DrawFn) -> Amount:
    low, more, most = (draw(st.integers(least, 3 * 10**10)) for least in (-(10**9), 0, 0))
    high = draw(st.sampled_from([low + more + most, None]))
    return Amount(low, low + more, high)


@given(
    BATCHES, st.lists(st.tuples(intervals(), intervals(), intervals()), min_size=4, max_size=4),
    st.integers(1, 60), st.integers(0, 2),
)  # fmt: skip
def test_net_is_never_more_than_gross_nor_below_nothing_and_sums_reconcile(
    batch: tuple[Evidence, ...], amounts: list[tuple[Amount, Amount, Amount]], day: int, cap: int
) -> None:
    """Unit to county to city to province, and the standing of a target is the same sum."""
    hour = YEAR.start + day * DAY_MS
    told = {
        unit: RECKONED._replace(unit=unit, as_of=hour, energy=energy, natives=(power, coal))
        for unit, (energy, power, coal) in zip(UNITS, amounts, strict=True)
    }
    ledger = ledger_of(decided([Entry(one, 1) for one in batch], {}, RULES), factor)
    rows = {row.unit: row for row in netted(MEMBERS, told, hour, ledger)}
    for row in rows.values():
        check_bounds(row.gross, row.net)
        assert row.net.low >= min(0, row.gross.low)
        assert row.gross == told[row.unit].energy
    levels = ("county:510402", "county:510411", "city:510400", "city:510100", "province:510000")
    sums = {
        scope: total(rows[m.unit] for m in MEMBERS if scope in scopes_of(m)).net for scope in levels
    }
    assert sums["city:510400"] == sums["county:510402"] + sums["county:510411"]
    assert sums["province:510000"] == sums["city:510400"] + sums["city:510100"]
    everything = stand(told, hour, ledger, cap=10**9)
    assert everything.used == sums["province:510000"]
    capped = stand(told, hour, ledger, cap=cap)
    check_bounds(everything.gross, capped.used)
    assert all(
        end is None or other is None or end >= other
        for end, other in zip(ends(capped.used), ends(everything.used), strict=True)
    )


def stand(told: Told, hour: int, ledger: Ledger, *, cap: int) -> Stand:
    target = {
        "id": "t", "scope": "province:510000", "year": 2025, "quantity": "energy", "amount": "1", "covers": "key units", "source": "test",
        "net_of": ["feedstock", "non-fossil"], "certificates_at_most": str(cap),
    }  # fmt: skip
    targets = Targets.model_validate({"targets": [target]})
    version = TargetVersion(version=1, from_hour=0, targets=targets)
    return stand_of(version, targets.targets[0], MEMBERS, told, hour, ledger)


def factor(_: object, carrier: str, __: int) -> Factor:
    return POWER if carrier == "electricity" else COAL


def ends(amount: Amount) -> tuple[int, int, int | None]:
    return amount.low, amount.best, amount.high


def check_bounds(gross: Amount, net: Amount) -> None:
    assert net.low <= net.best
    assert net.low <= gross.low
    assert net.best <= gross.best
    assert (net.high is None) is (gross.high is None)
    assert net.high is None or net.best <= net.high <= (gross.high or 0)
