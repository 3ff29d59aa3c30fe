"""`slotstream verify`: every fault that was planted in a stream is found, and nothing else is."""

import json

import pytest

from conftest import POSTGRES_PAIRS
from servers.tools import wait_until
from tenants import PATIENT, tenant_maker, tenants  # noqa: F401
from windows import WINDOW, started


def _verify(tenant, *arguments: str, expect: int = 0) -> dict:
    return json.loads(tenant.streamer.command("verify", "--json", *arguments, expect=expect).stdout)


def _filled(tenant, count: int = 40):
    started(tenant)
    tenant.commit_each(1, count)
    tenant.wait_confirmed()
    return tenant.events()


def _differences(told: dict) -> list[tuple]:
    return [(found["kind"], found.get("lsn"), found.get("sequence")) for found in told["differences"]]


@pytest.mark.parametrize("versions", POSTGRES_PAIRS, ids=str)
def test_a_whole_stream_is_verified_while_it_is_written_to(versions, tenants):
    tenant = tenants(versions, overrides=WINDOW)
    _filled(tenant)
    tenant.run("UPDATE tb_item SET note = repeat('x', 20000) WHERE n = 3; UPDATE tb_item SET n = 100 WHERE n = 3; TRUNCATE tb_item")
    tenant.commit(200)
    tenant.wait_confirmed()
    told = _verify(tenant)
    assert told["verified"] and told["compared"] == 44 and told["transactions"] == 42 and told["differences"] == []
    assert told["range"]["from_lsn"] and told["range"]["to_lsn"]
    said = tenant.streamer.command("verify").stdout
    assert "VERIFIED from" in said and "44 events compared: 0 missing, 0 doubled, 0 reordered, 0 altered, 0 foreign" in said
    assert _verify(tenant, "--from-sequence", "10", "--to-sequence", "20")["compared"] == 11


def test_deleted_messages_are_missing(pair, tenants):
    tenant = tenants(pair, overrides=WINDOW)
    events = _filled(tenant)
    deleted = [events[index] for index in (4, 5, 17, 30)]
    for event in deleted:
        tenant.administrator.delete_message(tenant.name, event.sequence)
    told = _verify(tenant, expect=1)
    assert _differences(told) == [("missing", event.json["transaction"]["lsn"], None) for event in deleted]
    assert [found["id"] for found in told["differences"]] == [event.id for event in deleted]
    assert told["deleted_sequences"] == 4 and told["compared"] == 36
    assert all(json.loads(found["expected"].split(" ", 1)[1])["id"] == found["id"] for found in told["differences"])
    said = tenant.streamer.command("verify", expect=1).stdout
    assert "NOT VERIFIED: 4 differences" in said and "slotstream replay --missing-only" in said


def test_what_retention_removed_is_not_missing(pair, tenants):
    tenant = tenants(pair, overrides=WINDOW)
    events = _filled(tenant)
    tenant.administrator.api(f"STREAM.PURGE.{tenant.name}", keep=30)
    told = _verify(tenant)
    assert told["verified"] and told["retired"] == 10 and told["compared"] == 30
    assert told["range"]["from_sequence"] == events[10].sequence


def test_a_stored_event_that_was_altered_doubled_or_made_up_is_found(pair, tenants):
    """By somebody who writes into the stream beside the streamer, chained to nothing."""
    tenant = tenants(pair, overrides=WINDOW | {"delivery": {"checkpoint_interval": "100ms"}})
    events = _filled(tenant, 10)
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    publish = tenant.administrator.publish
    # JetStream appends only: what is altered in its place is the last one.
    altered = events[9]
    tenant.administrator.delete_message(tenant.name, altered.sequence)
    body = dict(altered.json, entity={"n": 10, "note": "forged"})
    tenant.administrator.update(tenant.name, duplicate_window=100_000_000)
    wait_until(lambda: not publish(altered.subject, json.dumps(body).encode(), Nats_Msg_Id=altered.id).duplicate, 30, "the forged event is stored")
    wait_until(lambda: not publish(events[7].subject, json.dumps(events[7].json).encode(), Nats_Msg_Id=events[7].id).duplicate, 30, "the double is stored")
    told = _verify(tenant, expect=1)
    kinds = sorted((found["kind"], found["id"]) for found in told["differences"])
    assert kinds == sorted([("altered", altered.id), ("doubled", events[7].id)]), told["differences"]
    assert told["compared"] == 10


def test_a_stray_is_told_and_is_no_difference(one_pair, tenants):
    tenant = tenants(one_pair, overrides=WINDOW)
    _filled(tenant, 5)
    tenant.administrator.publish(f"{tenant.prefix}.stray", b"{}")
    tenant.commit(6)
    tenant.wait_confirmed()
    told = _verify(tenant)
    assert told["verified"] and told["strays"] == 1 and told["compared"] == 6


def test_an_accepted_gap_is_named_and_not_counted(one_pair, tenants):
    tenant = tenants(one_pair, overrides=WINDOW)
    _filled(tenant, 5)
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    # Somebody moves the slot over changes that are not stored; the anchor is older, but the streamer is told to leave it.
    tenant.commit_each(6, 8)
    tenant.run(f"SELECT pg_replication_slot_advance('{tenant.name}', pg_current_wal_lsn())")
    anchor = f"{tenant.name}_anchor"
    tenant.run(f"SELECT pg_copy_logical_replication_slot('{anchor}', 'kept', false); SELECT pg_drop_replication_slot('{anchor}')")
    tenant.streamer.command("slot", "advance", "--accept-gap", "--by", "ann")
    tenant.commit(9)
    tenant.streamer.start()
    tenant.wait_confirmed()
    told = _verify(tenant, "--slot", "kept")
    assert told["verified"] and told["accepted"] == 3 and told["compared"] == 6
    assert told["gaps"][0]["accepted_by"] == "ann" and told["gaps"][0]["reason"] == "slot_ahead"


def test_without_a_window_the_stream_proves_what_it_can(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit(1, 2, 3)
    tenant.commit_each(4, 10)
    tenant.wait_confirmed()
    told = _verify(tenant)
    assert told["verified"] and told["proven_by_stream"] == 10 and "to_lsn" not in told["range"]
    # The middle of a transaction, and one of its own.
    tenant.administrator.delete_message(tenant.name, 3)
    tenant.administrator.delete_message(tenant.name, 6)
    told = _verify(tenant, expect=1)
    assert told["deleted_sequences"] == 2
    assert [found["kind"] for found in told["differences"]] == ["missing", "missing"]
    assert "its transaction" in told["differences"][0]["subject"] or told["differences"][0]["id"].startswith("behind ")


def test_changed_rules_show_as_altered(one_pair, tenants):
    tenant = tenants(one_pair, overrides=WINDOW)
    _filled(tenant, 3)
    config = tenant.streamer.config
    config.write_text(config.read_text() + '[events.columns.exclude]\n"public.tb_item" = ["note"]\n')
    told = _verify(tenant, expect=1)
    assert [found["kind"] for found in told["differences"]] == ["altered"] * 3
    assert "note" in told["differences"][0]["stored"] and "note" not in told["differences"][0]["expected"]


def test_messages_outside_transactions_are_verified_whose_time_nobody_keeps(pair, tenants):
    tenant = tenants(pair, overrides=WINDOW)
    _filled(tenant, 3)
    body = '{"entity_type": "Order", "operation": "SHIPPED", "entity_id": "7"}'
    for transactional in ("false", "true", "false"):
        tenant.run(f"SELECT pg_logical_emit_message({transactional}, 'fraiseql_events', '{body}')")
    # PostgreSQL writes a message outside transactions with the next commit.
    tenant.commit(4)
    tenant.wait_confirmed()
    told = _verify(tenant)
    assert told["verified"] and told["compared"] == 7, told
    # The time of a transaction's message is its commit's; that of the others is nobody's, and they are within every range of times.
    now = tenant.value("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
    assert _verify(tenant, "--from-time", "1h", "--to-time", now)["verified"]
    assert _verify(tenant, "--to-time", "2020-01-01T00:00:00Z")["verified"]


def test_a_skipped_change_is_accepted(one_pair, tenants):
    tenant = tenants(one_pair, overrides=WINDOW | {"events": {"on_poison": "stop"}})
    started(tenant)
    tenant.commit_each(1, 2)
    tenant.wait_confirmed()
    tenant.administrator.update(tenant.name, max_msg_size=2_000)
    tenant.streamer.terminate()
    tenant.wait_free()
    tenant.streamer.start()
    with tenant.connect() as connection, connection.transaction():
        connection.execute("INSERT INTO tb_item VALUES (3, 'x')")
        connection.execute("INSERT INTO tb_item VALUES (4, repeat('x', 5000))")
    assert tenant.streamer.wait(60) == 65
    lsn = tenant.streamer.log_entries()[-1]["remedy"].split("--at ")[1].split()[0]
    tenant.streamer.command("skip", "--at", lsn, "--by", "ann")
    tenant.streamer.start()
    tenant.commit(5)
    tenant.wait_confirmed()
    told = _verify(tenant)
    assert told["verified"] and (told["compared"], told["accepted"]) == (4, 1), told
    replayed = tenant.streamer.command("replay", "--json", "--into-prefix", f"again.{tenant.name}")
    # The target takes it.
    assert json.loads(replayed.stdout)["published"] == 5
