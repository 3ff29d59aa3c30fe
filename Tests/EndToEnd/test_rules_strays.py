"""Somebody else on the prefix, one rule a test: what hides behind a stray is found, and a stray itself stops nothing."""

import pytest

from oracles.changes import lsn_text
from proxy import Proxy
from servers.tools import wait_until
from somebody import (QUICK, away, keep_going, late_publish, make_stream, mend, require_whole, somebody, stopped_at_hole,  # noqa: F401
                      streaming)
from strayed import sort_out
from strays import KINDS
from tenants import UNRECORDED, record_entries, stopped, tenant_maker, tenants  # noqa: F401
from test_rules_lost_tail import restored

# Larger than what the proxy hands on at once: between two such messages somebody else's comes in.
_LARGE = "x" * 70_000


@pytest.fixture(params=[False, True], ids=["dead", "frozen"])
def is_frozen(request) -> bool:
    """How the streamer is away while the stream is written behind its back: what it finds is compared with what it decodes, or holds."""
    return request.param


@pytest.mark.parametrize("kind", KINDS)
def test_a_stray_stops_nothing_whatever_it_is(pair, tenants, somebody, kind, is_frozen):
    tenant = tenants(pair, setup=False, overrides=QUICK)
    make_stream(tenant)
    strays = somebody(tenant)
    # Before anything of ours; while it is away; when all is stored, as the last message.
    strays.publish(kind)
    streaming(tenant)
    strays.publish(kind)
    with away(tenant, is_frozen):
        tenant.commit_each(4, 8)
        strays.publish(kind)
    require_whole(tenant, 8, strays)
    strays.publish(kind)
    tenant.commit(9)
    require_whole(tenant, 9, strays)
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    strays.publish(kind)
    tenant.streamer.start()
    tenant.commit(10)
    require_whole(tenant, 10, strays)


def test_strays_are_told(pair, tenants, somebody):
    tenant = tenants(pair, overrides=QUICK)
    strays = somebody(tenant)
    streaming(tenant)
    strays.publish("plain")
    tenant.commit(4)
    require_whole(tenant, 4, strays)
    assert tenant.streamer.metric("slotstream_strays_total") == 1
    told = [entry for entry in tenant.streamer.log_entries() if f"{tenant.prefix}.Stray.HELLO" in str(entry)]
    assert told and told[0]["level"] in ("warning", "notice"), tenant.streamer.last_words()
    assert tenant.streamer.running


def test_a_delayed_message_of_our_own_behind_an_accepted_stray_is_a_hole(pair, tenants, somebody, is_frozen):
    tenant = tenants(pair, overrides=QUICK)
    strays = somebody(tenant)
    streaming(tenant)
    with away(tenant, is_frozen):
        tenant.commit_each(4, 10)
        ids = tenant.coming_ids()
        strays.publish("plain")
        late_publish(tenant, ids[2], 6)
    stopped_at_hole(tenant, ids[:2])
    # It stays so until somebody mends it.
    tenant.streamer.start(wait=False)
    stopped_at_hole(tenant, ids[:2])
    mend(tenant, ids[:2])
    tenant.streamer.start()
    require_whole(tenant, 10, strays, late=(4, 5))
    tenant.commit(11)
    require_whole(tenant, 11, strays, late=(4, 5))


def test_a_predecessor_whose_filters_left_out_more_left_a_hole(pair, tenants, is_frozen):
    tenant = tenants(pair, overrides=QUICK)
    streaming(tenant)
    with away(tenant, is_frozen):
        tenant.commit_each(4, 10)
        ids = tenant.coming_ids()
        for place in (0, 2, 3, 5):
            late_publish(tenant, ids[place], 4 + place)
    stopped_at_hole(tenant, ids[1:2])
    # It finds what is missing further on too.
    mend(tenant, [ids[1], ids[4]])
    tenant.streamer.start()
    require_whole(tenant, 10, late=(5, 8))


@pytest.mark.parametrize("window", ["1", "20KiB", "8MiB"])
def test_what_is_stored_beyond_the_window_is_compared_when_its_turn_comes(pair, tenants, window):
    """A predecessor's messages, one of them missing: the streamer holds less than the stream does, or more."""
    tenant = tenants(pair, overrides=QUICK | {"delivery": {"in_flight_bytes": window, "checkpoint_interval": "100ms"}})
    streaming(tenant)
    with away(tenant, is_frozen=True):
        tenant.commit_each(4, 400)
        ids = tenant.coming_ids()
        tenant.administrator.publish_all(
            f"{tenant.prefix}.Item.INSERT",
            [(b'{"entity":{"n":%d}}' % number, identifier) for number, identifier in zip(range(4, 304), ids) if number != 150])
    stopped_at_hole(tenant, [ids[146]])
    mend(tenant, [ids[146]])
    tenant.streamer.start()
    tenant.wait_confirmed()
    found = sort_out(tenant.read(), [])
    assert [event.json["entity"]["n"] for event in found.ours] == [number for number in range(1, 401) if number != 150]
    assert list(found.late) == [ids[146]]


def test_filters_that_changed_after_a_kill_are_refused_until_what_was_stored_is_proven(pair, tenants):
    tenant = tenants(pair, overrides=UNRECORDED | {"events": {"exclude": ["public.tb_item:DELETE"]}})
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)
    tenant.run("DELETE FROM tb_item WHERE n = 1")
    tenant.commit(4)
    tenant.wait_stored(4)
    tenant.streamer.kill()
    tenant.wait_free()
    other = tenant.another({"events": {"exclude": []}, "delivery": {"checkpoint_interval": "1s"}})
    other.start(wait=False)
    stopped(other, 73, "options_changed")
    assert [event.json["operation"] for event in tenant.events()] == ["INSERT"] * 4
    # As it says: finish under the old options; its end puts the record.
    tenant.streamer.start()
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    other.start()
    tenant.run("DELETE FROM tb_item WHERE n = 2")
    tenant.commit(5)
    tenant.wait_confirmed()
    assert [event.json["operation"] for event in tenant.events()] == ["INSERT"] * 4 + ["DELETE", "INSERT"]


@pytest.mark.parametrize("refusal", ["size", "discard new"])
def test_a_stray_in_the_number_of_a_message_that_was_refused_in_mid_pipeline_hides_nothing(pair, tenants, somebody, refusal):
    """The sixth message is refused for itself; before the seventh arrives, somebody else's has taken its number."""
    tenant = tenants(pair, setup=False, overrides=QUICK)
    limits = {"max_msg_size": 150_000} if refusal == "size" else {"max_msgs": 5, "discard": "new"}
    make_stream(tenant, **limits if refusal != "size" else {})
    network = Proxy(tenant.nats.servers[0].port)
    try:
        tenant.streamer = tenant.another(
            {"transport.nats": {"url": f"nats://127.0.0.1:{network.port}"}, "events": {"on_poison": "stop"}})
        strays = somebody(tenant)
        tenant.streamer.start()
        tenant.commit_each(1, 3)
        tenant.wait_confirmed()
        if refusal == "size":
            # Known before, it would not be sent at all.
            tenant.administrator.update(tenant.name, **limits)
        lifted = {"max_msg_size": -1} if refusal == "size" else {"max_msgs": -1}
        network.slow_down(0.3)
        strays.aim(6, "plain") if refusal == "size" else None
        with tenant.connect() as connection, connection.transaction():
            for number in range(4, 31):
                note = _LARGE * 3 if number == 6 else _LARGE
                connection.execute("INSERT INTO tb_item VALUES (%s, %s)", (number, note))
        wait_until(lambda: strays.heard >= 6, 60, "the sixth message has arrived", 0.002)
        tenant.administrator.update(tenant.name, **lifted)
        if refusal != "size":
            strays.publish("plain")
        network.mend()
        keep_going(tenant, 30, strays, restartable=(65, 78))
    finally:
        network.close()


def test_a_lost_tail_that_was_refilled_by_strays_is_seen(single_pair, tenants, somebody, is_frozen):
    tenant = tenants(single_pair, overrides=QUICK)
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_confirmed()

    def go_on() -> None:
        tenant.commit_each(4, 9)
        tenant.wait_stored(9)
        tenant.wait_confirmed()
        if is_frozen:
            tenant.streamer.freeze()
        else:
            tenant.streamer.kill()
            tenant.wait_free()

    restored(tenant, tenant.name, meanwhile=go_on)
    assert tenant.last_sequence() == 3
    strays = somebody(tenant)
    for _ in range(7):
        strays.publish("plain")
    tenant.commit(10)
    confirmed = tenant.confirmed()
    if is_frozen:
        tenant.streamer.thaw()
    else:
        tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 73, "stream_tail_lost", seconds=60)
    assert tenant.confirmed() == confirmed
    assert tenant.last_sequence() == 10, "nothing was stored over the hole"


def test_an_old_id_of_ours_echoed_as_the_last_message_is_a_stray(pair, tenants, somebody, is_frozen):
    tenant = tenants(pair, setup=False, overrides=QUICK)
    make_stream(tenant)
    strays = somebody(tenant)
    streaming(tenant)
    with away(tenant, is_frozen):
        tenant.commit_each(4, 8)
        # Refused as long as the stream remembers the id.
        wait_until(lambda: strays.publish("echo")[0].sequence, 20, "an old message is stored once more", 0.1)
    require_whole(tenant, 8, strays)


def test_a_message_of_which_nobody_knows_what_it_was_is_a_hole_until_somebody_answers_for_it(pair, tenants, somebody, is_frozen):
    """Somebody tidied a stray away: only its sequence is left, and the event that should have had it might have been there."""
    tenant = tenants(pair, overrides=QUICK)
    strays = somebody(tenant)
    streaming(tenant)
    with away(tenant, is_frozen):
        tenant.commit_each(4, 8)
        gone, _ = strays.publish("plain")[0], strays.publish("plain")[0]
        tenant.administrator.delete_message(tenant.name, gone.sequence)
    strays.published.remove(gone)
    commit = tenant.lsn("pg_current_wal_flush_lsn()")
    said = stopped(tenant.streamer, 76, "hole_found", seconds=60)
    assert str(gone.sequence) in said and tenant.confirmed() < commit
    mend(tenant, [])
    tenant.streamer.start()
    require_whole(tenant, 8, strays)


def test_a_purge_beyond_the_end_loses_nothing(oldest_pair, tenants, is_frozen):
    """Whoever does that to nats-server 2.9.10 has to restart it: until then it takes no sequence that it tells."""
    tenant = tenants(oldest_pair, overrides=QUICK)
    streaming(tenant)
    with away(tenant, is_frozen):
        # A frozen one could send them when it wakes, before it hears of the restart: they would be unknown too.
        if not is_frozen:
            tenant.commit_each(4, 6)
        tenant.administrator.api(f"STREAM.PURGE.{tenant.name}", seq=100)
        tenant.nats.kill()
        tenant.nats.start()
    if not is_frozen:
        # Nobody knows whether anything of ours was among what is gone.
        stopped(tenant.streamer, 73, "stream_purged")
        tenant.streamer.command("slot", "advance", "--accept-gap", "--by", "an operator")
        tenant.streamer.start()
    tenant.commit_each(4 if is_frozen else 7, 9)
    require_purged(tenant, 9)
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    tenant.streamer.start()
    tenant.commit(10)
    require_purged(tenant, 10)


def require_purged(tenant, last: int) -> None:
    """What was committed behind the purge is there, up to this row."""
    tenant.wait_confirmed(60)
    assert [event.json["entity"]["n"] for event in tenant.events() if event.json["operation"] != "GAP"] == list(range(4, last + 1))


# Nobody but an administrator may make a consumer.
_NO_CONSUMERS = (
    "authorization { users = [",
    "  { user: admin, password: admin }",
    '  { user: reader, password: reader, permissions: { publish: { deny: ["$JS.API.CONSUMER.CREATE.>", "$JS.API.CONSUMER.MSG.NEXT.>"] } } }',
    "] }",
    "no_auth_user: admin",
)


@pytest.mark.parametrize("refusal", ["limit", "no right"])
def test_where_no_consumer_can_be_made_the_range_is_read_all_the_same(pair, tenants, somebody, refusal):
    tenant = tenants(pair, nats_lines=_NO_CONSUMERS, setup=False, overrides=QUICK)
    make_stream(tenant, **({"max_consumers": 1} if refusal == "limit" else {}))
    if refusal == "no right":
        password = tenant.servers.folder / f"{tenant.name}-password"
        password.write_text("reader\n")
        tenant.streamer = tenant.another({"transport.nats": {"user": "reader", "password_file": str(password)}})
    else:
        assert tenant.administrator.state(tenant.name)["consumer_count"] == 1, "the worker's own"
    strays = somebody(tenant)
    streaming(tenant)
    for is_frozen in (True, False):
        count = tenant.value("SELECT max(n) FROM tb_item")
        with away(tenant, is_frozen):
            tenant.commit_each(count + 1, count + 300)
            ids = tenant.coming_ids()[count - 3:]
            for place in range(60):
                strays.publish("plain") if place % 20 == 0 else late_publish(tenant, ids[place - place // 20 - 1], count + place - place // 20)
        require_whole(tenant, count + 300, strays, stored=tenant.events)


def test_100_strays_a_second_stop_nothing(pair, tenants, somebody, request, report):
    seconds = 6 if request.config.getoption("--minutes") < 1 else 60
    tenant = tenants(pair, overrides=QUICK)
    strays = somebody(tenant)
    tenant.streamer.start()
    strays.begin_flood(100)
    count = 0
    try:
        for _ in range(seconds):
            before = tenant.confirmed()
            # So many a second that there is always something in flight.
            with tenant.connect() as connection:
                for _ in range(40):
                    connection.execute("INSERT INTO tb_item SELECT generate_series(%s::bigint, %s)", (count + 1, count + 10))
                    count += 10
            wait_until(lambda: tenant.confirmed() > before, 20, "it gets on", 0.05)
    finally:
        published = strays.end_flood()
    require_whole(tenant, count, strays, seconds=60)
    report(f"{pair}: {published} strays in {seconds} s of load, {count} events beside them, none lost, no stop")


def test_a_forged_id_of_an_event_that_comes_later_skips_nothing(pair, tenants, is_frozen):
    """Item 2: before, the fifty events between were taken for stored."""
    tenant = tenants(pair, overrides=QUICK)
    streaming(tenant)
    with away(tenant, is_frozen):
        tenant.commit_each(4, 60)
        ids = tenant.coming_ids()
        late_publish(tenant, ids[50], 54)
    stopped_at_hole(tenant, ids[:50])
    mend(tenant, ids[:50])
    tenant.streamer.start()
    require_whole(tenant, 60, late=tuple(range(4, 54)))


@pytest.mark.parametrize("place", ["between", "behind all", "beyond the wal"])
def test_a_forged_position_that_was_never_decoded_skips_nothing(pair, tenants, place):
    tenant = tenants(pair, overrides=QUICK)
    streaming(tenant)
    tenant.streamer.kill()
    tenant.wait_free()
    tenant.commit_each(4, 60)
    ids = tenant.coming_ids()
    model = {"between": ids[40], "behind all": ids[-1], "beyond the wal": ids[-1]}[place]
    *first, xid, commit_lsn, ordinal = model.split(".")
    beyond = {"between": 8, "behind all": 8, "beyond the wal": 1 << 32}[place]
    forged = ".".join([*first, xid, f"{int(commit_lsn, 16) + beyond:016X}", ordinal])
    late_publish(tenant, forged, 999)
    if place == "behind all":
        # The server's WAL goes on beyond it.
        tenant.commit_each(61, 70)
    tenant.streamer.start(wait=False)
    ended = tenant.streamer.wait(60)
    said = record_entries(tenant.streamer, "stopped")[-1]
    position = lsn_text(int(commit_lsn, 16) + beyond)
    assert ended in (73, 76) and (forged in said["error"] or position in said["error"]) and said["remedy"], said
    assert tenant.confirmed() <= int(ids[0].split(".")[-2], 16), "nothing of what is not stored was confirmed"
