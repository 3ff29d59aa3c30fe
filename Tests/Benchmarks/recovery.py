"""How soon all is well again after kill -9 of the streamer, of nats-server, of PostgreSQL; and how soon a standby takes over.

A backlog is made while the one that is killed is down, in transactions of ten rows. While PostgreSQL is down nobody can commit:
before it is killed the streamer is frozen, and it wakes when PostgreSQL is started. Timed from the moment at which what was
killed is started again until PostgreSQL is told that the backlog's last change is stored: starting, connecting, recovery and
back-off are in it, and PostgreSQL's own crash recovery, which is shown apart. `confirmed` follows a record that is put at most
once a second. Readiness is timed under a load that does not stop. A takeover is timed from the kill, or from SIGSTOP, until the standby is active and ready. Orders of magnitude:
machines are noisy, so no figure fails anything; a stream that does not hold as many events as were committed does.

    cd Tests/Benchmarks
    export SLOTSTREAM_BINARY=… SLOTSTREAM_TOOLS=…
    $SLOTSTREAM_TOOLS/bin/python recovery.py [--rounds 3] [--json] [15 2.9.10]
"""

import argparse
import json
import signal
import statistics
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "EndToEnd"))

from administrator import Administrator  # noqa: E402
from deployment import Deployment, Pair, demo_schema  # noqa: E402
from servers.tools import wait_until  # noqa: E402
from streamer import Streamer  # noqa: E402

BACKLOGS = [1, 10_000, 50_000, 200_000]
ROWS_PER_TRANSACTION = 10

_INSERT = ("INSERT INTO tb_order (identifier, items, shipping_address, status) "
           "SELECT gen_random_uuid(), ARRAY['sku-1'], '1 Main Street', 'pending' FROM generate_series(1, {rows})")
_FILL = (f"CREATE PROCEDURE fill(transactions INT) LANGUAGE plpgsql AS $$ BEGIN "
         f"PERFORM set_config('synchronous_commit', 'off', false); FOR round IN 1..transactions LOOP "
         f"{_INSERT.format(rows=ROWS_PER_TRANSACTION)}; COMMIT; END LOOP; END $$")


class Recovery:
    """One party, killed again and again in a deployment of its own."""

    def __init__(self, pair: Pair):
        self.deployment = Deployment(pair, prepare=demo_schema)
        self.committed = 0
        # What PostgreSQL itself took until it had connections, by backlog.
        self.postgres_own: dict[int, list[float]] = {}
        self.deployment.postgres.run(_FILL)
        self.deployment.streamer.start()

    def close(self) -> None:
        self.deployment.close()
        self.deployment.remove()

    def streamer(self, backlog: int) -> float:
        """Seconds from the streamer's start."""
        self.deployment.streamer.kill()
        end = self._commit(backlog)
        began = time.monotonic()
        self.deployment.streamer.start(wait=False)
        return self._drained(end) - began

    def nats(self, backlog: int) -> float:
        """Seconds from nats-server's start."""
        self.deployment.nats.kill()
        end = self._commit(backlog)
        began = time.monotonic()
        for server in self.deployment.nats.servers:
            server.launch()
        return self._drained(end) - began

    def postgres(self, backlog: int) -> float:
        """Seconds from PostgreSQL's start."""
        self.deployment.streamer.freeze()
        end = self._commit(backlog)
        self.deployment.postgres.kill()
        # Its children notice by themselves, and hold its memory until then.
        wait_until(self._is_gone, 60, "PostgreSQL's processes are gone", 0.01)
        began = time.monotonic()
        self.deployment.streamer.thaw()
        self.deployment.postgres.start()
        self.postgres_own.setdefault(backlog, []).append(time.monotonic() - began)
        return self._drained(end) - began

    def require_all_stored(self) -> None:
        """Fails unless the stream holds as many events as were committed."""
        stored = Administrator(self.deployment.nats.url).state("fraiseql_events")["messages"]
        assert stored == self.committed, f"{stored} stored, {self.committed} committed"

    def _commit(self, count: int) -> int:
        """Commits so many changes; returns where the WAL ends."""
        postgres = self.deployment.postgres
        postgres.run(f"CALL fill({count // ROWS_PER_TRANSACTION})")
        # And one that is waited for: then all are in the WAL.
        postgres.run(_INSERT.format(rows=1))
        self.committed += count // ROWS_PER_TRANSACTION * ROWS_PER_TRANSACTION + 1
        return postgres.flushed()

    def _drained(self, end: int) -> float:
        """When everything before `end` was confirmed."""
        def is_drained() -> bool:
            streamer = self.deployment.streamer
            assert streamer.running, f"the streamer ended with {streamer.process.returncode}: {streamer.last_words()}"
            return self.deployment.confirmed() >= end

        wait_until(is_drained, 240, f"confirmed_flush_lsn reaches {end:X}; {self.deployment.streamer.log}", 0.01)
        return time.monotonic()

    def _is_gone(self) -> bool:
        data = str(self.deployment.postgres.data)
        return not any(_working_folder(process) == data for process in Path("/proc").glob("[0-9]*"))


def _working_folder(process: Path) -> str | None:
    try:
        return str((process / "cwd").readlink())
    except OSError:
        return None


def takeovers(pair: Pair, rounds: int) -> dict[str, list[float]]:
    """Seconds until a standby is active and ready, for holders that were killed and for frozen ones."""
    deployment = Deployment(pair, prepare=demo_schema)
    replicas = {"transport.nats.jetstream": {"replicas": deployment.nats.replicas}}
    standby = Streamer(deployment.folder / "standby", deployment.postgres.conninfo, deployment.nats.url, replicas)
    try:
        holder = deployment.streamer
        holder.start()
        took = {}
        for name, number in (("killed", signal.SIGKILL), ("frozen", signal.SIGSTOP)):
            took[name] = []
            for _ in range(rounds):
                standby.start()
                began = time.monotonic()
                holder.process.send_signal(number)
                wait_until(lambda: json.loads(standby.get("/readyz"))["role"] == "active", 60, "the standby takes over", 0.005)
                took[name].append(time.monotonic() - began)
                holder.kill()
                holder, standby = standby, holder
        return took
    finally:
        for streamer in (holder, standby):
            streamer.close()
        deployment.close()
        deployment.remove()


def readiness(pair: Pair, rounds: int) -> list[float]:
    """Seconds from the start of a streamer that was killed at full load, which goes on, until it streams and is ready."""
    deployment = Deployment(pair, prepare=demo_schema)
    ended = threading.Event()

    def load() -> None:
        with deployment.postgres.connect() as session:
            while not ended.is_set():
                session.execute("CALL fill(1000)")

    loading = threading.Thread(target=load)
    try:
        deployment.postgres.run(_FILL)
        deployment.streamer.start()
        loading.start()
        took = []
        for _ in range(rounds):
            time.sleep(2)
            deployment.streamer.kill()
            began = time.monotonic()
            deployment.streamer.start(wait=False)
            deployment.streamer.wait_streaming(60)
            took.append(time.monotonic() - began)
        return took
    finally:
        ended.set()
        if loading.ident:
            loading.join()
        deployment.close()
        deployment.remove()


def recoveries(pair: Pair, party: str, rounds: int) -> tuple[dict[int, list[float]], dict[int, list[float]]]:
    """Seconds of each round, by backlog; and what of them was PostgreSQL's own start."""
    recovery = Recovery(pair)
    try:
        took: dict[int, list[float]] = {backlog: [] for backlog in BACKLOGS}
        for _ in range(rounds):
            for backlog in BACKLOGS:
                took[backlog].append(getattr(recovery, party)(backlog))
        recovery.require_all_stored()
        return took, recovery.postgres_own
    finally:
        recovery.close()


def _line(name: str, cells: list[str]) -> str:
    return f"{name:<12}" + "".join(f"{cell:>22}" for cell in cells)


def _cell(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} s ({min(seconds):.2f}–{max(seconds):.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("versions", nargs="*", default=["15", "2.9.10"], metavar="VERSION", help="of PostgreSQL and nats-server")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="one object instead of the table")
    options = parser.parse_args()
    pair = Pair(*options.versions)
    recovered: dict[str, dict[int, list[float]]] = {}
    if not options.json:
        print(f"{pair}: until a backlog of so many changes is confirmed, median of {options.rounds} (fastest–slowest)")
        print(_line("killed", [f"{backlog:,}" for backlog in BACKLOGS]), flush=True)
    for party in ("streamer", "nats", "postgres"):
        recovered[party], postgres_own = recoveries(pair, party, options.rounds)
        if not options.json:
            print(_line(party, [_cell(seconds) for seconds in recovered[party].values()]), flush=True)
            if postgres_own:
                print(_line("  its start", [_cell(seconds) for seconds in postgres_own.values()]), flush=True)
    ready = readiness(pair, options.rounds)
    taken = takeovers(pair, options.rounds)
    if options.json:
        print(json.dumps({
            "postgres": pair.postgres, "nats": pair.nats, "rounds": options.rounds,
            "recovery": [{"killed": party, "backlog": backlog, "median": statistics.median(seconds), "seconds": seconds}
                         for party, took in recovered.items() for backlog, seconds in took.items()],
            "postgres_start": [{"backlog": backlog, "median": statistics.median(seconds), "seconds": seconds}
                               for backlog, seconds in postgres_own.items()],
            "ready_under_load": {"median": statistics.median(ready), "seconds": ready},
            "takeover": [{"holder": name, "median": statistics.median(seconds), "seconds": seconds}
                         for name, seconds in taken.items()],
        }))
    else:
        print(f"killed at full load, which goes on: ready {_cell(ready)} after its start")
        print("a standby takes over: " + ", ".join(f"holder {name} {_cell(seconds)}" for name, seconds in taken.items()))


if __name__ == "__main__":
    main()
