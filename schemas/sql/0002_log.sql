-- 0002: what was read from the log and is never changed, and how far.

-- One row an input partition: the fence. Few rows, changed several times a second: pages kept
-- nearly empty, so that each version stays in its page.
CREATE TABLE partition (
    generation      integer NOT NULL,
    partition       integer NOT NULL,
    epoch           bigint  NOT NULL DEFAULT 0,
    next_offset     bigint  NOT NULL,
    outbox_offset   bigint  NOT NULL DEFAULT -1,
    outbox_position integer NOT NULL DEFAULT -1,
    outbox_number   integer NOT NULL DEFAULT -1,
    PRIMARY KEY (generation, partition)
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);
COMMENT ON COLUMN partition.outbox_offset IS 'With outbox_position and outbox_number: the last row of the outbox that was published.';

CREATE TABLE step (
    id           bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    generation   integer     NOT NULL,
    partitions   integer[]   NOT NULL,
    firsts       bigint[]    NOT NULL,
    nexts        bigint[]    NOT NULL,
    readings     integer     NOT NULL,
    rejections   integer     NOT NULL,
    holes        bigint      NOT NULL,
    engine       text        NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN step.committed_at IS 'By the clock of the database, milliseconds before the commit.';

-- The readings: a row is what one section newly said of one business day, at most 120 readings.
-- `at` counts milliseconds from first_at. `sent_at` has one entry a reading or one for all.
-- Chunks of a week, by the business day. A chunk costs 10-20 ms to make, a year of one plant makes 53;
-- a province of 17,000 units sets it to a day (set_chunk_time_interval). See DECISIONS.md.
CREATE TABLE reading_record (
    unit        integer    NOT NULL,
    day         date       NOT NULL,
    first_at    bigint     NOT NULL,
    generation  integer    NOT NULL,
    partition   integer    NOT NULL,
    "offset"    bigint     NOT NULL,
    part        integer    NOT NULL,
    last_at     bigint     NOT NULL,
    received_at bigint     NOT NULL,
    statement   smallint   NOT NULL,
    rank        smallint   NOT NULL,
    revision    integer    NOT NULL,
    flags       smallint   NOT NULL,
    message     text       NOT NULL,
    point       smallint[] NOT NULL,
    at          integer[]  NOT NULL,
    value       bigint[]   NOT NULL,
    sent_at     bigint[]   NOT NULL,
    PRIMARY KEY (unit, day, first_at, generation, partition, "offset", part)
);
SELECT create_hypertable('reading_record', by_range('day', INTERVAL '7 days'), create_default_indexes => false);

CREATE TABLE rejection_record (
    unit        integer    NOT NULL,
    day         date       NOT NULL,
    first_at    bigint     NOT NULL,
    generation  integer    NOT NULL,
    partition   integer    NOT NULL,
    "offset"    bigint     NOT NULL,
    part        integer    NOT NULL,
    last_at     bigint     NOT NULL,
    received_at bigint     NOT NULL,
    statement   smallint   NOT NULL,
    rank        smallint   NOT NULL,
    revision    integer    NOT NULL,
    flags       smallint   NOT NULL,
    message     text       NOT NULL,
    point       smallint[] NOT NULL,
    at          integer[]  NOT NULL,
    value       bigint[]   NOT NULL,
    sent_at     bigint[]   NOT NULL,
    reason      text       NOT NULL,
    names       text[]     NOT NULL,
    PRIMARY KEY (unit, day, first_at, generation, partition, "offset", part)
);
SELECT create_hypertable('rejection_record', by_range('day', INTERVAL '7 days'), create_default_indexes => false);
COMMENT ON COLUMN rejection_record.names IS 'Names of points that the unit does not have; `point` is -1 there.';

-- A row stays whole in its page up to 8 kB and is never compressed: with a `sent_at` for each
-- reading 120 readings are 2.7 kB, and compressing on the hot path costs more than it saves.
ALTER TABLE reading_record SET (toast_tuple_target = 8160);
ALTER TABLE rejection_record SET (toast_tuple_target = 8160);

CREATE TABLE refused (
    generation  integer NOT NULL,
    partition   integer NOT NULL,
    "offset"    bigint  NOT NULL,
    part        integer NOT NULL,
    unit        text    NOT NULL,
    received_at bigint  NOT NULL,
    kind        text    NOT NULL,
    reason      text    NOT NULL,
    original    bytea   NOT NULL,
    length      bigint  NOT NULL,
    sha256      text    NOT NULL,
    PRIMARY KEY (generation, partition, "offset", part)
);
CREATE INDEX refused_of_unit ON refused (unit, received_at);

-- unit 0: the tick of the whole partition.
CREATE TABLE tick (
    generation integer NOT NULL,
    partition  integer NOT NULL,
    "offset"   bigint  NOT NULL,
    position   integer NOT NULL,
    unit       integer NOT NULL,
    at         bigint  NOT NULL,
    PRIMARY KEY (generation, partition, "offset", position, unit)
);

CREATE TABLE control (
    generation integer NOT NULL,
    partition  integer NOT NULL,
    "offset"   bigint  NOT NULL,
    text       text    NOT NULL,
    PRIMARY KEY (generation, partition, "offset", text)
);

CREATE TABLE door (
    generation  integer NOT NULL,
    partition   integer NOT NULL,
    door        text    NOT NULL,
    incarnation bigint  NOT NULL,
    sequence    bigint  NOT NULL,
    PRIMARY KEY (generation, partition, door)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);
