"""People's channels: mail, DingTalk, WeCom, Feishu and whatever else apprise speaks; and a webhook of ours that is signed.

Addresses are secrets: they stand in no log, no table and no error.
"""

import hmac
import json
import logging
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from hashlib import sha256
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from apprise import Apprise
from requests import PreparedRequest, Response, Session

from alerts.channels import DELIVERED, Outcome, outcome_of, request, wall
from alerts.settings import AddressesError

SIGNED = ("sign+https", "sign+http")
"""Schemes of the signed webhook: `sign+https://HOST/PATH#SECRET`."""


class Receiver(Protocol):
    """Somebody who reads."""

    def notify(self, title: str, body: str, *, key: str) -> Outcome:
        """Tell them; `key` is the same whenever it is tried again."""


class ByApprise:
    """Whoever apprise can reach. It says only whether it worked: what failed is tried again."""

    def __init__(self, url: str) -> None:
        """Raise ValueError for an address that apprise does not understand."""
        self._apprise = Apprise()
        if not self._apprise.add(url):
            message = "apprise does not understand it"
            raise ValueError(message)

    def notify(self, title: str, body: str, *, key: str) -> Outcome:  # noqa: ARG002 - no channel of apprise takes one
        """Tell them."""
        with _answers() as answers:
            worked = self._apprise.notify(title=title, body=body)
        refused = next((said for said in map(refusal_in, answers) if said), "")
        if worked and not refused:
            return DELIVERED
        return Outcome("retry", "not understood", refused or "the channel did not take it")


@contextmanager
def _answers() -> Iterator[list[bytes]]:
    """What servers answer to apprise meanwhile: it looks at the status alone, and DingTalk, WeCom and Feishu refuse with 200."""
    heard: list[bytes] = []
    send = Session.send

    def listening(self: Session, request: PreparedRequest, **options: Any) -> Response:  # noqa: ANN401 - as requests has it
        answer = send(self, request, **options)
        heard.append(answer.content)
        return answer

    Session.send = listening  # type: ignore[method-assign]
    try:
        yield heard
    finally:
        Session.send = send  # type: ignore[method-assign]


def refusal_in(answer: bytes) -> str:
    """Why a chat refused, in its own words; nothing where it took it, or is none of these chats."""
    try:
        said = json.loads(answer)
    except ValueError:
        return ""
    if not isinstance(said, dict):
        return ""
    for code, reason in (("errcode", "errmsg"), ("code", "msg")):
        if isinstance(said.get(code), int) and said[code] != 0:
            return f"{code} {said[code]}: {said.get(reason, '')}"[:200]
    return ""


class SignedWebhook:
    """POST of JSON with `X-Weir-Timestamp` and `X-Weir-Signature: v1=` HMAC-SHA256 of `timestamp.body`.

    Who receives it compares the signature, and refuses a timestamp that is minutes old.
    """

    def __init__(self, url: str, clock: Callable[[], datetime] = wall) -> None:
        """Raise ValueError for an address without a secret."""
        parts = urlsplit(url)
        if not parts.fragment or not parts.hostname:
            message = "write sign+https://HOST/PATH#SECRET"
            raise ValueError(message)
        self._secret = parts.fragment.encode()
        self._url = urlunsplit(
            parts._replace(scheme=parts.scheme.removeprefix("sign+"), fragment="")
        )
        self._clock = clock

    def notify(self, title: str, body: str, *, key: str) -> Outcome:
        """Tell them."""
        content = json.dumps({"id": key, "title": title, "body": body}, ensure_ascii=False).encode()
        timestamp = str(int(self._clock().timestamp()))
        headers = {
            "Idempotency-Key": key,
            "X-Weir-Timestamp": timestamp,
            "X-Weir-Signature": signature(self._secret, timestamp, content),
        }
        answer = request("POST", self._url, content, headers)
        return answer.silence or outcome_of(answer.status, answer.text)


def signature(secret: bytes, timestamp: str, content: bytes) -> str:
    """`v1=` and the HMAC-SHA256 of `timestamp.content`, in hexadecimal."""
    return "v1=" + hmac.new(secret, f"{timestamp}.".encode() + content, sha256).hexdigest()


def receivers_of(addresses: str) -> dict[str, Receiver]:
    """Receivers by name, from lines of `name = "address"`. Raises AddressesError, which names no address."""
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # its warnings name addresses
    found: dict[str, Receiver] = {}
    for name, url in _pairs(addresses).items():
        try:
            if urlsplit(url).scheme in SIGNED:
                found[name] = SignedWebhook(url)
            else:
                found[name] = ByApprise(url)
        except ValueError as error:
            message = f"receiver {name}: {error}"
            raise AddressesError(message) from None
    return found


def _pairs(addresses: str) -> Mapping[str, str]:
    try:
        pairs = tomllib.loads(addresses)
    except tomllib.TOMLDecodeError:
        message = 'receivers are no TOML: write lines of name = "address"'
        raise AddressesError(message) from None
    for name, url in pairs.items():
        if not isinstance(url, str):
            message = f"receiver {name}: its address is no text"
            raise AddressesError(message)
    return pairs
