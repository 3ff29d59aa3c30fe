"""An upgrade from a version before, and the way back: slot, stream and bucket as that version left them are streamed on, by both.

The versions before are not built here. What they left is written down as they wrote it (`_RECORDS`); what they need of what this version
leaves is what they read.
"""

import json
from datetime import UTC, datetime, timedelta

import pytest

from administrator import BUCKET
from servers.tools import wait_until
from tenants import own, tenant_maker  # noqa: F401
from windows import anchor, wait_anchor

# Looked at every three seconds.
_WINDOW = {"replay": {"window": "60s"}}
_COMMITTED = """SELECT substr(data, 10, 8) FROM pg_logical_slot_peek_binary_changes('watch', NULL, 1, 'proto_version', '1', 'publication_names', %s)
    WHERE get_byte(data, 0) = ascii('B')"""

# The record as the versions before wrote it, members and order: of 2026-11-23, the first one that streamed; and of 2026-11-28.
_RECORDS = {
    "first": '{"confirmed_lsn":"0/1B30300","genesis":{"at":"2026-11-23T14:02:12.662564+00:00","kind":"created","lsn":"0/1B30078"},'
             '"last_id":"7713466662986953035.16384.1.818.0000000001B302D0.1","last_sequence":3,'
             '"options":"publications=NAME messages=true origin=any streaming=off","owner":"1evcy4yzmy92e1jwve1eazf63m",'
             '"schema":"slotstream.checkpoint/1","slot":"NAME","stream":"NAME","stream_created":"2026-11-23T14:02:12.54639244Z",'
             '"system_id":"7713466662986953035","timeline":1}',
    "before": '{"confirmed_lsn":"0/1B30300","genesis":{"at":"2026-11-28T05:50:12.662564+00:00","kind":"created","lsn":"0/1B30078"},'
              '"last_id":"7713466662986953035.16384.1.818.0000000001B302D0.1","last_sequence":3,'
              '"options":"publications=NAME messages=true origin=any streaming=off exclude= message_prefixes=fraiseql_events",'
              '"owner":"1evcy4yzmy92e1jwve1eazf63m","schema":"slotstream.checkpoint/1","settled_sequence":3,"slot":"NAME",'
              '"stream":"NAME","stream_created":"2026-11-28T05:50:12.54639244Z","system_id":"7713466662986953035","timeline":1}',
}
# What differs from server to server; all else is the version's.
_OWN = ("confirmed_lsn", "genesis", "last_id", "last_sequence", "owner", "settled_sequence", "stream_created", "system_id", "timeline")
# The stream as the first version made it: without what later ones set.
_FIRST_STREAM = {"retention": "limits", "storage": "file", "discard": "old", "max_age": 7 * 86400 * 10**9, "max_bytes": 2**28,
                 "max_msgs": -1, "num_replicas": 1, "duplicate_window": 300 * 10**9, "allow_direct": True}


def _as_written(version: str, tenant, record: dict) -> dict:
    """This record as that version would have written it: its members, no others."""
    shape = json.loads(_RECORDS[version].replace("NAME", tenant.name))
    return shape | {member: record[member] for member in _OWN if member in shape}


def _left(version: str, tenant) -> None:
    """Slot, stream with three events, and bucket are as that version left them at its stop; no anchor."""
    if version == "first":
        tenant.administrator.add(tenant.name, subjects=[f"{tenant.prefix}.>"], **_FIRST_STREAM)
    before = tenant.another({"replay": {"window": "0"}})
    before.setup()
    before.start()
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)
    tenant.wait_confirmed()
    assert before.terminate() == 0
    tenant.wait_free()
    tenant.administrator.put_record(tenant.name, _as_written(version, tenant, tenant.administrator.record(tenant.name)))
    assert anchor(tenant) is None


def _objects(tenant) -> dict:
    """What both servers hold for the streamer, but for what moves."""
    with tenant.connect() as connection:
        slot = connection.execute("SELECT plugin, slot_type, temporary, two_phase FROM pg_replication_slots WHERE slot_name = %s",
                                  (tenant.name,)).fetchone()
    consumer = tenant.administrator.api(f"CONSUMER.INFO.{tenant.name}.fraiseql_observer_worker")["config"]
    return {"slot": slot, "stream": tenant.administrator.config(tenant.name), "bucket": tenant.administrator.config(f"KV_{BUCKET}"),
            "consumer": consumer}


def _rolled_back(version: str, tenant, row: int) -> None:
    """That version streams one row and stops; the anchor, of which it knows nothing, stays where it is."""
    tenant.watch_ids()
    tenant.commit_each(row, row)
    (identifier,) = tenant.coming_ids()
    last = tenant.events()[-1]
    *_, transaction, position, _ordinal = identifier.split(".")
    lsn = f"{int(position[:8], 16):X}/{int(position[8:], 16):X}"
    committed = datetime(2000, 1, 1, tzinfo=UTC) + timedelta(microseconds=int.from_bytes(tenant.value(_COMMITTED, (tenant.name,))))
    body = last.json | {"id": identifier, "entity_id": str(row), "entity": last.json["entity"] | {"n": row},
                        "timestamp": committed.isoformat(timespec="microseconds")}
    body["transaction"] = last.json["transaction"] | {"id": int(transaction), "lsn": lsn}
    ack = tenant.administrator.publish(last.subject, json.dumps(body, separators=(",", ":")).encode(), Nats_Msg_Id=identifier,
                                       Nats_Expected_Last_Sequence=str(last.sequence))
    record = tenant.administrator.record(tenant.name) | {
        "confirmed_lsn": tenant.value("SELECT pg_current_wal_flush_lsn()::text"), "last_id": identifier, "last_sequence": ack.sequence,
        "settled_sequence": ack.sequence, "owner": "3km3sk2okp2or2unmzlx1bko45"}
    tenant.administrator.put_record(tenant.name, _as_written(version, tenant, record))
    tenant.run(f"SELECT pg_replication_slot_advance('{tenant.name}', '{record['confirmed_lsn']}')")
    tenant.run("SELECT pg_drop_replication_slot('watch')")


@pytest.mark.parametrize("version", _RECORDS)
def test_what_a_version_before_left_is_streamed_on(version, pair, own, report):
    tenant = own(pair, setup=False, overrides=_WINDOW)
    _left(version, tenant)
    objects = _objects(tenant)
    # While nobody streams, during the upgrade.
    tenant.commit(4)
    tenant.streamer.start()
    tenant.commit(5)
    tenant.wait_stored(5)
    tenant.wait_confirmed()
    wait_anchor(tenant)
    tenant.require_exact(1, 2, 3, 4, 5)
    assert tenant.streamer.metric("slotstream_resynchronisations_total") == 0
    assert _objects(tenant) == objects, "nothing that is there is altered"
    tenant.streamer.command("verify")
    assert tenant.streamer.terminate() == 0
    report(f"{pair}: what the {version} version left is streamed on, nothing altered")


def test_the_version_before_goes_on_behind_this_one_and_this_one_behind_it(pair, own):
    tenant = own(pair, setup=False, overrides=_WINDOW)
    _left("before", tenant)
    tenant.streamer.start()
    tenant.commit_each(4, 6)
    tenant.wait_stored(6)
    tenant.wait_confirmed()
    wait_anchor(tenant)
    wait_until(lambda: tenant.administrator.record(tenant.name)["last_sequence"] == 6, 20, "the record is of the last event")
    tenant.streamer.kill()
    tenant.wait_free()
    # The version before reads these members and no others; what it compares is as it would have written it.
    record = tenant.administrator.record(tenant.name)
    shape = json.loads(_RECORDS["before"].replace("NAME", tenant.name))
    assert record.keys() >= shape.keys() and {member: type(record[member]) for member in shape} == {m: type(v) for m, v in shape.items()}
    assert {member: record[member] for member in shape if member not in _OWN} == {m: v for m, v in shape.items() if m not in _OWN}
    begin = anchor(tenant)[0]
    _rolled_back("before", tenant, 7)
    assert anchor(tenant)[0] == begin
    tenant.streamer.start()
    tenant.commit(8)
    tenant.wait_stored(8)
    tenant.wait_confirmed()
    tenant.require_exact(1, 2, 3, 4, 5, 6, 7, 8)
    # Each event from the anchor on is the one that PostgreSQL's change makes, the other version's too.
    said = tenant.streamer.command("verify").stdout
    assert "0 missing, 0 doubled, 0 reordered, 0 altered, 0 foreign" in said, said
