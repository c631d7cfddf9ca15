-- 0038: a change of a target's level is told to who is on duty for its region.
GRANT SELECT ON target_hour TO weir_alerts;
