"""What counts as stored, and who may write: acks, the chain, resynchronising, predecessors, foreign messages."""

import threading

import pytest

from proxy import Proxy
from servers.tools import wait_until
from tenants import PATIENT, record_entries, refused, remedy, stopped, tenant_maker, tenants  # noqa: F401


def _frozen(streamer):
    """A context in which the streamer is stopped."""

    class Frozen:
        def __enter__(self):
            streamer.freeze()

        def __exit__(self, *_):
            streamer.thaw()

    return Frozen()


def test_an_id_that_was_stored_and_deleted_is_no_proof(pair, tenants):
    # 2.9.10 answers `duplicate` to the id, 2.15.1 refuses the sequence: neither may be taken for stored.
    tenant = tenants(pair, overrides=PATIENT)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    tenant.watch_ids()
    with _frozen(tenant.streamer):
        tenant.commit(2)
        commit = tenant.lsn("pg_current_wal_flush_lsn()")
        forged = tenant.administrator.publish(f"{tenant.prefix}.Item.INSERT", b"{}", Nats_Msg_Id=tenant.coming_ids()[0])
        tenant.administrator.delete_message(tenant.name, forged.sequence)
    stopped(tenant.streamer, 73, "stream_purged", seconds=60)
    assert tenant.confirmed() < commit
    assert tenant.stored() == [1]


def test_an_id_that_is_stored_already_is_not_stored_again(pair, tenants):
    # A message of our own slot: how far it is stored is read from it, whoever's ack was lost.
    tenant = tenants(pair, overrides=PATIENT)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    tenant.watch_ids()
    with _frozen(tenant.streamer):
        tenant.commit(2)
        identifier = tenant.coming_ids()[0]
        tenant.administrator.publish(f"{tenant.prefix}.Item.INSERT", b'{"entity":{"n":2}}', Nats_Msg_Id=identifier)
    tenant.commit(3)
    tenant.wait_stored(3)
    tenant.wait_confirmed()
    assert tenant.stored() == [1, 2, 3]
    assert [event.id for event in tenant.events()].count(identifier) == 1


@pytest.mark.parametrize("window", ["1", "20KiB", "8MiB"])
def test_what_a_predecessor_stored_ahead_is_compared_and_not_stored_again(pair, tenants, window):
    """The streamer has handed on less than the stream holds (a small window), or more: either way it goes on behind it."""
    tenant = tenants(pair, overrides=PATIENT | {"delivery": {"in_flight_bytes": window}})
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    tenant.watch_ids()
    with _frozen(tenant.streamer):
        tenant.commit_each(2, 400)
        tenant.administrator.publish_all(
            f"{tenant.prefix}.Item.INSERT",
            [(f'{{"entity":{{"n":{number}}}}}'.encode(), identifier)
             for number, identifier in zip(range(2, 302), tenant.coming_ids())])
    tenant.wait_stored(400)
    tenant.wait_confirmed()
    events = tenant.events()
    assert [event.json["entity"]["n"] for event in events] == list(range(1, 401))
    assert len({event.id for event in events}) == 400


def test_one_event_over_the_limit_is_admitted_alone(pair, tenants):
    tenant = tenants(pair, overrides={"delivery": {"in_flight_bytes": "10KiB"}})
    tenant.streamer.start()
    tenant.commit(1, 2)
    tenant.commit(3, 4, note="x" * 200_000)
    tenant.commit(5, 6)
    tenant.wait_stored(6)
    tenant.wait_confirmed()
    tenant.require_exact(1, 2, 3, 4, 5, 6)


def test_silence_past_the_ack_timeout_means_resynchronise(pair, tenants):
    # Pitfall 44.
    tenant = tenants(pair, overrides={"delivery": {"ack_timeout": "500ms"}})
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    tenant.nats.pause()
    tenant.commit_each(2, 50)
    wait_until(lambda: record_entries(tenant.streamer, "resynchronising"), 20, "the streamer resynchronises")
    tenant.nats.resume()
    tenant.wait_stored(50)
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, 51))
    entry = record_entries(tenant.streamer, "resynchronising")[0]
    assert entry["cause"] == "ack_timeout", entry
    assert tenant.streamer.metric("slotstream_resynchronisations_total") >= 1
    assert tenant.streamer.terminate() == 0


def test_what_is_refused_is_sent_again_for_ever_and_the_rest_waits_behind_it(pair, tenants):
    # A stream that is full and discards what is new: retrying mends it once somebody makes room.
    tenant = tenants(pair, setup=False)
    tenant.administrator.add(tenant.name, subjects=[f"{tenant.prefix}.>"], storage="file", discard="new", max_msgs=3)
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)
    tenant.wait_confirmed()
    with tenant.connect() as connection:
        for number in range(4, 9):
            connection.execute("INSERT INTO tb_item VALUES (%s)", (number,))
        first = tenant.lsn("pg_current_wal_flush_lsn()")
    wait_until(lambda: len(record_entries(tenant.streamer, "resynchronising")) >= 4, 30, "it tries again and again")
    assert tenant.confirmed() < first
    assert tenant.stored() == [1, 2, 3]
    tenant.administrator.update(tenant.name, max_msgs=-1)
    tenant.wait_stored(8)
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, 9))
    assert tenant.streamer.metric("fraiseql_observer_events_retried_total") >= 1


def test_what_was_sent_again_after_a_kill_is_refused_by_the_chain_not_stored_twice(pair, tenants):
    """Killed while nats-server cannot answer: what lies in its socket is stored before the next streamer has looked, or after."""
    tenant = tenants(pair)
    tenant.send_one_by_one()
    expected = list(range(1, 51))
    tenant.streamer.start()
    tenant.commit(*expected)
    tenant.wait_stored(50)
    for kill in range(1, 6):
        first = expected[-1] + 1
        tenant.nats.pause()
        tenant.commit_each(first, first + 19)
        expected += range(first, first + 20)
        wait_until(lambda: (tenant.streamer.in_flight() or 0) >= 20, 20, "twenty messages are in flight")
        tenant.streamer.kill()
        tenant.wait_free()
        tenant.streamer.start(wait=False)
        tenant.nats.resume()
        tenant.streamer.wait_ready()
        tenant.wait_stored(len(expected))
        tenant.wait_confirmed()
    tenant.require_exact(*expected)


def test_a_predecessors_late_publishes_are_neither_doubled_nor_reordered(pair, tenants):
    """The first streamer is frozen with messages under way to a nats-server that is stopped too; its connection to
    PostgreSQL is ended and a second one takes the slot. Then nats-server wakes, and at last the first streamer."""
    tenant = tenants(pair)
    tenant.send_one_by_one()
    first, second = tenant.streamer, tenant.another()
    first.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    tenant.nats.pause()
    tenant.commit_each(2, 200)
    wait_until(lambda: (first.in_flight() or 0) >= 199, 20, "they are in flight")
    first.freeze()
    tenant.terminate_holder()
    second.start(wait=False)
    # It connects, and waits for NATS: the listener's backlog takes the connection.
    tenant.nats.resume()
    second.wait_ready()
    tenant.commit_each(201, 300)
    first.thaw()
    tenant.commit_each(301, 400)
    tenant.wait_stored(400)
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, 401))
    # The first one lost the slot: it stands by, or its own put told it of the other writer.
    wait_until(lambda: not first.running or first.status()["role"] == "standby", 30, "the first streamer gives way")
    assert first.running or first.process.returncode == 76, first.last_words()
    assert second.status()["role"] == "active"


def test_a_zombie_that_does_not_know_that_its_slot_was_taken_ends_as_another_writer(pair, tenants):
    """Nothing tells it: the network to PostgreSQL has fallen silent, without an end of its connections. It is frozen with
    messages under way to a nats-server that is stopped, PostgreSQL gives it up, a second streamer takes over, stores events
    and puts records. When the first one wakes, its acks have come; only the put of its record is refused."""
    tenant = tenants(pair)
    tenant.send_one_by_one()
    network = Proxy(tenant.postgres.port)
    try:
        zombie = tenant.another(conninfo=tenant.conninfo.replace(f"port={tenant.postgres.port}", f"port={network.port}"))
        successor = tenant.streamer
        zombie.start()
        tenant.commit(1)
        tenant.wait_confirmed()
        tenant.nats.pause()
        tenant.commit_each(2, 200)
        wait_until(lambda: (zombie.in_flight() or 0) >= 199, 20, "they are in flight")
        zombie.freeze()
        # Longer than the test: pieces wait in it, and the end behind them.
        network.slow_down(3600)
        # By wal_sender_timeout, 3 s of the session's own.
        tenant.wait_free()
        successor.start(wait=False)
        tenant.nats.resume()
        successor.wait_ready()
        tenant.commit_each(201, 300)
        tenant.wait_stored(300)
        tenant.wait_confirmed()
        record = tenant.administrator.record(tenant.name)
        assert record["last_sequence"] == 300 and record["owner"]

        zombie.thaw()
        said = stopped(zombie, 76, "other_writer")
        assert f"owner {record['owner']}) has taken over stream {tenant.name} and slot {tenant.name} at " in said, said
        assert "Stop one of the two" in remedy(zombie)
    finally:
        network.close()
    assert successor.running and successor.status()["role"] == "active"
    assert tenant.administrator.record(tenant.name)["owner"] == record["owner"]
    tenant.commit_each(301, 400)
    tenant.wait_stored(400)
    tenant.wait_confirmed()
    events = tenant.require_exact(*range(1, 401))
    assert len({event.id for event in events}) == 400


@pytest.mark.parametrize("pauses", [3])
def test_late_publishes_under_load_are_skipped_exactly_up_to_where_they_end(pair, tenants, pauses):
    """Again and again a streamer is frozen at work and another takes over, while transactions are committed all the time."""
    tenant = tenants(pair)
    streamers = [tenant.streamer, *(tenant.another() for _ in range(pauses))]
    count, stop = 0, threading.Event()

    def load() -> None:
        nonlocal count
        with tenant.connect() as connection:
            while not stop.is_set():
                connection.execute("INSERT INTO tb_item SELECT i FROM generate_series(%s::bigint, %s) AS i",
                                   (count + 1, count + 5))
                count += 5

    streamers[0].start()
    former = None
    thread = threading.Thread(target=load)
    thread.start()
    try:
        for holder, successor in zip(streamers, streamers[1:]):
            before = tenant.last_sequence()
            wait_until(lambda: tenant.last_sequence() > before + 100, 30, "it is at work")
            # Standing by, it would take the slot before the successor does.
            if former:
                former.kill()
            former = holder
            holder.freeze()
            tenant.terminate_holder()
            successor.start()
            holder.thaw()
        before = tenant.last_sequence()
        wait_until(lambda: tenant.last_sequence() > before + 100, 30, "the last one is at work")
    finally:
        stop.set()
        thread.join()
    tenant.wait_confirmed(60)
    tenant.require_exact(*range(1, count + 1))


@pytest.mark.parametrize("identifier", [None, "anything", "{system}.{oid}.1.7.00000000FFFFFF00.x", "another database's"])
def test_a_message_of_somebody_else_is_told_and_stops_nothing(pair, tenants, identifier):
    # Pitfalls 21, 52.
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    headers = {} if identifier is None else {"Nats_Msg_Id": identifier}
    if identifier == "another database's":
        system, oid, *rest = tenant.events()[0].id.split(".")
        headers["Nats_Msg_Id"] = ".".join([system, str(int(oid) + 1), *rest])
    stray = tenant.administrator.publish(f"{tenant.prefix}.Foreign", b"hello", **headers).sequence
    tenant.commit(2)
    tenant.wait_confirmed()
    assert tenant.streamer.metric("slotstream_strays_total") == 1
    assert tenant.streamer.status()["counters"]["strays"] == 1
    entry = record_entries(tenant.streamer, "another writer publishes to the stream: nothing is lost, but the streamer is slower")[0]
    assert (entry["sequence"], entry["subject"]) == (stray, f"{tenant.prefix}.Foreign")
    # Nor does one that comes while nobody streams, or setup.
    assert tenant.streamer.terminate() == 0
    tenant.commit(3)
    tenant.administrator.publish(f"{tenant.prefix}.Foreign", b"hello")
    assert "everything is there already" in tenant.streamer.command("setup").stdout
    tenant.streamer.start()
    tenant.wait_confirmed()
    assert [(event.sequence, event.json["entity"]["n"]) for event in tenant.events()
            if event.subject == f"{tenant.prefix}.Item.INSERT"] == [(1, 1), (3, 2), (5, 3)]


def test_two_slots_of_one_stream_are_refused(pair, tenants):
    # Pitfall 21: the second slot finds the record of the first.
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    other = tenant.another({"source": {"slot": f"{tenant.name}_b"}})
    refused(other, 73, "slot_missing", "setup")
    tenant.run(f"SELECT pg_create_logical_replication_slot('{tenant.name}_b', 'pgoutput')")
    refused(other, 78, "configuration", "setup")
    other.start(wait=False)
    stopped(other, 78, "configuration")
    assert tenant.streamer.running
    tenant.commit(2)
    tenant.wait_stored(2)
    tenant.require_exact(1, 2)
