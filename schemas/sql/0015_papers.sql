-- 0015: what a report says beside the figures: by which configuration, factors and record of the log they are told.
--
-- For weir_reader, as 0008: functions that run as their owner, columns as people read them.

-- A registered unit's papers. pending: a configuration that changes how its readings count, and waits.
CREATE FUNCTION unit_papers(unit text)
RETURNS TABLE (configuration integer, loaded_at timestamptz, author text, reason text, pending integer, factor_pack text,
               quota_source text, quota_status text, opening text, engine text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
SELECT u.version, c.loaded_at, c.author, c.reason, u.pending, pack_of(u.id), q.source, q.status,
       (SELECT string_agg(o.quantity || ' ' || o.year || ': ' || o.evidence, '; ' ORDER BY o.year, o.quantity) FROM opening o WHERE o.unit = u.id),
       (SELECT engine FROM step ORDER BY id DESC LIMIT 1)
FROM unit u
JOIN configuration c ON c.version = u.version
LEFT JOIN quota q ON q.unit = u.id AND q.year = (SELECT n.year FROM unit_now n WHERE n.unit = u.code)
WHERE u.code = $1
$$;
COMMENT ON FUNCTION unit_papers IS 'engine: of the step written last. quota: of the newest year told.';

-- What converts a unit's amounts, as its pack has it.
CREATE FUNCTION unit_factors(unit text)
RETURNS TABLE (id text, quantity text, target text, year integer, view text, value text, unit_of_measure text, source text, status text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
SELECT f.id, f.quantity::text, f.target, f.year, f.body ->> 'view',
       coalesce(f.body ->> 'value', format('%s GJ/t · %s tC/TJ / 1000 · %s · 44/12', f.body #>> '{fuel,ncv_gj_per_t}',
                                           f.body #>> '{fuel,carbon_tc_per_tj}', f.body #>> '{fuel,oxidation}')),
       f.body ->> 'unit', f.body ->> 'source', f.body ->> 'status'
FROM unit u JOIN factor f ON f.pack = pack_of(u.id) WHERE u.code = $1
ORDER BY f.target DESC, f.quantity, f.year
$$;
COMMENT ON FUNCTION unit_factors IS 'value: of a fuel the product of its heat value, carbon content and oxidation.';

-- The record of the log that told each window of a unit that [from_at, till) touches, found by its
-- as-of among the records of one number: partitions of an older generation may have had it, too.
CREATE FUNCTION windows_told(unit text, from_at timestamptz, till timestamptz)
RETURNS TABLE (window_kind text, starts timestamptz, ends timestamptz, as_of timestamptz, generation integer, partition integer,
               "offset" bigint, "position" integer, configuration integer, cause text, recomputable boolean)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
SELECT w.kind, instant(w.starts), instant(w.ends), instant(w.as_of), o.generation, o.partition, w."offset", w.position,
       (o.told ->> 'configuration')::integer, o.told ->> 'cause', is_recomputable(u.id, w.starts, least(w.ends, w.as_of))
FROM unit u
JOIN unit_window w ON w.unit = u.id AND w.starts < ms_of($3) AND w.ends > ms_of($2)
LEFT JOIN LATERAL (
    SELECT t.generation, t.partition, t.told
    FROM partition p
    CROSS JOIN LATERAL (
        SELECT b.generation, b.partition, convert_from(b.payload, 'UTF8')::jsonb AS told
        FROM outbox b WHERE b.generation = p.generation AND b.partition = p.partition
          AND b."offset" = w."offset" AND b.position = w.position AND b.key = u.code
    ) t
    WHERE (t.told ->> 'as_of')::bigint = w.as_of
    ORDER BY t.generation DESC LIMIT 1
) o ON true
WHERE u.code = $1
ORDER BY w.starts, w.kind
$$;
COMMENT ON FUNCTION windows_told IS 'generation NULL: the record of what was told is gone. recomputable false: its readings are.';

REVOKE ALL ON FUNCTION unit_papers, unit_factors, windows_told FROM PUBLIC;
GRANT EXECUTE ON FUNCTION unit_papers, unit_factors, windows_told TO weir_worker, weir_reader;
