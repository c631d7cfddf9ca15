"""The tables of feedback, as the service that sends it sees them. Raises AwayError and TablesError."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from psycopg import Connection
from psycopg.rows import TupleRow

from processors import stop_store
from processors.leader_store import LeaderStore
from processors.ports import ACCOUNT_CLASSES
from processors.stop_store import Message, Origin
from processors.trial import About
from schemas.calendar import business_day, rfc3339
from schemas.feedback import DO_OF_STOPS, MEND_STOP, POINTS_SHOWN
from schemas.registry import STATEMENTS, Unit
from schemas.section import partition_of
from schemas.stop import declared_in, message_id_of

Link = Connection[TupleRow]

_LEADER = 4_932_004_940
"""Advisory lock of the one that sends."""
_LATE_MS = 600_000
"""A day's account is told when every partition is so far past its end."""
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


_OVER = """
SELECT CASE WHEN bool_and(t.at IS NOT NULL) THEN min(t.at) END
FROM partition p
LEFT JOIN LATERAL (
    SELECT at FROM tick WHERE generation = p.generation AND partition = p.partition AND unit = 0
    ORDER BY "offset" DESC LIMIT 1
) t ON true
WHERE p.generation = (SELECT max(generation) FROM partition)"""
_COUNTS = "accepted, repeated, superseded, rejected, unreadable"
_DUE = """
SELECT a.unit, u.code, a.day::text, coalesce(t.revision, 0) + 1,
       a.accepted, a.repeated, a.superseded, a.rejected, a.unreadable
FROM account a
JOIN unit u ON u.id = a.unit
LEFT JOIN LATERAL (
    SELECT * FROM account_told WHERE unit = a.unit AND day = a.day ORDER BY revision DESC LIMIT 1
) t ON true
WHERE a.day >= %s::date - %s::integer AND a.day < %s::date AND u.code ~ '^[0-9A-Z]{18}$'
  AND (t.unit IS NULL OR (t.accepted, t.repeated, t.superseded, t.rejected, t.unreadable)
       IS DISTINCT FROM (a.accepted, a.repeated, a.superseded, a.rejected, a.unreadable))
ORDER BY a.day, a.unit LIMIT %s"""
_TELL = f"""
INSERT INTO account_told (unit, day, revision, {_COUNTS}, payload)
VALUES (%s, %s::date, %s, %s, %s, %s, %s, %s, %s)"""  # noqa: S608 - our own columns
_UNSENT_ACCOUNTS = """
SELECT t.unit, t.day::text, t.revision, u.code, t.payload FROM account_told t JOIN unit u ON u.id = t.unit
WHERE t.sent_at IS NULL ORDER BY t.unit, t.day, t.revision LIMIT %s"""
_SENT_ACCOUNT = """
UPDATE account_told SET sent_at = clock_timestamp() WHERE unit = %s AND day = %s::date AND revision = %s"""
_ENTRY = """
SELECT (SELECT e FROM jsonb_array_elements(c.body -> 'units') e WHERE e ->> 'code' = u.code)::text,
       coalesce(s.live, NOT u.history)
FROM unit u JOIN configuration c ON c.version = u.version LEFT JOIN unit_state s ON s.unit = u.id
WHERE u.code = %s"""


_POINTS = """
SELECT p.name, p.statement, p.unit_of_measure, p.valid_from, coalesce(s.ends[p.number + 1], p.valid_from)
FROM unit u JOIN point p ON p.unit = u.id LEFT JOIN unit_state s ON s.unit = u.id
WHERE u.code = %s AND p.valid_from <= %s AND coalesce(p.valid_to, 9223372036854775807) > %s
ORDER BY p.name LIMIT %s"""
_LAST_DAYS = f"""
SELECT day::text, {_COUNTS} FROM account WHERE unit = (SELECT id FROM unit WHERE code = %s)
ORDER BY day DESC LIMIT 2"""  # noqa: S608 - our own columns


class Row(NamedTuple):
    """One message for weir.feedback.v1."""

    generation: int
    partition: int
    offset: int
    number: int
    unit: str
    payload: bytes


class AccountRow(NamedTuple):
    """An account that is to be sent."""

    id: int
    day: str
    revision: int
    unit: str
    payload: bytes


class FeedbackStore(LeaderStore):
    """Who holds its lock is the one that sends. Raises AwayError and TablesError."""

    def __init__(self, url: str) -> None:
        """Connects to nothing yet."""
        super().__init__(url, name="weir feedback", lock=_LEADER)

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

    def tell_accounts(
        self, signed: Callable[[dict[str, object]], bytes], *, days: int, limit: int
    ) -> int:
        """Write down the accounts of the last `days` that are over and were not told as they are now; how many."""
        with self._linked() as link:
            row = link.execute(_OVER).fetchone()
            if row is None or row[0] is None:
                return 0
            today = business_day(int(row[0]) - _LATE_MS)
            due = link.execute(_DUE, (today, days, today, limit)).fetchall()
            with link.transaction():
                for id_, unit, day, revision, *counts in due:
                    payload = signed(_account(unit, day, revision, counts))
                    link.execute(_TELL, (id_, day, revision, *counts, payload))
        return len(due)

    def unsent_accounts(self, limit: int) -> list[AccountRow]:
        """Those that Kafka does not have."""
        with self._linked() as link:
            return [AccountRow(*row) for row in link.execute(_UNSENT_ACCOUNTS, (limit,))]

    def accounts_sent(self, rows: Sequence[AccountRow]) -> None:
        """Kafka has these."""
        with self._linked() as link, link.transaction():
            for row in rows:
                link.execute(_SENT_ACCOUNT, row[:3])

    def declared(self, payload: bytes, origin: Origin, *, tried: bool = False) -> dict[str, object]:
        """Take in a declared stop, or keep it as refused: what its unit is told. The same twice says the same.

        One that is only tried is entered like any other and then undone.
        """
        found = declared_in(payload, origin.unit)
        with self._linked() as link, link.transaction(force_rollback=tried):
            if isinstance(found, list):
                reasons = found
            else:
                refused = stop_store.declare(
                    link, origin.unit, found, door=origin.door, source=origin.source
                )
                reasons = [] if refused is None else [refused]
            if reasons:
                stop_store.refuse(link, origin, reasons, payload)
        return {
            "kind": "stop",
            "unit": origin.unit,
            "id": origin.source,
            "message": message_id_of(payload),
            "stop": "" if isinstance(found, list) else found.id,
            "taken": not reasons,
            "tried": tried,
            "reasons": reasons,
            "do": "; ".join(
                DO_OF_STOPS.get(one.partition(":")[0], MEND_STOP) for one in reasons[:1]
            ),
        }

    def untold_stops(self, *, generation: int, partitions: int, limit: int) -> list[Message]:
        """What alerts are to be told of declared stops."""
        with self._linked() as link:
            return [
                Message(
                    unit,
                    entry,
                    stop_store.untold(
                        link,
                        generation=generation,
                        partition=partition_of(unit, partitions),
                        unit=unit,
                        entry=entry,
                        at=at,
                    ),
                )
                for unit, entry, at in stop_store.units_untold(link, limit)
            ]

    def stops_told(self, messages: Sequence[Message]) -> None:
        """Kafka has these."""
        with self._linked() as link, link.transaction():
            stop_store.told(link, messages)

    def about(self, unit: str, *, at: int) -> About:
        """What is known of a unit; of its points those that are valid at an instant."""
        with self._linked() as link:
            row = link.execute(_ENTRY, (unit,)).fetchone()
            if row is None or row[0] is None:
                return About()
            points = link.execute(_POINTS, (unit, at, at, POINTS_SHOWN)).fetchall()
            days = link.execute(_LAST_DAYS, (unit,)).fetchall()
        return About(
            Unit.model_validate_json(row[0]),
            live=bool(row[1]),
            points=[_standing(*point) for point in points],
            days=[
                {"day": day, **dict(zip(ACCOUNT_CLASSES, counts, strict=True))}
                for day, *counts in days
            ],
        )


def _standing(
    name: str, statement: int, unit: str, valid_from: int, covered_until: int
) -> dict[str, object]:
    return {
        "point": name,
        "statement": STATEMENTS[statement],
        "unit": unit,
        "valid_from": rfc3339(valid_from),
        "covered_until": rfc3339(covered_until),
    }


def _account(unit: str, day: str, revision: int, counts: Sequence[int]) -> dict[str, object]:
    told: dict[str, object] = {
        "kind": "account",
        "unit": unit,
        "day": day,
        "revision": revision,
        "received": sum(counts),
    }
    return told | dict(zip(ACCOUNT_CLASSES, counts, strict=True))
