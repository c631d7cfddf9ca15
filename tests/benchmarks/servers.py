"""A database and topics of the benchmark's own, on the local servers, and what they tell of themselves."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import psycopg
from kafka import KafkaAdminClient
from psycopg import sql

from deploy.local.parts import LocalParts
from ingest.topics_admin import create_topics
from processors import migrate
from schemas import topics

TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def server_url() -> str:
    """WEIR_TEST_DATABASE_URL, else the local server's; its owner may make databases."""
    return os.environ.get("WEIR_TEST_DATABASE_URL") or LocalParts().endpoints().database_url


def kafka() -> str:
    """WEIR_TEST_KAFKA, else the local broker's."""
    return os.environ.get("WEIR_TEST_KAFKA") or LocalParts().endpoints().kafka


@contextmanager
def database() -> Iterator[str]:
    """A database with all migrations, dropped afterwards."""
    name = f"weir_bench_{uuid4().hex[:12]}"
    with psycopg.connect(server_url(), autocommit=True) as link:
        link.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = f"{server_url().rsplit('/', 1)[0]}/{name}"
    try:
        migrate.up(url)
        yield url
    finally:
        with psycopg.connect(server_url(), autocommit=True) as link:
            link.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )


@contextmanager
def topic_prefix(partitions: int) -> Iterator[str]:
    """Topics of our own, deleted afterwards; their names begin with what this gives."""
    prefix = f"bench{uuid4().hex[:8]}."
    create_topics(kafka(), partitions=partitions, say=lambda _: None, replication=1, prefix=prefix)
    try:
        yield prefix
    finally:
        admin = KafkaAdminClient(bootstrap_servers=kafka())
        names = (topics.READINGS, topics.CONFIG, topics.INDICATORS, topics.REGIONS, topics.FEEDBACK)
        admin.delete_topics([prefix + name for name in names])
        admin.close()


def psql(url: str, statement: str, rows: Path) -> None:
    """Run a COPY ... FROM STDIN with psql: the machine's, or that of the private root."""
    parts = urlsplit(url)
    known = {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port),
        "PGUSER": parts.username or "",
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": parts.path[1:],
    }
    words = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement]
    command = words if shutil.which("psql") else LocalParts().root.command(words, **known)
    with rows.open("rb") as source:
        subprocess.run(command, env={**os.environ, **known}, stdin=source, check=True)


def which_psql() -> str:
    """Where psql comes from."""
    return shutil.which("psql") or "the private root's"


def bytes_on_disk(link: psycopg.Connection) -> int:
    """Of the whole database: tables, indexes, maps."""
    return _number(link, "SELECT pg_database_size(current_database())")


def wal_position(link: psycopg.Connection) -> int:
    """Bytes of WAL that the server has written; of all its databases."""
    return _number(link, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")


def writes_of_others(link: psycopg.Connection) -> int:
    """Rows that other databases of the server have written so far: while we measure it should stand still."""
    return _number(
        link,
        "SELECT coalesce(sum(tup_inserted + tup_updated + tup_deleted), 0)::bigint FROM pg_stat_database WHERE datname <> current_database()",
    )


def backend_seconds(link: psycopg.Connection) -> float:
    """Processor time of this database's backends of the worker that still live."""
    found = link.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'weir %'"
    ).fetchall()
    return sum(process_seconds(pid) for (pid,) in found)


def process_seconds(pid: int) -> float:
    """Processor time of a process; 0 where it cannot be seen."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


def _number(link: psycopg.Connection, statement: str) -> int:
    row = link.execute(statement.encode()).fetchone()
    return int(row[0]) if row else 0
