-- 0018: regulators see their region, enterprises themselves; exports and acts are written down.
--
-- In the schema `seen` each table that holds something of somebody stands again, as a view of the rows that the
-- session's login may see. Views for people, and functions that run as their owner, look for a table there first
-- (`seen.bind`), so whatever reads `unit` reads the units that may be seen. What counts is session_user: SET ROLE and
-- functions that run as their owner leave it as it is, and who logged in cannot change it.

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['weir_alerts', 'weir_regulator', 'weir_enterprise'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;  -- another database of this server was faster
            END;
        END IF;
    END LOOP;
END
$$;

-- Which login may see what, and when. Rows are added and ended, never removed.
CREATE TABLE login_scope (
    login    text        NOT NULL,
    scope    text        NOT NULL CHECK (scope ~ '^(province|city|county|industry|unit):\w+(\+(province|city|county|industry|unit):\w+)*$'),
    from_at  timestamptz NOT NULL,
    until_at timestamptz CHECK (until_at >= from_at),
    PRIMARY KEY (login, scope, from_at)
);
COMMENT ON COLUMN login_scope.scope IS 'province:510000, city:510400, county:510402, industry:31, unit:CODE, or several joined by +: what is in all of them.';

CREATE SCHEMA seen;

-- `city:510400` as `5104`: what is inside it begins with the same digits.
CREATE FUNCTION seen.digits(part text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
SELECT CASE split_part(part, ':', 1) WHEN 'province' THEN 'region:' || substr(part, 10, 2) WHEN 'city' THEN 'region:' || substr(part, 6, 4)
       WHEN 'county' THEN 'region:' || substr(part, 8) ELSE part || '.' END
$$;

CREATE FUNCTION seen.within(scope text, granted text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
SELECT NOT EXISTS (
    SELECT FROM string_to_table(granted, '+') AS g
    WHERE NOT EXISTS (SELECT FROM string_to_table(scope, '+') AS s WHERE starts_with(seen.digits(s), seen.digits(g))))
$$;
COMMENT ON FUNCTION seen.within IS 'Whether all that is in `scope` is in `granted`, too.';

-- ---- What the session's login may see

CREATE FUNCTION seen.everything() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
SELECT pg_has_role(session_user, 'weir_reader', 'MEMBER') OR pg_has_role(session_user, 'weir_worker', 'MEMBER')
    OR pg_has_role(session_user, (SELECT relowner FROM pg_class WHERE oid = 'public.unit'::regclass), 'MEMBER')
$$;

CREATE FUNCTION seen.granted() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE ROWS 2 SET search_path = pg_catalog, pg_temp
AS $$
SELECT scope FROM public.login_scope
WHERE login = session_user AND from_at <= statement_timestamp() AND coalesce(until_at > statement_timestamp(), true)
$$;

CREATE FUNCTION seen.units() RETURNS SETOF integer
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
SELECT u.id FROM public.unit u
WHERE EXISTS (SELECT FROM seen.granted() AS g
              WHERE seen.within(format('unit:%s+county:%s+industry:%s', u.code, u.region, u.industry), g))
$$;

-- Of those that were told: each is found by its place in the key, not by reading all hours.
CREATE FUNCTION seen.scopes() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
WITH RECURSIVE told AS (
    SELECT min(scope) AS scope FROM public.region_hour
    UNION ALL
    SELECT (SELECT min(r.scope) FROM public.region_hour r WHERE r.scope > t.scope) FROM told t WHERE t.scope IS NOT NULL
)
SELECT t.scope FROM told t WHERE EXISTS (SELECT FROM seen.granted() AS g WHERE seen.within(t.scope, g))
$$;

-- What alerts are about: units by their codes, targets by `target:` and their ids.
CREATE FUNCTION seen.subjects() RETURNS SETOF text
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
SELECT u.code FROM public.unit u WHERE u.id IN (SELECT seen.units())
UNION ALL
SELECT 'target:' || (t.body ->> 'id')
FROM public.target_version v CROSS JOIN jsonb_array_elements(v.body -> 'targets') AS t (body)
GROUP BY t.body ->> 'id'
HAVING bool_and(EXISTS (SELECT FROM seen.granted() AS g WHERE seen.within(t.body ->> 'scope', g)))
$$;

CREATE TABLE seen.condition (
    relation text PRIMARY KEY,
    holds    text NOT NULL
);
COMMENT ON TABLE seen.condition IS 'For each table that holds something of somebody: of which rows a login that may not see everything is told.';
INSERT INTO seen.condition VALUES
    ('unit', 'id IN (SELECT seen.units())'),
    ('landing', 'unit IN (SELECT seen.subjects())'),
    ('region_hour', 'scope IN (SELECT seen.scopes())'),
    ('target_hour', 'scope IN (SELECT seen.scopes())'),
    ('level_change', 'scope IN (SELECT seen.scopes())'),
    ('alert_state', 'body #>> ''{key,unit}'' IN (SELECT seen.subjects())'),
    ('alert_transition', 'unit IN (SELECT seen.subjects())');

-- Makes the views of `seen`, and lets all that people read look there first. Called after every migration.
-- (No barrier on the views of `seen`: each is read inside of a view that has one, or by a function.)
CREATE FUNCTION seen.bind() RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
DECLARE
    one record;
    said text;
BEGIN
    FOR one IN SELECT * FROM seen.condition LOOP
        EXECUTE format('CREATE OR REPLACE VIEW seen.%1$I AS SELECT * FROM public.%1$I WHERE (SELECT seen.everything()) OR %2$s',
                       one.relation, one.holds);
    END LOOP;
    FOR one IN SELECT oid, relname FROM pg_class WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace LOOP
        PERFORM set_config('search_path', 'public, pg_temp', true);
        said := pg_get_viewdef(one.oid);
        PERFORM set_config('search_path', 'seen, public, pg_temp', true);
        EXECUTE format('CREATE OR REPLACE VIEW public.%I WITH (security_barrier) AS %s', one.relname, said);
    END LOOP;
    FOR one IN SELECT oid::regprocedure AS function FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = seen, public, pg_temp', one.function);
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION seen.bind FROM PUBLIC;

-- How far time has come in units that may be seen: as in 0008, which had no unit in it.
CREATE OR REPLACE VIEW watermark WITH (security_barrier) AS
SELECT CASE WHEN s.live THEN 'live units' ELSE 'units in history' END AS scope,
       count(*) AS units,
       count(*) FILTER (WHERE s.last_tick IS NULL) AS without_tick,
       instant(min(s.last_tick)) AS oldest,
       instant(max(s.last_tick)) AS newest,
       (SELECT committed_at FROM step ORDER BY id DESC LIMIT 1) AS last_write
FROM unit_state s JOIN unit u ON u.id = s.unit
GROUP BY s.live;

-- ---- Exports

CREATE TABLE export (
    id         bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    login      text        NOT NULL DEFAULT session_user,
    what       text        NOT NULL,
    scope      text        NOT NULL,
    parameters jsonb       NOT NULL,
    allowed    boolean     NOT NULL
);
COMMENT ON TABLE export IS 'Who took what out, and who was refused. Rows are added, never changed.';

CREATE FUNCTION note_export(what text, scope text, parameters jsonb) RETURNS TABLE (allowed boolean, may_see text[])
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    may boolean := seen.everything()
        OR EXISTS (SELECT FROM seen.granted() AS g WHERE seen.within($2, g))
        OR EXISTS (SELECT FROM public.unit u WHERE $2 = 'unit:' || u.code AND u.id IN (SELECT seen.units()));
BEGIN
    INSERT INTO public.export (what, scope, parameters, allowed) VALUES ($1, $2, $3, may);
    RETURN QUERY SELECT may, ARRAY(SELECT seen.granted() ORDER BY 1);
END
$$;
COMMENT ON FUNCTION note_export IS 'Writes down that the login takes something out; whether it may, and what it may see.';

CREATE VIEW audit_log AS
SELECT at, login, what, detail, reason, NULL::boolean AS allowed FROM act
UNION ALL
SELECT at, login, 'export: ' || what, jsonb_build_object('scope', scope) || parameters, '', allowed FROM export
UNION ALL
SELECT loaded_at, author, 'configuration', jsonb_build_object('version', version, 'hash', hash), reason, NULL FROM configuration
UNION ALL
SELECT loaded_at, author, 'targets', jsonb_build_object('version', version, 'hash', hash), reason, NULL FROM target_version;
COMMENT ON VIEW audit_log IS 'login: of configurations and targets who they say they are of.';

-- ---- Rights

GRANT SELECT, INSERT, UPDATE, DELETE ON alert_partition, alert_unit, alert_state TO weir_alerts;
GRANT SELECT, INSERT, UPDATE ON alert_delivery TO weir_alerts;
GRANT SELECT, INSERT ON alert_transition, alert_refused TO weir_alerts;
GRANT USAGE ON SCHEMA public TO weir_alerts, weir_regulator, weir_enterprise;
REVOKE ALL ON FUNCTION note_export FROM PUBLIC;
GRANT EXECUTE ON FUNCTION note_export TO weir_reader, weir_regulator, weir_enterprise;
GRANT EXECUTE ON FUNCTION readings, quarter_hours, figures, energy_by_hour, gaps, rejections, refusals, unit_papers, unit_factors, windows_told
    TO weir_regulator, weir_enterprise;
GRANT SELECT ON figure_told, figure_now, unit_now, point_standing, unit_verdict, unit_standing, figure_factors, unit_account, watermark,
    alert_standing, alert_log, unit_landing, scope_name, region_told, target_told, level_changed TO weir_regulator, weir_enterprise;
GRANT SELECT ON partition_now TO weir_regulator;

SELECT seen.bind();
