"""Cases, silences and words to people as lines that somebody on call reads; machines take `--json`."""

from collections.abc import Mapping
from datetime import datetime
from typing import cast

from schemas.calendar import instant, rfc3339

Row = Mapping[str, object]


def case_line(row: Row) -> str:
    """An open case: name, severity, since when, on how many units, what, and who took it up."""
    by = row["acknowledged_by"]
    taken = (
        f"  taken up by {by} until {_at(row['acknowledged_until'])}: {row['acknowledged_because']}"
    )
    return (
        f"{row['id']}  {row['severity']:8} {row['kind']:9} since {_at(row['began_at'])}"
        f"  firing on {row['firing']} of {row['units']}  {row['summary']}{taken if by else ''}"
    )


def member_line(row: Row) -> str:
    """An alert of a case."""
    state = "firing" if row["firing"] else "over"
    return f"{row['unit']}  {state:6} {row['severity']:8} {row['rule']}: {row['kind']}"


def silence_line(row: Row) -> str:
    """A silence that holds."""
    there = "" if row["alertmanager_id"] else "  (not at Alertmanager)"
    what = " ".join(_matcher(one) for one in cast("list[Row]", row["matchers"]))
    return f"{row['id']}  until {_at(row['until'])}  {what}  {row['owner']}: {row['reason']}{there}"


def _matcher(told: Row) -> str:
    return f"{told['name']}{'=~' if told['is_regex'] else '='}{told['value']}"


def word_line(row: Row) -> str:
    """A word, and to whom it went, or why to nobody."""
    return f"{_at(row['at'])}  {row['what']:9} {_fate(row)}  {row['title']}"


def _fate(row: Row) -> str:
    if row["withheld"]:
        return f"to nobody ({row['withheld']})"
    if row["receiver"] is None:
        return "not yet put into a message"
    to = f"{row['receiver']} ({row['who']})"
    if row["delivered_at"]:
        return f"to {to} at {_at(row['delivered_at'])}"
    if row["refused_at"]:
        return f"given up for {to}: {row['last_error']}"
    return f"waits for {to}, {row['attempts']} attempts: {row['last_error'] or 'none failed'}"


def _at(when: object) -> str:
    """On the business calendar, to the second."""
    if not isinstance(when, datetime):
        return ""
    return rfc3339(instant(when) // 1_000 * 1_000)


LINES = {"cases": case_line, "case": member_line, "silences": silence_line, "log": word_line}
"""By the question of `alerts/people.py`."""
