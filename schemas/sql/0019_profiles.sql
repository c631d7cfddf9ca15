-- 0019: dated hourly profiles: what is thought to pass while nothing is known (RULES.md, section 1).

CREATE TYPE profile AS (
    begins  bigint[],  -- first instants, in order
    offsets bigint[],  -- what weighted time is greater by than the profile's own
    weeks   bigint[]   -- of each profile 169: percent hours of its week before each hour, and of the whole
);
ALTER TABLE point ADD COLUMN profile profile;
COMMENT ON COLUMN point.profile IS 'NULL: half of the rated maximum, always.';

-- Q: the time until an instant (percent ms), each hour of the week by its profile's percent; 50 before the first.
CREATE FUNCTION weighted(profile profile, at bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT CASE WHEN profile IS NULL OR at < (profile.begins)[1] THEN 50 * at
    ELSE (SELECT (profile.offsets)[e.era] + h.week * (profile.weeks)[169 * e.era] * 3600000 + b.before * 3600000
               + ((profile.weeks)[169 * (e.era - 1) + h.hour + 2] - b.before) * (h.since % 3600000)
          FROM width_bucket(at, profile.begins) AS e (era)
          CROSS JOIN LATERAL (  -- since the Monday midnight before 1970, on the business calendar
              SELECT at + 288000000, (at + 288000000) / 604800000, (at + 288000000) / 3600000 % 168) AS h (since, week, hour)
          CROSS JOIN LATERAL (SELECT (profile.weeks)[169 * (e.era - 1) + h.hour + 1]) AS b (before)) END
$$;

CREATE FUNCTION guessed(profile profile, rated bigint, from_ms bigint, till_ms bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT staircase(rated, weighted(profile, till_ms), 360000000) - staircase(rated, weighted(profile, from_ms), 360000000) $$;
COMMENT ON FUNCTION guessed IS 'The best guess of time of which nothing is known.';

CREATE OR REPLACE FUNCTION open_ends_of(unit_id integer, from_ms bigint, till_ms bigint)
RETURNS TABLE (quantity quantity, best numeric, high numeric, open_hour bigint)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
SELECT e.quantity,
       coalesce(sum(guessed(e.profile, e.rated, greatest(e.ends, from_ms), least(till_ms, e.valid_to)))
                FILTER (WHERE greatest(e.ends, from_ms) < least(till_ms, e.valid_to)), 0),
       coalesce(sum(allowed(e.rated, greatest(e.ends, from_ms), least(till_ms, e.valid_to)))
                FILTER (WHERE greatest(e.ends, from_ms) < least(till_ms, e.valid_to)), 0),
       min(floored(e.ends, 3600000) / 3600000) FILTER (WHERE e.ends < coalesce(e.valid_to, till_ms))
FROM (SELECT p.quantity, p.profile, p.rated, p.valid_to, coalesce(s.ends[p.number + 1], p.valid_from) AS ends
      FROM point p LEFT JOIN unit_state s ON s.unit = p.unit WHERE p.unit = unit_id) e
GROUP BY e.quantity
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
DROP FUNCTION half_allowed(bigint, bigint, bigint);
