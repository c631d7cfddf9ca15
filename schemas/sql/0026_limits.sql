-- 0026: product limits that come into force by a configuration, and what lines were told against them.

ALTER TABLE configuration ADD COLUMN law jsonb;
COMMENT ON COLUMN configuration.law IS 'Product limits that lines are held to from here on; NULL: as before.';

-- A product line against its limits: a row for each level of each standard, of each month and year as last told.
CREATE VIEW line_limit_told WITH (security_barrier) AS
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
       l.value ->> 'law' AS law
FROM line_window w
JOIN unit u ON u.id = w.unit
CROSS JOIN LATERAL jsonb_array_elements(coalesce(w.judged -> 'limits', '[]')) l;
COMMENT ON COLUMN line_limit_told.limit_high IS 'With limit_low: the corrected limit, an interval where something that it depends on is not declared.';
GRANT SELECT ON line_limit_told TO weir_worker, weir_reader, weir_regulator, weir_enterprise;
