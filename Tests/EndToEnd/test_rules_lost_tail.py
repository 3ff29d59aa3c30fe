"""JetStream loses what it acknowledged: the files of a stream are given back as they were a while before."""

import shutil

from administrator import BUCKET
from tenants import refused, stopped, tenant_maker, tenants  # noqa: F401


def _store(tenant, name: str):
    """The folder of a stream's files."""
    found = list(tenant.nats.servers[0].folder.glob(f"jetstream/*/streams/{name}"))
    assert len(found) == 1, found
    return found[0]


def restored(tenant, *streams: str, meanwhile) -> None:
    """Runs `meanwhile`, then gives the streams' files back as they were before: a disk that lost what was acknowledged."""
    nats = tenant.nats
    copies = {name: tenant.servers.folder / f"{tenant.name}-{name}" for name in streams}
    nats.kill()
    for name, copy in copies.items():
        shutil.copytree(_store(tenant, name), copy)
    nats.start()
    meanwhile()
    nats.kill()
    for name, copy in copies.items():
        folder = _store(tenant, name)
        shutil.rmtree(folder)
        shutil.copytree(copy, folder)
    nats.start()


def test_a_stream_that_lost_its_confirmed_tail_stops_a_running_streamer(single_pair, tenants):
    tenant = tenants(single_pair)
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)

    def go_on() -> None:
        tenant.commit_each(4, 9)
        tenant.wait_stored(9)
        tenant.wait_confirmed()

    restored(tenant, tenant.name, meanwhile=go_on)
    confirmed = tenant.confirmed()
    tenant.commit(10)
    commit = tenant.lsn("pg_current_wal_flush_lsn()")
    stopped(tenant.streamer, 73, "stream_tail_lost", seconds=60)
    assert confirmed <= tenant.confirmed() < commit
    assert tenant.stored() == [1, 2, 3], "nothing was stored over the hole"
    refused(tenant.streamer, 73, "stream_tail_lost", "setup")


def test_a_tail_that_was_lost_together_with_the_record_stops_and_the_range_is_named(single_pair, tenants):
    tenant = tenants(single_pair)
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)
    tenant.wait_confirmed()

    def go_on() -> None:
        tenant.commit_each(4, 9)
        tenant.wait_stored(9)
        tenant.wait_confirmed()

    restored(tenant, tenant.name, f"KV_{BUCKET}", meanwhile=go_on)
    tenant.commit(10)
    said = stopped(tenant.streamer, 73, "slot_ahead", seconds=60)
    assert tenant.administrator.record(tenant.name)["confirmed_lsn"] in said
    assert tenant.stored() == [1, 2, 3]


def test_a_lost_tail_that_was_not_confirmed_is_sent_again(single_pair, tenants):
    tenant = tenants(single_pair, overrides={"delivery": {"checkpoint_interval": "1h"}})
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)

    def go_on() -> None:
        tenant.commit_each(4, 9)
        tenant.wait_stored(9)

    restored(tenant, tenant.name, meanwhile=go_on)
    tenant.commit(10)
    tenant.wait_stored(10, seconds=60)
    tenant.require_exact(*range(1, 11))
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    assert tenant.administrator.record(tenant.name)["last_sequence"] == 10
