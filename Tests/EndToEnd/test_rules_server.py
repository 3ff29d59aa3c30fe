"""What a server does that nobody asked for: limits of role and database, stray messages, positions that are not its own, other
languages, WAL that is gone."""

import re
import time
from pathlib import Path

import pytest

from deployment import Pair
from proxy import Proxy
from remedies import follow
from servers.postgres import FOREIGN_ROLE
from servers.tools import wait_until
from tenants import behind, record_entries, remedy, stopped, streamed, tenant_maker, tenants  # noqa: F401

# What only PostgreSQL 18 does, or has.
EIGHTEEN = Pair("18", "2.15.1")


class PositionsBeyond(Proxy):
    """Moves the position in every keepalive of a walsender beyond all WAL, as long as `is_lying`."""

    is_lying = False
    # CopyData of a keepalive: its length, its tag, and then the position, the server's clock and whether a reply is asked for.
    _KEEPALIVE = re.compile(rb"d\x00\x00\x00\x16k(.{8})(.{9})", re.DOTALL)

    def changed(self, data: bytes, is_from_client: bool) -> bytes:
        if is_from_client or not self.is_lying:
            return data
        return self._KEEPALIVE.sub(lambda found: b"d\x00\x00\x00\x16k" + (int.from_bytes(found[1]) + (1 << 36)).to_bytes(8) + found[2], data)


def test_a_keepalives_position_beyond_the_servers_wal_is_not_confirmed(pair, tenants):
    tenant = tenants(pair)
    proxy = PositionsBeyond(tenant.postgres.port)
    with behind(tenant, proxy) as streamer:
        proxy.is_lying = True
        # The server has something to say: a keepalive comes behind WAL that the publication does not concern.
        for _ in range(3):
            tenant.run("CREATE TABLE IF NOT EXISTS elsewhere (n INT); INSERT INTO elsewhere VALUES (1)")
        told = "a keepalive names a position beyond PostgreSQL's WAL"
        wait_until(lambda: any(entry["message"].startswith(told) for entry in streamer.log_entries()), 40, "it is told")
        assert tenant.confirmed() <= tenant.lsn("pg_current_wal_flush_lsn()")
        proxy.is_lying = False
        streamer.kill()
        tenant.wait_free()
        tenant.commit(2)
        streamer.start()
        tenant.wait_stored(2)
        tenant.wait_confirmed()
        tenant.require_exact(1, 2)
        assert streamer.terminate() == 0


@pytest.mark.parametrize("rollback", ["ROLLBACK", "PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p'"])
@pytest.mark.parametrize("table", ["tb_item", "elsewhere"])
def test_a_stream_abort_of_a_transaction_that_was_never_streamed_means_nothing(tenants, table, rollback):
    tenant = tenants(EIGHTEEN)
    tenant.run(f"ALTER DATABASE {tenant.name} SET logical_decoding_work_mem = '64kB'")
    tenant.run("CREATE TABLE elsewhere (n BIGINT, note TEXT)")
    with tenant.connect() as connection:
        # Rolled back before it is decoded.
        for statement in ("BEGIN", "SAVEPOINT a", f"INSERT INTO {table} VALUES (100, 'x')",
                          "RELEASE a", f"INSERT INTO {table} SELECT n, 'x' FROM generate_series(101, 20000) AS n", *rollback.split("; ")):
            connection.execute(statement)
    tenant.commit(1)
    tenant.streamer.start()
    tenant.wait_stored(1)
    tenant.wait_confirmed()
    tenant.require_exact(1)
    assert tenant.streamer.metric("slotstream_stray_stream_aborts_total") > 0
    assert tenant.streamer.terminate() == 0


def _limited(tenant, **limits: str):
    """A streamer of a role that carries these settings."""
    role = f"limited_{tenant.name}"
    tenant.run(f"CREATE ROLE {role} SUPERUSER REPLICATION LOGIN")
    for name, value in limits.items():
        tenant.run(f"ALTER ROLE {role} SET {name} TO '{value}'")
    return tenant.another(conninfo=tenant.conninfo.replace("user=postgres", f"user={role}"))


def test_a_role_whose_queries_are_all_compiled_streams(tenants):
    """PostgreSQL 15 as Debian has it can compile; it takes as long as the question's limit may be short."""
    tenant = tenants(Pair("15", "2.9.10"), setup=False)
    streamer = _limited(tenant, jit="on", jit_above_cost="0", jit_inline_above_cost="0", jit_optimize_above_cost="0")
    streamer.start()
    streamer.wait_streaming()
    tenant.commit(1)
    tenant.wait_stored(1)
    tenant.wait_confirmed()
    tenant.require_exact(1)
    assert streamer.terminate() == 0


def test_a_transaction_that_takes_longer_than_transaction_timeout_arrives(tenants):
    tenant = tenants(EIGHTEEN, overrides={"delivery": {"in_flight_bytes": "1MiB"}})
    streamer = _limited(tenant, transaction_timeout="300ms", statement_timeout="5s", idle_session_timeout="5s",
                        idle_in_transaction_session_timeout="5s", lock_timeout="5s")
    streamer.start()
    tenant.nats.pause()
    try:
        tenant.run("INSERT INTO tb_item SELECT n, repeat('x', 200) FROM generate_series(1, 30000) AS n")
        waits = "SELECT wait_event = 'WalSenderWriteData' FROM pg_stat_activity WHERE pid = %s"
        wait_until(lambda: tenant.value(waits, (tenant.holder(),)), 30, "the walsender waits for us in the midst of the transaction")
        # Longer than any of its limits that could end it.
        time.sleep(1)
    finally:
        tenant.nats.resume()
    tenant.wait_stored(30_000, 120)
    tenant.wait_confirmed()
    assert not record_entries(streamer, "interrupted, trying again")
    assert [event.json["entity"]["n"] for event in tenant.read()] == list(range(1, 30_001))
    assert streamer.terminate() == 0


def test_a_slot_is_made_however_long_it_waits_for_a_lock(pair, tenants):
    tenant = tenants(pair, setup=False)
    streamer = _limited(tenant, lock_timeout="200ms", statement_timeout="1s", default_transaction_read_only="on",
                        default_transaction_isolation="serializable", default_transaction_deferrable="on")
    with tenant.connect() as other, other.transaction():
        # With an xid: the slot waits for its end.
        other.execute("INSERT INTO tb_item VALUES (1, '')")
        process, said = streamer.begin("setup")
        tenant.wait_slot_waits()
        with pytest.raises(AssertionError):
            wait_until(lambda: process.poll() is not None, 3, "it gives up")
    assert process.wait(30) == 0, said.read_text()
    streamer.start()
    tenant.commit(2)
    tenant.wait_stored(1)
    tenant.require_exact(2)
    assert streamer.terminate() == 0


def test_wal_that_somebody_removed_is_told_in_whatever_language_and_there_is_a_way_on(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant, 1)
    segment = tenant.value("SELECT pg_walfile_name(restart_lsn) FROM pg_replication_slots WHERE slot_name = %s", (tenant.name,))
    for _ in range(2):
        tenant.run("SELECT pg_switch_wal()")
        tenant.commit_each(*((2, 2) if _ == 0 else (3, 3)))
        tenant.run("CHECKPOINT")
    wal = Path(tenant.postgres.data) / "pg_wal" / segment
    kept = wal.rename(wal.parent.parent / segment)
    try:
        tenant.streamer.start(wait=False)
        said = stopped(tenant.streamer, 73, "slot_invalidated")
        assert "58P01" in said and "`slotstream slot drop`" in remedy(tenant.streamer)
    finally:
        kept.rename(wal)
    follow(tenant.streamer, tenant.name)
    tenant.commit(4)
    tenant.wait_stored(3)
    events = tenant.events()
    assert [event.subject.rpartition(".")[2] for event in events] == ["INSERT", "GAP", "INSERT"]
    assert tenant.streamer.terminate() == 0


# Categories whose settings change neither what a value says nor whether a statement ends: how a query is planned and logged, how
# much memory or disk it takes, what extensions are loaded, what is of developers.
_NEUTRAL_CATEGORIES = ("Query Tuning", "Reporting and Logging", "Statistics", "Resource Usage", "Developer Options", "Autovacuum",
                       "Vacuuming", "Customized Options", "Client Connection Defaults / Shared Library Preloading")
_NEUTRAL = {
    # For tables, indexes, roles and files that are made, which we do not make.
    "default_tablespace", "temp_tablespaces", "createrole_self_grant", "password_encryption", "wal_compression", "wal_skip_threshold",
    "vacuum_freeze_min_age", "vacuum_freeze_table_age", "vacuum_multixact_freeze_min_age", "vacuum_multixact_freeze_table_age",
    "vacuum_failsafe_age", "vacuum_multixact_failsafe_age", "vacuum_cleanup_index_scale_factor",
    # How WAL is written, not what of it.
    "commit_delay", "commit_siblings", "wal_consistency_checking", "wal_init_zero", "wal_recycle", "track_commit_timestamp",
    # Whose rights the session has: what an administrator chose on purpose. Triggers at login are his too.
    "role", "session_authorization", "event_triggers", "restrict_nonsystem_relation_kind",
    # Of one transaction, over with it.
    "transaction_isolation", "transaction_read_only", "transaction_deferrable",
    # Of TLS and its renegotiation, without a meaning any more.
    "ssl_renegotiation_limit", "seed", "deadlock_timeout", "dynamic_library_path", "extension_control_path", "max_stack_depth",
    "md5_password_warnings", "lc_ctype", "lc_collate", "scram_iterations",
    # Of the builds that we have, and of the order in which concurrent scans read.
    "extension_destdir", "output_plugin_libraries", "synchronize_seqscans",
}


def test_every_setting_that_a_role_can_carry_is_foreign_to_the_tests_or_neutral(pair, tenants):
    tenant = tenants(pair, setup=False)
    with tenant.connect() as connection:
        found = connection.execute("SELECT name, category FROM pg_settings WHERE context IN ('user', 'superuser')").fetchall()
    unknown = [name for name, category in found
               if name not in FOREIGN_ROLE and name not in _NEUTRAL and not category.startswith(_NEUTRAL_CATEGORIES)]
    assert not unknown
    assert len({name for name, _ in found} & set(FOREIGN_ROLE)) >= 45
