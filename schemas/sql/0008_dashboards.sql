-- 0008: what the two dashboards show beside the functions of 0005 and the views of 0006 and 0007.
--
-- Everything here is for weir_reader, who has no right on any table: views with a security barrier,
-- and functions that run as their owner and, where they read hypertables, plan anew at each call.
-- Columns are as people read them: codes, names, timestamptz, and numeric in the unit of measure.

-- A point: until when it was heard, and whether it is silent at its unit's last tick (RULES.md, section 6).
CREATE VIEW point_standing WITH (security_barrier) AS
SELECT u.code AS unit,
       u.name AS unit_name,
       u.region,
       u.industry,
       p.number,
       p.name AS point,
       p.quantity::text AS quantity,
       p.unit_of_measure,
       statement_name(p.statement) AS statement,
       scaled(p.rated) AS rated_per_hour,
       instant(p.valid_from) AS valid_from,
       instant(p.valid_to) AS valid_to,
       instant(nullif(s.ends[p.number + 1], p.valid_from)) AS heard_until,
       coalesce(s.last_tick >= p.valid_from
                AND (p.valid_to IS NULL OR s.last_tick < p.valid_to)
                AND s.last_tick - s.ends[p.number + 1] > p.cadence_ms + p.tolerance_ms, false) AS silent,
       instant(s.ends[p.number + 1]) AS silent_since,
       round((s.last_tick - s.ends[p.number + 1]) / 3600000.0, 2) AS silent_hours,
       scaled(allowed(p.rated, s.ends[p.number + 1], greatest(s.last_tick, s.ends[p.number + 1]))) AS missing_high,
       instant(s.last_tick) AS watermark
FROM point p
JOIN unit u ON u.id = p.unit
LEFT JOIN unit_state s ON s.unit = p.unit;
COMMENT ON COLUMN point_standing.heard_until IS 'End of what its readings cover; NULL: nothing was heard yet.';
COMMENT ON COLUMN point_standing.silent_since IS 'Of a silent point; the beginning of its validity where nothing was heard.';
COMMENT ON COLUMN point_standing.missing_high IS 'The most that can have passed since then, by its rated maximum.';

-- The verdict of every year of a unit, as last told.
CREATE VIEW unit_verdict WITH (security_barrier) AS
SELECT u.code AS unit,
       business_year(w.starts) AS year,
       instant(w.starts) AS starts,
       instant(w.as_of) AS as_of,
       CASE WHEN w.judged ->> 'verdict' = 'FAIL' THEN 'confirmed breach'
            WHEN (w.judged ->> 'suspected')::boolean THEN 'suspected breach'
            WHEN w.judged ->> 'verdict' = 'UNDECIDABLE' THEN 'cannot be judged'
            WHEN w.judged ->> 'verdict' = 'PASS' THEN 'within quota'
            ELSE 'no quota' END AS standing,
       w.judged ->> 'reason' AS reason,
       instant((w.judged ->> 'since')::bigint) AS since,
       scaled((w.judged ->> 'limit')::bigint) AS quota_tce,
       scaled((w.judged #>> '{figures,energy,low}')::bigint) AS energy_low,
       scaled((w.judged #>> '{figures,energy,best}')::bigint) AS energy_best,
       scaled((w.judged #>> '{figures,energy,high}')::bigint) AS energy_high,
       round(((w.judged #>> '{figures,energy,best}')::numeric / nullif((w.judged ->> 'limit')::numeric, 0)), 4) AS best_of_quota,
       scaled((w.judged #>> '{figures,energy,share_measured}')::bigint) AS share_measured
FROM unit_window w
JOIN unit u ON u.id = w.unit
WHERE w.kind = 'year';
COMMENT ON COLUMN unit_verdict.as_of IS 'Instant that the figures were told for: a full hour, or when the verdict changed.';

-- A registered unit: its newest year, and its points. Looked up unit by unit: how many rows the
-- parts have is beyond what the planner can guess, and a wrong guess would cost minutes.
CREATE VIEW unit_standing WITH (security_barrier) AS
SELECT n.unit,
       n.name,
       n.region,
       r.name || coalesce(' (' || nullif(r.name_zh, '') || ')', '') AS region_name,
       n.industry,
       n.industry || ' ' || i.name || coalesce(' (' || nullif(i.name_zh, '') || ')', '') AS industry_name,
       coalesce(v.standing, 'nothing told yet') AS standing,
       n.year, n.as_of, n.reason, n.since, n.quota_tce, n.energy_low, n.energy_best, n.energy_high,
       v.best_of_quota, v.share_measured,
       n.last_tick AS watermark,
       p.silent_points,
       CASE WHEN n.live OR n.last_tick IS NULL THEN 'now-7d' ELSE (ms_of(n.last_tick) - 7 * 86400000)::text END AS link_from,
       CASE WHEN n.live OR n.last_tick IS NULL THEN 'now' ELSE ms_of(n.last_tick)::text END AS link_to
FROM unit_now n
LEFT JOIN region r ON r.code = n.region
LEFT JOIN industry i ON i.code = n.industry
LEFT JOIN LATERAL (SELECT * FROM unit_verdict WHERE unit_verdict.unit = n.unit AND unit_verdict.year = n.year) v ON true
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE silent) AS silent_points FROM point_standing WHERE point_standing.unit = n.unit
) p;
COMMENT ON COLUMN unit_standing.watermark IS 'The unit''s last tick: its standing and its silent points hold at this instant.';
COMMENT ON COLUMN unit_standing.link_from IS 'With link_to: the week that the unit''s dashboard opens on, in the unit''s own time.';

-- The factors that a figure told was converted by.
CREATE VIEW figure_factors WITH (security_barrier) AS
SELECT u.code AS unit,
       w.kind AS window_kind,
       instant(w.starts) AS starts,
       f.key AS quantity,
       (SELECT string_agg(factor, ', ') FROM jsonb_array_elements_text(f.value -> 'factors') AS factor) AS factors
FROM unit_window w
JOIN unit u ON u.id = w.unit
CROSS JOIN LATERAL jsonb_each(w.judged -> 'figures') f
WHERE f.value ? 'factors';

-- What came from a unit, by business day of its arrival.
CREATE VIEW unit_account WITH (security_barrier) AS
SELECT u.code AS unit,
       a.day,
       a.accepted + a.repeated + a.superseded + a.rejected + a.unreadable AS received,
       a.accepted, a.repeated, a.superseded, a.rejected, a.unreadable
FROM account a
JOIN unit u ON u.id = a.unit;

-- How far time has come, in the units that had a tick.
CREATE VIEW watermark WITH (security_barrier) AS
SELECT CASE WHEN live THEN 'live units' ELSE 'units in history' END AS scope,
       count(*) AS units,
       count(*) FILTER (WHERE last_tick IS NULL) AS without_tick,
       instant(min(last_tick)) AS oldest,
       instant(max(last_tick)) AS newest,
       (SELECT committed_at FROM step ORDER BY id DESC LIMIT 1) AS last_write
FROM unit_state
GROUP BY live;
COMMENT ON COLUMN watermark.last_write IS 'By the clock of the database.';

-- Alerts that are pending or firing, with whom they concern.
CREATE VIEW alert_standing WITH (security_barrier) AS
SELECT a.unit, u.name AS unit_name, u.region, u.industry, a.rule, a.kind, a.severity, a.state, a.since, a.told_at, a.summary
FROM alert_now a
LEFT JOIN unit u ON u.code = a.unit;

-- A unit's energy hour by hour until its last tick: figures() for each hour, planned once for all
-- of them. It reads no hypertable.
CREATE FUNCTION energy_by_hour(unit text, from_at timestamptz, till timestamptz)
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
        SELECT sum(c.low) AS low, sum(c.best) AS best, sum(c.high) AS high, array_agg(c.quantity) AS carriers
        FROM converted_of(unit_id, h.hour, h.hour + 1) c WHERE c.target = 'energy'
    ) e
    CROSS JOIN LATERAL (
        SELECT sum(greatest(0, least(h.hour * 3600000 + 3600000, p.valid_to) - greatest(h.hour * 3600000, p.valid_from))) AS expected,
               (SELECT coalesce(sum(measured_ms), 0) FROM hour k
                WHERE k.unit = unit_id AND k.hour = h.hour AND k.quantity = ANY (e.carriers)) AS measured
        FROM point p WHERE p.unit = unit_id AND p.quantity = ANY (e.carriers)
    ) m
    CROSS JOIN LATERAL opening_of(unit_id, 'energy', h.hour * 3600000, h.hour * 3600000 + 3600000) o
    WHERE m.expected > 0
    ORDER BY h.hour;
END
$$;

-- Where a unit's points are not one exact amount after another in [from_at, till): what the bounds of
-- its figures come from. Of registers as the table `gap` has it; of periods what no winner covers, seen
-- from a day before `from_at`; and what is silent until now, without an end.
CREATE FUNCTION gaps(unit text, from_at timestamptz, till timestamptz)
RETURNS TABLE (point_name text, quantity text, unit_of_measure text, kind text, starts timestamptz, ends timestamptz,
               low numeric, high numeric, from_register numeric, to_register numeric)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = public, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    asked ALIAS FOR $1;
    unit_id integer := (SELECT id FROM unit WHERE code = asked);
    from_ms bigint := ms_of(from_at);
    till_ms bigint := ms_of($3);
    earlier_ms bigint := from_ms - 86400000;
BEGIN
    RETURN QUERY
    WITH told AS (  -- what periods cover, between two empty ones at the ends of what is looked at
        SELECT w.point, w.at AS starts, end_of_period(p.statement, w.at) AS ends
        FROM winners_of(unit_id, NULL, earlier_ms, till_ms) w
        JOIN point p ON p.unit = unit_id AND p.number = w.point AND p.statement BETWEEN 1 AND 4
        UNION ALL
        SELECT p.number, edge.at, edge.at
        FROM point p JOIN unit_state s ON s.unit = p.unit
        CROSS JOIN LATERAL (VALUES (greatest(earlier_ms, p.valid_from)), (least(till_ms, s.ends[p.number + 1]))) AS edge (at)
        WHERE p.unit = unit_id AND p.statement BETWEEN 1 AND 4
          AND greatest(earlier_ms, p.valid_from) < least(till_ms, s.ends[p.number + 1])
    ), hole AS (
        SELECT t.point, max(t.ends) OVER earlier AS starts, t.starts AS ends
        FROM told t
        WINDOW earlier AS (PARTITION BY t.point ORDER BY t.starts, t.ends ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
    ), piece AS (
        SELECT h.point, 'missing periods' AS kind, h.starts, h.ends, 0::bigint AS low, NULL::bigint AS high,
               NULL::bigint AS from_register, NULL::bigint AS to_register
        FROM hole h WHERE h.starts < h.ends
        UNION ALL
        SELECT g.point,
               CASE WHEN g.kind = 'event' THEN 'register event' WHEN g.kind = 'leading' THEN 'before the first reading'
                    WHEN g.low = g.high THEN 'gap, amount known' ELSE 'gap, amount in bounds' END,
               g.starts, g.ends, g.low, CASE WHEN g.kind = 'known' THEN g.high END, g.from_register, g.to_register
        FROM gap g JOIN point p ON p.unit = g.unit AND p.number = g.point
        WHERE g.unit = unit_id AND p.statement = 0
          AND (g.kind <> 'known' OR g.low < g.high OR g.ends - g.starts > p.cadence_ms + p.tolerance_ms)
    )
    SELECT p.name, p.quantity::text, p.unit_of_measure, piece.kind, instant(piece.starts), instant(piece.ends), scaled(piece.low),
           scaled(coalesce(piece.high, allowed(p.rated, piece.starts, piece.ends))),
           scaled(piece.from_register), scaled(piece.to_register)
    FROM piece JOIN point p ON p.unit = unit_id AND p.number = piece.point
    WHERE piece.starts < till_ms AND piece.ends > from_ms
    UNION ALL
    SELECT s.point, s.quantity, s.unit_of_measure, 'silent', s.silent_since, NULL, 0, s.missing_high, NULL, NULL
    FROM point_standing s WHERE s.unit = asked AND s.silent AND s.silent_since < $3;
END
$$;
COMMENT ON FUNCTION gaps IS 'high of what is unknown: the most that can have passed there, by the rated maximum.';

-- Why readings of a unit were rejected, by their own instant in [from_at, till).
CREATE FUNCTION rejections(unit text, from_at timestamptz, till timestamptz)
RETURNS TABLE (reason text, point_name text, count bigint, first_at timestamptz, last_at timestamptz)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = public, pg_temp
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    asked ALIAS FOR $1;
    unit_id integer := (SELECT id FROM unit WHERE code = asked);
    from_ms bigint := ms_of(from_at);
    till_ms bigint := ms_of($3);
BEGIN
    RETURN QUERY
    SELECT r.reason, coalesce(p.name, c.name), count(*), instant(min(r.first_at + c.at)), instant(max(r.first_at + c.at))
    FROM rejection_record r
    CROSS JOIN LATERAL unnest(r.point, r.at, r.names) AS c (point, at, name)
    LEFT JOIN point p ON p.unit = r.unit AND p.number = c.point
    WHERE r.unit = unit_id
      AND r.day BETWEEN business_day(from_ms) AND business_day(till_ms - 1)
      AND r.first_at < till_ms AND r.last_at >= from_ms
      AND r.first_at + c.at >= from_ms AND r.first_at + c.at < till_ms
    GROUP BY r.reason, coalesce(p.name, c.name);
END
$$;
COMMENT ON FUNCTION rejections IS 'point_name: as the sender wrote it where the unit has no such point.';

-- What the door refused or could not read, of the newest 1,000; these have no instant but their arrival.
CREATE FUNCTION refusals(unit text)
RETURNS TABLE (kind text, reason text, count bigint, first_at timestamptz, last_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = public, pg_temp
AS $$
SELECT r.kind, r.reason, count(*), instant(min(r.received_at)), instant(max(r.received_at))
FROM (SELECT kind, reason, received_at FROM refused WHERE refused.unit = $1 ORDER BY received_at DESC LIMIT 1000) r
GROUP BY r.kind, r.reason
$$;

REVOKE ALL ON FUNCTION energy_by_hour, gaps, rejections, refusals FROM PUBLIC;
GRANT EXECUTE ON FUNCTION energy_by_hour, gaps, rejections, refusals TO weir_reader;
GRANT SELECT ON point_standing, unit_verdict, unit_standing, figure_factors, unit_account, watermark, alert_standing TO weir_reader;
ALTER VIEW alert_log SET (security_barrier = true);
GRANT SELECT ON alert_log TO weir_reader;
