"""Names of hosts that nobody resolves: the resolver answers when it likes, and holds up nothing but who asks for a name."""

import time

import pytest

from servers.tools import preloadable, wait_until
from tenants import record_entries, tenant_maker, tenants  # noqa: F401

# slow.test is this machine; while the file STALLED is there, it is not resolved.
_RESOLVER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
    const char *stalled = getenv("STALLED");
    if (!node || strcmp(node, "slow.test") != 0) return real(node, service, hints, found);
    while (stalled && access(stalled, F_OK) == 0) usleep(10000);
    return real("127.0.0.1", service, hints, found);
}
"""


@pytest.fixture
def unresolved(pair, tenants):
    """A tenant whose streamer knows PostgreSQL by a name, and the file that stalls it."""
    tenant = tenants(pair, setup=False)
    tenant.streamer = tenant.another(conninfo=tenant.conninfo.replace("host=127.0.0.1", "host=slow.test"))
    stalled = tenant.streamer.folder / "stalled"
    library = preloadable("resolver", _RESOLVER, tenant.streamer.folder)
    tenant.streamer.environment |= {"LD_PRELOAD": str(library), "STALLED": str(stalled)}
    tenant.streamer.setup()
    yield tenant, stalled
    stalled.unlink(missing_ok=True)


def test_a_name_that_is_not_resolved_does_not_stop_a_session(unresolved):
    """The ordinary connection is lost and cannot be made again; the walsender's lives on."""
    tenant, stalled = unresolved
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    pid = tenant.holder()
    stalled.touch()
    tenant.run("SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
               f"WHERE application_name = 'slotstream' AND datname = '{tenant.name}' AND pid <> {pid}")
    # Through two looks at the slot, each of which wants a new connection.
    end = time.monotonic() + 12
    number = 1
    while time.monotonic() < end:
        number += 1
        tenant.commit(number)
        tenant.wait_stored(number, seconds=6)
    assert tenant.holder() == pid
    stalled.unlink()
    tenant.wait_confirmed()
    assert tenant.streamer.terminate() == 0
    tenant.require_exact(*range(1, number + 1))


def test_a_streamer_that_waits_for_a_name_tries_again_and_can_be_stopped(unresolved):
    tenant, stalled = unresolved
    stalled.touch()
    tenant.streamer.start(wait=False)
    wait_until(lambda: len(record_entries(tenant.streamer, "interrupted, trying again")) >= 2, 40, "it tries again")
    assert tenant.streamer.get("/livez")
    assert tenant.streamer.terminate(seconds=20) == 0
