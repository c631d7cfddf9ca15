"""The doors, opened once for all tests of this folder: about ten seconds."""

from collections.abc import Iterator

import pytest

from tests.security.doors import Doors, opened


@pytest.fixture(scope="session")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """The brokers with the units let in."""
    with opened(tmp_path_factory.mktemp("doors")) as found:
        yield found
