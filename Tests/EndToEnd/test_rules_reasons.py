"""What no retrying mends stops at once, with words of its own, and what these words say to do is done here and mends it; what passes is waited for."""

import re
import shutil
import signal
import socket
import socketserver
import struct
import threading

import psycopg
import pytest

from proxy import Proxy
from servers.tools import wait_until
from tenants import Servers, record_entries, refused, remedy, stopped, tenant_maker, tenants  # noqa: F401

# An end at once: nothing is tried for so long.
_SOON = 60


def _refused_everywhere(streamer, reason: str) -> str:
    """`setup` and `run` both end with 78 and this reason; returns what `run` said and advised."""
    refused(streamer, 78, reason, "setup")
    streamer.start(wait=False)
    said = stopped(streamer, 78, reason, seconds=_SOON)
    assert not record_entries(streamer, "interrupted, trying again"), "nothing is tried again"
    return f"{said}\n{remedy(streamer)}"


# PostgreSQL: its slots


@pytest.fixture
def few_slots(one_pair):
    """Servers of which PostgreSQL allows no replication slot."""
    servers = Servers(one_pair)
    # Set here, and not on the command line, which would go before ALTER SYSTEM.
    servers.postgres.settings.pop("max_replication_slots", None)
    servers.postgres.run("ALTER SYSTEM SET max_replication_slots = 0")
    servers.postgres.restart("fast")
    made = []

    def tenant(**options):
        made.append(servers.tenant(**options))
        return made[-1]

    yield servers, tenant
    for one in made:
        one.close()
    servers.close()
    shutil.rmtree(servers.folder, ignore_errors=True)


def test_a_server_without_room_for_a_slot_stops_and_what_it_advises_makes_room(few_slots):
    servers, make = few_slots
    tenant = make(setup=False)
    said = _refused_everywhere(tenant.streamer, "configuration")
    assert "max_replication_slots is 0" in said
    assert tenant.name not in tenant.administrator.names() and tenant.value("SELECT count(*) FROM pg_publication") == 0
    servers.postgres.run(re.search(r"ALTER SYSTEM SET max_replication_slots = \d+", said)[0])
    servers.postgres.restart("fast")
    tenant.streamer.setup()

    # As many as there may be.
    limit = int(tenant.value("SHOW max_replication_slots"))
    for number in range(1, limit):
        tenant.value(f"SELECT pg_create_physical_replication_slot('taken_{number}')")
    late = make(setup=False)
    said = _refused_everywhere(late.streamer, "configuration")
    assert f"all {limit} are in use" in said and f"{limit} of them by nobody" in said
    with late.connect() as connection:
        shown = connection.execute(re.search(r"SELECT slot_name, .* FROM pg_replication_slots", said)[0]).fetchall()
    assert ("taken_1", "physical", False) in shown
    tenant.run(re.search(r"SELECT pg_drop_replication_slot\('NAME'\)", said)[0].replace("NAME", "taken_1"))
    late.streamer.start()
    late.commit(1)
    late.wait_stored(1)
    late.wait_confirmed()
    late.require_exact(1)


# PostgreSQL: how it is reached


@pytest.mark.parametrize("conninfo, word", [
    ("postgres://app:hu@sh@127.0.0.1:{port}/{name}", "%40"), ("postgres://app:hu%zzsh@127.0.0.1/{name}", "percent"),
    ("host=127.0.0.1 port={port} dbname={name} user=postgres hush", "="), ("host=127.0.0.1 port=port dbname={name}", "port"),
    ("host=127.0.0.1 port={port} dbname={name} sslmode=hush", "sslmode"),
    ("host=127.0.0.1 port={port} dbname={name} nonsense=hush", "connection option"),
], ids=["at sign", "percent", "no value", "port", "sslmode", "option"])
def test_a_connection_string_that_cannot_be_used_stops(conninfo, word, one_pair, tenants):
    tenant = tenants(one_pair, setup=False)
    streamer = tenant.another(conninfo=conninfo.format(port=tenant.postgres.port, name=tenant.name))
    said = _refused_everywhere(streamer, "configuration")
    assert word in said and "source.url" in said and "hush" not in said and "hu@sh" not in said, said


def _asks_for_a_password(tenant) -> str:
    """A role whom PostgreSQL asks for its password; returns its connection string, without one."""
    role = f"{tenant.name}_role"
    tenant.run(f"CREATE ROLE {role} LOGIN REPLICATION PASSWORD 'secret'")
    hba = tenant.value("SHOW hba_file")
    with open(hba) as file:
        lines = file.read()
    with open(hba, "w") as file:
        file.write(f"host all {role} 127.0.0.1/32 scram-sha-256\n" + lines)
    tenant.run("SELECT pg_reload_conf()")
    conninfo = tenant.conninfo.replace("user=postgres", f"user={role}")

    def asks() -> bool:
        try:
            psycopg.connect(conninfo, connect_timeout=5, passfile="/nonexistent").close()
        except psycopg.OperationalError as error:
            return "no password supplied" in str(error)
        return False

    wait_until(asks, 30, "PostgreSQL asks for a password")
    return conninfo


def test_a_password_that_is_missing_is_told_from_a_wrong_one_and_the_advice_mends_it(one_pair, tenants):
    tenant = tenants(one_pair)
    conninfo = _asks_for_a_password(tenant)
    said = _refused_everywhere(tenant.another(conninfo=f"{conninfo} passfile=/nonexistent"), "credentials")
    assert "asks for a password, and there is none" in said and "source.url_file" in said
    file = tenant.servers.folder / f"{tenant.name}-url"
    file.touch(mode=0o600)
    file.write_text(f"{conninfo} password=secret")
    streamer = tenant.another({"source": {"url_file": str(file)}})
    # Only without it the file is looked at.
    lines = streamer.config.read_text().splitlines(keepends=True)
    streamer.config.write_text("".join(line for line in lines if not line.startswith('"url" = "host=')))
    streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)


class _RefusingPooler(socketserver.ThreadingTCPServer):
    """What PgBouncer before 1.23 says to whoever wants to replicate."""

    allow_reuse_address = True
    daemon_threads = True

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while True:
                length, code = struct.unpack("!ii", self._read(8))
                rest = self._read(length - 8)
                if code == 3 << 16:
                    break
                self.request.sendall(b"N")
            assert b"replication\0" in rest, rest
            fields = b"SFATAL\0VFATAL\0C08P01\0Munsupported startup parameter: replication\0\0"
            self.request.sendall(b"E" + struct.pack("!i", len(fields) + 4) + fields)

        def _read(self, count: int) -> bytes:
            data = b""
            while len(data) < count:
                piece = self.request.recv(count - len(data))
                if not piece:
                    raise ConnectionError
                data += piece
            return data

        def finish(self) -> None:
            self.request.shutdown(socket.SHUT_RDWR)

    def __init__(self):
        super().__init__(("127.0.0.1", 0), self.Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        self.port = self.server_address[1]

    def handle_error(self, *_) -> None:
        """A client that goes is no failure of the test's."""

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _SilentPooler(Proxy):
    """One that leaves `replication` out: its client gets an ordinary session."""

    def changed(self, data: bytes, is_from_client: bool) -> bytes:
        if not is_from_client or data[4:8] != struct.pack("!i", 3 << 16):
            return data
        words = data[8:-1].split(b"\0")
        pairs = [pair for pair in zip(words[::2], words[1::2]) if pair[0] and pair[0] != b"replication"]
        body = struct.pack("!i", 3 << 16) + b"".join(name + b"\0" + value + b"\0" for name, value in pairs) + b"\0"
        return struct.pack("!i", len(body) + 4) + body


@pytest.mark.parametrize("kind", ["refusing", "silent"])
def test_a_connection_pooler_is_told_for_what_it_is(kind, one_pair, tenants):
    tenant = tenants(one_pair, setup=False)
    pooler = _RefusingPooler() if kind == "refusing" else _SilentPooler(tenant.postgres.port)
    try:
        conninfo = tenant.conninfo.replace(f"port={tenant.postgres.port}", f"port={pooler.port}")
        said = _refused_everywhere(tenant.another(conninfo=conninfo), "configuration")
        assert "pooler" in said and "PostgreSQL's own host and port" in said
    finally:
        pooler.close()
    # As it says.
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)


def test_a_role_that_may_only_read_is_refused_and_what_the_advice_names_mends_it(one_pair, tenants):
    tenant = tenants(one_pair)
    role = f"{tenant.name}_reader"
    tenant.run(f"CREATE ROLE {role} LOGIN; GRANT pg_read_all_data TO {role}; ALTER ROLE {role} SET default_transaction_read_only = on")
    streamer = tenant.another(conninfo=tenant.conninfo.replace("user=postgres", f"user={role}"))
    refused(streamer, 77, "permission_postgres", "setup")
    streamer.start(wait=False)
    stopped(streamer, 77, "permission_postgres", seconds=_SOON)
    assert "sql/role.sql" in remedy(streamer) and "REPLICATION" in remedy(streamer)
    # That its transactions are read only by default is in nobody's way.
    tenant.run(f"ALTER ROLE {role} REPLICATION")
    streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    tenant.wait_confirmed()


# NATS


_ACCOUNTS = (
    "accounts {",
    "  APP: { jetstream: enabled, users: [ { user: admin, password: admin } ] }",
    "  BARE: { users: [ { user: bare, password: bare } ] }",
    "}",
    "no_auth_user: admin",
)


def _as_user(tenant, name: str):
    """A streamer that is this NATS user, whose password is the name."""
    password = tenant.servers.folder / f"{tenant.name}-password"
    password.touch(mode=0o600)
    password.write_text(name)
    return tenant.another({"transport.nats": {"user": name, "password_file": str(password)}})


def test_an_account_without_jetstream_stops_and_what_it_advises_mends_it(pair, tenants):
    tenant = tenants(pair, nats_lines=_ACCOUNTS, setup=False)
    streamer = _as_user(tenant, "bare")
    said = _refused_everywhere(streamer, "configuration")
    assert "not enabled for account" in said and "jetstream: enabled" in said and "nats-server --signal reload" in said
    server = tenant.nats.servers[0]
    before = server.config.read_text()
    server.config.write_text(before.replace("BARE: {", "BARE: { jetstream: enabled,"))
    server.signal(signal.SIGHUP)
    try:
        streamer.command("setup", expect=0)
        streamer.start()
    finally:
        streamer.close()
        server.config.write_text(before)


def test_subjects_that_another_stream_captures_stop_with_its_name(pair, tenants):
    tenant = tenants(pair, setup=False)
    other = f"{tenant.name}_other"
    tenant.administrator.add(other, subjects=[f"{tenant.prefix}.Item.>"], storage="file", num_replicas=tenant.nats.replicas)
    refused(tenant.streamer, 78, "configuration", "setup", "--dry-run")
    said = _refused_everywhere(tenant.streamer, "configuration")
    assert other in said and f"{tenant.prefix}.>" in said and "transport.nats.subject_prefix" in said
    assert tenant.name not in tenant.administrator.names() and tenant.holder() is None
    assert tenant.value("SELECT count(*) FROM pg_publication") == 0, "nothing was made before"
    assert f"nats stream rm {other}" in said
    tenant.administrator.delete(other)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    tenant.wait_confirmed()


_NO_NAMES = (
    "authorization { users = [",
    "  { user: admin, password: admin }",
    '  { user: blind, password: blind, permissions: { publish: { deny: ["$JS.API.STREAM.NAMES"] } } }',
    "] }",
    "no_auth_user: admin",
)


def test_who_may_not_ask_which_streams_there_are_sets_up_and_is_told_of_an_overlap_by_jetstream(pair, tenants):
    tenant = tenants(pair, nats_lines=_NO_NAMES, setup=False)
    streamer = _as_user(tenant, "blind")
    other = f"{tenant.name}_other"
    tenant.administrator.add(other, subjects=[f"{tenant.prefix}.Item.>"], storage="file", num_replicas=tenant.nats.replicas)
    assert "transport.nats.subject_prefix" in _refused_everywhere(streamer, "configuration")
    tenant.administrator.delete(other)
    streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    tenant.wait_confirmed()
    assert streamer.terminate() == 0


# Who holds the slot


def test_whose_connection_holds_the_slot_is_said_with_what_to_stop(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    standby = tenant.another()
    standby.start(wait=False)
    (entry,) = wait_until(lambda: record_entries(standby, "standing by: another streamer holds the slot"), 30, "it stands by")
    assert str(tenant.holder()) in entry["detail"] and "slotstream of role foreigner from 127.0.0.1:" in entry["detail"], entry
    assert f"process {tenant.streamer.process.pid} of this machine" in entry["detail"], entry
    assert standby.terminate() == 0
    said = refused(standby, 75, "slot_active", "slot", "drop", "--yes")
    assert "slotstream of role foreigner from 127.0.0.1:" in said and f"kill {tenant.streamer.process.pid}." in said
    # What it says ends the connection.
    end = re.search(r"SELECT pg_terminate_backend\((\d+)\)", said)
    assert int(end[1]) == tenant.holder()
    before = tenant.holder()
    tenant.run(end[0])
    wait_until(lambda: tenant.holder() not in (None, before), 30, "the streamer has made a new one")


def test_a_slot_that_is_not_there_or_not_ours_is_not_dropped(oldest_pair, tenants):
    tenant = tenants(oldest_pair)
    other = f"{tenant.name}_other"
    tenant.run(f"SELECT pg_create_physical_replication_slot('{tenant.name}_physical')")
    tenant.run(f"SELECT pg_create_logical_replication_slot('{tenant.name}_decoding', 'test_decoding')")
    tenant.run(f"SELECT pg_create_logical_replication_slot('{other}', 'pgoutput')")
    with psycopg.connect(tenant.servers.postgres.conninfo, autocommit=True) as connection:
        connection.execute(f"SELECT pg_create_logical_replication_slot('{tenant.name}_elsewhere', 'pgoutput')")

    def slots() -> set[str]:
        with tenant.connect() as connection:
            return {name for name, in connection.execute("SELECT slot_name FROM pg_replication_slots")}

    before = slots()
    try:
        for name, word in (("nowhere", "does not exist"), (f"{tenant.name}_physical", "physical"),
                           (f"{tenant.name}_decoding", "test_decoding"), (f"{tenant.name}_elsewhere", "shop"), (other, "source.slot is")):
            # It is refused before anybody is asked anything.
            said = refused(tenant.streamer, 78, "configuration", "slot", "drop", name)
            assert name in said and word in said and "nothing was dropped" in said and "Type its name" not in said, said
        assert slots() == before
        said = refused(tenant.streamer, 78, "configuration", "slot", "drop", other, "--yes")
        again = re.search(r"`slotstream (slot drop \S+ --set [^`]+)`", said)[1]
        tenant.streamer.command(*again.split(), "--yes")
        assert slots() == before - {other}
        tenant.streamer.command("slot", "drop", "--yes")
        assert slots() == before - {other, tenant.name}
    finally:
        with psycopg.connect(tenant.servers.postgres.conninfo, autocommit=True) as connection:
            connection.execute(f"SELECT pg_drop_replication_slot('{tenant.name}_elsewhere')")


# PostgreSQL's restarts


def test_a_postgres_that_was_down_for_long_is_found_soon_after_it_is_back(one_pair, tenants):
    """However long it was away, and however often it was asked, it is asked again within a second."""
    tenant = tenants(one_pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    tenant.postgres.stop("fast")
    try:
        wait_until(lambda: len(record_entries(tenant.streamer, "interrupted, trying again")) >= 12, 120, "it has tried twelve times")
    finally:
        tenant.postgres.start()
    tenant.commit(2)
    tenant.wait_confirmed(60)
    tenant.require_exact(1, 2)
    waits = [entry["after_ms"] for entry in record_entries(tenant.streamer, "interrupted, trying again")]
    assert all(isinstance(wait, int) and 0 < wait <= 1000 for wait in waits), waits
    assert tenant.streamer.terminate() == 0
