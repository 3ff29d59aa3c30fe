"""What identifies a change: positions of logical messages, timelines, and the options that decide the ordinals."""

import shutil
import subprocess
from pathlib import Path

import pytest

import stream
from servers.postgres import Postgres
from servers.tools import wait_until
from streamer import Streamer
from tenants import record_entries, refused, stopped, tenant_maker, tenants  # noqa: F401

_BODY = '{"entity_type": "Note", "operation": "WRITTEN", "entity_id": "%s", "entity": {"n": %d}}'


def _emit(connection, number: int, transactional: bool = False) -> None:
    connection.execute("SELECT pg_logical_emit_message(%s, 'fraiseql_events', %s)",
                       (transactional, _BODY % (number, number)))


def test_a_message_outside_transactions_is_stored_before_the_transaction_whose_commit_lsn_it_has(pair, tenants):
    """Pitfall 48c. The stream has room for the message and not for the transaction: between the two the streamer is killed."""
    tenant = tenants(pair, setup=False)
    tenant.administrator.add(tenant.name, subjects=[f"{tenant.prefix}.>"], storage="file", discard="new", max_msgs=1)
    streamer = tenant.streamer
    streamer.setup()
    streamer.start()
    met, stored = 0, 0
    for number in range(1, 20, 2):
        with tenant.connect() as connection, connection.transaction():
            connection.execute("INSERT INTO tb_item VALUES (%s)", (number + 1,))
            _emit(connection, number)
        tenant.wait_stored(stored + 1)
        wait_until(lambda: record_entries(streamer, "resynchronising"), 20, "the transaction is refused")
        streamer.kill()
        tenant.wait_free()
        assert tenant.last_sequence() == stored + 1
        # Room for the transaction, and for the next message.
        tenant.administrator.update(tenant.name, max_msgs=stored + 3)
        streamer.start()
        tenant.wait_stored(stored + 2)
        message, change = tenant.events()[stored:]
        stored += 2
        assert message.id.endswith(".0") and change.id.endswith(".1")
        assert (message.json["entity"]["n"], change.json["entity"]["n"]) == (number, number + 1)
        assert "id" not in message.json["transaction"]
        assert (message.json["transaction"]["ordinal"], message.json["transaction"]["last"]) == (0, True)
        met += message.id.split(".")[4] == change.id.split(".")[4]
        if met == 3:
            break
    assert met == 3, f"the LSNs were equal {met} times only"
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, stored + 1))


def test_keepalives_confirm_nothing_while_such_a_message_is_not_stored(pair, tenants):
    """The stream is full, the bucket is not: only the rule keeps the position back."""
    tenant = tenants(pair, setup=False)
    tenant.administrator.add(tenant.name, subjects=[f"{tenant.prefix}.>"], storage="file", discard="new", max_msgs=1)
    tenant.streamer.setup()
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    with tenant.connect() as connection:
        _emit(connection, 2)
        # In WAL that is not the publication's, which is soon received and goes on moving.
        connection.execute("CREATE TABLE other (n INTEGER)")
        message = tenant.lsn("pg_current_wal_flush_lsn()")
        before = tenant.confirmed()
        puts = tenant.administrator.revision(tenant.name)
        for _ in range(5):
            connection.execute("INSERT INTO other SELECT generate_series(1, 100)")
            target = tenant.value("SELECT pg_current_wal_flush_lsn()::text")
            wait_until(lambda: _lsn(tenant.streamer.status()["source"]["received_lsn"]) >= _lsn(target), 20,
                       "keepalives came")
            wait_until(lambda: _status_sent(tenant), 20, "a status was sent after them")
            assert tenant.confirmed() == before < message
    assert record_entries(tenant.streamer, "resynchronising"), "the message was refused meanwhile"
    tenant.administrator.update(tenant.name, max_msgs=-1)
    tenant.wait_stored(2)
    tenant.wait_confirmed()
    assert tenant.confirmed() >= message and puts <= tenant.administrator.revision(tenant.name)
    assert tenant.stored() == [1, 2]


def _status_sent(tenant) -> bool:
    """Whether PostgreSQL has had a status update since everything now in its WAL was received."""
    return tenant.value("SELECT write_lsn >= pg_current_wal_flush_lsn() FROM pg_stat_replication WHERE pid = %s",
                        (tenant.holder(),))


def _lsn(text: str) -> int:
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def test_messages_of_other_programs_are_no_events_and_pin_nothing(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    with tenant.connect() as connection:
        for transactional in (True, False):
            connection.execute("SELECT pg_logical_emit_message(%s, 'of another program', 'no JSON')", (transactional,))
        connection.execute("INSERT INTO tb_item VALUES (1)")
    tenant.wait_confirmed()
    tenant.require_exact(1)


def test_what_is_filtered_counts_so_that_ordinals_are_the_same_under_another_filter(pair, tenants):
    # Pitfall 12: killed in the middle of a transaction, and started again with other filters.
    tenant = tenants(pair, overrides={"events": {"exclude": ["public.tb_noise"]}})
    tenant.run("CREATE TABLE tb_noise (n BIGINT PRIMARY KEY)")
    tenant.run(f"ALTER PUBLICATION {tenant.name} ADD TABLE tb_noise")
    tenant.streamer.start()
    rows = 20_000
    with tenant.connect() as connection, connection.transaction():
        connection.execute(f"INSERT INTO tb_noise SELECT generate_series(1, {rows})")
        connection.execute(f"INSERT INTO tb_item SELECT generate_series(1, {rows})")
        connection.execute("INSERT INTO tb_noise VALUES (0)")
    wait_until(lambda: tenant.last_sequence() > 500, 60, "the transaction is being stored", 0.005)
    tenant.streamer.kill()
    tenant.wait_free()
    stored = tenant.last_sequence()
    assert stored < rows, f"all {rows} were stored before the kill"
    other = tenant.another({"events": {"exclude": []}})
    other.start()
    tenant.wait_stored(rows + 1, seconds=120)
    tenant.wait_confirmed(60)
    numbers = [event.json["entity"]["n"] for event in tenant.read()]
    assert numbers == [*range(1, rows + 1), 0]
    ordinals = [int(event.id.rpartition(".")[2]) for event in tenant.read()]
    assert ordinals == list(range(rows + 1, 2 * rows + 2)), "each has its place among all changes"


def test_changed_options_are_refused_inside_a_transaction_and_accepted_at_its_end(pair, tenants):
    tenant = tenants(pair, overrides={"delivery": {"checkpoint_interval": "50ms"}})
    tenant.run(f"CREATE PUBLICATION {tenant.name}_b FOR TABLE tb_item")
    changed = tenant.another({"source": {"publication": f"{tenant.name}_b"}})
    tenant.streamer.start()
    rows = 20_000
    tenant.run(f"INSERT INTO tb_item SELECT generate_series(1, {rows})")
    wait_until(lambda: tenant.last_sequence() > 500, 60, "the transaction is being stored", 0.005)
    tenant.streamer.kill()
    tenant.wait_free()
    stored = tenant.last_sequence()
    assert stored < rows
    changed.start(wait=False)
    stopped(changed, 73, "options_changed")
    # Also when the message that tells it is gone and the record speaks for it.
    tenant.streamer.start()
    wait_until(lambda: tenant.last_sequence() > stored, 30, "it goes on", 0.005)
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    stored = tenant.last_sequence()
    if stored < rows:
        tenant.administrator.delete_message(tenant.name, stored)
        changed.start(wait=False)
        stopped(changed, 73, "options_changed")
    tenant.streamer.start()
    tenant.wait_stored(rows, seconds=120)
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    changed.start()
    tenant.commit(rows + 1)
    tenant.wait_stored(rows + 1)
    tenant.wait_confirmed()
    assert changed.terminate() == 0


class _Standby(Postgres):
    """A physical standby of a primary, by pg_basebackup."""

    def __init__(self, primary: Postgres, folder: Path):
        super().__init__(primary.version, folder, {name: value for name, value in primary.settings.items()
                                                   if name not in ("port", "unix_socket_directories")})
        folder.mkdir()
        if self.identity:
            shutil.chown(folder, "postgres", "postgres")
        primary.run("SELECT pg_create_physical_replication_slot('standby', true)")
        command = [primary.bin / "pg_basebackup", "-D", self.data, "-d", primary.conninfo, "-R", "-X", "stream",
                   "-S", "standby", "-c", "fast", "--no-sync"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, **self.identity)
        assert done.returncode == 0, done.stderr
        if int(primary.version) >= 17:
            with (self.data / "postgresql.auto.conf").open("a") as file:
                file.write(f"primary_conninfo = '{primary.conninfo}'\n"
                           "sync_replication_slots = on\nhot_standby_feedback = on\n")

    def caught_up(self, lsn: int) -> bool:
        """Whether it has replayed up to there."""
        return self.value("SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint") >= lsn

    def promote(self) -> None:
        """Makes it a primary on a timeline of its own."""
        self.run("SELECT pg_promote(true, 60)")
        wait_until(lambda: not self.value("SELECT pg_is_in_recovery()"), 60, "it is promoted")

    def hand_over_slot(self, primary: Postgres, name: str) -> None:
        """What cluster managers do before 17, where slots do not follow: copies the slot's file. Both are stopped."""
        folder = self.data / "pg_replslot" / name
        subprocess.run(["cp", "-a", primary.data / "pg_replslot" / name, folder], check=True)


class _Cluster:
    """A deployment whose primary has a standby; a streamer for each of the two, of one slot and one stream."""

    def __init__(self, deployment):
        self.deployment = deployment
        self.primary = deployment.postgres
        self.streamer = deployment.streamer
        self.standby = _Standby(self.primary, deployment.folder / "standby")
        self.standby.start()
        self.after = Streamer(deployment.folder / "after", self.standby.conninfo, deployment.nats.url,
                              {"transport.nats.jetstream": {"replicas": deployment.nats.replicas}})

    def close(self) -> None:
        self.after.close()
        self.standby.close()

    @property
    def has_failover_slots(self) -> bool:
        return int(self.primary.version) >= 17

    def commit(self, postgres: Postgres, *numbers: int) -> None:
        for number in numbers:
            postgres.run("INSERT INTO tb_order_line (identifier, run, client, seq) "
                         f"VALUES ('{'of the standby' if postgres is self.standby else 'x'}', 1, 1, {number})")

    def stored(self) -> list[tuple[int, int]]:
        """Sequence number of each row, and the timeline in its id."""
        return [(event.json["entity"]["seq"], int(event.id.split(".")[2]))
                for event in stream.read(self.deployment.nats.url)]

    def wait_stored(self, count: int) -> None:
        wait_until(lambda: len(self.stored()) >= count, 30, f"{count} are stored", 0.2)

    def wait_synced(self) -> None:
        """Until the standby's slot may be used after a promotion."""
        if self.has_failover_slots:
            wait_until(lambda: self.standby.value(
                "SELECT synced AND NOT temporary FROM pg_replication_slots WHERE slot_name = 'fraiseql_events'"), 60,
                "the slot is synchronised", 0.2)


@pytest.fixture
def cluster(deploy, pair):
    made = _Cluster(deploy(pair))
    yield made
    made.close()


def test_what_committed_before_a_promotion_keeps_the_old_timeline(cluster):
    primary, standby = cluster.primary, cluster.standby
    cluster.streamer.start()
    cluster.commit(primary, 1, 2)
    cluster.deployment.wait_confirmed()
    assert cluster.streamer.terminate() == 0
    cluster.wait_synced()
    # Committed under the old timeline, published after the promotion.
    cluster.commit(primary, 3, 4)
    flushed = primary.flushed()
    wait_until(lambda: standby.caught_up(flushed), 30, "the standby has it all")
    if cluster.has_failover_slots:
        primary.stop("immediate")
    else:
        primary.stop("fast")
        standby.stop()
        standby.hand_over_slot(primary, "fraiseql_events")
        standby.start()
    refuses_standby(cluster)
    standby.promote()
    cluster.after.start()
    cluster.commit(standby, 5, 6)
    cluster.wait_stored(6)
    assert cluster.stored() == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 2), (6, 2)]
    cluster.after.kill()
    cluster.after.start()
    cluster.commit(standby, 7)
    cluster.wait_stored(7)
    assert [number for number, _ in cluster.stored()] == list(range(1, 8))
    assert cluster.after.terminate() == 0


def refuses_standby(cluster) -> None:
    """A server in recovery is not streamed from."""
    cluster.after.start(wait=False)
    wait_until(lambda: any("recovery" in entry.get("error", "") for entry in record_entries(
        cluster.after, "interrupted, trying again")), 30, "it says that the server is a standby")
    assert cluster.after.running and len(cluster.stored()) == 2
    assert cluster.after.terminate() == 0


def test_what_was_published_and_lost_by_a_failover_is_refused(cluster):
    primary, standby = cluster.primary, cluster.standby
    cluster.streamer.start()
    cluster.commit(primary, 1, 2)
    cluster.deployment.wait_confirmed()
    cluster.wait_synced()
    flushed = primary.flushed()
    wait_until(lambda: standby.caught_up(flushed), 30, "the standby has it all")
    if not cluster.has_failover_slots:
        standby.stop()
        copy = primary.data / "pg_replslot" / "fraiseql_events"
        primary.run("CHECKPOINT")
        subprocess.run(["cp", "-a", copy, standby.data / "pg_replslot" / "fraiseql_events"], check=True)
    else:
        standby.stop()
    # The standby is cut off: what is committed and published now is lost by the failover.
    cluster.commit(primary, 3, 4)
    cluster.wait_stored(4)
    cluster.streamer.kill()
    primary.stop("immediate")
    standby.start()
    standby.promote()
    lost = cluster.deployment.last_stored()[0]
    # xid and LSN come again, and go beyond.
    cluster.commit(standby, 3, 4)
    while standby.flushed() < lost + 100_000:
        cluster.commit(standby, *range(100, 200))
        standby.run("SELECT pg_switch_wal()")
    cluster.after.start(wait=False)
    stopped(cluster.after, 73, "history_diverged")
    refused(cluster.after, 73, "history_diverged", "setup")
    assert cluster.stored() == [(1, 1), (2, 1), (3, 1), (4, 1)]
