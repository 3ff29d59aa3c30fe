"""What cannot be joined to the position stops with 73 and its own reason, for `setup` too; none is passed over."""

import json
import shutil
import subprocess

import failpoints
import stream
from administrator import BUCKET
from remedies import follow
from servers.tools import wait_until
from tenants import (UNRECORDED, killed_unrecorded, refused, refused_everywhere, stopped, streamed,  # noqa: F401
                     tenant_maker, tenants)

ORDER_LINE = "INSERT INTO tb_order_line (identifier, run, client, seq) VALUES ('{}', 1, 1, 1)"


def _snapshotted(deployment):
    """Streams one row, stops the server and the streamer in order and copies the server's data folder: the copy's path."""
    postgres, streamer = deployment.postgres, deployment.streamer
    streamer.start()
    postgres.run(ORDER_LINE.format("before"))
    deployment.wait_confirmed()
    assert streamer.terminate() == 0
    postgres.stop()
    snapshot = deployment.folder / "snapshot"
    # -a: the files stay those of the user that PostgreSQL runs as.
    subprocess.run(["cp", "-a", postgres.data, snapshot], check=True)
    return snapshot


def _put_back(postgres, snapshot) -> None:
    """The running server's history ends here; the snapshot's goes on at the next start."""
    postgres.stop("immediate")
    shutil.rmtree(postgres.data)
    snapshot.rename(postgres.data)


def test_a_slot_without_its_record_is_lost_history_for_setup_too(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    tenant.administrator.delete_record(tenant.name)
    refused_everywhere(tenant, 73, "bucket_missing")
    # Written to: what was stored is not known, so the slot cannot be adopted either.
    refused(tenant.streamer, 73, "bucket_missing", "setup", "--adopt-slot")


def test_a_slot_without_the_bucket_is_lost_history_for_setup_too(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    tenant.administrator.delete(f"KV_{BUCKET}")
    refused_everywhere(tenant, 73, "bucket_missing")


def test_a_stream_that_was_deleted_is_lost_history_for_setup_too(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    tenant.administrator.delete(tenant.name)
    refused_everywhere(tenant, 73, "stream_missing")


def test_a_stream_that_was_deleted_before_anything_was_stored_is_lost_history_too(pair, tenants):
    tenant = tenants(pair)
    tenant.administrator.delete(tenant.name)
    refused_everywhere(tenant, 73, "stream_missing")


def test_a_stream_that_was_made_anew_is_lost_history_for_setup_too(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    config = tenant.administrator.config(tenant.name)
    tenant.administrator.delete(tenant.name)
    tenant.administrator.add(**config)
    refused_everywhere(tenant, 73, "stream_recreated")


def test_a_slot_that_was_dropped_is_lost_history_for_setup_too(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    tenant.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")
    refused_everywhere(tenant, 73, "slot_missing")


def test_status_says_why_a_streamer_has_stopped_when_it_is_there_no_more(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    assert "last_error" not in json.loads(tenant.streamer.command("status", "--json", expect=1).stdout)
    tenant.administrator.delete_record(tenant.name)
    tenant.streamer.start(wait=False)
    said = stopped(tenant.streamer, 73, "bucket_missing")
    status = json.loads(tenant.streamer.command("status", "--json", expect=1).stdout)
    assert status["role"] == "stopped"
    assert status["last_error"]["reason"] == "bucket_missing" and status["last_error"]["message"] in said
    assert any("--accept-gap" in reason for reason in status["reasons"]), status["reasons"]
    assert "bucket_missing" in tenant.streamer.command("status", expect=1).stdout


def test_a_written_stream_without_slot_and_record_is_lost_history(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    tenant.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")
    tenant.administrator.delete_record(tenant.name)
    refused_everywhere(tenant, 73, "slot_missing")


def test_a_slot_that_was_advanced_by_hand_is_refused_and_the_range_is_named(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    record = tenant.administrator.record(tenant.name)["confirmed_lsn"]
    tenant.commit(4)
    moved = tenant.value("SELECT end_lsn::text FROM pg_replication_slot_advance(%s, pg_current_wal_flush_lsn())",
                         (tenant.name,))
    refused(tenant.streamer, 73, "slot_ahead", "setup")
    tenant.streamer.start(wait=False)
    said = stopped(tenant.streamer, 73, "slot_ahead")
    assert record in said and moved in said, said
    assert tenant.stored() == [1, 2, 3]


def test_a_slot_that_was_made_anew_by_hand_is_refused(pair, tenants):
    # Pitfall 34.
    tenant = tenants(pair)
    streamed(tenant)
    tenant.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")
    tenant.commit(4)
    tenant.run(f"SELECT pg_create_logical_replication_slot('{tenant.name}', 'pgoutput')")
    refused(tenant.streamer, 73, "slot_ahead", "setup")
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 73, "slot_ahead")


def test_a_deleted_last_message_is_forgiven_when_the_record_is_of_its_sequence(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    tenant.administrator.delete_message(tenant.name, 3)
    tenant.commit(4)
    tenant.streamer.start()
    tenant.wait_stored(4)
    tenant.wait_confirmed()
    assert [event.sequence for event in tenant.events()] == [1, 2, 4]
    assert tenant.stored() == [1, 2, 4]


def test_a_purged_stream_goes_on_when_the_record_is_of_its_last_sequence(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    tenant.administrator.purge(tenant.name)
    tenant.commit(4)
    tenant.streamer.start()
    tenant.wait_stored(4)
    tenant.wait_confirmed()
    assert tenant.stored() == [4]


def test_a_deleted_last_message_that_is_later_than_the_record_stops(pair, tenants):
    tenant = tenants(pair, overrides=UNRECORDED)
    killed_unrecorded(tenant)
    tenant.administrator.delete_message(tenant.name, 3)
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 73, "stream_purged")
    refused(tenant.streamer, 73, "stream_purged", "setup")
    assert tenant.stored() == [1, 2]


def test_a_message_deleted_in_the_middle_is_no_concern_of_recovery(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    tenant.administrator.delete_message(tenant.name, 2)
    tenant.commit(4)
    tenant.streamer.start()
    tenant.wait_stored(4)
    assert tenant.stored() == [1, 3, 4]


def test_a_stream_that_is_deleted_under_a_running_streamer_stops_it(pair, tenants):
    # Pitfall 18.
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_confirmed()
    confirmed = tenant.confirmed()
    tenant.administrator.delete(tenant.name)
    tenant.commit(4)
    commit = tenant.lsn("pg_current_wal_flush_lsn()")
    stopped(tenant.streamer, 73, "stream_missing", seconds=60)
    assert confirmed <= tenant.confirmed() < commit


def test_a_stream_that_is_made_anew_under_a_running_streamer_stops_it(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_confirmed()
    config = tenant.administrator.config(tenant.name)
    tenant.administrator.delete(tenant.name)
    tenant.administrator.add(**config)
    tenant.commit(4)
    stopped(tenant.streamer, 73, "stream_recreated", seconds=60)
    assert tenant.administrator.state(tenant.name)["last_seq"] == 0, "nothing was stored over the hole"


def test_messages_deleted_under_a_running_streamer_leave_the_chain_whole(pair, tenants):
    # The sequence survives: nothing that is still to come is lost, and what an administrator deletes is his.
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit_each(1, 4)
    tenant.wait_stored(4)
    for sequence in (4, 3):
        tenant.administrator.delete_message(tenant.name, sequence)
    tenant.commit_each(5, 6)
    tenant.wait_stored(6)
    tenant.wait_confirmed()
    assert tenant.stored() == [1, 2, 5, 6]


def test_a_server_restored_to_an_older_state_is_refused(pair, deploy):
    """The first transaction delivered again must be the one with which the stream ends: the timeline tells nothing."""
    deployment = deploy(pair)
    postgres, streamer = deployment.postgres, deployment.streamer
    snapshot = _snapshotted(deployment)
    postgres.start()
    streamer.start()
    postgres.run(ORDER_LINE.format("in one history"))
    deployment.wait_confirmed()
    streamer.kill()
    stored = deployment.last_stored()

    _put_back(postgres, snapshot)
    postgres.start()
    streamer.start(wait=False)
    # The restored server's WAL is shorter than what was confirmed.
    stopped(streamer, 73, "position_ahead_of_wal")
    refused(streamer, 73, "position_ahead_of_wal", "slot", "advance", "--accept-gap")
    while postgres.flushed() < stored[0] + 10_000:
        # Longer, so that the LSNs differ.
        postgres.run(ORDER_LINE.format("in another history" * 10))
    streamer.start(wait=False)
    stopped(streamer, 73, "history_diverged")
    deployment.wait_slot_free()
    # Only who reads the slot can tell: by their positions slot and stream join.
    assert "nothing was done" in streamer.command("slot", "advance", "--accept-gap").stdout
    assert deployment.last_stored() == stored
    _begun_anew(deployment)


def _begun_anew(deployment) -> None:
    """The remedy works: what is committed from now on is in the new stream."""
    anew = follow(deployment.streamer, "fraiseql_events")
    deployment.postgres.run(ORDER_LINE.format("in the new stream"))
    wait_until(lambda: len(list(stream.read(deployment.nats.url, anew))) == 1, 30, "it is stored")


def test_a_restored_server_that_gives_xid_and_lsn_again_is_told_by_the_commits_time(pair, deploy):
    """The first transaction after the snapshot has the id and the position of the one that is stored, and is another."""
    deployment = deploy(pair)
    postgres, streamer = deployment.postgres, deployment.streamer
    snapshot = _snapshotted(deployment)

    def first_commit(name: str) -> tuple[int, int]:
        """xid and end of a row of the same size, written as the first thing after a start."""
        postgres.start()
        with postgres.connect() as connection:
            connection.execute("SET synchronous_commit TO on")
            row = connection.execute(ORDER_LINE.format(name) + " RETURNING pg_current_xact_id()::text").fetchone()
            end = connection.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint").fetchone()
        return int(row[0]), end[0]

    one = first_commit("in this history")
    streamer.start()
    wait_until(lambda: deployment.last_stored()[0] > 0 and len(list(stream.read(deployment.nats.url))) == 2, 30, "it is stored")
    streamer.kill()
    stored = deployment.last_stored()
    _put_back(postgres, snapshot)
    other = first_commit("in that history")
    assert one == other, "the servers tell the same id and position"
    # So that the restored server's WAL is not simply too short.
    while postgres.flushed() < stored[0] + 100_000:
        postgres.run(ORDER_LINE.format("later"))
    streamer.start(wait=False)
    said = stopped(streamer, 73, "history_diverged")
    assert "another time" in said
    assert deployment.last_stored() == stored


_MESSAGE = """SELECT pg_logical_emit_message(false, 'fraiseql_events', '{"entity_type":"Note","operation":"MADE","entity_id":"1"}')"""


def _grow(postgres, beyond: int) -> None:
    """WAL of which nothing is published, beyond this position."""
    while postgres.flushed() <= beyond:
        postgres.run("SELECT pg_logical_emit_message(false, 'other', repeat('x', 10000))")


def _left_behind(deployment):
    """A snapshot of the server, and the streamer at work well beyond it: its path."""
    snapshot = _snapshotted(deployment)
    deployment.postgres.start()
    deployment.streamer.start()
    _grow(deployment.postgres, deployment.postgres.flushed() + 100_000)
    return snapshot


def _restored(deployment, snapshot) -> int:
    """The stream goes on beyond the snapshot without the server: where the server that was restored stands."""
    deployment.streamer.kill()
    _put_back(deployment.postgres, snapshot)
    deployment.postgres.start()
    return deployment.confirmed()


def _refused_unconfirmed(deployment, slot: int, stored) -> str:
    """The streamer stops, has stored nothing and confirmed nothing: its last words."""
    deployment.streamer.start(wait=False)
    said = stopped(deployment.streamer, 73, "history_diverged")
    assert deployment.last_stored() == stored
    assert deployment.confirmed() == slot, "what was skipped is still there"
    return said


def test_a_restored_server_that_has_nothing_where_the_stream_ends_is_refused(pair, deploy):
    """Nothing follows that could be another transaction: what the server has decoded in vain tells."""
    deployment = deploy(pair)
    postgres = deployment.postgres
    snapshot = _left_behind(deployment)
    postgres.run(ORDER_LINE.format("in one history"))
    deployment.wait_confirmed()
    stored = deployment.last_stored()
    slot = _restored(deployment, snapshot)
    postgres.run(ORDER_LINE.format("in another"))
    assert postgres.flushed() < stored[0], "before the position at which the stream ends"
    # WAL of which nothing is sent.
    postgres.run("SELECT pg_switch_wal()")
    postgres.run("CHECKPOINT")
    assert postgres.flushed() > stored[0]
    said = _refused_unconfirmed(deployment, slot, stored)
    assert "has no such change" in said, said


def test_a_restored_server_is_told_by_the_message_with_which_the_stream_ends(pair, deploy):
    """A message outside transactions is sent again like a transaction is: what was skipped before it must not be lost."""
    deployment = deploy(pair)
    postgres = deployment.postgres
    snapshot = _left_behind(deployment)
    postgres.run(_MESSAGE)
    wait_until(lambda: deployment.last_stored()[1] == 0, 30, "the message is stored")
    stored = deployment.last_stored()
    slot = _restored(deployment, snapshot)
    postgres.run(ORDER_LINE.format("in another history"))
    assert postgres.flushed() < stored[0]
    _grow(postgres, stored[0] + 100_000)
    postgres.run(ORDER_LINE.format("later"))
    said = _refused_unconfirmed(deployment, slot, stored)
    assert "with a message outside transactions" in said, said


def test_a_stream_that_ends_with_a_message_outside_transactions_goes_on(pair, tenants):
    """Killed before it was confirmed, the message comes again and is known."""
    tenant = tenants(pair, overrides=UNRECORDED)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.run(_MESSAGE)
    wait_until(lambda: tenant.administrator.state(tenant.name)["last_seq"] == 2, 20, "both are stored")
    tenant.streamer.kill()
    tenant.wait_free()
    tenant.commit(2)
    tenant.streamer.start()
    wait_until(lambda: tenant.administrator.state(tenant.name)["last_seq"] == 3, 20, "it goes on")
    assert tenant.streamer.terminate() == 0
    assert [event.sequence for event in tenant.events()] == [1, 2, 3]


def test_what_a_restored_server_got_anew_is_not_confirmed_by_the_record_of_the_old_history(pair, deploy):
    """The stream's last event is in both histories, and keepalives had moved the record beyond what the snapshot has."""
    deployment = deploy(pair)
    postgres, streamer = deployment.postgres, deployment.streamer
    snapshot = _snapshotted(deployment)
    postgres.start()
    streamer.start()
    _grow(postgres, postgres.flushed() + 200_000)
    deployment.wait_confirmed()
    record = deployment.confirmed()
    slot = _restored(deployment, snapshot)
    assert slot < record
    postgres.run(ORDER_LINE.format("in the new history"))
    assert postgres.flushed() < record, "where the record says that all is stored"
    _grow(postgres, record + 10_000)
    # Dies as soon as it has confirmed anything: what it may confirm then is what PostgreSQL had.
    failpoints.start(streamer, "after_status", "kill")
    wait_until(lambda: not streamer.running, 30, "it has ended")
    deployment.wait_slot_free()
    assert deployment.confirmed() <= slot
    streamer.start()
    deployment.wait_confirmed()
    assert len(list(stream.read(deployment.nats.url))) == 2, "the row of the new history is stored"


def test_another_cluster_at_the_same_address_is_refused(pair, tenants, deploy):
    tenant = tenants(pair)
    streamed(tenant)
    other = deploy(pair)
    streamer = tenant.another(conninfo=other.postgres.conninfo)
    refused(streamer, 73, "other_cluster", "setup")
    other.postgres.run(f"CREATE PUBLICATION {tenant.name} FOR ALL TABLES")
    other.postgres.run(f"SELECT pg_create_logical_replication_slot('{tenant.name}', 'pgoutput')")
    refused(streamer, 73, "other_cluster", "setup")
    streamer.start(wait=False)
    stopped(streamer, 73, "other_cluster")
