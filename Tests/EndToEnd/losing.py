"""Ways in which history is lost: by hand, by PostgreSQL, in JetStream."""

from administrator import BUCKET
from servers.tools import wait_until


def slot_ahead(tenant) -> None:
    """Somebody moves the slot over a row."""
    tenant.commit(4)
    tenant.run(f"SELECT pg_replication_slot_advance('{tenant.name}', pg_current_wal_flush_lsn())")


def slot_missing(tenant) -> None:
    """The slot is dropped, and a row committed."""
    tenant.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")
    tenant.commit(4)


def slot_made_anew(tenant) -> None:
    """The same, and somebody makes another slot of that name."""
    slot_missing(tenant)
    tenant.run(f"SELECT pg_create_logical_replication_slot('{tenant.name}', 'pgoutput')")


def slot_invalidated(tenant) -> None:
    """PostgreSQL gives up the slot, for the WAL that it holds back."""
    tenant.commit(4)
    tenant.run("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'")
    tenant.run("SELECT pg_reload_conf()")
    try:
        tenant.run("CREATE TABLE filler AS SELECT repeat('x', 1000) FROM generate_series(1, 40000)")
        tenant.run("SELECT pg_switch_wal()")
        lost = "SELECT wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = %s"
        wait_until(lambda: tenant.run("CHECKPOINT") is None and tenant.value(lost, (tenant.name,)), 30, "the slot is lost", 0.2)
    finally:
        tenant.run("ALTER SYSTEM RESET max_slot_wal_keep_size")
        tenant.run("SELECT pg_reload_conf()")


def record_missing(tenant) -> None:
    """The record is deleted."""
    tenant.administrator.delete_record(tenant.name)


def bucket_missing(tenant) -> None:
    """The bucket is deleted, with every streamer's record."""
    tenant.administrator.delete(f"KV_{BUCKET}")


def stream_missing(tenant) -> None:
    """The stream is deleted."""
    tenant.administrator.delete(tenant.name)


def stream_recreated(tenant) -> None:
    """The stream is deleted, and made again as it was."""
    config = tenant.administrator.config(tenant.name)
    tenant.administrator.delete(tenant.name)
    tenant.administrator.add(**config)


def all_of_jetstream_wiped(tenant) -> None:
    """Neither stream nor record is left."""
    tenant.administrator.delete(tenant.name)
    tenant.administrator.delete_record(tenant.name)


def publication_missing_for_a_while(tenant) -> None:
    """A row is committed while there is no publication: the slot cannot send it."""
    tenant.run(f"DROP PUBLICATION {tenant.name}")
    tenant.commit(4)
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_item")
