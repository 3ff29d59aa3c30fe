"""What the page on events (deploy/docs/events.md, "At the edges") says: it is so, on the servers that it names, and the way round that it gives works."""

import json

import psycopg
import pytest

from servers.tools import wait_until
from tenants import tenant_maker, tenants  # noqa: F401


def _with_table(tenants, pair, table: str, **options):
    tenant = tenants(pair, setup=False, **options)
    tenant.run(f"DROP TABLE tb_item; {table}")
    tenant.streamer.setup()
    tenant.streamer.start()
    return tenant


def _last(tenant, count: int) -> dict:
    """The last of so many events."""
    tenant.wait_stored(count)
    tenant.wait_confirmed()
    events = tenant.events()
    assert len(events) == count
    return events[-1].json


def test_generated_columns_are_sent_from_18_on_where_the_publication_says_so(postgres_pair, tenants):
    pair = postgres_pair
    virtual = ", v INT GENERATED ALWAYS AS (a * 3) VIRTUAL" if int(pair.postgres) >= 18 else ""
    tenant = _with_table(tenants, pair, f"CREATE TABLE tb_x (id INT PRIMARY KEY, a INT, g INT GENERATED ALWAYS AS (a * 2) STORED{virtual})")
    tenant.run("INSERT INTO tb_x VALUES (1, 5)")
    assert _last(tenant, 1)["entity"] == {"id": 1, "a": 5}
    publish = f"ALTER PUBLICATION {tenant.name} SET (publish_generated_columns = stored)"
    if int(pair.postgres) < 18:
        with pytest.raises(psycopg.errors.SyntaxError):
            tenant.run(publish)
        return
    tenant.run(publish)
    tenant.run("INSERT INTO tb_x VALUES (2, 6)")
    assert _last(tenant, 2)["entity"] == {"id": 2, "a": 6, "g": 12}, "a virtual one never is"


_HARD = {
    "a number beyond every double": '{"n": 1e400}',
    "an integer of thousands of digits": '{"n": %s}' % ("9" * 5000),
    "half a surrogate pair": r'{"n": "\ud800"}',
}


def _read_strictly(body: str) -> dict:
    """As a consumer reads who takes numbers for what his machine has, and texts for UTF-8."""
    def finite(text: str) -> float:
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise ValueError(f"{text} is out of range")
        return value

    read = json.loads(body, parse_float=finite)
    json.dumps(read, ensure_ascii=False).encode()
    return read


@pytest.mark.parametrize("kind", _HARD)
def test_valid_json_that_strict_consumers_refuse_costs_them_the_whole_event(kind, pair, tenants):
    value = _HARD[kind]
    table = "CREATE TABLE tb_x (id INT PRIMARY KEY, j JSON)"
    tenant = _with_table(tenants, pair, table)
    with tenant.connect() as connection:
        connection.execute("INSERT INTO tb_x VALUES (1, %s::text::json)", (value,))
    tenant.wait_stored(1)
    tenant.wait_confirmed()
    text = tenant.events()[0].body.decode()
    assert f'"j":{value}' in text, "as PostgreSQL has it"
    with pytest.raises(ValueError):
        _read_strictly(text)
    # The ways round: jsonb refuses half a pair, a consumer may read numbers as texts, and the column can stay at home.
    if "surrogate" in kind:
        tenant.run("ALTER TABLE tb_x ADD CONSTRAINT whole CHECK (j::jsonb IS NOT NULL) NOT VALID")
        with tenant.connect() as connection, pytest.raises(psycopg.errors.InvalidTextRepresentation):
            connection.execute("INSERT INTO tb_x VALUES (2, %s::text::json)", (value,))
    else:
        read = json.loads(text, parse_int=str, parse_float=str)
        assert read["entity"]["j"]["n"] == json.loads(value, parse_int=str, parse_float=str)["n"]
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    without = tenant.another({"events.columns.exclude": {"public.tb_x": ["j"]}})
    without.start()
    with tenant.connect() as connection:
        connection.execute("ALTER TABLE tb_x DROP CONSTRAINT IF EXISTS whole")
        connection.execute("INSERT INTO tb_x VALUES (3, %s::text::json)", (value,))
    tenant.wait_stored(2)
    tenant.wait_confirmed()
    assert _read_strictly(tenant.events()[1].body.decode())["entity"] == {"id": 3}


def test_a_renamed_schema_keeps_its_old_name_in_events_of_15_until_the_streamer_connects_anew(postgres_pair, tenants):
    pair = postgres_pair
    tenant = _with_table(tenants, pair, "CREATE SCHEMA old; CREATE TABLE old.tb_x (id INT PRIMARY KEY)",
                         overrides={"source": {"tables": ["old.tb_x"]}})
    tenant.run("INSERT INTO old.tb_x VALUES (1)")
    assert _last(tenant, 1)["source"]["schema"] == "old"
    tenant.run("ALTER SCHEMA old RENAME TO new")
    tenant.run("INSERT INTO new.tb_x VALUES (2)")
    assert _last(tenant, 2)["source"]["schema"] == ("old" if pair.postgres == "15" else "new")
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    tenant.streamer.start()
    tenant.run("INSERT INTO new.tb_x VALUES (3)")
    assert _last(tenant, 3)["source"]["schema"] == "new"


def test_a_stream_that_sources_a_part_of_ours_receives_nothing_on_nats_server_2_9(pair, tenants):
    """Each stored message says which sequence it expects before it, and 2.9 holds the other stream to that."""
    tenant = tenants(pair, setup=False)
    tenant.run("CREATE TABLE tb_other (id INT PRIMARY KEY)")
    tenant.streamer.setup()
    tenant.streamer.start()
    for name, wanted in (("whole", {}), ("part", {"filter_subject": f"{tenant.prefix}.Item.>"})):
        tenant.administrator.add(f"{tenant.name}_{name}", sources=[{"name": tenant.name} | wanted], storage="file",
                                 num_replicas=tenant.nats.replicas)
    tenant.run("INSERT INTO tb_other VALUES (1)")
    tenant.commit_each(1, 5)
    tenant.wait_stored(6)
    tenant.wait_confirmed()

    def count(name: str) -> int:
        return tenant.administrator.state(f"{tenant.name}_{name}")["messages"]

    wait_until(lambda: count("whole") == 6, 30, "what sources all of it has all of it", 0.1)
    if not pair.nats.startswith("2.9"):
        wait_until(lambda: count("part") == 5, 30, "what sources a part of it has that", 0.1)
        return
    # Nothing comes however long it is waited for: of what comes later, the other stream has all.
    tenant.commit_each(6, 10)
    wait_until(lambda: count("whole") == 11, 30, "what sources all of it goes on", 0.1)
    assert count("part") == 0
    # A consumer with a filter reads the part.
    tenant.administrator.api(f"CONSUMER.DURABLE.CREATE.{tenant.name}.part", stream_name=tenant.name, config={
        "durable_name": "part", "ack_policy": "explicit", "filter_subject": f"{tenant.prefix}.Item.>"})
    assert tenant.administrator.api(f"CONSUMER.INFO.{tenant.name}.part")["num_pending"] == 10
