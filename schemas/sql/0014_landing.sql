-- 0014: where each unit's year lands, told each business midnight by the aggregator.
--
-- Amounts are bigint 10⁻⁶ tce; instants are bigint milliseconds. Whole days and years are taken from what units told,
-- in the transaction of the hour that cuts them out of the log. A row of `landing`, once told, is never changed.

-- Days that were told to their end; of several tellings of one the newest not later than the midnight counts.
CREATE TABLE landing_day (
    unit   text   NOT NULL,
    starts bigint NOT NULL,
    as_of  bigint NOT NULL,
    low    bigint NOT NULL,
    best   bigint NOT NULL,
    high   bigint,
    PRIMARY KEY (unit, starts, as_of)
);
COMMENT ON COLUMN landing_day.high IS 'NULL: unknown.';

-- Years as told. Those before a newer one that a midnight took are removed; the outbox keeps them all.
CREATE TABLE landing_year (
    place      bigint  NOT NULL,
    unit       text    NOT NULL,
    starts     bigint  NOT NULL,
    as_of      bigint  NOT NULL,
    low        bigint  NOT NULL,
    best       bigint  NOT NULL,
    high       bigint,
    share      bigint  NOT NULL,
    quota      bigint,
    factors    text[]  NOT NULL,
    unverified boolean NOT NULL,
    history    boolean NOT NULL,
    PRIMARY KEY (starts, unit, place)
);
COMMENT ON COLUMN landing_year.place IS 'The midnight told for; of tellings between two midnights the last one, just behind the first.';

-- The first hour whose cut was gathered here: what was told before it was read from the log's beginning.
CREATE TABLE landing_begun (
    one  boolean PRIMARY KEY DEFAULT true CHECK (one),
    hour bigint  NOT NULL
);

CREATE TABLE landing (
    unit    text    NOT NULL,
    at      bigint  NOT NULL,
    begins  bigint  NOT NULL,
    history boolean NOT NULL,
    cause   text    NOT NULL,
    landed  jsonb   NOT NULL,
    PRIMARY KEY (unit, at)
);
COMMENT ON TABLE landing IS 'One row a unit with a quota and a business midnight; landed is a schemas.landing.Landed.';
COMMENT ON COLUMN landing.begins IS 'First validity of the unit''s points.';

-- ---- Rights and views

GRANT SELECT, INSERT, UPDATE ON landing_day TO weir_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON landing_year TO weir_worker;
GRANT SELECT, INSERT ON landing_begun, landing TO weir_worker;

-- Alerts on a unit's landings are remembered under `landing:` and its code, and are the unit's.
CREATE OR REPLACE VIEW alert_now AS
SELECT s.body #>> '{key,unit}' AS unit, s.rule, s.kind, s.severity, s.state,
       to_timestamp(s.since / 1000.0) AS since,
       to_timestamp(s.told_at / 1000.0) AS told_at,
       to_timestamp(s.window_start / 1000.0) AS window_start,
       t.body #>> '{annotations,summary}' AS summary,
       t.body #>> '{annotations,description}' AS description,
       s.episode
FROM alert_state s LEFT JOIN alert_transition t ON t.id = s.episode;

-- As people read it: amounts in tce, burn rates as a multiple of what the quota allows.
CREATE VIEW unit_landing WITH (security_barrier) AS
SELECT l.unit,
       instant(l.at) AS at,
       (l.landed ->> 'year')::integer AS year,
       l.landed ->> 'state' AS state,
       l.landed ->> 'reason' AS reason,
       l.landed #>> '{projected,basis}' AS basis,
       scaled((l.landed ->> 'quota')::bigint) AS quota_tce,
       scaled((l.landed #>> '{used,best}')::bigint) AS used_best,
       scaled((l.landed #>> '{projected,year_end,low}')::bigint) AS year_end_low,
       scaled((l.landed #>> '{projected,year_end,best}')::bigint) AS year_end_best,
       scaled((l.landed #>> '{projected,year_end,high}')::bigint) AS year_end_high,
       (l.landed #>> '{projected,exhaustion,earliest}')::date AS exhausted_earliest,
       (l.landed #>> '{projected,exhaustion,best}')::date AS exhausted_best,
       (l.landed #>> '{projected,exhaustion,latest}')::date AS exhausted_latest,
       (l.landed #>> '{fast,best}')::numeric / 1000 AS burn_fast,
       (l.landed #>> '{slow,best}')::numeric / 1000 AS burn_slow,
       scaled((l.landed #>> '{per_day,low}')::bigint) AS per_day_safe,
       scaled((l.landed #>> '{per_day,best}')::bigint) AS per_day_best,
       scaled((l.landed ->> 'share_measured')::bigint) AS share_measured,
       (l.landed ->> 'unverified')::boolean AS unverified
FROM landing l;
COMMENT ON COLUMN unit_landing.per_day_safe IS 'What may be used a day until the year ends, whatever is missing.';
GRANT SELECT ON unit_landing TO weir_worker, weir_reader;
