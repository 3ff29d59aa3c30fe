"""How fast a backlog is gone, beside what the two servers can do at once.

The backlog is made once, while a slot holds it; every contender then gets a copy of that slot and, if it publishes, a stream,
bucket and consumer that `slotstream setup` has made for it, which are deleted after its turn. In turns, several rounds long:

    streamer        from its process's start until the stream holds the last event
    limit           limit.c: drains, and publishes what the streamer's first round stored, at once
    pg_recvlogical  PostgreSQL's own reader, to /dev/null
    drain, publish  the two parts of the limit, each alone
    atomic          the streamer with `delivery.atomic = "auto"`, where nats-server takes atomic batches
    beside          another build of the streamer

Each timed round ends with the stream's count and last id checked. That id is known by another way than through the streamer:
an untimed drain before the rounds, which also warms the caches for all, reads the last commit's LSN. A limit whose drain is
slower than pg_recvlogical would be none: the case is void.
"""

import asyncio
import json
import os
import re
import select
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from nats.js.api import AckPolicy, ConsumerConfig

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "EndToEnd"))

import stream  # noqa: E402
from administrator import BUCKET, Administrator  # noqa: E402
from cases import Case  # noqa: E402
from compiled import compile_c  # noqa: E402
from deployment import Pair  # noqa: E402
from latency import VoidMeasurement  # noqa: E402
from servers.nats import Nats  # noqa: E402
from servers.postgres import Postgres  # noqa: E402
from servers.tools import dying_with_us, wait_until  # noqa: E402
from streamer import Streamer  # noqa: E402

_CONTENDERS = ["streamer", "limit", "pg_recvlogical", "drain", "publish"]
# What needs the events of the streamer's first round.
_PUBLISHERS = {"limit", "publish"}

# The streamer's default names; the slot is copied from `_SOURCE`.
NAME = "fraiseql_events"
_SOURCE = "benchmark"

# Between two looks at the stream and at the processes.
_EVERY_SECONDS = 0.02
# Asked for at a time when the stream is copied.
_FETCHED_MESSAGES, _FETCHED_BYTES = 2000, 16 << 20
# Without a further event, or for a whole turn of another contender.
_SILENCE_SECONDS, _TURN_SECONDS = 120, 1800


def contenders(pair: Pair, beside: Path | None = None) -> list[str]:
    """Who is measured between these servers; with another build, the two builds alone."""
    if beside:
        return ["streamer", "beside"]
    return [*_CONTENDERS, *([] if pair.nats.startswith("2.9") else ["atomic"])]


class _StreamEnd:
    """How far the stream has come, asked again and again over one connection."""

    def __init__(self, url: str):
        self._loop = asyncio.new_event_loop()
        self._connection = self._loop.run_until_complete(stream.connect(url))

    def last_sequence(self) -> int:
        answer = self._loop.run_until_complete(self._connection.request(f"$JS.API.STREAM.INFO.{NAME}", timeout=30))
        return json.loads(answer.data)["state"]["last_seq"]

    def close(self) -> None:
        self._loop.run_until_complete(self._connection.close())
        self._loop.close()


class _ServerWork:
    """CPU seconds of the nats-servers since it was made, and of the slot's walsender as last seen: it ends with its client."""

    def __init__(self, postgres: Postgres, nats: Nats):
        self._sql = postgres.connect()
        self._pids = [int((server.folder / "pid").read_text()) for server in nats.servers]
        self._before = self._nats_servers()
        self._walsender_pid: int | None = None
        self._walsender = 0.0

    def look(self) -> None:
        if self._walsender_pid is None:
            query = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = %s"
            self._walsender_pid = self._sql.execute(query, (NAME,)).fetchone()[0]
        else:
            self._walsender = _cpu_seconds(self._walsender_pid) or self._walsender

    def figures(self) -> dict[str, float]:
        return {"walsender_cpu": self._walsender, "nats_cpu": self._nats_servers() - self._before}

    def close(self) -> None:
        self._sql.close()

    def _nats_servers(self) -> float:
        return sum(_cpu_seconds(pid) for pid in self._pids)


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Backlog:
    """Private servers, one of whose slots holds a case's backlog; `rounds` measures, `close` removes everything."""

    def __init__(self, pair: Pair, case: Case, beside: Path | None = None):
        self.case = case
        self._beside = beside
        self.folder = Path(tempfile.mkdtemp(prefix="slotstream-benchmark-"))
        self.folder.chmod(0o755)
        # So that nothing else works while something is timed.
        self.postgres = Postgres(pair.postgres, self.folder / "postgres", {"autovacuum": "off"})
        self.nats = Nats(pair.nats, self.folder / "nats")
        self.administrator = Administrator(self.nats.url)
        # What the streamer's first round stored, for the limit to publish.
        self.messages = self.folder / "messages"
        self._turns = 0
        try:
            self.program = compile_c("limit", self.folder)
            self.postgres.create()
            self.nats.start()
            case.create(self.postgres)
            self.postgres.run(f"SELECT pg_create_logical_replication_slot('{_SOURCE}', 'pgoutput')")
            self.last_transaction, self.stop_lsn = self._fill()
            self.last_id = self._last_id()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends the servers and deletes what they stored."""
        self.nats.close()
        self.postgres.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _fill(self) -> tuple[str, str]:
        """Makes the backlog. Returns its last transaction's id, and an LSN that is before that one's commit record and behind
        all others."""
        with self.postgres.connect() as session:
            session.execute("SET synchronous_commit TO off")
            session.execute(f"CALL fill({self.case.transactions - 1})")
            session.execute("SET synchronous_commit TO on")
            with session.transaction():
                session.execute(f"SELECT one({self.case.transactions})")
                last = session.execute("SELECT pg_current_xact_id()::text, pg_current_wal_insert_lsn()::text").fetchone()
            session.execute("CHECKPOINT")
        return last

    def _last_id(self) -> str:
        """The id that the last event must have: the commit's LSN is what a drain reads."""
        system = self.postgres.value("SELECT system_identifier FROM pg_control_system()")
        database = self.postgres.value("SELECT oid FROM pg_database WHERE datname = current_database()")
        commit_lsn = self.drain()["commit_lsn"]
        return f"{system}.{database}.1.{self.last_transaction}.{commit_lsn:016X}.{self.case.rows}"

    # The contenders: each has a turn, and returns its figures. `seconds` is what it is judged by.

    def streamer(self, keeps_messages: bool = False, overrides: dict[str, dict] | None = None, binary: Path | None = None) -> dict:
        """The streamer, with its CPU seconds, its peak memory, and the seconds until it was streaming."""
        with self._place(overrides, binary) as streamer, closing(self._server_work()) as work, closing(_StreamEnd(self.nats.url)) as end:
            began_at, began = time.time(), time.monotonic()
            streamer.start(wait=False)
            stored, stored_at = 0, began
            while stored < self.case.events:
                time.sleep(_EVERY_SECONDS)
                last, now = end.last_sequence(), time.monotonic()
                if last > stored:
                    stored, stored_at = last, now
                if not streamer.running or now - stored_at > _SILENCE_SECONDS:
                    raise VoidMeasurement(f"the streamer has stored {stored} events: {streamer.last_words()}")
                work.look()
            figures = {"seconds": stored_at - began, "cpu": streamer.cpu_seconds(), "peak_memory": streamer.peak_memory(),
                       "ready": _streaming_at(streamer) - began_at} | work.figures()
            code = streamer.terminate()
            if code != 0:
                raise VoidMeasurement(f"the streamer ended with {code}: {streamer.last_words()}")
            self._require_stored("the streamer")
            if keeps_messages:
                self._write_messages()
            return figures

    def atomic(self) -> dict:
        """The streamer, which sends what a batch can hold as atomic batches."""
        return self.streamer(overrides={"delivery": {"atomic": "auto"}})

    def beside(self) -> dict:
        """The other build."""
        return self.streamer(binary=self._beside)

    def limit(self) -> dict:
        """Drain and publish at once."""
        with self._place(), closing(self._server_work()) as work:
            figures = self._run_limit(*self._drain_arguments(), *self._publish_arguments(), work=work) | work.figures()
            self._require_stored("the limit")
            return figures

    def pg_recvlogical(self) -> dict:
        """PostgreSQL's own reader."""
        options = {"proto_version": "1", "publication_names": f'"{NAME}"', "messages": "true"}
        with self._slot():
            began = time.monotonic()
            self._run([self.postgres.bin / "pg_recvlogical", "--start", "--slot", NAME, "--endpos", self.stop_lsn,
                       "--dbname", self.postgres.conninfo, "--file", "/dev/null", "--no-loop",
                       *(part for name, value in options.items() for part in ("--option", f"{name}={value}"))])
            return {"seconds": time.monotonic() - began}

    def drain(self) -> dict:
        """The limit's one part alone."""
        with self._slot():
            return self._run_limit(*self._drain_arguments())

    def publish(self) -> dict:
        """The limit's other part alone."""
        with self._place():
            figures = self._run_limit(*self._publish_arguments())
            self._require_stored("the publish alone")
            return figures

    def rounds(self, count: int, contenders: list[str], tell: Callable[[str], None]) -> dict[str, list[dict]]:
        """Every contender's figures of every round. Each begins a round in turn; the first the streamer, since it stores what
        others publish."""
        figures: dict[str, list[dict]] = {name: [] for name in contenders}
        for index in range(count):
            first = index % len(contenders)
            for name in contenders[first:] + contenders[:first]:
                if name == "streamer":
                    took = self.streamer(keeps_messages=index == 0 and bool(_PUBLISHERS & set(contenders)))
                else:
                    took = getattr(self, name)()
                figures[name].append(took)
                tell(f"round {index + 1} of {count}: {name} {took['seconds']:.2f} s, "
                     f"{self.case.changes / took['seconds']:,.0f}/s")
        return figures

    # What stands around a turn.

    @contextmanager
    def _slot(self) -> Iterator[None]:
        """A slot that stands before the backlog."""
        self.postgres.run(f"SELECT pg_copy_logical_replication_slot('{_SOURCE}', '{NAME}')")
        yield
        free = f"SELECT NOT active FROM pg_replication_slots WHERE slot_name = '{NAME}'"
        wait_until(lambda: self.postgres.value(free), 60, "the slot is free")
        self.postgres.run(f"SELECT pg_drop_replication_slot('{NAME}')")

    @contextmanager
    def _place(self, overrides: dict[str, dict] | None = None, binary: Path | None = None) -> Iterator[Streamer]:
        """Such a slot with an empty stream, its consumer and bucket, and a streamer that is configured for them."""
        self._turns += 1
        configured = {"transport.nats.jetstream": {"replicas": self.nats.replicas}, "log": {"level": "info"}}
        streamer = Streamer(self.folder / f"streamer-{self._turns}", self.postgres.conninfo, self.nats.url,
                            configured | self.case.overrides | (overrides or {}), binary=binary)
        try:
            with self._slot():
                streamer.command("setup", "--adopt-slot")
                self._lead_from_the_first_server()
                yield streamer
                streamer.close()
                self.administrator.delete(NAME)
                self.administrator.delete(f"KV_{BUCKET}")
        finally:
            streamer.close()

    def _lead_from_the_first_server(self) -> None:
        """Clients connect to the first server: none has its stream's leader elsewhere by chance."""
        if self.nats.replicas == 1:
            return
        wanted = self.nats.servers[0].folder.name

        def leads() -> bool:
            if self.administrator.info(NAME)["cluster"].get("leader") == wanted:
                return True
            self.administrator.api(f"STREAM.LEADER.STEPDOWN.{NAME}", placement={"preferred": wanted})
            return False

        wait_until(leads, 60, f"{wanted} leads the stream", 0.5)

    def _server_work(self) -> _ServerWork:
        return _ServerWork(self.postgres, self.nats)

    def _drain_arguments(self) -> list[str]:
        return [self.postgres.conninfo, NAME, NAME, self.stop_lsn]

    def _publish_arguments(self) -> list[str]:
        return [self.nats.url.split(",")[0], str(self.messages)]

    def _run_limit(self, *arguments: str, work: _ServerWork | None = None) -> dict:
        return json.loads(self._run([self.program, *arguments], work))

    def _run(self, command: list, work: _ServerWork | None = None) -> str:
        """Runs a program to its end, and returns what it printed."""
        deadline = time.monotonic() + _TURN_SECONDS
        process = subprocess.Popen([*dying_with_us(), *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        ended = os.pidfd_open(process.pid)
        try:
            while not select.select([ended], [], [], _EVERY_SECONDS)[0]:
                if time.monotonic() > deadline:
                    process.kill()
                if work:
                    work.look()
        finally:
            os.close(ended)
        printed, said = process.communicate()
        if process.returncode != 0:
            raise VoidMeasurement(f"{Path(command[0]).name} ended with {process.returncode}: {said.strip()[-2000:]}")
        return printed

    def _require_stored(self, who: str) -> None:
        """Fails unless the stream holds every event and ends with the last."""
        state = self.administrator.state(NAME)
        if not state["messages"] == state["last_seq"] == self.case.events:
            raise VoidMeasurement(f"{who} must have stored {self.case.events} messages: {state}")
        headers = self.administrator.message(NAME, state["last_seq"])["headers"]
        found = re.search(r"\r\nNats-Msg-Id: *(\S+)\r\n", headers)
        if not found or found[1] != self.last_id:
            raise VoidMeasurement(f"{who}: the last message must have the id {self.last_id}: {headers!r}")

    def _write_messages(self) -> None:
        """What the stream holds, as limit.c reads it."""
        with self.messages.open("wb") as file:
            asyncio.run(_copy(self.nats.url, file))


async def _copy(url: str, file: BinaryIO) -> None:
    """Reads the stream through a pull consumer, as many bytes at a time as the server sends without waiting."""
    connection = await stream.connect(url)
    try:
        context = connection.jetstream(timeout=30)
        state = (await context.stream_info(NAME)).state
        batch = max(1, min(_FETCHED_MESSAGES, _FETCHED_BYTES * state.messages // state.bytes))
        subscription = await context.pull_subscribe(">", stream=NAME, config=ConsumerConfig(
            ack_policy=AckPolicy.NONE, mem_storage=True, inactive_threshold=60))
        sequence = 0
        while sequence < state.last_seq:
            for message in await subscription.fetch(min(batch, state.last_seq - sequence), timeout=30):
                sequence += 1
                if message.metadata.sequence.stream != sequence:
                    raise VoidMeasurement(f"message {sequence} of the stream was not read: {message.metadata}")
                subject, identifier = message.subject.encode(), message.headers["Nats-Msg-Id"].encode()
                file.write(struct.pack("<III", len(subject), len(identifier), len(message.data)))
                file.write(subject + b"\0" + identifier + b"\0" + message.data)
    finally:
        await connection.close()


def _streaming_at(streamer: Streamer) -> float:
    """When its log says that it streams."""
    return next(datetime.fromisoformat(entry["time"]).timestamp() for entry in streamer.log_entries()
                if entry["message"] == "streaming")


def measure(pair: Pair, case: Case, rounds: int, contenders: list[str], tell: Callable[[str], None], beside: Path | None = None) -> dict:
    """A case between one pair of servers: all figures of all rounds, and what follows from their medians."""
    began = time.monotonic()
    backlog = Backlog(pair, case, beside)
    try:
        tell(f"{case.changes:,} changes made in {time.monotonic() - began:.1f} s")
        figures = backlog.rounds(rounds, contenders, tell)
    finally:
        backlog.close()
    return {"case": case.name, "what": case.what, "postgres": pair.postgres, "nats": pair.nats,
            "transactions": case.transactions, "changes": case.changes, "events": case.events,
            "rounds": figures} | _summary(case, figures)


def _summary(case: Case, figures: dict[str, list[dict]]) -> dict:
    """Changes a second by the median seconds of each contender; the streamer's costs by their medians."""

    def median(name: str, figure: str) -> float:
        return statistics.median(took[figure] for took in figures[name])

    summary = {"per_second": {name: round(case.changes / median(name, "seconds")) for name in figures}}
    for figure in ("cpu", "walsender_cpu", "nats_cpu"):
        summary[f"{figure}_us"] = round(median("streamer", figure) / case.changes * 1e6, 2)
    summary["peak_memory"] = max(took["peak_memory"] for took in figures["streamer"])
    summary["ready"] = round(median("streamer", "ready"), 3)
    if "beside" in figures:
        summary["ratio"] = round(median("beside", "seconds") / median("streamer", "seconds"), 3)
        summary["beside_cpu_us"] = round(median("beside", "cpu") / case.changes * 1e6, 2)
        summary["beside_nats_cpu_us"] = round(median("beside", "nats_cpu") / case.changes * 1e6, 2)
        summary["beside_peak_memory"] = max(took["peak_memory"] for took in figures["beside"])
    if "limit" in figures:
        summary["ratio"] = round(median("limit", "seconds") / median("streamer", "seconds"), 3)
        summary["void"] = median("drain", "seconds") > median("pg_recvlogical", "seconds")
    return summary
