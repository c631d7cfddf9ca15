"""Who may log in to see what: a file of logins, and what it changes in a database."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from schemas.calendar import BUSINESS

Role = Literal["weir_regulator", "weir_enterprise"]
_PART = {
    "weir_regulator": r"province:\d{2}0000|city:\d{4}00|county:\d{6}|industry:\d{2}",
    "weir_enterprise": r"unit:[0-9A-Z]{18}",
}
_FITS = {
    "weir_regulator": "regions and industries: province:510000, city:510400, county:510402, industry:31",
    "weir_enterprise": "units: unit: and the 18-character code",
}


class MembershipError(Exception):
    """A file that cannot be taken; the message has a line for each mistake."""


class Sees(BaseModel):
    """A scope that a login may see in the days [first, until) of the business calendar."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope: str
    first: Annotated[date, Field(alias="from")]
    until: date | None = None

    @model_validator(mode="after")
    def _forward(self) -> Self:
        if self.until is not None and self.until <= self.first:
            message = f"{self.scope}: until {self.until} is not after from {self.first}"
            raise ValueError(message)
        return self


class Login(BaseModel):
    """A login, its role and what it may see."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
    role: Role
    sees: Annotated[tuple[Sees, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.name.startswith(("weir_", "pg_")):
            message = f"{self.name}: names that begin with weir_ or pg_ are taken"
            raise ValueError(message)
        begun = set()
        for one in self.sees:
            if not all(re.fullmatch(_PART[self.role], part) for part in one.scope.split("+")):
                message = f"{self.role} sees {_FITS[self.role]}; not {one.scope}"
                raise ValueError(message)
            if (one.scope, one.first) in begun:
                message = f"{one.scope} is named twice from {one.first} on"
                raise ValueError(message)
            begun.add((one.scope, one.first))
        return self


class Memberships(BaseModel):
    """All of a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    login: tuple[Login, ...] = ()

    @model_validator(mode="after")
    def _once(self) -> Self:
        names = [one.name for one in self.login]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            message = f"named twice: {', '.join(twice)}"
            raise ValueError(message)
        return self


def read_memberships(path: Path) -> Memberships:
    """A file's content, checked. Raises MembershipError."""
    try:
        return Memberships.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        lines = [
            f"{path}: {'.'.join(map(str, one['loc'])) or 'file'}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_url=False, include_context=False)
        ]
        raise MembershipError("\n".join(lines)) from error
    except (OSError, ValueError) as error:
        message = f"{path}: cannot be read: {error}"
        raise MembershipError(message) from error


# ---- What a file changes


class Grant(NamedTuple):
    """That a login may see a scope from an instant on; key of a row of login_scope."""

    login: str
    scope: str
    from_at: datetime


@dataclass(frozen=True, slots=True)
class Held:
    """What a database has: roles of logins, and until when each grant holds (None: no end)."""

    roles: Mapping[str, str]
    grants: Mapping[Grant, datetime | None]


@dataclass(frozen=True, slots=True)
class RoleChange:
    """A login becomes a member of `role` and of no other of ours; of none where it is empty."""

    said: str
    login: str
    role: Role | Literal[""]


@dataclass(frozen=True, slots=True)
class GrantChange:
    """A grant begins, or ends at another time."""

    said: str
    grant: Grant
    until: datetime | None


Change = RoleChange | GrantChange


def changes(held: Held, wanted: Memberships, at: datetime) -> list[Change]:
    """What makes a database hold what a file says. What the file leaves out ends at `at`."""
    return [*_roles(held, wanted), *_grants(held, wanted, at)]


def _roles(held: Held, wanted: Memberships) -> Iterator[RoleChange]:
    roles = {one.name: one.role for one in wanted.login}
    for name in sorted(held.roles.keys() - roles.keys()):
        yield RoleChange(f"- {name}: {held.roles[name]} no more", name, "")
    for name, role in sorted(roles.items()):
        if name not in held.roles:
            how = f"python -m processors migrate login {name} --role {role}"
            yield RoleChange(f"+ {name}: {role} (its password: `{how}`)", name, role)
        elif held.roles[name] != role:
            yield RoleChange(f"~ {name}: {held.roles[name]} -> {role}", name, role)


def _grants(held: Held, wanted: Memberships, at: datetime) -> Iterator[GrantChange]:
    named = {
        Grant(login.name, one.scope, _midnight(one.first)): None
        if one.until is None
        else _midnight(one.until)
        for login in wanted.login
        for one in login.sees
    }
    for grant in sorted(named.keys() - held.grants.keys()):
        yield GrantChange(f"+ {_said(grant, named[grant])}", grant, named[grant])
    for grant, was in sorted(held.grants.items()):
        until = named[grant] if grant in named else _ended(grant, was, at)
        if until != was:
            sign = "~" if grant in named else "-"
            yield GrantChange(f"{sign} {_said(grant, until)}", grant, until)


def _ended(grant: Grant, was: datetime | None, at: datetime) -> datetime:
    now = max(at, grant.from_at)
    return now if was is None else min(was, now)


def _said(grant: Grant, until: datetime | None) -> str:
    begins = f"{grant.from_at.astimezone(BUSINESS):%Y-%m-%d}"
    ends = "" if until is None else f" until {until.astimezone(BUSINESS):%Y-%m-%d %H:%M}"
    return f"{grant.login} sees {grant.scope} from {begins}{ends}"


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=BUSINESS)


def refusal(login: str, asked: str, may_see: Sequence[str]) -> str:
    """Why a login gets no report: a unit that it may not see is not told from one that nobody registered."""
    sees = f"it may see {', '.join(may_see)}" if may_see else "nothing is open to it now"
    if asked.startswith("unit:"):
        return f"there is no registered unit {asked[5:]} that {login} may see; {sees}"
    return f"{login} may not see {asked}; {sees}"
