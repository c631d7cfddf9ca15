"""What people do about cases, each act kept with its owner, reason and end in the table `act`; and what they ask."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import LiteralString

import psycopg
from psycopg.rows import TupleRow, dict_row
from psycopg.types.json import Jsonb

from alerts.case_store import Link
from alerts.silences import Matcher
from schemas.calendar import instant, rfc3339

LONGEST = timedelta(days=30)
"""Silences and acknowledgements end: one that is forgotten must not hide a unit for ever."""


class RefusedError(Exception):
    """It was not done, and why."""


def connected(url: str) -> Link:
    """A connection for one act. Raises RefusedError where the database or its tables are not there."""
    try:
        return psycopg.connect(
            url, autocommit=True, connect_timeout=5, application_name="weir alerts people"
        )
    except psycopg.OperationalError as error:
        message = f"the database does not answer: {str(error).strip()}"
        raise RefusedError(message) from error


def acknowledge(link: Link, case: str, *, owner: str, reason: str, lasting: timedelta) -> str:
    """Take a case up until then: nobody farther is told. Returns what was done."""
    until = _end_of(lasting)
    with link.transaction():
        row = link.execute(
            "SELECT closed_at IS NOT NULL FROM alert_case WHERE id = %s FOR UPDATE", (case,)
        ).fetchone()
        if row is None:
            message = (
                f"there is no case {case}: python -m alerts list --cases names those that are open"
            )
            raise RefusedError(message)
        if row[0]:
            message = f"case {case} is closed"
            raise RefusedError(message)
        link.execute(
            "UPDATE alert_ack SET ended_at = clock_timestamp(), ended_by = %s"
            " WHERE case_id = %s AND ended_at IS NULL",
            (f"taken up by {owner}", case),
        )
        (end,) = _returned(
            link,
            "INSERT INTO alert_ack (case_id, owner, reason, until)"
            " VALUES (%s, %s, %s, clock_timestamp() + %s) RETURNING until",
            (case, owner, reason, until),
        )
        _remember(link, "alert acknowledged", {"case": case, "owner": owner, "until": end}, reason)
    return f"case {case} is {owner}'s until {_shown(end)}"


def silence(
    link: Link, matchers: Sequence[Matcher], *, owner: str, reason: str, lasting: timedelta
) -> str:
    """Tell nothing of what matches until then. Returns what was done."""
    until = _end_of(lasting)
    body = [one._asdict() for one in matchers]
    with link.transaction():
        number, end = _returned(
            link,
            "INSERT INTO alert_silence (matchers, owner, reason, until)"
            " VALUES (%s, %s, %s, clock_timestamp() + %s) RETURNING id, until",
            (Jsonb(body), owner, reason, until),
        )
        detail = {"silence": number, "matchers": body, "owner": owner, "until": end}
        _remember(link, "alerts silenced", detail, reason)
    return f"silence {number} until {_shown(end)}"


def unsilence(link: Link, number: int, *, owner: str, reason: str) -> str:
    """End a silence now. Returns what was done."""
    with link.transaction():
        done = link.execute(
            "UPDATE alert_silence SET ended_at = clock_timestamp(), ended_by = %s"
            " WHERE id = %s AND ended_at IS NULL AND until > now()",
            (owner, number),
        )
        if done.rowcount != 1:
            message = (
                f"no silence {number} holds: python -m alerts list --silences names those that do"
            )
            raise RefusedError(message)
        _remember(link, "silence ended", {"silence": number, "owner": owner}, reason)
    return f"silence {number} is over"


def rows(link: Link, question: str, *values: object) -> list[dict[str, object]]:
    """Answer one of `QUESTIONS`. Raises RefusedError without the tables."""
    try:
        with link.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(_QUESTIONS[question], values).fetchall()
    except psycopg.errors.UndefinedTable as error:
        message = "the database lacks the tables of cases: python -m processors migrate up"
        raise RefusedError(message) from error


_QUESTIONS = {
    "cases": b"SELECT * FROM case_now WHERE closed_at IS NULL AND kind <> 'ended together' ORDER BY opened_at",
    "case": b"""SELECT m.unit, m.region, m.rule, m.kind, m.severity, m.firing, m.ended_by FROM alert_case_member m
        WHERE m.case_id = %s ORDER BY m.unit, m.rule""",
    "silences": b"""SELECT id, matchers, owner, reason, at, until, alertmanager_id FROM alert_silence
        WHERE ended_at IS NULL AND until > now() ORDER BY id""",
    "log": b"""SELECT w.id, w.what, w.case_ids, w.at, w.title, w.withheld, m.receiver, m.who, m.attempts, m.delivered_at, m.refused_at, m.last_error
        FROM alert_word w LEFT JOIN alert_message m ON w.id = ANY (m.words) ORDER BY w.id DESC, m.receiver LIMIT 200""",
}


def _end_of(lasting: timedelta) -> timedelta:
    if not timedelta() < lasting <= LONGEST:
        message = f"it must end, within {LONGEST.days} days"
        raise RefusedError(message)
    return lasting


def _returned(link: Link, query: LiteralString, values: Sequence[object]) -> TupleRow:
    """The row of an INSERT ... RETURNING."""
    row = link.execute(query, values).fetchone()
    assert row is not None, query  # noqa: S101 - it gives the row, or fails
    return row


def _remember(link: Link, what: str, detail: Mapping[str, object], reason: str) -> None:
    link.execute(
        "INSERT INTO act (what, detail, reason) VALUES (%s, %s::jsonb, %s)",
        (what, json.dumps(detail, default=str), reason),
    )


def _shown(when: datetime) -> str:
    return rfc3339(instant(when) // 1_000 * 1_000)
