"""A backup of Weir's database, and its restore into an empty one; nothing else holds what cannot be made again.

Run as `python -m deploy.backup make FILE | restore FILE`, with WEIR_DATABASE_URL. deploy/OPERATIONS.md says
what to do around it, and what a large database takes instead.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from deploy.local.parts import LocalParts
from deploy.local.state import chosen_folder, chosen_programs
from processors.migrate import ROLES

_VERSION = re.compile(rb"\(PostgreSQL\) (\d+)")
_PRIVATE = 0o600


class BackupError(Exception):
    """It cannot be done; the message says why and what to do."""


def make(url: str, path: Path) -> int:
    """Write a dump of the database, consistent as of one moment; its bytes. The services may run meanwhile.

    The file is there whole or not at all. Raises BackupError.
    """
    if path.exists():
        message = f"{path} is there already: name another file"
        raise BackupError(message)
    half = path.with_name(f"{path.name}.half")
    opened = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
    with os.fdopen(opened, "wb") as output:
        done = subprocess.run(
            _program(url, "pg_dump", "--format=custom", "--compress=zstd"),
            env=os.environ | _known(url),
            stdout=output,
            stderr=subprocess.PIPE,
            check=False,
        )
        output.flush()
        os.fsync(output.fileno())
    if done.returncode:
        half.unlink()
        message = f"pg_dump ended with {done.returncode}: {_said(done.stderr)}"
        raise BackupError(message)
    half.rename(path)
    return path.stat().st_size


def restore(url: str, path: Path) -> None:
    """Fill an empty database from a dump. Raises BackupError; then drop that database and begin again."""
    with psycopg.connect(url, autocommit=True) as link:
        _refuse_full(link)
        for role in ROLES:  # they belong to the server, and a dump only names them
            _make_role(link, role)
        link.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        link.execute("SELECT timescaledb_pre_restore()")
        try:
            with path.open("rb") as source:
                done = subprocess.run(
                    _program(url, "pg_restore", "--exit-on-error", "--no-owner", "-d", _name(url)),
                    env=os.environ | _known(url),
                    stdin=source,
                    stderr=subprocess.PIPE,
                    check=False,
                )
        finally:
            link.execute("SELECT timescaledb_post_restore()")
        if done.returncode:
            message = f"pg_restore ended with {done.returncode}: {_said(done.stderr)}"
            raise BackupError(message)
        link.execute("ANALYZE")


def _refuse_full(link: Connection[TupleRow]) -> None:
    row = link.execute("SELECT to_regclass('partition'), to_regclass('migration')").fetchone()
    if row != (None, None):
        message = "the database has Weir's tables already: restore into an empty one"
        raise BackupError(message)


def _make_role(link: Connection[TupleRow], role: str) -> None:
    if not link.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
        link.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))


def _program(url: str, name: str, *words: str) -> list[str]:
    """The machine's program where it is as new as the server, else that of the local parts."""
    with psycopg.connect(url) as link:
        server = link.info.server_version // 10_000
    if (found := shutil.which(name)) and _major(found) >= server:
        return [found, *words]
    folder = chosen_folder()
    parts = LocalParts(folder, programs=chosen_programs(folder))
    program = f"/usr/lib/postgresql/{server}/bin/{name}"
    if not parts.root.path.joinpath(program[1:]).exists():
        message = f"there is no {name} of PostgreSQL {server} on this machine: install postgresql-client-{server}"
        raise BackupError(message)
    # It is given its environment on a command line, which anybody may read: no password there.
    known = _known(url) | {"PGPASSFILE": str(parts.state.part_folder("database") / "pgpass")}
    del known["PGPASSWORD"]
    return parts.root.command([program, *words], **known)


def _major(program: str) -> int:
    told = subprocess.run([program, "--version"], stdout=subprocess.PIPE, check=True).stdout
    found = _VERSION.search(told)
    return int(found[1]) if found else 0


def _known(url: str) -> dict[str, str]:
    """The address as libpq's variables: a command line shows what it is given."""
    parts = urlsplit(url)
    return {
        "PGHOST": parts.hostname or "",
        "PGPORT": str(parts.port or 5432),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": _name(url),
    }


def _name(url: str) -> str:
    return urlsplit(url).path[1:]


def _said(words: bytes) -> str:
    return words.decode(errors="replace").strip()[-2_000:]


def main(words: Sequence[str] | None = None) -> int:
    """Do one verb; 1 where it cannot be done, with a word on it."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.backup",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, summary in (
        ("make", "dump the database into a file"),
        ("restore", "fill an empty database from it"),
    ):
        verbs.add_parser(name, help=summary).add_argument("file", type=Path)
    chosen = parser.parse_args(words)
    try:
        url = _url()
        if chosen.verb == "make":
            print(f"{chosen.file}: {make(url, chosen.file):,} bytes")
        else:
            restore(url, chosen.file)
            print(
                "restored; now `python -m processors migrate up`, `python -m processors offsets show`,"
                " then start the workers, and the alerts"
            )
    except (BackupError, OSError, psycopg.Error) as error:
        print(f"backup: {str(error).strip()}", file=sys.stderr)
        return 1
    return 0


def _url() -> str:
    if url := os.environ.get("WEIR_DATABASE_URL"):
        return url
    if secret := os.environ.get("WEIR_DATABASE_URL_FILE"):
        return Path(secret).read_text(encoding="utf-8").strip()
    message = "no database named: set WEIR_DATABASE_URL or WEIR_DATABASE_URL_FILE"
    raise BackupError(message)


if __name__ == "__main__":
    sys.exit(main())
