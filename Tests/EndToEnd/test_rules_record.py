"""The checkpoint record: whose it is, and that it is put before PostgreSQL is told."""

import threading

from administrator import Administrator
from oracles.changes import lsn_text
from servers.tools import wait_until
from tenants import record_entries, remedy, stopped, tenant_maker, tenants  # noqa: F401


def test_an_owner_that_changed_is_another_writer_and_the_record_is_not_moved_back(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()

    def take_over() -> dict:
        revision = tenant.administrator.revision(tenant.name)
        record = tenant.administrator.record(tenant.name)
        assert record["owner"]
        theirs = record | {"owner": "another-streamer"}
        tenant.administrator.put_record(tenant.name, theirs, after=revision)
        return theirs

    theirs = wait_until(take_over, 10, "another one puts the record, as the streamer left it")
    tenant.commit(2)
    said = stopped(tenant.streamer, 76, "other_writer")
    assert f"owner another-streamer) has taken over stream {tenant.name} and slot {tenant.name} at {theirs['confirmed_lsn']}" in said
    assert "Stop one of the two" in remedy(tenant.streamer)
    assert tenant.administrator.record(tenant.name) == theirs
    # Nothing is confirmed that is not in its own record.
    assert tenant.confirmed() <= _lsn(theirs["confirmed_lsn"])
    # The other one is stopped, as the remedy says: one of the two goes on.
    tenant.wait_free()
    tenant.streamer.start()
    tenant.wait_stored(2)
    tenant.require_exact(1, 2)


def _lsn(text: str) -> int:
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def test_a_put_whose_answer_was_lost_is_no_other_writer(pair, tenants):
    tenant = tenants(pair, overrides={"delivery": {"ack_timeout": "500ms", "checkpoint_interval": "20ms"}})
    tenant.streamer.start()
    count = 0
    for _ in range(5):
        tenant.commit_each(count + 1, count + 20)
        tenant.nats.kill()
        count += 20
        tenant.nats.start()
    tenant.wait_stored(count)
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, count + 1))


def test_a_record_that_the_bucket_does_not_take_is_told_and_put_when_it_does(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    tenant.administrator.update("KV_slotstream", max_msg_size=100)
    tenant.commit(2)
    commit = tenant.lsn("pg_current_wal_flush_lsn()")
    tenant.wait_stored(2)
    told = "the checkpoint record cannot be stored: PostgreSQL is told of no further changes meanwhile"
    wait_until(lambda: record_entries(tenant.streamer, told), 30, "it is told")
    assert "checkpoint record" in tenant.streamer.status()["last_error"]["message"]
    assert tenant.confirmed() < commit
    tenant.administrator.update("KV_slotstream", max_msg_size=-1)
    tenant.wait_confirmed()
    tenant.require_exact(1, 2)
    # Once, not with every put.
    assert len(record_entries(tenant.streamer, told)) == 1


def test_the_record_is_put_before_postgres_is_told(pair, tenants):
    """All the while, through kills: the slot's confirmed position is read first, the record after it."""
    tenant = tenants(pair, overrides={"delivery": {"checkpoint_interval": "10ms"}})
    samples, stop = [], threading.Event()

    def sample() -> None:
        administrator = Administrator(tenant.nats.url)
        with tenant.connect() as connection:
            while not stop.is_set():
                slot = connection.execute("SELECT (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots "
                                          "WHERE slot_name = %s", (tenant.name,)).fetchone()[0]
                samples.append((slot, _lsn(administrator.record(tenant.name)["confirmed_lsn"])))

    thread = threading.Thread(target=sample)
    thread.start()
    count = 0
    try:
        for _ in range(4):
            tenant.streamer.start()
            tenant.commit_each(count + 1, count + 100)
            count += 100
            wait_until(lambda: tenant.last_sequence() > count - 50, 20, "half of it is stored")
            tenant.streamer.kill()
            tenant.wait_free()
        tenant.streamer.start()
        tenant.wait_stored(count)
        tenant.wait_confirmed()
    finally:
        stop.set()
        thread.join()
    early = [f"slot {lsn_text(slot)}, record {lsn_text(record)}" for slot, record in samples if slot > record]
    assert not early, early[:5]
    assert len({slot for slot, _ in samples}) >= 5, "several positions were seen"


def test_the_record_follows_the_last_ack_when_nothing_more_comes(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit_each(1, 7)
    tenant.wait_stored(7)
    last = tenant.events()[-1].id
    wait_until(lambda: tenant.administrator.record(tenant.name)["last_id"] == last, 10, "the record is of the last event")
    record = tenant.administrator.record(tenant.name)
    assert (record["last_sequence"], record["slot"], record["stream"]) == (7, tenant.name, tenant.name)
    assert record["stream_created"].startswith(tenant.administrator.info(tenant.name)["created"][:19])


def test_a_gap_marker_is_read_as_the_position_from_which_the_stream_goes_on(pair, tenants):
    """An operator accepted a gap: the marker is chained, the record follows, and the streamer goes on behind it."""
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    tenant.commit(2)
    position = tenant.value("SELECT end_lsn::text FROM pg_replication_slot_advance(%s, pg_current_wal_flush_lsn())",
                            (tenant.name,))
    system, oid = tenant.events()[0].id.split(".")[:2]
    marker = f"{system}.{oid}.1.0.{_lsn(position):016X}.0.gap.r4nd0m"
    tenant.administrator.publish(f"{tenant.prefix}._slotstream.GAP", b"{}", Nats_Msg_Id=marker,
                                 Nats_Expected_Last_Sequence="1")
    record = tenant.administrator.record(tenant.name)
    tenant.administrator.put_record(
        tenant.name, record | {"confirmed_lsn": position, "last_id": marker, "last_sequence": 2})
    tenant.streamer.start()
    tenant.commit(3)
    tenant.wait_stored(3)
    tenant.wait_confirmed()
    one, gap, three = tenant.events()
    assert (one.json["entity"]["n"], gap.id, three.json["entity"]["n"]) == (1, marker, 3)
    assert three.expected_last == 2
