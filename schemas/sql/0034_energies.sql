-- 0034: the energies of a unit beside each other, each for its purpose (RULES.md, section 11), and their sums by scope.

-- What was deducted of a unit in a month or year by the last hour that looked at it, by what the figure is net of. Amounts are to be
-- added, end by end: nothing or below, in 10⁻⁶ tce.
CREATE TABLE unit_deduction (
    kind       text     NOT NULL,
    starts     bigint   NOT NULL,
    unit       text     NOT NULL,
    net_of     text[]   NOT NULL,
    number     smallint NOT NULL,
    form       text     NOT NULL,
    carrier    text     NOT NULL,
    capped     boolean  NOT NULL,
    low        bigint   NOT NULL,
    best       bigint   NOT NULL,
    high       bigint   NOT NULL,
    evidence   text[]   NOT NULL,
    rests_on   text[]   NOT NULL,
    unverified boolean  NOT NULL,
    PRIMARY KEY (kind, starts, unit, net_of, number)
);
CREATE INDEX ON unit_deduction (unit);
COMMENT ON COLUMN unit_deduction.capped IS 'A region''s target may give a part of it back: it deducts no more of such than it says.';

-- The sums of these, hour by hour; a scope of which nothing is deducted has none.
CREATE TABLE scope_deduction (
    scope  text   NOT NULL,
    kind   text   NOT NULL,
    starts bigint NOT NULL,
    hour   bigint NOT NULL,
    net_of text[] NOT NULL,
    low    bigint NOT NULL,
    best   bigint NOT NULL,
    high   bigint NOT NULL,
    PRIMARY KEY (scope, kind, starts, hour, net_of)
);

ALTER TABLE aggregation ADD COLUMN deductions_from bigint;
COMMENT ON COLUMN aggregation.deductions_from IS 'The first hour whose deductions of units are kept; NULL: none yet.';
CREATE INDEX region_telling_of_unit ON region_telling (unit) WHERE counted;

INSERT INTO seen.condition VALUES
    ('region_telling', 'unit IN (SELECT seen.subjects())'),
    ('unit_deduction', 'unit IN (SELECT seen.subjects())'),
    ('scope_deduction', 'scope IN (SELECT seen.scopes())');
GRANT SELECT, INSERT, DELETE ON unit_deduction TO weir_worker;
GRANT SELECT, INSERT ON scope_deduction TO weir_worker;

-- The names of the figures, what each is net of, and what it is for.
CREATE VIEW energy_name WITH (security_barrier) AS
SELECT * FROM (VALUES
    (1, 'gross', '{}'::text[], 'the unit''s annual quota'),
    (2, 'net of feedstock', '{feedstock}', 'a region''s total without raw-material use'),
    (3, 'net of non-fossil', '{non-fossil}', 'a region''s total without renewable and nuclear energy'),
    (4, 'net of feedstock and non-fossil', '{feedstock,non-fossil}', 'dual control of energy: total and intensity'),
    (5, 'by the product standard', NULL, 'the product''s limit'))
    AS n (place, energy, net_of, purpose);

CREATE VIEW unit_deducted WITH (security_barrier) AS
SELECT d.unit, d.kind AS window_kind, instant(d.starts) AS starts, n.energy, d.number, d.form, d.carrier, d.capped,
       scaled(d.low) AS low, scaled(d.best) AS best, scaled(d.high) AS high, d.evidence, d.rests_on, d.unverified
FROM unit_deduction d JOIN energy_name n USING (net_of);
COMMENT ON VIEW unit_deducted IS 'What is deducted of a unit''s energy for each figure that is net of something, with the admitted evidence: tce, to be added end by end.';

-- Months and years of units as the last hour of regions had them, and of their product lines as last told.
CREATE VIEW unit_energy WITH (security_barrier) AS
WITH told AS (
    SELECT t.unit, t.kind, t.starts, t.ends, t.as_of, t.energy_low AS low, t.energy_best AS best,
           CASE WHEN t.as_of >= least(a.hour, t.ends) THEN t.energy_high END AS high, a.deductions_from, t.share,
           coalesce((w.judged #>> '{figures,energy,unverified}')::boolean, false) AS unverified,
           ARRAY(SELECT jsonb_array_elements_text(w.judged #> '{figures,energy,factors}')) AS factors
    FROM region_telling t
    CROSS JOIN aggregation a
    JOIN unit u ON u.code = t.unit
    LEFT JOIN unit_window w ON w.unit = u.id AND w.kind = t.kind AND w.starts = t.starts
    WHERE t.counted AND t.fed
), figure AS (
    SELECT t.unit, t.kind, t.starts, t.ends, t.as_of, n.energy, NULL AS line, NULL AS indicator, 'tce' AS unit_of_measure,
           'equivalent value' AS basis, t.low + coalesce(d.low, 0) AS low, t.best + coalesce(d.best, 0) AS best, t.high + coalesce(d.high, 0) AS high,
           coalesce(d.evidence, '{}') AS evidence, t.factors || coalesce(d.rests_on, '{}') AS rests_on, t.unverified OR coalesce(d.unverified, false) AS unverified, t.share
    FROM told t
    JOIN energy_name n ON n.net_of = '{}' OR (n.net_of IS NOT NULL AND t.deductions_from IS NOT NULL)
    LEFT JOIN LATERAL (
        SELECT sum(d.low) AS low, sum(d.best) AS best, sum(d.high) AS high, bool_or(d.unverified) AS unverified,
               ARRAY(SELECT DISTINCT e FROM unit_deduction o CROSS JOIN unnest(o.evidence) AS e
                     WHERE (o.kind, o.starts, o.unit, o.net_of) = (t.kind, t.starts, t.unit, n.net_of) ORDER BY 1) AS evidence,
               ARRAY(SELECT DISTINCT e FROM unit_deduction o CROSS JOIN unnest(o.rests_on) AS e
                     WHERE (o.kind, o.starts, o.unit, o.net_of) = (t.kind, t.starts, t.unit, n.net_of) AND e <> ALL (t.factors) ORDER BY 1) AS rests_on
        FROM unit_deduction d WHERE (d.kind, d.starts, d.unit, d.net_of) = (t.kind, t.starts, t.unit, n.net_of)
    ) d ON true
    UNION ALL
    SELECT u.code, w.kind, w.starts, w.ends, w.as_of, n.energy, w.line, s.value ->> 'indicator', s.value ->> 'unit_of_measure',
           s.value ->> 'basis', (s.value ->> 'low')::bigint, (s.value ->> 'best')::bigint, (s.value ->> 'high')::bigint,
           '{}', ARRAY(SELECT jsonb_array_elements_text(s.value -> 'factors')), (s.value ->> 'unverified')::boolean,
           (w.judged #>> '{figures,energy,share_measured}')::bigint
    FROM line_window w
    JOIN unit u ON u.id = w.unit
    JOIN energy_name n ON n.net_of IS NULL
    CROSS JOIN LATERAL jsonb_array_elements(coalesce(w.judged -> 'by_standard', '[]')) s
)
SELECT f.unit, f.kind AS window_kind, instant(f.starts) AS starts, instant(f.ends) AS ends, instant(f.as_of) AS as_of,
       n.place, f.energy, n.purpose, f.line, f.indicator, f.unit_of_measure, f.basis,
       scaled(f.low) AS low, scaled(f.best) AS best, scaled(f.high) AS high, f.evidence, f.rests_on, f.unverified, scaled(f.share) AS share_measured,
       (SELECT string_agg('objection ' || o.id, ', ' ORDER BY o.id) FROM objection_log o
        WHERE o.unit = f.unit AND o.upheld IS NULL AND rests_on('energy', instant(f.starts), instant(f.ends), o.figure, o.starts, o.ends)) AS contested
FROM figure f JOIN energy_name n USING (energy);
COMMENT ON COLUMN unit_energy.energy IS 'Which figure: never compare one with the limit of another.';
COMMENT ON COLUMN unit_energy.high IS 'NULL: not known. So may low be, of a line that gives energy away.';

-- Of regions and industries, hour by hour, before what a target''s cap gives back (target_told has that).
CREATE VIEW region_energy WITH (security_barrier) AS
SELECT r.scope, coalesce(s.name, r.scope) AS name, r.kind AS window_kind, instant(r.starts) AS starts, instant(r.ends) AS ends,
       instant(r.hour) AS hour, r.hour = a.hour AS is_newest, n.place, n.energy, n.purpose,
       scaled(r.energy_low + coalesce(d.low, 0)) AS low, scaled(r.energy_best + coalesce(d.best, 0)) AS best,
       scaled(r.energy_high + coalesce(d.high, 0)) AS high
FROM region_hour r
CROSS JOIN aggregation a
JOIN energy_name n ON n.net_of = '{}' OR (n.net_of IS NOT NULL AND r.hour >= a.deductions_from)
LEFT JOIN scope_name s ON s.scope = r.scope
LEFT JOIN scope_deduction d ON (d.scope, d.kind, d.starts, d.hour, d.net_of) = (r.scope, r.kind, r.starts, r.hour, n.net_of);

GRANT SELECT ON energy_name, unit_deducted, unit_energy, region_energy TO weir_worker, weir_reader, weir_regulator, weir_enterprise;
