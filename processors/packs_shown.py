"""What the packs hold, as people and programs read it: lists, and what differs between two."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from schemas.pack import Held, Packs
from schemas.pack_entries import Definition, Entry, Place
from schemas.pack_reading import KINDS

Told = dict[str, object]


def chosen(
    packs: Packs, *, kinds: Sequence[str] = (), at: date | None = None, region: str | None = None
) -> list[Held[Definition]]:
    """Entries of some kinds, in force on a day, that name a region (code or name); all where nothing is asked."""
    names = None if region is None else _names(packs, region)
    found = [
        held
        for kind, model in KINDS.items()
        if not kinds or kind in kinds
        for held in packs.of(model)
        if names is None or names & set(_regions_of(held.entry))
    ]
    return found if at is None else _in_force(found, at)


def _in_force(found: Sequence[Held[Definition]], at: date) -> list[Held[Definition]]:
    """Of one key only what goes first on the day."""
    first: dict[tuple[str, tuple[str, ...]], Held[Definition]] = {}
    for held in found:
        if not isinstance(held.entry, Entry) or held.entry.holds(at):
            first[held.entry.KIND, held.entry.key()] = held
    return list(first.values())


def _names(packs: Packs, region: str) -> frozenset[str]:
    """A region by all its names, with those that it lies in."""
    places = {held.entry.code: held.entry for held in packs.of(Place)}
    names = {region.lower()}
    code = next(
        (p.code for p in places.values() if region.lower() in {p.code, p.name.lower(), p.name_zh}),
        "",
    )
    while place := places.get(code):
        names |= {place.code, *filter(None, [place.power_region])}
        code = place.parent
    return frozenset(names)


def _regions_of(entry: Definition) -> Iterator[str]:
    if isinstance(entry, Place):
        yield from (entry.code, entry.parent)
    elif name := getattr(entry, "region", None):
        yield name


def as_json(held: Held[Definition]) -> Told:
    """An entry with its kind, pack and file."""
    told: Told = {"kind": held.entry.KIND, "pack": held.pack.version, "file": held.file}
    return told | held.entry.model_dump(mode="json") | {"figure": held.entry.figure()}


def listing(found: Sequence[Held[Definition]]) -> Iterator[str]:
    """One line an entry, under a heading for each kind."""
    for kind in KINDS:
        of_kind = [held for held in found if kind == held.entry.KIND]
        if of_kind:
            yield f"{kind}: {len(of_kind)}"
            yield from columns([_line(held) for held in of_kind])
            yield ""


def _line(held: Held[Definition]) -> tuple[str, ...]:
    entry = held.entry
    if not isinstance(entry, Entry):
        return f"  {entry.id}", entry.figure(), "", "", held.pack.name, ""
    return (
        f"  {entry.id}",
        entry.figure(),
        _days(entry),
        entry.status,
        held.pack.name,
        entry.source,
    )


def _days(entry: Entry) -> str:
    begins = f"from {entry.valid_from}" if entry.valid_from else "from unknown"
    asked = "?" if entry.dates == "unconfirmed" and entry.valid_from else ""
    return f"{begins}{asked}" + (f" to {entry.valid_to}" if entry.valid_to else "")


def columns(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Rows with their columns aligned; the last is left as it is."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        yield "  ".join([*cells, row[-1]]).rstrip()


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two sets of packs, by id."""

    added: tuple[Held[Definition], ...]
    removed: tuple[Held[Definition], ...]
    changed: tuple[tuple[Held[Definition], Held[Definition]], ...]


def difference(before: Packs, after: Packs) -> Difference:
    """Entries that only one of them has, and those that say something else."""
    old = {held.entry.id: held for held in before.held}
    new = {held.entry.id: held for held in after.held}
    return Difference(
        tuple(held for name, held in new.items() if name not in old),
        tuple(held for name, held in old.items() if name not in new),
        tuple(
            (old[name], held)
            for name, held in new.items()
            if name in old and old[name].entry != held.entry
        ),
    )


def changes(before: Held[Definition], after: Held[Definition]) -> dict[str, tuple[str, str]]:
    """By field: what it said, and what it says."""
    old, new = as_json(before), as_json(after)
    fields = [name for name in new | old if name not in {"pack", "file"}]
    return {
        name: (_said(old.get(name)), _said(new.get(name)))
        for name in fields
        if new.get(name) != old.get(name)
    }


def _said(value: object) -> str:
    return "nothing" if value in (None, "", [], ()) else str(value)


def difference_lines(told: Difference) -> Iterator[str]:
    """The difference as people read it."""
    for word, listed in (("added", told.added), ("removed", told.removed)):
        if listed:
            yield f"{word}: {len(listed)}"
            yield from columns([_line(held) for held in listed])
    if told.changed:
        yield f"changed: {len(told.changed)}"
    for before, after in told.changed:
        yield f"  {after.entry.id} ({after.entry.KIND})"
        for name, (was, now) in changes(before, after).items():
            yield f"    {name}: {was} -> {now}"
    if not (told.added or told.removed or told.changed):
        yield "no difference"


def difference_json(told: Difference) -> Told:
    """The difference as programs read it."""
    return {
        "added": [as_json(held) for held in told.added],
        "removed": [as_json(held) for held in told.removed],
        "changed": [
            {"id": new.entry.id, "kind": new.entry.KIND, "fields": changes(old, new)}
            for old, new in told.changed
        ],
    }
