"""The way of an order, once, slowly: from the mutation function to the event, and what the commands say of it."""

import json
import re

import stream
from administrator import Administrator
from deployment import Deployment, demo_schema
from servers.tools import CHECKOUT, wait_until


def _read(deployment: Deployment) -> list[stream.Event]:
    deployment.wait_confirmed(30)
    return list(stream.read(deployment.nats.url))


def test_an_order_becomes_the_events_that_the_contract_describes(pair, deploy):
    deployment = deploy(pair, prepare=demo_schema)
    deployment.streamer.start()
    with deployment.postgres.connect() as connection:

        def value(sql: str, *parameters) -> str:
            return connection.execute(sql, parameters).fetchone()[0]

        row = "SELECT to_json(t)::text FROM tb_order AS t WHERE id = %s"
        order = value("SELECT (fn_create_order(ARRAY['sku-1', 'two \"words\"'], %s)).entity_id::text", "Łódź\nPoland")
        created = value(row, order)
        connection.execute("SELECT fn_update_order(%s, 'paid', 12.50)", (order,))
        updated = value(row, order)
        connection.execute("SELECT fn_delete_order(%s)", (order,))
    insert, update, delete = _read(deployment)

    assert [event.subject for event in (insert, update, delete)] == [
        f"fraiseql.mutation.Order.{operation}" for operation in ("INSERT", "UPDATE", "DELETE")]
    for event, entity in ((insert, created), (update, updated), (delete, json.dumps({"id": order}, separators=(",", ":")))):
        body = event.json
        assert f'"entity":{entity},'.encode() in event.body, "the entity is byte for byte PostgreSQL's to_json"
        assert body["id"] == event.id
        assert re.fullmatch(rf"{deployment.truth.id_prefix}\.\d+\.[0-9A-F]{{16}}\.1", event.id)
        assert (body["entity_type"], body["operation"]) == ("Order", event.subject.rpartition(".")[2])
        assert body["entity_id"] == order
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", body["timestamp"])
        assert body["source"] == {"database": "shop", "schema": "public", "table": "tb_order"}
        assert (body["transaction"]["ordinal"], body["transaction"]["last"]) == (1, True)
        xid, commit_lsn = event.id.split(".")[3:5]
        high, low = body["transaction"]["lsn"].split("/")
        assert (str(body["transaction"]["id"]), f"{int(high, 16) << 32 | int(low, 16):016X}") == (xid, commit_lsn)
        # The identity is an index on id, which did not change.
        assert body.keys().isdisjoint({"before", "changes", "unchanged"})
    result = deployment.compare()
    assert (result.compared, result.transactions) == (3, 3)


def test_a_table_with_full_identity_tells_what_changed_and_a_truncate_is_one_event_a_table(pair, deploy):
    def prepare(postgres) -> None:
        demo_schema(postgres)
        postgres.run("ALTER TABLE tb_order REPLICA IDENTITY FULL; "
                     "CREATE TABLE tb_order_note (pk_order_note BIGINT PRIMARY KEY, id UUID UNIQUE, document TEXT)")
        postgres.run("ALTER TABLE tb_order_note ALTER document SET STORAGE EXTERNAL")

    deployment = deploy(pair, prepare=prepare)
    deployment.streamer.start()
    with deployment.postgres.connect() as connection:
        order = connection.execute("SELECT (fn_create_order(ARRAY['sku-1'], 'x')).entity_id").fetchone()[0]
        connection.execute("SELECT fn_update_order(%s, 'paid', 3)", (order,))
        connection.execute("INSERT INTO tb_order_note VALUES (1, gen_random_uuid(), repeat('d', 9000))")
        connection.execute("UPDATE tb_order_note SET pk_order_note = 2")
        connection.execute("TRUNCATE tb_order, tb_order_note RESTART IDENTITY")
    _, update, _, moved, one, other = _read(deployment)
    assert update.json["changes"] == {"status": {"old": "pending", "new": "paid"},
                                      "total_amount": {"old": 0.00, "new": 3.00}}
    assert update.json["before"]["status"] == "pending"
    assert moved.json["unchanged"] == ["document"]
    assert "document" not in moved.json["entity"]
    assert moved.json["changes"] == {"pk_order_note": {"old": 1, "new": 2}}
    assert {one.subject, other.subject} == {f"fraiseql.mutation.{name}.TRUNCATE" for name in ("Order", "OrderNote")}
    assert [event.json["transaction"]["last"] for event in (one, other)] == [False, True]
    for event in (one, other):
        assert event.json["truncate"] == {"cascade": False, "restart_identity": True}
        assert event.json.keys().isdisjoint({"entity", "entity_id"})
    assert deployment.compare().compared == 6


def test_emit_event_is_published_in_its_transactions_order(pair, deploy):
    deployment = deploy(pair, prepare=demo_schema)
    deployment.postgres.run_file(CHECKOUT / "sql" / "emit_event.sql")
    deployment.streamer.start()
    with deployment.postgres.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT fn_create_order(ARRAY['sku-1'], 'x')")
        connection.execute("SELECT slotstream.emit_event('Invoice', 'SENT', 'inv-1', '{\"total\": 1.50}', "
                           "'{\"channel\": \"mail\", \"id\": \"forged\"}')")
        connection.execute("SELECT fn_create_order(ARRAY['sku-2'], 'y')")
        connection.execute("COMMIT")
        connection.execute("BEGIN")
        connection.execute("SELECT slotstream.emit_event('Invoice', 'SENT', 'rolled back')")
        connection.execute("ROLLBACK")
    first, message, second = _read(deployment)
    assert message.subject == "fraiseql.mutation.Invoice.SENT"
    body = message.json
    assert (body["entity_type"], body["operation"], body["entity_id"]) == ("Invoice", "SENT", "inv-1")
    assert (body["entity"], body["channel"]) == ({"total": 1.50}, "mail")
    assert body["id"] == message.id
    assert body["source"] == {"database": "shop"}
    transactions = [event.json["transaction"] for event in (first, message, second)]
    assert [told["ordinal"] for told in transactions] == [1, 2, 3]
    assert [told["last"] for told in transactions] == [False, False, True]
    assert len({told["lsn"] for told in transactions}) == 1
    assert body["timestamp"] == first.json["timestamp"]


def test_no_more_messages_are_in_flight_than_are_allowed(pair, deploy):
    deployment = deploy(pair, prepare=demo_schema, overrides={"delivery": {"in_flight_messages": 7}})
    streamer = deployment.streamer
    streamer.setup()
    # Of a fast batch only the first is in flight before its ack.
    administrator = Administrator(deployment.nats.url)
    if administrator.config("fraiseql_events").get("allow_batched"):
        administrator.update("fraiseql_events", allow_batched=False)
    streamer.start()
    deployment.nats.pause()
    try:
        # Over one connection: after some seconds without an answer the streamer takes the server for dead, and nothing is on its way.
        with deployment.postgres.connect() as connection:
            for _ in range(30):
                connection.execute("SELECT fn_create_order(ARRAY['sku-1'], 'x')")
        wait_until(lambda: streamer.in_flight() == 7 and streamer.status()["in_flight"]["bytes"] > 12_000, 20,
                   "seven are on their way, and others wait")
        held = streamer.status()["in_flight"]
    finally:
        deployment.nats.resume()
    events = _read(deployment)
    assert len(events) == 30
    # With subject and id none of the seven takes more than its body and a thousand bytes.
    assert held["messages"] == 7 and held["bytes"] > 7 * max(len(event.body) for event in events) + 7_000


def test_the_commands_and_the_endpoints_tell_of_what_was_stored(pair, deploy):
    deployment = deploy(pair, prepare=demo_schema)
    streamer = deployment.streamer
    streamer.start()
    for _ in range(5):
        deployment.postgres.run("SELECT fn_create_order(ARRAY['sku-1'], 'x')")
    events = _read(deployment)
    last = events[-1].json["transaction"]["lsn"]

    for status in (streamer.status(), json.loads(streamer.command("status", "--json").stdout)):
        assert status["schema"] == "slotstream.status/1"
        assert (status["role"], status["live"], status["ready"]) == ("active", True, True)
        assert (status["source"]["slot"], status["source"]["database"]) == ("fraiseql_events", "shop")
        assert (status["stream"]["name"], status["stream"]["last_sequence"]) == ("fraiseql_events", 5)
        assert status["in_flight"]["messages"] == 0
    assert streamer.metric("fraiseql_observer_events_processed_total") == 5
    assert streamer.metric("fraiseql_observer_processing_duration_seconds_count") == 5
    assert streamer.metric("slotstream_transactions_total") == 5
    assert streamer.metric('slotstream_events_total{entity="Order",operation="INSERT"}') == 5
    assert streamer.metric("slotstream_slot_active") == 1
    assert streamer.metric("slotstream_confirmed_lsn") <= streamer.metric("slotstream_received_lsn")
    assert streamer.metric("slotstream_up") == 1
    for name in ("fraiseql_observer_events_failed_total", "fraiseql_observer_events_retried_total",
                 "slotstream_source_lag_seconds", "slotstream_inflight_messages"):
        assert streamer.metric(name) == 0
    assert streamer.get("/livez") and streamer.get("/readyz")
    streamer.command("health")
    streamer.command("health", "--ready")

    told = streamer.command("tail", "--from", "first", "--count", "5", "--json").stdout.splitlines()
    assert [json.loads(line) is not None and event.id in line for event, line in zip(events, told, strict=True)] == [True] * 5
    assert last in streamer.command("tail", "--from", "5", "--count", "1", "--json").stdout
    slots = json.loads(streamer.command("slot", "list", "--json").stdout)
    assert any("fraiseql_events" in json.dumps(slot) for slot in slots["slots"])
    # Setting up what is there already changes nothing.
    streamer.setup()
    assert streamer.terminate() == 0
    assert len(list(stream.read(deployment.nats.url))) == 5
