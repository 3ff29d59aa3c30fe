"""A private PostgreSQL of a given version."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from .template import copy_cluster
from .tools import children, dying_with_us, free_port, postgres_bin, wait_until

# fsync is off: the tests kill processes, not machines, and what the kernel holds survives that. synchronous_commit stays
# on, so that a commit that a client was told of is in the WAL.
SETTINGS = {
    "wal_level": "logical",
    "max_wal_senders": "20",
    "max_replication_slots": "20",
    "max_connections": "60",
    "max_prepared_transactions": "10",
    "fsync": "off",
    "shared_buffers": "256MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "10min",
    "listen_addresses": "127.0.0.1",
    "log_line_prefix": "%m [%p] ",
    "log_replication_commands": "on",
}

# What a database may be set to, and what must not be seen in an event: the streamer pins its own session.
FOREIGN_DEFAULTS = {
    "TimeZone": "Asia/Kolkata",
    "DateStyle": "German, DMY",
    "IntervalStyle": "sql_standard",
    "extra_float_digits": "-3",
    "bytea_output": "escape",
}


# What the streamer's own role may carry besides, and what must neither end a session of its nor be seen in an event: all that the
# version has. Limits on time are short beside what it does, and long beside a statement.
FOREIGN_ROLE = {
    "transaction_timeout": "1s",
    "statement_timeout": "1s",
    "lock_timeout": "200ms",
    "idle_session_timeout": "2s",
    "idle_in_transaction_session_timeout": "1s",
    "tcp_user_timeout": "2s",
    "tcp_keepalives_idle": "1",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "1",
    "client_connection_check_interval": "1s",
    "wal_sender_timeout": "1s",
    "logical_decoding_work_mem": "64kB",
    "client_min_messages": "error",
    "client_encoding": "LATIN1",
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "synchronous_commit": "off",
    "standard_conforming_strings": "off",
    "backslash_quote": "off",
    "escape_string_warning": "off",
    "quote_all_identifiers": "on",
    "array_nulls": "off",
    "xmloption": "document",
    "xmlbinary": "hex",
    "transform_null_equals": "on",
    "search_path": "public, pg_catalog",
    "lc_monetary": "C",
    "lc_messages": "C",
    "lc_numeric": "C",
    "lc_time": "C",
    "default_text_search_config": "pg_catalog.german",
    "timezone_abbreviations": "India",
    "jit": "on",
    # Not 0: where PostgreSQL compiles, each of the streamer's questions would cost the tests more than all else they do (test_rules_server has 0).
    "jit_above_cost": "99999",
    "row_security": "off",
    "check_function_bodies": "off",
    "session_replication_role": "replica",
    "default_table_access_method": "heap",
    "default_toast_compression": "pglz",
    "gin_pending_list_limit": "64kB",
    "gin_fuzzy_search_limit": "1",
    "icu_validation_level": "error",
    "lo_compat_privileges": "on",
    "exit_on_error": "on",
    "application_name": "foreign",
    "plan_cache_mode": "force_generic_plan",
    "work_mem": "64kB",
    "enable_indexscan": "off",
    "join_collapse_limit": "1",
} | FOREIGN_DEFAULTS


@contextmanager
def asking(connect: Callable[[], psycopg.Connection]) -> Iterator[Callable]:
    """What gives the first column of a query's first row (None without a row), over a connection that is made anew where it broke."""
    connection: psycopg.Connection | None = None

    def ask(sql: str, parameters=None):
        nonlocal connection
        if connection is None or connection.closed:
            connection = connect()
        try:
            row = connection.execute(sql, parameters).fetchone()
        except psycopg.OperationalError:
            connection.close()
            raise
        return row[0] if row else None

    try:
        yield ask
    finally:
        if connection:
            connection.close()


def as_foreigner(conninfo: str) -> str:
    """The same, as the role that carries `FOREIGN_ROLE`."""
    return conninfo.replace("user=postgres", "user=foreigner")


class Postgres:
    """One cluster in `folder`; `start` it, and `close` it at the end.

    `environment`: variables that its processes have besides ours, from the next start on.
    """

    database = "shop"

    def __init__(self, version: str, folder: Path, settings: dict[str, str] | None = None,
                 environment: dict[str, str] | None = None):
        self.version = version
        self.bin = postgres_bin(version)
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "postgres.log"
        self.port = free_port()
        self.settings = SETTINGS | {"port": str(self.port), "unix_socket_directories": str(folder)} | (settings or {})
        self.environment = environment or {}
        self._process: subprocess.Popen | None = None

    @property
    def identity(self) -> dict:
        """The user to run as, as arguments to subprocess: `postgres` when we are root, which PostgreSQL refuses."""
        return {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}

    @property
    def conninfo(self) -> str:
        """How to connect over TCP."""
        return f"host=127.0.0.1 port={self.port} dbname={self.database} user=postgres"

    @property
    def streamer_conninfo(self) -> str:
        """How the streamer connects: as a role that carries all that a role can."""
        return as_foreigner(self.conninfo)

    @property
    def socket_conninfo(self) -> str:
        """How to connect over the Unix socket, which reaches into other network namespaces."""
        return f"host={self.folder} port={self.port} dbname={self.database} user=postgres"

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self._process.pid

    def create(self) -> None:
        """Makes the cluster, with the database in it, and starts it."""
        self._make_folder()
        copy_cluster(self.version, self.data, _make_cluster)
        self.start()

    def initialise(self) -> None:
        """What `create` copies: initdb, the database and the foreigner's role; it runs then."""
        self._make_folder()
        command = [self.bin / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                   "--locale=C.UTF-8", "--no-sync"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, **self.identity)
        assert done.returncode == 0, f"initdb of PostgreSQL {self.version}: {done.stderr}"
        self.start()
        with psycopg.connect(self.conninfo.replace(f"dbname={self.database}", "dbname=postgres"), autocommit=True) as c:
            c.execute(f"CREATE DATABASE {self.database}")
            for name, value in FOREIGN_DEFAULTS.items():
                c.execute(f"ALTER DATABASE {self.database} SET {name} TO '{value}'")
            c.execute("CREATE ROLE foreigner SUPERUSER REPLICATION LOGIN")
            known = {name for name, in c.execute("SELECT name FROM pg_settings")}
            for name, value in FOREIGN_ROLE.items():
                if name in known:
                    # A list of names is set as one.
                    c.execute(f"ALTER ROLE foreigner SET {name} TO " + (value if name == "search_path" else f"'{value}'"))

    def _make_folder(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.identity:
            shutil.chown(self.folder, "postgres", "postgres")

    def start(self) -> None:
        """Starts the postmaster and waits until it takes connections."""
        options = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*dying_with_us("QUIT"), self.bin / "postgres", "-D", self.data, *options], cwd=self.folder, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL, start_new_session=True, env=os.environ | self.environment, **self.identity)
        wait_until(self._answers, 60, f"PostgreSQL {self.version} takes connections, see {self.log}")

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"PostgreSQL {self.version} ended with {self._process.returncode}, see {self.log}")
        with psycopg.connect(f"host=127.0.0.1 port={self.port} dbname=postgres user=postgres", connect_timeout=5):
            return True

    def stop(self, mode: str = "fast", seconds: int = 60) -> float:
        """`pg_ctl stop -m mode`: returns how long it took, in seconds; fails when it does not end in time."""
        began = time.monotonic()
        command = [self.bin / "pg_ctl", "stop", "-D", self.data, "-m", mode, "-t", str(seconds), "-s"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, **self.identity)
        took = time.monotonic() - began
        assert done.returncode == 0, f"pg_ctl stop -m {mode}: {done.stderr.strip()} after {took:.1f} s"
        self._process.wait(timeout=10)
        return took

    def restart(self, mode: str) -> float:
        """Stops in `mode` and starts again; returns how long the stop took, in seconds."""
        took = self.stop(mode)
        self.start()
        return took

    def kill(self) -> None:
        """kill -9 of the postmaster; its children notice and end by themselves."""
        self._process.kill()
        self._process.wait()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """SIGSTOP to every process of the cluster: it holds its connections and answers nothing."""
        processes = [self.pid, *children(self.pid)]
        _send(processes, signal.SIGSTOP)
        try:
            yield
        finally:
            _send(processes, signal.SIGCONT)

    def connect(self, **options) -> psycopg.Connection:
        """A connection in autocommit with ISO dates and UTC, whatever the database's defaults are."""
        connection = psycopg.connect(self.conninfo, autocommit=True, connect_timeout=10, **options)
        connection.execute("SET TimeZone TO 'UTC'")
        connection.execute("SET DateStyle TO 'ISO'")
        connection.execute("SET extra_float_digits TO 1")
        connection.execute("SET bytea_output TO 'hex'")
        return connection

    def value(self, sql: str, parameters=None):
        """The first column of the first row, over a connection of its own; None without a row."""
        with self.connect() as connection:
            row = connection.execute(sql, parameters).fetchone()
            return row[0] if row else None

    @contextmanager
    def asking(self) -> Iterator[Callable]:
        """`value`, over one connection as long as it holds: for what is asked again and again. A connection costs more than a hundred
        questions."""
        with asking(self.connect) as ask:
            yield ask

    def run(self, sql: str) -> None:
        """Executes statements (one transaction when there are several, as psql -c does)."""
        with self.connect() as connection:
            connection.execute(sql)

    def run_file(self, path: Path) -> None:
        """Runs a script through psql, stopping at the first error."""
        command = [self.bin / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.conninfo]
        done = subprocess.run(command, stdin=path.open(), capture_output=True, text=True)
        assert done.returncode == 0, f"{path.name}: {done.stderr}"

    def flushed(self) -> int:
        """The WAL's flush position."""
        return self.value("SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint")

    def close(self) -> None:
        """Ends it, however it stands."""
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.kill()


def _make_cluster(version: str, folder: Path) -> None:
    """A cluster of that version in `folder`, shut down."""
    made = Postgres(version, folder)
    try:
        made.initialise()
        made.stop()
    finally:
        made.close()


def _send(processes: list[int], number: int) -> None:
    for process in processes:
        try:
            os.kill(process, number)
        except ProcessLookupError:
            pass
