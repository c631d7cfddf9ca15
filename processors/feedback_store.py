"""The tables of feedback, as the service that sends it sees them. Raises AwayError and TablesError."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from processors.store import passes

Link = Connection[TupleRow]

_LEADER = 4_932_004_940
"""Advisory lock of the one that sends."""
_UNSENT = """
SELECT f.generation, f.partition, f."offset", f.number, f.unit, f.payload
FROM partition p
LEFT JOIN feedback_sent s ON s.generation = p.generation AND s.partition = p.partition
CROSS JOIN LATERAL (
    SELECT * FROM feedback
    WHERE generation = p.generation AND partition = p.partition
      AND ("offset", number) > (coalesce(s."offset", -1), coalesce(s.number, -1))
    ORDER BY "offset", number LIMIT %s
) f ORDER BY f.generation, f.partition, f."offset", f.number"""
_SENT = """
INSERT INTO feedback_sent (generation, partition, "offset", number) VALUES (%s, %s, %s, %s)
ON CONFLICT (generation, partition) DO UPDATE SET "offset" = excluded."offset", number = excluded.number"""


class AwayError(Exception):
    """The database does not answer: waiting helps."""


class TablesError(Exception):
    """The tables are not as this release knows them: waiting does not help."""


class Row(NamedTuple):
    """One message for weir.feedback.v1."""

    generation: int
    partition: int
    offset: int
    number: int
    unit: str
    payload: bytes


class FeedbackStore:
    """One connection; who holds its advisory lock is the one that sends."""

    def __init__(self, url: str) -> None:
        """Connects to nothing yet."""
        self._url = url
        self._link: Link | None = None
        self._leads = False

    def close(self) -> None:
        """Give up the connection, and the lead with it."""
        if self._link is not None:
            self._link.close()
            self._link = None
        self._leads = False

    def lead(self) -> bool:
        """Whether this is the one that sends, from now until the connection ends."""
        with self._linked() as link:
            if not self._leads:
                row = link.execute("SELECT pg_try_advisory_lock(%s)", (_LEADER,)).fetchone()
                self._leads = bool(row and row[0])
        return self._leads

    def unsent(self, limit: int) -> list[Row]:
        """The next messages, at most so many a partition, in the order of the log within each."""
        with self._linked() as link:
            return [Row(*row) for row in link.execute(_UNSENT, (limit,))]

    def sent(self, rows: Sequence[Row]) -> None:
        """Kafka has these: go on behind them."""
        last = {row[:2]: row[:4] for row in rows}
        with self._linked() as link, link.transaction():
            for place in last.values():
                link.execute(_SENT, place)

    @contextmanager
    def _linked(self) -> Iterator[Link]:
        try:
            if self._link is None:
                self._link = psycopg.connect(
                    self._url,
                    autocommit=True,
                    application_name="weir feedback",
                    connect_timeout=5,
                    keepalives_idle=5,
                    keepalives_interval=2,
                    keepalives_count=3,
                    tcp_user_timeout=15_000,
                )
                self._link.execute("SET timezone = 'UTC'; SET jit = off")
            yield self._link
        except psycopg.Error as error:
            closed = self._link is None or self._link.closed
            self.close()
            if not passes(error, closed=closed):
                raise TablesError(str(error).strip()) from error
            message = f"the database does not answer: {str(error).strip() or type(error).__name__}"
            raise AwayError(message) from error
