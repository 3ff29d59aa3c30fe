"""What `setup` makes of an existing publication where every table is asked for, and of rows that cannot be counted."""

import re

import pytest

from tenants import record_entries, tenant_maker, tenants  # noqa: F401

_EVERYTHING = {"source": {"tables": ["*"]}}


def _named(tenant) -> set[str]:
    """The tables that the publication names."""
    with tenant.connect() as connection:
        return {row[0] for row in connection.execute(
            "SELECT n.nspname || '.' || c.relname FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid "
            "JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = %s",
            (tenant.name,))}


def test_an_existing_publication_gets_every_missing_table_where_all_are_asked_for(pair, tenants):
    tenant = tenants(pair, setup=False, overrides=_EVERYTHING)
    tenant.run('CREATE TABLE other (n BIGINT PRIMARY KEY); CREATE SCHEMA aside; '
               'CREATE TABLE aside."An odd ""name""" (n BIGINT PRIMARY KEY); '
               'CREATE TABLE parted (n BIGINT PRIMARY KEY) PARTITION BY RANGE (n); '
               'CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10); '
               'CREATE UNLOGGED TABLE unlogged (n BIGINT PRIMARY KEY); CREATE VIEW seen AS SELECT * FROM other')
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_item WITH (publish = 'insert, update')")
    tables = {"public.tb_item", "public.other", 'aside.An odd "name"', "public.parted"}
    said = tenant.streamer.command("setup").stdout
    assert f'ALTER PUBLICATION "{tenant.name}" ADD TABLE' in said, said
    assert _named(tenant) == tables
    assert not tenant.value("SELECT puballtables OR pubdelete FROM pg_publication WHERE pubname = %s", (tenant.name,))
    assert "created: ALTER PUBLICATION" not in tenant.streamer.command("setup").stdout, "it has them all"
    tenant.run("CREATE TABLE later (n BIGINT PRIMARY KEY)")
    tenant.streamer.setup()
    assert _named(tenant) == tables | {"public.later"}


def test_tables_of_a_schema_that_is_published_whole_are_not_named_beside_it(pair, tenants):
    tenant = tenants(pair, setup=False, overrides=_EVERYTHING)
    tenant.run("CREATE SCHEMA aside; CREATE TABLE aside.other (n BIGINT PRIMARY KEY)")
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR TABLES IN SCHEMA aside")
    tenant.streamer.setup()
    assert _named(tenant) == {"public.tb_item"}


@pytest.mark.parametrize("overrides", [_EVERYTHING, {}], ids=["every table", "the default"])
def test_a_publication_for_all_tables_is_left_as_it_is(pair, tenants, overrides):
    tenant = tenants(pair, setup=False, overrides=overrides)
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR ALL TABLES")
    assert "created: ALTER PUBLICATION" not in tenant.streamer.command("setup").stdout
    assert tenant.value("SELECT puballtables FROM pg_publication WHERE pubname = %s", (tenant.name,))
    assert _named(tenant) == set()


# Where the publication names a table without its columns, PostgreSQL 16 and later open it to list it: the list waits already.
@pytest.mark.parametrize("columns", ["", " (n, note)"], ids=["to be listed", "to be counted"])
def test_rows_that_wait_for_a_lock_to_be_counted_are_left_and_the_connection_goes_on(pair, tenants, columns):
    """The lock comes after the slot, which waits for whoever holds one: so the slot is there, as an interrupted setup leaves it."""
    tenant = tenants(pair, setup=False)
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_item{columns}")
    tenant.streamer.setup()
    record = tenant.administrator.record(tenant.name)
    tenant.administrator.put_record(tenant.name, record | {"genesis": record["genesis"] | {"kind": "claimed"}})
    with tenant.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("LOCK TABLE tb_item IN ACCESS EXCLUSIVE MODE")
        tenant.streamer.start()
        connection.execute("ROLLBACK")
    notes = [entry["note"] for entry in record_entries(tenant.streamer, "setup")]
    assert any("not published" in note and re.search("not (be )?counted", note) for note in notes), notes
    # A command that is still under way would end the session.
    assert not record_entries(tenant.streamer, "interrupted, trying again"), tenant.streamer.last_words()
    tenant.commit(1)
    tenant.wait_stored(1)
    tenant.wait_confirmed()
    tenant.require_exact(1)
