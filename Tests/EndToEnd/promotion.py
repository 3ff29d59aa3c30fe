"""A primary with a physical standby, and what a failover does to both."""

import shutil
import subprocess
from pathlib import Path

import stream
from deployment import Deployment
from servers.postgres import Postgres
from servers.tools import wait_until
from streamer import Streamer

SLOT = "fraiseql_events"


class Standby(Postgres):
    """A physical standby, made by pg_basebackup from a primary that runs; not yet started.

    `port`: the one to listen on, else a free one. `upstream`: how it reaches the primary, else directly.
    """

    def __init__(self, primary: Postgres, folder: Path, port: int | None = None, upstream: str | None = None):
        settings = {name: value for name, value in primary.settings.items()
                    if name not in ("port", "unix_socket_directories")}
        super().__init__(primary.version, folder, settings)
        if port:
            self.port = port
            self.settings["port"] = str(port)
        folder.mkdir()
        if self.identity:
            shutil.chown(folder, "postgres", "postgres")
        primary.run("SELECT pg_create_physical_replication_slot('standby', true)")
        command = [primary.bin / "pg_basebackup", "-D", self.data, "-d", primary.conninfo, "-R", "-X", "stream",
                   "-S", "standby", "-c", "fast", "--no-sync"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, **self.identity)
        assert done.returncode == 0, done.stderr
        if int(primary.version) >= 17:
            # The one that -R writes names no database, which the slots' synchronisation needs.
            with (self.data / "postgresql.auto.conf").open("a") as file:
                file.write(f"primary_conninfo = '{upstream or primary.conninfo}'\n"
                           "sync_replication_slots = on\nhot_standby_feedback = on\n")

    def wait_replayed(self, lsn: int) -> None:
        """Until it has replayed up to there."""
        wait_until(lambda: self.value("SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint") >= lsn, 30,
                   "the standby has it all")

    def promote(self) -> None:
        """Makes it a primary, on a timeline of its own."""
        self.run("SELECT pg_promote(true, 60)")
        wait_until(lambda: not self.value("SELECT pg_is_in_recovery()"), 60, "it is promoted")


class Cluster:
    """A deployment whose primary has a standby, and a second streamer of the same slot and stream that connects to the
    latter: `before` and `after` the promotion."""

    def __init__(self, deployment: Deployment):
        self.deployment = deployment
        self.primary = deployment.postgres
        self.before = deployment.streamer
        self.standby = Standby(self.primary, deployment.folder / "standby")
        self.standby.start()
        self.after = Streamer(deployment.folder / "after", self.standby.conninfo, deployment.nats.url,
                              {"transport.nats.jetstream": {"replicas": deployment.nats.replicas}})

    def close(self) -> None:
        """Ends what the deployment does not know of."""
        self.after.close()
        self.standby.close()

    @property
    def _has_failover_slots(self) -> bool:
        return int(self.primary.version) >= 17

    def commit(self, postgres: Postgres, *numbers: int) -> None:
        """A transaction for each number, on either server."""
        for number in numbers:
            postgres.run("INSERT INTO tb_order_line (identifier, run, client, seq) "
                         f"VALUES ('{'before' if postgres is self.primary else 'afterwards'}', 1, 1, {number})")

    def stored(self) -> list[tuple[int, int]]:
        """The number of each event's row, and the timeline in its id."""
        return [(event.json["entity"]["seq"], int(event.id.split(".")[2]))
                for event in stream.read(self.deployment.nats.url)]

    def wait_stored(self, count: int) -> None:
        """Until the stream holds that many."""
        wait_until(lambda: len(self.stored()) >= count, 30, f"{count} are stored", 0.2)

    def wait_slot_portable(self) -> None:
        """Until the slot can be used after a promotion: the standby has it, or has the WAL that a copy of it needs."""
        restart = f"SELECT restart_lsn >= '0/3000000' FROM pg_replication_slots WHERE slot_name = '{SLOT}'"
        wait_until(lambda: self.primary.run("CHECKPOINT") is None and self.primary.value(restart), 60,
                   "the slot needs nothing from before the base backup", 0.2)
        if self._has_failover_slots:
            synced = f"SELECT synced AND NOT temporary FROM pg_replication_slots WHERE slot_name = '{SLOT}'"
            wait_until(lambda: self.standby.value(synced), 60, "the slot is synchronised", 0.2)

    def cut_off(self) -> None:
        """Stops the standby, which has all of the primary's WAL: it gets nothing more. Where slots do not follow by themselves,
        it is handed the primary's as it stands, as cluster managers do it; nothing is confirmed meanwhile, so that the slot is
        not ahead of the standby."""
        is_frozen = self.before.running
        if is_frozen:
            self.before.freeze()
        self.standby.wait_replayed(self.primary.flushed())
        self.standby.stop()
        if not self._has_failover_slots:
            self.primary.run("CHECKPOINT")
            subprocess.run(["cp", "-a", self.primary.data / "pg_replslot" / SLOT, self.standby.data / "pg_replslot"],
                           check=True)
        if is_frozen:
            self.before.thaw()
