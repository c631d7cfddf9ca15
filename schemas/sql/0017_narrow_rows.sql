-- 0017: rows of readings as narrow as their numbers allow (processors/narrow.py); those that are there stay as they are.
--
-- at = first_at + narrow_at · at_times, value = value_from + narrow_value · value_times, sent_at = sent for all.
-- What does not fit rests whole in at, value or sent_at; one form of each is NULL.

ALTER TABLE reading_record
    ALTER COLUMN at DROP NOT NULL,
    ALTER COLUMN value DROP NOT NULL,
    ALTER COLUMN sent_at DROP NOT NULL,
    ADD COLUMN sent bigint,
    ADD COLUMN at_times integer,
    ADD COLUMN value_from bigint,
    ADD COLUMN value_times bigint,
    ADD COLUMN narrow_at smallint[],
    ADD COLUMN narrow_value integer[];
COMMENT ON COLUMN reading_record.narrow_at IS 'Instants from first_at on, in units of at_times milliseconds; where they do not fit: `at`.';
COMMENT ON COLUMN reading_record.narrow_value IS 'Values from value_from on, in units of value_times; where they do not fit: `value`.';

CREATE OR REPLACE FUNCTION claims_of(unit_id integer, point_number smallint, from_ms bigint, till_ms bigint)
RETURNS TABLE (point smallint, statement smallint, at bigint, rank smallint, revision integer, sent_at bigint,
               value bigint, withdraws boolean, received_at bigint, message text, declared boolean)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
SELECT c.point, r.statement, r.first_at + coalesce(c.at, c.narrow_at * r.at_times), r.rank, r.revision,
       coalesce(r.sent, r.sent_at[least(c.place, cardinality(r.sent_at))]),
       coalesce(c.value, r.value_from + c.narrow_value * r.value_times), r.flags & 1 = 1, r.received_at, r.message, r.flags & 4 = 4
FROM reading_record r
CROSS JOIN LATERAL unnest(r.point, r.at, r.value, r.narrow_at, r.narrow_value)
    WITH ORDINALITY AS c (point, at, value, narrow_at, narrow_value, place)
WHERE r.unit = unit_id
  AND r.day BETWEEN business_day(from_ms) AND business_day(till_ms - 1)
  AND r.first_at < till_ms AND r.last_at >= from_ms
  AND r.first_at + coalesce(c.at, c.narrow_at * r.at_times) >= from_ms
  AND r.first_at + coalesce(c.at, c.narrow_at * r.at_times) < till_ms
  AND (point_number IS NULL OR c.point = point_number)
$$;
