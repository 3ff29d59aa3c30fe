"""A backfill beside schedules that a careful reader thought of: each lost rows once, or kept a run from its end."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import failpoints
from backfilling import SOON, finish, let_go, old_rows, waiting_for_nobody
from servers.tools import wait_until
from tenants import PATIENT, own, tenant_maker, tenants  # noqa: F401


@contextmanager
def _meanwhile(tenant, statements: list[str], pause: float) -> Iterator[None]:
    """A client of the application runs these again and again."""
    stop = threading.Event()

    def work() -> None:
        with tenant.connect() as client:
            while not stop.wait(pause):
                for statement in statements:
                    client.execute(statement)

    with ThreadPoolExecutor(1) as clients:
        done = clients.submit(work)
        try:
            yield
        finally:
            stop.set()
            done.result(timeout=30)


def _prepared(tenants: Callable, pair, count: int, script: str = ""):  # noqa: F811
    tenant = tenants(pair, setup=False, overrides=PATIENT)
    return tenant, old_rows(tenant, count, script)


def test_a_table_that_is_rewritten_before_a_row_of_it_went_out_is_walked_from_its_beginning(pair, tenants):
    """Chunks of dead rows move the walk, and give no number by which a pass could be told from the next."""
    tenant, told = _prepared(tenants, pair, 20_000)
    with tenant.connect() as client:
        client.execute("DELETE FROM tb_item WHERE n > 5600 AND n <= 19700")
        client.execute("VACUUM tb_item")
    told.streamer.start()
    # Nothing of the first chunks fits the condition, which takes its time.
    run = told.request("public.tb_item", options=["--where", "CASE WHEN n <= 5600 THEN pg_sleep(0.001)::text = 'x' ELSE true END"])
    with tenant.connect() as client:
        second = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%%(65,0)%%tid AND%%' AND pid <> pg_backend_pid()"
        wait_until(lambda: client.execute(second).fetchone()[0] > 0, SOON, "the second chunk is read")
        client.execute("DELETE FROM tb_item WHERE n <= 5600")
        client.execute("VACUUM FULL tb_item")
    told.wait_done(run)
    finish(tenant, run)


def test_a_truncate_ends_the_table_that_it_is_of_and_no_other(pair, tenants):
    tenant, told = _prepared(
        tenants, pair, 1_500,
        "CREATE TABLE tb_next (n BIGINT PRIMARY KEY, note TEXT); INSERT INTO tb_next SELECT n, 'x' FROM generate_series(1, 300) AS n; "
        "CREATE TABLE tb_other (n BIGINT PRIMARY KEY, note TEXT); INSERT INTO tb_other SELECT n, 'x' FROM generate_series(1, 300) AS n")
    told.streamer.start()
    with _meanwhile(tenant, ["TRUNCATE tb_item", "INSERT INTO tb_item VALUES (1, 'x')"], 0.004):
        run = told.request("public.tb_item", "public.tb_next", "public.tb_other")
        told.wait_done(run)
    finish(tenant, run)


def test_a_row_with_a_padded_key_is_found_again(pair, tenants):
    """A key is looked for as a value of its own type: `character` alone is of one character."""
    tenant, told = _prepared(
        tenants, pair, 10,
        "CREATE TABLE tb_code (code CHAR(8) PRIMARY KEY, k INT, note TEXT); ALTER TABLE tb_code ALTER note SET STORAGE EXTERNAL; "
        "INSERT INTO tb_code SELECT 'c' || n, 0, (SELECT string_agg(md5(n::text || i), '') FROM generate_series(1, 200) AS i) "
        "FROM generate_series(1, 2000) AS n")
    told.streamer.start()
    run = told.request("public.tb_code", options=["--rate", "200"])
    told.wait_read(100)
    tenant.run("UPDATE tb_code SET k = 1 WHERE substr(code::text, 2)::int BETWEEN 1400 AND 1900")
    tenant.run("VACUUM tb_code")
    told.wait_done(run)
    finish(tenant, run, "public.tb_code")


def test_the_walk_is_in_the_order_of_the_rows_whatever_index_fits_the_condition(pair, tenants):
    tenant, told = _prepared(
        tenants, pair, 10,
        "CREATE TABLE tb_kind (n BIGINT PRIMARY KEY, kind INT, rnd FLOAT, note TEXT); "
        "INSERT INTO tb_kind SELECT n, CASE WHEN n % 60 = 0 AND n <= 1500 THEN 7 ELSE 0 END, random(), repeat('.', 150) FROM generate_series(1, 20000) AS n; "
        "CREATE INDEX ON tb_kind (kind, rnd); ANALYZE tb_kind")
    told.streamer.start()
    run = told.request("public.tb_kind", options=["--where", "kind = 7"])
    told.wait_done(run)
    assert told.read() == tenant.value("SELECT count(*) FROM tb_kind WHERE kind = 7")


def test_a_run_of_more_tables_than_the_record_holds_is_refused_and_the_live_stream_confirmed(pair, tenants):
    tenant = tenants(pair, nats_lines=("max_payload: 65536",), setup=False, overrides=PATIENT)
    told = old_rows(
        tenant, 10,
        "DO $$ BEGIN FOR i IN 1..200 LOOP EXECUTE format('CREATE TABLE tb_%s_%s (n BIGINT PRIMARY KEY)', repeat('x', 45), i); END LOOP; END $$; ANALYZE")
    told.streamer.start()
    run = told.request("public.tb_x*")
    wait_until(lambda: told.state(run)[0] == "failed", SOON, "the run is refused")
    assert "name fewer tables" in told.state(run)[1]
    tenant.commit(100_001)
    tenant.wait_confirmed()


def test_a_row_to_be_read_again_is_remembered_where_its_table_begins_anew(pair, own):
    """The event came before the pass, and its commit, which waits for a standby, is shown to none of the snapshots."""
    tenant = own(pair, setup=False, overrides=PATIENT)
    told = old_rows(
        tenant, 10,
        "CREATE TABLE tb_wide (n BIGINT PRIMARY KEY, k INT, note TEXT); ALTER TABLE tb_wide ALTER note SET STORAGE EXTERNAL; "
        "INSERT INTO tb_wide SELECT n, 0, repeat('n', 3000) FROM generate_series(1, 400) AS n")
    failpoints.start(told.streamer, "table_tracked", "stop", 2)
    told.streamer.wait_ready()
    run = told.request("public.tb_wide", options=["--rate", "100"])
    told.wait_read(50)
    with tenant.connect() as writer, ThreadPoolExecutor(1) as clients:
        writer.execute("SET synchronous_commit = off")
        writer.execute("ALTER TABLE tb_wide ALTER COLUMN k SET NOT NULL")
        wait_until(lambda: failpoints.reached(told.streamer, "stop"), SOON, "the second pass is about to begin")
        writer.execute("BEGIN; UPDATE tb_wide SET k = 5 WHERE n = 399")
        with waiting_for_nobody(tenant):
            let_go(told)
            told.wait_why("tb_wide")
            commit = clients.submit(tenant.run, "UPDATE tb_wide SET k = 1 WHERE n = 400")
            wait_until(lambda: any(event.subject.endswith("UPDATE") for event in tenant.read()), SOON, "the update is published")
            writer.execute("ROLLBACK")
            time.sleep(1)
        commit.result(timeout=SOON)
    told.wait_done(run)
    finish(tenant, run, "public.tb_wide")


def test_a_table_without_key_is_read_although_somebody_always_writes_to_it(pair, own):
    """Its rows have to be there at one moment; whoever may lock the table makes one."""
    tenant = own(pair, setup=False, overrides=PATIENT)
    told = old_rows(
        tenant, 10,
        "CREATE TABLE tb_log (n BIGINT, t TEXT); ALTER TABLE tb_log REPLICA IDENTITY FULL; "
        "INSERT INTO tb_log SELECT n, repeat('x', 100) FROM generate_series(1, 20000) AS n")
    told.streamer.start()
    with _meanwhile(tenant, ["INSERT INTO tb_log VALUES (1, 'x')"], 0.01):
        run = told.request("public.tb_log")
        told.wait_done(run)
    finish(tenant, run, "public.tb_log")
