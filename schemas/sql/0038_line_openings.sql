-- 0038: what a product line took in or made before its points begin, as declared (RULES.md, section 12).

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

-- In a window that begins with the year, and before the points of a side do, each opening is one more cell of sign 1.
DO $$
DECLARE
    one record;
    told text := pg_get_functiondef('figures(text, text, timestamptz, timestamptz)'::regprocedure);
BEGIN
    FOR one IN SELECT * FROM (VALUES
        ('), part AS (
        SELECT n.quantity::text AS name, n.makes, n.sign, n.low, n.best, n.high FROM native n
        UNION ALL',
         '), declared AS (
        SELECT o.quantity, s.makes, 1::smallint AS sign, o.low::numeric AS low, o.best::numeric AS best, o.high::numeric AS high
        FROM line_opening o JOIN side s ON s.makes = (o.quantity = ''output'')
        WHERE o.unit = unit_id AND o.line = named AND s.lacks AND begin_of_year(o.year) = from_ms
    ), counted AS (
        SELECT n.quantity, n.makes, n.sign, n.low, n.best, n.high FROM native n
        UNION ALL SELECT d.quantity, d.makes, d.sign, d.low, d.best, d.high FROM declared d
    ), part AS (
        SELECT n.quantity::text AS name, n.makes, n.sign, n.low, n.best, n.high FROM counted n
        UNION ALL'),
        (' f JOIN native n USING (quantity)', ' f JOIN counted n USING (quantity)'),
        ('FROM part p JOIN side s USING (makes) GROUP BY',
         'FROM part p JOIN (SELECT i.makes, i.share, i.lacks AND NOT EXISTS (SELECT FROM declared d WHERE d.makes = i.makes) AS lacks FROM side i) s
             USING (makes) GROUP BY'))
        AS change (was, becomes) LOOP
        ASSERT strpos(told, one.was) > 0, one.was;
        told := replace(told, one.was, one.becomes);
    END LOOP;
    EXECUTE told;
END
$$;
