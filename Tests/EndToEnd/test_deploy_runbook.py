"""Sections of `deploy/docs/runbook.md` that no other test goes through: a consumer that was evicted gets its events back from the window,
and one that reports a duplicate is told what it was."""

import asyncio
import json

import stream
from servers.tools import wait_until
from tenants import own, tenant_maker, tenants  # noqa: F401
from watched import acknowledge, add_consumer, value
from windows import wait_anchor

# Ten messages at most; the window reaches back to before them.
_NARROW = {"replay": {"window": "60s"}, "transport.nats.jetstream": {"max_msgs": 10}}


def test_events_that_a_consumer_lost_come_back_from_the_window(pair, tenants):
    tenant = tenants(pair, overrides=_NARROW)
    tenant.streamer.keep_other_times(watch=200)
    tenant.streamer.start()
    wait_anchor(tenant)
    tenant.commit_each(1, 6)
    tenant.wait_stored(6)
    acknowledge(tenant.nats, tenant.name, "fraiseql_observer_worker", 3)
    tenant.commit_each(7, 20)
    tenant.wait_confirmed()
    ratio = 'slotstream_consumer_retention_left_ratio{consumer="fraiseql_observer_worker"}'
    wait_until(lambda: value(tenant.streamer, ratio) == 0, 20, "its events are gone")
    floor = value(tenant.streamer, 'slotstream_consumer_ack_floor{consumer="fraiseql_observer_worker"}')
    first = tenant.administrator.state(tenant.name)["first_seq"]
    assert (floor, first) == (3, 11)
    # As the page says: raise the limits, then send again what the window has, up to the stream's first event. The target is made with
    # the configured limits.
    tenant.administrator.update(tenant.name, max_msgs=1000)
    slots = {slot["name"]: slot for slot in json.loads(tenant.streamer.command("slot", "list", "--json").stdout)["slots"]}
    reach = slots[f"{tenant.name}_anchor"]["confirmed_lsn"]
    said = tenant.streamer.command("replay", "--from-lsn", reach, "--to-sequence", str(first), "--into-prefix", f"lost.{tenant.name}",
                                    "--set", "transport.nats.jetstream.max_msgs=1000").stdout
    assert "11 events sent" in said, said
    target = f"lost_{tenant.name}"
    sent = tenant.administrator.messages(target)
    assert [event.json["entity"]["n"] for event in sent] == list(range(1, 12))
    # The consumer skips what it has by the live id, and has the rest.
    live = tenant.administrator.messages(tenant.name)
    assert sent[-1].id.startswith(f"{live[0].id}.r.")
    acknowledge(tenant.nats, tenant.name, "fraiseql_observer_worker", 10)
    wait_until(lambda: value(tenant.streamer, ratio) > 0.9, 20, "it reads on")
    tenant.administrator.delete(target)


def test_an_event_that_is_delivered_twice_is_stored_once(one_pair, tenants):
    tenant = tenants(one_pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    add_consumer(tenant.nats, tenant.name, "slow", ack_wait=10**9)

    async def delivered() -> list[tuple[int, int, str]]:
        connection = await stream.connect(tenant.nats.url)
        try:
            subscription = await connection.jetstream().pull_subscribe_bind("slow", stream=tenant.name)
            # Not acknowledged: it comes again when ack_wait is over.
            messages = await subscription.fetch(1, timeout=20) + await subscription.fetch(1, timeout=20)
            return [(each.metadata.sequence.stream, each.metadata.num_delivered, each.headers["Nats-Msg-Id"]) for each in messages]
        finally:
            await connection.close()

    first, second = asyncio.run(delivered())
    assert first == (1, 1, second[2]) and second[:2] == (1, 2)
    lines = tenant.streamer.command("tail", "--from", "first", "--no-follow", "--json").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [first[2]]
