"""`slotstream rewind`: a stream that is gone is rebuilt from the anchor slot, whatever kills it in between."""

import json

import pytest

from conftest import POSTGRES_PAIRS
from servers.tools import wait_until
from tenants import refused, stopped, tenant_maker, tenants  # noqa: F401
from windows import WINDOW, anchor, started


def _lost(tenant, count: int = 20):
    """So many rows are stored, then the stream is deleted; returns the events that it held."""
    started(tenant)
    tenant.commit_each(1, count)
    tenant.wait_confirmed()
    events = tenant.events()
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    tenant.administrator.delete(tenant.name)
    return events


def _require_rebuilt(tenant, events) -> None:
    """Behind the marker stands what the anchor reaches, with the same ids, and what comes later."""
    tenant.streamer.start()
    tenant.commit(1000)
    tenant.wait_confirmed()
    held = tenant.events()
    marker, rest = held[0], held[1:]
    assert marker.json["operation"] == "GAP" and marker.json["gap"]["accepted_by"] == "ann"
    assert [(event.id, event.subject, event.json) for event in rest[:-1]] == [(event.id, event.subject, event.json) for event in events]
    assert rest[-1].json["entity"]["n"] == 1000


@pytest.mark.parametrize("versions", POSTGRES_PAIRS, ids=str)
def test_a_deleted_stream_is_rebuilt(versions, tenants):
    tenant = tenants(versions, overrides=WINDOW)
    events = _lost(tenant)
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 73, "stream_missing", seconds=60)
    planned = json.loads(tenant.streamer.command("rewind", "--dry-run", "--json", expect=1).stdout)
    assert planned["stream_missing"] and planned["events"] == len(events) and planned["created"] == []
    said = tenant.streamer.command("rewind", "--dry-run", expect=1)
    assert "can be rebuilt: 20 events" in said.stdout and "is gone" in said.stdout
    assert tenant.name not in tenant.administrator.names(), "a dry run makes nothing"
    done = tenant.streamer.command("rewind", "--by", "ann", answer=f"{tenant.name}\n")
    assert "created: stream" in done.stdout and "Start the streamer" in done.stdout
    _require_rebuilt(tenant, events)
    assert anchor(tenant)[1] != "lost"


def test_it_names_the_consumers_that_were_lost_with_the_stream(pair, tenants):
    tenant = tenants(pair, overrides=WINDOW)
    tenant.streamer.keep_other_times(watch=200)
    started(tenant)
    for name in ("billing", "mailer"):
        tenant.administrator.api(f"CONSUMER.DURABLE.CREATE.{tenant.name}.{name}", stream_name=tenant.name,
                                 config={"durable_name": name, "ack_policy": "explicit", "deliver_policy": "all"})
    wait_until(lambda: {"billing", "mailer"} <= {consumer["name"] for consumer in tenant.streamer.status().get("consumers", [])}, 30,
               "the streamer has seen both")
    tenant.commit_each(1, 5)
    tenant.wait_confirmed()
    assert {"billing", "mailer"} <= set(tenant.administrator.record(tenant.name)["consumers"])
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    tenant.administrator.delete(tenant.name)
    assert {"billing", "mailer"} <= set(json.loads(tenant.streamer.command("rewind", "--dry-run", "--json", expect=1).stdout)["lost_consumers"])
    said = tenant.streamer.command("rewind", "--yes", "--by", "ann").stdout
    assert "lost with the stream: " in said and "billing, mailer" in said, said


def test_it_asks_and_does_nothing_without_an_answer(one_pair, tenants):
    tenant = tenants(one_pair, overrides=WINDOW)
    _lost(tenant, 3)
    before = tenant.confirmed()
    tenant.streamer.command("rewind", "--by", "ann", answer="no\n", expect=64)
    assert tenant.confirmed() == before and tenant.name not in tenant.administrator.names()
    assert "--by NAME is missing" in tenant.streamer.command("rewind", expect=64).stderr


def test_it_refuses_while_a_streamer_runs_and_into_a_stream_that_holds_something(one_pair, tenants):
    tenant = tenants(one_pair, overrides=WINDOW)
    started(tenant)
    tenant.commit(1)
    tenant.wait_confirmed()
    refused(tenant.streamer, 75, "slot_active", "rewind", "--yes", "--by", "ann")
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    assert "holds messages" in tenant.streamer.command("rewind", "--yes", "--by", "ann", expect=78).stderr
    tenant.require_exact(1)


def test_without_an_anchor_it_says_so(one_pair, tenants):
    tenant = tenants(one_pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    tenant.administrator.delete(tenant.name)
    assert "_anchor does not exist" in tenant.streamer.command("rewind", "--yes", "--by", "ann", expect=78).stderr


@pytest.mark.parametrize("point", ["after_rewind_drop", "after_rewind_copy", "after_stream", "after_gap_marker", "after_gap_record"])
def test_it_is_completed_by_a_repeat_after_a_kill(pair, tenants, point):
    tenant = tenants(pair, overrides=WINDOW)
    events = _lost(tenant)
    tenant.streamer.environment["SLOTSTREAM_FAILPOINT"] = f"{point}=kill"
    assert tenant.streamer.command("rewind", "--yes", "--by", "ann", expect=None).returncode == -9
    del tenant.streamer.environment["SLOTSTREAM_FAILPOINT"]
    if point != "after_gap_record":
        tenant.streamer.start(wait=False)
        assert tenant.streamer.wait(60) == 73, "a half-done rewind is not streamed"
        tenant.streamer.command("rewind", "--yes", "--by", "ann")
    tenant.streamer.start()
    tenant.commit(1000)
    tenant.wait_confirmed()
    held = [event for event in tenant.events() if event.json["operation"] != "GAP"]
    assert [event.id for event in held[:-1]] == [event.id for event in events]
    assert held[-1].json["entity"]["n"] == 1000
