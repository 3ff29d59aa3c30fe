"""Strays on streams with replicas: where nothing can prevent a hole it is named and mended, and nothing that a stray does kills the stream."""

import threading

import pytest

from administrator import Administrator
from deployment import Pair
from servers.tools import wait_until
from somebody import keep_going, make_stream, mend, require_whole, see_to, somebody, streaming, with_hole  # noqa: F401
from strays import KINDS, Strays
from tenants import PATIENT, tenant_maker, tenants  # noqa: F401


def _leader(tenant):
    name = wait_until(lambda: tenant.administrator.info(tenant.name)["cluster"].get("leader"), 30, "the stream has a leader", 0.2)
    return next(server for server in tenant.nats.servers if server.folder.name == name)


@pytest.fixture(params=[True, False], ids=["fast batches", "chained"])
def is_batched(request) -> bool:
    """With fast batches, which prevent holes, and without anything that does."""
    return request.param


@pytest.fixture
def tenant(one_pair, tenants, is_batched):
    """A tenant of three nats-servers of the newest version."""
    made = tenants(Pair(one_pair.postgres, "2.15.1-R3"), setup=False, overrides=PATIENT)
    make_stream(made, allow_batched=is_batched)
    return made


def test_strays_in_mid_pipeline_lose_nothing(tenant, somebody, is_batched):
    strays = somebody(tenant)
    tenant.streamer.start()
    for number, kind in enumerate(KINDS):
        strays.aim(200 + 400 * number, kind)
    tenant.run("INSERT INTO tb_item SELECT n, repeat('x', 500) FROM generate_series(1, 4000) AS n")
    assert keep_going(tenant, 4000, strays) == 0 or not is_batched


def test_a_stream_that_is_scaled_to_three_replicas_under_load_with_strays_lives(one_pair, tenants, somebody, is_batched):
    tenant = tenants(Pair(one_pair.postgres, "2.15.1-R3"), setup=False, overrides=PATIENT)
    make_stream(tenant, allow_batched=is_batched, num_replicas=1)
    strays = somebody(tenant)
    tenant.streamer.start()
    count, stop, holes = 0, threading.Event(), 0

    def load() -> None:
        nonlocal count
        with tenant.connect() as connection:
            while not stop.is_set():
                connection.execute("INSERT INTO tb_item SELECT generate_series(%s::bigint, %s)", (count + 1, count + 20))
                count += 20
                # Slower than what it can take beside strays and mending.
                stop.wait(0.02)

    def has_stored(last: int) -> bool:
        nonlocal holes
        holes += see_to(tenant)
        return tenant.last_sequence() > last

    def is_three() -> bool:
        nonlocal holes
        holes += see_to(tenant)
        cluster = tenant.administrator.info(tenant.name)["cluster"]
        return bool(cluster.get("leader")) and len([each for each in cluster.get("replicas") or [] if each["current"]]) == 2

    thread = threading.Thread(target=load)
    # Where each of them may stop it: few.
    strays.begin_flood(50 if is_batched else 2)
    thread.start()
    try:
        wait_until(lambda: has_stored(500), 60, "it is under way", 0.1)
        tenant.administrator.update(tenant.name, num_replicas=3)
        wait_until(is_three, 60, "it has three replicas", 0.2)
        before = tenant.last_sequence()
        wait_until(lambda: has_stored(before + 500), 60, "the stream lives", 0.1)
    finally:
        stop.set()
        thread.join()
        strays.end_flood()
    holes += keep_going(tenant, count, strays, seconds=90)
    assert holes == 0 or not is_batched
    for server in tenant.nats.servers:
        own = Administrator(f"nats://127.0.0.1:{server.port}")
        wait_until(lambda: own.state(tenant.name)["messages"] == tenant.last_sequence(), 30, "each server has all of it", 0.2)


def test_a_woken_leader_tells_an_old_end_while_the_range_is_read(tenant, is_batched):
    """Frozen while strays and events were stored by others, it is the first that the next streamer asks."""
    streaming(tenant, 10)
    leader = _leader(tenant)
    others = Administrator(",".join(f"nats://127.0.0.1:{server.port}" for server in tenant.nats.servers if server is not leader))
    with Strays(others.url, tenant.name, tenant.prefix, f"{tenant.prefix}.Item.INSERT", 1) as strays:
        leader.freeze()
        try:
            tenant.commit_each(11, 60)
            wait_until(lambda: others.state(tenant.name)["last_seq"] >= 60, 60, "a new leader stores", 0.1)
            for kind in KINDS[:3]:
                strays.publish(kind)
        finally:
            tenant.streamer.kill()
            leader.thaw()
        # It asks the woken one first.
        streamer = tenant.another({"transport.nats": {"url": f"nats://127.0.0.1:{leader.port},{others.url}"}})
        streamer.start(wait=False)
        tenant.commit_each(61, 80)
        require_whole(tenant, 80, strays, seconds=60)


@pytest.mark.parametrize("moment", ["before the marker", "after the late events"])
def test_a_hole_in_a_replicated_stream_is_mended_whoever_leads(tenant, somebody, is_batched, moment):
    strays = somebody(tenant)
    ids = with_hole(tenant, strays)

    def step_down() -> None:
        wait_until(lambda: tenant.administrator.api(f"STREAM.LEADER.STEPDOWN.{tenant.name}"), 30, "the leader steps down", 0.2)
        _leader(tenant)

    if moment == "before the marker":
        step_down()
    mend(tenant, ids[:2])
    if moment == "after the late events":
        step_down()
    tenant.streamer.start()
    require_whole(tenant, 10, strays, late=(4, 5), seconds=60)
