"""What may change in a registered unit's entry, and what such a change touches."""

from collections.abc import Iterator, Mapping

from schemas.registry import Configuration, Opening, Point, Unit
from schemas.section import DECLARED, RANKS, WITHDRAWN

FIXED = ("name", "quantity", "unit_of_measure", "statement", "others", "anchor_ms")
"""What a point never changes; the rest may be corrected, also for the past."""


def complaints(stored: Unit, asked: Unit) -> Iterator[str]:
    """Why an entry cannot follow the stored one, a line each, with the way out."""
    if asked.history != stored.history:
        yield f"unit {asked.code}: history is {stored.history} in the stored entry: a control record ends it, no entry does"
    if asked.begins > stored.begins:
        yield f"unit {asked.code}: its first point would begin later than told: let a point end (valid_to) instead"
    if len(asked.points) < len(stored.points):
        gone = ", ".join(point.name for point in stored.points[len(asked.points) :])
        yield f"unit {asked.code}: {gone} is missing: a point ends (valid_to), its entry stays"
    for before, after in zip(stored.points, asked.points, strict=False):
        yield from _complaints_of_point(asked.code, before, after)


def _complaints_of_point(unit: str, before: Point, after: Point) -> Iterator[str]:
    for name in FIXED:
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield (
                f"unit {unit}: point {before.name}: {name} cannot change from {old!r} to {new!r}: "
                "end the point (valid_to) and add another below the others"
            )


class Entries:
    """Entries of units by configuration; the configurations may grow."""

    def __init__(self, configurations: Mapping[int, Configuration]) -> None:
        """They are looked through once."""
        self._configurations = configurations
        self._seen: set[int] = set()
        self._of_unit: dict[str, dict[int, Unit]] = {}

    def at(self, unit: str, version: int) -> Unit | None:
        """A unit's entry under a configuration: that of the last one until then which has it."""
        for number in self._configurations.keys() - self._seen:
            self._seen.add(number)
            for one in self._configurations[number].registry.units:
                self._of_unit.setdefault(one.code, {})[number] = one
        mine = self._of_unit.get(unit, {})
        return mine.get(max((number for number in mine if number <= version), default=0))


def counts_otherwise(stored: Unit, asked: Unit) -> bool:
    """Whether readings count otherwise under the entry, so that the unit must be worked out again."""
    return stored.points != asked.points or stored.horizon_days != asked.horizon_days


def limits_of_years(stored: Unit, asked: Unit) -> frozenset[int]:
    """Years whose quota, budget or opening balances, also of lines, differ."""
    before, after = ({*_openings(entry)} for entry in (stored, asked))
    return frozenset(
        {quota.year for quota in {*stored.quotas} ^ {*asked.quotas}}
        | {budget.year for budget in {*stored.budgets} ^ {*asked.budgets}}
        | {opening.year for _, opening in before ^ after}
    )


def _openings(entry: Unit) -> Iterator[tuple[str, Opening]]:
    yield from (("", opening) for opening in entry.openings)
    yield from ((line.id, opening) for line in entry.lines for opening in line.openings)


def described(stored: Unit | None, asked: Unit) -> Iterator[str]:
    """What an entry changes, a line each, and when it holds; nothing where it is as stored."""
    if stored is None:
        yield f"unit {asked.code}: new, with {len(asked.points)} points"
        return
    for name in ("name", "region", "industry", "horizon_days"):
        old, new = getattr(stored, name), getattr(asked, name)
        if old != new:
            when = "once the unit is restated" if name == "horizon_days" else "at once"
            yield f"unit {asked.code}: {name} {old!r} becomes {new!r}, {when}"
    for year in sorted(limits_of_years(stored, asked)):
        changed = [
            f"{name} {old} becomes {new}"
            for name, said in (("quota", _quota), ("budget", _budget))
            if (old := said(stored, year)) != (new := said(asked, year))
        ]
        yield f"unit {asked.code}: {year}: {', '.join(changed) or 'openings, or a source'}, at once"
    if stored.heat_values != asked.heat_values:
        names = [", ".join(one.name for one in entry.heat_values) for entry in (stored, asked)]
        yield f"unit {asked.code}: own heat values {names[0] or 'none'} become {names[1] or 'none'}, once the unit is restated"
    yield from _changed_lines(stored, asked)
    for number, point in enumerate(asked.points):
        before = stored.points[number] if number < len(stored.points) else None
        if before != point:
            yield f"unit {asked.code}: point {point.name}: {_changes(before, point)}, once the unit is restated"


def _changed_lines(stored: Unit, asked: Unit) -> Iterator[str]:
    for line in asked.lines:
        if line not in stored.lines:
            yield f"unit {asked.code}: line {line.id}: new, or declared otherwise"
    for line in stored.lines:
        if line.id not in {one.id for one in asked.lines}:
            yield f"unit {asked.code}: line {line.id}: gone"


def _quota(entry: Unit, year: int) -> str:
    found = [quota.energy_tce for quota in entry.quotas if quota.year == year]
    return f"{found[0]} tce" if found else "none"


def _budget(entry: Unit, year: int) -> str:
    found = [budget for budget in entry.budgets if budget.year == year]
    return f"{found[0].co2_t} t CO2 ({found[0].view})" if found else "none"


def _changes(before: Point | None, after: Point) -> str:
    if before is None:
        return f"new from {after.valid_from.isoformat()}"
    names = [
        name for name in type(after).model_fields if getattr(before, name) != getattr(after, name)
    ]
    return ", ".join(
        f"{name} {getattr(before, name)} becomes {getattr(after, name)}" for name in names
    )


Declared = tuple[int, int, int, int]
"""(point number, instant, register in 10⁻⁶ of the dial, flags)."""
DECLARED_RANK = RANKS["measured"]


def declared(stored: Unit | None, asked: Unit) -> list[Declared]:
    """The registers that an entry declares; those that it no longer does are withdrawn.

    They count as measured, with the configuration's version as their revision and no `sent_at`.
    The same points declare nothing anew.
    """
    if stored is not None and stored.points == asked.points:
        return []
    now = {
        (number, at): register
        for number, point in enumerate(asked.points)
        for at, register in point.declared()
    }
    gone = {
        (number, at)
        for number, point in enumerate(() if stored is None else stored.points)
        for at, _ in point.declared()
    } - now.keys()
    return [(*key, register, DECLARED) for key, register in sorted(now.items())] + [
        (*key, 0, DECLARED | WITHDRAWN) for key in sorted(gone)
    ]
