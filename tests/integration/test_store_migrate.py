"""Migrations: in order, once, never edited; roles with just the rights they need."""

from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import psycopg
import pytest

from processors import migrate
from processors.migrate import Migration, MigrationError
from processors.store import Store
from tests.integration.steps import full_step

PASSWORD = "only for a test"  # noqa: S105 - of a role that lives as long as the test


def test_all_are_applied_once(empty_database: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A second run finds nothing to do; `status` lists each with its time."""
    assert migrate.main(["--url", empty_database, "status"]) == 0
    assert "0001 configuration: missing" in capsys.readouterr().out
    assert migrate.main(["--url", empty_database, "up"]) == 0
    assert migrate.main(["--url", empty_database, "up"]) == 0
    assert capsys.readouterr().out.endswith("nothing to apply\n")
    status = migrate.status(empty_database)
    assert [number for number, _, _ in status.applied] == list(
        range(1, len(migrate.migrations()) + 1)
    )
    assert status.missing == ()
    assert status.edition in {"apache", "timescale"}


def test_two_at_once_apply_each_once(empty_database: str) -> None:
    """Two services that start together wait for each other."""
    counts: list[int] = []
    threads = [Thread(target=lambda: counts.append(migrate.up(empty_database))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(counts) == len(migrate.migrations())


def test_an_edited_one_is_refused(empty_database: str) -> None:
    """What is applied stays as it is; a change is a new file."""
    first = Migration(1, "one", "CREATE TABLE one ()")
    assert migrate.up(empty_database, steps=[first]) == 1
    with pytest.raises(MigrationError, match="0001 one was edited"):
        migrate.up(empty_database, steps=[Migration(1, "one", "CREATE TABLE uno ()")])


def test_one_that_fails_leaves_nothing(empty_database: str) -> None:
    """Each is one transaction, and says which statement the server did not like."""
    bad = Migration(1, "bad", "CREATE TABLE one (); SELECT wrong")
    with pytest.raises(MigrationError, match=r"0001 bad: column .wrong. does not exist"):
        migrate.up(empty_database, steps=[bad])
    with psycopg.connect(empty_database) as link:
        assert link.execute("SELECT to_regclass('one')").fetchone() == (None,)


@pytest.mark.parametrize(
    "names", [["0001_a.sql", "0003_b.sql"], ["0001_a.sql", "0001_b.sql"], ["1_a.sql"]]
)
def test_numbers_leave_none_out(tmp_path: Path, names: list[str]) -> None:
    """Two people who take the same number find out before the database does."""
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(MigrationError, match="numbered without gaps"):
        migrate.migrations(tmp_path)


@pytest.fixture
def login(database: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The database's address for a fresh login of the role that the test names."""
    name = f"test_{database.rsplit('_', 1)[1]}"
    migrate.login(database, name, role=request.param, password=PASSWORD)
    server = database.split("@", 1)[1]
    yield f"postgresql://{name}:{PASSWORD.replace(' ', '%20')}@{server}"
    with psycopg.connect(database, autocommit=True) as link:
        link.execute(f"DROP OWNED BY {name}".encode())
        link.execute(f"DROP ROLE {name}".encode())


@pytest.mark.parametrize("login", ["weir_worker"], indirect=True)
def test_the_worker_may_do_its_work_and_no_more(login: str) -> None:
    """Everything of a step, by a role that cannot change or delete what the log said."""
    store = Store(login)
    store.take({0: 0})
    store.write(full_step())
    assert len(store.load(0)) == 2
    store.close()
    with psycopg.connect(login, autocommit=True) as link:
        for statement in (
            "DELETE FROM reading_record",
            "UPDATE outbox SET key = ''",
            "DROP TABLE hour",
            "UPDATE step SET holes = 0",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                link.execute(statement.encode())


@pytest.mark.parametrize("login", ["weir_reader"], indirect=True)
def test_the_reader_reads_through_views_and_functions_alone(login: str) -> None:
    """No table, and so no hypertable, is open to it; nothing can be written."""
    with psycopg.connect(login, autocommit=True) as link:
        for name in ("reading_record", "hour", "unit_state", "outbox", "unit_window"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                link.execute(f"TABLE {name}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            link.execute("CREATE TABLE mine ()")
        for name in ("unit_now", "figure_now"):
            link.execute(f"TABLE {name}".encode())
        link.execute(
            "SELECT * FROM figures('x', date_trunc('day', now()), date_trunc('day', now()))"
        )


def test_a_login_for_an_unknown_role_is_refused(database: str) -> None:
    """Only the roles that the migrations made."""
    with pytest.raises(MigrationError, match="there is no role"):
        migrate.login(database, "x", role="postgres", password="y")  # noqa: S106 - never made
