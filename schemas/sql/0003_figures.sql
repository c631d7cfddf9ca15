-- 0003: what is derived from the log, as it is at partition.next_offset. Rows that change in every
-- step leave room in their pages and have no index on what changes, so that an update stays in its page.

CREATE TYPE gap_kind AS ENUM ('known', 'leading', 'event');

CREATE TABLE unit_state (
    unit      integer  PRIMARY KEY,
    partition integer  NOT NULL,
    last_tick bigint,
    live      boolean  NOT NULL,
    ends      bigint[] NOT NULL,
    blob      bytea    NOT NULL
) WITH (fillfactor = 50, toast_tuple_target = 4080,
        autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_scale_factor = 0.2, autovacuum_vacuum_cost_delay = 0);
-- Uncompressed: pglz would cost more than the whole write of the row.
ALTER TABLE unit_state ALTER COLUMN ends SET STORAGE EXTERNAL, ALTER COLUMN blob SET STORAGE EXTERNAL;

-- The columns are told in processors/ports.HOUR_FIELDS. `hour` counts hours since 1970-01-01 UTC.
CREATE TABLE hour (
    unit         integer  NOT NULL,
    hour         integer  NOT NULL,
    quantity     quantity NOT NULL,
    best         bigint   NOT NULL,
    unknown_best bigint   NOT NULL,
    unknown_high bigint   NOT NULL,
    measured_ms  bigint   NOT NULL,
    inexact      bigint   NOT NULL,
    before_low   bigint   NOT NULL,
    before_high  bigint   NOT NULL,
    after_low    bigint   NOT NULL,
    after_high   bigint   NOT NULL,
    fingerprint  bigint   NOT NULL,
    PRIMARY KEY (unit, hour, quantity)
) WITH (fillfactor = 60,
        autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE gap (
    unit          integer  NOT NULL,
    point         smallint NOT NULL,
    starts        bigint   NOT NULL,
    ends          bigint   NOT NULL,
    kind          gap_kind NOT NULL,
    low           bigint   NOT NULL,
    high          bigint   NOT NULL,
    from_register bigint,
    to_register   bigint,
    PRIMARY KEY (unit, point, starts)
) WITH (fillfactor = 80);

-- A day, month or year as last told; judged is the JSON of schemas/indicator.Judged.
CREATE TABLE unit_window (
    unit     integer NOT NULL,
    kind     text    NOT NULL,
    starts   bigint  NOT NULL,
    ends     bigint  NOT NULL,
    as_of    bigint  NOT NULL,
    "offset" bigint  NOT NULL,
    position integer NOT NULL,
    judged   jsonb   NOT NULL,
    PRIMARY KEY (unit, kind, starts)
) WITH (fillfactor = 60,
        autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

CREATE TABLE account (
    unit       integer NOT NULL,
    day        date    NOT NULL,
    accepted   bigint  NOT NULL,
    repeated   bigint  NOT NULL,
    superseded bigint  NOT NULL,
    rejected   bigint  NOT NULL,
    unreadable bigint  NOT NULL,
    PRIMARY KEY (unit, day)
) WITH (fillfactor = 50,
        autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
COMMENT ON TABLE account IS 'By business day of received_at: received = the sum of the five.';
