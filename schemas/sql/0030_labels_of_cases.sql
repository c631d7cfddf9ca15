-- 0030: Alertmanager knows a case by its labels, so its severity there is the one that it began with.
ALTER TABLE alert_case ADD COLUMN first_severity text;
UPDATE alert_case SET first_severity = severity;
COMMENT ON COLUMN alert_case.first_severity IS 'NULL: as severity.';
