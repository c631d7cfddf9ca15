"""A database and topics of the benchmark's own, on the local servers, and what they tell of themselves."""

import os
import shutil
import subprocess
import tempfile
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
def database(*, migrated: bool = True) -> Iterator[str]:
    """A database, with all migrations unless told otherwise; dropped afterwards."""
    name = f"weir_bench_{uuid4().hex[:12]}"
    with psycopg.connect(server_url(), autocommit=True) as link:
        link.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = f"{server_url().rsplit('/', 1)[0]}/{name}"
    try:
        if migrated:
            migrate.up(url)
        yield url
    finally:
        with psycopg.connect(server_url(), autocommit=True) as link:
            link.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )


@contextmanager
def topic_prefix(partitions: int, generation: int) -> Iterator[str]:
    """Topics of our own, deleted afterwards; their names begin with what this gives."""
    prefix = f"bench{uuid4().hex[:8]}."
    create_topics(
        kafka(),
        partitions=partitions,
        say=lambda _: None,
        replication=1,
        prefix=prefix,
        generation=generation,
    )
    try:
        yield prefix
    finally:
        admin = KafkaAdminClient(bootstrap_servers=kafka())
        made = topics.wanted(partitions, generation=generation)
        admin.delete_topics([prefix + topic.name for topic in made])
        admin.close()


def psql(url: str, statement: str, rows: Path) -> None:
    """Run a COPY ... FROM STDIN with psql: the machine's, or that of the private root."""
    parts = urlsplit(url)
    known = {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port),
        "PGUSER": parts.username or "",
        "PGDATABASE": parts.path[1:],
    }
    words = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-c", statement]
    with rows.open("rb") as source, _password_file(unquote(parts.password or "")) as secret:
        known["PGPASSFILE"] = secret
        inside = not shutil.which("psql")
        command = LocalParts().root.command(words, as_caller=True, **known) if inside else words
        subprocess.run(command, env={**os.environ, **known}, stdin=source, check=True)


@contextmanager
def _password_file(password: str) -> Iterator[str]:
    """For libpq, readable by us alone, where the private root sees it too: every user sees a command line."""
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    folder = LocalParts().state.folder
    with tempfile.NamedTemporaryFile(
        "w", dir=folder if folder.is_dir() else None, prefix="pgpass-"
    ) as file:
        file.write(f"*:*:*:*:{escaped}\n")
        file.flush()
        yield file.name


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


def memory_mib(pid: int, field: str = "VmRSS") -> float:
    """Memory of a process: `VmRSS` now, `VmHWM` at most so far."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    return 0.0


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
