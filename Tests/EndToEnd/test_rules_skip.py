"""`slotstream skip`: one event that cannot be sent is passed over on purpose, that one and no other, wherever it is interrupted."""

import json

import pytest

import failpoints
from servers.tools import wait_until
from tenants import PATIENT, UNRECORDED, record_entries, refused, remedy, stopped, tenant_maker, tenants  # noqa: F401

# nats-server that takes 64 KiB at most.
_SMALL = ("max_payload: 65536",)
_STOP = {"events": {"on_poison": "stop"}}
_LARGE = "repeat('x', 70000)"


def _stopped_at(tenant) -> tuple[str, int]:
    """The streamer has stopped for an event; the LSN and the change that its error names."""
    said = stopped(tenant.streamer, 65, "poison_event", seconds=60)
    tenant.wait_free()
    words = said.split(" at ", 1)[1].split(":")[0].split()
    return words[0], int(words[2])


def _rows(tenant, *rows: str) -> None:
    """One transaction of these rows."""
    with tenant.connect() as connection, connection.transaction():
        for row in rows:
            connection.execute(f"INSERT INTO tb_item VALUES ({row})")


def _inside(tenant) -> tuple[str, int]:
    """Row 1; then a transaction of the rows 2, 3, 4, of which 3 is too large; then row 5. The streamer has stopped at 3."""
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    _rows(tenant, "2", f"3, {_LARGE}", "4")
    tenant.commit(5)
    return _stopped_at(tenant)


def _is_marker(event) -> bool:
    return event.subject.endswith("._slotstream.SKIP")


def _require(tenant, *expected: int | str) -> list:
    """The stream holds exactly these rows, and markers where they stand for an event (`skip`), each chained to the one before."""
    events, previous = tenant.events(), 0
    found = ["skip" if _is_marker(event) else event.json["entity"]["n"] for event in events]
    assert found == list(expected), found
    for event in events:
        assert event.expected_last in (None, previous), f"sequence {event.sequence} is chained to {event.expected_last}"
        previous = event.sequence
    return events


def _skip(tenant, lsn: str, change: int | None = None, *more: str) -> dict:
    """What `skip` says of what it did."""
    arguments = [] if change is None else ["--change", str(change)]
    return json.loads(tenant.streamer.command("skip", "--at", lsn, *arguments, "--by", "ann, incident 42", "--json", *more).stdout)


def test_the_event_is_passed_over_with_a_marker_and_everything_else_is_there(postgres_pair, tenants):
    tenant = tenants(postgres_pair, nats_lines=_SMALL, overrides=_STOP)
    lsn, change = _inside(tenant)
    assert change == 2 and f"slotstream skip --at {lsn} --change 2 --by NAME" in remedy(tenant.streamer)
    said = _skip(tenant, lsn)
    tenant.streamer.start()
    tenant.wait_confirmed()
    events = _require(tenant, 1, 2, "skip", 4, 5)
    marker = events[2]
    assert marker.sequence == said["sequence"] and marker.id == said["marker_id"] and marker.id.startswith(said["id"] + ".gap.")
    assert (said["lsn"], said["change"], said["accepted_by"]) == (lsn, 2, "ann, incident 42")
    body = marker.json
    assert body["operation"] == "SKIP" and body["id"] == marker.id and "entity_type" not in body
    assert body["skip"] | {"accepted_at": 0, "description": 0, "byte_count": 0} == {
        "id": said["id"], "accepted_by": "ann, incident 42", "accepted_at": 0, "reason": "payload_too_large", "description": 0,
        "byte_count": 0, "entity_type": "Item", "operation": "INSERT", "entity_id": "3"}
    assert [event.json["transaction"]["ordinal"] for event in events] == [1, 1, 2, 3, 1]
    assert [event.json["transaction"]["last"] for event in events] == [True, False, False, True, True]
    assert len({event.json["transaction"]["lsn"] for event in events[1:4]}) == 1 and "xxxx" not in marker.body.decode()
    # Once more, it does nothing.
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    again = _skip(tenant, lsn)
    assert again["sequence"] == said["sequence"] and "message" not in again
    _require(tenant, 1, 2, "skip", 4, 5)


def test_last_is_true_on_the_marker_where_the_event_is_its_transactions_last(pair, tenants):
    tenant = tenants(pair, nats_lines=_SMALL, overrides=_STOP)
    tenant.streamer.start()
    _rows(tenant, "1", f"2, {_LARGE}")
    lsn, change = _stopped_at(tenant)
    _skip(tenant, lsn, change)
    events = _require(tenant, 1, "skip")
    assert [event.json["transaction"]["last"] for event in events] == [False, True]
    # Other settings are taken as behind any event that is its transaction's last.
    other = tenant.another({"events": {"exclude": ["public.tb_other"]}})
    other.start()
    tenant.commit(3)
    tenant.wait_confirmed()
    _require(tenant, 1, "skip", 3)


def test_each_event_of_a_transaction_wants_a_skip_of_its_own(pair, tenants):
    tenant = tenants(pair, nats_lines=_SMALL, overrides=_STOP)
    tenant.streamer.start()
    _rows(tenant, "1", f"2, {_LARGE}", "3", f"4, {_LARGE}", "5")
    lsn, change = _stopped_at(tenant)
    assert change == 2
    said = _skip(tenant, lsn)
    assert "change 4" in said["next"], said
    tenant.streamer.start(wait=False)
    assert _stopped_at(tenant) == (lsn, 4)
    # Whoever only says the LSN again did not mean another event.
    again = tenant.streamer.command("skip", "--at", lsn, "--by", "ann", expect=64).stderr
    assert "change 2" in again and f"slotstream skip --at {lsn} --change 4 --by NAME" in again, again
    assert _skip(tenant, lsn, 2)["change"] == 2
    _require(tenant, 1, "skip", 3)
    _skip(tenant, lsn, 4)
    tenant.streamer.start()
    tenant.wait_confirmed()
    events = _require(tenant, 1, "skip", 3, "skip", 5)
    assert [event.json["transaction"]["last"] for event in events] == [False] * 4 + [True]


def test_nothing_else_is_passed_over(pair, tenants):
    tenant = tenants(pair, nats_lines=_SMALL, overrides=_STOP)
    before = tenant.value("SELECT pg_current_wal_insert_lsn()::text")
    lsn, change = _inside(tenant)
    record = tenant.administrator.record(tenant.name)
    stored = tenant.last_sequence()
    refusals = {
        # Another LSN, another change of the same transaction, WAL that is not there, what is stored.
        tenant.value("SELECT pg_current_wal_insert_lsn()::text"): [],
        lsn: ["--change", "1"],
        "FF/0": [],
        before: [],
    }
    for at, more in refusals.items():
        said = tenant.streamer.command("skip", "--at", at, *more, "--by", "ann", expect=64).stderr
        assert "Nothing was done" in said, said
    assert tenant.streamer.command("skip", "--at", lsn, expect=64).stderr, "by whom?"
    assert tenant.streamer.command("skip", "--at", "here", "--by", "ann", expect=64).stderr
    looked = tenant.streamer.command("skip", "--at", lsn, "--dry-run", expect=1)
    assert "would pass over: public.tb_item" in looked.stdout, looked.stdout
    # Where the streamer would not stop there is nothing to pass over.
    tenant.streamer.environment["SLOTSTREAM_EVENTS_ON_POISON"] = "quarantine"
    said = tenant.streamer.command("skip", "--at", lsn, "--by", "ann", expect=64).stderr
    assert "on_poison" in said, said
    del tenant.streamer.environment["SLOTSTREAM_EVENTS_ON_POISON"]
    assert tenant.administrator.record(tenant.name) == record and tenant.last_sequence() == stored
    # While somebody streams.
    streamer = tenant.another({"events": {"on_poison": "quarantine"}})
    streamer.start()
    refused(tenant.streamer, 75, "slot_active", "skip", "--at", lsn, "--by", "ann")


def test_before_a_first_start_there_is_nothing_to_pass_over(pair, tenants):
    tenant = tenants(pair, setup=False)
    refused(tenant.streamer, 78, "configuration", "skip", "--at", "0/16B3748", "--by", "ann")


@pytest.mark.parametrize("point, completed_by", [
    ("recovering", "skip"), ("after_skip_record", "skip"), ("after_skip_record", "run"), ("after_ownership", "skip"), ("after_send", "skip"),
    ("after_send", "run"), ("before_ack", "skip"), ("after_ack", "run"), ("before_record", "skip"), ("before_record", "run"),
    ("after_record", "skip")])
def test_a_skip_that_dies_is_completed(pair, tenants, point, completed_by):
    tenant = tenants(pair, nats_lines=_SMALL, overrides=_STOP | UNRECORDED)
    lsn, change = _inside(tenant)
    failpoints.kill_command(tenant.streamer, point, "skip", "--at", lsn, "--by", "ann")
    tenant.wait_free()
    assert ("skips" in tenant.administrator.record(tenant.name)) == (point != "recovering")
    if completed_by == "skip":
        assert _skip(tenant, lsn)["change"] == change
    tenant.streamer.start()
    tenant.wait_stored(5)
    assert tenant.streamer.terminate() == 0
    events = _require(tenant, 1, 2, "skip", 4, 5)
    assert [event.json["transaction"]["last"] for event in events] == [True, False, False, True, True]


@pytest.mark.parametrize("point, number", [("after_send", 3), ("before_ack", 1), ("after_ack", 1), ("before_record", 1), ("after_record", 1),
                                           ("before_status", 1)])
def test_a_streamer_that_dies_behind_a_marker_compares_it_when_it_is_decoded_again(pair, tenants, point, number):
    tenant = tenants(pair, nats_lines=_SMALL, overrides=_STOP | PATIENT)
    lsn, _ = _inside(tenant)
    failpoints.kill_command(tenant.streamer, "after_skip_record", "skip", "--at", lsn, "--by", "ann")
    tenant.wait_free()
    failpoints.start(tenant.streamer, point, "kill", number)
    assert tenant.streamer.wait(60) == -9
    tenant.wait_free()
    tenant.streamer.start()
    tenant.commit(6)
    tenant.wait_confirmed()
    _require(tenant, 1, 2, "skip", 4, 5, 6)


def test_a_message_outside_transactions_is_passed_over(pair, tenants):
    tenant = tenants(pair, overrides=_STOP)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    tenant.run("SELECT pg_logical_emit_message(false, 'fraiseql_events', 'no event')")
    lsn, change = _stopped_at(tenant)
    assert change == 0
    _skip(tenant, lsn, change)
    marker = _require(tenant, 1, "skip")[-1]
    assert marker.json["skip"]["message"] == {"prefix": "fraiseql_events", "body": "no event"}
    # PostgreSQL forgets what it was told: all is sent again, and nothing is taken for another history.
    tenant.postgres.stop("immediate")
    tenant.postgres.start()
    tenant.streamer.start()
    tenant.commit(2)
    tenant.wait_confirmed()
    _require(tenant, 1, "skip", 2)


def test_what_was_passed_over_is_counted(pair, tenants):
    tenant = tenants(pair, nats_lines=_SMALL, overrides=_STOP)
    lsn, _ = _inside(tenant)
    failpoints.kill_command(tenant.streamer, "after_skip_record", "skip", "--at", lsn, "--by", "ann")
    tenant.wait_free()
    tenant.streamer.start()
    tenant.wait_confirmed()
    wait_until(lambda: tenant.streamer.status()["counters"]["skipped"] == 1, 20, "it is counted")
    assert 'slotstream_poison_events_total{outcome="skip"} 1' in tenant.streamer.get("/metrics")
    assert any(entry.get("skipped") == 1 for entry in record_entries(tenant.streamer, "invalid events were published without data, in quarantine "
               "({prefix}._slotstream.POISON), or passed over ({prefix}._slotstream.SKIP)")), tenant.streamer.last_words()


def test_in_an_atomic_transaction_the_marker_goes_with_the_rest(atomic_pair, tenants):
    tenant = tenants(atomic_pair, nats_lines=_SMALL, overrides=_STOP | {"delivery": {"atomic": "auto"}})
    tenant.streamer.start()
    _rows(tenant, "1", f"2, {_LARGE}", "3", f"4, {_LARGE}")
    lsn, _ = _stopped_at(tenant)
    said = _skip(tenant, lsn)
    assert "sequence" not in said and "change 4" in said["next"], said
    _skip(tenant, lsn, 4)
    assert [_is_marker(event) for event in tenant.events()] == [False, True, False, True]
    assert tenant.events()[-1].json["transaction"]["last"]
    tenant.streamer.start()
    tenant.commit(5)
    tenant.wait_confirmed()
