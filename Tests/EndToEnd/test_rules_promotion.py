"""Timelines: what a promotion leaves valid, and what is lost by it."""

import json

import pytest

import stream
from administrator import Administrator
from oracles.changes import lsn_number
from promotion import Cluster
from remedies import follow
from servers.tools import wait_until
from tenants import record_entries, refused, stopped


@pytest.fixture
def cluster(deploy, pair):
    made = Cluster(deploy(pair))
    yield made
    made.close()


def _streamed_up_to_two(cluster) -> None:
    cluster.before.start()
    cluster.commit(cluster.primary, 1, 2)
    cluster.deployment.wait_confirmed()
    cluster.wait_slot_portable()


def test_what_committed_before_a_promotion_keeps_the_old_timeline(cluster):
    primary, standby = cluster.primary, cluster.standby
    _streamed_up_to_two(cluster)
    assert cluster.before.terminate() == 0
    # Committed under the old timeline, published after the promotion.
    cluster.commit(primary, 3, 4)
    cluster.cut_off()
    primary.stop("immediate")
    standby.start()
    # A server in recovery is not streamed from.
    cluster.after.start(wait=False)
    wait_until(lambda: record_entries(cluster.after, "standing by: the server is in recovery"), 30, "it says that the server is a standby")
    # As a standby of another streamer does: it is ready, whatever the server does meanwhile.
    assert json.loads(cluster.after.get("/readyz"))["role"] == cluster.after.status()["role"] == "standby"
    assert cluster.after.running and len(cluster.stored()) == 2
    standby.promote()
    # It waited for that.
    cluster.after.wait_ready(60)
    cluster.commit(standby, 5, 6)
    cluster.wait_stored(6)
    assert cluster.stored() == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2)]
    cluster.after.kill()
    cluster.after.start()
    cluster.commit(standby, 7)
    cluster.wait_stored(7)
    assert cluster.stored() == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2), (7, 2)]
    assert cluster.after.terminate() == 0


def test_what_was_published_and_lost_by_a_failover_is_refused(cluster):
    # Pitfall 34.
    primary, standby = cluster.primary, cluster.standby
    _streamed_up_to_two(cluster)
    cluster.cut_off()
    # Published, and never to be seen on the other server.
    cluster.commit(primary, 3, 4)
    cluster.wait_stored(4)
    cluster.before.kill()
    primary.stop("immediate")
    lost = cluster.deployment.last_stored()[0]
    standby.start()
    standby.promote()
    # xid and LSN come again, and go beyond.
    cluster.commit(standby, 3, 4)
    while standby.flushed() < lost + 100_000:
        cluster.commit(standby, *range(100, 200))
        standby.run("SELECT pg_switch_wal()")
    cluster.after.start(wait=False)
    # Named by position: what the stream ends with, and where the histories part. The standby's own file says the latter.
    last = list(stream.read(cluster.deployment.nats.url))[-1].id
    switch = standby.value(r"SELECT split_part(pg_read_file('pg_wal/00000002.history'), E'\t', 2)")
    assert f".{lost:016X}." in last and lsn_number(switch) < lost
    for said in (stopped(cluster.after, 73, "history_diverged"), refused(cluster.after, 73, "history_diverged", "setup")):
        assert f"the stream ends with {last}, but the server left timeline 1 at {switch}:" in said, said
    assert cluster.stored() == [(1, 1), (2, 1), (3, 1), (4, 1)]
    anew = follow(cluster.after, "fraiseql_events")
    cluster.commit(standby, 5)
    administrator = Administrator(cluster.deployment.nats.url)
    wait_until(lambda: administrator.state(anew)["last_seq"] == 1, 30, "it is stored")
    assert cluster.after.terminate() == 0


def test_what_keepalives_confirmed_beyond_the_switch_point_is_no_loss(cluster):
    """The old primary went on without a change that is published: its confirmed position is beyond the point at which the
    new history branched off, and means nothing there."""
    primary, standby = cluster.primary, cluster.standby
    primary.run("CREATE TABLE not_published (n BIGINT)")
    _streamed_up_to_two(cluster)
    cluster.cut_off()
    primary.run("INSERT INTO not_published SELECT generate_series(1, 50000)")
    cluster.deployment.wait_confirmed()
    assert cluster.before.terminate() == 0
    primary.stop("immediate")
    standby.start()
    standby.promote()
    cluster.commit(standby, 3, 4)
    cluster.after.start(wait=False)
    cluster.wait_stored(4)
    assert cluster.stored() == [(1, 1), (2, 1), (3, 2), (4, 2)]
    cluster.after.kill()
    cluster.after.start()
    cluster.commit(standby, 5)
    cluster.wait_stored(5)
    assert [number for number, _ in cluster.stored()] == [1, 2, 3, 4, 5]
