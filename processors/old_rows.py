"""Rows that are old and not needed: what may go and why the rest stays, and its dropping.

What is dropped is written down in `dropped`, in the same transaction.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import LiteralString

from psycopg import Connection, sql
from psycopg.rows import TupleRow

from processors.ageing import (
    Chunk,
    Hold,
    Kept,
    Need,
    chunks_to_drop,
    cutoff,
    day_of,
    first_need,
    horizon_need,
    instant_of,
)
from schemas.calendar import HOUR_MS
from schemas.retention import Retention

Link = Connection[TupleRow]

CHUNKED = {"readings": "reading_record", "rejections": "rejection_record"}
"""Hypertables: a chunk goes whole, and its space with it."""
BATCH = 20_000
"""Rows of the other tables that go in one transaction; their space is used again by new rows."""
LOCK = 4_932_004_936
"""Number of the advisory lock: whoever enters a hold waits for what is being dropped."""

_CHUNKS = """
SELECT c.chunk_name, c.range_start::date, c.range_end::date, c.chunk_creation_time::date, s.total_bytes
FROM timescaledb_information.chunks c JOIN chunks_detailed_size(%s::regclass) s USING (chunk_schema, chunk_name)
WHERE c.hypertable_name = %s ORDER BY c.range_start"""
_LEAST_TICK = """
SELECT min(coalesce(s.last_tick, u.begins)) FROM unit_state s JOIN unit u ON u.id = s.unit WHERE s.live"""
_HORIZON = "SELECT coalesce(max(horizon_days), 40) FROM unit WHERE version IS NOT NULL"
_IN_HISTORY = """
SELECT u.begins, 'unit ' || u.code || ' in history, which may still be told of any time' FROM unit_state s JOIN unit u ON u.id = s.unit
WHERE NOT s.live ORDER BY u.begins LIMIT 1"""
_OPEN_END = """
SELECT e.at, 'the open end of point ' || p.name || ' of unit ' || u.code
FROM unit_state s JOIN unit u ON u.id = s.unit JOIN point p ON p.unit = s.unit
CROSS JOIN LATERAL (SELECT s.ends[p.number + 1] AS at) e
WHERE s.live AND e.at > p.valid_from AND e.at < coalesce(p.valid_to, 9223372036854775807) ORDER BY e.at LIMIT 1"""
_GAP = """
SELECT g.starts, 'a gap of point ' || p.name || ' of unit ' || u.code || ' that is not over'
FROM gap g JOIN unit u ON u.id = g.unit JOIN point p ON p.unit = g.unit AND p.number = g.point
WHERE g.ends >= %s AND g.kind <> 'leading' ORDER BY g.starts LIMIT 1"""
"""Nothing was said before a leading gap."""
HOLDS = """
SELECT h.id, coalesce('unit ' || u.code, 'region ' || h.region), h.from_day, h.to_day, h.reason, h.entered_by, h.entered_at,
       h.lifted_at, h.lifted_by, h.lift_reason
FROM hold h LEFT JOIN unit u ON u.id = h.unit ORDER BY h.id"""

_OLD_OFFSETS = """
WITH part AS (
    SELECT s.generation, u.partition, u.first, u.following, s.committed_at >= %(cut)s AS young
    FROM step s CROSS JOIN LATERAL unnest(s.partitions, s.firsts, s.nexts) AS u (partition, first, following)
), old AS (
    SELECT generation, partition, coalesce(min(first) FILTER (WHERE young), max(following)) AS below
    FROM part GROUP BY generation, partition
)
SELECT o.generation, o.partition, o.below, (
    SELECT max(at) FROM tick t WHERE t.generation = o.generation AND t.partition = o.partition AND t.unit = 0)
FROM old o"""
"""A record is as old as the step that digested it. Looked up once: it reads every step."""
_HAS_REGIONS = "SELECT to_regclass('region_cut') IS NOT NULL"
_REGION_CUTS = """
SELECT generation, partition, "offset" FROM region_cut WHERE hour = (SELECT max(hour) FROM region_cut)"""
"""Behind these the sums of regions are still to be made. A generation before them is done with."""
_OLD_HERE = sql.SQL("""
WITH old AS (
    SELECT * FROM unnest(%(generations)s::integer[], %(partitions)s::integer[], %(belows)s::bigint[], %(last_ticks)s::bigint[])
      AS o (generation, partition, below, last_tick)
)""")
_OLD: dict[str, tuple[tuple[str, sql.Composable], ...]] = {
    "refused": (
        (
            "refused",
            sql.SQL("""WITH gone AS (
                SELECT ctid FROM refused WHERE received_at < %(cut_ms)s
                  AND (replayed_at IS NOT NULL OR kind NOT IN ('dead letter', 'no record')) LIMIT %(limit)s)"""),
        ),
    ),
    "ticks": (
        (
            "tick",
            _OLD_HERE
            + sql.SQL(""", gone AS (
                SELECT t.ctid FROM tick t JOIN old o USING (generation, partition)
                WHERE t."offset" < o.below AND t.at < %(cut_ms)s AND NOT (t.unit = 0 AND t.at = coalesce(o.last_tick, t.at))
                LIMIT %(limit)s)"""),
        ),
    ),
    "outbox": (
        (
            "outbox",
            _OLD_HERE
            + sql.SQL(""", gone AS (
                SELECT r.ctid FROM outbox r JOIN old o USING (generation, partition) JOIN partition p USING (generation, partition)
                WHERE r."offset" < o.below
                  AND (r."offset", r.position, r.number) <= (p.outbox_offset, p.outbox_position, p.outbox_number)
                LIMIT %(limit)s)"""),
        ),
        (
            "feedback",
            _OLD_HERE
            + sql.SQL(""", gone AS (
                SELECT r.ctid FROM feedback r JOIN old o USING (generation, partition) JOIN feedback_sent s USING (generation, partition)
                WHERE r."offset" < o.below AND (r."offset", r.number) <= (s."offset", s.number)
                LIMIT %(limit)s)"""),
        ),
    ),
    "hours": (
        (
            "hour",
            sql.SQL(
                "WITH gone AS (SELECT ctid FROM hour WHERE hour < %(cut_hour)s LIMIT %(limit)s)"
            ),
        ),
        (
            "gap",
            sql.SQL("WITH gone AS (SELECT ctid FROM gap WHERE ends <= %(cut_ms)s LIMIT %(limit)s)"),
        ),
    ),
    "day_windows": (
        (
            "unit_window",
            sql.SQL("""WITH gone AS (
                SELECT ctid FROM unit_window WHERE kind = 'day' AND ends <= %(cut_ms)s LIMIT %(limit)s)"""),
        ),
        (
            "line_window",
            sql.SQL("""WITH gone AS (
                SELECT ctid FROM line_window WHERE kind = 'day' AND ends <= %(cut_ms)s LIMIT %(limit)s)"""),
        ),
    ),
    "steps": (
        (
            "step",
            sql.SQL("""WITH gone AS (
                SELECT ctid FROM step WHERE committed_at < %(cut)s AND id < (SELECT max(id) FROM step) LIMIT %(limit)s)"""),
        ),
    ),
}
"""By kind: a table, and which of its rows are old."""
_COUNT = "{old} SELECT count(*), coalesce(sum(pg_column_size(t.*)), 0) FROM {table} t WHERE t.ctid IN (SELECT ctid FROM gone)"
_DELETE = "{old} DELETE FROM {table} t WHERE t.ctid IN (SELECT ctid FROM gone) RETURNING pg_column_size(t.*)"
_BY_OFFSET = frozenset({"ticks", "outbox"})
_OF_RECORDS = frozenset({"ticks", "steps", "hours", "day_windows"})
"""What a period that is still open needs as it needs its records."""
_DROPPED = """
INSERT INTO dropped (kind, from_day, to_day, rows, bytes, settings) VALUES (%s, %s, %s, %s, %s, %s)"""


class DropError(Exception):
    """The database would drop something else: nothing of it was dropped."""


@dataclass(frozen=True, slots=True)
class Share:
    """What of one kind of row may go."""

    kind: str
    keep_days: int | None
    before: date | None
    """Rows before this day go; None where they are kept for ever."""
    decided_by: str
    rows: int
    bytes: int
    chunks: tuple[Chunk, ...] = ()
    kept: tuple[Kept, ...] = ()

    def told(self) -> dict[str, object]:
        """For machines."""
        return {
            "kind": self.kind,
            "keep_days": self.keep_days,
            "before": self.before and self.before.isoformat(),
            "decided_by": self.decided_by,
            "rows": self.rows,
            "bytes": self.bytes,
            "chunks": [
                {"from": str(c.first), "to": str(c.after), "bytes": c.bytes} for c in self.chunks
            ],
            "kept": [
                {"from": str(k.chunk.first), "to": str(k.chunk.after), "why": k.why}
                for k in self.kept
            ],
        }


# ---- What may go


def plan(link: Link, settings: Retention, *, at: int) -> list[Share]:
    """What may go at an instant (ms), by kind. Changes nothing."""
    needs = list(_needs(link, at))
    held = active_holds(link)
    today = day_of(at)
    return [
        _share_of_chunks(link, kind, days, today, first_need(needs), held)
        if kind in CHUNKED
        else _share_of_rows(link, kind, days, today, needs, held)
        for kind, days in settings.keep_days.model_dump().items()
    ]


def _needs(link: Link, at: int) -> Iterator[Need]:
    """What open periods need; judged are the windows of the units' own time, where that is behind."""
    ticked = _one(link, _LEAST_TICK)
    now = at if ticked is None else min(at, ticked)
    base = horizon_need(now, _one(link, _HORIZON) or 0)
    yield base
    for query, key in (
        (_IN_HISTORY, None),
        (_OPEN_END, None),
        (_GAP, (instant_of(base.day),)),
    ):
        for begins, why in link.execute(query, key):
            yield Need(day_of(begins), why)


def _one(link: Link, query: LiteralString) -> int | None:
    row = link.execute(query).fetchone()
    return None if row is None or row[0] is None else int(row[0])


def active_holds(link: Link) -> list[Hold]:
    """Those that nobody lifted."""
    return [
        Hold(from_day, to_day, whose)
        for _, whose, from_day, to_day, _, _, _, lifted_at, *_ in link.execute(HOLDS)
        if lifted_at is None
    ]


def _share_of_chunks(
    link: Link, kind: str, days: int | None, today: date, need: Need, holds: Sequence[Hold]
) -> Share:
    if days is None:
        return Share(kind, None, None, "kept for ever", 0, 0)
    table = CHUNKED[kind]
    chunks = [Chunk(*row) for row in link.execute(_CHUNKS, (table, table))]
    going, staying = chunks_to_drop(chunks, today=today, days=days, need=need, holds=holds)
    decided = cutoff(today, days, [need])
    rows = sum(_rows_in(link, chunk) for chunk in going)
    total = sum(chunk.bytes for chunk in going)
    return Share(kind, days, decided.day, decided.why, rows, total, tuple(going), tuple(staying))


def _rows_in(link: Link, chunk: Chunk) -> int:
    name = sql.Identifier("_timescaledb_internal", chunk.name)
    row = link.execute(sql.SQL("SELECT count(*) FROM {}").format(name)).fetchone()
    return int(row[0]) if row else 0


def _share_of_rows(
    link: Link,
    kind: str,
    days: int | None,
    today: date,
    needs: Iterable[Need],
    holds: Iterable[Hold],
) -> Share:
    if days is None:
        return Share(kind, None, None, "kept for ever", 0, 0)
    decided = _decided(kind, days, today, needs, holds)
    key = _key(link, kind, decided.day, None)
    rows = total = 0
    for table, old in _OLD[kind]:
        query = sql.SQL(_COUNT).format(old=old, table=sql.Identifier(table))
        found = link.execute(query, key).fetchone()
        rows, total = rows + (found[0] if found else 0), total + int(found[1] if found else 0)
    return Share(kind, days, decided.day, decided.why, rows, total)


def _decided(
    kind: str, days: int, today: date, needs: Iterable[Need], holds: Iterable[Hold]
) -> Need:
    mine = [first_need(needs)] if kind in _OF_RECORDS else []
    return cutoff(
        today, days, [*mine, *(Need(hold.from_day, f"held for {hold.whose}") for hold in holds)]
    )


def _key(link: Link, kind: str, before: date, limit: int | None) -> dict[str, object]:
    """Parameters of _OLD."""
    cut_ms = instant_of(before)
    key: dict[str, object] = {
        "cut_ms": cut_ms,
        "cut": f"{before} 00:00:00+08",
        "cut_hour": cut_ms // HOUR_MS,
        "limit": limit,
    }
    if kind in _BY_OFFSET:
        rows = list(_old_offsets(link, key))
        for column, name in enumerate(("generations", "partitions", "belows", "last_ticks")):
            key[name] = [row[column] for row in rows]
    return key


def _old_offsets(link: Link, key: dict[str, object]) -> Iterator[tuple[int, int, int, int | None]]:
    """(generation, partition, records below this offset are old, last tick), as far as regions need no more of them."""
    cuts: dict[tuple[int, int], int] = {}
    if link.execute(_HAS_REGIONS).fetchone() == (True,):
        cuts = {
            (generation, partition): at for generation, partition, at in link.execute(_REGION_CUTS)
        }
    first = min((generation for generation, _ in cuts), default=None)
    for generation, partition, below, last_tick in link.execute(_OLD_OFFSETS, key):
        is_done_with = first is None or generation < first
        needed = below if is_done_with else cuts.get((generation, partition), 0)
        yield generation, partition, min(below, needed), last_tick


# ---- Dropping


def apply(link: Link, settings: Retention, *, at: int) -> list[Share]:
    """Drop what may go at an instant (ms); returns what went. What is dropped is written down with it."""
    link.execute("SET lock_timeout = '10s'")
    link.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
    try:
        shares = plan(link, settings, at=at)
        # Records before what says how old they are.
        for share in shares:
            for chunk in share.chunks:
                _drop_chunk(link, share.kind, chunk, settings)
        for share in sorted(shares, key=lambda share: share.kind == "steps"):
            if share.before is not None and share.kind not in CHUNKED:
                _delete(link, share, settings)
    finally:
        link.execute("SELECT pg_advisory_unlock(%s)", (LOCK,))
    return shares


def _drop_chunk(link: Link, kind: str, chunk: Chunk, settings: Retention) -> None:
    with link.transaction():
        rows = _rows_in(link, chunk)
        dropped = link.execute(
            "SELECT drop_chunks(%s::regclass, older_than => %s::date, newer_than => %s::date)",
            (CHUNKED[kind], chunk.after, chunk.first),
        ).fetchall()
        if [name.rsplit(".", 1)[-1] for (name,) in dropped] != [chunk.name]:
            message = f"{kind}: dropping {chunk.first} to {chunk.after} would take {dropped}; nothing of it was dropped"
            raise DropError(message)
        link.execute(
            _DROPPED, (kind, chunk.first, chunk.after, rows, chunk.bytes, settings.version)
        )


def _delete(link: Link, share: Share, settings: Retention) -> None:
    """In batches, each written down in its transaction."""
    if share.before is None:
        return
    key = _key(link, share.kind, share.before, BATCH)
    for table, old in _OLD[share.kind]:
        delete = sql.SQL(_DELETE).format(old=old, table=sql.Identifier(table))
        while True:
            with link.transaction():
                sizes = [size for (size,) in link.execute(delete, key)]
                if not sizes:
                    break
                went = (share.kind, None, share.before, len(sizes), sum(sizes), settings.version)
                link.execute(_DROPPED, went)
