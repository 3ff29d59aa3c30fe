"""`delivery.atomic = "auto"`: a transaction is in the stream whole or not at all, whoever looks and whatever breaks."""

import time

import failpoints
from hurting import Hurting
from servers.tools import wait_until
from tenants import tenant_maker, tenants  # noqa: F401
from test_faults import hurt_and_compare, seconds  # noqa: F401
from wholeness import EndWatcher

ATOMIC = {"delivery": {"atomic": "auto"}}

# The server gives a batch up when nothing of it has come for so long.
_ABANDONED_SECONDS = 10


def _batched(events) -> int:
    """How many events came in a batch of more than one."""
    return sum(event.batch is not None and event.batch[1] > 1 for event in events)


def _events(tenant, count: int, seconds: float = 60):
    """What is stored, once the rows 1 to `count` are, each once and in order, and confirmed."""
    tenant.wait_stored(count, seconds)
    tenant.wait_confirmed()
    events = tenant.read()
    assert [event.json["entity"]["n"] for event in events] == list(range(1, count + 1))
    return events


def test_the_stream_is_equal_and_never_torn_whatever_breaks(atomic_pair, deploy, seed, seconds, report):  # noqa: F811
    deployment = deploy(atomic_pair, overrides=ATOMIC)
    with EndWatcher(deployment.nats.url) as watcher:
        said = hurt_and_compare(deployment, Hurting(deployment, seed, ATOMIC), seed, seconds)
    looks = watcher.require_whole()
    batched = _batched(deployment.events)
    assert batched > 0, "nothing went out in a batch"
    report(f"{atomic_pair}, atomic batches: {said}; {batched} events in batches, {looks} looks at the stream's end, none inside a transaction")


def test_the_watcher_finds_transactions_in_part_where_there_are_no_batches(one_pair, tenants):  # noqa: F811
    # What a reader may see of chained messages; and so that the watcher is known to find it.
    tenant = tenants(one_pair)
    tenant.streamer.start()
    with EndWatcher(tenant.nats.url, tenant.name) as watcher:
        for start in range(0, 200_000, 20_000):
            tenant.run(f"INSERT INTO tb_item SELECT n, 'row' FROM generate_series({start + 1}, {start + 20_000}) AS n")
        tenant.wait_stored(200_000, 120)
    assert watcher.torn


def test_what_a_batch_can_hold_is_never_seen_in_part(one_pair, tenants):  # noqa: F811
    tenant = tenants(one_pair, overrides=ATOMIC)
    assert tenant.administrator.config(tenant.name)["allow_atomic"]
    tenant.streamer.start()
    with EndWatcher(tenant.nats.url, tenant.name) as watcher:
        for start in range(0, 60_000, 600):
            tenant.run(f"INSERT INTO tb_item SELECT n, 'row' FROM generate_series({start + 1}, {start + 600}) AS n")
        tenant.wait_stored(60_000, 120)
    watcher.require_whole(20)
    assert all(event.batch for event in _events(tenant, 60_000))


def test_a_transaction_that_no_batch_holds_is_chained_and_marked_by_last(one_pair, tenants):  # noqa: F811
    tenant = tenants(one_pair, overrides=ATOMIC)
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_item SELECT n, 'row' FROM generate_series(1, 3000) AS n")
    tenant.run("INSERT INTO tb_item VALUES (3001, 'a'), (3002, 'b')")
    events = _events(tenant, 3002)
    assert [event.sequence for event in events if event.json["transaction"]["last"]] == [3000, 3002]
    assert [event.batch is not None for event in events] == [False] * 3000 + [True] * 2


def test_a_batch_that_is_given_up_in_the_middle_is_sent_again(one_pair, tenants):  # noqa: F811
    tenant = tenants(one_pair, overrides=ATOMIC)
    streamer = tenant.streamer
    failpoints.start(streamer, "after_send", "stop", 300)
    streamer.wait_ready()
    with EndWatcher(tenant.nats.url, tenant.name) as watcher:
        tenant.run("INSERT INTO tb_item SELECT n, repeat('x', 2000) FROM generate_series(1, 600) AS n")
        wait_until(lambda: failpoints.reached(streamer, "stop"), 30, "it is frozen in the middle of the batch")
        # The passing of time is the point here.
        time.sleep(_ABANDONED_SECONDS + 1)
        assert tenant.last_sequence() == 0
        streamer.thaw()
        tenant.wait_stored(600, 60)
    assert not watcher.torn
    _events(tenant, 600)


def test_a_batch_whose_sender_dies_leaves_nothing(one_pair, tenants):  # noqa: F811
    tenant = tenants(one_pair, overrides=ATOMIC)
    streamer = tenant.streamer
    failpoints.start(streamer, "after_send", "kill", 300)
    streamer.wait_ready()
    tenant.run("INSERT INTO tb_item SELECT n, repeat('x', 2000) FROM generate_series(1, 600) AS n")
    failpoints.recover(streamer, "kill")
    events = _events(tenant, 600)
    assert {event.batch[0] for event in events} == {events[0].batch[0]}


def test_an_ack_that_is_lost_is_settled_by_the_stream(one_pair, tenants):  # noqa: F811
    # Stored whole, and the streamer dies before it hears of it: the ids are known to the stream, so that another try would be refused.
    tenant = tenants(one_pair, overrides=ATOMIC)
    streamer = tenant.streamer
    failpoints.start(streamer, "before_ack", "kill")
    streamer.wait_ready()
    tenant.run("INSERT INTO tb_item SELECT n, 'row' FROM generate_series(1, 10) AS n")
    failpoints.recover(streamer, "kill")
    streamer.wait_ready()
    tenant.run("INSERT INTO tb_item VALUES (11, 'a'), (12, 'b')")
    _events(tenant, 12)


def test_where_the_stream_takes_no_batches_messages_are_chained_and_it_is_said(one_pair, tenants):  # noqa: F811
    tenant = tenants(one_pair)
    streamer = tenant.another(ATOMIC)
    streamer.start()
    tenant.run("INSERT INTO tb_item VALUES (1, 'a'), (2, 'b')")
    tenant.wait_stored(2)
    tenant.require_exact(1, 2)
    said = [entry for entry in streamer.log_entries() if "chained messages" in entry["message"]]
    assert said and "allow_atomic" in said[0]["remedy"]


def test_a_stream_that_takes_no_batches_any_more_is_gone_on_with(one_pair, tenants):  # noqa: F811
    tenant = tenants(one_pair, overrides=ATOMIC)
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_item VALUES (1, 'a'), (2, 'b')")
    tenant.wait_stored(2)
    tenant.administrator.update(tenant.name, allow_atomic=False)
    tenant.run("INSERT INTO tb_item VALUES (3, 'a'), (4, 'b')")
    assert [event.batch is not None for event in _events(tenant, 4)] == [True, True, False, False]


def test_an_older_server_gets_chained_messages(oldest_pair, tenants):  # noqa: F811
    tenant = tenants(oldest_pair, overrides=ATOMIC)
    tenant.streamer.start()
    tenant.run("INSERT INTO tb_item VALUES (1, 'a'), (2, 'b')")
    tenant.wait_stored(2)
    tenant.require_exact(1, 2)
    assert any("2.12.1" in entry["message"] for entry in tenant.streamer.log_entries())


def test_the_beginning_of_a_transaction_does_not_hold_up_the_stop(one_pair, tenants):  # noqa: F811
    tenant = tenants(one_pair, overrides=ATOMIC)
    streamer = tenant.streamer
    # It asks itself to stop while it reads the rows of one transaction.
    failpoints.start(streamer, "reading", "terminate", 200)
    streamer.wait_ready()
    tenant.run("INSERT INTO tb_item SELECT n, 'row' FROM generate_series(1, 600) AS n")
    assert streamer.wait(60) == 0
    assert tenant.last_sequence() in (0, 600)
    streamer.start()
    _events(tenant, 600)
