"""`slotstream verify --rows`: a table beside what its events make of it, under load; what was changed behind the stream's back is found,
and nothing else."""

import json
import random
import threading

import psycopg
import pytest

from tenants import refused, tenant_maker, tenants  # noqa: F401

_WIDE = """CREATE TABLE tb_order (
    id BIGINT GENERATED ALWAYS AS IDENTITY, shop TEXT NOT NULL, status TEXT, total NUMERIC(12, 2), tags TEXT[], extra JSONB, blob BYTEA,
    long_text TEXT, at TIMESTAMPTZ DEFAULT now(), secret TEXT, PRIMARY KEY (shop, id))"""


def _verify(tenant, *more: str, table: str = "public.tb_order", expect: int = 0) -> dict:
    return json.loads(tenant.streamer.command("verify", "--rows", table, "--json", *more, expect=expect, seconds=300).stdout)


def _found(said: dict) -> list[tuple]:
    return sorted((each["kind"], each["key"], tuple(each.get("columns", ()))) for each in said["differences"])


def _ordering(tenants, pair, **overrides):
    tenant = tenants(pair, setup=False, overrides=overrides)
    tenant.run(_WIDE)
    # Values of more than a page are sent again only when they change.
    tenant.run("ALTER TABLE tb_order ALTER long_text SET STORAGE EXTERNAL")
    tenant.streamer.setup()
    tenant.streamer.start()
    return tenant


def _fill(tenant, count: int) -> None:
    tenant.run(f"""INSERT INTO tb_order (shop, status, total, tags, extra, blob, long_text)
        SELECT 'shop "' || n % 7, 'new', n / 3.0, ARRAY['a', NULL, n::text], jsonb_build_object('n', n, 'x', ARRAY[n]),
            decode(md5(n::text), 'hex'), repeat('long ', 1000) || n FROM generate_series(1, {count}) AS n""")


def _work(connection: psycopg.Connection, dice: random.Random) -> None:
    """One random transaction, as an application's: rolled back now and then."""
    with connection.transaction(force_rollback=dice.random() < 0.1):
        for _ in range(dice.randint(1, 5)):
            shop, limit = f'shop "{dice.randint(0, 8)}', dice.randint(1, 3)
            some = f"(shop, id) IN (SELECT shop, id FROM tb_order WHERE shop = %s ORDER BY random() LIMIT {limit} FOR UPDATE SKIP LOCKED)"
            what = dice.random()
            if what < 0.35:
                connection.execute("INSERT INTO tb_order (shop, status, total, long_text) VALUES (%s, 'new', %s, %s)",
                                   (shop, dice.randint(0, 10**6), "y" * dice.choice([3, 9000])))
            elif what < 0.65:
                connection.execute(f"UPDATE tb_order SET status = %s, at = now() WHERE {some}", (str(dice.random()), shop))
            elif what < 0.75:
                connection.execute(f"UPDATE tb_order SET long_text = %s WHERE {some}", ("z" * dice.choice([5, 9000]), shop))
            elif what < 0.85:
                connection.execute(f"UPDATE tb_order SET shop = %s WHERE {some}", (f'shop "{dice.randint(0, 8)}', shop))
            else:
                connection.execute(f"DELETE FROM tb_order WHERE {some}", (shop,))


@pytest.mark.parametrize("identity", ["DEFAULT", "FULL"])
def test_rows_are_equal_while_transactions_come_all_the_time(postgres_pair, tenants, seed, identity):
    tenant = _ordering(tenants, postgres_pair)
    tenant.run(f"ALTER TABLE tb_order REPLICA IDENTITY {identity}")
    _fill(tenant, 500)
    failures: list[Exception] = []

    def application(number: int) -> None:
        dice = random.Random(seed + number)
        try:
            with tenant.connect() as connection:
                for _ in range(60):
                    _work(connection, dice)
        except Exception as error:  # noqa: BLE001
            failures.append(error)

    # One that runs all the while is not shown by any snapshot, wherever its rows are in the stream.
    with tenant.connect() as long, long.transaction():
        long.execute("INSERT INTO tb_order (shop, status) VALUES ('long', 'open')")
        for _ in range(2):
            threads = [threading.Thread(target=application, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            try:
                said = _verify(tenant, "--strict")
            finally:
                for thread in threads:
                    thread.join()
            assert said["differences"] == [] and said["rows"]["compared"] > 300, said
            assert said["rows"]["events"] >= 500 and said["rows"]["partial"] == 0, said
    assert not failures, failures
    tenant.wait_confirmed()
    last = _verify(tenant, "--strict")
    assert last["differences"] == [] and last["rows"]["compared"] == tenant.value("SELECT count(*) FROM tb_order")


def test_what_was_changed_behind_the_streams_back_is_found_and_nothing_else(postgres_pair, tenants):
    tenant = _ordering(tenants, postgres_pair)
    _fill(tenant, 300)
    tenant.run("UPDATE tb_order SET status = 'paid' WHERE id % 3 = 0")
    tenant.wait_confirmed()
    assert _verify(tenant)["differences"] == []
    # Whoever takes a table out of the publication for a while.
    tenant.run(f"ALTER PUBLICATION {tenant.name} DROP TABLE tb_order")
    tenant.run("UPDATE tb_order SET status = 'stolen', total = total + 1 WHERE id = 7")
    tenant.run("UPDATE tb_order SET long_text = 'short' WHERE id = 8")
    tenant.run("DELETE FROM tb_order WHERE id = 9")
    tenant.run("UPDATE tb_order SET shop = 'moved' WHERE id = 10")
    tenant.run("INSERT INTO tb_order (shop, status) VALUES ('new', 'behind')")
    tenant.run(f"ALTER PUBLICATION {tenant.name} ADD TABLE tb_order")
    tenant.wait_confirmed()
    expected = [("altered", r'"shop \"0",7', ("status", "total")), ("altered", r'"shop \"1",8', ("long_text",)), ("foreign", r'"shop \"2",9', ()),
                ("foreign", r'"shop \"3",10', ()), ("missing", '"moved",10', ()), ("missing", '"new",301', ())]
    # What was written after all that the stream has is not taken for older than the stream.
    said = _verify(tenant, expect=1)
    assert _found(said) == sorted(expected) and said["rows"]["older"] == 0
    tenant.run("UPDATE tb_order SET status = 'paid' WHERE id = 11")
    tenant.wait_confirmed()
    assert _found(_verify(tenant, "--strict", expect=1)) == sorted(expected)
    altered = next(each for each in said["differences"] if each["kind"] == "altered")
    event = next(event for event in tenant.events() if event.sequence == altered["sequence"])
    assert event.json["entity"]["id"] == 7 and event.json["transaction"]["lsn"] == altered["lsn"]
    shown = tenant.streamer.command("verify", "--rows", "tb_order", expect=1).stdout
    assert "altered  \"shop \\\"0\",7: status, total differ" in shown and "DIFFERENT" in shown, shown


def test_a_message_that_is_gone_is_a_difference_of_its_row(pair, tenants):
    tenant = _ordering(tenants, pair)
    _fill(tenant, 20)
    tenant.run("UPDATE tb_order SET status = 'paid' WHERE id = 5")
    tenant.wait_confirmed()
    last = tenant.last_sequence()
    tenant.administrator.delete_message(tenant.name, last)
    tenant.administrator.delete_message(tenant.name, 3)
    assert _found(_verify(tenant, "--strict", expect=1)) == [("altered", r'"shop \"5",5', ("status",)), ("missing", r'"shop \"3",3', ())]


def test_rows_from_before_the_stream_are_told_apart(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.run("INSERT INTO tb_item SELECT n, repeat('x', 5000) FROM generate_series(1, 20) AS n")
    tenant.run("ALTER TABLE tb_item ALTER note SET STORAGE EXTERNAL")
    tenant.run("UPDATE tb_item SET note = repeat('x', 9000)")
    tenant.streamer.setup()
    tenant.streamer.start()
    # A key that changes, so that what is not sent of the row is not known.
    tenant.run("UPDATE tb_item SET n = n + 100 WHERE n = 1")
    tenant.run("INSERT INTO tb_item VALUES (30, 'new')")
    tenant.run("DELETE FROM tb_item WHERE n = 2")
    tenant.wait_confirmed()
    said = _verify(tenant, table="public.tb_item")
    assert (said["rows"]["older"], said["rows"]["partial"], said["rows"]["compared"], said["differences"]) == (18, 1, 2, []), said
    strict = _verify(tenant, "--strict", table="public.tb_item", expect=1)
    assert strict["rows"]["difference_count"] == 18 and {each["kind"] for each in strict["differences"]} == {"missing"}
    # Behind a TRUNCATE nothing is older than the stream.
    tenant.run("TRUNCATE tb_item")
    tenant.run("INSERT INTO tb_item VALUES (40, 'after')")
    tenant.wait_confirmed()
    emptied = _verify(tenant, table="public.tb_item")
    assert (emptied["rows"]["older"], emptied["rows"]["compared"], emptied["differences"]) == (0, 1, [])


def test_hidden_columns_and_row_filters_are_the_publications_and_the_configurations(pair, tenants, tmp_path):
    key = tmp_path / "key"
    key.write_text("a secret\n")
    tenant = tenants(pair, setup=False, overrides={
        "events": {"mask_key_file": str(key)}, "events.columns.exclude": {"public.tb_order": ["blob"]},
        'events.columns.mask."public.tb_order"': {"secret": "hmac"}})
    tenant.run(_WIDE)
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_order (shop, id, status, blob, secret, total) WHERE (shop <> 'hidden')")
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_order (shop, status, total, blob, secret) SELECT CASE n % 2 WHEN 0 THEN 'hidden' ELSE 'seen' END, 'new', n, 'x', 'y' "
               "FROM generate_series(1, 40) AS n")
    tenant.run("UPDATE tb_order SET long_text = 'not published', secret = 'z' WHERE id = 3")
    tenant.wait_confirmed()
    said = _verify(tenant, "--strict")
    assert said["differences"] == [] and said["rows"]["compared"] == 20 and said["rows"]["hidden_columns"] == ["blob", "secret"], said


def test_memory_is_bounded_and_a_large_table_takes_several_passes(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_item SELECT n, 'note ' || n FROM generate_series(1, 6000) AS n")
    tenant.run("UPDATE tb_item SET note = 'other' WHERE n % 100 = 0")
    tenant.wait_confirmed(60)
    tenant.run(f"ALTER PUBLICATION {tenant.name} DROP TABLE tb_item")
    tenant.run("UPDATE tb_item SET note = 'behind' WHERE n % 500 = 1")
    tenant.run(f"ALTER PUBLICATION {tenant.name} ADD TABLE tb_item")
    tenant.commit(40_000)
    tenant.wait_confirmed(60)
    few = _verify(tenant, "--strict", "--memory", "256KiB", table="public.tb_item", expect=1)
    many = _verify(tenant, "--strict", table="public.tb_item", expect=1)
    assert few["rows"]["passes"] > 4 and many["rows"]["passes"] == 1
    assert _found(few) == _found(many) == sorted(("altered", str(n), ("note",)) for n in range(1, 6_001, 500))
    assert few["rows"]["compared"] == 6_001


def test_what_cannot_be_compared_is_refused(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.run("CREATE TABLE tb_keyless (n INTEGER); ALTER TABLE tb_keyless REPLICA IDENTITY FULL; CREATE SCHEMA other")
    tenant.run("CREATE TABLE other.tb_item (n INTEGER PRIMARY KEY)")
    tenant.streamer.setup()
    for table, why in {"public.tb_nothing": "no published table", "public.tb_keyless": "cannot be told apart", "other.tb_item": "no published table"}.items():
        said = refused(tenant.streamer, 78, "configuration", "verify", "--rows", table)
        assert why in said, said
    assert tenant.streamer.command("verify", "--rows", "tb_item", "--memory", "1", expect=64).stderr
