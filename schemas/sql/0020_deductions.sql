-- 0020: evidence of deductions, and targets that are net of them.

-- Evidence and withdrawals as people loaded them: what each file added, from an hour on. What becomes of it is derived
-- (processors/ledger.py), and the same for everybody.
CREATE TABLE deduction_version (LIKE target_version INCLUDING ALL);
ALTER TABLE deduction_version ADD COLUMN login text NOT NULL DEFAULT session_user;
ALTER TABLE target_version ADD COLUMN login text;
ALTER TABLE target_version ALTER COLUMN login SET DEFAULT session_user;
COMMENT ON COLUMN target_version.login IS 'The database login that loaded it; NULL: before this was kept.';
GRANT SELECT, INSERT ON deduction_version TO weir_worker;

-- What can be deducted from.
ALTER TABLE region_telling ADD COLUMN configuration integer NOT NULL DEFAULT 0, ADD COLUMN natives bigint[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN region_telling.natives IS 'low, best, high of electricity (10⁻⁶ kWh), then of raw coal (10⁻⁶ t); NULL: unknown. Empty: told before this was kept.';

ALTER TABLE target_hour ADD COLUMN net_of text[] NOT NULL DEFAULT '{}', ADD COLUMN gross_low bigint, ADD COLUMN gross_best bigint, ADD COLUMN gross_high bigint;
COMMENT ON COLUMN target_hour.gross_low IS 'Used before deductions, where the target is net of some.';

CREATE OR REPLACE VIEW target_told WITH (security_barrier) AS
SELECT t.target, t.scope, coalesce(n.name, t.scope) AS name, t.year, t.quantity, t.covers,
       instant(t.hour) AS hour,
       t.hour = (SELECT max(m.hour) FROM target_hour m WHERE m.target = t.target) AS is_newest,
       scaled(t.target_amount) AS target_amount, scaled(t.allowed) AS allowed, t.basis,
       scaled(t.low) AS low, scaled(t.best) AS best, scaled(t.high) AS high,
       t.verdict, t.reason, t.level, t.level_reason, t.rule,
       t.net_of, scaled(t.gross_low) AS gross_low, scaled(t.gross_best) AS gross_best, scaled(t.gross_high) AS gross_high
FROM target_hour t
LEFT JOIN scope_name n USING (scope);

CREATE OR REPLACE VIEW audit_log AS
SELECT at, login, what, detail, reason, NULL::boolean AS allowed FROM act
UNION ALL
SELECT at, login, 'export: ' || what, jsonb_build_object('scope', scope) || parameters, '', allowed FROM export
UNION ALL
SELECT loaded_at, author, 'configuration', jsonb_build_object('version', version, 'hash', hash), reason, NULL FROM configuration
UNION ALL
SELECT loaded_at, coalesce(login, author), 'targets', jsonb_build_object('version', version, 'hash', hash, 'author', author), reason, NULL FROM target_version
UNION ALL
SELECT loaded_at, login, 'deductions', jsonb_build_object('version', version, 'hash', hash, 'author', author), reason, NULL FROM deduction_version;
COMMENT ON VIEW audit_log IS 'login: of configurations, and of targets before it was kept, who they say they are of.';
