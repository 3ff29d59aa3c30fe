"""What the catalogue is asked, and what it may not do to the stream: transactions that nobody can see yet, locked tables, users' code, tables that go."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from servers.tools import processor_seconds, wait_until
from tenants import record_entries, stopped, tenant_maker, tenants  # noqa: F401

_EVERYTHING = {"source": {"tables": ["*"]}}
# What a COMMIT may take that waits for us: status interval and a slow machine's share.
_SOON = 5


@contextmanager
def _synchronous(tenant, names: str):
    """Commits wait for these standbys; afterwards for none, also those that wait."""
    with tenant.connect() as administrator:
        administrator.execute("SET synchronous_commit = off")

        def set_to(value: str) -> None:
            administrator.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{value}'")
            administrator.execute("SELECT pg_reload_conf()")
            wait_until(lambda: administrator.execute("SHOW synchronous_standby_names").fetchone()[0] == value, 20, f"'{value}' holds")

        set_to(names)
        try:
            yield
        finally:
            set_to("")


def _entities(tenant) -> list:
    return [event.json["entity"] for event in tenant.events()]


@pytest.mark.parametrize("names", ["*", "FIRST 1 (slotstream)", "absent"])
def test_a_description_waits_for_no_transaction_that_waits_for_a_standby(pair, tenants, names):
    """Of a table that is there, and of one that is made in it, with a type that is; whether we are the standby or it is down.

    (A composite type that is made or altered in it would hold up the walsender itself, which opens it under a lock.)"""
    tenant = tenants(pair, setup=False, overrides=_EVERYTHING)
    tenant.run("CREATE TYPE pair AS (a INT, b TEXT); CREATE TABLE tb_known (k INT PRIMARY KEY, c pair); ALTER TABLE tb_known REPLICA IDENTITY FULL")
    tenant.streamer.setup()
    tenant.streamer.start()
    statements = ["INSERT INTO tb_known VALUES (1, '(1,x)')",
                  "CREATE TYPE mood AS ENUM ('ok'); CREATE TABLE tb_made (k INT PRIMARY KEY, c pair, m mood); "
                  "ALTER TABLE tb_made REPLICA IDENTITY FULL; INSERT INTO tb_made VALUES (2, '(2,y)', 'ok')"]
    with ThreadPoolExecutor(2) as clients, _synchronous(tenant, names):
        commits = []
        for number, statement in enumerate(statements, 1):
            commits.append(clients.submit(tenant.run, statement))
            tenant.wait_stored(number, _SOON)
            if names != "absent":
                commits[-1].result(timeout=_SOON)
        if names == "absent":
            assert not any(commit.done() for commit in commits), "they wait for the standby"
    for commit in commits:
        commit.result(timeout=20)
    known, made = tenant.events()
    assert known.json["entity"] == {"k": 1, "c": {"a": 1, "b": "x"}} and known.json["entity_id"] == "1"
    # The text of a type that nobody can see yet, counted; no other key for the one that nobody can see.
    assert made.json["entity"] == {"k": 2, "c": {"a": 2, "b": "y"}, "m": "ok"} and "entity_id" not in made.json
    assert tenant.streamer.metric("slotstream_unknown_type_values_total") == 1
    # What is shown is described again, though PostgreSQL sends no description.
    tenant.run("INSERT INTO tb_made VALUES (3, '(3,z)', 'ok')")
    tenant.wait_stored(3)
    assert tenant.events()[2].json["entity_id"] == "3"
    assert tenant.streamer.metric("slotstream_unknown_type_values_total") == 1
    assert not record_entries(tenant.streamer, "interrupted, trying again"), tenant.streamer.last_words()


def test_an_attribute_that_is_renamed_unseen_is_told_by_its_new_name_when_it_is_seen(pair, tenants):
    tenant = tenants(pair, setup=False, overrides=_EVERYTHING)
    tenant.run("CREATE TYPE pair AS (a INT, b TEXT); CREATE TABLE tb_known (k INT PRIMARY KEY, c pair)")
    tenant.streamer.setup()
    tenant.streamer.start()
    with ThreadPoolExecutor(1) as clients, _synchronous(tenant, "absent"):
        commit = clients.submit(tenant.run, "ALTER TYPE pair RENAME ATTRIBUTE a TO z; INSERT INTO tb_known VALUES (1)")
        tenant.wait_stored(1, _SOON)
    commit.result(timeout=20)
    tenant.run("INSERT INTO tb_known VALUES (2, '(2,y)')")
    tenant.wait_stored(2)
    assert _entities(tenant) == [{"k": 1, "c": None}, {"k": 2, "c": {"z": 2, "b": "y"}}]


def test_locked_tables_hold_up_neither_a_start_nor_a_description(one_pair, tenants):
    # PostgreSQL 16 and later: pg_publication_tables opens every published table.
    tenant = tenants(one_pair, setup=False, overrides={
        "source": {"tables": ["*"]}, "events": {"subject": "{prefix}.{entity}.{column:n}"},
        "events.columns.exclude": {"public.tb_item": ["note"]}})
    tenant.run("CREATE TABLE tb_locked (n BIGINT PRIMARY KEY); CREATE TABLE tb_other (n BIGINT PRIMARY KEY, note TEXT)")
    tenant.streamer.setup()
    with tenant.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE tb_locked IN ACCESS EXCLUSIVE MODE")
        tenant.streamer.start()
        tenant.run("INSERT INTO tb_other VALUES (1, 'x')")
        tenant.commit(2, note="hidden")
        tenant.wait_stored(2)
        holder.execute("ROLLBACK")
    assert _entities(tenant) == [{"n": 1, "note": "x"}, {"n": 2}]


_SPY = ("CREATE TYPE {name} AS ENUM ('a', 'b'); ALTER TYPE {name} OWNER TO {owner}; "
        "CREATE FUNCTION {name}_json({name}) RETURNS json LANGUAGE plpgsql AS $$ BEGIN {body} END $$; "
        "ALTER FUNCTION {name}_json OWNER TO {owner}; CREATE CAST ({name} AS json) WITH FUNCTION {name}_json({name}); "
        "CREATE TABLE tb_{name} (n BIGINT PRIMARY KEY, v {name}); ")


@contextmanager
def _role(tenant, name: str, options: str = "LOGIN"):
    tenant.run(f"CREATE ROLE {name} {options}")
    try:
        yield name
    finally:
        tenant.run(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


def test_a_cast_that_is_an_ordinary_users_code_is_not_called(pair, tenants):
    tenant = tenants(pair, setup=False)
    with _role(tenant, "mallory"):
        tenant.run(_SPY.format(name="spy", owner="mallory", body="RETURN json_build_object('as', current_user);"))
        tenant.streamer.setup()
        tenant.streamer.start()
        tenant.run("INSERT INTO tb_spy VALUES (1, 'a')")
        tenant.run("INSERT INTO tb_spy VALUES (2, 'b')")
        tenant.wait_stored(2)
        assert [entity["v"] for entity in _entities(tenant)] == ["a", "b"]
        wait_until(lambda: tenant.streamer.metric("slotstream_uncast_values_total") == 2, 10, "both are counted")
        assert len(record_entries(tenant.streamer, "a cast to json is not used")) == 1, "told once a type"
        tenant.streamer.terminate()


def test_a_cast_that_is_named_is_called_by_a_role_of_no_consequence(pair, tenants):
    tenant = tenants(pair, setup=False)
    with _role(tenant, "mallory"), _role(tenant, "caster"), _role(tenant, "mighty", "LOGIN REPLICATION"):
        tenant.run(_SPY.format(name="named", owner="mallory", body="PERFORM pg_terminate_backend(pg_backend_pid()) WHERE $1 = 'b'; RETURN json_build_object('as', current_user);"))

        def streamer(role: str):
            file = tenant.servers.folder / f"{tenant.name}-{role}"
            file.write_text(tenant.conninfo.replace("user=postgres", f"user={role}"))
            return tenant.another({"source": {"cast_url_file": str(file)}, "events": {"casts": ["public.named"]}})

        tenant.streamer.setup()
        tenant.run("INSERT INTO tb_named VALUES (1, 'a')")
        refused = streamer("mighty")
        refused.start(wait=False)
        assert "REPLICATION" in stopped(refused, 77, "permission_postgres")
        allowed = streamer("caster")
        allowed.start()
        tenant.wait_stored(1)
        assert _entities(tenant)[0]["v"] == {"as": "caster"}
        # It may end its own session, and with that nothing else.
        tenant.run("INSERT INTO tb_named VALUES (2, 'b')")
        tenant.run("INSERT INTO tb_named VALUES (3, 'a')")
        tenant.wait_stored(3)
        assert [entity["v"] for entity in _entities(tenant)] == [{"as": "caster"}, "b", {"as": "caster"}]
        allowed.terminate()


@pytest.mark.parametrize("code", ["XX000", "55006", "57P01", "42501", "40001", "08006"])
def test_what_a_cast_fails_with_is_its_own_affair(pair, tenants, code):
    tenant = tenants(pair, setup=False)
    tenant.run(_SPY.format(name="failing", owner="postgres", body=f"RAISE EXCEPTION 's3cret %', $1 USING ERRCODE = '{code}';"))
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_failing VALUES (1, 'a')")
    tenant.wait_stored(1)
    tenant.wait_confirmed()
    assert _entities(tenant)[0] == {"n": 1, "v": "a"}
    wait_until(lambda: tenant.streamer.metric("slotstream_uncast_values_total") == 1, 10, "it is counted")
    said = tenant.streamer.log.read_text()
    assert code in said and "s3cret" not in said
    assert not record_entries(tenant.streamer, "interrupted, trying again"), tenant.streamer.last_words()


def test_a_cast_that_does_not_end_is_ended_by_the_server_and_writes_nothing(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.run("CREATE TABLE spied (n INT)")
    tenant.run(_SPY.format(name="slow", owner="postgres", body="PERFORM pg_sleep(600); RETURN '1';"))
    tenant.run(_SPY.format(name="writing", owner="postgres", body="INSERT INTO public.spied VALUES (1); RETURN '1';"))
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_slow VALUES (1, 'a')")
    tenant.run("INSERT INTO tb_slow VALUES (2, 'b')")
    tenant.run("INSERT INTO tb_writing VALUES (3, 'a')")
    tenant.wait_stored(3)
    assert [entity["v"] for entity in _entities(tenant)] == ["a", "b", "a"]
    assert tenant.value("SELECT count(*) FROM spied") == 0
    assert tenant.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = %s", (tenant.name,)) == 0
    assert not record_entries(tenant.streamer, "interrupted, trying again"), tenant.streamer.last_words()


def test_setup_runs_no_policy_of_a_tables_owner(pair, tenants):
    tenant = tenants(pair, setup=False)
    with _role(tenant, "owning"), _role(tenant, "counting", "LOGIN REPLICATION"):
        tenant.run("CREATE FUNCTION spying() RETURNS bool LANGUAGE plpgsql COST 1 AS $$ BEGIN RAISE LOG 'policy-ran-as-%', current_user; RETURN true; END $$; "
                   "ALTER FUNCTION spying OWNER TO owning; INSERT INTO tb_item VALUES (1); ALTER TABLE tb_item ENABLE ROW LEVEL SECURITY; "
                   "CREATE POLICY all_of_it ON tb_item USING (spying()); GRANT SELECT ON tb_item TO counting; "
                   f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_item")
        streamer = tenant.another(conninfo=tenant.conninfo.replace("user=postgres", "user=counting"))
        said = streamer.command("setup").stdout
        assert "not published" in said
        assert "policy-ran-as" not in tenant.postgres.log.read_text()
        tenant.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")


def test_tables_that_are_made_and_dropped_leave_no_memory_behind(one_pair, tenants, report):
    tenant = tenants(one_pair, setup=False, overrides=_EVERYTHING)
    tenant.streamer.setup()
    tenant.streamer.start()
    columns = ", ".join(f"a_column_with_a_long_name_{number} INT" for number in range(1000))

    def make(first: int, last: int) -> int:
        with tenant.connect() as connection:
            for number in range(first, last + 1):
                connection.execute(f"CREATE TABLE tb_wide_{number} (id BIGINT PRIMARY KEY, {columns})")
                connection.execute(f"INSERT INTO tb_wide_{number} VALUES ({number})")
                connection.execute(f"DROP TABLE tb_wide_{number}")
        tenant.wait_stored(last, 120)
        return tenant.streamer.peak_memory()

    before = make(1, 80)
    after = make(81, 240)
    report(f"{one_pair}: {(after - before) / 2**20:.1f} MiB more after 160 tables of 1,001 columns")
    assert after - before < 12 * 2**20
    assert [event.json["entity"]["id"] for event in tenant.read()] == list(range(1, 241))


# PostgreSQL allows 1,600 columns.
_ATTRIBUTES = 1_000
_MANY_TYPES = """
    DO $$ BEGIN
        FOR outer_number IN 1..{composites} LOOP
            FOR number IN 1..{attributes} LOOP
                IF number % 2 = 0 THEN
                    EXECUTE format('CREATE TYPE {name}_%s_%s AS ENUM (''a'')', outer_number, number);
                ELSE
                    EXECUTE format('CREATE DOMAIN {name}_%s_%s AS text', outer_number, number);
                END IF;
            END LOOP;
            EXECUTE format('CREATE TYPE {name}_%s AS (%s)', outer_number,
                (SELECT string_agg(format('a%s {name}_%s_%s', i, outer_number, i), ', ') FROM generate_series(1, {attributes}) AS i));
        END LOOP;
        EXECUTE (SELECT format('CREATE TABLE tb_{name} (n BIGINT PRIMARY KEY, %s)', string_agg(format('c%s {name}_%s', i, i), ', '))
                 FROM generate_series(1, {composites}) AS i);
    END $$"""


def test_many_types_cost_as_much_each_as_few(newest_pair, tenants, report):
    """Enums, domains and composite types: each is asked about once, many at a time, on our side and on the server's."""
    tenant = tenants(newest_pair, setup=False, overrides=_EVERYTHING)
    tenant.streamer.setup()
    tenant.streamer.start()
    costs = []
    for number, composites in enumerate((1, 10, 40)):
        name = f"many{composites}"
        tenant.run(_MANY_TYPES.format(name=name, composites=composites, attributes=_ATTRIBUTES))
        tenant.run("ANALYZE pg_type, pg_attribute")
        asked = ("SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' "
                 "AND usename = 'foreigner'")
        server = tenant.value(asked)
        before = tenant.streamer.cpu_seconds(), processor_seconds(server)
        tenant.run(f"INSERT INTO tb_{name} (n, c1) VALUES ({number}, row({', '.join(['NULL'] * (_ATTRIBUTES - 2))}, 'x', 'a'))")
        tenant.wait_stored(number + 1, 120)
        assert tenant.value(asked) == server, "it asked over one connection"
        costs.append((tenant.streamer.cpu_seconds() - before[0], processor_seconds(server) - before[1]))
    _, few, many = costs
    report(f"{newest_pair}: {10 * _ATTRIBUTES} types cost the streamer {few[0]:.2f} s and the server {few[1]:.2f} s, {40 * _ATTRIBUTES} {many[0]:.2f} s and {many[1]:.2f} s")
    # Four times as many: sixteen times as much would be quadratic. What a wait costs beside is small against a second.
    for side in (0, 1):
        assert many[side] < 7 * few[side] + 0.3, costs
    shown = tenant.events()[2].json["entity"]
    assert shown["n"] == 2 and shown["c2"] is None
    assert {name: value for name, value in shown["c1"].items() if value is not None} == {f"a{_ATTRIBUTES - 1}": "x", f"a{_ATTRIBUTES}": "a"}
