-- 0023: other factors come into force by two logins: one proposes what it foretold, another approves that very content.

-- Roles belong to the server: another database of it may have made this one.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'weir_steward') THEN
        CREATE ROLE weir_steward NOLOGIN;
    END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;  -- another database of this server was faster
END
$$;

CREATE TABLE proposal (
    id          integer     PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    proposed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    proposed_by text        NOT NULL DEFAULT session_user,
    reason      text        NOT NULL CHECK (reason <> ''),
    version     integer     NOT NULL,
    hash        text        NOT NULL,
    factors     jsonb       NOT NULL,
    rows        jsonb       NOT NULL,
    foreseen    jsonb       NOT NULL
);
COMMENT ON COLUMN proposal.version IS 'The configuration that it becomes.';
COMMENT ON COLUMN proposal.hash IS 'Of the configuration''s content.';
COMMENT ON COLUMN proposal.rows IS 'As the table factor has them.';
COMMENT ON COLUMN proposal.foreseen IS 'A schemas.restatement.Foreseen: what it changes, and how far each partition was digested then.';

CREATE TABLE approval (
    proposal    integer     PRIMARY KEY REFERENCES proposal,
    approved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    approved_by text        NOT NULL DEFAULT session_user,
    reason      text        NOT NULL CHECK (reason <> ''),
    moved       bigint      NOT NULL,
    foreseen    jsonb       NOT NULL
);
COMMENT ON COLUMN approval.moved IS 'Records that were digested between the proposal and the approval.';

-- Holds for whoever writes the tables, the owner too.
CREATE FUNCTION refuse_own_approval() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
BEGIN
    IF NEW.approved_by <> session_user OR (SELECT p.proposed_by FROM public.proposal p WHERE p.id = NEW.proposal) = session_user THEN
        RAISE EXCEPTION 'proposal % was made by this login (%): another one approves it', NEW.proposal, session_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER own_approval BEFORE INSERT ON approval FOR EACH ROW EXECUTE FUNCTION refuse_own_approval();

CREATE FUNCTION refuse_another_name() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
BEGIN
    IF NEW.proposed_by <> session_user THEN
        RAISE EXCEPTION 'a proposal is in the name of the login that makes it, %', session_user USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER own_name BEFORE INSERT ON proposal FOR EACH ROW EXECUTE FUNCTION refuse_another_name();

CREATE FUNCTION refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'rows of % are added, never changed', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE ON proposal FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_changed BEFORE UPDATE OR DELETE ON approval FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE FUNCTION propose_restatement(reason text, version integer, hash text, factors jsonb, rows jsonb, foreseen jsonb) RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
INSERT INTO public.proposal (reason, version, hash, factors, rows, foreseen) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id
$$;

-- Brings a proposal into force. asked_hash: what the approving login looked at; tolerated: how many records may have been digested since.
CREATE FUNCTION approve_restatement(asked integer, asked_hash text, tolerated bigint, why text, seen_now jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
DECLARE
    one public.proposal%ROWTYPE;
    went_on bigint;
    newest integer := (SELECT max(generation) FROM public.partition);
BEGIN
    PERFORM pg_advisory_xact_lock(4932004933);  -- as the registry does, for the version
    SELECT * INTO one FROM public.proposal WHERE id = asked;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no proposal %', asked;
    ELSIF one.hash <> asked_hash THEN
        RAISE EXCEPTION 'proposal % has the content %, not %', asked, one.hash, asked_hash;
    ELSIF one.version <> (SELECT coalesce(max(version), 0) + 1 FROM public.configuration) THEN
        RAISE EXCEPTION 'another configuration came into force since proposal % was made: propose anew', asked;
    ELSIF (one.foreseen ->> 'generation')::integer <> newest THEN
        RAISE EXCEPTION 'a new generation of the log began since proposal % was made: propose anew', asked;
    END IF;
    went_on := (SELECT coalesce(sum(p.next_offset - coalesce((one.foreseen -> 'offsets' ->> p.partition::text)::bigint, 0)), 0)
                FROM public.partition p WHERE p.generation = newest);
    IF went_on > tolerated THEN
        RAISE EXCEPTION 'the log went on by % records since proposal % was foretold: propose anew, or tolerate as many', went_on, asked;
    END IF;
    INSERT INTO public.approval (proposal, reason, moved, foreseen) VALUES (asked, why, went_on, seen_now);
    INSERT INTO public.factor_pack (version, hash)
    VALUES (one.factors ->> 'version', one.rows ->> 'hash') ON CONFLICT DO NOTHING;
    IF FOUND THEN
        INSERT INTO public.factor SELECT * FROM jsonb_populate_recordset(NULL::public.factor, one.rows -> 'rows');
    ELSIF (SELECT f.hash FROM public.factor_pack f WHERE f.version = one.factors ->> 'version') <> one.rows ->> 'hash' THEN
        RAISE EXCEPTION 'factor pack % was edited: give what is changed another version', one.factors ->> 'version';
    END IF;
    INSERT INTO public.configuration (version, author, reason, hash, body, factors)
    VALUES (one.version, format('%s, approved by %s', one.proposed_by, session_user), one.reason, one.hash,
            '{"regions": [], "industries": [], "units": []}', one.factors);
    INSERT INTO public.act (what, detail, reason)
    VALUES ('restate', jsonb_build_object('proposal', asked, 'configuration', one.version, 'hash', one.hash,
                                          'proposed_by', one.proposed_by, 'moved', went_on), why);
END
$$;

REVOKE ALL ON FUNCTION propose_restatement, approve_restatement FROM PUBLIC;
GRANT EXECUTE ON FUNCTION propose_restatement, approve_restatement TO weir_steward;
GRANT weir_reader TO weir_steward;
GRANT SELECT ON proposal, approval, configuration, factor_pack, factor, unit, point, quota, opening, partition, generation, unit_state, unit_window,
    hour, gap, reading_record, rejection_record, tick, control, door, dropped, outbox, alert_transition, aggregation, region_cut, region_telling,
    region_hour, target_version, target_hour, deduction_version, region, industry TO weir_steward;
GRANT SELECT ON proposal, approval TO weir_worker;
