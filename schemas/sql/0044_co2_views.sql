-- 0041: CO2 by each published view of electricity, side by side (RULES.md, section 13).

-- What a kWh is counted by, as the packs of the aggregator have it. place: of the views that are shown, in their order.
CREATE TABLE power_factor (
    id         text     PRIMARY KEY,
    number     integer  NOT NULL,
    place      smallint,
    region     text     NOT NULL,
    view       text     NOT NULL,
    year       integer  NOT NULL,
    value      numeric,
    unverified boolean  NOT NULL
);
COMMENT ON COLUMN power_factor.number IS 'Order in the packs: of two of one region, view and year the later one holds.';
COMMENT ON COLUMN power_factor.value IS 'kg a kWh; NULL: published without a figure.';
GRANT SELECT, INSERT, DELETE ON power_factor TO weir_worker;

CREATE FUNCTION half_even(amount numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT floor(amount) + CASE WHEN amount - floor(amount) > 0.5 OR (amount - floor(amount) = 0.5 AND mod(floor(amount), 2) <> 0) THEN 1 ELSE 0 END
$$;

-- Months and years of units (line NULL) and product lines as told, with another factor for electricity in place of the one told by.
CREATE VIEW co2_by_view WITH (security_barrier) AS
WITH told AS (
    SELECT u.code AS unit, NULL::text AS line, w.kind, w.starts, w.ends, w.as_of, w.judged -> 'figures' AS figures
    FROM unit_window w JOIN unit u ON u.id = w.unit WHERE w.kind IN ('month', 'year') AND w.judged -> 'figures' ? 'co2'
    UNION ALL
    SELECT u.code, w.line, w.kind, w.starts, w.ends, w.as_of, w.judged -> 'figures'
    FROM line_window w JOIN unit u ON u.id = w.unit WHERE w.kind IN ('month', 'year') AND w.judged -> 'figures' ? 'co2'
), figure AS (
    SELECT t.*, t.figures -> 'co2' AS co2,
           coalesce(t.figures -> 'purchased', t.figures -> 'electricity', '{"low": 0, "best": 0, "high": 0}') AS power
    FROM told t
), moved AS (
    SELECT f.*, c.place, c.region, c.view, c.id AS factor, c.year AS factor_year, (c.value - coalesce(o.value, 0)) * 0.001 AS by,
           c.unverified OR EXISTS (
               SELECT FROM jsonb_array_elements_text(f.co2 -> 'factors') AS i (id)
               LEFT JOIN LATERAL (SELECT p.unverified FROM factor p JOIN factor_pack k ON k.version = p.pack
                                  WHERE p.id = i.id ORDER BY k.loaded_at DESC LIMIT 1) p ON true
               WHERE i.id IS DISTINCT FROM o.id AND coalesce(p.unverified, (f.co2 ->> 'unverified')::boolean)) AS unverified
    FROM figure f
    LEFT JOIN LATERAL (
        SELECT p.id, p.value FROM jsonb_array_elements_text(f.co2 -> 'factors') WITH ORDINALITY AS i (id, n)
        JOIN power_factor p ON p.id = i.id ORDER BY i.n LIMIT 1
    ) o ON true
    CROSS JOIN (SELECT DISTINCT v.place FROM power_factor v WHERE v.place IS NOT NULL) v
    CROSS JOIN LATERAL (
        SELECT p.* FROM power_factor p WHERE p.place = v.place AND p.year <= business_year(f.starts)
        ORDER BY p.year DESC, p.number DESC LIMIT 1
    ) c
    WHERE c.value IS NOT NULL AND (o.id IS NOT NULL OR ((f.power ->> 'low', f.power ->> 'best', f.power ->> 'high') = ('0', '0', '0')) IS TRUE)
)
SELECT m.unit, m.line, m.kind AS window_kind, instant(m.starts) AS starts, instant(m.ends) AS ends, instant(m.as_of) AS as_of,
       m.place, m.region, m.view, m.factor, m.factor_year, m.unverified, m.factor IN (SELECT jsonb_array_elements_text(m.co2 -> 'factors')) AS is_told,
       scaled((m.co2 ->> 'low')::numeric + floor((m.power ->> 'low')::numeric * m.by)) AS low,
       scaled((m.co2 ->> 'best')::numeric + half_even((m.power ->> 'best')::numeric * m.by)) AS best,
       scaled((m.co2 ->> 'high')::numeric + ceil((m.power ->> 'high')::numeric * m.by)) AS high,
       scaled((m.co2 ->> 'share_measured')::numeric) AS share_measured,
       (SELECT string_agg('objection ' || o.id, ', ' ORDER BY o.id) FROM objection_log o
        WHERE o.unit = m.unit AND o.upheld IS NULL AND rests_on('co2', instant(m.starts), instant(m.ends), o.figure, o.starts, o.ends)) AS contested
FROM moved m;
COMMENT ON VIEW co2_by_view IS 't CO2. is_told: the view that the unit was told by.';
GRANT SELECT ON co2_by_view TO weir_worker, weir_reader, weir_regulator, weir_enterprise;
