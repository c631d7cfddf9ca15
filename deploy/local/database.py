"""PostgreSQL with TimescaleDB, as Debian packages them."""

import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from deploy.local.complaint import ComplaintError
from deploy.local.ports import LOOPBACK
from deploy.local.private_root import PrivateRoot
from deploy.local.process import whose_folder_is
from deploy.local.state import State, socket_path_is_too_long, write_private
from deploy.local.wire import postgres_asks_for_password

_PROGRAMS = "/usr/lib/postgresql/17/bin"
_OWNER = "weir"
_DATABASE = "weir"

_SETTINGS = """\
data_directory = '{data}'
hba_file = '{hba}'
ident_file = '{data}/pg_ident.conf'
listen_addresses = '{host}'
port = {port}
unix_socket_directories = '{sockets}'
max_connections = 100
timezone = 'UTC'

shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
# Debian's edition has no jobs to run. A scheduler would only hold each database open, so
# that CREATE DATABASE ... TEMPLATE is refused.
timescaledb.max_background_workers = 0

# A commit is on the disk when it is told: the kill tests are about exactly this.
fsync = on
synchronous_commit = on

shared_buffers = 512MB
max_wal_size = 4GB
random_page_cost = 1.1

# A query over a hypertable locks every chunk that it cannot exclude, and their indexes.
max_locks_per_transaction = 512

log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
log_checkpoints = off
"""

_HBA = """\
# Everybody shows a password, the local socket too: any user of the machine reaches both.
local all all                  scram-sha-256
host  all all 127.0.0.1/32     scram-sha-256
"""


@dataclass(frozen=True, slots=True)
class Database:
    """The part `database`."""

    state: State
    root: PrivateRoot
    port: int

    name = "database"
    stop_signal = signal.SIGINT
    """PostgreSQL's fast shutdown: on SIGTERM it would wait for every client to leave."""
    patience = 120.0

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def url(self) -> str:
        """The address of the database `weir`, as its owner, who may do everything."""
        password = self.state.secret(self._folder / "password")
        return f"postgresql://{_OWNER}:{password}@{self.address}/{_DATABASE}"

    def prepare(self) -> None:
        """Write the settings; make the cluster the first time."""
        folder = self._folder
        data = folder / "data"
        password = self.state.secret(folder / "password")
        write_private(folder / "pgpass", f"*:*:*:{_OWNER}:{password}\n")
        write_private(folder / "pg_hba.conf", _HBA)
        settings = _SETTINGS.format(
            data=data,
            hba=folder / "pg_hba.conf",
            host=LOOPBACK,
            port=self.port,
            sockets="" if socket_path_is_too_long(folder) else folder,
        )
        write_private(folder / "postgresql.conf", settings)
        if data.exists():
            self._forget_dead_server(data)
        else:
            self._make_cluster(data)

    def command(self) -> list[str]:
        """Return what runs the server in the foreground."""
        settings = f"config_file={self._folder / 'postgresql.conf'}"
        return self.root.command([f"{_PROGRAMS}/postgres", "-c", settings])

    def answers(self) -> bool:
        """Tell whether the server lets sessions begin."""
        return postgres_asks_for_password(self.port, _OWNER, _DATABASE)

    def after_start(self) -> None:
        """Make the database and its extension, unless an earlier start did."""
        done = self._folder / "made"
        if done.exists():
            return
        databases = self.query("SELECT datname FROM pg_database", database="postgres")
        if _DATABASE not in databases.splitlines():
            self.query(f"CREATE DATABASE {_DATABASE}", database="postgres")
        self.query("CREATE EXTENSION IF NOT EXISTS timescaledb")
        write_private(done, "the database and its extension\n")

    def query(self, sql: str, *, database: str = _DATABASE) -> str:
        """Return what psql prints, unaligned: for set-up and tests, not for services."""
        return self.root.run(
            [
                *("psql", "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1"),
                *("-h", LOOPBACK, "-p", str(self.port), "-U", _OWNER, "-d", database),
                *("-c", sql),
            ],
            PGPASSFILE=str(self._folder / "pgpass"),
            PGOPTIONS="-c client_min_messages=warning",
        ).strip()

    @property
    def _folder(self) -> Path:
        return self.state.part_folder(self.name)

    def _forget_dead_server(self, data: Path) -> None:
        """Remove the locks that a killed server left, once nothing of it runs any more.

        PostgreSQL takes a zombie for a running server, and some machines' first process is
        slow to bury them. Its children live in the data folder: while one does, they stay.
        """
        deadline = time.monotonic() + 10
        while orphans := whose_folder_is(data):
            if time.monotonic() > deadline:
                message = f"processes of an earlier PostgreSQL still run: {orphans}"
                raise ComplaintError(message, "let them end, or kill them, then `up` again")
            time.sleep(0.05)
        for lock in (data / "postmaster.pid", *self._folder.glob(".s.PGSQL.*")):
            lock.unlink(missing_ok=True)

    def _make_cluster(self, data: Path) -> None:
        """Make it beside and rename it: half a cluster must never look like one."""
        new = data.with_name("data.new")
        shutil.rmtree(new, ignore_errors=True)
        self.root.run(
            [
                *(f"{_PROGRAMS}/initdb", "-D", str(new), f"--username={_OWNER}"),
                *("--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256"),
                f"--pwfile={self._folder / 'password'}",
            ]
        )
        new.rename(data)
