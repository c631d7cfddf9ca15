"""Nobody sees or changes what is another's, whatever SQL they send; who takes what out is written down."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from processors import roles
from processors.memberships import Memberships
from processors.report import main
from processors.report_store import open_export
from schemas.calendar import moment
from tests.dashboards.attempts import ATTEMPTS
from tests.dashboards.conftest import Seeded, drop_logins
from tests.dashboards.macros import Value, expand
from tests.dashboards.shown import queries
from tests.dashboards.world import END, START, code

NOBODY = "91510100SYN0000099"
CITY = [code(number) for number in (1, 4, 7)]
STEEL = [code(number) for number in (1, 5)]
TODAY = datetime.now(UTC).date()


@dataclass(frozen=True)
class Tenant:
    """A login that may not see everything."""

    name: str
    url: str = field(repr=False)
    sees: list[str]
    victim: str
    """A unit of others of which everything was told."""


@pytest.fixture(scope="module")
def tenants(seeded: Seeded) -> Iterator[dict[str, Tenant]]:
    """By what they are; one has only what ended, or has not begun."""
    told = {
        "regulator": ("weir_regulator", [("city:510100", TODAY, None)], CITY, code(2)),
        "joined": (
            "weir_regulator",
            [("province:510000+industry:31", TODAY, None)],
            STEEL,
            code(2),
        ),
        "enterprise": ("weir_enterprise", [(f"unit:{code(5)}", TODAY, None)], [code(5)], code(1)),
        "lapsed": (
            "weir_regulator",
            [
                ("province:510000", TODAY - timedelta(9), TODAY),
                ("city:510100", TODAY + timedelta(9), None),
            ],
            [],
            code(1),
        ),
    }
    names = {who: f"t_{who}_{seeded.suffix}" for who in told}
    wanted = {
        "login": [
            {"name": names[who], "role": role, "sees": [{"scope": s, "from": f, "until": u} for s, f, u in sees]}
            for who, (role, sees, _, _) in told.items()
        ]
    }  # fmt: skip
    try:
        with psycopg.connect(seeded.url, autocommit=True) as link:
            made = roles.apply(link, Memberships.model_validate(wanted), reason="test")
            assert len(made) == 9
            assert roles.planned(link, Memberships.model_validate(wanted)) == []
        yield {
            who: Tenant(names[who], seeded.give(names[who], role), sees, victim)
            for who, (role, _, sees, victim) in told.items()
        }
    finally:
        drop_logins(seeded.url, names.values())


@pytest.fixture(scope="module")
def secrets(seeded: Seeded) -> dict[str, list[str]]:
    """By unit: its name and its figures, as anybody would print them."""
    query = "SELECT unit, name, energy_best::text, energy_low::text, energy_high::text FROM unit_standing"
    with psycopg.connect(seeded.url) as link:
        return {unit: [word for word in words if word] for unit, *words in link.execute(query)}


def session(url: str) -> psycopg.Connection:
    """One in which nothing is prepared but by the attempts."""
    return psycopg.connect(url, autocommit=True, prepare_threshold=None)


def outcome(link: psycopg.Connection, statement: str) -> str:
    """All that comes back: rows, notices, and an error with all its fields."""
    said: list[str] = []

    def heard(notice: psycopg.errors.Diagnostic) -> None:
        said.append(str(notice.message_primary))

    link.add_notice_handler(heard)
    try:
        with link.cursor() as cursor:
            if statement.startswith("COPY") and "TO STDOUT" in statement:
                with cursor.copy(statement.encode()) as copied:
                    return " ".join(str(bytes(line)) for line in copied)
            cursor.execute(statement.encode())
            while True:
                said += map(str, cursor.fetchall()) if cursor.description else ["done"]
                if not cursor.nextset():
                    return " ".join(said)
    except psycopg.Error as error:
        told = error.diag
        fields = (told.sqlstate, told.message_primary, told.message_detail, told.message_hint)
        return " ".join(map(str, (*said, *fields, told.context)))
    finally:
        link.remove_notice_handler(heard)


def tried(link: psycopg.Connection, tenant: Tenant, attempt: str, unit: str) -> str:
    """What comes of an attempt on a unit; the session is as at its beginning afterwards."""
    words = {"{victim}": unit, "{name}": tenant.name, "{other}": f"x_{tenant.name}", "{{}}": "{}"}
    for word, value in words.items():
        attempt = attempt.replace(word, value)
    told = outcome(link, attempt)
    link.execute("ROLLBACK")
    link.execute("DISCARD ALL")
    return told.replace(unit, "?")


def test_there_are_hundreds_of_attempts() -> None:
    """Of eleven classes, no two the same."""
    every = [attempt for some in ATTEMPTS.values() for attempt in some]
    assert len(set(every)) == len(every) >= 300
    assert min(len(some) for some in ATTEMPTS.values()) >= 9


@pytest.mark.parametrize("who", ["regulator", "enterprise"])
@pytest.mark.parametrize("kind", ATTEMPTS)
def test_nothing_of_others_comes_back(
    tenants: dict[str, Tenant], secrets: dict[str, list[str]], kind: str, who: str
) -> None:
    """No word of a unit of others; and an attempt on one ends as that on a code that nobody has."""
    tenant = tenants[who]
    hidden = [unit for unit in secrets if unit not in tenant.sees]
    known = {word for unit in tenant.sees for word in secrets[unit]}
    words = {word for unit in hidden for word in (unit, *secrets[unit])} - known
    with closing(session(tenant.url)) as link:
        for attempt in ATTEMPTS[kind]:
            told = tried(link, tenant, attempt, tenant.victim)
            assert [word for word in words if word in told] == [], attempt
            if "{victim}" in attempt:
                assert told == tried(link, tenant, attempt, NOBODY), attempt


@pytest.mark.parametrize("who", ["regulator", "enterprise", "lapsed"])
def test_no_view_has_a_word_of_others(
    tenants: dict[str, Tenant], secrets: dict[str, list[str]], who: str
) -> None:
    """Whatever is granted to people, in full: also what a later migration grants."""
    tenant = tenants[who]
    known = {word for unit in tenant.sees for word in secrets[unit]}
    hidden = [unit for unit in secrets if unit not in tenant.sees]
    words = {word for unit in hidden for word in (unit, *secrets[unit])} - known
    with closing(session(tenant.url)) as link:
        views = link.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p', 'v', 'm') AND has_table_privilege(oid, 'SELECT')"
        ).fetchall()
        assert len(views) >= 17
        for (view,) in views:
            told = outcome(link, f"TABLE {view}")
            assert [word for word in words if word in told] == [], view


@pytest.mark.parametrize("who", ["regulator", "enterprise"])
def test_dashboards_show_what_is_ones_own(
    tenants: dict[str, Tenant], secrets: dict[str, list[str]], who: str
) -> None:
    """Each query is answered, of units of others too, without a word of them."""
    tenant = tenants[who]
    known = {word for unit in tenant.sees for word in secrets[unit]}
    words = {word for unit in secrets if unit not in tenant.sees for word in secrets[unit]} - known
    values: dict[str, Value] = {
        "region": ["510100", "510300", "510400"],
        "industry": ["22", "26", "30", "31"],
        "unit": tenant.victim,
        "scope": "province:510000",
    }
    with psycopg.connect(tenant.url, autocommit=True) as link:
        for query in queries():
            sql = expand(query.sql, moment(START), moment(END), values)
            told = str(link.execute(sql.encode()).fetchall())
            assert [word for word in words if word in told] == [], sql


def test_a_case_is_seen_by_who_sees_all_of_it(tenants: dict[str, Tenant]) -> None:
    """One names units of two cities."""
    for who, ids in (
        ("regulator", ["one"]),
        ("joined", ["one"]),
        ("enterprise", []),
        ("lapsed", []),
    ):
        with psycopg.connect(tenants[who].url) as link:
            assert [row[0] for row in link.execute("SELECT id FROM case_now")] == ids


@pytest.mark.parametrize("kind", ["views", "functions", "leaky conditions", "prepared and blocks"])
def test_the_attempts_would_find_something(
    seeded: Seeded, tenants: dict[str, Tenant], kind: str
) -> None:
    """Sent by who may see everything most of them tell a unit from a code that nobody has: they are not misspelt."""
    owner = Tenant("weir", "", [], tenants["regulator"].victim)
    asked = [attempt for attempt in ATTEMPTS[kind] if "{victim}" in attempt]
    with closing(session(seeded.url)) as link:
        found = [
            attempt
            for attempt in asked
            if tried(link, owner, attempt, owner.victim) != tried(link, owner, attempt, NOBODY)
        ]
    assert len(found) > len(asked) / 2


def test_nothing_was_changed(seeded: Seeded, tenants: dict[str, Tenant]) -> None:
    """By any of the attempts above: nobody else is allowed anything, no role changed hands."""
    with psycopg.connect(seeded.url) as link:
        grants = {row[0] for row in link.execute("SELECT login FROM login_scope")}
        members = link.execute(
            "SELECT m.rolname, r.rolname FROM pg_auth_members a JOIN pg_roles r ON r.oid = a.roleid"
            " JOIN pg_roles m ON m.oid = a.member WHERE m.rolname LIKE %s",
            (f"%{seeded.suffix}",),
        ).fetchall()
        owned = link.execute(
            "SELECT count(*) FROM pg_class WHERE relowner <> 'weir'::regrole"
            " AND relnamespace IN ('public'::regnamespace, 'seen'::regnamespace)"
        ).fetchone()
        readings = link.execute("SELECT count(*) > 0 FROM reading_record").fetchone()
    names = {tenant.name for tenant in tenants.values()}
    assert grants == names
    assert {name for name, _ in members} == names | {
        f"weir_test_{who}_{seeded.suffix}" for who in seeded.logins
    }
    assert len(members) == len(names) + len(seeded.logins)
    assert (owned, readings) == ((0,), (True,))


@pytest.mark.parametrize("who", ["regulator", "joined", "enterprise", "lapsed"])
def test_each_sees_what_is_its_own(seeded: Seeded, tenants: dict[str, Tenant], who: str) -> None:
    """In every view and function the rows that the reader sees of its units, and no others."""
    tenant = tenants[who]
    views = [
        "unit_standing", "unit_now", "figure_told", "figure_now", "point_standing", "unit_verdict", "figure_factors", "unit_account",
        "alert_standing", "alert_log", "unit_landing",
    ]  # fmt: skip
    with psycopg.connect(seeded.reader) as reader, psycopg.connect(tenant.url) as link:
        for view in views:
            query = f"SELECT * FROM {view} v WHERE unit = ANY (%s) ORDER BY v::text"
            mine = link.execute(f"SELECT * FROM {view} v ORDER BY v::text".encode()).fetchall()
            assert mine == reader.execute(query.encode(), (tenant.sees,)).fetchall(), view
        for unit in tenant.sees:
            query = "SELECT * FROM readings(%s, '2026-01-01', '2026-01-02')"
            assert (
                link.execute(query, (unit,)).fetchall() == reader.execute(query, (unit,)).fetchall()
            )


@pytest.mark.parametrize(
    ("who", "scopes"),
    [
        ("regulator", {"city:510100"}),
        ("joined", set()),
        ("enterprise", set()),
        ("lapsed", set()),
    ],
)
def test_sums_of_regions_are_seen_by_who_sees_all_in_them(
    tenants: dict[str, Tenant], who: str, scopes: set[str]
) -> None:
    """A province's sum less one's own would be the others'."""
    with psycopg.connect(tenants[who].url) as link:
        for view in ("region_told", "target_told", "level_changed"):
            found = {row[0] for row in link.execute(f"SELECT scope FROM {view}".encode())}
            assert found <= scopes
        told = {row[0] for row in link.execute("SELECT scope FROM region_told")}
        assert told == scopes


@pytest.mark.parametrize(
    ("scope", "granted", "inside"),
    [
        ("city:510400", "province:510000", True),
        ("province:510000", "city:510400", False),
        ("county:510402", "city:510400", True),
        ("county:510302", "city:510400", False),
        ("city:510400+industry:31", "city:510400", True),
        ("city:510400", "city:510400+industry:31", False),
        ("city:510400+industry:31", "province:510000+industry:31", True),
        ("industry:31", "industry:31", True),
        ("industry:310", "industry:31", False),
        ("unit:A+county:510402+industry:31", "city:510400+industry:31", True),
        ("class:510400", "city:510400", False),
        ("", "city:510400", False),
    ],
)
def test_within(seeded: Seeded, scope: str, granted: str, *, inside: bool) -> None:
    """What is in several scopes joined is in each of them."""
    with psycopg.connect(seeded.url) as link:
        row = link.execute("SELECT seen.within(%s, %s)", (scope, granted)).fetchone()
    assert row == (inside,)


# ---- Rights


RIGHTS = {
    "weir_reader": {},
    "weir_regulator": {},
    "weir_enterprise": {},
    "weir_alerts": {
        "alert_partition": "SELECT INSERT UPDATE DELETE",
        "alert_unit": "SELECT INSERT UPDATE DELETE",
        "alert_state": "SELECT INSERT UPDATE DELETE",
        "alert_delivery": "SELECT INSERT UPDATE",
        "alert_transition": "SELECT INSERT",
        "alert_refused": "SELECT INSERT",
        "alert_case_queue": "SELECT INSERT DELETE",
        "migration": "SELECT",
        **dict.fromkeys(
            ["alert_case", "alert_case_member", "alert_ack", "alert_silence", "alert_word"],
            "SELECT INSERT UPDATE",
        ),
        "alert_message": "SELECT INSERT UPDATE",
        "act": "INSERT",
        **dict.fromkeys(
            [
                *("unit", "region", "industry", "configuration", "factor_pack", "step"),
                *("target_hour", "target_version"),
            ],
            "SELECT",
        ),
    },
}
"""On tables, of roles that are members of none."""


@pytest.mark.parametrize("role", RIGHTS)
def test_rights_on_tables(seeded: Seeded, role: str) -> None:
    """People have none at all; the alerts have what they write."""
    with psycopg.connect(seeded.url) as link:
        found = link.execute(
            "SELECT c.relname, string_agg(p.name, ' ' ORDER BY p.place) FROM pg_class c"
            " CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) WITH ORDINALITY AS p (name, place)"
            " WHERE c.relkind IN ('r', 'p', 'S') AND has_table_privilege(%s, c.oid, p.name)"
            " AND (c.relnamespace IN ('public'::regnamespace, 'seen'::regnamespace) OR c.relname LIKE '\\_hyper\\_%%') GROUP BY 1",
            (role,),
        )
        assert dict(found.fetchall()) == RIGHTS[role]


def test_what_people_read_looks_in_seen_first(seeded: Seeded) -> None:
    """A migration that replaces a view cannot open it to everybody: it is bound again."""
    with psycopg.connect(seeded.url) as link:
        past = link.execute(
            "SELECT DISTINCT v.relname, t.relname FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid"
            " JOIN pg_class v ON v.oid = r.ev_class JOIN pg_class t ON t.oid = d.refobjid"
            " JOIN seen.condition s ON s.relation = t.relname"
            " WHERE d.refclassid = 'pg_class'::regclass AND t.relnamespace = 'public'::regnamespace"
            " AND v.relnamespace = 'public'::regnamespace"
        ).fetchall()
        free = link.execute(
            "SELECT proname FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
            " AND NOT 'search_path=seen, public, pg_temp' = ANY (proconfig)"
        ).fetchall()
    assert (past, free) == ([], [])


def test_sessions_of_people_begin_with_a_timeout(tenants: dict[str, Tenant]) -> None:
    """The server ends what runs for too long, unless a session says otherwise."""
    with psycopg.connect(tenants["enterprise"].url) as link:
        assert link.execute("SHOW statement_timeout").fetchone() == ("15s",)
    with psycopg.connect(tenants["regulator"].url) as link:
        assert link.execute("SHOW statement_timeout").fetchone() == ("30s",)


# ---- Exports and acts


def test_a_report_of_ones_own_is_written_and_kept(
    seeded: Seeded, tenants: dict[str, Tenant], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A regulator's city, an enterprise's unit."""
    for who, words in (("regulator", ["--region", "510100"]), ("enterprise", ["--unit", code(5)])):
        monkeypatch.setenv("WEIR_DATABASE_URL", tenants[who].url)
        page = tmp_path / f"{who}.html"
        assert main([*words, "--from", "2026-01-01", "--out", str(page)]) == 0
        assert page.stat().st_size > 10_000
        kept = exports(seeded, tenants[who].name)[-1]
        assert kept[:2] == ("report", f"unit:{code(5)}" if who == "enterprise" else "city:510100")
        assert kept[2:] == ({"from": "2026-01-01", "to": None, "language": "en"}, True)


@pytest.mark.parametrize(
    ("who", "words", "said"),
    [
        ("regulator", ["--region", "510300"], "may not see city:510300; it may see city:510100"),
        ("regulator", ["--region", "510000"], "may not see province:510000; it may see city:510100"),
        ("regulator", ["--unit", code(2)], f"there is no registered unit {code(2)} that"),
        ("regulator", ["--unit", NOBODY], f"there is no registered unit {NOBODY} that"),
        ("enterprise", ["--region", "510300"], "may not see city:510300; it may see unit:"),
        ("lapsed", ["--region", "510000"], "may not see province:510000; nothing is open to it now"),
    ],
)  # fmt: skip
def test_a_report_of_others_is_refused_and_kept(
    seeded: Seeded, tenants: dict[str, Tenant], monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], who: str, words: list[str], said: str,
) -> None:  # fmt: skip
    """With what the login may see, and no word on whether the unit exists."""
    monkeypatch.setenv("WEIR_DATABASE_URL", tenants[who].url)
    before = len(exports(seeded, tenants[who].name))
    assert main([*words, "--out", str(tmp_path / "never.html")]) == 1
    assert said in capsys.readouterr().err
    kept = exports(seeded, tenants[who].name)[before:]
    assert [row[3] for row in kept] == [False]


def exports(seeded: Seeded, login: str) -> list[tuple[object, ...]]:
    """What a login asked to take out."""
    with psycopg.connect(seeded.url) as link:
        query = "SELECT what, scope, parameters, allowed FROM export WHERE login = %s ORDER BY id"
        return link.execute(query, (login,)).fetchall()


def test_the_log_tells_exports_and_acts(
    seeded: Seeded, tenants: dict[str, Tenant], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    """Who, what, when, with which parameters; as lines of JSON for machines."""
    open_export(tenants["regulator"].url, "report", "city:510100", {}).close()
    monkeypatch.setenv("WEIR_DATABASE_URL", seeded.url)
    assert roles.main(["log", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"roles", "login", "configuration", "targets"} <= {line["what"] for line in told}
    assert {line["login"] for line in told if line["what"] == "roles"} == {"weir"}
    assert roles.main(["log", "--login", tenants["regulator"].name]) == 0
    assert "export: report" in capsys.readouterr().out
