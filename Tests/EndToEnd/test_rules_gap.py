"""`slot advance --accept-gap`: the deliberate way on over lost history, and what consumers learn of it."""

import json

import pytest

import losing
from administrator import BUCKET
from oracles.changes import lsn_number
from remedies import follow
from servers.tools import wait_until
from tenants import (SLOT_WAIT, TABLE, UNRECORDED, killed_unrecorded, record_entries, refused, remedy, stopped,  # noqa: F401
                     streamed, tenant_maker, tenants)
from test_rules_lost_tail import restored


def _rows(tenant) -> list[int]:
    """The rows in the stream, markers left out."""
    return [event.json["entity"]["n"] for event in tenant.events() if event.json["operation"] != "GAP"]


# What is done, the reason that the streamer stops with, whether row 4 is in the gap, whether rows 1 to 3 are still in the stream.
CASES = {
    "the slot was advanced": (losing.slot_ahead, "slot_ahead", True, True),
    "the slot was dropped": (losing.slot_missing, "slot_missing", True, True),
    "the slot was made anew by hand": (losing.slot_made_anew, "slot_ahead", True, True),
    "the slot was invalidated": (losing.slot_invalidated, "slot_invalidated", True, True),
    "the record is gone": (losing.record_missing, "bucket_missing", False, True),
    "the stream is gone": (losing.stream_missing, "stream_missing", False, False),
    "the stream was made anew": (losing.stream_recreated, "stream_recreated", False, False),
    "JetStream was wiped": (losing.all_of_jetstream_wiped, "bucket_missing", False, False),
}


@pytest.mark.parametrize("case", CASES)
def test_a_gap_is_accepted_and_consumers_read_of_it_when(case, pair, tenants):
    lose, reason, loses_a_row, keeps_the_stream = CASES[case]
    tenant = tenants(pair)
    streamed(tenant)
    before = tenant.confirmed()
    lose(tenant)
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 73, reason)
    assert "slotstream slot advance --accept-gap" in remedy(tenant.streamer)
    last_sequence = tenant.last_sequence() if keeps_the_stream else 0

    # Without the flag it says what is lost, and does nothing.
    names = tenant.administrator.names()
    shown = tenant.streamer.command("slot", "advance", expect=1)
    assert f"lost [{reason}]" in shown.stdout and "nothing was done" in shown.stderr
    assert tenant.administrator.names() == names

    said = json.loads(tenant.streamer.command("slot", "advance", "--accept-gap", "--by", 'ann "x"', "--json").stdout)
    assert (said["schema"], said["reason"]) == ("slotstream.slot_advance/1", reason)
    again = tenant.streamer.command("slot", "advance", "--accept-gap")
    assert "nothing is lost" in again.stdout, "safe to run again"

    tenant.commit(5)
    tenant.streamer.start()
    count = (3 if keeps_the_stream else 0) + 2
    tenant.wait_stored(count)
    tenant.wait_confirmed()
    events = tenant.events()
    assert _rows(tenant) == ([1, 2, 3] if keeps_the_stream else []) + [5], "nothing twice, and all that comes after it"
    (marker,) = [event for event in events if event.json["operation"] == "GAP"]
    body = marker.json
    assert marker.subject == f"{tenant.prefix}._slotstream.GAP" and marker.id == body["id"]
    assert body.keys() == {"id", "operation", "timestamp", "gap"}
    assert body["gap"] == {"from_lsn": said["from_lsn"], "to_lsn": said["to_lsn"], "reason": reason, "accepted_by": 'ann "x"'}
    assert marker.id.split(".")[6] == "gap" and marker.sequence == said["sequence"]
    assert marker.sequence == last_sequence + 1, "behind the stream's end"
    low, high = lsn_number(said["from_lsn"]), lsn_number(said["to_lsn"])
    if loses_a_row:
        assert low <= before < high, "the row that is missing lies in the gap"
    # It stands in the chain like any other.
    for previous, event in zip(events, events[1:]):
        assert event.expected_last == previous.sequence
    shown = tenant.streamer.command("tail", "--from", "first", "--operation", "GAP", "--count", "1", "--json").stdout
    assert json.loads(shown)["gap"] == body["gap"]
    # And a restart goes on behind it.
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    tenant.streamer.start()
    tenant.commit(6)
    tenant.wait_stored(count + 1)
    assert tenant.events()[-1].json["entity"]["n"] == 6


def test_a_slot_behind_its_stream_is_not_sent_again_over_a_marker(pair, tenants):
    """The record is gone, and the slot lags behind what is stored: the marker stands at what is stored."""
    tenant = tenants(pair, overrides=UNRECORDED)
    killed_unrecorded(tenant)
    tenant.administrator.delete_record(tenant.name)
    tenant.streamer.command("slot", "advance", "--accept-gap")
    tenant.streamer.start()
    tenant.commit(4)
    tenant.wait_stored(5)
    assert tenant.streamer.terminate() == 0
    assert _rows(tenant) == [1, 2, 3, 4]


def test_a_last_message_that_was_deleted_and_is_later_than_the_record_is_a_gap(pair, tenants):
    tenant = tenants(pair, setup=False, overrides=UNRECORDED)
    # JetStream remembers the ids of what is deleted, and refuses them, for as long as this.
    tenant.administrator.add(tenant.name, subjects=[f"{tenant.prefix}.>"], storage="file", duplicate_window=10**9,
                             num_replicas=tenant.nats.replicas)
    tenant.streamer.setup()
    killed_unrecorded(tenant)
    tenant.administrator.delete_message(tenant.name, 3)
    refused(tenant.streamer, 73, "stream_purged", "setup")
    tenant.streamer.command("slot", "advance", "--accept-gap")
    tenant.streamer.start()
    tenant.commit(4)
    # What is gone and was never confirmed is stored again, what is still there is not.
    tenant.wait_stored(6)
    assert _rows(tenant) == [1, 2, 3, 4]


def test_nothing_is_accepted_while_a_streamer_runs_or_where_nothing_is_lost(pair, tenants):
    # It puts no record meanwhile: it would find it gone, and stop.
    tenant = tenants(pair, overrides=UNRECORDED)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    assert "nothing is lost" in tenant.streamer.command("slot", "advance", "--accept-gap").stdout
    tenant.administrator.delete_record(tenant.name)
    assert "slot is in use" in tenant.streamer.command("slot", "advance", "--accept-gap", expect=75).stderr
    assert [event.json["operation"] for event in tenant.events()] == ["INSERT"]


def test_an_acceptance_waits_for_the_slot_and_says_so(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    losing.slot_missing(tenant)
    with tenant.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO tb_item VALUES (5)")
        process, said = tenant.streamer.begin("slot", "advance", "--accept-gap")
        tenant.wait_slot_waits()
        wait_until(lambda: SLOT_WAIT in said.read_text(), 20, "it says what it waits for")
        connection.execute("COMMIT")
    assert process.wait(60) == 0, said.read_text()
    tenant.streamer.start()
    tenant.commit(6)
    tenant.wait_stored(5)
    assert _rows(tenant) == [1, 2, 3, 6], "row 5 began before the slot did"


def test_what_is_no_gap_is_refused_by_its_own_reason(pair, tenants):
    tenant = tenants(pair, setup=False)
    assert "nothing is set up" in refused(tenant.streamer, 78, "configuration", "slot", "advance", "--accept-gap")
    other = tenants(pair)
    streamed(other)
    # A message of somebody else is no gap.
    other.administrator.publish(f"{other.prefix}.x", b"theirs")
    assert "positions of slot and stream join" in other.streamer.command("slot", "advance", "--accept-gap").stdout


def test_the_wiped_bucket_is_made_again(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    tenant.administrator.delete(f"KV_{BUCKET}")
    tenant.streamer.command("slot", "advance", "--accept-gap")
    tenant.streamer.start()
    tenant.commit(4)
    tenant.wait_stored(5)
    assert tenant.events()[-1].json["entity"]["n"] == 4


def test_what_a_lost_tail_held_is_no_proof_and_is_sent_again_as_far_as_the_slot_can(single_pair, tenants):
    """Rows 4 to 9 were stored and are lost; PostgreSQL was told of 4 to 6, the record of all."""
    tenant = tenants(single_pair)
    streamed(tenant)

    def go_on() -> None:
        tenant.streamer.start()
        tenant.commit_each(4, 6)
        tenant.wait_stored(6)
        tenant.wait_confirmed()
        assert tenant.streamer.terminate() == 0
        tenant.wait_free()
        tenant.commit(7, 8, 9)
        tenant.streamer.environment["SLOTSTREAM_FAILPOINT"] = "after_record=kill"
        tenant.streamer.start(wait=False)
        assert tenant.streamer.wait(30) == -9
        del tenant.streamer.environment["SLOTSTREAM_FAILPOINT"]
        tenant.wait_free()

    restored(tenant, tenant.name, meanwhile=go_on)
    assert tenant.administrator.record(tenant.name)["last_sequence"] == 9
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 73, "stream_tail_lost")
    said = json.loads(tenant.streamer.command("slot", "advance", "--accept-gap", "--json").stdout)
    assert lsn_number(said["from_lsn"]) < lsn_number(said["to_lsn"]) == tenant.confirmed()
    tenant.streamer.start()
    tenant.commit(10)
    tenant.wait_stored(8)
    tenant.wait_confirmed()
    assert _rows(tenant) == [1, 2, 3, 7, 8, 9, 10]


def test_a_marker_inside_a_transaction_is_followed_by_its_rest(pair, tenants):
    """The stream ends inside a transaction of which the slot stands before: nothing of it is missing or doubled."""
    tenant = tenants(pair, setup=False)
    tenant.administrator.add(tenant.name, subjects=[f"{tenant.prefix}.>"], storage="file", discard="new", max_msgs=2,
                             num_replicas=tenant.nats.replicas)
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.commit(1, 2, 3)
    tenant.wait_stored(2)
    wait_until(lambda: record_entries(tenant.streamer, "resynchronising"), 30, "the third row is refused")
    tenant.streamer.kill()
    tenant.wait_free()
    tenant.administrator.update(tenant.name, max_msgs=-1)
    tenant.administrator.delete_record(tenant.name)
    said = json.loads(tenant.streamer.command("slot", "advance", "--accept-gap", "--json").stdout)
    assert (said["reason"], said["from_lsn"]) == ("bucket_missing", said["to_lsn"]), "no change is missing"
    tenant.streamer.start()
    tenant.commit(4)
    tenant.wait_stored(5)
    assert [event.json["operation"] for event in tenant.events()] == ["INSERT", "INSERT", "GAP", "INSERT", "INSERT"]
    assert _rows(tenant) == [1, 2, 3, 4]


def test_the_publication_must_be_there_before_the_slot_is_made_anew(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    losing.slot_missing(tenant)
    tenant.run(f"DROP PUBLICATION {tenant.name}")
    assert "publication" in refused(tenant.streamer, 78, "configuration", "slot", "advance", "--accept-gap")
    assert tenant.value("SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s", (tenant.name,)) == 0
    assert len(tenant.events()) == 3


def test_no_marker_is_stored_in_the_stream_of_another_server_slot_or_writer(pair, tenants, deploy):
    """Whatever is missing besides: the slot's absence must not hide whose stream it is."""
    tenant = tenants(pair)
    streamed(tenant)
    losing.slot_missing(tenant)
    other = deploy(pair)
    elsewhere = tenant.another(conninfo=other.postgres.conninfo)
    refused(elsewhere, 73, "other_cluster", "slot", "advance", "--accept-gap")
    assert other.postgres.value("SELECT count(*) FROM pg_replication_slots WHERE slot_name = %s", (tenant.name,)) == 0
    renamed = tenant.another(overrides={"source": {"slot": "renamed"}})
    refused(renamed, 78, "configuration", "slot", "advance", "--accept-gap")
    tenant.administrator.delete_record(tenant.name)
    refused(elsewhere, 76, "foreign_message", "slot", "advance", "--accept-gap")
    assert [event.json["entity"]["n"] for event in tenant.events()] == [1, 2, 3], "and nothing was stored"


def test_a_streamer_that_was_ended_before_the_acceptance_goes_on_behind_the_gap(pair, tenants):
    """It did not know that it was ended: it recovers from the record that the acceptance put."""
    tenant = tenants(pair)
    streamed(tenant)
    tenant.streamer.start()
    # So that it has nothing to put when it wakes.
    tenant.wait_confirmed()
    tenant.streamer.freeze()
    tenant.terminate_holder()
    tenant.commit(4)
    tenant.run(f"SELECT pg_replication_slot_advance('{tenant.name}', pg_current_wal_flush_lsn())")
    tenant.another().command("slot", "advance", "--accept-gap")
    tenant.streamer.thaw()
    tenant.commit(5)
    tenant.wait_stored(5)
    tenant.wait_confirmed()
    assert _rows(tenant) == [1, 2, 3, 5]


def test_begin_anew_is_the_way_on_where_the_server_has_another_history(pair, tenants, deploy):
    """The remedy that the text names: drop the slot, another stream and prefix, setup."""
    tenant = tenants(pair)
    streamed(tenant)
    other = deploy(pair)
    other.postgres.run(TABLE)
    other.postgres.run(f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_item")
    other.postgres.run(f"SELECT pg_create_logical_replication_slot('{tenant.name}', 'pgoutput')")
    streamer = tenant.another(conninfo=other.postgres.conninfo)
    streamer.start(wait=False)
    stopped(streamer, 73, "other_cluster")
    assert "--accept-gap" not in remedy(streamer) and "slot drop" in remedy(streamer)
    refused(streamer, 73, "other_cluster", "slot", "advance", "--accept-gap")

    anew = follow(streamer, tenant.name)
    other.postgres.run("INSERT INTO tb_item VALUES (1)")
    wait_until(lambda: tenant.administrator.state(anew)["last_seq"] == 1, 30, "it is stored")
    assert streamer.terminate() == 0
    assert tenant.stored() == [1, 2, 3]


def test_a_stream_that_is_deleted_after_an_accepted_gap_is_missing_from_its_beginning(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    genesis = tenant.administrator.record(tenant.name)["genesis"]["lsn"]
    losing.slot_ahead(tenant)
    first = json.loads(tenant.streamer.command("slot", "advance", "--accept-gap", "--json").stdout)
    assert lsn_number(genesis) < lsn_number(first["from_lsn"])
    # Twice: behind the second gap the beginning is still known.
    for _ in range(2):
        tenant.administrator.delete(tenant.name)
        said = json.loads(tenant.streamer.command("slot", "advance", "--accept-gap", "--json").stdout)
        assert (said["reason"], said["from_lsn"]) == ("stream_missing", genesis), "rows 1 to 3 are missing too"
    # Where the record went as well, nobody knows.
    tenant.administrator.delete_record(tenant.name)
    tenant.administrator.delete(tenant.name)
    for reason in ("bucket_missing", "stream_missing"):
        said = json.loads(tenant.streamer.command("slot", "advance", "--accept-gap", "--json").stdout)
        assert (said["reason"], said["from_lsn"]) == (reason, "0/0")
        tenant.administrator.delete(tenant.name)
