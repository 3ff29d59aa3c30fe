"""What a streamer tells while things are not as they should be: metrics that are true, and a log that says each thing once."""

import math
import time

import pytest

from servers.tools import wait_until
from tenants import PATIENT, record_entries, stopped, streamed, tenant_maker, tenants  # noqa: F401

_LAG_BYTES, _LAG_SECONDS = "slotstream_source_lag_bytes", "slotstream_source_lag_seconds"
_RETAINED, _SAFE = "slotstream_slot_retained_bytes", "slotstream_slot_safe_bytes"


def _failed(streamer, reason: str) -> float:
    return streamer.metric(f'fraiseql_observer_events_failed_total{{reason="{reason}"}}')


def _levels(streamer, message: str) -> list[str]:
    return [entry["level"] for entry in record_entries(streamer, message)]


def test_a_standby_tells_what_postgres_shows_over_one_connection_that_it_keeps(pair, tenants):
    tenant = tenants(pair, overrides=PATIENT)
    holder, standby = tenant.streamer, tenant.another()
    holder.start()
    standby.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    wait_until(lambda: standby.metric(_RETAINED) >= 0, 20, "it has looked")
    # Nothing of it comes in without NATS.
    tenant.nats.pause()
    tenant.commit(*range(2, 202), note="x" * 1000)
    wait_until(lambda: standby.metric(_LAG_BYTES) > 200_000, 20, "it says how far the stream is behind")
    assert standby.metric(_RETAINED) > 200_000 and standby.metric(_SAFE) == math.inf
    assert standby.metric("slotstream_slot_active") == 0
    wait_until(lambda: standby.metric(_LAG_SECONDS) >= 3, 20, "it says for how long")
    status = standby.status()["source"]
    assert status["lag_bytes"] > 200_000 and status["retained_bytes"] > 200_000 and status["lag_seconds"] >= 3

    def sessions() -> int:
        # From another database, so that asking does not count.
        return tenant.postgres.value("SELECT sessions FROM pg_stat_database WHERE datname = %s", (tenant.name,))

    # A session is counted when its process reports, up to a second later.
    time.sleep(2)
    before = sessions()
    time.sleep(5)
    assert sessions() - before <= 1, "it opens a connection for each look"
    tenant.nats.resume()
    tenant.wait_stored(201)
    tenant.wait_confirmed()
    wait_until(lambda: standby.metric(_LAG_BYTES) == 0 and standby.metric(_LAG_SECONDS) == 0, 20, "nothing waits any more")
    holder.kill()
    wait_until(lambda: standby.status()["role"] == "active" and standby.status()["ready"], 60, "it takes over")


def test_a_streamer_that_waits_for_nats_tells_what_postgres_shows_and_each_trouble_once(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    tenant.nats.kill()
    tenant.commit(*range(4, 204), note="x" * 1000)
    streamer = tenant.streamer
    start = streamer.log.stat().st_size
    streamer.start(wait=False)
    wait_until(lambda: streamer.status()["source"].get("lag_bytes", 0) > 200_000, 30, "it looks at PostgreSQL")
    wait_until(lambda: streamer.metric('slotstream_reconnects_total{peer="nats"}') >= 4, 60, "it tries again and counts it")
    assert streamer.metric('slotstream_reconnects_total{peer="postgres"}') == 0
    assert streamer.metric(_RETAINED) > 200_000 and streamer.metric(_SAFE) == math.inf and streamer.metric(_LAG_BYTES) > 200_000
    assert math.isnan(streamer.metric(_LAG_SECONDS)), "nobody can know for how long"
    assert streamer.metric("slotstream_up") == 0
    status = streamer.status()
    assert status["reasons"] == ["not connected to NATS, or resynchronising"]
    assert status["last_error"]["reason"] == "unreachable" and "lag_seconds" not in status["source"]
    entries = [entry for entry in streamer.log_entries(start) if entry["level"] not in ("debug", "trace")]
    for message in ("interrupted, trying again", "connected to PostgreSQL"):
        assert [entry["message"] for entry in entries].count(message) == 1, entries
    assert len(record_entries(streamer, "interrupted, trying again")) >= 4, "debug has them all"
    tenant.nats.start()
    tenant.wait_stored(203)
    tenant.wait_confirmed()
    wait_until(lambda: streamer.metric(_LAG_SECONDS) == 0 and streamer.metric(_LAG_BYTES) == 0, 20, "nothing waits any more")
    (caught_up,) = [entry for entry in streamer.log_entries(start) if entry["message"] == "caught up"]
    assert int(caught_up["events"]) == 200


def test_what_is_not_known_without_postgres_is_not_told(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    assert tenant.streamer.metric(_LAG_BYTES) >= 0
    tenant.postgres.stop("immediate")
    try:
        wait_until(lambda: all(math.isnan(tenant.streamer.metric(name)) for name in (_LAG_BYTES, _LAG_SECONDS, _RETAINED, _SAFE)),
                   30, "it says that it does not know")
        source = tenant.streamer.status()["source"]
        assert not {"lag_bytes", "lag_seconds", "retained_bytes", "safe_bytes"} & source.keys(), source
        wait_until(lambda: tenant.streamer.metric('slotstream_reconnects_total{peer="postgres"}') > 1, 30, "it tries again")
    finally:
        tenant.postgres.start()
    tenant.streamer.wait_streaming(60)


def test_the_lag_is_told_before_the_first_row_of_a_backlog(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    tenant.commit(*range(4, 204), note="x" * 1000)
    time.sleep(3)
    # It has the slot, and no row yet.
    tenant.streamer.environment["SLOTSTREAM_FAILPOINT"] = "after_ownership=hang:1"
    tenant.streamer.start(wait=False)
    wait_until(lambda: tenant.streamer.status()["source"].get("lag_seconds", 0) >= 3, 30, "it says how old the backlog is")
    assert tenant.streamer.metric(_LAG_SECONDS) >= 3 and tenant.streamer.metric(_LAG_BYTES) > 200_000
    tenant.streamer.kill()


def test_a_poison_event_is_counted_when_it_is_found(pair, tenants):
    tenant = tenants(pair, overrides={"events": {"on_poison": "stop"}} | PATIENT)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    assert _failed(tenant.streamer, "poison_event") == 0
    # What came before it cannot be stored now: the streamer waits for that before it stops.
    tenant.nats.pause()
    tenant.commit(2)
    tenant.run("SELECT pg_logical_emit_message(true, 'fraiseql_events', 'no JSON')")
    wait_until(lambda: _failed(tenant.streamer, "poison_event") == 1, 20, "it is counted")
    assert tenant.streamer.status()["last_error"]["reason"] == "poison_event"
    tenant.nats.resume()
    stopped(tenant.streamer, 65, "poison_event", 90)


def test_a_refused_event_is_counted_while_it_is_refused(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    tenant.administrator.update(tenant.name, discard="new", max_msgs=1)
    tenant.commit(2)
    wait_until(lambda: _failed(tenant.streamer, "storage_full") > 1, 60, "each refusal is counted")
    wait_until(lambda: tenant.streamer.status().get("last_error", {}).get("reason") == "storage_full", 30, "it says why")
    # Each attempt is the same state of things.
    wait_until(lambda: len(record_entries(tenant.streamer, "resynchronising")) >= 4, 60, "it tries again and again")
    assert _levels(tenant.streamer, "resynchronising").count("notice") == 1
    assert _levels(tenant.streamer, "resynchronised").count("notice") <= 1
    tenant.administrator.update(tenant.name, discard="old", max_msgs=-1)
    tenant.wait_stored(2)


def test_a_lost_nats_is_counted_and_told_while_it_is_away(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    tenant.nats.kill()
    wait_until(lambda: tenant.streamer.metric('slotstream_reconnects_total{peer="nats"}') == 1, 30, "it is counted")
    error = tenant.streamer.status()["last_error"]
    assert error["reason"] == "connection_lost" and "NATS" in error["message"]
    tenant.nats.start()
    tenant.streamer.wait_ready(60)
    assert tenant.streamer.metric('slotstream_reconnects_total{peer="nats"}') == 1


@pytest.mark.parametrize("nats_is_away", [False, True])
def test_the_log_has_a_line_a_minute(one_pair, tenants, nats_is_away):
    tenant = tenants(one_pair, overrides={"log": {"level": "info"}} | PATIENT)
    tenant.streamer.start()
    tenant.commit_each(1, 30)
    tenant.wait_confirmed()
    if nats_is_away:
        tenant.nats.kill()
        tenant.commit(31)
    message = "still waiting for NATS" if nats_is_away else "still streaming"
    (entry,) = wait_until(lambda: record_entries(tenant.streamer, message), 100, "a minute is over", 0.5)
    assert entry["level"] == "info" and entry["stream_seq"] == "30" or entry["stream_seq"] == 30, entry
    assert entry["events"].endswith("/s") and entry["lag"].endswith("s") and entry["wal_held"].endswith("B"), entry
    if nats_is_away:
        assert "disconnected from NATS" in entry["error"] and float(entry["lag"][:-1]) > 10, entry


def test_debug_and_trace_say_what_goes_on(pair, tenants):
    tenant = tenants(pair, overrides={"log": {"level": "trace"}})
    tenant.streamer.start()
    tenant.commit(1, 2)
    tenant.wait_stored(2)
    tenant.wait_confirmed()
    lsn = tenant.events()[-1].json["transaction"]["lsn"]
    debug = {"both servers were read", "table described"}
    trace = {"transaction received", "events sent", "events stored", "checkpoint record stored", "status for PostgreSQL"}
    wait_until(lambda: all(record_entries(tenant.streamer, message) for message in debug | trace), 20, "all is told")
    assert all(set(_levels(tenant.streamer, message)) == {"debug"} for message in debug)
    assert all(set(_levels(tenant.streamer, message)) == {"trace"} for message in trace)
    (received,) = [entry for entry in record_entries(tenant.streamer, "transaction received") if entry["commit_lsn"] == lsn]
    assert str(received["changes"]) == "2"
    described = record_entries(tenant.streamer, "table described")
    assert described[0]["table"] == "public.tb_item"
