"""PostgreSQL, nats-server and the streamer together, as they stand in a test."""

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import rebuild
import stream
from compare import Comparison, compare
from confirmed import ConfirmedSampler
from oracles import expected
from oracles.truth import Truth
from servers.nats import Nats
from servers.postgres import Postgres
from servers.tools import CHECKOUT, wait_until
from strayed import compare_strayed, sort_out
from strays import Stray
from streamer import Streamer
from workload import Workload


_CONFIRMED = "SELECT (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots WHERE slot_name = 'fraiseql_events'"


@dataclass(frozen=True)
class Pair:
    """A version of each server, such as 15 × 2.9.10 (`2.15.1-R3`: three servers, three replicas)."""

    postgres: str
    nats: str

    def __str__(self) -> str:
        return f"PostgreSQL {self.postgres} × nats-server {self.nats}"


def demo_schema(postgres: Postgres) -> None:
    """The repository's own demo schema: orders."""
    postgres.run_file(CHECKOUT / "sql" / "demo.sql")


class Deployment:
    """Both servers started, tables made, the streamer configured for them and set up; it does not run yet.

    `prepare` makes the tables. `duplicate_window`: the stream is made beforehand, with a window of that many seconds.
    `overrides` go into the streamer's configuration; `binary` is another build of it; `has_witness` as `Truth` has it. `close` ends everything.
    """

    def __init__(self, pair: Pair, prepare: Callable[[Postgres], None] = Workload.prepare,
                 duplicate_window: float | None = None, settings: dict[str, str] | None = None,
                 overrides: dict[str, dict] | None = None, binary: Path | None = None, has_witness: bool = True):
        self.pair = pair
        self.folder = Path(tempfile.mkdtemp(prefix="slotstream-e2e-"))
        self.folder.chmod(0o755)
        self.postgres = Postgres(pair.postgres, self.folder / "postgres", settings)
        self.nats = Nats(pair.nats, self.folder / "nats")
        configured = {"transport.nats.jetstream": {"replicas": self.nats.replicas}}
        for table, values in (overrides or {}).items():
            configured[table] = configured.get(table, {}) | values
        self.streamer = Streamer(self.folder / "streamer", self.postgres.streamer_conninfo, self.nats.url, configured,
                                 binary=binary)
        # What `compare` compared: the stored events, and what they must be.
        self.events: list[stream.Event] = []
        self.expected: list[expected.Expected] = []
        try:
            self.postgres.create()
            self.nats.start()
            prepare(self.postgres)
            if duplicate_window is not None:
                stream.create(self.nats.url, duplicate_window, self.nats.replicas)
            self.streamer.setup()
            self.truth = Truth(self.postgres, self.folder, has_witness=has_witness)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends streamer and servers; the folder stays."""
        for part in (self.streamer, self.nats, self.postgres):
            part.close()

    def remove(self) -> None:
        """Deletes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def workload(self, transactions: int, seed: int, rate: int | None = None) -> Workload:
        """A load of that many pgbench transactions (at most `rate` a second), not yet started."""
        return Workload(self.postgres, self.folder, transactions, seed, rate)

    def sampler(self) -> ConfirmedSampler:
        """Samples the slot's confirmed position within a `with`."""
        return ConfirmedSampler(self.postgres, self.nats)

    def confirmed(self) -> int:
        """The slot's confirmed position."""
        return self.postgres.value(_CONFIRMED)

    def wait_slot_free(self, seconds: float = 30) -> None:
        """Waits until no connection holds the slot any more: what its last one said has been heard."""
        query = "SELECT NOT active FROM pg_replication_slots WHERE slot_name = 'fraiseql_events'"
        with self.postgres.asking() as ask:
            wait_until(lambda: ask(query), seconds, "the slot is free")

    def last_stored(self) -> tuple[int, int]:
        """The position (commit LSN, ordinal) of the stream's last message."""

        async def read() -> tuple[int, int]:
            connection = await stream.connect(self.nats.url)
            try:
                return await stream.last_position(connection, seconds=10)
            finally:
                await connection.close()

        return asyncio.run(read())

    def wait_confirmed(self, seconds: float = 240, keep_alive: Callable[[], None] | None = None) -> int:
        """Waits until PostgreSQL has been told of everything that is in its WAL now; returns that position. `keep_alive`: what is done
        about a streamer that has ended; without it that is a failure."""
        target = self.postgres.flushed()

        def caught_up() -> bool:
            if keep_alive:
                keep_alive()
            assert not self.streamer.process or self.streamer.running, (
                f"the streamer ended with {self.streamer.process.returncode}: {self.streamer.last_words()}")
            return ask(_CONFIRMED) >= target

        with self.postgres.asking() as ask:
            wait_until(caught_up, seconds, f"confirmed_flush_lsn reaches {target:X}; {self.streamer.log}", 0.05)
        return target

    def compare(self, keep_events: bool = True, strays: list[Stray] | None = None) -> Comparison:
        """Compares the whole stream with what PostgreSQL committed; fails on any difference and on an empty comparison.

        Call it when everything is confirmed. Both sides are kept in `events` and `expected`, unless there are too many. `strays`: what
        somebody else published meanwhile; then `events` are in the order in which they were committed."""
        self.truth.read()
        stored = stream.read(self.nats.url)
        must_be = expected.events(self.truth.changes(), self.truth.id_prefix)
        if keep_events:
            must_be = self.expected = list(must_be)
        if strays is not None:
            found = sort_out(stored, strays)
            result = compare_strayed(found, must_be)
            self.events = found.in_order(must_be)
        else:
            if keep_events:
                stored = self.events = list(stored)
            result = compare(stored, must_be)
        result.require_equal()
        committed = len(self.truth.transactions)
        assert result.transactions == committed, f"{result.transactions} transactions stored, {committed} committed"
        last = self.truth.transactions[-1]
        assert self.confirmed() >= last.end_lsn, "confirmed_flush_lsn is not at the end of the last transaction"
        return result

    def compare_load(self, workload: Workload, strays: list[Stray] | None = None) -> Comparison:
        """`compare`, and the two oracles that need no decoder: each client's record of its commits, and the tables."""
        result = self.compare(strays=strays)
        workload.require_order(self.events)
        rebuild.require_same_tables(self.postgres, self.events, {"tb_account": "run > 0", "tb_order_line": "true"})
        return result
