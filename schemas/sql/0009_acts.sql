-- 0009: what people do about the stream, and records that the engine could not digest.

-- Acts of people: who, when, what and why. Rows are added, never changed.
CREATE TABLE act (
    id     bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    login  text        NOT NULL DEFAULT session_user,
    what   text        NOT NULL,
    detail jsonb       NOT NULL,
    reason text        NOT NULL CHECK (reason <> '')
);
COMMENT ON COLUMN act.login IS 'The database login it was done with.';

-- A step whose write the database refuses is taken again with care up to here: rehearsed before it is written.
ALTER TABLE partition ADD COLUMN careful_until bigint NOT NULL DEFAULT 0;

-- Of dead letters: when they were put back into the log.
ALTER TABLE refused ADD COLUMN replayed_at timestamptz;
CREATE INDEX refused_dead ON refused (generation, partition, "offset") WHERE kind IN ('dead letter', 'no record');

GRANT SELECT ON act TO weir_worker;
