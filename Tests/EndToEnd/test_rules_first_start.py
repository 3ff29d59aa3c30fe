"""What is asked before anything is made, what becomes of a setup that fails halfway, and for what PostgreSQL waits."""

import re
import urllib.error

import pytest

from conftest import PAIRS
from servers.tools import wait_until
from tenants import SLOT_WAIT, Servers, record_entries, refused, stopped, streamed, tenant_maker, tenants  # noqa: F401

_GIB = 2**30
# Who gives no name may do everything; each of the others lacks one right.
_LACKING = {"events": "rules.>", "record": "$KV.slotstream.>", "stream": "$JS.API.STREAM.CREATE.*",
            "consumer": "$JS.API.CONSUMER.DURABLE.CREATE.>"}
_USERS = (
    "authorization { users = [",
    "  { user: admin, password: admin }",
    *(f'  {{ user: {name}, password: secret, permissions: {{ publish: {{ deny: ["{subject}"] }} }} }}'
      for name, subject in _LACKING.items()),
    '  { user: untried, password: secret, permissions: { publish: { deny: ["$JS.API.STREAM.DELETE.>"] } } }',
    "] }",
    "no_auth_user: admin",
)

# nats-server 2.9 is not used with an account's storage limit.
_new_pair = pytest.mark.parametrize("new_pair", PAIRS[1:], ids=str)
_SMALL_ACCOUNT = (
    "accounts { small { jetstream { max_file: 64MB }, users: [ { user: small, password: secret } ] } }",
    "no_auth_user: small",
)


def _objects(tenant) -> tuple:
    """All that there is on both servers, but for the bucket, which is everybody's."""
    with tenant.connect() as connection:
        slots = connection.execute("SELECT slot_name, confirmed_flush_lsn FROM pg_replication_slots ORDER BY 1").fetchall()
        publications = connection.execute(
            "SELECT pubname, schemaname, tablename FROM pg_publication LEFT JOIN pg_publication_tables USING (pubname) "
            "ORDER BY 1, 2, 3").fetchall()
    streams = {name: tenant.administrator.info(name) for name in tenant.administrator.names() if not name.startswith("KV_")}
    return slots, publications, {name: (info["config"], info["state"]) for name, info in streams.items()}


def _refused_beforehand(tenant, streamer, code: int, reason: str) -> str:
    """A dry run says so, setup too, and neither leaves anything behind; returns what both said."""
    before = _objects(tenant)
    said = refused(streamer, code, reason, "setup", "--dry-run")
    assert _objects(tenant) == before, "the dry run changed something"
    said += refused(streamer, code, reason, "setup")
    assert _objects(tenant) == before, "setup left something behind"
    return said


def _fill_slots(tenant) -> None:
    """Every slot that the server has is in use; those that nobody reads are called idle_0 and so on."""
    free = tenant.value("SELECT current_setting('max_replication_slots')::bigint - (SELECT count(*) FROM pg_replication_slots)")
    for number in range(free):
        tenant.run(f"SELECT pg_create_physical_replication_slot('idle_{number}')")


def _as_user(tenant, user: str):
    file = tenant.servers.folder / f"{tenant.name}-password"
    file.write_text("secret\n")
    return tenant.another({"transport.nats": {"user": user, "password_file": str(file)}})


# What is asked


def test_a_stream_larger_than_the_servers_room_is_refused_by_a_dry_run_too(pair, tenants):
    tenant = tenants(pair, setup=False)
    streamer = tenant.another({"transport.nats.jetstream": {"max_bytes": 60 * _GIB}})
    said = _refused_beforehand(tenant, streamer, 78, "configuration")
    assert "max_bytes" in said and f"STREAM.CREATE.{tenant.name}:" in said
    # With room it is not.
    assert "would create: stream" in tenant.streamer.command("setup", "--dry-run").stdout


@_new_pair
def test_a_stream_larger_than_the_accounts_room_is_refused_by_a_dry_run_too(new_pair, tenants):
    tenant = tenants(new_pair, setup=False, nats_lines=_SMALL_ACCOUNT)
    said = _refused_beforehand(tenant, tenant.streamer, 78, "configuration")
    assert f"STREAM.CREATE.{tenant.name}:" in said, said
    tenant.another({"transport.nats.jetstream": {"max_bytes": 2**24}}).setup()


@pytest.mark.parametrize("user", _LACKING)
def test_a_right_that_is_missing_in_nats_is_named_beforehand(pair, tenants, user):
    tenant = tenants(pair, setup=False, nats_lines=_USERS)
    said = _refused_beforehand(tenant, _as_user(tenant, user), 77, "permission_nats")
    named = {"events": f"{tenant.prefix}.>", "record": f"$KV.slotstream.{tenant.name}",
             "stream": f"$JS.API.STREAM.CREATE.{tenant.name}",
             "consumer": f"$JS.API.CONSUMER.DURABLE.CREATE.{tenant.name}.fraiseql_observer_worker"}
    assert f"may not publish to {named[user]}" in said, said
    # A first start is no other.
    streamer = _as_user(tenant, user)
    streamer.start(wait=False)
    stopped(streamer, 77, "permission_nats")
    assert tenant.name not in tenant.administrator.names()


def test_the_least_rights_are_enough_for_a_first_start(pair, tenants):
    name = "least_rights"
    publish = ", ".join(f'"{subject}"' for subject in (
        f"rules.{name}.>", f"$KV.slotstream.{name}", f"$JS.API.STREAM.INFO.{name}", f"$JS.API.STREAM.MSG.GET.{name}",
        "$JS.API.STREAM.MSG.GET.KV_slotstream", "$JS.API.STREAM.INFO.KV_slotstream", f"$JS.API.STREAM.CREATE.{name}",
        "$JS.API.STREAM.CREATE.KV_slotstream", f"$JS.API.CONSUMER.INFO.{name}.fraiseql_observer_worker",
        f"$JS.API.CONSUMER.DURABLE.CREATE.{name}.fraiseql_observer_worker", "$JS.API.INFO"))
    lines = ("authorization { users = [", "  { user: admin, password: admin }",
             f'  {{ user: least, password: secret, permissions: {{ publish: [{publish}], subscribe: ["_INBOX.>"] }} }}',
             "] }", "no_auth_user: admin")
    tenant = tenants(pair, setup=False, nats_lines=lines)
    file = tenant.servers.folder / "least-password"
    file.write_text("secret\n")
    streamer = tenant.another({"transport.nats": {"stream_name": name, "subject_prefix": f"rules.{name}", "user": "least",
                                                  "password_file": str(file)}})
    assert "would create: stream" in streamer.command("setup", "--dry-run").stdout
    streamer.start()
    tenant.commit(1)
    wait_until(lambda: tenant.administrator.state(name)["last_seq"] == 1, 30, "the row is stored")
    assert streamer.terminate() == 0


def test_a_question_that_a_nats_user_may_not_ask_is_told_and_no_refusal(pair, tenants):
    tenant = tenants(pair, setup=False, nats_lines=_USERS)
    streamer = _as_user(tenant, "untried")
    said = streamer.command("setup", "--dry-run").stdout
    assert "note: whether JetStream has room" in said and "would create: stream" in said, said
    streamer.setup()


def test_all_slots_in_use_are_refused_beforehand(pair, tenants):
    tenant = tenants(pair, setup=False)
    limit = int(tenant.value("SELECT current_setting('max_replication_slots')"))
    _fill_slots(tenant)
    said = _refused_beforehand(tenant, tenant.streamer, 78, "configuration")
    assert f"all {limit} are in use" in said and "max_replication_slots" in said, said
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 78, "configuration")
    # As the remedy says.
    tenant.run("SELECT pg_drop_replication_slot('idle_0')")
    tenant.streamer.setup()


def test_a_slot_that_is_to_be_made_anew_finds_all_slots_in_use(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    tenant.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")
    _fill_slots(tenant)
    for command in (["slot", "advance"], ["slot", "advance", "--accept-gap"]):
        assert "no replication slot left" in refused(tenant.streamer, 78, "configuration", *command)
    tenant.run("SELECT pg_drop_replication_slot('idle_0')")
    tenant.streamer.command("slot", "advance", "--accept-gap")


def test_a_server_that_logs_too_little_is_refused_beforehand():
    servers = Servers(PAIRS[0], settings={"wal_level": "replica"})
    try:
        tenant = servers.tenant(setup=False)
        assert "wal_level" in _refused_beforehand(tenant, tenant.streamer, 78, "configuration")
        tenant.close()
    finally:
        servers.close()


def test_a_role_that_may_not_make_the_publication_is_refused_beforehand(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.run(f"CREATE ROLE {tenant.name}_role LOGIN REPLICATION")
    streamer = tenant.another(conninfo=tenant.conninfo.replace("user=postgres", f"user={tenant.name}_role"))
    _refused_beforehand(tenant, streamer, 77, "permission_postgres")
    # Nor one that may make it, and does not own every table.
    tenant.run(f"GRANT CREATE ON DATABASE {tenant.name} TO {tenant.name}_role")
    assert "tb_item" in _refused_beforehand(tenant, streamer, 77, "permission_postgres")
    tenant.run(f"ALTER TABLE tb_item OWNER TO {tenant.name}_role")
    before = _objects(tenant)
    streamer.command("setup", "--dry-run")
    assert _objects(tenant) == before
    streamer.setup()


def test_subjects_that_another_stream_captures_are_refused_beforehand(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.administrator.add(f"{tenant.name}_other", subjects=[f"{tenant.prefix}.Item.*"], storage="file")
    assert f"stream {tenant.name}_other captures" in refused(tenant.streamer, 78, "configuration", "setup", "--dry-run")
    _refused_beforehand(tenant, tenant.streamer, 78, "configuration")


# What fails all the same


def test_what_was_added_to_a_publication_is_taken_back_when_setup_fails(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.run("CREATE TABLE tb_second (n BIGINT PRIMARY KEY)")
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_item")
    streamer = tenant.another({"transport.nats.jetstream": {"max_bytes": 60 * _GIB}})
    said = _refused_beforehand(tenant, streamer, 78, "configuration")
    assert "undone: ALTER PUBLICATION" in said and "still there" not in said, said
    with tenant.connect() as connection:
        assert connection.execute("SELECT tablename FROM pg_publication_tables WHERE pubname = %s",
                                  (tenant.name,)).fetchall() == [("tb_item",)]


@pytest.mark.parametrize("command", ["setup", "run"])
def test_slot_and_record_are_taken_back_when_the_consumer_cannot_be_made(pair, tenants, command):
    tenant = tenants(pair, setup=False)
    tenant.administrator.add(tenant.name, subjects=[f"{tenant.prefix}.>"], storage="file", max_consumers=1,
                             num_replicas=tenant.nats.replicas, allow_direct=True)
    consumer = {"durable_name": "theirs", "ack_policy": "explicit"}
    tenant.administrator.api(f"CONSUMER.DURABLE.CREATE.{tenant.name}.theirs", stream_name=tenant.name, config=consumer)
    before = _objects(tenant)
    if command == "setup":
        said = refused(tenant.streamer, 78, "configuration", "setup")
        assert said.count("undone: ") == 3, said
    else:
        tenant.streamer.start(wait=False)
        stopped(tenant.streamer, 78, "configuration")
        said = record_entries(tenant.streamer, "setup failed")[-1]["undone"]
    for object in (f"slot {tenant.name}", f"the checkpoint record of stream {tenant.name}", "CREATE PUBLICATION"):
        assert object in said, said
    slots, publications, streams = _objects(tenant)
    assert (slots, publications) == before[:2]
    assert streams[tenant.name][0] == before[2][tenant.name][0], "the stream was there, and is"
    # Nothing is left that is in the way.
    tenant.administrator.api(f"CONSUMER.DELETE.{tenant.name}.theirs")
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    tenant.require_exact(1)


def test_what_an_interrupted_setup_leaves_is_told_with_the_commands_and_setup_goes_on(pair, tenants):
    tenant = tenants(pair, setup=False)
    with tenant.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO tb_item VALUES (1)")
        process, said = tenant.streamer.begin("setup")
        tenant.wait_slot_waits()
        # Not while PostgreSQL waits for the transaction.
        tenant.run("SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = "
                   f"'{tenant.name}'")
        assert process.wait(60) == 69, said.read_text()
        left = said.read_text()
        for command in (f"nats stream rm {tenant.name}", f'DROP PUBLICATION "{tenant.name}"', "slotstream setup"):
            assert command in left, left
        connection.execute("COMMIT")
    wait_until(lambda: tenant.streamer.command("setup", expect=None).returncode == 0, 30, "setup goes on")
    assert tenant.administrator.record(tenant.name)["genesis"]["kind"] == "created"


# For what PostgreSQL waits


def _prepared(tenant) -> str:
    """A transaction that waits for its second phase, and its name."""
    name = f"{tenant.name}'s"
    tenant.run("BEGIN; INSERT INTO tb_item VALUES (100); PREPARE TRANSACTION '" + name.replace("'", "''") + "'")
    return name


def _ready(streamer) -> str:
    try:
        return streamer.get("/readyz")
    except urllib.error.HTTPError as error:
        return error.read().decode()


def _shows_the_holder(tenant, said: str, name: str) -> None:
    """What is printed names the prepared transaction, how it is ended, and a query that shows it."""
    quoted = name.replace("'", "''")
    assert SLOT_WAIT in said and f"ROLLBACK PREPARED '{quoted}'" in said, said
    query = re.search(r"SELECT 'process '.*? ORDER BY 3", said).group()
    with tenant.connect() as connection:
        assert (f"prepared transaction '{quoted}'", tenant.name) in [row[:2] for row in connection.execute(query).fetchall()]


@pytest.mark.parametrize("command", ["setup", "slot create", "slot advance --accept-gap"])
def test_a_prepared_transaction_that_holds_up_the_slot_is_named(pair, tenants, command):
    tenant = tenants(pair, setup="advance" in command)
    if "advance" in command:
        streamed(tenant)
        tenant.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")
    name = _prepared(tenant)
    process, said = tenant.streamer.begin(*command.split())
    wait_until(lambda: "ROLLBACK PREPARED" in said.read_text() and "ORDER BY 3" in said.read_text(), 30, f"it says what it waits for: {said}")
    _shows_the_holder(tenant, said.read_text(), name)
    tenant.run("ROLLBACK PREPARED '" + name.replace("'", "''") + "'")
    assert process.wait(60) == 0, said.read_text()


def test_a_dry_run_names_a_prepared_transaction_that_will_hold_up_the_slot(pair, tenants):
    tenant = tenants(pair, setup=False)
    name = _prepared(tenant).replace("'", "''")
    said = tenant.streamer.command("setup", "--dry-run").stdout
    assert f"ROLLBACK PREPARED '{name}'" in said, said
    tenant.run(f"ROLLBACK PREPARED '{name}'")
    assert "PREPARED" not in tenant.streamer.command("setup", "--dry-run").stdout


def test_a_first_start_that_waits_for_a_prepared_transaction_says_so_in_its_log_and_its_readiness(pair, tenants):
    tenant = tenants(pair, setup=False)
    name = _prepared(tenant)
    quoted = name.replace("'", "''")
    tenant.streamer.start(wait=False)
    wait_until(lambda: any(SLOT_WAIT in entry.get("message", "") for entry in tenant.streamer.log_entries()), 30, "it says what it waits for")
    entry = next(entry for entry in tenant.streamer.log_entries() if SLOT_WAIT in entry.get("message", ""))
    _shows_the_holder(tenant, " ".join((SLOT_WAIT, entry["holders"], entry["query"])), name)
    reasons = tenant.streamer.status()["reasons"]
    assert len(reasons) == 1 and f"ROLLBACK PREPARED '{quoted}'" in reasons[0], reasons
    assert f"has not made slot {tenant.name}" in _ready(tenant.streamer)
    tenant.run(f"COMMIT PREPARED '{quoted}'")
    tenant.streamer.wait_streaming()
    assert tenant.streamer.status()["reasons"] == []
    tenant.commit(2)
    tenant.wait_stored(1)
    tenant.require_exact(2)


def test_who_is_waited_for_is_told_again_when_that_changes(pair, tenants):
    tenant = tenants(pair, setup=False)
    with tenant.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO tb_item VALUES (1)")
        pid = connection.info.backend_pid
        name = _prepared(tenant)
        process, said = tenant.streamer.begin("setup")
        wait_until(lambda: f"pg_terminate_backend({pid})" in said.read_text(), 30, "it names the process")
        assert said.read_text().index(f"({pid})") < said.read_text().index("PREPARED"), "the oldest first"
        connection.execute("COMMIT")
    wait_until(lambda: said.read_text().count(SLOT_WAIT) == 2, 30, "it says what it waits for now")
    assert f"({pid})" not in said.read_text().rpartition(SLOT_WAIT)[2]
    tenant.run("ROLLBACK PREPARED '" + name.replace("'", "''") + "'")
    assert process.wait(60) == 0, said.read_text()
