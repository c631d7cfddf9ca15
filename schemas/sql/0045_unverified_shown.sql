-- 0045: whether a unit's verdict rests on an unverified factor; what a product limit that is not yet in force would find.

DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT * FROM (VALUES
        ('unit_verdict', 'y.unverified, y.source, y.status', '
          LEFT JOIN LATERAL (
              SELECT (w.judged #>> ''{figures,energy,unverified}'')::boolean AS unverified, q.source, q.status
              FROM unit u JOIN unit_window w ON w.unit = u.id AND w.kind = ''year'' AND w.starts = begin_of_year(v.year)
              LEFT JOIN quota q ON q.unit = u.id AND q.year = v.year
              WHERE u.code = v.unit) y ON true'),
        ('unit_standing', 'y.unverified', 'LEFT JOIN LATERAL (SELECT * FROM unit_verdict WHERE unit_verdict.unit = v.unit AND unit_verdict.year = v.year) y ON true'))
        AS c (name, further, joined) LOOP
        EXECUTE format('CREATE OR REPLACE VIEW %I WITH (security_barrier) AS SELECT v.*, %s FROM (%s) v %s',
                       one.name, one.further, rtrim(pg_get_viewdef(one.name::regclass), ';'), one.joined);
    END LOOP;
END
$$;
COMMENT ON COLUMN unit_verdict.unverified IS 'A factor that its energy of the year was converted by is.';
COMMENT ON COLUMN unit_verdict.source IS 'Of the quota, with its status.';

CREATE OR REPLACE VIEW line_limit_told WITH (security_barrier) AS
SELECT u.code AS unit,
       w.line,
       w.kind AS window_kind,
       instant(w.starts) AS starts,
       instant(w.ends) AS ends,
       instant(w.as_of) AS as_of,
       l.value ->> 'limit' AS limit_name,
       l.value ->> 'indicator' AS indicator,
       (l.value ->> 'level')::integer AS level,
       l.value ->> 'region' AS region,
       l.value ->> 'unit_of_measure' AS unit_of_measure,
       l.value ->> 'basis' AS basis,
       scaled((l.value ->> 'low')::numeric) AS low,
       scaled((l.value ->> 'best')::numeric) AS best,
       scaled((l.value ->> 'high')::numeric) AS high,
       scaled((l.value ->> 'limit_low')::numeric) AS limit_low,
       scaled((l.value ->> 'limit_high')::numeric) AS limit_high,
       l.value ->> 'verdict' AS verdict,
       l.value ->> 'reason' AS reason,
       instant((l.value ->> 'since')::bigint) AS since,
       (l.value ->> 'suspected')::boolean AS suspected,
       ARRAY(SELECT jsonb_array_elements_text(l.value -> 'notes')) AS notes,
       l.value ->> 'law' AS law,
       (l.value #>> '{coming,from_day}')::date AS in_force_from,
       l.value #>> '{coming,verdict}' AS would_be,
       (l.value #>> '{coming,suspected}')::boolean AS would_be_suspected,
       (SELECT string_agg('objection ' || o.id, ', ' ORDER BY o.id) FROM objection_log o
        WHERE o.unit = u.code AND o.upheld IS NULL AND rests_on('energy', instant(w.starts), instant(w.ends), o.figure, o.starts, o.ends)) AS contested
FROM line_window w
JOIN unit u ON u.id = w.unit
CROSS JOIN LATERAL jsonb_array_elements(coalesce(w.judged -> 'limits', '[]')) l;
COMMENT ON COLUMN line_limit_told.in_force_from IS 'With would_be: of a limit that is published and not yet in force.';
COMMENT ON COLUMN line_limit_told.contested IS 'By which objections the unit''s energy of the window is; NULL: by none.';
