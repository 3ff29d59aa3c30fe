"""The replay window: an anchor slot that trails by a time and a byte limit, and repairs a stream that lost its end."""

import shutil

import pytest

from servers.tools import wait_until
from tenants import own, record_entries, stopped, tenant_maker, tenants  # noqa: F401
from windows import WINDOW, anchor, started

_SHORT = {"replay": {"window": "2s"}}


def test_the_anchor_is_made_trails_and_is_told(pair, tenants):
    tenant = tenants(pair, overrides=_SHORT)
    started(tenant)
    begin = anchor(tenant)[0]
    tenant.commit_each(1, 20)
    confirmed = tenant.wait_confirmed()
    # What is older than the window is let go of, and nothing that is not confirmed.
    wait_until(lambda: begin < anchor(tenant)[0] <= tenant.confirmed(), 60, "the anchor moves")
    wait_until(lambda: anchor(tenant)[0] >= confirmed, 60, "the anchor follows")
    window = wait_until(lambda: tenant.streamer.status().get("window"), 10, "it is told")
    assert window["slot"] == f"{tenant.name}_anchor" and window["from_lsn"] and window["from_time"] and window["bytes"] >= 0
    assert tenant.streamer.metric("slotstream_replay_window_moves_total") >= 1
    assert 0 <= tenant.streamer.metric("slotstream_replay_window_seconds") < 600


def test_a_window_of_bytes_lets_go_before_its_time(pair, tenants):
    tenant = tenants(pair, overrides={"replay": {"window": "1s", "window_bytes": 1 << 20}})
    started(tenant)
    begin = anchor(tenant)[0]
    for _ in range(8):
        tenant.run("SELECT pg_logical_emit_message(false, 'filler', repeat('x', 1000000))")
    wait_until(lambda: anchor(tenant)[0] > begin + (4 << 20), 60, "the anchor moves though its time is not over")
    assert anchor(tenant)[0] <= tenant.confirmed()


def test_without_a_window_the_anchor_is_dropped(pair, tenants):
    tenant = tenants(pair, overrides=WINDOW)
    started(tenant)
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    again = tenant.another({"replay": {"window": "0"}})
    again.start()
    wait_until(lambda: anchor(tenant) is None, 60, "the anchor is gone")
    assert record_entries(again, "dropped the anchor slot: replay.window is 0")
    tenant.commit(1)
    tenant.wait_stored(1)


def test_an_anchor_that_postgresql_invalidated_is_made_anew(one_pair, own):
    tenant = own(one_pair, overrides=WINDOW)
    tenant.postgres.run("ALTER SYSTEM SET max_slot_wal_keep_size = '48MB'")
    tenant.postgres.run("SELECT pg_reload_conf()")
    started(tenant)
    # Faster than the anchor is looked at; the live slot follows.
    for number in range(1, 9):
        tenant.run(f"INSERT INTO tb_item VALUES ({number}); SELECT pg_logical_emit_message(false, 'filler', 'x'), pg_switch_wal()")
        # The live slot's own WAL begins where a checkpoint has noted which transactions run.
        tenant.run("CHECKPOINT")
        tenant.wait_confirmed()
    wait_until(lambda: record_entries(tenant.streamer, "PostgreSQL invalidated the anchor slot: the replay window begins anew"), 60, "it says so")
    wait_until(lambda: (anchor(tenant) or (0, "lost"))[1] != "lost", 60, "there is a new anchor")
    tenant.require_exact(*range(1, 9))


def _stopped_server(tenant):
    """The streamer and nats-server ended in order: the store is whole on the disk."""
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    server = tenant.nats.servers[0]
    server.stop()
    return server


def _keep(tenant, copy):
    """A copy of nats-server's store as it is now."""
    server = _stopped_server(tenant)
    shutil.copytree(server.folder / "jetstream", copy)
    server.launch()


def _roll_back(tenant, copy, within: str = "."):
    """The store of nats-server is again as it was when `copy` was made, or what is `within` it."""
    server = _stopped_server(tenant)
    shutil.rmtree(server.folder / "jetstream" / within)
    shutil.copytree(copy / within, server.folder / "jetstream" / within)
    server.launch()


@pytest.mark.parametrize("before", [3, 0], ids=["its end", "all of it"])
def test_a_store_that_was_rolled_back_is_repaired_at_start(single_pair, own, tmp_path, before):
    """The stream and the record are as they were; PostgreSQL was told of what is lost."""
    tenant = own(single_pair, overrides=WINDOW)
    if not before:
        # One that reaches back to where the stream begins: PostgreSQL 17 and newer make it where the server stands.
        tenant.run(f"SELECT pg_copy_logical_replication_slot('{tenant.name}', '{tenant.name}_anchor', false)")
    started(tenant)
    if before:
        tenant.commit_each(1, before)
        tenant.wait_confirmed()
    _keep(tenant, tmp_path / "copy")
    tenant.streamer.start()
    tenant.commit_each(before + 1, before + 40)
    tenant.wait_confirmed()
    truth = [(event.id, event.subject, event.json) for event in tenant.events()]
    _roll_back(tenant, tmp_path / "copy")
    assert len(tenant.events()) == before
    tenant.streamer.start()
    tenant.commit_each(before + 41, before + 43)
    tenant.wait_stored(before + 43)
    tenant.wait_confirmed()
    assert [(event.id, event.subject, event.json) for event in tenant.events()][:before + 40] == truth
    tenant.require_exact(*range(1, before + 44))
    assert record_entries(tenant.streamer, "the stream's end is repaired: every event that was missing is stored again")
    assert tenant.streamer.metric("slotstream_tail_repairs_total") == 1


@pytest.mark.parametrize("point", ["recovering", "after_ownership", "after_send:5", "after_ack", "before_record", "after_record", "after_status"])
def test_a_repair_that_is_killed_goes_on(one_pair, own, tmp_path, point):
    tenant = own(one_pair, overrides=WINDOW)
    started(tenant)
    tenant.commit_each(1, 3)
    tenant.wait_confirmed()
    _keep(tenant, tmp_path / "copy")
    tenant.streamer.start()
    tenant.commit_each(4, 60)
    tenant.wait_confirmed()
    _roll_back(tenant, tmp_path / "copy")
    name, _, number = point.partition(":")
    tenant.streamer.environment["SLOTSTREAM_FAILPOINT"] = f"{name}=kill" + (f":{number}" if number else "")
    tenant.streamer.start(wait=False)
    assert tenant.streamer.wait(60) == -9
    del tenant.streamer.environment["SLOTSTREAM_FAILPOINT"]
    tenant.streamer.start()
    tenant.commit(61)
    tenant.wait_stored(61)
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, 62))


def test_without_a_window_a_lost_end_stays_lost_history(one_pair, own, tmp_path):
    tenant = own(one_pair)
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_confirmed()
    _keep(tenant, tmp_path / "copy")
    tenant.streamer.start()
    tenant.commit_each(4, 6)
    tenant.wait_confirmed()
    _roll_back(tenant, tmp_path / "copy")
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 73, "slot_ahead", seconds=60)


def test_whoever_drops_the_slot_is_told_of_its_anchor(one_pair, tenants):
    tenant = tenants(one_pair, overrides=WINDOW)
    started(tenant)
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    said = tenant.streamer.command("slot", "drop", tenant.name, "--yes").stderr
    assert f"slotstream slot drop {tenant.name}_anchor" in said
    assert tenant.streamer.command("slot", "drop", f"{tenant.name}_anchor", "--yes").stderr == ""
    assert anchor(tenant) is None


@pytest.mark.parametrize("point", ["after_ownership", "before_record"])
def test_a_stream_that_lost_all_of_it_and_kept_its_record_is_repaired_after_a_kill(single_pair, own, tmp_path, point):
    tenant = own(single_pair, overrides=WINDOW)
    # An anchor that reaches back to where the stream begins.
    tenant.run(f"SELECT pg_copy_logical_replication_slot('{tenant.name}', '{tenant.name}_anchor', false)")
    started(tenant)
    _keep(tenant, tmp_path / "copy")
    tenant.streamer.start()
    tenant.commit_each(1, 20)
    tenant.wait_confirmed()
    _roll_back(tenant, tmp_path / "copy", f"$G/streams/{tenant.name}")
    assert tenant.last_sequence() == 0 and tenant.administrator.record(tenant.name)["last_sequence"] == 20
    tenant.streamer.environment["SLOTSTREAM_FAILPOINT"] = f"{point}=kill"
    tenant.streamer.start(wait=False)
    assert tenant.streamer.wait(60) == -9
    del tenant.streamer.environment["SLOTSTREAM_FAILPOINT"]
    tenant.streamer.start()
    tenant.commit(21)
    tenant.wait_stored(21)
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, 22))


def test_a_message_whose_record_ends_where_the_slot_stands_is_repaired_too(single_pair, own, tmp_path):
    tenant = own(single_pair, overrides=WINDOW)
    started(tenant)
    tenant.commit(1)
    tenant.wait_confirmed()
    _keep(tenant, tmp_path / "copy")
    tenant.streamer.start()
    body = '{"entity_type": "Order", "operation": "SHIPPED", "entity_id": "7"}'
    tenant.run(f"SELECT pg_logical_emit_message(false, 'fraiseql_events', '{body}')")
    tenant.wait_stored(2)
    tenant.wait_confirmed()
    truth = [event.id for event in tenant.events()]
    _roll_back(tenant, tmp_path / "copy")
    tenant.streamer.start()
    tenant.commit(2)
    tenant.wait_stored(3)
    tenant.wait_confirmed()
    assert [event.id for event in tenant.events()][:2] == truth
