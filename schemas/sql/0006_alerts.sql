-- 0006: alerts: how far the indicators were heard, what is remembered, what happened, what was sent.
--
-- Written by alerts/store.py alone, in one transaction a batch. Instants in the bodies and in the
-- columns taken from them are bigint milliseconds of event time, as everywhere; what the wall clock
-- says (committed, delivered) is timestamptz. A body is the JSON of its contract in schemas/alert.py.

-- One row an indicator partition: the fence, as in the table partition (0002).
CREATE TABLE alert_partition (
    generation  integer NOT NULL,
    partition   integer NOT NULL,
    epoch       bigint  NOT NULL DEFAULT 0,
    next_offset bigint  NOT NULL,
    tick        jsonb,
    heard_at    bigint,
    PRIMARY KEY (generation, partition)
) WITH (fillfactor = 10, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);
COMMENT ON COLUMN alert_partition.tick IS 'Version of the newest tick of the live units.';
COMMENT ON COLUMN alert_partition.heard_at IS 'Its instant.';

-- What is remembered of every unit that was told: the version that makes a repeat a repeat.
-- Not by generation: a new topic with the same partitions goes on with the same alerts.
CREATE TABLE alert_unit (
    unit      text    PRIMARY KEY,
    partition integer NOT NULL,
    body      jsonb   NOT NULL
) WITH (fillfactor = 60);
CREATE INDEX ON alert_unit (partition);

-- The alerts that are pending or firing. Of an inactive one nothing is remembered.
CREATE TABLE alert_state (
    unit         text   NOT NULL,
    rule         text   NOT NULL,
    window_start bigint,
    body         jsonb  NOT NULL,
    state        text   NOT NULL GENERATED ALWAYS AS (body ->> 'state') STORED,
    kind         text   NOT NULL GENERATED ALWAYS AS (body ->> 'kind') STORED,
    severity     text   NOT NULL GENERATED ALWAYS AS (body ->> 'severity') STORED,
    since        bigint NOT NULL GENERATED ALWAYS AS ((body ->> 'since')::bigint) STORED,
    told_at      bigint NOT NULL GENERATED ALWAYS AS ((body ->> 'told_at')::bigint) STORED,
    episode      text   GENERATED ALWAYS AS (body ->> 'episode') STORED,
    UNIQUE NULLS NOT DISTINCT (unit, rule, window_start)
);

-- Every change of state, with its cause, its evidence and the words it was told in. Kept.
CREATE TABLE alert_transition (
    id           text        PRIMARY KEY,
    seq          bigint      NOT NULL GENERATED ALWAYS AS IDENTITY UNIQUE,
    generation   integer     NOT NULL,
    partition    integer     NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    body         jsonb       NOT NULL,
    unit         text        NOT NULL GENERATED ALWAYS AS (body ->> 'unit') STORED,
    rule         text        NOT NULL GENERATED ALWAYS AS (body ->> 'rule') STORED,
    kind         text        NOT NULL GENERATED ALWAYS AS (body ->> 'kind') STORED,
    severity     text        NOT NULL GENERATED ALWAYS AS (body ->> 'severity') STORED,
    window_start bigint      GENERATED ALWAYS AS ((body ->> 'window_start')::bigint) STORED,
    previous     text        NOT NULL GENERATED ALWAYS AS (body ->> 'previous') STORED,
    state        text        NOT NULL GENERATED ALWAYS AS (body ->> 'state') STORED,
    at           bigint      NOT NULL GENERATED ALWAYS AS ((body ->> 'at')::bigint) STORED,
    since        bigint      NOT NULL GENERATED ALWAYS AS ((body ->> 'since')::bigint) STORED,
    cause        text        NOT NULL GENERATED ALWAYS AS (body ->> 'cause') STORED,
    history      boolean     NOT NULL GENERATED ALWAYS AS ((body ->> 'history')::boolean) STORED,
    episode      text        GENERATED ALWAYS AS (body ->> 'episode') STORED
);
CREATE INDEX ON alert_transition (unit, seq);
CREATE INDEX ON alert_transition (episode) WHERE episode IS NOT NULL;

-- The outbox: what each channel is told, in the order of `seq` for each subject (rule, unit, window).
-- Waiting: not delivered, not refused. A firing that repeats is due again until its alert ends.
CREATE TABLE alert_delivery (
    transition      text        NOT NULL REFERENCES alert_transition,
    channel         text        NOT NULL,
    seq             bigint      NOT NULL,
    generation      integer     NOT NULL,
    partition       integer     NOT NULL,
    subject         text        NOT NULL,
    repeats         boolean     NOT NULL DEFAULT false,
    attempts        integer     NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT now(),
    next_attempt_at timestamptz DEFAULT now(),
    delivered_at    timestamptz,
    refused_at      timestamptz,
    last_error      text,
    PRIMARY KEY (transition, channel)
) WITH (fillfactor = 70);
CREATE INDEX ON alert_delivery (channel, next_attempt_at) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX ON alert_delivery (channel, subject, seq)
    WHERE delivered_at IS NULL AND refused_at IS NULL;

-- Records of the indicators' topic that could not be used: kept whole, with the reason.
CREATE TABLE alert_refused (
    generation integer     NOT NULL,
    partition  integer     NOT NULL,
    "offset"   bigint      NOT NULL,
    reason     text        NOT NULL,
    payload    bytea,
    refused_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (generation, partition, "offset")
);

-- For people and dashboards.
CREATE VIEW alert_now AS
SELECT s.unit, s.rule, s.kind, s.severity, s.state,
       to_timestamp(s.since / 1000.0) AS since,
       to_timestamp(s.told_at / 1000.0) AS told_at,
       to_timestamp(s.window_start / 1000.0) AS window_start,
       t.body #>> '{annotations,summary}' AS summary,
       t.body #>> '{annotations,description}' AS description,
       s.episode
FROM alert_state s LEFT JOIN alert_transition t ON t.id = s.episode;

CREATE VIEW alert_log AS
SELECT seq, unit, rule, kind, severity, previous, state, cause, history,
       to_timestamp(at / 1000.0) AS at,
       to_timestamp(since / 1000.0) AS since,
       to_timestamp(window_start / 1000.0) AS window_start,
       body #>> '{annotations,summary}' AS summary,
       body #>> '{annotations,description}' AS description,
       committed_at, id
FROM alert_transition;
