-- 0031: of a product line that made nothing by the best estimate there is no best intensity (RULES.md, section 12).

DO $$
BEGIN
    EXECUTE replace(
        pg_get_functiondef('figures(text, text, timestamptz, timestamptz)'::regprocedure),
        'scaled(greatest(q.low, least(q.best, q.high)))',
        'CASE WHEN q.best IS NOT NULL THEN scaled(greatest(q.low, least(q.best, q.high))) END');
END
$$;
