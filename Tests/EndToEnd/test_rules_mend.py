"""`slotstream mend`: the way on behind a hole that a stray made, repeatable wherever it is interrupted."""

import json

import pytest

from somebody import QUICK, away, late_publish, mend, require_whole, somebody, stopped_at_hole, streaming, with_hole  # noqa: F401
from strayed import is_hole_marker, late_original, missing_ids
from tenants import PATIENT, record_entries, refused, remedy, stopped, tenant_maker, tenants  # noqa: F401


def test_a_hole_is_mended_with_a_marker_and_the_missing_events_as_consumers_read_them(pair, tenants, somebody):
    tenant = tenants(pair, overrides=QUICK)
    strays = somebody(tenant)
    ids = with_hole(tenant, strays)
    record = tenant.administrator.record(tenant.name)
    mend(tenant, ids[:2])
    marker, *late = tenant.events()[-3:]
    stray = strays.published[0]
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
    require_whole(tenant, 10, strays, late=(4, 5))


def test_there_is_nothing_to_mend_in_a_whole_stream(pair, tenants):
    tenant = tenants(pair, overrides=QUICK)
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
    tenant = tenants(pair, overrides=QUICK)
    strays = somebody(tenant)
    ids = with_hole(tenant, strays)
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
    require_whole(tenant, 10, strays, late=(4, 5))


def test_a_predecessors_message_behind_a_holes_marker_is_the_next_hole(pair, tenants, somebody):
    """The marker and the late events moved the numbers: what was under way to a frozen predecessor's number may fit again."""
    tenant = tenants(pair, overrides=QUICK)
    strays = somebody(tenant)
    ids = with_hole(tenant, strays)
    mend(tenant, ids[:2])
    late_publish(tenant, ids[4], 8)
    tenant.streamer.start(wait=False)
    stopped_at_hole(tenant, [ids[3]])
    mend(tenant, [ids[3]])
    tenant.streamer.start()
    require_whole(tenant, 10, strays, late=(4, 5, 7))


def test_a_predecessors_message_behind_a_gaps_marker_is_a_hole(pair, tenants):
    tenant = tenants(pair, overrides=QUICK)
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


def test_a_hole_that_comes_behind_a_half_done_mend_is_named_too(pair, tenants, somebody):
    tenant = tenants(pair, overrides=QUICK)
    strays = somebody(tenant)
    ids = with_hole(tenant, strays)
    tenant.streamer.environment["SLOTSTREAM_FAILPOINT"] = "after_marker=kill"
    tenant.streamer.command("mend", "--by", "somebody hasty", expect=-9)
    del tenant.streamer.environment["SLOTSTREAM_FAILPOINT"]
    tenant.wait_free()
    late_publish(tenant, ids[4], 8)
    tenant.streamer.command("mend", "--by", "an operator")
    tenant.streamer.start()
    require_whole(tenant, 10, strays, late=(4, 5, 7))


@pytest.mark.parametrize("count", [3000])
def test_a_hole_of_many_events_in_the_middle_of_a_transaction_is_mended(pair, tenants, count):
    tenant = tenants(pair, overrides=QUICK)
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


def _rows(tenant) -> list[int]:
    return [event.json["entity"]["n"] for event in tenant.events()
            if event.subject == f"{tenant.prefix}.Item.INSERT" and "entity" in event.json]


@pytest.mark.parametrize("rows, code, reason", [(50, 73, "history_diverged"), (12_000, 76, "hole_found")])
def test_mend_goes_on_behind_a_forged_position_and_skips_nothing_before_it(pair, tenants, rows, code, reason):
    """What comes before it is not missing: it is still to come, and not late. Where that is more than a window holds, it looks
    like a hole first."""
    tenant = tenants(pair, overrides=PATIENT)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    tenant.run(f"INSERT INTO tb_item SELECT generate_series(2, {rows + 1})")
    system, oid, timeline, *_ = tenant.events()[0].id.split(".")
    position = tenant.value("SELECT upper(lpad(to_hex((pg_current_wal_flush_lsn() - '0/0')::bigint - 8), 16, '0'))")
    tenant.administrator.publish(f"{tenant.prefix}.Item.INSERT", b"{}", Nats_Msg_Id=f"{system}.{oid}.{timeline}.777.{position}.1")
    slot = tenant.confirmed()
    tenant.run("CREATE TABLE more_wal (n INTEGER)")
    tenant.streamer.start(wait=False)
    said = stopped(tenant.streamer, code, reason, seconds=60)
    assert "does not have this change" in said or "lacks at least" in said, said
    assert "mend" in remedy(tenant.streamer) and tenant.confirmed() == slot
    looked = tenant.streamer.command("mend", "--dry-run", "--json", expect=1)
    mended = json.loads(tenant.streamer.command("mend", "--by", "ann", "--json").stdout)
    assert mended["forged"] == [2] == json.loads(looked.stdout)["forged"] and mended["missing"] == []
    marker, = (event for event in tenant.events() if is_hole_marker(event))
    assert marker.json["hole"]["forged"] == [2] and marker.sequence == mended["marker_sequence"]
    tenant.streamer.start()
    tenant.wait_confirmed(60)
    assert _rows(tenant) == list(range(1, rows + 2))


def test_mend_waits_for_no_streamer_that_streams(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    refused(tenant.another(), 75, "slot_active", "mend", "--by", "ann")
    tenant.commit(2)
    tenant.wait_confirmed()
    assert _rows(tenant) == [1, 2]
