"""Small deployments for the tests of single rules: servers started once a module, and for each test a database, a slot and
a stream of its own on them."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

import stream
from administrator import Administrator
from deployment import Pair
from proxy import Proxy
from servers.nats import Nats
from servers.postgres import Postgres, as_foreigner, asking
from servers.tools import wait_until
from streamer import Streamer

_CONFIRMED = "SELECT (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots WHERE slot_name = %s"
_HOLDER = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s"

TABLE = "CREATE TABLE tb_item (n BIGINT PRIMARY KEY, note TEXT)"


class Servers:
    """A pair of servers that many tests share. `nats_lines` are added to nats-server's configuration."""

    def __init__(self, pair: Pair, nats_lines: list[str] | None = None, settings: dict[str, str] | None = None):
        self.pair = pair
        self.folder = Path(tempfile.mkdtemp(prefix="slotstream-rules-"))
        self.folder.chmod(0o755)
        self.postgres = Postgres(pair.postgres, self.folder / "postgres", settings)
        self.nats = Nats(pair.nats, self.folder / "nats")
        for server in self.nats.servers:
            with server.config.open("a") as config:
                config.write("".join(f"{line}\n" for line in nats_lines or []))
        self.administrator = Administrator(self.nats.url)
        self._count = 0
        try:
            self.postgres.create()
            self.nats.start()
        except BaseException:
            self.close()
            raise

    def tenant(self, **options) -> "Tenant":
        """The next test's own part of the servers; `options` as the class has them."""
        self._count += 1
        return Tenant(self, f"t{self._count}", **options)

    def close(self) -> None:
        """Ends both; the folder stays."""
        self.nats.close()
        self.postgres.close()


class Tenant:
    """A database with one table, and a streamer that is configured for it. Slot, publication, stream and the last token of
    the prefix are called `name`.

    `setup`: whether `slotstream setup` is run. `overrides` go into the configuration. `encoding`: the database's, else UTF8.
    """

    def __init__(self, servers: Servers, name: str, setup: bool = True, overrides: dict[str, dict] | None = None,
                 encoding: str | None = None):
        self.servers = servers
        self.name = name
        self.prefix = f"rules.{name}"
        self.postgres = servers.postgres
        self.nats = servers.nats
        self.administrator = servers.administrator
        self.conninfo = servers.postgres.conninfo.replace(f"dbname={Postgres.database}", f"dbname={name}")
        self.overrides = {
            "source": {"slot": name, "publication": name},
            "transport.nats": {"stream_name": name, "subject_prefix": self.prefix},
            # The server reserves what a stream may grow to.
            "transport.nats.jetstream": {"replicas": servers.nats.replicas, "max_bytes": 2**28},
        }
        for table, values in (overrides or {}).items():
            self.overrides[table] = self.overrides.get(table, {}) | values
        self.streamers: list[Streamer] = []
        servers.postgres.run(f"CREATE DATABASE {name}" + (
            f" TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'" if encoding else ""))
        self.run(TABLE)
        self.streamer = self.another()
        if setup:
            self.streamer.setup()

    def another(self, overrides: dict[str, dict] | None = None, conninfo: str | None = None) -> Streamer:
        """One more streamer of the same slot and stream, not yet started."""
        merged = {table: dict(values) for table, values in self.overrides.items()}
        for table, values in (overrides or {}).items():
            merged[table] = merged.get(table, {}) | values
        folder = self.servers.folder / f"{self.name}-{len(self.streamers) + 1}"
        streamer = Streamer(folder, conninfo or as_foreigner(self.conninfo), self.nats.url, merged)
        self.streamers.append(streamer)
        return streamer

    def close(self) -> None:
        """Ends its streamers and drops what pins WAL; servers and folders stay."""
        for streamer in self.streamers:
            streamer.close()
        for server in self.nats.servers:
            if not server.running:
                server.launch()
        self.nats.resume()
        with self.postgres.connect() as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (self.name,))

        def gone() -> bool:
            with self.postgres.connect() as connection:
                connection.execute("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                                   "WHERE slot_type = 'physical' OR database = %s", (self.name,))
            return True

        wait_until(gone, 30, f"the slots of {self.name} can be dropped")

    # PostgreSQL's side

    def connect(self) -> psycopg.Connection:
        """A connection to its database, in autocommit."""
        return psycopg.connect(self.conninfo, autocommit=True, connect_timeout=10)

    def run(self, sql: str) -> None:
        """Executes statements; several are one transaction."""
        with self.connect() as connection:
            connection.execute(sql)

    def value(self, sql: str, parameters=None):
        """The first column of the first row."""
        with self.connect() as connection:
            row = connection.execute(sql, parameters).fetchone()
            return row[0] if row else None

    def commit(self, *numbers: int, note: str = "") -> None:
        """One transaction with a row of each number."""
        with self.connect() as connection, connection.transaction():
            for number in numbers:
                connection.execute("INSERT INTO tb_item VALUES (%s, %s)", (number, note))

    def commit_each(self, first: int, last: int) -> None:
        """A transaction for each of these numbers, the ends included."""
        with self.connect() as connection:
            for number in range(first, last + 1):
                connection.execute("INSERT INTO tb_item VALUES (%s)", (number,))

    def lsn(self, expression: str) -> int:
        """An LSN that PostgreSQL computes, as a number."""
        return self.value(f"SELECT ({expression} - '0/0')::bigint")

    def confirmed(self) -> int:
        """The slot's confirmed position."""
        return self.value(_CONFIRMED, (self.name,))

    def watch_ids(self) -> None:
        """Makes a slot that nobody streams from, for `coming_ids`."""
        self.run("SELECT pg_create_logical_replication_slot('watch', 'pgoutput')")

    def coming_ids(self) -> list[str]:
        """The message ids of the transactions (of one change each) committed since `watch_ids`: known before they are
        published."""
        with self.connect() as connection:
            system, oid = connection.execute(
                "SELECT (SELECT system_identifier FROM pg_control_system()), oid FROM pg_database "
                "WHERE datname = current_database()").fetchone()
            rows = connection.execute(
                "SELECT xid::text, data FROM pg_logical_slot_peek_binary_changes('watch', NULL, NULL, 'proto_version', '1', "
                "'publication_names', %s)", (self.name,)).fetchall()
        # A Begin: its tag, and the commit LSN.
        return [f"{system}.{oid}.1.{xid}.{data[1:9].hex().upper()}.1" for xid, data in rows if data[:1] == b"B"]

    def holder(self) -> int | None:
        """The process of PostgreSQL that holds the slot; None if nobody does."""
        return self.value(_HOLDER, (self.name,))

    def wait_slot_waits(self) -> None:
        """Until PostgreSQL, which is making the slot, waits for a transaction that runs.

        From here on it does not look whether its client is there; before, it gives the slot up with it."""
        waits = ("SELECT wait_event_type = 'Lock' FROM pg_replication_slots JOIN pg_stat_activity ON pid = active_pid "
                 "WHERE slot_name = %s")
        with asking(self.connect) as ask:
            wait_until(lambda: ask(waits, (self.name,)), 20, "the slot waits for a transaction")

    def wait_free(self, seconds: float = 30) -> None:
        """Until nobody holds the slot."""
        with asking(self.connect) as ask:
            wait_until(lambda: ask(_HOLDER, (self.name,)) is None, seconds, "the slot is free")

    def terminate_holder(self) -> None:
        """Ends the walsender that holds the slot; when it is gone, its streamer may have the slot again already."""
        ended = self.value("SELECT pg_terminate_backend(active_pid, 30000) FROM pg_replication_slots "
                           "WHERE slot_name = %s AND active", (self.name,))
        assert ended is not False, "the walsender does not end"

    # The stream's side

    def events(self) -> list[stream.Event]:
        """What the stream holds."""
        return self.administrator.messages(self.name)

    def read(self) -> list[stream.Event]:
        """As `events`, for long streams: as a consumer reads them. The last message must be there."""
        return list(stream.read(self.nats.url, self.name))

    def stored(self) -> list[int]:
        """The rows' numbers in the stream, in stored order."""
        return [event.json["entity"]["n"] for event in self.events()]

    def last_sequence(self) -> int:
        """The stream's last sequence; it survives deletion."""
        return self.administrator.state(self.name)["last_seq"]

    def wait_stored(self, count: int, seconds: float = 30) -> None:
        """Until the stream's last sequence is `count`."""
        wait_until(lambda: self._alive() and self.last_sequence() >= count, seconds, f"{count} messages are stored", 0.05)

    def wait_confirmed(self, seconds: float = 30) -> int:
        """Until PostgreSQL has been told of everything in its WAL; returns that position."""
        target = self.lsn("pg_current_wal_flush_lsn()")
        with asking(self.connect) as ask:
            wait_until(lambda: self._alive() and ask(_CONFIRMED, (self.name,)) >= target, seconds, f"{target:X} is confirmed")
        return target

    def _alive(self) -> bool:
        started = [streamer for streamer in self.streamers if streamer.process is not None]
        failed = [streamer for streamer in started if not streamer.running and streamer.process.returncode not in (0, -9)]
        # One of several may have been refused on purpose; waiting is in vain only when none is left.
        if failed and len(failed) == len(started):
            raise AssertionError(f"the streamer ended with {failed[0].process.returncode}: {failed[0].last_words()}")
        return True

    def send_one_by_one(self) -> None:
        """Its stream takes no fast batches: as many messages are in flight as there may be, each by itself."""
        if self.administrator.config(self.name).get("allow_batched"):
            self.administrator.update(self.name, allow_batched=False)

    def require_exact(self, *numbers: int) -> list[stream.Event]:
        """Fails unless the stream holds exactly these rows in this order, each chained to the one before; returns them."""
        events = self.events()
        assert [event.json["entity"]["n"] for event in events] == list(numbers)
        previous = 0
        for event in events:
            assert event.expected_last == previous, f"sequence {event.sequence} is chained to {event.expected_last}"
            previous = event.sequence
        return events


def stopped(streamer: Streamer, code: int, reason: str, seconds: float = 30) -> str:
    """Fails unless a started `run` ends by itself with this exit code and reason, which its last log line names; returns
    what it said."""
    ended = streamer.wait(seconds)
    entries = [entry for entry in streamer.log_entries() if entry.get("message") == "stopped" and "reason" in entry]
    assert entries, f"it ended with {ended} and no reason: {streamer.last_words()}"
    assert (ended, entries[-1]["reason"]) == (code, reason), entries[-1]
    assert entries[-1]["remedy"], "it says what to do"
    return entries[-1]["error"]


def refused(streamer: Streamer, code: int, reason: str, *command: str) -> str:
    """Fails unless a command exits with this code and names this reason; returns what it said."""
    done = streamer.command(*command, expect=code)
    assert f"[{reason}]" in done.stderr, done.stderr
    return done.stderr


def streamed(tenant: Tenant, count: int = 3) -> None:
    """Runs the streamer over `count` transactions and stops it in order."""
    tenant.streamer.start()
    tenant.commit_each(1, count)
    tenant.wait_stored(count)
    tenant.wait_confirmed()
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()


def first_confirmed(tenant: Tenant, streamer: Streamer) -> None:
    """Starts this streamer of the tenant's; the first row is stored and confirmed."""
    streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    tenant.wait_confirmed()


@contextmanager
def behind(tenant: Tenant, proxy: Proxy) -> Iterator[Streamer]:
    """A streamer of the tenant's that reaches PostgreSQL through this proxy, which ends with the block; its first row is confirmed."""
    try:
        streamer = tenant.another(conninfo=tenant.conninfo.replace(f"port={tenant.postgres.port}", f"port={proxy.port}"))
        first_confirmed(tenant, streamer)
        yield streamer
    finally:
        proxy.close()


# PostgreSQL does not drop a streamer that stands still for a moment.
PATIENT = {"source": {"wal_sender_timeout": "60s"}}

# Who waits for it says so.
SLOT_WAIT = "PostgreSQL makes the slot when the transactions that run now have ended"

# The record is put once at the start, and not again while a test lasts.
UNRECORDED = {"delivery": {"checkpoint_interval": "1h"}}


def killed_unrecorded(tenant: Tenant) -> None:
    """Three transactions are stored, and the streamer dies before its record tells of any: made with `UNRECORDED`."""
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)
    tenant.streamer.kill()
    tenant.wait_free()
    assert tenant.administrator.record(tenant.name)["last_sequence"] == 0


def refused_everywhere(tenant: Tenant, code: int, reason: str) -> None:
    """Neither command goes on, and neither makes anything."""
    streams, slots = tenant.administrator.names(), _slots(tenant)
    refused(tenant.streamer, code, reason, "setup")
    refused(tenant.streamer, code, reason, "slot", "create")
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, code, reason)
    assert (tenant.administrator.names(), _slots(tenant)) == (streams, slots), "nothing was made"


def _slots(tenant: Tenant) -> list:
    with tenant.connect() as connection:
        return connection.execute("SELECT slot_name, confirmed_flush_lsn FROM pg_replication_slots "
                                  "WHERE database = %s", (tenant.name,)).fetchall()


def remedy(streamer: Streamer) -> str:
    """What a `run` that stopped by itself told its operator to do."""
    return record_entries(streamer, "stopped")[-1]["remedy"]


def record_entries(streamer: Streamer, message: str) -> list[dict]:
    """The log entries with this message."""
    return [entry for entry in streamer.log_entries() if entry.get("message") == message]


class TenantMaker:
    """Makes tenants on servers that are started when first asked for, one pair at a time."""

    def __init__(self):
        self._servers: dict[tuple, Servers] = {}
        self._tenants: list[Tenant] = []

    def on(self, pair: Pair, nats_lines: tuple[str, ...] = ()) -> Servers:
        """The pair's servers."""
        key = (pair, nats_lines)
        if key not in self._servers:
            self._servers[key] = Servers(pair, list(nats_lines))
        return self._servers[key]

    def __call__(self, pair: Pair, nats_lines: tuple[str, ...] = (), **options) -> Tenant:
        tenant = self.on(pair, nats_lines).tenant(**options)
        self._tenants.append(tenant)
        return tenant

    def close_tenants(self) -> None:
        """After each test."""
        while self._tenants:
            self._tenants.pop().close()

    def close(self, keeps_folders: bool) -> None:
        """After the module."""
        for servers in self._servers.values():
            servers.close()
            if keeps_folders:
                print(f"logs: {servers.folder}")
            else:
                shutil.rmtree(servers.folder, ignore_errors=True)


@pytest.fixture(scope="module")
def tenant_maker(request):
    maker = TenantMaker()
    failures = request.session.testsfailed
    yield maker
    maker.close(keeps_folders=request.session.testsfailed > failures)


@pytest.fixture
def tenants(tenant_maker):
    """Makes a tenant: `tenants(pair, …)`."""
    yield tenant_maker
    tenant_maker.close_tenants()


@pytest.fixture
def own(request):
    """Makes tenants on servers of the test's own: their settings and their files may be changed."""
    maker = TenantMaker()
    failures = request.session.testsfailed
    yield maker
    maker.close_tenants()
    maker.close(keeps_folders=request.session.testsfailed > failures)
