-- 0039: what a product line took in or made before its points begin, as declared (RULES.md, section 12).

CREATE TABLE line_opening (
    unit     integer  NOT NULL,
    line     text     NOT NULL,
    year     smallint NOT NULL,
    quantity quantity NOT NULL,
    low      bigint   NOT NULL,
    best     bigint   NOT NULL,
    high     bigint   NOT NULL,
    evidence text     NOT NULL,
    PRIMARY KEY (unit, line, year, quantity),
    FOREIGN KEY (unit, line) REFERENCES line ON DELETE CASCADE
);
COMMENT ON TABLE line_opening IS 'Of a year, all quantities of a side (what the line takes in; what it makes) or none.';
GRANT SELECT, INSERT, UPDATE, DELETE ON line_opening TO weir_worker;

-- In a window that begins with the year, and before the points of a side do, each opening is one more cell of sign 1, of what is bought.
DO $$
DECLARE
    one record;
    told text := pg_get_functiondef('figures(text, text, timestamptz, timestamptz)'::regprocedure);
BEGIN
    FOR one IN SELECT * FROM (VALUES
        ('), part AS (',
         '), declared AS (
        SELECT o.quantity, s.side, o.low::numeric AS low, o.best::numeric AS best, o.high::numeric AS high
        FROM line_opening o JOIN side s ON s.side = CASE o.quantity WHEN ''output'' THEN ''makes'' ELSE ''takes'' END
        WHERE o.unit = unit_id AND o.line = named AND s.lacks AND begin_of_year(o.year) = from_ms
    ), bought AS (
        SELECT DISTINCT ON (b.quantity, b.target) b.*
        FROM (SELECT k.quantity, r.target, r.numerator, r.denominator, 1 AS place
              FROM rate r JOIN cells_of(unit_id) k USING (cell) WHERE r.effect > 0 AND co2_term(k.quantity) <> ''process''
              UNION ALL
              SELECT f.quantity, f.target, f.numerator, f.denominator, 2 FROM factors_of(unit_id, from_ms / 3600000, till_ms / 3600000) f) b
        ORDER BY b.quantity, b.target, b.place
    ), part AS (
        SELECT d.quantity::text AS name, d.side, 1::smallint AS sign, d.low, d.best, d.high, 0::numeric AS measured, 0::numeric AS time
        FROM declared d
        UNION ALL
        SELECT r.target, d.side, 1::smallint, converted_down(d.low, r.numerator, r.denominator), converted(d.best, r.numerator, r.denominator),
               converted_up(d.high, r.numerator, r.denominator), 0, 0
        FROM declared d JOIN bought r USING (quantity) WHERE d.side = ''takes''
        UNION ALL
        SELECT ''purchased'', d.side, 1::smallint, d.low, d.best, d.high, 0, 0
        FROM declared d WHERE d.quantity = ''electricity''
          AND EXISTS (SELECT FROM native o JOIN rate s USING (cell) WHERE s.target = ''co2'' AND s.effect = 0 AND o.quantity = ''electricity'')
        UNION ALL'),
        ('FROM part p JOIN side s USING (side) GROUP BY',
         'FROM part p JOIN (SELECT i.side, i.measured, i.time, i.lacks AND NOT EXISTS (SELECT FROM declared d WHERE d.side = i.side) AS lacks
                           FROM side i) s USING (side) GROUP BY'))
        AS change (was, becomes) LOOP
        ASSERT strpos(told, one.was) > 0, one.was;
        told := replace(told, one.was, one.becomes);
    END LOOP;
    EXECUTE told;
END
$$;
