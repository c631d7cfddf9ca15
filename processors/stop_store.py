"""Declared stops in the database: entered, refused, and what alerts are told of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from psycopg import Connection
from psycopg.rows import TupleRow

from schemas.calendar import DAY_MS
from schemas.indicator import StopsTold, Version
from schemas.stop import DeclaredStop, Stop

Link = Connection[TupleRow]

_KEPT_MS = 60 * DAY_MS
"""How long after its end alerts still hear of a stop: one that ran to now may hang on it."""
_SAID = 4_000
"""Characters that are kept of what was refused."""
_DECLARE = """
SELECT declare_stop(%s, %s, %s, %s, %s, %s::text[], %s, %s, %s, %s, %s, %s)"""
_MOST_REFUSED = 200
"""Of a unit and day that are kept; all are answered."""
_REFUSE = """
INSERT INTO stop_refused (source, unit, door, reason, said)
SELECT %(source)s, %(unit)s, %(door)s, %(reason)s, %(said)s
WHERE (SELECT count(*) FROM stop_refused WHERE unit = %(unit)s AND refused_at > now() - interval '1 day') < %(most)s
ON CONFLICT DO NOTHING"""
_UNTOLD = """
SELECT unit, max(id), (array_agg(ms_of(entered_at) ORDER BY id DESC))[1] FROM stop_entry
WHERE told IS NULL GROUP BY unit ORDER BY 2 LIMIT %s"""
_HOLDING = """
SELECT name, kind, starts, ends, points FROM (
    SELECT DISTINCT ON (name) * FROM stop_entry WHERE unit = %s AND id <= %s ORDER BY name, id DESC
) newest WHERE NOT withdrawn AND ends > %s ORDER BY starts, name"""
_TOLD = """
UPDATE stop_entry SET told = CASE id WHEN %s THEN %s ELSE '' END WHERE unit = %s AND id <= %s AND told IS NULL"""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a declaration came from."""

    unit: str
    door: str
    source: str
    """Its place in weir.stops.v1, the same whenever it is taken."""


class Message(NamedTuple):
    """What alerts are to be told of one unit."""

    unit: str
    entry: int
    """Number of the newest entry in it."""
    payload: bytes


def declare(
    link: Link,
    unit: str,
    stop: DeclaredStop,
    *,
    door: str = "command",
    source: str | None = None,
) -> str | None:
    """Enter a declaration; why it is refused, or None. Entered twice it is there once."""
    row = link.execute(
        _DECLARE,
        (
            unit,
            stop.id,
            stop.kind,
            stop.start,
            stop.end,
            list(stop.points),
            stop.evidence,
            stop.by,
            stop.reason,
            stop.withdrawn,
            door,
            source,
        ),
    ).fetchone()
    return row[0] if row else None


def refuse(link: Link, origin: Origin, reasons: Sequence[str], said: bytes) -> None:
    """Keep what was refused, with the reason."""
    told = {
        "source": origin.source,
        "unit": origin.unit,
        "door": origin.door,
        "reason": "; ".join(reasons),
        "said": said.decode(errors="replace").replace("\x00", "")[:_SAID],
        "most": _MOST_REFUSED,
    }
    link.execute(_REFUSE, told)


def untold(link: Link, *, generation: int, partition: int, unit: str, entry: int, at: int) -> bytes:
    """The message that tells a unit's stops up to an entry: the same bytes each time."""
    rows = link.execute(_HOLDING, (unit, entry, at - _KEPT_MS))
    stops = tuple(
        Stop(id=name, kind=kind, start=starts, end=ends, points=tuple(points))
        for name, kind, starts, ends, points in rows
    )
    version = Version(generation=generation, partition=partition, offset=entry, position=0)
    told = StopsTold(unit=unit, version=version, as_of=at, stops=stops)
    return told.model_dump_json().encode()


def units_untold(link: Link, limit: int) -> list[tuple[str, int, int]]:
    """Units with entries that alerts were not told of: code, newest entry, when it was entered (ms)."""
    return [(unit, entry, at) for unit, entry, at in link.execute(_UNTOLD, (limit,))]


def told(link: Link, messages: Sequence[Message]) -> None:
    """Kafka has these."""
    for one in messages:
        link.execute(_TOLD, (one.entry, one.payload, one.unit, one.entry))
