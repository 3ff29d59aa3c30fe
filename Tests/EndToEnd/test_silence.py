"""A walsender that falls silent, frozen or behind a connection that only seems to stand: it is asked, told, and given up."""

import json
import os
import signal
import urllib.error
from contextlib import contextmanager

from proxy import Proxy
from servers.tools import wait_until
from tenants import behind, first_confirmed, record_entries, tenant_maker, tenants  # noqa: F401

_SILENT = "PostgreSQL's walsender does not answer"


def _ready(streamer) -> dict:
    """What /readyz says, whatever its status; it is live all the while."""
    assert json.loads(streamer.get("/livez")) == {"live": True}
    try:
        return json.loads(streamer.get("/readyz")) | {"ready": True}
    except urllib.error.HTTPError as error:
        return json.load(error)


@contextmanager
def _frozen(pid: int):
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_frozen_walsender_is_told_and_given_up_and_the_streamer_goes_on_when_it_wakes(pair, tenants):
    tenant = tenants(pair, overrides={"source": {"silence_limit": "16s"}})
    first_confirmed(tenant, tenant.streamer)
    with _frozen(tenant.holder()):
        tenant.commit(2)
        wait_until(lambda: _SILENT in _ready(tenant.streamer).get("reasons", []), 25, "it is not ready, and says why", 0.2)
        assert record_entries(tenant.streamer, f"{_SILENT}: the walsender decodes for a long time, or hangs, or the network hangs")
        interrupted = wait_until(lambda: record_entries(tenant.streamer, "interrupted, trying again"), 25, "it is given up", 0.2)
        assert "answered nothing" in interrupted[0]["error"]
        # Its own walsender is no other streamer, for which it would stand by.
        told = "an old connection of this streamer still holds the slot"
        wait_until(lambda: record_entries(tenant.streamer, told), 30, "who holds the slot is told", 0.2)
        wait_until(lambda: _ready(tenant.streamer)["ready"] is False, 10, "it is not ready", 0.1)
    tenant.wait_stored(2)
    tenant.wait_confirmed()
    tenant.require_exact(1, 2)
    assert tenant.streamer.terminate() == 0


def test_a_long_idle_server_is_no_silent_one(pair, tenants):
    tenant = tenants(pair, overrides={"source": {"silence_limit": "10s"}})
    first_confirmed(tenant, tenant.streamer)
    began = tenant.holder()
    # Nothing happens for longer than the limit: that is what is tried.
    try:
        wait_until(lambda: not _ready(tenant.streamer)["ready"] or tenant.holder() != began, 14, "never", 0.5)
    except AssertionError:
        pass
    else:
        raise AssertionError(f"it took an idle server for a silent one: {tenant.streamer.last_words()}")
    tenant.commit(2)
    tenant.wait_stored(2)
    assert tenant.streamer.terminate() == 0


def test_a_connection_that_only_seems_to_stand_is_given_up_when_the_server_has_let_the_slot_go(pair, tenants):
    tenant = tenants(pair)
    proxy = Proxy(tenant.postgres.port)
    with behind(tenant, proxy) as streamer:
        proxy.fall_silent()
        tenant.commit(2)
        tenant.wait_stored(2, 60)
        said = [entry["error"] for entry in record_entries(streamer, "interrupted, trying again")]
        assert said and "no longer holds slot" in said[0], said
        tenant.require_exact(1, 2)
        assert streamer.terminate() == 0
