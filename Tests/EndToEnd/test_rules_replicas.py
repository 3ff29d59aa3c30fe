"""Streams with three replicas: leaders that die, that wake, and what is believed only when it is read again."""

import json
import time

import pytest

from administrator import Administrator
from conftest import FALSE_DUPLICATES
from deployment import Pair
from servers.tools import wait_until
from tenants import record_entries, refused, stopped, tenant_maker, tenants  # noqa: F401

SUSPICION_SECONDS = 15


@pytest.fixture
def tenant(one_pair, tenants):
    """A tenant of PostgreSQL and three nats-servers of the newest version."""
    made = tenants(Pair(one_pair.postgres, "2.15.1-R3"))
    wait_until(lambda: made.administrator.info(made.name)["cluster"].get("leader"), 30, "the stream has a leader")
    return made


def _leader(tenant, name: str | None = None):
    """The server that leads the tenant's stream (or another)."""
    leader = tenant.administrator.info(name or tenant.name)["cluster"]["leader"]
    return next(server for server in tenant.nats.servers if server.folder.name == leader)


def _follower_administrator(tenant, leader) -> Administrator:
    return Administrator(",".join(f"nats://127.0.0.1:{server.port}" for server in tenant.nats.servers
                                  if server is not leader))


def test_the_stream_and_the_bucket_are_replicated_and_survive_the_death_of_their_leader(tenant):
    # Pitfall 15.
    count = 0
    tenant.streamer.start()
    for _ in range(3):
        leader = _leader(tenant)
        tenant.commit_each(count + 1, count + 30)
        leader.kill()
        tenant.commit_each(count + 31, count + 60)
        count += 60
        others = _follower_administrator(tenant, leader)
        wait_until(lambda: others.state(tenant.name)["last_seq"] >= count, 60, "a new leader stores", 0.1)
        leader.launch()
        tenant.nats.wait_ready()
    tenant.wait_stored(count)
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, count + 1))
    assert tenant.administrator.config("KV_slotstream")["num_replicas"] == 3


def test_a_leader_that_steps_down_under_load_loses_and_doubles_nothing(tenant):
    tenant.streamer.start()
    count = 0
    for _ in range(5):
        with tenant.connect() as connection:
            connection.execute("INSERT INTO tb_item SELECT generate_series(%s::bigint, %s)", (count + 1, count + 3000))
        count += 3000
        wait_until(lambda: tenant.last_sequence() > count - 2900, 60, "it is under way")
        tenant.administrator.api(f"STREAM.LEADER.STEPDOWN.{tenant.name}")
    tenant.wait_stored(count, seconds=90)
    tenant.wait_confirmed()
    events = tenant.read()
    assert [event.json["entity"]["n"] for event in events] == list(range(1, count + 1))
    assert [event.expected_last for event in events] == list(range(count))


@pytest.mark.parametrize("restarts", [False, True])
def test_a_woken_old_leaders_answer_is_not_believed(tenant, restarts):
    """Pitfall 48b: frozen while others went on, it answers with an old end of the stream for a while."""
    tenant.streamer.start()
    tenant.commit_each(1, 10)
    tenant.wait_stored(10)
    tenant.wait_confirmed()
    leader = _leader(tenant)
    others = _follower_administrator(tenant, leader)
    leader.freeze()
    try:
        tenant.commit_each(11, 60)
        wait_until(lambda: others.state(tenant.name)["last_seq"] >= 60, 60, "a new leader stores", 0.1)
    finally:
        if restarts:
            tenant.streamer.kill()
        leader.thaw()
    if restarts:
        # It asks the woken one first.
        first = f"nats://127.0.0.1:{leader.port}"
        streamer = tenant.another({"transport.nats": {"url": first + "," + others.url}})
        streamer.start(wait=False)
    tenant.commit_each(61, 80)
    tenant.wait_stored(80, seconds=60)
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, 81))


def test_a_deleted_stream_is_believed_lost_only_after_it_was_read_again(tenant):
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    began = time.monotonic()
    tenant.administrator.delete(tenant.name)
    tenant.commit(2)
    stopped(tenant.streamer, 73, "stream_missing", seconds=120)
    assert time.monotonic() - began >= SUSPICION_SECONDS
    began = time.monotonic()
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 73, "stream_missing", seconds=60)
    assert time.monotonic() - began >= SUSPICION_SECONDS
    # An init container's may be the first to ask the woken one.
    began = time.monotonic()
    refused(tenant.streamer, 73, "stream_missing", "setup")
    assert time.monotonic() - began >= SUSPICION_SECONDS


def test_a_record_that_is_deleted_while_the_streamer_runs_is_believed_gone_only_after_it_was_read_again(tenant):
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    began = time.monotonic()
    tenant.administrator.delete_record(tenant.name)
    tenant.commit(2)
    stopped(tenant.streamer, 73, "bucket_missing", seconds=120)
    assert time.monotonic() - began >= SUSPICION_SECONDS


def test_a_cluster_with_too_few_servers_is_waited_for(one_pair, tenants):
    """What a cluster of five says until the fourth and the fifth have come up."""
    tenant = tenants(Pair(one_pair.postgres, "2.15.1-R3"), setup=False)
    wanting = tenant.another({"transport.nats.jetstream": {"replicas": 5}})
    refused(wanting, 69, "unreachable", "setup")
    wanting.start(wait=False)
    wait_until(lambda: len([entry for entry in record_entries(wanting, "interrupted, trying again")
                            if "jetstream.replicas" in json.dumps(entry)]) > 1, 60, "it says why, and tries again")
    assert wanting.terminate() == 0
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    tenant.require_exact(1)


def test_nothing_is_declared_lost_without_a_majority(tenant):
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    leader = _leader(tenant)
    dead = [server for server in tenant.nats.servers if server is not leader]
    for server in dead:
        server.kill()
    tenant.commit_each(2, 20)
    wait_until(lambda: record_entries(tenant.streamer, "resynchronising"), 60, "it cannot store")
    assert tenant.streamer.running
    tenant.streamer.kill()
    tenant.wait_free()
    tenant.streamer.start(wait=False)
    wait_until(lambda: record_entries(tenant.streamer, "interrupted, trying again"), 60, "it tries again and again")
    for server in dead:
        server.launch()
    tenant.nats.wait_ready()
    tenant.wait_stored(20, seconds=90)
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, 21))


def test_a_refused_id_is_stored_in_the_end_on_every_replica(refusing_pair, tenants):
    """A chain that breaks again and again under the same ids: none stays refused, none is stored twice. 2.10 and 2.11 call
    such ids duplicates until the stream has another leader; on 2.10, once each server has led and refused them, for as long as
    it remembers ids."""
    tenant = tenants(refusing_pair)
    tenant.administrator.update(tenant.name, max_msgs=5, discard="new", duplicate_window=10 * 10**9)
    tenant.streamer.start()
    tenant.commit_each(1, 40)
    tenant.wait_stored(5)
    for limit in (12, 25, -1):
        before = len(record_entries(tenant.streamer, "resynchronising"))
        wait_until(lambda: len(record_entries(tenant.streamer, "resynchronising")) > before + 1, 60, "it is refused")
        tenant.administrator.update(tenant.name, max_msgs=limit)
        tenant.wait_stored(limit if limit > 0 else 40, seconds=60)
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, 41))
    if refusing_pair in FALSE_DUPLICATES:
        # Only for what was called a duplicate without being stored.
        assert record_entries(tenant.streamer, "asked the stream's leader to step down")
