-- 0041: CO2 budgets of units, beside their energy quotas; where a year lands against them.
--
-- Amounts are bigint 10⁻⁶ t CO2.

CREATE TABLE budget (
    unit    integer NOT NULL REFERENCES unit,
    year    integer NOT NULL,
    amount  bigint  NOT NULL,
    view    text    NOT NULL,
    source  text    NOT NULL,
    status  text    NOT NULL,
    version integer NOT NULL REFERENCES configuration,
    PRIMARY KEY (unit, year)
);
COMMENT ON COLUMN budget.view IS 'Of electricity''s factor: where the unit is converted by another one, the budget cannot be judged.';

-- The CO2 of the days that landings rest on. Days told before are taken from the windows, where these were told no later.
ALTER TABLE landing_day ADD COLUMN co2_low bigint, ADD COLUMN co2_best bigint, ADD COLUMN co2_high bigint;
UPDATE landing_day d
SET co2_low = coalesce((w.judged #>> '{figures,co2,low}')::bigint, 0),
    co2_best = coalesce((w.judged #>> '{figures,co2,best}')::bigint, 0),
    co2_high = CASE WHEN w.judged -> 'figures' ? 'co2' THEN (w.judged #>> '{figures,co2,high}')::bigint ELSE 0 END
FROM unit u JOIN unit_window w ON w.unit = u.id AND w.kind = 'day'
WHERE u.code = d.unit AND w.starts = d.starts AND w.as_of = d.as_of;
COMMENT ON COLUMN landing_day.co2_low IS 'NULL: told before it was kept.';

ALTER TABLE landing_year ADD COLUMN carbon jsonb;
COMMENT ON COLUMN landing_year.carbon IS 'CO2 against the budget, as processors.landing_told.YearTold names it; NULL: no budget.';

CREATE TABLE budget_landing (LIKE landing INCLUDING ALL);
COMMENT ON TABLE budget_landing IS 'One row a unit with a CO2 budget and a business midnight; landed is a schemas.landing.Landed of the regime carbon.';
INSERT INTO seen.condition VALUES ('budget_landing', 'unit IN (SELECT seen.subjects())');

GRANT SELECT, INSERT, UPDATE, DELETE ON budget TO weir_worker;
GRANT SELECT, INSERT ON budget_landing TO weir_worker;
GRANT SELECT ON budget TO weir_steward;

-- The CO2 of every year of a unit that has a budget in it, as last told.
CREATE VIEW unit_budget WITH (security_barrier) AS
SELECT u.code AS unit,
       u.name,
       u.region,
       u.industry,
       business_year(w.starts) AS year,
       instant(w.starts) AS starts,
       instant(w.as_of) AS as_of,
       NOT EXISTS (SELECT FROM unit_window n WHERE n.unit = w.unit AND n.kind = 'year' AND n.starts > w.starts) AS newest,
       CASE WHEN b.judged ->> 'verdict' = 'FAIL' THEN 'confirmed breach'
            WHEN (b.judged ->> 'suspected')::boolean THEN 'suspected breach'
            WHEN b.judged ->> 'verdict' = 'UNDECIDABLE' THEN 'cannot be judged'
            ELSE 'within budget' END AS standing,
       b.judged ->> 'reason' AS reason,
       instant((b.judged ->> 'since')::bigint) AS since,
       scaled((b.judged ->> 'limit')::bigint) AS budget_t,
       b.judged ->> 'view' AS factor_view,
       scaled((c.co2 ->> 'low')::bigint) AS co2_low,
       scaled((c.co2 ->> 'best')::bigint) AS co2_best,
       scaled((c.co2 ->> 'high')::bigint) AS co2_high,
       round(((c.co2 ->> 'best')::numeric / nullif((b.judged ->> 'limit')::numeric, 0)), 4) AS best_of_budget,
       scaled((c.co2 ->> 'share_measured')::bigint) AS share_measured,
       (SELECT string_agg(factor, ', ') FROM jsonb_array_elements_text(c.co2 -> 'factors') AS factor) AS factors,
       (c.co2 ->> 'unverified')::boolean AS unverified,
       d.source,
       d.status,
       (SELECT string_agg('objection ' || o.id, ', ' ORDER BY o.id) FROM objection_log o
        WHERE o.unit = u.code AND o.upheld IS NULL
          AND rests_on('co2', instant(w.starts), instant(w.ends), o.figure, o.starts, o.ends)) AS contested
FROM unit_window w
JOIN unit u ON u.id = w.unit
CROSS JOIN LATERAL (SELECT w.judged -> 'budget' AS judged) b
CROSS JOIN LATERAL (SELECT w.judged #> '{figures,co2}' AS co2) c
LEFT JOIN budget d ON d.unit = u.id AND d.year = business_year(w.starts)
WHERE w.kind = 'year' AND w.judged ? 'budget';
COMMENT ON COLUMN unit_budget.factor_view IS 'The view of electricity''s factor that the budget is meant in.';
COMMENT ON COLUMN unit_budget.contested IS 'Which objections it is contested by: `objection 3`; NULL: by none.';

-- As unit_landing, amounts in t CO2.
CREATE VIEW unit_budget_landing WITH (security_barrier) AS
SELECT l.unit,
       instant(l.at) AS at,
       (l.landed ->> 'year')::integer AS year,
       l.landed ->> 'state' AS state,
       l.landed ->> 'reason' AS reason,
       l.landed #>> '{projected,basis}' AS basis,
       scaled((l.landed ->> 'quota')::bigint) AS budget_t,
       l.landed ->> 'view' AS factor_view,
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
       (l.landed ->> 'unverified')::boolean AS unverified,
       (SELECT string_agg('objection ' || o.id, ', ' ORDER BY o.id) FROM objection_log o
        WHERE o.unit = l.unit AND o.upheld IS NULL
          AND rests_on('co2', instant(begin_of_year((l.landed ->> 'year')::integer)),
                       instant(begin_of_year((l.landed ->> 'year')::integer + 1)), o.figure, o.starts, o.ends)) AS contested
FROM budget_landing l;
COMMENT ON COLUMN unit_budget_landing.per_day_safe IS 'What may be emitted a day until the year ends, whatever is missing.';

GRANT SELECT ON unit_budget, unit_budget_landing TO weir_worker, weir_reader, weir_regulator, weir_enterprise;
