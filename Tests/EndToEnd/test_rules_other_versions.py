"""A stream in which another version of Slotstream, or another command, stored what its streamer knows nothing of: it is streamed on behind, as the rules say."""

import json

from servers.tools import wait_until
from somebody import QUICK, away, stopped_at_hole, streaming
from tenants import tenant_maker, tenants  # noqa: F401


def _chain(tenant, subject: str, ids: list[str]) -> None:
    """Stores messages as a sole writer does, each behind the message before it."""
    last = tenant.administrator.state(tenant.name)["last_seq"]
    for number, identifier in enumerate(ids):
        body = json.dumps({"id": identifier, "entity_type": "Item", "operation": "READ", "entity": {"n": 1},
                           "timestamp": "2026-11-23T07:09:12.123456+00:00", "backfill": {"id": "1", "lsn": "0/1"},
                           "source": {"database": tenant.name, "schema": "public", "table": "tb_item"}})
        ack = tenant.administrator.publish(subject, body.encode(), Nats_Msg_Id=identifier, Nats_Expected_Last_Sequence=str(last + number))
        assert ack.sequence == last + number + 1, ack


def _rows(position: str, first: int, count: int) -> list[str]:
    """Ids of rows of a backfill behind an event."""
    return [f"{position}.b.1.{number}.16384.16384.0.{number}" for number in range(first, first + count)]


def _last(tenant) -> str:
    return tenant.events()[-1].id


def _own(tenant) -> list[int]:
    """The numbers of the rows whose events are stored, in stored order."""
    return [event.json["entity"]["n"] for event in tenant.events() if ".b." not in event.id and ".r." not in event.id]


def test_rows_of_a_backfill_are_streamed_on_behind(pair, tenants):
    tenant = tenants(pair, overrides=QUICK)
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    # While nobody streams: at the stream's end, where recovery looks.
    _chain(tenant, f"{tenant.prefix}.Item.READ", _rows(_last(tenant), 1, 3))
    tenant.streamer.start()
    tenant.commit_each(4, 6)
    tenant.wait_stored(9)
    assert _own(tenant) == [1, 2, 3, 4, 5, 6]
    # While it streams: in the place of its next event.
    _chain(tenant, f"{tenant.prefix}.Item.READ", _rows(_last(tenant), 4, 2))
    tenant.commit(7)
    tenant.wait_stored(12)
    tenant.wait_confirmed()
    assert _own(tenant) == [1, 2, 3, 4, 5, 6, 7]
    assert tenant.streamer.metric("slotstream_strays_total") == 0
    # The record of a later version may name the row itself.
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    rows = _rows(_last(tenant), 6, 1)
    _chain(tenant, f"{tenant.prefix}.Item.READ", rows)
    record = tenant.administrator.record(tenant.name)
    tenant.administrator.put_record(tenant.name, record | {"last_id": rows[0], "last_sequence": 13, "settled_sequence": 13})
    tenant.streamer.start()
    tenant.commit(8)
    tenant.wait_stored(14)
    assert _own(tenant) == list(range(1, 9))


def test_a_replayed_event_is_a_stray(pair, tenants):
    tenant = tenants(pair, overrides=QUICK)
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    _chain(tenant, f"{tenant.prefix}.Item.INSERT", [f"{_last(tenant)}.r.r1"])
    tenant.streamer.start()
    tenant.commit(4)
    tenant.wait_stored(5)
    assert _own(tenant) == [1, 2, 3, 4]
    wait_until(lambda: tenant.streamer.metric("slotstream_strays_total") == 1, 20, "the stray is counted")


def test_an_event_is_missing_before_the_row_that_stands_behind_it(pair, tenants):
    tenant = tenants(pair, overrides=QUICK)
    streaming(tenant)
    with away(tenant, is_frozen=False):
        tenant.commit_each(4, 5)
        ids = tenant.coming_ids()
        _chain(tenant, f"{tenant.prefix}.Item.READ", _rows(ids[1], 1, 1))
    stopped_at_hole(tenant, ids)
