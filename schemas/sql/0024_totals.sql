-- 0024: totals that bound what a point's periods leave unknown (RULES.md, section 3).

ALTER TYPE gap_kind ADD VALUE 'bounded';  -- told from the others by its parts: no statement of this transaction may name it
ALTER TABLE gap ADD COLUMN parts bigint[], ADD COLUMN total bigint;
COMMENT ON COLUMN gap.parts IS 'Of a bounded gap: start and end of each unknown part of the span, one after the other; low = high is for all of them together.';
COMMENT ON COLUMN gap.total IS 'Of a bounded gap: the total of the span that it lies in.';
CREATE INDEX gap_bounded ON gap (unit, point, starts) WHERE parts IS NOT NULL;

-- What a bounded gap has in [x, y), and what would be told of that time without its total; length: how much time it is.
CREATE FUNCTION bounded_part(profile profile, rated bigint, amount bigint, parts bigint[], x bigint, y bigint)
RETURNS TABLE (low bigint, best bigint, high bigint, guess bigint, most bigint, length bigint)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT greatest(0, amount - p.allowed + p.most),
       (div(amount::numeric * p.last, p.length) - div(amount::numeric * p.first, p.length))::bigint,
       least(amount, p.most), p.guess, p.most, p.last - p.first
FROM (
    SELECT sum(allowed(rated, c.a, c.b))::bigint AS allowed, sum(allowed(rated, c.within, c.until))::bigint AS most,
           sum(guessed(profile, rated, c.within, c.until))::bigint AS guess, sum(c.b - c.a)::bigint AS length,
           sum(least(c.b, x) - least(c.a, x))::bigint AS first, sum(least(c.b, y) - least(c.a, y))::bigint AS last
    FROM generate_series(1, cardinality(parts), 2) AS s (place)
    CROSS JOIN LATERAL (SELECT parts[s.place], parts[s.place + 1]) AS o (a, b)
    CROSS JOIN LATERAL (SELECT o.a, o.b, least(greatest(o.a, x), y) AS within, least(greatest(o.b, x), y) AS until) AS c
) p
$$;

CREATE OR REPLACE FUNCTION native_of(unit_id integer, from_hour bigint, till_hour bigint)
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
), bounded AS (
    SELECT p.cell, sum(b.low - b.best) AS low, sum(b.high - b.best) AS high
    FROM gap g JOIN point p ON p.unit = g.unit AND p.number = g.point
    CROSS JOIN LATERAL bounded_part(p.profile, p.rated, g.low, g.parts, from_hour * 3600000, till_hour * 3600000) b
    WHERE g.unit = unit_id AND g.parts IS NOT NULL
      AND g.starts < till_hour * 3600000 AND g.ends > from_hour * 3600000
    GROUP BY p.cell
)
SELECT o.cell,
       coalesce(i.known, 0) + coalesce(e.low, 0) + coalesce(w.low, 0) + coalesce(b.low, 0),
       coalesce(i.best, 0),
       o.best,
       coalesce(i.known, 0) + coalesce(i.unknown_high, 0) + coalesce(e.high, 0) + coalesce(w.high, 0) + coalesce(b.high, 0) + o.high,
       o.open_hour,
       coalesce(i.measured, 0)
FROM open_ends_of(unit_id, from_hour * 3600000, till_hour * 3600000) o
LEFT JOIN inside i USING (cell) LEFT JOIN edge e USING (cell) LEFT JOIN wide w USING (cell) LEFT JOIN bounded b USING (cell)
$$;

CREATE OR REPLACE FUNCTION quarter_hours(unit text, from_at timestamptz, till timestamptz, point text DEFAULT NULL)
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
    numbers smallint[] := (SELECT array_agg(number) FROM point p WHERE p.unit = unit_id AND p.name = named);
    point_number smallint := CASE WHEN cardinality(numbers) = 1 THEN numbers[1] END;
    revised boolean := (SELECT u.revised FROM unit u WHERE u.id = unit_id);
    from_ms bigint := floored(ms_of(from_at), 900000);
    till_ms bigint := -floored(-ms_of($3), 900000);
    near_ms bigint := floored(from_ms, 3600000) - 3600000;
    far_ms bigint := -floored(-till_ms, 3600000) + 3600001;
    statements smallint[];
    rates bigint[];
    dials bigint[];
    multipliers bigint[];
    begins bigint[];
    ends bigint[];
    followed boolean[];
    profiles profile[];
BEGIN
    IF named IS NOT NULL AND numbers IS NULL THEN
        RETURN;
    END IF;
    SELECT array_agg(p.statement ORDER BY p.number), array_agg(p.rated ORDER BY p.number),
           array_agg((10::numeric ^ coalesce(p.digits, 0))::bigint * 1000000 ORDER BY p.number),
           array_agg(p.multiplier::bigint ORDER BY p.number),
           array_agg(p.valid_from ORDER BY p.number), array_agg(p.valid_to ORDER BY p.number),
           array_agg(is_followed(unit_id, p.name, p.valid_to) ORDER BY p.number), array_agg(p.profile ORDER BY p.number)
    INTO statements, rates, dials, multipliers, begins, ends, followed, profiles FROM point p WHERE p.unit = unit_id;
    RETURN QUERY
    WITH first_of_rank AS (  -- of each identity and rank; where it withdraws, nothing of the rank is left
        SELECT DISTINCT ON (c.point, c.at, c.rank) c.point, c.at, c.rank, c.value, c.withdraws
        FROM claims_of(unit_id, point_number, near_ms, far_ms) c
        WHERE c.statement = statements[c.point + 1]
          AND (NOT revised OR admits(begins[c.point + 1], ends[c.point + 1], followed[c.point + 1] AND NOT c.declared, dials[c.point + 1], rates[c.point + 1],
                                     c.statement, c.at, c.value, c.withdraws))
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
        UNION ALL  -- what counted before the point was corrected
        SELECT c.point, c.at, c.value
        FROM claims_of(unit_id, point_number, near_ms, far_ms) c
        WHERE revised AND c.statement = statements[c.point + 1] AND c.statement > 0 AND NOT c.withdraws
    ), faster AS (
        SELECT c.point, c.at, max(c.most) AS most
        FROM claimed c
        WHERE NOT revised OR (
            c.at >= begins[c.point + 1]
            AND end_of_period(statements[c.point + 1], c.at) <= coalesce(ends[c.point + 1], 9223372036854775807)
            AND c.most > allowed(rates[c.point + 1], c.at, end_of_period(statements[c.point + 1], c.at)))
        GROUP BY c.point, c.at
    ), lift AS (
        SELECT c.point, floored(c.at, 3600000) AS hour,
               c.most - allowed(rates[c.point + 1], c.at, end_of_period(statements[c.point + 1], c.at)) AS excess
        FROM faster c WHERE (c.point, c.at) NOT IN (SELECT w.point, w.at FROM winner w)
    ), part AS MATERIALIZED (
        SELECT k.*, q.at AS quarter, greatest(k.a, q.at) AS x, least(k.b, q.at + 900000) AS y,
               least(k.b, q.at + 900000) - greatest(k.a, q.at) = 900000
               AND (k.point, q.at) NOT IN (SELECT l.point, l.hour FROM lift l) AS alone
        FROM piece k
        CROSS JOIN LATERAL generate_series(
            greatest(from_ms, floored(k.a, 900000)), least(till_ms, k.b) - 1, 900000) AS q (at)
    ), added AS (  -- what is known takes the place of what could be
        SELECT k.point, k.quarter, low_of_part(k.low, k.rated, k.a, k.b, k.x, k.y) AS low,
               spread(k.low, k.a, k.b, k.y) - spread(k.low, k.a, k.b, k.x) - guessed(profiles[k.point + 1], k.rated, k.x, k.y) AS best,
               high_of_part(k.high, k.rated, k.a, k.b, k.x, k.y) - allowed(k.rated, k.x, k.y) AS high
        FROM part k WHERE NOT k.alone
        UNION ALL
        SELECT l.point, l.hour, 0, 0, l.excess FROM lift l WHERE l.hour >= from_ms AND l.hour < till_ms
        UNION ALL  -- what a total leaves over takes the place of what could be, too
        SELECT g.point, q.at, b.low, b.best - b.guess, b.high - b.most
        FROM gap g
        CROSS JOIN LATERAL generate_series(
            greatest(from_ms, floored(g.starts, 900000)), least(till_ms, g.ends) - 1, 900000) AS q (at)
        CROSS JOIN LATERAL bounded_part(profiles[g.point + 1], rates[g.point + 1], g.low, g.parts, q.at, q.at + 900000) b
        WHERE g.unit = unit_id AND g.parts IS NOT NULL AND b.length > 0
          AND g.starts < till_ms AND g.ends > from_ms AND (point_number IS NULL OR g.point = point_number)
        UNION ALL  -- unknown and open: between nothing and what is allowed
        SELECT v.number, v.quarter, 0, guessed(profiles[v.number + 1], v.rated, v.x, v.y), allowed(v.rated, v.x, v.y)
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
    WHERE named IS NULL OR p.name = named
    ORDER BY s.point, s.quarter;
END
$$;
