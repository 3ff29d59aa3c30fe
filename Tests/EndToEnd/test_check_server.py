"""`slotstream check` of the PostgreSQL server and of the slot: each fault is made, found, mended as printed, and found no more."""

import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from deployment import Pair
from doctor import Person, findings, found
from remedies import follow
from servers.tools import dying_with_us, wait_until
from tenants import refused, streamed, tenant_maker, tenants  # noqa: F401
from test_rules_gap import CASES
from test_rules_lost_slot import _unconfirm
from test_rules_permissions import as_role


@pytest.fixture
def server(one_pair, tenant_maker) -> Iterator[Callable[..., None]]:
    """Sets settings as an administrator does, and restarts the server: `server(tenant, name=value)`. Afterwards they are what they were."""
    postgres = tenant_maker.on(one_pair).postgres
    before = dict(postgres.settings)

    def configure(**values: str) -> None:
        for name, value in values.items():
            # On the command line it could not be changed.
            postgres.settings.pop(name, None)
            postgres.run(f"ALTER SYSTEM SET {name} = '{value}'")
        postgres.restart("fast")

    yield configure
    postgres.settings = before
    postgres.run("ALTER SYSTEM RESET ALL")
    postgres.restart("fast")


def _mended(tenant, identifier: str, about: str = "", *options: str) -> dict:
    """It is found; what is printed is carried out; it is found no more. Returns the finding."""
    told = found(tenant.streamer, identifier, about, *options)
    assert told, findings(tenant.streamer, *options)
    for each in told:
        Person(tenant).carry_out(each["fix"])
    assert not found(tenant.streamer, identifier, about, *options)
    return told[0]


def _write_wal(tenant, segments: int) -> None:
    for _ in range(segments):
        tenant.run("SELECT pg_logical_emit_message(false, 'elsewhere', 'x'); SELECT pg_switch_wal()")


def test_wal_level(one_pair, tenants, server):
    tenant = tenants(one_pair, setup=False)
    server(wal_level="replica")
    _mended(tenant, "E001", "wal_level", "--before-start")
    tenant.streamer.setup()


def test_the_plugin_is_not_allowed(oldest_pair, tenants):
    """Debian's 15 is of a minor version that has the setting."""
    tenant = tenants(oldest_pair, setup=False)
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_item")
    tenant.run("ALTER SYSTEM SET output_plugin_libraries = 'test_decoding'")
    tenant.run("SELECT pg_reload_conf()")
    try:
        wait_until(lambda: tenant.value("SHOW output_plugin_libraries") == "test_decoding", 10, "the setting is in force")
        refused(tenant.streamer, 78, "configuration", "setup")
        # A role that may not read the setting is refused by PostgreSQL itself.
        said = refused(as_role(tenant, "REPLICATION"), 77, "permission_postgres", "setup")
        assert "SHOW output_plugin_libraries" in said, said
        told = _mended(tenant, "E066", "output_plugin_libraries", "--before-start")
        assert "'test_decoding', 'pgoutput'" in told["fix"]
        tenant.streamer.setup()
    finally:
        tenant.run("ALTER SYSTEM RESET output_plugin_libraries")
        tenant.run("SELECT pg_reload_conf()")


def test_no_replication_slot_is_free(one_pair, tenants, server):
    tenant = tenants(one_pair, setup=False)
    server(max_replication_slots="1")
    tenant.run("SELECT pg_create_physical_replication_slot('somebodys')")
    _mended(tenant, "E002", "max_replication_slots", "--before-start")
    tenant.streamer.setup()


def test_no_replication_slot_is_left_for_the_replay_window(one_pair, tenants, server):
    tenant = tenants(one_pair, overrides={"replay": {"window": "10m"}})
    server(max_replication_slots="1")
    told = _mended(tenant, "E002", "max_replication_slots")
    assert told["severity"] == "warning"


def test_no_walsender_is_free(one_pair, tenants, server):
    tenant = tenants(one_pair)
    server(max_wal_senders="2")
    held = [psycopg.connect(f"{tenant.conninfo} replication=database", autocommit=True) for _ in range(2)]
    try:
        told = found(tenant.streamer, "E003", "max_wal_senders")
        assert told
    finally:
        for connection in held:
            connection.close()
    Person(tenant).carry_out(told[0]["fix"])
    held = [psycopg.connect(f"{tenant.conninfo} replication=database", autocommit=True) for _ in range(2)]
    try:
        assert not found(tenant.streamer, "E003")
    finally:
        for connection in held:
            connection.close()


def test_wal_is_held_without_a_limit(one_pair, tenants, server):
    tenant = tenants(one_pair)
    server(max_slot_wal_keep_size="-1")
    _mended(tenant, "W004", "max_slot_wal_keep_size")


@contextmanager
def _writing(tenant) -> Iterator[None]:
    """Meanwhile somebody writes WAL."""
    is_over = threading.Event()

    def write() -> None:
        with tenant.connect() as connection:
            while not is_over.wait(0.02):
                connection.execute("SELECT pg_logical_emit_message(false, 'elsewhere', repeat('x', 200000))")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_wal_is_held_for_less_than_an_hour(one_pair, tenants, server):
    tenant = tenants(one_pair)
    server(max_slot_wal_keep_size="64MB")
    with _writing(tenant):
        told = _mended(tenant, "W005", "max_slot_wal_keep_size")
    assert "64 MB" in told["message"]


@pytest.mark.parametrize("is_prepared", [True, False], ids=["prepared", "of a process"])
def test_a_transaction_is_open_for_long(is_prepared, one_pair, tenants):
    tenant = tenants(one_pair)
    tenant.streamer.keep_other_times(transaction=1)
    connection = tenant.connect()
    try:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO tb_item VALUES (1)")
        if is_prepared:
            connection.execute("PREPARE TRANSACTION 'forgotten'")
        _mended(tenant, "W037", "prepared transaction 'forgotten'" if is_prepared else f"in database {tenant.name}")
    finally:
        connection.close()


def test_decoding_writes_to_disk(one_pair, tenants):
    tenant = tenants(one_pair)
    tenant.run("INSERT INTO tb_item SELECT n, repeat('x', 200) FROM generate_series(1, 20000) AS n")
    tenant.run(f"ALTER DATABASE {tenant.name} SET logical_decoding_work_mem = '64kB'")
    tenant.streamer.start()
    tenant.wait_stored(20000)
    spilled = "SELECT spill_txns FROM pg_stat_replication_slots WHERE slot_name = %s"
    wait_until(lambda: tenant.value(spilled, (tenant.name,)) > 0, 30, "it is counted")
    _mended(tenant, "W046", "logical_decoding_work_mem")
    assert tenant.streamer.terminate() == 0


# What PostgreSQL 15 does not have.
_EIGHTEEN = Pair("18", "2.15.1")


@pytest.fixture
def eighteen(tenant_maker) -> Iterator[None]:
    yield
    postgres = tenant_maker.on(_EIGHTEEN).postgres
    postgres.run("ALTER SYSTEM RESET ALL")
    postgres.run("SELECT pg_reload_conf()")


def test_an_idle_slot_is_dropped_too_soon(tenants, eighteen):
    tenant = tenants(_EIGHTEEN)
    tenant.run("ALTER SYSTEM SET idle_replication_slot_timeout = '1h'")
    tenant.run("SELECT pg_reload_conf()")
    _mended(tenant, "W047", "idle_replication_slot_timeout")


def test_a_standby_is_awaited_that_is_away(tenants, eighteen):
    tenant = tenants(_EIGHTEEN)
    tenant.run("SELECT pg_create_physical_replication_slot('standby')")
    tenant.run("ALTER SYSTEM SET synchronized_standby_slots = 'standby'")
    tenant.run("SELECT pg_reload_conf()")
    _mended(tenant, "W048", "standby")
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)


def test_a_slot_does_not_follow_a_promotion(tenants):
    tenant = tenants(_EIGHTEEN, setup=False)
    tenant.another({"source": {"failover": False}}).setup()
    _mended(tenant, "W038", tenant.name)
    assert tenant.value("SELECT failover FROM pg_replication_slots WHERE slot_name = %s", (tenant.name,))


def test_another_slot_holds_wal(one_pair, tenants):
    tenant = tenants(one_pair)
    tenant.run(f"SELECT pg_create_logical_replication_slot('{tenant.name}_left', 'pgoutput')")
    assert not found(tenant.streamer, "W054", f"{tenant.name}_left")
    _write_wal(tenant, 6)
    _mended(tenant, "W054", f"{tenant.name}_left")
    assert tenant.confirmed()


@pytest.mark.parametrize("is_lost", [True, False], ids=["lost", "too large"])
def test_the_replay_window_is(is_lost, one_pair, tenants, server):
    tenant = tenants(one_pair, setup=False, overrides={"replay": {"window_bytes": "1MiB"}})
    if is_lost:
        server(max_slot_wal_keep_size="16MB", max_wal_size="32MB")
    tenant.run(f"SELECT pg_create_logical_replication_slot('{tenant.name}_anchor', 'pgoutput')")
    _write_wal(tenant, 7)
    if is_lost:
        tenant.run("CHECKPOINT")
    told = _mended(tenant, "W055", f"{tenant.name}_anchor", "--before-start")
    assert ("invalidated" if is_lost else "more than replay.window_bytes") in told["message"]


def test_nobody_streams(one_pair, tenants):
    tenant = tenants(one_pair)
    _mended(tenant, "W039", tenant.name)
    assert tenant.streamer.terminate() == 0


def test_another_program_reads_the_slot(one_pair, tenants):
    tenant = tenants(one_pair)
    tenant.commit(1)
    command = [tenant.postgres.bin / "pg_recvlogical", "-d", tenant.conninfo, "--slot", tenant.name, "--start", "-f", "/dev/null", "-n",
               "-o", "proto_version=1", "-o", f"publication_names={tenant.name}", "-F", "1", "-s", "1"]
    process = subprocess.Popen([*dying_with_us(), *map(str, command)])
    try:
        before = tenant.confirmed()
        wait_until(lambda: tenant.commit_each(*(2 * [tenant.value("SELECT max(n) + 1 FROM tb_item")])) or tenant.confirmed() > before, 30,
                   "it confirms", 0.5)
        _mended(tenant, "W039", tenant.name)
    finally:
        process.kill()
        process.wait()


# The slot, each state by itself.

def test_nothing_is_set_up(one_pair, tenants):
    tenant = tenants(one_pair, setup=False)
    assert not found(tenant.streamer, "E022", "", "--before-start")
    _mended(tenant, "E022", tenant.name)


@pytest.mark.parametrize("case", CASES)
def test_lost_history_is_found_when(case, one_pair, tenants):
    lose, reason, *_ = CASES[case]
    tenant = tenants(one_pair)
    streamed(tenant)
    lose(tenant)
    expected = {"publication_lost": "E016"}.get(reason, "E022" if reason.startswith("slot_") else "E064")
    (told,) = [each for each in findings(tenant.streamer) if each["id"] == expected]
    follow(tenant.streamer, tenant.name, told["fix"])
    assert not found(tenant.streamer, expected)
    assert tenant.streamer.terminate() == 0


def test_the_slot_was_never_confirmed(one_pair, tenants):
    tenant = tenants(one_pair)
    streamed(tenant)
    confirmed = tenant.confirmed()
    tenant.postgres.stop("fast")
    _unconfirm(tenant.postgres.data / "pg_replslot" / tenant.name / "state", tenant.name, confirmed)
    tenant.postgres.start()
    told = _mended(tenant, "E022", tenant.name)
    assert "slot_unconfirmed" in told["why"]
    assert tenant.streamer.terminate() == 0


@pytest.mark.parametrize("kind", ["two_phase", "another plugin", "another database", "physical"])
def test_a_slot_is_of_another_kind(kind, one_pair, tenants):
    # PyPI's PostgreSQL has no test_decoding.
    tenant = tenants(Pair("15", one_pair.nats) if kind == "another plugin" else one_pair, setup=False)
    logical = "SELECT pg_create_logical_replication_slot('{}', '{}')"
    match kind:
        case "two_phase":
            tenant.run(f"SELECT pg_create_logical_replication_slot('{tenant.name}', 'pgoutput', false, true)")
        case "another plugin":
            tenant.run(logical.format(tenant.name, "test_decoding"))
        case "another database":
            tenant.postgres.run(logical.format(tenant.name, "pgoutput"))
        case _:
            tenant.run(f"SELECT pg_create_physical_replication_slot('{tenant.name}')")
    try:
        (told,) = found(tenant.streamer, "E022")
        person = Person(tenant)
        if kind == "two_phase":
            follow(tenant.streamer, tenant.name, told["fix"])
        else:
            # As it says: the name of another slot.
            assert told["fix"].startswith("Set source.slot to the name of another slot")
            person.configure({"source": {"slot": f"{tenant.name}_own"}})
            tenant.streamer.setup()
        assert not found(tenant.streamer, "E022")
    finally:
        if kind == "another database":
            tenant.postgres.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")


def test_the_publication_was_made_again(one_pair, tenants):
    tenant = tenants(one_pair)
    streamed(tenant)
    tenant.run(f"DROP PUBLICATION {tenant.name}")
    tenant.commit(4)
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_item")
    _mended(tenant, "E016")
    assert tenant.streamer.terminate() == 0


def test_the_clocks_of_the_servers_differ(one_pair, tenants):
    # nats-server before 2.10 does not tell its time.
    tenant = tenants(Pair(one_pair.postgres, "2.15.1"))
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    postgres = tenant.postgres
    postgres.environment = {"LD_PRELOAD": str(library), "FAKETIME": "+90s", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    postgres.restart("fast")
    try:
        (told,) = found(tenant.streamer, "W059")
        assert re.search(r"PostgreSQL's server is (89|90|91) s ahead of that of nats-server", told["message"])
        assert told["fix"] == "timedatectl set-ntp true"
    finally:
        # As it says, the clock is set.
        postgres.environment = {}
        postgres.restart("fast")
    assert not found(tenant.streamer, "W059")
