-- 0047: sums of regions and targets say whether they rest on an unverified factor, and by which view their CO2 is.

ALTER TABLE region_telling ADD COLUMN energy_unverified boolean NOT NULL DEFAULT false, ADD COLUMN co2_unverified boolean NOT NULL DEFAULT false;
-- What units told before: by their windows as last told.
UPDATE region_telling t
SET energy_unverified = coalesce((w.judged #>> '{figures,energy,unverified}')::boolean, false),
    co2_unverified = coalesce((w.judged #>> '{figures,co2,unverified}')::boolean, false)
FROM unit u JOIN unit_window w ON w.unit = u.id
WHERE u.code = t.unit AND w.kind = t.kind AND w.starts = t.starts;

ALTER TABLE region_hour ADD COLUMN energy_unverified boolean, ADD COLUMN co2_unverified boolean;
COMMENT ON COLUMN region_hour.energy_unverified IS 'A factor of one of its units is, of energy and of CO2; NULL: told before this was kept.';

ALTER TABLE target_hour ADD COLUMN unverified boolean, ADD COLUMN views text[];
COMMENT ON COLUMN target_hour.unverified IS 'A factor of one of its units is, or of a deduction; NULL: told before this was kept.';
COMMENT ON COLUMN target_hour.views IS 'Of CO2: by which views of electricity''s factor its units are converted. Empty of energy.';

DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT * FROM (VALUES
        ('region_told', 'h.energy_unverified, h.co2_unverified', '
          JOIN region_hour h ON h.scope = v.scope AND h.kind = v.window_kind AND h.starts = ms_of(v.starts) AND h.hour = ms_of(v.hour)'),
        ('target_told', 'h.unverified, h.views,
          (SELECT count(DISTINCT o.unit) FROM objection_log o JOIN unit u ON u.code = o.unit
           WHERE o.upheld IS NULL AND rests_on(v.quantity, instant(begin_of_year(v.year)), instant(begin_of_year(v.year + 1)), o.figure, o.starts, o.ends)
             AND seen.within(format(''unit:%s+county:%s+industry:%s'', u.code, u.region, u.industry), v.scope)) AS contested', '
          JOIN target_hour h ON h.target = v.target AND h.hour = ms_of(v.hour)'))
        AS c (name, further, joined) LOOP
        EXECUTE format('CREATE OR REPLACE VIEW %I WITH (security_barrier) AS SELECT v.*, %s FROM (%s) v %s',
                       one.name, one.further, rtrim(pg_get_viewdef(one.name::regclass), ';'), one.joined);
    END LOOP;
END
$$;
COMMENT ON COLUMN target_told.contested IS 'How many of its units'' years are contested.';
