"""What a backfill does not read is refused by name, with what to type; what is found only when it is carried out leaves the live stream alone."""

import json
import re
import struct

import psycopg
import pytest

from backfilling import ask, finish, held, judged, let_go, old_rows, resume, runs
from promotion import Standby
from proxy import Proxy
from servers.tools import wait_until
from tenants import PATIENT, own, record_entries, refused, stopped, tenant_maker, tenants  # noqa: F401
from watched import value

_SMALL = ("max_payload: 65536",)
_FOREIGN = "CREATE FOREIGN DATA WRAPPER nothing; CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing; "
_PART = "CREATE TABLE tb_part (n INT, note TEXT, PRIMARY KEY (n)) PARTITION BY RANGE (n); CREATE TABLE part_a PARTITION OF tb_part FOR VALUES FROM (0) TO (100); "

# What there is, which name is asked for, and what must be said.
_NAMES = {
    "view": ("CREATE VIEW tb_view AS SELECT 1 AS n", "tb_view", ("tb_view", "view")),
    "materialized view": ("CREATE MATERIALIZED VIEW tb_kept AS SELECT 1 AS n", "tb_kept", ("tb_kept", "view")),
    "unlogged": ("CREATE UNLOGGED TABLE tb_quick (n INT PRIMARY KEY)", "tb_quick", ("tb_quick", "unlogged", "SET LOGGED")),
    "foreign": (_FOREIGN + "CREATE FOREIGN TABLE tb_far (n INT) SERVER nowhere", "tb_far", ("tb_far", "foreign")),
    "foreign partition": (_PART.replace(", PRIMARY KEY (n)", "") + _FOREIGN + "ALTER TABLE tb_part REPLICA IDENTITY FULL; ALTER TABLE part_a REPLICA IDENTITY FULL; CREATE FOREIGN TABLE part_far PARTITION OF tb_part FOR VALUES FROM (100) TO (200) SERVER nowhere",
                          "tb_part", ("part_far", "foreign")),
    "not there": ("SELECT 1", "tb_nothing", ("tb_nothing",)),
    "large without a key": ("CREATE TABLE tb_log (a TEXT); ALTER TABLE tb_log REPLICA IDENTITY FULL; "
                            "INSERT INTO tb_log SELECT md5(n::text) FROM generate_series(1, 160000) AS n", "tb_log", ("tb_log", "key", "8")),
}


@pytest.mark.parametrize("kind", _NAMES)
def test_what_is_no_table_that_can_be_read_is_refused_by_name(pair, tenants, kind):
    sql, name, words = _NAMES[kind]
    tenant = tenants(pair, setup=False)
    tenant.run(sql)
    tenant.streamer.setup()
    for more in ([], ["--dry-run"]):
        said = refused(tenant.streamer, 78, "configuration", "backfill", "--table", f"public.{name}", *more)
        assert all(word in said for word in words), said
    assert runs(tenant).requests() == [], "nothing was asked for"


def test_a_table_that_is_not_published_and_a_temporary_one_are_refused_by_name(pair, tenants):
    tenant = tenants(pair)
    tenant.run("CREATE TABLE tb_aside (n INT PRIMARY KEY)")
    said = refused(tenant.streamer, 78, "configuration", "backfill", "--table", "public.tb_aside")
    assert "tb_aside" in said and f"ALTER PUBLICATION {tenant.name} ADD TABLE" in said, said
    with tenant.connect() as connection:
        connection.execute("CREATE TEMPORARY TABLE tb_brief (n INT PRIMARY KEY)")
        schema = connection.execute("SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()").fetchone()[0]
        said = refused(tenant.streamer, 78, "configuration", "backfill", "--table", f"{schema}.tb_brief")
        assert "tb_brief" in said and "temporary" in said, said


@pytest.mark.parametrize("operation", ["INSERT", "UPDATE"])
def test_a_table_of_which_an_operation_is_left_out_is_refused(pair, tenants, operation):
    """The events of those rows would not say that they have changed: an old row would stay."""
    tenant = tenants(pair, overrides={"events": {"exclude": [f"public.tb_item:{operation}"]}})
    said = refused(tenant.streamer, 78, "configuration", "backfill", "--table", "public.tb_item")
    assert "tb_item" in said and operation in said and "exclude" in said, said
    other = tenants(pair)
    other.run(f"ALTER PUBLICATION {other.name} SET (publish = '{'update' if operation == 'INSERT' else 'insert'}, delete, truncate')")
    said = refused(other.streamer, 78, "configuration", "backfill", "--table", "public.tb_item")
    assert operation in said and "ALTER PUBLICATION" in said and "SET (publish" in said, said


# Rights

def _reader(tenant) -> tuple[str, dict]:
    """A role that may read nothing yet, and the configuration by which rows are read as it."""
    role = f"reader_{tenant.name}_{tenant.servers.pair.postgres}"
    tenant.run(f"CREATE ROLE {role} LOGIN")
    return role, {"backfill": {"url": tenant.conninfo.replace("user=postgres", f"user={role}")}}


def _do(tenant, said: str) -> None:
    """The GRANTs that it names, to the letter."""
    statements = re.findall(r"GRANT [A-Z]+ ON [^;\n]*? TO \w+", said)
    assert statements, said
    for statement in statements:
        tenant.run(statement)


_GRANTS = {
    "nothing": "SELECT 1", "columns only": "GRANT SELECT (n, note) ON tb_item TO {role}", "the root only": "GRANT SELECT ON tb_part TO {role}",
}


@pytest.mark.parametrize("grant", _GRANTS)
def test_a_right_that_is_missing_is_named_with_its_grant(pair, tenants, grant):
    tenant = tenants(pair, setup=False)
    old_rows(tenant, 20, _PART + "INSERT INTO tb_part SELECT n, 'p' FROM generate_series(1, 20) AS n")
    role, overrides = _reader(tenant)
    tenant.run(_GRANTS[grant].format(role=role))
    table = "tb_part" if "root" in grant else "tb_item"
    streamer = tenant.another(overrides)
    said = refused(streamer, 78, "configuration", "backfill", "--table", f"public.{table}")
    leaf = "part_a" if "root" in grant else "tb_item"
    assert f"GRANT SELECT ON public.{leaf} TO {role}" in said, said
    _do(tenant, said)
    streamer.start()
    told = runs(tenant, streamer)
    run = told.request(f"public.{table}")
    told.wait_done(run)
    tenant.wait_confirmed()
    assert judged(tenant, f"public.{table}").read == 20


def _not_read_from_there(tenant, conninfo: str, word: str) -> None:
    """Neither is a run taken that would read rows there, nor are they read by a streamer that is asked for a run by somebody else."""
    streamer = tenant.another({"backfill": {"url": conninfo}})
    for more in ([], ["--dry-run"]):
        said = refused(streamer, 78, "configuration", "backfill", "--table", "public.tb_item", *more)
        assert word in said and "backfill.url" in said, said
    streamer.start()
    told = runs(tenant)
    run = told.request("public.tb_item")
    told.wait_why(word)
    assert told.read() == 0
    tenant.run("UPDATE tb_item SET note = 'live' WHERE n = 5")
    tenant.wait_confirmed()
    # A run that cannot begin is no dead end.
    ask(tenant.streamer, "--cancel", str(run))
    told.wait_state(run, "cancelled")
    run = told.request("public.tb_item")
    streamer.terminate()
    tenant.wait_free()
    tenant.streamer.start()
    told.wait_done(run)
    tenant.wait_confirmed()
    assert judged(tenant).read == 20


def test_rows_of_another_database_are_not_read(pair, tenants):
    """A copy for tests, say, with the same tables and the same publication."""
    tenant = tenants(pair, setup=False)
    old_rows(tenant, 20)
    tenant.run(f"CREATE DATABASE {tenant.name}_copy")
    conninfo = tenant.conninfo.replace(f"dbname={tenant.name}", f"dbname={tenant.name}_copy")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("CREATE TABLE tb_item (n INT PRIMARY KEY, note TEXT)")
        connection.execute("INSERT INTO tb_item SELECT n, 'of the copy' FROM generate_series(1, 10) AS n")
        connection.execute(f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_item")
    _not_read_from_there(tenant, conninfo, "database")


def test_rows_are_not_read_from_a_standby(pair, own):
    """It would spare the primary, and does not tell which transactions its snapshot shows of those that are streamed."""
    tenant = own(pair, setup=False)
    old_rows(tenant, 20)
    standby = Standby(tenant.postgres, tenant.servers.folder / "standby")
    try:
        standby.start()
        standby.wait_replayed(tenant.lsn("pg_current_wal_lsn()"))
        _not_read_from_there(tenant, standby.conninfo.replace(f"dbname={standby.database}", f"dbname={tenant.name}"), "in recovery")
    finally:
        standby.close()


class _Pooler(Proxy):
    """What its clients see of PgBouncer: the number of a process that it has made up. It leaves `replication` out, as that of today does."""

    def changed(self, data: bytes, is_from_client: bool) -> bytes:
        key = data.find(b"K" + struct.pack("!i", 12))
        if is_from_client or key < 0 or b"R\0\0\0\x08\0\0\0\0" not in data:
            return data
        return data[:key + 5] + struct.pack("!i", 7) + data[key + 9:]


def test_rows_are_not_read_through_a_pooler(one_pair, tenants):
    """Our settings would stay on the sessions of others, and what is prepared on one would be asked of another."""
    tenant = tenants(one_pair, setup=False)
    old_rows(tenant, 20)
    pooler = _Pooler(tenant.postgres.port)
    try:
        _not_read_from_there(tenant, tenant.conninfo.replace(f"port={tenant.postgres.port}", f"port={pooler.port}"), "pooler")
    finally:
        pooler.close()


def test_what_held_a_run_up_is_not_told_when_it_goes_on(pair, tenants):
    tenant = tenants(pair, setup=False)
    old_rows(tenant, 900)
    role, overrides = _reader(tenant)
    tenant.run(f"GRANT SELECT ON tb_item TO {role}")
    streamer = tenant.another(overrides)
    streamer.start()
    told = runs(tenant, streamer)
    run = told.request("public.tb_item", options=["--rate", "50"])
    told.wait_read(20)
    tenant.run(f"ALTER ROLE {role} NOLOGIN")
    tenant.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")
    told.wait_why("not permitted to log in")
    tenant.run(f"ALTER ROLE {role} LOGIN")
    before = told.read()
    told.wait_read(before + 40)
    assert told.progress().get("why") is None and told.state(run) == ("walking", "")
    ask(streamer, "--cancel", str(run))
    told.wait_state(run, "cancelled")


def test_row_security_that_hides_rows_is_refused_and_not_obeyed(pair, tenants):
    tenant = tenants(pair, setup=False)
    old_rows(tenant, 20, "ALTER TABLE tb_item ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON tb_item USING (n < 10)")
    role, overrides = _reader(tenant)
    tenant.run(f"GRANT SELECT ON tb_item TO {role}")
    streamer = tenant.another(overrides)
    said = refused(streamer, 78, "configuration", "backfill", "--table", "public.tb_item")
    assert "row security" in said and "tb_item" in said and role in said, said
    tenant.run(f"ALTER ROLE {role} BYPASSRLS")
    streamer.start()
    told = runs(tenant, streamer)
    told.wait_done(told.request("public.tb_item"))
    tenant.wait_confirmed()
    assert judged(tenant).read == 20


def test_row_security_that_comes_in_its_midst_fails_the_run_and_leaves_the_stream(pair, tenants):
    tenant = tenants(pair, setup=False, overrides=PATIENT)
    told = old_rows(tenant, 900)
    role, overrides = _reader(tenant)
    tenant.run(f"GRANT SELECT ON tb_item TO {role}")
    told = runs(tenant, tenant.another(overrides))
    run = held(told, "chunk_read", 3)
    tenant.run("ALTER TABLE tb_item ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON tb_item USING (n < 10)")
    let_go(told)
    why = told.wait_state(run, "failed")
    assert "tb_item" in why and "security" in why, why
    failed = 'slotstream_backfill_state{state="failed"}'
    wait_until(lambda: value(told.streamer, failed) == 1, 20, "the metrics tell")
    assert value(told.streamer, "slotstream_backfill_rows") == told.streamer.status()["backfill"]["rows"]
    tenant.run("UPDATE tb_item SET note = 'live' WHERE n = 5")
    tenant.wait_confirmed()
    tenant.run("ALTER TABLE tb_item DISABLE ROW LEVEL SECURITY")
    resume(told, run)
    told.wait_done(run)
    wait_until(lambda: value(told.streamer, failed) is None, 20, "nothing is under way")
    tenant.wait_confirmed()
    judged(tenant)


def test_a_right_that_is_taken_away_in_its_midst_is_named_and_given_back(pair, tenants):
    tenant = tenants(pair, setup=False, overrides=PATIENT)
    told = old_rows(tenant, 900)
    role, overrides = _reader(tenant)
    tenant.run(f"GRANT SELECT ON tb_item TO {role}")
    told = runs(tenant, tenant.another(overrides))
    run = held(told, "chunk_read", 3)
    tenant.run(f"REVOKE SELECT ON tb_item FROM {role}; UPDATE tb_item SET note = 'live' WHERE n IN (100, 800)")
    let_go(told)
    why = told.wait_state(run, "failed")
    assert f"GRANT SELECT ON public.tb_item TO {role}" in why, why
    tenant.wait_confirmed()
    _do(tenant, why)
    resume(told, run)
    told.wait_done(run)
    tenant.wait_confirmed()
    judged(tenant)


def test_rows_are_read_from_the_very_server_that_is_streamed(pair, tenants, own):
    """An old primary that still runs would give rows that are no longer so."""
    tenant, other = tenants(pair, setup=False, overrides=PATIENT), own(pair, setup=False)
    old_rows(tenant, 50)
    other.run(f"INSERT INTO tb_item SELECT n, 'of another server' FROM generate_series(1, 50) AS n; CREATE PUBLICATION {tenant.name} FOR TABLE tb_item")
    streamer = tenant.another({"backfill": {"url": other.conninfo}})
    streamer.start()
    told = runs(tenant, streamer)
    done = ask(streamer, "--table", "public.tb_item", expect=None)
    if done.returncode == 0:
        wait_until(lambda: "another" in (told.progress().get("why") or ""), 60, f"it says so: {told.progress()}")
    else:
        assert done.returncode == 78 and "server" in done.stderr, done.stderr
    assert told.read() == 0
    tenant.commit(99)
    tenant.wait_confirmed()


# What cannot be sent

def test_a_row_over_the_servers_payload_rests_the_run_while_the_live_stream_goes_on(pair, tenants):
    tenant = tenants(pair, setup=False, nats_lines=_SMALL, overrides=PATIENT)
    told = old_rows(tenant, 300, "UPDATE tb_item SET note = repeat('x', 70000) WHERE n = 150")
    told.streamer.start()
    run = told.request("public.tb_item")
    why = told.wait_state(run, "failed")
    assert "tb_item" in why and record_entries(told.streamer, "a backfill cannot go on"), why
    tenant.run("UPDATE tb_item SET note = 'live' WHERE n IN (5, 250); INSERT INTO tb_item VALUES (1001, 'live')")
    tenant.wait_confirmed()
    assert told.streamer.running and told.state(run)[0] == "failed"
    told.streamer.kill()
    tenant.wait_free()
    told.streamer.start()
    tenant.commit(1002)
    tenant.wait_confirmed()
    # A start tries again, in vain as long as nothing is mended.
    told.wait_state(run, "failed")
    tenant.run("UPDATE tb_item SET note = 'small' WHERE n = 150")
    resume(told, run)
    finish(tenant, run)


@pytest.mark.parametrize("way", ["quarantine", "reference"])
def test_a_row_whose_event_is_not_stored_whole_is_read_again(pair, tenants, way):
    """What stands in the event's place says nothing of the row: it comes by the backfill as soon as it can be sent."""
    tenant = tenants(pair, setup=False, nats_lines=_SMALL, overrides=PATIENT | {"events": {"on_poison": way}})
    told = old_rows(tenant, 900, "ALTER TABLE tb_item ALTER note SET STORAGE EXTERNAL")
    run = held(told, "chunk_read", 3)
    tenant.run("UPDATE tb_item SET note = repeat('x', 70000) WHERE n IN (5, 100, 800)")
    tenant.run("UPDATE tb_item SET note = 'small again' WHERE n IN (5, 100, 800)")
    let_go(told)
    told.wait_done(run)
    tenant.wait_confirmed()
    events = [event for event in tenant.read() if not event.subject.endswith("POISON") and "omitted" not in event.json]
    with tenant.connect() as connection:
        said = {n: note for n, note in connection.execute("SELECT n, note FROM tb_item")}
    known = {}
    for event in events:
        if "entity" in event.json:
            known[event.json["entity"]["n"]] = event.json["entity"].get("note")
    assert known == said


def test_a_row_whose_event_is_skipped_is_read_again(pair, tenants):
    tenant = tenants(pair, setup=False, nats_lines=_SMALL, overrides=PATIENT | {"events": {"on_poison": "stop"}})
    told = old_rows(tenant, 900)
    run = held(told, "chunk_read", 3)
    tenant.run("UPDATE tb_item SET note = repeat('x', 70000) WHERE n = 100")
    let_go(told)
    said = stopped(told.streamer, 65, "poison_event", seconds=60)
    tenant.wait_free()
    words = said.split(" at ", 1)[1].split(":")[0].split()
    told.streamer.command("skip", "--at", words[0], "--change", words[2], "--by", "ann")
    told.streamer.start()
    # It cannot be sent as it is; what makes it smaller is an event, and says so.
    told.wait_state(run, "failed", "done")
    tenant.run("UPDATE tb_item SET note = 'small' WHERE n = 100")
    if told.state(run)[0] == "failed":
        resume(told, run)
    finish(tenant, run)


# Room

def test_a_stream_that_would_remove_what_a_consumer_has_not_read_is_refused_with_the_way_out(pair, tenants):
    tenant = tenants(pair, setup=False, overrides={"transport.nats.jetstream": {"max_bytes": 1 << 20, "replicas": 1}})
    old_rows(tenant, 5_000)
    tenant.streamer.start()
    tenant.run("UPDATE tb_item SET note = note WHERE n < 1000")
    tenant.run("VACUUM ANALYZE tb_item")
    tenant.wait_confirmed()
    said = refused(tenant.streamer, 78, "configuration", "backfill", "--table", "public.tb_item")
    assert "--into-stream" in said and "max-bytes" in said, said
    plan = json.loads(ask(tenant.streamer, "--table", "public.tb_item", "--dry-run", "--json", expect=None).stdout)
    assert plan["plan"]["refusal"] and 4_000 <= plan["plan"]["rows"] <= 6_000, plan
