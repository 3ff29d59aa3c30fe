"""Every state of a row told apart: what was sent, what is null, what is not there; and what each shape of table makes of it."""

import psycopg
import pytest

from compare import members
from tenants import tenant_maker, tenants  # noqa: F401

# Large and not compressible enough to stay in the row.
BIG = "(SELECT string_agg(md5(i::text), '') FROM generate_series(1, 400) AS i)"


class Table:
    """A tenant whose tables are made by `setup` and that streams: `publication` is what follows CREATE PUBLICATION's name, if it
    is not setup's own."""

    def __init__(self, tenants, pair, setup: str, publication: str | None = None, overrides: dict | None = None):
        self.tenant = tenants(pair, setup=False, overrides={
            "source": {"tables": ["public.tb_x"] if publication else ["public.tb_*"]}} | (overrides or {}))
        self.tenant.run(f"DROP TABLE tb_item; {setup}")
        if publication:
            self.tenant.run(f"CREATE PUBLICATION {self.tenant.name} {publication}")
        self.tenant.streamer.setup()
        self.tenant.streamer.start()

    def events(self, count: int, *statements: str) -> list[dict]:
        """Runs each statement as a transaction of its own; the events, all of them, once there are `count` and nothing more comes."""
        for statement in statements:
            self.tenant.run(statement)
        self.tenant.wait_stored(count)
        self.tenant.wait_confirmed()
        stored = self.tenant.events()
        assert len(stored) == count, [event.json for event in stored]
        self.texts = [members(event.body) for event in stored]
        assert all(self.texts), "each is a JSON object"
        return [event.json for event in stored]

    def to_json(self, table: str = "tb_x") -> str:
        """What PostgreSQL says of the table's only row."""
        with self.tenant.connect() as connection:
            connection.execute("SET TimeZone TO 'UTC'")
            return connection.execute(f"SELECT to_json(t)::text FROM {table} AS t").fetchone()[0]


def _operations(events: list[dict]) -> list[str]:
    return [event["operation"] for event in events]


def test_untouched_toast_is_listed_and_never_null(pair, tenants):
    table = Table(tenants, pair, "CREATE TABLE tb_x (id INT PRIMARY KEY, a INT, big TEXT, bigs TEXT[])")
    first, second, third = table.events(
        3, f"INSERT INTO tb_x VALUES (1, 1, {BIG}, ARRAY[{BIG}])", "UPDATE tb_x SET a = 2", "UPDATE tb_x SET bigs = NULL")
    assert len(first["entity"]["big"]) == 12_800 and "unchanged" not in first
    assert second["entity"] == {"id": 1, "a": 2} and second["unchanged"] == ["big", "bigs"]
    assert third["entity"] == {"id": 1, "a": 2, "bigs": None} and third["unchanged"] == ["big"]


def test_untouched_toast_is_filled_from_the_old_row_with_full_identity(pair, tenants):
    table = Table(tenants, pair, "CREATE TABLE tb_x (id INT PRIMARY KEY, a INT, big TEXT); ALTER TABLE tb_x REPLICA IDENTITY FULL")
    first, second = table.events(2, f"INSERT INTO tb_x VALUES (1, 1, {BIG})", "UPDATE tb_x SET a = 2")
    assert table.texts[1]["entity"] == table.to_json() and table.texts[1]["before"] == table.texts[0]["entity"]
    assert second["changes"] == {"a": {"old": 1, "new": 2}} and "unchanged" not in second


def test_with_the_default_identity_a_changed_key_is_before_and_a_delete_is_its_key(pair, tenants):
    table = Table(tenants, pair, "CREATE TABLE tb_x (a TEXT, b INT, c TEXT, PRIMARY KEY (b, a))")
    first, second, third, fourth = table.events(
        4, "INSERT INTO tb_x VALUES ('x,%', 1, 'c')", "UPDATE tb_x SET c = NULL", "UPDATE tb_x SET b = 2", "DELETE FROM tb_x")
    assert first["entity_id"] == "x%2C%25,1" and "before" not in second and "changes" not in second
    assert third["before"] == {"a": "x,%", "b": 1} and third["changes"] == {"b": {"old": 1, "new": 2}}
    assert fourth["entity"] == {"a": "x,%", "b": 2} and "before" not in fourth and fourth["entity_id"] == "x%2C%25,2"


def test_with_an_index_as_identity_a_delete_carries_the_indexs_columns(pair, tenants):
    table = Table(tenants, pair, "CREATE TABLE tb_x (pk INT PRIMARY KEY, id UUID NOT NULL UNIQUE, a INT); "
                                 "ALTER TABLE tb_x REPLICA IDENTITY USING INDEX tb_x_id_key")
    identity = "2f1c0d6e-8f0b-4d0e-9a5e-0f6c1f0a7b11"
    events = table.events(3, f"INSERT INTO tb_x VALUES (1, '{identity}', 1)", "UPDATE tb_x SET pk = 2", "DELETE FROM tb_x")
    assert [event["entity_id"] for event in events] == [identity] * 3
    assert "before" not in events[1] and events[2]["entity"] == {"id": identity}


def test_with_full_identity_before_is_the_whole_row_and_changes_says_what_differs(pair, tenants):
    table = Table(tenants, pair, "CREATE TABLE tb_x (id INT PRIMARY KEY, a TEXT, b TEXT); ALTER TABLE tb_x REPLICA IDENTITY FULL")
    first, second, third, fourth = table.events(
        4, "INSERT INTO tb_x VALUES (1, 'a', NULL)", "UPDATE tb_x SET a = NULL, b = ''", "UPDATE tb_x SET b = b", "DELETE FROM tb_x")
    assert second["before"] == first["entity"]
    assert second["changes"] == {"a": {"old": "a", "new": None}, "b": {"old": None, "new": ""}}
    assert third["changes"] == {} and fourth["entity"] == third["entity"] and "before" not in fourth


def test_with_identity_nothing_inserts_are_published_and_postgresql_refuses_the_rest(pair, tenants):
    table = Table(tenants, pair, "CREATE TABLE tb_x (id INT PRIMARY KEY, a INT); ALTER TABLE tb_x REPLICA IDENTITY NOTHING",
                  "FOR TABLE tb_x")
    table.tenant.run("INSERT INTO tb_x VALUES (1, 1)")
    for statement in ("UPDATE tb_x SET a = 2", "DELETE FROM tb_x"):
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            table.tenant.run(statement)
    event, truncate = table.events(2, "TRUNCATE tb_x")
    assert event["entity"] == {"id": 1, "a": 1} and event["entity_id"] == "1" and truncate["operation"] == "TRUNCATE"


def test_a_table_without_a_key_has_inserts_without_entity_id_and_postgresql_refuses_the_rest(pair, tenants):
    table = Table(tenants, pair, "CREATE TABLE tb_x (a INT, b TEXT)", "FOR TABLE tb_x")
    for statement in ("UPDATE tb_x SET a = 2", "DELETE FROM tb_x"):
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            table.tenant.run(statement)
    (event,) = table.events(1, "INSERT INTO tb_x VALUES (1, NULL)")
    assert event["entity"] == {"a": 1, "b": None} and "entity_id" not in event


def test_a_part_of_a_key_is_no_entity_id(pair, tenants):
    # INSERTs alone may be published without a part of the key, and an index may include columns that are none of its key.
    table = Table(tenants, pair, "CREATE TABLE tb_x (a INT, b INT, c INT, PRIMARY KEY (a, b)); "
                                 "CREATE TABLE tb_y (a INT, b INT, c INT, PRIMARY KEY (b) INCLUDE (c)); ALTER TABLE tb_y REPLICA IDENTITY FULL",
                  "FOR TABLE tb_x (a, c), tb_y WITH (publish = 'insert')", {"source": {"tables": ["public.tb_*"]}})
    part, included = table.events(2, "INSERT INTO tb_x VALUES (1, 2, 3)", "INSERT INTO tb_y VALUES (1, 2, 3)")
    assert part["entity"] == {"a": 1, "c": 3} and "entity_id" not in part
    assert included["entity_id"] == "2"


def test_generated_columns_are_not_published_unless_asked_for(pair, tenants):
    table = Table(tenants, pair, "CREATE TABLE tb_x (id INT PRIMARY KEY, a INT, twice INT GENERATED ALWAYS AS (a * 2) STORED)")
    first, second = table.events(2, "INSERT INTO tb_x VALUES (1, 1)", "UPDATE tb_x SET a = 2")
    assert first["entity"] == {"id": 1, "a": 1} and second["entity"] == {"id": 1, "a": 2} and "unchanged" not in second


def test_generated_columns_with_full_identity_are_in_neither_row(pair, tenants):
    # Pitfall 27.
    table = Table(tenants, pair, "CREATE TABLE tb_x (id INT PRIMARY KEY, a INT, twice INT GENERATED ALWAYS AS (a * 2) STORED, b TEXT); "
                                 "ALTER TABLE tb_x REPLICA IDENTITY FULL", "FOR TABLE tb_x")
    if int(pair.postgres) >= 18:
        # Since 18 PostgreSQL refuses what it cannot log whole.
        with pytest.raises(psycopg.errors.InvalidColumnReference):
            table.tenant.run("INSERT INTO tb_x VALUES (1, 1, DEFAULT, 'b'); UPDATE tb_x SET a = 2")
        (event,) = table.events(1, "INSERT INTO tb_x VALUES (1, 1, DEFAULT, 'b')")
        assert event["entity"] == {"id": 1, "a": 1, "b": "b"}
        return
    first, second, third = table.events(3, "INSERT INTO tb_x VALUES (1, 1, DEFAULT, 'b')", "UPDATE tb_x SET a = 2", "DELETE FROM tb_x")
    assert second["before"] == first["entity"] == {"id": 1, "a": 1, "b": "b"}
    assert second["changes"] == {"a": {"old": 1, "new": 2}} and third["entity"] == {"id": 1, "a": 2, "b": "b"}


def test_stored_generated_columns_are_published_when_the_publication_says_so(pair, tenants):
    setup = "CREATE TABLE tb_x (id INT PRIMARY KEY, a INT, twice INT GENERATED ALWAYS AS (a * 2) STORED); ALTER TABLE tb_x REPLICA IDENTITY FULL"
    if int(pair.postgres) < 18:
        # The option came with 18; before it the server refuses it.
        with pytest.raises(psycopg.errors.SyntaxError):
            Table(tenants, pair, setup, "FOR TABLE tb_x WITH (publish_generated_columns = stored)")
        return
    table = Table(tenants, pair, setup, "FOR TABLE tb_x WITH (publish_generated_columns = stored)")
    first, second = table.events(2, "INSERT INTO tb_x VALUES (1, 1)", "UPDATE tb_x SET a = 2")
    assert table.texts[1]["entity"] == table.to_json()
    assert second["changes"] == {"a": {"old": 1, "new": 2}, "twice": {"old": 2, "new": 4}} and first["entity"]["twice"] == 2


def test_virtual_generated_columns_are_never_published(pair, tenants):
    setup = "CREATE TABLE tb_x (id INT PRIMARY KEY, a INT, twice INT GENERATED ALWAYS AS (a * 2) VIRTUAL, b TEXT)"
    if int(pair.postgres) < 18:
        # They came with 18.
        with pytest.raises(psycopg.errors.SyntaxError):
            Table(tenants, pair, setup)
        return
    table = Table(tenants, pair, setup, "FOR TABLE tb_x WITH (publish_generated_columns = stored)")
    first, second = table.events(2, "INSERT INTO tb_x (id, a, b) VALUES (1, 1, 'b')", "UPDATE tb_x SET a = 2")
    # PostgreSQL computes them when they are read, also for to_json(row); they are in no WAL, whatever the publication says.
    assert table.to_json() == '{"id":1,"a":2,"twice":4,"b":"b"}'
    assert [text["entity"] for text in table.texts] == ['{"id":1,"a":1,"b":"b"}', '{"id":1,"a":2,"b":"b"}']
    assert "unchanged" not in first and "unchanged" not in second
    with pytest.raises(psycopg.errors.InvalidColumnReference):
        table.tenant.run(f"ALTER PUBLICATION {table.tenant.name} SET TABLE tb_x (id, twice)")
    # With the whole row as identity PostgreSQL refuses changes that it cannot log whole.
    table.tenant.run("ALTER TABLE tb_x REPLICA IDENTITY FULL")
    with pytest.raises(psycopg.errors.InvalidColumnReference):
        table.tenant.run("UPDATE tb_x SET a = 3")


def test_a_column_list_of_the_publication_holds(pair, tenants):
    table = Table(tenants, pair, "CREATE TABLE tb_x (id INT PRIMARY KEY, secret TEXT, a INT)", "FOR TABLE tb_x (id, a)")
    events = table.events(2, "INSERT INTO tb_x VALUES (1, 's', 2)", "UPDATE tb_x SET secret = 't'")
    assert [event["entity"] for event in events] == [{"id": 1, "a": 2}] * 2 and "unchanged" not in events[1]


def test_a_row_filter_of_the_publication_holds(pair, tenants):
    table = Table(tenants, pair, "CREATE TABLE tb_x (id INT PRIMARY KEY, a INT); ALTER TABLE tb_x REPLICA IDENTITY FULL",
                  "FOR TABLE tb_x WHERE (a > 10)")
    events = table.events(4, "INSERT INTO tb_x VALUES (1, 1), (2, 20)", "UPDATE tb_x SET a = 30 WHERE id = 1",
                          "UPDATE tb_x SET a = 2 WHERE id = 2", "UPDATE tb_x SET a = 31 WHERE id = 1")
    # A row that comes into the filter is an INSERT, one that leaves it a DELETE: PostgreSQL's own rule.
    assert _operations(events) == ["INSERT", "INSERT", "DELETE", "UPDATE"]
    assert [event["entity"]["id"] for event in events] == [2, 1, 2, 1]


PARTITIONS = """
    CREATE TABLE tb_x (id INT, a TEXT, PRIMARY KEY (id)) PARTITION BY RANGE (id);
    CREATE TABLE tb_x1 (a TEXT, gone INT, id INT NOT NULL); ALTER TABLE tb_x1 DROP gone;
    ALTER TABLE tb_x ATTACH PARTITION tb_x1 FOR VALUES FROM (0) TO (10);
    CREATE TABLE tb_x2 PARTITION OF tb_x FOR VALUES FROM (10) TO (20);
"""


def test_partitions_are_published_as_their_root_when_the_publication_says_so(pair, tenants):
    table = Table(tenants, pair, PARTITIONS, "FOR TABLE tb_x WITH (publish_via_partition_root = true)")
    events = table.events(5, "INSERT INTO tb_x VALUES (1, 'x'), (11, 'y')", "UPDATE tb_x SET a = 'z' WHERE id = 11", "DELETE FROM tb_x")
    assert {event["source"]["table"] for event in events} == {"tb_x"} and {event["entity_type"] for event in events} == {"X"}
    # Pitfall 28: the partition has its columns in another order; the root's counts.
    assert [text["entity"] for text in table.texts[:3]] == ['{"id":1,"a":"x"}', '{"id":11,"a":"y"}', '{"id":11,"a":"z"}']


def test_what_a_partition_did_not_log_is_absent_under_its_root_and_never_null(pair, tenants):
    # ALTER TABLE … REPLICA IDENTITY does not reach the partitions: the root's identity marks the old row, the partition's fills it.
    table = Table(tenants, pair, "CREATE TABLE tb_x (id INT PRIMARY KEY, a TEXT, big TEXT) PARTITION BY RANGE (id); "
                                 "CREATE TABLE tb_x1 PARTITION OF tb_x FOR VALUES FROM (0) TO (10); ALTER TABLE tb_x REPLICA IDENTITY FULL",
                  "FOR TABLE tb_x WITH (publish_via_partition_root = true)")
    _, update, delete = table.events(
        3, f"INSERT INTO tb_x VALUES (1, 'x', {BIG})", "UPDATE tb_x SET id = 2", "DELETE FROM tb_x")
    # The catalogue says how it is now: the rows from before have been read.
    *_, whole = table.events(
        5, "ALTER TABLE tb_x1 REPLICA IDENTITY FULL", "INSERT INTO tb_x VALUES (3, NULL, 'b')", "DELETE FROM tb_x")
    assert update["entity"] == {"id": 2, "a": "x"} and update["unchanged"] == ["big"]
    assert update["before"] == {"id": 1} and update["changes"] == {"id": {"old": 1, "new": 2}}
    assert delete["entity"] == {"id": 2} and delete["entity_id"] == "2"
    # The partition logs whole rows now: a null is one.
    assert whole["entity"] == {"id": 3, "a": None, "big": "b"}


def test_a_column_of_the_roots_identity_that_a_partition_did_not_log_is_absent(pair, tenants):
    table = Table(tenants, pair, "CREATE TABLE tb_x (pk INT PRIMARY KEY, id INT NOT NULL) PARTITION BY RANGE (pk); "
                                 "CREATE UNIQUE INDEX by_id ON tb_x (pk, id); CREATE TABLE tb_x1 PARTITION OF tb_x FOR VALUES FROM (0) TO (10); "
                                 "ALTER TABLE tb_x REPLICA IDENTITY USING INDEX by_id",
                  "FOR TABLE tb_x WITH (publish_via_partition_root = true)")
    insert, delete = table.events(2, "INSERT INTO tb_x VALUES (1, 7)", "DELETE FROM tb_x")
    assert insert["entity_id"] == "7" and delete["entity"] == {"pk": 1} and "entity_id" not in delete


def test_partitions_are_published_by_their_own_names_otherwise(pair, tenants):
    table = Table(tenants, pair, PARTITIONS, "FOR TABLE tb_x")
    events = table.events(4, "INSERT INTO tb_x VALUES (1, 'x'), (11, 'y')", "UPDATE tb_x SET id = 12 WHERE id = 1")
    assert [event["source"]["table"] for event in events] == ["tb_x1", "tb_x2", "tb_x1", "tb_x2"]
    # Across partitions an UPDATE is a DELETE and an INSERT.
    assert _operations(events) == ["INSERT", "INSERT", "DELETE", "INSERT"]
    assert table.texts[0]["entity"] == '{"a":"x","id":1}'


def test_partitions_are_attached_and_detached_in_mid_stream(pair, tenants):
    table = Table(tenants, pair, PARTITIONS, "FOR TABLE tb_x WITH (publish_via_partition_root = true)")
    events = table.events(
        3, "INSERT INTO tb_x VALUES (1, 'x')", "CREATE TABLE tb_x3 (note INT, a TEXT, id INT NOT NULL); ALTER TABLE tb_x3 DROP note",
        "INSERT INTO tb_x3 VALUES ('before it belongs', 25)", "ALTER TABLE tb_x ATTACH PARTITION tb_x3 FOR VALUES FROM (20) TO (30)",
        "INSERT INTO tb_x VALUES (21, 'attached')", "ALTER TABLE tb_x DETACH PARTITION tb_x1", "INSERT INTO tb_x1 VALUES ('detached', 5)",
        "INSERT INTO tb_x VALUES (12, 'last')")
    assert [(event["entity"]["id"], event["source"]["table"]) for event in events] == [(1, "tb_x"), (21, "tb_x"), (12, "tb_x")]


def test_partitions_are_attached_and_detached_in_mid_stream_under_their_own_names(pair, tenants):
    table = Table(tenants, pair, PARTITIONS, "FOR TABLE tb_x")
    events = table.events(
        5, "INSERT INTO tb_x VALUES (1, 'x')", "CREATE TABLE tb_x3 (note INT, a TEXT, id INT NOT NULL); ALTER TABLE tb_x3 DROP note",
        "INSERT INTO tb_x3 VALUES ('before it belongs', 25)", "ALTER TABLE tb_x ATTACH PARTITION tb_x3 FOR VALUES FROM (20) TO (30)",
        "INSERT INTO tb_x VALUES (21, 'attached')", "UPDATE tb_x SET a = 'changed' WHERE id = 25", "DELETE FROM tb_x WHERE id = 25",
        "ALTER TABLE tb_x DETACH PARTITION tb_x1", "INSERT INTO tb_x1 VALUES ('detached', 5)", "INSERT INTO tb_x VALUES (12, 'last')")
    assert [(event["operation"], event["entity"]["id"], event["source"]["table"]) for event in events] == [
        ("INSERT", 1, "tb_x1"), ("INSERT", 21, "tb_x3"), ("UPDATE", 25, "tb_x3"), ("DELETE", 25, "tb_x3"), ("INSERT", 12, "tb_x2")]
    # Each partition's own order of columns.
    assert [text["entity"] for text in table.texts] == [
        '{"a":"x","id":1}', '{"a":"attached","id":21}', '{"a":"changed","id":25}', '{"id":25}', '{"id":12,"a":"last"}']


def test_a_truncate_of_a_partition_is_its_own_and_under_the_root_none(pair, tenants):
    own = Table(tenants, pair, PARTITIONS, "FOR TABLE tb_x")
    events = own.events(2, "INSERT INTO tb_x VALUES (1, 'x')", "TRUNCATE tb_x1")
    assert (events[1]["operation"], events[1]["source"]["table"]) == ("TRUNCATE", "tb_x1")
    root = Table(tenants, pair, PARTITIONS, "FOR TABLE tb_x WITH (publish_via_partition_root = true)")
    events = root.events(3, "INSERT INTO tb_x VALUES (1, 'x')", "TRUNCATE tb_x1", "TRUNCATE tb_x", "INSERT INTO tb_x VALUES (2, 'y')")
    assert [(event["operation"], event["source"]["table"]) for event in events[1:]] == [("TRUNCATE", "tb_x"), ("INSERT", "tb_x")]


def test_a_truncate_of_several_tables_with_cascade_and_restart_is_one_event_a_table(pair, tenants):
    table = Table(tenants, pair, "CREATE TABLE tb_x (id INT PRIMARY KEY); CREATE TABLE tb_y (id SERIAL PRIMARY KEY, x INT REFERENCES tb_x); "
                                 "CREATE TABLE tb_z (id INT PRIMARY KEY)")
    events = table.events(4, "TRUNCATE tb_x, tb_z RESTART IDENTITY CASCADE", "TRUNCATE tb_z")
    assert sorted(event["source"]["table"] for event in events[:3]) == ["tb_x", "tb_y", "tb_z"]
    assert [event["truncate"] for event in events] == [{"cascade": True, "restart_identity": True}] * 3 + [{"cascade": False, "restart_identity": False}]
    assert all("entity" not in event and "entity_id" not in event for event in events)


def test_inherited_tables_are_published_by_their_own_names(pair, tenants):
    table = Table(tenants, pair, "CREATE TABLE tb_x (id INT PRIMARY KEY, a INT); CREATE TABLE tb_child (b INT, PRIMARY KEY (id)) INHERITS (tb_x)")
    events = table.events(4, "INSERT INTO tb_x VALUES (1, 1)", "INSERT INTO tb_child VALUES (2, 2, 3)", "UPDATE tb_x SET a = a + 1")
    assert [event["source"]["table"] for event in events] == ["tb_x", "tb_child", "tb_x", "tb_child"]
    assert events[3]["entity"] == {"id": 2, "a": 3, "b": 3}


def test_unlogged_and_temporary_tables_publish_nothing(pair, tenants):
    table = Table(tenants, pair, "CREATE TABLE tb_x (id INT PRIMARY KEY); CREATE UNLOGGED TABLE tb_unlogged (id INT PRIMARY KEY)")
    events = table.events(1, "INSERT INTO tb_unlogged VALUES (1)",
                          "CREATE TEMPORARY TABLE tb_temporary (id INT PRIMARY KEY); INSERT INTO tb_temporary VALUES (2)", "INSERT INTO tb_x VALUES (3)")
    assert events[0]["entity"] == {"id": 3}


def test_two_schemas_with_one_table_name_are_told_apart(pair, tenants):
    table = Table(tenants, pair, "CREATE SCHEMA other; CREATE TABLE tb_x (id INT PRIMARY KEY, a INT); CREATE TABLE other.tb_x (b TEXT, id INT PRIMARY KEY)",
                  "FOR TABLE tb_x, other.tb_x")
    events = table.events(3, "INSERT INTO tb_x VALUES (1, 1)", "INSERT INTO other.tb_x VALUES ('b', 2)", "INSERT INTO tb_x VALUES (3, 3)")
    assert [event["source"]["schema"] for event in events] == ["public", "other", "public"]
    assert [event["entity"] for event in events] == [{"id": 1, "a": 1}, {"b": "b", "id": 2}, {"id": 3, "a": 3}]


def test_rows_of_copy_share_an_lsn_and_keep_their_ordinals(pair, tenants):
    # Pitfall 9.
    table = Table(tenants, pair, "CREATE TABLE tb_x (id INT PRIMARY KEY)")
    with table.tenant.connect() as connection, connection.cursor().copy("COPY tb_x FROM STDIN") as copy:
        copy.write("".join(f"{number}\n" for number in range(1, 501)))
    events = table.events(500)
    assert [event["transaction"]["ordinal"] for event in events] == list(range(1, 501)) == [event["entity"]["id"] for event in events]
    assert [event["transaction"]["last"] for event in events] == [False] * 499 + [True]


def test_a_delete_on_a_table_of_fraiseqls_without_id_in_its_identity_has_no_entity_id(pair, tenants):
    # Pitfall 47: absent, never the wrong column's.
    table = Table(tenants, pair, "CREATE TABLE tb_x (pk_x INT PRIMARY KEY, id UUID NOT NULL UNIQUE DEFAULT gen_random_uuid())")
    first, second = table.events(2, "INSERT INTO tb_x VALUES (1)", "DELETE FROM tb_x")
    assert first["entity_id"] == first["entity"]["id"] and "entity_id" not in second and second["entity"] == {"pk_x": 1}
