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


def new_database() -> str:
    """Make an empty database; returns its address."""
    name = f"weir_test_{uuid4().hex[:12]}"
    with psycopg.connect(server_url(), autocommit=True) as link:
        link.execute(f"CREATE DATABASE {name}".encode())
    return f"{server_url().rsplit('/', 1)[0]}/{name}"


def drop_database(url: str) -> None:
    """Drop it, with whoever is in it."""
    name = url.rsplit("/", 1)[1]
    with psycopg.connect(server_url(), autocommit=True) as link:
        link.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@pytest.fixture
def empty_database() -> Iterator[str]:
    """The address of a database without tables."""
    url = new_database()
    yield url
    drop_database(url)


@pytest.fixture
def database() -> Iterator[str]:
    """The address of a database of the test's own, all migrations applied."""
    url = new_database()
    migrate.up(url)
    yield url
    drop_database(url)


@pytest.fixture(scope="module")
def shared_database() -> Iterator[str]:
    """The same for all tests of a file, which only read, or write units of their own."""
    url = new_database()
    migrate.up(url)
    yield url
    drop_database(url)
