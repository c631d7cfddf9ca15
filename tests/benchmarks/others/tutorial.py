"""A worker as tutorials write it: JSON, a reading a record, sums by `dict`, `executemany` upserts, offsets committed to Kafka.

It knows no registers, gaps or verdicts: `value` is what was used in a quarter hour. Settings come from the environment: KAFKA, TOPIC, DATABASE_URL.
"""

import json
import os

import psycopg
from kafka import KafkaConsumer

BATCH = 5_000
WINDOWS = {"quarter": 900_000, "hour": 3_600_000, "day": 86_400_000}
TABLES = """
CREATE TABLE IF NOT EXISTS reading (unit text, point text, at bigint, value bigint, PRIMARY KEY (unit, point, at));
CREATE TABLE IF NOT EXISTS used (unit text, kind text, starts bigint, value bigint, PRIMARY KEY (unit, kind, starts))"""
READING = """INSERT INTO reading VALUES (%(unit)s, %(point)s, %(at)s, %(value)s)
ON CONFLICT (unit, point, at) DO UPDATE SET value = excluded.value"""
USED = """INSERT INTO used VALUES (%s, %s, %s, %s)
ON CONFLICT (unit, kind, starts) DO UPDATE SET value = excluded.value"""


def main() -> None:
    """Until it is ended."""
    sums: dict[tuple[str, str, int], int] = {}
    consumer = KafkaConsumer(
        os.environ["TOPIC"],
        bootstrap_servers=os.environ["KAFKA"],
        group_id=f"tutorial-{os.environ['TOPIC']}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    with psycopg.connect(os.environ["DATABASE_URL"]) as link:
        link.execute(TABLES.encode(), prepare=False)
        link.commit()
        while True:
            found = consumer.poll(timeout_ms=500, max_records=BATCH)
            readings = [
                json.loads(record.value) for records in found.values() for record in records
            ]
            if not readings:
                continue
            changed = set()
            for reading in readings:
                for kind, size in WINDOWS.items():
                    key = (reading["unit"], kind, reading["at"] // size * size)
                    sums[key] = sums.get(key, 0) + reading["value"]
                    changed.add(key)
            with link.cursor() as cursor:
                cursor.executemany(READING, readings)
                cursor.executemany(USED, [(*key, sums[key]) for key in changed])
            link.commit()
            consumer.commit()


if __name__ == "__main__":
    main()
