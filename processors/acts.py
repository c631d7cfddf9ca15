"""Acts of people upon the stream: who (the database login), when, what and why."""

import json
from collections.abc import Mapping

from psycopg import Connection
from psycopg.rows import TupleRow

_ACT = "INSERT INTO act (what, detail, reason) VALUES (%s, %s::jsonb, %s)"


def remember(
    link: Connection[TupleRow], what: str, detail: Mapping[str, object], *, reason: str
) -> None:
    """Add an act; in the transaction of what it does."""
    link.execute(_ACT, (what, json.dumps(detail), reason))
