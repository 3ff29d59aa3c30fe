"""Runs of `slotstream backfill` as tests ask for them, watch them and have them judged."""

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import psycopg

import failpoints
import stream
from administrator import Administrator
from compare import Comparison
from oracles import shapes
from oracles.backfilled import Backfilled
from servers.tools import wait_until
from streamer import Streamer
from tenants import PATIENT, Tenant

# The streamer looks for requests once a second; servers that stand still for a moment are waited for.
SOON = 60


def ask(streamer: Streamer, *arguments: str, expect: int | None = 0, seconds: float = 120) -> subprocess.CompletedProcess:
    """`slotstream backfill` with these arguments, to its end."""
    return streamer.command("backfill", *arguments, expect=expect, seconds=seconds)


class Runs:
    """The runs of a stream, as bucket and record tell of them."""

    def __init__(self, streamer: Streamer, administrator: Administrator, name: str = "fraiseql_events", prefix: str = "fraiseql.mutation"):
        self.streamer = streamer
        self.administrator = administrator
        self.name = name
        self.prefix = prefix

    def request(self, *tables: str, options: Iterable[str] = ()) -> int:
        """Asks for a run over these tables; returns its number."""
        named = [part for table in tables for part in ("--table", table)]
        ask(self.streamer, *named, *options)
        return self.requests()[-1]["run"]

    def requests(self) -> list[dict]:
        """What was asked for, oldest first."""
        return (self.administrator.entry(f"{self.name}.backfill") or {}).get("requests", [])

    def progress(self) -> dict:
        """Of the run that is carried out; empty: none is."""
        return (self.administrator.entry(self.name) or {}).get("backfill") or {}

    def walked(self) -> str | None:
        """The table, or partition, that is read now."""
        now = self.progress()
        tables, index = now.get("tables") or [], now.get("table_index", 0)
        return tables[index]["name"] if index < len(tables) and now.get("state") == "walking" else None

    def state(self, run: int) -> tuple[str, str]:
        """How it stands with a run, and why it stands so."""
        record = self.administrator.entry(self.name) or {}
        for finished in record.get("finished_backfills") or []:
            if finished["run"] == run:
                return finished["state"], finished.get("why") or ""
        now = record.get("backfill") or {}
        if now and now["request"]["run"] == run:
            return now["state"], now.get("why") or ""
        return "waiting", ""

    def read(self) -> int:
        """Rows of backfills that are stored, as far as their subject tells."""
        info = self.administrator.api(f"STREAM.INFO.{self.name}", subjects_filter=f"{self.prefix}.*.READ")
        return sum((info["state"].get("subjects") or {}).values())

    def wait_state(self, run: int, *states: str, seconds: float = SOON, keep_alive: Callable[[], None] | None = None) -> str:
        """Until it stands so with a run; returns why. Another end, and one of the streamer's, fail at once."""
        def there() -> bool:
            if keep_alive:
                keep_alive()
            elif self.streamer.process is not None and not self.streamer.running:
                raise AssertionError(f"the streamer ended with {self.streamer.process.returncode}: {self.streamer.last_words()}")
            state, why = self.state(run)
            if state in ("done", "cancelled", "failed") and state not in states:
                raise AssertionError(f"run {run} is {state}: {why}; {self.streamer.last_words()}")
            return state in states

        wait_until(there, seconds, f"run {run} is {' or '.join(states)}: {self.streamer.log}", 0.05)
        return self.state(run)[1]

    def wait_done(self, run: int, seconds: float = 120, keep_alive: Callable[[], None] | None = None) -> None:
        """Until all of its rows are stored."""
        self.wait_state(run, "done", seconds=seconds, keep_alive=keep_alive)

    def wait_read(self, count: int, seconds: float = SOON) -> None:
        """Until so many rows are stored."""
        wait_until(lambda: self.read() >= count, seconds, f"{count} rows are read: {self.streamer.log}", 0.02)

    def wait_why(self, words: str, seconds: float = SOON) -> str:
        """Until the run under way says so of itself."""
        def told() -> str:
            now = self.progress()
            return now.get("why") if words in (now.get("why") or "") else ""

        return wait_until(told, seconds, f"the run says {words!r} (it says {self.progress().get('why')!r}): {self.streamer.log}", 0.05)


def runs(tenant: Tenant, streamer: Streamer | None = None) -> Runs:
    """Those of a tenant's stream."""
    return Runs(streamer or tenant.streamer, tenant.administrator, tenant.name, tenant.prefix)


def tables_of(connection: psycopg.Connection, found: list[shapes.Shape]) -> dict[str, Iterator[str]]:
    """Their rows, read one table after another, in a session whose settings are the contract's."""
    for setting, value in {"TimeZone": "UTC", "DateStyle": "ISO", "IntervalStyle": "postgres", "bytea_output": "hex", "extra_float_digits": "1"}.items():
        connection.execute(f"SET {setting} TO '{value}'")
    return {shape.qualified: shapes.rows(connection, shape) for shape in found}


def judged(tenant: Tenant, *tables: str, operation: str = "READ", has_lost_end: bool = False, is_large: bool = False) -> Backfilled:
    """Fails unless the tenant's stream gives its tables (of the publication all, or these); call it when all is confirmed. `is_large`: its
    messages are too large for many to be asked for at once."""
    with tenant.connect() as connection:
        found = [shape for shape in shapes.shapes(connection, tenant.name) if not tables or shape.qualified in tables]
        judge = Backfilled(found, tenant.prefix, operation, has_lost_end).follow(tenant.events() if is_large else tenant.read())
        require_equal(judge.compare(tables_of(connection, found)))
    return judge


def require_equal(result: Comparison) -> None:
    """Fails on any difference; a table may be empty."""
    if result.differences:
        result.compared = result.compared or 1
        result.require_equal()


def compare_with_tables(connection: psycopg.Connection, publication: str, events: Iterable[stream.Event]) -> tuple[Backfilled, Comparison]:
    """The judge of these messages, and what it says of the tables."""
    found = shapes.shapes(connection, publication)
    judge = Backfilled(found).follow(events)
    return judge, judge.compare(tables_of(connection, found))


@contextmanager
def waiting_for_nobody(tenant: Tenant) -> Iterator[None]:
    """Commits wait for a standby that there is not: they are in the WAL, and nobody sees them. Afterwards for none, also those that wait."""
    with tenant.connect() as administrator:
        administrator.execute("SET synchronous_commit = off")

        def set_to(value: str) -> None:
            administrator.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{value}'")
            administrator.execute("SELECT pg_reload_conf()")
            wait_until(lambda: administrator.execute("SHOW synchronous_standby_names").fetchone()[0] == value, 20, f"'{value}' holds")

        set_to("nobody")
        try:
            yield
        finally:
            set_to("")


def old_rows(tenant: Tenant, count: int = 1_500, sql: str = "", setup: bool = True) -> Runs:
    """Fills tb_item, which has rows before there is a slot; `sql` is what else there is. A tenant made with `setup=False`."""
    tenant.run(f"INSERT INTO tb_item SELECT n, 'row ' || n || repeat('.', 150) FROM generate_series(1, {count}) AS n; {sql}")
    if setup:
        tenant.streamer.setup()
    return runs(tenant)


def prepared(tenants, pair, count: int = 1_500, sql: str = "", **overrides) -> tuple[Tenant, Runs]:
    """A tenant whose tb_item had so many rows before its slot, and the runs of its stream."""
    tenant = tenants(pair, setup=False, overrides=PATIENT | overrides)
    return tenant, old_rows(tenant, count, sql)


def held(runs: Runs, point: str, number: int = 1, tables: Iterable[str] = ("public.tb_item",), options: Iterable[str] = ()) -> int:
    """Starts the streamer and asks for a run; the streamer stands still at that pass of a failpoint, until `let_go`. A walk's first chunk has
    16 rows, each chunk after it four times as many as the one before: at `chunk_read` 3 the rows 81 to 336 are in its hand."""
    failpoints.start(runs.streamer, point, "stop", number)
    runs.streamer.wait_ready()
    run = runs.request(*tables, options=options)
    wait_until(lambda: failpoints.reached(runs.streamer, "stop"), SOON, f"{point} is reached: {runs.streamer.log}")
    return run


def let_go(runs: Runs) -> None:
    """It goes on."""
    failpoints.recover(runs.streamer, "stop")


def resume(runs: Runs, run: int) -> None:
    """A run that rests, or that could not go on, goes on."""
    ask(runs.streamer, "--resume", str(run))
    wait_until(lambda: runs.state(run)[0] not in ("failed", "paused"), SOON, f"run {run} goes on: {runs.streamer.log}")


def finish(tenant: Tenant, run: int, *tables: str, seconds: float = 120) -> Backfilled:
    """Until the run is done and everything is confirmed; then the stream is judged."""
    runs(tenant).wait_done(run, seconds)
    tenant.wait_confirmed()
    return judged(tenant, *tables)


def markers(tenant: Tenant) -> list[dict]:
    """The markers of backfills in its stream."""
    return [event.json for event in tenant.read() if event.subject.endswith("._slotstream.BACKFILL")]


def told_list(streamer: Streamer) -> list[dict]:
    """What `--list` says of all runs."""
    said = json.loads(ask(streamer, "--list", "--json").stdout)
    return said.get("runs") or said.get("backfills") or []
