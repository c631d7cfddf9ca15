"""The database's schema: numbered SQL files, applied in order, each once, none ever edited.

`python -m processors migrate up | status | login NAME --role ROLE`
"""

import argparse
import getpass
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from processors import registry
from processors.acts import remember
from schemas.factors import default_pack
from schemas.settings import Settings, SettingsError

Link = Connection[TupleRow]
Say = Callable[[str], None]

LIMITED = ("weir_regulator", "weir_enterprise")
"""Roles whose members see what `roles apply` lets them see, and else nothing."""
ROLES = ("weir_worker", "weir_alerts", "weir_reader", "weir_steward", *LIMITED)
"""Without login; people and services get logins of their own that are members of one (`login`)."""
_HABITS = {
    "weir_reader": {"statement_timeout": "60s", "idle_in_transaction_session_timeout": "5min"},
    "weir_regulator": {"statement_timeout": "30s", "idle_in_transaction_session_timeout": "1min"},
    "weir_enterprise": {"statement_timeout": "15s", "idle_in_transaction_session_timeout": "1min"},
}
"""What sessions of a login begin with; PostgreSQL lets a session set them otherwise."""
_CONNECTIONS = {"weir_regulator": 10, "weir_enterprise": 5}

_LOCK = 4_932_004_932
"""Number of the advisory lock: one migration at a time in a database."""
_NAME = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")


class MigrationError(Exception):
    """The database and the files do not belong together; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of schemas/sql."""

    number: int
    name: str
    text: str

    @property
    def hash(self) -> str:
        """SHA-256 of the file."""
        return sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Status:
    """What a database has, and what it lacks."""

    applied: tuple[tuple[int, str, datetime], ...]
    missing: tuple[Migration, ...]
    edition: str
    """TimescaleDB's: `apache`, `timescale`, or `none` where the extension is not there."""


def migrations(folder: Traversable | None = None) -> tuple[Migration, ...]:
    """The files, in order. Raises MigrationError where their numbers leave one out or name one twice."""
    place = folder or files("schemas") / "sql"
    named = sorted((file.name, file) for file in place.iterdir() if file.name.endswith(".sql"))
    found = []
    for number, (name, file) in enumerate(named, start=1):
        parts = _NAME.match(name)
        if parts is None or int(parts[1]) != number:
            message = (
                f"{name} should be {number:04d}_words.sql: the files are numbered without gaps"
            )
            raise MigrationError(message)
        found.append(Migration(number, parts[2], file.read_text(encoding="utf-8")))
    return tuple(found)


def up(url: str, *, say: Say = lambda _: None, steps: Sequence[Migration] | None = None) -> int:
    """Apply what is missing and load the factor pack; returns how many files were applied."""
    wanted = migrations() if steps is None else steps
    with psycopg.connect(url, autocommit=True) as link:
        _prepare(link)
        count = 0
        for migration in wanted:
            if _apply(link, migration):
                say(f"applied {migration.number:04d} {migration.name}")
                count += 1
        if steps is None and registry.save_factors(link, default_pack()):
            say(f"loaded the factors of {default_pack().version}")
        return count


def status(url: str) -> Status:
    """Compare a database with the files. Raises MigrationError where an applied one was edited."""
    with psycopg.connect(url, autocommit=True) as link:
        applied = _applied(link)
        wanted = migrations()
        for migration in wanted:
            _refuse_edited(migration, applied)
        return Status(
            applied=tuple((number, name, at) for number, (name, _, at) in sorted(applied.items())),
            missing=tuple(migration for migration in wanted if migration.number not in applied),
            edition=_edition(link),
        )


def login(url: str, name: str, *, role: str, password: str) -> None:
    """Make or change a login that is a member of one of ROLES, and of no other of them.

    Only the password's SCRAM verifier is sent: statements end up in logs.
    """
    if role not in ROLES:
        message = f"there is no role {role}; there are {', '.join(ROLES)}"
        raise MigrationError(message)
    with psycopg.connect(url, autocommit=True) as link, link.transaction():
        verifier = link.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
        known = link.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
        verb = sql.SQL("ALTER ROLE" if known else "CREATE ROLE")
        user, secret = sql.Identifier(name), sql.Literal(verifier.decode())
        link.execute(sql.SQL("{} {} LOGIN PASSWORD {}").format(verb, user, secret))
        make_member(link, name, role)
        remember(link, "login", {"login": name, "role": role}, reason="its password was set")


def make_member(link: Link, name: str, role: str) -> None:
    """Let a login be a member of this one of ROLES alone, with its timeouts; in the caller's transaction."""
    user = sql.Identifier(name)
    for other in ROLES:
        if other != role:
            link.execute(sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(other), user))
    link.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), user))
    most = sql.Literal(_CONNECTIONS.get(role, -1))
    link.execute(sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}").format(user, most))
    for setting in ("statement_timeout", "idle_in_transaction_session_timeout"):
        value = sql.Literal(_HABITS.get(role, {}).get(setting, "0"))
        link.execute(
            sql.SQL("ALTER ROLE {} SET {} = {}").format(user, sql.Identifier(setting), value)
        )


def _prepare(link: Link) -> None:
    """The extension, outside of the numbered files: it may need more rights than the rest."""
    with link.transaction():
        link.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if _edition(link) == "none":
            link.execute("CREATE EXTENSION timescaledb")
        link.execute(
            """CREATE TABLE IF NOT EXISTS migration (
                number integer PRIMARY KEY, name text NOT NULL, hash text NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"""
        )
        # A temporary schema is a place for functions of one's own. (Not in a file: a dump leaves it out.)
        name = sql.Identifier(link.info.dbname)
        link.execute(sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(name))


def _apply(link: Link, migration: Migration) -> bool:
    """Apply one file and write it down in one transaction; False where it was applied before."""
    with link.transaction():
        link.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        applied = _applied(link)
        _refuse_edited(migration, applied)
        if migration.number in applied:
            return False
        try:
            link.execute(migration.text)
            _bind(link)
        except psycopg.Error as error:
            message = f"{migration.number:04d} {migration.name}: {error}"
            raise MigrationError(message) from error
        link.execute(
            "INSERT INTO migration (number, name, hash) VALUES (%s, %s, %s)",
            (migration.number, migration.name, migration.hash),
        )
    return True


def _bind(link: Link) -> None:
    """Let what people read show each login what it may see, whatever a migration replaced (0018)."""
    row = link.execute("SELECT to_regprocedure('seen.bind()') IS NOT NULL").fetchone()
    if row is not None and row[0]:
        link.execute("SELECT seen.bind()")


def _applied(link: Link) -> dict[int, tuple[str, str, datetime]]:
    exists = link.execute("SELECT to_regclass('migration') IS NOT NULL").fetchone()
    if exists is None or not exists[0]:
        return {}
    rows = link.execute("SELECT number, name, hash, applied_at FROM migration")
    return {number: (name, digest, at) for number, name, digest, at in rows}


def _refuse_edited(migration: Migration, applied: dict[int, tuple[str, str, datetime]]) -> None:
    if migration.number in applied and applied[migration.number][1] != migration.hash:
        message = (
            f"{migration.number:04d} {migration.name} was edited after it was applied on "
            f"{applied[migration.number][2]:%Y-%m-%d}: put it back and write the change as a new file"
        )
        raise MigrationError(message)


def _edition(link: Link) -> str:
    """TimescaleDB's edition, for what only one of them has."""
    extension = link.execute("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
    if extension is None:
        return "none"
    row = link.execute("SELECT current_setting('timescaledb.license', true)").fetchone()
    return str(row[0]) if row else "none"


# ---- Command line


def main(arguments: Sequence[str]) -> int:
    """Do one verb; 1 where something is wrong, with a word on it."""
    chosen = _parser().parse_args(arguments)
    try:
        url = chosen.url or database_url()
        _VERBS[chosen.verb](url, chosen)
    except (MigrationError, SettingsError, psycopg.Error) as error:
        _complain(f"migrate: {str(error).strip()}")
        return 1
    return 0


def database_url() -> str:
    """The address that the settings give. Raises MigrationError where they give none."""
    url = Settings.read().database_url
    if url is None:
        message = "no database named: set WEIR_DATABASE_URL or give --url"
        raise MigrationError(message)
    return url.get_secret_value()


def _up(url: str, _: argparse.Namespace) -> None:
    count = up(url, say=_tell)
    _tell(f"{count} applied" if count else "nothing to apply")


def _status(url: str, _: argparse.Namespace) -> None:
    told = status(url)
    _tell(f"TimescaleDB edition: {told.edition}")
    for number, name, at in told.applied:
        _tell(f"{number:04d} {name}: applied {at:%Y-%m-%d %H:%M:%S %Z}")
    for migration in told.missing:
        _tell(f"{migration.number:04d} {migration.name}: missing")


def _login(url: str, chosen: argparse.Namespace) -> None:
    secret = Path(chosen.password_file).read_text().strip() if chosen.password_file else ""
    login(url, chosen.name, role=chosen.role, password=secret or getpass.getpass())
    _tell(f"{chosen.name} may log in as {chosen.role}")


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _complain(line: str) -> None:
    sys.stderr.write(f"{line}\n")


_VERBS = {"up": _up, "status": _status, "login": _login}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m processors migrate", description=__doc__)
    parser.add_argument("--url", help="the database's address; else WEIR_DATABASE_URL")
    parser.set_defaults(verb="up")
    verbs = parser.add_subparsers(dest="verb")
    verbs.add_parser("up", help="apply what is missing")
    verbs.add_parser("status", help="what is applied, what is missing")
    login_verb = verbs.add_parser("login", help="a login for a service or a dashboard")
    login_verb.add_argument("name")
    login_verb.add_argument("--role", choices=ROLES, required=True)
    login_verb.add_argument("--password-file", help="else it is asked for")
    return parser
