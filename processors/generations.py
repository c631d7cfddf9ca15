"""Generations of the log in the database: what stands in the way of a new one, and its beginning in one transaction.

A unit's state, and what alerts remember of it, move to the partition that its code gives under the new count. Versions
stay in order, since a version begins with its generation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow

from schemas.section import partition_of

Link = Connection[TupleRow]

_CONNECTED = """
SELECT DISTINCT CASE WHEN application_name LIKE 'weir alerts%' THEN 'alerts' ELSE 'a worker' END
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'weir %' ORDER BY 1"""
_NEWEST = "SELECT max(generation) FROM partition"
_LOCKED = """
SELECT partition, next_offset FROM partition WHERE generation = %s ORDER BY partition FOR UPDATE"""
_HEARD = """
SELECT partition, next_offset FROM alert_partition WHERE generation = %s ORDER BY partition FOR UPDATE"""
_UNPUBLISHED = """
SELECT o.partition, count(*) FROM outbox o JOIN partition p USING (generation, partition)
WHERE p.generation = %s
  AND (o."offset", o.position, o.number) > (p.outbox_offset, p.outbox_position, p.outbox_number)
GROUP BY o.partition ORDER BY o.partition"""
_HAS_REGIONS = "SELECT to_regclass('region_outbox') IS NOT NULL"
_REGIONS_UNPUBLISHED = """
SELECT count(*) FROM region_outbox o CROSS JOIN aggregation a WHERE (o.hour, o.number) > (a.outbox_hour, a.outbox_number)"""
_LAST_TICKS = """
SELECT (SELECT max(at) FROM tick t WHERE t.generation = p.generation AND t.partition = p.partition AND t.unit = 0)
FROM partition p WHERE p.generation = %s"""
_FENCED = "UPDATE partition SET epoch = epoch + 1 WHERE generation = %s"
_HEARING_FENCED = "UPDATE alert_partition SET epoch = epoch + 1 WHERE generation = %s"
_BEGUN = "INSERT INTO generation (generation, partitions) VALUES (%s, %s)"
_PARTITIONS = """
INSERT INTO partition (generation, partition, next_offset)
SELECT %s, * FROM unnest(%s::integer[], %s::bigint[])"""
_ALERT_PARTITIONS = """
INSERT INTO alert_partition (generation, partition, next_offset)
SELECT %s, * FROM unnest(%s::integer[], %s::bigint[])"""
_CARRIED_TICKS = """
INSERT INTO tick (generation, partition, "offset", position, unit, at)
SELECT %s, p, -1, 0, 0, %s FROM unnest(%s::integer[]) AS p"""
_UNITS = """
SELECT code FROM unit JOIN unit_state s ON s.unit = unit.id UNION SELECT unit FROM alert_unit"""
_STATES_MOVED = """
UPDATE unit_state s SET partition = m.partition
FROM unnest(%s::text[], %s::integer[]) AS m (code, partition) JOIN unit u USING (code)
WHERE s.unit = u.id AND s.partition <> m.partition"""
_MEMORY_MOVED = """
UPDATE alert_unit a SET partition = m.partition
FROM unnest(%s::text[], %s::integer[]) AS m (code, partition)
WHERE a.unit = m.code AND a.partition <> m.partition"""
_DELIVERIES_MOVED = """
UPDATE alert_delivery d SET generation = %s, partition = m.partition
FROM alert_transition t JOIN unnest(%s::text[], %s::integer[]) AS m (code, partition) ON t.unit = m.code
WHERE d.transition = t.id
  AND (d.next_attempt_at IS NOT NULL OR (d.delivered_at IS NULL AND d.refused_at IS NULL))"""


def _whose(name: str) -> str:
    """By what a memory's partition goes: what is remembered of a product line, and of stops, lies where its unit does."""
    return name.split(":")[1] if name.startswith(("line:", "stops:")) else name


@dataclass(frozen=True, slots=True)
class Ends:
    """Where two logs of a generation begin or end: offset by partition."""

    readings: Mapping[int, int]
    indicators: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Moved:
    """What a new generation began with."""

    generation: int
    partitions: int
    units: int
    """Whose state went to another partition."""
    deliveries: int
    """Notices that still wait, or are repeated."""
    last_tick: int | None
    """The least of the old partitions' last ticks, ms; ticks not newer are ignored."""


def connected(link: Link) -> list[str]:
    """Services that are connected to this database now."""
    return [str(name) for (name,) in link.execute(_CONNECTED)]


def newest(link: Link) -> int | None:
    """The newest generation that anybody read; None where nothing was read yet."""
    row = link.execute(_NEWEST).fetchone()
    return row[0] if row else None


def obstacles(link: Link, generation: int, ends: Ends, *, alerts: bool) -> Iterator[str]:
    """What is not done yet of a generation whose logs end there, a sentence each; locks its rows.

    `alerts`: whether somebody hears the indicators, and must have heard them all.
    """
    digested: dict[int, int] = dict(link.execute(_LOCKED, (generation,)).fetchall())
    yield from _behind(digested, ends.readings, "records of the readings are not digested")
    for partition, count in link.execute(_UNPUBLISHED, (generation,)):
        yield f"partition {partition}: {count:,} messages of the outbox are not published"
    if link.execute(_HAS_REGIONS).fetchone() == (True,):
        for (count,) in link.execute(_REGIONS_UNPUBLISHED):
            if count:
                yield f"{count:,} messages of regions are not published"
    if alerts:
        heard: dict[int, int] = dict(link.execute(_HEARD, (generation,)).fetchall())
        yield from _behind(heard, ends.indicators, "indicators are not heard by the alerts")


def _behind(done: Mapping[int, int], ends: Mapping[int, int], what: str) -> Iterator[str]:
    for partition, end in sorted(ends.items()):
        at = done.get(partition, 0)
        if at < end:
            yield f"partition {partition}: {end - at:,} {what}"
        elif at > end:
            yield f"partition {partition}: the log ends {at - end:,} records before what the database knows"


def begin(link: Link, generation: int, beginnings: Ends) -> Moved:
    """Begin the generation after this one, in the caller's transaction; the old one can be written no more."""
    following, count = generation + 1, len(beginnings.readings)
    for statement in (_FENCED, _HEARING_FENCED):
        link.execute(statement, (generation,))
    link.execute(_BEGUN, (following, count))
    for statement, begins in (
        (_PARTITIONS, beginnings.readings),
        (_ALERT_PARTITIONS, beginnings.indicators),
    ):
        link.execute(statement, (following, list(begins), list(begins.values())))
    ticks = [at for (at,) in link.execute(_LAST_TICKS, (generation,))]
    least = None if None in ticks else min(ticks, default=None)
    if least is not None:
        link.execute(_CARRIED_TICKS, (following, least, list(range(count))))
    codes = [str(code) for (code,) in link.execute(_UNITS)]
    homes = [partition_of(_whose(code), count) for code in codes]
    units = link.execute(_STATES_MOVED, (codes, homes)).rowcount
    link.execute(_MEMORY_MOVED, (codes, homes))
    deliveries = link.execute(_DELIVERIES_MOVED, (following, codes, homes)).rowcount
    return Moved(following, count, units, deliveries, least)
