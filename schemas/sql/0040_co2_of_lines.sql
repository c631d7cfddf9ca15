-- 0040: the four terms of CO2 of product lines, too, each with what it is converted by.

CREATE FUNCTION co2_names(unit_id integer, from_hour bigint, till_hour bigint) RETURNS TABLE (cell quantity, name text, unverified boolean)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
SELECT o.cell, x.name, o.unverified
FROM (SELECT c.*, lead(c.year) OVER (PARTITION BY c.cell ORDER BY c.year) AS to_year
      FROM cell_factor c WHERE c.unit = unit_id AND c.target = 'co2') o
CROSS JOIN LATERAL unnest(o.used) AS x (name)
WHERE o.year <= business_year($3 * 3600000 - 1) AND coalesce(o.to_year > business_year($2 * 3600000), true)
UNION ALL
SELECT k.cell, f.id, p.unverified
FROM factors_of(unit_id, $2, $3) f
JOIN factor p ON p.pack = pack_of(unit_id) AND p.id = f.id AND p.target = f.target
JOIN cells_of(unit_id) k ON k.quantity = f.quantity
WHERE f.target = 'co2' AND NOT EXISTS (SELECT FROM cell_factor c WHERE c.unit = unit_id AND c.cell = k.cell AND c.target = 'co2')
$$;

CREATE OR REPLACE FUNCTION co2_terms(unit text, from_at timestamptz, till timestamptz)
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
    IF is_gone('hours', greatest(from_ms, (SELECT min(valid_from) FROM point p WHERE p.unit = unit_id)), till_ms) THEN
        RAISE EXCEPTION 'no longer recomputable: hours of % to % were dropped', from_at, instant(till_ms)
            USING HINT = 'what was told of these windows is in figure_told', ERRCODE = 'no_data_found';
    END IF;
    RETURN QUERY
    WITH told AS (
        SELECT co2_term(k.quantity) AS term, sum(signed_end(c.sign, c.low, c.high)) AS low, sum(c.sign * c.best) AS best,
               sum(signed_end(c.sign, c.high, c.low)) AS high
        FROM converted_of(unit_id, from_ms / 3600000, till_ms / 3600000) c JOIN cells_of(unit_id) k USING (cell)
        WHERE c.target = 'co2' GROUP BY 1
    ), used AS (
        SELECT DISTINCT co2_term(k.quantity) AS term, n.name, n.unverified
        FROM co2_names(unit_id, from_ms / 3600000, till_ms / 3600000) n JOIN cells_of(unit_id) k USING (cell) WHERE k.sign <> 0
    )
    SELECT t.term, scaled(t.low), scaled(t.best), scaled(t.high), array_agg(DISTINCT u.name) FILTER (WHERE u.name IS NOT NULL),
           coalesce(bool_or(u.unverified), false)
    FROM told t LEFT JOIN used u USING (term) GROUP BY t.term, t.low, t.best, t.high
    UNION ALL
    SELECT 'opening', scaled(o.low), scaled(o.best), scaled(o.high), NULL, false
    FROM opening_of(unit_id, 'co2', from_ms, till_ms) o WHERE o.high IS NULL OR o.high <> 0 OR o.best <> 0
    ORDER BY 1;
END
$$;

CREATE FUNCTION co2_terms(unit text, line text, from_at timestamptz, till timestamptz)
RETURNS TABLE (term text, low numeric, best numeric, high numeric, factors text[], unverified boolean)
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
        RAISE EXCEPTION 'co2_terms() needs whole hours, not % to %', from_at, $4 USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF from_ms >= till_ms THEN
        RETURN;
    END IF;
    IF is_gone('hours', greatest(from_ms, (SELECT min(valid_from) FROM point p WHERE p.unit = unit_id)), till_ms) THEN
        RAISE EXCEPTION 'no longer recomputable: hours of % to % were dropped', from_at, instant(till_ms)
            USING HINT = 'what was told of these windows is in figure_told', ERRCODE = 'no_data_found';
    END IF;
    IF business_year(from_ms) <> business_year(till_ms - 1) THEN
        RAISE EXCEPTION 'co2_terms() of a line lie within one business year, not % to %', from_at, $4
            USING HINT = 'ask for each year apart', ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    WITH member AS (
        SELECT p.cell, co2_term(p.quantity) AS term, (m.sign * r.effect)::smallint AS sign, r.numerator, r.denominator, min(p.valid_from) AS begins
        FROM line_point m
        JOIN point p ON p.unit = m.unit AND p.number = m.point
        JOIN rates_of(unit_id, from_ms / 3600000, till_ms / 3600000) r ON r.cell = p.cell AND r.target = 'co2'
        WHERE m.unit = unit_id AND m.line = named GROUP BY p.cell, p.quantity, m.sign, r.effect, r.numerator, r.denominator
    ), side AS (
        SELECT m.term = 'process' AS emits, greatest(from_ms, min(l.begins)) < min(m.begins) AND min(m.begins) < till_ms AS lacks
        FROM member m JOIN line l ON l.unit = unit_id AND l.id = named GROUP BY 1
    ), part AS (
        SELECT m.term, m.sign, converted_down(n.low, m.numerator, m.denominator) AS low,
               converted(greatest(n.low, least(n.best_told + n.best_open, n.high)), m.numerator, m.denominator) AS best,
               converted_up(n.high, m.numerator, m.denominator) AS high, s.lacks
        FROM native_of(unit_id, from_ms / 3600000, till_ms / 3600000) n JOIN member m USING (cell)
        JOIN side s ON s.emits = (m.term = 'process')
    ), told AS (
        SELECT p.term, CASE WHEN p.lacks AND bool_or(p.sign < 0) THEN NULL ELSE sum(signed_end(p.sign, p.low, p.high)) END AS low,
               sum(p.sign * p.best) AS best, CASE WHEN p.lacks THEN NULL ELSE sum(signed_end(p.sign, p.high, p.low)) END AS high
        FROM part p GROUP BY p.term, p.lacks
    ), used AS (
        SELECT DISTINCT m.term, n.name, n.unverified FROM co2_names(unit_id, from_ms / 3600000, till_ms / 3600000) n JOIN member m USING (cell)
    )
    SELECT t.term, scaled(t.low), scaled(t.best), scaled(t.high), array_agg(DISTINCT u.name) FILTER (WHERE u.name IS NOT NULL),
           coalesce(bool_or(u.unverified), false)
    FROM told t LEFT JOIN used u USING (term) GROUP BY t.term, t.low, t.best, t.high
    ORDER BY 1;
END
$$;
COMMENT ON FUNCTION co2_terms(text, text, timestamptz, timestamptz) IS
'CO2 (t) of a product line over whole hours of one business year by its terms: fuel, electricity, heat, process. NULL: not known.';
REVOKE EXECUTE ON FUNCTION co2_terms(text, text, timestamptz, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION co2_terms(text, text, timestamptz, timestamptz) TO weir_worker, weir_reader, weir_regulator, weir_enterprise;
