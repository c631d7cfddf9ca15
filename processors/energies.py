"""The energies of a unit beside each other: gross, and net of feedstock, of non-fossil energy, and of both.

What is deducted of units, by each of the three, and the sums of that by scope: exactly what a target that is net of the same parts deducts of
them before a cap. Product lines tell the fourth, energy by their standard's own rules, themselves (`line_limits.py`). RULES.md, section 11.
"""

from collections.abc import Iterable, Mapping, Sequence

from processors.aggregation import Member, Span, Told, belongs, scopes_of
from processors.ledger import Deducted, Ledger
from schemas.deductions import Part
from schemas.double_control import NOTHING, Amount

NetOf = tuple[Part, ...]
NETS: tuple[NetOf, ...] = (("feedstock",), ("non-fossil",), ("feedstock", "non-fossil"))
"""What a figure may be net of; the last is the regime of dual control."""

OfUnit = Mapping[NetOf, tuple[Deducted, ...]]
"""What is deducted of a unit in a month or year."""


def deducted(
    members: Iterable[Member], told: Told, span: Span, hour: int, ledger: Ledger
) -> dict[str, OfUnit]:
    """By unit, of those that count in the span's sums and have something to deduct."""
    till = min(hour, span.end)
    found: dict[str, OfUnit] = {}
    for member in members:
        if member.unit not in ledger.admitted or member.begins >= till:
            continue
        telling = told.get(member.unit)
        its = {net_of: ledger.taken(telling, till, net_of) for net_of in NETS}
        if any(its.values()):
            found[member.unit] = its
    return found


def deducted_of(lines: Iterable[Deducted]) -> Amount:
    """Their sum, to be added to gross: nothing or below, end by end."""
    return sum((one.amount for one in lines), NOTHING)


def by_scope(
    members: Iterable[Member], of_units: Mapping[str, OfUnit], joined: Sequence[str] = ()
) -> dict[tuple[str, NetOf], Amount]:
    """The sums of units' deductions in each scope that has any; `joined` names further scopes, `city:510400+industry:31`."""
    sums: dict[tuple[str, NetOf], Amount] = {}
    for member in members:
        its = of_units.get(member.unit)
        if its is None:
            continue
        mine = (*scopes_of(member), *(scope for scope in joined if belongs(member, scope)))
        for scope in mine:
            for net_of, lines in its.items():
                key = scope, net_of
                sums[key] = sums.get(key, NOTHING) + deducted_of(lines)
    return sums
