-- 0043: what a login declares by the function itself is bounded like what comes through the doors.
ALTER TABLE stop_entry
    ADD CONSTRAINT dated CHECK (starts >= 0 AND ends <= 7258118400000 AND ends - starts <= 34560000000),
    ADD CONSTRAINT short CHECK (length(name) <= 64 AND length(evidence) <= 500 AND length(declared_by) <= 500
                                AND length(reason) <= 500 AND cardinality(points) <= 500);
COMMENT ON CONSTRAINT dated ON stop_entry IS 'From 1970 to 2199, at most 400 days.';
