-- 0010: what others are told is JSON that says the same names again and again: a third of its length with lz4.
-- Kept in its row (MAIN); compressed where it is longer than PostgreSQL's threshold of 2 kB.
ALTER TABLE outbox ALTER COLUMN payload SET STORAGE MAIN, ALTER COLUMN payload SET COMPRESSION lz4;
ALTER TABLE outbox SET (toast_tuple_target = 128);
