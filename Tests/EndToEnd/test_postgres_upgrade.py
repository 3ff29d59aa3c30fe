"""`pg_upgrade`, as the runbook's section goes through it: the slot stays behind, the streamer says that the server is another one, and a
new stream begins where the old one ends."""

import subprocess
from pathlib import Path

from deployment import Pair
from servers.postgres import Postgres
from servers.tools import free_port
from tenants import own, stopped, tenant_maker  # noqa: F401

_PAIR = Pair("16", "2.15.1")
_ANEW = {"SLOTSTREAM_TRANSPORT_NATS_STREAM_NAME": "anew", "SLOTSTREAM_TRANSPORT_NATS_SUBJECT_PREFIX": "anew"}


def _run(postgres: Postgres, *command: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, cwd=postgres.folder, **postgres.identity)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return done.stdout


def _upgraded(postgres: Postgres, version: str) -> None:
    """The stopped cluster, as one of `version`."""
    programs = Postgres(version, postgres.folder / "new").bin
    fresh: Path = postgres.folder / "upgraded"
    # The tests give theirs on the command line; what pg_upgrade starts reads the file.
    with (postgres.data / "postgresql.conf").open("a") as configuration:
        configuration.write("wal_level = logical\nmax_prepared_transactions = 10\n")
    _run(postgres, programs / "initdb", "-D", fresh, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-data-checksums")
    said = _run(postgres, programs / "pg_upgrade", "-b", postgres.bin, "-B", programs, "-d", postgres.data, "-D", fresh, "-U", "postgres", "-p", free_port(),
                "-P", free_port())
    assert "Upgrade Complete" in said
    postgres.bin, postgres.data, postgres.version = programs, fresh, version


def test_a_new_stream_begins_behind_an_upgrade_from_16_to_18(own, report):
    tenant = own(_PAIR)
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)
    tenant.wait_confirmed()
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    tenant.postgres.stop()
    _upgraded(tenant.postgres, "18")
    tenant.postgres.start()
    assert tenant.value("SELECT count(*) FROM pg_replication_slots") == 0, "pg_upgrade took the slot along"
    assert tenant.value("SELECT pubname FROM pg_publication") == tenant.name
    assert tenant.value("SELECT count(*) FROM tb_item") == 3
    tenant.streamer.start(wait=False)
    assert "another cluster answers" in stopped(tenant.streamer, 73, "other_cluster")
    # The remedy: a new stream, under another prefix.
    tenant.streamer.environment |= _ANEW
    tenant.streamer.command("setup")
    tenant.streamer.start()
    tenant.commit(4)
    tenant.wait_confirmed()
    assert tenant.stored() == [1, 2, 3], "the old stream is as it was"
    assert [event.json["entity"]["n"] for event in tenant.administrator.messages("anew")] == [4]
    report("pg_upgrade from PostgreSQL 16 to 18: the slot stays behind (other_cluster), a new stream begins at the next row")
