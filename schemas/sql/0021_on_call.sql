-- 0021: cases, and what people do about them: acknowledgements, silences, who was told what.
--
-- A case is one fact as people hear of it: an alert alone, or many alerts with one cause. Alerts' own
-- tables (0006) stay as they are: what fires, fires whether it is told alone, with others or not at all.
-- Instants here are the wall clock's; `began_at` is data time.

-- Transitions that no case has taken up yet: the keeper of the cases takes them in order.
CREATE TABLE alert_case_queue (
    transition text PRIMARY KEY REFERENCES alert_transition
);

CREATE TABLE alert_case (
    id        text        PRIMARY KEY,
    kind      text        NOT NULL CHECK (kind IN ('alert', 'outage', 'change', 'late data', 'ended together')),
    scope     text        NOT NULL,
    severity  text        NOT NULL,
    region    text        NOT NULL DEFAULT '',
    began_at  timestamptz NOT NULL,
    opened_at timestamptz NOT NULL,
    told      integer     NOT NULL DEFAULT 0,
    told_at   timestamptz NOT NULL,
    level     smallint    NOT NULL DEFAULT 0,
    closed_at timestamptz,
    ending    text,
    summary     text      NOT NULL DEFAULT '',
    description text      NOT NULL DEFAULT '',
    tell_at   timestamptz
);
CREATE INDEX ON alert_case (closed_at NULLS FIRST);
CREATE INDEX ON alert_case (tell_at) WHERE tell_at IS NOT NULL;
COMMENT ON COLUMN alert_case.scope IS 'Of an alert its unit; else what its alerts share: city:510400, network:NAME, factor:12.';
COMMENT ON COLUMN alert_case.told IS 'Units that the newest word on it named.';
COMMENT ON COLUMN alert_case.level IS 'Step of the escalation that was told last, from 0.';
COMMENT ON COLUMN alert_case.tell_at IS 'Of many alerts: when Alertmanager is to hear of it again; NULL: never.';

CREATE TABLE alert_case_member (
    episode  text    PRIMARY KEY,
    case_id  text    NOT NULL REFERENCES alert_case,
    unit     text    NOT NULL,
    region   text    NOT NULL,
    rule     text    NOT NULL,
    kind     text    NOT NULL,
    severity text    NOT NULL,
    keys     text[]  NOT NULL,
    firing   boolean NOT NULL,
    ended_by text    REFERENCES alert_transition
);
CREATE INDEX ON alert_case_member (case_id);
COMMENT ON COLUMN alert_case_member.episode IS 'Id of the transition that fired.';

-- Who took a case up, and until when nobody farther is told of it.
CREATE TABLE alert_ack (
    id       bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    case_id  text        NOT NULL REFERENCES alert_case,
    owner    text        NOT NULL CHECK (owner <> ''),
    reason   text        NOT NULL CHECK (reason <> ''),
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    until    timestamptz NOT NULL,
    ended_at timestamptz,
    ended_by text
);
CREATE INDEX ON alert_ack (case_id);

CREATE TABLE alert_silence (
    id       bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    matchers jsonb       NOT NULL,
    owner    text        NOT NULL CHECK (owner <> ''),
    reason   text        NOT NULL CHECK (reason <> ''),
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    until    timestamptz NOT NULL,
    ended_at timestamptz,
    ended_by text,
    alertmanager_id text,
    alertmanager_ended boolean NOT NULL DEFAULT false
);
COMMENT ON COLUMN alert_silence.alertmanager_id IS 'Its id there; NULL until Alertmanager was told.';

-- Every word to people: what it was about, when it may go out, and to whom it went, or why to nobody.
CREATE TABLE alert_word (
    id       bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    what     text        NOT NULL CHECK (what IN ('opened', 'grown', 'worse', 'escalated', 'closed')),
    case_ids text[]      NOT NULL,
    severity text        NOT NULL,
    region   text        NOT NULL,
    level    smallint    NOT NULL,
    title    text        NOT NULL,
    body     text        NOT NULL,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    due_at   timestamptz NOT NULL,
    sent_at  timestamptz,
    withheld text
);
CREATE INDEX ON alert_word (due_at) WHERE sent_at IS NULL AND withheld IS NULL;
COMMENT ON COLUMN alert_word.sent_at IS 'When it was put into messages.';

CREATE TABLE alert_message (
    id           text        PRIMARY KEY,
    receiver     text        NOT NULL,
    who          text        NOT NULL,
    words        bigint[]    NOT NULL,
    title        text        NOT NULL,
    body         text        NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts     integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamptz DEFAULT now(),
    delivered_at timestamptz,
    refused_at   timestamptz,
    last_error   text
);
CREATE INDEX ON alert_message (next_attempt_at) WHERE next_attempt_at IS NOT NULL;
COMMENT ON COLUMN alert_message.id IS 'The idempotency key of its delivery.';

-- What the case added to a delivery: labels (the same from firing to its end) and annotations.
ALTER TABLE alert_delivery ADD COLUMN extra jsonb, ADD COLUMN held boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN alert_delivery.held IS 'Until the cases took it up, or for so long as next_attempt_at says: then it is told as it is.';

-- A case as it stands, for people and dashboards.
CREATE VIEW case_now WITH (security_barrier) AS
SELECT c.id, c.kind, c.scope, c.severity, c.region, c.began_at, c.opened_at, c.closed_at, c.ending, c.summary, c.description,
       m.units, m.firing,
       a.owner AS acknowledged_by, a.reason AS acknowledged_because, a.until AS acknowledged_until
FROM alert_case c
CROSS JOIN LATERAL (
    SELECT count(DISTINCT unit) AS units, count(DISTINCT unit) FILTER (WHERE firing) AS firing
    FROM alert_case_member WHERE case_id = c.id) m
LEFT JOIN LATERAL (
    SELECT * FROM alert_ack WHERE case_id = c.id AND ended_at IS NULL AND until > now() ORDER BY id DESC LIMIT 1) a ON true;
GRANT SELECT ON case_now TO weir_reader;

GRANT SELECT, INSERT, DELETE ON alert_case_queue TO weir_alerts;
GRANT SELECT, INSERT, UPDATE ON alert_case, alert_case_member, alert_ack, alert_silence, alert_word, alert_message TO weir_alerts;
GRANT SELECT ON case_now, unit, region, configuration, factor_pack, step TO weir_alerts;
GRANT INSERT ON act TO weir_alerts;
