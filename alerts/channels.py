"""Who is told: Alertmanager (API v2) and a webhook, both over HTTP.

A channel decides only whether what it was given was delivered, is to be tried again, or is refused
for good; when to try again is `alerts/delivery.py`'s to say.
"""

import base64
import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Literal, NamedTuple, Protocol, cast
from urllib.parse import SplitResult, unquote, urlsplit

from schemas.alert import Notice
from schemas.calendar import moment

Why = Literal["unreachable", "timeout", "server error", "throttled", "not understood", "refused"]
WHYS: tuple[Why, ...] = (
    "unreachable",
    "timeout",
    "server error",
    "throttled",
    "not understood",
    "refused",
)
"""Kinds of failure: few, since they are labels of a metric."""

FORGOTTEN_AFTER_S = 3_600.0
"""What fires and is not repeated for so long, by nobody, Alertmanager forgets, and tells that it ended."""

_OK = 200
_OF_NO_USE = frozenset({400, 413, 414, 422})
"""Answers that the same request will always get. 401, 403 and 404 are mended by an operator."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a notification."""

    result: Literal["delivered", "retry", "refused"]
    why: Why | None = None
    reason: str = ""


DELIVERED = Outcome("delivered")


@dataclass(frozen=True, slots=True)
class Telling:
    """A transition to be told, and when its alert fired (event time)."""

    notice: Notice
    fired_at: int
    extra: Mapping[str, dict[str, str]] | None = None
    """`labels` and `annotations` that its case added."""


class Channel(Protocol):
    """Somebody who is told."""

    @property
    def name(self) -> str:
        """What it is called in the outbox: never changed, or what waits is never sent."""

    @property
    def repeats(self) -> bool:
        """It must be told again and again of what fires."""

    @property
    def at_once(self) -> int:
        """How many transitions it takes in one notification."""

    def notify(self, tellings: Sequence[Telling]) -> Outcome:
        """Tell it, all or none. Never raises for what happens on the network."""


def wall() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """Prometheus' Alertmanager: it groups, inhibits, silences and sends on.

    It knows an alert by its labels, takes a repetition for a sign of life, and forgets an alert
    whose `endsAt` has passed: by its own clock, so it is asked for its time. With ours, where ours
    is an hour fast, what has ended would fire for an hour; where it is slow, what fires would end.
    """

    url: str
    repeat_seconds: float
    clock: Callable[[], datetime] = wall
    name: str = "alertmanager"
    repeats: bool = True
    at_once: int = 64

    def notify(self, tellings: Sequence[Telling]) -> Outcome:
        """Post all of them as one list."""
        now = self.now()
        return self.post([self.postable(telling, now) for telling in tellings])

    def now(self) -> datetime:
        """What time it is there."""
        return _time_at(self.url) or self.clock()

    def post(self, alerts: Sequence[Mapping[str, object]]) -> Outcome:
        """Post alerts as the API takes them."""
        return post(f"{self._api}/alerts", alerts, {})

    def silence(self, body: Mapping[str, object]) -> str | None:
        """Make a silence; its id there, or None where it was not taken."""
        answer = request("POST", f"{self._api}/silences", json.dumps(body).encode(), {})
        return str(json.loads(answer.text)["silenceID"]) if answer.status == _OK else None

    def unsilence(self, silence: str) -> bool:
        """End a silence; say whether it is over."""
        return request("DELETE", f"{self._api}/silence/{silence}", None, {}).status in {_OK, 404}

    @property
    def _api(self) -> str:
        return f"{self.url.rstrip('/')}/api/v2"

    def postable(self, telling: Telling, now: datetime) -> dict[str, object]:
        """Return an alert as the API takes it.

        It began when it fired in event time, but never in Alertmanager's future. What fires ends
        when it is not repeated for long: sooner, people would be told an end that is none whenever
        the database is away. What has ended, ends now, whatever the event time.
        """
        notice = telling.notice
        firing = notice.state == "firing"
        extra = telling.extra or {}
        return {
            "labels": notice.labels | extra.get("labels", {}),
            "annotations": notice.annotations | extra.get("annotations", {}),
            "startsAt": rfc3339_utc(min(moment(telling.fired_at), now)),
            "endsAt": rfc3339_utc(now + self.lasts if firing else now),
        }

    @property
    def lasts(self) -> timedelta:
        """How long what fires goes on without being repeated."""
        return timedelta(seconds=max(4 * self.repeat_seconds, FORGOTTEN_AFTER_S))


@dataclass(frozen=True, slots=True)
class Webhook:
    """Anybody who takes a transition as JSON by POST.

    `Idempotency-Key` is the transition's id: the same one again is the same fact.
    """

    url: str
    name: str = "webhook"
    repeats: bool = False
    at_once: int = 1

    def notify(self, tellings: Sequence[Telling]) -> Outcome:
        """Post one."""
        (telling,) = tellings
        body = telling.notice.model_dump(mode="json")
        return post(self.url, body, {"Idempotency-Key": telling.notice.id})


def shown(url: str) -> str:
    """Return an address without what may be secret: scheme and host."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


def outcome_of(status: int, text: str) -> Outcome:
    """Return what an HTTP answer means."""
    reason = f"{status} {text}".strip()
    if 200 <= status < 300:  # noqa: PLR2004 - the class of answers that say yes
        return DELIVERED
    if status in _OF_NO_USE:
        return Outcome("refused", "refused", reason)
    if status in {408, 425, 429}:
        return Outcome("retry", "throttled", reason)
    if status >= 500:  # noqa: PLR2004 - the server's own failures
        return Outcome("retry", "server error", reason)
    return Outcome("retry", "not understood", reason)


def rfc3339_utc(at: datetime) -> str:
    """An instant as Alertmanager takes it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _time_at(url: str) -> datetime | None:
    """Return what time it is there, to the second below; None where it does not say."""
    connection = _connection(urlsplit(url))
    try:
        connection.request("GET", "/-/ready", headers={"User-Agent": "weir-alerts"})
        there = parsedate_to_datetime(connection.getresponse().getheader("Date") or "")
    except (OSError, HTTPException, ValueError):
        return None  # what is posted next says why
    else:
        return there if there.tzinfo else None
    finally:
        connection.close()


_PATIENCE_S = 10.0
_ANSWER_BYTES = 2_000


class Answer(NamedTuple):
    """What an HTTP server said, or why it said nothing (then the status is 0)."""

    status: int
    text: str
    silence: Outcome | None = None


def post(url: str, body: object, headers: Mapping[str, str]) -> Outcome:
    """Post JSON, and say what became of it."""
    answer = request("POST", url, json.dumps(body, ensure_ascii=False).encode(), headers)
    return answer.silence or outcome_of(answer.status, answer.text)


def request(method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
    """Ask with JSON. Neither proxies nor redirections are followed: what is told is not everybody's."""
    parts = urlsplit(url)
    target = parts.path or "/"
    if parts.query:
        target = f"{target}?{parts.query}"
    sent = {"Content-Type": "application/json", "User-Agent": "weir-alerts"}
    connection = _connection(parts)
    try:
        connection.request(
            method, target, body=body, headers={**sent, **_authorization(parts), **headers}
        )
        answer = connection.getresponse()
        return Answer(answer.status, answer.read(_ANSWER_BYTES).decode(errors="replace"))
    except TimeoutError:
        reason = f"{shown(url)} did not answer in {_PATIENCE_S:.0f} s"
        return Answer(0, "", Outcome("retry", "timeout", reason))
    except (OSError, HTTPException) as error:
        return Answer(0, "", Outcome("retry", "unreachable", f"{shown(url)}: {error!r}"))
    finally:
        connection.close()


def _connection(parts: SplitResult) -> HTTPConnection:
    host = cast("str", parts.hostname)  # settings and options take no address without one
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return HTTPSConnection(host, parts.port, timeout=_PATIENCE_S, context=context)
    return HTTPConnection(host, parts.port, timeout=_PATIENCE_S)


def _authorization(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
