-- 0027: units by the scopes that they are in, and cases for who may see all units of one.

CREATE VIEW unit_scope WITH (security_barrier) AS
SELECT u.code AS unit, s.scope
FROM unit u
CROSS JOIN LATERAL (
    SELECT 'province:' || left(u.region, 2) || '0000' AS scope
    UNION ALL SELECT 'city:' || left(u.region, 4) || '00' WHERE substr(u.region, 3) <> '0000'
    UNION ALL SELECT 'county:' || u.region WHERE substr(u.region, 5) <> '00'
    UNION ALL SELECT 'industry:' || u.industry
) s
WHERE u.version IS NOT NULL;
COMMENT ON VIEW unit_scope IS 'A row a scope: province, city and county as far as the code goes, and industry.';

-- The alerts' worker keeps everybody's cases; what else it may read, its grants say.
CREATE OR REPLACE FUNCTION seen.everything() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
SELECT pg_has_role(session_user, 'weir_reader', 'MEMBER') OR pg_has_role(session_user, 'weir_worker', 'MEMBER')
    OR pg_has_role(session_user, 'weir_alerts', 'MEMBER')
    OR pg_has_role(session_user, (SELECT relowner FROM pg_class WHERE oid = 'public.unit'::regclass), 'MEMBER')
$$;

INSERT INTO seen.condition VALUES
    ('alert_case', 'NOT EXISTS (SELECT FROM public.alert_case_member m WHERE m.case_id = alert_case.id AND m.unit NOT IN (SELECT seen.subjects()))
                    AND EXISTS (SELECT FROM public.alert_case_member m WHERE m.case_id = alert_case.id)');

GRANT SELECT ON unit_scope TO weir_worker, weir_reader, weir_regulator, weir_enterprise;
GRANT SELECT ON case_now TO weir_regulator, weir_enterprise;
