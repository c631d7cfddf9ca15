-- 0030: Alertmanager knows a case by its labels, so its severity there is the one that it began with.
ALTER TABLE alert_case ADD COLUMN first_severity text;
UPDATE alert_case SET first_severity = severity;
ALTER TABLE alert_case ALTER COLUMN first_severity SET NOT NULL;
