"""What `setup` makes, takes and leaves alone; which slots are refused."""

import random
import subprocess
import time

import pytest

from administrator import BUCKET
from deployment import Pair
from servers.tools import wait_until
from tenants import SLOT_WAIT, refused, stopped, tenant_maker, tenants  # noqa: F401


def _objects(tenant) -> tuple:
    """All that there is on both servers."""
    with tenant.connect() as connection:
        slots = connection.execute("SELECT slot_name, plugin, confirmed_flush_lsn FROM pg_replication_slots "
                                   "ORDER BY 1").fetchall()
        publications = connection.execute(
            "SELECT pubname, schemaname, tablename FROM pg_publication LEFT JOIN pg_publication_tables USING (pubname) "
            "ORDER BY 1, 2, 3").fetchall()
    configs = {name: tenant.administrator.config(name) for name in tenant.administrator.names()}
    return slots, publications, configs


def _published(tenant) -> set[str]:
    with tenant.connect() as connection:
        return {row[0] for row in connection.execute(
            "SELECT tablename FROM pg_publication_tables WHERE pubname = %s", (tenant.name,))}


def test_a_dry_run_and_printed_sql_change_nothing(pair, tenants):
    tenant = tenants(pair, setup=False)
    before = _objects(tenant)
    said = tenant.streamer.command("setup", "--dry-run").stdout
    sql = tenant.streamer.command("setup", "--print-sql").stdout
    assert _objects(tenant) == before
    for thing in ("PUBLICATION", "stream", "slot", "record", "consumer"):
        assert thing in said, said
    assert "CREATE PUBLICATION" in sql and "pg_create_logical_replication_slot" in sql, sql


def test_a_dba_runs_the_printed_sql_and_setup_adopts_the_slot_as_it_stands(pair, tenants):
    tenant = tenants(pair, setup=False)
    sql = tenant.streamer.command("setup", "--print-sql").stdout
    done = subprocess.run([tenant.postgres.bin / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", tenant.conninfo],
                          input=sql, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    tenant.commit(1)
    slot = tenant.confirmed()
    # Unasked it is not taken: it could be one whose record was lost.
    refused(tenant.streamer, 73, "bucket_missing", "setup")
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 73, "bucket_missing")
    tenant.streamer.command("setup", "--adopt-slot")
    assert tenant.confirmed() == slot
    assert tenant.administrator.record(tenant.name)["genesis"]["kind"] == "adopted"
    tenant.streamer.start()
    tenant.commit(2)
    tenant.wait_stored(2)
    tenant.require_exact(1, 2)


def test_a_start_without_setup_refuses_until_something_is_set_up(pair, tenants):
    tenant = tenants(pair, setup=False)
    before = _objects(tenant)
    done = tenant.streamer.command("run", "--no-setup", expect=78)
    assert "slotstream setup" in done.stderr
    assert _objects(tenant) == before
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    tenant.commit(2)
    process, _ = tenant.streamer.begin("run", "--no-setup")
    try:
        tenant.wait_stored(2)
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_a_first_start_sets_up_and_says_that_older_rows_are_not_published(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.commit(*range(1, 6))
    tenant.streamer.start()
    tenant.commit(6)
    tenant.wait_stored(1)
    tenant.require_exact(6)
    said = tenant.streamer.log.read_text()
    assert "not published" in said and "5 in 1 table" in said
    # What `nats consumer info` shows of the page's consumer.
    consumer = tenant.administrator.api(f"CONSUMER.INFO.{tenant.name}.fraiseql_observer_worker")["config"]
    assert (consumer["deliver_policy"], consumer["ack_policy"]) == ("all", "explicit")
    assert (consumer["filter_subject"], consumer["max_deliver"], consumer["ack_wait"]) == (f"{tenant.prefix}.>", 3, 30 * 10**9)


def test_setup_again_changes_nothing(pair, tenants):
    tenant = tenants(pair)
    before = _objects(tenant)
    record = tenant.administrator.record(tenant.name)
    tenant.streamer.setup()
    assert _objects(tenant) == before
    assert tenant.administrator.record(tenant.name) == record


def test_an_existing_publication_gets_the_missing_tables_and_nothing_else(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.run("CREATE TABLE tb_second (n BIGINT PRIMARY KEY); CREATE TABLE not_matching (n BIGINT PRIMARY KEY); "
               "CREATE TABLE left_out (n BIGINT PRIMARY KEY); CREATE SCHEMA aside; "
               "CREATE TABLE aside.tb_aside (n BIGINT PRIMARY KEY)")
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_item, not_matching WITH (publish = 'insert, update')")
    tenant.streamer.setup()
    assert _published(tenant) == {"tb_item", "tb_second", "not_matching"}
    assert not tenant.value("SELECT pubdelete FROM pg_publication WHERE pubname = %s", (tenant.name,))
    tenant.run("CREATE TABLE tb_third (n BIGINT PRIMARY KEY)")
    tenant.streamer.setup()
    assert _published(tenant) == {"tb_item", "tb_second", "tb_third", "not_matching"}


def test_a_publication_that_was_dropped_stops(pair, tenants):
    # Pitfall 31: made anew behind the slot it is not seen by what is decoded first.
    tenant = tenants(pair)
    tenant.run(f"DROP PUBLICATION {tenant.name}")
    tenant.streamer.start(wait=False)
    assert tenant.name in stopped(tenant.streamer, 78, "configuration")


def test_setup_can_be_killed_at_any_moment_and_run_goes_on(pair, tenants, seed):
    """Twenty times: each on names of its own, at a moment of its own."""
    choice = random.Random(seed)
    tenant = tenants(pair, setup=False)
    began = time.monotonic()
    tenant.streamer.setup()
    whole = time.monotonic() - began
    killed, number = 0, 0
    for attempt in range(20):
        name = f"{tenant.name}_{attempt}"
        streamer = tenant.another({"source": {"slot": name, "publication": name},
                                   "transport.nats": {"stream_name": name, "subject_prefix": f"rules.{name}"}})
        process, _ = streamer.begin("setup")
        launched = time.monotonic()
        try:
            if process.wait(timeout=choice.uniform(0.1, 1) * whole) == 0:
                whole = time.monotonic() - launched
        except subprocess.TimeoutExpired:
            process.kill()
            killed += 1
        process.wait()
        if choice.random() < 0.5:
            # 75: the server has not noticed yet that who asked for the slot is gone.
            wait_until(lambda: streamer.command("setup", expect=None).returncode == 0, 30, "setup goes on")
        streamer.start()
        # Not standing by while PostgreSQL still makes the slot for who was killed.
        streamer.wait_streaming()
        number += 1
        tenant.commit(number)
        wait_until(lambda: tenant.administrator.state(name)["last_seq"] == 1, 20, f"{name} streams")
        assert tenant.administrator.record(name)["genesis"]["kind"] == "created"
        assert streamer.terminate() == 0
        active = "SELECT active FROM pg_replication_slots WHERE slot_name = %s"
        wait_until(lambda: not tenant.value(active, (name,)), 20, "the slot is free")
        tenant.run(f"SELECT pg_drop_replication_slot('{name}')")
        tenant.administrator.delete(name)
    assert killed >= 10, f"only {killed} of 20 were interrupted"


def test_a_setup_that_still_waits_in_the_server_is_waited_for(pair, tenants):
    """Killed while the slot is being made: the server goes on making it, and who comes next must not take that for loss."""
    tenant = tenants(pair, setup=False)
    # The tests' role has the server look for its client, which would let go of the slot sooner or later.
    tenant.run(f"ALTER ROLE foreigner IN DATABASE {tenant.name} SET client_connection_check_interval = 0")
    with tenant.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO tb_item VALUES (1)")
        process, said = tenant.streamer.begin("setup")
        tenant.wait_slot_waits()
        wait_until(lambda: SLOT_WAIT in said.read_text(), 20, "it says what it waits for")
        process.kill()
        process.wait()
        refused(tenant.streamer, 75, "slot_active", "setup")
        tenant.streamer.start(wait=False)
        wait_until(lambda: tenant.streamer.status()["role"] == "standby", 20, "it stands by")
        connection.execute("COMMIT")
    tenant.streamer.wait_streaming()
    tenant.commit(2)
    tenant.wait_stored(1)
    tenant.require_exact(2)


def test_a_first_start_that_waits_for_a_transaction_is_live_and_stops_when_it_is_told_to(pair, tenants):
    """PostgreSQL makes a slot when the transactions that run have ended; longer than the loop may stand still."""
    tenant = tenants(pair, setup=False)
    tenant.streamer.keep_other_times(liveness=6000)
    with tenant.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO tb_item VALUES (1)")
        tenant.streamer.start(wait=False)
        tenant.wait_slot_waits()
        wait_until(lambda: SLOT_WAIT in tenant.streamer.log.read_text(), 20, "it says what it waits for")
        began = time.monotonic()
        while time.monotonic() < began + 8:
            status = tenant.streamer.status()
            assert status["live"], status["reasons"]
            time.sleep(1)
        began = time.monotonic()
        assert tenant.streamer.terminate() == 0
        assert time.monotonic() - began < 30, "nothing was to be waited for"
        connection.execute("COMMIT")
    tenant.streamer.start()
    tenant.streamer.wait_streaming()
    tenant.commit(2)
    tenant.wait_stored(1)


@pytest.mark.parametrize("command", ["setup", "setup --adopt-slot", "run"])
def test_a_slot_with_two_phase_is_refused(pair, tenants, command):
    # Pitfall 48c.
    tenant = tenants(pair, setup=False)
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR ALL TABLES")
    tenant.run(f"SELECT pg_create_logical_replication_slot('{tenant.name}', 'pgoutput', false, true)")
    _refused(tenant, command, "slot_two_phase")


@pytest.mark.parametrize("command", ["setup", "setup --adopt-slot", "run"])
@pytest.mark.parametrize("kind", ["physical", "test_decoding"])
def test_a_slot_of_another_kind_is_refused(pair, tenants, command, kind):
    # PyPI's PostgreSQL has no test_decoding.
    tenant = tenants(pair if kind == "physical" else Pair("15", pair.nats), setup=False)
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR ALL TABLES")
    tenant.run(f"SELECT pg_create_physical_replication_slot('{tenant.name}', true)" if kind == "physical" else
               f"SELECT pg_create_logical_replication_slot('{tenant.name}', 'test_decoding')")
    _refused(tenant, command, "configuration")


def _refused(tenant, command: str, reason: str) -> None:
    if command == "run":
        tenant.streamer.start(wait=False)
        stopped(tenant.streamer, 78, reason)
    else:
        refused(tenant.streamer, 78, reason, *command.split())
    assert tenant.name not in tenant.administrator.names(), "nothing was made"


def test_a_slot_that_was_made_anew_with_two_phase_is_refused(pair, tenants):
    tenant = tenants(pair)
    tenant.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")
    tenant.run(f"SELECT pg_create_logical_replication_slot('{tenant.name}', 'pgoutput', false, true)")
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 78, "slot_two_phase")
    # Made without it, as the remedy says, it stands where nobody knows what was missed: that is a gap.
    tenant.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")
    tenant.streamer.command("slot", "advance", "--accept-gap")
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(2)


def test_another_databases_slot_is_refused(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.postgres.run(f"SELECT pg_create_logical_replication_slot('{tenant.name}', 'pgoutput')")
    try:
        refused(tenant.streamer, 78, "configuration", "setup", "--adopt-slot")
    finally:
        tenant.postgres.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")


def test_the_first_record_is_made_with_the_slot_only(pair, tenants):
    tenant = tenants(pair)
    record = tenant.administrator.record(tenant.name)
    assert record["genesis"]["kind"] == "created"
    with tenant.connect() as connection:
        slot = connection.execute("SELECT confirmed_flush_lsn::text FROM pg_replication_slots WHERE slot_name = %s",
                                  (tenant.name,)).fetchone()[0]
    assert record["genesis"]["lsn"] == record["confirmed_lsn"] == slot
    assert f"KV_{BUCKET}" in tenant.administrator.names()
    bucket = tenant.administrator.config(f"KV_{BUCKET}")
    assert (bucket["num_replicas"], bucket["max_msgs_per_subject"]) == (tenant.nats.replicas, 1)
