"""Who holds the slot, and who takes over: standby, SIGTERM, liveness."""

import json
import signal
import time

import pytest

from servers.tools import wait_until
from tenants import PATIENT, record_entries, refused, tenant_maker, tenants  # noqa: F401


def _ready(streamer) -> dict:
    return json.loads(streamer.get("/readyz"))


def _standby(streamer) -> bool:
    return _ready(streamer).get("role") == "standby"


def _taken_over_within(seconds: float, successor) -> float:
    """How long it takes until the successor holds the slot and streams."""
    began = time.monotonic()
    wait_until(lambda: _ready(successor).get("role") == "active", seconds, f"the slot is taken over within {seconds} s")
    return time.monotonic() - began


def test_a_second_streamer_stands_by_and_takes_over_when_the_holder_is_killed(pair, tenants, report):
    # Pitfall 32. What frees the slot is the connection's end, not a timeout.
    tenant = tenants(pair, overrides=PATIENT)
    holder, successor = tenant.streamer, tenant.another()
    holder.start()
    successor.start(wait=False)
    successor.wait_ready()
    assert _ready(successor) == {"role": "standby"}
    assert successor.status()["role"] == "standby" and successor.get("/livez")
    successor.command("health", "--ready")
    tenant.commit_each(1, 5)
    tenant.wait_stored(5)
    pid = tenant.holder()
    assert _standby(successor) and tenant.holder() == pid, "it takes nothing from a holder that lives"
    holder.kill()
    took = _taken_over_within(20, successor)
    tenant.commit_each(6, 9)
    tenant.wait_stored(9)
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, 10))
    # And back again, when the first one is stopped in order.
    holder.start(wait=False)
    holder.wait_ready()
    assert _standby(holder)
    assert successor.terminate() == 0
    _taken_over_within(20, holder)
    tenant.commit(10)
    tenant.wait_stored(10)
    tenant.require_exact(*range(1, 11))
    report(f"{pair}: a standby took over {took:.2f} s after kill -9 of the holder")


def test_a_frozen_holder_is_dropped_by_postgres_itself_and_the_standby_takes_over(pair, tenants, report):
    """The session's own wal_sender_timeout of 3 s: the server's is a minute."""
    tenant = tenants(pair)
    holder, successor = tenant.streamer, tenant.another()
    holder.start()
    tenant.commit_each(1, 5)
    tenant.wait_stored(5)
    successor.start(wait=False)
    successor.wait_ready()
    holder.freeze()
    took = _taken_over_within(30, successor)
    tenant.commit_each(6, 9)
    tenant.wait_stored(9)
    holder.thaw()
    wait_until(lambda: not holder.running or _standby(holder), 30, "the old holder gives way")
    assert holder.running or holder.process.returncode == 76, holder.last_words()
    tenant.commit_each(10, 12)
    tenant.wait_stored(12)
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, 13))
    report(f"{pair}: a standby took over {took:.2f} s after its holder was frozen")


def test_commands_that_run_once_do_not_wait_for_a_slot_that_is_held(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    done = refused(tenant.streamer, 75, "slot_active", "slot", "drop", tenant.name, "--yes")
    assert "slot" in done
    refused(tenant.streamer, 75, "slot_active", "decode", "--limit", "1")
    assert tenant.streamer.running
    tenant.commit(1)
    tenant.wait_stored(1)


def test_a_terminated_streamer_ends_with_0_and_all_that_it_received_is_confirmed(pair, tenants):
    tenant = tenants(pair, overrides={"delivery": {"checkpoint_interval": "1h"}})
    tenant.streamer.start()
    tenant.commit_each(1, 200)
    wait_until(lambda: tenant.last_sequence() >= 200, 30, "all are stored")
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    # The interval had not passed: the stop itself puts the record and tells PostgreSQL.
    record = tenant.administrator.record(tenant.name)
    assert record["last_sequence"] == 200
    events = tenant.require_exact(*range(1, 201))
    assert tenant.confirmed() > int(events[-1].id.split(".")[4], 16)
    assert tenant.confirmed() <= tenant.lsn("pg_current_wal_flush_lsn()")


def _terminated_while_nats_is_paused(tenant) -> None:
    """Twenty rows are committed; NATS has one of them, the others are in flight to a paused one. It has heeded SIGTERM."""
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    tenant.nats.pause()
    tenant.commit_each(2, 20)
    wait_until(lambda: (tenant.streamer.in_flight() or 0) >= 19, 20, "messages are in flight")
    tenant.streamer.process.send_signal(signal.SIGTERM)
    wait_until(lambda: record_entries(tenant.streamer, "stopping: waiting for acks"), 10, "it stops reading")


def test_a_streamer_that_is_terminated_while_nats_is_paused_waits_for_acks(one_pair, tenants):
    tenant = tenants(one_pair)
    _terminated_while_nats_is_paused(tenant)
    assert tenant.streamer.running
    tenant.nats.resume()
    assert tenant.streamer.wait(30) == 0
    tenant.wait_free()
    assert tenant.administrator.record(tenant.name)["last_sequence"] == 20
    tenant.streamer.start()
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, 21))


def test_a_streamer_that_is_terminated_and_gets_no_acks_ends_with_0_all_the_same(one_pair, tenants, request):
    """With --all after the time that is the default."""
    tenant = tenants(one_pair)
    in_real_time = request.config.getoption("--all")
    if not in_real_time:
        tenant.streamer = tenant.another({"delivery": {"shutdown_timeout": "2s"}})
    confirmed = tenant.confirmed()
    _terminated_while_nats_is_paused(tenant)
    began = time.monotonic()
    assert tenant.streamer.wait(95) == 0
    assert not in_real_time or time.monotonic() - began > 20
    tenant.wait_free()
    assert any("not known to be stored" in entry["message"] for entry in tenant.streamer.log_entries())
    assert tenant.confirmed() >= confirmed
    tenant.nats.resume()
    tenant.streamer.start()
    tenant.wait_stored(20)
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, 21))


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_second_signal_ends_it_at_once_and_the_next_start_sends_again_what_is_unconfirmed(one_pair, tenants, name):
    tenant = tenants(one_pair)
    tenant.streamer = tenant.another({"delivery": {"shutdown_timeout": "1h"}})
    _terminated_while_nats_is_paused(tenant)
    # A terminal that goes sends this beside the first one.
    tenant.streamer.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(record_entries(tenant.streamer, "told to stop")) == 2, 10, "it has heeded both")
    assert tenant.streamer.running
    tenant.streamer.process.send_signal(signal.Signals[name])
    assert tenant.streamer.wait(30) == 0
    assert record_entries(tenant.streamer, "told to stop again: ended at once. The next start sends again what is unconfirmed")
    tenant.nats.resume()
    tenant.streamer.start()
    tenant.wait_stored(20)
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, 21))


def test_a_streamer_waits_for_servers_that_are_not_there_yet(pair, tenants):
    """`run` retries for ever: NATS is down at its start, and later PostgreSQL is."""
    tenant = tenants(pair)
    tenant.nats.kill()
    tenant.streamer.start(wait=False)
    wait_until(lambda: record_entries(tenant.streamer, "interrupted, trying again"), 30, "it tries again")
    wait_until(lambda: tenant.streamer.get("/livez"), 30, "it is live")
    assert tenant.streamer.running
    tenant.nats.start()
    tenant.streamer.wait_ready(60)
    tenant.commit(1)
    tenant.wait_stored(1)
    tenant.postgres.stop("immediate")
    before = len(record_entries(tenant.streamer, "interrupted, trying again"))
    wait_until(lambda: len(record_entries(tenant.streamer, "interrupted, trying again")) > before, 30, "it tries again")
    assert tenant.streamer.get("/livez")
    tenant.postgres.start()
    tenant.streamer.wait_ready(60)
    tenant.commit(2)
    tenant.wait_stored(2)
    tenant.wait_confirmed()
    tenant.require_exact(1, 2)
