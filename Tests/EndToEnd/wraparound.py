"""A cluster whose next transaction id is any that is wanted."""

import shutil
import subprocess

import psycopg

from servers.postgres import Postgres

# Transactions that a page of the commit log's segment tells of, times its pages.
_OF_A_SEGMENT = 8192 * 4 * 32
_SEGMENT_BYTES = 8192 * 32

# No step may be half of all ids, of which one half is always in the past.
_STEPS = (1_400_000_000, 2_800_000_000)


def stand_before(postgres: Postgres, xid: int) -> None:
    """Restarts it with that transaction id as its next one; nothing in it is older than that. It must have no slots."""
    was = None
    for to in (*(step for step in _STEPS if step < xid), xid):
        _freeze(postgres)
        postgres.stop("fast")
        oldest = ["-u", str(was)] if was else []
        done = subprocess.run([postgres.bin / "pg_resetwal", "-x", str(to), *oldest, "-D", postgres.data], capture_output=True, text=True,
                              cwd=postgres.folder, **postgres.identity)
        assert done.returncode == 0, done.stderr
        segment = postgres.data / "pg_xact" / f"{to // _OF_A_SEGMENT:04X}"
        if not segment.exists():
            segment.write_bytes(bytes(_SEGMENT_BYTES))
            if postgres.identity:
                shutil.chown(segment, "postgres", "postgres")
        was = to
        postgres.start()
    _freeze(postgres)


def _freeze(postgres: Postgres) -> None:
    with postgres.connect() as connection:
        connection.execute("UPDATE pg_database SET datallowconn = true")
        names = [name for name, in connection.execute("SELECT datname FROM pg_database")]
    for name in names:
        with psycopg.connect(postgres.conninfo.replace(f"dbname={postgres.database}", f"dbname={name}"), autocommit=True) as connection:
            connection.execute("VACUUM (FREEZE)")
