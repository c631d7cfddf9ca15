-- 0005: readings, quarter hours and figures for people: schemas/RULES.md read once more, in SQL.
--
-- They take instants as timestamptz and answer with numeric in the unit of measure (10⁻⁶ exactly);
-- inside, everything is bigint ms and bigint 10⁻⁶, or numeric where a product may leave 64 bits.
-- A window is judged as it is, not at a tick: an open end reaches to the window's end.
-- The three public ones run as their owner and plan anew at each call, so that the days at hand
-- exclude the other chunks. The inner ones are plain SQL, which the planner opens up in place.

-- ---- Time

CREATE FUNCTION instant(ms bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT to_timestamp(ms / 1000.0::float8) $$;
COMMENT ON FUNCTION instant IS 'Exact to the millisecond until the year 2106, and for whole seconds beyond.';

CREATE FUNCTION ms_of(at timestamptz) RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT floor(extract(epoch FROM at) * 1000)::bigint $$;

CREATE FUNCTION floored(number bigint, step bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT number - ((number % step) + step) % step $$;
COMMENT ON FUNCTION floored IS 'The greatest multiple of step that is not above number, negative ones too.';

-- The business calendar: +08:00, always.
CREATE FUNCTION business_day(ms bigint) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT date '1970-01-01' + (floored(ms + 28800000, 86400000) / 86400000)::integer $$;

CREATE FUNCTION business_year(ms bigint) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT extract(year FROM business_day(ms))::integer $$;

CREATE FUNCTION begin_of_day(day date) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT (day - date '1970-01-01') * 86400000::bigint - 28800000 $$;

CREATE FUNCTION begin_of_year(year integer) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT begin_of_day(make_date(year, 1, 1)) $$;

-- Statements are numbered in the order of schemas/registry.STATEMENTS.
CREATE FUNCTION statement_name(statement smallint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT (ARRAY['register', 'PT15M', 'PT30M', 'PT1H', 'P1D', 'P1M'])[statement + 1] $$;

CREATE FUNCTION end_of_period(statement smallint, at bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT CASE statement
    WHEN 0 THEN at
    WHEN 1 THEN at + 900000
    WHEN 2 THEN at + 1800000
    WHEN 3 THEN at + 3600000
    WHEN 4 THEN at + 86400000
    ELSE begin_of_day((date_trunc('month', business_day(at)::timestamp) + interval '1 month')::date)
END
$$;

CREATE FUNCTION rank_name(rank smallint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT (ARRAY['manual', 'estimated', 'supplier', 'corrected', 'measured'])[rank] $$;

-- ---- Amounts (RULES.md, sections 1 and 4)

CREATE FUNCTION scaled(amount numeric) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT amount * 0.000001 $$;

-- floor(rated · at / step) by quotients and remainders apart: rated · at leaves 64 bits.
CREATE FUNCTION staircase(rated bigint, at bigint, step bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT CASE WHEN at >= 0
    THEN rated * (at / step) + (rated / step) * (at % step) + (rated % step) * (at % step) / step
    ELSE rated * (floored(at, step) / step) + (rated / step) * (at - floored(at, step))
       + (rated % step) * (at - floored(at, step)) / step
END
$$;
COMMENT ON FUNCTION staircase IS 'Instants before 1970 are rare, and their way is the longer one.';

CREATE FUNCTION allowed(rated bigint, from_ms bigint, till_ms bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT staircase(rated, till_ms, 3600000) - staircase(rated, from_ms, 3600000) $$;

CREATE FUNCTION half_allowed(rated bigint, from_ms bigint, till_ms bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT staircase(rated, till_ms, 7200000) - staircase(rated, from_ms, 7200000) $$;

-- G(t) = floor(low · (t − a) / (b − a)). Up to 34 days the rest fits 64 bits.
CREATE FUNCTION spread(low bigint, a bigint, b bigint, t bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT CASE WHEN b - a <= 3000000000
    THEN (low / (b - a)) * (t - a) + (low % (b - a)) * (t - a) / (b - a)
    ELSE div(low::numeric * (t - a), (b - a)::numeric)::bigint
END
$$;

-- The bounds of the part [x, y) of a known piece [a, b).
CREATE FUNCTION low_of_part(low bigint, rated bigint, a bigint, b bigint, x bigint, y bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT CASE WHEN x = a AND y = b THEN low
    ELSE greatest(0, low - allowed(rated, a, x) - allowed(rated, y, b)) END
$$;

CREATE FUNCTION high_of_part(high bigint, rated bigint, a bigint, b bigint, x bigint, y bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT CASE WHEN x = a AND y = b THEN high ELSE least(high, allowed(rated, x, y)) END $$;

-- amount · numerator / denominator, rounded down, up, half even.
CREATE FUNCTION converted_down(amount numeric, numerator bigint, denominator bigint) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT div(amount * numerator, denominator) - CASE WHEN mod(amount * numerator, denominator) < 0 THEN 1 ELSE 0 END
$$;

CREATE FUNCTION converted_up(amount numeric, numerator bigint, denominator bigint) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT -converted_down(-amount, numerator, denominator) $$;

CREATE FUNCTION converted(amount numeric, numerator bigint, denominator bigint) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT CASE
    WHEN 2 * mod(amount * numerator, denominator) < denominator THEN div(amount * numerator, denominator)
    WHEN 2 * mod(amount * numerator, denominator) > denominator THEN div(amount * numerator, denominator) + 1
    ELSE div(amount * numerator, denominator) + mod(div(amount * numerator, denominator), 2)
END
$$;
COMMENT ON FUNCTION converted IS 'Half even; amount is not negative.';

-- ---- Claims

-- The claims of a unit with from ≤ instant < till; of one point where it is named.
CREATE FUNCTION claims_of(unit_id integer, point_number smallint, from_ms bigint, till_ms bigint)
RETURNS TABLE (point smallint, statement smallint, at bigint, rank smallint, revision integer, sent_at bigint,
               value bigint, withdraws boolean, received_at bigint, message text)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
SELECT c.point, r.statement, r.first_at + c.at, r.rank, r.revision,
       r.sent_at[least(c.place, cardinality(r.sent_at))], c.value, r.flags & 1 = 1, r.received_at, r.message
FROM reading_record r
CROSS JOIN LATERAL unnest(r.point, r.at, r.value) WITH ORDINALITY AS c (point, at, value, place)
WHERE r.unit = unit_id
  AND r.day BETWEEN business_day(from_ms) AND business_day(till_ms - 1)
  AND r.first_at < till_ms AND r.last_at >= from_ms
  AND r.first_at + c.at >= from_ms AND r.first_at + c.at < till_ms
  AND (point_number IS NULL OR c.point = point_number)
$$;

-- The winners of the points' primary statements (RULES.md, section 2): of each identity and rank the
-- first; where that withdraws, nothing of the rank is left.
CREATE FUNCTION winners_of(unit_id integer, point_number smallint, from_ms bigint, till_ms bigint)
RETURNS TABLE (point smallint, at bigint, value bigint)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
WITH first_of_rank AS (
    SELECT DISTINCT ON (c.point, c.at, c.rank) c.point, c.at, c.rank, c.value, c.withdraws
    FROM claims_of(unit_id, point_number, from_ms, till_ms) c
    JOIN point p ON p.unit = unit_id AND p.number = c.point AND p.statement = c.statement
    ORDER BY c.point, c.at, c.rank DESC, c.revision DESC, c.sent_at DESC, c.withdraws DESC, c.value DESC
)
SELECT DISTINCT ON (f.point, f.at) f.point, f.at, f.value
FROM first_of_rank f WHERE NOT f.withdraws ORDER BY f.point, f.at, f.rank DESC
$$;

-- ---- For people

CREATE FUNCTION readings(unit text, from_at timestamptz, till timestamptz)
RETURNS TABLE (point text, quantity text, statement text, at timestamptz, value numeric, unit_of_measure text,
               status text, rank text, revision integer, sent_at timestamptz, received_at timestamptz, message text)
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
    RETURN QUERY
    WITH claim AS (
        SELECT c.*, bool_or(c.withdraws) OVER (
            PARTITION BY c.point, c.statement, c.at, c.rank ORDER BY c.revision DESC, c.sent_at DESC) AS withdrawn
        FROM claims_of(unit_id, NULL, from_ms, till_ms) c
    ), ordered AS (
        SELECT c.*, row_number() OVER (
            PARTITION BY c.point, c.statement, c.at
            ORDER BY c.withdrawn, c.rank DESC, c.revision DESC, c.sent_at DESC, c.value DESC, c.received_at) AS place
        FROM claim c
    )
    SELECT p.name, p.quantity::text, statement_name(o.statement), instant(o.at),
           CASE WHEN NOT o.withdraws THEN scaled(o.value) END, p.unit_of_measure,
           CASE WHEN o.withdraws THEN 'withdrawal' WHEN o.withdrawn THEN 'withdrawn'
                WHEN o.place = 1 THEN 'winner' ELSE 'superseded' END,
           rank_name(o.rank), o.revision,
           CASE WHEN o.sent_at > -4611686018427387904 THEN instant(o.sent_at) END,
           instant(o.received_at), o.message
    FROM ordered o JOIN point p ON p.unit = unit_id AND p.number = o.point
    ORDER BY o.point, o.statement, o.at, o.place;
END
$$;
COMMENT ON FUNCTION readings IS
'What the points of a unit said of [from_at, till): every accepted or superseded claim. status: winner, superseded, withdrawn, or withdrawal (it withdraws, and has no value).';

-- Known pieces longer than an hour rest in `gap`, whose rows know neighbours that may be months away;
-- the others come from claims at most an hour outside. What the points are goes by arrays, and nothing
-- large is joined: the planner cannot know how many readings a row holds, and must not have to.
CREATE FUNCTION quarter_hours(unit text, from_at timestamptz, till timestamptz, point text DEFAULT NULL)
RETURNS TABLE (point_name text, quantity text, unit_of_measure text, starts timestamptz,
               low numeric, best numeric, high numeric)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = public, pg_temp
SET plan_cache_mode = force_custom_plan
SET work_mem = '64MB'
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    asked ALIAS FOR $1;
    named ALIAS FOR $4;
    unit_id integer := (SELECT id FROM unit WHERE code = asked);
    point_number smallint := (SELECT number FROM point p WHERE p.unit = unit_id AND p.name = named);
    from_ms bigint := floored(ms_of(from_at), 900000);
    till_ms bigint := -floored(-ms_of($3), 900000);
    near_ms bigint := floored(from_ms, 3600000) - 3600000;
    far_ms bigint := -floored(-till_ms, 3600000) + 3600001;
    statements smallint[];
    rates bigint[];
    dials bigint[];
    multipliers bigint[];
BEGIN
    IF named IS NOT NULL AND point_number IS NULL THEN
        RETURN;
    END IF;
    SELECT array_agg(p.statement ORDER BY p.number), array_agg(p.rated ORDER BY p.number),
           array_agg((10::numeric ^ coalesce(p.digits, 0))::bigint * 1000000 ORDER BY p.number),
           array_agg(p.multiplier::bigint ORDER BY p.number)
    INTO statements, rates, dials, multipliers FROM point p WHERE p.unit = unit_id;
    RETURN QUERY
    WITH first_of_rank AS (  -- of each identity and rank; where it withdraws, nothing of the rank is left
        SELECT DISTINCT ON (c.point, c.at, c.rank) c.point, c.at, c.rank, c.value, c.withdraws
        FROM claims_of(unit_id, point_number, near_ms, far_ms) c
        WHERE c.statement = statements[c.point + 1]
        ORDER BY c.point, c.at, c.rank DESC, c.revision DESC, c.sent_at DESC, c.withdraws DESC, c.value DESC
    ), winner AS MATERIALIZED (
        SELECT DISTINCT ON (f.point, f.at) f.point, f.at, f.value
        FROM first_of_rank f WHERE NOT f.withdraws ORDER BY f.point, f.at, f.rank DESC
    ), neighbour AS (
        SELECT w.point, w.at, w.value, lead(w.at) OVER following AS next_at,
               lead(w.value) OVER following - w.value AS difference, rates[w.point + 1] AS rated
        FROM winner w WHERE statements[w.point + 1] = 0
        WINDOW following AS (PARTITION BY w.point ORDER BY w.at)
    ), register AS (  -- both are below the dial (else rejected): at most one turn is missing
        SELECT n.point, n.at, n.next_at, n.rated, allowed(n.rated, n.at, n.next_at) AS most,
               multipliers[n.point + 1] * (n.difference + CASE WHEN n.difference < 0 THEN dials[n.point + 1] ELSE 0 END) AS least,
               multipliers[n.point + 1] * dials[n.point + 1] AS turn
        FROM neighbour n WHERE n.next_at - n.at <= 3600000
    ), piece AS (
        SELECT r.point, r.rated, r.at AS a, r.next_at AS b, r.least AS low, r.least + r.turn * ((r.most - r.least) / r.turn) AS high
        FROM register r WHERE r.least <= r.most
        UNION ALL
        SELECT w.point, rates[w.point + 1], w.at, end_of_period(statements[w.point + 1], w.at), w.value, w.value
        FROM winner w WHERE statements[w.point + 1] BETWEEN 1 AND 3
        UNION ALL
        SELECT g.point, rates[g.point + 1], g.starts, g.ends, g.low, g.high
        FROM gap g WHERE g.unit = unit_id AND g.kind = 'known' AND g.ends - g.starts > 3600000
          AND g.starts < till_ms AND g.ends > from_ms AND (point_number IS NULL OR g.point = point_number)
    ), claimed AS (
        SELECT c.point, r.first_at + c.at AS at, max(c.value) AS most
        FROM rejection_record r
        CROSS JOIN LATERAL unnest(r.point, r.at, r.value) AS c (point, at, value)
        WHERE r.unit = unit_id AND r.reason = 'faster than rated'
          AND r.day BETWEEN business_day(near_ms) AND business_day(far_ms)
          AND r.statement = statements[c.point + 1] AND r.first_at < far_ms AND r.last_at >= near_ms
          AND (point_number IS NULL OR c.point = point_number)
        GROUP BY c.point, r.first_at + c.at
    ), lift AS (
        SELECT c.point, floored(c.at, 3600000) AS hour,
               c.most - allowed(rates[c.point + 1], c.at, end_of_period(statements[c.point + 1], c.at)) AS excess
        FROM claimed c WHERE (c.point, c.at) NOT IN (SELECT w.point, w.at FROM winner w)
    ), part AS MATERIALIZED (
        SELECT k.*, q.at AS quarter, greatest(k.a, q.at) AS x, least(k.b, q.at + 900000) AS y,
               least(k.b, q.at + 900000) - greatest(k.a, q.at) = 900000
               AND (k.point, q.at) NOT IN (SELECT l.point, l.hour FROM lift l) AS alone
        FROM piece k
        CROSS JOIN LATERAL generate_series(
            greatest(from_ms, floored(k.a, 900000)), least(till_ms, k.b) - 1, 900000) AS q (at)
    ), added AS (  -- what is known takes the place of what could be
        SELECT k.point, k.quarter, low_of_part(k.low, k.rated, k.a, k.b, k.x, k.y) AS low,
               spread(k.low, k.a, k.b, k.y) - spread(k.low, k.a, k.b, k.x) - half_allowed(k.rated, k.x, k.y) AS best,
               high_of_part(k.high, k.rated, k.a, k.b, k.x, k.y) - allowed(k.rated, k.x, k.y) AS high
        FROM part k WHERE NOT k.alone
        UNION ALL
        SELECT l.point, l.hour, 0, 0, l.excess FROM lift l WHERE l.hour >= from_ms AND l.hour < till_ms
        UNION ALL  -- unknown and open: between nothing and what is allowed
        SELECT v.number, v.quarter, 0, half_allowed(v.rated, v.x, v.y), allowed(v.rated, v.x, v.y)
        FROM (
            SELECT p.number, p.rated, q.at AS quarter, greatest(q.at, p.valid_from) AS x, least(q.at + 900000, p.valid_to) AS y
            FROM point p
            CROSS JOIN LATERAL generate_series(
                greatest(from_ms, floored(p.valid_from, 900000)), least(till_ms, p.valid_to) - 1, 900000) AS q (at)
            WHERE p.unit = unit_id AND (point_number IS NULL OR p.number = point_number)
              AND (p.number, q.at) NOT IN (SELECT k.point, k.quarter FROM part k WHERE k.alone)
        ) v
    ), summed AS (
        SELECT k.point, k.quarter, low_of_part(k.low, k.rated, k.a, k.b, k.x, k.y) AS low,
               CASE WHEN k.a = k.x AND k.b = k.y THEN k.low
                    ELSE spread(k.low, k.a, k.b, k.y) - spread(k.low, k.a, k.b, k.x) END AS best,
               high_of_part(k.high, k.rated, k.a, k.b, k.x, k.y) AS high
        FROM part k WHERE k.alone
        UNION ALL
        SELECT a.point, a.quarter, sum(a.low)::bigint, sum(a.best)::bigint, sum(a.high)::bigint
        FROM added a GROUP BY a.point, a.quarter
    )
    SELECT p.name, p.quantity::text, p.unit_of_measure, instant(s.quarter), scaled(s.low), scaled(s.best), scaled(s.high)
    FROM summed s JOIN point p ON p.unit = unit_id AND p.number = s.point
    ORDER BY s.point, s.quarter;
END
$$;
COMMENT ON FUNCTION quarter_hours IS
'Native amounts of a unit''s points (of one, where it is named) in each quarter hour that [from_at, till) touches and in which the point is valid. A lift counts in the first quarter of its hour.';

-- ---- Figures over whole hours

-- What the open ends of a unit's points put into [from, till), and since which hour nothing is exact.
CREATE FUNCTION open_ends_of(unit_id integer, from_ms bigint, till_ms bigint)
RETURNS TABLE (quantity quantity, best numeric, high numeric, open_hour bigint)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
SELECT e.quantity,
       coalesce(sum(half_allowed(e.rated, greatest(e.ends, from_ms), least(till_ms, e.valid_to)))
                FILTER (WHERE greatest(e.ends, from_ms) < least(till_ms, e.valid_to)), 0),
       coalesce(sum(allowed(e.rated, greatest(e.ends, from_ms), least(till_ms, e.valid_to)))
                FILTER (WHERE greatest(e.ends, from_ms) < least(till_ms, e.valid_to)), 0),
       min(floored(e.ends, 3600000) / 3600000) FILTER (WHERE e.ends < coalesce(e.valid_to, till_ms))
FROM (SELECT p.quantity, p.rated, p.valid_to, coalesce(s.ends[p.number + 1], p.valid_from) AS ends
      FROM point p LEFT JOIN unit_state s ON s.unit = p.unit WHERE p.unit = unit_id) e
GROUP BY e.quantity
$$;

-- Native amounts of every quantity of a unit over the whole hours [from_hour, till_hour), without opening.
-- best_told: of everything but open ends.
CREATE FUNCTION native_of(unit_id integer, from_hour bigint, till_hour bigint)
RETURNS TABLE (quantity quantity, low numeric, best_told numeric, best_open numeric, high numeric, open_hour bigint, measured numeric)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
WITH inside AS (
    SELECT h.quantity, sum(h.best) AS best, sum(h.best - h.unknown_best) AS known,
           sum(h.unknown_high) AS unknown_high, sum(h.measured_ms) AS measured
    FROM hour h WHERE h.unit = unit_id AND h.hour >= from_hour AND h.hour < till_hour GROUP BY h.quantity
), edge AS (  -- pieces of at most an hour that cross one of the window's edges
    SELECT h.quantity,
           sum(CASE WHEN h.hour = from_hour THEN h.after_low ELSE h.before_low END) AS low,
           sum(CASE WHEN h.hour = from_hour THEN h.after_high ELSE h.before_high END) AS high
    FROM hour h WHERE h.unit = unit_id AND h.hour IN (from_hour, till_hour) AND from_hour < till_hour GROUP BY h.quantity
), cut AS (  -- the others: their bounds in the window, less the best that is in the hours
    SELECT p.quantity, g.low, g.high, p.rated, g.starts AS a, g.ends AS b,
           greatest(g.starts, from_hour * 3600000) AS x, least(g.ends, till_hour * 3600000) AS y
    FROM gap g JOIN point p ON p.unit = g.unit AND p.number = g.point
    WHERE g.unit = unit_id AND g.kind = 'known'
      AND g.starts < till_hour * 3600000 AND g.ends > from_hour * 3600000
), wide AS (
    SELECT c.quantity,
           sum(low_of_part(c.low, c.rated, c.a, c.b, c.x, c.y) - spread(c.low, c.a, c.b, c.y) + spread(c.low, c.a, c.b, c.x)) AS low,
           sum(high_of_part(c.high, c.rated, c.a, c.b, c.x, c.y) - spread(c.low, c.a, c.b, c.y) + spread(c.low, c.a, c.b, c.x)) AS high
    FROM cut c GROUP BY c.quantity
)
SELECT o.quantity,
       coalesce(i.known, 0) + coalesce(e.low, 0) + coalesce(w.low, 0),
       coalesce(i.best, 0),
       o.best,
       coalesce(i.known, 0) + coalesce(i.unknown_high, 0) + coalesce(e.high, 0) + coalesce(w.high, 0) + o.high,
       o.open_hour,
       coalesce(i.measured, 0)
FROM open_ends_of(unit_id, from_hour * 3600000, till_hour * 3600000) o
LEFT JOIN inside i USING (quantity) LEFT JOIN edge e USING (quantity) LEFT JOIN wide w USING (quantity)
$$;

-- The factors of the pack loaded last, and the hours of [from_hour, till_hour) that each holds for.
-- A change of factor is an edge: what lies before it and behind it is converted apart.
CREATE FUNCTION factors_of(from_hour bigint, till_hour bigint)
RETURNS TABLE (quantity quantity, target text, id text, numerator bigint, denominator bigint, from_hour bigint, till_hour bigint)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
WITH yearly AS (
    SELECT DISTINCT ON (f.quantity, f.target, y.year) y.year AS held, f.*
    FROM generate_series(business_year($1 * 3600000), business_year($2 * 3600000 - 1)) AS y (year)
    CROSS JOIN factor f
    JOIN (SELECT version FROM factor_pack ORDER BY loaded_at DESC LIMIT 1) AS newest (version) ON f.pack = newest.version
    ORDER BY f.quantity, f.target, y.year, f.year <= y.year DESC,
             CASE WHEN f.year <= y.year THEN -f.year ELSE f.year END
)
SELECT quantity, target, id, min(numerator), min(denominator),
       greatest($1, begin_of_year(min(held)) / 3600000),
       least($2, begin_of_year(max(held) + 1) / 3600000)
FROM yearly GROUP BY quantity, target, id
$$;

-- Energy and CO2 of every carrier of a unit (RULES.md, section 5), without opening.
CREATE FUNCTION converted_of(unit_id integer, from_hour bigint, till_hour bigint)
RETURNS TABLE (target text, quantity quantity, low numeric, best numeric, high numeric)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
WITH span AS (
    SELECT f.target, n.quantity, f.numerator, f.denominator, f.from_hour, f.till_hour,
           n.low, n.best_open, n.high, least(greatest(coalesce(n.open_hour, f.till_hour), f.from_hour), f.till_hour) AS settled
    FROM factors_of($2, $3) f
    CROSS JOIN LATERAL native_of(unit_id, f.from_hour, f.till_hour) n
    WHERE n.quantity = f.quantity
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
        WHERE h.unit = unit_id AND h.quantity = s.quantity AND h.hour >= s.from_hour AND h.hour < s.till_hour
    ) e
), bounded AS (
    SELECT c.target, c.quantity, c.best + converted(c.best_open, c.numerator, c.denominator) AS best,
           greatest(0, c.rounded + converted_down(c.low - c.exact, c.numerator, c.denominator) - c.inexact) AS low,
           c.rounded + converted_up(c.high - c.exact, c.numerator, c.denominator) + c.inexact AS high
    FROM counted c
)
SELECT b.target, b.quantity, sum(b.low), greatest(sum(b.low), least(sum(b.best), sum(b.high))), sum(b.high)
FROM bounded b GROUP BY b.target, b.quantity
$$;

-- What a window that begins before the unit's first validity and ends after it adds (RULES.md, section 4).
CREATE FUNCTION opening_of(unit_id integer, of_quantity text, from_ms bigint, till_ms bigint)
RETURNS TABLE (low bigint, best bigint, high bigint)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
SELECT coalesce(o.low, 0), coalesce(o.best, 0),
       CASE WHEN b.begins IS NULL OR b.begins <= from_ms OR b.begins >= till_ms THEN 0 ELSE o.high END
FROM (SELECT min(valid_from) AS begins FROM point WHERE unit = unit_id) b
LEFT JOIN opening o ON o.unit = unit_id AND o.quantity = of_quantity
  AND b.begins > from_ms AND b.begins < till_ms
  AND o.year = business_year(b.begins) AND from_ms = begin_of_year(o.year)
$$;

CREATE FUNCTION figures(unit text, from_at timestamptz, till timestamptz)
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
        SELECT p.quantity, min(p.unit_of_measure) AS unit_of_measure,
               sum(greatest(0, least(till_ms, p.valid_to) - greatest(from_ms, p.valid_from))) AS time
        FROM point p WHERE p.unit = unit_id GROUP BY p.quantity
    ), native AS MATERIALIZED (
        SELECT n.*, e.unit_of_measure, e.time
        FROM native_of(unit_id, from_ms / 3600000, till_ms / 3600000) n JOIN expected e USING (quantity)
    ), figure AS (
        SELECT n.quantity::text, n.unit_of_measure, n.low,
               greatest(n.low, least(n.best_told + n.best_open, n.high)) AS best, n.high, n.measured, n.time
        FROM native n
        UNION ALL
        SELECT c.target, CASE c.target WHEN 'energy' THEN 'tce' ELSE 't' END,
               sum(c.low), sum(c.best), sum(c.high), sum(n.measured), sum(n.time)
        FROM converted_of(unit_id, from_ms / 3600000, till_ms / 3600000) c JOIN native n USING (quantity)
        GROUP BY c.target
    )
    SELECT f.quantity, f.unit_of_measure, scaled(f.low + o.low), scaled(f.best + o.best), scaled(f.high + o.high),
           scaled(coalesce(div(1000000 * f.measured, nullif(f.time, 0)), 0))
    FROM figure f CROSS JOIN LATERAL opening_of(unit_id, f.quantity, from_ms, till_ms) o
    ORDER BY array_position(ARRAY['electricity', 'raw_coal', 'output', 'energy', 'co2'], f.quantity);
END
$$;
COMMENT ON FUNCTION figures IS
'A unit''s figures over the whole hours [from_at, till), as the last write left them: native quantities, energy (tce, equivalent value) and CO2 (t). high NULL: the opening is unknown.';
