-- 0036: heat, and the materials that a process takes in, as quantities of their own; `process` is what a process factor converts.
-- Apart from 0037: a transaction cannot use the names that it adds.

DO $$
DECLARE
    added text;
BEGIN
    FOREACH added IN ARRAY ARRAY['heat', 'material'] LOOP
        EXECUTE format('ALTER TYPE quantity ADD VALUE %L', added);
        FOR number IN 1..32 LOOP
            EXECUTE format('ALTER TYPE quantity ADD VALUE %L', added || '.' || number);
        END LOOP;
    END LOOP;
    ALTER TYPE quantity ADD VALUE 'process';
END
$$;
