-- 0004: what others are told, in the order of the log. Kept: it is the record of everything told.

CREATE TABLE outbox (
    generation integer NOT NULL,
    partition  integer NOT NULL,
    "offset"   bigint  NOT NULL,
    position   integer NOT NULL,
    number     integer NOT NULL,
    key        text    NOT NULL,
    payload    bytea   NOT NULL,
    PRIMARY KEY (generation, partition, "offset", position, number)
) WITH (toast_tuple_target = 4080);
ALTER TABLE outbox ALTER COLUMN payload SET STORAGE EXTERNAL;
