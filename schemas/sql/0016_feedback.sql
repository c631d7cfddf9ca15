-- 0016: what units hear of what they sent: refusals as they come, and each day's account, signed.
--
-- `feedback` is written in the step's own transaction, a row a record and unit of which something was refused: nothing where
-- nothing was. Sent by processors/feedback_service.py, from a cursor of its own: the worker waits for nobody.
CREATE TABLE feedback (
    generation integer NOT NULL,
    partition  integer NOT NULL,
    "offset"   bigint  NOT NULL,
    number     integer NOT NULL,
    unit       text    NOT NULL,
    payload    bytea   NOT NULL,
    PRIMARY KEY (generation, partition, "offset", number)
);
ALTER TABLE feedback ALTER COLUMN payload SET STORAGE MAIN, ALTER COLUMN payload SET COMPRESSION lz4;

CREATE TABLE feedback_sent (
    generation integer NOT NULL,
    partition  integer NOT NULL,
    "offset"   bigint  NOT NULL,
    number     integer NOT NULL,
    PRIMARY KEY (generation, partition)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_scale_factor = 0);
COMMENT ON TABLE feedback_sent IS 'The last row of each partition that Kafka has.';

-- A day's account as it was told. What comes late for a day makes another revision.
CREATE TABLE account_told (
    unit       integer NOT NULL,
    day        date    NOT NULL,
    revision   integer NOT NULL,
    accepted   bigint  NOT NULL,
    repeated   bigint  NOT NULL,
    superseded bigint  NOT NULL,
    rejected   bigint  NOT NULL,
    unreadable bigint  NOT NULL,
    payload    bytea   NOT NULL,
    sent_at    timestamptz,
    PRIMARY KEY (unit, day, revision)
);
CREATE INDEX account_told_unsent ON account_told (unit) WHERE sent_at IS NULL;
COMMENT ON COLUMN account_told.payload IS 'JSON with its signature: the same bytes each time it is sent.';

-- Accounts are looked at by day once the day is over.
CREATE INDEX account_of_day ON account (day);

GRANT SELECT, INSERT ON feedback TO weir_worker;
GRANT SELECT, INSERT, UPDATE ON feedback_sent, account_told TO weir_worker;
