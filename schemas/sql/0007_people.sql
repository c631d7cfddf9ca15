-- 0007: who may do what, and the views that everybody reads.
--
-- Roles belong to the server, not to the database: another database of it may have made them. They
-- cannot log in; `python -m processors migrate login` makes logins that are members.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['weir_worker', 'weir_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;  -- another database of this server was faster
            END;
        END IF;
    END LOOP;
END
$$;

-- A unit's partition is told by unit_state; the registry does not know how many there are.
ALTER TABLE unit DROP COLUMN partition;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO weir_worker, weir_reader;

-- The worker appends what the log says, replaces what is derived, and deletes nothing but gaps.
GRANT SELECT, INSERT ON reading_record, rejection_record, refused, tick, control, step, outbox TO weir_worker;
GRANT SELECT, INSERT, UPDATE ON partition, door, unit_state, hour, unit_window, account TO weir_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON gap TO weir_worker;
GRANT SELECT, INSERT ON configuration, factor_pack, factor TO weir_worker;
GRANT SELECT, INSERT, UPDATE ON region, industry, unit, point, quota, opening TO weir_worker;
GRANT SELECT ON migration TO weir_worker;

-- ---- Views

-- What a unit was last told: a row for each figure of each day, month and year.
CREATE VIEW figure_told WITH (security_barrier) AS
SELECT u.code AS unit,
       w.kind AS window_kind,
       instant(w.starts) AS starts,
       instant(w.ends) AS ends,
       instant(w.as_of) AS as_of,
       f.key AS quantity,
       f.value ->> 'unit_of_measure' AS unit_of_measure,
       scaled((f.value ->> 'low')::bigint) AS low,
       scaled((f.value ->> 'best')::bigint) AS best,
       scaled((f.value ->> 'high')::bigint) AS high,
       scaled((f.value ->> 'share_measured')::bigint) AS share_measured,
       coalesce((f.value ->> 'unverified')::boolean, false) AS unverified
FROM unit_window w
JOIN unit u ON u.id = w.unit
CROSS JOIN LATERAL jsonb_each(w.judged -> 'figures') f;
COMMENT ON COLUMN figure_told.high IS 'NULL: unknown.';

-- Of these the windows that hold the newest full hour that the unit was told.
CREATE VIEW figure_now WITH (security_barrier) AS
SELECT f.*
FROM figure_told f
JOIN (SELECT u.code, w.kind, max(w.starts) AS starts
      FROM unit_window w JOIN unit u ON u.id = w.unit GROUP BY u.code, w.kind) newest
  ON newest.code = f.unit AND newest.kind = f.window_kind AND instant(newest.starts) = f.starts;

-- A registered unit, and its newest year as last told.
CREATE VIEW unit_now WITH (security_barrier) AS
SELECT u.code AS unit,
       u.name,
       u.region,
       u.industry,
       coalesce(s.live, NOT u.history) AS live,
       instant(s.last_tick) AS last_tick,
       y.year,
       instant(y.as_of) AS as_of,
       y.judged ->> 'verdict' AS verdict,
       y.judged ->> 'reason' AS reason,
       instant((y.judged ->> 'since')::bigint) AS since,
       coalesce((y.judged ->> 'suspected')::boolean, false) AS suspected,
       scaled((y.judged ->> 'limit')::bigint) AS quota_tce,
       scaled((y.judged #>> '{figures,energy,low}')::bigint) AS energy_low,
       scaled((y.judged #>> '{figures,energy,best}')::bigint) AS energy_best,
       scaled((y.judged #>> '{figures,energy,high}')::bigint) AS energy_high
FROM unit u
LEFT JOIN unit_state s ON s.unit = u.id
LEFT JOIN LATERAL (
    SELECT w.as_of, w.judged, business_year(w.starts) AS year
    FROM unit_window w WHERE w.unit = u.id AND w.kind = 'year' ORDER BY w.starts DESC LIMIT 1
) y ON true
WHERE u.version IS NOT NULL;
COMMENT ON COLUMN unit_now.last_tick IS 'The unit''s time; as_of is the tick that its year was told at, not later.';

-- How far the log is digested, and when a step was last written.
CREATE VIEW partition_now WITH (security_barrier) AS
SELECT p.generation, p.partition, p.epoch, p.next_offset, p.outbox_offset, instant(t.at) AS last_tick, w.committed_at AS last_write
FROM partition p
LEFT JOIN LATERAL (
    SELECT max(at) AS at FROM tick WHERE generation = p.generation AND partition = p.partition AND unit = 0) t ON true
CROSS JOIN LATERAL (SELECT max(committed_at) AS committed_at FROM (SELECT committed_at FROM step ORDER BY id DESC LIMIT 1) s) w;

-- Functions are for everybody unless this is said.
REVOKE EXECUTE ON FUNCTION readings, quarter_hours, figures FROM PUBLIC;
GRANT EXECUTE ON FUNCTION readings, quarter_hours, figures TO weir_worker, weir_reader;
GRANT SELECT ON figure_told, figure_now, unit_now, partition_now TO weir_worker, weir_reader;
