"""The three formats, each kind of event of each against its JSON Schema in deploy/schemas."""

import json
import re
import uuid

import jsonschema
import pytest
from referencing import Registry, Resource

from compare import members
from servers.tools import CHECKOUT
from tenants import stopped, tenant_maker, tenants  # noqa: F401

SCHEMAS = {name: json.loads((CHECKOUT / "deploy" / "schemas" / f"{name}.schema.json").read_text())
           for name in ("slotstream", "fraiseql", "cloudevents")}
_REGISTRY = Registry().with_resources([(schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()])

IDENTITY = "2f1c0d6e-8f0b-4d0e-9a5e-0f6c1f0a7b11"

# What the statements find: rows that are not published, because they are there before the slot.
_TABLES = f"""
    CREATE TABLE tb_order (id UUID PRIMARY KEY, status TEXT, big TEXT); ALTER TABLE tb_order ALTER big SET STORAGE EXTERNAL;
    CREATE TABLE tb_full (id UUID PRIMARY KEY, note TEXT); ALTER TABLE tb_full REPLICA IDENTITY FULL;
    INSERT INTO tb_full VALUES ('{IDENTITY}', 'n');
    CREATE TABLE tb_parent (id UUID PRIMARY KEY); CREATE TABLE tb_child (id UUID PRIMARY KEY REFERENCES tb_parent);
    CREATE TABLE tb_keyless (a INT); ALTER TABLE tb_keyless REPLICA IDENTITY FULL;
"""

# One statement of each kind that there is.
STATEMENTS = {
    "insert": f"INSERT INTO tb_order VALUES ('{IDENTITY}', 'pending', NULL)",
    "update without the old row": "UPDATE tb_order SET status = 'paid'",
    "update of the key": "UPDATE tb_order SET id = '00000000-0000-4000-8000-000000000001'",
    "full identity": "ALTER TABLE tb_order REPLICA IDENTITY FULL; UPDATE tb_order SET status = 'sent', big = repeat(md5('x'), 400)",
    "untouched": "ALTER TABLE tb_order REPLICA IDENTITY DEFAULT; UPDATE tb_order SET status = 'back'",
    "too large": "UPDATE tb_order SET big = repeat('x', 3000000)",
    "delete": "DELETE FROM tb_order",
    "delete under full identity": "DELETE FROM tb_full",
    "truncate": "TRUNCATE tb_order",
    "truncate with cascade": "TRUNCATE tb_parent CASCADE",
    # By the same statement.
    "truncate by cascade": None,
    "message": f"""SELECT pg_logical_emit_message(true, 'fraiseql_events', '{{"entity_type": "Order", "operation": "SHIPPED",
        "entity_id": "{IDENTITY}", "entity": [1.50], "more": true, "timestamp": "2026-11-23T07:09:12Z"}}')""",
    "message of its own": f"""SELECT pg_logical_emit_message(false, 'fraiseql_events', '{{"entity_type": "Order",
        "operation": "INSERT", "entity_id": "{IDENTITY}", "changes": {{"a": 1}}}}')""",
    "message that is too large": f"""SELECT pg_logical_emit_message(true, 'fraiseql_events', json_build_object('entity_type', 'Order',
        'operation', 'PACKED', 'entity_id', '{IDENTITY}', 'entity', repeat('x', 3000000), 'kept', 1)::text)""",
}

# Kinds that FraiseQL's format has no event for: it wants a UUID.
WITHOUT_UUID = {
    "without entity_id": "INSERT INTO tb_keyless VALUES (1)",
    "message with a number": """SELECT pg_logical_emit_message(true, 'fraiseql_events',
        '{"entity_type": "Order", "operation": "COUNTED", "entity_id": 7}')""",
    "message with null": """SELECT pg_logical_emit_message(true, 'fraiseql_events',
        '{"entity_type": "Order", "operation": "CLOSED", "entity_id": null}')""",
}

# The last token of each kind's subject.
OPERATIONS = dict(zip([*STATEMENTS, *WITHOUT_UUID], [
    "INSERT", *["UPDATE"] * 5, *["DELETE"] * 2, *["TRUNCATE"] * 3, "SHIPPED", "INSERT", "PACKED", "INSERT", "COUNTED", "CLOSED"], strict=True))


def validate(name: str, event: dict) -> None:
    """Fails unless the event is one of the format."""
    validator = jsonschema.Draft202012Validator(SCHEMAS[name], registry=_REGISTRY,
                                                format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    validator.validate(event)


@pytest.fixture(params=list(SCHEMAS))
def told(request, one_pair, tenants):
    """The format, and each kind's event in it: (message, parsed body)."""
    tenant = tenants(one_pair, setup=False, overrides={"events": {"format": request.param, "on_poison": "reference"}})
    tenant.run(f"DROP TABLE tb_item; {_TABLES}")
    tenant.streamer.setup()
    tenant.streamer.start()
    statements = STATEMENTS if request.param == "fraiseql" else STATEMENTS | WITHOUT_UUID
    for statement in statements.values():
        if statement:
            tenant.run(statement)
    tenant.wait_stored(len(statements))
    tenant.wait_confirmed()
    events = tenant.events()
    kinds = {kind: (event, event.json) for kind, event in zip(statements, events, strict=True)}
    done = tenant.streamer.command("tail", "--from", "first", "--count", "2", "--entity", "Order", "--operation", "UPDATE", "--json")
    assert len(done.stdout.splitlines()) == 2, "tail knows entity and operation in every format"
    return request.param, kinds


def test_every_kind_of_event_is_valid_in_its_format(told, report):
    name, kinds = told
    for kind, (_, event) in kinds.items():
        try:
            validate(name, event)
        except jsonschema.ValidationError as error:
            raise AssertionError(f"{name}, {kind}: {error.message} in {json.dumps(event)[:500]}") from None
    report(f"format {name}: {len(kinds)} kinds of events valid")


def test_each_member_says_what_the_contract_says(told):
    name, kinds = told
    own = {"slotstream": lambda event: event, "cloudevents": lambda event: event["data"]}.get(name)
    if own:
        events = {kind: own(event) for kind, (_, event) in kinds.items()}
        assert events["insert"]["entity"] == {"id": IDENTITY, "status": "pending", "big": None}
        assert "before" not in events["update without the old row"]
        assert events["update of the key"]["changes"]["id"]["old"] == IDENTITY
        assert events["full identity"]["before"]["status"] == "paid" and events["untouched"]["unchanged"] == ["big"]
        assert "omitted" in events["too large"] and events["truncate"]["truncate"] == {"cascade": False, "restart_identity": False}
        assert events["delete under full identity"]["entity"] == {"id": IDENTITY, "note": "n"}
        cascade = [events[kind] for kind in ("truncate with cascade", "truncate by cascade")]
        assert sorted(event["entity_type"] for event in cascade) == ["Child", "Parent"]
        assert all(event["truncate"] == {"cascade": True, "restart_identity": False} for event in cascade)
        large = events["message that is too large"]
        assert "omitted" in large and "entity" not in large and large["kept"] == 1
        assert "entity_id" not in events["without entity_id"]
        assert events["message with a number"]["entity_id"] == 7 and events["message with null"]["entity_id"] is None
        assert events["message"]["more"] is True and events["message"]["entity"] == [1.5] and "schema" not in events["message"]["source"]
        assert all(event["id"] == message.id for (message, _), event in zip(kinds.values(), events.values()))
    if name == "cloudevents":
        for kind, (message, event) in kinds.items():
            assert event["id"] == message.id
            # A message may say a time of its own; the envelope's is the commit's.
            said = "2026-11-23T07:09:12Z" if kind == "message" else event["time"]
            assert event["data"]["timestamp"] == said and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", event["time"])
            assert event["source"] == f"/slotstream/{message.id.split('.')[0]}/{event['data']['source']['database']}"
            assert event["type"] == f"{event['data']['entity_type']}.{event['data']['operation']}"
            identity = event["data"].get("entity_id")
            assert event.get("subject") == (None if identity is None else str(identity))
    if name == "fraiseql":
        for message, event in kinds.values():
            # FraiseQL's consumers read UUIDs: the same for the same message, computed by Python's own hands.
            assert event["id"] == str(uuid.uuid5(uuid.NAMESPACE_OID, message.id))
            assert list(event) == [key for key in SCHEMAS[name]["required"][:6] + ["omitted"] + SCHEMAS[name]["required"][6:]
                                   if key != "omitted" or "omitted" in event]
        events = {kind: event for kind, (_, event) in kinds.items()}
        assert {kind: event["event_type"] for kind, event in events.items()} == {
            kind: OPERATIONS[kind] if OPERATIONS[kind] in ("INSERT", "UPDATE", "DELETE") else "CUSTOM" for kind in STATEMENTS}
        assert events["insert"]["data"] == {"id": IDENTITY, "status": "pending", "big": None} and events["insert"]["changes"] is None
        assert events["update of the key"]["changes"]["id"]["old"] == IDENTITY
        assert events["delete"]["data"] == {"id": events["delete"]["entity_id"]} and events["too large"]["data"] is None
        assert events["delete under full identity"]["data"] == {"id": IDENTITY, "note": "n"}
        for kind in ("truncate", "truncate with cascade", "truncate by cascade"):
            assert events[kind]["entity_id"] == str(uuid.UUID(int=0)) and events[kind]["data"] is None
        large = events["message that is too large"]
        assert large["data"] is None and large["omitted"] and large["entity_id"] == IDENTITY
        assert events["message"]["data"] == [1.5] and events["message"]["timestamp"] == "2026-11-23T07:09:12Z"
        # What is no such object would break FraiseQL's reader.
        assert events["message of its own"]["changes"] is None


def test_the_subjects_are_the_same_in_every_format(told):
    _, kinds = told
    assert {kind: message.subject.split(".")[-1] for kind, (message, _) in kinds.items()} == {kind: OPERATIONS[kind] for kind in kinds}


def test_attributes_of_cloudevents_hold_no_control_characters(one_pair, tenants):
    # CloudEvents 1.0 forbids U+0000 to U+001F, U+007F to U+009F and noncharacters in the string of an attribute; data may have them.
    tenant = tenants(one_pair, setup=False, overrides={"events": {"format": "cloudevents"}})
    tenant.run('CREATE TABLE "tb_a\tb\x7f\x85\r\n%09" (id TEXT PRIMARY KEY)')
    tenant.streamer.setup()
    tenant.streamer.start()
    keys = ["k\tey", "\x01\x1f\x7f\x80\x9f", "\ufdd0\uffff\U0001ffff", 'é 😀 "%09" \\ \u00a0']
    with tenant.connect() as connection:
        for key in keys:
            connection.execute('INSERT INTO "tb_a\tb\x7f\x85\r\n%%09" VALUES (%s)', (key,))
        connection.execute("SELECT pg_logical_emit_message(true, 'fraiseql_events', %s)", (
            '{"entity_type": "A\\u0009", "operation": "B\\u0085", "entity_id": "\\u0000\\uffff\\ud83d\\ude00"}',))
    tenant.wait_stored(len(keys) + 1)
    events = [event.json for event in tenant.events()]
    for event in events:
        validate("cloudevents", event)
    assert {event["type"] for event in events[:-1]} == {"A%09b%7F%C2%85%0D%0A%09.INSERT"}
    assert [event["subject"] for event in events[:-1]] == [
        "k%09ey", "%01%1F%7F%C2%80%C2%9F", "%EF%B7%90%EF%BF%BF%F0%9F%BF%BF", keys[3]]
    assert [event["data"]["entity_id"] for event in events[:-1]] == keys
    assert events[0]["data"]["source"]["table"] == "tb_a\tb\x7f\x85\r\n%09"
    assert (events[-1]["type"], events[-1]["subject"]) == ("A%09.B%C2%85", "%00%EF%BF%BF😀")
    assert events[-1]["data"]["entity_id"] == "\0\uffff😀"


def test_an_entity_id_that_is_no_uuid_is_poison_in_fraiseqls_format(one_pair, tenants):
    tenant = tenants(one_pair, overrides={"events": {"format": "fraiseql", "on_poison": "stop"}})
    tenant.streamer.start()
    tenant.commit(1)
    said = stopped(tenant.streamer, 65, "poison_event")
    assert "public.tb_item" in said and "UUID" in said
    assert tenant.last_sequence() == 0


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_what_is_quarantined_is_valid_in_its_format(name, one_pair, tenants):
    tenant = tenants(one_pair, overrides={"events": {"format": name}})
    tenant.streamer.start()
    tenant.run(r"SELECT pg_logical_emit_message(true, 'fraiseql_events', '\xff00'::bytea)")
    tenant.run("SELECT pg_logical_emit_message(true, 'fraiseql_events', repeat(E'\\u0001', 200000))")
    tenant.run("INSERT INTO tb_item VALUES (1, repeat('x', 2000000))")
    tenant.wait_stored(3)
    tenant.wait_confirmed()
    for event in tenant.events():
        assert event.subject == f"{tenant.prefix}._slotstream.POISON"
        validate(name, event.json)


def test_last_is_right_in_an_envelope_too(one_pair, tenants):
    tenant = tenants(one_pair, overrides={"events": {"format": "cloudevents"}})
    tenant.streamer.start()
    tenant.commit(1, 2, 3)
    tenant.commit(4)
    tenant.wait_stored(4)
    assert [event.json["data"]["transaction"]["last"] for event in tenant.events()] == [False, False, True, True]
    assert all(members(event.body)["data"].startswith('{"id":"') for event in tenant.events())


@pytest.mark.parametrize("name", list(SCHEMAS))
def test_the_schemas_refuse_what_is_none(name):
    jsonschema.Draft202012Validator.check_schema(SCHEMAS[name])
    for event in ({}, {"id": "x"}, []):
        with pytest.raises(jsonschema.ValidationError):
            validate(name, event)


def test_the_schema_tells_the_kinds_apart():
    event = {"id": "1.2.1.3.0000000000000001.1", "entity_type": "A", "operation": "INSERT", "entity_id": "1",
             "timestamp": "2026-11-23T07:09:12.000000+00:00", "entity": {}, "transaction": {"id": 3, "lsn": "0/1", "ordinal": 1, "last": True},
             "source": {"database": "d", "schema": "s", "table": "t"}}
    validate("slotstream", event)
    for change in ({"operation": "SHIPPED"}, {"entity": []}, {"entity_id": 1}, {"before": {}}, {"unchanged": []}, {"other": 1}, {"id": "gap"},
                   {"truncate": {"cascade": True, "restart_identity": True}}, {"timestamp": "yesterday"}, {"omitted": "x"},
                   {"transaction": {"lsn": "0/1", "ordinal": -1, "last": True}}):
        with pytest.raises(jsonschema.ValidationError):
            validate("slotstream", event | change)
