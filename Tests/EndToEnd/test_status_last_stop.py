"""Why the last streamer stopped is told when its process and its log are gone, and disturbs nothing else that is kept in the bucket."""

import base64
import json

from administrator import BUCKET, Refused
from tenants import remedy, stopped, streamed, tenant_maker, tenants  # noqa: F401

_POISON = "SELECT pg_logical_emit_message(true, 'fraiseql_events', 'no JSON')"
_STOPPING = {"events": {"on_poison": "stop"}}


def _status(streamer, expect: int) -> dict:
    return json.loads(streamer.command("status", "--json", expect=expect).stdout)


def _kept(tenant) -> dict | None:
    """What is kept beside the record."""
    try:
        message = tenant.administrator.api(f"STREAM.MSG.GET.KV_{BUCKET}", last_by_subj=f"$KV.{BUCKET}.{tenant.name}.last_stop")["message"]
    except Refused:
        return None
    return json.loads(base64.b64decode(message["data"]))


def _poisoned(tenant) -> str:
    """A row is stored, then the streamer stops for an event; returns what it said."""
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    tenant.run(_POISON)
    said = stopped(tenant.streamer, 65, "poison_event")
    tenant.wait_free()
    return said


def test_the_last_stops_reason_outlives_the_process(pair, tenants):
    tenant = tenants(pair, overrides=_STOPPING)
    said = _poisoned(tenant)
    told = remedy(tenant.streamer)
    tenant.streamer.log.unlink()
    status = _status(tenant.streamer, 1)
    assert status["last_error"]["reason"] == status["last_stop"]["reason"] == "poison_event"
    assert status["last_error"]["message"] == status["last_stop"]["message"] == said
    assert (status["last_stop"]["exit_code"], status["last_stop"]["remedy"], status["last_stop"]["slot"]) == (65, told, tenant.name)
    assert any("`slotstream run`" in step for step in status["next"])
    text = tenant.streamer.command("status", expect=1).stdout
    assert "● STOPPED " in text and "   poison_event (65)\n" in text and "  next:  " in text
    # Whoever asks from elsewhere reads the same.
    assert _status(tenant.another(), 1)["last_stop"] == status["last_stop"]


def test_a_streamer_that_streams_again_supersedes_it(pair, tenants):
    tenant = tenants(pair, overrides=_STOPPING)
    _poisoned(tenant)
    other = tenant.another({"events": {"on_poison": "quarantine"}})
    other.start()
    tenant.wait_stored(2)
    running = _status(other, 0)
    # Its own last error is what it has put in quarantine.
    assert running["role"] == "active" and "last_stop" not in running
    assert other.terminate() == 0
    tenant.wait_free()
    status = _status(tenant.streamer, 1)
    assert status["role"] == "stopped" and "last_stop" not in status and "last_error" not in status
    assert status["next"] == ["Start the streamer: `slotstream run`"]


def test_each_stop_is_told_anew(pair, tenants):
    tenant = tenants(pair, overrides=_STOPPING)
    _poisoned(tenant)
    first = _kept(tenant)
    tenant.streamer.start(wait=False)
    stopped(tenant.streamer, 65, "poison_event")
    tenant.wait_free()
    assert _kept(tenant)["at"] > first["at"]
    assert _status(tenant.streamer, 1)["last_stop"] == _kept(tenant)


def test_the_record_is_not_disturbed_by_it(pair, tenants):
    tenant = tenants(pair, overrides=_STOPPING)
    _poisoned(tenant)
    record, revision = tenant.administrator.record(tenant.name), tenant.administrator.revision(tenant.name)
    assert _kept(tenant) and record["schema"] == "slotstream.checkpoint/1"
    # Whatever somebody puts there is shown or passed over, and stops nobody.
    for nonsense in ("no JSON", "{}", json.dumps(_kept(tenant) | {"schema": "slotstream.last_stop/9"})):
        tenant.administrator._request(f"$KV.{BUCKET}.{tenant.name}.last_stop", nonsense.encode())
        assert "last_stop" not in _status(tenant.streamer, 1)
    assert (tenant.administrator.record(tenant.name), tenant.administrator.revision(tenant.name)) == (record, revision)
    other = tenant.another({"events": {"on_poison": "quarantine"}})
    other.start()
    tenant.commit(2)
    tenant.wait_confirmed()
    assert other.terminate() == 0


def test_what_would_stop_a_streamer_now_goes_before_it(pair, tenants):
    tenant = tenants(pair, overrides=_STOPPING)
    _poisoned(tenant)
    tenant.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")
    status = _status(tenant.streamer, 1)
    assert (status["last_error"]["reason"], status["last_stop"]["reason"]) == ("slot_missing", "poison_event")
    assert any("--accept-gap" in step for step in status["next"])


def test_an_orderly_stop_leaves_none(one_pair, tenants):
    tenant = tenants(one_pair)
    streamed(tenant)
    assert _kept(tenant) is None
    assert "last_stop" not in _status(tenant.streamer, 1)


def test_a_stop_is_not_held_up_by_a_nats_that_says_nothing(one_pair, tenants):
    """Its database is not there: it stops at once, and what it would keep is lost."""
    tenant = tenants(one_pair)
    nowhere = tenant.another(conninfo=tenant.conninfo.replace(f"dbname={tenant.name}", "dbname=nowhere"))
    tenant.nats.pause()
    nowhere.start(wait=False)
    assert "nowhere" in stopped(nowhere, 78, "configuration", seconds=30)
    tenant.nats.resume()
    assert _kept(tenant) is None
    nowhere.start(wait=False)
    stopped(nowhere, 78, "configuration", seconds=30)
    assert _kept(tenant)["reason"] == "configuration"
