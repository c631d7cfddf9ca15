-- 0035: `alerts doctor` says whether the tables are those of its release.
GRANT SELECT ON migration TO weir_alerts;
