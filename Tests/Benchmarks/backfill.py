"""What a backfill does: how fast it is, what it does to the live stream, how much memory it takes.

Rate: rows a second from the run's first marker to its last, by the times at which JetStream stored them, beside the limit: COPY of the
same rows to /dev/null while `limit.c` publishes as many messages of the same size to a stream of its own; in turns. Latency: as
`latency.py`, at 1,000 commits a second, alone, beside a backfill as fast as it goes, beside one with `--rate 10000`, and beside a bare
publisher that stores as many a second as each of the two (what of it is the machine's and the server's); in turns. Memory: the largest
RssAnon that was seen, during a backfill, and during one in whose midst a transaction of 10 million rows commits in the same table.
Claims are ratios of medians. No figure fails anything; a wrong count, and a backfill that ends before it was measured, do.

    cd Tests/Benchmarks
    SLOTSTREAM_BINARY=… SLOTSTREAM_TOOLS=… $SLOTSTREAM_TOOLS/bin/python backfill.py [--rows 10000000] [--part rate] [--json FILE]
"""

import argparse
import json
import os
import re
import statistics
import struct
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "EndToEnd"))

from administrator import Administrator  # noqa: E402
from backfilling import Runs, ask  # noqa: E402
from backlog import NAME, _StreamEnd  # noqa: E402
from compiled import compile_c  # noqa: E402
from deployment import Deployment, Pair, demo_schema  # noqa: E402
from latency import Latency, VoidMeasurement, figures  # noqa: E402
from servers.postgres import Postgres  # noqa: E402
from servers.tools import dying_with_us, wait_until  # noqa: E402
from streamer import Streamer  # noqa: E402

PARTS = ["rate", "latency", "memory"]
ROWS, TRANSACTION_ROWS = 1_000_000, 10_000_000
# Of the table that is read while live events are timed: more than is read in that time.
LATENCY_ROWS = 2_000_000

_TABLE = "public.tb_old"
_OVERRIDES = {"log": {"level": "info"}, "transport.nats.jetstream": {"max_bytes": -1}}
# As long as the live stream's, so that messages are as large.
_BARE_STREAM, _BARE_PREFIX = "reference_write", "reference.publish"
_COMMITS = 1_000
_PACE = 10_000
_SECONDS = 3600
_INSERT = ("INSERT INTO tb_old (id, identifier, items, shipping_address, status, created_at) "
           "SELECT k, 'order ' || k, ARRAY['sku-1'], '1 Main Street', 'pending', now() FROM generate_series({first}, {last}) AS k")


def _filled(rows: int) -> Callable[[Postgres], None]:
    """Orders by another name, as they are after a while: analysed, with all hint bits set."""

    def prepare(postgres: Postgres) -> None:
        demo_schema(postgres)
        postgres.run("CREATE TABLE tb_old (id BIGINT PRIMARY KEY, identifier TEXT NOT NULL, items TEXT[] NOT NULL, shipping_address TEXT NOT NULL, "
                     "status TEXT NOT NULL, total_amount NUMERIC(12, 2), created_at TIMESTAMPTZ)")
        postgres.run(_INSERT.format(first=1, last=rows))
        with postgres.connect() as session:
            session.execute("VACUUM (ANALYZE) tb_old")
            session.execute("CHECKPOINT")

    return prepare


class _Peak:
    """The largest RssAnon of a process that was seen within a `with`."""

    def __init__(self, pid: int):
        self._status = Path(f"/proc/{pid}/status")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.bytes = 0

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            try:
                found = re.search(r"^RssAnon:\s+(\d+)", self._status.read_text(), re.MULTILINE)
            except OSError:
                return
            self.bytes = max(self.bytes, int(found[1]) * 1024 if found else 0)

    def __enter__(self) -> "_Peak":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()


def _stored_at(administrator: Administrator, sequence: int) -> float:
    """When a message was stored, in seconds, by nats-server's clock."""
    text = administrator.api(f"STREAM.MSG.GET.{NAME}", seq=sequence)["message"]["time"]
    whole, _, fraction = text.rstrip("Z").partition(".")
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(f"0.{fraction or 0}")


# Rate


class _Turns:
    """One deployment with a table of so many rows, read again and again."""

    def __init__(self, pair: Pair, rows: int):
        self.rows = rows
        self.deployment = Deployment(pair, prepare=_filled(rows), overrides=_OVERRIDES, settings={"autovacuum": "off"}, has_witness=False)
        self.streamer = self.deployment.streamer
        self.administrator = Administrator(self.deployment.nats.url)
        self.messages = self.deployment.folder / "messages"
        try:
            self.program = compile_c("limit", self.deployment.folder)
            self.streamer.start()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self.deployment.close()
        self.deployment.remove()

    def backfill(self) -> dict:
        """Reads the table once."""
        first = self.administrator.state(NAME)["last_seq"] + 1
        # The markers that begin the run, end its table and end it are three messages more.
        last = first + self.rows + 2
        cpu = self.streamer.cpu_seconds()
        with closing(_StreamEnd(self.deployment.nats.url)) as end, _Peak(self.streamer.process.pid) as peak:
            ask(self.streamer, "--table", _TABLE)

            def stored() -> bool:
                assert self.streamer.running, self.streamer.last_words()
                return end.last_sequence() >= last

            wait_until(stored, _SECONDS, f"{self.rows:,} rows are stored: {self.streamer.log}", 0.2)
        told = json.loads(self.administrator.message(NAME, last)["body"])["backfill"]
        if (told["event"], told["rows"]) != ("end", self.rows):
            raise VoidMeasurement(f"the run must end with {self.rows} rows: {told}")
        Runs(self.streamer, self.administrator).wait_done(int(told["id"]))
        if not self.messages.exists():
            self._write_messages(first + self.rows // 2)
        return {"seconds": _stored_at(self.administrator, last) - _stored_at(self.administrator, first),
                "cpu": self.streamer.cpu_seconds() - cpu, "peak_anonymous": peak.bytes}

    def limit(self) -> dict:
        """COPY to nowhere beside a bare publisher; the later end counts."""
        self.administrator.add(**self.administrator.config(NAME) | {"name": _BARE_STREAM, "subjects": [f"{_BARE_PREFIX}.>"]})
        try:
            with ThreadPoolExecutor() as pool:
                copied = pool.submit(self._copy)
                done = subprocess.run([*dying_with_us(), self.program, self.deployment.nats.url.split(",")[0], self.messages], capture_output=True, text=True)
                if done.returncode != 0:
                    raise VoidMeasurement(f"the bare publisher: {done.stderr.strip()}")
                copy_seconds, publish_seconds = copied.result(), json.loads(done.stdout)["seconds"]
            state = self.administrator.state(_BARE_STREAM)
            if state["messages"] != self.rows:
                raise VoidMeasurement(f"{_BARE_STREAM} must hold {self.rows} messages: {state}")
            return {"seconds": max(copy_seconds, publish_seconds), "copy_seconds": copy_seconds, "publish_seconds": publish_seconds}
        finally:
            self.administrator.delete(_BARE_STREAM)

    def _copy(self) -> float:
        began = time.monotonic()
        subprocess.run([*dying_with_us(), self.deployment.postgres.bin / "psql", "-X", "-q", "-d", self.deployment.postgres.conninfo,
                        "-c", "COPY (SELECT * FROM tb_old) TO STDOUT"], stdout=subprocess.DEVNULL, check=True)
        return time.monotonic() - began

    def _write_messages(self, sequence: int) -> None:
        """As many messages as there are rows, each like the stored one, as limit.c reads them."""
        stored = self.administrator.message(NAME, sequence)
        payload = stored["body"]
        subject = stored["subject"].replace("fraiseql.mutation", _BARE_PREFIX).encode()
        identifier = json.loads(payload)["id"]
        with self.messages.open("wb") as file:
            for number in range(self.rows):
                name = f"{number:0{len(identifier)}}".encode()
                file.write(struct.pack("<III", len(subject), len(name), len(payload)) + subject + b"\0" + name + b"\0" + payload)


def rate(pair: Pair, rows: int, rounds: int, tell: Callable[[str], None]) -> dict:
    """Rows a second of both, of so many rounds."""
    turns = _Turns(pair, rows)
    found: dict[str, list[dict]] = {"backfill": [], "limit": []}
    try:
        for number in range(rounds):
            # The first backfill tells what the limit publishes.
            for name in list(found) if number % 2 == 0 else list(found)[::-1]:
                took = getattr(turns, name)()
                found[name].append(took)
                tell(f"{pair}: round {number + 1} of {rounds}: {name} {rows / took['seconds']:,.0f} rows/s")
    finally:
        turns.close()
    per_second = {name: statistics.median(rows / took["seconds"] for took in rounds_) for name, rounds_ in found.items()}
    return {"pair": str(pair), "rows": rows, "rounds": found, "per_second": per_second, "ratio": per_second["backfill"] / per_second["limit"],
            "cpu_us": statistics.median(took["cpu"] for took in found["backfill"]) / rows * 1e6,
            "peak_anonymous": max(took["peak_anonymous"] for took in found["backfill"])}


# Latency


class _Live(Latency):
    """Live commits beside something else, of which as much as possible is stored."""

    def __init__(self, pair: Pair, rows: int):
        super().__init__(pair, overrides=_OVERRIDES, prepare=_filled(rows))
        self.rows = rows
        self.streamer: Streamer = self.deployment.streamer
        self.watched = Runs(self.streamer, self.administrator)
        self.administrator.add(**self.administrator.config(NAME) | {"name": "elsewhere", "subjects": ["elsewhere.>"]})
        self.payload_bytes = 0

    def timed(self, seconds: int) -> dict:
        """Figures of the live events alone: the subscriber has nothing to do with other subjects."""
        self.runs += 1
        file = self.deployment.folder / "live.samples"
        done = subprocess.run([*dying_with_us(), self.program, "streamer", str(seconds), str(_COMMITS), file, self.url, "fraiseql.mutation.Order.INSERT",
                               self.deployment.postgres.conninfo, f"live-{self.runs}-"], capture_output=True, text=True)
        if done.returncode != 0:
            raise VoidMeasurement(done.stderr.strip())
        summary, samples = json.loads(done.stdout), array("q", file.read_bytes())
        if summary["lost"] or summary["repeated"] or not samples:
            raise VoidMeasurement(f"not each message arrived once: {summary}; {self.streamer.last_words()}")
        return figures(samples) | {"achieved": len(samples) / seconds}

    @contextmanager
    def backfill(self, *options: str) -> Iterator[None]:
        """While a run reads; it is given up afterwards."""
        before = self.watched.read()
        run = self.watched.request(_TABLE, options=options)
        wait_until(lambda: self.watched.read() > before, 60, "rows are read", 0.2)
        yield
        state, why = self.watched.state(run)
        if state != "walking":
            raise VoidMeasurement(f"the backfill is {state} too soon to be measured ({why}): more rows are needed than {self.rows:,} (--latency-rows)")
        ask(self.streamer, "--cancel", str(run))
        wait_until(lambda: self.watched.state(run)[0] in ("done", "cancelled"), 60, "it is given up", 0.2)

    @contextmanager
    def publisher(self, rate: int, seconds: int) -> Iterator[None]:
        """While as many messages a second are stored in a stream of their own."""
        # Of the round before something may be on its way.
        stored = -1
        while stored != (stored := self.administrator.state("elsewhere")["last_seq"]):
            time.sleep(1)
        command = [self.program, "publish", str(seconds + 60), str(rate), self.deployment.folder / "elsewhere.samples", self.url, "elsewhere.Old.READ",
                   str(stored), str(self.payload_bytes)]
        process = subprocess.Popen([*dying_with_us(), *map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            wait_until(lambda: self.administrator.state("elsewhere")["last_seq"] > stored, 60, "it publishes", 0.2)
            yield
            if process.poll() is not None:
                raise VoidMeasurement(f"the bare publisher ended too soon: {process.stderr.read()[-2000:]}")
        finally:
            process.kill()
            process.wait()


def latency(pair: Pair, rows: int, seconds: int, rounds: int, tell: Callable[[str], None]) -> dict:
    """p50 and p99 in ms of the live stream, of so many rounds, which take turns; and what was read or published a second meanwhile."""
    live = _Live(pair, rows)
    kinds = ["alone", "backfill", f"backfill --rate {_PACE}", "publisher at the backfill's rate", f"publisher at {_PACE:,}/s"]
    found: dict[str, list[dict]] = {kind: [] for kind in kinds}
    try:
        with live.backfill("--rate", str(_PACE)):
            live.payload_bytes = len(live.administrator.message(NAME, live.administrator.state(NAME)["last_seq"])["body"])
        for number in range(rounds):
            for kind in kinds if number % 2 == 0 else [*kinds[:3][::-1], *kinds[3:][::-1]]:
                full = [took["beside"] for took in found["backfill"]]
                if kind == "alone":
                    took = live.timed(seconds) | {"beside": 0}
                elif kind.startswith("backfill"):
                    with live.backfill(*([] if kind == "backfill" else ["--rate", str(_PACE)])):
                        before, began = live.watched.read(), time.monotonic()
                        took = live.timed(seconds)
                        took["beside"] = (live.watched.read() - before) / (time.monotonic() - began)
                else:
                    pace = _PACE if str(f"{_PACE:,}") in kind else round(statistics.median(full))
                    with live.publisher(pace, seconds):
                        took = live.timed(seconds) | {"beside": pace}
                found[kind].append(took)
                tell(f"{pair}: round {number + 1} of {rounds}: {kind}: p50 {took['p50']:.2f} ms, p99 {took['p99']:.2f} ms, "
                     f"{took['beside']:,.0f}/s beside")
    finally:
        live.close()
    medians = {kind: {name: statistics.median(took[name] for took in rounds_) for name in ("p50", "p99", "beside")} for kind, rounds_ in found.items()}
    return {"pair": str(pair), "commits": _COMMITS, "seconds": seconds, "rounds": found, "medians": medians}


# Memory


def memory(pair: Pair, rows: int, transaction_rows: int, tell: Callable[[str], None]) -> list[dict]:
    """The largest RssAnon: before, during a backfill, and during one in whose midst so large a transaction commits in the same table."""
    deployment = Deployment(pair, prepare=_filled(rows), overrides=_OVERRIDES, has_witness=False)
    results: list[dict] = []
    try:
        streamer, administrator = deployment.streamer, Administrator(deployment.nats.url)
        streamer.start()
        runs = Runs(streamer, administrator)
        pid = streamer.process.pid

        def note(what: str, peak: _Peak) -> None:
            results.append({"pair": str(pair), "what": what, "peak_anonymous": peak.bytes, "peak_memory": streamer.peak_memory()})
            tell(f"{pair}: {what}: {peak.bytes / 2**20:.1f} MB of RssAnon")

        with _Peak(pid) as peak:
            time.sleep(1)
        note("before", peak)
        with _Peak(pid) as peak:
            runs.wait_done(runs.request(_TABLE), _SECONDS)
        note(f"backfill of {rows:,} rows", peak)
        with _Peak(pid) as peak, ThreadPoolExecutor() as pool:
            before = runs.read()
            # Slow enough that it is not over before the transaction commits.
            run = runs.request(_TABLE, options=["--rate", str(max(100, rows // 120))])
            runs.wait_read(before + 1)
            inserted = pool.submit(deployment.postgres.run, _INSERT.format(first=rows + 1, last=rows + transaction_rows))
            inserted.result(_SECONDS)
            state = runs.state(run)[0]
            deployment.wait_confirmed(_SECONDS)
            stored = administrator.api(f"STREAM.INFO.{NAME}", subjects_filter="fraiseql.mutation.Old.INSERT")["state"]["subjects"]
            if sum(stored.values()) != transaction_rows:
                raise VoidMeasurement(f"the stream must hold {transaction_rows:,} rows of the transaction: {stored}")
            if state == "walking":
                time.sleep(5)
                if runs.state(run)[0] == "walking":
                    ask(streamer, "--cancel", str(run))
                    runs.wait_state(run, "cancelled")
        note(f"backfill while a transaction of {transaction_rows:,} rows commits in its table (the run was {state} at the commit)", peak)
    finally:
        deployment.close()
        deployment.remove()
    return results


# All of it


def measure(pair: Pair, tell: Callable[[str], None], *, rows: int = ROWS, rounds: int = 5, seconds: int = 10,
            transaction_rows: int = TRANSACTION_ROWS, parts: Sequence[str] = PARTS, latency_rows: int = LATENCY_ROWS) -> dict:
    """What was asked for, by part."""
    found: dict = {}
    if "rate" in parts:
        found["rate"] = rate(pair, rows, rounds, tell)
    if "latency" in parts:
        found["latency"] = latency(pair, latency_rows, seconds, rounds, tell)
    if "memory" in parts:
        found["memory"] = memory(pair, rows, transaction_rows, tell)
    return found


def table(found: dict) -> str:
    """The results as text."""
    lines: list[str] = []
    if result := found.get("rate"):
        speeds = result["per_second"]
        lines += [f"A backfill of {result['rows']:,} rows, {result['pair']}: rows a second, medians of {len(result['rounds']['backfill'])} rounds",
                  f"{'limit':>10}{'backfill':>10}{'ratio':>7}{'CPU µs a row':>14}{'RssAnon MB':>12}",
                  f"{speeds['limit']:>10,.0f}{speeds['backfill']:>10,.0f}{result['ratio']:>7.2f}{result['cpu_us']:>14.1f}"
                  f"{result['peak_anonymous'] / 2**20:>12.1f}", ""]
    if result := found.get("latency"):
        alone = result["medians"]["alone"]
        lines += [f"Live events beside a backfill, {result['pair']}: {result['commits']:,} commits a second, {result['seconds']} s, medians of "
                  f"{len(result['rounds']['alone'])} rounds (ms)", f"{'':<34}{'beside /s':>10}{'p50':>8}{'p99':>8}{'to alone':>10}{'to publisher':>14}"]
        kinds = list(result["medians"])
        publishers = dict(zip(kinds[1:3], kinds[3:]))
        for kind, took in result["medians"].items():
            control = result["medians"].get(publishers.get(kind))
            ratio = f"{took['p99'] / control['p99']:>14.2f}" if control else ""
            lines.append(f"{kind:<34}{took['beside']:>10,.0f}{took['p50']:>8.2f}{took['p99']:>8.2f}{took['p99'] / alone['p99']:>10.2f}{ratio}")
        lines.append("to alone, to publisher: p99 by the p99 of live events alone, and beside a publisher that stores as many a second")
        lines.append("")
    if results := found.get("memory"):
        lines += ["Largest anonymous memory of the streamer"]
        lines += [f"  {result['peak_anonymous'] / 2**20:6.1f} MB  {result['what']}" for result in results]
    return "\n".join(lines).rstrip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pair", nargs=2, default=["18", "2.15.1"], metavar=("POSTGRESQL", "NATS"))
    parser.add_argument("--rows", type=int, default=ROWS, metavar="N", help=f"of the table (default: {ROWS:,})")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="of rate and latency (default: 5)")
    parser.add_argument("--seconds", type=int, default=10, metavar="N", help="of each latency measurement (default: 10)")
    parser.add_argument("--latency-rows", type=int, default=LATENCY_ROWS, metavar="N",
                        help=f"of the table that is read meanwhile (default: {LATENCY_ROWS:,})")
    parser.add_argument("--transaction-rows", type=int, default=TRANSACTION_ROWS, metavar="N",
                        help=f"of the transaction that commits meanwhile (default: {TRANSACTION_ROWS:,})")
    parser.add_argument("--part", action="append", choices=PARTS, metavar="PART", help="rate, latency or memory; may be repeated (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures of all rounds")
    options = parser.parse_args()
    found: dict = {}
    try:
        for part in options.part or PARTS:
            found |= measure(Pair(*options.pair), lambda line: print(line, file=sys.stderr, flush=True), rows=options.rows, rounds=options.rounds,
                             seconds=options.seconds, transaction_rows=options.transaction_rows, parts=[part], latency_rows=options.latency_rows)
            print(table({part: found[part]}) + "\n", flush=True)
    except (AssertionError, VoidMeasurement) as error:
        sys.exit(f"backfill.py: {error}")
    finally:
        if options.json:
            options.json.write_text(json.dumps(found | {"cores": len(os.sched_getaffinity(0))}, indent=1) + "\n")


if __name__ == "__main__":
    main()
