"""The streamer ends, freezes or is stopped at each named moment inside it, under load; and a streamer that is stuck is not live."""

import json
import random
import urllib.error

import failpoints
import pytest
from hurting import Hurting
from servers.tools import wait_until
from strays import KINDS
from tenants import record_entries, tenant_maker, tenants  # noqa: F401

# Transactions a second, and seconds that a failpoint takes at most on average.
_RATE = 200
_SECONDS = 4.0


def test_the_stream_is_equal_after_an_end_at_each_failpoint(pair, deploy, seed, report):
    deployment = deploy(pair)
    hurting = Hurting(deployment, seed)
    choice = random.Random(seed)
    steps = [(point, action) for point in failpoints.POINTS for action in failpoints.ACTIONS]
    choice.shuffle(steps)
    try:
        with deployment.sampler() as sampler:
            workload = hurting.workload = deployment.workload(int(_RATE * _SECONDS * len(steps)), seed, _RATE).start()
            for point, action in steps:
                number = choice.randint(1, failpoints.last_pass(point))
                hurting.strays.aim(hurting.strays.heard + choice.randrange(1, 200), choice.choice(KINDS))
                assert hurting.hurt_inside(action, point, number), f"{point} was not reached before the load ended"
            workload.finish()
            hurting.streamer.wait_ready()
            deployment.wait_confirmed()
            hurting.strays.settle()
        result = deployment.compare_load(workload, hurting.strays.published)
        positions = sampler.require_truth(deployment.truth.transactions)
    finally:
        hurting.close()
    report(f"{pair}: {len(steps)} ends at {len(failpoints.POINTS)} failpoints by {', '.join(failpoints.ACTIONS)}, seed {seed}; "
           f"{len(hurting.strays.published)} strays; {result.compared} events compared, 0 differences; {positions} confirmed positions sampled, none early")


@pytest.mark.parametrize(("point", "loop"), [("reading", "reads from PostgreSQL"), ("after_send", "publishes to NATS"),
                                             ("before_ack", "publishes to NATS")])
def test_a_streamer_that_is_stuck_is_not_live(one_pair, tenants, point, loop):  # noqa: F811
    # Pitfall 39: the process is there, its connections are, and its HTTP server answers. Each thread can be the one that is stuck.
    tenant = tenants(one_pair)
    streamer = tenant.streamer
    # The other loop turns within that, also on a machine that stands still for a while; after_send keeps the time that is promised.
    if point != "after_send":
        streamer.keep_other_times(liveness=10_000)
    failpoints.start(streamer, point, "hang")
    streamer.wait_ready()
    tenant.commit(1)

    def status_of(path: str) -> int:
        try:
            streamer.get(path)
        except urllib.error.HTTPError as error:
            return error.code
        return 200

    wait_until(lambda: status_of("/livez") == 503, 60, "it is found stuck", 0.5)
    status = json.loads(streamer.get("/status"))
    assert not status["live"] and [loop in reason for reason in status["reasons"]] == [True], status
    assert streamer.running
    streamer.command("health", expect=1)
    streamer.kill()
    tenant.wait_free()
    streamer.start()
    tenant.wait_stored(1)
    tenant.require_exact(1)


def test_a_record_that_changes_while_the_streamer_recovers_is_read_again(one_pair, tenants):  # noqa: F811
    """A predecessor's last put may arrive between our reading and our taking it over: whoever has not read it does not overwrite it."""
    tenant = tenants(one_pair)
    streamer = tenant.streamer
    streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    streamer.kill()
    tenant.wait_free()
    failpoints.start(streamer, "recovering", "stop")
    wait_until(lambda: failpoints.reached(streamer, "stop"), 30, "it has read both servers")
    tenant.administrator.put_record(tenant.name, tenant.administrator.record(tenant.name) | {"owner": "a predecessor"})
    changed = tenant.administrator.revision(tenant.name)
    failpoints.recover(streamer, "stop")
    tenant.commit(2)
    tenant.wait_stored(2)
    tenant.wait_confirmed()
    tenant.require_exact(1, 2)
    assert tenant.administrator.revision(tenant.name) > changed
    assert record_entries(streamer, "interrupted, trying again"), "its put was refused"


def test_a_failpoint_that_is_none_is_refused(one_pair, tenants):  # noqa: F811
    streamer = tenants(one_pair).streamer
    for text in ("nowhere=kill", "after_ack=explode", "after_ack", "after_ack=kill:0", "after_ack=kill:x", "after_ack=kill:1:2", ""):
        streamer.environment["SLOTSTREAM_FAILPOINT"] = text
        assert "after_ack" in streamer.command("run", expect=64).stderr
