-- 0046: what is pending says that a declared stop holds it back, wherever it is shown; targets of industries are told by name.
CREATE OR REPLACE VIEW alert_standing WITH (security_barrier) AS
SELECT a.unit, u.name AS unit_name, u.region, u.industry, a.rule, a.kind, a.severity, a.state, a.since, a.told_at, a.summary,
       (SELECT string_agg('objection ' || o.id, ', ' ORDER BY o.id) FROM objection_log o
        WHERE o.unit = a.unit AND o.upheld IS NULL) AS contested,
       a.stopped_until
FROM alert_now a
LEFT JOIN unit u ON u.code = a.unit;
COMMENT ON COLUMN alert_standing.stopped_until IS 'Pending, and held back by a declared stop until then.';

GRANT SELECT ON industry, target_version TO weir_alerts;
