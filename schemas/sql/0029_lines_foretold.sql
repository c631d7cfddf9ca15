-- 0029: what a restatement changes for product lines is foretold, too.
GRANT SELECT ON line, line_point, line_window TO weir_steward;
