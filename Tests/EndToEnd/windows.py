"""Tenants with a replay window: an anchor slot that trails."""

from servers.postgres import asking
from servers.tools import wait_until
from tenants import Tenant

# Long enough for a test, and moved often enough to be seen.
WINDOW = {"replay": {"window": "10m"}}

_ANCHOR = ("SELECT (confirmed_flush_lsn - '0/0')::bigint, wal_status, (pg_current_wal_lsn() - restart_lsn)::bigint FROM pg_replication_slots "
           "WHERE slot_name = %s || '_anchor'")


def anchor(tenant: Tenant) -> tuple[int, str, int] | None:
    """The anchor slot's confirmed position, its wal_status, and the WAL in bytes that it holds; None: there is none."""
    with tenant.connect() as connection:
        return connection.execute(_ANCHOR, (tenant.name,)).fetchone()


def wait_anchor(tenant: Tenant, seconds: float = 30) -> int:
    """Until there is an anchor; returns its confirmed position."""
    with asking(tenant.connect) as ask:
        wait_until(lambda: ask(_ANCHOR, (tenant.name,)) is not None, seconds, "the anchor slot is there")
    return anchor(tenant)[0]


def started(tenant: Tenant) -> None:
    """Runs the streamer, and waits for its anchor."""
    tenant.streamer.start()
    wait_anchor(tenant)
