"""What can be wrong between a pack's entries: refused with file, entry and way out."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from schemas.pack_entries import (
    Coefficient,
    Definition,
    Entry,
    Standard,
    StreamFactor,
    WorkedExample,
)
from schemas.pack_limits import Limit, Parameter

Table = dict[str, object]


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong in a pack."""

    file: str
    where: str
    """`coefficient[3] (raw_coal.energy)`, or empty for the file itself."""
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.where, self.message) if part)


@dataclass(frozen=True, slots=True)
class Row:
    """One table of a file, with the file's defaults."""

    pack: int
    file: str
    kind: str
    position: int
    table: Table

    @property
    def where(self) -> str:
        name = self.table.get("id")
        return f"{self.kind}[{self.position}]" + (f" ({name})" if isinstance(name, str) else "")

    def complaint(self, message: str) -> Complaint:
        return Complaint(self.file, self.where, message)


Read = tuple[Row, Definition]


def twice(read: Sequence[Read]) -> Iterator[Complaint]:
    """Ids that one pack gives to two entries."""
    seen: dict[tuple[int, str], Row] = {}
    for row, entry in read:
        first = seen.setdefault((row.pack, entry.id), row)
        if first is not row:
            yield row.complaint(
                f"{first.file} has this id at {first.where}: give one of them another id"
            )


def replaced(read: Sequence[Read], complaints: list[Complaint]) -> list[Read]:
    """What is left when a later pack's entries have taken the place of those with their ids."""
    last: dict[str, Read] = {}
    for one in read:
        row, entry = one
        before = last.get(entry.id)
        if before and (type(before[1]), before[1].key()) != (type(entry), entry.key()):
            complaints.append(
                row.complaint(
                    f"takes the place of {before[0].file} {before[0].where}, which speaks of "
                    f"{', '.join(filter(None, before[1].key()))}: give it another id"
                )
            )
        last[entry.id] = one
    return [one for one in read if last[one[1].id] is one]


def overlaps(kept: Sequence[Read]) -> Iterator[Complaint]:
    """Entries of one pack that speak of the same on the same days."""
    groups: dict[tuple[int, str, tuple[str, ...]], list[Read]] = defaultdict(list)
    for row, entry in kept:
        groups[row.pack, row.kind, entry.key()].append((row, entry))
    for group in groups.values():
        group.sort(key=lambda one: _begins(one[1]))
        for (first, earlier), (row, later) in pairwise(group):
            ends = _ends(earlier)
            if ends is None or _begins(later) < ends:
                yield row.complaint(
                    f"holds from {_begins(later)} on, and {first.file} {first.where} holds until "
                    f"{ends or 'further notice'} for the same {', '.join(filter(None, later.key()))}: "
                    "end the earlier one by valid_to, or tell them apart (set, variant, case, year)"
                )


def _begins(entry: Definition) -> date:
    """First day of an entry; the first of all where it has none."""
    return (entry.valid_from or date.min) if isinstance(entry, Entry) else date.min


def _ends(entry: Definition) -> date | None:
    return entry.valid_to if isinstance(entry, Entry) else None


def dangling(kept: Sequence[Read]) -> Iterator[Complaint]:
    """References to what is not there, and rows of a limit that cannot be told apart."""
    ids = {entry.id: entry for _, entry in kept}
    for row, entry in kept:
        for name, kind in _references(entry):
            if not isinstance(ids.get(name), kind):
                named = f"[[{kind.KIND}]]" if hasattr(kind, "KIND") else "entry"
                yield row.complaint(f"there is no {named} {name!r}: add it, or correct the name")
        if isinstance(entry, Limit):
            yield from (row.complaint(line) for line in _unreckonable(entry, ids))
    yield from _ambiguous([(row, entry) for row, entry in kept if isinstance(entry, Limit)])


def _references(entry: Definition) -> Iterator[tuple[str, type[Definition]]]:
    if isinstance(entry, Entry) and entry.standard is not None:
        yield entry.standard, Standard
    if isinstance(entry, StreamFactor):
        yield entry.entry, Entry
    if isinstance(entry, WorkedExample):
        yield from ((name, Entry) for name in (*entry.times, *entry.over))
    if isinstance(entry, Limit):
        yield from ((name, Parameter) for name in sorted(entry.parameters()))
        if entry.electricity is not None:
            yield entry.electricity, Coefficient


def _unreckonable(limit: Limit, ids: Mapping[str, Definition]) -> Iterator[str]:
    """Parameters that a formula multiplies and that are options, or options that a parameter lacks."""
    for name in sorted(limit.reckoned()):
        parameter = ids.get(name)
        if isinstance(parameter, Parameter) and parameter.options:
            yield f"reckons with {name}, which is one of {', '.join(parameter.options)}, and no number"
    conditions = [*limit.applies, *limit.exempt, *(c for x in limit.corrections for c in x.when)]
    for condition in conditions:
        parameter = ids.get(condition.parameter)
        known = parameter.options if isinstance(parameter, Parameter) else ()
        if known or condition.one_of:
            unknown = sorted(set(condition.one_of) - set(known))
            if unknown or not condition.one_of:
                yield f"asks {condition.parameter} for {', '.join(unknown) or 'a number'}; it is one of {', '.join(known) or 'no options'}"


def _ambiguous(limits: Sequence[tuple[Row, Limit]]) -> Iterator[Complaint]:
    """Rows of one indicator that hold on the same days, and may hold for the same unit."""
    groups: dict[tuple[int, str, str], list[tuple[Row, Limit]]] = defaultdict(list)
    for row, limit in limits:
        groups[row.pack, limit.indicator, limit.region or ""].append((row, limit))
    for group in groups.values():
        for number, (row, limit) in enumerate(group):
            for first, other in group[:number]:
                if _same_days(limit, other) and not _told_apart(limit, other):
                    yield row.complaint(
                        f"{first.file} {first.where} is for the same {limit.indicator}: say in `applies` which of them holds for whom"
                    )


def _same_days(one: Entry, other: Entry) -> bool:
    both = max(_begins(one), _begins(other))
    return one.holds(both) and other.holds(both)


def _told_apart(one: Limit, other: Limit) -> bool:
    return any(mine.excludes(theirs) for mine in one.applies for theirs in other.applies)
