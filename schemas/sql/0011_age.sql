-- 0011: the age of the store: generations of the log, what is kept and for how long, and holds.

-- Generations that `partitions resize` began. A worker with another count would share the units out otherwise.
CREATE TABLE generation (
    generation integer     PRIMARY KEY,
    partitions integer     NOT NULL CHECK (partitions >= 1),
    begun_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT ON generation TO weir_worker;

-- Only the log that is being read: an older one stands still for ever, and is no reason for an alarm.
CREATE OR REPLACE VIEW partition_now WITH (security_barrier) AS
SELECT p.generation, p.partition, p.epoch, p.next_offset, p.outbox_offset, instant(t.at) AS last_tick, w.committed_at AS last_write
FROM partition p
LEFT JOIN LATERAL (
    SELECT max(at) AS at FROM tick WHERE generation = p.generation AND partition = p.partition AND unit = 0) t ON true
CROSS JOIN LATERAL (SELECT max(committed_at) AS committed_at FROM (SELECT committed_at FROM step ORDER BY id DESC LIMIT 1) s) w
WHERE p.generation = (SELECT max(generation) FROM partition);
