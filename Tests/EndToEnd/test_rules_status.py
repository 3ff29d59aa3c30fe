"""`status`: quick whoever is silent, and an exit code by which a script knows whether there is something to do."""

import json
import subprocess
import time

from tenants import streamed, tenant_maker, tenants  # noqa: F401

# The promise is 5 s; it was 30 s. A machine of half the speed, and its standing still for a while, lie between.
_LIMIT = 15


def _status(streamer, expect: int) -> dict:
    done = streamer.command("status", "--json", expect=expect)
    return json.loads(done.stdout)


def test_status_exits_with_0_only_where_there_is_nothing_to_do(pair, tenants):
    tenant = tenants(pair, setup=False)
    streamer, standby = tenant.streamer, tenant.another()
    assert any("slot" in reason for reason in _status(streamer, 1)["reasons"])
    streamer.start()
    standby.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    assert _status(streamer, 0)["role"] == "active"
    assert _status(standby, 0)["role"] == "standby"
    # Whoever asks from elsewhere has only the servers' word.
    assert _status(tenant.another({"http": {"listen": ""}}), 0)["role"] == "active"
    assert standby.terminate() == 0 and streamer.terminate() == 0
    tenant.wait_free()
    assert _status(streamer, 1)["role"] == "stopped"
    tenant.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")
    assert any("does not exist" in reason for reason in _status(streamer, 1)["reasons"])
    tenant.nats.kill()
    assert _status(streamer, 69)["source"]["system_id"]


def test_status_does_not_wait_for_a_paused_postgres(one_pair, tenants):
    tenant = tenants(one_pair)
    streamed(tenant)
    with tenant.postgres.paused():
        began = time.monotonic()
        done = tenant.streamer.command("status", "--json", expect=69)
        took = time.monotonic() - began
    assert took < _LIMIT, f"it took {took:.1f} s"
    said = json.loads(done.stdout)
    assert said["stream"]["messages"] == 3 and any("PostgreSQL" in reason for reason in said["reasons"]), said
    assert "confirmed_lsn" not in said["source"], "unknown is absent"


def test_status_does_not_wait_for_a_paused_nats(one_pair, tenants):
    tenant = tenants(one_pair)
    streamed(tenant)
    tenant.nats.pause()
    began = time.monotonic()
    done = tenant.streamer.command("status", "--json", expect=69)
    took = time.monotonic() - began
    tenant.nats.resume()
    assert took < _LIMIT, f"it took {took:.1f} s"
    said = json.loads(done.stdout)
    assert said["source"]["confirmed_lsn"] and any("NATS" in reason for reason in said["reasons"]), said


def test_status_does_not_wait_for_a_streamer_that_stands_still(one_pair, tenants):
    tenant = tenants(one_pair)
    tenant.streamer.start()
    tenant.streamer.freeze()
    began = time.monotonic()
    done = subprocess.run([str(tenant.streamer.binary), "status", "--config", str(tenant.streamer.config)],
                          env=tenant.streamer.environment, capture_output=True, timeout=60)
    took = time.monotonic() - began
    tenant.streamer.thaw()
    assert took < _LIMIT and done.stdout, done
