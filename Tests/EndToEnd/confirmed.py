"""Whether PostgreSQL was ever told that something is stored which is not."""

import asyncio
import threading
import time
from bisect import bisect_left, bisect_right
from contextlib import suppress
from dataclasses import dataclass, replace

import nats
import psycopg

import stream
from oracles.changes import Transaction, lsn_text
from servers.nats import Nats
from servers.postgres import Postgres

_PAUSE_SECONDS = 0.003
_ELECTION_SECONDS = 15


@dataclass(slots=True, frozen=True)
class Sample:
    """The slot's confirmed position and, read after it, the position of the last stored message; when, in seconds."""

    confirmed: int
    stored: tuple[int, int]
    at: float = 0.0


class ConfirmedSampler:
    """Samples all the time, in a thread of its own; `require_truth` judges afterwards.

    The order of the two readings makes it safe: what was confirmed first must be stored when we look second. While one
    of the servers does not answer, a confirmed position waits for the next answer.

    A replicated stream's leader may answer with less than is stored, for as long as it has not applied its log after an election:
    there what was read within `_ELECTION_SECONDS` counts too.
    """

    def __init__(self, postgres: Postgres, nats: Nats, slot: str = "fraiseql_events"):
        self.samples: list[Sample] = []
        self._postgres = postgres
        self._url = nats.url
        self._patience = _ELECTION_SECONDS if nats.replicas > 1 else 0
        self._slot = slot
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._sample, name="sampler", daemon=True)

    def __enter__(self) -> "ConfirmedSampler":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_) -> None:
        self._stop.set()
        self._thread.join(60)
        # A test that has failed already says why itself.
        if kind is None:
            if self._failure:
                raise self._failure
            assert not self._thread.is_alive(), "the sampler does not stop"

    def _sample(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as failure:  # noqa: BLE001 - handed to the thread that waits in __exit__
            self._failure = failure

    async def _run(self) -> None:
        database = connection = None
        waiting: list[int] = []
        while not self._stop.is_set():
            try:
                if database is None:
                    database = self._postgres.connect()
                row = database.execute("SELECT (confirmed_flush_lsn - '0/0')::bigint FROM pg_replication_slots "
                                       "WHERE slot_name = %s", (self._slot,)).fetchone()
                if row and row[0] is not None and (not waiting or waiting[-1] != row[0]):
                    waiting.append(row[0])
            except psycopg.Error:
                database = None
            try:
                if connection is None or not connection.is_connected:
                    connection = await stream.connect(self._url, patient=False)
                if waiting:
                    stored = await stream.last_position(connection)
                    # So says a server that shuts down of a stream that it has closed already.
                    if stored == (0, 0) and self.samples and self.samples[-1].stored > stored:
                        raise stream.StreamError("a stream that was written to is not empty")
                    self.samples += [Sample(confirmed, stored, time.monotonic()) for confirmed in waiting]
                    waiting.clear()
            except Exception:  # noqa: BLE001 - a server that was killed or paused answers in many ways, or not
                broken, connection = connection, None
                await _close(broken)
            await asyncio.sleep(_PAUSE_SECONDS)
        await _close(connection)
        if database:
            database.close()

    def require_truth(self, transactions: list[Transaction]) -> int:
        """Fails if a sample confirms a transaction that was not wholly stored, or ends inside a commit record. Returns
        how many different confirmed positions were judged.

        PostgreSQL does not send a transaction again whose commit record starts before the confirmed position:
        so each of those must be stored, up to its last change.
        """
        assert self.samples, "the confirmed position was never sampled"
        commits = [transaction.commit_lsn for transaction in transactions]
        for sample in self._judged():
            index = bisect_left(commits, sample.confirmed) - 1
            if index < 0:
                continue
            last = transactions[index]
            needed = (last.commit_lsn, last.count)
            assert sample.stored >= needed, (
                f"confirmed {lsn_text(sample.confirmed)} passes the transaction {last.xid} at "
                f"{lsn_text(last.commit_lsn)}, while the stream ended at {lsn_text(sample.stored[0])}, "
                f"ordinal {sample.stored[1]} of {last.count}")
            assert sample.confirmed >= last.end_lsn, (
                f"confirmed {lsn_text(sample.confirmed)} lies inside the commit record of {last.xid}, "
                f"{lsn_text(last.commit_lsn)} to {lsn_text(last.end_lsn)}")
        return len({sample.confirmed for sample in self.samples})

    def _judged(self) -> list[Sample]:
        """The samples, each with the furthest end of the stream that was read in time."""
        if not self._patience:
            return self.samples
        # From the last one backwards: the stream's end only moves on, whatever is read.
        judged, later = [], []
        for sample in reversed(self.samples):
            later = [(at, stored) for at, stored in later if at <= sample.at + self._patience and stored > sample.stored]
            later.append((sample.at, sample.stored))
            judged.append(replace(sample, stored=max(stored for _, stored in later)))
        return judged[::-1]

    def exact(self, transactions: list[Transaction]) -> int:
        """How many different samples were exactly the end of a transaction."""
        ends = [transaction.end_lsn for transaction in transactions]
        return len({sample.confirmed for sample in self.samples
                    if bisect_right(ends, sample.confirmed) > bisect_left(ends, sample.confirmed)})


async def _close(connection: nats.NATS | None) -> None:
    """Closes it; the end of a connection that is broken may fail too."""
    if connection:
        with suppress(Exception):
            await connection.close()
