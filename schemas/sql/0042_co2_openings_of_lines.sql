-- 0042: what a product line declares for the time before its points is in the terms of its CO2, as it is in figures().

CREATE OR REPLACE FUNCTION co2_terms(unit text, line text, from_at timestamptz, till timestamptz)
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
    ), declared AS (  -- as in figures(): one more cell of what is bought, and its side lacks nothing
        SELECT o.quantity, o.low::numeric AS low, o.best::numeric AS best, o.high::numeric AS high
        FROM line_opening o JOIN side s ON NOT s.emits AND s.lacks
        WHERE o.unit = unit_id AND o.line = named AND o.quantity <> 'output' AND begin_of_year(o.year) = from_ms
    ), bought AS (
        SELECT DISTINCT ON (b.quantity) b.*
        FROM (SELECT k.quantity, r.numerator, r.denominator, 1 AS place
              FROM rates_of(unit_id, from_ms / 3600000, till_ms / 3600000) r JOIN cells_of(unit_id) k USING (cell)
              WHERE r.target = 'co2' AND r.effect > 0 AND co2_term(k.quantity) <> 'process'
              UNION ALL
              SELECT f.quantity, f.numerator, f.denominator, 2 FROM factors_of(unit_id, from_ms / 3600000, till_ms / 3600000) f WHERE f.target = 'co2') b
        ORDER BY b.quantity, b.place
    ), part AS (
        SELECT co2_term(d.quantity) AS term, 1::smallint AS sign, converted_down(d.low, b.numerator, b.denominator) AS low,
               converted(d.best, b.numerator, b.denominator) AS best, converted_up(d.high, b.numerator, b.denominator) AS high, false AS lacks
        FROM declared d JOIN bought b USING (quantity)
        UNION ALL
        SELECT m.term, m.sign, converted_down(n.low, m.numerator, m.denominator),
               converted(greatest(n.low, least(n.best_told + n.best_open, n.high)), m.numerator, m.denominator),
               converted_up(n.high, m.numerator, m.denominator), s.lacks AND (s.emits OR NOT EXISTS (SELECT FROM declared))
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
