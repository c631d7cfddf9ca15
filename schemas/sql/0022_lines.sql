-- 0022: product lines. Points of a unit and quantity that count alike are a cell, named in `hour.quantity`: `electricity`
-- counts once, for the unit alone; `electricity.1` and so on otherwise (schemas/cells.py). Units without lines have the rows they had.

DO $$
BEGIN
    FOR number IN 1..32 LOOP
        EXECUTE format('ALTER TYPE quantity ADD VALUE %L', 'electricity.' || number);
        EXECUTE format('ALTER TYPE quantity ADD VALUE %L', 'raw_coal.' || number);
        EXECUTE format('ALTER TYPE quantity ADD VALUE %L', 'output.' || number);
    END LOOP;
END
$$;

ALTER TABLE point ADD COLUMN sign smallint NOT NULL DEFAULT 1 CHECK (sign BETWEEN -1 AND 1), ADD COLUMN cell quantity;
UPDATE point SET cell = quantity;
ALTER TABLE point ALTER COLUMN cell SET NOT NULL;
COMMENT ON COLUMN point.sign IS 'How it counts for the unit: 1 once, 0 not at all, -1 given away.';
COMMENT ON COLUMN point.cell IS 'Its hours are rows of `hour` of this name, summed with those of the other points of the cell.';

CREATE TABLE line (
    unit       integer NOT NULL REFERENCES unit,
    id         text    NOT NULL,
    number     smallint NOT NULL,
    name       text    NOT NULL,
    indicators text[]  NOT NULL,
    parameters jsonb   NOT NULL,
    evidence   text    NOT NULL,
    begins     bigint,
    version    integer NOT NULL REFERENCES configuration,
    PRIMARY KEY (unit, id)
);
COMMENT ON TABLE line IS 'Product lines of units, in force.';
CREATE TABLE line_point (
    unit  integer  NOT NULL,
    line  text     NOT NULL,
    point smallint NOT NULL,
    sign  smallint NOT NULL CHECK (sign IN (-1, 1)),
    PRIMARY KEY (unit, line, point),
    FOREIGN KEY (unit, line) REFERENCES line ON DELETE CASCADE,
    FOREIGN KEY (unit, point) REFERENCES point
);

-- A day, month or year of a line as last told; judged is the JSON of schemas/indicator.LineJudged.
CREATE TABLE line_window (
    unit     integer NOT NULL,
    line     text    NOT NULL,
    kind     text    NOT NULL,
    starts   bigint  NOT NULL,
    ends     bigint  NOT NULL,
    as_of    bigint  NOT NULL,
    "offset" bigint  NOT NULL,
    position integer NOT NULL,
    judged   jsonb   NOT NULL,
    PRIMARY KEY (unit, line, kind, starts)
) WITH (fillfactor = 60,
        autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
GRANT SELECT, INSERT, UPDATE, DELETE ON line, line_point TO weir_worker;
GRANT SELECT, INSERT, UPDATE ON line_window TO weir_worker;

-- ---- Figures over whole hours, by cell

DROP FUNCTION open_ends_of(integer, bigint, bigint);
DROP FUNCTION native_of(integer, bigint, bigint);
DROP FUNCTION converted_of(integer, bigint, bigint);

CREATE FUNCTION cells_of(unit_id integer) RETURNS TABLE (cell quantity, quantity quantity, sign smallint)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT DISTINCT p.cell, p.quantity, p.sign FROM point p WHERE p.unit = unit_id $$;

CREATE FUNCTION signed_end(sign smallint, mine numeric, other numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT CASE sign WHEN 1 THEN mine WHEN -1 THEN -other ELSE 0 END $$;
COMMENT ON FUNCTION signed_end IS 'One end of an interval with a sign: of what is given away the other end counts.';

-- What the open ends of a unit's points put into [from, till), and since which hour nothing is exact.
CREATE FUNCTION open_ends_of(unit_id integer, from_ms bigint, till_ms bigint)
RETURNS TABLE (cell quantity, best numeric, high numeric, open_hour bigint)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
SELECT e.cell,
       coalesce(sum(guessed(e.profile, e.rated, greatest(e.ends, from_ms), least(till_ms, e.valid_to)))
                FILTER (WHERE greatest(e.ends, from_ms) < least(till_ms, e.valid_to)), 0),
       coalesce(sum(allowed(e.rated, greatest(e.ends, from_ms), least(till_ms, e.valid_to)))
                FILTER (WHERE greatest(e.ends, from_ms) < least(till_ms, e.valid_to)), 0),
       min(floored(e.ends, 3600000) / 3600000) FILTER (WHERE e.ends < coalesce(e.valid_to, till_ms))
FROM (SELECT p.cell, p.profile, p.rated, p.valid_to, coalesce(s.ends[p.number + 1], p.valid_from) AS ends
      FROM point p LEFT JOIN unit_state s ON s.unit = p.unit WHERE p.unit = unit_id) e
GROUP BY e.cell
$$;

-- Native amounts of every cell of a unit over the whole hours [from_hour, till_hour), without opening.
-- best_told: of everything but open ends.
CREATE FUNCTION native_of(unit_id integer, from_hour bigint, till_hour bigint)
RETURNS TABLE (cell quantity, low numeric, best_told numeric, best_open numeric, high numeric, open_hour bigint, measured numeric)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
WITH inside AS (
    SELECT h.quantity AS cell, sum(h.best) AS best, sum(h.best - h.unknown_best) AS known,
           sum(h.unknown_high) AS unknown_high, sum(h.measured_ms) AS measured
    FROM hour h WHERE h.unit = unit_id AND h.hour >= from_hour AND h.hour < till_hour GROUP BY h.quantity
), edge AS (  -- pieces of at most an hour that cross one of the window's edges
    SELECT h.quantity AS cell,
           sum(CASE WHEN h.hour = from_hour THEN h.after_low ELSE h.before_low END) AS low,
           sum(CASE WHEN h.hour = from_hour THEN h.after_high ELSE h.before_high END) AS high
    FROM hour h WHERE h.unit = unit_id AND h.hour IN (from_hour, till_hour) AND from_hour < till_hour GROUP BY h.quantity
), cut AS (  -- the others: their bounds in the window, less the best that is in the hours
    SELECT p.cell, g.low, g.high, p.rated, g.starts AS a, g.ends AS b,
           greatest(g.starts, from_hour * 3600000) AS x, least(g.ends, till_hour * 3600000) AS y
    FROM gap g JOIN point p ON p.unit = g.unit AND p.number = g.point
    WHERE g.unit = unit_id AND g.kind = 'known'
      AND g.starts < till_hour * 3600000 AND g.ends > from_hour * 3600000
), wide AS (
    SELECT c.cell,
           sum(low_of_part(c.low, c.rated, c.a, c.b, c.x, c.y) - spread(c.low, c.a, c.b, c.y) + spread(c.low, c.a, c.b, c.x)) AS low,
           sum(high_of_part(c.high, c.rated, c.a, c.b, c.x, c.y) - spread(c.low, c.a, c.b, c.y) + spread(c.low, c.a, c.b, c.x)) AS high
    FROM cut c GROUP BY c.cell
)
SELECT o.cell,
       coalesce(i.known, 0) + coalesce(e.low, 0) + coalesce(w.low, 0),
       coalesce(i.best, 0),
       o.best,
       coalesce(i.known, 0) + coalesce(i.unknown_high, 0) + coalesce(e.high, 0) + coalesce(w.high, 0) + o.high,
       o.open_hour,
       coalesce(i.measured, 0)
FROM open_ends_of(unit_id, from_hour * 3600000, till_hour * 3600000) o
LEFT JOIN inside i USING (cell) LEFT JOIN edge e USING (cell) LEFT JOIN wide w USING (cell)
$$;

-- Energy and CO2 of every cell of a unit (RULES.md, section 5), without opening; sign: how it counts for the unit.
CREATE FUNCTION converted_of(unit_id integer, from_hour bigint, till_hour bigint)
RETURNS TABLE (target text, cell quantity, sign smallint, low numeric, best numeric, high numeric)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
WITH span AS (
    SELECT f.target, n.cell, k.sign, f.numerator, f.denominator, f.from_hour, f.till_hour,
           n.low, n.best_open, n.high, least(greatest(coalesce(n.open_hour, f.till_hour), f.from_hour), f.till_hour) AS settled
    FROM factors_of(unit_id, $2, $3) f
    CROSS JOIN LATERAL native_of(unit_id, f.from_hour, f.till_hour) n
    JOIN cells_of(unit_id) k ON k.cell = n.cell AND k.quantity = f.quantity
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
               abs(e.sign) * n.measured AS measured, abs(e.sign) * e.time AS time
        FROM native_of(unit_id, from_ms / 3600000, till_ms / 3600000) n JOIN expected e USING (cell)
    ), figure AS (
        SELECT n.quantity::text AS quantity, min(n.unit_of_measure) AS unit_of_measure, sum(signed_end(n.sign, n.low, n.high)) AS low,
               sum(n.sign * n.best) AS best, sum(signed_end(n.sign, n.high, n.low)) AS high, sum(n.measured) AS measured, sum(n.time) AS time
        FROM native n GROUP BY n.quantity
        UNION ALL
        SELECT c.target, CASE c.target WHEN 'energy' THEN 'tce' ELSE 't' END, sum(signed_end(c.sign, c.low, c.high)),
               sum(c.sign * c.best), sum(signed_end(c.sign, c.high, c.low)), sum(n.measured), sum(n.time)
        FROM converted_of(unit_id, from_ms / 3600000, till_ms / 3600000) c JOIN native n USING (cell)
        GROUP BY c.target
    )
    SELECT f.quantity, f.unit_of_measure, scaled(f.low + o.low), scaled(f.best + o.best), scaled(f.high + o.high),
           scaled(coalesce(div(1000000 * f.measured, nullif(f.time, 0)), 0))
    FROM figure f CROSS JOIN LATERAL opening_of(unit_id, f.quantity, from_ms, till_ms) o
    ORDER BY array_position(ARRAY['electricity', 'raw_coal', 'output', 'energy', 'co2'], f.quantity);
END
$$;

CREATE OR REPLACE FUNCTION energy_by_hour(unit text, from_at timestamptz, till timestamptz)
RETURNS TABLE (starts timestamptz, low numeric, best numeric, high numeric, share_measured numeric)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = public, pg_temp
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    asked ALIAS FOR $1;
    unit_id integer := (SELECT id FROM unit WHERE code = asked);
    first_hour bigint := floored(ms_of(from_at), 3600000) / 3600000;
    last_ms bigint := (SELECT least(ms_of($3), last_tick) FROM unit_state WHERE unit_state.unit = unit_id AND last_tick IS NOT NULL);
BEGIN
    RETURN QUERY
    SELECT instant(h.hour * 3600000), scaled(e.low + o.low), scaled(e.best + o.best), scaled(e.high + o.high),
           scaled(coalesce(div(1000000 * m.measured, nullif(m.expected, 0)), 0))
    FROM generate_series(first_hour, floored(last_ms, 3600000) / 3600000 - 1) AS h (hour)
    CROSS JOIN LATERAL (
        SELECT sum(signed_end(c.sign, c.low, c.high)) AS low, sum(c.sign * c.best) AS best, sum(signed_end(c.sign, c.high, c.low)) AS high,
               array_agg(c.cell) FILTER (WHERE c.sign <> 0) AS cells
        FROM converted_of(unit_id, h.hour, h.hour + 1) c WHERE c.target = 'energy'
    ) e
    CROSS JOIN LATERAL (
        SELECT sum(greatest(0, least(h.hour * 3600000 + 3600000, p.valid_to) - greatest(h.hour * 3600000, p.valid_from))) AS expected,
               (SELECT coalesce(sum(measured_ms), 0) FROM hour k
                WHERE k.unit = unit_id AND k.hour = h.hour AND k.quantity = ANY (e.cells)) AS measured
        FROM point p WHERE p.unit = unit_id AND p.cell = ANY (e.cells)
    ) m
    CROSS JOIN LATERAL opening_of(unit_id, 'energy', h.hour * 3600000, h.hour * 3600000 + 3600000) o
    WHERE m.expected > 0
    ORDER BY h.hour;
END
$$;

-- ---- Figures of a product line (RULES.md, section 12)

CREATE FUNCTION figures(unit text, line text, from_at timestamptz, till timestamptz)
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
    WITH member AS (
        SELECT p.cell, p.quantity, m.sign, p.quantity = 'output' AS makes, min(p.valid_from) AS begins,
               sum(greatest(0, least(till_ms, p.valid_to) - greatest(from_ms, p.valid_from))) AS time
        FROM line_point m JOIN point p ON p.unit = m.unit AND p.number = m.point
        WHERE m.unit = unit_id AND m.line = named GROUP BY p.cell, p.quantity, m.sign
    ), native AS MATERIALIZED (
        SELECT m.*, n.low, greatest(n.low, least(n.best_told + n.best_open, n.high)) AS best, n.high, n.measured
        FROM native_of(unit_id, from_ms / 3600000, till_ms / 3600000) n JOIN member m USING (cell)
    ), side AS (
        SELECT n.makes, scaled(coalesce(div(1000000 * sum(n.measured), nullif(sum(n.time), 0)), 0)) AS share,
               greatest(from_ms, min(l.begins)) < min(n.begins) AND min(n.begins) < till_ms AS lacks
        FROM native n JOIN line l ON l.unit = unit_id AND l.id = named GROUP BY n.makes
    ), part AS (
        SELECT n.quantity::text AS name, n.makes, n.sign, n.low, n.best, n.high FROM native n
        UNION ALL
        SELECT f.target, false, n.sign, converted_down(n.low, f.numerator, f.denominator),
               converted(n.best, f.numerator, f.denominator), converted_up(n.high, f.numerator, f.denominator)
        FROM factors_of(unit_id, from_ms / 3600000, till_ms / 3600000) f JOIN native n USING (quantity)
    ), amount AS (
        SELECT p.name, s.share, CASE WHEN s.lacks AND bool_or(p.sign < 0) THEN NULL ELSE sum(signed_end(p.sign, p.low, p.high)) END AS low,
               sum(p.sign * p.best) AS best, CASE WHEN s.lacks THEN NULL ELSE sum(signed_end(p.sign, p.high, p.low)) END AS high
        FROM part p JOIN side s USING (makes) GROUP BY p.name, s.share, s.lacks
    ), quotient AS (
        SELECT CASE WHEN o.high <= 0 THEN NULL
                    WHEN e.low >= 0 THEN coalesce(converted_down(e.low, 1000000000, o.high::bigint), 0)
                    WHEN o.low > 0 THEN converted_down(e.low, 1000000000, o.low::bigint) END AS low,
               CASE WHEN o.best > 0 AND coalesce(o.high > 0, true)
                    THEN sign(e.best) * converted(abs(e.best), 1000000000, o.best::bigint) END AS best,
               CASE WHEN o.low > 0 AND e.high > 0 THEN converted_up(e.high, 1000000000, o.low::bigint)
                    WHEN o.low > 0 AND e.high <= 0 THEN coalesce(converted_up(e.high, 1000000000, o.high::bigint), 0) END AS high
        FROM amount e CROSS JOIN amount o WHERE e.name = 'energy' AND o.name = 'output'
    )
    SELECT a.name, CASE a.name WHEN 'electricity' THEN 'kWh' WHEN 'energy' THEN 'tce' ELSE 't' END,
           scaled(a.low), scaled(a.best), scaled(a.high), a.share
    FROM amount a
    UNION ALL
    SELECT 'intensity', 'kgce/t', scaled(q.low), scaled(greatest(q.low, least(q.best, q.high))), scaled(q.high), NULL FROM quotient q
    ORDER BY 1;
END
$$;
COMMENT ON FUNCTION figures(text, text, timestamptz, timestamptz) IS
'Figures of a product line of a unit over the whole hours [from_at, till) of one business year: carriers, output, energy (tce, equivalent value), CO2 (t) and intensity (kgce a unit of output). NULL: not known, or not computable.';

-- What a product line was last told: a row for each figure of each day, month and year.
CREATE VIEW line_figure_told WITH (security_barrier) AS
SELECT u.code AS unit,
       w.line,
       w.kind AS window_kind,
       instant(w.starts) AS starts,
       instant(w.ends) AS ends,
       instant(w.as_of) AS as_of,
       f.key AS quantity,
       f.value ->> 'unit_of_measure' AS unit_of_measure,
       scaled((f.value ->> 'low')::numeric) AS low,
       scaled((f.value ->> 'best')::numeric) AS best,
       scaled((f.value ->> 'high')::numeric) AS high,
       scaled((f.value ->> 'share_measured')::numeric) AS share_measured,
       coalesce((f.value ->> 'unverified')::boolean, false) AS unverified,
       f.value ->> 'said' AS said
FROM line_window w
JOIN unit u ON u.id = w.unit
CROSS JOIN LATERAL jsonb_each(w.judged -> 'figures') f;
COMMENT ON COLUMN line_figure_told.high IS 'NULL: not known. So may low be, of a line that gives energy away.';

REVOKE EXECUTE ON FUNCTION figures(text, text, timestamptz, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION figures(text, text, timestamptz, timestamptz) TO weir_worker, weir_reader, weir_regulator, weir_enterprise;
GRANT SELECT ON line_figure_told TO weir_worker, weir_reader, weir_regulator, weir_enterprise;
