-- 0001: what people enter (registry, quotas, openings) and the factor pack.
--
-- Instants are bigint milliseconds since 1970-01-01 UTC in every table, as in the engine and in
-- schemas/RULES.md: one form everywhere, exact, and `sent_at` needs a value before every instant.
-- Functions and views for people (0005, 0006) show timestamptz. Amounts are bigint 10⁻⁶ of the
-- unit of measure.

CREATE TYPE quantity AS ENUM ('electricity', 'raw_coal', 'output');

CREATE TABLE configuration (
    version   integer     PRIMARY KEY CHECK (version >= 1),
    author    text        NOT NULL,
    reason    text        NOT NULL,
    hash      text        NOT NULL,
    body      jsonb       NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE configuration IS 'Numbered versions of the registry; body holds the entities that are new in one.';

CREATE TABLE region (
    code    text PRIMARY KEY,
    name    text NOT NULL,
    name_zh text NOT NULL DEFAULT ''
);

CREATE TABLE industry (
    code    text PRIMARY KEY,
    name    text NOT NULL,
    name_zh text NOT NULL DEFAULT ''
);

-- The number stands for the unit in every other table: 4 bytes instead of 18 characters a row and
-- index entry. A unit that only ever was heard of (a code outside the registry) has no version.
CREATE TABLE unit (
    id           integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    code         text    NOT NULL UNIQUE,
    name         text    NOT NULL DEFAULT '',
    region       text    REFERENCES region,
    industry     text    REFERENCES industry,
    history      boolean NOT NULL DEFAULT false,
    horizon_days integer,
    begins       bigint,
    partition    integer,
    version      integer REFERENCES configuration
);

CREATE TABLE point (
    unit            integer    NOT NULL REFERENCES unit,
    number          smallint   NOT NULL,
    name            text       NOT NULL,
    quantity        quantity   NOT NULL,
    unit_of_measure text       NOT NULL,
    statement       smallint   NOT NULL,
    others          smallint[] NOT NULL DEFAULT '{}',
    multiplier      integer    NOT NULL,
    digits          smallint,
    rated           bigint     NOT NULL,
    cadence_ms      bigint     NOT NULL,
    tolerance_ms    bigint     NOT NULL,
    anchor          bigint     NOT NULL,
    valid_from      bigint     NOT NULL,
    valid_to        bigint,
    version         integer    NOT NULL REFERENCES configuration,
    PRIMARY KEY (unit, number),
    UNIQUE (unit, name)
);
COMMENT ON COLUMN point.number IS 'Place in the registry''s list, from 0; unit_state.ends[number + 1] is its end.';
COMMENT ON COLUMN point.statement IS '0 register, 1 PT15M, 2 PT30M, 3 PT1H, 4 P1D, 5 P1M.';

CREATE TABLE quota (
    unit    integer NOT NULL REFERENCES unit,
    year    integer NOT NULL,
    amount  bigint  NOT NULL,
    source  text    NOT NULL,
    status  text    NOT NULL,
    version integer NOT NULL REFERENCES configuration,
    PRIMARY KEY (unit, year)
);

CREATE TABLE opening (
    unit     integer NOT NULL REFERENCES unit,
    year     integer NOT NULL,
    quantity text    NOT NULL CHECK (quantity IN ('electricity', 'raw_coal', 'output', 'energy', 'co2')),
    low      bigint  NOT NULL,
    best     bigint  NOT NULL,
    high     bigint  NOT NULL,
    evidence text    NOT NULL,
    version  integer NOT NULL REFERENCES configuration,
    PRIMARY KEY (unit, year, quantity)
);

-- A pack is never edited; the one loaded last is the one that figures() uses.
CREATE TABLE factor_pack (
    version   text        PRIMARY KEY,
    hash      text        NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE factor (
    pack        text     NOT NULL REFERENCES factor_pack,
    id          text     NOT NULL,
    quantity    quantity NOT NULL,
    target      text     NOT NULL CHECK (target IN ('energy', 'co2')),
    year        integer  NOT NULL,
    numerator   bigint   NOT NULL,
    denominator bigint   NOT NULL CHECK (denominator > 0),
    unverified  boolean  NOT NULL,
    body        jsonb    NOT NULL,
    PRIMARY KEY (pack, id)
);
COMMENT ON COLUMN factor.numerator IS 'amount · numerator / denominator: tonnes of standard coal or CO2, in the amount''s scale.';
COMMENT ON COLUMN factor.body IS 'The entry as in the pack: view, printed unit and value, source, status.';
