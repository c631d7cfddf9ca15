-- 0013: sums of regions and industries, hour by hour, and the targets that they are held to.
--
-- Written by processors/aggregator.py alone, one transaction an hour, under an advisory lock. Amounts are bigint
-- 10⁻⁶ tce or t CO2; instants are bigint milliseconds. A row of an hour, once told, is never changed.

-- The last hour that was told, and how far its messages are on weir.regions.v1.
CREATE TABLE aggregation (
    one           boolean PRIMARY KEY DEFAULT true CHECK (one),
    hour          bigint  NOT NULL,
    outbox_hour   bigint  NOT NULL DEFAULT -1,
    outbox_number integer NOT NULL DEFAULT -1
);

-- Where each hour cuts each partition's log: its first tick at or past the hour.
CREATE TABLE region_cut (
    hour       bigint  NOT NULL,
    generation integer NOT NULL,
    partition  integer NOT NULL,
    "offset"   bigint  NOT NULL,
    position   integer NOT NULL,
    PRIMARY KEY (hour, generation, partition)
);

-- What each unit had told of its months and years by the last hour's cut. Not counted: told ahead of the hour.
-- A counted telling that a newer one takes the place of is removed; the outbox keeps them all.
CREATE TABLE region_telling (
    unit        text    NOT NULL,
    kind        text    NOT NULL,
    starts      bigint  NOT NULL,
    ends        bigint  NOT NULL,
    as_of       bigint  NOT NULL,
    counted     boolean NOT NULL,
    cause       text    NOT NULL,
    silent      integer NOT NULL,
    verdict     text,
    fed         boolean NOT NULL,
    share       bigint  NOT NULL,
    energy_low  bigint  NOT NULL,
    energy_best bigint  NOT NULL,
    energy_high bigint,
    co2_low     bigint  NOT NULL,
    co2_best    bigint  NOT NULL,
    co2_high    bigint,
    PRIMARY KEY (kind, starts, unit, as_of)
) WITH (fillfactor = 60,
        autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX region_telling_ahead ON region_telling (as_of) WHERE NOT counted;
COMMENT ON COLUMN region_telling.fed IS 'False: the unit has nothing that counts as energy.';

CREATE TABLE region_hour (
    scope       text    NOT NULL,
    kind        text    NOT NULL,
    starts      bigint  NOT NULL,
    hour        bigint  NOT NULL,
    ends        bigint  NOT NULL,
    energy_low  bigint  NOT NULL,
    energy_best bigint  NOT NULL,
    energy_high bigint,
    co2_low     bigint  NOT NULL,
    co2_best    bigint  NOT NULL,
    co2_high    bigint,
    share       bigint  NOT NULL,
    units       integer NOT NULL,
    told        integer NOT NULL,
    pending     integer NOT NULL,
    silent      integer NOT NULL,
    broken      integer NOT NULL,
    not_judged  integer NOT NULL,
    PRIMARY KEY (scope, kind, starts, hour)
);
CREATE INDEX region_hour_by_hour ON region_hour (hour);
COMMENT ON COLUMN region_hour.scope IS 'province:510000, city:510400, county:510402, industry:31, or two joined by +.';
COMMENT ON COLUMN region_hour.energy_high IS 'NULL: unknown, as that of one of its units is.';
COMMENT ON COLUMN region_hour.share IS 'Share measured in 10⁻⁶: the mean of its units''; who is pending counts as nothing.';
COMMENT ON COLUMN region_hour.told IS 'Units whose figures reach the hour; `pending`: those whose own time is behind it.';
COMMENT ON COLUMN region_hour.broken IS 'Above their quota by what they told last; `not_judged`: UNDECIDABLE, of the units told. Of years alone.';

CREATE TABLE region_outbox (
    hour      bigint  NOT NULL,
    number    integer NOT NULL,
    partition integer,
    key       text    NOT NULL,
    payload   bytea   NOT NULL,
    PRIMARY KEY (hour, number)
);
COMMENT ON COLUMN region_outbox.partition IS 'Of weir.indicators.v1, for the alerts; NULL: weir.regions.v1.';
ALTER TABLE region_outbox ALTER COLUMN payload SET STORAGE MAIN, ALTER COLUMN payload SET COMPRESSION lz4;

-- Targets, schedules, remainders and level rules as people loaded them: the whole file, from an hour on.
CREATE TABLE target_version (
    version   integer     PRIMARY KEY CHECK (version >= 1),
    author    text        NOT NULL,
    reason    text        NOT NULL CHECK (reason <> ''),
    hash      text        NOT NULL,
    from_hour bigint      NOT NULL,
    body      jsonb       NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN target_version.from_hour IS 'First hour that it holds for. Of several of one hour the greatest version.';

-- Where each target stood at each hour; level NULL is no data.
CREATE TABLE target_hour (
    target        text    NOT NULL,
    hour          bigint  NOT NULL,
    version       integer NOT NULL REFERENCES target_version,
    scope         text    NOT NULL,
    year          integer NOT NULL,
    quantity      text    NOT NULL,
    covers        text    NOT NULL,
    target_amount bigint  NOT NULL,
    allowed       bigint  NOT NULL,
    basis         text    NOT NULL,
    low           bigint  NOT NULL,
    best          bigint  NOT NULL,
    high          bigint,
    verdict       text    NOT NULL,
    reason        text    NOT NULL,
    level         integer,
    level_reason  text    NOT NULL,
    last_known    integer,
    rule          text    NOT NULL,
    PRIMARY KEY (target, hour)
);
COMMENT ON COLUMN target_hour.allowed IS 'Until the hour, by the calendar or the season as `basis` says.';
COMMENT ON COLUMN target_hour.last_known IS 'Level that hysteresis goes by: losing data does not shed one.';

-- Every change of a level with what moved it since the hour before: body is a schemas.regions.LevelChange.
CREATE TABLE level_change (
    target     text    NOT NULL,
    hour       bigint  NOT NULL,
    scope      text    NOT NULL,
    from_level integer,
    to_level   integer,
    body       jsonb   NOT NULL,
    PRIMARY KEY (target, hour)
);

-- A partition's own ticks, found by their instant: among those of units in history they are few.
CREATE INDEX tick_of_partition ON tick (generation, partition, at, "offset") WHERE unit = 0;

-- ---- Rights and views

GRANT SELECT, INSERT, UPDATE ON aggregation TO weir_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON region_telling TO weir_worker;
GRANT SELECT, INSERT ON region_cut, region_hour, region_outbox, target_version, target_hour, level_change TO weir_worker;

-- Scopes as people read them: `510400 Panzhihua (攀枝花)`.
CREATE VIEW scope_name WITH (security_barrier) AS
SELECT l.level || ':' || r.code AS scope, r.code || ' ' || r.name || coalesce(' (' || nullif(r.name_zh, '') || ')', '') AS name
FROM region r CROSS JOIN (VALUES ('province'), ('city'), ('county')) AS l (level)
UNION ALL
SELECT 'industry:' || i.code, i.code || ' ' || i.name || coalesce(' (' || nullif(i.name_zh, '') || ')', '')
FROM industry i;

-- Sums of every window and scope, hour by hour.
CREATE VIEW region_told WITH (security_barrier) AS
SELECT r.scope,
       coalesce(n.name, r.scope) AS name,
       split_part(r.scope, ':', 1) AS level,
       r.kind AS window_kind,
       instant(r.starts) AS starts,
       instant(r.ends) AS ends,
       instant(r.hour) AS hour,
       r.hour > r.starts AND r.hour <= r.ends AS is_open,
       r.hour = (SELECT hour FROM aggregation) AS is_newest,
       scaled(r.energy_low) AS energy_low, scaled(r.energy_best) AS energy_best, scaled(r.energy_high) AS energy_high,
       scaled(r.co2_low) AS co2_low, scaled(r.co2_best) AS co2_best, scaled(r.co2_high) AS co2_high,
       scaled(r.share) AS share_measured,
       r.units, r.told, r.pending, r.silent, r.broken, r.not_judged
FROM region_hour r
LEFT JOIN scope_name n USING (scope);
COMMENT ON VIEW region_told IS 'Key units of a region or industry; tce and t CO2.';
COMMENT ON COLUMN region_told.is_open IS 'The window holds the hour; else it is over, and was told again.';

CREATE VIEW target_told WITH (security_barrier) AS
SELECT t.target, t.scope, coalesce(n.name, t.scope) AS name, t.year, t.quantity, t.covers,
       instant(t.hour) AS hour,
       t.hour = (SELECT max(m.hour) FROM target_hour m WHERE m.target = t.target) AS is_newest,
       scaled(t.target_amount) AS target_amount, scaled(t.allowed) AS allowed, t.basis,
       scaled(t.low) AS low, scaled(t.best) AS best, scaled(t.high) AS high,
       t.verdict, t.reason, t.level, t.level_reason, t.rule
FROM target_hour t
LEFT JOIN scope_name n USING (scope);

CREATE VIEW level_changed WITH (security_barrier) AS
SELECT c.target, c.scope, coalesce(n.name, c.scope) AS name, instant(c.hour) AS hour, c.from_level, c.to_level,
       l.line ->> 'unit' AS unit, l.line ->> 'cause' AS cause,
       scaled((l.line ->> 'low')::bigint) AS low, scaled((l.line ->> 'best')::bigint) AS best, scaled((l.line ->> 'high')::bigint) AS high
FROM level_change c
LEFT JOIN scope_name n USING (scope)
CROSS JOIN LATERAL jsonb_array_elements(c.body -> 'lines') AS l (line);
COMMENT ON VIEW level_changed IS 'A line a cause; above zero is worse. The lines of a change sum exactly to it.';

GRANT SELECT ON scope_name, region_told, target_told, level_changed TO weir_worker, weir_reader;
