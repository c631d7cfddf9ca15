"""The dead man's switch raises once when the watchdog stays away, and once when it is back; over real sockets."""

import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from alerts.channels import DELIVERED, Outcome
from alerts.deadman import Switch, serve


class Room:
    """Who is told; it may be deaf."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.deaf = False

    def notify(self, title: str, body: str, *, key: str) -> Outcome:
        assert body
        if self.deaf:
            return Outcome("retry", "unreachable", "deaf")
        self.heard.append((title, key))
        return DELIVERED


class World:
    """A switch, its clock and who it tells."""

    def __init__(self) -> None:
        self.now = 0.0
        self.room = Room()
        self.switch = Switch(
            patience_s=300, receivers={"room": self.room}, language="en", clock=lambda: self.now
        )

    def look_at(self, now: float) -> None:
        self.now = now
        self.switch.look()


def posted(name: str = "Watchdog", status: str = "firing") -> bytes:
    return json.dumps(
        {"version": "4", "alerts": [{"status": status, "labels": {"alertname": name}}]}
    ).encode()


@pytest.fixture
def world() -> World:
    return World()


def test_silence_is_told_once_and_its_end_too(world: World) -> None:
    """Five minutes without it, then back, then away again: three words, each with a key of its own."""
    for now in range(0, 1_000, 60):
        world.now = now
        if now < 120 or now >= 900:
            world.switch.hear(posted())
        world.switch.look()
    world.look_at(2_000)
    titles = [title for title, _ in world.room.heard]
    assert titles == [
        "Alarms are dead: the watchdog has been silent for 360 s",
        "Alarms are alive again",
        "Alarms are dead: the watchdog has been silent for 1040 s",
    ]
    assert len({key for _, key in world.room.heard}) == 3


def test_one_that_never_came_is_silent_too(world: World) -> None:
    """It counts from the start; and who was deaf is told later."""
    world.room.deaf = True
    world.look_at(301)
    world.room.deaf = False
    world.look_at(302)
    world.look_at(303)
    assert [title for title, _ in world.room.heard] == [
        "Alarms are dead: the watchdog has been silent for 302 s"
    ]


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"[]", b'{"alerts": 1}', posted("Other"), posted(status="resolved")]
)
def test_nothing_else_counts(world: World, body: bytes) -> None:
    """Other alarms, an end, nonsense: not the watchdog."""
    assert not world.switch.hear(body)


@pytest.fixture
def address(world: World) -> Iterator[tuple[str, int]]:
    server = serve(world.switch, "127.0.0.1", 0)
    yield "127.0.0.1", server.server_port
    server.shutdown()
    server.server_close()
    for thread in threading.enumerate():
        if thread.name == "deadman":
            thread.join()


def test_over_http(world: World, address: tuple[str, int]) -> None:
    """Alertmanager posts, a supervisor asks: 503 while it is silent."""

    def ask(method: str, body: bytes | None = None) -> int:
        connection = HTTPConnection(*address, timeout=5)
        connection.request(method, "/healthz", body=body)
        status = connection.getresponse().status
        connection.close()
        return status

    world.now = 400
    assert ask("GET") == 503
    assert ask("POST", posted()) == 200
    assert ask("GET") == 200
