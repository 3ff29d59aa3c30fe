"""What JetStream refuses for good, for a message's size or for what a stream has become: said in its own words, never tried for ever in silence."""

import pytest

from remedies import follow
from servers.tools import wait_until
from tenants import record_entries, remedy, stopped, tenant_maker, tenants  # noqa: F401


def _smaller(tenant) -> None:
    """The stream takes smaller messages from now on."""
    tenant.administrator.update(tenant.name, max_msg_size=20_000)


def test_a_message_over_the_streams_own_limit_is_a_poison_event(pair, tenants):
    tenant = tenants(pair, overrides={"events": {"on_poison": "stop"}})
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    _smaller(tenant)
    tenant.commit(2)
    tenant.commit(3, note="x" * 30_000)
    tenant.commit(4)
    said = stopped(tenant.streamer, 65, "poison_event", seconds=60)
    assert "public.tb_item" in said and "xxxx" not in said, said
    assert "max_msg_size" in remedy(tenant.streamer)
    tenant.require_exact(1, 2)
    # Every start stops there again, and with references it goes on.
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 65, "poison_event", seconds=60)
    reference = tenant.another({"events": {"on_poison": "reference"}})
    reference.start()
    tenant.wait_stored(4)
    tenant.wait_confirmed()
    one, two, large, four = (event.json for event in tenant.events())
    assert [event["entity"]["n"] for event in (one, two, four)] == [1, 2, 4]
    assert "entity" not in large and large["omitted"] and large["entity_id"] == "3"


def test_a_reference_is_published_where_the_stream_takes_no_more_under_way(pair, tenants):
    tenant = tenants(pair, overrides={"events": {"on_poison": "reference"}})
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    _smaller(tenant)
    tenant.commit(2, note="x" * 30_000)
    tenant.commit(3)
    tenant.wait_stored(3, seconds=60)
    tenant.wait_confirmed()
    one, large, three = (event.json for event in tenant.events())
    assert (one["entity"]["n"], large["entity_id"], three["entity"]["n"]) == (1, "2", 3)
    assert "entity" not in large and large["omitted"]


def test_a_stream_that_takes_other_subjects_now_stops_it_by_name(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    tenant.administrator.update(tenant.name, subjects=[f"elsewhere.{tenant.name}.>"])
    tenant.commit_each(2, 20)
    said = stopped(tenant.streamer, 78, "configuration", seconds=60)
    assert "subjects" in said and tenant.name in said
    tenant.require_exact(1)
    follow(tenant.streamer, tenant.name, chosen=1, by_hand={
        "If the stream can be changed back": lambda: tenant.administrator.update(tenant.name, subjects=[f"{tenant.prefix}.>"])})
    tenant.wait_stored(20)
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, 21))


def test_a_sealed_stream_stops_it_by_name(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    tenant.administrator.update(tenant.name, sealed=True)
    tenant.commit(2)
    said = stopped(tenant.streamer, 78, "configuration", seconds=60)
    assert "sealed" in said
    tenant.require_exact(1)
    anew = follow(tenant.streamer, tenant.name)
    tenant.commit(3)
    wait_until(lambda: [event.json["entity"]["n"] for event in tenant.administrator.messages(anew)] == [3], 30, "it is stored")


@pytest.mark.parametrize("limit, words", [("max_msgs", "maximum messages exceeded"), ("max_bytes", "maximum bytes exceeded")])
def test_a_full_stream_is_told_in_jetstreams_own_words(pair, tenants, limit, words):
    """With room for less than one event more: nats-server 2.9.10 takes what fits without its own overhead, and removes the oldest."""
    tenant = tenants(pair)
    before = tenant.administrator.config(tenant.name)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    state = tenant.administrator.state(tenant.name)
    settings = {"discard": "new", limit: {"max_msgs": state["messages"], "max_bytes": state["bytes"] + 100}[limit]}
    tenant.administrator.update(tenant.name, **settings)
    tenant.commit_each(2, 30)
    warned = wait_until(lambda: record_entries(tenant.streamer, "JetStream refuses the events, and the streamer tries again: "
                                               "nothing is lost"), 60, "it warns")
    assert warned[0]["level"] == "warning" and warned[0]["error"] == words and "Raise" in warned[0]["hint"]
    wait_until(lambda: any(words in said for said in tenant.streamer.status()["reasons"]), 30, "it says so to whoever probes it")
    tenant.administrator.update(tenant.name, **{name: before[name] for name in settings})
    tenant.wait_stored(30, seconds=60)
    tenant.wait_confirmed()
    tenant.streamer.wait_ready()
    assert tenant.streamer.status()["reasons"] == []
    tenant.require_exact(*range(1, 31))
