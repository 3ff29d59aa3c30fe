"""A stream that another writer, such as FraiseQL's own NATS backend, has written to before anything was set up for it."""

import json
import re
import uuid

import pytest

from conftest import PAIRS
from servers.tools import CHECKOUT, wait_until
from tenants import record_entries, refused, stopped, tenant_maker, tenants  # noqa: F401

# nats-server 2.9 knows no `first_seq`.
_new_pair = pytest.mark.parametrize("new_pair", PAIRS[1:], ids=str)


def _event(number: int) -> bytes:
    """An event as FraiseQL's own backend publishes it: without any header."""
    return json.dumps({
        "id": str(uuid.uuid4()), "event_type": "INSERT", "entity_type": "Item", "entity_id": str(uuid.uuid4()),
        "data": {"n": number}, "changes": None, "user_id": None, "timestamp": "2026-11-28T18:00:00Z"}).encode()


def _theirs(tenant, count: int = 3) -> list:
    """The stream as FraiseQL makes it, with so many events of FraiseQL's own; returns them as they are stored."""
    tenant.administrator.add(tenant.name, subjects=[f"{tenant.prefix}.>"], storage="file", max_msgs=10_000_000,
                             max_bytes=2**28, num_replicas=tenant.nats.replicas)
    for number in range(count):
        tenant.administrator.publish(f"{tenant.prefix}.Item.INSERT", _event(number))
    return tenant.events()


def _after(tenant, last: int) -> list[int]:
    """The rows that stand behind that sequence, each chained to the message before it."""
    events = [event for event in tenant.events() if event.sequence > last]
    for previous, event in zip([last, *(event.sequence for event in events)], events):
        assert event.expected_last == previous, f"sequence {event.sequence} is chained to {event.expected_last}"
    return [event.json["entity"]["n"] for event in events]


def test_a_stream_that_another_writer_wrote_to_is_named_and_begun_behind_on_purpose(pair, tenants):
    tenant = tenants(pair, setup=False)
    theirs = _theirs(tenant)
    state = tenant.administrator.state(tenant.name)
    for command in (["setup"], ["setup", "--dry-run"], ["slot", "create"], ["slot", "advance", "--accept-gap"]):
        said = refused(tenant.streamer, 76, "foreign_message", *command)
        assert "3 messages of another writer" in said and "setup --after-foreign" in said and "backend" in said, said
    tenant.streamer.start(wait=False)
    assert "3 messages of another writer" in stopped(tenant.streamer, 76, "foreign_message")
    assert tenant.administrator.state(tenant.name) == state
    assert "behind sequence 3" in tenant.streamer.command("setup", "--after-foreign", "--dry-run").stdout
    refused(tenant.streamer, 76, "foreign_message", "setup")

    # As the remedy says.
    said = tenant.streamer.command("setup", "--after-foreign").stdout
    assert "begins behind 3 messages of another writer" in said, said
    record = tenant.administrator.record(tenant.name)
    assert (record["genesis"]["kind"], record["genesis"]["after_foreign"], record["settled_sequence"]) == ("created", 3, 3)
    # Once: from here on everything is as ever.
    assert "everything is there already" in tenant.streamer.command("setup").stdout
    for first in (1, 4):
        tenant.streamer.start()
        tenant.commit_each(first, first + 2)
        tenant.wait_stored(first + 5)
        tenant.wait_confirmed()
        assert tenant.streamer.status()["counters"]["strays"] == 0
        tenant.streamer.kill()
        tenant.wait_free()
    assert tenant.events()[:3] == theirs
    assert _after(tenant, 3) == [1, 2, 3, 4, 5, 6]
    assert tenant.administrator.record(tenant.name)["genesis"]["after_foreign"] == 3


def test_their_messages_may_go_and_their_writer_may_go_on(pair, tenants):
    tenant = tenants(pair, setup=False)
    _theirs(tenant)
    tenant.streamer.command("setup", "--after-foreign")
    # Still on: a stray, which is told.
    tenant.administrator.publish(f"{tenant.prefix}.Item.INSERT", _event(3))
    for number in (1, 2):
        tenant.administrator.delete_message(tenant.name, number)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(5)
    tenant.wait_confirmed()
    assert tenant.streamer.status()["counters"]["strays"] == 1
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    tenant.administrator.api(f"STREAM.PURGE.{tenant.name}", seq=5)
    tenant.streamer.start()
    tenant.commit(2)
    tenant.wait_stored(6)
    assert _after(tenant, 4) == [1, 2]


def test_a_stream_that_was_emptied_is_begun_behind_too(pair, tenants):
    tenant = tenants(pair, setup=False)
    _theirs(tenant)
    tenant.administrator.purge(tenant.name)
    said = refused(tenant.streamer, 73, "slot_missing", "setup")
    assert "is empty, but held messages up to sequence 3" in said and "--after-foreign" in said, said
    tenant.streamer.command("setup", "--after-foreign")
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(4)
    assert _after(tenant, 3) == [1]


def test_a_slot_that_a_dba_made_is_adopted_behind_another_writers_messages(pair, tenants):
    tenant = tenants(pair, setup=False)
    _theirs(tenant)
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR ALL TABLES")
    tenant.run(f"SELECT pg_create_logical_replication_slot('{tenant.name}', 'pgoutput')")
    tenant.commit(1)
    said = refused(tenant.streamer, 73, "bucket_missing", "setup", "--adopt-slot")
    assert "setup --adopt-slot --after-foreign" in said, said
    refused(tenant.streamer, 73, "bucket_missing", "setup", "--after-foreign")
    tenant.streamer.command("setup", "--adopt-slot", "--after-foreign")
    tenant.streamer.start()
    tenant.commit(2)
    tenant.wait_stored(5)
    assert _after(tenant, 3) == [1, 2]


def test_an_interrupted_setup_behind_another_writer_goes_on_as_it_was_begun(pair, tenants):
    tenant = tenants(pair, setup=False)
    _theirs(tenant)
    with tenant.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO tb_item VALUES (1)")
        process, _ = tenant.streamer.begin("setup", "--after-foreign")
        tenant.wait_slot_waits()
        process.kill()
        process.wait()
        connection.execute("COMMIT")
    # On purpose it was, and is no purpose for what came meanwhile.
    wait_until(lambda: tenant.holder() is None, 30, "the server has noticed")
    tenant.streamer.start()
    tenant.streamer.wait_streaming()
    tenant.commit(2)
    tenant.wait_stored(4)
    assert _after(tenant, 3) == [2]
    assert tenant.administrator.record(tenant.name)["genesis"]["after_foreign"] == 3


def test_a_message_that_comes_while_a_setup_is_interrupted_is_no_dead_end(pair, tenants):
    tenant = tenants(pair, setup=False)
    with tenant.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO tb_item VALUES (1)")
        process, _ = tenant.streamer.begin("setup")
        tenant.wait_slot_waits()
        process.kill()
        process.wait()
        tenant.administrator.publish(f"{tenant.prefix}.Item.INSERT", _event(1))
        connection.execute("COMMIT")
    wait_until(lambda: tenant.holder() is None, 30, "the server has noticed")
    assert "1 message of another writer" in refused(tenant.streamer, 76, "foreign_message", "setup")
    tenant.streamer.command("setup", "--after-foreign")
    tenant.streamer.start()
    tenant.commit(2)
    tenant.wait_stored(2)
    assert _after(tenant, 1) == [2]


def test_an_event_of_ours_deep_in_the_stream_is_lost_history_all_the_same(one_pair, tenants):
    """Whatever the end of the stream is full of: `--after-foreign` looks through all of it."""
    tenant = tenants(one_pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    tenant.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")
    tenant.administrator.delete_record(tenant.name)
    tenant.administrator.publish_all(f"{tenant.prefix}.Item.INSERT", [(b"x", f"theirs-{n}") for n in range(10_000)])
    refused(tenant.streamer, 76, "foreign_message", "setup")
    said = refused(tenant.streamer, 73, "slot_missing", "setup", "--after-foreign")
    assert "holds events up to" in said, said
    assert tenant.value("SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s", (tenant.name,)) == 0


def test_a_stream_of_another_slotstream_is_not_begun_behind(pair, tenants):
    other = tenants(pair)
    other.streamer.start()
    other.commit(1)
    other.wait_stored(1)
    assert other.streamer.terminate() == 0
    tenant = tenants(pair, setup=False, overrides={"transport.nats": {"stream_name": other.name, "subject_prefix": other.prefix}})
    other.administrator.delete_record(other.name)
    for command in (["setup"], ["setup", "--after-foreign"]):
        said = refused(tenant.streamer, 76, "foreign_message", *command)
        assert "another Slotstream" in said and "stream_name" in said, said


@_new_pair
def test_a_stream_that_begins_later_is_an_empty_stream(new_pair, tenants):
    tenant = tenants(new_pair, setup=False)
    tenant.administrator.add(tenant.name, subjects=[f"{tenant.prefix}.>"], storage="file", first_seq=1000,
                             num_replicas=tenant.nats.replicas, allow_direct=True)
    tenant.streamer.setup()
    assert "after_foreign" not in tenant.administrator.record(tenant.name)["genesis"]
    assert tenant.streamer.command("setup").returncode == 0
    for number in (1, 2):
        tenant.streamer.start()
        tenant.commit(number)
        tenant.wait_stored(999 + number)
        tenant.wait_confirmed()
        tenant.streamer.kill()
        tenant.wait_free()
    assert _after(tenant, 999) == [1, 2]
    assert not record_entries(tenant.streamer, "stopped")
    # And it is one that can be emptied, and is lost history then as any.
    tenant.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")
    tenant.administrator.delete_record(tenant.name)
    tenant.administrator.purge(tenant.name)
    refused(tenant.streamer, 73, "slot_missing", "setup")


@_new_pair
def test_a_first_start_of_run_takes_a_stream_that_begins_later(new_pair, tenants):
    tenant = tenants(new_pair, setup=False)
    tenant.administrator.add(tenant.name, subjects=[f"{tenant.prefix}.>"], storage="file", first_seq=77,
                             num_replicas=tenant.nats.replicas, allow_direct=True)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(77)
    assert _after(tenant, 76) == [1]


def test_the_page_on_moving_over_finds_the_triggers(one_pair, tenants):
    tenant = tenants(one_pair, setup=False)
    page = (CHECKOUT / "deploy" / "docs" / "fraiseql.md").read_text()
    query = re.search(r"```sql\n(SELECT t\.tgrelid.*?);\n```", page, re.DOTALL).group(1)
    for name, body in (("announces", "PERFORM pg_logical_emit_message(true, 'fraiseql_events', '{}')"),
                       ("notifies", "PERFORM pg_notify('fraiseql_events', NEW.n::text)"), ("counts", "NEW.note := 'x'")):
        tenant.run(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NEW; END $$; "
                   f"CREATE TRIGGER {name} BEFORE INSERT ON tb_item FOR EACH ROW EXECUTE FUNCTION {name}()")
    with tenant.connect() as connection:
        found = {row[1] for row in connection.execute(query).fetchall()}
    assert found == {"announces", "notifies"}


def test_fraiseqls_own_configuration_is_named_for_what_it_is(one_pair, tenants):
    tenant = tenants(one_pair, setup=False)
    tenant.streamer.config = tenant.streamer.folder / "fraiseql.toml"
    tenant.streamer.config.write_text(
        '[schema]\nname = "shop"\n[database]\nurl = "${DATABASE_URL}"\n[observers]\nbackend = "nats"\n')
    for command in (["run"], ["setup"], ["config"]):
        said = tenant.streamer.command(*command, expect=78).stderr
        assert "the configuration of FraiseQL's server" in said and "--config fraiseql-observer.toml" in said, said
        assert "unknown key" not in said, said
