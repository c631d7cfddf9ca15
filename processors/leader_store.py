"""One connection whose advisory lock says who works: the stores of services of which the others stand by."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from processors.store import passes

Link = Connection[TupleRow]


class AwayError(Exception):
    """The database does not answer: waiting helps."""


class TablesError(Exception):
    """The tables are not as this release knows them: waiting does not help."""


class LeaderStore:
    """Raises AwayError and TablesError."""

    def __init__(self, url: str, *, name: str, lock: int) -> None:
        """Connects to nothing yet. `name`: as the database's connections call it."""
        self._url, self._name, self._lock = url, name, lock
        self._link: Link | None = None
        self._leads = False

    def close(self) -> None:
        """Give up the connection, and the lead with it."""
        if self._link is not None:
            self._link.close()
            self._link = None
        self._leads = False

    def lead(self) -> bool:
        """Whether this is the one that works, from now until the connection ends."""
        with self._linked() as link:
            if not self._leads:
                row = link.execute("SELECT pg_try_advisory_lock(%s)", (self._lock,)).fetchone()
                self._leads = bool(row and row[0])
        return self._leads

    @contextmanager
    def _linked(self) -> Iterator[Link]:
        try:
            if self._link is None:
                self._link = psycopg.connect(
                    self._url,
                    autocommit=True,
                    application_name=self._name,
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
