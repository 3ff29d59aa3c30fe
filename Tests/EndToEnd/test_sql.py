"""What lies in sql/: the role, emit_event with the page's trigger, the demo schema. PostgreSQL only, no streamer.

What arrives in the slot is read with pgoutput, the plugin that the streamer uses.
"""

import json
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

import psycopg
import pytest
from psycopg import pq

from servers.postgres import Postgres
from servers.tools import CHECKOUT, wait_until

SQL = CHECKOUT / "sql"

# fn_create_order as FraiseQL's page prints it (the page has no indentation).
FN_CREATE_ORDER_OF_THE_PAGE = """
CREATE OR REPLACE FUNCTION fn_create_order(
p_items TEXT[],
p_shipping_address TEXT
)
RETURNS mutation_response LANGUAGE plpgsql AS $$
DECLARE
v_id UUID;
v_pk BIGINT;
v_slug TEXT := gen_random_uuid()::text;
BEGIN
INSERT INTO tb_order (identifier, items, shipping_address, status)
VALUES (v_slug, p_items, p_shipping_address, 'pending')
RETURNING pk_order, id INTO v_pk, v_id;
RETURN ROW(
'success', NULL, v_id, 'Order',
(SELECT data FROM v_order WHERE id = v_id),
NULL, NULL, NULL
)::mutation_response;
END;
$$;
"""


@pytest.fixture(scope="module", params=["15", "18"])
def server(request):
    """A cluster of each version at the two ends of what is supported; its database `shop` stays empty."""
    folder = Path(tempfile.mkdtemp(prefix="slotstream-sql-"))
    postgres = Postgres(request.param, folder)
    try:
        postgres.create()
        yield postgres
    finally:
        postgres.close()
        shutil.rmtree(folder)


class Database:
    """A database of its own, with an empty publication `probe` and a slot `probe`; statements go through `sql`."""

    def __init__(self, server: Postgres, name: str):
        self.server, self.name = server, name
        self.connection = self.connect()
        self.sql("CREATE PUBLICATION probe")
        self.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", name)

    def conninfo(self, user: str = "postgres", **more: str) -> str:
        """How to connect as `user`, who needs no password."""
        return psycopg.conninfo.make_conninfo(self.server.conninfo, dbname=self.name, user=user, **more)

    def connect(self, user: str = "postgres") -> psycopg.Connection:
        """A connection in autocommit; the caller closes it."""
        return psycopg.connect(self.conninfo(user), autocommit=True, client_encoding="utf8")

    def sql(self, statement: str, *parameters) -> list[tuple]:
        """The rows of one statement ([] when it gives none)."""
        cursor = self.connection.execute(statement, parameters or None)
        return cursor.fetchall() if cursor.description else []

    def file(self, name: str, *options: str, user: str = "postgres") -> None:
        """Runs a script of sql/ through psql, as its first lines say."""
        command = [self.server.bin / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", *options, "-f", SQL / name,
                   self.conninfo(user)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, f"{name}: {done.stderr}"

    def captured(self) -> list[bytes]:
        """The pgoutput messages since the last call, which are consumed."""
        rows = self.sql(
            "SELECT data FROM pg_logical_slot_get_binary_changes(%s, NULL, NULL, 'proto_version', '1', "
            "'publication_names', 'probe', 'messages', 'true')", self.name)
        return [row[0] for row in rows]

    def events(self) -> list[dict]:
        """The bodies of the logical messages with the prefix `fraiseql_events` since the last call."""
        return [json.loads(body) for prefix, body in map(logical_message, self.captured()) if prefix == b"fraiseql_events"]

    def close(self) -> None:
        """Drops the slot and the database."""
        # A walsender whose client has gone lets go of it a moment later.
        active = "SELECT active FROM pg_replication_slots WHERE slot_name = %s"
        wait_until(lambda: self.sql(active, self.name) == [(False,)], 30, f"nobody holds the slot {self.name}")
        self.sql("SELECT pg_drop_replication_slot(%s)", self.name)
        self.connection.close()
        with self.server.connect() as connection:
            connection.execute(f"DROP DATABASE {self.name} WITH (FORCE)")


def logical_message(data: bytes) -> tuple[bytes | None, bytes]:
    """Prefix and body of a logical message; no prefix for every other kind.

    Shape: `M`, flags: Int8 (1 = transactional), LSN: Int64, prefix: String, length: Int32, body.
    """
    if data[:1] != b"M":
        return None, b""
    assert data[1] == 1, "not transactional"
    prefix, rest = data[10:].split(b"\0", 1)
    body = rest[4:]
    assert len(body) == int.from_bytes(rest[:4], "big")
    return prefix, body


def make_database(server: Postgres, options: str = "") -> Database:
    name = f"sql_{uuid.uuid4().hex[:12]}"
    with server.connect() as connection:
        connection.execute(f"CREATE DATABASE {name} {options}")
    return Database(server, name)


@pytest.fixture
def database(server):
    database = make_database(server)
    yield database
    database.close()


@pytest.fixture
def emitting(database):
    """A database with emit_event."""
    database.file("emit_event.sql")
    return database


@pytest.fixture
def shop(database):
    """A database with the demo schema, tb_order in the publication."""
    database.file("demo.sql")
    database.sql("ALTER PUBLICATION probe ADD TABLE tb_order")
    return database


# --- role.sql ----------------------------------------------------------------------------------------------------


@pytest.fixture
def role(database):
    """The role of role.sql, under a name that needs quoting, in a database where PUBLIC may not connect."""
    name = f'events "{database.name}'
    database.sql(f"REVOKE CONNECT ON DATABASE {database.name} FROM PUBLIC")
    database.file("role.sql", "-v", f"role={name}")
    yield name
    quoted = name.replace('"', '""')
    database.sql(f'DROP OWNED BY "{quoted}"')
    database.sql(f'DROP ROLE "{quoted}"')


def test_the_role_creates_reads_and_drops_a_slot(database, role):
    slot = f"{database.name}_own"
    with database.connect(role) as connection:
        connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [slot])
        assert connection.execute(
            "SELECT plugin, confirmed_flush_lsn IS NOT NULL FROM pg_replication_slots WHERE slot_name = %s",
            [slot]).fetchone() == ("pgoutput", True)
        connection.execute(
            "SELECT data FROM pg_logical_slot_peek_binary_changes(%s, NULL, NULL, 'proto_version', '1', "
            "'publication_names', 'probe')", [slot])
        connection.execute("SELECT pg_drop_replication_slot(%s)", [slot])


def test_the_role_starts_replication_of_a_publication_that_another_owns(database, role):
    connection = pq.PGconn.connect(database.conninfo(role, replication="database").encode())
    try:
        assert connection.status == pq.ConnStatus.OK, connection.error_message
        for command in ("IDENTIFY_SYSTEM", "SET wal_sender_timeout = '3s'"):
            result = connection.exec_(command.encode())
            assert result.status in (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK), result.error_message
        result = connection.exec_(
            f"START_REPLICATION SLOT {database.name} LOGICAL 0/0 (proto_version '1', publication_names 'probe', "
            "messages 'true')".encode())
        assert result.status == pq.ExecStatus.COPY_BOTH, result.error_message
    finally:
        connection.finish()


def test_the_role_reads_and_changes_no_table_and_makes_no_publication_of_one(database, role):
    database.sql("CREATE TABLE tb_secret (id int PRIMARY KEY)")
    with database.connect(role) as connection:
        for statement in ("SELECT * FROM tb_secret", "INSERT INTO tb_secret VALUES (1)", "TRUNCATE tb_secret",
                          "CREATE TABLE tb_own (id int)", "CREATE PUBLICATION own FOR TABLE tb_secret",
                          "ALTER PUBLICATION probe ADD TABLE tb_secret"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_the_role_may_log_in_and_replicate_and_nothing_else(database, role):
    assert database.sql(
        "SELECT rolcanlogin, rolreplication, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolpassword "
        "FROM pg_authid WHERE rolname = %s", role) == [(True, True, False, False, False, False, None)]


def test_the_role_file_runs_again_and_gives_an_existing_role_what_it_lacks(database, role):
    quoted = role.replace('"', '""')
    database.sql(f'ALTER ROLE "{quoted}" NOLOGIN NOREPLICATION CREATEDB')
    database.file("role.sql", "-v", f"role={role}", "-v", f"database={database.name}")
    assert database.sql("SELECT rolcanlogin, rolreplication, rolcreatedb FROM pg_roles WHERE rolname = %s",
                        role) == [(True, True, True)]


def test_nobody_emits_messages_but_whom_the_role_file_lets(database, role):
    emitting, denied = (f"{kind}_{database.name}" for kind in ("app", "other"))
    database.sql(f"CREATE ROLE {emitting} LOGIN")
    database.sql(f"CREATE ROLE {denied} LOGIN")
    database.sql(f"GRANT CONNECT ON DATABASE {database.name} TO {emitting}, {denied}")
    try:
        database.file("role.sql", "-v", f"role={role}", "-v", f"emitters={emitting}")
        call = "SELECT pg_logical_emit_message(true, 'fraiseql_events', '{}')"
        with database.connect(emitting) as connection:
            connection.execute(call)
        with database.connect(denied) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(call)
    finally:
        for name in (emitting, denied):
            database.sql(f"DROP OWNED BY {name}")
            database.sql(f"DROP ROLE {name}")


# --- emit_event.sql ----------------------------------------------------------------------------------------------


def test_emit_event_sends_its_arguments_as_json(emitting):
    emitting.sql("SELECT slotstream.emit_event('Order', 'SHIPPED', 'a,b\"\n', '{\"n\": 1.50}', '{\"reason\": [\"é\"]}')")
    assert emitting.events() == [
        {"entity_type": "Order", "operation": "SHIPPED", "entity_id": 'a,b"\n', "entity": {"n": 1.5}, "reason": ["é"]}]


def test_emit_event_leaves_out_an_absent_entity_and_sends_an_absent_id_as_null(emitting):
    emitting.sql("SELECT slotstream.emit_event('Report', 'READY', NULL)")
    emitting.sql("SELECT slotstream.emit_event('Report', 'READY', '1', 'null')")
    assert emitting.events() == [
        {"entity_type": "Report", "operation": "READY", "entity_id": None},
        {"entity_type": "Report", "operation": "READY", "entity_id": "1", "entity": None}]


def test_emit_event_lets_its_arguments_win_over_extra(emitting):
    emitting.sql("SELECT slotstream.emit_event('A', 'B', '1', extra => "
                 "'{\"entity_type\": \"X\", \"operation\": \"X\", \"entity_id\": \"X\", \"entity\": \"X\", \"kept\": 1}')")
    assert emitting.events() == [{"entity_type": "A", "operation": "B", "entity_id": "1", "kept": 1}]


def test_emit_event_takes_its_place_in_commit_order_and_nothing_of_a_rollback(emitting):
    emitting.sql("CREATE TABLE tb_note (id int PRIMARY KEY)")
    emitting.sql("ALTER PUBLICATION probe ADD TABLE tb_note")
    emitting.captured()
    with emitting.connection.transaction():
        emitting.sql("INSERT INTO tb_note VALUES (1)")
        emitting.sql("SELECT slotstream.emit_event('A', 'B', '1')")
        emitting.sql("INSERT INTO tb_note VALUES (2)")
    with pytest.raises(ZeroDivisionError), emitting.connection.transaction():
        emitting.sql("SELECT slotstream.emit_event('A', 'B', 'rolled back')")
        raise ZeroDivisionError
    with emitting.connection.transaction():
        with pytest.raises(ZeroDivisionError), emitting.connection.transaction():
            emitting.sql("SELECT slotstream.emit_event('A', 'B', 'rolled back to a savepoint')")
            raise ZeroDivisionError
        emitting.sql("SELECT slotstream.emit_event('A', 'B', '2')")
    kinds = b"".join(message[:1] for message in emitting.captured())
    assert kinds == b"BRIMIC" + b"BMC"


def test_emit_event_returns_the_position_of_its_message(emitting):
    position = emitting.sql("SELECT slotstream.emit_event('A', 'B', '1') - '0/0'")[0][0]
    message = next(data for data in emitting.captured() if data[:1] == b"M")
    assert int.from_bytes(message[2:10], "big") == position


def test_emit_event_sends_more_than_pg_notify_can(emitting):
    text = "x" * 100_000
    emitting.sql("SELECT slotstream.emit_event('A', 'B', '1', to_jsonb(%s::text))", text)
    assert emitting.events()[0]["entity"] == text


@pytest.mark.parametrize("arguments, named", [
    ("'', 'B', '1'", "entity_type"),
    ("NULL, 'B', '1'", "entity_type"),
    ("'A', '', '1'", "operation"),
    ("'A', NULL, '1'", "operation"),
    ("'A', 'B', '1', extra => NULL", "extra must be a JSON object, not SQL NULL"),
    ("'A', 'B', '1', extra => '[1]'", "extra must be a JSON object, not a JSON array"),
    ("'A', 'B', '1', extra => 'null'", "extra must be a JSON object, not a JSON null"),
    ("'_SlotStream', 'GAP', '1'", "_slotstream"),
    ("'A', 'B', '1', (repeat('[', 201) || repeat(']', 201))::jsonb", "deeper than 200"),
    ("'A', 'B', '1', extra => '{\"Source\": 1}'", "in case only"),
    ("'A', 'B', '1', extra => '{\"\u017fource\": 1}'", "in case only"),
])
def test_emit_event_refuses_what_could_not_be_published_and_says_what_to_do(emitting, arguments, named):
    with pytest.raises(psycopg.errors.InvalidParameterValue) as refused:
        emitting.sql(f"SELECT slotstream.emit_event({arguments})")
    assert named in refused.value.diag.message_primary
    assert refused.value.diag.message_hint
    assert emitting.events() == []


def test_emit_event_is_not_led_astray_by_the_callers_search_path(emitting):
    emitting.sql("CREATE SCHEMA astray")
    emitting.sql("CREATE FUNCTION astray.jsonb_build_object(VARIADIC text[]) RETURNS jsonb LANGUAGE sql AS "
                 "$$ SELECT '{\"led\": \"astray\"}'::jsonb $$")
    emitting.sql("CREATE FUNCTION astray.pg_logical_emit_message(boolean, text, bytea) RETURNS pg_lsn LANGUAGE sql AS "
                 "$$ SELECT '0/0'::pg_lsn $$")
    emitting.sql("SET search_path = astray, pg_catalog")
    emitting.sql("SELECT slotstream.emit_event('A', 'B', '1')")
    assert emitting.events() == [{"entity_type": "A", "operation": "B", "entity_id": "1"}]


def test_emit_event_may_be_called_by_a_role_without_privileges(emitting):
    role = f"app_{emitting.name}"
    emitting.sql(f"CREATE ROLE {role} LOGIN")
    try:
        with emitting.connect(role) as connection:
            connection.execute("SELECT slotstream.emit_event('A', 'B', '1')")
        assert len(emitting.events()) == 1
    finally:
        emitting.sql(f"DROP ROLE {role}")


def test_emit_event_sends_utf8_from_a_database_in_another_encoding(server):
    database = make_database(server, "ENCODING latin1 LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    try:
        database.file("emit_event.sql")
        database.sql("SELECT slotstream.emit_event('Café', 'B', '1')")
        assert database.events()[0]["entity_type"] == "Café"
    finally:
        database.close()


def test_emit_event_runs_again(emitting):
    emitting.file("emit_event.sql")
    emitting.sql("SELECT slotstream.emit_event('A', 'B', '1')")
    assert len(emitting.events()) == 1


def test_the_pages_trigger_announces_each_row_of_an_unpublished_table_once(emitting):
    emitting.file("demo.sql")
    emitting.file("trigger_example.sql")
    emitting.file("trigger_example.sql")
    order = emitting.sql("SELECT entity_id::text FROM fn_create_order(ARRAY['sku-1'], '1 Main Street')")[0][0]
    assert emitting.events() == [{"entity_type": "Order", "operation": "INSERT", "entity_id": order}]


# --- demo.sql ----------------------------------------------------------------------------------------------------


def test_fn_create_order_is_the_pages(shop):
    words = (SQL / "demo.sql").read_text().split()
    page = FN_CREATE_ORDER_OF_THE_PAGE.split()
    assert any(words[start:start + len(page)] == page for start in range(len(words)))


def test_the_functions_create_update_and_delete_an_order(shop):
    columns = "status, entity_id, entity_type, entity, updated_fields"
    created = shop.sql(f"SELECT {columns} FROM fn_create_order(ARRAY['sku-1', 'sku-2'], '1 Main Street')")[0]
    order = created[1]
    assert created == ("success", order, "Order", shop.sql("SELECT data FROM v_order WHERE id = %s", order)[0][0], None)
    assert created[3]["items"] == ["sku-1", "sku-2"] and created[3]["status"] == "pending"
    assert "pk_order" not in created[3]

    paid = shop.sql(f"SELECT {columns} FROM fn_update_order(%s, 'paid', 12.5)", order)[0]
    assert paid[0] == "success" and paid[4] == ["status", "total_amount"]
    assert paid[3] == created[3] | {"status": "paid", "total_amount": 12.5}
    sent = shop.sql(f"SELECT {columns} FROM fn_update_order(%s, 'shipped')", order)[0]
    assert sent[4] == ["status"] and sent[3] == paid[3] | {"status": "shipped"}

    deleted = shop.sql(f"SELECT {columns} FROM fn_delete_order(%s)", order)[0]
    assert deleted == ("success", order, "Order", sent[3], None)
    assert shop.sql("SELECT count(*) FROM tb_order") == [(0,)]


def test_the_functions_say_when_there_is_no_such_order(shop):
    shop.captured()
    order = uuid.uuid4()
    for call in ("fn_update_order(%s, 'paid')", "fn_delete_order(%s)"):
        assert shop.sql(f"SELECT status, message, entity_id FROM {call}", order) == [
            ("not_found", f"no order {order}", order)]
    assert not [message for message in shop.captured() if message[:1] in (b"U", b"D")]


def test_a_deleted_order_is_logged_with_its_id(shop):
    order = shop.sql("SELECT entity_id FROM fn_create_order(ARRAY['sku-1'], '1 Main Street')")[0][0]
    shop.sql("SELECT fn_delete_order(%s)", order)
    message = next(data for data in shop.captured() if data[:1] == b"D")
    # `D`, relation: Int32, `K` = the key columns of the old row; the others are sent as null.
    assert message[5:6] == b"K"
    assert str(order).encode() in message


def test_nothing_emits_events_for_the_published_table(shop):
    assert shop.sql("SELECT tgname FROM pg_trigger WHERE tgrelid = 'tb_order'::regclass AND NOT tgisinternal") == []


def test_the_demo_runs_again_and_keeps_rows(shop):
    shop.sql("SELECT fn_create_order(ARRAY['sku-1'], '1 Main Street')")
    shop.file("demo.sql")
    assert shop.sql("SELECT count(*) FROM v_order") == [(1,)]


def test_the_demo_keeps_a_mutation_response_that_is_there(database):
    database.sql("CREATE TYPE mutation_response AS (status text, message text, entity_id uuid, entity_type text, "
                 "entity jsonb, updated_fields text[], cascade jsonb, extra_metadata jsonb)")
    database.file("demo.sql")
    assert database.sql("SELECT status FROM fn_create_order(ARRAY['sku-1'], '1 Main Street')") == [("success",)]
    assert database.sql("SELECT attname FROM pg_attribute WHERE attrelid = 'mutation_response'::regclass "
                        "AND attnum = 8") == [("extra_metadata",)]
