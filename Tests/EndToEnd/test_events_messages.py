"""Logical messages: in their transaction's place or at once, through `emit_event` and raw, with what is none refused."""

import json

import psycopg
import pytest

from servers.tools import CHECKOUT
from tenants import stopped, tenant_maker, tenants  # noqa: F401


def _with_functions(tenants, pair, **overrides):
    tenant = tenants(pair, overrides=overrides)
    for name in ("emit_event.sql",):
        tenant.run((CHECKOUT / "sql" / name).read_text())
    return tenant


def _body(number: int) -> str:
    return json.dumps({"entity_type": "Thing", "operation": "MADE", "entity_id": number})


def test_transactional_messages_keep_their_place_among_rows(pair, tenants):
    tenant = _with_functions(tenants, pair)
    tenant.streamer.start()
    with tenant.connect() as connection, connection.transaction():
        connection.execute("INSERT INTO tb_item VALUES (1)")
        connection.execute("SELECT slotstream.emit_event('Thing', 'MADE', '2', '{\"a\": 1.50}', '{\"reason\": \"x\"}')")
        connection.execute("INSERT INTO tb_item VALUES (3)")
        connection.execute("SELECT pg_logical_emit_message(true, 'fraiseql_events', %s)", (_body(4),))
        # Pitfall 29: rows after a message are not lost.
        connection.execute("INSERT INTO tb_item VALUES (5)")
    tenant.run("SELECT slotstream.emit_event('Thing', 'MADE', NULL)")
    tenant.wait_stored(6)
    events = [event.json for event in tenant.events()]
    assert [event["entity_type"] for event in events] == ["Item", "Thing", "Item", "Thing", "Item", "Thing"]
    assert [event["transaction"]["ordinal"] for event in events] == [1, 2, 3, 4, 5, 1]
    assert [event["transaction"]["last"] for event in events] == [False] * 4 + [True, True]
    assert events[1] | {"entity_id": "2", "entity": {"a": 1.5}, "reason": "x"} == events[1]
    assert events[3]["entity_id"] == 4 and events[5]["entity_id"] is None
    assert len({event["timestamp"] for event in events[:5]}) == 1 and events[1]["source"] == {"database": tenant.name}


def test_a_message_of_a_transaction_that_rolls_back_is_none(pair, tenants):
    tenant = _with_functions(tenants, pair)
    tenant.streamer.start()
    tenant.run("BEGIN; SELECT slotstream.emit_event('Thing', 'MADE', '1'); ROLLBACK")
    tenant.run("BEGIN; SAVEPOINT s; SELECT slotstream.emit_event('Thing', 'MADE', '2'); ROLLBACK TO s; "
               "SELECT slotstream.emit_event('Thing', 'MADE', '3'); COMMIT")
    tenant.wait_stored(1)
    tenant.wait_confirmed()
    (event,) = tenant.events()
    assert (event.json["entity_id"], event.json["transaction"]["ordinal"]) == ("3", 1)


@pytest.mark.parametrize("call", ["SELECT slotstream.emit_event_at_once('Thing', 'MADE', %s::text)",
                                  "SELECT pg_logical_emit_message(false, 'fraiseql_events', "
                                  "json_build_object('entity_type', 'Thing', 'operation', 'MADE', 'entity_id', %s::text)::text)"],
                         ids=["emit_event_at_once", "raw"])
def test_non_transactional_messages_are_published_at_once(call, pair, tenants):
    tenant = _with_functions(tenants, pair)
    tenant.streamer.start()
    with tenant.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO tb_item VALUES (1)")
        connection.execute(call, ("7",))
        # What is flushed is sent: the walsender does not wait for this transaction's end.
        tenant.run("CREATE TABLE IF NOT EXISTS noise (n INT); INSERT INTO noise VALUES (1)")
        tenant.wait_stored(1)
        connection.execute("ROLLBACK")
    (event,) = tenant.events()
    said = event.json
    assert event.id.split(".")[3] == "0" and event.id.endswith(".0")
    assert said["transaction"].keys() == {"lsn", "ordinal", "last"} and said["transaction"]["last"] is True
    assert said["entity_id"] == "7" and event.subject == f"{tenant.prefix}.Thing.MADE"


def test_other_prefixes_are_ignored_unless_configured(pair, tenants):
    tenant = _with_functions(tenants, pair, events={"message_prefixes": ["mine", "fraiseql_events"]})
    tenant.streamer.start()
    for prefix in ("theirs", "mine", "MINE", "mine2", "fraiseql_events"):
        tenant.run(f"SELECT pg_logical_emit_message(true, '{prefix}', '{_body(1)}')")
    tenant.run("SELECT pg_logical_emit_message(true, 'theirs', 'no JSON at all')")
    tenant.wait_stored(2)
    tenant.wait_confirmed()
    assert tenant.last_sequence() == 2


def test_a_body_that_is_not_utf8_is_poison(pair, tenants):
    tenant = _with_functions(tenants, pair, events={"on_poison": "stop"})
    tenant.streamer.start()
    tenant.run(r"SELECT pg_logical_emit_message(true, 'fraiseql_events', '\x7b22ff22'::bytea)")
    assert "UTF-8" in stopped(tenant.streamer, 65, "poison_event")


def test_a_body_that_is_too_large_is_referred_to_when_asked_for(pair, tenants):
    tenant = _with_functions(tenants, pair, events={"on_poison": "reference"})
    tenant.streamer.start()
    tenant.run("SELECT slotstream.emit_event('Thing', 'MADE', '1', to_jsonb(repeat('x', 2000000)))")
    tenant.run("SELECT slotstream.emit_event('Thing', 'MADE', '2')")
    tenant.wait_stored(2)
    large, small = (event.json for event in tenant.events())
    assert large["entity_id"] == "1" and large["omitted"] and "entity" not in large and "omitted" not in small


@pytest.mark.parametrize("function", ["emit_event", "emit_event_at_once"])
@pytest.mark.parametrize("arguments, said", [
    ("NULL, 'MADE', '1'", "entity_type"), ("'', 'MADE', '1'", "entity_type"), ("'Thing', NULL, '1'", "operation"),
    ("'Thing', '', '1'", "operation"), ("'Thing', 'MADE', '1', NULL, NULL", "extra"), ("'Thing', 'MADE', '1', NULL, '[]'", "extra")])
def test_emit_event_checks_its_arguments(function, arguments, said, one_pair, tenants):
    tenant = _with_functions(tenants, one_pair)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match=f"{function}: {said}"):
        tenant.run(f"SELECT slotstream.{function}({arguments})")


def test_the_pages_trigger_announces_a_table_outside_the_publication_once(pair, tenants):
    tenant = tenants(pair, setup=False, overrides={"source": {"tables": ["public.tb_item"]}})
    for name in ("emit_event.sql", "demo.sql", "trigger_example.sql"):
        tenant.run((CHECKOUT / "sql" / name).read_text())
    tenant.streamer.setup()
    tenant.streamer.start()
    identity = tenant.value("SELECT (fn_create_order(ARRAY['a'], 'x')).entity_id::text")
    tenant.wait_stored(1)
    tenant.wait_confirmed()
    (event,) = tenant.events()
    assert event.subject == f"{tenant.prefix}.Order.INSERT" and event.json["entity_id"] == identity
