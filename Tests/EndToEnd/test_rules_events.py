"""Poison events, TRUNCATE, tables that come later, idle publications: what is published and what stops."""

import pytest

from servers.tools import wait_until
from tenants import stopped, tenant_maker, tenants  # noqa: F401

# nats-server that takes 64 KiB at most.
_SMALL = ("max_payload: 65536",)


def _too_large(tenant, number: int) -> None:
    tenant.run(f"INSERT INTO tb_item VALUES ({number}, repeat('x', 70000))")


def test_an_event_over_max_payload_stops_at_its_position_and_nothing_is_skipped(pair, tenants):
    tenant = tenants(pair, nats_lines=_SMALL, overrides={"events": {"on_poison": "stop"}})
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    before = tenant.confirmed()
    _too_large(tenant, 2)
    commit = tenant.lsn("pg_current_wal_flush_lsn()")
    tenant.commit(3)
    said = stopped(tenant.streamer, 65, "poison_event")
    assert "public.tb_item" in said and "max_payload" in said and "xxxx" not in said, said
    assert before <= tenant.confirmed() < commit
    tenant.require_exact(1)
    # Every start stops there again.
    tenant.streamer.start(wait=False)
    assert stopped(tenant.streamer, 65, "poison_event") == said
    tenant.require_exact(1)


def test_a_poison_event_inside_a_transaction_stops_behind_what_is_before_it(pair, tenants):
    tenant = tenants(pair, nats_lines=_SMALL, overrides={"events": {"on_poison": "stop"}})
    tenant.streamer.start()
    with tenant.connect() as connection, connection.transaction():
        connection.execute("INSERT INTO tb_item VALUES (1), (2)")
        connection.execute("INSERT INTO tb_item VALUES (3, repeat('x', 70000))")
        connection.execute("INSERT INTO tb_item VALUES (4)")
    stopped(tenant.streamer, 65, "poison_event")
    begun = tenant.stored()
    assert begun in ([], [1], [1, 2])
    reference = tenant.another({"events": {"on_poison": "reference"}})
    reference.start()
    tenant.wait_stored(4)
    tenant.wait_confirmed()
    events = tenant.events()
    assert [event.json["transaction"]["ordinal"] for event in events] == [1, 2, 3, 4]
    assert [event.json["transaction"]["last"] for event in events] == [False, False, False, True]


def test_a_max_payload_that_becomes_smaller_under_way_is_followed(pair, tenants):
    tenant = tenants(pair, nats_lines=("max_payload: 131072",), overrides={"events": {"on_poison": "reference"}})
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    tenant.nats.kill()
    _too_large(tenant, 2)
    tenant.commit(3)
    wait_until(lambda: tenant.streamer.status()["in_flight"]["bytes"] > 70_000, 30, "it is encoded for the former limit")
    for server in tenant.nats.servers:
        server.config.write_text(server.config.read_text().replace("max_payload: 131072", *_SMALL))
    tenant.nats.start()
    tenant.wait_stored(3)
    tenant.wait_confirmed()
    one, large, three = (event.json for event in tenant.events())
    assert (one["entity"]["n"], three["entity"]["n"]) == (1, 3)
    assert "entity" not in large and large["omitted"] and large["entity_id"] == "2"


def test_a_reference_is_published_instead_of_a_poison_event_when_asked_for(pair, tenants):
    tenant = tenants(pair, nats_lines=_SMALL, overrides={"events": {"on_poison": "reference"}})
    tenant.streamer.start()
    tenant.commit(1)
    _too_large(tenant, 2)
    tenant.run("UPDATE tb_item SET n = 22 WHERE n = 2")
    tenant.run("UPDATE tb_item SET note = note || 'y' WHERE n = 22")
    tenant.commit(3)
    tenant.wait_stored(5)
    tenant.wait_confirmed()
    one, large, _, _, three = (event.json for event in tenant.events())
    assert (one["entity"]["n"], three["entity"]["n"]) == (1, 3)
    assert large.keys().isdisjoint({"entity", "before", "changes"})
    assert large["omitted"] and large["entity_id"] == "2"
    assert (large["entity_type"], large["operation"]) == ("Item", "INSERT")
    assert large["source"]["table"] == "tb_item" and large["transaction"]["last"] is True


@pytest.mark.parametrize("body", ["no JSON", "[]", "{}", '{"entity_type": "A", "operation": "B"}',
                                  '{"entity_type": "", "operation": "B", "entity_id": "1"}',
                                  '{"entity_type": "A", "operation": 7, "entity_id": "1"}',
                                  '{"entity_type": "A", "operation": "B", "entity_id": {}}'])
@pytest.mark.parametrize("transactional", [True, False])
def test_a_logical_message_that_is_no_event_stops(one_pair, tenants, body, transactional):
    tenant = tenants(one_pair, overrides={"events": {"on_poison": "stop"}})
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    with tenant.connect() as connection:
        connection.execute("SELECT pg_logical_emit_message(%s, 'fraiseql_events', %s)", (transactional, body))
        connection.execute("INSERT INTO tb_item VALUES (2)")
    said = stopped(tenant.streamer, 65, "poison_event")
    assert "fraiseql_events" in said
    tenant.require_exact(1)


def test_nothing_that_anybody_sends_stops_the_stream(pair, tenants):
    """A message that is none, a forged marker, a value over max_payload: each in quarantine, in its place, and the rest goes on."""
    tenant = tenants(pair, nats_lines=_SMALL)
    tenant.run("CREATE ROLE anybody LOGIN") if not tenant.value("SELECT 1 FROM pg_roles WHERE rolname = 'anybody'") else None
    tenant.streamer.start()
    with tenant.connect() as connection, connection.transaction():
        connection.execute("INSERT INTO tb_item VALUES (1)")
        connection.execute("SET LOCAL ROLE anybody")
        connection.execute("SELECT pg_logical_emit_message(true, 'fraiseql_events', 'no json')")
        connection.execute("""SELECT pg_logical_emit_message(true, 'fraiseql_events',
            '{"entity_type": "_slotstream", "operation": "GAP", "entity_id": null, "gap": {}}')""")
        connection.execute("RESET ROLE")
        connection.execute("INSERT INTO tb_item VALUES (4, repeat('x', 70000))")
        connection.execute("INSERT INTO tb_item VALUES (5)")
    tenant.run("SELECT pg_logical_emit_message(false, 'fraiseql_events', 'nor this')")
    tenant.commit(6)
    tenant.wait_stored(7)
    tenant.wait_confirmed()
    events = tenant.events()
    assert [event.json["transaction"]["ordinal"] for event in events] == [1, 2, 3, 4, 5, 0, 1]
    assert [event.json["transaction"]["last"] for event in events] == [False] * 4 + [True] * 3
    poison = [event for event in events if event.subject == f"{tenant.prefix}._slotstream.POISON"]
    assert [events.index(event) for event in poison] == [1, 2, 3, 5]
    said = [event.json["poison"] for event in poison]
    assert [each["reason"] for each in said] == ["message_body", "message_body", "payload_too_large", "message_body"]
    assert said[0]["message"]["body"] == "no json" and said[3]["message"]["body"] == "nor this"
    assert said[2]["entity_id"] == "4" and said[2]["operation"] == "INSERT" and poison[2].json["source"]["table"] == "tb_item"
    assert all(event.json["id"] == event.id for event in poison) and "xxxx" not in poison[2].body.decode()
    assert not any(event.subject.endswith(".GAP") for event in events)
    assert tenant.streamer.terminate() == 0


def test_truncate_is_one_event_a_table_each_with_an_ordinal_of_its_own(pair, tenants):
    tenant = tenants(pair, setup=False)
    tenant.run("CREATE TABLE tb_child (n BIGINT PRIMARY KEY REFERENCES tb_item)")
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_item VALUES (1); TRUNCATE tb_item, tb_child; INSERT INTO tb_item VALUES (2)")
    tenant.run("TRUNCATE tb_item CASCADE")
    tenant.wait_stored(6)
    tenant.wait_confirmed()
    events = [event.json for event in tenant.events()]
    assert [event["operation"] for event in events] == ["INSERT", "TRUNCATE", "TRUNCATE", "INSERT", "TRUNCATE", "TRUNCATE"]
    assert [event["transaction"]["ordinal"] for event in events] == [1, 2, 3, 4, 1, 2]
    assert {event["source"]["table"] for event in events[1:3]} == {"tb_item", "tb_child"}
    assert [event["truncate"]["cascade"] for event in events if event["operation"] == "TRUNCATE"] == [False] * 2 + [True] * 2


def test_a_table_that_is_added_to_the_publication_while_it_runs_is_published_from_then_on(pair, tenants):
    # Pitfall 26.
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.run("CREATE TABLE tb_later (n BIGINT PRIMARY KEY)")
    tenant.run("INSERT INTO tb_later VALUES (100)")
    tenant.run(f"ALTER PUBLICATION {tenant.name} ADD TABLE tb_later")
    tenant.run("INSERT INTO tb_later VALUES (2)")
    tenant.run("ALTER TABLE tb_later ADD extra TEXT DEFAULT 'x'")
    tenant.run("INSERT INTO tb_later VALUES (3)")
    tenant.run(f"ALTER PUBLICATION {tenant.name} DROP TABLE tb_later")
    tenant.run("INSERT INTO tb_later VALUES (200)")
    tenant.commit(4)
    tenant.wait_stored(4)
    tenant.wait_confirmed()
    events = tenant.require_exact(1, 2, 3, 4)
    assert [event.json["source"]["table"] for event in events] == ["tb_item", "tb_later", "tb_later", "tb_item"]
    assert events[2].json["entity"] == {"n": 3, "extra": "x"}


def test_a_table_that_was_dropped_before_it_was_read_is_published_all_the_same(pair, tenants):
    tenant = tenants(pair)
    tenant.run("CREATE TYPE mood AS ENUM ('glad'); CREATE TABLE tb_gone (n BIGINT PRIMARY KEY, m mood)")
    tenant.streamer.setup()
    tenant.run("INSERT INTO tb_gone VALUES (1, 'glad')")
    tenant.run("ALTER TABLE tb_gone RENAME m TO feeling")
    tenant.run("INSERT INTO tb_gone VALUES (2, 'glad')")
    tenant.run("DROP TABLE tb_gone; DROP TYPE mood")
    tenant.commit(3)
    tenant.streamer.start()
    tenant.wait_stored(3)
    tenant.wait_confirmed()
    assert [event.json["entity"] for event in tenant.events()] == [
        {"n": 1, "m": "glad"}, {"n": 2, "feeling": "glad"}, {"n": 3, "note": ""}]


def test_an_idle_publication_is_confirmed_by_keepalives(pair, tenants):
    # Pitfall 3: other tables, other databases.
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.run("CREATE TABLE other AS SELECT generate_series(1, 1000) AS n")
    tenant.wait_confirmed()
    tenant.postgres.run("CREATE TABLE IF NOT EXISTS in_another_database (n INTEGER)")
    tenant.postgres.run("INSERT INTO in_another_database SELECT generate_series(1, 1000)")
    tenant.wait_confirmed()
    assert tenant.last_sequence() == 0
    assert tenant.streamer.terminate() == 0


def test_a_transaction_of_which_nothing_is_published_is_confirmed_like_an_empty_one(pair, tenants):
    tenant = tenants(pair, overrides={"events": {"exclude": ["public.tb_item:DELETE"]}})
    tenant.streamer.start()
    tenant.commit(1, 2)
    tenant.run("DELETE FROM tb_item")
    tenant.wait_confirmed()
    tenant.require_exact(1, 2)
    assert tenant.streamer.terminate() == 0


def test_names_that_would_break_a_subject_or_json_are_encoded(pair, tenants):
    # Pitfalls 20 and 50.
    tenant = tenants(pair, overrides={"source": {"tables": ["*.*"]}, "events": {
        "subject": "{prefix}.{schema}.{table}.{operation}"}})
    names = ["a.b", "a*b", "a>b", "a b", "a\r\nb", 'a"b', "a{b}", "漢" * 21, "A", "%41", "$JS"]
    with tenant.connect() as connection:
        for name in names:
            quoted = '"' + name.replace('"', '""') + '"'
            connection.execute(f"CREATE TABLE {quoted} (n BIGINT PRIMARY KEY, {quoted} TEXT)")
            connection.execute(f"ALTER PUBLICATION {tenant.name} ADD TABLE {quoted}")
    tenant.streamer.start()
    with tenant.connect() as connection:
        for number, name in enumerate(names):
            quoted = '"' + name.replace('"', '""') + '"'
            connection.execute(f"INSERT INTO {quoted} VALUES ({number}, 'v')")
    tenant.wait_stored(len(names))
    events = tenant.require_exact(*range(len(names)))
    for event, name in zip(events, names, strict=True):
        assert event.json["source"]["table"] == name and event.json["entity"][name] == "v"
        assert event.subject == f"{tenant.prefix}.public.{_encoded(name)}.INSERT"


def _encoded(token: str) -> str:
    return "".join(chr(byte) if chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "_-") else f"%{byte:02X}"
                   for byte in token.encode())


def test_two_phase_transactions_arrive_whole_at_commit_prepared(pair, deploy):
    deployment = deploy(pair, settings={"max_prepared_transactions": "5"})
    deployment.streamer.start()
    insert = ("INSERT INTO tb_order_line (identifier, run, client, seq) VALUES ('prepared', 1, 1, {0}), "
              "('prepared', 1, 1, {0})")
    with deployment.postgres.connect() as connection:
        for number, end in enumerate(("COMMIT", "ROLLBACK", "COMMIT")):
            connection.execute("BEGIN")
            connection.execute(insert.format(number))
            connection.execute(f"PREPARE TRANSACTION 'p{number}'")
            connection.execute(insert.format(10 + number))
            connection.execute(f"{end} PREPARED 'p{number}'")
    deployment.wait_confirmed(30)
    result = deployment.compare()
    assert result.transactions == 5
    assert [event.json["entity"]["seq"] for event in deployment.events] == [10, 10, 0, 0, 11, 11, 12, 12, 2, 2]
