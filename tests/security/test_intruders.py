"""Each class of attempts on another's data, twice. The long form is `make intruders`. About 15 seconds."""

from collections.abc import Iterator

import pytest

from tests.security.doors import ALL, Doors
from tests.security.intruders import KINDS, Kind, Scene, attempt, scene_of


@pytest.fixture(scope="module")
def scene(doors: Doors) -> Iterator[Scene]:
    """All connections, and real gateways."""
    with scene_of(doors) as found:
        yield found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_it_is_refused(scene: Scene, kind: Kind) -> None:
    """By the broker's answer, or without effect."""
    tally = attempt(scene, kind, 2, "short")
    assert tally.succeeded == []
    assert tally.refused.total() == 2


def test_nothing_is_other_than_before(scene: Scene) -> None:
    """Users, rights and topics are those of the registry, whatever was tried."""
    assert scene.doors.changes("plan", units=ALL)["changes"] == []
