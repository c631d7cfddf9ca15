"""The small province in a real database, read as Grafana reads it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from secrets import token_urlsafe

import psycopg
import pytest

from processors import migrate
from tests.dashboards.expected import Expected
from tests.dashboards.world import Heard, province, write
from tests.integration.conftest import drop_database, new_database


@dataclass(frozen=True)
class Seeded:
    """A database with the province in it."""

    url: str = field(repr=False)
    """As its owner."""
    logins: dict[str, str] = field(repr=False)
    """Addresses by who logs in: worker, alerts, reader, each a member of that role and of nothing else."""
    expected: Expected

    @property
    def reader(self) -> str:
        """As a member of weir_reader."""
        return self.logins["reader"]

    @property
    def suffix(self) -> str:
        """For names of the server that are this database's own."""
        return self.url.rsplit("_", 1)[1]

    def give(self, name: str, role: str) -> str:
        """The address of a login of a role, which is made or given another password."""
        password = token_urlsafe()
        migrate.login(self.url, name, role=role, password=password)
        return f"postgresql://{name}:{password}@{self.url.split('@', 1)[1]}"


@pytest.fixture(scope="session")
def seeded() -> Iterator[Seeded]:
    """The province, written once and only read: about 8 s."""
    url = new_database()
    place = Seeded(url, {}, Expected(province(), Heard((), ())))
    names = {who: f"weir_test_{who}_{place.suffix}" for who in ("worker", "alerts", "reader")}
    try:
        migrate.up(url)
        logins = {who: place.give(name, f"weir_{who}") for who, name in names.items()}
        told = place.expected.province
        heard = write(told, owner=url, worker=logins["worker"], alerts=logins["alerts"])
        yield Seeded(url, logins, Expected(told, heard))
    finally:
        drop_logins(url, names.values())
        drop_database(url)


def drop_logins(url: str, names: Iterable[str]) -> None:
    """Roles belong to the server: they do not go with the database."""
    with psycopg.connect(url, autocommit=True) as link:
        for name in names:
            link.execute(f"DROP ROLE IF EXISTS {name}".encode())


@pytest.fixture(scope="session")
def grafana(seeded: Seeded) -> Iterator[psycopg.Connection]:
    """A session of the data source."""
    with psycopg.connect(seeded.reader, autocommit=True) as link:
        yield link
