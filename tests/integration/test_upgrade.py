"""A database of an older release, with rows in it, brought up to date: the worker goes on as if it had always been new."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import psycopg

from processors import migrate
from processors.metrics import WorkerMetrics
from processors.store import Store
from processors.worker import Message, Worker
from schemas.wire import encode
from tests.integration.conftest import drop_database, new_database
from tests.integration.places import Place
from tests.integration.stages import FIRST, World, simulated, stored

OLDER = 8
"""The last migration before acts of people, dead letters and retention."""
COLUMNS = """
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''"""
TABLES = """
SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = 'r' AND nspname = 'public' AND relname NOT IN ('migration', 'factor_pack', 'factor')"""
WIDE = """
(SELECT unit, day, first_at, generation, partition, "offset", part, last_at, received_at, statement, rank, revision, flags,
   message, point,
   coalesce(at, (SELECT array_agg(n * at_times ORDER BY i) FROM unnest(narrow_at) WITH ORDINALITY AS u (n, i))) AS at,
   coalesce(value, (SELECT array_agg(value_from + n * value_times ORDER BY i)
                    FROM unnest(narrow_value) WITH ORDINALITY AS u (n, i))) AS value,
   coalesce(sent_at, ARRAY[sent]) AS sent_at
 FROM reading_record) AS wide"""
"""Rows of readings as they rested before they were narrow."""


def test_rows_of_an_older_release_are_gone_on_with(database: str) -> None:
    """What was digested before the migrations, and what after: the figures of a database that was new all the time."""
    world = simulated(hours=1)
    messages = list(in_order(world))
    half = len(messages) // 2
    digest(database, world, messages[:half])
    older = new_database()
    try:
        migrate.up(older, steps=migrate.migrations()[:OLDER])
        copy_rows(database, older)
        assert migrate.up(older) == len(migrate.migrations()) - OLDER
        for url in (database, older):
            digest(url, world, messages[half:])
        assert stored(place(older)) == stored(place(database))
    finally:
        drop_database(older)


def in_order(world: World) -> Iterator[Message]:
    """The log as it would lie in Kafka."""
    offsets = defaultdict[int, Iterator[int]](itertools.count)
    for partition, record in world.over(world.records, FIRST):
        yield partition, next(offsets[partition]), encode(record)


def digest(url: str, world: World, messages: Sequence[Message]) -> None:
    """By a worker of this release."""
    with closing(Store(url)) as store:
        store.save_configuration(world.configuration)
        worker = Worker(store, WorkerMetrics(), partitions=FIRST)
        worker.take(dict.fromkeys(range(FIRST), 0))
        for first in range(0, len(messages), 400):
            worker.write(worker.prepare(messages[first : first + 400]))


def copy_rows(source: str, target: str) -> None:
    """Every row, in the columns that the older release has."""
    with psycopg.connect(source) as new, psycopg.connect(target) as old:
        old.execute("SET session_replication_role = replica")  # the tables come in any order
        for (table,) in old.execute(TABLES).fetchall():
            ((columns,),) = old.execute(COLUMNS, (table,)).fetchall()
            source_of = WIDE if table == "reading_record" else table
            read = f"COPY (SELECT {columns} FROM {source_of}) TO STDOUT (FORMAT binary)"  # noqa: S608 - names of our own
            write = f"COPY {table} ({columns}) FROM STDIN (FORMAT binary)"
            with (
                new.cursor().copy(read.encode()) as rows,
                old.cursor().copy(write.encode()) as into,
            ):
                for piece in rows:
                    into.write(piece)
        old.execute("SELECT setval(pg_get_serial_sequence('step', 'id'), max(id)) FROM step")
        old.execute("SELECT setval(pg_get_serial_sequence('unit', 'id'), max(id)) FROM unit")


def place(url: str) -> Place:
    """To be asked only."""
    return Place({}, url, "", FIRST, Path())
