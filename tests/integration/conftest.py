"""Databases of their own for tests, on the server of deploy/local."""

import os
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from deploy.local.parts import LocalParts
from processors import migrate


def server_url() -> str:
    """WEIR_TEST_DATABASE_URL, else the local server's; its owner may make databases."""
    return os.environ.get("WEIR_TEST_DATABASE_URL") or LocalParts().endpoints().database_url


def new_database(template: str = "template1") -> str:
    """Make a database like another; returns its address."""
    name = f"weir_test_{uuid4().hex[:12]}"
    with psycopg.connect(server_url(), autocommit=True) as link:
        link.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
    return f"{server_url().rsplit('/', 1)[0]}/{name}"


def name_of(url: str) -> str:
    """Name of the database at an address."""
    return url.rsplit("/", 1)[1]


def drop_database(url: str) -> None:
    """Drop it, with whoever is in it."""
    with psycopg.connect(server_url(), autocommit=True) as link:
        link.execute(f"DROP DATABASE IF EXISTS {name_of(url)} WITH (FORCE)".encode())


@pytest.fixture
def empty_database() -> Iterator[str]:
    """The address of a database without tables."""
    url = new_database()
    yield url
    drop_database(url)


@pytest.fixture(scope="session")
def migrated() -> Iterator[str]:
    """Name of a database with all migrations applied, to be copied: a tenth of a second each.

    Nobody may be in it while it is copied, TimescaleDB's own scheduler neither.
    """
    url = new_database()
    migrate.up(url)
    with psycopg.connect(server_url(), autocommit=True) as link:
        link.execute(f"ALTER DATABASE {name_of(url)} ALLOW_CONNECTIONS false".encode())
        link.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            (name_of(url),),
        )
    yield name_of(url)
    drop_database(url)


@pytest.fixture
def database(migrated: str) -> Iterator[str]:
    """The address of a database of the test's own, all migrations applied."""
    url = new_database(migrated)
    yield url
    drop_database(url)


@pytest.fixture(scope="module")
def shared_database(migrated: str) -> Iterator[str]:
    """The same for all tests of a file, which only read, or write units of their own."""
    url = new_database(migrated)
    yield url
    drop_database(url)
