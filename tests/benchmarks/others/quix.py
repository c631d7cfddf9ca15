"""A Quix Streams job: each reading a row, and its point's sums of the quarter hour, hour and day, upserted by batch.

It knows no registers, gaps or verdicts: `value` is what was used in a quarter hour. Settings come from the environment: KAFKA, TOPIC, DATABASE_URL.
"""

import os
from datetime import timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg2
from quixstreams import Application
from quixstreams.dataframe.windows import Count, Sum
from quixstreams.sinks.community.postgresql import PostgreSQLSink

BATCH = 5_000
GRACE = timedelta(days=3)
WINDOWS = {
    "quarter": timedelta(minutes=15),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}
TABLES = """
CREATE EXTENSION IF NOT EXISTS timescaledb;
CREATE TABLE reading (unit text, point text, at bigint, value bigint, PRIMARY KEY (unit, point, at));
SELECT create_hypertable('reading', 'at', chunk_time_interval => 604800000)"""
WINDOW_TABLE = """
CREATE TABLE {0} (point text, starts bigint, value bigint, readings bigint, PRIMARY KEY (point, starts));
SELECT create_hypertable('{0}', 'starts', chunk_time_interval => 604800000)"""


def main() -> None:
    """Until it is ended."""
    with psycopg2.connect(os.environ["DATABASE_URL"]) as link:
        link.cursor().execute(";".join([TABLES, *map(WINDOW_TABLE.format, WINDOWS)]))
    link.close()
    app = Application(
        broker_address=os.environ["KAFKA"],
        consumer_group=f"quix-{os.environ['TOPIC']}",
        auto_offset_reset="earliest",
        commit_every=BATCH,
        commit_interval=1.0,
        loglevel="WARNING",
    )
    topic = app.topic(
        os.environ["TOPIC"],
        key_deserializer="str",
        timestamp_extractor=lambda value, _headers, _at, _kind: value["at"],
    )
    readings = app.dataframe(topic)
    readings.sink(_sink("reading", "unit", "point", "at"))
    for name, duration in WINDOWS.items():
        sums = readings.tumbling_window(duration, grace_ms=GRACE, name=name)
        sums = sums.agg(value=Sum("value"), readings=Count()).current()
        sums.apply(_row, metadata=True).sink(_sink(name, "point", "starts"))
    app.run()


def _row(window: dict[str, int], key: str, _at: int, _headers: object) -> dict[str, Any]:
    sums = {name: window[name] for name in ("value", "readings")}
    return {"point": key, "starts": window["start"], **sums}


def _sink(table: str, *key: str) -> PostgreSQLSink:
    parts = urlsplit(os.environ["DATABASE_URL"])
    return PostgreSQLSink(
        host=parts.hostname,
        port=parts.port,
        dbname=parts.path[1:],
        user=parts.username,
        password=unquote(parts.password or ""),
        table_name=table,
        schema_auto_update=False,
        primary_key_columns=key,
        upsert_on_primary_key=True,
        include_metadata=False,
    )


if __name__ == "__main__":
    main()
