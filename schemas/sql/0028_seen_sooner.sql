-- 0028: which units a login may see, found without a function for each unit: it is asked in every view and function.

CREATE OR REPLACE FUNCTION seen.units() RETURNS SETOF integer
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE SET search_path = pg_catalog, pg_temp
AS $$
WITH part AS MATERIALIZED (
    SELECT g.scope, seen.digits(p.part) AS digits, count(*) OVER (PARTITION BY g.scope) AS parts
    FROM (SELECT DISTINCT scope FROM seen.granted() AS scope) g CROSS JOIN LATERAL string_to_table(g.scope, '+') AS p (part)
)
SELECT u.id
FROM public.unit u
JOIN part p ON p.digits IN ('unit:' || u.code || '.', 'industry:' || u.industry || '.') OR starts_with('region:' || u.region, p.digits)
GROUP BY u.id, p.scope, p.parts
HAVING count(*) = p.parts
$$;

-- Asked for each hour of a figure, of a unit that was found to be seen.
ALTER FUNCTION pack_of(integer) SET search_path = public, pg_temp;
