-- 0037: CO2 complete. Heat is a carrier; own generation has no CO2; products and materials emit by process factors; a unit's own
-- fuel has its own heat value. Cells that are converted otherwise than their quantity have rows of their own (RULES.md, section 13).

ALTER TABLE opening DROP CONSTRAINT opening_quantity_check, ADD CHECK
    (quantity IN ('electricity', 'raw_coal', 'heat', 'output', 'material', 'energy', 'co2', 'process'));

CREATE TABLE cell_factor (
    unit        integer  NOT NULL REFERENCES unit,
    cell        quantity NOT NULL,
    target      text     NOT NULL CHECK (target IN ('energy', 'co2')),
    year        integer  NOT NULL,
    numerator   bigint   NOT NULL,
    denominator bigint   NOT NULL,
    effect      smallint NOT NULL CHECK (effect BETWEEN -1 AND 1),
    used        text[]   NOT NULL,
    unverified  boolean  NOT NULL,
    version     integer  NOT NULL REFERENCES configuration,
    PRIMARY KEY (unit, cell, target, year)
);
COMMENT ON TABLE cell_factor IS 'What converts a cell otherwise than its quantity''s factor, from a year on until the next row''s.';
COMMENT ON COLUMN cell_factor.effect IS '-1: what a product fixes; 0: it is none of the target.';
COMMENT ON COLUMN cell_factor.used IS 'The factors and heat values that it is made of.';
GRANT SELECT, INSERT, UPDATE, DELETE ON cell_factor TO weir_worker;

-- Packs stored before heat was metered convert it as the engine does: by the shipped factors of then.
INSERT INTO factor (pack, id, quantity, target, year, numerator, denominator, unverified, body)
SELECT p.version, n.id, 'heat', n.target, 2000, n.numerator, n.denominator, n.status = 'unverified',
       jsonb_build_object('id', n.id, 'quantity', 'heat', 'target', n.target, 'view', n.view, 'year', 2000, 'unit', n.unit,
                          'value', n.value, 'fuel', NULL, 'source', n.source, 'status', n.status, 'published_on', NULL)
FROM factor_pack p
CROSS JOIN (VALUES
    ('heat.energy.equivalent', 'energy', 853, 25000, 'equivalent value (当量值)', 'kgce/MJ', '0.03412',
     'public design document that cites GB/T 2589; public defaults (code)', 'sourced'),
    ('heat.co2.default', 'co2', 11, 100, 'sector guides', 'tCO2/GJ', '0.11', 'sector guides', 'unverified')
) AS n (id, target, numerator, denominator, view, unit, value, source, status)
WHERE NOT EXISTS (SELECT FROM factor f WHERE f.pack = p.version AND f.quantity = 'heat');

-- What converts each cell of a unit, and the hours of [from_hour, till_hour) that it holds for. effect: as in cell_factor.
CREATE FUNCTION rates_of(unit_id integer, from_hour bigint, till_hour bigint)
RETURNS TABLE (cell quantity, target text, numerator bigint, denominator bigint, effect smallint, from_hour bigint, till_hour bigint)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
SELECT k.cell, f.target, f.numerator, f.denominator, 1::smallint, f.from_hour, f.till_hour
FROM factors_of(unit_id, $2, $3) f JOIN cells_of(unit_id) k ON k.quantity = f.quantity
WHERE NOT EXISTS (SELECT FROM cell_factor c WHERE c.unit = unit_id AND c.cell = k.cell AND c.target = f.target)
UNION ALL
SELECT o.cell, o.target, o.numerator, o.denominator, o.effect, greatest($2, o.begins), least($3, o.ends)
FROM (SELECT c.*, begin_of_year(c.year) / 3600000 AS begins,
             lead(begin_of_year(c.year) / 3600000) OVER (PARTITION BY c.cell, c.target ORDER BY c.year) AS ends
      FROM cell_factor c WHERE c.unit = unit_id) o
WHERE o.begins < $3 AND (o.ends IS NULL OR o.ends > $2)
$$;

CREATE OR REPLACE FUNCTION converted_of(unit_id integer, from_hour bigint, till_hour bigint)
RETURNS TABLE (target text, cell quantity, sign smallint, low numeric, best numeric, high numeric)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
WITH span AS (
    SELECT f.target, n.cell, (k.sign * f.effect)::smallint AS sign, f.numerator, f.denominator, f.from_hour, f.till_hour,
           n.low, n.best_open, n.high, least(greatest(coalesce(n.open_hour, f.till_hour), f.from_hour), f.till_hour) AS settled
    FROM rates_of(unit_id, $2, $3) f
    CROSS JOIN LATERAL native_of(unit_id, f.from_hour, f.till_hour) n
    JOIN cells_of(unit_id) k ON k.cell = n.cell
    WHERE n.cell = f.cell
), counted AS (
    SELECT s.*, e.best, e.exact, e.rounded, e.inexact + s.till_hour - s.settled AS inexact
    FROM span s
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(converted(h.best, s.numerator, s.denominator)), 0) AS best,
               coalesce(sum(h.best) FILTER (WHERE is_exact), 0) AS exact,
               coalesce(sum(converted(h.best, s.numerator, s.denominator)) FILTER (WHERE is_exact), 0) AS rounded,
               count(*) FILTER (WHERE h.inexact > 0 AND h.hour < s.settled) AS inexact
        FROM hour h
        CROSS JOIN LATERAL (SELECT h.inexact = 0 AND h.hour < s.settled AS is_exact) x
        WHERE h.unit = unit_id AND h.quantity = s.cell AND h.hour >= s.from_hour AND h.hour < s.till_hour
    ) e
), bounded AS (
    SELECT c.target, c.cell, c.sign, c.best + converted(c.best_open, c.numerator, c.denominator) AS best,
           greatest(0, c.rounded + converted_down(c.low - c.exact, c.numerator, c.denominator) - c.inexact) AS low,
           c.rounded + converted_up(c.high - c.exact, c.numerator, c.denominator) + c.inexact AS high
    FROM counted c
)
SELECT b.target, b.cell, b.sign, sum(b.low), greatest(sum(b.low), least(sum(b.best), sum(b.high))), sum(b.high)
FROM bounded b GROUP BY b.target, b.cell, b.sign
$$;

-- Which of the four terms of CO2 a quantity is of.
CREATE FUNCTION co2_term(quantity quantity) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT CASE WHEN quantity IN ('electricity', 'heat') THEN quantity::text WHEN quantity IN ('output', 'material') THEN 'process' ELSE 'fuel' END $$;

CREATE OR REPLACE FUNCTION figures_of_hours(unit text, from_at timestamptz, till timestamptz)
RETURNS TABLE (quantity text, unit_of_measure text, low numeric, best numeric, high numeric, share_measured numeric)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = public, pg_temp
SET plan_cache_mode = force_custom_plan
SET work_mem = '64MB'
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    asked ALIAS FOR $1;
    unit_id integer := (SELECT id FROM unit WHERE code = asked);
    from_ms bigint := ms_of(from_at);
    till_ms bigint := ms_of($3);
BEGIN
    IF from_ms % 3600000 <> 0 OR till_ms % 3600000 <> 0 THEN
        RAISE EXCEPTION 'figures() needs whole hours, not % to %', from_at, $3
            USING HINT = 'quarter_hours() answers for shorter times', ERRCODE = 'invalid_parameter_value';
    END IF;
    IF from_ms >= till_ms THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH expected AS (
        SELECT p.cell, p.quantity, p.sign, min(p.unit_of_measure) AS unit_of_measure,
               sum(greatest(0, least(till_ms, p.valid_to) - greatest(from_ms, p.valid_from))) AS time
        FROM point p WHERE p.unit = unit_id GROUP BY p.cell, p.quantity, p.sign
    ), native AS MATERIALIZED (
        SELECT e.quantity, e.sign, e.unit_of_measure, e.cell, n.low, greatest(n.low, least(n.best_told + n.best_open, n.high)) AS best, n.high,
               n.measured, e.time
        FROM native_of(unit_id, from_ms / 3600000, till_ms / 3600000) n JOIN expected e USING (cell)
    ), told AS MATERIALIZED (
        SELECT c.target, c.sign, c.low, c.best, c.high, n.measured, n.time, n.quantity, n.sign AS counted, n.low AS native_low,
               n.best AS native_best, n.high AS native_high, c.cell
        FROM converted_of(unit_id, from_ms / 3600000, till_ms / 3600000) c JOIN native n USING (cell)
    ), part AS (
        SELECT n.quantity::text AS quantity, n.unit_of_measure, n.sign, n.low, n.best, n.high, n.measured, n.time FROM native n
        UNION ALL
        SELECT t.target, CASE t.target WHEN 'energy' THEN 'tce' ELSE 't' END, t.sign, t.low, t.best, t.high, t.measured, t.time FROM told t
        UNION ALL
        SELECT 'process', 't', t.sign, t.low, t.best, t.high, t.measured, t.time FROM told t WHERE co2_term(t.quantity) = 'process'
        UNION ALL  -- of a unit that generates electricity itself: without that
        SELECT 'purchased', 'kWh', (t.counted * abs(t.sign))::smallint, t.native_low, t.native_best, t.native_high, t.measured, t.time
        FROM told t WHERE t.target = 'co2' AND t.quantity = 'electricity' AND EXISTS (SELECT FROM told s JOIN cell_factor c ON c.unit = unit_id
            AND c.target = 'co2' AND c.effect = 0 AND c.cell = s.cell WHERE s.quantity = 'electricity')
    ), figure AS (
        SELECT p.quantity, min(p.unit_of_measure) AS unit_of_measure, sum(signed_end(p.sign, p.low, p.high)) AS low, sum(p.sign * p.best) AS best,
               sum(signed_end(p.sign, p.high, p.low)) AS high, sum(abs(p.sign) * p.measured) AS measured, sum(abs(p.sign) * p.time) AS time
        FROM part p GROUP BY p.quantity
    )
    SELECT f.quantity, f.unit_of_measure, scaled(f.low + o.low), scaled(f.best + o.best), scaled(f.high + o.high),
           scaled(coalesce(div(1000000 * f.measured, nullif(f.time, 0)), 0))
    FROM figure f CROSS JOIN LATERAL opening_of(unit_id, f.quantity, from_ms, till_ms) o
    ORDER BY array_position(ARRAY['electricity', 'raw_coal', 'heat', 'output', 'material', 'energy', 'co2', 'process', 'purchased'], f.quantity);
END
$$;

CREATE OR REPLACE FUNCTION figures(unit text, line text, from_at timestamptz, till timestamptz)
RETURNS TABLE (quantity text, unit_of_measure text, low numeric, best numeric, high numeric, share_measured numeric)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = public, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    asked ALIAS FOR $1;
    named ALIAS FOR $2;
    unit_id integer := (SELECT id FROM unit WHERE code = asked);
    from_ms bigint := ms_of(from_at);
    till_ms bigint := ms_of($4);
BEGIN
    IF from_ms % 3600000 <> 0 OR till_ms % 3600000 <> 0 THEN
        RAISE EXCEPTION 'figures() needs whole hours, not % to %', from_at, $4 USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF from_ms >= till_ms THEN
        RETURN;
    END IF;
    IF business_year(from_ms) <> business_year(till_ms - 1) THEN
        RAISE EXCEPTION 'figures() of a line lie within one business year, not % to %', from_at, $4
            USING HINT = 'ask for each year apart', ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    WITH rate AS MATERIALIZED (
        SELECT * FROM rates_of(unit_id, from_ms / 3600000, till_ms / 3600000)
    ), member AS (
        SELECT p.cell, p.quantity, m.sign, min(p.valid_from) AS begins,
               sum(greatest(0, least(till_ms, p.valid_to) - greatest(from_ms, p.valid_from))) AS time
        FROM line_point m JOIN point p ON p.unit = m.unit AND p.number = m.point
        WHERE m.unit = unit_id AND m.line = named GROUP BY p.cell, p.quantity, m.sign
    ), native AS MATERIALIZED (  -- an output that emits is of two sides
        SELECT m.*, s.side, n.low, greatest(n.low, least(n.best_told + n.best_open, n.high)) AS best, n.high, n.measured
        FROM native_of(unit_id, from_ms / 3600000, till_ms / 3600000) n JOIN member m USING (cell)
        CROSS JOIN LATERAL (VALUES
            ('takes', m.quantity NOT IN ('output', 'material')), ('makes', m.quantity = 'output'),
            ('emits', co2_term(m.quantity) = 'process' AND EXISTS (SELECT FROM rate r WHERE r.cell = m.cell AND r.target = 'co2'))
        ) AS s (side, is_one) WHERE s.is_one
    ), side AS (
        SELECT n.side, sum(n.measured) AS measured, sum(n.time) AS time,
               greatest(from_ms, min(l.begins)) < min(n.begins) AND min(n.begins) < till_ms AS lacks
        FROM native n JOIN line l ON l.unit = unit_id AND l.id = named GROUP BY n.side
    ), part AS (
        SELECT n.quantity::text AS name, n.side, n.sign, n.low, n.best, n.high, n.measured, n.time FROM native n WHERE n.side <> 'emits'
        UNION ALL
        SELECT t.name, n.side, (n.sign * r.effect)::smallint, converted_down(n.low, r.numerator, r.denominator),
               converted(n.best, r.numerator, r.denominator), converted_up(n.high, r.numerator, r.denominator), n.measured, n.time
        FROM native n JOIN rate r USING (cell)
        CROSS JOIN LATERAL (SELECT r.target UNION ALL SELECT 'process' WHERE n.side = 'emits') AS t (name)
        WHERE n.side <> 'makes'
        UNION ALL
        SELECT 'purchased', n.side, (n.sign * abs(r.effect))::smallint, n.low, n.best, n.high, n.measured, n.time
        FROM native n JOIN rate r USING (cell)
        WHERE r.target = 'co2' AND n.quantity = 'electricity' AND n.side = 'takes'
          AND EXISTS (SELECT FROM native o JOIN rate s USING (cell) WHERE s.target = 'co2' AND s.effect = 0 AND o.quantity = 'electricity')
    ), amount AS (
        SELECT p.name, CASE WHEN s.lacks AND bool_or(p.sign < 0) THEN NULL ELSE sum(signed_end(p.sign, p.low, p.high)) END AS low,
               sum(p.sign * p.best) AS best, CASE WHEN s.lacks THEN NULL ELSE sum(signed_end(p.sign, p.high, p.low)) END AS high,
               CASE WHEN p.name IN ('co2', 'purchased') THEN sum(abs(p.sign) * p.measured) ELSE min(s.measured) END AS measured,
               CASE WHEN p.name IN ('co2', 'purchased') THEN sum(abs(p.sign) * p.time) ELSE min(s.time) END AS time
        FROM part p JOIN side s USING (side) GROUP BY p.name, p.side, s.lacks
    ), figure AS (
        SELECT a.name, CASE WHEN bool_and(a.low IS NOT NULL) THEN sum(a.low) END AS low, sum(a.best) AS best,
               CASE WHEN bool_and(a.high IS NOT NULL) THEN sum(a.high) END AS high,
               scaled(coalesce(div(1000000 * sum(a.measured), nullif(sum(a.time), 0)), 0)) AS share
        FROM amount a GROUP BY a.name
    ), quotient AS (
        SELECT CASE WHEN o.high <= 0 THEN NULL
                    WHEN e.low >= 0 THEN coalesce(converted_down(e.low, 1000000000, o.high::bigint), 0)
                    WHEN o.low > 0 THEN converted_down(e.low, 1000000000, o.low::bigint) END AS low,
               CASE WHEN o.best > 0 AND coalesce(o.high > 0, true)
                    THEN sign(e.best) * converted(abs(e.best), 1000000000, o.best::bigint) END AS best,
               CASE WHEN o.low > 0 AND e.high > 0 THEN converted_up(e.high, 1000000000, o.low::bigint)
                    WHEN o.low > 0 AND e.high <= 0 THEN coalesce(converted_up(e.high, 1000000000, o.high::bigint), 0) END AS high
        FROM figure e CROSS JOIN figure o WHERE e.name = 'energy' AND o.name = 'output'
    )
    SELECT f.name, CASE f.name WHEN 'electricity' THEN 'kWh' WHEN 'purchased' THEN 'kWh' WHEN 'heat' THEN 'GJ' WHEN 'energy' THEN 'tce' ELSE 't' END,
           scaled(f.low), scaled(f.best), scaled(f.high), f.share
    FROM figure f
    UNION ALL
    SELECT 'intensity', 'kgce/t', scaled(q.low),
           CASE WHEN q.best IS NOT NULL THEN scaled(greatest(q.low, least(q.best, q.high))) END, scaled(q.high), NULL FROM quotient q
    ORDER BY 1;
END
$$;

-- ---- The four terms of CO2

CREATE FUNCTION co2_terms(unit text, from_at timestamptz, till timestamptz)
RETURNS TABLE (term text, low numeric, best numeric, high numeric, factors text[], unverified boolean)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = public, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    asked ALIAS FOR $1;
    unit_id integer := (SELECT id FROM unit WHERE code = asked);
    from_ms bigint := ms_of(from_at);
    till_ms bigint := ms_of($3);
BEGIN
    IF from_ms % 3600000 <> 0 OR till_ms % 3600000 <> 0 THEN
        RAISE EXCEPTION 'co2_terms() needs whole hours, not % to %', from_at, $3 USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF from_ms >= till_ms THEN
        RETURN;
    END IF;
    RETURN QUERY
    WITH told AS (
        SELECT co2_term(k.quantity) AS term, sum(signed_end(c.sign, c.low, c.high)) AS low, sum(c.sign * c.best) AS best,
               sum(signed_end(c.sign, c.high, c.low)) AS high
        FROM converted_of(unit_id, from_ms / 3600000, till_ms / 3600000) c JOIN cells_of(unit_id) k USING (cell)
        WHERE c.target = 'co2' GROUP BY 1
    ), used AS (
        SELECT co2_term(k.quantity) AS term, n.name, n.unverified
        FROM cells_of(unit_id) k
        JOIN (SELECT c.cell, c.used, c.unverified, c.year AS from_year, lead(c.year) OVER (PARTITION BY c.cell ORDER BY c.year) AS to_year
              FROM cell_factor c WHERE c.unit = unit_id AND c.target = 'co2') o
          ON o.cell = k.cell AND o.from_year <= business_year(till_ms - 1) AND coalesce(o.to_year > business_year(from_ms), true)
        CROSS JOIN LATERAL (SELECT x.name, o.unverified FROM unnest(o.used) AS x (name)) n
        UNION
        SELECT co2_term(f.quantity), f.id, p.unverified
        FROM factors_of(unit_id, from_ms / 3600000, till_ms / 3600000) f
        JOIN factor p ON p.pack = pack_of(unit_id) AND p.id = f.id AND p.target = f.target
        WHERE f.target = 'co2' AND EXISTS (SELECT FROM cells_of(unit_id) k WHERE k.quantity = f.quantity
            AND NOT EXISTS (SELECT FROM cell_factor c WHERE c.unit = unit_id AND c.cell = k.cell AND c.target = 'co2'))
    )
    SELECT t.term, scaled(t.low), scaled(t.best), scaled(t.high), array_agg(u.name ORDER BY u.name) FILTER (WHERE u.name IS NOT NULL),
           coalesce(bool_or(u.unverified), false)
    FROM told t LEFT JOIN used u USING (term) GROUP BY t.term, t.low, t.best, t.high
    UNION ALL
    SELECT 'opening', scaled(o.low), scaled(o.best), scaled(o.high), NULL, false
    FROM opening_of(unit_id, 'co2', from_ms, till_ms) o WHERE o.high IS NULL OR o.high <> 0 OR o.best <> 0
    ORDER BY 1;
END
$$;
COMMENT ON FUNCTION co2_terms(text, timestamptz, timestamptz) IS
'CO2 (t) of a unit over whole hours by its terms: fuel, electricity and heat (what is bought less what is sold), process; opening: declared for the time before its points. They sum to co2 of figures().';

REVOKE EXECUTE ON FUNCTION co2_terms(text, timestamptz, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION co2_terms(text, timestamptz, timestamptz) TO weir_worker, weir_reader, weir_regulator, weir_enterprise;

-- As 0025: what a figure is made of; process emissions of products and materials.
CREATE OR REPLACE FUNCTION rests_on(figure text, starts timestamptz, ends timestamptz, contested text, from_at timestamptz, till timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT $2 <= $5 AND $3 >= $6 AND ($1 = $4
    OR $1 = 'energy' AND $4 IN ('electricity', 'raw_coal', 'heat')
    OR $1 = 'co2' AND $4 NOT IN ('energy', 'co2', 'output')
    OR $1 = 'process' AND $4 IN ('output', 'material')
    OR $1 = 'purchased' AND $4 = 'electricity')
$$;

-- What converts a unit's amounts: of its pack what its points are converted by, then what is its own.
DROP FUNCTION unit_factors(text);
CREATE FUNCTION unit_factors(unit text)
RETURNS TABLE (id text, quantity text, target text, year integer, view text, value text, unit_of_measure text, source text, status text)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
SELECT f.id, f.quantity::text, f.target, f.year, f.body ->> 'view',
       coalesce(f.body ->> 'value', format('%s GJ/t · %s tC/TJ / 1000 · %s · 44/12', f.body #>> '{fuel,ncv_gj_per_t}',
                                           f.body #>> '{fuel,carbon_tc_per_tj}', f.body #>> '{fuel,oxidation}')),
       f.body ->> 'unit', f.body ->> 'source', f.body ->> 'status'
FROM unit u JOIN factor f ON f.pack = pack_of(u.id)
WHERE u.code = $1 AND (f.quantity <> 'process' OR EXISTS (SELECT FROM cell_factor c WHERE c.unit = u.id AND f.id = ANY (c.used)))
UNION ALL
SELECT DISTINCT ON (n.name, c.target, c.year) n.name, k.quantity::text, c.target, c.year, 'declared by the unit',
       CASE WHEN c.effect < 0 THEN '-' ELSE '' END || round(c.numerator::numeric / c.denominator, 8)::text,
       't/' || CASE k.quantity WHEN 'electricity' THEN 'kWh' WHEN 'heat' THEN 'GJ' ELSE 't' END,
       'registry, configuration ' || c.version, CASE WHEN c.unverified THEN 'unverified' ELSE 'sourced' END
FROM unit u
JOIN cell_factor c ON c.unit = u.id
JOIN LATERAL cells_of(u.id) k ON k.cell = c.cell
CROSS JOIN LATERAL unnest(c.used) AS n (name)
WHERE u.code = $1 AND NOT EXISTS (SELECT FROM factor f WHERE f.pack = pack_of(u.id) AND f.id = n.name)
ORDER BY 3 DESC, 2, 4
$$;
COMMENT ON FUNCTION unit_factors IS 'value: of a fuel the product of its heat value, carbon content and oxidation.';
REVOKE ALL ON FUNCTION unit_factors FROM PUBLIC;
GRANT EXECUTE ON FUNCTION unit_factors TO weir_worker, weir_reader, weir_regulator, weir_enterprise;
