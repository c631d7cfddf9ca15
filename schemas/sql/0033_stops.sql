-- 0033: declared stops and maintenances: dated, with evidence. They hold back alerts about missing data, and change no figure.

-- Every declaration, in the order of entry. The newest under a unit's own name for it is what holds; none is ever changed.
CREATE TABLE stop_entry (
    id          bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    unit        text        NOT NULL,
    name        text        NOT NULL,
    kind        text        NOT NULL CHECK (kind IN ('stop', 'maintenance')),
    starts      bigint      NOT NULL,
    ends        bigint      NOT NULL CHECK (ends > starts),
    points      text[]      NOT NULL,
    evidence    text        NOT NULL CHECK (evidence <> ''),
    declared_by text        NOT NULL CHECK (declared_by <> ''),
    reason      text        NOT NULL,
    withdrawn   boolean     NOT NULL,
    door        text        NOT NULL,
    login       text        NOT NULL DEFAULT session_user,
    source      text        UNIQUE,
    entered_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    told        bytea
);
CREATE INDEX ON stop_entry (unit, name, id);
CREATE INDEX stop_entry_untold ON stop_entry (id) WHERE told IS NULL;
COMMENT ON COLUMN stop_entry.points IS 'Empty: all of the unit''s.';
COMMENT ON COLUMN stop_entry.door IS 'Which gateway it came by; `command`: by a database login.';
COMMENT ON COLUMN stop_entry.source IS 'Where it stood in weir.stops.v1: taken twice it is stored once.';
COMMENT ON COLUMN stop_entry.told IS 'What alerts were told of the unit''s stops with it; empty where a later entry was told with it; NULL: nothing yet.';

-- What was refused, with the reason its sender was told.
CREATE TABLE stop_refused (
    source     text        PRIMARY KEY,
    unit       text        NOT NULL,
    door       text        NOT NULL,
    reason     text        NOT NULL,
    said       text        NOT NULL,
    refused_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX ON stop_refused (unit);

INSERT INTO seen.condition VALUES
    ('stop_entry', 'unit IN (SELECT seen.subjects())'),
    ('stop_refused', 'unit IN (SELECT seen.subjects())');

-- Enters a declaration; returns why it is refused, or NULL. The same as what holds under its name is not entered again.
-- One at a time, so that numbers rise in the order of entry. `unit` is what the login may see.
CREATE FUNCTION declare_stop(of_unit text, of_name text, of_kind text, from_ms bigint, until_ms bigint, of_points text[], proof text, who text, why text,
                             is_withdrawn boolean, by_door text DEFAULT 'command', from_source text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    held record;
    strange text;
BEGIN
    PERFORM pg_advisory_xact_lock(4932004944);
    IF NOT EXISTS (SELECT FROM unit u WHERE u.code = of_unit) THEN
        RETURN 'unknown unit';
    END IF;
    SELECT p INTO strange FROM unnest(of_points) AS p
    WHERE NOT EXISTS (SELECT FROM public.point q JOIN unit u ON u.id = q.unit WHERE u.code = of_unit AND q.name = p) LIMIT 1;
    IF FOUND THEN
        RETURN 'unknown point: ' || strange;
    END IF;
    SELECT * INTO held FROM public.stop_entry e WHERE e.unit = of_unit AND e.name = of_name ORDER BY e.id DESC LIMIT 1;
    IF held.id IS NULL AND is_withdrawn THEN
        RETURN 'nothing to withdraw';
    END IF;
    IF EXISTS (SELECT FROM public.stop_entry e WHERE e.source = from_source)
       OR (held.kind, held.starts, held.ends, held.points, held.evidence, held.declared_by, held.reason, held.withdrawn)
          IS NOT DISTINCT FROM (of_kind, from_ms, until_ms, of_points, proof, who, why, is_withdrawn) THEN
        RETURN NULL;
    END IF;
    IF (SELECT count(*) FROM public.stop_entry e WHERE e.unit = of_unit AND e.entered_at > clock_timestamp() - interval '1 day') >= 200
       OR (SELECT count(*) FROM (SELECT DISTINCT ON (e.name) e.ends, e.withdrawn FROM public.stop_entry e WHERE e.unit = of_unit AND e.name <> of_name
                                 ORDER BY e.name, e.id DESC) n WHERE NOT n.withdrawn AND n.ends > ms_of(clock_timestamp())) >= 100 THEN
        RETURN 'too many';
    END IF;
    INSERT INTO public.stop_entry (unit, name, kind, starts, ends, points, evidence, declared_by, reason, withdrawn, door, source)
    VALUES (of_unit, of_name, of_kind, from_ms, until_ms, of_points, proof, who, why, is_withdrawn, by_door, from_source);
    RETURN NULL;
END
$$;

-- What holds, for people: the newest under each name.
CREATE VIEW stop_declared WITH (security_barrier) AS
SELECT DISTINCT ON (e.unit, e.name)
       e.unit, e.name, e.kind, instant(e.starts) AS starts, instant(e.ends) AS ends, e.points, e.evidence, e.declared_by, e.reason,
       e.door, e.login, e.entered_at, e.withdrawn, e.told IS NOT NULL AS told, e.id
FROM stop_entry e ORDER BY e.unit, e.name, e.id DESC;
COMMENT ON COLUMN stop_declared.told IS 'Alerts know of it.';

-- An alert that a stop holds back says until when.
CREATE OR REPLACE VIEW alert_now AS
SELECT s.body #>> '{key,unit}' AS unit, s.rule, s.kind, s.severity, s.state,
       to_timestamp(s.since / 1000.0) AS since,
       to_timestamp(s.told_at / 1000.0) AS told_at,
       to_timestamp(s.window_start / 1000.0) AS window_start,
       t.body #>> '{annotations,summary}' AS summary,
       t.body #>> '{annotations,description}' AS description,
       s.episode,
       to_timestamp((s.body ->> 'stopped_until')::bigint / 1000.0) AS stopped_until
FROM alert_state s LEFT JOIN alert_transition t ON t.id = s.episode;
COMMENT ON COLUMN alert_now.stopped_until IS 'Pending, and held back by a declared stop until then.';

REVOKE ALL ON FUNCTION declare_stop FROM PUBLIC;
GRANT EXECUTE ON FUNCTION declare_stop TO weir_worker, weir_regulator, weir_steward, weir_enterprise;
GRANT SELECT ON stop_declared TO weir_worker, weir_reader, weir_regulator, weir_enterprise, weir_steward, weir_alerts;
GRANT SELECT, UPDATE (told) ON stop_entry TO weir_worker;
GRANT SELECT, INSERT ON stop_refused TO weir_worker;
