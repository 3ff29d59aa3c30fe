"""Failover slots (PostgreSQL 17 and later): a physical standby that synchronises the slots is promoted under load, and the
streamer, whose URL names both hosts, goes on there by itself. Nothing is lost, doubled or of the history that was lost.

The judge is the reader of pgoutput on a failover slot of its own, read on the new primary: what that server says was
committed, before its promotion and after it.
"""

import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import psycopg
import pytest

import rebuild
import stream
from compare import Comparison, compare
from confirmed import ConfirmedSampler
from conftest import ALL_PAIRS, PAIRS
from deployment import Deployment
from oracles import expected
from oracles.truth import Truth
from promotion import SLOT, Standby
from proxy import Proxy
from servers.postgres import Postgres
from servers.tools import free_port, wait_until
from streamer import Streamer
from tenants import refused, stopped
from test_load import transactions
from workload import Workload

# pgbench transactions of a load, and how many of them there are a second, so that it outlasts what happens under it.
_TRANSACTIONS = transactions(PAIRS[-1]) // 10
_RATE = _TRANSACTIONS // 10

# The name of a walreceiver's connection, unless it is given another.
_WALRECEIVER = "walreceiver"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """There are no failover slots before PostgreSQL 17: the newest pair, and with --all its replicated servers."""
    if "failover_pair" in metafunc.fixturenames:
        chosen = [PAIRS[-1], ALL_PAIRS[-1]] if metafunc.config.getoption("--all") else [PAIRS[-1]]
        metafunc.parametrize("failover_pair", chosen, ids=lambda pair: f"{pair.postgres}-{pair.nats}")


# An ANALYZE of its own accord would be a transaction too: see `begin_truth`.
_QUIET = {"autovacuum": "off"}


class Hosts:
    """Two hosts that take turns as primary and standby, and the streamer that knows both. `overrides` as it was set up."""

    def __init__(self, deployment: Deployment, overrides: dict[str, dict] | None = None):
        self.deployment = deployment
        self.primary: Postgres = deployment.postgres
        self.standby: Standby | None = None
        self.truth: Truth | None = None
        self.proxy: Proxy | None = None
        self.promoted_at = 0.0
        self._spare_port = free_port()
        self._servers: list[Postgres] = [self.primary]
        # What every server up to now says must be in the stream, and the transactions of those events.
        self.expected: list[expected.Expected] = []
        self.committed = 0
        # The oracle that every deployment has is on a slot that ends with the first primary.
        self.primary.run("SELECT pg_drop_replication_slot('truth_pgoutput')")
        conninfo = self.primary.conninfo.replace(f"port={self.primary.port}", f"port={self.primary.port},{self._spare_port}")
        conninfo = conninfo.replace("host=127.0.0.1", "host=127.0.0.1,127.0.0.1") + " target_session_attrs=read-write"
        configured = {"transport.nats.jetstream": {"replicas": deployment.nats.replicas}} | (overrides or {})
        self.streamer = deployment.streamer = Streamer(
            deployment.folder / "following", conninfo, deployment.nats.url, configured)

    def close(self) -> None:
        """Ends what the deployment does not know of."""
        self.streamer.close()
        for server in reversed(self._servers):
            server.close()
        if self.proxy:
            self.proxy.close()

    def add_standby(self, is_synchronous: bool = False) -> None:
        """Gives the primary a standby on the other port: the streamer is sent nothing that the standby has not.
        `is_synchronous`: no commit is acknowledged either before it has it."""
        self.proxy = Proxy(self.primary.port)
        upstream = self.primary.conninfo.replace(f"port={self.primary.port}", f"port={self.proxy.port}")
        folder = self.deployment.folder / f"host-{len(self._servers) + 1}"
        self.standby = Standby(self.primary, folder, self._spare_port, upstream)
        self._servers.append(self.standby)
        self.standby.start()
        # After the base backup: the standby has no standby yet, and would wait for one when it is promoted.
        self._configure("synchronized_standby_slots", "standby")
        if is_synchronous:
            self._configure("synchronous_standby_names", _WALRECEIVER)
            wait_until(lambda: self.primary.value("SELECT sync_state = 'sync' FROM pg_stat_replication "
                                                  f"WHERE application_name = '{_WALRECEIVER}'"), 30, "it is synchronous")

    def _configure(self, name: str, value: str) -> None:
        self.primary.run(f"ALTER SYSTEM SET {name} = '{value}'")
        self.primary.run("SELECT pg_reload_conf()")

    def begin_truth(self) -> None:
        """Makes the oracle's slot; the standby has both slots then. Nothing may be written meanwhile: a slot that nobody
        reads is synchronised only as long as no transaction came after it."""
        # First the streamer's: a new slot keeps the old catalogue rows that others need, and the standby has them not.
        self._wait_synchronised(SLOT)
        folder = self.deployment.folder / f"truth-{len(self._servers)}"
        folder.mkdir()
        self.truth = Truth(self.primary, folder)
        with psycopg.connect(f"{self.primary.conninfo} replication=database", autocommit=True) as connection:
            connection.execute("ALTER_REPLICATION_SLOT truth_pgoutput (FAILOVER true)")
        self._wait_synchronised("truth_pgoutput")

    def _wait_synchronised(self, slot: str) -> None:
        query = f"SELECT synced AND failover AND NOT temporary FROM pg_replication_slots WHERE slot_name = '{slot}'"

        def usable() -> bool:
            # The slot needs nothing from before the base backup, once it has read what a checkpoint writes.
            self.primary.run("CHECKPOINT")
            return self.standby.value(query)

        wait_until(usable, 90, f"the standby could go on with the slot {slot}", 0.2)

    def kill_primary(self) -> None:
        """kill -9 of the postmaster. Its children end by themselves: until the last has, one could go on committing."""
        self.primary.kill()
        wait_until(lambda: not _has_processes(self.primary.data), 60, "the primary is wholly gone")

    def promote(self) -> None:
        """The standby becomes the primary for all, the oracle included."""
        self.promoted_at = time.monotonic()
        self.standby.promote()
        self.proxy.close()
        self.proxy = None
        self._spare_port = self.primary.port
        self.primary = self.deployment.postgres = self.standby
        self.standby = None
        if self.truth:
            self.truth.postgres = self.primary

    def wait_followed(self, seconds: float = 60) -> None:
        """Until the streamer holds the slot of the primary that is now."""
        active = f"SELECT active FROM pg_replication_slots WHERE slot_name = '{SLOT}'"

        def followed() -> bool:
            assert self.streamer.running, f"the streamer ended: {self.streamer.last_words()}"
            return self.primary.value(active)

        wait_until(followed, seconds, f"the streamer has followed; {self.streamer.log}")

    def switch_point(self) -> int:
        """Where the primary left the timeline of the one before it."""
        return self._history()[1][-1][1]

    def _history(self) -> tuple[int, list[tuple[int, int]]]:
        """The primary's timeline, and of each one before it: its number, and the position at which it was left."""
        current = int(self.primary.value("SELECT pg_walfile_name(pg_current_wal_lsn())")[:8], 16)
        lines = self.primary.value("SELECT pg_read_file(%s)", (f"pg_wal/{current:08X}.history",)).splitlines()
        fields = [line.split("\t") for line in lines if line]
        return current, [(int(number), _number(lsn)) for number, lsn, *_ in fields]

    def judge(self) -> tuple[Comparison, list[stream.Event]]:
        """Compares the whole stream with what was committed and kept, and the tables with what the stream makes of them;
        returns all events. Everything must be confirmed."""
        self.truth.read()
        self.expected += self._expected()
        self.committed += len(self.truth.transactions)
        events = list(stream.read(self.deployment.nats.url))
        result = compare(events, self.expected).require_equal()
        assert result.transactions == self.committed, f"{result.transactions} stored, {self.committed} committed"
        assert len({event.id for event in events}) == len(events)
        rebuild.require_same_tables(self.primary, events, {"tb_account": "run > 0", "tb_order_line": "true"})
        assert self.deployment.confirmed() >= self.truth.transactions[-1].end_lsn
        return result, events

    def _expected(self) -> Iterator[expected.Expected]:
        """What must have been stored since `begin_truth`, each transaction with the timeline on which it was committed."""
        current, left = self._history()
        prefix = self.truth.id_prefix.rpartition(".")[0]

        def timeline(change) -> int:
            return next((number for number, end in left if change.transaction.commit_lsn < end), current)

        for number, changes in groupby(self.truth.changes(), timeline):
            yield from expected.events(changes, f"{prefix}.{number}")


def _number(lsn: str) -> int:
    high, low = lsn.split("/")
    return int(high, 16) << 32 | int(low, 16)


def _has_processes(data: Path) -> bool:
    """Whether a process works in this data directory: all of a server's do, wherever they come from."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "cwd") == str(data.resolve()):
                return True
        except OSError:
            # It has ended meanwhile, or is not ours to look at.
            continue
    return False


def _timelines(events: list[stream.Event]) -> list[int]:
    """The timelines in the ids, in the order in which they first appear."""
    return list(dict.fromkeys(int(event.id.split(".")[2]) for event in events))


class Load:
    """A load that goes through a failover, and what PostgreSQL was told meanwhile."""

    def __init__(self, hosts: Hosts, name: str, seed: int):
        self.hosts = hosts
        folder = hosts.deployment.folder / name
        folder.mkdir()
        self.workload = Workload(hosts.primary, folder, _TRANSACTIONS, seed, _RATE)
        self._samplers: list[ConfirmedSampler] = []
        self._process = hosts.streamer.process
        self.followed = self.drained = 0.0

    @contextmanager
    def through(self):
        """Starts it; the body takes it through the failover; then it goes on, until all is confirmed on the new primary."""
        hosts, workload = self.hosts, self.workload
        with self._sampling():
            workload.start()
            yield
        workload.postgres = hosts.primary
        with self._sampling():
            hosts.wait_followed()
            self.followed = time.monotonic() - hosts.promoted_at
            workload.finish()
            hosts.deployment.wait_confirmed()
            self.drained = time.monotonic() - hosts.promoted_at
        assert hosts.streamer.process is self._process and hosts.streamer.running, "it followed by itself"

    def wait_for(self, part: float) -> None:
        """Until that part is done, and no more than a part."""
        self.workload.wait_for(part)
        assert self.workload.running, "the load ended before the failover"

    def told(self, result: Comparison, recorded: int) -> str:
        """Judges what was confirmed; says what was compared, for the report."""
        positions = self._require_truth()
        return (f"{result.transactions} transactions, {result.compared} events compared, {len(result.differences)} "
                f"differences; {recorded} commits known to clients, all stored; {positions} confirmed positions sampled, "
                f"none early; followed {self.followed:.1f} s after the promotion, drained after {self.drained:.1f} s, the "
                "rest of the load included")

    def _require_truth(self) -> int:
        """Fails if something was confirmed early on either server, or on the old one what the new one does not have.
        Returns how many confirmed positions were sampled."""
        switch_point = self.hosts.switch_point()
        beyond = [sample.confirmed for sample in self._samplers[0].samples if sample.confirmed > switch_point]
        assert not beyond, f"confirmed {beyond[:5]} lie beyond {switch_point}, where the new primary left its timeline"
        return sum(sampler.require_truth(self.hosts.truth.transactions) for sampler in self._samplers)

    @contextmanager
    def _sampling(self):
        with self.hosts.deployment.sampler() as sampler:
            self._samplers.append(sampler)
            yield


def _lose_tail(workload: Workload, events: list[stream.Event]) -> int:
    """Takes out of the clients' records of the first run what comes after the last that is stored: lost with the primary.
    Returns how many commits that were."""
    last: dict[tuple[int, int], int] = {}
    for event in events:
        row = event.json.get("entity", {})
        if row.get("run"):
            key = row["run"], row["client"]
            last[key] = max(last.get(key, 0), row["seq"])
    lost = 0
    for key, numbers in workload.committed.items():
        if key[0] == 1:
            kept = [number for number in numbers if number <= last.get(key, 0)]
            lost += len(numbers) - len(kept)
            workload.committed[key] = kept
    return lost


@pytest.fixture
def hosts(deploy, failover_pair):
    made = Hosts(deploy(failover_pair, settings=_QUIET))
    yield made
    made.close()


def test_the_stream_is_equal_after_two_failovers_under_load(hosts, failover_pair, seed, report):
    """Each primary is killed, and its standby promoted. The standby is synchronous, so that nothing acknowledged is lost:
    every commit that a client knows of is in the stream."""
    assert hosts.primary.value(f"SELECT failover FROM pg_replication_slots WHERE slot_name = '{SLOT}'"), "as setup makes it"
    choice = random.Random(seed)
    events: list[stream.Event] = []
    hosts.streamer.start()
    for number in (1, 2):
        hosts.add_standby(is_synchronous=True)
        hosts.begin_truth()
        # Each load numbers its rows anew.
        hosts.primary.run("TRUNCATE tb_order_line RESTART IDENTITY")
        load = Load(hosts, f"load-{number}", seed + number)
        with load.through():
            load.wait_for(choice.uniform(0.2, 0.6))
            hosts.kill_primary()
            hosts.promote()
        before = len(events)
        result, events = hosts.judge()
        recorded = load.workload.require_order(events[before:])
        assert _timelines(events[before:]) == [number, number + 1]
        report(f"{failover_pair}: failover {number} under load: {load.told(result, recorded)}")
    assert hosts.streamer.terminate() == 0


def test_what_the_standby_never_got_is_not_in_the_stream(hosts, failover_pair, seed, report):
    """The standby is asynchronous and cut off; the primary goes on committing, acknowledges it to its clients, and dies. All
    of that is lost, and was sent to nobody: synchronized_standby_slots holds it back, and the streamer waits."""
    hosts.streamer.start()
    hosts.add_standby()
    hosts.begin_truth()
    load = Load(hosts, "load", seed)
    with load.through():
        load.wait_for(0.2)
        hosts.proxy.cut()
        load.wait_for(0.4)
        end = hosts.primary.flushed()
        hosts.kill_primary()
        hosts.promote()
    result, events = hosts.judge()
    switch_point = hosts.switch_point()
    assert switch_point < end, "the primary had nothing that the standby had not"
    lost = _lose_tail(load.workload, events)
    assert lost > 0, "no client knew of a commit that was lost"
    recorded = load.workload.require_order(events)
    assert _timelines(events) == [1, 2]
    report(f"{failover_pair}: failover to a standby that was {end - switch_point} bytes behind: {lost} acknowledged commits "
           f"lost with the primary, none of them stored; {load.told(result, recorded)}")
    assert hosts.streamer.terminate() == 0


def test_the_stream_is_equal_after_a_switchover_under_load(hosts, failover_pair, seed, report):
    """The primary is shut down fast, which hands all its WAL to the standby: nothing is lost, though it is asynchronous."""
    hosts.streamer.start()
    hosts.add_standby()
    hosts.begin_truth()
    load = Load(hosts, "load", seed)
    with load.through():
        load.wait_for(0.4)
        took = hosts.primary.stop("fast")
        hosts.promote()
    result, events = hosts.judge()
    recorded = load.workload.require_order(events)
    assert _timelines(events) == [1, 2]
    report(f"{failover_pair}: switchover under load (fast stop {took:.2f} s): {load.told(result, recorded)}")
    assert hosts.streamer.terminate() == 0


def test_a_promotion_without_the_slot_stops(deploy, failover_pair):
    overrides = {"source": {"failover": False}}
    hosts = Hosts(deploy(failover_pair, overrides=overrides), overrides)
    try:
        slot = f"SELECT failover FROM pg_replication_slots WHERE slot_name = '{SLOT}'"
        assert hosts.primary.value(slot) is False
        hosts.add_standby()
        hosts.streamer.start()
        hosts.primary.run("INSERT INTO tb_order_line (identifier, run, client, seq) VALUES ('before', 1, 1, 1)")
        hosts.deployment.wait_confirmed()
        stored = list(stream.read(hosts.deployment.nats.url))
        hosts.standby.wait_replayed(hosts.primary.flushed())
        hosts.kill_primary()
        hosts.promote()
        stopped(hosts.streamer, 73, "slot_missing", 60)
        # What was committed meanwhile is not known to anybody: no start and no setup makes a slot that begins after it.
        hosts.primary.run("INSERT INTO tb_order_line (identifier, run, client, seq) VALUES ('after', 1, 1, 2)")
        refused(hosts.streamer, 73, "slot_missing", "setup")
        hosts.streamer.start(wait=False)
        stopped(hosts.streamer, 73, "slot_missing", 60)
        assert hosts.primary.value(slot) is None
        assert len(stored) == 1 and list(stream.read(hosts.deployment.nats.url)) == stored
    finally:
        hosts.close()
