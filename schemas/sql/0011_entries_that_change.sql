-- 0011: entries of units that change: meters that follow one another under a name, and readings that an entry no longer admits.

ALTER TABLE point DROP CONSTRAINT point_unit_name_key;
COMMENT ON COLUMN point.name IS 'Of points of one name each ends where the next begins: a meter was exchanged.';

ALTER TABLE unit ADD COLUMN pending integer REFERENCES configuration, ADD COLUMN revised boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN unit.pending IS 'A configuration under which its readings count otherwise, which waits until all is worked out again.';
COMMENT ON COLUMN unit.revised IS 'It was restated: some stored readings may be such that its points no longer admit.';
GRANT DELETE ON quota, opening TO weir_worker;

ALTER TABLE rejection_record ADD COLUMN unit_of_measure text NOT NULL DEFAULT '';
COMMENT ON COLUMN rejection_record.unit_of_measure IS 'As it was sent, where the reason leaves open whether it is the point''s.';

-- ---- Factors that come into force by a configuration

ALTER TABLE configuration ADD COLUMN factors jsonb;
COMMENT ON COLUMN configuration.factors IS 'What units are converted by from here on, once they are restated; NULL: as before.';
ALTER TABLE factor_pack ADD COLUMN base boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN factor_pack.base IS 'Holds where no configuration says otherwise.';
UPDATE factor_pack SET base = true WHERE version = (SELECT version FROM factor_pack ORDER BY loaded_at DESC LIMIT 1);
CREATE UNIQUE INDEX factor_pack_base ON factor_pack (base) WHERE base;

CREATE FUNCTION pack_of(unit_id integer) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
SELECT coalesce((SELECT c.factors ->> 'version' FROM configuration c JOIN unit u ON u.id = unit_id
                 WHERE c.version <= u.version AND c.factors IS NOT NULL ORDER BY c.version DESC LIMIT 1),
                (SELECT version FROM factor_pack WHERE base))
$$;

-- The factors of a unit's pack, and the hours of [from_hour, till_hour) that each holds for.
-- A change of factor is an edge: what lies before it and behind it is converted apart.
CREATE FUNCTION factors_of(unit_id integer, from_hour bigint, till_hour bigint)
RETURNS TABLE (quantity quantity, target text, id text, numerator bigint, denominator bigint, from_hour bigint, till_hour bigint)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
WITH yearly AS (
    SELECT DISTINCT ON (f.quantity, f.target, y.year) y.year AS held, f.*
    FROM generate_series(business_year($2 * 3600000), business_year($3 * 3600000 - 1)) AS y (year)
    CROSS JOIN factor f
    WHERE f.pack = pack_of(unit_id)
    ORDER BY f.quantity, f.target, y.year, f.year <= y.year DESC,
             CASE WHEN f.year <= y.year THEN -f.year ELSE f.year END
)
SELECT quantity, target, id, min(numerator), min(denominator),
       greatest($2, begin_of_year(min(held)) / 3600000),
       least($3, begin_of_year(max(held) + 1) / 3600000)
FROM yearly GROUP BY quantity, target, id
$$;

CREATE OR REPLACE FUNCTION converted_of(unit_id integer, from_hour bigint, till_hour bigint)
RETURNS TABLE (target text, quantity quantity, low numeric, best numeric, high numeric)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
WITH span AS (
    SELECT f.target, n.quantity, f.numerator, f.denominator, f.from_hour, f.till_hour,
           n.low, n.best_open, n.high, least(greatest(coalesce(n.open_hour, f.till_hour), f.from_hour), f.till_hour) AS settled
    FROM factors_of(unit_id, $2, $3) f
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
DROP FUNCTION factors_of(bigint, bigint);

-- ---- Readings that an entry no longer admits

DROP FUNCTION claims_of(integer, smallint, bigint, bigint);
CREATE FUNCTION claims_of(unit_id integer, point_number smallint, from_ms bigint, till_ms bigint)
RETURNS TABLE (point smallint, statement smallint, at bigint, rank smallint, revision integer, sent_at bigint,
               value bigint, withdraws boolean, received_at bigint, message text, declared boolean)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
SELECT c.point, r.statement, r.first_at + c.at, r.rank, r.revision,
       r.sent_at[least(c.place, cardinality(r.sent_at))], c.value, r.flags & 1 = 1, r.received_at, r.message, r.flags & 4 = 4
FROM reading_record r
CROSS JOIN LATERAL unnest(r.point, r.at, r.value) WITH ORDINALITY AS c (point, at, value, place)
WHERE r.unit = unit_id
  AND r.day BETWEEN business_day(from_ms) AND business_day(till_ms - 1)
  AND r.first_at < till_ms AND r.last_at >= from_ms
  AND r.first_at + c.at >= from_ms AND r.first_at + c.at < till_ms
  AND (point_number IS NULL OR c.point = point_number)
$$;
COMMENT ON FUNCTION claims_of IS 'declared: by the unit''s entry, the register of a meter that begins or ends.';

-- Whether another point of its name begins where this one ends: what others say of that instant is the new one's.
CREATE FUNCTION is_followed(unit_id integer, point_name text, valid_to bigint) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT EXISTS (SELECT FROM point p WHERE p.unit = unit_id AND p.name = point_name AND p.valid_from = $3) $$;

-- Whether a point admits a claim (RULES.md, sections 2 and 8). closed: the point is followed, and the claim is not declared.
CREATE FUNCTION admits(valid_from bigint, valid_to bigint, closed boolean, dial bigint, rated bigint,
                       statement smallint, at bigint, value bigint, withdraws boolean)
RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT at >= valid_from AND end_of_period(statement, at) <= coalesce(valid_to, 9223372036854775807)
   AND NOT (closed AND at = valid_to)
   AND (withdraws OR CASE WHEN statement = 0 THEN value < dial
                          ELSE value <= allowed(rated, at, end_of_period(statement, at)) END)
$$;

CREATE OR REPLACE FUNCTION winners_of(unit_id integer, point_number smallint, from_ms bigint, till_ms bigint)
RETURNS TABLE (point smallint, at bigint, value bigint)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
WITH first_of_rank AS (
    SELECT DISTINCT ON (c.point, c.at, c.rank) c.point, c.at, c.rank, c.value, c.withdraws
    FROM claims_of(unit_id, point_number, from_ms, till_ms) c
    JOIN point p ON p.unit = unit_id AND p.number = c.point AND p.statement = c.statement
    JOIN unit u ON u.id = unit_id
    WHERE NOT u.revised OR admits(p.valid_from, p.valid_to, NOT c.declared AND is_followed(unit_id, p.name, p.valid_to), (10::numeric ^ coalesce(p.digits, 0))::bigint * 1000000,
                                  p.rated, c.statement, c.at, c.value, c.withdraws)
    ORDER BY c.point, c.at, c.rank DESC, c.revision DESC, c.sent_at DESC, c.withdraws DESC, c.value DESC
)
SELECT DISTINCT ON (f.point, f.at) f.point, f.at, f.value
FROM first_of_rank f WHERE NOT f.withdraws ORDER BY f.point, f.at, f.rank DESC
$$;

CREATE OR REPLACE FUNCTION readings(unit text, from_at timestamptz, till timestamptz)
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
    WITH told AS (
        SELECT c.*, NOT u.revised OR admits(p.valid_from, p.valid_to, NOT c.declared AND is_followed(unit_id, p.name, p.valid_to), (10::numeric ^ coalesce(p.digits, 0))::bigint * 1000000,
                                            p.rated, c.statement, c.at, c.value, c.withdraws) AS admitted
        FROM claims_of(unit_id, NULL, from_ms, till_ms) c
        JOIN point p ON p.unit = unit_id AND p.number = c.point
        JOIN unit u ON u.id = unit_id
    ), claim AS (
        SELECT c.*, bool_or(c.withdraws) OVER (
            PARTITION BY c.point, c.statement, c.at, c.admitted, c.rank ORDER BY c.revision DESC, c.sent_at DESC) AS withdrawn
        FROM told c
    ), ordered AS (
        SELECT c.*, row_number() OVER (
            PARTITION BY c.point, c.statement, c.at, c.admitted
            ORDER BY c.withdrawn, c.rank DESC, c.revision DESC, c.sent_at DESC, c.value DESC, c.received_at) AS place
        FROM claim c
    )
    SELECT p.name, p.quantity::text, statement_name(o.statement), instant(o.at),
           CASE WHEN NOT o.withdraws THEN scaled(o.value) END, p.unit_of_measure,
           CASE WHEN NOT o.admitted THEN 'not admitted' WHEN o.withdraws THEN 'withdrawal' WHEN o.withdrawn THEN 'withdrawn'
                WHEN o.place = 1 THEN 'winner' ELSE 'superseded' END,
           rank_name(o.rank), o.revision,
           CASE WHEN o.sent_at > -4611686018427387904 THEN instant(o.sent_at) END,
           instant(o.received_at), o.message
    FROM ordered o JOIN point p ON p.unit = unit_id AND p.number = o.point
    ORDER BY o.point, o.statement, o.at, o.place;
END
$$;
COMMENT ON FUNCTION readings IS
'What the points of a unit said of [from_at, till): every accepted or superseded claim. status: winner, superseded, withdrawn, withdrawal (it withdraws, and has no value), or not admitted (by the point as it was corrected since).';

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
BEGIN
    IF named IS NOT NULL AND numbers IS NULL THEN
        RETURN;
    END IF;
    SELECT array_agg(p.statement ORDER BY p.number), array_agg(p.rated ORDER BY p.number),
           array_agg((10::numeric ^ coalesce(p.digits, 0))::bigint * 1000000 ORDER BY p.number),
           array_agg(p.multiplier::bigint ORDER BY p.number),
           array_agg(p.valid_from ORDER BY p.number), array_agg(p.valid_to ORDER BY p.number),
           array_agg(is_followed(unit_id, p.name, p.valid_to) ORDER BY p.number)
    INTO statements, rates, dials, multipliers, begins, ends, followed FROM point p WHERE p.unit = unit_id;
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
    WHERE named IS NULL OR p.name = named
    ORDER BY s.point, s.quarter;
END
$$;
