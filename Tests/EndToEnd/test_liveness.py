"""Liveness is progress: a streamer that waits, however long and for whomever, is alive; ready is one that could publish now.

Each wait outlasts the 30 s within which the loop must have turned.
"""

import json
import time
import urllib.error
import urllib.request
from functools import partial

from servers.tools import wait_until
from streamer import Streamer
from tenants import own, tenant_maker, tenants  # noqa: F401
from windows import WINDOW, anchor, started

_LONG_SECONDS = 33

NO_POSTGRES = "not connected to PostgreSQL"
NO_NATS = "not connected to NATS, or resynchronising"


def _asked(streamer: Streamer, path: str) -> tuple[int, dict]:
    """HTTP's status code, and the JSON that came with it."""
    try:
        with urllib.request.urlopen(f"http://{streamer.http}{path}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def _require_live(streamer: Streamer) -> None:
    assert _asked(streamer, "/livez") == (200, {"live": True})
    assert streamer.status()["live"] is True


def _require_waiting(streamer: Streamer, reason: str) -> None:
    """Live and not ready, and each way to ask says so, with this reason among others."""
    _require_live(streamer)
    code, said = _asked(streamer, "/readyz")
    assert (code, said.get("ready"), said["role"]) == (503, False, "active") and reason in said["reasons"], (code, said)
    status = streamer.status()
    assert (status["role"], status["ready"]) == ("active", False) and reason in status["reasons"], status
    assert streamer.metric("slotstream_up") == 0


def _require_ready(streamer: Streamer) -> None:
    _require_live(streamer)
    assert _asked(streamer, "/readyz") == (200, {"role": "active"})
    status = streamer.status()
    assert (status["role"], status["ready"], status["reasons"]) == ("active", True, [])
    assert streamer.metric("slotstream_up") == 1


def _require_standing_by(streamer: Streamer) -> None:
    _require_live(streamer)
    assert _asked(streamer, "/readyz") == (200, {"role": "standby"})
    status = streamer.status()
    assert (status["role"], status["ready"], status["reasons"]) == ("standby", True, [])


def _watch(end: float, *checks) -> None:
    """All of it, again and again, until that time."""
    while time.monotonic() < end:
        for check in checks:
            check()
        time.sleep(0.2)


def _wait_unready(streamer: Streamer, seconds: float, *checks) -> None:
    """Until it says that it is not ready; all the while `checks` hold."""
    def unready() -> bool:
        for check in checks:
            check()
        return _asked(streamer, "/readyz")[0] == 503

    wait_until(unready, seconds, f"not ready: {streamer.last_words()}", 0.2)


def test_a_streamer_that_waits_for_a_paused_nats_is_live_and_not_ready_and_its_standby_is_both(one_pair, tenants):
    tenant = tenants(one_pair, overrides={"source": {"wal_sender_timeout": "10s"}, "delivery": {"ack_timeout": "2s"}})
    holder, standby = tenant.streamer, tenant.another()
    holder.start()
    standby.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    _require_ready(holder)
    _require_standing_by(standby)
    pid = tenant.holder()

    def lives() -> None:
        _require_live(holder)
        _require_standing_by(standby)
        assert tenant.holder() == pid, "the connection to PostgreSQL did not live through the pause"

    end = time.monotonic() + _LONG_SECONDS
    tenant.nats.pause()
    tenant.commit_each(2, 50)
    _wait_unready(holder, 20, lives)
    _watch(end, lives, lambda: _require_waiting(holder, NO_NATS))
    holder.command("health")
    assert NO_NATS in holder.command("health", "--ready", expect=1).stdout
    tenant.nats.resume()
    holder.wait_ready()
    tenant.wait_stored(50)
    tenant.wait_confirmed()
    _require_ready(holder)
    lives()
    tenant.require_exact(*range(1, 51))


def test_a_streamer_that_waits_for_a_postgres_that_is_down_is_live_and_not_ready(one_pair, tenants):
    tenant = tenants(one_pair)
    # The second one starts when there is no PostgreSQL.
    streamers = tenant.streamer, tenant.another()
    streamers[0].start()
    tenant.commit(1)
    tenant.wait_confirmed()
    _require_ready(streamers[0])
    tenant.postgres.stop("immediate")
    try:
        end = time.monotonic() + _LONG_SECONDS
        streamers[1].start(wait=False)
        for streamer in streamers:
            wait_until(lambda: streamer.get("/livez"), 10, "it answers")
            _wait_unready(streamer, 10, lambda: _require_live(streamer))
        _watch(end, *(partial(_require_waiting, streamer, NO_POSTGRES) for streamer in streamers))
        streamers[0].command("health")
        assert NO_POSTGRES in streamers[0].command("health", "--ready", expect=1).stdout
    finally:
        tenant.postgres.start()
    for streamer in streamers:
        streamer.wait_ready()
    tenant.commit(2)
    tenant.wait_stored(2)
    tenant.wait_confirmed()
    active, standby = sorted(streamers, key=lambda streamer: streamer.status()["role"])
    _require_ready(active)
    _require_standing_by(standby)
    tenant.require_exact(1, 2)


def test_a_streamer_that_waits_for_a_paused_postgres_is_live_and_not_ready(one_pair, tenants):
    """Nothing is answered, and nothing is closed: the connections are there as far as TCP knows."""
    tenant = tenants(one_pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    _require_ready(tenant.streamer)
    end = time.monotonic() + _LONG_SECONDS
    with tenant.postgres.paused():
        _wait_unready(tenant.streamer, _LONG_SECONDS, lambda: _require_live(tenant.streamer))
        _watch(end, lambda: _require_waiting(tenant.streamer, NO_POSTGRES))
    tenant.streamer.wait_ready()
    tenant.commit(2)
    tenant.wait_stored(2)
    tenant.wait_confirmed()
    _require_ready(tenant.streamer)
    tenant.require_exact(1, 2)


def test_an_anchor_that_nobody_needs_outlives_idle_replication_slot_timeout(newest_pair, own):
    """The streamer touches it before; without a streamer PostgreSQL gives it up, and the next streamer makes it anew."""
    tenant = own(newest_pair, overrides=WINDOW)
    started(tenant)
    tenant.run("ALTER SYSTEM SET idle_replication_slot_timeout = '20s'")
    tenant.run("SELECT pg_reload_conf()")
    reason = f"SELECT invalidation_reason FROM pg_replication_slots WHERE slot_name = '{tenant.name}_anchor'"
    end = time.monotonic() + 50
    while time.monotonic() < end:
        tenant.run("CHECKPOINT")
        assert tenant.value(reason) is None, "it is touched in time"
        time.sleep(1)
    assert tenant.streamer.terminate() == 0
    wait_until(lambda: tenant.run("CHECKPOINT") or tenant.value(reason) == "idle_timeout", 60, "without a streamer it is given up", 1)
    tenant.streamer.start()
    wait_until(lambda: tenant.value(reason) is None and anchor(tenant) is not None, 60, "it is made anew")
    tenant.commit(1)
    tenant.wait_confirmed()
    tenant.require_exact(1)
