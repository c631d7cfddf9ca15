"""Silences: what is not told for a while, by whose wish and why; the same matchers as Alertmanager's."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

NAMES = ("alertname", "city", "kind", "province", "severity", "unit")
"""Labels that a silence may name."""

_SHAPE = re.compile(r"(?P<name>[a-z]+)(?P<equal>=~|=)(?P<value>.+)")


class Matcher(NamedTuple):
    """A label and its value, or a regular expression that the whole value must match."""

    name: str
    value: str
    is_regex: bool


class Silence(NamedTuple):
    """A silence as it is kept."""

    id: int
    matchers: tuple[Matcher, ...]
    owner: str
    reason: str
    at: datetime
    until: datetime
    holds: bool
    alertmanager_id: str | None
    alertmanager_ended: bool


def matcher_of(text: str) -> Matcher:
    """A matcher from `unit=9151...` or `city=~5104.*`. Raises ValueError with what is wrong."""
    found = _SHAPE.fullmatch(text)
    if found is None or found["name"] not in NAMES:
        message = f"{text!r}: write NAME=VALUE or NAME=~PATTERN, NAME one of {', '.join(NAMES)}"
        raise ValueError(message)
    is_regex = found["equal"] == "=~"
    if is_regex:
        try:
            re.compile(found["value"])
        except re.error as error:
            message = f"{text!r}: {error}"
            raise ValueError(message) from error
    return Matcher(found["name"], found["value"], is_regex)


def matches(matchers: Sequence[Matcher], labels: Mapping[str, str]) -> bool:
    """Say whether all matchers match; a label that is not there is empty."""
    return all(
        re.fullmatch(one.value, labels.get(one.name, ""))
        if one.is_regex
        else labels.get(one.name, "") == one.value
        for one in matchers
    )


def silenced(silences: Sequence[Silence], alerts: Sequence[Mapping[str, str]]) -> Silence | None:
    """The silence that holds for all of these alerts, if there is one: a case is silent when each of them is."""
    for silence in silences:
        if silence.holds and alerts and all(matches(silence.matchers, one) for one in alerts):
            return silence
    return None


def for_alertmanager(silence: Silence) -> dict[str, object]:
    """The silence as Alertmanager's API v2 takes it."""
    return {
        "matchers": [
            {"name": one.name, "value": one.value, "isRegex": one.is_regex, "isEqual": True}
            for one in silence.matchers
        ],
        "startsAt": silence.at.isoformat(),
        "endsAt": silence.until.isoformat(),
        "createdBy": silence.owner,
        "comment": f"{silence.reason} (Weir, silence {silence.id})",
    }
