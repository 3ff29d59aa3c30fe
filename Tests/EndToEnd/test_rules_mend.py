"""`slotstream mend`: the way on behind a hole that a stray made, repeatable wherever it is interrupted."""

import json

import pytest

from somebody import away, late_publish, mend, require_whole, somebody, stopped_at_hole, streaming  # noqa: F401
from strayed import is_hole_marker, late_original, missing_ids
from tenants import PATIENT, record_entries, refused, tenant_maker, tenants  # noqa: F401


def _with_hole(tenant, somebody) -> list[str]:  # noqa: F811
    """Rows 1 to 10; 4 and 5 were refused behind a stray, 6 is stored, the rest waits. Returns the ids of 4 to 10."""
    strays = somebody(tenant)
    streaming(tenant)
    with away(tenant, is_frozen=False):
        tenant.commit_each(4, 10)
        ids = tenant.coming_ids()
        strays.publish("plain")
        late_publish(tenant, ids[2], 6)
    stopped_at_hole(tenant, ids[:2])
    tenant.wait_free()
    tenant.strays = strays
    return ids


def test_a_hole_is_mended_with_a_marker_and_the_missing_events_as_consumers_read_them(pair, tenants, somebody):
    tenant = tenants(pair)
    ids = _with_hole(tenant, somebody)
    record = tenant.administrator.record(tenant.name)
    mend(tenant, ids[:2])
    marker, *late = tenant.events()[-3:]
    stray = tenant.strays.published[0]
    assert is_hole_marker(marker) and missing_ids(marker) == ids[:2]
    said = marker.json
    assert said["operation"] == "HOLE" and said["id"] == marker.id and said["timestamp"]
    assert str(stray.sequence) in marker.body.decode() and stray.subject in marker.body.decode(), "the stray is named"
    assert [late_original(event) for event in late] == ids[:2]
    for event, identifier, number in zip(late, ids, (4, 5)):
        body = event.json
        assert event.subject == f"{tenant.prefix}.Item.INSERT"
        assert body["late"] == {"id": identifier} and body["id"] == identifier and body["entity"]["n"] == number
        assert body["transaction"]["lsn"] and body["transaction"]["last"]
    assert tenant.administrator.record(tenant.name)["last_sequence"] > record["last_sequence"]
    tenant.streamer.start()
    require_whole(tenant, 10, tenant.strays, late=(4, 5))


def test_there_is_nothing_to_mend_in_a_whole_stream(pair, tenants):
    tenant = tenants(pair)
    streaming(tenant)
    before = tenant.last_sequence()
    # A streamer that runs holds the slot.
    refused(tenant.streamer, 75, "slot_active", "mend", "--by", "an operator")
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    tenant.streamer.command("mend", "--by", "an operator")
    assert tenant.last_sequence() == before
    assert tenant.streamer.command("mend", expect=64).stderr


@pytest.mark.parametrize("points", [("after_marker=kill", "before_late=kill"), ("before_late=kill:2", "before_late=kill"),
                                    ("after_late=kill", "after_late=kill"), ("after_marker=kill", "after_late=kill")],
                         ids=lambda points: " ".join(points))
def test_a_mend_that_dies_twice_is_finished_by_the_third(pair, tenants, somebody, points):
    tenant = tenants(pair, overrides=PATIENT)
    ids = _with_hole(tenant, somebody)
    for point in points:
        tenant.streamer.environment["SLOTSTREAM_FAILPOINT"] = point
        tenant.streamer.command("mend", "--by", "somebody hasty", expect=-9)
        del tenant.streamer.environment["SLOTSTREAM_FAILPOINT"]
        tenant.wait_free()
        # Neither is a streamer fooled by what is half done, until the record is put.
        tenant.streamer.start(wait=False)
        assert tenant.streamer.wait(60) == 76
        assert record_entries(tenant.streamer, "stopped")[-1]["reason"] == "hole_found"
        assert tenant.confirmed() <= int(ids[0].split(".")[-2], 16)
        tenant.wait_free()
    tenant.streamer.command("mend", "--by", "an operator")
    markers = [event for event in tenant.events() if is_hole_marker(event)]
    assert len(markers) == 1 and missing_ids(markers[0]) == ids[:2]
    tenant.streamer.start()
    require_whole(tenant, 10, tenant.strays, late=(4, 5))


def test_a_predecessors_message_behind_a_holes_marker_is_the_next_hole(pair, tenants, somebody):
    """The marker and the late events moved the numbers: what was under way to a frozen predecessor's number may fit again."""
    tenant = tenants(pair)
    ids = _with_hole(tenant, somebody)
    mend(tenant, ids[:2])
    late_publish(tenant, ids[4], 8)
    tenant.streamer.start(wait=False)
    stopped_at_hole(tenant, [ids[3]])
    mend(tenant, [ids[3]])
    tenant.streamer.start()
    require_whole(tenant, 10, tenant.strays, late=(4, 5, 7))


def test_a_predecessors_message_behind_a_gaps_marker_is_a_hole(pair, tenants):
    tenant = tenants(pair)
    streaming(tenant)
    with away(tenant, is_frozen=False):
        tenant.commit_each(4, 10)
        ids = tenant.coming_ids()
        # No event is lost by it, and the stream is one message longer.
        tenant.administrator.delete_record(tenant.name)
        tenant.streamer.command("slot", "advance", "--accept-gap", "--by", "an operator")
        assert json.loads(tenant.events()[-1].body)["operation"] == "GAP"
        late_publish(tenant, ids[1], 5)
    stopped_at_hole(tenant, ids[:1])
    mend(tenant, ids[:1])
    tenant.streamer.start()
    require_whole(tenant, 10, late=(4,))


@pytest.mark.parametrize("count", [3000])
def test_a_hole_of_many_events_in_the_middle_of_a_transaction_is_mended(pair, tenants, count):
    tenant = tenants(pair, overrides=PATIENT)
    streaming(tenant)
    with away(tenant, is_frozen=False):
        tenant.run(f"INSERT INTO tb_item SELECT n, repeat('x', 200) FROM generate_series(4, {count + 3}) AS n")
        first = tenant.coming_ids()[0]
        # Its last event alone is there.
        late_publish(tenant, first.rpartition(".")[0] + f".{count}", count + 3)
    missing = [first.rpartition(".")[0] + f".{ordinal}" for ordinal in range(1, count)]
    assert tenant.streamer.wait(60) == 76
    said = record_entries(tenant.streamer, "stopped")[-1]
    assert said["reason"] == "hole_found" and missing[0] in said["error"] and str(count - 1) in said["error"], said
    mend(tenant, missing)
    tenant.streamer.start()
    tenant.commit(count + 4)
    require_whole(tenant, count + 4, late=tuple(range(4, count + 3)))
