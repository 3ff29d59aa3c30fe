"""Slots that cannot be read any more, JetStream emptied, streams made smaller: what is lost history stops with 73 and its
reason, under a running streamer, at a start and in `setup`; what only looks like it goes on exactly."""

import re
import shutil
import struct
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from administrator import BUCKET
from conftest import PAIRS, POSTGRES_PAIRS
from oracles.changes import lsn_number
from promotion import Standby
from remedies import follow
from servers.tools import wait_until
from tenants import (PATIENT, UNRECORDED, killed_unrecorded, own, record_entries, refused,  # noqa: F401
                     refused_everywhere, stopped, streamed, tenant_maker, tenants)

NEWEST = PAIRS[-1]


def every_postgres(pairs=POSTGRES_PAIRS):
    """Parametrizes `versions`: what concerns PostgreSQL's side, each version of it once."""
    return pytest.mark.parametrize("versions", pairs, ids=lambda pair: f"{pair.postgres}-{pair.nats}")


def _lost(tenant, reason: str, *words: str) -> None:
    """Every command stops with 73 and this reason, says these words, and changes nothing on either server."""
    before = _touchable(tenant)
    refused_everywhere(tenant, 73, reason)
    assert _touchable(tenant) == before, "stream and record are untouched"
    for said in (refused(tenant.streamer, 73, reason, "setup"), record_entries(tenant.streamer, "stopped")[-1]["error"]):
        assert all(word in said for word in words), (words, said)


def _touchable(tenant) -> tuple[list, list[str]]:
    """The state of each stream but the bucket's, and what is in the bucket beside the last stop."""
    administrator, bucket = tenant.administrator, f"KV_{BUCKET}"
    streams = administrator.names()
    return ([administrator.info(name)["state"] for name in sorted(streams) if name != bucket],
            [event.body for event in administrator.messages(bucket) if b'"slotstream.checkpoint/' in event.body] if bucket in streams else [])


def _slot(tenant, column: str):
    """A column of the slot's row in pg_replication_slots, as text."""
    return tenant.value(f"SELECT {column}::text FROM pg_replication_slots WHERE slot_name = %s", (tenant.name,))


def _set(postgres, name: str, value: str) -> None:
    """Changes a setting of the running server, and waits until new connections see it."""
    postgres.run(f"ALTER SYSTEM SET {name} = '{value}'")
    postgres.run("SELECT pg_reload_conf()")
    wait_until(lambda: postgres.value("SELECT current_setting(%s)", (name,)) == value, 20, f"{name} is {value}")


def _next_segment(postgres) -> None:
    """Begins another WAL segment, and a checkpoint in it: what lies before it is kept for slots alone."""
    postgres.run("SELECT pg_switch_wal()")
    postgres.run("CHECKPOINT")


def _remove_wal(tenant) -> None:
    """Writes WAL, of which slots may keep hardly any, until PostgreSQL gives the slot up."""

    def is_lost() -> bool:
        _next_segment(tenant.postgres)
        return _slot(tenant, "wal_status") == "lost"

    wait_until(is_lost, 60, "PostgreSQL invalidates the slot")


def _reason(versions, named: str) -> str:
    """What is told of an invalidation: its cause where PostgreSQL names it, else what is left of the slot's WAL."""
    return named if int(versions.postgres) >= 17 else "lost"


@every_postgres()
def test_a_slot_whose_wal_was_removed_is_lost_history_and_one_whose_wal_is_only_in_danger_is_not(versions, own):
    # The window is full all the while: a backlog that is being stored is no reason to let go of a slot in danger.
    tenant = own(versions, overrides=PATIENT | {"delivery": {"in_flight_bytes": "4KiB"}})
    streamed(tenant)
    tenant.commit(4)
    _set(tenant.postgres, "max_slot_wal_keep_size", "1MB")
    for numbers in ((5,), range(6, 2006)):
        # A checkpoint would take what lies before.
        tenant.commit(*numbers)
        tenant.run("SELECT pg_switch_wal()")
    assert _slot(tenant, "wal_status") == "unreserved"
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.wait_stored(2005)
    tenant.require_exact(*range(1, 2006))
    assert not record_entries(tenant.streamer, "interrupted, trying again"), tenant.streamer.last_words()
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()

    tenant.commit(2006)
    _remove_wal(tenant)
    confirmed = _slot(tenant, "confirmed_flush_lsn")
    _lost(tenant, "slot_invalidated", tenant.name, f"({_reason(versions, 'wal_removed')})", confirmed)
    assert tenant.stored() == list(range(1, 2006))

    follow(tenant.streamer, tenant.name)
    tenant.commit(2007)
    tenant.wait_stored(2007)
    *_, marker, event = tenant.events()
    assert (marker.json["gap"]["reason"], event.json["entity"]["n"]) == ("slot_invalidated", 2007), "row 2006 lies in the gap"


@pytest.mark.parametrize("window", ["with room", "full"])
def test_a_slot_whose_wal_is_removed_while_nats_is_silent_is_lost_history(pair, own, window):
    """Nothing can be confirmed: the server ends the walsender for the WAL that the slot keeps."""
    tenant = _silenced(own(pair, overrides=_SMALL_WINDOW), window)
    confirmed = _slot(tenant, "confirmed_flush_lsn")
    with ThreadPoolExecutor() as pool:
        removed = pool.submit(_remove_wal, tenant)
        wait_until(lambda: "to release replication slot" in tenant.postgres.log.read_text(), 30, "the walsender is ended")
        tenant.nats.resume()
        removed.result()
    said = stopped(tenant.streamer, 73, "slot_invalidated", seconds=60)
    assert tenant.name in said and confirmed in said, said
    stored = len(tenant.events())
    assert 3 <= stored <= 3 + _UNCONFIRMED
    tenant.require_exact(*range(1, stored + 1))
    _lost(tenant, "slot_invalidated", f"({_reason(pair, 'wal_removed')})", confirmed)


def test_a_full_window_does_not_hold_up_the_checkpoint_that_takes_the_slots_wal(pair, own):
    """The walsender that the checkpointer ends has a row to send that nobody reads. While it stays, no checkpoint ends and
    the server's WAL grows, in spite of the limit that was set against just that."""
    tenant = _silenced(own(pair, overrides=_SMALL_WINDOW), "full")
    with tenant.connect() as connection:
        connection.execute("SELECT pg_switch_wal()")
        connection.execute("SET statement_timeout = '30s'")
        connection.execute("CHECKPOINT")
    assert _slot(tenant, "wal_status") == "lost"
    assert tenant.streamer.running, "without NATS nothing is known to be lost"
    tenant.nats.resume()
    stopped(tenant.streamer, 73, "slot_invalidated", seconds=60)


_SMALL_WINDOW = {"delivery": {"in_flight_bytes": "64KiB"}, "events": {"exclude": ["public.tb_noise"]}}
_UNCONFIRMED = 20


def _silenced(tenant, window: str):
    """A streamer that stored three rows; then NATS is paused and more are committed, which its window holds or does not
    hold. Slots may keep hardly any WAL from now on."""
    tenant.run("CREATE TABLE tb_noise (note TEXT)")
    tenant.run(f"ALTER PUBLICATION {tenant.name} ADD TABLE tb_noise")
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_confirmed()
    tenant.nats.pause()
    bytes_each = 10_000 if window == "full" else 10
    tenant.run(f"INSERT INTO tb_item SELECT i, repeat('x', {bytes_each}) FROM generate_series(4, {3 + _UNCONFIRMED}) AS i")
    if window == "full":
        # Behind what fills the window, a row that is more than the sockets hold.
        tenant.run("INSERT INTO tb_noise VALUES (repeat('x', 64000000))")
        waits = "SELECT wait_event = 'WalSenderWriteData' FROM pg_stat_activity WHERE pid = %s"
        wait_until(lambda: tenant.value(waits, (tenant.holder(),)), 30, "the walsender waits for somebody to read")
    else:
        # All are read; how many are in flight is the publisher's choice: of a batch only the first one before its ack.
        end = tenant.lsn("pg_current_wal_flush_lsn()")
        wait_until(lambda: tenant.streamer.in_flight() and tenant.streamer.metric("slotstream_received_lsn") >= end, 30, "all of them are read")
    _set(tenant.postgres, "max_slot_wal_keep_size", "1MB")
    return tenant


def test_a_slot_that_was_idle_for_too_long_is_lost_history_and_one_that_is_held_is_not(own):
    tenant = own(NEWEST)
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_confirmed()
    tenant.watch_ids()
    _set(tenant.postgres, "idle_replication_slot_timeout", "1s")

    def wait_invalidated(slot: str) -> None:
        reason = "SELECT invalidation_reason FROM pg_replication_slots WHERE slot_name = %s"
        wait_until(lambda: tenant.run("CHECKPOINT") or tenant.value(reason, (slot,)) == "idle_timeout", 30,
                   f"{slot} was idle for too long", 0.1)

    wait_invalidated("watch")
    tenant.commit(4)
    tenant.wait_stored(4)
    tenant.wait_confirmed()
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    tenant.commit(5)
    wait_invalidated(tenant.name)
    _lost(tenant, "slot_invalidated", tenant.name, "(idle_timeout)", _slot(tenant, "confirmed_flush_lsn"))
    tenant.require_exact(1, 2, 3, 4)


@every_postgres(POSTGRES_PAIRS[1:])
@pytest.mark.parametrize("cause", ["rows_removed", "wal_level_insufficient"])
def test_a_slot_that_a_standby_lost_before_its_promotion_is_lost_history(versions, own, cause):
    # The slot is made on the standby, and is none that follows the primary's.
    tenant = own(versions, overrides={"source": {"failover": False}})
    streamed(tenant)
    primary = tenant.postgres
    standby = _LosingStandby(primary, tenant.servers.folder / "standby", tenant.name)
    try:
        standby.start()
        standby.make_slot(tenant.name)
        tenant.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")
        if cause == "wal_level_insufficient":
            primary.settings["wal_level"] = "replica"
            primary.restart("fast")
        slot = "SELECT {} FROM pg_replication_slots WHERE slot_name = %s"

        def is_invalidated() -> bool:
            if cause == "rows_removed":
                # Again, if somebody's snapshot kept the rows.
                for statement in ("CREATE TABLE gone ()", "DROP TABLE gone", "SELECT pg_current_xact_id()", "VACUUM pg_class"):
                    tenant.run(statement)
            return standby.value(slot.format("wal_status = 'lost'"), (tenant.name,))

        wait_until(is_invalidated, 30, "the slot is invalidated", 0.2)
        standby.promote()
        confirmed = standby.value(slot.format("confirmed_flush_lsn::text"), (tenant.name,))
        there = tenant.another(conninfo=standby.conninfo)
        said = refused(there, 73, "slot_invalidated", "setup")
        assert f"({_reason(versions, cause)})" in said and tenant.name in said and confirmed in said, said
        there.start(wait=False)
        assert stopped(there, 73, "slot_invalidated") in said
        assert tenant.stored() == [1, 2, 3]
    finally:
        standby.close()


class _LosingStandby(Standby):
    """A standby for whose slots the primary keeps nothing, of which one of the primary's databases is used."""

    def __init__(self, primary, folder, database: str):
        super().__init__(primary, folder)
        self.primary = primary
        self.database = database
        self.settings |= {"hot_standby_feedback": "off", "wal_retrieve_retry_interval": "100ms"}
        if int(self.version) >= 17:
            self.settings["sync_replication_slots"] = "off"

    def make_slot(self, name: str) -> None:
        """Makes a slot, which waits until the primary tells what transactions run there."""
        statement = f"SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')"
        with ThreadPoolExecutor() as pool:
            made = pool.submit(self.run, statement)
            wait_until(lambda: self.primary.run("SELECT pg_log_standby_snapshot()") or made.done(), 30,
                       "the slot is made", 0.1)
            made.result()


def test_wal_that_somebody_deleted_is_lost_history(pair, own):
    # PostgreSQL does not know of it before the slot is read: for `setup` there is nothing to see.
    tenant = own(pair)
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_confirmed()
    connection = tenant.connect()
    # A transaction that runs all the while: the slot needs the WAL from its beginning on.
    connection.execute("BEGIN")
    connection.execute("INSERT INTO tb_item VALUES (4)")
    tenant.commit(5)
    for _ in range(2):
        _next_segment(tenant.postgres)
    tenant.wait_confirmed()
    current = tenant.value("SELECT pg_walfile_name(pg_current_wal_lsn())")
    needed = _slot(tenant, "pg_walfile_name(restart_lsn)")
    assert needed < current
    tenant.postgres.stop("fast")
    connection.close()
    for segment in (tenant.postgres.data / "pg_wal").iterdir():
        if re.fullmatch("[0-9A-F]{24}", segment.name) and segment.name < current:
            segment.unlink()
    tenant.postgres.start()
    said = stopped(tenant.streamer, 73, "slot_invalidated", seconds=60)
    assert f"{needed} has already been removed" in said, said
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 73, "slot_invalidated")
    assert tenant.stored() == [1, 2, 3, 5]


@every_postgres()
def test_a_slot_that_was_never_confirmed_is_lost_history_for_setup_too(versions, own):
    tenant = own(versions)
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_confirmed()
    confirmed = tenant.confirmed()
    tenant.postgres.stop("fast")
    _unconfirm(tenant.postgres.data / "pg_replslot" / tenant.name / "state", tenant.name, confirmed)
    tenant.postgres.start()
    said = stopped(tenant.streamer, 73, "slot_unconfirmed", seconds=60)
    assert (_slot(tenant, "confirmed_flush_lsn"), _slot(tenant, "plugin")) == (None, "pgoutput")
    assert tenant.name in said, said
    before = tenant.lsn("pg_current_wal_flush_lsn()")
    tenant.commit(4)
    after = tenant.lsn("pg_current_wal_flush_lsn()")
    _lost(tenant, "slot_unconfirmed", tenant.name, "confirmed_flush_lsn")
    assert tenant.stored() == [1, 2, 3]

    # As the remedy says: the slot is made anew, and row 4 lies in the gap.
    follow(tenant.streamer, tenant.name)
    tenant.commit(5)
    tenant.wait_stored(5)
    tenant.wait_confirmed()
    *_, third, marker, fifth = tenant.events()
    assert marker.subject == f"{tenant.prefix}._slotstream.GAP"
    gap = marker.json["gap"]
    assert gap["reason"] == "slot_unconfirmed" and gap["accepted_by"] == "NAME"
    assert lsn_number(gap["from_lsn"]) <= before and after <= lsn_number(gap["to_lsn"])
    assert [event.json["entity"]["n"] for event in (third, fifth)] == [3, 5]
    assert (marker.expected_last, fifth.expected_last) == (3, 4), "chained like any other"


# In a slot's state file: magic, CRC, version and length; then the slot's name, four numbers of 32 bits, restart_lsn,
# since when or why it was invalidated, confirmed_flush.
_CHECKSUM, _CHECKED_FROM, _NAME, _RESTART, _CONFIRMED = 4, 8, 16, 96, 112


def _unconfirm(state, name: str, confirmed: int) -> None:
    """Takes the confirmed position, last told to be `confirmed`, out of the state file of a stopped server's slot."""
    content = bytearray(state.read_bytes())
    checksum, = struct.unpack_from("<I", content, _CHECKSUM)
    restart_there, = struct.unpack_from("<Q", content, _RESTART)
    confirmed_there, = struct.unpack_from("<Q", content, _CONFIRMED)
    assert content[_NAME:_NAME + 64].rstrip(b"\0") == name.encode()
    # PostgreSQL 15 writes what was confirmed a while before; between the look and the stop a few records may have been.
    assert 0 < restart_there <= confirmed_there <= confirmed + 2**20
    assert checksum == _crc32c(content[_CHECKED_FROM:])
    struct.pack_into("<Q", content, _CONFIRMED, 0)
    struct.pack_into("<I", content, _CHECKSUM, _crc32c(content[_CHECKED_FROM:]))
    state.write_bytes(content)


def _crc32c(data: bytes) -> int:
    """CRC-32C, as PostgreSQL has it in its files."""
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum ^= byte
        for _ in range(8):
            checksum = checksum >> 1 ^ (0x82F63B78 if checksum & 1 else 0)
    return checksum ^ 0xFFFFFFFF


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_an_emptied_jetstream_under_a_slot_that_lives_is_lost_history_for_setup_too(pair, own, state):
    tenant = own(pair)
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_confirmed()
    if state == "stopped":
        assert tenant.streamer.terminate() == 0
        tenant.wait_free()
    tenant.nats.kill()
    for server in tenant.nats.servers:
        shutil.rmtree(server.folder / "jetstream")
    tenant.nats.start()
    said = stopped(tenant.streamer, 73, "bucket_missing", seconds=60) if state == "running" else None
    confirmed = _slot(tenant, "confirmed_flush_lsn")
    assert said is None or f"confirmed {confirmed}" in said
    tenant.commit(4)
    # `setup` comes first where an init container runs it.
    _lost(tenant, "bucket_missing", tenant.name, f"confirmed {confirmed}")
    assert tenant.administrator.names() == set()
    assert _slot(tenant, "confirmed_flush_lsn") == confirmed


@pytest.mark.parametrize("limit", ["max_msgs", "max_bytes"])
def test_a_stream_that_was_made_smaller_goes_on(pair, tenants, limit):
    tenant = tenants(pair, overrides=PATIENT)
    streamed(tenant, 5)
    wide = tenant.administrator.config(tenant.name)[limit]
    narrow = {"max_msgs": 1, "max_bytes": tenant.administrator.state(tenant.name)["bytes"] * 3 // 10}[limit]
    tenant.administrator.update(tenant.name, **{limit: narrow})
    assert tenant.stored() == [5]
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.commit_each(6, 8)
    _require_last(tenant, 8)

    starts = len(record_entries(tenant.streamer, "streaming"))
    tenant.administrator.update(tenant.name, **{limit: wide})
    tenant.commit_each(9, 12)
    tenant.wait_stored(12)
    tenant.administrator.update(tenant.name, **{limit: narrow})
    tenant.commit(13)
    _require_last(tenant, 13)
    assert len(record_entries(tenant.streamer, "streaming")) == starts, "it was never interrupted"


def _require_last(tenant, number: int) -> None:
    """The row with this number is all that the stream holds, as many messages were stored, and it is chained to the last."""
    tenant.wait_stored(number)
    tenant.wait_confirmed()
    event, = tenant.events()
    assert (event.json["entity"]["n"], event.sequence, event.expected_last) == (number, number, number - 1)


def _age_out(tenant) -> None:
    """Lets every message of the stream pass away by age; it goes on counting."""
    tenant.administrator.update(tenant.name, max_age=500_000_000, duplicate_window=500_000_000)
    wait_until(lambda: tenant.administrator.state(tenant.name)["messages"] == 0, 30, "all messages are too old", 0.1)


def _keep_for_ever(tenant) -> None:
    tenant.administrator.update(tenant.name, max_age=0)


@pytest.mark.parametrize("nats", ["running", "restarted"])
def test_a_stream_whose_messages_are_all_too_old_goes_on_when_the_record_is_of_the_last(pair, tenants, nats):
    tenant = tenants(pair)
    streamed(tenant)
    _age_out(tenant)
    if nats == "restarted":
        tenant.nats.kill()
        tenant.nats.start()
        wait_until(lambda: all(map(tenant.administrator.info, (tenant.name, f"KV_{BUCKET}"))), 60, "both have leaders")
    tenant.streamer.setup()
    _keep_for_ever(tenant)
    tenant.streamer.start()
    tenant.commit(4)
    _require_last(tenant, 4)


def test_messages_that_become_too_old_while_nats_is_down_are_no_lost_history(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    # Too old only once nats-server is dead: it finds that when it reads its files again.
    tenant.administrator.update(tenant.name, max_age=2_000_000_000, duplicate_window=500_000_000)
    tenant.nats.kill()
    old = time.time() + 2
    wait_until(lambda: time.time() > old, 10, "their age is over", 0.1)
    tenant.nats.start()
    wait_until(lambda: tenant.administrator.state(tenant.name)["messages"] == 0, 30, "all messages are too old", 0.1)
    _keep_for_ever(tenant)
    tenant.streamer.start()
    tenant.commit(4)
    _require_last(tenant, 4)


def test_messages_that_become_too_old_under_a_running_streamer_are_no_lost_history(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)
    tenant.wait_confirmed()
    wait_until(lambda: tenant.administrator.record(tenant.name)["last_sequence"] == 3, 20, "the record is of the last")
    _age_out(tenant)
    # The stream's end is read again after either.
    tenant.nats.kill()
    tenant.nats.start()
    wait_until(lambda: record_entries(tenant.streamer, "resynchronised"), 30, "it has read the stream's end")
    tenant.terminate_holder()
    wait_until(lambda: len(record_entries(tenant.streamer, "streaming")) >= 2, 30, "it has recovered")
    _keep_for_ever(tenant)
    tenant.commit(4)
    _require_last(tenant, 4)


def test_a_last_message_that_became_too_old_and_is_later_than_the_record_is_lost_history_for_setup_too(pair, tenants):
    tenant = tenants(pair, overrides=UNRECORDED)
    killed_unrecorded(tenant)
    _age_out(tenant)
    _lost(tenant, "stream_purged", tenant.name, "after sequence 0", "the last sequence is 3")


def test_a_record_that_is_behind_the_stream_is_no_lost_history(pair, tenants):
    """Killed between the acks and the record, twice."""
    tenant = tenants(pair, overrides=UNRECORDED)
    for last in (3, 6):
        tenant.streamer.start()
        tenant.commit_each(last - 2, last)
        tenant.wait_stored(last)
        tenant.streamer.kill()
        tenant.wait_free()
        # What is not proven is compared anew each time.
        assert tenant.administrator.record(tenant.name)["last_sequence"] == 0
        tenant.streamer.setup()
    tenant.commit(7)
    tenant.streamer.start()
    tenant.wait_stored(7)
    tenant.require_exact(*range(1, 8))


def test_a_slot_that_postgres_moved_back_at_a_restart_is_no_lost_history(pair, own):
    # Pitfall 45: PostgreSQL 15 does so when it is stopped in order, every version when it crashes.
    tenant = own(pair)
    mode = "fast" if pair.postgres == "15" else "immediate"
    count = 0
    while True:
        _streamed_on(tenant, count, count + 3)
        count += 3
        confirmed = tenant.confirmed()
        tenant.postgres.restart(mode)
        if tenant.confirmed() < confirmed:
            break
        # The slot had just been saved, for the sake of its restart_lsn.
        assert count < 15, "the slot was never moved back"
    tenant.streamer.setup()
    _streamed_on(tenant, count, count + 1)
    tenant.require_exact(*range(1, count + 2))


def _streamed_on(tenant, first: int, last: int) -> None:
    """Runs the streamer over the rows after `first`, up to `last`, and stops it in order."""
    tenant.streamer.start()
    tenant.commit_each(first + 1, last)
    tenant.wait_stored(last)
    tenant.wait_confirmed()
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()


def test_old_messages_that_were_purged_are_no_lost_history(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant, 5)
    tenant.administrator.api(f"STREAM.PURGE.{tenant.name}", seq=5)
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.commit_each(6, 7)
    tenant.wait_stored(7)
    assert tenant.stored() == [5, 6, 7]
    tenant.administrator.api(f"STREAM.PURGE.{tenant.name}", seq=7)
    tenant.terminate_holder()
    tenant.commit(8)
    tenant.wait_stored(8)
    tenant.wait_confirmed()
    seven, eight = tenant.events()
    assert (seven.json["entity"]["n"], eight.json["entity"]["n"], eight.expected_last) == (7, 8, 7)
