-- 0025: objections: a figure is contested until another login than the one that objects decides.

CREATE TABLE objection (
    id       integer     PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    unit     text        NOT NULL,
    kind     text        NOT NULL CHECK (kind IN ('day', 'month', 'year')),
    starts   bigint      NOT NULL,
    ends     bigint      NOT NULL,
    figure   text        NOT NULL,
    reason   text        NOT NULL CHECK (reason <> ''),
    evidence text        NOT NULL CHECK (evidence ~ '^[0-9a-f]{64}$'),
    filed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    filed_by text        NOT NULL DEFAULT session_user
);
CREATE INDEX ON objection (unit);
COMMENT ON COLUMN objection.evidence IS 'SHA-256 of the file.';

CREATE TABLE objection_decision (
    objection  integer     PRIMARY KEY REFERENCES objection,
    upheld     boolean     NOT NULL,
    reason     text        NOT NULL CHECK (reason <> ''),
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    decided_by text        NOT NULL DEFAULT session_user
);
COMMENT ON COLUMN objection_decision.upheld IS 'True: the figure is to be corrected, by readings or entries; the decision changes none.';
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE ON objection FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE ON objection_decision FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE FUNCTION refuse_own_decision() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
BEGIN
    IF NEW.decided_by <> session_user OR (SELECT o.filed_by FROM public.objection o WHERE o.id = NEW.objection) = session_user THEN
        RAISE EXCEPTION 'objection % was filed by this login (%): another one decides it', NEW.objection, session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER own_decision BEFORE INSERT ON objection_decision FOR EACH ROW EXECUTE FUNCTION refuse_own_decision();

INSERT INTO seen.condition VALUES ('objection', 'unit IN (SELECT seen.subjects())');

-- `unit` here and below: those that the login may see. Another unit is answered as one that nobody registered.
CREATE FUNCTION file_objection(of_unit text, of_kind text, starts_at timestamptz, of_figure text, why text, sha256 text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    told record;
    number integer;
BEGIN
    SELECT w.starts, w.ends INTO told FROM unit u JOIN public.unit_window w ON w.unit = u.id
    WHERE u.code = of_unit AND w.kind = of_kind AND w.starts = ms_of(starts_at) AND w.judged -> 'figures' ? of_figure;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no figure % of % of the % from % was told', of_figure, of_unit, of_kind, starts_at;
    END IF;
    INSERT INTO public.objection (unit, kind, starts, ends, figure, reason, evidence)
    VALUES (of_unit, of_kind, told.starts, told.ends, of_figure, why, sha256) RETURNING id INTO number;
    RETURN number;
END
$$;

CREATE FUNCTION decide_objection(asked integer, is_upheld boolean, why text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM public.objection o JOIN unit u ON u.code = o.unit WHERE o.id = asked) THEN
        RAISE EXCEPTION 'there is no objection %', asked;
    ELSIF EXISTS (SELECT FROM public.objection_decision d WHERE d.objection = asked) THEN
        RAISE EXCEPTION 'objection % is decided already', asked;
    END IF;
    INSERT INTO public.objection_decision (objection, upheld, reason) VALUES (asked, is_upheld, why);
END
$$;

CREATE VIEW objection_log WITH (security_barrier) AS
SELECT o.id, o.unit, o.kind AS window_kind, instant(o.starts) AS starts, instant(o.ends) AS ends, o.figure, o.reason, o.evidence, o.filed_at, o.filed_by,
       d.upheld, d.reason AS decision, d.decided_at, d.decided_by
FROM objection o LEFT JOIN objection_decision d ON d.objection = o.id;
COMMENT ON COLUMN objection_log.upheld IS 'NULL: not decided; the figure is contested.';

-- Which figures rest on a contested one: of the same window, or of one that holds it; of energy and CO2 what they are made of, too.
CREATE FUNCTION rests_on(figure text, starts timestamptz, ends timestamptz, contested text, from_at timestamptz, till timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
SELECT $2 <= $5 AND $3 >= $6 AND ($1 = $4 OR $1 IN ('energy', 'co2') AND $4 NOT IN ('energy', 'co2', 'output'))
$$;

-- Every view that shows a unit's figure gets a column that says which objections it is contested by: `objection 3`; NULL: by none.
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT * FROM (VALUES
        ('figure_told', 'v.quantity', 'v.starts', 'v.ends'),
        ('figure_now', 'v.quantity', 'v.starts', 'v.ends'),
        ('unit_verdict', '''energy''', 'v.starts', 'instant(begin_of_year(v.year + 1))'),
        ('unit_now', '''energy''', 'instant(begin_of_year(v.year))', 'instant(begin_of_year(v.year + 1))'),
        ('unit_standing', '''energy''', 'instant(begin_of_year(v.year))', 'instant(begin_of_year(v.year + 1))'),
        ('unit_landing', '''energy''', 'instant(begin_of_year(v.year))', 'instant(begin_of_year(v.year + 1))'))
        AS c (name, figure, starts, ends) LOOP
        EXECUTE format(
            'CREATE OR REPLACE VIEW %I WITH (security_barrier) AS SELECT v.*,
                (SELECT string_agg(''objection '' || o.id, '', '' ORDER BY o.id) FROM objection_log o
                 WHERE o.unit = v.unit AND o.upheld IS NULL AND rests_on(%s, %s, %s, o.figure, o.starts, o.ends)) AS contested
             FROM (%s) v', one.name, one.figure, one.starts, one.ends, rtrim(pg_get_viewdef(one.name::regclass), ';'));
    END LOOP;
    -- Of a region: how many of its units have a contested figure in it. Of an alert: by any of its unit's.
    EXECUTE format(
        'CREATE OR REPLACE VIEW region_told WITH (security_barrier) AS SELECT v.*,
            (SELECT count(DISTINCT o.unit) FROM objection_log o JOIN unit u ON u.code = o.unit
             WHERE o.upheld IS NULL AND o.starts >= v.starts AND o.ends <= v.ends
               AND seen.within(format(''unit:%%s+county:%%s+industry:%%s'', u.code, u.region, u.industry), v.scope)) AS contested
         FROM (%s) v', rtrim(pg_get_viewdef('region_told'::regclass), ';'));
    EXECUTE format(
        'CREATE OR REPLACE VIEW alert_standing WITH (security_barrier) AS SELECT v.*,
            (SELECT string_agg(''objection '' || o.id, '', '' ORDER BY o.id) FROM objection_log o
             WHERE o.unit = v.unit AND o.upheld IS NULL) AS contested
         FROM (%s) v', rtrim(pg_get_viewdef('alert_standing'::regclass), ';'));
END
$$;

REVOKE ALL ON FUNCTION file_objection, decide_objection FROM PUBLIC;
GRANT EXECUTE ON FUNCTION file_objection TO weir_enterprise, weir_regulator, weir_steward;
GRANT EXECUTE ON FUNCTION decide_objection TO weir_regulator, weir_steward;
GRANT SELECT ON objection_log TO weir_worker, weir_reader, weir_regulator, weir_enterprise;
