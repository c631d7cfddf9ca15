"""What Alertmanager and a webhook are sent, and what their answers mean; over real sockets."""

import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest

from alerts.channels import Alertmanager, Telling, Webhook, outcome_of, shown
from alerts.routing import notice
from schemas.alert import Notice
from schemas.rule import Rule
from tests.alerts.logs import START, UNIT, indicator, told
from tests.alerts.receiver import Receiver, receiving

NOW = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as listening:
        yield listening


def notices(marks: str) -> list[Notice]:
    rule = Rule(name="quota-exceeded", kind="confirmed breach", severity="critical")
    log = [indicator(n, START + n, mark) for n, mark in enumerate(marks)]
    return [notice(transition, rule) for transition in told(log, (rule,))]


def alertmanager(receiver: Receiver) -> Alertmanager:
    return Alertmanager(receiver.address + "/", repeat_seconds=60, clock=lambda: NOW)


def test_what_fires_is_posted_to_alertmanager(receiver: Receiver) -> None:
    """It began in event time, and ends when it is not repeated for an hour."""
    (firing,) = notices("x")
    outcome = alertmanager(receiver).notify([Telling(firing, fired_at=START)])
    assert outcome.result == "delivered"
    (post,) = receiver.posts
    assert post.path == "/api/v2/alerts"
    (alert,) = post.body
    assert alert["labels"]["alertname"] == "quota-exceeded"
    assert alert["labels"]["unit"] == UNIT
    assert alert["annotations"]["summary"].endswith("is above its quota")
    assert alert["startsAt"] == "2026-02-11T08:00:00.000Z"
    assert alert["endsAt"] == "2026-11-23T07:00:00.000Z"


def test_what_has_ended_ends_now(receiver: Receiver) -> None:
    """By the wall clock: an end before its beginning, or years ago, would be no end to it."""
    firing, resolved = notices("x.")
    alertmanager(receiver).notify([Telling(resolved, fired_at=START)])
    ((alert,),) = (post.body for post in receiver.posts)
    assert alert["labels"] == firing.labels
    assert alert["endsAt"] == "2026-11-23T06:00:00.000Z"


@pytest.mark.parametrize("date", ["Mon, 23 Nov 2026 05:00:00 GMT", "Mon, 23 Nov 2026 07:00:00 GMT"])
def test_alertmanagers_own_clock_counts(receiver: Receiver, date: str) -> None:
    """Ours may be an hour fast or slow: what fires must not end there, and what has ended must."""
    receiver.date = date
    there = parsedate_to_datetime(date)
    firing, resolved = notices("x.")
    alertmanager(receiver).notify(
        [Telling(firing, fired_at=START), Telling(resolved, fired_at=START)]
    )
    ((first, second),) = (post.body for post in receiver.posts)
    assert datetime.fromisoformat(first["endsAt"]) == there + timedelta(hours=1)
    assert datetime.fromisoformat(second["endsAt"]) == there


def test_nothing_begins_in_alertmanagers_future(receiver: Receiver) -> None:
    """Data time may be ahead of the wall clock, in a simulation: the API would refuse it."""
    (firing,) = notices("x")
    ahead = Telling(firing, fired_at=START + 10**12)
    alertmanager(receiver).notify([ahead])
    ((alert,),) = (post.body for post in receiver.posts)
    assert alert["startsAt"] == "2026-11-23T06:00:00.000Z"


def test_a_webhook_is_sent_the_notice_under_its_key(receiver: Receiver) -> None:
    """The body is a line of `alerts replay`; the key is the transition's id."""
    (firing,) = notices("x")
    outcome = Webhook(receiver.address + "/in?token=t").notify([Telling(firing, START)])
    assert outcome.result == "delivered"
    (post,) = receiver.posts
    assert post.path == "/in?token=t"
    assert post.headers["Idempotency-Key"] == firing.id
    assert Notice.model_validate(post.body) == firing


def test_credentials_of_the_address_are_sent(receiver: Receiver) -> None:
    (firing,) = notices("x")
    address = receiver.address.replace("http://", "http://weir:s%40crt@")
    assert Webhook(address).notify([Telling(firing, START)]).result == "delivered"
    assert receiver.posts[0].headers["Authorization"] == "Basic d2VpcjpzQGNydA=="


@pytest.mark.parametrize(
    ("status", "result", "why"),
    [
        (200, "delivered", None),
        (202, "delivered", None),
        (302, "retry", "not understood"),
        (400, "refused", "refused"),
        (404, "retry", "not understood"),
        (401, "retry", "not understood"),
        (413, "refused", "refused"),
        (429, "retry", "throttled"),
        (500, "retry", "server error"),
        (503, "retry", "server error"),
    ],
)
def test_answers(status: int, result: str, why: str | None) -> None:
    """Refused is only what will always be: a wrong address or password can be mended."""
    outcome = outcome_of(status, "words")
    assert (outcome.result, outcome.why) == (result, why)
    assert outcome.result == "delivered" or outcome.reason == f"{status} words"


def test_nobody_there() -> None:
    """Whoever is away is tried again; the reason tells no secret of the address."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    (firing,) = notices("x")
    outcome = Webhook(f"http://user:secret@127.0.0.1:{port}/token").notify([Telling(firing, 0)])
    assert (outcome.result, outcome.why) == ("retry", "unreachable")
    assert "secret" not in outcome.reason
    assert "token" not in outcome.reason


def test_what_is_no_http() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        server.settimeout(5)
        (firing,) = notices("x")

        def speak() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100_000)
                connection.sendall(b"220 smtp.example.com ESMTP\r\n")

        thread = threading.Thread(target=speak)
        thread.start()
        outcome = Webhook(f"http://127.0.0.1:{port}/").notify([Telling(firing, 0)])
        thread.join()
    assert (outcome.result, outcome.why) == ("retry", "unreachable")


def test_shown_addresses_hold_no_secret() -> None:
    assert shown("https://user:secret@host:8443/token?key=k") == "https://host:8443"
    assert shown("http://host/token") == "http://host"
