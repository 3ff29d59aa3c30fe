"""Fast batches (nats-server 2.14 and later): a stray ends the batch, and nothing behind it is stored; what else can happen to one."""

import time

import pytest

from deployment import Pair
from servers.tools import wait_until
from somebody import away, make_stream, require_whole, somebody  # noqa: F401
from strays import KINDS
from tenants import PATIENT, record_entries, stopped, tenant_maker, tenants  # noqa: F401

# The server ends a batch of which nothing has come for so long.
_IDLE_SECONDS = 10


@pytest.fixture(params=["2.15.1", "2.15.1-R3"], ids=["one", "three"])
def tenant(one_pair, tenants, request):
    """On a server, and on a cluster; its stream takes batches."""
    made = tenants(Pair(one_pair.postgres, request.param), setup=False, overrides=PATIENT)
    make_stream(made, allow_batched=True)
    return made


def _commit_many(tenant, first: int, last: int) -> None:
    """Transactions of a hundred rows."""
    with tenant.connect() as connection:
        for start in range(first, last + 1, 100):
            connection.execute("INSERT INTO tb_item SELECT generate_series(%s::bigint, %s)", (start, min(start + 99, last)))


def test_events_go_out_in_batches_and_a_stray_makes_no_hole(tenant, somebody):
    strays = somebody(tenant)
    tenant.streamer.start()
    for after, kind in zip(range(50, 5000, 700), KINDS * 2):
        strays.aim(after, kind)
    _commit_many(tenant, 1, 6000)
    require_whole(tenant, 6000, strays, seconds=60)
    # What follows a stray goes out singly for a while; how many events that is depends on how fast the machine is.
    assert strays.batched > 6000 / 2, f"only {strays.batched} came in batches"
    assert strays.heard < 3 * 6000, "a batch that a stray ended is not sent again for ever"


def test_setup_makes_streams_that_take_batches(newest_pair, tenants, somebody):
    tenant = tenants(newest_pair)
    assert tenant.administrator.config(tenant.name)["allow_batched"]
    strays = somebody(tenant)
    tenant.streamer.start()
    _commit_many(tenant, 1, 1000)
    require_whole(tenant, 1000, strays)
    assert strays.batched


def test_an_id_that_is_stored_and_purged_while_a_batch_is_due_is_known_to_nobody(tenant, somebody):
    """The last of a batch was stored by somebody and is gone: sent again it would be skipped, and counted as if it were stored."""
    strays = somebody(tenant)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    tenant.watch_ids()
    with away(tenant, is_frozen=True):
        tenant.commit_each(2, 40)
        first = tenant.lsn("pg_current_wal_flush_lsn()")
        tenant.administrator.publish(f"{tenant.prefix}.Item.INSERT", b"{}", Nats_Msg_Id=tenant.coming_ids()[-1])
        # What it remembers, it does not hold any more.
        tenant.administrator.purge(tenant.name)
    stopped(tenant.streamer, 73, "stream_purged", seconds=90)
    assert tenant.confirmed() < first and tenant.stored() == [] and not strays.published


def test_a_batch_that_was_idle_is_ended_and_another_begun(tenant, somebody):
    strays = somebody(tenant)
    tenant.streamer.start()
    _commit_many(tenant, 1, 300)
    require_whole(tenant, 300, strays)
    # The passing of time is the point here.
    time.sleep(_IDLE_SECONDS + 2)
    tenant.commit(301)
    require_whole(tenant, 301, strays)
    time.sleep(_IDLE_SECONDS + 2)
    strays.publish("plain")
    _commit_many(tenant, 302, 700)
    require_whole(tenant, 700, strays)
    assert not record_entries(tenant.streamer, "interrupted, trying again")


def test_a_leader_that_steps_down_in_mid_batch_loses_nothing(one_pair, tenants, somebody):
    tenant = tenants(Pair(one_pair.postgres, "2.15.1-R3"), setup=False, overrides=PATIENT)
    make_stream(tenant, allow_batched=True)
    strays = somebody(tenant)
    tenant.streamer.start()
    for number in range(4):
        strays.aim(1000 + 2500 * number, "plain")
        strays.aim(1010 + 2500 * number, "echo")
    for number in range(4):
        _commit_many(tenant, 1 + 3000 * number, 3000 * (number + 1))
        wait_until(lambda: tenant.last_sequence() > 3000 * number + 100, 60, "it is under way")
        wait_until(lambda: tenant.administrator.api(f"STREAM.LEADER.STEPDOWN.{tenant.name}"), 30, "the leader steps down", 0.2)
    require_whole(tenant, 12_000, strays, seconds=90)
    assert strays.batched


@pytest.mark.parametrize("who", ["streamer", "server"])
def test_a_kill_in_mid_batch_loses_nothing(tenant, somebody, who):
    strays = somebody(tenant)
    tenant.streamer.start()
    first = 1
    for number in range(3):
        strays.aim(strays.heard + 300, "plain")
        _commit_many(tenant, first, first + 1999)
        first += 2000
        if who == "streamer":
            wait_until(lambda: tenant.last_sequence() > first - 1900, 60, "it is under way")
            tenant.streamer.kill()
            tenant.wait_free()
            strays.publish("own id")
            tenant.streamer.start(wait=False)
        else:
            leader = (tenant.administrator.info(tenant.name).get("cluster") or {}).get("leader")
            server = next(server for server in tenant.nats.servers if len(tenant.nats.servers) == 1 or server.folder.name == leader)
            server.kill()
            server.launch()
            tenant.nats.wait_ready()
    require_whole(tenant, first - 1, strays, seconds=90)
    assert strays.batched


def test_a_message_over_the_streams_limit_in_mid_batch_waits_and_hides_nothing(tenant, somebody):
    strays = somebody(tenant)
    tenant.streamer = tenant.another({"events": {"on_poison": "stop"}})
    tenant.streamer.start()
    # Known before, it would not be sent at all.
    tenant.administrator.update(tenant.name, max_msg_size=20_000)
    strays.aim(505, "plain")
    with tenant.connect() as connection, connection.transaction():
        for number in range(1, 1001):
            connection.execute("INSERT INTO tb_item VALUES (%s, %s)", (number, "x" * (30_000 if number == 500 else 100)))
    wait_until(lambda: tenant.last_sequence() >= 499, 30, "what is before it is stored")
    confirmed = tenant.confirmed()
    assert tenant.last_sequence() <= 501 and confirmed < tenant.lsn("pg_current_wal_flush_lsn()")
    tenant.administrator.update(tenant.name, max_msg_size=-1)

    def caught_up() -> bool:
        if not tenant.streamer.running:
            tenant.streamer.start(wait=False)
        return tenant.last_sequence() >= 1000

    wait_until(caught_up, 60, "the rest is stored", 0.1)
    require_whole(tenant, 1000, strays)


def test_a_stream_that_takes_no_batches_any_more_is_gone_on_with(one_pair, tenants, somebody):
    tenant = tenants(one_pair)
    strays = somebody(tenant)
    tenant.streamer.start()
    _commit_many(tenant, 1, 500)
    tenant.wait_stored(500)
    tenant.administrator.update(tenant.name, allow_batched=False)
    strays.aim(strays.heard + 100, "plain")
    _commit_many(tenant, 501, 1000)
    require_whole(tenant, 1000, strays)
