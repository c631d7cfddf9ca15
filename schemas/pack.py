"""Packs: the law's figures as dated data. Ours ships in `packs/*.toml`; an operator's own extend or override it.

An entry of a later pack takes the place of an earlier pack's entry with its id, and goes before earlier entries with its key
on the days on which it holds. `schemas/pack_reading.py` reads them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Generic, TypeVar, cast

from schemas.pack_entries import Definition, Entry, Power, View

D = TypeVar("D", bound=Definition)
D_co = TypeVar("D_co", bound=Definition, covariant=True)
E = TypeVar("E", bound=Entry)


class NoEntryError(LookupError):
    """A figure that no pack has; the message says which."""


@dataclass(frozen=True, slots=True)
class Pack:
    """Which pack, with the hash of its content: layout and comments do not change it."""

    name: str
    label: str
    hash: str

    @property
    def version(self) -> str:
        """`weir 2026-11 (1f0c...)`, 12 characters of the hash."""
        return " ".join(part for part in (self.name, self.label, f"({self.hash[:12]})") if part)


@dataclass(frozen=True, slots=True)
class Held(Generic[D_co]):
    """An entry, and where it is from."""

    entry: D_co
    pack: Pack
    file: str


@dataclass(frozen=True, slots=True)
class Packs:
    """All that holds, of one or more packs; the later ones go first."""

    packs: tuple[Pack, ...]
    held: tuple[Held[Definition], ...]

    @property
    def version(self) -> str:
        """Names and hashes of all packs: what a result stores."""
        return " + ".join(pack.version for pack in self.packs)

    def of(self, kind: type[D]) -> Iterator[Held[D]]:
        """All of a kind, ours first."""
        return (cast("Held[D]", held) for held in self.held if type(held.entry) is kind)

    def by_id(self, name: str) -> Held[Definition]:
        """The entry with an id. Raises NoEntryError."""
        for held in self.held:
            if held.entry.id == name:
                return held
        message = f"no pack has an entry {name!r}"
        raise NoEntryError(message)

    def at(self, kind: type[E], key: tuple[str, ...], on: date) -> Held[E]:
        """What holds of a key on a day; a later pack's before an earlier one's. Raises NoEntryError."""
        for held in reversed(tuple(self.of(kind))):
            if held.entry.key() == key and held.entry.holds(on):
                return held
        message = f"no pack has a {kind.KIND} of {', '.join(filter(None, key))} on {on}"
        raise NoEntryError(message)

    def power(
        self, region: str, view: View, year: int, *, known_on: date | None = None
    ) -> Held[Power]:
        """The electricity factor for a year's accounts, else the latest earlier year's: `entry.year` says which.

        With `known_on`, of those published by that day; one without a day of publication counts as published.
        Raises NoEntryError.
        """
        found: dict[int, Held[Power]] = {}
        for held in self.of(Power):
            published = held.entry.published_on
            if known_on and published and published > known_on:
                continue
            if held.entry.key() == (region, view) and held.entry.year <= year:
                found[held.entry.year] = held
        if not found:
            message = f"no pack has a {view} electricity factor of {region} for {year} or earlier"
            raise NoEntryError(message)
        return found[max(found)]
