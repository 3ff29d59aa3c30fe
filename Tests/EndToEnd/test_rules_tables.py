"""Which tables are published: never silently none, never one whose UPDATE and DELETE then fail in the application, partitioned ones by their own name."""

import json
import subprocess

import psycopg
import pytest

from deployment import Pair
from servers.tools import wait_until
from tenants import record_entries, refused, remedy, stopped, tenant_maker, tenants  # noqa: F401

_EVERYTHING = {"source": {"tables": ["*"]}}
_UNIDENTIFIED = "UPDATE and DELETE of it fail in the application"
# The published tables are looked at every five seconds; less often where a look takes long.
_SOON = 120


def _made(tenant) -> tuple:
    with tenant.connect() as connection:
        rows = connection.execute("SELECT pubname FROM pg_publication UNION ALL SELECT slot_name FROM pg_replication_slots "
                                  "WHERE database = current_database()").fetchall()
    return rows, tenant.name in tenant.administrator.names()


def _psql(tenant, script: str) -> None:
    done = subprocess.run([tenant.postgres.bin / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", tenant.conninfo],
                          input=script, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr


def _find(tenant, message: str, **said) -> list[dict]:
    """Log entries of which the message contains `message`, and each named value what is given for it."""
    return [entry for entry in tenant.streamer.log_entries()
            if message in entry.get("message", "") and all(text in str(entry.get(name)) for name, text in said.items())]


# Replica identity

def test_a_table_without_identity_is_refused_and_nothing_is_made(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.run("CREATE TABLE tb_log (note TEXT)")
    for command in (["setup"], ["setup", "--dry-run"], ["slot", "create"]):
        said = refused(tenant.streamer, 78, "configuration", *command)
        assert "public.tb_log has no replica identity" in said and _UNIDENTIFIED in said, said
        assert "ALTER TABLE public.tb_log REPLICA IDENTITY FULL" in said and "slotstream setup --allow-no-identity" in said, said
    tenant.streamer.start(wait=False)
    assert "public.tb_log" in stopped(tenant.streamer, 78, "configuration")
    assert _made(tenant) == ([], False)
    tenant.run("INSERT INTO tb_log VALUES ('a'); UPDATE tb_log SET note = 'b'")
    # What it says to do, to the letter.
    tenant.run(remedy(tenant.streamer).split(": ")[1].split(". Or")[0])
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.run("UPDATE tb_log SET note = 'c'")
    tenant.wait_stored(1)
    assert tenant.events()[0].json["before"] == {"note": "b"}


def test_the_printed_sql_gives_identities_and_setup_goes_on_behind_it(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.run('CREATE TABLE "tb_a\n; b" (n INT); CREATE TABLE tb_b (n INT NOT NULL UNIQUE)')
    script = tenant.streamer.command("setup", "--print-sql").stdout
    assert "REPLICA IDENTITY FULL" in script and "REPLICA IDENTITY USING INDEX tb_b_n_key" in script, script
    assert "REPLICA IDENTITY" not in tenant.streamer.command("setup", "--print-sql", "--allow-no-identity").stdout
    _psql(tenant, script)
    tenant.streamer.command("setup", "--adopt-slot")
    tenant.streamer.start()
    tenant.run('INSERT INTO "tb_a\n; b" VALUES (1); DELETE FROM "tb_a\n; b"; INSERT INTO tb_b VALUES (2); DELETE FROM tb_b')
    tenant.wait_stored(4)
    assert [event.json["entity"]["n"] for event in tenant.events()] == [1, 1, 2, 2]


def test_a_table_without_identity_is_published_when_it_is_allowed_and_told_ever_after(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.run("CREATE TABLE tb_log (note TEXT)")
    said = tenant.streamer.command("setup", "--allow-no-identity").stdout
    assert "note: public.tb_log has no replica identity" in said, said
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        tenant.run("INSERT INTO tb_log VALUES ('a'); DELETE FROM tb_log")
    # Nothing is published anew: it is told, and no reason to refuse.
    assert "public.tb_log has no replica identity" in tenant.streamer.command("setup").stdout
    assert "ALTER TABLE public.tb_log REPLICA IDENTITY FULL" in tenant.streamer.command("setup", "--print-sql").stdout
    tenant.streamer.start()
    assert _find(tenant, "public.tb_log has no replica identity", finding="E012", level="warning")
    assert tenant.streamer.status()["source"]["tables_without_identity"] == ["public.tb_log"]
    status = json.loads(tenant.streamer.command("status", "--json").stdout)["source"]
    assert (status["published_tables"], status["tables_without_identity"]) == (2, ["public.tb_log"])
    assert "2 published · public.tb_log: no usable replica identity" in tenant.streamer.command("status").stdout
    assert tenant.streamer.terminate() == 0
    status = json.loads(tenant.streamer.command("status", "--json", expect=None).stdout)["source"]
    assert status["tables_without_identity"] == ["public.tb_log"], "no streamer needs to run"


def test_a_table_without_identity_that_comes_later_is_told_while_it_runs(pair, tenants):
    tenant = tenants(pair, overrides=_EVERYTHING)
    tenant.streamer.start()
    tenant.run("CREATE SCHEMA aside; CREATE TABLE aside.later (n INT)")
    wait_until(lambda: _find(tenant, "aside.later has no replica identity", finding="E012"), _SOON, "it is told")
    found = _find(tenant, "aside.later has no replica identity")[0]
    assert _UNIDENTIFIED in found["message"] and "ALTER TABLE aside.later REPLICA IDENTITY FULL" in found["remedy"]
    assert _find(tenant, "the published tables have changed", added="aside.later")
    # One that loses its identity, too; and each is told once.
    tenant.run("ALTER TABLE tb_item DROP CONSTRAINT tb_item_pkey")
    wait_until(lambda: _find(tenant, "public.tb_item has no replica identity"), _SOON, "it is told")
    assert len(_find(tenant, "aside.later has no replica identity")) == 1
    tenant.run("ALTER TABLE tb_item REPLICA IDENTITY FULL; ALTER TABLE aside.later REPLICA IDENTITY FULL")
    wait_until(lambda: tenant.streamer.status()["source"]["tables_without_identity"] == [], _SOON, "both have one")


def test_postgresql_18s_generated_columns_are_no_identity(one_pair, tenants):
    tenant = tenants(Pair("18", one_pair.nats), setup=False)
    tenant.run("CREATE TABLE tb_sum (a INT, twice INT GENERATED ALWAYS AS (a * 2) STORED); ALTER TABLE tb_sum REPLICA IDENTITY FULL; "
               "CREATE TABLE tb_keyed (a INT PRIMARY KEY, twice INT GENERATED ALWAYS AS (a * 2) VIRTUAL); "
               "ALTER TABLE tb_keyed REPLICA IDENTITY FULL")
    said = refused(tenant.streamer, 78, "configuration", "setup")
    assert "2 tables (public.tb_keyed, public.tb_sum) have generated columns in their replica identities" in said, said
    refused(tenant.streamer, 78, "configuration", "setup", "--print-sql")
    tenant.run("ALTER TABLE tb_sum ADD PRIMARY KEY (a)")
    script = tenant.streamer.command("setup", "--print-sql").stdout
    assert script.count("REPLICA IDENTITY DEFAULT") == 2, script
    _psql(tenant, script)
    tenant.run("INSERT INTO tb_sum VALUES (1); DELETE FROM tb_sum; INSERT INTO tb_keyed VALUES (1); DELETE FROM tb_keyed")


def test_tables_are_looked_at_before_rights_are(pair, tenants):
    """Who runs it without rights, to hand the SQL to a DBA, is told of the tables first, in a dry run too."""
    tenant = tenants(pair, setup=False)
    tenant.run(f"CREATE TABLE tb_log (note TEXT); CREATE ROLE {tenant.name}_role LOGIN REPLICATION")
    streamer = tenant.another(conninfo=tenant.conninfo.replace("user=postgres", f"user={tenant.name}_role"))
    for command in (["setup"], ["setup", "--dry-run"]):
        refused(streamer, 78, "configuration", *command)
        refused(streamer, 77, "permission_postgres", *command, "--allow-no-identity")
    assert "ALTER TABLE public.tb_log REPLICA IDENTITY FULL" in streamer.command("setup", "--print-sql").stdout


# Nothing published

@pytest.mark.parametrize("tables", [["public.tb_itm"], ["public.tb_item", "public.tb_ordr"], ["public.v_item"]])
def test_a_pattern_that_matches_no_table_is_refused_with_what_is_there(pair, tenants, tables):
    tenant = tenants(pair, setup=False, overrides={"source": {"tables": tables}})
    tenant.run("CREATE VIEW v_item AS SELECT 1 AS n; CREATE TABLE tb_order (n INT PRIMARY KEY)")
    for command in (["setup"], ["setup", "--dry-run"], ["setup", "--print-sql"]):
        said = refused(tenant.streamer, 78, "configuration", *command)
        assert f'"{tables[-1]}" in source.tables matches no table' in said, said
        assert f"Database {tenant.name} has public.tb_" in said and "public.tb_item" in said, said
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 78, "configuration")
    assert _made(tenant) == ([], False)


@pytest.mark.parametrize("way", ["flag", "environment"])
def test_a_list_in_the_files_notation_is_no_pattern(pair, tenants, way):
    tenant = tenants(pair, setup=False)
    arguments = ["setup"]
    if way == "flag":
        arguments += ["--set", 'source.tables=["public.tb_item"]']
    else:
        tenant.streamer.environment["SLOTSTREAM_SOURCE_TABLES"] = '["public.tb_item"]'
    said = tenant.streamer.command(*arguments, expect=78).stderr
    assert "write the list without brackets and quotes: public.tb_item" in said, said
    assert _made(tenant) == ([], False)
    tenant.streamer.environment["SLOTSTREAM_SOURCE_TABLES"] = "public.tb_item"
    tenant.streamer.setup()


def test_a_start_with_an_empty_publication_is_refused_and_setup_is_the_way_on(pair, tenants):
    tenant = tenants(pair)
    tenant.run(f"ALTER PUBLICATION {tenant.name} DROP TABLE tb_item")
    tenant.streamer.start(wait=False)
    assert f"publication {tenant.name} has no table" in stopped(tenant.streamer, 78, "configuration")
    assert "slotstream setup" in remedy(tenant.streamer)
    said = tenant.streamer.command("status", expect=None).stdout
    assert f"publication {tenant.name} has no table" in said, said
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)


def test_a_start_tells_what_source_tables_names_and_the_publication_lacks(pair, tenants):
    tenant = tenants(pair)
    tenant.run("CREATE TABLE tb_later (n INT PRIMARY KEY)")
    tenant.streamer = tenant.another({"source": {"tables": ["public.tb_*", "public.tb_ordr"]}})
    tenant.streamer.start()
    assert _find(tenant, "public.tb_later is not published", finding="W018", level="warning", remedy="slotstream setup")
    assert _find(tenant, '"public.tb_ordr" in source.tables matches no table', finding="E011", level="warning")
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    tenant.streamer = tenant.another()
    tenant.streamer.setup()
    tenant.streamer.start()
    assert not _find(tenant, "source.tables")


def test_no_table_on_purpose_streams_logical_messages(pair, tenants):
    tenant = tenants(pair, setup=False, overrides={"source": {"tables": []}})
    assert "adds no table to the publication" in tenant.streamer.command("setup").stdout
    tenant.streamer.start()
    tenant.run("""SELECT pg_logical_emit_message(true, 'fraiseql_events', '{"entity_type": "A", "operation": "B", "entity_id": "1"}')""")
    tenant.wait_stored(1)
    assert _find(tenant, "publishing", count="0")


def test_run_tells_the_published_tables_at_its_start_and_when_that_changes(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    (publishing,) = record_entries(tenant.streamer, "publishing")
    assert (publishing["publication"], str(publishing["count"]), publishing["tables"]) == (tenant.name, "1", "public.tb_item")
    tenant.run(f"CREATE TABLE tb_more (n INT PRIMARY KEY); ALTER PUBLICATION {tenant.name} ADD TABLE tb_more")
    wait_until(lambda: _find(tenant, "the published tables have changed", added="public.tb_more", count="2"), _SOON, "it is told")
    # Not one of them twice, also in a session of its own.
    tenant.terminate_holder()
    wait_until(lambda: len(record_entries(tenant.streamer, "streaming")) == 2, 60, "it streams again")
    assert len(record_entries(tenant.streamer, "publishing")) == len(record_entries(tenant.streamer, "the published tables have changed")) == 1
    tenant.run("DROP TABLE tb_item, tb_more")
    wait_until(lambda: _find(tenant, "has no table: no change is published", level="error", finding="E017"), _SOON, "it is told")
    status = tenant.streamer.status()
    assert not status["ready"] and status["live"] and "has no table" in status["reasons"][0]
    tenant.run(f"CREATE TABLE tb_item (n BIGINT PRIMARY KEY, note TEXT); ALTER PUBLICATION {tenant.name} ADD TABLE tb_item")
    wait_until(lambda: tenant.streamer.status()["ready"], _SOON, "it is ready again")
    tenant.commit(1)
    tenant.wait_stored(1)


# Partitioned tables

_PARTITIONED = ("CREATE TABLE tb_part (n INT PRIMARY KEY) PARTITION BY RANGE (n); "
                "CREATE TABLE tb_part_1 PARTITION OF tb_part FOR VALUES FROM (0) TO (10)")


@pytest.mark.parametrize("tables", [["public.tb_*"], ["*"]])
def test_setup_publishes_a_partitioned_table_under_its_own_name_and_says_so(pair, tenants, tables):
    tenant = tenants(pair, setup=False, overrides={"source": {"tables": tables}})
    tenant.run(_PARTITIONED)
    said = tenant.streamer.command("setup").stdout
    assert "note: public.tb_part is partitioned: the events have this name" in said, said
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_part VALUES (1)")
    tenant.wait_stored(1)
    assert tenant.events()[0].json["entity_type"] == "Part"
    assert not _find(tenant, "by partition")


def test_a_publication_by_partition_is_told_and_left_as_it_is(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.run(f"{_PARTITIONED}; CREATE PUBLICATION {tenant.name} FOR TABLE tb_part")
    said = tenant.streamer.command("setup").stdout
    assert f"publication {tenant.name} publishes public.tb_part by partition" in said, said
    tenant.streamer.start()
    (found,) = _find(tenant, "public.tb_part by partition", finding="W020")
    tenant.run("INSERT INTO tb_part VALUES (1)")
    tenant.wait_stored(1)
    # What it says to do, to the letter; no restart.
    tenant.run(found["remedy"].split(": ")[1])
    tenant.run("INSERT INTO tb_part VALUES (2)")
    tenant.wait_stored(2)
    assert [event.json["entity_type"] for event in tenant.events()] == ["Part1", "Part"]
    wait_until(lambda: _find(tenant, "the published tables have changed", added="public.tb_part", removed="public.tb_part_1"), _SOON, "it is told")
