"""The load: pgbench with eight clients, and each client's own record of what it did."""

import math
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from servers.postgres import Postgres
from servers.tools import wait_until
from stream import Event

CLIENTS = 8
_FOLDER = Path(__file__).parent / "load"


@dataclass(frozen=True)
class _Script:
    """A pgbench script: its share of the load, whether it commits, whether what it commits carries its `seq`."""

    name: str
    weight: int
    commits: bool = True
    recorded: bool = True


# In the order in which pgbench is given them: its log names them by number.
_SCRIPTS = [
    _Script("insert", 32),
    _Script("update", 32),
    _Script("delete", 12, recorded=False),
    _Script("several", 10),
    _Script("roll_back", 7, commits=False),
    _Script("savepoint", 7),
]

# Rows that a transaction of this mix inserts, rolled-back ones included: they advance the identity's sequence too.
_INSERTS_PER_TRANSACTION = (32 + 10 * 3 + 7 + 7 * 2) / 100


class Workload:
    """Runs `transactions` pgbench transactions in all; starts again when PostgreSQL has thrown the clients out. `rate`: at
    most so many a second (None: as fast as they go), for tests in which something has to happen meanwhile.

    A client's record is pgbench's own log: which of its transactions went through. `seq` in the rows counts as the log does.
    """

    def __init__(self, postgres: Postgres, folder: Path, transactions: int, seed: int,
                 rate: int | None = None):
        self.postgres = postgres
        self.folder = folder / "pgbench"
        self.folder.mkdir()
        self.transactions = transactions
        self.seed = seed
        self.rate = rate
        # (run, client) → the sequence numbers that committed for certain and carry their number, in order.
        self.committed: dict[tuple[int, int], list[int]] = {}
        # Those that the log says were rolled back.
        self.rolled_back: set[tuple[int, int, int]] = set()
        self.done = 0
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None

    @staticmethod
    def prepare(postgres: Postgres) -> None:
        """Makes the tables."""
        postgres.run_file(_FOLDER / "schema.sql")

    def start(self) -> "Workload":
        """Begins in the background."""
        self._thread = threading.Thread(target=self._run, name="workload", daemon=True)
        self._thread.start()
        return self

    @property
    def running(self) -> bool:
        """Whether there is more to come."""
        return self._thread is not None and self._thread.is_alive()

    def progress(self) -> float:
        """About which part is done, 0 to 1; read from the identity's sequence, so it is up to date."""
        inserted = self.postgres.value("SELECT last_value FROM tb_order_line_pk_order_line_seq")
        return min(1.0, inserted / (_INSERTS_PER_TRANSACTION * self.transactions))

    def wait_for(self, part: float, seconds: float = 600) -> None:
        """Waits until that part is done (or all of it)."""
        wait_until(lambda: not self.running or self.progress() >= part, seconds, f"{part:.0%} of the load is done", 0.05)

    def finish(self, seconds: float = 900) -> None:
        """Waits for the end; fails if the load did."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"the load did not end within {seconds:g} s"
        if self._failure:
            raise self._failure

    def _run(self) -> None:
        try:
            run = 0
            while self.done < self.transactions:
                run += 1
                before = self.done
                self._pgbench(run, math.ceil((self.transactions - self.done) / CLIENTS))
                if self.done == before:
                    wait_until(lambda: self.postgres.value("SELECT 1"), 120, "PostgreSQL is back for the load")
        except BaseException as failure:  # noqa: BLE001 - handed to the thread that waits in finish()
            self._failure = failure

    def _pgbench(self, run: int, transactions_per_client: int) -> None:
        """One pgbench, to its end or to the loss of its connections; reads its logs."""
        logs = self.folder / str(run)
        logs.mkdir()
        variables = {"run": run, "seq": 0, "n": 0, "deleted": 0}
        command = [self.postgres.bin / "pgbench", "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2",
                   "-t", str(transactions_per_client), f"--random-seed={(self.seed + run) % 2**31}", "--log",
                   f"--log-prefix={logs}/log"]
        command += [part for name, value in variables.items() for part in ("-D", f"{name}={value}")]
        if self.rate:
            command += ["-R", str(self.rate)]
        for script in _SCRIPTS:
            command += ["-f", f"{_FOLDER}/{script.name}.sql@{script.weight}"]
        environment = os.environ | dict(
            PGHOST="127.0.0.1", PGPORT=str(self.postgres.port), PGUSER="postgres", PGDATABASE=self.postgres.database)
        done = subprocess.run(command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL)
        # 2 = errors during the run, which a restart of PostgreSQL causes; 1 = could not connect at all, likewise.
        lost = re.search(r"perhaps the backend died|connection to server|terminating connection|could not connect",
                         done.stderr)
        assert done.returncode == 0 or lost, f"pgbench: {done.stderr[-2000:]}"
        self._read_logs(run, logs)
        shutil.rmtree(logs)

    def _read_logs(self, run: int, logs: Path) -> None:
        """A line is: client, transaction's number, time, script's number, …"""
        for path in sorted(logs.iterdir()):
            for line in path.read_text().splitlines():
                fields = line.split()
                if len(fields) < 6:
                    continue
                client, number, script = int(fields[0]), int(fields[1]), _SCRIPTS[int(fields[3])]
                self.done += 1
                if not script.commits:
                    self.rolled_back.add((run, client, number))
                elif script.recorded:
                    self.committed.setdefault((run, client), []).append(number)

    def require_order(self, events: Iterable[Event]) -> int:
        """Fails unless each client's record of its commits is found in the stream in the client's order, with nothing
        that was rolled back among it. Returns how many commits were looked for.

        A transaction whose answer the client never got may be there or not: one at most a client and run, the last.
        """
        found: dict[tuple[int, int], list[int]] = {}
        for event in events:
            body = event.json
            row = body.get("entity", {})
            if body["operation"] == "DELETE" or not row.get("run"):
                continue
            numbers = found.setdefault((row["run"], row["client"]), [])
            if not numbers or numbers[-1] != row["seq"]:
                numbers.append(row["seq"])
        for key, numbers in found.items():
            run, client = key
            assert numbers == sorted(set(numbers)), f"run {run}, client {client}: not in the client's order"
            gone = [number for number in numbers if (run, client, number) in self.rolled_back]
            assert not gone, f"run {run}, client {client}: rolled back and yet stored: {gone[:10]}"
            recorded = self.committed.get(key, [])
            extra = sorted(set(numbers) - set(recorded))
            assert len(extra) <= 1 and all(number > max(recorded, default=0) for number in extra), (
                f"run {run}, client {client}: stored without the client's record: {extra[:10]}")
        for key, numbers in self.committed.items():
            absent = sorted(set(numbers) - set(found.get(key, [])))
            assert not absent, f"run {key[0]}, client {key[1]}: committed and not stored: {absent[:10]}"
        looked_for = sum(map(len, self.committed.values()))
        assert looked_for > 0, "no client recorded a commit"
        return looked_for
