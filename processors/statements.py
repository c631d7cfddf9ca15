"""The store's SQL, and its parameters as columns. Pure: the store sends it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import LiteralString

import numpy as np

from processors.lookups import DayLookup, HourLookup, LongLookup
from processors.pg_binary import (
    Param,
    bigints,
    byteas,
    date_text,
    dates,
    integers,
    smallints,
    texts,
)
from processors.ports import HOUR_FIELDS, Gap, GapSpan, Step
from schemas.section import NEVER

Statement = tuple[LiteralString, tuple[Param, ...]]

# ---- Partitions

BEGIN_PARTITION = """
INSERT INTO partition (generation, partition, next_offset)
SELECT v.* FROM (VALUES (%s::integer, %s::integer, %s::bigint)) AS v (generation, partition, next_offset)
WHERE NOT EXISTS (SELECT 1 FROM partition p WHERE p.generation = v.generation AND p.partition = v.partition)
ON CONFLICT DO NOTHING"""
"""ON CONFLICT alone would wait for an owner's transaction, in a place where nobody ends it."""
TAKE = b"""
UPDATE partition SET epoch = epoch + 1 WHERE generation = $1 AND partition = $2
RETURNING epoch, next_offset, careful_until"""
NEWEST_GENERATION = "SELECT max(generation) FROM partition"
COUNT_OF_GENERATION = "SELECT partitions FROM generation WHERE generation = %s"
BLOCKERS = "SELECT unnest(pg_blocking_pids(%s))"
END_PREDECESSORS = """
SELECT pg_terminate_backend(pid, 2000) FROM pg_stat_activity
WHERE application_name = current_setting('application_name') AND usename = current_user
  AND pid <> pg_backend_pid()"""
POSITIONS = """
SELECT partition, next_offset FROM partition WHERE generation = %s AND partition = ANY(%s)"""
HELD = """
SELECT partition, epoch, next_offset FROM partition WHERE generation = %s AND partition = ANY(%s)"""
_FENCE = """
UPDATE partition SET next_offset = %s
WHERE generation = %s AND partition = %s AND epoch = %s AND next_offset = %s"""

CAREFUL = """
UPDATE partition SET careful_until = %s WHERE generation = %s AND partition = %s AND epoch = %s"""
DEAD_LETTERS = """
SELECT count(*) FROM refused
WHERE generation = %s AND partition = %s AND kind = 'dead letter' AND "offset" >= %s"""

# ---- Reading back

STATES = """
SELECT u.code, s.partition, s.ends, s.last_tick, s.live, s.blob
FROM unit_state s JOIN unit u ON u.id = s.unit WHERE s.partition = %s ORDER BY u.id"""
LAST_TICK = "SELECT max(at) FROM tick WHERE generation = %s AND partition = %s AND unit = 0"
CONTROLS = """
SELECT "offset", text FROM control WHERE generation = %s AND partition = %s ORDER BY "offset", text"""
DOORS = "SELECT door, incarnation, sequence FROM door WHERE generation = %s AND partition = %s"
ADD_UNITS = "INSERT INTO unit (code) SELECT unnest(%s) ON CONFLICT (code) DO NOTHING"
UNITS = "SELECT code, id FROM unit WHERE code = ANY(%s)"

WINDOWS_OF = """
SELECT w.as_of, (w.judged || CASE WHEN is_recomputable(w.unit, w.starts, w.ends)
                 THEN '{}' ELSE '{"recomputable": false}' END::jsonb || coalesce(c.contested, '{}'))::text
FROM unit_window w JOIN unit u ON u.id = w.unit
LEFT JOIN LATERAL (
    SELECT jsonb_build_object('contested', jsonb_object_agg(f.quantity, f.contested)) AS contested FROM figure_told f
    WHERE f.unit = u.code AND f.window_kind = w.kind AND f.starts = instant(w.starts) AND f.contested IS NOT NULL
      AND EXISTS (SELECT FROM objection_log o WHERE o.unit = u.code AND o.upheld IS NULL)
    HAVING count(*) > 0) c ON true
WHERE u.code = %s ORDER BY w.kind, w.starts"""
STOPS_OF = """
SELECT d.name, d.kind, ms_of(d.starts), ms_of(d.ends), d.points, d.evidence
FROM stop_declared d JOIN unit u ON u.code = d.unit LEFT JOIN unit_state s ON s.unit = u.id
WHERE d.unit = %s AND NOT d.withdrawn AND ms_of(d.ends) > coalesce(s.last_tick, 0) ORDER BY 3, 1"""
LINES_OF = """
SELECT w.line, coalesce(l.name, w.line), w.as_of, (w.judged || coalesce(c.contested, '{}'))::text
FROM line_window w JOIN unit u ON u.id = w.unit LEFT JOIN line l ON l.unit = w.unit AND l.id = w.line
LEFT JOIN LATERAL (
    SELECT jsonb_build_object('contested', jsonb_object_agg(f.quantity, f.contested)) AS contested FROM figure_told f
    WHERE f.unit = u.code AND f.window_kind = w.kind AND f.starts = instant(w.starts) AND f.contested IS NOT NULL
      AND EXISTS (SELECT FROM objection_log o WHERE o.unit = u.code AND o.upheld IS NULL)
    HAVING count(*) > 0) c ON true
WHERE u.code = %s ORDER BY l.number, w.line, w.kind, w.starts"""

RECORDS = """
SELECT r.unit, r.day - date '1970-01-01', r.first_at, r.generation, r.partition, r."offset", r.part,
       r.statement, r.rank, r.revision, r.flags, false, r.point, r.at, r.value, r.sent_at, r.sent,
       r.at_times, r.value_from, r.value_times, r.narrow_at, r.narrow_value
FROM unnest(%s, %s, %s, %s) AS s (unit, day, from_at, to_at)
JOIN reading_record r ON r.unit = s.unit AND r.day = s.day
  AND r.first_at < s.to_at AND r.last_at >= s.from_at
WHERE r.day = ANY(%s)"""
REJECTIONS = """
SELECT r.unit, r.day - date '1970-01-01', r.first_at, r.generation, r.partition, r."offset", r.part,
       r.statement, r.rank, r.revision, r.flags, true, r.point, r.at, r.value, r.sent_at
FROM unnest(%s, %s, %s, %s) AS s (unit, day, from_at, to_at)
JOIN rejection_record r ON r.unit = s.unit AND r.day = s.day
  AND r.first_at < s.to_at AND r.last_at >= s.from_at
WHERE r.day = ANY(%s) AND r.reason = 'faster than rated'"""
LONG_RECORDS = """
SELECT r.unit, r.day - date '1970-01-01', r.first_at, r.generation, r.partition, r."offset", r.part,
       r.statement, r.rank, r.revision, r.flags, false, r.point, r.at, r.value, r.sent_at, r.sent,
       r.at_times, r.value_from, r.value_times, r.narrow_at, r.narrow_value
FROM unnest(%s, %s, %s, %s, %s) AS s (unit, first_day, last_day, from_at, to_at)
JOIN reading_record r ON r.unit = s.unit AND r.day BETWEEN s.first_day AND s.last_day
  AND r.first_at < s.to_at AND r.last_at >= s.from_at
WHERE r.day BETWEEN %s::date AND %s::date"""
LONG_REJECTIONS = """
SELECT r.unit, r.day - date '1970-01-01', r.first_at, r.generation, r.partition, r."offset", r.part,
       r.statement, r.rank, r.revision, r.flags, true, r.point, r.at, r.value, r.sent_at
FROM unnest(%s, %s, %s, %s, %s) AS s (unit, first_day, last_day, from_at, to_at)
JOIN rejection_record r ON r.unit = s.unit AND r.day BETWEEN s.first_day AND s.last_day
  AND r.first_at < s.to_at AND r.last_at >= s.from_at
WHERE r.day BETWEEN %s::date AND %s::date AND r.reason = 'faster than rated'"""
DAYS_OF_UNIT = """
SELECT DISTINCT day - date '1970-01-01' FROM (
  SELECT day FROM reading_record WHERE unit = %(unit)s UNION SELECT day FROM rejection_record WHERE unit = %(unit)s) d
ORDER BY 1"""
ROWS_OF_DAY = """
SELECT %(code)s, day - date '1970-01-01', first_at, last_at, partition, "offset", part, received_at, statement, rank,
       revision, flags, message, sent_at, point, at, value, '', '{}'::text[], '', sent, at_times, value_from,
       value_times, narrow_at, narrow_value
FROM reading_record WHERE unit = %(unit)s AND day = %(day)s::date ORDER BY generation, "offset", part"""
REJECTED_OF_DAY = """
SELECT %(code)s, day - date '1970-01-01', first_at, last_at, partition, "offset", part, received_at, statement, rank,
       revision, flags, message, sent_at, point, at, value, reason, names, unit_of_measure
FROM rejection_record WHERE unit = %(unit)s AND day = %(day)s::date ORDER BY generation, "offset", part"""
HOURS_OF_UNIT = """
SELECT hour, quantity::text, best, unknown_best, unknown_high, measured_ms,
       inexact, before_low, before_high, after_low, after_high, fingerprint
FROM hour WHERE unit = %s"""
PARTITION_OF = """
SELECT s.partition FROM unit_state s JOIN unit u ON u.id = s.unit WHERE u.code = %s"""
RESTATED_AT = """
SELECT generation, "offset" FROM control WHERE text LIKE %s
ORDER BY generation DESC, "offset" DESC LIMIT 1"""
LAST_TICK_OF = "SELECT s.last_tick FROM unit_state s JOIN unit u ON u.id = s.unit WHERE u.code = %s"
FIGURES = """
SELECT quantity, unit_of_measure, low, best, high, share_measured FROM figures(%s, %s, %s)"""
CO2_TERMS = """
SELECT term, low, best, high, factors, unverified FROM co2_terms(%s, %s, %s)"""
CO2_TERMS_OF_LINE = """
SELECT term, low, best, high, factors, unverified FROM co2_terms(%s, %s, %s, %s)"""
TOUCHED_LAST = """
SELECT u.code FROM unit_window w JOIN unit u ON u.id = w.unit JOIN unit_state s ON s.unit = w.unit
WHERE s.partition = ANY(%s) AND w.kind = 'day' AND w.as_of > w.ends
GROUP BY u.code ORDER BY max(w.as_of) DESC LIMIT %s"""
UNITS_AFTER = """
SELECT u.code FROM unit_state s JOIN unit u ON u.id = s.unit
WHERE s.partition = ANY(%s) AND u.code > %s ORDER BY u.code LIMIT %s"""
COUNT_OF_DAYS = """
SELECT (SELECT count(*) FROM reading_record WHERE unit = %(unit)s AND day < %(day)s::date)
     + (SELECT count(*) FROM rejection_record WHERE unit = %(unit)s AND day < %(day)s::date)"""
"""In the order of ports.ReadingRow; `at` from first_at on."""
HOURS = """
SELECT h.unit, h.quantity::text, h.hour, h.best, h.unknown_best, h.unknown_high, h.measured_ms,
       h.inexact, h.before_low, h.before_high, h.after_low, h.after_high, h.fingerprint
FROM unnest(%s, %s, %s) AS s (unit, from_hour, to_hour)
JOIN hour h ON h.unit = s.unit AND h.hour >= s.from_hour AND h.hour < s.to_hour"""
GAPS = """
WITH s AS (SELECT * FROM unnest(%s, %s, %s, %s) AS s (unit, point, from_at, to_at))
SELECT g.unit, g.point, g.starts, g.ends, g.kind::text, g.low, g.high, g.from_register, g.to_register, g.parts, g.total
FROM s JOIN gap g ON g.unit = s.unit AND g.point = s.point AND g.parts IS NULL
  AND g.starts <= s.to_at AND g.ends >= s.from_at
  AND g.starts >= coalesce(
      (SELECT max(b.starts) FROM gap b
       WHERE b.unit = s.unit AND b.point = s.point AND b.starts < s.from_at AND b.parts IS NULL), s.from_at)
UNION
SELECT g.unit, g.point, g.starts, g.ends, g.kind::text, g.low, g.high, g.from_register, g.to_register, g.parts, g.total
FROM s JOIN gap g ON g.unit = s.unit AND g.point = s.point AND g.parts IS NOT NULL
  AND g.starts <= s.to_at AND g.ends >= s.from_at
ORDER BY unit, point, starts"""
"""Of the gaps of a point that are not bounded none overlap: of those that begin before the span only the last can reach it."""
POINTS = "SELECT unit, number FROM point WHERE unit = ANY(%s)"

# ---- The outbox

UNPUBLISHED = """
SELECT p.partition, o."offset", o.position, o.number, o.key, o.payload
FROM partition p CROSS JOIN LATERAL (
  SELECT * FROM outbox o WHERE o.generation = p.generation AND o.partition = p.partition
    AND (o."offset", o.position, o.number) > (p.outbox_offset, p.outbox_position, p.outbox_number)
  ORDER BY o."offset", o.position, o.number LIMIT %s) o
WHERE p.generation = %s AND p.partition = ANY(%s)
ORDER BY p.partition, o."offset", o.position, o.number"""
ADVANCE_CURSORS = """
WITH mine AS (
  SELECT p.generation, p.partition, v.o, v.p, v.n
  FROM partition p JOIN unnest(%s::integer[], %s::bigint[], %s::bigint[], %s::integer[], %s::integer[])
    AS v (partition, epoch, o, p, n) ON v.partition = p.partition AND v.epoch = p.epoch
  WHERE p.generation = %s ORDER BY p.partition FOR NO KEY UPDATE OF p)
UPDATE partition SET (outbox_offset, outbox_position, outbox_number) = (
  SELECT * FROM (VALUES (outbox_offset, outbox_position, outbox_number), (mine.o, mine.p, mine.n)) AS v (o, p, n)
  ORDER BY o DESC, p DESC, n DESC LIMIT 1)
FROM mine WHERE partition.generation = mine.generation AND partition.partition = mine.partition
RETURNING partition.partition"""

# ---- A step

COPY_READINGS = """
COPY reading_record (unit, day, first_at, generation, partition, "offset", part, last_at, received_at,
  statement, rank, revision, flags, message, point, at, value, sent_at, sent, at_times, value_from,
  value_times, narrow_at, narrow_value) FROM STDIN (FORMAT binary)"""
COPY_REJECTIONS = """
COPY rejection_record (unit, day, first_at, generation, partition, "offset", part, last_at, received_at,
  statement, rank, revision, flags, message, point, at, value, sent_at, reason, names, unit_of_measure)
FROM STDIN (FORMAT binary)"""
_STEP = """
INSERT INTO step (generation, partitions, firsts, nexts, readings, rejections, holes, engine)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"""
# MERGE where rows change: unlike ON CONFLICT it locks no row before it updates it, which PostgreSQL would
# log. Only the partition's owner writes these rows, so nobody inserts one in between.
_STATES = """
MERGE INTO unit_state t
USING (SELECT s.unit, s.partition, nullif(s.last_tick, -4611686018427387904) AS last_tick, s.live = 1 AS live,
              (%s)[s.first:s.last] AS ends, s.blob
       FROM unnest(%s, %s, %s, %s, %s, %s, %s) AS s (unit, partition, last_tick, live, first, last, blob)) AS s
ON t.unit = s.unit
WHEN MATCHED THEN UPDATE SET partition = s.partition, last_tick = s.last_tick, live = s.live, ends = s.ends, blob = s.blob
WHEN NOT MATCHED THEN INSERT (unit, partition, last_tick, live, ends, blob)
  VALUES (s.unit, s.partition, s.last_tick, s.live, s.ends, s.blob)"""
_HOURS = """
MERGE INTO hour t
USING (SELECT s.unit, s.hour, s.quantity::quantity AS quantity, best, unknown_best, unknown_high, measured_ms, inexact,
              before_low, before_high, after_low, after_high, fingerprint
       FROM unnest(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) AS s (unit, hour, quantity, best,
         unknown_best, unknown_high, measured_ms, inexact, before_low, before_high, after_low, after_high,
         fingerprint)) AS s
ON t.unit = s.unit AND t.hour = s.hour AND t.quantity = s.quantity
WHEN MATCHED THEN UPDATE SET best = s.best, unknown_best = s.unknown_best, unknown_high = s.unknown_high,
  measured_ms = s.measured_ms, inexact = s.inexact, before_low = s.before_low, before_high = s.before_high,
  after_low = s.after_low, after_high = s.after_high, fingerprint = s.fingerprint
WHEN NOT MATCHED THEN INSERT (unit, hour, quantity, best, unknown_best, unknown_high, measured_ms, inexact,
  before_low, before_high, after_low, after_high, fingerprint)
  VALUES (s.unit, s.hour, s.quantity, s.best, s.unknown_best, s.unknown_high, s.measured_ms, s.inexact,
  s.before_low, s.before_high, s.after_low, s.after_high, s.fingerprint)"""
_GAPS_ENDED = """
DELETE FROM gap USING unnest(%s, %s, %s) AS s (unit, point, starts)
WHERE gap.unit = s.unit AND gap.point = s.point AND gap.starts = s.starts"""
_GAPS = """
INSERT INTO gap (unit, point, starts, ends, kind, low, high, from_register, to_register, parts, total)
SELECT unit, point, starts, ends, kind::gap_kind, low, high,
  nullif(from_register, -4611686018427387904), nullif(to_register, -4611686018427387904),
  nullif(parts, '')::bigint[], nullif(total, -4611686018427387904)
FROM unnest(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
  AS s (unit, point, starts, ends, kind, low, high, from_register, to_register, parts, total)
ON CONFLICT (unit, point, starts) DO UPDATE SET ends = excluded.ends, kind = excluded.kind,
  low = excluded.low, high = excluded.high, from_register = excluded.from_register,
  to_register = excluded.to_register, parts = excluded.parts, total = excluded.total"""
_WINDOWS = """
MERGE INTO unit_window t
USING (SELECT unit, kind, starts, ends, as_of, "offset", position, judged::jsonb AS judged
       FROM unnest(%s, %s, %s, %s, %s, %s, %s, %s)
         AS s (unit, kind, starts, ends, as_of, "offset", position, judged)) AS s
ON t.unit = s.unit AND t.kind = s.kind AND t.starts = s.starts
WHEN MATCHED THEN UPDATE SET ends = s.ends, as_of = s.as_of, "offset" = s."offset", position = s.position, judged = s.judged
WHEN NOT MATCHED THEN INSERT (unit, kind, starts, ends, as_of, "offset", position, judged)
  VALUES (s.unit, s.kind, s.starts, s.ends, s.as_of, s."offset", s.position, s.judged)"""
_LINES = """
MERGE INTO line_window t
USING (SELECT unit, line, kind, starts, ends, as_of, "offset", position, judged::jsonb AS judged
       FROM unnest(%s, %s, %s, %s, %s, %s, %s, %s, %s)
         AS s (unit, line, kind, starts, ends, as_of, "offset", position, judged)) AS s
ON t.unit = s.unit AND t.line = s.line AND t.kind = s.kind AND t.starts = s.starts
WHEN MATCHED THEN UPDATE SET ends = s.ends, as_of = s.as_of, "offset" = s."offset", position = s.position, judged = s.judged
WHEN NOT MATCHED THEN INSERT (unit, line, kind, starts, ends, as_of, "offset", position, judged)
  VALUES (s.unit, s.line, s.kind, s.starts, s.ends, s.as_of, s."offset", s.position, s.judged)"""
_ACCOUNT = """
MERGE INTO account t
USING (SELECT unit, day::date AS day, accepted, repeated, superseded, rejected, unreadable
       FROM unnest(%s, %s, %s, %s, %s, %s, %s)
         AS s (unit, day, accepted, repeated, superseded, rejected, unreadable)) AS s
ON t.unit = s.unit AND t.day = s.day
WHEN MATCHED THEN UPDATE SET accepted = t.accepted + s.accepted, repeated = t.repeated + s.repeated,
  superseded = t.superseded + s.superseded, rejected = t.rejected + s.rejected,
  unreadable = t.unreadable + s.unreadable
WHEN NOT MATCHED THEN INSERT (unit, day, accepted, repeated, superseded, rejected, unreadable)
  VALUES (s.unit, s.day, s.accepted, s.repeated, s.superseded, s.rejected, s.unreadable)"""
_REFUSED = """
INSERT INTO refused (generation, partition, "offset", part, unit, received_at, kind, reason, original, length, sha256)
SELECT %s, * FROM unnest(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
_OUTBOX = """
INSERT INTO outbox (generation, partition, "offset", position, number, key, payload)
SELECT %s, * FROM unnest(%s, %s, %s, %s, %s, %s)"""
_FEEDBACK = """
INSERT INTO feedback (generation, partition, "offset", number, unit, payload)
SELECT %s, * FROM unnest(%s, %s, %s, %s, %s)"""
_TICKS = """
INSERT INTO tick (generation, partition, "offset", position, at, unit)
SELECT %s, * FROM unnest(%s, %s, %s, %s, %s)"""
_CONTROLS = """
INSERT INTO control (generation, partition, "offset", text)
SELECT %s, * FROM unnest(%s, %s, %s)"""
_DOORS = """
INSERT INTO door (generation, partition, door, incarnation, sequence)
SELECT %s, * FROM unnest(%s, %s, %s, %s)
ON CONFLICT (generation, partition, door) DO UPDATE
SET incarnation = excluded.incarnation, sequence = excluded.sequence"""


def by_day(wanted: Sequence[DayLookup]) -> tuple[Param, ...]:
    """Parameters of RECORDS and REJECTIONS. The days once more, alone: they exclude chunks."""
    days = [lookup.day for lookup in wanted]
    return (
        integers([lookup.unit for lookup in wanted]),
        dates(days),
        bigints([lookup.from_at for lookup in wanted]),
        bigints([lookup.to_at for lookup in wanted]),
        dates(sorted(set(days))),
    )


def by_span(wanted: Sequence[LongLookup]) -> tuple[Param, ...]:
    """Parameters of LONG_RECORDS and LONG_REJECTIONS. First and last day of all exclude chunks."""
    return (
        integers([lookup.unit for lookup in wanted]),
        dates([lookup.first_day for lookup in wanted]),
        dates([lookup.last_day for lookup in wanted]),
        bigints([lookup.from_at for lookup in wanted]),
        bigints([lookup.to_at for lookup in wanted]),
        date_text(min(lookup.first_day for lookup in wanted)),
        date_text(max(lookup.last_day for lookup in wanted)),
    )


def by_hour(wanted: Sequence[HourLookup]) -> tuple[Param, ...]:
    """Parameters of HOURS."""
    return (
        integers([lookup.unit for lookup in wanted]),
        integers([lookup.from_hour for lookup in wanted]),
        integers([lookup.to_hour for lookup in wanted]),
    )


def by_point(
    spans: Sequence[GapSpan], ids: Mapping[str, int], points: Mapping[int, Sequence[int]]
) -> tuple[Param, ...]:
    """Parameters of GAPS; units without a number have no gaps. `points`: those of units of which all are asked for."""
    known = [
        (ids[span.unit], point, span.from_at, span.to_at)
        for span in spans
        if span.unit in ids
        for point in (points[ids[span.unit]] if span.point == -1 else (span.point,))
    ]
    unit, point, from_at, to_at = zip(*known, strict=True) if known else ((),) * 4
    return integers(unit), smallints(point), bigints(from_at), bigints(to_at)


def units_of(step: Step) -> set[str]:
    """Every unit that the step has a numbered row of."""
    rows = (
        *(step.readings, step.rejections, step.gaps, step.gaps_ended),
        *(step.windows, step.lines, step.states),
    )
    units = {row.unit for table in rows for row in table}
    units.update(unit for unit, _, _ in step.hours)
    units.update(unit for unit, _ in step.account)
    units.update(unit for *_, unit in step.ticks if unit)
    return units


def fences(step: Step, generation: int, epochs: Mapping[int, int]) -> Iterator[Statement]:
    """Advance each partition, in order; each must hit one row."""
    for partition, (first, following) in sorted(step.positions.items()):
        yield _FENCE, (following, generation, partition, epochs.get(partition, -1), first)


def upserts(
    step: Step, ids: Mapping[str, int], generation: int, engine: str
) -> Iterator[Statement]:
    """All that a step writes, but the records."""
    yield _step(step, generation, engine)
    if step.states:
        yield _states(step, ids)
    if step.hours:
        yield _hours(step, ids)
    if step.gaps_ended:
        yield _gaps_ended(step, ids)
    if step.gaps:
        yield _gaps(step, ids)
    if step.windows:
        yield _windows(step, ids)
    if step.lines:
        yield _lines(step, ids)
    if step.account:
        yield _account(step, ids)
    yield from _told(step, ids, generation)


def _told(step: Step, ids: Mapping[str, int], generation: int) -> Iterator[Statement]:
    """What the log says beside readings, and what others are told."""
    if step.refused:
        yield _refused(step, generation)
    if step.outbox:
        yield _outbox(step, generation)
    if step.feedback:
        yield _feedback(step, generation)
    if step.ticks:
        yield _ticks(step, ids, generation)
    if step.controls:
        partition, offset, text = zip(*step.controls, strict=True)
        yield _CONTROLS, (generation, integers(partition), bigints(offset), texts(text))
    if step.doors:
        partition, door, incarnation, sequence = zip(*step.doors, strict=True)
        yield (
            _DOORS,
            (generation, integers(partition), texts(door), bigints(incarnation), bigints(sequence)),
        )


def _step(step: Step, generation: int, engine: str) -> Statement:
    partitions = sorted(step.positions)
    return _STEP, (
        generation,
        integers(partitions),
        bigints([step.positions[partition][0] for partition in partitions]),
        bigints([step.positions[partition][1] for partition in partitions]),
        sum(len(row.at) for row in step.readings),
        sum(len(row.at) for row in step.rejections),
        step.holes,
        engine,
    )


def _states(step: Step, ids: Mapping[str, int]) -> Statement:
    """The ends of all units as one column, of which each takes its part: arrays of arrays must be oblong."""
    states = step.states
    lasts = np.cumsum([len(state.ends) for state in states])
    return _STATES, (
        bigints([end for state in states for end in state.ends]),
        integers([ids[state.unit] for state in states]),
        integers([state.partition for state in states]),
        bigints([NEVER if state.last_tick is None else state.last_tick for state in states]),
        smallints([state.live for state in states]),
        integers(np.concatenate([[1], lasts[:-1] + 1])),
        integers(lasts),
        byteas([state.blob for state in states]),
    )


def _hours(step: Step, ids: Mapping[str, int]) -> Statement:
    return _HOURS, (
        integers([ids[unit] for unit, _, _ in step.hours]),
        integers([hour for _, _, hour in step.hours]),
        texts([quantity for _, quantity, _ in step.hours]),
        *(bigints(step.hour_numbers[:, column]) for column in range(len(HOUR_FIELDS))),
    )


def _gaps_ended(step: Step, ids: Mapping[str, int]) -> Statement:
    return _GAPS_ENDED, _gap_key(step.gaps_ended, ids)


def _gaps(step: Step, ids: Mapping[str, int]) -> Statement:
    gaps = step.gaps
    return _GAPS, (
        *_gap_key(gaps, ids),
        bigints([gap.end for gap in gaps]),
        texts([gap.kind for gap in gaps]),
        bigints([gap.low for gap in gaps]),
        bigints([gap.high for gap in gaps]),
        bigints([NEVER if gap.from_register is None else gap.from_register for gap in gaps]),
        bigints([NEVER if gap.to_register is None else gap.to_register for gap in gaps]),
        texts([f"{{{','.join(map(str, gap.parts))}}}" if gap.parts else "" for gap in gaps]),
        bigints([NEVER if gap.total is None else gap.total for gap in gaps]),
    )


def gap_of(unit: str, row: Sequence[object]) -> Gap:
    """A gap from its row, without the unit's number."""
    *rest, parts, total = row
    known = () if parts is None else tuple(np.asarray(parts, np.int64).tolist())
    return Gap._make((unit, *rest, known, total))


def _gap_key(gaps: Sequence[Gap], ids: Mapping[str, int]) -> tuple[Param, ...]:
    return (
        integers([ids[gap.unit] for gap in gaps]),
        smallints([gap.point for gap in gaps]),
        bigints([gap.start for gap in gaps]),
    )


def _windows(step: Step, ids: Mapping[str, int]) -> Statement:
    windows = step.windows
    return _WINDOWS, (
        integers([ids[window.unit] for window in windows]),
        texts([window.kind for window in windows]),
        bigints([window.start for window in windows]),
        bigints([window.end for window in windows]),
        bigints([window.as_of for window in windows]),
        bigints([window.offset for window in windows]),
        integers([window.position for window in windows]),
        texts([window.judged for window in windows]),
    )


def _lines(step: Step, ids: Mapping[str, int]) -> Statement:
    lines = step.lines
    return _LINES, (
        integers([ids[line.unit] for line in lines]),
        texts([line.line for line in lines]),
        texts([line.kind for line in lines]),
        bigints([line.start for line in lines]),
        bigints([line.end for line in lines]),
        bigints([line.as_of for line in lines]),
        bigints([line.offset for line in lines]),
        integers([line.position for line in lines]),
        texts([line.judged for line in lines]),
    )


def _account(step: Step, ids: Mapping[str, int]) -> Statement:
    counts = np.array(list(step.account.values()), dtype=np.int64)
    return _ACCOUNT, (
        integers([ids[unit] for unit, _ in step.account]),
        texts([day for _, day in step.account]),
        *(bigints(column) for column in counts.T),
    )


def _refused(step: Step, generation: int) -> Statement:
    rows = step.refused
    return _REFUSED, (
        generation,
        integers([row.partition for row in rows]),
        bigints([row.offset for row in rows]),
        integers([row.part for row in rows]),
        texts([row.unit for row in rows]),
        bigints([row.received_at for row in rows]),
        texts([row.kind for row in rows]),
        texts([row.reason for row in rows]),
        byteas([row.original for row in rows]),
        bigints([row.length for row in rows]),
        texts([row.sha256 for row in rows]),
    )


def _outbox(step: Step, generation: int) -> Statement:
    rows = step.outbox
    return _OUTBOX, (
        generation,
        integers([row.partition for row in rows]),
        bigints([row.offset for row in rows]),
        integers([row.position for row in rows]),
        integers([row.number for row in rows]),
        texts([row.key for row in rows]),
        byteas([row.payload for row in rows]),
    )


def _feedback(step: Step, generation: int) -> Statement:
    partition, offset, number, unit, payload = zip(*step.feedback, strict=True)
    return _FEEDBACK, (
        generation,
        integers(partition),
        bigints(offset),
        integers(number),
        texts(unit),
        byteas(payload),
    )


def _ticks(step: Step, ids: Mapping[str, int], generation: int) -> Statement:
    partition, offset, position, at, unit = zip(*step.ticks, strict=True)
    return _TICKS, (
        generation,
        integers(partition),
        bigints(offset),
        integers(position),
        bigints(at),
        integers([ids[code] if code else 0 for code in unit]),
    )
