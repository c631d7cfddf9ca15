-- 0012: the age of the store: generations of the log, what is kept and for how long, and holds.

-- Generations that `partitions resize` began. A worker with another count would share the units out otherwise.
CREATE TABLE generation (
    generation integer     PRIMARY KEY,
    partitions integer     NOT NULL CHECK (partitions >= 1),
    begun_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT ON generation TO weir_worker;

-- Only the log that is being read: an older one stands still for ever, and is no reason for an alarm.
CREATE OR REPLACE VIEW partition_now WITH (security_barrier) AS
SELECT p.generation, p.partition, p.epoch, p.next_offset, p.outbox_offset, instant(t.at) AS last_tick, w.committed_at AS last_write
FROM partition p
LEFT JOIN LATERAL (
    SELECT max(at) AS at FROM tick WHERE generation = p.generation AND partition = p.partition AND unit = 0) t ON true
CROSS JOIN LATERAL (SELECT max(committed_at) AS committed_at FROM (SELECT committed_at FROM step ORDER BY id DESC LIMIT 1) s) w
WHERE p.generation = (SELECT max(generation) FROM partition);

-- What must not go, whatever its age: of a unit, or of all units of a region; `to_day` NULL is without end.
CREATE TABLE hold (
    id          integer     PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    unit        integer     REFERENCES unit,
    region      text        REFERENCES region,
    from_day    date        NOT NULL,
    to_day      date        CHECK (to_day >= from_day),
    reason      text        NOT NULL CHECK (reason <> ''),
    entered_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    entered_by  text        NOT NULL DEFAULT session_user,
    lifted_at   timestamptz,
    lifted_by   text,
    lift_reason text        CHECK (lift_reason <> ''),
    CHECK ((unit IS NULL) <> (region IS NULL)),
    CHECK ((lifted_at IS NULL) = (lift_reason IS NULL))
);

-- What went: [from_day, to_day) of a kind of row. How much, when, and by which settings. Kept.
CREATE TABLE dropped (
    id         bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    kind       text        NOT NULL,
    from_day   date,
    to_day     date        NOT NULL,
    rows       bigint      NOT NULL,
    bytes      bigint      NOT NULL,
    settings   text        NOT NULL,
    dropped_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    dropped_by text        NOT NULL DEFAULT session_user
);
CREATE INDEX ON dropped (kind, to_day);
COMMENT ON COLUMN dropped.from_day IS 'NULL: from the beginning.';

-- Whether rows of this kind are gone of [from_ms, till_ms).
CREATE FUNCTION is_gone(of_kind text, from_ms bigint, till_ms bigint) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
SELECT EXISTS (SELECT FROM dropped d WHERE d.kind = of_kind AND from_ms < till_ms
               AND d.to_day > business_day(from_ms) AND coalesce(d.from_day <= business_day(till_ms - 1), true))
$$;

-- Whether the records that a unit's figures of [from_ms, till_ms) were made of are still there.
CREATE FUNCTION is_recomputable(unit_id integer, from_ms bigint, till_ms bigint) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
SELECT NOT is_gone('readings', greatest(from_ms, (SELECT min(valid_from) FROM point WHERE unit = unit_id)), till_ms)
$$;

-- A figure says whether it can still be computed from its records; where its hours are gone, there is none.
ALTER FUNCTION figures(text, timestamptz, timestamptz) RENAME TO figures_of_hours;
CREATE FUNCTION figures(unit text, from_at timestamptz, till timestamptz)
RETURNS TABLE (quantity text, unit_of_measure text, low numeric, best numeric, high numeric, share_measured numeric, recomputable boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    asked ALIAS FOR $1;
    unit_id integer := (SELECT id FROM unit WHERE code = asked);
BEGIN
    IF is_gone('hours', greatest(ms_of(from_at), (SELECT min(valid_from) FROM point p WHERE p.unit = unit_id)), ms_of($3)) THEN
        RAISE EXCEPTION 'no longer recomputable: hours of % to % were dropped', from_at, $3
            USING HINT = 'what was told of these windows is in figure_told', ERRCODE = 'no_data_found';
    END IF;
    RETURN QUERY
    SELECT f.*, is_recomputable(unit_id, ms_of(from_at), ms_of($3)) FROM figures_of_hours(asked, from_at, $3) f;
END
$$;
COMMENT ON FUNCTION figures IS
'A unit''s figures over the whole hours [from_at, till), as the last write left them: native quantities, energy (tce, equivalent value) and CO2 (t). high NULL: the opening is unknown. recomputable false: no longer recomputable, its records are gone; an error: its hours are gone, too.';
REVOKE EXECUTE ON FUNCTION figures, figures_of_hours FROM PUBLIC;
GRANT EXECUTE ON FUNCTION figures TO weir_worker, weir_reader;
REVOKE EXECUTE ON FUNCTION figures_of_hours FROM weir_worker, weir_reader;
GRANT SELECT ON dropped TO weir_worker;
