-- 0032: what people are told of an alert says whether the figure is contested.
GRANT SELECT ON objection_log TO weir_alerts;
