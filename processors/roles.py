"""Who may see what in the database: regulators their regions, enterprises their units; and who did and took what.

`plan FILE` says what a file of logins would change, `apply FILE` does it, `log` prints exports and acts.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow

from processors.acts import remember
from processors.memberships import (
    Change,
    Grant,
    GrantChange,
    Held,
    MembershipError,
    Memberships,
    RoleChange,
    changes,
    read_memberships,
)
from processors.migrate import LIMITED, MigrationError, database_url, make_member
from schemas.calendar import BUSINESS
from schemas.settings import SettingsError

Link = Connection[TupleRow]

_EPILOG = """examples:
  python -m processors roles plan deploy/example/logins.toml
  python -m processors roles apply logins.toml --reason "order 12 of the energy office"
  python -m processors roles log --login supervision_1

The file is TOML, and the whole truth about logins of regulators and enterprises: who is not in it loses the role, a scope
that is not in it ends now. Days are those of the business calendar, [from, until); without `until` there is no end.
  [[login]]
  name = "supervision_1"                  # every login can read the names of all logins: let them say little
  role = "weir_regulator"                 # or weir_enterprise, which sees unit:CODE alone
  sees = [{ scope = "city:510100", from = 2026-01-01, until = 2027-01-01 }]
Scopes: province:510000, city:510400, county:510402, industry:31, several joined by + (what is in all of them), unit:CODE.
Passwords are not here: `python -m processors migrate login NAME --role ROLE` sets them, and makes logins of services.

Exit codes: 0 done, or (plan) nothing would change; 1 something would (plan), or it could not be done; 2 the words are wrong."""

_ROLES: LiteralString = """
SELECT m.rolname, r.rolname FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid JOIN pg_roles m ON m.oid = a.member
WHERE r.rolname = ANY (%s) AND m.rolname IN (SELECT login FROM login_scope UNION SELECT unnest(%s::text[]))"""
_GRANTS: LiteralString = "SELECT login, scope, from_at, until_at FROM login_scope"
_GRANT: LiteralString = """
INSERT INTO login_scope (login, scope, from_at, until_at) VALUES (%s, %s, %s, %s)
ON CONFLICT (login, scope, from_at) DO UPDATE SET until_at = excluded.until_at"""
_LOG: LiteralString = """
SELECT at, login, what, detail, reason, allowed FROM audit_log
WHERE (%(login)s::text IS NULL OR login = %(login)s) ORDER BY at DESC LIMIT %(most)s"""


def planned(link: Link, wanted: Memberships) -> list[Change]:
    """What a file changes, by the database's clock.

    Roles belong to the server: only those of logins that this database knows or the file names are looked at.
    """
    row = link.execute("SELECT date_trunc('second', now())").fetchone()
    assert row is not None  # noqa: S101 - it is one row
    names = [one.name for one in wanted.login]
    roles = link.execute(_ROLES, (list(LIMITED), names)).fetchall()
    grants = link.execute(_GRANTS).fetchall()
    held = Held(dict(roles), {Grant(*row[:3]): row[3] for row in grants})
    return changes(held, wanted, row[0])


def apply(link: Link, wanted: Memberships, *, reason: str) -> list[Change]:
    """Do all of it or nothing, and write it down. Raises psycopg.Error."""
    with link.transaction():
        done = planned(link, wanted)
        for change in done:
            match change:
                case GrantChange():
                    link.execute(_GRANT, (*change.grant, change.until))
                case RoleChange():
                    _become(link, change)
        if done:
            remember(link, "roles", {"changes": [change.said for change in done]}, reason=reason)
    return done


def _become(link: Link, change: RoleChange) -> None:
    user = sql.Identifier(change.login)
    if not change.role:
        for role in LIMITED:
            link.execute(sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(role), user))
        return
    known = link.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (change.login,)).fetchone()
    if not known:
        link.execute(sql.SQL("CREATE ROLE {} LOGIN").format(user))
    make_member(link, change.login, change.role)


# ---- Command line


def main(arguments: Sequence[str]) -> int:
    """Do one verb."""
    chosen = _parser().parse_args(arguments)
    try:
        with psycopg.connect(database_url(), autocommit=True) as link:
            return _do(link, chosen)
    except psycopg.errors.UndefinedTable:
        sys.stderr.write("roles: the database is older than this: run `migrate up`\n")
    except (MembershipError, MigrationError, SettingsError, psycopg.Error) as error:
        sys.stderr.write(f"roles: {str(error).strip()}\n")
    return 1


def _do(link: Link, chosen: argparse.Namespace) -> int:
    if chosen.verb == "log":
        _log(link, chosen)
        return 0
    wanted = read_memberships(chosen.file)
    if chosen.verb == "plan":
        would = planned(link, wanted)
        _say(would, as_json=chosen.json)
        return 1 if would else 0
    _say(apply(link, wanted, reason=chosen.reason), as_json=chosen.json)
    return 0


def _say(some: Sequence[Change], *, as_json: bool) -> None:
    if as_json:
        _tell(json.dumps({"changes": [change.said for change in some]}, ensure_ascii=False))
        return
    for change in some:
        _tell(change.said)
    _tell(f"{len(some)} changes")


def _log(link: Link, chosen: argparse.Namespace) -> None:
    values = {"login": chosen.login, "most": chosen.most}
    for at, login, what, detail, reason, allowed in link.execute(_LOG, values):
        if chosen.json:
            told = {"at": at.isoformat(), "login": login, "what": what, "detail": detail}
            _tell(json.dumps(told | {"reason": reason, "allowed": allowed}, ensure_ascii=False))
        else:
            _tell(_sentence(at, login, what, detail, reason, refused=allowed is False))


def _sentence(
    at: datetime, login: str, what: str, detail: object, reason: str, *, refused: bool
) -> str:
    because = f" ({reason})" if reason else ""
    told = json.dumps(detail, ensure_ascii=False)
    return f"{at.astimezone(BUSINESS):%Y-%m-%d %H:%M:%S}  {login}  {what}{' REFUSED' if refused else ''}  {told}{because}"


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m processors roles",
        description=__doc__,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    plan = verbs.add_parser("plan", help="say what a file would change; 1 where anything")
    made = verbs.add_parser("apply", help="let the database hold what a file says")
    log = verbs.add_parser("log", help="exports and acts, the newest first")
    for verb in (plan, made):
        verb.add_argument("file", type=Path)
    made.add_argument("--reason", required=True, help="why; kept with the changes")
    log.add_argument("--login", help="of one login alone")
    log.add_argument("--most", type=int, default=100, metavar="N", help="100 unless given")
    for verb in (plan, made, log):
        verb.add_argument("--json", action="store_true", help="JSON, for machines")
    return parser
