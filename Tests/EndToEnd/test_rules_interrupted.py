"""Setup and the acceptance of a gap, killed after each of their steps: run again they go on with what is there, and the stream is whole."""

import pytest

import failpoints
import losing
from administrator import BUCKET
from tenants import streamed, tenant_maker, tenants  # noqa: F401

# In the order of the steps.
SETUP = ("after_publication", "after_stream", "after_bucket", "after_claim", "after_slot", "after_first_record", "after_consumer")

# After which step of an acceptance it dies, behind which loss; and how many markers consumers read in the end.
ACCEPTANCE = {
    "after_slot_drop": (losing.slot_invalidated, 1),
    "after_slot": (losing.slot_missing, 1),
    "after_stream": (losing.stream_missing, 1),
    "after_bucket": (losing.bucket_missing, 1),
    "after_consumer": (losing.stream_missing, 1),
    "after_passage": (losing.publication_missing_for_a_while, 1),
    # Nothing tells the next one that there is a marker already: a consumer reads of the same range twice.
    "after_gap_marker": (losing.slot_ahead, 2),
    "after_gap_record": (losing.slot_ahead, 1),
}


@pytest.mark.parametrize("command", ["setup", "run"])
@pytest.mark.parametrize("point", SETUP)
def test_setup_goes_on_after_a_kill(point, command, single_pair, tenants):
    """By `run` too, which sets up what is not there; what one of the two left is finished by the other."""
    tenant = tenants(single_pair, setup=False)
    if f"KV_{BUCKET}" in tenant.administrator.names():
        losing.bucket_missing(tenant)
    failpoints.kill_command(tenant.streamer, point, command)
    tenant.wait_free()
    if command == "run":
        tenant.streamer.setup()
        assert "everything is there already" in tenant.streamer.command("setup").stdout
    tenant.streamer.start()
    tenant.streamer.wait_streaming()
    tenant.commit(1)
    tenant.wait_stored(1)
    tenant.wait_confirmed()
    tenant.require_exact(1)
    assert tenant.administrator.record(tenant.name)["genesis"]["kind"] == "created"


@pytest.mark.parametrize("point", ACCEPTANCE)
def test_an_acceptance_goes_on_after_a_kill(point, single_pair, tenants):
    lose, markers = ACCEPTANCE[point]
    tenant = tenants(single_pair)
    streamed(tenant)
    lose(tenant)
    failpoints.kill_command(tenant.streamer, point, "slot", "advance", "--accept-gap")
    tenant.wait_free()
    if point == "after_gap_record":
        assert "nothing is lost" in tenant.streamer.command("slot", "advance", "--accept-gap").stdout
    else:
        # Until it is run again nobody goes on over the gap.
        tenant.streamer.start(wait=False)
        assert tenant.streamer.wait(30) == 73, tenant.streamer.last_words()
        tenant.streamer.command("slot", "advance", "--accept-gap")
    tenant.streamer.start()
    tenant.streamer.wait_streaming()
    tenant.commit(5)
    kept = 0 if lose is losing.stream_missing else 3
    tenant.wait_stored(kept + markers + 1)
    tenant.wait_confirmed()
    events = [event.json for event in tenant.events()]
    assert [event["operation"] for event in events] == ["INSERT"] * kept + ["GAP"] * markers + ["INSERT"]
    assert [event["entity"]["n"] for event in events if event["operation"] == "INSERT"] == [*range(1, kept + 1), 5]
