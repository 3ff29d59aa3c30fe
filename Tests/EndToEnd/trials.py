"""Seeded trials with strays: a load of a few thousand rows, somebody else on the prefix, one fault; the servers are reused."""

import itertools
import random
import re
import threading
import time
from dataclasses import dataclass, field

import psycopg

import stream
from administrator import Administrator
from compare import Comparison
from oracles import expected
from oracles.truth import Truth
from proxy import Proxy
from servers.tools import wait_until
from strayed import Sorted, compare_strayed, sort_out
from strays import KINDS, Strays
from streamer import Streamer
from tenants import Servers, record_entries

# Faults of any pair, and of a cluster.
FAULTS = ("none", "none", "streamer killed", "streamer terminated", "nats killed", "acks lost", "streamer killed, acks lost",
          "both killed")
REPLICATED_FAULTS = ("leader killed", "leader stepped down")

CLIENTS = 3
_TRANSACTIONS = 45
_SIZES = (1, 1, 1, 1, 2, 3, 10, 50, 150)

# Ids are remembered for so long where an echo is to be stored.
_SHORT_WINDOW_SECONDS = 0.3

_TABLE = """
CREATE TABLE {table} (n BIGINT PRIMARY KEY, id UUID NOT NULL UNIQUE DEFAULT gen_random_uuid(), note TEXT);
ALTER TABLE {table} REPLICA IDENTITY FULL;
CREATE PUBLICATION {name} FOR TABLE {table}
"""

_ID = re.compile(r"\d+\.\d+\.\d+\.\d+\.[0-9A-F]{16}\.\d+")
_BEFORE = re.compile(r"before sequence (\d+)")
# What a stop with `stream_tail_lost` says was stored.
_LOST = re.compile(r"sequence (\d+) \([^)]*\) was stored")


@dataclass(frozen=True)
class Plan:
    """What is done in a trial: all of it follows from the seed and the pair.

    `strays`: (moment, kind); a moment is a number of messages heard, or `before` (the streamer has begun, nothing is stored), `dead` (it
    does not run) or `after` (all is stored). `at`: the fault's moment. `made`: the stream is made beforehand, with a window of ids so
    short that an echo is stored; `batched`: it may be written in batches of either kind.
    """

    seed: int
    fault: str
    at: int
    strays: tuple[tuple[int | str, str], ...]
    is_atomic: bool
    is_made: bool
    is_batched: bool


def plan(seed: int, version: str) -> Plan:
    """The trial of that seed on a nats-server of that version (`…-R3`: a cluster)."""
    choice = random.Random(seed)
    is_newest = version.startswith("2.15")
    faults = FAULTS + (REPLICATED_FAULTS if version.endswith("-R3") else ())
    fault = choice.choice(faults)
    moments: list[int | str] = ["before", "after", *(choice.randrange(1, 3000) for _ in range(5))]
    if "killed" in fault:
        moments += ["dead", "dead"]
    strays = tuple((choice.choice(moments), choice.choice(KINDS)) for _ in range(choice.randint(1, 6)))
    return Plan(seed, fault, choice.randrange(1, 2500), strays, is_newest and choice.random() < 0.4, choice.random() < 0.6,
                is_newest and choice.random() < 0.7)


class TailLost(Exception):
    """JetStream lost what it had acknowledged, and the streamer stopped for that."""


@dataclass
class Outcome:
    """How a trial ended. `holes`: how often it stopped with `hole_found` and was mended. Without a comparison JetStream had lost a stream's tail."""

    plan: Plan
    comparison: Comparison | None
    holes: int = 0
    strays: int = 0
    late: int = 0


@dataclass
class Stop:
    """A stop with `hole_found`: the ids that it named (of very many the first ones, `is_whole` tells), the stream's end by then, and the
    slot's position."""

    named: list[str]
    is_whole: bool
    last_sequence: int
    confirmed: int


@dataclass
class Trial:
    """One trial; `run` it, then `close` it."""

    servers: Servers
    number: int
    plan: Plan
    stops: list[Stop] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.name = f"trial{self.number}"
        self.prefix = f"trials.{self.name}"
        self.postgres, self.nats = self.servers.postgres, self.servers.nats
        self.administrator = self.servers.administrator
        self.table = f"tb_item_{self.number}"
        self.postgres.run(_TABLE.format(table=self.table, name=self.name))
        self.truth = Truth(self.postgres, self._folder(), self.name, f"{self.name}_truth")
        self.proxies = [Proxy(server.port) for server in self.nats.servers]
        if self.plan.is_made:
            self._make_stream()
        self.streamer = Streamer(self.servers.folder / self.name, self.postgres.conninfo,
                                 ",".join(f"nats://127.0.0.1:{proxy.port}" for proxy in self.proxies), self._settings())
        self.strays = Strays(self.nats.url, self.name, self.prefix, f"{self.prefix}.Item{self.number}.INSERT", self.plan.seed)

    def _folder(self):
        folder = self.servers.folder / f"{self.name}-truth"
        folder.mkdir()
        return folder

    def _settings(self) -> dict[str, dict]:
        return {
            "source": {"slot": self.name, "publication": self.name},
            "transport.nats": {"stream_name": self.name, "subject_prefix": self.prefix, "consumer_name": ""},
            "transport.nats.jetstream": {"replicas": self.nats.replicas, "max_bytes": 2**28},
            "delivery": {"atomic": "auto" if self.plan.is_atomic else "off", "checkpoint_interval": "100ms", "ack_timeout": "3s"},
            # One slot more a trial.
            "replay": {"window": "0"},
        }

    def _make_stream(self) -> None:
        batches = {"allow_atomic": self.plan.is_atomic, "allow_batched": self.plan.is_batched} if self.nats.label.startswith("2.15") else {}
        settings = dict(subjects=[f"{self.prefix}.>"], storage="file", num_replicas=self.nats.replicas, discard="old", max_bytes=2**28,
                        duplicate_window=int(_SHORT_WINDOW_SECONDS * 1e9), allow_direct=True, **batches)
        # Where a server was killed in the trial before, a cluster may not have heard of it yet.
        wait_until(lambda: self.administrator.add(self.name, **settings), 60, f"stream {self.name} is made", 0.2)

    @property
    def is_prevented(self) -> bool:
        """Whether no stray can make a hole: a single server refuses what follows on another id, a fast batch ends at the first refusal."""
        return self.nats.replicas == 1 or self.strays.batched > 0

    def close(self) -> None:
        """Ends its processes and removes what it left on the servers."""
        self.strays.close()
        self.streamer.close()
        for proxy in self.proxies:
            proxy.close()
        self.nats.start()
        wait_until(lambda: self.administrator.delete(self.name) is None, 30, f"stream {self.name} is deleted", 0.2)
        slots = ("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots "
                 f"WHERE slot_name LIKE '{self.name}\\_%' OR slot_name = '{self.name}'")
        wait_until(lambda: self.postgres.run(slots) is None, 30, f"the slots of {self.name} can be dropped", 0.2)
        self.postgres.run(f"DROP PUBLICATION {self.name}; DROP TABLE {self.table}")

    # The course of it

    def run(self) -> Outcome:
        """Raises AssertionError where the stream is not whole in the end, or a stop was not as it should be."""
        try:
            return self._run()
        except TailLost:
            return Outcome(self.plan, None)

    def _run(self) -> Outcome:
        self.streamer.start()
        self._publish("before")
        struck = threading.Event()
        for moment, kind in self.plan.strays:
            if isinstance(moment, int):
                self.strays.aim(moment, kind)
        self.strays.when_heard(self.plan.at, struck.set)
        clients = [threading.Thread(target=self._client, args=(number,)) for number in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            while not struck.wait(0.01) and any(client.is_alive() for client in clients):
                self._keep_alive()
            self._strike()
        finally:
            for client in clients:
                client.join()
        self._wait_confirmed()
        self._publish("after")
        self._insert(CLIENTS, 1, 2)
        self._wait_confirmed()
        assert self.streamer.terminate() == 0, self.streamer.last_words()
        return self._judge()

    def _publish(self, moment: str) -> None:
        for when, kind in self.plan.strays:
            if when == moment:
                self.strays.publish(kind)

    def _client(self, number: int) -> None:
        choice = random.Random(self.plan.seed * 10 + number)
        first = 1
        with self.postgres.connect() as connection:
            for _ in range(_TRANSACTIONS):
                size, what = choice.choice(_SIZES), choice.random()
                with connection.transaction() as transaction:
                    if what < 0.8 or first == 1:
                        self._insert(number, first, first + size - 1, connection)
                        first += size
                    elif what < 0.9:
                        connection.execute(f"UPDATE {self.table} SET note = 'again' WHERE n BETWEEN %s AND %s",
                                           (number * 10**6 + first - size, number * 10**6 + first))
                    else:
                        connection.execute(f"DELETE FROM {self.table} WHERE n = %s", (number * 10**6 + choice.randrange(first),))
                    if choice.random() < 0.05:
                        raise psycopg.Rollback(transaction)

    def _insert(self, client: int, first: int, last: int, connection=None) -> None:
        query = f"INSERT INTO {self.table} SELECT i, gen_random_uuid(), 'row' FROM generate_series(%s::bigint, %s) AS i"
        values = (client * 10**6 + first, client * 10**6 + last)
        if connection:
            connection.execute(query, values)
        else:
            with self.postgres.connect() as own:
                own.execute(query, values)

    def _strike(self) -> None:
        fault = self.plan.fault
        if "acks lost" in fault:
            for proxy in self.proxies:
                proxy.hold_answers()
            # So long messages are stored of which no ack comes.
            time.sleep(0.1)
        if "killed" in fault and "leader" not in fault:
            if fault != "nats killed" and self.streamer.running:
                self.streamer.kill()
            if fault in ("nats killed", "both killed"):
                self.nats.kill()
                self.nats.start()
            self._publish("dead")
        if "acks lost" in fault:
            for proxy in self.proxies:
                proxy.cut()
                proxy.mend()
        if fault == "streamer terminated" and self.streamer.running:
            self.streamer.terminate()
        if fault == "leader killed":
            self._leader().kill()
            self._publish("dead")
            self.nats.start()
        if fault == "leader stepped down":
            wait_until(lambda: self.administrator.api(f"STREAM.LEADER.STEPDOWN.{self.name}"), 30, "the leader steps down", 0.2)
        if not self.streamer.running:
            self._wait_free()
            self._keep_alive()

    def _leader(self):
        name = wait_until(lambda: self.administrator.info(self.name)["cluster"].get("leader"), 30, "the stream has a leader", 0.2)
        return next(server for server in self.nats.servers if server.folder.name == name)

    def _wait_free(self) -> None:
        query = f"SELECT active_pid IS NULL FROM pg_replication_slots WHERE slot_name = '{self.name}'"
        wait_until(lambda: self.postgres.value(query), 30, "the slot is free")

    def _confirmed(self) -> int:
        return self.postgres.value("SELECT (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots WHERE slot_name = %s",
                                   (self.name,))

    def _wait_confirmed(self) -> None:
        target = self.postgres.flushed()

        def caught_up() -> bool:
            self._keep_alive()
            return self._confirmed() >= target

        wait_until(caught_up, 90, f"{target:X} is confirmed: {self.streamer.log}", 0.03)

    def _keep_alive(self) -> None:
        """Starts it when it was killed or told to end; mends a hole, as its operator would. Any other end fails the trial."""
        process = self.streamer.process
        if process.poll() is None:
            return
        code = process.returncode
        if code == 76:
            self._mend()
        elif code == 73:
            self._require_tail_lost()
        else:
            assert code in (0, -9), f"it ended with {code}: {self.streamer.last_words()}"
        self.streamer.start(wait=False)

    def _mend(self) -> None:
        said = record_entries(self.streamer, "stopped")[-1]
        assert said["reason"] == "hole_found", said
        self.stops.append(Stop(_ID.findall(said["error"]), "…" not in said["error"] and "at least" not in said["error"],
                               self._stream_end(at_least=int(_BEFORE.search(said["error"])[1])), self._confirmed()))
        assert len(self.stops) < 10, "it is mended again and again"
        self.streamer.command("mend", "--by", self.name)

    def _stream_end(self, at_least: int) -> int:
        """The stream's last sequence. A server that was killed answers for a while as it was then: what the streamer has read is waited for."""
        def end() -> int | None:
            last = self.administrator.state(self.name)["last_seq"]
            return last if last >= at_least else None

        return wait_until(end, 30, f"the stream reaches {at_least}, which the streamer has read")

    @property
    def _is_unsafely_killed(self) -> bool:
        """Replicated streams before 2.12, servers of which are killed, may lose what they acknowledged, or store it twice."""
        return self.nats.replicas > 1 and self.nats.label < "2.12" and "killed" in self.plan.fault

    def _require_tail_lost(self) -> None:
        """All servers must tell that it is gone."""
        said = record_entries(self.streamer, "stopped")[-1]
        assert said["reason"] == "stream_tail_lost", said
        assert self._is_unsafely_killed, f"{self.nats.label}: {said}"
        stored = int(_LOST.search(said["error"])[1])
        ends = [Administrator(f"nats://127.0.0.1:{server.port}").state(self.name)["last_seq"] for server in self.nats.servers]
        assert max(ends) < stored, f"the servers tell {ends}: {said}"
        raise TailLost

    def _judge(self) -> Outcome:
        self.strays.settle()
        wait_until(self._is_agreed, 60, f"all servers tell the same end of {self.name}", 0.2)
        self.truth.read()
        truth = list(expected.events(self.truth.changes(), self.truth.id_prefix, subject_prefix=self.prefix))
        found = sort_out(stream.read(self.nats.url, self.name), self.strays.published)
        if self._is_unsafely_killed:
            # What such a server replays is stored again, where nothing says which sequence it expects, as ours does.
            found.differences = [each for each in found.differences if not (each.kind == "doubled" and each.id.startswith("stray "))]
        result = compare_strayed(found, truth).require_equal()
        committed = len(self.truth.transactions)
        assert result.transactions == committed, f"{result.transactions} transactions stored, {committed} committed"
        assert not (self.stops and self.is_prevented), f"a hole where none can be: {self.stops}"
        for stop in self.stops:
            self._require_named(stop, found, [item.id for item in truth])
        return Outcome(self.plan, result, len(self.stops), len(found.strays), len(found.late))

    def _is_agreed(self) -> bool:
        """A leader that was killed tells its old end for a moment when it is back: each server is asked, and all have caught up."""
        told = [Administrator(f"nats://127.0.0.1:{server.port}").info(self.name) for server in self.nats.servers]
        replicas = [each for info in told for each in (info.get("cluster") or {}).get("replicas") or []]
        return len({info["state"]["last_seq"] for info in told}) == 1 and all(each["current"] for each in replicas)

    def _require_named(self, stop: Stop, found: Sorted, truth: list[str]) -> None:
        """It named exactly what was missing before the next event that was stored then, and confirmed nothing of it."""
        stored = {event.id for event in found.ours if event.sequence <= stop.last_sequence}
        stored |= {original for original, event in found.late.items() if event.sequence <= stop.last_sequence}
        first = next(place for place, identity in enumerate(truth) if identity not in stored)
        missing = list(itertools.takewhile(lambda identity: identity not in stored, truth[first:]))
        assert first + len(missing) < len(truth), f"nothing is stored behind {truth[first]}"
        assert stop.named == (missing if stop.is_whole else missing[:max(1, len(stop.named))]), f"named {stop.named}, missing were {missing}"
        begin = int(truth[first].split(".")[-2], 16)
        assert stop.confirmed <= begin, f"{stop.confirmed:X} was confirmed, beyond {truth[first]}"
