"""What was told of units, targets and landings, from the database: as alerts heard it, in its order."""

from collections.abc import Iterator

import psycopg

from alerts.people import RefusedError
from alerts.replay import Unreadable, decode
from schemas.indicator import Message

_ROWS = 2_000
"""Rows fetched at once."""
_STOPS = """
SELECT told FROM stop_entry WHERE told <> '' ORDER BY id
"""
"""Heard first, as is known today: a stop that was declared late would have held back what it covers."""
_TOLD = """
SELECT payload FROM outbox ORDER BY generation, partition, "offset", position, number
"""
_TOLD_OF_REGIONS = """
SELECT payload FROM region_outbox WHERE partition IS NOT NULL ORDER BY hour, number
"""


def told_history(url: str) -> Iterator[Message]:
    """Yield it, whatever retention has left of it; one that cannot be read is passed over, as alerts do."""
    try:
        with psycopg.connect(
            url, connect_timeout=5, application_name="weir alerts backtest"
        ) as link:
            link.read_only = True
            link.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            for query in (_STOPS, _TOLD, _TOLD_OF_REGIONS):
                with link.cursor(name="told") as cursor:
                    cursor.itersize = _ROWS
                    for (payload,) in cursor.execute(query):
                        message = decode(bytes(payload))
                        if not isinstance(message, Unreadable):
                            yield message
    except psycopg.errors.UndefinedTable as error:
        reason = "the database holds nothing told: python -m processors migrate up"
        raise RefusedError(reason) from error
    except psycopg.errors.InsufficientPrivilege as error:
        reason = f"this login may not read what was told (weir_worker may): {error}"
        raise RefusedError(reason) from error
    except psycopg.OperationalError as error:
        reason = f"the database does not answer: {str(error).strip()}"
        raise RefusedError(reason) from error
