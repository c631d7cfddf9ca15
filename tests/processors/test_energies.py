"""The energies of a unit: what the oracle says, never narrower with less known, holding the truth, and summing to what regions deduct."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from fractions import Fraction
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracle_energies as oracle
from processors.aggregation import Telling, span_of
from processors.energies import NETS, NetOf, by_scope, deducted, deducted_of
from processors.ledger import Entry, Ledger, decided, ledger_of
from processors.standings import stand_of
from schemas.calendar import DAY_MS, day_start
from schemas.deductions import Evidence, our_deduction_rules
from schemas.double_control import Amount
from schemas.targets import Targets, TargetVersion
from tests.processors.test_ledger import (
    BATCHES,
    COAL,
    MEMBERS,
    POWER,
    RECKONED,
    UNITS,
    YEAR,
    evidence,
    factor,
    intervals,
)

RULES = our_deduction_rules()
fewer = settings(max_examples=settings().max_examples // 8)
FACTORS = {
    "electricity": Fraction(POWER.numerator, POWER.denominator),
    "raw_coal": Fraction(COAL.numerator, COAL.denominator),
}
Amounts = tuple[Amount, Amount, Amount]
TRIPLES = st.lists(st.tuples(intervals(), intervals(), intervals()), min_size=4, max_size=4)


def ledger_with(batch: tuple[Evidence, ...]) -> Ledger:
    return ledger_of(decided([Entry(one, 1) for one in batch], {}, RULES), factor)


def tellings(amounts: list[Amounts], hour: int) -> dict[str, Telling]:
    return {
        unit: RECKONED._replace(unit=unit, as_of=hour, energy=energy, natives=(power, coal))
        for unit, (energy, power, coal) in zip(UNITS, amounts, strict=True)
    }


def nets(told: Mapping[str, Telling], hour: int, ledger: Ledger) -> dict[tuple[str, NetOf], Amount]:
    """Each unit's energies."""
    its = deducted(MEMBERS, told, YEAR, hour, ledger)
    return {
        (unit, net_of): one.energy + deducted_of(its.get(unit, {}).get(net_of, ()))
        for unit, one in told.items()
        for net_of in NETS
    }


@fewer
@given(BATCHES, TRIPLES, st.integers(1, 60))
def test_as_the_oracle_says(batch: tuple[Evidence, ...], amounts: list[Amounts], day: int) -> None:
    """Each of the three, of every unit."""
    hour = YEAR.start + day * DAY_MS
    told, ledger = tellings(amounts, hour), ledger_with(batch)
    found = nets(told, hour, ledger)
    for (unit, net_of), net in found.items():
        energy, power, coal = (ranged(one) for one in (told[unit].energy, *told[unit].natives))
        natives = {"electricity": power, "raw_coal": coal}
        case = oracle.Case(energy, natives, FACTORS, YEAR.start, hour)
        said = oracle.net_of(case, ledger.admitted.get(unit, ()), net_of, RULES)
        assert ranged(net) == said, (unit, net_of)


def ranged(amount: Amount) -> oracle.Range:
    return oracle.Range(amount.low, amount.best, inf if amount.high is None else amount.high)


@fewer
@given(BATCHES, TRIPLES, st.integers(1, 60), st.permutations(range(6)))
def test_units_sum_to_what_regions_deduct_in_any_order_of_arrival(
    batch: tuple[Evidence, ...], amounts: list[Amounts], day: int, order: list[int]
) -> None:
    """Before a cap, exactly: of a province and a city, for each of the three."""
    hour = YEAR.start + day * DAY_MS
    told, ledger = tellings(amounts, hour), ledger_with(batch)
    of_units = deducted(MEMBERS, told, YEAR, hour, ledger)
    shuffled = ledger_with(tuple(batch[n] for n in order))
    assert deducted(MEMBERS, told, YEAR, hour, shuffled) == of_units
    sums = by_scope(MEMBERS, of_units)
    for scope in ("province:510000", "city:510400"):
        for net_of in NETS:
            target = {
                "id": "t", "scope": scope, "year": 2025, "quantity": "energy", "amount": "1", "covers": "key units",
                "source": "test", "net_of": net_of,
            }  # fmt: skip
            if "non-fossil" in net_of:
                target["certificates_at_most"] = "1000000000"
            targets = Targets.model_validate({"targets": [target]})
            version = TargetVersion(version=1, from_hour=0, targets=targets)
            stand = stand_of(version, targets.targets[0], MEMBERS, told, hour, ledger)
            assert stand.used == stand.gross + sums.get((scope, net_of), Amount(0, 0, 0))


@fewer
@given(BATCHES, TRIPLES, TRIPLES, st.integers(1, 60))
def test_with_less_known_no_energy_is_narrower(
    batch: tuple[Evidence, ...], amounts: list[Amounts], more: list[Amounts], day: int
) -> None:
    """Wider natives and a wider gross give wider nets."""
    hour = YEAR.start + day * DAY_MS
    ledger = ledger_with(batch)
    wider = [
        tuple(widened(one, by) for one, by in zip(of_unit, its, strict=True))
        for of_unit, its in zip(amounts, more, strict=True)
    ]
    known = nets(tellings(amounts, hour), hour, ledger)
    less = nets(tellings(wider, hour), hour, ledger)  # type: ignore[arg-type]
    for key, net in known.items():
        assert less[key].low <= net.low
        high = less[key].high
        assert high is None or (net.high is not None and net.high <= high)


def widened(amount: Amount, by: Amount) -> Amount:
    high = None if amount.high is None or by.high is None else amount.high + abs(by.high)
    return replace(amount, low=amount.low - abs(by.low), high=high)


USED = st.tuples(*(st.integers(0, 3 * 10**9) for _ in range(3)))


@given(st.lists(st.tuples(USED, st.integers(1, 3000), st.integers(0, 10)), min_size=2, max_size=2))
def test_the_truth_lies_in_every_energy(
    carriers: list[tuple[tuple[int, int, int], int, int]],
) -> None:
    """Whatever was used between what is known of each carrier, and whatever of the claims had passed by then."""
    claims = (
        {"form": "green power", "until": "2025-01-11"},
        {"form": "feedstock", "quantity": "raw_coal", "unit_of_measure": "t", "product": "olefins",
         "until": "2025-01-11", "document": "2", "sha256": "1" * 64, "origin": "o", "id": "b"},
    )  # fmt: skip
    hour = YEAR.start + 5 * DAY_MS
    pieces = tuple(
        evidence(**claim, amount=str(amount))
        for claim, (_, amount, _) in zip(claims, carriers, strict=True)
    )
    truths, natives, passed = [], [], []
    for used, amount, tenths in carriers:
        low, truth, high = sorted(used)
        truths.append(truth)
        natives.append(Amount(low, truth, high))
        passed.append(min(amount * 10**6 * tenths // 10, truth))
    factors = tuple(FACTORS.values())
    low = sum(int(one.low * by) for one, by in zip(natives, factors, strict=True))
    high = sum(int((one.high or 0) * by) + 1 for one, by in zip(natives, factors, strict=True))
    told = RECKONED._replace(as_of=hour, energy=Amount(low, low, high), natives=tuple(natives))
    found = nets({UNITS[0]: told}, hour, ledger_with(pieces))
    gross = sum(one * by for one, by in zip(truths, factors, strict=True))
    for net_of, taken in zip(NETS, ((1,), (0,), (0, 1)), strict=True):
        truth = gross - sum(passed[place] * factors[place] for place in taken)
        net = found[UNITS[0], net_of]
        assert net.high is not None
        assert net.low <= truth <= net.high, net_of


@pytest.mark.parametrize("first", ["2022-01-01", "2023-01-01", "2025-01-01"])
def test_what_a_figure_rests_on_is_said(first: str) -> None:
    """The rule of the day and the factor; a rule of 2021, and a certificate's 1,000 kWh, nobody verified."""
    piece = evidence(
        first=first, until=first[:4] + "-02-01", base="0", from_region="650000",
        certificates=[{"series": "s", "first": 1, "last": 9}],
    )  # fmt: skip
    told = RECKONED._replace(
        span=span_of("year", day_start(date.fromisoformat(first))),
        as_of=2**60,
        energy=Amount(10**9, 10**9, 10**9),
        natives=(Amount(10**12, 10**12, 10**12), Amount(0, 0, 0)),
    )
    (line,) = ledger_with((piece,)).taken(told, 2**60, ("non-fossil",))
    kinds = {"2022": "2021", "2023": "2022", "2025": "2024"}
    assert line.rests_on == (f"deduction.green-power.{kinds[first[:4]]}", "e")
    assert line.unverified is (first[:4] != "2025")
    assert (line.evidence, line.carrier) == (("a",), "electricity")
