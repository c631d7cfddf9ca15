"""Which users there are, since when and until when: what the registry makes of what was given out. Pure.

Each owner (a unit or a service) has one account, or two while its password is being changed: the old
one holds until its end, under its own name. Times are milliseconds since 1970-01-01 UTC.
"""

from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from ingest.access_rights import MQTT_GATEWAY, SECOND, SERVICES
from ingest.complaint import ComplaintError
from schemas.calendar import DAY_MS
from schemas.registry import Registry, Unit


class Account(BaseModel):
    """A user of the brokers. Its password is in a file of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    owner: str
    since: Annotated[int, Field(ge=0)]
    until: int | None = None
    mosquitto: Annotated[str, Field(repr=False)] = ""
    """The password as Mosquitto's file holds it."""
    in_kafka: bool = False
    """Whether Kafka was given the password that is in the file."""

    @property
    def at_mqtt(self) -> bool:
        """Whether Mosquitto knows it: units, and the gateway."""
        return self.owner == MQTT_GATEWAY or self.owner not in SERVICES


class Accounts(BaseModel):
    """All that were given out, and the units that left."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accounts: tuple[Account, ...] = ()
    left: tuple[str, ...] = ()

    def users(self) -> dict[str, str]:
        """User → owner."""
        return {one.name: one.owner for one in self.accounts}

    def of(self, owner: str) -> list[Account]:
        """The accounts of one owner, the one to stay last."""
        found = [one for one in self.accounts if one.owner == owner]
        return sorted(found, key=lambda one: one.until is None)

    def changed(self, account: Account) -> Self:
        """The same with this account added, or in the place of the one of its name."""
        others = [one for one in self.accounts if one.name != account.name]
        return self._with([*others, account])

    def without(self, names: Iterable[str], *, left: Iterable[str] = ()) -> Self:
        """The same without some."""
        gone = set(names)
        kept = self._with([one for one in self.accounts if one.name not in gone])
        return kept.model_copy(update={"left": tuple(sorted({*self.left, *left}))})

    def _with(self, accounts: Iterable[Account]) -> Self:
        ordered = tuple(sorted(accounts, key=lambda one: one.name))
        return self.model_copy(update={"accounts": ordered})


def is_there(unit: Unit, *, now: int) -> bool:
    """Whether a unit still sends: until its last point ended, and its horizon after that passed."""
    ends = [point.ends for point in unit.points]
    last = None if None in ends else max(end for end in ends if end is not None)
    return last is None or now < last + unit.horizon_days * DAY_MS


def owners_of(registries: Iterable[Registry], *, now: int) -> frozenset[str]:
    """Who is to have an account: the units as last told that still send, and the services."""
    units = {unit.code: unit for registry in registries for unit in registry.units}
    return frozenset(code for code, unit in units.items() if is_there(unit, now=now)) | frozenset(
        SERVICES
    )


def missing(known: Accounts, owners: frozenset[str]) -> list[str]:
    """Owners without an account."""
    return sorted(owners - {one.owner for one in known.accounts})


def ended(known: Accounts, *, now: int) -> list[Account]:
    """Accounts whose overlap is over."""
    return [one for one in known.accounts if one.until is not None and one.until <= now]


def of_left(known: Accounts, owners: frozenset[str]) -> list[Account]:
    """Accounts of owners that are not there any more."""
    return [one for one in known.accounts if one.owner not in owners]


def rotated(known: Accounts, owner: str, *, until: int) -> tuple[Accounts, str]:
    """The old account ends at `until`; and the name that the new one is to have. ComplaintError where that cannot be."""
    match known.of(owner):
        case [only]:
            name = owner + SECOND if only.name == owner else owner
            return known.changed(only.model_copy(update={"until": until})), name
        case []:
            message = f"{owner} has no account: is it in the registry, and was `access apply` run?"
        case _:
            message = f"{owner} has two passwords already: `access apply` takes the old one away when its overlap is over"
    raise ComplaintError(message)
