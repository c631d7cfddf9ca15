"""The small province in a real database, read as Grafana reads it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from secrets import token_urlsafe

import psycopg
import pytest

from processors import migrate
from tests.dashboards.expected import Expected
from tests.dashboards.world import province, write
from tests.integration.conftest import drop_database, new_database


@dataclass(frozen=True)
class Seeded:
    """A database with the province in it."""

    url: str = field(repr=False)
    """As its owner."""
    reader: str = field(repr=False)
    """As a member of weir_reader, and of nothing else."""
    expected: Expected


@pytest.fixture(scope="session")
def seeded() -> Iterator[Seeded]:
    """The province, written once and only read: about 8 s."""
    url = new_database()
    name, password = url.rsplit("/", 1)[1].replace("weir_test", "weir_test_reader"), token_urlsafe()
    try:
        migrate.up(url)
        migrate.login(url, name, role="weir_reader", password=password)
        told = province()
        heard = write(told, url)
        reader = f"postgresql://{name}:{password}@{url.split('@', 1)[1]}"
        yield Seeded(url, reader, Expected(told, heard))
    finally:
        with psycopg.connect(url, autocommit=True) as link:
            link.execute(f"DROP ROLE IF EXISTS {name}".encode())
        drop_database(url)


@pytest.fixture(scope="session")
def grafana(seeded: Seeded) -> Iterator[psycopg.Connection]:
    """A session of the data source."""
    with psycopg.connect(seeded.reader, autocommit=True) as link:
        yield link
